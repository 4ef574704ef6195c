"""What a terminal shows, as values: rows of runs of equally styled text."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple, cast

from pyte.screens import Char
from wcwidth import wcwidth

MAX_CLUSTER = 8
"""Characters in one cell, combining marks included."""


class Style(NamedTuple):
    """How text looks. Colours: "" the default, "0" to "255" of the palette, or "#rrggbb"."""

    fg: str = ""
    bg: str = ""
    bold: bool = False
    italic: bool = False
    underline: bool = False
    strikeout: bool = False
    reverse: bool = False
    blink: bool = False


PLAIN = Style()


class Run(NamedTuple):
    """Text of one style. ``cells`` is its width in columns; a plain run has one character in each."""

    column: int
    cells: int
    text: str
    style: Style

    @property
    def is_plain(self) -> bool:
        return self.cells == len(self.text) and self.text.isascii()


class Row(NamedTuple):
    """One row; blanks of the default style at its end are left out. ``wrapped``: its text goes on in the next."""

    runs: tuple[Run, ...] = ()
    wrapped: bool = False

    @property
    def cost(self) -> int:
        """About how many bytes of memory it takes."""
        return 120 + sum(200 + len(run.text) * (1 if run.text.isascii() else 4) for run in self.runs)

    def columns(self) -> list[str]:
        """The text of each column up to the last that has some; "" behind a wide character."""
        cells: list[str] = []
        for run in self.runs:
            cells += " " * (run.column - len(cells))
            if run.is_plain:
                cells += run.text
            else:
                for cluster, width in clusters(run.text):
                    cells.append(cluster)
                    cells += [""] * (width - 1)
        return cells


@lru_cache(maxsize=4096)
def width_of(char: str) -> int:
    """Columns of a character: 0 for combining marks, -1 for what cannot be shown."""
    width = int(wcwidth(char))
    if width == 0 and not is_mark(char):
        return -1  # zero-width and bidirectional controls: they would let text look like another
    return width


def is_mark(char: str) -> bool:
    """A combining mark or variation selector: part of the cell before."""
    return unicodedata.category(char) in ("Mn", "Me")


def clusters(text: str) -> Iterator[tuple[str, int]]:
    """Each cell's characters and its width, 1 or 2."""
    start = 0
    for end in range(1, len(text) + 1):
        if end == len(text) or width_of(text[end]) != 0:
            yield text[start:end], max(width_of(text[start]), 1)
            start = end


@lru_cache(maxsize=4096)
def _style(attributes: tuple[str | bool, ...]) -> Style:
    return Style(*cast("tuple[str, str, bool, bool, bool, bool, bool, bool]", attributes))


def row_of(line: Mapping[int, Char], columns: int, wrapped: bool) -> Row:
    """The first ``columns`` of a line of pyte's screen: a sparse mapping from column to cell."""
    uniform = _uniform(line, columns)
    runs = [uniform] if uniform is not None else _runs(line, columns)
    while runs and runs[-1].style == PLAIN and not wrapped:
        run = runs.pop()
        text = run.text.rstrip(" ")
        if text:
            runs.append(run._replace(text=text, cells=run.cells - len(run.text) + len(text)))
            break
    return Row(tuple(runs), wrapped)


def _uniform(line: Mapping[int, Char], columns: int) -> Run | None:
    """The usual case, fast: one style from the first column to the last that has something."""
    count = len(line)
    if not 0 < count <= columns or 0 not in line or count - 1 not in line or max(line) != count - 1:
        return None
    data, *attributes = zip(*map(line.__getitem__, range(count)), strict=True)
    if any(values.count(values[0]) != count for values in attributes):
        return None
    return Run(0, count, "".join(data), _style(tuple(values[0] for values in attributes)))


def _runs(line: Mapping[int, Char], columns: int) -> list[Run]:
    runs: list[Run] = []
    start, cells = 0, 0
    pieces: list[str] = []
    attributes: tuple[str | bool, ...] = ()
    for column in sorted(line):
        if column >= columns:
            break
        char = line[column]
        own = char[1:]
        if own != attributes or column != start + cells:
            if pieces:
                runs.append(Run(start, cells, "".join(pieces), _style(attributes)))
            start, cells, pieces, attributes = column, 0, [], own
        pieces.append(char[0])
        cells += 1
    if pieces:
        runs.append(Run(start, cells, "".join(pieces), _style(attributes)))
    return runs
