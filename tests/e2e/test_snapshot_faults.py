"""Snapshots of a running guest while guivm, libvirtd or QEMU is killed: the guest and all that was written survive."""

from __future__ import annotations

import contextlib
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
from tests.helpers.image_oracles import chain, check_images, contents, make_image, write_pattern
from tests.helpers.snapshot_child import DONE, FAILED, KILLED, SAVING, Nursery, context_of

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

    def __init__(self, daemon: SessionDaemon) -> None:
        self.daemon = daemon
        self.images = daemon.root / "h"
        self.connection = libvirt.open(daemon.uri)
        one = boot_sector_image(self.images / "one.img")
        two = make_image(self.images / "two.qcow2", size=64 << 20)
        self.uuid = self.connection.defineXML(_VM.format(one=one, two=two)).UUIDString()
        self.folder = store.folder_of(self.images, self.uuid)
        self.marks: dict[str, int] = {}
        self.mark = 0

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
        """A mark on both drives, through the running QEMU."""
        self.mark += 1
        for number in range(2):
            self._monitor(number, f"write -P {self.mark} {_AT} {_LENGTH}")
        self.require_mark(self.mark)

    def require_mark(self, mark: int) -> None:
        """What the running QEMU has on both drives, in files that are there and that libvirt knows of."""
        for number in range(2):
            self._monitor(number, "flush")
        live = DomainXml.parse(self.domain.XMLDesc(0)).devices.disks
        opened = {os.fspath(fd.readlink()) for fd in Path(f"/proc/{self.qemu()}/fd").iterdir() if fd.is_symlink()}
        assert not [path for path in opened if path.startswith(os.fspath(self.images)) and "(deleted)" in path]
        for disk in live:
            assert disk.path in opened
            assert set(contents(disk.path, disk.driver_type or "", _AT, _LENGTH)) == {mark}

    def _monitor(self, number: int, words: str) -> None:
        device = f"/machine/peripheral/virtio-disk{number}/virtio-backend"
        flags = libvirt_qemu.VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP
        said = libvirt_qemu.qemuMonitorCommand(self.domain, f'qemu-io -d {device} "{words}"', flags)
        assert not said, said

    def qemu(self) -> int:
        (pid,) = self.daemon.guest_pids()
        return pid

    # --- what must hold -------------------------------------------------------------------------------

    def settle(self) -> None:
        recovering.recover(self.context)
        assert not journal.is_there(self.folder)
        assert not list(self.images.rglob("*.part"))

    def require_snapshots(self) -> None:
        """Each reads the mark that was on the drives when it was taken; its images are protected; nothing is left."""
        needed = {Path(path) for path, _ in self.disks()}
        tops = set(needed)
        for path, form in self.disks():
            needed.update(below for below, _ in chain(path, form))
        for each in self.tree().snapshots:
            for path in each.images:
                form = "raw" if path.endswith(".img") else "qcow2"
                found = contents(path, form, _AT, _LENGTH)
                assert set(found) == {self.marks[each.title]}, each.title
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
        for path, form in self.disks():
            assert set(contents(path, form, _AT, _LENGTH)) == {self.mark}


@pytest.fixture
def house(daemon: SessionDaemon) -> Iterator[House]:
    value = House(daemon)
    yield value
    with contextlib.suppress(libvirt.libvirtError):
        value.connection.close()


@pytest.fixture
def nursery(house: House) -> Iterator[Nursery]:
    with Nursery(house.daemon.uri, house.images) as value:
        yield value


# --- guivm is killed --------------------------------------------------------------------------------------


@pytest.mark.parametrize("memory", [True, False])
def test_guivm_is_killed_at_each_step_of_taking_a_snapshot_of_a_running_guest(
    house: House, nursery: Nursery, memory: bool
) -> None:
    house.start()
    ended = []
    for number in range(100):
        house.guest_writes()
        title = f"s{number}"
        house.marks[title] = house.mark
        before = len(house.tree().snapshots)
        code = nursery.run("take", house.uuid, title, memory, moment=number)
        house.settle()
        assert house.runs()
        house.require_mark(house.mark)
        house.require_snapshots()
        taken = len(house.tree().snapshots) - before
        assert taken in ((0, 1) if code == KILLED else (1,))
        ended.append(taken)
        if code == DONE:
            break
    assert 0 in ended
    assert ended == sorted(ended)  # once it is decided, it is gone on with
    house.end()


def test_guivm_is_killed_at_each_step_of_restoring(house: House, nursery: Nursery) -> None:
    """From one running state to another, the one before kept."""
    house.start()
    house.guest_writes()
    house.marks["a"] = house.mark
    assert nursery.run("take", house.uuid, "a", True) == DONE
    house.guest_writes()
    first = house.tree().snapshots[0].id
    ended = []
    for number in range(100):
        before = house.mark
        code = nursery.run("restore", house.uuid, first, f"k{number}", moment=number)
        house.marks[f"k{number}"] = before
        house.settle()
        assert house.runs()
        was_done = f"k{number}" in {each.title for each in house.tree().snapshots}
        house.require_mark(house.marks["a"] if was_done else before)
        ended.append(was_done)
        if was_done:
            house.mark = house.marks["a"]
        house.require_snapshots()
        if code == DONE:
            break
        if was_done:  # so that the next one has something to do
            number_of_marks = max(house.marks.values())
            house.mark = number_of_marks
            house.guest_writes()
    assert ended == sorted(ended)
    assert ended[0] is False
    assert ended[-1] is True
    house.end()


def test_guivm_is_killed_at_each_step_of_deleting_below_a_running_guest(house: House, nursery: Nursery) -> None:
    house.start()
    for number in range(100):
        house.guest_writes()
        title = f"s{number}"
        house.marks[title] = house.mark
        assert nursery.run("take", house.uuid, title, False) == DONE
        house.guest_writes()
        newest = house.tree().snapshots[-1].id
        code = nursery.run("delete", house.uuid, newest, moment=number)
        house.settle()
        assert house.runs()
        house.require_mark(house.mark)
        house.require_snapshots()
        is_gone = house.tree().find(newest) is None
        if not is_gone:
            assert code == KILLED
            assert nursery.run("delete", house.uuid, newest) == DONE
            house.require_mark(house.mark)
        if code == DONE:
            break
    assert house.tree().snapshots == ()
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


@pytest.mark.parametrize("victim", ["libvirtd", "qemu"])
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
    if victim == "qemu":
        with contextlib.suppress(ProcessLookupError):
            os.kill(qemu, signal.SIGKILL)
    else:
        house.daemon.kill()
    nursery.end()
    if victim == "libvirtd":
        house.daemon.start()
        house.reconnect()
    house.settle()
    if not house.domain.isActive():  # told so; the memory is there for another try
        assert nursery.run("restore", house.uuid, snapshot.id, "") == DONE
    assert house.runs()
    house.require_mark(house.mark)
    house.require_snapshots()
    house.end()


@pytest.mark.parametrize("victim", ["guivm", "libvirtd", "qemu"])
def test_a_merge_below_a_running_guest_is_cut_short(house: House, nursery: Nursery, victim: str) -> None:
    write_pattern(house.images / "two.qcow2", 200, 8 << 20, 32 << 20)
    house.start()
    house.guest_writes()
    house.marks["s"] = house.mark
    assert nursery.run("take", house.uuid, "s", False) == DONE
    house.guest_writes()
    (snapshot,) = house.tree().snapshots
    qemu = house.qemu()
    child = nursery.begin("delete", house.uuid, snapshot.id, slow=True)
    wait_until(lambda: bool(house.domain.blockJobInfo("vdb", 0)), "the merge to begin")
    if victim == "guivm":
        os.kill(child, signal.SIGKILL)
    elif victim == "libvirtd":
        house.daemon.kill()
    else:
        os.kill(qemu, signal.SIGKILL)
    assert nursery.end() == (KILLED if victim == "guivm" else FAILED)
    if victim == "libvirtd":
        house.daemon.start()
        house.reconnect()
    house.settle()
    assert bool(house.domain.isActive()) is (victim != "qemu")
    if victim != "qemu":
        house.require_mark(house.mark)
    assert house.tree().find(snapshot.id) is not None
    house.require_snapshots()
    # It can be done all the same.
    assert nursery.run("delete", house.uuid, snapshot.id) == DONE
    assert house.tree().snapshots == ()
    house.end()
    two = house.disks()[1][0]
    subprocess.run(["qemu-io", "-r", "-f", "qcow2", "-c", "read -P 200 8M 32M", two], check=True)
