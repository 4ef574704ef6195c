"""The table of fixed addresses of a network."""

from __future__ import annotations

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from guivm.engine.networks.values import FixedAddress
from guivm.views.theme import GRID


class FixedTable(QWidget):
    """MAC address, name and IPv4 address; edited in place."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("fixed")
        self.table = QTableWidget(0, 3, self)
        self.table.setObjectName("fixed-table")
        self.table.setAccessibleName(self.tr("Fixed addresses"))
        self.table.setHorizontalHeaderLabels([self.tr("MAC address"), self.tr("Name"), self.tr("IPv4 address")])
        self.table.verticalHeader().hide()
        self.table.setShowGrid(False)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setTabKeyNavigation(False)
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.table.setFixedHeight(17 * GRID)
        self.add = self._button("fixed-add", self.tr("Add"))
        self.remove = self._button("fixed-remove", self.tr("Remove"))
        buttons = QHBoxLayout()
        buttons.setSpacing(GRID)
        buttons.addWidget(self.add)
        buttons.addWidget(self.remove)
        buttons.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GRID)
        layout.addWidget(self.table)
        layout.addLayout(buttons)
        self.setFocusProxy(self.table)
        self.add.clicked.connect(self._on_add)
        self.remove.clicked.connect(self._on_remove)
        self.table.itemChanged.connect(self._on_item)
        self.table.itemSelectionChanged.connect(self._on_selection)
        self._on_selection()

    def values(self) -> tuple[FixedAddress, ...]:
        """Rows with nothing in them are left out."""
        rows = ([self._text(row, column) for column in range(3)] for row in range(self.table.rowCount()))
        return tuple(FixedAddress(mac, name, ip) for mac, name, ip in rows if mac or name or ip)

    def set_values(self, values: tuple[FixedAddress, ...]) -> None:
        """Show other rows; silent."""
        self.table.blockSignals(True)
        self.table.setRowCount(0)
        for value in values:
            self._append(value)
        self.table.blockSignals(False)
        self._on_selection()

    def _text(self, row: int, column: int) -> str:
        item = self.table.item(row, column)
        return item.text().strip() if item is not None else ""

    def _append(self, value: FixedAddress) -> None:
        row = self.table.rowCount()
        self.table.insertRow(row)
        for column, text in enumerate((value.mac, value.name, value.ip)):
            self.table.setItem(row, column, QTableWidgetItem(text))

    def _button(self, name: str, text: str) -> QPushButton:
        button = QPushButton(text, self)
        button.setObjectName(name)
        button.setAccessibleName(text)
        button.setAutoDefault(False)
        button.setProperty("kind", "small")
        return button

    @Slot()
    def _on_add(self) -> None:
        self.table.blockSignals(True)
        self._append(FixedAddress("", "", ""))
        self.table.blockSignals(False)
        row = self.table.rowCount() - 1
        self.table.setCurrentCell(row, 0)
        first = self.table.item(row, 0)
        if first is not None:
            self.table.editItem(first)
        self.changed.emit()

    @Slot()
    def _on_remove(self) -> None:
        for row in sorted({index.row() for index in self.table.selectedIndexes()}, reverse=True):
            self.table.removeRow(row)
        self.changed.emit()

    @Slot()
    def _on_item(self) -> None:
        self.changed.emit()

    @Slot()
    def _on_selection(self) -> None:
        self.remove.setEnabled(bool(self.table.selectedIndexes()))
