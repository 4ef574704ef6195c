"""What snapshots are called and said to be. Pure, except for the language."""

from __future__ import annotations

import re
from collections.abc import Iterable

from PySide6.QtCore import QCoreApplication

from guivm.engine.snapshots.values import FileAction, SnapshotInfo, SnapshotMode, SnapshotPolicy, SnapshotTree
from guivm.engine.types import VmState
from guivm.text import clean_line
from guivm.views import formats
from guivm.views.actions import N

TITLE_LIMIT = 80  # characters, as the engine has it
_SHOWN = 60
_SHORT_PAUSE_S = 0.05  # would be rounded to nothing
_CONTEXT = "Snapshots"

_MODES = {
    SnapshotMode.INTERNAL: N("Snapshots", "Inside the disk images, by libvirt"),
    SnapshotMode.BRANCH: N("Snapshots", "As frozen images, by guivm"),
    SnapshotMode.FOREIGN: N("Snapshots", "In files of another tool"),
}
_ACTIONS = {
    FileAction.CREATE: N("Snapshots", "Made new"),
    FileAction.CHANGE: N("Snapshots", "Changed"),
    FileAction.COPY: N("Snapshots", "Made as a copy"),
    FileAction.MERGE: N("Snapshots", "Takes in another"),
    FileAction.FREEZE: N("Snapshots", "Only read from now on"),
    FileAction.QUARANTINE: N("Snapshots", "Set aside, removed later"),
}


def _tr(text: str) -> str:
    return QCoreApplication.translate(_CONTEXT, text)


def mode_words(mode: SnapshotMode) -> str:
    """How the snapshots of a VM are kept."""
    return _tr(_MODES[mode])


def action_words(action: FileAction) -> str:
    return _tr(_ACTIONS[action])


def quoted(text: str) -> str:
    """A name or title for use inside a sentence."""
    return f"“{clean_line(text, _SHOWN)}”"


def short_contents(info: SnapshotInfo) -> str:
    """What a snapshot holds, in a few words."""
    return _tr(N(_CONTEXT, "memory and disks")) if info.has_memory else _tr(N(_CONTEXT, "disks only"))


def contents_sentence(info: SnapshotInfo) -> str:
    """What a snapshot holds, and what that means for who goes back to it."""
    if info.has_memory:
        return _tr(N(_CONTEXT, "Memory and disks: restored, it goes on exactly where it was."))
    if info.vm_state in (VmState.OFF, VmState.CRASHED, VmState.SAVED):
        return _tr(N(_CONTEXT, "Disks; it was off. Restored, it is off."))
    return _tr(N(_CONTEXT, "Disks only, taken while it ran: restored, it boots as after a power cut."))


def pause_sentence(pause_s: float | None) -> str:
    """How long the guest stood still; empty when it is not known."""
    if pause_s is None or pause_s <= 0:
        return ""
    if pause_s < _SHORT_PAUSE_S:
        return _tr(N(_CONTEXT, "The guest stood still for less than {time}.")).format(time=formats.duration(0.1))
    return _tr(N(_CONTEXT, "The guest stood still for {time}.")).format(time=formats.duration(pause_s))


def every_words(policy: SnapshotPolicy) -> str:
    """ "every 6 hours"."""
    if policy.every_hours % 24:
        return formats.counted(policy.every_hours, _tr(N(_CONTEXT, "every hour")), _tr(N(_CONTEXT, "every {n} hours")))
    return formats.counted(policy.every_hours // 24, _tr(N(_CONTEXT, "every day")), _tr(N(_CONTEXT, "every {n} days")))


def policy_sentence(policy: SnapshotPolicy) -> str:
    """What is taken by itself, and how much of that is kept."""
    kept = formats.counted(
        policy.keep, _tr(N(_CONTEXT, "the last one is kept")), _tr(N(_CONTEXT, "the last {n} are kept"))
    )
    return _tr(N(_CONTEXT, "A snapshot {every}, {kept}")).format(every=every_words(policy), kept=kept)


def scheduled_sentence() -> str:
    """Of a snapshot that the schedule took."""
    return _tr(N(_CONTEXT, "Taken by the schedule, which deletes it in its turn. Rename it or write notes to keep it."))


def current_title(tree: SnapshotTree | None) -> str:
    """Of the last node of the tree."""
    if tree is not None and tree.changed and tree.current is not None:
        return _tr(N(_CONTEXT, "Current state (changed)"))
    return _tr(N(_CONTEXT, "Current state"))


def proposed_title(snapshots: Iterable[SnapshotInfo]) -> str:
    """ "Snapshot 4": the first number above all that are there."""
    pattern = _tr(N(_CONTEXT, "Snapshot {n}"))
    shape = re.compile(re.escape(pattern).replace(re.escape("{n}"), r"(\d{1,9})"))
    taken = [int(found[1]) for info in snapshots if (found := shape.fullmatch(info.title)) is not None]
    return pattern.format(n=max(taken, default=0) + 1)


def title_before(title: str) -> str:
    """Title of the snapshot that keeps the state before a restore."""
    return clean_line(_tr(N(_CONTEXT, "Before restoring {title}")).format(title=quoted(title)), TITLE_LIMIT)


def descendants(tree: SnapshotTree, roots: Iterable[str]) -> list[SnapshotInfo]:
    """All below these snapshots, without them, parents first."""
    inside = set(roots)
    found: list[SnapshotInfo] = []
    for info in tree.snapshots:  # parents stand before children
        if info.parent in inside and info.id not in inside:
            inside.add(info.id)
            found.append(info)
    return found
