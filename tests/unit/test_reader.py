from __future__ import annotations

from typing import cast

import libvirt
import pytest

from guivm.engine.connection import LinkLost
from guivm.engine.details import parse_details
from guivm.engine.job_types import DiskInfo, Firmware, NicInfo, VirtType
from guivm.engine.reader import NOTES_LIMIT, Reader, is_late, observed, texts_of
from guivm.engine.types import HostId, VmKey, VmState

KEY = VmKey(HostId("test:///reader"), "6695eb01-f6a4-8304-79aa-97f2502e193f")
S = VmState


@pytest.mark.parametrize(
    ("state", "reason", "saved", "expected"),
    [
        (1, 1, False, (S.RUNNING, "")),
        (2, 0, False, (S.RUNNING, "")),
        (3, 1, False, (S.PAUSED, "")),
        (3, 3, False, (S.PAUSED, "saving its state")),
        (3, 5, False, (S.PAUSED, "its disk cannot be written to; free some space if the host's is full, then resume")),
        (3, 99, False, (S.PAUSED, "")),
        (4, 1, False, (S.SHUTTING_DOWN, "")),
        (5, 1, False, (S.OFF, "")),
        (5, 2, False, (S.OFF, "forced off")),
        (5, 3, False, (S.CRASHED, "crashed")),
        (5, 6, False, (S.OFF, "failed to start")),
        (5, 5, True, (S.SAVED, "")),
        (5, 3, True, (S.SAVED, "")),
        (6, 1, False, (S.PAUSED, "the guest crashed")),
        (7, 0, False, (S.SUSPENDED, "")),
        (0, 0, False, (S.UNKNOWN, "")),
        (42, 0, False, (S.UNKNOWN, "")),
    ],
)
def test_states_and_reasons(state: int, reason: int, saved: bool, expected: tuple[VmState, str]) -> None:
    assert observed(state, reason, has_saved_state=saved) == expected


def test_what_the_list_takes_from_the_xml() -> None:
    texts = texts_of(
        """<domain><name>vm</name><title>A &lt;b&gt;title&lt;/b&gt;</title><description>one
two</description><memory unit='GiB'>2</memory><vcpu current='2'>8</vcpu>
<devices><graphics type='spice'/><graphics type='vnc'/></devices></domain>"""
    )
    assert (texts.title, texts.notes) == ("A <b>title</b>", "one\ntwo")
    assert (texts.memory_kib, texts.vcpus, texts.has_graphics) == (2 * 1024 * 1024, 2, True)


def test_a_bare_definition_has_defaults() -> None:
    texts = texts_of("<domain><name>vm</name></domain>")
    assert (texts.title, texts.notes, texts.vcpus, texts.memory_kib, texts.has_graphics) == ("", "", 1, 0, False)


def test_texts_of_a_host_are_cleaned() -> None:
    texts = texts_of(
        f"<domain><name>v\u202em</name><title>a&#10;b\u200b</title><description>{'x' * 100_000}</description></domain>"
    )
    assert texts.name == "vm"
    assert texts.title == "a b"
    assert len(texts.notes) == NOTES_LIMIT


def test_entities_are_not_expanded(tmp_path: object) -> None:
    xml = """<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/hostname">]><domain><name>a&x;b</name></domain>"""
    assert texts_of(xml).name in ("ab", "a")


@pytest.mark.parametrize(
    ("memory", "kib"),
    [
        ("<memory>1024</memory>", 1024),
        ("<memory unit='bytes'>1048576</memory>", 1024),
        ("<memory unit='MB'>1</memory>", 976),
        ("<memory unit='MiB'>1</memory>", 1024),
        ("<memory unit='T'>1</memory>", 1024**3),
        ("<memory>x</memory>", 0),
    ],
)
def test_units_of_memory(memory: str, kib: int) -> None:
    assert texts_of(f"<domain><name>vm</name>{memory}</domain>").memory_kib == kib


DEFINITION = """
<domain type='kvm'>
  <name>vm</name><memory unit='KiB'>1048576</memory><vcpu>2</vcpu>
  <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type>{os}</os>
  <devices>
    <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/i/a.qcow2'/>
      <target dev='vda' bus='virtio'/></disk>
    <disk type='file' device='cdrom'><target dev='sda' bus='sata'/><readonly/></disk>
    <disk type='block' device='disk'><driver type='raw'/><source dev='/dev/sdb'/><target dev='vdb' bus='virtio'/></disk>
    <disk type='volume' device='disk'><source pool='p' volume='v'/><target dev='vdc' bus='virtio'/></disk>
    <disk type='network' device='disk'><source protocol='rbd' name='pool/image'/><target dev='vdd' bus='virtio'/></disk>
    <interface type='network'><source network='default'/><mac address='52:54:00:00:00:01'/><model type='virtio'/>
    </interface>
    <interface type='bridge'><source bridge='br0'/><mac address='52:54:00:00:00:02'/></interface>
    <interface type='user'><mac address='52:54:00:00:00:03'/><model type='e1000'/></interface>
    <graphics type='vnc'/><graphics type='spice'/><video><model type='virtio'/></video>
  </devices>
</domain>"""


def test_hardware_in_fields() -> None:
    xml = DEFINITION.format(os="")
    details = parse_details(KEY, xml)
    assert (details.virt_type, details.arch, details.machine) == (VirtType.KVM, "x86_64", "pc-q35-7.2")
    assert details.firmware is Firmware.BIOS
    assert details.disks == (
        DiskInfo("vda", "disk", "virtio", "/i/a.qcow2", "qcow2"),
        DiskInfo("sda", "cdrom", "sata", read_only=True),
        DiskInfo("vdb", "disk", "virtio", "/dev/sdb", "raw"),
        DiskInfo("vdc", "disk", "virtio", "p/v"),
        DiskInfo("vdd", "disk", "virtio", "pool/image"),
    )
    assert details.nics == (
        NicInfo("network", "default", "virtio", "52:54:00:00:00:01"),
        NicInfo("bridge", "br0", "", "52:54:00:00:00:02"),
        NicInfo("user", "", "e1000", "52:54:00:00:00:03"),
    )
    assert (details.graphics, details.video) == (("vnc", "spice"), "virtio")
    assert details.xml.strip() == xml.strip()


@pytest.mark.parametrize(
    ("os", "firmware"),
    [
        ("<loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE.fd</loader>", Firmware.UEFI),
        ("<loader type='rom'>/usr/share/x.bin</loader>", Firmware.OTHER),
        ("", Firmware.BIOS),
    ],
)
def test_firmware(os: str, firmware: Firmware) -> None:
    assert parse_details(KEY, DEFINITION.format(os=os)).firmware is firmware


# --- the list of a host ---------------------------------------------------------------------------------------

FLAGS = {
    libvirt.VIR_CONNECT_LIST_DOMAINS_AUTOSTART: "autostart",
    libvirt.VIR_CONNECT_LIST_DOMAINS_TRANSIENT: "transient",
    libvirt.VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE: "saved",
}


def refusal(code: int) -> libvirt.libvirtError:
    error = libvirt.libvirtError("no")
    error.err = (code, libvirt.VIR_FROM_QEMU, "no", 2, "", "", "", 0, 0)
    return error


class OneDomain:
    def __init__(self, name: str, state: int = 5, *also: str) -> None:
        self._name = name
        self._state = state
        self.also = also
        self.asked = 0
        self.error: libvirt.libvirtError | None = None

    def UUIDString(self) -> str:
        return f"uuid-{self._name.lower()}"

    def name(self) -> str:
        return self._name

    def XMLDesc(self, _flags: int) -> str:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return f"<domain><name>{self._name}</name><uuid>uuid-{self._name}</uuid><title>T</title><vcpu>3</vcpu></domain>"

    def state(self, _flags: int) -> tuple[int, int]:
        return self._state, 0

    def isPersistent(self) -> int:
        return "transient" not in self.also

    def autostart(self) -> int:
        return "autostart" in self.also

    def hasManagedSaveImage(self, _flags: int) -> int:
        return "saved" in self.also


class ManyDomains:
    """A connection; ``refuses``: the bulk calls that its driver lacks."""

    def __init__(self, *domains: OneDomain, refuses: str = "") -> None:
        self.domains = domains
        self._refuses = refuses

    def listAllDomains(self, flag: int) -> list[OneDomain]:
        if flag and self._refuses == "filters":
            raise refusal(libvirt.VIR_ERR_NO_SUPPORT)
        return [domain for domain in self.domains if not flag or FLAGS[flag] in domain.also]

    def getAllDomainStats(self, _stats: int, _flags: int) -> list[tuple[OneDomain, dict[str, int]]]:
        if self._refuses == "statistics":
            raise refusal(libvirt.VIR_ERR_NO_SUPPORT)
        return [(domain, {"state.state": domain.state(0)[0], "state.reason": 0}) for domain in self.domains]

    def reader(self) -> Reader:
        return Reader(KEY.host, cast("libvirt.virConnect", self))


def test_a_list_that_is_read_quickly_is_complete_at_once() -> None:
    host = ManyDomains(OneDomain("a", 1), OneDomain("b", 5, "saved", "autostart"))
    listing = host.reader().read_all(1000.0)
    assert listing.is_complete
    assert [(vm.name, vm.state, vm.title, vm.vcpus, vm.is_complete) for vm in listing.vms] == [
        ("a", S.RUNNING, "T", 3, True),
        ("b", S.SAVED, "T", 3, True),
    ]


def test_a_list_without_time_has_every_vm_and_asks_none() -> None:
    host = ManyDomains(OneDomain("a", 1, "transient"), OneDomain("b", 5, "saved", "autostart"))
    listing = host.reader().read_all(0.0)
    assert not listing.is_complete
    assert [(vm.name, vm.state, vm.persistent, vm.autostart) for vm in listing.vms] == [
        ("a", S.RUNNING, False, False),
        ("b", S.SAVED, True, True),
    ]
    assert {(vm.title, vm.vcpus, vm.memory_kib, vm.is_complete) for vm in listing.vms} == {("", 0, 0, False)}
    assert [domain.asked for domain in host.domains] == [0, 0]


def test_the_rest_is_read_in_the_order_of_names() -> None:
    host = ManyDomains(OneDomain("vm10"), OneDomain("vm9"), OneDomain("VM1"))
    listing = host.reader().read_all(0.0)
    order = []
    while not listing.is_complete:
        ((uuid, vm),) = listing.read_on(0.0)
        assert vm is not None
        assert (vm.key.uuid, vm.title, vm.is_complete) == (uuid, "T", True)
        order.append(vm.name)
    assert order == ["VM1", "vm9", "vm10"]
    assert listing.read_on(0.0) == []


def test_with_time_the_rest_is_one_portion() -> None:
    host = ManyDomains(*(OneDomain(str(number)) for number in range(20)))
    listing = host.reader().read_all(0.0)
    assert len(listing.read_on(1000.0)) == 20
    assert listing.is_complete


def test_a_vm_that_went_and_one_that_cannot_be_read() -> None:
    gone, broken = OneDomain("a"), OneDomain("b", 1)
    listing = ManyDomains(gone, broken).reader().read_all(0.0)
    gone.error, broken.error = refusal(libvirt.VIR_ERR_NO_DOMAIN), refusal(libvirt.VIR_ERR_INTERNAL_ERROR)
    (first, none), (_, unknown) = listing.read_on(1000.0)
    assert (first, none) == ("uuid-a", None)
    assert unknown is not None
    assert (unknown.name, unknown.state, unknown.is_complete) == ("b", S.UNKNOWN, False)
    assert listing.is_complete


def test_a_link_that_breaks_in_the_middle_is_said() -> None:
    broken = OneDomain("a")
    listing = ManyDomains(broken).reader().read_all(0.0)
    broken.error = refusal(libvirt.VIR_ERR_INVALID_CONN)
    with pytest.raises(LinkLost):
        listing.read_on(1.0)


@pytest.mark.parametrize("missing", ["statistics", "filters"])
def test_a_driver_without_bulk_calls_is_read_one_by_one_at_once(missing: str) -> None:
    host = ManyDomains(OneDomain("a", 1), OneDomain("b", 5, "saved", "autostart"), refuses=missing)
    listing = host.reader().read_all(0.0)
    assert listing.is_complete
    assert [(vm.state, vm.autostart, vm.title) for vm in listing.vms] == [
        (S.RUNNING, False, "T"),
        (S.SAVED, True, "T"),
    ]


@pytest.mark.parametrize(
    ("elapsed_s", "done", "total", "late"),
    [
        (0.0, 0, 5000, False),
        (0.05, 10, 10, False),  # few, on a busy computer
        (0.001, 15, 5000, False),  # too few to guess from
        (0.001, 16, 5000, True),
        (0.001, 16, 1000, False),
        (0.1, 2, 10, True),  # far away
    ],
)
def test_when_the_list_is_shown_before_all_is_read(elapsed_s: float, done: int, total: int, late: bool) -> None:
    assert is_late(elapsed_s, done, total, 0.1) is late


class _BeingRestored(OneDomain):
    """Off and saved when its state is asked for; on, its saved state used up, when that is."""

    def hasManagedSaveImage(self, _flags: int) -> int:
        self._state = 1
        return 0


def test_a_vm_that_is_being_restored_is_never_off() -> None:
    host = ManyDomains(_BeingRestored("a"), refuses="filters")
    assert [vm.state for vm in host.reader().read_all(1000.0).vms] == [S.RUNNING]


class TwoDocuments(OneDomain):
    """Runs, and has another definition."""

    def __init__(self, live: str, defined: str, *also: str) -> None:
        super().__init__("a", 1, *also)
        self._documents = (live, defined)

    def isActive(self) -> int:
        return self._state == 1

    def XMLDesc(self, flags: int) -> str:
        super().XMLDesc(flags)
        return self._documents[bool(flags & libvirt.VIR_DOMAIN_XML_INACTIVE)]


class Lookup(ManyDomains):
    def lookupByUUIDString(self, uuid: str) -> OneDomain:
        for domain in self.domains:
            if domain.UUIDString() == uuid:
                return domain
        raise refusal(libvirt.VIR_ERR_NO_DOMAIN)

    def lookupByName(self, name: str) -> OneDomain:
        name.encode("utf-8")  # as libvirt's binding does
        for domain in self.domains:
            if domain.name() == name:
                return domain
        raise refusal(libvirt.VIR_ERR_NO_DOMAIN)


LIVE, DEFINED = (f"<domain id='1'><name>a</name><vcpu>{count}</vcpu></domain>" for count in (1, 2))


def test_how_many_changes_wait() -> None:
    assert Lookup(TwoDocuments(LIVE, DEFINED)).reader().pending("uuid-a") == 1
    assert Lookup(TwoDocuments(LIVE, LIVE)).reader().pending("uuid-a") == 0
    assert Lookup(TwoDocuments(LIVE, DEFINED, "transient")).reader().pending("uuid-a") == 0
    assert Lookup().reader().pending("uuid-a") == 0, "gone meanwhile"
    assert Lookup(TwoDocuments(LIVE, "<broken")).reader().pending("uuid-a") == 0


def test_a_broken_link_is_told_and_no_number() -> None:
    domain = TwoDocuments(LIVE, DEFINED)
    domain.error = refusal(libvirt.VIR_ERR_INVALID_CONN)
    with pytest.raises(LinkLost):
        Lookup(domain).reader().pending("uuid-a")


def test_a_mistake_of_ours_does_not_end_the_connection(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("x")

    monkeypatch.setattr("guivm.engine.options.changes.changes", broken)
    assert Lookup(TwoDocuments(LIVE, DEFINED)).reader().pending("uuid-a") == 0
    assert "could not be counted" in caplog.text


def test_a_vm_by_the_name_that_a_file_has() -> None:
    reader = Lookup(OneDomain("a")).reader()
    assert reader.uuid_of("a") == "uuid-a"
    assert reader.uuid_of("b") is None
    assert reader.uuid_of("\udcff") is None
