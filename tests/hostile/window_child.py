"""A console in a window whose server floods it: how long does the event loop ever stand still?

``python -m tests.hostile.window_child FD``: FD is one end of a socket pair, whose other end is a server. It calms
down for a while and floods then; a line on standard input says that it has begun. Prints one JSON list: 99th
percentiles (milliseconds) of the gaps between the turns of the event loop while calm and while flooded, how many turns
the flood had, and the longest of its gaps. Time in which this thread could run and got no processor is taken off:
it says something about the computer, and nothing about the console.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time

from PySide6.QtCore import QObject, QSocketNotifier, Qt, QTimer, Slot
from PySide6.QtWidgets import QApplication

from guivm.console.rfb_source import RfbSource
from guivm.console.source import ClipboardPolicy
from guivm.console.widget import ConsoleFace, ConsoleWidget
from guivm.engine.job_types import ConsoleEndpoint

_TICK_MS = 5
_CALM_TICKS = 200
_FLOOD_S = 2.0
_FLOOD_TICKS = 100


class _Processor:
    """How long this thread has waited for a processor. One system call: each may cost it Python's lock for a while."""

    def __init__(self) -> None:
        self._fd = os.open(f"/proc/self/task/{threading.get_native_id()}/schedstat", os.O_RDONLY)

    def waited(self) -> float:
        """Milliseconds."""
        return int(os.pread(self._fd, 64, 0).split()[1]) / 1e6


def _p99(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)]


class Watch(QObject):
    """Turns of the event loop, first while calm, then while flooded."""

    def __init__(self, console: ConsoleWidget) -> None:
        super().__init__()
        self._console = console
        self._processor = _Processor()
        self._gaps: list[float] = []
        self._calm: list[float] = []
        self._flooding = False
        self._since = 0.0
        self._last = 0.0
        self._last_waited = 0.0
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(_TICK_MS)
        self._timer.timeout.connect(self._on_tick)
        self._input = QSocketNotifier(sys.stdin.fileno(), QSocketNotifier.Type.Read, self)
        self._input.activated.connect(self._on_flood)

    @Slot()
    def start(self) -> None:
        self._last, self._last_waited = time.monotonic(), self._processor.waited()
        self._timer.start()

    @Slot()
    def _on_flood(self) -> None:
        sys.stdin.readline()
        self._input.setEnabled(False)
        self._calm, self._gaps = self._gaps, []
        self._flooding = True
        self._since = time.monotonic()

    @Slot()
    def _on_tick(self) -> None:
        now, waited = time.monotonic(), self._processor.waited()
        self._gaps.append(max(0.0, (now - self._last) * 1000 - (waited - self._last_waited)))
        self._last, self._last_waited = now, waited
        if not self._flooding:
            if len(self._gaps) == _CALM_TICKS:
                print("calm", flush=True)
        elif now - self._since >= _FLOOD_S and len(self._gaps) >= _FLOOD_TICKS:
            self._finish(now)

    def _finish(self, now: float) -> None:
        self._timer.stop()
        source = self._console.source()
        error = str(source.error) if source is not None and source.error is not None else ""
        began = time.monotonic()
        self._console.set_source(None)  # closing, too, is at once
        closing = (time.monotonic() - began) * 1000
        values = [_p99(self._calm), _p99(self._gaps), len(self._gaps), max(self._gaps), closing, error]
        print(json.dumps(values), flush=True)
        QApplication.quit()


def _take_text(text: str) -> None:
    QApplication.clipboard().setText(text)


def main() -> int:
    app = QApplication(sys.argv[:1])
    console = ConsoleWidget()
    console.set_face(ConsoleFace.LIVE)
    console.resize(800, 600)
    source = RfbSource(ConsoleEndpoint(fd=int(sys.argv[1])))
    source.set_clipboard_policy(ClipboardPolicy.BOTH)
    source.send_clipboard("text of the desktop " * 1000)
    source.clipboardReceived.connect(_take_text)
    source.nameChanged.connect(console.setWindowTitle)
    watch = Watch(console)
    console.frameShown.connect(watch.start)
    console.set_source(source)
    console.show()
    source.open()
    return app.exec()


if __name__ == "__main__":
    sys.exit(main())
