"""The Snapshots page: reading, choosing, what can be done and why not, timeline, titles and notes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import shiboken6
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QMenu, QWidget
from pytestqt.qtbot import QtBot

from guivm.engine import requests as rq
from guivm.engine.job_types import Screenshot
from guivm.engine.jobs import JobProgress
from guivm.engine.snapshots.values import SnapshotId, SnapshotMode
from guivm.engine.types import VmKey, VmState
from guivm.errors import HostError, OperationError
from guivm.views.bridge import Bridge
from guivm.views.snapshots.page import SnapshotsPage
from guivm.views.snapshots.wishes import Verb, Wish
from tests.helpers.fake_engine import FakeEngine
from tests.helpers.fake_snapshots import snapshot, vm_of

A, B, C = SnapshotId("a"), SnapshotId("b"), SnapshotId("c")
PICTURE = Screenshot("image/x-portable-pixmap", b"P6\n2 1\n255\n\xff\x00\x00\x00\x00\xff")


@pytest.fixture
def key(fake_engine: FakeEngine) -> VmKey:
    key = fake_engine.add_vm("web", VmState.RUNNING)
    fake_engine.snapshots.put(
        key,
        snapshot("a", age_s=9000, title="Fresh", notes="clean"),
        snapshot("b", "a", age_s=5000, title="Works", has_memory=True, has_picture=True, pause_s=1.2),
        snapshot("c", "a", age_s=100, title="Tried", cannot_delete="“x” needs it.", cannot_restore="It is encrypted."),
        current="b",
        changed=True,
    )
    fake_engine.snapshots.pictures[B] = PICTURE
    return key


@pytest.fixture
def page(qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, key: VmKey) -> SnapshotsPage:
    page = SnapshotsPage(bridge)
    qtbot.addWidget(page)
    page.resize(1000, 640)
    show(page, fake_engine, key)
    page.show()
    qtbot.waitExposed(page)
    qtbot.waitUntil(lambda: page.model.tree is not None)
    return page


def show(page: SnapshotsPage, engine: FakeEngine, key: VmKey) -> None:
    page.set_vm(vm_of(engine, key))


def reads(engine: FakeEngine) -> int:
    return len(engine.requests_of(rq.ReadSnapshots))


def test_begins_at_the_current_state(page: SnapshotsPage) -> None:
    assert page.tree.current is None
    assert list(page.chosen) == []
    assert page.details.title.label.whole_text == "Current state (changed)"
    assert page.details.text.text() == "It goes back to “Works” and has changed since."
    assert page.toolbar.reason(Verb.RESTORE) == "Select a snapshot first."
    assert page.toolbar.reason(Verb.TAKE) == ""
    assert not page.notices.isVisible()


def test_nothing_is_read_before_it_is_to_be_seen(
    qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, key: VmKey
) -> None:
    page = SnapshotsPage(bridge)
    qtbot.addWidget(page)
    show(page, fake_engine, key)
    assert reads(fake_engine) == 0
    page.show()
    qtbot.waitUntil(lambda: page.model.tree is not None)
    page.hide()
    fake_engine.change_vm(key, definition=7)
    show(page, fake_engine, key)
    assert reads(fake_engine) == 1
    page.show()
    qtbot.waitUntil(lambda: reads(fake_engine) == 2)


def test_details_of_a_snapshot(qtbot: QtBot, page: SnapshotsPage, fake_engine: FakeEngine) -> None:
    page.tree.choose(B)
    details = page.details
    assert details.title.label.whole_text == "Works"
    assert details.pause.text() == "The guest stood still for 1.2 s."
    assert "exactly where it was" in details.holds.text()
    assert details.size_fact.text() == "300\u00a0MiB"
    assert "frozen" in details.kept.text()
    qtbot.waitUntil(lambda: not details.picture.image.isNull())
    page.tree.choose(A)
    assert details.picture.word == "No picture"
    assert details.notes.edit.toPlainText() == "clean"
    page.tree.choose(B)
    assert not details.picture.image.isNull(), "kept"
    assert len(fake_engine.requests_of(rq.ReadSnapshotPicture)) == 1
    page.tree.choose(C)
    assert details.delete_reason.problem == "“x” needs it."
    assert details.restore_reason.problem == "It is encrypted."
    assert page.toolbar.reason(Verb.DELETE) == "“x” needs it."
    assert page.toolbar.reason(Verb.RESTORE) == "It is encrypted."
    assert not page.toolbar.button(Verb.DELETE).isEnabled()


def test_a_picture_that_is_none_is_no_error(qtbot: QtBot, page: SnapshotsPage, fake_engine: FakeEngine) -> None:
    fake_engine.snapshots.pictures[B] = Screenshot("image/png", b"no picture at all")
    page.tree.choose(B)
    qtbot.waitUntil(lambda: page.details.picture.word == "No picture")
    fake_engine.fail_next(rq.ReadSnapshotPicture, HostError("no answer"))


def test_several_can_only_be_deleted(page: SnapshotsPage) -> None:
    page.tree.selectAll()
    assert list(page.chosen) == [A, B, C]
    assert page.details.title.label.whole_text == "3 snapshots"
    assert page.toolbar.reason(Verb.RESTORE) == "Select one snapshot alone."
    assert page.toolbar.reason(Verb.CLONE)
    assert page.toolbar.reason(Verb.DELETE) == "“x” needs it."


def test_wishes_carry_what_is_selected(qtbot: QtBot, page: SnapshotsPage, key: VmKey) -> None:
    page.tree.choose(B)
    for verb in (Verb.TAKE, Verb.RESTORE, Verb.DELETE, Verb.CLONE):
        with qtbot.waitSignal(page.wished) as wished:
            page.toolbar.button(verb).click()
        assert wished.args == [Wish(verb, key, (B,), page.model.tree)]


def test_keys_in_the_tree(qtbot: QtBot, page: SnapshotsPage) -> None:
    page.tree.setFocus()
    for snapshot_id, pressed, verb in (
        (B, Qt.Key.Key_Return, Verb.RESTORE),
        (B, Qt.Key.Key_Delete, Verb.DELETE),
        (None, Qt.Key.Key_Enter, Verb.TAKE),
    ):
        page.tree.choose(snapshot_id)
        with qtbot.waitSignal(page.wished) as wished:
            QTest.keyClick(page.tree, pressed)
        assert wished.args[0].verb is verb
    page.tree.choose(B)
    QTest.keyClick(page.tree, Qt.Key.Key_F2)
    editor = page.findChild(QWidget, "snapshot-title-edit")
    assert editor is not None
    QTest.keyClicks(editor, "Runs well")
    QTest.keyClick(editor, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: page.details.title.label.whole_text == "Runs well")


def test_title_and_notes_are_edited_together(
    qtbot: QtBot, page: SnapshotsPage, fake_engine: FakeEngine, key: VmKey
) -> None:
    page.tree.choose(A)
    notes = page.details.notes
    assert not notes.save.isVisible()
    notes.edit.setPlainText("clean\nreally")
    assert notes.save.isVisible()
    notes.save.click()
    assert fake_engine.requests_of(rq.EditSnapshot) == [rq.EditSnapshot(key, A, "Fresh", "clean\nreally")]
    qtbot.waitUntil(lambda: reads(fake_engine) == 2)
    qtbot.waitUntil(lambda: page.model.snapshot(A) == fake_engine.snapshots.tree(key).snapshots[0])
    page.details.title.begin()
    page.details.title.field.setText("First")
    QTest.keyClick(page.details.title.field, Qt.Key.Key_Return)
    assert fake_engine.requests_of(rq.EditSnapshot)[1:] == [rq.EditSnapshot(key, A, "First", "clean\nreally")]
    notes.edit.setPlainText("x")
    notes.revert.click()
    assert notes.edit.toPlainText() == "clean\nreally"


def test_notes_are_not_lost_when_somebody_looks_elsewhere(
    page: SnapshotsPage, fake_engine: FakeEngine, key: VmKey
) -> None:
    page.tree.choose(A)
    page.details.notes.edit.setPlainText("do not lose me")
    page.tree.choose(B)
    assert fake_engine.requests_of(rq.EditSnapshot) == [rq.EditSnapshot(key, A, "Fresh", "do not lose me")]
    assert page.details.notes.edit.toPlainText() == ""


def test_what_is_being_typed_stays_when_the_tree_is_read_again(
    qtbot: QtBot, page: SnapshotsPage, fake_engine: FakeEngine
) -> None:
    page.tree.choose(A)
    page.details.notes.edit.setPlainText("half a sen")
    page.reload()
    qtbot.waitUntil(lambda: reads(fake_engine) == 2)
    assert page.details.notes.edit.toPlainText() == "half a sen"


def test_the_end_of_a_job_has_the_tree_read_again(
    qtbot: QtBot, page: SnapshotsPage, fake_engine: FakeEngine, key: VmKey
) -> None:
    page.tree.choose(B)
    fake_engine.submit(rq.TakeSnapshot(key, "More"))
    qtbot.waitUntil(lambda: len(page.model.tree.snapshots if page.model.tree else ()) == 4)
    assert list(page.chosen) == [B], "the selection stays"


def test_a_job_shows_its_progress_and_can_be_cancelled(
    qtbot: QtBot, page: SnapshotsPage, fake_engine: FakeEngine, key: VmKey
) -> None:
    fake_engine.hold(rq.DeleteSnapshots)
    page._bridge.submit(rq.DeleteSnapshots(key, (A,)), page)
    (job,) = fake_engine.held_jobs()
    asked: list[int] = []
    job.on_cancel(lambda: asked.append(1))
    job.report(JobProgress(1, 2, step="Merging"))
    qtbot.waitUntil(lambda: len(page.jobs.rows) == 1)
    assert "Wait for the end of" in page.toolbar.reason(Verb.TAKE)
    assert "Merging" in page.jobs.rows[0].words.whole_text
    page.jobs.rows[0].cancel.click()
    assert asked == [1]
    fake_engine.fail_held(OperationError("disk full"))
    qtbot.waitUntil(lambda: not page.jobs.isVisible())
    assert page.toolbar.reason(Verb.TAKE) == ""


def test_jobs_of_other_vms_are_theirs(qtbot: QtBot, page: SnapshotsPage, fake_engine: FakeEngine) -> None:
    other = fake_engine.add_vm("other")
    fake_engine.hold(rq.Start)
    fake_engine.submit(rq.Start(other))
    with qtbot.assertNotEmitted(page.jobs.changed, wait=20):
        fake_engine.release()
    assert page.jobs.title == ""


def test_empty(qtbot: QtBot, page: SnapshotsPage, fake_engine: FakeEngine) -> None:
    bare = fake_engine.add_vm("bare")
    show(page, fake_engine, bare)
    qtbot.waitUntil(lambda: page.stack.currentWidget() is page.empty)
    with qtbot.waitSignal(page.wished) as wished:
        page.empty.take.click()
    assert (wished.args[0].verb, wished.args[0].key) == (Verb.TAKE, bare)
    fake_engine.snapshots.change(bare, cannot_take="It has a raw disk.")
    page.reload()
    qtbot.waitUntil(lambda: not page.empty.take.isEnabled())
    assert page.empty.reason.problem == "It has a raw disk."


def test_failure_can_be_tried_again(qtbot: QtBot, page: SnapshotsPage, fake_engine: FakeEngine, key: VmKey) -> None:
    other = fake_engine.add_vm("other")
    fake_engine.fail_next(rq.ReadSnapshots, HostError("The host did not answer."))
    show(page, fake_engine, other)
    qtbot.waitUntil(lambda: page.stack.currentWidget() is page.failed)
    assert "did not answer" in page.failed.text.text()
    page.failed.retry.click()
    qtbot.waitUntil(lambda: page.stack.currentWidget() is page.empty)


def test_a_later_failure_leaves_what_is_there(
    qtbot: QtBot, page: SnapshotsPage, fake_engine: FakeEngine, bridge: Bridge
) -> None:
    fake_engine.fail_next(rq.ReadSnapshots, HostError("The host did not answer."))
    with qtbot.waitSignal(bridge.failed):
        page.reload()
    assert page.stack.currentWidget() is not page.failed
    assert page.model.tree is not None


def test_answers_about_another_vm_come_too_late(
    qtbot: QtBot, page: SnapshotsPage, fake_engine: FakeEngine, key: VmKey
) -> None:
    fake_engine.hold(rq.ReadSnapshots)
    page.reload()
    bare = fake_engine.add_vm("bare")
    show(page, fake_engine, bare)
    assert page.stack.currentWidget() is page.reading
    fake_engine.release()
    qtbot.waitUntil(lambda: page.model.tree is not None)
    assert page.model.tree is not None
    assert page.model.tree.key == bare


def test_nothing_can_be_done_while_the_host_is_away(
    qtbot: QtBot, page: SnapshotsPage, fake_engine: FakeEngine, key: VmKey
) -> None:
    fake_engine.change_vm(key, state=VmState.UNKNOWN)
    show(page, fake_engine, key)
    assert page.toolbar.reason(Verb.TAKE) == "The host does not answer."
    lost = fake_engine.add_vm("lost", VmState.UNKNOWN)
    show(page, fake_engine, lost)
    assert page.stack.currentWidget() is page.failed
    assert not page.failed.retry.isVisible()


def test_notices(qtbot: QtBot, page: SnapshotsPage, fake_engine: FakeEngine, key: VmKey) -> None:
    fake_engine.snapshots.change(
        key,
        problems=("“/x.qcow2” is missing.",),
        can_undo_restore="Works",
        is_template=True,
        needed_by=("one", "two"),
    )
    page.reload()
    qtbot.waitUntil(page.notices.isVisible)
    text = "\n".join(page.notices.texts)
    for part in ("“/x.qcow2” is missing.", "“Works” was restored", "template", "“one”, “two”"):
        assert part in text
    undo = page.findChild(QAbstractButton, "snapshot-notice-undo-restore")
    assert undo is not None
    with qtbot.waitSignal(page.wished) as wished:
        undo.click()
    assert wished.args[0].verb is Verb.UNDO
    fake_engine.snapshots.change(key, problems=(), can_undo_restore="", is_template=False, needed_by=())
    page.reload()
    qtbot.waitUntil(lambda: not page.notices.isVisible())


def test_snapshots_of_another_tool_are_only_shown(
    qtbot: QtBot, page: SnapshotsPage, fake_engine: FakeEngine, key: VmKey
) -> None:
    kept = tuple(replace(info, mode=SnapshotMode.FOREIGN) for info in fake_engine.snapshots.tree(key).snapshots)
    fake_engine.snapshots.change(key, mode=SnapshotMode.FOREIGN, snapshots=kept)
    page.reload()
    qtbot.waitUntil(page.notices.isVisible)
    page.tree.choose(B)
    assert all(page.toolbar.reason(verb) for verb in (Verb.TAKE, Verb.RESTORE, Verb.DELETE))
    assert page.toolbar.reason(Verb.CLONE) == ""
    with qtbot.assertNotEmitted(page.wished):
        page.wish(Verb.DELETE)


def test_somebody_who_comes_back_sees_what_changed(
    qtbot: QtBot, page: SnapshotsPage, fake_engine: FakeEngine, key: VmKey
) -> None:
    fake_engine.snapshots.put(key, snapshot("a", title="Alone"))
    app = QGuiApplication.instance()
    assert isinstance(app, QGuiApplication)
    app.applicationStateChanged.emit(Qt.ApplicationState.ApplicationActive)
    qtbot.waitUntil(lambda: page.model.rowCount() == 1 and page.model.snapshot(B) is None)


def test_the_timeline_goes_with_the_tree(qtbot: QtBot, page: SnapshotsPage) -> None:
    page.tree.choose(B)
    page.toolbar.view.set_value("timeline")
    timeline = page.timeline
    assert timeline.isVisible()
    assert timeline.current == B
    assert not page.details.picture.isVisible()
    qtbot.waitUntil(lambda: not timeline.picture.image.isNull())
    QTest.keyClick(timeline.strip, Qt.Key.Key_Right)
    assert list(page.chosen) == [C]
    assert page.details.title.label.whole_text == "Tried"
    QTest.keyClick(timeline.strip, Qt.Key.Key_End)
    assert list(page.chosen) == []
    assert timeline.caption.text() == "Current state (changed)"
    QTest.keyClick(timeline.strip, Qt.Key.Key_Home)
    with qtbot.waitSignal(page.wished) as wished:
        QTest.keyClick(timeline.strip, Qt.Key.Key_Return)
    assert (wished.args[0].verb, wished.args[0].snapshots) == (Verb.RESTORE, (A,))
    page.rename()
    assert page.details.title.field.isVisible()
    page.toolbar.view.set_value("tree")
    assert page.tree.current == A


def test_scrubbing_with_the_mouse(qtbot: QtBot, page: SnapshotsPage) -> None:
    page.toolbar.view.set_value("timeline")
    strip = page.timeline.strip
    strip.horizontalScrollBar().setValue(0)
    seen: list[SnapshotId | None] = []
    page.timeline.currentSnapshotChanged.connect(lambda: seen.append(page.timeline.current))
    model = strip.model()
    places = [strip.visualRect(model.index(row, 0)).center() for row in range(3)]
    left = Qt.MouseButton.LeftButton
    QTest.mousePress(strip.viewport(), left, Qt.KeyboardModifier.NoModifier, places[0])
    for place in places[1:]:
        if strip.viewport().rect().contains(place):
            QTest.mouseMove(strip.viewport(), place)
    QTest.mouseRelease(strip.viewport(), left, Qt.KeyboardModifier.NoModifier, places[1])
    assert seen[:2] == [A, B]


def test_the_timeline_follows_the_tree_of_snapshots(
    qtbot: QtBot, page: SnapshotsPage, fake_engine: FakeEngine, key: VmKey
) -> None:
    page.toolbar.view.set_value("timeline")
    page.timeline.choose(B)
    fake_engine.submit(rq.DeleteSnapshots(key, (A,)))
    qtbot.waitUntil(lambda: page.model.snapshot(A) is None)
    assert page.timeline.strip.model().rowCount() == 3
    assert page.timeline.current == B
    assert list(page.chosen) == [B]


def test_a_snapshot_that_is_gone_gives_way_to_one_that_is_there(
    qtbot: QtBot, page: SnapshotsPage, fake_engine: FakeEngine, key: VmKey
) -> None:
    page.tree.choose(C)
    fake_engine.submit(rq.DeleteSnapshots(key, (C,)))
    qtbot.waitUntil(lambda: page.model.snapshot(C) is None)
    assert list(page.chosen) == [A]


@pytest.mark.qt_log_ignore("This plugin does not support")
def test_context_menu(qtbot: QtBot, page: SnapshotsPage) -> None:
    page.tree.choose(C)
    page.tree.menuRequested.emit(QPoint(10, 10))
    menu = page.findChild(QMenu, "snapshot-menu")
    assert menu is not None
    shown = {action.objectName(): action.isEnabled() for action in menu.actions()}
    assert shown == {
        "menu-restore-snapshot": False,
        "menu-clone": True,
        "menu-delete-snapshot": False,
        "menu-rename": True,
    }
    with qtbot.waitSignal(page.wished) as wished:
        next(action for action in menu.actions() if action.objectName() == "menu-clone").trigger()
    assert wished.args[0].snapshots == (C,)
    menu.close()
    qtbot.waitUntil(lambda: not shiboken6.isValid(menu))


def test_every_part_has_a_name(page: SnapshotsPage) -> None:
    for widget in page.findChildren(QAbstractButton):
        if widget.objectName() and not widget.objectName().startswith("qt_"):
            assert widget.accessibleName(), widget.objectName()
    page.resize(460, 600)
    assert page.toolbar.button(Verb.RESTORE).text() == ""
    assert page.toolbar.button(Verb.RESTORE).accessibleName() == "Restore"
