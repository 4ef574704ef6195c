"""The language of scripts: text to statements and back. Pure.

One statement a line; ``#`` begins a comment; quoting as in a shell (:mod:`guivm.automation.words`). Scripts of
vncdotool that keep to one command a line run too. :mod:`guivm.automation.language` has the language in short.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from shlex import quote

from guivm.automation import statements as st
from guivm.automation.keys import Combo, format_combo, parse_combo
from guivm.automation.language import DEFAULT_TIMEOUT_S, MAX_SECONDS
from guivm.automation.statements import Point, Statement
from guivm.automation.words import WordError, is_name, split_words
from guivm.console.frame import Rect
from guivm.console.typing.errors import TypingError
from guivm.console.typing.layouts import Layout
from guivm.errors import GuivmError
from guivm.text import clean_line

MAX_SCRIPT_BYTES = 1 << 20
_MAX_PROBLEMS = 50
_NUMBER = re.compile(r"\d{1,9}(\.\d{0,9})?|\.\d{1,9}", re.ASCII)
_BUTTONS = {"left": 1, "middle": 2, "right": 3, "back": 8}
_BUTTON_NAMES = {number: name for name, number in _BUTTONS.items()}


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a line; counted from 1."""

    line: int
    message: str


class ScriptError(GuivmError):
    """The text is no script; ``problems`` has at least one."""

    def __init__(self, name: str, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        self.lines = tuple(f"{clean_line(name)}:{problem.line}: {problem.message}" for problem in problems)
        super().__init__(self.lines[0], details="\n".join(self.lines))


@dataclass(frozen=True, slots=True)
class Line:
    """A statement and where it stands. ``text``: the line as written, without its variables put in."""

    number: int
    text: str
    statement: Statement


@dataclass(frozen=True, slots=True)
class Script:
    lines: tuple[Line, ...]
    name: str = "script"

    @property
    def statements(self) -> tuple[Statement, ...]:
        return tuple(line.statement for line in self.lines)


class _LineError(ValueError):
    pass


class _Arguments:
    """The words behind a verb, taken from the left."""

    def __init__(self, words: list[str], timeout_s: float) -> None:
        self._words = words
        self._timeout_s = timeout_s

    @property
    def left(self) -> int:
        return len(self._words)

    def text(self, what: str) -> str:
        if not self._words:
            raise _LineError(f"{what} is missing.")
        return self._words.pop(0)

    def file(self) -> str:
        name = self.text("The name of a file")
        if not name:
            raise _LineError("The name of the file is empty.")
        return name

    def number(self, what: str, highest: float) -> float:
        word = self.text(what)
        if not _NUMBER.fullmatch(word):
            raise _LineError(f"{what} must be a number, not “{word}”.")
        value = round(float(word), 3)
        if value > highest:
            raise _LineError(f"{what} must be at most {highest:g}, not {word}.")
        return value

    def integer(self, what: str, highest: int, lowest: int = 0) -> int:
        value = self.number(what, highest)
        if not value.is_integer() or value < lowest:
            raise _LineError(f"{what} must be a whole number of at least {lowest}, not {value:g}.")
        return int(value)

    def seconds(self, what: str = "The time in seconds") -> float:
        return self.number(what, MAX_SECONDS)

    def point(self) -> Point:
        x = self.integer("X", st.MAX_COORDINATE)
        return Point(x, self.integer("Y", st.MAX_COORDINATE))

    def button(self) -> int:
        word = self.text("The button")
        if word.lower() in _BUTTONS:
            return _BUTTONS[word.lower()]
        if word not in tuple("12345678"):
            raise _LineError(f"“{word}” is no button; write left, middle, right or a number from 1 to 8.")
        return int(word)

    def combo(self) -> Combo:
        try:
            return parse_combo(self.text("A key"))
        except ValueError as error:
            raise _LineError(str(error)) from None

    def layout(self) -> str:
        try:
            return Layout.parse(self.text("The name of a layout")).id
        except TypingError as error:
            raise _LineError(str(error)) from None

    def region(self) -> Rect:
        x, y = self.point()
        return Rect(
            x, y, self.integer("The width", st.MAX_COORDINATE, 1), self.integer("The height", st.MAX_COORDINATE, 1)
        )

    def options(self, *allowed: str) -> _Options:
        """``region X Y W H``, ``tolerance N``, ``timeout S`` in any order, up to the end of the line."""
        found = _Options(timeout_s=self._timeout_s)
        seen: set[str] = set()
        while self._words:
            word = self._words.pop(0)
            if word not in allowed:
                raise _LineError(f"“{word}” is not understood here; possible are {', '.join(allowed)}.")
            if word in seen:
                raise _LineError(f"“{word}” is said twice.")
            seen.add(word)
            if word == "region":
                found.region = self.region()
            elif word == "tolerance":
                found.tolerance = self.integer("The tolerance", 255)
            else:
                found.timeout_s = self.seconds("The timeout in seconds")
        return found

    def at_option(self) -> bool:
        return bool(self._words) and self._words[0] in ("region", "timeout")


@dataclass(slots=True)
class _Options:
    timeout_s: float
    region: Rect | None = None
    tolerance: int = st.DEFAULT_TOLERANCE


def _click(arguments: _Arguments, count: int) -> Statement:
    button = arguments.button() if arguments.left in (1, 3) else 1
    at = arguments.point() if arguments.left else None
    return st.Click(button, at, count)


def _drag(arguments: _Arguments) -> Statement:
    first = arguments.point()
    if not arguments.left:
        return st.Drag(first)
    end = arguments.point()
    return st.Drag(end, first, arguments.button() if arguments.left else 1)


def _wheel(arguments: _Arguments) -> Statement:
    word = arguments.text("The direction")
    try:
        direction = st.WheelDirection[word.upper()]
    except KeyError:
        raise _LineError(f"“{word}” is no direction; write up, down, left or right.") from None
    return st.Wheel(direction, arguments.integer("The number of steps", 1000, 1) if arguments.left else 1)


def _press(arguments: _Arguments) -> Statement:
    combos = [arguments.combo()]
    while arguments.left:
        combos.append(arguments.combo())
    return st.Press(tuple(combos))


def _wait_picture(arguments: _Arguments) -> Statement:
    file = arguments.file()
    options = arguments.options("region", "tolerance", "timeout")
    return st.WaitPicture(file, options.region, options.tolerance, options.timeout_s)


def _wait_text(arguments: _Arguments) -> Statement:
    text = arguments.text("The text")
    if not text.split():
        raise _LineError("The text is empty.")
    options = arguments.options("region", "timeout")
    return st.WaitText(text, options.region, options.timeout_s)


def _wait_still(arguments: _Arguments) -> Statement:
    seconds = arguments.seconds() if arguments.left and not arguments.at_option() else st.DEFAULT_STILL_S
    options = arguments.options("region", "timeout")
    return st.WaitStill(seconds, options.region, options.timeout_s)


def _expect(arguments: _Arguments, *, placed: bool) -> Statement:
    file = arguments.file()
    at = arguments.point() if placed else Point(0, 0)
    fuzz = arguments.number("The fuzz", 1e6) if arguments.left and not arguments.at_option() else 0.0
    return st.Expect(file, at, fuzz, arguments.options("timeout").timeout_s)


def _capture(arguments: _Arguments) -> Statement:
    file = arguments.file()
    return st.Capture(file, arguments.options("region").region)


_VERBS: dict[str, Callable[[_Arguments], Statement]] = {
    "type": lambda a: st.Type(a.text("The text")),
    "typeline": lambda a: st.Type(a.text("The text"), enter=True),
    "typefile": lambda a: st.TypeFile(a.file()),
    "layout": lambda a: st.UseLayout(a.layout()),
    "paste": lambda a: st.Paste(a.text("The text")),
    "key": _press,
    "keydown": lambda a: st.Hold(a.combo(), pressed=True),
    "keyup": lambda a: st.Hold(a.combo(), pressed=False),
    "move": lambda a: st.Move(a.point()),
    "click": lambda a: _click(a, 1),
    "doubleclick": lambda a: _click(a, 2),
    "mousedown": lambda a: st.HoldButton(a.button(), pressed=True),
    "mouseup": lambda a: st.HoldButton(a.button(), pressed=False),
    "drag": _drag,
    "wheel": _wheel,
    "sleep": lambda a: st.Sleep(a.seconds()),
    "wait-picture": _wait_picture,
    "wait-text": _wait_text,
    "wait-still": _wait_still,
    "expect": lambda a: _expect(a, placed=False),
    "rexpect": lambda a: _expect(a, placed=True),
    "capture": _capture,
    "rcapture": lambda a: st.Capture(a.file(), a.region()),
}
_ALIASES = {
    "pause": "sleep",
    "mousemove": "move",
    "mdown": "mousedown",
    "mup": "mouseup",
    "kdown": "keydown",
    "kup": "keyup",
}


@dataclass(slots=True)
class _State:
    """What lines leave behind for the lines after them."""

    given: Mapping[str, str]
    timeout_s: float
    variables: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.variables = dict(self.given)


def parse(
    text: str,
    *,
    name: str = "script",
    variables: Mapping[str, str] | None = None,
    timeout_s: float = DEFAULT_TIMEOUT_S,
) -> Script:
    """Raises ScriptError that names every line that is wrong. ``timeout_s``: for waits that give none."""
    state = _State(variables or {}, timeout_s)
    lines: list[Line] = []
    problems: list[Problem] = []
    for number, raw in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        line = raw.removesuffix("\r")
        try:
            statement = _parse_line(line, state)
        except (_LineError, WordError) as error:
            problems.append(Problem(number, clean_line(str(error), 300)))
            if len(problems) == _MAX_PROBLEMS:
                break
            continue
        if statement is not None:
            lines.append(Line(number, clean_line(line, 500), statement))
    if problems:
        raise ScriptError(name, problems)
    return Script(tuple(lines), name)


def _parse_line(line: str, state: _State) -> Statement | None:
    bad = next((c for c in line if c != "\t" and unicodedata.category(c) in ("Cc", "Cs")), None)
    if bad is not None:
        raise _LineError(f"The character U+{ord(bad):04X} cannot be in a script.")
    words = split_words(line, state.variables)
    if not words:
        return None
    verb = words.pop(0)
    arguments = _Arguments(words, state.timeout_s)
    statement: Statement | None = None
    if verb == "timeout":
        state.timeout_s = arguments.seconds()
    elif verb == "set":
        variable = arguments.text("The variable's name")
        if not is_name(variable):
            raise _LineError(f"“{variable}” cannot be the name of a variable.")
        value = arguments.text("The value")
        if variable not in state.given:
            state.variables[variable] = value
    else:
        make = _VERBS.get(_ALIASES.get(verb, verb))
        if make is None:
            raise _LineError(f"“{verb}” is no statement.")
        statement = make(arguments)
    if arguments.left:
        too_many = "a word" if arguments.left == 1 else f"{arguments.left} words"
        raise _LineError(f"The line has {too_many} too many; put a text with blanks in quotes.")
    return statement


# --- back to text -----------------------------------------------------------------------------------------


def format_script(statements: Sequence[Statement]) -> str:
    """A script that parses to just these statements."""
    return "".join(f"{format_statement(statement)}\n" for statement in statements)


def format_statement(statement: Statement) -> str:
    match statement:
        case st.Type(text, enter):
            return f"{'typeline' if enter else 'type'} {quote(text)}"
        case st.TypeFile(file):
            return f"typefile {quote(file)}"
        case st.UseLayout(name):
            return f"layout {quote(name)}"
        case st.Paste(text):
            return f"paste {quote(text)}"
        case st.Press(combos):
            return " ".join(["key", *(quote(format_combo(combo)) for combo in combos)])
        case st.Hold(combo, pressed):
            return f"{'keydown' if pressed else 'keyup'} {quote(format_combo(combo))}"
        case st.Move(to):
            return f"move {_place(to)}"
        case st.Click(button, at, count):
            words = ["click" if count == 1 else "doubleclick", _button(button)]
            return " ".join([*words, _place(at)] if at else words)
        case st.HoldButton(button, pressed):
            return f"{'mousedown' if pressed else 'mouseup'} {_button(button)}"
        case st.Drag(end, start, button):
            return f"drag {_place(start)} {_place(end)} {_button(button)}" if start else f"drag {_place(end)}"
        case st.Wheel(direction, steps):
            return f"wheel {direction.name.lower()} {steps}"
        case st.Sleep(seconds):
            return f"sleep {_decimal(seconds)}"
        case st.WaitPicture(file, region, tolerance, timeout_s):
            return f"wait-picture {quote(file)}{_region(region)} tolerance {tolerance} timeout {_decimal(timeout_s)}"
        case st.Expect(file, at, fuzz, timeout_s):
            return f"rexpect {quote(file)} {_place(at)} {_decimal(fuzz)} timeout {_decimal(timeout_s)}"
        case st.WaitText(text, region, timeout_s):
            return f"wait-text {quote(text)}{_region(region)} timeout {_decimal(timeout_s)}"
        case st.WaitStill(seconds, region, timeout_s):
            return f"wait-still {_decimal(seconds)}{_region(region)} timeout {_decimal(timeout_s)}"
        case st.Capture(file, region):
            return f"capture {quote(file)}{_region(region)}"


def _place(point: Point) -> str:
    return f"{point.x} {point.y}"


def _button(number: int) -> str:
    return _BUTTON_NAMES.get(number, str(number))


def _region(region: Rect | None) -> str:
    return "" if region is None else f" region {region.x} {region.y} {region.width} {region.height}"


def _decimal(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")
