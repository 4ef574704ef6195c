"""Delete a VM, with or without its files, and bring it back: handlers on the VM's worker.

Order: plan → receipt (fsynced) → undefine → move the files aside. So a VM is never left pointing at files that
are gone, and a failure or crash at any point can be taken back from the receipt.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import libvirt

from guivm.engine import trash
from guivm.engine.context import HandlerContext
from guivm.engine.files import identity
from guivm.engine.images import chain
from guivm.engine.job_types import DeletedVm, DeletePlan, DiskFate, TrashedFile
from guivm.engine.libvirt_errors import is_unsupported, text_of, translate
from guivm.engine.orphaned_secrets import drop_orphaned_secrets
from guivm.engine.references import References, collect_references, document_paths, snapshot_documents, volume_path
from guivm.engine.requests import Delete, PlanDelete, PurgeDeleted, UndoDelete
from guivm.engine.snapshots import removal
from guivm.engine.types import VmKey
from guivm.engine.xml.domain import DomainXml
from guivm.errors import GuivmError, InUseError, OperationError, WrongStateError
from guivm.text import clean_line


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A file of the VM and why it would have to stay, if for its kind alone."""

    path: Path
    keep: str = ""


# --- plan -------------------------------------------------------------------------------------------------


def plan_delete(context: HandlerContext, request: PlanDelete) -> DeletePlan:
    """Handler of PlanDelete. Reads every VM of the host; touches nothing."""
    return _plan(context, request.key)


def _plan(context: HandlerContext, key: VmKey) -> DeletePlan:
    domain = context.domain(key)
    document = DomainXml.parse(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
    candidates = list(_candidates(context, domain, document))
    files: tuple[DiskFate, ...] = ()
    if candidates:
        if context.host.is_local:
            references = collect_references(context.connection, context.kept_here)
            files = tuple(_fate(candidate, key.uuid, references) for candidate in candidates)
        else:
            files = tuple(
                DiskFate(os.fspath(c.path), 0, False, "It is on another computer; it is kept.") for c in candidates
            )
    return DeletePlan(key, clean_line(domain.name()), files, loses_saved_state=_has_saved_state(domain))


def _candidates(context: HandlerContext, domain: libvirt.virDomain, document: DomainXml) -> Iterator[_Candidate]:
    """Every file the VM names, once, most important first."""
    seen: set[str] = set()

    def once(path: str | Path, keep: str = "") -> Iterator[_Candidate]:
        plain, name = Path(path), os.path.normpath(path)
        if plain.is_absolute() and "\0" not in name and name not in seen:
            seen.add(name)
            yield _Candidate(plain, "Its path is not a plain one." if ".." in plain.parts else keep)

    own_disks: list[Path] = []
    for disk in document.devices.disks:
        path = disk.path
        if not path and disk.source_pool and disk.source_volume:
            path = volume_path(context.connection, disk.source_pool, disk.source_volume)
            yield from once(path or "-", "It is a volume of a storage pool; it is kept.")
            continue
        keep = ""
        if disk.device in ("cdrom", "floppy"):
            keep = "Installation media is not deleted."
        elif disk.read_only:
            keep = "The virtual machine may only read it, so it is kept."
        elif disk.shareable:
            keep = "It is meant to be shared, so it is kept."
        elif disk.source_dev:
            keep = "It is a device, not a file."
        elif disk.source_dir:
            keep = "It is a folder, not a disk image."
        if path:
            own_disks.append(Path(path))
            yield from once(path, keep)
    snapshot_paths = [path for text in snapshot_documents(domain) for path in document_paths(context.connection, text)]
    ours = removal.snapshot_files(context, str(domain.UUIDString()))
    snapshot_disks = {os.path.normpath(path) for path in (*snapshot_paths, *ours)}
    if context.host.is_local:
        for top in own_disks:
            for link in chain(top)[1:]:
                own = os.path.normpath(link.path) in snapshot_disks
                yield from once(link.path, "" if own else "It is the base of another image, so it is kept.")
    for file in ours:
        yield from once(file)
    for boot_file in (document.os.kernel, document.os.initrd):
        if boot_file:
            yield from once(boot_file, "Kernels and their files are not deleted.")


def _fate(candidate: _Candidate, uuid: str, references: References) -> DiskFate:
    path = candidate.path
    reason = candidate.keep or _why_not(path, uuid, references)
    return DiskFate(os.fspath(path), trash.file_size(path), not reason, reason)


def _why_not(path: Path, uuid: str, references: References) -> str:
    """Why this file must stay, or empty."""
    if path.is_symlink():
        return "It is a link to another file; delete that file yourself if it is not needed."
    if not path.exists():
        return "The file is missing."
    if not path.is_file():
        return "It is not an ordinary file."
    users = references.users(path, but=uuid)
    if users:
        names = ", ".join(f"“{name}”" for name in dict.fromkeys(use.vm_name for use in users[:20]))
        return f"It is also needed by {names}."
    blind = references.blind_spots(but=uuid)
    if blind:
        return (
            f"“{clean_line(os.fspath(blind[0].path))}” of “{blind[0].vm_name}” cannot be read, "
            "so it is not known whether it needs this file."
        )
    if trash.TRASH_NAME in path.parts:
        return "It has been deleted already."
    if not os.access(path.parent, os.W_OK | os.X_OK):
        return "You may not change the folder it is in."
    return ""


def _has_saved_state(domain: libvirt.virDomain) -> bool:
    try:
        return bool(domain.hasManagedSaveImage(0))
    except libvirt.libvirtError as error:
        if is_unsupported(error):
            return False
        raise


# --- delete -----------------------------------------------------------------------------------------------


def delete(context: HandlerContext, request: Delete) -> DeletedVm:
    """Handler of Delete. Raises WrongStateError, InUseError, OperationError; then all is as it was."""
    key = request.key
    domain = context.domain(key)
    name = clean_line(domain.name())
    _require_off(domain, name)
    with removal.at_rest(context, key, name):
        return _delete(context, request, domain, name)


def _delete(context: HandlerContext, request: Delete, domain: libvirt.virDomain, name: str) -> DeletedVm:
    key = request.key
    chosen = _chosen_files(context, request)
    deleted = _receipt(context, domain, key, name, chosen)
    # Storing comes first: from here on a crash can be taken back. Where files are not ours, the answer is the receipt.
    trash.write_receipts(deleted)
    try:
        domain.undefineFlags(_undefine_flags(domain, deleted))
    except libvirt.libvirtError as error:
        trash.remove_receipts(deleted)
        raise translate(error, f"“{name}” could not be deleted.") from error
    try:
        _require_gone(context, key, name)
        trash.move_in(deleted)
    except GuivmError as failure:
        _bring_back(context, deleted, failure)
        raise
    return deleted


def _require_off(domain: libvirt.virDomain, name: str) -> None:
    if domain.isActive():
        raise WrongStateError(f"“{name}” is running.", advice="Shut it down first.")


def _require_gone(context: HandlerContext, key: VmKey, name: str) -> None:
    """Undefining a VM that someone started meanwhile leaves it running without a definition: then take it back."""
    try:
        context.connection.lookupByUUIDString(key.uuid)
    except libvirt.libvirtError:
        return
    raise WrongStateError(f"“{name}” was started meanwhile.", advice="Shut it down first.")


def _chosen_files(context: HandlerContext, request: Delete) -> list[Path]:
    """The requested files, each found deletable by a plan made now. Raises InUseError."""
    if not request.files:
        return []
    fates = {fate.path: fate for fate in _plan(context, request.key).files}
    chosen: dict[str, Path] = {}
    for path in request.files:
        fate = fates.get(path)
        if fate is None:
            raise InUseError(f"“{path}” is not a file of this virtual machine.", advice="Open the dialog again.")
        if not fate.deletable:
            raise InUseError(f"“{path}” cannot be deleted. {fate.reason}", advice="Leave it out, then try again.")
        chosen[path] = Path(path)
    return list(chosen.values())


def _receipt(
    context: HandlerContext, domain: libvirt.virDomain, key: VmKey, name: str, chosen: list[Path]
) -> DeletedVm:
    text = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE)
    trash_id = trash.new_trash_id(key.uuid)
    keeps_files = _keeps_files(context)
    along = removal.tree_files(context, key.uuid, chosen)
    paths = [*chosen, *along, *_movable_nvram(text, keeps_files)]
    files = tuple(
        TrashedFile(path, trash.kept_place(path, trash_id, index), trash.file_size(path))
        for index, path in enumerate(paths)
    )
    folders = dict.fromkeys([context.images_dir, *(path.parent for path in paths)] if keeps_files else [])
    snapshots = tuple(snapshot_documents(domain))
    return DeletedVm(
        key,
        name,
        text,
        bool(domain.autostart()),
        files,
        snapshots=snapshots,
        current_snapshot=_current_snapshot(domain) if snapshots else "",
        trash_dirs=tuple(trash.trash_dir(folder, trash_id) for folder in folders),
    )


def _keeps_files(context: HandlerContext) -> bool:
    """Whether the host's files are this computer's: not over the network, not libvirt's test driver."""
    return context.host.is_local and context.connection.getType() == "QEMU"


def _movable_nvram(text: str, keeps_files: bool) -> list[Path]:
    """The UEFI variables, when they exist and we may move them; else libvirt keeps them where they are until purged."""
    nvram = (DomainXml.parse(text).os.nvram or "").strip()
    if not keeps_files or not nvram.startswith("/"):
        return []
    path = Path(nvram)
    movable = path.is_file() and not path.is_symlink() and os.access(path.parent, os.W_OK | os.X_OK)
    return [path] if movable else []


def _undefine_flags(domain: libvirt.virDomain, deleted: DeletedVm) -> int:
    """Only the flags that are needed: older drivers refuse those they do not know."""
    document = DomainXml.parse(deleted.xml)
    flags = 0
    if _has_saved_state(domain):
        flags |= libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
    if deleted.snapshots:
        flags |= libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    if _has_checkpoints(domain):
        flags |= libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
    if document.os.uses_uefi or document.os.nvram is not None:
        flags |= libvirt.VIR_DOMAIN_UNDEFINE_KEEP_NVRAM
    if document.devices.tpm.exists:
        flags |= getattr(libvirt, "VIR_DOMAIN_UNDEFINE_KEEP_TPM", 0)
    return flags


def _has_checkpoints(domain: libvirt.virDomain) -> bool:
    try:
        return bool(domain.listAllCheckpoints(0))
    except libvirt.libvirtError as error:
        if is_unsupported(error):
            return False
        raise


def _current_snapshot(domain: libvirt.virDomain) -> str:
    try:
        return str(domain.snapshotCurrent(0).getName()) if domain.hasCurrentSnapshot(0) else ""
    except libvirt.libvirtError as error:
        if is_unsupported(error) or error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN_SNAPSHOT:
            return ""
        raise


def _bring_back(context: HandlerContext, deleted: DeletedVm, failure: GuivmError) -> None:
    """After ``failure``: define the VM again. What cannot be undone is told in the failure; the receipt stays then."""
    try:
        trash.move_out(deleted)
        _define(context, deleted)
    except (GuivmError, libvirt.libvirtError) as error:
        words = text_of(error) if isinstance(error, libvirt.libvirtError) else f"{error} {error.details}"
        failure.details = f"{failure.details}\n{words}".strip()
        failure.advice = "The virtual machine could not be brought back by itself: use Undo."
        return
    trash.remove_receipts(deleted)


def _define(context: HandlerContext, deleted: DeletedVm) -> None:
    """Define the VM as it was, its snapshots and autostart too. Raises libvirtError."""
    domain = context.connection.defineXML(deleted.xml)
    for text in deleted.snapshots:
        domain.snapshotCreateXML(text, libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE | _current_flag(text, deleted))
    if deleted.autostart:
        domain.setAutostart(1)


def _current_flag(text: str, deleted: DeletedVm) -> int:
    from guivm.engine.xml.document import parse_xml

    name = parse_xml(text, "domainsnapshot").findtext("name")
    is_current = bool(deleted.current_snapshot) and name == deleted.current_snapshot
    return int(libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_CURRENT) if is_current else 0


# --- undo and purge ---------------------------------------------------------------------------------------


def undo_delete(context: HandlerContext, request: UndoDelete) -> VmKey:
    """Handler of UndoDelete. Raises OperationError; then all is as it was before."""
    deleted = request.deleted
    _require_free(context, deleted)
    trash.move_out(deleted)
    try:
        _define(context, deleted)
    except (libvirt.libvirtError, GuivmError) as error:
        with contextlib.suppress(libvirt.libvirtError):
            half = context.connection.lookupByUUIDString(deleted.key.uuid)
            half.undefineFlags(_undefine_flags(half, deleted))
        trash.move_in(deleted)
        if isinstance(error, libvirt.libvirtError):
            raise translate(error, f"“{deleted.name}” could not be brought back.") from error
        raise
    trash.remove_receipts(deleted)
    return deleted.key


def _require_free(context: HandlerContext, deleted: DeletedVm) -> None:
    for known in context.connection.listAllDomains(0):
        if known.UUIDString() == deleted.key.uuid:
            raise OperationError(f"“{deleted.name}” is there already.")
        if known.name() == (DomainXml.parse(deleted.xml).name or ""):
            raise OperationError(
                f"Another virtual machine is now named “{deleted.name}”.", advice="Rename that one, then try again."
            )


def purge_deleted(context: HandlerContext, request: PurgeDeleted) -> int:
    """Handler of PurgeDeleted. Raises InUseError when a VM has come to need a kept file."""
    deleted = request.deleted
    present = [file for file in deleted.files if identity(file.kept_at) is not None]
    if present:
        references = collect_references(context.connection, context.kept_here)
        for file in present:
            users = references.users(file.kept_at)
            if users:
                raise InUseError(f"A deleted file is needed by “{users[0].vm_name}”.", details=str(file.kept_at))
    freed = trash.discard(deleted)
    _forget_firmware_state(context, deleted)
    drop_orphaned_secrets(context, deleted)
    removal.forget(context, deleted.key.uuid)
    return freed


def _forget_firmware_state(context: HandlerContext, deleted: DeletedVm) -> None:
    """Remove UEFI variables and TPM state that libvirt kept in a place of its own.

    Only libvirt knows where: the VM is defined for a moment, and undefined with all its state. A VM that has taken its
    name or UUID meanwhile now owns that state, and keeps it.
    """
    document = DomainXml.parse(deleted.xml)
    nvram = (document.os.nvram or "").strip()
    left_nvram = document.os.uses_uefi and not any(os.fspath(file.original) == nvram for file in deleted.files)
    flags = libvirt.VIR_DOMAIN_UNDEFINE_NVRAM if left_nvram else 0
    if document.devices.tpm.exists:
        flags |= getattr(libvirt, "VIR_DOMAIN_UNDEFINE_TPM", 0)
    if not flags or not _keeps_files(context):
        return
    with contextlib.suppress(OperationError, libvirt.libvirtError):
        _require_free(context, deleted)
        context.connection.defineXML(deleted.xml).undefineFlags(flags)


def purge_expired(context: HandlerContext, directories: tuple[Path, ...], days: float = trash.RETENTION_DAYS) -> int:
    """Free what was deleted more than ``days`` ago and is needed by nobody; answers the bytes freed."""
    freed = 0
    for deleted in trash.expired(directories, days):
        if deleted.key.host == context.host.id:
            with contextlib.suppress(GuivmError):
                freed += purge_deleted(context, PurgeDeleted(deleted))
    return freed


def recover(context: HandlerContext) -> tuple[DeletedVm, ...]:
    """After a crash: settle deletions cut short on this host, and list those that can be undone, oldest first.

    Where the VM is still defined the deletion had not happened: its files go back and the receipt goes.
    """
    known = {domain.UUIDString() for domain in context.connection.listAllDomains(0)}
    undoable: list[DeletedVm] = []
    for receipt in trash.receipts([context.images_dir]):
        deleted = receipt.deleted
        if deleted.key.host != context.host.id:
            continue
        if deleted.key.uuid in known:
            with contextlib.suppress(OperationError):
                trash.move_out(deleted)
                trash.remove_receipts(deleted)
        else:
            undoable.append(deleted)
    return tuple(undoable)
