"""What a plan is made of: small changes, each safe to do again after a crash. Pure values.

A plan has two halves. *Prepare* only makes new files, or changes images so that nobody reads anything else than before:
after a crash in it the new files are removed and all is as it was. *Finish* begins when the journal says so, and is
gone on with after a crash, each step again from its beginning.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from guivm.engine.snapshots.graph import Graph
from guivm.engine.snapshots.values import OperationPlan


@dataclass(frozen=True, slots=True)
class MakeOverlay:
    """A new, empty qcow2 image on ``base``. Again: made anew when it is ours and not yet in use."""

    path: str
    base: str
    base_format: str
    virtual_bytes: int


@dataclass(frozen=True, slots=True)
class CopyFile:
    """A new file or folder ``target`` as a copy of ``source`` (NVRAM, TPM state), durable."""

    source: str
    target: str


@dataclass(frozen=True, slots=True)
class ConvertImage:
    """A new image with all that ``source`` reads (``qemu-img convert``, or a reflink where the file system can)."""

    source: str
    source_format: str
    target: str
    target_format: str
    snapshot: str = ""  # of an internal snapshot in ``source``
    virtual_bytes: int = 0
    in_use: bool = False  # a running VM writes to ``source``, but not to what ``snapshot`` reads


@dataclass(frozen=True, slots=True)
class Freeze:
    """Take the write permission from a file that others need as it is."""

    path: str


@dataclass(frozen=True, slots=True)
class Thaw:
    """Give the owner's write permission back."""

    path: str


@dataclass(frozen=True, slots=True)
class Pull:
    """Put ``path`` on ``backing`` (None: on nothing), copying into it what lay between (``qemu-img rebase``).

    It reads the same before, after, and at every moment between.
    """

    path: str
    format: str
    backing: str | None
    backing_format: str = ""


@dataclass(frozen=True, slots=True)
class Merge:
    """Write what ``path`` holds into its backing file ``into`` (``qemu-img commit -d``). ``path`` stays, unchanged.

    ``into`` reads as ``path`` afterwards. Again: writes the same once more.
    """

    path: str
    format: str
    into: str


@dataclass(frozen=True, slots=True)
class SetBacking:
    """Change only the name of the backing file in a header (``qemu-img rebase -u``); both must read the same."""

    path: str
    format: str
    backing: str | None
    backing_format: str = ""


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Move a file or folder to ``kept_at`` on the same file system. Again: done when only ``kept_at`` is there."""

    path: str
    kept_at: str


@dataclass(frozen=True, slots=True)
class PutInPlace:
    """Rename a prepared file or folder to its final name, which must be free."""

    path: str
    target: str


@dataclass(frozen=True, slots=True)
class DefineVm:
    """Store the VM's definition (libvirt). ``xml`` is whole. Again: stores the same."""

    xml: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class WriteTree:
    """Store the tree of the VM's own snapshots; ``document`` is its whole JSON text."""

    document: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SaveMemory:
    """Write memory and devices of the running VM to a new file; the VM is off afterwards (``virDomainSaveFlags``)."""

    path: str


@dataclass(frozen=True, slots=True)
class RunMemory:
    """Let the VM go on from a memory file, with this definition (``virDomainRestoreFlags``).

    ``onto``: fresh overlays that the definition names. Again: not done once one of them holds data, because the guest
    has gone on since, and this memory would no longer fit its disks.
    """

    path: str
    xml: str = field(repr=False)
    paused: bool = False
    onto: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LiveOverlays:
    """Put a running VM's disks on new overlays at one moment (external snapshot without metadata).

    ``disks``: (target, new path). ``xml``: the ``<domainsnapshot>`` that asks for it. ``copies``: (source, target) of
    files and folders to be copied at that moment (NVRAM, TPM state), while the guest stands still.

    It is always the last step of *prepare*, and is itself the mark: once the VM's disks are on the overlays they must
    stay, and the plan is gone on with; as long as they are not, all is taken back.
    """

    disks: tuple[tuple[str, str], ...]
    xml: str = field(repr=False)
    quiesce: bool = False
    copies: tuple[tuple[str, str], ...] = ()
    paused: bool = False  # it was before: then it is not let go on afterwards


@dataclass(frozen=True, slots=True)
class LiveCopy:
    """Copies of a running VM's drives as they are at one moment, while the guest goes on (``virDomainBackupBegin``).

    ``disks``: (target, new path): always qcow2, for QEMU makes zeros of the holes in a raw image. ``sources``: their
    images, in the same order. ``copies``: (source, target) of files and folders to be copied at that moment (NVRAM, TPM
    state). ``quiesce``: with the file systems at rest, when the guest's agent answers.
    """

    disks: tuple[tuple[str, str], ...]
    sources: tuple[str, ...]
    copies: tuple[tuple[str, str], ...] = ()
    quiesce: bool = False
    paused: bool = False  # it was before: then it is not let go on afterwards


@dataclass(frozen=True, slots=True)
class LivePull:
    """As :class:`Pull`, by the running VM's QEMU (``virDomainBlockRebase``).

    ``was``: what it stands on before. QEMU names the new base in the header before it has written all of its tables; if
    it is killed at that moment, the image is put back on what it was on, which then reads the same.
    """

    target: str
    path: str
    backing: str | None
    was: str = ""
    was_format: str = ""


@dataclass(frozen=True, slots=True)
class LiveMerge:
    """As :class:`Merge` and :class:`SetBacking` of ``above``, by the running VM's QEMU (``virDomainBlockCommit``).

    ``above`` is the image on ``path`` in the chain of the drive ``target``. Only in *finish*. Again: a job under way is
    awaited; when the VM has ended, all is done without it.
    """

    target: str
    path: str
    format: str
    into: str
    into_format: str
    above: str
    above_format: str


@dataclass(frozen=True, slots=True)
class StopVm:
    """End the VM at once; what it has in memory is lost."""


@dataclass(frozen=True, slots=True)
class StartVm:
    """Start the VM from off."""


Step = (
    MakeOverlay
    | CopyFile
    | ConvertImage
    | Freeze
    | Thaw
    | Pull
    | Merge
    | SetBacking
    | Quarantine
    | PutInPlace
    | DefineVm
    | WriteTree
    | SaveMemory
    | RunMemory
    | LiveOverlays
    | LiveCopy
    | LivePull
    | LiveMerge
    | StopVm
    | StartVm
)


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in order, what they lead to, and the same in words for a person.

    ``expected`` is the graph after the last step: what the headers must say then. ``undo`` brings back what was before
    a crash or failure in *prepare* beyond removing new files: RunMemory after SaveMemory.
    """

    shown: OperationPlan
    prepare: tuple[Step, ...] = ()
    finish: tuple[Step, ...] = ()
    undo: tuple[Step, ...] = ()
    expected: Graph | None = None

    @property
    def made(self) -> tuple[str, ...]:
        """Files and folders that *prepare* makes."""
        return made_by(self.prepare)


def made_by(steps: tuple[Step, ...]) -> tuple[str, ...]:
    """Files and folders that these steps make: what a crash can leave behind."""
    found: list[str] = []
    for step in steps:
        match step:
            case MakeOverlay(path=path) | SaveMemory(path=path) | CopyFile(target=path) | ConvertImage(target=path):
                found.append(path)
            case LiveOverlays(disks=disks, copies=copies) | LiveCopy(disks=disks, copies=copies):
                found.extend(path for _, path in (*disks, *copies))
            case _:
                pass
    return tuple(found)
