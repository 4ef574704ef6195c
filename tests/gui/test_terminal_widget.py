"""The terminal widget: what it paints, what keys and the mouse do, and that a flood does not stop the window."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from PySide6.QtCore import QEvent, QPoint, QRect, Qt
from PySide6.QtGui import QColor, QGuiApplication, QImage, QInputMethodEvent, QKeyEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from guivm.console.terminal.colors import TerminalColors
from guivm.console.terminal.source import SerialSource
from guivm.console.terminal.widget import TerminalWidget
from guivm.engine.job_types import SerialEndpoint

Mod, K = Qt.KeyboardModifier, Qt.Key
GROUND, INK = QColor(10, 20, 30), QColor(200, 210, 220)
COLORS = TerminalColors(
    foreground=INK,
    background=GROUND,
    cursor=QColor(255, 0, 255),
    cursor_text=GROUND,
    selection=QColor(0, 0, 200),
    selection_text=QColor(255, 255, 255),
    bell=QColor(255, 255, 0),
    ansi=tuple(QColor(10 * i, 0, 0) for i in range(16)),
)


class Stage:
    def __init__(self, qtbot: QtBot) -> None:
        self.qtbot = qtbot
        self.widget = TerminalWidget(COLORS, scrollback=100)
        qtbot.addWidget(self.widget)
        self.widget.resize(700, 400)
        self.widget.show()
        qtbot.waitExposed(self.widget)
        ours, theirs = socket.socketpair()
        self.guest = ours
        self.guest.settimeout(20)
        source = SerialSource(SerialEndpoint(theirs.detach()), self.widget)
        self.widget.set_source(source)
        source.open()

    def say(self, text: str | bytes) -> None:
        """The guest says it, and the widget has taken it."""
        with self.qtbot.waitSignal(self.widget.titleChanged):
            self.guest.sendall((text.encode() if isinstance(text, str) else text) + self.mark())

    marks = 0

    def mark(self) -> bytes:
        self.marks += 1
        return b"\033]2;%d\007" % self.marks

    def heard(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self.guest.recv(65536)
            assert piece
            data += piece
        return data

    def picture(self) -> QImage:
        return self.widget.viewport().grab().toImage()

    def cell(self, row: int, column: int) -> QRect:
        """Pixels of a cell shown."""
        font = self.widget._painter.font
        return QRect(4 + column * font.width, 4 + row * font.height, font.width, font.height)

    def colours(self, row: int, column: int) -> set[int]:
        image, cell = self.picture(), self.cell(row, column)
        return {image.pixel(x, y) for x in range(cell.left(), cell.right()) for y in range(cell.top(), cell.bottom())}

    def drag(self, start: tuple[int, int], end: tuple[int, int]) -> None:
        view = self.widget.viewport()
        first, last = self.cell(*start), self.cell(*end)
        begin = QPoint(first.left() + 1, first.center().y())
        to = QPoint(last.right(), last.center().y())
        QTest.mousePress(view, Qt.MouseButton.LeftButton, Mod.NoModifier, begin)
        QTest.mouseMove(view, to)
        QTest.mouseRelease(view, Qt.MouseButton.LeftButton, Mod.NoModifier, to)

    def close(self) -> None:
        self.widget.set_source(None)
        self.guest.close()


@pytest.fixture
def stage(qtbot: QtBot) -> Iterator[Stage]:
    value = Stage(qtbot)
    yield value
    value.close()


# --- painting -----------------------------------------------------------------------------------------------


def test_text_and_its_colours_are_painted(stage: Stage) -> None:
    stage.say("ab \033[38;2;0;255;0;48;5;9mXX\033[0m\033[7m  \033[0m")
    assert GROUND.rgb() in stage.colours(0, 0)
    assert len(stage.colours(0, 0)) > 1, "a letter"
    assert stage.colours(0, 2) == {GROUND.rgb()}
    assert QColor(90, 0, 0).rgb() in stage.colours(0, 3)
    assert stage.colours(0, 5) == {INK.rgb()}, "reverse"
    assert stage.colours(5, 5) == {GROUND.rgb()}


def test_each_character_stays_in_its_cell(stage: Stage) -> None:
    """The pictures of a row as a whole, and of each of its letters alone, are the same."""
    text = "The quick brown fox, iiiiiiiiiiiiii, MMMMMMMMMMMM"
    stage.say("\033[?25l\033[H" + text)
    whole = stage.picture()
    stage.say("\033[2J" + "".join(f"\033[2;{i + 1}H{c}\033[1m\033[0m" for i, c in enumerate(text)))
    apart = stage.picture()
    for column in range(len(text)):
        assert whole.copy(stage.cell(0, column)) == apart.copy(stage.cell(1, column))


def test_the_cursor(stage: Stage, qtbot: QtBot) -> None:
    stage.say("ab")
    stage.widget.setFocus()
    stage.widget.window().activateWindow()
    qtbot.waitUntil(stage.widget.hasFocus)
    assert stage.colours(0, 2) == {COLORS.cursor.rgb()}
    stage.say("\033[?25l")
    assert stage.colours(0, 2) == {GROUND.rgb()}
    stage.say("\033[?25h")
    stage.widget.clearFocus()
    assert COLORS.cursor.rgb() in stage.colours(0, 2)
    assert GROUND.rgb() in stage.colours(0, 2), "only a frame"
    assert not stage.widget._blink.isActive()


def test_the_bell_is_seen(stage: Stage, qtbot: QtBot) -> None:
    stage.say("\a")
    assert stage.picture().pixelColor(0, 100) == COLORS.bell
    qtbot.waitUntil(lambda: stage.picture().pixelColor(0, 100) == GROUND)


def test_colours_can_change(stage: Stage) -> None:
    stage.widget.set_colors(replace(COLORS, background=INK))
    assert stage.colours(3, 3) == {INK.rgb()}


def test_no_timer_runs_while_hidden(stage: Stage, qtbot: QtBot) -> None:
    stage.widget.setFocus()
    qtbot.waitUntil(stage.widget.hasFocus)
    stage.widget.hide()
    stage.say("\a unseen")
    assert not stage.widget._blink.isActive()
    assert not stage.widget._bell.isActive()


# --- keyboard -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "modifiers", "text", "data"),
    [
        (K.Key_A, Mod.NoModifier, "a", b"a"),
        (K.Key_A, Mod.ShiftModifier, "A", b"A"),
        (K.Key_C, Mod.ControlModifier, "\x03", b"\x03"),
        (K.Key_D, Mod.AltModifier, "d", b"\033d"),
        (K.Key_Return, Mod.NoModifier, "\r", b"\r"),
        (K.Key_Enter, Mod.KeypadModifier, "\r", b"\r"),
        (K.Key_Tab, Mod.NoModifier, "\t", b"\t"),
        (K.Key_Backtab, Mod.ShiftModifier, "", b"\033[Z"),
        (K.Key_Backspace, Mod.NoModifier, "\b", b"\x7f"),
        (K.Key_Up, Mod.NoModifier, "", b"\033[A"),
        (K.Key_F5, Mod.NoModifier, "", b"\033[15~"),
        (K.Key_PageUp, Mod.NoModifier, "", b"\033[5~"),
        (K.Key_Space, Mod.ControlModifier, " ", b"\0"),
        (K.Key_Adiaeresis, Mod.NoModifier, "ä", "ä".encode()),
    ],
)
def test_keys_go_to_the_guest(
    stage: Stage, key: Qt.Key, modifiers: Qt.KeyboardModifier, text: str, data: bytes
) -> None:
    QApplication.sendEvent(stage.widget, QKeyEvent(QEvent.Type.KeyPress, key, modifiers, text))
    assert stage.heard(len(data)) == data


def test_application_cursor_keys(stage: Stage) -> None:
    stage.say("\033[?1h")
    QTest.keyClick(stage.widget, K.Key_Up)
    assert stage.heard(3) == b"\033OA"


def test_shortcuts_of_the_window_are_keys_of_the_guest(stage: Stage) -> None:
    for key, modifiers, is_guests in (
        (K.Key_W, Mod.ControlModifier, True),
        (K.Key_F, Mod.AltModifier, True),
        (K.Key_F11, Mod.NoModifier, False),
        (K.Key_N, Mod.ControlModifier | Mod.ShiftModifier, False),
    ):
        event = QKeyEvent(QEvent.Type.ShortcutOverride, key, modifiers)
        event.ignore()
        QApplication.sendEvent(stage.widget, event)
        assert event.isAccepted() is is_guests


def test_composed_text_is_sent_as_utf8(stage: Stage) -> None:
    event = QInputMethodEvent("^", [])
    QApplication.sendEvent(stage.widget, event)
    assert len(stage.colours(0, 0)) > 1, "what is being composed is shown"
    event = QInputMethodEvent("", [])
    event.setCommitString("ô日")
    QApplication.sendEvent(stage.widget, event)
    assert stage.heard(5) == "ô日".encode()


def test_answers_go_back(stage: Stage) -> None:
    stage.say("\033[2;3H\033[6n")
    assert stage.heard(6) == b"\033[2;3R"


# --- copy and paste -----------------------------------------------------------------------------------------


def test_dragging_selects_and_copies(stage: Stage) -> None:
    stage.say("one two\r\nthree four")
    stage.drag((0, 4), (1, 4))
    assert stage.widget.selected_text() == "two\nthree"
    assert COLORS.selection.rgb() in stage.colours(0, 5)
    QTest.keyClick(stage.widget, K.Key_C, Mod.ControlModifier | Mod.ShiftModifier)
    assert QGuiApplication.clipboard().text() == "two\nthree"
    stage.say("\033[2;1H!")
    assert stage.widget.selected_text() == "", "what was selected is not there any more"


def test_a_selection_moves_with_its_text(stage: Stage) -> None:
    stage.say("one two\r\n")
    stage.drag((0, 0), (0, 2))
    stage.say("\r\n" * stage.widget.terminal.rows)
    assert stage.widget.selected_text() == "one"


def test_double_click_takes_the_word_and_a_third_the_line(stage: Stage) -> None:
    stage.say("ls /etc/fstab now")
    view, at = stage.widget.viewport(), stage.cell(0, 6).center()
    for expected in ("", "/etc/fstab", "ls /etc/fstab now", ""):
        QTest.mouseClick(view, Qt.MouseButton.LeftButton, Mod.NoModifier, at)
        assert stage.widget.selected_text() == expected
    QTest.mouseClick(view, Qt.MouseButton.LeftButton, Mod.ShiftModifier, stage.cell(0, 0).center())
    stage.widget.select_all()
    assert stage.widget.selected_text().startswith("ls /etc/fstab now")


def test_pasting(stage: Stage) -> None:
    QGuiApplication.clipboard().setText("echo ä")
    QTest.keyClick(stage.widget, K.Key_V, Mod.ControlModifier | Mod.ShiftModifier)
    assert stage.heard(7) == "echo ä".encode()


def test_several_lines_are_asked_about_unless_the_guest_takes_them_as_one(stage: Stage, qtbot: QtBot) -> None:
    QGuiApplication.clipboard().setText("one\ntwo")
    with qtbot.waitSignal(stage.widget.pasteQuestion) as asked:
        stage.widget.paste()
    assert asked.args == ["one\ntwo"]
    stage.widget.paste_text("one\ntwo")
    assert stage.heard(7) == b"one\rtwo", "nothing was sent before"
    stage.say("\033[?2004h")
    stage.widget.paste()
    assert stage.heard(19) == b"\033[200~one\rtwo\033[201~"


def test_the_size_is_told_by_typing(stage: Stage) -> None:
    terminal = stage.widget.terminal
    stage.widget.tell_size()
    expected = f"stty rows {terminal.rows} cols {terminal.columns}\r".encode()
    assert stage.heard(len(expected)) == expected


# --- scrolling and sizes ------------------------------------------------------------------------------------


def test_scrolling_back_stays_where_it_is(stage: Stage) -> None:
    stage.say("".join(f"line {number}\r\n" for number in range(60)))
    widget, terminal = stage.widget, stage.widget.terminal
    assert widget.top_row == terminal.screen_start
    QTest.keyClick(widget, K.Key_PageUp, Mod.ShiftModifier)
    top = widget.top_row
    assert top == terminal.screen_start - (terminal.rows - 1)
    stage.say("more\r\n" * 5)
    assert widget.top_row == top
    stage.say("more\r\n" * 200)
    assert widget.top_row == terminal.first, "what was looked at is forgotten"
    QTest.keyClick(widget, K.Key_A)
    assert widget.top_row == terminal.screen_start, "typing goes to the end"
    widget.clear_scrollback()
    assert widget.verticalScrollBar().maximum() == 0


def test_finding_shows_it(stage: Stage) -> None:
    stage.say("".join(f"line {number}\r\n" for number in range(60)))
    assert stage.widget.find_text("line 7")
    assert stage.widget.selected_text() == "line 7"
    assert stage.widget.top_row <= 7 < stage.widget.top_row + stage.widget.terminal.rows
    assert not stage.widget.find_text("nowhere")


def test_the_grid_follows_the_window_and_the_zoom(stage: Stage, qtbot: QtBot) -> None:
    before = (stage.widget.terminal.columns, stage.widget.terminal.rows)
    with qtbot.waitSignal(stage.widget.gridChanged) as changed:
        stage.widget.resize(900, 500)
    assert changed.args is not None
    assert changed.args[0] > before[0]
    assert changed.args[1] > before[1]
    QTest.keyClick(stage.widget, K.Key_Plus, Mod.ControlModifier)
    assert stage.widget.terminal.columns < changed.args[0]
    QTest.keyClick(stage.widget, K.Key_0, Mod.ControlModifier)
    assert [stage.widget.terminal.columns, stage.widget.terminal.rows] == changed.args


def test_the_menu_says_what_can_be_done(stage: Stage) -> None:
    menu = stage.widget.make_menu()
    actions = {action.text().replace("&", ""): action for action in menu.actions()}
    assert not actions["Copy"].isEnabled()
    actions["Reset Terminal"].trigger()
    actions["Tell the Guest the Size"].trigger()
    assert stage.heard(4).startswith(b"stty rows ")
    menu.deleteLater()


def test_the_state_is_described(stage: Stage) -> None:
    stage.say("root@guest:~# ")
    assert stage.widget.accessibleName()
    assert "root@guest" in stage.widget.accessibleDescription()


# --- floods and ends ----------------------------------------------------------------------------------------


def test_a_flood_leaves_the_window_its_turn(stage: Stage, qtbot: QtBot) -> None:
    """Megabytes come in; between two portions the event loop runs, and what waits is bounded."""
    turns: list[int] = []
    stage.widget._more.timeout.connect(lambda: turns.append(1))
    sent = b"some line of a guest that talks too much\r\n" * 50_000
    writer = threading.Thread(target=lambda: stage.guest.sendall(sent + stage.mark()))
    writer.start()
    with qtbot.waitSignal(stage.widget.titleChanged, timeout=60_000):
        pass
    writer.join(20)
    assert len(turns) > 10
    assert stage.widget.terminal.screen_start - stage.widget.terminal.first <= 100


def test_the_end_is_told_after_the_last_words(stage: Stage, qtbot: QtBot) -> None:
    with qtbot.waitSignal(stage.widget.ended):
        stage.guest.sendall(b"Power down.")
        stage.guest.close()
    assert stage.widget.terminal.row(0).columns() == list("Power down.")
    assert not stage.widget.send(b"x")
