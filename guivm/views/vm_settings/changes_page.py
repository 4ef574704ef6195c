"""What was changed here and is not applied, and what waits for the next start: in the open. GUI thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import (
    QAbstractItemModel,
    QAbstractListModel,
    QCoreApplication,
    QEvent,
    QModelIndex,
    QPersistentModelIndex,
    QRect,
    QSize,
    Qt,
    Signal,
    Slot,
)
from PySide6.QtGui import QFont, QKeySequence, QMouseEvent, QPainter, QShortcut
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QListView,
    QStackedWidget,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from guivm.engine.options import catalogue
from guivm.engine.options.values import Change, ChangeKind
from guivm.engine.xml.diff import unified
from guivm.views.forms import plain_label
from guivm.views.icons import Tint, icon
from guivm.views.theme import GRID, tokens_for
from guivm.views.vm_settings.command_page import CommandView
from guivm.views.vm_settings.diff_view import DiffView
from guivm.views.vm_settings.draft import AUTOSTART, Draft
from guivm.views.vm_settings.editors import small_button, translated
from guivm.views.vm_settings.outcomes import change_words

_Index = QModelIndex | QPersistentModelIndex
ROW_ROLE = Qt.ItemDataRole.UserRole + 1
_MARGIN = 4 * GRID
_REVERT_WIDTH = 9 * GRID


@dataclass(frozen=True, slots=True)
class Row:
    """``change`` None: the heading of a section."""

    title: str
    note: str = ""
    change: Change | None = None
    waits: bool = False  # for the next start; otherwise not applied yet


def can_be_live(change: Change) -> bool:
    """Whether a running VM may take it."""
    for resource in catalogue.RESOURCES:
        if resource.id == change.place.resource:
            if change.kind is not ChangeKind.CHANGED and not change.label:
                return resource.hotplug
            return any(option.live for option in resource.options if option.id == change.place.option)
    return change.place == AUTOSTART


class ChangesModel(QAbstractListModel):
    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._rows: tuple[Row, ...] = ()

    def fill(self, changes: tuple[Change, ...], pending: tuple[Change, ...], *, is_running: bool) -> None:
        rows: list[Row] = []
        if changes:
            rows.append(Row(self.tr("Not applied yet")))
            for change in changes:
                live = change.place == AUTOSTART or can_be_live(change)
                note = self.tr("the running VM can take it") if live else self.tr("from the next start on")
                rows.append(Row(change_words(change), note if is_running else "", change))
        edited = {change.place for change in changes}
        waiting = [change for change in pending if change.place not in edited]
        if waiting:
            rows.append(Row(self.tr("Waits for the next start")))
            rows += [Row(change_words(c), self.tr("stored; the running VM has the old"), c, True) for c in waiting]
        if tuple(rows) != self._rows:
            self.beginResetModel()
            self._rows = tuple(rows)
            self.endResetModel()

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self._rows)

    def flags(self, index: _Index) -> Qt.ItemFlag:
        row = self._rows[index.row()]
        if row.change is None:
            return Qt.ItemFlag.ItemNeverHasChildren
        return Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemNeverHasChildren

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        row = self._rows[index.row()]
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return row.title
            case Qt.ItemDataRole.AccessibleTextRole:
                return row.title if row.change is None else f"{row.title}: {difference_words(row.change)}. {row.note}"
            case _ if role == ROW_ROLE:
                return row
        return None


def difference_words(change: Change) -> str:
    """ "1 GiB → 2 GiB"; of a device that came or went, what it is."""
    if change.kind is ChangeKind.ADDED:
        return _tr("Added: {words}").format(words=change.new) if change.new else _tr("Added")
    if change.kind is ChangeKind.REMOVED:
        return _tr("Removed: {words}").format(words=change.old) if change.old else _tr("Removed")
    nothing = _tr("nothing")
    return f"{translated(change.old) or nothing}  →  {translated(change.new) or nothing}"


def _tr(text: str) -> str:
    return QCoreApplication.translate("ChangesPage", text)


class _Delegate(QStyledItemDelegate):
    """A heading; or what it is, old → new, and at the right where it stands and Revert."""

    revertClicked = Signal(int)  # row

    def sizeHint(self, option: QStyleOptionViewItem, index: _Index) -> QSize:
        line = option.fontMetrics.height()
        is_heading = index.data(ROW_ROLE).change is None
        return QSize(30 * GRID, line + 2 * GRID + 4 if is_heading else 2 * line + 2 * GRID + 2)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        row: Row = index.data(ROW_ROLE)
        tokens = tokens_for(option.palette)
        rect = option.rect.adjusted(2, 1, -2, -1)
        line = option.fontMetrics.height()
        elide = Qt.TextElideMode.ElideRight
        leading = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeading
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        bold = QFont(option.font)
        bold.setWeight(QFont.Weight.DemiBold)
        if row.change is None:
            painter.setFont(bold)
            painter.setPen(tokens.quiet)
            painter.drawText(rect.adjusted(GRID, GRID, 0, 0), leading, row.title)
            painter.restore()
            return
        painter.setPen(Qt.PenStyle.NoPen)
        if option.state & QStyle.StateFlag.State_Selected:
            painter.setBrush(tokens.selection)
            painter.drawRoundedRect(rect, 7, 7)
        elif option.state & QStyle.StateFlag.State_MouseOver:
            painter.setBrush(tokens.hover)
            painter.drawRoundedRect(rect, 7, 7)
        self._mark(painter, rect, row, tokens.accent)
        revert = revert_rect(option.rect)
        text = rect.adjusted(4 * GRID, 0, -(_REVERT_WIDTH + GRID), 0)
        text.setHeight(line)
        text.moveTop(rect.center().y() - line)
        small = QFont(option.font)
        small.setPointSizeF(option.font.pointSizeF() * 0.9)
        painter.setFont(small)
        painter.setPen(tokens.quiet)
        note_width = painter.fontMetrics().horizontalAdvance(row.note)
        note = QRect(text.left(), revert.top(), text.width(), revert.height())  # as high as "Revert" beside it
        painter.drawText(note, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignTrailing, row.note)
        if row.note:
            text.setWidth(max(text.width() - note_width - 2 * GRID, 0))
        painter.setFont(option.font)
        painter.setPen(tokens.text)
        title = option.fontMetrics.elidedText(row.title, elide, text.width())
        painter.drawText(text, leading, title)
        text.translate(0, line + 1)
        painter.setPen(tokens.quiet)
        words = option.fontMetrics.elidedText(difference_words(row.change), elide, text.width())
        painter.drawText(text, leading, words)
        painter.setPen(tokens.link)
        painter.drawText(revert, Qt.AlignmentFlag.AlignCenter, self.tr("Revert"))
        painter.restore()

    def _mark(self, painter: QPainter, rect: QRect, row: Row, accent: Any) -> None:
        """Filled: not applied. A ring: it waits."""
        painter.setPen(accent)
        painter.setBrush(Qt.BrushStyle.NoBrush if row.waits else accent)
        place = QRect(rect.left() + GRID + 4, rect.center().y() - 4, 8, 8)
        painter.drawEllipse(place)

    def editorEvent(
        self, event: QEvent, model: QAbstractItemModel, option: QStyleOptionViewItem, index: _Index
    ) -> bool:
        if (
            isinstance(event, QMouseEvent)
            and event.type() == QEvent.Type.MouseButtonRelease
            and event.button() == Qt.MouseButton.LeftButton
            and index.data(ROW_ROLE).change is not None
            and revert_rect(option.rect).contains(event.position().toPoint())
        ):
            self.revertClicked.emit(index.row())
            return True
        return super().editorEvent(event, model, option, index)


def revert_rect(row: QRect) -> QRect:
    """Where "Revert" stands in a row."""
    return QRect(row.right() - _REVERT_WIDTH, row.top(), _REVERT_WIDTH, row.height())


class ChangesPage(QWidget):
    """``placeRequested`` carries the place of a change that was opened."""

    shutDownRequested = Signal()
    restartRequested = Signal()
    placeRequested = Signal(object)  # Place

    def __init__(self, draft: Draft, pending: tuple[Change, ...], parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("changes-page")
        self._draft = draft
        self._pending = pending
        self._model = ChangesModel(self)
        self.list = QListView(self)
        self.list.setObjectName("changes")
        self.list.setAccessibleName(self.tr("Changes"))
        self.list.setModel(self._model)
        delegate = _Delegate(self.list)
        delegate.revertClicked.connect(self._revert)
        self.list.setItemDelegate(delegate)
        self.list.setMouseTracking(True)
        self.list.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.list.activated.connect(self._on_activated)
        self.list.selectionModel().currentChanged.connect(self._update)
        self.setFocusProxy(self.list)
        self._empty = self._make_empty()
        self._stack = QStackedWidget(self)
        self._stack.addWidget(self.list)
        self._stack.addWidget(self._empty)
        column = QVBoxLayout(self)
        column.setContentsMargins(_MARGIN, 0, _MARGIN, GRID)
        column.setSpacing(GRID + 4)
        column.addWidget(self._stack, 3)
        column.addLayout(self._make_buttons())
        column.addWidget(self._make_details(), 2)
        shortcut = QShortcut(QKeySequence(Qt.Key.Key_Delete), self.list)
        shortcut.setContext(Qt.ShortcutContext.WidgetShortcut)
        shortcut.activated.connect(self._on_revert)
        draft.edited.connect(self._refresh)
        self._refresh()

    def set_pending(self, pending: tuple[Change, ...]) -> None:
        """What waits for the next start, read anew."""
        self._pending = pending
        self._refresh()

    # --- building -------------------------------------------------------------------------------------

    def _make_empty(self) -> QWidget:
        box = QWidget(self)
        box.setObjectName("no-changes")
        symbol = QLabel(box)
        symbol.setPixmap(icon("success", Tint.QUIET).pixmap(QSize(4 * GRID, 4 * GRID), self.devicePixelRatioF()))
        symbol.setAlignment(Qt.AlignmentFlag.AlignCenter)
        words = plain_label(self.tr("Nothing is changed, and nothing waits for the next start."), box, wrap=True)
        words.setAlignment(Qt.AlignmentFlag.AlignCenter)
        words.setProperty("tone", "quiet")
        column = QVBoxLayout(box)
        column.setSpacing(GRID + 4)
        column.addStretch(2)
        column.addWidget(symbol)
        column.addWidget(words)
        column.addStretch(3)
        return box

    def _make_buttons(self) -> QHBoxLayout:
        self.revert_button = small_button(self.tr("Re&vert this"), "revert-this", self)
        self.revert_button.clicked.connect(self._on_revert)
        self.shut_down_button = small_button(self.tr("Shut &down and apply"), "shut-down-and-apply", self)
        self.shut_down_button.clicked.connect(self.shutDownRequested)
        self.restart_button = small_button(self.tr("Restart no&w"), "restart-now", self)
        self.restart_button.clicked.connect(self.restartRequested)
        self.command_button = small_button(self.tr("Show as co&mmand"), "show-commands", self)
        self.diff_button = small_button(self.tr("Show the XML di&fference"), "show-diff", self)
        for button in (self.command_button, self.diff_button):
            button.setCheckable(True)
            button.clicked.connect(self._on_details)
        row = QHBoxLayout()
        row.setSpacing(GRID)
        for widget in (self.revert_button, self.command_button, self.diff_button):
            row.addWidget(widget)
        row.addStretch(1)
        for widget in (self.shut_down_button, self.restart_button):
            row.addWidget(widget)
        return row

    def _make_details(self) -> QWidget:
        self._details = QStackedWidget(self)
        self.commands = CommandView(self._draft, self)
        self.diff = DiffView("xml-difference", self.tr("Difference of the XML"), self)
        self.diff.setFrameShape(QFrame.Shape.StyledPanel)
        for view in (self.commands, self.diff):
            self._details.addWidget(view)
        self._details.hide()
        return self._details

    # --- showing --------------------------------------------------------------------------------------

    @Slot()
    def _refresh(self) -> None:
        current = self.list.currentIndex().row()
        changes = self._draft.changes()
        self._model.fill(changes, self._pending, is_running=self._draft.is_running)
        count = self._model.rowCount()
        self._stack.setCurrentWidget(self.list if count else self._empty)
        if count and not self.list.currentIndex().isValid():
            row = min(max(current, 1), count - 1)
            rows = [*range(row, count), *range(row, 0, -1)]
            usable = next((r for r in rows if self._model.index(r).data(ROW_ROLE).change is not None), -1)
            self.list.setCurrentIndex(self._model.index(usable))
        self._update()
        self._fill_details()

    @Slot()
    def _update(self) -> None:
        running, count = self._draft.is_running, self._model.rowCount()
        self.revert_button.setEnabled(self._row() is not None)
        for button in (self.shut_down_button, self.restart_button):
            button.setVisible(running and count > 0)
        for button in (self.revert_button, self.command_button, self.diff_button):
            button.setVisible(count > 0)

    def _row(self) -> Row | None:
        row = self.list.currentIndex().data(ROW_ROLE)
        return row if isinstance(row, Row) and row.change is not None else None

    @Slot(bool)
    def _on_details(self, shown: bool) -> None:
        sender = self.sender()
        for button in (self.command_button, self.diff_button):
            if button is not sender:
                button.setChecked(False)
        self._details.setVisible(shown)
        self._fill_details()

    def _fill_details(self) -> None:
        if self.command_button.isChecked():
            self._details.setCurrentWidget(self.commands)
            self.commands.fill()
        elif self.diff_button.isChecked():
            self._details.setCurrentWidget(self.diff)
            settings = self._draft.settings
            self.diff.set_diff(unified(settings.xml, self._draft.xml, "domain") or self.tr("The XML is as it was."))

    # --- doing ----------------------------------------------------------------------------------------

    @Slot()
    def _on_revert(self) -> None:
        self._revert(self.list.currentIndex().row())

    @Slot(int)
    def _revert(self, number: int) -> None:
        row = self._model.index(number).data(ROW_ROLE)
        if not isinstance(row, Row) or row.change is None:
            return
        if row.waits:
            self._draft.revert_pending(row.change)
        else:
            self._draft.revert(row.change)

    @Slot(QModelIndex)
    def _on_activated(self, index: QModelIndex) -> None:
        row = index.data(ROW_ROLE)
        if isinstance(row, Row) and row.change is not None:
            self.placeRequested.emit(row.change.place)
