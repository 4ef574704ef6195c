"""A believable VM and host for the settings window, and an engine's answers about it that tell the truth."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from guivm.engine import requests as rq
from guivm.engine.job_types import HostCapabilities
from guivm.engine.options import catalogue
from guivm.engine.options.changes import changes, revert
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
)
from guivm.engine.options.values import (
    AppliedSettings,
    Change,
    ChangeKind,
    Outcome,
    PendingChanges,
    Reach,
    SettingProblem,
    VmSettings,
)
from guivm.engine.types import VmKey
from guivm.engine.xml.diff import unified
from guivm.engine.xml.domain import DomainXml
from guivm.errors import ChangedOutsideError, GuivmError

DOMAIN = """\
<domain type='kvm'>
  <name>web</name>
  <uuid>6f1c9a52-3f5e-4c0e-9a56-2f2f6c1d7b10</uuid>
  <title>Web server</title>
  <description>Debian 12 with nginx.
Reachable on port 8080.</description>
  <memory unit='KiB'>4194304</memory>
  <currentMemory unit='KiB'>4194304</currentMemory>
  <vcpu placement='static' current='4'>8</vcpu>
  <os>
    <type arch='x86_64' machine='pc-q35-7.2'>hvm</type>
    <boot dev='hd'/>
    <boot dev='cdrom'/>
  </os>
  <features>
    <acpi/>
    <apic/>
  </features>
  <cpu mode='host-passthrough' check='none' migratable='on'/>
  <clock offset='utc'>
    <timer name='rtc' tickpolicy='catchup'/>
    <timer name='pit' tickpolicy='delay'/>
    <timer name='hpet' present='no'/>
  </clock>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2' discard='unmap'/>
      <source file='/home/user/.local/share/guivm/images/web.qcow2'/>
      <target dev='vda' bus='virtio'/>
      <address type='pci' domain='0x0000' bus='0x04' slot='0x00' function='0x0'/>
    </disk>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='/home/user/.local/share/guivm/images/web-data.qcow2'/>
      <target dev='vdb' bus='virtio'/>
      <serial>DATA0001</serial>
    </disk>
    <disk type='file' device='cdrom'>
      <driver name='qemu' type='raw'/>
      <target dev='sda' bus='sata'/>
      <readonly/>
    </disk>
    <controller type='usb' index='0' model='qemu-xhci'/>
    <controller type='sata' index='0'/>
    <controller type='pci' index='0' model='pcie-root'/>
    <interface type='network'>
      <mac address='52:54:00:1a:2b:3c'/>
      <source network='default'/>
      <model type='virtio'/>
    </interface>
    <serial type='pty'>
      <target type='isa-serial' port='0'>
        <model name='isa-serial'/>
      </target>
    </serial>
    <channel type='unix'>
      <target type='virtio' name='org.qemu.guest_agent.0'/>
    </channel>
    <input type='tablet' bus='usb'/>
    <graphics type='vnc' port='-1' autoport='yes' passwd='secret-word'>
      <listen type='none'/>
    </graphics>
    <video>
      <model type='virtio' heads='1' primary='yes'/>
    </video>
    <memballoon model='virtio'/>
    <rng model='virtio'>
      <backend model='random'>/dev/urandom</backend>
    </rng>
  </devices>
</domain>
"""


def facts(capabilities: HostCapabilities) -> HostFacts:
    """A workstation with two networks, a bridge and a few devices."""
    return HostFacts(
        capabilities=capabilities,
        offers=(
            Offer("os/loader/type", ("rom", "pflash")),
            Offer("disk/diskDevice", ("disk", "cdrom", "floppy", "lun")),
            Offer("disk/bus", ("fdc", "scsi", "virtio", "usb", "sata")),
            Offer("graphics/type", ("vnc", "spice", "egl-headless")),
            Offer("video/modelType", ("vga", "cirrus", "virtio", "qxl", "bochs", "ramfb", "none")),
            Offer("hostdev/subsysType", ("usb", "pci", "scsi")),
            Offer("rng/backendModel", ("random", "egd", "builtin")),
            Offer("tpm/model", (), supported=False),
            Offer("filesystem/driverType", ("path", "handle", "virtiofs")),
            Offer("cpu/mode/host-passthrough", ("host-passthrough",)),
        ),
        cpu_models=(
            CpuModel("Skylake-Client", usable=True, vendor="Intel"),
            CpuModel("EPYC", usable=False, vendor="AMD", blockers=("sse4a", "misalignsse")),
        ),
        host_cpu_model="Skylake-Client-IBRS",
        networks=(
            NetworkFact("default", "nat", active=True, autostart=True, bridge="virbr0"),
            NetworkFact("lab", "isolated", active=False, autostart=False, bridge="virbr1"),
        ),
        interfaces=(
            HostInterface("br0", is_bridge=True, is_up=True),
            HostInterface("eno1", is_bridge=False, is_up=True),
        ),
        filters=("clean-traffic",),
        usb_devices=(HostUsbDevice(0x046D, 0xC52B, "Logitech USB Receiver", 1, 4),),
        pci_devices=(HostPciDevice("0000:01:00.0", "NVIDIA T400", "VGA controller", 12, "nouveau"),),
        render_refusal="This host has no graphics device that QEMU may use.",
        page_sizes=(PageSize(4, 4_000_000, 2_000_000), PageSize(2048, 0, 0)),
        ksm_running=False,
        others=(OtherVm("database", "0d1f", True, 8 * 1024**2, ("52:54:00:aa:bb:cc",), ("/images/database.qcow2",)),),
    )


def with_difference(xml: str) -> str:
    """The same VM as it runs, with other settings than its definition has: an older cache, one disk fewer."""
    domain = DomainXml.parse(xml)
    domain.id = 7
    domain.vcpu.current = 2
    domain.devices.disks[0].cache = "writethrough"
    return domain.to_text()


_UNDONE = {
    ChangeKind.CHANGED: ChangeKind.CHANGED,
    ChangeKind.ADDED: ChangeKind.REMOVED,
    ChangeKind.REMOVED: ChangeKind.ADDED,
}


@dataclass
class FakeSettings:
    """Definitions by VM, and the answers to the four requests about them."""

    xml: dict[VmKey, str] = field(default_factory=dict)
    live_xml: dict[VmKey, str] = field(default_factory=dict)
    autostart: dict[VmKey, bool] = field(default_factory=dict)
    problems: tuple[SettingProblem, ...] = ()
    host: HostFacts | None = None

    def put(self, key: VmKey, xml: str = DOMAIN, live_xml: str = "") -> None:
        """``xml`` as libvirt would give it back."""
        self.xml[key] = DomainXml.parse(xml).to_text()
        self.live_xml[key] = live_xml

    def read(self, key: VmKey, capabilities: HostCapabilities, *, running: bool) -> VmSettings:
        if key not in self.xml:
            self.put(key)
        live = (self.live_xml.get(key) or self.xml[key]) if running else ""
        host = self.host or facts(capabilities)
        return VmSettings(key, self.xml[key], live, host, self.autostart.get(key, False))

    def pending(self, key: VmKey, capabilities: HostCapabilities, *, running: bool) -> PendingChanges:
        found = self.read(key, capabilities, running=running)
        if not running:
            return PendingChanges(key, (), found.xml, "")
        live, stored = DomainXml.parse(found.live_xml), DomainXml.parse(found.xml)
        return PendingChanges(key, changes(live, stored), found.xml, found.live_xml)

    def apply(self, request: rq.ApplySettings, capabilities: HostCapabilities, *, running: bool) -> AppliedSettings:
        """What can be live is, and the running VM's document follows; everything is stored."""
        key = request.key
        before = self.read(key, capabilities, running=running)
        if before.xml != request.base:
            raise ChangedOutsideError(
                "The definition was changed by another program.",
                theirs=unified(request.base, before.xml, "domain"),
                ours=unified(request.base, request.xml, "domain"),
            )
        made = changes(DomainXml.parse(request.base), DomainXml.parse(request.xml))
        outcomes = tuple(self._outcome(change, live=request.live and running) for change in made)
        if running:
            self.live_xml[key] = self._live(before, [o.change for o in outcomes if o.reach is Reach.LIVE], request.xml)
        self.xml[key] = request.xml
        if request.autostart is not None:
            self.autostart[key] = request.autostart
        return AppliedSettings(outcomes, request.xml, self.live_xml.get(key, "") if running else "")

    def change_outside(self, key: VmKey, old: str, new: str) -> None:
        """As another program would, with ``virsh edit``."""
        assert old in self.xml[key]
        self.xml[key] = self.xml[key].replace(old, new)

    def _live(self, before: VmSettings, taken: list[Change], xml: str) -> str:
        """The running VM's document with the changes it took."""
        live = DomainXml.parse(before.live_xml)
        for change in taken:
            undone = replace(change, kind=_UNDONE[change.kind])
            revert(live, DomainXml.parse(xml), undone)
        return live.to_text()

    @staticmethod
    def _outcome(change: Change, *, live: bool) -> Outcome:
        resource = next((r for r in catalogue.RESOURCES if r.id == change.place.resource), None)
        can = False
        if resource is not None and change.kind is ChangeKind.CHANGED:
            can = any(option.live for option in resource.options if option.id == change.place.option)
        elif resource is not None:
            can = resource.hotplug
        if live and can:
            return Outcome(change, Reach.LIVE)
        return Outcome(change, Reach.NEXT_START, "QEMU cannot change this while the guest runs." if live else "")


def answer(
    settings: FakeSettings, request: rq.Request[object], capabilities: HostCapabilities, *, running: bool
) -> VmSettings | PendingChanges | AppliedSettings | tuple[SettingProblem, ...]:
    """For :class:`tests.helpers.fake_engine.FakeEngine`."""
    match request:
        case rq.ReadSettings(key):
            return settings.read(key, capabilities, running=running)
        case rq.ReadPending(key):
            return settings.pending(key, capabilities, running=running)
        case rq.CheckSettings():
            return settings.problems
        case rq.ApplySettings():
            return settings.apply(request, capabilities, running=running)
    raise GuivmError(f"no answer to {type(request).__name__}")
