"""``guivm snapshot …``, ``clone``, ``template``: states of a VM that can be had back, and copies of it."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

from guivm.cli.exits import Exit
from guivm.cli.output import jsonable, print_json, print_plan, print_table, size_words
from guivm.cli.snapshot_policy import add_policy, policy, take_scheduled
from guivm.cli.verbs import UsageError, Verbs, add_vm
from guivm.errors import OperationError

if TYPE_CHECKING:
    from guivm.cli.session import Session
    from guivm.engine.requests import PlanOperation
    from guivm.engine.snapshots.values import SnapshotId, SnapshotInfo, SnapshotTree
    from guivm.engine.types import VmKey

Run = Callable[["Session", argparse.Namespace], int]


def add_verbs(verbs: Verbs) -> None:
    parser = verbs.add("snapshot", "list, take, restore and delete snapshots", _run, json_output=False)
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True, title="actions")

    def add(name: str, help_text: str, run: Run, *, plans: bool = False) -> argparse.ArgumentParser:
        action = actions.add_parser(name, help=help_text, description=help_text[0].upper() + help_text[1:])
        action.add_argument("--json", action="store_true", help="print JSON")
        action.add_argument("--connect", metavar="URI", action="append", default=argparse.SUPPRESS, help="libvirt URI")
        if plans:
            _add_dry_run(action)
        action.set_defaults(snapshot_run=run)
        add_vm(action)
        return action

    add("list", "list the snapshots of a virtual machine as a tree", _list)
    take = add("take", "take a snapshot; of a running virtual machine with its memory", _take, plans=True)
    take.add_argument("title", metavar="TITLE", nargs="?", help="default: the present date and time")
    take.add_argument("--notes", default="", metavar="TEXT")
    take.add_argument("--no-memory", action="store_true", help="of a running virtual machine: its disks only")
    take.add_argument("--quiesce", action="store_true", help="let the guest's agent bring its file systems to rest")
    take.add_argument(
        "--scheduled", action="store_true", help="for timers: as its policy wants it, and only when one is due"
    )
    restore = add("restore", "make a virtual machine what it was", _restore, plans=True)
    _add_snapshot(restore)
    restore.add_argument(
        "--discard",
        action="store_true",
        help="do not take a snapshot of the present state first (Undo still brings it back)",
    )
    add("undo-restore", "bring back what the last restore replaced", _undo, plans=True)
    delete = add("delete", "delete snapshots; what others need of them is kept", _delete, plans=True)
    delete.add_argument("snapshots", metavar="SNAPSHOT", nargs="+", help="title or identity")
    delete.add_argument("--children", action="store_true", help="and all below them")
    edit = add("edit", "give a snapshot another title or other notes", _edit)
    _add_snapshot(edit)
    edit.add_argument("--title", default=None)
    edit.add_argument("--notes", default=None, metavar="TEXT")
    add_policy(
        add("policy", "take snapshots by themselves while a virtual machine runs; alone: show that", policy, plans=True)
    )

    clone = verbs.add("clone", "make a copy of a virtual machine", _clone)
    add_vm(clone)
    clone.add_argument("name", metavar="NAME", help="of the copy")
    clone.add_argument("--linked", action="store_true", help="share the source's images instead of copying them")
    clone.add_argument(
        "--from-snapshot", metavar="SNAPSHOT", default="", help="title or identity; default: as it is now"
    )
    clone.add_argument(
        "--keep-macs", action="store_true", help="the same network addresses; never run both in one network"
    )
    clone.add_argument("--keep-serials", action="store_true", help="the same serial numbers of disks")
    clone.add_argument(
        "--keep-identity", action="store_true", help="leave machine-id, SSH keys and host name as they are"
    )
    clone.add_argument("--copy-tpm", action="store_true", help="copy the TPM's state instead of a fresh TPM")
    clone.add_argument("--directory", metavar="DIR", default="", help="of the new images; default: beside the source's")
    _add_dry_run(clone)
    template = verbs.add(
        "template", "make a virtual machine a template that can only be cloned, or turn it back", _template
    )
    add_vm(template)
    template.add_argument("on", metavar="yes|no", choices=("yes", "no"))
    _add_dry_run(template)
    run = verbs.add("run", "start a virtual machine, on request so that it forgets everything afterwards", _start)
    add_vm(run)
    run.add_argument("--disposable", action="store_true", help="throw away all that it writes, at power-off")
    _add_dry_run(run)
    detach = verbs.add("detach", "make a linked clone independent of its source", _detach)
    add_vm(detach)
    _add_dry_run(detach)


def _add_dry_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="only print what would happen to which file")


def _add_snapshot(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("snapshot", metavar="SNAPSHOT", help="title or identity")


def _run(session: Session, arguments: argparse.Namespace) -> int:
    run: Run = arguments.snapshot_run
    return run(session, arguments)


# --- reading ----------------------------------------------------------------------------------------------


def _tree(session: Session, key: VmKey) -> SnapshotTree:
    from guivm.engine.requests import ReadSnapshots

    return session.ask(ReadSnapshots(key))


def _find(tree: SnapshotTree, wanted: str) -> SnapshotInfo:
    """By identity, or by title when only one has it. Raises OperationError."""
    found = [each for each in tree.snapshots if each.id == wanted] or [
        each for each in tree.snapshots if each.title == wanted
    ]
    if not found:
        raise OperationError(f"There is no snapshot “{wanted}”.", advice="See “guivm snapshot list VM”.")
    if len(found) > 1:
        raise OperationError(f"Several snapshots are titled “{wanted}”.", advice="Name its identity (with --json).")
    return found[0]


def _list(session: Session, arguments: argparse.Namespace) -> int:
    tree = _tree(session, session.find(arguments.vm).key)
    if session.as_json:
        print_json(jsonable(asdict(tree)))
        return Exit.OK
    rows: list[tuple[str, ...]] = [("SNAPSHOT", "TAKEN", "MEMORY", "SIZE", "NOTES")]
    rows += [_row(tree, each, depth) for each, depth in _ordered(tree)]
    if tree.current is None or not tree.snapshots:
        rows.append(("* Current state", "", "", "", ""))
    print_table(rows)
    for problem in tree.problems:
        print(f"! {problem}")
    return Exit.OK


def _ordered(tree: SnapshotTree) -> list[tuple[SnapshotInfo | None, int]]:
    """Depth first, the current state below its parent (None)."""
    below: dict[SnapshotId | None, list[SnapshotInfo]] = {}
    for each in tree.snapshots:
        below.setdefault(each.parent, []).append(each)
    found: list[tuple[SnapshotInfo | None, int]] = []
    waiting: list[tuple[SnapshotInfo | None, int]] = [(each, 0) for each in reversed(below.get(None, []))]
    while waiting:
        shown, depth = waiting.pop()
        found.append((shown, depth))
        if shown is not None:
            if shown.id == tree.current:
                waiting.append((None, depth + 1))
            waiting.extend((child, depth + 1) for child in reversed(below.get(shown.id, [])))
    return found


def _row(tree: SnapshotTree, each: SnapshotInfo | None, depth: int) -> tuple[str, ...]:
    if each is None:
        return ("  " * depth + "* Current state" + (" (changed)" if tree.changed else ""), "", "", "", "")
    taken = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(each.taken_s))
    size = "" if each.size_bytes is None else size_words(each.size_bytes)
    notes = each.notes.splitlines()[0] if each.notes else ""
    return ("  " * depth + each.title, taken, "yes" if each.has_memory else "no", size, notes)


# --- plans ------------------------------------------------------------------------------------------------


def _planned(session: Session, arguments: argparse.Namespace, request: PlanOperation) -> int | None:
    """With --dry-run: print the plan and answer the exit code."""
    if not arguments.dry_run:
        return None
    plan = session.ask(request)
    if session.as_json:
        print_json(jsonable(asdict(plan)))
    else:
        print_plan(plan)
    return Exit.FAILED if plan.refused else Exit.OK


def _take(session: Session, arguments: argparse.Namespace) -> int:
    from guivm.engine.requests import PlanOperation, TakeSnapshot

    if arguments.scheduled:
        others = (arguments.notes, arguments.no_memory, arguments.quiesce, arguments.dry_run)
        if arguments.title is not None or any(others):
            raise UsageError("--scheduled goes with nothing but the virtual machine")
        return take_scheduled(session, arguments)
    if arguments.quiesce and not arguments.no_memory:
        raise UsageError("--quiesce goes with --no-memory: with its memory a guest needs no rest")
    vm = session.find(arguments.vm)
    title = time.strftime("%Y-%m-%d %H:%M:%S") if arguments.title is None else arguments.title
    request = TakeSnapshot(vm.key, title, arguments.notes, not arguments.no_memory, arguments.quiesce)
    code = _planned(session, arguments, PlanOperation(vm.key, request))
    if code is not None:
        return code
    taken = session.ask(request)
    if session.as_json:
        print_json(jsonable(asdict(taken)))
    elif taken.pause_s >= 0.05:
        print(f"“{taken.title}” was taken; the guest stood still for {taken.pause_s:.1f} s.")
    return Exit.OK


def _restore(session: Session, arguments: argparse.Namespace) -> int:
    from guivm.engine.requests import PlanOperation, RestoreSnapshot

    vm = session.find(arguments.vm)
    snapshot = _find(_tree(session, vm.key), arguments.snapshot)
    keep = "" if arguments.discard else f"Before restoring “{snapshot.title}”"[:80]
    request = RestoreSnapshot(vm.key, snapshot.id, keep)
    code = _planned(session, arguments, PlanOperation(vm.key, request))
    if code is not None:
        return code
    restored = session.ask(request)
    if session.as_json:
        print_json(jsonable(asdict(restored)))
    elif restored.can_undo:
        print(f"Restored. To go back: guivm snapshot undo-restore {arguments.vm}")
    return Exit.OK


def _undo(session: Session, arguments: argparse.Namespace) -> int:
    from guivm.engine.requests import PlanOperation, UndoRestore

    vm = session.find(arguments.vm)
    request = UndoRestore(vm.key)
    code = _planned(session, arguments, PlanOperation(vm.key, request))
    if code is not None:
        return code
    session.ask(request)
    session.print_vm(vm)
    return Exit.OK


def _delete(session: Session, arguments: argparse.Namespace) -> int:
    from guivm.engine.requests import DeleteSnapshots, PlanOperation

    vm = session.find(arguments.vm)
    tree = _tree(session, vm.key)
    chosen = tuple(dict.fromkeys(_find(tree, each).id for each in arguments.snapshots))
    request = DeleteSnapshots(vm.key, chosen, arguments.children)
    code = _planned(session, arguments, PlanOperation(vm.key, request))
    if code is not None:
        return code
    session.ask(request)
    if session.as_json:
        print_json(jsonable(asdict(_tree(session, vm.key))))
    return Exit.OK


def _edit(session: Session, arguments: argparse.Namespace) -> int:
    from guivm.engine.requests import EditSnapshot

    if arguments.title is None and arguments.notes is None:
        raise UsageError("there is nothing to change: say --title or --notes")
    vm = session.find(arguments.vm)
    snapshot = _find(_tree(session, vm.key), arguments.snapshot)
    title = snapshot.title if arguments.title is None else arguments.title
    notes = snapshot.notes if arguments.notes is None else arguments.notes
    session.ask(EditSnapshot(vm.key, snapshot.id, title, notes))
    if session.as_json:
        print_json(jsonable(asdict(_tree(session, vm.key))))
    return Exit.OK


# --- clones -----------------------------------------------------------------------------------------------


def _clone(session: Session, arguments: argparse.Namespace) -> int:
    from guivm.engine.requests import CloneVm, PlanOperation
    from guivm.engine.snapshots.values import CloneKind, CloneSpec, IdentityPolicy, TpmPolicy

    vm = session.find(arguments.vm)
    wanted = arguments.from_snapshot
    request = CloneVm(
        vm.key,
        CloneSpec(
            name=arguments.name,
            kind=CloneKind.LINKED if arguments.linked else CloneKind.FULL,
            snapshot=_find(_tree(session, vm.key), wanted).id if wanted else None,
            keep_macs=arguments.keep_macs,
            keep_serials=arguments.keep_serials,
            tpm=TpmPolicy.COPY if arguments.copy_tpm else TpmPolicy.FRESH,
            identity=IdentityPolicy.KEEP if arguments.keep_identity else IdentityPolicy.RESET,
            directory=arguments.directory,
        ),
    )
    code = _planned(session, arguments, PlanOperation(vm.key, request))
    if code is not None:
        return code
    cloned = session.ask(request)
    if session.as_json:
        print_json({"uuid": cloned.key.uuid, "name": cloned.name, "remarks": list(cloned.remarks)})
        return Exit.OK
    for remark in cloned.remarks:
        print(remark)
    return Exit.OK


def _start(session: Session, arguments: argparse.Namespace) -> int:
    from guivm.engine.requests import PlanOperation, Start, StartDisposable

    if arguments.dry_run and not arguments.disposable:
        raise UsageError("--dry-run goes with --disposable: an ordinary start makes no files")
    vm = session.find(arguments.vm)
    if not arguments.disposable:
        session.ask(Start(vm.key))
    else:
        request = StartDisposable(vm.key)
        code = _planned(session, arguments, PlanOperation(vm.key, request))
        if code is not None:
            return code
        session.ask(request)
    session.print_vm(vm)
    return Exit.OK


def _template(session: Session, arguments: argparse.Namespace) -> int:
    from guivm.engine.requests import PlanOperation, SetTemplate

    vm = session.find(arguments.vm)
    request = SetTemplate(vm.key, arguments.on == "yes")
    code = _planned(session, arguments, PlanOperation(vm.key, request))
    if code is not None:
        return code
    session.ask(request)
    session.print_vm(vm)
    return Exit.OK


def _detach(session: Session, arguments: argparse.Namespace) -> int:
    from guivm.engine.requests import DetachClone, PlanOperation

    vm = session.find(arguments.vm)
    request = DetachClone(vm.key)
    code = _planned(session, arguments, PlanOperation(vm.key, request))
    if code is not None:
        return code
    session.ask(request)
    session.print_vm(vm)
    return Exit.OK
