"""The console on a real Wayland compositor: scan codes, what the compositor gives, exact pixels, the pointer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from tests.helpers.loud_program import LoudProgram
from tests.helpers.rfb_server import picture
from tests.helpers.wayland_input import RIGHT
from tests.helpers.wayland_stage import WaylandStage, wayland_stage

pytestmark = pytest.mark.e2e

SUPER, X, B, RIGHT_CTRL, ALT_GR, RIGHT_ALT = 125, 45, 48, 97, 100, 100
SHORTCUT = "bindsym Mod4+x mark --add seen"
KEPT = "The desktop keeps its own shortcuts."


class Person:
    def __init__(self, stage: WaylandStage, program: LoudProgram) -> None:
        self.stage = stage
        self.hands = stage.input
        self.program = program
        self.until = program.until
        self.pid = program.process.pid
        rect = stage.window(self.pid)["rect"]
        self.corner = (rect["x"], rect["y"])

    def point(self, x: float, y: float) -> None:
        """In logical units of the window."""
        self.stage.point(self.corner[0] + x, self.corner[1] + y)

    def click_into(self) -> list[list[object]]:
        """Answers all that was said."""
        self.point(52, 62)
        self.hands.click()
        return self.until("pointer", 50, 60, 0) + self.program.wish("settle")

    def release(self) -> None:
        self.hands.tap(RIGHT_CTRL)
        self.until("capture", False)
        self.program.wish("settle")

    def keys_until(self, code: int) -> list[tuple[int, bool]]:
        """(code, pressed) up to the release of a key."""
        said: list[tuple[int, bool]] = []
        while not said or said[-1] != (code, False):
            word = self.until("key")[-1]
            said.append((int(str(word[1])), bool(word[3])))
        return said


@contextmanager
def console(stage: WaylandStage, scale_factor: str = "1") -> Iterator[Person]:
    env = stage.env | {"QT_SCALE_FACTOR": scale_factor}
    with LoudProgram("tests.helpers.wayland_window", "console", env=env) as program:
        program.until("ready")
        program.wish("settle")
        yield Person(stage, program)


@pytest.fixture(scope="module")
def stage() -> Iterator[WaylandStage]:
    with wayland_stage(layout="fr", more=SHORTCUT) as value:
        yield value


@pytest.fixture
def person(stage: WaylandStage) -> Iterator[Person]:
    with console(stage) as value:
        yield value


# --- keyboard -------------------------------------------------------------------------------------------------


def test_positions_of_keys_whatever_the_layout_makes_of_them(person: Person) -> None:
    person.click_into()
    hands = person.hands
    dead, less, pause, print_screen, play, scroll_lock, keypad_enter = 26, 86, 119, 99, 164, 70, 96
    for keys in ([30], [ALT_GR, 3], [dead], [less], [pause], [print_screen], [play], [scroll_lock], [keypad_enter]):
        hands.tap(*keys)
    hands.tap(29, 30)
    hands.tap(56, 15)
    hands.tap(SUPER)
    symbols: dict[int, int] = {}
    taps: list[tuple[int, bool]] = []
    for _, code, symbol, pressed in (word for word in person.until("key", SUPER, 0xFFEB, False) if word[0] == "key"):
        assert isinstance(code, int)
        assert isinstance(symbol, int)
        symbols.setdefault(code, symbol)
        taps.append((code, bool(pressed)))
    assert taps == [
        (30, True), (30, False),
        (100, True), (3, True), (100, False), (3, False),
        *((key, down) for key in (dead, less, pause, print_screen, play, 70, 96) for down in (True, False)),
        (29, True), (30, True), (29, False), (30, False),
        (56, True), (15, True), (56, False), (15, False),
        (125, True), (125, False),
    ]  # fmt: skip
    # What a French keyboard has there: q, AltGr, tilde, dead circumflex.
    assert [symbols[code] for code in (30, 100, 3, dead)] == [ord("q"), 0xFE03, ord("~"), 0xFE52]


def test_a_held_key_repeats_and_is_released_once(person: Person) -> None:
    person.click_into()
    person.hands.key_down(B)
    for _ in range(4):
        person.until("key", B, ord("b"), True)
    person.hands.key_up(B)
    said = person.until("key", B, ord("b"), False)
    assert {word[3] for word in said[:-1]} <= {True}


def test_the_volume_stays_with_the_desktop(person: Person) -> None:
    person.click_into()
    person.hands.tap(114)
    person.hands.tap(30)
    assert person.keys_until(30) == [(30, True), (30, False)]


def test_host_key(person: Person) -> None:
    person.click_into()
    person.hands.tap(RIGHT_CTRL, 25)  # P
    person.until("command", "P")
    person.hands.tap(B)
    assert person.keys_until(B) == [(B, True), (B, False)]
    person.hands.tap(RIGHT_CTRL)
    person.until("capture", False)
    person.hands.tap(29, 16)  # Ctrl+A on that keyboard: the application's own shortcut
    person.until("shortcut")


def test_everything_is_let_go_when_the_focus_goes(person: Person) -> None:
    person.click_into()
    person.hands.key_down(B)
    person.until("key", B, ord("b"), True)
    person.stage.run("move scratchpad")
    said = person.until("capture", False)
    person.hands.key_up(B)
    assert ["key", B, ord("b"), False] in said


# --- what the compositor gives ----------------------------------------------------------------------------------


def marks(person: Person) -> list[str]:
    return [str(mark) for mark in person.stage.window(person.pid)["marks"]]


def test_shortcuts_of_the_desktop_go_to_the_guest_while_captured(person: Person) -> None:
    said = person.click_into()
    assert ["grab", True, False, ""] in said
    person.hands.tap(SUPER, X)
    assert person.keys_until(X) == [(SUPER, True), (X, True), (SUPER, False), (X, False)]
    assert marks(person) == []
    person.release()
    person.hands.tap(SUPER, X)
    assert marks(person) == ["seen"]


def test_a_desktop_that_keeps_its_shortcuts_is_told_of(person: Person) -> None:
    person.stage.run(f"[pid={person.pid}] shortcuts_inhibitor disable")
    said = person.click_into()
    assert ["grab", False, False, KEPT] in said
    person.hands.tap(SUPER, X)
    person.hands.tap(B)
    assert person.keys_until(B)[-2:] == [(B, True), (B, False)]
    assert marks(person) == ["seen"]


def test_a_relative_mouse_moves_without_end(person: Person) -> None:
    person.click_into()
    assert person.program.wish("relative")[-1:] == [["grab", True, True, ""]]
    for _ in range(60):  # twice the width of the screen
        person.hands.move_by(40, 0)
        assert person.until("pointer") == [["pointer", 40, 0, 0]]
    person.hands.move_by(-0.5, 0.25)
    person.hands.move_by(-0.5, 0.75)
    assert person.until("pointer") == [["pointer", -1, 1, 0]]
    person.hands.click(RIGHT)
    assert person.until("pointer", 0, 0, 0) == [["pointer", 0, 0, 4], ["pointer", 0, 0, 0]]
    person.release()
    person.point(10, 10)  # the pointer is free again
    person.hands.click()
    person.until("capture", True)


def test_a_desktop_that_keeps_its_pointer_is_told_of() -> None:
    with wayland_stage(more="seat * pointer_constraint disable") as stage, console(stage) as person:
        person.click_into()
        granted = person.program.wish("relative")[-1]
        assert granted[1:3] == [True, False]
        assert "edges" in str(granted[3])
        person.hands.move_by(7, -3)
        assert person.until("pointer") == [["pointer", 7, -3, 0]]


def test_wheel(person: Person) -> None:
    person.click_into()
    person.hands.wheel(2)
    person.hands.wheel(-1, horizontal=True)
    down, left = ["pointer", 50, 60, 16], ["pointer", 50, 60, 32]
    up = ["pointer", 50, 60, 0]
    assert [*person.until(*down), *person.until(*left), *person.until(*up)] == [down, up, down, up, left, up]


# --- pixels -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("output", "factor"), [(1, "1"), (1, "1.25"), (1, "1.5"), (1, "1.75"), (2, "1"), (1.25, "1"), (1.5, "1")]
)
def test_every_pixel_and_the_pointer_on_it(output: float, factor: str) -> None:
    # Whole logical units at each scale: else grim scales its picture.
    with wayland_stage(1500, 1200, scale=output) as stage, console(stage, factor) as person:
        person.program.wish("fit")  # it was made before it knew its scale
        stage.run(f"[pid={person.pid}] move absolute position 40 40")
        person.corner = (40, 40)
        stage.point(0, 0)  # the compositor paints its cursor into the picture
        dpr, first_x, first_y = (float(str(value)) for value in person.program.wish("scale")[-1][1:])
        # Compositors without wp_fractional_scale_v1 let windows draw at the next whole scale, and shrink that.
        is_told = dpr == output * float(factor)
        shrunk = 1.0 if is_told else output / dpr
        if is_told:
            left, top = round(40 * output + first_x), round(40 * output + first_y)
            guest = picture(400, 300)[:, :, 2::-1]
            shown = np.asarray(stage.picture())[top : top + 300, left : left + 400]
            assert int((shown != guest).any(axis=2).sum()) == 0
        for x, y in ((0, 0), (399, 0), (0, 299), (399, 299), (123, 77), (200, 150)):
            person.point((first_x + x + 0.5) * shrunk / output, (first_y + y + 0.5) * shrunk / output)
            person.hands.click()
            said = [*person.until("pointer", x, y, 1), *person.until("pointer", x, y, 0)]
            assert {tuple(word[1:3]) for word in said if word[0] == "pointer"} == {(x, y)}
