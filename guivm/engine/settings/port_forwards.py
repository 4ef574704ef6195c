"""Port forwards of user-mode networking by slirp: kept in guivm's metadata, made on the running VM. Worker only.

libvirt knows no forwards of slirp's, so they are QEMU's alone: the commands hostfwd_add and hostfwd_remove of its
human monitor (QEMU, hmp-commands.hx; answers in net/slirp.c). With passt libvirt itself makes them.
"""

from __future__ import annotations

import ipaddress
import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from guivm.engine.libvirt_errors import is_connection_lost, text_of
from guivm.engine.settings.documents import parsed
from guivm.engine.settings.live_step import WaitsError
from guivm.engine.xml.document import XmlError
from guivm.engine.xml.domain import DomainXml
from guivm.engine.xml.interface import Interface
from guivm.text import clean_line

if TYPE_CHECKING:
    import libvirt

_log = logging.getLogger(__name__)

DEFAULT_ADDRESS = "127.0.0.1"
_EVERYWHERE = ("*", "0.0.0.0")  # noqa: S104  (QEMU's words)
_HOST_FORWARD = re.compile(
    r"^ *(TCP|UDP)\[HOST_FORWARD\] +[0-9]{1,9} +([0-9.]{7,15}|\*) +([0-9]{1,5}) ", re.M | re.ASCII
)

_Port = tuple[str, str, int]  # protocol, address of the host (empty: all), port


@dataclass(frozen=True, slots=True)
class Forward:
    """A port of the host that leads into the guest behind the network card ``mac``."""

    mac: str
    protocol: str  # "tcp", "udp"
    host_address: str
    host_port: int
    guest_port: int

    @property
    def port(self) -> _Port:
        """What it occupies on the host."""
        return self.protocol, "" if self.host_address in _EVERYWHERE else self.host_address, self.host_port

    @property
    def words(self) -> str:
        return f"port forward {self.protocol} {self.host_address}:{self.host_port}"


def forwards_of(domain: DomainXml) -> tuple[Forward, ...]:
    """Those the metadata hold that are complete; the rest cannot be made. Raises XmlError."""
    found: list[Forward] = []
    for node in domain.metadata.settings.port_forwards:
        mac, protocol, host_port, guest_port = node.mac, node.protocol or "tcp", node.host_port, node.guest_port
        if not mac or host_port is None or guest_port is None or protocol not in ("tcp", "udp"):
            continue
        if not (0 < host_port < 65536 and 0 < guest_port < 65536):
            continue
        address = DEFAULT_ADDRESS if node.host_address is None else node.host_address
        if address and not _is_ipv4(address):
            continue
        found.append(Forward(mac.lower(), protocol, address, host_port, guest_port))
    return tuple(dict.fromkeys(found))


def uses_slirp(nic: Interface) -> bool:
    return nic.type == "user" and nic.backend_type in (None, "default")


def add(domain: libvirt.virDomain, live: DomainXml, forward: Forward) -> None:
    """Make one. Raises WaitsError when QEMU does not, in its words."""
    # slirp takes an empty guest address for that of its own DHCP server's first lease.
    rule = f"{forward.protocol}:{forward.host_address}:{forward.host_port}-:{forward.guest_port}"
    answer = _monitor(domain, f"hostfwd_add {_netdev(live, forward)} {rule}")
    if answer:  # silent when it worked
        raise WaitsError(
            f"QEMU could not open port {forward.host_port} of {forward.host_address or 'all addresses'}: "
            "something else may be using it.",
            details=answer,
        )


def remove(domain: libvirt.virDomain, live: DomainXml, forward: Forward) -> None:
    """Take one away. Raises WaitsError when QEMU does not know it."""
    rule = f"{forward.protocol}:{forward.host_address}:{forward.host_port}"
    answer = _monitor(domain, f"hostfwd_remove {_netdev(live, forward)} {rule}")
    # "host forwarding rule for tcp:127.0.0.1:2222 removed" or "… not found"
    if not answer.endswith("removed"):
        raise WaitsError("QEMU did not close the forwarded port.", details=answer)


def apply_after_start(domain: libvirt.virDomain) -> None:
    """Make all forwards of a VM that was just started. What fails is logged: the VM runs, only a port is missing."""
    import libvirt

    try:
        for error in make_missing(domain):
            _log.warning("“%s”: %s %s", clean_line(str(domain.name())), error, error.details)
    except libvirt.libvirtError as error:  # the connection may be lost, too: the start itself has succeeded
        _log.warning("The port forwards could not be made: %s", clean_line(text_of(error)))
    except (WaitsError, XmlError) as error:
        _log.warning("The port forwards could not be made: %s", error)


def make_missing(domain: libvirt.virDomain) -> tuple[WaitsError, ...]:
    """Make the forwards that a running VM's document has and its QEMU has not; what could not be made is answered.

    Raises libvirtError, XmlError, and WaitsError when QEMU does not answer at all.
    """
    text = str(domain.XMLDesc(0))
    if "portForward" not in text:
        return ()
    live = parsed(text)
    cards = {(nic.mac or "").lower() for nic in live.devices.interfaces if uses_slirp(nic)}
    wanted = [forward for forward in forwards_of(live) if forward.mac in cards]
    if not wanted:
        return ()
    there = open_ports(_ask(domain, "info usernet"))
    refused: dict[_Port, WaitsError] = {}
    for forward in wanted:
        if forward.port not in there:
            try:
                add(domain, live, forward)
            except WaitsError as error:
                refused[forward.port] = error
    if refused:  # somebody else who looks after the same VM may have been quicker
        there = open_ports(_ask(domain, "info usernet"))
    return tuple(error for port, error in refused.items() if port not in there)


def open_ports(answer: str) -> frozenset[_Port]:
    """Ports of the host that QEMU listens at for its guest: from "info usernet".

    Lines as "  TCP[HOST_FORWARD]  12  127.0.0.1  2222  10.0.2.15  22  0  0" with the file descriptor, the host's
    address and port, the guest's (libslirp, slirp_connection_info in src/misc.c); "*" is every address.
    """
    return frozenset(
        (match[1].lower(), "" if match[2] in _EVERYWHERE else match[2], int(match[3]))
        for match in _HOST_FORWARD.finditer(answer)
    )


def _netdev(live: DomainXml, forward: Forward) -> str:
    """QEMU's name of the card's network: "hostnet0" for libvirt's alias "net0" (src/qemu/qemu_command.c)."""
    for nic in live.devices.interfaces:
        if (nic.mac or "").lower() == forward.mac and nic.alias and uses_slirp(nic):
            if not all(c.isalnum() or c in "-_." for c in nic.alias):
                break
            return f"host{nic.alias}"
    raise WaitsError("The running virtual machine has no network card of user mode with this address.")


def _monitor(domain: libvirt.virDomain, command: str) -> str:
    return clean_line(_ask(domain, command).strip(), 500)


def _ask(domain: libvirt.virDomain, command: str) -> str:
    """What QEMU's human monitor says. Raises WaitsError; libvirtError when the connection is lost."""
    import libvirt
    import libvirt_qemu

    try:
        return str(libvirt_qemu.qemuMonitorCommand(domain, command, libvirt_qemu.VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP))
    except libvirt.libvirtError as error:
        if is_connection_lost(error):
            raise
        raise WaitsError("QEMU's monitor cannot be reached.", details=text_of(error)) from error


def _is_ipv4(address: str) -> bool:
    try:
        ipaddress.IPv4Address(address)
    except ValueError:
        return False
    return True
