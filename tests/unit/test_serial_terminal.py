"""The terminal of the serial console: known sequences, and whatever a hostile guest sends."""

from __future__ import annotations

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guivm.console.serial import selection
from guivm.console.serial.cells import MAX_CLUSTER, Row, Style
from guivm.console.serial.parser import MAX_PARAMETERS, MAX_STRING, MAX_VALUE, Parameters, Parser
from guivm.console.serial.scrollback import Scrollback
from guivm.console.serial.selection import Place, Span
from guivm.console.serial.terminal import MAX_ANSWERS, CursorShape, Terminal


def screen(terminal: Terminal) -> list[str]:
    rows = range(terminal.screen_start, terminal.end)
    return ["".join(terminal.row(number).columns()).rstrip() for number in rows]


def history(terminal: Terminal) -> list[str]:
    rows = range(terminal.first, terminal.screen_start)
    return ["".join(terminal.row(number).columns()).rstrip() for number in rows]


def shown(data: str | bytes, columns: int = 10, rows: int = 4) -> Terminal:
    terminal = Terminal(columns, rows)
    terminal.feed(data.encode() if isinstance(data, str) else data)
    return terminal


def style_at(terminal: Terminal, row: int, column: int) -> Style:
    return next(
        run.style
        for run in terminal.row(terminal.screen_start + row).runs
        if run.column <= column < run.column + run.cells
    )


NUMBERED = "".join(f"\033[{row};1H{row}{row}{row}" for row in range(1, 5))

# What is sent → the rows that are shown, and the cursor's row and column.
SEQUENCES: dict[str, tuple[str | bytes, list[str], tuple[int, int]]] = {
    "text": ("ab\r\ncd", ["ab", "cd", "", ""], (1, 2)),
    "wraps when the next character comes": ("0123456789", ["0123456789", "", "", ""], (0, 9)),
    "wraps": ("0123456789ab", ["0123456789", "ab", "", ""], (1, 2)),
    "no wrap": ("\033[?7l0123456789abc", ["012345678c", "", "", ""], (0, 9)),
    "line feed keeps the column": ("ab\ncd", ["ab", "  cd", "", ""], (1, 4)),
    "new line mode": ("\033[20hab\ncd", ["ab", "cd", "", ""], (1, 2)),
    "backspace": ("abc\b\bX", ["aXc", "", "", ""], (0, 2)),
    "tab": ("a\tb", ["a       b", "", "", ""], (0, 9)),
    "tab stops": ("\033[3g\033[4G\033H\ra\tb\tc", ["a  b     c", "", "", ""], (0, 9)),
    "back tab": ("\t\033[ZX", ["X", "", "", ""], (0, 1)),
    "position": ("\033[3;5Hx", ["", "", "    x", ""], (2, 5)),
    "position too far": ("\033[999999999;99999999Hx", ["", "", "", "         x"], (3, 9)),
    "moves": ("\033[2B\033[3C\033[A\033[2Dx", ["", " x", "", ""], (1, 2)),
    "columns and rows": ("\033[4d\033[5Gx\033[2`y", ["", "", "", " y  x"], (3, 2)),
    "erase to the end": (NUMBERED + "\033[2;2H\033[J", ["111", "2", "", ""], (1, 1)),
    "erase to the beginning": (NUMBERED + "\033[2;2H\033[1J", ["", "  2", "333", "444"], (1, 1)),
    "erase all": (NUMBERED + "\033[2J", ["", "", "", ""], (3, 3)),
    "erase in line": ("abcdef\033[3G\033[K", ["ab", "", "", ""], (0, 2)),
    "erase line's beginning": ("abcdef\033[3G\033[1K", ["   def", "", "", ""], (0, 2)),
    "erase characters": ("abcdef\033[2G\033[3X", ["a   ef", "", "", ""], (0, 1)),
    "insert characters": ("abcdef\033[2G\033[2@", ["a  bcdef", "", "", ""], (0, 1)),
    "delete characters": ("abcdef\033[2G\033[2P", ["adef", "", "", ""], (0, 1)),
    "insert mode": ("abc\r\033[4hX", ["Xabc", "", "", ""], (0, 1)),
    "insert lines": (NUMBERED + "\033[2H\033[L", ["111", "", "222", "333"], (1, 0)),
    "delete lines": (NUMBERED + "\033[2H\033[2M", ["111", "444", "", ""], (1, 0)),
    "blank lines are deleted as well": ("a\r\n\r\nb\033[1H\033[M", ["", "b", "", ""], (0, 0)),
    "scroll up": (NUMBERED + "\033[2S", ["333", "444", "", ""], (3, 3)),
    "scroll down": (NUMBERED + "\033[T", ["", "111", "222", "333"], (3, 3)),
    "region": (NUMBERED + "\033[2;3r\033[3H\nX", ["111", "333", "X", "444"], (2, 1)),
    "below the region": (NUMBERED + "\033[1;2r\033[4H\nX", ["111", "222", "333", "X44"], (3, 1)),
    "reverse index": (NUMBERED + "\033[2;3r\033[2H\033MX", ["111", "X", "222", "444"], (1, 1)),
    "origin": ("\033[2;3r\033[?6h\033[1;1Hx\033[9;1Hy", ["", "x", "y", ""], (2, 1)),
    "origin without a region": ("\033[?6h\033[4dx", ["", "", "", "x"], (3, 1)),
    "save and restore": ("ab\0337\033[3;3Hx\0338c", ["abc", "", "  x", ""], (0, 3)),
    "restore nothing": ("\033[3;3H\033[ux", ["x", "", "", ""], (0, 1)),
    "line drawing": ("\033(0qx\033(Bq", ["─│q", "", "", ""], (0, 3)),
    "shift out": ("\033)0\016q\017q", ["─q", "", "", ""], (0, 2)),
    "repeat": ("ab\033[3b", ["abbbb", "", "", ""], (0, 5)),
    "alignment": ("\033#8\033[2;2H\033[K", ["EEEEEEEEEE", "E", "EEEEEEEEEE", "EEEEEEEEEE"], (1, 1)),
    "wide": ("世界", ["世界", "", "", ""], (0, 4)),
    "wide at the end": ("123456789世", ["123456789", "世", "", ""], (1, 2)),
    "half of a wide one": ("世界\033[2Gx", [" x界", "", "", ""], (0, 2)),
    "other half": ("世界\033[3Gx", ["世x", "", "", ""], (0, 3)),
    "combining": ("e\u0301a", ["e\u0301a", "", "", ""], (0, 2)),
    "bidirectional controls are dropped": ("a\u202eb\u200bc", ["abc", "", "", ""], (0, 3)),
    "unknown": ("\033[>4;2m\033[?1000h\033=\033%Ga\033[12;;zb", ["ab", "", "", ""], (0, 2)),
    "device control strings are not shown": ("\033P1$tabc\033\\x\033_y\033\\z", ["xz", "", "", ""], (0, 2)),
    "cancelled": ("\033[12\030ab", ["ab", "", "", ""], (0, 2)),
    "control within a sequence": ("ab\033[\r1Cx", ["axb"[:1] + "x", "", "", ""], (0, 2)),
    "bad UTF-8": (b"a\xff\xc3(b", ["a\ufffd\ufffd(b", "", "", ""], (0, 5)),
    "C1": ("a\x9bb", ["ab", "", "", ""], (0, 2)),
}


@pytest.mark.parametrize("name", SEQUENCES)
def test_sequences(name: str) -> None:
    data, rows, cursor = SEQUENCES[name]
    terminal = shown(data)
    assert screen(terminal) == rows
    assert (terminal.cursor.row, terminal.cursor.column) == cursor


@pytest.mark.parametrize("name", SEQUENCES)
def test_the_same_byte_by_byte(name: str) -> None:
    data, rows, _ = SEQUENCES[name]
    terminal = Terminal(10, 4)
    for value in data.encode() if isinstance(data, str) else data:
        terminal.feed(bytes([value]))
    assert screen(terminal) == rows


# --- colours ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("codes", "style"),
    [
        ("", Style()),
        ("1;3;4;7;9", Style(bold=True, italic=True, underline=True, reverse=True, strikeout=True)),
        ("31;42", Style(fg="1", bg="2")),
        ("97;100", Style(fg="15", bg="8")),
        ("38;5;200;48;5;17", Style(fg="200", bg="17")),
        ("38;2;1;2;255", Style(fg="#0102ff")),
        ("38:2::1:2:255", Style(fg="#0102ff")),
        ("38:2:1:2:255", Style(fg="#0102ff")),
        ("48:5:9", Style(bg="9")),
        ("38;5", Style()),
        ("38;2;1", Style()),
        ("38;5;999;1", Style(bold=True)),
        ("31;39;41;49", Style()),
        ("1;22;4;24;7;27", Style()),
        ("4:3", Style(underline=True)),
        ("31;0", Style()),
    ],
)
def test_colours(codes: str, style: Style) -> None:
    assert style_at(shown(f"\033[{codes}mX"), 0, 0) == style


def test_erasing_leaves_the_background_only() -> None:
    terminal = shown("\033[44;4;7mab\033[K\r\n\033[2K")
    assert style_at(terminal, 0, 5) == Style(bg="4")
    assert style_at(terminal, 1, 9) == Style(bg="4")


# --- scrollback, screens, sizes -----------------------------------------------------------------------------


def test_rows_that_leave_are_kept() -> None:
    terminal = shown("".join(f"{number}\r\n" for number in range(6)))
    assert history(terminal) == ["0", "1", "2"]
    assert screen(terminal) == ["3", "4", "5", ""]
    terminal.feed(b"\033[3J")
    assert history(terminal) == []
    assert screen(terminal) == ["3", "4", "5", ""]


def test_a_region_below_the_top_keeps_nothing() -> None:
    assert history(shown(NUMBERED + "\033[2;4r\033[4H\n\n\n")) == []


def test_the_scrollback_is_bounded() -> None:
    terminal = Terminal(10, 4, scrollback=5)
    terminal.feed(b"".join(b"%d\r\n" % number for number in range(100)))
    assert history(terminal) == ["92", "93", "94", "95", "96"]
    assert terminal.first == 92
    assert terminal.row(3) == Row()
    kept = Scrollback(1000, max_bytes=10_000)
    for _ in range(100):
        kept.append(shown("".join(f"\033[3{i}mx" for i in range(8)) * 8, 80).row(0))
    assert kept.end == 100
    assert kept.end - kept.first == 1


def test_the_alternate_screen() -> None:
    terminal = shown("one\r\ntwo\033[?1049h\033[Hvi\r\n\n\n\n\n")
    assert terminal.is_alternate
    assert screen(terminal)[0] == ""
    assert history(terminal) == []
    terminal.feed(b"\033[?1049lX")
    assert screen(terminal) == ["one", "twoX", "", ""]
    terminal.feed(b"\033[?1049h")
    assert screen(terminal) == ["", "", "", ""], "cleared when it is entered"


def test_resizing() -> None:
    terminal = shown("1\r\n2\r\n3\r\n4")
    terminal.resize(5, 2)
    assert (history(terminal), screen(terminal)) == (["1", "2"], ["3", "4"])
    assert terminal.take_dirty() == {0, 1}
    terminal.feed(b"56789")
    assert screen(terminal) == ["45678", "9"]
    terminal.resize(12, 3)
    assert screen(terminal) == ["45678", "9", ""]
    terminal.resize(0, 100_000)
    assert (terminal.columns, terminal.rows) == (2, 300)
    wide = shown("abcd世")
    wide.resize(5, 4)
    assert screen(wide)[0] == "abcd"


def test_dirty_rows() -> None:
    terminal = shown("")
    terminal.take_dirty()
    terminal.feed(b"\033[3Hx")
    assert terminal.take_dirty() == {2}
    assert terminal.take_dirty() == frozenset()
    terminal.feed(b"\033[2;3r\033[3H\n")
    assert terminal.take_dirty() == {1, 2}


# --- answers and modes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ("\033[c", b"\033[?62;22c"),
        ("\033[>c", b"\033[>1;10;0c"),
        ("\033Z", b"\033[?62;22c"),
        ("\033[5n", b"\033[0n"),
        ("\033[3;4H\033[6n", b"\033[3;4R"),
        ("\033[3;4H\033[?6n", b"\033[?3;4R"),
        ("\033[2;3r\033[?6h\033[2;1H\033[6n", b"\033[2;1R"),
        ("0123456789\033[6n", b"\033[1;10R"),
        ("\033[18t", b"\033[8;4;10t"),
        ("\033[?2004h\033[?2004$p", b"\033[?2004;1$y"),
        ("\033[?9999$p", b"\033[?9999;0$y"),
        ("\033[21t\033]52;c;?\007\033]11;?\007", b""),  # the title, the clipboard, a colour: nobody's business
    ],
)
def test_answers(asked: str, answer: bytes) -> None:
    terminal = shown(asked)
    assert terminal.take_answers() == answer
    assert terminal.take_answers() == b""


def test_modes() -> None:
    terminal = shown("\033[?1h\033[?2004h\033[?25l\033[5 q\033[?5h")
    on = (terminal.key_modes.application_cursor, terminal.bracketed_paste, terminal.is_reversed)
    assert on == (True, True, True)
    assert (terminal.cursor.visible, terminal.cursor.shape) == (False, CursorShape.BAR)
    terminal.feed(b"\033[!p")
    off = (terminal.key_modes.application_cursor, terminal.bracketed_paste, terminal.is_reversed)
    assert off == (False, False, False)
    assert (terminal.cursor.visible, terminal.cursor.shape) == (True, CursorShape.BLOCK)
    terminal.feed(b"x\033c")
    assert screen(terminal) == ["", "", "", ""]


def test_the_title_is_cleaned_and_bells_are_counted() -> None:
    terminal = shown("\033]0;guest\u202e \033\\\a\a")
    assert terminal.title == "guest"
    assert terminal.bells == 2
    terminal.feed(b"\033]2;" + b"x" * 1_000_000 + b"\007")
    assert terminal.title == "guest", "a string without end is given up"
    terminal.feed(b"\033]2;" + b"x" * 10_000 + b"\007")
    assert len(terminal.title) <= 120


# --- selecting ----------------------------------------------------------------------------------------------


def test_text_of_wrapped_rows_is_one_line() -> None:
    terminal = shown("0123456789abc\r\nnext   \r\n世界")
    assert selection.all_text(terminal) == "0123456789abc\nnext\n世界\n"
    assert selection.text_of(terminal, Span(Place(0, 8), Place(1, 2))) == "89ab"
    assert selection.text_of(terminal, Span(Place(3, 2), Place(3, 4))) == "界"
    frozen = terminal.snapshot()
    terminal.feed(b"\033c")
    assert selection.all_text(frozen) == "0123456789abc\nnext\n世界\n"


def test_words_and_lines() -> None:
    terminal = shown("ls /etc/fstab -l")
    assert selection.text_of(terminal, selection.word_at(terminal, Place(0, 5))) == "/etc/fstab"
    assert selection.text_of(terminal, selection.word_at(terminal, Place(1, 1))) == "/etc/fstab"
    assert selection.text_of(terminal, selection.word_at(terminal, Place(0, 2))) == ""
    assert selection.text_of(terminal, selection.line_at(terminal, Place(1, 0))) == "ls /etc/fstab -l"
    assert selection.word_at(terminal, Place(3, 0)).start == Place(3, 0)


def test_finding() -> None:
    terminal = shown("".join(f"Line {number}\r\n" for number in range(10)))
    end = Place(terminal.end - 1, 10)
    found = selection.find(terminal, "line", end, backwards=True)
    assert found == Span(Place(9, 0), Place(9, 4))
    found = selection.find(terminal, "LINE 3", end, backwards=True)
    assert found == Span(Place(3, 0), Place(3, 6))
    assert found is not None
    assert selection.find(terminal, "line", found.start, backwards=True) == Span(Place(2, 0), Place(2, 4))
    assert selection.find(terminal, "line", found.end, backwards=False) == Span(Place(4, 0), Place(4, 4))
    assert selection.find(terminal, "no", end, backwards=True) is None
    assert selection.find(terminal, "", end, backwards=True) is None
    wide = shown("世界 ok")
    assert selection.find(wide, "ok", Place(0, 0), backwards=False) == Span(Place(0, 5), Place(0, 7))


# --- hostile ------------------------------------------------------------------------------------------------


class Counted:
    """Parser events that only look at how large they are."""

    def __init__(self) -> None:
        self.count = 0

    def text(self, text: str) -> None:
        assert text
        self.count += 1

    def control(self, char: str) -> None:
        assert len(char) == 1
        self.count += 1

    def escape(self, intermediates: str, final: str) -> None:
        assert len(intermediates) <= 2
        self.count += 1

    def csi(self, prefix: str, parameters: Parameters, intermediates: str, final: str) -> None:
        assert len(parameters) <= MAX_PARAMETERS
        assert all(value <= MAX_VALUE for values in parameters for value in values)
        self.count += 1

    def osc(self, text: str) -> None:
        assert len(text) <= 4096
        self.count += 1


@pytest.mark.parametrize(
    "text",
    [
        "\033[" + "1;" * 100_000 + "H",
        "\033[" + "9" * 100_000 + "H",
        "\033[1" + ":1" * 100_000 + "m",
        "\033[" + " " * 100_000 + "q",
        "\033" + "(" * 100_000 + "B",
        "\033]0;" + "x" * MAX_STRING * 2,
        "\033P" + "x" * MAX_STRING * 2,
        "\033[" + "?" * 1000 + "h",
    ],
)
def test_what_has_no_end_takes_no_memory(text: str) -> None:
    events = Counted()
    parser = Parser(events)
    parser.feed(text)
    kept = [*parser._osc, parser._prefix, parser._intermediates, *map(str, parser._parameters)]
    assert sum(map(len, kept)) <= 5_000
    parser.feed("\030\033[1mplain")
    assert events.count >= 2


def test_answers_are_bounded() -> None:
    terminal = shown("\033[6n" * 100_000)
    assert len(terminal.take_answers()) <= MAX_ANSWERS


def test_a_cell_holds_few_marks() -> None:
    terminal = shown("e" + "\u0301" * 10_000)
    assert len(terminal.row(0).columns()[0]) <= MAX_CLUSTER


def test_saved_cursors_do_not_pile_up() -> None:
    terminal = shown("\0337\033[s\033[?1048h" * 10_000)
    assert len(terminal._screen.savepoints) == 0


_PIECES = st.one_of(
    st.binary(max_size=40),
    st.text(max_size=20).map(str.encode),
    st.sampled_from([data if isinstance(data, bytes) else data.encode() for data, _, _ in SEQUENCES.values()]),
    st.builds(
        lambda prefix, numbers, middle, final: f"\033[{prefix}{';'.join(map(str, numbers))}{middle}{final}".encode(),
        st.sampled_from(["", "?", ">", "="]),
        st.lists(
            st.one_of(st.integers(0, 12), st.sampled_from([47, 1047, 1048, 1049, 2004, 10**9, 65535])), max_size=6
        ),
        st.sampled_from(["", "", "", " ", "!", "$"]),
        st.sampled_from(string.ascii_letters + "@`"),
    ),
)


@settings(max_examples=300)
@given(
    st.lists(st.one_of(_PIECES, st.tuples(st.integers(-5, 40), st.integers(-5, 20))), max_size=40), st.integers(1, 60)
)
def test_anything_is_taken_and_stays_within_bounds(steps: list[bytes | tuple[int, int]], columns: int) -> None:
    terminal = Terminal(columns, 5, scrollback=20)
    for step in steps:
        if isinstance(step, bytes):
            terminal.feed(step)
        else:
            terminal.resize(*step)
        cursor = terminal.cursor
        assert 0 <= cursor.row < terminal.rows
        assert 0 <= cursor.column < terminal.columns
        assert terminal.screen_start - terminal.first <= 20
        assert all(0 <= y < terminal.rows for y in terminal.take_dirty())
        for line in terminal._screen.buffer.values():
            assert all(0 <= x < terminal.columns for x in line)
            assert all(len(cell.data) <= MAX_CLUSTER for cell in line.values())
        assert all(0 <= y < terminal.rows for y in terminal._screen.buffer)
        for number in range(terminal.first, terminal.end):
            cells = terminal.row(number).columns()
            assert len(cells) <= max(columns, 60)
        assert terminal.title.isprintable()
        selection.all_text(terminal)
        selection.word_at(terminal, Place(terminal.end - 1, 0))
        selection.find(terminal, "a", Place(terminal.end - 1, 0), backwards=True)
