"""Characters of the cells of a grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from guivm.console.frame import Rect
from guivm.console.screentext.cells import Cells, Codes, Grid, blocks, read_cells
from guivm.console.screentext.fonts import Font, FontSize, fonts_of

_UNKNOWN = "\N{REPLACEMENT CHARACTER}"
_MAX_CURSORS = 64  # cells with a cursor or an underline that are looked at
_MAX_CURSOR_SHARE = 0.4  # of a cell's rows


@dataclass(frozen=True, slots=True)
class Reading:
    """``rows`` of ``columns`` values each: a character and, after it, letters that look the same; empty for blanks.

    ``cells`` had ink, ``known`` of them are characters.
    """

    rows: list[list[str]]
    font: str
    cells: int
    known: int

    @property
    def confidence(self) -> float:
        return self.known / self.cells if self.cells else 0.0


def read_grid(codes: Codes, grid: Grid, area: Rect) -> Reading:
    """Exactly what the cells that ``area`` touches show; a cell with a shape that no font has is U+FFFD.

    A cell with more than two colours is a picture, or has a cursor in it.
    """
    block = blocks(codes, grid, area)
    cells = read_cells(block)
    size = fonts_of(grid.size)
    plain = [key for key, is_plain in zip(cells.keys, cells.plain, strict=True) if is_plain]
    font = _best_font(size, plain)
    background = _background(cells)
    found = [""] * (cells.rows * cells.columns)
    unknown: list[int] = []
    known = 0
    for number, index in enumerate(cells.inked):
        character = ""
        if cells.plain[number]:
            is_inverse = cells.second[number] == background
            key = cells.keys[number]
            character = _look_up(font, key, prefer_inverse=is_inverse) or _look_up(
                size.union, key, prefer_inverse=is_inverse
            )
        if character:
            found[index] = character
            known += 1
        else:
            unknown.append(number)
    if len(unknown) > 0:
        known += _read_cursors(block.reshape(-1, block.shape[2]), cells, unknown, font, found)
    rows = [found[at : at + cells.columns] for at in range(0, len(found), max(1, cells.columns))]
    return Reading(rows, font.name, len(cells.keys), known)


def _look_up(font: Font, key: bytes, *, prefer_inverse: bool) -> str:
    tables = (font.inverse, font.normal) if prefer_inverse else (font.normal, font.inverse)
    return tables[0].get(key) or tables[1].get(key) or ""


def _best_font(size: FontSize, keys: list[bytes]) -> Font:
    """The one that has most of the cells; of equals the most usual."""
    different = set(keys)

    def count(font: Font) -> int:
        return sum(key in font.normal or key in font.inverse for key in different)

    return max(size.fonts, key=count)


def _background(cells: Cells) -> int:
    """The colour most cells begin with."""
    if not len(cells.first):
        return 0
    colours, counts = np.unique(cells.first, return_counts=True)
    return int(colours[counts.argmax()])


def _read_cursors(flat: NDArray[np.uint32], cells: Cells, numbers: list[int], font: Font, found: list[str]) -> int:
    """Cells that some full rows in one colour lie over: the cursor, an underline. Fills ``found``; how many it knew."""
    glyphs = list(font.glyphs())
    shapes = np.array([bits for bits, _ in glyphs], np.bool_)
    known = 0
    for count, number in enumerate(numbers):
        index = int(cells.inked[number])
        if cells.plain[number]:
            found[index] = _UNKNOWN
        if count >= _MAX_CURSORS:
            continue
        cell = flat[index].reshape(font.height, font.width)
        character = _under_cursor(cell, shapes, glyphs)
        if character is not None:
            found[index] = character
            known += 1
    return known


def _under_cursor(
    cell: NDArray[np.uint32], shapes: NDArray[np.bool_], glyphs: list[tuple[NDArray[np.uint8], str]]
) -> str | None:
    colours, counts = np.unique(cell, return_counts=True)
    background = colours[counts.argmax()]
    covered = (cell == cell[:, :1]).all(axis=1) & (cell[:, 0] != background)
    if not covered.any() or covered.sum() > _MAX_CURSOR_SHARE * len(cell):
        return None
    rest = cell[~covered]
    ink = rest != background
    if not ink.any():
        return ""
    if len(np.unique(rest[ink])) > 1:
        return None
    fits = (shapes[:, ~covered] == ink).all(axis=(1, 2))
    # Of several the one with the least ink below the cursor: what is seen is all there is.
    candidates = np.flatnonzero(fits)
    if not len(candidates):
        return None
    hidden = shapes[candidates][:, covered].sum(axis=(1, 2))
    return glyphs[int(candidates[hidden.argmin()])][1]
