"""Sockets, cores and threads, and what they make together. GUI thread."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from guivm.engine.options.option import Item, Option, Value
from guivm.engine.options.processors import get_count, get_topology, topology_splits
from guivm.views.forms import plain_label
from guivm.views.theme import GRID
from guivm.views.vm_settings.draft import Draft, Part
from guivm.views.vm_settings.editors import translated
from guivm.views.vm_settings.pieces import ItemBox, QuietSpin, quiet_label
from guivm.views.vm_settings.registry import CustomEditor

_OWN = "own"


class CpuTopologyEditor(CustomEditor):
    """Splits that fit the number of CPUs to choose from, or numbers of one's own, which set that number."""

    is_wide = False

    def __init__(self, draft: Draft, part: Part, option: Option[Any], parent: QWidget) -> None:
        super().__init__(draft, part, option, parent)
        self._is_own = False
        self.box = ItemBox("cpu-topology", translated(option.label), self)
        self.numbers = QWidget(self)
        self.sockets = self._spin("sockets", self.tr("Sockets"))
        self.cores = self._spin("cores", self.tr("Cores in each"))
        self.threads = self._spin("threads", self.tr("Threads in each"))
        self.total = quiet_label("", self)
        line = QHBoxLayout(self.numbers)
        line.setContentsMargins(0, 0, 0, 0)
        line.setSpacing(GRID)
        for index, (spin, words) in enumerate(
            (
                (self.sockets, self.tr("sockets")),
                (self.cores, self.tr("cores")),
                (self.threads, self.tr("threads")),
            )
        ):
            if index:
                line.addWidget(plain_label("×", self.numbers))
            label: QLabel = plain_label(words, self.numbers)
            label.setBuddy(spin)
            line.addWidget(spin)
            line.addWidget(label)
        line.addStretch(1)
        first = QHBoxLayout()
        first.addWidget(self.box)
        first.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(GRID)
        column.addLayout(first)
        column.addWidget(self.numbers)
        column.addWidget(self.total)
        self.setFocusProxy(self.box)
        self.box.picked.connect(self._on_picked)

    def _spin(self, name: str, accessible: str) -> QuietSpin:
        spin = QuietSpin(f"cpu-{name}", accessible, self.numbers)
        spin.setRange(1, 4096)
        spin.setMinimumWidth(9 * GRID)
        spin.valueChanged.connect(self._on_number)
        return spin

    def refresh(self) -> None:
        domain = self.draft.domain
        value = get_topology(domain)
        count = int(domain.vcpu.maximum or get_count(domain) or 1)
        splits = topology_splits(count)
        items = [Item(None, self.tr("One socket for each CPU"))]
        items += [Item("x".join(map(str, split)), self._words(split)) for split in splits]
        items.append(Item(_OWN, self.tr("Numbers of my own…")))
        self.box.show_items(items)
        known = any(item.value == value for item in items)
        own = self._is_own or not known
        self.box.show_value(_OWN if own else value)
        parts = [int(part) for part in str(value).split("x")] if value is not None else [count, 1, 1]
        if len(parts) == 4:  # with dies, which this has no field for: they count as sockets do
            own = True
        self.numbers.setVisible(own and len(parts) == 3)
        for spin, number in zip((self.sockets, self.cores, self.threads), parts[:1] + parts[-2:], strict=True):
            spin.show_value(number)
        self.total.setText(
            self.tr("{text}: with dies, as the XML has it.").format(text=value)
            if len(parts) == 4
            else self.tr("{n} CPUs together").format(n=parts[0] * parts[1] * parts[2])
        )
        self.total.setVisible(own)

    def _words(self, split: tuple[int, int, int]) -> str:
        sockets, cores, threads = split
        parts = [
            self.tr("1 socket") if sockets == 1 else self.tr("{n} sockets").format(n=sockets),
            self.tr("1 core") if cores == 1 else self.tr("{n} cores").format(n=cores),
        ]
        if threads > 1:
            parts.append(self.tr("{n} threads").format(n=threads))
        return " × ".join(parts)

    @Slot(object)
    def _on_picked(self, value: Value | None) -> None:
        self._is_own = value == _OWN
        if not self._is_own:
            self.draft.set_value(self.part, self.option, value)
        elif get_topology(self.draft.domain) is None:
            self._on_number()
        else:
            self.refresh()

    @Slot()
    def _on_number(self) -> None:
        self._is_own = True
        text = f"{self.sockets.value()}x{self.cores.value()}x{self.threads.value()}"
        self.draft.set_value(self.part, self.option, text)
