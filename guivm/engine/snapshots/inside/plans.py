"""What requests about snapshots inside the images would do. Worker only; nothing is changed."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from guivm.engine.context import HandlerContext
from guivm.engine.requests import DeleteSnapshots, RestoreSnapshot, TakeSnapshot, UndoRestore
from guivm.engine.snapshots import libvirt_snapshots
from guivm.engine.snapshots.images_inside import snapshots_in
from guivm.engine.snapshots.inside import hidden, reading
from guivm.engine.snapshots.inside.reading import TITLE_LIMIT, image_paths, why_not_take, why_not_usable
from guivm.engine.snapshots.libvirt_snapshots import LibvirtSnapshot
from guivm.engine.snapshots.situation import Situation
from guivm.engine.snapshots.values import FileAction, FileEffect, OperationPlan
from guivm.engine.types import VmState
from guivm.engine.xml.domain import DomainXml
from guivm.text import clean_line

_RESERVE_BYTES = 64 << 20
_DEVICES_BYTES = 32 << 20  # what the devices' state takes at most, roughly


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
    found = reading.find(context, seen, request.snapshot)
    record = None if seen.tree is None else seen.tree.record(found.name)
    title = record.title if record is not None and record.title else clean_line(found.name, TITLE_LIMIT)
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
    kept = hidden.read(context, seen).undo
    found = next((each for each in seen.snapshots if kept and each.name == kept), None)
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
    names = reading.names(context, seen, request.snapshots, children=request.children)
    count = len(names)
    shown = OperationPlan(seen.key, "Delete the snapshot" if count == 1 else f"Delete {count} snapshots")
    for each in seen.snapshots:
        refusal = why_not_usable(each) if each.name in names else ""
        if refusal:
            return replace(shown, refused=f"“{clean_line(each.name, TITLE_LIMIT)}”: {refusal}")
    freed = _freed_bytes(seen, names) if context.host.is_local else None
    return replace(
        shown,
        effects=_changed_images(seen, 0),
        frees_bytes=freed or 0,
        loses=("The states that these snapshots hold. The present state stays as it is.",),
        steps=("What only these snapshots hold is freed inside the disk images.",),
        pauses_guest=seen.runs,
    )


def _freed_bytes(seen: Situation, names: tuple[str, ...]) -> int | None:
    from guivm.engine.snapshots.inside.sizes import freed_bytes  # numpy

    return freed_bytes(image_paths(seen), names)


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
