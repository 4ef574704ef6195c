"""Devices of the host that are given to the guest: USB, PCI by IOMMU group, mediated ones. GUI thread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QModelIndex, Qt, Slot
from PySide6.QtGui import QStandardItem, QStandardItemModel
from PySide6.QtWidgets import (
    QAbstractItemView,
    QTreeView,
    QVBoxLayout,
    QWidget,
)

from guivm.engine.options.option import Item, Option, Value
from guivm.engine.options.pci_devices import group_members, iommu_words, mdev_items, pci_items
from guivm.engine.options.usb_devices import usb_items
from guivm.engine.xml.hostdev import HostDevice
from guivm.views.forms import NoteLine, Tone, plain_tooltip
from guivm.views.theme import GRID
from guivm.views.vm_settings.draft import Draft, Part
from guivm.views.vm_settings.editors import translated
from guivm.views.vm_settings.pieces import RoundRows, label_words, quiet_label, reason_words
from guivm.views.vm_settings.registry import CustomEditor

_VALUE_ROLE = Qt.ItemDataRole.UserRole + 1
_ROW_HEIGHT = 4 * GRID
_MOST_ROWS = 9


class _DeviceEditor(CustomEditor):
    """A list of devices, in groups where there are any; one that another VM has is greyed and says so."""

    def __init__(self, draft: Draft, part: Part, option: Option[Any], parent: QWidget) -> None:
        super().__init__(draft, part, option, parent)
        self._hostdev: HostDevice = part.node  # type: ignore[assignment]  # the catalogue gives it such devices only
        self._shown: tuple[Item, ...] | None = None
        self.model = QStandardItemModel(self)
        self.tree = QTreeView(self)
        self.tree.setObjectName(f"{part.resource.id}-devices")
        self.tree.setAccessibleName(translated(option.label))
        self.tree.setModel(self.model)
        self.tree.setItemDelegate(RoundRows(_ROW_HEIGHT, self.tree))
        self.tree.setHeaderHidden(True)
        self.tree.setRootIsDecorated(False)
        self.tree.setItemsExpandable(False)
        self.tree.setIndentation(0)  # the rows do it: the style would mark a chosen one's indentation on its own
        self.tree.setUniformRowHeights(True)
        self.tree.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.tree.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.words = quiet_label("", self)
        self.warning = NoteLine("", self)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, GRID // 2, 0, 0)
        column.setSpacing(GRID)
        column.addWidget(self.tree)
        column.addWidget(self.words)
        column.addWidget(self.warning)
        self.setFocusProxy(self.tree)
        self.tree.activated.connect(self._on_chosen)
        self.tree.clicked.connect(self._on_chosen)

    def items(self) -> Sequence[Item]:
        raise NotImplementedError

    def group_of(self, _item: Item) -> str:
        """The heading that a device stands under; empty: none."""
        return ""

    def say(self, value: Value | None) -> tuple[str, str]:
        """A quiet sentence on the chosen device, and a warning."""
        item = next((each for each in self.items() if each.value == value), None)
        return ("" if item is None else translated(item.note)), ""

    def refresh(self) -> None:
        items = tuple(self.items())
        if items != self._shown:
            self._shown = items
            self._fill(items)
        value = self.option.get(self._hostdev)
        self._select(value)
        words, warning = self.say(value)
        self.words.setText(words)
        self.words.setVisible(bool(words))
        self.warning.set_problem(warning, Tone.WARNING)
        self.warning.setVisible(bool(warning))

    def _fill(self, items: Sequence[Item]) -> None:
        self.model.clear()
        groups: dict[str, QStandardItem] = {}
        for item in items:
            heading = self.group_of(item)
            if heading and heading not in groups:
                head = QStandardItem(heading)
                head.setFlags(Qt.ItemFlag.ItemIsEnabled)
                font = self.font()
                font.setBold(True)
                head.setFont(font)
                groups[heading] = head
                self.model.appendRow(head)
            label, words = label_words(item), reason_words(item)
            row = QStandardItem(f"{label}  –  {words}" if item.refusal else label)
            row.setData(item.value, _VALUE_ROLE)
            row.setToolTip(plain_tooltip(words))
            row.setAccessibleText(f"{label}. {words}")
            row.setEnabled(not item.refusal)
            (groups[heading] if heading else self.model).appendRow(row)
        self.tree.expandAll()
        count = len(items) + len(groups)
        self.tree.setFixedHeight(_ROW_HEIGHT * max(2, min(count, _MOST_ROWS)) + 4)

    def _select(self, value: Value | None) -> None:
        for index in self._indexes():
            if index.data(_VALUE_ROLE) == value:
                self.tree.setCurrentIndex(index)
                return

    def _indexes(self) -> list[QModelIndex]:
        found: list[QModelIndex] = []
        for row in range(self.model.rowCount()):
            index = self.model.index(row, 0)
            found.append(index)
            found += [self.model.index(child, 0, index) for child in range(self.model.rowCount(index))]
        return found

    @Slot(QModelIndex)
    def _on_chosen(self, index: QModelIndex) -> None:
        value = index.data(_VALUE_ROLE)
        if value is not None and value != self.option.get(self._hostdev):
            self.draft.set_value(self.part, self.option, value)


class UsbDeviceEditor(_DeviceEditor):
    def items(self) -> Sequence[Item]:
        return usb_items(self.draft.situation, self._hostdev)


class MediatedDeviceEditor(_DeviceEditor):
    def items(self) -> Sequence[Item]:
        return mdev_items(self.draft.situation, self._hostdev)


class PciDeviceEditor(_DeviceEditor):
    def items(self) -> Sequence[Item]:
        return sorted(pci_items(self.draft.situation, self._hostdev), key=lambda item: self._group(item.value))

    def _group(self, value: Value | None) -> tuple[int, str]:
        device = next((d for d in self.draft.settings.facts.pci_devices if d.address == value), None)
        number = -1 if device is None or device.iommu_group is None else device.iommu_group
        return number, str(value)

    def group_of(self, item: Item) -> str:
        number = self._group(item.value)[0]
        return self.tr("IOMMU group {n}").format(n=number) if number >= 0 else self.tr("Without IOMMU group")

    def say(self, value: Value | None) -> tuple[str, str]:
        facts = self.draft.settings.facts
        words = translated(iommu_words(facts, str(value or "")))
        mine = {each.source.address.pci for each in self.draft.domain.devices.host_devices if each.type == "pci"}
        left = [device for device in group_members(facts, str(value or "")) if device.address not in mine]
        if not left:
            return words, ""
        names = ", ".join(device.address for device in left[:8])
        sentence = (
            self.tr("The host must give up {names} as well: add it, or leave it without a driver.")
            if len(left) == 1
            else self.tr("The host must give up {names} as well: add them, or leave them without a driver.")
        )
        return words, sentence.format(names=names)
