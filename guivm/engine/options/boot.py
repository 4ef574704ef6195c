"""What starts first: boot order, menu, and a kernel without a boot loader. (formatdomain.html, "Operating system
booting")"""

from __future__ import annotations

from collections.abc import Sequence

from guivm.engine.options.option import (
    Block,
    Custom,
    Group,
    HostPath,
    N,
    Number,
    Option,
    Resource,
    Situation,
    Switch,
    Value,
    stored,
)
from guivm.engine.xml.boot import Os
from guivm.engine.xml.device import BootableDevice
from guivm.engine.xml.disk import Disk
from guivm.engine.xml.domain import DomainXml
from guivm.engine.xml.interface import Interface

_KIND_WORDS = {"hd": N("disk"), "cdrom": N("CD"), "network": N("network"), "fd": N("floppy")}


def bootable_devices(domain: DomainXml) -> tuple[tuple[str, BootableDevice], ...]:
    """Every device the firmware can be told to boot, by the word that boot orders call it: a drive's target
    ("vda"), a card's MAC address (without one "nic0"), "hostdev0", "redirdev0"."""
    devices = domain.devices
    found: list[tuple[str, BootableDevice]] = [
        (disk.target_dev or f"disk{index}", disk) for index, disk in enumerate(devices.disks)
    ]
    found += [(card.mac or f"nic{index}", card) for index, card in enumerate(devices.interfaces)]
    found += [(f"hostdev{index}", device) for index, device in enumerate(devices.host_devices)]
    found += [(f"redirdev{index}", device) for index, device in enumerate(devices.redirected_usbs)]
    return tuple(found)


def boot_order(domain: DomainXml) -> tuple[str, ...]:
    """Words of :func:`bootable_devices` in their order; or kinds ("hd", "cdrom"), where the order names only those."""
    by_device = sorted(
        (device.boot_order, word) for word, device in bootable_devices(domain) if device.boot_order is not None
    )
    if by_device:
        return tuple(word for _, word in by_device)
    return tuple(entry.dev or "" for entry in domain.os.boot_devices)


def set_boot_order(domain: DomainXml, words: Sequence[str]) -> None:
    """The reverse. libvirt allows either way, never both; numbers begin with 1. Raises ValueError."""
    devices = dict(bootable_devices(domain))
    lowered = [word.lower() for word in words]
    if len(set(lowered)) != len(lowered):
        raise ValueError(N("A device stands in the boot order twice."))
    kinds = bool(lowered) and all(word in _KIND_WORDS for word in lowered)
    unknown = [word for word in lowered if word not in devices and not kinds]
    if unknown:
        raise ValueError(f"There is no device “{unknown[0]}” to boot; there are: {', '.join(devices) or 'none'}.")
    for word, device in devices.items():
        place = None if kinds or word not in lowered else lowered.index(word) + 1
        if device.boot_order != place:
            device.boot_order = place
    if kinds:
        if [entry.dev for entry in domain.os.boot_devices] != lowered:
            domain.os.boot_devices.clear()
            for word in lowered:
                domain.os.boot_devices.add().dev = word
    else:
        domain.os.boot_devices.clear()


def _get_order(domain: DomainXml) -> Value | None:
    return ", ".join(boot_order(domain)) or None


def _set_order(domain: DomainXml, value: Value | None) -> None:
    set_boot_order(domain, [word.strip() for word in str(value or "").split(",") if word.strip()])


def _set_menu(domain: DomainXml, value: Value | None) -> None:
    """How long it waits means nothing without it."""
    domain.os.boot_menu = None if value is None else bool(value)
    if value is None:
        domain.os.boot_menu_timeout_ms = None


def describe_device(device: BootableDevice) -> str:
    """What a person calls it, in a few words."""
    if isinstance(device, Disk):
        return {"cdrom": N("CD"), "floppy": N("floppy")}.get(device.device or "", N("disk"))
    return N("network") if isinstance(device, Interface) else N("host device")


def kind_words(domain: DomainXml) -> list[str]:
    """The kinds that the order names, in a person's words: "disk", "CD"."""
    return [_KIND_WORDS.get(entry.dev or "", entry.dev or "") for entry in domain.os.boot_devices]


def _summary(_situation: Situation, domain: DomainXml) -> str:
    if domain.os.kernel:
        return N("a Linux kernel of the host")
    by_word = dict(bootable_devices(domain))
    order = [describe_device(by_word[w]) if w in by_word else _KIND_WORDS.get(w, w) for w in boot_order(domain)]
    return ", ".join(dict.fromkeys(order)) or N("the firmware's own order")


def _needs_kernel(_situation: Situation, domain: DomainXml) -> str:
    return "" if domain.os.kernel else N("Choose a kernel first.")


def _is_arm(_situation: Situation, domain: DomainXml) -> bool:
    return domain.os.device_tree is not None or (domain.os.arch or "x86_64") not in ("x86_64", "i686", "s390x")


def _nodes(domain: DomainXml) -> Sequence[DomainXml]:
    return (domain,)


BOOT: Resource[DomainXml] = Resource(
    "boot",
    N("Boot"),
    Group.SYSTEM,
    "start",
    "boot",
    _nodes,
    (
        Option(
            "order",
            N("Boot order"),
            N(
                "The devices the firmware tries, one after the other; a disc above the disk starts the installer "
                "each time."
            ),
            Custom("boot-order", "vda, sda, 52:54:00:12:34:56"),
            _get_order,
            _set_order,
            default=N("the firmware's own order"),
            keywords="boot first device iso cd dvd pxe network disk priority sequence",
        ),
        Option(
            "menu",
            N("Boot menu"),
            N("A key pressed at the start chooses the device to boot once; it makes each start a few seconds longer."),
            Switch(),
            lambda domain: domain.os.boot_menu,
            _set_menu,
            keywords="f12 esc choose device",
        ),
        Option(
            "menu-timeout",
            N("Boot menu waits"),
            N("How long the firmware waits for that key; BIOS honours it, UEFI only in part."),
            Number(0, 65_535, "ms", 500),
            *stored(Os.boot_menu_timeout_ms, DomainXml.os),
            more=True,
            keywords="splash delay",
            default=N("the firmware's own time"),
            refusal=lambda _situation, domain: "" if domain.os.boot_menu else N("Switch the boot menu on first."),
        ),
        Option(
            "kernel",
            N("Linux kernel"),
            N(
                "Starts this kernel of the host directly, without firmware menu or boot loader: quick, and good for "
                "trying kernels, but updates inside the guest no longer choose what is started."
            ),
            HostPath(filters=(N("Linux kernels (vmlinuz* bzImage*)"),)),
            *stored(Os.kernel, DomainXml.os),
            more=True,
            keywords="direct kernel boot vmlinuz bzimage",
            default=N("the disk's own boot loader"),
        ),
        Option(
            "initrd",
            N("Initial RAM disk"),
            N("What the kernel unpacks into memory first; most distributions' kernels find no disk without theirs."),
            HostPath(filters=(N("RAM disks (initrd* initramfs* *.img)"),)),
            *stored(Os.initrd, DomainXml.os),
            more=True,
            keywords="initrd initramfs direct kernel boot",
            refusal=_needs_kernel,
        ),
        Option(
            "command-line",
            N("Kernel arguments"),
            N(
                "Handed to the kernel as it is, for example “console=ttyS0 root=/dev/vda1”; a wrong root stops the "
                "start."
            ),
            Block(4096),
            *stored(Os.command_line, DomainXml.os),
            more=True,
            keywords="append cmdline kernel parameters console",
            refusal=_needs_kernel,
        ),
        Option(
            "device-tree",
            N("Device tree"),
            N("Describes the board to the kernel in place of the tree QEMU makes; it must fit the machine exactly."),
            HostPath(filters=(N("Device trees (*.dtb)"),)),
            *stored(Os.device_tree, DomainXml.os),
            more=True,
            keywords="dtb arm riscv",
            refusal=_needs_kernel,
            shown=_is_arm,
        ),
        Option(
            "retry",
            N("Try again after"),
            N(
                "Restarts a BIOS that found nothing to boot after this time, -1 never; useful while a network server "
                "is slow."
            ),
            Number(-1, 65_535, "ms", 1000),
            *stored(Os.bios_reboot_timeout_ms, DomainXml.os),
            more=True,
            keywords="reboot timeout bios pxe",
            default=N("never"),
        ),
        Option(
            "serial-output",
            N("BIOS on the serial line"),
            N("The BIOS also writes to the first serial port, so that a start can be watched without a screen."),
            Switch(),
            *stored(Os.bios_use_serial, DomainXml.os),
            more=True,
            keywords="useserial headless sgabios",
            refusal=lambda _situation, domain: (
                N("This is for BIOS; UEFI writes there anyway.") if domain.os.uses_uefi else ""
            ),
        ),
    ),
    _summary,
    is_device=False,
    keywords="boot start order kernel",
)
