"""Indexes of 1, 2 or 4 bits, packed into bytes from the most significant bit on; rows begin with a byte."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from guivm.console.rfb.decoders.pixels import PIXEL, Pixels

Indexes = NDArray[np.uint8]

_BYTES = np.arange(256, dtype=np.uint8)[:, None]
_PAIRS: Indexes = (_BYTES >> np.array([6, 4, 2, 0], np.uint8)) & np.uint8(3)
_NIBBLES: Indexes = (_BYTES >> np.array([4, 0], np.uint8)) & np.uint8(15)
_BITS: Indexes = np.unpackbits(_BYTES, axis=1)


def row_bytes(width: int, bits: int) -> int:
    return (width * bits + 7) // 8


def unpack(data: bytes | bytearray, start: int, width: int, height: int, bits: int) -> Indexes:
    """Rows of ``width`` indexes of ``bits`` bits each from ``data[start:]``: (height, width)."""
    stride = row_bytes(width, bits)
    rows: Indexes = np.ndarray((height, stride), np.uint8, data, start)
    if bits == 1:
        return np.unpackbits(rows, axis=1, count=width)
    found = (_PAIRS if bits == 2 else _NIBBLES).take(rows, axis=0).reshape(height, -1)
    return found[:, :width]


def paint_bits(data: bytes | bytearray, start: int, first: int, second: int, out: Pixels) -> None:
    """Rows of one bit a pixel from ``data[start:]`` into ``out``, in the colours of 0 and of 1."""
    height, width = out.shape
    rows: Indexes = np.ndarray((height, row_bytes(width, 1)), np.uint8, data, start)
    pixels = _byte_pixels(first, second).take(rows, axis=0).reshape(height, -1)
    out[...] = pixels if width & 7 == 0 else pixels[:, :width]


@lru_cache(maxsize=32)  # 8 KiB each; the same few pairs come again and again
def _byte_pixels(first: int, second: int) -> Pixels:
    """The eight pixels of every byte: (256, 8)."""
    return np.array((first, second), PIXEL).take(_BITS)
