"""``set``: every option of the settings from the command line, with the same requests as the dialog."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from guivm.cli.edits import Edit, Edits, parse_edits, typed
from guivm.cli.exits import Exit
from guivm.cli.output import print_json, print_table
from guivm.cli.verbs import UsageError, Verbs, add_vm
from guivm.errors import OperationError
from guivm.text import clean_line

if TYPE_CHECKING:
    from guivm.cli.session import Session
    from guivm.engine.options.draft_edits import Draft
    from guivm.engine.options.values import Change, Outcome, Place, SettingProblem, VmSettings
    from guivm.engine.types import VmInfo

_EPILOG = """\
settings, done in the order given:
  --memory SIZE  --vcpus N  --name TEXT  --title TEXT  --notes TEXT  --autostart yes|no
  --RESOURCE.OPTION VALUE             --cpu.mode host-passthrough
  --RESOURCE [DEVICE.]OPTION=VALUE …  --disk vda.cache=none vda.discard=unmap  --nic 0.model=virtio
  --add RESOURCE [OPTION=VALUE …]     --add nic mode=user
  --remove RESOURCE DEVICE            --remove disk vdb
VALUE “default” is libvirt's own, and so is “none” where that is no value itself. DEVICE is what “--list” shows, or its
number, from 0; it may be left out where there is only one.

other options:
  --list [RESOURCE]  the options with their present values; change nothing
  --dry-run          show what would change in the XML, what is wrong with it, and how it would reach a running VM
  --qemu             with --dry-run: also how libvirt would start QEMU then, without network cards and secrets
  --next-start       leave a running VM as it is
  --json             print JSON
"""


def add_verbs(verbs: Verbs) -> None:
    parser = verbs.add("set", "change the settings of a virtual machine, or list them", _set)
    parser.usage = "guivm set VM [--list [RESOURCE]] [--dry-run [--qemu]] [--next-start] [--json] [SETTING ...]"
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_vm(parser)
    # All behind VM is read by us: the catalogue that names the options is not imported for other verbs.
    parser.add_argument("edits", nargs=argparse.REMAINDER, action=_Read, help=argparse.SUPPRESS)


class _Read(argparse.Action):
    """Reads what follows the VM; what all verbs share goes where they look for it."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[object] | None,
        option_string: str | None = None,
    ) -> None:
        words = [] if values is None else [str(value) for value in values]
        if {"-h", "--help"} & set(words):
            parser.print_help()
            parser.exit()
        try:
            edits = parse_edits(words)
        except UsageError as error:
            parser.error(str(error))
        if edits.as_json:
            namespace.json = True
        if edits.connect:
            namespace.connect = [*getattr(namespace, "connect", []), *edits.connect]
        namespace.edits = edits


def _set(session: Session, arguments: argparse.Namespace) -> int:
    from guivm.engine.options.draft_edits import Draft
    from guivm.engine.requests import ApplySettings, ReadSettings

    edits: Edits = arguments.edits
    vm = session.find(arguments.vm)
    settings = session.ask(ReadSettings(vm.key))
    draft = Draft(settings)
    if edits.listed is not None:
        return _list(session, draft, edits.listed)
    for edit in edits.edits:
        _do(draft, edit)
    changes = draft.changes()
    autostart = edits.autostart if edits.autostart != settings.autostart else None
    if not changes and autostart is None and not draft.is_changed and not edits.qemu:
        return _nothing(session, vm)
    problems = _new_problems(session, vm, settings.xml, draft.xml) if draft.is_changed else ()
    if edits.dry_run:
        return _dry_run(session, vm, draft, edits, problems)
    _tell(problems)
    applied = session.ask(
        ApplySettings(vm.key, base=settings.xml, xml=draft.xml, live=not edits.next_start, autostart=autostart)
    )
    _print_outcomes(session, vm, settings, applied.outcomes, autostart)
    return Exit.OK


def _new_problems(session: Session, vm: VmInfo, base: str, xml: str) -> tuple[SettingProblem, ...]:
    """What was wrong before is no reason not to change something else: it becomes a warning."""
    from dataclasses import replace

    from guivm.engine.requests import CheckSettings

    problems = session.ask(CheckSettings(vm.key, xml))
    if all(problem.is_warning for problem in problems):
        return problems
    old = {(problem.place, problem.message) for problem in session.ask(CheckSettings(vm.key, base))}
    return tuple(
        replace(problem, is_warning=True) if (problem.place, problem.message) in old else problem
        for problem in problems
    )


def _do(draft: Draft, edit: Edit) -> None:
    try:
        match edit.verb:
            case "add":
                draft.add(edit.resource, edit.values)
            case "remove":
                draft.remove(edit.resource, edit.device)
            case _:
                draft.set(edit.resource, edit.device, *edit.values[0])
    except ValueError as error:
        raise OperationError(str(error), advice="See “guivm set VM --list”.") from error


def _nothing(session: Session, vm: VmInfo) -> int:
    if session.as_json:
        print_json({"uuid": vm.key.uuid, "name": vm.name, "changes": []})
    else:
        print("Nothing to change.")
    return Exit.OK


# --- what would be done -----------------------------------------------------------------------------------


def _dry_run(session: Session, vm: VmInfo, draft: Draft, edits: Edits, problems: Sequence[SettingProblem]) -> int:
    from guivm.engine.requests import ReadQemuCommand

    command = session.ask(ReadQemuCommand(vm.key, draft.xml)) if edits.qemu else ""
    reaches = [(change, draft.may_be_live(change) and not edits.next_start) for change in draft.changes()]
    if session.as_json:
        print_json(
            {
                "uuid": vm.key.uuid,
                "name": vm.name,
                "diff": draft.diff(),
                "changes": [_change_values(change) | {"reach": _reach(live)} for change, live in reaches],
                "problems": [_problem_values(problem) for problem in problems],
            }
            | ({"qemu": command} if edits.qemu else {})
        )
    else:
        print(draft.diff(), end="")
        for change, live in reaches:
            ending = ""
            if draft.is_running:
                ending = "; at once, if the guest takes it" if live else "; from the next start on"
            print(f"{_change_words(change)}{ending}")
        for problem in problems:
            print(f"{'warning' if problem.is_warning else 'problem'}: {_problem_words(problem)}")
            if _remedy(problem):
                print(f"  try: {_remedy(problem)}")
        if edits.qemu:
            print(command)
    return Exit.FAILED if any(not problem.is_warning for problem in problems) else Exit.OK


def _tell(problems: Sequence[SettingProblem]) -> None:
    """Warnings on stderr; raises OperationError when anything is worse."""
    import sys

    for problem in problems:
        if problem.is_warning:
            print(f"guivm: warning: {_problem_words(problem)}", file=sys.stderr)
            if _remedy(problem):
                print(f"guivm: try: {_remedy(problem)}", file=sys.stderr)
    worst = [problem for problem in problems if not problem.is_warning]
    if worst:
        summary = " ".join(_problem_words(problem) for problem in worst)
        remedies = "; ".join(dict.fromkeys(filter(None, map(_remedy, worst))))
        raise OperationError(summary, advice=remedies and f"Try: {remedies}")


def _print_outcomes(
    session: Session, vm: VmInfo, settings: VmSettings, outcomes: Sequence[Outcome], autostart: bool | None
) -> None:
    if session.as_json:
        changes = [
            _change_values(outcome.change) | {"reach": outcome.reach.value, "reason": outcome.reason}
            for outcome in outcomes
        ]
        known = {} if autostart is None else {"autostart": autostart}
        print_json({"uuid": vm.key.uuid, "name": vm.name, "changes": changes, **known})
        return
    for outcome in outcomes:
        words = ""
        if settings.live_xml:
            words = "; done" if outcome.reach.value == "live" else "; from the next start on"
            words += f" ({outcome.reason})" if outcome.reason else ""
        print(f"{_change_words(outcome.change)}{words}")
    if autostart is not None:
        print(f"Starts with the host: {'yes' if autostart else 'no'}")


def _reach(live: bool) -> str:
    return "live" if live else "next-start"


def _change_words(change: Change) -> str:
    match change.kind.value:
        case "added":
            return f"{change.device}: added ({change.new})" if change.new else f"{change.device}: added"
        case "removed":
            return f"{change.device}: removed"
    return f"{change.device}: {change.label}: {change.old or '(nothing)'} → {change.new or '(nothing)'}"


def _change_values(change: Change) -> dict[str, object]:
    return _place_values(change.place) | {
        "kind": change.kind.value,
        "label": change.label,
        "old": change.old,
        "new": change.new,
    }


def _place_values(place: Place) -> dict[str, object]:
    return {"resource": place.resource, "device": place.device, "option": place.option}


def _problem_values(problem: SettingProblem) -> dict[str, object]:
    return _place_values(problem.place) | {
        "message": problem.message,
        "warning": problem.is_warning,
        "command": problem.command,
        "try": _remedy(problem),
    }


def _remedy(problem: SettingProblem) -> str:
    """What to type: another setting, or a command for the shell; empty where neither is known."""
    from guivm.engine.options.values import AccessFix, EditFix

    match problem.fix:
        case EditFix(place=place, value=value):
            return clean_line(typed(place.resource, place.device, place.option, value), 1000)
        case AccessFix() as fix:
            return clean_line(fix.command, 2000)
    return problem.command


def _problem_words(problem: SettingProblem) -> str:
    place = problem.place
    words = ".".join(part for part in (place.resource, place.device, place.option) if part)
    return f"{words}: {problem.message}" if words else problem.message


# --- lists ------------------------------------------------------------------------------------------------


def _list(session: Session, draft: Draft, resource: str) -> int:
    try:
        listed = draft.listed(resource)
    except ValueError as error:
        raise OperationError(str(error)) from error
    if session.as_json:
        print_json(
            [
                {
                    "resource": part.resource,
                    "device": part.device,
                    "name": part.name,
                    "summary": part.summary,
                    "options": [
                        {
                            "option": row.option,
                            "value": row.value,
                            "words": row.words,
                            "help": row.help,
                            "refusal": row.refusal,
                            "live": row.live,
                            "choices": list(row.choices),
                        }
                        for row in part.rows
                    ],
                }
                for part in listed
            ]
        )
        return Exit.OK
    for part in listed:
        title = f"{part.name} (--{part.resource}{' ' + part.device if part.device else ''})"
        print(f"{title}: {part.summary}" if part.summary else title)
        if resource and part.rows:
            print_table(
                [
                    ("OPTION", "VALUE", ""),
                    *((f"  {row.option}", row.words, row.refusal or row.help) for row in part.rows),
                ]
            )
    return Exit.OK
