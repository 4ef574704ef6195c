"""Shortcuts that stay with the desktop."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QKeyEvent

from guivm.console.input.desktop_shortcuts import DEFAULT_SHORTCUTS, DesktopShortcuts, is_shortcut
from guivm.console.input.guest_input import GuestInput
from guivm.console.input.guest_keys import GuestKeys, KeyFate

_M = Qt.KeyboardModifier


def press(key: int, modifiers: Qt.KeyboardModifier = _M.NoModifier) -> QKeyEvent:
    return QKeyEvent(QEvent.Type.KeyPress, key, modifiers)


def test_default_keeps_volume_and_brightness_and_nothing_a_guest_needs() -> None:
    rule = DesktopShortcuts()
    assert len(rule) == len(DEFAULT_SHORTCUTS)
    assert rule.keeps(press(Qt.Key.Key_VolumeUp))
    assert rule.keeps(press(Qt.Key.Key_MonBrightnessDown))
    for key in (Qt.Key.Key_A, Qt.Key.Key_F11, Qt.Key.Key_MediaPlay, Qt.Key.Key_Super_L):
        assert not rule.keeps(press(key))


def test_combinations_need_exactly_their_modifiers() -> None:
    rule = DesktopShortcuts(["Ctrl+Q", "Alt+Tab"])
    assert rule.keeps(press(Qt.Key.Key_Q, _M.ControlModifier))
    assert not rule.keeps(press(Qt.Key.Key_Q))
    assert not rule.keeps(press(Qt.Key.Key_Q, _M.ControlModifier | _M.ShiftModifier))
    assert rule.keeps(press(Qt.Key.Key_Tab, _M.AltModifier))
    # What the keypad and layout switches add does not count.
    assert rule.keeps(press(Qt.Key.Key_Q, _M.ControlModifier | _M.KeypadModifier | _M.GroupSwitchModifier))


@pytest.mark.parametrize("text", ["", "nonsense", "Ctrl", "Ctrl+A, B", "Ctrl+", "\x00"])
def test_bad_sequences_are_passed_over(text: str) -> None:
    assert not is_shortcut(text)
    assert len(DesktopShortcuts([text])) == 0


def test_keys_without_a_name_are_the_guests() -> None:
    assert not DesktopShortcuts(["Ctrl+Q"]).keeps(press(0x0416, _M.ControlModifier))
    assert not DesktopShortcuts([]).keeps(press(Qt.Key.Key_VolumeUp))
    assert is_shortcut("Volume Up")


# --- a key that is lent to the desktop ----------------------------------------------------------------------

VOLUME_UP = 115  # Linux's code for it


def fates(keys: GuestKeys, events: str) -> list[KeyFate]:
    """Of presses (p), repeats (r) and releases (u) of Volume Up."""
    found = []
    for letter in events:
        kind = QEvent.Type.KeyRelease if letter == "u" else QEvent.Type.KeyPress
        event = QKeyEvent(kind, Qt.Key.Key_VolumeUp, _M.NoModifier, VOLUME_UP + 8, 0, 0, "", letter == "r")
        found.append((keys.release if letter == "u" else keys.press)(event, captured=True))
    return found


@pytest.mark.parametrize("events", ["pu", "ppu", "prru"])
def test_every_press_is_the_desktops(events: str) -> None:
    keys = GuestKeys(GuestInput())
    assert fates(keys, events) == [KeyFate.DESKTOP] * len(events)


@pytest.mark.parametrize("before", ["", "u"])
def test_a_lent_key_that_nobody_wants_comes_back_once_and_is_not_lent_again(before: str) -> None:
    keys = GuestKeys(GuestInput())
    fates(keys, "p")
    keys.lent(VOLUME_UP)
    assert fates(keys, before + "pru")[len(before) :] == [KeyFate.DONE, KeyFate.DESKTOP, KeyFate.DESKTOP]
    assert fates(keys, "pu") == [KeyFate.DESKTOP, KeyFate.DESKTOP], "the next press is a new one"


def test_a_key_that_the_desktop_took_does_not_come_back() -> None:
    keys = GuestKeys(GuestInput())
    fates(keys, "p")
    keys.lent(VOLUME_UP)
    keys.given_back(VOLUME_UP)
    assert fates(keys, "pu") == [KeyFate.DESKTOP, KeyFate.DESKTOP]
