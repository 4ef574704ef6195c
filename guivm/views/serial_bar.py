"""The strips above a terminal: what is up with the line, and finding text."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLineEdit, QPushButton, QWidget

from guivm.views.art import plain_label
from guivm.views.small import set_style_property
from guivm.views.theme import GRID


class NoticeBar(QFrame):
    """One sentence and what can be done about it. Hidden while there is nothing to say."""

    clicked = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("serial-notice")
        self.setProperty("strip", True)
        self.text = plain_label("", self, name="serial-notice-text")
        self.text.setWordWrap(True)
        self.button = QPushButton(self)
        self.button.setObjectName("serial-notice-button")
        self.button.setProperty("kind", "small")
        self.button.clicked.connect(self.clicked)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(2 * GRID, GRID // 2, 2 * GRID, GRID // 2)
        layout.addWidget(self.text, 1)
        layout.addWidget(self.button)
        self.hide()

    def say(self, text: str, button: str) -> None:
        """An empty text hides the bar, an empty button the button."""
        self.text.setText(text)
        self.button.setText(button)
        self.button.setAccessibleName(button.replace("&", ""))
        self.button.setVisible(bool(button))
        self.setVisible(bool(text))


class FindBar(QFrame):
    """Enter looks upwards, towards older text; Shift+Enter downwards; Escape closes."""

    wanted = Signal(str, bool)  # the text, and whether upwards
    closed = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("serial-find")
        self.setProperty("strip", True)
        self.edit = QLineEdit(self)
        self.edit.setObjectName("serial-find-text")
        self.edit.setAccessibleName(self.tr("Text to find"))
        self.edit.setPlaceholderText(self.tr("Find in the text"))
        self.edit.setMaxLength(200)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(2 * GRID, GRID // 2, 2 * GRID, GRID // 2)
        layout.addWidget(self.edit, 1)
        for name, text, words, slot in (
            ("serial-find-older", self.tr("Older"), self.tr("Find older text"), self._older),
            ("serial-find-newer", self.tr("Newer"), self.tr("Find newer text"), self._newer),
            ("serial-find-close", self.tr("Close"), self.tr("Close the search"), self.closed.emit),
        ):
            button = QPushButton(text, self)
            button.setObjectName(name)
            button.setAccessibleName(words)
            button.setProperty("kind", "small")
            button.setAutoDefault(False)
            button.clicked.connect(slot)
            layout.addWidget(button)
        self.hide()

    def begin(self) -> None:
        self.show()
        self.edit.selectAll()
        self.edit.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def say_found(self, found: bool) -> None:
        set_style_property(self.edit, "invalid", not found and bool(self.edit.text()))

    @Slot()
    def _older(self) -> None:
        self.wanted.emit(self.edit.text(), True)

    @Slot()
    def _newer(self) -> None:
        self.wanted.emit(self.edit.text(), False)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        match event.key():
            case Qt.Key.Key_Escape:
                self.closed.emit()
            case Qt.Key.Key_Return | Qt.Key.Key_Enter:
                if event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
                    self._newer()
                else:
                    self._older()
            case _:
                super().keyPressEvent(event)
                return
        event.accept()
