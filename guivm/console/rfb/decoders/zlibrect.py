"""Zlib (rfbproto "Zlib Encoding"): raw pixels, compressed; one zlib stream for the connection."""

from __future__ import annotations

import numpy as np

from guivm.console.frame import Framebuffer
from guivm.console.rfb.decoders.inflate import Inflater, take_length
from guivm.console.rfb.decoders.pixels import PIXEL, area
from guivm.console.rfb.inbox import Inbox, Steps


class ZlibDecoder:
    def __init__(self) -> None:
        self._inflater = Inflater()

    def decode(self, inbox: Inbox, target: Framebuffer, x: int, y: int, width: int, height: int) -> Steps[None]:
        length = yield from take_length(inbox, width * height * 4)
        if not (width and height):
            self._inflater.exactly((yield from inbox.take_bytes(length)), 0)
            return
        out = area(target, x, y, width, height)

        def sink(row: int, data: bytes) -> None:
            pixels = np.frombuffer(data, PIXEL).reshape(-1, width)
            out[row : row + len(pixels)] = pixels

        yield from self._inflater.rows(inbox, length, width * 4, height, sink)
