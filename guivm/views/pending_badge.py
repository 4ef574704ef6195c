"""A line that tells what waits for a VM's next start; a click shows it. GUI thread; never polls."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Signal, Slot
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QToolButton, QWidget

from guivm.engine.types import VmInfo
from guivm.views import icons
from guivm.views.bridge import Bridge
from guivm.views.state_words import pending_sentence


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
        self.clicked.connect(self._on_clicked)
        app = QGuiApplication.instance()
        assert isinstance(app, QGuiApplication)
        app.applicationStateChanged.connect(self._on_application)
        self.set_vm(None)

    @property
    def count(self) -> int:
        """How many changes wait."""
        return self._vm.pending if self._vm is not None else 0

    def set_vm(self, vm: VmInfo | None) -> None:
        """Of the VM that is shown; called again whenever it changes."""
        self._vm = vm
        text = pending_sentence(self.count)
        self.setText(f" {text}" if text else "")  # the style leaves no room behind the icon
        self.setAccessibleName(text or self.tr("Nothing waits for the next start"))
        self.setVisible(bool(text))

    @Slot(Qt.ApplicationState)
    def _on_application(self, state: Qt.ApplicationState) -> None:
        """Somebody comes back, perhaps from a terminal. Where the engine cannot see definitions being stored, it
        compares again when somebody asks; what it finds comes as a change of the VM."""
        vm = self._vm
        if state is Qt.ApplicationState.ApplicationActive and vm is not None and vm.can_have_pending:
            from guivm.engine.requests import ReadPending

            self._bridge.submit(ReadPending(vm.key), self, failed=_skip)

    @Slot()
    def _on_clicked(self) -> None:
        if self._vm is not None:
            self.showRequested.emit(self._vm.key)


def _skip(_error: object) -> None:
    """Nobody asked: what cannot be found out is not told."""
