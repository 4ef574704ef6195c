"""The person's own list of key combinations for the send-key menu."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from PySide6.QtCore import QEvent, Qt, Signal, Slot
from PySide6.QtGui import QFocusEvent, QGuiApplication, QKeyEvent
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from guivm.console.input.key_combos import KeyCombo, NamedCombo, parse_list
from guivm.console.input.keyboard import evdev_code
from guivm.console.typing import TypingError
from guivm.views.dialogs.base import VerbDialog
from guivm.views.forms import Form
from guivm.views.theme import GRID

_WIDTH = 560
_COMBO = Qt.ItemDataRole.UserRole


class KeyRecorder(QPushButton):
    """While it is pressed in, keys are not what they usually are: those held down together are the answer."""

    recorded = Signal(object)  # KeyCombo
    failed = Signal(object)  # TypingError

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("record")
        self.setCheckable(True)
        self.setAutoDefault(False)
        self._codes: list[int] = []
        self._down: set[int] = set()
        self._show()
        self.toggled.connect(self._on_toggled)

    def event(self, event: QEvent) -> bool:
        if self.isChecked() and isinstance(event, QKeyEvent):
            if event.type() == QEvent.Type.ShortcutOverride:
                event.accept()
                return True
            if event.type() in (QEvent.Type.KeyPress, QEvent.Type.KeyRelease):
                if not event.isAutoRepeat():
                    self._on_key(evdev_code(event), pressed=event.type() == QEvent.Type.KeyPress)
                event.accept()
                return True
        return super().event(event)

    def focusNextPrevChild(self, forward: bool) -> bool:
        return False if self.isChecked() else super().focusNextPrevChild(forward)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        self.setChecked(False)
        super().focusOutEvent(event)

    def _on_key(self, code: int, *, pressed: bool) -> None:
        if pressed:
            if code not in self._codes:
                self._codes.append(code)
            self._down.add(code)
            return
        self._down.discard(code)
        if self._codes and not self._down:
            codes = self._codes
            self.setChecked(False)
            try:
                combo = KeyCombo.of_codes(codes)
            except TypingError as error:
                self.failed.emit(error)
            else:
                self.recorded.emit(combo)

    @Slot(bool)
    def _on_toggled(self, on: bool) -> None:
        self._codes = []
        self._down = set()
        if on:
            self.setFocus(Qt.FocusReason.OtherFocusReason)
        # Only X11 lets an application take the keys of the desktop's own shortcuts.
        if QGuiApplication.platformName() == "xcb":
            if on:
                self.grabKeyboard()
            else:
                self.releaseKeyboard()
        self._show()

    def _show(self) -> None:
        self.setText(self.tr("Press them now…") if self.isChecked() else self.tr("&Press Keys"))
        self.setAccessibleName(self.text().replace("&", ""))


class KeyCombosDialog(VerbDialog):
    """``chosen`` carries the new list as settings keep it (``list[str]``, see ``NamedCombo``). Show with ``open()``."""

    chosen = Signal(list)

    def __init__(self, combos: Iterable[str], parent: QWidget | None = None) -> None:
        super().__init__(self.tr("Key Combinations"), self.tr("&Save"), parent, name="key-combos", width=_WIDTH)
        self.list = QListWidget(self.content)
        self.list.setObjectName("combos")
        self.list.setAccessibleName(self.tr("Your key combinations"))
        self.list.setMinimumHeight(18 * GRID)
        self.list.setUniformItemSizes(True)
        self.remove = self._button("remove", self.tr("&Remove"))
        self.up = self._button("up", self.tr("Move &Up"))
        self.down = self._button("down", self.tr("Move &Down"))
        self.keys = QLineEdit(self.content)
        self.keys.setObjectName("keys")
        self.keys.setMaxLength(120)
        self.keys.setPlaceholderText("Ctrl+Alt+Del")
        self.record = KeyRecorder(self.content)
        self.label = QLineEdit(self.content)
        self.label.setObjectName("label")
        self.label.setMaxLength(60)
        self.add = self._button("add", self.tr("&Add"))
        self.change = self._button("change", self.tr("C&hange"))
        self._lay_out()
        for combo in parse_list(combos):
            self._append(combo)

        self.list.currentItemChanged.connect(self._on_selected)
        self.remove.clicked.connect(self._on_remove)
        self.up.clicked.connect(self._on_up)
        self.down.clicked.connect(self._on_down)
        self.keys.textChanged.connect(self._judge)
        self.label.textChanged.connect(self._judge)
        self.record.recorded.connect(self._on_recorded)
        self.record.failed.connect(self._on_record_failed)
        self.add.clicked.connect(self._on_add)
        self.change.clicked.connect(self._on_change)
        self.keys.setFocus()
        self._judge()

    @property
    def combos(self) -> list[str]:
        """The list as it is now."""
        return [str(combo) for combo in self._combos()]

    def submit(self) -> None:
        self.chosen.emit(self.combos)
        self.accept()

    # --- building -------------------------------------------------------------------------------------

    def _button(self, name: str, text: str) -> QPushButton:
        button = QPushButton(text, self.content)
        button.setObjectName(name)
        button.setAccessibleName(text.replace("&", ""))
        button.setAutoDefault(False)
        return button

    def _lay_out(self) -> None:
        beside = QVBoxLayout()
        beside.setSpacing(GRID)
        for button in (self.up, self.down, self.remove):
            beside.addWidget(button)
        beside.addStretch(1)
        upper = QHBoxLayout()
        upper.setSpacing(2 * GRID)
        upper.addWidget(self.list, 1)
        upper.addLayout(beside)
        field = QWidget(self.content)
        line = QHBoxLayout(field)
        line.setContentsMargins(0, 0, 0, 0)
        line.setSpacing(GRID)
        line.addWidget(self.keys, 1)
        line.addWidget(self.record)
        field.setFocusProxy(self.keys)
        form = Form(self.content)
        self.keys_row = form.add_row(
            self.tr("&Keys"), field, self.tr("For example Ctrl+Alt+F2, Super+R, Alt+SysRq+B. Places of a US keyboard.")
        )
        self.label_row = form.add_row(self.tr("&Name"), self.label, self.tr("What the menu shows; may be empty."))
        last = QHBoxLayout()
        last.setSpacing(GRID)
        last.addStretch(1)
        last.addWidget(self.change)
        last.addWidget(self.add)
        self.body.addLayout(upper, 1)
        self.body.addWidget(form)
        self.body.addLayout(last)
        order = (self.list, self.up, self.down, self.remove, self.keys, self.record, self.label, self.change, self.add)
        for before, after in itertools.pairwise(order):
            self.setTabOrder(before, after)

    def _append(self, combo: NamedCombo) -> None:
        item = QListWidgetItem(self.list)
        self._put(item, combo)

    def _put(self, item: QListWidgetItem, combo: NamedCombo) -> None:
        item.setText(combo.title)
        item.setData(_COMBO, str(combo))

    # --- judging --------------------------------------------------------------------------------------

    def _combos(self) -> list[NamedCombo]:
        items = (self.list.item(row) for row in range(self.list.count()))
        return [NamedCombo.parse(str(item.data(_COMBO))) for item in items]

    def _typed(self) -> NamedCombo:
        """What the fields say. TypingError."""
        combo = KeyCombo.parse(self.keys.text())
        label = self.label.text()
        return NamedCombo.parse(str(NamedCombo(combo, label)))

    @Slot()
    def _judge(self) -> None:
        typed: NamedCombo | None = None
        problem = ""
        if self.keys.text().strip():
            try:
                typed = self._typed()
            except TypingError as error:
                problem = str(error)
        self.keys_row.set_problem(problem)
        others = self._combos()
        self.add.setEnabled(typed is not None and typed not in others)
        row = self.list.currentRow()
        self.change.setEnabled(row >= 0 and typed is not None and typed not in others)
        self.remove.setEnabled(row >= 0)
        self.up.setEnabled(row > 0)
        self.down.setEnabled(0 <= row < self.list.count() - 1)
        self.grow()

    # --- what the person does -------------------------------------------------------------------------

    @Slot()
    def _on_selected(self) -> None:
        item = self.list.currentItem()
        if item is not None:
            combo = NamedCombo.parse(str(item.data(_COMBO)))
            self.keys.setText(combo.combo.name)
            self.label.setText(combo.label)
        self._judge()

    @Slot(object)
    def _on_recorded(self, combo: KeyCombo) -> None:
        self.keys.setText(combo.name)

    @Slot(object)
    def _on_record_failed(self, error: TypingError) -> None:
        self.keys_row.set_problem(str(error))

    @Slot()
    def _on_add(self) -> None:
        self._append(self._typed())
        self.list.setCurrentRow(self.list.count() - 1)

    @Slot()
    def _on_change(self) -> None:
        item = self.list.currentItem()
        if item is not None:
            self._put(item, self._typed())
            self._judge()

    @Slot()
    def _on_remove(self) -> None:
        self.list.takeItem(self.list.currentRow())
        self._judge()

    @Slot()
    def _on_up(self) -> None:
        self._move(-1)

    @Slot()
    def _on_down(self) -> None:
        self._move(1)

    def _move(self, step: int) -> None:
        row = self.list.currentRow()
        item = self.list.takeItem(row)
        if item is not None:
            self.list.insertItem(row + step, item)
            self.list.setCurrentRow(row + step)
