"""Qt keys beside Linux key codes (``linux/input-event-codes.h``, US layout) and X11 keysyms (``keysymdef.h``).

Only for events that come without native codes; the platform's own codes are always preferred.
"""

from __future__ import annotations

from PySide6.QtCore import Qt

_K = Qt.Key

_ROWS: tuple[tuple[int, str], ...] = (
    (2, "1234567890-="),
    (16, "QWERTYUIOP[]"),
    (30, "ASDFGHJKL;'`"),
    (43, "\\ZXCVBNM,./"),
)

_SHIFTED = dict(zip('!@#$%^&*()_+{}:"~|<>?', "1234567890-=[];'`\\,./", strict=True))

_NAMED: dict[Qt.Key, int] = {
    _K.Key_Escape: 1,
    _K.Key_Backspace: 14,
    _K.Key_Tab: 15,
    _K.Key_Backtab: 15,
    _K.Key_Return: 28,
    _K.Key_Control: 29,
    _K.Key_Shift: 42,
    _K.Key_Alt: 56,
    _K.Key_Space: 57,
    _K.Key_CapsLock: 58,
    _K.Key_F1: 59,
    _K.Key_F2: 60,
    _K.Key_F3: 61,
    _K.Key_F4: 62,
    _K.Key_F5: 63,
    _K.Key_F6: 64,
    _K.Key_F7: 65,
    _K.Key_F8: 66,
    _K.Key_F9: 67,
    _K.Key_F10: 68,
    _K.Key_F11: 87,
    _K.Key_F12: 88,
    _K.Key_NumLock: 69,
    _K.Key_ScrollLock: 70,
    _K.Key_Enter: 96,
    _K.Key_SysReq: 99,
    _K.Key_Print: 99,
    _K.Key_AltGr: 100,
    _K.Key_Home: 102,
    _K.Key_Up: 103,
    _K.Key_PageUp: 104,
    _K.Key_Left: 105,
    _K.Key_Right: 106,
    _K.Key_End: 107,
    _K.Key_Down: 108,
    _K.Key_PageDown: 109,
    _K.Key_Insert: 110,
    _K.Key_Delete: 111,
    _K.Key_VolumeMute: 113,
    _K.Key_VolumeDown: 114,
    _K.Key_VolumeUp: 115,
    _K.Key_Pause: 119,
    _K.Key_Meta: 125,
    _K.Key_Super_L: 125,
    _K.Key_Super_R: 126,
    _K.Key_Menu: 127,
    _K.Key_MediaNext: 163,
    _K.Key_MediaTogglePlayPause: 164,
    _K.Key_MediaPlay: 164,
    _K.Key_MediaPrevious: 165,
    _K.Key_MediaStop: 166,
}

_KEYPAD: dict[Qt.Key, int] = {
    _K.Key_Asterisk: 55,
    _K.Key_7: 71,
    _K.Key_8: 72,
    _K.Key_9: 73,
    _K.Key_Minus: 74,
    _K.Key_4: 75,
    _K.Key_5: 76,
    _K.Key_6: 77,
    _K.Key_Plus: 78,
    _K.Key_1: 79,
    _K.Key_2: 80,
    _K.Key_3: 81,
    _K.Key_0: 82,
    _K.Key_Period: 83,
    _K.Key_Home: 71,
    _K.Key_Up: 72,
    _K.Key_PageUp: 73,
    _K.Key_Left: 75,
    _K.Key_Clear: 76,
    _K.Key_Right: 77,
    _K.Key_End: 79,
    _K.Key_Down: 80,
    _K.Key_PageDown: 81,
    _K.Key_Insert: 82,
    _K.Key_Delete: 83,
    _K.Key_Enter: 96,
    _K.Key_Slash: 98,
}


def _table() -> dict[tuple[Qt.Key, bool], int]:
    plain = {character: first + i for first, row in _ROWS for i, character in enumerate(row)}
    plain |= {shifted: plain[character] for shifted, character in _SHIFTED.items()}
    table = {(Qt.Key(ord(character)), False): code for character, code in plain.items()}
    table |= {(key, False): code for key, code in _NAMED.items()}
    return table | {(key, True): code for key, code in _KEYPAD.items()}


EVDEV_OF_KEY = _table()
"""(Qt key, whether it is on the keypad) → Linux key code."""

KEY_OF_EVDEV: dict[int, Qt.Key] = {
    first + i: Qt.Key(ord(character)) for first, row in _ROWS for i, character in enumerate(row)
}
"""Linux key code → the Qt key it is on a US keyboard, for letters, digits and punctuation."""

KEYSYM_OF_KEY: dict[Qt.Key, int] = {
    _K.Key_Backspace: 0xFF08,
    _K.Key_Tab: 0xFF09,
    _K.Key_Backtab: 0xFF09,
    _K.Key_Clear: 0xFF0B,
    _K.Key_Return: 0xFF0D,
    _K.Key_Enter: 0xFF8D,
    _K.Key_Pause: 0xFF13,
    _K.Key_ScrollLock: 0xFF14,
    _K.Key_SysReq: 0xFF15,
    _K.Key_Escape: 0xFF1B,
    _K.Key_Home: 0xFF50,
    _K.Key_Left: 0xFF51,
    _K.Key_Up: 0xFF52,
    _K.Key_Right: 0xFF53,
    _K.Key_Down: 0xFF54,
    _K.Key_PageUp: 0xFF55,
    _K.Key_PageDown: 0xFF56,
    _K.Key_End: 0xFF57,
    _K.Key_Print: 0xFF61,
    _K.Key_Insert: 0xFF63,
    _K.Key_Menu: 0xFF67,
    _K.Key_NumLock: 0xFF7F,
    _K.Key_Shift: 0xFFE1,
    _K.Key_Control: 0xFFE3,
    _K.Key_CapsLock: 0xFFE5,
    _K.Key_Alt: 0xFFE9,
    _K.Key_AltGr: 0xFE03,
    _K.Key_Meta: 0xFFEB,
    _K.Key_Super_L: 0xFFEB,
    _K.Key_Super_R: 0xFFEC,
    _K.Key_Delete: 0xFFFF,
} | {Qt.Key(_K.Key_F1 + i): 0xFFBE + i for i in range(12)}
