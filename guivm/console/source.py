"""The one shape of a guest display: framebuffer + damage + cursor + pointer mode + LEDs + state.

VNC today; SPICE and D-Bus behind the same interface later. A source does its work on its own thread(s) and
speaks to the widget through queued signals; the framebuffer is shared memory guarded as its docstring says.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal


class SourceState(enum.Enum):
    CONNECTING = "connecting"
    CONNECTED = "connected"  # a first frame exists
    DISCONNECTED = "disconnected"  # final; ``DisplaySource.error`` says why


class PointerMode(enum.Enum):
    ABSOLUTE = "absolute"
    RELATIVE = "relative"


class PointerButton(enum.IntFlag):
    """Bits of the button mask, in RFB's order (RFC 6143 §7.5.5); the wheel is buttons 4 to 7."""

    LEFT = 1
    MIDDLE = 2
    RIGHT = 4
    WHEEL_UP = 8
    WHEEL_DOWN = 16
    WHEEL_LEFT = 32
    WHEEL_RIGHT = 64
    BACK = 128
    FORWARD = 256


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

    Written by the source's thread only; read by the GUI thread without a lock. A torn read shows for one tick
    at most, because the damage that names the pixels arrives after they are written. A resize makes a *new*
    Framebuffer, never changes this one.
    """

    __slots__ = ("height", "pixels", "width")

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self.pixels: NDArray[np.uint8] = np.zeros((height, width, 4), dtype=np.uint8)


class DisplaySource(QObject):
    """Base of all sources. Lives on the GUI thread; signals are emitted so that they arrive queued there.

    ``damaged`` is coalesced: after it is emitted no further one is until :meth:`take_damage` was called.
    """

    stateChanged = Signal(object)  # SourceState
    resized = Signal(object)  # Framebuffer: a new one; forget the old
    damaged = Signal()
    cursorChanged = Signal(object)  # CursorShape | None (None: hidden)
    pointerModeChanged = Signal(object)  # PointerMode
    nameChanged = Signal(str)
    bell = Signal()

    @property
    def state(self) -> SourceState:
        raise NotImplementedError

    @property
    def error(self) -> Exception | None:
        """Why it is DISCONNECTED (a ConsoleError), or None when it was closed on purpose."""
        raise NotImplementedError

    def open(self) -> None:
        """Start the thread and connect. Call once."""
        raise NotImplementedError

    def close(self) -> None:
        """Disconnect and end the thread; safe to call twice. Returns within a second."""
        raise NotImplementedError

    def take_damage(self) -> list[Rect]:
        """Return and forget the damage since the last call (a few rectangles, merged). GUI thread."""
        raise NotImplementedError

    def send_key(self, scancode: int, keysym: int, pressed: bool) -> None:
        """Press or release a key. ``scancode``: Linux evdev key code (``KEY_A`` = 30), 0 when not known.

        ``keysym``: X11 keysym, used only where the server knows no scancodes. GUI thread, never blocks.
        """
        raise NotImplementedError

    def send_pointer(self, x: int, y: int, buttons: PointerButton) -> None:
        """Absolute position in guest pixels, or the movement when the mode is RELATIVE. GUI thread."""
        raise NotImplementedError

    def set_visible(self, visible: bool) -> None:
        """While not visible a source may ask for nothing more than keeps it connected. GUI thread."""
        raise NotImplementedError
