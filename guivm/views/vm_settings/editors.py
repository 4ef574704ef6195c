"""The widgets that values are edited with: one per editor of :mod:`guivm.engine.options.option`. GUI thread.

Each shows a value (None: libvirt's default), says when the person changed it, and never judges it beyond its form.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QCoreApplication, QModelIndex, QPersistentModelIndex, Qt, Signal, Slot
from PySide6.QtGui import QStandardItem, QStandardItemModel
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QStyleOptionViewItem,
    QWidget,
)

from guivm.engine.options.option import (
    Block,
    Choice,
    Editor,
    HostPath,
    Item,
    Line,
    Number,
    Option,
    PathKind,
    Secret,
    Size,
    Switch,
    Value,
)
from guivm.views.forms import PathField, plain_tooltip
from guivm.views.theme import GRID
from guivm.views.vm_settings.pieces import QuietCombo, QuietSize, QuietSpin, RoomyDelegate, label_words, reason_words
from guivm.views.vm_settings.pieces import translated as translated

_MIB = 1024 * 1024
_WIDEST_FIELD = 64 * GRID
_POPUP_WIDTH = 90 * GRID
_NOTE_ROLE = Qt.ItemDataRole.UserRole + 1


class ValueEditor(QWidget):
    """Base. ``changed`` carries the value (None: default); ``refused`` a sentence for what is no value."""

    changed = Signal(object)
    refused = Signal(str)

    def __init__(self, option: Option[Any], parent: QWidget) -> None:
        super().__init__(parent)
        self.option = option
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(GRID)

    def show_value(self, value: Value | None) -> None:
        """Show a value without telling anybody."""
        raise NotImplementedError

    def show_items(self, items: Sequence[Item]) -> None:
        """The choices, where there are any, have changed."""

    def _take(self, widget: QWidget, *, stretch: int = 0) -> None:
        widget.setObjectName(f"option-{self.option.id}")
        widget.setAccessibleName(translated(self.option.label))
        self._row.addWidget(widget, stretch)
        if stretch == 0:
            self._row.addStretch(1)
        self.setFocusProxy(widget)


class SwitchEditor(ValueEditor):
    """A box to tick. Where libvirt's default is not known, a choice with three answers stands in."""

    def __init__(self, option: Option[Any], editor: Switch, parent: QWidget) -> None:
        super().__init__(option, parent)
        self._default = bool(editor.default)
        self.box = QCheckBox(translated(option.label), self)
        self._take(self.box)
        self.box.clicked.connect(self._on_clicked)

    def show_value(self, value: Value | None) -> None:
        self.box.setChecked(self._default if value is None else bool(value))

    @Slot(bool)
    def _on_clicked(self, on: bool) -> None:
        self.changed.emit(on)


class _ChoiceDelegate(RoomyDelegate):
    """The note or the refusal behind the label."""

    def initStyleOption(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> None:
        super().initStyleOption(option, index)
        option.text = _with_note(index)


class ChoiceEditor(ValueEditor):
    """A list to choose from; what cannot be had is greyed and says why."""

    def __init__(self, option: Option[Any], editor: Choice, parent: QWidget) -> None:
        super().__init__(option, parent)
        self.box = QuietCombo(self)
        self.box.setEditable(editor.free)
        self.box.setMaximumWidth(_WIDEST_FIELD)
        self.box.setItemDelegate(_ChoiceDelegate(self.box))
        self._model = QStandardItemModel(self.box)
        self.box.setModel(self._model)
        self._items: tuple[Item, ...] = ()
        self._value: Value | None = None
        self._take(self.box)
        self.box.activated.connect(self._on_activated)
        if editor.free:
            edit = self.box.lineEdit()
            assert edit is not None
            edit.editingFinished.connect(self._on_typed)

    def show_items(self, items: Sequence[Item]) -> None:
        new = tuple(items)
        if new == self._items:
            return
        if self._items or self.box.isVisible():
            # With this policy Qt lays the page out once more, a moment later: not for the first items, for which the
            # size is asked when the box is first shown.
            self.box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        self._items = new
        self._model.clear()
        for item in new:
            words = reason_words(item)
            row = QStandardItem(label_words(item))
            row.setData(words, _NOTE_ROLE)
            row.setEnabled(not item.refusal)
            row.setToolTip(plain_tooltip(words))
            self._model.appendRow(row)
        metrics = self.box.fontMetrics()
        rows = [metrics.horizontalAdvance(_with_note(self._model.index(n, 0))) for n in range(len(new))]
        self.box.view().setMinimumWidth(min(max(rows, default=0) + 6 * GRID, _POPUP_WIDTH))
        self.show_value(self._value)

    def show_value(self, value: Value | None) -> None:
        self._value = value
        index = next((i for i, item in enumerate(self._items) if _is_same(item.value, value)), -1)
        if index < 0 and value is not None and not self.box.isEditable():
            # A value that the catalogue does not know is kept, shown, and can be left.
            self._items = (*self._items, Item(value, str(value)))
            self._model.appendRow(QStandardItem(label_words(self._items[-1])))
            index = len(self._items) - 1
        self.box.setCurrentIndex(index)
        if self.box.isEditable():
            known = label_words(self._items[index]) if index >= 0 else ""
            self.box.setEditText(known if index >= 0 else "" if value is None else str(value))
        elif index >= 0:
            self.box.setToolTip(self._model.item(index).toolTip())

    @Slot(int)
    def _on_activated(self, index: int) -> None:
        if 0 <= index < len(self._items) and self._items[index].value != self._value:
            self._value = self._items[index].value
            self.changed.emit(self._value)

    @Slot()
    def _on_typed(self) -> None:
        text = self.box.currentText().strip()
        known = next((item for item in self._items if label_words(item) == text), None)
        value: Value | None = known.value if known is not None else (text or None)
        if value != self._value:
            self._value = value
            self.changed.emit(value)


def _with_note(index: QModelIndex | QPersistentModelIndex) -> str:
    """An item as its list shows it; the closed box has its label alone."""
    note = index.data(_NOTE_ROLE)
    return f"{index.data()}  –  {note}" if note else str(index.data())


def _is_same(a: Value | None, b: Value | None) -> bool:
    return a == b and type(a) is type(b)  # True is no 1 here


class NumberEditor(ValueEditor):
    """A number; one below the smallest stands for the default, and says so."""

    def __init__(self, option: Option[Any], editor: Number, parent: QWidget) -> None:
        super().__init__(option, parent)
        self.box = QuietSpin(f"option-{option.id}", translated(option.label), self)
        self._none = max(editor.minimum - 1, -(1 << 31))
        self.box.setRange(self._none, min(editor.maximum, (1 << 31) - 1))
        self.box.setSingleStep(editor.step)
        self.box.setSpecialValueText(translated(option.default) or self.tr("Default"))
        if editor.unit:
            self.box.setSuffix(f" {editor.unit}")
        self.box.setMinimumWidth(18 * GRID)
        self._take(self.box)
        self.box.valueChanged.connect(self._on_value)

    def show_value(self, value: Value | None) -> None:
        self.box.show_value(self._none if value is None else int(value))

    @Slot(int)
    def _on_value(self, value: int) -> None:
        self.changed.emit(None if value == self._none else value)


class SizeEditor(ValueEditor):
    """Memory or disk in MiB and GiB, whatever the XML counts in."""

    def __init__(self, option: Option[Any], editor: Size, parent: QWidget) -> None:
        super().__init__(option, parent)
        self._per_mib = _MIB // editor.unit.value
        self.box = QuietSize(f"option-{option.id}", translated(option.label), self)
        top = min(editor.maximum // self._per_mib, (1 << 31) - 1)
        self.box.setRange(0, top)
        self.box.setSpecialValueText(translated(option.default) or self.tr("Default"))
        self._minimum = editor.minimum
        self._take(self.box)
        self.box.valueChanged.connect(self._on_value)

    def show_value(self, value: Value | None) -> None:
        self.box.show_value(0 if value is None else int(value) // self._per_mib)

    @Slot(int)
    def _on_value(self, mib: int) -> None:
        amount = mib * self._per_mib
        if mib and amount < self._minimum:
            self.refused.emit(self.tr("This is less than there must be."))
        else:
            self.changed.emit(amount or None)


class LineEditor(ValueEditor):
    """One line; the value is taken as it is typed."""

    def __init__(self, option: Option[Any], editor: Line | Secret, parent: QWidget) -> None:
        super().__init__(option, parent)
        self.edit = QLineEdit(self)
        self.edit.setMaxLength(editor.max_length)
        self._check = editor.check if isinstance(editor, Line) else None
        if isinstance(editor, Line):
            self.edit.setPlaceholderText(translated(editor.placeholder) or translated(option.default))
        else:
            self.edit.setEchoMode(QLineEdit.EchoMode.Password)
        self._take(self.edit, stretch=1)
        self.edit.textEdited.connect(self._on_edited)

    def show_value(self, value: Value | None) -> None:
        text = "" if value is None else str(value)
        if text != self.edit.text():
            self.edit.setText(text)

    @Slot(str)
    def _on_edited(self, text: str) -> None:
        problem = self._check(text) if self._check is not None and text else ""
        if problem:
            self.refused.emit(translated(problem))
        else:
            self.changed.emit(text or None)


class BlockEditor(ValueEditor):
    """Text of several lines."""

    def __init__(self, option: Option[Any], editor: Block, parent: QWidget) -> None:
        super().__init__(option, parent)
        self._limit = editor.max_length
        self.edit = QPlainTextEdit(self)
        self.edit.setTabChangesFocus(True)
        self.edit.setFixedHeight(12 * GRID)
        self._take(self.edit, stretch=1)
        self.edit.textChanged.connect(self._on_changed)
        self._shown = ""

    def show_value(self, value: Value | None) -> None:
        text = "" if value is None else str(value)
        if text != self.edit.toPlainText():
            self._shown = text
            self.edit.setPlainText(text)

    @Slot()
    def _on_changed(self) -> None:
        text = self.edit.toPlainText()
        if text == self._shown:
            return
        self._shown = text
        if len(text) > self._limit:
            self.refused.emit(self.tr("The text is too long."))
        else:
            self.changed.emit(text or None)


class PathEditor(ValueEditor):
    """A path on the VM's host: typed, or chosen where the host is this computer."""

    def __init__(self, option: Option[Any], editor: HostPath, parent: QWidget, *, is_local: bool) -> None:
        super().__init__(option, parent)
        filters = ";;".join([*(translated(name) for name in editor.filters), self.tr("All files (*)")])
        self.field = PathField(f"option-{option.id}", translated(option.label), filters, Path.home, self)
        self.field.edit.setPlaceholderText(translated(option.default))
        self.field.set_browsable(
            is_local and editor.kind in (PathKind.FILE, PathKind.DEVICE, PathKind.NEW_FILE, PathKind.DIRECTORY),
            "" if is_local else self.tr("The files are on another computer: type the path."),
        )
        self._row.addWidget(self.field, 1)
        self.setFocusProxy(self.field)
        self.field.pathChanged.connect(self._on_path)
        self._shown: str | None = None

    def show_value(self, value: Value | None) -> None:
        text = None if value is None else str(value)
        if text != self._shown:
            self._shown = text
            self.field.set_path(None if text is None else Path(text))

    @Slot(object)
    def _on_path(self, path: Path | None) -> None:
        text = None if path is None else str(path)
        if text == self._shown:
            return
        self._shown = text
        if path is not None and not path.is_absolute():
            self.refused.emit(self.tr("Give the whole path, beginning with “/”."))
        else:
            self.changed.emit(text)


def three_answers(option: Option[Any]) -> Choice:
    """For a switch whose default nobody knows."""
    default = option.default or QCoreApplication.translate("ValueEditor", "Default")

    def items(_situation: object, _node: object) -> Sequence[Item]:
        return (
            Item(None, default),
            Item(True, QCoreApplication.translate("ValueEditor", "Yes")),
            Item(False, QCoreApplication.translate("ValueEditor", "No")),
        )

    return Choice(items)


def make_editor(option: Option[Any], parent: QWidget, *, is_local: bool) -> ValueEditor | None:
    """The widget for an option; None for an editor that is a widget of its own (see :mod:`registry`)."""
    match option.editor:
        case Switch(default=None):
            return ChoiceEditor(option, three_answers(option), parent)
        case Switch() as editor:
            return SwitchEditor(option, editor, parent)
        case Choice() as editor:
            return ChoiceEditor(option, editor, parent)
        case Number() as editor:
            return NumberEditor(option, editor, parent)
        case Size() as editor:
            return SizeEditor(option, editor, parent)
        case Line() | Secret() as editor:
            return LineEditor(option, editor, parent)
        case Block() as editor:
            return BlockEditor(option, editor, parent)
        case HostPath() as editor:
            return PathEditor(option, editor, parent, is_local=is_local)
    return None


def items_of(option: Option[Any]) -> Callable[[Any, Any], Sequence[Item]] | None:
    """Where an option's choices come from."""
    editor: Editor = option.editor
    if isinstance(editor, Choice):
        return editor.items
    if isinstance(editor, Switch) and editor.default is None:
        return three_answers(option).items
    return None


def small_button(text: str, name: str, parent: QWidget) -> QPushButton:
    button = QPushButton(text, parent)
    button.setObjectName(name)
    button.setAccessibleName(text.replace("&", ""))
    button.setProperty("kind", "small")
    button.setAutoDefault(False)
    return button
