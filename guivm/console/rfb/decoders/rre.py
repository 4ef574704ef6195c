"""RRE (RFC 6143 §7.7.3): a background, and rectangles of one colour on it."""

from __future__ import annotations

import numpy as np

from guivm.console.frame import Framebuffer
from guivm.console.rfb.decoders.pixels import PIXEL, area
from guivm.console.rfb.decoders.subrects import Subrects
from guivm.console.rfb.errors import RfbError
from guivm.console.rfb.inbox import Inbox, Steps
from guivm.console.rfb.wire import U32

_SUBRECT = np.dtype([("colour", PIXEL), ("x", ">u2"), ("y", ">u2"), ("width", ">u2"), ("height", ">u2")])
_AT_ONCE = 2048
_LAYERS = 16  # encoders paint no pixel twice; a rectangle painted far more often only keeps us busy


class RreDecoder:
    def decode(self, inbox: Inbox, target: Framebuffer, x: int, y: int, width: int, height: int) -> Steps[None]:
        start = yield from inbox.take(8)
        (count,) = U32.unpack_from(inbox.data, start)
        size = width * height
        if count > size:
            raise RfbError(f"{count} RRE sub-rectangles in a rectangle of {size} pixels")
        area(target, x, y, width, height)[...] = int.from_bytes(inbox.data[start + 4 : start + 8], "little")
        budget = size * _LAYERS
        while count:
            part = min(count, _AT_ONCE)
            count -= part
            start = yield from inbox.take(part * _SUBRECT.itemsize)
            found = np.frombuffer(inbox.data, _SUBRECT, part, start)
            xs, ys, widths, heights = (found[name].astype(np.intp) for name in ("x", "y", "width", "height"))
            wrong = (xs + widths > width) | (ys + heights > height)
            if wrong.any():
                first = int(wrong.argmax())
                raise RfbError(
                    f"an RRE sub-rectangle of {widths[first]} by {heights[first]} pixels at {xs[first]}, {ys[first]} "
                    f"in a rectangle of {width} by {height}"
                )
            budget -= int((widths * heights).sum())
            if budget < 0:
                raise RfbError(f"RRE sub-rectangles that cover their rectangle more than {_LAYERS} times")
            Subrects(xs + x, ys + y, widths, heights, found["colour"].astype(PIXEL)).paint(target)
