"""Bytes for the server, in the order they were said."""

from __future__ import annotations


class Outbox:
    """``say`` adds bytes; a muted one forgets them (a recording has nobody who listens)."""

    __slots__ = ("_muted", "_parts")

    def __init__(self, *, muted: bool = False) -> None:
        self._muted = muted
        self._parts: list[bytes] = []

    def say(self, data: bytes) -> None:
        if not self._muted:
            self._parts.append(data)

    def take(self) -> bytes:
        """All of it, once."""
        parts = self._parts
        if not parts:
            return b""
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        return data
