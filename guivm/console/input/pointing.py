"""The mouse over a guest's picture: positions or movements, wheel, and the cursor that is seen."""

from __future__ import annotations

from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QCursor, QGuiApplication

from guivm.console.frame import CursorShape, PointerMode
from guivm.console.input.guest_input import GuestInput
from guivm.console.input.pointer import CursorKeeper, RelativeMotion
from guivm.console.input.wayland import WaylandGrab
from guivm.console.picture.picture_view import PictureView


def can_grab() -> bool:
    """Only X11 lets an application take keyboard and mouse; Qt's other platforms refuse with a warning.

    On Wayland the compositor is asked for what is needed (:mod:`guivm.console.input.wayland`).
    """
    return QGuiApplication.platformName() == "xcb"


class Pointing:
    """Mouse events of ``view``, told to the guest. GUI thread. Who captures, and when, is not decided here."""

    def __init__(self, view: PictureView, guest: GuestInput) -> None:
        self._view = view
        self._guest = guest
        self._motion = RelativeMotion()
        self._grabbed = False
        self._cursor = CursorKeeper(view)
        self.grab = WaylandGrab(view)
        self.grab.moved.connect(self._on_moved)

    # --- buttons and movements ------------------------------------------------------------------------

    def begin(self, position: QPointF) -> None:
        """The pointer is at ``position`` (global) when capture begins: no movement leads there."""
        self._motion.reset(position)

    def press(self, button: Qt.MouseButton, position: QPointF, global_position: QPointF) -> None:
        self._guest.press_button(button)
        self.move(position, global_position)

    def release(self, button: Qt.MouseButton, position: QPointF, global_position: QPointF) -> None:
        """Told only when the guest holds that button, captured or not."""
        if self._guest.release_button(button):
            self.move(position, global_position)

    def move(self, position: QPointF, global_position: QPointF) -> None:
        """``position``: in the widget."""
        if self._guest.mode is PointerMode.RELATIVE:
            self._move_relative(global_position)
        else:
            self._guest.point(*self._view.nearest_guest_pixel(position))

    def turn_wheel(self, angle: QPoint, position: QPointF) -> None:
        """``angle``: a wheel event's ``angleDelta``."""
        self._guest.turn_wheel(angle, self._view.nearest_guest_pixel(position))

    def _move_relative(self, position: QPointF) -> None:
        self._guest.move(*self._motion.moved(position, self._view.devicePixelRatioF()))
        if not self._grabbed or not can_grab():
            return
        # Far from the middle only: a jump for every movement would race with the movements under way.
        middle = QPointF(self._view.mapToGlobal(self._view.rect().center()))
        if (position - middle).manhattanLength() > min(self._view.width(), self._view.height()) / 4:
            QCursor.setPos(middle.toPoint())
            self._motion.warped(middle)

    def _on_moved(self, dx: float, dy: float) -> None:
        """The compositor holds the pointer and tells movements in logical pixels."""
        self._guest.move(*self._motion.moved_by(dx, dy, self._view.devicePixelRatioF()))

    # --- what follows from the state ------------------------------------------------------------------

    def update(self) -> None:
        """Captured or not, paused or not, absolute or not may have changed: grab and cursor follow."""
        self._update_grab()
        self.update_cursor()

    def _update_grab(self) -> None:
        """Only a guest with a relative mouse needs the host's pointer for itself."""
        wanted = self._guest.enabled and self._guest.mode is PointerMode.RELATIVE
        if wanted and not self._grabbed:
            self._motion.reset(QPointF(QCursor.pos()))
            if can_grab():
                self._view.grabMouse()
        elif not wanted and self._grabbed and can_grab():
            self._view.releaseMouse()
        self._grabbed = wanted
        self.grab.update(keys=self._guest.enabled, mouse=wanted)

    # --- cursor ---------------------------------------------------------------------------------------

    def learn_cursor(self, shape: CursorShape | None) -> None:
        """The guest's cursor; None: it is hidden."""
        self._cursor.learn(shape)
        self.update_cursor()

    def forget_cursor(self) -> None:
        self._cursor.forget()

    def update_cursor(self, position: QPointF | None = None) -> None:
        """The guest's shape over its picture while captured, else the desktop's arrow. ``position``: in the widget."""
        if not self._guest.enabled:
            self._cursor.show_arrow()
            return
        if position is None:
            position = QPointF(self._view.mapFromGlobal(QCursor.pos()))
        if self._guest.mode is PointerMode.RELATIVE and not self._view.picture_size().isEmpty():
            self._cursor.show_nothing()
        elif not self._view.is_over_picture(position):
            self._cursor.show_arrow()
        else:
            self._cursor.show_guest(self._view.zoom(), self._view.devicePixelRatioF())
