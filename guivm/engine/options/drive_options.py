"""Options that several kinds of drives have: bus, source, boot position."""

from __future__ import annotations

from guivm.engine.options.devices import NO_USB, Known, choice, has_usb, reader
from guivm.engine.options.drives import bus_of, get_source, set_boot_order, set_bus, set_source
from guivm.engine.options.option import Custom, N, Number, Option, Situation, stored
from guivm.engine.xml.disk import Disk


def bus_refusal(situation: Situation, disk: Disk, bus: str) -> str:
    if bus == "usb" and not has_usb(situation.domain):
        return NO_USB
    if disk.device == "lun" and bus not in ("scsi", "virtio"):
        return N("Only SCSI and VirtIO pass SCSI commands on; make it an ordinary disk first.")
    if disk.device == "cdrom" and bus in ("virtio", "nvme"):
        return N("There are no CD drives on this bus.")
    if bus == "ide" and sum(1 for each in situation.domain.devices.disks if bus_of(each) == "ide") >= 4:
        return N("IDE has room for four drives, and all are taken.") if bus_of(disk) != "ide" else ""
    return ""


POLICIES = (
    Known("mandatory", N("Do not start")),
    Known("requisite", N("Start without it only after a migration or restore")),
    Known("optional", N("Start without it")),
)

BOOT: Option[Disk] = Option(
    "boot-order",
    N("Boot position"),
    N("1 is tried first; drives without a number are never booted from once any device has one."),
    Number(1, 999),
    reader(Disk.boot_order),
    set_boot_order,
    keywords="boot index order start",
    default=N("not booted from, or by the machine's order"),
)


def policy_option(policies: tuple[Known, ...]) -> Option[Disk]:
    return Option(
        "startup-policy",
        N("If the file is missing"),
        N("What happens at the start when the image is not there: a missing CD need not keep a VM from running."),
        choice(policies, default=N("Do not start")),
        *stored(Disk.startup_policy),
        more=True,
    )


def bus_option(devices: tuple[Known, ...]) -> Option[Disk]:
    return Option(
        "bus",
        N("Bus"),
        N(
            "How the drive is plugged in: VirtIO is fastest, SATA and IDE need no special driver in the guest; a "
            "system that lacks the driver will not boot."
        ),
        choice(devices, bus_of, path="disk/bus", default=None, refuse=bus_refusal, more=False),
        lambda disk: disk.target_bus,
        set_bus,
        keywords="interface virtio scsi sata ide usb nvme controller",
    )


def source_option(label: str, help_text: str, live: bool) -> Option[Disk]:
    return Option(
        "source",
        label,
        help_text,
        Custom("disk-source", "/PATH, volume:POOL/NAME"),
        get_source,
        set_source,
        live=live,
        keywords="file image path iso medium insert eject change volume block device",
        default=N("empty"),
    )
