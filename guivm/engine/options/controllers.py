"""What drives and USB devices are plugged into. (formatdomain.html, "Controllers")"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from guivm.engine.options.devices import (
    Known,
    choice,
    devices_of,
    drop_virtio_options,
    free_number,
    io_thread_items,
    is_q35,
    is_x86,
    label_of,
    reader,
    when,
    words,
)
from guivm.engine.options.option import Choice, Group, Item, N, Number, Option, Resource, Situation, Value, stored
from guivm.engine.options.phrase import Phrase
from guivm.engine.xml.controller import Controller
from guivm.engine.xml.domain import Devices, DomainXml

USB_MODELS = (
    Known("qemu-xhci", N("USB 3 (xHCI)"), N("All speeds on one controller, and the least work for the host.")),
    Known(
        "nec-xhci", N("USB 3 (NEC xHCI)"), N("For guests older than QEMU's own xHCI, such as Windows 7 with a driver.")
    ),
    Known("ich9-ehci1", N("USB 2 (EHCI, Intel ICH9)"), N("Needs companions for slow devices; for older systems.")),
    Known("ehci", N("USB 2 (EHCI)")),
    Known("piix3-uhci", N("USB 1.1 (UHCI)"), N("Slow; for systems of the nineties.")),
    Known("none", N("No USB"), N("No USB devices at all: less for the host to do, no tablet pointer.")),
)
SCSI_MODELS = (
    Known("virtio-scsi", N("VirtIO SCSI"), N("Fast and able to discard; Windows needs a driver.")),
    Known("lsilogic", N("LSI Logic 53C895A"), N("Known to old systems; slow.")),
    Known("lsisas1068", N("LSI SAS 1068"), N("As VMware has it.")),
    Known("vmpvscsi", N("VMware PVSCSI")),
)
_MODELS = {"usb": USB_MODELS, "scsi": SCSI_MODELS}
_SERVES = {"virtio-serial": N("for channels and consoles"), "ccid": N("for smart cards")}
_KINDS = {
    "usb": N("USB controller {}"),
    "scsi": N("SCSI controller {}"),
    "sata": N("SATA controller {}"),
    "ide": N("IDE controller {}"),
    "fdc": N("Floppy controller {}"),
    "virtio-serial": N("VirtIO serial controller {}"),
    "ccid": N("Smart card reader {}"),
    "nvme": N("NVMe controller {}"),
    "xenbus": N("Xen bus {}"),
}


def of_type(domain: DomainXml | Devices, kind: str) -> list[Controller]:
    devices = domain.devices if isinstance(domain, DomainXml) else domain
    return [each for each in devices.controllers if each.type == kind]


def ensure_scsi(devices: Devices) -> None:
    """Add a VirtIO SCSI controller where there is none: libvirt might choose one that guests lack a driver for."""
    if not of_type(devices, "scsi"):
        controller = devices.controllers.add()
        controller.type, controller.index, controller.model = "scsi", 0, "virtio-scsi"


def _nodes(domain: DomainXml) -> list[Controller]:
    """All but the PCI bridges, which libvirt manages, and the companions of a USB 2 controller."""
    return [
        each
        for each in domain.devices.controllers
        if each.type != "pci" and not (each.type == "usb" and each.master_start_port is not None)
    ]


def _items(situation: Situation, controller: Controller) -> Sequence[Item]:
    known = _MODELS.get(controller.type or "", ())
    return choice(known, reader(Controller.model), refuse=_refuse_model).items(situation, controller)


def _refuse_model(situation: Situation, controller: Controller, model: str) -> str:
    if model == "none" and controller.type == "usb":
        devices = situation.domain.devices
        in_use = (
            any(each.bus == "usb" for each in devices.inputs)
            or any(each.target_bus == "usb" for each in devices.disks)
            or any(each.type == "usb" for each in devices.host_devices)
            or len(devices.redirected_usbs) > 0
            or any(each.model == "usb" for each in devices.sounds)
            or len(devices.smart_cards) > 0
            or any(each.model == "usb-net" for each in devices.interfaces)
        )
        if in_use:
            return N("This VM has USB devices; remove them, or plug them in otherwise, first.")
        if len(of_type(situation.domain, "usb")) > 1:
            return N("There is another USB controller; remove it first.")
    return ""


def _set_model(controller: Controller, value: Value | None) -> None:
    """Another model is another PCI device: its address and what only the old one had go."""
    model = None if value is None else str(value)
    if model == controller.model:
        return
    controller.model = model
    controller.address.remove()
    if controller.type == "usb":
        if model not in ("qemu-xhci", "nec-xhci"):
            controller.ports = None
        controller.master_start_port = None
        _drop_companions(controller)
    if controller.type == "scsi" and not (model or "").startswith("virtio"):
        controller.queues = controller.io_thread = None
        controller.commands_per_lun = controller.max_sectors = None
        controller.ioeventfd = None
        drop_virtio_options(controller)


def _drop_companions(controller: Controller) -> None:
    devices = devices_of(controller)
    for other in devices.controllers:
        if other.type == "usb" and other.index == controller.index and other.master_start_port is not None:
            devices.controllers.remove(other)


def _is_virtio_scsi(_situation: Situation, controller: Controller) -> bool:
    return controller.type == "scsi" and (controller.model or "").startswith("virtio")


def _summary(situation: Situation, controller: Controller) -> str:
    """Its model; what it is for where there is nothing to choose."""
    kind = controller.type or ""
    if kind in _MODELS:
        serves = label_of(_MODELS[kind], controller.model) or N("libvirt's choice")
    else:
        drives = sum(disk.target_bus == kind for disk in situation.domain.devices.disks)
        count = {0: N("no drives"), 1: N("1 drive")}.get(drives, f"{drives} drives")
        serves = _SERVES.get(kind, count)
    return words(serves, f"{controller.ports} ports" if controller.ports else "")


def _name(controller: Controller) -> Phrase:
    number = str(controller.index or "")
    known = _KINDS.get(controller.type or "")
    return Phrase(known, number) if known else Phrase(N("Controller {}"), f"{controller.type or ''} {number}".strip())


def _identity(controller: Controller) -> str:
    return "" if controller.index is None else f"{controller.type}{controller.index}"


def _add(situation: Situation) -> Controller:
    """USB where there is none (or it was off), then VirtIO SCSI, then one more for USB."""
    domain = situation.domain
    for off in [each for each in of_type(domain, "usb") if each.model == "none"]:
        off.model = "qemu-xhci"
        return off
    kind = "scsi" if of_type(domain, "usb") and not of_type(domain, "scsi") else "usb"
    index = free_number(each.index or 0 for each in of_type(domain, kind))
    controller = domain.devices.controllers.add()
    controller.type, controller.index = kind, index
    if kind == "scsi":
        controller.model = "virtio-scsi"
    elif is_x86(situation) or is_q35(domain) or "virt" in (domain.os.machine or ""):
        controller.model, controller.ports = "qemu-xhci", 15
    return controller


def _remove(domain: DomainXml, controller: Controller) -> None:
    """With it go the companions of a USB 2 controller; libvirt makes again what devices still need."""
    _drop_companions(controller)
    domain.devices.controllers.remove(controller)


RESOURCES: tuple[Resource[Any], ...] = (
    Resource(
        id="controller",
        title=N("Controller"),
        group=Group.PERIPHERALS,
        icon="chip",
        help="controller",
        nodes=_nodes,
        options=(
            Option(
                "model",
                N("Model"),
                N("Which controller the guest sees; USB 3 costs the host least, older models are for older systems."),
                Choice(_items),
                reader(Controller.model),
                _set_model,
                keywords="usb xhci ehci uhci scsi virtio",
                shown=when(Controller.type, *_MODELS),
            ),
            Option(
                "ports",
                N("Ports"),
                N("How many devices can be plugged in; each costs a little memory."),
                Number(1, 31),
                *stored(Controller.ports),
                more=True,
                shown=lambda _s, c: c.type == "virtio-serial" or (c.model or "").endswith("xhci"),
            ),
            Option(
                "queues",
                N("Queues"),
                N("Lines for requests: one for each processor scales best with busy disks."),
                Number(1, 1024),
                *stored(Controller.queues),
                more=True,
                shown=_is_virtio_scsi,
            ),
            Option(
                "io-thread",
                N("I/O thread"),
                N("Serves all its disks on a thread of their own instead of QEMU's main one."),
                Choice(io_thread_items),
                *stored(Controller.io_thread),
                more=True,
                shown=_is_virtio_scsi,
                refusal=lambda situation, _c: (
                    "" if situation.domain.io_threads else N("This VM has no I/O threads; add some on the page “CPU”.")
                ),
                keywords="iothread",
            ),
        ),
        summary=_summary,
        name=_name,
        identity=_identity,
        keywords="usb scsi sata bus hub",
        add=_add,
        remove=_remove,
    ),
)
