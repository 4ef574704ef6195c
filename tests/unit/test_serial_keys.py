"""Keys of the serial console as bytes, as xterm sends them."""

from __future__ import annotations

import pytest

from guivm.console.serial.keys import Key, KeyModes, Modifiers, encode_key, encode_paste, encode_text

M = Modifiers
APPLICATION = KeyModes(application_cursor=True)


@pytest.mark.parametrize(
    ("key", "modifiers", "modes", "data"),
    [
        (Key.UP, M.NONE, None, b"\033[A"),
        (Key.UP, M.NONE, APPLICATION, b"\033OA"),
        (Key.UP, M.CONTROL, APPLICATION, b"\033[1;5A"),
        (Key.LEFT, M.SHIFT | M.ALT, None, b"\033[1;4D"),
        (Key.HOME, M.NONE, None, b"\033[H"),
        (Key.END, M.NONE, APPLICATION, b"\033OF"),
        (Key.INSERT, M.NONE, None, b"\033[2~"),
        (Key.DELETE, M.CONTROL, None, b"\033[3;5~"),
        (Key.PAGE_UP, M.NONE, APPLICATION, b"\033[5~"),
        (Key.PAGE_DOWN, M.ALT, None, b"\033[6;3~"),
        (Key.F1, M.NONE, APPLICATION, b"\033OP"),
        (Key.F4, M.SHIFT, None, b"\033[1;2S"),
        (Key.F5, M.NONE, None, b"\033[15~"),
        (Key.F12, M.CONTROL | M.SHIFT, None, b"\033[24;6~"),
        (Key.ENTER, M.NONE, None, b"\r"),
        (Key.ENTER, M.ALT, None, b"\033\r"),
        (Key.TAB, M.NONE, None, b"\t"),
        (Key.TAB, M.SHIFT, None, b"\033[Z"),
        (Key.BACKSPACE, M.NONE, None, b"\x7f"),
        (Key.BACKSPACE, M.CONTROL, None, b"\b"),
        (Key.BACKSPACE, M.ALT, None, b"\033\x7f"),
        (Key.ESCAPE, M.NONE, None, b"\033"),
    ],
)
def test_keys(key: Key, modifiers: Modifiers, modes: KeyModes | None, data: bytes) -> None:
    assert encode_key(key, modifiers, modes) == data


@pytest.mark.parametrize("key", Key)
def test_every_key_sends_something(key: Key) -> None:
    for value in range(8):
        for modes in (None, APPLICATION):
            assert encode_key(key, Modifiers(value), modes)


@pytest.mark.parametrize(
    ("text", "modifiers", "data"),
    [
        ("a", M.NONE, b"a"),
        ("ä", M.NONE, "ä".encode()),
        ("a", M.ALT, b"\033a"),
        ("C", M.CONTROL | M.SHIFT, b"\x03"),
        ("c", M.CONTROL, b"\x03"),
        ("c", M.CONTROL | M.ALT, b"\033\x03"),
        (" ", M.CONTROL, b"\0"),
        ("[", M.CONTROL, b"\033"),
        ("\\", M.CONTROL, b"\x1c"),
        ("]", M.CONTROL, b"\x1d"),
        ("6", M.CONTROL, b"\x1e"),
        ("/", M.CONTROL, b"\x1f"),
        ("?", M.CONTROL, b"\x7f"),
        ("ж", M.CONTROL, "ж".encode()),
        ("日本", M.CONTROL, "日本".encode()),
        ("\ud800", M.NONE, b"?"),
        ("", M.ALT, b""),
    ],
)
def test_text(text: str, modifiers: Modifiers, data: bytes) -> None:
    assert encode_text(text, modifiers) == data


def test_pasted_text_cannot_end_the_bracket() -> None:
    assert encode_paste("a\r\nb\nc\t", bracketed=False) == b"a\rb\rc\t"
    assert encode_paste("x\033[201~\x9b\x03rm", bracketed=True) == b"\033[200~x[201~rm\033[201~"
