"""Somebody else changed the definition while it was edited here: both sides are shown, nothing is lost unasked."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from guivm.errors import ChangedOutsideError
from guivm.views.dialogs.base import VerbDialog
from guivm.views.forms import plain_label
from guivm.views.theme import GRID
from guivm.views.vm_settings.diff_view import DiffView

_WIDTH = 980


class ConflictDialog(VerbDialog):
    """The primary button puts the person's edits on top; "Read it anew" gives them up; Cancel changes nothing."""

    reloadRequested = Signal()
    rebaseRequested = Signal()

    def __init__(self, error: ChangedOutsideError, parent: QWidget) -> None:
        super().__init__(
            self.tr("Changed meanwhile"), self.tr("&Put my edits on top of it"), parent, name="conflict", width=_WIDTH
        )
        heading = plain_label(self.tr("Another program changed this virtual machine"), self.content, wrap=True)
        heading.setProperty("role", "heading")
        text = plain_label(
            self.tr("Since you opened its settings, somebody else stored others. Nothing was overwritten."),
            self.content,
            wrap=True,
        )
        self.theirs = DiffView("theirs", self.tr("What somebody else changed"), self.content)
        self.ours = DiffView("ours", self.tr("What you were about to store"), self.content)
        self.theirs.set_diff(error.theirs)
        self.ours.set_diff(error.ours)
        sides = QHBoxLayout()
        sides.setSpacing(2 * GRID)
        for view in (self.theirs, self.ours):
            label = plain_label(view.accessibleName(), self.content)
            label.setProperty("role", "strong")
            label.setBuddy(view)
            column = QVBoxLayout()
            column.setSpacing(GRID)
            column.addWidget(label)
            column.addWidget(view, 1)
            view.setMinimumHeight(38 * GRID)
            sides.addLayout(column, 1)
        self.body.setSpacing(GRID)
        self.body.addWidget(heading)
        self.body.addWidget(text)
        self.body.addSpacing(GRID)
        self.body.addLayout(sides, 1)
        self.anew = QPushButton(self.tr("&Read it anew (my edits are lost)"), self)
        self.anew.setObjectName("read-anew")
        self.anew.setAccessibleName(self.anew.text().replace("&", ""))
        self.anew.setAutoDefault(False)
        self.anew.clicked.connect(self._on_anew)
        self.footer.insertWidget(0, self.anew, 0, Qt.AlignmentFlag.AlignLeading)

    def submit(self) -> None:
        self.rebaseRequested.emit()
        self.accept()

    @Slot()
    def _on_anew(self) -> None:
        self.reloadRequested.emit()
        self.accept()
