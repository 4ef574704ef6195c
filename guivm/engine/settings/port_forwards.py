"""Port forwards of user-mode networking by slirp: kept in guivm's metadata, made on the running VM. Worker only.

libvirt knows no forwards of slirp's, so they are QEMU's alone: the commands hostfwd_add and hostfwd_remove of its
human monitor (QEMU, hmp-commands.hx; answers in net/slirp.c). With passt libvirt itself makes them.
"""

from __future__ import annotations

import ipaddress
import logging
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


@dataclass(frozen=True, slots=True)
class Forward:
    """A port of the host that leads into the guest behind the network card ``mac``."""

    mac: str
    protocol: str  # "tcp", "udp"
    host_address: str
    host_port: int
    guest_port: int

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
        text = str(domain.XMLDesc(0))
        if "portForward" not in text:
            return
        live = parsed(text)
        for forward in forwards_of(live):
            try:
                add(domain, live, forward)
            except WaitsError as error:
                _log.warning("“%s”: %s %s", clean_line(str(domain.name())), error, error.details)
    except libvirt.libvirtError as error:  # the connection may be lost, too: the start itself has succeeded
        _log.warning("The port forwards could not be made: %s", clean_line(text_of(error)))
    except XmlError as error:
        _log.warning("The port forwards could not be read: %s", error)


def _netdev(live: DomainXml, forward: Forward) -> str:
    """QEMU's name of the card's network: "hostnet0" for libvirt's alias "net0" (src/qemu/qemu_command.c)."""
    for nic in live.devices.interfaces:
        if (nic.mac or "").lower() == forward.mac and nic.alias and uses_slirp(nic):
            if not all(c.isalnum() or c in "-_." for c in nic.alias):
                break
            return f"host{nic.alias}"
    raise WaitsError("The running virtual machine has no network card of user mode with this address.")


def _monitor(domain: libvirt.virDomain, command: str) -> str:
    import libvirt
    import libvirt_qemu

    try:
        answer = libvirt_qemu.qemuMonitorCommand(domain, command, libvirt_qemu.VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP)
    except libvirt.libvirtError as error:
        if is_connection_lost(error):
            raise
        raise WaitsError("QEMU's monitor cannot be reached.", details=text_of(error)) from error
    return clean_line(str(answer).strip(), 500)


def _is_ipv4(address: str) -> bool:
    try:
        ipaddress.IPv4Address(address)
    except ValueError:
        return False
    return True
