"""A VM's display as a VNC server for one local client, at a UNIX socket only this person can reach.

The display may be a descriptor, a socket or a port with a password; a VNC client is simply told a path.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import shutil
import socket
import stat
import struct
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from guivm import paths
from guivm.automation.handshake import let_in, log_in
from guivm.console.rfb.inbox import Inbox, Steps, TlsKind
from guivm.console.rfb.security import Login
from guivm.console.vnc.dial import dial
from guivm.console.vnc.transport import Transport
from guivm.console.vnc.tunnel import Tunnel
from guivm.engine.job_types import ConsoleEndpoint
from guivm.errors import CancelledError, ConsoleError, GuivmError

_PREFIX = "gate-"
_BUFFER_BYTES = 256 << 10
_LAST_WORDS_S = 5.0
_CREDENTIALS = struct.Struct("iII")  # struct ucred: pid, uid, gid (unix(7), SO_PEERCRED)


def peer_uid(sock: socket.socket) -> int:
    """The user at the other end of a UNIX socket."""
    data = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(data)[1])


class Gate:
    """Open it, give ``path`` to a client, close it. Any thread, but one at a time; has a thread of its own.

    The first client of the same user is let in and then the socket is gone: a second is refused by the kernel.
    """

    def __init__(
        self,
        endpoint: ConsoleEndpoint,
        *,
        directory: Path | None = None,
        timeout_s: float = 15.0,
        uid_of: Callable[[socket.socket], int] = peer_uid,
    ) -> None:
        """``directory``: where sockets go, ours alone; by default the runtime directory. Takes over ``endpoint``."""
        self._endpoint = endpoint
        self._base = directory
        self._timeout_s = timeout_s
        self._uid_of = uid_of
        self._wake, self._waker = socket.socketpair()
        self._directory: Path | None = None
        self._lock_fd = -1
        self._display: Transport | None = None
        self._tunnel: Tunnel | None = None
        self._early = b""  # what the display said beyond the log-in
        self._listener: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self.error: GuivmError | None = None
        """Why the way through was closed, once it is; None when a side simply ended it."""

    @property
    def path(self) -> Path:
        """Of the socket. Only while the gate is open."""
        assert self._directory is not None, "the gate is not open"
        return self._directory / "vnc"

    def open(self) -> None:
        """Reach the display, log in to it, and listen. Raises GuivmError; then the gate is closed."""
        try:
            self._dial()
            self._listen()
        except BaseException:
            self.close()
            raise
        self._start()

    def offer(self) -> None:
        """Listen at once; the display is reached when a client has come. Raises GuivmError; then the gate is closed."""
        try:
            self._listen()
        except BaseException:
            self.close()
            raise
        self._start()

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._serve, name="guivm-gate", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Cut what passes through and remove every trace. Again does nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        self._waker.send(b"x")
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._display is None and self._endpoint.fd is not None:
            with contextlib.suppress(OSError):
                os.close(self._endpoint.fd)  # it was never dialled
        for end in (self._listener, self._display, self._tunnel, self._wake, self._waker):
            if end is not None:
                end.close()
        self._remove()

    def finish(self, timeout_s: float = _LAST_WORDS_S) -> None:
        """Wait until what the client said last has reached the display and the gate has ended by itself."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def __enter__(self) -> Gate:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _dial(self) -> Transport:
        sock, self._tunnel = dial(self._endpoint, self._timeout_s, self._wait)
        self._display = Transport(sock)
        self._early = self._log_in(self._display)
        return self._display

    def _log_in(self, display: Transport) -> bytes:
        endpoint = self._endpoint
        login = Login(
            endpoint.user,
            endpoint.password,
            endpoint.require_identity,
            plain_is_safe=endpoint.is_local or endpoint.ssh is not None,
        )
        opening = _Opening(display, self._wait, time.monotonic() + self._timeout_s, endpoint)
        opening.run(log_in(opening.inbox, opening.say, login))
        return opening.rest

    # --- the socket -----------------------------------------------------------------------------------

    def _listen(self) -> None:
        try:
            base = paths.runtime_dir() if self._base is None else self._base
            self._directory, self._lock_fd = _make_directory(base)
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._listener = listener
            listener.bind(str(self.path))
            self.path.chmod(stat.S_IRUSR | stat.S_IWUSR)
            listener.listen(1)
            listener.setblocking(False)
        except OSError as error:
            raise ConsoleError(
                f"The display cannot be offered to the script: {error.strerror or error}.", details=str(error)
            ) from error

    def _remove(self) -> None:
        directory, self._directory = self._directory, None
        if directory is not None:
            shutil.rmtree(directory, ignore_errors=True)
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    # --- the thread -----------------------------------------------------------------------------------

    def _serve(self) -> None:
        assert self._listener is not None
        client: Transport | None = None
        try:
            client = Transport(self._accept(self._listener))
            # Whoever else waits at the door is sent away, and nobody can find it any more.
            self.path.unlink(missing_ok=True)
            self._listener.close()
            display = self._display or self._dial()
            opening = _Opening(client, self._wait, time.monotonic() + self._timeout_s)
            opening.run(let_in(opening.inbox, opening.say))
            self._pass(client, display, opening.rest)
        except CancelledError:
            pass
        except GuivmError as error:
            self.error = error
        except OSError as error:
            self.error = ConsoleError(f"The display was lost: {error.strerror or error}.", details=str(error))
        finally:
            for transport in (client, self._display):
                if transport is not None:
                    with contextlib.suppress(OSError):
                        transport.sock.shutdown(socket.SHUT_RDWR)
                    transport.close()

    def _accept(self, listener: socket.socket) -> socket.socket:
        while True:
            self._wait(listener, select.POLLIN, float("inf"))
            try:
                client, _ = listener.accept()
            except BlockingIOError:
                continue
            if self._uid_of(client) == os.geteuid():
                client.setblocking(False)
                return client
            client.close()

    def _pass(self, client: Transport, display: Transport, first_words: bytes) -> None:
        """Until either side ends; what it said before is delivered, within a few seconds."""
        to_display = _Flow(client, display, first_words)
        to_client = _Flow(display, client, self._early)
        deadline = float("inf")
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        while not (to_display.is_done or to_client.is_done):
            for incoming, outgoing in ((to_display, to_client), (to_client, to_display)):
                transport = incoming.source
                events = (transport.events if incoming.wants_more else 0) | (select.POLLOUT if outgoing.pending else 0)
                if events:
                    poll.register(transport.sock, events)
                else:  # poll reports a hang-up even when nothing was asked for
                    with contextlib.suppress(KeyError):
                        poll.unregister(transport.sock)
            now = time.monotonic()
            if deadline == float("inf") and (to_display.is_ended or to_client.is_ended):
                deadline = now + _LAST_WORDS_S
            if now >= deadline:
                return
            decrypted = any(flow.wants_more and flow.source.has_more for flow in (to_display, to_client))
            timeout = None if deadline == float("inf") else (deadline - now) * 1000
            ready = dict(poll.poll(0 if decrypted else timeout))
            if self._wake.fileno() in ready:
                raise CancelledError("The gate was closed.")
            for flow in (to_display, to_client):
                if flow.wants_more and (ready.get(flow.source.sock.fileno()) or flow.source.has_more):
                    flow.receive()
                if flow.pending:
                    flow.send()

    def _wait(self, sock: socket.socket | None, events: int, deadline: float) -> int:
        """Sleep until the events come or the deadline (monotonic); CancelledError when the gate is closed."""
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        if sock is not None:
            poll.register(sock, events)
        left = deadline - time.monotonic()
        ready = dict(poll.poll(None if left == float("inf") else max(0, left * 1000)))
        if self._wake.fileno() in ready:
            raise CancelledError("The gate was closed.")
        return ready.get(sock.fileno(), 0) if sock is not None else 0


class _Opening:
    """Runs the opening of a conversation over a transport, until a deadline. ``rest``: bytes received beyond it."""

    def __init__(
        self,
        transport: Transport,
        wait: Callable[[socket.socket, int, float], int],
        deadline: float,
        endpoint: ConsoleEndpoint | None = None,
    ) -> None:
        """``endpoint``: for TLS."""
        self.inbox = Inbox()
        self._transport = transport
        self._wait = wait
        self._deadline = deadline
        self._endpoint = endpoint
        self._unsent = b""

    @property
    def rest(self) -> bytes:
        return bytes(self.inbox.view[self.inbox.pos : self.inbox.end])

    def say(self, data: bytes) -> None:
        self._unsent += data

    def run(self, steps: Steps[None]) -> None:
        """Raises ConsoleError."""
        inbox = self.inbox
        for want in steps:
            self._send()
            if isinstance(want, TlsKind):
                self._start_tls(want)
                continue
            assert isinstance(want, int), "an opening has nothing that is larger than an inbox"
            while inbox.end - inbox.pos < want:
                self._receive()
        self._send()

    def _receive(self) -> None:
        try:
            count = self._transport.receive((self.inbox.space(),))
        except BlockingIOError:
            self._ready(self._transport.events)
            return
        except OSError as error:
            raise _lost(error) from error
        if not count:
            raise ConsoleError("The display was closed by its server.", advice="Try again when it runs.")
        self.inbox.end += count

    def _send(self) -> None:
        while self._unsent:
            try:
                self._unsent = self._unsent[self._transport.send(self._unsent) :]
            except BlockingIOError:
                self._ready(select.POLLOUT)
            except OSError as error:
                raise _lost(error) from error

    def _start_tls(self, kind: TlsKind) -> None:
        from guivm.console.vnc import tls

        assert self._endpoint is not None
        name = tls.server_name(self._endpoint)
        try:
            self._transport.start_tls(tls.make_context(kind, self._endpoint), name)
            while not self._transport.shake_hands():
                self._ready(self._transport.events)
        except (OSError, ValueError) as error:  # ValueError: a name that no certificate can be for
            raise tls.in_words(error if isinstance(error, OSError) else OSError(str(error)), name) from error

    def _ready(self, events: int) -> None:
        if not self._wait(self._transport.sock, events, self._deadline) and time.monotonic() >= self._deadline:
            raise ConsoleError("The display's server does not answer.", advice="Try again later.")


class _Flow:
    """Bytes on their way from one transport to another; at most one buffer of them is held."""

    def __init__(self, source: Transport, target: Transport, first: bytes = b"") -> None:
        """``first``: received already; at most an inbox of it."""
        self.source = source
        self._target = target
        self._view = memoryview(bytearray(_BUFFER_BYTES))
        self._view[: len(first)] = first
        self._start = 0
        self._end = len(first)
        self.is_ended = False
        """The source has said its last."""

    @property
    def pending(self) -> int:
        return self._end - self._start

    @property
    def wants_more(self) -> bool:
        return not self.is_ended and self.pending == 0

    @property
    def is_done(self) -> bool:
        return self.is_ended and self.pending == 0

    def receive(self) -> None:
        self._start = self._end = 0
        try:
            self._end = self.source.receive((self._view,))
        except BlockingIOError:
            return
        except ConnectionResetError:
            self.is_ended = True
            return
        self.is_ended = self._end == 0

    def send(self) -> None:
        try:
            # Whole bytes objects: OpenSSL wants to see the same ones again after it had to wait.
            self._start += self._target.send(bytes(self._view[self._start : self._end]))
        except BlockingIOError:
            return
        except (BrokenPipeError, ConnectionResetError):
            self._start = self._end = 0
            self.is_ended = True


def _lost(error: OSError) -> ConsoleError:
    return ConsoleError(f"The display was lost: {error.strerror or error}.", details=str(error))


def _make_directory(base: Path) -> tuple[Path, int]:
    """A private directory of a random name, and the lock that says it is in use; those left behind are removed."""
    with (base / "gates.lock").open("ab") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        _remove_stale(base)
        directory = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
        lock_fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return directory, lock_fd


def _remove_stale(base: Path) -> None:
    """Directories whose owner has ended without removing them: its lock is gone with it."""
    for directory in base.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(directory, ignore_errors=True)
            finally:
                os.close(fd)
