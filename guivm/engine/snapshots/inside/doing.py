"""Taking, restoring and deleting snapshots inside the images, by libvirt. Worker only.

What libvirt cannot undo is made undoable here: before a restore the present state is kept in a snapshot, either one the
person asked for or one that only Undo knows (``hidden.py``). What it cannot stop is let go on, and then removed.
"""

from __future__ import annotations

import re
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from guivm.engine.context import HandlerContext
from guivm.engine.jobs import JobProgress
from guivm.engine.requests import DeleteSnapshots, RestoreSnapshot, TakeSnapshot, UndoRestore
from guivm.engine.snapshots import journal, libvirt_snapshots, pictures, store
from guivm.engine.snapshots.images_inside import snapshots_in
from guivm.engine.snapshots.inside import hidden, plans, reading
from guivm.engine.snapshots.inside.hidden import UNDO_NAMES, Notes
from guivm.engine.snapshots.inside.reading import TITLE_LIMIT, image_paths
from guivm.engine.snapshots.inside.watching import Cancel, Gauge, NoGauge, ReadingGauge, WritingGauge, watched
from guivm.engine.snapshots.situation import Situation, read_situation
from guivm.engine.snapshots.tree import BranchTree, InternalRecord
from guivm.engine.snapshots.values import OperationPlan, RestoredSnapshot, SnapshotId, TakenSnapshot
from guivm.engine.types import VmKey
from guivm.errors import CancelledError, InUseError, NoSpaceError
from guivm.text import clean_line

if TYPE_CHECKING:
    import libvirt

_UNDO_NOTES = "Kept by guivm so that the last restore can be undone."
_RESTORING = "Restoring: from here on it cannot be cancelled"


class _Words(NamedTuple):
    """Of a snapshot that is taken: what is done, what becomes of it once it is cancelled, and how that ended."""

    step: str
    cancelling: str
    cancelled: str


_TAKING = _Words(
    "Writing memory",
    "Cancelled: the guest goes on once its memory is written; the snapshot is then removed",
    "Cancelled: the snapshot was removed again.",
)
_TAKING_OFF = _Words("Writing disks", "Cancelled: the snapshot is removed once it is written", _TAKING.cancelled)
_KEEPING = _Words(
    "Keeping the present state",
    "Cancelled: the guest goes on once its memory is written; nothing is restored",
    "Cancelled: nothing was restored.",
)
_KEEPING_OFF = _Words(_KEEPING.step, "Cancelled: nothing is restored", _KEEPING.cancelled)


def take(
    context: HandlerContext, key: VmKey, title: str, notes: str, *, memory: bool, scheduled: bool = False
) -> TakenSnapshot:
    """Raises GuivmError or libvirtError; then there is no new snapshot."""
    folder = _folder(context, key)
    with journal.locked(folder, title):
        seen = _settled(context, key)
        _refuse(plans.take_plan(context, seen, TakeSnapshot(key, title, notes, memory)))
        picture = pictures.grab(context, key) if seen.runs else b""
        name = free_name(title, {each.name for each in seen.snapshots})
        pause_s = _create(context, seen, name, notes, _TAKING if seen.runs else _TAKING_OFF)
        has_picture = pictures.keep(folder, SnapshotId(name), picture)
        _remember(context, seen, InternalRecord(name, title, "", pause_s or None, has_picture, scheduled))
    return TakenSnapshot(SnapshotId(name), title, pause_s)


def restore(context: HandlerContext, key: VmKey, snapshot: SnapshotId, keep_title: str) -> RestoredSnapshot:
    """Raises GuivmError or libvirtError. The state before is kept, shown or for Undo, before anything is lost; until
    then it can be cancelled, and what the restore before it can be undone with stays."""
    folder = _folder(context, key)
    with journal.locked(folder, snapshot):
        seen = _settled(context, key)
        _refuse(plans.restore_plan(context, seen, RestoreSnapshot(key, snapshot, keep_title)))
        undo = hidden.read(context, seen).undo
        hidden.save(folder, Notes(undo))
        words = _KEEPING if seen.runs else _KEEPING_OFF
        kept, new_undo = None, ""
        if keep_title:
            picture = pictures.grab(context, key) if seen.runs else b""
            name = free_name(keep_title, {each.name for each in seen.snapshots})
            pause_s = _create(context, seen, name, "", words)
            has_picture = pictures.keep(folder, SnapshotId(name), picture)
            _remember(context, seen, InternalRecord(name, keep_title, "", pause_s or None, has_picture))
            kept = SnapshotId(name)
        else:
            new_undo = next(name for name in UNDO_NAMES if name != undo)
            _create(context, seen, new_undo, _UNDO_NOTES, words)
        hidden.save(folder, Notes(new_undo))
        domain = context.domain(key)
        if undo:
            domain.snapshotLookupByName(undo, 0).delete(0)
        _revert(context, seen, domain, snapshot)
    return RestoredSnapshot(snapshot, kept, can_undo=not keep_title)


def undo(context: HandlerContext, key: VmKey) -> None:
    """Raises GuivmError or libvirtError."""
    folder = _folder(context, key)
    with journal.locked(folder, key.uuid):
        seen = _settled(context, key)
        _refuse(plans.undo_plan(context, seen, UndoRestore(key)))
        name = hidden.read(context, seen).undo
        domain = context.domain(key)
        _revert(context, seen, domain, name)
        hidden.save(folder, Notes())
        domain.snapshotLookupByName(name, 0).delete(0)


def delete(context: HandlerContext, key: VmKey, chosen: tuple[SnapshotId, ...], *, children: bool) -> None:
    """Raises GuivmError or libvirtError; what was deleted before that stays so. Cancelled between two of them."""
    folder = _folder(context, key)
    with journal.locked(folder, key.uuid):
        seen = _settled(context, key)
        _refuse(plans.delete_plan(context, seen, DeleteSnapshots(key, chosen, children)))
        names = reading.names(context, seen, chosen, children=children)
        domain = context.domain(key)
        gone: set[str] = set()
        try:
            for number, name in enumerate(names):
                is_last = number + 1 == len(names)
                context.job.on_cancel(None if is_last else lambda: None)
                context.job.check_cancelled()
                context.job.report(JobProgress(number, len(names), unit_bytes=False, step="Deleting"))
                domain.snapshotLookupByName(name, 0).delete(0)
                gone.add(name)
                pictures.forget(folder, SnapshotId(name))
        finally:
            context.job.on_cancel(None)
            _forget(context, seen, gone)


def edit(context: HandlerContext, key: VmKey, snapshot: SnapshotId, title: str, notes: str) -> None:
    """Raises GuivmError or libvirtError. libvirt's own name stays: in the images the snapshot is known by it."""
    import libvirt

    with journal.locked(_folder(context, key), title):
        seen = read_situation(context, key)
        found = reading.find(context, seen, snapshot)
        if found.notes != notes:
            flags = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE
            if seen.current == found.name:
                flags |= libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_CURRENT
            context.domain(key).snapshotCreateXML(libvirt_snapshots.with_description(found.xml, notes), flags)
        record = (None if seen.tree is None else seen.tree.record(found.name)) or InternalRecord(found.name)
        as_it_was = (record.title, found.notes) == (title, notes)
        _remember(context, seen, replace(record, title=title, scheduled=record.scheduled and as_it_was))


def _settled(context: HandlerContext, key: VmKey) -> Situation:
    """The situation without what an operation that was cut short left behind. Raises GuivmError or libvirtError."""
    seen = read_situation(context, key)
    found = hidden.read(context, seen)
    for name in found.leftovers:
        context.domain(key).snapshotLookupByName(name, 0).delete(0)
    folder = _folder(context, key)
    notes = hidden.load(folder)
    if notes is not None and notes.unwanted:
        hidden.save(folder, Notes(found.undo))
    return read_situation(context, key) if found.leftovers else seen


def _create(context: HandlerContext, seen: Situation, name: str, notes: str, words: _Words) -> float:
    """Take a snapshot, with memory when the VM runs. Answers how long the guest stood still, in seconds.

    When it is cancelled, libvirt is let end it, and it is removed again: raises CancelledError.
    """
    from lxml import etree

    root = etree.Element("domainsnapshot")
    etree.SubElement(root, "name").text = name
    if notes:
        etree.SubElement(root, "description").text = notes
    text = etree.tostring(root, encoding="unicode")
    job, domain = context.job, context.domain(seen.key)
    folder = _folder(context, seen.key)
    undo = hidden.read(context, seen).undo
    gauge: Gauge = NoGauge()
    if seen.runs and context.host.is_local and seen.platform.is_qemu:
        gauge = WritingGauge(seen.key.uuid, image_paths(seen), plans.memory_bytes(seen))
    job.check_cancelled()
    begun_s, started = time.time(), time.monotonic()
    note = partial(hidden.note_unwanted, folder, undo, name, begun_s)
    with watched(job, words.step, gauge, Cancel(words.cancelling, note)):
        snapshot = domain.snapshotCreateXML(text, 0)
        pause_s = time.monotonic() - started
    if job.cancel_requested:
        note()
        snapshot.delete(0)
        hidden.save(folder, Notes(undo))
        raise CancelledError(words.cancelled)
    return pause_s if seen.runs else 0.0


def _revert(context: HandlerContext, seen: Situation, domain: libvirt.virDomain, name: str) -> None:
    """Make the VM what it was; it runs afterwards when the snapshot holds a running VM's memory.

    A VM that runs is ended first: libvirt loads a snapshot into the running QEMU only where its devices are still the
    same, and finds that out too late.
    """
    snapshot = domain.snapshotLookupByName(name, 0)
    gauge: Gauge = NoGauge()
    if context.host.is_local and seen.platform.is_qemu:
        images = [each for path in image_paths(seen) for each in snapshots_in(path)]
        memory = sum(each.memory_bytes for each in images if each.name == name)
        gauge = ReadingGauge(seen.key.uuid, memory) if memory else gauge
    context.job.report(JobProgress(0, 0, step=_RESTORING))
    if domain.isActive():
        domain.destroyFlags(0)
    with watched(context.job, _RESTORING, gauge):
        domain.revertToSnapshot(snapshot, 0)


def _folder(context: HandlerContext, key: VmKey) -> Path:
    return store.folder_of(context.images_dir, key.uuid)


def _remember(context: HandlerContext, seen: Situation, record: InternalRecord) -> None:
    """Keep what libvirt has no place for. The tree is read anew: it may have grown since ``seen``."""
    now = store.load(context.images_dir, seen.key.uuid) or BranchTree(seen.key.uuid, seen.name)
    others = tuple(each for each in now.internal if each.name != record.name)
    store.save(_folder(context, seen.key), replace(now, internal=(*others, record)))


def _forget(context: HandlerContext, seen: Situation, names: set[str]) -> None:
    if seen.tree is not None and names:
        kept = tuple(record for record in seen.tree.internal if record.name not in names)
        store.save(_folder(context, seen.key), replace(seen.tree, internal=kept))


def free_name(title: str, taken: set[str]) -> str:
    """A name for libvirt that is like the title, not in use, and cannot be mistaken for a number. Pure.

    Of letters, digits and ``-._`` of ASCII only: libvirt makes the ID of a QEMU job of it, which may have no others.
    """
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", clean_line(title, TITLE_LIMIT)).strip("-.")
    if not plain or plain.isdecimal() or plain in UNDO_NAMES:
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
