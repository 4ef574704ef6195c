"""What was read from a guest's screen."""

from __future__ import annotations

from PySide6.QtCore import Slot
from PySide6.QtGui import QFontDatabase, QGuiApplication
from PySide6.QtWidgets import QPlainTextEdit, QWidget

from guivm.views.dialogs.base import VerbDialog
from guivm.views.theme import GRID

_WIDTH = 720


class ScreenTextDialog(VerbDialog):
    """Shows text from the screen; Copy puts all of it, or what is selected, into the clipboard."""

    def __init__(self, text: str, parent: QWidget | None = None) -> None:
        super().__init__(self.tr("Text from the Screen"), self.tr("&Copy"), parent, name="screen-text", width=_WIDTH)
        self.text = QPlainTextEdit(text, self.content)
        self.text.setObjectName("text")
        self.text.setAccessibleName(self.tr("Text from the screen"))
        self.text.setReadOnly(True)
        self.text.setTabChangesFocus(True)
        self.text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.text.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.text.setMinimumHeight(40 * GRID)
        self.body.addWidget(self.text, 1)
        self.cancel.setText(self.tr("C&lose"))
        self.cancel.setAccessibleName(self.tr("Close"))
        self.text.setFocus()

    @Slot()
    def submit(self) -> None:
        selected = self.text.textCursor().selectedText().replace("\u2029", "\n")
        QGuiApplication.clipboard().setText(selected or self.text.toPlainText())
        self.accept()
