"""The Shortcuts section of Preferences: a table of all actions, one editor under it."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Signal, Slot
from PySide6.QtGui import QIcon, QKeyEvent, QKeySequence, QPixmap
from PySide6.QtWidgets import (
    QHBoxLayout,
    QHeaderView,
    QKeySequenceEdit,
    QLineEdit,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from guivm.views.actions import ActionRegistry, Group
from guivm.views.dialogs.shortcut_texts import action_text, group_text
from guivm.views.forms import NoteLine, Tone, plain_label, plain_tooltip
from guivm.views.icons import Tint, icon
from guivm.views.settings import Settings, shortcut_setting
from guivm.views.theme import GRID

_ID = Qt.ItemDataRole.UserRole
_NATIVE = QKeySequence.SequenceFormat.NativeText
# Keys that do something by themselves, in portable text; all others would fire while a person types.
_LONE_KEYS = frozenset({"Del", "Ins", "Pause", "Print", "Help", "Menu", *(f"F{n}" for n in range(1, 36))})


def types_text(sequence: QKeySequence) -> bool:
    """True for a shortcut that would fire in the midst of typing: a key with no modifier, or with Shift only."""
    text = sequence.toString(QKeySequence.SequenceFormat.PortableText)
    if not text or text.startswith(("Ctrl+", "Alt+", "Meta+")):
        return False
    return text.removeprefix("Shift+") not in _LONE_KEYS


class ShortcutEdit(QKeySequenceEdit):
    """Records one combination of keys. Backspace clears, Escape and Tab leave."""

    left = Signal()
    cleared = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setMaximumSequenceLength(1)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.modifiers() == Qt.KeyboardModifier.NoModifier:
            if event.key() == Qt.Key.Key_Escape:
                self.left.emit()
                return
            if event.key() == Qt.Key.Key_Backspace:
                self.cleared.emit()
                return
        super().keyPressEvent(event)


class ShortcutEditor(QWidget):
    """Changes apply at once; a combination another action has is refused beside the field."""

    def __init__(self, actions: ActionRegistry, settings: Settings, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._actions = actions
        self._settings = settings
        self._items: dict[str, QTreeWidgetItem] = {}

        self.search = QLineEdit(self)
        self.search.setObjectName("shortcut-search")
        self.search.setAccessibleName(self.tr("Search actions"))
        self.search.setPlaceholderText(self.tr("Search actions"))
        self.search.setClearButtonEnabled(True)
        self.search.addAction(icon("search", Tint.QUIET), QLineEdit.ActionPosition.LeadingPosition)
        self.search.textChanged.connect(self._filter)
        self.table = QTreeWidget(self)
        self.table.setObjectName("shortcut-table")
        self.table.setAccessibleName(self.tr("Actions and their shortcuts"))
        self.table.setHeaderLabels([self.tr("Action"), self.tr("Shortcut")])
        self.table.setRootIsDecorated(False)
        self.table.setIndentation(GRID)
        self.table.setItemsExpandable(False)
        self.table.setUniformRowHeights(True)
        self.table.setAllColumnsShowFocus(True)
        header = self.table.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionsMovable(False)
        self._label = plain_label("", self)
        self._label.setProperty("role", "strong")
        self.edit = ShortcutEdit(self)
        self.edit.setObjectName("shortcut-edit")
        self.clear = self._button("shortcut-clear", self.tr("C&lear"), self.tr("Leave the action without shortcut"))
        self.reset = self._button("shortcut-reset", self.tr("&Reset"), self.tr("Back to the original shortcut"))
        self.reset_all = self._button(
            "shortcut-reset-all", self.tr("Reset &all"), self.tr("All shortcuts back to the original")
        )
        self.note = NoteLine("", self)
        self.note.setObjectName("shortcut-note")
        self._lay_out()
        self._fill()

        self.table.currentItemChanged.connect(self._on_selected)
        self.table.itemActivated.connect(self._on_activated)
        self.edit.keySequenceChanged.connect(self._on_keys)
        self.edit.left.connect(self.table.setFocus)
        self.edit.cleared.connect(self._on_clear)
        self.clear.clicked.connect(self._on_clear)
        self.reset.clicked.connect(self._on_reset)
        self.reset_all.clicked.connect(self._on_reset_all)
        actions.shortcutsChanged.connect(self._show_keys)
        self.select(next(iter(self._items)))

    @property
    def current(self) -> str:
        """Id of the selected action; empty when a heading or nothing is selected."""
        item = self.table.currentItem()
        return "" if item is None else str(item.data(0, _ID) or "")

    def select(self, action_id: str) -> None:
        self.table.setCurrentItem(self._items[action_id])

    # --- building -------------------------------------------------------------------------------------

    def _button(self, name: str, text: str, tip: str) -> QPushButton:
        button = QPushButton(text, self)
        button.setObjectName(name)
        button.setAccessibleName(text.replace("&", ""))
        button.setAccessibleDescription(tip)
        button.setToolTip(tip)
        button.setAutoDefault(False)
        return button

    def _lay_out(self) -> None:
        line = QHBoxLayout()
        line.setSpacing(GRID)
        line.addWidget(self._label, 1)
        line.addWidget(self.edit, 1)
        line.addWidget(self.clear)
        line.addWidget(self.reset)
        last = QHBoxLayout()
        last.addWidget(self.note, 1)
        last.addWidget(self.reset_all, 0, Qt.AlignmentFlag.AlignTop)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GRID)
        layout.addWidget(self.search)
        layout.addWidget(self.table, 1)
        layout.addLayout(line)
        layout.addLayout(last)
        self.setTabOrder(self.search, self.table)
        self.setTabOrder(self.table, self.edit)
        self.setTabOrder(self.edit, self.clear)
        self.setTabOrder(self.clear, self.reset)
        self.setTabOrder(self.reset, self.reset_all)

    def _fill(self) -> None:
        space = QPixmap(self.table.iconSize() if self.table.iconSize().isValid() else QSize(2 * GRID, 2 * GRID))
        space.fill(Qt.GlobalColor.transparent)
        blank = QIcon(space)
        for group in Group:
            specs = self._actions.in_group(group)
            if not specs:
                continue
            head = QTreeWidgetItem([group_text(group)])
            head.setFlags(Qt.ItemFlag.ItemIsEnabled)
            font = head.font(0)
            font.setBold(True)
            head.setFont(0, font)
            self.table.addTopLevelItem(head)
            for spec in specs:
                item = QTreeWidgetItem(head, [action_text(spec)])
                item.setData(0, _ID, spec.id)
                item.setIcon(0, icon(spec.icon, Tint.QUIET) if spec.icon else blank)
                self._items[spec.id] = item
        self.table.expandAll()
        self._show_keys()

    # --- following ------------------------------------------------------------------------------------

    @Slot()
    def _show_keys(self) -> None:
        for action_id, item in self._items.items():
            sequence = self._actions.shortcut(action_id)
            item.setText(1, sequence.toString(_NATIVE))
            font = item.font(1)
            font.setBold(not self._is_default(action_id))
            item.setFont(1, font)
        self._show_current()

    def _show_current(self) -> None:
        current = self.current
        for widget in (self.edit, self.clear, self.reset):
            widget.setEnabled(bool(current))
        if not current:
            return
        text = action_text(self._actions.spec(current))
        self._label.setText(text)
        self._label.setToolTip(plain_tooltip(text))
        self.edit.setAccessibleName(self.tr("Shortcut of “{action}”").format(action=text))
        self._show_sequence(self._actions.shortcut(current))
        self.clear.setEnabled(not self._actions.shortcut(current).isEmpty())
        self.reset.setEnabled(not self._is_default(current))
        self.reset_all.setEnabled(not all(map(self._is_default, self._items)))

    def _show_sequence(self, sequence: QKeySequence) -> None:
        self.edit.blockSignals(True)
        self.edit.setKeySequence(sequence)
        self.edit.blockSignals(False)

    def _say(self, text: str, tone: Tone = Tone.PROBLEM) -> None:
        self.note.set_problem(text, tone)
        self.edit.setAccessibleDescription(self.note.text)

    def _default(self, action_id: str) -> QKeySequence:
        return QKeySequence.fromString(self._actions.spec(action_id).shortcut, QKeySequence.SequenceFormat.PortableText)

    def _is_default(self, action_id: str) -> bool:
        return self._actions.shortcut(action_id) == self._default(action_id)

    # --- what the person does -------------------------------------------------------------------------

    @Slot()
    def _on_selected(self) -> None:
        self.note.set_help(self.tr("Press the new keys. Backspace: none. Escape: back to the list."))
        self._say("")
        self._show_current()

    @Slot()
    def _on_activated(self) -> None:
        if self.current:
            self.edit.setFocus(Qt.FocusReason.OtherFocusReason)

    @Slot(QKeySequence)
    def _on_keys(self, sequence: QKeySequence) -> None:
        if not sequence.isEmpty() and self.current:
            self._change(self.current, sequence)

    @Slot()
    def _on_clear(self) -> None:
        if self.current:
            self._change(self.current, QKeySequence())

    @Slot()
    def _on_reset(self) -> None:
        current = self.current
        if current and self._change(current, self._default(current)):
            self._forget(current)

    @Slot()
    def _on_reset_all(self) -> None:
        changed = [action_id for action_id in self._items if not self._is_default(action_id)]
        for action_id in changed:  # first free them all, or two that were exchanged would refuse each other
            self._actions.set_shortcut(action_id, QKeySequence())
        for action_id in changed:
            self._actions.set_shortcut(action_id, self._default(action_id))
            self._forget(action_id)
        self._say("")
        self._show_keys()

    def _forget(self, action_id: str) -> None:
        self._settings.reset(shortcut_setting(action_id, self._actions.spec(action_id).shortcut))

    def _change(self, action_id: str, sequence: QKeySequence) -> bool:
        shown = sequence.toString(_NATIVE)
        if types_text(sequence):
            self._show_sequence(self._actions.shortcut(action_id))
            self._say(self.tr("{keys} would fire while you type. Add Ctrl or Alt.").format(keys=shown))
            return False
        owner = self._actions.set_shortcut(action_id, sequence)
        if owner is not None:
            name = action_text(self._actions.spec(owner))
            self._show_sequence(self._actions.shortcut(action_id))
            self._say(self.tr("{keys} belongs to “{action}”. Clear it there first.").format(keys=shown, action=name))
            return False
        self._say("")
        return True

    @Slot()
    def _filter(self) -> None:
        words = self.search.text().casefold().split()
        for item in self._items.values():
            haystack = f"{item.text(0)} {item.text(1)}".casefold()
            item.setHidden(not all(word in haystack for word in words))
        for index in range(self.table.topLevelItemCount()):
            head = self.table.topLevelItem(index)
            if head is not None:
                children = (head.child(n) for n in range(head.childCount()))
                head.setHidden(all(child is None or child.isHidden() for child in children))
