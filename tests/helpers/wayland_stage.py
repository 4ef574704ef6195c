"""A private Wayland compositor (sway without a screen), with eyes on its picture and hands on its input devices."""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from tests.helpers.wayland_input import WaylandInput

_CONFIG = """
output HEADLESS-1 resolution {width}x{height} position 0 0 scale {scale}
xwayland disable
focus_follows_mouse no
seat * hide_cursor 0
input type:keyboard repeat_delay 150
input type:keyboard repeat_rate 50
for_window [title=".*"] floating enable, border none
{more}
exec printf '%s\\n%s\\n' "$WAYLAND_DISPLAY" "$SWAYSOCK" >/dev/fd/{ready}
"""
_PATIENCE_S = 20
_RUN, _OUTPUTS, _TREE = 0, 3, 4  # sway-ipc(7)


class WaylandStage:
    """``input``: a keyboard and a mouse. Places are in logical units of the screen, as windows are measured."""

    def __init__(self, runtime: Path, display: str, control: _Ipc, hands: WaylandInput) -> None:
        self.runtime = runtime
        self.display = display
        self.input = hands
        self._asking = control

    @property
    def env(self) -> dict[str, str]:
        """For programs that are to open their windows here."""
        return os.environ | {
            "XDG_RUNTIME_DIR": str(self.runtime),
            "WAYLAND_DISPLAY": self.display,
            "QT_QPA_PLATFORM": "wayland",
            "GUIVM_TEST_PLATFORM": "1",
        }

    def run(self, command: str) -> None:
        """A command of sway(5)."""
        answers = self._asking.ask(_RUN, command)
        assert all(answer["success"] for answer in answers), f"{command}: {answers}"

    @property
    def size(self) -> tuple[int, int]:
        """Of all screens together, which lie side by side."""
        rects = [output["rect"] for output in self._asking.ask(_OUTPUTS)]
        return max(r["x"] + r["width"] for r in rects), max(r["y"] + r["height"] for r in rects)

    def window(self, pid: int) -> dict[str, Any]:
        """What sway knows of a program's window (``get_tree``); LookupError when it has none."""
        nodes = [self._asking.ask(_TREE)]
        while nodes:
            node = nodes.pop()
            if node.get("pid") == pid:
                return dict(node)
            nodes += node["nodes"] + node["floating_nodes"]
        raise LookupError(pid)

    def point(self, x: float, y: float) -> None:
        """Move the pointer there, in logical units of the screen."""
        self.input.move_to(x, y, self.size)

    def picture(self, *, cursor: bool = False) -> Image.Image:
        """All screens as they are now, in device pixels."""
        arguments = ["grim", *(["-c"] if cursor else []), "-t", "ppm", "-"]
        done = subprocess.run(arguments, env=self.env, check=True, capture_output=True, timeout=_PATIENCE_S)
        with tempfile.TemporaryFile() as file:
            file.write(done.stdout)
            file.seek(0)
            with Image.open(file) as image:
                return image.convert("RGB")


class _Ipc:
    """sway-ipc(7): requests over a UNIX socket."""

    _MAGIC = b"i3-ipc"

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(_PATIENCE_S)
        self._socket.connect(str(path))

    def close(self) -> None:
        self._socket.close()

    def ask(self, kind: int, text: str = "") -> Any:
        data = text.encode()
        self._socket.sendall(self._MAGIC + struct.pack("=II", len(data), kind) + data)
        header = self._take(14)
        length, _kind = struct.unpack_from("=II", header, 6)
        return json.loads(self._take(length))

    def _take(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = self._socket.recv(count - len(data))
            if not part:
                raise RuntimeError("sway ended")
            data += part
        return data


@contextmanager
def wayland_stage(
    width: int = 1200, height: int = 900, *, scale: float = 1, layout: str = "us", more: str = ""
) -> Iterator[WaylandStage]:
    """Run sway on a made-up screen of that many device pixels. ``layout``: of the keyboard; ``more``: configuration."""
    with ExitStack() as stack:
        # A short path: names of UNIX sockets have room for 107 bytes.
        runtime = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gw-")))  # made with mode 0700
        read, write = os.pipe()
        config = runtime / "config"
        config.write_text(_CONFIG.format(width=width, height=height, scale=scale, more=more, ready=write))
        log = stack.enter_context((runtime / "log").open("wb"))
        process = subprocess.Popen(
            _wrap(["setpriv", "--pdeathsig", "KILL", "sway", "--config", str(config)]),
            env=_environment(runtime),
            pass_fds=[write],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        stack.callback(process.wait, _PATIENCE_S)
        stack.callback(process.terminate)
        os.close(write)
        with os.fdopen(read) as answer:
            told = bool(select.select([answer], [], [], _PATIENCE_S)[0])
            display, control = (answer.readline().strip(), answer.readline().strip()) if told else ("", "")
        if not control:
            raise RuntimeError(f"sway did not start; is the package sway installed?\n{(runtime / 'log').read_text()}")
        hands = WaylandInput(runtime / display, layout)
        stack.callback(hands.close)
        ipc = _Ipc(Path(control))
        stack.callback(ipc.close)
        yield WaylandStage(runtime, display, ipc, hands)


def _environment(runtime: Path) -> dict[str, str]:
    outside = {"DISPLAY", "WAYLAND_DISPLAY", "SWAYSOCK", "I3SOCK"}
    return {name: value for name, value in os.environ.items() if name not in outside} | {
        "XDG_RUNTIME_DIR": str(runtime),
        "WLR_BACKENDS": "headless",
        "WLR_LIBINPUT_NO_DEVICES": "1",
        "WLR_RENDERER": "pixman",
    }


def _wrap(argv: list[str]) -> list[str]:
    """sway refuses to be root: then it runs as a made-up ordinary user in a user namespace."""
    if os.geteuid() != 0:
        return argv
    return ["unshare", "--user", "--map-user=65534", "--map-group=65534", "--", *argv]
