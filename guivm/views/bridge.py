"""Any thread → GUI thread.

Engine events are queued and delivered in order, all that are waiting in one go, so that a storm of events
costs one wake-up of the event loop. Job results are delivered to callbacks of living owners only.

Callbacks hold widgets, and a widget must not die on a worker. So they stay here: other threads know them by number.
"""

from __future__ import annotations

import itertools
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

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


@dataclass(frozen=True, slots=True)
class _Ended:
    """A job or a computation has ended; ``number`` says who asked for it."""

    number: int
    outcome: Job[Any] | Future[Any]


_Item = EngineEvent | _Ended | GuivmError


class _Inbox:
    """What other threads leave for the GUI thread. Holds nothing of Qt's: its last reference may go on any thread."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._lock = threading.Lock()
        self._items: list[_Item] = []
        self._wake = wake
        self._is_closed = False

    def put(self, item: _Item) -> None:
        """Any thread. Nothing once it is closed."""
        with self._lock:
            if self._is_closed:
                return
            self._items.append(item)
            if len(self._items) == 1:
                # Under the lock: close() must not return, and the QObject die, between the check and the call.
                self._wake()

    def put_ended(self, number: int, outcome: Job[Any] | Future[Any]) -> None:
        self.put(_Ended(number, outcome))

    def take(self) -> list[_Item]:
        with self._lock:
            items, self._items = self._items, []
        return items

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            self._items.clear()


@dataclass(frozen=True, slots=True)
class _Asker:
    """Who waits for an answer. GUI thread only."""

    owner: weakref.ref[QObject]
    done: Callable[[Any], None] | None
    failed: Callable[[GuivmError], None] | None = None

    @property
    def is_alive(self) -> bool:
        owner = self.owner()
        return owner is not None and shiboken6.isValid(owner)


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
        self._woken.connect(self._deliver, Qt.ConnectionType.QueuedConnection)
        self._inbox = _Inbox(self._woken.emit)
        self._numbers = itertools.count()
        self._askers: dict[int, _Asker] = {}
        self._cancellers: dict[int, Callable[[], None]] = {}
        self._executor: ThreadPoolExecutor | None = None
        engine.add_listener(self._inbox.put)

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
        job.add_done_callback(partial(self._inbox.put_ended, self._expect(owner, done, failed)))
        return job

    def cancel_job(self, job_id: int) -> None:
        """Ask a listed job to stop; nothing happens when it is not ours or has ended."""
        cancel = self._cancellers.get(job_id)
        if cancel is not None:
            cancel()

    def compute(self, work: Callable[[], T], owner: QObject, done: Callable[[T], None]) -> None:
        """Run ``work`` on a thread of the bridge; then ``done(result)`` here. ``work`` is pure, and holds no widgets.

        ``done`` is not called when ``owner`` has been deleted meanwhile. For work of some milliseconds, such as
        decoding a picture: one at a time, in order.
        """
        if self._executor is None:
            from concurrent.futures import ThreadPoolExecutor

            self._executor = ThreadPoolExecutor(max_workers=1)
        number = self._expect(owner, done)
        self._executor.submit(work).add_done_callback(partial(self._inbox.put_ended, number))

    def report(self, error: GuivmError) -> None:
        """Send an error to the message bar. Any thread."""
        self._inbox.put(error)

    def close(self) -> None:
        """Hear nothing more; callbacks still under way are dropped."""
        self._inbox.close()
        self.engine.remove_listener(self._inbox.put)
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
        self._askers.clear()
        self._cancellers.clear()

    def _expect(
        self,
        owner: QObject,
        done: Callable[[T], None] | None,
        failed: Callable[[GuivmError], None] | None = None,
    ) -> int:
        number = next(self._numbers)
        self._askers[number] = _Asker(weakref.ref(owner), done, failed)
        return number

    @Slot()
    def _deliver(self) -> None:
        for item in _coalesced(self._inbox.take()):
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
                case _Ended():
                    self._settle(item)
                case GuivmError():
                    self.failed.emit(item)

    def _settle(self, ended: _Ended) -> None:
        asker = self._askers.pop(ended.number, None)
        if asker is None:  # closed meanwhile
            return
        if isinstance(ended.outcome, Job):
            self._settle_job(asker, ended.outcome)
        elif asker.is_alive and asker.done is not None and not ended.outcome.cancelled():
            asker.done(ended.outcome.result())

    def _settle_job(self, asker: _Asker, job: Job[Any]) -> None:
        self._cancellers.pop(job.info.id, None)
        error = job.info.error
        if error is None:
            if asker.is_alive and asker.done is not None:
                asker.done(job.result(0))
        elif asker.is_alive and asker.failed is not None:
            asker.failed(error)
        elif asker.failed is None and not isinstance(error, CancelledError):
            self.failed.emit(error)


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


def _coalesced(items: list[_Item]) -> list[_Item]:
    """Merge neighbouring VmsChanged of one host, and drop all but the last of neighbouring states of one job."""
    merged: list[_Item] = []
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
