"""A VM's snapshot policy: the systemd units that carry it, when a snapshot is due, and which ones go. Pure.

The timer ticks each hour, whatever the policy says, and the command line decides whether a snapshot is due: so a VM
that is switched on for an hour now and then has its snapshots too. The policy is stored in the timer and nowhere else,
in a section that systemd leaves to others.

Format: systemd.unit(5) ("X-" sections, specifiers), systemd.timer(5), and systemd.service(5), "Command lines".
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from guivm.engine.snapshots.values import (
    FileAction,
    FileEffect,
    OperationPlan,
    SnapshotId,
    SnapshotInfo,
    SnapshotMode,
    SnapshotPolicy,
    SnapshotTree,
)
from guivm.engine.types import HostId, VmKey
from guivm.errors import OperationError
from guivm.text import clean_line

MAX_EVERY_HOURS = 24 * 366
MAX_KEEP = 30  # twice as many images above one another are possible in the worst case, see images.MAX_CHAIN

_SECTION = "[X-Guivm]"
_HOST_DIGITS = 8
_HOUR_S = 3600
_SLACK_S = _HOUR_S / 2  # ticks are an hour apart, and never exactly


def checked(policy: SnapshotPolicy) -> SnapshotPolicy:
    """The policy when its numbers make sense. Raises OperationError."""
    if not 1 <= policy.every_hours <= MAX_EVERY_HOURS:
        raise OperationError("Snapshots can be taken every hour at most, and every year at least.")
    if not 1 <= policy.keep <= MAX_KEEP:
        raise OperationError(f"Between 1 and {MAX_KEEP} snapshots can be kept.")
    return policy


def every_words(hours: int) -> str:
    """ "6 hours", "day", "2 days": what follows "every"."""
    count, unit = (hours // 24, "day") if hours % 24 == 0 else (hours, "hour")
    return unit if count == 1 else f"{count} {unit}s"


# --- what is to be done at a tick -------------------------------------------------------------------------


def is_due(tree: SnapshotTree, policy: SnapshotPolicy, now_s: float) -> bool:
    """Whether the last one is old enough. One from the future counts as none: the clock was set back."""
    taken = [each.taken_s for each in tree.snapshots if each.scheduled and not _is_future(each, now_s)]
    return not taken or now_s - max(taken) >= policy.every_hours * _HOUR_S - _SLACK_S


def excess(tree: SnapshotTree, policy: SnapshotPolicy, now_s: float) -> tuple[SnapshotId, ...]:
    """What may go, oldest first, and those from the future before them: only snapshots of the policy's own.

    Whether others need them is for a plan to say.
    """
    own = [each for each in tree.snapshots if each.scheduled]
    own.sort(key=lambda each: (not _is_future(each, now_s), each.taken_s))
    return tuple(each.id for each in own[: -policy.keep] if not each.cannot_delete)


def _is_future(snapshot: SnapshotInfo, now_s: float) -> bool:
    return snapshot.taken_s > now_s + _SLACK_S


def is_full(tree: SnapshotTree, policy: SnapshotPolicy) -> bool:
    """Whether so many of the policy's own could not be deleted that it must not take more."""
    return sum(each.scheduled for each in tree.snapshots) >= 2 * policy.keep


# --- units ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Caller:
    """How guivm is started: program (absolute) with arguments, and the variables that it finds its files by."""

    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Units:
    """Texts of the two files."""

    service: str
    timer: str


def unit_name(key: VmKey, kind: str) -> str:
    """File name of the VM's unit; ``kind``: "service" or "timer". Two hosts may have a VM of the same UUID."""
    host = hashlib.sha256(key.host.encode("utf-8", "surrogateescape")).hexdigest()[:_HOST_DIGITS]
    return f"guivm-snapshot-{key.uuid}-{host}.{kind}"


def old_unit_name(uuid: str, kind: str) -> str:
    """What it was called when the host was not in it."""
    return f"guivm-snapshot-{uuid}.{kind}"


def unit_texts(key: VmKey, vm_name: str, policy: SnapshotPolicy, caller: Caller) -> Units:
    """The units of a policy. ``KillMode=process``: asking libvirt may start its daemon, which is to stay, and so are
    the VMs that it starts by itself."""
    name = _escaped(clean_line(vm_name))
    command = (*caller.command, "snapshot", "take", key.uuid, "--scheduled", "--connect", key.host)
    service = [
        "[Unit]",
        f"Description=Snapshot of “{name}”",
        "",
        "[Service]",
        "Type=oneshot",
        "KillMode=process",
        *(f"Environment={_quoted(f'{variable}={value}')}" for variable, value in caller.environment),
        f"ExecStart={_command_line(command)}",
    ]
    timer = [
        "[Unit]",
        f"Description=Snapshots of “{name}”",
        "",
        "[Timer]",
        "OnCalendar=hourly",
        "RandomizedDelaySec=30min",
        "FixedRandomDelay=true",
        "Persistent=true",
        "",
        "[Install]",
        "WantedBy=timers.target",
        "",
        _SECTION,
        f"VM={key.uuid}",
        f"Host={key.host}",
        f"EveryHours={policy.every_hours}",
        f"Keep={policy.keep}",
    ]
    return Units(_text(service), _text(timer))


def read_timer(text: str) -> tuple[VmKey, SnapshotPolicy]:
    """What a timer of :func:`unit_texts` is for. Raises ValueError."""
    lines = [line.strip() for line in text.splitlines()]
    if lines.count(_SECTION) != 1:
        raise ValueError("it has no section of guivm's")
    fields: dict[str, str] = {}
    for line in lines[lines.index(_SECTION) + 1 :]:
        if line.startswith("["):
            break
        name, _, value = line.partition("=")
        if line and not line.startswith(("#", ";")):
            fields[name.strip()] = value.strip()
    if set(fields) != {"VM", "Host", "EveryHours", "Keep"}:
        raise ValueError("a field is missing or unknown")
    policy = SnapshotPolicy(_whole(fields["EveryHours"]), _whole(fields["Keep"]))
    try:
        checked(policy)
    except OperationError as error:
        raise ValueError(error.summary) from error
    return VmKey(HostId(fields["Host"]), fields["VM"]), policy


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise ValueError("a number is none")
    return int(text)


def _text(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("%", "%%")


def _command_line(command: tuple[str, ...]) -> str:
    """``:`` in front: "$" stays what it is. systemd takes no program whose name has quotes or backslashes; a shell
    does."""
    program = command[0]
    if not program.isprintable() or set(program) & set("\"'\\"):
        command = ("/bin/sh", "-c", 'exec "$0" "$@"', *command)
    return " ".join(_quoted(word) for word in (f":{command[0]}", *command[1:]))


def _quoted(word: str) -> str:
    """One word for systemd, whatever bytes a file name has."""
    found = []
    for byte in word.encode("utf-8", "surrogateescape"):
        char = chr(byte)
        if char in '"\\':
            found.append("\\" + char)
        elif char == "%":
            found.append("%%")
        elif 0x20 <= byte < 0x7F:
            found.append(char)
        else:
            found.append(f"\\x{byte:02x}")
    return '"' + "".join(found) + '"'


# --- the plan ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is known when a policy is set. ``one``: the plan of a snapshot as the policy would take it now.
    ``one_bytes``: what one takes up, by what is known. ``files``: the units' paths, and whether they are there.
    ``replaced``: units of an older name, which go."""

    one: OperationPlan
    mode: SnapshotMode
    one_bytes: int
    files: tuple[tuple[str, bool], ...]
    replaced: tuple[str, ...] = ()


def plan_policy(vm_name: str, policy: SnapshotPolicy, outlook: Outlook) -> OperationPlan:
    """What setting the policy does, and what it will take up."""
    every = every_words(policy.every_hours)
    needed = outlook.one_bytes * policy.keep
    shown = replace(
        outlook.one,
        title=f"Take a snapshot of “{clean_line(vm_name)}” every {every} while it runs and keep the last {policy.keep}",
        effects=tuple(
            FileEffect(FileAction.CHANGE if is_there else FileAction.CREATE, clean_line(path, 4096))
            for path, is_there in outlook.files
        ),
        needs_bytes=needed,
        loses=(),
        pauses_guest=False,
        steps=(
            "systemd looks once an hour whether a snapshot is due, whether the window is open or not.",
            *(f"“{clean_line(path, 4096)}”, of an older name, is removed." for path in outlook.replaced),
            f"Of the snapshots taken so, those beyond the last {policy.keep} are deleted,"
            " unless they were renamed or another virtual machine needs them.",
        ),
        refused="",
        advice="",
    )
    return replace(shown, warnings=tuple(_warnings(policy, outlook, needed)))


def _warnings(policy: SnapshotPolicy, outlook: Outlook, needed: int) -> list[str]:
    found = []
    if outlook.one.refused:
        found.append(f"At present none could be taken: {outlook.one.refused}")
    if 0 < outlook.one.free_bytes < needed:
        found.append(f"There is not enough free space for {policy.keep} of them.")
    found.append("What the guest writes between two snapshots comes on top.")
    if outlook.mode is SnapshotMode.BRANCH:
        found.append("The guest's memory is not kept: restored, it starts as after a power failure at that moment.")
        found.append(
            "Old ones can only be deleted while it is off;"
            f" when there are {2 * policy.keep} of them, no more are taken until then."
        )
    else:
        found.append("The guest stands still for as long as it takes to write its memory, each time.")
    found.append("It works while you are logged in; for always, allow it once with “loginctl enable-linger”.")
    return found


def plan_no_policy(key: VmKey, vm_name: str) -> OperationPlan:
    """What ending a policy does."""
    return OperationPlan(
        key,
        f"Take no more snapshots of “{clean_line(vm_name)}” by themselves",
        steps=("The timer is stopped and removed.", "The snapshots that were taken stay."),
    )
