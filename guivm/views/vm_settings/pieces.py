"""Small fields that the editors are made of. GUI thread."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QCoreApplication, QModelIndex, QPersistentModelIndex, QSize, Qt, Signal, Slot
from PySide6.QtGui import QPainter, QStandardItem, QStandardItemModel, QWheelEvent
from PySide6.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QSpinBox,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from guivm.engine.options.option import Item, Value
from guivm.engine.options.phrase import Phrase, filled
from guivm.text import clean_line
from guivm.views.forms import SizeSpin, pad_spin, plain_label, plain_tooltip
from guivm.views.theme import GRID, tokens_for

FIELD_WIDTH = 36 * GRID
LABEL_WIDTH = 14 * GRID
_LABEL_LIMIT = 160
_REASON_LIMIT = 400  # a sentence or two


def translated(text: str | Phrase) -> str:
    """A text of the catalogue in the person's language, its gap filled."""
    if isinstance(text, Phrase):
        return filled(translated(text.text), translated(text.gap) if isinstance(text.gap, Phrase) else text.gap)
    return QCoreApplication.translate("Options", text) if text else ""


def label_words(item: Item) -> str:
    """A choice's label; files and the host may have a say in it."""
    return clean_line(translated(item.label), _LABEL_LIMIT)


def reason_words(item: Item) -> str:
    """Why a choice cannot be had, or else what speaks for or against it."""
    return clean_line(translated(item.refusal) or translated(item.note), _REASON_LIMIT)


class RoomyDelegate(QStyledItemDelegate):
    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:
        size = super().sizeHint(option, index)
        return QSize(size.width() + 2 * GRID, max(size.height(), 4 * GRID))


class RoundRows(QStyledItemDelegate):
    """Rows of one height, in pixels; the chosen one is marked inside the frame's round corners. What stands in a group
    is indented."""

    def __init__(self, height: int, parent: QWidget) -> None:
        super().__init__(parent)
        self._height = height

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:
        return QSize(super().sizeHint(option, index).width(), self._height)

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        if option.state & QStyle.StateFlag.State_Selected:
            painter.save()
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(tokens_for(option.palette).selection)
            painter.drawRoundedRect(option.rect.adjusted(2, 1, -2, -1), 7, 7)
            painter.restore()
            option.state &= ~QStyle.StateFlag.State_Selected
        if index.parent().isValid():
            option.rect = option.rect.adjusted(2 * GRID, 0, 0, 0)
        super().paint(painter, option, index)


class QuietCombo(QComboBox):
    """A choice; the wheel scrolls the page, not the values it passes over."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumWidth(FIELD_WIDTH)

    def wheelEvent(self, event: QWheelEvent) -> None:
        event.ignore()


class ItemBox(QuietCombo):
    """One of the catalogue's items; what cannot be had is greyed and says why."""

    picked = Signal(object)  # the value

    def __init__(self, name: str, accessible: str, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self.setAccessibleName(accessible)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setItemDelegate(RoomyDelegate(self))
        self._rows = QStandardItemModel(self)
        self.setModel(self._rows)
        self._items: tuple[Item, ...] = ()
        self.activated.connect(self._on_activated)

    @property
    def items(self) -> tuple[Item, ...]:
        return self._items

    def show_items(self, items: Sequence[Item], *, notes: bool = False) -> None:
        """``notes``: each note stands behind its label; a refusal always does."""
        new = tuple(items)
        if new == self._items:
            return
        self._items = new
        self._rows.clear()
        for item in new:
            label, words = label_words(item), reason_words(item)
            row = QStandardItem(f"{label}  –  {words}" if words and (notes or item.refusal) else label)
            row.setEnabled(not item.refusal)
            row.setToolTip(plain_tooltip(words))
            self._rows.appendRow(row)

    def show_value(self, value: Value | None) -> None:
        index = next((i for i, item in enumerate(self._items) if item.value == value), -1)
        if index < 0 and value is not None:
            self._items = (*self._items, Item(value, str(value)))
            self._rows.appendRow(QStandardItem(label_words(self._items[-1])))
            index = len(self._items) - 1
        self.setCurrentIndex(index)

    @property
    def value(self) -> Value | None:
        index = self.currentIndex()
        return self._items[index].value if 0 <= index < len(self._items) else None

    @Slot(int)
    def _on_activated(self, index: int) -> None:
        if 0 <= index < len(self._items):
            self.picked.emit(self._items[index].value)


class QuietSpin(QSpinBox):
    """A number; the wheel scrolls the page."""

    def __init__(self, name: str, accessible: str, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self.setAccessibleName(accessible)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setKeyboardTracking(False)
        pad_spin(self)

    def show_value(self, value: int) -> None:
        self.blockSignals(True)
        self.setValue(value)
        self.blockSignals(False)

    def wheelEvent(self, event: QWheelEvent) -> None:
        event.ignore()


class QuietSize(SizeSpin):
    """An amount in MiB and GiB; the wheel scrolls the page."""

    def __init__(self, name: str, accessible: str, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self.setAccessibleName(accessible)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setKeyboardTracking(False)
        self.setMinimumWidth(18 * GRID)

    def show_value(self, value: int) -> None:
        self.blockSignals(True)
        self.setValue(value)
        self.blockSignals(False)

    def wheelEvent(self, event: QWheelEvent) -> None:
        event.ignore()


def labelled(text: str, field: QWidget, parent: QWidget, *, stretch: bool = False) -> QWidget:
    """A field with its label before it, in one line of its own; labels of such lines have one width."""
    line = QWidget(parent)
    label = plain_label(text, line)
    label.setMinimumWidth(LABEL_WIDTH)
    label.setBuddy(field)
    row = QHBoxLayout(line)
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(GRID)
    row.addWidget(label)
    row.addWidget(field, 1 if stretch else 0)
    if not stretch:
        row.addStretch(1)
    return line


def quiet_label(text: str, parent: QWidget) -> QLabel:
    """Words of less weight, over several lines where they must."""
    label = plain_label(text, parent, wrap=True)
    label.setProperty("role", "caption")
    return label
