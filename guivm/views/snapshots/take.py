"""Take a snapshot."""

from __future__ import annotations

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QCheckBox, QLineEdit, QPlainTextEdit, QWidget

from guivm.engine.requests import TakeSnapshot
from guivm.engine.snapshots.values import SnapshotTree
from guivm.engine.types import VmInfo
from guivm.views.bridge import Bridge
from guivm.views.forms import Form
from guivm.views.snapshots.plan_dialog import PlanDialog
from guivm.views.snapshots.words import TITLE_LIMIT, proposed_title, quoted
from guivm.views.theme import GRID

_WIDTH = 560


class TakeDialog(PlanDialog):
    """``draft``: what to begin with, after an attempt that failed."""

    def __init__(
        self,
        bridge: Bridge,
        vm: VmInfo,
        tree: SnapshotTree | None = None,
        parent: QWidget | None = None,
        *,
        draft: TakeSnapshot | None = None,
    ) -> None:
        title = self.tr("Take a Snapshot of {name}").format(name=quoted(vm.name))
        verb = self.tr("&Take Snapshot")
        super().__init__(bridge, vm, tree, title, verb, parent, name="take-snapshot", width=_WIDTH)
        self._proposed = ""
        self.title = QLineEdit(self.content)
        self.title.setObjectName("snapshot-title")
        self.title.setMaxLength(TITLE_LIMIT)
        self.notes = QPlainTextEdit(self.content)
        self.notes.setObjectName("snapshot-notes")
        self.notes.setTabChangesFocus(True)
        self.notes.setPlaceholderText(self.tr("What it is for, what comes next…"))
        self.notes.setFixedHeight(9 * GRID)
        self.memory = QCheckBox(self.tr("Keep the &memory, too"), self.content)
        self.memory.setObjectName("snapshot-memory")
        self.memory.setAccessibleName(self.tr("Keep the memory, too"))
        self.quiesce = QCheckBox(self.tr("Bring the file systems to &rest first"), self.content)
        self.quiesce.setObjectName("snapshot-quiesce")
        self.quiesce.setAccessibleName(self.tr("Bring the file systems to rest first"))
        form = Form(self.content)
        self.title_row = form.add_row(self.tr("T&itle"), self.title)
        form.add_row(self.tr("&Notes"), self.notes, tall=True).note.setFixedHeight(GRID)
        self.memory_row = form.add_row(self.tr("Memory"), self.memory)
        self.quiesce_row = form.add_row(self.tr("Disks"), self.quiesce)
        self.body.addWidget(form)
        self.body.addWidget(self.plan_view)
        self.body.addStretch(1)
        self.memory.setChecked(vm.state.is_active)
        if draft is not None:
            self.title.setText(draft.title)
            self.notes.setPlainText(draft.notes)
            self.memory.setChecked(draft.memory)
            self.quiesce.setChecked(draft.quiesce)
        self._follow()
        self.title.textChanged.connect(self._on_edited)
        self.notes.textChanged.connect(self._on_edited)
        self.memory.toggled.connect(self._on_edited)
        self.quiesce.toggled.connect(self._on_edited)
        self.title.setFocus()
        self.begin()

    def tree_known(self, tree: SnapshotTree) -> None:
        if not self.title.text():
            self.title.setText(proposed_title(tree.snapshots))
        self.title.selectAll()
        self._follow()

    def operation(self) -> TakeSnapshot | None:
        if self.form_problem():
            return None
        return TakeSnapshot(
            self.vm.key,
            self.title.text().strip(),
            self.notes.toPlainText(),
            memory=self.memory.isChecked(),
            quiesce=self.quiesce.isEnabled() and self.quiesce.isChecked(),
        )

    def form_problem(self) -> str:
        if self.tree is None or self.title.text().strip():
            return ""
        return self.tr("Give the snapshot a title.")

    @Slot()
    def _on_edited(self) -> None:
        self._follow()
        self.replan()

    def _follow(self) -> None:
        """What can be chosen, and why not."""
        self.title_row.set_problem(self.form_problem())
        tree, active = self.tree, self.vm.state.is_active
        if not active:
            no_memory = self.tr("It is off: there is no memory to keep.")
        else:
            no_memory = tree.cannot_keep_memory if tree is not None else ""
        always = tree.cannot_skip_memory if tree is not None and active and not no_memory else ""
        self.memory.setEnabled(not no_memory and not always)
        if no_memory or always:
            self.memory.setChecked(not no_memory)
        self.memory_row.set_help(
            no_memory
            or always
            or (
                self.tr("Restored, it goes on exactly where it was.")
                if self.memory.isChecked()
                else self.tr("Restored, it boots as after a power cut.")
            )
        )
        if not active:
            no_rest = self.tr("It is off: they are at rest.")
        elif tree is None or not tree.can_quiesce:
            no_rest = self.tr("The guest runs no agent that could do that.")
        elif self.memory.isChecked():
            no_rest = self.tr("Not needed when the memory is kept.")
        else:
            no_rest = ""
        self.quiesce.setEnabled(not no_rest)
        self.quiesce_row.set_help(no_rest or self.tr("The guest's agent writes out what is open."))
        self.quiesce_row.set_visible(active)
