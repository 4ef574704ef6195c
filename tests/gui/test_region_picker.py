"""Choosing a part of the guest's screen."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from PySide6.QtCore import QPoint, QPointF, QRect, Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from guivm.console.picture.region_picker import RegionPicker
from guivm.console.widget import ConsoleFace, ConsoleWidget, ScaleMode
from tests.helpers.fake_source import FakeSource
from tests.helpers.rfb_server import picture


@pytest.fixture
def console(qtbot: QtBot) -> Iterator[ConsoleWidget]:
    widget = ConsoleWidget()
    qtbot.addWidget(widget)
    widget.resize(644, 404)
    widget.set_face(ConsoleFace.LIVE)
    widget.show()
    qtbot.waitExposed(widget)
    widget.activateWindow()
    source = FakeSource()
    widget.set_source(source)
    source.show(picture(320, 200))
    yield widget
    widget.set_source(None)


@pytest.fixture
def picker(qtbot: QtBot, console: ConsoleWidget) -> RegionPicker:
    value = RegionPicker(console)
    value.start()
    qtbot.waitUntil(value.hasFocus)
    return value


def at(console: ConsoleWidget, x: int, y: int) -> QPoint:
    position = console.guest_to_widget(x, y)
    assert position is not None
    return QPoint(int(position.x()), int(position.y()))


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("mode", list(ScaleMode))
def test_drag(qtbot: QtBot, console: ConsoleWidget, picker: RegionPicker, backwards: bool, mode: ScaleMode) -> None:
    console.set_scale_mode(mode)
    ends = [at(console, 16, 32), at(console, 95, 47)]
    if backwards:
        ends.reverse()
    with qtbot.waitSignal(picker.picked) as caught:
        QTest.mousePress(picker, Qt.MouseButton.LeftButton, pos=ends[0])
        QTest.mouseMove(picker, ends[1])
        assert picker.selection() == QRect(16, 32, 80, 16)
        QTest.mouseRelease(picker, Qt.MouseButton.LeftButton, pos=ends[1])
    assert caught.args == [QRect(16, 32, 80, 16)]
    assert not picker.isVisible()
    qtbot.waitUntil(console.hasFocus)


def test_dragged_out_it_ends_at_the_edge(qtbot: QtBot, console: ConsoleWidget, picker: RegionPicker) -> None:
    with qtbot.waitSignal(picker.picked) as caught:
        QTest.mousePress(picker, Qt.MouseButton.LeftButton, pos=at(console, 300, 190))
        QTest.mouseMove(picker, QPoint(900, 900))
        QTest.mouseRelease(picker, Qt.MouseButton.LeftButton, pos=QPoint(900, 900))
    assert caught.args == [QRect(300, 190, 20, 10)]


def test_keyboard(qtbot: QtBot, picker: RegionPicker) -> None:
    QTest.keyClick(picker, Qt.Key.Key_Left)
    QTest.keyClick(picker, Qt.Key.Key_Up, Qt.KeyboardModifier.ControlModifier)
    QTest.keyClick(picker, Qt.Key.Key_Return)
    for _ in range(3):
        QTest.keyClick(picker, Qt.Key.Key_Right)
    QTest.keyClick(picker, Qt.Key.Key_Down)
    with qtbot.waitSignal(picker.picked) as caught:
        QTest.keyClick(picker, Qt.Key.Key_Enter)
    assert caught.args == [QRect(152, 99, 25, 9)]


@pytest.mark.parametrize("how", ["escape", "right", "resize"])
def test_cancelled(qtbot: QtBot, console: ConsoleWidget, picker: RegionPicker, how: str) -> None:
    picked: list[QRect] = []
    picker.picked.connect(picked.append)
    with qtbot.waitSignal(picker.cancelled):
        match how:
            case "escape":
                QTest.keyClick(picker, Qt.Key.Key_Escape)
            case "right":
                QTest.mouseClick(picker, Qt.MouseButton.RightButton)
            case "resize":
                source = console.source()
                assert isinstance(source, FakeSource)
                source.show(picture(100, 80))
    assert not picker.isVisible()
    assert picked == []
    picker.cancel()  # once only


def test_nothing_reaches_the_guest_meanwhile(qtbot: QtBot, console: ConsoleWidget, picker: RegionPicker) -> None:
    source = console.source()
    assert isinstance(source, FakeSource)
    QTest.mouseClick(picker, Qt.MouseButton.LeftButton, pos=at(console, 10, 10))
    QTest.keyClick(picker, Qt.Key.Key_A)
    assert source.pointers == []
    assert source.keys == []
    assert not console.is_captured()


def test_without_a_picture_it_is_cancelled(qtbot: QtBot) -> None:
    console = ConsoleWidget()
    qtbot.addWidget(console)
    picker = RegionPicker(console)
    with qtbot.waitSignal(picker.cancelled):
        picker.start()
    assert picker.isHidden()


def test_it_is_as_large_as_the_console_and_shades_what_is_not_chosen(
    console: ConsoleWidget, picker: RegionPicker
) -> None:
    console.resize(700, 450)
    assert picker.geometry() == console.rect()
    source = console.source()
    assert isinstance(source, FakeSource)
    white = picture(320, 200)
    white[:] = 255
    source.draw(0, 0, white)
    QTest.mousePress(picker, Qt.MouseButton.LeftButton, pos=at(console, 50, 50))
    QTest.mouseMove(picker, at(console, 150, 150))
    shown = console.grab().toImage()
    assert shown.pixelColor(at(console, 100, 100)).lightness() == 255
    assert shown.pixelColor(at(console, 200, 100)).lightness() < 200
    assert console.guest_rect_to_widget(picker.selection()).contains(QPointF(at(console, 150, 150)))
    QTest.mouseRelease(picker, Qt.MouseButton.LeftButton, pos=at(console, 150, 150))
    assert picker.isHidden()


def test_the_whole_screen(qtbot: QtBot, picker: RegionPicker) -> None:
    with qtbot.waitSignal(picker.picked) as caught:
        QTest.keyClick(picker, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    assert caught.args == [QRect(0, 0, 320, 200)]
    picker.start()
    with qtbot.waitSignal(picker.picked) as caught:
        QTest.mouseDClick(picker, Qt.MouseButton.LeftButton, pos=picker.rect().center())
    assert caught.args == [QRect(0, 0, 320, 200)]
