"""The changes as commands of virsh, and what QEMU is told then: in turn, to read and to copy. GUI thread."""

from __future__ import annotations

import functools

from PySide6.QtCore import Qt, QTimer, Slot
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPlainTextEdit, QStackedWidget, QVBoxLayout, QWidget

from guivm.errors import GuivmError
from guivm.views.dialogs.choices import SegmentedChooser
from guivm.views.forms import NoteLine
from guivm.views.theme import GRID
from guivm.views.vm_settings.commands import commands
from guivm.views.vm_settings.diff_view import DiffView
from guivm.views.vm_settings.draft import Draft
from guivm.views.vm_settings.editors import small_button

# An edit follows the next while one types; QEMU's command line takes libvirt some time.
_PAUSE_MS = 250


class CommandView(QWidget):
    """Follows the draft while it is in sight."""

    def __init__(self, draft: Draft, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("command-view")
        self._draft = draft
        self._shown = ""  # the definition that the QEMU page is about
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(_PAUSE_MS)
        self._later.timeout.connect(self._ask)
        kinds = [("virsh", "virsh", "virsh"), ("qemu", "qemu", "QEMU")]
        self.chooser: SegmentedChooser[str] = SegmentedChooser("command-kind", kinds, self)
        self.chooser.setAccessibleName(self.tr("Which commands"))
        self.copy = small_button(self.tr("Cop&y"), "copy-commands", self)
        self.copy.setToolTip(self.tr("Copy these commands, to run them in a terminal"))
        self.virsh = self._text("commands", self.tr("The changes as commands"))
        self.qemu = self._text("qemu-command", self.tr("The command line by which libvirt starts QEMU"))
        self.qemu.setLineWrapMode(QPlainTextEdit.LineWrapMode.WidgetWidth)
        self.note = NoteLine("", self)
        self.note.setObjectName("command-note")
        self._pages = QStackedWidget(self)
        self._pages.addWidget(self.virsh)
        self._pages.addWidget(self.qemu)
        line = QHBoxLayout()
        line.setSpacing(GRID)
        line.addWidget(self.chooser)
        line.addWidget(self.note, 1, Qt.AlignmentFlag.AlignVCenter)
        line.addWidget(self.copy)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(GRID)
        column.addLayout(line)
        column.addWidget(self._pages, 1)
        self.chooser.changed.connect(self.fill)
        self.copy.clicked.connect(self._on_copy)

    def _text(self, name: str, label: str) -> DiffView:
        view = DiffView(name, label, self)
        view.setFrameShape(QFrame.Shape.StyledPanel)
        return view

    @Slot()
    def fill(self) -> None:
        """Show the draft as it is now."""
        if self.chooser.value() == "virsh":
            self._pages.setCurrentWidget(self.virsh)
            self.note.set_problem("")
            self.note.set_help("")
            text = commands(self._draft)
            self.virsh.setPlainText(text or self.tr("# Everything is stored: only a restart is needed."))
            return
        self._pages.setCurrentWidget(self.qemu)
        if self._shown == self._draft.xml and self.qemu.toPlainText():
            self._tell(is_here=True)
        elif self.qemu.toPlainText():
            self._later.start()
        else:
            self._ask()

    @Slot()
    def _ask(self) -> None:
        services = self._draft.services
        if services is None or self.chooser.value() != "qemu":
            return
        xml = self._draft.xml
        if not self.qemu.toPlainText():
            self.note.set_problem("")
            self.note.set_help(self.tr("Asking libvirt…"))
        services.qemu_command(
            xml, self, functools.partial(self._on_command, xml), functools.partial(self._on_refused, xml)
        )

    def _on_command(self, xml: str, text: str) -> None:
        if xml == self._draft.xml:
            self._shown = xml
            self.qemu.setPlainText(text)
            self._tell(is_here=True)

    def _on_refused(self, xml: str, error: GuivmError) -> None:
        if xml == self._draft.xml:
            self._shown = ""
            self.qemu.setPlainText(error.details)
            self._tell(is_here=False, problem=str(error))

    def _tell(self, *, is_here: bool, problem: str = "") -> None:
        if self.chooser.value() == "qemu":
            self.note.set_problem(problem)
            self.note.set_help(self.tr("So libvirt would start it, without secrets.") if is_here else "")

    @Slot()
    def _on_copy(self) -> None:
        view = self.virsh if self.chooser.value() == "virsh" else self.qemu
        QGuiApplication.clipboard().setText(view.toPlainText())
