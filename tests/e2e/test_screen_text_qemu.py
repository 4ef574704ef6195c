"""Text of real screens: the PC BIOS, UEFI firmware, a guest in VGA text mode, and Linux's console in its fonts."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from guivm.console.frame import Rect
from guivm.console.screentext import NoTextError, ScreenText, TextMethod, read_text
from tests.helpers.guests import boot_sector_image, sample_guest
from tests.helpers.serial_port import SerialPort

pytestmark = pytest.mark.e2e

_PROMPT = r"sample.*# "
_FIRMWARE = "/usr/share/ovmf/OVMF.fd"
_ASCII = "".join(chr(code) for code in range(0x21, 0x7F))


class Machine:
    """A running QEMU without a display of its own."""

    def __init__(self, monitor: socket.socket, directory: Path, port: SerialPort) -> None:
        self._lines = monitor.makefile("rw")
        self._file = directory / "screen.ppm"
        self.port = port
        assert "QMP" in self._lines.readline()
        self._command("qmp_capabilities")

    def close(self) -> None:
        self._lines.close()

    def screen(self) -> NDArray[np.uint8]:
        self._command("screendump", filename=str(self._file))
        with Image.open(self._file) as image:
            rgb = np.asarray(image.convert("RGBX"))
        return np.ascontiguousarray(rgb[:, :, [2, 1, 0, 3]])

    def text(self, region: Rect | None = None) -> ScreenText:
        """Now."""
        return read_text(self.screen(), region, use_ocr=False)

    def wait(self, *wanted: str, timeout: float = 60) -> ScreenText:
        """Until all of it is on the screen, wrapped or not; each look is a command QEMU answers when it has drawn."""
        end = time.monotonic() + timeout
        seen = ""
        while time.monotonic() < end:
            try:
                found = self.text()
            except NoTextError:
                continue
            seen = found.text
            if all(part in seen.replace("\n", "") for part in wanted):
                return found
        raise AssertionError(f"{wanted} did not come; the screen shows {seen!r}")

    def _command(self, name: str, **arguments: str) -> None:
        self._lines.write(json.dumps({"execute": name, "arguments": arguments}) + "\n")
        self._lines.flush()
        while True:
            answer = json.loads(self._lines.readline())
            assert "error" not in answer, answer
            if "return" in answer:
                return


@contextmanager
def running(directory: Path, *arguments: str) -> Iterator[Machine]:
    ours, theirs = socket.socketpair()
    with (
        subprocess.Popen(
            [
                *("qemu-system-x86_64", "-M", "q35", "-accel", "tcg", "-m", "256", "-nodefaults", "-display", "none"),
                *("-serial", "pty", "-no-reboot", *arguments),
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
        try:
            assert process.stdout is not None
            path = next(word for line in process.stdout for word in line.split() if word.startswith("/dev/"))
            ours.settimeout(30)
            with SerialPort(path) as port:
                machine = Machine(ours, directory, port)
                try:
                    yield machine
                finally:
                    machine.close()
        finally:
            process.kill()


@pytest.fixture
def linux(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Machine]:
    """The sample guest at its shell; the parameter is what its kernel is told of the screen."""
    sample = sample_guest()
    words = [word for word in sample.arguments.split() if not word.startswith("fbcon=")]
    boot = ("-kernel", str(sample.kernel), "-initrd", str(sample.initrd))
    with running(tmp_path, "-device", "VGA", *boot, "-append", " ".join([*words, request.param])) as machine:
        machine.port.wait(_PROMPT, 180)
        yield machine


def test_bios(tmp_path: Path) -> None:
    with running(tmp_path, "-device", "VGA", "-boot", "menu=on,splash-time=60000") as machine:
        found = machine.wait("Press ESC for boot menu.")
    assert found.method is TextMethod.FONT
    assert found.font == "VGA BIOS 8×16"
    assert found.confidence == 1.0
    lines = found.text.split("\n")
    assert lines[0].startswith("SeaBIOS (version 1.")
    assert lines[-1] == "Press ESC for boot menu."


def test_text_mode_guest(tmp_path: Path) -> None:
    disk = boot_sector_image(tmp_path / "disk.img")
    drive = f"file={disk},format=raw,if=ide"
    with running(tmp_path, "-device", "VGA", "-drive", drive) as machine:
        machine.wait("guivm")
        machine.port.write(_ASCII)
        found = machine.wait(_ASCII)
    assert found.font == "VGA BIOS 8×16"
    assert found.confidence == 1.0


def test_uefi_shell(tmp_path: Path) -> None:
    with running(tmp_path, "-device", "VGA", "-bios", _FIRMWARE) as machine:
        found = machine.wait("Shell>", timeout=180)
    assert found.font == "UEFI 8×19"
    assert "UEFI Interactive Shell v2.2" in found.text.split("\n")[0]


@pytest.mark.parametrize(
    ("linux", "font"),
    [
        ("fbcon=font:VGA8x16", "Linux VGA 8×16"),
        ("fbcon=font:TER16x32", "Linux Terminus 16×32"),
        ("fbcon=font:VGA8x8", "Linux VGA 8×8"),
    ],
    indirect=["linux"],
)
def test_linux_console(linux: Machine, font: str) -> None:
    linux.port.write(
        f"printf '\\033c%s\\n\\033[7;31minverse\\033[0m \\033[1mbright\\033[0m\\nend' '{_quoted(_ASCII)}' >/dev/tty0\n"
    )
    found = linux.wait("end")
    assert found.font == font
    assert found.confidence == 1.0
    text = found.text
    assert _ASCII in text.replace("\n", "")
    assert "inverse bright" in text.split("\n")


def _quoted(text: str) -> str:
    return text.replace("'", "'\\''")
