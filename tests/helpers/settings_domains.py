"""Definitions and hosts for tests of the settings."""

from __future__ import annotations

from pathlib import Path

from guivm.engine.job_types import HostCapabilities, KvmStatus
from guivm.engine.options.facts import (
    HostFacts,
    HostInterface,
    HostPciDevice,
    HostUsbDevice,
    MediatedDevice,
    NetworkFact,
    Offer,
    OtherVm,
    RenderNode,
)
from guivm.engine.options.option import Situation
from guivm.engine.types import HostId
from guivm.engine.xml.domain import DomainXml

EMPTY = """<domain type='qemu'>
  <name>empty</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
</domain>"""

BIOS = """<domain type='qemu'>
  <name>old</name><memory unit='MiB'>256</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type><boot dev='hd'/><boot dev='cdrom'/></os>
  <features><acpi/></features>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/><source file='/images/old.img'/><target dev='hda' bus='ide'/>
    </disk>
    <disk type='file' device='cdrom'><target dev='hdc' bus='ide'/><readonly/></disk>
    <interface type='user'><mac address='52:54:00:0a:00:01'/><model type='e1000'/></interface>
    <graphics type='vnc' port='-1' autoport='yes'/>
    <video><model type='cirrus'/></video>
  </devices>
</domain>"""

UEFI = """<domain type='qemu'>
  <name>new</name><memory unit='MiB'>512</memory><vcpu>2</vcpu><iothreads>2</iothreads>
  <os firmware='efi'><type arch='x86_64' machine='q35'>hvm</type></os>
  <features><acpi/></features>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2' discard='unmap'/><source file='/images/new.qcow2'/>
      <target dev='vda' bus='virtio'/><boot order='1'/>
    </disk>
    <interface type='network'>
      <mac address='52:54:00:0b:00:01'/><source network='default'/><model type='virtio'/>
    </interface>
    <graphics type='vnc'><listen type='none'/></graphics>
    <video><model type='virtio' heads='1'/></video>
  </devices>
</domain>"""

TEST = """<domain type='test'>
  <name>tested</name><memory unit='MiB'>64</memory><vcpu>1</vcpu><os><type>hvm</type></os>
</domain>"""

# One of everything.
RICH = """<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>rich</name><memory unit='MiB'>1024</memory><vcpu>2</vcpu><iothreads>1</iothreads>
  <metadata><other:thing xmlns:other='urn:other'>kept</other:thing></metadata>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <features><acpi/></features>
  <!-- a remark -->
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/><source file='/images/a.qcow2'/><target dev='vda' bus='virtio'/>
    </disk>
    <disk type='block' device='lun'>
      <driver name='qemu' type='raw'/><source dev='/dev/sdx'/><target dev='sda' bus='scsi'/>
    </disk>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/><source file='/images/b.img'/><target dev='sdb' bus='sata'/>
    </disk>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/><source file='/images/c.img'/><target dev='sdc' bus='usb'/>
    </disk>
    <disk type='file' device='cdrom'>
      <driver name='qemu' type='raw'/><source file='/iso/x.iso'/><target dev='sdd' bus='sata'/><readonly/>
    </disk>
    <disk type='file' device='floppy'><target dev='fda' bus='fdc'/></disk>
    <controller type='scsi' index='0' model='virtio-scsi'/>
    <controller type='usb' index='0' model='qemu-xhci' ports='15'/>
    <controller type='virtio-serial' index='0'/>
    <interface type='user'><mac address='52:54:00:00:00:01'/><model type='virtio'/></interface>
    <interface type='network'>
      <mac address='52:54:00:00:00:02'/><source network='default'/><model type='virtio'/>
    </interface>
    <interface type='bridge'>
      <mac address='52:54:00:00:00:03'/><source bridge='br0'/><model type='e1000e'/>
    </interface>
    <interface type='direct'>
      <mac address='52:54:00:00:00:04'/><source dev='eth0' mode='bridge'/><model type='virtio'/>
    </interface>
    <serial type='pty'><target port='0'/></serial>
    <serial type='tcp'>
      <source mode='bind' host='127.0.0.1' service='4556'/><protocol type='raw'/><target port='1'/>
    </serial>
    <serial type='unix'><source mode='bind' path='/run/x.sock'/><target port='2'/></serial>
    <parallel type='pty'><target port='0'/></parallel>
    <console type='pty'><target type='serial' port='0'/></console>
    <console type='pty'><target type='virtio' port='1'/></console>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    <channel type='spicevmc'><target type='virtio' name='com.redhat.spice.0'/></channel>
    <input type='tablet' bus='usb'/>
    <input type='keyboard' bus='virtio'/>
    <tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>
    <graphics type='vnc'><listen type='none'/></graphics>
    <graphics type='spice' autoport='yes'><listen type='address' address='127.0.0.1'/></graphics>
    <sound model='ich9'/>
    <sound model='usb'/>
    <audio id='1' type='none'/>
    <audio id='2' type='spice'/>
    <video><model type='virtio'/></video>
    <video><model type='qxl'/></video>
    <hostdev mode='subsystem' type='usb' managed='yes'>
      <source><vendor id='0x046d'/><product id='0xc52b'/></source>
    </hostdev>
    <hostdev mode='subsystem' type='pci' managed='yes'>
      <source><address domain='0x0000' bus='0x01' slot='0x00' function='0x0'/></source>
    </hostdev>
    <hostdev mode='subsystem' type='mdev' model='vfio-pci'>
      <source><address uuid='8bb2ad36-5f4a-4d31-b6f4-6b6f2a9a6b11'/></source>
    </hostdev>
    <redirdev bus='usb' type='spicevmc'/>
    <smartcard mode='passthrough' type='spicevmc'/>
    <filesystem type='mount' accessmode='mapped'><source dir='/srv'/><target dir='share'/></filesystem>
    <watchdog model='i6300esb' action='reset'/>
    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
    <panic model='isa'/>
    <vsock model='virtio'><cid auto='yes'/></vsock>
    <memballoon model='virtio'/>
  </devices>
</domain>"""

ALL = {"empty": EMPTY, "bios": BIOS, "uefi": UEFI, "test": TEST, "rich": RICH}


def capabilities(**changes: object) -> HostCapabilities:
    values: dict[str, object] = {
        "host": HostId("qemu:///system"),
        "arch": "x86_64",
        "kvm": KvmStatus(False, "not here"),
        "memory_bytes": 8 << 30,
        "memory_free_bytes": 4 << 30,
        "cpus": 4,
        "max_vcpus": 255,
        "machines": ("pc-q35-7.2", "q35", "pc"),
        "has_uefi": True,
        "uefi_reason": "",
        "video_models": ("vga", "virtio", "qxl"),
        "graphics_types": ("vnc", "spice"),
        "channel_types": ("unix", "spicevmc"),
        "has_tpm": True,
        "libvirt_version": "9.0.0",
        "hypervisor_version": "QEMU 7.2.22",
        "images_dir": Path("/images"),
        "images_free_bytes": 100 << 30,
        **changes,
    }
    return HostCapabilities(**values)  # type: ignore[arg-type]


OFFERS = (
    Offer("disk/diskDevice", ("disk", "cdrom", "floppy", "lun")),
    Offer("disk/bus", ("fdc", "scsi", "virtio", "usb", "sata", "ide")),
    Offer("graphics/type", ("sdl", "vnc", "spice", "egl-headless", "dbus")),
    Offer("video/modelType", ("vga", "cirrus", "vmvga", "qxl", "virtio", "none", "bochs", "ramfb")),
    Offer("hostdev/subsysType", ("usb", "pci", "scsi")),
    Offer("rng/model", ("virtio", "virtio-transitional", "virtio-non-transitional")),
    Offer("rng/backendModel", ("random", "egd", "builtin")),
    Offer("filesystem/driverType", ("path", "handle", "virtiofs")),
    Offer("tpm/model", ("tpm-tis", "tpm-crb")),
    Offer("tpm/backendModel", ("passthrough", "emulator")),
    Offer("redirdev/bus", ("usb",)),
    Offer("channel/type", ("pty", "unix", "spicevmc")),
)


def facts(**changes: object) -> HostFacts:
    """A host of QEMU 7.2 with a bit of everything."""
    values: dict[str, object] = {
        "capabilities": capabilities(),
        "offers": OFFERS,
        "networks": (
            NetworkFact("default", "nat", True, True, "virbr0", ("192.168.122.1/24",)),
            NetworkFact("lab", "isolated", False, False, "virbr1"),
        ),
        "interfaces": (
            HostInterface("lo", False, True),
            HostInterface("br0", True, True),
            HostInterface("eth0", False, True),
            HostInterface("wlan0", False, True, is_wireless=True),
            HostInterface("eth0v0", False, True, pci_address="0000:02:00.1", is_virtual_function=True),
        ),
        "filters": ("clean-traffic", "no-mac-spoofing"),
        "usb_devices": (
            HostUsbDevice(0x046D, 0xC52B, "Receiver", 1, 4),
            HostUsbDevice(0x0781, 0x5581, "Stick", 1, 5),
            HostUsbDevice(0x0781, 0x5581, "Stick", 1, 6),
            HostUsbDevice(0x04F9, 0x0042, "Printer", 2, 2, used_by="office"),
        ),
        "pci_devices": (
            HostPciDevice("0000:00:01.0", "Root port", "PCI bridge", 1),
            HostPciDevice("0000:01:00.0", "Graphics", "VGA compatible controller", 1, "nouveau"),
            HostPciDevice("0000:01:00.1", "HDMI sound", "Audio device", 1, "snd_hda_intel"),
            HostPciDevice("0000:02:00.1", "Virtual function", "Ethernet controller", 7, "iavf"),
        ),
        "mediated_devices": (MediatedDevice("0b3b2c6e-9d1f-4b6a-8a43-3c2f3f0c7d21", "vGPU", "0000:00:02.0", 3),),
        "render_nodes": (RenderNode("/dev/dri/renderD128", "Graphics of the processor"),),
        "others": (OtherVm("other", "u", False, 1024, ("52:54:00:99:99:99",), ("/images/other.qcow2",)),),
        **changes,
    }
    return HostFacts(**values)  # type: ignore[arg-type]


def bare_facts() -> HostFacts:
    """A host that says nothing of itself, as the test driver."""
    return HostFacts(capabilities(has_tpm=False, libvirt_version="9.0.0"))


def situation(xml: str, host: HostFacts | None = None) -> Situation:
    return Situation(host if host is not None else facts(), DomainXml.parse(xml))
