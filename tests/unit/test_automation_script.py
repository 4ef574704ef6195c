"""The script language: statements, errors that name the line, round trips, never a crash."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as hs

from guivm.automation import statements as st
from guivm.automation.keys import format_combo, parse_combo
from guivm.automation.language import SUMMARY
from guivm.automation.script import Problem, ScriptError, format_script, parse
from guivm.automation.statements import Point
from guivm.automation.words import WordError, split_words
from guivm.console.frame import Rect
from guivm.console.input.key_combos import key_names


def statements(text: str, **variables: str) -> tuple[st.Statement, ...]:
    return parse(text, variables=variables).statements


def problems(text: str) -> tuple[Problem, ...]:
    with pytest.raises(ScriptError) as caught:
        parse(text)
    return caught.value.problems


@pytest.mark.parametrize(
    ("line", "statement"),
    [
        ("type hello", st.Type("hello")),
        ('type "a b  #c"  # comment', st.Type("a b  #c")),
        ("type a#b", st.Type("a#b")),
        ("typeline 'it''s \"$x\"'", st.Type('its "$x"', enter=True)),
        ('type "costs $5"', st.Type("costs $5")),
        ("typefile notes.txt", st.TypeFile("notes.txt")),
        ("layout 'de(nodeadkeys)'", st.UseLayout("de(nodeadkeys)")),
        ("paste 'a b'", st.Paste("a b")),
        ("key ctrl-alt-del", st.Press((("ctrl", "alt", "del"),))),
        ("key Ctrl+C down enter", st.Press((("ctrl", "C"), ("down",), ("enter",)))),
        ("key ctrl--", st.Press((("ctrl", "-"),))),
        ("key code183-f2", st.Press((("code183", "f2"),))),
        ("key minus", st.Press((("-",),))),
        ("keydown shift", st.Hold(("shift",), True)),
        ("kup lshift", st.Hold(("shift",), False)),
        ("move 10 20", st.Move(Point(10, 20))),
        ("click", st.Click()),
        ("click right", st.Click(3)),
        ("click 10 20", st.Click(1, Point(10, 20))),
        ("doubleclick 2 10 20", st.Click(2, Point(10, 20), 2)),
        ("mousedown 1", st.HoldButton(1, True)),
        ("mup left", st.HoldButton(1, False)),
        ("drag 5 6", st.Drag(Point(5, 6))),
        ("drag 1 2 5 6 right", st.Drag(Point(5, 6), Point(1, 2), 3)),
        ("wheel down 3", st.Wheel(st.WheelDirection.DOWN, 3)),
        ("pause .5", st.Sleep(0.5)),
        ("wait-picture p.png", st.WaitPicture("p.png")),
        (
            "wait-picture p.png timeout 5 region 1 2 3 4 tolerance 0",
            st.WaitPicture("p.png", Rect(1, 2, 3, 4), 0, 5.0),
        ),
        ('wait-text "log in:" timeout 90', st.WaitText("log in:", None, 90.0)),
        ("wait-still", st.WaitStill()),
        ("wait-still 3 region 0 0 8 8", st.WaitStill(3.0, Rect(0, 0, 8, 8))),
        ("wait-still timeout 9", st.WaitStill(timeout_s=9.0)),
        ("capture a.png", st.Capture("a.png")),
        ("rcapture a.png 1 2 3 4", st.Capture("a.png", Rect(1, 2, 3, 4))),
        ("expect a.png 5", st.Expect("a.png", Point(0, 0), 5.0)),
        ("rexpect a.png 3 4 0", st.Expect("a.png", Point(3, 4), 0.0)),
    ],
)
def test_statements(line: str, statement: st.Statement) -> None:
    assert statements(line) == (statement,)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("tpye x", "“tpye” is no statement"),
        ("type", "The text is missing"),
        ("type a b", "a word too many"),
        ("type 'a", "A single quote is not closed"),
        ('type "a', "A double quote is not closed"),
        ("type a\\", "ends with a backslash"),
        ("type $who", "“who” has no value"),
        ("type a\x07", "U+0007"),
        ("key ctlr-c", "“ctlr” is no key"),
        ("key code999", "“code999” is no key"),
        ("key ctrl-", "no combination"),
        ("key a-a", "names a key twice"),
        ("move 1", "Y is missing"),
        ("move 1.5 2", "whole number"),
        ("move -1 2", "must be a number"),
        ("move ٣ 2", "must be a number"),
        ("move 99999 2", "at most 16383"),
        ("click 9", "“9” is no button"),
        ("wheel sideways", "“sideways” is no direction"),
        ("sleep nan", "must be a number"),
        ("sleep 1e3", "must be a number"),
        ("wait-picture p.png region 1 2 0 4", "at least 1"),
        ("wait-picture p.png fuzz 1", "“fuzz” is not understood here"),
        ("wait-still timeout 1 timeout 2", "said twice"),
        ("wait-text ' '", "The text is empty"),
        ("layout ../x", "no name of a keyboard layout"),
        ("set 1a b", "cannot be the name"),
    ],
)
def test_errors_say_what_is_wrong(line: str, words: str) -> None:
    found = problems(f"# first\n{line}\nsleep 1")
    assert [problem.line for problem in found] == [2]
    assert words in found[0].message


def test_all_problems_are_told_with_their_lines() -> None:
    with pytest.raises(ScriptError) as caught:
        parse("sleep x\r\n\r\nmove\r\n", name="demo")
    assert [problem.line for problem in caught.value.problems] == [1, 3]
    assert caught.value.lines[1].startswith("demo:3: ")


def test_variables_and_timeouts() -> None:
    text = """
        set user guest
        set host nowhere
        typeline "${user}@$host"
        type '$user'
        wait-text a
        timeout 5
        wait-text a
        wait-text a timeout 6
    """
    found = parse(text, variables={"host": "there"}, timeout_s=30)
    assert found.statements == (
        st.Type("guest@there", enter=True),
        st.Type("$user"),
        st.WaitText("a", None, 30.0),
        st.WaitText("a", None, 5.0),
        st.WaitText("a", None, 6.0),
    )
    assert [line.number for line in found.lines] == [4, 5, 6, 8, 9]
    assert found.lines[0].text == 'typeline "${user}@$host"'


def test_the_summary_names_every_statement() -> None:
    from guivm.automation.script import _VERBS

    assert [verb for verb in _VERBS if verb not in SUMMARY] == []


def test_a_script_of_vncdotool() -> None:
    assert len(statements("move 5 5\nclick 1\ntype 'hello'\nkey enter\npause 1\nexpect a.png 10\ncapture b.png")) == 7


_TEXT = hs.text(hs.characters(exclude_categories=("Cc", "Cs")) | hs.just("\t"), max_size=20)
_FILE = _TEXT.filter(bool)
_SECONDS = hs.integers(0, 86_400_000).map(lambda ms: ms / 1000)
_COORDINATE = hs.integers(0, st.MAX_COORDINATE)
_POINT = hs.builds(Point, _COORDINATE, _COORDINATE)
_SIDE = hs.integers(1, st.MAX_COORDINATE)
_REGION = hs.none() | hs.builds(Rect, _COORDINATE, _COORDINATE, _SIDE, _SIDE)
_BUTTON = hs.integers(1, 8)
_KEY = hs.sampled_from([*(name for name in key_names() if len(name) > 1), "code183"]).map(str.lower) | hs.sampled_from(
    "aZ1-+é#'\"$"
)
_COMBO = hs.lists(_KEY, min_size=1, max_size=4, unique=True).map(tuple)
_STATEMENT = hs.one_of(
    hs.builds(st.Type, _TEXT, hs.booleans()),
    hs.builds(st.TypeFile, _FILE),
    hs.builds(st.UseLayout, hs.sampled_from(("us", "de(nodeadkeys)", "cn"))),
    hs.builds(st.Paste, _TEXT),
    hs.builds(st.Press, hs.lists(_COMBO, min_size=1, max_size=3).map(tuple)),
    hs.builds(st.Hold, _COMBO, hs.booleans()),
    hs.builds(st.Move, _POINT),
    hs.builds(st.Click, _BUTTON, hs.none() | _POINT, hs.sampled_from((1, 2))),
    hs.builds(st.HoldButton, _BUTTON, hs.booleans()),
    hs.builds(st.Drag, _POINT),
    hs.builds(st.Drag, _POINT, _POINT, _BUTTON),
    hs.builds(st.Wheel, hs.sampled_from(st.WheelDirection), hs.integers(1, 1000)),
    hs.builds(st.Sleep, _SECONDS),
    hs.builds(st.WaitPicture, _FILE, _REGION, hs.integers(0, 255), _SECONDS),
    hs.builds(st.Expect, _FILE, _POINT, _SECONDS, _SECONDS),
    hs.builds(st.WaitText, _TEXT.filter(str.split), _REGION, _SECONDS),
    hs.builds(st.WaitStill, _SECONDS, _REGION, _SECONDS),
    hs.builds(st.Capture, _FILE, _REGION),
)


@given(hs.lists(_STATEMENT, max_size=5))
def test_formatted_statements_parse_to_themselves(given_statements: list[st.Statement]) -> None:
    assert statements(format_script(given_statements)) == tuple(given_statements)


@given(_COMBO)
def test_formatted_combinations_parse_to_themselves(combo: tuple[str, ...]) -> None:
    assert parse_combo(format_combo(combo)) == combo


@given(hs.text(max_size=200))
def test_any_text_is_a_script_or_a_script_error(text: str) -> None:
    try:
        found = parse(text)
    except ScriptError:
        return
    assert parse(format_script(found.statements)).statements == found.statements


_VERBISH = hs.sampled_from(
    [
        *(
            "type",
            "key",
            "move",
            "click",
            "drag",
            "wheel",
            "sleep",
            "wait-picture",
            "wait-text",
            "wait-still",
            "capture",
        ),
        *("expect", "rexpect", "timeout", "set", "region", "tolerance", "$a", "${a}", "'", '"', "#", "1", "2", "0.5"),
        *("a", "ctrl-c", "\n"),
    ]
)


@given(hs.lists(_VERBISH, max_size=30).map(" ".join))
def test_any_words_are_a_script_or_a_script_error(text: str) -> None:
    test_any_text_is_a_script_or_a_script_error.hypothesis.inner_test(text)  # type: ignore[attr-defined]


@given(hs.text(hs.sampled_from("ab '\"\\\t"), max_size=30))
def test_words_are_those_of_a_shell(line: str) -> None:
    try:
        expected = shlex.split(line)
    except ValueError:
        with pytest.raises(WordError):
            split_words(line, {})
    else:
        assert split_words(line, {}) == expected
