"""The tree of a VM whose snapshots are inside its images, and what can be done with them. Worker only."""

from __future__ import annotations

from guivm.engine.cloning.marks import disposable_folders
from guivm.engine.context import HandlerContext
from guivm.engine.snapshots.inside import hidden
from guivm.engine.snapshots.libvirt_snapshots import LibvirtSnapshot
from guivm.engine.snapshots.situation import Situation
from guivm.engine.snapshots.support import written_disks
from guivm.engine.snapshots.tree import InternalRecord
from guivm.engine.snapshots.values import SnapshotId, SnapshotInfo, SnapshotMode, SnapshotTree
from guivm.engine.types import VmState
from guivm.engine.xml.domain import DomainXml
from guivm.errors import OperationError
from guivm.text import clean_line

TITLE_LIMIT = 80

_NUMBER = "Its name is a number, which QEMU would mistake for the number of another snapshot inside the image."


def tree(context: HandlerContext, seen: Situation) -> SnapshotTree:
    """The tree for the views; also of a VM without snapshots, and of snapshots of other tools."""
    records = {} if seen.tree is None else {record.name: record for record in seen.tree.internal}
    sizes = _sizes(seen) if context.host.is_local else {}
    concealed = hidden.read(context, seen)
    shown = tuple(
        _info(each, records.get(each.name), sizes.get(each.name), concealed.shown(each.parent))
        for each in seen.snapshots
        if each.name not in concealed.parents
    )
    current = concealed.shown(seen.current)
    undo = _undo_title(seen, current) if concealed.undo else ""
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


def _sizes(seen: Situation) -> dict[str, int]:
    from guivm.engine.snapshots.inside.sizes import alone_bytes  # numpy

    return alone_bytes(image_paths(seen))


def _info(each: LibvirtSnapshot, record: InternalRecord | None, size: int | None, parent: str) -> SnapshotInfo:
    title = record.title if record is not None and record.title else clean_line(each.name, TITLE_LIMIT)
    refusal = why_not_usable(each)
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


def _undo_title(seen: Situation, current: str) -> str:
    """Of the snapshot that was restored; it may have been deleted since."""
    record = None if seen.tree is None else seen.tree.record(current)
    if record is not None and record.title:
        return record.title
    return clean_line(current, TITLE_LIMIT) or "a snapshot deleted since"


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


def find(context: HandlerContext, seen: Situation, snapshot: SnapshotId) -> LibvirtSnapshot:
    """One that is shown. Raises OperationError."""
    concealed = hidden.read(context, seen).parents
    for candidate in seen.snapshots:
        if candidate.name == snapshot and candidate.name not in concealed:
            return candidate
    raise OperationError("There is no such snapshot any more.", advice="Look at the list again.")


def names(
    context: HandlerContext, seen: Situation, chosen: tuple[SnapshotId, ...], *, children: bool
) -> tuple[str, ...]:
    """The chosen ones and, with ``children``, all below them that are shown; children before parents."""
    wanted: set[str] = {find(context, seen, each).name for each in chosen}
    if children:
        for snapshot in seen.snapshots:  # parents come first
            if snapshot.parent in wanted:
                wanted.add(snapshot.name)
    concealed = hidden.read(context, seen).parents
    return tuple(each.name for each in reversed(seen.snapshots) if each.name in wanted and each.name not in concealed)
