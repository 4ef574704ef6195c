"""The console widget with a source made by hand: mouse, cursor, scrolling."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, QSize, Qt
from PySide6.QtGui import QGuiApplication, QMouseEvent, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from guivm.console.source import CursorShape, PointerMode
from guivm.console.widget import ConsoleWidget, ScaleMode
from tests.helpers.console_widget import (
    LEFT,
    NONE,
    at,
    capture,
    console_in,
    plain_window,
    show_source,
)
from tests.helpers.fake_source import FakeSource
from tests.helpers.rfb_server import picture


@pytest.fixture
def window(qtbot: QtBot) -> QWidget:
    return plain_window(qtbot)


@pytest.fixture
def console(qtbot: QtBot, window: QWidget) -> Iterator[ConsoleWidget]:
    with console_in(window, qtbot) as value:
        yield value


@pytest.fixture
def source(console: ConsoleWidget) -> FakeSource:
    return show_source(console)


# --- mouse ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("button", "bit"),
    [
        (Qt.MouseButton.LeftButton, 1),
        (Qt.MouseButton.MiddleButton, 2),
        (Qt.MouseButton.RightButton, 4),
        (Qt.MouseButton.BackButton, 128),
        (Qt.MouseButton.ForwardButton, 256),
    ],
)
def test_five_buttons(
    qtbot: QtBot, console: ConsoleWidget, source: FakeSource, button: Qt.MouseButton, bit: int
) -> None:
    capture(qtbot, console)
    QTest.mouseClick(console, button, pos=at(console, 1, 2))
    assert source.pointers == [(1, 2, bit), (1, 2, 0)]


def test_double_click_is_two_clicks(qtbot: QtBot, console: ConsoleWidget, source: FakeSource) -> None:
    capture(qtbot, console)
    point = at(console, 1, 2)
    for kind, buttons in (
        (QEvent.Type.MouseButtonPress, Qt.MouseButton.LeftButton),
        (QEvent.Type.MouseButtonRelease, Qt.MouseButton.NoButton),
        (QEvent.Type.MouseButtonDblClick, Qt.MouseButton.LeftButton),
        (QEvent.Type.MouseButtonRelease, Qt.MouseButton.NoButton),
    ):
        event = QMouseEvent(
            kind,
            QPointF(point),
            console.mapToGlobal(QPointF(point)),
            Qt.MouseButton.LeftButton,
            buttons,
            Qt.KeyboardModifier.NoModifier,
        )
        QGuiApplication.sendEvent(console, event)
    assert [int(buttons) for _x, _y, buttons in source.pointers] == [1, 0, 1, 0]


def test_dragging_out_of_the_picture_stops_at_its_edge(
    qtbot: QtBot, console: ConsoleWidget, source: FakeSource
) -> None:
    capture(qtbot, console)
    QTest.mousePress(console, Qt.MouseButton.LeftButton, pos=at(console, 10, 10))
    QTest.mouseMove(console, QPoint(-50, console.height() + 50))
    QTest.mouseRelease(console, Qt.MouseButton.LeftButton, pos=QPoint(-50, console.height() + 50))
    assert source.pointers[-1] == (0, 199, NONE)


@pytest.mark.parametrize("mode", list(ScaleMode))
@pytest.mark.parametrize("guest", [(0, 0), (319, 199), (160, 1)])
def test_positions_are_exact(
    qtbot: QtBot, console: ConsoleWidget, source: FakeSource, mode: ScaleMode, guest: tuple[int, int]
) -> None:
    console.set_scale_mode(mode)
    assert console.scale_mode() is mode
    capture(qtbot, console)
    QTest.mouseMove(console, at(console, *guest))
    assert source.pointers == [(*guest, NONE)]


def _wheel(console: ConsoleWidget, dx: int, dy: int) -> bool:
    point = QPointF(at(console, 20, 20))
    event = QWheelEvent(
        point,
        console.mapToGlobal(point),
        QPoint(),
        QPoint(dx, dy),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QGuiApplication.sendEvent(console, event)
    return event.isAccepted()


def test_wheel_both_ways_with_small_steps(qtbot: QtBot, console: ConsoleWidget, source: FakeSource) -> None:
    _wheel(console, 0, 120)
    assert source.pointers == [], "not captured: not ours"
    capture(qtbot, console)

    def clicks() -> list[int]:
        pressed = [int(buttons) for _x, _y, buttons in source.pointers if buttons]
        assert len(source.pointers) == 2 * len(pressed)
        source.pointers.clear()
        return pressed

    _wheel(console, 0, 120)
    assert clicks() == [8]
    _wheel(console, 0, -240)
    assert clicks() == [16, 16]
    for _ in range(7):
        _wheel(console, 0, 30)
    assert clicks() == [8]
    _wheel(console, 0, -90)
    assert clicks() == [], "what was left over in the other direction is forgotten"
    _wheel(console, 0, -30)
    assert clicks() == [16]
    _wheel(console, 120, 0)
    assert clicks() == [32]
    _wheel(console, -120, 0)
    assert clicks() == [64]


def test_relative_mouse(qtbot: QtBot, console: ConsoleWidget, source: FakeSource) -> None:
    capture(qtbot, console)
    source.set_pointer_mode(PointerMode.RELATIVE)
    middle = console.rect().center()
    QTest.mouseMove(console, middle)
    assert console.cursor().shape() is Qt.CursorShape.BlankCursor
    source.pointers.clear()
    QTest.mouseMove(console, middle + QPoint(7, -3))
    QTest.mousePress(console, Qt.MouseButton.LeftButton, pos=middle + QPoint(7, -3))
    assert source.pointers == [(7, -3, NONE), (0, 0, LEFT)]
    console.release_capture()
    assert source.pointers[-1] == (0, 0, NONE)
    assert console.cursor().shape() is Qt.CursorShape.ArrowCursor


def test_absolute_mouse_is_never_grabbed(qtbot: QtBot, console: ConsoleWidget, source: FakeSource) -> None:
    capture(qtbot, console)
    QTest.mouseMove(console, at(console, 3, 3))
    assert QWidget.mouseGrabber() is None


# --- cursor -----------------------------------------------------------------------------------------------


def test_guest_cursor_over_the_picture_while_captured(qtbot: QtBot, console: ConsoleWidget, source: FakeSource) -> None:
    console.set_scale_mode(ScaleMode.ACTUAL)
    pixels = picture(16, 24)
    pixels[:, :, 3] = 255
    source.set_cursor(CursorShape(16, 24, 3, 5, pixels))
    QTest.mouseMove(console, at(console, 5, 5))
    assert console.cursor().shape() is Qt.CursorShape.ArrowCursor, "not captured"
    capture(qtbot, console)
    QTest.mouseMove(console, at(console, 6, 6))
    cursor = console.cursor()
    assert cursor.shape() is Qt.CursorShape.BitmapCursor
    assert cursor.hotSpot() == QPoint(3, 5)
    assert cursor.pixmap().size() == QSize(16, 24)
    assert cursor.pixmap().toImage().pixelColor(7, 7).blue() == pixels[7, 7, 0]
    QTest.mouseMove(console, QPoint(1, 1))
    assert console.cursor().shape() is Qt.CursorShape.ArrowCursor, "beside the picture"
    source.set_cursor(None)
    QTest.mouseMove(console, at(console, 7, 7))
    assert console.cursor().shape() is Qt.CursorShape.BlankCursor
    console.release_capture()
    assert console.cursor().shape() is Qt.CursorShape.ArrowCursor


def test_cursor_follows_the_scale(qtbot: QtBot, console: ConsoleWidget, source: FakeSource) -> None:
    pixels = picture(10, 10)
    source.set_cursor(CursorShape(10, 10, 9, 9, pixels))
    capture(qtbot, console)
    QTest.mouseMove(console, at(console, 6, 6))
    left, right = console.guest_to_widget(0, 0), console.guest_to_widget(100, 0)
    assert left is not None
    assert right is not None
    scale = (right.x() - left.x()) / 100
    assert abs(console.cursor().pixmap().width() - 10 * scale) <= 1


# --- scrolling --------------------------------------------------------------------------------------------


def test_actual_size_scrolls(qtbot: QtBot, console: ConsoleWidget, source: FakeSource) -> None:
    source.show(picture(1200, 300))
    console.set_scale_mode(ScaleMode.ACTUAL)
    bar = console._bars.horizontal
    assert bar.isVisible()
    assert not console._bars.vertical.isVisible()
    bar.setValue(bar.maximum())
    capture(qtbot, console)
    QTest.mouseMove(console, at(console, 1199, 5))
    assert source.pointers[-1] == (1199, 5, NONE)
    assert console.rect().contains(at(console, 1199, 5))
    source.show(picture(100, 100))
    assert not bar.isVisible()
