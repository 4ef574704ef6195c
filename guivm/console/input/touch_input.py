"""Qt's touch events for :mod:`guivm.console.input.touch`, and the clock it needs."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QElapsedTimer, QEvent, QObject, QPoint, QPointF, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QEventPoint, QInputDevice, QTouchEvent

from guivm.console.frame import PointerButton, PointerMode
from guivm.console.input.guest_input import GuestInput
from guivm.console.input.pointer import RelativeMotion
from guivm.console.input.touch import Move, Pinch, Press, Release, Scroll, TouchAction, TouchGestures, TouchPoint
from guivm.console.picture.picture_view import PictureView

_ANGLE_PER_PIXEL = 3  # of a wheel's 120 for a notch: 40 logical pixels are one
_BUTTONS = {PointerButton.LEFT: Qt.MouseButton.LeftButton, PointerButton.RIGHT: Qt.MouseButton.RightButton}


class TouchInput(QObject):
    """Touch events in, ``acted`` out: one TouchAction at a time, in order. GUI thread."""

    began = Signal()
    acted = Signal(object)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.gestures = TouchGestures()
        self._clock = QElapsedTimer()
        self._clock.start()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._on_time)

    def take(self, event: QTouchEvent) -> bool:
        """Whether the event is of a touch screen; a touchpad's belong to Qt, which makes a mouse's of them."""
        if event.device().type() is not QInputDevice.DeviceType.TouchScreen:
            return False
        if event.type() == QEvent.Type.TouchCancel:
            self._tell(self.gestures.cancel())
        else:
            if event.type() == QEvent.Type.TouchBegin:
                self.began.emit()
            down = [
                TouchPoint(point.id(), point.position().x(), point.position().y())
                for point in event.points()
                if point.state() is not QEventPoint.State.Released
            ]
            self._tell(self.gestures.touched(down, self._clock.elapsed()))
        event.accept()
        return True

    def cancel(self) -> None:
        """Nobody wants to know any more."""
        self._tell(self.gestures.cancel())

    @Slot()
    def _on_time(self) -> None:
        self._tell(self.gestures.tick(self._clock.elapsed()))

    def _tell(self, actions: list[TouchAction]) -> None:
        deadline = self.gestures.deadline
        if deadline is None:
            self._timer.stop()
        else:
            self._timer.start(max(0, deadline - self._clock.elapsed()))
        for action in actions:
            self.acted.emit(action)


class TouchMouse:
    """What fingers mean, done with the guest's mouse or the picture's zoom. GUI thread."""

    def __init__(self, view: PictureView, guest: GuestInput, capture: Callable[[], bool]) -> None:
        """``capture``: captures if that is possible; answers whether input goes to the guest."""
        self._view = view
        self._guest = guest
        self._capture = capture
        self._motion = RelativeMotion()
        self._angle = QPointF()  # what was scrolled and is no whole unit of angle yet

    def begin(self) -> None:
        """A first finger came down. For a relative mouse no movement leads there."""
        self._motion.reset()
        self._angle = QPointF()

    def act(self, action: TouchAction, *, captured: bool) -> None:
        """A press over the picture captures, as a click does. Without capture only zooming does anything."""
        place = QPointF(action.x, action.y)
        if isinstance(action, Pinch):
            self._view.zoom_about(self._view.zoom() * action.factor, place)
            return
        if isinstance(action, Press) and not captured and self._view.is_over_picture(place):
            captured = self._capture()
        match action:
            case Scroll(dx=dx, dy=dy) if captured:
                self._angle += QPointF(dx, dy) * _ANGLE_PER_PIXEL
                whole = QPoint(int(self._angle.x()), int(self._angle.y()))
                self._angle -= QPointF(whole)
                self._guest.turn_wheel(whole, self._view.nearest_guest_pixel(place))
            case Move() if captured:
                self._move(place)
            case Press(button=button) if captured:
                self._guest.press_button(_BUTTONS[button])
                self._move(place)
            case Release(button=button) if self._guest.release_button(_BUTTONS[button]):
                self._move(place)
            case _:
                pass

    def _move(self, place: QPointF) -> None:
        if self._guest.mode is PointerMode.RELATIVE:
            self._guest.move(*self._motion.moved(place, self._view.devicePixelRatioF()))
        else:
            self._guest.point(*self._view.nearest_guest_pixel(place))
