"""The server's side of the encodings, one plain function per way of saying the same pixels.

Written from RFC 6143 and rfbproto, slowly and for reading: what the decoders are tested against. Pictures are uint8
(height, width, 4) in B, G, R, 0. A zlib stream is an object that lives as long as the connection.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Colour = tuple[int, ...]  # B, G, R


class Stream:
    """A server's zlib stream; each rectangle ends with a flush."""

    def __init__(self, level: int = 6) -> None:
        self._level = level
        self._zlib = zlib.compressobj(level)

    def pack(self, data: bytes) -> bytes:
        return self._zlib.compress(data) + self._zlib.flush(zlib.Z_SYNC_FLUSH)

    def reset(self) -> None:
        self._zlib = zlib.compressobj(self._level)


def colours(pixels: Pixels) -> list[Colour]:
    """Row by row."""
    return [tuple(pixel) for pixel in pixels.reshape(-1, 4)[:, :3].tolist()]


def tiles(pixels: Pixels, side: int) -> Iterator[Pixels]:
    height, width = pixels.shape[:2]
    for top in range(0, height, side):
        for left in range(0, width, side):
            yield pixels[top : top + side, left : left + side]


def _runs(values: Sequence[Colour]) -> Iterator[tuple[Colour, int]]:
    count = 0
    for index, value in enumerate(values):
        count += 1
        if index + 1 == len(values) or values[index + 1] != value:
            yield value, count
            count = 0


def _subrects(pixels: Pixels, background: Colour) -> Iterator[tuple[int, int, int, int, Colour]]:
    """x, y, width, height, colour: each row's runs, grown downwards as far as they go."""
    height, width = pixels.shape[:2]
    rows = [colours(pixels[y : y + 1]) for y in range(height)]
    done = np.zeros((height, width), bool)
    for y in range(height):
        x = 0
        while x < width:
            colour = rows[y][x]
            if done[y, x] or colour == background:
                x += 1
                continue
            right = x + 1
            while right < width and rows[y][right] == colour and not done[y, right]:
                right += 1
            bottom = y + 1
            while bottom < height and all(rows[bottom][i] == colour for i in range(x, right)):
                bottom += 1
            done[y:bottom, x:right] = True
            yield x, y, right - x, bottom - y, colour
            x = right


def _four(colour: Colour) -> bytes:
    return bytes(colour) + b"\0"


def rre(pixels: Pixels, background: Colour | None = None) -> bytes:
    background = colours(pixels)[0] if background is None else background
    found = list(_subrects(pixels, background))
    return (
        struct.pack(">I", len(found))
        + _four(background)
        + b"".join(_four(colour) + struct.pack(">HHHH", *box) for *box, colour in found)
    )


def hextile(pixels: Pixels, *, raw: Callable[[int], bool] = lambda _: False, coloured: bool = False) -> bytes:
    """``raw``: which tiles (by their number) are sent raw. ``coloured``: each sub-rectangle says its colour."""
    out = b""
    last_background: Colour | None = None
    last_foreground: Colour | None = None
    for number, tile in enumerate(tiles(pixels, 16)):
        background = colours(tile)[0]
        found = list(_subrects(tile, background))
        foregrounds = {box[4] for box in found}
        if raw(number) or len(found) > 255:
            out += b"\x01" + tile.tobytes()
            last_background = last_foreground = None
            continue
        kind = 0
        body = b""
        if background != last_background:
            kind |= 2
            body += _four(background)
            last_background = background
        if found:
            kind |= 8
            places = [bytes([x << 4 | y, (w - 1) << 4 | (h - 1)]) for x, y, w, h, _ in found]
            if len(foregrounds) == 1 and not coloured:
                (foreground,) = foregrounds
                if foreground != last_foreground:
                    kind |= 4
                    body += _four(foreground)
                    last_foreground = foreground
            else:
                kind |= 16
                last_foreground = None
                places = [_four(box[4]) + place for box, place in zip(found, places, strict=True)]
            body += bytes([len(found)]) + b"".join(places)
        out += bytes([kind]) + body
    return out


def zlib_rect(pixels: Pixels, stream: Stream) -> bytes:
    data = stream.pack(pixels.tobytes())
    return struct.pack(">I", len(data)) + data


def _pack_bits(indexes: Iterable[list[int]], bits: int) -> bytes:
    out = b""
    for row in indexes:
        text = "".join(f"{index:0{bits}b}" for index in row)
        text += "0" * (-len(text) % 8)
        out += int(text, 2).to_bytes(len(text) // 8, "big")
    return out


def _length(run: int) -> bytes:
    return b"\xff" * ((run - 1) // 255) + bytes([(run - 1) % 255])


def zrle_tile(pixels: Pixels, way: str) -> bytes:
    """``way``: raw, solid, packed, plain, palette; one that cannot say the tile becomes plain."""
    height, width = pixels.shape[:2]
    values = colours(pixels)
    palette = list(dict.fromkeys(values))
    number = {colour: index for index, colour in enumerate(palette)}
    table = b"".join(bytes(colour) for colour in palette)
    if way == "raw":
        return b"\0" + b"".join(bytes(colour) for colour in values)
    if way == "solid" and len(palette) == 1:
        return b"\x01" + table
    if way == "packed" and 2 <= len(palette) <= 16:
        bits = 1 if len(palette) == 2 else 2 if len(palette) <= 4 else 4
        indexes = [number[value] for value in values]
        rows = [indexes[y * width : (y + 1) * width] for y in range(height)]
        return bytes([len(palette)]) + table + _pack_bits(rows, bits)
    if way == "palette" and 2 <= len(palette) <= 127:
        out = bytes([128 + len(palette)]) + table
        for value, run in _runs(values):
            out += bytes([number[value]]) if run == 1 else bytes([128 + number[value]]) + _length(run)
        return out
    return b"\x80" + b"".join(bytes(value) + _length(run) for value, run in _runs(values))


def zrle(pixels: Pixels, stream: Stream, ways: Sequence[str]) -> bytes:
    """The tiles take the ``ways`` in turn."""
    found = [zrle_tile(tile, ways[number % len(ways)]) for number, tile in enumerate(tiles(pixels, 64))]
    data = stream.pack(b"".join(found))
    return struct.pack(">I", len(data)) + data


def compact_length(length: int) -> bytes:
    assert length < 1 << 22
    if length < 1 << 7:
        return bytes([length])
    if length < 1 << 14:
        return bytes([length & 0x7F | 0x80, length >> 7])
    return bytes([length & 0x7F | 0x80, length >> 7 & 0x7F | 0x80, length >> 14])


def rgb(pixels: Pixels) -> bytes:
    return pixels[:, :, 2::-1].tobytes()


def gradient(pixels: Pixels) -> bytes:
    """Tight's differences, R, G, B, one pixel after the other."""
    height, width = pixels.shape[:2]
    found = pixels[:, :, 2::-1].astype(int)
    out = bytearray()
    for y in range(height):
        for x in range(width):
            for channel in range(3):
                left = found[y, x - 1, channel] if x else 0
                above = found[y - 1, x, channel] if y else 0
                corner = found[y - 1, x - 1, channel] if x and y else 0
                guess = min(max(left + above - corner, 0), 255)
                out.append(int(found[y, x, channel] - guess) & 0xFF)
    return bytes(out)


@dataclass
class TightEncoder:
    """Four streams, of which each way uses the one that servers use for it."""

    def __post_init__(self) -> None:
        self.streams = [Stream(), Stream(), Stream(), Stream()]

    def encode(self, pixels: Pixels, way: str, *, reset: bool = False) -> bytes:
        """``way``: fill, copy, explicit (copy with its filter named), palette, gradient; else copy."""
        palette = list(dict.fromkeys(colours(pixels)))
        table = b"".join(bytes(colour[::-1]) for colour in palette)
        if way == "fill" and len(palette) == 1:
            return b"\x80" + table
        if way == "palette" and len(palette) <= 256:
            number = {colour: index for index, colour in enumerate(palette)}
            indexes = [number[value] for value in colours(pixels)]
            width = pixels.shape[1]
            rows = [indexes[at : at + width] for at in range(0, len(indexes), width)]
            mono = len(palette) <= 2
            data = _pack_bits(rows, 1) if mono else bytes(indexes)
            return self._basic(1 if mono else 2, bytes([1, len(palette) - 1]) + table, data, reset)
        if way == "gradient":
            return self._basic(3, b"\x02", gradient(pixels), reset)
        return self._basic(0, b"\0" if way == "explicit" else b"", rgb(pixels), reset)

    def _basic(self, stream: int, head: bytes, data: bytes, reset: bool) -> bytes:
        control = stream << 4 | (0x40 if head else 0)
        if reset:
            control |= 1 << stream
            self.streams[stream].reset()
        if len(data) < 12:
            return bytes([control]) + head + data
        packed = self.streams[stream].pack(data)
        return bytes([control]) + head + compact_length(len(packed)) + packed


def tight_picture(kind: str, data: bytes) -> bytes:
    """``kind``: JPEG or PNG."""
    return bytes([0x90 if kind == "JPEG" else 0xA0]) + compact_length(len(data)) + data
