"""Keys → bytes, as xterm sends them. Pure.

Source: https://invisible-island.net/xterm/ctlseqs/ctlseqs.html, "PC-Style Function Keys", "VT220-Style Function Keys".
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Key(enum.Enum):
    """Keys that stand for no character."""

    UP = "A"
    DOWN = "B"
    RIGHT = "C"
    LEFT = "D"
    HOME = "H"
    END = "F"
    INSERT = "2"
    DELETE = "3"
    PAGE_UP = "5"
    PAGE_DOWN = "6"
    F1 = "P"
    F2 = "Q"
    F3 = "R"
    F4 = "S"
    F5 = "15"
    F6 = "17"
    F7 = "18"
    F8 = "19"
    F9 = "20"
    F10 = "21"
    F11 = "23"
    F12 = "24"
    ENTER = "\r"
    TAB = "\t"
    BACKSPACE = "\x7f"
    ESCAPE = "\x1b"


class Modifiers(enum.IntFlag):
    """The values are those of xterm's modifier parameter, less one."""

    NONE = 0
    SHIFT = 1
    ALT = 2
    CONTROL = 4


@dataclass(frozen=True, slots=True)
class KeyModes:
    """What the guest asked keys to send."""

    application_cursor: bool = False


_CURSOR = (Key.UP, Key.DOWN, Key.RIGHT, Key.LEFT, Key.HOME, Key.END)
_PF = (Key.F1, Key.F2, Key.F3, Key.F4)

# Control with what is no letter, as on a VT220.
_CONTROLS = {
    " ": 0,
    "@": 0,
    "2": 0,
    "`": 0,
    "[": 27,
    "3": 27,
    "\\": 28,
    "4": 28,
    "]": 29,
    "5": 29,
    "^": 30,
    "6": 30,
    "~": 30,
    "_": 31,
    "7": 31,
    "/": 31,
    "8": 127,
    "?": 127,
}


def encode_key(key: Key, modifiers: Modifiers = Modifiers.NONE, modes: KeyModes | None = None) -> bytes:
    """What a key sends that stands for no character."""
    code = key.value
    if key in (Key.ENTER, Key.TAB, Key.BACKSPACE, Key.ESCAPE):
        if key is Key.TAB and modifiers & Modifiers.SHIFT:
            code = "\x1b[Z"
        elif key is Key.BACKSPACE and modifiers & Modifiers.CONTROL:
            code = "\b"
        return _with_alt(code.encode("ascii"), modifiers)
    if modifiers:
        parameter = int(modifiers) + 1
        text = f"\x1b[1;{parameter}{code}" if key in _CURSOR or key in _PF else f"\x1b[{code};{parameter}~"
    elif key in _PF:
        text = f"\x1bO{code}"
    elif key in _CURSOR:
        text = f"\x1b{'O' if modes is not None and modes.application_cursor else '['}{code}"
    else:
        text = f"\x1b[{code}~"
    return text.encode("ascii")


def encode_text(text: str, modifiers: Modifiers = Modifiers.NONE) -> bytes:
    """What characters send; Control is looked at for a single one only. Alt puts ESC before them."""
    data = text.encode("utf-8", errors="replace")
    if modifiers & Modifiers.CONTROL and len(text) == 1:
        char = text.lower()
        if "a" <= char <= "z":
            data = bytes([ord(char) & 31])
        elif char in _CONTROLS:
            data = bytes([_CONTROLS[char]])
    return _with_alt(data, modifiers)


def encode_paste(text: str, *, bracketed: bool) -> bytes:
    """Pasted text: line ends become Enter, and no control character gets in, least of all the end of the bracket."""
    lines = text.replace("\r\n", "\r").replace("\n", "\r")
    clean = "".join(char for char in lines if char in "\r\t" or (char >= " " and not "\x7f" <= char <= "\x9f"))
    data = clean.encode("utf-8", errors="replace")
    return b"\x1b[200~" + data + b"\x1b[201~" if bracketed else data


def _with_alt(data: bytes, modifiers: Modifiers) -> bytes:
    return b"\x1b" + data if modifiers & Modifiers.ALT and data else data
