"""The guest's timers, each with what becomes of ticks it missed. GUI thread."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QVBoxLayout, QWidget

from guivm.engine.options.clock import TICK_POLICIES, TIMERS, get_timers, timer_states, timers_text
from guivm.engine.options.option import Option
from guivm.views.theme import GRID
from guivm.views.vm_settings.draft import Draft, Part
from guivm.views.vm_settings.editors import translated
from guivm.views.vm_settings.registry import CustomEditor
from guivm.views.vm_settings.row_table import Column, RowTable

_X86 = ("rtc", "pit", "hpet", "tsc", "kvmclock", "hypervclock")


class TimersEditor(CustomEditor):
    """One row for each timer that the machine can have, or that is named already."""

    def __init__(self, draft: Draft, part: Part, option: Option[Any], parent: QWidget) -> None:
        super().__init__(draft, part, option, parent)
        words = {
            "delay": self.tr("later, at the usual rate"),
            "catchup": self.tr("faster, until all are made up for"),
            "merge": self.tr("as one"),
            "discard": self.tr("never"),
        }
        self.rows = RowTable(
            "timers",
            translated(option.label),
            (
                Column(self.tr("Timer"), fixed=True),
                Column(self.tr("Present"), (("", self.tr("Default")), ("on", self.tr("Yes")), ("off", self.tr("No")))),
                Column(
                    self.tr("Missed ticks come"),
                    (("", self.tr("Default")), *((policy, words[policy]) for policy in TICK_POLICIES)),
                ),
            ),
            "",
            self,
            grows=False,
        )
        column = QVBoxLayout(self)
        column.setContentsMargins(0, GRID // 2, 0, 0)
        column.addWidget(self.rows)
        self.setFocusProxy(self.rows.first)
        self.rows.model.edited.connect(self._on_edited)

    def refresh(self) -> None:
        states = timer_states(str(get_timers(self.draft.domain) or ""))
        is_x86 = (self.draft.domain.os.arch or "x86_64") in ("x86_64", "i686")
        usual = _X86 if is_x86 else tuple(name for name in TIMERS if name not in _X86)
        names = [*usual, *(name for name in states if name not in usual)]
        self.rows.model.show([(name, *states.get(name, ("", ""))) for name in names])

    @Slot()
    def _on_edited(self) -> None:
        before = timer_states(str(get_timers(self.draft.domain) or ""))
        states = {row[0]: (row[1], row[2]) for row in self.rows.model.rows() if row[1] or row[2] or row[0] in before}
        self.draft.set_value(self.part, self.option, timers_text(states) or None)
