"""From Qt's key events to the guest's keyboard: key codes, keysyms, the Host key, what is held down.

The guest gets *positions* (Linux key codes), not letters: its own keyboard layout makes letters of them, so AltGr
and dead keys need no care here. Letters (keysyms) go along for servers that know no positions.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtGui import QKeyEvent, QKeySequence

from guivm.console.input.keytables import EVDEV_OF_KEY, KEY_OF_EVDEV, KEYSYM_OF_KEY

_NATIVE_OFFSET = 8  # X11 and Wayland number keys as Linux does, plus eight (xkeyboard-config, keycodes/evdev)
_UNICODE_KEYSYM = 0x0100_0000


def _N(context: str, text: str) -> str:
    """Mark a text for translation (``lupdate -tr-function-alias QT_TRANSLATE_NOOP+=_N``)."""
    return text


@dataclass(frozen=True, slots=True)
class HostKey:
    """A key that can be the Host key. ``code``: Linux key code. ``label``: as printed on keyboards, untranslated."""

    label: str
    code: int


HOST_KEYS: dict[str, HostKey] = {
    "Control_R": HostKey(_N("HostKey", "Right Ctrl"), 97),
    "Control_L": HostKey(_N("HostKey", "Left Ctrl"), 29),
    "Alt_R": HostKey(_N("HostKey", "Right Alt"), 100),
    "Super_L": HostKey(_N("HostKey", "Left Super"), 125),
    "Super_R": HostKey(_N("HostKey", "Right Super"), 126),
    "Menu": HostKey(_N("HostKey", "Menu"), 127),
    "Scroll_Lock": HostKey(_N("HostKey", "Scroll Lock"), 70),
    "Pause": HostKey(_N("HostKey", "Pause"), 119),
}
"""By the name that the settings keep (X11's keysym names)."""

DEFAULT_HOST_KEY = "Control_R"


def host_key_label(key: HostKey) -> str:
    """Translated: "Right Ctrl"."""
    return QCoreApplication.translate("HostKey", key.label)


def evdev_code(event: QKeyEvent) -> int:
    """Linux key code of a key event, 0 when not known.

    Events without a native code (made by a program, by a virtual keyboard) get the key's place on a US keyboard.
    """
    native = event.nativeScanCode()
    if native > _NATIVE_OFFSET:
        return native - _NATIVE_OFFSET
    keypad = bool(event.modifiers() & Qt.KeyboardModifier.KeypadModifier)
    return EVDEV_OF_KEY.get((_key(event), keypad)) or EVDEV_OF_KEY.get((_key(event), False), 0)


def keysym(event: QKeyEvent) -> int:
    """X11 keysym of a key event, 0 when not known. On X11 and Wayland the platform says it itself."""
    native = event.nativeVirtualKey()
    if native:
        return native
    special = KEYSYM_OF_KEY.get(_key(event))
    if special is not None:
        return special
    text = event.text()
    if len(text) != 1 or not text.isprintable():
        # With Ctrl the text is a control character; the key's own number is its Latin-1 capital.
        if not 0x20 <= event.key() <= 0xFF:
            return 0
        text = chr(event.key()).lower()
    return ord(text) if ord(text) <= 0xFF else _UNICODE_KEYSYM | ord(text)


def is_plain_enter(event: QKeyEvent) -> bool:
    """Return or Enter, with no other key held."""
    plain = event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier == Qt.KeyboardModifier.NoModifier
    return event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and plain


def key_name(event: QKeyEvent) -> str:
    """Name of a key for a Host key command: "P", "F1", "Del". By position where the layout is not Latin."""
    key = _key(event)
    if not (Qt.Key.Key_Space <= key <= Qt.Key.Key_AsciiTilde or key >= Qt.Key.Key_Escape):
        key = KEY_OF_EVDEV.get(evdev_code(event), key)
    return QKeySequence(key).toString(QKeySequence.SequenceFormat.PortableText)


def _key(event: QKeyEvent) -> Qt.Key:
    try:
        return Qt.Key(event.key())
    except ValueError:  # letters of other scripts have numbers but no names
        return Qt.Key.Key_unknown


class Route(enum.Enum):
    """What becomes of a key event."""

    GUEST = "guest"
    NOTHING = "nothing"
    HOST_ALONE = "host-alone"  # the Host key was pressed and released with nothing between
    HOST_COMMAND = "host-command"  # another key was pressed while the Host key was down


class HostKeyRouter:
    """Takes the Host key and its commands out of the stream of key events."""

    def __init__(self, host: HostKey) -> None:
        self._host = host
        self._down = False
        self._used = False
        self._swallowed: set[int] = set()

    @property
    def host(self) -> HostKey:
        return self._host

    def set_host(self, host: HostKey) -> None:
        self._host = host
        self.reset()

    def reset(self) -> None:
        """Forget what is held down: its release will not be seen."""
        self._down = self._used = False
        self._swallowed.clear()

    def use(self) -> None:
        """The Host key was combined with something that is no key (a click)."""
        self._used = True

    def pressed(self, code: int, *, repeat: bool) -> Route:
        if code == self._host.code:
            if not repeat:
                self._down, self._used = True, False
            return Route.NOTHING
        if not self._down:
            return Route.NOTHING if code in self._swallowed else Route.GUEST
        self._used = True
        if repeat:
            return Route.NOTHING
        self._swallowed.add(code)
        return Route.HOST_COMMAND

    def released(self, code: int) -> Route:
        if code == self._host.code:
            alone = self._down and not self._used
            self._down = False
            return Route.HOST_ALONE if alone else Route.NOTHING
        if code in self._swallowed:
            self._swallowed.discard(code)
            return Route.NOTHING
        return Route.GUEST


# What Qt says is held while a key with this keysym is: by keysym, so that the desktop's own remapping counts.
# Not AltGr, which Qt has no dependable word for.
_MODIFIER_OF_KEYSYM = {
    0xFFE1: Qt.KeyboardModifier.ShiftModifier,
    0xFFE2: Qt.KeyboardModifier.ShiftModifier,
    0xFFE3: Qt.KeyboardModifier.ControlModifier,
    0xFFE4: Qt.KeyboardModifier.ControlModifier,
    0xFFE9: Qt.KeyboardModifier.AltModifier,
    0xFFEA: Qt.KeyboardModifier.AltModifier,
    0xFFEB: Qt.KeyboardModifier.MetaModifier,
    0xFFEC: Qt.KeyboardModifier.MetaModifier,
}


class PressedKeys:
    """What the guest believes to be held down, so that it can be let go."""

    def __init__(self) -> None:
        self._held: dict[tuple[int, int], int] = {}  # (code, or 0 and keysym) → keysym

    def press(self, code: int, symbol: int) -> bool:
        """Note a press, repeats included; False when the key cannot be told to anybody."""
        if not code and not symbol:
            return False
        # The keysym of the first press is the one to release: with Shift let go meanwhile it would differ.
        self._held.setdefault((code, 0 if code else symbol), symbol)
        return True

    def release(self, code: int, symbol: int) -> int | None:
        """Keysym to release with, or None when the guest does not hold that key."""
        return self._held.pop((code, 0 if code else symbol), None)

    def release_stale(self, modifiers: Qt.KeyboardModifier, pressed: int) -> list[tuple[int, int]]:
        """(code, keysym) of modifiers that are held no more, seen from a key event; they are no longer held here.

        A desktop that takes Super for itself may keep its release too. ``pressed``: code of the event's own key.
        """
        stale = [
            (code, symbol)
            for (code, _), symbol in self._held.items()
            if code != pressed
            and (modifier := _MODIFIER_OF_KEYSYM.get(symbol)) is not None
            and not modifiers & modifier
        ]
        for code, symbol in stale:
            self.release(code, symbol)
        return stale[::-1]

    def release_all(self) -> list[tuple[int, int]]:
        """(code, keysym) of all that is held, last pressed first; nothing is held afterwards."""
        held = [(code, symbol) for (code, _), symbol in self._held.items()]
        self._held.clear()
        return held[::-1]

    def __len__(self) -> int:
        return len(self._held)
