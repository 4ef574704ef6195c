"""Where the keyboard goes on the Snapshots page and in its dialogs, and what Enter does there."""

from __future__ import annotations

from typing import TypeVar

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QDialog, QLineEdit, QPushButton, QWidget
from pytestqt.qtbot import QtBot

from guivm.engine import requests as rq
from guivm.engine.snapshots.values import SnapshotId
from guivm.engine.types import VmKey, VmState
from guivm.errors import OperationError
from guivm.views.main_window import MainWindow
from guivm.views.snapshots.delete import DeleteSnapshotsDialog
from guivm.views.snapshots.page import SnapshotsPage
from guivm.views.snapshots.questions import TemplateDialog
from guivm.views.snapshots.restore import RestoreDialog
from guivm.views.snapshots.take import TakeDialog
from guivm.views.snapshots.wishes import Verb
from tests.helpers.fake_engine import FakeEngine
from tests.helpers.fake_snapshots import snapshot

D = TypeVar("D", bound=QDialog)
A, B, C = SnapshotId("a"), SnapshotId("b"), SnapshotId("c")


@pytest.fixture
def key(fake_engine: FakeEngine) -> VmKey:
    key = fake_engine.add_vm("web", VmState.RUNNING)
    fake_engine.snapshots.put(key, snapshot("a"), snapshot("b", "a"), snapshot("c", "b"), current="a")
    return key


@pytest.fixture
def page(qtbot: QtBot, window: MainWindow) -> SnapshotsPage:
    """Reached by its shortcut."""
    window.activateWindow()
    window.registry.action("show-snapshots").trigger()
    page = window.vm_page.snapshots
    qtbot.waitUntil(lambda: page.model.tree is not None)
    return page


def focused(window: QWidget) -> QWidget | None:
    return window.window().focusWidget()


def dialog(qtbot: QtBot, kind: type[D]) -> D:
    def shown() -> list[D]:
        return [widget for widget in QApplication.topLevelWidgets() if isinstance(widget, kind) and widget.isVisible()]

    qtbot.waitUntil(lambda: bool(shown()))
    return shown()[0]


def test_the_shortcut_leads_into_the_tree(page: SnapshotsPage) -> None:
    assert focused(page) is page.tree


def test_enter_ends_a_renaming_and_no_more(qtbot: QtBot, page: SnapshotsPage, fake_engine: FakeEngine) -> None:
    wishes: list[object] = []
    page.wished.connect(wishes.append)
    page.tree.choose(B)
    page.rename()
    editor = page.tree.findChild(QLineEdit, "snapshot-title-edit")
    assert editor is not None
    editor.setText("Better")
    QTest.keyClick(editor, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: page.details.title.label.whole_text == "Better")
    assert wishes == []
    assert fake_engine.requests_of(rq.PlanOperation) == []


def test_from_the_tree_to_the_first_snapshot_and_back(
    qtbot: QtBot, page: SnapshotsPage, fake_engine: FakeEngine, key: VmKey
) -> None:
    fake_engine.submit(rq.DeleteSnapshots(key, (A, B, C)))
    qtbot.waitUntil(lambda: focused(page) is page.empty.take)
    fake_engine.hold(rq.TakeSnapshot)
    fake_engine.submit(rq.TakeSnapshot(key, "First"))
    qtbot.waitUntil(lambda: not page.empty.take.isEnabled())
    assert focused(page) is page.toolbar.help, "it stays on the page"
    fake_engine.release()
    qtbot.waitUntil(lambda: focused(page) is page.tree)


def test_after_a_deletion_the_one_above_is_chosen(
    qtbot: QtBot, page: SnapshotsPage, fake_engine: FakeEngine, key: VmKey
) -> None:
    page.tree.choose(C)
    page.toolbar.button(Verb.DELETE).setFocus()
    fake_engine.submit(rq.DeleteSnapshots(key, (B, C)))
    qtbot.waitUntil(lambda: page.model.snapshot(C) is None)
    assert page.chosen == (A,)
    found = focused(page)
    assert found is not None
    assert page.isAncestorOf(found)


def test_a_notice_that_goes_leaves_the_focus_on_the_page(
    qtbot: QtBot, page: SnapshotsPage, fake_engine: FakeEngine, key: VmKey
) -> None:
    fake_engine.submit(rq.RestoreSnapshot(key, A, ""))
    qtbot.waitUntil(page.notices.isVisible)
    undo = page.notices.findChild(QPushButton, "snapshot-notice-undo-restore")
    assert undo is not None
    undo.setFocus()
    fake_engine.submit(rq.UndoRestore(key))
    qtbot.waitUntil(lambda: not page.notices.isVisible())
    assert focused(page) is page.tree


def test_enter_does_what_a_question_proposes(qtbot: QtBot, window: MainWindow, page: SnapshotsPage) -> None:
    page.tree.choose(A)
    page.wish(Verb.RESTORE)
    restore = dialog(qtbot, RestoreDialog)
    assert focused(restore) is restore.keep
    qtbot.waitUntil(restore.primary.isEnabled)
    with qtbot.waitSignal(restore.decided):
        QTest.keyClick(restore.keep, Qt.Key.Key_Return)
    window.registry.action("template").setEnabled(True)
    page.wish(Verb.TEMPLATE)
    template = dialog(qtbot, TemplateDialog)
    qtbot.waitUntil(lambda: focused(template) is template.primary)
    template.reject()


def test_enter_deletes_nothing(qtbot: QtBot, page: SnapshotsPage) -> None:
    page.tree.choose(A)
    page.wish(Verb.DELETE)
    found = dialog(qtbot, DeleteSnapshotsDialog)
    qtbot.waitUntil(found.primary.isEnabled)
    assert focused(found) is found.cancel
    with qtbot.waitSignal(found.rejected):
        QTest.keyClick(found.cancel, Qt.Key.Key_Return)


def test_while_a_job_goes_on_nothing_is_read_and_nothing_complained_of(
    qtbot: QtBot, window: MainWindow, page: SnapshotsPage, fake_engine: FakeEngine, key: VmKey
) -> None:
    fake_engine.hold(rq.TakeSnapshot, rq.ReadSnapshots)
    page.reload()
    fake_engine.submit(rq.TakeSnapshot(key, "New"))
    qtbot.waitUntil(lambda: bool(page.jobs.title))
    before = len(fake_engine.requests_of(rq.ReadSnapshots))
    page.reload()
    assert len(fake_engine.requests_of(rq.ReadSnapshots)) == before
    waiting = zip(fake_engine.held(), fake_engine.held_jobs(), strict=True)
    (reading,) = (job for request, job in waiting if isinstance(request, rq.ReadSnapshots))
    reading.fail(OperationError("A snapshot of “web” is being taken."))
    fake_engine.release()
    qtbot.waitUntil(
        lambda: any(info.title == "New" for info in page.model.tree.snapshots) if page.model.tree else False
    )
    assert not any("is being taken" in text for text in window.messages.texts)


def test_memory_that_always_goes_along_is_no_choice(
    qtbot: QtBot, page: SnapshotsPage, fake_engine: FakeEngine, key: VmKey
) -> None:
    fake_engine.snapshots.change(key, cannot_skip_memory="Inside images it always goes along.")
    page.reload()
    qtbot.waitUntil(lambda: page.model.tree is not None and bool(page.model.tree.cannot_skip_memory))
    page.wish(Verb.TAKE)
    take = dialog(qtbot, TakeDialog)
    qtbot.waitUntil(take.primary.isEnabled)
    assert take.memory.isChecked()
    assert not take.memory.isEnabled()
    assert "always goes along" in take.memory_row.note.text
    operation = take.operation()
    assert operation is not None
    assert operation.memory
    take.reject()


def test_detaching_is_offered_to_linked_clones_alone(
    qtbot: QtBot, window: MainWindow, page: SnapshotsPage, fake_engine: FakeEngine, key: VmKey
) -> None:
    action = window.registry.action("detach-clone")
    window.registry.menuShown.emit()
    qtbot.waitUntil(lambda: not action.isEnabled())
    assert "no linked clone" in window.registry.refusal("detach-clone")
    assert not page.notices.isVisible()
    source = fake_engine.add_vm("source")
    fake_engine.snapshots.linked[key] = source
    window.registry.menuShown.emit()
    qtbot.waitUntil(action.isEnabled)
    page.reload()
    qtbot.waitUntil(page.notices.isVisible)
    assert "source.qcow2" in page.notices.texts[0]
    detach = page.notices.findChild(QPushButton, "snapshot-notice-detach-clone")
    assert detach is not None
    with qtbot.waitSignal(page.wished) as wished:
        detach.click()
    assert wished.args[0].verb is Verb.DETACH
