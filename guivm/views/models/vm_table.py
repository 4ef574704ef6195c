"""The VMs of all hosts as one table. Rows stand in sorted order; views see minimal changes.

The model sorts itself (Python's sort over ready keys), because a proxy that asks a Python model for two values
per comparison needs a hundred times longer at 5,000 VMs. GUI thread only.
"""

from __future__ import annotations

import enum
from bisect import bisect
from collections.abc import Iterable, Sequence

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt, QTimer, Slot

from guivm.engine.events import VmsChanged, VmsReset
from guivm.engine.types import HostId, HostInfo, VmInfo, VmKey
from guivm.text import natural_key
from guivm.views import formats
from guivm.views.small import plain_tooltip
from guivm.views.state_words import kind_sentence, pending_sentence, state_rank, vm_words

# More changes than this at once are taken in slices, one per turn of the event loop.
SLICE = 500
# More separate gaps than this are brought together before rows are removed.
_MAX_GAPS = 16

SortKey = tuple[object, ...]


class Column(enum.IntEnum):
    NAME = 0
    STATE = 1
    HOST = 2
    CPUS = 3
    MEMORY = 4


class Role(enum.IntEnum):
    VM = Qt.ItemDataRole.UserRole + 1  # VmInfo
    HOST_LABEL = Qt.ItemDataRole.UserRole + 2  # str
    SORT = Qt.ItemDataRole.UserRole + 3  # what the column sorts by


# Asked for thousands of times: made once.
ROW_FLAGS = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemNeverHasChildren
_COLUMNS = len(Column)

_Index = QModelIndex | QPersistentModelIndex

_DISPLAY = [int(Qt.ItemDataRole.DisplayRole), int(Role.VM), int(Role.SORT)]
# What a row shows is painted from the VM itself in the first column.
_ROW = [int(Role.VM), int(Qt.ItemDataRole.ToolTipRole), int(Qt.ItemDataRole.AccessibleTextRole)]


class VmTableModel(QAbstractTableModel):
    """Rows are VMs, keyed by :class:`VmKey`; see :class:`Column` and :class:`Role`."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._vms: list[VmInfo] = []
        self._keys: list[SortKey] = []  # parallel to _vms
        self._row_of: dict[VmKey, int] = {}
        self._hosts: dict[HostId, HostInfo] = {}
        self._sort_column = Column.NAME
        self._descending = False
        self._waiting: dict[VmKey, VmInfo | None] = {}  # None: to be removed
        self._slicer = QTimer(self)
        self._slicer.setSingleShot(True)
        self._slicer.setInterval(0)
        self._slicer.timeout.connect(self._take_slice)

    # --- asking ---------------------------------------------------------------------------------------

    def vm(self, key: VmKey) -> VmInfo | None:
        """The VM as the list shows it now, or None."""
        row = self._row_of.get(key)
        return None if row is None else self._vms[row]

    def vms(self) -> Sequence[VmInfo]:
        return tuple(self._vms)

    def at(self, row: int) -> VmInfo:
        return self._vms[row]

    def row(self, key: VmKey) -> int:
        """Row of a VM, or -1."""
        return self._row_of.get(key, -1)

    def index_of(self, key: VmKey) -> QModelIndex:
        row = self.row(key)
        return self.index(row, Column.NAME) if row >= 0 else QModelIndex()

    def hosts(self) -> tuple[HostInfo, ...]:
        return tuple(self._hosts.values())

    def host(self, host: HostId) -> HostInfo | None:
        return self._hosts.get(host)

    def host_label(self, host: HostId) -> str:
        info = self._hosts.get(host)
        return formats.host_label(info.label if info else "", host)

    @property
    def shows_hosts(self) -> bool:
        """True when more than one host is open, so that a row must say which."""
        return len(self._hosts) > 1

    @property
    def is_settled(self) -> bool:
        """False while slices of a large change wait for the event loop."""
        return not self._waiting

    # --- what happened --------------------------------------------------------------------------------

    def set_host(self, host: HostInfo) -> None:
        old = self._hosts.get(host.id)
        self._hosts[host.id] = host
        if old is None or old.label == host.label:
            if old is None and len(self._hosts) == 2 and self._vms:
                self._touch_rows(range(len(self._vms)), _ROW)  # rows begin to name their host
            return
        rows = [row for row, vm in enumerate(self._vms) if vm.key.host == host.id]
        for row in rows:
            self._keys[row] = self._key(self._vms[row])
        self._touch_rows(rows, _DISPLAY + _ROW)
        if self._sort_column is Column.HOST:
            self._restore_order()

    def remove_host(self, host: HostId) -> None:
        self._forget_waiting(host)
        self._remove([vm.key for vm in self._vms if vm.key.host == host])
        self._hosts.pop(host, None)
        if len(self._hosts) == 1 and self._vms:
            self._touch_rows(range(len(self._vms)), _ROW)

    @Slot(object)
    def reset_host(self, event: VmsReset) -> None:
        """Take the whole list of a host. The model resets only when it was empty; else rows come and go."""
        self._forget_waiting(event.host)
        if not self._vms:
            if event.vms:
                self.beginResetModel()
                self._vms = list(event.vms)
                self._sort_rows()
                self.endResetModel()
            return
        wanted = {vm.key for vm in event.vms}
        gone = [vm.key.uuid for vm in self._vms if vm.key.host == event.host and vm.key not in wanted]
        self.change(VmsChanged(event.host, event.vms, tuple(gone)))

    def change(self, event: VmsChanged) -> None:
        """Take a difference; a storm is spread over turns of the event loop, newest value per VM."""
        removed = [VmKey(event.host, uuid) for uuid in event.removed]
        if not self._waiting and len(event.changed) + len(removed) <= SLICE:
            self._take(list(event.changed), removed)
            return
        for key in removed:
            self._waiting[key] = None
        for vm in event.changed:
            self._waiting[vm.key] = vm
        self._slicer.start()

    @Slot()
    def _take_slice(self) -> None:
        changed: list[VmInfo] = []
        removed: list[VmKey] = []
        for key in list(self._waiting)[:SLICE]:
            vm = self._waiting.pop(key)
            if vm is None:
                removed.append(key)
            else:
                changed.append(vm)
        self._take(changed, removed)
        if self._waiting:
            self._slicer.start()

    def _forget_waiting(self, host: HostId) -> None:
        self._waiting = {key: vm for key, vm in self._waiting.items() if key.host != host}

    # --- taking changes -------------------------------------------------------------------------------

    def _take(self, vms: Sequence[VmInfo], removed: Iterable[VmKey]) -> None:
        self._remove([key for key in removed if key in self._row_of])
        touched: dict[Column, list[int]] = {}
        rows: list[int] = []
        added: list[VmInfo] = []
        order_changed = False
        for vm in vms:
            row = self._row_of.get(vm.key)
            if row is None:
                added.append(vm)
                continue
            old = self._vms[row]
            if old == vm:
                continue
            self._vms[row] = vm
            rows.append(row)
            for column in _changed_columns(old, vm):
                touched.setdefault(column, []).append(row)
            key = self._key(vm)
            if key != self._keys[row]:
                self._keys[row] = key
                order_changed = True
        for column, column_rows in touched.items():
            if column is not Column.NAME:
                self._touch(sorted(column_rows), column, column, _DISPLAY)
        name_rows = set(touched.get(Column.NAME, ()))
        self._touch(sorted(name_rows), Column.NAME, Column.NAME, _DISPLAY + _ROW)
        self._touch(sorted(set(rows) - name_rows), Column.NAME, Column.NAME, _ROW)
        if order_changed:
            self._restore_order()
        self._add(added)

    def _add(self, vms: list[VmInfo]) -> None:
        if len(vms) > _MAX_GAPS:
            first = len(self._vms)
            self.beginInsertRows(QModelIndex(), first, first + len(vms) - 1)
            self._vms += vms
            self._keys += self._keys_of(vms)
            self._renumber(first)
            self.endInsertRows()
            self._restore_order()
            return
        for vm in vms:
            key = self._key(vm)
            row = len(self._keys) - bisect(self._keys[::-1], key) if self._descending else bisect(self._keys, key)
            self.beginInsertRows(QModelIndex(), row, row)
            self._vms.insert(row, vm)
            self._keys.insert(row, key)
            self._renumber(row)
            self.endInsertRows()

    def _remove(self, keys: Iterable[VmKey]) -> None:
        gone = set(keys)
        runs = _runs(sorted(self._row_of[key] for key in gone))
        if len(runs) > _MAX_GAPS:
            kept = [row for row, vm in enumerate(self._vms) if vm.key not in gone]
            self._reorder(kept + [row for row, vm in enumerate(self._vms) if vm.key in gone])
            runs = [(len(kept), len(self._vms) - 1)]
        for first, last in reversed(runs):
            self.beginRemoveRows(QModelIndex(), first, last)
            for vm in self._vms[first : last + 1]:
                del self._row_of[vm.key]
            del self._vms[first : last + 1]
            del self._keys[first : last + 1]
            self._renumber(first)
            self.endRemoveRows()

    def _renumber(self, first: int) -> None:
        for row in range(first, len(self._vms)):
            self._row_of[self._vms[row].key] = row

    def _touch_rows(self, rows: Iterable[int], roles: list[int]) -> None:
        self._touch(sorted(rows), Column.NAME, Column.HOST, roles)

    def _touch(self, rows: list[int], left: Column, right: Column, roles: list[int]) -> None:
        for first, last in _runs(rows):
            self.dataChanged.emit(self.index(first, left), self.index(last, right), roles)

    # --- order ----------------------------------------------------------------------------------------

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        if not 0 <= column < len(Column):
            return
        self._sort_column = Column(column)
        self._descending = order is Qt.SortOrder.DescendingOrder
        self._keys = self._keys_of(self._vms)
        self._restore_order()

    def _keys_of(self, vms: Iterable[VmInfo]) -> list[SortKey]:
        if self._sort_column is Column.NAME:
            return [(natural_key(vm.name), vm.key) for vm in vms]
        return [self._key(vm) for vm in vms]

    def _key(self, vm: VmInfo) -> SortKey:
        name = natural_key(vm.name)
        match self._sort_column:
            case Column.STATE:
                return (state_rank(vm.state), name, vm.key)
            case Column.HOST:
                return (self.host_label(vm.key.host).casefold(), name, vm.key)
            case Column.CPUS:
                return (vm.vcpus, name, vm.key)
            case Column.MEMORY:
                return (vm.memory_kib, name, vm.key)
            case _:
                return (name, vm.key)

    def _restore_order(self) -> None:
        keys = self._keys
        rows = sorted(range(len(keys)), key=keys.__getitem__, reverse=self._descending)
        if all(row == place for place, row in enumerate(rows)):
            return
        self._reorder(rows)

    def _reorder(self, rows: list[int]) -> None:
        """Put the rows into the order given by their present numbers."""
        self.layoutAboutToBeChanged.emit()
        old = self.persistentIndexList()
        held = [(self._vms[index.row()].key, index.column()) for index in old]
        self._vms = [self._vms[row] for row in rows]
        self._keys = [self._keys[row] for row in rows]
        self._renumber(0)
        self.changePersistentIndexList(old, [self.index(self._row_of[key], column) for key, column in held])
        self.layoutChanged.emit()

    def _sort_rows(self) -> None:
        keys = self._keys_of(self._vms)
        rows = sorted(range(len(keys)), key=keys.__getitem__, reverse=self._descending)
        self._vms = [self._vms[row] for row in rows]
        self._keys = [keys[row] for row in rows]
        self._row_of = {vm.key: row for row, vm in enumerate(self._vms)}

    # --- QAbstractTableModel --------------------------------------------------------------------------

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008  Qt's own signature; never changed
        return 0 if parent.isValid() else len(self._vms)

    def columnCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else _COLUMNS

    def flags(self, index: _Index) -> Qt.ItemFlag:
        return ROW_FLAGS if index.isValid() else Qt.ItemFlag.NoItemFlags

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        if not index.isValid() or index.row() >= len(self._vms):
            return None
        vm = self._vms[index.row()]
        if role == Role.VM:
            return vm
        column = index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return self._text(vm, column)
        if role == Role.HOST_LABEL:
            return self.host_label(vm.key.host) if self.shows_hosts else ""
        if role == Role.SORT:
            return _sort_value(vm, column, self.host_label(vm.key.host))
        if role == Qt.ItemDataRole.TextAlignmentRole and column in (Column.CPUS, Column.MEMORY):
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        if column != Column.NAME:
            return None
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._tool_tip(vm)
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return self._spoken(vm)
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        if orientation is not Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.TextAlignmentRole and section in (Column.CPUS, Column.MEMORY):
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        if role != Qt.ItemDataRole.DisplayRole:
            return None
        titles = (self.tr("Name"), self.tr("State"), self.tr("Host"), self.tr("CPUs"), self.tr("Memory"))
        return titles[section] if 0 <= section < len(titles) else None

    def _text(self, vm: VmInfo, column: int) -> str:
        match column:
            case Column.NAME:
                return vm.name
            case Column.STATE:
                return vm_words(vm)
            case Column.HOST:
                return self.host_label(vm.key.host)
            case Column.CPUS:
                return formats.number(vm.vcpus) if vm.vcpus else ""  # 0: not known yet
            case Column.MEMORY:
                return formats.memory(vm.memory_kib) if vm.memory_kib else ""
        return ""

    def _tool_tip(self, vm: VmInfo) -> str:
        state = f"{vm_words(vm)} · {self.host_label(vm.key.host)}"
        lines = [vm.name, vm.title, state, vm.reason, kind_sentence(vm), pending_sentence(vm.pending)]
        return plain_tooltip("\n".join(line for line in lines if line))

    def _spoken(self, vm: VmInfo) -> str:
        spoken = self.tr("{name}, {state}").format(name=vm.name, state=vm_words(vm))
        return ", ".join(part for part in (spoken, pending_sentence(vm.pending)) if part)


def _changed_columns(old: VmInfo, new: VmInfo) -> list[Column]:
    columns: list[Column] = []
    if old.name != new.name:
        columns.append(Column.NAME)
    if (old.state, old.is_template, old.is_disposable, old.identity) != (
        *(new.state, new.is_template, new.is_disposable, new.identity),
    ):
        columns.append(Column.STATE)
    if old.vcpus != new.vcpus:
        columns.append(Column.CPUS)
    if old.memory_kib != new.memory_kib:
        columns.append(Column.MEMORY)
    return columns


def _sort_value(vm: VmInfo, column: int, host_label: str) -> object:
    match column:
        case Column.STATE:
            return state_rank(vm.state)
        case Column.HOST:
            return host_label.casefold()
        case Column.CPUS:
            return vm.vcpus
        case Column.MEMORY:
            return vm.memory_kib
        case _:
            return vm.name.casefold()


def _runs(rows: list[int]) -> list[tuple[int, int]]:
    """Contiguous runs of sorted row numbers, as (first, last)."""
    runs: list[tuple[int, int]] = []
    for row in rows:
        if runs and runs[-1][1] == row - 1:
            runs[-1] = (runs[-1][0], row)
        else:
            runs.append((row, row))
    return runs
