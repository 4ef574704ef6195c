"""View-only, no signal, the bell, input methods, lock keys, desktop shortcuts and fingers on the console widget."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPoint, Qt
from PySide6.QtGui import QGuiApplication, QInputMethodEvent, QKeyEvent, QPalette
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel
from pytestqt.qtbot import QtBot

from guivm.console.input.pointer import guest_cursor
from guivm.console.input.touch import LONG_PRESS_MS
from guivm.console.picture.viewport import round_half_up
from guivm.console.source import CursorShape, Head, KeyboardLeds, PointerButton, PointerMode
from guivm.console.typing import KeyEvent
from guivm.console.widget import ConsoleFace, ConsoleWidget, ScaleMode
from tests.helpers.fake_source import FakeSource
from tests.helpers.rfb_server import picture

LEFT, RIGHT, NONE = PointerButton.LEFT, PointerButton.RIGHT, PointerButton.NONE
A, CAPS, VOLUME_UP = 30, 58, 115
_CAPS_IS_ON = 1 << 1  # X11's LockMask


@pytest.fixture
def console(qtbot: QtBot) -> Iterator[ConsoleWidget]:
    widget = ConsoleWidget()
    qtbot.addWidget(widget)
    widget.resize(404, 304)
    widget.set_face(ConsoleFace.LIVE)
    widget.show()
    qtbot.waitExposed(widget)
    widget.activateWindow()
    widget.setFocus()
    qtbot.waitUntil(widget.hasFocus)
    yield widget
    widget.set_source(None)


@pytest.fixture
def source(console: ConsoleWidget) -> FakeSource:
    value = FakeSource()
    console.set_source(value)
    value.show(picture(200, 150))
    return value


def at(console: ConsoleWidget, x: int, y: int) -> QPoint:
    position = console.guest_to_widget(x, y)
    assert position is not None
    return QPoint(int(position.x()), int(position.y()))


def heading(console: ConsoleWidget) -> str:
    label = console.findChild(QLabel, "console-face-heading")
    assert isinstance(label, QLabel)
    return label.text() if label.isVisible() else ""


def hint(console: ConsoleWidget) -> str:
    label = console.findChild(QLabel, "console-capture-hint")
    assert isinstance(label, QLabel)
    return label.text() if label.isVisible() else ""


def press(console: ConsoleWidget, code: int, key: Qt.Key, *, native: int = 0, pressed: bool = True) -> bool:
    kind = QEvent.Type.KeyPress if pressed else QEvent.Type.KeyRelease
    event = QKeyEvent(kind, key, Qt.KeyboardModifier.NoModifier, code + 8, 0, native, "", False)
    QGuiApplication.sendEvent(console, event)
    return event.isAccepted()


# --- view only --------------------------------------------------------------------------------------------


def test_view_only_lets_nothing_through(qtbot: QtBot, console: ConsoleWidget, source: FakeSource) -> None:
    source.set_cursor(CursorShape(8, 8, 0, 0, picture(8, 8)))
    console.capture()
    press(console, A, Qt.Key.Key_A)
    with qtbot.waitSignals([console.viewOnlyChanged, console.captureChanged]):
        console.set_view_only(True)
    assert console.is_view_only()
    assert [key[2] for key in source.keys] == [True, False], "what was held is let go"
    assert "View only" in hint(console)
    assert "View only" in console.accessibleDescription()
    source.keys.clear()
    console.capture()
    assert not console.is_captured()
    QTest.mouseClick(console, Qt.MouseButton.LeftButton, pos=at(console, 9, 9))
    QTest.mouseMove(console, at(console, 20, 20))
    QTest.keyClick(console, Qt.Key.Key_Return)
    press(console, A, Qt.Key.Key_A)
    assert not console.is_captured()
    assert source.keys == []
    assert source.pointers == []
    assert console.cursor().shape() is Qt.CursorShape.ArrowCursor
    with qtbot.waitSignal(console.viewOnlyChanged) as caught:
        console.set_view_only(False)
    assert caught.args == [False]
    assert hint(console) == ""
    console.capture()
    assert console.is_captured()


# --- faces ------------------------------------------------------------------------------------------------


def test_a_screen_without_size_is_no_signal(console: ConsoleWidget, source: FakeSource) -> None:
    assert heading(console) == ""
    source.show(picture(1, 1))
    assert heading(console) == "No signal"
    colour = console.palette().color(QPalette.ColorRole.Window)
    assert console.grab().toImage().pixelColor(100, 280) == colour, "one pixel is not made a large one"
    console.capture()
    assert console.is_captured(), "a key may wake the guest"
    source.show(picture(64, 48))
    assert heading(console) == ""


def test_all_heads_off_is_no_signal(console: ConsoleWidget) -> None:
    class Headless(FakeSource):
        off = False

        @property
        def heads(self) -> tuple[Head, ...]:
            return () if self.off else super().heads

    source = Headless()
    console.set_source(source)
    source.show(picture(64, 48))
    assert heading(console) == ""
    source.off = True
    source.headsChanged.emit(())
    assert heading(console) == "No signal"
    source.off = False
    source.headsChanged.emit(source.heads)
    assert heading(console) == ""


# --- bell -------------------------------------------------------------------------------------------------


def test_bell_glows_once_for_a_storm(qtbot: QtBot, console: ConsoleWidget, source: FakeSource) -> None:
    pixels = np.zeros((150, 200, 4), np.uint8)
    source.show(pixels)
    before = console.grab().toImage()
    starts: list[float] = []
    console._bell.changed.connect(lambda: starts.append(console._bell.strength))
    for _ in range(50):
        source.ring()
    qtbot.waitUntil(lambda: console._bell.strength > 0.3)
    glowing = console.grab().toImage()
    assert glowing.pixelColor(200, 1) != before.pixelColor(200, 1)
    assert glowing.pixelColor(200, 150) == before.pixelColor(200, 150), "the screen stays readable"
    for _ in range(50):
        source.ring()
    qtbot.waitUntil(lambda: not console._bell.is_ringing)
    assert console._bell.strength == 0
    assert console.grab().toImage() == before


def test_bell_ends_with_the_console(console: ConsoleWidget, source: FakeSource) -> None:
    source.ring()
    console.hide()
    assert not console._bell.is_ringing
    source.ring()
    assert not console._bell.is_ringing, "nobody would see it"


# --- input methods ----------------------------------------------------------------------------------------


def commit(console: ConsoleWidget, text: str) -> None:
    event = QInputMethodEvent()
    event.setCommitString(text)
    QGuiApplication.sendEvent(console, event)


def test_input_methods_only_when_wanted_and_captured(console: ConsoleWidget, source: FakeSource) -> None:
    def enabled() -> bool:
        attribute = console.testAttribute(Qt.WidgetAttribute.WA_InputMethodEnabled)
        assert bool(console.inputMethodQuery(Qt.InputMethodQuery.ImEnabled)) is attribute
        return attribute

    committed: list[str] = []
    console.textCommitted.connect(committed.append)
    console.capture()
    assert not enabled()
    commit(console, "x")
    console.set_input_method_enabled(True)
    assert enabled()
    commit(console, "日本")
    commit(console, "")
    assert committed == ["日本"]
    press(console, A, Qt.Key.Key_A)
    assert len(source.keys) == 1, "what the input method does not take goes as a key"
    console.release_capture()
    assert not enabled()
    commit(console, "x")
    assert committed == ["日本"]
    console.inputMethodQuery(Qt.InputMethodQuery.ImCursorRectangle)


# --- lock keys and the desktop's shortcuts ----------------------------------------------------------------


def test_locks_are_put_in_step_before_the_first_key(console: ConsoleWidget, source: FakeSource) -> None:
    source.set_leds(KeyboardLeds.NONE)
    console.capture()
    press(console, A, Qt.Key.Key_A, native=_CAPS_IS_ON)
    assert [(code, down) for code, _symbol, down in source.keys] == [(CAPS, True), (CAPS, False), (A, True)]


def test_the_desktops_shortcuts_do_not_reach_the_guest(console: ConsoleWidget, source: FakeSource) -> None:
    console.capture()
    press(console, A, Qt.Key.Key_A)
    assert not press(console, VOLUME_UP, Qt.Key.Key_VolumeUp)
    assert not press(console, VOLUME_UP, Qt.Key.Key_VolumeUp, pressed=False)
    assert [(code, down) for code, _symbol, down in source.keys] == [(A, True), (A, False)]
    source.keys.clear()
    console.set_desktop_shortcuts([])
    assert press(console, VOLUME_UP, Qt.Key.Key_VolumeUp)
    assert len(source.keys) == 1


# --- the local cursor -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dpr", [1.0, 1.25, 1.5, 1.75, 2.0, 3.0])
@pytest.mark.parametrize("scale", [1.0, 1.25, 2.0, 0.6])
@pytest.mark.parametrize("hot", [(0, 0), (1, 2), (7, 11), (15, 23)])
def test_hot_spots_are_exact_device_pixels(qtbot: QtBot, dpr: float, scale: float, hot: tuple[int, int]) -> None:
    """The hot pixel of the cursor is where the window system clicks, at every desktop scale."""
    pixels = np.zeros((24, 16, 4), np.uint8)
    pixels[:, :, 3] = 255
    cursor = guest_cursor(CursorShape(16, 24, *hot, pixels), scale, dpr)
    pixmap = cursor.pixmap()
    assert pixmap.devicePixelRatio() == dpr
    image = pixmap.toImage()
    spot = cursor.hotSpot()
    # Qt's xcb and Wayland plugins put it there.
    device = QPoint(round_half_up(spot.x() * dpr), round_half_up(spot.y() * dpr))
    assert image.rect().contains(device)
    shown = next(x for x in range(image.width()) if image.pixelColor(x, image.height() - 1).alpha())
    above = next(y for y in range(image.height()) if image.pixelColor(image.width() - 1, y).alpha())
    assert device.x() - shown == min(round_half_up(hot[0] * scale), image.width() - shown - 1)
    assert device.y() - above == min(round_half_up(hot[1] * scale), image.height() - above - 1)
    assert (image.width() - shown, image.height() - above) == (round(16 * scale), round(24 * scale))


def test_huge_cursors_are_capped(qtbot: QtBot) -> None:
    cursor = guest_cursor(CursorShape(64, 64, 63, 63, np.zeros((64, 64, 4), np.uint8)), 8, 1)
    assert cursor.pixmap().width() == 256


# --- touch ------------------------------------------------------------------------------------------------


class Fingers:
    """A touch screen under the console. PySide makes global positions of nothing that it is given for a widget."""

    def __init__(self, console: ConsoleWidget) -> None:
        self._console = console
        self._device = QTest.createTouchDevice()

    def down(self, *places: QPoint) -> None:
        touch = QTest.touchEvent(self._console, self._device)
        for index, place in enumerate(places):
            touch.press(index, self._console.mapToGlobal(place))
        touch.commit()

    def move(self, *places: QPoint) -> None:
        touch = QTest.touchEvent(self._console, self._device)
        for index, place in enumerate(places):
            touch.move(index, self._console.mapToGlobal(place))
        touch.commit()

    def up(self, *places: QPoint) -> None:
        touch = QTest.touchEvent(self._console, self._device)
        for index, place in enumerate(places):
            touch.release(index, self._console.mapToGlobal(place))
        touch.commit()

    def tap(self, place: QPoint) -> None:
        self.down(place)
        self.up(place)


@pytest.fixture
def fingers(console: ConsoleWidget, source: FakeSource) -> Fingers:
    return Fingers(console)


def test_a_tap_captures_and_clicks(console: ConsoleWidget, source: FakeSource, fingers: Fingers) -> None:
    fingers.tap(at(console, 50, 60))
    assert console.is_captured()
    assert source.pointers == [(50, 60, LEFT), (50, 60, NONE)]
    fingers.tap(at(console, 70, 60))
    assert source.pointers[2:] == [(70, 60, NONE), (70, 60, LEFT), (70, 60, NONE)]


def test_a_long_press_is_a_right_click(
    qtbot: QtBot, console: ConsoleWidget, source: FakeSource, fingers: Fingers
) -> None:
    fingers.down(at(console, 50, 60))
    qtbot.waitUntil(lambda: len(source.pointers) == 2, timeout=LONG_PRESS_MS * 20)
    fingers.up(at(console, 50, 60))
    assert source.pointers == [(50, 60, RIGHT), (50, 60, NONE)]


def test_losing_the_capture_ends_a_drag(console: ConsoleWidget, source: FakeSource, fingers: Fingers) -> None:
    fingers.tap(at(console, 50, 60))
    fingers.down(at(console, 50, 60))
    fingers.move(at(console, 90, 60))
    assert source.pointers[-1] == (90, 60, LEFT)
    console.release_capture()
    assert source.pointers[-1][2] == NONE
    told = len(source.pointers)
    fingers.up(at(console, 90, 60))
    assert len(source.pointers) == told


def test_two_fingers_turn_the_wheel(console: ConsoleWidget, source: FakeSource, fingers: Fingers) -> None:
    console.capture()
    first, second = QPoint(100, 100), QPoint(150, 100)
    fingers.down(first, second)
    for step in range(1, 5):
        fingers.move(first + QPoint(0, 20 * step), second + QPoint(0, 20 * step))
    assert [int(buttons) for _x, _y, buttons in source.pointers] == [8, 0, 8, 0]
    fingers.up(first, second)


def test_two_fingers_zoom_where_that_was_chosen(console: ConsoleWidget, source: FakeSource, fingers: Fingers) -> None:
    console.set_scale_mode(ScaleMode.FREE)
    before = console.zoom()
    fingers.down(QPoint(150, 150), QPoint(250, 150))
    fingers.move(QPoint(100, 150), QPoint(300, 150))
    assert console.zoom() == pytest.approx(before * 2)
    fingers.up(QPoint(100, 150), QPoint(300, 150))
    assert source.pointers == []


def test_touch_with_a_relative_mouse(console: ConsoleWidget, source: FakeSource, fingers: Fingers) -> None:
    source.set_pointer_mode(PointerMode.RELATIVE)
    console.capture()
    start = QPoint(100, 100)
    fingers.down(start)
    fingers.move(start + QPoint(20, 0))
    source.pointers.clear()
    fingers.move(start + QPoint(30, 5))
    assert source.pointers == [(10, 5, NONE)]
    fingers.up(start)


# --- keys nobody presses ----------------------------------------------------------------------------------


def test_keys_of_a_menu_go_to_the_guest_unless_view_only(console: ConsoleWidget, source: FakeSource) -> None:
    events = (KeyEvent(29, 0xFFE3, True), KeyEvent(29, 0xFFE3, False))
    console.send_keys(events)
    assert source.keys == [tuple(event) for event in events]
    console.set_view_only(True)
    console.send_keys(events)
    assert len(source.keys) == 2
    console.set_view_only(False)
    console.set_face(ConsoleFace.PAUSED)
    console.send_keys(events)
    assert len(source.keys) == 2
