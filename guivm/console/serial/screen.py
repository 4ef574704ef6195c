"""The grid behind the terminal: pyte's screen, with what it lacks and with its weak places mended.

Added: the alternate screen, the scrollback, wrapped rows, one saved cursor for each screen, colours by number.
Different: nothing grows with what is received, moves outside the scrolling region stay there, blank rows scroll like
others, and erasing leaves only the background colour behind.
Sources: https://invisible-island.net/xterm/ctlseqs/ctlseqs.html, the VT220 and VT510 manuals on https://vt100.net.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from pyte import charsets, modes
from pyte.screens import Char, Cursor, Margins, Screen, StaticDefaultDict

from guivm.console.serial.cells import MAX_CLUSTER, Row, row_of, width_of

BLANK = Char(" ", "", "")
_CACHED_CELLS = 2048

_FLAGS = {
    1: ("bold", True),
    3: ("italics", True),
    4: ("underscore", True),
    5: ("blink", True),
    7: ("reverse", True),
    9: ("strikethrough", True),
    21: ("underscore", True),
    22: ("bold", False),
    23: ("italics", False),
    24: ("underscore", False),
    25: ("blink", False),
    27: ("reverse", False),
    29: ("strikethrough", False),
}


class Line(StaticDefaultDict[int, Char]):
    """One line of the grid: column → cell, where there is one; ``default`` elsewhere.

    ``wrapped``: its text goes on in the next.
    """

    def __init__(self, default: Char = BLANK) -> None:
        super().__init__(default)
        self.wrapped = False


class _Saved:
    """DECSC: cursor, character sets and origin mode."""

    def __init__(self, screen: VtScreen) -> None:
        self.cursor = copy.copy(screen.cursor)
        self.sets = (screen.g0_charset, screen.g1_charset, screen.charset)
        self.origin = modes.DECOM in screen.mode


class VtScreen(Screen):
    """``scrolled`` is called with each row that leaves the main screen at the top."""

    def __init__(self, columns: int, lines: int, scrolled: Callable[[Row], None]) -> None:
        self._scrolled = scrolled
        self._cells: dict[str, Char] = {}
        self._cells_of = BLANK
        self.is_alternate = False
        self._other: dict[int, StaticDefaultDict[int, Char]] = {}
        self._saved: list[_Saved | None] = [None, None]
        super().__init__(columns, lines)
        self._renew()

    @property
    def default_char(self) -> Char:
        return BLANK

    def reset(self) -> None:
        super().reset()
        if hasattr(self, "_cells"):
            self._renew()

    def _renew(self) -> None:
        """All but what pyte resets itself."""
        self.buffer = _new_buffer()
        self.is_alternate = False
        self._other = _new_buffer()
        self._saved = [None, None]
        self.cursor = Cursor(0, 0, BLANK)
        self.dirty.update(range(self.lines))

    def line(self, y: int) -> Line:
        line = self.buffer[y]
        assert isinstance(line, Line)
        return line

    def row(self, y: int) -> Row:
        line = self.buffer.get(y)
        if not isinstance(line, Line):
            return Row()
        if line.default is BLANK:
            return row_of(line, self.columns, line.wrapped)
        return row_of({x: line[x] for x in range(self.columns)}, self.columns, line.wrapped)

    # --- text -----------------------------------------------------------------------------------------

    def draw(self, data: str) -> None:
        sets = self.g1_charset if self.charset else self.g0_charset
        if sets is not charsets.LAT1_MAP:
            data = data.translate(sets)
        if self.cursor.attrs is not self._cells_of or len(self._cells) > _CACHED_CELLS:
            self._cells_of, self._cells = self.cursor.attrs, {}
        if data.isascii() and modes.IRM not in self.mode:
            self._draw_ascii(data)
        else:
            for char in data:
                self._draw_char(char)

    def _cell(self, char: str) -> Char:
        cell = self._cells.get(char)
        if cell is None:
            cell = self._cells[char] = self._cells_of._replace(data=char)
        return cell

    def _draw_ascii(self, data: str) -> None:
        cursor = self.cursor
        while data:
            self._make_room(1)
            x, room = cursor.x, self.columns - cursor.x
            if len(data) > room and modes.DECAWM not in self.mode:
                data = data[: room - 1] + data[-1]  # the last column takes all that comes
            piece, data = data[:room], data[room:]
            line = self.line(cursor.y)
            self._split_wide(line, x, x + len(piece))
            line.update(zip(range(x, x + len(piece)), map(self._cell, piece), strict=True))
            cursor.x = x + len(piece)
            self.dirty.add(cursor.y)

    def _draw_char(self, char: str) -> None:
        width = width_of(char)
        if width < 0:
            return
        if width == 0:
            self._combine(char)
            return
        width = min(width, self.columns)
        self._make_room(width)
        cursor = self.cursor
        line = self.line(cursor.y)
        if modes.IRM in self.mode:
            self.insert_characters(width)
        self._split_wide(line, cursor.x, cursor.x + width)
        line[cursor.x] = self._cell(char)
        if width == 2:
            line[cursor.x + 1] = self._cell("")
        cursor.x += width
        self.dirty.add(cursor.y)

    def _make_room(self, width: int) -> None:
        """Wrap, or stay in the last columns, when there are fewer than ``width`` left."""
        if self.cursor.x + width <= self.columns:
            return
        if modes.DECAWM in self.mode:
            self.line(self.cursor.y).wrapped = True
            self.carriage_return()
            self.index()
        else:
            self.cursor.x = self.columns - width

    def _split_wide(self, line: Line, start: int, end: int) -> None:
        """Blank the halves of wide characters that writing from ``start`` to ``end`` leaves behind."""
        if start > 0 and start in line and line[start].data == "":
            line[start - 1] = line[start - 1]._replace(data=" ")
        if end in line and line[end].data == "":
            line[end] = line[end]._replace(data=" ")

    def _combine(self, mark: str) -> None:
        line = self.line(self.cursor.y)
        x = self.cursor.x - 1
        if x > 0 and line[x].data == "":
            x -= 1
        if x >= 0 and x in line and len(line[x].data) < MAX_CLUSTER:
            line[x] = line[x]._replace(data=line[x].data + mark)
            self.dirty.add(self.cursor.y)

    # --- scrolling ------------------------------------------------------------------------------------

    def _region(self) -> Margins:
        return self.margins or Margins(0, self.lines - 1)

    def _shift(self, top: int, bottom: int, count: int) -> None:
        """Move the lines from ``top`` to ``bottom`` up by ``count``, or down when it is negative."""
        height = bottom - top + 1
        count = max(-height, min(count, height))
        lines = [self.buffer.pop(y, None) for y in range(top, bottom + 1)]
        for offset, line in enumerate(lines):
            if line is not None and 0 <= offset - count < height:
                self.buffer[top + offset - count] = line
        self.dirty.update(range(top, bottom + 1))

    def scroll_up(self, count: int) -> None:
        """The region moves up; what leaves the main screen at its top goes into the scrollback."""
        top, bottom = self._region()
        count = min(count, bottom - top + 1)
        if top == 0 and not self.is_alternate:
            for y in range(count):
                self._scrolled(self.row(y))
        self._shift(top, bottom, count)

    def scroll_down(self, count: int) -> None:
        top, bottom = self._region()
        self._shift(top, bottom, -count)

    def index(self) -> None:
        if self.cursor.y == self._region().bottom:
            self.scroll_up(1)
        elif self.cursor.y < self.lines - 1:
            self.cursor.y += 1

    def reverse_index(self) -> None:
        if self.cursor.y == self._region().top:
            self.scroll_down(1)
        elif self.cursor.y > 0:
            self.cursor.y -= 1

    def insert_lines(self, count: int | None = None) -> None:
        top, bottom = self._region()
        if top <= self.cursor.y <= bottom:
            self._shift(self.cursor.y, bottom, -(count or 1))
            self.carriage_return()

    def delete_lines(self, count: int | None = None) -> None:
        top, bottom = self._region()
        if top <= self.cursor.y <= bottom:
            self._shift(self.cursor.y, bottom, count or 1)
            self.carriage_return()

    # --- editing within a line ------------------------------------------------------------------------

    def _column(self) -> int:
        """The cursor's column, also while it waits behind the last one."""
        return min(self.cursor.x, self.columns - 1)

    def _blank(self) -> Char:
        """What erasing leaves behind."""
        bg = self.cursor.attrs.bg
        return BLANK._replace(bg=bg) if bg else BLANK

    def insert_characters(self, count: int | None = None) -> None:
        x = self._column()
        self._edit(lambda cells, n: [*cells[:x], *([self._blank()] * n), *cells[x:]], count)

    def delete_characters(self, count: int | None = None) -> None:
        x = self._column()
        self._edit(lambda cells, n: [*cells[:x], *cells[x + n :], *([self._blank()] * n)], count)

    def _edit(self, change: Callable[[list[Char], int], list[Char]], count: int | None) -> None:
        line = self.line(self.cursor.y)
        x, n = self._column(), min(count or 1, self.columns - self._column())
        self._split_wide(line, x, x + n)
        cells = change([line[column] for column in range(self.columns)], n)[: self.columns]
        if cells[-1] is not BLANK and len(cells[-1].data) == 1 and width_of(cells[-1].data) == 2:
            cells[-1] = cells[-1]._replace(data=" ")
        line.clear()
        line.update((column, cell) for column, cell in enumerate(cells) if cell is not line.default)
        line.wrapped = False
        self.dirty.add(self.cursor.y)

    def erase_characters(self, count: int | None = None) -> None:
        x = self._column()
        self._erase(self.cursor.y, x, min(x + (count or 1), self.columns))

    def erase_in_line(self, how: int = 0, private: bool = False) -> None:
        x = self._column()
        if how in (0, 1, 2):
            self._erase(self.cursor.y, x if how == 0 else 0, x + 1 if how == 1 else self.columns)

    def erase_in_display(self, how: int = 0, *args: Any, **kwargs: Any) -> None:
        if how == 0:
            whole = range(self.cursor.y + 1, self.lines)
        elif how == 1:
            whole = range(self.cursor.y)
        elif how == 2:
            whole = range(self.lines)
        else:
            return
        for y in whole:
            self._erase(y, 0, self.columns)
        if how != 2:
            self.erase_in_line(how)

    def _erase(self, y: int, start: int, end: int) -> None:
        blank = self._blank()
        self.dirty.add(y)
        if start == 0 and end == self.columns:
            self._fill(y, blank)
            return
        line = self.line(y)
        self._split_wide(line, start, end)
        if blank == line.default:
            for x in range(start, end):
                line.pop(x, None)
        else:
            line.update(dict.fromkeys(range(start, end), blank))
        if end == self.columns:
            line.wrapped = False

    def _fill(self, y: int, cell: Char) -> None:
        """A whole line of one cell; in no more time than an empty one."""
        self.buffer.pop(y, None)
        if cell is not BLANK:
            self.buffer[y] = Line(cell)

    def alignment_display(self) -> None:
        for y in range(self.lines):
            self._fill(y, BLANK._replace(data="E"))
        self.dirty.update(range(self.lines))

    # --- cursor ---------------------------------------------------------------------------------------

    def cursor_up(self, count: int | None = None) -> None:
        top = self._region().top if self.cursor.y >= self._region().top else 0
        self.cursor.y = max(self.cursor.y - (count or 1), top)

    def cursor_down(self, count: int | None = None) -> None:
        bottom = self._region().bottom if self.cursor.y <= self._region().bottom else self.lines - 1
        self.cursor.y = min(self.cursor.y + (count or 1), bottom)

    def cursor_position(self, line: int | None = None, column: int | None = None) -> None:
        self.cursor.x = (column or 1) - 1
        self.ensure_hbounds()
        self.cursor_to_line(line)

    def cursor_to_line(self, line: int | None = None) -> None:
        top = self._region().top if modes.DECOM in self.mode else 0
        self.cursor.y = (line or 1) - 1 + top
        self.ensure_vbounds()

    def tab_forward(self, count: int) -> None:
        stops = sorted(stop for stop in self.tabstops if self.cursor.x < stop < self.columns)
        self.cursor.x = stops[count - 1] if count <= len(stops) else self.columns - 1

    def tab_back(self, count: int) -> None:
        stops = sorted((stop for stop in self.tabstops if stop < self.cursor.x), reverse=True)
        self.cursor.x = stops[count - 1] if count <= len(stops) else 0

    def save_cursor(self) -> None:
        self._saved[self.is_alternate] = _Saved(self)

    def restore_cursor(self) -> None:
        saved = self._saved[self.is_alternate]
        if saved is None:
            self.mode.discard(modes.DECOM)
            self.cursor.attrs = BLANK
            self.cursor_position()
            return
        hidden = self.cursor.hidden
        self.cursor = copy.copy(saved.cursor)
        self.cursor.hidden = hidden
        self.g0_charset, self.g1_charset, self.charset = saved.sets
        (self.mode.add if saved.origin else self.mode.discard)(modes.DECOM)
        self.cursor.x = min(self.cursor.x, self.columns)
        self.cursor.y = min(self.cursor.y, self.lines - 1)

    # --- the two screens ------------------------------------------------------------------------------

    def show_alternate(self, alternate: bool) -> None:
        if alternate != self.is_alternate:
            self.is_alternate = alternate
            self._other, self.buffer = self.buffer, self._other
            self.dirty.update(range(self.lines))

    def clear_alternate(self) -> None:
        (self.buffer if self.is_alternate else self._other).clear()
        self.dirty.update(range(self.lines))

    def resize(self, lines: int | None = None, columns: int | None = None) -> None:
        """Rows that do not fit leave at the top while there is text below, else at the bottom; columns at the right."""
        lines, columns = lines or self.lines, columns or self.columns
        surplus = max(0, self.cursor.y + 1 - lines)
        if surplus:
            self.margins = None
            self.scroll_up(surplus)
            self.cursor.y -= surplus
        for buffer in (self.buffer, self._other):
            for y in [y for y in buffer if y >= lines]:
                del buffer[y]
            if columns < self.columns:
                for line in buffer.values():
                    if line.pop(columns, BLANK).data == "":
                        line.pop(columns - 1, None)  # half of a wide character
                    for x in [x for x in line if x > columns]:
                        del line[x]
        self.tabstops = {stop for stop in self.tabstops if stop < columns} | set(range(8, columns, 8))
        self.lines, self.columns = lines, columns
        self.margins = None
        self.cursor.x = min(self.cursor.x, columns - 1)
        self.dirty.clear()
        self.dirty.update(range(lines))

    # --- colours --------------------------------------------------------------------------------------

    def set_style(self, parameters: Sequence[Sequence[int]]) -> None:
        """SGR. Sub-parameters as in ISO 8613-6 ("38:2::r:g:b"), and the older form with semicolons."""
        attrs = self.cursor.attrs
        position = 0
        while position < len(parameters):
            values = parameters[position]
            code = max(values[0], 0)
            position += 1
            if code == 0:
                attrs = BLANK
            elif code == 4 and len(values) > 1:
                attrs = attrs._replace(underscore=values[1] != 0)
            elif code in _FLAGS:
                attrs = _with_flag(attrs, *_FLAGS[code])
            elif code in (38, 48):
                if len(values) > 1:
                    color = _color(values[1:], spaced=True)
                else:
                    rest = [item[0] for item in parameters[position : position + 4]]
                    color = _color(rest)
                    position += 2 if rest[:1] == [5] else 4 if rest[:1] == [2] else 0
                if color is not None:
                    attrs = attrs._replace(fg=color) if code == 38 else attrs._replace(bg=color)
            elif 30 <= code <= 37 or 90 <= code <= 97:
                attrs = attrs._replace(fg=str(code - 30 if code < 90 else code - 82))
            elif 40 <= code <= 47 or 100 <= code <= 107:
                attrs = attrs._replace(bg=str(code - 40 if code < 100 else code - 92))
            elif code == 39:
                attrs = attrs._replace(fg="")
            elif code == 49:
                attrs = attrs._replace(bg="")
        self.cursor.attrs = BLANK if attrs == BLANK else attrs


def _with_flag(attrs: Char, name: str, value: bool) -> Char:
    fields = list(attrs)
    fields[attrs._fields.index(name)] = value
    return Char._make(fields)


def _color(values: Sequence[int], *, spaced: bool = False) -> str | None:
    """A colour of SGR 38 and 48, or None. ``spaced``: a colour space may stand before red."""
    if len(values) >= 2 and values[0] == 5 and 0 <= values[1] <= 255:
        return str(values[1])
    if values[:1] and values[0] == 2:
        parts = values[2:5] if spaced and len(values) >= 5 else values[1:4]
        if len(parts) == 3 and all(part <= 255 for part in parts):
            return "#" + "".join(f"{max(part, 0):02x}" for part in parts)
    return None


def _new_buffer() -> defaultdict[int, StaticDefaultDict[int, Char]]:
    return defaultdict(Line)
