"""Snapshots: what the fake engine answers is what libvirt does. Its test driver keeps them as metadata alone."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import pytest

from guivm.engine import requests as rq
from guivm.engine.requests import Request
from guivm.engine.snapshots.values import SnapshotId, SnapshotMode, SnapshotPolicy, SnapshotTree
from guivm.engine.types import VmState
from guivm.errors import GuivmError
from tests.contract.conftest import World
from tests.helpers.fake_systemctl import FakeSystemctl

T = TypeVar("T")


def ask(world: World, request: Request[T]) -> T:
    return world.engine.submit(request).result(30)


def tree(world: World, name: str) -> SnapshotTree:
    return ask(world, rq.ReadSnapshots(world.key(name)))


def take(world: World, name: str, title: str, notes: str = "") -> SnapshotId:
    return ask(world, rq.TakeSnapshot(world.key(name), title, notes)).id


def parents(found: SnapshotTree) -> dict[str, str]:
    titles = {each.id: each.title for each in found.snapshots}
    return {each.title: titles[each.parent] if each.parent else "" for each in found.snapshots}


def test_a_vm_without_any(world: World) -> None:
    found = tree(world, "off")
    assert found.key == world.key("off")
    assert (found.snapshots, found.current, found.cannot_take, found.problems) == ((), None, "", ())
    assert not found.can_undo_restore


def test_they_grow_from_one_another_and_one_goes_back(world: World) -> None:
    key = world.key("off")
    first = take(world, "off", "first", "two\nlines")
    second = take(world, "off", "second")
    found = tree(world, "off")
    assert parents(found) == {"first": "", "second": "first"}
    assert found.current == second
    assert [each.id for each in found.snapshots] == [first, second]
    info = found.snapshots[0]
    assert (info.notes, info.mode, info.vm_state, info.has_memory) == (
        "two\nlines",
        SnapshotMode.INTERNAL,
        VmState.OFF,
        False,
    )
    done = ask(world, rq.RestoreSnapshot(key, first))
    assert done.id == first
    assert tree(world, "off").current == first
    take(world, "off", "third")
    assert parents(tree(world, "off")) == {"first": "", "second": "first", "third": "first"}


def test_restoring_is_undone_or_the_state_is_kept(world: World) -> None:
    key = world.key("off")
    first = take(world, "off", "first")
    second = take(world, "off", "second")
    ask(world, rq.RestoreSnapshot(key, first))
    assert tree(world, "off").can_undo_restore == "first"
    ask(world, rq.UndoRestore(key))
    found = tree(world, "off")
    assert found.current == second
    assert not found.can_undo_restore
    with pytest.raises(GuivmError):
        ask(world, rq.UndoRestore(key))
    kept = ask(world, rq.RestoreSnapshot(key, first, "kept")).kept
    found = tree(world, "off")
    assert found.current == first
    assert next(each for each in found.snapshots if each.id == kept).title == "kept"


def test_one_or_all_below_are_deleted(world: World) -> None:
    key = world.key("off")
    first = take(world, "off", "first")
    second = take(world, "off", "second")
    take(world, "off", "third")
    ask(world, rq.DeleteSnapshots(key, (second,)))
    assert parents(tree(world, "off")) == {"first": "", "third": "first"}
    ask(world, rq.DeleteSnapshots(key, (first,), True))
    assert tree(world, "off").snapshots == ()
    for request in (
        rq.DeleteSnapshots(key, (first,)),
        rq.DeleteSnapshots(key, ()),
        rq.RestoreSnapshot(key, first),
        rq.EditSnapshot(key, first, "x", ""),
    ):
        with pytest.raises(GuivmError):
            ask(world, request)


def test_title_and_notes_are_changed(world: World) -> None:
    key = world.key("off")
    first = take(world, "off", "first")
    ask(world, rq.EditSnapshot(key, first, "other", "notes"))
    (info,) = tree(world, "off").snapshots
    assert (info.id, info.title, info.notes) == (first, "other", "notes")
    with pytest.raises(GuivmError):
        ask(world, rq.EditSnapshot(key, first, " ", ""))


def test_a_running_one_keeps_its_memory(world: World) -> None:
    key = world.key("running")
    first = take(world, "running", "first")
    (info,) = tree(world, "running").snapshots
    assert info.has_memory
    assert info.vm_state is VmState.RUNNING
    ask(world, rq.ForceOff(key))
    ask(world, rq.RestoreSnapshot(key, first))
    world.recorder.wait_for_state(key, VmState.RUNNING)


def test_a_saved_state_is_in_the_way(world: World) -> None:
    assert "saved state" in tree(world, "saved").cannot_take
    shown = ask(world, rq.PlanOperation(world.key("saved"), rq.TakeSnapshot(world.key("saved"), "x")))
    assert "saved state" in shown.refused
    with pytest.raises(GuivmError):
        take(world, "saved", "x")


def test_a_plan_says_what_would_be_done(world: World) -> None:
    key = world.key("off")
    shown = ask(world, rq.PlanOperation(key, rq.TakeSnapshot(key, "first")))
    assert (shown.key, shown.refused) == (key, "")
    assert "first" in shown.title
    assert tree(world, "off").snapshots == ()
    shown = ask(world, rq.PlanOperation(key, rq.UndoRestore(key)))
    assert shown.refused
    with pytest.raises(GuivmError):
        ask(world, rq.PlanOperation(key, rq.TakeSnapshot(world.key("running"), "x")))


def test_a_policy_is_set_changed_and_ended(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FakeSystemctl(tmp_path / "bin", monkeypatch)
    key, other = world.key("running"), world.key("off")
    assert ask(world, rq.ReadSnapshotPolicy(key)) is None
    for policy in (SnapshotPolicy(6, 3), SnapshotPolicy(24, 7)):
        shown = ask(world, rq.PlanOperation(key, rq.SetSnapshotPolicy(key, policy)))
        assert (shown.key, shown.refused) == (key, "")
        assert shown.steps
        ask(world, rq.SetSnapshotPolicy(key, policy))
        assert ask(world, rq.ReadSnapshotPolicy(key)) == policy
    assert ask(world, rq.ReadSnapshotPolicy(other)) is None
    for wrong in (SnapshotPolicy(0, 3), SnapshotPolicy(6, 0)):
        for request in (rq.SetSnapshotPolicy(key, wrong), rq.PlanOperation(key, rq.SetSnapshotPolicy(key, wrong))):
            with pytest.raises(GuivmError):
                ask(world, request)
    assert ask(world, rq.ReadSnapshotPolicy(key)) == SnapshotPolicy(24, 7)
    assert not ask(world, rq.PlanOperation(key, rq.SetSnapshotPolicy(key, None))).refused
    for _ in range(2):
        ask(world, rq.SetSnapshotPolicy(key, None))
        assert ask(world, rq.ReadSnapshotPolicy(key)) is None


def test_what_is_scheduled_is_so_until_somebody_names_it(world: World) -> None:
    key = world.key("running")
    first = ask(world, rq.TakeSnapshot(key, "first", scheduled=True)).id
    take(world, "running", "second")
    assert [each.scheduled for each in tree(world, "running").snapshots] == [True, False]
    ask(world, rq.EditSnapshot(key, first, "wanted", ""))
    assert [each.scheduled for each in tree(world, "running").snapshots] == [False, False]
