"""What views and the command line ask about snapshots and clones, and are answered with. Frozen; no libvirt, no I/O.

Text that came from a host or a file is already cleaned. Times are seconds since 1970, UTC.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import NewType

from guivm.engine.types import VmKey, VmState

SnapshotId = NewType("SnapshotId", str)
"""Identity of a snapshot within its VM; stays when it is renamed."""


class SnapshotMode(enum.Enum):
    """How a VM's snapshots are kept. One VM has one mode: mixing is what ruined VMs elsewhere."""

    INTERNAL = "internal"  # inside the qcow2 images, by libvirt
    BRANCH = "branch"  # frozen images with overlays, copies of NVRAM and TPM state, by us
    FOREIGN = "foreign"  # external snapshots of another tool: shown, not touched


@dataclass(frozen=True, slots=True)
class SnapshotInfo:
    """One snapshot. ``cannot_restore`` and ``cannot_delete`` say why not, in one sentence; empty: it can be."""

    id: SnapshotId
    parent: SnapshotId | None
    title: str
    notes: str
    taken_s: float
    has_memory: bool
    vm_state: VmState  # at that moment
    mode: SnapshotMode
    size_bytes: int | None = None  # what it alone holds on disk; None: not known
    pause_s: float | None = None  # how long the guest stood still while it was taken
    has_picture: bool = False
    scheduled: bool = False  # taken by the VM's policy, and given no title or notes by a person since
    cannot_restore: str = ""
    cannot_delete: str = ""


@dataclass(frozen=True, slots=True)
class SnapshotTree:
    """All snapshots of a VM, parents before children, and what can be done.

    ``current`` is the snapshot the VM's current state descends from; None: from none. ``changed``: the current state
    differs from it; None: not known. ``cannot_take`` and ``cannot_keep_memory`` say why not; ``problems`` are what is
    wrong with the VM's images: while there are any, the VM does not start.
    """

    key: VmKey
    snapshots: tuple[SnapshotInfo, ...] = ()
    current: SnapshotId | None = None
    changed: bool | None = None
    mode: SnapshotMode | None = None  # None: has none yet and the mode is chosen with the first
    cannot_take: str = ""
    cannot_keep_memory: str = ""
    cannot_skip_memory: str = ""  # why a running VM's snapshot always holds its memory
    can_quiesce: bool = False  # the guest's agent answers
    can_undo_restore: str = ""  # title of the snapshot whose restore can be undone; empty: there is nothing to undo
    problems: tuple[str, ...] = ()
    is_template: bool = False
    needed_by: tuple[str, ...] = ()  # names of the VMs (linked clones) that need this one's images
    based_on: tuple[str, ...] | None = None  # images of others that its own read from; None: not known


class FileAction(enum.Enum):
    """What a plan does to a file."""

    CREATE = "create"
    CHANGE = "change"  # its own contents change
    COPY = "copy"  # made as a copy of ``other``
    MERGE = "merge"  # takes in what ``other`` holds
    FREEZE = "freeze"  # from now on only read
    QUARANTINE = "quarantine"  # moved to ``other``, removed later when nothing refers to it


@dataclass(frozen=True, slots=True)
class FileEffect:
    """One file of a plan. ``bytes``: about how much is written, or freed in the end; None: not known."""

    action: FileAction
    path: str
    other: str = ""
    bytes: int | None = None


@dataclass(frozen=True, slots=True)
class OperationPlan:
    """What an operation would do, made now. ``refused``: why it cannot be done, naming the file; empty when it can.

    ``loses``: sentences on what will be gone. ``needs_bytes``/``free_bytes``: on the fullest of the file systems
    concerned.
    """

    key: VmKey
    title: str
    effects: tuple[FileEffect, ...] = ()
    needs_bytes: int = 0
    free_bytes: int = 0
    frees_bytes: int = 0
    loses: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    pauses_guest: bool = False
    stops_guest: bool = False
    steps: tuple[str, ...] = ()  # in words, in order
    refused: str = ""
    advice: str = ""


@dataclass(frozen=True, slots=True)
class TakenSnapshot:
    """Answer of TakeSnapshot. ``pause_s``: how long the guest stood still."""

    id: SnapshotId
    title: str
    pause_s: float = 0.0


@dataclass(frozen=True, slots=True)
class RestoredSnapshot:
    """Answer of RestoreSnapshot. ``kept``: the snapshot made of the state before, when that was wished."""

    id: SnapshotId
    kept: SnapshotId | None = None
    can_undo: bool = False


@dataclass(frozen=True, slots=True)
class SnapshotPolicy:
    """A snapshot every so many hours while the VM runs; of those taken so, the last ``keep`` are kept."""

    every_hours: int
    keep: int


# --- clones -----------------------------------------------------------------------------------------------


class CloneKind(enum.Enum):
    FULL = "full"  # its own images
    LINKED = "linked"  # overlays on the images of the source, which are frozen for it


class TpmPolicy(enum.Enum):
    FRESH = "fresh"
    COPY = "copy"


class IdentityPolicy(enum.Enum):
    """What becomes of the guest's own identity: machine-id, SSH host keys, host name, DHCP id; Windows' SID."""

    KEEP = "keep"
    RESET = "reset"


@dataclass(frozen=True, slots=True)
class CloneSpec:
    """What CloneVm is asked. ``snapshot`` None: the current state. ``name`` must be free on the host."""

    name: str
    kind: CloneKind = CloneKind.FULL
    snapshot: SnapshotId | None = None
    keep_macs: bool = False
    keep_serials: bool = False
    tpm: TpmPolicy = TpmPolicy.FRESH
    identity: IdentityPolicy = IdentityPolicy.RESET
    directory: str = ""  # of the new images; empty: beside the source's


@dataclass(frozen=True, slots=True)
class ClonedVm:
    """Answer of CloneVm. ``remarks``: what was changed by itself or could not be, in sentences."""

    key: VmKey
    name: str
    remarks: tuple[str, ...] = ()
