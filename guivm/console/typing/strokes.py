"""Values: keys, keystrokes and key events.

Key codes are Linux's (``linux/input-event-codes.h``), keysyms X11's (``keysymdef.h``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Key(NamedTuple):
    """A key: its place on the keyboard, and what it means there."""

    code: int
    keysym: int


class KeyEvent(NamedTuple):
    """A key goes down or up; the arguments of ``DisplaySource.send_key``."""

    code: int
    keysym: int
    pressed: bool


@dataclass(frozen=True, slots=True)
class Stroke:
    """One key pressed and released while others are held. ``index``: the character of the text it belongs to."""

    code: int
    keysym: int
    held: tuple[Key, ...]
    index: int
