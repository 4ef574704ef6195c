"""The frozen values that requests ask with and are answered by.

Apart from :mod:`guivm.engine.types` because the list of VMs needs none of them: they are made with the first job.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from pathlib import Path

from guivm.engine.types import HostId, VmKey


class VirtType(enum.Enum):
    """How the guest's CPU is virtualised (libvirt's ``<domain type=…>``)."""

    KVM = "kvm"
    TCG = "qemu"
    OTHER = "other"


class Firmware(enum.Enum):
    BIOS = "bios"
    UEFI = "efi"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class DiskInfo:
    """A drive of a VM. ``path`` is empty for an empty CD drive; sizes are None when not known."""

    target: str  # "vda"
    device: str  # "disk", "cdrom", "floppy", "lun"
    bus: str  # "virtio", "sata", "scsi", "ide", "usb", "fdc"
    path: str = ""
    format: str = ""
    virtual_bytes: int | None = None
    real_bytes: int | None = None
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class NicInfo:
    mode: str  # libvirt's interface type: "user", "network", "bridge", "direct", …
    source: str  # network or bridge name, or empty
    model: str
    mac: str


@dataclass(frozen=True, slots=True)
class VmDetails:
    """Hardware of a VM in fields, for the Overview; ``xml`` is libvirt's inactive definition."""

    key: VmKey
    virt_type: VirtType
    arch: str
    machine: str
    firmware: Firmware
    vcpus: int
    memory_kib: int
    disks: tuple[DiskInfo, ...]
    nics: tuple[NicInfo, ...]
    graphics: tuple[str, ...]  # ("vnc",)
    video: str  # "virtio"
    xml: str


@dataclass(frozen=True, slots=True)
class KvmStatus:
    """Whether hardware assistance can be used on a host, and the reason in words."""

    usable: bool
    reason: str


@dataclass(frozen=True, slots=True)
class HostCapabilities:
    """What new VMs can be on a host; from libvirt's host and domain capabilities."""

    host: HostId
    arch: str
    kvm: KvmStatus
    memory_bytes: int  # installed
    memory_free_bytes: int
    cpus: int
    max_vcpus: int
    machines: tuple[str, ...]
    has_uefi: bool
    uefi_reason: str  # why not, when not
    video_models: tuple[str, ...]
    graphics_types: tuple[str, ...]
    channel_types: tuple[str, ...]
    has_tpm: bool
    libvirt_version: str  # "9.0.0"
    hypervisor_version: str  # "QEMU 7.2.22"
    images_dir: Path
    images_free_bytes: int


# --- new VM -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class IsoSource:
    """Boot from a CD/DVD image first."""

    path: Path


@dataclass(frozen=True, slots=True)
class DiskSource:
    """Boot from an existing disk image, used in place."""

    path: Path


@dataclass(frozen=True, slots=True)
class KernelSource:
    """Direct Linux boot."""

    kernel: Path
    initrd: Path | None = None
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class NetworkSource:
    """PXE boot from the network."""


@dataclass(frozen=True, slots=True)
class NoSource:
    """Nothing to boot from yet."""


BootSource = IsoSource | DiskSource | KernelSource | NetworkSource | NoSource


@dataclass(frozen=True, slots=True)
class NewVmSpec:
    """Everything the New VM page asks for. ``disk_bytes`` None: no new disk."""

    host: HostId
    name: str
    source: BootSource
    memory_kib: int
    vcpus: int
    disk_bytes: int | None
    firmware: Firmware
    virt_type: VirtType
    title: str = ""
    notes: str = ""


class NewVmField(enum.Enum):
    """The field of the New VM page that a problem belongs to."""

    NAME = "name"
    SOURCE = "source"
    INITRD = "initrd"
    ARGUMENTS = "arguments"
    MEMORY = "memory"
    VCPUS = "vcpus"
    DISK = "disk"
    FIRMWARE = "firmware"
    VIRT_TYPE = "virt_type"


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One sentence to show beside a field. A warning does not prevent creation."""

    field: NewVmField
    message: str
    is_warning: bool = False


class MediaKind(enum.Enum):
    ISO = "iso"
    DISK = "disk"


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """What a file is, by its own header (never by its name)."""

    path: Path
    kind: MediaKind
    format: str  # "iso", "raw", "qcow2", "vmdk", …
    virtual_bytes: int


# --- delete -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DiskFate:
    """One file a VM uses and whether it may go with it. ``reason`` says why not."""

    path: str
    size_bytes: int
    deletable: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class DeletePlan:
    key: VmKey
    name: str
    files: tuple[DiskFate, ...]
    loses_saved_state: bool = False


@dataclass(frozen=True, slots=True)
class TrashedFile:
    original: Path
    kept_at: Path
    size_bytes: int


@dataclass(frozen=True, slots=True)
class DeletedVm:
    """Receipt of a deletion: all that undo needs.

    ``snapshots`` are the XML of each, parents first. ``trash_dirs`` hold the kept files and a copy of this receipt.
    """

    key: VmKey
    name: str
    xml: str
    autostart: bool
    files: tuple[TrashedFile, ...]
    metadata_xml: str = ""
    snapshots: tuple[str, ...] = ()
    current_snapshot: str = ""
    trash_dirs: tuple[Path, ...] = ()


# --- console ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SshTarget:
    """A host that displays are reached through, as its connection names it. None: what ssh's own files say."""

    host: str
    port: int | None = None
    user: str | None = None
    keyfile: str | None = None
    known_hosts: str | None = None
    verify: bool = True  # False: take any host key, because the connection's address says so
    command: str = "ssh"  # the program, found on PATH


@dataclass(frozen=True, slots=True)
class ConsoleEndpoint:
    """How to reach a VM's VNC server: exactly one of ``fd``, ``unix_path`` and ``tcp`` is set.

    ``fd`` is a connected stream socket; whoever receives the endpoint owns and closes it. With ``ssh`` the other two
    are meant as that host sees them. Certificates of the server are always verified: against ``ca_file`` (PEM) or,
    without one, the system's authorities, and for ``server_name`` or, without one, the host connected to.
    """

    fd: int | None = None
    unix_path: str | None = None
    tcp: tuple[str, int] | None = None
    password: str | None = field(default=None, repr=False)
    user: str | None = None
    ssh: SshTarget | None = None
    ca_file: str | None = None
    client_certificate: str | None = None  # PEM; with ``client_key``, for servers that want to know who we are
    client_key: str | None = None
    server_name: str | None = None
    require_identity: bool = False  # refuse a server that does not prove by certificate who it is
    # QEMU before 7.0 registers a clipboard listener with each list of encodings, and hangs at the second.
    encodings_once: bool = False

    @property
    def is_local(self) -> bool:
        """True when the display's bytes do not leave this computer."""
        if self.ssh is not None:
            return False
        return self.tcp is None or self.tcp[0] == "localhost" or self.tcp[0] == "::1" or self.tcp[0].startswith("127.")


@dataclass(frozen=True, slots=True)
class SerialDevice:
    """A serial port or text console of a running VM. ``alias`` is what :class:`OpenSerial` takes."""

    alias: str  # libvirt's name of the device: "serial0", "console1"
    kind: str  # "serial", "virtio", or another target type of libvirt
    port: int  # counted from 0 within its kind
    label: str  # "Serial port 1"
    refusal: str = ""  # why it cannot be opened from here, one sentence; empty when it can


@dataclass(frozen=True, slots=True)
class SerialEndpoint:
    """An open serial line. ``fd`` is a connected stream socket: what is written to it the guest reads, and vice versa.

    Whoever receives the endpoint owns the descriptor; closing it ends the session. End of file: the line has ended.
    """

    fd: int


@dataclass(frozen=True, slots=True)
class Screenshot:
    """A picture of a VM's first screen, as the host sent it (``image/png`` or ``image/x-portable-pixmap``)."""

    mime: str
    data: bytes
