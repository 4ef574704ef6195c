"""A keyboard and a mouse of our own at a Wayland compositor, over the wire; no library.

The wire (wayland.freedesktop.org, "Wire Format"): object id, then ``size << 16 | opcode``, then arguments as 32-bit
words in the machine's order. Used are ``zwp_virtual_keyboard_v1`` and ``zwlr_virtual_pointer_v1``, which compositors
on wlroots have. Keys are Linux's codes; the compositor gets them with a layout from the system's XKB tables.
"""

from __future__ import annotations

import array
import ctypes
import os
import socket
import struct
import time
from pathlib import Path

_WL_DISPLAY = 1
_GLOBALS = ("wl_seat", "zwp_virtual_keyboard_manager_v1", "zwlr_virtual_pointer_manager_v1")
_XKB_OFFSET = 8
_LOCKS = {58: 1 << 1, 69: 1 << 4}  # Caps Lock and Num Lock: Lock, Mod2

LEFT, RIGHT, MIDDLE = 0x110, 0x111, 0x112
"""Buttons (``linux/input-event-codes.h``)."""


class _Xkb:
    """libxkbcommon: a layout's table as text, and which modifiers keys make."""

    def __init__(self, layout: str) -> None:
        self._lib = ctypes.CDLL("libxkbcommon.so.0")
        for name in ("xkb_context_new", "xkb_keymap_new_from_names", "xkb_keymap_get_as_string", "xkb_state_new"):
            getattr(self._lib, name).restype = ctypes.c_void_p
        self._lib.xkb_state_serialize_mods.restype = ctypes.c_uint32
        context = ctypes.c_void_p(self._lib.xkb_context_new(0))
        names = (ctypes.c_char_p * 5)(b"evdev", b"pc105", layout.encode(), b"", b"")
        self._keymap = ctypes.c_void_p(self._lib.xkb_keymap_new_from_names(context, names, 0))
        assert self._keymap.value, f"no layout {layout!r}"
        self._state = ctypes.c_void_p(self._lib.xkb_state_new(self._keymap))

    def text(self) -> bytes:
        """``XKB_KEYMAP_FORMAT_TEXT_V1``, with the zero byte at its end."""
        address = self._lib.xkb_keymap_get_as_string(self._keymap, 1)
        return ctypes.string_at(address) + b"\0"

    def update(self, code: int, pressed: bool) -> tuple[int, int, int]:
        """Modifiers that are depressed, latched and locked then."""
        self._lib.xkb_state_update_key(self._state, code + _XKB_OFFSET, int(pressed))
        down, latched, locked = (int(self._lib.xkb_state_serialize_mods(self._state, 1 << bit)) for bit in range(3))
        return down, latched, locked


class WaylandInput:
    """One more keyboard and mouse of the compositor at ``path`` (its socket). Each call waits until it was taken."""

    def __init__(self, path: Path, layout: str = "us") -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(20)
        self._socket.connect(str(path))
        self._last_id = _WL_DISPLAY
        self._bytes = b""
        self._xkb = _Xkb(layout)
        registry = self._new_id()
        self._send(_WL_DISPLAY, 1, struct.pack("=I", registry))  # get_registry
        seat, keyboards, pointers = (self._bind(registry, name) for name in self._sync(registry))
        self._keyboard, self._pointer = self._new_id(), self._new_id()
        self._send(keyboards, 0, struct.pack("=II", seat, self._keyboard))
        self._send(pointers, 0, struct.pack("=II", seat, self._pointer))
        self._send_keymap(self._xkb.text())
        self._sync()

    def close(self) -> None:
        self._socket.close()

    # --- the person's side ----------------------------------------------------------------------------

    def key_down(self, code: int) -> None:
        self._key(code, True)

    def key_up(self, code: int) -> None:
        self._key(code, False)

    def tap(self, *codes: int) -> None:
        """Press keys in that order and release them in the same."""
        for code in codes:
            self._key(code, True)
        for code in codes:
            self._key(code, False)

    def move_to(self, x: float, y: float, extent: tuple[int, int]) -> None:
        """A place on the screen; ``extent``: its size, both in the compositor's (logical) units."""
        parts = 1000
        place = struct.pack("=IIII", round(x * parts), round(y * parts), extent[0] * parts, extent[1] * parts)
        self._send(self._pointer, 1, struct.pack("=I", _now()) + place)
        self._frame()

    def move_by(self, dx: float, dy: float) -> None:
        self._send(self._pointer, 0, struct.pack("=Iii", _now(), round(dx * 256), round(dy * 256)))
        self._frame()

    def button(self, button: int, pressed: bool) -> None:
        self._send(self._pointer, 2, struct.pack("=III", _now(), button, int(pressed)))
        self._frame()

    def click(self, button: int = LEFT) -> None:
        self.button(button, True)
        self.button(button, False)

    def wheel(self, notches: int, *, horizontal: bool = False) -> None:
        """Towards the person, or to the right: positive."""
        axis = int(horizontal)
        self._send(self._pointer, 5, struct.pack("=I", 0))  # axis_source: a wheel
        for _ in range(abs(notches)):
            step = 1 if notches > 0 else -1
            self._send(self._pointer, 7, struct.pack("=IIii", _now(), axis, step * 15 * 256, step))  # axis_discrete
            self._frame()

    # --- the wire -------------------------------------------------------------------------------------

    def _key(self, code: int, pressed: bool) -> None:
        self._send(self._keyboard, 1, struct.pack("=III", _now(), code, int(pressed)))
        down, latched, locked = self._xkb.update(code, pressed)
        self._send(self._keyboard, 2, struct.pack("=IIII", down, latched, locked, 0))
        self._sync()

    def _frame(self) -> None:
        self._send(self._pointer, 4)
        self._sync()

    def _send_keymap(self, text: bytes) -> None:
        handle = os.memfd_create("keymap")
        try:
            os.write(handle, text)
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [handle]))]
            body = struct.pack("=II", 1, len(text))
            self._socket.sendmsg([_header(self._keyboard, 0, body) + body], rights)
        finally:
            os.close(handle)

    def _new_id(self) -> int:
        self._last_id += 1
        return self._last_id

    def _bind(self, registry: int, found: tuple[int, str]) -> int:
        number, name = found
        new = self._new_id()
        self._send(registry, 0, struct.pack("=I", number) + _string(name) + struct.pack("=II", 1, new))
        return new

    def _sync(self, registry: int = 0) -> list[tuple[int, str]]:
        """Wait until all that was sent is done; answers (number, interface) of our globals that were told meanwhile."""
        callback = self._new_id()
        self._send(_WL_DISPLAY, 0, struct.pack("=I", callback))
        found: dict[str, int] = {}
        while True:
            sender, opcode, body = self._receive()
            if sender == callback:
                break
            if sender == _WL_DISPLAY and opcode == 0:
                raise RuntimeError(f"the compositor refuses: {body[12:].decode(errors='replace')}")
            if registry and sender == registry and opcode == 0:
                number, length = struct.unpack_from("=II", body)
                found.setdefault(body[8 : 8 + length - 1].decode(), number)
        return [(found[name], name) for name in _GLOBALS] if registry else []

    def _send(self, target: int, opcode: int, body: bytes = b"") -> None:
        self._socket.sendall(_header(target, opcode, body) + body)

    def _receive(self) -> tuple[int, int, bytes]:
        sender, rest = struct.unpack("=II", self._take(8))
        return sender, rest & 0xFFFF, self._take((rest >> 16) - 8)

    def _take(self, count: int) -> bytes:
        while len(self._bytes) < count:
            data = self._socket.recv(65536)
            if not data:
                raise RuntimeError("the compositor closed the connection")
            self._bytes += data
        taken, self._bytes = self._bytes[:count], self._bytes[count:]
        return taken


def _header(target: int, opcode: int, body: bytes) -> bytes:
    return struct.pack("=II", target, (8 + len(body)) << 16 | opcode)


def _string(text: str) -> bytes:
    data = text.encode() + b"\0"
    return struct.pack("=I", len(data)) + data + bytes(-len(data) % 4)


def _now() -> int:
    return time.monotonic_ns() // 1_000_000 & 0xFFFF_FFFF
