"""The tree of snapshots on screen: keys, titles edited in place, indentation that leaves room for titles."""

from __future__ import annotations

from PySide6.QtCore import QItemSelectionModel, QModelIndex, QPersistentModelIndex, QPoint, Qt, Signal, Slot
from PySide6.QtGui import QHideEvent, QKeyEvent, QResizeEvent, QShowEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QHeaderView,
    QLineEdit,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTreeView,
    QWidget,
)

from guivm.engine.snapshots.values import SnapshotId
from guivm.views import formats
from guivm.views.models.snapshot_tree import Column, SnapshotTreeModel
from guivm.views.snapshots.ages import AgeClock, date_words
from guivm.views.snapshots.words import TITLE_LIMIT
from guivm.views.theme import GRID

_INDENT = (3, 20)  # least and most
_WIDE_DATE_S = 1_230_000_000.0  # for the width of a column
_WIDE_SIZE = 999 * 1024**2 - 1024**2 // 2
_TITLE_ROOM = 16 * GRID  # for a title at the deepest level


class _TitleEdit(QLineEdit):
    """Keeps its keys: Enter that ends the editing must not open what was edited."""

    def keyPressEvent(self, event: QKeyEvent) -> None:
        super().keyPressEvent(event)
        event.accept()


class _TitleDelegate(QStyledItemDelegate):
    def createEditor(
        self, parent: QWidget, _option: QStyleOptionViewItem, _index: QModelIndex | QPersistentModelIndex
    ) -> QWidget:
        edit = _TitleEdit(parent)
        edit.setObjectName("snapshot-title-edit")
        edit.setAccessibleName(self.tr("Title of the snapshot"))
        edit.setMaxLength(TITLE_LIMIT)
        edit.setProperty("cell", True)
        return edit


class _TakenDelegate(QStyledItemDelegate):
    """The sign of the schedule stands behind the age, so that all ages begin at one line."""

    def initStyleOption(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> None:
        super().initStyleOption(option, index)
        option.decorationPosition = QStyleOptionViewItem.Position.Right


class SnapshotTreeView(QTreeView):
    """``opened``: a double click. Keeps ages up to date while it is to be seen."""

    opened = Signal()
    menuRequested = Signal(QPoint)  # global
    currentSnapshotChanged = Signal()
    chosenChanged = Signal()

    def __init__(self, model: SnapshotTreeModel, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("snapshot-tree")
        self.setAccessibleName(self.tr("Snapshots"))
        self._model = model
        self._deepest = 0
        self._marks = False  # of the schedule
        self.setModel(model)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setUniformRowHeights(True)
        self.setExpandsOnDoubleClick(False)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.setItemDelegateForColumn(Column.TITLE, _TitleDelegate(self))
        self.setItemDelegateForColumn(Column.TAKEN, _TakenDelegate(self))
        header = self.header()
        header.setObjectName("snapshot-header")
        header.setAccessibleName(self.tr("Columns"))
        header.setStretchLastSection(False)
        header.setSectionsMovable(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self._clock = AgeClock(self)
        self._clock.due.connect(self._on_due)
        self.customContextMenuRequested.connect(self._on_menu)
        self.doubleClicked.connect(self._on_double_click)
        model.treeChanged.connect(self._on_tree)
        model.modelReset.connect(self._on_reset)
        model.rowsInserted.connect(self._on_rows)
        model.rowsMoved.connect(self._on_moved)
        model.joined.connect(self._on_joined)
        self.selectionModel().currentChanged.connect(self._on_current)
        self.selectionModel().selectionChanged.connect(self._on_selection)

    @property
    def clock(self) -> AgeClock:
        return self._clock

    # --- what is chosen -------------------------------------------------------------------------------

    @property
    def current(self) -> SnapshotId | None:
        """None: the current state, or nothing."""
        return self._model.snapshot_at(self.currentIndex())

    @property
    def chosen(self) -> tuple[SnapshotId, ...]:
        """The snapshots that are selected, without the current state, as the tree lists them."""
        rows = self.selectionModel().selectedRows()
        found = {self._model.snapshot_at(index) for index in rows}
        tree = self._model.tree
        return tuple(info.id for info in tree.snapshots if info.id in found) if tree is not None else ()

    def choose(self, snapshot: SnapshotId | None) -> None:
        """Select one alone; None: the current state."""
        index = self._model.index_of(snapshot)
        if index.isValid() and (self.current != snapshot or len(self.selectionModel().selectedRows()) != 1):
            flags = QItemSelectionModel.SelectionFlag.ClearAndSelect | QItemSelectionModel.SelectionFlag.Rows
            self.selectionModel().setCurrentIndex(index, flags)

    def rename(self) -> None:
        """Edit the title in place."""
        index = self.currentIndex().siblingAtColumn(Column.TITLE)
        if index.isValid() and index.flags() & Qt.ItemFlag.ItemIsEditable:
            self.scrollTo(index)
            self.edit(index)

    # --- room -----------------------------------------------------------------------------------------

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._share_room()

    def scrollTo(
        self,
        index: QModelIndex | QPersistentModelIndex,
        hint: QAbstractItemView.ScrollHint = QAbstractItemView.ScrollHint.EnsureVisible,
    ) -> None:
        super().scrollTo(index, hint)
        bar = self.horizontalScrollBar()
        if bar.maximum() > 0 and index.isValid():  # the title, and not only its column
            left = self.visualRect(index.sibling(index.row(), Column.TITLE)).left()
            if left < 0 or left > self.viewport().width() - _TITLE_ROOM:
                bar.setValue(bar.value() + left - 4 * GRID)

    def _share_room(self) -> None:
        metrics = self.fontMetrics()
        words = (date_words(_WIDE_DATE_S), self.tr("59 minutes ago"))
        taken = max(metrics.horizontalAdvance(text) for text in words) + 2 * GRID
        if self._marks:
            taken += GRID + self.style().pixelMetric(QStyle.PixelMetric.PM_SmallIconSize, None, self)
        size = metrics.horizontalAdvance(formats.size(_WIDE_SIZE)) + 2 * GRID
        room = self.viewport().width() - taken - size
        steps = max(1, self._deepest)
        indent = max(_INDENT[0], min(_INDENT[1], (room - _TITLE_ROOM) // steps))
        if indent != self.indentation():
            self.setIndentation(indent)
        header = self.header()
        header.resizeSection(Column.TITLE, max(room, steps * indent + _TITLE_ROOM))
        header.resizeSection(Column.TAKEN, taken)
        header.resizeSection(Column.SIZE, size)

    # --- following the model --------------------------------------------------------------------------

    @Slot()
    def _on_reset(self) -> None:
        self.expandAll()

    @Slot(QModelIndex, int, int)
    def _on_rows(self, parent: QModelIndex, _first: int, _last: int) -> None:
        if parent.isValid():
            self.expand(parent)

    @Slot(QModelIndex, int, int, QModelIndex, int)
    def _on_moved(self, _from: QModelIndex, _first: int, _last: int, to: QModelIndex, _row: int) -> None:
        if to.isValid():
            self.expand(to)

    @Slot(object)
    def _on_joined(self, homes: list[SnapshotId | None]) -> None:
        for home in homes:
            self.expand(self._model.index_of(home))

    @Slot()
    def _on_tree(self) -> None:
        self._deepest = self._model.deepest
        tree = self._model.tree
        self._marks = tree is not None and any(info.scheduled for info in tree.snapshots)
        current = self._model.index_of(None)  # nothing stands in its other columns
        if current.isValid() and not self.isFirstColumnSpanned(current.row(), current.parent()):
            self.setFirstColumnSpanned(current.row(), current.parent(), True)
        self._share_room()
        self._set_clock()

    @Slot()
    def _on_due(self) -> None:
        self._model.refresh_ages()
        self._set_clock()

    def _set_clock(self) -> None:
        if self.isVisible():
            self._clock.start(self._model.next_due_s())

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._on_due()

    def hideEvent(self, event: QHideEvent) -> None:
        self._clock.stop()
        super().hideEvent(event)

    @Slot()
    def _on_current(self) -> None:
        self.currentSnapshotChanged.emit()

    @Slot()
    def _on_selection(self) -> None:
        self.chosenChanged.emit()

    @Slot(QModelIndex)
    def _on_double_click(self, _index: QModelIndex) -> None:
        self.opened.emit()

    @Slot(QPoint)
    def _on_menu(self, position: QPoint) -> None:
        index = self.indexAt(position)
        if not index.isValid():  # by the keyboard, or beside the rows
            index = self.currentIndex()
            position = self.visualRect(index).center()
        self.menuRequested.emit(self.viewport().mapToGlobal(position))
