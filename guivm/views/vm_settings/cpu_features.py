"""Single features of the processor: searched, asked for or taken away. GUI thread."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QSortFilterProxyModel, Qt, Slot
from PySide6.QtWidgets import QLineEdit, QVBoxLayout, QWidget

from guivm.engine.options.option import Option
from guivm.engine.options.processors import feature_policies, features_text, get_features
from guivm.text import clean_line
from guivm.views.icons import Tint, icon
from guivm.views.theme import GRID
from guivm.views.vm_settings.draft import Draft, Part
from guivm.views.vm_settings.editors import translated
from guivm.views.vm_settings.pieces import quiet_label
from guivm.views.vm_settings.registry import CustomEditor
from guivm.views.vm_settings.row_table import Column, RowTable

_HEIGHT = 30 * GRID


class CpuFeaturesEditor(CustomEditor):
    """Those that are set come first; then all that the host's processor has, or a model misses."""

    def __init__(self, draft: Draft, part: Part, option: Option[Any], parent: QWidget) -> None:
        super().__init__(draft, part, option, parent)
        self.search = QLineEdit(self)
        self.search.setObjectName("feature-search")
        self.search.setAccessibleName(self.tr("Search a feature"))
        self.search.setPlaceholderText(self.tr("Search: vmx, avx, pcid…"))
        self.search.setClearButtonEnabled(True)
        self.search.addAction(icon("search", Tint.QUIET), QLineEdit.ActionPosition.LeadingPosition)
        policies = (
            ("", self.tr("The model's own")),
            ("require", self.tr("Required")),
            ("disable", self.tr("Taken away")),
            ("optional", self.tr("Where the host has it")),
            ("force", self.tr("Shown in any case")),
            ("forbid", self.tr("Must not be there")),
        )
        self.rows = RowTable(
            "cpu-features",
            translated(option.label),
            (
                Column(self.tr("Feature"), fixed=True),
                Column(self.tr("For this guest"), policies),
                Column(self.tr("On this host"), fixed=True),
            ),
            "",
            self,
            grows=False,
            height=_HEIGHT,
        )
        self.filter = QSortFilterProxyModel(self)
        self.filter.setSourceModel(self.rows.model)
        self.filter.setFilterCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self.filter.setFilterKeyColumn(0)
        self.rows.show_through(self.filter)
        self.note = quiet_label("", self)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, GRID // 2, 0, 0)
        column.setSpacing(GRID)
        column.addWidget(self.search)
        column.addWidget(self.rows)
        column.addWidget(self.note)
        self.setFocusProxy(self.search)
        self._order: list[str] = []
        self.search.textChanged.connect(self._on_search)
        self.rows.model.edited.connect(self._on_edited)

    def refresh(self) -> None:
        facts = self.draft.settings.facts
        policies = feature_policies(str(get_features(self.draft.domain) or ""))
        known = set(facts.host_features) | {name for model in facts.cpu_models for name in model.blockers}
        names = known | set(policies)
        if set(self._order) != names:  # the order stays while one edits
            self._order = [*sorted(policies), *sorted(names - set(policies))]
        here = set(facts.host_features)
        has, lacks = self.tr("usable"), self.tr("blocked: the host lacks it")
        words = {name: "" if not here else has if name in here else lacks for name in names}
        self.rows.model.show([(clean_line(name, 60), policies.get(name, ""), words[name]) for name in self._order])
        blocked = sorted(name for name, policy in policies.items() if policy == "require" and words[name] == lacks)
        self.note.setText(
            self.tr("The VM will not start here: the host lacks {names}.").format(names=", ".join(blocked[:8]))
        )
        self.note.setVisible(bool(blocked))

    @Slot(str)
    def _on_search(self, text: str) -> None:
        self.filter.setFilterFixedString(text.strip())

    @Slot()
    def _on_edited(self) -> None:
        policies = {row[0]: row[1] for row in self.rows.model.rows() if row[1]}
        self.draft.set_value(self.part, self.option, features_text(policies) or None)
