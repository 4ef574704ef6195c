"""Shortcuts that stay with the desktop really get there: a window manager, a real X server, the keyboard captured."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.console_person import Person
from tests.helpers.x_desktop import ALT, CONTROL, PRESS, RELEASE, Desktop, VncKeyboard
from tests.helpers.xserver import x_server

pytestmark = pytest.mark.e2e

Said = list[list[object]]

# X11's key codes (Linux's and eight) and keysyms
K, L, VOLUME_UP = 45, 46, 123
CONTROL_L, ALT_L, TAB, KEYSYM_K, KEYSYM_L = 0xFFE3, 0xFFE9, 0xFF09, 0x6B, 0x6C
_KEPT = "Volume Up,Ctrl+Alt+T,Ctrl+Alt+K,Ctrl+Alt+Y,Alt+Tab,L"
_BINDINGS = (("XF86AudioRaiseVolume", "volume"), ("C-A-t", "terminal"), ("A-F4", "close"), ("C-A-d", "done"))
_RC = """<?xml version="1.0"?>
<openbox_config xmlns="http://openbox.org/3.4/rc"><keyboard>
<keybind key="A-Tab"><action name="NextWindow"><interactive>no</interactive></action></keybind>
{}</keyboard></openbox_config>
"""
_BINDING = """<keybind key="{key}">
<action name="Execute"><command>sh -c "echo {word} >{pipe}"</command></action>
</keybind>
"""


class Commands:
    """What the window manager ran."""

    def __init__(self, directory: Path) -> None:
        pipe = directory / "ran"
        os.mkfifo(pipe)
        self._file = os.open(pipe, os.O_RDWR)
        (directory / "openbox").mkdir()
        bindings = "".join(_BINDING.format(key=key, word=word, pipe=pipe) for key, word in _BINDINGS)
        (directory / "openbox" / "rc.xml").write_text(_RC.format(bindings))
        self._read = ""

    def next(self) -> str:
        while "\n" not in self._read:
            assert select.select([self._file], [], [], 20)[0], "no command ran"
            self._read += os.read(self._file, 4096).decode()
        word, self._read = self._read.split("\n", 1)
        return word

    def close(self) -> None:
        os.close(self._file)


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    value = Commands(tmp_path_factory.mktemp("desktop"))
    yield value
    value.close()


@pytest.fixture(scope="module")
def socket_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keyboard") / "vnc"


@pytest.fixture(scope="module")
def display(commands: Commands, socket_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    config = next(tmp_path_factory.getbasetemp().glob("desktop*"))
    with x_server(1200, 900, manager_config=config, keyboard=socket_path) as value:
        yield value


@pytest.fixture(autouse=True)
def desktop(display: str) -> Iterator[Desktop]:
    with Desktop(display) as value:
        yield value
        assert value.keys_down() == []


@pytest.fixture
def keyboard(display: str, socket_path: Path) -> Iterator[VncKeyboard]:
    value = VncKeyboard(socket_path)
    yield value
    value.close()


def captured(display: str) -> Person:
    person = Person(display)
    person.wish(f"keep {_KEPT}")
    person.until("kept")
    person.click_into()
    return person


@pytest.fixture
def person(display: str) -> Iterator[Person]:
    value = captured(display)
    yield value
    value.leave()
    assert value.process.returncode == 0


def next_key_is_the_guests(person: Person) -> Said:
    """Types an ordinary key once the keyboard is back; gives what was said before it."""
    person.wish("back")
    before = person.until("back")[:-1]
    person.do("key", "a")
    said = person.until("key", 30, 0x61, False)
    assert said[-2] == ["key", 30, 0x61, True]
    return before + said[:-2]


def codes(said: Said) -> list[object]:
    assert all(line[0] == "key" for line in said), said
    return [line[1] for line in said]


CTRL_ALT = [29, 56, 56, 29]  # down and up again, without what was pressed between


def test_the_window_manager_runs_what_is_bound_and_nothing_else_changes(person: Person, commands: Commands) -> None:
    for _ in range(3):
        person.do("key", "XF86AudioRaiseVolume")
        assert commands.next() == "volume"
        assert next_key_is_the_guests(person) == []
        person.do("keydown", "ctrl", "keydown", "alt", "keydown", "t")
        assert commands.next() == "terminal"
        person.do("keyup", "t", "keyup", "alt", "keyup", "ctrl")
        assert codes(next_key_is_the_guests(person)) == CTRL_ALT


def test_what_is_not_kept_goes_to_the_guest(person: Person, commands: Commands) -> None:
    person.do("key", "XF86AudioRaiseVolume")
    assert commands.next() == "volume"
    next_key_is_the_guests(person)
    person.do("key", "alt+F4")
    person.do("key", "ctrl+alt+d")
    assert {56, 62, 29, 32} <= set(codes(next_key_is_the_guests(person)))
    person.do("key", "105")  # right Ctrl gives the keyboard back
    person.until("capture", False)
    person.do("key", "ctrl+alt+d")
    assert commands.next() == "done", "of all that was pressed before nothing came here"


def test_a_held_key_is_the_desktops_until_its_release(person: Person, desktop: Desktop, keyboard: VncKeyboard) -> None:
    desktop.take(K, CONTROL | ALT)
    for _ in range(3):
        keyboard.press(CONTROL_L, ALT_L, KEYSYM_K)
        assert desktop.next() == (PRESS, K, CONTROL | ALT)
        keyboard.release(KEYSYM_K)
        assert desktop.next() == (RELEASE, K, CONTROL | ALT)
        keyboard.release(ALT_L, CONTROL_L)
        assert codes(next_key_is_the_guests(person)) == CTRL_ALT
    assert desktop.rest() == []


def test_a_held_key_repeats_for_the_desktop_and_the_capture_stays(person: Person, desktop: Desktop) -> None:
    desktop.take(L)
    person.do("keydown", "l")
    repeats = [(PRESS, L, 0), (RELEASE, L, 0)] * 6  # longer than Qt waits before it believes that the focus is gone
    assert [desktop.next() for _ in repeats] == repeats
    person.do("keyup", "l")
    assert next_key_is_the_guests(person) == []
    last = desktop.rest()
    assert last == [(PRESS, L, 0), (RELEASE, L, 0)] * (len(last) // 2)


def test_what_nobody_wants_reaches_nobody(person: Person) -> None:
    for _ in range(3):
        person.do("key", "ctrl+alt+y")
        assert 21 not in codes(next_key_is_the_guests(person))
        person.do("keydown", "ctrl", "keydown", "alt", "keydown", "y")
        person.do("keyup", "y", "keyup", "alt", "keyup", "ctrl")
        assert 21 not in codes(next_key_is_the_guests(person))


def test_a_combination_that_is_over_before_the_window_sees_it(person: Person, desktop: Desktop) -> None:
    desktop.take(K, CONTROL | ALT)
    person.wish("stall")
    person.until("stalled")
    person.do("key", "ctrl+alt+k")
    person.wish("go on")
    assert desktop.next() == (PRESS, K, CONTROL | ALT)
    assert desktop.next() == (RELEASE, K, CONTROL | ALT)
    assert codes(next_key_is_the_guests(person)) == CTRL_ALT
    person.wish("stall")
    person.until("stalled")
    person.do("key", "ctrl+alt+y")  # wanted by nobody
    person.wish("go on")
    assert codes(next_key_is_the_guests(person)) == CTRL_ALT
    assert desktop.rest() == []


def test_nothing_stays_down_when_the_program_ends_meanwhile(display: str, desktop: Desktop) -> None:
    person = captured(display)
    person.wish("stall")
    person.until("stalled")
    person.do("key", "ctrl+alt+k")
    person.wish("go on")
    person.leave()
    assert desktop.keys_down() == []


def test_the_desktop_goes_to_another_window(person: Person, display: str, keyboard: VncKeyboard) -> None:
    other = Person(display)
    try:
        person.until("capture", False)
        person.do("windowactivate", "--sync", person.window)
        person.click_into()
        keyboard.press(ALT_L, TAB)
        person.until("capture", False)
        keyboard.release(TAB, ALT_L)
        other.click_into()
        next_key_is_the_guests(other)
    finally:
        other.leave()


def test_the_capture_ends_while_the_desktop_has_the_keyboard(
    person: Person, desktop: Desktop, keyboard: VncKeyboard
) -> None:
    desktop.take(L)
    keyboard.press(KEYSYM_L)
    assert desktop.next() == (PRESS, L, 0)
    person.wish("release")
    assert person.until("capture", False) == [["capture", False]]
    keyboard.release(KEYSYM_L)
    assert desktop.next() == (RELEASE, L, 0)
    person.click_into()
    assert next_key_is_the_guests(person) == []


def test_a_server_without_xtest(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The desktop gets nothing then, but the guest neither, and the capture stays."""
    with x_server(800, 600, keyboard=tmp_path / "vnc", without=["XTEST"]) as display:
        person, keyboard = Person(display), VncKeyboard(tmp_path / "vnc")
        try:
            person.wish(f"keep {_KEPT}")
            person.until("kept")
            person.wish("capture")
            person.until("capture", True)
            keyboard.press(KEYSYM_L)
            keyboard.release(KEYSYM_L)
            keyboard.press(KEYSYM_K)
            assert person.until("key", K - 8, KEYSYM_K, True) == [["key", K - 8, KEYSYM_K, True]]
            keyboard.release(KEYSYM_K)
        finally:
            keyboard.close()
            person.leave()
    assert "has no XTEST" in capfd.readouterr().err
