"""Rules about drives, displays, memory modules and devices of the host. Pure."""

from __future__ import annotations

import os.path
from collections.abc import Iterator

from guivm.engine.options.facts import HostFacts
from guivm.engine.options.option import N
from guivm.engine.options.phrase import Phrase
from guivm.engine.options.values import EditFix, Place, SettingProblem
from guivm.engine.settings.neighbours import host_device_names
from guivm.engine.settings.places import Places
from guivm.engine.settings.rule import Rule, error, warning
from guivm.engine.xml.disk import Disk
from guivm.engine.xml.domain import DomainXml
from guivm.engine.xml.interface import Interface
from guivm.engine.xml.node import XmlNode

_MEDIA = ("cdrom", "floppy")
VNC_PASSWORD_BYTES = 8  # of DES's key (RFC 6143, 7.2.2)
_ROOM = {"ide": 4, "fdc": 2}  # drives a machine of ours has room for


def called(device: XmlNode) -> str:
    """A device in a sentence."""
    if isinstance(device, Disk):
        return f"The drive {device.target_dev or ''}".strip()
    if isinstance(device, Interface):
        return f"The network card {device.mac or ''}".strip()
    return "Another device"


def is_exclusive(disk: Disk) -> bool:
    """Whether nobody else may have its image at the same time."""
    return disk.device not in _MEDIA and not disk.read_only and not disk.shareable


# --- drives -----------------------------------------------------------------------------------------------


def drive_names(domain: DomainXml, facts: HostFacts) -> Iterator[SettingProblem]:
    places = Places(domain)
    seen: set[str] = set()
    count: dict[str, int] = {}
    for disk in domain.devices.disks:
        target, bus = disk.target_dev or "", disk.target_bus or ""
        if not target:
            yield error(places.of(disk, "bus"), "The drive has no name such as “vda”.")
        elif target in seen:
            yield error(places.of(disk, "bus"), f"There are two drives named {target}; remove or rename one.")
        seen.add(target)
        count[bus] = count.get(bus, 0) + 1
        if bus in _ROOM and count[bus] == _ROOM[bus] + 1:
            yield error(
                places.of(disk, "bus"), f"There is room for {_ROOM[bus]} drives of this kind; choose another bus."
            )
        if bus == "ide" and "q35" in (domain.os.machine or ""):
            yield error(places.of(disk, "bus"), "A machine of type Q35 has no IDE; choose SATA.")


def drive_sources(domain: DomainXml, facts: HostFacts) -> Iterator[SettingProblem]:
    places = Places(domain)
    for disk in domain.devices.disks:
        place = places.of(disk, "source")
        if disk.type in (None, "file", "block", "dir"):
            path = disk.path
            if not path and disk.device not in _MEDIA:
                yield error(place, "The drive has no image: choose a file, or remove the drive.")
            elif path and not path.startswith("/"):
                yield error(place, f"“{path}” is not a whole path: begin it with “/”.")
        elif disk.type == "volume" and not (disk.source_pool and disk.source_volume):
            yield error(place, "Choose a storage pool and a volume of it.")
        elif disk.type == "network" and not disk.source_protocol:
            yield error(place, "Choose how the drive is reached over the network.")
        if disk.shareable and disk.driver_type not in (None, "raw"):
            yield error(
                places.of(disk, "shareable"),
                f"Only raw images can be shared: two writers destroy a {disk.driver_type} image.",
            )
        if disk.cache in ("writeback", "writethrough", "unsafe") and disk.io == "native":
            yield error(
                places.of(disk, "io"),
                "Native I/O needs the cache “none” or “directsync”.",
                fix=EditFix(places.of(disk, "cache"), "none", Phrase(N("Use the cache “{}”"), "none")),
            )


def images_twice(domain: DomainXml, facts: HostFacts) -> Iterator[SettingProblem]:
    """By name; what the files are is looked at elsewhere."""
    places = Places(domain)
    seen: dict[str, Disk] = {}
    for disk in domain.devices.disks:
        if not disk.path:
            continue
        path = os.path.normpath(disk.path)
        before = seen.get(path)
        if before is not None and (is_exclusive(disk) or is_exclusive(before)):
            yield error(places.of(disk, "source"), _twice(path, before.target_dev or ""))
        seen.setdefault(path, disk)
        if is_exclusive(disk):
            users = [other.name for other in facts.others if path in map(os.path.normpath, other.paths)]
            if users:
                yield error(places.of(disk, "source"), used_by(path, users[0]))


def _twice(path: str, target: str) -> str:
    return f"“{path}” is the drive {target} of this virtual machine already; both would write to it and destroy it."


def used_by(path: str, name: str) -> str:
    return (
        f"“{path}” belongs to “{name}”. Two virtual machines that write to one image destroy it: "
        "choose another image, or make both read-only."
    )


def paths(domain: DomainXml, facts: HostFacts) -> Iterator[SettingProblem]:
    for option, path in (
        ("kernel", domain.os.kernel),
        ("initrd", domain.os.initrd),
        ("device-tree", domain.os.device_tree),
    ):
        if path and not path.startswith("/"):
            yield error(Place("boot", option=option), f"“{path}” is not a whole path: begin it with “/”.")
    places = Places(domain)
    for folder in domain.devices.filesystems:
        if folder.type in (None, "mount", "bind") and not folder.source_socket:
            if not folder.source_dir:
                yield error(places.of(folder, "folder"), "Choose the folder that is shared.")
            elif not folder.source_dir.startswith("/"):
                yield error(
                    places.of(folder, "folder"), f"“{folder.source_dir}” is not a whole path: begin it with “/”."
                )
        if not folder.target_dir:
            yield error(places.of(folder, "tag"), "Give the folder a name for the guest.")


# --- memory modules ---------------------------------------------------------------------------------------


def modules(domain: DomainXml, facts: HostFacts) -> Iterator[SettingProblem]:
    found = [module for module in domain.devices.memories if module.model not in ("nvdimm", "virtio-pmem")]
    if not len(domain.devices.memories):
        return
    places = Places(domain)
    slots = domain.memory_slots or 0
    dimms = [module for module in domain.devices.memories if module.model in (None, "dimm", "nvdimm")]
    if domain.max_memory_kib is None:
        yield error(places.of(domain.devices.memories[0]), "Modules need a limit: set how much memory there can be.")
    elif len(dimms) > slots:
        yield error(places.of(dimms[-1]), f"There are {slots} slots for modules, but {len(dimms)} modules.")
    elif found and not len(domain.cpu.numa_cells) and _version(facts.capabilities.libvirt_version) < (9, 6):
        yield error(places.of(found[0]), "With this libvirt, modules need NUMA nodes: set them under CPU.")


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdecimal())


# --- displays ---------------------------------------------------------------------------------------------


def displays(domain: DomainXml, facts: HostFacts) -> Iterator[SettingProblem]:
    places = Places(domain)
    ports: set[int] = set()
    for display in domain.devices.graphics:
        for option, port in (("port", display.port), ("tls-port", display.tls_port), ("websocket", display.websocket)):
            if port is None or port == -1 or (port == 0 and display.autoport is not False):
                continue
            if not 0 < port < 65536:
                yield error(places.of(display, option), "Ports are numbers from 1 to 65535.")
            elif port in ports:
                free = EditFix(places.of(display, option), None, Phrase(N("Take a free one at each start")))
                yield error(
                    places.of(display, option),
                    f"Port {port} is used twice by this virtual machine.",
                    fix=free if option == "port" else None,
                )
            ports.add(port)
        if display.type == "vnc" and len((display.password or "").encode("utf-8", "replace")) > VNC_PASSWORD_BYTES:
            yield error(
                places.of(display, "password"),
                f"VNC knows passwords of at most {VNC_PASSWORD_BYTES} characters; choose a shorter one.",
            )
        addresses = [listen.address for listen in display.listens if listen.type == "address"]
        if not len(display.listens):
            addresses.append(display.listen_address)
        if any(is_everywhere(address) for address in addresses) and not display.password:
            yield warning(
                places.of(display, "listen"),
                "Every computer of your network can see and control this virtual machine, without a password; "
                "listen at 127.0.0.1, or set a password and TLS.",
                fix=here_only(places.of(display, "listen")),
            )
        elif any(is_everywhere(address) for address in addresses):
            yield warning(
                places.of(display, "listen"), "Every computer of your network can reach this display; use TLS with it."
            )
        if display.gl_enable and facts.render_refusal:
            yield error(places.of(display, "type"), f"OpenGL cannot be had. {facts.render_refusal}")
    for video in domain.devices.videos:
        if video.accel_3d and facts.render_refusal:
            yield error(places.of(video, "accel3d"), f"3D acceleration cannot be had. {facts.render_refusal}")
        offered = facts.offered("video/modelType")
        if video.model and offered and video.model not in offered:
            yield error(places.of(video, "model"), f"The host's QEMU has no graphics card “{video.model}”.")


def here_only(place: Place) -> EditFix:
    """Let a display listen where only this computer can reach it."""
    return EditFix(place, "address:127.0.0.1", Phrase(N("Listen at {}"), "127.0.0.1"))


def is_everywhere(address: str | None) -> bool:
    """Whether an address to listen at is every address of the host."""
    return address in ("0.0.0.0", "::", "*")  # noqa: S104  (recognised, never bound)


# --- devices of the host ----------------------------------------------------------------------------------


def host_devices(domain: DomainXml, facts: HostFacts) -> Iterator[SettingProblem]:
    places = Places(domain)
    usb = {f"usb:{one.vendor_id:04x}:{one.product_id:04x}": one for one in facts.usb_devices}
    usb |= {f"usb@{one.bus}.{one.device}": one for one in facts.usb_devices}
    pci = {f"pci:{one.address}": one for one in facts.pci_devices}
    mediated = {f"mdev:{one.uuid.lower()}" for one in facts.mediated_devices}
    unknown = {name for name, _ in facts.unknown}
    seen: set[str] = set()
    for device in domain.devices.host_devices:
        names = list(host_device_names(device.make()))
        place = places.of(device, "device")
        if not names:
            continue
        if seen.intersection(names):
            yield error(place, "This virtual machine has this device already.")
        seen.update(names)
        kind = names[0].partition(":")[0].partition("@")[0]
        if kind == "usb" and "usb_devices" not in unknown:
            found = next((usb[name] for name in names if name in usb), None)
            if found is None and device.source.startup_policy in (None, "mandatory"):
                yield warning(place, "This USB device is not plugged into the host; without it the start fails.")
            elif found is not None and found.used_by:
                yield warning(place, f"“{found.used_by}” has this device now.")
        elif kind == "pci" and "pci_devices" not in unknown:
            card = pci.get(names[0])
            if card is None:
                yield warning(place, "The host has no such PCI device.")
            elif card.iommu_group is None:
                yield error(
                    place, "The host's IOMMU is off; switch it on in the firmware and on the kernel's command line."
                )
            elif card.used_by:
                yield warning(place, f"“{card.used_by}” has this device now.")
        elif kind == "mdev" and "mediated_devices" not in unknown and names[0] not in mediated:
            yield warning(place, "The host has no such mediated device; create it there first.")


def offered(domain: DomainXml, facts: HostFacts) -> Iterator[SettingProblem]:
    places = Places(domain)
    if facts.offers_any("tpm") is False:
        for tpm in domain.devices.tpms:
            yield error(places.of(tpm), "The host offers no TPM; install the package “swtpm” there.")
    buses = facts.offered("disk/bus")
    for disk in domain.devices.disks:
        if disk.target_bus and buses and disk.target_bus not in buses:
            yield error(places.of(disk, "bus"), f"The host's QEMU has no drives at the bus “{disk.target_bus}”.")


RULES: tuple[Rule, ...] = (
    drive_names,
    drive_sources,
    images_twice,
    paths,
    modules,
    displays,
    host_devices,
    offered,
)
