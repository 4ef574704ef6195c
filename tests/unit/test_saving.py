"""SaveState against a domain that takes as long as the test wants."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import libvirt
import pytest

from guivm.engine import requests as rq
from guivm.engine import saving
from guivm.engine.context import HandlerContext
from guivm.engine.jobs import Job, JobInfo
from guivm.engine.types import HostId, HostInfo, HostState, VmKey
from guivm.errors import CancelledError, WrongStateError

HOST = HostId("test:///saving")
KEY = VmKey(HOST, "6695eb01-f6a4-8304-79aa-97f2502e193f")
DEADLINE_S = 10.0


class SlowDomain:
    """A running domain whose save ends when ``go_on`` is set, or is aborted."""

    def __init__(self, *, persistent: bool = True, refuse_aborts: int = 0) -> None:
        self.persistent = persistent
        self.refuse_aborts = refuse_aborts
        self.go_on = threading.Event()
        self.aborted = False
        self.asked = 0

    def state(self, _flags: int) -> tuple[int, int]:
        return libvirt.VIR_DOMAIN_RUNNING, 0

    def XMLDesc(self, _flags: int) -> str:
        return "<domain/>"

    def isActive(self) -> int:
        return 1

    def isPersistent(self) -> int:
        return int(self.persistent)

    def name(self) -> str:
        return "slow"

    def managedSave(self, _flags: int) -> int:
        assert self.go_on.wait(DEADLINE_S)
        if self.aborted:
            raise libvirt.libvirtError("operation aborted")
        return 0

    def jobStats(self, _flags: int) -> dict[str, int]:
        self.asked += 1
        if self.asked == 1:
            raise libvirt.libvirtError("no job yet")
        return {
            "type": libvirt.VIR_DOMAIN_JOB_UNBOUNDED,
            libvirt.VIR_DOMAIN_JOB_DATA_TOTAL: 1000,
            libvirt.VIR_DOMAIN_JOB_DATA_PROCESSED: 200,
            libvirt.VIR_DOMAIN_JOB_DATA_REMAINING: 750,
            libvirt.VIR_DOMAIN_JOB_MEMORY_BPS: 50,
        }

    def abortJob(self) -> int:
        if self.refuse_aborts:
            self.refuse_aborts -= 1
            raise libvirt.libvirtError("no job is active")
        self.aborted = True
        self.go_on.set()
        return 0


class Connection:
    def __init__(self, domain: SlowDomain) -> None:
        self.domain = domain

    def lookupByUUIDString(self, _uuid: str) -> SlowDomain:
        return self.domain


@pytest.fixture(autouse=True)
def _poll_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saving, "_POLL_S", 0.001)


def context(domain: SlowDomain, tmp_path: Path, job: Job[None]) -> HandlerContext:
    info = HostInfo(HOST, HOST, "Test", HostState.CONNECTED)
    return HandlerContext(info, Connection(domain), job, tmp_path, tmp_path)


class Heard:
    """The job's listener: sets ``moment`` when ``condition`` holds for what it hears."""

    def __init__(self, condition: Any) -> None:
        self.condition = condition
        self.moment = threading.Event()
        self.infos: list[JobInfo] = []

    def __call__(self, info: JobInfo) -> None:
        self.infos.append(info)
        if self.condition(info):
            self.moment.set()


def test_progress_is_told_and_cancel_is_offered_while_it_lasts(tmp_path: Path) -> None:
    domain = SlowDomain()
    heard = Heard(lambda info: info.progress is not None)
    job: Job[None] = Job(HOST, KEY, "Saving", on_change=heard)
    job.begin()
    thread = threading.Thread(target=saving.save_state, args=(context(domain, tmp_path, job), rq.SaveState(KEY)))
    thread.start()
    assert heard.moment.wait(DEADLINE_S)
    during = job.info
    progress = during.progress
    assert progress is not None
    assert (progress.done, progress.total, progress.speed_per_s, progress.remaining_s) == (250, 1000, 50.0, 15.0)
    assert during.cancellable
    domain.go_on.set()
    thread.join(DEADLINE_S)
    assert not thread.is_alive()
    assert not job.info.cancellable
    assert not domain.aborted


def test_cancel_aborts_and_says_that_the_vm_goes_on(tmp_path: Path) -> None:
    domain = SlowDomain(refuse_aborts=2)  # asked too early: it is asked again
    heard = Heard(lambda info: info.cancellable)
    job: Job[None] = Job(HOST, KEY, "Saving", on_change=heard)
    job.begin()

    def cancel() -> None:
        assert heard.moment.wait(DEADLINE_S)
        job.cancel()

    threading.Thread(target=cancel).start()
    with pytest.raises(CancelledError, match="goes on"):
        saving.save_state(context(domain, tmp_path, job), rq.SaveState(KEY))
    assert domain.aborted


def test_a_save_that_fails_by_itself_is_no_cancel(tmp_path: Path) -> None:
    domain = SlowDomain()
    domain.aborted = True  # by somebody else
    domain.go_on.set()
    job: Job[None] = Job(HOST, KEY, "Saving")
    job.begin()
    with pytest.raises(libvirt.libvirtError):
        saving.save_state(context(domain, tmp_path, job), rq.SaveState(KEY))


def test_a_vm_that_exists_only_while_it_runs_is_not_saved(tmp_path: Path) -> None:
    job: Job[None] = Job(HOST, KEY, "Saving")
    with pytest.raises(WrongStateError, match="only while it runs"):
        saving.save_state(context(SlowDomain(persistent=False), tmp_path, job), rq.SaveState(KEY))
