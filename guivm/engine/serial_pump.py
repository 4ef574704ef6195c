"""Carries bytes between a stream of libvirt and a socket, on a thread of its own. No Qt.

What libvirt 9.0 asks for, and how it is met:

* libvirt's client keeps what a host sends in memory until it is read, without bound, and cannot ask the host to wait.
  So the stream is always read, on libvirt's event thread, where reading only takes from memory; when nobody takes it
  from us, the oldest bytes are dropped and a line says how many.
* Sending and ending a stream wait for the host, which may hang. Only our own thread does that, on a connection that
  nobody else uses; nobody waits for this thread.
* A stream does not hear that its connection broke; the connection does.
* What a callback was given is never let go: it is little more than a weak reference.
* A callback may be under way while it is removed: it does nothing once the pump has ended.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import weakref
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import libvirt

THREAD_NAME = "guivm-serial"

WAITING_LIMIT = 1 << 20
"""Bytes from the guest that wait for a reader, at most."""

_CHUNK = 65_536
_SEND_CHUNK = 4_096  # from us to the guest: a person's typing, and what is pasted
_READS_PER_CALL = 32  # then other hosts' events have their turn

# virStreamEventType, libvirt-stream.h
_READABLE, _WRITABLE = 1, 2


class SerialPump:
    """Owns the stream, the socket and, when given, the connection. Ends when either side does."""

    def __init__(self, stream: libvirt.virStream, sock: socket.socket, connection: libvirt.virConnect | None) -> None:
        self._stream: libvirt.virStream | None = stream
        self._sock = sock
        self._connection = connection
        self._lock = threading.Lock()
        self._waiting: deque[bytes] = deque()  # from the guest
        self._waiting_bytes = 0
        self._dropped = 0
        self._ended = False  # the stream's end, an error as well
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._to_guest = b""
        self._blocked = False  # the stream takes nothing now

    def start(self) -> None:
        """Begin. Raises libvirtError, and has given everything back then."""
        try:
            self._sock.setblocking(False)
            assert self._stream is not None
            self._stream.eventAddCallback(_READABLE, _on_stream, weakref.ref(self))
            if self._connection is not None:
                self._connection.registerCloseCallback(self._on_close, None)
        except BaseException:
            self._end_stream()
            self._sock.close()
            self._close_wake()
            raise
        threading.Thread(target=self._main, name=THREAD_NAME, daemon=True).start()

    # --- libvirt's event thread -----------------------------------------------------------------------

    def on_stream(self, stream: libvirt.virStream, events: int) -> None:
        """Something came, can be sent, or has ended."""
        import libvirt

        with self._lock:
            if self._wake_fd < 0:
                return
            if events & _WRITABLE:
                self._blocked = False
                with contextlib.suppress(libvirt.libvirtError):
                    stream.eventUpdateCallback(_READABLE)
            if events & ~_WRITABLE and not self._ended:
                try:
                    self._ended = self._receive(stream)
                except libvirt.libvirtError:
                    self._ended = True
                if self._ended:
                    with contextlib.suppress(libvirt.libvirtError):
                        stream.eventUpdateCallback(0)
            os.eventfd_write(self._wake_fd, 1)

    def _on_close(self, _connection: libvirt.virConnect, _reason: int, _opaque: object) -> None:
        with self._lock:
            if self._wake_fd >= 0:
                self._ended = True
                os.eventfd_write(self._wake_fd, 1)

    def _receive(self, stream: libvirt.virStream) -> bool:
        """With the lock held: take what has come; True at the end of the stream. Raises libvirtError."""
        for _ in range(_READS_PER_CALL):
            data = stream.recv(_CHUNK)
            if not isinstance(data, bytes):  # -2: nothing now
                return False
            if not data:
                return True
            self._waiting.append(data)
            self._waiting_bytes += len(data)
            while self._waiting_bytes > WAITING_LIMIT:
                lost = len(self._waiting.popleft())
                self._waiting_bytes -= lost
                self._dropped += lost
        return False

    # --- our thread -----------------------------------------------------------------------------------

    def _main(self) -> None:
        try:
            reader_left = self._carry()
            self._end_stream()
            if not reader_left:
                self._deliver_rest()
        finally:
            self._end_stream()
            self._sock.close()
            self._close_wake()

    def _carry(self) -> bool:
        """Until an end; True when it was the reader's."""
        out = b""
        poller = select.poll()
        poller.register(self._wake_fd, select.POLLIN)
        while True:
            if not out:
                out, ended = self._take()
                if ended and not out:
                    return False
            try:
                if out:
                    out = out[self._sock.send(out) :]
                    if out or self._has_waiting():
                        continue
            except BlockingIOError:
                pass
            except OSError:
                return True
            if self._to_guest and not self._blocked and not self._send():
                return False
            events = select.POLLOUT if out else 0
            if not self._to_guest:
                events |= select.POLLIN
            poller.register(self._sock, events)
            ready = dict(poller.poll())
            if ready.pop(self._wake_fd, 0):
                with contextlib.suppress(BlockingIOError):
                    os.eventfd_read(self._wake_fd)
            if next(iter(ready.values()), 0) & ~select.POLLOUT and not self._read_socket():
                return True

    def _read_socket(self) -> bool:
        """Take what the reader wrote; False when it left."""
        if self._to_guest:  # was not asked for more: it has hung up
            return False
        try:
            self._to_guest = self._sock.recv(_SEND_CHUNK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return bool(self._to_guest)

    def _has_waiting(self) -> bool:
        with self._lock:
            return bool(self._waiting)

    def _take(self) -> tuple[bytes, bool]:
        """What waits for the reader, with a word about what was lost before it; and whether the stream has ended."""
        with self._lock:
            data = self._waiting.popleft() if self._waiting else b""
            self._waiting_bytes -= len(data)
            lost, self._dropped = (self._dropped, 0) if data else (0, self._dropped)
            ended = self._ended and not self._waiting
        if lost:
            data = f"\r\n\033[m[{lost:,} bytes were lost: they came faster than they were read]\r\n".encode() + data
        return data, ended

    def _send(self) -> bool:
        """Give the guest what it can take; False when the stream is broken. May block while the host hangs."""
        import libvirt

        assert self._stream is not None
        try:
            sent = self._stream.send(self._to_guest)
            if sent >= 0:
                self._to_guest = self._to_guest[sent:]
            if self._to_guest:
                with self._lock:
                    if not self._ended:
                        self._blocked = True
                        self._stream.eventUpdateCallback(_READABLE | _WRITABLE)
        except libvirt.libvirtError:
            return False
        return True

    def _end_stream(self) -> None:
        """Give stream and connection back. May block while the host hangs, until keepalive gives up."""
        import libvirt

        stream, self._stream = self._stream, None
        connection, self._connection = self._connection, None
        if stream is not None:
            with contextlib.suppress(libvirt.libvirtError):
                stream.eventRemoveCallback()
            with contextlib.suppress(libvirt.libvirtError):
                stream.abort()
            # What ``del`` does, at once: libvirt 9.0 never lets go of a callback's data (remoteStreamCallbackFree),
            # which hold the stream, which holds the connection.
            if hasattr(stream, "cb"):
                del stream.cb
            stream.__del__()
        if connection is not None:
            with contextlib.suppress(libvirt.libvirtError):
                connection.unregisterCloseCallback()
            with contextlib.suppress(libvirt.libvirtError):
                connection.close()

    def _deliver_rest(self) -> None:
        """After the stream's end: what the guest said last, as long as there is a reader."""
        self._sock.setblocking(True)
        out, _ended = self._take()
        with contextlib.suppress(OSError):
            while out:
                self._sock.sendall(out)
                out, _ended = self._take()

    def _close_wake(self) -> None:
        with self._lock:
            if self._wake_fd >= 0:
                os.close(self._wake_fd)
                self._wake_fd = -1


def _on_stream(stream: libvirt.virStream, events: int, pump: weakref.ref[SerialPump]) -> None:
    """On libvirt's event thread."""
    living = pump()
    if living is not None:
        living.on_stream(stream, events)
