"""A VM's hardware in plain words, one line each, for the Overview."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

from PySide6.QtCore import QCoreApplication

from guivm.engine.job_types import DiskInfo, Firmware, NicInfo, VirtType, VmDetails
from guivm.views import formats
from guivm.views.actions import N


def _tr(text: str) -> str:
    return QCoreApplication.translate("Hardware", text)


@dataclass(frozen=True)
class HardwareLine:
    """``value`` is what it is, ``note`` how it is virtualised, ``path`` where it lives."""

    icon: str
    label: str
    value: str
    note: str = ""
    path: str = ""


_BUS = {
    "virtio": "VirtIO",
    "sata": "SATA",
    "scsi": "SCSI",
    "ide": "IDE",
    "usb": "USB",
    "fdc": N("Hardware", "floppy controller"),
}
_VIDEO = {"virtio": "VirtIO", "qxl": "QXL", "vga": "VGA", "cirrus": "Cirrus", "bochs": "Bochs", "ramfb": "ramfb"}
_NIC = {"virtio": "VirtIO", "e1000": "Intel e1000", "e1000e": "Intel e1000e", "rtl8139": "Realtek RTL8139"}
_GRAPHICS = {"vnc": "VNC", "spice": "SPICE", "dbus": "D-Bus", "sdl": "SDL", "rdp": "RDP", "egl-headless": "EGL"}


def processor(details: VmDetails) -> HardwareLine:
    count = formats.counted(details.vcpus, _tr(N("Hardware", "{n} CPU")), _tr(N("Hardware", "{n} CPUs")))
    match details.virt_type:
        case VirtType.KVM:
            how = _tr(N("Hardware", "Hardware-assisted (KVM): near native speed"))
        case VirtType.TCG:
            how = _tr(N("Hardware", "Emulated in software (TCG): runs anywhere, slower"))
        case _:
            how = ""
    return HardwareLine("cpu", _tr(N("Hardware", "Processor")), f"{count}, {details.arch}", how)


def memory(details: VmDetails) -> HardwareLine:
    return HardwareLine("memory", _tr(N("Hardware", "Memory")), formats.memory(details.memory_kib))


def disk(info: DiskInfo) -> HardwareLine:
    bus = _BUS.get(info.bus, info.bus)
    name = PurePath(info.path).name if info.path else ""
    if info.device in ("cdrom", "floppy"):
        icon = "cd" if info.device == "cdrom" else "floppy"
        label = _tr(N("Hardware", "CD drive")) if info.device == "cdrom" else _tr(N("Hardware", "Floppy drive"))
        parts = [_size_words(info), bus]
        value = name or _tr(N("Hardware", "Empty"))
        return HardwareLine(icon, label, value, " · ".join(p for p in parts if p), info.path)
    parts = [_size_words(info), info.format, bus, _tr(N("Hardware", "read-only")) if info.read_only else ""]
    value = name or _tr(N("Hardware", "No medium"))
    label = _tr(N("Hardware", "Disk {target}")).format(target=info.target)
    return HardwareLine("disk", label, value, " · ".join(p for p in parts if p), info.path)


def _size_words(info: DiskInfo) -> str:
    virtual, real = info.virtual_bytes, info.real_bytes
    if info.device in ("cdrom", "floppy"):
        return formats.size(virtual) if virtual and info.path else ""
    if virtual is not None and real is not None:
        return _tr(N("Hardware", "{real} used of {virtual}")).format(
            real=formats.size(real), virtual=formats.size(virtual)
        )
    return formats.size(virtual) if virtual is not None else ""


def network(info: NicInfo) -> HardwareLine:
    texts = {
        "user": N("Hardware", "Shares the host's connection (user-mode NAT)"),
        "network": N("Hardware", "Virtual network “{source}”"),
        "bridge": N("Hardware", "On the host's network (bridge {source})"),
        "direct": N("Hardware", "On the host's network (macvtap on {source})"),
        "ethernet": N("Hardware", "A network device of the host"),
        "vhostuser": N("Hardware", "vhost-user"),
        "internal": N("Hardware", "Isolated network"),
    }
    text = texts.get(info.mode)
    value = _tr(text).format(source=info.source) if text else info.mode
    note = " · ".join(part for part in (_NIC.get(info.model, info.model), info.mac) if part)
    return HardwareLine("network", _tr(N("Hardware", "Network")), value, note)


def no_network() -> HardwareLine:
    return HardwareLine("network", _tr(N("Hardware", "Network")), _tr(N("Hardware", "None")))


def display(details: VmDetails) -> HardwareLine:
    label = _tr(N("Hardware", "Display"))
    if not details.graphics:
        return HardwareLine("display", label, _tr(N("Hardware", "None")))
    servers = ", ".join(_GRAPHICS.get(name, name) for name in details.graphics)
    video = _VIDEO.get(details.video, details.video)
    card = _tr(N("Hardware", "{model} graphics")).format(model=video) if video and video != "none" else ""
    return HardwareLine("display", label, card or servers, _tr(N("Hardware", "Shown over {name}")).format(name=servers))


def firmware(details: VmDetails) -> HardwareLine:
    names = {Firmware.BIOS: "BIOS", Firmware.UEFI: "UEFI", Firmware.OTHER: _tr(N("Hardware", "Other"))}
    return HardwareLine("firmware", _tr(N("Hardware", "Firmware")), names[details.firmware], details.machine)


def hardware_lines(details: VmDetails) -> list[HardwareLine]:
    """All lines of the hardware card in their order."""
    nics = [network(nic) for nic in details.nics] or [no_network()]
    disks = [disk(info) for info in details.disks]
    return [processor(details), memory(details), *disks, *nics, display(details), firmware(details)]
