"""Bounds on everything a server may claim, checked before memory is set aside for it.

The values are larger than any real display needs and small enough for a desktop to bear.
"""

from __future__ import annotations

from guivm.console.rfb.errors import RfbError

MAX_SIDE = 16_384  # pixels of the framebuffer, per axis
MAX_CURSOR_SIDE = 256  # pixels, per axis
MAX_TEXT_BYTES = 1 << 20  # clipboard
MAX_NAME_BYTES = 64 << 10  # desktop name, reasons
MAX_SOUND_BYTES = 1 << 20  # of one message: five seconds at 48 kHz
MAX_SECURITY_TYPES = 255
MAX_OUTPUT_BYTES = 1 << 20  # output that the server does not take from us
MAX_ANSWER_BYTES = 4 << 20  # what we say to one piece of input
MAX_PICTURE_PIXELS = 1 << 25  # of one JPEG or PNG: more than 8K has

WORK_PIXELS = 2 << 20  # written at once, before whoever drives the session may look at something else
RECT_PIXELS = 1 << 10  # what a message or a rectangle costs beside its pixels
BUFFER_BYTES = 2 << 20  # one buffer for all that is small: fewer reads, and it still fits into a processor's cache
DIRECT_BYTES = 64 << 10  # from here on pixels are received straight into the framebuffer
DIRECT_ROW_BYTES = 2 << 10  # … unless their rows are shorter than this


def check_size(width: int, height: int) -> None:
    """Refuse a framebuffer nobody can have."""
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
        raise RfbError(f"a screen of {width} by {height} pixels (1 to {MAX_SIDE} are possible)")


def check_rect(x: int, y: int, width: int, height: int, fb_width: int, fb_height: int, what: str) -> None:
    """Refuse a rectangle that is not inside the framebuffer, per axis."""
    if x + width > fb_width:
        raise RfbError(f"{what} from x={x}, {width} pixels wide, on a screen {fb_width} pixels wide")
    if y + height > fb_height:
        raise RfbError(f"{what} from y={y}, {height} pixels high, on a screen {fb_height} pixels high")


def check_length(length: int, limit: int, what: str) -> None:
    """Refuse a length above its bound."""
    if not 0 <= length <= limit:
        raise RfbError(f"{what} of {length} bytes (at most {limit})")
