"""What is wrong, in a sentence, and what mends it: a button, or a command where we must not. GUI thread."""

from __future__ import annotations

from PySide6.QtCore import Qt, Slot
from PySide6.QtGui import QFontDatabase, QGuiApplication
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from guivm.engine.options.values import AccessFix, EditFix, SettingProblem
from guivm.errors import GuivmError
from guivm.text import clean_line
from guivm.views.forms import NoteLine, Tone, plain_label
from guivm.views.theme import GRID
from guivm.views.vm_settings.draft import Draft
from guivm.views.vm_settings.editors import small_button, translated
from guivm.views.vm_settings.pieces import quiet_label


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


class Remedy(QWidget):
    """What mends a problem: the command, word for word, and the button that runs it or makes the edit.

    Hidden while nothing does.
    """

    def __init__(self, draft: Draft, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("remedy")
        self._draft = draft
        self._fix: EditFix | AccessFix | None = None
        self._command = CommandLine(self)
        self._undo = quiet_label("", self)
        self._undo.setObjectName("fix-undo")
        self._failure = NoteLine("", self)
        self.button = small_button("", "fix-problem", self)
        self.button.clicked.connect(self._on_fix)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(GRID // 2)
        column.addWidget(self._command)
        column.addWidget(self._undo)
        column.addWidget(self._failure)
        column.addWidget(self.button, 0, Qt.AlignmentFlag.AlignLeading)
        self.hide()

    def show_problem(self, problem: SettingProblem | None) -> None:
        fix = None if problem is None else problem.fix
        if fix != self._fix:
            self._failure.set_problem("")
            self.button.setEnabled(True)
        self._fix = fix
        command = "" if problem is None else problem.command
        undo = ""
        match fix:
            case AccessFix():
                command, undo = fix.command, self.tr("To take it back: {command}").format(command=fix.undo)
                self._name_button(self.tr("Give access"), self.tr("Runs the command above; it needs no password"))
            case EditFix(label=label):
                self._name_button(clean_line(translated(label), 80), self.tr("Makes this change here; Apply stores it"))
        self._command.set_command(command)
        self._undo.setText(clean_line(undo, 2000))
        self._undo.setVisible(bool(undo))
        self._failure.setVisible(bool(self._failure.text))
        can = not isinstance(fix, AccessFix) or self._draft.services is not None
        self.button.setVisible(fix is not None and can)
        self.setVisible(bool(command) or fix is not None)

    def _name_button(self, words: str, tip: str) -> None:
        self.button.setText(words)
        self.button.setAccessibleName(words)
        self.button.setToolTip(tip)

    @Slot()
    def _on_fix(self) -> None:
        fix, services = self._fix, self._draft.services
        if isinstance(fix, EditFix):
            self._draft.mend(fix)
        elif fix is not None and services is not None:
            self.button.setEnabled(False)
            services.give_access(fix, self, self._on_given, self._on_failed)

    def _on_given(self, _nothing: None) -> None:
        self.button.setEnabled(True)
        self._draft.touch()  # the definition is the same, but not what is found to be wrong with it

    def _on_failed(self, error: GuivmError) -> None:
        self.button.setEnabled(True)
        self._failure.set_problem(f"{error.summary} {error.advice}".strip())
        self._failure.show()


class ProblemLine(QWidget):
    """A problem of a whole part, above its options; hidden while there is none."""

    def __init__(self, draft: Draft, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("part-problem")
        self.note = NoteLine("", self)
        self._draft = draft
        self._remedy: Remedy | None = None  # most parts never need one
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(GRID // 2)
        self._column.addWidget(self.note)
        self.hide()

    def show_problem(self, problem: SettingProblem | None) -> None:
        self.setVisible(problem is not None)
        if problem is not None:
            self.note.set_problem(translated(problem.message), Tone.WARNING if problem.is_warning else Tone.PROBLEM)
            if self._remedy is None and (problem.command or problem.fix):
                self._remedy = Remedy(self._draft, self)
                self._column.addWidget(self._remedy)
            if self._remedy is not None:
                self._remedy.show_problem(problem)
