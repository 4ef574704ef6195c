"""Rectangles that lie about their pixels, through the whole session: outside, too many, too few, bombs."""

from __future__ import annotations

import itertools
import struct
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
from PIL import Image

from guivm.console.rfb.decoders import Decoder
from guivm.console.rfb.decoders.table import make_decoders
from guivm.console.rfb.errors import RfbError
from guivm.console.rfb.limits import MAX_PICTURE_PIXELS
from guivm.console.rfb.session import Phase
from guivm.console.rfb.wire import Encoding
from tests.helpers import rfb_encoders as enc
from tests.helpers import rfb_server as srv
from tests.helpers.hostile_server import MIB, packed, saved, sized, tight
from tests.helpers.rfb_feed import connected, feed, framebuffer
from tests.unit.test_rfb_decoders import VIOLATIONS

ENCODINGS = sorted(make_decoders())
_NAMES = {type(decoder): number for number, decoder in make_decoders().items() if number != Encoding.TIGHT_PNG}


def _encoding(make: Callable[[], Decoder], words: str) -> int:
    return Encoding.TIGHT_PNG if "PNG picture" in words or "kind PNG" in words else _NAMES[type(make())]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_what_decoders_refuse_ends_the_session(encoding: int) -> None:
    found = [(data, words) for make, data, words in VIOLATIONS if _encoding(make, words) == encoding]
    for (data, words), step in itertools.product(found, (0, 1)):
        session = connected(64, 64)
        before = framebuffer(session)
        with pytest.raises(RfbError) as caught:
            feed(session, srv.update(srv.rect(40, 40, 8, 8, encoding, data)), step)
        assert words in caught.value.cause
        assert caught.value.advice
        assert session.phase is Phase.FAILED
        around = before.pixels.copy()
        around[40:48, 40:48] = 0
        assert not around.any(), "nothing around the rectangle was written"


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ((99, 0, 2, 1), "x=99, 2 pixels wide, on a screen 100 pixels wide"),
        ((0, 49, 1, 2), "y=49, 2 pixels high, on a screen 50 pixels high"),
        ((0, 0, 101, 50), "101 pixels wide"),
        ((0, 0, 100, 51), "51 pixels high"),
        ((0xFFFF, 0, 1, 1), "x=65535"),
        ((0, 0xFFFF, 1, 1), "y=65535"),
        ((1, 1, 0xFFFF, 0xFFFF), "65535 pixels wide"),
        ((100, 0, 1, 0), "x=100"),
        ((0, 51, 0, 0), "y=51"),
    ],
)
def test_outside_on_each_axis(place: tuple[int, int, int, int], words: str) -> None:
    """Told from the header, before a byte of pixels has come."""
    for encoding in ENCODINGS:
        _is_outside(encoding, place, words)


def _is_outside(encoding: int, place: tuple[int, int, int, int], words: str) -> None:
    with pytest.raises(RfbError) as caught:
        feed(connected(100, 50), srv.update(srv.rect(*place, encoding)))
    assert words in caught.value.cause


def test_a_run_of_tiles_with_one_that_is_higher_than_the_screen() -> None:
    tile = srv.rect(0, 0, 1, 51, srv.RAW, bytes(4 * 51))
    with pytest.raises(RfbError, match="51 pixels high"):
        feed(connected(100, 50), srv.update(tile, tile, tile))


# --- streams that end, and go on ---------------------------------------------------------------------------

_SOLID = b"\x01abc"


def _rectangles(encoding: int) -> tuple[bytes, bytes]:
    """A rectangle of 8 by 8 whose zlib stream ends with it, and one that goes on behind that end."""
    if encoding == Encoding.ZLIB:
        return packed(bytes(256)), sized(b"abcd")
    if encoding == Encoding.ZRLE:
        return packed(_SOLID), sized(b"abcd")
    return tight(0x00, b"", bytes(192)), b"\x00\x04abcd"


_COMPRESSED = [Encoding.ZLIB, Encoding.ZRLE, Encoding.TIGHT, Encoding.TIGHT_PNG]


@pytest.mark.parametrize("step", [0, 1])
@pytest.mark.parametrize("encoding", _COMPRESSED)
def test_more_after_the_end_of_the_stream(encoding: int, step: int) -> None:
    session = connected(8, 8)
    first, more = _rectangles(encoding)
    feed(session, srv.update(srv.rect(0, 0, 8, 8, encoding, first)), step)
    assert session.phase is Phase.IDLE
    with pytest.raises(RfbError, match="compressed pixels that go on behind their end"):
        feed(session, srv.update(srv.rect(0, 0, 8, 8, encoding, more)), step)


def _bomb(encoding: int, length: int) -> bytes:
    """Compressed zeros, of which there are ``length``; the rectangle has room for few of them."""
    data = bytes(length)
    if encoding == Encoding.ZRLE:
        data = _SOLID + data
    if encoding in (Encoding.TIGHT, Encoding.TIGHT_PNG):
        return tight(0x00, b"", data)
    return packed(data)


@pytest.mark.parametrize("side", [64, 700])
@pytest.mark.parametrize("encoding", _COMPRESSED)
def test_a_bomb_is_never_unpacked(encoding: int, side: int) -> None:
    """64 MiB from as many kilobytes; ``side``: inflated at once, or piece by piece."""
    data = srv.update(srv.rect(0, 0, side, side, encoding, _bomb(encoding, 64 * MIB)))
    session = connected(side, side)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        with pytest.raises(RfbError) as caught:
            feed(session, data)
        assert tracemalloc.get_traced_memory()[1] - before < 4 * MIB
    finally:
        tracemalloc.stop()
    words = ("more than", "behind its last tile", "bytes (at most", "ends before its last pixel", "unknown kind")
    assert any(word in caught.value.cause for word in words), caught.value.cause


@pytest.mark.parametrize("encoding", _COMPRESSED)
def test_a_stream_that_never_says_anything(encoding: int) -> None:
    """Empty blocks only, again and again: no endless loop, but an error for what is missing."""
    stream = zlib.compressobj()
    nothing = stream.compress(b"") + stream.flush(zlib.Z_FULL_FLUSH) + b"\0\0\0\xff\xff" * 40
    if encoding in (Encoding.TIGHT, Encoding.TIGHT_PNG):
        data = b"\0" + enc.compact_length(len(nothing)) + nothing
    else:
        data = sized(nothing)
    with pytest.raises(RfbError):
        feed(connected(8, 8), srv.update(srv.rect(0, 0, 8, 8, encoding, data)))


# --- JPEG and PNG -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("encoding", "kind"), [(Encoding.TIGHT, "JPEG"), (Encoding.TIGHT_PNG, "PNG")])
@pytest.mark.parametrize("size", [(7, 8), (8, 9), (1, 1), (3000, 3000)])
def test_a_picture_of_another_size(encoding: int, kind: str, size: tuple[int, int]) -> None:
    data = enc.tight_picture(kind, saved(Image.new("RGB", size), kind))
    with pytest.raises(RfbError, match=f"a {kind} picture of {size[0]} by {size[1]} pixels in a rectangle of 8 by 8"):
        feed(connected(8, 8), srv.update(srv.rect(0, 0, 8, 8, encoding, data)))


@pytest.mark.parametrize("size", [(0, 8), (8, 0), (0x7FFFFFFF, 0x7FFFFFFF), (0xFFFFFFFF, 1)])
def test_a_png_that_claims_what_cannot_be(size: tuple[int, int]) -> None:
    head = b"IHDR" + struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))
    data += bytes(4) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    rect = srv.rect(0, 0, 8, 8, Encoding.TIGHT_PNG, enc.tight_picture("PNG", data))
    with pytest.raises(RfbError, match="PNG"):
        feed(connected(8, 8), srv.update(rect))


def test_a_picture_as_large_as_the_largest_screen() -> None:
    """16,384 pixels square: refused by the rectangle's size. Pillow would need three times the framebuffer."""
    session = connected(16384, 16384)
    rect = srv.rect(0, 0, 16384, 16384, Encoding.TIGHT_PNG, enc.tight_picture("PNG", b"any"))
    with pytest.raises(RfbError, match=f"at most {MAX_PICTURE_PIXELS}"):
        feed(session, srv.update(rect))


def test_a_png_with_a_bomb_for_a_comment() -> None:
    """Compressed text chunks (zTXt, iTXt) and a colour profile that unpack to far more than the picture."""
    image = saved(Image.new("RGB", (8, 8)), "PNG")
    bomb = zlib.compress(bytes(64 * MIB))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    for kind, head in ((b"zTXt", b"c\0\0"), (b"iTXt", b"c\0\1\0\0\0"), (b"iCCP", b"c\0\0")):
        data = image[:33] + chunk(kind, head + bomb) + image[33:]
        session = connected(8, 8)
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            try:
                feed(session, srv.update(srv.rect(0, 0, 8, 8, Encoding.TIGHT_PNG, enc.tight_picture("PNG", data))))
            except RfbError as error:
                assert "PNG" in error.cause  # noqa: PT017 - either outcome is right
            assert tracemalloc.get_traced_memory()[1] - before < 8 * MIB
        finally:
            tracemalloc.stop()


# --- Tight's own lengths and palettes ---------------------------------------------------------------------


@pytest.mark.parametrize("step", [0, 1])
@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x00\xff\xff\xff" + bytes(12), "cannot be read"),  # 4 MiB announced: none of it is waited for in vain
        (b"\x90\x80\x80\x00", "no such picture"),  # a length of 0 in three bytes
        (b"\x90\x00", "no such picture"),
        (b"\x00\x80\x00", "compressed pixels of 0 bytes"),
        (b"\x40\x01\xff" + bytes(768) + enc.compact_length(4) + b"abcd", "cannot be read"),
        (b"\x40\xff", "unknown filter 255"),
        (b"\x4f\x03", "unknown filter 3"),
        (tight(0x40, b"\x02", bytes(191)), "of 191 bytes where their rectangle has 192"),
        (b"\xc0", "kind 12"),
        (tight(0x40, b"\x01\xfe" + bytes(255 * 3), b"\xff" * 64), "colour 255 of a Tight palette of 255"),
    ],
)
def test_tight(data: bytes, words: str, step: int) -> None:
    session = connected(8, 8)
    # What is not there yet may come: enough of it for the longest length.
    with pytest.raises(RfbError) as caught:
        feed(session, srv.update(srv.rect(0, 0, 8, 8, Encoding.TIGHT, data)) + bytes(1024), step)
    assert words in caught.value.cause
