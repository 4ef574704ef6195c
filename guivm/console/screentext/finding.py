"""Finding the grid of a text screen: the size of its cells and where they begin."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from guivm.console.frame import Rect
from guivm.console.screentext.cells import Codes, Grid, blocks, read_cells
from guivm.console.screentext.fonts import Font, Size, fonts_of, sizes

_SAMPLE_ROWS = 12
_PROBES = 32
_CANDIDATES = 3
_FEW = 3  # letters and digits that need company
_SURE = 8  # letters and digits that are there to the pixel: no chance


@dataclass(frozen=True, slots=True)
class Score:
    """How well a grid fits: cells with ink, those that are glyphs, and letters and digits among them."""

    cells: int
    glyphs: int
    letters: int

    @property
    def share(self) -> float:
        return self.glyphs / self.cells if self.cells else 0.0

    @property
    def fits(self) -> bool:
        """Half of all is text; or there is much, beside pictures."""
        return self.letters > 0 and (self.share >= 0.5 or (self.letters >= 3 * _SURE and self.share >= 0.15))


def find_grid(codes: Codes, area: Rect, *, at_least: int = 1) -> Grid | None:
    """The grid of the text in ``area``: most text screens begin in the corner or stand in the middle; else by search.

    ``at_least`` so many letters or digits have to be seen, in the area or, on the same grid, on the whole screen.
    """
    whole = Rect(0, 0, codes.shape[1], codes.shape[0])
    found: tuple[Score, Grid] | None = None
    for grid in _usual_grids(codes):
        score = _judge(codes, grid, area, at_least)
        if score.fits and score.letters >= at_least and (found is None or score.glyphs > found[0].glyphs):
            found = score, grid
            if score.share >= 0.9 and score.letters >= _SURE:
                break
    if found is None:
        found = _search(codes, area, area, at_least)
    if found is None and area != whole:
        found = _search(codes, area, whole, at_least)
    return found[1] if found is not None else None


def _judge(codes: Codes, grid: Grid, area: Rect, at_least: int) -> Score:
    """Few letters in a small area, or none but lines and signs, count when the whole screen has more on that grid."""
    score = measure(codes, grid, area)
    if score.share >= 0.5 and score.letters < max(_FEW, at_least):
        wider = measure(codes, grid, Rect(0, 0, codes.shape[1], codes.shape[0]))
        if wider.fits:
            score = Score(score.cells, score.glyphs, max(score.letters, wider.letters))
    return score


def measure(codes: Codes, grid: Grid, area: Rect) -> Score:
    """From some rows of the area that have ink."""
    block = blocks(codes, grid, area)
    rows = np.flatnonzero((block != block[:, :, :1]).any(axis=(1, 2))) if block.size else np.empty(0, np.intp)
    if len(rows) > _SAMPLE_ROWS:
        rows = rows[np.linspace(0, len(rows) - 1, _SAMPLE_ROWS).astype(np.intp)]
    cells = read_cells(block[rows])
    hits = _hits(fonts_of(grid.size).union, [key for key, plain in zip(cells.keys, cells.plain, strict=True) if plain])
    return Score(len(cells.keys), len(hits), sum(hit[0].isalnum() for hit in hits))


def _hits(font: Font, keys: list[bytes]) -> list[str]:
    return [found for key in keys if (found := font.normal.get(key) or font.inverse.get(key))]


def _usual_grids(codes: Codes) -> Iterator[Grid]:
    height, width = codes.shape
    for size in sizes():
        yield Grid(size, 0, 0)
        middle = Grid(size, width % size[0] // 2, height % size[1] // 2)
        if middle.x or middle.y:
            yield middle


def _search(codes: Codes, area: Rect, where: Rect, at_least: int) -> tuple[Score, Grid] | None:
    """Look for glyphs at every place around some edges in ``where``: those of one grid agree."""
    cut = codes[where.y : where.y + where.height, where.x : where.x + where.width]
    edges = np.argwhere(cut[:, 1:] != cut[:, :-1])
    if not len(edges):
        return None
    chosen = np.random.default_rng(0).permutation(len(edges))[:_PROBES]
    probes = edges[chosen] + (where.y, where.x)
    best: tuple[Score, Grid] | None = None
    for size in sizes():
        votes = _votes(codes, probes, size)
        if votes is None:
            continue
        for place in np.argsort(votes, axis=None)[::-1][:_CANDIDATES]:
            y, x = divmod(int(place), size[0])
            if votes[y, x] < 2:
                break
            grid = Grid(size, x, y)
            score = _judge(codes, grid, area, at_least)
            if score.fits and score.letters >= at_least and (best is None or score.glyphs > best[0].glyphs):
                best = score, grid
        if best is not None and best[0].share >= 0.9 and best[0].letters >= _SURE:
            break
    return best


def _votes(codes: Codes, probes: NDArray[np.intp], size: Size) -> NDArray[np.intp] | None:
    """(height, width): letters and digits found, by where a grid would have to begin for them."""
    width, height = size
    if codes.shape[0] < 2 * height - 1 or codes.shape[1] < 2 * width - 1:
        return None
    union = fonts_of(size).union
    votes = np.zeros((height, width), np.intp)
    for probe_y, probe_x in probes:
        top = min(max(int(probe_y) - height + 1, 0), codes.shape[0] - 2 * height + 1)
        left = min(max(int(probe_x) - width + 1, 0), codes.shape[1] - 2 * width + 1)
        window = codes[top : top + 2 * height - 1, left : left + 2 * width - 1]
        cells = read_cells(sliding_window_view(window, (height, width)).reshape(height, width, height * width))
        for index in np.flatnonzero(cells.plain):
            found = union.normal.get(cells.keys[index]) or union.inverse.get(cells.keys[index])
            if found and found[0].isalnum():
                y, x = divmod(int(cells.inked[index]), width)
                votes[(top + y) % height, (left + x) % width] += 1
    return votes
