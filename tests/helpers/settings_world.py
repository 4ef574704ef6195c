"""A definition and a host for tests of the settings' rules: both sound, to be made wrong one thing at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from guivm.engine.job_types import HostCapabilities, KvmStatus
from guivm.engine.options.facts import (
    CpuModel,
    HostFacts,
    HostInterface,
    HostPciDevice,
    HostUsbDevice,
    NetworkFact,
    Offer,
    OtherVm,
    PageSize,
    RenderNode,
)
from guivm.engine.types import HostId
from guivm.engine.xml.domain import DomainXml

GIB_KIB = 1 << 20
MAC = "52:54:00:12:34:56"
UUID = "6695eb01-f6a4-8304-79aa-97f2502e193f"

SOUND = f"""
<domain type='qemu'>
  <name>sound</name><uuid>{UUID}</uuid><memory unit='GiB'>1</memory><vcpu>2</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <features><acpi/></features>
  <cpu mode='custom'><model>usable</model><topology sockets='1' cores='2' threads='1'/></cpu>
  <devices>
    <disk type='file' device='disk'><driver name='qemu' type='qcow2'/>
      <source file='/images/a.qcow2'/><target dev='vda' bus='virtio'/></disk>
    <disk type='file' device='cdrom'><target dev='sda' bus='sata'/><readonly/></disk>
    <interface type='network'><mac address='{MAC}'/><source network='default'/></interface>
    <graphics type='vnc' port='-1' autoport='yes'><listen type='address' address='127.0.0.1'/></graphics>
    <video><model type='virtio'/></video>
  </devices>
</domain>"""


def facts(**changes: Any) -> HostFacts:
    """A host of 8 CPUs and 16 GiB without KVM, with one other VM that runs."""
    value = HostFacts(
        capabilities=HostCapabilities(
            host=HostId("qemu:///system"),
            arch="x86_64",
            kvm=KvmStatus(False, "There is no /dev/kvm."),
            memory_bytes=16 << 30,
            memory_free_bytes=8 << 30,
            cpus=8,
            max_vcpus=255,
            machines=("q35",),
            has_uefi=True,
            uefi_reason="",
            video_models=("virtio",),
            graphics_types=("vnc",),
            channel_types=("unix",),
            has_tpm=True,
            libvirt_version="9.0.0",
            hypervisor_version="QEMU 7.2.0",
            images_dir=Path("/images"),
            images_free_bytes=1 << 40,
        ),
        offers=(
            Offer("vcpu/max", ("16",)),
            Offer("disk/bus", ("virtio", "sata", "ide", "scsi", "usb", "fdc")),
            Offer("video/modelType", ("virtio", "vga")),
            Offer("os/firmware", ("efi",)),
            Offer("os/loader/secure", ("yes", "no")),
            Offer("cpu/host-passthrough", (), supported=False),
            Offer("tpm", (), supported=True),
        ),
        cpu_models=(CpuModel("usable", True), CpuModel("unusable", False, blockers=("avx", "avx2"))),
        networks=(
            NetworkFact("default", "nat", active=True, autostart=True, bridge="virbr0"),
            NetworkFact("asleep", "nat", active=False, autostart=False, bridge="virbr1"),
        ),
        interfaces=(
            HostInterface("br0", is_bridge=True, is_up=True),
            HostInterface("br1", is_bridge=True, is_up=False),
            HostInterface("eth0", is_bridge=False, is_up=True),
            HostInterface("wlan0", is_bridge=False, is_up=True, is_wireless=True),
        ),
        filters=("clean-traffic",),
        usb_devices=(HostUsbDevice(0x046D, 0xC52B, "Receiver", 1, 4, used_by="other"),),
        pci_devices=(
            HostPciDevice("0000:01:00.0", "Card", "Graphics card", iommu_group=7),
            HostPciDevice("0000:02:00.0", "Card", "Graphics card", iommu_group=None),
        ),
        render_nodes=(RenderNode("/dev/dri/renderD128", "i915"),),
        page_sizes=(PageSize(2048, total=600, free=10),),
        others=(
            OtherVm(
                "other",
                "11111111-2222-4333-8444-555555555555",
                is_active=True,
                memory_kib=4 * GIB_KIB,
                macs=("52:54:00:00:00:01",),
                paths=("/images/other.qcow2",),
            ),
        ),
    )
    return replace(value, **changes)


def edited(edit: Callable[[DomainXml], None] | None = None) -> DomainXml:
    """The sound definition, made wrong by ``edit``."""
    domain = DomainXml.parse(SOUND)
    if edit is not None:
        edit(domain)
    return domain
