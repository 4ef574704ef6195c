"""A small table of texts and choices that is edited in place, with rows that come and go. GUI thread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import (
    QAbstractItemModel,
    QAbstractProxyModel,
    QAbstractTableModel,
    QModelIndex,
    QPersistentModelIndex,
    QRect,
    Qt,
    Signal,
    Slot,
)
from PySide6.QtGui import QKeyEvent, QPainter, QShowEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from guivm.views.forms import plain_label
from guivm.views.icons import Tint, icon
from guivm.views.theme import GRID
from guivm.views.vm_settings.editors import small_button

_Index = QModelIndex | QPersistentModelIndex
_ROOT = QModelIndex()
_ROW_HEIGHT = 4 * GRID + 2
_MOST_ROWS = 8
_ARROW = 12
_COLUMN_ROLE = Qt.ItemDataRole.UserRole + 1


@dataclass(frozen=True, slots=True)
class Column:
    """``choices``: value and words, for one that is chosen; none: text is typed. ``fixed``: shown only."""

    title: str
    choices: tuple[tuple[str, str], ...] = ()
    fixed: bool = False


class RowModel(QAbstractTableModel):
    """``edited``: the person changed a cell, or a row came or went."""

    edited = Signal()

    def __init__(self, columns: Sequence[Column], parent: QWidget) -> None:
        super().__init__(parent)
        self.columns = tuple(columns)
        self._rows: list[list[str]] = []

    def rows(self) -> list[tuple[str, ...]]:
        return [tuple(row) for row in self._rows]

    def show(self, rows: Sequence[Sequence[str]]) -> None:
        """Tells nobody; what is the same stays, and so does an editor that is open."""
        new = [list(row) for row in rows]
        if new == self._rows:
            return
        if len(new) == len(self._rows):
            self._rows = new
            self.dataChanged.emit(self.index(0, 0), self.index(len(new) - 1, len(self.columns) - 1))
            return
        self.beginResetModel()
        self._rows = new
        self.endResetModel()

    def add(self, row: Sequence[str]) -> int:
        at = len(self._rows)
        self.beginInsertRows(_ROOT, at, at)
        self._rows.append(list(row))
        self.endInsertRows()
        self.edited.emit()
        return at

    def drop(self, row: int) -> None:
        if 0 <= row < len(self._rows):
            self.beginRemoveRows(_ROOT, row, row)
            del self._rows[row]
            self.endRemoveRows()
            self.edited.emit()

    def rowCount(self, parent: _Index = _ROOT) -> int:
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: _Index = _ROOT) -> int:
        return 0 if parent.isValid() else len(self.columns)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> str | None:
        if role == Qt.ItemDataRole.DisplayRole and orientation == Qt.Orientation.Horizontal:
            return self.columns[section].title
        return None

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        if not index.isValid():
            return None
        column, text = self.columns[index.column()], self._rows[index.row()][index.column()]
        if role == Qt.ItemDataRole.EditRole:
            return text
        if role == _COLUMN_ROLE:
            return column
        if role == Qt.ItemDataRole.DisplayRole:
            return dict(column.choices).get(text, text)
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{column.title}: {dict(column.choices).get(text, text)}"
        return None

    def setData(self, index: _Index, value: object, role: int = Qt.ItemDataRole.EditRole) -> bool:
        if role != Qt.ItemDataRole.EditRole or not index.isValid() or self.columns[index.column()].fixed:
            return False
        text = str(value).strip()
        if text != self._rows[index.row()][index.column()]:
            self._rows[index.row()][index.column()] = text
            self.dataChanged.emit(index, index)
            self.edited.emit()
        return True

    def flags(self, index: _Index) -> Qt.ItemFlag:
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        if index.isValid() and not self.columns[index.column()].fixed:
            flags |= Qt.ItemFlag.ItemIsEditable
        return flags


class _CellDelegate(QStyledItemDelegate):
    """A list for choices, a line for text."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        super().paint(painter, option, index)
        column = index.data(_COLUMN_ROLE)
        if isinstance(column, Column) and column.choices:
            rect: QRect = option.rect
            place = QRect(rect.right() - 3 * GRID, rect.center().y() - _ARROW // 2 + 1, _ARROW, _ARROW)
            icon("chevron-down", Tint.QUIET).paint(painter, place)

    def createEditor(self, parent: QWidget, _option: QStyleOptionViewItem, index: _Index) -> QWidget:
        column = index.data(_COLUMN_ROLE)
        assert isinstance(column, Column)
        if not column.choices:
            edit = QLineEdit(parent)
            edit.setObjectName("cell")
            edit.setAccessibleName(column.title)
            edit.setProperty("cell", True)
            return edit
        box = QComboBox(parent)
        box.setObjectName("cell")
        box.setAccessibleName(column.title)
        for value, words in column.choices:
            box.addItem(words, value)
        box.activated.connect(self._on_activated)
        return box

    def setEditorData(self, editor: QWidget, index: _Index) -> None:
        text = str(index.data(Qt.ItemDataRole.EditRole))
        if isinstance(editor, QComboBox):
            editor.setCurrentIndex(max(editor.findData(text), 0))
        elif isinstance(editor, QLineEdit) and editor.text() != text:
            editor.setText(text)

    def setModelData(self, editor: QWidget, model: QAbstractItemModel, index: _Index) -> None:
        if isinstance(editor, QComboBox):
            model.setData(index, editor.currentData())
        elif isinstance(editor, QLineEdit):
            model.setData(index, editor.text())

    @Slot()
    def _on_activated(self) -> None:
        box = self.sender()
        if isinstance(box, QComboBox):
            self.commitData.emit(box)
            self.closeEditor.emit(box)


class _Table(QTableView):
    addRequested = Signal()
    removeRequested = Signal()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        editing = self.state() == QAbstractItemView.State.EditingState
        if event.key() == Qt.Key.Key_Insert and not editing:
            self.addRequested.emit()
        elif event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace) and not editing:
            self.removeRequested.emit()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and not editing and self.currentIndex().isValid():
            self.edit(self.currentIndex())
        else:
            super().keyPressEvent(event)


class RowTable(QWidget):
    """The table with its buttons. ``addRequested``: the owner knows what a new row begins with."""

    addRequested = Signal()

    def __init__(
        self,
        name: str,
        accessible: str,
        columns: Sequence[Column],
        empty: str,
        parent: QWidget,
        *,
        grows: bool = True,
        height: int = 0,
    ) -> None:
        """``grows``: rows can be added and removed. ``height``: of the table, where it is always the same."""
        super().__init__(parent)
        self._height = height
        self.model = RowModel(columns, self)
        self.table = _Table(self)
        self.table.setObjectName(name)
        self.table.setAccessibleName(accessible)
        self.table.setModel(self.model)
        self.table.setItemDelegate(_CellDelegate(self.table))
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(_ROW_HEIGHT)
        self.table.setShowGrid(False)
        self.table.setTabKeyNavigation(False)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        triggers = QAbstractItemView.EditTrigger
        self.table.setEditTriggers(triggers.DoubleClicked | triggers.EditKeyPressed | triggers.AnyKeyPressed)
        self.table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeading | Qt.AlignmentFlag.AlignVCenter)
        header.setHighlightSections(False)
        self.empty = plain_label(empty, self, wrap=True)
        self.empty.setProperty("tone", "quiet")
        self.add = small_button(self.tr("Add"), f"{name}-add", self)
        self.add.setIcon(icon("new", Tint.TEXT))
        self.remove = small_button(self.tr("Remove"), f"{name}-remove", self)
        buttons = QHBoxLayout()
        buttons.setSpacing(GRID)
        buttons.addWidget(self.add)
        buttons.addWidget(self.remove)
        buttons.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(GRID)
        column.addWidget(self.empty)
        column.addWidget(self.table)
        column.addLayout(buttons)
        self.table.clicked.connect(self._on_clicked)
        self.add.setVisible(grows)
        self.remove.setVisible(grows)
        self.first: QWidget = self.add if grows else self.table
        self.setFocusProxy(self.first)
        self.add.clicked.connect(self.addRequested)
        self.remove.clicked.connect(self._on_remove)
        if grows:
            self.table.addRequested.connect(self.addRequested)
            self.table.removeRequested.connect(self._on_remove)
        self.table.selectionModel().currentChanged.connect(self._update)
        for changed in (self.model.rowsInserted, self.model.rowsRemoved, self.model.modelReset):
            changed.connect(self._update)
        self._update()

    def add_row(self, row: Sequence[str], edit_column: int) -> None:
        """Append a row and begin to edit it there."""
        at = self.model.add(row)
        index = self.model.index(at, edit_column)
        self.table.setCurrentIndex(index)
        self.table.scrollTo(index)
        self.table.setFocus(Qt.FocusReason.OtherFocusReason)
        self.table.edit(index)

    def show_through(self, proxy: QAbstractProxyModel) -> None:
        """Show what ``proxy`` leaves of the rows."""
        self.table.setModel(proxy)
        self.table.selectionModel().currentChanged.connect(self._update)

    @Slot(QModelIndex)
    def _on_clicked(self, index: QModelIndex) -> None:
        """A list to choose from opens with the first click."""
        column = index.data(_COLUMN_ROLE)
        if isinstance(column, Column) and column.choices and not column.fixed:
            self.table.edit(index)
            box = self.table.findChild(QComboBox, "cell")
            if isinstance(box, QComboBox):
                box.showPopup()

    @Slot()
    def _on_remove(self) -> None:
        row = self.table.currentIndex().row()
        self.model.drop(row)
        left = min(row, self.model.rowCount() - 1)
        if left >= 0:
            self.table.setCurrentIndex(self.model.index(left, 0))
        else:
            self.add.setFocus(Qt.FocusReason.OtherFocusReason)

    @Slot()
    def _update(self) -> None:
        count = self.model.rowCount()
        self.table.setVisible(count > 0)
        self.empty.setVisible(count == 0 and bool(self.empty.text()))
        self.remove.setEnabled(count > 0 and self.table.currentIndex().isValid())
        header = self.table.horizontalHeader().sizeHint().height()
        if self._height:
            self.table.setFixedHeight(self._height)
            return
        self.table.setFixedHeight(header + _ROW_HEIGHT * max(1, min(count, _MOST_ROWS)) + 4)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._update()
