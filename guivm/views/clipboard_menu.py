"""The choice of which way copied text may go between a guest and the desktop."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication, Signal, Slot
from PySide6.QtGui import QAction, QActionGroup
from PySide6.QtWidgets import QMenu, QWidget

from guivm.views.actions import N

# Values of guivm.console.frame.ClipboardPolicy, with their words.
_WORDS = {
    "off": N("Clipboard", "Not Shared"),
    "to-guest": N("Clipboard", "From This Desktop to the Guest"),
    "from-guest": N("Clipboard", "From the Guest to This Desktop"),
    "both": N("Clipboard", "Both Ways"),
}
_SHORT = {
    "off": N("Clipboard", "Clipboard not shared"),
    "to-guest": N("Clipboard", "Clipboard: to guest"),
    "from-guest": N("Clipboard", "Clipboard: from guest"),
    "both": N("Clipboard", "Clipboard: both ways"),
}


def clipboard_words(policy: str) -> str:
    """For the status line."""
    return QCoreApplication.translate("Clipboard", _SHORT.get(policy, _SHORT["off"]))


class ClipboardMenu(QMenu):
    """One checkable entry for each policy. GUI thread."""

    chosen = Signal(str)  # a value of guivm.console.frame.ClipboardPolicy

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("clipboard-menu")
        self.setTitle(self.tr("Shared Clipboard"))
        self._group = QActionGroup(self)
        for policy, words in _WORDS.items():
            action = self.addAction(QCoreApplication.translate("Clipboard", words))
            action.setObjectName(f"clipboard-{policy}")
            action.setCheckable(True)
            action.setData(policy)
            self._group.addAction(action)
        self._group.triggered.connect(self._on_triggered)

    def set_policy(self, policy: str) -> None:
        for action in self._group.actions():
            action.setChecked(action.data() == policy)

    @Slot(QAction)
    def _on_triggered(self, action: QAction) -> None:
        self.chosen.emit(str(action.data()))
