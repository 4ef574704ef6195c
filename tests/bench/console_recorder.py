"""Records one encoding of QEMU's VNC server, update by update, for the replay server.

An independent and small client: it only finds where updates end (RFC 6143 §7.7; Tight as in the community's rfbproto)
and decodes nothing. The zlib streams are good from the first byte on only, so a recording starts with its connection.
"""

from __future__ import annotations

import socket
import time
from pathlib import Path
from struct import unpack

from tests.bench.console_streams import PIXEL_FORMAT, write_recording
from tests.bench.report import BenchError

ENCODINGS = {"tight": 7, "zrle": 16}
_COMPRESSION = -255  # level 1, what a viewer on a fast network asks for
_PATIENCE_S = 60.0

_FILL, _JPEG, _PNG = 8, 9, 10


class _Tape:
    """Reads from the server and keeps what was read since it was last cut."""

    def __init__(self, sock: socket.socket) -> None:
        self._file = sock.makefile("rb")
        self._parts: list[bytes] = []

    def read(self, count: int) -> bytes:
        data = self._file.read(count)
        if len(data) != count:
            raise BenchError("QEMU closed the display while it was recorded.")
        self._parts.append(data)
        return data

    def number(self, form: str, size: int) -> int:
        return int(unpack(form, self.read(size))[0])

    def cut(self) -> bytes:
        data = b"".join(self._parts)
        self._parts = []
        return data

    def close(self) -> None:
        self._file.close()


def record(port: int, encoding: str, updates: int, path: Path) -> None:
    """``updates`` and a first one of the whole screen, from the server at that port of 127.0.0.1, into ``path``."""
    with socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE_S) as sock:
        tape = _Tape(sock)
        try:
            init = _greet(sock, tape, ENCODINGS[encoding])
            began = time.monotonic_ns()
            kept: list[tuple[int, bytes]] = []
            for number in range(updates + 1):
                sock.sendall(b"\3" + bytes([number > 0]) + b"\0\0\0\0" + init[:4])  # the whole screen
                update = _update(tape)
                kept.append(((time.monotonic_ns() - began) // 1000, update))
        finally:
            tape.close()
    write_recording(path, init, kept)


def _greet(sock: socket.socket, tape: _Tape, encoding: int) -> bytes:
    """Answers the ServerInit."""
    tape.read(12)
    sock.sendall(b"RFB 003.008\n")
    tape.read(tape.read(1)[0])
    sock.sendall(b"\1")
    if tape.read(4) != b"\0\0\0\0":
        raise BenchError("QEMU refused the recording.")
    sock.sendall(b"\1")
    tape.cut()
    tape.read(20)
    tape.read(tape.number(">I", 4))
    init = tape.cut()
    sock.sendall(b"\0\0\0\0" + PIXEL_FORMAT + b"\0\0\0")
    numbers = (encoding, _COMPRESSION)
    sock.sendall(b"\2\0\0\2" + b"".join(number.to_bytes(4, "big", signed=True) for number in numbers))
    return init


def _update(tape: _Tape) -> bytes:
    kind = tape.read(1)[0]
    if kind != 0:
        raise BenchError(f"QEMU sent a message of type {kind} while it was recorded.")
    tape.read(1)
    for _ in range(tape.number(">H", 2)):
        _x, _y, width, height, encoding = unpack(">HHHHi", tape.read(12))
        if encoding == 0:
            tape.read(width * height * 4)
        elif encoding == ENCODINGS["zrle"]:
            tape.read(tape.number(">I", 4))
        elif encoding == ENCODINGS["tight"]:
            _tight(tape, width, height)
        else:
            raise BenchError(f"QEMU sent a rectangle in encoding {encoding}, which was not asked for.")
    return tape.cut()


def _tight(tape: _Tape, width: int, height: int) -> None:
    """Colours are three bytes (TPIXEL)."""
    control = tape.read(1)[0] >> 4
    if control == _FILL:
        tape.read(3)
        return
    if control in (_JPEG, _PNG):
        tape.read(_compact_length(tape))
        return
    row = width * 3
    if control & 4 and tape.read(1)[0] == 1:  # a filter is named, and it is a palette
        colours = tape.read(1)[0] + 1
        tape.read(colours * 3)
        row = (width + 7) // 8 if colours == 2 else width
    size = row * height
    tape.read(size if size < 12 else _compact_length(tape))


def _compact_length(tape: _Tape) -> int:
    """Seven bits a byte, at most three bytes, the last of eight bits."""
    length = 0
    for shift in (0, 7, 14):
        byte = tape.read(1)[0]
        length |= (byte & 0x7F if shift < 14 else byte) << shift
        if shift < 14 and not byte & 0x80:
            break
    return length
