"""Splits what a terminal receives into text, control characters and escape sequences.

The states are those of ECMA-48 and of DEC's video terminals (https://vt100.net/emu/dec_ansi_parser). Everything a
sender can make long is bounded here: the number and size of parameters, titles, and strings that nobody reads.
"""

from __future__ import annotations

import enum
import re
from typing import Protocol

MAX_PARAMETERS = 32
MAX_SUBPARAMETERS = 8
MAX_VALUE = 65_535
MAX_INTERMEDIATES = 2
MAX_OSC = 4_096
"""Characters of an operating system command (a title) that are kept."""
MAX_STRING = 65_536
"""Characters of an unread string after which it is given up: noise on the line must not silence it for ever."""

Parameters = list[list[int]]
"""Each parameter with its sub-parameters (after colons); -1 where none was given."""

_TEXT = re.compile(r"[^\x00-\x1f\x7f-\x9f]+")
_STRING = re.compile(r"[^\x07\x18\x1a\x1b\x9c]+")


class ParserEvents(Protocol):
    """What is found, in order."""

    def text(self, text: str) -> None:
        """Printable characters, at least one."""

    def control(self, char: str) -> None:
        """One of C0, ESC, CAN and SUB excepted."""

    def escape(self, intermediates: str, final: str) -> None: ...

    def csi(self, prefix: str, parameters: Parameters, intermediates: str, final: str) -> None:
        """``prefix`` is one of ``<=>?`` or empty."""

    def osc(self, text: str) -> None:
        """An operating system command, cut to MAX_OSC characters."""


class _State(enum.Enum):
    GROUND = enum.auto()
    ESCAPE = enum.auto()
    CSI = enum.auto()
    CSI_IGNORE = enum.auto()
    OSC = enum.auto()
    STRING = enum.auto()


class Parser:
    """Takes text in any pieces. Time is linear in the text, memory constant."""

    def __init__(self, events: ParserEvents) -> None:
        self._events = events
        self._state = _State.GROUND
        self._clear()

    def feed(self, text: str) -> None:
        position, end = 0, len(text)
        while position < end:
            state = self._state
            if state is _State.GROUND:
                match = _TEXT.match(text, position)
                if match is not None:
                    self._events.text(match.group())
                    position = match.end()
                    continue
                self._control(text[position])
            elif state is _State.OSC or state is _State.STRING:
                match = _STRING.match(text, position)
                if match is not None:
                    self._take_string(match.group())
                    position = match.end()
                    continue
                self._end_string(text[position])
            elif text[position] < " ":
                self._control(text[position])  # carried out in the midst of a sequence, as terminals do
            elif state is _State.ESCAPE:
                self._escape(text[position])
            else:
                self._csi(text[position])
            position += 1

    def _clear(self) -> None:
        self._prefix = ""
        self._intermediates = ""
        self._parameters: Parameters = [[-1]]
        self._osc: list[str] = []
        self._length = 0

    def _control(self, char: str) -> None:
        if char == "\x1b":
            self._clear()
            self._state = _State.ESCAPE
        elif char in "\x18\x1a":
            self._state = _State.GROUND
        elif char < " ":
            self._events.control(char)
        # DEL and C1 have no meaning in UTF-8 text

    def _escape(self, char: str) -> None:
        if " " <= char <= "/":
            if len(self._intermediates) < MAX_INTERMEDIATES:
                self._intermediates += char
            return
        self._state = _State.GROUND
        if self._intermediates or char not in "[]PX^_":
            if "0" <= char <= "~":
                self._events.escape(self._intermediates, char)
        elif char == "[":
            self._state = _State.CSI
        else:
            self._state = _State.OSC if char == "]" else _State.STRING

    def _csi(self, char: str) -> None:
        if "@" <= char <= "~":
            ignored = self._state is _State.CSI_IGNORE
            self._state = _State.GROUND
            if not ignored:
                self._events.csi(self._prefix, self._parameters, self._intermediates, char)
        elif char > "~":
            self._state = _State.GROUND  # no part of any sequence
        elif self._state is _State.CSI_IGNORE:
            return
        elif self._intermediates and char > "/":
            self._state = _State.CSI_IGNORE
        elif "0" <= char <= "9":
            values = self._parameters[-1]
            values[-1] = min(max(values[-1], 0) * 10 + ord(char) - 48, MAX_VALUE)
        elif char == ";":
            if len(self._parameters) < MAX_PARAMETERS:
                self._parameters.append([-1])
            else:
                self._state = _State.CSI_IGNORE
        elif char == ":":
            if len(self._parameters[-1]) < MAX_SUBPARAMETERS:
                self._parameters[-1].append(-1)
            else:
                self._state = _State.CSI_IGNORE
        elif char >= "<":
            if self._prefix or self._parameters != [[-1]]:
                self._state = _State.CSI_IGNORE
            self._prefix = char
        elif len(self._intermediates) < MAX_INTERMEDIATES:
            self._intermediates += char
        else:
            self._state = _State.CSI_IGNORE

    def _take_string(self, text: str) -> None:
        if self._state is _State.OSC and self._length < MAX_OSC:
            self._osc.append(text[: MAX_OSC - self._length])
        self._length += len(text)
        if self._length > MAX_STRING:
            self._clear()
            self._state = _State.GROUND

    def _end_string(self, char: str) -> None:
        if self._state is _State.OSC and char not in "\x18\x1a":
            self._events.osc("".join(self._osc))
        self._clear()
        # ESC begins the terminator, "ESC \", or a sequence that cuts the string short.
        self._state = _State.ESCAPE if char == "\x1b" else _State.GROUND
