"""What the widgets of single options ask the engine for. GUI thread; nothing here blocks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject

from guivm.engine.options.new_disks import ImageSize
from guivm.engine.requests import MeasureImage, Start
from guivm.engine.types import VmKey
from guivm.errors import GuivmError
from guivm.views.bridge import Bridge


class EditorServices(QObject):
    """The engine's answers about one VM's things. ``owner`` gone: nobody is called."""

    def __init__(self, bridge: Bridge, key: VmKey, parent: QObject) -> None:
        super().__init__(parent)
        self._bridge = bridge
        self._key = key

    def measure(
        self,
        path: Path,
        owner: QObject,
        done: Callable[[ImageSize], None],
        failed: Callable[[GuivmError], None],
    ) -> None:
        """How large an image is."""
        self._bridge.submit(MeasureImage(self._key.host, path), owner, done, failed)

    def start_with_new_variables(self) -> None:
        """Start the VM, UEFI's variables as new. A failure goes to the message bar."""
        self._bridge.submit(Start(self._key, reset_nvram=True), self)
