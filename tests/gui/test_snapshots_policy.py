"""Snapshots by a schedule: the dialog, the line on the page, the marks in the tree."""

from __future__ import annotations

import pytest
import shiboken6
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QStyleOptionViewItem, QWidget
from pytestqt.qtbot import QtBot

from guivm.engine import requests as rq
from guivm.engine.snapshots import policy as engine_policy
from guivm.engine.snapshots.values import SnapshotId, SnapshotMode, SnapshotPolicy
from guivm.engine.types import VmKey, VmState
from guivm.errors import HostError, OperationError, UnsupportedError
from guivm.views.bridge import Bridge
from guivm.views.main_window import MainWindow
from guivm.views.models.snapshot_tree import Column, SnapshotTreeModel
from guivm.views.snapshots.page import SnapshotsPage
from guivm.views.snapshots.policy import MAX_DAYS, MAX_KEEP, PolicyDialog
from guivm.views.snapshots.wishes import Verb
from guivm.views.snapshots.words import policy_sentence
from tests.helpers.fake_engine import GIB, FakeEngine
from tests.helpers.fake_snapshots import snapshot, vm_of

SIX_HOURS = SnapshotPolicy(6, 7)


@pytest.fixture
def key(fake_engine: FakeEngine) -> VmKey:
    key = fake_engine.add_vm("web", VmState.RUNNING)
    fake_engine.snapshots.put(
        key, snapshot("a", title="Mine"), snapshot("b", "a", title="2026-10-06 09:00", scheduled=True)
    )
    return key


def opened(qtbot: QtBot, bridge: Bridge, engine: FakeEngine, key: VmKey, owner: QWidget) -> PolicyDialog:
    dialog = PolicyDialog(bridge, vm_of(engine, key), None, owner)
    dialog.open()
    qtbot.waitUntil(lambda: dialog.tree is not None)
    return dialog


# --- the dialog -------------------------------------------------------------------------------------------


def test_the_limits_are_the_engines() -> None:
    assert (MAX_DAYS * 24, MAX_KEEP) == (engine_policy.MAX_EVERY_HOURS, engine_policy.MAX_KEEP)


def test_without_a_schedule_it_is_off_and_there_is_nothing_to_save(
    qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, key: VmKey, owner: QWidget
) -> None:
    dialog = opened(qtbot, bridge, fake_engine, key, owner)
    qtbot.waitUntil(lambda: "by themselves" in dialog.reason)
    assert not dialog.on.isChecked()
    assert not dialog.primary.isEnabled()
    assert dialog.on_row.note.text == dialog.reason, "in sight"
    assert not dialog.every.isEnabled()
    assert fake_engine.requests_of(rq.PlanOperation) == []


def test_switching_it_on(qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, key: VmKey, owner: QWidget) -> None:
    fake_engine.snapshots.plan_fields = {"needs_bytes": 9 * GIB, "warnings": ("What is written comes on top.",)}
    dialog = opened(qtbot, bridge, fake_engine, key, owner)
    dialog.on.click()
    qtbot.waitUntil(lambda: dialog.plan_view.plan is not None)
    assert dialog.policy() == SnapshotPolicy(24, 7), "a proposal"
    assert "9\u00a0GiB" in dialog.plan_view.facts.text()
    assert "84\u00a0GiB" in dialog.plan_view.facts.text()
    assert dialog.plan_view.notes == ("What is written comes on top.",)
    dialog.unit.setCurrentIndex(0)
    dialog.every.setValue(6)
    dialog.keep.setValue(3)
    with qtbot.waitSignal(dialog.decided) as decided:
        dialog.primary.click()
    assert decided.args == [rq.SetSnapshotPolicy(key, SnapshotPolicy(6, 3))]
    assert fake_engine.requests_of(rq.PlanOperation)[-1].operation == decided.args[0], "what is done was planned"
    qtbot.waitUntil(lambda: not shiboken6.isValid(dialog))


@pytest.mark.parametrize(
    ("policy", "count", "unit"),
    [(SIX_HOURS, 6, 0), (SnapshotPolicy(48, 30), 2, 1), (SnapshotPolicy(25, 1), 25, 0), (SnapshotPolicy(24, 2), 1, 1)],
)
def test_the_schedule_there_is(
    qtbot: QtBot,
    bridge: Bridge,
    fake_engine: FakeEngine,
    key: VmKey,
    owner: QWidget,
    policy: SnapshotPolicy,
    count: int,
    unit: int,
) -> None:
    fake_engine.snapshots.policies[key] = policy
    dialog = opened(qtbot, bridge, fake_engine, key, owner)
    qtbot.waitUntil(lambda: dialog.plan_view.plan is not None)
    assert (dialog.every.value(), dialog.unit.currentIndex(), dialog.keep.value()) == (count, unit, policy.keep)
    assert dialog.policy() == policy


def test_switching_it_off(qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, key: VmKey, owner: QWidget) -> None:
    fake_engine.snapshots.policies[key] = SIX_HOURS
    dialog = opened(qtbot, bridge, fake_engine, key, owner)
    dialog.on.click()
    assert "were taken stay" in dialog.on_row.note.text
    qtbot.waitUntil(dialog.primary.isEnabled)
    with qtbot.waitSignal(dialog.decided) as decided:
        dialog.primary.click()
    assert decided.args == [rq.SetSnapshotPolicy(key, None)]


def test_days_are_no_more_than_a_year(
    qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, key: VmKey, owner: QWidget
) -> None:
    fake_engine.snapshots.policies[key] = SnapshotPolicy(500, 2)
    dialog = opened(qtbot, bridge, fake_engine, key, owner)
    dialog.unit.setCurrentIndex(1)
    assert dialog.every.value() == MAX_DAYS
    dialog.unit.setCurrentIndex(0)
    assert dialog.policy() == SnapshotPolicy(MAX_DAYS, 2)


def test_a_refusal_says_why(qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, key: VmKey, owner: QWidget) -> None:
    fake_engine.snapshots.policies[key] = SIX_HOURS
    fake_engine.snapshots.refusals[rq.SetSnapshotPolicy] = ("There is no systemd here.", "Use another timer.")
    dialog = opened(qtbot, bridge, fake_engine, key, owner)
    qtbot.waitUntil(lambda: dialog.reason == "There is no systemd here.")
    assert dialog.plan_view.refusal.text == "There is no systemd here. Use another timer."
    assert not dialog.primary.isEnabled()


def test_what_cannot_be_read_can_be_tried_again(
    qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, key: VmKey, owner: QWidget
) -> None:
    fake_engine.snapshots.policies[key] = SIX_HOURS
    fake_engine.fail_next(rq.ReadSnapshotPolicy, OperationError("The timer cannot be read."))
    dialog = PolicyDialog(bridge, vm_of(fake_engine, key), None, owner)
    dialog.open()
    qtbot.waitUntil(dialog.strip.isVisible)
    assert not dialog.primary.isEnabled()
    dialog.strip.retry.click()
    qtbot.waitUntil(lambda: dialog.plan_view.plan is not None and dialog.primary.isEnabled())
    assert dialog.policy() == SIX_HOURS


def test_closed_while_it_reads(
    qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, key: VmKey, owner: QWidget
) -> None:
    fake_engine.hold(rq.ReadSnapshotPolicy)
    dialog = PolicyDialog(bridge, vm_of(fake_engine, key), None, owner)
    dialog.open()
    dialog.reject()
    qtbot.waitUntil(lambda: not shiboken6.isValid(dialog))
    fake_engine.release()


# --- the page ---------------------------------------------------------------------------------------------


@pytest.fixture
def page(qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, key: VmKey) -> SnapshotsPage:
    page = SnapshotsPage(bridge)
    qtbot.addWidget(page)
    page.resize(1000, 640)
    page.set_vm(vm_of(fake_engine, key))
    return page


def shown(qtbot: QtBot, page: SnapshotsPage) -> None:
    page.show()
    qtbot.waitUntil(lambda: page.model.tree is not None)


def test_the_page_tells_of_the_schedule(qtbot: QtBot, page: SnapshotsPage, fake_engine: FakeEngine, key: VmKey) -> None:
    shown(qtbot, page)
    assert page.policy.text == ""
    fake_engine.snapshots.policies[key] = SIX_HOURS
    page.reload()
    qtbot.waitUntil(lambda: page.policy.text == "A snapshot every 6 hours, the last 7 are kept")
    with qtbot.waitSignal(page.wished) as wished:
        page.policy.change.click()
    assert wished.args is not None
    assert wished.args[0].verb is Verb.POLICY
    other = fake_engine.add_vm("mail")
    page.set_vm(vm_of(fake_engine, other))
    assert page.policy.text == "", "of another VM nothing is known yet"


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        (SnapshotPolicy(1, 1), "A snapshot every hour, the last one is kept"),
        (SnapshotPolicy(24, 3), "A snapshot every day, the last 3 are kept"),
        (SnapshotPolicy(72, 3), "A snapshot every 3 days, the last 3 are kept"),
        (SnapshotPolicy(30, 3), "A snapshot every 30 hours, the last 3 are kept"),
    ],
)
def test_a_schedule_in_words(qtbot: QtBot, policy: SnapshotPolicy, words: str) -> None:
    assert policy_sentence(policy) == words


def test_a_schedule_that_cannot_be_read_is_told(qtbot: QtBot, page: SnapshotsPage, fake_engine: FakeEngine) -> None:
    fake_engine.fail_next(rq.ReadSnapshotPolicy, OperationError("Its timer cannot be read."))
    shown(qtbot, page)
    qtbot.waitUntil(lambda: page.policy.text == "Its timer cannot be read.")
    page.reload()
    qtbot.waitUntil(lambda: page.policy.text == "")
    fake_engine.fail_next(rq.ReadSnapshotPolicy, HostError("The host is gone."))
    page.reload()
    qtbot.waitUntil(lambda: len(fake_engine.requests_of(rq.ReadSnapshotPolicy)) == 3)
    assert page.policy.text == "", "that is told where the snapshots are"


def test_the_button_and_its_reasons(qtbot: QtBot, page: SnapshotsPage, fake_engine: FakeEngine, key: VmKey) -> None:
    shown(qtbot, page)
    assert page.toolbar.reason(Verb.POLICY) == ""
    fake_engine.change_vm(key, persistent=False)
    page.set_vm(vm_of(fake_engine, key))
    assert page.toolbar.reason(Verb.POLICY) == "It exists only while it runs."
    fake_engine.change_vm(key, persistent=True)
    fake_engine.snapshots.change(key, mode=SnapshotMode.FOREIGN)
    page.set_vm(vm_of(fake_engine, key))
    qtbot.waitUntil(lambda: "another tool" in page.toolbar.reason(Verb.POLICY))


def test_words_go_as_room_does(qtbot: QtBot, page: SnapshotsPage) -> None:
    shown(qtbot, page)

    def texts(width: int) -> list[bool]:
        page.resize(width, 640)
        return [bool(page.toolbar.button(verb).text()) for verb in (Verb.TAKE, Verb.RESTORE, Verb.POLICY)]

    found = [tuple(texts(width)) for width in range(1400, 400, -20)]
    assert list(dict.fromkeys(found)) == [(True,) * 3, (True, True, False), (True, False, False), (False,) * 3]
    assert texts(1400) == [True, True, True], "and come back"


# --- the tree ---------------------------------------------------------------------------------------------


def test_scheduled_snapshots_are_marked(qtbot: QtBot, page: SnapshotsPage) -> None:
    shown(qtbot, page)
    model: SnapshotTreeModel = page.model
    taken = {
        name: model.index_of(SnapshotId(name)).siblingAtColumn(Column.TAKEN) for name in ("a", "b")
    }  # fmt: skip
    role = Qt.ItemDataRole
    assert taken["a"].data(role.DecorationRole) is None
    assert taken["b"].data(role.DecorationRole) is not None
    assert "schedule" in taken["b"].data(role.ToolTipRole)
    assert "schedule" not in taken["a"].data(role.ToolTipRole)
    assert "by the schedule" in model.index_of(SnapshotId("b")).data(role.AccessibleTextRole)
    option = QStyleOptionViewItem()
    delegate = page.tree.itemDelegateForColumn(Column.TAKEN)
    delegate.initStyleOption(option, taken["b"])  # type: ignore[attr-defined]
    assert option.decorationPosition is QStyleOptionViewItem.Position.Right
    page.tree.choose(SnapshotId("b"))
    assert "deletes it in its turn" in page.details.schedule.text()
    page.tree.choose(SnapshotId("a"))
    assert page.details.schedule.isHidden()


def test_the_current_state_has_the_whole_row(
    qtbot: QtBot, page: SnapshotsPage, fake_engine: FakeEngine, key: VmKey
) -> None:
    shown(qtbot, page)

    def spanned() -> list[SnapshotId | None]:
        indexes = [page.model.index_of(name) for name in (SnapshotId("a"), SnapshotId("b"), None)]
        return [
            page.model.snapshot_at(index)
            for index in indexes
            if page.tree.isFirstColumnSpanned(index.row(), index.parent())
        ]

    assert spanned() == [None]
    fake_engine.snapshots.change(key, current=SnapshotId("a"))  # it moves
    page.reload()
    qtbot.waitUntil(lambda: page.model.index_of(None).parent() == page.model.index_of(SnapshotId("a")))
    assert spanned() == [None]


def test_a_new_title_takes_it_off_the_schedule(qtbot: QtBot, page: SnapshotsPage) -> None:
    shown(qtbot, page)
    page.tree.choose(SnapshotId("b"))
    page.details.title.edited.emit("Keep this")
    page.reload()
    qtbot.waitUntil(page.details.schedule.isHidden)


# --- from the menu ----------------------------------------------------------------------------------------


def policy_dialog(qtbot: QtBot, window: MainWindow) -> PolicyDialog:
    window.registry.action("snapshot-policy").trigger()
    dialog = window.findChildren(PolicyDialog)[-1]
    qtbot.waitUntil(lambda: dialog.tree is not None)
    return dialog


def test_from_the_menu_to_what_is_said(qtbot: QtBot, window: MainWindow, fake_engine: FakeEngine, key: VmKey) -> None:
    window.show_page("snapshots")
    dialog = policy_dialog(qtbot, window)
    dialog.on.click()
    qtbot.waitUntil(dialog.primary.isEnabled)
    dialog.primary.click()
    qtbot.waitUntil(lambda: bool(window.messages.texts))
    assert fake_engine.snapshots.policies == {key: SnapshotPolicy(24, 7)}
    assert "A snapshot of “web” is taken every day while it runs." in window.messages.texts[-1]
    line = window.vm_page.snapshots.policy
    qtbot.waitUntil(lambda: line.text == "A snapshot every day, the last 7 are kept")
    off = policy_dialog(qtbot, window)
    off.on.click()
    qtbot.waitUntil(off.primary.isEnabled)
    off.primary.click()
    qtbot.waitUntil(lambda: "No more snapshots of “web” are taken by themselves." in window.messages.texts[-1])
    qtbot.waitUntil(lambda: line.text == "")


def test_a_failure_is_told(qtbot: QtBot, window: MainWindow, fake_engine: FakeEngine) -> None:
    fake_engine.fail_next(rq.SetSnapshotPolicy, UnsupportedError("systemd does not answer."))
    dialog = policy_dialog(qtbot, window)
    dialog.on.click()
    qtbot.waitUntil(dialog.primary.isEnabled)
    dialog.primary.click()
    qtbot.waitUntil(lambda: any("systemd does not answer." in text for text in window.messages.texts))
