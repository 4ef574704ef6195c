"""Pixels as 32-bit numbers: the four bytes B, G, R, X of the framebuffer read as one little-endian value.

Encodings that leave out the fourth byte get 0 there; Raw, RRE, Hextile and Zlib keep what the server sent. Nobody
looks at it: the picture is painted as Format_RGB32.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from guivm.console.frame import Framebuffer

Pixels = NDArray[np.uint32]
Buffer = bytes | bytearray | memoryview

PIXEL = np.dtype("<u4")
_SWAPPED = np.dtype(">u4")


def area(target: Framebuffer, x: int, y: int, width: int, height: int) -> Pixels:
    """A writable view of a part of the framebuffer, (height, width). The part must lie inside."""
    stride = target.width * 4
    if not (width and height):
        return np.empty((height, width), PIXEL)
    return np.ndarray((height, width), PIXEL, target.rows, y * stride + x * 4, (stride, 4))


def unpack_bgr(data: Buffer, start: int, out: Pixels) -> None:
    """Rows of 3-byte pixels B, G, R from ``data[start:]`` into ``out``. ``data[start - 1]`` must exist."""
    height, width = out.shape
    # Each pixel is read together with the byte before it, which is shifted out: far faster than byte by byte.
    np.right_shift(np.ndarray((height, width), PIXEL, data, start - 1, (width * 3, 3)), 8, out=out)


def bgr_colours(data: Buffer, start: int, count: int) -> Pixels:
    """A palette of 3-byte pixels B, G, R from ``data[start:]``. ``data[start - 1]`` must exist."""
    shifted: Pixels = np.ndarray((count,), PIXEL, data, start - 1, (3,))
    return shifted >> np.uint32(8)


def unpack_rgb(data: Buffer, out: Pixels) -> None:
    """Rows of 3-byte pixels R, G, B into ``out``. There must be one byte more in ``data`` than the pixels have."""
    height, width = out.shape
    np.right_shift(np.ndarray((height, width), _SWAPPED, data, 0, (width * 3, 3)), 8, out=out, casting="unsafe")


def rgb_colours(data: bytes, count: int) -> Pixels:
    """A palette of 3-byte pixels R, G, B. There must be one byte more in ``data`` than the pixels have."""
    swapped: Pixels = np.ndarray((count,), _SWAPPED, data, 0, (3,)).astype(PIXEL)
    return swapped >> np.uint32(8)
