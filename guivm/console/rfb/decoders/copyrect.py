"""CopyRect (RFC 6143 §7.7.2): pixels that are on the screen already."""

from __future__ import annotations

from guivm.console.frame import Framebuffer
from guivm.console.rfb.inbox import Inbox, Steps
from guivm.console.rfb.limits import check_rect
from guivm.console.rfb.wire import POINT


class CopyRectDecoder:
    def decode(self, inbox: Inbox, target: Framebuffer, x: int, y: int, width: int, height: int) -> Steps[None]:
        start = yield from inbox.take(POINT.size)
        from_x, from_y = POINT.unpack_from(inbox.data, start)
        check_rect(from_x, from_y, width, height, target.width, target.height, "a copy")
        # numpy copies overlapping ranges of one array as if through a temporary.
        target.pixels[y : y + height, x : x + width] = target.pixels[from_y : from_y + height, from_x : from_x + width]
