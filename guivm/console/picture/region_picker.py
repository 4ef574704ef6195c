"""Choose a part of the guest's screen, with the mouse or the keyboard, in guest pixels."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, QPoint, QRect, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPalette, QPen
from PySide6.QtWidgets import QWidget

from guivm.console.picture.picture_view import PictureView

_SHADE = QColor(0, 0, 0, 110)
_STEP = 8  # guest pixels: a column of a text screen
_CROSS = 9  # logical pixels
_ENTER = (Qt.Key.Key_Return, Qt.Key.Key_Enter)
_ARROWS = {
    Qt.Key.Key_Left: (-1, 0),
    Qt.Key.Key_Right: (1, 0),
    Qt.Key.Key_Up: (0, -1),
    Qt.Key.Key_Down: (0, 1),
}


class RegionPicker(QWidget):
    """Lies over a picture until something is picked or it is cancelled; then it hides itself.

    Mouse: drag. Keyboard: arrows move a mark by 8 guest pixels (with Ctrl by one), Enter puts the first corner,
    arrows draw the rectangle, Enter picks it. Ctrl+A picks the whole screen, as a double click does. Esc cancels.
    """

    picked = Signal(QRect)  # guest pixels, within the guest's screen, not empty
    cancelled = Signal()

    def __init__(self, view: PictureView) -> None:
        super().__init__(view)
        self._view = view
        self._mark = QPoint()
        self._anchor: QPoint | None = None
        self._dragging = False
        self.setObjectName("console-region-picker")
        self.setAccessibleName(self.tr("Choose a part of the guest's screen"))
        self.setAccessibleDescription(self.tr("Drag with the mouse, or use the arrow keys and Enter. Esc cancels."))
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.CrossCursor)
        self.setMouseTracking(True)
        self.hide()
        view.framebufferResized.connect(self.cancel)

    def start(self) -> None:
        """Begin. Without a picture it is cancelled at once."""
        size = self._view.picture_size()
        if size.isEmpty():
            self.cancelled.emit()
            return
        self._mark = QPoint(size.width() // 2, size.height() // 2)
        self._anchor = None
        self._dragging = False
        self.setGeometry(self._view.rect())
        self._view.installEventFilter(self)
        self.show()
        self.raise_()
        self._view.update_plane()
        self.setFocus(Qt.FocusReason.OtherFocusReason)

    def cancel(self) -> None:
        if self._end():
            self.cancelled.emit()

    def selection(self) -> QRect:
        """Guest pixels chosen so far; empty when there is no first corner yet."""
        if self._anchor is None:
            return QRect()
        left, right = sorted((self._anchor.x(), self._mark.x()))
        top, bottom = sorted((self._anchor.y(), self._mark.y()))
        return QRect(left, top, right - left + 1, bottom - top + 1)

    def _pick_all(self) -> None:
        size = self._view.picture_size()
        self._anchor = QPoint(0, 0)
        self._mark = QPoint(size.width() - 1, size.height() - 1)
        self._dragging = False
        self._pick()

    def _end(self) -> bool:
        if self.isHidden():
            return False
        self._view.removeEventFilter(self)
        self.hide()
        self._view.update_plane()
        self._view.setFocus(Qt.FocusReason.OtherFocusReason)
        return True

    def _pick(self) -> None:
        chosen = self.selection()
        if self._end():
            self.picked.emit(chosen)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self._view and event.type() == QEvent.Type.Resize:
            self.setGeometry(self._view.rect())
        return False

    # --- mouse ----------------------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() is Qt.MouseButton.LeftButton:
            self._mark = QPoint(*self._view.nearest_guest_pixel(event.position()))
            self._anchor = QPoint(self._mark)
            self._dragging = True
            self.update()
        elif event.button() is Qt.MouseButton.RightButton:
            self.cancel()
        event.accept()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        if event.button() is Qt.MouseButton.LeftButton:
            self._pick_all()
        event.accept()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._dragging:
            self._mark = QPoint(*self._view.nearest_guest_pixel(event.position()))
            self.update()
        event.accept()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if self._dragging and event.button() is Qt.MouseButton.LeftButton:
            self._dragging = False
            if self._mark == self._anchor:  # a click, no rectangle: the mouse put the first corner
                self.update()
            else:
                self._pick()
        event.accept()

    # --- keyboard -------------------------------------------------------------------------------------

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent):
            event.accept()  # Esc and arrows are ours before they are anybody's shortcut
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key = event.key()
        if key == Qt.Key.Key_Escape:
            self.cancel()
        elif key == Qt.Key.Key_A and event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self._pick_all()
        elif key in _ENTER:
            if self._anchor is None:
                self._anchor = QPoint(self._mark)
                self.update()
            else:
                self._pick()
        elif key in _ARROWS:
            fine = bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)
            dx, dy = _ARROWS[Qt.Key(key)]
            self._move_mark(dx * (1 if fine else _STEP), dy * (1 if fine else _STEP))
        event.accept()

    def _move_mark(self, dx: int, dy: int) -> None:
        size = self._view.picture_size()
        x = min(max(self._mark.x() + dx, 0), size.width() - 1)
        y = min(max(self._mark.y() + dy, 0), size.height() - 1)
        self._mark = QPoint(x, y)
        self.update()

    def focusNextPrevChild(self, forward: bool) -> bool:
        return False

    # --- painting -------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        chosen = self._view.guest_rect_to_widget(self.selection()) if self._anchor is not None else None
        painter = QPainter(self)
        pen = QPen(self.palette().color(QPalette.ColorRole.Highlight), 1)
        if chosen is None:
            painter.fillRect(self.rect(), _SHADE)
        else:
            hole = chosen.toAlignedRect()
            painter.setClipRegion(event.region() - hole)
            painter.fillRect(self.rect(), _SHADE)
            painter.setClipping(False)
            painter.setPen(pen)
            painter.drawRect(hole.adjusted(-1, -1, 0, 0))
        mark = self._view.guest_to_widget(self._mark.x(), self._mark.y())
        if mark is not None and not self._dragging:
            x, y = round(mark.x()), round(mark.y())
            painter.setPen(pen)
            painter.drawLine(x - _CROSS, y, x + _CROSS, y)
            painter.drawLine(x, y - _CROSS, x, y + _CROSS)
        painter.end()
