"""What a drive is plugged into and what is in it, as single values; names of drives in the guest.

A source as a text: a path, ``volume:POOL/NAME``, ``PROTOCOL:NAME`` of a network disk (shown, not to be set).
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from guivm.engine.options import controllers
from guivm.engine.options.devices import Known, devices_of, domain_of, letters, same
from guivm.engine.options.option import N, Value
from guivm.engine.xml.disk import Disk
from guivm.engine.xml.domain import Devices

BUSES = (
    Known("virtio", N("VirtIO"), N("Made for virtual machines and the fastest; Windows needs a driver for it.")),
    Known("scsi", N("SCSI"), N("Hundreds of drives on one controller; passes discard on.")),
    Known("sata", N("SATA"), N("Every system since 2006 knows it; slower than VirtIO.")),
    Known("ide", N("IDE"), N("For very old systems; four drives at most, and slow.")),
    Known("usb", N("USB"), N("Like a stick; the guest may take it out.")),
    Known("nvme", N("NVMe"), N("A modern controller that today's systems know without a driver of ours.")),
)
_PREFIXES = {"virtio": "vd", "scsi": "sd", "sata": "sd", "usb": "sd", "ide": "hd", "fdc": "fd", "xen": "xvd"}
_SUFFIXES = {
    ".qcow2": "qcow2",
    ".iso": "raw",
    ".raw": "raw",
    ".vmdk": "vmdk",
    ".vdi": "vdi",
    ".vhd": "vpc",
}


# --- names of drives in the guest -------------------------------------------------------------------------


def free_target(devices: Devices, bus: str, but: Disk | None = None) -> str:
    """The next name on a bus, "vdb"; names of all drives count except ``but``'s."""
    used = {disk.target_dev for disk in devices.disks if but is None or not same(disk, but)}
    index = 0
    while True:
        name = f"nvme{index}n1" if bus == "nvme" else _PREFIXES.get(bus, "sd") + letters(index)
        if name not in used:
            return name
        index += 1


def bus_of(disk: Disk) -> str:
    """Bus of a drive; libvirt goes by the name where none is said."""
    if disk.target_bus:
        return disk.target_bus
    target = disk.target_dev or ""
    return next((bus for bus, prefix in _PREFIXES.items() if target.startswith(prefix)), "")


def set_bus(disk: Disk, value: Value | None) -> None:
    """Plug the drive into another bus; what only the old one could have goes."""
    if value is None:
        disk.target_bus = None
        return
    bus = str(value)
    if bus == disk.target_bus:
        return
    devices = devices_of(disk)
    disk.target_bus = bus
    target = disk.target_dev or ""
    prefix = "nvme" if bus == "nvme" else _PREFIXES.get(bus, "sd")
    if not target.startswith(prefix):
        disk.target_dev = free_target(devices, bus, disk)
    disk.address.remove()
    if bus != "virtio":
        disk.model = None
        disk.queues, disk.queue_size = None, None
        disk.ioeventfd, disk.event_idx = None, None
        disk.iommu = disk.ats = disk.packed = disk.page_per_vq = None
        if bus != "scsi":
            disk.io_thread = None
    if bus not in ("scsi", "sata", "ide"):
        disk.rotation_rate = None
    if bus != "usb":
        disk.removable = None
    if bus != "scsi":
        disk.vendor = disk.product = disk.wwn = None
        if disk.device == "lun" and bus != "virtio":
            disk.device, disk.raw_io, disk.sg_io = "disk", None, None
    if disk.serial is not None and bus == "virtio":
        disk.serial = disk.serial[:20]
    if bus == "scsi":
        controllers.ensure_scsi(devices)


# --- what is in the drive ---------------------------------------------------------------------------------


def source_text(disk: Disk) -> str:
    """What a drive shows, as a text: a path, "volume:POOL/NAME", "PROTOCOL:NAME" of a network disk, "" for nothing."""
    if disk.path:
        return disk.path
    if disk.source_volume:
        return f"volume:{disk.source_pool or ''}/{disk.source_volume}"
    if disk.source_protocol:
        return f"{disk.source_protocol}:{disk.source_name or ''}"
    return ""


def get_source(disk: Disk) -> Value | None:
    return source_text(disk) or None


def set_source(disk: Disk, value: Value | None) -> None:
    """Put another medium in. What belonged to the old one (backing images, encryption, server) goes with it.

    Raises ValueError for a relative path, and for a hard disk without any.
    """
    text = "" if value is None else str(value)
    if text == source_text(disk):
        return
    if not text.isprintable():
        raise ValueError(N("There is a character in the path that cannot be written."))
    if not text:
        if disk.device not in ("cdrom", "floppy"):
            raise ValueError(N("A hard disk cannot be without an image; remove the drive instead."))
        disk.source.remove()
        disk.backing_store.remove()
        disk.type = "file"
        return
    if text.startswith("volume:"):
        pool, _, volume = text.removeprefix("volume:").partition("/")
        if not pool or not volume:
            raise ValueError(N("A volume is written as “volume:POOL/NAME”."))
        _forget_source(disk)
        disk.type, disk.source_pool, disk.source_volume = "volume", pool, volume
        return
    if not text.startswith("/"):
        raise ValueError(N("The path must be absolute: it has to begin with “/”."))
    is_device = text.startswith("/dev/") and not text.startswith("/dev/shm/")  # noqa: S108 - no temporary file
    if disk.device == "lun" and not is_device:
        raise ValueError(N("A disk with SCSI commands passed on must be a block device of the host."))
    _forget_source(disk)
    if is_device:
        if disk.type != "block" and disk.driver_type is not None:
            disk.driver_type = "raw"
        disk.type, disk.source_dev = "block", text
    else:
        disk.type, disk.source_file = "file", text
        known = _SUFFIXES.get(PurePosixPath(text).suffix.lower())
        if known is not None and disk.driver_type not in (None, known):
            disk.driver_type = known


def _forget_source(disk: Disk) -> None:
    policy = disk.startup_policy
    element = disk.source.find()
    if element is not None:
        tail = element.tail
        element.clear()  # its place among the others stays: a source that is put back differs in nothing
        element.tail = tail
    disk.backing_store.remove()
    disk.mirror.remove()
    disk.startup_policy = policy


def set_boot_order(device: Any, value: Value | None) -> None:
    """Give a device its place in the boot order; those from that place on make room for it.

    The other way of saying it (``<os><boot dev=…>``) goes, as libvirt refuses both together.
    """
    if value is None:
        device.boot_order = None
        return
    domain = domain_of(device)
    devices = domain.devices
    bootable: tuple[Any, ...] = (
        *devices.disks,
        *devices.interfaces,
        *devices.host_devices,
        *devices.redirected_usbs,
        *devices.filesystems,
    )
    others = [each for each in bootable if not same(each, device) and each.boot_order is not None]
    place = int(value)
    while blocking := [each for each in others if each.boot_order == place]:
        others = [each for each in others if not any(each is one for one in blocking)]
        place += 1
        for each in blocking:
            each.boot_order = place
    device.boot_order = int(value)
    domain.os.boot_devices.clear()
