"""Is every device pixel of a painted console right? Run as a program, because Qt takes a scale only at its start.

``python -m tests.helpers.console_painting`` with ``QT_SCALE_FACTOR`` set; prints one line of JSON per check, of which
``wrong`` is the number of wrong device pixels.
"""

from __future__ import annotations

import json
import sys

import numpy as np
from PySide6.QtCore import QEventLoop, QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QGuiApplication, QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget

from guivm.console.picture.viewport import round_half_up
from guivm.console.widget import ConsoleFace, ConsoleWidget, ScaleMode
from tests.helpers.fake_source import FakeSource
from tests.helpers.rfb_server import Pixels, picture

GUEST = (200, 120)


class Scene:
    """A window with the console at an odd place, so that fractional scales begin it inside a device pixel."""

    def __init__(self, x: int, y: int, width: int, height: int) -> None:
        self.window = QWidget()
        self.window.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, False)
        self.window.resize(width + x + 20, height + y + 20)
        palette = self.window.palette()
        palette.setColor(self.window.backgroundRole(), QColor(Qt.GlobalColor.magenta))
        self.window.setPalette(palette)
        self.console = ConsoleWidget(self.window)
        self.console.setGeometry(x, y, width, height)
        self.console.set_face(ConsoleFace.LIVE)
        self.source = FakeSource()
        self.console.set_source(self.source)
        self.window.show()
        # Until then a window manager may still move it, or not have it on the screen at all.
        assert QTest.qWaitForWindowActive(self.window, 20_000)
        self.source.show(picture(*GUEST))
        QApplication.processEvents()

    def pixels(self, *, fresh: bool) -> Pixels:
        """What the window shows, in device pixels: painted anew, or as it was painted bit by bit."""
        if fresh:
            return _pixels(self.window.grab().toImage())
        return _pixels(self.window.screen().grabWindow(self.window.winId()).toImage())

    def close(self) -> None:
        self.console.set_source(None)
        self.window.close()
        self.window.deleteLater()


def _pixels(image: QImage) -> Pixels:
    image = image.convertToFormat(QImage.Format.Format_RGB32)
    data = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine() // 4, 4)
    return data[:, : image.width()].copy()


def wrong_one_to_one(scene: Scene, shown: Pixels) -> int:
    """Device pixels of the picture that are not their guest pixel."""
    dpr = scene.console.devicePixelRatioF()
    corner = scene.console.guest_to_widget(0, 0)
    assert corner is not None
    x = round_half_up((corner.x() + scene.console.x()) * dpr - 0.5)
    y = round_half_up((corner.y() + scene.console.y()) * dpr - 0.5)
    part = shown[y : y + GUEST[1], x : x + GUEST[0], :3]
    assert scene.source.framebuffer is not None
    expected = scene.source.framebuffer.pixels[:, :, :3]
    if part.shape != expected.shape:
        return expected.size
    return int((part != expected).any(axis=2).sum())


def wrong_pointing(scene: Scene) -> int:
    """Guest pixels that a pointer put on them does not reach."""
    console = scene.console
    dpr = console.devicePixelRatioF()
    wrong = 0
    for x, y in [(0, 0), (GUEST[0] - 1, GUEST[1] - 1), *((n, n * 3 % GUEST[1]) for n in range(1, GUEST[0], 7))]:
        position = console.guest_to_widget(x, y)
        assert position is not None
        # A window system names the device pixel by its edge, in its window, divided by the scale.
        origin = console.mapTo(scene.window, QPoint(0, 0))
        device_x = int((position.x() + origin.x()) * dpr)
        device_y = int((position.y() + origin.y()) * dpr)
        local = QPointF(device_x / dpr - origin.x(), device_y / dpr - origin.y())
        wrong += console.nearest_guest_pixel(local) != (x, y)
    return wrong


def wrong_after_damage(scene: Scene) -> int:
    """Device pixels that differ between painted in parts and painted at once.

    Qt's smooth scaling rounds from where a part begins: a few steps of 255 are no difference.
    """
    rng = np.random.default_rng(7)
    for _ in range(40):
        width, height = int(rng.integers(1, 30)), int(rng.integers(1, 30))
        x, y = int(rng.integers(0, GUEST[0] - width)), int(rng.integers(0, GUEST[1] - height))
        scene.source.draw(x, y, picture(width, height, seed=int(rng.integers(1 << 30))))
        while not scene.source.is_taken:
            QApplication.processEvents(QEventLoop.ProcessEventsFlag.WaitForMoreEvents)
        QApplication.processEvents()
    parts = scene.pixels(fresh=False).astype(int)
    scene.window.update()
    scene.console.update()
    QApplication.processEvents()
    whole = scene.pixels(fresh=False)
    return int((abs(parts - whole) > 4).any(axis=2).sum())


def main() -> int:
    app = QApplication(sys.argv[:1])
    # The offscreen platform cuts what is on its screen to the logical size: ask a real one.
    on_screen = QGuiApplication.platformName() != "offscreen"
    app.setStyle("fusion")
    for x, y, width, height in ((0, 0, 300, 200), (13, 7, 333, 251), (31, 11, 257, 301)):
        scene = Scene(x, y, width, height)
        dpr = scene.window.devicePixelRatioF()
        for mode in ScaleMode:
            scene.console.set_scale_mode(mode)
            if mode is ScaleMode.FREE:
                scene.console.set_zoom(1.37)
            QApplication.processEvents()
            exact = mode is ScaleMode.ACTUAL
            checks = {"pointing": wrong_pointing(scene)}
            if exact:
                checks["grabbed"] = wrong_one_to_one(scene, scene.pixels(fresh=True))
            if exact and on_screen:
                checks["shown"] = wrong_one_to_one(scene, scene.pixels(fresh=False))
            if on_screen:
                checks["damage"] = wrong_after_damage(scene)
            if exact and on_screen:
                checks["redrawn"] = wrong_one_to_one(scene, scene.pixels(fresh=False))
            for check, wrong in checks.items():
                place = [x, y, width, height]
                print(json.dumps({"check": check, "wrong": wrong, "dpr": dpr, "mode": mode.value, "at": place}))
        scene.close()
    QGuiApplication.processEvents()
    return 0


if __name__ == "__main__":
    sys.exit(main())
