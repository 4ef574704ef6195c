"""Typed text and key combinations in a real guest: the sample guest's shell, PS/2 and USB keyboards; the BIOS."""

from __future__ import annotations

import base64
import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from guivm.console.frame import KeyboardLeds
from guivm.console.input.key_combos import KeyCombo
from guivm.console.input.typist import DEFAULT_RATE, MAX_RATE, Typist
from guivm.console.rfb_source import RfbSource
from guivm.console.source import SourceState
from guivm.console.typing import US, TypingPlan, plan
from guivm.engine.job_types import ConsoleEndpoint
from tests.helpers.guests import boot_sector_image, sample_guest
from tests.helpers.serial_port import SerialPort

pytestmark = pytest.mark.e2e

ASCII = "".join(chr(number) for number in range(0x20, 0x7F))
TEXT = f"{ASCII}{ASCII[::-1]}{ASCII}aAaAaAaA 12345!"
PROMPT = r"sample.*# "
_USB = ("-device", "qemu-xhci", "-device", "usb-kbd")


class Guest:
    """A running guest: its display and its first serial port."""

    def __init__(self, qtbot: QtBot, source: RfbSource, port: SerialPort) -> None:
        self._qtbot = qtbot
        self.source = source
        self.port = port
        self.leds: list[KeyboardLeds] = []
        source.ledsChanged.connect(self.leds.append)

    def type(self, made: TypingPlan, rate: int) -> None:
        typist = Typist(self.source.send_key)
        with self._qtbot.waitSignal(typist.finished, timeout=60_000):
            typist.start(made, rate)
        typist.deleteLater()

    def press(self, name: str) -> None:
        for event in KeyCombo.parse(name).events():
            self.source.send_key(*event)

    def ask(self, command: str, pattern: str) -> str:
        """What a command in the serial port's shell says between marks."""
        self.port.write(f"{command}\n")
        return self.port.wait(pattern, 60)[1]


@contextmanager
def running(qtbot: QtBot, directory: Path, *arguments: str) -> Iterator[Guest]:
    display = directory / "vnc"
    ours, theirs = socket.socketpair()
    with (
        subprocess.Popen(
            [
                *("qemu-system-x86_64", "-M", "q35", "-accel", "tcg", "-m", "256", "-nodefaults", "-device", "VGA"),
                *("-display", "none", "-vnc", f"unix:{display}", "-serial", "pty", "-no-reboot", *arguments),
                *("-chardev", f"socket,id=monitor,fd={theirs.fileno()}", "-mon", "chardev=monitor,mode=control"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            pass_fds=[theirs.fileno()],
        ) as process,
        ours,
    ):
        theirs.close()
        assert process.stdout is not None
        path = next(word for line in process.stdout for word in line.split() if word.startswith("/dev/"))
        ours.settimeout(20)
        with ours.makefile("rw") as monitor:  # when it answers, everything else is open
            assert "QMP" in monitor.readline()
            monitor.write('{"execute": "qmp_capabilities"}\n')
            monitor.flush()
            assert "return" in monitor.readline()
        source = RfbSource(ConsoleEndpoint(unix_path=str(display)))
        try:
            with SerialPort(path) as port:
                guest = Guest(qtbot, source, port)
                with qtbot.waitSignal(source.stateChanged, timeout=20_000):
                    source.open()
                assert source.state is SourceState.CONNECTED, source.error
                yield guest
        finally:
            source.close()
            source.deleteLater()
            process.kill()


@contextmanager
def linux(qtbot: QtBot, directory: Path, *arguments: str) -> Iterator[Guest]:
    """The sample guest, with its shell on the screen ready for keys."""
    sample = sample_guest()
    boot = ("-kernel", str(sample.kernel), "-initrd", str(sample.initrd), "-append", sample.arguments)
    with running(qtbot, directory, *boot, *arguments) as guest:
        guest.port.wait(PROMPT, 180)
        guest.ask("until grep -q 'sample:~#' /dev/vcs1; do usleep 50000; done; echo REA''DY", r"(READY)")
        yield guest


def received(guest: Guest, text: str, rate: int) -> str:
    """What the shell on the screen got of a text that is typed."""
    guest.port.write("rm -f /tmp/typed; until [ -e /tmp/typed ]; do usleep 50000; done; echo LIST''ENING\n")
    guest.type(plan("cat >/tmp/typed\n", US), rate)
    guest.port.wait("LISTENING", 60)
    guest.type(plan(f"{text}\n", US), rate)
    guest.press("ctrl-d")
    guest.port.write("while pidof cat >/dev/null; do usleep 50000; done; echo E''ND\n")
    guest.port.wait("END", 60)
    answer = guest.ask("echo [$(base64 -w0 /tmp/typed)]", r"\[([A-Za-z0-9+/=]*)\]")
    return base64.b64decode(answer).decode()


@pytest.mark.parametrize("keyboard", [(), _USB], ids=["ps2", "usb"])
def test_every_ascii_character_arrives(qtbot: QtBot, tmp_path: Path, keyboard: tuple[str, ...]) -> None:
    assert len(TEXT) >= 300
    with linux(qtbot, tmp_path, *keyboard) as guest:
        assert received(guest, TEXT, DEFAULT_RATE) == f"{TEXT}\n"
        assert received(guest, f"{TEXT[:80]}\n\t{TEXT[:80]}", MAX_RATE) == f"{TEXT[:80]}\n\t{TEXT[:80]}\n"


def test_caps_lock_and_combinations(qtbot: QtBot, tmp_path: Path) -> None:
    with linux(qtbot, tmp_path) as guest:
        guest.press("capslock")
        qtbot.waitUntil(lambda: bool(guest.leds) and bool(guest.leds[-1] & KeyboardLeds.CAPS_LOCK), timeout=20_000)
        command = "echo aA1! >/dev/ttyS0\n"
        guest.type(plan(command, US, caps_lock=True), DEFAULT_RATE)
        guest.port.wait(r"aA1!", 60)
        guest.press("capslock")
        qtbot.waitUntil(lambda: not guest.leds[-1] & KeyboardLeds.CAPS_LOCK, timeout=20_000)
        guest.type(plan("sleep 1000\n", US), DEFAULT_RATE)
        guest.ask("until pidof sleep >/dev/null; do usleep 50000; done; echo S''LEEPS", "(SLEEPS)")
        guest.press("ctrl-c")
        guest.ask("while pidof sleep >/dev/null; do usleep 50000; done; echo A''WAKE", "(AWAKE)")
        guest.port.write(
            "cat /proc/sys/kernel/sysrq; echo 511 >/proc/sys/kernel/sysrq; echo 8 >/proc/sys/kernel/printk\n"
        )
        guest.press("alt-sysrq-h")
        guest.port.wait(r"sysrq: HELP", 60)


def test_the_bios_loses_nothing(qtbot: QtBot, tmp_path: Path) -> None:
    """The boot sector sends out on COM1 what INT 16h gave it; the BIOS keeps 15 keys."""
    disk = boot_sector_image(tmp_path / "disk.img")
    with running(qtbot, tmp_path, "-drive", f"file={disk},format=raw,if=ide") as guest:
        framebuffer = guest.source.framebuffer
        assert framebuffer is not None
        guest.port.write("?")
        qtbot.waitUntil(lambda: _has_title(guest), timeout=30_000)
        guest.type(plan(TEXT, US), DEFAULT_RATE)
        guest.port.wait(re.escape(TEXT), 30)


def _has_title(guest: Guest) -> bool:
    """The block that changes its colour is in the upper right corner of the text screen."""
    framebuffer = guest.source.framebuffer
    assert framebuffer is not None
    return (framebuffer.width, framebuffer.height) == (720, 400) and bool(framebuffer.pixels[2:14, 712:719, :3].any())
