"""Messages of the RFB protocol as bytes: RFC 6143, and the community's rfbproto for the extensions.

QEMU's own extensions are documented in rfbproto ("QEMU Extended Key Event", "QEMU LED State",
"QEMU Pointer Motion Change") and in QEMU's ``ui/vnc.c``.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from dataclasses import dataclass
from struct import Struct

from guivm.console.rfb.errors import RfbError


class Encoding(enum.IntEnum):
    """Encodings and pseudo-encodings we ask for."""

    RAW = 0
    COPY_RECT = 1
    DESKTOP_SIZE = -223
    LAST_RECT = -224
    CURSOR = -239
    POINTER_TYPE = -257
    EXTENDED_KEY = -258
    LED_STATE = -261
    DESKTOP_NAME = -307
    EXTENDED_DESKTOP_SIZE = -308
    CURSOR_WITH_ALPHA = -314
    EXTENDED_MOUSE_BUTTONS = -316


class Security(enum.IntEnum):
    NONE = 1
    VNC = 2


class ServerMessage(enum.IntEnum):
    UPDATE = 0
    COLOUR_MAP = 1
    BELL = 2
    CUT_TEXT = 3


U16 = Struct(">H")
U32 = Struct(">I")
S32 = Struct(">i")
RECT = Struct(">HHHHi")
POINT = Struct(">HH")
UPDATE = Struct(">xH")
COLOUR_MAP = Struct(">xHH")
CUT_TEXT = Struct(">xxxi")
SERVER_INIT = Struct(">HHBBBBHHHBBBxxxI")
SCREEN = Struct(">IHHHHI")

_PIXEL_FORMAT = Struct(">BBBBHHHBBBxxx")
_REQUEST = Struct(">BBHHHH")
_KEY = Struct(">BBxxI")
_EXTENDED_KEY = Struct(">BBHII")
_POINTER = Struct(">BBHH")
_EXTENDED_POINTER = Struct(">BBHHB")
_VERSION = re.compile(rb"RFB (\d{3})\.(\d{3})\n")

RELATIVE_ORIGIN = 0x7FFF
"""Movements are sent as positions around this one while the pointer is relative (QEMU ``pointer_event``)."""


@dataclass(frozen=True, slots=True)
class Screen:
    """One head of an extended desktop size; pixels."""

    id: int
    x: int
    y: int
    width: int
    height: int
    flags: int


def parse_version(data: bytes) -> int:
    """Minor version to speak (3, 7 or 8) from the server's 12 bytes of greeting."""
    match = _VERSION.fullmatch(data)
    if match is None:
        raise RfbError(f"a greeting that is not VNC's: {data!r}", summary="What answers there is no VNC server.")
    version = (int(match[1]), int(match[2]))
    if version < (3, 3):
        raise RfbError(f"protocol version {version[0]}.{version[1]}, older than 3.3")
    # RFC 6143 §7.1.1: other 3.x numbers are to be treated as 3.3; 3.889 and 4.x servers speak 3.8 too.
    if version >= (3, 8):
        return 8
    return 7 if version == (3, 7) else 3


def version_reply(minor: int) -> bytes:
    return b"RFB 003.%03d\n" % minor


def check_pixel_format(bpp: int, depth: int, true_colour: int, maxima: Iterable[int], shifts: Iterable[int]) -> None:
    """Refuse a nonsense pixel format of the server, although we choose our own afterwards."""
    if bpp not in (8, 16, 32) or not 0 < depth <= bpp:
        raise RfbError(f"a pixel format of {bpp} bits with a depth of {depth}")
    if not true_colour:
        return
    used = 0
    for maximum, shift in zip(maxima, shifts, strict=True):
        if maximum == 0 or maximum & (maximum + 1) or shift >= bpp or (maximum << shift) >> bpp:
            raise RfbError(f"a pixel format with a colour of maximum {maximum} at bit {shift} of {bpp}")
        if used & (maximum << shift):
            raise RfbError("a pixel format whose colours overlap")
        used |= maximum << shift


def set_pixel_format() -> bytes:
    """32 bits little-endian B, G, R, X: what Qt's Format_RGB32 is in memory, so no pixel is ever converted."""
    return b"\0\0\0\0" + _PIXEL_FORMAT.pack(32, 24, 0, 1, 255, 255, 255, 16, 8, 0)


def set_encodings(encodings: Iterable[int]) -> bytes:
    packed = [S32.pack(encoding) for encoding in encodings]
    return b"\2\0" + U16.pack(len(packed)) + b"".join(packed)


def update_request(width: int, height: int, *, incremental: bool) -> bytes:
    return _REQUEST.pack(3, incremental, 0, 0, width, height)


def key_event(keysym: int, pressed: bool) -> bytes:
    return _KEY.pack(4, pressed, keysym & 0xFFFFFFFF)


def extended_key_event(keycode: int, keysym: int, pressed: bool) -> bytes:
    """``keycode``: QEMU's key number, see :mod:`guivm.console.rfb.keycodes`."""
    return _EXTENDED_KEY.pack(255, 0, pressed, keysym & 0xFFFFFFFF, keycode)


def pointer_event(x: int, y: int, buttons: int) -> bytes:
    """Buttons above the eighth cannot be said in this message and are left out."""
    return _POINTER.pack(5, buttons & 0xFF, x, y)


def extended_pointer_event(x: int, y: int, buttons: int) -> bytes:
    """With bit 7 of the mask as the mark that a byte with buttons 8 and up follows the position."""
    return _EXTENDED_POINTER.pack(5, buttons & 0x7F | 0x80, x, y, buttons >> 7 & 0xFF)
