"""BRANCH mode: our own snapshots, as frozen images with overlays. Worker only.

Here what the planners need is gathered; ``planning.py`` decides and ``executing.py`` does it. A plan that is shown and
the one that is carried out are made by the same code; the latter under the lock, from what is there then.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from guivm.engine.context import HandlerContext
from guivm.engine.images import free_bytes
from guivm.engine.requests import DeleteSnapshots, RestoreSnapshot, TakeSnapshot, UndoRestore
from guivm.engine.snapshots import journal, pictures, planning, store
from guivm.engine.snapshots.executing import held, perform
from guivm.engine.snapshots.firmware_state import nvram_path, tpm_folder
from guivm.engine.snapshots.graph import Graph
from guivm.engine.snapshots.health import problems_of
from guivm.engine.snapshots.inside.reading import image_paths, why_not_take
from guivm.engine.snapshots.planning import Environment, NewSnapshot
from guivm.engine.snapshots.reading import holds_data, read_graph
from guivm.engine.snapshots.situation import Situation, read_situation
from guivm.engine.snapshots.steps import Plan
from guivm.engine.snapshots.tree import BranchSnapshot, BranchTree
from guivm.engine.snapshots.values import (
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
from guivm.errors import ImageError, OperationError

_DEVICES_BYTES = 64 << 20  # what devices and the file's own header take at most, roughly
_EMPTY_SHARE = 16  # memory that is all zero is not written: surely there is a sixteenth


# --- what plans are made from -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Surroundings:
    """All that is known at one moment."""

    seen: Situation
    graph: Graph
    tree: BranchTree
    env: Environment


def look(context: HandlerContext, seen: Situation) -> Surroundings:
    """Raises GuivmError or libvirtError: nothing is planned on half a view."""
    graph = _with_nvram(read_graph(context, seen.tree), seen.key.uuid, nvram_path(context, seen))
    tree = seen.tree or BranchTree(seen.key.uuid, seen.name)
    folder = store.folder_of(context.images_dir, seen.key.uuid)
    tpm = tpm_folder(context, seen)
    env = Environment(
        key=seen.key,
        definition=seen.xml,
        store=os.fspath(folder),
        token=secrets.token_hex(4),
        now_s=time.time(),
        running=_running(context),
        live_definition=seen.live_xml,
        vm_state=seen.state,
        store_file_system=_file_system(context.images_dir),
        free=_free(context, graph),
        sizes=_sizes(_state_files(graph, seen.key.uuid, tpm)),
        taken=_taken(graph, seen.key.uuid, folder),
        memory_bytes=_memory_bytes(seen),
        memory_least_bytes=_memory_bytes(seen) // _EMPTY_SHARE,
        tpm=tpm,
        libvirt_snapshots=len(seen.snapshots),
        has_saved_state=seen.state is VmState.SAVED,
    )
    return Surroundings(seen, graph, tree, env)


def _with_nvram(graph: Graph, uuid: str, nvram: str) -> Graph:
    """The graph with the file that the VM's stored definition does not name."""
    holders = tuple(replace(h, nvram=nvram) if h.uuid == uuid and h.is_current else h for h in graph.holders)
    return replace(graph, holders=holders)


def _running(context: HandlerContext) -> frozenset[str]:
    import libvirt

    active = context.connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)
    return frozenset(str(domain.UUIDString()) for domain in active)


def _file_system(directory: Path) -> int:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return directory.stat().st_dev


def _free(context: HandlerContext, graph: Graph) -> dict[int, int]:
    found: dict[int, int] = {_file_system(context.images_dir): free_bytes(context.images_dir)}
    for image in graph.images.values():
        if image.file_system not in found:
            found[image.file_system] = free_bytes(Path(image.path).parent)
    return found


def _state_files(graph: Graph, uuid: str, tpm: str) -> Iterable[str]:
    for holder in graph.holders:
        if holder.uuid == uuid:
            yield from (path for path in (holder.nvram, holder.tpm, holder.memory) if path)
    if tpm:
        yield tpm


def _sizes(paths: Iterable[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for path in paths:
        with contextlib.suppress(OSError):
            found[path] = _size(Path(path))
    return found


def _size(path: Path) -> int:
    if not path.is_dir():
        return path.stat().st_size
    return sum((Path(folder) / name).lstat().st_size for folder, _, names in os.walk(path) for name in names)


def _taken(graph: Graph, uuid: str, folder: Path) -> frozenset[str]:
    """Every name in the folders in which files may be made."""
    folders = {os.fspath(folder)}
    for holder in graph.holders:
        if holder.uuid == uuid:
            folders.update(posixpath.dirname(path) for path in holder.files)
    found: set[str] = set()
    for each in folders:
        with contextlib.suppress(OSError), os.scandir(each) as entries:
            found.update(entry.path for entry in entries)
    return frozenset(found)


def _memory_bytes(seen: Situation) -> int:
    document = DomainXml.parse(seen.live_xml or seen.xml)
    return (document.memory_kib or 0) * 1024 + _DEVICES_BYTES


# --- reading ----------------------------------------------------------------------------------------------


def tree(context: HandlerContext, seen: Situation) -> SnapshotTree:
    """The tree for the views."""
    kept = seen.tree or BranchTree(seen.key.uuid, seen.name)
    folder = store.folder_of(context.images_dir, seen.key.uuid)
    undo = kept.undo
    can_undo = undo is not None and all(os.path.lexists(file.kept_at) for file in undo.files)
    return SnapshotTree(
        key=seen.key,
        snapshots=tuple(_info(each) for each in kept.snapshots),
        current=kept.current,
        changed=_changed(seen),
        mode=SnapshotMode.BRANCH if kept.snapshots else None,
        cannot_take=why_not_take(seen),
        cannot_keep_memory=seen.choice.no_memory,
        cannot_skip_memory=seen.choice.only_memory,
        can_quiesce=seen.state is VmState.RUNNING and _has_agent(seen),
        can_undo_restore=undo.title if undo is not None and can_undo else "",
        problems=problems_of(seen, folder),
        is_template=kept.is_template,
    )


def _info(each: BranchSnapshot) -> SnapshotInfo:
    missing = next((path for path in (*each.images, *each.extras) if not os.path.lexists(path)), "")
    refusal = f"“{missing}” is missing." if missing else ""
    return SnapshotInfo(
        id=each.id,
        parent=each.parent,
        title=each.title,
        notes=each.notes,
        taken_s=each.taken_s,
        has_memory=bool(each.memory),
        vm_state=each.vm_state,
        mode=SnapshotMode.BRANCH,
        size_bytes=_held_bytes(each),
        pause_s=each.pause_s,
        has_picture=each.has_picture,
        scheduled=each.scheduled,
        cannot_restore=refusal,
    )


def _held_bytes(each: BranchSnapshot) -> int:
    """On disk: its images, and what was kept of memory and firmware."""
    total = 0
    for path in (*each.images, *each.extras):
        with contextlib.suppress(OSError):
            plain = Path(path)
            total += _size(plain) if plain.is_dir() else plain.stat().st_blocks * 512
    return total


def _changed(seen: Situation) -> bool | None:
    """Whether an overlay of the current state holds anything; a guest that runs changes its memory at least."""
    if seen.tree is None or seen.tree.current is None:
        return None
    if seen.runs:
        return True
    try:
        return any(holds_data(path) for path in image_paths(seen))
    except ImageError:
        return None


def _has_agent(seen: Situation) -> bool:
    channels = DomainXml.parse(seen.live_xml or seen.xml).devices.channels
    return any(channel.target_name == "org.qemu.guest_agent.0" for channel in channels)


# --- plans ------------------------------------------------------------------------------------------------


def plan(
    context: HandlerContext, seen: Situation, request: TakeSnapshot | RestoreSnapshot | UndoRestore | DeleteSnapshots
) -> OperationPlan:
    """What a request would do."""
    around = look(context, seen)
    match request:
        case TakeSnapshot():
            new = _new(seen, request.title, request.notes, memory=request.memory, quiesce=request.quiesce)
            return _planned_take(around, new).shown
        case RestoreSnapshot():
            keep = _new(seen, request.keep_title, "", memory=True) if request.keep_title else None
            return planning.plan_restore(around.graph, around.tree, around.env, request.snapshot, keep).shown
        case UndoRestore():
            return planning.plan_undo_restore(around.graph, around.tree, around.env, _gone(around.tree)).shown
        case DeleteSnapshots():
            return planning.plan_delete(
                around.graph, around.tree, around.env, request.snapshots, request.children
            ).shown


def _planned_take(around: Surroundings, new: NewSnapshot) -> Plan:
    refusal = why_not_take(around.seen)
    if refusal:
        return Plan(OperationPlan(around.seen.key, f"Take the snapshot “{new.title}”", refused=refusal))
    return planning.plan_take(around.graph, around.tree, around.env, new)


def _new(seen: Situation, title: str, notes: str, *, memory: bool, quiesce: bool = False) -> NewSnapshot:
    """Memory only where there is some and it can be kept."""
    return NewSnapshot(
        SnapshotId(secrets.token_hex(8)),
        title,
        notes,
        memory=memory and seen.runs and not seen.choice.no_memory,
        quiesce=quiesce and seen.state is VmState.RUNNING and not memory,
    )


def _gone(kept: BranchTree) -> tuple[str, ...]:
    """Files that were moved aside and are not there any more."""
    files = () if kept.undo is None else kept.undo.files
    return tuple(file.kept_at for file in files if not os.path.lexists(file.kept_at))


# --- doing ------------------------------------------------------------------------------------------------


def take(
    context: HandlerContext,
    key: VmKey,
    title: str,
    notes: str,
    *,
    memory: bool,
    quiesce: bool,
    scheduled: bool = False,
) -> TakenSnapshot:
    """Raises GuivmError; then there is no new snapshot."""
    with held(context, key, title) as folder:
        seen = read_situation(context, key)
        picture = pictures.grab(context, key) if seen.runs else b""
        new = _new(seen, title, notes, memory=memory, quiesce=quiesce)
        has_picture = pictures.keep(folder, new.id, picture)
        new = replace(new, has_picture=has_picture, scheduled=scheduled)
        try:
            run = perform(context, key, folder, seen.name, _planned_take(look(context, seen), new))
        except BaseException:
            if not _knows(context, key, new.id):
                pictures.forget(folder, new.id)
            raise
        if run.paused_s:
            _note_pause(context, key, folder, new.id, run.paused_s)
    return TakenSnapshot(new.id, title, run.paused_s)


def _knows(context: HandlerContext, key: VmKey, snapshot: SnapshotId) -> bool:
    """Whether the snapshot is there, or will be when its journal is gone on with."""
    folder = store.folder_of(context.images_dir, key.uuid)
    kept = store.load(context.images_dir, key.uuid)
    return (kept is not None and kept.find(snapshot) is not None) or (folder / journal.JOURNAL_NAME).exists()


def _note_pause(context: HandlerContext, key: VmKey, folder: Path, snapshot: SnapshotId, pause_s: float) -> None:
    kept = store.load(context.images_dir, key.uuid)
    if kept is None:
        return
    changed = tuple(replace(s, pause_s=pause_s) if s.id == snapshot else s for s in kept.snapshots)
    store.save(folder, replace(kept, snapshots=changed))


def restore(context: HandlerContext, key: VmKey, snapshot: SnapshotId, keep_title: str) -> RestoredSnapshot:
    """Raises GuivmError; then all is as before."""
    with held(context, key, snapshot) as folder:
        seen = read_situation(context, key)
        keep = _new(seen, keep_title, "", memory=True) if keep_title else None
        if keep is not None and seen.runs:
            keep = replace(keep, has_picture=pictures.keep(folder, keep.id, pictures.grab(context, key)))
        around = look(context, seen)
        made = planning.plan_restore(around.graph, around.tree, around.env, snapshot, keep)
        try:
            perform(context, key, folder, seen.name, made)
        except BaseException:
            if keep is not None and not _knows(context, key, keep.id):
                pictures.forget(folder, keep.id)
            raise
    return RestoredSnapshot(snapshot, None if keep is None else keep.id, can_undo=keep is None)


def undo(context: HandlerContext, key: VmKey) -> None:
    """Raises GuivmError; then all is as before."""
    with held(context, key, key.uuid) as folder:
        seen = read_situation(context, key)
        around = look(context, seen)
        made = planning.plan_undo_restore(around.graph, around.tree, around.env, _gone(around.tree))
        perform(context, key, folder, seen.name, made)


def delete(context: HandlerContext, key: VmKey, chosen: tuple[SnapshotId, ...], *, children: bool) -> None:
    """Raises GuivmError; then all is as before."""
    with held(context, key, key.uuid) as folder:
        seen = read_situation(context, key)
        around = look(context, seen)
        made = planning.plan_delete(around.graph, around.tree, around.env, chosen, children)
        perform(context, key, folder, seen.name, made)
        left = store.load(context.images_dir, key.uuid)
        stay = set() if left is None else {each.id for each in left.snapshots}
        for each in around.tree.snapshots:
            if each.id not in stay:
                pictures.forget(folder, each.id)


def edit(context: HandlerContext, key: VmKey, snapshot: SnapshotId, title: str, notes: str) -> None:
    """Raises GuivmError; then all is as before."""
    with held(context, key, title) as folder:
        kept = store.load(context.images_dir, key.uuid)
        if kept is None or kept.find(snapshot) is None:
            raise OperationError("There is no such snapshot any more.", advice="Look at the list again.")
        changed = tuple(_edited(s, title, notes) if s.id == snapshot else s for s in kept.snapshots)
        try:
            store.save(folder, replace(kept, snapshots=changed))
        except OSError as error:
            raise OperationError("The title could not be stored.", details=str(error)) from error


def _edited(each: BranchSnapshot, title: str, notes: str) -> BranchSnapshot:
    """What a person has named is that person's from then on: no policy deletes it."""
    as_it_was = (each.title, each.notes) == (title, notes)
    return replace(each, title=title, notes=notes, scheduled=each.scheduled and as_it_was)
