"""Jobs: a request on its way to its answer, with progress and cancel.

A job belongs to whoever submitted it; its :class:`JobInfo` snapshots are frozen and may cross threads.
"""

from __future__ import annotations

import enum
import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from guivm.engine.types import HostId, VmKey
from guivm.errors import CancelledError, GuivmError

T = TypeVar("T")


class JobState(enum.Enum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        return self in (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


@dataclass(frozen=True, slots=True)
class JobProgress:
    """How far a job is. ``total`` 0: not known (show a busy bar). ``unit_bytes``: done/total are bytes."""

    done: int
    total: int
    unit_bytes: bool = True
    speed_per_s: float | None = None
    remaining_s: float | None = None
    step: str = ""  # "Writing memory", "Building the sample guest"


@dataclass(frozen=True, slots=True)
class JobInfo:
    """Snapshot of a job. ``started_s`` and ``ended_s`` are ``time.monotonic()`` seconds, 0 when not yet."""

    id: int
    host: HostId
    vm: VmKey | None
    title: str  # "Starting “Debian”"
    state: JobState
    progress: JobProgress | None = None
    cancellable: bool = False
    error: GuivmError | None = None
    started_s: float = 0.0
    ended_s: float = 0.0


_ids = itertools.count(1)


class Job(Generic[T]):
    """Handle on a submitted request. Thread-safe.

    The engine drives it through :meth:`begin`, :meth:`report`, :meth:`on_cancel`, :meth:`succeed` and
    :meth:`fail`; submitters use :meth:`result`, :meth:`cancel` and :meth:`add_done_callback`.
    """

    def __init__(
        self,
        host: HostId,
        vm: VmKey | None,
        title: str,
        *,
        on_change: Callable[[JobInfo], None] | None = None,
    ) -> None:
        self._lock = threading.Lock()
        # Held while the listener is told, so that it never hears of an older state after a newer one.
        self._notify_lock = threading.RLock()
        self._done = threading.Event()
        self._info = JobInfo(next(_ids), host, vm, title, JobState.QUEUED)
        self._on_change = on_change
        self._result: T | None = None
        self._callbacks: list[Callable[[Job[T]], None]] = []
        self._cancel_requested = False
        self._canceller: Callable[[], None] | None = None

    # --- submitter's side -----------------------------------------------------------------------------

    @property
    def info(self) -> JobInfo:
        return self._info

    def result(self, timeout: float | None = None) -> T:
        """Wait for the answer (seconds; never on the GUI thread). Raises the job's GuivmError, or TimeoutError."""
        if not self._done.wait(timeout):
            raise TimeoutError(self._info.title)
        if self._info.error is not None:
            raise self._info.error
        return self._result  # type: ignore[return-value]  # set by succeed() before _done

    def add_done_callback(self, callback: Callable[[Job[T]], None]) -> None:
        """Call ``callback(job)`` once final, on the thread that ends the job, or at once when it has ended."""
        with self._lock:
            if not self._info.state.is_final:
                self._callbacks.append(callback)
                return
        callback(self)

    def cancel(self) -> None:
        """Ask to stop. A queued job never begins; a running one ends as soon as it safely can. Never blocks."""
        with self._lock:
            if self._info.state.is_final or self._cancel_requested:
                return
            self._cancel_requested = True
            canceller = self._canceller
            # Decided under the lock: a job must not begin between the question and the answer.
            queued = self._info.state is JobState.QUEUED
            callbacks = self._end(JobState.CANCELLED, CancelledError("Cancelled before it began.")) if queued else None
        if callbacks is not None:
            self._tell_end(callbacks)
        elif canceller is not None:
            canceller()

    # --- engine's side --------------------------------------------------------------------------------

    @property
    def cancel_requested(self) -> bool:
        return self._cancel_requested

    def begin(self) -> bool:
        """Mark as running; False when it was cancelled while queued."""
        with self._lock:
            if self._info.state is not JobState.QUEUED:
                return False
            self._info = replace(self._info, state=JobState.RUNNING, started_s=time.monotonic())
        self._notify()
        return True

    def report(self, progress: JobProgress) -> None:
        with self._lock:
            if self._info.state is not JobState.RUNNING:
                return
            self._info = replace(self._info, progress=progress)
        self._notify()

    def on_cancel(self, canceller: Callable[[], None] | None) -> None:
        """Declare how a running job is stopped; ``canceller`` is called once, must not block, on any thread."""
        with self._lock:
            if self._info.state.is_final:
                return
            self._canceller = canceller
            self._info = replace(self._info, cancellable=canceller is not None)
            call_now = canceller is not None and self._cancel_requested
        self._notify()
        if call_now and canceller is not None:
            canceller()

    def check_cancelled(self) -> None:
        """Raise CancelledError when the person asked to stop."""
        if self._cancel_requested:
            raise CancelledError("Cancelled.")

    def succeed(self, result: T) -> None:
        self._finish(JobState.DONE, None, result)

    def fail(self, error: GuivmError) -> None:
        state = JobState.CANCELLED if isinstance(error, CancelledError) else JobState.FAILED
        self._finish(state, error)

    def _finish(self, state: JobState, error: GuivmError | None, result: T | None = None) -> None:
        with self._lock:
            if self._info.state.is_final:
                return
            self._result = result
            callbacks = self._end(state, error)
        self._tell_end(callbacks)

    def _end(self, state: JobState, error: GuivmError | None) -> list[Callable[[Job[T]], None]]:
        """With the lock held. Answers the callbacks to call when it is released."""
        self._info = replace(self._info, state=state, error=error, ended_s=time.monotonic(), cancellable=False)
        self._canceller = None
        callbacks, self._callbacks = self._callbacks, []
        self._done.set()
        return callbacks

    def _tell_end(self, callbacks: list[Callable[[Job[T]], None]]) -> None:
        self._notify()
        for callback in callbacks:
            callback(self)

    def _notify(self) -> None:
        if self._on_change is not None:
            with self._notify_lock:
                self._on_change(self._info)
