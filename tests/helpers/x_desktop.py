"""Parts of a desktop on an X server: one that takes shortcuts for itself, and a keyboard of hardware."""

from __future__ import annotations

import select
import socket
import struct
import subprocess
from pathlib import Path
from types import TracebackType

from guivm.console.input.xcb import XConnection, XEvent

PRESS, RELEASE = 2, 3
CONTROL, ALT = 0x04, 0x08
_GRAB_KEY, _QUERY_KEYMAP, _GET_INPUT_FOCUS = 33, 44, 43
_PATIENCE_S = 20


class Desktop:
    """Grabs keys on the root window as a window manager does, and keeps the keyboard until they are released."""

    def __init__(self, display: str) -> None:
        self._x = XConnection(display)
        told = subprocess.run(["xwininfo", "-display", display, "-root"], check=True, capture_output=True, text=True)
        self._root = int(told.stdout.split("Window id: ")[1].split()[0], 16)

    def __enter__(self) -> Desktop:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._x.close()

    def take(self, keycode: int, modifiers: int = 0) -> None:
        body = struct.pack("=IHBBB3x", self._root, modifiers, keycode, 1, 1)
        self._x.send(_GRAB_KEY, 0, body)
        self._x.ask(_GET_INPUT_FOCUS)

    def next(self) -> tuple[int, int, int]:
        """Kind, key code and state of the next key event."""
        while True:
            for event in self._x.events():
                if event.kind in (PRESS, RELEASE):
                    return _key(event)
            assert select.select([self._x.descriptor], [], [], _PATIENCE_S)[0], "no key came"

    def keys_down(self) -> list[int]:
        keys = self._x.ask(_QUERY_KEYMAP)[8:]
        return [code for code in range(256) if keys[code >> 3] >> (code & 7) & 1]

    def rest(self) -> list[tuple[int, int, int]]:
        """What came and was not asked for; the server has done all that was asked of it before."""
        self._x.ask(_GET_INPUT_FOCUS)
        return [_key(event) for event in self._x.events() if event.kind in (PRESS, RELEASE)]


def _key(event: XEvent) -> tuple[int, int, int]:
    return event.kind, event.data[1], int(struct.unpack_from("=H", event.data, 28)[0])


class VncKeyboard:
    """The keyboard of a running Xvnc: a device of its own beside XTEST's."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(_PATIENCE_S)
        self._socket.connect(str(path))
        self._read(12)
        self._socket.sendall(b"RFB 003.008\n")
        self._read(self._read(1)[0])
        self._socket.sendall(b"\x01")  # no authentication
        self._read(4)
        self._socket.sendall(b"\x01")  # others may be there too
        self._read(int.from_bytes(self._read(24)[20:]))

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            data += self._socket.recv(size - len(data))
        return data

    def press(self, *keysyms: int) -> None:
        for keysym in keysyms:
            self._socket.sendall(struct.pack(">BBHI", 4, 1, 0, keysym))

    def release(self, *keysyms: int) -> None:
        for keysym in keysyms:
            self._socket.sendall(struct.pack(">BBHI", 4, 0, 0, keysym))

    def close(self) -> None:
        self._socket.close()
