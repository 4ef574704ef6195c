"""Key codes, keysyms, the Host key, and what is held down."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QKeyEvent

from guivm.console.input.keyboard import (
    DEFAULT_HOST_KEY,
    HOST_KEYS,
    HostKeyRouter,
    PressedKeys,
    Route,
    evdev_code,
    host_key_label,
    key_name,
    keysym,
)
from guivm.console.rfb.keycodes import qemu_key_number

_NONE = Qt.KeyboardModifier.NoModifier


def key_event(
    key: int,
    text: str = "",
    *,
    native: int = 0,
    symbol: int = 0,
    modifiers: Qt.KeyboardModifier = _NONE,
    pressed: bool = True,
) -> QKeyEvent:
    kind = QEvent.Type.KeyPress if pressed else QEvent.Type.KeyRelease
    return QKeyEvent(kind, key, modifiers, native, symbol, 0, text)


def test_native_codes_are_linux_codes_plus_eight() -> None:
    assert evdev_code(key_event(Qt.Key.Key_A, native=38)) == 30
    assert evdev_code(key_event(Qt.Key.Key_Control, native=105)) == HOST_KEYS["Control_R"].code
    # A French keyboard's A is where others have Q: the guest gets the position.
    assert evdev_code(key_event(Qt.Key.Key_A, native=24)) == 16


@pytest.mark.parametrize(
    ("key", "modifiers", "code"),
    [
        (Qt.Key.Key_A, _NONE, 30),
        (Qt.Key.Key_Exclam, Qt.KeyboardModifier.ShiftModifier, 2),
        (Qt.Key.Key_F11, _NONE, 87),
        (Qt.Key.Key_7, Qt.KeyboardModifier.KeypadModifier, 71),
        (Qt.Key.Key_7, _NONE, 8),
        (Qt.Key.Key_Enter, Qt.KeyboardModifier.KeypadModifier, 96),
        (Qt.Key.Key_Return, _NONE, 28),
        (Qt.Key.Key_Left, _NONE, 105),
        (0x0416, _NONE, 0),  # Ж without a native code: nobody knows where it is
    ],
)
def test_codes_of_events_without_native_ones(key: int, modifiers: Qt.KeyboardModifier, code: int) -> None:
    assert evdev_code(key_event(key, modifiers=modifiers)) == code


@pytest.mark.parametrize(
    ("event", "symbol"),
    [
        (key_event(Qt.Key.Key_A, "a", symbol=0x61), 0x61),
        (key_event(Qt.Key.Key_A, "a"), 0x61),
        (key_event(Qt.Key.Key_A, "A", modifiers=Qt.KeyboardModifier.ShiftModifier), 0x41),
        (key_event(Qt.Key.Key_Udiaeresis, "ü"), 0xFC),
        (key_event(0x0416, "ж"), 0x0100_0436),
        (key_event(Qt.Key.Key_C, "\x03", modifiers=Qt.KeyboardModifier.ControlModifier), 0x63),
        (key_event(Qt.Key.Key_Return, "\r"), 0xFF0D),
        (key_event(Qt.Key.Key_F12), 0xFFC9),
        (key_event(Qt.Key.Key_Launch0), 0),
    ],
)
def test_keysyms(event: QKeyEvent, symbol: int) -> None:
    assert keysym(event) == symbol


@pytest.mark.parametrize(
    ("event", "name"),
    [
        (key_event(Qt.Key.Key_P, native=33), "P"),
        (key_event(Qt.Key.Key_F1, native=67), "F1"),
        (key_event(Qt.Key.Key_Delete, native=119), "Del"),
        (key_event(0x0417, "з", native=33), "P"),  # Russian з is on the P key
        (key_event(Qt.Key.Key_1, native=10), "1"),
    ],
)
def test_names_for_host_commands(event: QKeyEvent, name: str) -> None:
    assert key_name(event) == name


@pytest.mark.parametrize(
    ("code", "number"),
    [
        (1, 0x01),
        (30, 0x1E),
        (83, 0x53),
        (84, None),
        (86, 0x56),
        (88, 0x58),
        (96, 0x9C),  # keypad Enter
        (97, 0x9D),  # right Ctrl
        (99, 0x54),  # SysRq
        (100, 0xB8),  # right Alt
        (103, 0xC8),  # Up
        (111, 0xD3),  # Delete
        (119, 0xC6),  # Pause
        (125, 0xDB),  # left Super
        (127, 0xDD),  # Menu
        (0, None),
        (-1, None),
        (700, None),
    ],
)
def test_qemu_key_numbers(code: int, number: int | None) -> None:
    assert qemu_key_number(code) == number


def test_host_keys_are_different_keys_the_guest_could_have() -> None:
    assert DEFAULT_HOST_KEY in HOST_KEYS
    assert len({host.code for host in HOST_KEYS.values()}) == len(HOST_KEYS)
    assert all(qemu_key_number(host.code) for host in HOST_KEYS.values())
    assert host_key_label(HOST_KEYS["Control_R"]) == "Right Ctrl"


HOST = HOST_KEYS["Control_R"].code
P, A = 25, 30


def test_host_alone() -> None:
    router = HostKeyRouter(HOST_KEYS["Control_R"])
    assert router.pressed(HOST, repeat=False) is Route.NOTHING
    assert router.pressed(HOST, repeat=True) is Route.NOTHING
    assert router.released(HOST) is Route.HOST_ALONE


def test_host_command_swallows_the_key_until_it_is_released() -> None:
    router = HostKeyRouter(HOST_KEYS["Control_R"])
    router.pressed(HOST, repeat=False)
    assert router.pressed(P, repeat=False) is Route.HOST_COMMAND
    assert router.pressed(P, repeat=True) is Route.NOTHING
    assert router.released(HOST) is Route.NOTHING
    assert router.pressed(P, repeat=True) is Route.NOTHING, "still the press that was the command"
    assert router.released(P) is Route.NOTHING
    assert router.pressed(P, repeat=False) is Route.GUEST


def test_a_key_held_before_the_host_key_is_released_in_the_guest() -> None:
    router = HostKeyRouter(HOST_KEYS["Control_R"])
    assert router.pressed(A, repeat=False) is Route.GUEST
    router.pressed(HOST, repeat=False)
    assert router.released(A) is Route.GUEST
    assert router.released(HOST) is Route.HOST_ALONE


def test_a_click_uses_the_host_key_up() -> None:
    router = HostKeyRouter(HOST_KEYS["Control_R"])
    router.pressed(HOST, repeat=False)
    router.use()
    assert router.released(HOST) is Route.NOTHING


def test_reset_forgets_the_host_key() -> None:
    router = HostKeyRouter(HOST_KEYS["Control_R"])
    router.pressed(HOST, repeat=False)
    router.reset()
    assert router.pressed(P, repeat=False) is Route.GUEST
    assert router.released(HOST) is Route.NOTHING


_events = st.lists(
    st.tuples(st.sampled_from(["press", "release"]), st.integers(0, 5), st.sampled_from([0, 0x61, 0x41])), max_size=60
)


@given(_events)
def test_what_was_pressed_is_released_exactly_once(events: list[tuple[str, int, int]]) -> None:
    """Replays to a keyboard: at the end nothing is down, and nothing was released that was not."""
    keys = PressedKeys()
    down: set[tuple[int, int]] = set()
    for kind, code, symbol in events:
        if kind == "press":
            if keys.press(code, symbol):
                down.add((code, 0 if code else symbol))
        elif keys.release(code, symbol) is not None:
            down.remove((code, 0 if code else symbol))
    assert len(keys) == len(down)
    assert {(code, 0 if code else symbol) for code, symbol in keys.release_all()} == down
    assert keys.release_all() == []


def test_release_uses_the_keysym_of_the_press() -> None:
    keys = PressedKeys()
    keys.press(A, 0x41)  # with Shift
    keys.press(A, 0x61)  # repeated after Shift was let go
    assert keys.release(A, 0x61) == 0x41


# --- keys that other keyboards and desktops make special -------------------------------------------------------

_CTRL, _SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
_SUPER = Qt.KeyboardModifier.MetaModifier


@pytest.mark.parametrize(
    ("event", "code", "symbol"),
    [
        (key_event(Qt.Key.Key_AltGr, native=108, symbol=0xFE03), 100, 0xFE03),
        (key_event(Qt.Key.Key_Dead_Circumflex, native=49, symbol=0xFE52), 41, 0xFE52),
        (key_event(Qt.Key.Key_Multi_key, native=135, symbol=0xFF20), 127, 0xFF20),
        (key_event(Qt.Key.Key_Less, "<", native=94, symbol=0x3C), 86, 0x3C),
        (key_event(Qt.Key.Key_Pause, native=127, symbol=0xFF13), 119, 0xFF13),
        (key_event(Qt.Key.Key_Pause, native=127, symbol=0xFF6B, modifiers=_CTRL), 119, 0xFF6B),  # Break
        (key_event(Qt.Key.Key_SysReq, native=107, symbol=0xFF15), 99, 0xFF15),
        (key_event(Qt.Key.Key_Hangul, native=130, symbol=0xFF31), 122, 0xFF31),
        (key_event(Qt.Key.Key_Henkan, native=100, symbol=0xFF23), 92, 0xFF23),
        (key_event(Qt.Key.Key_Calculator, native=148, symbol=0x1008FF1D), 140, 0x1008FF1D),
        # The keypad with Num Lock and without: one place, two meanings.
        (key_event(Qt.Key.Key_7, "7", native=79, symbol=0xFFB7), 71, 0xFFB7),
        (key_event(Qt.Key.Key_Home, native=79, symbol=0xFF95), 71, 0xFF95),
    ],
)
def test_special_keys_keep_place_and_meaning(event: QKeyEvent, code: int, symbol: int) -> None:
    assert evdev_code(event) == code
    assert keysym(event) == symbol


@pytest.mark.parametrize(
    ("code", "number"),
    [
        (89, 0x73),  # Japanese and Brazilian: beside right Shift
        (92, 0x79),  # Henkan
        (93, 0x70),  # Katakana/Hiragana
        (94, 0x7B),  # Muhenkan
        (122, 0x72),  # Hangul
        (123, 0x71),  # Hanja
        (124, 0x7D),  # Yen
        (113, 0xA0),
        (114, 0xAE),
        (115, 0xB0),
        (140, 0xA1),  # calculator
        (163, 0x99),
        (164, 0xA2),
        (165, 0x90),
        (166, 0xA4),
        (170, None),
        (183, 0x5D),  # F13
        (194, 0x6F),  # F24
    ],
)
def test_qemu_numbers_of_special_keys(code: int, number: int | None) -> None:
    """keycodemapdb, data/keymaps.csv, columns "Linux Keycode" and "AT set1"."""
    assert qemu_key_number(code) == number


def test_no_two_keys_have_one_number() -> None:
    numbers = [number for code in range(256) if (number := qemu_key_number(code)) is not None]
    assert len(numbers) == len(set(numbers))
    assert max(numbers) <= 0xFF


def test_a_modifier_whose_release_was_kept_by_the_desktop_is_let_go() -> None:
    keys = PressedKeys()
    keys.press(125, 0xFFEB)
    keys.press(42, 0xFFE1)
    keys.press(A, 0x41)
    assert keys.release_stale(_SUPER | _SHIFT, P) == []
    assert keys.release_stale(_SHIFT, P) == [(125, 0xFFEB)]
    assert keys.release_stale(_SHIFT, P) == []
    assert keys.release_stale(_NONE, 42) == [], "its own press: modifiers are those of before"
    assert keys.release_stale(_NONE, P) == [(42, 0xFFE1)]
    assert len(keys) == 1


def test_the_desktops_own_remapping_counts() -> None:
    """Ctrl and Caps Lock exchanged on the desktop: the key in Ctrl's place is Caps Lock, and no modifier."""
    keys = PressedKeys()
    keys.press(29, 0xFFE5)
    keys.press(58, 0xFFE3)
    keys.press(100, 0xFE03)
    assert keys.release_stale(_CTRL, P) == []
    assert keys.release_stale(_NONE, P) == [(58, 0xFFE3)]
