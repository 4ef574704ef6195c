"""Values a guest display is made of: pixels, rectangles, cursor, pointer mode, states. No Qt, no sockets.

numpy is imported only when a framebuffer is made, so that a window without a console does not pay for it.
"""

from __future__ import annotations

import contextlib
import enum
import mmap
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


class SourceFeature(enum.Flag):
    """What a source can do beyond pixels, keys and pointer; known once it is connected, and it may grow."""

    NONE = 0
    RESIZE = enum.auto()  # request_size is understood
    POWER = enum.auto()  # send_power is understood
    CLIPBOARD = enum.auto()  # Unicode text in both directions
    SOUND = enum.auto()


class SourceSecurity(enum.Enum):
    """Who could read along or pretend to be the display's server."""

    UNKNOWN = "unknown"  # not connected yet
    LOCAL = "local"  # nothing leaves this computer
    SSH = "ssh"  # within the host's SSH connection
    VERIFIED = "verified"  # TLS, and the server proved by certificate who it is
    ANONYMOUS = "anonymous"  # TLS without certificates: nobody can read along, but the server may be anybody
    PLAIN = "plain"  # over a network, and anybody on the way can read along


class PowerAction(enum.Enum):
    """Values of the XVP extension's client messages (rfbproto, "xvp")."""

    SHUTDOWN = 2
    REBOOT = 3
    RESET = 4


class ClipboardPolicy(enum.Enum):
    """Which way text may go between the clipboards of guest and desktop."""

    OFF = "off"
    TO_GUEST = "to-guest"
    FROM_GUEST = "from-guest"
    BOTH = "both"

    @property
    def to_guest(self) -> bool:
        return self in (ClipboardPolicy.TO_GUEST, ClipboardPolicy.BOTH)

    @property
    def from_guest(self) -> bool:
        return self in (ClipboardPolicy.FROM_GUEST, ClipboardPolicy.BOTH)


class Quality(enum.Enum):
    """What a person chooses for a display that comes over a network; a local one is always exact."""

    AUTO = "auto"  # by the measured throughput; lossy only where it has to be
    BEST = "best"  # every pixel exact
    BALANCED = "balanced"  # slightly lossy where that helps
    FAST = "fast"  # as few bytes as possible


@dataclass(frozen=True, slots=True)
class Rect:
    """Pixels of the framebuffer; always inside it, never empty."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Head:
    """One of the guest's screens: its place in the framebuffer, pixels. ``id``: the server's own number for it."""

    id: int
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

    ``rows`` is the same memory as one flat, writable run of bytes, ``stride`` of them from row to row. Written by the
    source's thread only; read by the GUI thread without a lock. A torn read shows for one tick at most, because the
    damage that names the pixels arrives after they are written. A resize makes a *new* Framebuffer, never changes this
    one.
    """

    __slots__ = ("height", "pixels", "rows", "stride", "width")

    def __init__(self, width: int, height: int) -> None:
        import numpy as np

        self.width = width
        self.height = height
        self.stride = width * 4
        size = height * self.stride
        self.pixels: NDArray[np.uint8] = np.frombuffer(_memory(size), np.uint8, size).reshape(height, width, 4)
        self.rows = self.pixels.reshape(-1).data

    @classmethod
    def part_of(cls, whole: Framebuffer, x: int, y: int, width: int, height: int) -> Framebuffer:
        """A window into another one, for showing: the same memory, whose rows lie ``stride`` bytes apart."""
        part = cls.__new__(cls)
        part.width, part.height, part.stride = width, height, whole.stride
        part.pixels = whole.pixels[y : y + height, x : x + width]
        start = y * whole.stride + x * 4
        part.rows = whole.rows[start : start + (height - 1) * whole.stride + width * 4]
        return part


_HUGE_PAGE = 2 << 20


def _memory(size: int) -> bytearray | mmap.mmap:
    """Zeroed bytes, at least ``size``. In huge pages where that pays: a tile touches a page in each of its rows."""
    if size < _HUGE_PAGE:
        return bytearray(size)
    try:
        memory = mmap.mmap(-1, -(-size // _HUGE_PAGE) * _HUGE_PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as error:
        raise MemoryError(str(error)) from error
    with contextlib.suppress(OSError):  # a kernel without them
        memory.madvise(mmap.MADV_HUGEPAGE)
    return memory
