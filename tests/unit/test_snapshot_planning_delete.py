"""Plans to delete snapshots: merged, pulled, moved aside, refused."""

from __future__ import annotations

import pytest

from guivm.engine.snapshots import steps as st
from guivm.engine.snapshots.values import FileAction
from guivm.engine.types import VmState
from tests.helpers.planned import (
    ANN,
    ANN_DISK,
    BOB,
    add_linked,
    done,
    kinds,
    plan_deleting,
    plan_restoring,
    refused,
    take,
)
from tests.helpers.symbolic_vms import Disk, World, definition


@pytest.fixture
def world() -> World:
    """One VM with UEFI and a TPM, off, with some data on its one disk."""
    made = World()
    made.add_vm(1, "ann", {"vda": Disk("qcow2", {0: 1, 1: 1, 2: 1})}, nvram=True)
    return made


def test_a_leaf_is_only_moved_aside(world: World) -> None:
    take(world, "s1")
    take(world, "s2")
    done(world, plan_restoring(world, "s1"))
    plan = plan_deleting(world, "s2")
    assert not plan.prepare
    assert kinds(plan.finish) == ["WriteTree", *["Quarantine"] * 3]
    done(world, plan)


def test_the_smaller_image_is_merged_into_the_larger(world: World) -> None:
    """Three clusters in the snapshot's image, one above it."""
    take(world, "s1", writes=1)
    plan = plan_deleting(world, "s1")
    assert not plan.prepare
    assert [s for s in kinds(plan.finish) if s != "Thaw"] == [
        *["WriteTree", "Merge", "DefineVm"],
        *["Quarantine"] * 3,
    ]
    done(world, plan)
    assert world.current(ANN).disks[0].path == ANN_DISK
    assert ANN_DISK not in world.frozen


def test_the_larger_image_above_pulls(world: World) -> None:
    take(world, "s1", writes=5)
    plan = plan_deleting(world, "s1")
    assert kinds(plan.prepare) == ["Pull"]
    pull = plan.prepare[0]
    assert isinstance(pull, st.Pull)
    assert pull.backing is None  # the root's: it stands alone then
    done(world, plan)
    assert (FileAction.CHANGE, pull.path) in {(e.action, e.path) for e in plan.shown.effects}


def test_several_in_a_row_are_written_once_each(world: World) -> None:
    """Everything goes to the largest: below is pulled, above is merged."""
    world.guest_writes(ANN, "vda", 0, 1)
    for name, writes in (("s1", 1), ("s2", 5), ("s3", 2), ("s4", 1)):
        take(world, name, writes)
    was = world.reading(world.current(ANN))
    plan = plan_deleting(world, "s2", "s3", "s4")
    changes = [step for step in (*plan.prepare, *plan.finish) if isinstance(step, st.Pull | st.Merge)]
    assert changes == [
        st.Pull("/i/ann-vda.00000002.qcow2", "qcow2", ANN_DISK, "qcow2"),
        st.Merge("/i/ann-vda.00000003.qcow2", "qcow2", "/i/ann-vda.00000002.qcow2"),
        st.Merge("/i/ann-vda.00000004.qcow2", "qcow2", "/i/ann-vda.00000002.qcow2"),
    ]
    done(world, plan)
    assert world.reading(world.current(ANN)) == was
    assert world.current(ANN).disks[0].path == "/i/ann-vda.00000002.qcow2"


def test_a_snapshot_with_two_branches_is_pulled_into_both(world: World) -> None:
    take(world, "s1", writes=1)
    take(world, "s2")
    done(world, plan_restoring(world, "s1"))
    plan = plan_deleting(world, "s1")
    assert kinds(plan.prepare) == ["Thaw", "Pull", "Freeze", "Pull"]
    assert plan.undo == (st.Freeze("/i/ann-vda.00000001.qcow2"),)
    assert "Merge" not in kinds(plan.finish)
    done(world, plan)


def test_children_descend_from_the_nearest_that_is_left(world: World) -> None:
    for name in ("s1", "s2", "s3", "s4"):
        take(world, name)
    done(world, plan_deleting(world, "s2", "s3"))
    tree = world.tree(ANN)
    assert [(s.id, s.parent) for s in tree.snapshots] == [("s1", None), ("s4", "s1")]
    done(world, plan_deleting(world, "s1", children=True))
    assert world.tree(ANN).snapshots == ()
    assert world.tree(ANN).current is None
    assert len(world.graph().images) == 1


def test_a_running_vm_pulls_into_its_own_image(world: World) -> None:
    take(world, "s1", writes=1)
    take(world, "s2", writes=1)
    world.running.add(ANN)
    plan = plan_deleting(world, "s2")
    assert plan.prepare == (
        st.LivePull("vda", "/i/ann-vda.00000002.qcow2", ANN_DISK, "/i/ann-vda.00000001.qcow2", "qcow2"),
    )
    done(world, plan)
    done(world, plan_deleting(world, "s1"))


def test_a_running_vm_merges_what_is_further_down(world: World) -> None:
    """S1 is said to be gone before the merge begins, which spoils it; a file leaves when nothing stands on it."""
    for name in ("s1", "s2", "s3"):
        take(world, name, writes=1)
    world.running.add(ANN)
    plan = plan_deleting(world, "s1")
    assert plan.prepare == ()
    steps = [kind for kind in kinds(plan.finish) if kind not in ("Thaw", "Freeze")]
    assert steps[:4] == ["WriteTree", "LiveMerge", "WriteTree", "Quarantine"]
    assert set(steps[4:]) == {"Quarantine"}
    one, two = (f"/i/ann-vda.0000000{number}.qcow2" for number in (1, 2))
    assert st.LiveMerge("vda", one, "qcow2", ANN_DISK, "qcow2", two, "qcow2") in plan.finish
    reason = refused(plan_deleting(world, "s1", vm_state=VmState.PAUSED))
    assert reason.startswith("“ann” is paused, so QEMU cannot")
    done(world, plan)
    done(world, plan_deleting(world, "s3", "s2"))
    assert world.tree(ANN).snapshots == ()


def test_a_linked_clone_keeps_its_base(world: World) -> None:
    take(world, "s1")
    add_linked(world, ANN_DISK)
    plan = plan_deleting(world, "s1")
    assert refused(plan) == "“/i/ann-vda.qcow2” is needed by “bob”."
    assert plan.shown.advice == "Detach “bob” from it, or delete that virtual machine, first."


def test_a_clone_further_up_is_only_looked_out_for(world: World) -> None:
    """A clone on S2: deleting S1 pulls into S2's image, which reads the same; a running clone holds it open."""
    take(world, "s1", writes=1)
    take(world, "s2")
    add_linked(world, "/i/ann-vda.00000001.qcow2")
    plan = plan_deleting(world, "s1")
    assert kinds(plan.prepare) == ["Thaw", "Pull", "Freeze"]
    world.running.add(BOB)
    assert "is in use: “bob” runs" in refused(plan_deleting(world, "s1"))
    world.running.clear()
    done(world, plan)


def test_a_snapshots_image_that_another_vm_names_is_refused(world: World) -> None:
    take(world, "s1")
    world.definitions[BOB] = definition(BOB, "bob", {}, shared={"vdb": ANN_DISK})
    assert refused(plan_deleting(world, "s1")) == "“/i/ann-vda.qcow2” is needed by “bob”."
    world.definitions.pop(BOB)
    world.others[ANN_DISK] = "bob"
    assert refused(plan_deleting(world, "s1")) == "“/i/ann-vda.qcow2” is also used by “bob”."


def test_different_sizes_are_never_merged(world: World) -> None:
    take(world, "s1", writes=1)
    world.images["/i/ann-vda.00000001.qcow2"].virtual_bytes *= 2
    plan = plan_deleting(world, "s1")
    assert kinds(plan.prepare) == ["Pull"]


def test_an_image_that_another_vm_names_keeps_its_name(world: World) -> None:
    take(world, "s1", writes=1)
    assert "Merge" in kinds(plan_deleting(world, "s1").finish)
    world.others["/i/ann-vda.00000001.qcow2"] = "bob"
    assert kinds(plan_deleting(world, "s1").prepare) == ["Pull"]


def test_a_snapshot_whose_image_is_gone_can_be_forgotten_when_nobody_needs_it(world: World) -> None:
    take(world, "s1")
    take(world, "s2")
    done(world, plan_restoring(world, "s1"))
    world.images.pop("/i/ann-vda.00000001.qcow2")
    plan = plan_deleting(world, "s2")
    assert "“/i/ann-vda.00000001.qcow2” is missing already." in plan.shown.warnings
    world.do_all(plan, ANN)
    world.images.pop(ANN_DISK)
    assert "“/i/ann-vda.qcow2” is missing, and other images need it." in refused(plan_deleting(world, "s1"))


def test_deleting_what_undo_needs_ends_undo_and_says_so(world: World) -> None:
    take(world, "s1", writes=1)
    done(world, plan_restoring(world, "s1"))
    plan = plan_deleting(world, "s1")
    assert "The last restore cannot be undone any more." in plan.shown.loses
    done(world, plan)
    assert world.tree(ANN).undo is None


def test_deleting_nothing_or_what_is_not_there_is_refused(world: World) -> None:
    assert refused(plan_deleting(world)) == "No snapshot was chosen."
    assert "no such snapshot" in refused(plan_deleting(world, "s1"))
