"""Many small rectangles of one colour each, as RRE and Hextile have them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from guivm.console.frame import Framebuffer
from guivm.console.rfb.decoders.pixels import PIXEL, Pixels, area

Numbers = NDArray[np.intp]

_FEW = 24  # up to so many are painted one by one
_LARGE = 512  # so are those of so many pixels on average


@dataclass(frozen=True, slots=True)
class Subrects:
    """One entry per rectangle; pixels of the framebuffer, checked already to be inside."""

    x: Numbers
    y: Numbers
    width: Numbers
    height: Numbers
    colour: Pixels

    def paint(self, target: Framebuffer) -> None:
        """Paint them in their order: what comes later lies on top."""
        count = len(self.x)
        if count <= _FEW or int((self.width * self.height).sum()) > count * _LARGE:
            self._paint_each(target)
        else:
            self._paint_pixels(target)

    def _paint_each(self, target: Framebuffer) -> None:
        pixels = area(target, 0, 0, target.width, target.height)
        columns = (self.x, self.y, self.x + self.width, self.y + self.height, self.colour)
        for x, y, right, bottom, colour in zip(*(column.tolist() for column in columns), strict=True):
            pixels[y:bottom, x:right] = colour

    def _paint_pixels(self, target: Framebuffer) -> None:
        """As one assignment to all pixels. numpy keeps the last value of an index that comes more than once."""
        stride = target.width
        # The rows of all rectangles: where each starts, its width, its colour …
        ends = self.height.cumsum()
        starts = np.repeat(self.y * stride + self.x - (ends - self.height) * stride, self.height)
        starts += np.arange(len(starts)) * stride
        widths = np.repeat(self.width, self.height)
        # … and then the pixels of all rows.
        ends = widths.cumsum()
        index = np.repeat(starts - (ends - widths), widths)
        index += np.arange(len(index))
        np.frombuffer(target.rows, PIXEL)[index] = np.repeat(np.repeat(self.colour, self.height), widths)
