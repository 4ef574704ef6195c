"""Text as keystrokes: typed into an XKB keyboard by another path, it must be the text again."""

from __future__ import annotations

import functools
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guivm.console.typing import (
    MAX_CHARACTERS,
    US,
    Key,
    KeyEvent,
    Layout,
    TypingError,
    TypingPlan,
    bursts,
    events,
    find_layout,
    plan,
)
from guivm.console.typing.planner import keyboard_map
from guivm.console.typing.xkb import Compose, ComposeStatus, Context, KeyboardState, Keymap

LAYOUTS = (
    *("us", "gb", "de", "fr", "ch(fr)", "es", "pl", "ru", "cz", "jp", "gr", "us(dvorak)", "us(intl)"),
    *("br", "tr", "il", "de(neo)", "vn", "ca(multix)"),
)
SHIFT = Key(42, 0xFFE1)
CAPS_LOCK = 58
KEYPAD = {55, *range(71, 84), 96, 98, 117, 118, 121, 179, 180}
ASCII = "".join(chr(number) for number in range(0x20, 0x7F))


def typed_by(plan: TypingPlan, *, caps_lock: bool = False) -> str:
    """What a guest with the plan's layout gets: an XKB state and Compose, fed with the events alone."""
    context = Context()
    state = KeyboardState(Keymap(context, plan.layout.layout, plan.layout.variant))
    compose = Compose.of_locale(context, "en_US.UTF-8")
    assert compose is not None
    if caps_lock:
        state.press(CAPS_LOCK)
        state.release(CAPS_LOCK)
    text = ""
    down: set[int] = set()
    for code, keysym, pressed in events(plan):
        assert (code in down) is not pressed
        if not pressed:
            down.remove(code)
            state.release(code)
            continue
        down.add(code)
        if not is_modifier(keysym):
            assert state.keysym(code) == keysym
            status = compose.feed(keysym)
            if status is ComposeStatus.NOTHING:
                text += state.text(code)
            elif status is ComposeStatus.COMPOSED:
                text += compose.text()
            else:
                assert status is ComposeStatus.COMPOSING
        state.press(code)
    assert not down
    return unicodedata.normalize("NFC", text.replace("\r", "\n"))


def is_modifier(keysym: int) -> bool:
    return keysym in (0xFFE1, 0xFE03, 0xFE11)


@functools.cache
def typable(layout: str, caps_lock: bool = False) -> tuple[str, ...]:
    return tuple(sorted(keyboard_map(find_layout(layout), caps_lock=caps_lock).characters()))


@pytest.mark.parametrize("caps_lock", [False, True])
@pytest.mark.parametrize("name", LAYOUTS)
def test_every_character_of_a_layout_arrives(name: str, caps_lock: bool) -> None:
    text = "".join(typable(name, caps_lock))
    made = plan(text, find_layout(name), caps_lock=caps_lock)
    assert made.untypable == ()
    assert typed_by(made, caps_lock=caps_lock) == made.text
    assert not {stroke.code for stroke in made.strokes} & KEYPAD


@given(st.data())
def test_any_text_of_a_layout_arrives(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(LAYOUTS))
    caps_lock = data.draw(st.booleans())
    text = data.draw(st.text(st.sampled_from(typable(name, caps_lock)), max_size=60))
    made = plan(text, find_layout(name), caps_lock=caps_lock)
    assert made.untypable == ()
    assert typed_by(made, caps_lock=caps_lock) == made.text


@given(st.text(max_size=40), st.sampled_from(LAYOUTS))
def test_what_has_no_key_is_named_and_left_out(text: str, name: str) -> None:
    made = plan(text, find_layout(name))
    assert all(made.text[index] == character for index, character in made.untypable)
    left_out = {index for index, _ in made.untypable}
    assert typed_by(made) == "".join(c for index, c in enumerate(made.text) if index not in left_out)
    assert left_out.isdisjoint(stroke.index for stroke in made.strokes)


@pytest.mark.parametrize("name", ["us", "gb", "de", "fr", "es", "pl", "cz", "us(dvorak)", "jp"])
def test_latin_keyboards_have_all_of_ascii(name: str) -> None:
    assert set(ASCII) <= set(typable(name))


def test_what_a_keyboard_cannot_type() -> None:
    assert plan("a→é\x1b", US).untypable == ((1, "→"), (2, "é"), (3, "\x1b"))
    assert plan("→a→", US).untypable_characters == ("→",)
    assert plan("abc", find_layout("ru")).untypable_characters == ("a", "b", "c")
    assert plan("привет", find_layout("ru")).untypable == ()


def test_line_ends_and_composition() -> None:
    made = plan("a\r\nb\rc\n\te\u0301", find_layout("fr"))
    assert made.text == "a\nb\nc\n\t\u00e9"
    assert [stroke.code for stroke in made.strokes].count(28) == 3
    assert made.untypable == ()


def test_us_signs_are_typed_where_every_us_keyboard_has_them() -> None:
    """XKB's own table also has < > | on the key that only ISO keyboards have."""
    assert 86 not in {stroke.code for stroke in plan(ASCII, US).strokes}
    assert [stroke.code for stroke in plan("<>|", find_layout("de")).strokes] == [86, 86, 86]


def test_caps_lock_swaps_shift_for_letters_only() -> None:
    assert [stroke.held for stroke in plan("aA1!", US, caps_lock=True).strokes] == [(SHIFT,), (), (), (SHIFT,)]
    assert [stroke.held for stroke in plan("aA1!", US).strokes] == [(), (SHIFT,), (), (SHIFT,)]


def test_dead_keys_make_accents_with_space() -> None:
    """Twice the dead key does not do on Windows."""
    made = plan("^ê", find_layout("de"))
    assert [stroke.code for stroke in made.strokes] == [41, 57, 41, 18]
    assert [stroke.index for stroke in made.strokes] == [0, 0, 1, 1]


def test_modifiers_stay_down_between_strokes_that_need_them() -> None:
    made = events(plan("AB c", US))
    assert made == (
        KeyEvent(42, 0xFFE1, True),
        KeyEvent(30, 0x41, True),
        KeyEvent(30, 0x41, False),
        KeyEvent(48, 0x42, True),
        KeyEvent(48, 0x42, False),
        KeyEvent(42, 0xFFE1, False),
        KeyEvent(57, 0x20, True),
        KeyEvent(57, 0x20, False),
        KeyEvent(46, 0x63, True),
        KeyEvent(46, 0x63, False),
    )
    assert events(plan("A", US))[-1] == KeyEvent(42, 0xFFE1, False)
    assert events(plan("", US)) == ()


def test_there_is_one_burst_for_each_stroke() -> None:
    made = plan("Ab€^", find_layout("de"))
    assert len(list(bursts(made.strokes))) == len(made.strokes)


def test_too_much_text_is_refused() -> None:
    with pytest.raises(TypingError, match="100,001 characters"):
        plan("a" * (MAX_CHARACTERS + 1), US)


@pytest.mark.parametrize("layout", [Layout("xx"), Layout("de", "nothing")])
def test_unknown_layouts_are_refused_in_words(layout: Layout) -> None:
    with pytest.raises(TypingError, match="not known on this computer"):
        plan("a", layout)


def test_without_a_compose_table_dead_keys_are_not_used() -> None:
    made = plan("aê", find_layout("de"), locale="xx_XX.none")
    assert made.untypable == ((1, "ê"),)
