"""Tells that a VM is not what it was: started, shut down, renamed, changed, gone. GUI thread; never polls."""

from __future__ import annotations

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from guivm.engine.events import VmsChanged, VmsReset
from guivm.engine.types import VmKey
from guivm.views.bridge import Bridge

# Changes that come together are told once.
_SETTLE_MS = 150


class Watch(QObject):
    """One VM."""

    changed = Signal()
    gone = Signal()

    def __init__(self, bridge: Bridge, key: VmKey, parent: QObject) -> None:
        super().__init__(parent)
        self._key = key
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_SETTLE_MS)
        self._timer.timeout.connect(self.changed)
        bridge.vmsChanged.connect(self._on_changed)
        bridge.vmsReset.connect(self._on_reset)

    @Slot(object)
    def _on_changed(self, event: VmsChanged) -> None:
        if event.host != self._key.host:
            return
        if self._key.uuid in event.removed:
            self._timer.stop()
            self.gone.emit()
        elif any(vm.key == self._key for vm in event.changed):
            self._timer.start()

    @Slot(object)
    def _on_reset(self, event: VmsReset) -> None:
        if event.host == self._key.host:
            self._timer.start()
