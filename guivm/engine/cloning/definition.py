"""A clone's definition, made from its source's: what must be another VM's own becomes so, nothing else changes. Pure.

Format: https://libvirt.org/formatdomain.html. The images are put in place later
(:func:`guivm.engine.snapshots.definitions.with_files`).
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from guivm.engine.cloning import sysprep
from guivm.engine.options.devices import random_mac
from guivm.engine.options.port_forwards import read_forwards, rename_owner
from guivm.engine.xml.chardev import CharLine, CharSource
from guivm.engine.xml.disk import Disk
from guivm.engine.xml.document import Element
from guivm.engine.xml.domain import DomainXml
from guivm.engine.xml.graphics import Graphics
from guivm.engine.xml.interface import Interface
from guivm.errors import UnsupportedError

Port = tuple[str, int]
"""Protocol ("tcp", "udp") and port of the host."""

_LAST_PORT = 65_535
_WRITTEN_MEMORY = ("nvdimm", "virtio-pmem")


@dataclass(frozen=True, slots=True)
class NewVm:
    """What the clone shall be. ``drives``: targets of those of which it gets an image of its own.

    ``reset_identity``: it says that its identity is due. ``identity_why``: why its agent will not see to that; empty:
    it will. ``pull_links``: its cards are disconnected until then.
    """

    uuid: str
    name: str
    drives: frozenset[str]
    keep_macs: bool = False
    keep_serials: bool = False
    reset_identity: bool = False
    identity_why: str = ""
    pull_links: bool = False


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What others have, so that the clone takes something else.

    ``macs``: lower-case, of all VMs of all connected hosts. ``ports``: promised to VMs, whether they run or not.
    ``is_free``: whether a port (protocol, address, number) can be opened now. ``draw``: so many random bytes.
    """

    macs: frozenset[str]
    ports: frozenset[Port]
    is_free: Callable[[str, str, int], bool]
    draw: Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class CloneDefinition:
    """``remarks``: sentences on what a person would not expect."""

    xml: str
    remarks: tuple[str, ...]


def clone_definition(xml: str, new: NewVm, elsewhere: Elsewhere) -> CloneDefinition:
    """Raises XmlError, and UnsupportedError when the VM has something that two cannot have and that is not copied."""
    document = DomainXml.parse(xml)
    work = _Work(document, new, elsewhere, old_name=document.name or "")
    work.do()
    return CloneDefinition(document.to_text(), tuple(dict.fromkeys(work.remarks)))


def promised_ports(document: DomainXml) -> frozenset[Port]:
    """Ports of the host that lead into a VM when it runs: forwards and serial lines."""
    found: set[Port] = set()
    for nic in document.devices.interfaces:
        for forward in read_forwards(nic):
            found.update((forward.protocol, port) for port in range(forward.host_port, min(forward.last, 65535) + 1))
    for line in _lines(document):
        for source in line.sources:
            port = _bound_port(line, source)
            if port is not None:
                found.add(port)
    return frozenset(found)


def _lines(document: DomainXml) -> Iterator[CharLine]:
    devices = document.devices
    for listed in (devices.serials, devices.parallels, devices.consoles, devices.channels, devices.redirected_usbs):
        yield from listed
    yield from devices.smart_cards
    for rng in devices.rngs:
        if rng.backend_model == "egd":
            yield rng.backend


def _bound_port(line: CharLine, source: CharSource) -> Port | None:
    """The port that a line listens at."""
    if line.type not in ("tcp", "udp") or source.mode != "bind":
        return None
    text = (source.service or "").strip()
    return (line.type, int(text)) if text.isascii() and text.isdigit() and 0 < int(text) <= _LAST_PORT else None


class _Work:
    """The changes to one document."""

    def __init__(self, document: DomainXml, new: NewVm, elsewhere: Elsewhere, *, old_name: str) -> None:
        self.document = document
        self.new = new
        self.elsewhere = elsewhere
        self.old_name = old_name
        self.remarks: list[str] = []
        self._macs = set(elsewhere.macs)
        self._macs.update((nic.mac or "").lower() for nic in document.devices.interfaces)
        self._ports = set(elsewhere.ports | promised_ports(document))
        self._moved: dict[tuple[str, str, int], int] = {}

    def do(self) -> None:
        self._refuse()
        self._names()
        for disk in self.document.devices.disks:
            self._disk(disk)
        for nic in self.document.devices.interfaces:
            self._card(nic)
        for line in _lines(self.document):
            self._line(line)
        for display in self.document.devices.graphics:
            _let_libvirt_choose(display)
        self._rest()

    def _refuse(self) -> None:
        for memory in self.document.devices.memories:
            if memory.model in _WRITTEN_MEMORY and not memory.read_only:
                raise UnsupportedError(
                    "It has a memory device that is kept in a file of the host, which cannot be cloned.",
                    advice="Take that device out of the virtual machine first.",
                )

    def _names(self) -> None:
        document, new = self.document, self.new
        document.name, document.uuid = new.name, new.uuid
        document.id = None
        if document.genid is not None:
            document.genid = _uuid(self.elsewhere.draw)
        root = document.find()
        for entry in [] if root is None else root.findall("sysinfo/system/entry"):
            if entry.get("name") == "uuid":  # libvirt insists on it being the VM's
                entry.text = new.uuid

    # --- drives ---------------------------------------------------------------------------------------

    def _disk(self, disk: Disk) -> None:
        if self.new.keep_serials or disk.target_dev not in self.new.drives:
            return
        if disk.serial:
            length = min(max(len(disk.serial.strip()), 8), 20)  # virtio shows 20 bytes
            disk.serial = self.elsewhere.draw(10).hex()[:length].upper()
        if disk.wwn:
            disk.wwn = f"5{self.elsewhere.draw(8).hex()[1:]}"  # NAA 5, as QEMU's manual has it

    # --- network --------------------------------------------------------------------------------------

    def _card(self, nic: Interface) -> None:
        if self.new.keep_macs:
            if nic.mac:
                self.remarks.append(
                    "It has the network addresses (MAC) of its source: never run both in the same network."
                )
        elif nic.mac:
            rename_owner(nic, self._free_mac())
        if nic.target_dev is not None and nic.target_managed is not False:
            nic.target_dev = None
        if nic.virtual_port.exists and nic.virtual_port.interface_id is not None:
            nic.virtual_port.interface_id = None  # libvirt makes one
        if nic.backend_log_file:
            nic.backend_log_file = self._own_path(nic.backend_log_file)
        if nic.type == "vhostuser" and nic.source_node.mode == "server" and nic.source_node.path:
            nic.source_node.path = self._own_path(nic.source_node.path)
        if nic.type == "server" and nic.source_node.port:
            nic.source_node.port = self._free_port("tcp", nic.source_node.host or "127.0.0.1", nic.source_node.port)
        self._forwards(nic)

    def _free_mac(self) -> str:
        while True:
            mac = random_mac(self.elsewhere.draw)
            if mac not in self._macs:
                self._macs.add(mac)
                return mac

    def _forwards(self, nic: Interface) -> None:
        for forward in nic.port_forwards:  # of passt
            for ports in forward.ranges:
                if ports.start is None or ports.exclude:
                    continue
                count = max(ports.end or ports.start, ports.start) - ports.start + 1
                first = self._free_port(forward.protocol or "tcp", forward.address or "", ports.start, count)
                self._tell_port(ports.start, first, count)
                if ports.to is None:
                    ports.to = ports.start
                if ports.end is not None:
                    ports.end = first + count - 1
                ports.start = first
        mac = (nic.mac or "").lower()
        for kept in self.document.metadata.settings.port_forwards:
            if mac and (kept.mac or "").lower() == mac and kept.host_port is not None:
                first = self._free_port(kept.protocol or "tcp", kept.host_address or "127.0.0.1", kept.host_port)
                self._tell_port(kept.host_port, first)
                kept.host_port = first

    def _tell_port(self, old: int, new: int, count: int = 1) -> None:
        if new != old:
            was = str(old) if count == 1 else f"{old}-{old + count - 1}"
            now = str(new) if count == 1 else f"{new}-{new + count - 1}"
            self.remarks.append(f"Port {was} of this computer leads to its source; port {now} leads to the clone.")

    def _free_port(self, protocol: str, address: str, port: int, count: int = 1) -> int:
        """The first of ``count`` ports from ``port`` on that nobody has; the same again for the same."""
        mark = protocol, address, port
        if mark in self._moved:
            return self._moved[mark]
        bound = "0.0.0.0" if address in ("", "*") else address  # noqa: S104  (tried, and given back)
        first = port
        while first + count - 1 <= _LAST_PORT:
            for number in range(first + count - 1, first - 1, -1):
                if (protocol, number) in self._ports or not self.elsewhere.is_free(protocol, bound, number):
                    first = number + 1
                    break
            else:
                break
        else:
            self.remarks.append(f"No free port was found for port {port} of this computer: choose one yourself.")
            first = port
        self._ports.update((protocol, number) for number in range(first, first + count))
        self._moved[mark] = first
        return first

    # --- lines ----------------------------------------------------------------------------------------

    def _line(self, line: CharLine) -> None:
        if line.log_file:
            line.log_file = self._own_path(line.log_file)
        if line.type == "unix" and line.source_mode == "bind" and line.source_path:
            if _tag(line.find()) == "channel":
                line.source_path = None  # libvirt makes one of its own
            else:
                line.source_path = self._own_path(line.source_path)
        elif line.type == "file" and line.source_path:
            line.source_path = self._own_path(line.source_path)
        for source in line.sources:
            port = _bound_port(line, source)
            if port is not None:
                source.service = str(self._free_port(port[0], source.host or "127.0.0.1", port[1]))

    def _own_path(self, path: str) -> str:
        """A file of the clone's beside one of the source's; the same again for the same."""
        folder, name = posixpath.split(path)
        stem, extension = posixpath.splitext(name)
        word = _word(self.new.name)
        old = _word(self.old_name)
        stem = stem.replace(old, word) if old and old in stem and word != old else f"{stem}-{word}"
        return posixpath.join(folder, f"{stem}{extension}")

    # --- the rest -------------------------------------------------------------------------------------

    def _rest(self) -> None:
        devices = self.document.devices
        vsock = devices.vsock
        if vsock.exists and vsock.cid_auto is not True:
            vsock.cid_auto, vsock.cid = True, None
        for tpm in devices.tpms:
            if tpm.backend_type == "emulator" and tpm.source_path:
                where = tpm.find()
                found = None if where is None else where.find("backend/source")
                if found is not None:  # the state of the source's; libvirt has a place for each VM
                    parent = found.getparent()
                    assert parent is not None
                    parent.remove(found)
            elif tpm.backend_type in ("external", "passthrough"):
                self.remarks.append("It uses the same TPM as its source: only one of the two can run at a time.")
        if len(devices.host_devices) or any(nic.type == "hostdev" for nic in devices.interfaces):
            self.remarks.append(
                "It uses the same devices of the computer as its source: only one of the two can run at a time."
            )
        if any(not each.read_only for each in devices.filesystems):
            self.remarks.append("It shares the same folders of the computer as its source.")
        if self.document.qemu_command_line.exists:
            self.remarks.append("Its arguments for QEMU were taken over as they are: look whether both can have them.")
        sysprep.plug_all(self.document)  # of a source that waits for its own identity
        if self.new.reset_identity:
            sysprep.mark_due(
                self.document, self.new.name, pull_links=self.new.pull_links, by_hand=self.new.identity_why
            )


def _let_libvirt_choose(display: Graphics) -> None:
    """Ports and sockets of a display server, where they are fixed."""
    fixed = False
    for port in (display.port, display.tls_port):
        fixed |= port is not None and port > 0
    if fixed and display.autoport is not True:
        display.autoport = True
    if display.port is not None and display.port > 0:
        display.port = -1
    if display.tls_port is not None and display.tls_port > 0:
        display.tls_port = -1
    if display.websocket is not None and display.websocket > 0:
        display.websocket = -1
    display.socket = None
    for listen in display.listens:
        listen.socket = None


def _word(name: str) -> str:
    """A VM's name as a part of a file's name."""
    kept = "".join(c if c.isalnum() or c in "-_." else "_" for c in name).strip("._-")
    while len(kept.encode()) > 60:
        kept = kept[:-1]
    return kept or "clone"


def _tag(element: Element | None) -> str:
    return "" if element is None else str(element.tag)


def _uuid(draw: Callable[[int], bytes]) -> str:
    """A random UUID, version 4 (RFC 9562)."""
    raw = bytearray(draw(16))
    raw[6] = raw[6] & 0x0F | 0x40
    raw[8] = raw[8] & 0x3F | 0x80
    text = raw.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
