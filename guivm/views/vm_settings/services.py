"""What the widgets of single options ask the engine for. GUI thread; nothing here blocks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QWidget

from guivm.engine.options.new_disks import ImageSize
from guivm.engine.options.values import AccessFix
from guivm.engine.requests import GiveAccess, MeasureImage, ReadQemuCommand, Start
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

    def qemu_command(
        self, xml: str, owner: QObject, done: Callable[[str], None], failed: Callable[[GuivmError], None]
    ) -> None:
        """How libvirt would start a definition of this VM."""
        self._bridge.submit(ReadQemuCommand(self._key, xml), owner, done, failed)

    def show_networks(self, widget: QWidget) -> None:
        """The window of the host's virtual networks, beside that of ``widget``."""
        from guivm.views.dialogs.networks import networks_window

        networks_window(self._bridge, self._key.host, widget)

    def give_access(
        self,
        fix: AccessFix,
        owner: QObject,
        done: Callable[[None], None],
        failed: Callable[[GuivmError], None],
    ) -> None:
        """Let QEMU's user reach files of ours."""
        self._bridge.submit(GiveAccess(self._key.host, fix), owner, done, failed)

    def start_with_new_variables(self) -> None:
        """Start the VM, UEFI's variables as new. A failure goes to the message bar."""
        self._bridge.submit(Start(self._key, reset_nvram=True), self)
