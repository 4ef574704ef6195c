"""Snapshots inside the images that nobody is shown: the one for Undo, and what a cancelled operation left.

Which is which is told by ``FOLDER/inside.json``, replaced as a whole, and written before there is anything to be told.
A hidden snapshot that it does not name as the one for Undo is a leftover: the next operation on the VM removes it.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from guivm.engine.context import HandlerContext
from guivm.engine.files import fsync_directory, fsync_file, make_private_folder
from guivm.engine.snapshots import store
from guivm.engine.snapshots.situation import Situation
from guivm.errors import OperationError

UNDO_NAMES = ("guivm-undo", "guivm-undo-2")
"""Names of the snapshot kept for Undo, in turn: libvirt renames none, and the older stays until there is a newer."""

NAME = "inside.json"

_VERSION = 1
_MAX_BYTES = 1 << 20
_SAME_S = 10.0  # libvirt's clock is ours, and it notes the time when it begins


@dataclass(frozen=True, slots=True)
class Notes:
    """``undo``: the snapshot that the last restore can be undone with; empty: none. ``unwanted``: those that are to be
    removed as soon as they are there, with the time (seconds since 1970) at which they were begun: another tool may
    give the same name later."""

    undo: str = ""
    unwanted: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))

    def means(self, name: str, taken_s: float) -> bool:
        """Whether it is one of the unwanted."""
        begun_s = self.unwanted.get(name)
        return begun_s is not None and abs(taken_s - begun_s) < _SAME_S


@dataclass(frozen=True, slots=True)
class Hidden:
    """Parents of the hidden snapshots by name, and which of them is for Undo; empty: none is."""

    parents: Mapping[str, str]
    undo: str

    @property
    def leftovers(self) -> tuple[str, ...]:
        return tuple(name for name in self.parents if name != self.undo)

    def shown(self, name: str) -> str:
        """The snapshot itself or, of a hidden one, the next above it that is shown; empty: none is."""
        while name in self.parents:
            name = self.parents[name]
        return name


def read(context: HandlerContext, seen: Situation) -> Hidden:
    """Of the snapshots that were seen."""
    notes = load(folder_of(context, seen))
    parents = {
        each.name: each.parent
        for each in seen.snapshots
        if each.name in UNDO_NAMES or (notes is not None and notes.means(each.name, each.taken_s))
    }
    undo = UNDO_NAMES[0] if notes is None else notes.undo  # earlier versions had one name, and no notes
    return Hidden(parents, undo if undo in parents else "")


def folder_of(context: HandlerContext, seen: Situation) -> Path:
    return store.folder_of(context.images_dir, seen.key.uuid)


def load(folder: Path) -> Notes | None:
    """None: there are none, or they cannot be understood."""
    try:
        with (folder / NAME).open("rb") as stream:
            value = json.loads(stream.read(_MAX_BYTES))
        match value:
            case {"version": 1, "undo": str(undo), "unwanted": dict(unwanted)}:
                return Notes(undo, {str(name): float(begun_s) for name, begun_s in unwanted.items()})
    except (OSError, ValueError, TypeError, RecursionError):
        pass
    return None


def save(folder: Path, notes: Notes) -> None:
    """Durably. Raises OperationError; then the old ones are there."""
    part = folder / f"{NAME}.part"
    value = {"version": _VERSION, "undo": notes.undo, "unwanted": dict(notes.unwanted)}
    try:
        make_private_folder(folder)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as stream:
            json.dump(value, stream)
        fsync_file(part)
        part.replace(folder / NAME)
        fsync_directory(folder)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise OperationError(
            "The folder of its snapshots cannot be written.",
            advice="Check its permissions, and the free space.",
            details=str(error),
        ) from error


def note_unwanted(folder: Path, undo: str, name: str, begun_s: float) -> None:
    """From now on that one is hidden, and removed by the next operation. Raises OperationError."""
    notes = load(folder) or Notes(undo)
    save(folder, replace(notes, unwanted={**notes.unwanted, name: begun_s}))
