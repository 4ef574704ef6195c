"""A native window that draws a part of one texture, over the framebuffer's memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import shiboken6
from PySide6.QtCore import QEvent, QPoint, QRect, QRectF, QSize, Qt
from PySide6.QtGui import (
    QColor,
    QExposeEvent,
    QOpenGLContext,
    QOpenGLFunctions,
    QPlatformSurfaceEvent,
    QSurface,
    QSurfaceFormat,
    QWindow,
)
from PySide6.QtOpenGL import QOpenGLTexture, QOpenGLTextureBlitter

from guivm.console.frame import Framebuffer, Rect
from guivm.console.picture.viewport import Viewport, round_half_up

# Khronos' gl.h.
_GL_NO_ERROR = 0
_GL_UNSIGNED_BYTE = 0x1401
_GL_RGBA = 0x1908
_GL_MAX_TEXTURE_SIZE = 0x0D33
_GL_UNPACK_ROW_LENGTH = 0x0CF2
_GL_COLOR_BUFFER_BIT = 0x4000

_MANY_RECTS = 64
_ABOUT_TO_BE_DESTROYED = QPlatformSurfaceEvent.SurfaceEventType.SurfaceAboutToBeDestroyed


class PlaneWindow(QWindow):
    """Draws one texture. Redraws when the window system asks for the next frame, however often it was damaged."""

    def __init__(self, parent: QWindow, surface: QSurfaceFormat) -> None:
        super().__init__(parent)
        self.setObjectName("console-gl-plane")
        self.setSurfaceType(QSurface.SurfaceType.OpenGLSurface)
        self.setFormat(surface)
        self.setFlags(Qt.WindowType.WindowTransparentForInput | Qt.WindowType.WindowDoesNotAcceptFocus)
        self.failed: Callable[[str], None] | None = None
        self._context = QOpenGLContext(self)
        self._functions: QOpenGLFunctions | None = None
        self._blitter = QOpenGLTextureBlitter()
        self._texture: QOpenGLTexture | None = None
        self._largest = 0
        self._is_started = False
        self._framebuffer: Framebuffer | None = None
        self._address = 0
        self._port: Viewport | None = None
        self._offset = QPoint()
        self._background = QColor()
        self._dirty: list[Rect] = []
        self._wished = False

    def start(self) -> bool:
        """Make the context; False when that fails."""
        self._context.setFormat(self.requestedFormat())
        self.create()
        if not (self._context.isValid() or self._context.create()) or not self._context.makeCurrent(self):
            return False
        self._functions = self._context.functions()
        largest = self._functions.glGetIntegerv(_GL_MAX_TEXTURE_SIZE)
        self._largest = largest if isinstance(largest, int) else int(largest[0])
        self._is_started = self._blitter.create()
        return self._is_started

    def close_context(self) -> None:
        """Free what the graphics processor keeps."""
        if self._is_started and self._context.isValid() and self._context.makeCurrent(self):
            self._drop_texture()
            self._blitter.destroy()
            self._context.doneCurrent()
        self._is_started = False

    def place(self, geometry: QRect) -> None:
        if geometry != self.geometry():
            self.setGeometry(geometry)

    def set_picture(self, fb: Framebuffer, port: Viewport, offset: QPoint, background: QColor) -> None:
        """``offset``: device pixels from the area's corner, in which ``port`` counts, to the window's."""
        if fb is not self._framebuffer:
            self._framebuffer = fb
            self._address = fb.pixels.ctypes.data
            self._dirty = [Rect(0, 0, fb.width, fb.height)]
            self._port = None
        if (port, offset, background) != (self._port, self._offset, self._background):
            self._port, self._offset, self._background = port, QPoint(offset), QColor(background)
            self._wish()

    def damage(self, rects: Sequence[Rect]) -> None:
        self._dirty.extend(rects)
        if len(self._dirty) > _MANY_RECTS:
            self._dirty = [_bounding(self._dirty)]
        self._wish()

    @property
    def is_up_to_date(self) -> bool:
        """Everything told has been drawn."""
        return not self._wished

    def _wish(self) -> None:
        self._wished = True
        if self.isExposed():
            self.requestUpdate()

    def exposeEvent(self, event: QExposeEvent) -> None:
        if self.isExposed():
            self._draw()

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.UpdateRequest and self.isExposed():
            self._draw()
            return True
        if isinstance(event, QPlatformSurfaceEvent) and event.surfaceEventType() is _ABOUT_TO_BE_DESTROYED:
            self.close_context()
        return super().event(event)

    def _draw(self) -> None:
        if self._framebuffer is None or self._port is None:
            return
        # The surface, and all with it, may have been made anew together with the window around it.
        started = self._is_started or self.start()
        if not started or self._functions is None or not self._context.makeCurrent(self):
            self._report("the context was lost")
            return
        if max(self._framebuffer.width, self._framebuffer.height) > self._largest:
            self._report(f"the guest's screen is larger than {self._largest} pixels")
            return
        self._upload(self._framebuffer, self._functions)
        self._blit(self._port, self._functions)
        error = self._functions.glGetError()
        if error != _GL_NO_ERROR:
            self._report(f"OpenGL error {error:#x}")
            return
        self._context.swapBuffers(self)
        self._wished = False

    def _upload(self, fb: Framebuffer, gl: QOpenGLFunctions) -> None:
        if self._texture is None or (self._texture.width(), self._texture.height()) != (fb.width, fb.height):
            self._drop_texture()
            self._texture = texture = QOpenGLTexture(QOpenGLTexture.Target.Target2D)
            texture.setFormat(QOpenGLTexture.TextureFormat.RGBA8_UNorm)
            texture.setSize(fb.width, fb.height)
            texture.setMipLevels(1)
            texture.allocateStorage()
            texture.setWrapMode(QOpenGLTexture.WrapMode.ClampToEdge)
            self._dirty = [Rect(0, 0, fb.width, fb.height)]
        dirty, self._dirty = self._dirty, []
        target = QOpenGLTexture.Target.Target2D.value
        self._texture.bind()
        gl.glPixelStorei(_GL_UNPACK_ROW_LENGTH, fb.width)
        for rect in dirty:
            if rect.x + rect.width > fb.width or rect.y + rect.height > fb.height:
                continue  # of a framebuffer before this one
            pixels = self._address + 4 * (rect.y * fb.width + rect.x)
            # fmt: off
            gl.glTexSubImage2D(target, 0, rect.x, rect.y, rect.width, rect.height, _GL_RGBA, _GL_UNSIGNED_BYTE,
                               shiboken6.VoidPtr(pixels))  # type: ignore[arg-type]
            # fmt: on
        gl.glPixelStorei(_GL_UNPACK_ROW_LENGTH, 0)
        self._texture.release()

    def _blit(self, port: Viewport, gl: QOpenGLFunctions) -> None:
        assert self._texture is not None
        dpr = self.devicePixelRatio()
        size = QSize(round_half_up(self.width() * dpr), round_half_up(self.height() * dpr))
        crisp = port.is_whole_multiple
        filtering = QOpenGLTexture.Filter.Nearest if crisp else QOpenGLTexture.Filter.Linear
        self._texture.setMinMagFilters(filtering, filtering)
        gl.glViewport(0, 0, size.width(), size.height())
        colour = self._background
        gl.glColorMask(1, 1, 1, 1)
        gl.glClearColor(colour.redF(), colour.greenF(), colour.blueF(), 1)
        gl.glClear(_GL_COLOR_BUFFER_BIT)
        gl.glColorMask(1, 1, 1, 0)  # the guest's fourth byte means nothing, and the window is opaque
        picture = QRectF(port.x - self._offset.x(), port.y - self._offset.y(), port.width, port.height)
        place = QOpenGLTextureBlitter.targetTransform(picture, QRect(QPoint(0, 0), size))
        self._blitter.bind()
        self._blitter.setRedBlueSwizzle(True)  # Framebuffer is B, G, R, X
        self._blitter.blit(self._texture.textureId(), place, QOpenGLTextureBlitter.Origin.OriginTopLeft)
        self._blitter.release()

    def _drop_texture(self) -> None:
        if self._texture is not None:
            self._texture.destroy()
            self._texture = None

    def _report(self, why: str) -> None:
        if self.failed is not None:
            self.failed(why)


def _bounding(rects: Sequence[Rect]) -> Rect:
    left, top = min(rect.x for rect in rects), min(rect.y for rect in rects)
    right = max(rect.x + rect.width for rect in rects)
    bottom = max(rect.y + rect.height for rect in rects)
    return Rect(left, top, right - left, bottom - top)
