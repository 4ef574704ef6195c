"""Overview of one VM: its screen, its hardware in plain words, its notes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtGui import QResizeEvent, QShowEvent
from PySide6.QtWidgets import (
    QBoxLayout,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from guivm.engine.job_types import VmDetails
from guivm.engine.requests import ReadDetails
from guivm.engine.types import VmInfo, VmKey, VmState
from guivm.errors import GuivmError
from guivm.views.actions import ActionRegistry
from guivm.views.art import Art, ElidedLabel, plain_label
from guivm.views.bridge import Bridge
from guivm.views.hardware_words import HardwareLine, hardware_lines
from guivm.views.settings import Settings
from guivm.views.state_words import kind_sentence
from guivm.views.theme import GRID
from guivm.views.thumbnail import ScreenThumbnail

if TYPE_CHECKING:
    from guivm.views.identity_notice import IdentityNotice
    from guivm.views.vm_settings.banner import Banner

# Narrower than this the cards stand below each other.
_TWO_COLUMNS = 84 * GRID
# Changes that come together are read once.
_SETTLE_MS = 150


class Card(QFrame):
    """A titled box on a page."""

    def __init__(self, title: str, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self.setProperty("card", True)
        self.title = plain_label(title, self, name=f"{name}-title", role="heading")
        self.top = QHBoxLayout()
        self.top.addWidget(self.title, 1)
        self.body = QVBoxLayout(self)
        self.body.setContentsMargins(2 * GRID, GRID + 6, 2 * GRID, 2 * GRID)
        self.body.setSpacing(GRID)
        self.body.addLayout(self.top)


class HardwareCard(Card):
    """The lines of :mod:`guivm.views.hardware_words`."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("", "hardware", parent)
        self.title.setText(self.tr("Hardware"))
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(GRID + 4)
        self._grid.setVerticalSpacing(GRID + 4)
        self._grid.setColumnStretch(2, 1)
        self._grid.setColumnMinimumWidth(1, 12 * GRID)
        self.body.addLayout(self._grid)
        self._note = plain_label("", self, name="hardware-note")
        self._note.setProperty("tone", "quiet")
        self._note.setWordWrap(True)
        self.body.addWidget(self._note)
        self._lines: list[HardwareLine] = []
        self._widgets: list[QWidget] = []

    @property
    def lines(self) -> list[HardwareLine]:
        return list(self._lines)

    def show_note(self, text: str) -> None:
        """Instead of lines: loading, or why they are not known."""
        self.set_lines([])
        self._note.setText(text)
        self._note.show()

    def set_lines(self, lines: list[HardwareLine]) -> None:
        self._note.setVisible(not lines)
        if lines == self._lines:
            return
        self._lines = lines
        for widget in self._widgets:
            self._grid.removeWidget(widget)
            widget.deleteLater()
        self._widgets = []
        for row, line in enumerate(lines):
            self._add(row, line)

    def _add(self, row: int, line: HardwareLine) -> None:
        top = Qt.AlignmentFlag.AlignTop
        symbol = QWidget(self)
        holder = QVBoxLayout(symbol)
        holder.setContentsMargins(0, 1, 0, 0)
        holder.addWidget(Art(line.icon, 16, symbol))
        label = plain_label(line.label, self)
        label.setProperty("tone", "quiet")
        words = QWidget(self)
        words.setObjectName(f"hardware-{row}")
        column = QVBoxLayout(words)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        if line.path:  # a file's name: its end matters as much as its beginning
            name = ElidedLabel(words)
            name.set_text(line.value)
        value = name if line.path else self._wrapping(line.value, words)
        value.setObjectName(f"hardware-value-{row}")
        column.addWidget(value)
        if line.note:
            note = self._wrapping(line.note, words)
            note.setProperty("role", "caption")
            column.addWidget(note)
        if line.path:
            path = ElidedLabel(words)
            path.setObjectName(f"hardware-path-{row}")
            path.setProperty("role", "caption")
            path.set_text(line.path)
            column.addWidget(path)
        self._grid.addWidget(symbol, row, 0, top)
        self._grid.addWidget(label, row, 1, top)
        self._grid.addWidget(words, row, 2, top)
        for widget in (symbol, label, words):
            widget.show()
            self._widgets.append(widget)

    @staticmethod
    def _wrapping(text: str, parent: QWidget) -> QLabel:
        label = plain_label(text, parent)
        label.setWordWrap(True)
        return label


class NotesCard(Card):
    """libvirt's title and description, as plain text."""

    def __init__(self, actions: ActionRegistry, parent: QWidget | None = None) -> None:
        super().__init__("", "notes-card", parent)
        self.title.setText(self.tr("Notes"))
        edit = QPushButton(self.tr("Edit…"), self)
        edit.setObjectName("notes-edit")
        edit.setAccessibleName(self.tr("Edit title and notes"))
        edit.setProperty("kind", "small")
        edit.clicked.connect(actions.action("edit-notes").trigger)
        self.top.addWidget(edit)
        self.text = plain_label("", self, name="notes-text")
        self.text.setWordWrap(True)
        self.text.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        self.text.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self.text.setAccessibleName(self.tr("Notes"))
        self.body.addWidget(self.text)

    def set_vm(self, vm: VmInfo) -> None:
        self.text.setText(vm.notes or (self.tr("No notes yet.") if vm.is_complete else ""))
        self.text.setProperty("tone", "" if vm.notes else "quiet")
        self.text.style().unpolish(self.text)
        self.text.style().polish(self.text)


class OverviewPage(QScrollArea):
    """Reads the hardware when it is shown and when the VM changes."""

    consoleRequested = Signal()

    def __init__(
        self, bridge: Bridge, settings: Settings, actions: ActionRegistry, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setObjectName("overview")
        self.setAccessibleName(self.tr("Overview"))
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._bridge = bridge
        self._actions = actions
        self.notice: Banner | None = None  # of a template; made on first use
        self.identity: IdentityNotice | None = None  # of a clone's guest; made on first use
        self._vm: VmInfo | None = None
        self._read_key: VmKey | None = None
        self.thumbnail = ScreenThumbnail(bridge, settings, self)
        self.thumbnail.clicked.connect(self.consoleRequested)
        self.hardware = HardwareCard(self)
        self.notes = NotesCard(actions, self)
        self._delay = QTimer(self)
        self._delay.setSingleShot(True)
        self._delay.setInterval(_SETTLE_MS)
        self._delay.timeout.connect(self._read)

        left = QVBoxLayout()
        left.setSpacing(2 * GRID)
        left.addWidget(self.thumbnail)
        left.addWidget(self.notes)
        left.addStretch(1)
        right = QVBoxLayout()
        right.setSpacing(2 * GRID)
        right.addWidget(self.hardware)
        right.addStretch(1)
        content = QWidget(self)
        content.setProperty("clear", True)
        self._rows = QVBoxLayout(content)
        self._rows.setContentsMargins(3 * GRID, 2 * GRID, 3 * GRID, 3 * GRID)
        self._rows.setSpacing(2 * GRID)
        self._columns = QBoxLayout(QBoxLayout.Direction.LeftToRight)
        self._columns.setSpacing(2 * GRID)
        self._rows.addLayout(self._columns, 1)
        self._columns.addLayout(left, 5)
        self._columns.addLayout(right, 6)
        self.setWidget(content)

    def set_vm(self, vm: VmInfo) -> None:
        old = self._vm
        if old == vm:
            return
        self._vm = vm
        self.notes.set_vm(vm)
        self.thumbnail.set_vm(vm)
        if vm.is_template != (old is not None and old.is_template):
            self._show_kind(vm)
        if self.identity is not None or vm.identity is not None:
            self._show_identity(vm)
        if old is None or old.key != vm.key:
            self.hardware.show_note(self.tr("Reading…"))
            self._read_key = None
            self._delay.stop()
            self._read()
        elif old.state is not vm.state or (
            old.is_complete and (old.vcpus, old.memory_kib) != (vm.vcpus, vm.memory_kib)
        ):
            self._delay.start()

    def _show_kind(self, vm: VmInfo) -> None:
        """Above all else: that it is a template, and what can be done with one."""
        if not vm.is_template:
            if self.notice is not None:
                self.notice.clear()
            return
        from guivm.views.vm_settings.banner import Banner, Mood

        if self.notice is None:
            self.notice = Banner("vm-kind", self)
            self._rows.insertWidget(0, self.notice)
        actions: list[QPushButton] = []
        for action_id in ("clone", "template"):
            action = self._actions.action(action_id)
            words = {"clone": self.tr("Clone…"), "template": self.tr("Convert Back…")}[action_id]
            button = QPushButton(words, self.notice)
            button.setObjectName(f"vm-kind-{action_id}")
            button.setAccessibleName(words.rstrip("…"))
            button.clicked.connect(action.trigger)
            actions.append(button)
        text = self.tr("This is a template. {what}").format(what=kind_sentence(vm))
        self.notice.tell(Mood.NEWS, text, actions=actions, closable=False)

    def _show_identity(self, vm: VmInfo) -> None:
        if self.identity is None:
            from guivm.views.identity_notice import IdentityNotice

            self.identity = IdentityNotice(self._bridge, self)
            self._rows.insertWidget(self._rows.indexOf(self._columns), self.identity)
        self.identity.set_vm(vm)

    @Slot()
    def _read(self) -> None:
        if self._vm is None or not self.isVisible():
            self._read_key = None
            return
        key = self._vm.key
        if self._vm.state is VmState.UNKNOWN and self._read_key is None:
            self.hardware.show_note(self.tr("Not known while the host does not answer."))
            return
        self._read_key = key
        self._bridge.submit(ReadDetails(key), self, self._on_details, lambda error: self._on_failed(key, error))

    def _on_details(self, details: VmDetails) -> None:
        if self._vm is not None and details.key == self._vm.key:
            self.hardware.set_lines(hardware_lines(details))

    def _on_failed(self, key: VmKey, error: GuivmError) -> None:
        if self._vm is not None and key == self._vm.key and not self.hardware.lines:
            self.hardware.show_note(str(error))

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self._read_key is None:
            self._read()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        wide = self.viewport().width() >= _TWO_COLUMNS
        direction = QBoxLayout.Direction.LeftToRight if wide else QBoxLayout.Direction.TopToBottom
        if self._columns.direction() is not direction:
            self._columns.setDirection(direction)
