"""The server's side of RFB for tests: bytes by hand, and a scripted server on one end of a socket pair."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from guivm.engine.job_types import ConsoleEndpoint

Pixels = NDArray[np.uint8]

VERSION_38 = b"RFB 003.008\n"
SERVER_FORMAT = struct.pack(">BBBBHHHBBBxxx", 32, 24, 0, 1, 255, 255, 255, 16, 8, 0)

RAW, COPY_RECT = 0, 1
DESKTOP_SIZE, LAST_RECT, CURSOR, POINTER_TYPE, EXTENDED_KEY = -223, -224, -239, -257, -258
X_CURSOR, SOUND, XVP = -240, -259, -309
EXTENDED_CLIPBOARD = 0xC0A1E5CE - (1 << 32)
LED_STATE, DESKTOP_NAME, EXTENDED_DESKTOP_SIZE, ALPHA_CURSOR, EXTENDED_BUTTONS = -261, -307, -308, -314, -316


def server_init(width: int, height: int, name: bytes = b"QEMU (test)", pixel_format: bytes = SERVER_FORMAT) -> bytes:
    return struct.pack(">HH", width, height) + pixel_format + struct.pack(">I", len(name)) + name


def greeting_38(width: int, height: int, name: bytes = b"QEMU (test)") -> bytes:
    """All that a 3.8 server without a password says up to and including ServerInit."""
    return VERSION_38 + b"\x01\x01" + b"\0\0\0\0" + server_init(width, height, name)


def rect(x: int, y: int, width: int, height: int, encoding: int, body: bytes = b"") -> bytes:
    return struct.pack(">HHHHi", x, y, width, height, encoding) + body


def update(*rects: bytes, count: int | None = None) -> bytes:
    return struct.pack(">BxH", 0, len(rects) if count is None else count) + b"".join(rects)


def raw(x: int, y: int, pixels: Pixels) -> bytes:
    height, width = pixels.shape[:2]
    return rect(x, y, width, height, RAW, pixels.tobytes())


def extended_size(
    width: int, height: int, reason: int = 0, status: int = 0, screens: Iterable[tuple[int, ...]] | None = None
) -> bytes:
    heads = [(1, 0, 0, width, height, 0)] if screens is None else list(screens)
    body = struct.pack(">Bxxx", len(heads)) + b"".join(struct.pack(">IHHHHI", *head) for head in heads)
    return rect(reason, status, width, height, EXTENDED_DESKTOP_SIZE, body)


def clipboard(flags: int, payload: bytes = b"") -> bytes:
    """A message of the extended clipboard; the same in both directions but for its type."""
    return b"\x03\0\0\0" + struct.pack(">iI", -(4 + len(payload)), flags) + payload


def picture(width: int, height: int, seed: int = 1) -> Pixels:
    """Pixels that differ from all their neighbours: B, G, R, and 0 where Qt ignores the byte."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 4), dtype=np.uint8)
    pixels[:, :, 3] = 0
    return pixels


@dataclass(frozen=True)
class KeyMessage:
    keysym: int
    pressed: bool
    number: int | None = None  # QEMU's key number, None in a plain key event


@dataclass(frozen=True)
class PointerMessage:
    x: int
    y: int
    buttons: int


@dataclass(frozen=True)
class RequestMessage:
    incremental: bool
    width: int
    height: int


@dataclass(frozen=True)
class EncodingsMessage:
    encodings: tuple[int, ...]


@dataclass(frozen=True)
class FormatMessage:
    data: bytes


@dataclass(frozen=True)
class SizeMessage:
    width: int
    height: int
    screens: tuple[tuple[int, int, int, int, int, int], ...]  # id, x, y, width, height, flags


@dataclass(frozen=True)
class PowerMessage:
    version: int
    action: int


@dataclass(frozen=True)
class CutMessage:
    """Plain when ``flags`` is None; otherwise of the extended clipboard."""

    data: bytes
    flags: int | None = None


@dataclass(frozen=True)
class SoundMessage:
    operation: int
    data: bytes = b""


Message = (
    KeyMessage
    | PointerMessage
    | RequestMessage
    | EncodingsMessage
    | FormatMessage
    | SizeMessage
    | PowerMessage
    | CutMessage
    | SoundMessage
)


AnyMessage = TypeVar("AnyMessage", bound=Message)


class ScriptedServer:
    """Blocking, with a deadline on every read: a test that waits in vain fails instead of hanging."""

    def __init__(self, timeout_s: float = 5.0) -> None:
        ours, theirs = socket.socketpair()
        self.sock = ours
        self.sock.settimeout(timeout_s)
        self._theirs: socket.socket | None = theirs

    def endpoint(self, password: str | None = None) -> ConsoleEndpoint:
        """The client's end; to be asked for once."""
        assert self._theirs is not None
        fd, self._theirs = self._theirs.detach(), None
        return ConsoleEndpoint(fd=fd, password=password)

    def close(self) -> None:
        self.sock.close()
        if self._theirs is not None:
            self._theirs.close()

    def __enter__(self) -> ScriptedServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, data: bytes) -> None:
        """A client that has left already is no error: whoever sends cannot know."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.sock.sendall(data)

    def read(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = self.sock.recv(count - len(data))
            if not part:
                raise EOFError("the client closed the connection")
            data += part
        return data

    def is_left(self) -> bool:
        """Read what the client still had to say, until it has closed the connection."""
        try:
            while self.sock.recv(65536):
                pass
        except TimeoutError:
            return False
        except ConnectionResetError:
            return True
        return True

    def handshake(self, width: int, height: int, name: bytes = b"QEMU (test)") -> None:
        """Up to and including the first full request; what the client says on the way is checked."""
        self.send(greeting_38(width, height, name))
        assert self.read(12) == VERSION_38
        assert self.read(1) == b"\x01"
        assert self.read(1) == b"\x01"
        assert isinstance(self.message(), FormatMessage)
        assert isinstance(self.message(), EncodingsMessage)
        assert self.message() == RequestMessage(False, width, height)

    def acknowledge_qemu(self, *, absolute: bool = True) -> None:
        """What QEMU says first of all: extended keys, and the kind of pointer."""
        self.send(update(rect(int(absolute), 0, 0, 0, POINTER_TYPE), rect(0, 0, 0, 0, EXTENDED_KEY)))

    def message(self) -> Message:
        """The client's next message."""
        kind = self.read(1)[0]
        if kind == 0:
            return FormatMessage(self.read(19)[3:])
        if kind == 2:
            (count,) = struct.unpack(">xH", self.read(3))
            return EncodingsMessage(struct.unpack(f">{count}i", self.read(4 * count)))
        if kind == 3:
            incremental, _x, _y, width, height = struct.unpack(">BHHHH", self.read(9))
            return RequestMessage(bool(incremental), width, height)
        if kind == 4:
            pressed, keysym = struct.unpack(">BxxI", self.read(7))
            return KeyMessage(keysym, bool(pressed))
        if kind == 5:
            return PointerMessage(*_pointer(self.read(5)))
        if kind == 6:
            (length,) = struct.unpack(">xxxi", self.read(7))
            if length >= 0:
                return CutMessage(self.read(length))
            (flags,) = struct.unpack(">I", self.read(4))
            return CutMessage(self.read(-length - 4), flags)
        if kind == 250:
            return PowerMessage(*struct.unpack(">xBB", self.read(3)))
        if kind == 251:
            width, height, count = struct.unpack(">xHHBx", self.read(7))
            return SizeMessage(width, height, tuple(struct.iter_unpack(">IHHHHI", self.read(16 * count))))
        if kind == 255:
            sub = self.read(1)[0]
            if sub == 1:
                (operation,) = struct.unpack(">H", self.read(2))
                return SoundMessage(operation, self.read(6) if operation == 2 else b"")
            assert sub == 0
            pressed, keysym, number = struct.unpack(">HII", self.read(10))
            return KeyMessage(keysym, bool(pressed), number)
        raise AssertionError(f"client message of type {kind}")

    def input_message(self) -> KeyMessage | PointerMessage:
        """The client's next key or pointer message; requests on the way are passed over."""
        while True:
            message = self.message()
            if isinstance(message, KeyMessage | PointerMessage):
                return message

    def of_kind(self, kind: type[AnyMessage]) -> AnyMessage:
        """The client's next message of this kind; others on the way are passed over."""
        while True:
            message = self.message()
            if isinstance(message, kind):
                return message

    def request(self) -> RequestMessage:
        while True:
            message = self.message()
            if isinstance(message, RequestMessage):
                return message


def _pointer(data: bytes) -> tuple[int, int, int]:
    buttons, x, y = struct.unpack(">BHH", data)
    return x, y, buttons
