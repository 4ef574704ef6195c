"""Plans to restore a snapshot, and to undo that."""

from __future__ import annotations

from dataclasses import replace

import pytest

from guivm.engine.snapshots.definitions import read_definition, with_files
from guivm.engine.snapshots.graph import Graph
from guivm.engine.snapshots.planning import (
    plan_restore,
    plan_undo_restore,
)
from guivm.engine.snapshots.values import FileAction, SnapshotId
from tests.helpers.planned import (
    ANN,
    ANN_DISK,
    BOB,
    add_linked,
    done,
    kinds,
    new,
    plan_deleting,
    plan_restoring,
    plan_taking,
    refused,
    take,
)
from tests.helpers.symbolic_vms import Disk, World, definition, store_of, tpm_of


@pytest.fixture
def world() -> World:
    """One VM with UEFI and a TPM, off, with some data on its one disk."""
    made = World()
    made.add_vm(1, "ann", {"vda": Disk("qcow2", {0: 1, 1: 1, 2: 1})}, nvram=True)
    return made


def test_restoring_moves_what_is_replaced_aside(world: World) -> None:
    take(world, "s1", writes=2)
    was = world.reading(world.current(ANN))
    plan = plan_restoring(world, "s1")
    assert kinds(plan.prepare) == ["MakeOverlay", "CopyFile", "CopyFile"]
    moved = [e.path for e in plan.shown.effects if e.action is FileAction.QUARANTINE]
    assert moved == ["/l/nvram/ann.fd", tpm_of(ANN), "/i/ann-vda.00000001.qcow2"]
    assert "since “S1” is replaced" in plan.shown.loses[0]
    done(world, plan)
    assert world.tree(ANN).undo is not None
    undo = plan_undo_restore(world.graph(), world.tree(ANN), world.env(ANN))
    done(world, undo)
    assert world.reading(world.current(ANN)) == was
    assert world.current(ANN).disks[0].path == "/i/ann-vda.00000001.qcow2"


def test_undoing_twice_is_restoring_again(world: World) -> None:
    take(world, "s1", writes=2)
    done(world, plan_restoring(world, "s1"))
    restored = world.reading(world.current(ANN))
    for _ in range(2):
        done(world, plan_undo_restore(world.graph(), world.tree(ANN), world.env(ANN)))
    assert world.reading(world.current(ANN)) == restored


def test_restoring_a_running_vm_ends_it_and_says_so(world: World) -> None:
    take(world, "s1")
    world.running.add(ANN)
    plan = plan_restoring(world, "s1")
    assert kinds(plan.finish)[0] == "StopVm"
    assert plan.shown.stops_guest
    assert "memory" in plan.shown.loses[0]
    done(world, plan)
    assert ANN not in world.running


def test_restoring_can_keep_the_state_before_as_one_plan(world: World) -> None:
    take(world, "s1", writes=2)
    world.running.add(ANN)
    was = world.reading(world.current(ANN))
    plan = plan_restoring(world, "s1", new("kept", memory=True))
    assert not plan.shown.loses
    assert "StopVm" not in kinds(plan.finish)  # saving its memory ends it
    done(world, plan)
    kept = next(h for h in world.graph().snapshots(ANN) if h.snapshot == "kept")
    assert was.items() <= world.reading(kept).items()
    assert world.tree(ANN).undo is None
    done(world, plan_restoring(world, "kept"))
    assert ANN in world.running


def test_a_drive_that_no_snapshot_knows_stays_where_it_is(world: World) -> None:
    take(world, "s1")
    world.images["/i/data.img"] = Disk("raw", {0: 7})
    top = world.current(ANN).disks[0].path
    world.definitions[ANN] = definition(
        ANN, "ann", {"vda": (top, "qcow2"), "vdb": ("/i/data.img", "raw")}, nvram="/l/nvram/ann.fd"
    )
    plan = plan_restoring(world, "s1")
    assert "“/i/data.img” belongs to no snapshot: it is left where it is." in plan.shown.warnings
    world.do_all(plan, ANN)
    assert "/i/data.img" in world.images


def test_a_snapshots_own_image_is_not_taken_for_the_current_state(world: World) -> None:
    """A definition that somebody put straight onto a snapshot's image."""
    take(world, "s1")
    take(world, "s2")
    world.images.pop("/i/ann-vda.00000002.qcow2")
    image = "/i/ann-vda.00000001.qcow2"
    world.definitions[ANN] = with_files(world.definitions[ANN], {"vda": (image, "qcow2")})
    done(world, plan_restoring(world, "s1"))
    assert image in world.images


def test_memory_is_bound_to_the_name(world: World) -> None:
    world.running.add(ANN)
    done(world, plan_taking(world, memory=True))
    world.running.clear()
    world.definitions[ANN] = world.definitions[ANN].replace("<name>ann<", "<name>anna<")
    plan = plan_restoring(world, "s1")
    assert "“ann”" in refused(plan)
    assert plan.shown.advice.startswith("Rename it to “ann”")


def test_a_renamed_vm_keeps_its_name_when_restored(world: World) -> None:
    take(world, "s1")
    world.definitions[ANN] = world.definitions[ANN].replace("<name>ann<", "<name>anna<")
    done(world, plan_restoring(world, "s1"))
    assert read_definition(world.definitions[ANN]).name == "anna"


def test_restoring_is_refused_where_something_is_missing(world: World) -> None:
    take(world, "s1")
    assert "no such snapshot" in refused(plan_restoring(world, "s2"))
    gone = {path: size for path, size in world.env(ANN).sizes.items() if not path.endswith("s1.nvram")}
    assert refused(plan_restoring(world, "s1", sizes=gone)) == f"“{store_of(ANN)}/s1.nvram” is missing."
    graph = world.graph()
    images = {path: image for path, image in graph.images.items() if path != ANN_DISK}
    plan = plan_restore(Graph(images, graph.holders), world.tree(ANN), world.env(ANN), SnapshotId("s1"))
    assert refused(plan) == "“/i/ann-vda.qcow2” is missing."


def test_a_tree_that_names_files_of_others_is_refused(world: World) -> None:
    take(world, "s1")
    tree = world.tree(ANN)
    snapshot = replace(tree.snapshots[0], nvram="/etc/passwd")
    world.trees[ANN] = replace(tree, snapshots=(snapshot,))
    assert "“/etc/passwd” is not in the folder" in refused(plan_restoring(world, "s1"))
    assert "“/etc/passwd” is not in the folder" in refused(plan_deleting(world, "s1"))


def test_what_is_replaced_is_not_moved_from_under_others(world: World) -> None:
    take(world, "s1")
    add_linked(world, "/i/ann-vda.00000001.qcow2")
    assert refused(plan_restoring(world, "s1")) == "“/i/ann-vda.00000001.qcow2” is needed by “bob”."
    world.definitions.pop(BOB)
    world.images.pop("/i/bob-vda.qcow2")
    world.others["/i/ann-vda.00000001.qcow2"] = "bob"
    assert refused(plan_restoring(world, "s1")) == "“/i/ann-vda.00000001.qcow2” is also used by “bob”."


def test_a_running_vms_own_chain_in_its_definition_is_no_other_use(world: World) -> None:
    take(world, "s1", writes=1)
    for path in world.graph().images:
        world.others[path] = "ann"
    done(world, plan_restoring(world, "s1"))


def test_images_that_cannot_be_read_hide_who_needs_what(world: World) -> None:
    take(world, "s1")
    world.unreadable["/i/secret.qcow2"] = "bob"
    for plan in (plan_restoring(world, "s1"), plan_deleting(world, "s1")):
        assert "“/i/secret.qcow2” of “bob” cannot be read" in refused(plan)
    assert plan_restoring(world, "s1", new("kept")).shown.refused == ""  # moves no image
    world.missing = dict(world.unreadable)
    world.unreadable.clear()
    plan = plan_deleting(world, "s1")
    assert "“/i/secret.qcow2” of “bob” is missing." in plan.shown.warnings[0]


def test_undo_is_refused_when_files_are_gone_or_in_the_way(world: World) -> None:
    assert "no restore to be undone" in refused(plan_undo_restore(world.graph(), world.tree(ANN), world.env(ANN)))
    take(world, "s1", writes=1)
    done(world, plan_restoring(world, "s1"))
    receipt = world.tree(ANN).undo
    assert receipt is not None
    kept = receipt.files[-1]
    plan = plan_undo_restore(world.graph(), world.tree(ANN), world.env(ANN), gone=(kept.kept_at,))
    assert refused(plan) == f"“{kept.kept_at}” is not there any more."
    plan = plan_undo_restore(world.graph(), world.tree(ANN), world.env(ANN, taken=frozenset({kept.path})))
    assert "Another file now stands" in refused(plan)
    hostile = replace(receipt, files=(replace(kept, kept_at="/etc/passwd"),))
    plan = plan_undo_restore(world.graph(), replace(world.tree(ANN), undo=hostile), world.env(ANN))
    assert "“/etc/passwd” is not where files are kept aside" in refused(plan)
