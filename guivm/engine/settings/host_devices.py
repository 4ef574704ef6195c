"""Devices of a host, from libvirt's node devices and, on this computer, from /sys.

Format: https://libvirt.org/formatnode.html. /sys: Linux, Documentation/ABI/testing/sysfs-class-net and sysfs-bus-pci.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from guivm.engine.options.facts import (
    HostInterface,
    HostPciDevice,
    HostUsbDevice,
    MediatedDevice,
    PageSize,
    RenderNode,
)
from guivm.engine.settings.neighbours import Neighbour
from guivm.engine.xml.document import Element, XmlError, element_children, parse_xml
from guivm.text import clean_line

_ROOT_HUB = 0x1D6B  # "Linux Foundation"
_PCI_BRIDGE = 0x06

# Base classes of PCI devices (PCI Code and ID Assignment Specification; include/linux/pci_ids.h).
_PCI_CLASSES = {
    0x00: "Device",
    0x01: "Storage controller",
    0x02: "Network card",
    0x03: "Graphics card",
    0x04: "Multimedia device",
    0x05: "Memory controller",
    0x07: "Communication controller",
    0x08: "System device",
    0x09: "Input device",
    0x0A: "Docking station",
    0x0B: "Processor",
    0x0C: "Serial bus controller",
    0x0D: "Wireless controller",
    0x10: "Encryption controller",
    0x12: "Accelerator",
}
_PCI_SUBCLASSES = {0x0C03: "USB controller", 0x0108: "NVMe drive", 0x0403: "Sound card", 0x0106: "SATA controller"}


@dataclass(frozen=True, slots=True)
class HostDevices:
    interfaces: tuple[HostInterface, ...] = ()
    usb_devices: tuple[HostUsbDevice, ...] = ()
    pci_devices: tuple[HostPciDevice, ...] = ()
    mediated_devices: tuple[MediatedDevice, ...] = ()
    render_nodes: tuple[RenderNode, ...] = ()


def read_node_devices(texts: Iterable[str]) -> HostDevices:
    """From the XML of node devices; what is no device for a VM is left out, and so is what cannot be read."""
    roots: dict[str, Element] = {}
    for text in texts:
        try:
            root = parse_xml(text, "device")
        except XmlError:
            continue
        roots[root.findtext("name") or ""] = root
    labels = {name: _label(root) for name, root in roots.items()}
    usb: list[HostUsbDevice] = []
    pci: list[HostPciDevice] = []
    mediated: list[MediatedDevice] = []
    nodes: list[RenderNode] = []
    interfaces: list[HostInterface] = []
    for name, root in roots.items():
        capability = root.find("capability")
        kind = "" if capability is None else capability.get("type", "")
        parent = roots.get(root.findtext("parent") or "")
        if capability is None:
            continue
        if kind == "usb_device":
            usb.extend(_usb(capability, labels[name]))
        elif kind == "pci":
            pci.extend(_pci(root, capability, labels[name]))
        elif kind == "mdev":
            mediated.append(_mediated(name, capability, labels.get(root.findtext("parent") or "", "")))
        elif kind == "drm" and capability.findtext("type") == "render":
            path = root.findtext("devnode[@type='dev']") or ""
            nodes.append(RenderNode(clean_line(path), labels.get(root.findtext("parent") or "", "")))
        elif kind == "net":
            interfaces.append(_interface(capability, parent))
    return HostDevices(
        tuple(interface for interface in interfaces if interface.name not in ("", "lo")),
        tuple(sorted(usb, key=lambda device: (device.bus, device.device))),
        tuple(sorted(pci, key=lambda device: device.address)),
        tuple(mediated),
        tuple(sorted((node for node in nodes if node.path), key=lambda node: node.path)),
    )


def _label(root: Element) -> str:
    """ "Intel Corporation Ethernet Controller X710"."""
    capability = root.find("capability")
    if capability is None:
        return ""
    words = [clean_line(capability.findtext(tag) or "") for tag in ("vendor", "product")]
    if not any(words):
        words = [clean_line(element.get("id", "")) for element in capability if element.tag in ("vendor", "product")]
    return " ".join(word for word in words if word)


def _integer(text: str | None) -> int:
    try:
        return int(text or "0", 0)
    except ValueError:
        return 0


def _attribute(element: Element, path: str, name: str) -> str:
    found = element.find(path)
    return "" if found is None else found.get(name, "")


def _usb(capability: Element, label: str) -> list[HostUsbDevice]:
    vendor = _integer(_attribute(capability, "vendor", "id"))
    if vendor == _ROOT_HUB:
        return []
    return [
        HostUsbDevice(
            vendor_id=vendor,
            product_id=_integer(_attribute(capability, "product", "id")),
            label=label,
            bus=_integer(capability.findtext("bus")),
            device=_integer(capability.findtext("device")),
        )
    ]


def _address_of(capability: Element) -> str:
    domain, bus, slot, function = (_integer(capability.findtext(tag)) for tag in ("domain", "bus", "slot", "function"))
    return f"{domain:04x}:{bus:02x}:{slot:02x}.{function:x}"


def _pci(root: Element, capability: Element, label: str) -> list[HostPciDevice]:
    number = _integer(capability.findtext("class"))
    if number >> 16 == _PCI_BRIDGE:
        return []
    group = capability.find("iommuGroup")
    return [
        HostPciDevice(
            address=_address_of(capability),
            label=label,
            class_label=_PCI_SUBCLASSES.get(number >> 8) or _PCI_CLASSES.get(number >> 16, "Device"),
            iommu_group=None if group is None else _integer(group.get("number")),
            driver=clean_line(root.findtext("driver/name") or ""),
            mediated_types=tuple(
                clean_line(kind.get("id", "")) for kind in capability.iterfind("capability[@type='mdev_types']/type")
            ),
        )
    ]


def _mediated(name: str, capability: Element, parent_label: str) -> MediatedDevice:
    # "mdev_<UUID with underscores>_<parent>" where libvirt is older than its <uuid> element.
    uuid = capability.findtext("uuid") or name.removeprefix("mdev_")[:36].replace("_", "-")
    group = capability.find("iommuGroup")
    kind = _attribute(capability, "type", "id")
    return MediatedDevice(
        uuid=clean_line(uuid),
        label=clean_line(f"{kind} {parent_label}"),
        parent=clean_line(capability.findtext("parent_addr") or ""),
        iommu_group=None if group is None else _integer(group.get("number")),
    )


def _interface(capability: Element, parent: Element | None) -> HostInterface:
    address, is_virtual = "", False
    pci = None if parent is None else parent.find("capability[@type='pci']")
    if pci is not None and pci.find("capability[@type='phys_function']") is not None:
        address, is_virtual = _address_of(pci), True
    return HostInterface(
        name=clean_line(capability.findtext("interface") or ""),
        is_bridge=False,  # node devices do not tell
        is_up=_attribute(capability, "link", "state") != "down",
        is_wireless=capability.find("capability[@type='80211']") is not None,
        pci_address=address,
        is_virtual_function=is_virtual,
    )


def read_host_interfaces(texts: Iterable[str]) -> tuple[HostInterface, ...]:
    """From libvirt's ``<interface>`` documents (formatinterface): of hosts that are another computer."""
    found: list[HostInterface] = []
    for text in texts:
        try:
            root = parse_xml(text, "interface")
        except XmlError:
            continue
        name = clean_line(root.get("name", ""))
        if name not in ("", "lo"):
            found.append(
                HostInterface(
                    name, is_bridge=root.get("type") == "bridge", is_up=_attribute(root, "link", "state") != "down"
                )
            )
    return tuple(found)


def with_users(devices: HostDevices, neighbours: Iterable[Neighbour]) -> HostDevices:
    """Say of each USB and PCI device which other VM has it. Running ones count, and of those the first."""
    users = {
        name: neighbour.vm.name for neighbour in neighbours if neighbour.vm.is_active for name in neighbour.devices
    }
    return replace(
        devices,
        usb_devices=tuple(
            replace(
                usb,
                used_by=users.get(f"usb@{usb.bus}.{usb.device}")
                or users.get(f"usb:{usb.vendor_id:04x}:{usb.product_id:04x}", ""),
            )
            for usb in devices.usb_devices
        ),
        pci_devices=tuple(replace(pci, used_by=users.get(f"pci:{pci.address}", "")) for pci in devices.pci_devices),
    )


# --- this computer ----------------------------------------------------------------------------------------


def local_interfaces(sys: Path = Path("/sys")) -> tuple[HostInterface, ...]:
    """Network interfaces of this computer. Raises OSError."""
    found: list[HostInterface] = []
    for link in sorted((sys / "class/net").iterdir()):
        if link.name == "lo" or not link.is_dir():
            continue
        is_virtual = (link / "device/physfn").exists()
        found.append(
            HostInterface(
                name=clean_line(link.name),
                is_bridge=(link / "bridge").is_dir(),
                is_up=bool(_integer(_text(link / "flags")) & 1),  # IFF_UP
                is_wireless=(link / "wireless").exists() or (link / "phy80211").exists(),
                pci_address=(link / "device").resolve().name if is_virtual else "",
                is_virtual_function=is_virtual,
            )
        )
    return tuple(found)


def local_render_nodes(dev: Path = Path("/dev"), sys: Path = Path("/sys")) -> tuple[RenderNode, ...]:
    """What is below /dev/dri, with the driver's name."""
    found: list[RenderNode] = []
    for path in sorted((dev / "dri").glob("renderD*")):
        driver = sys / "class/drm" / path.name / "device/driver"
        found.append(RenderNode(str(path), driver.resolve().name if driver.exists() else path.name))
    return tuple(found)


def local_page_sizes(sys: Path = Path("/sys")) -> tuple[PageSize, ...]:
    """Sizes of huge pages that this kernel knows, whether any are set aside or not."""
    found: list[PageSize] = []
    for folder in (sys / "kernel/mm/hugepages").glob("hugepages-*kB"):
        kib = folder.name.removeprefix("hugepages-").removesuffix("kB")
        if kib.isdigit():
            found.append(
                PageSize(int(kib), _integer(_text(folder / "nr_hugepages")), _integer(_text(folder / "free_hugepages")))
            )
    return tuple(sorted(found, key=lambda size: size.kib))


def local_ksm(sys: Path = Path("/sys")) -> bool | None:
    """Whether this kernel merges equal pages now; None when it cannot."""
    text = _text(sys / "kernel/mm/ksm/run")
    return None if not text else text == "1"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def usable_by_us(node: RenderNode) -> bool:
    return os.access(node.path, os.R_OK | os.W_OK)


def page_sizes_of_capabilities(text: str) -> tuple[tuple[int, int], ...]:
    """Huge pages of a host's capabilities as (KiB, how many), over all its NUMA cells. Raises XmlError."""
    totals: dict[int, int] = {}
    for pages in parse_xml(text, "capabilities").iterfind("host/topology/cells/cell/pages"):
        kib = _integer(pages.get("size"))
        totals[kib] = totals.get(kib, 0) + _integer(pages.text)
    return tuple(sorted(totals.items()))[1:]  # the smallest is the ordinary page


def dac_user(text: str) -> tuple[int, int] | None:
    """User and group that QEMU runs as, of a host's capabilities; None where it runs as the daemon's own user.

    ``<secmodel><model>dac</model><baselabel type='kvm'>+64055:+64055</baselabel>`` (formatcaps.html). Raises XmlError.
    """
    for model in parse_xml(text, "capabilities").iterfind("host/secmodel"):
        if model.findtext("model") != "dac":
            continue
        for label in element_children(model, "baselabel"):
            user, _, group = (label.text or "").strip().partition(":")
            if user.lstrip("+").isdigit() and group.lstrip("+").isdigit():
                return int(user), int(group)
    return None
