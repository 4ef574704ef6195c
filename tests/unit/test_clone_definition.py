"""The definition of a clone: what must be its own is, and nothing else of the document is touched."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some
from lxml import etree

from guivm.engine.cloning.definition import CloneDefinition, Elsewhere, NewVm, clone_definition, promised_ports
from guivm.engine.xml.document import decode_xml, is_element, parse_xml, to_text
from guivm.engine.xml.domain import DomainXml
from guivm.errors import UnsupportedError

UUID = "11111111-2222-4333-8444-555555555555"
OLD = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
CORPUS = sorted((Path(__file__).parent.parent / "data" / "xml").glob("domain*.xml"))

# What a clone may have changed, as paths of elements and attributes.
_MAY_CHANGE = (
    r"/domain/(name|uuid|genid)",
    r"/domain@id",
    r"/domain/sysinfo/system/entry",
    r"/domain/metadata/.*(portForward@(mac|hostPort)|identity.*)",
    r"/domain/devices/disk/(serial|wwn)",
    r"/domain/devices/interface/mac@address",
    r"/domain/devices/interface/target(@dev)?",
    r"/domain/devices/interface/virtualport/parameters(@interfaceid)?",
    r"/domain/devices/interface/backend@logFile",
    r"/domain/devices/interface/source@(port|path)",
    r"/domain/devices/interface/portForward/range@(start|end|to)",
    r"/domain/devices/(serial|parallel|console|redirdev|smartcard|channel)/(log@file|source(@(path|service))?)",
    r"/domain/devices/rng/backend/source@service",
    r"/domain/devices/graphics@(port|tlsPort|websocket|autoport|socket)",
    r"/domain/devices/graphics/listen@socket",
    r"/domain/devices/vsock/cid@(auto|address)",
    r"/domain/devices/tpm/backend/source(@.*)?",
)
_ALLOWED = re.compile("|".join(f"(?:{each})" for each in _MAY_CHANGE))

_FRAGMENTS = (
    "<interface type='user'><mac address='52:54:00:00:00:0{n}'/><model type='virtio'/></interface>",
    "<interface type='user'><mac address='52:54:00:00:01:0{n}'/><backend type='passt' logFile='/log/passt{n}.log'/>"
    "<portForward proto='tcp'><range start='80{n}0' end='80{n}4'/><range start='90{n}0' exclude='yes'/></portForward>"
    "</interface>",
    "<interface type='bridge'><mac address='52:54:00:00:02:0{n}'/><source bridge='br0'/><target dev='tap{n}'/>"
    "<virtualport type='openvswitch'><parameters interfaceid='" + OLD + "' profileid='p'/></virtualport></interface>",
    "<interface type='ethernet'><mac address='52:54:00:00:03:0{n}'/><target dev='own{n}' managed='no'/></interface>",
    "<serial type='pty'><target port='{n}'/></serial>",
    "<serial type='file'><source path='/log/source-{n}.log' append='on'/><target port='{n}'/></serial>",
    "<serial type='tcp'><source mode='bind' host='127.0.0.1' service='45{n}0'/><protocol type='raw'/>"
    "<log file='/log/tty{n}' append='off'/><target port='{n}'/></serial>"
    "<console type='tcp'><source mode='bind' host='127.0.0.1' service='45{n}0'/><protocol type='raw'/>"
    "<target type='serial' port='{n}'/></console>",
    "<serial type='unix'><source mode='connect' path='/run/theirs{n}'/><target port='{n}'/></serial>",
    "<channel type='unix'><source mode='bind' path='/run/agent{n}'/><target type='virtio' name='org.{n}'/></channel>",
    "<graphics type='vnc' port='590{n}' autoport='no' websocket='570{n}'><listen type='address'/></graphics>",
    "<graphics type='spice' autoport='yes'><listen type='address'/><image compression='off'/></graphics>",
    "<graphics type='vnc' socket='/run/vnc{n}'><listen type='socket' socket='/run/vnc{n}'/></graphics>",
    "<disk type='file' device='disk'><driver name='qemu' type='qcow2' cache='none'/><source file='/i/{n}'/>"
    "<target dev='vd{c}' bus='virtio'/><serial>S{n}</serial><wwn>5000c500155567{n}1</wwn></disk>",
    "<disk type='file' device='cdrom'><source file='/i/{n}.iso'/><target dev='sd{c}' bus='sata'/><readonly/>"
    "<serial>CD{n}</serial></disk>",
    "<vsock model='virtio'><cid auto='no' address='{n}9'/></vsock>",
    "<!-- a comment {n} --><sound model='ich9'/><unknown what='{n}'>text</unknown>",
    "<tpm model='tpm-crb'><backend type='emulator' version='2.0'><source type='dir' path='/t/{n}'/></backend></tpm>",
)


def domain(picks: list[int]) -> str:
    """A domain with a device of each kind picked."""
    devices = "\n".join(
        _FRAGMENTS[pick].replace("{n}", str(n)).replace("{c}", "abcdefgh"[n]) for n, pick in enumerate(picks)
    )
    return f"""<domain type='kvm' id='7'><name>source</name><uuid>{OLD}</uuid><genid>{OLD}</genid>
<title>Title</title><metadata><x:keep xmlns:x='urn:example'><x:a b='c'/></x:keep>
<guivm:settings xmlns:guivm='https://guivm.org/xmlns/domain/1'>
<guivm:portForward mac='52:54:00:00:00:00' protocol='tcp' hostPort='2222' guestPort='22'/>
<guivm:portForward mac='52:54:00:ff:ff:ff' protocol='udp' hostPort='2222' guestPort='53'/></guivm:settings></metadata>
<sysinfo type='smbios'><system><entry name='serial'>x</entry><entry name='uuid'>{OLD}</entry></system></sysinfo>
<os><type>hvm</type></os><devices>{devices}</devices></domain>"""


def elsewhere(
    seed: int = 1, macs: frozenset[str] = frozenset(), ports: frozenset[tuple[str, int]] = frozenset()
) -> Elsewhere:
    source = random.Random(seed)
    return Elsewhere(macs, ports, lambda _protocol, _address, _number: True, source.randbytes)


def make(xml: str, others: Elsewhere | None = None, **wishes: Any) -> CloneDefinition:
    drives = frozenset(
        str(d.target_dev) for d in DomainXml.parse(xml).devices.disks if d.device == "disk" and not d.read_only
    )
    return clone_definition(xml, NewVm(UUID, "copy", drives, **wishes), others or elsewhere())


def values(node: etree._Element, path: str = "") -> Iterator[tuple[str, str, str]]:
    """Every element, attribute and text: its path, where it stands among its like, and its value."""
    before: Counter[str] = Counter()
    for child in node:
        name = etree.QName(child).localname if is_element(child) else "comment"
        below, place = f"{path}/{name}", str(before[name])
        before[name] += 1
        if name == "comment":
            yield below, place, str(child.text)
            continue
        yield from _own(child, below, place)
        yield from ((p, f"{place}.{w}", v) for p, w, v in values(child, below))


def _own(node: etree._Element, path: str, place: str) -> Iterator[tuple[str, str, str]]:
    yield path, place, (node.text or "").strip()
    for name, value in node.attrib.items():
        yield f"{path}@{etree.QName(name).localname}", place, str(value)


def document(xml: str) -> set[tuple[str, str, str]]:
    root = parse_xml(xml)
    return {*_own(root, "/domain", ""), *values(root, "/domain")}


def changed_paths(before: str, after: str) -> set[str]:
    return {path for path, _, _ in document(before) ^ document(after)}


picks = some.lists(some.integers(0, len(_FRAGMENTS) - 1), max_size=8)


@given(picks, some.booleans(), some.booleans(), some.booleans())
def test_nothing_else_changes(chosen: list[int], macs: bool, serials: bool, identity: bool) -> None:
    xml = domain(chosen)
    made = make(xml, keep_macs=macs, keep_serials=serials, reset_identity=identity)
    assert {path for path in changed_paths(xml, made.xml) if not _ALLOWED.fullmatch(path)} == set()
    assert OLD not in made.xml
    assert DomainXml.parse(made.xml).to_text() == made.xml


@given(picks)
def test_two_clones_and_their_source_share_nothing(chosen: list[int]) -> None:
    source = DomainXml.parse(domain(chosen))
    seen_macs: set[str] = {str(nic.mac).lower() for nic in source.devices.interfaces}
    seen_ports = set(promised_ports(source))
    for seed in (1, 1):  # the same random numbers twice
        others = elsewhere(seed, frozenset(seen_macs), frozenset(seen_ports))
        made = DomainXml.parse(make(domain(chosen), others).xml)
        macs = [str(nic.mac).lower() for nic in made.devices.interfaces]
        ports = promised_ports(made)
        assert len(macs) == len(set(macs))
        assert not seen_macs & set(macs)
        assert not seen_ports & ports
        seen_macs |= set(macs)
        seen_ports |= ports
        assert not {d.serial for d in made.devices.disks if d.device == "disk"} & {
            d.serial for d in source.devices.disks if d.device == "disk"
        }


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_definitions_from_elsewhere_stay_what_they_are(path: Path) -> None:
    xml = to_text(parse_xml(decode_xml(path.read_bytes())))
    made = make(xml)
    assert {p for p in changed_paths(xml, made.xml) if not _ALLOWED.fullmatch(p)} == set()


def test_forwards_follow_their_card_to_free_ports() -> None:
    made = make(domain([0]), elsewhere(ports=frozenset({("tcp", 2223)})))
    document = DomainXml.parse(made.xml)
    kept = list(document.metadata.settings.port_forwards)
    assert (kept[0].mac, kept[0].host_port, kept[0].guest_port) == (document.devices.interfaces[0].mac, 2224, 22)
    assert (kept[1].mac, kept[1].host_port) == ("52:54:00:ff:ff:ff", 2222), "of no card: nobody's"
    assert made.remarks == ("Port 2222 of this computer leads to its source; port 2224 leads to the clone.",)


def test_a_range_of_ports_moves_as_a_whole() -> None:
    made = DomainXml.parse(make(domain([1])).xml)
    first = made.devices.interfaces[0].port_forwards[0].ranges[0]
    assert (first.start, first.end, first.to) == (8005, 8009, 8000)


def test_a_console_is_still_its_serial_line() -> None:
    made = DomainXml.parse(make(domain([6])).xml)
    serial, console = made.devices.serials[0], made.devices.consoles[0]
    assert serial.source.service == console.source.service == "4501"
    assert serial.log_file == "/log/tty0-copy"


def test_files_of_lines_get_the_new_name() -> None:
    assert DomainXml.parse(make(domain([5])).xml).devices.serials[0].source_path == "/log/copy-0.log"


def test_kept_macs_are_warned_of() -> None:
    made = make(domain([0]), keep_macs=True)
    assert DomainXml.parse(made.xml).devices.interfaces[0].mac == "52:54:00:00:00:00"
    assert any("MAC" in remark for remark in made.remarks)


def test_memory_kept_in_a_file_cannot_be_shared() -> None:
    module = (
        "<memory model='nvdimm'><source><path>/m</path></source><target><size unit='MiB'>64</size></target></memory>"
    )
    xml = domain([]).replace("<devices>", f"<devices>{module}")
    with pytest.raises(UnsupportedError):
        make(xml)
