"""``guivm snapshot policy``, and what its timer calls: ``guivm snapshot take VM --scheduled``."""

from __future__ import annotations

import argparse
import re
import shlex
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from guivm.cli.exits import Exit
from guivm.cli.output import jsonable, print_json, print_plan, size_words
from guivm.cli.verbs import UsageError
from guivm.errors import BusyError, GuivmError, OperationError, UnsupportedError, VmNotFoundError

if TYPE_CHECKING:
    from guivm.cli.session import Session
    from guivm.engine.snapshots.values import SnapshotId, SnapshotPolicy, SnapshotTree, TakenSnapshot
    from guivm.engine.types import VmKey

_KEEP = 7
_EVERY = re.compile(r"([0-9]{1,5})([hd])")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def add_policy(parser: argparse.ArgumentParser) -> None:
    """The options of ``guivm snapshot policy``."""
    parser.add_argument("--every", metavar="6h|1d", type=_hours, help="hours or days between two snapshots")
    parser.add_argument("--keep", metavar="N", type=int, help=f"how many of them are kept; default: {_KEEP}")
    parser.add_argument("--off", action="store_true", help="take no more; those that were taken stay")


def _hours(text: str) -> int:
    found = _EVERY.fullmatch(text.strip().lower())
    if found is None:
        raise argparse.ArgumentTypeError(f"“{text}” is no number of hours or days; write for example 6h or 1d")
    return int(found[1]) * (24 if found[2] == "d" else 1)


def policy(session: Session, arguments: argparse.Namespace) -> int:
    """Show, set or end a VM's policy."""
    from guivm.engine.requests import PlanOperation, ReadSnapshotPolicy, SetSnapshotPolicy

    if arguments.off and (arguments.every is not None or arguments.keep is not None):
        raise UsageError("--off goes with neither --every nor --keep")
    changes = arguments.off or arguments.every is not None or arguments.keep is not None
    if not changes:
        if arguments.dry_run:
            raise UsageError("--dry-run goes with --every, --keep or --off")
        _show(session, session.ask(ReadSnapshotPolicy(session.find(arguments.vm).key)))
        return Exit.OK
    if arguments.off and not arguments.dry_run:
        session.ask(SetSnapshotPolicy(_perhaps_gone(session, arguments.vm), None))
        _show(session, None)
        return Exit.OK
    key = session.find(arguments.vm).key
    request = SetSnapshotPolicy(key, None if arguments.off else _wanted(session, key, arguments))
    plan = session.ask(PlanOperation(key, request))
    if arguments.dry_run:
        if session.as_json:
            print_json(jsonable(asdict(plan)))
        else:
            print_plan(plan)
        return Exit.FAILED if plan.refused else Exit.OK
    session.ask(request)
    _show(session, request.policy)
    if not session.as_json:
        print(f"They need about {size_words(plan.needs_bytes)}; free: {size_words(plan.free_bytes)}.")
        for warning in plan.warnings:
            print(f"Note: {warning}")
    return Exit.OK


def _perhaps_gone(session: Session, wanted: str) -> VmKey:
    """Another program may have deleted it: its timer can be ended all the same. Raises VmNotFoundError."""
    from guivm.engine.types import VmKey

    try:
        return session.find(wanted).key
    except VmNotFoundError:
        if len(session.hosts) != 1 or not _UUID.fullmatch(wanted.lower()):
            raise
        return VmKey(session.hosts[0], wanted.lower())


def _wanted(session: Session, key: VmKey, arguments: argparse.Namespace) -> SnapshotPolicy:
    """What is not said stays as it is. Raises UsageError."""
    from guivm.engine.requests import ReadSnapshotPolicy
    from guivm.engine.snapshots.values import SnapshotPolicy

    every: int | None = arguments.every
    keep: int | None = arguments.keep
    now = session.ask(ReadSnapshotPolicy(key)) if every is None or keep is None else None
    if every is None:
        if now is None:
            raise UsageError("it has no policy yet: say --every too")
        every = now.every_hours
    if keep is None:
        keep = _KEEP if now is None else now.keep
    return SnapshotPolicy(every, keep)


def _show(session: Session, found: SnapshotPolicy | None) -> None:
    from guivm.engine.snapshots.policy import every_words

    if session.as_json:
        print_json(None if found is None else asdict(found))
    elif found is None:
        print("No snapshots are taken by themselves.")
    else:
        print(f"A snapshot is taken every {every_words(found.every_hours)} while it runs; kept: the last {found.keep}.")


# --- what the timer calls ---------------------------------------------------------------------------------


def take_scheduled(session: Session, arguments: argparse.Namespace) -> int:
    """A snapshot when one is due, and away with those beyond the policy's number.

    Nothing, and no failure, when the VM is gone, not running or thrown away at power-off, or when its files are busy.
    """
    from guivm.engine.requests import ReadSnapshotPolicy

    taken: TakenSnapshot | None = None
    deleted: tuple[SnapshotId, ...] = ()
    failure: GuivmError | None = None
    try:
        vm = session.find(arguments.vm)
        found = session.ask(ReadSnapshotPolicy(vm.key))
        if found is None:
            raise OperationError(f"“{vm.name}” has no snapshot policy.", advice="See “guivm snapshot policy --help”.")
        try:
            taken = _take_due(session, vm.key, found)
        except BusyError:
            raise
        except GuivmError as error:
            failure = error  # what is too much goes all the same
        if taken is not None and not session.as_json:
            print(f"“{taken.title}” was taken.")
        try:
            deleted = _trim(session, vm.key, found)
        except BusyError:
            raise
        except GuivmError as error:
            failure = failure or error
    except VmNotFoundError as reason:
        end = ("guivm", "snapshot", "policy", arguments.vm, "--off", "--connect", session.hosts[0])
        _say(session, f"Nothing is done. {reason.summary} To end its policy: {shlex.join(end)}")
    except BusyError as reason:
        _say(session, f"The next time perhaps. {reason.summary}")
    if failure is not None:
        if failure.details:
            print(failure.details, file=sys.stderr)  # for systemd's journal: nobody can ask for them later
        raise failure
    if session.as_json:
        print_json(jsonable({"taken": None if taken is None else asdict(taken), "deleted": deleted}))
    return Exit.OK


def _say(session: Session, text: str) -> None:
    if not session.as_json:
        print(text)


def _take_due(session: Session, key: VmKey, found: SnapshotPolicy) -> TakenSnapshot | None:
    """Raises GuivmError."""
    from guivm.engine.snapshots.policy import is_due, is_full
    from guivm.engine.types import VmState

    vm = next((each for each in session.complete_vms() if each.key == key), None)
    if vm is None or vm.state is not VmState.RUNNING or vm.is_disposable:
        return None
    tree = _tree(session, key)
    if not is_due(tree, found, time.time()):
        return None
    if is_full(tree, found):
        _trim(session, key, found)
        tree = _tree(session, key)
        if is_full(tree, found):
            raise OperationError(
                f"No more snapshots of “{vm.name}” are taken: old ones of its policy could not be deleted.",
                advice="Shut it down for a while, so that they can be, or delete or rename some yourself.",
            )
    return _take(session, key, tree)


def _take(session: Session, key: VmKey, tree: SnapshotTree) -> TakenSnapshot:
    """Without memory where that can be: the guest hardly notices. Raises GuivmError."""
    from guivm.engine.requests import TakeSnapshot

    title = time.strftime("%Y-%m-%d %H:%M (scheduled)")
    memory = bool(tree.cannot_skip_memory)
    if tree.can_quiesce and not memory:
        try:
            return session.ask(TakeSnapshot(key, title, memory=False, quiesce=True, scheduled=True))
        except BusyError:
            raise
        except (OperationError, UnsupportedError):
            pass  # the agent may be asleep
    return session.ask(TakeSnapshot(key, title, memory=memory, scheduled=True))


def _trim(session: Session, key: VmKey, found: SnapshotPolicy) -> tuple[SnapshotId, ...]:
    """Delete what is too much, one after another; what cannot be deleted now stays. Raises GuivmError."""
    from guivm.engine.requests import DeleteSnapshots, PlanOperation
    from guivm.engine.snapshots.policy import excess

    deleted = []
    for each in excess(_tree(session, key), found, time.time()):
        request = DeleteSnapshots(key, (each,))
        if not session.ask(PlanOperation(key, request)).refused:
            session.ask(request)
            deleted.append(each)
    return tuple(deleted)


def _tree(session: Session, key: VmKey) -> SnapshotTree:
    from guivm.engine.requests import ReadSnapshots

    return session.ask(ReadSnapshots(key))
