"""Mouse, wheel and cursor between Qt and the guest."""

from __future__ import annotations

import math

from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QCursor, QImage, QPixmap
from PySide6.QtWidgets import QWidget

from guivm.console.frame import CursorShape, PointerButton

_STEP = 120  # eighths of a degree: one notch of a wheel
_MAX_STEPS = 32  # one event cannot mean more; a driver gone mad can
_MAX_CURSOR_SIDE = 256  # device pixels; larger ones are refused by X servers and compositors

_BUTTONS = {
    Qt.MouseButton.LeftButton: PointerButton.LEFT,
    Qt.MouseButton.MiddleButton: PointerButton.MIDDLE,
    Qt.MouseButton.RightButton: PointerButton.RIGHT,
    Qt.MouseButton.BackButton: PointerButton.BACK,
    Qt.MouseButton.ForwardButton: PointerButton.FORWARD,
}


def guest_button(button: Qt.MouseButton) -> PointerButton:
    """The guest's button for one of Qt's, NONE for those it has not."""
    return _BUTTONS.get(button, PointerButton.NONE)


class WheelSteps:
    """Turns wheel angles, which touchpads send in small parts, into whole clicks of the guest's wheel."""

    def __init__(self) -> None:
        self._x = 0
        self._y = 0

    def turn(self, angle: QPoint) -> list[PointerButton]:
        """Buttons to click once each, in order, for one event's ``angleDelta``."""
        self._x = self._add(self._x, angle.x())
        self._y = self._add(self._y, angle.y())
        steps_x, self._x = _whole(self._x)
        steps_y, self._y = _whole(self._y)
        clicks = [PointerButton.WHEEL_UP if steps_y > 0 else PointerButton.WHEEL_DOWN] * abs(steps_y)
        # Qt counts leftward turns as positive.
        clicks += [PointerButton.WHEEL_LEFT if steps_x > 0 else PointerButton.WHEEL_RIGHT] * abs(steps_x)
        return clicks

    @staticmethod
    def _add(held: int, delta: int) -> int:
        """A change of direction forgets what was left of the other one."""
        return delta if held * delta < 0 else held + delta


def _whole(angle: int) -> tuple[int, int]:
    steps = int(angle / _STEP)
    return max(-_MAX_STEPS, min(_MAX_STEPS, steps)), angle - steps * _STEP


class WheelTurns:
    """Whole notches of a vertical wheel, for zooming."""

    def __init__(self) -> None:
        self._angle = 0

    def turn(self, angle: int) -> int:
        """Notches away from the person (negative: towards) for one event's ``angleDelta().y()``."""
        self._angle = angle if self._angle * angle < 0 else self._angle + angle
        steps, self._angle = _whole(self._angle)
        return steps


class RelativeMotion:
    """Movements for a guest with a mouse: the host's pointer is hidden and kept away from the window's edges."""

    def __init__(self) -> None:
        self._last: QPointF | None = None
        self._rest = QPointF()
        self._warped_to: QPointF | None = None

    def reset(self, position: QPointF | None = None) -> None:
        """Begin anew; ``position``: where the pointer is, when known."""
        self._last = position
        self._rest = QPointF()
        self._warped_to = None

    def warped(self, target: QPointF) -> None:
        """The pointer was put to ``target`` by us; that jump is no movement."""
        self._warped_to = target

    def moved(self, position: QPointF, dpr: float) -> tuple[int, int]:
        """Whole device pixels moved since the last call; fractions are kept for the next."""
        last, self._last = self._last, position
        if self._warped_to is not None and last is not None:
            to_target = (position - self._warped_to).manhattanLength()
            if to_target <= (position - last).manhattanLength():
                last, self._warped_to = self._warped_to, None
        if last is None:
            return 0, 0
        step = position - last
        return self.moved_by(step.x(), step.y(), dpr)

    def moved_by(self, dx: float, dy: float, dpr: float) -> tuple[int, int]:
        """The same for a movement in logical pixels, when the window system tells that."""
        self._rest += QPointF(dx, dy) * dpr
        x, y = int(self._rest.x()), int(self._rest.y())
        self._rest -= QPointF(x, y)
        return x, y


def guest_cursor(shape: CursorShape, scale: float, dpr: float) -> QCursor:
    """``scale``: device pixels per guest pixel. GUI thread only."""
    largest = _MAX_CURSOR_SIDE / max(shape.width, shape.height)
    scale = min(scale, largest)
    image = QImage(shape.pixels.data, shape.width, shape.height, shape.width * 4, QImage.Format.Format_ARGB32)
    if scale == 1:
        image = image.copy()
    else:
        whole = scale == int(scale)
        mode = Qt.TransformationMode.FastTransformation if whole else Qt.TransformationMode.SmoothTransformation
        width, height = max(1, round(shape.width * scale)), max(1, round(shape.height * scale))
        image = image.scaled(width, height, Qt.AspectRatioMode.IgnoreAspectRatio, mode)
    hot_x, pad_x = _hot_spot(shape.hot_x * scale, image.width(), dpr)
    hot_y, pad_y = _hot_spot(shape.hot_y * scale, image.height(), dpr)
    if pad_x or pad_y:
        image = image.copy(-pad_x, -pad_y, image.width() + pad_x, image.height() + pad_y)
    pixmap = QPixmap.fromImage(image)
    pixmap.setDevicePixelRatio(dpr)
    return QCursor(pixmap, hot_x, hot_y)


def _hot_spot(device: float, length: int, dpr: float) -> tuple[int, int]:
    """Qt takes hot spots in whole logical pixels only. Answers one, and the transparent device pixels to put before the
    picture so that it is exact; ``device``: where it is in a picture of ``length`` device pixels.
    """
    wanted = min(math.floor(device + 0.5), length - 1)
    hot = math.ceil(wanted / dpr - 1e-6)
    return hot, max(0, math.floor(hot * dpr + 0.5) - wanted)


class CursorKeeper:
    """Which cursor a widget shows: the guest's, none, or the desktop's arrow."""

    def __init__(self, widget: QWidget) -> None:
        self._widget = widget
        self._known = False
        self._shape: CursorShape | None = None
        self._shown: tuple[CursorShape | None, float, float] | None = None

    def forget(self) -> None:
        """The guest has said nothing of its cursor (yet): the arrow."""
        self._known, self._shape = False, None

    def learn(self, shape: CursorShape | None) -> None:
        """The guest's cursor; None: it is hidden."""
        self._known, self._shape = True, shape

    def show_arrow(self) -> None:
        if self._shown is not None:
            self._shown = None
            self._widget.unsetCursor()

    def show_nothing(self) -> None:
        if self._shown is None or self._shown[0] is not None:
            self._shown = (None, 1.0, 1.0)
            self._widget.setCursor(Qt.CursorShape.BlankCursor)

    def show_guest(self, scale: float, dpr: float) -> None:
        """``scale``: device pixels per guest pixel."""
        shape = self._shape
        if not self._known:
            self.show_arrow()
        elif shape is None:
            self.show_nothing()
        elif self._shown is None or self._shown[0] is not shape or self._shown[1:] != (scale, dpr):
            self._shown = (shape, scale, dpr)
            self._widget.setCursor(guest_cursor(shape, scale, dpr))
