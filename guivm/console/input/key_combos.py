"""Key combinations by name: "Ctrl+Alt+Del" ↔ the keys to press and release. No Qt.

Codes are Linux's (``linux/input-event-codes.h``) and name places on a keyboard: letters and signs are those of a US
keyboard. Keysyms are X11's (``keysymdef.h``, ``XF86keysym.h``). Names include vncdotool's.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass

from guivm.console.typing.errors import TypingError
from guivm.console.typing.strokes import Key, KeyEvent
from guivm.text import clean_line

MAX_KEYS = 8
"""Of one combination: more than a person holds down."""
_MAX_LABEL = 60
_SEPARATORS = "+-"
_EQUALS = " = "
_XF86 = 0x1008_FF00

# Name as shown, further names, key code, keysym. The first entry of a code names it.
_NAMED: tuple[tuple[str, str, int, int], ...] = (
    ("Esc", "escape", 1, 0xFF1B),
    ("Backspace", "bsp bs", 14, 0xFF08),
    ("Tab", "", 15, 0xFF09),
    ("Enter", "return ret", 28, 0xFF0D),
    ("Ctrl", "control lctrl lcontrol", 29, 0xFFE3),
    ("Shift", "lshift", 42, 0xFFE1),
    ("RShift", "", 54, 0xFFE2),
    ("KP*", "kpmultiply kpasterisk", 55, 0xFFAA),
    ("Alt", "lalt", 56, 0xFFE9),
    ("Space", "spacebar sb", 57, 0x20),
    ("CapsLock", "caps caplk", 58, 0xFFE5),
    ("NumLock", "num numlk", 69, 0xFF7F),
    ("ScrollLock", "scroll scrlk", 70, 0xFF14),
    ("KPMinus", "kpsubtract", 74, 0xFFAD),
    ("KPPlus", "kpadd", 78, 0xFFAB),
    ("KPDot", "kpdecimal", 83, 0xFFAE),
    ("Zenkaku", "zenkakuhankaku hankaku", 85, 0xFF2A),
    ("<>", "102nd lsgt", 86, 0x3C),
    ("Katakana", "", 90, 0xFF26),
    ("Hiragana", "", 91, 0xFF25),
    ("Henkan", "", 92, 0xFF23),
    ("KatakanaHiragana", "kana", 93, 0xFF27),
    ("Muhenkan", "", 94, 0xFF22),
    ("KPEnter", "", 96, 0xFF8D),
    ("RCtrl", "rcontrol", 97, 0xFFE4),
    ("KP/", "kpdivide kpslash", 98, 0xFFAF),
    ("PrintScreen", "print prtscr prtsc prtscn", 99, 0xFF61),
    ("SysRq", "sysreq", 99, 0xFF15),
    ("AltGr", "ralt", 100, 0xFE03),
    ("Home", "", 102, 0xFF50),
    ("Up", "", 103, 0xFF52),
    ("PageUp", "pgup", 104, 0xFF55),
    ("Left", "", 105, 0xFF51),
    ("Right", "", 106, 0xFF53),
    ("End", "", 107, 0xFF57),
    ("Down", "", 108, 0xFF54),
    ("PageDown", "pgdn pgdown", 109, 0xFF56),
    ("Insert", "ins", 110, 0xFF63),
    ("Del", "delete", 111, 0xFFFF),
    ("Mute", "volumemute", 113, _XF86 | 0x12),
    ("VolumeDown", "", 114, _XF86 | 0x11),
    ("VolumeUp", "", 115, _XF86 | 0x13),
    ("Power", "", 116, _XF86 | 0x2A),
    ("KP=", "kpequal", 117, 0xFFBD),
    ("Pause", "break", 119, 0xFF13),
    ("KPComma", "", 121, 0xFFAC),
    ("Hangul", "hangeul lang1", 122, 0xFF31),
    ("Hanja", "lang2", 123, 0xFF34),
    ("Yen", "", 124, 0xA5),
    ("Super", "win windows meta cmd lsuper lmeta lwin", 125, 0xFFEB),
    ("RSuper", "rmeta rwin", 126, 0xFFEC),
    ("Menu", "apps compose", 127, 0xFF67),
    ("Calculator", "calc", 140, _XF86 | 0x1D),
    ("Sleep", "", 142, _XF86 | 0x2F),
    ("WakeUp", "wake", 143, _XF86 | 0x2B),
    ("Mail", "", 155, _XF86 | 0x19),
    ("Favorites", "bookmarks", 156, _XF86 | 0x30),
    ("Computer", "mycomputer", 157, _XF86 | 0x33),
    ("Back", "browserback", 158, _XF86 | 0x26),
    ("Forward", "browserforward", 159, _XF86 | 0x27),
    ("Next", "nexttrack medianext", 163, _XF86 | 0x17),
    ("Play", "playpause mediaplay", 164, _XF86 | 0x14),
    ("Previous", "prev previoustrack mediaprevious", 165, _XF86 | 0x16),
    ("Stop", "mediastop", 166, _XF86 | 0x15),
    ("WWW", "homepage browserhome", 172, _XF86 | 0x18),
    ("Refresh", "reload browserrefresh", 173, _XF86 | 0x29),
    ("Search", "browsersearch", 217, _XF86 | 0x1B),
    ("MediaSelect", "media", 226, _XF86 | 0x32),
)
_SIGNS = {
    "minus": "-", "equal": "=", "equals": "=", "bracketleft": "[", "lbracket": "[", "bracketright": "]",
    "rbracket": "]", "semicolon": ";", "apostrophe": "'", "quote": "'", "grave": "`", "backtick": "`",
    "backslash": "\\", "bslash": "\\", "comma": ",", "period": ".", "dot": ".", "slash": "/", "fslash": "/",
}  # fmt: skip
_ROWS = ((2, "1234567890-="), (16, "qwertyuiop[]"), (30, "asdfghjkl;'`"), (43, "\\zxcvbnm,./"))
_KEYPAD = ((71, "789"), (75, "456"), (79, "123"), (82, "0"))
_FUNCTION_CODES = (*range(59, 69), 87, 88, *range(183, 195))
# In the order in which they are written and pressed.
_MODIFIERS = (29, 97, 56, 100, 42, 54, 125, 126)


@dataclass(frozen=True, slots=True)
class _Names:
    keys: dict[str, tuple[str, Key]]  # lower-case name → name as shown, key
    of_code: dict[int, str]


@functools.cache
def _names() -> _Names:
    keys: dict[str, tuple[str, Key]] = {}
    of_code: dict[int, str] = {}

    def add(shown: str, others: Iterable[str], code: int, keysym: int) -> None:
        for name in (shown.lower(), *others):
            assert name not in keys, name
            keys[name] = (shown, Key(code, keysym))
        of_code.setdefault(code, shown)

    for shown, others, code, keysym in _NAMED:
        add(shown, others.split(), code, keysym)
    for number, code in enumerate(_FUNCTION_CODES, 1):
        add(f"F{number}", (), code, 0xFFBD + number)
    for first, digits in _KEYPAD:
        for i, digit in enumerate(digits):
            add(f"KP{digit}", (), first + i, 0xFFB0 + int(digit))
    for first, row in _ROWS:
        for i, character in enumerate(row):
            words = [word for word, sign in _SIGNS.items() if sign == character]
            add(character.upper(), words, first + i, ord(character))
    return _Names(keys, of_code)


def key_names() -> tuple[str, ...]:
    """Every key's name as it is shown, for completion."""
    return tuple(dict.fromkeys(shown for shown, _ in _names().keys.values()))


@dataclass(frozen=True, slots=True)
class KeyCombo:
    """Keys to hold down together. ``name``: "Ctrl+Alt+Del"; :meth:`parse` understands it again."""

    name: str
    keys: tuple[Key, ...]

    @classmethod
    def parse(cls, text: str) -> KeyCombo:
        """Of "Ctrl+Alt+Del", "ctrl-alt-del", "super". TypingError that says which part is wrong."""
        parts = _split(text)
        found: dict[int, tuple[str, Key]] = {}
        for part in parts:
            known = _names().keys.get(part.lower())
            if known is None:
                raise TypingError(
                    f"“{clean_line(part, 40)}” is no key.",
                    advice="Write the keys with plus signs between them, for example Ctrl+Alt+Del.",
                )
            if known[1].code in found:
                raise TypingError(f"{known[0]} is named twice.", advice="Name each key once.")
            found[known[1].code] = known
        return cls._of(found)

    @classmethod
    def of_codes(cls, codes: Iterable[int]) -> KeyCombo:
        """Of pressed keys. TypingError when one of them has no name, or there are too many."""
        found: dict[int, tuple[str, Key]] = {}
        for code in codes:
            name = _names().of_code.get(code)
            if name is None:
                raise TypingError(f"The key with the code {code} has no name here.", advice="Use another key.")
            found[code] = _names().keys[name.lower()]
        return cls._of(found)

    @classmethod
    def _of(cls, found: dict[int, tuple[str, Key]]) -> KeyCombo:
        """Modifiers first, whatever the order they were named in; the others as they were named."""
        if not found:
            raise TypingError("No key is named.", advice="Write for example Ctrl+Alt+Del.")
        if len(found) > MAX_KEYS:
            raise TypingError(f"That is more than {MAX_KEYS} keys at once.", advice="Name fewer keys.")
        order = [*(code for code in _MODIFIERS if code in found), *(code for code in found if code not in _MODIFIERS)]
        return cls("+".join(found[code][0] for code in order), tuple(found[code][1] for code in order))

    def events(self) -> tuple[KeyEvent, ...]:
        """Pressed in order, released in the opposite order."""
        presses = [KeyEvent(*key, True) for key in self.keys]
        return (*presses, *(KeyEvent(*key, False) for key in reversed(self.keys)))

    def __str__(self) -> str:
        return self.name


def _split(text: str) -> list[str]:
    """At plus and minus signs; a sign after a separator is a key ("ctrl--")."""
    parts: list[str] = []
    current = ""
    stripped = text.strip()
    for index, character in enumerate(stripped):
        last = index == len(stripped) - 1
        is_separator = character in _SEPARATORS and bool(current) and not last
        if character == "+" and last and current.lower() == "kp":  # "KP+" is understood beside KPPlus
            current += "plus"
        elif is_separator:
            parts.append(current.strip())
            current = ""
        elif character in _SEPARATORS and current:  # nothing follows
            parts += [current.strip(), ""]
            current = ""
        else:
            current += character
    if current.strip():
        parts.append(current.strip())
    if len(parts) > 4 * MAX_KEYS:
        raise TypingError(f"That is more than {MAX_KEYS} keys at once.", advice="Name fewer keys.")
    if "" in parts:
        raise TypingError(
            f"A key is missing in “{clean_line(text, 60)}”.",
            advice="Write the keys with plus signs between them, for example Ctrl+Alt+Del.",
        )
    return parts


@dataclass(frozen=True, slots=True)
class NamedCombo:
    """A combination in a person's own list, with a label or without."""

    combo: KeyCombo
    label: str = ""

    @property
    def title(self) -> str:
        """For a menu."""
        return f"{self.label} ({self.combo})" if self.label else self.combo.name

    @classmethod
    def parse(cls, text: str) -> NamedCombo:
        """Of "Ctrl+Alt+F2 = Second console" or "Ctrl+Alt+F2". TypingError that says what is wrong."""
        keys, _, label = text.partition(_EQUALS)
        return cls(KeyCombo.parse(keys), clean_line(label, _MAX_LABEL))

    def __str__(self) -> str:
        return f"{self.combo}{_EQUALS}{self.label}" if self.label else self.combo.name


def parse_list(texts: Iterable[str]) -> tuple[NamedCombo, ...]:
    """A person's list as settings keep it; what cannot be understood any more is left out."""
    found: list[NamedCombo] = []
    for text in texts:
        try:
            found.append(NamedCombo.parse(text))
        except TypingError:
            continue
    return tuple(found)


def _group(*names: str) -> tuple[KeyCombo, ...]:
    return tuple(KeyCombo.parse(name) for name in names)


@functools.cache
def standard_combos() -> tuple[tuple[KeyCombo, ...], ...]:
    """The send-key menu, in groups with separators between them."""
    return (
        _group("Ctrl+Alt+Del", "Ctrl+Alt+Backspace"),
        _group(*(f"Ctrl+Alt+F{number}" for number in range(1, 13))),
        _group("Super", "Super+L", "Alt+Tab", "Alt+F4", "Ctrl+Esc", "PrintScreen", "Pause"),
        # Linux's emergency keys: leave raw mode, end and kill processes, sync, read-only, reboot.
        _group(*(f"Alt+SysRq+{letter}" for letter in "REISUB")),
    )
