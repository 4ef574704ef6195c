"""The form of one part of the machine: a row for each option, simple ones first. GUI thread."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QCoreApplication, QEvent, Qt, Signal, Slot
from PySide6.QtWidgets import (
    QApplication,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLineEdit,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from guivm.engine.options.option import Block, Custom, Line, Option, Secret, Switch, Value
from guivm.engine.options.text import show
from guivm.engine.options.values import Change, SettingProblem
from guivm.views.forms import NoteLine, Tone, plain_label, set_style_property
from guivm.views.theme import GRID
from guivm.views.vm_settings.autostart_row import AutostartRow
from guivm.views.vm_settings.draft import AUTOSTART, Draft, Part
from guivm.views.vm_settings.editors import LineEditor, ValueEditor, items_of, make_editor, small_button, translated
from guivm.views.vm_settings.problem_line import ProblemLine, Remedy
from guivm.views.vm_settings.registry import CustomEditor, custom_editor

_LABEL_WIDTH = 19 * GRID
_REMEDY_ROW = 2  # of a row's grid: under the sentence


class OptionRow(QWidget):
    """Label, field, the sentence under it, and what has changed."""

    revertRequested = Signal(object)  # Change

    def __init__(self, draft: Draft, part: Part, option: Option[Any], parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName(f"row-{option.id}")
        self._draft = draft
        self._part = part
        self.option = option
        self._change: Change | None = None
        self._editor = self._make_editor()
        is_switch = isinstance(option.editor, Switch) and option.editor.default is not None
        wide = isinstance(self._editor, CustomEditor) and self._editor.is_wide
        self.label = plain_label("" if is_switch else translated(option.label), self)
        self.label.setBuddy(self._editor.focusProxy() or self._editor)
        self.note = NoteLine(translated(option.help), self)
        self._change_line: _ChangeLine | None = None  # most rows never need one
        self._remedy: Remedy | None = None

        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(2 * GRID)
        grid.setVerticalSpacing(GRID // 2)
        if wide:
            self.label.setProperty("role", "strong")
            for index, widget in enumerate((self.label, self.note, None, self._editor)):
                if widget is not None:
                    grid.addWidget(widget, index, 0)
        else:
            grid.setColumnStretch(1, 1)
            self.label.setFixedWidth(_LABEL_WIDTH)
            self.label.setWordWrap(True)
            tall = isinstance(option.editor, Block | Custom)
            self.label.setAlignment(
                Qt.AlignmentFlag.AlignTrailing | (Qt.AlignmentFlag.AlignTop if tall else Qt.AlignmentFlag.AlignVCenter)
            )
            self.label.setContentsMargins(0, GRID if tall else 0, 0, 0)
            grid.addWidget(self.label, 0, 0)
            grid.addWidget(self._editor, 0, 1)
            grid.addWidget(self.note, 1, 1)
        if isinstance(self._editor, ValueEditor):
            self._editor.changed.connect(self._on_changed)
            self._editor.refused.connect(self._on_refused)

    @property
    def editor(self) -> ValueEditor | CustomEditor:
        return self._editor

    @property
    def change(self) -> Change | None:
        """What is different, when anything is."""
        return self._change

    def refresh(self, change: Change | None, pending: Change | None) -> None:
        """Show the draft's value, what is wrong with it, and how it differs from the definition or the running VM."""
        situation = self._draft.situation
        refusal = self.option.refusal(situation, self._part.node)
        if isinstance(self._editor, CustomEditor):
            self._editor.refresh()
        else:
            items = items_of(self.option)
            if items is not None:
                self._editor.show_items(items(situation, self._part.node))
            self._editor.show_value(self._value())
        self._editor.setEnabled(not refusal)
        problem = self._draft.problem_at(self._part.place(self.option.id))
        if problem is not None:
            self.note.set_problem(translated(problem.message), Tone.WARNING if problem.is_warning else Tone.PROBLEM)
        else:
            self.note.set_problem("")
            self.note.set_help(translated(refusal) or translated(self.option.help))
        self._show_remedy(problem)
        field = self._editor.focusProxy() or self._editor
        invalid = problem is not None and not problem.is_warning
        if invalid or field.property("invalid"):  # most fields never are, and need no style of their own
            set_style_property(field, "invalid", invalid)
        field.setAccessibleDescription(self.note.text)
        self._show_change(change, pending)
        if self.option.shown is not None:
            self.setVisible(self.option.shown(situation, self._part.node))

    def _show_remedy(self, problem: SettingProblem | None) -> None:
        if self._remedy is None:
            if problem is None or not (problem.command or problem.fix):
                return
            self._remedy = Remedy(self._draft, self)
            self._put(self._remedy, _REMEDY_ROW)
        self._remedy.show_problem(problem)

    def _put(self, widget: QWidget, row: int) -> None:
        """Below the field; a wide one has all the width, and one row more."""
        grid = self.layout()
        assert isinstance(grid, QGridLayout)
        wide = grid.itemAtPosition(0, 1) is None
        grid.addWidget(widget, row + (wide and row > _REMEDY_ROW), 0 if wide else 1)

    def _show_change(self, change: Change | None, pending: Change | None) -> None:
        self._change = change or pending
        if self._change_line is None:
            if self._change is None:
                return
            self._change_line = _ChangeLine(self.option.id, self)
            self._change_line.revert.clicked.connect(self._on_revert)
            self._put(self._change_line, _REMEDY_ROW + 1)
        self._change_line.setVisible(self._change is not None)
        if change is not None:
            text = self.tr("{old}  →  {new}").format(old=self._words(change.old), new=self._words(change.new))
            if self._draft.is_running:
                text += "  ·  " + (
                    self.tr("the running VM can take it") if self.option.live else self.tr("from the next start on")
                )
            self._change_line.words.setText(text)
        elif pending is not None:
            self._change_line.words.setText(
                self.tr("Now {old}; {new} from the next start on").format(
                    old=self._words(pending.old), new=self._words(pending.new)
                )
            )
        self._change_line.revert.setVisible(change is not None)

    def _words(self, text: str) -> str:
        return text or self.tr("nothing")

    def _value(self) -> Value | None:
        value: Value | None = self.option.get(self._part.node)
        return value

    def _make_editor(self) -> ValueEditor | CustomEditor:
        editor = self.option.editor
        if isinstance(editor, Custom):
            custom = custom_editor(editor.name, self._draft, self._part, self.option, self)
            return custom if custom is not None else LineEditor(self.option, Line(max_length=4096), self)
        made = make_editor(self.option, self, is_local=self._draft.settings.facts.is_local)
        assert made is not None
        return made

    @Slot(object)
    def _on_changed(self, value: Value | None) -> None:
        self._draft.set_value(self._part, self.option, value)

    @Slot(str)
    def _on_refused(self, message: str) -> None:
        self._draft.set_invalid(self._part, self.option, message)

    @Slot()
    def _on_revert(self) -> None:
        if self._change is not None:
            self.revertRequested.emit(self._change)

    def words_of_value(self) -> str:
        """For assistive tools and tests."""
        if isinstance(self.option.editor, Secret):
            return ""
        return show(self.option, self._value(), self._draft.situation, self._part.node)


class _ChangeLine(QWidget):
    """What an option was and is, and the way back."""

    def __init__(self, option_id: str, parent: QWidget) -> None:
        super().__init__(parent)
        self.words = plain_label("", self, wrap=True)
        self.words.setProperty("role", "caption")
        self.revert = small_button(self.tr("Revert"), f"revert-{option_id}", self)
        self.revert.setToolTip(self.tr("Put back what it was"))
        line = QHBoxLayout(self)
        line.setContentsMargins(0, 2, 0, 0)
        line.setSpacing(GRID)
        line.addWidget(self.words, 1)
        line.addWidget(self.revert)


class OptionForm(QWidget):
    """All options of a part. Those for few are behind "More"."""

    def __init__(self, draft: Draft, part: Part, parent: QWidget, *, show_more: bool = False) -> None:
        super().__init__(parent)
        self.setObjectName(f"form-{part.resource.id}")
        self.part = part
        self._draft = draft
        self._memory: tuple[QScrollArea, int, str, int] | None = None
        self._pending: tuple[Change, ...] = ()
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(2 * GRID + GRID // 2)
        self.problem = ProblemLine(draft, self)
        self._column.addWidget(self.problem)
        self._rows: list[OptionRow] = []
        self._more_rows: list[OptionRow] = []
        self._more_options = [option for option in part.resource.options if option.more]
        for option in part.resource.options:
            if not option.more:
                self._rows.append(self._add(option))
        self.autostart = self._make_autostart()
        self.more = small_button("", "more", self)
        self.more.setCheckable(True)
        self.more.toggled.connect(self._on_more)
        self._rule = QFrame(self)
        self._rule.setProperty("rule", True)
        if self.autostart is not None:
            self._column.addWidget(self.autostart)
        more_line = QHBoxLayout()
        more_line.setSpacing(2 * GRID)
        more_line.addWidget(self.more)
        more_line.addWidget(self._rule, 1)
        self._column.addLayout(more_line)
        self._column.addStretch(1)
        self._show_more_line()
        self._say_more(shown=False)
        if show_more:
            self.more.setChecked(True)

    @property
    def rows(self) -> list[OptionRow]:
        return self._rows + self._more_rows

    def row(self, option_id: str) -> OptionRow | None:
        """The row of an option; "More" is opened for it when it is there."""
        if any(option.id == option_id for option in self._more_options):
            self.more.setChecked(True)
        return next((row for row in self.rows if row.option.id == option_id), None)

    def refresh(self, pending: tuple[Change, ...] = ()) -> None:
        self._pending = pending
        self.problem.show_problem(self._own_problem())
        edited = {change.place: change for change in self._draft.changes()}
        waiting = {change.place: change for change in pending}
        for row in self.rows if self.more.isChecked() else self._rows:
            place = self.part.place(row.option.id)
            row.refresh(edited.get(place), waiting.get(place))
        self._show_more_line()
        if self.autostart is not None:
            self.autostart.refresh()

    def reveal(self, option_id: str, area: QScrollArea, *, focus: bool) -> None:
        """Bring an option into sight; "More" is opened for it."""
        row = self.row(option_id)
        if row is None:
            return
        _settle(area)
        area.ensureWidgetVisible(row, 0, 4 * GRID)
        if focus:
            (row.editor.focusProxy() or row.editor).setFocus(Qt.FocusReason.OtherFocusReason)

    def focused_option(self) -> Option[Any] | None:
        """The option that has the keyboard."""
        widget: QWidget | None = QApplication.focusWidget()
        while widget is not None and widget is not self:
            if isinstance(widget, OptionRow):
                return widget.option
            widget = widget.parentWidget()
        return None

    def remember(self, area: QScrollArea) -> None:
        """Where one is in this form, for the one that takes its place."""
        option = self.focused_option()
        field = QApplication.focusWidget()
        cursor = field.cursorPosition() if isinstance(field, QLineEdit) else -1
        self._memory = (area, area.verticalScrollBar().value(), "" if option is None else option.id, cursor)

    def take_over(self, other: OptionForm) -> None:
        self._memory = other._memory

    def restore(self) -> None:
        """Put scroll bar, focus and text cursor where they were in the form before, of the same part."""
        if self._memory is None:
            return
        (area, scrolled, option_id, cursor), self._memory = self._memory, None
        row = self.row(option_id) if option_id else None
        if row is not None:
            field = row.editor.focusProxy() or row.editor
            field.setFocus(Qt.FocusReason.OtherFocusReason)
            if cursor >= 0 and isinstance(field, QLineEdit):
                field.setCursorPosition(cursor)
        _settle(area)
        area.verticalScrollBar().setValue(scrolled)

    def _own_problem(self) -> SettingProblem | None:
        """The worst of what is wrong with the part, and belongs to none of its options."""
        place = self.part.place()
        options = {option.id for option in self.part.resource.options}
        found = [
            problem
            for problem in self._draft.problems
            if (problem.place.resource, problem.place.device) == (place.resource, place.device)
            and problem.place.option not in options
        ]
        return min(found, key=lambda problem: problem.is_warning, default=None)

    def _add(self, option: Option[Any]) -> OptionRow:
        row = OptionRow(self._draft, self.part, option, self)
        row.revertRequested.connect(self._draft.revert)
        self._column.insertWidget(self._place_of(option), row)
        return row

    def _place_of(self, option: Option[Any]) -> int:
        """Behind the rows of its kind: the simple ones, then the line with "More", then the others."""
        first = 1 + len(self._rows)  # the part's own problem stands above
        if not option.more:
            return first
        return first + 1 + len(self._more_rows) + (self.autostart is not None)

    def _make_autostart(self) -> AutostartRow | None:
        if self.part.resource.id != AUTOSTART.resource or not self._draft.settings.persistent:
            return None
        return AutostartRow(self._draft, _LABEL_WIDTH + 2 * GRID, self)

    def _say_more(self, *, shown: bool) -> None:
        self.more.setText(self.tr("Less") if shown else self.tr("More"))
        self.more.setAccessibleName(self.more.text())

    @Slot(bool)
    def _on_more(self, shown: bool) -> None:
        if shown and not self._more_rows:
            for option in self._more_options:
                self._more_rows.append(self._add(option))
        if shown:
            self.refresh(self._pending)
        for row in self._more_rows:
            row.setVisible(shown and self._is_meant(row.option))
        self._say_more(shown=shown)

    def _show_more_line(self) -> None:
        """While there is something behind it."""
        meant = any(self._is_meant(option) for option in self._more_options)
        for widget in (self.more, self._rule):
            widget.setVisible(meant)

    def _is_meant(self, option: Option[Any]) -> bool:
        return option.shown is None or option.shown(self._draft.situation, self.part.node)


def show_form(
    draft: Draft, part: Part, area: QScrollArea, before: OptionForm | None, pending: tuple[Change, ...] = ()
) -> OptionForm:
    """A form in ``area`` in the place of ``before``, which may be the same part's as it was; then nothing jumps."""
    again = before is not None and before.part.place() == part.place()
    if before is not None:
        before.remember(area)
    holder = area.widget()
    if holder is None:  # stays: a form is styled once, where it is made
        holder = QWidget(area)
        holder.setProperty("clear", True)
        QVBoxLayout(holder).setContentsMargins(4 * GRID, GRID, 4 * GRID, 3 * GRID)
        area.setWidget(holder)
    column = holder.layout()
    assert column is not None
    for old in holder.findChildren(OptionForm, options=Qt.FindChildOption.FindDirectChildrenOnly):
        column.removeWidget(old)
        old.hide()
        old.deleteLater()  # not at once: it may be one of its own fields that is being heard
    form = OptionForm(draft, part, holder, show_more=again and before is not None and before.more.isChecked())
    form.refresh(pending)  # before it is shown: rows that come and go are cheap then
    column.addWidget(form)
    form.show()
    if again and before is not None:
        form.take_over(before)
    else:
        area.verticalScrollBar().setValue(0)
    return form


def _settle(area: QScrollArea) -> None:
    """Give the area's content its size now, so that places in it are where they will be."""
    holder = area.widget()
    assert holder is not None
    QCoreApplication.sendPostedEvents(None, QEvent.Type.LayoutRequest.value)
    column = holder.layout()
    assert column is not None
    column.activate()
