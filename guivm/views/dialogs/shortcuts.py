"""The window that lists all shortcuts."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Slot
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QLineEdit, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from guivm.views.actions import ActionRegistry
from guivm.views.dialogs.base import VerbDialog
from guivm.views.dialogs.shortcut_texts import ShortcutLine, sections
from guivm.views.forms import plain_label
from guivm.views.icons import Tint, icon
from guivm.views.settings import HOST_KEY, Settings
from guivm.views.theme import GRID, tokens_for

_WIDTH = 560
_HEIGHT = 560


class KeyCap(QWidget):
    """A key as it looks on a keyboard."""

    def __init__(self, text: str, parent: QWidget) -> None:
        super().__init__(parent)
        self.text = text
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        metrics = self.fontMetrics()
        height = metrics.height() + GRID
        return QSize(max(height, metrics.horizontalAdvance(self.text) + 2 * GRID), height)

    def paintEvent(self, _event: QPaintEvent) -> None:
        tokens = tokens_for(self.palette())
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(tokens.border_strong, 1.0))
        painter.setBrush(tokens.hover)
        painter.drawRoundedRect(self.rect().toRectF().adjusted(0.5, 0.5, -0.5, -0.5), 6, 6)
        painter.setPen(tokens.text)
        painter.drawText(self.rect(), int(Qt.AlignmentFlag.AlignCenter), self.text)


class _Line(QWidget):
    """What a shortcut does at the left, its keys at the right."""

    def __init__(self, line: ShortcutLine, parent: QWidget) -> None:
        super().__init__(parent)
        self.line = line
        layout = QHBoxLayout(self)
        layout.setContentsMargins(GRID + 4, GRID // 2 + 2, GRID + 4, GRID // 2 + 2)
        layout.setSpacing(GRID // 2)
        text = plain_label(line.text, self, wrap=True)
        layout.addWidget(text, 1)
        for index, key in enumerate(line.keys):
            if index:
                plus = plain_label("+", self)
                plus.setProperty("tone", "quiet")
                layout.addWidget(plus)
            layout.addWidget(KeyCap(key, self))
        self.setAccessibleName(f"{line.text}: {' + '.join(line.keys)}")

    def matches(self, words: list[str]) -> bool:
        haystack = f"{self.line.text} {'+'.join(self.line.keys)}".casefold()
        return all(word in haystack for word in words)


class _Section(QWidget):
    """A heading over a card of lines."""

    def __init__(self, title: str, lines: list[ShortcutLine], parent: QWidget) -> None:
        super().__init__(parent)
        heading = plain_label(title, self)
        heading.setProperty("role", "strong")
        card = QFrame(self)
        card.setProperty("card", True)
        inner = QVBoxLayout(card)
        inner.setContentsMargins(1, GRID // 2, 1, GRID // 2)
        inner.setSpacing(0)
        self.lines = [_Line(line, card) for line in lines]
        for line in self.lines:
            inner.addWidget(line)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, GRID)
        layout.setSpacing(GRID)
        layout.addWidget(heading)
        layout.addWidget(card)

    def filter(self, words: list[str]) -> bool:
        """Show the lines that match; answers whether any does."""
        hits = 0
        for line in self.lines:
            hit = line.matches(words)
            line.setVisible(hit)
            hits += hit
        self.setVisible(hits > 0)
        return hits > 0


class ShortcutsWindow(VerbDialog):
    """A reference that may stay open beside the main window (``show()``); follows changed shortcuts."""

    def __init__(self, actions: ActionRegistry, settings: Settings, parent: QWidget | None = None) -> None:
        super().__init__(self.tr("Keyboard Shortcuts"), "", parent, name="shortcuts", width=_WIDTH)
        self.setWindowModality(Qt.WindowModality.NonModal)
        self._actions = actions
        self._settings = settings
        self._sections: list[_Section] = []
        self.search = QLineEdit(self.content)
        self.search.setObjectName("search")
        self.search.setAccessibleName(self.tr("Search shortcuts"))
        self.search.setPlaceholderText(self.tr("Search by action or key"))
        self.search.setClearButtonEnabled(True)
        self.search.addAction(icon("search", Tint.QUIET), QLineEdit.ActionPosition.LeadingPosition)
        self.search.textChanged.connect(self._filter)
        self._empty = QLabel(self.tr("No shortcut matches."), self.content)
        self._empty.setObjectName("no-match")
        self._empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._empty.setProperty("tone", "quiet")
        self._empty.hide()
        self._area = QScrollArea(self.content)
        self._area.setObjectName("shortcut-list")
        self._area.setAccessibleName(self.tr("Shortcuts"))
        self._area.setFrameShape(QFrame.Shape.NoFrame)
        self._area.setWidgetResizable(True)
        self._area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._area.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.body.addWidget(self.search)
        self.body.addWidget(self._empty)
        self.body.addWidget(self._area, 1)
        self._fill()
        self.search.setFocus()
        actions.shortcutsChanged.connect(self._fill)
        settings.changed.connect(self._on_setting)

    def sizeHint(self) -> QSize:
        return QSize(_WIDTH, _HEIGHT)

    def fit(self) -> None:
        self.resize_to(_HEIGHT)

    @Slot()
    def _fill(self) -> None:
        holder = QWidget(self._area)
        holder.setProperty("clear", True)
        layout = QVBoxLayout(holder)
        layout.setContentsMargins(0, 0, GRID, 0)
        layout.setSpacing(GRID)
        self._sections = [
            _Section(title, lines, holder) for title, lines in sections(self._actions, self._settings)
        ]  # fmt: skip
        for section in self._sections:
            layout.addWidget(section)
        layout.addStretch(1)
        self._area.setWidget(holder)
        self._filter()

    @Slot()
    def _filter(self) -> None:
        words = self.search.text().casefold().split()
        shown = [section.filter(words) for section in self._sections]
        self._empty.setVisible(not any(shown))

    @Slot(str)
    def _on_setting(self, key: str) -> None:
        if key == HOST_KEY.key:
            self._fill()
