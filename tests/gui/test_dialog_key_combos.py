"""The person's own key combinations."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import shiboken6
from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from guivm.views.dialogs.key_combos import KeyCombosDialog


@pytest.fixture
def parent(qtbot: QtBot) -> Iterator[QWidget]:
    widget = QWidget()
    qtbot.addWidget(widget)
    yield widget
    widget.close()


def opened(parent: QWidget, *combos: str) -> KeyCombosDialog:
    dialog = KeyCombosDialog(combos, parent)
    dialog.open()
    return dialog


def test_shows_what_can_be_understood(parent: QWidget) -> None:
    dialog = opened(parent, "ctrl-alt-f2 = Second console", "nonsense", "super")
    assert [dialog.list.item(row).text() for row in range(dialog.list.count())] == [
        "Second console (Ctrl+Alt+F2)",
        "Super",
    ]


def test_adding_by_name_and_saving(qtbot: QtBot, parent: QWidget) -> None:
    dialog = opened(parent)
    chosen: list[object] = []
    dialog.chosen.connect(chosen.append)
    assert not dialog.add.isEnabled()
    QTest.keyClicks(dialog.keys, "super-r")
    QTest.keyClicks(dialog.label, "Run")
    dialog.add.click()
    assert not dialog.add.isEnabled(), "it is there already"
    dialog.primary.click()
    qtbot.waitUntil(lambda: not shiboken6.isValid(dialog))
    assert chosen == [["Super+R = Run"]]


def test_bad_names_are_explained_beside_the_field(parent: QWidget) -> None:
    dialog = opened(parent)
    dialog.keys.setText("ctrl-foo")
    assert "“foo” is no key" in dialog.keys_row.problem
    assert not dialog.add.isEnabled()
    dialog.keys.setText("")
    assert dialog.keys_row.problem == ""


def test_renaming_changing_removing_and_moving(parent: QWidget) -> None:
    dialog = opened(parent, "F1", "F2 = two", "F3")
    dialog.list.setCurrentRow(1)
    assert (dialog.keys.text(), dialog.label.text()) == ("F2", "two")
    assert not dialog.change.isEnabled()
    dialog.label.setText("second")
    dialog.change.click()
    assert dialog.combos == ["F1", "F2 = second", "F3"]
    dialog.up.click()
    assert dialog.combos == ["F2 = second", "F1", "F3"]
    assert not dialog.up.isEnabled()
    dialog.down.click()
    dialog.down.click()
    assert dialog.combos == ["F1", "F3", "F2 = second"]
    assert not dialog.down.isEnabled()
    dialog.remove.click()
    assert dialog.combos == ["F1", "F3"]
    for _ in range(2):
        dialog.remove.click()
    assert dialog.combos == []
    assert not dialog.remove.isEnabled()


def press(widget: QWidget, key: Qt.Key, code: int, *, down: bool = True) -> None:
    kind = QEvent.Type.KeyPress if down else QEvent.Type.KeyRelease
    QApplication.sendEvent(widget, QKeyEvent(kind, key, Qt.KeyboardModifier.NoModifier, code + 8, 0, 0))


def test_recording_takes_the_keys_that_are_held_together(qtbot: QtBot, parent: QWidget) -> None:
    dialog = opened(parent)
    qtbot.waitUntil(dialog.isActiveWindow)
    dialog.record.click()
    assert dialog.record.isChecked()
    for down in (True, False):
        for key, code in ((Qt.Key.Key_Control, 29), (Qt.Key.Key_Alt, 56), (Qt.Key.Key_Tab, 15)):
            press(dialog.record, key, code, down=down)
    assert dialog.keys.text() == "Ctrl+Alt+Tab"
    assert not dialog.record.isChecked()


def test_escape_can_be_recorded(qtbot: QtBot, parent: QWidget) -> None:
    dialog = opened(parent)
    qtbot.waitUntil(dialog.isActiveWindow)
    dialog.record.click()
    for down in (True, False):
        press(dialog.record, Qt.Key.Key_Escape, 1, down=down)
    assert dialog.isVisible()
    assert dialog.keys.text() == "Esc"


def test_a_key_without_a_name_is_explained(qtbot: QtBot, parent: QWidget) -> None:
    dialog = opened(parent)
    qtbot.waitUntil(dialog.isActiveWindow)
    dialog.record.click()
    for down in (True, False):
        press(dialog.record, Qt.Key.Key_unknown, 240, down=down)
    assert "code 240" in dialog.keys_row.problem


def test_recording_ends_when_the_focus_leaves(qtbot: QtBot, parent: QWidget) -> None:
    dialog = opened(parent)
    qtbot.waitUntil(dialog.isActiveWindow)
    dialog.record.click()
    dialog.label.setFocus()
    assert not dialog.record.isChecked()


def test_everything_has_a_name(parent: QWidget) -> None:
    dialog = opened(parent)
    for widget in (
        *(dialog.list, dialog.up, dialog.down, dialog.remove, dialog.keys, dialog.record, dialog.label),
        *(dialog.add, dialog.change, dialog.primary, dialog.cancel),
    ):
        assert widget.accessibleName(), widget.objectName()
        assert widget.objectName()
