"""Type Text."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import shiboken6
from PySide6.QtCore import QMimeData, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from guivm.console.input.typist import MAX_RATE
from guivm.console.typing import MAX_CHARACTERS, US, KeyEvent, events, plan
from guivm.views.dialogs.type_text import TypeTextDialog


class Guest:
    def __init__(self) -> None:
        self.events: list[KeyEvent] = []

    def send(self, code: int, keysym: int, pressed: bool) -> None:
        self.events.append(KeyEvent(code, keysym, pressed))


@pytest.fixture
def guest() -> Guest:
    return Guest()


@pytest.fixture
def parent(qtbot: QtBot) -> Iterator[QWidget]:
    widget = QWidget()
    qtbot.addWidget(widget)
    yield widget
    widget.close()


def opened(
    guest: Guest,
    parent: QWidget,
    text: str | None = "",
    *,
    layout: str = "us",
    rate: int = MAX_RATE,
    caps: bool = False,
) -> TypeTextDialog:
    dialog = TypeTextDialog("web", guest.send, parent, text=text, layout=layout, rate=rate, caps_lock=caps)
    dialog.open()
    return dialog


def test_types_the_text_and_closes(qtbot: QtBot, guest: Guest, parent: QWidget) -> None:
    dialog = opened(guest, parent, "Hi there", layout="de")
    chosen: list[object] = []
    dialog.layoutChosen.connect(chosen.append)
    dialog.rateChosen.connect(chosen.append)
    assert dialog.reason == ""
    dialog.primary.click()
    assert dialog.is_typing
    assert dialog.progress.isVisible()
    assert not dialog.content.isEnabled()
    qtbot.waitUntil(lambda: not shiboken6.isValid(dialog))
    assert chosen == ["de", MAX_RATE]
    assert guest.events == list(events(plan("Hi there", US)))  # the same places on both


def test_enter_at_the_end(qtbot: QtBot, guest: Guest, parent: QWidget) -> None:
    dialog = opened(guest, parent, "ls")
    qtbot.waitUntil(dialog.isActiveWindow)
    dialog.enter.setChecked(True)
    QTest.keyClick(dialog.text, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: not shiboken6.isValid(dialog))
    assert guest.events == list(events(plan("ls\n", US)))


def test_begins_with_the_clipboard(guest: Guest, parent: QWidget) -> None:
    QGuiApplication.clipboard().setText("one\r\ntwo e\u0301")
    dialog = opened(guest, parent, None, layout="fr")
    assert dialog.text.toPlainText() == "one\ntwo \u00e9"
    assert "2 lines" in dialog.lines.text
    assert dialog.lines.isVisible()
    dialog.text.setPlainText("one")
    assert not dialog.lines.isVisible()


def test_what_cannot_be_typed_is_marked_and_named(guest: Guest, parent: QWidget) -> None:
    dialog = opened(guest, parent, "a→b😀é\u202e")
    assert "“→”, “😀”, “é”, U+202E" in dialog.text_row.problem
    assert [selection.cursor.selectedText() for selection in dialog.text.extraSelections()] == [
        "→",
        "😀",
        "é",
        "\u202e",
    ]
    assert dialog.primary.isEnabled(), "the rest can be typed"
    dialog.layout_box.setCurrentIndex(dialog.layout_box.findData("fr"))
    assert "é" not in dialog.text_row.problem
    dialog.text.setPlainText("plain")
    assert dialog.text_row.problem == ""
    assert dialog.text.extraSelections() == []


def test_nothing_to_type(guest: Guest, parent: QWidget) -> None:
    dialog = opened(guest, parent, "")
    assert dialog.reason
    dialog.primary.click()
    dialog.text.setPlainText("→")
    assert "none of these" in dialog.reason
    dialog.primary.click()
    assert guest.events == []


def test_many_unknown_characters_are_counted(guest: Guest, parent: QWidget) -> None:
    dialog = opened(guest, parent, "".join(chr(0x4E00 + number) for number in range(20)))
    assert "12 more" in dialog.text_row.problem


def test_too_much_text(qtbot: QtBot, guest: Guest, parent: QWidget) -> None:
    dialog = opened(guest, parent, "a" * (MAX_CHARACTERS + 5))
    assert "at most 100,000" in dialog.reason
    assert not dialog.primary.isEnabled()
    mime = QMimeData()
    mime.setText("b" * MAX_CHARACTERS * 2)
    dialog.text.insertFromMimeData(mime)
    assert len(dialog.text.toPlainText()) <= MAX_CHARACTERS + 1
    dialog.text.setPlainText("a" * 3000)  # judged when typing pauses
    qtbot.waitUntil(dialog.primary.isEnabled, timeout=5000)


def test_cancel_stops_then_closes(qtbot: QtBot, guest: Guest, parent: QWidget) -> None:
    dialog = opened(guest, parent, "A" * 50, rate=1)
    dialog.primary.click()
    qtbot.waitUntil(lambda: len(guest.events) >= 3)
    QTest.keyClick(dialog, Qt.Key.Key_Escape)
    assert not dialog.is_typing
    assert dialog.isVisible()
    assert "Stopped after 1 of 50" in dialog.status.text
    assert dialog.primary.isEnabled()
    assert guest.events[-1] == KeyEvent(42, 0xFFE1, False)
    dialog.cancel.click()
    qtbot.waitUntil(lambda: not shiboken6.isValid(dialog))


def test_closing_stops(qtbot: QtBot, guest: Guest, parent: QWidget) -> None:
    dialog = opened(guest, parent, "A" * 50, rate=1)
    dialog.primary.click()
    qtbot.waitUntil(lambda: len(guest.events) >= 3)
    dialog.close()
    qtbot.waitUntil(lambda: not shiboken6.isValid(dialog))
    assert guest.events[-1] == KeyEvent(42, 0xFFE1, False)


def test_layouts_are_found_by_words_and_by_id(guest: Guest, parent: QWidget) -> None:
    dialog = opened(guest, parent, "x")
    assert dialog.layout_id == "us"
    edit = dialog.layout_box.lineEdit()
    assert edit is not None
    for typed, found in (("ch(fr)", "ch(fr)"), ("german (no dead", "de(nodeadkeys)"), ("zzzz", "de(nodeadkeys)")):
        edit.setText(typed)
        edit.editingFinished.emit()
        assert dialog.layout_id == found
    assert "nodeadkeys" in edit.text()


def test_an_unknown_layout_means_the_desktops(guest: Guest, parent: QWidget) -> None:
    assert opened(guest, parent, "x", layout="xx(gone)").layout_id


def test_caps_lock_of_the_guest_counts(qtbot: QtBot, guest: Guest, parent: QWidget) -> None:
    dialog = opened(guest, parent, "a", caps=False)
    dialog.set_caps_lock(True)
    dialog.primary.click()
    qtbot.waitUntil(lambda: not shiboken6.isValid(dialog))
    assert guest.events[0].code == 42


def test_everything_has_a_name_and_is_reached_by_tab(guest: Guest, parent: QWidget) -> None:
    dialog = opened(guest, parent, "x")
    names = [widget.accessibleName() for widget in (dialog.text, dialog.layout_box, dialog.rate, dialog.enter)]
    assert all(names)
    assert dialog.focusWidget() is dialog.text
    seen = []
    for _ in range(8):
        seen.append(dialog.focusWidget())
        QTest.keyClick(dialog.focusWidget(), Qt.Key.Key_Tab)
    for widget in (dialog.text, dialog.rate, dialog.enter, dialog.primary, dialog.cancel):
        assert widget in seen
    assert any(widget in seen for widget in (dialog.layout_box, dialog.layout_box.lineEdit()))
