"""The scaled picture through OpenGL: a texture that takes only what was damaged, drawn by a window of its own.

The window is a native child of the top-level one, exactly as large as the seen part of the picture, and transparent
for input: keyboard, mouse and cursor stay with the widget under it. So neither QOpenGLWidget's price (Qt then
composes the whole window through OpenGL and makes it anew at the first one) nor a container's (which takes the focus)
is paid. The raster picture under it goes on existing: where nothing may lie over the plane it is simply put away.
"""

from __future__ import annotations

import enum
import functools
import logging
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import shiboken6
from PySide6.QtCore import QPoint, QRect
from PySide6.QtGui import QColor, QGuiApplication, QOffscreenSurface, QOpenGLContext, QSurfaceFormat, QWindow
from PySide6.QtWidgets import QWidget

from guivm.console.frame import Framebuffer, Rect
from guivm.console.picture.screen import DeviceArea
from guivm.console.picture.viewport import Viewport, round_half_up

if TYPE_CHECKING:
    from guivm.console.picture.gl_window import PlaneWindow

log = logging.getLogger(__name__)

_GL_RENDERER = 0x1F01  # Khronos' gl.h

# Renderers that are programs: slower than painting by raster, and with a hundred megabytes of compiler.
_SOFTWARE = ("llvmpipe", "softpipe", "swrast", "software", "swiftshader", "swr ", "basic render")
_GPU_NODES = ("dri/renderD*", "nvidia[0-9]*", "dxg")  # in /dev
_PLATFORMS = ("xcb", "wayland")
_VARIABLE = "GUIVM_OPENGL"


class GlPolicy(enum.Enum):
    """When a scaled picture is shown through OpenGL; the value of the environment variable GUIVM_OPENGL."""

    AUTO = "auto"  # when a graphics processor is there
    OFF = "off"
    FORCE = "force"  # by whatever OpenGL there is, for tests

    @classmethod
    def from_environment(cls) -> GlPolicy:
        try:
            return cls(os.environ.get(_VARIABLE, cls.AUTO.value))
        except ValueError:
            return cls.AUTO


def surface_format() -> QSurfaceFormat:
    """Never waits for the screen: a swap that blocks would hold up the whole window."""
    value = QSurfaceFormat()
    value.setSwapInterval(0)
    value.setAlphaBufferSize(0)
    value.setDepthBufferSize(0)
    value.setStencilBufferSize(0)
    return value


@functools.cache
def renderer() -> str:
    """Name of what draws OpenGL here, "" when nothing does that can be used. GUI thread; slow the first time."""
    context = QOpenGLContext()
    context.setFormat(surface_format())
    surface = QOffscreenSurface()
    surface.setFormat(surface_format())
    surface.create()
    name = ""
    if surface.isValid() and context.create() and context.makeCurrent(surface):
        # Rows of a part of the texture need GL_UNPACK_ROW_LENGTH, which OpenGL ES has from 3.0 on.
        if not context.isOpenGLES() or context.format().majorVersion() >= 3:
            name = str(context.functions().glGetString(_GL_RENDERER))
        context.doneCurrent()
    surface.destroy()
    return name


def is_software(name: str) -> bool:
    """Whether a renderer's name is that of a program rather than of a graphics processor."""
    return any(word in name.lower() for word in _SOFTWARE)


def has_gpu() -> bool:
    """Whether it is worth asking OpenGL at all. Never loads a driver."""
    return any(os.access(node, os.R_OK | os.W_OK) for pattern in _GPU_NODES for node in Path("/dev").glob(pattern))


def can_use(policy: GlPolicy) -> bool:
    """Whether a plane may be made. GUI thread."""
    if policy is GlPolicy.OFF or not QGuiApplication.platformName().startswith(_PLATFORMS):
        return False
    if policy is GlPolicy.FORCE:
        return bool(renderer())
    if not has_gpu():
        return False
    name = renderer()
    if not name or is_software(name):
        log.info("Scaled consoles are painted without OpenGL (renderer: %s).", name or "none")
        return False
    return True


class GlPlane:
    """The plane of one widget, made when it is first shown. GUI thread.

    ``view``: the widget; it goes on painting all of itself, and is told to when the plane goes away.
    """

    def __init__(self, view: QWidget, policy: GlPolicy) -> None:
        self._view = view
        self._policy = policy
        self._window: PlaneWindow | None = None
        self._out_of_use = policy is GlPolicy.OFF
        self._rect: QRect | None = None
        self._area: DeviceArea | None = None

    @property
    def is_out_of_use(self) -> bool:
        """There is no OpenGL, or it failed: do not try again."""
        return self._out_of_use

    @property
    def rect(self) -> QRect | None:
        """What it covers of the widget (logical), None while it is not shown."""
        return self._rect

    def is_at(self, area: DeviceArea) -> bool:
        """Whether it was shown for the widget as it lies in its window now."""
        return area == self._area

    def show(self, fb: Framebuffer, area: DeviceArea, port: Viewport, view: Rect, background: QColor) -> None:
        """Show that part of the picture which is in ``view`` (device pixels of the area)."""
        seen = QRect(port.x, port.y, port.width, port.height) & QRect(view.x, view.y, view.width, view.height)
        rect = _inside(area, seen)
        if rect.isEmpty() or not self._is_ready():
            self.put_away()
            return
        window = self._window
        assert window is not None
        corner = self._view.mapTo(self._view.window(), QPoint(0, 0)) + rect.topLeft()
        # Where Qt puts the window's first device pixel, counted from the area's.
        left = round_half_up(corner.x() * area.dpr) - area.horizontal.start
        top = round_half_up(corner.y() * area.dpr) - area.vertical.start
        window.place(QRect(corner, rect.size()))
        window.set_picture(fb, port, QPoint(left, top), background)
        self._rect, self._area = rect, area
        window.show()

    def damage(self, rects: Sequence[Rect]) -> None:
        """Guest pixels that changed."""
        if self._window is not None and shiboken6.isValid(self._window):
            self._window.damage(rects)

    def put_away(self) -> None:
        """Let the widget's own painting be seen."""
        rect, self._rect = self._rect, None
        if rect is None:
            return
        if self._view.isVisible():
            self._view.repaint(rect)  # before the plane goes: nothing old is seen for a moment
        if self._window is not None and shiboken6.isValid(self._window):
            self._window.hide()

    def destroy(self) -> None:
        """Give back everything, while the widget still exists."""
        self._rect = None
        window, self._window = self._window, None
        if window is not None and shiboken6.isValid(window):
            window.setParent(None)
            window.destroy()
            window.deleteLater()

    def _is_ready(self) -> bool:
        handle = _native_window(self._view)
        if handle is None:
            return False
        if self._window is not None and not _is_child(self._window, handle):
            # The widget moved to another window, or its window was made anew.
            self.destroy()
        return self._window is not None or self._make(handle)

    def _make(self, parent: QWindow) -> bool:
        if not can_use(self._policy):
            self._out_of_use = True
            return False
        from guivm.console.picture.gl_window import PlaneWindow

        self._window = window = PlaneWindow(parent, surface_format())
        self._view.destroyed.connect(window.deleteLater)
        if not window.start():
            self._fail("no OpenGL context could be made")
            return False
        window.failed = self._fail
        return True

    def _fail(self, why: str) -> None:
        log.warning("OpenGL is not used for this console any more: %s.", why)
        self._out_of_use = True
        self.put_away()
        self.destroy()


def _native_window(view: QWidget) -> QWindow | None:
    """None before the window was first shown."""
    return view.window().windowHandle()


def _is_child(window: QWindow, parent: QWindow) -> bool:
    return shiboken6.isValid(window) and window.parent() is parent


def _inside(area: DeviceArea, seen: QRect) -> QRect:
    """The largest logical rectangle within these device pixels."""
    if seen.isEmpty():
        return QRect()
    left, top = area.to_position(seen.x(), seen.y())
    right, bottom = area.to_position(seen.x() + seen.width(), seen.y() + seen.height())
    x, y = math.ceil(left - 1e-6), math.ceil(top - 1e-6)
    return QRect(x, y, math.floor(right + 1e-6) - x, math.floor(bottom + 1e-6) - y)
