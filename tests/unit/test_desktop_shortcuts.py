"""Shortcuts that stay with the desktop."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QKeyEvent

from guivm.console.input.desktop_shortcuts import DEFAULT_SHORTCUTS, DesktopShortcuts, is_shortcut

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
