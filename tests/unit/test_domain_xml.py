"""The typed domain XML: what is written is read back, and nothing else changes."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from guivm.engine.xml.codecs import HEX1, HEX2, HEX4, INTEGER, ON_OFF, TEXT, YES_NO
from guivm.engine.xml.disk import Disk
from guivm.engine.xml.document import MAX_CHARACTERS, XmlError
from guivm.engine.xml.domain import DomainXml
from guivm.engine.xml.fields import declared, fields
from guivm.engine.xml.node import XmlNode
from guivm.engine.xml.properties import Child, Children, Flag, Property, Size
from tests.helpers.xml_kinds import all_kinds

_DECLARED = [(kind, name, descriptor) for kind in all_kinds() for name, descriptor in declared(kind)]
_PROPERTIES = [
    (kind, name, descriptor) for kind, name, descriptor in _DECLARED if isinstance(descriptor, Property | Flag)
]
_NODES = [(kind, name, descriptor) for kind, name, descriptor in _DECLARED if isinstance(descriptor, Child | Children)]
# White space alone is no text of an element that is there for other things, as the one below.
_TEXTS = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff"), min_size=1, max_size=40
).filter(str.strip)


def _values(declared: Property[Any] | Flag) -> st.SearchStrategy[Any]:
    if isinstance(declared, Flag):
        return st.just(True)
    if isinstance(declared, Size) or declared.codec in (HEX1, HEX2, HEX4):
        return st.integers(0, 1 << 62)
    if declared.codec is TEXT:
        return _TEXTS
    if declared.codec is INTEGER:
        return st.integers(-1, 1 << 62)
    assert declared.codec in (YES_NO, ON_OFF), "a codec without values to test"
    return st.booleans()


_SURROUNDINGS = """<!-- before -->
<x xmlns:q="http://example.org/foreign" unknown="1">
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


_SURVIVORS = (b"<!-- before -->", b"<!--inside-->", b'<strange a="b">text<more></more></strange>', b"q:arg")


@pytest.mark.parametrize(
    ("kind", "name", "descriptor"), _PROPERTIES, ids=[f"{k.__name__}.{n}" for k, n, _ in _PROPERTIES]
)
@given(st.data())
@settings(max_examples=10)
def test_every_property_is_read_back_and_leaves_no_trace(
    kind: type[XmlNode], name: str, descriptor: Property[Any] | Flag, data: st.DataObject
) -> None:
    value = data.draw(_values(descriptor))
    element = etree.fromstring(_SURROUNDINGS)
    node = kind(element)
    before = _tidy(element)
    assert getattr(node, name) is (False if isinstance(descriptor, Flag) else None)
    setattr(node, name, value)
    again = kind(etree.fromstring(etree.tostring(element.getroottree())))
    assert getattr(again, name) == value
    assert getattr(node, name) == value
    for survivor in _SURVIVORS:
        assert survivor in _tidy(element)
    setattr(node, name, False if isinstance(descriptor, Flag) else None)
    for inside, flag in declared(kind):  # an attribute of <apic/> brings <apic/>, which means something by itself
        if isinstance(flag, Flag) and descriptor.path.startswith(f"{flag.path}/"):
            assert getattr(node, inside) is True
            setattr(node, inside, False)
    assert _tidy(element) == before


@pytest.mark.parametrize(("kind", "name", "descriptor"), _NODES, ids=[f"{k.__name__}.{n}" for k, n, _ in _NODES])
def test_every_child_is_made_found_and_removed(
    kind: type[XmlNode], name: str, descriptor: Child[Any] | Children[Any]
) -> None:
    element = etree.fromstring(_SURROUNDINGS)
    node = kind(element)
    before = _tidy(element)
    child = getattr(node, name)
    if isinstance(descriptor, Child):
        assert not child.exists
        child.create()
        assert getattr(node, name).exists
        child.remove()
    else:
        assert len(child) == 0
        first, second = child.add(), child.add()
        assert [item.find() for item in getattr(node, name)] == [first.find(), second.find()]
        child.remove(first)
        assert [item.find() for item in child] == [second.find()]
        child.clear()
        assert len(child) == 0
    for survivor in _SURVIVORS:
        assert survivor in _tidy(element)
    for inside, flag in declared(kind):
        if isinstance(flag, Flag) and descriptor.path.startswith(f"{flag.path}/"):
            setattr(node, inside, False)
    assert _tidy(element) == before


def test_elements_that_are_flags_last_in_classes_that_inherit_them() -> None:
    for kind in all_kinds():
        assert {flag.path for _, flag in declared(kind) if isinstance(flag, Flag)} <= kind.lasting


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
    assert {field.where: field.value for field in fields(domain) if field.value not in (None, False)} == {
        "type": "kvm",
        "id": 3,
        "name": "old",
        "memory_kib": 2097152,
        "vcpu.maximum": 4,
        "vcpu.current": 1,
        "vcpu.placement": "static",
        "os.type": "hvm",
        "os.arch": "x86_64",
        "os.machine": "pc-q35-7.2",
        "os.boot_devices[0].dev": "hd",
        "os.boot_devices[1].dev": "cdrom",
        **{f"devices.disks[0].{name}": value for name, value in _SYSTEM_DISK.items()},
        "devices.disks[1].type": "file",
        "devices.disks[1].device": "cdrom",
        "devices.disks[1].target_dev": "sda",
        "devices.disks[1].target_bus": "sata",
        "devices.disks[1].read_only": True,
        "devices.graphics[0].type": "vnc",
    }
    assert domain.to_text() == DOMAIN.replace("'", '"')


_SYSTEM_DISK = {
    "type": "file",
    "device": "disk",
    "driver_name": "qemu",
    "driver_type": "qcow2",
    "queues": 4,
    "source.file": "/a.qcow2",
    "source.index": 2,
    "source_file": "/a.qcow2",
    "backing_store.type": "file",
    "backing_store.format": "raw",
    "backing_store.source.file": "/base.raw",
    "target_dev": "vda",
    "target_bus": "virtio",
}


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


def test_an_unset_value_can_be_unset_without_a_trace() -> None:
    text = "<domain><pm/><vcpu/><memory/></domain>"
    domain = DomainXml.parse(text)
    domain.pm.suspend_to_disk = None
    domain.vcpu.current = None
    domain.memory_dump_core = None
    assert domain.to_text() == text


def test_an_edit_leaves_the_other_attributes_of_its_element() -> None:
    domain = DomainXml.parse("<domain><os><loader type='pflash' secure='yes'>/f</loader></os></domain>")
    domain.os.loader = None
    assert domain.os.loader is None
    assert (domain.os.loader_type, domain.os.loader_secure) == ("pflash", True)
    domain.os.loader_type = None
    domain.os.loader_secure = None
    assert domain.to_text() == "<domain/>"


def test_a_switch_without_a_word_is_on() -> None:
    domain = DomainXml.parse("<domain><features><pmu/></features></domain>")
    assert domain.features.pmu is True
    domain.features.pmu = None
    assert domain.to_text() == "<domain/>"


def test_an_element_that_means_something_by_itself_stays() -> None:
    domain = DomainXml.parse("<domain><features><apic eoi='on'/></features></domain>")
    domain.features.apic_eoi = None
    assert domain.features.apic
    domain.memory_backing.huge_page_sizes.add().size_kib = 2048
    domain.memory_backing.huge_page_sizes.clear()
    assert domain.memory_backing.huge_pages


def test_a_comment_inside_a_value_does_not_hide_it() -> None:
    domain = DomainXml.parse("<domain><name><!-- old: x -->vm</name></domain>")
    assert domain.name == "vm"
    domain.name = "new"
    assert domain.name == "new"
    assert "<!-- old: x -->" in domain.to_text()


def test_the_parts_of_a_usb_device_are_written_in_the_order_of_the_schema() -> None:
    source = DomainXml.new().devices.host_devices.add().source
    source.address.bus = 1
    source.product_id = 0x5678
    source.vendor_id = 0x1234
    element = source.make()
    assert [child.tag for child in element] == ["vendor", "product", "address"]
    assert etree.tostring(element).decode().split("\n")[1].strip() == '<vendor id="0x1234"/>'


def test_a_pci_address_in_words() -> None:
    domain = DomainXml.new()
    address = domain.devices.host_devices.add().source.address
    assert address.pci == ""
    address.set_pci(0, 0x5E, 0x1F, 2)
    assert address.pci == "0000:5e:1f.2"
    assert '<address domain="0x0000" bus="0x5e" slot="0x1f" function="0x2"/>' in domain.to_text()


def test_our_settings_live_beside_those_of_others() -> None:
    text = """<domain>
  <metadata>
    <app:info xmlns:app="http://example.org/app"><app:x/></app:info>
  </metadata>
</domain>"""
    domain = DomainXml.parse(text)
    forward = domain.metadata.settings.port_forwards.add()
    forward.mac, forward.protocol, forward.host_port, forward.guest_port = "52:54:00:00:00:01", "tcp", 2222, 22
    written = domain.to_text()
    assert written.splitlines()[3:6] == [
        '    <guivm:settings xmlns:guivm="https://guivm.org/xmlns/domain/1">',
        '      <guivm:portForward mac="52:54:00:00:00:01" protocol="tcp" hostPort="2222" guestPort="22"/>',
        "    </guivm:settings>",
    ]
    again = DomainXml.parse(written.replace("guivm:", "g:").replace("xmlns:guivm", "xmlns:g"))
    assert [item.host_port for item in again.metadata.settings.port_forwards] == [2222]
    domain.metadata.settings.port_forwards.clear()
    assert domain.to_text() == text


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
        "\ufeff<?a?>\n<!-- c --> <!DOCTYPE domain><domain/>",
        "<?xml version='1.0'?><!DOCTYPE domain [<!ENTITY a 'b'>]><domain a='&a;'/>",
        "<domain><!DOCTYPE domain></domain>",
        "<!-- never closed <!DOCTYPE domain><domain/>",
    ],
)
def test_unsafe_or_broken_xml_is_refused(text: str) -> None:
    with pytest.raises(XmlError):
        DomainXml.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "<!-- <!DOCTYPE domain> --><domain/>",
        "<?note <!DOCTYPE domain> ?><domain/>",
        "<domain><!-- <!ENTITY a 'b'> --><description><![CDATA[<!DOCTYPE html>]]></description></domain>",
        "<domain a='!DOCTYPE'/>",
        "<domain/><!-- <!DOCTYPE domain> -->",
    ],
)
def test_the_words_of_a_document_type_do_no_harm(text: str) -> None:
    assert "DOCTYPE" in DomainXml.parse(text).to_text()


def test_a_document_too_long_is_refused() -> None:
    with pytest.raises(XmlError):
        DomainXml.parse("<domain>" + " " * MAX_CHARACTERS + "</domain>")


@given(st.text(max_size=200))
def test_any_text_is_parsed_or_refused_in_words(text: str) -> None:
    with contextlib.suppress(XmlError):
        DomainXml.parse("<domain>" + text + "</domain>")
