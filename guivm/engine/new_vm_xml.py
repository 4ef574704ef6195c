"""The definition of a new VM: what a good PC for today's guests looks like, as far as the host can.

Pure: a specification and the host's capabilities in, XML out.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from guivm.engine.job_types import (
    DiskSource,
    Firmware,
    HostCapabilities,
    IsoSource,
    KernelSource,
    NetworkSource,
    NewVmSpec,
    VirtType,
)
from guivm.engine.xml.disk import Disk
from guivm.engine.xml.domain import DomainXml


@dataclass(frozen=True, slots=True)
class MachinePlan:
    """What the XML needs besides the specification.

    ``new_disk``: path of the disk made for it. ``nvram``: file of its UEFI variables, None for libvirt's own choice.
    ``source_format`` and ``source_is_block`` describe a DiskSource.
    ``domain_type``: libvirt's word, "kvm", "qemu" or "test". ``with_agent_clipboard``: the qemu-vdagent channel, too.
    """

    uuid: str
    domain_type: str
    capabilities: HostCapabilities
    host_is_local: bool
    new_disk: Path | None = None
    nvram: Path | None = None
    source_format: str = "raw"
    source_is_block: bool = False
    with_agent_clipboard: bool = False


_X86 = ("x86_64", "i686")


def build_domain(spec: NewVmSpec, plan: MachinePlan) -> DomainXml:
    """Return the definition of ``spec``."""
    domain = DomainXml.new()
    domain.type = plan.domain_type
    domain.name = spec.name
    domain.uuid = plan.uuid
    domain.title = spec.title or None
    domain.description = spec.notes or None
    domain.memory_kib = spec.memory_kib
    domain.current_memory_kib = spec.memory_kib
    domain.vcpu.maximum = spec.vcpus
    _boot(domain, spec, plan)
    if plan.domain_type == "test":
        _test_devices(domain)
        return domain
    _platform(domain, spec, plan)
    _disks(domain, spec, plan)
    _devices(domain, spec, plan)
    return domain


def _is_x86(plan: MachinePlan) -> bool:
    return plan.capabilities.arch in _X86


def _machine(plan: MachinePlan) -> str | None:
    """q35 on PCs, "virt" elsewhere where there is one; None: libvirt's default."""
    wanted = "q35" if _is_x86(plan) else "virt"
    return wanted if any(wanted in machine for machine in plan.capabilities.machines) else None


def _boot(domain: DomainXml, spec: NewVmSpec, plan: MachinePlan) -> None:
    domain.os.type = "hvm"
    domain.os.arch = plan.capabilities.arch or None
    domain.os.machine = _machine(plan)
    if isinstance(spec.source, KernelSource):
        domain.os.kernel = str(spec.source.kernel)
        domain.os.initrd = None if spec.source.initrd is None else str(spec.source.initrd)
        domain.os.command_line = spec.source.arguments or None
    if spec.firmware is Firmware.UEFI:
        domain.os.firmware = "efi"
        # Firmware without enrolled keys starts every system, signed or not.
        for name in ("enrolled-keys", "secure-boot"):
            feature = domain.os.firmware_features.add()
            feature.name = name
            feature.enabled = False
        domain.os.nvram = None if plan.nvram is None else str(plan.nvram)


def _platform(domain: DomainXml, spec: NewVmSpec, plan: MachinePlan) -> None:
    domain.features.acpi = True
    if _is_x86(plan):
        domain.features.apic = True
        domain.features.vmport = False  # VMware's backdoor port confuses pointer drivers
    if spec.virt_type is VirtType.KVM:
        # The host's own CPU, less what could not move to a like host.
        domain.cpu.mode = "host-passthrough"
        domain.cpu.check = "none"
        domain.cpu.migratable = True
    else:
        # All that the emulator can: the default "qemu64" lacks what today's systems require (x86-64-v2).
        domain.cpu.mode = "maximum"
        domain.cpu.check = "none"
    # One socket: some systems are licensed, or work, for one or two sockets only.
    domain.cpu.sockets, domain.cpu.dies, domain.cpu.cores, domain.cpu.threads = 1, 1, spec.vcpus, 1
    domain.clock.offset = "utc"
    if _is_x86(plan):
        for name, policy in (("rtc", "catchup"), ("pit", "delay")):
            timer = domain.clock.timers.add()
            timer.name, timer.tick_policy = name, policy
        if spec.virt_type is VirtType.KVM:
            # kvmclock serves better; an HPET costs an exit for each reading.
            timer = domain.clock.timers.add()
            timer.name, timer.present = "hpet", False
        # Guests that sleep by themselves look dead from outside.
        domain.pm.suspend_to_memory = False
        domain.pm.suspend_to_disk = False
    domain.on_poweroff, domain.on_reboot, domain.on_crash = "destroy", "restart", "destroy"


def _disks(domain: DomainXml, spec: NewVmSpec, plan: MachinePlan) -> None:
    order = 1
    letters = iter("abc")
    if isinstance(spec.source, IsoSource):
        drive = domain.devices.disks.add()
        drive.type, drive.device = "file", "cdrom"
        drive.driver_name, drive.driver_type = "qemu", "raw"
        drive.source_file = str(spec.source.path)
        drive.target_dev, drive.target_bus = "sda", _optical_bus(domain, plan)
        drive.read_only = True
        drive.boot_order = order
        order += 1
    if isinstance(spec.source, NetworkSource):
        order += 1  # the network card comes first
    if isinstance(spec.source, DiskSource):
        disk = _virtio_disk(domain, next(letters), plan.source_format)
        if plan.source_is_block:
            # The host's page cache would only double the guest's; block devices always take direct I/O.
            disk.type, disk.source_dev, disk.cache, disk.io = "block", str(spec.source.path), "none", "native"
        else:
            disk.type, disk.source_file = "file", str(spec.source.path)
        disk.boot_order = order
        order += 1
    if plan.new_disk is not None:
        disk = _virtio_disk(domain, next(letters), "qcow2")
        disk.type, disk.source_file = "file", str(plan.new_disk)
        if not isinstance(spec.source, KernelSource):
            disk.boot_order = order


def _virtio_disk(domain: DomainXml, letter: str, image_format: str) -> Disk:
    """A virtio disk whose freed space returns to the host.

    The cache mode stays libvirt's default (write-back): it honours every flush of the guest and works on every file
    system, while "none" fails where there is no direct I/O (tmpfs, some FUSE).
    """
    disk = domain.devices.disks.add()
    disk.device = "disk"
    disk.driver_name, disk.driver_type = "qemu", image_format
    disk.discard = "unmap"
    disk.detect_zeroes = "unmap"  # a guest that wipes instead of trimming gives space back, too
    disk.target_dev, disk.target_bus = f"vd{letter}", "virtio"
    return disk


def _optical_bus(domain: DomainXml, plan: MachinePlan) -> str:
    if _is_x86(plan):
        return "sata" if _machine(plan) == "q35" else "ide"
    controller = domain.devices.controllers.add()
    controller.type, controller.index, controller.model = "scsi", 0, "virtio-scsi"
    return "scsi"


def _devices(domain: DomainXml, spec: NewVmSpec, plan: MachinePlan) -> None:
    capabilities, devices = plan.capabilities, domain.devices
    usb = devices.controllers.add()
    usb.type, usb.index, usb.model, usb.ports = "usb", 0, "qemu-xhci", 15

    card = devices.interfaces.add()
    card.type, card.model = "user", "virtio"
    if isinstance(spec.source, NetworkSource):
        card.boot_order = 1

    if _is_x86(plan):
        serial = devices.serials.add()
        serial.type, serial.target_port = "pty", 0
    console = devices.consoles.add()
    console.type, console.target_type, console.target_port = "pty", "serial", 0

    agent = devices.channels.add()
    agent.type, agent.target_type, agent.target_name = "unix", "virtio", "org.qemu.guest_agent.0"
    if plan.with_agent_clipboard:
        clipboard = devices.channels.add()
        clipboard.type, clipboard.target_type = "qemu-vdagent", "virtio"
        clipboard.target_name = "com.redhat.spice.0"
        clipboard.clipboard_copypaste = False  # sharing the clipboard is the person's choice
        clipboard.mouse_mode = "client"

    for kind in ("tablet", "keyboard"):
        device = devices.inputs.add()
        device.type, device.bus = kind, "usb"

    if "vnc" in capabilities.graphics_types:
        display = devices.graphics.add()
        display.type = "vnc"
        # No TCP listener, ever. A descriptor can only be passed on the same computer.
        display.listen_type = "none" if plan.host_is_local else "socket"
    model = next((m for m in ("virtio", "vga", "qxl", "bochs", "ramfb") if m in capabilities.video_models), None)
    if model is not None:
        video = devices.videos.add()
        video.model = model
        video.heads = 1 if model in ("virtio", "qxl") else None

    devices.memballoon.model = "virtio"
    devices.memballoon.stats_period_s = 5
    source = devices.rngs.add()
    source.model, source.backend_model, source.backend_path = "virtio", "random", "/dev/urandom"


def _test_devices(domain: DomainXml) -> None:
    """libvirt's test driver keeps any device; one display lets the views show what they show for a real VM."""
    card = domain.devices.interfaces.add()
    card.type, card.model = "user", "virtio"
    display = domain.devices.graphics.add()
    display.type, display.autoport = "vnc", True
