"""Which of the host's CPUs each of the guest's may run on, as a grid. GUI thread."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, QRect, QSize, Qt, Signal, Slot
from PySide6.QtGui import QKeyEvent, QPainter, QPen
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from guivm.engine.options.option import Option
from guivm.engine.options.processors import (
    check_cpu_set,
    cpu_set,
    cpu_set_text,
    get_count,
    get_pinning,
    pinning_text,
    pins_of,
)
from guivm.views.theme import GRID, tokens_for
from guivm.views.vm_settings.draft import Draft, Part
from guivm.views.vm_settings.editors import small_button, translated
from guivm.views.vm_settings.pieces import quiet_label
from guivm.views.vm_settings.registry import CustomEditor

_Index = QModelIndex | QPersistentModelIndex
_ROOT = QModelIndex()
_CELL = 28
_RANGE_WIDTH = 14 * GRID
_MOST_ROWS = 10
_USUAL_WIDTH = 600


class PinningModel(QAbstractTableModel):
    """First column: the set as text; then one for each CPU of the host. A vCPU without a pin may run on any."""

    edited = Signal()
    refused = Signal(str)

    def __init__(self, host_cpus: int, parent: QWidget) -> None:
        super().__init__(parent)
        self._host = host_cpus
        self._count = 0
        self._pins: dict[int, frozenset[int]] = {}

    def show(self, count: int, pins: dict[int, frozenset[int]]) -> None:
        host = max([self._host, *(max(cpus, default=0) + 1 for cpus in pins.values())])
        if (count, host) != (self._count, self._host):
            self.beginResetModel()
            self._count, self._host, self._pins = count, host, pins
            self.endResetModel()
        elif pins != self._pins:
            self._pins = pins
            self._tell()

    @property
    def pins(self) -> dict[int, frozenset[int]]:
        return dict(self._pins)

    def _tell(self) -> None:
        if self._count:
            self.dataChanged.emit(self.index(0, 0), self.index(self._count - 1, self._host))

    def rowCount(self, parent: _Index = _ROOT) -> int:
        return 0 if parent.isValid() else self._count

    def columnCount(self, parent: _Index = _ROOT) -> int:
        return 0 if parent.isValid() else self._host + 1

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> str | None:
        if role not in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            return None
        if orientation == Qt.Orientation.Vertical:
            return self.tr("CPU {n}").format(n=section)
        return self.tr("Host CPUs") if section == 0 else str(section - 1)

    def may_run(self, vcpu: int, host_cpu: int) -> bool:
        return host_cpu in self._pins.get(vcpu, frozenset(range(self._host)))

    def is_pinned(self, vcpu: int) -> bool:
        return vcpu in self._pins

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        if not index.isValid():
            return None
        row, column = index.row(), index.column()
        if column == 0:
            text = cpu_set_text(self._pins[row]) if row in self._pins else ""
            if role == Qt.ItemDataRole.EditRole:
                return text
            return (text or self.tr("all")) if role == Qt.ItemDataRole.DisplayRole else None
        on = self.may_run(row, column - 1)
        if role == Qt.ItemDataRole.AccessibleTextRole:
            words = self.tr("CPU {a} on host CPU {b}: yes") if on else self.tr("CPU {a} on host CPU {b}: no")
            return words.format(a=row, b=column - 1)
        return None

    def setData(self, index: _Index, value: object, role: int = Qt.ItemDataRole.EditRole) -> bool:
        if role != Qt.ItemDataRole.EditRole or index.column() != 0:
            return False
        text = str(value).replace(" ", "")
        if text in ("", self.tr("all"), "all"):
            self._set(index.row(), None)
            return True
        problem = check_cpu_set(text)
        cpus = frozenset() if problem else cpu_set(text)
        if not cpus:
            self.refused.emit(translated(problem) or self.tr("There must be at least one CPU to run on."))
            return False
        self._set(index.row(), cpus)
        return True

    def toggle(self, index: _Index) -> None:
        """A vCPU that could run on any is tied to the one; the last one of a set stays."""
        row, cpu = index.row(), index.column() - 1
        if not index.isValid() or cpu < 0:
            return
        present = self._pins.get(row)
        if present is None:
            self._set(row, frozenset({cpu}))
            return
        wanted = present ^ {cpu}
        if wanted:
            self._set(row, None if len(wanted) == self._host else wanted)

    def clear(self) -> None:
        self._pins = {}
        self._tell()
        self.edited.emit()

    def one_to_one(self) -> None:
        """vCPU n on host CPU n, round and round."""
        self._pins = {row: frozenset({row % self._host}) for row in range(self._count)}
        self._tell()
        self.edited.emit()

    def _set(self, row: int, cpus: frozenset[int] | None) -> None:
        if cpus is None:
            self._pins.pop(row, None)
        else:
            self._pins[row] = cpus
        self._pins = dict(sorted(self._pins.items()))
        self.dataChanged.emit(self.index(row, 0), self.index(row, self._host))
        self.edited.emit()

    def flags(self, index: _Index) -> Qt.ItemFlag:
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        return flags | Qt.ItemFlag.ItemIsEditable if index.isValid() and index.column() == 0 else flags


class _Cells(QStyledItemDelegate):
    """Full squares where a CPU is tied, faint ones where it is merely allowed."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        if index.column() == 0:
            super().paint(painter, option, index)
            return
        model = index.model()
        assert isinstance(model, PinningModel)
        tokens = tokens_for(option.palette)
        rect: QRect = option.rect
        side = 16
        box = QRect(rect.center().x() - side // 2 + 1, rect.center().y() - side // 2 + 1, side, side)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        on, pinned = model.may_run(index.row(), index.column() - 1), model.is_pinned(index.row())
        painter.setPen(QPen(tokens.accent if on and pinned else tokens.border_strong, 1))
        painter.setBrush(tokens.accent if on and pinned else tokens.pressed if on else tokens.card)
        painter.drawRoundedRect(box, 4, 4)
        if option.state & QStyle.StateFlag.State_HasFocus:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(tokens.link, 2))
            painter.drawRoundedRect(box.adjusted(-3, -3, 3, 3), 6, 6)
        painter.restore()

    def createEditor(self, parent: QWidget, _option: QStyleOptionViewItem, _index: _Index) -> QWidget:
        edit = QLineEdit(parent)
        edit.setObjectName("cell")
        edit.setAccessibleName(self.tr("Host CPUs, as 0-3,8"))
        edit.setPlaceholderText("0-3,8")
        edit.setProperty("cell", True)
        return edit


class _Grid(QTableView):
    toggled = Signal(QModelIndex)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        index = self.currentIndex()
        editing = self.state() == QAbstractItemView.State.EditingState
        if not editing and index.isValid() and event.key() in (Qt.Key.Key_Space, Qt.Key.Key_Return, Qt.Key.Key_Enter):
            if index.column():
                self.toggled.emit(index)
            else:
                self.edit(index)
        else:
            super().keyPressEvent(event)


class CpuPinningEditor(CustomEditor):
    def __init__(self, draft: Draft, part: Part, option: Option[Any], parent: QWidget) -> None:
        super().__init__(draft, part, option, parent)
        self.model = PinningModel(max(draft.settings.facts.capabilities.cpus, 1), self)
        self.grid = _Grid(self)
        self.grid.setObjectName("cpu-pinning")
        self.grid.setAccessibleName(translated(option.label))
        self.grid.setModel(self.model)
        self.grid.setItemDelegate(_Cells(self.grid))
        self.grid.setShowGrid(False)
        self.grid.setTabKeyNavigation(False)
        self.grid.setCornerButtonEnabled(False)
        self.grid.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        triggers = QAbstractItemView.EditTrigger
        self.grid.setEditTriggers(triggers.DoubleClicked | triggers.EditKeyPressed | triggers.AnyKeyPressed)
        for header, size in ((self.grid.horizontalHeader(), _CELL), (self.grid.verticalHeader(), _CELL + 2)):
            header.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
            header.setMinimumSectionSize(_CELL)
            header.setDefaultSectionSize(size)
            header.setHighlightSections(False)
        self.grid.horizontalHeader().resizeSection(0, _RANGE_WIDTH)
        self.grid.horizontalHeader().setDefaultAlignment(Qt.AlignmentFlag.AlignCenter)
        self.grid.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.all = small_button(self.tr("Any CPU for all"), "pin-none", self)
        self.each = small_button(self.tr("One for each"), "pin-each", self)
        self.note = quiet_label(
            self.tr("A click or the space bar ties; or type a set such as “0-3,8” in the first column."), self
        )
        buttons = QHBoxLayout()
        buttons.setSpacing(GRID)
        buttons.addWidget(self.all)
        buttons.addWidget(self.each)
        buttons.addWidget(self.note, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, GRID // 2, 0, 0)
        column.setSpacing(GRID)
        column.addWidget(self.grid)
        column.addLayout(buttons)
        self.setFocusProxy(self.grid)
        self.model.edited.connect(self._on_edited)
        self.model.refused.connect(self._on_refused)
        self.grid.clicked.connect(self.model.toggle)
        self.grid.toggled.connect(self.model.toggle)
        self.all.clicked.connect(self.model.clear)
        self.each.clicked.connect(self.model.one_to_one)

    def sizeHint(self) -> QSize:
        return QSize(40 * GRID, super().sizeHint().height())

    def refresh(self) -> None:
        domain = self.draft.domain
        count = int(domain.vcpu.maximum or get_count(domain) or 1)
        self.model.show(count, pins_of(str(get_pinning(domain) or "")))
        header = self.grid.horizontalHeader().sizeHint().height()
        is_broad = _RANGE_WIDTH + self.model.columnCount() * _CELL > _USUAL_WIDTH
        bar = self.grid.horizontalScrollBar().sizeHint().height() if is_broad else 0
        self.grid.setFixedHeight(header + (_CELL + 2) * min(count, _MOST_ROWS) + bar + 4)
        self.all.setEnabled(bool(self.model.pins))

    @Slot()
    def _on_edited(self) -> None:
        self.draft.set_value(self.part, self.option, pinning_text(self.model.pins) or None)

    @Slot(str)
    def _on_refused(self, message: str) -> None:
        self.draft.set_invalid(self.part, self.option, message)
