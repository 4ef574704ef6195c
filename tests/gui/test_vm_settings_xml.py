"""The XML page of the settings, its editor, and differences in colour and signs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import shiboken6
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QDialog, QWidget
from pytestqt.qtbot import QtBot

from guivm.engine.options.values import Place
from guivm.engine.types import VmState
from guivm.views.bridge import Bridge
from guivm.views.vm_settings.dialog import XML, SettingsDialog
from guivm.views.vm_settings.diff_view import DiffView
from guivm.views.vm_settings.xml_editor import FindBar, XmlEditor
from guivm.views.vm_settings.xml_page import Passwords, XmlPage
from tests.helpers.fake_engine import FakeEngine
from tests.helpers.settings_stage import DOMAIN


@pytest.fixture
def window(qtbot: QtBot, fake_engine: FakeEngine, bridge: Bridge) -> Iterator[SettingsDialog]:
    key = fake_engine.add_vm("web", VmState.OFF)
    fake_engine.settings.put(key, DOMAIN)
    vm = fake_engine.vm(key)
    assert vm is not None
    dialog = SettingsDialog(bridge, vm, place=XML)
    dialog.show()
    qtbot.waitUntil(lambda: dialog.findChild(XmlPage) is not None)
    yield dialog
    if shiboken6.isValid(dialog):
        dialog.deleteLater()


@pytest.fixture
def page(window: SettingsDialog) -> XmlPage:
    found = window.findChild(XmlPage)
    assert isinstance(found, XmlPage)
    return found


def edit(page: XmlPage, old: str, new: str) -> None:
    text = page.editor.toPlainText()
    assert old in text
    page.editor.setPlainText(text.replace(old, new))


def test_shows_the_whole_definition_without_passwords(page: XmlPage) -> None:
    text = page.editor.toPlainText()
    assert text.startswith("<domain")
    assert "web-data.qcow2" in text
    assert "secret-word" not in text
    assert "passwd=" in text
    assert not page.use_button.isEnabled()


def test_a_parse_error_is_marked_while_one_types(qtbot: QtBot, page: XmlPage) -> None:
    edit(page, "</features>", "</feature>")
    qtbot.waitUntil(lambda: page.editor.error_line > 0)
    line = page.editor.document().findBlockByNumber(page.editor.error_line - 1).text()
    assert "</feature>" in line
    assert page.note.problem.startswith(f"Line {page.editor.error_line}: Opening and ending tag mismatch")
    assert "column" not in page.note.problem
    assert not page.use_button.isEnabled()
    page.back_button.click()
    assert page.editor.error_line == 0
    assert not page.is_edited


def test_used_text_becomes_the_draft_after_its_difference_was_shown(
    qtbot: QtBot, window: SettingsDialog, page: XmlPage
) -> None:
    edit(page, "Web server", "Mail server")
    qtbot.waitUntil(page.use_button.isEnabled)
    page.use_button.click()
    dialog = page.findChild(QDialog, "use-text")
    assert isinstance(dialog, QDialog)
    view = dialog.findChild(DiffView)
    assert isinstance(view, DiffView)
    assert "+  <title>Mail server</title>" in view.toPlainText()
    assert window.draft is not None
    assert window.draft.domain.title == "Web server"
    dialog.accept()
    assert window.draft.domain.title == "Mail server"
    assert window.draft.domain.devices.graphics[0].password == "secret-word"
    assert window.frame.apply_button.isEnabled()


def test_text_that_means_the_same_changes_nothing(qtbot: QtBot, window: SettingsDialog, page: XmlPage) -> None:
    edit(page, "<acpi/>", "<acpi></acpi>")
    qtbot.waitUntil(page.use_button.isEnabled)
    page.use_button.click()
    assert page.findChild(QDialog, "use-text") is None
    assert "same" in page.note.text


def test_an_edit_elsewhere_is_shown_unless_the_text_is_being_edited(window: SettingsDialog, page: XmlPage) -> None:
    assert window.draft is not None
    window.draft.domain.title = "Mail server"
    window.draft.touch()
    assert "Mail server" in page.editor.toPlainText()
    edit(page, "Mail server", "File server")
    window.draft.domain.title = "Print server"
    window.draft.touch()
    assert "File server" in page.editor.toPlainText()


def test_a_text_that_is_not_used_yet_is_kept_and_asked_about(
    qtbot: QtBot, window: SettingsDialog, page: XmlPage
) -> None:
    edit(page, "Web server", "Mail server")
    window.show_place(Place("memory"))
    assert window.frame.title.text() == "Memory"
    window.show_place(XML)
    assert page.isVisible()
    assert "Mail server" in page.editor.toPlainText()
    window.close()
    question = window.findChild(QDialog, "confirm")
    assert isinstance(question, QDialog)
    with qtbot.waitSignal(window.destroyed):
        question.accept()


def test_find_by_keyboard_goes_round(qtbot: QtBot, page: XmlPage) -> None:
    page.editor.setFocus()
    QTest.keyClick(page.editor, Qt.Key.Key_F, Qt.KeyboardModifier.ControlModifier)
    assert page.find_bar.isVisible()
    QTest.keyClicks(page.find_bar.field, "<disk")
    first = page.editor.textCursor().selectionStart()
    assert page.editor.textCursor().selectedText() == "<disk"
    QTest.keyClick(page.find_bar.field, Qt.Key.Key_Return)
    assert page.editor.textCursor().selectionStart() > first
    QTest.keyClick(page.find_bar.field, Qt.Key.Key_Return)
    QTest.keyClick(page.find_bar.field, Qt.Key.Key_Return)
    assert page.editor.textCursor().selectionStart() == first
    QTest.keyClick(page.find_bar.field, Qt.Key.Key_Escape)
    assert not page.find_bar.isVisible()
    assert page.isVisible()


def test_passwords_come_back_where_they_were_left_alone() -> None:
    passwords = Passwords()
    text = "<graphics passwd='one'/><graphics passwd=\"t'wo\"/><graphics passwd=''/>"
    shown = passwords.hide(text)
    assert "one" not in shown
    assert "wo" not in shown
    assert passwords.put_back(shown) == text
    first = shown.split("'")[1]
    assert passwords.put_back(shown.replace(first, "new", 1)).startswith("<graphics passwd='new'/>")


def test_a_difference_has_signs_and_no_header(qtbot: QtBot) -> None:
    holder = QWidget()
    qtbot.addWidget(holder)
    view = DiffView("diff", "Difference", holder)
    view.set_diff("--- a (before)\n+++ a (after)\n@@ -1 +1 @@\n-<a/>\n+<b/>\n")
    assert view.toPlainText().splitlines() == ["@@ -1 +1 @@", "-<a/>", "+<b/>"]
    assert view.isReadOnly()


def test_line_numbers_grow_with_the_text(qtbot: QtBot) -> None:
    holder = QWidget()
    qtbot.addWidget(holder)
    editor = XmlEditor("xml", "XML", holder)
    narrow = editor.margin_width()
    editor.setPlainText("\n" * 20_000)
    assert editor.margin_width() > narrow
    bar = FindBar(editor, editor)
    bar.field.setText("nothing")
    assert bar.field.property("invalid") is True
