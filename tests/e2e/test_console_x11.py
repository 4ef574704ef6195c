"""The console on a real X server with a window manager: scan codes, grabs, exact pixels. xdotool plays the person."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.helpers.console_person import Person
from tests.helpers.xserver import x_server

RIGHT_CTRL = "105"  # by number: with the name xdotool presses the left one as well

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    with x_server(1200, 900) as value:
        yield value


@pytest.fixture
def person(display: str) -> Iterator[Person]:
    value = Person(display)
    yield value
    value.leave()
    assert value.process.returncode == 0


def test_scan_codes_keysyms_and_the_host_key(person: Person) -> None:
    person.click_into()
    person.do("key", "a", "Up", "KP_Enter", "ctrl+a", "Super_L", "Pause", "alt+Tab")
    person.do("key", RIGHT_CTRL)
    said = [tuple(line[1:]) for line in person.until("capture", False) if line[0] == "key"]
    taps = [(code, pressed) for code, _symbol, pressed in said]
    assert taps == [
        (30, True), (30, False),
        (103, True), (103, False),
        (96, True), (96, False),
        (29, True), (30, True), (29, False), (30, False),
        (125, True), (125, False),
        (119, True), (119, False),
        (56, True), (15, True), (56, False), (15, False),
    ]  # fmt: skip
    symbols = {code: symbol for code, symbol, _pressed in said}
    assert symbols[30] == 0x61
    assert symbols[103] == 0xFF52
    assert symbols[96] == 0xFF8D


def test_released_the_desktop_and_the_application_have_their_keys(person: Person) -> None:
    person.click_into()
    person.do("key", RIGHT_CTRL)
    person.until("capture", False)
    person.do("key", "ctrl+a")
    person.until("shortcut")
    person.do("key", "Return")
    person.until("capture", True)
    person.do("key", "Return")
    assert [line[:2] for line in person.until("key", 28, 0xFF0D, False)] == [["key", 28], ["key", 28]]


def test_host_commands(person: Person) -> None:
    person.click_into()
    person.do("keydown", RIGHT_CTRL, "key", "p", "keyup", RIGHT_CTRL)
    assert person.until("command", "P") == [["command", "P"]]
    person.do("key", "b")
    assert [line[1] for line in person.until("key", 48, 0x62, False)] == [48, 48]


def test_another_window_takes_the_focus_and_everything_is_let_go(person: Person, display: str) -> None:
    person.click_into()
    person.do("keydown", "a")
    person.until("key", 30, 0x61, True)
    other = Person(display)
    try:
        person.until("capture", False)
    finally:
        person.do("keyup", "a")
        other.leave()


def test_keys_are_let_go_on_pause(person: Person) -> None:
    person.click_into()
    person.do("keydown", "a")
    person.until("key", 30, 0x61, True)
    person.wish("face")
    said = person.until("paused")
    person.do("keyup", "a")
    assert said[-2] == ["key", 30, 0x61, False]


def test_a_relative_mouse_moves_without_end(person: Person) -> None:
    person.click_into()
    person.wish("relative")
    person.until("mode", "relative")
    for _ in range(30):  # three times the width of the window
        # One after another: X itself forgets a movement that happens while the pointer is being put back.
        person.do("mousemove_relative", "40", "0")
        person.until("pointer", 40, 0, 0)
        person.wish("done")
        person.until("done")


@pytest.mark.parametrize("scale", ["1", "1.25", "1.5", "1.75", "2"])
def test_exact_pixels_on_the_screen(display: str, scale: str) -> None:
    env = {**os.environ, "DISPLAY": display, "QT_QPA_PLATFORM": "xcb", "QT_SCALE_FACTOR": scale}
    result = subprocess.run(
        [sys.executable, "-m", "tests.helpers.console_painting"],
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    checks = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(checks) == 33
    assert [check for check in checks if check["wrong"]] == []
