"""Values a guest display is made of: pixels, rectangles, cursor, pointer mode, states. No Qt, no sockets.

numpy is imported only when a framebuffer is made, so that a window without a console does not pay for it.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class SourceState(enum.Enum):
    """Life of a :class:`guivm.console.source.DisplaySource`; it never goes back."""

    CONNECTING = "connecting"
    CONNECTED = "connected"  # a first frame exists
    DISCONNECTED = "disconnected"  # final; ``DisplaySource.error`` says why


class PointerMode(enum.Enum):
    """What the guest's pointing device understands: positions (a tablet) or movements (a mouse)."""

    ABSOLUTE = "absolute"
    RELATIVE = "relative"


class PointerButton(enum.IntFlag):
    """Bits of the button mask, in RFB's order (RFC 6143 §7.5.5); the wheel is buttons 4 to 7."""

    NONE = 0
    LEFT = 1
    MIDDLE = 2
    RIGHT = 4
    WHEEL_UP = 8
    WHEEL_DOWN = 16
    WHEEL_LEFT = 32
    WHEEL_RIGHT = 64
    BACK = 128
    FORWARD = 256


class KeyboardLeds(enum.IntFlag):
    """Lock LEDs of the guest's keyboard, as in QEMU's LED state pseudo-encoding."""

    NONE = 0
    SCROLL_LOCK = 1
    NUM_LOCK = 2
    CAPS_LOCK = 4


@dataclass(frozen=True, slots=True)
class Rect:
    """Pixels of the framebuffer; always inside it, never empty."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class CursorShape:
    """``pixels``: uint8 (height, width, 4), BGRA with straight alpha, read-only; hot spot in pixels."""

    width: int
    height: int
    hot_x: int
    hot_y: int
    pixels: NDArray[np.uint8] = field(compare=False, repr=False)


class Framebuffer:
    """Guest pixels: ``pixels`` is uint8 (height, width, 4) in the order B, G, R, X (Qt's Format_RGB32).

    ``rows`` is the same memory as one flat, writable run of bytes. Written by the source's thread only; read by
    the GUI thread without a lock. A torn read shows for one tick at most, because the damage that names the
    pixels arrives after they are written. A resize makes a *new* Framebuffer, never changes this one.
    """

    __slots__ = ("height", "pixels", "rows", "width")

    def __init__(self, width: int, height: int) -> None:
        import numpy as np

        self.width = width
        self.height = height
        self.pixels: NDArray[np.uint8] = np.zeros((height, width, 4), dtype=np.uint8)
        self.rows = self.pixels.reshape(-1).data
