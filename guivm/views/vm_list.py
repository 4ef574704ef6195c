"""The left pane: search field, the list of VMs, and what to show when nothing matches."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import QByteArray, QItemSelection, QItemSelectionModel, QPoint, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QAction, QFocusEvent, QKeyEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QMenu,
    QPushButton,
    QStackedWidget,
    QTreeView,
    QVBoxLayout,
    QWidget,
)

from guivm.engine.types import VmInfo, VmKey
from guivm.views import formats, icons
from guivm.views.art import Art
from guivm.views.models.vm_filter import VmFilterModel
from guivm.views.models.vm_table import Column, VmTableModel
from guivm.views.theme import GRID
from guivm.views.vm_delegate import VmDelegate


class SearchField(QLineEdit):
    """Esc clears it and, when it is empty, leaves it; Down and Enter go to the list."""

    left = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("search")
        self.setAccessibleName(self.tr("Search virtual machines"))
        self.setAccessibleDescription(self.tr("Filters by name, title, state, host and notes"))
        self.setPlaceholderText(self.tr("Search"))
        self.addAction(icons.icon("search", icons.Tint.QUIET), QLineEdit.ActionPosition.LeadingPosition)
        self._clear = self.addAction(icons.icon("close", icons.Tint.QUIET), QLineEdit.ActionPosition.TrailingPosition)
        self._clear.setObjectName("search-clear")
        self._clear.setToolTip(self.tr("Clear search"))
        self._clear.setText(self.tr("Clear search"))
        self._clear.setVisible(False)
        self._clear.triggered.connect(self.clear)
        self.textChanged.connect(self._on_text)

    @Slot(str)
    def _on_text(self, text: str) -> None:
        self._clear.setVisible(bool(text))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            if self.text():
                self.clear()
            else:
                self.left.emit()
        elif event.key() in (Qt.Key.Key_Down, Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.left.emit()
        else:
            super().keyPressEvent(event)


class VmTreeView(QTreeView):
    """A flat list with columns; Enter opens, typing looks for a name."""

    opened = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("vm-list")
        self.setAccessibleName(self.tr("Virtual machines"))
        self.setProperty("sidebar", True)
        self.setRootIsDecorated(False)
        self.setItemsExpandable(False)
        self.setIndentation(0)
        self.setUniformRowHeights(True)
        self.setAllColumnsShowFocus(False)
        self.setSortingEnabled(False)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setMouseTracking(True)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.setItemDelegate(VmDelegate(self))
        self.doubleClicked.connect(self.opened)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and not event.modifiers():
            self.opened.emit()
            event.accept()
        else:
            super().keyPressEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        if not self.currentIndex().isValid() and self.model() is not None and self.model().rowCount():
            self.selectionModel().setCurrentIndex(
                self.model().index(0, Column.NAME), QItemSelectionModel.SelectionFlag.NoUpdate
            )


class VmListPane(QFrame):
    """Search, list, count. ``selectionChanged`` also comes when a selected VM's value changed."""

    selectionChanged = Signal()
    opened = Signal(object)  # VmKey: Enter or double click
    contextMenuRequested = Signal(QPoint)  # global position

    def __init__(self, table: VmTableModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("vm-list-pane")
        self.setProperty("sidebar", True)
        self._table = table
        self._last: tuple[VmInfo, ...] = ()
        self._quiet = False
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(0)
        self._later.timeout.connect(self._tell)
        self.filter = VmFilterModel(table, self)
        self.search = SearchField(self)
        self.view = VmTreeView(self)
        self.view.setModel(self.filter)
        self._set_up_header()
        self.count = QLabel(self)
        self.count.setObjectName("vm-count")
        self.count.setTextFormat(Qt.TextFormat.PlainText)
        self.count.setProperty("role", "caption")
        self._stack = QStackedWidget(self)
        self._stack.addWidget(self.view)

        top = QHBoxLayout()
        top.setContentsMargins(GRID + 4, GRID + 4, GRID + 4, GRID // 2)
        top.addWidget(self.search)
        bottom = QHBoxLayout()
        bottom.setContentsMargins(2 * GRID, GRID // 2, 2 * GRID, GRID)
        bottom.addWidget(self.count, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(top)
        layout.addWidget(self._stack, 1)
        layout.addLayout(bottom)
        self.setTabOrder(self.search, self.view)

        self.search.textChanged.connect(self._on_search)
        self.search.left.connect(self.view.setFocus)
        self.view.opened.connect(self._on_opened)
        self.view.customContextMenuRequested.connect(self._on_context_menu)
        self.view.selectionModel().selectionChanged.connect(self._on_selection)
        for signal in (self.filter.rowsInserted, self.filter.rowsRemoved, self.filter.modelReset):
            signal.connect(self._update_count)
        for signal in (table.rowsInserted, table.rowsRemoved):
            signal.connect(self._update_count)
        table.dataChanged.connect(self._on_data)
        self._update_count()

    def add_footer(self, widget: QWidget) -> None:
        """Put a widget under the list."""
        layout = self.layout()
        assert isinstance(layout, QVBoxLayout)
        layout.insertWidget(2, widget)

    # --- selection ------------------------------------------------------------------------------------

    def selected(self) -> tuple[VmInfo, ...]:
        """The selected VMs in the order of the list."""
        # By ranges: selectedRows() asks the model about every cell.
        ranges = self.view.selectionModel().selection()
        rows: set[int] = set()
        for number in range(ranges.count()):
            rows.update(range(ranges.at(number).top(), ranges.at(number).bottom() + 1))
        return tuple(self.filter.vms_at(sorted(rows)))

    def select(self, keys: Iterable[VmKey]) -> None:
        """Select exactly these VMs (those that are in the list) and bring the first into view."""
        selection = QItemSelection()
        first = None
        for key in keys:
            index = self.filter.index_of(key)
            if index.isValid():
                selection.select(index, index)
                first = index if first is None else first
        flags = QItemSelectionModel.SelectionFlag.ClearAndSelect | QItemSelectionModel.SelectionFlag.Rows
        self._quiet = True
        self.view.selectionModel().select(selection, flags)
        if first is not None:
            self.view.selectionModel().setCurrentIndex(first, QItemSelectionModel.SelectionFlag.NoUpdate)
            self.view.scrollTo(first)
        self._quiet = False
        self._tell()

    @Slot(QItemSelection, QItemSelection)
    def _on_selection(self, _new: QItemSelection, _old: QItemSelection) -> None:
        if not self._quiet:
            self._tell()

    @Slot()
    def _on_data(self) -> None:
        if self._last:
            self._later.start()  # once for all that changed in this turn

    @Slot()
    def _tell(self) -> None:
        selected = self.selected()
        if selected != self._last:
            self._last = selected
            self.selectionChanged.emit()

    @Slot()
    def _on_opened(self) -> None:
        vm = self.filter.vm_at(self.view.currentIndex())
        if vm is not None:
            self.opened.emit(vm.key)

    # --- search ---------------------------------------------------------------------------------------

    @Slot()
    def focus_search(self) -> None:
        self.search.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.search.selectAll()

    @Slot()
    def clear_search(self) -> None:
        self.search.clear()
        self.view.setFocus(Qt.FocusReason.OtherFocusReason)

    @Slot(str)
    def _on_search(self, text: str) -> None:
        self.filter.set_filter_text(text)
        self._update_count()
        rows = self.view.selectionModel().selectedRows(Column.NAME)
        if rows:
            self.view.scrollTo(rows[0])

    @Slot()
    def _update_count(self) -> None:
        shown, total = self.filter.rowCount(), self._table.rowCount()
        if self.filter.is_filtering:
            text = self.tr("{shown} of {total}").format(shown=formats.number(shown), total=formats.number(total))
        elif total:
            text = formats.counted(total, self.tr("{n} virtual machine"), self.tr("{n} virtual machines"))
        else:
            text = ""
        self.count.setText(text)
        no_match = self.filter.is_filtering and not shown
        if no_match and self._stack.count() == 1:
            self._stack.addWidget(self._make_no_match())
        self._stack.setCurrentIndex(1 if no_match else 0)

    def _make_no_match(self) -> QWidget:
        page = QWidget(self)
        page.setObjectName("no-match")
        words = QLabel(self.tr("No virtual machine matches the search."), page)
        words.setTextFormat(Qt.TextFormat.PlainText)
        words.setProperty("tone", "quiet")
        words.setWordWrap(True)
        words.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        clear = QPushButton(self.tr("Clear Search"), page)
        clear.setObjectName("no-match-clear")
        clear.setAccessibleName(self.tr("Clear search"))
        clear.clicked.connect(self.clear_search)
        layout = QVBoxLayout(page)
        layout.setContentsMargins(3 * GRID, 6 * GRID, 3 * GRID, 3 * GRID)
        layout.setSpacing(2 * GRID)
        layout.addWidget(Art("art-search", 48, page), 0, Qt.AlignmentFlag.AlignHCenter)
        layout.addWidget(words)
        layout.addWidget(clear, 0, Qt.AlignmentFlag.AlignHCenter)
        layout.addStretch(1)
        return page

    # --- header ---------------------------------------------------------------------------------------

    def _set_up_header(self) -> None:
        header = self.view.header()
        header.setObjectName("vm-list-header")
        header.setAccessibleName(self.tr("Columns"))
        header.setStretchLastSection(True)
        header.setSectionsMovable(True)
        header.setSectionsClickable(True)
        header.setSortIndicatorShown(True)
        header.setFirstSectionMovable(False)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header.setMinimumSectionSize(7 * GRID)
        header.resizeSection(Column.NAME, 27 * GRID)
        for column in Column:
            if column is not Column.NAME:
                header.resizeSection(column, 12 * GRID)
                header.hideSection(column)
        header.setSortIndicator(Column.NAME, Qt.SortOrder.AscendingOrder)
        header.sortIndicatorChanged.connect(self._on_sort)
        header.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        header.customContextMenuRequested.connect(self._on_header_menu)

    @Slot(int, Qt.SortOrder)
    def _on_sort(self, column: int, order: Qt.SortOrder) -> None:
        self.filter.sort(column, order)

    def header_state(self) -> QByteArray:
        return self.view.header().saveState()

    def restore_header(self, state: QByteArray) -> None:
        header = self.view.header()
        if state.isEmpty() or not header.restoreState(state):
            return
        header.showSection(Column.NAME)
        header.setStretchLastSection(True)
        self.filter.sort(header.sortIndicatorSection(), header.sortIndicatorOrder())

    def column_actions(self, menu: QMenu) -> list[QAction]:
        """A checkable action for every column that can be hidden."""
        header = self.view.header()
        actions: list[QAction] = []
        for column in Column:
            if column is Column.NAME:
                continue
            title = str(self._table.headerData(column, Qt.Orientation.Horizontal))
            action = menu.addAction(title)
            action.setObjectName(f"column-{column.name.lower()}")
            action.setCheckable(True)
            action.setChecked(not header.isSectionHidden(column))
            action.setData(int(column))
            action.toggled.connect(self._on_column_toggled)
            actions.append(action)
        return actions

    @Slot(bool)
    def _on_column_toggled(self, on: bool) -> None:
        sender = self.sender()
        if isinstance(sender, QAction):
            self.view.header().setSectionHidden(int(sender.data()), not on)

    @Slot(QPoint)
    def _on_header_menu(self, position: QPoint) -> None:
        menu = QMenu(self)
        menu.setObjectName("columns-menu")
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.column_actions(menu)
        menu.popup(self.view.header().mapToGlobal(position))

    @Slot(QPoint)
    def _on_context_menu(self, position: QPoint) -> None:
        if self.view.indexAt(position).isValid() or self.selected():
            self.contextMenuRequested.emit(self.view.viewport().mapToGlobal(position))
