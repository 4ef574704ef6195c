"""Plans of linked clones and templates."""

from __future__ import annotations

from dataclasses import replace

import pytest

from guivm.engine.snapshots import steps as st
from guivm.engine.snapshots.planning import (
    NewSnapshot,
    plan_detach,
    plan_linked_clone,
    plan_take,
    plan_template,
)
from guivm.engine.snapshots.values import SnapshotId
from tests.helpers.planned import (
    ANN,
    ANN_DISK,
    BOB,
    add_linked,
    clone_of,
    done,
    kinds,
    new,
    plan_taking,
    refused,
    take,
)
from tests.helpers.symbolic_vms import Disk, World, uuid_of


@pytest.fixture
def world() -> World:
    """One VM with UEFI and a TPM, off, with some data on its one disk."""
    made = World()
    made.add_vm(1, "ann", {"vda": Disk("qcow2", {0: 1, 1: 1, 2: 1})}, nvram=True)
    return made


def test_a_linked_clone_of_a_snapshot(world: World) -> None:
    take(world, "s1", writes=2)
    plan = plan_linked_clone(world.graph(), world.tree(ANN), world.env(ANN), clone_of(world), SnapshotId("s1"))
    assert kinds(plan.prepare) == ["MakeOverlay", "CopyFile", "CopyFile"]
    assert kinds(plan.finish) == ["DefineVm"]
    done(world, plan)
    clone = world.current(uuid_of(9))
    assert clone.disks[0].path == "/i/cleo-vda.qcow2"
    assert world.reads(clone.disks[0].path) == {0: 1, 1: 1, 2: 1}
    assert [i.path for i in world.graph().chain(clone.disks[0].path)] == ["/i/cleo-vda.qcow2", ANN_DISK]


def test_the_current_state_is_frozen_as_a_snapshot_for_a_clone(world: World) -> None:
    for running in (False, True):
        if running:
            world.running.add(ANN)
        base = NewSnapshot(SnapshotId("base"), "Base of cleo")
        here = world.copy()
        plan = plan_linked_clone(here.graph(), here.tree(ANN), here.env(ANN), clone_of(here), None, base)
        done(here, plan)
        assert [s.title for s in here.tree(ANN).snapshots] == ["Base of cleo"]
        assert here.blobs["/l/nvram/cleo.fd"] == "nvram of ann"
        assert "which the clone needs" in plan.shown.warnings[-1]


def test_a_clone_of_what_is_written_is_refused(world: World) -> None:
    plan = plan_linked_clone(world.graph(), world.tree(ANN), world.env(ANN), clone_of(world))
    assert "needs images that nobody writes to" in refused(plan)
    assert plan.shown.advice == "Take a snapshot first, or make a full clone."


def test_a_clone_is_a_new_vm(world: World) -> None:
    take(world, "s1")
    done(world, plan_linked_clone(world.graph(), world.tree(ANN), world.env(ANN), clone_of(world), SnapshotId("s1")))
    plan = plan_linked_clone(world.graph(), world.tree(ANN), world.env(ANN), clone_of(world), SnapshotId("s1"))
    assert "exists already" in refused(plan)


@pytest.mark.parametrize(
    ("name", "path"),
    [("../../x", "/i/x-vda.qcow2"), ("-rf", "/i/rf-vda.qcow2"), ("a\u202eb", "/i/a_b-vda.qcow2")],
)
def test_names_of_clones_are_made_safe(world: World, name: str, path: str) -> None:
    take(world, "s1")
    clone = replace(clone_of(world), name=name)
    plan = plan_linked_clone(world.graph(), world.tree(ANN), world.env(ANN), clone, SnapshotId("s1"))
    assert plan.made[0] == path


def test_a_template_can_only_be_cloned(world: World) -> None:
    done(world, plan_template(world.graph(), world.tree(ANN), world.env(ANN), True))
    assert ANN_DISK in world.frozen
    assert "is a template" in refused(plan_taking(world))
    assert "is a template already" in refused(plan_template(world.graph(), world.tree(ANN), world.env(ANN), True))
    done(world, plan_linked_clone(world.graph(), world.tree(ANN), world.env(ANN), clone_of(world)))
    back = plan_template(world.graph(), world.tree(ANN), world.env(ANN), False)
    assert refused(back) == "“/i/ann-vda.qcow2” is needed by “cleo”."
    clone = uuid_of(9)
    done(world, plan_detach(world.graph(), world.tree(clone), world.env(clone)), clone)
    done(world, plan_template(world.graph(), world.tree(ANN), world.env(ANN), False))
    assert ANN_DISK not in world.frozen
    assert "is no template" in refused(plan_template(world.graph(), world.tree(ANN), world.env(ANN), False))


def test_a_running_vm_is_no_template(world: World) -> None:
    world.running.add(ANN)
    assert refused(plan_template(world.graph(), world.tree(ANN), world.env(ANN), True)) == "“ann” runs."


def test_detaching_takes_the_snapshots_of_the_clone_along(world: World) -> None:
    take(world, "s1")
    add_linked(world, ANN_DISK)
    done(world, plan_take(world.graph(), world.tree(BOB), world.env(BOB), new("b1")), BOB)
    plan = plan_detach(world.graph(), world.tree(BOB), world.env(BOB))
    assert plan.prepare[1] == st.Pull("/i/bob-vda.qcow2", "qcow2", None)
    assert plan.undo == (st.Freeze("/i/bob-vda.qcow2"),)
    done(world, plan, BOB)
    assert refused(plan_detach(world.graph(), world.tree(BOB), world.env(BOB))) == "“bob” stands alone already."


def test_detaching_a_running_clone(world: World) -> None:
    take(world, "s1")
    add_linked(world, ANN_DISK, run=True)
    plan = plan_detach(world.graph(), world.tree(BOB), world.env(BOB))
    assert plan.prepare == (st.LivePull("vda", "/i/bob-vda.qcow2", None, ANN_DISK, "qcow2"),)
    done(world, plan, BOB)
