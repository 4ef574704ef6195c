"""What planners are told beside the graph and the tree. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from guivm.engine.snapshots.values import SnapshotId
from guivm.engine.types import VmKey, VmState


@dataclass(frozen=True, slots=True)
class Environment:
    """What a planner is told beside the graph and the tree.

    ``definition``: the stored one, with secrets; ``live_definition``: that of the running VM, as for a migration.
    ``store``: the folder of the VM's own files. ``token``: eight hexadecimal digits that make names new. ``running``:
    UUIDs of all VMs of the host that are not off. ``free``: bytes by file system, as far as known. ``sizes``: bytes of
    files and folders that are no images: one that is not in it is not there. ``taken``: names in use that the graph
    does not know. ``memory_bytes``: how large a memory file can become, ``memory_least_bytes``: how large it becomes
    surely. ``tpm``: the folder where the VM's TPM keeps its state, whether it is there or not. ``has_saved_state``:
    libvirt keeps its memory for the next start.
    """

    key: VmKey
    definition: str = field(repr=False)
    store: str
    token: str
    now_s: float
    running: frozenset[str] = frozenset()
    live_definition: str = field(default="", repr=False)
    vm_state: VmState = VmState.OFF
    store_file_system: int = 0
    free: Mapping[int, int] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    taken: frozenset[str] = frozenset()
    memory_bytes: int = 0
    memory_least_bytes: int = 0
    tpm: str = ""
    libvirt_snapshots: int = 0
    has_saved_state: bool = False

    @property
    def runs(self) -> bool:
        return self.key.uuid in self.running


@dataclass(frozen=True, slots=True)
class NewSnapshot:
    """A snapshot to be taken. ``id`` is new. ``memory``: that of the running VM too."""

    id: SnapshotId
    title: str
    notes: str = ""
    memory: bool = False
    quiesce: bool = False
    has_picture: bool = False
    scheduled: bool = False
