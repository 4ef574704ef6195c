"""What changing a device does besides writing one field, and the texts that the command line has for it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guivm.engine.options import display, listening, network, pci_devices, peripherals, storage, video
from guivm.engine.options.devices import free_mac, letters, with_present
from guivm.engine.options.facts import HostFacts
from guivm.engine.options.nic_modes import get_mode, mode_items, set_mode
from guivm.engine.options.option import Choice, Resource, Situation, Value
from guivm.engine.options.pci_devices import iommu_words, pci_items
from guivm.engine.options.port_forwards import PortForward, forwards_text, parse_forwards, read_forwards, write_forwards
from guivm.engine.options.usb_devices import usb_items
from guivm.engine.xml.domain import DomainXml
from tests.helpers import settings_domains as samples

_ALL = {
    resource.id: resource
    for resource in (*storage.RESOURCES, *network.RESOURCES, *display.RESOURCES, *peripherals.RESOURCES)
}


def _resource(name: str) -> Resource[Any]:
    return _ALL[name]


def _set(situation: Situation, resource: str, index: int, option: str, value: Value | None) -> Any:
    """Set an option of a device; answers its node."""
    node = _resource(resource).nodes(situation.domain)[index]
    next(each for each in _resource(resource).options if each.id == option).set(node, value)
    return node


def _items(situation: Situation, resource: str, index: int, option: str) -> dict[Value | None, str]:
    """Values of a choice, and why each cannot be."""
    found = next(each for each in _resource(resource).options if each.id == option)
    assert isinstance(found.editor, Choice)
    node = _resource(resource).nodes(situation.domain)[index]
    return {item.value: item.refusal for item in found.editor.items(situation, node)}


# --- choices ----------------------------------------------------------------------------------------------


def test_a_value_that_we_have_no_words_for_can_be_seen_and_kept() -> None:
    situation = samples.situation(samples.RICH)
    situation.domain.devices.watchdogs[0].action = "of-tomorrow"
    assert "of-tomorrow" in _items(situation, "watchdog", 0, "action")


def test_what_a_definition_says_is_fit_to_be_shown() -> None:
    shown = with_present([], "a\u202eb" + "c" * 500)[0]
    assert shown.value == "a\u202eb" + "c" * 500
    assert "\u202e" not in shown.label
    assert len(shown.label) <= 120


def test_the_same_model_again_leaves_the_device_where_it_is() -> None:
    situation = samples.situation(samples.RICH)
    console = _resource("console").nodes(situation.domain)[0]
    console.target_type, console.address.type = "virtio", "virtio-serial"
    _set(situation, "console", 0, "model", "virtio")
    assert console.address.exists
    _set(situation, "console", 0, "model", "sclp")
    assert not console.address.exists


# --- drives -----------------------------------------------------------------------------------------------


def test_names_of_drives_go_on_after_z() -> None:
    assert [letters(index) for index in (0, 25, 26, 701, 702)] == ["a", "z", "aa", "zz", "aaa"]


def test_a_disk_on_another_bus_gets_a_name_of_that_bus() -> None:
    situation = samples.situation(samples.RICH)
    disk: Any = situation.domain.devices.disks[0]
    disk.queues, disk.io_thread, disk.address.type = 4, 1, "pci"
    _set(situation, "disk", 0, "bus", "sata")
    assert (disk.target_dev, disk.target_bus) == ("sde", "sata")
    assert (disk.queues, disk.io_thread, disk.address.exists) == (None, None, False)
    _set(situation, "disk", 0, "bus", "usb")
    assert disk.target_dev == "sde", "the name stays where it fits"


def test_a_disk_on_scsi_brings_a_controller_that_guests_have_drivers_for() -> None:
    situation = samples.situation(samples.UEFI)
    _set(situation, "disk", 0, "bus", "scsi")
    assert [c.model for c in situation.domain.devices.controllers if c.type == "scsi"] == ["virtio-scsi"]


def test_a_bus_that_is_not_offered_says_so() -> None:
    situation = samples.situation(samples.UEFI)
    assert _items(situation, "disk", 0, "bus")["nvme"] == "This host's QEMU does not offer it."
    assert _items(situation, "disk", 0, "bus")["virtio"] == ""
    four = samples.situation(samples.BIOS)
    for _ in range(2):
        _set(four, "disk", len(_resource("disk").nodes(four.domain)) - 1, "bus", "ide")
        node = _resource("disk").add
        assert node is not None
        node(four)
    assert len([disk for disk in four.domain.devices.disks if disk.target_bus == "ide"]) == 4
    _set(four, "disk", 0, "bus", "virtio")
    assert not _items(four, "disk", 0, "bus")["ide"]


def test_a_source_takes_its_format_along_when_its_name_tells_it() -> None:
    situation = samples.situation(samples.BIOS)
    disk = _set(situation, "disk", 0, "source", "/images/x.qcow2")
    assert (disk.type, disk.driver_type) == ("file", "qcow2")
    _set(situation, "disk", 0, "source", "/dev/vg/x")
    assert (disk.type, disk.driver_type, disk.source_file) == ("block", "raw", None)


@pytest.mark.parametrize("text", ["images/x.qcow2", "", "volume:x", "volume:/x"])
def test_a_disk_refuses_what_is_no_source(text: str) -> None:
    situation = samples.situation(samples.BIOS)
    before = situation.domain.to_text()
    with pytest.raises(ValueError, match=r"\.$"):
        _set(situation, "disk", 0, "source", text)
    assert situation.domain.to_text() == before


def test_a_cd_is_ejected_and_keeps_its_policy() -> None:
    situation = samples.situation(samples.RICH)
    drive = _set(situation, "cdrom", 0, "startup-policy", "optional")
    _set(situation, "cdrom", 0, "source", "/iso/y.iso")
    assert (drive.source_file, drive.startup_policy) == ("/iso/y.iso", "optional")
    _set(situation, "cdrom", 0, "source", None)
    assert (drive.path, drive.type, drive.read_only) == ("", "file", True)


def test_a_limit_takes_its_bursts_along_and_excludes_the_other_kind() -> None:
    situation = samples.situation(samples.UEFI)
    disk = _set(situation, "disk", 0, "total-bytes", 1 << 20)
    _set(situation, "disk", 0, "total-bytes-burst", 1 << 21)
    _set(situation, "disk", 0, "total-bytes-burst-seconds", 5)
    _set(situation, "disk", 0, "read-bytes", 4096)
    assert (disk.io_tune.total_bytes, disk.io_tune.total_bytes_max) == (None, None)
    assert (disk.io_tune.total_bytes_max_length_s, disk.io_tune.read_bytes) == (None, 4096)
    _set(situation, "disk", 0, "read-bytes", None)
    assert not disk.io_tune.exists


def test_native_input_and_output_goes_with_the_cache_it_needs() -> None:
    situation = samples.situation(samples.UEFI)
    assert _items(situation, "disk", 0, "io")["native"]
    disk = _set(situation, "disk", 0, "cache", "none")
    assert not _items(situation, "disk", 0, "io")["native"]
    _set(situation, "disk", 0, "io", "native")
    _set(situation, "disk", 0, "cache", "writeback")
    assert disk.io is None


def test_a_place_in_the_boot_order_makes_room() -> None:
    situation = samples.situation(samples.UEFI)
    _set(situation, "nic", 0, "boot-order", 1)
    devices = situation.domain.devices
    assert (devices.interfaces[0].boot_order, devices.disks[0].boot_order) == (1, 2)


def test_a_place_in_the_boot_order_replaces_the_other_way_of_saying_it() -> None:
    situation = samples.situation(samples.BIOS)
    _set(situation, "disk", 0, "boot-order", 1)
    assert not len(situation.domain.os.boot_devices)


# --- network cards ----------------------------------------------------------------------------------------

_NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_.", min_size=1, max_size=15)
_PCI = st.builds(
    "{:04x}:{:02x}:{:02x}.{:x}".format,
    st.integers(0, 0xFFFF),
    st.integers(0, 255),
    st.integers(0, 31),
    st.integers(0, 7),
)
_MODES = st.one_of(
    st.sampled_from(("user", "none")),
    _NAMES.map("network:{}".format),
    _NAMES.map("bridge:{}".format),
    _NAMES.map("direct:{}".format),
    st.builds("direct:{}:{}".format, _NAMES, st.sampled_from(("vepa", "bridge", "private", "passthrough"))),
    _PCI.map("hostdev:{}".format),
)


@given(st.lists(_MODES, min_size=1, max_size=4))
def test_the_text_of_a_connection_is_read_back(modes: list[str]) -> None:
    nic = DomainXml.parse(samples.RICH).devices.interfaces[0]
    for mode in modes:
        set_mode(nic, mode)
        assert get_mode(nic) == mode
    assert nic.mac == "52:54:00:00:00:01"


@given(st.text(max_size=30).filter(lambda text: text not in ("user", "none")))
def test_what_is_no_connection_is_refused(text: str) -> None:
    domain = DomainXml.parse(samples.RICH)
    before = domain.to_text()
    for wrong in (text, f"network:{text}\x07", f"hostdev:{text}", f"direct:eth0:{text}x"):
        with pytest.raises(ValueError, match=r"(?s)\.$"):
            set_mode(domain.devices.interfaces[0], wrong)
        assert domain.to_text() == before


def test_another_connection_gives_up_only_what_it_cannot_have() -> None:
    domain = DomainXml.parse(samples.UEFI)
    nic: Any = domain.devices.interfaces[0]
    nic.queues, nic.mtu, nic.boot_order, nic.filter_ref.filter = 2, 1400, 3, "clean-traffic"
    nic.bandwidth.inbound_average = 100
    set_mode(nic, "bridge:br0")
    assert (nic.queues, nic.mtu, nic.boot_order, nic.filter_ref.filter) == (2, 1400, 3, "clean-traffic")
    assert (nic.source_network, nic.bandwidth.inbound_average) == (None, 100)
    set_mode(nic, "user")
    assert (nic.queues, nic.mtu, nic.boot_order, nic.filter_ref.exists) == (None, None, 3, False)
    assert (nic.bandwidth.exists, nic.source_node.exists, nic.model) == (False, False, "virtio")


def test_connections_that_cannot_be_had_say_why() -> None:
    session = samples.situation(samples.BIOS, samples.facts(is_session=True))
    items = {item.value: item.refusal for item in mode_items(session, session.domain.devices.interfaces[0])}
    assert items["user"] == ""
    assert "ordinary user" in items["bridge:br0"]
    here = samples.situation(samples.BIOS)
    items = {item.value: item.refusal for item in mode_items(here, here.domain.devices.interfaces[0])}
    assert items["bridge:br0"] == items["network:default"] == items["hostdev:0000:02:00.1"] == ""
    assert "Wi-Fi" in items["direct:wlan0:bridge"]


def test_a_card_that_is_not_virtio_loses_what_only_virtio_has() -> None:
    situation = samples.situation(samples.UEFI)
    nic = _set(situation, "nic", 0, "host-csum", False)
    _set(situation, "nic", 0, "queues", 4)
    _set(situation, "nic", 0, "model", "e1000e")
    assert (nic.queues, nic.host_offloads.exists, nic.mac) == (None, False, "52:54:00:0b:00:01")


def test_a_drawn_address_is_nobodys_yet() -> None:
    situation = samples.situation(samples.RICH)
    drawn = iter((b"\x00\x00\x01", b"\x99\x99\x99", b"\x00\x00\x01", b"\xab\xcd\xef"))
    assert free_mac(situation, lambda count: next(drawn)) == "52:54:00:ab:cd:ef"


@pytest.mark.parametrize("text", ["52:54:00:12:34", "53:54:00:12:34:56", "00:00:00:00:00:00", "52-54-00-12-34-56", ""])
def test_an_address_that_cannot_be_is_refused(text: str) -> None:
    situation = samples.situation(samples.UEFI)
    with pytest.raises(ValueError, match=r"\.$"):
        _set(situation, "nic", 0, "mac", text)


# --- port forwards ----------------------------------------------------------------------------------------

_ADDRESSES = st.one_of(st.just("*"), st.ip_addresses(v=4).map(str))
_FORWARDS = st.lists(
    st.builds(PortForward, st.sampled_from(("tcp", "udp")), _ADDRESSES, st.integers(1, 65535), st.integers(1, 65535)),
    max_size=8,
    unique_by=lambda forward: (forward.protocol, forward.address, forward.host_port),
)
_RANGES = st.lists(
    st.builds(
        lambda protocol, address, first, count, guest: PortForward(
            protocol, address, first, guest, first + count if count else 0
        ),
        st.sampled_from(("tcp", "udp")),
        st.one_of(_ADDRESSES, st.ip_addresses(v=6).map(str)),
        st.integers(1, 60000),
        st.integers(0, 100),
        st.integers(1, 60000),
    ),
    max_size=4,
    unique_by=lambda forward: (forward.protocol, forward.address),
)


@given(_RANGES)
def test_the_text_of_port_forwards_is_read_back(forwards: list[PortForward]) -> None:
    assert parse_forwards(forwards_text(forwards)) == tuple(forwards)


@given(_RANGES)
def test_forwards_of_passt_are_libvirts(forwards: list[PortForward]) -> None:
    nic = DomainXml.parse(samples.RICH).devices.interfaces[0]
    nic.backend_type = "passt"
    write_forwards(nic, forwards)
    assert read_forwards(nic) == tuple(forwards)
    assert len(nic.port_forwards) == len(forwards)


@given(_FORWARDS)
def test_forwards_of_slirp_are_kept_in_the_metadata(forwards: list[PortForward]) -> None:
    domain = DomainXml.parse(samples.RICH)
    nic = domain.devices.interfaces[0]
    write_forwards(nic, forwards)
    every = [PortForward(f.protocol, f.address.replace("*", "0.0.0.0"), f.host_port, f.guest_port) for f in forwards]
    assert read_forwards(nic) == tuple(every)
    assert read_forwards(domain.devices.interfaces[1]) == ()
    assert "urn:other" in domain.to_text()
    write_forwards(nic, ())
    assert not domain.metadata.settings.exists


@pytest.mark.parametrize(
    "text", ["22", "tcp:127.0.0.1:0:22", "1:2,1:3", "tcp:300.1.1.1:1:2", "sctp:1:2", "9-8:1", "65000-65010:65530"]
)
def test_what_is_no_port_forward_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\.$"):
        parse_forwards(text)


def test_a_short_port_forward_is_for_this_computer_only() -> None:
    (forward,) = parse_forwards("2222:22")
    assert forward == PortForward("tcp", "127.0.0.1", 2222, 22)
    assert not forward.is_exposed
    assert parse_forwards("tcp:0.0.0.0:2222:22")[0].is_exposed
    assert parse_forwards("tcp:*:2222:22")[0].is_exposed


def test_forwards_follow_their_card() -> None:
    situation = samples.situation(samples.BIOS)
    nic = _set(situation, "nic", 0, "port-forwards", "2222:22")
    _set(situation, "nic", 0, "mac", "52:54:00:77:77:77")
    assert len(read_forwards(nic)) == 1
    _set(situation, "nic", 0, "backend", "passt")
    assert len(read_forwards(nic)) == 1
    assert not situation.domain.metadata.settings.exists
    _set(situation, "nic", 0, "backend", None)
    assert len(situation.domain.metadata.settings.port_forwards) == 1
    _set(situation, "nic", 0, "mode", "network:default")
    assert not situation.domain.metadata.settings.exists
    _set(situation, "nic", 0, "mode", "user")
    _set(situation, "nic", 0, "port-forwards", "2222:22")
    remove = _resource("nic").remove
    assert remove is not None
    remove(situation.domain, nic)
    assert not situation.domain.metadata.settings.exists


# --- displays ---------------------------------------------------------------------------------------------


def test_with_the_last_spice_display_goes_what_needs_it() -> None:
    situation = samples.situation(samples.RICH)
    devices = situation.domain.devices
    remove = _resource("display").remove
    assert remove is not None
    remove(situation.domain, devices.graphics[1])
    assert not len(devices.redirected_usbs)
    assert not len(devices.smart_cards)
    assert [channel.type for channel in devices.channels] == ["unix"]
    assert [audio.type for audio in devices.audios] == ["none", "none"]


def test_a_display_at_an_address_of_others_is_said_to_be_reachable() -> None:
    situation = samples.situation(samples.UEFI)
    shown = _set(situation, "display", 0, "listen", "address:0.0.0.0")
    assert listening.is_exposed(shown)
    assert "other computers" in _resource("display").summary(situation, shown)
    _set(situation, "display", 0, "listen", "address:127.0.0.1")
    assert not listening.is_exposed(shown)


@given(
    st.one_of(
        st.sampled_from(("none", "socket")),
        st.ip_addresses().map("address:{}".format),
        _NAMES.map("network:{}".format),
        _NAMES.map("socket:/run/{}".format),
    )
)
def test_the_text_of_a_place_to_listen_is_read_back(text: str) -> None:
    graphics = DomainXml.parse(samples.UEFI).devices.graphics[0]
    listening.set_listen(graphics, text)
    assert listening.get_listen(graphics) == text


def test_3d_adds_a_display_that_draws_and_takes_it_out_again() -> None:
    situation = samples.situation(samples.UEFI)
    before = situation.domain.to_text()
    _set(situation, "video", 0, "accel3d", True)
    assert [each.type for each in situation.domain.devices.graphics] == ["vnc", "egl-headless"]
    assert len(_resource("display").nodes(situation.domain)) == 1
    _set(situation, "video", 0, "render-node", "/dev/dri/renderD128")
    assert situation.domain.devices.graphics[1].gl_render_node == "/dev/dri/renderD128"
    _set(situation, "video", 0, "accel3d", None)
    assert situation.domain.to_text() == before


def test_why_there_is_no_3d_is_said() -> None:
    situation = samples.situation(samples.UEFI, samples.facts(render_refusal="The host has no graphics card."))
    accel = next(option for option in video.RESOURCES[0].options if option.id == "accel3d")
    assert accel.refusal(situation, situation.domain.devices.videos[0]) == "The host has no graphics card."


def test_another_graphics_card_loses_the_memory_of_the_old_one() -> None:
    situation = samples.situation(samples.RICH)
    card: Any = situation.domain.devices.videos[1]
    card.ram_kib, card.video_memory_kib, card.heads = 65536, 16384, 2
    _set(situation, "video", 1, "model", "virtio")
    assert (card.ram_kib, card.video_memory_kib, card.heads) == (None, None, 2)
    assert _items(situation, "video", 1, "model")["vga"], "not as a second card"


# --- peripherals ------------------------------------------------------------------------------------------


def test_the_group_of_a_pci_device_is_named() -> None:
    facts = samples.facts()
    assert "0000:01:00.1 (HDMI sound)" in iommu_words(facts, "0000:01:00.0")
    assert "alone" in iommu_words(facts, "0000:02:00.1")
    situation = samples.situation(samples.UEFI)
    assert [item.value for item in pci_items(situation, None)] == ["0000:01:00.0", "0000:01:00.1", "0000:02:00.1"]


def test_without_an_iommu_no_pci_device_can_be_given() -> None:
    from dataclasses import replace

    facts = samples.facts()
    off = replace(facts, pci_devices=tuple(replace(each, iommu_group=None) for each in facts.pci_devices))
    situation = samples.situation(samples.UEFI, off)
    refusal = pci_devices.RESOURCES[0].add_refusal
    assert refusal is not None
    assert "IOMMU" in refusal(situation)
    assert all("IOMMU" in item.refusal for item in pci_items(situation, None))


def test_usb_devices_that_are_alike_are_told_apart_by_their_place() -> None:
    items = {item.value: item.refusal for item in usb_items(samples.situation(samples.UEFI), None)}
    assert list(items) == ["046d:c52b", "0781:5581@1.5", "0781:5581@1.6", "04f9:0042"]
    assert "office" in items["04f9:0042"]


def test_virtiofs_makes_the_memory_shared() -> None:
    situation = samples.situation(samples.RICH)
    folder = _set(situation, "filesystem", 0, "driver", "virtiofs")
    assert (folder.access_mode, folder.driver_type) == (None, "virtiofs")
    backing = situation.domain.memory_backing
    assert (backing.source_type, backing.access_mode) == ("memfd", "shared")
    backing.access_mode = None
    assert "needs shared memory" in _resource("filesystem").summary(situation, folder)


def test_virtiofs_is_refused_to_ordinary_users_of_an_older_libvirt() -> None:
    situation = samples.situation(samples.RICH, samples.facts(is_session=True))
    assert "9p" in _items(situation, "filesystem", 0, "driver")["virtiofs"]
    newer = samples.facts(is_session=True, capabilities=samples.capabilities(libvirt_version="10.0.0"))
    assert not _items(samples.situation(samples.RICH, newer), "filesystem", 0, "driver")["virtiofs"]


def test_the_console_of_the_last_serial_port_goes_with_it() -> None:
    situation = samples.situation(samples.RICH)
    remove = _resource("serial").remove
    assert remove is not None
    for serial in list(situation.domain.devices.serials):
        remove(situation.domain, serial)
    assert [console.target_type for console in situation.domain.devices.consoles] == ["virtio"]


def test_a_serial_port_to_a_file_is_kept_beside_the_image() -> None:
    situation = samples.situation(samples.UEFI)
    add = _resource("serial").add
    assert add is not None
    add(situation)
    serial = _set(situation, "serial", 0, "type", "file")
    assert serial.source_path == "/images/new-serial0.log"


def test_a_second_tpm_is_refused_and_so_is_one_without_its_program() -> None:
    refusal = _resource("tpm").add_refusal
    assert refusal is not None
    assert "only one" in refusal(samples.situation(samples.RICH))
    lacking = samples.facts(capabilities=samples.capabilities(has_tpm=False))
    assert "swtpm" in refusal(samples.situation(samples.UEFI, lacking))


def test_usb_cannot_be_switched_off_while_it_is_used() -> None:
    situation = samples.situation(samples.RICH)
    controllers = _resource("controller").nodes(situation.domain)
    index = next(index for index, each in enumerate(controllers) if each.type == "usb")
    assert _items(situation, "controller", index, "model")["none"]


@pytest.mark.parametrize(
    ("version", "there", "word"),
    [("9.1.0", False, "lacks"), ("9.1.0", True, ""), ("9.1.0", None, ""), ("9.0.0", True, "9.1")],
)
def test_passt_is_offered_where_it_can_be(version: str, there: bool | None, word: str) -> None:
    known = HostFacts(samples.capabilities(libvirt_version=version), has_passt=there)
    situation = Situation(known, DomainXml.parse(samples.RICH))
    _set(situation, "nic", 0, "mode", "user")
    refusal = _items(situation, "nic", 0, "backend")["passt"]
    assert word in refusal if word else not refusal
