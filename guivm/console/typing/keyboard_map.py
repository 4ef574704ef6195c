"""What every key of a layout's typing section enters, alone and with Shift and AltGr, and what dead keys add to it.

All of it is asked of an XKB keyboard state in which the modifiers are really pressed, so that layouts decide
themselves what Shift, AltGr and Caps Lock do.
"""

from __future__ import annotations

import functools
import itertools
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from guivm.console.typing.strokes import Key
from guivm.console.typing.xkb import Compose, ComposeStatus, Context, KeyboardState, Keymap, keysym_character

DEFAULT_LOCALE = "en_US.UTF-8"
"""Whose Compose table counts: X11's for nearly all locales (``/usr/share/X11/locale/compose.dir``)."""

RETURN = Key(28, 0xFF0D)
TAB = Key(15, 0xFF09)
_SHIFT = 42
_CAPS_LOCK = 58
_CAPS_LOCK_KEYSYM = 0xFFE5
_LEVEL_KEYSYMS = (0xFE03, 0xFE11)  # ISO_Level3_Shift (AltGr), ISO_Level5_Shift
_LEVEL_KEYS = (100, 58, 43, 86, 97, 126, 127, 125)  # where real keyboards may have them; right Alt first
# The typing section without the keypad, whose keys depend on Num Lock.
_COMMON_KEYS = (*range(2, 14), *range(16, 28), *range(30, 42), *range(43, 54), 57)
# Between left Shift and Z, beside right Shift, beside Backspace: not every keyboard has these.
_RARE_KEYS = (86, 89, 124)
_DEAD = range(0xFE50, 0xFEA0)


@dataclass(frozen=True, slots=True)
class Press:
    """A key pressed while others are held."""

    code: int
    keysym: int
    held: tuple[Key, ...]

    @property
    def cost(self) -> tuple[bool, int, int]:
        """Keys that every keyboard has, and few modifiers, come first."""
        return self.code in _RARE_KEYS, len(self.held), self.code


@dataclass(frozen=True, slots=True)
class _Composed:
    """What sequences of some length make, and those that want another key."""

    composed: dict[str, tuple[Press, ...]]
    unfinished: list[tuple[Press, ...]]


class KeyboardMap:
    """Character → keystrokes. Immutable from outside: any thread, but one at a time while it is being asked."""

    def __init__(self, layout: str, variant: str, *, caps_lock: bool, locale: str) -> None:
        """TypingError when the tables are missing or do not know the layout."""
        self._context = Context()
        self._locale = locale
        self._by_keysym: dict[int, Press] = {}
        for press in _presses(Keymap(self._context, layout, variant), caps_lock=caps_lock):
            known = self._by_keysym.get(press.keysym)
            if known is None or press.cost < known.cost:
                self._by_keysym[press.keysym] = press
        self._direct: dict[str, tuple[Press, ...]] = {
            "\n": (Press(*RETURN, ()),),
            "\t": (Press(*TAB, ()),),
        }
        for press in sorted(self._by_keysym.values(), key=lambda press: press.cost):
            # NFC, as the text is: some keys make characters that are only other names of these (Greek U+0374).
            character = unicodedata.normalize("NFC", keysym_character(press.keysym))
            if len(character) == 1 and character.isprintable():
                self._direct.setdefault(character, (press,))

    def strokes(self, character: str) -> tuple[Press, ...] | None:
        """The shortest way to a character; None when there is none."""
        return (
            self._direct.get(character)
            or self._with_one_dead_key.composed.get(character)
            or self._with_two_dead_keys.composed.get(character)
            or self._in_parts(character)
        )

    def characters(self) -> frozenset[str]:
        """All that can be typed as one character (line end and tab included)."""
        return frozenset(self._direct).union(self._with_one_dead_key.composed, self._with_two_dead_keys.composed)

    def _in_parts(self, character: str) -> tuple[Press, ...] | None:
        """Letter, then combining marks, where the layout has keys for these (Vietnamese)."""
        parts = unicodedata.normalize("NFD", character)
        found = [self._direct.get(part) for part in parts]
        if len(parts) == 1 or unicodedata.normalize("NFC", parts) != character or None in found:
            return None
        return tuple(press for presses in found if presses is not None for press in presses)

    @functools.cached_property
    def _with_one_dead_key(self) -> _Composed:
        dead = [press for press in self._followers if press.keysym in _DEAD]
        return self._extend([(press,) for press in dead])

    @functools.cached_property
    def _with_two_dead_keys(self) -> _Composed:
        """Vietnamese, polytonic Greek."""
        return self._extend(self._with_one_dead_key.unfinished)

    @functools.cached_property
    def _followers(self) -> list[Press]:
        """Plain keys first: everywhere a dead key and Space make the accent itself, but not the dead key twice."""
        return sorted(self._by_keysym.values(), key=lambda press: (press.keysym in _DEAD, press.cost))

    @functools.cached_property
    def _compose(self) -> Compose | None:
        return Compose.of_locale(self._context, self._locale)

    def _extend(self, begun: list[tuple[Press, ...]]) -> _Composed:
        """What one more key makes of sequences that have begun."""
        answer = _Composed({}, [])
        compose = self._compose if begun else None
        if compose is None:
            return answer
        for start, press in itertools.product(begun, self._followers):
            compose.reset()
            for one in start:
                compose.feed(one.keysym)
            status = compose.feed(press.keysym)
            if status is ComposeStatus.COMPOSED:
                text = unicodedata.normalize("NFC", compose.text())
                if len(text) == 1 and text.isprintable():
                    answer.composed.setdefault(text, (*start, press))
            elif status is ComposeStatus.COMPOSING:
                answer.unfinished.append((*start, press))
        return answer


def _presses(keymap: Keymap, *, caps_lock: bool) -> Iterator[Press]:
    """Every key with every set of modifiers held."""
    for held in _modifier_sets(keymap):
        state = KeyboardState(keymap)
        if caps_lock and state.keysym(_CAPS_LOCK) == _CAPS_LOCK_KEYSYM:
            state.press(_CAPS_LOCK)
            state.release(_CAPS_LOCK)
        for key in held:
            state.press(key.code)
        busy = {key.code for key in held}
        for code in (*_COMMON_KEYS, *_RARE_KEYS):
            keysym = state.keysym(code)
            if keysym and code not in busy:
                yield Press(code, keysym, held)


def _modifier_sets(keymap: Keymap) -> Iterator[tuple[Key, ...]]:
    """Sets of modifier keys, the smallest first; only keys that a keyboard has and that do what they should."""
    state = KeyboardState(keymap)
    keys = [Key(_SHIFT, state.keysym(_SHIFT))]
    for wanted in _LEVEL_KEYSYMS:
        code = next((code for code in _LEVEL_KEYS if state.keysym(code) == wanted), None)
        if code is not None:
            keys.append(Key(code, wanted))
    for count in range(len(keys) + 1):
        yield from itertools.combinations(keys, count)
