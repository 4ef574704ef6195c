"""``guivm console VM``: the console of one VM, and nothing else."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication, QObject, QTimer, Slot

from guivm.engine.events import VmsChanged, VmsReset
from guivm.engine.types import HostInfo, HostState, VmInfo, VmKey
from guivm.errors import GuivmError, HostError, VmNotFoundError
from guivm.text import clean_line
from guivm.views.bridge import Bridge
from guivm.views.console_page import ConsolePage
from guivm.views.console_window import ConsoleWindow
from guivm.views.settings import Settings
from guivm.views.vm_commands import VmCommands
from guivm.views.window_commands import WindowCommands

# A host that is connected has listed its VMs, or does so within this time.
_LISTED_WITHIN_MS = 3_000


class ConsoleOnly(QObject):
    """Waits for the VM, shows its window, and ends the application's loop when there is none. GUI thread.

    ``error`` says after the loop why no window could be shown.
    """

    def __init__(self, bridge: Bridge, settings: Settings, vm: str, parent: QObject | None = None) -> None:
        """``vm``: name or UUID."""
        super().__init__(parent if parent is not None else bridge)
        self._bridge = bridge
        self._settings = settings
        self._wanted = vm
        self.error: GuivmError | None = None
        self.window: ConsoleWindow | None = None
        self._commands: VmCommands | None = None
        self._dialogs: WindowCommands | None = None
        self._patience = QTimer(self)
        self._patience.setSingleShot(True)
        self._patience.setInterval(_LISTED_WITHIN_MS)
        self._patience.timeout.connect(self._give_up)
        bridge.hostChanged.connect(self._on_host)
        bridge.vmsReset.connect(self._on_reset)
        bridge.vmsChanged.connect(self._on_changed)
        self._look()

    # --- finding it -----------------------------------------------------------------------------------

    def _look(self) -> None:
        if self.window is not None or self.error is not None:
            return
        hosts = self._bridge.engine.hosts()
        known = [vm for host in hosts for vm in self._bridge.engine.vms(host.id)]
        found = [vm for vm in known if vm.key.uuid == self._wanted.lower()]
        found = found or [vm for vm in known if vm.name == self._wanted]
        if len(found) == 1:
            self._show(found[0])
        elif found:
            text = self.tr("Several hosts have a virtual machine named “{name}”.")
            self._fail(
                VmNotFoundError(text.format(name=self._shown_name), advice=self.tr("Name it by its UUID instead."))
            )
        elif all(host.state is not HostState.CONNECTING for host in hosts):
            problem = next((host for host in hosts if host.state is not HostState.CONNECTED), None)
            if problem is not None:
                self._fail(HostError(problem.problem or self.tr("The host does not answer."), details=problem.details))
            elif not self._patience.isActive():
                self._patience.start()

    @property
    def _shown_name(self) -> str:
        return clean_line(self._wanted, 80)

    @Slot()
    def _give_up(self) -> None:
        text = self.tr("There is no virtual machine “{name}”.").format(name=self._shown_name)
        if self.window is None:
            self._fail(VmNotFoundError(text, advice=self.tr("“guivm list” shows all.")))

    def _fail(self, error: GuivmError) -> None:
        self._patience.stop()
        self.error = error
        QTimer.singleShot(0, QCoreApplication.quit)

    @Slot(object)
    def _on_host(self, _host: HostInfo) -> None:
        self._look()

    @Slot(object)
    def _on_reset(self, event: VmsReset) -> None:
        self._look()
        self._follow(event.vms)
        if self.window is None and self.error is None and self._patience.isActive():
            self._give_up()

    @Slot(object)
    def _on_changed(self, event: VmsChanged) -> None:
        self._look()
        self._follow(event.changed)
        if self.window is not None and self.window.key in {VmKey(event.host, uuid) for uuid in event.removed}:
            self.window.close()

    # --- showing it -----------------------------------------------------------------------------------

    def _show(self, vm: VmInfo) -> None:
        self._patience.stop()
        window = ConsoleWindow(ConsolePage(self._bridge, self._settings, vm), self._settings, returns=False)
        self.window = window
        self._commands = VmCommands(self._bridge, window.actions_of_vm, window.messages, self)
        self._dialogs = WindowCommands(self._bridge, self._settings, window.actions_of_vm, self)
        window.actionRequested.connect(self._on_action)
        window.returned.connect(self._on_closed)
        self._bridge.failed.connect(window.messages.show_error)
        window.show()
        page = window.page
        if page is not None:
            page.focus_screen()

    def _follow(self, vms: tuple[VmInfo, ...]) -> None:
        for vm in vms:
            if self.window is not None and vm.key == self.window.key:
                self.window.set_vm(vm)

    @Slot(str, object)
    def _on_action(self, action_id: str, key: VmKey) -> None:
        vm = self._bridge.engine.vm(key)
        if self.window is None or self._commands is None or self._dialogs is None:
            return
        if action_id == "quit":
            self.window.close()
        elif vm is not None and self._commands.handles(action_id):
            self._commands.run(action_id, [vm], self.window)
        elif self._dialogs.handles(action_id):
            self._dialogs.run(action_id, [vm] if vm is not None else [], self.window)

    @Slot(object)
    def _on_closed(self, _key: VmKey) -> None:
        window, self.window = self.window, None
        page = window.take_page() if window is not None else None
        if window is not None:
            self._bridge.failed.disconnect(window.messages.show_error)
        if page is not None:
            page.features.close()
            page.disconnect_source()
            page.deleteLater()
