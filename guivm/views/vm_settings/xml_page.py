"""The whole definition as text, to read and to edit. GUI thread."""

from __future__ import annotations

import re

from PySide6.QtCore import QTimer, Signal, Slot
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from guivm.engine.xml.diff import unified
from guivm.engine.xml.document import XmlError, parse_xml
from guivm.engine.xml.secrets import replace_secrets
from guivm.text import clean_line
from guivm.views.dialogs.base import VerbDialog
from guivm.views.forms import NoteLine, Tone, plain_label
from guivm.views.theme import GRID
from guivm.views.vm_settings.diff_view import DiffView
from guivm.views.vm_settings.draft import Draft
from guivm.views.vm_settings.editors import small_button
from guivm.views.vm_settings.xml_editor import FindBar, XmlEditor

_MARGIN = 4 * GRID
_PAUSE_MS = 200
_LINE = re.compile(r"line (\d+), column")
_TAIL = re.compile(r"(, line \d+, column \d+)?( \(<string>, line \d+\))?$")  # of libxml2's sentence: where
_HIDDEN = "●●●●●●"


class Passwords:
    """Takes secrets out of a text that is shown, and puts them back where they were left alone."""

    def __init__(self) -> None:
        self._known: list[str] = []

    def hide(self, text: str) -> str:
        self._known = []

        def stand_in(secret: str) -> str:
            self._known.append(secret)
            return f"{_HIDDEN}{len(self._known)}"

        return replace_secrets(text, stand_in)

    def put_back(self, text: str) -> str:
        def original(shown: str) -> str:
            number = shown.removeprefix(_HIDDEN)
            if shown.startswith(_HIDDEN) and number.isdecimal() and 0 < int(number) <= len(self._known):
                return self._known[int(number) - 1]
            return shown

        return replace_secrets(text, original)

    @property
    def any(self) -> bool:
        return bool(self._known)


def error_line(error: XmlError) -> int:
    """The line libxml2 names, counted from 1; 0 when it names none."""
    found = _LINE.search(error.details)
    return int(found[1]) if found else 0


class UseTextDialog(VerbDialog):
    """What an edited text would change, before it becomes the draft."""

    def __init__(self, difference: str, parent: QWidget) -> None:
        super().__init__(parent.tr("Use this text?"), parent.tr("&Use this text"), parent, name="use-text", width=760)
        words = plain_label(
            self.tr("This becomes what the settings show. The VM gets it when you apply; libvirt checks it then."),
            self.content,
            wrap=True,
        )
        self.diff = DiffView("text-difference", self.tr("What it changes"), self.content)
        self.diff.set_diff(difference)
        self.diff.setMinimumHeight(38 * GRID)
        self.body.addWidget(words)
        self.body.addWidget(self.diff, 1)


class XmlPage(QWidget):
    """``used``: the text became the draft's document."""

    used = Signal()

    def __init__(self, draft: Draft, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("xml-page")
        self._draft = draft
        self._passwords = Passwords()
        self._shown = ""
        self._error: XmlError | None = None
        self._said = ""
        self.editor = XmlEditor("xml-text", self.tr("XML of the definition"), self)
        self.setFocusProxy(self.editor)
        self.find_bar = FindBar(self.editor, self)
        self.note = NoteLine("", self)
        self.note.setObjectName("xml-note")
        self.find_button = small_button(self.tr("&Find"), "xml-find", self)
        self.find_button.clicked.connect(self.find_bar.open_bar)
        self.back_button = small_button(self.tr("Put &back"), "xml-put-back", self)
        self.back_button.setToolTip(self.tr("Show the settings' own text again"))
        self.back_button.clicked.connect(self.put_back)
        self.use_button = small_button(self.tr("&Use this text…"), "xml-use", self)
        self.use_button.clicked.connect(self.ask_to_use)
        row = QHBoxLayout()
        row.setSpacing(GRID)
        row.addWidget(self.note, 1)
        for button in (self.find_button, self.back_button, self.use_button):
            row.addWidget(button)
        column = QVBoxLayout(self)
        column.setContentsMargins(_MARGIN, 0, _MARGIN, GRID)
        column.setSpacing(GRID + 4)
        column.addWidget(self.find_bar)
        column.addWidget(self.editor, 1)
        column.addLayout(row)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_PAUSE_MS)
        self._timer.timeout.connect(self.check)
        self.editor.textChanged.connect(self._on_text)
        draft.edited.connect(self._on_edited)
        draft.problemsChanged.connect(self._update)
        self.put_back()

    @property
    def is_edited(self) -> bool:
        """Whether the text is another than the draft's."""
        return self.editor.toPlainText() != self._shown

    @Slot()
    def check(self) -> None:
        """Parse what is typed, and mark the line that is wrong."""
        self._timer.stop()
        try:
            parse_xml(self._text(), "domain")
        except XmlError as error:
            self._error = error
        else:
            self._error = None
        self.editor.set_error_line(0 if self._error is None else error_line(self._error))
        self._update()

    @Slot()
    def ask_to_use(self) -> None:
        """Show the difference; once agreed to, the text is the draft's document."""
        self.check()
        if self._error is not None:
            return
        difference = unified(self._draft.xml, self._text(), "domain")
        if not difference:
            self._said = self.tr("The text means the same as before.")
            self._update()
            return
        dialog = UseTextDialog(difference, self)
        dialog.accepted.connect(self.use)
        dialog.open()

    @Slot()
    def use(self) -> None:
        """Make it the draft's document; what is wrong with it is found at once."""
        text = self._text()
        self._shown = self.editor.toPlainText()
        try:
            self._draft.set_xml(text)
        except XmlError as error:
            self._error = error
        else:
            self._said = self.tr("The settings show this text now. Apply stores it.")
            self.put_back()
            self.used.emit()
        self._update()

    def _text(self) -> str:
        return self._passwords.put_back(self.editor.toPlainText())

    @Slot()
    def put_back(self) -> None:
        """Show the draft's text; what was typed and not used is gone."""
        self._shown = self._passwords.hide(self._draft.xml)
        self._timer.stop()
        scrolled = self.editor.verticalScrollBar().value()
        self.editor.setPlainText(self._shown)
        self._shown = self.editor.toPlainText()  # as the field gives it back
        self.editor.verticalScrollBar().setValue(scrolled)
        self.check()

    @Slot()
    def _on_edited(self) -> None:
        if not self.is_edited and self._passwords.put_back(self._shown) != self._draft.xml:
            self.put_back()

    @Slot()
    def _on_text(self) -> None:
        self._said = ""
        self._timer.start()
        self.use_button.setEnabled(False)

    @Slot()
    def _update(self) -> None:
        edited = self.is_edited
        self.use_button.setEnabled(edited and self._error is None)
        self.back_button.setEnabled(edited)
        problems = self._draft.problems
        if self._error is not None:
            where, line = clean_line(_TAIL.sub("", self._error.details, 1), 300), error_line(self._error)
            self.note.set_problem(self.tr("Line {n}: {what}").format(n=line, what=where) if line else str(self._error))
            return
        self.note.set_problem("")
        if edited and not self._said:
            self.note.set_help(self.tr("The text is well-formed XML."))
        elif problems and not edited:
            worst = min(problems, key=lambda problem: problem.is_warning)
            self.note.set_problem(worst.message, Tone.WARNING if worst.is_warning else Tone.PROBLEM)
        elif self._said:
            self.note.set_help(self._said)
        elif self._passwords.any:
            self.note.set_help(self.tr("Passwords are hidden; leave the dots to keep one."))
        else:
            self.note.set_help("")
