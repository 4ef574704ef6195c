"""Real QEMU guests for ``./dev bench console``: boot sectors under TCG, with a VNC server on loopback TCP."""

from __future__ import annotations

import json
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.processes import end
from tests.bench.report import BenchError

QEMU = "qemu-system-x86_64"
PACKAGES = ("qemu-system-x86", "binutils")

_SOURCES = Path(__file__).parent / "console_guests"
_START_S = 20.0


class Guest:
    """A running guest. ``port``: of its VNC server on 127.0.0.1."""

    def __init__(self, process: subprocess.Popen[bytes], monitor: socket.socket) -> None:
        self.process = process
        self._monitor = monitor
        self._file = monitor.makefile("rb")
        self._file.readline()  # the greeting
        self._ask("qmp_capabilities")
        told = self._ask("query-vnc")
        assert isinstance(told, dict)
        self.port = int(told["service"])

    def press_key(self) -> None:
        """Into the guest's keyboard, past every VNC connection; the press is with QEMU when this returns."""
        self._ask("input-send-event", events=[_key(True)])

    def release_key(self) -> None:
        self._ask("input-send-event", events=[_key(False)])

    def _ask(self, command: str, **arguments: object) -> object:
        request = {"execute": command, **({"arguments": arguments} if arguments else {})}
        self._monitor.sendall(json.dumps(request).encode() + b"\n")
        while line := self._file.readline():
            answer = json.loads(line)
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise BenchError(f"QEMU refused {command}: {answer['error'].get('desc')}")
        raise BenchError(f"QEMU ended with code {self.process.poll()}.")

    def close(self) -> None:
        self._file.close()
        self._monitor.close()


def _key(pressed: bool) -> dict[str, object]:
    return {"type": "key", "data": {"down": pressed, "key": {"type": "qcode", "data": "a"}}}


def boot_sector(name: str, directory: Path) -> Path:
    """A disk image that boots ``console_guests/NAME.S``."""
    source = _SOURCES / f"{name}.S"
    path = directory / f"{name}.img"
    with tempfile.TemporaryDirectory(dir=directory) as work:
        built, linked = Path(work) / "boot.o", Path(work) / "boot.bin"
        link = ("ld", "-m", "elf_i386", "--oformat", "binary", "-Ttext", "0x7c00", "-e", "start", "-o", str(linked))
        for command in (("as", "--32", "-o", str(built), str(source)), (*link, str(built))):
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
            if done.returncode:
                raise BenchError(f"{command[0]} failed: {done.stderr.strip()}")
        path.write_bytes(linked.read_bytes().ljust(1 << 20, b"\0"))
    return path


@contextmanager
def guest(image: Path, directory: Path, number: int = 0) -> Iterator[Guest]:
    """A guest that boots the image, which it does not change. ``directory`` (short) gets its monitor and log."""
    monitor_path = directory / f"qmp-{number}"
    with (directory / f"qemu-{number}.log").open("wb") as log:
        process = subprocess.Popen(
            [
                *(QEMU, "-machine", "pc,accel=tcg", "-m", "32", "-nodefaults", "-no-user-config", "-net", "none"),
                *("-vga", "std", "-display", "none", "-vnc", "127.0.0.1:0,to=500,share=ignore"),
                *("-qmp", f"unix:{monitor_path},server=on,wait=off"),
                *("-drive", f"file={image},format=raw,if=ide,snapshot=on"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        running = Guest(process, _connect(process, monitor_path))
        try:
            yield running
        finally:
            running.close()
    finally:
        end(process)


def _connect(process: subprocess.Popen[bytes], path: Path) -> socket.socket:
    deadline = time.monotonic() + _START_S
    while True:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.connect(str(path))
            sock.settimeout(_START_S)
            return sock
        except (FileNotFoundError, ConnectionRefusedError):
            sock.close()
            if process.poll() is not None or time.monotonic() >= deadline:
                raise BenchError(f"{QEMU} did not come up; its log is {path.parent}.") from None
            time.sleep(0.02)
        except BaseException:
            sock.close()
            raise
