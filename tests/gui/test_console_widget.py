"""The console widget with a source made by hand: faces, capture, keys."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, QSize, Qt
from PySide6.QtGui import QAction
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel, QLineEdit, QMainWindow, QPushButton, QWidget
from pytestqt.qtbot import QtBot

from guivm.console.source import Framebuffer, SourceState
from guivm.console.widget import ConsoleFace, ConsoleWidget
from guivm.errors import ConsoleError
from tests.helpers.console_widget import (
    CTRL_L,
    ENTER,
    HOST,
    LEFT,
    NONE,
    TAB,
    A,
    P,
    at,
    capture,
    console_in,
    key,
    plain_window,
    show_source,
    tap,
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
