"""Choosing text of a terminal: places, words, lines, and what they say. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple, Protocol

from guivm.console.serial.cells import Row

# What belongs to a word: letters and digits, and what paths and addresses are made of.
_WORD = re.compile(r"[\w\-./~:@%+#?&=,]")


class Place(NamedTuple):
    """Between two columns: before the cell ``column`` of the row numbered ``row``."""

    row: int
    column: int


class Span(NamedTuple):
    """From ``start`` up to, and without, ``end``; ordered."""

    start: Place
    end: Place

    @property
    def is_empty(self) -> bool:
        return self.start >= self.end

    def columns_in(self, row: int, columns: int) -> tuple[int, int]:
        """The part of a row of this width that is chosen, as first column and one after the last."""
        if not self.start.row <= row <= self.end.row:
            return 0, 0
        first = self.start.column if row == self.start.row else 0
        last = self.end.column if row == self.end.row else columns
        return first, max(first, last)


class Rows(Protocol):
    """A terminal, as far as it is read here."""

    @property
    def first(self) -> int: ...
    @property
    def end(self) -> int: ...
    @property
    def columns(self) -> int: ...
    def row(self, number: int) -> Row: ...


def span(one: Place, other: Place) -> Span:
    """From the earlier to the later."""
    return Span(min(one, other), max(one, other))


def whole(rows: Rows) -> Span:
    return Span(Place(rows.first, 0), Place(rows.end - 1, rows.columns))


def text_of(rows: Rows, chosen: Span) -> str:
    """The text: rows that wrap are one line, blanks at the ends of lines are left out."""
    pieces: list[str] = []
    start, end = max(chosen.start.row, rows.first), min(chosen.end.row, rows.end - 1)
    for number in range(start, end + 1):
        row = rows.row(number)
        cells = row.columns()
        first, last = chosen.columns_in(number, rows.columns)
        text = "".join(cells[first:last])
        if row.wrapped and number != end:
            pieces.append(text)
        else:
            pieces.append(text.rstrip(" "))
            if number != end:
                pieces.append("\n")
    return "".join(pieces)


def all_text(rows: Rows) -> str:
    """Everything; the empty rows at the end left out."""
    return text_of(rows, whole(rows)).rstrip("\n") + "\n"


def word_at(rows: Rows, place: Place) -> Span:
    """The word around a cell, over the ends of wrapped rows; else the cell alone."""
    line = line_at(rows, place)
    cells: list[str] = []
    for number in range(line.start.row, line.end.row + 1):
        own = rows.row(number).columns()[: rows.columns]
        cells += own + [" "] * (rows.columns - len(own))
    at = (place.row - line.start.row) * rows.columns + place.column
    if not 0 <= at < len(cells):
        return Span(place, place)
    first, last = at, at + 1
    if _is_word(cells[at]):
        while first > 0 and _is_word(cells[first - 1]):
            first -= 1
        while last < len(cells) and _is_word(cells[last]):
            last += 1
    return Span(_place(line, first, rows.columns), _place(line, last, rows.columns, is_end=True))


_LONGEST_LINE = 200  # rows that one logical line is followed, in each direction


def line_at(rows: Rows, place: Place) -> Span:
    """The whole line, with the rows it wraps over."""
    first = last = place.row
    while first > max(rows.first, place.row - _LONGEST_LINE) and rows.row(first - 1).wrapped:
        first -= 1
    while last < min(rows.end - 1, place.row + _LONGEST_LINE) and rows.row(last).wrapped:
        last += 1
    return Span(Place(first, 0), Place(last, rows.columns))


def find(rows: Rows, needle: str, start: Place, *, backwards: bool) -> Span | None:
    """The next occurrence within one row, letters of either case alike; before ``start`` when ``backwards``."""
    wanted = needle.casefold()
    if not wanted:
        return None
    order = range(start.row, rows.first - 1, -1) if backwards else range(start.row, rows.end)
    for number in order:
        cells = rows.row(number).columns()
        text = "".join(cells)
        folded = text.casefold()
        if len(folded) != len(text):
            folded = text.lower()
        if len(folded) != len(text):
            folded = text
        limit = _offset(cells, start.column) if number == start.row else None
        at = folded.rfind(wanted, 0, limit) if backwards else folded.find(wanted, limit or 0)
        if at >= 0:
            return Span(Place(number, _column(cells, at)), Place(number, _column(cells, at + len(wanted))))
    return None


def _offset(cells: list[str], column: int) -> int:
    """Characters before a column."""
    return sum(map(len, cells[:column]))


def _column(cells: list[str], offset: int) -> int:
    """Column of the character at ``offset``; after the last cell for the end."""
    seen = 0
    for column, cell in enumerate(cells):
        if cell and seen >= offset:
            return column
        seen += len(cell)
    return len(cells)


def _is_word(cell: str) -> bool:
    return cell == "" or _WORD.match(cell) is not None


def _place(line: Span, index: int, columns: int, *, is_end: bool = False) -> Place:
    row, column = divmod(index, columns)
    if is_end and column == 0 and row > 0:
        row, column = row - 1, columns
    return Place(line.start.row + row, column)
