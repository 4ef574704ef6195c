"""Key events of Qt → bytes for the guest."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeyEvent

from guivm.console.serial.keys import Key, KeyModes, Modifiers, encode_key, encode_text

_KEYS = {
    Qt.Key.Key_Up: Key.UP,
    Qt.Key.Key_Down: Key.DOWN,
    Qt.Key.Key_Left: Key.LEFT,
    Qt.Key.Key_Right: Key.RIGHT,
    Qt.Key.Key_Home: Key.HOME,
    Qt.Key.Key_End: Key.END,
    Qt.Key.Key_Insert: Key.INSERT,
    Qt.Key.Key_Delete: Key.DELETE,
    Qt.Key.Key_PageUp: Key.PAGE_UP,
    Qt.Key.Key_PageDown: Key.PAGE_DOWN,
    Qt.Key.Key_Return: Key.ENTER,
    Qt.Key.Key_Enter: Key.ENTER,
    Qt.Key.Key_Tab: Key.TAB,
    Qt.Key.Key_Backtab: Key.TAB,
    Qt.Key.Key_Backspace: Key.BACKSPACE,
    Qt.Key.Key_Escape: Key.ESCAPE,
    **{Qt.Key(Qt.Key.Key_F1.value + number - 1): Key[f"F{number}"] for number in range(1, 13)},
}


def bytes_for(event: QKeyEvent, modes: KeyModes) -> bytes:
    """What a key press sends; empty for keys that send nothing by themselves."""
    held = event.modifiers()
    modifiers = Modifiers.NONE
    for qt_modifier, modifier in (
        (Qt.KeyboardModifier.ShiftModifier, Modifiers.SHIFT),
        (Qt.KeyboardModifier.AltModifier, Modifiers.ALT),
        (Qt.KeyboardModifier.ControlModifier, Modifiers.CONTROL),
    ):
        if held & qt_modifier:
            modifiers |= modifier
    number = event.key()
    key = _KEYS.get(Qt.Key(number)) if number in _NUMBERS else None
    if key is not None:
        if number == Qt.Key.Key_Backtab:
            modifiers |= Modifiers.SHIFT
        return encode_key(key, modifiers, modes)
    text = event.text()
    if modifiers & Modifiers.CONTROL and 0x20 <= number < 0x7F:
        text = chr(number)  # the text holds a control character already, or nothing
    return encode_text(text, modifiers) if text else b""


_NUMBERS = frozenset(key.value for key in _KEYS)
