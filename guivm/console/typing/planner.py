"""From a text to the keystrokes that enter it, and from these to key events."""

from __future__ import annotations

import functools
import itertools
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from guivm.console.typing.errors import TypingError
from guivm.console.typing.keyboard_map import DEFAULT_LOCALE, KeyboardMap, Press
from guivm.console.typing.layouts import Layout
from guivm.console.typing.strokes import Key, KeyEvent, Stroke

MAX_CHARACTERS = 100_000
"""Of one text; more than an hour of typing at the default rate."""


@dataclass(frozen=True, slots=True)
class TypingPlan:
    """What will be typed. Indexes are those of ``text``, which is NFC with line feeds as line ends."""

    text: str
    layout: Layout
    strokes: tuple[Stroke, ...]
    untypable: tuple[tuple[int, str], ...]

    @property
    def untypable_characters(self) -> tuple[str, ...]:
        """Each once, in the order of the text."""
        return tuple(dict.fromkeys(character for _, character in self.untypable))


def clean_text(text: str) -> str:
    """NFC, and line feeds for CR LF and CR."""
    return unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))


def plan(text: str, layout: Layout, *, caps_lock: bool = False, locale: str = DEFAULT_LOCALE) -> TypingPlan:
    """Plan the keystrokes of ``text`` for a guest whose keyboard has ``layout``.

    ``caps_lock``: it is on in the guest. Num Lock does not matter: no key of the keypad is used. ``locale``: whose
    Compose table tells what dead keys make. Line ends become Return, tabs Tab; other control characters are never
    typed. TypingError when the layout is not known here, or the text is too long.
    """
    text = clean_text(text)
    if len(text) > MAX_CHARACTERS:
        raise TypingError(
            f"The text has {len(text):,} characters; at most {MAX_CHARACTERS:,} can be typed at once.",
            advice="Type it in parts, or copy it to the guest as a file.",
        )
    keyboard = keyboard_map(layout, caps_lock=caps_lock, locale=locale)
    strokes: list[Stroke] = []
    untypable: list[tuple[int, str]] = []
    known: dict[str, tuple[Press, ...] | None] = {}
    for index, character in enumerate(text):
        if character not in known:
            known[character] = keyboard.strokes(character)
        found = known[character]
        if found is None:
            untypable.append((index, character))
        else:
            strokes += (Stroke(press.code, press.keysym, press.held, index) for press in found)
    return TypingPlan(text, layout, tuple(strokes), tuple(untypable))


def keyboard_map(layout: Layout, *, caps_lock: bool = False, locale: str = DEFAULT_LOCALE) -> KeyboardMap:
    """The tables of a layout; kept for the next time. TypingError when it is not known."""
    return _keyboard_map(layout.layout, layout.variant, caps_lock, locale)


@functools.lru_cache(maxsize=8)
def _keyboard_map(layout: str, variant: str, caps_lock: bool, locale: str) -> KeyboardMap:
    return KeyboardMap(layout, variant, caps_lock=caps_lock, locale=locale)


def bursts(strokes: Iterable[Stroke]) -> Iterator[tuple[KeyEvent, ...]]:
    """The events of each stroke; the last one's end with every modifier released.

    A modifier that the next stroke needs as well stays down.
    """
    held: tuple[Key, ...] = ()
    previous: list[KeyEvent] | None = None
    for stroke in strokes:
        if previous is not None:
            yield tuple(previous)
        burst = [KeyEvent(*key, False) for key in reversed(held) if key not in stroke.held]
        burst += (KeyEvent(*key, True) for key in stroke.held if key not in held)
        burst += (KeyEvent(stroke.code, stroke.keysym, pressed) for pressed in (True, False))
        held = stroke.held
        previous = burst
    if previous is not None:
        yield (*previous, *(KeyEvent(*key, False) for key in reversed(held)))


def events(plan: TypingPlan) -> tuple[KeyEvent, ...]:
    """All key events of a plan, in order; nothing is held down at the end."""
    return tuple(itertools.chain.from_iterable(bursts(plan.strokes)))
