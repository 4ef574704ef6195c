"""ZRLE (RFC 6143 §7.7.6): compressed tiles of 64 by 64 pixels, each in the way that is shortest for it."""

from __future__ import annotations

from guivm.console.frame import Framebuffer
from guivm.console.rfb.decoders.inflate import Inflater, take_length
from guivm.console.rfb.decoders.packed import paint_bits, row_bytes, unpack
from guivm.console.rfb.decoders.pixels import Pixels, area, bgr_colours, unpack_bgr
from guivm.console.rfb.decoders.runs import palette_runs, plain_runs, short_tile
from guivm.console.rfb.errors import RfbError
from guivm.console.rfb.inbox import Inbox, Steps

_SIDE = 64
_RAW, _SOLID, _TWO_COLOURS, _PACKED_LAST, _PLAIN_RUNS, _PALETTE_RUNS = 0, 1, 2, 16, 128, 130
_MAX_TILE = 1 + _SIDE * _SIDE * 4  # runs of one pixel each
_MAX_PALETTE = 127 * 3
_PIECE_BYTES = 32 << 10  # inflated at once: what zlib makes without a copy, still in the cache when the tiles are read


class ZrleDecoder:
    """Inflates a piece at a time and decodes its tiles while the rest is still on its way."""

    def __init__(self) -> None:
        self._inflater = Inflater()

    def decode(self, inbox: Inbox, target: Framebuffer, x: int, y: int, width: int, height: int) -> Steps[None]:
        tiles = -(-width // _SIDE) * -(-height // _SIDE)
        length = yield from take_length(inbox, width * height * 4 + tiles * (1 + _MAX_PALETTE))
        inflater = self._inflater
        inflater.begin(length)
        out = area(target, x, y, width, height)
        data = b""
        at = 0
        ended = False
        for top in range(0, height, _SIDE):
            strip = out[top : top + _SIDE]
            for left in range(0, width, _SIDE):
                if not ended and len(data) - at < _MAX_TILE:
                    held = [data[at:]]
                    size = len(data) - at
                    while size < _MAX_TILE and not ended:
                        piece = yield from inflater.piece(inbox, _PIECE_BYTES)
                        held.append(piece)
                        size += len(piece)
                        ended = not piece
                    data = b"".join(held)
                    at = 0
                at = _tile(data, at, strip[:, left : left + _SIDE])
        if at != len(data) or (not ended and (yield from inflater.piece(inbox, 1))):
            raise RfbError("a ZRLE rectangle that goes on behind its last tile")


def _tile(data: bytes, at: int, out: Pixels) -> int:
    """Decode the tile that starts at ``data[at]``; answer where it ends."""
    if at >= len(data):
        raise short_tile()
    kind: int = data[at]
    at += 1
    height, width = out.shape
    if kind == _SOLID:
        colour = data[at : at + 3]
        if len(colour) < 3:
            raise short_tile()
        out[...] = int.from_bytes(colour, "little")
        return at + 3
    if kind == _RAW:
        end: int = at + width * height * 3
        if end > len(data):
            raise short_tile()
        unpack_bgr(data, at, out)
        return end
    if kind == _PLAIN_RUNS:
        pixels, at = plain_runs(data, at, width * height)
        out[...] = pixels.reshape(height, width)
        return at
    if kind == _TWO_COLOURS:
        end = at + 6 + row_bytes(width, 1) * height
        if end > len(data):
            raise short_tile()
        first = int.from_bytes(data[at : at + 3], "little")
        paint_bits(data, at + 6, first, int.from_bytes(data[at + 3 : at + 6], "little"), out)
        return end
    count = kind & 0x7F
    if _PACKED_LAST < kind < _PALETTE_RUNS:
        raise RfbError(f"a ZRLE tile of unknown kind {kind}")
    if at + count * 3 > len(data):
        raise short_tile()
    palette = bgr_colours(data, at, count)
    at += count * 3
    if kind <= _PACKED_LAST:
        bits = 2 if count <= 4 else 4
        end = at + row_bytes(width, bits) * height
        if end > len(data):
            raise short_tile()
        indexes = unpack(data, at, width, height, bits)
        at = end
    else:
        runs, at = palette_runs(data, at, width * height)
        indexes = runs.reshape(height, width)
    try:
        out[...] = palette.take(indexes)
    except IndexError:
        raise RfbError(f"colour {indexes.max()} of a ZRLE palette of {count}") from None
    return at
