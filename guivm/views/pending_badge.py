"""A line that tells what waits for a VM's next start; a click shows it. GUI thread; never polls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QSize, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QToolButton, QWidget

from guivm.engine.types import VmInfo, VmKey
from guivm.errors import GuivmError
from guivm.views import icons
from guivm.views.bridge import Bridge

if TYPE_CHECKING:
    from guivm.engine.jobs import JobInfo
    from guivm.engine.options.values import PendingChanges

# Changes that come together are read once.
_SETTLE_MS = 150


class PendingBadge(QToolButton):
    """Hidden while nothing waits. ``showRequested`` carries the VM's key."""

    showRequested = Signal(object)  # VmKey

    def __init__(self, bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("pending-badge")
        self.setProperty("kind", "link")
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.setIcon(icons.icon("info", icons.Tint.ACCENT))
        self.setIconSize(QSize(14, 14))
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setToolTip(self.tr("What was changed and comes into force when the VM is started anew"))
        self._bridge = bridge
        self._vm: VmInfo | None = None
        self._count = 0
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_SETTLE_MS)
        self._timer.timeout.connect(self._read)
        self.clicked.connect(self._on_clicked)
        bridge.jobChanged.connect(self._on_job)
        app = QGuiApplication.instance()
        assert isinstance(app, QGuiApplication)
        app.applicationStateChanged.connect(self._on_application)
        self._show(0)

    @property
    def count(self) -> int:
        """How many changes wait."""
        return self._count

    def set_vm(self, vm: VmInfo | None) -> None:
        """Of the VM that is shown; called again whenever it changes."""
        old, self._vm = self._vm, vm
        if vm is None or not vm.state.is_active or not vm.persistent:
            self._timer.stop()
            self._show(0)
            return
        if old is None or old.key != vm.key:
            self._show(0)
        if old != vm:
            self._timer.start()

    @Slot(object)
    def _on_job(self, info: JobInfo) -> None:
        """Something was done to the VM: perhaps its settings were stored."""
        vm = self._vm
        if vm is not None and info.vm == vm.key and info.state.is_final and vm.state.is_active and vm.persistent:
            self._timer.start()

    @Slot(Qt.ApplicationState)
    def _on_application(self, state: Qt.ApplicationState) -> None:
        """Somebody comes back, perhaps from a terminal: not all that virsh changes is told by an event."""
        vm = self._vm
        if state is Qt.ApplicationState.ApplicationActive and vm is not None and vm.state.is_active and vm.persistent:
            self._timer.start()

    @Slot()
    def _read(self) -> None:
        if self._vm is not None:
            from guivm.engine.requests import ReadPending

            self._bridge.submit(ReadPending(self._vm.key), self, self._on_pending, self._on_unknown)

    def _on_pending(self, pending: PendingChanges) -> None:
        if self._is_shown(pending.key):
            self._show(len(pending.changes))

    def _on_unknown(self, _error: GuivmError) -> None:
        """Nobody asked: what cannot be found out is not told."""
        self._show(0)

    def _is_shown(self, key: VmKey) -> bool:
        return self._vm is not None and self._vm.key == key and self._vm.state.is_active

    def _show(self, count: int) -> None:
        self._count = count
        text = (
            self.tr("1 change waits for the next start")
            if count == 1
            else self.tr("{n} changes wait for the next start").format(n=count)
        )
        self.setText(f" {text}" if count else "")  # the style leaves no room behind the icon
        self.setAccessibleName(text)
        self.setVisible(count > 0)

    @Slot()
    def _on_clicked(self) -> None:
        if self._vm is not None:
            self.showRequested.emit(self._vm.key)
