"""What a script can say, as frozen values. Pixels of the guest's screen, seconds, buttons from 1 (left) to 8."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import NamedTuple

from guivm.automation.keys import Combo
from guivm.automation.language import DEFAULT_TIMEOUT_S
from guivm.console.frame import Rect

MAX_COORDINATE = 16_383
DEFAULT_TOLERANCE = 10
DEFAULT_STILL_S = 2.0


class Point(NamedTuple):
    x: int
    y: int


class WheelDirection(enum.Enum):
    """The value is the button that stands for one step (RFC 6143 §7.5.5)."""

    UP = 4
    DOWN = 5
    LEFT = 6
    RIGHT = 7


@dataclass(frozen=True, slots=True)
class Type:
    """Type text on the guest's keyboard layout, then Enter if ``enter``."""

    text: str
    enter: bool = False


@dataclass(frozen=True, slots=True)
class TypeFile:
    """Type what is in a file."""

    file: str


@dataclass(frozen=True, slots=True)
class UseLayout:
    """From here on the guest's keyboard has this layout: ``us``, ``de(nodeadkeys)``."""

    name: str


@dataclass(frozen=True, slots=True)
class Paste:
    """Put text into the guest's clipboard."""

    text: str


@dataclass(frozen=True, slots=True)
class Press:
    """Press and release combinations, one after another."""

    combos: tuple[Combo, ...]


@dataclass(frozen=True, slots=True)
class Hold:
    """Keys go down and stay down, or come up again."""

    combo: Combo
    pressed: bool


@dataclass(frozen=True, slots=True)
class Move:
    to: Point


@dataclass(frozen=True, slots=True)
class Click:
    """At a place, or where the pointer is."""

    button: int = 1
    at: Point | None = None
    count: int = 1


@dataclass(frozen=True, slots=True)
class HoldButton:
    """A button goes down and stays down, or comes up again."""

    button: int
    pressed: bool


@dataclass(frozen=True, slots=True)
class Drag:
    """Move in small steps; from ``start`` with a button down, or, without one, with the buttons as they are."""

    end: Point
    start: Point | None = None
    button: int = 1


@dataclass(frozen=True, slots=True)
class Wheel:
    direction: WheelDirection
    steps: int = 1


@dataclass(frozen=True, slots=True)
class Sleep:
    seconds: float


@dataclass(frozen=True, slots=True)
class WaitPicture:
    """Until the picture is somewhere on the screen, or in ``region``.

    ``tolerance``: how far red, green or blue of a pixel may be off, 0 to 255. Transparent pixels fit anything.
    """

    file: str
    region: Rect | None = None
    tolerance: int = DEFAULT_TOLERANCE
    timeout_s: float = DEFAULT_TIMEOUT_S


@dataclass(frozen=True, slots=True)
class Expect:
    """vncdotool's way to wait for a picture at a place: its histogram and the screen's differ by at most ``fuzz``."""

    file: str
    at: Point
    fuzz: float = 0.0
    timeout_s: float = DEFAULT_TIMEOUT_S


@dataclass(frozen=True, slots=True)
class WaitText:
    """Until the text is read on the screen, or in ``region``; white space counts as one space."""

    text: str
    region: Rect | None = None
    timeout_s: float = DEFAULT_TIMEOUT_S


@dataclass(frozen=True, slots=True)
class WaitStill:
    """Until nothing but a blinking cursor has moved for so long."""

    seconds: float = DEFAULT_STILL_S
    region: Rect | None = None
    timeout_s: float = DEFAULT_TIMEOUT_S


@dataclass(frozen=True, slots=True)
class Capture:
    """Save the screen, or a region of it, as a picture."""

    file: str
    region: Rect | None = None


Statement = (
    Type
    | TypeFile
    | UseLayout
    | Paste
    | Press
    | Hold
    | Move
    | Click
    | HoldButton
    | Drag
    | Wheel
    | Sleep
    | WaitPicture
    | Expect
    | WaitText
    | WaitStill
    | Capture
)
