"""Tight and TightPNG (rfbproto "Tight Encoding", "TightPNG Encoding").

A rectangle is one colour, a JPEG or (TightPNG) a PNG, or "basic": colours, indexes into a palette, or differences
to neighbours, compressed in one of four zlib streams. Colours are three bytes R, G, B.
"""

from __future__ import annotations

import numpy as np

from guivm.console.frame import Framebuffer
from guivm.console.rfb.decoders.gradient import undo_gradient
from guivm.console.rfb.decoders.inflate import Inflater, Sink
from guivm.console.rfb.decoders.packed import paint_bits, row_bytes, unpack
from guivm.console.rfb.decoders.pictures import decode_picture
from guivm.console.rfb.decoders.pixels import Pixels, area, rgb_colours, unpack_rgb
from guivm.console.rfb.errors import RfbError
from guivm.console.rfb.inbox import Inbox, Steps

_FILL, _JPEG, _PNG = 8, 9, 10
_FILTER_FOLLOWS = 4
_COPY, _PALETTE, _GRADIENT = 0, 1, 2
_NOT_COMPRESSED = 12  # less than so many bytes are sent as they are


class TightDecoder:
    """``png``: this is TightPNG, where PNGs are allowed."""

    def __init__(self, *, png: bool = False) -> None:
        self._png = png
        self._inflaters = (Inflater(), Inflater(), Inflater(), Inflater())

    def decode(self, inbox: Inbox, target: Framebuffer, x: int, y: int, width: int, height: int) -> Steps[None]:
        if inbox.end == inbox.pos:
            yield 1
        control = inbox.data[inbox.pos]
        inbox.pos += 1
        if control & 15:
            for number, inflater in enumerate(self._inflaters):
                if control >> number & 1:
                    inflater.reset()
        kind = control >> 4
        out = area(target, x, y, width, height)
        if kind < _FILL:
            yield from self._basic(inbox, kind, out)
        elif kind == _FILL:
            start = yield from inbox.take(3)
            out[...] = int.from_bytes(inbox.data[start : start + 3], "big")
        elif kind == _JPEG or (kind == _PNG and self._png):
            length = yield from _take_length(inbox)
            data = yield from inbox.take_bytes(length)
            out[...] = decode_picture("JPEG" if kind == _JPEG else "PNG", data, width, height)
        else:
            raise RfbError(f"a Tight rectangle of unknown kind {kind}")

    def _basic(self, inbox: Inbox, kind: int, out: Pixels) -> Steps[None]:
        height, width = out.shape
        method = _COPY
        if kind & _FILTER_FOLLOWS:
            if inbox.end == inbox.pos:
                yield 1
            method = inbox.data[inbox.pos]
            inbox.pos += 1
        stride = width * 3
        sink: Sink
        if method == _COPY:
            sink = _Colours(out)
        elif method == _PALETTE:
            if inbox.end == inbox.pos:
                yield 1
            count = inbox.data[inbox.pos] + 1
            inbox.pos += 1
            start = yield from inbox.take(count * 3)
            colours = inbox.data[start : start + count * 3]
            if count <= 2:
                stride = row_bytes(width, 1)
                sink = _TwoColours(out, colours)
            else:
                stride = width
                sink = _Palette(out, colours)
        elif method == _GRADIENT:
            sink = _Gradient(out)
        else:
            raise RfbError(f"a Tight rectangle with unknown filter {method}")
        size = stride * height
        if size < _NOT_COMPRESSED:
            if size:
                sink(0, (yield from inbox.take_bytes(size)))
            return
        length = yield from _take_length(inbox)
        yield from self._inflaters[kind & 3].rows(inbox, length, stride, height, sink)


class _Colours:
    """A sink for rows of R, G, B."""

    __slots__ = ("_out",)

    def __init__(self, out: Pixels) -> None:
        self._out = out

    def __call__(self, row: int, data: bytes) -> None:
        rows = len(data) // (self._out.shape[1] * 3)
        unpack_rgb(data + b"\0", self._out[row : row + rows])


class _TwoColours:
    """A sink for rows of bits. A palette may have only one of the colours."""

    __slots__ = ("_count", "_first", "_out", "_second")

    def __init__(self, out: Pixels, colours: bytearray) -> None:
        self._out = out
        self._count = len(colours) // 3
        self._first = int.from_bytes(colours[:3], "big")
        self._second = int.from_bytes(colours[3:], "big")

    def __call__(self, row: int, data: bytes) -> None:
        width = self._out.shape[1]
        rows = len(data) // row_bytes(width, 1)
        if self._count == 1 and unpack(data, 0, width, rows, 1).any():
            raise RfbError("colour 1 of a Tight palette of 1")
        paint_bits(data, 0, self._first, self._second, self._out[row : row + rows])


class _Palette:
    """A sink for rows of indexes."""

    __slots__ = ("_colours", "_count", "_out")

    def __init__(self, out: Pixels, colours: bytearray) -> None:
        self._out = out
        self._count = len(colours) // 3
        self._colours = rgb_colours(bytes(colours) + b"\0", self._count)

    def __call__(self, row: int, data: bytes) -> None:
        indexes = np.frombuffer(data, np.uint8).reshape(-1, self._out.shape[1])
        highest = int(indexes.max())
        if highest >= self._count:
            raise RfbError(f"colour {highest} of a Tight palette of {self._count}")
        self._out[row : row + len(indexes)] = self._colours.take(indexes)


class _Gradient:
    """A sink for rows of differences."""

    __slots__ = ("_above", "_out")

    def __init__(self, out: Pixels) -> None:
        self._out = out
        self._above = np.zeros((out.shape[1], 3), np.uint8)

    def __call__(self, row: int, data: bytes) -> None:
        colours = undo_gradient(np.frombuffer(data, np.uint8).reshape(-1, self._out.shape[1], 3), self._above)
        self._above = colours[-1]
        unpack_rgb(colours.tobytes() + b"\0", self._out[row : row + len(colours)])


def _take_length(inbox: Inbox) -> Steps[int]:
    """A length of up to 22 bits: 7 bits in each of at most three bytes, 8 in the third; bit 7 says more follow."""
    length = 0
    for shift in (0, 7, 14):
        if inbox.end == inbox.pos:
            yield 1
        byte = inbox.data[inbox.pos]
        inbox.pos += 1
        if shift == 14:
            return length | byte << 14
        length |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
    return length
