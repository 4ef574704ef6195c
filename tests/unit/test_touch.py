"""What fingers mean."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guivm.console.frame import PointerButton
from guivm.console.input.touch import (
    LONG_PRESS_MS,
    SECOND_TAP_MS,
    Move,
    Pinch,
    Press,
    Release,
    Scroll,
    TouchAction,
    TouchGestures,
    TouchPoint,
)

LEFT, RIGHT = PointerButton.LEFT, PointerButton.RIGHT


def one(x: float, y: float) -> list[TouchPoint]:
    return [TouchPoint(1, x, y)]


def two(ax: float, ay: float, bx: float, by: float) -> list[TouchPoint]:
    return [TouchPoint(1, ax, ay), TouchPoint(2, bx, by)]


def click(x: float, y: float, button: PointerButton = LEFT) -> list[TouchAction]:
    return [Move(x, y), Press(x, y, button), Release(x, y, button)]


def test_tap_is_a_click() -> None:
    touch = TouchGestures()
    assert touch.touched(one(50, 60), 0) == []
    assert touch.touched(one(53, 58), 40) == [], "fingers tremble"
    assert touch.touched([], 90) == click(50, 60)
    assert touch.deadline is None


def test_long_press_is_a_right_click() -> None:
    touch = TouchGestures()
    touch.touched(one(50, 60), 1000)
    deadline = touch.deadline
    assert deadline == 1000 + LONG_PRESS_MS
    assert touch.tick(deadline - 1) == []
    assert touch.tick(deadline) == click(50, 60, RIGHT)
    assert touch.deadline is None
    assert touch.touched(one(90, 90), 1600) == []
    assert touch.touched([], 1700) == []


def test_one_finger_moves_the_pointer_without_a_button() -> None:
    touch = TouchGestures()
    touch.touched(one(50, 60), 0)
    assert touch.touched(one(80, 60), 20) == [Move(80, 60)]
    assert touch.touched(one(81, 61), 40) == [Move(81, 61)]
    assert touch.touched(one(81, 61), 50) == []
    assert touch.touched([], 60) == []


@pytest.mark.parametrize("hold", [True, False])
def test_tap_and_hold_drags(hold: bool) -> None:
    touch = TouchGestures()
    touch.touched(one(50, 60), 0)
    touch.touched([], 50)
    touch.touched(one(52, 61), 200)
    if hold:
        assert touch.tick(200 + LONG_PRESS_MS) == [Move(52, 61), Press(52, 61, LEFT)]
        assert touch.touched(one(100, 61), 900) == [Move(100, 61)]
    else:
        assert touch.touched(one(100, 61), 220) == [Move(52, 61), Press(52, 61, LEFT), Move(100, 61)]
    assert touch.touched([], 1000) == [Release(100, 61, LEFT)]


def test_two_taps_are_two_clicks_at_their_places() -> None:
    touch = TouchGestures()
    touch.touched(one(50, 60), 0)
    assert touch.touched([], 50) == click(50, 60)
    touch.touched(one(51, 60), 120)
    assert touch.touched([], 170) == click(51, 60)


@pytest.mark.parametrize(("x", "at"), [(50, 50 + SECOND_TAP_MS + 1), (200, 100)])
def test_a_late_or_distant_touch_does_not_drag(x: float, at: int) -> None:
    touch = TouchGestures()
    touch.touched(one(50, 60), 0)
    touch.touched([], 50)
    touch.touched(one(x, 60), at)
    assert touch.touched(one(x + 40, 60), at + 20) == [Move(x + 40, 60)]


def test_two_fingers_scroll() -> None:
    touch = TouchGestures()
    touch.touched(one(50, 60), 0)
    assert touch.touched(two(50, 60, 90, 60), 10) == []
    assert touch.touched(two(50, 64, 90, 64), 20) == [], "undecided yet"
    assert touch.touched(two(50, 80, 90, 80), 30) == [Scroll(70, 80, 0, 20)]
    assert touch.touched(two(55, 80, 95, 80), 40) == [Scroll(75, 80, 5, 0)]
    assert touch.touched(one(55, 80), 50) == [], "the last finger means nothing more"
    assert touch.touched(one(155, 80), 60) == []
    assert touch.touched([], 70) == []


@pytest.mark.parametrize("allowed", [True, False])
def test_two_fingers_pinch_where_that_is_allowed(allowed: bool) -> None:
    touch = TouchGestures()
    touch.can_pinch = allowed
    touch.touched(two(60, 60, 100, 60), 0)
    actions = touch.touched(two(40, 60, 120, 60), 10)
    assert actions == ([Pinch(80, 60, 2.0)] if allowed else [])
    actions = touch.touched(two(60, 60, 100, 60), 20)
    assert actions == ([Pinch(80, 60, 0.5)] if allowed else [])


def test_a_second_finger_ends_a_drag() -> None:
    touch = TouchGestures()
    touch.touched(one(50, 60), 0)
    touch.touched([], 50)
    touch.touched(one(50, 60), 100)
    touch.touched(one(90, 60), 120)
    assert touch.touched(two(90, 60, 10, 10), 140) == [Release(90, 60, LEFT)]
    assert touch.touched([], 160) == []


def test_cancelled_leaves_nothing_pressed() -> None:
    touch = TouchGestures()
    touch.touched(one(50, 60), 0)
    assert touch.cancel() == []
    assert touch.deadline is None
    touch.touched(one(50, 60), 10)
    touch.touched([], 20)
    touch.touched(one(50, 60), 30)
    touch.touched(one(90, 60), 40)
    assert touch.cancel() == [Release(90, 60, LEFT)]


points = st.lists(st.builds(TouchPoint, st.integers(0, 4), st.floats(0, 900), st.floats(0, 900)), max_size=4)


@given(st.booleans(), st.lists(st.tuples(points, st.integers(0, 700), st.sampled_from("ttttkc")), max_size=40))
def test_whatever_fingers_do_buttons_are_paired(pinch: bool, steps: list[tuple[list[TouchPoint], int, str]]) -> None:
    touch = TouchGestures()
    touch.can_pinch = pinch
    now = 0
    actions: list[TouchAction] = []
    for fingers, wait, what in steps:
        now += wait
        match what:
            case "t":
                actions += touch.touched(fingers, now)
            case "k":
                actions += touch.tick(now)
            case _:
                actions += touch.cancel()
    actions += touch.touched([], now)
    held: set[PointerButton] = set()
    for action in actions:
        if isinstance(action, Press):
            assert not held
            held.add(action.button)
        elif isinstance(action, Release):
            held.remove(action.button)
        elif isinstance(action, Pinch):
            assert pinch
            assert action.factor > 0
    assert not held
