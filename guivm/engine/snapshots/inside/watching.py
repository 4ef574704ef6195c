"""How far libvirt is with the memory of a snapshot inside the images: it says nothing until it has ended.

QEMU writes (``savevm``) and reads (``loadvm``) the memory in one go, and can be neither asked nor stopped meanwhile.
Linux can be asked: how much QEMU has read and written, and how its images have grown. What is told is about right.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from guivm.engine.jobs import Job, JobProgress
from guivm.engine.snapshots.inside.qemu_process import QemuProcess
from guivm.errors import GuivmError

_POLL_S = 0.25


@dataclass(frozen=True, slots=True)
class Share:
    """Bytes."""

    done: int
    total: int


class Gauge(Protocol):
    """Looks how far it is; None: not known. Called by one thread, made before the work begins."""

    def look(self) -> Share | None: ...


class NoGauge:
    def look(self) -> None:
        return None


class WritingGauge:
    """Memory that is written into one of the images.

    ``limit``: what is written at most, in bytes. An image grows by what is written, unless room in it is used again:
    then only QEMU's own counter tells, which counts some of it twice or more.
    """

    def __init__(self, uuid: str, images: tuple[str, ...], limit: int) -> None:
        self._images = images
        self._process = QemuProcess.find(uuid)
        resident = None if self._process is None else self._process.resident_bytes()
        self._total = limit if resident is None else min(limit, resident)
        self._allocated = self._allocated_now()
        self._written = self._written_now() or 0

    def look(self) -> Share | None:
        grown = self._allocated_now() - self._allocated
        written = (self._written_now() or 0) - self._written
        done = grown if grown >= written // 4 else written // 2
        return Share(max(0, min(done, self._total)), self._total) if done > 0 and self._total > 0 else None

    def _allocated_now(self) -> int:
        return sum(_allocated_bytes(path) for path in self._images)

    def _written_now(self) -> int | None:
        traffic = None if self._process is None else self._process.traffic()
        return None if traffic is None else traffic.written


class ReadingGauge:
    """Memory of ``total`` bytes that a QEMU reads which is only now started."""

    def __init__(self, uuid: str, total: int) -> None:
        self._uuid = uuid
        self._total = total
        self._process: QemuProcess | None = None

    def look(self) -> Share | None:
        self._process = self._process or QemuProcess.find(self._uuid)
        traffic = None if self._process is None else self._process.traffic()
        return None if traffic is None else Share(min(traffic.read, self._total), self._total)


def _allocated_bytes(path: str) -> int:
    try:
        return 512 * Path(path).stat().st_blocks
    except OSError:
        return 0


@dataclass(frozen=True, slots=True)
class Cancel:
    """``words``: what becomes of it, as nothing can be stopped. ``accepted`` is called once, on the watching thread;
    it may raise GuivmError."""

    words: str
    accepted: Callable[[], None]


@contextmanager
def watched(job: Job[Any], step: str, gauge: Gauge, cancel: Cancel | None = None) -> Iterator[None]:
    """While the block runs, the job tells how far it is; without ``cancel`` it cannot be cancelled meanwhile.

    Afterwards ``job.cancel_requested`` says whether that was wished; it cannot be cancelled any more until that is
    declared again.
    """
    watcher = _Watcher(job, step, gauge, cancel)
    watcher.start()
    try:
        yield
    finally:
        watcher.stop()


class _Watcher(threading.Thread):
    def __init__(self, job: Job[Any], step: str, gauge: Gauge, cancel: Cancel | None) -> None:
        super().__init__(name=f"{threading.current_thread().name}-watch", daemon=True)
        self._job = job
        self._step = step
        self._gauge = gauge
        self._cancel = cancel
        self._begun_s = time.monotonic()
        self._condition = threading.Condition()
        self._done = False
        self._wished = False

    def stop(self) -> None:
        with self._condition:
            self._done = True
            self._condition.notify_all()
        self.join()
        self._job.on_cancel(None)

    def run(self) -> None:
        self._job.report(JobProgress(0, 0, step=self._step))
        self._job.on_cancel(None if self._cancel is None else self._on_cancel)
        while True:
            with self._condition:
                if not self._done and not self._wished:
                    self._condition.wait(_POLL_S)
                if self._done:
                    return
                wished, self._wished = self._wished, False
            if wished and self._cancel is not None:
                self._job.on_cancel(None)
                with contextlib.suppress(GuivmError):  # what is done afterwards does not depend on it
                    self._cancel.accepted()
                self._step = self._cancel.words
            self._report()

    def _on_cancel(self) -> None:
        with self._condition:
            self._wished = True
            self._condition.notify_all()

    def _report(self) -> None:
        share = self._gauge.look()
        if share is None:
            progress = JobProgress(0, 0, step=self._step)
        else:
            per_s = share.done / max(time.monotonic() - self._begun_s, _POLL_S)
            left_s = (share.total - share.done) / per_s if per_s else None
            progress = JobProgress(share.done, share.total, True, per_s or None, left_s, self._step)
        if progress != self._job.info.progress:
            self._job.report(progress)
