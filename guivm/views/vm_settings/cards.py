"""One of several ways, each a line with a sentence of its own; what belongs to the chosen one opens under it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QButtonGroup, QFrame, QRadioButton, QVBoxLayout, QWidget

from guivm.views.forms import ToneLabel
from guivm.views.theme import GRID

_INDENT = 3 * GRID


@dataclass(eq=False, slots=True)
class _Card:
    button: QRadioButton
    note: ToneLabel
    make: Callable[[QWidget], QWidget] | None
    rule: QFrame
    box: QWidget
    body: QWidget | None = None


class Cards(QFrame):
    """``chosen`` carries the key of the line the person took. What cannot be had is greyed, its reason in sight."""

    chosen = Signal(str)

    def __init__(self, name: str, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self.setProperty("card", True)
        self._name = name
        self._group = QButtonGroup(self)
        self._cards: dict[str, _Card] = {}
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(0)
        self._group.buttonClicked.connect(self._on_clicked)

    def add(self, key: str, title: str, note: str = "", make: Callable[[QWidget], QWidget] | None = None) -> None:
        """Append a line. ``make`` is asked for what stands under it when it is first the chosen one."""
        rule = QFrame(self)
        rule.setProperty("rule", True)
        rule.setVisible(bool(self._cards))
        box = QWidget(self)
        button = QRadioButton(title, box)
        button.setObjectName(f"{self._name}-{key}")
        button.setAccessibleName(title)
        button.setProperty("key", key)
        self._group.addButton(button)
        label = ToneLabel(note, box)
        label.setContentsMargins(_INDENT, 0, 0, 0)
        column = QVBoxLayout(box)
        column.setContentsMargins(GRID + 4, GRID, GRID + 4, GRID)
        column.setSpacing(2)
        column.addWidget(button)
        column.addWidget(label)
        self._column.addWidget(rule)
        self._column.addWidget(box)
        self._cards[key] = _Card(button, label, make, rule, box)
        self.describe(key, note)
        if len(self._cards) == 1:
            self.setFocusProxy(button)

    @property
    def current(self) -> str:
        """Key of the chosen line; empty when none is."""
        return next((key for key, card in self._cards.items() if card.button.isChecked()), "")

    def choose(self, key: str) -> None:
        """Show a line as the chosen one; tells nobody. Another key: none is."""
        if key != self.current or not key:
            self._group.setExclusive(False)
            for known, card in self._cards.items():
                card.button.setChecked(known == key)
            self._group.setExclusive(True)
        for known, card in self._cards.items():
            if known == key and card.body is None and card.make is not None:
                card.body = self._made(card.make, card.box)
            if card.body is not None:
                _set_shown(card.body, shown=known == key)
        if key in self._cards:
            self.setFocusProxy(self._cards[key].button)

    @staticmethod
    def _made(make: Callable[[QWidget], QWidget], box: QWidget) -> QWidget:
        body = make(box)
        body.setContentsMargins(_INDENT, GRID, 0, GRID // 2)
        column = box.layout()
        assert column is not None
        column.addWidget(body)
        return body

    def describe(self, key: str, note: str, refusal: str = "") -> None:
        """Say what a line is, or why it cannot be chosen here."""
        card = self._cards[key]
        text = refusal or note
        card.button.setEnabled(not refusal or card.button.isChecked())
        card.note.setText(text)
        _set_shown(card.note, shown=bool(text))
        card.button.setAccessibleDescription(text)

    def set_shown(self, key: str, *, shown: bool) -> None:
        """Leave a line out, or show it again."""
        _set_shown(self._cards[key].box, shown=shown)
        first = True
        for card in self._cards.values():
            hidden = card.box.isHidden()
            _set_shown(card.rule, shown=not hidden and not first)
            first = first and hidden

    def button(self, key: str) -> QRadioButton:
        return self._cards[key].button

    @Slot(object)
    def _on_clicked(self, button: QRadioButton) -> None:
        key = str(button.property("key"))
        self.choose(key)
        self.chosen.emit(key)


def _set_shown(widget: QWidget, *, shown: bool) -> None:
    """Qt lays out a new widget at once when it is told to show it, though it would be shown anyway."""
    if not shown or widget.isHidden():
        widget.setVisible(shown)
