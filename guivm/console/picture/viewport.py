"""Where the guest's picture lies in the widget, in device pixels. Pure geometry.

Device coordinates count the physical pixels of the widget from its top left one. Qt speaks in logical units; at
150 % one of them is 1.5 device pixels, so a widget may even begin in the middle of a device pixel. The widget
snaps to whole device pixels once, and everything here is exact from there on.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

from guivm.console.frame import Rect

_EPSILON = 1e-3  # device pixels; logical positions are device positions divided, and not exact


class ScaleMode(enum.Enum):
    """How a guest pixel becomes device pixels."""

    FIT = "fit"  # as large as the widget allows, the shape kept
    ACTUAL = "actual"  # one guest pixel is one device pixel
    INTEGER = "integer"  # the largest whole multiple that the widget allows, at least one
    FREE = "free"  # whatever factor a person chose

    @property
    def scrolls(self) -> bool:
        """The picture may be larger than the widget."""
        return self is not ScaleMode.FIT


MIN_ZOOM = 0.1
MAX_ZOOM = 8.0
# Factors a wheel stops at; the whole ones and the halves are among them, because they look best.
_ZOOM_STOPS = (
    0.1,
    0.125,
    0.17,
    0.25,
    0.33,
    0.5,
    0.67,
    0.75,
    0.9,
    1,
    1.1,
    1.25,
    1.5,
    1.75,
    2,
    2.5,
    3,
    3.5,
    4,
    5,
    6,
    7,
    8,
)


def clamp_zoom(factor: float) -> float:
    """Device pixels per guest pixel, within what makes sense."""
    return min(max(factor, MIN_ZOOM), MAX_ZOOM)


def step_zoom(factor: float, steps: int) -> float:
    """The factor that many stops larger (or smaller, when negative)."""
    for _ in range(min(abs(steps), len(_ZOOM_STOPS))):
        if steps > 0:
            factor = min((stop for stop in _ZOOM_STOPS if stop > factor * 1.001), default=MAX_ZOOM)
        else:
            factor = max((stop for stop in _ZOOM_STOPS if stop < factor * 0.999), default=MIN_ZOOM)
    return factor


@dataclass(frozen=True, slots=True)
class DeviceSpan:
    """The whole device pixels that something covers along one axis."""

    start: int
    length: int

    @classmethod
    def of(cls, origin: float, length: float) -> DeviceSpan:
        """``origin`` and ``length``: device pixels, maybe fractions of them."""
        start = round_half_up(origin)
        end = round_half_up(origin + length)
        return cls(start, max(0, end - start))


def round_half_up(value: float) -> int:
    """The nearest integer; Python's own rounding would send 0.5 and 1.5 to different neighbours."""
    return math.floor(value + 0.5)


@dataclass(frozen=True, slots=True)
class Viewport:
    """The picture's place: ``width`` by ``height`` device pixels at (``x``, ``y``) show the whole guest screen.

    Modes that scroll let it be larger than the view; then ``x`` and ``y`` are negative as far as it is scrolled.
    """

    guest_width: int
    guest_height: int
    x: int
    y: int
    width: int
    height: int

    @classmethod
    def fit(cls, guest_width: int, guest_height: int, view: Rect) -> Viewport:
        """As large as the view allows, the shape kept to within a pixel, centred."""
        if view.width * guest_height <= view.height * guest_width:
            width = max(1, view.width)
            height = max(1, (view.width * guest_height + guest_width // 2) // guest_width)
        else:
            height = max(1, view.height)
            width = max(1, (view.height * guest_width + guest_height // 2) // guest_height)
        return cls._centred(guest_width, guest_height, view, width, height)

    @classmethod
    def actual(cls, guest_width: int, guest_height: int, view: Rect, scroll_x: int = 0, scroll_y: int = 0) -> Viewport:
        """One to one; centred along an axis where it fits, else scrolled by ``scroll`` device pixels (clamped)."""
        return cls.zoomed(guest_width, guest_height, view, 1, scroll_x, scroll_y)

    @classmethod
    def integer(cls, guest_width: int, guest_height: int, view: Rect, scroll_x: int = 0, scroll_y: int = 0) -> Viewport:
        """The largest whole multiple that fits, at least one; placed as :meth:`actual` does."""
        factor = max(1, min(view.width // guest_width, view.height // guest_height))
        return cls.zoomed(guest_width, guest_height, view, factor, scroll_x, scroll_y)

    @classmethod
    def zoomed(
        cls, guest_width: int, guest_height: int, view: Rect, factor: float, scroll_x: int = 0, scroll_y: int = 0
    ) -> Viewport:
        """``factor`` device pixels per guest pixel; placed as :meth:`actual` does."""
        width, height = max(1, round_half_up(guest_width * factor)), max(1, round_half_up(guest_height * factor))
        port = cls._centred(guest_width, guest_height, view, width, height)
        x, y = port.x, port.y
        if width > view.width:
            x = view.x - min(max(scroll_x, 0), width - view.width)
        if height > view.height:
            y = view.y - min(max(scroll_y, 0), height - view.height)
        return cls(guest_width, guest_height, x, y, width, height)

    @classmethod
    def _centred(cls, guest_width: int, guest_height: int, view: Rect, width: int, height: int) -> Viewport:
        x = view.x + (view.width - width) // 2
        y = view.y + (view.height - height) // 2
        return cls(guest_width, guest_height, x, y, width, height)

    @property
    def is_one_to_one(self) -> bool:
        return self.width == self.guest_width and self.height == self.guest_height

    @property
    def is_whole_multiple(self) -> bool:
        """Every guest pixel is a square of the same whole number of device pixels."""
        factor = self.width // self.guest_width
        return factor >= 1 and self.width == factor * self.guest_width and self.height == factor * self.guest_height

    @property
    def scale(self) -> float:
        """Device pixels per guest pixel."""
        return self.width / self.guest_width

    def contains(self, x: float, y: float) -> bool:
        """Whether the device pixel at a position shows the guest."""
        column, row = math.floor(x + _EPSILON), math.floor(y + _EPSILON)
        return self.x <= column < self.x + self.width and self.y <= row < self.y + self.height

    def to_guest(self, x: float, y: float) -> tuple[int, int]:
        """Guest pixel that the device pixel at (``x``, ``y``) shows (its middle); outside, the nearest one."""
        column, row = math.floor(x + _EPSILON) - self.x, math.floor(y + _EPSILON) - self.y
        guest_x = (2 * column + 1) * self.guest_width // (2 * self.width)
        guest_y = (2 * row + 1) * self.guest_height // (2 * self.height)
        return min(max(guest_x, 0), self.guest_width - 1), min(max(guest_y, 0), self.guest_height - 1)

    def from_guest(self, x: int, y: int) -> tuple[int, int]:
        """A device pixel that shows the guest pixel, the one nearest to its middle (exact from 1:1 upwards)."""
        device_x = self.x + (2 * x + 1) * self.width // (2 * self.guest_width)
        device_y = self.y + (2 * y + 1) * self.height // (2 * self.guest_height)
        return device_x, device_y

    def damage_to_device(self, damage: Rect) -> Rect:
        """Device pixels that may look different when ``damage`` (guest pixels) changed, not clipped to the view.

        When scaling is smooth a device pixel takes in the neighbours of the guest pixels it covers.
        """
        if self.is_one_to_one:
            return Rect(self.x + damage.x, self.y + damage.y, damage.width, damage.height)
        grow = 0 if self.is_whole_multiple else 1
        left = (damage.x - grow) * self.width // self.guest_width
        top = (damage.y - grow) * self.height // self.guest_height
        right = -(-(damage.x + damage.width + grow) * self.width // self.guest_width)
        bottom = -(-(damage.y + damage.height + grow) * self.height // self.guest_height)
        left, top = max(left, 0), max(top, 0)
        right, bottom = min(right, self.width), min(bottom, self.height)
        return Rect(self.x + left, self.y + top, right - left, bottom - top)

    def span_of(self, rect: Rect) -> tuple[float, float, float, float]:
        """Exact left, top, width and height in device pixels of a rectangle of guest pixels."""
        across, down = self.width / self.guest_width, self.height / self.guest_height
        return self.x + rect.x * across, self.y + rect.y * down, rect.width * across, rect.height * down


@dataclass(frozen=True, slots=True)
class Scaling:
    """A mode and what belongs to it. ``factor`` counts with FREE only: device pixels per guest pixel.

    ``snap``: device pixels by which a guest may be smaller than the view and is then shown 1:1 with FIT; a guest that
    follows the window rounds its size, and must not be blurred for a few pixels.
    """

    mode: ScaleMode = ScaleMode.FIT
    factor: float = 1.0
    snap: int = 0

    def place(self, guest_width: int, guest_height: int, view: Rect, scroll: tuple[int, int] = (0, 0)) -> Viewport:
        match self.mode:
            case ScaleMode.ACTUAL:
                return Viewport.actual(guest_width, guest_height, view, *scroll)
            case ScaleMode.INTEGER:
                return Viewport.integer(guest_width, guest_height, view, *scroll)
            case ScaleMode.FREE:
                return Viewport.zoomed(guest_width, guest_height, view, self.factor, *scroll)
            case ScaleMode.FIT:
                spare = max(view.width - guest_width, view.height - guest_height)
                if spare < self.snap and view.width >= guest_width and view.height >= guest_height:
                    return Viewport.actual(guest_width, guest_height, view)
                return Viewport.fit(guest_width, guest_height, view)
