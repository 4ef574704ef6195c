"""Which kind of snapshots a VM can have here, and why not another: a table of what libvirt does right. Pure.

Sources: libvirt's release notes (https://libvirt.org/news.html) and ``src/qemu/qemu_snapshot.c``; what is said here is
held against the libvirt at hand in ``tests/e2e/test_snapshots_uefi.py`` and ``test_snapshots_internal.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

from guivm.engine.snapshots.values import SnapshotMode
from guivm.engine.xml.disk import Disk
from guivm.engine.xml.domain import DomainXml

Version = tuple[int, int, int]

UEFI_INTERNAL_SINCE: Version = (10, 10, 0)
"""From here libvirt takes, restores and deletes internal snapshots of UEFI VMs, the variables (in qcow2) included."""


@dataclass(frozen=True, slots=True)
class KnownBad:
    """Versions of libvirt, first and last, that do a thing wrong. ``mended_by``: distributions (ID in os-release) whose
    packages of these versions are mended."""

    first: Version
    last: Version
    why: str
    mended_by: frozenset[str] = frozenset()


MEMORY_INSIDE_BAD = (
    # Mended in 11.4.0, and in Debian's 11.3.0-2: Debian 13 has that from the beginning.
    KnownBad(
        (11, 2, 0),
        (11, 3, 99),
        "libvirt 11.2 and 11.3 cannot restore memory from snapshots inside the images",
        frozenset({"debian"}),
    ),
)


@dataclass(frozen=True, slots=True)
class Platform:
    """``libvirt`` is the version of the library or daemon that drives QEMU; ``files_here``: we may write its files;
    ``distribution``: ID and ID_LIKE of the system it runs on, empty when not known."""

    libvirt: Version
    is_qemu: bool = True
    files_here: bool = True
    distribution: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ModeChoice:
    """``mode`` None: no snapshots, for the reason ``why``; a mode and ``why``: it has some, and can have no more.
    ``no_memory`` and ``only_memory``: why a running VM's memory cannot be kept, or cannot be left out.
    ``memory_doubt``: why memory that is kept may not come back."""

    mode: SnapshotMode | None
    why: str = ""
    memory_doubt: str = ""
    no_memory: str = ""
    only_memory: str = ""


def version_of(number: int) -> Version:
    """libvirt's own way of counting: 9 000 000 is 9.0.0."""
    return number // 1_000_000, number // 1000 % 1000, number % 1000


def choose(document: DomainXml, platform: Platform) -> ModeChoice:
    """The mode of a VM's first snapshot."""
    if not platform.is_qemu:
        return ModeChoice(SnapshotMode.INTERNAL)  # libvirt's test driver: all is metadata
    inside = why_not_internal(document, platform)
    beside = why_not_branch(document, platform)
    if not inside and (beside or not memory_doubt(platform)):
        return within(SnapshotMode.INTERNAL, document, platform)
    if not beside:
        return within(SnapshotMode.BRANCH, document, platform)
    return ModeChoice(None, f"{beside} {inside}")


def within(mode: SnapshotMode, document: DomainXml, platform: Platform) -> ModeChoice:
    """What holds for a VM whose snapshots are of this mode; another tool may have begun with it."""
    memory = why_no_memory(document)
    if mode is not SnapshotMode.INTERNAL:
        return ModeChoice(mode, no_memory=memory)
    only = "The snapshot of a running VM of this kind holds its memory too; shut it down for one without."
    inside = why_not_internal(document, platform) if platform.is_qemu else ""
    return ModeChoice(mode, inside, memory_doubt(platform), no_memory=memory, only_memory=only)


def memory_doubt(platform: Platform) -> str:
    """Why memory inside the images may not come back, in a sentence; empty where it does."""
    for bad in MEMORY_INSIDE_BAD:
        if bad.first <= platform.libvirt <= bad.last and not bad.mended_by & platform.distribution:
            return f"{bad.why[0].upper()}{bad.why[1:]}, unless its packager has mended that."
    return ""


def why_not_internal(document: DomainXml, platform: Platform) -> str:
    """Why snapshots cannot be kept inside the images, in a sentence; empty when they can."""
    disks = written_disks(document)
    for disk in disks:
        if disk.driver_type != "qcow2":
            return f"Drive {disk.target_dev} is not in the qcow2 format, which alone can hold snapshots inside."
        if disk.source.encryption.exists or disk.encryption.exists:
            return f"Drive {disk.target_dev} is encrypted."
    if not disks:
        return "It has no drive that could hold them."
    if document.devices.tpm.exists:
        return "Snapshots inside the images do not hold the state of its TPM."
    if document.os.uses_uefi:
        return _why_not_uefi(document, platform)
    return ""


def _why_not_uefi(document: DomainXml, platform: Platform) -> str:
    if platform.libvirt < UEFI_INTERNAL_SINCE:
        return "This version of libvirt does not keep UEFI's variables in snapshots inside the images."
    if document.os.nvram_format != "qcow2":
        return "UEFI's variables are not in the qcow2 format."
    return ""


def why_not_branch(document: DomainXml, platform: Platform) -> str:
    """Why snapshots cannot be kept as files beside the images, in a sentence; empty when they can."""
    if not platform.files_here:
        return "Its files are on another computer, or may not be changed by you."
    for disk in written_disks(document):
        if disk.type not in (None, "file"):
            return f"Drive {disk.target_dev} is not a file."
        if disk.source.encryption.exists or disk.encryption.exists:
            return f"Drive {disk.target_dev} is encrypted."
        if disk.driver_type not in ("qcow2", "raw"):
            return f"Drive {disk.target_dev} is in the format {disk.driver_type or 'unknown'}."
    tpm = document.devices.tpm
    if tpm.exists and tpm.backend_type != "emulator":
        return "Its TPM is the computer's own."
    return ""


def why_no_memory(document: DomainXml) -> str:
    """Why memory cannot be kept, as libvirt would find out later; empty when it can."""
    if document.devices.host_devices:
        return "A device of the computer is passed through to it; its state cannot be kept."
    for filesystem in document.devices.filesystems:
        if filesystem.driver_type == "virtiofs":
            return "A shared folder by virtiofs is in use; its state cannot be kept."
    return ""


def written_disks(document: DomainXml) -> tuple[Disk, ...]:
    """Drives that the guest writes to and that are its own: what a snapshot is about."""
    return tuple(disk for disk in document.devices.disks if is_written(disk))


def is_written(disk: Disk) -> bool:
    """Whether the guest writes to the drive, and it is the VM's own."""
    is_disk = disk.device in (None, "disk", "lun")
    return is_disk and not disk.read_only and not disk.shareable and not disk.transient
