"""Whether the VM starts with its host: libvirt keeps it beside the definition, and so does the draft. GUI thread."""

from __future__ import annotations

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QCheckBox, QGridLayout, QWidget

from guivm.views.forms import NoteLine
from guivm.views.theme import GRID
from guivm.views.vm_settings.draft import Draft


class AutostartRow(QWidget):
    """Stands among the rows of options and looks like one. ``indent``: where their fields begin."""

    def __init__(self, draft: Draft, indent: int, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("row-autostart")
        self._draft = draft
        self.box = QCheckBox(self.tr("Start with the host"), self)
        self.box.setObjectName("option-autostart")
        self.box.setAccessibleName(self.box.text())
        self.note = NoteLine(
            self.tr("It starts whenever the host does, nobody logged in; a host with many of them takes longer."), self
        )
        self.box.setAccessibleDescription(self.note.text)
        grid = QGridLayout(self)
        grid.setContentsMargins(indent, 0, 0, 0)
        grid.setVerticalSpacing(GRID // 2)
        grid.addWidget(self.box, 0, 0)
        grid.addWidget(self.note, 1, 0)
        self.box.clicked.connect(self._on_clicked)
        self.refresh()

    def refresh(self) -> None:
        """Show the draft as it is."""
        self.box.setChecked(self._draft.autostart)

    @Slot(bool)
    def _on_clicked(self, on: bool) -> None:
        self._draft.set_autostart(on)
