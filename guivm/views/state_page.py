"""A page for when there is no VM to show, and the two of that kind that may come before the first list."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QProgressBar, QVBoxLayout, QWidget

from guivm.engine.types import HostInfo
from guivm.views import formats
from guivm.views.art import Art, plain_label
from guivm.views.theme import GRID

COLUMN = 58 * GRID


class StatePage(QWidget):
    """A picture, a title and a sentence in the middle of the page; subclasses add what to do next."""

    def __init__(
        self, name: str, art: str, title: str, text: str, parent: QWidget | None = None, *, width: int = COLUMN
    ) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self.setProperty("page", True)
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.art = Art(art, 72 if art.startswith("art-") else 48, self)
        self.title = plain_label(title, self, name=f"{name}-title", role="title")
        self.text = plain_label(text, self, name=f"{name}-text")
        self.text.setProperty("tone", "quiet")
        for label in (self.title, self.text):
            label.setAlignment(Qt.AlignmentFlag.AlignHCenter)
            label.setWordWrap(True)
        column = QWidget(self)
        column.setMaximumWidth(width)
        self.column = QVBoxLayout(column)
        self.column.setContentsMargins(3 * GRID, 3 * GRID, 3 * GRID, 3 * GRID)
        self.column.setSpacing(GRID)
        self.column.addWidget(self.art, 0, Qt.AlignmentFlag.AlignHCenter)
        self.column.addSpacing(GRID)
        self.column.addWidget(self.title)
        self.column.addWidget(self.text)
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.addStretch(1)
        row.addWidget(column, 100)
        row.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addStretch(2)
        layout.addLayout(row)
        layout.addStretch(3)


class NothingSelectedPage(StatePage):
    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("nothing-selected", "art-select", "", "", parent)
        self.title.setText(self.tr("No virtual machine selected"))
        self.text.setText(self.tr("Select one in the list to see its screen and hardware."))


class ConnectingPage(StatePage):
    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("connecting", "art-host", "", "", parent)
        self._bar = QProgressBar(self)
        self._bar.setObjectName("connecting-progress")
        self._bar.setRange(0, 0)
        self._bar.setTextVisible(False)
        self._bar.setMaximumWidth(24 * GRID)
        self.column.addSpacing(GRID)
        self.column.addWidget(self._bar, 0, Qt.AlignmentFlag.AlignHCenter)

    def set_host(self, host: HostInfo) -> None:
        label = formats.host_label(host.label, host.id)
        self.title.setText(self.tr("Connecting…"))
        self.text.setText(self.tr("{host}. The first connection can take a few seconds.").format(host=label))
        self._bar.setAccessibleName(self.tr("Connecting to {host}").format(host=label))
