"""Rename, and title and notes."""

from __future__ import annotations

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QLineEdit, QPlainTextEdit, QWidget

from guivm.engine.requests import Rename, SetNotes, SetTitle
from guivm.engine.types import VmInfo
from guivm.text import clean_line
from guivm.views.bridge import Bridge
from guivm.views.dialogs.base import JobDialog
from guivm.views.forms import Form
from guivm.views.theme import GRID

_WIDTH = 480
_NOTES_WIDTH = 560
_SHOWN = 40
NOTES_LIMIT_BYTES = 64 * 1024


class RenameDialog(JobDialog):
    """Asks for a new name and renames; the VM must be off."""

    def __init__(self, bridge: Bridge, vm: VmInfo, parent: QWidget | None = None) -> None:
        title = self.tr("Rename “{name}”").format(name=clean_line(vm.name, _SHOWN))
        super().__init__(bridge, title, self.tr("&Rename"), parent, name="rename", width=_WIDTH)
        self._vm = vm
        self.name = QLineEdit(vm.name, self.content)
        self.name.setObjectName("name")
        self.name.setMaxLength(200)
        form = Form(self.content)
        self.row = form.add_row(
            self.tr("&Name"), self.name, self.tr("Files keep their names; the title and the notes stay.")
        )
        self.body.addWidget(form)
        self.name.textChanged.connect(self._judge)
        self.name.selectAll()
        self.name.setFocus()
        self._judge()

    def submit(self) -> None:
        name = self.name.text().strip()
        if name == self._vm.name:
            self.accept()
        elif not self.busy:
            self.run(Rename(self._vm.key, name), self.tr("Renaming…"), self._on_renamed)

    def _on_renamed(self, _nothing: None) -> None:
        if not self.closed:
            self.accept()

    @Slot()
    def _judge(self) -> None:
        problem = self._problem(self.name.text().strip())
        self.row.set_problem(problem)
        self.set_reason(problem, shown=True)

    def _problem(self, name: str) -> str:
        if not name:
            return self.tr("Give the VM a name.")
        if "/" in name:
            return self.tr("A name cannot contain “/”.")
        if any(vm.name == name and vm.key != self._vm.key for vm in self.bridge.engine.vms(self._vm.key.host)):
            return self.tr("Another VM of this host has that name.")
        return ""


class NotesDialog(JobDialog):
    """Edits libvirt's title and description; only what changed is written. Plain text."""

    def __init__(self, bridge: Bridge, vm: VmInfo, parent: QWidget | None = None) -> None:
        title = self.tr("Title and notes of “{name}”").format(name=clean_line(vm.name, _SHOWN))
        super().__init__(bridge, title, self.tr("&Save"), parent, name="notes", width=_NOTES_WIDTH)
        self._vm = vm
        self._saved_title = vm.title
        self._saved_notes = vm.notes
        self.title = QLineEdit(vm.title, self.content)
        self.title.setObjectName("title")
        self.title.setMaxLength(200)
        self.notes = QPlainTextEdit(self.content)
        self.notes.setObjectName("notes-text")
        self.notes.setPlainText(vm.notes)
        self.notes.setTabChangesFocus(True)
        self.notes.setMinimumHeight(20 * GRID)
        form = Form(self.content)
        form.add_row(self.tr("&Title"), self.title, self.tr("One line that says what the VM is for; its name stays."))
        self.row = form.add_row(
            self.tr("&Notes"), self.notes, self.tr("Plain text, kept by the host with the VM; the search finds it."),
            tall=True,
        )  # fmt: skip
        self.body.addWidget(form)
        self.notes.textChanged.connect(self._judge)
        self.title.setFocus()

    def submit(self) -> None:
        if not self.busy:
            self._save_title()

    def _save_title(self) -> None:
        title = self.title.text().strip()
        if title == self._saved_title:
            self._save_notes()
        else:
            self.run(SetTitle(self._vm.key, title), self.tr("Saving…"), self._on_title)

    def _on_title(self, _nothing: None) -> None:
        self._saved_title = self.title.text().strip()
        if not self.closed:
            self._save_notes()

    def _save_notes(self) -> None:
        notes = self.notes.toPlainText()
        if notes == self._saved_notes:
            self.accept()
        else:
            self.run(SetNotes(self._vm.key, notes), self.tr("Saving…"), self._on_notes)

    def _on_notes(self, _nothing: None) -> None:
        self._saved_notes = self.notes.toPlainText()
        if not self.closed:
            self.accept()

    @Slot()
    def _judge(self) -> None:
        too_long = len(self.notes.toPlainText().encode()) > NOTES_LIMIT_BYTES
        problem = self.tr("Notes can be at most 64 KiB long.") if too_long else ""
        self.row.set_problem(problem)
        self.set_reason(problem, shown=True)
