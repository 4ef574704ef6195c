"""A picture as a grid of cells, and the cells as bits: which pixels have another colour than the first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from guivm.console.frame import Rect
from guivm.console.screentext.fonts import Size

Codes = NDArray[np.uint32]
"""(height, width): one number for each colour."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Cells of ``size`` pixels (width, height); one has its top left corner at ``x``, ``y``, less than a size away."""

    size: Size
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Cells:
    """Cells one after the other, by rows. ``first``: each one's first colour.

    ``inked``: indexes of those with more than one colour. Beside it, in the same order: ``second``, the other colour;
    ``plain``, whether there are just these two; ``keys``, the bits of each as :class:`Font` has them (of use only
    where ``plain``).
    """

    rows: int
    columns: int
    first: Codes
    inked: NDArray[np.intp]
    second: Codes
    plain: NDArray[np.bool_]
    keys: list[bytes]


def codes_of(pixels: NDArray[np.uint8]) -> Codes:
    """BGRX bytes (height, width, 4) as numbers."""
    whole = np.ascontiguousarray(pixels).view("<u4")[:, :, 0]
    result: Codes = whole & np.uint32(0xFFFFFF)
    return result


def blocks(codes: Codes, grid: Grid, area: Rect) -> NDArray[np.uint32]:
    """(rows, columns, height × width): the whole cells of the picture that ``area`` touches; perhaps none."""
    width, height = grid.size
    left, right = _span(grid.x, width, area.x, area.width, codes.shape[1])
    top, bottom = _span(grid.y, height, area.y, area.height, codes.shape[0])
    rows, columns = (bottom - top) // height, (right - left) // width
    cut = codes[top:bottom, left:right].reshape(rows, height, columns, width)
    return cut.transpose(0, 2, 1, 3).reshape(rows, columns, height * width)


def _span(offset: int, step: int, start: int, length: int, end: int) -> tuple[int, int]:
    first = max(0, (start - offset) // step)
    last = min((end - offset) // step, -(-(start + length - offset) // step))
    return offset + first * step, offset + max(first, last) * step


def read_cells(block: NDArray[np.uint32]) -> Cells:
    """``block``: (rows, columns, pixels)."""
    rows, columns = block.shape[:2]
    flat = block.reshape(rows * columns, block.shape[2])
    first = flat[:, 0]
    differs = flat != first[:, np.newaxis]
    inked = np.flatnonzero(differs.any(axis=1))
    differs = differs[inked]
    flat = flat[inked]
    second = flat[np.arange(len(inked)), differs.argmax(axis=1)]
    plain = (~differs | (flat == second[:, np.newaxis])).all(axis=1)
    packed = np.packbits(differs, axis=1)
    raw = packed.tobytes()
    step = packed.shape[1]
    keys = [raw[at : at + step] for at in range(0, len(raw), step)]
    return Cells(rows, columns, first, inked, second, plain, keys)
