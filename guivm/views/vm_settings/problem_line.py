"""What is wrong, in a sentence, and the command that would mend it where we must not. GUI thread."""

from __future__ import annotations

from PySide6.QtCore import Qt, Slot
from PySide6.QtGui import QFontDatabase, QGuiApplication
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from guivm.engine.options.values import SettingProblem
from guivm.text import clean_line
from guivm.views.forms import NoteLine, Tone, plain_label
from guivm.views.theme import GRID
from guivm.views.vm_settings.editors import small_button, translated


class CommandLine(QWidget):
    """A command to copy; hidden while there is none."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("problem-command")
        self._text = plain_label("", self, wrap=True)
        self._text.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self._text.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self._copy = small_button(self.tr("Copy"), "copy-command", self)
        self._copy.setAccessibleName(self.tr("Copy the command"))
        self._copy.setToolTip(self.tr("Copy this command, to run it in a terminal"))
        self._copy.clicked.connect(self._on_copy)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(GRID)
        row.addWidget(self._text, 1)
        row.addWidget(self._copy, 0, Qt.AlignmentFlag.AlignTop)
        self.hide()

    def set_command(self, command: str) -> None:
        text = clean_line(command, 2000)
        self._text.setText(text)
        self._text.setAccessibleName(text)
        self.setVisible(bool(text))

    @Slot()
    def _on_copy(self) -> None:
        QGuiApplication.clipboard().setText(self._text.text())


class ProblemLine(QWidget):
    """A problem of a whole part, above its options; hidden while there is none."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("part-problem")
        self.note = NoteLine("", self)
        self._command = CommandLine(self)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(GRID // 2)
        column.addWidget(self.note)
        column.addWidget(self._command)
        self.hide()

    def show_problem(self, problem: SettingProblem | None) -> None:
        self.setVisible(problem is not None)
        if problem is not None:
            self.note.set_problem(translated(problem.message), Tone.WARNING if problem.is_warning else Tone.PROBLEM)
            self._command.set_command(problem.command)
