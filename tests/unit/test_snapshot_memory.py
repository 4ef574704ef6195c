"""Memory of a running VM: saved, gone on from, and never on disks that do not fit it."""

from __future__ import annotations

import os
from pathlib import Path

import libvirt
import pytest

from guivm.engine.snapshots import doing_libvirt, journal, steps
from guivm.engine.snapshots.journal import Entry, Journal
from guivm.errors import InUseError, OperationError
from tests.helpers.file_libvirt import FileDomain
from tests.helpers.image_oracles import write_pattern
from tests.helpers.small_libvirt import refusal
from tests.helpers.snapshot_place import (
    XML,
    Place,
    RunningDomain,
    begun,
    memory_file,
    on,
    restored,
    running_domain,
)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def running(place: Place, monkeypatch: pytest.MonkeyPatch) -> RunningDomain:
    return running_domain(place, monkeypatch)


def test_memory_is_run_once_and_never_on_disks_that_have_changed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = restored(place, monkeypatch)
    memory = memory_file(place.folder / "1.mem")
    new = place.overlay("n.qcow2", place.base)
    for paused, flag in ((False, libvirt.VIR_DOMAIN_SAVE_RUNNING), (True, libvirt.VIR_DOMAIN_SAVE_PAUSED)):
        place.do(steps.RunMemory(str(memory), XML, paused, (str(new),)))
        assert calls.pop() == (str(memory), XML, flag)
    write_pattern(new, 1, 0, 512)
    place.do(steps.RunMemory(str(memory), XML, False, (str(new),)))
    place.do(steps.RunMemory(str(place.folder / "none"), XML))
    assert calls == []


def test_a_guest_that_stands_since_its_memory_was_read_goes_on(place: Place, running: RunningDomain) -> None:
    """libvirt was ended before it let it go on."""
    running.paused, running.reason = True, libvirt.VIR_DOMAIN_PAUSED_MIGRATION
    place.do(steps.RunMemory(str(place.folder / "1.mem"), XML, True))
    assert running.calls == []
    place.do(steps.RunMemory(str(place.folder / "1.mem"), XML))
    assert running.calls == ["resume"]
    running.paused, running.reason = True, libvirt.VIR_DOMAIN_PAUSED_USER
    place.do(steps.RunMemory(str(place.folder / "1.mem"), XML))
    assert running.calls == ["resume"]


def test_a_vm_that_libvirt_is_about_to_end_does_not_run(
    place: Place, running: RunningDomain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """libvirt was ended while it read the memory; when it is back, the VM is active for a moment."""
    calls = restored(place, monkeypatch)
    memory = memory_file(place.folder / "1.mem")
    running.paused, running.reason = True, libvirt.VIR_DOMAIN_PAUSED_STARTING_UP
    looks: list[float] = []

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        running.active = len(looks) < 3

    monkeypatch.setattr(doing_libvirt.time, "sleep", sleep)  # type: ignore[attr-defined]
    begun(place, finish=(steps.RunMemory(str(memory), XML),)).decide()
    place.settle()
    assert len(looks) == 3
    assert [call[0] for call in calls] == [str(memory)]
    assert not journal.is_there(place.folder)


def test_a_start_that_does_not_end_stops_everything(
    place: Place, running: RunningDomain, monkeypatch: pytest.MonkeyPatch
) -> None:
    running.paused, running.reason = True, libvirt.VIR_DOMAIN_PAUSED_STARTING_UP
    monkeypatch.setattr(doing_libvirt, "_SETTLE_S", -1.0)
    begun(place, finish=(steps.RunMemory("/m", XML),)).decide()
    with pytest.raises(InUseError, match="being started"):
        place.settle()
    assert journal.is_there(place.folder)


def test_a_guest_that_cannot_go_on_does_not_stop_the_rest(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    restored(place, monkeypatch, refusal(words="the CPU is another one"))
    memory = memory_file(place.folder / "1.mem")
    with pytest.raises(OperationError, match="could not go on from its memory") as caught:
        place.perform(place.plan(finish=(steps.RunMemory(str(memory), XML), steps.Freeze(str(place.base)))))
    assert "the CPU is another one" in caught.value.details
    assert not journal.is_there(place.folder)
    assert memory.exists()
    assert not place.base.stat().st_mode & 0o222


@pytest.mark.parametrize("when", ["asked", "looked up"])
def test_a_libvirt_that_is_gone_leaves_the_rest_for_later(
    place: Place, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    memory = memory_file(place.folder / "1.mem")
    gone = refusal(libvirt.VIR_ERR_INVALID_CONN, "the connection is closed")

    def look_up(_uuid: str) -> FileDomain:
        raise gone

    with monkeypatch.context() as patched:
        restored(place, patched, gone)
        if when == "looked up":
            patched.setattr(place.connection, "lookupByUUIDString", look_up, raising=False)
        with pytest.raises(OperationError, match="not finished"):
            place.perform(place.plan(finish=(steps.RunMemory(str(memory), XML),)))
    calls = restored(place, monkeypatch)
    place.settle()
    assert len(calls) == 1


def saved(place: Place, xml: str = XML) -> Journal:
    """Killed after the memory was written, before that was noted."""
    memory = str(place.folder / "1.mem")
    return Journal.begin(
        place.folder, Entry("t", "v", (steps.SaveMemory(memory),), (), (steps.RunMemory(memory, xml),))
    )


def test_a_saved_guest_goes_on_when_its_snapshot_is_taken_back(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = restored(place, monkeypatch)
    saved(place, on(place.base))
    memory = memory_file(place.folder / "1.mem")
    place.settle()
    assert [call[0] for call in calls] == [str(memory)]
    assert not memory.exists()


def test_memory_is_kept_when_the_guest_cannot_go_on_from_it(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    restored(place, monkeypatch, refusal())
    saved(place)
    memory = memory_file(place.folder / "1.mem")
    with pytest.raises(OperationError):
        place.settle()
    assert memory.exists()
    assert journal.is_there(place.folder)


def test_memory_of_a_vm_used_since_is_not_run_on_its_disks(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = restored(place, monkeypatch)
    saved(place, on(place.base))
    memory = memory_file(place.folder / "1.mem")
    after = memory.stat().st_mtime_ns + 1
    os.utime(place.base, ns=(after, after))
    place.settle()
    assert calls == []


def test_memory_that_is_not_whole_is_nothing_to_go_on_from(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """QEMU was killed while it wrote it."""
    calls = restored(place, monkeypatch)
    saved(place)
    memory = memory_file(place.folder / "1.mem", b"LibvirtQemudPart")
    place.settle()
    assert calls == []
    assert not memory.exists()


def test_a_save_that_goes_on_without_us_is_ended_first(
    place: Place, running: RunningDomain, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = restored(place, monkeypatch)
    saved(place)
    memory = memory_file(place.folder / "1.mem", b"LibvirtQemudPart")
    running.job = libvirt.VIR_DOMAIN_JOB_UNBOUNDED
    place.settle()
    assert running.calls == ["abort"]
    assert calls == []
    assert not memory.exists()


def test_a_save_that_does_not_end_is_waited_for(
    place: Place, running: RunningDomain, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(place)
    memory = memory_file(place.folder / "1.mem", b"LibvirtQemudPart")
    running.job = libvirt.VIR_DOMAIN_JOB_UNBOUNDED
    running.fail = {"abort": refusal()}
    monkeypatch.setattr(doing_libvirt, "_SETTLE_S", 0.0)
    with pytest.raises(InUseError):
        place.settle()
    assert memory.exists()
