"""The main window on a real Wayland compositor: full screen with its bar, the choice of the screen, the clipboard."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from tests.helpers.loud_program import LoudProgram
from tests.helpers.wayland_stage import WaylandStage, wayland_stage

pytestmark = pytest.mark.e2e

SIZE = (1280, 800)
A_KEY = 30


@pytest.fixture
def stage() -> Iterator[WaylandStage]:
    with wayland_stage(*SIZE) as value:
        yield value


@pytest.fixture
def program(stage: WaylandStage) -> Iterator[LoudProgram]:
    with LoudProgram("tests.helpers.wayland_window", "main", env=stage.env) as value:
        value.until("ready")
        value.wish("settle")
        yield value


def test_full_screen_and_its_bar(stage: WaylandStage, program: LoudProgram) -> None:
    stage.point(SIZE[0] / 2, SIZE[1] / 2)
    program.tell("full on")
    full = ("window", True, *SIZE, "HEADLESS-1")
    program.until(*full, False)  # the bar was shown for a moment
    stage.point(SIZE[0] / 2, 1)
    program.until(*full, True)
    shown = stage.window(program.process.pid)
    assert (shown["rect"]["width"], shown["rect"]["height"], shown["fullscreen_mode"]) == (*SIZE, 1)
    program.tell("full off")
    program.until("window", False)


def test_full_screen_on_the_screen_that_was_chosen(stage: WaylandStage, program: LoudProgram) -> None:
    stage.run("create_output")
    program.wish("screen HEADLESS-2")
    program.tell("full on")
    program.until("window", True, 1920, 1080, "HEADLESS-2")
    assert stage.window(program.process.pid)["rect"]["x"] == SIZE[0]


def test_text_is_copied_both_ways(stage: WaylandStage, program: LoudProgram) -> None:
    # It goes on in the background to serve what was copied: output to a pipe would never end.
    subprocess.run(
        ["wl-copy", "Grüße"],
        env=stage.env,
        check=True,
        timeout=20,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    program.until("clipboard", "Grüße")
    # The compositor lets only those copy who had a key or a click since the last copy. In a guest that is so anyway.
    rect = stage.window(program.process.pid)["rect"]
    stage.point(rect["x"] + rect["width"] / 2, rect["y"] + rect["height"] / 2)
    stage.input.click()
    stage.input.tap(A_KEY)
    program.until("key", A_KEY, ord("a"), False)
    program.wish("copy naïve")
    pasted = subprocess.run(["wl-paste", "-n"], env=stage.env, check=True, capture_output=True, timeout=20)
    assert pasted.stdout.decode() == "naïve"
