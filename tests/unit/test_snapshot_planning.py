"""Plans for branch snapshots, linked clones and templates: what they do, and what they refuse and why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from guivm.engine.snapshots import steps as st
from guivm.engine.snapshots.definitions import read_definition, with_files
from guivm.engine.snapshots.graph import Graph, HeldDisk, Holder
from guivm.engine.snapshots.planning import (
    CloneTarget,
    NewSnapshot,
    plan_delete,
    plan_detach,
    plan_linked_clone,
    plan_restore,
    plan_take,
    plan_template,
    plan_undo_restore,
)
from guivm.engine.snapshots.steps import Plan
from guivm.engine.snapshots.tree import BranchTree, InternalRecord
from guivm.engine.snapshots.values import FileAction, SnapshotId
from guivm.engine.types import VmState
from tests.helpers.symbolic_vms import Disk, World, definition, store_of, tpm_of, uuid_of

ANN = uuid_of(1)
BOB = uuid_of(2)
ANN_DISK = "/i/ann-vda.qcow2"


@pytest.fixture
def world() -> World:
    """One VM with UEFI and a TPM, off, with some data on its one disk."""
    made = World()
    made.add_vm(1, "ann", {"vda": Disk("qcow2", {0: 1, 1: 1, 2: 1})}, nvram=True)
    return made


def new(name: str, *, memory: bool = False, quiesce: bool = False) -> NewSnapshot:
    return NewSnapshot(SnapshotId(name), name.upper(), memory=memory, quiesce=quiesce)


def plan_taking(world: World, name: str = "s1", *, memory: bool = False, **env: object) -> Plan:
    return plan_take(world.graph(), world.tree(ANN), world.env(ANN, **env), new(name, memory=memory))


def take(world: World, name: str, writes: int = 0) -> None:
    """A snapshot, after which the guest writes to that many clusters."""
    done(world, plan_taking(world, name))
    for cluster in range(writes):
        world.guest_writes(ANN, "vda", cluster, 100 + cluster)


def plan_restoring(world: World, name: str, keep: NewSnapshot | None = None, **env: object) -> Plan:
    return plan_restore(world.graph(), world.tree(ANN), world.env(ANN, **env), SnapshotId(name), keep)


def plan_deleting(world: World, *names: str, children: bool = False, **env: object) -> Plan:
    chosen = tuple(SnapshotId(name) for name in names)
    return plan_delete(world.graph(), world.tree(ANN), world.env(ANN, **env), chosen, children)


def done(world: World, plan: Plan, uuid: str = ANN) -> None:
    assert plan.shown.refused == ""
    world.do_all(plan, uuid)
    world.check(set())


def refused(plan: Plan) -> str:
    assert (plan.prepare, plan.finish, plan.undo, plan.expected) == ((), (), (), None)
    return plan.shown.refused


def kinds(steps: tuple[st.Step, ...]) -> list[str]:
    return [type(step).__name__ for step in steps]


def add_linked(world: World, base: str, *, run: bool = False) -> str:
    """Another VM with an overlay of its own on an image."""
    world.add_vm(2, "bob", {"vda": Disk("qcow2", {5: 5}, base, world.images[base].format)})
    if run:
        world.running.add(BOB)
    return "/i/bob-vda.qcow2"


# --- take -------------------------------------------------------------------------------------------------


def test_taking_of_a_vm_that_is_off(world: World) -> None:
    plan = plan_taking(world)
    assert kinds(plan.prepare) == ["MakeOverlay", "CopyFile", "CopyFile"]
    assert kinds(plan.finish) == ["Freeze", "DefineVm", "WriteTree"]
    assert plan.made == (
        "/i/ann-vda.00000001.qcow2",
        f"{store_of(ANN)}/s1.nvram",
        f"{store_of(ANN)}/s1.tpm",
    )
    done(world, plan)
    assert world.current(ANN).disks[0].path == "/i/ann-vda.00000001.qcow2"
    assert not plan.shown.loses
    assert not plan.shown.pauses_guest


def test_names_do_not_grow_and_avoid_what_is_taken(world: World) -> None:
    take(world, "s1")
    plan = plan_taking(world, "s2", taken=frozenset({"/i/ann-vda.00000002.qcow2"}))
    assert plan.made[0] == "/i/ann-vda.00000002-2.qcow2"


def test_taking_of_a_running_vm_with_memory(world: World) -> None:
    world.running.add(ANN)
    plan = plan_taking(world, memory=True)
    assert kinds(plan.prepare) == ["SaveMemory", "MakeOverlay", "CopyFile", "CopyFile"]
    assert kinds(plan.finish) == ["Freeze", "DefineVm", "WriteTree", "RunMemory"]
    assert kinds(plan.undo) == ["RunMemory"]
    assert plan.shown.pauses_guest
    assert plan.shown.needs_bytes > 1 << 30
    done(world, plan)
    assert ANN in world.running


def test_taking_the_disks_of_a_running_vm(world: World) -> None:
    """The overlays come into use with the last step of *prepare*, and the firmware's state is copied with it."""
    world.running.add(ANN)
    plan = plan_taking(world)
    assert kinds(plan.prepare) == ["LiveOverlays"]
    step = plan.prepare[0]
    assert isinstance(step, st.LiveOverlays)
    assert step.copies == (
        ("/l/nvram/ann.fd", f"{store_of(ANN)}/s1.nvram"),
        (tpm_of(ANN), f"{store_of(ANN)}/s1.tpm"),
    )
    assert set(plan.made) == {"/i/ann-vda.00000001.qcow2", *(target for _, target in step.copies)}
    assert "power failure" in plan.shown.warnings[0]
    done(world, plan)


def test_only_the_vms_own_drives_are_asked_of_libvirt() -> None:
    world = World()
    world.add_vm(1, "ann", {"vda": Disk("raw", {0: 1})}, shared={"vdb": "/i/tools.img"})
    world.images["/i/tools.img"] = Disk("raw", {0: 9})
    cdrom = "<disk type='file' device='cdrom'><source file='/i/cd.iso'/><target dev='sda'/><readonly/></disk>"
    world.definitions[ANN] = world.definitions[ANN].replace("</devices>", f"{cdrom}</devices>")
    world.running.add(ANN)
    plan = plan_taking(world)
    step = plan.prepare[0]
    assert isinstance(step, st.LiveOverlays)
    assert "name=\"vdb\" snapshot='no'" in step.xml
    assert "name=\"sda\" snapshot='no'" in step.xml
    assert "Drive vdb, “/i/tools.img”, is read-only or shared" in plan.shown.warnings[0]
    done(world, plan)
    assert "/i/cd.iso" in world.definitions[ANN]


def test_a_drive_without_backing_keeps_all_its_other_settings(world: World) -> None:
    xml = world.definitions[ANN].replace("type='qcow2'/>", "type='qcow2' cache='none' discard='unmap'/>")
    xml = xml.replace("<target", "<backingStore type='file'><format type='raw'/></backingStore><target")
    changed = with_files(xml, {"vda": ("/i/odd &\"'<>.qcow2", "raw")}, name="new", nvram="/n")
    assert "backingStore" not in changed
    assert 'cache="none" discard="unmap"' in changed
    known = read_definition(changed)
    assert known.disks[0].path == "/i/odd &\"'<>.qcow2"
    assert (known.disks[0].format, known.name, known.nvram) == ("raw", "new", "/n")


def test_a_storage_volume_becomes_a_file() -> None:
    xml = definition(ANN, "ann", {"vda": ("/x", "qcow2")}).replace("type='file'", "type='volume'")
    xml = xml.replace("<source file='/x'/>", "<source pool='p' volume='v' mode='host'/>")
    changed = with_files(xml, {"vda": ("/i/v.qcow2", "qcow2")})
    assert '<source file="/i/v.qcow2"/>' in changed
    assert 'type="file"' in changed


def test_what_cannot_be_kept_is_refused_with_its_name(world: World) -> None:
    graph = world.graph()
    image = graph.images[ANN_DISK]
    for changed, reason in (
        (replace(image, encrypted=True), "“/i/ann-vda.qcow2” is encrypted"),
        (replace(image, format="luks", encrypted=True), "“/i/ann-vda.qcow2” is encrypted"),
        (replace(image, format="vmdk"), "“/i/ann-vda.qcow2” is in the format vmdk"),
        (replace(image, format="raw"), "the definition says qcow2"),
        (replace(image, internal_snapshots=1), "“/i/ann-vda.qcow2” holds snapshots inside it"),
        (replace(image, backing="/i/gone.qcow2"), "“/i/gone.qcow2”, which “/i/ann-vda.qcow2” needs, is missing"),
        (replace(image, backing=ANN_DISK), "“/i/ann-vda.qcow2” is, in the end, its own backing file"),
    ):
        other = Graph({ANN_DISK: changed}, graph.holders)
        plan = plan_take(other, world.tree(ANN), world.env(ANN), new("s1"))
        assert reason in refused(plan)


def test_a_missing_or_unreadable_image_is_refused(world: World) -> None:
    graph = world.graph()
    plan = plan_take(Graph({}, graph.holders), world.tree(ANN), world.env(ANN), new("s1"))
    assert refused(plan) == "“/i/ann-vda.qcow2” is missing."
    unreadable = Graph({}, graph.holders, unreadable={ANN_DISK: "ann"})
    plan = plan_take(unreadable, world.tree(ANN), world.env(ANN), new("s1"))
    assert refused(plan) == "“/i/ann-vda.qcow2” cannot be read."


def test_an_unreadable_image_elsewhere_is_no_matter_for_taking(world: World) -> None:
    world.unreadable["/i/secret.qcow2"] = "bob"
    done(world, plan_taking(world))


@pytest.mark.parametrize(
    ("old", "changed", "reason"),
    [
        ("type='file' device", "type='block' device", "Drive vda is no file"),
        ("<source file='/i/ann-vda.qcow2'/>", "<source file='/dev/sdz'/>", "Drive vda is no file"),
        ("<source file='/i/ann-vda.qcow2'/>", "", "Drive vda is no file"),
        ("'/i/ann-vda.qcow2'/>", "'/i/ann-vda.qcow2'><slices><slice size='9' offset='1'/></slices></source>", "part"),
    ],
)
def test_drives_that_are_no_files_are_refused(world: World, old: str, changed: str, reason: str) -> None:
    world.definitions[ANN] = world.definitions[ANN].replace(old, changed)
    assert reason in refused(plan_taking(world))


def test_two_drives_on_one_image_are_refused(world: World) -> None:
    world.definitions[ANN] = definition(ANN, "ann", {"vda": (ANN_DISK, "qcow2"), "vdb": (ANN_DISK, "qcow2")})
    assert refused(plan_taking(world)) == "“/i/ann-vda.qcow2” is used by two drives of “ann”."


def test_an_image_that_two_vms_write_is_refused(world: World) -> None:
    world.definitions[BOB] = definition(BOB, "bob", {"vda": (ANN_DISK, "qcow2")})
    assert refused(plan_taking(world)) == "“/i/ann-vda.qcow2” is also used by “bob”."
    assert "“bob”" in refused(plan_template(world.graph(), world.tree(ANN), world.env(ANN), True))


def test_modes_never_mix(world: World) -> None:
    assert "two kinds are never mixed" in refused(plan_taking(world, libvirt_snapshots=1))
    tree = BranchTree(ANN, "ann", internal=(InternalRecord("x"),))
    plan = plan_take(world.graph(), tree, world.env(ANN), new("s1"))
    assert "two kinds are never mixed" in refused(plan)
    clone = clone_of(world)
    plan = plan_linked_clone(world.graph(), tree, world.env(ANN), clone, None, new("s1"))
    assert "two kinds are never mixed" in refused(plan)


def test_a_saved_state_is_no_base_for_other_disks(world: World) -> None:
    take(world, "s1", writes=1)
    take(world, "s2")
    for plan in (
        plan_taking(world, "s3", has_saved_state=True),
        plan_restoring(world, "s1", has_saved_state=True),
        plan_deleting(world, "s2", has_saved_state=True),
    ):
        assert "has a saved state" in refused(plan)


def test_drives_changed_since_the_start_are_refused(world: World) -> None:
    world.running.add(ANN)
    live = world.definitions[ANN].replace("ann-vda", "ann-vdz")
    assert "have been changed since it was started" in refused(plan_taking(world, live_definition=live))
    assert "could not be read" in refused(plan_taking(world, live_definition=""))


def test_memory_of_a_vm_that_is_off_is_refused(world: World) -> None:
    assert "no memory to keep" in refused(plan_taking(world, memory=True))


def test_a_chain_has_an_end(world: World) -> None:
    for number in range(63):
        take(world, f"s{number}")
    assert "“/i/ann-vda.0000003f.qcow2” is the top of 64 images" in refused(plan_taking(world, "more"))
    assert plan_restoring(world, "s60").shown.refused == ""


def test_odd_names_of_files() -> None:
    for name, overlay in (
        ("/i/a b'\"&<>,:é日本.img", "/i/a b'\"&<>,:é日本.00000001.qcow2"),
        ("/i/--help", "/i/--help.00000001.qcow2"),
        ("/i/.hidden", "/i/.hidden.00000001.qcow2"),
        ("/i/zero\u200bwidth.qcow2", "/i/zero_width.00000001.qcow2"),
        ("/i/" + "x" * 250, "/i/" + "x" * 234 + ".00000001.qcow2"),
        ("/i/" + "日" * 80 + ".img", "/i/" + "日" * 78 + ".00000001.qcow2"),
        ("/i/backup.20240101.qcow2", "/i/backup.00000001.qcow2"),
        ("/i/.qcow2", "/i/disk.00000001.qcow2"),
    ):
        world = World()
        world.add_vm(1, "ann", {"vda": Disk("raw", {0: 1})})
        world.images[name] = world.images.pop("/i/ann-vda.img")
        world.definitions[ANN] = with_files(world.definitions[ANN], {"vda": (name, "raw")})
        plan = plan_taking(world)
        assert plan.made[0] == overlay
        assert len(overlay.rsplit("/", 1)[1].encode()) <= 255 - len(".part")
        done(world, plan)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/i/\udcff.img", "has characters that a definition cannot hold"),
        ("/i/line\nbreak.img", "has characters that a definition cannot hold"),
        ("/i/" + "d" * 200 + ("/" + "d" * 200) * 5, "is longer than an image's header can hold"),
    ],
)
def test_names_that_cannot_be_written_down_are_refused(world: World, path: str, reason: str) -> None:
    graph = world.graph()
    current = graph.holders[0]
    held = replace(current, disks=(HeldDisk("vda", path),))
    other = Graph({path: replace(graph.images[ANN_DISK], path=path)}, (held,))
    plan = plan_take(other, world.tree(ANN), world.env(ANN), new("s1"))
    assert reason in refused(plan)


def test_symbolic_links_in_the_definition_are_seen_through(world: World) -> None:
    """The graph has files by their one name; the definition may have another."""
    seen = world.graph()
    world.definitions[ANN] = world.definitions[ANN].replace(ANN_DISK, "/link/disk.qcow2")
    plan = plan_take(seen, world.tree(ANN), world.env(ANN), new("s1"))
    assert plan.made[0] == "/i/ann-vda.00000001.qcow2"
    assert plan.expected is not None
    current = plan.expected.current(ANN)
    assert current is not None
    assert current.disks[0].path == plan.made[0]


# --- space ------------------------------------------------------------------------------------------------


def test_what_surely_does_not_fit_is_refused_in_numbers(world: World) -> None:
    world.running.add(ANN)
    env = world.env(ANN, memory_bytes=4 << 30, memory_least_bytes=1 << 30)

    def plan(free: dict[int, int]) -> Plan:
        return plan_take(world.graph(), world.tree(ANN), replace(env, free=free), new("s1", memory=True))

    assert refused(plan({1: 512 << 20})) == "About 4 GiB more would be needed, but only 512 MiB are free."
    tight = plan({1: 2 << 30}).shown
    assert "Up to 4 GiB may be needed, and 2 GiB are free." in tight.warnings[0]
    assert tight.free_bytes == 2 << 30
    assert plan({}).shown.refused == ""  # not known: nothing is said of it


# --- restore ----------------------------------------------------------------------------------------------


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


# --- delete -----------------------------------------------------------------------------------------------


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


def test_a_running_vm_pulls_into_its_own_image_only(world: World) -> None:
    take(world, "s1", writes=1)
    take(world, "s2", writes=1)
    world.running.add(ANN)
    plan = plan_deleting(world, "s2")
    assert plan.prepare == (
        st.LivePull("vda", "/i/ann-vda.00000002.qcow2", ANN_DISK, "/i/ann-vda.00000001.qcow2", "qcow2"),
    )
    reason = refused(plan_deleting(world, "s1"))
    assert "“/i/ann-vda.00000001.qcow2”, into which a snapshot is to be merged, is in use: “ann” runs." in reason
    done(world, plan)
    done(world, plan_deleting(world, "s1"))


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


# --- clones and templates ---------------------------------------------------------------------------------


def clone_of(world: World) -> CloneTarget:
    uuid, name, place = uuid_of(9), "cleo", "/l/nvram/cleo.fd"
    known = read_definition(world.definitions[ANN])
    disks = {disk.target: (disk.path, disk.format) for disk in known.disks}
    return CloneTarget(uuid, name, definition(uuid, name, disks, nvram=place), "/i", 1, place, tpm_of(uuid))


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


def test_a_vm_that_is_gone_is_refused(world: World) -> None:
    plan = plan_take(Graph(), world.tree(ANN), world.env(ANN), new("s1"))
    assert refused(plan) == "The virtual machine is not defined any more."


def test_a_definition_that_cannot_be_read_is_refused(world: World) -> None:
    assert refused(plan_taking(world, definition="<domain")) == "The XML is malformed."


def test_the_state_of_the_guest_is_kept_with_the_snapshot(world: World) -> None:
    world.running.add(ANN)
    done(world, plan_taking(world, memory=True, vm_state=VmState.PAUSED))
    again = [s for s in plan_restoring(world, "s1").finish if isinstance(s, st.RunMemory)]
    assert [step.paused for step in again] == [True]
    assert again[0].onto


def test_indexes_of_a_graph_answer_as_a_search_would(world: World) -> None:
    take(world, "s1")
    add_linked(world, ANN_DISK)
    graph = world.graph()
    assert [i.path for i in graph.overlays(ANN_DISK)] == ["/i/ann-vda.00000001.qcow2", "/i/bob-vda.qcow2"]
    assert {h.vm_name for h in graph.readers_of(ANN_DISK)} == {"ann", "bob"}
    assert graph.overlays("/nowhere") == ()
    assert [h.snapshot for h in graph.holders_of(ANN_DISK)] == ["s1"]
    assert Graph() == Graph()
    assert isinstance(graph.holders_of(ANN_DISK)[0], Holder)
