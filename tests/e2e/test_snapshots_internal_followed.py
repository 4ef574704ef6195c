"""Snapshots inside the images are followed while QEMU writes and reads them, and can be cancelled: a real guest."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from guivm.engine import requests as rq
from guivm.engine.engine import LibvirtEngine
from guivm.engine.events import EngineEvent, JobChanged
from guivm.engine.jobs import Job, JobInfo, JobState
from guivm.engine.requests import Request
from guivm.engine.snapshots import store
from guivm.engine.snapshots.inside import hidden, watching
from guivm.engine.snapshots.inside.hidden import UNDO_NAMES, Notes
from guivm.engine.snapshots.values import SnapshotId
from guivm.engine.types import VmState
from guivm.errors import CancelledError
from tests.bench.console_guest import boot_sector
from tests.helpers.daemon import SessionDaemon, wait_until
from tests.helpers.inside_house import InsideHouse
from tests.helpers.qcow2_counts import used_bytes
from tests.helpers.recorder import Recorder

MEMORY_MIB = 128
KEEPING = "Keeping the present state"


def filling(path: Path) -> Path:
    """A guest that writes to each page of its memory, and then says so."""
    return boot_sector("fill", path.parent).rename(path)


@pytest.fixture
def house(daemon: SessionDaemon, monkeypatch: pytest.MonkeyPatch) -> Iterator[InsideHouse]:
    monkeypatch.setattr(watching, "_POLL_S", 0.005)  # so little memory is written in a moment
    engine = LibvirtEngine(warm_up=False)
    recorder = Recorder()
    engine.add_listener(recorder)
    value = None
    try:
        value = InsideHouse(daemon, engine, recorder, memory_mib=MEMORY_MIB, boot=filling)
        yield value
        value.require_sound()
    finally:
        if value is not None:
            value.connection.close()
        engine.stop()


def start_filled(house: InsideHouse) -> None:
    house.said.unlink(missing_ok=True)
    house.start()
    wait_until(lambda: house.said.exists() and house.said.stat().st_size > 0, "the guest to fill its memory", 60)


def names_in(image: Path) -> set[str]:
    """As QEMU has them."""
    said = subprocess.run(["qemu-img", "snapshot", "-U", "-l", image], check=True, capture_output=True, text=True)
    return {line.split()[1] for line in said.stdout.splitlines()[2:]}


def kept(house: InsideHouse) -> dict[str, bytes]:
    """The files that guivm keeps of the VM's snapshots, but for the notes on the hidden ones."""
    folder = folder_of(house)
    files = sorted(folder.iterdir()) if folder.exists() else []
    return {path.name: path.read_bytes() for path in files if path.name not in (hidden.NAME, "lock")}


def folder_of(house: InsideHouse) -> Path:
    (found,) = {path.parent for path in Path.home().rglob(store.TREE_NAME)} or {Path("/none")}
    return found


@dataclass
class CancelAt:
    """Cancels a job as soon as it tells of a step, before that goes on."""

    house: InsideHouse
    step: str
    _ready: threading.Event = field(default_factory=threading.Event)
    _job: Job[object] | None = None

    def __call__(self, event: EngineEvent) -> None:
        if isinstance(event, JobChanged) and event.job.vm == self.house.key and event.job.cancellable:
            progress = event.job.progress
            if progress is not None and progress.step == self.step and self._ready.wait(30) and self._job is not None:
                self._job.cancel()

    def run(self, request: Request[object]) -> JobInfo:
        self.house.engine.add_listener(self)
        try:
            self._job = self.house.engine.submit(request)
            self._ready.set()
            with pytest.raises(CancelledError):
                self._job.result(60)
        finally:
            self.house.engine.remove_listener(self)
        assert self._job.info.state is JobState.CANCELLED
        return self._job.info


def told(house: InsideHouse, job_id: int, step: str) -> list[tuple[int, int]]:
    """How far the job said it was in a step."""
    progresses = [info.progress for info in house.recorder.wait_for_job(job_id)]
    return [(each.done, each.total) for each in progresses if each and each.step.startswith(step) and each.total]


def freed_by_deleting(house: InsideHouse, snapshot: SnapshotId) -> int:
    """As the plan says, and as it turns out."""
    request = rq.DeleteSnapshots(house.key, (snapshot,))
    planned = house.plan(request).frees_bytes
    before = used_bytes(house.one) + used_bytes(house.two)
    house.ask(request)
    assert planned == before - used_bytes(house.one) - used_bytes(house.two)
    return planned


def test_taking_and_restoring_are_followed(house: InsideHouse) -> None:
    start_filled(house)
    job = house.engine.submit(rq.TakeSnapshot(house.key, "first"))
    first = job.result(60).id
    (info,) = house.tree().snapshots
    assert info.size_bytes is not None
    assert MEMORY_MIB << 19 < info.size_bytes < MEMORY_MIB << 21
    shares = told(house, job.info.id, "Writing memory")
    assert len({done for done, _ in shares}) > 2
    assert max(done for done, _ in shares) > MEMORY_MIB << 18
    assert all(0 <= done <= total <= 2 * MEMORY_MIB << 20 for done, total in shares)

    again = house.engine.submit(rq.RestoreSnapshot(house.key, first))
    again.result(60)
    assert len({done for done, _ in told(house, again.info.id, KEEPING)}) > 2
    shares = told(house, again.info.id, "Restoring")
    assert [done for done, _ in shares] == sorted(done for done, _ in shares)
    assert max(done for done, _ in shares) > MEMORY_MIB << 18
    restoring = [i for i in house.recorder.job_infos(again.info.id) if i.progress and "Restoring" in i.progress.step]
    assert restoring
    assert not any(each.cancellable for each in restoring)
    house.ask(rq.ForceOff(house.key))
    # The present state has come to share the memory, so that less is freed.
    assert house.tree().snapshots[0].size_bytes == info.size_bytes
    assert freed_by_deleting(house, first) < 1 << 20


def test_a_snapshot_that_is_cancelled_is_not_there(house: InsideHouse) -> None:
    house.take("first")
    start_filled(house)
    before, now = kept(house), {image: names_in(image) for image in (house.one, house.two)}
    CancelAt(house, "Writing memory").run(rq.TakeSnapshot(house.key, "second"))
    assert house.vm_state() is VmState.RUNNING
    assert {image: names_in(image) for image in (house.one, house.two)} == now
    assert kept(house) == before
    notes = hidden.load(folder_of(house))
    assert notes is None or not notes.unwanted
    assert [each.title for each in house.tree().snapshots] == ["first"]
    second = house.take("second")  # the name is free
    house.ask(rq.ForceOff(house.key))
    assert [each.title for each in house.tree().snapshots] == ["first", "second"]
    size = house.tree().snapshots[1].size_bytes
    assert freed_by_deleting(house, second) == size


@pytest.mark.parametrize("keep_title", ["", "kept"])
def test_a_restore_that_is_cancelled_leaves_the_undo_of_the_one_before(house: InsideHouse, keep_title: str) -> None:
    first = house.take("first")
    house.writes(1)
    written = house.now()
    house.ask(rq.RestoreSnapshot(house.key, first))
    house.writes(2)
    (undo,) = names_in(house.one) - {first}
    second = house.take("second")
    before = house.tree()
    assert before.can_undo_restore
    start_filled(house)
    CancelAt(house, KEEPING).run(rq.RestoreSnapshot(house.key, second, keep_title))
    assert house.vm_state() is VmState.RUNNING
    assert names_in(house.one) == {first, second, undo}
    assert house.tree().snapshots == before.snapshots
    assert house.tree().can_undo_restore == before.can_undo_restore
    house.ask(rq.ForceOff(house.key))
    house.ask(rq.UndoRestore(house.key))
    assert house.now() == written
    assert names_in(house.one) == {first, second}


def test_deleting_is_cancelled_between_two(house: InsideHouse) -> None:
    ids = [house.take(f"s{number}") for number in range(3)]
    CancelAt(house, "Deleting").run(rq.DeleteSnapshots(house.key, tuple(ids)))
    assert [each.title for each in house.tree().snapshots] == ["s0", "s1"]
    assert names_in(house.one) == set(ids[:2])


def test_what_a_run_left_that_was_killed_is_hidden_and_removed_by_the_next(house: InsideHouse) -> None:
    first = house.take("first")
    house.writes(1)
    written = house.now()
    house.ask(rq.RestoreSnapshot(house.key, first))
    (undo,) = names_in(house.one) - {first}
    # It was killed: while the present state was being kept, and after a snapshot had been cancelled.
    (leftover,) = set(UNDO_NAMES) - {undo}
    for name in (leftover, "cancelled", "by-another-tool"):
        house.domain.snapshotCreateXML(f"<domainsnapshot><name>{name}</name></domainsnapshot>", 0)
    times = {s.getName(): _taken_s(s.getXMLDesc(0)) for s in house.domain.listAllSnapshots(0)}
    unwanted = {"cancelled": times["cancelled"], "by-another-tool": times["by-another-tool"] - 3600, "none": 1.0}
    hidden.save(folder_of(house), Notes(undo, unwanted))
    tree = house.tree()
    assert [each.id for each in tree.snapshots] == [first, "by-another-tool"]
    assert tree.can_undo_restore
    house.take("more")
    assert names_in(house.one) == {first, undo, "by-another-tool", "more"}
    house.ask(rq.UndoRestore(house.key))
    assert house.now() == written
    house.ask(rq.DeleteSnapshots(house.key, (SnapshotId("by-another-tool"), first, SnapshotId("more"))))
    assert names_in(house.one) == set()


def _taken_s(xml: str) -> float:
    return float(xml.partition("<creationTime>")[2].partition("<")[0])
