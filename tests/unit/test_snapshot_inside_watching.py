"""How far QEMU is, as Linux tells it, and the wish to cancel what cannot be stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from guivm.engine.jobs import Job, JobInfo
from guivm.engine.snapshots.inside import watching
from guivm.engine.snapshots.inside.qemu_process import QemuProcess, Traffic
from guivm.engine.snapshots.inside.watching import Cancel, NoGauge, ReadingGauge, Share, WritingGauge, watched
from guivm.engine.types import HostId
from guivm.errors import OperationError

UUID = "6a1f2c3d-0000-4000-8000-00000000abcd"


class Proc:
    """A folder like /proc with one QEMU."""

    def __init__(self, root: Path, pid: int = 77) -> None:
        self.root = root
        self.folder = root / str(pid)
        self.folder.mkdir(parents=True)
        (root / "self").mkdir(exist_ok=True)
        (root / "12").mkdir(exist_ok=True)  # gone, or nothing of ours
        (self.folder / "cmdline").write_bytes(
            b"/usr/bin/qemu\0-name\0x\0-uuid\0" + UUID.encode() + b"\0-no-user-config\0"
        )
        (self.folder / "status").write_text(
            "Name:\tqemu\nVmRSS:\t9 kB\nRssAnon:\t    2048 kB\nRssFile:\t 7 kB\nRssShmem:\t 1024 kB\n"
            "HugetlbPages:\t 0 kB\n"
        )
        self.has_done()

    def has_done(self, read: int = 0, written: int = 0) -> None:
        (self.folder / "io").write_text(f"rchar: {read}\nwchar: {written}\nsyscr: 1\nwrite_bytes: 5\n")


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Proc:
    made = Proc(tmp_path / "proc")
    find = QemuProcess.find
    monkeypatch.setattr(QemuProcess, "find", lambda uuid: find(uuid, made.root))
    return made


def test_the_process_is_found_and_asked(tmp_path: Path) -> None:
    proc = Proc(tmp_path)
    found = QemuProcess.find(UUID, tmp_path)
    assert found == QemuProcess(77, tmp_path)
    assert found.resident_bytes() == 3 << 20
    proc.has_done(3, 4)
    assert found.traffic() == Traffic(3, 4)
    assert QemuProcess.find(UUID.replace("6", "7"), tmp_path) is None
    assert QemuProcess.find(UUID, tmp_path / "none") is None
    (proc.folder / "io").unlink()  # another person's
    (proc.folder / "status").write_text("Name: x\n")
    assert found.traffic() is None
    assert found.resident_bytes() is None


def test_growth_of_the_images_tells_how_much_was_written(proc: Proc, tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(b"x" * 4096)
    gauge = WritingGauge(UUID, (str(image), str(tmp_path / "none")), 1 << 30)
    assert gauge.look() is None
    with image.open("ab") as stream:
        stream.write(b"x" * (1 << 20))
    proc.has_done(written=3 << 20)
    assert gauge.look() == Share(1 << 20, 3 << 20)
    proc.has_done(written=5 << 20)  # room inside was used again
    assert gauge.look() == Share(5 << 19, 3 << 20)
    proc.has_done(written=50 << 20)
    assert gauge.look() == Share(3 << 20, 3 << 20)


def test_the_limit_is_the_total_where_the_process_is_not_seen(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.touch()
    gauge = WritingGauge("no-such-vm", (str(image),), 8192)
    assert gauge.look() is None
    image.write_bytes(b"x" * 4096)
    assert gauge.look() == Share(4096, 8192)


def test_what_a_new_process_reads(proc: Proc) -> None:
    (proc.folder / "cmdline").rename(proc.root / "later")
    gauge = ReadingGauge(UUID, 1000)
    assert gauge.look() is None
    (proc.root / "later").rename(proc.folder / "cmdline")
    proc.has_done(read=10)
    assert gauge.look() == Share(10, 1000)
    proc.has_done(read=2000)
    assert gauge.look() == Share(1000, 1000)


class Listening:
    """A running job whose announcements a test waits for."""

    def __init__(self) -> None:
        self.infos: list[JobInfo] = []
        self._condition = threading.Condition()
        self.job: Job[None] = Job(HostId("h"), None, "A job", on_change=self._heard)
        self.job.begin()

    def _heard(self, info: JobInfo) -> None:
        with self._condition:
            self.infos.append(info)
            self._condition.notify_all()

    def wait_for(self, condition: Callable[[JobInfo], bool]) -> JobInfo:
        """Until the last word is like that."""
        with self._condition:
            assert self._condition.wait_for(lambda: condition(self.infos[-1]), 30)
            return self.infos[-1]

    def wait_for_step(self, step: str) -> JobInfo:
        return self.wait_for(lambda info: info.progress is not None and info.progress.step == step)

    def wait_until_cancellable(self) -> None:
        self.wait_for(lambda info: info.cancellable)


class Going:
    """A gauge that rises."""

    def __init__(self) -> None:
        self._shares: Iterator[Share] = (Share(min(done, 100), 100) for done in range(0, 10_000, 10))

    def look(self) -> Share | None:
        return next(self._shares)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_POLL_S", 0.001)


def test_progress_is_told_while_it_goes_on() -> None:
    heard = Listening()
    with watched(heard.job, "Writing", Going()):
        heard.wait_for(lambda info: info.progress is not None and info.progress.done == 100)
    progresses = [info.progress for info in heard.infos if info.progress]
    assert [each.done for each in progresses] == sorted(each.done for each in progresses)
    assert progresses[-1].remaining_s == 0
    assert not any(info.cancellable for info in heard.infos)
    assert not heard.job.cancel_requested


def test_the_wish_to_cancel_is_accepted_at_once_and_said() -> None:
    heard, noted = Listening(), threading.Event()
    with watched(heard.job, "Writing", NoGauge(), Cancel("Cancelled: when it is written", noted.set)):
        heard.wait_until_cancellable()
        heard.job.cancel()
        info = heard.wait_for_step("Cancelled: when it is written")
        assert not info.cancellable, "once is enough"
        assert noted.is_set()
    assert heard.job.cancel_requested


def test_a_wish_that_cannot_be_noted_is_granted_all_the_same() -> None:
    def full() -> None:
        raise OperationError("The disk is full.")

    heard = Listening()
    with watched(heard.job, "Writing", NoGauge(), Cancel("Cancelled", full)):
        heard.wait_until_cancellable()
        heard.job.cancel()
        heard.wait_for_step("Cancelled")
    assert heard.job.cancel_requested


def test_a_failure_ends_the_watching() -> None:
    heard = Listening()
    with pytest.raises(OSError, match="disk"), watched(heard.job, "Writing", Going(), Cancel("", lambda: None)):
        raise OSError("disk")
    assert not heard.job.info.cancellable
