"""Text between the desktop's clipboard and one guest's, as far as the person allows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Slot
from PySide6.QtGui import QClipboard, QGuiApplication

if TYPE_CHECKING:
    from guivm.console.frame import ClipboardPolicy
    from guivm.console.source import DisplaySource


class ClipboardSharing(QObject):
    """GUI thread. What came from the guest is not offered back to it."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._source: DisplaySource | None = None
        self._policy: ClipboardPolicy | None = None
        self._last = ""
        self._clipboard: QClipboard = QGuiApplication.clipboard()
        self._clipboard.dataChanged.connect(self.offer)

    def set_policy(self, policy: ClipboardPolicy) -> None:
        self._policy = policy
        if self._source is not None:
            self._source.set_clipboard_policy(policy)
        self.offer()

    def follow(self, source: DisplaySource | None) -> None:
        """The console shows another source, or none. One that goes away is told nothing more."""
        if self._source is not None:
            self._source.clipboardReceived.disconnect(self._on_received)
            self._source.destroyed.disconnect(self._on_destroyed)
        self._source = source
        self._last = ""
        if source is not None:
            source.clipboardReceived.connect(self._on_received)
            source.destroyed.connect(self._on_destroyed)
            if self._policy is not None:
                source.set_clipboard_policy(self._policy)

    @Slot()
    def offer(self) -> None:
        """Tell the guest what the desktop's clipboard holds, if that is allowed and news to it."""
        if self._source is None or self._policy is None or not self._policy.to_guest:
            return
        text = self._clipboard.text()
        if text and text != self._last:
            self._last = text
            self._source.send_clipboard(text)

    @Slot(str)
    def _on_received(self, text: str) -> None:
        if self._policy is None or not self._policy.from_guest or not text:
            return
        self._last = text
        self._clipboard.setText(text)

    @Slot()
    def _on_destroyed(self) -> None:
        self._source = None
