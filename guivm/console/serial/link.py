"""The thread of one open serial line: its descriptor, and what waits in both directions. No Qt.

Both directions are bounded. What the reader does not take stays with the sender, who has to wait; what the guest does
not take is refused to the writer.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
from collections.abc import Callable

MAX_INCOMING = 256 << 10
MAX_OUTGOING = 1 << 20
_CHUNK = 64 << 10


class SerialLink:
    """Owns the descriptor from the start. ``notify`` is called, on the thread, when there is something to
    :meth:`take` or the line has ended, and not again until it was taken.

    Every method may be called from any thread; only :meth:`stop` waits.
    """

    def __init__(self, fd: int, notify: Callable[[], None]) -> None:
        self._fd = fd
        self._notify = notify
        self._lock = threading.Lock()
        self._incoming = bytearray()
        self._outgoing = bytearray()
        self._told = False
        self._stopping = False
        self._ended = False
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._thread: threading.Thread | None = None
        os.set_blocking(fd, False)

    @property
    def ended(self) -> bool:
        """The other side has closed the line; what it said before may still wait in :meth:`take`."""
        return self._ended

    def start(self) -> None:
        self._thread = threading.Thread(target=self._main, name="serial-link", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 1.0) -> None:
        """Close the line; what waits is dropped. Safe to call twice."""
        with self._lock:
            if self._stopping:
                return
            self._stopping = True
            self._incoming.clear()
            self._outgoing.clear()
            self._wake()
        if self._thread is None:
            self._release()
        elif self._thread is not threading.current_thread():
            self._thread.join(timeout_s)

    def take(self, limit: int) -> bytes:
        """At most ``limit`` bytes of what has come; empty when there is nothing, and the next will be told."""
        with self._lock:
            was_full = len(self._incoming) >= MAX_INCOMING
            data = bytes(self._incoming[:limit])
            del self._incoming[:limit]
            if was_full:
                self._wake()
            if not self._incoming:
                self._told = False
            return data

    def write(self, data: bytes) -> bool:
        """Queue bytes for the guest; False, and nothing queued, when too much waits already or the line has ended."""
        with self._lock:
            if self._stopping or self._ended or len(self._outgoing) + len(data) > MAX_OUTGOING:
                return False
            self._outgoing += data
            self._wake()
            return True

    def _wake(self) -> None:
        """With the lock held, so that the descriptor is not closed and used by another meanwhile."""
        if self._wake_fd >= 0:
            os.eventfd_write(self._wake_fd, 1)

    # --- the thread -----------------------------------------------------------------------------------

    def _main(self) -> None:
        try:
            self._carry()
        except OSError:
            pass  # broken is as good as closed
        finally:
            self._release()

    def _carry(self) -> None:
        poller = select.poll()
        poller.register(self._wake_fd, select.POLLIN)
        while True:
            with self._lock:
                if self._stopping:
                    return
                events = select.POLLIN if len(self._incoming) < MAX_INCOMING else 0
                if self._outgoing:
                    events |= select.POLLOUT
            if events:
                poller.register(self._fd, events)
            else:
                with contextlib.suppress(KeyError):
                    poller.unregister(self._fd)  # a hang-up would be reported again and again
            ready = dict(poller.poll())
            if ready.pop(self._wake_fd, 0):
                os.eventfd_read(self._wake_fd)
            happened = ready.get(self._fd, 0)
            if happened & select.POLLOUT:
                self._write()
            if happened & ~select.POLLOUT and not self._read():
                return

    def _read(self) -> bool:
        with self._lock:
            room = MAX_INCOMING - len(self._incoming)
        if room <= 0:
            return True
        try:
            data = os.read(self._fd, min(room, _CHUNK))
        except BlockingIOError:
            return True
        if not data:
            return False
        with self._lock:
            if not self._stopping:
                self._incoming += data
                self._tell()
        return True

    def _write(self) -> None:
        with self._lock, contextlib.suppress(BlockingIOError):
            del self._outgoing[: os.write(self._fd, self._outgoing[:_CHUNK])]

    def _tell(self) -> None:
        """With the lock held: stop() must not return, and the reader die, between the check and the call."""
        if not self._told and not self._stopping:
            self._told = True
            self._notify()

    def _release(self) -> None:
        with self._lock:
            self._ended = True
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1
            if self._wake_fd >= 0:
                os.close(self._wake_fd)
                self._wake_fd = -1
            self._told = False
            self._tell()
