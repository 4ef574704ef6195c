"""The line on the Snapshots page that tells of a VM's schedule; hidden where there is none. GUI thread."""

from __future__ import annotations

from PySide6.QtCore import QSize, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QWidget

from guivm.engine.snapshots.values import SnapshotPolicy
from guivm.views.art import Art
from guivm.views.forms import NoteLine, plain_label
from guivm.views.snapshots.words import policy_sentence
from guivm.views.theme import GRID


class PolicyLine(QWidget):
    """``changeRequested``: its button was pressed."""

    changeRequested = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("snapshot-policy-line")
        self._icon = Art("clock", 16, self)
        self._text: QLabel = plain_label("", self)
        self._text.setObjectName("snapshot-policy-text")
        self._text.setToolTip(self.tr("While it runs, whether this window is open or not"))
        self._problem = NoteLine("", self)
        self._problem.setObjectName("snapshot-policy-problem")
        self.change = QPushButton(self.tr("Change…"), self)
        self.change.setObjectName("snapshot-policy-change")
        self.change.setAccessibleName(self.tr("Change the schedule"))
        self.change.setProperty("kind", "small")
        self.change.clicked.connect(self.changeRequested)
        row = QHBoxLayout(self)
        row.setContentsMargins(GRID // 2, 0, 0, 0)
        row.setSpacing(GRID)
        row.addWidget(self._icon)
        row.addWidget(self._text)
        row.addWidget(self._problem, 1)
        row.addWidget(self.change)
        row.addStretch(1)
        self.hide()

    @property
    def text(self) -> str:
        """What it tells; empty while there is nothing."""
        return "" if self.isHidden() else self._text.text() or self._problem.text

    def show_policy(self, policy: SnapshotPolicy | None) -> None:
        """None: none, or not known yet."""
        self._tell("" if policy is None else policy_sentence(policy), "")

    def show_problem(self, text: str) -> None:
        """It cannot be read."""
        self._tell("", text)

    def _tell(self, text: str, problem: str) -> None:
        self._text.setText(text)
        self._problem.set_problem(problem)
        for widget, shown in ((self._icon, text), (self._text, text), (self._problem, problem)):
            widget.setVisible(bool(shown))
        self.setVisible(bool(text or problem))

    def sizeHint(self) -> QSize:
        return super().sizeHint().expandedTo(QSize(0, 3 * GRID))
