"""What the machine actions do: requests, questions before what cannot be undone, undo after what can.

Requests are imported with the first of them: the list is there before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot
from PySide6.QtWidgets import QDialog, QWidget

from guivm.engine.types import HostInfo, VmInfo, VmKey, VmState
from guivm.errors import GuivmError
from guivm.text import clean_line
from guivm.views import formats
from guivm.views.actions import ActionRegistry
from guivm.views.bridge import Bridge
from guivm.views.messages import MessageBar

if TYPE_CHECKING:
    from guivm.engine.job_types import DeletedVm
    from guivm.engine.options.values import Place
    from guivm.engine.requests import VmRequest
    from guivm.engine.snapshots.values import SnapshotTree
    from guivm.views.snapshots.commands import SnapshotCommands
    from guivm.views.snapshots.wishes import Wish

_SIMPLE = ("start", "shutdown", "reboot", "save", "reset", "force-off", "discard-saved")
_WISHES = ("take-snapshot", "clone", "snapshot-policy", "template", "detach-clone", "start-disposable")
_HANDLED = frozenset((*_SIMPLE, *_WISHES, "pause", "rename", "settings", "edit-notes", "autostart", "delete"))
_ASKED_FIRST = ("reset", "force-off", "discard-saved")
_SHOWN_NAME = 60


def _request_for(action_id: str) -> type[VmRequest[None]]:
    """Of an action that is one request without further words."""
    from guivm.engine import requests

    kinds: dict[str, type[VmRequest[None]]] = {
        "start": requests.Start,
        "shutdown": requests.ShutDown,
        "reboot": requests.Reboot,
        "save": requests.SaveState,
        "reset": requests.Reset,
        "force-off": requests.ForceOff,
        "discard-saved": requests.DiscardSavedState,
    }
    return kinds[action_id]


class VmCommands(QObject):
    """Carries out machine actions for given VMs. GUI thread.

    ``appeared`` carries the key of a VM that an action of the person brought into being.
    """

    appeared = Signal(object)  # VmKey

    def __init__(self, bridge: Bridge, actions: ActionRegistry, messages: MessageBar, parent: QObject) -> None:
        super().__init__(parent)
        self._bridge = bridge
        self._actions = actions
        self._messages = messages
        self._under_way: set[tuple[str, VmKey]] = set()
        self._snapshots: SnapshotCommands | None = None
        actions.menuShown.connect(self._learn)

    def handles(self, action_id: str) -> bool:
        return action_id in _HANDLED

    def run(self, action_id: str, selection: Sequence[VmInfo], window: QWidget) -> None:
        """Do it to those of ``selection`` to which it applies; questions belong to ``window``."""
        vms = self._actions.targets(action_id, selection)
        if not vms:
            return
        match action_id:
            case "pause":
                self._pause_or_resume(vms)
            case "autostart":
                from guivm.engine.requests import SetAutostart

                on = not all(vm.autostart for vm in vms)
                for vm in vms:
                    self._submit(action_id, SetAutostart(vm.key, on))
            case "settings":
                self.show_settings(vms[0], window)
            case "rename" | "edit-notes" | "delete":
                self._open_dialog(action_id, vms[0], window)
            case _ if action_id in _WISHES:
                from guivm.views.snapshots.wishes import Verb, Wish

                self.fulfil(Wish(Verb(action_id), vms[0].key), window)
            case _ if action_id in _ASKED_FIRST:
                self._ask_first(action_id, vms, window)
            case _:
                self._submit_all(action_id, vms)

    @Slot()
    def _learn(self) -> None:
        """A menu opens: find out what the list does not tell of the VM that is selected."""
        from guivm.engine.requests import ReadSnapshots

        vm = self._actions.one
        if vm is not None and vm.persistent and vm.state is not VmState.UNKNOWN:
            self._bridge.submit(ReadSnapshots(vm.key), self, self._on_tree, self._on_no_tree)

    def _on_tree(self, tree: SnapshotTree) -> None:
        alone = tree.based_on is not None and not tree.based_on
        why = self.tr("It is no linked clone: it reads no images but its own") if alone else ""
        self._actions.refuse("detach-clone", tree.key, why)

    def _on_no_tree(self, _error: GuivmError) -> None:
        """Then the dialog tells."""

    def fulfil(self, wish: Wish, window: QWidget) -> None:
        """A wish about snapshots or clones."""
        from guivm.views.snapshots.commands import SnapshotCommands

        if self._snapshots is None:
            self._snapshots = SnapshotCommands(self._bridge, self._messages, self)
            self._snapshots.appeared.connect(self.appeared)
        self._snapshots.run(wish, window)

    def show_settings(self, vm: VmInfo, window: QWidget, place: Place | None = None) -> None:
        """The settings of a VM in their window, at ``place`` where one is named. One window per VM."""
        from guivm.views.vm_settings.dialog import SettingsDialog

        name = f"vm-settings {vm.key.host} {vm.key.uuid}"
        open_already = window.findChild(SettingsDialog, name)
        dialog = open_already or SettingsDialog(self._bridge, vm, window, place=place)
        if open_already is None:
            dialog.setObjectName(name)
            dialog.show()
            return
        if place is not None:
            dialog.show_place(place)
        dialog.raise_()
        dialog.activateWindow()

    def show_changes(self, vm: VmInfo, window: QWidget) -> None:
        """What was changed of a VM and waits for its next start, in its settings."""
        from guivm.views.vm_settings.dialog import CHANGES

        self.show_settings(vm, window, CHANGES)

    def create_sample(self, hosts: Sequence[HostInfo]) -> None:
        """Create and start the sample guest on this computer."""
        local = [host for host in hosts if host.is_local]
        if not local:
            self._messages.show_error(
                GuivmError(
                    self.tr("The sample guest runs on this computer, which is not connected."),
                    advice=self.tr("Connect to this computer first."),
                )
            )
            return
        from guivm.engine.requests import CreateSampleGuest

        self._bridge.submit(CreateSampleGuest(local[0].id), self, self.appeared.emit)

    # --- requests -------------------------------------------------------------------------------------

    def _submit(self, action_id: str, request: VmRequest[None]) -> None:
        """Once: the same verb for the same VM is not sent again before it was answered."""
        mark = (action_id, request.key)
        if mark in self._under_way:
            return
        self._under_way.add(mark)

        def done(_nothing: None) -> None:
            self._under_way.discard(mark)

        def failed(error: GuivmError) -> None:
            self._under_way.discard(mark)
            self._messages.show_error(error)

        self._bridge.submit(request, self, done, failed)

    def _submit_all(self, action_id: str, vms: Sequence[VmInfo]) -> None:
        kind = _request_for(action_id)
        for vm in vms:
            self._submit(action_id, kind(vm.key))

    def _pause_or_resume(self, vms: Sequence[VmInfo]) -> None:
        from guivm.engine.requests import Pause, Resume

        running = [vm for vm in vms if vm.state is VmState.RUNNING]
        for vm in running:
            self._submit("pause", Pause(vm.key))
        if not running:
            for vm in vms:
                self._submit("resume", Resume(vm.key))

    # --- questions ------------------------------------------------------------------------------------

    def _ask_first(self, action_id: str, vms: Sequence[VmInfo], window: QWidget) -> None:
        from guivm.views.dialogs.confirm import ConfirmDialog

        verb = self._actions.action(action_id).text().replace("&", "").rstrip("…")
        what = (
            self.tr("“{name}”").format(name=clean_line(vms[0].name, _SHOWN_NAME))
            if len(vms) == 1
            else self.tr("{n} virtual machines").format(n=formats.number(len(vms)))
        )
        title, text = {
            "reset": (
                self.tr("Reset {what}?"),
                self.tr("It restarts at once, as if its reset button were pressed. Unsaved work in the guest is lost."),
            ),
            "force-off": (
                self.tr("Force off {what}?"),
                self.tr("It stops at once, as if its plug were pulled. Unsaved work in the guest is lost."),
            ),
            "discard-saved": (
                self.tr("Discard the saved state of {what}?"),
                self.tr("The next start boots. What was open and unsaved in the guest is lost."),
            ),
        }[action_id]
        dialog = ConfirmDialog(title.format(what=what), text, verb, window)
        keys = [vm.key for vm in vms]
        dialog.accepted.connect(lambda: self._confirmed(action_id, keys))
        dialog.open()

    def _confirmed(self, action_id: str, keys: Sequence[VmKey]) -> None:
        """Of the VMs asked about, those to which it still applies."""
        known = [self._bridge.engine.vm(key) for key in keys]
        self._submit_all(action_id, self._actions.targets(action_id, [vm for vm in known if vm is not None]))

    def _open_dialog(self, action_id: str, vm: VmInfo, window: QWidget) -> None:
        dialog: QDialog
        match action_id:
            case "rename":
                from guivm.views.dialogs.edit_identity import RenameDialog

                dialog = RenameDialog(self._bridge, vm, window)
            case "edit-notes":
                from guivm.views.dialogs.edit_identity import NotesDialog

                dialog = NotesDialog(self._bridge, vm, window)
            case _:
                from guivm.views.dialogs.delete import DeleteDialog

                delete = DeleteDialog(self._bridge, vm, window)
                delete.deleted.connect(self.on_deleted)
                dialog = delete
        dialog.open()

    # --- undo -----------------------------------------------------------------------------------------

    def on_deleted(self, deleted: DeletedVm) -> None:
        """Say what was deleted, and offer to take it back."""
        actions: list[tuple[str, Callable[[], None]]] = [(self.tr("Undo"), lambda: self._undo(deleted))]
        advice = ""
        if deleted.files:
            kept = formats.size(sum(file.size_bytes for file in deleted.files))
            actions.append((self.tr("Free {size} Now").format(size=kept), lambda: self._purge(deleted)))
            advice = self.tr("Its files are kept aside for now, in case you want it back.")
        name = clean_line(deleted.name, _SHOWN_NAME)
        self._messages.show_info(self.tr("“{name}” was deleted.").format(name=name), actions, advice=advice)

    def _undo(self, deleted: DeletedVm) -> None:
        from guivm.engine.requests import UndoDelete

        self._bridge.submit(UndoDelete(deleted), self, self.appeared.emit)

    def _purge(self, deleted: DeletedVm) -> None:
        from guivm.engine.requests import PurgeDeleted

        self._bridge.submit(PurgeDeleted(deleted), self, self._on_purged)

    def _on_purged(self, freed: int) -> None:
        self._messages.show_success(self.tr("{size} freed.").format(size=formats.size(freed)))
