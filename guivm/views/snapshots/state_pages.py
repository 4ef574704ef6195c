"""The Snapshots page when there is no tree to show. GUI thread."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QProgressBar, QPushButton, QWidget

from guivm.engine.snapshots.values import SnapshotTree
from guivm.views.forms import NoteLine
from guivm.views.state_page import StatePage
from guivm.views.theme import GRID


class ReadingSnapshots(StatePage):
    def __init__(self, parent: QWidget) -> None:
        super().__init__("snapshots-reading", "snapshot", "", "", parent)
        self.title.setText(self.tr("Reading…"))
        bar = QProgressBar(self)
        bar.setObjectName("snapshots-progress")
        bar.setAccessibleName(self.tr("Reading the snapshots"))
        bar.setRange(0, 0)
        bar.setTextVisible(False)
        bar.setMaximumWidth(24 * GRID)
        self.column.addSpacing(GRID)
        self.column.addWidget(bar, 0, Qt.AlignmentFlag.AlignHCenter)


class EmptySnapshots(StatePage):
    """What snapshots are good for, and a way to the first."""

    takeRequested = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__("snapshots-empty", "snapshot", "", "", parent)
        self.title.setText(self.tr("No snapshots yet"))
        self.text.setText(
            self.tr(
                "A snapshot keeps the disks, and of a running VM its memory, as they are now. Take one before you try "
                "something: whatever happens then, you can go back to it in moments."
            )
        )
        self.take = QPushButton(self.tr("Take Snapshot…"), self)
        self.take.setObjectName("snapshots-take-first")
        self.take.setAccessibleName(self.tr("Take a snapshot"))
        self.take.setProperty("kind", "primary")
        self.take.clicked.connect(self.takeRequested)
        self.reason = NoteLine("", self)
        self.reason.setObjectName("snapshots-take-reason")
        self.column.addSpacing(GRID)
        self.column.addWidget(self.take, 0, Qt.AlignmentFlag.AlignHCenter)
        self.column.addSpacing(GRID // 2)
        self.column.addWidget(self.reason, 0, Qt.AlignmentFlag.AlignHCenter)

    def set_tree(self, tree: SnapshotTree) -> None:
        note = "" if tree.cannot_take else tree.cannot_keep_memory
        self.reason.set_help(note)

    def set_reason(self, reason: str) -> None:
        """Why none can be taken now."""
        self.take.setEnabled(not reason)
        self.take.setAccessibleDescription(reason)
        self.reason.set_problem(reason)
        self.reason.setVisible(bool(self.reason.text))


class FailedSnapshots(StatePage):
    """They could not be read."""

    retryRequested = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__("snapshots-failed", "warning", "", "", parent)
        self.title.setText(self.tr("The snapshots are not known"))
        self.retry = QPushButton(self.tr("Try Again"), self)
        self.retry.setObjectName("snapshots-retry")
        self.retry.setAccessibleName(self.tr("Read the snapshots again"))
        self.retry.clicked.connect(self.retryRequested)
        self.column.addSpacing(GRID)
        self.column.addWidget(self.retry, 0, Qt.AlignmentFlag.AlignHCenter)

    def tell(self, text: str, *, can_retry: bool) -> None:
        self.text.setText(text)
        self.retry.setVisible(can_retry)
