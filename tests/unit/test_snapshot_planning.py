"""Plans of snapshots: what is done to which file, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from guivm.engine.snapshots import steps as st
from guivm.engine.snapshots.definitions import read_definition, with_files
from guivm.engine.snapshots.graph import Graph, HeldDisk, Holder
from guivm.engine.snapshots.planning import (
    plan_linked_clone,
    plan_take,
    plan_template,
)
from guivm.engine.snapshots.steps import Plan
from guivm.engine.snapshots.tree import BranchTree, InternalRecord
from guivm.engine.types import VmState
from tests.helpers.planned import (
    ANN,
    ANN_DISK,
    BOB,
    add_linked,
    clone_of,
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


# --- clones and templates ---------------------------------------------------------------------------------


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
