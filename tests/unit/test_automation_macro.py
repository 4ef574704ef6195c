"""Macros: recorded input becomes a script that does the same."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as hs

from guivm.automation import statements as st
from guivm.automation.keys import LayoutTypist, combo_keys
from guivm.automation.macro import MacroRecorder
from guivm.automation.script import parse
from guivm.automation.statements import Point, Statement
from guivm.console.typing.strokes import KeyEvent

SHIFT, CTRL, ALT, ALTGR, SUPER, ENTER, F5 = 42, 29, 56, 100, 125, 28, 63
_US = LayoutTypist("us")
_DE = LayoutTypist("de")


class Person:
    """Somebody at the keyboard and mouse of a console being recorded; every step takes 50 ms."""

    def __init__(self, typist: LayoutTypist | None = _US) -> None:
        self.recorder = MacroRecorder(typist)
        self.now = 100.0

    def key(self, code: int, pressed: bool, keysym: int = 0) -> None:
        self.recorder.key(code, keysym, pressed, self.now)
        self.now += 0.05

    def press(self, *codes: int) -> None:
        for code in codes:
            self.key(code, True)
        for code in reversed(codes):
            self.key(code, False)

    def type(self, text: str, typist: LayoutTypist = _US) -> None:
        for character in text:
            for burst in typist.bursts(character):
                for event in burst:
                    self.key(event.code, event.pressed, event.keysym)

    def point(self, x: int, y: int, buttons: int = 0) -> None:
        self.recorder.pointer(x, y, buttons, self.now)
        self.now += 0.05

    def click(self, x: int, y: int, buttons: int = 1) -> None:
        self.point(x, y, buttons)
        self.point(x, y)

    @property
    def statements(self) -> tuple[Statement, ...]:
        found = self.recorder.statements()
        assert parse(self.recorder.script()).statements == found
        return found


def test_text_and_enter() -> None:
    person = Person()
    person.type("Hello, World!\n")
    person.type("exit")
    assert person.statements == (st.Type("Hello, World!", enter=True), st.Type("exit"))


def test_keys_that_make_no_text() -> None:
    person = Person()
    person.press(CTRL, ALT, 111)
    person.press(F5)
    person.press(SUPER)
    person.press(CTRL, 46)
    person.press(183)
    person.press(200)
    assert person.statements == (
        st.Press((("ctrl", "alt", "del"), ("f5",), ("super",), ("ctrl", "code46"), ("f13",), ("code200",))),
    )


def test_a_letter_with_ctrl_is_the_letter_of_the_layout() -> None:
    person = Person(_DE)
    person.key(CTRL, True)
    person.key(21, True, ord("z"))
    person.key(21, False, ord("z"))
    person.key(CTRL, False)
    assert person.statements == (st.Press((("ctrl", "z"),)),)


def test_text_of_another_layout_is_not_taken_for_text() -> None:
    """The guest has the layout that the script will be run with; keys that would differ are named by their place."""
    person = Person(_US)
    person.type("zz", _DE)
    assert person.statements == (st.Press((("code21",), ("code21",))),)
    assert [key.code for key in combo_keys(("code21",), _US)] == [21]


def test_rollover_is_text_all_the_same() -> None:
    person = Person()
    for code, character, pressed in ((30, "a", True), (48, "b", True), (30, "a", False), (48, "b", False)):
        person.key(code, pressed, ord(character))
    assert person.statements == (st.Type("ab"),)


def test_keys_that_repeat() -> None:
    person = Person()
    for _ in range(3):
        person.key(108, True)
    person.key(108, False)
    assert person.statements == (st.Press((("down",),) * 3),)


def test_pauses_are_kept() -> None:
    person = Person()
    person.type("one")
    person.now += 3.14
    person.type("two")
    assert person.statements == (st.Type("one"), st.Sleep(3.2), st.Type("two"))


def test_clicks() -> None:
    person = Person()
    person.point(1, 1)
    person.point(5, 5)
    person.click(10, 20)
    person.point(50, 60)
    person.click(70, 80, 4)
    person.now += 0.6
    person.click(30, 30)
    person.click(30, 30)
    assert person.statements == (
        st.Click(1, Point(10, 20)),
        st.Click(3, Point(70, 80)),
        st.Click(1, Point(30, 30), 2),
    )


def test_drag_wheel_and_hover() -> None:
    person = Person()
    person.point(10, 10, 1)
    person.point(30, 30, 1)
    person.point(60, 50, 1)
    person.point(60, 50)
    for _ in range(3):
        person.point(60, 50, 16)
        person.point(60, 50)
    person.point(90, 90)
    person.now += 0.9
    person.point(95, 95)
    person.click(99, 99)
    assert person.statements == (
        st.Drag(Point(60, 50), Point(10, 10), 1),
        st.Wheel(st.WheelDirection.DOWN, 3),
        st.Move(Point(90, 90)),
        st.Sleep(1.0),
        st.Click(1, Point(99, 99)),
    )


def test_a_button_held_long() -> None:
    person = Person()
    person.point(10, 10, 1)
    person.now += 2
    person.point(10, 10)
    assert person.statements == (
        st.Move(Point(10, 10)),
        st.HoldButton(1, True),
        st.Sleep(2.0),
        st.HoldButton(1, False),
    )


def test_a_key_held_long_is_held() -> None:
    person = Person()
    person.key(103, True)
    person.now += 2
    person.key(103, False)
    person.type("ok")
    assert person.statements == (
        st.Hold(("up",), True),
        st.Sleep(2.0),
        st.Hold(("up",), False),
        st.Type("ok"),
    )


def test_keys_and_pointer_are_in_order() -> None:
    person = Person()
    person.click(1, 2)
    person.type("abc")
    person.click(3, 4)
    assert person.statements == (st.Click(1, Point(1, 2)), st.Type("abc"), st.Click(1, Point(3, 4)))


def test_nothing() -> None:
    assert MacroRecorder().script() == ""


@given(
    hs.lists(
        hs.tuples(
            hs.sampled_from([SHIFT, CTRL, ALTGR, 30, 44, 21, 57, ENTER, F5, 103]), hs.booleans(), hs.floats(0, 2)
        ),
        max_size=30,
    )
)
def test_any_keys_make_a_script(events: list[tuple[int, bool, float]]) -> None:
    recorder = MacroRecorder(_US)
    now = 0.0
    for code, pressed, pause in events:
        recorder.key(code, 0, pressed, now)
        now += pause
    assert parse(recorder.script()).statements == recorder.statements()


@given(hs.text(hs.characters(min_codepoint=32, max_codepoint=126), min_size=2, max_size=40))
def test_replayed_text_presses_the_same_keys(text: str) -> None:
    person = Person()
    person.type(text)
    replayed = [
        event.code
        for statement in person.statements
        for event in _events(statement)
        if event.pressed and event.code not in (SHIFT, 54)
    ]
    typed = [event.code for burst in _US.bursts(text) for event in burst if event.pressed]
    assert replayed == [code for code in typed if code not in (SHIFT, 54)]


def _events(statement: Statement) -> list[KeyEvent]:
    match statement:
        case st.Type(text):
            return [event for burst in _US.bursts(text) for event in burst]
        case st.Press(combos):
            return [KeyEvent(*key, True) for combo in combos for key in combo_keys(combo, _US)]
    raise AssertionError(statement)
