"""Raw rectangles that are in the inbox already, copied into the framebuffer: one by one, or many of a size at once.

Servers cut a screen into small tiles, and a numpy call for each costs more than its pixels do. Rows are copied as
opaque items, so that each is one memcpy whatever its alignment.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from guivm.console.frame import Framebuffer
from guivm.console.rfb.damage import Damage
from guivm.console.rfb.inbox import Inbox
from guivm.console.rfb.limits import check_rect
from guivm.console.rfb.wire import RECT

_HEADER = RECT.size
_KEPT = 64  # views of different widths


class RawRows:
    """Copies into one framebuffer. The caller has checked single rectangles; runs are checked here."""

    __slots__ = ("_target", "_views")

    def __init__(self, target: Framebuffer) -> None:
        self._target = target
        self._views: dict[int, tuple[np.dtype[np.void], NDArray[np.void]]] = {}

    def _view(self, width: int) -> tuple[np.dtype[np.void], NDArray[np.void]]:
        """Rows of this width as items, and the framebuffer as such items: [y, x] is the row that starts there."""
        view = self._views.get(width)
        if view is None:
            if len(self._views) >= _KEPT:
                self._views.clear()
            target = self._target
            row = np.dtype((np.void, width * 4))
            shape = (target.height, target.width - width + 1)
            places: NDArray[np.void] = np.ndarray(shape, row, target.rows, 0, (target.width * 4, 4))
            view = self._views[width] = (row, places)
        return view

    def copy(self, data: bytearray, offset: int, x: int, y: int, width: int, height: int) -> None:
        """One rectangle (not empty), whose pixels begin at ``offset``."""
        row, places = self._view(width)
        places[y : y + height, x] = np.ndarray((height,), row, data, offset)

    def copy_run(self, inbox: Inbox, damage: Damage, limit: int, width: int, height: int) -> int:
        """The raw rectangles (at most ``limit``) at the inbox's beginning that are like the first, and complete.

        Answers how many were copied; 0 for less than two. What is written later wins where they overlap, as if one
        had been copied after the other. Raises RfbError for one that is not inside the framebuffer.
        """
        data, pos = inbox.data, inbox.pos
        step = _HEADER + width * height * 4
        count = min(limit, (inbox.end - pos) // step)
        if count < 2:
            return 0
        target = self._target
        kinds: NDArray[np.uint64] = np.ndarray((count,), np.uint64, data, pos + 4, (step,))  # size and encoding
        others = kinds != kinds[0]
        if others.any():
            count = int(others.argmax())
        xs = np.ndarray((count,), ">u2", data, pos, (step,)).astype(np.intp)
        ys = np.ndarray((count,), ">u2", data, pos + 2, (step,)).astype(np.intp)
        if xs.max() + width > target.width or ys.max() + height > target.height:
            for x, y in zip(xs.tolist(), ys.tolist(), strict=True):
                check_rect(x, y, width, height, target.width, target.height, "a rectangle")
        row, _ = self._view(width)
        stride = target.width * 4
        shape = (target.height - height + 1, target.width - width + 1, height)
        places: NDArray[np.void] = np.ndarray(shape, row, target.rows, 0, (stride, 4, stride))
        tiles: NDArray[np.void] = np.ndarray((count, height), row, data, pos + _HEADER, (step, width * 4))
        places[ys, xs] = tiles
        damage.add_many(xs, ys, width, height)
        inbox.pos = pos + count * step
        return count
