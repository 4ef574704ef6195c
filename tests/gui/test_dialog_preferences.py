"""Preferences apply at once; shortcuts are recorded, refused, and reset."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import shiboken6
from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QAbstractItemView, QComboBox, QLabel, QLineEdit, QWidget
from pytestqt.qtbot import QtBot

from guivm.views.actions import ActionRegistry
from guivm.views.dialogs.preferences import PreferencesDialog
from guivm.views.dialogs.shortcut_editor import types_text
from guivm.views.dialogs.shortcut_texts import keys_of
from guivm.views.dialogs.shortcuts import ShortcutsWindow
from guivm.views.settings import COLOR_SCHEME, CONSOLE_SCALE, HOST_KEY, THUMBNAILS, ColorScheme, Settings


@pytest.fixture
def dialog(qtbot: QtBot, settings: Settings, actions: ActionRegistry) -> Iterator[PreferencesDialog]:
    parent = QWidget()
    qtbot.addWidget(parent)
    value = PreferencesDialog(settings, actions, parent)
    value.open()
    qtbot.waitUntil(value.isActiveWindow)
    yield value
    parent.close()


def press(qtbot: QtBot, dialog: PreferencesDialog, key: Qt.Key, modifier: Qt.KeyboardModifier) -> None:
    dialog.show_section(2)
    dialog.shortcuts.edit.setFocus()
    QTest.keyClick(dialog.shortcuts.edit, key, modifier)


CTRL = Qt.KeyboardModifier.ControlModifier
NONE = Qt.KeyboardModifier.NoModifier


def test_changes_apply_at_once(dialog: PreferencesDialog, settings: Settings) -> None:
    dialog.scheme.set_value(ColorScheme.DARK)
    assert settings.get(COLOR_SCHEME) == "dark"
    dialog.thumbnails.setChecked(False)
    assert settings.get(THUMBNAILS) is False
    dialog.console.host_key.setCurrentIndex(dialog.console.host_key.findData("Alt_R"))
    assert settings.get(HOST_KEY) == "Alt_R"
    dialog.console.scale.setCurrentIndex(dialog.console.scale.findData("actual"))
    assert settings.get(CONSOLE_SCALE) == "actual"


def test_the_values_in_force_are_shown(qtbot: QtBot, settings: Settings, actions: ActionRegistry) -> None:
    settings.set(COLOR_SCHEME, "nonsense")
    settings.set(HOST_KEY, "no such key")
    settings.set(CONSOLE_SCALE, "actual")
    parent = QWidget()
    qtbot.addWidget(parent)
    dialog = PreferencesDialog(settings, actions, parent)
    assert dialog.scheme.value() is ColorScheme.SYSTEM
    assert dialog.console.host_key.currentData() == HOST_KEY.default
    assert dialog.console.scale.currentData() == "actual"


def test_changes_made_elsewhere_are_followed(dialog: PreferencesDialog, settings: Settings) -> None:
    settings.set(CONSOLE_SCALE, "actual")
    assert dialog.console.scale.currentData() == "actual"
    settings.set(THUMBNAILS, False)
    assert not dialog.thumbnails.isChecked()


def test_a_shortcut_is_recorded(
    qtbot: QtBot, dialog: PreferencesDialog, actions: ActionRegistry, settings: Settings
) -> None:
    dialog.shortcuts.select("pause")
    press(qtbot, dialog, Qt.Key.Key_K, CTRL)
    assert actions.shortcut("pause") == QKeySequence("Ctrl+K")
    assert actions.action("pause").shortcut() == QKeySequence("Ctrl+K")
    assert dialog.shortcuts.note.problem == ""
    item = dialog.shortcuts.table.currentItem()
    assert item is not None
    assert item.text(1) == "Ctrl+K"


def test_a_conflict_is_refused_beside_the_field_naming_the_owner(
    qtbot: QtBot, dialog: PreferencesDialog, actions: ActionRegistry
) -> None:
    dialog.shortcuts.select("pause")
    press(qtbot, dialog, Qt.Key.Key_N, CTRL)
    assert actions.shortcut("pause") == QKeySequence("Ctrl+P")
    assert "New VM" in dialog.shortcuts.note.problem
    assert dialog.shortcuts.edit.keySequence() == QKeySequence("Ctrl+P")
    assert "New VM" in dialog.shortcuts.edit.accessibleDescription()
    dialog.shortcuts.select("start")
    assert dialog.shortcuts.note.problem == ""


def test_a_key_that_types_is_refused(qtbot: QtBot, dialog: PreferencesDialog, actions: ActionRegistry) -> None:
    dialog.shortcuts.select("pause")
    press(qtbot, dialog, Qt.Key.Key_A, NONE)
    assert actions.shortcut("pause") == QKeySequence("Ctrl+P")
    assert "while you type" in dialog.shortcuts.note.problem


@pytest.mark.parametrize(
    ("keys", "types"),
    [("A", True), ("Shift+A", True), ("Space", True), ("Del", False), ("F11", False), ("Shift+F3", False)],
)
def test_which_keys_type(keys: str, types: bool) -> None:
    assert types_text(QKeySequence(keys)) is types


def test_backspace_and_clear_leave_no_shortcut(
    qtbot: QtBot, dialog: PreferencesDialog, actions: ActionRegistry
) -> None:
    dialog.shortcuts.select("pause")
    press(qtbot, dialog, Qt.Key.Key_Backspace, NONE)
    assert actions.shortcut("pause").isEmpty()
    dialog.shortcuts.select("start")
    dialog.shortcuts.clear.click()
    assert actions.shortcut("start").isEmpty()
    assert not dialog.shortcuts.clear.isEnabled()


def test_escape_in_the_editor_returns_to_the_list(qtbot: QtBot, dialog: PreferencesDialog) -> None:
    dialog.shortcuts.select("pause")
    press(qtbot, dialog, Qt.Key.Key_Escape, NONE)
    assert dialog.isVisible()
    assert dialog.focusWidget() is dialog.shortcuts.table


def test_reset_one(dialog: PreferencesDialog, actions: ActionRegistry, settings: Settings) -> None:
    actions.set_shortcut("pause", QKeySequence("Ctrl+K"))
    dialog.shortcuts.select("pause")
    assert dialog.shortcuts.reset.isEnabled()
    dialog.shortcuts.reset.click()
    assert actions.shortcut("pause") == QKeySequence("Ctrl+P")
    assert not dialog.shortcuts.reset.isEnabled()


def test_reset_is_refused_while_another_has_the_keys(dialog: PreferencesDialog, actions: ActionRegistry) -> None:
    actions.set_shortcut("pause", QKeySequence("Ctrl+K"))
    actions.set_shortcut("start", QKeySequence("Ctrl+P"))
    dialog.shortcuts.select("pause")
    dialog.shortcuts.reset.click()
    assert actions.shortcut("pause") == QKeySequence("Ctrl+K")
    assert "Start" in dialog.shortcuts.note.problem


def test_reset_all_undoes_an_exchange(dialog: PreferencesDialog, actions: ActionRegistry) -> None:
    actions.set_shortcut("pause", QKeySequence())
    actions.set_shortcut("new", QKeySequence("Ctrl+P"))
    actions.set_shortcut("pause", QKeySequence("Ctrl+N"))
    dialog.shortcuts.reset_all.click()
    assert actions.shortcut("pause") == QKeySequence("Ctrl+P")
    assert actions.shortcut("new") == QKeySequence("Ctrl+N")
    assert not dialog.shortcuts.reset_all.isEnabled()


def test_search_narrows_the_table(dialog: PreferencesDialog) -> None:
    dialog.shortcuts.search.setText("pause")
    items = dialog.shortcuts.table.findItems("*", Qt.MatchFlag.MatchWildcard | Qt.MatchFlag.MatchRecursive)
    shown = [item.text(0) for item in items if item.parent() is not None and not item.isHidden()]
    assert shown == ["Pause"]


def test_every_interactive_widget_is_named(dialog: PreferencesDialog) -> None:
    kinds = (QAbstractButton, QLineEdit, QComboBox, QAbstractItemView)
    nameless = [
        widget
        for widget in dialog.findChildren(QWidget)
        if isinstance(widget, kinds)
        and not widget.objectName().startswith("qt_")
        and widget.focusPolicy() != Qt.FocusPolicy.NoFocus
        and widget.window() is dialog
        and not (widget.objectName() and widget.accessibleName())
    ]
    assert nameless == []


def test_escape_closes(qtbot: QtBot, dialog: PreferencesDialog) -> None:
    QTest.keyClick(dialog, Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: not shiboken6.isValid(dialog))


# --- the window that lists them ---------------------------------------------------------------------------


@pytest.fixture
def window(qtbot: QtBot, settings: Settings, actions: ActionRegistry) -> Iterator[ShortcutsWindow]:
    parent = QWidget()
    qtbot.addWidget(parent)
    value = ShortcutsWindow(actions, settings, parent)
    value.show()
    yield value
    parent.close()
    value.close()


def lines(window: ShortcutsWindow) -> list[str]:
    """What a screen reader is told of the lines in sight."""
    return [
        widget.accessibleName()
        for widget in window.findChildren(QWidget)
        if ": " in widget.accessibleName() and widget.isVisible()
    ]


def test_the_window_lists_application_and_console(window: ShortcutsWindow) -> None:
    shown = lines(window)
    assert "New VM: Ctrl + N" in shown
    assert "Pause or resume: Right Ctrl + P" in shown
    assert any(line.endswith(": Right Ctrl") for line in shown)


def test_the_window_is_searched_by_action_and_key(qtbot: QtBot, window: ShortcutsWindow) -> None:
    window.search.setText("full")
    assert set(lines(window)) == {"Full Screen: F11", "Full screen: Right Ctrl + F"}
    window.search.setText("f11")
    assert lines(window) == ["Full Screen: F11"]
    window.search.setText("no such thing")
    assert lines(window) == []
    empty = window.findChild(QLabel, "no-match")
    assert empty is not None
    assert empty.isVisible()


def test_the_window_follows_changes(
    qtbot: QtBot, window: ShortcutsWindow, actions: ActionRegistry, settings: Settings
) -> None:
    actions.set_shortcut("new", QKeySequence("Ctrl+K"))
    qtbot.waitUntil(lambda: "New VM: Ctrl + K" in lines(window))
    settings.set(HOST_KEY, "Alt_R")
    qtbot.waitUntil(lambda: "Full screen: Right Alt + F" in lines(window))


@pytest.mark.parametrize(
    ("text", "keys"),
    [("Ctrl+Shift+F", ("Ctrl", "Shift", "F")), ("Ctrl++", ("Ctrl", "+")), ("F11", ("F11",)), ("", ())],
)
def test_keys_one_by_one(text: str, keys: tuple[str, ...]) -> None:
    assert keys_of(QKeySequence(text)) == keys
