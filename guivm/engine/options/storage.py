"""Drives: hard disks, CD drives, floppy drives. (formatdomain.html, "Hard drives, floppy disks, CDROMs")"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from guivm.engine.options import controllers, disk_options
from guivm.engine.options.devices import (
    first_offered,
    is_test,
    label_of,
    may_have,
    words,
)
from guivm.engine.options.drive_options import BOOT, POLICIES, bus_option, bus_refusal, policy_option, source_option
from guivm.engine.options.drives import (
    BUSES,
    bus_of,
    free_target,
    source_text,
)
from guivm.engine.options.option import (
    Group,
    N,
    Option,
    Resource,
    Situation,
    Switch,
    stored,
)
from guivm.engine.options.phrase import Phrase
from guivm.engine.xml.disk import Disk
from guivm.engine.xml.domain import Devices, DomainXml

_PROTECTION: Option[Disk] = Option(
    "read-only",
    N("Write-protected"),
    N("The guest cannot change the image; a floppy that is written to changes the file on the host."),
    Switch(False),
    *stored(Disk.read_only),
    keywords="write protect",
)


def _medium_options(floppy: bool) -> tuple[Option[Disk], ...]:
    bus = () if floppy else (bus_option(tuple(each for each in BUSES if each.value not in ("virtio", "nvme"))),)
    return (
        source_option(
            N("Medium"),
            N(
                "The image in the drive, changed while the VM runs; empty is ejected. A guest that has locked the "
                "drive must release it first."
            ),
            live=True,
        ),
        *bus,
        BOOT,
        *((_PROTECTION,) if floppy else ()),
        policy_option(POLICIES),
    )


# --- lists, names, adding ---------------------------------------------------------------------------------


def _of_kind(*kinds: str) -> Any:
    def nodes(domain: DomainXml) -> list[Disk]:
        return [disk for disk in domain.devices.disks if (disk.device or "disk") in kinds]

    return nodes


def _summary(_situation: Situation, disk: Disk) -> str:
    name = PurePosixPath(source_text(disk)).name or N("empty")
    if disk.device in ("cdrom", "floppy"):
        return words(name, label_of(BUSES, bus_of(disk)) if disk.device == "cdrom" else "")
    return words(
        name,
        disk.driver_type,
        label_of(BUSES, bus_of(disk)),
        N("read-only") if disk.read_only else "",
        N("shareable") if disk.shareable else "",
        N("unsafe cache") if disk.cache == "unsafe" else "",
    )


def _identity(disk: Disk) -> str:
    return disk.target_dev or ""


def _remove(domain: DomainXml, disk: Disk) -> None:
    domain.devices.disks.remove(disk)


def _new(situation: Situation, device: str, bus: str) -> Disk:
    devices = situation.domain.devices
    target = free_target(devices, bus)
    disk = devices.disks.add()
    disk.type, disk.device = "file", device
    if not is_test(situation):
        disk.driver_name = "qemu"
    disk.driver_type = "raw"
    disk.target_dev, disk.target_bus = target, bus
    if bus == "scsi":
        controllers.ensure_scsi(devices)
    return disk


def new_image_path(situation: Situation, target: str) -> str:
    """A path for the image of a new disk that no VM of the host names; the file is not there yet."""
    facts = situation.facts
    used = {path for other in facts.others for path in other.paths}
    used |= {disk.path for disk in situation.domain.devices.disks}
    name = (situation.domain.name or "vm").replace("/", "-").strip(".") or "vm"
    number = 1
    while True:
        suffix = "" if number == 1 else f"-{number}"
        path = str(facts.capabilities.images_dir / f"{name}-{target}{suffix}.qcow2")
        if path not in used:
            return path
        number += 1


def _usable(situation: Situation, wanted: tuple[str, ...]) -> str:
    """The first bus the host has and this VM has room on."""
    probe = Disk(tag="disk", parent=Devices(tag="devices", parent=DomainXml.new()))
    fitting = [bus for bus in wanted if may_have(situation, "disk/bus", bus) and not bus_refusal(situation, probe, bus)]
    return fitting[0] if fitting else first_offered(situation, "disk/bus", wanted)


def _add_disk(situation: Situation) -> Disk:
    """On the bus that the VM's disks use already, so that the guest surely has the driver for it."""
    present = [bus_of(disk) for disk in _of_kind("disk", "lun")(situation.domain)]
    wanted = (*dict.fromkeys(bus for bus in present if bus in ("virtio", "scsi", "sata", "ide", "nvme")),)
    disk = _new(situation, "disk", _usable(situation, (*wanted, "virtio", "scsi", "sata", "ide", "usb")))
    disk.driver_type = "qcow2"
    disk.discard = "unmap"
    disk.source_file = new_image_path(situation, disk.target_dev or "disk")
    return disk


def _add_cd(situation: Situation) -> Disk:
    disk = _new(situation, "cdrom", _usable(situation, ("sata", "ide", "scsi", "usb")))
    disk.read_only = True
    return disk


def _add_floppy(situation: Situation) -> Disk:
    return _new(situation, "floppy", "fdc")


def _no_kind(situation: Situation, kind: str) -> str:
    return "" if may_have(situation, "disk/diskDevice", kind) else N("This host's QEMU has no such drives.")


def _floppy_refusal(situation: Situation) -> str:
    if not may_have(situation, "disk/bus", "fdc"):
        return N("This kind of machine has no floppy controller.")
    if len(_of_kind("floppy")(situation.domain)) >= 2:
        return N("A floppy controller has room for two drives, and both are taken.")
    return _no_kind(situation, "floppy")


RESOURCES: tuple[Resource[Any], ...] = (
    Resource(
        id="disk",
        title=N("Hard disk"),
        group=Group.STORAGE,
        icon="disk",
        help="disk",
        nodes=_of_kind("disk", "lun"),
        options=disk_options.OPTIONS,
        summary=_summary,
        name=lambda disk: Phrase(N("Drive {}"), disk.target_dev or ""),
        identity=_identity,
        keywords="drive hard disk storage image qcow2 raw volume",
        add=_add_disk,
        remove=_remove,
        add_refusal=lambda situation: _no_kind(situation, "disk"),
        hotplug=True,
    ),
    Resource(
        id="cdrom",
        title=N("CD drive"),
        group=Group.STORAGE,
        icon="cd",
        help="cd",
        nodes=_of_kind("cdrom"),
        options=_medium_options(floppy=False),
        summary=_summary,
        name=lambda disk: Phrase(N("CD drive {}"), disk.target_dev or ""),
        identity=_identity,
        keywords="dvd optical iso eject insert medium",
        add=_add_cd,
        remove=_remove,
        add_refusal=lambda situation: _no_kind(situation, "cdrom"),
    ),
    Resource(
        id="floppy",
        title=N("Floppy drive"),
        group=Group.STORAGE,
        icon="floppy",
        help="cd",
        nodes=_of_kind("floppy"),
        options=_medium_options(floppy=True),
        summary=_summary,
        name=lambda disk: Phrase(N("Floppy drive {}"), disk.target_dev or ""),
        identity=_identity,
        keywords="diskette fda eject",
        add=_add_floppy,
        remove=_remove,
        add_refusal=_floppy_refusal,
    ),
    *controllers.RESOURCES,
)
