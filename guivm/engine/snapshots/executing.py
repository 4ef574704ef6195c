"""Carrying out a plan, each step in the journal when it is done. Worker only.

Order: lock, settle what an earlier run left, journal, *prepare*, mark, *finish*, end of the journal, the headers read
again and compared with what the plan expects. A failure in *prepare* takes everything back; one in *finish* leaves the
journal, and the operation is gone on with by :mod:`guivm.engine.snapshots.recovering`.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from guivm.engine.context import HandlerContext
from guivm.engine.jobs import JobProgress
from guivm.engine.snapshots import journal, steps, store
from guivm.engine.snapshots.doing import FAILED, do, mend, remove_made
from guivm.engine.snapshots.doing_libvirt import end_live_pull, end_save, has_switched, let_go_on, run_memory_back
from guivm.engine.snapshots.graph import Graph
from guivm.engine.snapshots.journal import Entry, Journal
from guivm.engine.snapshots.live_copy import end_live_copy
from guivm.engine.snapshots.preflight import require_possible
from guivm.engine.snapshots.run import Run, Share
from guivm.engine.snapshots.steps import Plan, Step, made_by
from guivm.engine.types import VmKey
from guivm.errors import GuivmError, HostError, InUseError, NoSpaceError, OperationError

__all__ = ["Run", "finish", "held", "in_words", "perform", "take_back"]

_log = logging.getLogger(__name__)


@contextmanager
def held(context: HandlerContext, key: VmKey, vm_name: str) -> Iterator[Path]:
    """The folder of the VM's snapshots, for ourselves alone, with nothing left half-done in it.

    Raises InUseError when somebody else works on it; what :func:`recovering.settle` raises.
    """
    from guivm.engine.cloning.disposable import forget_run
    from guivm.engine.snapshots import recovering

    folder = store.folder_of(context.images_dir, key.uuid)
    with journal.locked(folder, vm_name):
        recovering.settle(context, key, folder)
        forget_run(context, key.uuid)
        yield folder


def perform(context: HandlerContext, key: VmKey, folder: Path, vm_name: str, plan: Plan) -> Run:
    """Carry out a plan whose files are :func:`held`. Raises GuivmError; then all is as before, unless it says that the
    operation is only not finished, or what about it went wrong."""
    if plan.shown.refused:
        kind = NoSpaceError if plan.shown.needs_bytes > plan.shown.free_bytes else InUseError
        raise kind(plan.shown.refused, advice=plan.shown.advice)
    require_possible(plan)
    run = Run(context, key, folder)
    notes = Journal.begin(folder, Entry(plan.shown.title, vm_name, plan.prepare, plan.finish, plan.undo))
    run.notes = notes
    try:
        for step in plan.prepare:
            context.job.check_cancelled()
            do(run, step, _share(context, notes))
            notes.step_done()
        context.job.check_cancelled()
        notes.decide()
    except BaseException as error:
        failure = in_words(error)
        if _found_there(error):
            run.spared.update(made_by((notes.entry.under_way,) if notes.entry.under_way else ()))
        if notes.is_in_doubt or _must_stay(run, notes.entry):
            raise _unfinished(notes.entry, failure) from error
        take_back(run, notes, failure)
        if failure is error or not isinstance(error, Exception):
            raise
        raise failure from error
    context.job.on_cancel(None)
    finish(run, notes)
    _compare(context, key, plan)
    return run


def finish(run: Run, notes: Journal) -> None:
    """The rest of *finish*. Raises GuivmError; then the journal stays, to be gone on with, unless only the guest did
    not go on from its memory, which is still there."""
    run.can_cancel = False
    entry = notes.entry
    asleep: GuivmError | None = None
    for step in entry.finish[max(0, entry.done - len(entry.prepare)) :]:
        try:
            try:
                do(run, step, _share(run.context, notes))
            except Exception as error:
                if not isinstance(step, steps.RunMemory) or _is_lost(error):
                    raise
                asleep = in_words(error)
            notes.step_done()
        except Exception as error:
            raise _unfinished(entry, in_words(error)) from error
    try:
        notes.end()
    except OSError as error:
        raise _unfinished(entry, in_words(error)) from error
    if asleep is not None:
        raise type(asleep)(
            f"“{entry.title}” is done, but the guest could not go on from its memory. {asleep.summary}",
            advice=f"{asleep.advice} The memory is kept in the snapshot: restore that to try again.".strip(),
            details=asleep.details,
        )


def _is_lost(error: Exception) -> bool:
    """libvirt did not answer: whether the guest runs is not known."""
    import libvirt

    from guivm.engine.libvirt_errors import is_connection_lost

    return isinstance(error, HostError) or (isinstance(error, libvirt.libvirtError) and is_connection_lost(error))


def _unfinished(entry: Entry, failure: GuivmError) -> GuivmError:
    return OperationError(
        f"“{entry.title}” is not finished yet. {failure.summary}",
        advice=f"{failure.advice} It is gone on with at the next try or start of guivm.".strip(),
        details=failure.details,
    )


def _must_stay(run: Run, entry: Entry) -> bool:
    """Whether something may be in use that taking back would remove; not to know is to let it be."""
    try:
        return has_switched(run, entry)
    except Exception as error:  # noqa: BLE001  (libvirt is gone, or an image cannot be read)
        _log.warning("it is not known whether “%s” has begun: %s", entry.title, error)
        return True


def take_back(run: Run, notes: Journal, failure: GuivmError | None = None) -> None:
    """Undo *prepare*. What cannot be undone is told in ``failure``, or raised without one; the journal stays then."""
    entry = notes.entry
    try:
        let_go_on(run, notes)
        _end_what_goes_on(run, entry)
        for step in entry.undo:
            if isinstance(step, steps.RunMemory):
                run_memory_back(run, step)
            else:
                do(run, step, lambda _share: None)
        for step in reversed(entry.prepare[: entry.done + 1]):
            remove_made(run, step)
        run.guest_goes_on()
        notes.end()
    except Exception as error:
        words = in_words(error)
        if failure is None:
            raise words from error
        failure.details = f"{failure.details}\n{words} {words.details}".strip()
        failure.advice = f"{failure.advice} What was begun is taken back at the next start of guivm.".strip()


def _end_what_goes_on(run: Run, entry: Entry) -> None:
    """What the step that was cut short has left: jobs of libvirt's, clusters that nobody uses."""
    step = entry.under_way
    if isinstance(step, steps.SaveMemory):
        end_save(run)
    end_live_pull(run, step)
    end_live_copy(run, step)
    mend(step)


def _found_there(error: BaseException | None) -> bool:
    """A file stood where a new one was to be made."""
    while error is not None:
        if isinstance(error, FileExistsError):
            return True
        error = error.__cause__
    return False


def in_words(error: BaseException) -> GuivmError:
    """Any failure of a step as an error of ours."""
    import libvirt

    from guivm.engine.libvirt_errors import translate

    if isinstance(error, GuivmError):
        return error
    if isinstance(error, libvirt.libvirtError):
        return translate(error, FAILED)
    if isinstance(error, OSError):
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return NoSpaceError(FAILED, advice="The disk is full: free some space.", details=str(error))
        return OperationError(FAILED, details=str(error))
    return OperationError(FAILED, details=f"{type(error).__name__}: {error}")


# --- afterwards -------------------------------------------------------------------------------------------


def _compare(context: HandlerContext, key: VmKey, plan: Plan) -> None:
    """What the headers say now beside what the plan expects. Raises OperationError when that is not the same."""
    if plan.expected is None:
        return
    import libvirt

    from guivm.engine.snapshots.reading import read_graph
    from guivm.engine.snapshots.simulate import differences

    try:
        found = differences(_concerned(plan.expected, key.uuid, plan), read_graph(context))
    except (libvirt.libvirtError, GuivmError) as error:
        _log.warning("the result of “%s” could not be looked at: %s", plan.shown.title, error)
        return
    if found:
        raise OperationError(
            f"“{plan.shown.title}” was done, but the images are not as they should be. {found[0]}",
            advice="Look at the details before you start the virtual machine.",
            details="\n".join(found),
        )


def _concerned(expected: Graph, uuid: str, plan: Plan) -> Graph:
    """Without those whom the plan has nothing to do with: they may have changed meanwhile."""
    touched = {effect.path for effect in plan.shown.effects} | set(plan.made)
    holders = tuple(
        holder
        for holder in expected.holders
        if holder.uuid == uuid
        or any(image.path in touched for disk in holder.disks for image in expected.chain(disk.path))
    )
    return replace(expected, holders=holders)


# --- progress ---------------------------------------------------------------------------------------------


def _share(context: HandlerContext, notes: Journal) -> Share:
    """Tells the job how far the whole is; steps count alike."""
    entry = notes.entry
    steps_of_all = (*entry.prepare, *entry.finish)

    def tell(share: float) -> None:
        done = notes.entry.done
        words = describe(steps_of_all[done]) if done < len(steps_of_all) else ""
        context.job.report(
            JobProgress(int((done + share) * 1000), len(steps_of_all) * 1000, unit_bytes=False, step=words)
        )

    tell(0.0)
    return tell


def describe(step: Step) -> str:
    """The step in a few words, for the progress."""
    match step:
        case steps.MakeOverlay():
            return "Making an empty image"
        case steps.CopyFile():
            return "Copying the firmware's state"
        case steps.ConvertImage():
            return "Copying a disk"
        case steps.LiveCopy():
            return "Copying the disks as they were"
        case steps.Pull() | steps.LivePull() | steps.Merge() | steps.LiveMerge():
            return "Merging images"
        case steps.SaveMemory():
            return "Writing memory"
        case steps.RunMemory():
            return "Reading memory"
        case _:
            return "Finishing"
