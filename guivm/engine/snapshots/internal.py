"""INTERNAL mode: libvirt's snapshots inside the qcow2 images. Worker only.

What libvirt cannot undo is made undoable here: before a restore the present state is kept in a snapshot, either one the
person asked for or one that only Undo knows (``UNDO_NAME``).
"""

from __future__ import annotations

import os
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from guivm.engine.cloning.marks import disposable_folders
from guivm.engine.context import HandlerContext
from guivm.engine.jobs import JobProgress
from guivm.engine.requests import DeleteSnapshots, RestoreSnapshot, TakeSnapshot, UndoRestore
from guivm.engine.snapshots import journal, libvirt_snapshots, pictures, store
from guivm.engine.snapshots.images_inside import kept_bytes, snapshots_in
from guivm.engine.snapshots.libvirt_snapshots import LibvirtSnapshot
from guivm.engine.snapshots.situation import Situation, read_situation
from guivm.engine.snapshots.support import written_disks
from guivm.engine.snapshots.tree import BranchTree, InternalRecord
from guivm.engine.snapshots.values import (
    FileAction,
    FileEffect,
    OperationPlan,
    RestoredSnapshot,
    SnapshotId,
    SnapshotInfo,
    SnapshotMode,
    SnapshotTree,
    TakenSnapshot,
)
from guivm.engine.types import VmKey, VmState
from guivm.engine.xml.domain import DomainXml
from guivm.errors import InUseError, NoSpaceError, OperationError
from guivm.text import clean_line

if TYPE_CHECKING:
    import libvirt

UNDO_NAME = "guivm-undo"
"""Name of the snapshot kept for Undo: never shown, replaced by the next restore."""

_UNDO_NOTES = "Kept by guivm so that the last restore can be undone."
_TITLE_LIMIT = 80
_NUMBER = "Its name is a number, which QEMU would mistake for the number of another snapshot inside the image."
_RESERVE_BYTES = 64 << 20
_DEVICES_BYTES = 32 << 20  # what the devices' state takes at most, roughly


# --- reading ----------------------------------------------------------------------------------------------


def tree(context: HandlerContext, seen: Situation) -> SnapshotTree:
    """The tree for the views; also of a VM without snapshots, and of snapshots of other tools."""
    records = {} if seen.tree is None else {record.name: record for record in seen.tree.internal}
    sizes = kept_bytes(image_paths(seen)) if context.host.is_local else {}
    hidden = {each.name: each.parent for each in seen.snapshots if each.name == UNDO_NAME}
    shown = tuple(
        _info(each, records.get(each.name), sizes.get(each.name), hidden)
        for each in seen.snapshots
        if each.name not in hidden
    )
    current = _visible(seen.current, hidden)
    undo = _undo_title(seen, current) if hidden else ""
    return SnapshotTree(
        key=seen.key,
        snapshots=shown,
        current=None if not current else SnapshotId(current),
        changed=_changed(seen),
        mode=seen.mode,
        cannot_take=why_not_take(seen),
        cannot_keep_memory=seen.choice.no_memory,
        cannot_skip_memory=seen.choice.only_memory,
        can_undo_restore=undo,
        problems=(),
        is_template=seen.tree is not None and seen.tree.is_template,
    )


def _info(
    each: LibvirtSnapshot, record: InternalRecord | None, size: int | None, hidden: dict[str, str]
) -> SnapshotInfo:
    title = record.title if record is not None and record.title else clean_line(each.name, _TITLE_LIMIT)
    refusal = why_not_usable(each)
    parent = _visible(each.parent, hidden)
    return SnapshotInfo(
        id=SnapshotId(each.name),
        parent=SnapshotId(parent) if parent else None,
        title=title,
        notes=each.notes,
        taken_s=each.taken_s,
        has_memory=each.has_memory,
        vm_state=each.state,
        mode=SnapshotMode.INTERNAL if each.is_inside else SnapshotMode.FOREIGN,
        size_bytes=size,
        pause_s=None if record is None else record.pause_s,
        has_picture=record is not None and record.has_picture,
        scheduled=record is not None and record.scheduled,
        cannot_restore=refusal,
        cannot_delete=refusal,
    )


def _visible(name: str, hidden: dict[str, str]) -> str:
    while name in hidden:
        name = hidden[name]
    return name


def _undo_title(seen: Situation, current: str) -> str:
    """Of the snapshot that was restored; it may have been deleted since."""
    record = None if seen.tree is None else seen.tree.record(current)
    if record is not None and record.title:
        return record.title
    return clean_line(current, _TITLE_LIMIT) or "a snapshot deleted since"


def _changed(seen: Situation) -> bool | None:
    """A guest that has run since changes something all the time; what a VM that is off did before is not known."""
    if not seen.current:
        return None
    return True if seen.runs else None


def why_not_take(seen: Situation) -> str:
    """Why no snapshot can be taken now, in one sentence; or empty."""
    if seen.mode is SnapshotMode.FOREIGN:
        return "Its snapshots were made by another tool; guivm does not mix its own with them."
    if seen.choice.why:
        return seen.choice.why
    if not seen.persistent:
        return "It exists only while it runs."
    if seen.tree is not None and seen.tree.is_template:
        return "It is a template."
    if disposable_folders(seen.live_xml):
        return "It was started for once: everything is thrown away when it ends."
    if seen.state is VmState.SAVED:
        return "It has a saved state: continue from it or discard it first."
    if seen.state is VmState.UNKNOWN:
        return "Its host does not answer."
    if seen.runs and seen.choice.no_memory and (seen.mode or seen.choice.mode) is SnapshotMode.INTERNAL:
        return seen.choice.no_memory
    return ""


def why_not_usable(snapshot: LibvirtSnapshot) -> str:
    """Why a snapshot can be neither restored nor deleted, or empty.

    For a VM that is off libvirt runs ``qemu-img snapshot -a NAME``, which takes a name of digits for the number of a
    snapshot inside the image first (``block/qcow2-snapshot.c``, ``find_snapshot_by_id_or_name``): another one would be
    restored.
    """
    if not snapshot.is_inside:
        return "Another tool made it, with files of its own."
    return _NUMBER if snapshot.name.isdecimal() else ""


def image_paths(seen: Situation) -> tuple[str, ...]:
    """The images that hold the snapshots."""
    return tuple(disk.path for disk in written_disks(DomainXml.parse(seen.xml)) if disk.path)


# --- plans ------------------------------------------------------------------------------------------------


def plan(
    context: HandlerContext, seen: Situation, request: TakeSnapshot | RestoreSnapshot | UndoRestore | DeleteSnapshots
) -> OperationPlan:
    """What a request would do."""
    match request:
        case TakeSnapshot():
            return take_plan(context, seen, request)
        case RestoreSnapshot():
            return restore_plan(context, seen, request)
        case UndoRestore():
            return undo_plan(context, seen, request)
        case DeleteSnapshots():
            return delete_plan(context, seen, request)


def take_plan(context: HandlerContext, seen: Situation, request: TakeSnapshot) -> OperationPlan:
    shown = OperationPlan(seen.key, f"Take the snapshot “{request.title}”", pauses_guest=seen.runs)
    refusal = why_not_take(seen)
    if not refusal and seen.runs and not request.memory:
        refusal = seen.choice.only_memory
    if refusal:
        return replace(shown, refused=refusal)
    needed = memory_bytes(seen) if seen.runs else 0
    shown = replace(
        shown,
        effects=_changed_images(seen, needed),
        needs_bytes=needed,
        free_bytes=_free_bytes(context, seen),
        steps=(("The guest stands still while memory and disks are written.",) if seen.runs else ())
        + ("The state is kept inside the disk images.",),
        warnings=_doubts(seen, has_memory=seen.runs),
    )
    return _with_space(shown)


def restore_plan(context: HandlerContext, seen: Situation, request: RestoreSnapshot) -> OperationPlan:
    found = _find(seen, request.snapshot)
    record = None if seen.tree is None else seen.tree.record(found.name)
    title = record.title if record is not None and record.title else clean_line(found.name, _TITLE_LIMIT)
    shown = OperationPlan(seen.key, f"Restore “{title}”", stops_guest=seen.runs)
    refusal = why_not_usable(found) or why_not_take(seen)
    if refusal:
        return replace(shown, refused=refusal)
    needed = memory_bytes(seen) if seen.runs else 0
    loses = ["What is in memory now: the virtual machine is ended."] if seen.runs and not request.keep_title else []
    if not request.keep_title:
        loses.append("All that was written since, once Undo is no longer offered: with the next restore.")
    kept = f"The present state is kept as “{request.keep_title}”." if request.keep_title else ""
    shown = replace(
        shown,
        effects=_changed_images(seen, needed),
        needs_bytes=needed,
        free_bytes=_free_bytes(context, seen),
        loses=tuple(loses),
        steps=(
            kept or "The present state is kept for Undo.",
            *(("The virtual machine is ended.",) if seen.runs else ()),
            "Disks and settings become what they were."
            + (" The virtual machine goes on from there." if found.has_memory else ""),
        ),
        warnings=_doubts(seen, has_memory=found.has_memory or (seen.runs and not request.keep_title)),
    )
    shown = _unless_incomplete(context, seen, found, shown)
    return shown if shown.refused else _with_space(_unless_needed_by_others(context, seen, shown))


def undo_plan(context: HandlerContext, seen: Situation, _request: UndoRestore) -> OperationPlan:
    shown = OperationPlan(seen.key, "Undo the last restore", stops_guest=seen.runs)
    found = next((each for each in seen.snapshots if each.name == UNDO_NAME), None)
    if found is None:
        return replace(shown, refused="There is no restore that could be undone.")
    if seen.state is VmState.SAVED:
        return replace(shown, refused="It has a saved state: continue from it or discard it first.")
    shown = replace(
        shown,
        effects=_changed_images(seen, 0),
        loses=("All that was done since the restore.",),
        steps=("Disks, memory and settings become what they were before the restore.",),
        warnings=_doubts(seen, has_memory=found.has_memory),
    )
    shown = _unless_incomplete(context, seen, found, shown)
    return shown if shown.refused else _unless_needed_by_others(context, seen, shown)


def delete_plan(context: HandlerContext, seen: Situation, request: DeleteSnapshots) -> OperationPlan:
    names = _names(seen, request.snapshots, children=request.children)
    count = len(names)
    shown = OperationPlan(seen.key, "Delete the snapshot" if count == 1 else f"Delete {count} snapshots")
    for each in seen.snapshots:
        refusal = why_not_usable(each) if each.name in names else ""
        if refusal:
            return replace(shown, refused=f"“{clean_line(each.name, _TITLE_LIMIT)}”: {refusal}")
    sizes = kept_bytes(image_paths(seen)) if context.host.is_local else {}
    return replace(
        shown,
        effects=_changed_images(seen, 0),
        frees_bytes=sum(sizes.get(name, 0) for name in names),
        loses=("The states that these snapshots hold. The present state stays as it is.",),
        steps=("What only these snapshots hold is freed inside the disk images.",),
        pauses_guest=seen.runs,
    )


def _doubts(seen: Situation, *, has_memory: bool) -> tuple[str, ...]:
    return (seen.choice.memory_doubt,) if has_memory and seen.choice.memory_doubt else ()


def _changed_images(seen: Situation, needed: int) -> tuple[FileEffect, ...]:
    paths = image_paths(seen)
    # QEMU keeps the memory in the first image that can hold it.
    return tuple(
        FileEffect(FileAction.CHANGE, path, bytes=needed if number == 0 else 0) for number, path in enumerate(paths)
    )


def memory_bytes(seen: Situation) -> int:
    """At most: pages that are all zero take no room."""
    document = DomainXml.parse(seen.live_xml or seen.xml)
    return (document.memory_kib or 0) * 1024 + _DEVICES_BYTES


def _free_bytes(context: HandlerContext, seen: Situation) -> int:
    from guivm.engine.images import free_bytes

    paths = image_paths(seen)
    if not context.host.is_local or not seen.platform.is_qemu or not paths:
        return 0
    return min(free_bytes(Path(path).parent) for path in paths)


def _with_space(shown: OperationPlan) -> OperationPlan:
    """Not refused for an estimate: memory is mostly empty. Said, so that nobody is surprised."""
    if 0 < shown.free_bytes < shown.needs_bytes + _RESERVE_BYTES:
        words = "There may not be enough free space for the virtual machine's memory."
        if shown.free_bytes < _RESERVE_BYTES:
            return replace(shown, refused="There is almost no space left on the disk.", advice="Free some space first.")
        return replace(shown, warnings=(*shown.warnings, words))
    return shown


def _unless_incomplete(
    context: HandlerContext, seen: Situation, found: LibvirtSnapshot, shown: OperationPlan
) -> OperationPlan:
    """libvirt goes from image to image: one without the snapshot would leave the drives at different times."""
    if not context.host.is_local or not seen.platform.is_qemu:
        return shown
    for path in libvirt_snapshots.image_paths(found):
        is_there = os.path.lexists(path)
        if is_there and not os.access(path, os.R_OK):
            continue
        if not is_there or found.name not in {each.name for each in snapshots_in(path)}:
            return replace(
                shown,
                refused=f"“{clean_line(path)}” {'does not hold the snapshot any more' if is_there else 'is missing'}.",
                advice="The other drives may still hold it: look at them with “qemu-img snapshot -l”.",
            )
    return shown


def _unless_needed_by_others(context: HandlerContext, seen: Situation, shown: OperationPlan) -> OperationPlan:
    """A restore changes what the images read: nobody else may be on top of them."""
    if not context.host.is_local or not seen.platform.is_qemu:
        return shown
    from guivm.engine.references import collect_references

    references = collect_references(context.connection, context.kept_here)
    for path in image_paths(seen):
        for use in references.users(Path(path), but=seen.key.uuid):
            return replace(
                shown,
                refused=f"“{clean_line(path)}” is also needed by “{use.vm_name}”, which would be damaged.",
                advice="Detach that virtual machine from the image first.",
            )
    return shown


# --- doing ------------------------------------------------------------------------------------------------


def take(
    context: HandlerContext, key: VmKey, title: str, notes: str, *, memory: bool, scheduled: bool = False
) -> TakenSnapshot:
    """Raises GuivmError or libvirtError; then there is no new snapshot."""
    folder = _folder(context, key)
    with journal.locked(folder, title):
        seen = read_situation(context, key)
        _refuse(take_plan(context, seen, TakeSnapshot(key, title, notes, memory)))
        context.job.report(JobProgress(0, 0, step="Writing memory and disks" if seen.runs else "Writing disks"))
        picture = pictures.grab(context, key) if seen.runs else b""
        name = free_name(title, {each.name for each in seen.snapshots})
        pause_s = _create(context.domain(key), name, notes)
        has_picture = pictures.keep(folder, SnapshotId(name), picture)
        _remember(context, seen, InternalRecord(name, title, "", pause_s or None, has_picture, scheduled))
    return TakenSnapshot(SnapshotId(name), title, pause_s)


def restore(context: HandlerContext, key: VmKey, snapshot: SnapshotId, keep_title: str) -> RestoredSnapshot:
    """Raises GuivmError or libvirtError. The state before is kept, shown or for Undo, before anything is lost."""
    with journal.locked(_folder(context, key), snapshot):
        seen = read_situation(context, key)
        _refuse(restore_plan(context, seen, RestoreSnapshot(key, snapshot, keep_title)))
        domain = context.domain(key)
        context.job.report(JobProgress(0, 2, unit_bytes=False, step="Keeping the present state"))
        kept = None
        if keep_title:
            picture = pictures.grab(context, key) if seen.runs else b""
            name = free_name(keep_title, {each.name for each in seen.snapshots})
            pause_s = _create(domain, name, "")
            has_picture = pictures.keep(_folder(context, key), SnapshotId(name), picture)
            _remember(context, seen, InternalRecord(name, keep_title, "", pause_s or None, has_picture))
            kept = SnapshotId(name)
            _forget_undo(domain)
        else:
            _forget_undo(domain)
            _create(domain, UNDO_NAME, _UNDO_NOTES)
        context.job.report(JobProgress(1, 2, unit_bytes=False, step="Restoring"))
        _revert(domain, snapshot)
    return RestoredSnapshot(snapshot, kept, can_undo=not keep_title)


def undo(context: HandlerContext, key: VmKey) -> None:
    """Raises GuivmError or libvirtError."""
    with journal.locked(_folder(context, key), key.uuid):
        seen = read_situation(context, key)
        _refuse(undo_plan(context, seen, UndoRestore(key)))
        domain = context.domain(key)
        _revert(domain, UNDO_NAME)
        _forget_undo(domain)


def delete(context: HandlerContext, key: VmKey, chosen: tuple[SnapshotId, ...], *, children: bool) -> None:
    """Raises GuivmError or libvirtError; what was deleted before that stays so."""
    with journal.locked(_folder(context, key), key.uuid):
        seen = read_situation(context, key)
        _refuse(delete_plan(context, seen, DeleteSnapshots(key, chosen, children)))
        names = _names(seen, chosen, children=children)
        domain = context.domain(key)
        gone: set[str] = set()
        try:
            for number, name in enumerate(names):
                context.job.on_cancel(lambda: None)
                context.job.check_cancelled()
                context.job.report(JobProgress(number, len(names), unit_bytes=False, step="Deleting"))
                domain.snapshotLookupByName(name, 0).delete(0)
                gone.add(name)
                pictures.forget(_folder(context, key), SnapshotId(name))
        finally:
            if seen.tree is not None and gone:
                kept = tuple(record for record in seen.tree.internal if record.name not in gone)
                store.save(_folder(context, key), replace(seen.tree, internal=kept))


def edit(context: HandlerContext, key: VmKey, snapshot: SnapshotId, title: str, notes: str) -> None:
    """Raises GuivmError or libvirtError. libvirt's own name stays: in the images the snapshot is known by it."""
    import libvirt

    with journal.locked(_folder(context, key), title):
        seen = read_situation(context, key)
        found = _find(seen, snapshot)
        if found.notes != notes:
            flags = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE
            if seen.current == found.name:
                flags |= libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_CURRENT
            context.domain(key).snapshotCreateXML(libvirt_snapshots.with_description(found.xml, notes), flags)
        record = (None if seen.tree is None else seen.tree.record(found.name)) or InternalRecord(found.name)
        as_it_was = (record.title, found.notes) == (title, notes)
        _remember(context, seen, replace(record, title=title, scheduled=record.scheduled and as_it_was))


def _create(domain: libvirt.virDomain, name: str, notes: str) -> float:
    """Take a snapshot, with memory when the VM runs. Answers how long the guest stood still, in seconds.

    libvirt runs QEMU's ``savevm`` to its end: it can neither be followed nor stopped.
    """
    from lxml import etree

    root = etree.Element("domainsnapshot")
    etree.SubElement(root, "name").text = name
    if notes:
        etree.SubElement(root, "description").text = notes
    runs = bool(domain.isActive())
    started = time.monotonic()
    domain.snapshotCreateXML(etree.tostring(root, encoding="unicode"), 0)
    return time.monotonic() - started if runs else 0.0


def _revert(domain: libvirt.virDomain, name: str) -> None:
    """Make the VM what it was; it runs afterwards when the snapshot holds a running VM's memory.

    A VM that runs is ended first: libvirt loads a snapshot into the running QEMU only where its devices are still the
    same, and finds that out too late.
    """
    snapshot = domain.snapshotLookupByName(name, 0)
    if domain.isActive():
        domain.destroyFlags(0)
    domain.revertToSnapshot(snapshot, 0)


def _forget_undo(domain: libvirt.virDomain) -> None:
    for snapshot in libvirt_snapshots.read(domain):
        if snapshot.name == UNDO_NAME:
            domain.snapshotLookupByName(UNDO_NAME, 0).delete(0)


def _folder(context: HandlerContext, key: VmKey) -> Path:
    return store.folder_of(context.images_dir, key.uuid)


def _remember(context: HandlerContext, seen: Situation, record: InternalRecord) -> None:
    """Keep what libvirt has no place for. The tree is read anew: it may have grown since ``seen``."""
    now = store.load(context.images_dir, seen.key.uuid) or BranchTree(seen.key.uuid, seen.name)
    others = tuple(each for each in now.internal if each.name != record.name)
    store.save(_folder(context, seen.key), replace(now, internal=(*others, record)))


def _find(seen: Situation, snapshot: SnapshotId) -> LibvirtSnapshot:
    for candidate in seen.snapshots:
        if candidate.name == snapshot and candidate.name != UNDO_NAME:
            return candidate
    raise OperationError("There is no such snapshot any more.", advice="Look at the list again.")


def _names(seen: Situation, chosen: tuple[SnapshotId, ...], *, children: bool) -> tuple[str, ...]:
    """The chosen ones and, with ``children``, all below them that are shown; children before parents."""
    wanted: set[str] = {_find(seen, each).name for each in chosen}
    if children:
        for snapshot in seen.snapshots:  # parents come first
            if snapshot.parent in wanted:
                wanted.add(snapshot.name)
    return tuple(each.name for each in reversed(seen.snapshots) if each.name in wanted and each.name != UNDO_NAME)


def free_name(title: str, taken: set[str]) -> str:
    """A name for libvirt that is like the title, not in use, and cannot be mistaken for a number. Pure.

    Of letters, digits and ``-._`` of ASCII only: libvirt makes the ID of a QEMU job of it, which may have no others.
    """
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", clean_line(title, _TITLE_LIMIT)).strip("-.")
    if not plain or plain.isdecimal() or plain == UNDO_NAME:
        plain = f"snapshot-{plain}".rstrip("-")
    name, number = plain, 1
    while name in taken:
        number += 1
        name = f"{plain}-{number}"
    return name


def _refuse(plan: OperationPlan) -> None:
    """Raises what the plan is refused for."""
    if not plan.refused:
        return
    if plan.needs_bytes > plan.free_bytes > 0:
        raise NoSpaceError(plan.refused, advice=plan.advice)
    raise InUseError(plan.refused, advice=plan.advice)
