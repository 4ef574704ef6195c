"""A guest's picture in a widget: placed, scaled, scrolled, zoomed and painted. It knows no source and no input.

Coordinates are device pixels throughout (see :mod:`guivm.console.picture.viewport`), so that a guest pixel is exact at
every desktop scale. Painting is raster; where the picture is scaled and the computer has real OpenGL, a
:class:`~guivm.console.picture.gl_plane.GlPlane` shows it instead.
"""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QPoint, QPointF, QRect, QRectF, QSize, Qt, Signal, Slot
from PySide6.QtGui import (
    QColor,
    QImage,
    QMoveEvent,
    QNativeGestureEvent,
    QPainter,
    QPaintEvent,
    QPalette,
    QRegion,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QSizePolicy, QWidget

from guivm.console.frame import Framebuffer, Rect
from guivm.console.input.pointer import WheelTurns
from guivm.console.picture.bell import BellCue
from guivm.console.picture.gl_plane import GlPlane, GlPolicy
from guivm.console.picture.screen import DeviceArea, Screen, paint_around
from guivm.console.picture.scrolling import ScrollBars
from guivm.console.picture.viewport import ScaleMode, Scaling, Viewport, clamp_zoom, step_zoom

_FRAME = 2  # logical pixels around the picture, where the capture frame is; none in full screen
_DEFAULT_SIZE = QSize(720, 400)  # a PC's text mode
_SNAP = 16  # device pixels; QEMU's server rounds a width to 16, guests round it to 8


class PictureView(QWidget):
    """GUI thread. ``gl``: when OpenGL may be used; None: as the environment says, else by itself."""

    scaleChanged = Signal(object, float)  # ScaleMode, device pixels per guest pixel
    framebufferResized = Signal(QSize)  # guest pixels

    def __init__(self, parent: QWidget | None = None, *, gl: GlPolicy | None = None) -> None:
        super().__init__(parent)
        # Every pixel is painted here: Qt then paints neither a background nor the parents underneath.
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setAttribute(Qt.WidgetAttribute.WA_NoSystemBackground)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self._screen: Screen | None = None
        self._scaling = Scaling()
        self._told: tuple[ScaleMode, float] | None = None
        self._overlaid = False
        self._zoom_wheel = WheelTurns()
        self._bars = ScrollBars(self)
        self._bars.scrolled.connect(self._on_scrolled)
        self._bell = BellCue(self)
        self._bell.changed.connect(self._on_bell)
        self._plane = GlPlane(self, GlPolicy.from_environment() if gl is None else gl)

    # --- picture --------------------------------------------------------------------------------------

    def current_image(self) -> QImage:
        """A copy of the guest's picture as it is now; a null image when there is none."""
        return self._screen.image.copy() if self._screen is not None else QImage()

    def _set_framebuffer(self, framebuffer: Framebuffer | None) -> None:
        self._screen = Screen(framebuffer) if framebuffer is not None else None
        self._lay_out()
        self.update()
        if framebuffer is not None:
            self.updateGeometry()
            self.framebufferResized.emit(QSize(framebuffer.width, framebuffer.height))

    def _show_damage(self, damage: Sequence[Rect]) -> None:
        """Guest pixels that changed. However many there are, Qt is asked once."""
        if not damage or not self._shows_picture():
            return
        area = self._area()
        port = self._port(area)
        if port is None:
            return
        dirty = [area.to_logical(port.damage_to_device(rect)) for rect in damage]
        if self._plane.rect is not None and not self._plane.is_at(area):
            self.update_plane()  # something moved the widget without its knowing
        plane = self._plane.rect
        if plane is not None:
            self._plane.damage(damage)
            dirty = [rect for rect in dirty if not plane.contains(rect)]
        if len(dirty) == 1:
            self.update(dirty[0])
        elif dirty:
            region = QRegion()
            for rect in dirty:
                region += rect
            self.update(region)

    # What those built on this one may know better.

    def _shows_picture(self) -> bool:
        return self._screen is not None

    def _is_dimmed(self) -> bool:
        return False

    def _is_framed(self) -> bool:
        return False

    def _follows_window(self) -> bool:
        """The guest is asked to be as large as this widget."""
        return False

    def set_overlaid(self, overlaid: bool) -> None:
        """Something of the window lies over the picture (a bar), which OpenGL would cover. Children are seen to."""
        if overlaid != self._overlaid:
            self._overlaid = overlaid
            self.update_plane()

    def ring_bell(self) -> None:
        """Show that the guest rang: a frame glows for a moment. Storms are one glow after another."""
        if self.isVisible():
            self._bell.ring()

    # --- scale ----------------------------------------------------------------------------------------

    def scale_mode(self) -> ScaleMode:
        """The one chosen. While the guest follows the window the picture fits it, whatever was chosen."""
        return self._scaling.mode

    def set_scale_mode(self, mode: ScaleMode) -> None:
        """FREE goes on from the scale there is."""
        if mode is self._scaling.mode:
            return
        factor = clamp_zoom(self.zoom()) if mode is ScaleMode.FREE else self._scaling.factor
        self._set_scaling(Scaling(mode, factor))

    def zoom(self) -> float:
        """Device pixels per guest pixel, whatever the mode; without a picture what is chosen, or 1."""
        port = self._port()
        if port is not None:
            return port.scale
        return self._scaling.factor if self._scaling.mode is ScaleMode.FREE else 1.0

    def set_zoom(self, factor: float) -> None:
        """FREE, at that many device pixels per guest pixel (0.1 to 8), about the middle of what is seen."""
        middle = QPointF(self.width() / 2, self.height() / 2)
        self.zoom_about(factor, middle)

    def zoom_about(self, factor: float, position: QPointF) -> None:
        """As :meth:`set_zoom`, but what is at ``position`` in the widget stays there as far as the edges allow."""
        area = self._area()
        before = self._port(area)
        self._set_scaling(Scaling(ScaleMode.FREE, clamp_zoom(factor)))
        after = self._port(area)
        if before is None or after is None or self._follows_window():
            return
        x, y = area.to_device(position.x(), position.y())
        view = self._bars.view(area, self._frame_pixels())
        left = x - (x - before.x) * after.width / before.width
        top = y - (y - before.y) * after.height / before.height
        self._bars.move_to(round(view.x - left), round(view.y - top))

    def can_zoom(self) -> bool:
        """A picture is there, and its size is not the guest's own business."""
        return self._shows_picture() and not self._follows_window()

    def zoom_by_wheel(self, event: QWheelEvent) -> None:
        """One stop for each notch, about the pointer."""
        steps = self._zoom_wheel.turn(event.angleDelta().y())
        if steps and self.can_zoom():
            self.zoom_about(step_zoom(self.zoom(), steps), event.position())

    def zoom_by_gesture(self, event: QNativeGestureEvent) -> bool:
        """Two fingers on a touchpad. False when the event is none of that, or nothing can be zoomed."""
        if event.gestureType() is not Qt.NativeGestureType.ZoomNativeGesture or not self.can_zoom():
            return False
        self.zoom_about(self.zoom() * (1 + event.value()), event.position())
        event.accept()
        return True

    def _set_scaling(self, scaling: Scaling) -> None:
        if scaling != self._scaling:
            self._scaling = scaling
            self._lay_out()
            self.update()

    def _effective_scaling(self) -> Scaling:
        return Scaling(ScaleMode.FIT, snap=_SNAP) if self._follows_window() else self._scaling

    # --- geometry -------------------------------------------------------------------------------------

    def sizeHint(self) -> QSize:
        """The guest's screen at one guest pixel per device pixel, with the capture frame."""
        if self._screen is None:
            return _DEFAULT_SIZE
        dpr = self.devicePixelRatioF()
        fb = self._screen.framebuffer
        frame = 2 * self._frame_pixels()
        return QSize(-int(-(fb.width + frame) // dpr), -int(-(fb.height + frame) // dpr))

    def minimumSizeHint(self) -> QSize:
        return QSize(160, 120)

    def guest_to_widget(self, x: int, y: int) -> QPointF | None:
        """Middle of the device pixel that shows a guest pixel, in the widget; None without a picture."""
        area = self._area()
        port = self._port(area)
        if port is None:
            return None
        device_x, device_y = port.from_guest(x, y)
        return QPointF(*area.to_position(device_x + 0.5, device_y + 0.5))

    def guest_rect_to_widget(self, rect: QRect) -> QRectF:
        """Where guest pixels are shown in the widget; a null rectangle without a picture."""
        area = self._area()
        port = self._port(area)
        if port is None:
            return QRectF()
        left, top, width, height = port.span_of(Rect(rect.x(), rect.y(), rect.width(), rect.height()))
        return QRectF(QPointF(*area.to_position(left, top)), QPointF(*area.to_position(left + width, top + height)))

    def widget_to_guest(self, position: QPointF) -> QPoint | None:
        """The guest pixel shown at a position in the widget; None beside the picture."""
        return QPoint(*self.nearest_guest_pixel(position)) if self.is_over_picture(position) else None

    def nearest_guest_pixel(self, position: QPointF) -> tuple[int, int]:
        """The guest pixel at a position in the widget, or the nearest to it; (0, 0) without a picture."""
        area = self._area()
        port = self._port(area)
        return port.to_guest(*area.to_device(position.x(), position.y())) if port is not None else (0, 0)

    def is_over_picture(self, position: QPointF) -> bool:
        """Whether the guest is seen at that position in the widget."""
        area = self._area()
        port = self._port(area)
        if port is None:
            return False
        x, y = area.to_device(position.x(), position.y())
        view = self._bars.view(area, self._frame_pixels())
        in_view = view.x <= x + 1e-3 < view.x + view.width and view.y <= y + 1e-3 < view.y + view.height
        return in_view and port.contains(x, y)

    def picture_size(self) -> QSize:
        """The guest's screen in guest pixels; empty without a picture."""
        return self._screen.image.size() if self._screen is not None else QSize()

    def _frame_pixels(self) -> int:
        """Device pixels on each side."""
        return 0 if self.window().isFullScreen() else max(1, round(_FRAME * self.devicePixelRatioF()))

    def _area(self) -> DeviceArea:
        """Asked for anew each time: widgets are not told when their parents move within the window."""
        dpr = self.devicePixelRatioF()
        origin = self.mapTo(self.window(), QPoint(0, 0))
        return DeviceArea.of(origin.x() * dpr, origin.y() * dpr, self.width(), self.height(), dpr)

    def _port(self, area: DeviceArea | None = None) -> Viewport | None:
        if self._screen is None:
            return None
        fb = self._screen.framebuffer
        view = self._bars.view(area or self._area(), self._frame_pixels())
        return self._effective_scaling().place(fb.width, fb.height, view, self._bars.position)

    def _room(self, area: DeviceArea) -> Rect:
        """Where a picture could be if there were no scroll bars."""
        frame = self._frame_pixels()
        width, height = area.horizontal.length - 2 * frame, area.vertical.length - 2 * frame
        return Rect(frame, frame, max(1, width), max(1, height))

    def _lay_out(self) -> None:
        """Place everything anew: scroll bars, and what those built on this one have."""
        area = self._area()
        scaling = self._effective_scaling()
        picture = None
        if self._screen is not None and scaling.mode.scrolls:
            fb = self._screen.framebuffer
            port = scaling.place(fb.width, fb.height, self._room(area))
            picture = (port.width, port.height)
        self._bars.place(picture, area, self._frame_pixels())
        self.update_plane()
        told = (self._scaling.mode, self.zoom())
        if told != self._told:
            self._told = told
            self.scaleChanged.emit(*told)

    @Slot()
    def _on_scrolled(self) -> None:
        self.update()
        self.update_plane()

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._lay_out()

    def moveEvent(self, event: QMoveEvent) -> None:
        self.update_plane()

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.DevicePixelRatioChange:
            self._lay_out()
            self.updateGeometry()
            self.update()
        return super().event(event)

    # --- painting -------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        try:
            # Asked of the painter: it may paint into a pixmap, at a place other than the window's.
            base = painter.deviceTransform()
            area = DeviceArea.of(base.dx(), base.dy(), self.width(), self.height(), base.m11())
            area.enter(painter)
            port = self._port(area)
            hole = QRect()
            if port is not None and self._screen is not None and self._shows_picture():
                view = self._bars.view(area, self._frame_pixels())
                hole = QRect(port.x, port.y, port.width, port.height)
                hole &= QRect(view.x, view.y, view.width, view.height)
                region = event.region()
                self._screen.paint(painter, area, port, region, dimmed=self._is_dimmed())
            paint_around(painter, area, hole, self._background())
            frame = self._frame_pixels()
            if frame and self._is_framed():
                self._paint_frame(painter, area, frame, self.palette().color(QPalette.ColorRole.Highlight))
            if self._bell.strength:
                colour = self.palette().color(QPalette.ColorRole.Highlight)
                colour.setAlphaF(self._bell.strength)
                self._paint_frame(painter, area, round(self._bell.thickness * area.dpr), colour)
        finally:
            painter.end()

    def _background(self) -> QColor:
        if self.window().isFullScreen():
            return QColor(Qt.GlobalColor.black)
        return self.palette().color(QPalette.ColorRole.Window)

    def _paint_frame(self, painter: QPainter, area: DeviceArea, thickness: int, colour: QColor) -> None:
        inner = area.rect
        hole = QRect(thickness, thickness, inner.width - 2 * thickness, inner.height - 2 * thickness)
        paint_around(painter, area, hole, colour)

    @Slot()
    def _on_bell(self) -> None:
        thickness = self._bell.thickness + 1
        ring = QRegion(self.rect()) - QRegion(self.rect().adjusted(thickness, thickness, -thickness, -thickness))
        self.update(ring)
        self.update_plane()

    # --- OpenGL ---------------------------------------------------------------------------------------

    @Slot()
    def update_plane(self) -> None:
        """Show the picture through OpenGL where that is faster, and only while nothing lies over it.

        To be called by children that appear or disappear.
        """
        port = self._wants_plane()
        if port is None or self._screen is None:
            self._plane.put_away()
            return
        area = self._area()
        view = self._bars.view(area, self._frame_pixels())
        self._plane.show(self._screen.framebuffer, area, port, view, self._background())

    def _wants_plane(self) -> Viewport | None:
        if self._plane.is_out_of_use or not self.isVisible() or not self._shows_picture():
            return None
        if self._is_dimmed() or self._overlaid or self._bell.strength or self._has_overlay():
            return None
        port = self._port()
        return None if port is None or port.is_one_to_one else port

    def _has_overlay(self) -> bool:
        bars = (self._bars.horizontal, self._bars.vertical)
        children = self.findChildren(QWidget, options=Qt.FindChildOption.FindDirectChildrenOnly)
        return any(child not in bars and not child.isHidden() and not child.isWindow() for child in children)
