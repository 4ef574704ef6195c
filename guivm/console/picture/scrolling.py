"""Scroll bars for a picture that is larger than the console shows of it, in device pixels."""

from __future__ import annotations

import math

from PySide6.QtCore import QCoreApplication, QObject, QPoint, Qt, Signal, Slot
from PySide6.QtWidgets import QScrollBar, QWidget

from guivm.console.frame import Rect
from guivm.console.picture.screen import DeviceArea

_STEP = 16  # device pixels


class ScrollBars(QObject):
    """A horizontal and a vertical bar at the edges of ``around``; each is there only when it is needed."""

    scrolled = Signal()

    def __init__(self, around: QWidget) -> None:
        super().__init__(around)
        self._around = around
        tr = QCoreApplication.translate
        self.horizontal = self._make(Qt.Orientation.Horizontal)
        self.horizontal.setObjectName("console-scroll-horizontal")
        self.horizontal.setAccessibleName(tr("ConsoleWidget", "Scroll sideways"))
        self.vertical = self._make(Qt.Orientation.Vertical)
        self.vertical.setObjectName("console-scroll-vertical")
        self.vertical.setAccessibleName(tr("ConsoleWidget", "Scroll up and down"))

    def _make(self, orientation: Qt.Orientation) -> QScrollBar:
        bar = QScrollBar(orientation, self._around)
        bar.setSingleStep(_STEP)
        bar.setCursor(Qt.CursorShape.ArrowCursor)
        bar.valueChanged.connect(self._on_value)
        bar.hide()
        return bar

    @Slot(int)
    def _on_value(self, _value: int) -> None:
        self.scrolled.emit()

    @property
    def position(self) -> tuple[int, int]:
        """Device pixels scrolled to the right and down."""
        return self.horizontal.value(), self.vertical.value()

    def move_to(self, x: int, y: int) -> None:
        """Scroll to a position in device pixels, as far as there is something to see."""
        self.horizontal.setValue(x)
        self.vertical.setValue(y)

    def turn_wheel(self, angle: QPoint) -> bool:
        """Scroll by a wheel event's ``angleDelta``; False when there is nothing to scroll that way."""
        turned = False
        for bar, delta in ((self.horizontal, angle.x()), (self.vertical, angle.y())):
            if delta and not bar.isHidden():
                bar.setValue(bar.value() - round(delta / 120 * 3 * _STEP))
                turned = True
        return turned

    def place(self, picture: tuple[int, int] | None, area: DeviceArea, frame: int) -> None:
        """Show what a picture of this size (device pixels; None: nothing to scroll) needs inside of the frame."""
        across = down = False
        thickness = self.vertical.sizeHint().width()
        if picture is not None:
            taken = math.ceil(thickness * area.dpr)
            width, height = area.horizontal.length - 2 * frame, area.vertical.length - 2 * frame
            across, down = picture[0] > width, picture[1] > height
            across = across or (down and picture[0] > width - taken)
            down = down or (across and picture[1] > height - taken)
        corner = thickness if across and down else 0
        size = self._around.size()
        self.horizontal.setGeometry(0, size.height() - thickness, size.width() - corner, thickness)
        self.vertical.setGeometry(size.width() - thickness, 0, thickness, size.height() - corner)
        self.horizontal.setVisible(across)
        self.vertical.setVisible(down)
        if picture is not None:
            view = self.view(area, frame)
            for bar, wanted, room in (
                (self.horizontal, picture[0], view.width),
                (self.vertical, picture[1], view.height),
            ):
                bar.setRange(0, max(0, wanted - room))
                bar.setPageStep(max(1, room))

    def view(self, area: DeviceArea, frame: int) -> Rect:
        """Where the picture may be: inside of the frame and of the bars."""
        right, bottom = area.horizontal.length - frame, area.vertical.length - frame
        if not self.vertical.isHidden():
            right = min(right, int(area.to_device(self.vertical.x(), 0)[0]))
        if not self.horizontal.isHidden():
            bottom = min(bottom, int(area.to_device(0, self.horizontal.y())[1]))
        return Rect(frame, frame, max(1, right - frame), max(1, bottom - frame))
