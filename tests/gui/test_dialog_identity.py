"""Rename, and title and notes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import shiboken6
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from guivm.engine.requests import Rename, SetNotes, SetTitle
from guivm.engine.types import VmInfo
from guivm.errors import OperationError
from guivm.views.bridge import Bridge
from guivm.views.dialogs.edit_identity import NOTES_LIMIT_BYTES, NotesDialog, RenameDialog
from tests.helpers.fake_engine import FakeEngine


@pytest.fixture
def parent(qtbot: QtBot) -> Iterator[QWidget]:
    widget = QWidget()
    qtbot.addWidget(widget)
    yield widget
    widget.close()


@pytest.fixture
def vm(fake_engine: FakeEngine) -> VmInfo:
    fake_engine.add_vm("other")
    info = fake_engine.vm(fake_engine.add_vm("web", title="Web server", notes="Runs <b>nginx</b>."))
    assert info is not None
    return info


def test_rename_emits_the_request(
    qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, vm: VmInfo, parent: QWidget
) -> None:
    dialog = RenameDialog(bridge, vm, parent)
    dialog.open()
    assert dialog.name.selectedText() == "web"
    QTest.keyClicks(dialog.name, " shop ")
    QTest.keyClick(dialog.name, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: not shiboken6.isValid(dialog))
    assert fake_engine.requests == [Rename(vm.key, "shop")]


@pytest.mark.parametrize(("name", "words"), [("", "Give"), ("a/b", "“/”"), ("other", "Another VM")])
def test_bad_names_are_refused_beside_the_field(
    bridge: Bridge, fake_engine: FakeEngine, vm: VmInfo, parent: QWidget, name: str, words: str
) -> None:
    dialog = RenameDialog(bridge, vm, parent)
    dialog.open()
    dialog.name.setText(name)
    assert words in dialog.row.problem
    assert dialog.reason == dialog.row.problem
    assert not dialog.primary.isEnabled()
    dialog.primary.click()
    assert fake_engine.requests == []


def test_same_name_just_closes(
    qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, vm: VmInfo, parent: QWidget
) -> None:
    dialog = RenameDialog(bridge, vm, parent)
    dialog.open()
    dialog.primary.click()
    qtbot.waitUntil(lambda: not shiboken6.isValid(dialog))
    assert fake_engine.requests == []


def test_refused_rename_stays_open_with_the_reason(
    qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, vm: VmInfo, parent: QWidget
) -> None:
    fake_engine.fail_next(Rename, OperationError("libvirt refused.", details="evidence"))
    dialog = RenameDialog(bridge, vm, parent)
    dialog.open()
    dialog.name.setText("shop")
    dialog.primary.click()
    qtbot.waitUntil(lambda: dialog.strip.error is not None)
    assert dialog.strip.isVisible()
    assert dialog.primary.isEnabled()


def test_only_what_changed_is_written(
    qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, vm: VmInfo, parent: QWidget
) -> None:
    dialog = NotesDialog(bridge, vm, parent)
    dialog.open()
    assert dialog.notes.toPlainText() == "Runs <b>nginx</b>."
    dialog.notes.setPlainText("New notes")
    dialog.primary.click()
    qtbot.waitUntil(lambda: not shiboken6.isValid(dialog))
    assert fake_engine.requests == [SetNotes(vm.key, "New notes")]


def test_title_then_notes(qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, vm: VmInfo, parent: QWidget) -> None:
    dialog = NotesDialog(bridge, vm, parent)
    dialog.open()
    dialog.title.setText("Shop")
    dialog.notes.setPlainText("")
    dialog.primary.click()
    qtbot.waitUntil(lambda: not shiboken6.isValid(dialog))
    assert fake_engine.requests == [SetTitle(vm.key, "Shop"), SetNotes(vm.key, "")]


def test_after_a_failure_only_the_rest_is_written(
    qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, vm: VmInfo, parent: QWidget
) -> None:
    fake_engine.fail_next(SetNotes, OperationError("libvirt refused."))
    dialog = NotesDialog(bridge, vm, parent)
    dialog.open()
    dialog.title.setText("Shop")
    dialog.notes.setPlainText("Notes")
    dialog.primary.click()
    qtbot.waitUntil(lambda: dialog.strip.error is not None)
    dialog.primary.click()
    qtbot.waitUntil(lambda: not shiboken6.isValid(dialog))
    assert fake_engine.requests == [
        SetTitle(vm.key, "Shop"),
        SetNotes(vm.key, "Notes"),
        SetNotes(vm.key, "Notes"),
    ]


def test_notes_have_a_limit(bridge: Bridge, vm: VmInfo, parent: QWidget) -> None:
    dialog = NotesDialog(bridge, vm, parent)
    dialog.open()
    dialog.notes.setPlainText("ä" * (NOTES_LIMIT_BYTES // 2 + 1))
    assert "64 KiB" in dialog.row.problem
    assert not dialog.primary.isEnabled()


def test_tab_leaves_the_notes(qtbot: QtBot, bridge: Bridge, vm: VmInfo, parent: QWidget) -> None:
    dialog = NotesDialog(bridge, vm, parent)
    dialog.open()
    qtbot.waitUntil(dialog.isActiveWindow)
    dialog.notes.setFocus()
    QTest.keyClick(dialog.notes, Qt.Key.Key_Tab)
    assert dialog.focusWidget() is not dialog.notes
    assert "\t" not in dialog.notes.toPlainText()
