"""The part of the VM list that matches what the person typed."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import (
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QSortFilterProxyModel,
    Qt,
)

from guivm.engine.types import VmInfo, VmKey
from guivm.views.models.vm_table import ROW_FLAGS, Role, VmTableModel
from guivm.views.state_words import vm_words


class VmFilterModel(QSortFilterProxyModel):
    """Rows whose name, title, state, host label or notes hold every word of the filter; case does not matter.

    Sorting is passed on to the table, which keeps its rows in order.
    """

    def __init__(self, table: VmTableModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._table = table
        self._words: tuple[str, ...] = ()
        self.setFilterRole(Role.VM)
        self.setSourceModel(table)

    @property
    def is_filtering(self) -> bool:
        return bool(self._words)

    def set_filter_text(self, text: str) -> None:
        words = tuple(text.casefold().split())
        if words == self._words:
            return
        if hasattr(self, "beginFilterChange"):  # Qt 6.9
            self.beginFilterChange()
            self._words = words
            self.endFilterChange()
        else:
            self._words = words
            self.invalidateFilter()

    def vm_at(self, index: QModelIndex) -> VmInfo | None:
        source = self.mapToSource(index)
        return self._table.at(source.row()) if source.isValid() else None

    def vms_at(self, rows: Sequence[int]) -> list[VmInfo]:
        """The VMs of these rows."""
        if not self._words:
            return [self._table.at(row) for row in rows]  # nothing hidden, nothing reordered: the rows are the table's
        found = (self.vm_at(self.index(row, 0)) for row in rows)
        return [vm for vm in found if vm is not None]

    def index_of(self, key: VmKey) -> QModelIndex:
        """Index of a VM here, invalid when it does not match."""
        return self.mapFromSource(self._table.index_of(key))

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        self._table.sort(column, order)

    def flags(self, index: QModelIndex | QPersistentModelIndex) -> Qt.ItemFlag:
        """The table's, without the way there: a view asks for every row twice before it paints the first."""
        return ROW_FLAGS if index.isValid() else Qt.ItemFlag.NoItemFlags

    def filterAcceptsRow(self, source_row: int, source_parent: QModelIndex | QPersistentModelIndex) -> bool:
        if not self._words:
            return True
        vm = self._table.at(source_row)
        text = "\n".join((vm.name, vm.title, vm_words(vm), self._table.host_label(vm.key.host), vm.notes)).casefold()
        return all(word in text for word in self._words)
