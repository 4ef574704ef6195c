"""The other VMs of a host, as far as they can be in a VM's way: their names, memory, MAC addresses, images, devices."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from guivm.engine.context import HandlerContext
from guivm.engine.libvirt_errors import is_connection_lost
from guivm.engine.options.facts import OtherVm
from guivm.engine.references import volume_path
from guivm.engine.xml.document import Element, XmlError, element_children, first_child, parse_xml
from guivm.engine.xml.domain import DomainXml
from guivm.text import clean_line

if TYPE_CHECKING:
    import libvirt

LIMIT = 20_000
"""Of more VMs than this on one host the rest is not looked at."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another VM, and which host devices it has: "usb:046d:c52b", "usb@1.4", "pci:0000:01:00.0", "mdev:UUID"."""

    vm: OtherVm
    devices: frozenset[str] = frozenset()


@dataclass(slots=True)
class NeighbourCache:
    """Of one link. An entry is good while its VM has the same name and state, up to an age. One thread at a time."""

    found: dict[str, tuple[tuple[str, int], float, Neighbour]] = field(default_factory=dict)


def read_neighbours(context: HandlerContext, cache: NeighbourCache, max_age_s: float) -> tuple[Neighbour, ...]:
    """All VMs of the host, one document each. Raises libvirtError when they cannot be listed, CancelledError."""
    now_s = time.monotonic()
    found: dict[str, tuple[tuple[str, int], float, Neighbour]] = {}
    for domain in context.connection.listAllDomains(0)[:LIMIT]:
        context.job.check_cancelled()
        # These three are known to the client: no call is made.
        uuid, mark = str(domain.UUIDString()), (str(domain.name()), int(domain.ID()))
        known = cache.found.get(uuid)
        if known is not None and known[0] == mark and now_s - known[1] < max_age_s:
            found[uuid] = known
            continue
        neighbour = _read(context, domain, uuid)
        if neighbour is not None:
            found[uuid] = (mark, now_s, neighbour)
    cache.found = found
    return tuple(entry[2] for entry in found.values())


def _read(context: HandlerContext, domain: libvirt.virDomain, uuid: str) -> Neighbour | None:
    import libvirt

    try:
        text = str(domain.XMLDesc(0))
        return neighbour_of(parse_xml(text, "domain"), uuid, is_active=domain.ID() >= 0, context=context)
    except XmlError:
        return None
    except libvirt.libvirtError as error:
        if is_connection_lost(error):
            raise
        return None  # removed meanwhile


def neighbour_of(root: Element, uuid: str, *, is_active: bool, context: HandlerContext | None = None) -> Neighbour:
    """From a domain's document. Without ``context`` volumes of pools are not resolved. Raises XmlError."""
    domain = DomainXml(root)
    devices = domain.devices.find()
    every = [] if devices is None else element_children(devices)
    return Neighbour(
        OtherVm(
            name=clean_line(domain.name or ""),
            uuid=uuid,
            is_active=is_active,
            memory_kib=domain.memory_kib or 0,
            macs=tuple(
                mac.get("address", "").lower()
                for device in every
                if device.tag == "interface" and (mac := first_child(device, "mac")) is not None
            ),
            paths=tuple(dict.fromkeys(path for device in every for path in _own_paths(device, context))),
        ),
        frozenset(name for device in every if device.tag == "hostdev" for name in host_device_names(device)),
    )


def _own_paths(device: Element, context: HandlerContext | None) -> Iterator[str]:
    """What a VM writes to and nobody else may: no media, nothing read-only or shared on purpose."""
    if device.tag != "disk" or device.get("device") in ("cdrom", "floppy"):
        return
    if first_child(device, "readonly") is not None or first_child(device, "shareable") is not None:
        return
    for source in device.iter("source"):
        path = source.get("file") or source.get("dev") or ""
        if not path and context is not None and source.get("pool") and source.get("volume"):
            path = volume_path(context.connection, source.get("pool", ""), source.get("volume", ""))
        if path.startswith("/"):
            yield path


def host_device_names(hostdev: Element) -> Iterator[str]:
    """By which names a host device of ``<hostdev>`` can be known to others."""
    source = first_child(hostdev, "source")
    if source is None:
        return
    kind = hostdev.get("type", "")
    address = first_child(source, "address")
    if kind == "usb":
        vendor, product = first_child(source, "vendor"), first_child(source, "product")
        if vendor is not None and product is not None:
            yield f"usb:{_number(vendor.get('id')):04x}:{_number(product.get('id')):04x}"
        if address is not None:
            yield f"usb@{_number(address.get('bus'))}.{_number(address.get('device'))}"
    elif kind == "pci" and address is not None:
        yield f"pci:{pci_address(address)}"
    elif kind == "mdev" and address is not None:
        yield f"mdev:{address.get('uuid', '').lower()}"


def pci_address(address: Element) -> str:
    """ "0000:01:00.0" of an element with domain, bus, slot and function, as attributes."""
    domain, bus, slot, function = (_number(address.get(name)) for name in ("domain", "bus", "slot", "function"))
    return f"{domain:04x}:{bus:02x}:{slot:02x}.{function:x}"


def _number(text: str | None) -> int:
    try:
        return int(text or "0", 0)
    except ValueError:
        return 0
