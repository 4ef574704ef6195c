"""The player's lower bar: play, step, scrubber with times, speed, idle time, and what is done with the picture."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QLocale, QPoint, QPointF, QRect, QSize, Qt, Signal, Slot
from PySide6.QtGui import QAction, QActionGroup, QHideEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QMenu,
    QSlider,
    QStyle,
    QStyleOptionSlider,
    QToolButton,
    QWidget,
)

from guivm.console.recording.format import Mark
from guivm.views.art import plain_label
from guivm.views.theme import GRID, tokens_for

SPEEDS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)

_FINE_US, _COARSE_US = 1_000, 100_000  # what one step of the slider stands for; it counts in 31 bits
_FINE_UP_TO_US = 2_000_000_000_000
_MARK_REACH = 4  # pixels


def clock_text(time_us: int) -> str:
    """ "1:02:03", or "2:03" within the first hour."""
    seconds = max(time_us, 0) // 1_000_000
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def speed_text(speed: float) -> str:
    return f"{QLocale().toString(speed, 'g', 4)}\u00d7"


class _Bubble(QLabel):
    """The time under the mouse, at once and in the window itself: a tool tip would come late and stay behind."""

    def __init__(self, owner: QWidget) -> None:
        super().__init__(owner)
        self.setObjectName("player-bubble")
        self.setProperty("floating", True)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setContentsMargins(GRID, GRID // 2, GRID, GRID // 2)
        self._owner = owner
        self.hide()

    def say(self, text: str, at: QPoint) -> None:
        """``at``: global position; the bubble stands above its owner there."""
        window = self._owner.window()
        if self.parentWidget() is not window and window is not self._owner:
            self.setParent(window)
        self.setText(text)
        self.adjustSize()
        place = window.mapFromGlobal(at)
        top = self._owner.mapTo(window, QPoint(0, 0)).y() if window is not self._owner else 0
        left = min(max(place.x() - self.width() // 2, 0), max(window.width() - self.width(), 0))
        self.move(left, max(top - self.height() - GRID // 2, 0))
        self.show()
        self.raise_()


class Scrubber(QSlider):
    """Where in the recording we are; a click or a drag goes there at once. Times in microseconds.

    Keys are the window's: it moves by seconds, whatever has the focus.
    """

    sought = Signal(object)  # int: time
    dragged = Signal(bool)  # begins, ends

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(Qt.Orientation.Horizontal, parent)
        self.setObjectName("player-scrubber")
        self.setAccessibleName(self.tr("Position"))
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setMouseTracking(True)
        self.setMinimumWidth(12 * GRID)
        self._unit_us = _FINE_US
        self._duration_us = 0
        self._marks: tuple[Mark, ...] = ()
        self._bubble = _Bubble(self)

    def set_duration(self, duration_us: int) -> None:
        self._duration_us = duration_us
        self._unit_us = _FINE_US if duration_us < _FINE_UP_TO_US else _COARSE_US
        self.setRange(0, max(1, duration_us // self._unit_us))

    def set_marks(self, marks: Sequence[Mark]) -> None:
        self._marks = tuple(marks)
        self.update()

    def show_time(self, time_us: int) -> None:
        """Not while it is dragged: the hand knows better."""
        if not self.isSliderDown():
            self.setValue(time_us // self._unit_us)
            self.setAccessibleDescription(clock_text(time_us))

    def time_at(self, x: float) -> int:
        """The time at a place of the widget."""
        groove, handle = self._parts()
        span = max(1, groove.width() - handle.width())
        share = (x - groove.x() - handle.width() / 2) / span
        if self.layoutDirection() is Qt.LayoutDirection.RightToLeft:
            share = 1 - share
        return round(min(max(share, 0.0), 1.0) * self._duration_us)

    def _place_of(self, time_us: int) -> int:
        groove, handle = self._parts()
        share = time_us / max(1, self._duration_us)
        if self.layoutDirection() is Qt.LayoutDirection.RightToLeft:
            share = 1 - share
        return round(groove.x() + handle.width() / 2 + share * (groove.width() - handle.width()))

    def _parts(self) -> tuple[QRect, QRect]:
        option = QStyleOptionSlider()
        self.initStyleOption(option)
        style, kind = self.style(), QStyle.ComplexControl.CC_Slider
        return (
            style.subControlRect(kind, option, QStyle.SubControl.SC_SliderGroove, self),
            style.subControlRect(kind, option, QStyle.SubControl.SC_SliderHandle, self),
        )

    def _go_to(self, x: float) -> None:
        time_us = self.time_at(x)
        self.setValue(time_us // self._unit_us)
        self.setAccessibleDescription(clock_text(time_us))
        self.sought.emit(time_us)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() is not Qt.MouseButton.LeftButton or not self._duration_us:
            event.ignore()
            return
        self.setSliderDown(True)
        self.dragged.emit(True)
        self._go_to(event.position().x())
        event.accept()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self.isSliderDown():
            self._go_to(event.position().x())
        if self._duration_us:
            self._tell_time(event.position(), event.globalPosition())
        event.accept()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if self.isSliderDown() and event.button() is Qt.MouseButton.LeftButton:
            self.setSliderDown(False)
            self.dragged.emit(False)
        event.accept()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        event.ignore()

    def leaveEvent(self, event: QEvent) -> None:
        self._bubble.hide()
        super().leaveEvent(event)

    def hideEvent(self, event: QHideEvent) -> None:
        self._bubble.hide()
        super().hideEvent(event)

    def _tell_time(self, position: QPointF, at: QPointF) -> None:
        text = clock_text(self.time_at(position.x()))
        for mark in self._marks:
            if abs(self._place_of(mark.time_us) - position.x()) <= _MARK_REACH:
                text = f"{clock_text(mark.time_us)} \u2013 {mark.text}"
        self._bubble.say(text, at.toPoint())

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if not self._marks or not self._duration_us:
            return
        painter = QPainter(self)
        color = tokens_for(self.palette()).quiet
        for mark in self._marks:
            painter.fillRect(QRect(self._place_of(mark.time_us), self.height() // 2 - 8, 2, 4), color)


class PlayerBar(QFrame):
    """Shows what it is told and says what is wanted; it plays nothing itself."""

    speedChosen = Signal(float)

    def __init__(self, actions: Sequence[QAction], parent: QWidget | None = None) -> None:
        """``actions``: play, step, then those on the right, in their order; they give icons, texts and names."""
        super().__init__(parent)
        self.setObjectName("player-bar")
        self.setProperty("panel", True)
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        play, step, *others = actions
        self.play_button = self._button(play, 20)
        self.position = self._time("player-position", self.tr("Time"))
        self.duration = self._time("player-duration", self.tr("Length"))
        self.scrubber = Scrubber(self)
        self.speed_button = self._speed_button()
        layout = QHBoxLayout(self)
        layout.setContentsMargins(GRID, GRID // 2, GRID, GRID // 2)
        layout.setSpacing(GRID // 2)
        layout.addWidget(self.play_button)
        layout.addWidget(self._button(step))
        layout.addWidget(self.position)
        layout.addWidget(self.scrubber, 1)
        layout.addWidget(self.duration)
        layout.addWidget(self.speed_button)
        for action in others:
            layout.addWidget(self._button(action))
        self.show_speed(1.0)
        self.set_duration(0)
        self.show_time(0)

    def set_duration(self, duration_us: int) -> None:
        self.scrubber.set_duration(duration_us)
        self.duration.setText(clock_text(duration_us))
        # As wide as the longest time to come, so that the scrubber does not jump.
        width = max(self.fontMetrics().horizontalAdvance(clock_text(duration_us)), 4 * GRID) + GRID
        self.position.setMinimumWidth(width)
        self.duration.setMinimumWidth(width)

    def show_time(self, time_us: int) -> None:
        self.scrubber.show_time(time_us)
        self.position.setText(clock_text(time_us))

    def show_speed(self, speed: float) -> None:
        self.speed_button.setText(speed_text(speed))
        self.speed_button.setAccessibleName(self.tr("Speed: {speed}").format(speed=speed_text(speed)))
        for action in self._speeds.actions():
            action.setChecked(action.data() == speed)

    def _time(self, name: str, meaning: str) -> QLabel:
        label = plain_label("", self, name=name)
        label.setAlignment(Qt.AlignmentFlag.AlignCenter)
        label.setProperty("tone", "quiet")
        label.setAccessibleDescription(meaning)
        return label

    def _button(self, action: QAction, side: int = 16) -> QToolButton:
        button = QToolButton(self)
        button.setDefaultAction(action)
        button.setObjectName(f"player-{action.objectName()}")
        button.setAccessibleName(action.text())
        button.setIconSize(QSize(side, side))
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonIconOnly)
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        return button

    def _speed_button(self) -> QToolButton:
        button = QToolButton(self)
        button.setObjectName("player-speed")
        button.setToolTip(self.tr("Speed (+ or -)"))
        button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextOnly)
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        button.setMinimumWidth(button.fontMetrics().horizontalAdvance(speed_text(0.25)) + 2 * GRID)
        menu = QMenu(button)
        menu.setObjectName("player-speed-menu")
        self._speeds = QActionGroup(menu)
        for speed in SPEEDS:
            action = menu.addAction(speed_text(speed))
            action.setObjectName(f"player-speed-{speed:g}")
            action.setCheckable(True)
            action.setData(speed)
            self._speeds.addAction(action)
        self._speeds.triggered.connect(self._on_speed)
        button.setMenu(menu)
        return button

    @Slot(QAction)
    def _on_speed(self, action: QAction) -> None:
        self.speedChosen.emit(action.data())
