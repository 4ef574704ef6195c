"""What a person wishes to be done about snapshots and clones, on its way from page or menu to the commands."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from guivm.engine.snapshots.values import SnapshotId, SnapshotTree
from guivm.engine.types import VmKey


class Verb(enum.Enum):
    """The values are ids of actions (guivm.views.actions) where there is one."""

    TAKE = "take-snapshot"
    RESTORE = "restore-snapshot"
    DELETE = "delete-snapshot"
    UNDO = "undo-restore"
    POLICY = "snapshot-policy"
    CLONE = "clone"
    TEMPLATE = "template"
    DETACH = "detach-clone"
    DISPOSABLE = "start-disposable"


@dataclass(frozen=True, slots=True)
class Wish:
    """``tree``: what the person was looking at, where it was known already."""

    verb: Verb
    key: VmKey
    snapshots: tuple[SnapshotId, ...] = ()
    tree: SnapshotTree | None = None
