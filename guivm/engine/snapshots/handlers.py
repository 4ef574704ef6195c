"""The requests about snapshots. Worker only. Which mode a VM has is decided here; each mode's work is elsewhere."""

from __future__ import annotations

import os
from dataclasses import replace

from guivm.engine import hosts
from guivm.engine.context import HandlerContext
from guivm.engine.job_types import Screenshot
from guivm.engine.requests import (
    CloneVm,
    DeleteSnapshots,
    DetachClone,
    EditSnapshot,
    PlanOperation,
    ReadSnapshotPicture,
    ReadSnapshotPolicy,
    ReadSnapshots,
    RestoreSnapshot,
    SetSnapshotPolicy,
    SetTemplate,
    StartDisposable,
    TakeSnapshot,
    UndoRestore,
)
from guivm.engine.snapshots import branches, pictures, policy, policy_timers, standing, store
from guivm.engine.snapshots.inside import doing, plans, reading
from guivm.engine.snapshots.situation import Situation, read_situation
from guivm.engine.snapshots.values import (
    OperationPlan,
    RestoredSnapshot,
    SnapshotMode,
    SnapshotPolicy,
    SnapshotTree,
    TakenSnapshot,
)
from guivm.errors import OperationError, UnsupportedError
from guivm.text import clean_block, clean_line

TITLE_LIMIT = 80
NOTES_LIMIT = 65_536

_FOREIGN = "Its snapshots were made by another tool and are files of their own."


def read_snapshots(context: HandlerContext, request: ReadSnapshots) -> SnapshotTree:
    """Handler of ReadSnapshots."""
    seen = read_situation(context, request.key)
    read = branches.tree if seen.mode is SnapshotMode.BRANCH else reading.tree
    tree = read(context, seen)
    if not context.host.is_local:
        return tree
    return replace(tree, based_on=standing.based_on(seen), needed_by=standing.needed_by(context, seen))


def read_picture(context: HandlerContext, request: ReadSnapshotPicture) -> Screenshot | None:
    """Handler of ReadSnapshotPicture."""
    return pictures.load(store.folder_of(context.images_dir, request.key.uuid), request.snapshot)


def take_snapshot(context: HandlerContext, request: TakeSnapshot) -> TakenSnapshot:
    """Handler of TakeSnapshot."""
    title = checked_title(request.title)
    notes = clean_block(request.notes, NOTES_LIMIT)
    seen = read_situation(context, request.key)
    if _mode_to_change(seen) is SnapshotMode.BRANCH:
        return branches.take(
            context,
            request.key,
            title,
            notes,
            memory=request.memory,
            quiesce=request.quiesce,
            scheduled=request.scheduled,
        )
    return doing.take(context, request.key, title, notes, memory=request.memory, scheduled=request.scheduled)


def restore_snapshot(context: HandlerContext, request: RestoreSnapshot) -> RestoredSnapshot:
    """Handler of RestoreSnapshot."""
    keep = checked_title(request.keep_title) if request.keep_title else ""
    seen = read_situation(context, request.key)
    if _mode_to_change(seen) is SnapshotMode.BRANCH:
        return branches.restore(context, request.key, request.snapshot, keep)
    return doing.restore(context, request.key, request.snapshot, keep)


def undo_restore(context: HandlerContext, request: UndoRestore) -> None:
    """Handler of UndoRestore."""
    seen = read_situation(context, request.key)
    if _mode_to_change(seen) is SnapshotMode.BRANCH:
        branches.undo(context, request.key)
    else:
        doing.undo(context, request.key)


def delete_snapshots(context: HandlerContext, request: DeleteSnapshots) -> None:
    """Handler of DeleteSnapshots."""
    if not request.snapshots:
        raise OperationError("No snapshot was chosen.")
    seen = read_situation(context, request.key)
    if _mode_to_change(seen) is SnapshotMode.BRANCH:
        branches.delete(context, request.key, request.snapshots, children=request.children)
    else:
        doing.delete(context, request.key, request.snapshots, children=request.children)


def edit_snapshot(context: HandlerContext, request: EditSnapshot) -> None:
    """Handler of EditSnapshot."""
    title = checked_title(request.title)
    notes = clean_block(request.notes, NOTES_LIMIT)
    seen = read_situation(context, request.key)
    if seen.mode is SnapshotMode.BRANCH:
        branches.edit(context, request.key, request.snapshot, title, notes)
    else:
        doing.edit(context, request.key, request.snapshot, title, notes)


def read_policy(context: HandlerContext, request: ReadSnapshotPolicy) -> SnapshotPolicy | None:
    """Handler of ReadSnapshotPolicy."""
    return policy_timers.load(request.key) if context.host.is_local else None


def set_policy(context: HandlerContext, request: SetSnapshotPolicy) -> None:
    """Handler of SetSnapshotPolicy."""
    if request.policy is None:
        policy_timers.remove(request.key)
        return
    seen = read_situation(context, request.key)
    shown = _planned_policy(context, seen, request)
    if shown.refused:
        raise UnsupportedError(shown.refused, advice=shown.advice)
    units = policy.unit_texts(request.key, seen.name, request.policy, policy_timers.caller())
    policy_timers.install(request.key, units)


def plan_operation(context: HandlerContext, request: PlanOperation) -> OperationPlan:
    """Handler of PlanOperation. A refusal is an answer, not an error."""
    operation = request.operation
    if operation.key != request.key:
        raise OperationError("The plan is about another virtual machine.")
    try:
        return _planned(context, request)
    except UnsupportedError as error:
        return OperationPlan(request.key, "", refused=error.summary, advice=error.advice)


def _planned(context: HandlerContext, request: PlanOperation) -> OperationPlan:
    seen = read_situation(context, request.key)
    match request.operation:
        case CloneVm() | SetTemplate() | DetachClone():
            from guivm.engine.cloning.handlers import plan as plan_clone

            return plan_clone(context, seen, request.operation)
        case StartDisposable():
            from guivm.engine.cloning.disposable import plan as plan_disposable

            return plan_disposable(context, seen)
        case TakeSnapshot() | RestoreSnapshot() | UndoRestore() | DeleteSnapshots():
            if _mode_to_change(seen) is SnapshotMode.BRANCH:
                return branches.plan(context, seen, request.operation)
            return plans.plan(context, seen, request.operation)
        case SetSnapshotPolicy():
            return _planned_policy(context, seen, request.operation)
    raise TypeError(type(request.operation).__name__)


def _planned_policy(context: HandlerContext, seen: Situation, request: SetSnapshotPolicy) -> OperationPlan:
    """Raises UnsupportedError where no timer could take snapshots, OperationError for senseless numbers."""
    if request.policy is None:
        return policy.plan_no_policy(seen.key, seen.name)
    policy.checked(request.policy)
    _require_timers(context, seen)
    mode = _mode_to_change(seen)
    inside = mode is SnapshotMode.INTERNAL
    take = TakeSnapshot(seen.key, "Scheduled", memory=inside, scheduled=True)
    one = plans.plan(context, seen, take) if inside else branches.plan(context, seen, take)
    earlier = read_snapshots(context, ReadSnapshots(seen.key)).snapshots
    sizes = [each.size_bytes or 0 for each in earlier if each.scheduled and each.parent is not None]
    memory = plans.memory_bytes(seen) if inside and seen.platform.is_qemu else 0
    files = tuple((os.fspath(path), path.exists()) for path in policy_timers.paths(seen.key))
    old = tuple(os.fspath(path) for path in policy_timers.old_paths(seen.key))
    outlook = policy.Outlook(one, mode, max(one.needs_bytes, memory, *sizes, 0), files, old)
    return policy.plan_policy(seen.name, request.policy, outlook)


def _require_timers(context: HandlerContext, seen: Situation) -> None:
    """Raises UnsupportedError."""
    if not context.host.is_local:
        raise UnsupportedError("Snapshots by a timer are only for virtual machines of this computer.")
    if hosts.is_embed(context.host.uri):
        raise UnsupportedError(
            "The built-in engine serves one program at a time: while the window is open, a timer cannot reach it.",
            advice="Install libvirt's daemon to have snapshots taken by a timer.",
        )
    if not seen.persistent:
        raise UnsupportedError(f"“{seen.name}” exists only while it runs.")
    why = policy_timers.why_not_here()
    if why:
        raise UnsupportedError(why, advice="Log in to a session that systemd manages, or take snapshots yourself.")


def _mode_to_change(seen: Situation) -> SnapshotMode:
    """Raises UnsupportedError where snapshots can neither be taken nor changed."""
    if seen.mode is SnapshotMode.FOREIGN:
        raise UnsupportedError(_FOREIGN, advice="Change them with the tool that made them.")
    mode = seen.mode or seen.choice.mode
    if mode is None:
        raise UnsupportedError(
            f"“{seen.name}” cannot have snapshots. {seen.choice.why}".strip(), advice="Make a full clone of it instead."
        )
    return mode


def checked_title(title: str) -> str:
    """The title when a person can tell it from others. Raises OperationError."""
    clean = clean_line(title, TITLE_LIMIT + 1)
    if not clean:
        raise OperationError("The title is empty.", advice="Give the snapshot a title.")
    if len(clean) > TITLE_LIMIT:
        raise OperationError(f"The title is longer than {TITLE_LIMIT} characters.", advice="Shorten it.")
    return clean
