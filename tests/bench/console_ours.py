"""Our console in a window of its own, as a person has it at 1:1, for ``./dev bench console``.

``python -m tests.bench.console_ours HOST PORT`` shows the display at that VNC server until stdin ends. The line
``gaps`` on stdin starts to measure how long the event loop keeps a 1 ms timer waiting; ``stop`` answers with
``{"gaps_ms": […]}``, one for each turn. Without it nothing runs that the application would not run.

``… decode HOST PORT COLOUR`` has no window and no Qt: it only receives and decodes. Whenever the middle pixel of the
framebuffer takes that colour (decimal) it says ``{"seen_ns": CLOCK_MONOTONIC}``.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time

from guivm.console.vnc.link import RfbLink
from guivm.engine.job_types import ConsoleEndpoint


def show(host: str, port: int) -> int:
    from PySide6.QtCore import QObject, QSize, QSocketNotifier, Qt, QTimer, Slot
    from PySide6.QtWidgets import QApplication, QVBoxLayout, QWidget

    from guivm.console.rfb_source import make_source
    from guivm.console.widget import ConsoleWidget, ScaleMode
    from guivm.views.garbage import GarbageCollector

    class Gaps(QObject):
        """Milliseconds between the turns of a 1 ms timer."""

        def __init__(self, parent: QObject) -> None:
            super().__init__(parent)
            self._gaps: list[float] = []
            self._last = 0.0
            self._timer = QTimer(self)
            self._timer.setTimerType(Qt.TimerType.PreciseTimer)
            self._timer.setInterval(1)
            self._timer.timeout.connect(self._tick)

        def start(self) -> None:
            self._gaps = []
            self._last = time.monotonic()
            self._timer.start()

        def stop(self) -> list[float]:
            self._timer.stop()
            return self._gaps

        @Slot()
        def _tick(self) -> None:
            now = time.monotonic()
            self._gaps.append((now - self._last) * 1000)
            self._last = now

    class Window(QWidget):
        def __init__(self) -> None:
            super().__init__()
            self.setObjectName("bench-console")
            self.setWindowTitle("guivm console")
            self._console = ConsoleWidget(self)
            self._console.set_scale_mode(ScaleMode.ACTUAL)
            layout = QVBoxLayout(self)
            layout.setContentsMargins(0, 0, 0, 0)
            layout.addWidget(self._console)
            self._console.framebufferResized.connect(self._fit)
            self._gaps = Gaps(self)
            self._notifier = QSocketNotifier(sys.stdin.fileno(), QSocketNotifier.Type.Read, self)
            self._notifier.activated.connect(self._command)
            source = make_source(ConsoleEndpoint(tcp=(host, port)))
            self._console.set_source(source)
            self._live()
            source.open()

        def _live(self) -> None:
            from guivm.console.faces import ConsoleFace

            self._console.set_face(ConsoleFace.LIVE)
            self._console.setFocus()

        @Slot(QSize)
        def _fit(self, _size: QSize) -> None:
            self.resize(self._console.sizeHint())

        @Slot()
        def _command(self) -> None:
            data = os.read(sys.stdin.fileno(), 4096)
            if not data:
                self._console.set_source(None)
                QApplication.quit()
            elif data.strip() == b"gaps":
                self._gaps.start()
            elif data.strip() == b"stop":
                print(json.dumps({"gaps_ms": self._gaps.stop()}), flush=True)

    application = QApplication(sys.argv[:1])
    _collector = GarbageCollector(application)
    window = Window()
    window.show()
    return application.exec()


def decode(host: str, port: int, colour: int) -> int:
    news = threading.Event()
    link = RfbLink(ConsoleEndpoint(tcp=(host, port)), news.set)
    link.start()
    framebuffer = None
    seen = False
    while True:
        news.wait()
        news.clear()
        told = link.take_news()
        framebuffer = told.framebuffer or framebuffer
        if told.damaged:
            link.take_damage()
        if link.error is not None and told.state is not None and told.state.value == "disconnected":
            return 1 if framebuffer is None else 0
        if framebuffer is None:
            continue
        blue, green, red, _ = framebuffer.pixels[framebuffer.height // 2, framebuffer.width // 2].tolist()
        now = time.monotonic_ns()
        if (red << 16 | green << 8 | blue) == colour:
            if not seen:
                print(json.dumps({"seen_ns": now}), flush=True)
            seen = True
        else:
            seen = False


def main() -> int:
    arguments = sys.argv[1:]
    if arguments[0] == "decode":
        return decode(arguments[1], int(arguments[2]), int(arguments[3]))
    return show(arguments[0], int(arguments[1]))


if __name__ == "__main__":
    sys.exit(main())
