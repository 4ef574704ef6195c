"""Choosers of one out of a few: cards with icons, and a segmented row. Radio buttons to the keyboard and to
screen readers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from PySide6.QtCore import QEvent, QRect, QRectF, QSize, Qt, Signal, Slot
from PySide6.QtGui import QColor, QEnterEvent, QFontMetrics, QPainter, QPainterPath, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractButton, QButtonGroup, QHBoxLayout, QRadioButton, QSizePolicy, QWidget

from guivm.views import icons
from guivm.views.forms import plain_tooltip
from guivm.views.theme import GRID, mix, tokens_for

V = TypeVar("V")
_ICON = 3 * GRID
_CARD_TOP = 12
_RADIUS = float(GRID)


class _Option(QRadioButton):
    """A radio button that paints itself; hovering and focus follow the palette."""

    def __init__(self, text: str, parent: QWidget) -> None:
        super().__init__(text, parent)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self.setCursor(Qt.CursorShape.ArrowCursor)

    def hitButton(self, pos: object) -> bool:
        return True

    def enterEvent(self, event: QEnterEvent) -> None:
        super().enterEvent(event)
        self.update()

    def leaveEvent(self, event: QEvent) -> None:
        super().leaveEvent(event)
        self.update()

    def _colors(self) -> tuple[QColor, QColor, QColor]:
        """Fill, border and text for the state it is in."""
        tokens = tokens_for(self.palette())
        if not self.isEnabled():
            if self.isChecked():
                return tokens.hover, tokens.border_strong, tokens.disabled
            return tokens.window, tokens.border, tokens.disabled
        if self.isChecked():
            return mix(tokens.accent, tokens.card, 0.14), tokens.accent, tokens.text
        if self.isDown() or self.underMouse():
            return tokens.hover, tokens.border_strong, tokens.text
        return tokens.card, tokens.border_strong, tokens.text

    def _paint_focus(self, painter: QPainter, rect: QRectF, radius: float) -> None:
        if self.hasFocus() and self.window().testAttribute(Qt.WidgetAttribute.WA_KeyboardFocusChange):
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(tokens_for(self.palette()).text, 1, Qt.PenStyle.DotLine))
            painter.drawRoundedRect(rect.adjusted(4, 4, -4, -4), radius - 3, radius - 3)


class Card(_Option):
    """An icon over a short text."""

    def __init__(self, text: str, icon_name: str, parent: QWidget) -> None:
        super().__init__(text, parent)
        self._icon_name = icon_name
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        metrics = self.fontMetrics()
        width = max((metrics.horizontalAdvance(word) for word in self._words().split()), default=0)
        return QSize(max(width + 3 * GRID, 11 * GRID), _CARD_TOP + _ICON + GRID + 2 * metrics.lineSpacing() + GRID + 2)

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    def paintEvent(self, _event: QPaintEvent) -> None:
        fill, border, words = self._colors()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        pen = 2.0 if self.isChecked() else 1.0
        rect = QRectF(self.rect()).adjusted(pen / 2, pen / 2, -pen / 2, -pen / 2)
        painter.setPen(QPen(border, pen))
        painter.setBrush(fill)
        painter.drawRoundedRect(rect, _RADIUS, _RADIUS)
        self._paint_focus(painter, rect, _RADIUS)
        flags = Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop | Qt.TextFlag.TextWordWrap
        inner = self.rect().adjusted(GRID, 0, -GRID, 0)
        top = _CARD_TOP
        place = QRect((self.width() - _ICON) // 2, top, _ICON, _ICON)
        icons.paint(painter, place, self._icon_name, words)
        painter.setPen(words)
        below = QRect(inner.left(), top + _ICON + GRID, inner.width(), self.height() - top - _ICON - GRID)
        mnemonic = Qt.TextFlag.TextShowMnemonic
        painter.drawText(below, int(flags | mnemonic), self.text())

    def _words(self) -> str:
        return self.text().replace("&", "")


class Segment(_Option):
    """One part of a segmented row; only the outer corners are round."""

    first = False
    last = False

    def sizeHint(self) -> QSize:
        metrics: QFontMetrics = self.fontMetrics()
        width = metrics.horizontalAdvance(self.text().replace("&", ""))
        return QSize(width + 4 * GRID, metrics.height() + 2 * GRID)

    def minimumSizeHint(self) -> QSize:
        hint = self.sizeHint()
        return QSize(hint.width() - 2 * GRID, hint.height())

    def paintEvent(self, _event: QPaintEvent) -> None:
        fill, border, words = self._colors()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        # Neighbours share a border: each but the last paints its right edge outside itself.
        left = 0.5
        right = self.width() - 0.5 if self.last else self.width() + 0.5
        path = _rounded(QRectF(left, 0.5, right - left, self.height() - 1.0), _RADIUS * 0.75, self.first, self.last)
        painter.setPen(QPen(border, 1.0))
        painter.setBrush(fill)
        painter.drawPath(path)
        if self.isChecked() and self.isEnabled():
            painter.setPen(QPen(border, 2.0))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            inner = QRectF(1, 1, self.width() - 2.0, self.height() - 2.0)
            painter.drawPath(_rounded(inner, _RADIUS * 0.75, self.first, self.last))
        self._paint_focus(painter, QRectF(self.rect()), _RADIUS)
        painter.setPen(words)
        flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextShowMnemonic
        painter.drawText(self.rect(), int(flags), self.text())


def _rounded(rect: QRectF, radius: float, left: bool, right: bool) -> QPainterPath:
    path = QPainterPath()
    path.setFillRule(Qt.FillRule.WindingFill)
    path.addRoundedRect(rect, radius, radius)
    middle = rect.center().x()
    if not left:
        path.addRect(QRectF(rect.left(), rect.top(), middle - rect.left(), rect.height()))
    if not right:
        path.addRect(QRectF(middle, rect.top(), rect.right() - middle, rect.height()))
    return path.simplified()


class Chooser(QWidget, Generic[V]):
    """One out of a few values. Arrow keys move inside, Tab leaves."""

    changed = Signal()

    def __init__(self, name: str, parent: QWidget | None, spacing: int) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self._values: list[V] = []
        self._group = QButtonGroup(self)
        self._group.setExclusive(True)
        self._layout = QHBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(spacing)
        self._group.buttonToggled.connect(self._on_toggled)

    def value(self) -> V:
        return self._values[max(0, self._group.checkedId())]

    def set_value(self, value: V) -> None:
        self.button(value).setChecked(True)

    def has(self, value: V) -> bool:
        return value in self._values

    def button(self, value: V) -> QAbstractButton:
        return self._group.button(self._values.index(value))

    def set_available(self, value: V, available: bool, reason: str = "") -> None:
        """Grey a value out, with the reason as its tooltip and description."""
        button = self.button(value)
        button.setEnabled(available)
        button.setToolTip(plain_tooltip(reason))
        button.setAccessibleDescription(reason)

    def _add(self, value: V, key: str, button: QAbstractButton) -> None:
        button.setObjectName(f"{self.objectName()}-{key}")
        button.setAccessibleName(button.text().replace("&", ""))
        self._group.addButton(button, len(self._values))
        self._values.append(value)
        self._layout.addWidget(button)
        if len(self._values) == 1:
            button.setChecked(True)
            self.setFocusProxy(button)

    @Slot(QAbstractButton, bool)
    def _on_toggled(self, button: QAbstractButton, checked: bool) -> None:
        if checked:
            self.setFocusProxy(button)
            self.changed.emit()


class CardChooser(Chooser[V]):
    """A row of cards of equal width."""

    def __init__(self, name: str, options: Sequence[tuple[V, str, str, str]], parent: QWidget | None = None) -> None:
        """``options``: value, key for the object name, text with mnemonic, icon name."""
        super().__init__(name, parent, GRID)
        for value, key, text, icon_name in options:
            self._add(value, key, Card(text, icon_name, self))
            self._layout.setStretch(self._layout.count() - 1, 1)


class SegmentedChooser(Chooser[V]):
    """Joined segments, as wide as their texts."""

    def __init__(self, name: str, options: Sequence[tuple[V, str, str]], parent: QWidget | None = None) -> None:
        """``options``: value, key for the object name, text with mnemonic."""
        super().__init__(name, parent, 0)
        for index, (value, key, text) in enumerate(options):
            segment = Segment(text, self)
            segment.first = index == 0
            segment.last = index == len(options) - 1
            self._add(value, key, segment)
        self._layout.addStretch(1)
