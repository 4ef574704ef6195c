"""Why a VNC connection had to end."""

from __future__ import annotations

from guivm.errors import ConsoleError

_ADVICE = "Reconnect; if it happens again, the display server or the guest is at fault."


class RfbError(ConsoleError):
    """The server broke the protocol or one of our bounds; ``details`` names the exact cause."""

    def __init__(self, cause: str, *, summary: str = "", advice: str = _ADVICE) -> None:
        self.cause = cause
        super().__init__(summary or f"The display sent something wrong: {cause}.", advice=advice, details=cause)


class RfbEndError(RfbError):
    """The server closed the connection."""


class RfbAuthError(RfbError):
    """The server wants a way to log in that we do not have, or refused us."""
