"""Key combinations in scripts: ``ctrl-alt-del``, ``super+r``, ``A``. Names of keys, pure.

The names are those of :mod:`guivm.console.input.key_combos`, vncdotool's among them, and ``codeN`` for a Linux key
code. A single character, unlike there, stands for the key that makes it on the guest's keyboard layout.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

from guivm.console.input.key_combos import MAX_KEYS, KeyCombo
from guivm.console.rfb.keycodes import qemu_key_number
from guivm.console.typing.errors import TypingError
from guivm.console.typing.strokes import Key, KeyEvent
from guivm.errors import UnsupportedError


class Typist(Protocol):
    """How text is typed on the guest's keyboard layout."""

    def bursts(self, text: str) -> Sequence[Sequence[KeyEvent]]:
        """The events of each stroke. Raises GuivmError for text that cannot be typed."""
        ...


class LayoutTypist:
    """Types as the keyboard of a layout does: ``us``, ``de``, ``fr(bepo)``. Raises GuivmError for one unknown here."""

    def __init__(self, name: str) -> None:
        from guivm.console.typing.layouts import find_layout

        self._layout = find_layout(name)

    def bursts(self, text: str) -> Sequence[Sequence[KeyEvent]]:
        from guivm.console.typing.planner import bursts, plan

        planned = plan(text, self._layout)
        if planned.untypable:
            characters = " ".join(
                f"“{c}”" if c.isprintable() else f"U+{ord(c):04X}" for c in planned.untypable_characters
            )
            raise UnsupportedError(
                f"The keyboard layout {self._layout.id} cannot type {characters}.",
                advice="Choose the layout that the guest uses.",
            )
        return tuple(bursts(planned.strokes))


MODIFIER_CODES = frozenset({29, 42, 54, 56, 97, 100, 125, 126})


_CODE = re.compile(r"code([1-9]\d{0,2})", re.ASCII)
_ELEMENT = re.compile(r"(?:[^-+\s]+|[-+])(?=[-+]|$)")

Combo = tuple[str, ...]
"""Names of keys, or single characters, in the order in which they go down."""


def parse_combo(text: str) -> Combo:
    """The keys of ``text``, joined by ``-`` or ``+``. Raises ValueError that says what is wrong."""
    found: list[str] = []
    at = 0
    while True:
        match = _ELEMENT.match(text, at)
        if match is None:
            raise ValueError(f"“{text}” is no combination of keys; write for example ctrl-alt-del.")
        found.append(_element(match[0]))
        at = match.end() + 1
        if at > len(text):
            break
    if len(found) > MAX_KEYS:
        raise ValueError(f"“{text}” is more than {MAX_KEYS} keys at once.")
    if len(set(found)) != len(found):
        raise ValueError(f"“{text}” names a key twice.")
    return tuple(found)


def _element(text: str) -> str:
    if len(text) == 1 and text.isprintable():
        return text
    lowered = text.lower()
    if lowered == "plus":
        return "+"
    if _code(lowered) is not None:
        return lowered
    try:
        name = KeyCombo.parse(text).name
    except TypingError as error:
        raise ValueError(error.summary) from None
    return name if len(name) == 1 else name.lower()  # of one character: the sign, wherever the layout has it


def _code(text: str) -> int | None:
    """``code183``: the Linux key code, of a key that QEMU knows."""
    match = _CODE.fullmatch(text)
    return int(match[1]) if match is not None and qemu_key_number(int(match[1])) is not None else None


def format_combo(combo: Combo) -> str:
    return "-".join(combo)


def key_name(code: int) -> str | None:
    """The name of a key that is not there for a character; None for the others."""
    try:
        name = KeyCombo.of_codes([code]).name
    except TypingError:
        return None
    return name.lower() if len(name) > 1 and name != "Space" else None


def code_name(code: int) -> str | None:
    """``code183``; None for a key QEMU does not know."""
    name = f"code{code}"
    return name if _code(name) is not None else None


def combo_keys(combo: Combo, typist: Typist) -> list[Key]:
    """The keys to hold down, in order: for a character those that make it. Raises GuivmError."""
    keys: list[Key] = []
    for element in combo:
        keys += [key for key in _keys_of(element, typist) if key.code not in {held.code for held in keys}]
    return keys


def _keys_of(element: str, typist: Typist) -> Sequence[Key]:
    if (code := _code(element)) is not None:
        return [Key(code, 0)]
    if len(element) > 1:
        return KeyCombo.parse(element).keys
    bursts = typist.bursts(element)
    if len(bursts) != 1:
        raise UnsupportedError(
            f"“{element}” takes {len(bursts)} strokes on this keyboard layout, and cannot be part of a combination.",
            advice="Type it, or name a key.",
        )
    return [Key(event.code, event.keysym) for event in bursts[0] if event.pressed]
