"""Frozen values that cross threads. No Qt, no libvirt.

Units are in the names: ``_kib`` is 1024 bytes (libvirt's own unit for memory), ``_bytes`` is bytes.
Text that came from a host is already cleaned (see :mod:`guivm.text`) and safe to show as plain text.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import NewType

HostId = NewType("HostId", str)
"""Identity of a connection: its libvirt URI, normalised."""


@dataclass(frozen=True, slots=True, order=True)
class VmKey:
    """Identity of a VM for the life of the application: host and libvirt UUID (lower-case, dashed)."""

    host: HostId
    uuid: str


class HostState(enum.Enum):
    """State of a connection; see ``engine/connection.py`` for the transitions."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    RECONNECTING = "reconnecting"  # lost; tries go on by themselves
    FAILED = "failed"  # cannot work without the person (authentication, bad URI, engine busy)
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class HostInfo:
    """One connection as the person sees it."""

    id: HostId
    uri: str
    label: str  # "This computer", "Test driver", "server.example"
    state: HostState
    problem: str = ""  # one sentence while RECONNECTING or FAILED
    details: str = ""  # libvirt's words for it
    is_local: bool = True  # files named in requests are on this computer
    is_complete: bool = True  # False while connected and details of its VMs are still to be read


class VmState(enum.Enum):
    """Observed state. UNKNOWN whenever the host does not answer: never "off" by guess."""

    RUNNING = "running"
    PAUSED = "paused"
    SUSPENDED = "suspended"  # the guest itself went to sleep (ACPI S3)
    SHUTTING_DOWN = "shutting-down"
    OFF = "off"
    SAVED = "saved"  # off, memory kept on disk (libvirt's managed save)
    CRASHED = "crashed"
    UNKNOWN = "unknown"

    @property
    def is_active(self) -> bool:
        """True while a QEMU process exists for the VM."""
        return self in (VmState.RUNNING, VmState.PAUSED, VmState.SUSPENDED, VmState.SHUTTING_DOWN)


class IdentityState(enum.Enum):
    """How far a clone's guest is with getting an identity of its own."""

    WAITS = "waits"  # for its agent to answer
    RUNS = "runs"  # its Windows is being generalised
    FAILED = "failed"  # a person has to do something


@dataclass(frozen=True, slots=True)
class IdentityDue:
    """A guest has the identity of its source still. ``steps``: what a person can do by hand, in sentences."""

    state: IdentityState
    why: str = ""
    steps: str = ""


@dataclass(frozen=True, slots=True)
class VmInfo:
    """What the list needs to know of a VM; read anew whenever an event names it.

    ``is_complete`` is False as long as the VM's definition has not been read since its host was connected, or cannot
    be: title, notes, vCPUs, memory, has_graphics, is_template and identity are then what an earlier connection told, or
    empty, 0, False and None.
    """

    key: VmKey
    name: str
    state: VmState
    title: str = ""
    notes: str = ""
    reason: str = ""  # why it is in this state, in words, or empty
    autostart: bool = False
    persistent: bool = True
    vcpus: int = 1
    memory_kib: int = 0
    has_graphics: bool = False
    has_forwards: bool = False  # guivm keeps port forwards for it (engine/settings/stored_forwards.py)
    is_disposable: bool = False  # it runs, and nothing of that is kept (engine/cloning/disposable.py)
    is_template: bool = False  # it is neither started nor changed, only cloned (engine/cloning/templates.py)
    identity: IdentityDue | None = None  # it has its source's still, and is to get its own (engine/cloning/due.py)
    is_complete: bool = True
    definition: int = 0  # another number: it was defined anew, though perhaps nothing that is told here is different
    pending: int = 0  # changes that wait for its next start; counted some time after the rest, and 0 until then

    @property
    def can_have_pending(self) -> bool:
        """True when it runs and has a definition, which may differ by more than what a run thrown away differs by."""
        return self.state.is_active and self.persistent and not self.is_disposable
