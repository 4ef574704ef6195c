"""A calm card that tells what came of something: a sentence, buttons, the rest behind Details. GUI thread."""

from __future__ import annotations

import enum
from collections.abc import Sequence

from PySide6.QtCore import QEvent, QSize, Qt, Slot
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from guivm.text import clean_block
from guivm.views.forms import plain_label
from guivm.views.icons import Tint, icon
from guivm.views.theme import GRID


class Mood(enum.Enum):
    """The values are icons."""

    DONE = "success"
    NEWS = "info"
    CARE = "warning"


_TINTS = {Mood.DONE: Tint.SUCCESS, Mood.NEWS: Tint.INFO, Mood.CARE: Tint.WARNING}


class Banner(QFrame):
    """Hidden until :meth:`tell`. One at a time: what is told next takes its place."""

    def __init__(self, name: str, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self.setProperty("card", True)
        # As high as its words: the page above takes what is left.
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self._mood = Mood.NEWS
        self._buttons: list[QPushButton] = []
        self._icon = QLabel(self)
        self._icon.setFixedSize(2 * GRID + 2, 2 * GRID + 2)
        self._words = plain_label("", self, wrap=True)
        self._words.setObjectName(f"{name}-text")
        self._words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._details = plain_label("", self, wrap=True)
        self._details.setObjectName(f"{name}-details")
        self._details.setProperty("role", "caption")
        self._details.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._details.hide()
        self._more = QPushButton(self.tr("Details"), self)
        self._more.setObjectName(f"{name}-more")
        self._more.setAccessibleName(self._more.text())
        self._more.setProperty("kind", "small")
        self._more.setAutoDefault(False)
        self._more.setCheckable(True)
        self._more.toggled.connect(self._details.setVisible)
        self._close = QToolButton(self)
        self._close.setObjectName(f"{name}-close")
        self._close.setAccessibleName(self.tr("Hide this message"))
        self._close.setToolTip(self._close.accessibleName())
        self._close.setIcon(icon("close", Tint.QUIET))
        self._close.setIconSize(QSize(12, 12))
        self._close.clicked.connect(self.clear)

        self._line = QHBoxLayout()
        self._line.setSpacing(GRID)
        self._line.addWidget(self._icon)
        self._line.addWidget(self._words, 1)
        self._line.addWidget(self._more)
        self._line.addWidget(self._close)
        column = QVBoxLayout(self)
        column.setContentsMargins(GRID + 4, GRID, GRID, GRID)
        column.setSpacing(GRID // 2)
        column.addLayout(self._line)
        column.addWidget(self._details)
        self.hide()

    @property
    def text(self) -> str:
        """What is told, or empty."""
        return self._words.text() if not self.isHidden() else ""

    @property
    def details(self) -> str:
        return self._details.text()

    def tell(
        self, mood: Mood, text: str, details: str = "", *, actions: Sequence[QPushButton] = (), closable: bool = True
    ) -> None:
        """Show it. ``actions``: buttons that the banner owns from now on."""
        self._drop_buttons()
        self._mood = mood
        self._words.setText(text)
        self._details.setText(clean_block(details))
        self._details.hide()
        self._more.setChecked(False)
        self._more.setVisible(bool(details))
        self._close.setVisible(closable)
        for button in actions:
            button.setParent(self)
            button.setAutoDefault(False)
            button.setProperty("kind", "small")
            self._line.insertWidget(self._line.indexOf(self._more), button)
            button.show()
            self._buttons.append(button)
        self.setAccessibleName(text)
        self._show_icon()
        self.show()

    @Slot()
    def clear(self) -> None:
        self._drop_buttons()
        self._words.clear()
        self.hide()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._show_icon()

    def _show_icon(self) -> None:
        side = self._icon.width()
        symbol = icon(self._mood.value, _TINTS[self._mood])
        self._icon.setPixmap(symbol.pixmap(QSize(side, side), self.devicePixelRatioF()))

    def _drop_buttons(self) -> None:
        for button in self._buttons:
            self._line.removeWidget(button)
            button.hide()
            button.deleteLater()
        self._buttons = []
