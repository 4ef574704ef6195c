"""Scale modes, zoom and scrolling of the picture."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QGuiApplication, QImage, QNativeGestureEvent, QPointingDevice, QWheelEvent
from pytestqt.qtbot import QtBot

from guivm.console.widget import ConsoleFace, ConsoleWidget, ScaleMode
from tests.helpers.fake_source import FakeSource
from tests.helpers.rfb_server import Pixels, picture


@pytest.fixture
def console(qtbot: QtBot) -> Iterator[ConsoleWidget]:
    widget = ConsoleWidget()
    qtbot.addWidget(widget)
    widget.resize(404, 304)
    widget.set_face(ConsoleFace.LIVE)
    widget.show()
    qtbot.waitExposed(widget)
    source = FakeSource()
    widget.set_source(source)
    source.show(picture(160, 120))
    yield widget
    widget.set_source(None)


def wheel(console: ConsoleWidget, position: QPointF, angle: int, *, control: bool = True) -> bool:
    modifiers = Qt.KeyboardModifier.ControlModifier if control else Qt.KeyboardModifier.NoModifier
    event = QWheelEvent(
        position,
        console.mapToGlobal(position),
        QPoint(),
        QPoint(0, angle),
        Qt.MouseButton.NoButton,
        modifiers,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QGuiApplication.sendEvent(console, event)
    return event.isAccepted()


def grab(console: ConsoleWidget) -> Pixels:
    image = console.grab().toImage().convertToFormat(QImage.Format.Format_RGB32)
    data = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine() // 4, 4)
    return data[:, : image.width(), :3].copy()


@pytest.mark.parametrize(("guest", "factor"), [((160, 120), 2), ((100, 100), 3), ((399, 299), 1), ((500, 299), 1)])
def test_integer_is_crisp(console: ConsoleWidget, guest: tuple[int, int], factor: int) -> None:
    pixels = picture(*guest)
    source = console.source()
    assert isinstance(source, FakeSource)
    source.show(pixels)
    console.set_scale_mode(ScaleMode.INTEGER)
    assert console.zoom() == factor
    assert console._bars.horizontal.isVisible() == (guest[0] > 400)
    corner = console.guest_rect_to_widget(QRect(0, 0, 1, 1)).topLeft()
    x, y = int(corner.x()), int(corner.y())
    expected = pixels[:, :, :3].repeat(factor, axis=0).repeat(factor, axis=1)[:200, : 370 - x]
    assert np.array_equal(grab(console)[y : y + 200, x : x + expected.shape[1]], expected)


def test_free_zoom_says_what_it_is(qtbot: QtBot, console: ConsoleWidget) -> None:
    with qtbot.waitSignal(console.scaleChanged) as caught:
        console.set_zoom(3)
    assert caught.args == [ScaleMode.FREE, 3.0]
    assert console.scale_mode() is ScaleMode.FREE
    console.set_zoom(100)
    assert console.zoom() == 8
    console.set_zoom(0)
    assert console.zoom() == pytest.approx(0.1)
    with qtbot.waitSignal(console.scaleChanged) as caught:
        console.set_scale_mode(ScaleMode.FIT)
    assert caught.args == [ScaleMode.FIT, 2.5]
    with qtbot.waitSignal(console.scaleChanged):
        console.resize(300, 304)


def test_free_goes_on_from_the_scale_there_is(console: ConsoleWidget) -> None:
    assert console.zoom() == 2.5
    console.set_scale_mode(ScaleMode.FREE)
    assert console.zoom() == 2.5


def test_control_and_wheel_zoom_about_the_pointer(console: ConsoleWidget) -> None:
    pointer = console.guest_rect_to_widget(QRect(120, 30, 1, 1)).center()
    for angle in (120, 120, 120, -120, 240):
        assert wheel(console, pointer, angle)
        there = console.guest_rect_to_widget(QRect(120, 30, 1, 1))
        assert there.adjusted(-1, -1, 1, 1).contains(pointer)
        assert console.widget_to_guest(pointer) == QPoint(120, 30)
    assert console.scale_mode() is ScaleMode.FREE
    assert console.zoom() == 5


def test_small_turns_add_up(console: ConsoleWidget) -> None:
    middle = QPointF(200, 150)
    for _ in range(3):
        wheel(console, middle, 30)
    assert console.scale_mode() is ScaleMode.FIT
    wheel(console, middle, 30)
    assert console.zoom() == 3


def test_captured_the_wheel_is_the_guests(console: ConsoleWidget) -> None:
    console.capture()
    wheel(console, QPointF(200, 150), 120)
    source = console.source()
    assert isinstance(source, FakeSource)
    assert console.scale_mode() is ScaleMode.FIT
    assert [int(buttons) for _x, _y, buttons in source.pointers] == [8, 0]


def test_plain_wheel_scrolls_what_can_be_scrolled(console: ConsoleWidget) -> None:
    assert not wheel(console, QPointF(200, 150), -120, control=False)
    console.set_zoom(6)
    before = console._bars.vertical.value()
    assert wheel(console, QPointF(200, 150), -120, control=False)
    assert console._bars.vertical.value() > before


@pytest.mark.parametrize("captured", [False, True])
def test_pinching_a_touchpad(console: ConsoleWidget, captured: bool) -> None:
    if captured:
        console.capture()

    def pinch(value: float) -> None:
        place = QPointF(200, 150)
        event = QNativeGestureEvent(
            Qt.NativeGestureType.ZoomNativeGesture,
            QPointingDevice.primaryPointingDevice(),
            2,
            place,
            place,
            console.mapToGlobal(place),
            value,
            QPointF(),
        )
        QGuiApplication.sendEvent(console, event)

    pinch(0.2)
    if captured:
        assert console.scale_mode() is ScaleMode.FIT, "only where zooming was chosen"
        console.set_scale_mode(ScaleMode.FREE)
        pinch(0.2)
    assert console.zoom() == pytest.approx(3)


def test_mapping_between_widget_and_guest(console: ConsoleWidget) -> None:
    assert console.widget_to_guest(QPointF(0, 0)) is None
    assert console.widget_to_guest(QPointF(2.1, 2.1)) == QPoint(0, 0)
    assert console.guest_rect_to_widget(QRect(0, 0, 160, 120)) == QRectF(2, 2, 400, 300)
    console.set_scale_mode(ScaleMode.ACTUAL)
    assert console.guest_rect_to_widget(QRect(3, 4, 5, 6)) == QRectF(125, 96, 5, 6)
    assert console.widget_to_guest(QPointF(125, 96)) == QPoint(3, 4)
    console.set_zoom(4)
    assert console.widget_to_guest(QPointF(403, 150)) is None, "under the scroll bar and the frame is no picture"
    console.set_source(None)
    console.set_face(ConsoleFace.OFF)
    assert console.widget_to_guest(QPointF(50, 50)) is None
    assert console.guest_rect_to_widget(QRect(0, 0, 1, 1)).isNull()
    assert console.picture_size() == QSize()


def test_zoomed_damage_is_painted_in_its_place(qtbot: QtBot, console: ConsoleWidget) -> None:
    console.set_zoom(4)
    console._bars.move_to(100, 60)
    source = console.source()
    assert isinstance(source, FakeSource)
    patch = np.zeros((5, 7, 4), np.uint8)
    source.draw(40, 30, patch)
    place = console.guest_rect_to_widget(QRect(40, 30, 7, 5)).toRect()
    shown = grab(console)[place.y() : place.y() + place.height(), place.x() : place.x() + place.width()]
    assert shown.shape == (20, 28, 3)
    assert not shown.any()
