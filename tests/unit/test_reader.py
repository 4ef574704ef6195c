from __future__ import annotations

import pytest

from guivm.engine.details import parse_details
from guivm.engine.job_types import DiskInfo, Firmware, NicInfo, VirtType
from guivm.engine.reader import NOTES_LIMIT, observed, texts_of
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
        (3, 5, False, (S.PAUSED, "I/O error")),
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
