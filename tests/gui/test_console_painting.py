"""Every device pixel: 1:1 at every desktop scale, faces, frame, and painting of no more than was damaged."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PySide6.QtCore import QRect, QSize, Qt
from PySide6.QtGui import QImage, QPalette
from PySide6.QtWidgets import QApplication, QLabel, QWidget
from pytestqt.qtbot import QtBot

from guivm.console.frame import Framebuffer
from guivm.console.picture.screen import Screen, rects_of
from guivm.console.widget import ConsoleFace, ConsoleWidget, ScaleMode
from tests.helpers.fake_source import FakeSource
from tests.helpers.rfb_server import Pixels, picture


@pytest.mark.parametrize("scale", ["1", "1.25", "1.5", "1.75", "2"])
def test_exact_at_every_scale(scale: str) -> None:
    """In a process of its own: Qt takes the scale at its start only."""
    result = subprocess.run(
        [sys.executable, "-m", "tests.helpers.console_painting"],
        env={**os.environ, "QT_SCALE_FACTOR": scale, "QT_SCALE_FACTOR_ROUNDING_POLICY": "PassThrough"},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    checks = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(checks) == 15
    assert {check["dpr"] for check in checks} == {float(scale)}
    assert [check for check in checks if check["wrong"]] == []


@pytest.fixture
def console(qtbot: QtBot) -> ConsoleWidget:
    widget = ConsoleWidget()
    qtbot.addWidget(widget)
    widget.resize(404, 304)
    widget.set_face(ConsoleFace.LIVE)
    widget.show()
    qtbot.waitExposed(widget)
    return widget


def _show(console: ConsoleWidget, pixels: Pixels) -> FakeSource:
    source = FakeSource()
    console.set_source(source)
    source.show(pixels)
    return source


def _grab(console: ConsoleWidget) -> Pixels:
    image = console.grab().toImage().convertToFormat(QImage.Format.Format_RGB32)
    data = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine() // 4, 4)
    return data[:, : image.width(), :3].copy()


def test_whole_multiples_are_crisp(console: ConsoleWidget) -> None:
    pixels = picture(200, 150)
    _show(console, pixels)
    expected = pixels[:, :, :3].repeat(2, axis=0).repeat(2, axis=1)
    assert np.array_equal(_grab(console)[2:302, 2:402], expected)


def test_other_scales_are_smooth(console: ConsoleWidget) -> None:
    """A step from black to white scaled by 2.5 has greys between."""
    pixels = np.zeros((120, 160, 4), np.uint8)
    pixels[:, 80:] = 255
    _show(console, pixels)
    row = _grab(console)[150, 2:402, 0]
    assert row[0] == 0
    assert row[-1] == 255
    assert set(np.unique(row)) - {0, 255}
    assert (np.diff(row.astype(int)) >= 0).all()


@pytest.mark.parametrize("mode", list(ScaleMode))
def test_around_the_picture_is_the_window_colour(console: ConsoleWidget, mode: ScaleMode) -> None:
    console.set_scale_mode(mode)
    _show(console, picture(100, 20))
    shown = _grab(console)
    colour = console.palette().color(QPalette.ColorRole.Window)
    background = [colour.blue(), colour.green(), colour.red()]
    assert shown[0, 0].tolist() == background
    assert shown[-1, -1].tolist() == background
    assert shown[40, 200].tolist() == background


def test_capture_frame_is_around_the_picture(console: ConsoleWidget) -> None:
    pixels = picture(200, 150)
    _show(console, pixels)
    before = _grab(console)
    console.capture()
    hint = console.findChild(QLabel, "console-capture-hint")
    assert isinstance(hint, QLabel)
    hint.hide()
    captured = _grab(console)
    colour = console.palette().color(QPalette.ColorRole.Highlight)
    for y, x in ((0, 0), (1, 200), (303, 403), (150, 1), (150, 402)):
        assert captured[y, x].tolist() == [colour.blue(), colour.green(), colour.red()]
    assert np.array_equal(captured[2:302, 2:402], before[2:302, 2:402]), "no guest pixel is hidden by it"
    console.release_capture()
    assert np.array_equal(_grab(console), before)


def test_full_screen_has_no_frame(qtbot: QtBot, console: ConsoleWidget) -> None:
    console.set_scale_mode(ScaleMode.ACTUAL)
    console.showFullScreen()
    qtbot.waitExposed(console)
    pixels = picture(console.width(), console.height())
    _show(console, pixels)
    assert console._bars.horizontal.isHidden()
    assert np.array_equal(_grab(console), pixels[:, :, :3])


def test_paused_is_the_dimmed_picture(console: ConsoleWidget) -> None:
    pixels = np.full((150, 200, 4), 200, np.uint8)
    _show(console, pixels)
    console.set_face(ConsoleFace.PAUSED)
    shown = _grab(console)
    assert shown[5, 5].max() < 100
    assert shown[5, 5].min() > 30, "the picture is still to be seen"
    assert shown[150, 200].max() > 100 or console.palette().color(QPalette.ColorRole.Window).lightness() < 100


def _spy_on_painting(monkeypatch: pytest.MonkeyPatch) -> list[QRect]:
    """Collects what is painted from now on, in logical units."""
    painted: list[QRect] = []
    paint = Screen.paint

    def spied(self: Screen, painter: object, area: object, port: object, region: object, *, dimmed: bool) -> None:
        painted.extend(rects_of(region))  # type: ignore[arg-type]
        paint(self, painter, area, port, region, dimmed=dimmed)  # type: ignore[arg-type]

    monkeypatch.setattr(Screen, "paint", spied)
    return painted


def test_only_the_damage_is_painted(qtbot: QtBot, console: ConsoleWidget, monkeypatch: pytest.MonkeyPatch) -> None:
    console.set_scale_mode(ScaleMode.ACTUAL)
    source = _show(console, picture(300, 200))
    QApplication.processEvents()
    painted = _spy_on_painting(monkeypatch)
    for x in (0, 100, 290):
        source.draw(x, 50, picture(10, 5))
    qtbot.waitUntil(lambda: bool(painted))
    assert len(painted) == 3, "all damage of one turn of the event loop is painted together"
    assert sum(rect.width() * rect.height() for rect in painted) == 3 * 50


def test_scrolling_paints(qtbot: QtBot, console: ConsoleWidget, monkeypatch: pytest.MonkeyPatch) -> None:
    console.set_scale_mode(ScaleMode.ACTUAL)
    pixels = picture(900, 800)
    _show(console, pixels)
    assert np.array_equal(_grab(console)[2:200, 2:200], pixels[:198, :198, :3])
    QApplication.processEvents()
    painted = _spy_on_painting(monkeypatch)
    console._bars.vertical.setValue(100)
    qtbot.waitUntil(lambda: bool(painted))
    assert np.array_equal(_grab(console)[2:200, 2:200], pixels[100:298, :198, :3])


def test_the_image_is_the_framebuffer() -> None:
    framebuffer = Framebuffer(30, 20)
    screen = Screen(framebuffer)
    framebuffer.pixels[7, 9] = (1, 2, 3, 0)
    assert screen.image.pixel(9, 7) & 0xFFFFFF == 0x030201
    assert screen.image.size() == QSize(30, 20)


def test_a_hidden_part_is_not_painted_over(qtbot: QtBot) -> None:
    """The console beside other widgets: it paints every pixel of its own and none of theirs."""
    window = QWidget()
    qtbot.addWidget(window)
    window.resize(300, 200)
    palette = window.palette()
    palette.setColor(QPalette.ColorRole.Window, Qt.GlobalColor.magenta)
    window.setPalette(palette)
    console = ConsoleWidget(window)
    console.setGeometry(50, 40, 200, 120)
    console.set_face(ConsoleFace.LIVE)
    palette.setColor(QPalette.ColorRole.Window, Qt.GlobalColor.green)
    console.setPalette(palette)
    console.set_scale_mode(ScaleMode.ACTUAL)
    window.show()
    qtbot.waitExposed(window)
    source = FakeSource()
    console.set_source(source)
    source.show(picture(500, 500))
    image = window.grab().toImage()
    for x, y in ((49, 100), (250, 100), (100, 39), (100, 160)):
        assert image.pixelColor(x, y) == Qt.GlobalColor.magenta
    for x, y in ((50, 40), (249, 40), (50, 159), (249, 159)):
        assert image.pixelColor(x, y) != Qt.GlobalColor.magenta
