"""The rows that have left the screen: bounded in number and in memory."""

from __future__ import annotations

from collections import deque

from guivm.console.serial.cells import Row

MAX_BYTES = 48 << 20
"""About how much memory the rows may take; a guest that colours every cell gets fewer of them."""


class Scrollback:
    """Rows by number: the first row ever is 0. The oldest are forgotten."""

    def __init__(self, limit: int, max_bytes: int = MAX_BYTES) -> None:
        self._limit = limit
        self._max_bytes = max_bytes
        self._rows: deque[Row] = deque()
        self._bytes = 0
        self.first = 0  # number of the oldest row still here

    @property
    def end(self) -> int:
        """Number of the row that will come next."""
        return self.first + len(self._rows)

    def append(self, row: Row) -> None:
        self._rows.append(row)
        self._bytes += row.cost
        while len(self._rows) > self._limit or (self._bytes > self._max_bytes and len(self._rows) > 1):
            self._bytes -= self._rows.popleft().cost
            self.first += 1

    def row(self, number: int) -> Row:
        return self._rows[number - self.first]

    def clear(self) -> None:
        self.first = self.end
        self._rows.clear()
        self._bytes = 0
