"""What an operation would do, before it is done: what is lost, room, each step and file. GUI thread."""

from __future__ import annotations

import enum
from collections.abc import Sequence

from PySide6.QtCore import (
    QAbstractTableModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    Qt,
    Signal,
    Slot,
)
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QPushButton, QTreeView, QVBoxLayout, QWidget

from guivm.engine.snapshots.values import FileAction, FileEffect, OperationPlan
from guivm.text import clean_line
from guivm.views import formats
from guivm.views.dialogs.choices import SegmentedChooser
from guivm.views.forms import NoteLine, Tone, ToneLabel
from guivm.views.icons import icon
from guivm.views.small import plain_tooltip
from guivm.views.snapshots.words import action_words
from guivm.views.theme import GRID

_Index = QModelIndex | QPersistentModelIndex
_D = Qt.ItemDataRole
_NONE = QModelIndex()
_MOST_NOTES = 5
_ROWS = 6
_FILES, _STEPS = "files", "steps"


def _file_words(effect: FileEffect) -> str:
    """The file, and the name of the other one that has a part in it."""
    path, other = clean_line(effect.path, 4096), clean_line(effect.other, 4096).rpartition("/")[2]
    if not other or effect.action is FileAction.QUARANTINE:
        return path
    return f"{path} ← {other}"


class FileColumn(enum.IntEnum):
    ACTION = 0
    PATH = 1
    SIZE = 2


class PlanFiles(QAbstractTableModel):
    """The files of a plan; see :class:`FileColumn`."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._effects: tuple[FileEffect, ...] = ()

    def set_effects(self, effects: tuple[FileEffect, ...]) -> None:
        if effects != self._effects:
            self.beginResetModel()
            self._effects = effects
            self.endResetModel()

    def rowCount(self, parent: _Index = _NONE) -> int:
        return 0 if parent.isValid() else len(self._effects)

    def columnCount(self, _parent: _Index = _NONE) -> int:
        return len(FileColumn)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = _D.DisplayRole) -> object:
        if role == _D.DisplayRole and orientation is Qt.Orientation.Horizontal and section < len(FileColumn):
            return (self.tr("What happens"), self.tr("File"), self.tr("Size"))[section]
        if role == _D.TextAlignmentRole and section == FileColumn.SIZE:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        return None

    def data(self, index: _Index, role: int = _D.DisplayRole) -> object:
        effect = self._effects[index.row()]
        if role == _D.DisplayRole:
            match index.column():
                case FileColumn.ACTION:
                    return action_words(effect.action)
                case FileColumn.PATH:
                    return _file_words(effect)
                case _:
                    return "" if effect.bytes is None else formats.size(effect.bytes)
        if role == _D.TextAlignmentRole and index.column() == FileColumn.SIZE:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        if role == _D.ToolTipRole:
            lines = [clean_line(effect.path, 4096)]
            if effect.other:
                lines.append(clean_line(effect.other, 4096))
            return plain_tooltip("\n".join(lines))
        return None


class PlanSteps(QAbstractTableModel):
    """The steps of a plan in words, numbered."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._steps: tuple[str, ...] = ()

    def set_steps(self, steps: tuple[str, ...]) -> None:
        if steps != self._steps:
            self.beginResetModel()
            self._steps = steps
            self.endResetModel()

    def rowCount(self, parent: _Index = _NONE) -> int:
        return 0 if parent.isValid() else len(self._steps)

    def columnCount(self, _parent: _Index = _NONE) -> int:
        return 1

    def data(self, index: _Index, role: int = _D.DisplayRole) -> object:
        text = clean_line(self._steps[index.row()], 500)
        if role == _D.DisplayRole:
            return f"{formats.number(index.row() + 1)}.  {text}"
        return plain_tooltip(text) if role == _D.ToolTipRole else None


class PlanView(QWidget):
    """Empty until :meth:`show_plan`. ``heightChanged``: it wants another height."""

    heightChanged = Signal()

    def __init__(self, parent: QWidget, *, says_refusal: bool = True) -> None:
        super().__init__(parent)
        self.setObjectName("plan")
        self._says_refusal = says_refusal
        self._plan: OperationPlan | None = None
        self._notes: list[NoteLine] = []
        self._files = PlanFiles(self)
        self._steps = PlanSteps(self)
        self.facts = ToneLabel("", self)
        self.facts.setObjectName("plan-facts")
        self.more = QPushButton(self)
        self.more.setObjectName("plan-details")
        self.more.setProperty("kind", "flat")
        self.more.setCheckable(True)
        self.more.setAutoDefault(False)
        self.more.toggled.connect(self._on_more)
        self.kind = SegmentedChooser[str](
            "plan-kind", [(_FILES, "files", self.tr("Files")), (_STEPS, "steps", self.tr("Steps"))], self
        )
        self.kind.changed.connect(self._show_kind)
        self.table = QTreeView(self)
        self.table.setObjectName("plan-table")
        self.table.setRootIsDecorated(False)
        self.table.setUniformRowHeights(True)
        self.table.setAllColumnsShowFocus(True)
        self.table.setTextElideMode(Qt.TextElideMode.ElideLeft)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.header().setObjectName("plan-header")
        self.table.header().setAccessibleName(self.tr("Columns"))
        self.table.header().setSectionsMovable(False)
        self.refusal = NoteLine("", self)
        self.refusal.setObjectName("plan-refusal")
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(GRID // 2)
        for widget in (self.facts, self.more, self.kind, self.table, self.refusal):
            self._column.addWidget(widget)
        self._column.setAlignment(self.more, Qt.AlignmentFlag.AlignLeading)
        for hidden in (self.facts, self.more, self.kind, self.table, self.refusal):
            hidden.hide()
        self._show_kind()

    @property
    def plan(self) -> OperationPlan | None:
        return self._plan

    @property
    def notes(self) -> tuple[str, ...]:
        """What is lost, and the warnings, as they are shown."""
        return tuple(note.text for note in self._notes)

    def show_plan(self, plan: OperationPlan) -> None:
        if plan == self._plan:
            return
        self._plan = plan
        self._show_notes(plan)
        facts = self._facts_of(plan)
        self.facts.setText(facts)
        self.facts.setVisible(bool(facts))
        self._files.set_effects(plan.effects)
        self._steps.set_steps(plan.steps)
        has_details = bool(plan.effects or plan.steps)
        self.more.setVisible(has_details)
        if not has_details:
            self.more.setChecked(False)
        self._name_more()
        self.refusal.set_problem(f"{plan.refused} {plan.advice}".strip() if plan.refused else "")
        self.refusal.setVisible(bool(plan.refused) and self._says_refusal)
        self._fit_table()
        self.heightChanged.emit()

    def _show_notes(self, plan: OperationPlan) -> None:
        wanted = [self.tr("Lost: {what}").format(what=clean_line(text, 400)) for text in plan.loses]
        wanted += [clean_line(text, 400) for text in plan.warnings]
        if len(wanted) > _MOST_NOTES:
            rest = len(wanted) - _MOST_NOTES + 1
            wanted[_MOST_NOTES - 1 :] = [self.tr("And {n} more.").format(n=formats.number(rest))]
        for note in self._notes[len(wanted) :]:
            self._column.removeWidget(note)
            note.hide()
            note.deleteLater()
        del self._notes[len(wanted) :]
        for number, text in enumerate(wanted):
            if number == len(self._notes):
                note = NoteLine("", self)
                note.setObjectName(f"plan-note-{number}")
                self._notes.append(note)
                self._column.insertWidget(number, note)
                note.show()
            self._notes[number].set_problem(text, Tone.WARNING)

    def _facts_of(self, plan: OperationPlan) -> str:
        if plan.refused:
            return ""
        parts: list[str] = []
        if plan.stops_guest:
            parts.append(self.tr("What runs in it is stopped."))
        elif plan.pauses_guest:
            parts.append(self.tr("The guest stands still for a moment."))
        if plan.needs_bytes:
            need, free = formats.size(plan.needs_bytes), formats.size(plan.free_bytes)
            if plan.needs_bytes > plan.free_bytes:
                parts.append(self.tr("It needs about {need}, and only {free} are free.").format(need=need, free=free))
            else:
                parts.append(self.tr("It needs about {need}; {free} are free.").format(need=need, free=free))
        if plan.frees_bytes:
            parts.append(self.tr("In the end about {size} are freed.").format(size=formats.size(plan.frees_bytes)))
        return " ".join(parts)

    def _name_more(self) -> None:
        plan = self._plan
        if plan is None:
            return
        parts: list[str] = []
        if plan.effects:
            parts.append(formats.counted(len(plan.effects), self.tr("{n} file"), self.tr("{n} files")))
        if plan.steps:
            parts.append(formats.counted(len(plan.steps), self.tr("{n} step"), self.tr("{n} steps")))
        text = self.tr("Details: {what}").format(what=", ".join(parts))
        self.more.setText(f" {text}")
        self.more.setAccessibleName(text)
        self.more.setIcon(icon("chevron-up" if self.more.isChecked() else "chevron-down"))

    @Slot(bool)
    def _on_more(self, on: bool) -> None:
        self.kind.setVisible(on)
        self.table.setVisible(on)
        self._name_more()
        self._fit_table()
        self.heightChanged.emit()

    @Slot()
    def _show_kind(self) -> None:
        files = self.kind.value() == _FILES
        model: PlanFiles | PlanSteps = self._files if files else self._steps
        self.table.setAccessibleName(self.tr("Files that change") if files else self.tr("Steps"))
        if self.table.model() is not model:
            self.table.setModel(model)
        header = self.table.header()
        header.setVisible(files)
        header.setStretchLastSection(not files)
        if files:
            modes: Sequence[tuple[FileColumn, QHeaderView.ResizeMode]] = (
                (FileColumn.ACTION, QHeaderView.ResizeMode.Fixed),
                (FileColumn.PATH, QHeaderView.ResizeMode.Stretch),
                (FileColumn.SIZE, QHeaderView.ResizeMode.Fixed),
            )
            for column, mode in modes:
                header.setSectionResizeMode(column, mode)
            width = self.fontMetrics().horizontalAdvance
            header.resizeSection(FileColumn.ACTION, width("Set aside, removed later") + 3 * GRID)
            header.resizeSection(FileColumn.SIZE, width("1,023.9 MiB") + 2 * GRID)

    def _fit_table(self) -> None:
        plan = self._plan
        rows = min(_ROWS, max(2, len(plan.effects), len(plan.steps))) if plan is not None else 2
        line = self.fontMetrics().height() + GRID + 2
        self.table.setFixedHeight((rows + 1) * line + GRID)
