"""A connection to the X server, apart from Qt's: requests as bytes through libxcb (ctypes).

Qt for X11 cannot run without libxcb, so nothing more needs to be installed. Requests and replies are those of the core
protocol ("X Window System Protocol", release 6 or later); fields are in the machine's byte order.
"""

from __future__ import annotations

import ctypes
import functools
import struct
import sys
import weakref
from collections.abc import Iterator
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_uint, c_void_p
from dataclasses import dataclass

_CHECKED = 1  # an error comes in place of the reply
_GET_INPUT_FOCUS, _QUERY_EXTENSION = 43, 98


class XError(Exception):
    """The X server cannot be reached, or refused a request."""


class _Vector(ctypes.Structure):
    _fields_ = (("base", c_void_p), ("length", c_size_t))


class _Request(ctypes.Structure):
    _fields_ = (("count", c_size_t), ("extension", c_void_p), ("opcode", ctypes.c_uint8), ("is_void", ctypes.c_uint8))


_SIGNATURES: tuple[tuple[str, object, tuple[object, ...]], ...] = (
    ("xcb_connect", c_void_p, (c_char_p, POINTER(c_int))),
    ("xcb_connection_has_error", c_int, (c_void_p,)),
    ("xcb_disconnect", None, (c_void_p,)),
    ("xcb_get_file_descriptor", c_int, (c_void_p,)),
    ("xcb_flush", c_int, (c_void_p,)),
    ("xcb_send_request", c_uint, (c_void_p, c_int, POINTER(_Vector), POINTER(_Request))),
    ("xcb_wait_for_reply", c_void_p, (c_void_p, c_uint, POINTER(c_void_p))),
    ("xcb_poll_for_reply", c_int, (c_void_p, c_uint, POINTER(c_void_p), POINTER(c_void_p))),
    ("xcb_discard_reply", None, (c_void_p, c_uint)),
    ("xcb_poll_for_event", c_void_p, (c_void_p,)),
)


@functools.cache
def _library() -> tuple[ctypes.CDLL, ctypes.CDLL]:
    """libxcb and the C library (whose ``free`` takes back what libxcb gives); XError when one is missing."""
    try:
        library, c_library = ctypes.CDLL("libxcb.so.1"), ctypes.CDLL(None)
        for name, result, arguments in _SIGNATURES:
            function = getattr(library, name)
            function.restype = result
            function.argtypes = arguments
        c_library.free.restype = None
        c_library.free.argtypes = (c_void_p,)
    except (OSError, AttributeError) as error:
        raise XError(str(error)) from error
    return library, c_library


@dataclass(frozen=True, slots=True)
class Extension:
    """``opcode``: of its requests; ``first_event``: number of its first event."""

    opcode: int
    first_event: int


@dataclass(frozen=True, slots=True)
class XEvent:
    """``data``: 32 bytes as in the protocol. ``sequence``: our last request that the server had begun by then."""

    data: bytes
    sequence: int

    @property
    def kind(self) -> int:
        """Number of the event; 0 is an error. Without the mark of events that another client sent."""
        return self.data[0] & 0x7F


class XConnection:
    """For one thread. Only what says so waits for the server."""

    def __init__(self, display: str | None = None) -> None:
        """To a display, or the one that ``DISPLAY`` names; waits for it. XError when there is none."""
        self._xcb, self._c = _library()
        self._handle = self._xcb.xcb_connect(display.encode() if display else None, byref(c_int()))
        self._end = weakref.finalize(self, _disconnect, self._xcb, self._c, self._handle)
        if self.is_broken():
            self.close()
            raise XError("no connection to the display")

    def close(self) -> None:
        """Waits until the server has done all that was sent. It is done at the latest when the program ends."""
        self._end()

    @property
    def descriptor(self) -> int:
        """Readable when something came; what was read while waiting for a reply is not seen there."""
        return int(self._xcb.xcb_get_file_descriptor(self._handle))

    def is_broken(self) -> bool:
        return bool(self._xcb.xcb_connection_has_error(self._handle))

    def send(self, opcode: int, data: int = 0, body: bytes = b"", *, replies: bool = False) -> int:
        """Queue a request; gives its number. ``data``: second byte, or an extension's minor opcode."""
        return _send(self._xcb, self._handle, opcode, data, body, replies=replies)

    def ask(self, opcode: int, data: int = 0, body: bytes = b"") -> bytes:
        """A request and its reply: see ``reply``."""
        return self.reply(self.send(opcode, data, body, replies=True))

    def reply(self, sequence: int) -> bytes:
        """The reply to what was sent, which it waits for; XError when there is an error instead."""
        error = c_void_p()
        return self._taken(self._xcb.xcb_wait_for_reply(self._handle, sequence, byref(error)), error.value)

    def poll_reply(self, sequence: int) -> bytes | None:
        """As ``reply``, without waiting: None while it has not come."""
        answer, error = c_void_p(), c_void_p()
        if not self._xcb.xcb_poll_for_reply(self._handle, sequence, byref(answer), byref(error)):
            return None
        return self._taken(answer.value, error.value)

    def discard(self, sequence: int) -> None:
        """Nobody will ask for that reply."""
        self._xcb.xcb_discard_reply(self._handle, sequence)

    def events(self) -> Iterator[XEvent]:
        """What came until now."""
        while address := self._xcb.xcb_poll_for_event(self._handle):
            data = ctypes.string_at(address, 36)  # libxcb puts the whole sequence number behind the 32 bytes
            self._c.free(address)
            yield XEvent(data[:32], int.from_bytes(data[32:], sys.byteorder))

    def flush(self) -> None:
        self._xcb.xcb_flush(self._handle)

    def extension(self, name: str) -> Extension | None:
        """None when the server has it not."""
        text = name.encode("ascii")
        padding = bytes(-len(text) % 4)
        answer = self.ask(_QUERY_EXTENSION, 0, struct.pack("=HH", len(text), 0) + text + padding)
        return Extension(answer[9], answer[10]) if answer[8] else None

    def _taken(self, answer: int | None, error: int | None) -> bytes:
        if error is not None:
            code = ctypes.string_at(error, 2)[1]
            self._c.free(error)
            raise XError(f"error {code}")
        if answer is None:
            raise XError("the connection is broken")
        words = int.from_bytes(ctypes.string_at(answer, 8)[4:], sys.byteorder)  # more than the first 32 bytes
        data = ctypes.string_at(answer, 32 + 4 * words)
        self._c.free(answer)
        return data


def _send(library: ctypes.CDLL, handle: int, opcode: int, data: int, body: bytes, *, replies: bool) -> int:
    assert len(body) % 4 == 0
    # libxcb fills in opcode and length, and wants room for two more vectors before the first.
    content = ctypes.create_string_buffer(bytes((0, data, 0, 0)) + body, 4 + len(body))
    vectors = (_Vector * 3)(_Vector(), _Vector(), _Vector(ctypes.addressof(content), len(content)))
    request = _Request(1, None, opcode, 0 if replies else 1)
    first = ctypes.cast(byref(vectors, 2 * ctypes.sizeof(_Vector)), POINTER(_Vector))
    return int(library.xcb_send_request(handle, _CHECKED if replies else 0, first, byref(request)))


def _disconnect(library: ctypes.CDLL, c_library: ctypes.CDLL, handle: int) -> None:
    """The server forgets what a client that goes has sent and what still waits (XTEST's delays)."""
    last = _send(library, handle, _GET_INPUT_FOCUS, 0, b"", replies=True)
    c_library.free(library.xcb_wait_for_reply(handle, last, None))
    library.xcb_disconnect(handle)
