"""PCI and mediated devices of the host given to the guest. (formatdomain.html, "Host device assignment")

Which device, as a text: ``0000:01:00.0``, or the UUID of a mediated device.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from guivm.engine.options.devices import dropping, may_have, with_present, words
from guivm.engine.options.facts import HostFacts, HostPciDevice
from guivm.engine.options.nic_modes import parse_pci
from guivm.engine.options.option import Custom, Group, Item, N, Option, Resource, Situation, Switch, Value, stored
from guivm.engine.options.passthrough import BOOT, add_device, device_option, free_items, named, of_type, summary
from guivm.engine.xml.device import Rom
from guivm.engine.xml.domain import Devices, DomainXml
from guivm.engine.xml.hostdev import HostDevice

_ABSENT = N("The host does not have this device now.")
_ABSENT_SHORT = N("the host does not have it now")
_NO_IOMMU = N("The host's IOMMU is off: switch VT-d or AMD-Vi on in its firmware, and in the kernel's options.")


def _get_pci(hostdev: HostDevice) -> Value | None:
    return hostdev.source.address.pci or None


def _set_pci(hostdev: HostDevice, value: Value | None) -> None:
    if value == _get_pci(hostdev):
        return
    numbers = parse_pci("" if value is None else str(value))
    hostdev.source.address.remove()
    hostdev.source.address.set_pci(*numbers)


def group_members(facts: HostFacts, address: str) -> tuple[HostPciDevice, ...]:
    """The other devices of the same IOMMU group: they go with it, or must not be used by the host."""
    mine = next((each for each in facts.pci_devices if each.address == address), None)
    if mine is None or mine.iommu_group is None:
        return ()
    return tuple(
        each
        for each in facts.pci_devices
        if each.iommu_group == mine.iommu_group and each.address != address and not _is_bridge(each)
    )


def _is_bridge(device: HostPciDevice) -> bool:
    """Bridges stay with the host; they may be in a group without harm."""
    return "bridge" in device.class_label.lower()


def iommu_words(facts: HostFacts, address: str) -> str:
    """The IOMMU group of a device in one sentence."""
    mine = next((each for each in facts.pci_devices if each.address == address), None)
    if mine is None:
        return _ABSENT
    if mine.iommu_group is None:
        return N("The host's IOMMU is off, so its memory could not be protected from the device.")
    others = group_members(facts, address)
    if not others:
        return f"IOMMU group {mine.iommu_group}: the device is alone in it."
    names = ", ".join(f"{each.address} ({each.label or each.class_label})" for each in others[:8])
    more = f" and {len(others) - 8} more" if len(others) > 8 else ""
    return f"IOMMU group {mine.iommu_group}, together with {names}{more}: the host can use none of them meanwhile."


def pci_items(situation: Situation, hostdev: HostDevice | None) -> Sequence[Item]:
    """The host's PCI devices to choose from, each with its IOMMU group in words, or why it cannot be given away."""
    facts = situation.facts
    found = []
    for device in facts.pci_devices:
        if _is_bridge(device):
            continue
        refusal = ""
        if device.iommu_group is None:
            refusal = _NO_IOMMU
        elif device.used_by:
            refusal = f"“{device.used_by}” has it."
        note = words(device.class_label) + (". " if device.class_label else "") + iommu_words(facts, device.address)
        found.append(Item(device.address, f"{device.address} {device.label}".strip(), note, refusal))
    return with_present(found, None if hostdev is None else _get_pci(hostdev), _ABSENT)


def _pci_summary(situation: Situation, hostdev: HostDevice) -> str:
    address = str(_get_pci(hostdev) or "")
    device = next((each for each in situation.facts.pci_devices if each.address == address), None)
    if device is None:
        return words(address, _ABSENT_SHORT)
    group = f"IOMMU group {device.iommu_group}" if device.iommu_group is not None else N("no IOMMU")
    others = len(group_members(situation.facts, address))
    return words(device.label or address, group, f"{others} more in it" if others else "")


_HARMLESS = ("audio", "usb", "non-volatile", "display", "vga", "3d", "network", "ethernet", "serial")


def _free_pci(situation: Situation) -> list[str]:
    """Addresses to offer first: virtual functions and what is set aside for guests, then devices alone in a group."""
    facts = situation.facts
    functions = {each.pci_address for each in facts.interfaces if each.is_virtual_function}
    usable = {item.value for item in free_items(situation, "pci", pci_items(situation, None), _get_pci)}

    def rank(device: HostPciDevice) -> tuple[bool, bool, bool, int]:
        return (
            device.address not in functions,
            device.driver != "vfio-pci",
            not any(word in device.class_label.lower() for word in _HARMLESS),
            len(group_members(facts, device.address)),
        )

    return [each.address for each in sorted(facts.pci_devices, key=rank) if each.address in usable]


def _add_pci(situation: Situation) -> HostDevice:
    """The one that the host misses least. Raises ValueError when there is none."""
    free = _free_pci(situation)
    if not free:
        raise ValueError(N("The host has no free PCI device to give."))
    hostdev = add_device(situation.domain, "pci")
    hostdev.managed = True
    _set_pci(hostdev, free[0])
    return hostdev


def _pci_refusal(situation: Situation) -> str:
    facts = situation.facts
    if facts.is_session:
        return N("An ordinary user's virtual machines may not take PCI devices; use the system's connection.")
    if not may_have(situation, "hostdev/subsysType", "pci"):
        return N("This host's QEMU passes no PCI devices on.")
    if not facts.pci_devices:
        return N("The host tells of no PCI devices.")
    if all(device.iommu_group is None for device in facts.pci_devices):
        return _NO_IOMMU
    return "" if _free_pci(situation) else N("Every PCI device of the host that could be given is taken.")


# --- mediated devices -------------------------------------------------------------------------------------


def _get_mdev(hostdev: HostDevice) -> Value | None:
    return hostdev.source.address.uuid


def _set_mdev(hostdev: HostDevice, value: Value | None) -> None:
    try:
        hostdev.source.address.uuid = str(uuid.UUID("" if value is None else str(value)))
    except ValueError as error:
        raise ValueError(N("A mediated device is named by its UUID.")) from error


def mdev_items(situation: Situation, hostdev: HostDevice | None) -> Sequence[Item]:
    """The host's mediated devices to choose from."""
    found = []
    for device in situation.facts.mediated_devices:
        group = f"IOMMU group {device.iommu_group}" if device.iommu_group is not None else ""
        found.append(Item(device.uuid, device.label or device.uuid, words(f"part of {device.parent}", group)))
    return with_present(found, None if hostdev is None else _get_mdev(hostdev), _ABSENT)


def _free_mdevs(situation: Situation) -> list[Item]:
    return free_items(situation, "mdev", mdev_items(situation, None), _get_mdev)


def _add_mdev(situation: Situation) -> HostDevice:
    """Raises ValueError when there is none."""
    free = _free_mdevs(situation)
    if not free:
        raise ValueError(N("The host has no free mediated device."))
    hostdev = add_device(situation.domain, "mdev")
    hostdev.managed, hostdev.model = False, "vfio-pci"
    _set_mdev(hostdev, free[0].value)
    return hostdev


def _mdev_refusal(situation: Situation) -> str:
    if situation.facts.is_session:
        return N("An ordinary user's virtual machines may not take host devices; use the system's connection.")
    if not situation.facts.mediated_devices:
        return N("The host has no mediated devices: its graphics card shares none, or an administrator must make them.")
    return "" if _free_mdevs(situation) else N("This VM has all mediated devices of the host.")


def _mdev_summary(situation: Situation, hostdev: HostDevice) -> str:
    return summary(mdev_items(situation, None), _get_mdev(hostdev), _ABSENT_SHORT)


_PCI_OPTIONS = (
    device_option(
        Custom("pci-device", "0000:01:00.0"),
        N(
            "Danger: the guest drives real hardware at full speed, the host loses it and its whole IOMMU group, and "
            "the VM can neither be saved nor moved."
        ),
        _get_pci,
        _set_pci,
    ),
    Option(
        "managed",
        N("Taken and given back by libvirt"),
        N(
            "libvirt takes it from the host's driver at the start and gives it back; switched off, you do that "
            "yourself."
        ),
        Switch(False),
        *stored(HostDevice.managed),
        more=True,
        keywords="driver vfio detach",
    ),
    Option(
        "rom",
        N("Show its firmware"),
        N("Graphics cards need their ROM for the guest's first picture; switch off for one that hangs there."),
        Switch(None),
        *stored(Rom.bar, HostDevice.rom),
        more=True,
        keywords="rom bar option vbios",
    ),
    BOOT,
)
_MDEV_OPTIONS = (
    device_option(
        Custom("mdev", "its UUID"),
        N(
            "A slice of a device that the host shares out, such as a graphics card; the VM cannot be saved while it "
            "has it."
        ),
        _get_mdev,
        _set_mdev,
    ),
    Option(
        "display",
        N("Show its screen"),
        N("Shows what the guest draws on it in the console; needs OpenGL or a display of the device's own."),
        Switch(False),
        *stored(HostDevice.display),
        more=True,
        keywords="vgpu gpu screen",
    ),
)


def _others(domain: DomainXml) -> list[HostDevice]:
    return [each for each in domain.devices.host_devices if each.type not in ("usb", "pci", "mdev")]


RESOURCES: tuple[Resource[Any], ...] = (
    Resource(
        id="hostdev-pci",
        title=N("PCI device of the host"),
        group=Group.PERIPHERALS,
        icon="pci",
        help="passthrough",
        nodes=of_type("pci"),
        options=_PCI_OPTIONS,
        summary=_pci_summary,
        name=named(N("PCI device {}"), _get_pci),
        identity=lambda hostdev: str(_get_pci(hostdev) or ""),
        keywords="pci pass-through passthrough vfio iommu gpu graphics card vt-d",
        add=_add_pci,
        remove=dropping(Devices.host_devices),
        add_refusal=_pci_refusal,
        hotplug=True,
    ),
    Resource(
        id="hostdev-mdev",
        title=N("Mediated device"),
        group=Group.PERIPHERALS,
        icon="pci",
        help="passthrough",
        nodes=of_type("mdev"),
        options=_MDEV_OPTIONS,
        summary=_mdev_summary,
        identity=lambda hostdev: str(_get_mdev(hostdev) or ""),
        keywords="mdev vgpu gvt-g shared gpu pass-through passthrough",
        add=_add_mdev,
        remove=dropping(Devices.host_devices),
        add_refusal=_mdev_refusal,
        hotplug=True,
    ),
    Resource(
        id="hostdev",
        title=N("Device of the host"),
        group=Group.PERIPHERALS,
        icon="pci",
        help="passthrough",
        nodes=_others,
        options=(
            Option(
                "read-only",
                N("Read-only"),
                N("The guest cannot write to it."),
                Switch(False),
                *stored(HostDevice.read_only),
                shown=lambda _s, hostdev: hostdev.type == "scsi",
            ),
            Option(
                "shareable",
                N("Shareable"),
                N(
                    "Danger: lets several VMs use it at the same time; without a cluster file system that destroys "
                    "the data."
                ),
                Switch(False),
                *stored(HostDevice.shareable),
                shown=lambda _s, hostdev: hostdev.type == "scsi",
            ),
        ),
        summary=lambda _situation, hostdev: words(hostdev.type, hostdev.source.adapter or hostdev.source.name),
        keywords="scsi pass-through passthrough",
        remove=dropping(Devices.host_devices),
    ),
)
