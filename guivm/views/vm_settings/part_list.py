"""The list at the left of the settings: parts and devices, one line on each, and the search over all options."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import (
    QAbstractListModel,
    QCoreApplication,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QRect,
    QSize,
    Qt,
)
from PySide6.QtGui import QFont, QPainter
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem

from guivm.engine.options.option import Group, Option, Situation
from guivm.engine.options.values import ChangeKind, Place
from guivm.text import clean_line
from guivm.views.icons import Tint, icon
from guivm.views.theme import GRID, tokens_for
from guivm.views.vm_settings.draft import Draft, Part
from guivm.views.vm_settings.editors import translated
from guivm.views.vm_settings.word_filter import WordFilter

_Index = QModelIndex | QPersistentModelIndex
PART_ROLE = Qt.ItemDataRole.UserRole + 1
SUMMARY_ROLE = Qt.ItemDataRole.UserRole + 2
CHANGED_ROLE = Qt.ItemDataRole.UserRole + 3  # bool
PROBLEM_ROLE = Qt.ItemDataRole.UserRole + 4  # "", "warning" or "error"
_SUMMARY_LIMIT = 120


def part_title(part: Part) -> str:
    """What a part is called: "Processor", "Drive vda"."""
    return clean_line(translated(part.name), 80)


@dataclass(frozen=True, slots=True)
class _Line:
    part: Part
    title: str
    summary: str
    words: str  # what the search looks at, in small letters
    is_changed: bool
    problem: str  # as PROBLEM_ROLE


class PartModel(QAbstractListModel):
    """One row for each part of the draft."""

    def __init__(self, draft: Draft, parent: QObject) -> None:
        super().__init__(parent)
        self._draft = draft
        self._lines: list[_Line] = []
        self._option_words: dict[str, str] = {}
        self.rebuild()

    def rebuild(self) -> None:
        self.beginResetModel()
        self._lines = self._made(self._draft.parts())
        self.endResetModel()

    def refresh(self) -> None:
        """Summaries, marks; the rows stay."""
        old, self._lines = self._lines, self._made([line.part for line in self._lines])
        rows = [row for row, (before, now) in enumerate(zip(old, self._lines, strict=True)) if before != now]
        if rows:
            self.dataChanged.emit(self.index(rows[0]), self.index(rows[-1]))

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self._lines)

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        line = self._lines[index.row()]
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return line.title
            case Qt.ItemDataRole.AccessibleTextRole:
                return f"{line.title}, {line.summary}"
            case Qt.ItemDataRole.ToolTipRole:
                return None
            case Qt.ItemDataRole.DecorationRole:
                return icon(line.part.resource.icon, Tint.TEXT)
            case _ if role == PART_ROLE:
                return line.part
            case _ if role == SUMMARY_ROLE:
                return line.summary
            case _ if role == CHANGED_ROLE:
                return line.is_changed
            case _ if role == PROBLEM_ROLE:
                return line.problem
        return None

    def words(self, row: int) -> str:
        return self._lines[row].words

    def row_of(self, place: Place) -> int:
        """Row of a part, or -1."""
        for row, line in enumerate(self._lines):
            if line.part.resource.id == place.resource and line.part.device == place.device:
                return row
        return -1

    def row_near(self, part: Part) -> int:
        """Where a part that is gone was: the one before it among its kind, else the first."""
        kin = [row for row, line in enumerate(self._lines) if line.part.resource.id == part.resource.id]
        if kin:
            return kin[min(part.index, len(kin) - 1)]
        earlier = [row for row, line in enumerate(self._lines) if line.part.resource.group is part.resource.group]
        return earlier[-1] if earlier else 0

    def _made(self, parts: Iterable[Part]) -> list[_Line]:
        """Each thing that all lines need is worked out once."""
        changes = self._draft.changes()
        # What was taken out has no line, but another may be called by its name now.
        changed = {(c.place.resource, c.place.device) for c in changes if c.place.option or c.kind is ChangeKind.ADDED}
        problems: dict[tuple[str, str], str] = {}
        for problem in self._draft.problems:
            key = (problem.place.resource, problem.place.device)
            if problems.get(key) != "error":
                problems[key] = "warning" if problem.is_warning else "error"
        situation = self._draft.situation
        lines: list[_Line] = []
        for part in parts:
            key = (part.resource.id, part.device)
            lines.append(self._line(situation, part, is_changed=key in changed, problem=problems.get(key, "")))
        return lines

    def _line(self, situation: Situation, part: Part, *, is_changed: bool, problem: str) -> _Line:
        title = part_title(part)
        summary = clean_line(translated(part.resource.summary(situation, part.node)), _SUMMARY_LIMIT)
        known = self._option_words.get(part.resource.id)
        if known is None:
            words = [translated(part.resource.title), part.resource.keywords, part.resource.id]
            for option in part.resource.options:
                words += [translated(option.label), option.keywords]
            known = self._option_words[part.resource.id] = " ".join(words).lower()
        return _Line(part, title, summary, f"{title} {summary} {known}".lower(), is_changed, problem)


class PartFilter(WordFilter):
    """The parts in which each word of the search is found, options and their other names included."""

    def best_row(self, current: int) -> int:
        """The row that the search means most: a title, then an option's name; -1 when nothing is found."""
        text = " ".join(self.search_words)
        ranks: list[tuple[int, int]] = []
        for row in range(self.rowCount()):
            part = self.index(row, 0).data(PART_ROLE)
            named = str(self.index(row, 0).data()).lower()
            rank = 0 if all(word in named for word in self.search_words) else 1 if option_found(part, text) else 2
            ranks.append((2 * rank - (row == current), row))
        return min(ranks)[1] if ranks else -1


def option_found(part: Part, text: str) -> Option[Any] | None:
    """The option of a part that a search means, if it means one rather than the part."""
    wanted = text.lower().split()
    if not wanted:
        return None
    for option in part.resource.options:
        words = f"{translated(option.label)} {option.keywords}".lower()
        if all(word in words for word in wanted):
            return option
    return None


_GROUPS = {
    Group.SYSTEM: "System",
    Group.CPU: "Processor",
    Group.MEMORY: "Memory",
    Group.STORAGE: "Storage",
    Group.NETWORK: "Network",
    Group.DISPLAY: "Display",
    Group.PERIPHERALS: "Peripherals",
}


def group_title(group: Group) -> str:
    return QCoreApplication.translate("Options", _GROUPS[group])


class PartDelegate(QStyledItemDelegate):
    """Icon, title, one quiet line; at the right a mark for what changed or is wrong."""

    _HEIGHT = 6 * GRID

    def sizeHint(self, option: QStyleOptionViewItem, index: _Index) -> QSize:
        metrics = option.fontMetrics
        return QSize(20 * GRID, max(self._HEIGHT, 2 * metrics.height() + 2 * GRID))

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        tokens = tokens_for(option.palette)
        rect = option.rect.adjusted(2, 1, -2, -1)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        if option.state & QStyle.StateFlag.State_Selected:
            painter.setBrush(tokens.selection)
            painter.drawRoundedRect(rect, 7, 7)
        elif option.state & QStyle.StateFlag.State_MouseOver:
            painter.setBrush(tokens.hover)
            painter.drawRoundedRect(rect, 7, 7)
        side = 2 * GRID + 2
        left = rect.left() + GRID
        icon_rect = QRect(left, rect.center().y() - side // 2, side, side)
        index.data(Qt.ItemDataRole.DecorationRole).paint(painter, icon_rect)
        mark = self._mark(painter, rect, index, tokens.accent)
        text = QRect(icon_rect.right() + GRID + 2, rect.top(), 0, rect.height())
        text.setRight(rect.right() - GRID - (2 * GRID if mark else 0))
        self._texts(painter, option, index, text)
        painter.restore()

    def _texts(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index, rect: QRect) -> None:
        tokens = tokens_for(option.palette)
        title, summary = str(index.data()), str(index.data(SUMMARY_ROLE) or "")
        small = QFont(option.font)
        small.setPointSizeF(option.font.pointSizeF() * 0.9)
        line = option.fontMetrics.height()
        painter.setFont(option.font)
        painter.setPen(tokens.text)
        top = rect.center().y() - (line if summary else line // 2)
        upper = QRect(rect.left(), top, rect.width(), line)
        elide = Qt.TextElideMode.ElideRight
        painter.drawText(
            upper, Qt.AlignmentFlag.AlignVCenter, option.fontMetrics.elidedText(title, elide, rect.width())
        )
        if summary:
            painter.setFont(small)
            painter.setPen(tokens.quiet)
            lower = QRect(rect.left(), top + line + 1, rect.width(), line)
            painter.drawText(
                lower, Qt.AlignmentFlag.AlignVCenter, painter.fontMetrics().elidedText(summary, elide, rect.width())
            )

    def _mark(self, painter: QPainter, rect: QRect, index: _Index, accent: Any) -> bool:
        problem = index.data(PROBLEM_ROLE)
        side = 2 * GRID
        place = QRect(rect.right() - GRID - side, rect.center().y() - side // 2, side, side)
        if problem:
            icon(problem, Tint.ERROR if problem == "error" else Tint.WARNING).paint(painter, place)
            return True
        if index.data(CHANGED_ROLE):
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(accent)
            painter.drawEllipse(place.center(), 4, 4)
            return True
        return False
