"""The console against a real QEMU; QEMU's own screendump and traces, and vncdotool, are the witnesses."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pytestqt.qtbot import QtBot

from guivm.console.rfb_source import RfbSource
from guivm.console.source import Framebuffer, PointerButton, PointerMode, SourceState
from guivm.engine.job_types import ConsoleEndpoint
from guivm.errors import ConsoleError
from tests.helpers.rfb_server import Pixels

pytestmark = pytest.mark.e2e

# What QEMU calls the key that a Linux key code stands for: the keys that differ between the numberings.
_QCODES = {
    1: "esc",
    14: "backspace",
    28: "ret",
    29: "ctrl",
    30: "a",
    43: "backslash",
    55: "kp_multiply",
    70: "scroll_lock",
    71: "kp_7",
    86: "less",
    87: "f11",
    96: "kp_enter",
    97: "ctrl_r",
    98: "kp_divide",
    99: "print",
    100: "alt_r",
    102: "home",
    103: "up",
    104: "pgup",
    105: "left",
    106: "right",
    107: "end",
    108: "down",
    109: "pgdn",
    110: "insert",
    111: "delete",
    113: "audiomute",
    114: "volumedown",
    115: "volumeup",
    119: "pause",
    125: "meta_l",
    126: "meta_r",
    127: "compose",
    163: "audionext",
}


class Qemu:
    """A QEMU with a VNC socket, a monitor, and traces of the input its guest gets; BIOS only, no disk."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        self.vnc = directory / "vnc"
        self.trace = directory / "trace"
        # The monitor is a socket pair: its greeting says that everything else is open, and nobody has to poll.
        self._socket, theirs = socket.socketpair()
        self._socket.settimeout(20)
        self.process = subprocess.Popen(
            [
                *("qemu-system-x86_64", "-M", "q35", "-accel", "tcg", "-m", "64", "-nodefaults", "-device", "VGA"),
                *("-display", "none", "-vnc", f"unix:{self.vnc}"),
                *("-chardev", f"socket,id=monitor,fd={theirs.fileno()}", "-mon", "chardev=monitor,mode=control"),
                *("-trace", "enable=input_event_key_qcode", "-trace", "enable=input_event_btn"),
                *("-trace", "enable=input_event_rel", "-D", str(self.trace), *arguments),
            ],
            cwd=directory,
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        self._file = self._socket.makefile("rw")
        self._file.readline()
        self.command("qmp_capabilities")

    def command(self, name: str, **arguments: object) -> None:
        self.ask(name, **arguments)

    def ask(self, name: str, **arguments: object) -> Any:
        """A command's answer, as the monitor's JSON has it."""
        self._file.write(json.dumps({"execute": name, "arguments": arguments}) + "\n")
        self._file.flush()
        while True:
            answer = json.loads(self._file.readline())
            if "return" in answer:
                return answer["return"]
            assert "error" not in answer, answer

    def line(self) -> str:
        """The monitor's next line: an event."""
        return self._file.readline()

    def screendump(self, directory: Path) -> Pixels:
        """R, G, B, by QEMU itself."""
        path = directory / "dump.ppm"
        self.command("screendump", filename=str(path))
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))

    def traced(self) -> list[str]:
        return self.trace.read_text().splitlines() if self.trace.exists() else []

    def close(self) -> None:
        self._file.close()
        self._socket.close()
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(10)


@pytest.fixture
def qemu(tmp_path: Path) -> Iterator[Qemu]:
    value = Qemu(tmp_path, "-S")
    yield value
    value.close()


@pytest.fixture
def source(qtbot: QtBot, qemu: Qemu) -> Iterator[RfbSource]:
    value = RfbSource(ConsoleEndpoint(unix_path=str(qemu.vnc)))
    with qtbot.waitSignal(value.stateChanged, timeout=10_000):
        value.open()
    assert value.state is SourceState.CONNECTED
    yield value
    value.close()
    value.deleteLater()


def _rgb(framebuffer: Framebuffer | None) -> Pixels:
    assert framebuffer is not None
    return framebuffer.pixels[:, :, 2::-1]


def _wait_for_bios(qtbot: QtBot, qemu: Qemu, source: RfbSource) -> None:
    """Let the guest run until its BIOS has written something in text mode, then stop it."""

    def has_text() -> bool:
        framebuffer = source.framebuffer
        assert framebuffer is not None
        return (framebuffer.width, framebuffer.height) == (720, 400) and bool(framebuffer.pixels[:, :, :3].any())

    qemu.command("cont")
    qtbot.waitUntil(has_text, timeout=20_000)
    qemu.command("stop")


def test_pixels_are_those_of_screendump_and_vncdotool(
    qtbot: QtBot, qemu: Qemu, source: RfbSource, tmp_path: Path
) -> None:
    assert np.array_equal(_rgb(source.framebuffer), qemu.screendump(tmp_path))
    _wait_for_bios(qtbot, qemu, source)
    dump = qemu.screendump(tmp_path)
    qtbot.waitUntil(lambda: np.array_equal(_rgb(source.framebuffer), dump), timeout=10_000)
    picture = tmp_path / "vncdotool.png"
    # In a process of its own: its reactor lives as long as the process does.
    subprocess.run(
        [sys.executable, "-m", "vncdotool.command", "-s", str(qemu.vnc), "capture", str(picture)],
        check=True,
        timeout=60,
        capture_output=True,
    )
    with Image.open(picture) as image:
        assert np.array_equal(np.asarray(image.convert("RGB")), dump)


def test_resize_is_followed(qtbot: QtBot, qemu: Qemu, source: RfbSource) -> None:
    before = source.framebuffer
    assert before is not None
    assert (before.width, before.height) == (640, 480)
    _wait_for_bios(qtbot, qemu, source)
    assert source.framebuffer is not before


def test_every_key_is_the_key_qemu_knows(qtbot: QtBot, qemu: Qemu, source: RfbSource) -> None:
    qemu.command("cont")
    for code in _QCODES:
        source.send_key(code, 0, True)
        source.send_key(code, 0, False)
    expected = [f"{name}, down {down}" for name in _QCODES.values() for down in (1, 0)]
    pattern = re.compile(r"input_event_key_qcode .*key qcode (.*)")

    def keys() -> list[str]:
        return [match[1] for line in qemu.traced() if (match := pattern.search(line))]

    qtbot.waitUntil(lambda: len(keys()) >= len(expected), timeout=20_000)
    assert keys() == expected


def test_buttons_wheel_and_movement(qtbot: QtBot, qemu: Qemu, source: RfbSource) -> None:
    """A PS/2 mouse: QEMU says that it is relative, and gets movements."""
    qemu.command("cont")
    modes: list[PointerMode] = []
    source.pointerModeChanged.connect(modes.append)
    qtbot.waitUntil(lambda: bool(modes) or source.pointer_mode is PointerMode.RELATIVE, timeout=5000)
    source.send_pointer(5, -3, PointerButton.NONE)
    for button in (
        PointerButton.LEFT,
        PointerButton.MIDDLE,
        PointerButton.RIGHT,
        PointerButton.WHEEL_UP,
        PointerButton.WHEEL_DOWN,
    ):
        source.send_pointer(0, 0, button)
        source.send_pointer(0, 0, PointerButton.NONE)
    names = ("left", "middle", "right", "wheel-up", "wheel-down")
    expected = [f"button {name}, down {down}" for name in names for down in (1, 0)]

    def buttons() -> list[str]:
        return [line.split(", ", 1)[1] for line in qemu.traced() if "input_event_btn" in line]

    qtbot.waitUntil(lambda: len(buttons()) >= len(expected), timeout=10_000)
    assert buttons() == expected
    moves = [line for line in qemu.traced() if "input_event_rel" in line]
    assert any("axis x, value 5" in line for line in moves)
    assert any("axis y, value -3" in line for line in moves)


def test_death_of_qemu_is_told_and_a_new_one_can_be_seen(
    qtbot: QtBot, qemu: Qemu, source: RfbSource, tmp_path: Path
) -> None:
    with qtbot.waitSignal(source.stateChanged, timeout=10_000):
        qemu.process.kill()
    assert isinstance(source.error, ConsoleError)
    assert source.error.advice
    qemu.process.wait(10)
    (tmp_path / "again").mkdir()
    again = Qemu(tmp_path / "again", "-S")
    other = RfbSource(ConsoleEndpoint(unix_path=str(again.vnc)))
    with qtbot.waitSignal(other.stateChanged, timeout=10_000):
        other.open()
    assert other.state is SourceState.CONNECTED
    other.close()
    other.deleteLater()
    again.close()


def test_password(qtbot: QtBot, tmp_path: Path) -> None:
    """QEMU checks the answer to its own challenge: right is let in, wrong is told so."""
    qemu = Qemu(
        tmp_path, "-S", "-object", "secret,id=p,data=sesame", "-vnc", f"unix:{tmp_path}/locked,password-secret=p"
    )
    try:
        for password, state in (("sesame", SourceState.CONNECTED), ("wrong", SourceState.DISCONNECTED)):
            source = RfbSource(ConsoleEndpoint(unix_path=str(tmp_path / "locked"), password=password))
            with qtbot.waitSignal(source.stateChanged, timeout=10_000):
                source.open()
            assert source.state is state
            if state is SourceState.DISCONNECTED:
                assert isinstance(source.error, ConsoleError)
                assert "refused the log-in" in source.error.summary
            source.close()
            source.deleteLater()
    finally:
        qemu.close()


def test_idle_costs_nothing(qtbot: QtBot, qemu: Qemu, source: RfbSource) -> None:
    """The thread of a console on a guest that stands still sleeps: next to no processor time."""
    thread = source._link._thread
    assert thread is not None
    stat = Path(f"/proc/self/task/{thread.native_id}/stat")

    def ticks() -> int:
        fields = stat.read_text().rsplit(") ", 1)[1].split()
        return int(fields[11]) + int(fields[12])

    before = ticks()
    qtbot.wait(2000)
    assert ticks() - before <= 2
