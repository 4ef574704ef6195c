"""Does OpenGL show what raster painting shows? Run as a program on a real X server, with software OpenGL forced.

``python -m tests.helpers.console_gl`` prints one line of JSON per check: ``worst``, the largest difference of a colour
(0 to 255) between the two, and what was checked.
"""

from __future__ import annotations

import json
import logging
import sys

import numpy as np
from PySide6.QtCore import QCoreApplication, QElapsedTimer, QEventLoop
from PySide6.QtGui import QGuiApplication, QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget

from guivm.console.picture.gl_window import PlaneWindow
from guivm.console.picture.region_picker import RegionPicker
from guivm.console.widget import ConsoleFace, ConsoleWidget, GlPolicy, ScaleMode
from tests.helpers.fake_source import FakeSource
from tests.helpers.rfb_server import Pixels, picture

GUEST = (160, 100)


class Scene:
    """Two consoles of the same guest, one through OpenGL, side by side."""

    def __init__(self, width: int, height: int) -> None:
        self.window = QWidget()
        self.window.resize(2 * width + 30, height + 20)
        self.consoles: list[ConsoleWidget] = []
        self.sources: list[FakeSource] = []
        for left, policy in ((7, GlPolicy.OFF), (width + 17, GlPolicy.FORCE)):
            console = ConsoleWidget(self.window, gl=policy)
            console.setGeometry(left, 9, width, height)
            console.set_face(ConsoleFace.LIVE)
            source = FakeSource()
            console.set_source(source)
            self.consoles.append(console)
            self.sources.append(source)
        self.window.show()
        assert QTest.qWaitForWindowActive(self.window, 20_000)
        for source in self.sources:
            source.show(smooth_picture(*GUEST))
        self.settle()

    def set(self, mode: ScaleMode, zoom: float = 0) -> None:
        for console in self.consoles:
            console.set_scale_mode(mode)
            if zoom:
                console.set_zoom(zoom)
        self.settle()

    def draw(self, x: int, y: int, pixels: Pixels) -> None:
        for source in self.sources:
            source.draw(x, y, pixels)
        while not all(source.is_taken for source in self.sources):
            QCoreApplication.processEvents(QEventLoop.ProcessEventsFlag.WaitForMoreEvents)
        self.settle()

    def shown(self) -> list[Pixels]:
        image = self.window.screen().grabWindow(self.window.winId()).toImage()
        image = image.convertToFormat(QImage.Format.Format_RGB32)
        data = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine() // 4, 4)
        dpr = self.window.devicePixelRatioF()
        parts = []
        for console in self.consoles:
            box = console.geometry()
            x, y, width, height = (round(side * dpr) for side in (box.x(), box.y(), box.width(), box.height()))
            parts.append(data[y : y + height, x : x + width, :3].astype(int))
        return parts

    def worst(self) -> int:
        raster, plane = self.shown()
        return int(abs(raster - plane).max())

    def settle(self) -> None:
        settle(self.consoles[1]._plane._window if self.uses_gl() else None)

    def uses_gl(self) -> bool:
        return self.consoles[1]._plane.rect is not None

    def close(self) -> None:
        for console in self.consoles:
            console.set_source(None)
        self.window.close()
        self.window.deleteLater()
        settle()


def smooth_picture(width: int, height: int) -> Pixels:
    """A gradient: two ways of scaling differ by rounding only. The fourth byte means nothing."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x % 256, y * 2 % 256, (x + y) % 256, x * 0], axis=2).astype(np.uint8)


def settle(window: PlaneWindow | None = None) -> None:
    """Until everything asked for is painted and drawn."""
    QCoreApplication.processEvents()
    clock = QElapsedTimer()
    clock.start()
    while window is not None and not (window.isExposed() and window.is_up_to_date):
        QCoreApplication.processEvents(QEventLoop.ProcessEventsFlag.WaitForMoreEvents, 100)
        assert clock.elapsed() < 20_000
    QCoreApplication.processEvents()
    # An answer of the X server's comes behind all it has to say of what we did before: also what is exposed again.
    QGuiApplication.primaryScreen().grabWindow(0, 0, 0, 1, 1)
    QCoreApplication.processEvents()


def say(check: str, **values: object) -> None:
    print(json.dumps({"check": check, **values}), flush=True)


def main() -> int:
    logging.basicConfig(stream=sys.stdout, format='{"check": "log", "text": "%(message)s"}', level=logging.WARNING)
    app = QApplication(sys.argv[:1])
    app.setStyle("fusion")
    scene = Scene(328, 214)
    say("one to one", gl=False, worst=0)
    for name, mode, zoom in (
        ("fit", ScaleMode.FIT, 0),
        ("integer", ScaleMode.INTEGER, 0),
        ("free, scrolled", ScaleMode.FREE, 3.0),
        ("free, smooth", ScaleMode.FREE, 1.3),
    ):
        scene.set(mode, zoom)
        say(name, gl=scene.uses_gl(), worst=scene.worst())
        scene.draw(20, 30, picture(9, 7) // 4 + 90 if zoom == 3 else smooth_picture(60, 40))
        say(f"{name}, damaged", gl=scene.uses_gl(), worst=scene.worst())
    scene.set(ScaleMode.ACTUAL)
    say("actual", gl=scene.uses_gl(), worst=scene.worst())
    scene.set(ScaleMode.FIT)
    for console in scene.consoles:
        console.set_face(ConsoleFace.PAUSED)
    scene.settle()
    say("paused", gl=scene.uses_gl(), worst=scene.worst())
    for console in scene.consoles:
        console.set_face(ConsoleFace.LIVE)
    scene.settle()
    say("live again", gl=scene.uses_gl(), worst=scene.worst())
    for source in scene.sources:
        source.show(smooth_picture(120, 80))
    scene.settle()
    say("resized", gl=scene.uses_gl(), worst=scene.worst())
    pickers = [RegionPicker(console) for console in scene.consoles]
    for picker in pickers:
        picker.start()
    scene.settle()
    say("overlaid", gl=scene.uses_gl(), worst=scene.worst())
    for picker in pickers:
        picker.cancel()
    scene.settle()
    scene.consoles[1].set_overlaid(True)
    scene.settle()
    say("under a bar", gl=scene.uses_gl(), worst=scene.worst())
    scene.consoles[1].set_overlaid(False)
    scene.settle()
    for console in scene.consoles:
        console.move(console.x(), 5)
    scene.settle()
    say("moved", gl=scene.uses_gl(), worst=scene.worst())
    window = scene.consoles[1]._plane._window
    assert window is not None
    window._report("tried")
    scene.settle()
    say("failed", gl=scene.uses_gl(), worst=scene.worst())
    scene.close()
    again = Scene(300, 200)
    say("another window", gl=again.uses_gl(), worst=again.worst())
    again.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
