"""One function per verb, and which function answers which request. Worker only.

A verb looks at the state before it asks libvirt, so that a refusal is in our words; libvirt's own are put into
words by the caller (:mod:`guivm.engine.host`).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from guivm.engine import requests as rq
from guivm.engine.context import HandlerContext
from guivm.engine.libvirt_errors import is_connection_lost, is_unsupported
from guivm.engine.reader import NOTES_LIMIT, TITLE_LIMIT, observed
from guivm.engine.types import VmKey, VmState
from guivm.errors import OperationError, UnsupportedError, WrongStateError
from guivm.text import clean_block, clean_line

if TYPE_CHECKING:
    import libvirt

Handler = Callable[[HandlerContext, Any], Any]

NAME_LIMIT = 80

_STATE_WORDS = {
    VmState.RUNNING: "is running",
    VmState.PAUSED: "is paused",
    VmState.SUSPENDED: "sleeps",
    VmState.SHUTTING_DOWN: "is shutting down",
    VmState.OFF: "is off",
    VmState.SAVED: "is off, its state saved",
    VmState.CRASHED: "has crashed",
    VmState.UNKNOWN: "is in an unknown state",
}


def handler_for(request: rq.Request[Any]) -> Handler:
    """The function that answers a request. Its room is imported on first use: the window need not wait for it.

    Raises UnsupportedError for a request that nobody answers.
    """
    own = _OWN.get(type(request))
    if own is not None:
        return own
    try:
        module, name = _ELSEWHERE[type(request)]
    except KeyError:
        raise UnsupportedError(f"The engine knows no request {type(request).__name__}.") from None
    handler: Handler = getattr(importlib.import_module(f"guivm.engine.{module}"), name)
    return handler


# --- state ------------------------------------------------------------------------------------------------


def state_of(domain: libvirt.virDomain) -> VmState:
    """Observed now, a saved state included. Raises libvirtError."""
    state, reason = domain.state(0)
    saved = False
    if not domain.isActive() and domain.isPersistent():
        saved = _has_saved_state(domain)
    return observed(state, reason, has_saved_state=saved)[0]


def require_state(domain: libvirt.virDomain, allowed: tuple[VmState, ...], refusal: str) -> VmState:
    """The state when it is one of ``allowed``; else WrongStateError: "“Debian” is off.", then ``refusal``."""
    state = state_of(domain)
    if state not in allowed:
        raise WrongStateError(f"“{clean_line(domain.name())}” {_STATE_WORDS[state]}.", advice=refusal)
    return state


def _has_saved_state(domain: libvirt.virDomain) -> bool:
    import libvirt

    try:
        return bool(domain.hasManagedSaveImage(0))
    except libvirt.libvirtError as error:
        if is_unsupported(error):
            return False
        raise


_S = VmState
_OFF = (_S.OFF, _S.SAVED, _S.CRASHED)
_ACTIVE = (_S.RUNNING, _S.PAUSED, _S.SUSPENDED, _S.SHUTTING_DOWN)


# --- power ------------------------------------------------------------------------------------------------


def start(context: HandlerContext, request: rq.Start) -> None:
    """Boot; libvirt itself continues from the saved state when there is one."""
    import libvirt

    domain = context.domain(request.key)
    _require_startable(context, request.key)
    if request.reset_nvram:
        require_state(domain, (_S.OFF, _S.CRASHED), "The firmware can be reset only at a start from off.")
        domain.createWithFlags(libvirt.VIR_DOMAIN_START_RESET_NVRAM)
    else:
        require_state(domain, _OFF, "Only a virtual machine that is off can be started.")
        domain.createWithFlags(0)
    _after_start(domain)


def _require_startable(context: HandlerContext, key: VmKey) -> None:
    """A VM with snapshots of ours has images that others may need, or that an operation left half-done."""
    if context.kept_here is not None:
        from guivm.engine.snapshots.starting import require_startable

        require_startable(context, key)


def _after_start(domain: libvirt.virDomain) -> None:
    """What libvirt knows nothing of and a VM that was just started needs."""
    from guivm.engine.settings.port_forwards import apply_after_start

    apply_after_start(domain)


def pause(context: HandlerContext, request: rq.Pause) -> None:
    domain = context.domain(request.key)
    state = state_of(domain)
    if state is _S.SUSPENDED:
        raise WrongStateError(
            f"“{clean_line(domain.name())}” sleeps: its guest suspended itself.", advice="Wake it with Resume."
        )
    require_state(domain, (_S.RUNNING, _S.SHUTTING_DOWN), "Only a running virtual machine can be paused.")
    domain.suspend()


def resume(context: HandlerContext, request: rq.Resume) -> None:
    domain = context.domain(request.key)
    state = require_state(domain, (_S.PAUSED, _S.SUSPENDED), "Only a paused virtual machine can go on.")
    if state is _S.SUSPENDED:
        domain.pMWakeup(0)
    else:
        domain.resume()


def shut_down(context: HandlerContext, request: rq.ShutDown) -> None:
    """Done as soon as the guest was asked; whether and when it obeys is its own affair."""
    import libvirt

    domain = context.domain(request.key)
    require_state(domain, (_S.RUNNING,), "Only a running virtual machine can be asked to shut down.")
    # The agent when it is there, else the ACPI button: with both flags libvirt tries them in that order.
    flags = libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN | libvirt.VIR_DOMAIN_SHUTDOWN_GUEST_AGENT
    try:
        domain.shutdownFlags(flags)
    except libvirt.libvirtError as error:
        if not is_unsupported(error):
            raise
        domain.shutdown()


def reboot(context: HandlerContext, request: rq.Reboot) -> None:
    """Done as soon as the guest was asked."""
    import libvirt

    domain = context.domain(request.key)
    require_state(domain, (_S.RUNNING,), "Only a running virtual machine can be asked to restart.")
    flags = libvirt.VIR_DOMAIN_REBOOT_ACPI_POWER_BTN | libvirt.VIR_DOMAIN_REBOOT_GUEST_AGENT
    try:
        domain.reboot(flags)
    except libvirt.libvirtError as error:
        if not is_unsupported(error):
            raise
        domain.reboot(0)


def reset(context: HandlerContext, request: rq.Reset) -> None:
    domain = context.domain(request.key)
    require_state(domain, (_S.RUNNING, _S.PAUSED), "Only a running virtual machine can be reset.")
    domain.reset(0)


def force_off(context: HandlerContext, request: rq.ForceOff) -> None:
    import libvirt

    domain = context.domain(request.key)
    require_state(domain, _ACTIVE, "It needs no switching off.")
    try:
        domain.destroyFlags(0)
    except libvirt.libvirtError as error:
        # It ended by itself, or by a save, while we were asking: what was wanted is so.
        if is_connection_lost(error) or domain.isActive():
            raise


def restore_state(context: HandlerContext, request: rq.RestoreState) -> None:
    domain = context.domain(request.key)
    require_state(domain, (_S.SAVED,), "There is no saved state to continue from.")
    _require_startable(context, request.key)
    domain.createWithFlags(0)
    _after_start(domain)


def discard_saved_state(context: HandlerContext, request: rq.DiscardSavedState) -> None:
    domain = context.domain(request.key)
    require_state(domain, (_S.SAVED,), "There is no saved state to discard.")
    domain.managedSaveRemove(0)


# --- identity ---------------------------------------------------------------------------------------------


def set_autostart(context: HandlerContext, request: rq.SetAutostart) -> None:
    domain = context.domain(request.key)
    if not domain.isPersistent():
        raise WrongStateError(
            f"“{clean_line(domain.name())}” exists only while it runs.", advice="It cannot start by itself."
        )
    domain.setAutostart(1 if request.on else 0)


def checked_name(name: str) -> str:
    """The name when libvirt and a person can live with it; else OperationError.

    libvirt names files after it; a space at an end or an unprintable character is a mistake nobody can see.
    """
    if not name.strip():
        raise OperationError("The name is empty.", advice="Give the virtual machine a name.")
    if len(name) > NAME_LIMIT:
        raise OperationError(f"The name is longer than {NAME_LIMIT} characters.", advice="Choose a shorter one.")
    if "/" in name or name in (".", ".."):
        raise OperationError("A name cannot contain “/”.", advice="Choose another name.")
    if name != clean_line(name, NAME_LIMIT):
        raise OperationError(
            "The name has line breaks, unprintable characters or spaces at its ends.", advice="Choose another name."
        )
    return name


def rename(context: HandlerContext, request: rq.Rename) -> None:
    import libvirt

    name = checked_name(request.name)
    domain = context.domain(request.key)
    if domain.name() == name:
        return
    require_state(domain, (_S.OFF, _S.CRASHED), "Only a virtual machine that is off can be renamed.")
    try:
        context.connection.lookupByName(name)
    except libvirt.libvirtError as error:
        if is_connection_lost(error):
            raise
    else:
        raise OperationError(f"The name “{name}” is in use on this host.", advice="Choose another name.")
    domain.rename(name, 0)


def set_title(context: HandlerContext, request: rq.SetTitle) -> None:
    import libvirt

    title = clean_line(request.title, TITLE_LIMIT)
    _set_text(context.domain(request.key), libvirt.VIR_DOMAIN_METADATA_TITLE, title)


def set_notes(context: HandlerContext, request: rq.SetNotes) -> None:
    import libvirt

    if len(request.notes.encode("utf-8", errors="replace")) > NOTES_LIMIT:
        raise OperationError("The notes are longer than 64 KiB.", advice="Shorten them.")
    notes = clean_block(request.notes, NOTES_LIMIT)
    _set_text(context.domain(request.key), libvirt.VIR_DOMAIN_METADATA_DESCRIPTION, notes)


def _set_text(domain: libvirt.virDomain, kind: int, text: str) -> None:
    """In the definition, and in the running VM where the driver can."""
    import libvirt

    config = libvirt.VIR_DOMAIN_AFFECT_CONFIG if domain.isPersistent() else 0
    live = libvirt.VIR_DOMAIN_AFFECT_LIVE if domain.isActive() else 0
    try:
        domain.setMetadata(kind, text or None, None, None, config | live)
    except libvirt.libvirtError as error:
        if not (config and live and is_unsupported(error)):
            raise
        domain.setMetadata(kind, text or None, None, None, config)


_OWN: dict[type, Handler] = {
    rq.Start: start,
    rq.Pause: pause,
    rq.Resume: resume,
    rq.ShutDown: shut_down,
    rq.Reboot: reboot,
    rq.Reset: reset,
    rq.ForceOff: force_off,
    rq.RestoreState: restore_state,
    rq.DiscardSavedState: discard_saved_state,
    rq.SetAutostart: set_autostart,
    rq.Rename: rename,
    rq.SetTitle: set_title,
    rq.SetNotes: set_notes,
}
# Request → module of this package and function.
_ELSEWHERE: dict[type, tuple[str, str]] = {
    rq.SaveState: ("saving", "save_state"),
    rq.OpenConsole: ("display", "open_console"),
    rq.TakeScreenshot: ("display", "take_screenshot"),
    rq.ListSerialDevices: ("serial", "list_serial_devices"),
    rq.OpenSerial: ("serial", "open_serial"),
    rq.ReadDetails: ("details", "read_details"),
    rq.ReadCapabilities: ("capabilities", "read_capabilities"),
    rq.InspectMedia: ("images", "inspect_media_request"),
    rq.CheckNewVm: ("create", "check_new_vm"),
    rq.CreateVm: ("create", "create_vm"),
    rq.CreateSampleGuest: ("create", "create_sample_guest"),
    rq.PlanDelete: ("delete", "plan_delete"),
    rq.Delete: ("delete", "delete"),
    rq.UndoDelete: ("delete", "undo_delete"),
    rq.PurgeDeleted: ("delete", "purge_deleted"),
    rq.ReadSettings: ("settings.reading", "read_settings"),
    rq.ReadPending: ("settings.reading", "read_pending"),
    rq.CheckSettings: ("settings.checking", "check_settings"),
    rq.ApplySettings: ("settings.applying", "apply_settings"),
    rq.GiveAccess: ("settings.giving_access", "give_access"),
    rq.CreateDisk: ("settings.new_disks", "create_disk"),
    rq.DiscardDisk: ("settings.new_disks", "discard_disk"),
    rq.MeasureImage: ("settings.new_disks", "measure_image"),
    rq.ReadQemuCommand: ("settings.qemu_command", "read_qemu_command"),
    rq.ReadNetworkFacts: ("settings.facts", "read_network_facts"),
    rq.ListNetworks: ("networks.handlers", "list_networks"),
    rq.ProposeNetwork: ("networks.handlers", "propose_network"),
    rq.CheckNetwork: ("networks.handlers", "check_network"),
    rq.CreateNetwork: ("networks.handlers", "create_network"),
    rq.ReadNetwork: ("networks.handlers", "read_network"),
    rq.ReadLeases: ("networks.handlers", "read_leases"),
    rq.UpdateNetwork: ("networks.handlers", "update_network"),
    rq.StartNetwork: ("networks.handlers", "start_network"),
    rq.StopNetwork: ("networks.handlers", "stop_network"),
    rq.SetNetworkAutostart: ("networks.handlers", "set_network_autostart"),
    rq.DeleteNetwork: ("networks.handlers", "delete_network"),
    rq.ReadSnapshots: ("snapshots.handlers", "read_snapshots"),
    rq.ReadSnapshotPicture: ("snapshots.handlers", "read_picture"),
    rq.PlanOperation: ("snapshots.handlers", "plan_operation"),
    rq.TakeSnapshot: ("snapshots.handlers", "take_snapshot"),
    rq.RestoreSnapshot: ("snapshots.handlers", "restore_snapshot"),
    rq.UndoRestore: ("snapshots.handlers", "undo_restore"),
    rq.DeleteSnapshots: ("snapshots.handlers", "delete_snapshots"),
    rq.EditSnapshot: ("snapshots.handlers", "edit_snapshot"),
    rq.ReadSnapshotPolicy: ("snapshots.handlers", "read_policy"),
    rq.SetSnapshotPolicy: ("snapshots.handlers", "set_policy"),
    rq.CloneVm: ("cloning.handlers", "clone_vm"),
    rq.SetTemplate: ("cloning.handlers", "set_template"),
    rq.DetachClone: ("cloning.handlers", "detach_clone"),
    rq.ResetIdentity: ("cloning.identity", "reset_again"),
    rq.DismissIdentity: ("cloning.identity", "dismiss"),
    rq.StartDisposable: ("cloning.disposable", "start_disposable"),
}
