"""libvirt's event loop: one daemon thread for the life of the process. No Qt.

libvirt's own default implementation (``virEventRegisterDefaultImpl``) runs on GLib's *default* main context,
and so does Qt's event dispatcher on Linux (``QPAEventDispatcherGlib``): with both in one process, libvirt's
callbacks are dispatched on the GUI thread and Qt's may be on libvirt's. Therefore this loop, built on poll(2)
and registered with ``virEventRegisterImpl``. What is asked of an implementation is said in
https://libvirt.org/html/libvirt-libvirt-event.html; above all that the "free callback" of a removed handle or
timer must not be called from within the removal, but later, from the loop.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import select
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

from guivm import paths

THREAD_NAME = "guivm-libvirt-events"

# virEventHandleType, libvirt-event.h
_READABLE, _WRITABLE, _ERROR, _HANGUP = 1, 2, 4, 8


@dataclass(slots=True)
class _Handle:
    """A descriptor libvirt waits for."""

    fd: int
    events: int
    callback: Callable[[int, int, int, object], None]
    opaque: object


@dataclass(slots=True)
class _Timer:
    """A call libvirt wants every so often."""

    period_ms: int  # -1: off; 0: every turn of the loop
    due_s: float
    callback: Callable[[int, object], None]
    opaque: object


def _to_poll(events: int) -> int:
    mask = 0
    if events & _READABLE:
        mask |= select.POLLIN
    if events & _WRITABLE:
        mask |= select.POLLOUT
    return mask


def _from_poll(mask: int) -> int:
    events = 0
    if mask & (select.POLLIN | select.POLLPRI):
        events |= _READABLE
    if mask & select.POLLOUT:
        events |= _WRITABLE
    if mask & (select.POLLERR | select.POLLNVAL):
        events |= _ERROR
    if mask & select.POLLHUP:
        events |= _HANGUP
    return events


class EventLoop:
    """Handles and timers of libvirt. The six methods it registers may be called from any thread."""

    def __init__(self, free: Callable[[object], None], clock: Callable[[], float] = time.monotonic) -> None:
        """``free`` is libvirt's ``virEventInvokeFreeCallback``."""
        self._free = free
        self._clock = clock
        # Reentrant: under it the last reference to an object of libvirt's can go, by a name bound anew or by Python's
        # garbage collection, and its end calls the methods below. What is iterated under it is a copy, for that reason.
        self._lock = threading.RLock()
        self._ids = itertools.count(1)
        self._handles: dict[int, _Handle] = {}
        self._timers: dict[int, _Timer] = {}
        self._dead: list[object] = []
        self._changed = True
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._thread: threading.Thread | None = None
        self._poll = select.poll()
        self._polled: dict[int, list[int]] = {}

    @property
    def descriptors(self) -> tuple[int, int]:
        """The two ends of the pipe that wakes the loop."""
        return self._wake_read, self._wake_write

    def start(self) -> None:
        """Begin the daemon thread. It never ends: libvirt forbids to stop or change the implementation."""
        self._thread = threading.Thread(target=self._run, name=THREAD_NAME, daemon=True)
        self._thread.start()

    # --- what libvirt calls ---------------------------------------------------------------------------

    def add_handle(
        self, fd: int, events: int, callback: Callable[[int, int, int, object], None], opaque: object
    ) -> int:
        with self._lock:
            watch = next(self._ids)
            self._handles[watch] = _Handle(fd, events, callback, opaque)
        self._wake()
        return watch

    def update_handle(self, watch: int, events: int) -> None:
        with self._lock:
            handle = self._handles.get(watch)
            if handle is None or handle.events == events:
                return
            handle.events = events
        self._wake()

    def remove_handle(self, watch: int) -> int:
        with self._lock:
            handle = self._handles.pop(watch, None)
            if handle is None:
                return -1
            self._dead.append(handle.opaque)
        self._wake()
        return 0

    def add_timeout(self, period_ms: int, callback: Callable[[int, object], None], opaque: object) -> int:
        with self._lock:
            timer = next(self._ids)
            self._timers[timer] = _Timer(period_ms, self._clock() + max(period_ms, 0) / 1000, callback, opaque)
        self._wake()
        return timer

    def update_timeout(self, timer: int, period_ms: int) -> None:
        with self._lock:
            entry = self._timers.get(timer)
            if entry is None:
                return
            entry.period_ms = period_ms
            entry.due_s = self._clock() + max(period_ms, 0) / 1000
        self._wake()

    def remove_timeout(self, timer: int) -> int:
        with self._lock:
            entry = self._timers.pop(timer, None)
            if entry is None:
                return -1
            self._dead.append(entry.opaque)
        self._wake()
        return 0

    # --- the thread -----------------------------------------------------------------------------------

    def _wake(self) -> None:
        with self._lock:
            if self._changed:
                return
            self._changed = True
        # Not current_thread(): it would make a lasting object for each of libvirt's own threads.
        if self._thread is None or threading.get_ident() != self._thread.ident:
            # A full pipe means that a wake-up is waiting already.
            with contextlib.suppress(BlockingIOError):
                os.write(self._wake_write, b"\0")

    def _run(self) -> None:
        while True:
            self.run_once()

    def run_once(self) -> None:
        """One turn: wait for a handle, a timer or a change of either, then dispatch."""
        timeout_ms = self._prepare()
        ready = self._poll.poll(timeout_ms)
        for fd, mask in ready:
            if fd == self._wake_read:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wake_read, 4096)
            else:
                self._dispatch_handles(fd, mask)
        self._dispatch_timers()
        with self._lock:
            dead, self._dead = self._dead, []
        for opaque in dead:
            self._free(opaque)

    def _prepare(self) -> int | None:
        """Renew the poll set when something changed; answer the milliseconds until the next timer."""
        with self._lock:
            if self._changed:
                self._changed = False
                self._poll = select.poll()
                self._poll.register(self._wake_read, select.POLLIN)
                self._polled = {}
                masks: dict[int, int] = {}
                for watch, handle in self._handles.copy().items():
                    if handle.events:
                        masks[handle.fd] = masks.get(handle.fd, 0) | _to_poll(handle.events)
                        self._polled.setdefault(handle.fd, []).append(watch)
                for fd, mask in masks.items():
                    self._poll.register(fd, mask)
            due = [timer.due_s for timer in self._timers.copy().values() if timer.period_ms >= 0]
            if self._dead:
                return 0
        if not due:
            return None
        # Rounded up: a wake-up a fraction too early would spin until the timer is due.
        return max(0, int((min(due) - self._clock()) * 1000) + 1)

    def _dispatch_handles(self, fd: int, mask: int) -> None:
        for watch in self._polled.get(fd, ()):
            with self._lock:
                handle = self._handles.get(watch)
                if handle is None or handle.fd != fd:
                    continue
                events = _from_poll(mask) & (handle.events | _ERROR | _HANGUP)
                if not handle.events or not events:
                    continue
            handle.callback(watch, fd, events, handle.opaque)

    def _dispatch_timers(self) -> None:
        now = self._clock()
        with self._lock:
            due = [ident for ident, timer in self._timers.copy().items() if timer.period_ms >= 0 and timer.due_s <= now]
        for ident in due:
            with self._lock:
                timer = self._timers.get(ident)
                if timer is None or timer.period_ms < 0:
                    continue
                timer.due_s = now + timer.period_ms / 1000
            timer.callback(ident, timer.opaque)


_first = threading.Lock()  # two hosts may be opened at once, and the cache alone would let both make a loop


def ensure_event_loop() -> EventLoop:
    """Register and start the loop, once per process, before the first connection. Imports libvirt."""
    with _first:
        return _the_loop()


@functools.cache
def _the_loop() -> EventLoop:
    libvirt = _import_quietly()
    loop = EventLoop(libvirt.virEventInvokeFreeCallback)
    libvirt.virEventRegisterImpl(
        loop.add_handle,
        loop.update_handle,
        loop.remove_handle,
        loop.add_timeout,
        loop.update_timeout,
        loop.remove_timeout,
    )
    # Without a handler libvirt prints every error to stderr; we carry them in exceptions.
    libvirt.registerErrorHandler(_ignore_error, None)
    loop.start()
    return loop


def _import_quietly() -> ModuleType:
    """libvirt, its warnings in a file of ours: the embedded driver would write them to stderr.

    The environment is read while the module is imported (``virInitialize``), and must not reach a daemon that
    libvirt starts.
    """
    name = "LIBVIRT_LOG_OUTPUTS"
    ours = name not in os.environ
    if ours:
        try:
            os.environ[name] = f"3:file:{paths.log_dir() / 'libvirt.log'}"
        except OSError:  # no place for logs is no reason not to run
            os.environ[name] = "4:stderr"
    try:
        import libvirt
    finally:
        if ours:
            del os.environ[name]
    module: ModuleType = libvirt
    return module


def _ignore_error(_context: object, _error: object) -> None:
    pass
