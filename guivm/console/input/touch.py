"""Fingers on a guest's screen: what they mean for its mouse. A pure state machine, without Qt.

One finger: tap = click, long press = right click, moving = the pointer moves, tap and then touch again and move (or
hold) = drag with the left button. Two fingers: moving together = wheel, apart or together = zoom.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass

from guivm.console.frame import PointerButton

LONG_PRESS_MS = 500
SECOND_TAP_MS = 300  # the longest time from a tap to the touch that drags
SLOP = 12.0  # logical pixels within which a finger counts as resting
_NEAR = 40.0  # logical pixels; two touches at the same place, for fingers


@dataclass(frozen=True, slots=True)
class TouchPoint:
    """A finger that is down. ``id`` stays the same as long as it is. Position in logical pixels of the widget."""

    id: int
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Move:
    """Put the pointer there."""

    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Press:
    x: float
    y: float
    button: PointerButton


@dataclass(frozen=True, slots=True)
class Release:
    x: float
    y: float
    button: PointerButton


@dataclass(frozen=True, slots=True)
class Scroll:
    """The fingers moved by (``dx``, ``dy``) logical pixels; what is under them should go along."""

    x: float
    y: float
    dx: float
    dy: float


@dataclass(frozen=True, slots=True)
class Pinch:
    """Make everything ``factor`` times as large about (``x``, ``y``)."""

    x: float
    y: float
    factor: float


TouchAction = Move | Press | Release | Scroll | Pinch


class _State(enum.Enum):
    IDLE = enum.auto()
    RESTING = enum.auto()  # one finger, which may become anything
    MOVING = enum.auto()
    DRAGGING = enum.auto()
    PAIR = enum.auto()  # two fingers, undecided
    SCROLLING = enum.auto()
    PINCHING = enum.auto()
    DONE = enum.auto()  # what is still down means nothing more


class TouchGestures:
    """``can_pinch``: whether two fingers may zoom; otherwise they only scroll. Times in milliseconds of any clock."""

    def __init__(self) -> None:
        self.can_pinch = False
        self._state = _State.IDLE
        self._start = (0.0, 0.0)  # where the one finger came down
        self._last = (0.0, 0.0)  # where it, or the middle of two, was seen last
        self._down_at = 0
        self._tap: tuple[float, float, int] | None = None  # place and time of the last tap
        self._second = False  # this touch follows a tap
        self._spread = 0.0  # distance of two fingers when last seen
        self._pair_start = (0.0, 0.0, 0.0)  # middle and distance when they came down

    @property
    def deadline(self) -> int | None:
        """When :meth:`tick` has something to say, if nothing happens before."""
        return self._down_at + LONG_PRESS_MS if self._state is _State.RESTING else None

    def tick(self, now: int) -> list[TouchAction]:
        """The deadline has come."""
        if self._state is not _State.RESTING or now < self._down_at + LONG_PRESS_MS:
            return []
        x, y = self._start
        if self._second:
            self._state = _State.DRAGGING
            return [Move(x, y), Press(x, y, PointerButton.LEFT)]
        self._state = _State.DONE
        return [Move(x, y), Press(x, y, PointerButton.RIGHT), Release(x, y, PointerButton.RIGHT)]

    def touched(self, points: Sequence[TouchPoint], now: int) -> list[TouchAction]:
        """All fingers that are down now; an empty sequence when the last one was lifted."""
        if not points:
            return self._lifted(now)
        if self._state is _State.DONE:
            return []
        if len(points) == 1:
            return self._one(points[0], now)
        if len(points) == 2:
            return self._two(points[0], points[1])
        return self.cancel(_State.DONE)

    def cancel(self, then: _State = _State.IDLE) -> list[TouchAction]:
        """The touch was taken away from us: nothing stays pressed."""
        dragging = self._state is _State.DRAGGING
        self._state = then
        self._tap = None
        return [Release(*self._last, PointerButton.LEFT)] if dragging else []

    def _lifted(self, now: int) -> list[TouchAction]:
        state, self._state = self._state, _State.IDLE
        if state is _State.DRAGGING:
            return [Release(*self._last, PointerButton.LEFT)]
        if state is not _State.RESTING:
            return []
        x, y = self._start
        self._tap = (x, y, now)
        return [Move(x, y), Press(x, y, PointerButton.LEFT), Release(x, y, PointerButton.LEFT)]

    def _one(self, point: TouchPoint, now: int) -> list[TouchAction]:
        place = (point.x, point.y)
        match self._state:
            case _State.IDLE:
                tap, self._tap = self._tap, None
                self._second = tap is not None and now - tap[2] <= SECOND_TAP_MS and math.dist(tap[:2], place) <= _NEAR
                self._state, self._down_at = _State.RESTING, now
                self._start = self._last = place
                return []
            case _State.RESTING if math.dist(place, self._start) <= SLOP:
                return self.tick(now)
            case _State.RESTING:
                start, self._last = self._start, place
                if self._second:
                    self._state = _State.DRAGGING
                    return [Move(*start), Press(*start, PointerButton.LEFT), Move(*place)]
                self._state = _State.MOVING
                return [Move(*place)]
            case _State.MOVING | _State.DRAGGING:
                if place == self._last:
                    return []
                self._last = place
                return [Move(*place)]
            case _:  # one finger of a pair is left
                self._state = _State.DONE
                return []

    def _two(self, first: TouchPoint, second: TouchPoint) -> list[TouchAction]:
        if self._state is _State.DRAGGING:
            return self.cancel(_State.DONE)
        middle = ((first.x + second.x) / 2, (first.y + second.y) / 2)
        spread = math.hypot(first.x - second.x, first.y - second.y)
        if self._state in (_State.IDLE, _State.RESTING, _State.MOVING):
            self._state = _State.PAIR
            self._pair_start = (*middle, spread)
            self._last, self._spread = middle, spread
            return []
        if self._state is _State.PAIR:
            went = math.dist(middle, self._pair_start[:2])
            grew = abs(spread - self._pair_start[2])
            if self.can_pinch and grew > SLOP and grew > went:
                self._state = _State.PINCHING
            elif went > SLOP:
                self._state = _State.SCROLLING
            else:
                return []
        last, self._last = self._last, middle
        before, self._spread = self._spread, spread
        if self._state is _State.PINCHING:
            return [Pinch(*middle, spread / before)] if before > 0 and spread > 0 and spread != before else []
        dx, dy = middle[0] - last[0], middle[1] - last[1]
        return [Scroll(*middle, dx, dy)] if dx or dy else []
