"""ReadDetails: the hardware of a VM in fields, from its definition. Worker only.

Format: https://libvirt.org/formatdomain.html.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guivm.engine.context import HandlerContext
from guivm.engine.job_types import DiskInfo, Firmware, NicInfo, VirtType, VmDetails
from guivm.engine.libvirt_errors import is_connection_lost
from guivm.engine.reader import memory_kib, parse_domain, vcpus_of
from guivm.engine.requests import ReadDetails
from guivm.engine.types import VmKey
from guivm.text import clean_block, clean_line

if TYPE_CHECKING:
    import libvirt
    from lxml import etree

_XML_LIMIT = 1024 * 1024
_PATH_LIMIT = 4096


def read_details(context: HandlerContext, request: ReadDetails) -> VmDetails:
    """Handler of ReadDetails."""
    import libvirt

    domain = context.domain(request.key)
    active = bool(domain.isActive())
    try:
        xml = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    except libvirt.libvirtError as error:
        if is_connection_lost(error):
            raise
        xml = domain.XMLDesc(0)  # a transient domain of a driver that keeps no inactive definition
    details = parse_details(request.key, xml)
    # What is in the drives now, and what is on the wire now, is in the live definition.
    live = parse_domain(domain.XMLDesc(0)) if active else None
    disks = tuple(_disk(element) for element in live.iterfind("devices/disk")) if live is not None else details.disks
    return VmDetails(
        key=details.key,
        virt_type=details.virt_type,
        arch=details.arch,
        machine=details.machine,
        firmware=details.firmware,
        vcpus=details.vcpus,
        memory_kib=details.memory_kib,
        disks=tuple(_with_sizes(disk, domain) for disk in disks),
        nics=details.nics,
        graphics=details.graphics,
        video=details.video,
        xml=details.xml,
    )


def parse_details(key: VmKey, xml: str) -> VmDetails:
    """The fields of a definition; disk sizes are not in it. Every text is cleaned."""
    root = parse_domain(xml)
    os_type = root.find("os/type")
    return VmDetails(
        key=key,
        virt_type=_virt_type(root.get("type", "")),
        arch=clean_line(os_type.get("arch", "") if os_type is not None else ""),
        machine=clean_line(os_type.get("machine", "") if os_type is not None else ""),
        firmware=_firmware(root),
        vcpus=vcpus_of(root),
        memory_kib=memory_kib(root.find("memory")),
        disks=tuple(_disk(element) for element in root.iterfind("devices/disk")),
        nics=tuple(_nic(element) for element in root.iterfind("devices/interface")),
        graphics=tuple(clean_line(element.get("type", "")) for element in root.iterfind("devices/graphics")),
        video=_attribute(root, "devices/video/model", "type"),
        xml=clean_block(xml, _XML_LIMIT),
    )


def _virt_type(name: str) -> VirtType:
    return {"kvm": VirtType.KVM, "qemu": VirtType.TCG}.get(name, VirtType.OTHER)


def _firmware(root: etree._Element) -> Firmware:
    os_element = root.find("os")
    if os_element is None:
        return Firmware.OTHER
    if os_element.get("firmware") == "efi" or os_element.find("loader[@type='pflash']") is not None:
        return Firmware.UEFI
    if os_element.find("loader") is not None or _attribute(root, "os/type", "arch") not in ("x86_64", "i686"):
        return Firmware.OTHER
    return Firmware.BIOS


def _attribute(element: etree._Element, path: str, name: str) -> str:
    found = element.find(path)
    return clean_line(found.get(name, "")) if found is not None else ""


_SOURCE_ATTRIBUTES = ("file", "dev", "dir", "name", "volume")


def _disk(element: etree._Element) -> DiskInfo:
    source = element.find("source")
    path = ""
    if source is not None:
        path = next((value for name in _SOURCE_ATTRIBUTES if (value := source.get(name))), "")
        if element.get("type") == "volume" and source.get("pool"):
            path = f"{source.get('pool')}/{path}"
    return DiskInfo(
        target=_attribute(element, "target", "dev"),
        device=clean_line(element.get("device", "disk")),
        bus=_attribute(element, "target", "bus"),
        path=clean_line(path, _PATH_LIMIT),
        format=_attribute(element, "driver", "type"),
        read_only=element.find("readonly") is not None,
    )


def _with_sizes(disk: DiskInfo, domain: libvirt.virDomain) -> DiskInfo:
    import libvirt

    if not disk.path:
        return disk
    try:
        virtual, allocated, _physical = domain.blockInfo(disk.target, 0)
    except libvirt.libvirtError as error:
        if is_connection_lost(error):
            raise
        return disk  # the file is missing or the driver cannot tell
    return DiskInfo(
        disk.target, disk.device, disk.bus, disk.path, disk.format, int(virtual), int(allocated), disk.read_only
    )


def _nic(element: etree._Element) -> NicInfo:
    source = element.find("source")
    name = ""
    if source is not None:
        name = source.get("network") or source.get("bridge") or source.get("dev") or ""
    return NicInfo(
        mode=clean_line(element.get("type", "")),
        source=clean_line(name),
        model=_attribute(element, "model", "type"),
        mac=_attribute(element, "mac", "address"),
    )
