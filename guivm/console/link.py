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
from dataclasses import dataclass, field, replace

from guivm.console.dial import dial
from guivm.console.frame import (
    CursorShape,
    Framebuffer,
    KeyboardLeds,
    PointerButton,
    PointerMode,
    Rect,
    SourceState,
)
from guivm.console.rfb.damage import Damage
from guivm.console.rfb.errors import RfbError
from guivm.console.rfb.events import (
    Bell,
    CursorChanged,
    CutText,
    LedsChanged,
    NameChanged,
    PointerModeChanged,
    Resized,
    UpdateEnded,
)
from guivm.console.rfb.limits import MAX_OUTPUT_BYTES
from guivm.console.rfb.session import Phase, RfbSession
from guivm.engine.job_types import ConsoleEndpoint
from guivm.errors import ConsoleError

_BURST_BYTES = 8 << 20  # read at most so much before looking at the input queue again
_BELL_INTERVAL_S = 0.1  # nobody needs to hear more
_STALE_DAMAGE_S = 0.1  # an update that takes longer than this is shown in parts


@dataclass(frozen=True, slots=True)
class LinkTimes:
    """Deadlines and rates, seconds."""

    connect: float = 10.0
    handshake: float = 10.0
    stall: float = 30.0  # a message that was begun must bring ``stall_bytes`` in this time, or end
    stall_bytes: int = 4096
    move_interval: float = 1 / 60


@dataclass(slots=True)
class News:
    """What happened since the mailbox was last emptied; None or False: nothing of that kind."""

    framebuffer: Framebuffer | None = None
    cursor: tuple[CursorShape | None] | None = None  # a 1-tuple when it changed
    pointer_mode: PointerMode | None = None
    leds: KeyboardLeds | None = None
    name: str | None = None
    bell: bool = False
    damaged: bool = False
    state: SourceState | None = None


@dataclass(frozen=True, slots=True)
class _Key:
    scancode: int
    keysym: int
    pressed: bool


@dataclass(frozen=True, slots=True)
class _Pointer:
    x: int
    y: int
    buttons: PointerButton
    mode: PointerMode  # what x and y mean
    is_move: bool = False  # no button changed: may wait, and may be merged with the next


@dataclass(frozen=True, slots=True)
class _Visible:
    visible: bool


_Input = _Key | _Pointer | _Visible


class _Stopped(Exception):  # noqa: N818 - no error
    """The owner wants the thread to end."""


@dataclass(slots=True)
class _Progress:
    """Bookkeeping of the stall deadline: one message must not drip for ever."""

    message: int = 0
    since: float = 0.0
    received: int = field(default=0)


class RfbLink:
    """One connection. ``notify`` is called on the thread when the mailbox turns from empty to not empty.

    All methods but the private ones may be called from any thread, and none blocks but :meth:`stop`.
    """

    def __init__(self, endpoint: ConsoleEndpoint, notify: Callable[[], None], times: LinkTimes | None = None) -> None:
        self.error: ConsoleError | None = None  # set before DISCONNECTED is told
        self._endpoint = endpoint
        self._notify = notify
        self._times = times or LinkTimes()
        self._lock = threading.Lock()
        self._news = News()
        self._has_news = False
        self._damage = Damage(1, 1)
        self._damage_told = False
        self._inputs: deque[_Input] = deque()
        self._queued_buttons = PointerButton.NONE
        self._stopping = False  # the owner's wish
        self._ended = False
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._thread: threading.Thread | None = None
        # The thread's own:
        self._session = RfbSession(endpoint.password)
        self._sock: socket.socket | None = None
        self._unsent = b""
        self._pointer_sent = _Pointer(-1, -1, PointerButton.NONE, PointerMode.ABSOLUTE)
        self._next_move = 0.0
        self._next_bell = 0.0
        self._update_since = 0.0
        self._shown = False

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
            self._news = News()
            self._wake()
        if self._thread is None:
            self._release()
        elif self._thread is not threading.current_thread():
            self._thread.join(timeout_s)

    def close(self) -> None:
        """:meth:`stop`, for signals with arguments of their own."""
        self.stop()

    def take_news(self) -> News:
        with self._lock:
            news, self._news = self._news, News()
            self._has_news = False
            return news

    def take_damage(self) -> list[Rect]:
        """Damage of the framebuffer last taken from the mailbox; none while a newer one waits there."""
        with self._lock:
            self._damage_told = False
            if self._news.framebuffer is not None:
                return []
            return self._damage.take()

    def send_key(self, scancode: int, keysym: int, pressed: bool) -> None:
        self._put(_Key(scancode, keysym, pressed))

    def send_pointer(self, x: int, y: int, buttons: PointerButton, mode: PointerMode) -> None:
        """Moves that wait are merged: the last position counts, movements add up."""
        with self._lock:
            item = _Pointer(x, y, buttons, mode, is_move=buttons == self._queued_buttons)
            last = self._inputs[-1] if self._inputs else None
            if item.is_move and isinstance(last, _Pointer) and last.is_move and last.mode is mode:
                if mode is PointerMode.RELATIVE:
                    item = replace(item, x=last.x + x, y=last.y + y)
                self._inputs[-1] = item
                return
            self._queued_buttons = buttons
        self._put(item)

    def set_visible(self, visible: bool) -> None:
        self._put(_Visible(visible))

    def _put(self, item: _Input) -> None:
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
            self._sock = dial(self._endpoint, self._times.connect, self._wait)
            self._converse(self._sock)
        except _Stopped:
            self.error = None
        except ConsoleError as error:
            self.error = error
        except OSError as error:
            self.error = _broken(error)
        finally:
            self._release()
            with self._lock:
                self._tell(News(state=SourceState.DISCONNECTED))

    def _release(self) -> None:
        with self._lock:
            self._ended = True
            self._inputs.clear()
            if self._sock is not None:
                self._sock.close()
                self._sock = None
            elif self._endpoint.fd is not None:
                with contextlib.suppress(OSError):
                    os.close(self._endpoint.fd)
            if self._wake_fd >= 0:
                os.close(self._wake_fd)
                self._wake_fd = -1

    def _tell(self, news: News) -> None:
        """With the lock held: put into the mailbox."""
        held = self._news
        if news.framebuffer is not None:
            held.framebuffer = news.framebuffer
            held.damaged = False
        held.cursor = news.cursor or held.cursor
        held.pointer_mode = news.pointer_mode or held.pointer_mode
        held.leds = news.leds if news.leds is not None else held.leds
        held.name = news.name if news.name is not None else held.name
        held.bell = held.bell or news.bell
        held.damaged = held.damaged or news.damaged
        held.state = news.state or held.state
        if not self._has_news and not self._stopping:
            self._has_news = True
            self._notify()

    # --- conversing -----------------------------------------------------------------------------------

    def _wait(self, sock: socket.socket | None, events: int, deadline: float | None) -> int:
        """Sleep until the socket is ready, the owner has something, or the deadline (monotonic) has come.

        Answers the socket's events. Raises _Stopped.
        """
        poller = select.poll()
        poller.register(self._wake_fd, select.POLLIN)
        if sock is not None:
            poller.register(sock, events)
        timeout = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
        ready = dict(poller.poll(timeout))
        if ready.pop(self._wake_fd, 0):
            os.eventfd_read(self._wake_fd)
        if self._stopping:
            raise _Stopped
        return next(iter(ready.values()), 0)

    def _converse(self, sock: socket.socket) -> None:
        session = self._session
        handshake_end: float | None = time.monotonic() + self._times.handshake
        progress = _Progress()
        while True:
            now = time.monotonic()
            move_due = self._send_inputs(now)
            self._flush(sock)
            if session.phase is not Phase.HANDSHAKE:
                handshake_end = None
            stall_end = self._check_stall(progress, now)
            deadlines = [d for d in (handshake_end, stall_end, move_due) if d is not None]
            events = select.POLLIN | (select.POLLOUT if self._unsent else 0)
            ready = self._wait(sock, events, min(deadlines, default=None))
            if handshake_end is not None and time.monotonic() >= handshake_end:
                raise RfbError(
                    "the handshake did not end in time",
                    summary="The display's server does not answer.",
                    advice="Reconnect to try again.",
                )
            if ready & ~select.POLLOUT:
                progress.received += self._receive(sock)

    def _check_stall(self, progress: _Progress, now: float) -> float | None:
        """Deadline of the message under way, or None between messages."""
        session = self._session
        if session.phase is not Phase.MESSAGE:
            progress.message = 0
            return None
        enough = progress.received >= self._times.stall_bytes
        if progress.message != session.messages or (enough and now >= progress.since + self._times.stall):
            progress.message, progress.since, progress.received = session.messages, now, 0
        elif now >= progress.since + self._times.stall:
            raise RfbError(
                f"a message did not end: {progress.received} bytes in {self._times.stall:g} s",
                summary="The display's server stopped in the middle of a message.",
            )
        return progress.since + self._times.stall

    def _receive(self, sock: socket.socket) -> int:
        """Read until there is no more for now, or a burst is full."""
        session = self._session
        total = 0
        while total < _BURST_BYTES and not self._stopping:
            buffers = session.buffers()
            try:
                count = sock.recv_into(buffers[0]) if len(buffers) == 1 else sock.recvmsg_into(buffers)[0]
            except BlockingIOError:
                break
            except ConnectionResetError:  # closed with something of ours unread
                count = 0
            if count == 0:
                self._publish(ended=True)
                raise session.ended()
            total += count
            try:
                session.received(count)
            finally:
                self._publish(ended=False)
            self._flush(sock)
        return total

    def _publish(self, *, ended: bool) -> None:
        """Move what the session has to tell into the mailbox."""
        session = self._session
        complete = False
        for event in session.take_events():
            match event:
                case UpdateEnded(pixels=pixels):
                    complete = complete or pixels
                    self._update_since = 0.0
                case Resized(framebuffer=framebuffer):
                    complete = False
                    with self._lock:
                        self._damage = Damage(framebuffer.width, framebuffer.height)
                        self._damage_told = False
                        self._tell(News(framebuffer=framebuffer))
                case CursorChanged(cursor=cursor):
                    self._tell_locked(News(cursor=(cursor,)))
                case PointerModeChanged(mode=mode):
                    self._tell_locked(News(pointer_mode=mode))
                case LedsChanged(leds=leds):
                    self._tell_locked(News(leds=leds))
                case NameChanged(name=name):
                    self._tell_locked(News(name=name))
                case Bell():
                    if (now := time.monotonic()) >= self._next_bell:
                        self._next_bell = now + _BELL_INTERVAL_S
                        self._tell_locked(News(bell=True))
                case CutText():
                    pass  # the clipboard's policy is "off"
        if not session.damage:
            return
        now = time.monotonic()
        if not self._update_since:
            self._update_since = now
        if complete or ended or now - self._update_since > _STALE_DAMAGE_S:
            self._publish_damage()

    def _publish_damage(self) -> None:
        self._update_since = 0.0
        rects = self._session.damage.take()
        with self._lock:
            self._damage.merge(rects)
            news = News(state=None if self._shown else SourceState.CONNECTED)
            self._shown = True
            if not self._damage_told:
                self._damage_told = True
                news.damaged = True
            if news.damaged or news.state is not None:
                self._tell(news)

    def _tell_locked(self, news: News) -> None:
        with self._lock:
            self._tell(news)

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
                if isinstance(item, _Pointer) and len(self._inputs) == 1 and item.is_move:
                    if self._unsent:
                        return None
                    if now < self._next_move:
                        return self._next_move
                    self._next_move = now + self._times.move_interval
                self._inputs.popleft()
            match item:
                case _Key(scancode=scancode, keysym=keysym, pressed=pressed):
                    self._session.send_key(scancode, keysym, pressed)
                case _Visible(visible=visible):
                    self._session.set_updates_wanted(visible)
                case _Pointer():
                    self._send_pointer(item)

    def _send_pointer(self, item: _Pointer) -> None:
        mode = self._session.pointer_mode
        if item.mode is mode:
            self._session.send_pointer(item.x, item.y, item.buttons)
            self._pointer_sent = item
            return
        # The mode has just changed and the sender did not know: only the buttons still have a meaning.
        if mode is PointerMode.RELATIVE:
            self._session.send_pointer(0, 0, item.buttons)
        elif self._pointer_sent.mode is PointerMode.ABSOLUTE and self._pointer_sent.x >= 0:
            self._session.send_pointer(self._pointer_sent.x, self._pointer_sent.y, item.buttons)
        self._pointer_sent = replace(self._pointer_sent, buttons=item.buttons)

    def _flush(self, sock: socket.socket) -> None:
        """Send what the kernel takes without waiting."""
        data = self._session.take_output()
        if data:
            self._unsent = self._unsent + data if self._unsent else data
        if not self._unsent:
            return
        try:
            sent = sock.send(self._unsent, socket.MSG_NOSIGNAL)
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


def _broken(error: OSError) -> ConsoleError:
    return ConsoleError(
        f"The connection to the display broke: {error.strerror or error}.",
        advice="Reconnect to try again.",
        details=str(error),
    )
