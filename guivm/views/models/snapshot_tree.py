"""The snapshots of a VM as a tree that ends in its current state. Views see minimal changes. GUI thread only."""

from __future__ import annotations

import enum
import time
from collections.abc import Callable, Iterator

from PySide6.QtCore import QAbstractItemModel, QModelIndex, QObject, QPersistentModelIndex, Qt, Signal
from PySide6.QtGui import QFont

from guivm.engine.snapshots.values import SnapshotId, SnapshotInfo, SnapshotTree
from guivm.engine.types import VmState
from guivm.text import clean_line
from guivm.views import formats
from guivm.views.icons import Tint, icon, state_icon
from guivm.views.small import plain_tooltip
from guivm.views.snapshots.ages import age_of, date_words
from guivm.views.snapshots.words import (
    TITLE_LIMIT,
    contents_sentence,
    current_title,
    scheduled_sentence,
    short_contents,
)

_Index = QModelIndex | QPersistentModelIndex
_D = Qt.ItemDataRole
_HIGH = 2**62
_DEEP = 64  # levels


class Column(enum.IntEnum):
    TITLE = 0
    TAKEN = 1
    SIZE = 2


_COLUMNS = len(Column)
_NONE = QModelIndex()


class _Node:
    """``key`` is the snapshot's identity, or None: the current state (and the invisible root)."""

    __slots__ = ("age", "children", "depth", "info", "key", "number", "parent", "row")

    def __init__(self, number: int, key: SnapshotId | None, info: SnapshotInfo | None) -> None:
        self.number = number  # identity of the node in a QModelIndex
        self.key = key
        self.info = info
        self.parent: _Node | None = None
        self.children: list[_Node] = []
        self.row = 0
        self.depth = 0
        self.age = ""


class SnapshotTreeModel(QAbstractItemModel):
    """Columns: see :class:`Column`. A chain may be as deep as it likes: nothing here recurs.

    ``renamed`` carries (SnapshotId, new title): the person edited a title; the model shows it already. ``joined``
    carries the nodes (SnapshotId or None: the current state) under which others stand from now on, where no row was
    told to be inserted or moved.
    """

    renamed = Signal(object, str)
    joined = Signal(object)  # list[SnapshotId | None]
    treeChanged = Signal()  # set_tree is over

    def __init__(self, parent: QObject | None = None, *, now: Callable[[], float] = time.time) -> None:
        """``now``: seconds since 1970."""
        super().__init__(parent)
        self._now = now
        self._tree: SnapshotTree | None = None
        self._state = VmState.UNKNOWN
        self._numbers = iter(range(1, _HIGH))
        self._root = _Node(0, None, None)
        self._current = _Node(next(self._numbers), None, None)
        self._by_id: dict[SnapshotId, _Node] = {}
        self._by_number: dict[int, _Node] = {}

    # --- asking ---------------------------------------------------------------------------------------

    @property
    def tree(self) -> SnapshotTree | None:
        """What it shows; None before the first was read."""
        return self._tree

    @property
    def deepest(self) -> int:
        """Number of levels."""
        return 1 + max((node.depth for node in self._by_number.values()), default=-1)

    def snapshot(self, snapshot: SnapshotId | None) -> SnapshotInfo | None:
        node = None if snapshot is None else self._by_id.get(snapshot)
        return None if node is None else node.info

    def snapshot_at(self, index: _Index) -> SnapshotId | None:
        """None: the current state (or no index)."""
        return self._by_number[index.internalId()].key if index.isValid() else None

    def index_of(self, snapshot: SnapshotId | None) -> QModelIndex:
        """None: of the current state. Invalid when there is none."""
        node = self._current if snapshot is None else self._by_id.get(snapshot)
        if node is None or node.number not in self._by_number:
            return QModelIndex()
        return self._index_of(node)

    def next_due_s(self) -> float | None:
        """After how many seconds an age's words change; None: none ever does."""
        now = self._now()
        dues = (age_of(node.info.taken_s, now).due_s for node in self._by_id.values() if node.info is not None)
        return min((due for due in dues if due is not None), default=None)

    # --- changing -------------------------------------------------------------------------------------

    def set_tree(self, tree: SnapshotTree | None) -> None:
        """Show it. Of the same VM: with the fewest changes, so that selection and what is open stay."""
        if tree is None or self._tree is None or tree.key != self._tree.key:
            self._reset(tree)
        else:
            self._change(tree)
        self.treeChanged.emit()

    def set_vm_state(self, state: VmState) -> None:
        """The current state's icon shows it."""
        if state is not self._state:
            self._state = state
            self._touch(self._current, [int(_D.DecorationRole), int(_D.AccessibleTextRole)])

    def refresh_ages(self) -> None:
        """Say ages anew where their words are others by now."""
        now = self._now()
        for node in self._by_id.values():
            if node.info is not None and (text := age_of(node.info.taken_s, now).text) != node.age:
                node.age = text
                index = self._index_of(node, Column.TAKEN)
                self.dataChanged.emit(index, index, [int(_D.DisplayRole)])

    def _reset(self, tree: SnapshotTree | None) -> None:
        self.beginResetModel()
        self._tree = tree
        self._root.children = []
        self._by_id, self._by_number = {}, {}
        self._current.children = []
        self._current.parent = None
        if tree is not None:
            for info, parent in self._wanted(tree):
                home = self._root if parent is None else self._by_id[parent]
                self._put(home, len(home.children), self._made(info))
            for node in (self._root, *self._by_id.values()):
                if len(node.children) > 1:
                    node.children.sort(key=_order)
                    _renumber(node)
        self.endResetModel()

    def _change(self, tree: SnapshotTree) -> None:
        wanted = list(self._wanted(tree))
        alive = {info.id for info, _ in wanted if info is not None}
        if self._by_id.keys() - alive and self.deepest > _DEEP:
            self._rearrange(wanted, alive)
        self._take(tree, wanted, alive)

    def _rearrange(self, wanted: list[tuple[SnapshotInfo | None, SnapshotId | None]], alive: set[SnapshotId]) -> None:
        """Give up dead nodes of a deep tree, and put the others where they belong, in one go.

        For a row that is removed a view asks each index that it holds for all its ancestors: in a chain of 1,000 that
        takes half a second.
        """
        self.layoutAboutToBeChanged.emit()
        held = self.persistentIndexList()
        holders = [(self._by_number[index.internalId()], index.column()) for index in held]
        homes = {node.number: node.parent for node in self._by_number.values()}
        for key in self._by_id.keys() - alive:
            del self._by_number[self._by_id.pop(key).number]
        for node in (self._root, *self._by_number.values()):
            node.children = []
        joined: list[SnapshotId | None] = []
        for info, parent in wanted:
            known = None if info is None else self._by_id.get(info.id)
            node = self._made(info) if known is None else known
            home = self._root if parent is None else self._by_id[parent]
            if homes.get(node.number) is not home and home is not self._root:
                joined.append(home.key)
            self._put(home, len(home.children), node)
        for node in (self._root, *self._by_id.values()):
            if len(node.children) > 1:
                node.children.sort(key=_order)
                _renumber(node)
        alive_numbers = self._by_number.keys()
        self.changePersistentIndexList(
            held,
            [
                self._index_of(node, column) if node.number in alive_numbers else QModelIndex()
                for node, column in holders
            ],
        )
        self.layoutChanged.emit()
        if joined:
            self.joined.emit(joined)

    def _take(
        self,
        tree: SnapshotTree,
        wanted: list[tuple[SnapshotInfo | None, SnapshotId | None]],
        alive: set[SnapshotId],
    ) -> None:
        """Come to the tree in single steps."""
        for info, parent in wanted:  # parents first: a new home's own ancestors are final already
            home = self._root if parent is None else self._by_id[parent]
            node = self._current if info is None else self._by_id.get(info.id)
            if node is None:
                row = _last_but_current(home)
                self.beginInsertRows(self._parent_index(home), row, row)
                self._put(home, row, self._made(info))
                self.endInsertRows()
            elif node.parent is not home:
                self._move(node, home, _last_but_current(home) if info is not None else len(home.children))
        self._remove_all_but(alive)
        self._tree = tree
        for info, _ in wanted:
            node = self._current if info is None else self._by_id[info.id]
            if info is not None and node.info != info:
                node.info = info
                node.age = age_of(info.taken_s, self._now()).text
                self._touch(node)
        self._touch(self._current)
        for node in (self._root, *self._by_id.values()):
            self._put_in_order(node)

    def _wanted(self, tree: SnapshotTree) -> Iterator[tuple[SnapshotInfo | None, SnapshotId | None]]:
        """Nodes and their parents, parents first, the current state last (info None)."""
        seen: set[SnapshotId] = set()
        for info in tree.snapshots:
            if info.id not in seen:
                yield info, info.parent if info.parent in seen else None
                seen.add(info.id)
        yield None, tree.current if tree.current in seen else None

    def _made(self, info: SnapshotInfo | None) -> _Node:
        if info is None:
            node = self._current
        else:
            node = _Node(next(self._numbers), info.id, info)
            node.age = age_of(info.taken_s, self._now()).text
            self._by_id[info.id] = node
        self._by_number[node.number] = node
        return node

    @staticmethod
    def _put(home: _Node, row: int, node: _Node) -> None:
        node.parent = home
        home.children.insert(row, node)
        _renumber(home, row)
        node.depth = 0 if home.number == 0 else home.depth + 1

    def _move(self, node: _Node, home: _Node, row: int) -> None:
        """``row``: before which one of ``home`` as it is now."""
        old = node.parent
        assert old is not None
        allowed = self.beginMoveRows(
            self._parent_index(old), node.row, node.row, self._parent_index(home), row
        )  # fmt: skip
        assert allowed, "a node cannot move into its own children"
        del old.children[node.row]
        _renumber(old, node.row)
        if old is home and row > node.row:
            row -= 1
        self._put(home, row, node)
        self.endMoveRows()
        waiting = [node]
        while waiting:  # what hangs on it is as much deeper or less deep
            at = waiting.pop()
            for child in at.children:
                child.depth = at.depth + 1
                waiting.append(child)

    def _remove_all_but(self, alive: set[SnapshotId]) -> None:
        """By now only dead nodes hang on dead ones."""
        dead = [node for key, node in self._by_id.items() if key not in alive]
        for node in dead:
            home = node.parent
            if home is None or (home.key is not None and home.key not in alive):
                continue  # goes with its parent
            self.beginRemoveRows(self._parent_index(home), node.row, node.row)
            del home.children[node.row]
            _renumber(home, node.row)
            waiting = [node]
            while waiting:
                gone = waiting.pop()
                waiting.extend(gone.children)
                assert gone.key is not None
                del self._by_id[gone.key]
                del self._by_number[gone.number]
            self.endRemoveRows()

    def _put_in_order(self, home: _Node) -> None:
        wanted = sorted(home.children, key=_order)
        for row, node in enumerate(wanted):
            if home.children[row] is not node:
                self._move(node, home, row)

    # --- QAbstractItemModel ---------------------------------------------------------------------------

    def rowCount(self, parent: _Index = _NONE) -> int:
        if not parent.isValid():
            return len(self._root.children)
        return len(self._by_number[parent.internalId()].children) if parent.column() == 0 else 0

    def hasChildren(self, parent: _Index = _NONE) -> bool:
        return self.rowCount(parent) > 0

    def columnCount(self, _parent: _Index = _NONE) -> int:
        return _COLUMNS

    def index(self, row: int, column: int, parent: _Index = _NONE) -> QModelIndex:
        home = self._by_number[parent.internalId()] if parent.isValid() else self._root
        if 0 <= row < len(home.children) and 0 <= column < _COLUMNS and parent.column() <= 0:
            return self.createIndex(row, column, home.children[row].number)
        return QModelIndex()

    def parent(self, index: _Index) -> QModelIndex:  # type: ignore[override]  # of QObject, too
        home = self._by_number[index.internalId()].parent if index.isValid() else None
        return QModelIndex() if home is None or home.number == 0 else self._index_of(home)

    def flags(self, index: _Index) -> Qt.ItemFlag:
        if not index.isValid():
            return Qt.ItemFlag.NoItemFlags
        usual = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        editable = index.column() == Column.TITLE and self._by_number[index.internalId()].key is not None
        return usual | Qt.ItemFlag.ItemIsEditable if editable else usual

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = _D.DisplayRole) -> object:
        if orientation is not Qt.Orientation.Horizontal or not 0 <= section < _COLUMNS:
            return None
        if role == _D.DisplayRole:
            return (self.tr("Snapshot"), self.tr("Taken"), self.tr("Size"))[section]
        if role == _D.TextAlignmentRole and section == Column.SIZE:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        return None

    def data(self, index: _Index, role: int = _D.DisplayRole) -> object:
        if not index.isValid():
            return None
        node = self._by_number[index.internalId()]
        if node.info is None:
            return self._of_current(index.column(), role)
        return self._of_snapshot(node, node.info, index.column(), role)

    def setData(self, index: _Index, value: object, role: int = _D.EditRole) -> bool:
        info = self.snapshot(self.snapshot_at(index))
        title = clean_line(str(value), TITLE_LIMIT)
        if info is None or role != _D.EditRole or not title or title == info.title:
            return False
        self.renamed.emit(info.id, title)
        return True

    def _of_current(self, column: int, role: int) -> object:
        if column != Column.TITLE:
            return None
        if role in (_D.DisplayRole, _D.AccessibleTextRole):
            return current_title(self._tree)
        if role == _D.FontRole:
            font = QFont()
            font.setBold(True)
            return font
        if role == _D.DecorationRole:
            return state_icon(self._state)
        return None

    def _of_snapshot(self, node: _Node, info: SnapshotInfo, column: int, role: int) -> object:
        if role == _D.DisplayRole:
            if column == Column.TITLE:
                return info.title
            if column == Column.TAKEN:
                return node.age
            return "" if info.size_bytes is None else formats.size(info.size_bytes)
        if role == _D.TextAlignmentRole and column == Column.SIZE:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        if role == _D.ToolTipRole:
            taken = [date_words(info.taken_s), *([scheduled_sentence()] if info.scheduled else ())]
            lines = {Column.TITLE: f"{info.title}\n{contents_sentence(info)}", Column.TAKEN: "\n".join(taken)}
            return plain_tooltip(lines.get(Column(column), ""))
        if column == Column.TAKEN and role == _D.DecorationRole and info.scheduled:
            return icon("clock", Tint.QUIET)
        if column != Column.TITLE:
            return None
        if role == _D.EditRole:
            return info.title
        if role == _D.DecorationRole:
            return icon("memory" if info.has_memory else "disk", Tint.QUIET)
        if role == _D.AccessibleTextRole:
            size = "" if info.size_bytes is None else formats.size(info.size_bytes)
            how = self.tr("by the schedule") if info.scheduled else ""
            return ", ".join(part for part in (info.title, short_contents(info), node.age, how, size) if part)
        return None

    # --- nodes and indexes ----------------------------------------------------------------------------

    def _index_of(self, node: _Node, column: int = Column.TITLE) -> QModelIndex:
        return self.createIndex(node.row, column, node.number)

    def _parent_index(self, node: _Node) -> QModelIndex:
        return QModelIndex() if node.number == 0 else self._index_of(node)

    def _touch(self, node: _Node, roles: list[int] | None = None) -> None:
        if node.number in self._by_number:
            self.dataChanged.emit(self._index_of(node), self._index_of(node, _COLUMNS - 1), roles or [])


def _order(node: _Node) -> tuple[bool, float, str]:
    """Siblings by time, the current state last."""
    return (True, 0.0, "") if node.info is None else (False, node.info.taken_s, node.info.id)


def _last_but_current(home: _Node) -> int:
    """Row for one more snapshot."""
    children = home.children
    return len(children) - 1 if children and children[-1].info is None else len(children)


def _renumber(home: _Node, start: int = 0) -> None:
    for row in range(start, len(home.children)):
        home.children[row].row = row
