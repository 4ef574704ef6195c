"""Bytes of a session recording (``.guivm-rec``), version 1. All numbers are big-endian and unsigned unless said.

A recording is what an RFB server sent, from each ServerInit on, after decryption, with the times at which it came::

    file    := signature block(HEAD) { block(SEGM) | block(DATA) | block(MARK) } [ block(TAIL) end ]
    block   := tag[4] stored:u32 raw:u32 crc:u32 first:u64 last:u64 payload[stored]
    HEAD    := version:u16 reserved:u16 width:u32 height:u32 started:i64 pixel_format[16] name:text server:text
    SEGM    := { record }     the first block of a connection: its first record begins with ServerInit
    DATA    := { record }     more of the same connection
    MARK    := utf-8          a person's mark at the time ``first``
    TAIL    := { tag[4] raw:u32 offset:u64 first:u64 last:u64 }    one entry for each block after HEAD
    record  := length:u32 time:u64 bytes[length]
    text    := length:u16 utf-8[length]
    end     := offset of TAIL:u64 "GVRECEND"

``first`` and ``last`` are times in microseconds since the recording began; they never go back. Those of TAIL are
0 and the length of the recording. ``started`` is microseconds since 1970 (UTC). ``crc`` is CRC-32 over the block's
header (with ``crc`` 0) and its payload as stored. ``stored`` < ``raw``: the payload is one zlib stream that inflates
to exactly ``raw`` bytes; equal: it is stored plainly. ``pixel_format`` is the RFB PIXEL_FORMAT (RFC 6143 §7.4) the
client had asked for before the first update.

A file without TAIL (a crash, a full disk) is whole up to its last whole block.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from guivm.errors import GuivmError
from guivm.text import clean_line

SUFFIX = ".guivm-rec"
VERSION = 1
SIGNATURE = b"\x93GVREC\r\n"
END_MAGIC = b"GVRECEND"

HEAD, SEGMENT, DATA, MARK, TAIL = b"HEAD", b"SEGM", b"DATA", b"MARK", b"TAIL"

BLOCK = struct.Struct(">4sIIIQQ")
RECORD = struct.Struct(">IQ")
ENTRY = struct.Struct(">4sIQQQ")
END = struct.Struct(">Q8s")
_HEAD = struct.Struct(">HHIIq16s")
_LENGTH = struct.Struct(">H")

MAX_BLOCK_BYTES = 4 << 20  # of a payload, inflated
MAX_CHUNK_BYTES = 1 << 20  # of one record; longer ones are split by the writer
MAX_HEAD_BYTES = 16 << 10
MAX_TEXT_BYTES = 4096  # a name or a mark
MAX_BLOCKS = 500_000  # 5.7 days of one block a second
MAX_MARKS = 10_000
MAX_SIDE = 16_384  # pixels
MAX_TIME_US = 366 * 86_400 * 1_000_000

# 32 bits, depth 24, little-endian, true colour, B G R X: what guivm's client always asks for.
PIXEL_FORMAT = struct.pack(">BBBBHHHBBBxxx", 32, 24, 0, 1, 255, 255, 255, 16, 8, 0)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class RecordingError(GuivmError):
    """A session recording cannot be written, or is not one, or is damaged."""


def damaged(what: str) -> RecordingError:
    """The error for a file that breaks the format."""
    return RecordingError(
        f"The recording is damaged: {what}.", advice="What comes before the damage can still be played."
    )


@dataclass(frozen=True, slots=True)
class RecordingHeader:
    """What a recording says of itself. ``width``, ``height``: pixels at its start, 0 when not known.

    ``name``: of the virtual machine. ``server``: the desktop name its display's server gave. Both are one plain line.
    """

    width: int
    height: int
    name: str
    started: datetime  # with a time zone
    server: str = ""
    pixel_format: bytes = PIXEL_FORMAT

    def packed(self) -> bytes:
        started = (self.started - _EPOCH) // timedelta(microseconds=1)
        fixed = _HEAD.pack(VERSION, 0, self.width, self.height, started, self.pixel_format)
        return fixed + _text(self.name) + _text(self.server)

    @classmethod
    def unpacked(cls, data: bytes) -> RecordingHeader:
        """Raises RecordingError."""
        if len(data) < 2:
            raise damaged("its header is too short")
        (version,) = _LENGTH.unpack_from(data)
        if version != VERSION:
            raise RecordingError(
                f"The recording is of version {version} of the format, which this guivm does not know.",
                advice="Update guivm to play it.",
            )
        if len(data) < _HEAD.size:
            raise damaged("its header is too short")
        _version, _reserved, width, height, started_us, pixel_format = _HEAD.unpack_from(data)
        if width > MAX_SIDE or height > MAX_SIDE:
            raise damaged(f"a screen of {width} by {height} pixels")
        try:
            started = _EPOCH + timedelta(microseconds=started_us)
        except OverflowError:
            raise damaged("its date is out of range") from None
        name, end = _read_text(data, _HEAD.size)
        server, _end = _read_text(data, end)
        return cls(width, height, name, started, server, pixel_format)


def _text(text: str) -> bytes:
    data = cut_text(text)
    return _LENGTH.pack(len(data)) + data


def cut_text(text: str) -> bytes:
    """``text`` as one plain line in at most MAX_TEXT_BYTES bytes of UTF-8, whole characters."""
    data = clean_line(text, MAX_TEXT_BYTES).encode("utf-8", "replace")[:MAX_TEXT_BYTES]
    return data.decode("utf-8", "ignore").encode()


def _read_text(data: bytes, start: int) -> tuple[str, int]:
    if start + _LENGTH.size > len(data):
        raise damaged("its header is too short")
    (length,) = _LENGTH.unpack_from(data, start)
    start += _LENGTH.size
    if length > MAX_TEXT_BYTES or start + length > len(data):
        raise damaged("a name in its header is too long")
    return plain_text(data[start : start + length]), start + length


def plain_text(data: bytes) -> str:
    """A text of the file as one plain line."""
    return clean_line(data.decode("utf-8", "replace"), MAX_TEXT_BYTES)


def block_bytes(tag: bytes, payload: bytes, first_us: int, last_us: int, level: int) -> bytes:
    """One whole block. ``level``: zlib's, 0 for none; what does not become smaller is stored plainly."""
    stored = zlib.compress(payload, level) if level else payload
    if len(stored) >= len(payload):
        stored = payload
    bare = BLOCK.pack(tag, len(stored), len(payload), 0, first_us, last_us)
    crc = zlib.crc32(stored, zlib.crc32(bare))
    return BLOCK.pack(tag, len(stored), len(payload), crc, first_us, last_us) + stored


@dataclass(frozen=True, slots=True)
class BlockHeader:
    """The fixed part of a block; lengths are within their bounds."""

    tag: bytes
    stored: int
    raw: int
    crc: int
    first_us: int
    last_us: int

    @classmethod
    def unpacked(cls, data: bytes) -> BlockHeader:
        """``data``: BLOCK.size bytes. Raises RecordingError."""
        header = cls(*BLOCK.unpack(data))
        limit = _LIMITS.get(header.tag)
        if limit is None:
            raise damaged("a block of an unknown kind")
        if header.raw > limit or header.stored > header.raw:
            raise damaged(f"a block of {header.stored} bytes that stand for {header.raw}")
        if not header.first_us <= header.last_us <= MAX_TIME_US:
            raise damaged("a block with impossible times")
        return header

    def payload(self, stored: bytes) -> bytes:
        """Check and inflate. Raises RecordingError."""
        bare = BLOCK.pack(self.tag, self.stored, self.raw, 0, self.first_us, self.last_us)
        if len(stored) != self.stored or zlib.crc32(stored, zlib.crc32(bare)) != self.crc:
            raise damaged("a block is not as it was written")
        if self.stored == self.raw:
            return stored
        inflater = zlib.decompressobj()
        try:
            raw = inflater.decompress(stored, self.raw + 1)  # never more than the header claims
        except zlib.error:
            raise damaged("a block cannot be inflated") from None
        if len(raw) != self.raw:
            raise damaged("a block inflates to another length than it claims")
        return raw


_LIMITS = {
    HEAD: MAX_HEAD_BYTES,
    SEGMENT: MAX_BLOCK_BYTES,
    DATA: MAX_BLOCK_BYTES,
    MARK: MAX_TEXT_BYTES,
    TAIL: (MAX_BLOCKS + MAX_MARKS) * ENTRY.size,
}
