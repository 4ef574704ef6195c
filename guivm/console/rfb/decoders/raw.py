"""Raw (RFC 6143 §7.7.1): rows of 32-bit pixels, as the framebuffer holds them."""

from __future__ import annotations

import numpy as np

from guivm.console.frame import Framebuffer
from guivm.console.rfb.inbox import Inbox, Steps
from guivm.console.rfb.limits import DIRECT_BYTES, DIRECT_ROW_BYTES


class RawDecoder:
    """Large rectangles go from the socket into the rows; small ones through the inbox, where reads are few."""

    def decode(self, inbox: Inbox, target: Framebuffer, x: int, y: int, width: int, height: int) -> Steps[None]:
        stride = width * 4
        size = stride * height
        if not size:
            return
        if size >= DIRECT_BYTES and inbox.end - inbox.pos < size:
            start = (y * target.width + x) * 4
            if width == target.width:
                yield from inbox.take_into([target.rows[start : start + size]])
                return
            if stride >= DIRECT_ROW_BYTES:
                step = target.width * 4
                rows = target.rows
                ends = range(start, start + step * height, step)
                yield from inbox.take_into([rows[offset : offset + stride] for offset in ends])
                return
            band = DIRECT_BYTES // stride
            for top in range(0, height, band):
                yield from _copy(inbox, target, x, y + top, width, min(band, height - top))
            return
        yield from _copy(inbox, target, x, y, width, height)


def _copy(inbox: Inbox, target: Framebuffer, x: int, y: int, width: int, height: int) -> Steps[None]:
    size = width * height * 4
    start = yield from inbox.take(size)
    pixels = np.frombuffer(inbox.data, np.uint8, size, start).reshape(height, width, 4)
    target.pixels[y : y + height, x : x + width] = pixels
