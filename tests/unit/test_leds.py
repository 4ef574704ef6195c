"""Lock keys of guest and desktop in step."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from guivm.console.frame import KeyboardLeds
from guivm.console.input.leds import LockSync, desktop_locks
from guivm.console.typing import Key

NONE, CAPS, NUM = KeyboardLeds.NONE, KeyboardLeds.CAPS_LOCK, KeyboardLeds.NUM_LOCK
SCROLL = KeyboardLeds.SCROLL_LOCK
CAPS_KEY, NUM_KEY = Key(58, 0xFFE5), Key(69, 0xFF7F)


def test_locks_of_a_key_event() -> None:
    assert desktop_locks(0) == NONE
    assert desktop_locks(0x02) == CAPS
    assert desktop_locks(0x10 | 0x04 | 0x01) == NUM
    assert desktop_locks(0x12) == CAPS | NUM


def test_what_differs_is_pressed_once_after_capturing() -> None:
    sync = LockSync()
    sync.guest_changed(NUM)
    assert sync.key_pressed(CAPS) == (), "not captured"
    sync.captured()
    assert sync.key_pressed(CAPS) == (CAPS_KEY, NUM_KEY)
    assert sync.key_pressed(CAPS) == (), "the guest's answer is on its way"


def test_nothing_is_pressed_when_they_agree_or_the_guest_is_silent() -> None:
    sync = LockSync()
    sync.captured()
    assert sync.key_pressed(CAPS) == ()
    sync.guest_changed(CAPS)
    sync.captured()
    assert sync.key_pressed(CAPS) == ()


def test_presses_of_the_person_are_left_to_reach_both() -> None:
    sync = LockSync()
    sync.guest_changed(NONE)
    sync.captured()
    assert sync.key_pressed(NONE) == ()  # Caps Lock itself: the event tells the state before
    assert sync.key_pressed(CAPS) == ()  # the guest has not answered yet
    sync.guest_changed(CAPS)
    assert sync.key_pressed(CAPS) == ()


def test_a_guest_that_does_not_answer_is_left_alone_until_it_does() -> None:
    sync = LockSync()
    sync.guest_changed(NONE)
    sync.captured()
    assert sync.key_pressed(CAPS) == (CAPS_KEY,)
    sync.captured()
    assert sync.key_pressed(CAPS) == ()
    sync.captured()
    assert sync.key_pressed(CAPS | NUM) == (NUM_KEY,), "only the lock that was not answered"
    sync.guest_changed(CAPS)
    sync.captured()
    assert sync.key_pressed(NONE) == (CAPS_KEY,)


def test_scroll_lock_is_not_touched() -> None:
    sync = LockSync()
    sync.guest_changed(SCROLL)
    sync.captured()
    assert sync.key_pressed(NONE) == ()
    assert sync.guest == SCROLL


def test_a_new_guest_starts_anew() -> None:
    sync = LockSync()
    sync.guest_changed(NONE)
    sync.captured()
    sync.key_pressed(CAPS)
    sync.reset()
    assert sync.guest is None
    sync.captured()
    assert sync.key_pressed(CAPS) == ()
    sync.guest_changed(NONE)
    assert sync.key_pressed(CAPS) == (CAPS_KEY,)


_leds = st.sampled_from([NONE, CAPS, NUM, CAPS | NUM])


@given(st.lists(st.one_of(st.just("capture"), _leds.map(lambda leds: ("key", leds))), max_size=40), _leds)
def test_a_guest_that_ignores_lock_keys_gets_each_at_most_once(
    events: list[str | tuple[str, KeyboardLeds]], leds: KeyboardLeds
) -> None:
    sync = LockSync()
    sync.guest_changed(leds)
    pressed: list[Key] = []
    for event in events:
        if isinstance(event, str):
            sync.captured()
        else:
            pressed += sync.key_pressed(event[1])
    assert len(pressed) == len(set(pressed))


@given(_leds, _leds)
def test_an_obedient_guest_agrees_after_the_first_key(guest: KeyboardLeds, desktop: KeyboardLeds) -> None:
    sync = LockSync()
    sync.guest_changed(guest)
    sync.captured()
    for key in sync.key_pressed(desktop):
        guest ^= CAPS if key == CAPS_KEY else NUM
    assert guest == desktop
