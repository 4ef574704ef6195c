"""Type Text: text as keystrokes for the guest's keyboard, with what cannot be typed said beforehand."""

from __future__ import annotations

import unicodedata

from PySide6.QtCore import QMimeData, QSignalBlocker, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QCloseEvent, QGuiApplication, QKeySequence, QShortcut, QTextCharFormat, QTextCursor
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QCompleter,
    QHBoxLayout,
    QLineEdit,
    QPlainTextEdit,
    QSpinBox,
    QTextEdit,
    QWidget,
)

from guivm.console.input.typist import DEFAULT_RATE, MAX_RATE, SendKey, Typist, expected_seconds
from guivm.console.typing import (
    MAX_CHARACTERS,
    US,
    Layout,
    Session,
    TypingError,
    TypingPlan,
    clean_text,
    default_layout,
    layouts,
    plan,
)
from guivm.text import clean_line
from guivm.views.dialogs.base import VerbDialog
from guivm.views.forms import Form, NoteLine, Tone, pad_spin
from guivm.views.theme import GRID, tokens_for

_WIDTH = 600
_SHOWN = 40
_AT_ONCE = 2000  # characters that are looked through with every key; longer texts when typing pauses
_PAUSE_MS = 200
_MAX_MARKS = 500
_MAX_NAMED = 8


class PlainTextBox(QPlainTextEdit):
    """Takes pasted and dropped text with line feeds as line ends, in NFC, and never more than can be typed."""

    def insertFromMimeData(self, source: QMimeData) -> None:
        if source.hasText():
            room = max(0, MAX_CHARACTERS + 1 - self.document().characterCount())
            self.insertPlainText(clean_text(source.text()[: 2 * room])[:room])
            self.ensureCursorVisible()

    def set_text(self, text: str) -> None:
        self.setPlainText(clean_text(text[: 2 * MAX_CHARACTERS])[: MAX_CHARACTERS + 1])


class TypeTextDialog(VerbDialog):
    """Types into one guest and closes when all is typed. Cancel stops; then it closes.

    Give keyboard and mouse back before it opens. ``layoutChosen`` and ``rateChosen`` are emitted with every Type.
    """

    layoutChosen = Signal(str)  # a layout's id
    rateChosen = Signal(int)  # characters a second

    def __init__(
        self,
        name: str,
        send: SendKey,
        parent: QWidget | None = None,
        *,
        text: str | None = None,
        layout: str = "",
        rate: int = DEFAULT_RATE,
        caps_lock: bool = False,
    ) -> None:
        """``name``: the VM's. ``text`` None: the clipboard's. ``layout``: an id; empty: the desktop's own.

        ``caps_lock``: it is on in the guest.
        """
        title = self.tr("Type Text into “{name}”").format(name=clean_line(name, _SHOWN))
        super().__init__(title, self.tr("&Type"), parent, name="type-text", width=_WIDTH)
        self._caps_lock = caps_lock
        self._plan: TypingPlan | None = None
        self._typist = Typist(send, self)
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(_PAUSE_MS)

        self.text = PlainTextBox(self.content)
        self.text.setObjectName("text")
        self.text.setTabChangesFocus(True)
        self.text.setMinimumHeight(18 * GRID)
        self.layout_box = self._make_layout_box(layout)
        self.rate = QSpinBox(self.content)
        self.rate.setObjectName("rate")
        self.rate.setRange(1, MAX_RATE)
        self.rate.setValue(rate)
        self.rate.setSuffix(self.tr(" characters per second"))
        pad_spin(self.rate)
        self.enter = QCheckBox(self.tr("Press &Enter at the end"), self.content)
        self.enter.setObjectName("enter")
        self.enter.setAccessibleName(self.tr("Press Enter at the end"))
        self.lines = NoteLine("", self.content)
        self.lines.setObjectName("lines")
        self._lay_out()

        self.text.textChanged.connect(self._on_text)
        self.layout_box.currentIndexChanged.connect(self._judge)
        self.layout_edit.editingFinished.connect(self._on_layout_typed)
        self.rate.valueChanged.connect(self._judge)
        self.enter.toggled.connect(self._judge)
        self._pause.timeout.connect(self._judge)
        self._typist.progressed.connect(self._on_progress)
        self._typist.finished.connect(self._on_finished)
        for keys in ("Ctrl+Return", "Ctrl+Enter"):
            shortcut = QShortcut(QKeySequence(keys), self)
            shortcut.activated.connect(self.primary.click)
        self.primary.setToolTip(self.tr("Ctrl+Enter"))
        self.text.set_text(QGuiApplication.clipboard().text() if text is None else text)
        self.text.moveCursor(QTextCursor.MoveOperation.End)
        self.text.setFocus()
        self._judge()

    # --- building -------------------------------------------------------------------------------------

    def _make_layout_box(self, wanted: str) -> QComboBox:
        box = QComboBox(self.content)
        box.setObjectName("layout")
        box.setEditable(True)
        box.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        box.setMaxVisibleItems(16)
        box.setMinimumContentsLength(20)
        box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        for layout in layouts():
            box.addItem(f"{layout.description} – {layout.id}", layout.id)
        self.layout_edit = QLineEdit(box)
        box.setLineEdit(self.layout_edit)
        completer = QCompleter(box.model(), box)
        completer.setFilterMode(Qt.MatchFlag.MatchContains)
        completer.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        completer.setCompletionMode(QCompleter.CompletionMode.PopupCompletion)
        box.setCompleter(completer)
        self.layout_edit.setObjectName("layout-search")
        self.layout_edit.setAccessibleName(self.tr("Keyboard of the guest"))
        index = box.findData(wanted) if wanted else -1
        if index < 0:
            index = box.findData(default_layout(Session.without_programs()).id)
        box.setCurrentIndex(max(0, index))
        return box

    def _lay_out(self) -> None:
        form = Form(self.content)
        self.text_row = form.add_row(self.tr("Te&xt"), self.text, "", tall=True)
        self.layout_row = form.add_row(
            self.tr("&Keyboard"), self.layout_box, self.tr("The layout that is set inside the guest. Type to search.")
        )
        self.rate_row = form.add_row(self.tr("&Speed"), self.rate)
        below = QWidget(form)
        line = QHBoxLayout(below)
        line.setContentsMargins(0, 0, 0, 0)
        line.addWidget(self.enter)
        self.enter_row = form.add_row("", below)
        self.body.addWidget(form)
        self.body.addWidget(self.lines)
        self.setTabOrder(self.text, self.layout_box)
        self.setTabOrder(self.layout_box, self.rate)
        self.setTabOrder(self.rate, self.enter)

    # --- judging --------------------------------------------------------------------------------------

    @property
    def layout_id(self) -> str:
        return str(self.layout_box.currentData() or US.id)

    @Slot(bool)
    def set_caps_lock(self, on: bool) -> None:
        """Caps Lock of the guest changed; the next Type knows."""
        self._caps_lock = on
        if not self._typist.is_typing:
            self._judge()

    @Slot()
    def _on_text(self) -> None:
        if self.text.document().characterCount() <= _AT_ONCE:
            self._judge()
        else:
            self._pause.start()

    @Slot()
    def _on_layout_typed(self) -> None:
        """What was typed into the chooser: a name, an id, or the beginning of one; else what was chosen stays."""
        box = self.layout_box
        typed = self.layout_edit.text().strip()
        index = box.findText(typed, Qt.MatchFlag.MatchFixedString)
        if index < 0:
            index = box.findData(typed)
        if index < 0 and typed:
            index = box.findText(typed, Qt.MatchFlag.MatchContains)
        if index < 0:
            index = box.currentIndex()
        box.setCurrentIndex(index)
        with QSignalBlocker(box):
            box.setEditText(box.itemText(index))

    @Slot()
    def _judge(self) -> None:
        self._pause.stop()
        self._plan = None
        text = self.text.toPlainText() + ("\n" if self.enter.isChecked() else "")
        try:
            self._plan = made = self._make_plan(text)
        except TypingError as error:
            self.text_row.set_problem(str(error))
            self.set_reason(str(error), shown=True)
            self._mark(None)
            return
        self._mark(made)
        self.text_row.set_problem(self._words_for_untypable(made), is_warning=True)
        self._say_lines(made.text)
        self._say_time(made)
        if not made.text:
            self.set_reason(self.tr("There is no text to type."))
        elif not made.strokes:
            self.set_reason(self.tr("This keyboard has none of these characters."))
        else:
            self.set_reason("")
        self.grow()

    def _make_plan(self, text: str) -> TypingPlan:
        return plan(text, Layout.parse(self.layout_id), caps_lock=self._caps_lock)

    def _words_for_untypable(self, made: TypingPlan) -> str:
        if not made.untypable:
            return ""
        characters = made.untypable_characters
        named = ", ".join(_name(character) for character in characters[:_MAX_NAMED])
        if len(characters) > _MAX_NAMED:
            named = self.tr("{characters} and {count} more").format(
                characters=named, count=len(characters) - _MAX_NAMED
            )  # fmt: skip
        return self.tr("Not on this keyboard, and left out: {characters}").format(characters=named)

    def _say_lines(self, text: str) -> None:
        count = text.rstrip("\n").count("\n") + 1
        words = ""
        if count > 1:
            words = self.tr("{count} lines: Enter is pressed after each, so a shell runs them one by one.").format(
                count=count
            )
        self.lines.set_problem(words, Tone.WARNING)
        self.lines.setVisible(bool(words))

    def _say_time(self, made: TypingPlan) -> None:
        seconds = expected_seconds(made, self.rate.value())
        if seconds >= 120:
            words = self.tr("About {minutes} minutes.").format(minutes=round(seconds / 60))
        elif seconds >= 2:
            words = self.tr("About {seconds} seconds.").format(seconds=round(seconds))
        else:
            words = self.tr("About a second.")
        self.rate_row.set_help(
            " ".join((words, self.tr("Choose a lower speed if the guest loses characters."))) if made.text else ""
        )

    def _mark(self, made: TypingPlan | None) -> None:
        """Underline what cannot be typed."""
        selections: list[QTextEdit.ExtraSelection] = []
        document = self.text.toPlainText()
        if made is not None and made.text.startswith(document):
            look = QTextCharFormat()
            look.setUnderlineStyle(QTextCharFormat.UnderlineStyle.WaveUnderline)
            color = tokens_for(self.palette()).error
            look.setUnderlineColor(color)
            look.setForeground(color)
            offsets = _utf16_offsets(document, [index for index, _ in made.untypable[:_MAX_MARKS]])
            for (_, character), offset in zip(made.untypable, offsets, strict=False):
                selection = QTextEdit.ExtraSelection()
                cursor = QTextCursor(self.text.document())
                cursor.setPosition(offset)
                cursor.setPosition(offset + len(character.encode("utf-16-le")) // 2, QTextCursor.MoveMode.KeepAnchor)
                selection.cursor = cursor
                selection.format = look
                selections.append(selection)
        self.text.setExtraSelections(selections)

    # --- typing ---------------------------------------------------------------------------------------

    @property
    def is_typing(self) -> bool:
        return self._typist.is_typing

    def submit(self) -> None:
        self._judge()
        if self._plan is None or not self._plan.strokes or self.is_typing:
            return
        self.layoutChosen.emit(self.layout_id)
        self.rateChosen.emit(self.rate.value())
        self.content.setEnabled(False)
        self.primary.setEnabled(False)
        self.cancel.setFocus(Qt.FocusReason.OtherFocusReason)
        self.progress.setRange(0, len(self._plan.text))
        self.progress.setValue(0)
        self.progress.setAccessibleName(self.tr("Typed so far"))
        self.progress.show()
        self.grow()
        self._on_progress(0, len(self._plan.text))
        self._typist.start(self._plan, self.rate.value())

    @Slot(int, int)
    def _on_progress(self, done: int, total: int) -> None:
        self.progress.setValue(done)
        self.set_status(self.tr("Typed {done} of {total} characters.").format(done=done, total=total))

    @Slot(bool)
    def _on_finished(self, completely: bool) -> None:
        if completely:
            self.accept()
            return
        done, total = self.progress.value(), self.progress.maximum()
        self.progress.hide()
        self.content.setEnabled(True)
        self.primary.setEnabled(True)
        self.text.setFocus()
        self.set_status(self.tr("Stopped after {done} of {total} characters.").format(done=done, total=total))

    def reject(self) -> None:
        if self.is_typing:
            self._typist.cancel()
        else:
            super().reject()

    def closeEvent(self, event: QCloseEvent) -> None:
        self._typist.cancel()
        super().closeEvent(event)

    def done(self, result: int) -> None:
        self._pause.stop()
        self._typist.cancel()
        super().done(result)


def _name(character: str) -> str:
    if character.isprintable() and not unicodedata.combining(character):
        return f"“{character}”"
    return f"U+{ord(character):04X}"


def _utf16_offsets(text: str, indexes: list[int]) -> list[int]:
    """Qt's positions of characters; ``indexes`` ascending. Those beyond the text are left out."""
    found: list[int] = []
    offset = at = 0
    for index in indexes:
        if index >= len(text):
            break
        offset += len(text[at:index].encode("utf-16-le", "surrogatepass")) // 2
        at = index
        found.append(offset)
    return found
