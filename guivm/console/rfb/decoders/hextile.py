"""Hextile (RFC 6143 §7.7.4): tiles of 16 by 16 pixels, raw or as a background with rectangles on it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from guivm.console.frame import Framebuffer
from guivm.console.rfb.decoders.pixels import PIXEL, Pixels, area
from guivm.console.rfb.decoders.subrects import Subrects
from guivm.console.rfb.errors import RfbError
from guivm.console.rfb.inbox import Inbox, Steps

_SIDE = 16
_RAW, _BACKGROUND, _FOREGROUND, _SUBRECTS, _COLOURED = 1, 2, 4, 8, 16
_ALL = 31
_RAW_TILE = _SIDE * _SIDE * 4
_MANY = 4096  # sub-rectangles painted at once: at most 2²⁰ pixels


class HextileDecoder:
    """Tiles are only counted off while there are bytes; pixels are written for as many of them at once as can be."""

    def decode(self, inbox: Inbox, target: Framebuffer, x: int, y: int, width: int, height: int) -> Steps[None]:
        if not (width and height):
            return
        out = area(target, x, y, width, height)
        data = inbox.data
        mono = _Subtiles(2, width, height)
        coloured = _Subtiles(6, width, height)
        background = foreground = 0
        for top in range(0, height, _SIDE):
            tile_height = min(_SIDE, height - top)
            strip = out[top : top + tile_height]
            run = 0  # where the tiles with the same background begin that are not painted yet
            raw_from = raw_count = 0  # offset and number of the whole raw tiles before this one
            left = 0
            while left < width:
                tile_width = min(_SIDE, width - left)
                pos = inbox.pos
                have = inbox.end - pos
                need = 1
                kind = 0
                if have:
                    kind = data[pos]
                    if kind & _RAW:
                        need = 1 + tile_width * tile_height * 4
                    else:
                        if kind & _BACKGROUND:
                            need = 5
                        if kind & _FOREGROUND:
                            need += 4
                        if kind & _SUBRECTS:
                            need += 1
                            if have >= need:
                                need += data[pos + need - 1] * (6 if kind & _COLOURED else 2)
                if have < need:
                    # What is in the inbox moves with the next bytes: paint all that is still to be read from it.
                    if raw_count:
                        _raw_tiles(data, raw_from, raw_count, strip, left)
                        raw_count = 0
                    yield need
                    continue
                inbox.pos = pos + need
                if kind & _RAW:
                    if run < left:
                        strip[:, run:left] = background
                    if tile_width == tile_height == _SIDE:
                        if not raw_count:
                            raw_from = pos + 1
                        raw_count += 1
                    else:
                        if raw_count:
                            _raw_tiles(data, raw_from, raw_count, strip, left)
                            raw_count = 0
                        strip[:, left : left + tile_width] = np.ndarray((tile_height, tile_width), PIXEL, data, pos + 1)
                    left += tile_width
                    run = left
                    continue
                if raw_count:
                    _raw_tiles(data, raw_from, raw_count, strip, left)
                    raw_count = 0
                if kind > _ALL:
                    raise RfbError(f"a Hextile tile of unknown kind {kind}")
                pos += 1
                if kind & _BACKGROUND:
                    colour = int.from_bytes(data[pos : pos + 4], "little")
                    pos += 4
                    if colour != background:
                        if run < left:
                            strip[:, run:left] = background
                        run = left
                        background = colour
                if kind & _FOREGROUND:
                    foreground = int.from_bytes(data[pos : pos + 4], "little")
                    pos += 4
                if kind & _SUBRECTS:
                    tiles = coloured if kind & _COLOURED else mono
                    tiles.add(left, top, foreground, data[pos + 1 : inbox.pos])
                left += tile_width
                if mono.total + coloured.total > _MANY:
                    strip[:, run:left] = background
                    run = left
                    mono.paint(target, x, y)
                    coloured.paint(target, x, y)
            if raw_count:
                _raw_tiles(data, raw_from, raw_count, strip, width)
            if run < width:
                strip[:, run:] = background
        mono.paint(target, x, y)
        coloured.paint(target, x, y)


def _raw_tiles(data: bytearray, start: int, count: int, strip: Pixels, right: int) -> None:
    """``count`` whole raw tiles, each behind a byte with its kind, that end at column ``right``."""
    tiles = np.ndarray((_SIDE, count, _SIDE), PIXEL, data, start, (_SIDE * 4, _RAW_TILE + 1, 4))
    strip[:, right - count * _SIDE : right] = tiles.reshape(_SIDE, count * _SIDE)


class _Subtiles:
    """Tiles with sub-rectangles of ``entry`` bytes: maybe a colour, then x and y, width - 1 and height - 1."""

    def __init__(self, entry: int, width: int, height: int) -> None:
        self.total = 0
        self._entry = entry
        self._width = width
        self._height = height
        self._tiles: list[tuple[int, int, int, int]] = []  # x, y, colour, number of sub-rectangles
        self._found: list[bytearray] = []

    def add(self, left: int, top: int, colour: int, found: bytearray) -> None:
        count = len(found) // self._entry
        self._tiles.append((left, top, colour, count))
        self._found.append(found)
        self.total += count

    def paint(self, target: Framebuffer, x: int, y: int) -> None:
        """Paint and forget. The backgrounds are there already."""
        if not self.total:
            return
        tiles: NDArray[np.intp] = np.array(self._tiles, np.intp)
        found = np.frombuffer(b"".join(self._found), np.uint8).reshape(-1, self._entry)
        places, sizes = found[:, -2].astype(np.intp), found[:, -1].astype(np.intp)
        of_tile = np.repeat(np.arange(len(tiles)), tiles[:, 3])
        lefts, tops, colours = (tiles[:, column].take(of_tile) for column in range(3))
        xs, ys, widths, heights = places >> 4, places & 15, (sizes >> 4) + 1, (sizes & 15) + 1
        wrong = (xs + widths > np.minimum(_SIDE, self._width - lefts)) | (
            ys + heights > np.minimum(_SIDE, self._height - tops)
        )
        if wrong.any():
            first = int(wrong.argmax())
            raise RfbError(
                f"a Hextile sub-rectangle of {widths[first]} by {heights[first]} pixels at {xs[first]}, {ys[first]}, "
                "outside of its tile"
            )
        pixels = colours.astype(PIXEL) if self._entry == 2 else found[:, :4].copy().view(PIXEL)[:, 0]
        Subrects(xs + lefts + x, ys + tops + y, widths, heights, pixels).paint(target)
        self.total = 0
        self._tiles.clear()
        self._found.clear()
