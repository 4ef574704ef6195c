"""vncdotool's client, with what scripts need beyond it: QEMU's extended key events, a screen that follows its size,
and bounds on what a server may claim.

It is a Twisted protocol, that is, a thing that is given bytes and gives bytes. We drive it ourselves
(:mod:`guivm.automation.remote`), so no reactor ever runs: a reactor cannot be started twice in a process, and would
take the main thread, signals and the ends of child processes for itself. (Its methods that wait for time to
pass ask the reactor and are not used.) Importing this module takes a quarter of a second.
"""

# ruff: noqa: N802  (the names are those of Twisted and vncdotool)
from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from twisted.python.failure import Failure
from vncdotool.client import VNCDoToolClient, VNCDoToolFactory
from vncdotool.const import Encoding

from guivm.console.rfb import wire
from guivm.console.rfb.errors import RfbError
from guivm.console.rfb.keycodes import qemu_key_number
from guivm.console.rfb.limits import MAX_TEXT_BYTES, check_length, check_rect, check_size
from guivm.errors import GuivmError

if TYPE_CHECKING:
    from collections.abc import Callable

_RECT = Struct(">HHHHi")
_UNDERSTOOD = (
    Encoding.RAW,
    Encoding.PSEUDO_DESKTOP_SIZE,
    Encoding.PSEUDO_LAST_RECT,
    Encoding.PSEUDO_QEMU_EXTENDED_KEY_EVENT,
)


class AutomationFactory(VNCDoToolFactory):  # type: ignore[misc]  # vncdotool has no types
    """What vncdotool's client asks its factory; it tells its news to us instead of to a Deferred."""

    def __init__(self, connected: Callable[[], None], failed: Callable[[GuivmError], None]) -> None:
        super().__init__()
        self._connected = connected
        self._failed = failed

    def clientConnectionMade(self, protocol: VNCDoToolClient) -> None:
        self._connected()

    def clientConnectionFailed(self, connector: object, reason: Failure | Exception) -> None:
        text = reason.getErrorMessage() if isinstance(reason, Failure) else str(reason)
        self._failed(RfbError(text or "a failure without a word"))

    def clientConnectionLost(self, connector: object, reason: Failure) -> None:
        return


class AutomationClient(VNCDoToolClient):  # type: ignore[misc]
    """``updates`` counts what the server has sent; ``fresh_pixels`` those of them since it was last set to 0."""

    width = 0
    height = 0

    def __init__(self) -> None:
        super().__init__()
        self.updates = 0
        self.fresh_pixels = 0
        self.follows = False
        """Ask for the next update when one has come."""
        self.is_asked = False
        """An update has been asked for and has not come."""

    # --- keys -----------------------------------------------------------------------------------------

    @property
    def has_extended_keys(self) -> bool:
        return Encoding.PSEUDO_QEMU_EXTENDED_KEY_EVENT in self.negotiated_encodings

    def send_key(self, code: int, keysym: int, pressed: bool) -> None:
        """``code``: Linux key code, said where the server understands it; else the keysym."""
        number = qemu_key_number(code) if self.has_extended_keys else None
        if number is not None:
            self.transport.write(wire.extended_key_event(number, keysym, pressed))
        elif keysym:
            self.keyEvent(keysym, down=pressed)

    def nudge(self) -> None:
        """Make an idle QEMU look at its screen at once (it then does so every 30 ms): a key that nobody holds goes up.

        QEMU drops that event (``qkbd_state_key_event``), but takes note that somebody is there.
        """
        if self.has_extended_keys:
            self.transport.write(wire.extended_key_event(0, 0, False))

    # --- the screen -----------------------------------------------------------------------------------

    def ask(self, *, incremental: bool) -> None:
        """For all of the screen, or for what has changed."""
        self.is_asked = True
        self.framebufferUpdateRequest(incremental=incremental)

    def commitUpdate(self, rectangles: list[tuple[int, int, int, int]] | None = None) -> None:
        self.updates += 1
        self.fresh_pixels += sum(width * height for _, _, width, height in rectangles or ())
        self.is_asked = False
        super().commitUpdate(rectangles)
        if self.follows and not self.is_asked:
            self.ask(incremental=True)

    def updateDesktopSize(self, width: int, height: int) -> None:
        check_size(width, height)
        super().updateDesktopSize(width, height)
        self.width, self.height = width, height  # what requests ask for

    # --- bounds ---------------------------------------------------------------------------------------

    def vncConnectionMade(self) -> None:
        check_size(self.width, self.height)
        super().vncConnectionMade()

    def expect(self, handler: Callable[..., None], size: int, *args: object, **kwargs: object) -> None:
        limit = max(MAX_TEXT_BYTES, 4 * self.width * self.height)
        check_length(size, limit, "a message")
        super().expect(handler, size, *args, **kwargs)

    def _handleRectangle(self, block: bytes) -> None:
        x, y, width, height, encoding = _RECT.unpack(block)
        if encoding not in _UNDERSTOOD:
            raise RfbError(f"a rectangle of encoding {encoding}, which was not asked for")
        if encoding == Encoding.RAW:
            check_rect(x, y, width, height, self.width, self.height, "a rectangle")
        super()._handleRectangle(block)
