"""What a host's documents and /sys say, as facts."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guivm.engine.options.facts import CpuModel, HostFacts, HostInterface, Offer, OtherVm, PageSize
from guivm.engine.settings import host_devices
from guivm.engine.settings.cpu_sets import cpu_map, parse_cpu_set
from guivm.engine.settings.domain_capabilities import missing_features, read_domain_capabilities
from guivm.engine.settings.neighbours import Neighbour, neighbour_of
from guivm.engine.settings.pairing import canonical, is_within, pairs, twin
from guivm.engine.xml.document import Element, parse_xml
from tests.helpers.settings_world import facts

CAPABILITIES = """
<domainCapabilities>
  <path>/usr/bin/qemu</path><domain>kvm</domain><machine>q35</machine><arch>x86_64</arch>
  <vcpu max='288'/><iothreads supported='yes'/>
  <os supported='yes'><enum name='firmware'><value>efi</value></enum>
    <loader supported='yes'><value>/usr/share/OVMF/CODE.fd</value>
      <enum name='type'><value>rom</value><value>pflash</value></enum></loader></os>
  <cpu>
    <mode name='host-passthrough' supported='no'/>
    <mode name='host-model' supported='yes'><model fallback='forbid'>EPYC</model><vendor>AMD</vendor>
      <feature policy='require' name='ss'/><feature policy='disable' name='vme'/></mode>
    <mode name='custom' supported='yes'>
      <model usable='yes' vendor='unknown'>qemu64</model>
      <model usable='no' vendor='Intel' deprecated='yes'>Haswell</model>
      <blockers model='Haswell'><feature name='hle'/><feature name='rtm'/></blockers></mode>
  </cpu>
  <memoryBacking supported='yes'><enum name='sourceType'><value>memfd</value></enum></memoryBacking>
  <devices>
    <disk supported='yes'><enum name='bus'><value>virtio</value><value>sata</value></enum></disk>
    <tpm supported='no'><enum name='model'><value>tpm-crb</value></enum></tpm>
    <hostdev supported='yes'><enum name='capsType'/></hostdev>
  </devices>
  <features><sev supported='no'/>
    <hyperv supported='yes'><enum name='features'><value>relaxed</value></enum></hyperv></features>
</domainCapabilities>"""


def test_domain_capabilities() -> None:
    found = read_domain_capabilities(CAPABILITIES)
    host = HostFacts(facts().capabilities, offers=found.offers)
    assert host.offered("vcpu/max") == ("288",)
    assert host.offered("os/firmware") == ("efi",)
    assert host.offered("os/loader") == ("/usr/share/OVMF/CODE.fd",)
    assert host.offered("os/loader/type") == ("rom", "pflash")
    assert host.offered("disk/bus") == ("virtio", "sata")
    assert host.offered("memoryBacking/sourceType") == ("memfd",)
    assert host.offered("features/hyperv/features") == ("relaxed",)
    assert host.offered("tpm/model") == ()
    assert [host.offers_any(path) for path in ("tpm", "disk", "iothreads", "features/sev", "sound")] == [
        False, True, True, False, None,
    ]  # fmt: skip
    assert [host.offers_any(f"cpu/{mode}") for mode in ("host-passthrough", "host-model")] == [False, True]
    assert Offer("hostdev/capsType", ()) in found.offers
    assert (found.host_cpu_model, found.host_features) == ("EPYC", ("ss",))
    assert found.cpu_models == (
        CpuModel("qemu64", True, "unknown"),
        CpuModel("Haswell", False, "Intel", ("hle", "rtm"), deprecated=True),
    )


def test_what_libvirt_says_a_model_lacks() -> None:
    words = "the CPU is incompatible with host CPU: Host CPU does not provide required features: avx, avx2"
    assert missing_features(words) == ("avx", "avx2")
    assert missing_features("something else") == ()


# --- devices ----------------------------------------------------------------------------------------------

_NODES = [
    """<device><name>pci_1</name><parent>computer</parent><driver><name>nvidia</name></driver><capability type='pci'>
    <class>0x030000</class><domain>0</domain><bus>1</bus><slot>0</slot><function>0</function>
    <product id='0x2204'>GA102</product><vendor id='0x10de'>NVIDIA</vendor><iommuGroup number='12'/>
    <capability type='mdev_types'><type id='nvidia-471'/></capability></capability></device>""",
    """<device><name>bridge</name><capability type='pci'><class>0x060400</class><domain>0</domain><bus>0</bus>
    <slot>1</slot><function>0</function></capability></device>""",
    """<device><name>pci_vf</name><capability type='pci'><class>0x020000</class><domain>0</domain><bus>3</bus>
    <slot>16</slot><function>2</function><capability type='phys_function'/></capability></device>""",
    """<device><name>net_1</name><parent>pci_vf</parent><capability type='net'><interface>eth3v2</interface>
    <link state='down'/><capability type='80203'/></capability></device>""",
    """<device><name>net_lo</name><capability type='net'><interface>lo</interface></capability></device>""",
    """<device><name>usb_1</name><capability type='usb_device'><bus>1</bus><device>4</device>
    <product id='0xc52b'>Receiver</product><vendor id='0x046d'>Logi\u202etech</vendor></capability></device>""",
    """<device><name>hub</name><capability type='usb_device'><bus>1</bus><device>1</device>
    <product id='0x0002'/><vendor id='0x1d6b'>Linux Foundation</vendor></capability></device>""",
    """<device><name>mdev_4b20d080_1b54_4048_85b3_a6a62d165c01_0000_01_00_0</name><parent>pci_1</parent>
    <capability type='mdev'><type id='nvidia-471'/><parent_addr>0000:01:00.0</parent_addr><iommuGroup number='9'/>
    </capability></device>""",
    """<device><name>drm</name><parent>pci_1</parent><devnode type='dev'>/dev/dri/renderD128</devnode>
    <capability type='drm'><type>render</type></capability></device>""",
    "no XML at all",
]


def test_node_devices() -> None:
    found = host_devices.read_node_devices(_NODES)
    (card, function) = found.pci_devices
    assert (card.address, card.label, card.class_label) == ("0000:01:00.0", "NVIDIA GA102", "Graphics card")
    assert (card.iommu_group, card.driver, card.mediated_types) == (12, "nvidia", ("nvidia-471",))
    assert (function.address, function.iommu_group) == ("0000:03:10.2", None)
    assert found.interfaces == (
        HostInterface("eth3v2", is_bridge=False, is_up=False, pci_address="0000:03:10.2", is_virtual_function=True),
    )
    (usb,) = found.usb_devices
    assert (usb.vendor_id, usb.product_id, usb.bus, usb.device, usb.label) == (
        0x046D, 0xC52B, 1, 4, "Logitech Receiver",
    )  # fmt: skip
    (mediated,) = found.mediated_devices
    assert (mediated.uuid, mediated.iommu_group) == ("4b20d080-1b54-4048-85b3-a6a62d165c01", 9)
    assert [(node.path, node.label) for node in found.render_nodes] == [("/dev/dri/renderD128", "NVIDIA GA102")]


def test_who_has_a_device() -> None:
    found = host_devices.read_node_devices(_NODES)
    user = OtherVm("user", "u", is_active=True, memory_kib=0)
    idle = OtherVm("idle", "i", is_active=False, memory_kib=0)
    used = host_devices.with_users(
        found,
        [Neighbour(user, frozenset({"pci:0000:01:00.0"})), Neighbour(idle, frozenset({"usb:046d:c52b"}))],
    )
    assert [card.used_by for card in used.pci_devices] == ["user", ""]
    assert [usb.used_by for usb in used.usb_devices] == [""]


def test_another_vm() -> None:
    found = neighbour_of(
        parse_xml("""
        <domain type='kvm'><name>a\u202eb</name><memory unit='MiB'>512</memory><devices>
        <disk type='file' device='disk'><source file='/i/a.qcow2'/><backingStore type='file'>
          <source file='/i/base.qcow2'/><backingStore/></backingStore><target dev='vda'/></disk>
        <disk type='file' device='disk'><source file='/i/ro'/><readonly/></disk>
        <disk type='file' device='disk'><source file='/i/shared'/><shareable/></disk>
        <disk type='file' device='cdrom'><source file='/i/cd.iso'/></disk>
        <interface type='user'><mac address='52:54:00:AA:00:01'/></interface>
        <hostdev mode='subsystem' type='usb'><source><vendor id='0x46d'/><product id='0xc52b'/>
          <address bus='1' device='4'/></source></hostdev>
        <hostdev mode='subsystem' type='pci'><source>
          <address domain='0x0000' bus='0x01' slot='0x00' function='0x0'/></source></hostdev>
        </devices></domain>"""),
        "uuid",
        is_active=True,
    )
    assert found.vm == OtherVm(
        "ab", "uuid", is_active=True, memory_kib=524_288, macs=("52:54:00:aa:00:01",),
        paths=("/i/a.qcow2", "/i/base.qcow2"),
    )  # fmt: skip
    assert found.devices == {"usb:046d:c52b", "usb@1.4", "pci:0000:01:00.0"}


# --- this computer ----------------------------------------------------------------------------------------


def write(path: Path, text: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_sys(tmp_path: Path) -> None:
    write(tmp_path / "class/net/br0/flags", "0x1003\n")
    (tmp_path / "class/net/br0/bridge").mkdir()
    write(tmp_path / "class/net/wlan0/flags", "0x1002\n")
    (tmp_path / "class/net/wlan0/wireless").mkdir()
    write(tmp_path / "class/net/lo/flags", "0x9\n")
    write(tmp_path / "class/net/bonding_masters")
    assert host_devices.local_interfaces(tmp_path) == (
        HostInterface("br0", is_bridge=True, is_up=True),
        HostInterface("wlan0", is_bridge=False, is_up=False, is_wireless=True),
    )
    write(tmp_path / "kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "64\n")
    write(tmp_path / "kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "60\n")
    write(tmp_path / "kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages", "0\n")
    assert host_devices.local_page_sizes(tmp_path) == (PageSize(2048, 64, 60), PageSize(1_048_576, 0, 0))
    assert host_devices.local_ksm(tmp_path) is None
    write(tmp_path / "kernel/mm/ksm/run", "1\n")
    assert host_devices.local_ksm(tmp_path) is True


def test_host_capabilities() -> None:
    text = """<capabilities><host><topology><cells num='2'>
      <cell id='0'><pages unit='KiB' size='4'>1000</pages><pages unit='KiB' size='2048'>8</pages></cell>
      <cell id='1'><pages unit='KiB' size='4'>1000</pages><pages unit='KiB' size='2048'>4</pages></cell>
      </cells></topology>
      <secmodel><model>apparmor</model></secmodel>
      <secmodel><model>dac</model><baselabel type='kvm'>+64055:+108</baselabel></secmodel></host></capabilities>"""
    assert host_devices.page_sizes_of_capabilities(text) == ((2048, 12),)
    assert host_devices.dac_user(text) == (64_055, 108)
    assert host_devices.dac_user("<capabilities><host/></capabilities>") is None


# --- CPU sets ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("0", {0}), ("0-3", {0, 1, 2, 3}), ("0-3,^2", {0, 1, 3}), (" 1, 5-6 ", {1, 5, 6}), ("0-7,^1-6", {0, 7})],
)
def test_cpu_sets(text: str, numbers: set[int]) -> None:
    assert parse_cpu_set(text) == numbers


@pytest.mark.parametrize("text", ["", ",", "a", "-1", "1-", "3-1", "0,^0", "1 2", "99999999", "0x1", "\u0661"])
def test_no_cpu_sets(text: str) -> None:
    with pytest.raises(ValueError, match="CPU"):
        parse_cpu_set(text)


@given(st.sets(st.integers(0, 63), min_size=1))
def test_a_cpu_set_becomes_a_map(numbers: set[int]) -> None:
    text = ",".join(map(str, sorted(numbers)))
    assert [number for number, on in enumerate(cpu_map(parse_cpu_set(text), 64)) if on] == sorted(numbers)


def test_a_cpu_that_the_host_has_not() -> None:
    with pytest.raises(ValueError, match="no CPU 4"):
        cpu_map({0, 4}, 4)


# --- which device is which --------------------------------------------------------------------------------


def elements(text: str) -> list[Element]:
    return list(parse_xml(f"<devices>{text}</devices>"))


def test_white_space_comments_and_attribute_order_are_no_difference() -> None:
    (one, other) = elements("<a x='1' y='2'>\n  <b/>\n</a><a y='2' x='1'><!-- c --><b></b></a>")
    assert canonical(one) == canonical(other)


def test_pairs_by_address_when_nothing_else_tells() -> None:
    before = elements(
        "<redirdev bus='usb' type='spicevmc'><address type='usb' bus='0' port='1'/></redirdev>"
        "<redirdev bus='usb' type='spicevmc'><address type='usb' bus='0' port='2'/></redirdev>"
    )
    after = elements("<redirdev bus='usb' type='tcp'><address type='usb' bus='0' port='2'/></redirdev>")
    removed, changed = pairs(before, after)
    assert (removed.before, removed.after) == (before[0], None)
    assert (changed.before, changed.after) == (before[1], after[0])


def test_a_live_twin_says_more() -> None:
    (bare,) = elements("<hostdev type='usb'><source><vendor id='0x1'/><product id='0x2'/></source></hostdev>")
    live = elements(
        "<hostdev type='usb'><source><vendor id='0x1'/><product id='0x3'/></source><alias name='h0'/></hostdev>"
        "<hostdev type='usb'><source><vendor id='0x1'/><product id='0x2'/><address bus='1' device='4'/></source>"
        "<alias name='h1'/></hostdev>"
    )
    assert twin(bare, live) is live[1]
    assert is_within(bare, live[1])
    assert not is_within(live[1], bare)
