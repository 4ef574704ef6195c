"""Actions that open dialogs of the application: new VM, hosts, preferences, shortcuts, about."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot
from PySide6.QtWidgets import QWidget

from guivm.engine.types import HostId, HostState, VmInfo
from guivm.views.actions import ActionRegistry
from guivm.views.bridge import Bridge
from guivm.views.settings import EXTRA_HOSTS, Settings

_HANDLED = frozenset({"new", "open", "connect", "disconnect", "networks", "preferences", "shortcuts", "about"})


class WindowCommands(QObject):
    """Dialogs are imported when first asked for. GUI thread."""

    appeared = Signal(object)  # VmKey of a VM just created

    def __init__(self, bridge: Bridge, settings: Settings, actions: ActionRegistry, parent: QObject) -> None:
        super().__init__(parent)
        self._bridge = bridge
        self._settings = settings
        self._actions = actions

    def handles(self, action_id: str) -> bool:
        return action_id in _HANDLED

    def run(self, action_id: str, selection: Sequence[VmInfo], window: QWidget) -> None:
        match action_id:
            case "new":
                self.new_vm(window)
            case "open":
                self._choose_file(window)
            case "connect":
                self._connect_to_host(window)
            case "disconnect":
                self._disconnect_hosts(selection)
            case "networks":
                self.show_networks(window, selection[0].key.host if selection else None)
            case "preferences":
                from guivm.views.dialogs.preferences import PreferencesDialog

                PreferencesDialog(self._settings, self._actions, window).open()
            case "shortcuts":
                from guivm.views.dialogs.shortcuts import ShortcutsWindow

                ShortcutsWindow(self._actions, self._settings, window).open()
            case "about":
                from guivm.views.dialogs.about import AboutDialog

                AboutDialog(window).open()

    def new_vm(self, window: QWidget, path: Path | None = None) -> None:
        """The New VM page; ``path``: an image or ISO to begin with."""
        from guivm.views.dialogs.new_vm import NewVmDialog

        hosts = self._bridge.engine.hosts()
        connected = tuple(host for host in hosts if host.state is HostState.CONNECTED)
        dialog = NewVmDialog(self._bridge, self._settings, connected or hosts, window)
        dialog.created.connect(self.appeared)
        if path is not None:
            dialog.preselect(path)
        dialog.open()

    def show_networks(self, window: QWidget, host: HostId | None = None) -> None:
        """The virtual networks, those of ``host`` first."""
        from guivm.views.dialogs.networks import networks_window

        dialog = networks_window(self._bridge, host, window)
        dialog.offer_connecting(partial(self._connect_to_host, window))

    def _connect_to_host(self, window: QWidget) -> None:
        from guivm.views.dialogs.connect_host import ConnectDialog

        connect = ConnectDialog(window)
        connect.chosen.connect(self._on_host_chosen)
        connect.open()

    def _choose_file(self, window: QWidget) -> None:
        from PySide6.QtWidgets import QFileDialog

        dialog = QFileDialog(window, self.tr("Open a disk image or ISO"))
        dialog.setObjectName("open-file")
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.setNameFilters(
            [
                self.tr("Disk images and ISO files") + " (*.iso *.qcow2 *.img *.raw *.vmdk *.vdi *.vhd *.vhdx)",
                self.tr("All files") + " (*)",
            ]
        )
        dialog.fileSelected.connect(lambda path: self.new_vm(window, Path(path)))
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()

    @Slot(str, str)
    def _on_host_chosen(self, uri: str, label: str) -> None:
        host = self._bridge.engine.open_host(uri, label)
        lines = [line for line in self._settings.get(EXTRA_HOSTS) if line.partition("\n")[0] not in (uri, host)]
        self._settings.set(EXTRA_HOSTS, [*lines, f"{uri}\n{label}"])

    def _disconnect_hosts(self, selection: Sequence[VmInfo]) -> None:
        hosts = {vm.key.host for vm in selection}
        uris = {str(host) for host in hosts} | {h.uri for h in self._bridge.engine.hosts() if h.id in hosts}
        kept = [line for line in self._settings.get(EXTRA_HOSTS) if line.partition("\n")[0] not in uris]
        self._settings.set(EXTRA_HOSTS, kept)
        for host in hosts:
            self._bridge.engine.close_host(host)
