"""The row of buttons over the snapshots: what can be done to those that are selected, and why not. GUI thread."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Signal, Slot
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QToolButton, QWidget

from guivm.engine.snapshots.values import SnapshotMode, SnapshotTree
from guivm.engine.types import VmInfo, VmState
from guivm.views import icons
from guivm.views.dialogs.choices import SegmentedChooser
from guivm.views.small import plain_tooltip
from guivm.views.snapshots.wishes import Verb
from guivm.views.theme import GRID

TREE, TIMELINE = "tree", "timeline"


class SnapshotToolbar(QWidget):
    """``wished`` carries a :class:`Verb`. A button that cannot be pressed says why in its tool tip."""

    wished = Signal(object)
    helpRequested = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("snapshot-toolbar")
        self._reasons: dict[Verb, str] = {}
        self._buttons: dict[Verb, QPushButton] = {}
        self._texts: dict[Verb, str] = {}
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(GRID)
        for verb, icon_name, text in (
            (Verb.TAKE, "snapshot", self.tr("Take Snapshot…")),
            (Verb.RESTORE, "undo", self.tr("Restore…")),
            (Verb.DELETE, "delete", self.tr("Delete…")),
            (Verb.CLONE, "copy", self.tr("Clone…")),
            (Verb.POLICY, "clock", self.tr("Schedule…")),
        ):
            button = QPushButton(f" {text}", self)
            button.setObjectName(f"snapshots-{verb.value}")
            button.setAccessibleName(text.rstrip("…"))
            button.setIcon(icons.icon(icon_name))
            button.setIconSize(QSize(16, 16))
            button.setProperty("verb", verb.value)
            button.clicked.connect(self._on_clicked)
            button.setToolTip(button.accessibleName())
            self._buttons[verb] = button
            self._texts[verb] = text
            row.addWidget(button)
        row.addStretch(1)
        self.view = SegmentedChooser[str](
            "snapshot-view", [(TREE, "tree", self.tr("Tree")), (TIMELINE, "timeline", self.tr("Timeline"))], self
        )
        row.addWidget(self.view)
        self.help = QToolButton(self)
        self.help.setObjectName("snapshot-help")
        self.help.setText("?")
        self.help.setAccessibleName(self.tr("Explain snapshots"))
        self.help.setToolTip(self.tr("What snapshots are, and what can go wrong (F1)"))
        self.help.clicked.connect(self.helpRequested)
        row.addWidget(self.help, 0, Qt.AlignmentFlag.AlignVCenter)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Words go where there is no room for them: the last button's first, the first one's last."""
        super().resizeEvent(event)
        verbs = tuple(self._buttons)
        stages = (verbs, verbs[:-1], verbs[:1], ())
        worded = next((stage for stage in stages if self._width_with(stage) <= self.width()), ())
        for verb, button in self._buttons.items():
            # The space: the style leaves no room between icon and text.
            text = f" {self._texts[verb]}" if verb in worded else ""
            if button.text() != text:
                button.setText(text)

    def _width_with(self, worded: tuple[Verb, ...]) -> int:
        """How wide it is when these buttons have their words."""
        words = self.fontMetrics().horizontalAdvance
        width = self.view.sizeHint().width() + self.help.sizeHint().width() + (len(self._buttons) + 1) * GRID
        for verb, button in self._buttons.items():
            width += button.sizeHint().width() - words(button.text())
            width += words(f" {self._texts[verb]}") if verb in worded else 0
        return width

    def minimumSizeHint(self) -> QSize:
        """Without the words, which can go."""
        return QSize(self._width_with(()), super().minimumSizeHint().height())

    def button(self, verb: Verb) -> QPushButton:
        return self._buttons[verb]

    def reason(self, verb: Verb) -> str:
        """Why it cannot be done now; empty when it can."""
        return self._reasons.get(verb, "")

    def text(self, verb: Verb) -> str:
        """What a button is called, shown or not."""
        return self._texts[verb]

    def update_for(self, vm: VmInfo | None, tree: SnapshotTree | None, chosen: tuple[str, ...], *, busy: str) -> None:
        """``chosen``: ids of the selected snapshots; ``busy``: the job that is going on with the VM, or empty."""
        self._reasons = self._judge(vm, tree, chosen, busy)
        for verb, button in self._buttons.items():
            reason = self._reasons[verb]
            button.setEnabled(not reason)
            button.setToolTip(plain_tooltip(reason or button.accessibleName()))
            button.setAccessibleDescription(reason)

    def _judge(
        self, vm: VmInfo | None, tree: SnapshotTree | None, chosen: tuple[str, ...], busy: str
    ) -> dict[Verb, str]:
        if vm is None or tree is None:
            return dict.fromkeys(self._buttons, self.tr("The snapshots are not read yet."))
        if vm.state is VmState.UNKNOWN:
            return dict.fromkeys(self._buttons, self.tr("The host does not answer."))
        if busy:
            return dict.fromkeys(self._buttons, self.tr("Wait for the end of “{job}”.").format(job=busy))
        infos = [info for info in tree.snapshots if info.id in chosen]
        foreign = kept = ""
        if not vm.persistent:
            kept = self.tr("It exists only while it runs.")
        if tree.mode is SnapshotMode.FOREIGN:
            foreign = self.tr("Its snapshots were made by another tool; use that one.")
        if not infos:
            restore = delete = self.tr("Select a snapshot first.")
        else:
            restore = infos[0].cannot_restore if len(infos) == 1 else self.tr("Select one snapshot alone.")
            delete = next((info.cannot_delete for info in infos if info.cannot_delete), "")
        return {
            Verb.TAKE: tree.cannot_take or foreign,
            Verb.RESTORE: foreign or restore,
            Verb.DELETE: foreign or delete,
            Verb.CLONE: self.tr("Select one snapshot alone.") if len(infos) > 1 else "",
            Verb.POLICY: foreign or kept,
        }

    @Slot()
    def _on_clicked(self) -> None:
        sender = self.sender()
        if isinstance(sender, QPushButton):
            self.wished.emit(Verb(sender.property("verb")))
