"""Clones of VMs that run, on real libvirt with real QEMU (TCG): guests that write all the time, and go on."""

from __future__ import annotations

import hashlib
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import libvirt
import pytest

from guivm.engine.cloning import handlers
from guivm.engine.jobs import Job
from guivm.engine.requests import CloneVm, TakeSnapshot
from guivm.engine.snapshots import handlers as snapshots
from guivm.engine.snapshots import journal, recovering, store
from guivm.engine.snapshots.values import CloneKind, CloneSpec
from guivm.engine.types import VmKey
from guivm.errors import CancelledError, GuivmError
from tests.e2e.test_clones_faults import child
from tests.helpers import counting_guest, full_target
from tests.helpers.clone_house import House, clone_house, run, session_connection
from tests.helpers.counting_guest import Counting
from tests.helpers.daemon import SessionDaemon

BALLAST = 256 << 20
PAUSED = libvirt.VIR_DOMAIN_PAUSED
RUNNING = libvirt.VIR_DOMAIN_RUNNING


@pytest.fixture(scope="module")
def connection() -> Iterator[libvirt.virConnect]:
    with session_connection() as value:
        yield value


@pytest.fixture
def house(connection: libvirt.virConnect, tmp_path: Path) -> Iterator[House]:
    with clone_house(connection, tmp_path) as value:
        yield value


def of_one_moment(house: House, key: VmKey) -> int:
    """The last count of a clone whose two disks were copied at one moment; it is whole, and boots."""
    first, second = (counting_guest.counts(house.disk(key, target)) for target in ("vda", "vdb"))
    assert first[-1] - second[-1] in (0, 1), "one moment for both"
    for target in ("vda", "vdb"):
        path = house.disk(key, target)
        run("qemu-img", "check", "-q", "-f", "qcow2", path)
        assert '"backing-filename"' not in run("qemu-img", "info", "--output=json", path)
        assert Path(path).stat().st_mode & 0o777 == 0o600
    house.run_briefly(key)
    return first[-1]


def nothing_half_made(house: House, key: VmKey) -> None:
    assert not list(house.folder.rglob("*.part"))
    assert not journal.is_there(store.folder_of(house.images, key.uuid))


def test_a_guest_that_writes_all_the_time_is_cloned_at_one_moment(house: House) -> None:
    """A raw disk's copy is qcow2; what is below the source's image is in the copy; a paused guest stays so."""
    guest = Counting(house, "raw")
    before = counting_guest.said(guest.serial)
    shown = house.plan(CloneVm(guest.key, CloneSpec("copy")))
    assert shown.pauses_guest
    assert any("power failure" in warning for warning in shown.warnings)
    assert any("raw" in warning for warning in shown.warnings)
    made = house.clone(guest.key)
    after = counting_guest.said(guest.serial)
    guest.goes_on()
    assert before <= of_one_moment(house, made.key) <= after + 2
    assert not house.document(made.key).devices.disks[1].path.endswith("raw")
    assert guest.domain.state(0)[0] == RUNNING

    snapshots.take_snapshot(house.context, TakeSnapshot(guest.key, "below", memory=False))
    guest.goes_on()
    guest.domain.suspend()
    still = counting_guest.said(guest.serial)
    again = house.clone(guest.key, "again")
    assert guest.domain.state(0)[0] == PAUSED, "its pause is the person's"
    assert of_one_moment(house, again.key) in (still, still + 1)
    guest.domain.resume()
    guest.goes_on()
    nothing_half_made(house, guest.key)


def test_a_linked_clone_of_a_guest_that_writes(house: House) -> None:
    guest = Counting(house)
    made = house.clone(guest.key, kind=CloneKind.LINKED)
    guest.goes_on()
    first, second = (counting_guest.counts(house.disk(made.key, target)) for target in ("vda", "vdb"))
    assert first[-1] - second[-1] in (0, 1)
    house.run_briefly(made.key)
    later = house.clone(guest.key, "later")
    assert of_one_moment(house, later.key) >= first[-1]
    guest.goes_on()
    nothing_half_made(house, guest.key)


def test_a_snapshot_inside_an_image_that_is_written_to(house: House) -> None:
    """Cloned while the guest writes, it is the same as cloned afterwards; the present state is cloned, too."""
    guest = Counting(house)
    taken = house.take(guest.key, "inside")
    guest.goes_on()
    running = house.clone(guest.key, "running", snapshot=taken)
    present = house.clone(guest.key, "present")
    guest.goes_on()
    guest.domain.destroy()
    off = house.clone(guest.key, "off", snapshot=taken)
    assert of_one_moment(house, running.key) == of_one_moment(house, off.key) < of_one_moment(house, present.key)
    for target in ("vda", "vdb"):
        read = [hashlib.sha256(_raw(house.disk(key, target))).digest() for key in (running.key, off.key)]
        assert read[0] == read[1]
    run("qemu-img", "check", "-q", "-f", "qcow2", house.disk(guest.key))
    nothing_half_made(house, guest.key)


def _raw(path: str) -> bytes:
    raw = Path(f"{path}.raw")
    run("qemu-img", "convert", "-f", "qcow2", "-O", "raw", path, raw)
    try:
        return raw.read_bytes()
    finally:
        raw.unlink()


def only_the_source(house: House, guest: Counting) -> None:
    """Nothing is left of a clone, nothing goes on, and the guest does."""
    recovering.recover(house.context)
    guest.goes_on()
    with pytest.raises(libvirt.libvirtError) as gone:
        guest.domain.backupGetXMLDesc(0)
    assert gone.value.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN_BACKUP
    assert house.names() == {"source"}
    assert {path.name for path in house.images.glob("*") if path.is_file()} == {"source-vda.qcow2", "source-vdb.qcow2"}
    nothing_half_made(house, guest.key)


def test_cut_short_it_is_whole_or_nothing(house: House) -> None:
    guest = Counting(house, ballast=BALLAST)
    for where in ("during:0", "after:0"):
        ended = child(house, guest.key, "copy", "full", "--die", where)
        assert ended.returncode == -signal.SIGKILL, ended.stderr
        only_the_source(house, guest)
    ended = child(house, guest.key, "copy", "full", "--die", "decided:0")
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    recovering.recover(house.context)
    of_one_moment(house, VmKey(house.host, house.connection.lookupByName("copy").UUIDString()))
    guest.goes_on()
    nothing_half_made(house, guest.key)


def test_cancelled_it_leaves_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """As soon as QEMU copies: how far it is when it hears of that is its own affair."""
    guest = Counting(house, ballast=BALLAST)
    context = replace(house.context, job=Job(house.host, None, "test"))
    context.job.begin()
    begin = libvirt.virDomain.backupBegin

    def begin_and_cancel(domain: libvirt.virDomain, *arguments: object) -> int:
        answer: int = begin(domain, *arguments)
        context.job.cancel()
        return answer

    monkeypatch.setattr(libvirt.virDomain, "backupBegin", begin_and_cancel)
    with pytest.raises(CancelledError):
        handlers.clone_vm(context, CloneVm(guest.key, CloneSpec("copy")))
    only_the_source(house, guest)


def test_libvirt_and_the_guest_end_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """libvirt's daemon is killed: what QEMU goes on with is ended. Then the guest is: it can be cloned once more."""
    begin = libvirt.virDomain.backupBegin
    with SessionDaemon() as daemon:
        house = House(libvirt.open(daemon.uri), tmp_path)
        guest = Counting(house, ballast=BALLAST)

        def begin_and_kill(domain: libvirt.virDomain, *arguments: object) -> int:
            begin(domain, *arguments)
            daemon.kill()
            answer: int = domain.isActive()  # raises
            return answer

        monkeypatch.setattr(libvirt.virDomain, "backupBegin", begin_and_kill)
        with pytest.raises(GuivmError):
            handlers.clone_vm(house.context, CloneVm(guest.key, CloneSpec("copy")))
        daemon.restart()
        house.connection = libvirt.open(daemon.uri)
        only_the_source(house, guest)

        def begin_and_end(domain: libvirt.virDomain, *arguments: object) -> int:
            answer: int = begin(domain, *arguments)
            domain.destroy()
            return answer

        monkeypatch.setattr(libvirt.virDomain, "backupBegin", begin_and_end)
        with pytest.raises(GuivmError):
            handlers.clone_vm(house.context, CloneVm(guest.key, CloneSpec("copy")))
        monkeypatch.undo()
        nothing_half_made(house, guest.key)
        made = house.clone(guest.key)
        assert counting_guest.counts(house.disk(made.key)) == counting_guest.counts(house.disk(guest.key))
        house.connection.close()


def test_a_full_disk_ends_the_copy_and_not_the_guest() -> None:
    """QEMU stops a guest whose write has to wait for a copy that has no room: it is let go on."""
    done = subprocess.run(full_target.command(), capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
