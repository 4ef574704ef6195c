"""Messages of the RFB protocol as bytes: RFC 6143, and the community's rfbproto for the extensions.

QEMU's own extensions are documented in rfbproto ("QEMU Extended Key Event", "QEMU LED State",
"QEMU Pointer Motion Change") and in QEMU's ``ui/vnc.c``.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from struct import Struct

from guivm.console.rfb.errors import RfbError


class Encoding(enum.IntEnum):
    """Encodings and pseudo-encodings we may ask for."""

    RAW = 0
    COPY_RECT = 1
    RRE = 2
    HEXTILE = 5
    ZLIB = 6
    TIGHT = 7
    ZRLE = 16
    QUALITY_0 = -32  # JPEG; up to -23, the best
    DESKTOP_SIZE = -223
    LAST_RECT = -224
    CURSOR = -239
    X_CURSOR = -240
    COMPRESS_0 = -256  # up to -247, the most
    POINTER_TYPE = -257
    EXTENDED_KEY = -258
    SOUND = -259
    TIGHT_PNG = -260
    LED_STATE = -261
    DESKTOP_NAME = -307
    EXTENDED_DESKTOP_SIZE = -308
    XVP = -309
    CURSOR_WITH_ALPHA = -314
    EXTENDED_MOUSE_BUTTONS = -316
    EXTENDED_CLIPBOARD = 0xC0A1E5CE - (1 << 32)


class Security(enum.IntEnum):
    NONE = 1
    VNC = 2
    VENCRYPT = 19


class VeNCrypt(enum.IntEnum):
    """Subtypes of the security type VeNCrypt (rfbproto, "VeNCrypt")."""

    PLAIN = 256
    TLS_NONE = 257
    TLS_VNC = 258
    TLS_PLAIN = 259
    X509_NONE = 260
    X509_VNC = 261
    X509_PLAIN = 262


class ServerMessage(enum.IntEnum):
    UPDATE = 0
    COLOUR_MAP = 1
    BELL = 2
    CUT_TEXT = 3
    XVP = 250
    QEMU = 255


class Clip(enum.IntFlag):
    """Flags of the extended clipboard (rfbproto, "Extended Clipboard")."""

    TEXT = 1
    CAPS = 1 << 24
    REQUEST = 1 << 25
    PEEK = 1 << 26
    NOTIFY = 1 << 27
    PROVIDE = 1 << 28


class SoundOperation(enum.IntEnum):
    """What QEMU's sound message says (rfbproto, "QEMU Audio")."""

    END = 0
    BEGIN = 1
    DATA = 2


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
XVP = Struct(">xBB")

_PIXEL_FORMAT = Struct(">BBBBHHHBBBxxx")
_REQUEST = Struct(">BBHHHH")
_KEY = Struct(">BBxxI")
_EXTENDED_KEY = Struct(">BBHII")
_POINTER = Struct(">BBHH")
_EXTENDED_POINTER = Struct(">BBHHB")
_DESKTOP_SIZE = Struct(">BxHHBx")
_SOUND_FORMAT = Struct(">BBHBBI")
_SOUND_S16 = 3
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


def set_desktop_size(width: int, height: int, screens: Sequence[Screen]) -> bytes:
    """SetDesktopSize (rfbproto): the whole, and the screens in it."""
    heads = [SCREEN.pack(s.id, s.x, s.y, s.width, s.height, s.flags) for s in screens]
    return _DESKTOP_SIZE.pack(251, width, height, len(heads)) + b"".join(heads)


def power(action: int) -> bytes:
    """XVP's client message, version 1."""
    return bytes((ServerMessage.XVP, 0, 1, action))


def cut_text(text: bytes) -> bytes:
    """The plain clipboard message; Latin-1, lines end with LF (RFC 6143 §7.5.6)."""
    return b"\6\0\0\0" + U32.pack(len(text)) + text


def extended_cut_text(flags: int, payload: bytes = b"") -> bytes:
    """A message of the extended clipboard: a length below zero marks it."""
    return b"\6\0\0\0" + S32.pack(-(4 + len(payload))) + U32.pack(flags) + payload


def sound_format(channels: int, rate: int) -> bytes:
    """Signed 16 bits, little-endian."""
    return _SOUND_FORMAT.pack(255, 1, 2, _SOUND_S16, channels, rate)


def sound_switch(on: bool) -> bytes:
    return b"\xff\1\0\0" if on else b"\xff\1\0\1"
