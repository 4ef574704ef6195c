"""Snapshots as frozen images with overlays (UEFI, raw images), with real libvirt and QEMU: every disk is hashed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from guivm.engine import requests as rq
from guivm.engine.snapshots.values import SnapshotMode
from guivm.engine.types import VmKey, VmState
from guivm.errors import ImageError, InUseError
from tests.helpers.guests import sample_guest
from tests.helpers.live_guest import live_guest
from tests.helpers.snapshot_world import World, check, contents, make_image, snapshot_world, write

pytestmark = pytest.mark.e2e


@pytest.fixture
def world() -> Iterator[World]:
    with snapshot_world() as value:
        yield value


def two_disks(world: World, name: str = "vm", *, uefi: bool = True) -> VmKey:
    """A VM with a qcow2 and a raw image that hold something."""
    first = make_image(world.images / f"{name}.qcow2")
    second = make_image(world.images / f"{name}.raw", image_format="raw")
    write(first, 1)
    write(second, 2, image_format="raw")
    return world.define(name, ((first, "qcow2"), (second, "raw")), uefi=uefi)


def change(world: World, key: VmKey, pattern: int) -> tuple[str, ...]:
    """Write to both drives of a VM that is off; what they read then."""
    write(world.disk(key), pattern, 1)
    write(world.disk(key, 1), pattern, 2)
    return world.reads(key)


def settled(world: World, key: VmKey) -> None:
    """The oracles: nothing is wrong, every image is whole, no journal, nothing half-made."""
    tree = world.tree(key)
    assert tree.problems == ()
    for number in range(2):
        check(world.disk(key, number), "qcow2" if world.disk(key, number).endswith("qcow2") else "raw")
    assert not [path for path in world.files() if path.endswith((".part", "/journal"))]


def test_a_tree_with_two_branches_is_taken_restored_undone_and_deleted(world: World) -> None:
    key = two_disks(world)
    at_first = world.reads(key)
    first = world.take(key, "first")
    at_second = change(world, key, 3)
    second = world.take(key, "second")
    at_third = change(world, key, 4)
    assert world.tree(key).mode is SnapshotMode.BRANCH
    assert len({at_first, at_second, at_third}) == 3

    plan = world.ask(rq.PlanOperation(key, rq.RestoreSnapshot(key, first)))
    assert not plan.refused
    assert plan.loses
    assert world.ask(rq.RestoreSnapshot(key, first)).can_undo
    assert world.reads(key) == at_first
    assert world.tree(key).current == first
    assert world.tree(key).changed is False
    world.ask(rq.UndoRestore(key))
    assert world.reads(key) == at_third

    kept = world.ask(rq.RestoreSnapshot(key, first, "before the branch")).kept
    assert kept is not None
    on_branch = change(world, key, 5)
    branch = world.take(key, "branch")
    parents = {each.id: each.parent for each in world.tree(key).snapshots}
    assert parents == {first: None, second: first, kept: second, branch: first}
    settled(world, key)

    # The first one is the base of both branches: each keeps reading the same when it goes.
    world.ask(rq.DeleteSnapshots(key, (first,)))
    assert world.reads(key) == on_branch
    world.ask(rq.RestoreSnapshot(key, kept))
    assert world.reads(key) == at_third
    world.ask(rq.RestoreSnapshot(key, second))
    assert world.reads(key) == at_second
    world.ask(rq.RestoreSnapshot(key, branch))
    assert world.reads(key) == on_branch
    settled(world, key)
    world.ask(rq.DeleteSnapshots(key, (second,), children=True))
    assert [each.id for each in world.tree(key).snapshots] == [branch]
    world.ask(rq.DeleteSnapshots(key, (branch,)))
    assert world.reads(key) == on_branch
    assert world.tree(key).snapshots == ()
    settled(world, key)


def test_a_running_vm_with_its_memory_and_uefi_variables(world: World) -> None:
    key = two_disks(world)
    world.start(key)
    taken = world.ask(rq.TakeSnapshot(key, "running", "while it ran"))
    assert taken.pause_s > 0
    info = world.titled(key, "running")
    assert (info.has_memory, info.vm_state, info.notes) == (True, VmState.RUNNING, "while it ran")
    assert info.pause_s == pytest.approx(taken.pause_s)
    assert info.has_picture
    picture = world.ask(rq.ReadSnapshotPicture(key, taken.id))
    assert picture is not None
    assert picture.data.startswith(b"\x89PNG")
    world.recorder.wait_for_state(key, VmState.RUNNING)
    variables = Path(world.daemon.root, "c/libvirt/qemu/nvram/vm_VARS.fd")
    before = variables.read_bytes()
    world.force_off(key)
    now = change(world, key, 9)
    variables.write_bytes(before[:-16] + b"x" * 16)

    world.ask(rq.RestoreSnapshot(key, taken.id))
    world.recorder.wait_for_state(key, VmState.RUNNING)
    assert variables.read_bytes() == before
    world.force_off(key)
    assert world.reads(key) != now
    world.ask(rq.UndoRestore(key))
    assert world.reads(key) == now
    assert variables.read_bytes().endswith(b"x" * 16)
    # The memory can be run as often as one likes.
    for _ in range(2):
        world.ask(rq.RestoreSnapshot(key, taken.id))
        world.recorder.wait_for_state(key, VmState.RUNNING)
    settled_running = world.tree(key)
    assert settled_running.changed
    assert settled_running.problems == ()


def test_the_disks_of_a_running_vm_alone_and_merging_while_it_runs(world: World) -> None:
    key = two_disks(world)
    at_first = world.reads(key)
    world.start(key)
    taken = world.ask(rq.TakeSnapshot(key, "disks", memory=False))
    assert world.engine.vm(key).state is VmState.RUNNING  # type: ignore[union-attr]
    assert not world.titled(key, "disks").has_memory
    world.ask(rq.DeleteSnapshots(key, (taken.id,)))
    assert world.engine.vm(key).state is VmState.RUNNING  # type: ignore[union-attr]
    world.force_off(key)
    assert world.reads(key) == at_first
    assert world.tree(key).snapshots == ()
    settled(world, key)
    world.start(key)


def test_frozen_images_are_not_started_on_and_a_missing_one_is_named(world: World) -> None:
    key = two_disks(world)
    base = world.disk(key)
    world.take(key, "first")
    assert not Path(base).stat().st_mode & 0o222
    other = world.define("other", ((Path(base), "qcow2"),))
    with pytest.raises(InUseError, match="first"):
        world.ask(rq.Start(other))
    world.domain(other).undefine()
    away = f"{base}.away"
    Path(base).rename(away)
    assert any(base in problem for problem in world.tree(key).problems)
    with pytest.raises(ImageError, match="cannot be started"):
        world.ask(rq.Start(key))
    plan = world.ask(rq.PlanOperation(key, rq.DeleteSnapshots(key, (world.tree(key).snapshots[0].id,))))
    assert base in plan.refused
    Path(away).rename(base)
    world.start(key)


def test_a_vm_is_deleted_with_its_snapshots_and_comes_back_with_them(world: World) -> None:
    key = two_disks(world, uefi=False)
    at_first = world.reads(key)
    first = world.take(key, "first")
    now = change(world, key, 7)
    plan = world.ask(rq.PlanDelete(key))
    files = tuple(fate.path for fate in plan.files if fate.deletable)
    assert len(files) == 4
    with pytest.raises(InUseError, match="together"):
        world.ask(rq.Delete(key, files[:1] + files[2:3]))
    deleted = world.ask(rq.Delete(key, files))
    assert not [path for path in world.files() if "/.guivm-trash/" not in path]
    world.ask(rq.UndoDelete(deleted))
    world.recorder.wait_for_state(key, VmState.OFF)
    assert world.reads(key) == now
    world.ask(rq.RestoreSnapshot(key, first))
    assert world.reads(key) == at_first
    world.ask(rq.DeleteSnapshots(key, (first,)))
    plan = world.ask(rq.PlanDelete(key))
    world.ask(rq.PurgeDeleted(world.ask(rq.Delete(key, tuple(f.path for f in plan.files if f.deletable)))))
    assert not [path for path in world.files() if ".moved/" not in path]


def test_two_operations_at_once_on_one_vm_are_one_after_the_other_or_refused(world: World) -> None:
    from guivm import paths
    from guivm.engine.snapshots import journal, store

    key = two_disks(world, uefi=False)
    before = world.files()
    with (
        journal.locked(store.folder_of(paths.images_dir(), key.uuid), "vm"),
        pytest.raises(InUseError, match="going on"),
    ):
        world.ask(rq.TakeSnapshot(key, "second instance"))
    assert world.files() == before
    world.take(key, "afterwards")


def test_the_state_of_a_tpm_goes_with_the_snapshot(world: World) -> None:
    image = make_image(world.images / "vm.qcow2")
    key = world.define(
        "vm", ((image, "qcow2"),), more="<tpm model='tpm-tis'><backend type='emulator' version='2.0'/></tpm>"
    )
    state = Path(world.daemon.root, "c/libvirt/qemu/swtpm", key.uuid, "tpm2", "tpm2-00.permall")
    world.start(key)
    first = world.take(key, "with memory")
    world.recorder.wait_for_state(key, VmState.RUNNING)
    world.force_off(key)
    before = state.read_bytes()
    off = world.take(key, "off")
    state.write_bytes(b"another TPM")
    plan = world.ask(rq.PlanOperation(key, rq.RestoreSnapshot(key, off)))
    assert any("TPM" in step for step in plan.steps)
    world.ask(rq.RestoreSnapshot(key, off))
    assert state.read_bytes() == before
    world.ask(rq.UndoRestore(key))
    assert state.read_bytes() == b"another TPM"
    world.ask(rq.RestoreSnapshot(key, first))
    world.recorder.wait_for_state(key, VmState.RUNNING)
    assert state.read_bytes() != b"another TPM"
    world.force_off(key)
    world.start(key)


_GUEST = """
<domain type='qemu'>
  <name>linux</name><memory unit='MiB'>256</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type>
    <kernel>{kernel}</kernel><initrd>{initrd}</initrd><cmdline>{arguments}</cmdline></os>
  <features><acpi/></features><cpu mode='maximum'/>
  <devices>
    <disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{disk}'/>
      <target dev='vda' bus='virtio'/></disk>
    <serial type='pty'><target port='0'/></serial>
    <graphics type='vnc'><listen type='none'/></graphics>
  </devices>
</domain>"""


def test_what_a_linux_guest_had_in_memory_is_there_again(tmp_path: Path) -> None:
    import socket

    built, disk = sample_guest(), make_image(tmp_path / "linux.raw", "8M", "raw")
    xml = _GUEST.format(kernel=built.kernel, initrd=built.initrd, arguments=built.arguments, disk=disk)
    with live_guest(xml, tmp_path) as guest:
        engine, key = guest.engine, guest.key
        guest.run("echo in memory > /tmp/marker; marker=alive")
        taken = engine.submit(rq.TakeSnapshot(key, "marker")).result(120)
        fd = engine.submit(rq.OpenSerial(key)).result(120).fd
        with socket.socket(fileno=fd) as line:
            line.settimeout(120)
            guest.line = line
            assert "in memory alive" in guest.run("cat /tmp/marker | tr '\\n' ' '; echo $marker")
            guest.run("rm /tmp/marker; marker=changed")
        engine.submit(rq.RestoreSnapshot(key, taken.id)).result(120)
        fd = engine.submit(rq.OpenSerial(key)).result(120).fd
        with socket.socket(fileno=fd) as line:
            line.settimeout(120)
            guest.line = line
            assert "in memory alive" in guest.run("cat /tmp/marker | tr '\\n' ' '; echo $marker")
    assert contents(disk, "raw")
