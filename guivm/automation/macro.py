"""What a person does in a console, as a script. Pure.

The window hands over what it sends to the guest; what the guest would not notice when it is left out (the way of
the pointer between two clicks) is left out. Keys become ``type`` where that presses the very same keys.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from guivm.automation import statements as st
from guivm.automation.keys import MODIFIER_CODES, Typist, code_name, key_name
from guivm.automation.script import format_script
from guivm.automation.statements import Point, Statement
from guivm.errors import GuivmError

MIN_PAUSE_S = 1.0
"""A pause shorter than this is only how fast somebody types."""

_LONG_HOLD_S = 1.0  # a key or button held longer is held on purpose
_HOVER_S = 0.7  # the pointer rests so long: on purpose
_CLICK_SLIP = 4  # pixels between press and release that still are a click
_DOUBLE_CLICK_S = 0.5
_MAX_EVENTS = 1_000_000
_ENTER = 28
_WHEEL = {direction.value: direction for direction in st.WheelDirection}


@dataclass(frozen=True, slots=True)
class _KeyInput:
    time: float
    code: int
    keysym: int
    pressed: bool


@dataclass(frozen=True, slots=True)
class _PointerInput:
    time: float
    at: Point
    buttons: int


@dataclass(frozen=True, slots=True)
class _Stroke:
    """A key pressed while modifiers are held; both by Linux key code."""

    code: int
    held: frozenset[int]
    keysym: int = field(compare=False)


@dataclass(frozen=True, slots=True)
class _Timed:
    start: float
    end: float
    statement: Statement | _Stroke


class MacroRecorder:
    """Takes input as it happens (times in seconds, of any clock that does not go back). One thread."""

    def __init__(self, typist: Typist | None = None) -> None:
        """``typist``: of the guest's layout; without one no text becomes ``type``."""
        self._typist = typist
        self._inputs: list[_KeyInput | _PointerInput] = []

    def __len__(self) -> int:
        return len(self._inputs)

    def key(self, code: int, keysym: int, pressed: bool, time: float) -> None:
        """``code``: Linux key code."""
        if len(self._inputs) < _MAX_EVENTS:
            self._inputs.append(_KeyInput(time, code, keysym, pressed))

    def pointer(self, x: int, y: int, buttons: int, time: float) -> None:
        """A place on the screen, pixels; ``buttons``: RFB's mask. Movements of a relative pointer have no place."""
        if len(self._inputs) < _MAX_EVENTS:
            self._inputs.append(_PointerInput(time, Point(max(x, 0), max(y, 0)), buttons))

    def statements(self) -> tuple[Statement, ...]:
        timed = sorted([*self._strokes(), *self._pointing()], key=lambda item: item.start)
        return tuple(self._joined(timed))

    def script(self) -> str:
        """The text of a script that does the same."""
        return format_script(self.statements())

    # --- keys -----------------------------------------------------------------------------------------

    def _strokes(self) -> Iterator[_Timed]:
        """Rollover, where the next key is pressed before the last is released, makes strokes all the same."""
        modifiers: dict[int, tuple[_KeyInput, bool]] = {}  # held, and whether another key was pressed meanwhile
        keys: dict[int, tuple[_KeyInput, frozenset[int]]] = {}
        for event in self._inputs:
            if not isinstance(event, _KeyInput):
                continue
            code = event.code
            if code in MODIFIER_CODES:
                if event.pressed:
                    modifiers.setdefault(code, (event, False))
                elif code in modifiers:
                    press, was_used = modifiers.pop(code)
                    if not was_used:
                        yield from _held(press, event.time, frozenset(modifiers))
            elif event.pressed:
                if code in keys:  # repeated by the keyboard: again a stroke
                    press, held = keys[code]
                    yield from _held(press, press.time, held)
                keys[code] = (event, frozenset(modifiers))
                modifiers = {key: (press, True) for key, (press, _) in modifiers.items()}
            elif code in keys:
                press, held = keys.pop(code)
                yield from _held(press, event.time, held)

    # --- pointer --------------------------------------------------------------------------------------

    def _pointing(self) -> Iterator[_Timed]:
        pointing = [event for event in self._inputs if isinstance(event, _PointerInput)]
        pressed: dict[int, _PointerInput] = {}
        buttons = 0
        last: _PointerInput | None = None
        shown = Point(-1, -1)  # where the script has the pointer by now
        for event in pointing:
            if last is not None and not buttons and last.at != shown and event.time - last.time >= _HOVER_S:
                yield _Timed(last.time, last.time, st.Move(last.at))
                shown = last.at
            for button in range(1, 9):
                bit = 1 << (button - 1)
                if event.buttons & bit and not buttons & bit:
                    pressed[button] = event
                elif buttons & bit and not event.buttons & bit and button in pressed:
                    yield from _click_or_drag(button, pressed.pop(button), event, shown)
                    shown = event.at
            buttons = event.buttons
            last = event
        if last is not None and not buttons and last.at != shown:
            yield _Timed(last.time, last.time, st.Move(last.at))

    # --- both -----------------------------------------------------------------------------------------

    def _joined(self, timed: Sequence[_Timed]) -> Iterator[Statement]:
        index = 0
        while index < len(timed):
            first = timed[index]
            if index and (pause := round(first.start - timed[index - 1].end, 1)) >= MIN_PAUSE_S:
                yield st.Sleep(pause)
            end = index + 1
            if isinstance(first.statement, _Stroke):
                while end < len(timed) and _goes_on(timed[end - 1], timed[end]):
                    end += 1
                yield from self._keys([item.statement for item in timed[index:end] if _is_stroke(item)])
            else:
                merged: Statement = first.statement
                while end < len(timed) and (joined := _merge(merged, timed[end - 1], timed[end])) is not None:
                    merged = joined
                    end += 1
                yield merged
            index = end

    def _keys(self, strokes: Sequence[Statement | _Stroke]) -> Iterator[Statement]:
        """``type`` for the runs of strokes that typing the same text would make, ``key`` for the rest."""
        pending = [stroke for stroke in strokes if isinstance(stroke, _Stroke)]
        combos: list[tuple[str, ...]] = []
        index = 0
        while index < len(pending):
            text, count = self._text(pending[index:])
            if count:
                yield from _press(combos)
                enter = pending[index + count : index + count + 1] == [_Stroke(_ENTER, frozenset(), 0)]
                yield st.Type(text, enter)
                index += count + enter
                continue
            stroke = pending[index]
            combo = self._combo(stroke)
            if combo is not None:
                combos.append(combo)
            index += 1
        yield from _press(combos)

    def _text(self, strokes: Sequence[_Stroke]) -> tuple[str, int]:
        """The longest text, from the first stroke on, that is typed with just these; of at least two characters."""
        text = ""
        for stroke in strokes:
            character = _character(stroke.keysym)
            if character is None or self._typed(character) != (stroke,):
                break
            text += character
        return (text, len(text)) if len(text) > 1 else ("", 0)

    def _typed(self, text: str) -> tuple[_Stroke, ...]:
        if self._typist is None:
            return ()
        try:
            bursts = self._typist.bursts(text)
        except GuivmError:
            return ()
        found: list[_Stroke] = []
        for burst in bursts:
            down = [event for event in burst if event.pressed]
            held = frozenset(event.code for event in down if event.code in MODIFIER_CODES)
            found += [_Stroke(event.code, held, event.keysym) for event in down if event.code not in MODIFIER_CODES]
        return tuple(found)

    def _combo(self, stroke: _Stroke) -> tuple[str, ...] | None:
        """Names for the stroke, or None for a key that has none."""
        names = [name for code in sorted(stroke.held) if (name := key_name(code)) is not None]
        name = key_name(stroke.code)
        if name is not None:
            return (*names, name)
        character = _character(stroke.keysym)
        if character is not None:
            for wanted in (character, character.lower()):
                typed = self._typed(wanted)
                if len(typed) == 1 and typed[0].code == stroke.code and typed[0].held <= stroke.held:
                    rest = [name for code in sorted(stroke.held - typed[0].held) if (name := key_name(code))]
                    return (*rest, "space" if wanted == " " else wanted)
        code = code_name(stroke.code)
        return (*names, code) if code is not None else None


def _is_stroke(item: _Timed) -> bool:
    return isinstance(item.statement, _Stroke)


def _held(press: _KeyInput, end: float, held: frozenset[int]) -> Iterator[_Timed]:
    name = key_name(press.code) or code_name(press.code)
    if end - press.time < _LONG_HOLD_S or held or name is None:
        yield _Timed(press.time, end, _Stroke(press.code, held, press.keysym))
    else:
        yield _Timed(press.time, press.time, st.Hold((name,), True))
        yield _Timed(end, end, st.Hold((name,), False))


def _goes_on(before: _Timed, after: _Timed) -> bool:
    return _is_stroke(after) and after.start - before.end < MIN_PAUSE_S


def _press(combos: list[tuple[str, ...]]) -> Iterator[Statement]:
    if combos:
        yield st.Press(tuple(combos))
        combos.clear()


def _character(keysym: int) -> str | None:
    """What a keysym stands for: Latin-1, or Unicode with 0x01000000 added (``keysymdef.h``)."""
    if 0x20 <= keysym <= 0x7E or 0xA0 <= keysym <= 0xFF:
        return chr(keysym)
    if 0x0100_0100 <= keysym <= 0x0110_FFFF:
        character = chr(keysym - 0x0100_0000)
        return character if character.isprintable() else None
    return None


def _click_or_drag(button: int, press: _PointerInput, release: _PointerInput, shown: Point) -> Iterator[_Timed]:
    if button in _WHEEL:
        if press.at != shown:
            yield _Timed(press.time, press.time, st.Move(press.at))
        yield _Timed(press.time, release.time, st.Wheel(_WHEEL[button]))
        return
    near = max(abs(press.at.x - release.at.x), abs(press.at.y - release.at.y)) <= _CLICK_SLIP
    if near and release.time - press.time < _LONG_HOLD_S:
        yield _Timed(press.time, release.time, st.Click(button, press.at))
    elif near:
        yield _Timed(press.time, press.time, st.Move(press.at))
        yield _Timed(press.time, press.time, st.HoldButton(button, True))
        yield _Timed(release.time, release.time, st.HoldButton(button, False))
    else:
        yield _Timed(press.time, release.time, st.Drag(release.at, press.at, button))


def _merge(statement: Statement, before: _Timed, after: _Timed) -> Statement | None:
    """One statement for two that belong together: turns of the wheel, a double click."""
    match statement, after.statement:
        case st.Wheel(direction, steps), st.Wheel(other, more):
            if direction is other and steps + more <= 1000 and after.start - before.end < MIN_PAUSE_S:
                return st.Wheel(direction, steps + more)
        case st.Click(button, at, 1), st.Click(same, place, 1):
            if button == same and at == place and after.start - before.start < _DOUBLE_CLICK_S:
                return st.Click(button, at, 2)
        case _:
            pass
    return None
