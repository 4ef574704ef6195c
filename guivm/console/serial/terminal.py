"""A terminal without a window: bytes of a guest in; rows, a cursor and answers out. No Qt, one thread.

It is an xterm as far as programs on a serial line ask for one. Not carried out, on purpose: reading or writing the
clipboard (OSC 52), reports of the title, colour changes, links, and mouse reports.
Sources: https://invisible-island.net/xterm/ctlseqs/ctlseqs.html; ECMA-48.
"""

from __future__ import annotations

import codecs
import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from pyte import modes

from guivm.console.serial.cells import Row
from guivm.console.serial.keys import KeyModes
from guivm.console.serial.parser import Parameters, Parser
from guivm.console.serial.screen import VtScreen
from guivm.console.serial.scrollback import Scrollback
from guivm.text import clean_line

MIN_COLUMNS, MAX_COLUMNS = 2, 500
MIN_ROWS, MAX_ROWS = 1, 300
MAX_ANSWERS = 4_096
"""Bytes of answers that wait to be sent; a guest that asks faster than it listens gets no more."""
_TITLE_LIMIT = 120

_ALTERNATE = (47, 1047, 1049)


class CursorShape(enum.Enum):
    BLOCK = "block"
    UNDERLINE = "underline"
    BAR = "bar"


@dataclass(frozen=True, slots=True)
class CursorPlace:
    """``row`` counts from the screen's first. A hidden cursor has ``visible`` False."""

    row: int
    column: int
    visible: bool
    shape: CursorShape
    blinks: bool


@dataclass(frozen=True, slots=True)
class FrozenRows:
    """The rows of a terminal at one moment (:class:`guivm.console.serial.selection.Rows`)."""

    first: int
    columns: int
    kept: tuple[Row, ...]

    @property
    def end(self) -> int:
        return self.first + len(self.kept)

    def row(self, number: int) -> Row:
        return self.kept[number - self.first]


class Terminal:
    """Rows are numbered from the first that was ever shown; :attr:`first` to :attr:`end` can be asked for."""

    def __init__(self, columns: int, rows: int, scrollback: int = 10_000) -> None:
        self._history = Scrollback(scrollback)
        self._screen = VtScreen(_within(columns, MIN_COLUMNS, MAX_COLUMNS), _within(rows, 1, MAX_ROWS), self._keep)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._parser = Parser(_Interpreter(self))
        self._answers = bytearray()
        self.title = ""  # one clean line
        self.bells = 0  # counts up
        self.reset_modes()

    # --- in and out -----------------------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """What the guest sent, cut anywhere. Bad UTF-8 becomes U+FFFD. Time is linear in the length."""
        self._parser.feed(self._decoder.decode(data))

    def take_answers(self) -> bytes:
        """What has to be sent to the guest because it asked."""
        answers = bytes(self._answers)
        self._answers.clear()
        return answers

    def resize(self, columns: int, rows: int) -> None:
        """Everything is dirty then. Lines are not wrapped anew."""
        columns, rows = _within(columns, MIN_COLUMNS, MAX_COLUMNS), _within(rows, MIN_ROWS, MAX_ROWS)
        if (columns, rows) != (self.columns, self.rows):
            self._screen.resize(rows, columns)

    def reset(self) -> None:
        """As after switching it on; the scrollback stays."""
        self._parser = Parser(_Interpreter(self))
        self._decoder.reset()
        self._screen.reset()
        self.title = ""
        self.reset_modes()

    def clear_scrollback(self) -> None:
        self._history.clear()
        self._screen.dirty.update(range(self.rows))

    # --- what is shown --------------------------------------------------------------------------------

    @property
    def columns(self) -> int:
        return self._screen.columns

    @property
    def rows(self) -> int:
        return self._screen.lines

    @property
    def first(self) -> int:
        """Number of the oldest row that is kept."""
        return self._history.first

    @property
    def screen_start(self) -> int:
        """Number of the screen's first row."""
        return self._history.end

    @property
    def end(self) -> int:
        """One more than the number of the screen's last row."""
        return self._history.end + self.rows

    def row(self, number: int) -> Row:
        """A row of the scrollback or the screen; an empty one for a number that is neither."""
        if self._history.first <= number < self._history.end:
            return self._history.row(number)
        y = number - self._history.end
        return self._screen.row(y) if 0 <= y < self.rows else Row()

    def snapshot(self) -> FrozenRows:
        """All rows as they are now, for another thread to read."""
        return FrozenRows(self.first, self.columns, tuple(self.row(number) for number in range(self.first, self.end)))

    def take_dirty(self) -> frozenset[int]:
        """Rows of the screen, from 0, that have changed since this was last asked."""
        dirty = frozenset(y for y in self._screen.dirty if y < self.rows)
        self._screen.dirty.clear()
        return dirty

    @property
    def cursor(self) -> CursorPlace:
        cursor = self._screen.cursor
        return CursorPlace(
            row=cursor.y,
            column=min(cursor.x, self.columns - 1),
            visible=not cursor.hidden,
            shape=self._cursor_shape,
            blinks=self._cursor_blinks,
        )

    # --- modes ----------------------------------------------------------------------------------------

    @property
    def is_alternate(self) -> bool:
        """A program has the whole screen, which leaves nothing in the scrollback."""
        return self._screen.is_alternate

    @property
    def is_reversed(self) -> bool:
        """The whole screen is shown in reverse video."""
        return self._reversed

    @property
    def bracketed_paste(self) -> bool:
        return self._bracketed_paste

    @property
    def key_modes(self) -> KeyModes:
        return self._key_modes

    def reset_modes(self) -> None:
        """Those that pyte's screen does not hold."""
        self._reversed = False
        self._bracketed_paste = False
        self._key_modes = KeyModes()
        self._cursor_shape = CursorShape.BLOCK
        self._cursor_blinks = True
        self._last_char = ""

    # --- for the interpreter --------------------------------------------------------------------------

    def _keep(self, row: Row) -> None:
        self._history.append(row)

    def _answer(self, text: str) -> None:
        if len(self._answers) + len(text) <= MAX_ANSWERS:
            self._answers += text.encode("ascii")


def _within(value: int, low: int, high: int) -> int:
    return max(low, min(value, high))


class _Interpreter:
    """Carries out what the parser finds. A part of :class:`Terminal`, apart for its length."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._screen = terminal._screen

    def text(self, text: str) -> None:
        self._terminal._last_char = text[-1]
        self._screen.draw(text)

    def control(self, char: str) -> None:
        screen = self._screen
        match char:
            case "\n" | "\v" | "\f":
                screen.index()
                if modes.LNM in screen.mode:
                    screen.carriage_return()
            case "\r":
                screen.carriage_return()
            case "\b":
                screen.cursor_back(1)
            case "\t":
                screen.tab_forward(1)
            case "\a":
                self._terminal.bells += 1
            case "\x0e":
                screen.shift_out()
            case "\x0f":
                screen.shift_in()

    def escape(self, intermediates: str, final: str) -> None:
        screen = self._screen
        match intermediates + final:
            case "7":
                screen.save_cursor()
            case "8":
                screen.restore_cursor()
            case "D":
                screen.index()
            case "E":
                screen.index()
                screen.carriage_return()
            case "H":
                screen.set_tab_stop()
            case "M":
                screen.reverse_index()
            case "Z":
                self._terminal._answer("\x1b[?62;22c")
            case "c":
                title = self._terminal.title
                self._screen.reset()
                self._terminal.reset_modes()
                self._terminal.title = title
            case "#8":
                screen.alignment_display()
            case "(B" | "(0" | "(U" | ")B" | ")0" | ")U":
                screen.define_charset(final, intermediates)
            case _:
                pass  # many are only about what a printer or a real VT could do

    def osc(self, text: str) -> None:
        command, _, argument = text.partition(";")
        if command in ("0", "2"):
            self._terminal.title = clean_line(argument, _TITLE_LIMIT)

    def csi(self, prefix: str, parameters: Parameters, intermediates: str, final: str) -> None:
        if intermediates:
            self._csi_intermediate(prefix, parameters, intermediates, final)
        elif prefix == "?":
            self._csi_private(parameters, final)
        elif prefix:
            if prefix == ">" and final == "c" and parameters[0][0] <= 0:
                self._terminal._answer("\x1b[>1;10;0c")
        elif (move := self._MOVES.get(final)) is not None:
            move(self._screen, max(parameters[0][0], 1))
        else:
            self._csi_plain(parameters, final)

    # One number, 1 when it is missing or 0. Screens never take a larger count than they have cells.
    _MOVES: ClassVar[dict[str, Callable[[VtScreen, int], None]]] = {
        "@": VtScreen.insert_characters,
        "A": VtScreen.cursor_up,
        "B": VtScreen.cursor_down,
        "C": VtScreen.cursor_forward,
        "D": VtScreen.cursor_back,
        "E": VtScreen.cursor_down1,
        "F": VtScreen.cursor_up1,
        "G": VtScreen.cursor_to_column,
        "I": VtScreen.tab_forward,
        "L": VtScreen.insert_lines,
        "M": VtScreen.delete_lines,
        "P": VtScreen.delete_characters,
        "S": VtScreen.scroll_up,
        "T": VtScreen.scroll_down,
        "X": VtScreen.erase_characters,
        "Z": VtScreen.tab_back,
        "`": VtScreen.cursor_to_column,
        "a": VtScreen.cursor_forward,
        "d": VtScreen.cursor_to_line,
        "e": VtScreen.cursor_down,
    }

    def _csi_plain(self, parameters: Parameters, final: str) -> None:
        screen, terminal = self._screen, self._terminal
        first = max(parameters[0][0], 0)
        second = max(parameters[1][0], 0) if len(parameters) > 1 else 0
        match final:
            case "H" | "f":
                screen.cursor_position(first, second)
            case "J":
                if first == 3:
                    terminal.clear_scrollback()
                else:
                    screen.erase_in_display(first)
            case "K":
                screen.erase_in_line(first)
            case "b":
                if terminal._last_char:
                    screen.draw(terminal._last_char * min(max(first, 1), screen.columns))
            case "c":
                if first == 0:
                    terminal._answer("\x1b[?62;22c")
            case "g":
                screen.clear_tab_stop(first)
            case "h" | "l":
                self._ansi_modes(parameters, on=final == "h")
            case "m":
                screen.set_style(parameters)
            case "n":
                self._report(first, "")
            case "r":
                screen.set_margins(first, second or None)
                if second == 0:
                    screen.cursor_position()
            case "s":
                screen.save_cursor()
            case "t":
                if first == 18:
                    terminal._answer(f"\x1b[8;{screen.lines};{screen.columns}t")
            case "u":
                screen.restore_cursor()

    def _csi_private(self, parameters: Parameters, final: str) -> None:
        match final:
            case "h" | "l":
                for values in parameters:
                    self._private_mode(values[0], on=final == "h")
            case "J" | "K":
                self._csi_plain([[parameters[0][0] % 3 if parameters[0][0] > 0 else 0]], final)
            case "n":
                self._report(parameters[0][0], "?")

    def _csi_intermediate(self, prefix: str, parameters: Parameters, intermediates: str, final: str) -> None:
        terminal = self._terminal
        first = max(parameters[0][0], 0)
        match prefix + intermediates + final:
            case " q" if first <= 6:  # DECSCUSR
                terminal._cursor_shape = (CursorShape.BLOCK, CursorShape.UNDERLINE, CursorShape.BAR)[
                    max(first - 1, 0) // 2
                ]
                terminal._cursor_blinks = first == 0 or first % 2 == 1
            case "!p":  # DECSTR
                self._soft_reset()
            case "?$p":  # DECRQM
                known = self._mode_state(first)
                terminal._answer(f"\x1b[?{first};{0 if known is None else 1 if known else 2}$y")

    def _report(self, kind: int, prefix: str) -> None:
        screen = self._screen
        if kind == 5 and not prefix:
            self._terminal._answer("\x1b[0n")
        elif kind == 6:
            top = screen.margins.top if screen.margins is not None and modes.DECOM in screen.mode else 0
            column = min(screen.cursor.x, screen.columns - 1) + 1
            self._terminal._answer(f"\x1b[{prefix}{screen.cursor.y - top + 1};{column}R")

    def _soft_reset(self) -> None:
        screen = self._screen
        screen.mode = {modes.DECAWM, modes.DECTCEM}
        screen.cursor.hidden = False
        screen.margins = None
        screen.set_style([[0]])
        screen.define_charset("B", "(")
        screen.shift_in()
        self._terminal.reset_modes()

    # --- modes ----------------------------------------------------------------------------------------

    def _ansi_modes(self, parameters: Parameters, *, on: bool) -> None:
        for values in parameters:
            if values[0] in (modes.IRM, modes.LNM):
                (self._screen.mode.add if on else self._screen.mode.discard)(values[0])

    def _private_mode(self, number: int, *, on: bool) -> None:
        screen, terminal = self._screen, self._terminal
        match number:
            case 1:
                terminal._key_modes = KeyModes(application_cursor=on)
            case 5:
                if terminal._reversed != on:
                    terminal._reversed = on
                    screen.dirty.update(range(screen.lines))
            case 6:
                (screen.mode.add if on else screen.mode.discard)(modes.DECOM)
                screen.cursor_position()
            case 7:
                (screen.mode.add if on else screen.mode.discard)(modes.DECAWM)
            case 12:
                terminal._cursor_blinks = on
            case 25:
                screen.cursor.hidden = not on
            case 47 | 1047 | 1049:
                self._alternate(number, on)
            case 1048:
                (screen.save_cursor if on else screen.restore_cursor)()
            case 2004:
                terminal._bracketed_paste = on

    def _alternate(self, number: int, on: bool) -> None:
        screen = self._screen
        if on == screen.is_alternate:
            return
        if number == 1049 and on:
            screen.save_cursor()
        attrs = screen.cursor
        screen.show_alternate(on)
        screen.cursor = attrs  # 47 and 1047 keep it
        if number == (1049 if on else 1047):
            screen.clear_alternate()
        if number == 1049 and not on:
            screen.restore_cursor()

    def _mode_state(self, number: int) -> bool | None:
        """None: not known."""
        screen, terminal = self._screen, self._terminal
        states = {
            1: terminal._key_modes.application_cursor,
            5: terminal._reversed,
            6: modes.DECOM in screen.mode,
            7: modes.DECAWM in screen.mode,
            12: terminal._cursor_blinks,
            25: not screen.cursor.hidden,
            2004: terminal._bracketed_paste,
            **dict.fromkeys(_ALTERNATE, screen.is_alternate),
        }
        return states.get(number)
