"""Snapshots inside the images, through the engine's requests: real libvirt, a real guest of 512 bytes, two drives."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import libvirt
import pytest

from guivm.engine import requests as rq
from guivm.engine.engine import LibvirtEngine
from guivm.engine.snapshots.inside import plans
from guivm.engine.snapshots.inside.hidden import UNDO_NAMES
from guivm.engine.snapshots.values import FileAction, SnapshotId, SnapshotMode, SnapshotTree
from guivm.engine.types import VmState
from guivm.errors import GuivmError, InUseError, OperationError, UnsupportedError
from tests.helpers.daemon import SessionDaemon
from tests.helpers.image_oracles import make_image, write_pattern
from tests.helpers.inside_house import DISK, InsideHouse
from tests.helpers.recorder import Recorder


@pytest.fixture
def house(daemon: SessionDaemon) -> Iterator[InsideHouse]:
    engine = LibvirtEngine(warm_up=False)
    recorder = Recorder()
    engine.add_listener(recorder)
    value = None
    try:
        value = InsideHouse(daemon, engine, recorder)
        yield value
        value.require_sound()
    finally:
        if value is not None:
            value.connection.close()
        engine.stop()


def shape(tree: SnapshotTree) -> dict[str, str]:
    """Parents by title; of the current state too."""
    titles = {each.id: each.title for each in tree.snapshots}
    found = {each.title: titles.get(each.parent, "") if each.parent else "" for each in tree.snapshots}
    return found | {"NOW": titles[tree.current] if tree.current else ""}


def test_off_take_restore_undo_delete(house: InsideHouse) -> None:
    assert house.tree().mode is None
    start = house.now()
    request = rq.TakeSnapshot(house.key, "first", "my\nnotes")
    shown = house.plan(request)
    assert {(e.action, e.path) for e in shown.effects} == {
        (FileAction.CHANGE, str(house.one)),
        (FileAction.CHANGE, str(house.two)),
    }
    assert not shown.pauses_guest
    first = house.take("first", "my\nnotes")
    assert house.now() == house.of(first) == start
    house.writes(1)
    second = house.take("second")
    at_second = house.now()
    house.writes(2)
    changed = house.now()
    assert house.of(first) == start
    assert house.of(second) == at_second
    tree = house.tree()
    assert tree.mode is SnapshotMode.INTERNAL
    assert shape(tree) == {"first": "", "second": "first", "NOW": "second"}
    assert [(s.notes, s.has_memory, s.vm_state, s.pause_s) for s in tree.snapshots] == [
        ("my\nnotes", False, VmState.OFF, None),
        ("", False, VmState.OFF, None),
    ]

    done = house.ask(rq.RestoreSnapshot(house.key, first))
    assert done.can_undo
    assert house.now() == start
    assert house.of(second) == at_second
    tree = house.tree()
    assert shape(tree) == {"first": "", "second": "first", "NOW": "first"}
    assert tree.can_undo_restore == "first"

    house.ask(rq.UndoRestore(house.key))
    assert house.now() == changed
    tree = house.tree()
    assert shape(tree) == {"first": "", "second": "first", "NOW": "second"}
    assert not tree.can_undo_restore

    kept = house.ask(rq.RestoreSnapshot(house.key, first, "before going back")).kept
    assert kept is not None
    assert house.now() == start
    assert house.of(kept) == changed
    assert shape(house.tree()) == {"first": "", "second": "first", "before going back": "second", "NOW": "first"}

    house.ask(rq.DeleteSnapshots(house.key, (second,)))
    assert house.of(kept) == changed
    assert house.now() == start
    assert shape(house.tree()) == {"first": "", "before going back": "first", "NOW": "first"}
    house.require_sound()

    house.ask(rq.DeleteSnapshots(house.key, (first,), True))
    assert house.tree().snapshots == ()
    assert house.now() == start


def test_running_with_its_memory(house: InsideHouse) -> None:
    house.start()
    shown = house.plan(rq.TakeSnapshot(house.key, "runs"))
    assert shown.pauses_guest
    assert shown.needs_bytes > 32 << 20
    taken = house.ask(rq.TakeSnapshot(house.key, "runs"))
    assert taken.pause_s > 0
    (info,) = house.tree().snapshots
    assert (info.has_memory, info.vm_state, info.has_picture) == (True, VmState.RUNNING, True)
    assert info.pause_s == pytest.approx(taken.pause_s)
    assert info.size_bytes is not None
    assert info.size_bytes > 100_000
    picture = house.ask(rq.ReadSnapshotPicture(house.key, info.id))
    assert picture is not None
    assert picture.data.startswith(b"\x89PNG")

    house.ask(rq.ForceOff(house.key))
    house.writes(1)
    off = house.now()
    off_id = house.take("off")
    # From off to running, and undone: off again, with what was written.
    house.ask(rq.RestoreSnapshot(house.key, info.id))
    assert house.vm_state() is VmState.RUNNING
    house.ask(rq.UndoRestore(house.key))
    assert house.vm_state() is VmState.OFF
    assert house.now() == off
    # From running to off, the running state kept; and to that again.
    house.start()
    shown = house.plan(rq.RestoreSnapshot(house.key, off_id))
    assert shown.stops_guest
    assert shown.loses
    kept = house.ask(rq.RestoreSnapshot(house.key, off_id, "ran")).kept
    assert kept is not None
    assert house.vm_state() is VmState.OFF
    assert house.now() == off
    house.ask(rq.RestoreSnapshot(house.key, kept))
    assert house.vm_state() is VmState.RUNNING
    # One is deleted while it runs.
    house.ask(rq.DeleteSnapshots(house.key, (info.id,)))
    assert house.vm_state() is VmState.RUNNING
    assert house.ask(rq.ReadSnapshotPicture(house.key, info.id)) is None
    # A paused one stays paused, and so does its snapshot.
    house.ask(rq.Pause(house.key))
    paused = house.take("paused")
    assert house.vm_state() is VmState.PAUSED
    house.ask(rq.ForceOff(house.key))
    house.ask(rq.RestoreSnapshot(house.key, paused))
    assert house.vm_state() is VmState.PAUSED
    # Without memory is not to be had.
    house.refused(rq.TakeSnapshot(house.key, "without", memory=False))
    house.ask(rq.ForceOff(house.key))


def test_titles_and_notes_are_changed_and_the_identity_stays(house: InsideHouse) -> None:
    first = house.take("first", "notes")
    second = house.take("second")
    for each in (first, second):
        house.ask(rq.EditSnapshot(house.key, each, "Another title", "other\nnotes"))
        info = next(s for s in house.tree().snapshots if s.id == each)
        assert (info.title, info.notes) == ("Another title", "other\nnotes")
    assert house.tree().current == second
    house.ask(rq.RestoreSnapshot(house.key, first))
    assert house.tree().current == first
    with pytest.raises(OperationError):
        house.ask(rq.EditSnapshot(house.key, SnapshotId("none"), "x", ""))
    for title in ("", " \n", "x" * 81):
        with pytest.raises(OperationError):
            house.ask(rq.TakeSnapshot(house.key, title))


def test_titles_of_every_kind(house: InsideHouse) -> None:
    """A number would be taken by QEMU for the number of another snapshot inside the image."""
    start = house.now()
    titles = ["7", "a/b", "..", "ü & <x>", "same", "same", "-rf", "a,b=c", *UNDO_NAMES]
    ids = []
    for number, title in enumerate(titles):
        ids.append(house.take(title))
        house.writes(number + 1)
    assert len(set(ids)) == len(titles)
    assert [each.title for each in house.tree().snapshots] == titles
    house.ask(rq.RestoreSnapshot(house.key, ids[0]))
    assert house.now() == start
    for each in ids:
        house.ask(rq.DeleteSnapshots(house.key, (each,)))
    assert house.tree().snapshots == ()


def test_a_number_as_a_name_given_by_another_tool_is_refused(house: InsideHouse) -> None:
    house.take("first")
    house.domain.snapshotCreateXML("<domainsnapshot><name>1</name></domainsnapshot>", 0)
    house.writes(1)
    number = SnapshotId("1")
    assert "number" in house.refused(rq.RestoreSnapshot(house.key, number)).refused
    assert "number" in house.refused(rq.DeleteSnapshots(house.key, (number,))).refused
    info = next(each for each in house.tree().snapshots if each.id == number)
    assert info.cannot_restore
    assert info.cannot_delete


def test_snapshots_made_by_virsh_are_used_like_our_own(house: InsideHouse) -> None:
    start = house.now()
    house.domain.snapshotCreateXML(
        "<domainsnapshot><name>theirs</name><description>d</description></domainsnapshot>", 0
    )
    house.writes(1)
    written = house.now()
    (info,) = house.tree().snapshots
    assert (info.title, info.notes, info.mode) == ("theirs", "d", SnapshotMode.INTERNAL)
    house.ask(rq.RestoreSnapshot(house.key, info.id))
    assert house.now() == start
    assert house.tree().can_undo_restore == "theirs"
    house.ask(rq.UndoRestore(house.key))
    assert house.now() == written


def test_deleting_with_all_below_leaves_undo(house: InsideHouse) -> None:
    first = house.take("first")
    house.writes(1)
    house.take("second")
    house.writes(2)
    written = house.now()
    house.ask(rq.RestoreSnapshot(house.key, first))
    assert house.plan(rq.DeleteSnapshots(house.key, (first,), True)).title == "Delete 2 snapshots"
    house.ask(rq.DeleteSnapshots(house.key, (first,), True))
    tree = house.tree()
    assert tree.snapshots == ()
    assert tree.can_undo_restore
    house.ask(rq.UndoRestore(house.key))
    assert house.now() == written
    assert [s.getName() for s in house.domain.listAllSnapshots(0)] == []


def test_an_image_that_another_vm_stands_on_is_not_restored(house: InsideHouse) -> None:
    first = house.take("first")
    house.writes(1)
    overlay = house.images / "clone.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", house.two, overlay], check=True)
    house.define("their clone", overlay)
    shown = house.refused(rq.RestoreSnapshot(house.key, first))
    assert "their clone" in shown.refused
    assert "two.qcow2" in shown.refused


def test_a_saved_state_is_in_the_way(house: InsideHouse) -> None:
    first = house.take("first")
    house.start()
    house.ask(rq.SaveState(house.key))
    for request in (rq.TakeSnapshot(house.key, "x"), rq.RestoreSnapshot(house.key, first)):
        assert "saved state" in house.refused(request).refused
    assert "saved state" in house.tree().cannot_take
    house.ask(rq.DiscardSavedState(house.key))
    house.take("x")


def test_snapshots_with_files_of_their_own_are_shown_and_left_alone(house: InsideHouse) -> None:
    """Made by ``virsh snapshot-create --disk-only``."""
    house.start()
    house.domain.snapshotCreateXML(
        "<domainsnapshot><name>outside</name></domainsnapshot>", libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY
    )
    house.ask(rq.ForceOff(house.key))
    tree = house.tree()
    assert tree.mode is SnapshotMode.FOREIGN
    (info,) = tree.snapshots
    assert (info.title, info.mode) == ("outside", SnapshotMode.FOREIGN)
    assert info.cannot_restore
    assert info.cannot_delete
    assert tree.cannot_take
    files = {path: path.read_bytes() for path in house.images.glob("*.*")}
    for request in (
        rq.TakeSnapshot(house.key, "x"),
        rq.RestoreSnapshot(house.key, info.id),
        rq.DeleteSnapshots(house.key, (info.id,)),
    ):
        assert house.plan(request).refused
        with pytest.raises(UnsupportedError):
            house.ask(request)
    assert {path: path.read_bytes() for path in house.images.glob("*.*")} == files


def test_what_is_not_there_any_more(house: InsideHouse) -> None:
    house.take("first")
    none = SnapshotId("none")
    for request in (
        rq.RestoreSnapshot(house.key, none),
        rq.RestoreSnapshot(house.key, SnapshotId(UNDO_NAMES[0])),
        rq.DeleteSnapshots(house.key, (none,)),
        rq.DeleteSnapshots(house.key, ()),
        rq.UndoRestore(house.key),
    ):
        before = house.state()
        with pytest.raises(GuivmError):
            house.ask(request)
        assert house.state() == before
    assert house.ask(rq.ReadSnapshotPicture(house.key, none)) is None


def test_an_image_that_lost_the_snapshot_is_not_restored(house: InsideHouse) -> None:
    first = house.take("first")
    house.writes(1)
    subprocess.run(["qemu-img", "snapshot", "-d", first, house.two], check=True)
    before = house.now()
    request = rq.RestoreSnapshot(house.key, first)
    assert "two.qcow2" in house.plan(request).refused
    with pytest.raises(InUseError):
        house.ask(request)
    assert house.now() == before
    house.domain.snapshotLookupByName(first, 0).delete(libvirt.VIR_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY)
    subprocess.run(["qemu-img", "snapshot", "-d", first, house.one], check=True)


def test_a_restore_that_fails_halfway_can_be_undone(house: InsideHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """libvirt has changed one drive and not the other."""
    first = house.take("first")
    house.writes(1)
    before = house.now()
    subprocess.run(["qemu-img", "snapshot", "-d", first, house.two], check=True)
    with monkeypatch.context() as patched:
        patched.setattr(plans, "_unless_incomplete", lambda *arguments: arguments[-1])
        with pytest.raises(GuivmError):
            house.ask(rq.RestoreSnapshot(house.key, first))
    assert house.now() != before
    assert house.tree().can_undo_restore
    house.ask(rq.UndoRestore(house.key))
    assert house.now() == before
    house.domain.snapshotLookupByName(first, 0).delete(libvirt.VIR_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY)
    subprocess.run(["qemu-img", "snapshot", "-d", first, house.one], check=True)


def test_a_drive_added_since_is_left_as_it_is(house: InsideHouse) -> None:
    """The snapshot's definition comes back without it."""
    alone = house.define("alone", house.images / "alone.qcow2")
    make_image(house.images / "alone.qcow2")
    house.ask(rq.TakeSnapshot(alone, "first"))
    (first,) = house.tree(alone).snapshots
    added = make_image(house.images / "added.qcow2")
    domain = house.connection.lookupByUUIDString(alone.uuid)
    disk = DISK.format(path=added, target="hdb")
    domain.attachDeviceFlags(disk, libvirt.VIR_DOMAIN_AFFECT_CONFIG)
    write_pattern(added, 5, 0, 1 << 16)
    write_pattern(house.images / "alone.qcow2", 5, 0, 1 << 16)
    held = added.read_bytes()
    house.ask(rq.RestoreSnapshot(alone, first.id))
    assert "added" not in domain.XMLDesc(0)
    subprocess.run(["qemu-io", "-c", "read -P 5 0 64k", added], check=True)
    house.ask(rq.UndoRestore(alone))
    assert "added" in domain.XMLDesc(0)
    assert added.exists()
    assert len(held) <= added.stat().st_size


def test_deleting_is_gone_on_with_where_it_was_stopped(house: InsideHouse) -> None:
    ids = [house.take(f"s{number}") for number in range(3)]
    house.domain.snapshotLookupByName(ids[1], 0).delete(0)  # by somebody else meanwhile
    with pytest.raises(GuivmError):
        house.ask(rq.DeleteSnapshots(house.key, tuple(ids)))
    house.ask(rq.DeleteSnapshots(house.key, (ids[0], ids[2])))
    again = house.take("s1")
    assert next(each for each in house.tree().snapshots if each.id == again).title == "s1"
