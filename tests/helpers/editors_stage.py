"""A machine and a host with one of everything, for the widgets of single options."""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtWidgets import QWidget

from guivm.engine.options.facts import (
    CpuModel,
    HostFacts,
    HostInterface,
    HostPciDevice,
    HostUsbDevice,
    MediatedDevice,
    NetworkFact,
    OtherVm,
)
from guivm.engine.options.values import Place, VmSettings
from guivm.engine.types import HostId, VmKey
from guivm.views.vm_settings.draft import Draft, Part
from guivm.views.vm_settings.form import OptionForm
from tests.helpers.settings_world import GIB_KIB, UUID, facts

MAC = "52:54:00:12:34:56"

MACHINE = f"""
<domain type='kvm'>
  <name>Debian</name><uuid>{UUID}</uuid>
  <memory unit='GiB'>4</memory><currentMemory unit='GiB'>4</currentMemory><vcpu>4</vcpu>
  <os firmware='efi'><type arch='x86_64' machine='q35'>hvm</type><boot dev='cdrom'/><boot dev='hd'/></os>
  <features><acpi/><apic/></features>
  <cpu mode='host-passthrough'/>
  <clock offset='utc'><timer name='rtc' tickpolicy='catchup'/><timer name='hpet' present='no'/></clock>
  <devices>
    <disk type='file' device='disk'><driver name='qemu' type='qcow2'/>
      <source file='/images/debian.qcow2'/><target dev='vda' bus='virtio'/></disk>
    <disk type='file' device='cdrom'><driver name='qemu' type='raw'/>
      <source file='/images/netinst.iso'/><target dev='sda' bus='sata'/><readonly/></disk>
    <controller type='usb' model='qemu-xhci'/>
    <interface type='user'><mac address='{MAC}'/><model type='virtio'/></interface>
    <graphics type='vnc' port='-1' autoport='yes'><listen type='address' address='127.0.0.1'/></graphics>
    <video><model type='virtio'/></video>
    <hostdev mode='subsystem' type='usb' managed='yes'>
      <source><vendor id='0x046d'/><product id='0xc52b'/></source></hostdev>
    <hostdev mode='subsystem' type='pci' managed='yes'>
      <source><address domain='0x0000' bus='0x01' slot='0x00' function='0x0'/></source></hostdev>
    <memballoon model='virtio'/>
  </devices>
</domain>"""


def host(**changes: object) -> HostFacts:
    """8 CPUs, 16 GiB, two networks, a bridge, cards, devices to pass through."""
    plain = facts()
    capabilities = replace(plain.capabilities, kvm=replace(plain.capabilities.kvm, usable=True, reason=""))
    value = replace(
        plain,
        capabilities=capabilities,
        networks=(
            NetworkFact("default", "nat", active=True, autostart=True, bridge="virbr0"),
            NetworkFact("lab", "isolated", active=False, autostart=False, bridge="virbr1"),
        ),
        interfaces=(
            HostInterface("br0", is_bridge=True, is_up=True),
            HostInterface("enp3s0", is_bridge=False, is_up=True),
            HostInterface("wlan0", is_bridge=False, is_up=True, is_wireless=True),
        ),
        cpu_models=(CpuModel("Skylake-Client", True), CpuModel("EPYC", False, blockers=("sse4a", "svm"))),
        host_cpu_model="Skylake-Client",
        host_features=("aes", "avx", "avx2", "pcid", "vmx", "invtsc", "ssse3"),
        usb_devices=(
            HostUsbDevice(0x046D, 0xC52B, "Logitech Unifying Receiver", 1, 4),
            HostUsbDevice(0x0781, 0x5581, "SanDisk Ultra", 2, 3),
            HostUsbDevice(0x1D6B, 0x0104, "Camera", 2, 5, used_by="Windows 11"),
        ),
        pci_devices=(
            HostPciDevice("0000:00:1f.0", "ISA bridge", "ISA bridge", iommu_group=5),
            HostPciDevice("0000:01:00.0", "GeForce RTX 3060", "VGA compatible controller", iommu_group=7),
            HostPciDevice("0000:01:00.1", "GA106 High Definition Audio", "Audio device", iommu_group=7),
            HostPciDevice("0000:02:00.0", "I350 Gigabit Network Connection", "Ethernet controller", iommu_group=9),
        ),
        mediated_devices=(
            MediatedDevice("c2177883-f1bb-47f0-914d-32a22e3a8804", "GRID V100-4Q", "0000:03:00.0", iommu_group=12),
        ),
        others=(
            OtherVm("Windows 11", "1" * 36, is_active=True, memory_kib=8 * GIB_KIB),
            OtherVm("Build", "2" * 36, is_active=False, memory_kib=32 * GIB_KIB),
        ),
    )
    return replace(value, **changes)  # type: ignore[arg-type]  # named fields of their own types


def make_draft(xml: str = MACHINE, known: HostFacts | None = None, *, live_xml: str = "") -> Draft:
    host_id = HostId("qemu:///system")
    return Draft(VmSettings(VmKey(host_id, UUID), xml, live_xml, host() if known is None else known, autostart=False))


def part_of(draft: Draft, resource: str, index: int = 0) -> Part:
    return [part for part in draft.parts() if part.resource.id == resource][index]


def make_form(draft: Draft, resource: str, parent: QWidget, index: int = 0, *, more: bool = False) -> OptionForm:
    """The form of a part, fresh after each edit as in the dialog."""
    form = OptionForm(draft, part_of(draft, resource, index), parent, show_more=more)
    form.refresh()
    draft.edited.connect(form.refresh)
    draft.problemsChanged.connect(form.refresh)
    return form


def problem(draft: Draft, part: Part, option: str) -> str:
    found = draft.problem_at(Place(part.resource.id, part.device, option))
    return "" if found is None else found.message
