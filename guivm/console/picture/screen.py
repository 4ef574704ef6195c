"""Painting of the guest's pixels into a widget: only what changed, exact to the device pixel."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

from PySide6.QtCore import QRect, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QRegion, QTransform

from guivm.console.frame import Framebuffer, Rect
from guivm.console.picture.viewport import DeviceSpan, Viewport

_DIM = QColor(0, 0, 0, 150)
_MANY_RECTS = 32  # one row of rectangles after another costs more than copying what lies between


@dataclass(frozen=True, slots=True)
class DeviceArea:
    """The whole device pixels of a widget, and how its logical coordinates relate to them.

    ``origin_x``, ``origin_y``: device position of the widget's logical (0, 0) in its window, maybe fractional.
    """

    horizontal: DeviceSpan
    vertical: DeviceSpan
    origin_x: float
    origin_y: float
    dpr: float

    @classmethod
    def of(cls, origin_x: float, origin_y: float, width: int, height: int, dpr: float) -> DeviceArea:
        """``width``, ``height``: logical size of the widget."""
        return cls(DeviceSpan.of(origin_x, width * dpr), DeviceSpan.of(origin_y, height * dpr), origin_x, origin_y, dpr)

    @property
    def rect(self) -> Rect:
        return Rect(0, 0, self.horizontal.length, self.vertical.length)

    def to_device(self, x: float, y: float) -> tuple[float, float]:
        """Position in the widget (logical) → device pixels of the area."""
        return x * self.dpr + self.origin_x - self.horizontal.start, y * self.dpr + self.origin_y - self.vertical.start

    def to_position(self, x: float, y: float) -> tuple[float, float]:
        """Device pixels of the area → position in the widget (logical): the other way of :meth:`to_device`."""
        return (
            (x + self.horizontal.start - self.origin_x) / self.dpr,
            (y + self.vertical.start - self.origin_y) / self.dpr,
        )

    def to_logical(self, rect: Rect) -> QRect:
        """The smallest logical rectangle that covers these device pixels."""
        left = (rect.x + self.horizontal.start - self.origin_x) / self.dpr
        top = (rect.y + self.vertical.start - self.origin_y) / self.dpr
        x, y = math.floor(left + 1e-6), math.floor(top + 1e-6)
        right, bottom = math.ceil(left + rect.width / self.dpr - 1e-6), math.ceil(top + rect.height / self.dpr - 1e-6)
        return QRect(x, y, right - x, bottom - y)

    def covering(self, rect: QRect) -> QRect:
        """The device pixels that a logical rectangle touches, one more on each side where it may end inside one."""
        left, top = self.to_device(rect.x(), rect.y())
        right, bottom = self.to_device(rect.x() + rect.width(), rect.y() + rect.height())
        grow = 0 if self.dpr == int(self.dpr) else 1
        x, y = math.floor(left) - grow, math.floor(top) - grow
        return QRect(x, y, math.ceil(right) + grow - x, math.ceil(bottom) + grow - y)

    def enter(self, painter: QPainter) -> None:
        """Make the painter's coordinates the area's device pixels."""
        painter.setWorldTransform(
            QTransform(
                1 / self.dpr,
                0,
                0,
                1 / self.dpr,
                (self.horizontal.start - self.origin_x) / self.dpr,
                (self.vertical.start - self.origin_y) / self.dpr,
            )
        )


class Screen:
    """The guest's framebuffer as a QImage over the same memory: no copy is ever made for painting."""

    def __init__(self, framebuffer: Framebuffer) -> None:
        self.framebuffer = framebuffer  # keeps the memory alive as long as the image
        self.image = QImage(
            framebuffer.rows,
            framebuffer.width,
            framebuffer.height,
            framebuffer.stride,
            QImage.Format.Format_RGB32,
        )

    def paint(self, painter: QPainter, area: DeviceArea, port: Viewport, region: QRegion, *, dimmed: bool) -> None:
        """Paint the part of the picture that lies in ``region`` (logical). The painter is in device pixels."""
        picture = QRect(port.x, port.y, port.width, port.height)
        rects = rects_of(region) if region.rectCount() <= _MANY_RECTS else [region.boundingRect()]
        if port.is_one_to_one:
            for rect in rects:
                part = area.covering(rect) & picture
                if not part.isEmpty():
                    painter.drawImage(part, self.image, part.translated(-port.x, -port.y))
        else:
            painter.save()
            # The clip keeps the work to the damage; the transform is that of the whole picture, so that a part
            # painted anew meets what is there without a seam.
            clip = QRegion()
            for rect in rects:
                clip += area.covering(rect) & picture
            painter.setClipRegion(clip)
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, not port.is_whole_multiple)
            painter.translate(port.x, port.y)
            painter.scale(port.width / port.guest_width, port.height / port.guest_height)
            painter.drawImage(0, 0, self.image)
            painter.restore()
        if dimmed:
            painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_SourceOver)
            painter.fillRect(picture, _DIM)


def rects_of(region: QRegion) -> list[QRect]:
    """PySide iterates over regions, though its type stubs do not say so."""
    return list(cast("Iterable[QRect]", region))


def paint_around(painter: QPainter, area: DeviceArea, hole: QRect, brush: QColor | Qt.GlobalColor) -> None:
    """Fill the area but for ``hole`` (device pixels), and the device pixels it shares with its neighbours."""
    width, height = area.horizontal.length, area.vertical.length
    hole = hole & QRect(0, 0, width, height)
    if hole.isEmpty():
        painter.fillRect(QRect(-1, -1, width + 2, height + 2), brush)
        return
    right, bottom = hole.x() + hole.width(), hole.y() + hole.height()
    for rect in (
        QRect(-1, -1, width + 2, hole.y() + 1),
        QRect(-1, bottom, width + 2, height + 1 - bottom),
        QRect(-1, hole.y(), hole.x() + 1, hole.height()),
        QRect(right, hole.y(), width + 1 - right, hole.height()),
    ):
        if not rect.isEmpty():
            painter.fillRect(rect, brush)
