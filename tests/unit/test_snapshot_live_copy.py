"""Copies of a running VM's disks, with a domain of ours: what is ended, who goes on, what is said."""

from __future__ import annotations

from pathlib import Path

import libvirt
import pytest

from guivm.engine.snapshots import steps
from guivm.engine.snapshots.live_copy import end_live_copy, live_copy
from guivm.errors import InUseError, NoSpaceError
from tests.helpers.image_oracles import make_image
from tests.helpers.small_libvirt import refusal
from tests.helpers.snapshot_place import Place, RunningDomain, begun, running_domain

NO_BACKUP = refusal(libvirt.VIR_ERR_NO_DOMAIN_BACKUP, "no domain backup job present")


class CopyingDomain(RunningDomain):
    """``into``: the image that a backup under way is written to. ``stops``: QEMU stops the guest for want of room."""

    into = ""
    stops = False
    ended: dict[str, object] = {}

    def blockInfo(self, _target: str, _flags: int) -> list[int]:
        return [1 << 20, 0, 0]

    def backupBegin(self, xml: str, _checkpoint: None, _flags: int) -> None:
        self.did("backup")
        self.into = xml.partition('target file="')[2].partition('"')[0]

    def backupGetXMLDesc(self, _flags: int) -> str:
        if not self.into:
            raise NO_BACKUP
        return f"<domainbackup><disks><disk name='vda'><target file='{self.into}'/></disk></disks></domainbackup>"

    def jobStats(self, flags: int) -> dict[str, object]:  # type: ignore[override]
        if flags:
            return self.ended
        self.into = ""
        if self.stops:
            self.paused, self.reason = True, libvirt.VIR_DOMAIN_PAUSED_IOERROR
        return {"type": libvirt.VIR_DOMAIN_JOB_NONE}

    def abortJob(self) -> None:
        self.did("abort")
        self.into = ""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def domain(place: Place, monkeypatch: pytest.MonkeyPatch) -> CopyingDomain:
    value = running_domain(place, monkeypatch)
    value.__class__ = CopyingDomain
    assert isinstance(value, CopyingDomain)
    return value


def step_of(place: Place, **more: bool) -> steps.LiveCopy:
    new = place.images / "new.qcow2"
    vars_ = place.images / "vars"
    vars_.write_text("x")
    return steps.LiveCopy((("vda", str(new)),), (str(place.top),), ((str(vars_), str(place.images / "copy")),), **more)


def ended(kind: int, **more: object) -> dict[str, object]:
    return {"type": kind, "operation": libvirt.VIR_DOMAIN_JOB_OPERATION_BACKUP, **more}


def test_the_moment_is_one_and_the_guest_goes_on(place: Place, domain: CopyingDomain) -> None:
    domain.ended = ended(libvirt.VIR_DOMAIN_JOB_COMPLETED)
    place.do(step_of(place, quiesce=True))
    assert domain.calls == ["ping", "freeze", "suspend", "backup", "resume", "thaw"]
    assert (place.images / "new.qcow2").stat().st_mode & 0o777 == 0o600
    assert (place.images / "copy").read_text() == "x"
    assert not place.run.remarks


def test_an_agent_that_does_not_answer_is_done_without_and_that_is_said(place: Place, domain: CopyingDomain) -> None:
    domain.ended = ended(libvirt.VIR_DOMAIN_JOB_COMPLETED)
    domain.fail["ping"] = refusal(libvirt.VIR_ERR_AGENT_UNRESPONSIVE, "silent")
    place.do(step_of(place, quiesce=True))
    assert domain.calls == ["ping", "suspend", "backup", "resume"]
    assert "power failure" in place.run.remarks[0]


@pytest.mark.parametrize("was_paused", [False, True])
def test_a_copy_without_room_stops_nobody(place: Place, domain: CopyingDomain, was_paused: bool) -> None:
    domain.paused, domain.stops = was_paused, True
    domain.ended = ended(libvirt.VIR_DOMAIN_JOB_FAILED, errmsg="No space left on device")
    with pytest.raises(NoSpaceError):
        live_copy(place.run, step_of(place, paused=was_paused), lambda _share: None)
    assert domain.paused == was_paused
    assert not (place.images / "new.qcow2").exists()


def test_what_an_earlier_run_began_is_ended_and_taken_back(place: Place, domain: CopyingDomain) -> None:
    step = step_of(place)
    part = make_image(place.images / "new.qcow2.part", size=1 << 20)
    begun(place, step, stopped=True)
    domain.into = str(part)
    domain.paused, domain.reason = True, libvirt.VIR_DOMAIN_PAUSED_USER
    place.settle()
    assert domain.calls == ["resume", "abort"]
    assert not part.exists()
    assert place.files() & {"new.qcow2", "copy"} == set()


def test_the_backup_of_another_program_goes_on(place: Place, domain: CopyingDomain) -> None:
    domain.into = "/elsewhere/backup.qcow2"
    end_live_copy(place.run, step_of(place))
    assert domain.calls == []


def test_one_that_does_not_end_is_told(place: Place, domain: CopyingDomain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("guivm.engine.snapshots.live_copy._SETTLE_S", 0.0)
    domain.into = str(place.images / "new.qcow2.part")
    domain.fail["abort"] = refusal(libvirt.VIR_ERR_OPERATION_FAILED, "no")
    with pytest.raises(InUseError):
        end_live_copy(place.run, step_of(place))
