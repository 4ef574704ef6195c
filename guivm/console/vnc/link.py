"""The thread of one open VNC console: its socket, its session, and what it has to tell. No Qt.

The thread sleeps in ``poll`` whenever there is nothing to read, to send or to wait for. Other threads put input
into a queue and read the news from a mailbox that keeps only the latest value of each kind, so that no storm of
the server's can fill the memory or the event loop of the reader.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from guivm.console.frame import (
    ClipboardPolicy,
    PointerButton,
    PointerMode,
    PowerAction,
    Quality,
    Rect,
    SourceSecurity,
    SourceState,
)
from guivm.console.rfb.encoding_choice import LOCAL, EncodingChooser
from guivm.console.rfb.errors import RfbError
from guivm.console.rfb.inbox import TlsKind
from guivm.console.rfb.limits import MAX_OUTPUT_BYTES
from guivm.console.rfb.security import Login
from guivm.console.rfb.session import Phase, RfbSession, Tap
from guivm.console.vnc.dial import dial
from guivm.console.vnc.input_feeder import InputFeeder
from guivm.console.vnc.link_inputs import (
    Clipboard,
    Input,
    Key,
    Pointer,
    Policy,
    Power,
    QualityWish,
    Size,
    Sound,
    Visible,
)
from guivm.console.vnc.mailbox import Mailbox
from guivm.console.vnc.news import News
from guivm.console.vnc.pace import Gauge, LinkTimes, Nudger, StallWatch
from guivm.console.vnc.publisher import Publisher
from guivm.console.vnc.transport import Transport
from guivm.engine.job_types import ConsoleEndpoint
from guivm.errors import ConsoleError

if TYPE_CHECKING:
    from guivm.console.vnc.tunnel import Tunnel

__all__ = ["LinkTimes", "News", "RfbLink"]

_BURST_BYTES = 8 << 20  # read at most so much before looking at the input queue again
_CLOSE_S = 0.03
_TURN_S = 0.0002  # as long as it takes another thread to wake up


class _Stopped(Exception):  # noqa: N818 - no error
    """The owner wants the thread to end."""


class RfbLink:
    """One connection. ``notify`` is called on the thread when the mailbox turns from empty to not empty.

    All methods but the private ones may be called from any thread, and none blocks but :meth:`stop`.
    """

    def __init__(
        self,
        endpoint: ConsoleEndpoint,
        notify: Callable[[], None],
        times: LinkTimes | None = None,
        *,
        tap: Tap | None = None,
    ) -> None:
        """``tap`` is called on the thread, see :data:`guivm.console.rfb.session.Tap`; it must not raise."""
        self.error: ConsoleError | None = None  # set before DISCONNECTED is told
        self._endpoint = endpoint
        self._times = times or LinkTimes()
        self._mailbox = Mailbox(notify)
        self._lock = threading.Lock()
        self._inputs: deque[Input] = deque()
        self._queued_buttons = PointerButton.NONE
        self._stopping = False  # the owner's wish
        self._ended = False
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._thread: threading.Thread | None = None
        # The thread's own:
        chooser = None if endpoint.is_local else EncodingChooser()
        self._session = RfbSession(
            login=Login(
                endpoint.user,
                endpoint.password,
                endpoint.require_identity,
                plain_is_safe=endpoint.is_local or endpoint.ssh is not None,
            ),
            choice=LOCAL if chooser is None else chooser.choice,
            tap=tap,
            pauses=True,
        )
        self._gauge = None if chooser is None else Gauge(self._session, chooser, asks_once=endpoint.encodings_once)
        self._publisher = Publisher(self._session, self._mailbox)
        self._feeder = InputFeeder(self._session, self._gauge)
        self._stall = StallWatch(self._session, self._times)
        self._nudger = Nudger(self._session, self._times.nudge)
        self._transport: Transport | None = None
        self._tunnel: Tunnel | None = None
        self._poller = select.poll()
        self._polled: tuple[int, int] | None = None  # descriptor and events beside the wake-up's
        self._unsent = b""
        self._next_move = 0.0

    # --- owner's side ---------------------------------------------------------------------------------

    def start(self) -> None:
        self._thread = threading.Thread(target=self._main, name="rfb-link", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 1.0) -> None:
        """End the connection and the thread; waits for it no longer than ``timeout_s``. Safe to call twice."""
        with self._lock:
            if self._stopping:
                return
            self._stopping = True
            self._mailbox.close()
            self._wake()
        if self._thread is None:
            self._release()
        elif self._thread is not threading.current_thread():
            self._thread.join(timeout_s)

    def close(self) -> None:
        """:meth:`stop` for the GUI thread, which waits no longer than nobody notices; the thread ends by itself."""
        self.stop(_CLOSE_S)

    def take_news(self) -> News:
        return self._mailbox.take()

    def take_damage(self) -> list[Rect]:
        """Damage of the framebuffer last taken with the news; none while a newer one waits."""
        return self._mailbox.take_damage()

    def send_key(self, scancode: int, keysym: int, pressed: bool) -> None:
        self._put(Key(scancode, keysym, pressed))

    def send_pointer(self, x: int, y: int, buttons: PointerButton, mode: PointerMode) -> None:
        """Moves that wait are merged: the last position counts, movements add up."""
        with self._lock:
            item = Pointer(x, y, buttons, mode, is_move=buttons == self._queued_buttons)
            last = self._inputs[-1] if self._inputs else None
            if item.is_move and isinstance(last, Pointer) and last.is_move and last.mode is mode:
                if mode is PointerMode.RELATIVE:
                    item = replace(item, x=last.x + x, y=last.y + y)
                self._inputs[-1] = item
                return
            self._queued_buttons = buttons
        self._put(item)

    def set_visible(self, visible: bool) -> None:
        self._put(Visible(visible))

    def request_size(self, width: int, height: int) -> None:
        self._put(Size(width, height))

    def send_power(self, action: PowerAction) -> None:
        self._put(Power(action))

    def set_clipboard_policy(self, policy: ClipboardPolicy) -> None:
        self._put(Policy(policy))

    def send_clipboard(self, text: str) -> None:
        self._put(Clipboard(text))

    def set_quality(self, quality: Quality) -> None:
        if self._thread is None:
            self._feeder.do(QualityWish(quality))  # counts for the first list of encodings already
        else:
            self._put(QualityWish(quality))

    def set_sound(self, on: bool) -> None:
        self._put(Sound(on))

    def _put(self, item: Input) -> None:
        with self._lock:
            if self._stopping or self._ended:
                return
            self._inputs.append(item)
            self._wake()

    def _wake(self) -> None:
        """With the lock held, so that the descriptor is not closed and used by another meanwhile."""
        if self._wake_fd >= 0:
            os.eventfd_write(self._wake_fd, 1)

    # --- the thread -----------------------------------------------------------------------------------

    def _main(self) -> None:
        self.error = ConsoleError("The console stopped unexpectedly.", advice="Reconnect to try again.")
        try:
            sock, self._tunnel = dial(self._endpoint, self._times.connect, self._wait)
            self._transport = Transport(sock)
            self._converse(self._transport)
        except _Stopped:
            self.error = None
        except ConsoleError as error:
            self.error = _without_frames(error)
        except OSError as error:
            self.error = _broken(error)
        finally:
            self._release()
            self._mailbox.tell(News(state=SourceState.DISCONNECTED))

    def _release(self) -> None:
        with self._lock:
            self._ended = True
            self._inputs.clear()
            if self._transport is not None:
                self._transport.close()
                self._transport = None
            elif self._endpoint.fd is not None:
                with contextlib.suppress(OSError):
                    os.close(self._endpoint.fd)
            if self._wake_fd >= 0:
                os.close(self._wake_fd)
                self._wake_fd = -1
        self._session.close()
        self._publisher.close()
        if self._tunnel is not None:
            self._tunnel.close()
            self._tunnel = None

    # --- conversing -----------------------------------------------------------------------------------

    def _wait(self, sock: socket.socket | None, events: int, deadline: float | None) -> int:
        """Sleep until the socket is ready, the owner has something, or the deadline (monotonic) has come.

        Answers the socket's events. Raises _Stopped.
        """
        self._poll_for(None if sock is None else (sock.fileno(), events))
        timeout = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
        found = 0
        for fd, ready in self._poller.poll(timeout):
            if fd == self._wake_fd:
                os.eventfd_read(fd)
            else:
                found = ready
        if self._stopping:
            raise _Stopped
        return found

    def _poll_for(self, wanted: tuple[int, int] | None) -> None:
        before = self._polled
        if wanted == before:
            return
        if before is None:
            self._poller.register(self._wake_fd, select.POLLIN)
        elif wanted is None or wanted[0] != before[0]:
            with contextlib.suppress(KeyError):
                self._poller.unregister(before[0])
        if wanted is not None:
            self._poller.register(*wanted)
        self._polled = wanted

    def _converse(self, transport: Transport) -> None:
        session = self._session
        # Behind a tunnel the server's first word comes once the tunnel stands.
        patience = self._times.handshake + (self._times.connect if self._tunnel is not None else 0.0)
        handshake_end: float | None = time.monotonic() + patience
        while True:
            now = time.monotonic()
            move_due = self._send_inputs(now)
            nudge_due = None if self._unsent else self._nudger.check(now)
            self._flush(transport)
            if handshake_end is not None:
                if session.tls_wanted is not None:
                    self._start_tls(transport, session.tls_wanted, handshake_end)
                    continue
                if session.phase is not Phase.HANDSHAKE:
                    handshake_end = None
                    self._mailbox.tell(News(security=self._security()))
            stall_end = self._stall.check(now, has_picture=self._publisher.has_picture)
            deadlines = [d for d in (handshake_end, stall_end, move_due, nudge_due) if d is not None]
            if transport.has_more or session.is_paused:
                deadlines.append(now)
            in_message = session.phase is Phase.MESSAGE
            events = transport.events | (select.POLLOUT if self._unsent else 0)
            ready = self._wait(transport.sock, events, min(deadlines, default=None))
            if handshake_end is not None and time.monotonic() >= handshake_end:
                raise _too_late()
            if session.is_paused:
                self._go_on()
            elif ready & ~select.POLLOUT or transport.has_more or (ready and transport.events & select.POLLOUT):
                count = self._receive(transport)
                self._stall.received += count
                if self._gauge is not None:
                    self._gauge.received(count, in_message=in_message)

    def _start_tls(self, transport: Transport, kind: TlsKind, deadline: float) -> None:
        from guivm.console.vnc import tls

        while self._unsent:
            self._wait(transport.sock, select.POLLOUT, deadline)
            if time.monotonic() >= deadline:
                raise _too_late()
            self._flush(transport)
        name = tls.server_name(self._endpoint)
        context = tls.make_context(kind, self._endpoint)
        try:
            transport.start_tls(context, name)
            while not transport.shake_hands():
                self._wait(transport.sock, transport.events, deadline)
                if time.monotonic() >= deadline:
                    raise _too_late()
        except (OSError, ValueError) as error:  # ValueError: a name that no certificate can be for
            raise tls.in_words(error if isinstance(error, OSError) else OSError(str(error)), name) from error
        self._session.tls_started()

    def _security(self) -> SourceSecurity:
        if self._session.security is TlsKind.VERIFIED:
            return SourceSecurity.VERIFIED
        if self._endpoint.ssh is not None:
            return SourceSecurity.SSH
        if self._endpoint.is_local:
            return SourceSecurity.LOCAL
        return SourceSecurity.PLAIN if self._session.security is None else SourceSecurity.ANONYMOUS

    def _receive(self, transport: Transport) -> int:
        """Read until there is no more for now, or a burst is full."""
        session = self._session
        total = 0
        while total < _BURST_BYTES and not self._stopping and not session.is_paused and session.tls_wanted is None:
            try:
                count = transport.receive(session.buffers())
            except BlockingIOError:
                break
            except ConnectionResetError:  # closed with something of ours unread
                count = 0
            if count == 0:
                self._publisher.publish(ended=True)
                if self._tunnel is not None and session.phase is Phase.HANDSHAKE:
                    raise self._tunnel.failure()
                raise session.ended()
            total += count
            try:
                session.received(count)
            finally:
                self._publisher.publish(ended=False)
            self._flush(transport)
            if self._inputs:  # what is typed does not wait behind a flood
                break
        return total

    def _go_on(self) -> None:
        """With what is received already, and took so long that something else had its turn."""
        # Another thread that waits for Python's lock is woken when this one lets go of it, and gets it only if it has
        # not been taken again by then; system calls that return at once, again and again, would starve it.
        time.sleep(_TURN_S)
        try:
            self._session.received(0)
        finally:
            self._publisher.publish(ended=False)

    # --- sending --------------------------------------------------------------------------------------

    def _send_inputs(self, now: float) -> float | None:
        """Hand queued input to the session. Answers when a move that is held back is due (monotonic), or None.

        A move waits for its turn (60 a second), or for the server to take what was sent before; anything behind
        it in the queue does not, and takes it along.
        """
        if self._session.framebuffer is None:
            return None
        while True:
            with self._lock:
                if not self._inputs:
                    return None
                item = self._inputs[0]
                if isinstance(item, Pointer) and len(self._inputs) == 1 and item.is_move:
                    if self._unsent:
                        return None
                    if now < self._next_move:
                        return self._next_move
                    self._next_move = now + self._times.move_interval
                self._inputs.popleft()
            self._feeder.do(item)
            self._publisher.publish(ended=False)  # it may have been refused

    def _flush(self, transport: Transport) -> None:
        """Send what the kernel takes without waiting."""
        data = self._session.take_output()
        if data:
            if self._gauge is not None:
                self._gauge.sent()
            self._unsent = self._unsent + data if self._unsent else data
        if not self._unsent:
            return
        try:
            sent = transport.send(self._unsent)
        except BlockingIOError:
            sent = 0
        except (BrokenPipeError, ConnectionResetError):
            # What the server said before it went is still to be read, and says more than this error.
            self._unsent = b""
            return
        self._unsent = self._unsent[sent:]
        if len(self._unsent) > MAX_OUTPUT_BYTES:
            raise RfbError(
                f"{len(self._unsent)} bytes of input were not read",
                summary="The display's server does not read what is typed.",
            )


def _without_frames(error: ConsoleError) -> ConsoleError:
    """An error that lives on in the window does not keep the pixels and streams of where it was raised."""
    chained: BaseException | None = error
    while chained is not None:
        chained.__traceback__ = None
        chained = chained.__cause__ or chained.__context__
    return error


def _too_late() -> RfbError:
    return RfbError(
        "the handshake did not end in time",
        summary="The display's server does not answer.",
        advice="Reconnect to try again.",
    )


def _broken(error: OSError) -> ConsoleError:
    return ConsoleError(
        f"The connection to the display broke: {error.strerror or error}.",
        advice="Reconnect to try again.",
        details=str(error),
    )
