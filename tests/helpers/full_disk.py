"""A running guest whose images are on a file system that is really full: ``python -m tests.helpers.full_disk NAME``.

In a process of its own, in mounts of its own (:func:`command`): a few MiB of memory hold the images.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import libvirt

from guivm.engine import operations, reader
from guivm.engine import requests as rq
from guivm.engine.context import HandlerContext
from guivm.engine.libvirt_errors import translate
from guivm.engine.snapshots import handlers, journal, recovering, store
from guivm.engine.snapshots.reading import read_graph
from guivm.engine.types import VmInfo, VmKey, VmState
from guivm.engine.xml.domain import DomainXml
from guivm.errors import GuivmError, NoSpaceError
from tests.helpers.boot_sector import WRITES_AT_EACH_KEY, write_boot_sector
from tests.helpers.daemon import SessionDaemon, wait_until
from tests.helpers.image_oracles import chain, check_images, contents
from tests.helpers.snapshot_child import context_of

_VM = """<domain type='qemu'><name>guest</name><memory unit='MiB'>16</memory>
<os><type arch='x86_64' machine='pc'>hvm</type></os>
<devices>
<disk type='file' device='disk'><driver name='qemu' type='{form}'/><source file='{disk}'/>
<target dev='vda' bus='virtio'/></disk>
<controller type='usb' model='none'/><memballoon model='none'/>
</devices></domain>"""
_DISK_BYTES = 20 << 20
_PLACE_MIB = 128
_BLOCK = 32 << 10
_BLOCKS = 64  # at each key
_KEY_SPACE = 57


def command(name: str) -> list[str]:
    """What runs one of the scenarios."""
    users = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *users, "--mount", "--", sys.executable, "-m", "tests.helpers.full_disk", name]


class Place:
    """One VM, with its images on the small file system."""

    def __init__(self, daemon: SessionDaemon, images: Path, form: str) -> None:
        self.daemon, self.images = daemon, images
        self.connection = libvirt.open(daemon.uri)
        disk = images / "disk.img"
        write_boot_sector(disk, WRITES_AT_EACH_KEY)
        os.truncate(disk, _DISK_BYTES)
        if form == "qcow2":
            raw, disk = disk, images / "disk.qcow2"
            _run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, disk)
            raw.unlink()
        uuid = self.connection.defineXML(_VM.format(form=form, disk=disk)).UUIDString()
        self.key = VmKey(self.context.host.id, uuid)
        self.folder = store.folder_of(images, uuid)
        self.portions = 1
        self.domain.create()
        self.require_written()

    @property
    def context(self) -> HandlerContext:
        return context_of(self.connection, self.images)

    @property
    def domain(self) -> libvirt.virDomain:
        return self.connection.lookupByUUIDString(self.key.uuid)

    # --- the guest ------------------------------------------------------------------------------------

    def press(self) -> None:
        """Have it write the next portion."""
        self.portions += 1
        self.domain.sendKey(libvirt.VIR_KEYCODE_SET_LINUX, 50, [_KEY_SPACE], 1, 0)

    def disk(self) -> tuple[str, str]:
        (found,) = DomainXml.parse(self.domain.XMLDesc(0)).devices.disks
        return found.path, found.driver_type or ""

    def written(self) -> int:
        """How many portions are on the disk, as files tell it."""
        if self.domain.isActive():
            self._flush()
        data = contents(*self.disk())
        return next(k for k in itertools.count() if not _is_whole(data, k))

    def _flush(self) -> None:
        import libvirt_qemu

        words = 'qemu-io -d /machine/peripheral/virtio-disk0/virtio-backend "flush"'
        libvirt_qemu.qemuMonitorCommand(self.domain, words, libvirt_qemu.VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP)

    def require_written(self) -> None:
        """All that it was asked for so far, and it runs."""
        wait_until(lambda: self.written() == self.portions, f"{self.portions} portions")
        assert self.info().state is VmState.RUNNING

    def info(self) -> VmInfo:
        found = reader.Reader(self.key.host, self.connection, self.images).read(self.key.uuid)
        assert found is not None
        return found

    def pause_for_space(self) -> None:
        """Let it write until the file system is full."""
        self.press()
        wait_until(lambda: self.info().state is VmState.PAUSED, "the guest to stand still")
        assert self.domain.state(0)[1] == libvirt.VIR_DOMAIN_PAUSED_IOERROR
        assert "free some space" in self.info().reason
        assert self.written() < self.portions
        operations.resume(self.context, rq.Resume(self.key))  # nothing was freed
        wait_until(lambda: self.info().state is VmState.PAUSED, "the guest to stand still again")
        self.free()
        operations.resume(self.context, rq.Resume(self.key))
        self.require_written()

    # --- room -----------------------------------------------------------------------------------------

    def fill(self, left: int) -> None:
        """Until only ``left`` bytes are free."""
        status = os.statvfs(self.images)
        with (self.images / "ballast").open("ab") as stream:
            size = status.f_bavail * status.f_frsize - left
            os.posix_fallocate(stream.fileno(), stream.tell(), max(size, 1))

    def free(self) -> None:
        (self.images / "ballast").unlink()

    @contextlib.contextmanager
    def filled_after_the_plan(self, left: int) -> Iterator[None]:
        """Somebody else takes the space when an operation has been planned, and is begun."""
        begin, create = journal.Journal.begin, libvirt.virDomain.snapshotCreateXML
        was_filled = False

        def begun(folder: Path, entry: journal.Entry) -> journal.Journal:
            nonlocal was_filled
            found = begin(folder, entry)
            self.fill(left)
            was_filled = True
            return found

        def created(domain: libvirt.virDomain, *arguments: object) -> object:
            nonlocal was_filled
            if not was_filled:
                self.fill(left)
                was_filled = True
            return create(domain, *arguments)

        journal.Journal.begin = staticmethod(begun)  # type: ignore[method-assign]
        libvirt.virDomain.snapshotCreateXML = created
        try:
            yield
        finally:
            journal.Journal.begin = begin  # type: ignore[method-assign]
            libvirt.virDomain.snapshotCreateXML = create
        assert was_filled

    # --- operations -----------------------------------------------------------------------------------

    def take(self, title: str, *, memory: bool) -> None:
        handlers.take_snapshot(self.context, rq.TakeSnapshot(self.key, title, memory=memory))

    def delete(self, title: str) -> None:
        tree = handlers.read_snapshots(self.context, rq.ReadSnapshots(self.key))
        chosen = tuple(each.id for each in tree.snapshots if each.title == title)
        handlers.delete_snapshots(self.context, rq.DeleteSnapshots(self.key, chosen))

    def titles(self) -> list[str]:
        tree = handlers.read_snapshots(self.context, rq.ReadSnapshots(self.key))
        return [each.title for each in tree.snapshots]

    def fails_for_space(self, operation: str, title: str, *, memory: bool = False) -> None:
        """The operation is told to have no space, and leaves everything as it was; the guest goes on."""
        before, titles = self.files(), self.titles()
        try:
            if operation == "take":
                self.take(title, memory=memory)
            else:
                self.delete(title)
        except (GuivmError, libvirt.libvirtError) as error:
            told = error if isinstance(error, GuivmError) else translate(error, title)
            assert isinstance(told, NoSpaceError), f"{type(told).__name__}: {told} {told.details}"
        else:
            raise AssertionError("there was space")
        with contextlib.suppress(FileNotFoundError):
            self.free()
        recovering.recover(self.context)
        assert not journal.is_there(self.folder)
        assert self.files() == before, (self.files(), before)
        assert self.titles() == titles
        self.require_written()
        self.press()
        self.require_written()

    def files(self) -> set[str]:
        """Without the folders and notes that may stay."""
        found = {path for path in self.images.rglob("*") if path.is_file()}
        return {path.name for path in found if path.suffix in (".img", ".qcow2", ".mem", ".part", ".png", ".nvram")}

    # --- what must hold -------------------------------------------------------------------------------

    def end(self, snapshots: dict[str, int]) -> None:
        """The guest is ended: nothing is damaged, and each snapshot, by title, reads so many portions."""
        self.domain.destroy()
        assert self.written() == self.portions
        path, form = self.disk()
        check_images({each for each, of in chain(path, form) if of == "qcow2"})
        tree = store.load(self.images, self.key.uuid)
        for each in () if tree is None else tree.snapshots:
            (image,) = each.images
            data = contents(image, "raw" if image.endswith(".img") else "qcow2")
            count = snapshots.pop(each.title)
            assert [_is_whole(data, k) for k in range(count + 1)] == [True] * count + [False], each.title
        assert not snapshots
        assert not read_graph(self.context).missing


def _is_whole(data: bytes, portion: int) -> bool:
    numbers = range(max(1, portion * _BLOCKS), (portion + 1) * _BLOCKS)
    return all(data[n * _BLOCK : (n + 1) * _BLOCK] == struct.pack("<H", n) * (_BLOCK // 2) for n in numbers)


def _run(*arguments: str | Path) -> None:
    subprocess.run([os.fspath(each) for each in arguments], check=True)


# --- scenarios --------------------------------------------------------------------------------------------


def beside(place: Place) -> None:
    """Snapshots that are files of their own."""
    # What the plan sees.
    place.fill(128 << 10)
    place.fails_for_space("take", "refused", memory=True)
    # What it cannot see.
    with place.filled_after_the_plan(256 << 10):
        place.fails_for_space("take", "memory", memory=True)
    with place.filled_after_the_plan(16 << 10):
        place.fails_for_space("take", "disk", memory=False)
    taken = place.portions
    place.take("first", memory=False)
    place.press()
    place.require_written()
    place.take("second", memory=True)
    place.press()
    place.require_written()
    with place.filled_after_the_plan(1 << 20):
        place.fails_for_space("delete", "second")
    place.fill(1 << 20)
    place.pause_for_space()
    place.delete("second")
    place.end({"first": taken})


def inside(place: Place) -> None:
    """Snapshots within the image."""
    place.fill(128 << 10)
    place.fails_for_space("take", "refused", memory=True)
    with place.filled_after_the_plan(256 << 10):
        place.fails_for_space("take", "memory", memory=True)
    place.fill(1 << 20)
    place.pause_for_space()
    place.take("later", memory=True)
    assert place.titles() == ["later"]
    place.fill(1 << 20)
    place.pause_for_space()
    place.end({})


_SCENARIOS = {"beside": (beside, "raw"), "inside": (inside, "qcow2")}


def main() -> None:
    scenario, form = _SCENARIOS[sys.argv[1]]
    _run("mount", "--make-rprivate", "/")
    with SessionDaemon() as daemon:
        images = daemon.root / "h"
        _run("mount", "-t", "tmpfs", "-o", f"size={_PLACE_MIB}m,mode=700", "none", images)
        try:
            scenario(Place(daemon, images, form))
        finally:
            for pid in daemon.guest_pids():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, 9)
            _run("umount", "--lazy", images)


if __name__ == "__main__":
    main()
