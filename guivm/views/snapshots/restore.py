"""Restore a snapshot."""

from __future__ import annotations

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QLineEdit, QWidget

from guivm.engine.requests import RestoreSnapshot
from guivm.engine.snapshots.values import SnapshotInfo, SnapshotTree
from guivm.engine.types import VmInfo
from guivm.views.bridge import Bridge
from guivm.views.forms import NoteLine, Tone, plain_label
from guivm.views.small import set_style_property
from guivm.views.snapshots.plan_dialog import PlanDialog
from guivm.views.snapshots.words import TITLE_LIMIT, contents_sentence, quoted, title_before
from guivm.views.theme import GRID

_WIDTH = 560


class RestoreDialog(PlanDialog):
    """Takes a snapshot of the current state first, unless that is switched off."""

    def __init__(
        self, bridge: Bridge, vm: VmInfo, tree: SnapshotTree, info: SnapshotInfo, parent: QWidget | None = None
    ) -> None:
        title = self.tr("Restore {title}").format(title=quoted(info.title))
        super().__init__(bridge, vm, tree, title, self.tr("&Restore"), parent, name="restore-snapshot", width=_WIDTH)
        self._info = info
        self.body.setSpacing(GRID + 4)
        self.add_heading(self.tr("Restore {title}?").format(title=quoted(info.title)))
        text = self.tr("{name} becomes what it was when the snapshot was taken. {contents}").format(
            name=quoted(vm.name), contents=contents_sentence(info)
        )
        self.body.addWidget(plain_label(text, self.content, wrap=True))
        self.keep = QCheckBox(self.tr("Take a &snapshot of the current state first"), self.content)
        self.keep.setObjectName("keep-current")
        self.keep.setAccessibleName(self.tr("Take a snapshot of the current state first"))
        self.title = QLineEdit(title_before(info.title), self.content)
        self.title.setObjectName("keep-title")
        self.title.setAccessibleName(self.tr("Title of that snapshot"))
        self.title.setMaxLength(TITLE_LIMIT)
        indented = QHBoxLayout()
        indented.setContentsMargins(3 * GRID, 0, 0, 0)
        indented.addWidget(self.title)
        self.note = NoteLine("", self.content)
        self.note.setObjectName("keep-note")
        self.note.setContentsMargins(3 * GRID, 0, 0, 0)
        self.body.addWidget(self.keep)
        self.body.addLayout(indented)
        self.body.addWidget(self.note)
        self.body.addWidget(self.plan_view)
        self.body.addStretch(1)
        can_keep = not tree.cannot_take
        self.keep.setChecked(can_keep)
        self.keep.setEnabled(can_keep)
        self.keep.setAccessibleDescription(tree.cannot_take)
        self.keep.toggled.connect(self._on_edited)
        self.title.textChanged.connect(self._on_edited)
        self._follow()
        self.keep.setFocus()
        self.begin()

    def operation(self) -> RestoreSnapshot | None:
        if self.form_problem():
            return None
        return RestoreSnapshot(self.vm.key, self._info.id, self.title.text().strip() if self.keep.isChecked() else "")

    def form_problem(self) -> str:
        if self.keep.isChecked() and not self.title.text().strip():
            return self.tr("Give that snapshot a title.")
        return ""

    @Slot()
    def _on_edited(self) -> None:
        self._follow()
        self.replan()

    def _follow(self) -> None:
        keeps = self.keep.isChecked()
        self.title.setEnabled(keeps)
        self._kind = "primary" if keeps else "danger"
        set_style_property(self.primary, "kind", self._kind)
        self.primary.setDefault(keeps)
        problem = self.form_problem()
        if problem:
            self.note.set_problem(problem)
            return
        self.note.set_problem("")
        cannot = self.tree.cannot_take if self.tree is not None else ""
        if cannot:
            self.note.set_problem(cannot, Tone.WARNING)
        elif keeps:
            self.note.set_help(self.tr("So that you can come back to what is now, whenever you like."))
        else:
            self.note.set_help(self.tr("What is now can then be brought back only by undoing this restore."))
