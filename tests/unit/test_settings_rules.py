"""Every rule about a definition: silent about a sound one, and one sentence at the right place about a wrong one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from guivm.engine.options import catalogue
from guivm.engine.options.facts import Offer
from guivm.engine.options.values import Place, SettingProblem
from guivm.engine.settings.rules import rule_problems
from guivm.engine.xml.domain import DomainXml
from tests.helpers.settings_world import GIB_KIB, MAC, edited, facts

Edit = Callable[[DomainXml], None]


def problems(edit: Edit | None = None, **changed: object) -> list[SettingProblem]:
    return list(rule_problems(edited(edit), facts(**changed)))


def test_a_sound_definition_has_no_problems() -> None:
    assert problems() == []


def _set(path: str, value: object) -> Edit:
    """An edit that sets one property: "cpu.cores"; "devices.disks[0].cache" by index."""

    def edit(domain: DomainXml) -> None:
        *steps, last = path.split(".")
        node: object = domain
        for step in steps:
            name, _, index = step.partition("[")
            node = getattr(node, name)
            if index:
                node = node[int(index[:-1])]  # type: ignore[index]
        setattr(node, last, value)

    return edit


def both(*edits: Edit) -> Edit:
    def edit(domain: DomainXml) -> None:
        for one in edits:
            one(domain)

    return edit


def another_disk(path: str, target: str = "vdb", bus: str = "virtio", **more: object) -> Edit:
    def edit(domain: DomainXml) -> None:
        disk = domain.devices.disks.add()
        disk.type, disk.device, disk.driver_type = "file", "disk", "raw"
        disk.source_file, disk.target_dev, disk.target_bus = path or None, target, bus
        for name, value in more.items():
            setattr(disk, name, value)

    return edit


def another_nic(**values: object) -> Edit:
    def edit(domain: DomainXml) -> None:
        nic = domain.devices.interfaces.add()
        nic.type, nic.mac = "user", "52:54:00:00:00:99"
        for name, value in values.items():
            setattr(nic, name, value)

    return edit


def forward(host_port: int, guest_port: int = 22, address: str | None = None, mac: str = "52:54:00:00:00:99") -> Edit:
    def edit(domain: DomainXml) -> None:
        node = domain.metadata.settings.port_forwards.add()
        node.mac, node.protocol, node.host_address = mac, "tcp", address
        node.host_port, node.guest_port = host_port, guest_port

    return edit


def huge_pages(kib: int | None) -> Edit:
    def edit(domain: DomainXml) -> None:
        domain.memory_backing.huge_pages = True
        if kib is not None:
            domain.memory_backing.huge_page_sizes.add().size_kib = kib

    return edit


def pin(vcpu: int, cpus: str) -> Edit:
    def edit(domain: DomainXml) -> None:
        node = domain.cpu_tune.vcpu_pins.add()
        node.vcpu, node.cpu_set = vcpu, cpus

    return edit


def folder(domain: DomainXml) -> None:
    node = domain.devices.filesystems.add()
    node.type, node.driver_type, node.source_dir, node.target_dir = "mount", "virtiofs", "/srv", "srv"


def host_device(kind: str, **values: object) -> Edit:
    def edit(domain: DomainXml) -> None:
        node = domain.devices.host_devices.add()
        node.mode, node.type = "subsystem", kind
        for name, value in values.items():
            if name == "pci":
                node.source.address.set_pci(*value)  # type: ignore[misc]
            else:
                setattr(node.source, name, value)

    return edit


def secure_boot(machine: str, smm: bool | None = None) -> Edit:
    def edit(domain: DomainXml) -> None:
        domain.os.firmware, domain.os.machine, domain.os.loader_secure = "efi", machine, True
        domain.features.smm = smm

    return edit


def module(domain: DomainXml) -> None:
    node = domain.devices.memories.add()
    node.model, node.size_kib = "dimm", GIB_KIB


WRONG: list[tuple[str, Edit, Place, str]] = [
    ("no name", _set("name", ""), Place("system", "", "name"), "empty"),
    ("name taken", _set("name", "other"), Place("system", "", "name"), "Another virtual machine"),
    ("long title", _set("title", "x" * 201), Place("system", "", "title"), "one line"),
    ("long notes", _set("description", "ä" * 33_000), Place("system", "", "notes"), "64 KiB"),
    ("kvm", _set("type", "kvm"), Place("cpu", "", "accel"), "/dev/kvm"),
    ("secure on pc", secure_boot("pc"), Place("system", "", "firmware"), "Q35"),
    ("secure, no SMM", secure_boot("q35", False), Place("system", "", "firmware"), "SMM"),
    ("no CPU", _set("vcpu.current", 3), Place("cpu", "", "count"), "more CPUs switched on"),
    ("too many", both(_set("vcpu.maximum", 18), _set("cpu.cores", 18)), Place("cpu", "", "maximum"), "at most 16"),
    ("topology", _set("cpu.threads", 2), Place("cpu", "", "topology"), "makes 4 CPUs, but there are 2"),
    ("zero cores", _set("cpu.cores", 0), Place("cpu", "", "topology"), "counted from 1"),
    ("passthrough", _set("cpu.mode", "host-passthrough"), Place("cpu", "", "mode"), "Without KVM"),
    ("pin beyond", pin(0, "0-8"), Place("cpu", "", "pinning"), "no CPU 8"),
    ("pin nobody", pin(2, "0"), Place("cpu", "", "pinning"), "CPU 2 is pinned"),
    ("pin nonsense", _set("vcpu.cpu_set", "one"), Place("cpu", "", "host-cpus"), "no range"),
    ("no memory", _set("memory_kib", 512), Place("memory", "", "maximum"), "too little"),
    ("above the host's", _set("memory_kib", 17 * GIB_KIB), Place("memory", "", "maximum"), "16 GiB of memory in all"),
    ("current", _set("current_memory_kib", 2 * GIB_KIB), Place("memory", "", "current"), "more than the 1 GiB"),
    ("pages of no size", huge_pages(GIB_KIB), Place("memory", "", "pages"), "no huge pages of 1 GiB"),
    (
        "too few pages",
        both(huge_pages(None), _set("memory_kib", 2 * GIB_KIB)),
        Place("memory", "", "pages"),
        "set 1024 aside",
    ),
    ("module without room", module, Place("dimm", "0", ""), "limit"),
    ("drive without file", another_disk(""), Place("disk", "vdb", "source"), "no image"),
    ("relative path", another_disk("images/a.img"), Place("disk", "vdb", "source"), "begin it with “/”"),
    ("image twice", another_disk("/images/./a.qcow2"), Place("disk", "vdb", "source"), "drive vda"),
    ("image of another", another_disk("/images/other.qcow2"), Place("disk", "vdb", "source"), "belongs to “other”"),
    ("target twice", another_disk("/images/b", "vda"), Place("disk", "vda#1", "bus"), "two drives named vda"),
    ("IDE on Q35", another_disk("/images/b", "hda", "ide"), Place("disk", "hda", "bus"), "SATA"),
    ("no such bus", another_disk("/images/b", "nvme0", "nvme"), Place("disk", "nvme0", "bus"), "“nvme”"),
    (
        "shared qcow2",
        _set("devices.disks[0].shareable", True),
        Place("disk", "vda", "shareable"),
        "Only raw images",
    ),
    (
        "native I/O with cache",
        both(_set("devices.disks[0].io", "native"), _set("devices.disks[0].cache", "writeback")),
        Place("disk", "vda", "io"),
        "Native I/O",
    ),
    ("relative kernel", _set("os.kernel", "vmlinuz"), Place("boot", "", "kernel"), "begin it with"),
    (
        "boot position twice",
        both(_set("devices.disks[0].boot_order", 1), _set("devices.interfaces[0].boot_order", 1)),
        Place("nic", MAC, "boot-order"),
        "The drive vda has position 1",
    ),
    (
        "two boot orders",
        both(_set("devices.disks[0].boot_order", 1), lambda domain: setattr(domain.os.boot_devices.add(), "dev", "hd")),
        Place("boot", "", "order"),
        "set twice",
    ),
    ("virtiofs", folder, Place("filesystem", "srv", "driver"), "shared memory"),
    ("bad MAC", another_nic(mac="52:54:00"), Place("nic", "52:54:00", "mac"), "no MAC address"),
    ("group MAC", another_nic(mac="53:54:00:00:00:01"), Place("nic", "53:54:00:00:00:01", "mac"), "group address"),
    ("MAC twice", another_nic(mac=MAC), Place("nic", f"{MAC}#1", "mac"), "Two cards"),
    (
        "no filter",
        _set("devices.interfaces[0].filter_ref.filter", "gone"),
        Place("nic", MAC, "filter"),
        "no network filter “gone”",
    ),
    (
        "no network chosen",
        _set("devices.interfaces[0].source_network", None),
        Place("nic", MAC, "mode"),
        "Choose the network",
    ),
    (
        "forward twice",
        both(another_nic(), forward(2222), forward(2222, 80)),
        Place("nic", "52:54:00:00:00:99", "port-forwards"),
        "forwarded twice",
    ),
    ("display port", _set("devices.graphics[0].port", 70_000), Place("display", "vnc", "port"), "1 to 65535"),
    (
        "long password",
        _set("devices.graphics[0].password", "123456789"),
        Place("display", "vnc", "password"),
        "at most 8",
    ),
    ("no such card", _set("devices.videos[0].model", "cirrus"), Place("video", "0", "model"), "“cirrus”"),
    ("no IOMMU", host_device("pci", pci=(0, 2, 0, 0)), Place("hostdev-pci", "0000:02:00.0", "device"), "IOMMU is off"),
]


@pytest.mark.parametrize(("edit", "place", "words"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_an_error(edit: Edit, place: Place, words: str) -> None:
    found = [problem for problem in problems(edit) if not problem.is_warning]
    assert [problem.place for problem in found] == [place]
    assert words in found[0].message


DOUBTFUL: list[tuple[str, Edit, Place, str]] = [
    (
        "more CPUs than the host",
        both(_set("vcpu.maximum", 10), _set("cpu.cores", 10)),
        Place("cpu", "", "count"),
        "8 CPUs",
    ),
    ("model", _set("cpu.model", "unusable"), Place("cpu", "", "model"), "lacks avx, avx2"),
    ("unknown model", _set("cpu.model", "strange"), Place("cpu", "", "model"), "no processor “strange”"),
    ("promised", _set("memory_kib", 13 * GIB_KIB), Place("memory", "", "maximum"), "promised 4 GiB"),
    ("not free", _set("memory_kib", 9 * GIB_KIB), Place("memory", "", "maximum"), "8 GiB are free"),
    ("pages not free", huge_pages(2048), Place("memory", "", "pages"), "Only 10 huge pages"),
    ("no network", _set("devices.interfaces[0].source_network", "gone"), Place("nic", MAC, "mode"), "“gone”"),
    ("network asleep", _set("devices.interfaces[0].source_network", "asleep"), Place("nic", MAC, "mode"), "start it"),
    (
        "no bridge",
        another_nic(type="bridge", source_bridge="br9"),
        Place("nic", "52:54:00:00:00:99", "mode"),
        "no bridge br9",
    ),
    (
        "bridge of a network",
        another_nic(type="bridge", source_bridge="virbr1"),
        Place("nic", "52:54:00:00:00:99", "mode"),
        "comes with the virtual network “asleep”",
    ),
    (
        "not a bridge",
        another_nic(type="bridge", source_bridge="eth0"),
        Place("nic", "52:54:00:00:00:99", "mode"),
        "no bridge: choose",
    ),
    (
        "bridge down",
        another_nic(type="bridge", source_bridge="br1"),
        Place("nic", "52:54:00:00:00:99", "mode"),
        "switched off",
    ),
    (
        "macvtap on wireless",
        another_nic(type="direct", source_dev="wlan0"),
        Place("nic", "52:54:00:00:00:99", "mode"),
        "wireless",
    ),
    ("MAC of another", another_nic(mac="52:54:00:00:00:01"), Place("nic", "52:54:00:00:00:01", "mac"), "“other”"),
    (
        "forward for all",
        both(another_nic(), forward(2222, address="0.0.0.0")),
        Place("nic", "52:54:00:00:00:99", "port-forwards"),
        "Every computer",
    ),
    (
        "forward on a bridge",
        forward(2222, mac=MAC),
        Place("nic", MAC, "port-forwards"),
        "user-mode networking only",
    ),
    (
        "display for all",
        lambda domain: setattr(domain.devices.graphics[0].listens[0], "address", "0.0.0.0"),
        Place("display", "vnc", "listen"),
        "without a password",
    ),
    (
        "USB not there",
        host_device("usb", vendor_id=0x1234, product_id=0x5678),
        Place("hostdev-usb", "1234:5678", "device"),
        "not plugged in",
    ),
    (
        "USB in use",
        host_device("usb", vendor_id=0x046D, product_id=0xC52B),
        Place("hostdev-usb", "046d:c52b", "device"),
        "“other” has this device",
    ),
    (
        "PCI not there",
        host_device("pci", pci=(0, 9, 0, 0)),
        Place("hostdev-pci", "0000:09:00.0", "device"),
        "no such PCI device",
    ),
]


@pytest.mark.parametrize(
    ("edit", "place", "words"), [case[1:] for case in DOUBTFUL], ids=[case[0] for case in DOUBTFUL]
)
def test_a_warning(edit: Edit, place: Place, words: str) -> None:
    found = problems(edit)
    assert [(problem.place, problem.is_warning) for problem in found] == [(place, True)]
    assert words in found[0].message


@pytest.mark.parametrize("place", sorted({case[2] for case in (*WRONG, *DOUBTFUL)}, key=str), ids=str)
def test_a_problem_stands_beside_an_option_that_exists(place: Place) -> None:
    options = {option.id for option in catalogue.resource(place.resource).options}
    assert not place.option or place.option in options


RIGHT: list[tuple[str, Edit]] = [
    ("a CD without a medium", lambda domain: None),
    ("shared raw images", another_disk("/images/other.qcow2", shareable=True)),
    ("read-only images", another_disk("/images/other.qcow2", read_only=True)),
    ("an ISO twice", another_disk("/images/other.qcow2", "sdb", "sata", device="cdrom")),
    ("a good pin", pin(1, "0-7,^2")),
    ("enough pages", both(huge_pages(2048), _set("id", 3))),
    ("no topology", lambda domain: domain.cpu.remove()),
    ("a forward", both(another_nic(), forward(2222))),
    ("a bridge", another_nic(type="bridge", source_bridge="br0")),
    ("UEFI", _set("os.firmware", "efi")),
    ("virtiofs", both(folder, _set("memory_backing.access_mode", "shared"))),
    ("a card to pass on", host_device("pci", pci=(0, 1, 0, 0))),
]


@pytest.mark.parametrize("edit", [case[1] for case in RIGHT], ids=[case[0] for case in RIGHT])
def test_what_is_right_is_left_alone(edit: Edit) -> None:
    assert problems(edit) == []


def test_what_the_host_does_not_tell_is_not_held_against_a_vm() -> None:
    silent = facts(
        offers=(), cpu_models=(), networks=(), interfaces=(), filters=(), page_sizes=(), usb_devices=(), pci_devices=(),
        unknown=tuple((name, "?") for name in ("networks", "interfaces", "filters", "usb_devices", "pci_devices")),
    )  # fmt: skip
    edit = both(
        _set("devices.interfaces[0].filter_ref.filter", "gone"),
        another_nic(type="bridge", source_bridge="br9"),
        host_device("usb", vendor_id=1, product_id=2),
        host_device("pci", pci=(0, 9, 0, 0)),
        huge_pages(GIB_KIB),
        _set("cpu.model", "strange"),
    )
    assert list(rule_problems(edited(edit), silent)) == []


def test_no_uefi() -> None:
    (problem,) = problems(_set("os.firmware", "efi"), offers=(Offer("os/firmware", ("bios",)),))
    assert "UEFI is not available" in problem.message


def test_no_opengl() -> None:
    edit = both(_set("devices.videos[0].accel_3d", True), _set("devices.graphics[0].gl_enable", True))
    assert problems(edit) == []
    found = problems(edit, render_refusal="There is no /dev/dri.")
    assert {problem.place.resource for problem in found} == {"display", "video"}
    assert all("There is no /dev/dri." in problem.message for problem in found)


def test_no_tpm() -> None:
    edit = lambda domain: setattr(domain.devices.tpms.add(), "model", "tpm-crb")  # noqa: E731
    assert problems(edit) == []
    (problem,) = problems(edit, offers=(Offer("tpm", (), supported=False),))
    assert "swtpm" in problem.message


def test_a_bridge_that_is_down_comes_with_its_command() -> None:
    (problem,) = problems(another_nic(type="bridge", source_bridge="br1"))
    assert problem.command == "sudo ip link set dev br1 up"


def test_a_value_that_cannot_be_read_is_a_problem_and_hides_no_other() -> None:
    domain = edited(another_disk(""))
    domain.make().find("vcpu").text = "many"  # type: ignore[union-attr]
    places = {problem.place for problem in rule_problems(domain, facts())}
    assert {Place("xml"), Place("disk", "vdb", "source")} <= places


def test_a_session_has_its_own_words() -> None:
    session = replace(facts(), is_session=True)
    low = list(rule_problems(edited(both(another_nic(), forward(80))), session))
    assert ["below 1024" in problem.message for problem in low] == [True]
    gone = list(rule_problems(edited(_set("devices.interfaces[0].source_network", "gone")), session))
    assert ["choose user-mode" in problem.message for problem in gone] == [True]
