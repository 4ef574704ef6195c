"""Why a VNC connection had to end."""

from __future__ import annotations

import enum

from guivm.errors import ConsoleError

_ADVICE = "Reconnect; if it happens again, the display server or the guest is at fault."


class RfbError(ConsoleError):
    """The server broke the protocol or one of our bounds; ``details`` names the exact cause."""

    def __init__(self, cause: str, *, summary: str = "", advice: str = _ADVICE) -> None:
        self.cause = cause
        super().__init__(summary or f"The display sent something wrong: {cause}.", advice=advice, details=cause)


class RfbEndError(RfbError):
    """The server closed the connection."""


class CredentialNeed(enum.Enum):
    """What a person has to be asked for before trying again."""

    PASSWORD = "password"  # noqa: S105  (a kind, no password)
    USER_AND_PASSWORD = "user-and-password"  # noqa: S105


class RfbAuthError(RfbError):
    """The server wants a way to log in that we do not have, or refused us.

    ``needs``: what would let us in, when that is something a person can tell. ``was_refused``: what we had was wrong.
    """

    def __init__(
        self,
        cause: str,
        *,
        summary: str = "",
        advice: str = _ADVICE,
        needs: CredentialNeed | None = None,
        was_refused: bool = False,
    ) -> None:
        self.needs = needs
        self.was_refused = was_refused
        super().__init__(cause, summary=summary, advice=advice)
