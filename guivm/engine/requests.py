"""What a person can ask the engine for: one frozen value per verb, typed by what it answers.

``Request[T]`` is answered by ``T`` through :class:`guivm.engine.jobs.Job`. The view that emits a request, the
command-line twin and the tests all use these; ``engine/operations.py`` has one function for each.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

from guivm.engine.job_types import (
    ConsoleEndpoint,
    DeletedVm,
    DeletePlan,
    FieldProblem,
    HostCapabilities,
    MediaInfo,
    NewVmSpec,
    Screenshot,
    SerialDevice,
    SerialEndpoint,
    VmDetails,
)
from guivm.engine.networks.values import (
    Lease,
    NetworkChange,
    NetworkDetails,
    NetworkList,
    NetworkOffer,
    NetworkProblem,
    NetworkSpec,
)
from guivm.engine.options.facts import NetworkFact
from guivm.engine.options.new_disks import CreatedDisk, ImageSize, NewDisk
from guivm.engine.options.values import AccessFix, AppliedSettings, PendingChanges, SettingProblem, VmSettings
from guivm.engine.snapshots.values import (
    ClonedVm,
    CloneSpec,
    OperationPlan,
    RestoredSnapshot,
    SnapshotId,
    SnapshotPolicy,
    SnapshotTree,
    TakenSnapshot,
)
from guivm.engine.types import HostId, VmKey

T_co = TypeVar("T_co", covariant=True)


class Lane(enum.Enum):
    """Which queue a request waits in."""

    VM = "vm"  # serial per VM: changes
    READ = "read"  # in parallel with everything on the host
    URGENT = "urgent"  # never behind a VM's queue: force off


class Request(Generic[T_co]):
    """Base of all requests. ``quiet`` requests are not listed in the jobs panel."""

    __slots__ = ()
    lane: ClassVar[Lane] = Lane.VM
    quiet: ClassVar[bool] = False

    @property
    def target(self) -> HostId | VmKey:
        """The host or the VM whose queue serves this request."""
        raise TypeError(f"{type(self).__name__} names no target")


@dataclass(frozen=True, slots=True)
class VmRequest(Request[T_co]):
    """Base of the requests about one VM."""

    key: VmKey

    @property
    def target(self) -> VmKey:
        return self.key


@dataclass(frozen=True, slots=True)
class HostRequest(Request[T_co]):
    """Base of the requests about a host."""

    host: HostId

    @property
    def target(self) -> HostId:
        return self.host


# --- power ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Start(VmRequest[None]):
    """Boot, or continue from the saved state when there is one.

    ``reset_nvram``: with UEFI's variables as they were when the VM was new; refused while a state is saved.
    """

    reset_nvram: bool = False


class Pause(VmRequest[None]):
    """Stop the virtual CPUs."""


class Resume(VmRequest[None]):
    """Let the virtual CPUs go on; wakes a guest that sleeps."""


class ShutDown(VmRequest[None]):
    """Press the power button (ACPI); the guest decides."""


class Reboot(VmRequest[None]):
    """Ask the guest to restart (ACPI)."""


class Reset(VmRequest[None]):
    """Press the reset button: unsaved work in the guest is lost."""


class ForceOff(VmRequest[None]):
    """Pull the plug: unsaved work in the guest is lost."""

    lane = Lane.URGENT


class SaveState(VmRequest[None]):
    """Write the memory to disk and switch off (managed save). Has progress; can be cancelled."""


class RestoreState(VmRequest[None]):
    """Continue from the saved state; WrongStateError when there is none."""


class DiscardSavedState(VmRequest[None]):
    """Throw the saved memory away; the next start boots."""


# --- identity ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SetAutostart(VmRequest[None]):
    on: bool


@dataclass(frozen=True, slots=True)
class Rename(VmRequest[None]):
    name: str


@dataclass(frozen=True, slots=True)
class SetTitle(VmRequest[None]):
    """libvirt's ``<title>``: one line; empty removes it."""

    title: str


@dataclass(frozen=True, slots=True)
class SetNotes(VmRequest[None]):
    """libvirt's ``<description>``: plain text of any length up to 64 KiB; empty removes it."""

    notes: str


# --- delete -----------------------------------------------------------------------------------------------


class PlanDelete(VmRequest[DeletePlan]):
    """Which files a deletion could take, and which it must not, with the reason."""

    lane = Lane.READ
    quiet = True


@dataclass(frozen=True, slots=True)
class Delete(VmRequest[DeletedVm]):
    """Remove the VM. ``files`` (exact paths from the plan) are kept aside for undo; all others stay untouched."""

    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UndoDelete(Request[VmKey]):
    """Bring a deleted VM and its files back."""

    deleted: DeletedVm

    @property
    def target(self) -> VmKey:
        return self.deleted.key


@dataclass(frozen=True, slots=True)
class PurgeDeleted(Request[int]):
    """Free the space of a deleted VM's files for good; answers the bytes freed."""

    deleted: DeletedVm

    @property
    def target(self) -> VmKey:
        return self.deleted.key


# --- reading ----------------------------------------------------------------------------------------------


class ReadDetails(VmRequest[VmDetails]):
    lane = Lane.READ
    quiet = True


class TakeScreenshot(VmRequest[Screenshot]):
    lane = Lane.READ
    quiet = True


class OpenConsole(VmRequest[ConsoleEndpoint]):
    """Open a connection to the VM's display; the receiver owns the descriptor."""

    lane = Lane.READ
    quiet = True


class ListSerialDevices(VmRequest[tuple[SerialDevice, ...]]):
    """The serial ports and text consoles of a running VM, in the order of its definition; those of no use, too."""

    lane = Lane.READ
    quiet = True


@dataclass(frozen=True, slots=True)
class OpenSerial(VmRequest[SerialEndpoint]):
    """Open a serial line of a running VM; the receiver owns the descriptor.

    ``device`` is an alias of :class:`ListSerialDevices`; empty: the first that can be opened. InUseError while
    somebody else has it open, unless ``take_over``: then theirs is closed. UnsupportedError when there is none.
    """

    lane: ClassVar[Lane] = Lane.READ
    quiet: ClassVar[bool] = True
    device: str = ""
    take_over: bool = False


class ReadCapabilities(HostRequest[HostCapabilities]):
    """The first time on a new host this takes seconds (QEMU is probed); then it is cached."""

    lane = Lane.READ
    quiet = True


@dataclass(frozen=True, slots=True)
class InspectMedia(HostRequest[MediaInfo]):
    """Say what a file is by its header; ImageError when unreadable or unsafe."""

    lane: ClassVar[Lane] = Lane.READ
    quiet: ClassVar[bool] = True
    path: Path


# --- create -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CheckNewVm(Request[tuple[FieldProblem, ...]]):
    """All problems of a specification, nothing created."""

    lane: ClassVar[Lane] = Lane.READ
    quiet: ClassVar[bool] = True
    spec: NewVmSpec

    @property
    def target(self) -> HostId:
        return self.spec.host


@dataclass(frozen=True, slots=True)
class CreateVm(Request[VmKey]):
    """Check again, make the disk, define the VM. A failure half-way leaves nothing behind."""

    spec: NewVmSpec

    @property
    def target(self) -> HostId:
        return self.spec.host


class CreateSampleGuest(HostRequest[VmKey]):
    """Create the tiny Linux "Sample guest" (build it first when it is not cached) and start it."""


# --- settings ---------------------------------------------------------------------------------------------


class ReadSettings(VmRequest[VmSettings]):
    """The definition, the running VM's own, and what the host offers to such a VM."""

    lane = Lane.READ
    quiet = True


class ReadPending(VmRequest[PendingChanges]):
    """What waits for the next start: where the definition differs from the running VM."""

    lane = Lane.READ
    quiet = True


@dataclass(frozen=True, slots=True)
class CheckSettings(VmRequest[tuple[SettingProblem, ...]]):
    """All problems of an edited definition, nothing changed. Looks at files, ports and other VMs."""

    lane: ClassVar[Lane] = Lane.READ
    quiet: ClassVar[bool] = True
    xml: str
    new_disks: tuple[NewDisk, ...] = ()  # named in ``xml``, and to be made when it is applied


@dataclass(frozen=True, slots=True)
class GiveAccess(HostRequest[None]):
    """Let the user that runs QEMU reach files of ours: what a problem's ``fix`` says, looked at afterwards."""

    fix: AccessFix


@dataclass(frozen=True, slots=True)
class ReadQemuCommand(VmRequest[str]):
    """How libvirt would start a definition: QEMU's command line for a shell, over several lines, without secrets.

    UnsupportedError where no QEMU is started.
    """

    lane: ClassVar[Lane] = Lane.READ
    quiet: ClassVar[bool] = True
    xml: str


@dataclass(frozen=True, slots=True)
class CreateDisk(VmRequest[CreatedDisk]):
    """Make a disk image, and a secret for its passphrase. Has progress; can be cancelled; leaves nothing half-made."""

    disk: NewDisk


@dataclass(frozen=True, slots=True)
class DiscardDisk(VmRequest[None]):
    """Take back what CreateDisk made, file and secret."""

    created: CreatedDisk


@dataclass(frozen=True, slots=True)
class MeasureImage(HostRequest[ImageSize]):
    """How large an image is, in the guest and on the host; also one that new VMs would not be given."""

    lane: ClassVar[Lane] = Lane.READ
    quiet: ClassVar[bool] = True
    path: Path


@dataclass(frozen=True, slots=True)
class ApplySettings(VmRequest[AppliedSettings]):
    """Make an edited definition the VM's.

    ``base``: the definition that was edited; ChangedOutsideError when it is no longer the VM's. With ``live`` what a
    running VM can take is changed there first; when the definition then cannot be stored, that is taken back.
    """

    base: str
    xml: str
    live: bool = True
    autostart: bool | None = None  # None: as it is
    passphrases: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # of new encrypted disks, by their path


# --- virtual networks -------------------------------------------------------------------------------------


class ReadNetworkFacts(HostRequest[tuple[NetworkFact, ...]]):
    """The networks of VmSettings.facts, as they are now."""

    lane = Lane.READ
    quiet = True


class ListNetworks(HostRequest[NetworkList]):
    """All networks and who uses them; where there can be none, the reason. From then on the host's changes are told."""

    lane = Lane.READ
    quiet = True


class ProposeNetwork(HostRequest[NetworkOffer]):
    """A new network that clashes with nothing known; UnsupportedError where there can be none."""

    lane = Lane.READ
    quiet = True


@dataclass(frozen=True, slots=True)
class CheckNetwork(HostRequest[tuple[NetworkProblem, ...]]):
    """All problems of a network that is to be made, or to be changed (``uuid``); nothing is changed."""

    lane: ClassVar[Lane] = Lane.READ
    quiet: ClassVar[bool] = True
    spec: NetworkSpec
    uuid: str = ""


@dataclass(frozen=True, slots=True)
class CreateNetwork(HostRequest[str]):
    """Check again, define it, and start it; answers the UUID. A network that cannot be started is not kept."""

    spec: NetworkSpec
    start: bool = True


@dataclass(frozen=True, slots=True)
class NetworkRequest(HostRequest[T_co]):
    """Base of the requests about one network. ``name`` is for the words about it."""

    uuid: str
    name: str


class ReadNetwork(NetworkRequest[NetworkDetails]):
    lane = Lane.READ
    quiet = True


class ReadLeases(NetworkRequest[tuple[Lease, ...]]):
    """The addresses given out; none while it is off."""

    lane = Lane.READ
    quiet = True


@dataclass(frozen=True, slots=True)
class UpdateNetwork(NetworkRequest[NetworkChange]):
    """Change a definition, and what runs where libvirt can.

    ``base``: the definition that was edited; ChangedOutsideError when it is no longer the network's.
    """

    base: str
    spec: NetworkSpec


class StartNetwork(NetworkRequest[None]):
    """Make its bridge and serve it."""


class StopNetwork(NetworkRequest[None]):
    """Guests on it are cut off until they start again."""


@dataclass(frozen=True, slots=True)
class SetNetworkAutostart(NetworkRequest[None]):
    """Whether it starts with the host."""

    on: bool


class DeleteNetwork(NetworkRequest[None]):
    """Stop it and remove its definition; InUseError while a VM, running or not, has a card on it."""


# --- snapshots and clones ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReadSnapshots(VmRequest[SnapshotTree]):
    lane = Lane.READ
    quiet = True


@dataclass(frozen=True, slots=True)
class ReadSnapshotPicture(VmRequest["Screenshot | None"]):
    """The VM's screen when the snapshot was taken, or None."""

    snapshot: SnapshotId
    lane = Lane.READ
    quiet = True


@dataclass(frozen=True, slots=True)
class TakeSnapshot(VmRequest[TakenSnapshot]):
    """``memory``: a running VM's memory too. ``quiesce``: the guest's agent brings its file systems to rest first.
    ``scheduled``: the VM's policy takes it, and may delete it."""

    title: str
    notes: str = ""
    memory: bool = True
    quiesce: bool = False
    scheduled: bool = False


@dataclass(frozen=True, slots=True)
class RestoreSnapshot(VmRequest[RestoredSnapshot]):
    """Make the current state what it was. ``keep_title``: title of a snapshot taken of it before; empty: none is."""

    snapshot: SnapshotId
    keep_title: str = ""


@dataclass(frozen=True, slots=True)
class UndoRestore(VmRequest[None]):
    """Bring back the state that the last restore replaced, as long as it is kept."""


@dataclass(frozen=True, slots=True)
class DeleteSnapshots(VmRequest[None]):
    """Delete snapshots; what others need of them is merged. ``children``: all below them too."""

    snapshots: tuple[SnapshotId, ...]
    children: bool = False


@dataclass(frozen=True, slots=True)
class EditSnapshot(VmRequest[None]):
    """Give a snapshot another title and notes."""

    snapshot: SnapshotId
    title: str
    notes: str = ""


@dataclass(frozen=True, slots=True)
class ReadSnapshotPolicy(VmRequest["SnapshotPolicy | None"]):
    lane = Lane.READ
    quiet = True


@dataclass(frozen=True, slots=True)
class SetSnapshotPolicy(VmRequest[None]):
    """Have snapshots taken by a timer from now on; None: no more. Those that were taken stay."""

    policy: SnapshotPolicy | None


@dataclass(frozen=True, slots=True)
class CloneVm(VmRequest[ClonedVm]):
    spec: CloneSpec


@dataclass(frozen=True, slots=True)
class SetTemplate(VmRequest[None]):
    """``on``: the VM can only be cloned from now on; else it is an ordinary VM again, when nothing depends on it."""

    on: bool


@dataclass(frozen=True, slots=True)
class DetachClone(VmRequest[None]):
    """Copy into a linked clone what it reads from the images of its source, so that it stands alone."""


class ResetIdentity(VmRequest[tuple[str, ...]]):
    """Try again to give a clone's guest an identity of its own; answers what was done and what is to be done."""


class DismissIdentity(VmRequest[None]):
    """A clone's guest has an identity of its own, or needs none: its cards are connected, and no more is said."""


@dataclass(frozen=True, slots=True)
class StartDisposable(VmRequest[None]):
    """Start so that everything written is thrown away at power-off."""


PlannedOperation = (
    TakeSnapshot
    | RestoreSnapshot
    | UndoRestore
    | DeleteSnapshots
    | SetSnapshotPolicy
    | CloneVm
    | SetTemplate
    | DetachClone
    | StartDisposable
)
"""What can be asked for as a plan first."""


@dataclass(frozen=True, slots=True)
class PlanOperation(VmRequest[OperationPlan]):
    """What ``operation`` (about the same VM) would do; nothing is changed. A refusal is in the plan."""

    operation: PlannedOperation
    lane = Lane.READ
    quiet = True
