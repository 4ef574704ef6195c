"""Every encoding of pixels: what real servers sent, what an encoder of ours says, and what nobody may send."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib
from collections.abc import Callable
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from guivm.console.frame import Framebuffer
from guivm.console.rfb.decoders import Decoder
from guivm.console.rfb.decoders.cursor import alpha_cursor, two_colour_cursor
from guivm.console.rfb.decoders.gradient import undo_gradient
from guivm.console.rfb.decoders.hextile import HextileDecoder
from guivm.console.rfb.decoders.rre import RreDecoder
from guivm.console.rfb.decoders.table import make_decoders
from guivm.console.rfb.decoders.tight import TightDecoder
from guivm.console.rfb.decoders.zlibrect import ZlibDecoder
from guivm.console.rfb.decoders.zrle import ZrleDecoder
from guivm.console.rfb.errors import RfbError
from guivm.console.rfb.inbox import Inbox
from guivm.console.rfb.wire import Encoding
from tests.helpers import rfb_encoders as enc
from tests.helpers.rfb_decoding import Starved, decode, play, run
from tests.helpers.rfb_encoders import Pixels
from tests.helpers.rfb_goldens_pixels import SCENES, Golden, Scene

ALL = [(scene, golden) for scene in SCENES for golden in scene.goldens]
GOLDENS = [pytest.param(scene, golden, id=f"{scene.name}: {golden.name}") for scene, golden in ALL]
WAYS = ("raw", "solid", "packed", "plain", "palette")
FILTERS = ("fill", "copy", "explicit", "palette", "gradient")


# --- what real servers sent ---------------------------------------------------------------------------


def _check(scene: Scene, golden: Golden, sizes: list[int]) -> None:
    updates = 2 if golden.name == "copy" else 1
    found, rectangles = play(make_decoders(), golden.stream, scene.width, scene.height, sizes, updates=updates)
    assert golden.encoding in {rectangle.encoding for rectangle in rectangles}
    width, height = golden.size
    expected = np.frombuffer(scene.picture, np.uint8).reshape(scene.height, scene.width, 4)[:height, :width, :3]
    found = found[:height, :width, :3]
    if golden.lossy:
        difference = np.abs(found.astype(int) - expected)
        assert difference.mean() < 8
        assert np.percentile(difference, 99) < 80
    else:
        assert np.array_equal(found, expected)


@pytest.mark.parametrize(("scene", "golden"), GOLDENS)
@pytest.mark.parametrize("size", [1 << 20, 1460, 1])
def test_golden(scene: Scene, golden: Golden, size: int) -> None:
    _check(scene, golden, [size])


@given(st.integers(0, len(ALL) - 1), st.lists(st.integers(1, 3000), min_size=1, max_size=200))
def test_golden_in_any_segmentation(number: int, sizes: list[int]) -> None:
    _check(*ALL[number], sizes)


def _kinds(name: str, golden: str) -> set[int]:
    scene = next(scene for scene in SCENES if scene.name == name)
    stream = next(one.stream for one in scene.goldens if one.name == golden)
    return {rectangle.first >> 4 for rectangle in play(make_decoders(), stream, scene.width, scene.height)[1]}


def test_goldens_have_what_they_are_for() -> None:
    assert _kinds("QEMU, lossy slope", "tight gradient") == {7}, "stream 3, a filter follows"
    assert 9 in _kinds("QEMU, lossy slope", "tight jpeg")
    assert 10 in _kinds("QEMU, slope", "tight png")
    assert 9 in _kinds("Xvnc", "tight jpeg")
    assert _kinds("Xvnc", "tight") == {0}
    assert _kinds("Xvnc", "tight palette") == {6}
    assert _kinds("Xvnc", "tight two colours") == {5}


# --- round trips --------------------------------------------------------------------------------------


@st.composite
def pictures(draw: st.DrawFn, side: int = 140) -> Pixels:
    """Noise, few colours in blocks (runs), stripes, slopes that clamp."""
    width, height = draw(st.integers(1, side)), draw(st.integers(1, side))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    kind = draw(st.sampled_from(["noise", "blocks", "slope"]))
    if kind == "noise":
        found = rng.integers(0, 256, (height, width, 4))
    elif kind == "slope":
        steps = rng.integers(0, 9, 4)
        found = np.add.outer(np.arange(height) * 3, np.arange(width) * 2)[:, :, None] * steps // 4 % 300 - 20
        found = found + rng.integers(0, draw(st.integers(1, 40)), (height, width, 4))
    else:
        colours = rng.integers(0, 256, (draw(st.sampled_from([1, 2, 3, 4, 5, 16, 17, 127, 128, 256, 300])), 4))
        across, down = draw(st.integers(1, 90)), draw(st.integers(1, 90))
        found = colours[rng.integers(0, len(colours), (-(-height // down), -(-width // across)))]
        found = found.repeat(down, 0).repeat(across, 1)[:height, :width]
    pixels: Pixels = found.clip(0, 255).astype(np.uint8)
    pixels[:, :, 3] = 0
    return pixels


segments = st.one_of(st.just([1 << 30]), st.just([1]), st.lists(st.integers(1, 5000), min_size=1, max_size=60))


@given(pictures(60), segments)
def test_rre(pixels: Pixels, sizes: list[int]) -> None:
    assert np.array_equal(decode(RreDecoder(), enc.rre(pixels), *_size(pixels), sizes), pixels)


@given(pictures(), segments, st.sets(st.integers(0, 80)), st.booleans())
def test_hextile(pixels: Pixels, sizes: list[int], raw: set[int], coloured: bool) -> None:
    data = enc.hextile(pixels, raw=raw.__contains__, coloured=coloured)
    assert np.array_equal(decode(HextileDecoder(), data, *_size(pixels), sizes), pixels)


@given(pictures(), pictures(), segments)
def test_zlib(first: Pixels, second: Pixels, sizes: list[int]) -> None:
    decoder, stream = ZlibDecoder(), enc.Stream()
    for pixels in (first, second):
        assert np.array_equal(decode(decoder, enc.zlib_rect(pixels, stream), *_size(pixels), sizes), pixels)


@given(pictures(), pictures(), segments, st.permutations(WAYS))
def test_zrle(first: Pixels, second: Pixels, sizes: list[int], ways: list[str]) -> None:
    decoder, stream = ZrleDecoder(), enc.Stream()
    for pixels in (first, second):
        assert np.array_equal(decode(decoder, enc.zrle(pixels, stream, ways), *_size(pixels), sizes), pixels)


@given(st.lists(st.tuples(pictures(50), st.sampled_from(FILTERS), st.booleans()), max_size=4), segments)
def test_tight(rectangles: list[tuple[Pixels, str, bool]], sizes: list[int]) -> None:
    decoder, encoder = TightDecoder(), enc.TightEncoder()
    for pixels, way, reset in rectangles:
        data = encoder.encode(pixels, way, reset=reset)
        assert np.array_equal(decode(decoder, data, *_size(pixels), sizes), pixels)


def _size(pixels: Pixels) -> tuple[int, int]:
    return pixels.shape[1], pixels.shape[0]


def _noise(width: int, height: int, colours: int = 1 << 24, seed: int = 5) -> Pixels:
    rng = np.random.default_rng(seed)
    table = rng.integers(0, 256, (min(colours, 4096), 4), dtype=np.uint8)
    table[:, 3] = 0
    return table[rng.integers(0, len(table), (height, width))]


@pytest.mark.parametrize("size", [(2000, 150), (300, 1000), (5000, 3)])
def test_rectangles_larger_than_what_is_inflated_at_once(size: tuple[int, int]) -> None:
    pixels = _noise(*size)
    for decoder, data in (
        (ZlibDecoder(), enc.zlib_rect(pixels, enc.Stream(1))),
        (ZrleDecoder(), enc.zrle(pixels, enc.Stream(1), ["raw", "plain"])),
        (TightDecoder(), enc.TightEncoder().encode(pixels, "copy")),
        (TightDecoder(), enc.TightEncoder().encode(_noise(*size, 200), "palette")),
    ):
        expected = _noise(*size, 200) if data[0] >> 4 == 6 else pixels
        for sizes in ([1 << 30], [70_001]):
            fresh = type(decoder)()
            assert np.array_equal(decode(cast("Decoder", fresh), data, *size, sizes), expected)


@pytest.mark.parametrize("colours", [2, 3, 9, 90, 127])
@pytest.mark.parametrize("run", [1, 2, 40, 300, 5000])
def test_zrle_runs_of_every_length(colours: int, run: int) -> None:
    """Few runs and many, with lengths of one byte and of more, and both in one tile."""
    rng = np.random.default_rng(colours * run)
    table = rng.integers(0, 256, (colours, 4), dtype=np.uint8)
    table[:, 3] = 0
    lengths = np.where(rng.random(4096) < 0.1, rng.integers(1, run + 1, 4096), 1)
    pixels = table[rng.integers(0, colours, 4096)].repeat(lengths, 0)[:4096].reshape(64, 64, 4)
    for way in ("plain", "palette"):
        assert np.array_equal(decode(ZrleDecoder(), enc.zrle(pixels, enc.Stream(), [way]), 64, 64), pixels)


def test_gradient_of_noise_and_of_many_bands() -> None:
    pixels = _noise(90, 20)
    differences = np.frombuffer(enc.gradient(pixels), np.uint8).reshape(20, 90, 3)
    expected = pixels[:, :, 2::-1]
    assert np.array_equal(undo_gradient(differences, np.zeros((90, 3), np.uint8)), expected)
    above = np.zeros((90, 3), np.uint8)
    for row in range(0, 20, 4):
        found = undo_gradient(differences[row : row + 4], above)
        assert np.array_equal(found, expected[row : row + 4])
        above = found[-1]


@pytest.mark.parametrize("way", FILTERS)
def test_tight_data_too_short_to_be_compressed(way: str) -> None:
    for width, height in ((1, 1), (3, 1), (1, 3), (2, 2), (11, 1), (12, 1), (95, 1), (96, 1)):
        pixels = _noise(width, height, 2)
        data = enc.TightEncoder().encode(pixels, way)
        assert np.array_equal(decode(TightDecoder(), data, width, height, [1]), pixels)


def test_tight_palette_of_one_colour() -> None:
    data = b"\x50\x01\x00\x01\x02\x03" + bytes(4)
    assert decode(TightDecoder(), data, 8, 4)[:, :, :3].tolist() == [[[3, 2, 1]] * 8] * 4


def test_tight_length_of_three_bytes() -> None:
    pixels = _noise(200, 100)
    data = enc.TightEncoder().encode(pixels, "copy")
    assert data[1] & data[2] & 0x80
    assert np.array_equal(decode(TightDecoder(), data, 200, 100, [1000]), pixels)


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1", "RGBA"])
def test_tight_png(mode: str) -> None:
    image = Image.fromarray(_noise(20, 10, 200)[:, :, 2::-1].copy()).convert(mode)
    data = enc.tight_picture("PNG", _saved(image, "PNG"))
    found = decode(TightDecoder(png=True), data, 20, 10, [7])
    assert np.array_equal(found[:, :, 2::-1], np.asarray(image.convert("RGB")))
    assert not found[:, :, 3].any()


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_tight_jpeg(mode: str) -> None:
    image = Image.linear_gradient("L").resize((40, 30)).convert(mode)
    data = enc.tight_picture("JPEG", _saved(image, "JPEG"))
    found = decode(TightDecoder(), data, 40, 30)
    assert np.abs(found[:, :, 2::-1].astype(int) - np.asarray(image.convert("RGB"))).max() < 12


def _saved(image: Image.Image, kind: str) -> bytes:
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()


def test_hextile_keeps_colours_from_tile_to_tile() -> None:
    red, blue = bytes([0, 0, 255, 0]), bytes([255, 0, 0, 0])
    data = (
        b"\x0e" + red + blue + b"\x01\x00\x00"  # background, foreground, one pixel
        b"\x08\x01\x11\x00"  # both as before, another pixel
        b"\x00"  # background as before
    )
    found = decode(HextileDecoder(), data, 48, 16)
    expected = np.empty((16, 48, 4), np.uint8)
    expected[:] = list(red)
    expected[0, 0] = expected[1, 17] = list(blue)
    assert np.array_equal(found, expected)


def test_subrects_that_overlap_lie_in_their_order() -> None:
    boxes = [(0, 0, 16, 16, 1), (0, 0, 8, 8, 2), (4, 4, 8, 8, 3), (5, 5, 1, 1, 4)] * 20
    body = b"".join(bytes([c, 0, 0, 0]) + bytes([x << 4 | y, (w - 1) << 4 | h - 1]) for x, y, w, h, c in boxes)
    expected = np.zeros((16, 16), int)
    for x, y, w, h, colour in boxes:
        expected[y : y + h, x : x + w] = colour
    found = decode(HextileDecoder(), b"\x1a" + bytes(4) + bytes([len(boxes)]) + body, 16, 16)
    assert np.array_equal(found[:, :, 0], expected)
    body = b"".join(bytes([c, 0, 0, 0]) + struct.pack(">HHHH", x, y, w, h) for x, y, w, h, c in boxes[:40])
    found = decode(RreDecoder(), struct.pack(">I", 40) + bytes(4) + body, 16, 16)
    assert np.array_equal(found[:, :, 0], expected)


def test_hextile_of_many_subrects_needs_little_memory() -> None:
    """255 that cover their whole tile, in every tile: 17 million pixels, painted in several steps."""
    tile = b"\x1a" + bytes(4) + b"\xff" + (b"\x09\0\0\0\x00\xff" * 255)
    found = decode(HextileDecoder(), tile * 256, 4096, 16)
    assert (found[:, :, 0] == 9).all()


@pytest.mark.parametrize("encoding", [Encoding.RAW, Encoding.RRE, Encoding.HEXTILE])
def test_empty_rectangles(encoding: Encoding) -> None:
    data = {Encoding.RAW: b"", Encoding.RRE: bytes(8), Encoding.HEXTILE: b""}[encoding]
    target, inbox = Framebuffer(8, 8), Inbox()
    for width, height in ((0, 0), (3, 0), (0, 3)):
        run(make_decoders()[encoding].decode(inbox, target, 8, 8, width, height), inbox, data)
    assert not target.pixels.any()


def test_empty_compressed_rectangles() -> None:
    target, inbox = Framebuffer(8, 8), Inbox()
    stream = enc.Stream()
    for data, decoder in (
        (b"\0\0\0\0", ZlibDecoder()),
        (enc.zlib_rect(np.zeros((0, 0, 4), np.uint8), stream), ZlibDecoder()),
        (b"\0\0\0\0", ZrleDecoder()),
        (b"\x80\0\0\0", TightDecoder()),
        (b"\0", TightDecoder()),
    ):
        run(cast("Decoder", decoder).decode(inbox, target, 8, 8, 0, 0), inbox, data)
    assert not target.pixels.any()


# --- cursors ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 1000])
def test_two_colour_cursor(size: int) -> None:
    data = bytes([1, 2, 3, 4, 5, 6]) + bytes([0b10100000, 0b01000000]) + bytes([0b11100000, 0b10000000])
    inbox = Inbox()
    shape = run(two_colour_cursor(inbox, 2, 1, 3, 2), inbox, data, [size])
    assert shape is not None
    assert (shape.width, shape.height, shape.hot_x, shape.hot_y) == (3, 2, 2, 1)
    first, second = [3, 2, 1], [6, 5, 4]
    assert shape.pixels[:, :, :3].tolist() == [[first, second, first], [second, first, second]]
    assert shape.pixels[:, :, 3].tolist() == [[255, 255, 255], [255, 0, 0]]
    assert not shape.pixels.flags.writeable


def test_two_colour_cursor_hidden_and_too_large() -> None:
    inbox = Inbox()
    assert run(two_colour_cursor(inbox, 0, 0, 0, 0), inbox, b"") is None
    with pytest.raises(RfbError, match="a cursor of 257 by 1 pixels"):
        run(two_colour_cursor(inbox, 0, 0, 257, 1), inbox, b"")


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        (Encoding.RAW, bytes([10, 20, 30, 51]) * 4),
        (Encoding.RRE, struct.pack(">I", 0) + bytes([10, 20, 30, 51])),
        (Encoding.HEXTILE, b"\x02" + bytes([10, 20, 30, 51])),
        (Encoding.ZLIB, enc.zlib_rect(np.full((2, 2, 4), [10, 20, 30, 51], np.uint8), enc.Stream())),
    ],
)
def test_alpha_cursor_in_other_encodings(encoding: Encoding, body: bytes) -> None:
    inbox = Inbox()
    data = struct.pack(">i", encoding) + body
    shape = run(alpha_cursor(inbox, 0, 0, 2, 2, is_qemu=False, decoders=make_decoders()), inbox, data, [1])
    assert shape is not None
    assert shape.pixels.tolist() == [[[150, 100, 50, 51]] * 2] * 2


@pytest.mark.parametrize("encoding", [Encoding.COPY_RECT, Encoding.TIGHT, Encoding.ZRLE, 99])
def test_alpha_cursor_in_encodings_without_alpha(encoding: int) -> None:
    inbox = Inbox()
    with pytest.raises(RfbError, match=f"a cursor in encoding {int(encoding)}, "):
        run(
            alpha_cursor(inbox, 0, 0, 2, 2, is_qemu=False, decoders=make_decoders()), inbox, struct.pack(">i", encoding)
        )


# --- what nobody may send -----------------------------------------------------------------------------


def _sized(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def _packed(data: bytes) -> bytes:
    return _sized(zlib.compress(data))


def _tight(control: int, head: bytes, data: bytes) -> bytes:
    packed = zlib.compress(data)
    return bytes([control]) + head + enc.compact_length(len(packed)) + packed


_PNG = _saved(Image.new("RGB", (9, 8)), "PNG")
_JPEG = _saved(Image.new("RGB", (8, 8)), "JPEG")
_CMYK = _saved(Image.new("CMYK", (8, 8)), "JPEG")
_LONG = b"\xff" * 17 + b"\0"  # a run of 4336

# The rectangle is always 8 by 8.
VIOLATIONS: list[tuple[Callable[[], Decoder], bytes, str]] = [
    # CVE-2019-15692, CVE-2017-5884: sub-rectangles outside
    (RreDecoder, struct.pack(">I4xIHHHH", 1, 0, 7, 0, 2, 1), "an RRE sub-rectangle of 2 by 1 pixels at 7, 0 in a"),
    (RreDecoder, struct.pack(">I4xIHHHH", 1, 0, 0, 0xFFFF, 1, 2), "of 1 by 2 pixels at 0, 65535 in a"),
    (RreDecoder, struct.pack(">I4x", 65), "65 RRE sub-rectangles in a rectangle of 64 pixels"),
    (RreDecoder, struct.pack(">I4x", 0xFFFFFFFF), "4294967295 RRE sub-rectangles in a rectangle of 64"),
    (RreDecoder, struct.pack(">I4x", 17) + struct.pack(">IHHHH", 0, 0, 0, 8, 8) * 17, "more than 16 times"),
    (HextileDecoder, b"\x0a\0\0\0\0\x01\x70\x10", "a Hextile sub-rectangle of 2 by 1 pixels at 7, 0, outside of its"),
    (HextileDecoder, b"\x1a\0\0\0\0\x01\0\0\0\0\x08\x00", "a Hextile sub-rectangle of 1 by 1 pixels at 0, 8, outside"),
    (HextileDecoder, b"\x0a\0\0\0\0\x01\xff\xff", "of 16 by 16 pixels at 15, 15, outside of its tile"),
    (HextileDecoder, b"\x20", "a Hextile tile of unknown kind 32"),
    # lengths that are nonsense (CVE-2019-15694), bombs, streams that are too short or broken
    (ZlibDecoder, b"\xff\xff\xff\xff", "compressed pixels of 4294967295 bytes"),
    (ZlibDecoder, _packed(bytes(257)), "compressed pixels that are more than the 256 bytes of their rectangle"),
    (ZlibDecoder, _packed(bytes(10_000_000))[:1000], "bytes (at most 1344)"),
    (ZlibDecoder, _packed(bytes(1_000_000)), "compressed pixels that are more than the 256 bytes of their rectangle"),
    (ZlibDecoder, _packed(bytes(255)), "compressed pixels of 255 bytes where their rectangle has 256"),
    (ZlibDecoder, b"\0\0\0\0", "compressed pixels of 0 bytes where their rectangle has 256"),
    (ZlibDecoder, b"\0\0\0\x04abcd", "compressed pixels that cannot be read"),
    (ZlibDecoder, _sized(zlib.compress(bytes(256)) + b"x"), "compressed pixels that go on behind their end"),
    (ZrleDecoder, b"\x80\0\0\0", "compressed pixels of 2147483648 bytes"),
    (ZrleDecoder, b"\0\0\0\x04abcd", "compressed pixels that cannot be read"),
    (ZrleDecoder, _packed(b"\x01abc" + bytes(1_000_000)), "a ZRLE rectangle that goes on behind its last tile"),
    (ZrleDecoder, _packed(b"\x01abcd"), "a ZRLE rectangle that goes on behind its last tile"),
    (ZrleDecoder, b"\0\0\0\0", "a ZRLE tile that ends before its last pixel"),
    *((ZrleDecoder, _packed(tile), "a ZRLE tile that ends before its last pixel") for tile in (
        b"\x01ab", b"\x00" + bytes(191), b"\x02abcdef" + bytes(7), b"\x03abcdef", b"\x80abc", b"\x80abc\xff",
        b"\x80" + b"abc\0" * 60, b"\x80" + b"abc\0" * 60 + b"abc\xff", b"\x82abcdef", b"\x82abcdef\x81",
        b"\x82abcdef" + b"\0" * 60, b"\x82abcdef" + b"\0" * 60 + b"\x81",
    )),
    # CVE-2014-0011, CVE-2019-15691: runs that go on behind their tile
    *((ZrleDecoder, _packed(tile), "runs of pixels that are longer than their tile of 64 pixels") for tile in (
        b"\x80abc\x40", b"\x80abc" + _LONG, b"\x80" + b"abc\0" * 50 + b"abc\x0e",
        b"\x80" + b"abc\0" * 50 + b"abc" + _LONG,
        b"\x82abcdef\x80\x40", b"\x82abcdef\x80" + _LONG, b"\x82abcdef" + b"\0" * 50 + b"\x80\x0e",
        b"\x82abcdef" + b"\0" * 50 + b"\x81" + b"\xff" * 3000 + b"\0",
    )),
    *((ZrleDecoder, _packed(bytes([kind])), f"a ZRLE tile of unknown kind {kind}") for kind in (17, 127, 129)),
    (ZrleDecoder, _packed(b"\x03abcdefghi" + b"\xff" * 16), "colour 3 of a ZRLE palette of 3"),
    (ZrleDecoder, _packed(b"\x05" + bytes(15) + b"\x5f" + bytes(31)), "colour 15 of a ZRLE palette of 5"),
    (ZrleDecoder, _packed(b"\x82abcdef\x82\x3f"), "colour 2 of a ZRLE palette of 2"),
    (ZrleDecoder, _packed(b"\xffabcdef" + bytes(375) + b"\xff\x3f"), "colour 127 of a ZRLE palette of 127"),
    # CVE-2019-15693: more rows than the rectangle has
    (TightDecoder, _tight(0x00, b"", bytes(193)), "compressed pixels that are more than the 192 bytes of their"),
    (TightDecoder, _tight(0x00, b"", bytes(5_000_000)), "compressed pixels that are more than the 192 bytes of their"),
    (TightDecoder, _tight(0x40, b"\x02", bytes(216)), "compressed pixels that are more than the 192 bytes of their"),
    (TightDecoder, _tight(0x00, b"", bytes(191)), "compressed pixels of 191 bytes where their rectangle has 192"),
    (TightDecoder, _tight(0x40, b"\x01\x02" + bytes(9), b"\0" * 63 + b"\x03"), "colour 3 of a Tight palette of 3"),
    (TightDecoder, b"\x40\x01\x00abc" + b"\0" * 7 + b"\x01", "colour 1 of a Tight palette of 1"),
    (TightDecoder, b"\x40\x03", "a Tight rectangle with unknown filter 3"),
    (TightDecoder, b"\x00\x04abcd", "compressed pixels that cannot be read"),
    (TightDecoder, b"\x00\x00", "compressed pixels of 0 bytes where their rectangle has 192"),
    (TightDecoder, b"\xb0", "a Tight rectangle of unknown kind 11"),
    (TightDecoder, b"\xf0", "a Tight rectangle of unknown kind 15"),
    (TightDecoder, enc.tight_picture("PNG", _PNG), "a Tight rectangle of unknown kind 10"),
    (TightDecoder, enc.tight_picture("JPEG", _PNG), "a rectangle of kind JPEG that is no such picture"),
    (TightDecoder, enc.tight_picture("JPEG", b""), "a rectangle of kind JPEG that is no such picture"),
    (TightDecoder, enc.tight_picture("JPEG", _JPEG[:100]), "a JPEG picture that cannot be read ("),
    (TightDecoder, enc.tight_picture("JPEG", _JPEG[:-9]), "a JPEG picture that cannot be read ("),
    (TightDecoder, enc.tight_picture("JPEG", _CMYK), "a JPEG picture with colours of the kind CMYK"),
    (lambda: TightDecoder(png=True), enc.tight_picture("PNG", _PNG), "a PNG picture of 9 by 8 pixels in a"),
    (lambda: TightDecoder(png=True), enc.tight_picture("PNG", _JPEG), "a rectangle of kind PNG that is no such"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "data", "words"), VIOLATIONS)
@pytest.mark.parametrize("size", [1, 1 << 20])
def test_violations(make: Callable[[], Decoder], data: bytes, words: str, size: int) -> None:
    with pytest.raises(RfbError) as caught:
        decode(make(), data, 8, 8, [size])
    assert words in caught.value.cause


def test_png_bomb_is_refused_by_its_header() -> None:
    """50,000 by 50,000 pixels claimed, with a right checksum, and no pixels at all."""
    head = b"IHDR" + struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))
    data += bytes(4) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    with pytest.raises(RfbError, match="a PNG picture "):
        decode(TightDecoder(png=True), enc.tight_picture("PNG", data), 8, 8)


@given(
    st.sampled_from([RreDecoder, HextileDecoder, ZlibDecoder, ZrleDecoder, TightDecoder]),
    st.binary(max_size=300),
    st.integers(1, 80),
    st.integers(1, 80),
    st.booleans(),
)
def test_any_bytes_are_pixels_or_an_error(
    make: Callable[[], Decoder], data: bytes, width: int, height: int, pack: bool
) -> None:
    """Never another exception, never a write outside of the rectangle. ``pack``: as the compressed data."""
    if pack:
        data = _packed(data) if make in (ZlibDecoder, ZrleDecoder) else _tight(0x40, b"\x01\x07" + bytes(24), data)
    try:
        decode(make(), data, width, height)
    except (RfbError, Starved):
        pass
    except AssertionError as error:
        assert "left in the inbox" in str(error) or "not asked for" in str(error)  # noqa: PT017


@given(st.data())
def test_mutated_goldens_are_pixels_or_an_error(data: st.DataObject) -> None:
    scene, golden = ALL[data.draw(st.integers(0, len(ALL) - 1))]
    stream = bytearray(golden.stream)
    for _ in range(data.draw(st.integers(1, 6))):
        stream[data.draw(st.integers(16, min(len(stream), 4000) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(RfbError, Starved, AssertionError, KeyError):
        play(make_decoders(), bytes(stream), scene.width, scene.height)
