"""Any thread → GUI thread.

Engine events are queued and delivered in order, all that are waiting in one go, so that a storm of events
costs one wake-up of the event loop. Job results are delivered to callbacks of living owners only.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import shiboken6
from PySide6.QtCore import QObject, Qt, Signal, Slot

from guivm.engine.api import Engine
from guivm.engine.events import (
    EngineEvent,
    HostChanged,
    HostRemoved,
    JobChanged,
    NetworksChanged,
    Noticed,
    VmsChanged,
    VmsReset,
)
from guivm.engine.jobs import Job
from guivm.engine.types import HostId, VmInfo
from guivm.errors import CancelledError, GuivmError

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

    from guivm.engine.requests import Request

T = TypeVar("T")


class Bridge(QObject):
    """The views' end of the engine. GUI thread, except where said."""

    hostChanged = Signal(object)  # HostInfo
    hostRemoved = Signal(str)  # HostId
    vmsReset = Signal(object)  # VmsReset
    vmsChanged = Signal(object)  # VmsChanged
    networksChanged = Signal(str)  # HostId
    jobChanged = Signal(object)  # JobInfo
    failed = Signal(object)  # GuivmError nobody handled: for the message bar
    noticed = Signal(object)  # GuivmError nobody had asked for: for the message bar

    _woken = Signal()

    def __init__(self, engine: Engine, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.engine = engine
        self._lock = threading.Lock()
        self._queue: deque[EngineEvent | Callable[[], None]] = deque()
        self._closed = False
        self._cancellers: dict[int, Callable[[], None]] = {}
        self._executor: ThreadPoolExecutor | None = None
        self._woken.connect(self._deliver, Qt.ConnectionType.QueuedConnection)
        engine.add_listener(self._enqueue)

    def submit(
        self,
        request: Request[T],
        owner: QObject,
        done: Callable[[T], None] | None = None,
        failed: Callable[[GuivmError], None] | None = None,
    ) -> Job[T]:
        """Send a request; ``done(result)`` or ``failed(error)`` is called later on the GUI thread.

        Neither is called when ``owner`` has been deleted meanwhile. Without ``failed`` an error goes to the
        ``failed`` signal, and so to the message bar; a cancelled job is no error there.
        """
        job = self.engine.submit(request)
        if not request.quiet:
            self._cancellers[job.info.id] = job.cancel
        owner_ref = weakref.ref(owner)
        job.add_done_callback(lambda j: self._enqueue(partial(self._settle, owner_ref, j, done, failed)))
        return job

    def cancel_job(self, job_id: int) -> None:
        """Ask a listed job to stop; nothing happens when it is not ours or has ended."""
        cancel = self._cancellers.get(job_id)
        if cancel is not None:
            cancel()

    def compute(self, work: Callable[[], T], owner: QObject, done: Callable[[T], None]) -> None:
        """Run ``work`` (pure: no widgets, no shared state) on a thread of the bridge; then ``done(result)`` here.

        ``done`` is not called when ``owner`` has been deleted meanwhile. For work of some milliseconds, such as
        decoding a picture: one at a time, in order.
        """
        if self._executor is None:
            from concurrent.futures import ThreadPoolExecutor

            self._executor = ThreadPoolExecutor(max_workers=1)
        owner_ref = weakref.ref(owner)
        future = self._executor.submit(work)
        future.add_done_callback(lambda f: self._enqueue(partial(self._computed, owner_ref, f, done)))

    def report(self, error: GuivmError) -> None:
        """Send an error to the message bar. Any thread."""
        self._enqueue(partial(self.failed.emit, error))

    def close(self) -> None:
        """Hear nothing more; callbacks still under way are dropped."""
        with self._lock:
            self._closed = True
            self._queue.clear()
        self.engine.remove_listener(self._enqueue)
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)

    def _enqueue(self, item: EngineEvent | Callable[[], None]) -> None:
        """Any thread."""
        with self._lock:
            if self._closed:
                return
            self._queue.append(item)
            wake = len(self._queue) == 1
            if wake:
                # Under the lock: close() must not return, and the QObject die, between the check and the emit.
                self._woken.emit()

    @Slot()
    def _deliver(self) -> None:
        with self._lock:
            items, self._queue = list(self._queue), deque()
        for item in _coalesced(items):
            match item:
                case VmsChanged():
                    self.vmsChanged.emit(item)
                case JobChanged(job=job):
                    self.jobChanged.emit(job)
                case VmsReset():
                    self.vmsReset.emit(item)
                case HostChanged(host=host):
                    self.hostChanged.emit(host)
                case NetworksChanged(host=host_id):
                    self.networksChanged.emit(host_id)
                case HostRemoved(host=host_id):
                    self.hostRemoved.emit(host_id)
                case Noticed(problem=problem):
                    self.noticed.emit(problem)
                case _:
                    item()

    def _settle(
        self,
        owner_ref: weakref.ref[QObject],
        job: Job[T],
        done: Callable[[T], None] | None,
        failed: Callable[[GuivmError], None] | None,
    ) -> None:
        self._cancellers.pop(job.info.id, None)
        owner = owner_ref()
        alive = owner is not None and shiboken6.isValid(owner)
        error = job.info.error
        if error is None:
            if alive and done is not None:
                done(job.result(0))
        elif alive and failed is not None:
            failed(error)
        elif failed is None and not isinstance(error, CancelledError):
            self.failed.emit(error)

    @staticmethod
    def _computed(owner_ref: weakref.ref[QObject], future: Future[T], done: Callable[[T], None]) -> None:
        owner = owner_ref()
        if owner is not None and shiboken6.isValid(owner) and not future.cancelled():
            done(future.result())


class _Merge:
    """Neighbouring VmsChanged of one host, as one: the newest value of each VM."""

    def __init__(self, host: HostId) -> None:
        self.host = host
        self._changed: dict[str, VmInfo] = {}
        self._removed: dict[str, None] = {}

    def add(self, event: VmsChanged) -> None:
        for uuid in event.removed:
            self._changed.pop(uuid, None)
            self._removed[uuid] = None
        for vm in event.changed:
            self._changed[vm.key.uuid] = vm
            self._removed.pop(vm.key.uuid, None)

    def event(self) -> VmsChanged:
        return VmsChanged(self.host, tuple(self._changed.values()), tuple(self._removed))


def _coalesced(items: list[EngineEvent | Callable[[], None]]) -> list[EngineEvent | Callable[[], None]]:
    """Merge neighbouring VmsChanged of one host, and drop all but the last of neighbouring states of one job."""
    merged: list[EngineEvent | Callable[[], None]] = []
    merge: _Merge | None = None
    for item in items:
        if merge is not None and not (isinstance(item, VmsChanged) and item.host == merge.host):
            merged.append(merge.event())
            merge = None
        last = merged[-1] if merged else None
        if isinstance(item, VmsChanged):
            merge = merge or _Merge(item.host)
            merge.add(item)
        elif isinstance(item, JobChanged) and isinstance(last, JobChanged) and item.job.id == last.job.id:
            merged[-1] = item
        else:
            merged.append(item)
    if merge is not None:
        merged.append(merge.event())
    return merged
