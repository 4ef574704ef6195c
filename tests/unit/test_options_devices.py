"""The pages of devices: every option can be set and taken back, every device added and removed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import libvirt
import pytest
from lxml import etree

from guivm.engine.options import display, network, peripherals, storage
from guivm.engine.options.option import (
    Choice,
    Custom,
    HostPath,
    Line,
    Number,
    Option,
    Resource,
    Secret,
    Situation,
    Size,
    Switch,
    Value,
)
from guivm.engine.xml.domain import DomainXml
from guivm.resources import resource_path
from tests.helpers import settings_domains as samples

RESOURCES: tuple[Resource[Any], ...] = (
    *storage.RESOURCES,
    *network.RESOURCES,
    *display.RESOURCES,
    *peripherals.RESOURCES,
)
OPTIONS = [(resource, option) for resource in RESOURCES for option in resource.options]
DEVICES = [resource for resource in RESOURCES if resource.add is not None]
_SCHEMA = Path("/usr/share/libvirt/schemas/domain.rng")

# What libvirt's schema wants; a text for each custom editor and for lines that are checked.
_TEXTS: dict[str, tuple[str, ...]] = {
    "disk.source": ("/images/z.qcow2", "/dev/vg/z", "volume:default/z.qcow2"),
    "cdrom.source": ("/iso/z.iso", "/dev/sr0"),
    "floppy.source": ("/images/z.img",),
    "nic.mode": ("user", "network:lab", "bridge:br1", "direct:eth1:private", "hostdev:0000:02:00.1", "none"),
    "nic.mac": ("52:54:00:12:34:56", "new"),
    "nic.port-forwards": ("tcp:127.0.0.1:2222:22,udp:0.0.0.0:5353:53",),
    "display.listen": ("none", "socket", "socket:/run/x.sock", "address:0.0.0.0", "network:default"),
    "display.password-expires": ("2031-04-09T15:51:00",),
    "hostdev-usb.device": ("0781:5581", "0781:5581@1.6", "@3.7"),
    "hostdev-pci.device": ("0000:02:00.1",),
    "hostdev-mdev.device": ("0b3b2c6e-9d1f-4b6a-8a43-3c2f3f0c7d21",),
    "filesystem.tag": ("data",),
    "smartcard.certificates": ("a,b,c",),
    "serial.port-number": ("4000",),
    "video.resolution": ("1920x1080",),
    "video.framebuffer": ("",),
    "console.port-number": ("4000",),
    "parallel.port-number": ("4000",),
}
# Newer than the schema of libvirt 9.0, so that only a newer host offers them.
_TOO_NEW = {"nvme", "itco", "igb"}


def _parse(xml: str) -> DomainXml:
    return DomainXml.parse(xml)


def _nodes(resource: Resource[Any], situation: Situation) -> list[Any]:
    return list(resource.nodes(situation.domain))


def _tidy(domain: DomainXml) -> bytes:
    copy = etree.fromstring(domain.to_text().encode())
    for element in copy.iter():
        element.tail = None
        if not (element.text or "").strip():
            element.text = None
    return etree.tostring(copy, method="c14n", with_comments=True)


@cache
def _schema() -> etree.RelaxNG | None:
    return etree.RelaxNG(etree.parse(_SCHEMA)) if _SCHEMA.exists() else None


def _assert_valid(domain: DomainXml) -> None:
    schema = _schema()
    if schema is not None:
        root = etree.fromstring(domain.to_text().encode())
        assert schema.validate(root), (schema.error_log.last_error, domain.to_text())


def _values(resource: Resource[Any], option: Option[Any], situation: Situation, node: Any) -> list[Value]:
    texts = _TEXTS.get(f"{resource.id}.{option.id}")
    if (resource.id, option.id) == ("disk", "source") and node.device == "lun":
        texts = ("/dev/vg/z",)
    match option.editor:
        case Switch():
            return [True, False]
        case Choice() as editor:
            found = [
                item.value for item in editor.items(situation, node) if item.value is not None and not item.refusal
            ]
            return [value for value in found if value not in _TOO_NEW]
        case Number() as number:
            return [max(number.minimum, 1), min(number.maximum, 8)]
        case Size() as size:
            return [max(size.minimum, 4096)]
        case HostPath():
            return ["/somewhere/file"]
        case Secret():
            return ["secret"]
        case Line() | Custom():
            return list(texts if texts is not None else ("text",))
        case _:
            raise AssertionError(option.editor)


def _usable(situation: Situation, option: Option[Any], node: Any) -> bool:
    is_shown = option.shown is None or option.shown(situation, node)
    return is_shown and not option.refusal(situation, node)


def _cases(option_resource: Resource[Any], option: Option[Any]) -> Iterator[tuple[str, int]]:
    """Domain and index of every device that shows the option."""
    for name, xml in samples.ALL.items():
        situation = samples.situation(xml)
        for index, node in enumerate(_nodes(option_resource, situation)):
            if _usable(situation, option, node):
                yield name, index


def _ids(value: Any) -> str:
    return value.id if isinstance(value, Resource | Option) else str(value)


# --- the declarations -------------------------------------------------------------------------------------


def test_ids_are_unique() -> None:
    assert len({resource.id for resource in RESOURCES}) == len(RESOURCES)
    for resource in RESOURCES:
        assert len({option.id for option in resource.options}) == len(resource.options), resource.id


@pytest.mark.parametrize("resource", RESOURCES, ids=_ids)
def test_a_page_has_its_icon_and_its_help(resource: Resource[Any]) -> None:
    assert b"currentColor" in resource_path(f"icons/{resource.icon}.svg").read_bytes()
    words = len(resource_path(f"help/{resource.help}.md").read_text(encoding="utf-8").split())
    assert 120 <= words <= 350, words


@pytest.mark.parametrize(("resource", "option"), OPTIONS, ids=_ids)
def test_an_option_is_explained(resource: Resource[Any], option: Option[Any]) -> None:
    assert option.label
    assert not option.label.endswith(".")
    assert option.help
    assert len(option.help) <= 280, len(option.help)
    assert option.help.strip() == option.help
    assert "  " not in option.help


@pytest.mark.parametrize("resource", RESOURCES, ids=_ids)
def test_each_device_has_a_name_a_summary_and_an_identity(resource: Resource[Any]) -> None:
    for xml in samples.ALL.values():
        for host in (samples.facts(), samples.bare_facts()):
            situation = samples.situation(xml, host)
            nodes = _nodes(resource, situation)
            before = _tidy(situation.domain)
            identities = [resource.identity(node) for node in nodes]
            named = [identity for identity in identities if identity]
            assert len(set(named)) == len(named)
            for node in nodes:
                assert resource.summary(situation, node)
                if resource.name is not None:
                    assert resource.name(node)
                for option in resource.options:
                    option.get(node)
                    option.refusal(situation, node)
                    if isinstance(option.editor, Choice):
                        for item in option.editor.items(situation, node):
                            assert item.label
                            assert item.refusal == "" or item.refusal.endswith(".")
            assert _tidy(situation.domain) == before, "reading changes nothing"


# --- options ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("resource", "option"), OPTIONS, ids=_ids)
def test_every_option_is_shown_somewhere(resource: Resource[Any], option: Option[Any]) -> None:
    hidden = {
        ("hostdev", "read-only"),
        ("hostdev", "shareable"),
        ("input", "source"),
        ("smartcard", "certificates"),
        ("tpm", "device"),
        ("tpm", "socket"),
        ("audio", "path"),
        ("audio", "server"),
        ("video", "render-node"),
        ("display", "encryption"),
        ("channel", "clipboard"),
        ("rng", "rate-period"),
        ("disk", "throttle-group"),
        ("filesystem", "cache"),
        ("filesystem", "extended-attributes"),
        ("nic", "inbound-peak"),
        ("nic", "inbound-burst"),
        ("nic", "outbound-peak"),
        ("nic", "outbound-burst"),
    }
    needs_another = (resource.id, option.id) in hidden or "burst" in option.id or option.id == "log-append"
    needs_another = needs_another or (resource.id in ("console", "parallel") and option.id != "type")
    assert needs_another or list(_cases(resource, option))


@pytest.mark.parametrize(("resource", "option"), OPTIONS, ids=_ids)
def test_what_is_set_is_read_back_valid_and_taken_back(resource: Resource[Any], option: Option[Any]) -> None:
    for name, index in _cases(resource, option):
        situation = samples.situation(samples.ALL[name])
        for value in _values(resource, option, situation, _nodes(resource, situation)[index]):
            situation = samples.situation(samples.ALL[name])
            node = _nodes(resource, situation)[index]
            was, before = option.get(node), _tidy(situation.domain)
            option.set(node, value)
            _assert_valid(situation.domain)
            moved = [each for each in resource.nodes(situation.domain) if each.find() is node.find()]
            assert moved, "a value does not move the device to another page"
            if value != "new":
                assert option.get(node) == value
            once = _tidy(situation.domain)
            option.set(node, option.get(node))
            assert _tidy(situation.domain) == once, "setting what is there changes nothing"
            if was in (None, False):
                option.set(node, None)
                _assert_valid(situation.domain)
                if option.get(node) == was and (resource.id, option.id) not in _SIDE_EFFECTS:
                    assert _tidy(situation.domain) == before, (value, situation.domain.to_text())


# Where the way there changes more than one field, so that the way back is not to where it was.
_SIDE_EFFECTS = {
    ("disk", "boot-order"),
    ("cdrom", "boot-order"),
    ("floppy", "boot-order"),
    ("nic", "boot-order"),
    ("display", "listen"),
    ("filesystem", "driver"),
    ("vsock", "cid"),
    ("display", "port"),
}


@pytest.mark.parametrize(("resource", "option"), OPTIONS, ids=_ids)
def test_an_option_touches_its_own_device(resource: Resource[Any], option: Option[Any]) -> None:
    elsewhere = {
        ("disk", "bus"),
        ("cdrom", "bus"),  # a controller for it
        ("nic", "port-forwards"),  # our metadata
        ("nic", "mac"),
        ("nic", "mode"),
        ("display", "type"),  # what needs SPICE
        ("video", "accel3d"),  # the display that draws
        ("video", "model"),
        ("filesystem", "driver"),  # shared memory
        ("controller", "model"),
    }
    moves_boot = option.id == "boot-order"
    if (resource.id, option.id) in elsewhere:
        return
    for name, index in _cases(resource, option):
        situation = samples.situation(samples.ALL[name])
        node = _nodes(resource, situation)[index]
        for value in _values(resource, option, situation, node):
            option.set(node, value)
        changed, fresh = situation.domain, _parse(samples.ALL[name])
        if moves_boot:
            for domain in (changed, fresh):
                domain.os.boot_devices.clear()
                for other in (*domain.devices.disks, *domain.devices.interfaces, *domain.devices.host_devices):
                    other.boot_order = None
        own = node.find()
        assert own is not None
        twin = _nodes(resource, Situation(situation.facts, fresh))[index].find()
        for element in (own, twin):
            parent = element.getparent()
            if parent is not None:
                parent.remove(element)
        assert _tidy(changed) == _tidy(fresh)


# --- devices ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def test_driver() -> Iterator[libvirt.virConnect]:
    connection = libvirt.open("test:///default")
    yield connection
    connection.close()


def _define(connection: libvirt.virConnect, domain: DomainXml) -> None:
    """libvirt's test driver accepts it, its schema included."""
    kind = domain.type
    domain.type = "test"
    flags = libvirt.VIR_DOMAIN_DEFINE_VALIDATE if _SCHEMA.exists() else 0
    defined = connection.defineXMLFlags(domain.to_text(), flags)
    defined.undefineFlags(0)
    domain.type = kind


@pytest.mark.parametrize("host", ["full", "bare"])
@pytest.mark.parametrize("name", samples.ALL)
@pytest.mark.parametrize("resource", DEVICES, ids=_ids)
def test_a_device_can_be_added_or_there_is_a_reason(
    resource: Resource[Any], name: str, host: str, test_driver: libvirt.virConnect
) -> None:
    assert resource.add is not None
    assert resource.remove is not None
    situation = samples.situation(samples.ALL[name], samples.facts() if host == "full" else samples.bare_facts())
    before = _tidy(situation.domain)
    for _ in range(3):
        refusal = "" if resource.add_refusal is None else resource.add_refusal(situation)
        assert _tidy(situation.domain) == before
        if refusal:
            assert refusal[0].isupper()
            assert refusal.endswith(".")
            return
        count = len(_nodes(resource, situation))
        node = resource.add(situation)
        nodes = _nodes(resource, situation)
        assert len(nodes) == count + 1 or resource.id == "controller"
        assert any(each.find() is node.find() for each in nodes)
        identities = [resource.identity(each) for each in nodes if resource.identity(each)]
        assert len(set(identities)) == len(identities)
        _assert_valid(situation.domain)
        _define(test_driver, situation.domain)
        before = _tidy(situation.domain)
    resource.remove(situation.domain, node)
    assert all(each.find() is not node.find() for each in _nodes(resource, situation))
    _assert_valid(situation.domain)


@pytest.mark.parametrize("resource", [each for each in RESOURCES if each.remove is not None], ids=_ids)
def test_every_device_can_be_removed(resource: Resource[Any]) -> None:
    assert resource.remove is not None
    situation = samples.situation(samples.RICH)
    while nodes := _nodes(resource, situation):
        resource.remove(situation.domain, nodes[-1])
        _assert_valid(situation.domain)
        assert len(_nodes(resource, situation)) < len(nodes)


def test_a_host_without_anything_says_why() -> None:
    none = samples.facts(usb_devices=(), pci_devices=(), mediated_devices=(), is_session=True)
    situation = samples.situation(samples.UEFI, none)
    refused = {resource.id for resource in DEVICES if resource.add_refusal and resource.add_refusal(situation)}
    assert {"hostdev-usb", "hostdev-pci", "hostdev-mdev", "redirdev"} <= refused
