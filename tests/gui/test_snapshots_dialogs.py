"""Dialogs about snapshots and clones: what they ask for, the plan they show, what they refuse."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import pytest
import shiboken6
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from guivm.engine import requests as rq
from guivm.engine.snapshots.values import (
    CloneKind,
    CloneSpec,
    IdentityPolicy,
    SnapshotId,
    SnapshotInfo,
    SnapshotTree,
    TpmPolicy,
)
from guivm.engine.types import VmKey, VmState
from guivm.errors import HostError
from guivm.views.bridge import Bridge
from guivm.views.snapshots.clone import CloneDialog
from guivm.views.snapshots.delete import DeleteSnapshotsDialog
from guivm.views.snapshots.plan_dialog import PlanDialog
from guivm.views.snapshots.questions import DetachDialog, TemplateDialog, UndoRestoreDialog
from guivm.views.snapshots.restore import RestoreDialog
from guivm.views.snapshots.take import TakeDialog
from tests.helpers.fake_engine import GIB, LOCAL, FakeEngine
from tests.helpers.fake_snapshots import snapshot, vm_of

D = TypeVar("D", bound=PlanDialog)
A, B = SnapshotId("a"), SnapshotId("b")


@pytest.fixture
def key(fake_engine: FakeEngine) -> VmKey:
    key = fake_engine.add_vm("web", VmState.RUNNING)
    fake_engine.snapshots.put(
        key, snapshot("a", title="Snapshot 3"), snapshot("b", "a", title="Works", has_memory=True), can_quiesce=True
    )
    return key


def opened(qtbot: QtBot, dialog: D) -> D:
    dialog.open()
    qtbot.waitUntil(lambda: dialog.plan_view.plan is not None)
    return dialog


@pytest.fixture
def tree(fake_engine: FakeEngine, key: VmKey) -> SnapshotTree:
    return fake_engine.snapshots.tree(key)


def info(tree: SnapshotTree, snapshot_id: SnapshotId) -> SnapshotInfo:
    return next(found for found in tree.snapshots if found.id == snapshot_id)


# --- take -------------------------------------------------------------------------------------------------


def test_take_proposes_and_plans_while_options_change(
    qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, key: VmKey, owner: QWidget
) -> None:
    dialog = opened(qtbot, TakeDialog(bridge, vm_of(fake_engine, key), None, owner))
    assert dialog.title.text() == "Snapshot 4"
    assert dialog.title.selectedText() == "Snapshot 4"
    assert dialog.memory.isChecked()
    assert not dialog.quiesce.isEnabled()
    assert "1\u00a0GiB" in dialog.plan_view.facts.text()
    assert "stands still" in dialog.plan_view.facts.text()
    dialog.memory.click()
    assert dialog.quiesce.isEnabled()
    qtbot.waitUntil(lambda: "200\u00a0KiB" in dialog.plan_view.facts.text())
    dialog.quiesce.click()
    dialog.title.setText("  Before  ")
    dialog.notes.setPlainText("why")
    with qtbot.waitSignal(dialog.decided) as decided:
        QTest.keyClick(dialog.title, Qt.Key.Key_Return)
    assert decided.args == [rq.TakeSnapshot(key, "Before", "why", memory=False, quiesce=True)]
    plans = fake_engine.requests_of(rq.PlanOperation)
    assert plans[-1].operation == decided.args[0], "what is done has been planned"
    assert fake_engine.requests_of(rq.TakeSnapshot) == [], "the dialog only says what"
    qtbot.waitUntil(lambda: not shiboken6.isValid(dialog))


def test_take_of_a_vm_that_is_off_has_no_memory(
    qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, key: VmKey, owner: QWidget, tree: SnapshotTree
) -> None:
    fake_engine.change_vm(key, state=VmState.OFF)
    dialog = opened(qtbot, TakeDialog(bridge, vm_of(fake_engine, key), tree, owner))
    assert not dialog.memory.isEnabled()
    assert "off" in dialog.memory_row.note.text
    assert fake_engine.requests_of(rq.ReadSnapshots) == [], "it was known already"
    with qtbot.waitSignal(dialog.decided) as decided:
        dialog.primary.click()
    assert decided.args == [rq.TakeSnapshot(key, "Snapshot 4", "", memory=False)]


def test_take_says_why_the_memory_cannot_be_kept(
    qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, key: VmKey, owner: QWidget
) -> None:
    fake_engine.snapshots.change(key, cannot_keep_memory="It has a device of the host.", can_quiesce=False)
    dialog = opened(qtbot, TakeDialog(bridge, vm_of(fake_engine, key), None, owner))
    assert (dialog.memory.isEnabled(), dialog.memory.isChecked()) == (False, False)
    assert dialog.memory_row.note.text == "It has a device of the host."
    assert "agent" in dialog.quiesce_row.note.text


def test_take_needs_a_title(
    qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, key: VmKey, owner: QWidget, tree: SnapshotTree
) -> None:
    dialog = opened(qtbot, TakeDialog(bridge, vm_of(fake_engine, key), tree, owner))
    dialog.title.setText("  ")
    assert not dialog.primary.isEnabled()
    assert dialog.title_row.problem == dialog.reason == "Give the snapshot a title."
    dialog.title.setText("x")
    assert dialog.primary.isEnabled()


def test_a_refusal_stands_beside_the_button_with_what_to_do(
    qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, key: VmKey, owner: QWidget, tree: SnapshotTree
) -> None:
    fake_engine.snapshots.refusals[rq.TakeSnapshot] = ("“/x.qcow2” is read only.", "Make it writable.")
    dialog = opened(qtbot, TakeDialog(bridge, vm_of(fake_engine, key), tree, owner))
    assert not dialog.primary.isEnabled()
    assert dialog.plan_view.refusal.problem == "“/x.qcow2” is read only. Make it writable."
    assert dialog.plan_view.refusal.isVisible()
    assert dialog.primary.accessibleDescription() == "“/x.qcow2” is read only."
    QTest.keyClick(dialog, Qt.Key.Key_Return)
    assert dialog.isVisible()
    del fake_engine.snapshots.refusals[rq.TakeSnapshot]
    dialog.memory.click()
    qtbot.waitUntil(dialog.primary.isEnabled)
    assert not dialog.plan_view.refusal.isVisible()


def test_a_plan_that_fails_can_be_tried_again(
    qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, key: VmKey, owner: QWidget, tree: SnapshotTree
) -> None:
    fake_engine.fail_next(rq.PlanOperation, HostError("No answer."))
    dialog = TakeDialog(bridge, vm_of(fake_engine, key), tree, owner)
    dialog.open()
    qtbot.waitUntil(lambda: dialog.strip.error is not None)
    assert not dialog.primary.isEnabled()
    dialog.strip.retry.click()
    qtbot.waitUntil(dialog.primary.isEnabled)


def test_a_draft_brings_back_what_was_typed(
    qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, key: VmKey, owner: QWidget
) -> None:
    draft = rq.TakeSnapshot(key, "Mine", "long notes", memory=False, quiesce=True)
    dialog = opened(qtbot, TakeDialog(bridge, vm_of(fake_engine, key), None, owner, draft=draft))
    with qtbot.waitSignal(dialog.decided) as decided:
        dialog.primary.click()
    assert decided.args == [draft]


def test_too_little_room_is_said(
    qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, key: VmKey, owner: QWidget, tree: SnapshotTree
) -> None:
    fake_engine.snapshots.plan_fields = {"needs_bytes": 9 * GIB, "free_bytes": GIB}
    dialog = opened(qtbot, TakeDialog(bridge, vm_of(fake_engine, key), tree, owner))
    assert "only 1\u00a0GiB are free" in dialog.plan_view.facts.text()


# --- restore ----------------------------------------------------------------------------------------------


def test_restore_keeps_the_current_state_unless_told_otherwise(
    qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, key: VmKey, owner: QWidget, tree: SnapshotTree
) -> None:
    dialog = opened(qtbot, RestoreDialog(bridge, vm_of(fake_engine, key), tree, info(tree, B), owner))
    assert dialog.keep.isChecked()
    assert dialog.title.text() == "Before restoring “Works”"
    assert not dialog.plan_view.notes
    assert dialog.primary.property("kind") == "primary"
    dialog.keep.click()
    qtbot.waitUntil(lambda: len(dialog.plan_view.notes) == 2)
    assert dialog.plan_view.notes[0].startswith("Lost: What was written")
    assert dialog.primary.property("kind") == "danger"
    assert not dialog.primary.isDefault(), "Enter alone loses nothing"
    dialog.keep.click()
    dialog.title.clear()
    assert not dialog.primary.isEnabled()
    dialog.title.setText("Just now")
    with qtbot.waitSignal(dialog.decided) as decided:
        dialog.primary.click()
    assert decided.args == [rq.RestoreSnapshot(key, B, "Just now")]


def test_restore_where_no_snapshot_can_be_taken(
    qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, key: VmKey, owner: QWidget
) -> None:
    tree = fake_engine.snapshots.change(key, cannot_take="The disk is full.")
    dialog = opened(qtbot, RestoreDialog(bridge, vm_of(fake_engine, key), tree, info(tree, A), owner))
    assert (dialog.keep.isChecked(), dialog.keep.isEnabled()) == (False, False)
    assert dialog.note.problem == "The disk is full."
    with qtbot.waitSignal(dialog.decided) as decided:
        dialog.primary.click()
    assert decided.args == [rq.RestoreSnapshot(key, A)]


def test_every_file_and_step_of_a_plan_can_be_seen(
    qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, key: VmKey, owner: QWidget, tree: SnapshotTree
) -> None:
    dialog = opened(qtbot, RestoreDialog(bridge, vm_of(fake_engine, key), tree, info(tree, A), owner))
    plan = dialog.plan_view
    assert not plan.table.isVisible()
    assert plan.more.accessibleName() == "Details: 2 files, 3 steps"
    plan.more.click()
    assert plan.table.isVisible()
    model = plan.table.model()
    rows = [[model.index(row, column).data() for column in range(3)] for row in range(model.rowCount())]
    assert [row[0] for row in rows] == ["Made new", "Set aside, removed later"]
    assert rows[1][1].endswith("/images/web.9a2e.qcow2")
    assert ".guivm-trash" in str(model.index(1, 1).data(Qt.ItemDataRole.ToolTipRole))
    plan.kind.set_value("steps")
    model = plan.table.model()
    assert model.index(0, 0).data() == "1.  Make a new image on the snapshot's"


def test_undo(
    qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, key: VmKey, owner: QWidget, tree: SnapshotTree
) -> None:
    fake_engine.submit(rq.RestoreSnapshot(key, A)).result(5)
    dialog = opened(qtbot, UndoRestoreDialog(bridge, vm_of(fake_engine, key), tree, "Works", owner))
    assert "“Works”" in dialog.heading.text()
    with qtbot.waitSignal(dialog.decided) as decided:
        dialog.primary.click()
    assert decided.args == [rq.UndoRestore(key)]


# --- delete -----------------------------------------------------------------------------------------------


def test_delete_one_or_with_all_below(
    qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, key: VmKey, owner: QWidget, tree: SnapshotTree
) -> None:
    dialog = opened(qtbot, DeleteSnapshotsDialog(bridge, vm_of(fake_engine, key), tree, [info(tree, A)], owner))
    assert dialog.scope.isVisible()
    assert "freed" in dialog.plan_view.facts.text()
    assert not dialog.primary.isDefault()
    dialog.scope.button("children").click()
    with qtbot.waitSignal(dialog.decided) as decided:
        dialog.primary.click()
    assert decided.args == [rq.DeleteSnapshots(key, (A,), children=True)]
    leaf = opened(qtbot, DeleteSnapshotsDialog(bridge, vm_of(fake_engine, key), tree, [info(tree, B)], owner))
    assert not leaf.scope.isVisible()
    with qtbot.waitSignal(leaf.decided) as decided:
        leaf.primary.click()
    assert decided.args == [rq.DeleteSnapshots(key, (B,), children=False)]


def test_delete_several(
    qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, key: VmKey, owner: QWidget, tree: SnapshotTree
) -> None:
    dialog = opened(qtbot, DeleteSnapshotsDialog(bridge, vm_of(fake_engine, key), tree, list(tree.snapshots), owner))
    assert dialog.windowTitle() == "Delete 2 snapshots"
    with qtbot.waitSignal(dialog.decided) as decided:
        dialog.primary.click()
    assert decided.args == [rq.DeleteSnapshots(key, (A, B))]


# --- clone, template --------------------------------------------------------------------------------------


def test_clone_proposes_a_free_name_and_what_is_safe(
    qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, key: VmKey, owner: QWidget
) -> None:
    fake_engine.add_vm("web-clone")
    dialog = opened(qtbot, CloneDialog(bridge, vm_of(fake_engine, key), None, B, owner))
    assert dialog.name.text() == "web-clone-2"
    assert dialog.source.currentText() == "Works"
    with qtbot.waitSignal(dialog.decided) as decided:
        dialog.primary.click()
    assert decided.args == [rq.CloneVm(key, CloneSpec("web-clone-2", snapshot=B))]


def test_clone_with_everything_else(
    qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, key: VmKey, owner: QWidget, tree: SnapshotTree
) -> None:
    dialog = opened(qtbot, CloneDialog(bridge, vm_of(fake_engine, key), tree, None, owner))
    dialog.name.setText("copy")
    dialog.kind.button("linked").click()
    dialog.identity.setCurrentIndex(1)
    dialog.macs.setCurrentIndex(1)
    assert "MAC" in dialog.mac_row.problem
    assert "same machine" in dialog.identity_row.problem
    dialog.more.click()
    dialog.tpm.setCurrentIndex(1)
    dialog.serials.click()
    dialog.folder.edit.setText("images")
    assert not dialog.primary.isEnabled()
    assert dialog.folder_row.problem
    dialog.folder.edit.setText("/srv/images")
    expected = CloneSpec(
        "copy", CloneKind.LINKED, None, True, True, TpmPolicy.COPY, IdentityPolicy.KEEP, "/srv/images"
    )  # fmt: skip
    assert dialog.spec() == expected
    with qtbot.waitSignal(dialog.decided) as decided:
        dialog.primary.click()
    assert decided.args == [rq.CloneVm(key, expected)]
    again = opened(qtbot, CloneDialog(bridge, vm_of(fake_engine, key), tree, None, owner, draft=expected))
    assert again.spec() == expected


@pytest.mark.parametrize("name", ["", "web", "a/b"])
def test_clone_checks_the_name(
    qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, key: VmKey, owner: QWidget, tree: SnapshotTree, name: str
) -> None:
    dialog = opened(qtbot, CloneDialog(bridge, vm_of(fake_engine, key), tree, None, owner))
    dialog.name.setText(name)
    assert not dialog.primary.isEnabled()
    assert dialog.name_row.problem == dialog.reason
    dialog.name.setText("good")
    assert dialog.primary.isEnabled()


def test_a_refused_clone_is_said_where_it_can_be_seen(
    qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, key: VmKey, owner: QWidget, tree: SnapshotTree
) -> None:
    fake_engine.snapshots.refusals[rq.CloneVm] = ("It has internal snapshots.", "Make a full clone.")
    dialog = opened(qtbot, CloneDialog(bridge, vm_of(fake_engine, key), tree, None, owner))
    assert not dialog.primary.isEnabled()
    assert dialog.status.text == "It has internal snapshots. Make a full clone."


@pytest.mark.parametrize(
    ("xml", "asked"),
    [
        ("<domain/>", False),
        ("<domain><devices><tpm model='tpm-crb'><backend type='emulator'/></tpm></devices></domain>", True),
        ("no XML", True),
    ],
)
def test_clone_asks_about_a_tpm_where_there_is_one(
    qtbot: QtBot,
    bridge: Bridge,
    fake_engine: FakeEngine,
    key: VmKey,
    owner: QWidget,
    tree: SnapshotTree,
    xml: str,
    *,
    asked: bool,
) -> None:
    details = fake_engine.submit(rq.ReadDetails(key)).result(1)
    fake_engine.details[key] = replace(details, xml=xml)
    dialog = opened(qtbot, CloneDialog(bridge, vm_of(fake_engine, key), tree, None, owner))
    dialog.more.click()
    qtbot.waitUntil(lambda: dialog.tpm.isVisible() is asked)
    assert dialog.serials.isVisible()


def test_clone_asks_about_a_tpm_when_it_is_not_known(
    qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, key: VmKey, owner: QWidget, tree: SnapshotTree
) -> None:
    fake_engine.fail_next(rq.ReadDetails, HostError("The host does not answer."))
    dialog = opened(qtbot, CloneDialog(bridge, vm_of(fake_engine, key), tree, None, owner))
    dialog.more.click()
    qtbot.waitUntil(dialog.tpm.isVisible)


def test_template_on_and_off(qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, key: VmKey, owner: QWidget) -> None:
    dialog = opened(qtbot, TemplateDialog(bridge, vm_of(fake_engine, key), None, owner))
    assert dialog.heading.text() == "Make “web” a template?"
    with qtbot.waitSignal(dialog.decided) as decided:
        dialog.primary.click()
    assert decided.args == [rq.SetTemplate(key, True)]
    fake_engine.snapshots.change(key, is_template=True)
    back = opened(qtbot, TemplateDialog(bridge, vm_of(fake_engine, key), None, owner))
    assert "ordinary" in back.heading.text()
    with qtbot.waitSignal(back.decided) as decided:
        back.primary.click()
    assert decided.args == [rq.SetTemplate(key, False)]


def test_detach_makes_sense_for_linked_clones_only(
    qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, key: VmKey, owner: QWidget
) -> None:
    dialog = opened(qtbot, DetachDialog(bridge, vm_of(fake_engine, key), None, owner))
    assert "no linked clone" in dialog.plan_view.refusal.problem
    assert not dialog.primary.isEnabled()
    dialog.reject()
    clone = fake_engine.add_vm("copy", host=LOCAL)
    fake_engine.snapshots.linked[clone] = key
    good = opened(qtbot, DetachDialog(bridge, vm_of(fake_engine, clone), None, owner))
    with qtbot.waitSignal(good.decided) as decided:
        good.primary.click()
    assert decided.args == [rq.DetachClone(clone)]
