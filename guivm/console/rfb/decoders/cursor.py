"""Cursor shapes: with a mask (RFC 6143 §7.8.1), in two colours ("X Cursor") and with alpha (both rfbproto)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from guivm.console.frame import CursorShape, Framebuffer
from guivm.console.rfb.decoders import Decoder
from guivm.console.rfb.decoders.raw import RawDecoder
from guivm.console.rfb.errors import RfbError
from guivm.console.rfb.inbox import Inbox, Steps
from guivm.console.rfb.limits import MAX_CURSOR_SIDE
from guivm.console.rfb.wire import S32, Encoding


def _check(width: int, height: int) -> None:
    if width > MAX_CURSOR_SIDE or height > MAX_CURSOR_SIDE:
        raise RfbError(f"a cursor of {width} by {height} pixels (at most {MAX_CURSOR_SIDE})")


def _shape(pixels: NDArray[np.uint8], hot_x: int, hot_y: int) -> CursorShape:
    height, width = pixels.shape[:2]
    pixels.setflags(write=False)
    # Guests name hot spots outside of their cursors (virtio-gpu passes anything on): no fault of the server.
    return CursorShape(width, height, min(hot_x, width - 1), min(hot_y, height - 1), pixels)


def masked_cursor(inbox: Inbox, hot_x: int, hot_y: int, width: int, height: int) -> Steps[CursorShape | None]:
    """Pixels in our format, then one bit per pixel, rows padded to bytes. Nothing in it: hidden."""
    _check(width, height)
    mask_stride = (width + 7) // 8
    data = yield from inbox.take_bytes(width * height * 4 + mask_stride * height)
    if not data:
        return None
    split = width * height * 4
    pixels = np.frombuffer(data, np.uint8, split).reshape(height, width, 4).copy()
    mask = np.frombuffer(data, np.uint8, offset=split).reshape(height, mask_stride)
    pixels[:, :, 3] = np.unpackbits(mask, axis=1, count=width) * 255
    return _shape(pixels, hot_x, hot_y)


def two_colour_cursor(inbox: Inbox, hot_x: int, hot_y: int, width: int, height: int) -> Steps[CursorShape | None]:
    """Two colours R, G, B, one bit per pixel that says which (1: the first), and the mask. Hidden: no bytes."""
    _check(width, height)
    if not (width and height):
        return None
    mask_stride = (width + 7) // 8
    data = yield from inbox.take_bytes(6 + 2 * mask_stride * height)
    colours = np.frombuffer(data, np.uint8, 6).reshape(2, 3)[:, ::-1]
    bits, mask = np.unpackbits(
        np.frombuffer(data, np.uint8, offset=6).reshape(2, height, mask_stride), axis=2, count=width
    )
    pixels = np.empty((height, width, 4), np.uint8)
    pixels[:, :, :3] = colours[1 - bits]
    pixels[:, :, 3] = mask * 255
    return _shape(pixels, hot_x, hot_y)


_FOUR_BYTES = (Encoding.RAW, Encoding.RRE, Encoding.HEXTILE, Encoding.ZLIB)


def alpha_cursor(
    inbox: Inbox,
    hot_x: int,
    hot_y: int,
    width: int,
    height: int,
    *,
    is_qemu: bool,
    decoders: Mapping[int, Decoder] | None = None,
) -> Steps[CursorShape | None]:
    """An encoding number, then pixels in it: in that of one of ``decoders`` whose pixels have four bytes.

    rfbproto says R, G, B, A with the colours multiplied by alpha; QEMU (``vnc_cursor_define``) sends its own
    cursor memory instead, which is B, G, R, A with plain colours.
    """
    _check(width, height)
    start = yield from inbox.take(S32.size)
    (encoding,) = S32.unpack_from(inbox.data, start)
    decoder = (decoders or {Encoding.RAW: RawDecoder()}).get(encoding) if encoding in _FOUR_BYTES else None
    if decoder is None:
        raise RfbError(f"a cursor in encoding {encoding}, which we did not ask for")
    scratch = Framebuffer(width, height)
    yield from decoder.decode(inbox, scratch, 0, 0, width, height)
    if not (width and height):
        return None
    pixels = scratch.pixels
    if not is_qemu:
        pixels = pixels[:, :, [2, 1, 0, 3]]
        alpha = pixels[:, :, 3:].astype(np.uint16)
        colours = pixels[:, :, :3].astype(np.uint16)
        divisor = np.maximum(alpha, 1)
        pixels[:, :, :3] = np.minimum((colours * 255 + divisor // 2) // divisor, 255)
    return _shape(pixels, hot_x, hot_y)
