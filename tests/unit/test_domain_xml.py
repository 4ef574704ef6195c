"""The typed domain XML: what is written is read back, and nothing else changes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from guivm.engine.xml.chardev import Channel, Console, Serial
from guivm.engine.xml.disk import Disk
from guivm.engine.xml.document import MAX_CHARACTERS, XmlError
from guivm.engine.xml.domain import Devices, DomainXml
from guivm.engine.xml.graphics import Graphics
from guivm.engine.xml.interface import Interface
from guivm.engine.xml.node import XmlNode
from guivm.engine.xml.peripherals import (
    Controller,
    Filesystem,
    InputDevice,
    MemoryBalloon,
    Panic,
    RandomSource,
    Sound,
    Tpm,
    Watchdog,
)
from guivm.engine.xml.platform import (
    BootDevice,
    Clock,
    Cpu,
    CpuFeature,
    Features,
    FirmwareFeature,
    Os,
    PowerManagement,
    Timer,
    Vcpus,
)
from guivm.engine.xml.properties import INTEGER, TEXT, Flag, MemorySize, Property
from guivm.engine.xml.video import Video

_KINDS: tuple[type[XmlNode], ...] = (
    BootDevice,
    Channel,
    Clock,
    Console,
    Controller,
    Cpu,
    CpuFeature,
    Devices,
    Disk,
    DomainXml,
    Features,
    Filesystem,
    FirmwareFeature,
    Graphics,
    InputDevice,
    Interface,
    MemoryBalloon,
    Os,
    Panic,
    PowerManagement,
    RandomSource,
    Serial,
    Sound,
    Timer,
    Tpm,
    Vcpus,
    Video,
    Watchdog,
)


def _declared(kind: type[XmlNode]) -> Iterator[tuple[str, Property[Any] | Flag]]:
    for base in kind.__mro__:
        for name, value in vars(base).items():
            if isinstance(value, Property | Flag):
                yield name, value


# The maximum of vCPUs is the element's own text, which the surroundings below use already.
_PROPERTIES = [
    (kind, name, declared)
    for kind in _KINDS
    for name, declared in _declared(kind)
    if (kind, name) != (Vcpus, "maximum")
]
_TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="￾￿"), max_size=40)


def _values(declared: Property[Any] | Flag) -> st.SearchStrategy[Any]:
    if isinstance(declared, Flag):
        return st.just(True)
    if isinstance(declared, MemorySize):
        return st.integers(0, 1 << 50)
    if declared.codec is TEXT:
        return _TEXTS
    return st.integers(-1, 1 << 62) if declared.codec is INTEGER else st.booleans()


_SURROUNDINGS = """<!-- before -->
<x xmlns:q="http://libvirt.org/schemas/domain/qemu/1.0" unknown="1">
  <!-- inside -->
  <strange a="b">text<more/></strange>
  <q:commandline><q:arg value="-foo"/></q:commandline>
</x>"""


def _tidy(element: etree._Element) -> bytes:
    copy = etree.fromstring(etree.tostring(element.getroottree()))
    for node in copy.iter():
        node.tail = (node.tail or "").strip() or None
        node.text = (node.text or "").strip() or None
    return etree.tostring(copy.getroottree(), method="c14n", with_comments=True)


@given(st.sampled_from(_PROPERTIES), st.data())
def test_every_property_is_read_back_and_leaves_no_trace(
    declared: tuple[type[XmlNode], str, Property[Any] | Flag], data: st.DataObject
) -> None:
    kind, name, descriptor = declared
    value = data.draw(_values(descriptor))
    element = etree.fromstring(_SURROUNDINGS)
    node = kind(element)
    before = _tidy(element)
    assert getattr(node, name) is (False if isinstance(descriptor, Flag) else None)
    setattr(node, name, value)
    again = kind(etree.fromstring(etree.tostring(element.getroottree())))
    assert getattr(again, name) == value
    assert getattr(node, name) == value
    for survivor in (b"<!-- before -->", b"<!--inside-->", b'<strange a="b">text<more></more></strange>', b"q:arg"):
        assert survivor in _tidy(element)
    setattr(node, name, False if isinstance(descriptor, Flag) else None)
    assert _tidy(element) == before


def test_the_same_edit_twice_changes_nothing_more() -> None:
    element = etree.fromstring(_SURROUNDINGS)
    disk = Disk(element)
    disk.driver_type = "raw"
    once = etree.tostring(element)
    disk.driver_type = "raw"
    assert etree.tostring(element) == once


DOMAIN = """<domain type='kvm' id='3'>
  <name>old</name>
  <memory unit='GiB'>2</memory>
  <vcpu placement='static' current='1'>4</vcpu>
  <os>
    <type arch='x86_64' machine='pc-q35-7.2'>hvm</type>
    <boot dev='hd'/>
    <boot dev='cdrom'/>
  </os>
  <devices>
    <!-- the system -->
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2' queues='4'/>
      <source file='/a.qcow2' index='2'><reservations managed='no'/></source>
      <backingStore type='file'>
        <format type='raw'/>
        <source file='/base.raw'/>
      </backingStore>
      <target dev='vda' bus='virtio'/>
    </disk>
    <disk type='file' device='cdrom'>
      <target dev='sda' bus='sata'/>
      <readonly/>
    </disk>
    <graphics type='vnc'/>
  </devices>
</domain>"""


def test_a_libvirt_document_reads_as_it_says() -> None:
    domain = DomainXml.parse(DOMAIN)
    assert (domain.name, domain.type, domain.memory_kib) == ("old", "kvm", 2 * 1024 * 1024)
    assert (domain.vcpu.maximum, domain.vcpu.current) == (4, 1)
    assert [boot.dev for boot in domain.os.boot_devices] == ["hd", "cdrom"]
    system, drive = domain.devices.disks
    assert (system.path, system.driver_type, system.target_dev, system.read_only) == (
        "/a.qcow2",
        "qcow2",
        "vda",
        False,
    )
    assert (drive.path, drive.device, drive.read_only) == ("", "cdrom", True)
    assert domain.title is None
    assert not domain.devices.tpm.exists


def test_an_edit_touches_only_its_own_node() -> None:
    domain = DomainXml.parse(DOMAIN)
    domain.devices.disks[0].source_file = "/new.qcow2"
    assert domain.to_text() == DOMAIN.replace('"', "'").replace("/a.qcow2", "/new.qcow2").replace("'", '"')


def test_reading_alone_changes_nothing() -> None:
    domain = DomainXml.parse(DOMAIN)
    for kind, name, _ in _PROPERTIES:
        if kind is Os:
            getattr(domain.os, name)
        elif kind is Cpu:
            getattr(domain.cpu, name)
        elif kind is Disk:
            getattr(domain.devices.disks[0], name)
    assert domain.to_text() == DOMAIN.replace("'", '"')


def test_what_is_added_keeps_the_shape_of_the_text() -> None:
    domain = DomainXml.parse(DOMAIN)
    disk = domain.devices.disks.add()
    disk.target_dev = "vdb"
    lines = domain.to_text().splitlines()
    at = lines.index("    <disk>")
    assert lines[at - 1 : at + 4] == [
        "    </disk>",
        "    <disk>",
        '      <target dev="vdb"/>',
        "    </disk>",
        '    <graphics type="vnc"/>',
    ]
    domain.devices.disks.remove(disk)
    assert domain.to_text() == DOMAIN.replace("'", '"')


def test_a_node_of_another_document_cannot_be_removed() -> None:
    other = DomainXml.parse(DOMAIN).devices.disks[0]
    with pytest.raises(ValueError, match="not one of these"):
        DomainXml.parse(DOMAIN).devices.disks.remove(other)


def test_a_single_child_can_be_created_empty_and_removed() -> None:
    domain = DomainXml.parse(DOMAIN)
    domain.devices.tpm.create()
    assert domain.devices.tpm.exists
    domain.devices.tpm.remove()
    assert domain.to_text() == DOMAIN.replace("'", '"')


def test_vcpus_are_written_as_text_and_attribute() -> None:
    domain = DomainXml.new()
    domain.vcpu.maximum = 8
    domain.vcpu.current = 2
    assert '<vcpu current="2">8</vcpu>' in domain.to_text()
    domain.vcpu.current = None
    domain.vcpu.maximum = None
    assert domain.to_text() == "<domain/>"


@pytest.mark.parametrize(
    ("unit", "count", "kib"), [("b", 1025, 2), ("KB", 1000, 977), ("MiB", 3, 3072), ("T", 1, 1 << 30), ("KiB", 7, 7)]
)
def test_memory_is_read_in_every_unit(unit: str, count: int, kib: int) -> None:
    assert DomainXml.parse(f"<domain><memory unit='{unit}'>{count}</memory></domain>").memory_kib == kib


def test_a_value_of_the_wrong_type_is_an_error_not_a_guess() -> None:
    domain = DomainXml.parse("<domain><memory unit='furlong'>1</memory><vcpu>many</vcpu></domain>")
    with pytest.raises(XmlError):
        _ = domain.memory_kib
    with pytest.raises(XmlError):
        _ = domain.vcpu.maximum


def test_text_that_xml_cannot_hold_is_refused_before_anything_is_made() -> None:
    domain = DomainXml.new()
    with pytest.raises(XmlError):
        domain.os.kernel = "a\x00b"
    assert domain.to_text() == "<domain/>"


def test_mixed_text_survives_removal() -> None:
    domain = DomainXml.parse("<domain>a<name>n</name>b<uuid>u</uuid>c</domain>")
    domain.name = None
    domain.uuid = None
    assert domain.to_text() == "<domain>abc</domain>"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<domain",
        "<other/>",
        "<!DOCTYPE domain [<!ENTITY a 'b'>]><domain>&a;</domain>",
        "<!DOCTYPE domain SYSTEM 'file:///etc/passwd'><domain/>",
        "<domain>&undefined;</domain>",
        "<domain>" + "<a>" * 5000 + "</a>" * 5000 + "</domain>",
        "<domain>\ud800</domain>",
    ],
)
def test_unsafe_or_broken_xml_is_refused(text: str) -> None:
    with pytest.raises(XmlError):
        DomainXml.parse(text)


def test_a_document_too_long_is_refused() -> None:
    with pytest.raises(XmlError):
        DomainXml.parse("<domain>" + " " * MAX_CHARACTERS + "</domain>")


@given(st.text(max_size=200))
def test_any_text_is_parsed_or_refused_in_words(text: str) -> None:
    with contextlib.suppress(XmlError):
        DomainXml.parse("<domain>" + text + "</domain>")
