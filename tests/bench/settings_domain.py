"""A definition with as many devices as wanted, of every kind that the settings have a page for."""

from __future__ import annotations

_HEAD = """\
<domain type='kvm'>
  <name>many</name>
  <uuid>0b8a4f0e-6c1c-4f0a-9a63-0c1f5b1d2e3f</uuid>
  <title>A machine with many devices</title>
  <memory unit='KiB'>8388608</memory>
  <currentMemory unit='KiB'>4194304</currentMemory>
  <vcpu placement='static' current='4'>8</vcpu>
  <iothreads>2</iothreads>
  <os>
    <type arch='x86_64' machine='pc-q35-7.2'>hvm</type>
  </os>
  <features><acpi/><apic/></features>
  <cpu mode='host-passthrough' check='none' migratable='on'/>
  <clock offset='utc'>
    <timer name='rtc' tickpolicy='catchup'/>
    <timer name='hpet' present='no'/>
  </clock>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
"""
_TAIL = "  </devices>\n</domain>\n"

# One of each kind of which there is one only, or few.
_SINGLE = (
    "<controller type='usb' index='0' model='qemu-xhci'/>",
    "<controller type='scsi' index='0' model='virtio-scsi'/>",
    "<controller type='virtio-serial' index='0'/>",
    "<controller type='sata' index='0'/>",
    "<disk type='file' device='cdrom'><driver name='qemu' type='raw'/><source file='/iso/install.iso'/>"
    "<target dev='sda' bus='sata'/><readonly/></disk>",
    "<disk type='file' device='floppy'><target dev='fda' bus='fdc'/></disk>",
    "<parallel type='pty'><target port='0'/></parallel>",
    "<console type='pty'><target type='virtio' port='1'/></console>",
    "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>",
    "<input type='tablet' bus='usb'/>",
    "<input type='keyboard' bus='virtio'/>",
    "<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>",
    "<graphics type='vnc' port='-1' autoport='yes'><listen type='none'/></graphics>",
    "<graphics type='spice' autoport='yes'><listen type='address' address='127.0.0.1'/></graphics>",
    "<sound model='ich9'/>",
    "<audio id='1' type='none'/>",
    "<video><model type='virtio' heads='1' primary='yes'/></video>",
    "<hostdev mode='subsystem' type='mdev' model='vfio-pci'>"
    "<source><address uuid='8bb2ad36-5f4a-4d31-b6f4-6b6f2a9a6b11'/></source></hostdev>",
    "<smartcard mode='passthrough' type='spicevmc'/>",
    "<watchdog model='i6300esb' action='reset'/>",
    "<memballoon model='virtio'/>",
    "<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>",
    "<panic model='isa'/>",
    "<vsock model='virtio'><cid auto='yes'/></vsock>",
)


def _drive(number: int) -> str:
    prefix, bus = (("vd", "virtio"), ("sd", "scsi"), ("sd", "usb"))[number % 3]
    first, second = divmod(number + 26, 26)
    name = f"{prefix}{chr(ord('a') + first)}{chr(ord('a') + second)}"
    return (
        "<disk type='file' device='disk'><driver name='qemu' type='qcow2' cache='none' discard='unmap'/>"
        f"<source file='/images/drive-{number}.qcow2'/><target dev='{name}' bus='{bus}'/>"
        f"<serial>DISK{number:04}</serial></disk>"
    )


def _card(number: int) -> str:
    source = (
        "type='network'><source network='default'/",
        "type='bridge'><source bridge='br0'/",
        "type='user'",
    )[number % 3]
    return f"<interface {source}><mac address='52:54:00:10:00:{number:02x}'/><model type='virtio'/></interface>"


# The others in turn, so that every kind grows with the number of devices; drives and cards twice.
_MAKERS = (
    _drive,
    _card,
    lambda n: f"<serial type='pty'><target port='{n}'/></serial>",
    _drive,
    lambda n: f"<channel type='unix'><target type='virtio' name='org.example.{n}'/></channel>",
    lambda n: (
        "<hostdev mode='subsystem' type='usb' managed='yes'>"
        f"<source><vendor id='0x046d'/><product id='0x{n:04x}'/></source></hostdev>"
    ),
    _card,
    lambda n: (
        f"<filesystem type='mount' accessmode='mapped'><source dir='/srv/{n}'/><target dir='share{n}'/></filesystem>"
    ),
    lambda n: (
        "<hostdev mode='subsystem' type='pci' managed='yes'>"
        f"<source><address domain='0x0000' bus='0x{n:02x}' slot='0x00' function='0x0'/></source></hostdev>"
    ),
    lambda _n: "<redirdev bus='usb' type='spicevmc'/>",
)


def many_devices(count: int) -> str:
    """A definition with ``count`` devices (at least one of each kind: 34)."""
    devices = list(_SINGLE)
    for number in range(count - len(devices)):
        devices.append(_MAKERS[number % len(_MAKERS)](number))
    order = sorted(range(len(devices)), key=lambda index: devices[index].split()[0])  # as libvirt writes them
    return _HEAD + "".join(f"    {devices[index]}\n" for index in order) + _TAIL
