"""NUMA nodes of the guest: which CPUs and how much memory each has. GUI thread."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QVBoxLayout, QWidget

from guivm.engine.options.option import Option
from guivm.engine.options.processors import get_count, get_numa
from guivm.views.theme import GRID
from guivm.views.vm_settings.draft import Draft, Part
from guivm.views.vm_settings.editors import translated
from guivm.views.vm_settings.registry import CustomEditor
from guivm.views.vm_settings.row_table import Column, RowTable


class NumaEditor(CustomEditor):
    def __init__(self, draft: Draft, part: Part, option: Option[Any], parent: QWidget) -> None:
        super().__init__(draft, part, option, parent)
        self.rows = RowTable(
            "numa",
            translated(option.label),
            (Column(self.tr("CPUs")), Column(self.tr("Memory"))),
            self.tr("One node with all of it."),
            self,
        )
        column = QVBoxLayout(self)
        column.setContentsMargins(0, GRID // 2, 0, 0)
        column.addWidget(self.rows)
        self.setFocusProxy(self.rows.first)
        self._stored: str | None = None
        self.rows.addRequested.connect(self._on_add)
        self.rows.model.edited.connect(self._on_edited)

    def refresh(self) -> None:
        text = str(get_numa(self.draft.domain) or "")
        if text != self._stored:
            self._stored = text
            self.rows.model.show([_row(word) for word in text.split(";") if word.strip()])

    @Slot()
    def _on_add(self) -> None:
        domain = self.draft.domain
        if not self.rows.model.rowCount():
            count = int(domain.vcpu.maximum or get_count(domain) or 1)
            row = (f"0-{count - 1}" if count > 1 else "0", f"{(domain.memory_kib or 1 << 20) >> 10} MiB")
        else:
            row = ("", "1 GiB")
        self.rows.add_row(row, 0)

    @Slot()
    def _on_edited(self) -> None:
        text = "; ".join(f"{cpus}={memory}" for cpus, memory in self.rows.model.rows())
        self.draft.set_value(self.part, self.option, text or None)
        self._stored = str(get_numa(self.draft.domain) or "")


def _row(word: str) -> tuple[str, str]:
    cpus, _, memory = word.strip().partition("=")
    return cpus, memory
