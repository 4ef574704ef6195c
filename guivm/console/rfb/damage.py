"""Damage: which pixels changed, as a few rectangles. Constant work per rectangle added."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guivm.console.frame import Rect

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_EXACT = 24  # rectangles kept as they are
_FEW = 80  # rectangles that are added faster one by one than through numpy
_CELLS = 4  # per axis, of the coarse grid beyond that


class Damage:
    """Collects rectangles. Neighbours grow together; when there are many, one box per cell of a coarse grid."""

    __slots__ = ("_boxes", "_cell_height", "_cell_width", "_coarse")

    def __init__(self, width: int, height: int) -> None:
        self._cell_width = max(1, -(-width // _CELLS))
        self._cell_height = max(1, -(-height // _CELLS))
        self._boxes: list[list[int]] = []  # x0, y0, x1, y1
        self._coarse: dict[int, list[int]] = {}

    def __bool__(self) -> bool:
        return bool(self._boxes or self._coarse)

    def add(self, x: int, y: int, width: int, height: int) -> None:
        """Add a rectangle (not empty, inside the framebuffer)."""
        x1, y1 = x + width, y + height
        coarse = self._coarse
        if coarse:
            cell = x // self._cell_width + _CELLS * (y // self._cell_height)
            box = coarse.get(cell)
            if box is None:
                coarse[cell] = [x, y, x1, y1]
                return
            # As in _add_coarse: this is the path of thousands of rectangles.
            if x < box[0]:
                box[0] = x
            if y < box[1]:
                box[1] = y
            if x1 > box[2]:
                box[2] = x1
            if y1 > box[3]:
                box[3] = y1
            return
        boxes = self._boxes
        if boxes:
            last = boxes[-1]
            if last[1] == y and last[3] == y1 and last[0] <= x <= last[2]:
                last[2] = max(last[2], x1)
                return
            if last[0] == x and last[2] == x1 and last[1] <= y <= last[3]:
                last[3] = max(last[3], y1)
                return
        boxes.append([x, y, x1, y1])
        if len(boxes) > _EXACT:
            for box in boxes:
                self._add_coarse(*box)
            boxes.clear()

    def add_many(self, xs: NDArray[np.intp], ys: NDArray[np.intp], width: int, height: int) -> None:
        """Add many rectangles of one size."""
        if len(xs) <= _FEW:
            for x, y in zip(xs.tolist(), ys.tolist(), strict=True):
                self.add(x, y, width, height)
            return
        import numpy as np

        for box in self._boxes:
            self._add_coarse(*box)
        self._boxes.clear()
        cells = xs // self._cell_width + ys // self._cell_height * _CELLS
        for cell in np.flatnonzero(np.bincount(cells)):
            inside = cells == cell
            left, top = xs[inside], ys[inside]
            x1, y1 = int(left.max()) + width, int(top.max()) + height
            self._add_coarse(int(left.min()), int(top.min()), x1, y1)

    def _add_coarse(self, x0: int, y0: int, x1: int, y1: int) -> None:
        cell = x0 // self._cell_width + _CELLS * (y0 // self._cell_height)
        box = self._coarse.get(cell)
        if box is None:
            self._coarse[cell] = [x0, y0, x1, y1]
            return
        if x0 < box[0]:
            box[0] = x0
        if y0 < box[1]:
            box[1] = y0
        if x1 > box[2]:
            box[2] = x1
        if y1 > box[3]:
            box[3] = y1

    def take(self) -> list[Rect]:
        """Return and forget what was collected; rectangles may overlap."""
        boxes = [*self._boxes, *self._coarse.values()]
        self._boxes = []
        self._coarse = {}
        kept: list[list[int]] = []
        for box in boxes:
            if not any(o[0] <= box[0] and o[1] <= box[1] and o[2] >= box[2] and o[3] >= box[3] for o in kept):
                kept.append(box)
        return [Rect(x0, y0, x1 - x0, y1 - y0) for x0, y0, x1, y1 in kept]

    def merge(self, rects: list[Rect]) -> None:
        """Add rectangles taken elsewhere."""
        for rect in rects:
            self.add(rect.x, rect.y, rect.width, rect.height)
