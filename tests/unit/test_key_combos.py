"""Key combinations by name."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from guivm.console.input.key_combos import KeyCombo, NamedCombo, key_names, parse_list, standard_combos
from guivm.console.rfb.keycodes import qemu_key_number
from guivm.console.typing import Key, KeyEvent, TypingError


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Ctrl+Alt+Del", "Ctrl+Alt+Del"),
        ("ctrl-alt-del", "Ctrl+Alt+Del"),
        ("del+alt+ctrl", "Ctrl+Alt+Del"),
        (" Ctrl + Alt + F1 ", "Ctrl+Alt+F1"),
        ("win-l", "Super+L"),
        ("alt-sysrq-b", "Alt+SysRq+B"),
        ("print", "PrintScreen"),
        ("f24", "F24"),
        ("ctrl--", "Ctrl+-"),
        ("-", "-"),
        ("ctrl-minus", "Ctrl+-"),
        ("kp+", "KPPlus"),
        ("lctrl-ralt-bslash", "Ctrl+AltGr+\\"),
        ("A", "A"),
    ],
)
def test_names(text: str, name: str) -> None:
    combo = KeyCombo.parse(text)
    assert combo.name == str(combo) == name
    assert KeyCombo.parse(name) == combo


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "No key"),
        ("   ", "No key"),
        ("ctrl-foo", "“foo” is no key"),
        ("ctrl-", "A key is missing"),
        ("ctrl+alt+", "A key is missing"),
        ("ctrl-control", "Ctrl is named twice"),
        ("print-sysrq", "named twice"),
        ("a-b-c-d-e-f-g-h-i", "more than 8"),
        ("a-" * 1000 + "b", "more than 8"),
        ("ctrl-\u202eb", "is no key"),
    ],
)
def test_bad_names_say_what_is_wrong(text: str, words: str) -> None:
    with pytest.raises(TypingError, match=words) as caught:
        KeyCombo.parse(text)
    assert caught.value.advice


# vncdotool's names for keys that are not characters, and the signs that its command line needs words for.
VNCDOTOOL = (
    "bsp tab return enter esc ins delete del home end pgup pgdn left up right down slash bslash fslash spacebar space "
    "sb f1 f2 f12 f20 lshift shift rshift lctrl ctrl rctrl lmeta meta rmeta lalt alt ralt scrlk sysrq numlk caplk "
    "pause lsuper super rsuper kp0 kp9 kpenter"
)


@pytest.mark.parametrize("name", VNCDOTOOL.split())
def test_vncdotools_names_are_understood(name: str) -> None:
    assert KeyCombo.parse(name).keys


def test_every_name_means_itself_and_qemu_has_the_key() -> None:
    for name in key_names():
        combo = KeyCombo.parse(name)
        assert combo.name == name
        assert qemu_key_number(combo.keys[0].code) is not None


@given(st.lists(st.sampled_from(key_names()), min_size=1, max_size=8, unique=True))
def test_formatted_names_mean_the_same_keys(names: list[str]) -> None:
    assume(not {"PrintScreen", "SysRq"} <= set(names))  # they are one key
    combo = KeyCombo.parse("+".join(names))
    assert KeyCombo.parse(combo.name) == combo
    assert {key.code for key in KeyCombo.of_codes(key.code for key in combo.keys).keys} == {
        key.code for key in combo.keys
    }


@given(st.text(max_size=30))
def test_any_text_is_understood_or_refused_in_words(text: str) -> None:
    try:
        outcome = KeyCombo.parse(text).name
    except TypingError as error:
        outcome = error.advice
    assert outcome


def test_keys_are_pressed_in_order_and_released_in_the_opposite_order() -> None:
    ctrl, alt, delete = Key(29, 0xFFE3), Key(56, 0xFFE9), Key(111, 0xFFFF)
    assert KeyCombo.parse("del-ctrl-alt").events() == (
        *(KeyEvent(*key, True) for key in (ctrl, alt, delete)),
        *(KeyEvent(*key, False) for key in (delete, alt, ctrl)),
    )


def test_of_pressed_keys() -> None:
    assert KeyCombo.of_codes([111, 29, 56]).name == "Ctrl+Alt+Del"
    with pytest.raises(TypingError, match="code 700"):
        KeyCombo.of_codes([29, 700])
    with pytest.raises(TypingError, match="No key"):
        KeyCombo.of_codes([])


def test_standard_list() -> None:
    names = [combo.name for group in standard_combos() for combo in group]
    assert names[0] == "Ctrl+Alt+Del"
    assert {"Ctrl+Alt+F1", "Ctrl+Alt+F12", "PrintScreen", "Alt+Tab", "Super", "Alt+SysRq+B"} <= set(names)
    assert len(names) == len(set(names))


def test_a_persons_list() -> None:
    second = NamedCombo.parse("ctrl-alt-f2 = Second console")
    assert str(second) == "Ctrl+Alt+F2 = Second console"
    assert second.title == "Second console (Ctrl+Alt+F2)"
    assert NamedCombo.parse("Ctrl+=").combo.name == "Ctrl+="
    assert NamedCombo.parse("super").title == "Super"
    assert NamedCombo.parse("super = a\u202eb\nc = d").label == "ab c = d"
    assert [str(combo) for combo in parse_list(["super", "nonsense", "F1 = Help"])] == ["Super", "F1 = Help"]
