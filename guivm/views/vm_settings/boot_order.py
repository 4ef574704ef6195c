"""The order in which devices are tried: a list with boxes to tick, moved with the mouse or Alt and the arrow keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from PySide6.QtCore import QAbstractListModel, QModelIndex, QPersistentModelIndex, QSize, Qt, Signal, Slot
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QListView,
    QVBoxLayout,
    QWidget,
)

from guivm.engine.options.boot import boot_order, bootable_devices, describe_device, kind_words
from guivm.engine.options.drives import source_text
from guivm.engine.options.option import Option
from guivm.engine.xml.device import BootableDevice
from guivm.engine.xml.disk import Disk
from guivm.engine.xml.domain import DomainXml
from guivm.engine.xml.hostdev import HostDevice
from guivm.engine.xml.interface import Interface
from guivm.text import clean_line
from guivm.views.icons import Tint, icon
from guivm.views.theme import GRID
from guivm.views.vm_settings.draft import Draft, Part
from guivm.views.vm_settings.editors import small_button, translated
from guivm.views.vm_settings.part_list import part_title
from guivm.views.vm_settings.pieces import RoundRows, quiet_label
from guivm.views.vm_settings.registry import CustomEditor

_Index = QModelIndex | QPersistentModelIndex
_ROOT = QModelIndex()
_ROW_HEIGHT = 5 * GRID


@dataclass(frozen=True, slots=True)
class BootEntry:
    """``word``: what :func:`boot_order` calls the device."""

    word: str
    title: str
    icon: str
    is_on: bool


def boot_entries(domain: DomainXml, parts: Sequence[Part]) -> list[BootEntry]:
    """All devices: those that are tried, in their order, then the others. Kinds ("hd") stand for their devices.

    ``parts``: all of the document, which know the devices' names.
    """
    names = {part.node.find(): part_title(part) for part in parts if part.resource.is_device}
    devices = bootable_devices(domain)
    kinds = {"hd": "disk", "cdrom": "cdrom", "fd": "floppy", "network": "network"}
    tried: list[str] = []
    for word in boot_order(domain):
        if word in kinds and not any(known == word for known, _ in devices):
            tried += [name for name, device in devices if _kind(device) == kinds[word] and name not in tried]
        elif word not in tried:
            tried.append(word)
    by_word = dict(devices)
    known = [word for word in tried if word in by_word]
    rest = [word for word, _ in devices if word not in known]
    return [
        BootEntry(word, _title(word, device, names.get(device.find(), "")), _icon(device), word in known)
        for word in [*known, *rest]
        for device in [by_word[word]]
    ]


def _kind(device: BootableDevice) -> str:
    if isinstance(device, Disk):
        return device.device or "disk"
    return "network" if isinstance(device, Interface) else "host"


def _title(word: str, device: BootableDevice, name: str) -> str:
    """Its name in the list of parts; of a device that has no page there, its kind."""
    kind = translated(describe_device(device))
    detail = PurePosixPath(source_text(device)).name if isinstance(device, Disk) else ""
    return clean_line((name or f"{kind[:1].upper()}{kind[1:]} {word}") + (f" · {detail}" if detail else ""), 120)


def _icon(device: BootableDevice) -> str:
    if isinstance(device, HostDevice) and device.type != "usb":
        return "pci"
    return {"cdrom": "cd", "floppy": "floppy", "network": "network", "host": "usb"}.get(_kind(device), "disk")


class BootModel(QAbstractListModel):
    """``reordered``: the person ticked or moved something."""

    reordered = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._entries: list[BootEntry] = []

    @property
    def entries(self) -> list[BootEntry]:
        return list(self._entries)

    def words(self) -> list[str]:
        """Of those that are ticked, in order."""
        return [entry.word for entry in self._entries if entry.is_on]

    def show(self, entries: list[BootEntry]) -> None:
        if entries != self._entries:
            self.beginResetModel()
            self._entries = entries
            self.endResetModel()

    def rowCount(self, parent: _Index = _ROOT) -> int:
        return 0 if parent.isValid() else len(self._entries)

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        if not index.isValid():
            return None
        entry = self._entries[index.row()]
        match role:
            case Qt.ItemDataRole.DisplayRole:
                place = self.words().index(entry.word) + 1 if entry.is_on else 0
                return f"{place}.  {entry.title}" if place else entry.title
            case Qt.ItemDataRole.DecorationRole:
                return icon(entry.icon, Tint.TEXT if entry.is_on else Tint.QUIET)
            case Qt.ItemDataRole.CheckStateRole:
                return Qt.CheckState.Checked if entry.is_on else Qt.CheckState.Unchecked
            case Qt.ItemDataRole.AccessibleTextRole:
                return self._spoken(entry)
            case Qt.ItemDataRole.ToolTipRole:
                return self.tr("Drag it, or press Alt and an arrow key")
        return None

    def _spoken(self, entry: BootEntry) -> str:
        if not entry.is_on:
            return self.tr("{device}, not booted from").format(device=entry.title)
        place = self.words().index(entry.word) + 1
        return self.tr("{device}, tried as number {n}").format(device=entry.title, n=place)

    def setData(self, index: _Index, value: object, role: int = Qt.ItemDataRole.EditRole) -> bool:
        if role != Qt.ItemDataRole.CheckStateRole or not index.isValid():
            return False
        entry = self._entries[index.row()]
        on = Qt.CheckState(value) is Qt.CheckState.Checked
        self._entries[index.row()] = replace(entry, is_on=on)
        self._tell()
        return True

    def flags(self, index: _Index) -> Qt.ItemFlag:
        if not index.isValid():
            return Qt.ItemFlag.ItemIsDropEnabled
        return (
            Qt.ItemFlag.ItemIsEnabled
            | Qt.ItemFlag.ItemIsSelectable
            | Qt.ItemFlag.ItemIsUserCheckable
            | Qt.ItemFlag.ItemIsDragEnabled
        )

    def supportedDropActions(self) -> Qt.DropAction:
        return Qt.DropAction.MoveAction

    def moveRows(self, source: _Index, row: int, count: int, target: _Index, child: int) -> bool:
        """One at a time; the list view calls it for a drop."""
        if count != 1 or not 0 <= row < len(self._entries) or not 0 <= child <= len(self._entries):
            return False
        if not self.beginMoveRows(source, row, row, target, child):
            return False
        entry = self._entries.pop(row)
        self._entries.insert(child - 1 if child > row else child, entry)
        self.endMoveRows()
        self._tell()
        return True

    def move(self, row: int, steps: int) -> int:
        """Answers where it stands then."""
        to = row + steps
        if not 0 <= to < len(self._entries):
            return row
        self.moveRows(_ROOT, row, 1, _ROOT, to + 1 if steps > 0 else to)
        return to

    def _tell(self) -> None:
        self.dataChanged.emit(self.index(0), self.index(len(self._entries) - 1))
        self.reordered.emit()


class _BootList(QListView):
    moveRequested = Signal(int)  # steps

    def keyPressEvent(self, event: QKeyEvent) -> None:
        steps = {Qt.Key.Key_Up: -1, Qt.Key.Key_Down: 1}.get(Qt.Key(event.key()), 0)
        if steps and event.modifiers() & Qt.KeyboardModifier.AltModifier:
            self.moveRequested.emit(steps)
        else:
            super().keyPressEvent(event)


class BootOrderEditor(CustomEditor):
    def __init__(self, draft: Draft, part: Part, option: Option[Any], parent: QWidget) -> None:
        super().__init__(draft, part, option, parent)
        self.model = BootModel(self)
        self.list = _BootList(self)
        self.list.setObjectName("boot-order")
        self.list.setAccessibleName(translated(option.label))
        self.list.setModel(self.model)
        self.list.setItemDelegate(RoundRows(_ROW_HEIGHT, self.list))
        self.list.setIconSize(QSize(2 * GRID, 2 * GRID))
        self.list.setDragDropMode(QAbstractItemView.DragDropMode.InternalMove)
        self.list.setDefaultDropAction(Qt.DropAction.MoveAction)
        self.list.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.up = small_button(self.tr("Up"), "boot-up", self)
        self.down = small_button(self.tr("Down"), "boot-down", self)
        self.up.setIcon(icon("chevron-up", Tint.TEXT))
        self.down.setIcon(icon("chevron-down", Tint.TEXT))
        self.up.setAccessibleName(self.tr("Try it earlier"))
        self.down.setAccessibleName(self.tr("Try it later"))
        self.kinds = quiet_label("", self)
        buttons = QHBoxLayout()
        buttons.setSpacing(GRID)
        buttons.addWidget(self.up)
        buttons.addWidget(self.down)
        buttons.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, GRID // 2, 0, 0)
        column.setSpacing(GRID)
        column.addWidget(self.list)
        column.addLayout(buttons)
        column.addWidget(self.kinds)
        self.setFocusProxy(self.list)
        self.model.reordered.connect(self._on_reordered)
        self.list.moveRequested.connect(self._on_move)
        self.list.selectionModel().currentChanged.connect(self._update)
        self.up.clicked.connect(self._on_up)
        self.down.clicked.connect(self._on_down)

    def refresh(self) -> None:
        domain = self.draft.domain
        entries = boot_entries(domain, self.draft.parts())
        row = self.list.currentIndex().row()
        self.model.show(_in_order_of(self.model.entries, entries))
        if self.model.rowCount() and not self.list.currentIndex().isValid():
            self.list.setCurrentIndex(self.model.index(max(0, min(row, self.model.rowCount() - 1))))
        self.list.setFixedHeight(_ROW_HEIGHT * max(2, min(len(entries), 8)) + 2)
        numbered = any(device.boot_order is not None for _, device in bootable_devices(domain))
        kinds = len(domain.os.boot_devices) > 0
        text = ""
        if not entries:
            text = self.tr("This machine has nothing to boot from.")
        elif kinds and numbered:
            text = self.tr("The definition says it twice, in two ways; the next change here makes it one.")
        elif kinds:
            text = self._words_of_kinds(domain)
        self.kinds.setText(text)
        self.kinds.setVisible(bool(text))
        self._update()

    def _words_of_kinds(self, domain: DomainXml) -> str:
        """What a definition says that names no devices."""
        quoted = [f"“{clean_line(translated(word), 40)}”" for word in dict.fromkeys(kind_words(domain))]
        if len(quoted) == 1:
            return self.tr("So far only {kind} is said; a change here names each device.").format(kind=quoted[0])
        return self.tr("So far only {kinds} and {last} are said; a change here names each device.").format(
            kinds=", ".join(quoted[:-1]), last=quoted[-1]
        )

    @Slot()
    def _on_reordered(self) -> None:
        self.draft.set_value(self.part, self.option, ", ".join(self.model.words()) or None)

    @Slot(int)
    def _on_move(self, steps: int) -> None:
        row = self.list.currentIndex().row()
        if row >= 0:
            self.list.setCurrentIndex(self.model.index(self.model.move(row, steps)))
            self._update()

    @Slot()
    def _on_up(self) -> None:
        self._on_move(-1)

    @Slot()
    def _on_down(self) -> None:
        self._on_move(1)

    @Slot()
    def _update(self) -> None:
        row = self.list.currentIndex().row()
        self.up.setEnabled(row > 0)
        self.down.setEnabled(0 <= row < self.model.rowCount() - 1)


def _in_order_of(shown: list[BootEntry], entries: list[BootEntry]) -> list[BootEntry]:
    """The same entries stay where they were put: those that are off may stand between the others."""
    if {entry.word for entry in shown} != {entry.word for entry in entries}:
        return entries
    if [e.word for e in shown if e.is_on] != [e.word for e in entries if e.is_on]:
        return entries
    by_word = {entry.word: entry for entry in entries}
    return [by_word[entry.word] for entry in shown]
