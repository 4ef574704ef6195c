"""JPEG and PNG inside Tight rectangles, through Pillow, which is imported when the first of them comes."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Literal

import numpy as np

from guivm.console.rfb.decoders.pixels import PIXEL, Pixels
from guivm.console.rfb.errors import RfbError
from guivm.console.rfb.limits import MAX_PICTURE_PIXELS

Kind = Literal["JPEG", "PNG"]

_MODES = frozenset(("RGB", "L", "P", "1", "RGBA", "LA"))
# What Pillow's readers of these two formats raise over data that is broken.
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error, zlib.error)


def decode_picture(kind: Kind, data: bytes, width: int, height: int) -> Pixels:
    """The picture's pixels, (height, width). RfbError when it is no such picture of exactly this size."""
    from PIL import Image, UnidentifiedImageError

    if width * height > MAX_PICTURE_PIXELS:
        raise RfbError(f"a {kind} picture of {width} by {height} pixels (at most {MAX_PICTURE_PIXELS})")
    try:
        with Image.open(io.BytesIO(data), formats=(kind,)) as image:
            # Known from the header, before memory is set aside for the pixels.
            if image.size != (width, height):
                raise RfbError(
                    f"a {kind} picture of {image.width} by {image.height} pixels in a rectangle of {width} by {height}"
                )
            if image.mode not in _MODES:
                raise RfbError(f"a {kind} picture with colours of the kind {image.mode}")
            colours = image if image.mode == "RGB" else image.convert("RGB")
            pixels = colours.tobytes("raw", "BGRX")
    except UnidentifiedImageError:
        raise RfbError(f"a rectangle of kind {kind} that is no such picture") from None
    except (*_BROKEN, Image.DecompressionBombError, Warning) as error:
        raise RfbError(f"a {kind} picture that cannot be read ({error})") from None
    return np.frombuffer(pixels, PIXEL).reshape(height, width)
