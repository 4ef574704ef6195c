"""The other end of a VM's display, for scripts: keys and pointer there, pixels back. One thread; every call returns
in bounded time or when cancelled.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from guivm.console.rfb.errors import RfbError
from guivm.console.rfb.limits import MAX_OUTPUT_BYTES
from guivm.console.typing.strokes import KeyEvent
from guivm.errors import CancelledError, ConsoleError, GuivmError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

_READ_BYTES = 256 << 10
_NUDGE_S = 0.1
FRAME_S = 0.05
_RELEASE_S = 2.0

# What vncdotool raises over bytes it cannot make sense of.
_NONSENSE = (ArithmeticError, AssertionError, AttributeError, LookupError, MemoryError, TypeError, ValueError)


class Cancel(Protocol):
    """Whether to stop; becomes readable (a file descriptor) when it is so."""

    @property
    def is_set(self) -> bool: ...

    def fileno(self) -> int: ...


class CancelFlag:
    """A :class:`Cancel` that any thread, or a signal's handler, can set. Close it."""

    def __init__(self) -> None:
        self.is_set = False
        self._read, self._write = socket.socketpair()
        self._write.setblocking(False)

    def set(self) -> None:
        self.is_set = True
        with contextlib.suppress(OSError):
            self._write.send(b"x")

    def fileno(self) -> int:
        return self._read.fileno()

    def close(self) -> None:
        self._read.close()
        self._write.close()


class _Transport:
    """What the client writes to."""

    def __init__(self) -> None:
        self.unsent = bytearray()
        self.is_ended = False

    def write(self, data: bytes) -> None:
        self.unsent += data

    def loseConnection(self) -> None:  # noqa: N802  # Twisted's name
        self.is_ended = True


class Remote:
    """See the module. ``Remote(path, cancel)``, ``open()``, …, ``close()``."""

    def __init__(self, path: Path, cancel: Cancel) -> None:
        self._path = path
        self._cancel = cancel
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._transport = _Transport()
        self._error: GuivmError | None = None
        self._is_ready = False
        self._keys: dict[int, int] = {}  # code to keysym, in the order in which they went down
        self._next_nudge = 0.0

    def open(self, timeout_s: float = 15.0) -> None:
        """Connect and wait for a first picture. Raises GuivmError."""
        from guivm.automation.client import AutomationClient, AutomationFactory

        try:
            self._sock.connect(str(self._path))
        except OSError as error:
            raise ConsoleError(f"The display cannot be reached: {error.strerror or error}.") from error
        self._sock.setblocking(False)
        self._client = AutomationClient()
        self._client.factory = AutomationFactory(self._on_ready, self._on_failed)
        self._client.makeConnection(self._transport)
        deadline = time.monotonic() + timeout_s
        if not self.wait(lambda: self._is_ready, deadline):
            raise ConsoleError("The display's server does not answer.", advice="Try again later.")
        self.refresh(deadline)

    def close(self) -> None:
        """Release every key and button, as far as the server still takes it. Again does nothing."""
        if self._sock.fileno() < 0:
            return
        if self._is_ready and self._error is None:
            with contextlib.suppress(GuivmError, OSError):
                self.release_all()
                self._pump_until(self._is_flushed, time.monotonic() + _RELEASE_S, cancellable=False)
        self._sock.close()

    # --- input ----------------------------------------------------------------------------------------

    @property
    def size(self) -> tuple[int, int]:
        """Of the screen, in pixels."""
        return self._client.width, self._client.height

    def send_key(self, event: KeyEvent) -> None:
        if event.pressed:
            self._keys[event.code] = event.keysym
        else:
            self._keys.pop(event.code, None)
        self._client.send_key(*event)

    def move(self, x: int, y: int) -> None:
        """Positions outside the screen are moved to its edge."""
        width, height = self.size
        self._client.mouseMove(min(max(x, 0), width - 1), min(max(y, 0), height - 1))

    @property
    def pointer(self) -> tuple[int, int]:
        return self._client.x, self._client.y

    def press_button(self, button: int, pressed: bool) -> None:
        """``button``: 1 to 8."""
        if pressed:
            self._client.mouseDown(button)
        else:
            self._client.mouseUp(button)

    def paste(self, text: str) -> None:
        """Into the guest's clipboard. Raises ConsoleError for text that this message cannot carry (Latin-1 only)."""
        try:
            self._client.paste(text)
        except UnicodeEncodeError as error:
            raise ConsoleError(
                f"“{text[error.start]}” cannot be put into the guest's clipboard.", advice="Type the text instead."
            ) from error

    def release_all(self) -> None:
        """Let go of every key, the last first, and of every button."""
        for code, keysym in reversed(self._keys.items()):
            self._client.send_key(code, keysym, False)
        self._keys.clear()
        if self._client.buttons:
            self._client.buttons = 0
            self._client.mouseMove(self._client.x, self._client.y)

    # --- time -----------------------------------------------------------------------------------------

    def sleep(self, seconds: float) -> None:
        """Let time pass while what is to be sent is sent. Raises CancelledError, ConsoleError."""
        self.wait(lambda: False, time.monotonic() + seconds)

    def wait(self, condition: Callable[[], bool], deadline: float) -> bool:
        """Until the condition holds or the deadline (monotonic); answers which. Raises CancelledError, ConsoleError."""
        return self._pump_until(condition, deadline, cancellable=True)

    def sync(self, timeout_s: float = 5.0) -> None:
        """Wait until the server has dealt with all that was sent; without an answer, only so long."""
        with contextlib.suppress(TimeoutError):
            self._refresh(time.monotonic() + timeout_s)

    # --- the screen -----------------------------------------------------------------------------------

    def refresh(self, deadline: float) -> None:
        """Wait for a picture of the whole screen as it is now. Raises ConsoleError when none comes."""
        try:
            self._refresh(deadline)
        except TimeoutError:
            raise ConsoleError("The display sends no picture.", advice="See whether the guest still runs.") from None

    def _refresh(self, deadline: float) -> None:
        client = self._client

        def is_fresh() -> bool:
            return client.fresh_pixels >= client.width * client.height

        while True:
            size = self.size
            client.fresh_pixels = 0
            client.ask(incremental=False)
            if not self._nudging(lambda size=size: is_fresh() or self.size != size, deadline):  # type: ignore[misc]
                raise TimeoutError
            if self.size == size:
                return

    def watch(
        self,
        is_seen: Callable[[], bool],
        deadline: float,
        *,
        every_s: float | None = None,
        rest_s: float = FRAME_S,
    ) -> bool:
        """Ask ``is_seen`` about the present screen and then after each change, until it is so or the deadline.

        ``every_s``: also ask it so often when nothing changes; ``rest_s``: how long to wait after a change, so that
        a screen in motion is not looked at too often. Raises CancelledError, ConsoleError.
        """
        client = self._client
        self.refresh(max(deadline, time.monotonic() + 5.0))
        client.follows = True
        if not client.is_asked:
            client.ask(incremental=True)
        try:
            while not is_seen():
                if time.monotonic() >= deadline:
                    return False
                seen = client.updates
                until = deadline if every_s is None else min(deadline, time.monotonic() + every_s)
                if self._nudging(lambda seen=seen: client.updates != seen, until):  # type: ignore[misc]
                    self.wait(lambda: False, min(deadline, time.monotonic() + rest_s))
            return True
        finally:
            client.follows = False

    def _nudging(self, condition: Callable[[], bool], deadline: float) -> bool:
        while True:
            now = time.monotonic()
            if now >= self._next_nudge:
                self._next_nudge = now + _NUDGE_S
                self._client.nudge()
            if self.wait(condition, min(deadline, self._next_nudge)):
                return True
            if time.monotonic() >= deadline:
                return False

    @property
    def image(self) -> Image:
        """The screen as it was last seen, R, G, B; changed in place by what comes later."""
        image: Image | None = self._client.screen
        if image is None:
            raise ConsoleError("The display has sent no picture yet.")
        return image

    def pixels(self) -> NDArray[np.uint8]:
        """A copy of the screen: uint8 (height, width, 3), R, G, B."""
        import numpy as np

        return np.asarray(self.image, dtype=np.uint8).copy()

    # --- bytes ----------------------------------------------------------------------------------------

    def _on_ready(self) -> None:
        self._is_ready = True

    def _on_failed(self, error: GuivmError) -> None:
        self._error = self._error or error

    def _is_flushed(self) -> bool:
        return not self._transport.unsent

    def _pump_until(self, condition: Callable[[], bool], deadline: float, *, cancellable: bool) -> bool:
        while True:
            if cancellable and self._cancel.is_set:
                raise CancelledError("The script was stopped.")
            if self._error is not None:
                raise self._error
            if condition():
                self._send()
                return True
            left = deadline - time.monotonic()
            self._pump(max(0.0, left), cancellable=cancellable)
            if left <= 0:
                return condition()

    def _pump(self, timeout_s: float, *, cancellable: bool) -> None:
        self._send()
        poll = select.poll()
        poll.register(self._sock, select.POLLIN | (select.POLLOUT if self._transport.unsent else 0))
        if cancellable:
            poll.register(self._cancel.fileno(), select.POLLIN)
        ready = dict(poll.poll(timeout_s * 1000))
        if ready.get(self._sock.fileno(), 0) & ~select.POLLOUT:
            self._receive()
        self._send()

    def _receive(self) -> None:
        try:
            data = self._sock.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            raise _lost(str(error)) from error
        if not data:
            raise _lost("closed")
        try:
            self._client.dataReceived(data)
        except GuivmError as error:
            self._error = error
            raise
        except (*_NONSENSE, struct.error) as error:
            self._error = RfbError(f"{type(error).__name__}: {error}")
            raise self._error from error
        if self._transport.is_ended and self._error is None:
            self._error = _lost("the client gave up")

    def _send(self) -> None:
        unsent = self._transport.unsent
        if not unsent:
            return
        try:
            del unsent[: self._sock.send(unsent, socket.MSG_NOSIGNAL)]
        except BlockingIOError:
            pass
        except OSError as error:
            unsent.clear()
            raise _lost(str(error)) from error
        if len(unsent) > MAX_OUTPUT_BYTES:
            raise RfbError(
                f"{len(unsent)} bytes of input were not read",
                summary="The display's server does not read what is typed.",
            )


def _lost(details: str) -> ConsoleError:
    return ConsoleError(
        "The display was closed before the script had ended.",
        advice="See whether the virtual machine still runs.",
        details=details,
    )
