"""Looks at an X screen from outside the programs on it, and types there: a small X client of its own.

Everything is asked of the root window, so that only what is really visible counts: XGetImage answers what the screen
shows after all drawing requests that the server has handled before it. Xlib is called through ctypes; nothing else is
needed. One object must be used by one thread.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, c_char_p, c_int, c_uint, c_ulong, c_void_p

import numpy as np
from numpy.typing import NDArray

from tests.bench.report import BenchError

_Z_PIXMAP = 2
_ALL_PLANES = ~0 & 0xFFFFFFFFFFFFFFFF


class _Image(Structure):
    """The head of Xlib's XImage."""

    _fields_ = (
        ("width", c_int),
        ("height", c_int),
        ("xoffset", c_int),
        ("format", c_int),
        ("data", c_void_p),
        ("byte_order", c_int),
        ("bitmap_unit", c_int),
        ("bitmap_bit_order", c_int),
        ("bitmap_pad", c_int),
        ("depth", c_int),
        ("bytes_per_line", c_int),
        ("bits_per_pixel", c_int),
    )


def _library() -> tuple[ctypes.CDLL, ctypes.CDLL]:
    try:
        x11, xtst = ctypes.CDLL("libX11.so.6"), ctypes.CDLL("libXtst.so.6")
    except OSError as error:
        raise BenchError(f"Xlib is missing: {error}. Install libx11-6 and libxtst6.") from error
    x11.XOpenDisplay.restype, x11.XOpenDisplay.argtypes = c_void_p, (c_char_p,)
    x11.XDefaultRootWindow.restype, x11.XDefaultRootWindow.argtypes = c_ulong, (c_void_p,)
    x11.XGetImage.restype = POINTER(_Image)
    x11.XGetImage.argtypes = (c_void_p, c_ulong, c_int, c_int, c_uint, c_uint, c_ulong, c_int)
    x11.XKeysymToKeycode.restype, x11.XKeysymToKeycode.argtypes = ctypes.c_ubyte, (c_void_p, c_ulong)
    for function in (x11.XCloseDisplay, x11.XFlush):
        function.argtypes = (c_void_p,)
    x11.XSync.argtypes = (c_void_p, c_int)
    xtst.XTestFakeKeyEvent.argtypes = (c_void_p, c_uint, c_int, c_ulong)
    xtst.XTestFakeButtonEvent.argtypes = (c_void_p, c_uint, c_int, c_ulong)
    xtst.XTestFakeMotionEvent.argtypes = (c_void_p, c_int, c_int, c_int, c_ulong)
    return x11, xtst


class Eye:
    """``display``: ":5". ``width``, ``height``: of its screen, which must be 24 bits deep (32 per pixel)."""

    def __init__(self, display: str, width: int, height: int) -> None:
        self._x11, self._xtst = _library()
        self._display = self._x11.XOpenDisplay(display.encode())
        if not self._display:
            raise BenchError(f"The screen {display} does not answer.")
        self._root = self._x11.XDefaultRootWindow(self._display)
        self._size = (width, height)
        # XDestroyImage is a macro; the function it calls is found behind the struct's fields. XFree of both parts
        # does the same for an image without shared memory.
        self._x11.XFree.argtypes = (c_void_p,)

    def close(self) -> None:
        if self._display:
            self._x11.XCloseDisplay(self._display)
            self._display = None

    def pixel(self, x: int, y: int) -> int:
        """The colour there now, 0xRRGGBB."""
        return int(self.grab(x, y, 1, 1)[0, 0])

    def screen(self) -> NDArray[np.uint32]:
        """All of it: (height, width) of 0xRRGGBB."""
        return self.grab(0, 0, *self._size)

    def grab(self, x: int, y: int, width: int, height: int) -> NDArray[np.uint32]:
        got = self._x11.XGetImage(self._display, self._root, x, y, width, height, _ALL_PLANES, _Z_PIXMAP)
        if not got:
            raise BenchError("The screen could not be read.")
        image = got.contents
        if image.bits_per_pixel != 32:
            raise BenchError(f"The screen has {image.bits_per_pixel} bits per pixel and not 32.")
        data = ctypes.string_at(image.data, image.bytes_per_line * height)
        self._x11.XFree(image.data)
        self._x11.XFree(ctypes.cast(got, c_void_p))
        pixels = np.frombuffer(data, "<u4").reshape(height, -1)[:, :width]
        colours: NDArray[np.uint32] = (pixels & 0xFFFFFF).astype(np.uint32)
        return colours

    def find(self, colour: int, width: int, height: int) -> tuple[int, int] | None:
        """Where a rectangle of exactly that size and colour is, if nothing else on the screen has the colour."""
        return _box(self.screen() == colour, width, height)

    # --- input ----------------------------------------------------------------------------------------

    def move_pointer(self, x: int, y: int) -> None:
        self._xtst.XTestFakeMotionEvent(self._display, -1, x, y, 0)
        self._x11.XSync(self._display, 0)

    def click(self) -> None:
        self._xtst.XTestFakeButtonEvent(self._display, 1, 1, 0)
        self._xtst.XTestFakeButtonEvent(self._display, 1, 0, 0)
        self._x11.XSync(self._display, 0)

    def keycode(self, keysym: int) -> int:
        return int(self._x11.XKeysymToKeycode(self._display, keysym))

    def key(self, keycode: int, pressed: bool) -> None:
        """On its way to the server when this returns."""
        self._xtst.XTestFakeKeyEvent(self._display, keycode, pressed, 0)
        self._x11.XFlush(self._display)


def changed_box(before: NDArray[np.uint32], after: NDArray[np.uint32]) -> tuple[int, int, int, int] | None:
    """x, y, width and height of what differs; None where nothing does."""
    ys, xs = np.nonzero(before != after)
    if not len(ys):
        return None
    x, y = int(xs.min()), int(ys.min())
    return x, y, int(xs.max()) - x + 1, int(ys.max()) - y + 1


def _box(mask: NDArray[np.bool_], width: int, height: int) -> tuple[int, int] | None:
    ys, xs = np.nonzero(mask)
    if len(ys) != width * height:
        return None
    x, y = int(xs.min()), int(ys.min())
    whole = int(xs.max()) - x + 1 == width and int(ys.max()) - y + 1 == height
    return (x, y) if whole else None
