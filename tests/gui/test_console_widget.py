"""The console widget with a source made by hand: faces, capture, keys, mouse, cursor."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, QSize, Qt
from PySide6.QtGui import QAction, QGuiApplication, QKeyEvent, QMouseEvent, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel, QLineEdit, QMainWindow, QPushButton, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from guivm.console.source import CursorShape, Framebuffer, PointerButton, PointerMode, SourceState
from guivm.console.widget import ConsoleFace, ConsoleWidget, ScaleMode
from guivm.errors import ConsoleError
from tests.helpers.fake_source import FakeSource
from tests.helpers.rfb_server import picture

HOST, CTRL_L, A, P, TAB, ENTER = 97, 29, 30, 25, 15, 28
_QT_KEYS = {
    HOST: Qt.Key.Key_Control,
    CTRL_L: Qt.Key.Key_Control,
    A: Qt.Key.Key_A,
    P: Qt.Key.Key_P,
    TAB: Qt.Key.Key_Tab,
    ENTER: Qt.Key.Key_Return,
}
_SYMBOLS = {HOST: 0xFFE4, CTRL_L: 0xFFE3, A: 0x61, P: 0x70, TAB: 0xFF09, ENTER: 0xFF0D}

LEFT, NONE = PointerButton.LEFT, PointerButton.NONE


@pytest.fixture
def window(qtbot: QtBot) -> QWidget:
    value = QWidget()
    qtbot.addWidget(value)
    value.resize(700, 500)
    return value


@pytest.fixture
def console(qtbot: QtBot, window: QWidget) -> Iterator[ConsoleWidget]:
    layout = QVBoxLayout(window)
    layout.setContentsMargins(0, 0, 0, 0)
    value = ConsoleWidget(window)
    layout.addWidget(value, 1)
    other = QLineEdit(window)
    other.setObjectName("other")
    layout.addWidget(other)
    value.set_face(ConsoleFace.LIVE)
    window.show()
    qtbot.waitExposed(window)
    window.activateWindow()
    yield value
    value.set_source(None)


@pytest.fixture
def source(console: ConsoleWidget) -> FakeSource:
    value = FakeSource()
    console.set_source(value)
    value.show(picture(320, 200))
    return value


def key(widget: QWidget, code: int, pressed: bool, *, repeat: bool = False, control: bool = False) -> bool:
    """What the window system does: ask about shortcuts first, then deliver. Answers whether it was accepted."""
    control = control or code in (HOST, CTRL_L)
    modifiers = Qt.KeyboardModifier.ControlModifier if control else Qt.KeyboardModifier.NoModifier

    def event(kind: QEvent.Type) -> QKeyEvent:
        text = chr(_SYMBOLS[code]) if _SYMBOLS[code] < 0x100 else ""
        return QKeyEvent(kind, _QT_KEYS[code], modifiers, code + 8, _SYMBOLS[code], 0, text, repeat)

    if pressed:
        override = event(QEvent.Type.ShortcutOverride)
        override.ignore()
        QGuiApplication.sendEvent(widget, override)
    real = event(QEvent.Type.KeyPress if pressed else QEvent.Type.KeyRelease)
    QGuiApplication.sendEvent(widget, real)
    return real.isAccepted()


def tap(widget: QWidget, code: int) -> None:
    key(widget, code, True)
    key(widget, code, False)


def at(console: ConsoleWidget, x: int, y: int) -> QPoint:
    position = console.guest_to_widget(x, y)
    assert position is not None
    return QPoint(int(position.x()), int(position.y()))


def capture(qtbot: QtBot, console: ConsoleWidget) -> None:
    console.setFocus()
    qtbot.waitUntil(console.hasFocus)
    console.capture()
    assert console.is_captured()


def _words(console: ConsoleWidget) -> tuple[str, str]:
    heading = console.findChild(QLabel, "console-face-heading")
    text = console.findChild(QLabel, "console-face-text")
    assert isinstance(heading, QLabel)
    assert isinstance(text, QLabel)
    return (heading.text(), text.text()) if heading.isVisible() else ("", "")


def _button(console: ConsoleWidget) -> QPushButton:
    button = console.findChild(QPushButton, "console-reconnect")
    assert isinstance(button, QPushButton)
    return button


# --- source and faces -------------------------------------------------------------------------------------


def test_connecting_then_the_picture(qtbot: QtBot, console: ConsoleWidget) -> None:
    assert console.current_image().isNull()
    source = FakeSource()
    console.set_source(source)
    assert source.visible is True
    assert _words(console)[0] == "Connecting to the screen…"
    with qtbot.waitSignals([console.frameShown, console.framebufferResized, console.sourceStateChanged]):
        source.show(picture(32, 20))
    assert _words(console) == ("", "")
    image = console.current_image()
    assert image.size() == QSize(32, 20)
    assert np.array_equal(np.frombuffer(image.constBits(), np.uint8).reshape(20, 32, 4)[:, :, :3],
                          picture(32, 20)[:, :, :3])  # fmt: skip
    source.draw(0, 0, picture(32, 20, seed=5))
    assert image.pixelColor(0, 0).blue() == picture(32, 20)[0, 0, 0], "a deep copy does not change"


def test_size_hint_shows_the_guest_one_to_one(console: ConsoleWidget, source: FakeSource) -> None:
    console.window().resize(900, 700)
    console.setFixedSize(console.sizeHint())
    assert console.guest_to_widget(1, 0) == console.guest_to_widget(0, 0) + QPointF(1, 0)  # type: ignore[operator]


def test_a_new_source_takes_the_place_of_the_old(console: ConsoleWidget, source: FakeSource) -> None:
    other = FakeSource()
    console.set_source(other)
    assert source.closed
    assert console.source() is other
    assert not console.current_image().isNull(), "the old picture stays until there is a new one"
    source.stateChanged.emit(SourceState.DISCONNECTED)  # nobody listens any more
    assert _words(console)[0] == "Connecting to the screen…"


def test_reconnecting_does_not_flash(console: ConsoleWidget, source: FakeSource) -> None:
    """The old picture, dimmed, until the new source has a whole one."""
    other = FakeSource()
    console.set_source(other)
    sizes: list[QSize] = []
    console.framebufferResized.connect(sizes.append)
    blank = Framebuffer(50, 40)
    other._framebuffer = blank
    other.resized.emit(blank)
    assert console.current_image().size() == QSize(320, 200)
    other.show(picture(50, 40))
    assert console.current_image().size() == QSize(50, 40)
    assert sizes == [QSize(50, 40)]


def test_lost_connection_has_a_reason_and_a_button(qtbot: QtBot, console: ConsoleWidget, source: FakeSource) -> None:
    source.fail(ConsoleError("The display was closed.", advice="Try again."))
    assert _words(console) == ("Disconnected", "The display was closed. Try again.")
    assert console.accessibleDescription() == "Disconnected The display was closed. Try again."
    button = _button(console)
    assert button.isVisible()
    assert button.accessibleName() == "Reconnect"
    with qtbot.waitSignal(console.reconnectRequested):
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)


@pytest.mark.parametrize("face", list(ConsoleFace))
def test_faces(console: ConsoleWidget, source: FakeSource, face: ConsoleFace) -> None:
    console.set_face(face)
    heading, _text = _words(console)
    assert bool(heading) == (face not in (ConsoleFace.LIVE, ConsoleFace.SHUTTING_DOWN))
    assert console.current_image().isNull() != face.shows_picture
    console.set_face(face, "Something else.")
    assert not heading or _words(console)[1] == "Something else."
    assert not (console.grab().toImage().isNull())
    console.set_face(ConsoleFace.LIVE)
    assert not console.current_image().isNull(), "the picture is back with the state"


def test_paused_names_the_key_that_resumes(console: ConsoleWidget, source: FakeSource) -> None:
    console.set_face(ConsoleFace.PAUSED)
    assert _words(console) == ("Paused", "Press Right Ctrl + P here to resume.")
    console.set_host_key("Scroll_Lock")
    assert _words(console)[1] == "Press Scroll Lock + P here to resume."
    console.set_host_key("nonsense")
    assert _words(console)[1] == "Press Right Ctrl + P here to resume."


def test_the_panel_keeps_inside_of_a_small_window(console: ConsoleWidget) -> None:
    console.window().resize(200, 180)
    console.set_face(ConsoleFace.OFF, "A long sentence that has to be broken into lines to be read at all.")
    panel = console.findChild(QWidget, "console-face")
    assert isinstance(panel, QWidget)
    assert console.rect().contains(panel.geometry(), True) or panel.height() > console.height()
    assert panel.width() <= console.width()


def test_visibility_is_told(qtbot: QtBot, console: ConsoleWidget, source: FakeSource) -> None:
    console.hide()
    assert source.visible is False
    console.show()
    assert source.visible is True


# --- capture ----------------------------------------------------------------------------------------------


def test_nothing_reaches_the_guest_before_capture(qtbot: QtBot, console: ConsoleWidget, source: FakeSource) -> None:
    console.setFocus()
    qtbot.waitUntil(console.hasFocus)
    tap(console, A)
    QTest.mouseMove(console, at(console, 5, 5))
    assert source.keys == []
    assert source.pointers == []


def test_first_click_captures_and_is_delivered(qtbot: QtBot, console: ConsoleWidget, source: FakeSource) -> None:
    with qtbot.waitSignal(console.captureChanged) as caught:
        QTest.mouseClick(console, Qt.MouseButton.LeftButton, pos=at(console, 50, 60))
    assert caught.args == [True]
    assert source.pointers == [(50, 60, LEFT), (50, 60, NONE)]
    assert console.hasFocus()
    hint = console.findChild(QLabel, "console-capture-hint")
    assert isinstance(hint, QLabel)
    assert hint.isVisible()
    assert "Right Ctrl" in hint.text()
    QTest.mouseMove(console, at(console, 70, 80))
    assert source.pointers[-1] == (70, 80, NONE)


def test_click_beside_the_picture_does_not_capture(qtbot: QtBot, console: ConsoleWidget, source: FakeSource) -> None:
    QTest.mouseClick(console, Qt.MouseButton.LeftButton, pos=QPoint(1, 1))  # a null point would mean the middle
    assert not console.is_captured()


def test_enter_captures_and_is_not_sent(qtbot: QtBot, console: ConsoleWidget, source: FakeSource) -> None:
    console.setFocus()
    qtbot.waitUntil(console.hasFocus)
    tap(console, ENTER)
    assert console.is_captured()
    assert source.keys == []
    tap(console, ENTER)
    assert source.keys == [(ENTER, 0xFF0D, True), (ENTER, 0xFF0D, False)]


def test_host_key_alone_releases(qtbot: QtBot, console: ConsoleWidget, source: FakeSource) -> None:
    capture(qtbot, console)
    key(console, A, True)
    with qtbot.waitSignal(console.captureChanged) as caught:
        tap(console, HOST)
    assert caught.args == [False]
    assert source.keys == [(A, 0x61, True), (A, 0x61, False)], "the Host key itself is never sent"
    assert not console.is_captured()


@pytest.mark.parametrize("captured", [True, False])
def test_host_command(qtbot: QtBot, console: ConsoleWidget, source: FakeSource, captured: bool) -> None:
    capture(qtbot, console)
    if not captured:
        console.release_capture()
    key(console, HOST, True)
    with qtbot.waitSignal(console.hostCommand) as caught:
        tap(console, P)
    key(console, HOST, False)
    assert caught.args == ["P"]
    assert source.keys == []
    assert console.is_captured() is captured


def test_another_host_key(qtbot: QtBot, console: ConsoleWidget, source: FakeSource) -> None:
    console.set_host_key("Control_L")
    capture(qtbot, console)
    tap(console, HOST)
    assert source.keys == [(HOST, 0xFFE4, True), (HOST, 0xFFE4, False)]
    tap(console, CTRL_L)
    assert not console.is_captured()


def test_application_shortcuts_do_not_fire_while_captured(qtbot: QtBot) -> None:
    window = QMainWindow()
    qtbot.addWidget(window)
    console = ConsoleWidget(window)
    window.setCentralWidget(console)
    action = QAction("Act", window)
    action.setShortcut("A")
    window.addAction(action)
    fired: list[None] = []
    action.triggered.connect(lambda: fired.append(None))
    console.set_face(ConsoleFace.LIVE)
    source = FakeSource()
    console.set_source(source)
    window.show()
    qtbot.waitExposed(window)
    window.activateWindow()
    source.show(picture(32, 20))
    capture(qtbot, console)
    QTest.keyClick(window.windowHandle(), Qt.Key.Key_A)
    assert fired == []
    assert source.keys == [(A, 0x61, True), (A, 0x61, False)]
    console.release_capture()
    QTest.keyClick(window.windowHandle(), Qt.Key.Key_A)
    assert len(fired) == 1
    assert len(source.keys) == 2


def test_tab_belongs_to_the_guest_while_captured(qtbot: QtBot, console: ConsoleWidget, source: FakeSource) -> None:
    capture(qtbot, console)
    tap(console, TAB)
    assert console.hasFocus()
    assert source.keys == [(TAB, 0xFF09, True), (TAB, 0xFF09, False)]
    console.release_capture()
    tap(console, TAB)
    assert not console.hasFocus(), "and is no trap otherwise"


def test_autorepeat_is_presses_only(qtbot: QtBot, console: ConsoleWidget, source: FakeSource) -> None:
    capture(qtbot, console)
    key(console, A, True)
    for _ in range(3):
        key(console, A, False, repeat=True)
        key(console, A, True, repeat=True)
    key(console, A, False)
    assert source.keys == [(A, 0x61, True)] * 4 + [(A, 0x61, False)]


@pytest.mark.parametrize("how", ["focus", "hide", "pause", "off", "source", "disconnect", "release"])
def test_everything_is_let_go(qtbot: QtBot, console: ConsoleWidget, source: FakeSource, how: str) -> None:
    capture(qtbot, console)
    key(console, CTRL_L, True)
    key(console, A, True, control=True)
    QTest.mousePress(console, Qt.MouseButton.RightButton, pos=at(console, 9, 9))
    other = console.window().findChild(QLineEdit, "other")
    assert isinstance(other, QLineEdit)
    match how:
        case "focus":
            other.setFocus()
        case "hide":
            console.hide()
        case "pause":
            console.set_face(ConsoleFace.PAUSED)
        case "off":
            console.set_face(ConsoleFace.OFF)
        case "source":
            console.set_source(FakeSource())
        case "disconnect":
            source.fail(ConsoleError("Gone."))
        case "release":
            console.release_capture()
    assert source.keys[2:] == [(A, 0x61, False), (CTRL_L, 0xFFE3, False)]
    assert source.pointers[-1] == (9, 9, NONE)
    assert console.is_captured() is (how == "pause")
    key(console, A, False)
    assert len(source.keys) == 4, "nothing is released twice"


def test_paused_takes_no_input_but_hears_the_host_key(qtbot: QtBot, console: ConsoleWidget, source: FakeSource) -> None:
    capture(qtbot, console)
    console.set_face(ConsoleFace.PAUSED)
    tap(console, A)
    QTest.mouseClick(console, Qt.MouseButton.LeftButton, pos=at(console, 3, 3))
    assert source.keys == []
    assert source.pointers == []
    key(console, HOST, True)
    with qtbot.waitSignal(console.hostCommand):
        tap(console, P)
    key(console, HOST, False)
    console.set_face(ConsoleFace.LIVE)
    tap(console, A)
    assert len(source.keys) == 2, "typing goes on where it stopped"


def test_no_capture_without_a_picture(qtbot: QtBot, console: ConsoleWidget) -> None:
    console.set_source(FakeSource())
    console.capture()
    assert not console.is_captured()


def test_hint_fades(qtbot: QtBot, console: ConsoleWidget, source: FakeSource) -> None:
    capture(qtbot, console)
    hint = console.findChild(QLabel, "console-capture-hint")
    assert isinstance(hint, QLabel)
    qtbot.waitUntil(lambda: not hint.isVisible(), timeout=10_000)
    assert console.is_captured()


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
