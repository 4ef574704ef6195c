"""Snapshots of a running guest while guivm, libvirtd or QEMU is killed: the guest and all that was written survive."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import libvirt
import libvirt_qemu
import pytest

from guivm.engine.context import HandlerContext
from guivm.engine.snapshots import branches, journal, recovering, store
from guivm.engine.snapshots.tree import BranchTree
from guivm.engine.types import VmKey
from guivm.engine.xml.domain import DomainXml
from guivm.errors import InUseError
from tests.helpers.daemon import SessionDaemon, wait_until
from tests.helpers.guests import boot_sector_image
from tests.helpers.image_oracles import chain, check_images, contents, digest, make_image, write_pattern
from tests.helpers.snapshot_child import (
    DONE,
    FAILED,
    GUIVM,
    IN_SPITE,
    KILLED,
    LIBVIRTD,
    QEMU,
    SAVING,
    VICTIMS,
    Nursery,
    context_of,
)

_VM = """<domain type='qemu'><name>guest</name><memory unit='MiB'>16</memory>
<os><type arch='x86_64' machine='pc'>hvm</type></os>
<devices>
<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{one}'/><target dev='vda' bus='virtio'/>
</disk>
<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{two}'/><target dev='vdb' bus='virtio'/>
</disk>
<controller type='usb' model='none'/><memballoon model='none'/>
</devices></domain>"""
_AT = 1 << 19
_LENGTH = 1 << 16


class House:
    """One VM whose snapshots are files (its first drive is raw)."""

    def __init__(self, daemon: SessionDaemon, size: int = 1 << 20) -> None:
        self.daemon = daemon
        self.images = daemon.root / "h"
        self.connection = libvirt.open(daemon.uri)
        one = boot_sector_image(self.images / "one.img")
        two = make_image(self.images / "two.qcow2", size=size)
        self.uuid = self.connection.defineXML(_VM.format(one=one, two=two)).UUIDString()
        self.folder = store.folder_of(self.images, self.uuid)
        self.marks: dict[str, int] = {}
        self.mark = 0
        self._digests: dict[int, list[str]] = {}

    @property
    def context(self) -> HandlerContext:
        return context_of(self.connection, self.images)

    @property
    def key(self) -> VmKey:
        return VmKey(self.context.host.id, self.uuid)

    @property
    def domain(self) -> libvirt.virDomain:
        return self.connection.lookupByUUIDString(self.uuid)

    def reconnect(self) -> None:
        with contextlib.suppress(libvirt.libvirtError):
            self.connection.close()
        self.connection = libvirt.open(self.daemon.uri)

    def tree(self) -> BranchTree:
        return store.load(self.images, self.uuid) or BranchTree(self.uuid, "guest")

    def disks(self) -> list[tuple[str, str]]:
        document = DomainXml.parse(self.domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
        return [(disk.path, disk.driver_type or "") for disk in document.devices.disks]

    # --- the guest ------------------------------------------------------------------------------------

    def start(self) -> None:
        self.domain.create()

    def runs(self) -> bool:
        return bool(self.domain.state(0)[0] == libvirt.VIR_DOMAIN_RUNNING)

    def guest_writes(self) -> None:
        """A new mark on both drives, through the running QEMU."""
        self.mark = max(self._digests, default=0) + 1
        for number in range(2):
            self._monitor(number, f"write -P {self.mark} {_AT} {_LENGTH}")
        self.require_mark(self.mark)

    def require_mark(self, mark: int) -> None:
        """What the running QEMU has on both drives, in files that are there and that libvirt knows of; and all the rest
        is as it was when that mark was written."""
        for number in range(2):
            self._monitor(number, "flush")
        live = DomainXml.parse(self.domain.XMLDesc(0)).devices.disks
        opened = {os.fspath(fd.readlink()) for fd in Path(f"/proc/{self.qemu()}/fd").iterdir() if fd.is_symlink()}
        assert not [path for path in opened if path.startswith(os.fspath(self.images)) and "(deleted)" in path]
        for disk in live:
            assert disk.path in opened
            assert set(contents(disk.path, disk.driver_type or "", _AT, _LENGTH)) == {mark}
        found = [digest(disk.path, disk.driver_type or "") for disk in live]
        assert self._digests.setdefault(mark, found) == found

    def write_much(self, count: int) -> None:
        """So many bytes on the second drive, behind the marks; they belong to the next mark."""
        self._monitor(1, f"write -P 200 {_AT + _LENGTH} {count}")

    def _monitor(self, number: int, words: str) -> None:
        device = f"/machine/peripheral/virtio-disk{number}/virtio-backend"
        flags = libvirt_qemu.VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP
        said = libvirt_qemu.qemuMonitorCommand(self.domain, f'qemu-io -d {device} "{words}"', flags)
        assert not said, said

    def qemu(self) -> int:
        (pid,) = self.daemon.guest_pids()
        return pid

    # --- what must hold -------------------------------------------------------------------------------

    def settle(self, victim: str = GUIVM) -> None:
        """As at the next start of guivm, once libvirt is there again and knows that the guest has ended."""
        if victim == LIBVIRTD:
            self.daemon.restart()
            self.reconnect()
        elif victim == QEMU:
            wait_until(lambda: bool(self.domain.isActive()) is bool(self.daemon.guest_pids()), "libvirt to know")
        recovering.recover(self.context)
        assert not journal.is_there(self.folder)
        assert not list(self.images.rglob("*.part"))

    def require_running(self, victim: str = GUIVM) -> None:
        """The guest, with the current mark. One that was killed itself is started again."""
        if victim == QEMU and not self.domain.isActive():
            self.start()
        assert self.runs()
        self.require_mark(self.mark)

    def require_snapshots(self) -> None:
        """Each reads the mark that was on the drives when it was taken; its images are protected; nothing is left."""
        needed = {Path(path) for path, _ in self.disks()}
        tops = set(needed)
        for path, form in self.disks():
            needed.update(below for below, _ in chain(path, form))
        for each in self.tree().snapshots:
            forms = ["raw" if path.endswith(".img") else "qcow2" for path in each.images]
            found = [digest(path, form) for path, form in zip(each.images, forms, strict=True)]
            assert found == self._digests[self.marks[each.title]], each.title
            for path, form in zip(each.images, forms, strict=True):
                assert Path(path) not in tops
                assert not Path(path).stat().st_mode & 0o222
                needed.update(below for below, _ in chain(path, form))
            needed.update(Path(path) for path in each.extras)
        there = {
            path for path in self.images.rglob("*") if path.is_file() and path.suffix in (".qcow2", ".img", ".mem")
        }
        stray = {path for path in there - needed if not path.parent.name.endswith(".moved")}
        assert not stray, stray

    def end(self) -> None:
        """The guest is ended, and all images are looked at."""
        if self.domain.isActive():
            self.domain.destroy()
        self.require_snapshots()
        check_images({path for path in self.images.rglob("*.qcow2") if not path.parent.name.endswith(".moved")})
        assert [digest(path, form) for path, form in self.disks()] == self._digests[self.mark]


@pytest.fixture
def house(daemon: SessionDaemon) -> Iterator[House]:
    value = House(daemon)
    yield value
    with contextlib.suppress(libvirt.libvirtError):
        value.connection.close()


@pytest.fixture
def nursery(house: House) -> Iterator[Nursery]:
    with Nursery(house.daemon, house.images) as value:
        yield value


# --- somebody is killed at each step ----------------------------------------------------------------------

_EACH_VICTIM = pytest.mark.parametrize("victim", VICTIMS)


@_EACH_VICTIM
@pytest.mark.parametrize("memory", [True, False])
def test_somebody_is_killed_at_each_step_of_taking_a_snapshot_of_a_running_guest(
    house: House, nursery: Nursery, memory: bool, victim: str
) -> None:
    house.start()
    ended = []
    for number in itertools.count():
        house.guest_writes()
        title = f"s{number}"
        house.marks[title] = house.mark
        before = len(house.tree().snapshots)
        code = nursery.run("take", house.uuid, title, memory, moment=number, victim=victim)
        house.settle(victim)
        house.require_running(victim)
        house.require_snapshots()
        taken = len(house.tree().snapshots) - before
        assert taken in ((1,) if code in (DONE, IN_SPITE) else (0, 1))
        ended.append(taken)
        if code == DONE:
            break
    if memory or victim != QEMU:  # without memory, a guest that has just ended can be taken as it ended
        assert 0 in ended
        assert ended == sorted(ended)  # once it is decided, it is gone on with
    house.end()


@_EACH_VICTIM
def test_somebody_is_killed_at_each_step_of_restoring(house: House, nursery: Nursery, victim: str) -> None:
    """From one running state to another, the one before kept."""
    house.start()
    house.guest_writes()
    house.marks["a"] = house.mark
    assert nursery.run("take", house.uuid, "a", True) == DONE
    house.guest_writes()
    first = house.tree().snapshots[0].id
    ended = []
    for number in itertools.count():
        before = house.mark
        title = f"k{number}"
        code = nursery.run("restore", house.uuid, first, title, moment=number, victim=victim)
        house.marks[title] = before
        house.settle(victim)
        was_done = title in {each.title for each in house.tree().snapshots}
        house.mark = house.marks["a"] if was_done else before
        house.require_running(victim)
        house.require_snapshots()
        ended.append(was_done)
        if code == DONE:
            break
        if was_done:  # so that the next one has something to do
            house.guest_writes()
    assert ended == sorted(ended)
    assert ended[0] is False
    assert ended[-1] is True
    house.end()


@_EACH_VICTIM
def test_somebody_is_killed_at_each_step_of_deleting_below_a_running_guest(
    house: House, nursery: Nursery, victim: str
) -> None:
    house.start()
    for number in itertools.count():
        house.guest_writes()
        title = f"s{number}"
        house.marks[title] = house.mark
        assert nursery.run("take", house.uuid, title, False) == DONE
        house.guest_writes()
        newest = house.tree().snapshots[-1].id
        code = nursery.run("delete", house.uuid, newest, moment=number, victim=victim)
        house.settle(victim)
        house.require_running(victim)
        house.require_snapshots()
        if house.tree().find(newest) is not None:
            assert code in (KILLED, FAILED)
            assert nursery.run("delete", house.uuid, newest) == DONE
            house.require_mark(house.mark)
        if code == DONE:
            break
    assert house.tree().snapshots == ()
    house.end()


def test_there_is_no_space_for_memory(house: House, nursery: Nursery) -> None:
    """libvirt writes it to a device that is full."""
    house.start()
    house.guest_writes()
    assert nursery.run("take", house.uuid, "s", True, special="full") == FAILED
    assert not journal.is_there(house.folder)  # taken back at once
    house.require_running()
    assert house.tree().snapshots == ()
    house.settle()
    house.end()


def test_a_second_one_at_the_same_time_is_told_so(house: House, nursery: Nursery) -> None:
    house.start()
    house.guest_writes()
    house.marks["s"] = house.mark
    qemu = house.qemu()
    os.kill(qemu, signal.SIGSTOP)  # so that it takes as long as this test wants
    nursery.begin("take", house.uuid, "s", True)
    wait_until((house.folder / journal.JOURNAL_NAME).exists, "the operation to begin")
    with pytest.raises(InUseError):
        branches.delete(house.context, house.key, (), children=False)
    recovering.recover(house.context)  # leaves it alone
    assert (house.folder / journal.JOURNAL_NAME).exists()
    os.kill(qemu, signal.SIGCONT)
    assert nursery.end() == DONE
    house.require_mark(house.mark)
    house.end()


# --- in the middle of what libvirt does -------------------------------------------------------------------


def _saving(house: House, nursery: Nursery, when: str) -> tuple[int, int]:
    """A child in the middle of writing memory, of a QEMU that stands still: their processes.

    ``when``: before QEMU has been asked for anything, or (most likely) while it writes.
    """
    house.start()
    house.guest_writes()
    house.marks["s"] = house.mark
    qemu = house.qemu()
    if when == "asked":
        os.kill(qemu, signal.SIGSTOP)
    child = nursery.begin("take", house.uuid, "s", True)
    wait_until((house.images / SAVING).exists, "the memory to be written")
    if when == "writing":
        while not list(house.folder.glob("*.mem")):  # without a rest: it does not take long
            pass
        with contextlib.suppress(ProcessLookupError):
            os.kill(qemu, signal.SIGSTOP)
    return child, qemu


def _go_on(qemu: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(qemu, signal.SIGCONT)


_WHEN = pytest.mark.parametrize("when", ["asked", "writing"])


@_WHEN
def test_guivm_is_killed_while_memory_is_written(house: House, nursery: Nursery, when: str) -> None:
    child, qemu = _saving(house, nursery, when)
    os.kill(child, signal.SIGKILL)
    assert nursery.end() == KILLED
    _go_on(qemu)
    house.settle()
    assert house.runs()
    house.require_mark(house.mark)
    assert house.tree().snapshots == ()
    house.end()


@_WHEN
def test_libvirtd_is_killed_while_memory_is_written(house: House, nursery: Nursery, when: str) -> None:
    _, qemu = _saving(house, nursery, when)
    house.daemon.kill()
    _go_on(qemu)
    assert nursery.end() == FAILED
    house.daemon.start()
    house.reconnect()
    house.settle()
    assert house.runs()
    house.require_mark(house.mark)
    assert house.tree().snapshots == ()
    house.end()


@_WHEN
def test_qemu_is_killed_while_memory_is_written(house: House, nursery: Nursery, when: str) -> None:
    _, qemu = _saving(house, nursery, when)
    with contextlib.suppress(ProcessLookupError):
        os.kill(qemu, signal.SIGKILL)
    if nursery.end() == FAILED:
        house.settle()
        assert not house.domain.isActive()
        assert house.tree().snapshots == ()
    house.settle()
    house.end()
    house.start()
    house.require_mark(house.mark)


@pytest.mark.parametrize("victim", [LIBVIRTD, QEMU])
def test_libvirtd_or_qemu_is_killed_while_memory_is_run(house: House, nursery: Nursery, victim: str) -> None:
    house.start()
    house.guest_writes()
    house.marks["s"] = house.mark
    assert nursery.run("take", house.uuid, "s", True) == DONE
    house.domain.destroy()
    (snapshot,) = house.tree().snapshots
    nursery.begin("restore", house.uuid, snapshot.id, "")
    wait_until(lambda: bool(house.daemon.guest_pids()), "QEMU to be started")
    qemu = house.qemu()
    os.kill(qemu, signal.SIGSTOP)  # so that it has not been let go on
    if victim == QEMU:
        os.kill(qemu, signal.SIGKILL)
    else:
        house.daemon.kill()
        _go_on(qemu)
    assert nursery.end() == FAILED
    house.settle(victim)
    if victim == QEMU:  # told so; the memory is there for another try
        assert not house.domain.isActive()
        assert nursery.run("restore", house.uuid, snapshot.id, "") == DONE
    house.require_running()
    house.require_snapshots()
    house.end()


def test_a_guest_whose_memory_was_read_and_that_was_never_let_go_on_is(house: House, nursery: Nursery) -> None:
    house.start()
    house.guest_writes()
    house.marks["s"] = house.mark
    assert nursery.run("take", house.uuid, "s", True) == DONE
    (snapshot,) = house.tree().snapshots
    assert nursery.run("restore", house.uuid, snapshot.id, "", special="stand") == KILLED
    assert house.domain.isActive()
    assert not house.runs()
    house.settle()
    house.require_running()
    house.end()


@_EACH_VICTIM
def test_a_merge_below_a_running_guest_is_cut_short(house: House, nursery: Nursery, victim: str) -> None:
    subprocess.run(["qemu-img", "resize", "-q", "-f", "qcow2", house.images / "two.qcow2", "8M"], check=True)
    write_pattern(house.images / "two.qcow2", 200, 1 << 20, 7 << 20)
    house.start()
    house.guest_writes()
    house.marks["s"] = house.mark
    assert nursery.run("take", house.uuid, "s", False) == DONE
    house.guest_writes()
    (snapshot,) = house.tree().snapshots
    qemu = house.qemu()
    child = nursery.begin("delete", house.uuid, snapshot.id, special="slow")
    wait_until(lambda: bool(house.domain.blockJobInfo("vdb", 0)), "the merge to begin")
    if victim == GUIVM:
        os.kill(child, signal.SIGKILL)
    elif victim == LIBVIRTD:
        house.daemon.kill()
    else:
        os.kill(qemu, signal.SIGKILL)
    assert nursery.end() == (KILLED if victim == GUIVM else FAILED)
    house.settle(victim)
    assert bool(house.domain.isActive()) is (victim != QEMU)
    if victim != QEMU:
        house.require_mark(house.mark)
    assert house.tree().find(snapshot.id) is not None
    house.require_snapshots()
    # It can be done all the same.
    assert nursery.run("delete", house.uuid, snapshot.id) == DONE
    assert house.tree().snapshots == ()
    house.end()
    two = house.disks()[1][0]
    subprocess.run(["qemu-io", "-r", "-f", "qcow2", "-c", "read -P 200 1M 7M", two], check=True)
