"""One question whose yes is a verb."""

from __future__ import annotations

from PySide6.QtWidgets import QWidget

from guivm.text import clean_line
from guivm.views.dialogs.base import VerbDialog
from guivm.views.forms import plain_label
from guivm.views.theme import GRID

_WIDTH = 440


class ConfirmDialog(VerbDialog):
    """``accepted`` is emitted when the person presses the button with the verb. Show with ``open()``.

    A destructive question has no default button: Enter alone destroys nothing.
    """

    def __init__(
        self, title: str, text: str, verb: str, parent: QWidget | None = None, *, destructive: bool = True
    ) -> None:
        super().__init__(title, verb, parent, name="confirm", width=_WIDTH, destructive=destructive)
        self.body.setSpacing(GRID)
        self.heading = plain_label(clean_line(title), self.content, wrap=True)
        self.heading.setProperty("role", "heading")
        self.text = plain_label(text, self.content, wrap=True)
        self.body.addWidget(self.heading)
        self.body.addWidget(self.text)
        self.body.addStretch(1)
        self.setAccessibleDescription(text)
