"""Bytes for the server, in the order they were said."""

from __future__ import annotations

from guivm.console.rfb.errors import RfbError
from guivm.console.rfb.limits import MAX_ANSWER_BYTES


class Outbox:
    """``say`` adds bytes; a muted one forgets them (a recording has nobody who listens).

    Few bytes of a server's can ask for many of ours: what waits to be taken is bounded, and RfbError says so.
    """

    __slots__ = ("_muted", "_parts", "_size")

    def __init__(self, *, muted: bool = False) -> None:
        self._muted = muted
        self._parts: list[bytes] = []
        self._size = 0

    def say(self, data: bytes) -> None:
        if self._muted:
            return
        self._size += len(data)
        if self._size > MAX_ANSWER_BYTES:
            raise RfbError(f"questions whose answers have more than {MAX_ANSWER_BYTES} bytes")
        self._parts.append(data)

    def take(self) -> bytes:
        """All of it, once."""
        parts = self._parts
        if not parts:
            return b""
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        self._size = 0
        return data
