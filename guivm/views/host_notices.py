"""Hosts that need a word: one quiet row each under the list, with what can be done."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from guivm.engine.types import HostId, HostInfo, HostState
from guivm.views import formats, icons
from guivm.views.art import Art, ElidedLabel
from guivm.views.small import plain_tooltip
from guivm.views.state_words import host_word
from guivm.views.theme import GRID


class _HostRow(QFrame):
    retryRequested = Signal(object)

    def __init__(self, host: HostInfo, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("host-row")
        self._host = host
        self._symbol = Art("warning", 16, self, tint=icons.Tint.WARNING)
        self._text = ElidedLabel(self, mode=Qt.TextElideMode.ElideRight)
        self._text.setProperty("role", "caption")
        self._retry = QPushButton(self.tr("Retry"), self)
        self._retry.setObjectName("host-retry")
        self._retry.setProperty("kind", "small")
        self._retry.clicked.connect(self._on_retry)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(2 * GRID, GRID // 2, GRID + 4, GRID // 2)
        layout.setSpacing(GRID)
        layout.addWidget(self._symbol)
        layout.addWidget(self._text, 1)
        layout.addWidget(self._retry)
        self.set_host(host)

    def set_host(self, host: HostInfo) -> None:
        self._host = host
        label = formats.host_label(host.label, host.id)
        failed = host.state is HostState.FAILED
        if failed:
            self._symbol.set_icon("error", icons.Tint.ERROR)
        elif host.state is HostState.CONNECTING:
            self._symbol.set_icon("host", icons.Tint.QUIET)
        else:
            self._symbol.set_icon("warning", icons.Tint.WARNING)
        self._text.set_text(self.tr("{host}: {state}").format(host=label, state=host_word(host.state)))
        self._retry.setVisible(host.state is not HostState.CONNECTING)
        self._retry.setAccessibleName(self.tr("Connect to {host} again").format(host=label))
        self.setToolTip(plain_tooltip(host.problem))
        self.setAccessibleDescription(host.problem)

    @Slot()
    def _on_retry(self) -> None:
        self.retryRequested.emit(self._host)


class HostNotices(QFrame):
    """Empty and without height while every host is connected."""

    retryRequested = Signal(object)  # HostInfo

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("host-notices")
        self._rows: dict[HostId, _HostRow] = {}
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(0)
        self.hide()

    def set_host(self, host: HostInfo) -> None:
        if host.state in (HostState.CONNECTED, HostState.CLOSED):
            self.remove_host(host.id)
            return
        row = self._rows.get(host.id)
        if row is None:
            row = _HostRow(host, self)
            row.retryRequested.connect(self.retryRequested)
            self._rows[host.id] = row
            self._layout.addWidget(row)
            row.show()
        else:
            row.set_host(host)
        self.show()

    def remove_host(self, host: HostId) -> None:
        row = self._rows.pop(host, None)
        if row is not None:
            self._layout.removeWidget(row)
            row.hide()
            row.deleteLater()
        self.setVisible(bool(self._rows))
