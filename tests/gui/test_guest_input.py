"""What the guest is told of the keyboard."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QKeyEvent
from pytestqt.qtbot import QtBot

from guivm.console.frame import KeyboardLeds
from guivm.console.input.guest_input import GuestInput
from guivm.console.input.key_combos import KeyCombo
from tests.helpers.fake_source import FakeSource

_M = Qt.KeyboardModifier
LOCK, MOD2 = 0x02, 0x10


def key(
    code: int,
    symbol: int,
    *,
    modifiers: Qt.KeyboardModifier = _M.NoModifier,
    native_modifiers: int = 0,
    repeat: bool = False,
) -> QKeyEvent:
    return QKeyEvent(
        QEvent.Type.KeyPress, Qt.Key.Key_unknown, modifiers, code + 8, symbol, native_modifiers, "", repeat
    )


@pytest.fixture
def source(qtbot: QtBot) -> Iterator[FakeSource]:
    value = FakeSource()
    yield value
    value.deleteLater()


@pytest.fixture
def guest(source: FakeSource) -> GuestInput:
    value = GuestInput()
    value.source = source
    value.enabled = True
    return value


def test_locks_are_put_right_before_the_first_key(guest: GuestInput, source: FakeSource) -> None:
    guest.locks.guest_changed(KeyboardLeds.NONE)
    guest.locks.captured()
    guest.press(key(30, 0x41, native_modifiers=LOCK))
    guest.press(key(48, 0x42, native_modifiers=LOCK))
    assert source.keys == [(58, 0xFFE5, True), (58, 0xFFE5, False), (30, 0x41, True), (48, 0x42, True)]


def test_a_repeated_key_puts_nothing_right(guest: GuestInput, source: FakeSource) -> None:
    guest.locks.guest_changed(KeyboardLeds.NONE)
    guest.locks.captured()
    guest.press(key(30, 0x61, native_modifiers=MOD2, repeat=True))
    assert source.keys == [(30, 0x61, True)]


def test_a_modifier_that_was_released_elsewhere_is_let_go_first(guest: GuestInput, source: FakeSource) -> None:
    guest.press(key(125, 0xFFEB))
    guest.press(key(30, 0x61))
    assert source.keys == [(125, 0xFFEB, True), (125, 0xFFEB, False), (30, 0x61, True)]
    assert not guest.release_key(125, 0xFFEB)


def test_nothing_is_sent_while_it_is_not_enabled(guest: GuestInput, source: FakeSource) -> None:
    guest.enabled = False
    guest.locks.guest_changed(KeyboardLeds.NONE)
    guest.locks.captured()
    guest.press(key(30, 0x61, native_modifiers=LOCK))
    assert source.keys == []


def test_a_menus_keys_go_without_capture_and_with_nothing_held(guest: GuestInput, source: FakeSource) -> None:
    guest.press(key(42, 0xFFE1))
    guest.enabled = False
    guest.send_keys(KeyCombo.parse("ctrl-del").events())
    assert source.keys == [
        (42, 0xFFE1, True),
        (42, 0xFFE1, False),
        (29, 0xFFE3, True),
        (111, 0xFFFF, True),
        (111, 0xFFFF, False),
        (29, 0xFFE3, False),
    ]


def test_without_a_source_nothing_happens() -> None:
    guest = GuestInput()
    guest.press(key(30, 0x61))
    guest.send_keys(KeyCombo.parse("a").events())
