"""Snapshots in the order of time, as pictures to scrub through: by the arrow keys, the wheel, or with the mouse held.

GUI thread.
"""

from __future__ import annotations

from PySide6.QtCore import (
    QAbstractListModel,
    QEvent,
    QItemSelectionModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QPoint,
    QRect,
    QSize,
    Qt,
    Signal,
    Slot,
)
from PySide6.QtGui import QFont, QImage, QPainter, QPen, QWheelEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from guivm.engine.snapshots.values import SnapshotId, SnapshotInfo
from guivm.engine.types import VmInfo
from guivm.views import icons
from guivm.views.art import plain_label
from guivm.views.models.snapshot_tree import Column, SnapshotTreeModel
from guivm.views.snapshots.picture_pane import PicturePane, paint_picture
from guivm.views.snapshots.pictures import SnapshotPictures
from guivm.views.snapshots.words import current_title, quoted
from guivm.views.state_words import state_icon_name, state_word
from guivm.views.theme import GRID, tokens_for

_Index = QModelIndex | QPersistentModelIndex
_D = Qt.ItemDataRole
_PICTURE = QSize(160, 100)
_PAD = GRID
_NONE = QModelIndex()


class TimelineModel(QAbstractListModel):
    """The tree's snapshots by time, then the current state."""

    def __init__(self, tree: SnapshotTreeModel, parent: QObject) -> None:
        super().__init__(parent)
        self._tree = tree
        self._ids: list[SnapshotId | None] = []
        tree.treeChanged.connect(self.follow)
        tree.dataChanged.connect(self._on_data)

    def row_of(self, snapshot: SnapshotId | None) -> int:
        """-1: it is not there."""
        return self._ids.index(snapshot) if snapshot in self._ids else -1

    def snapshot_at(self, index: _Index) -> SnapshotId | None:
        return self._ids[index.row()] if index.isValid() else None

    def info_at(self, index: _Index) -> SnapshotInfo | None:
        return self._tree.snapshot(self.snapshot_at(index))

    @Slot()
    def follow(self) -> None:
        tree = self._tree.tree
        wanted: list[SnapshotId | None] = []
        if tree is not None:
            wanted = [info.id for info in sorted(tree.snapshots, key=lambda info: info.taken_s)]
            wanted.append(None)
        if wanted != self._ids:
            self.beginResetModel()
            self._ids = wanted
            self.endResetModel()

    @Slot()
    def _on_data(self) -> None:
        if self._ids:
            self.dataChanged.emit(self.index(0), self.index(len(self._ids) - 1), [])

    def rowCount(self, parent: _Index = _NONE) -> int:
        return 0 if parent.isValid() else len(self._ids)

    def data(self, index: _Index, role: int = _D.DisplayRole) -> object:
        if role not in (_D.DisplayRole, _D.AccessibleTextRole, _D.ToolTipRole) or not index.isValid():
            return None
        return self._tree.index_of(self._ids[index.row()]).data(role)

    def age_at(self, index: _Index) -> str:
        if self.snapshot_at(index) is None:
            return self.tr("now")
        return str(self._tree.index_of(self.snapshot_at(index)).siblingAtColumn(Column.TAKEN).data() or "")


class _Delegate(QStyledItemDelegate):
    def __init__(self, model: TimelineModel, pictures: SnapshotPictures, parent: QObject) -> None:
        super().__init__(parent)
        self._model = model
        self._pictures = pictures

    def sizeHint(self, option: QStyleOptionViewItem, _index: _Index) -> QSize:
        lines = 2 * option.fontMetrics.height() + GRID // 2 + 2
        return QSize(_PICTURE.width() + 2 * _PAD, _PICTURE.height() + lines + 2 * _PAD + GRID // 2)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        rect = QRect(option.rect.topLeft(), self.sizeHint(option, index))
        tokens = tokens_for(option.palette)
        chosen = bool(option.state & QStyle.StateFlag.State_Selected)
        painter.save()
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        if chosen:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(tokens.selection)
            painter.drawRoundedRect(rect.adjusted(1, 1, -1, -1), GRID, GRID)
        place = QRect(rect.topLeft() + QPoint(_PAD, _PAD), _PICTURE)
        info = self._model.info_at(index)
        image = self._pictures.small(info.id) if info is not None and info.has_picture else None
        paint_picture(painter, place, image if image is not None else QImage(), tokens, 5)
        if image is None or image.isNull():
            name = "start" if info is None else "memory" if info.has_memory else "disk"
            icons.paint(painter, QRect(place.center() - QPoint(12, 12), QSize(24, 24)), name, tokens.quiet)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(tokens.accent if chosen else tokens.border, 2 if chosen else 1))
        painter.drawRoundedRect(place, 5, 5)
        font = QFont(option.font)
        font.setBold(info is None)
        painter.setFont(font)
        metrics = painter.fontMetrics()
        line = QRect(place.left(), place.bottom() + GRID // 2 + 2, place.width(), metrics.height())
        painter.setPen(tokens.text)
        title = metrics.elidedText(str(index.data()), Qt.TextElideMode.ElideRight, line.width())
        painter.drawText(line, Qt.AlignmentFlag.AlignHCenter, title)
        painter.setFont(option.font)
        painter.setPen(tokens.quiet)
        painter.drawText(line.translated(0, metrics.height()), Qt.AlignmentFlag.AlignHCenter, self._model.age_at(index))
        painter.restore()


class TimelineStrip(QListView):
    """One row of pictures."""

    def __init__(self, model: TimelineModel, pictures: SnapshotPictures, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("snapshot-strip")
        self.setAccessibleName(self.tr("Snapshots in the order of time"))
        self.setModel(model)
        self.setItemDelegate(_Delegate(model, pictures, self))
        self.setFlow(QListView.Flow.LeftToRight)
        self.setWrapping(False)
        self.setUniformItemSizes(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)  # and drags select, too
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self._fit()

    def _fit(self) -> None:
        cell = 2 * self.fontMetrics().height() + _PICTURE.height() + 2 * _PAD + GRID + 2
        self.setFixedHeight(cell + 12 + 2 * GRID)  # with its scroll bar

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._fit()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """The wheel goes along the time."""
        steps = event.angleDelta().y() or event.angleDelta().x()
        bar = self.horizontalScrollBar()
        bar.setValue(bar.value() - steps)
        event.accept()


class SnapshotTimeline(QWidget):
    """A large picture over the strip."""

    opened = Signal()
    menuRequested = Signal(QPoint)  # global
    currentSnapshotChanged = Signal()

    def __init__(self, tree: SnapshotTreeModel, pictures: SnapshotPictures, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("snapshot-timeline")
        self._pictures = pictures
        self._tree = tree
        self._vm: VmInfo | None = None
        self._model = TimelineModel(tree, self)
        self.picture = PicturePane("snapshot-preview", self, fills=True)
        self.caption = plain_label("", self, name="snapshot-preview-caption", role="strong")
        self.caption.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self.strip = TimelineStrip(self._model, pictures, self)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(GRID)
        column.addWidget(self.picture, 1)
        column.addWidget(self.caption)
        column.addWidget(self.strip)
        self.strip.selectionModel().currentChanged.connect(self._on_current)
        self.strip.doubleClicked.connect(self._on_double_click)
        self.strip.customContextMenuRequested.connect(self._on_menu)
        pictures.loaded.connect(self._on_loaded)
        self._model.follow()

    @property
    def current(self) -> SnapshotId | None:
        """None: the current state, or nothing."""
        return self._model.snapshot_at(self.strip.currentIndex())

    def choose(self, snapshot: SnapshotId | None) -> None:
        """Show one; None: the current state."""
        row = self._model.row_of(snapshot)
        if row >= 0 and self.strip.currentIndex().row() != row:
            flag = QItemSelectionModel.SelectionFlag.ClearAndSelect
            self.strip.selectionModel().setCurrentIndex(self._model.index(row), flag)
            self.strip.scrollTo(self._model.index(row), QAbstractItemView.ScrollHint.PositionAtCenter)

    def set_vm(self, vm: VmInfo) -> None:
        self._vm = vm
        self._show_picture()

    def _show_picture(self) -> None:
        snapshot = self.current
        info = self._tree.snapshot(snapshot)
        if snapshot is None or info is None:
            self.caption.setText(current_title(self._tree.tree))
            state = self._vm.state if self._vm is not None else None
            self.picture.show_word(state_icon_name(state) if state else "", state_word(state) if state else "")
            return
        self.caption.setText(info.title)
        image = self._pictures.large(snapshot) if info.has_picture else None
        if image is not None and not image.isNull():
            self.picture.show_image(image, self.tr("Screen when {title} was taken").format(title=quoted(info.title)))
        elif info.has_picture and image is None:
            small = self._pictures.small(snapshot)  # until the sharp one is there
            self.picture.show_image(small, "") if small is not None else self.picture.show_word("", "")
        else:
            self.picture.show_word("memory" if info.has_memory else "disk", self.tr("No picture"))

    @Slot()
    def _on_current(self) -> None:
        self._show_picture()
        self.currentSnapshotChanged.emit()

    @Slot(object)
    def _on_loaded(self, snapshot: SnapshotId) -> None:
        row = self._model.row_of(snapshot)
        if row >= 0 and self.isVisible():
            self.strip.update(self._model.index(row))
            if snapshot == self.current:
                self._show_picture()

    @Slot(QModelIndex)
    def _on_double_click(self, _index: QModelIndex) -> None:
        self.opened.emit()

    @Slot(QPoint)
    def _on_menu(self, position: QPoint) -> None:
        self.menuRequested.emit(self.strip.viewport().mapToGlobal(position))
