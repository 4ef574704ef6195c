"""What a host says of its networks, of who uses them, and of the addresses around them. Worker only."""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from guivm.engine import hosts
from guivm.engine.context import HandlerContext
from guivm.engine.libvirt_errors import code_of, is_connection_lost, is_unsupported, text_of
from guivm.engine.networks import host_addresses
from guivm.engine.networks.definition import interface_text, mode_of
from guivm.engine.networks.rules import Address, Interface, Surroundings, TakenSubnet
from guivm.engine.networks.values import NetworkUser, VirtualNetwork
from guivm.engine.settings.facts import is_session
from guivm.engine.settings.host_devices import local_interfaces
from guivm.engine.xml.document import Element, XmlError, parse_xml
from guivm.engine.xml.network import NetworkXml
from guivm.errors import NetworkNotFoundError, OperationError, UnsupportedError
from guivm.text import clean_line

if TYPE_CHECKING:
    import libvirt

NIC_LIMIT = 1000
"""Of more cards than this in one VM the rest is not looked at."""

_SYSTEM = "Connect to “This computer (system)” for networks of your own."


def refusal_of(context: HandlerContext) -> str:
    """Why no network can be made on a host; empty when one can."""
    if hosts.is_embed(context.host.uri):
        return (
            "The built-in engine has no virtual networks. Guests reach the network in user mode (NAT) without one. "
            + _SYSTEM
        )
    if is_session(context):
        return (
            "Virtual networks need an administrator's rights, which your own engine (session) does not have. Guests "
            "reach the network in user mode (NAT) without one. " + _SYSTEM
        )
    return ""


def all_networks(context: HandlerContext) -> list[libvirt.virNetwork]:
    """Raises UnsupportedError where there are none, and OperationError where the service for them is missing."""
    import libvirt

    try:
        return list(context.connection.listAllNetworks(0))
    except libvirt.libvirtError as error:
        if is_connection_lost(error):
            raise
        if is_unsupported(error) or code_of(error) == libvirt.VIR_ERR_NO_CONNECT:
            words = refusal_of(context) or "This host has no virtual networks."
            raise UnsupportedError(words, details=text_of(error)) from error
        if "virtnetworkd" in text_of(error):
            raise OperationError(
                "The host's service for networks does not run.",
                advice="Install libvirt-daemon-driver-network there, or start virtnetworkd.socket.",
                details=text_of(error),
            ) from error
        raise


def look_up(context: HandlerContext, uuid: str) -> libvirt.virNetwork:
    """Raises NetworkNotFoundError."""
    import libvirt

    try:
        return context.connection.networkLookupByUUIDString(uuid)
    except libvirt.libvirtError as error:
        if code_of(error) in (libvirt.VIR_ERR_NO_NETWORK, libvirt.VIR_ERR_INVALID_ARG):
            raise NetworkNotFoundError("The network is not there any more.", details=text_of(error)) from error
        raise


def definition_text(network: libvirt.virNetwork) -> str:
    """What is in force at its next start; of a network that only runs, what runs. Raises libvirtError."""
    import libvirt

    if network.isPersistent():
        try:
            return str(network.XMLDesc(libvirt.VIR_NETWORK_XML_INACTIVE))
        except libvirt.libvirtError as error:
            if not is_unsupported(error):
                raise
    return str(network.XMLDesc(0))


def describe(
    context: HandlerContext, network: libvirt.virNetwork, users: dict[str, tuple[NetworkUser, ...]]
) -> VirtualNetwork:
    """One line of the list. Raises libvirtError, XmlError."""
    xml = NetworkXml.parse(str(network.XMLDesc(0)))
    name = str(network.name())
    persistent = bool(network.isPersistent())
    return VirtualNetwork(
        host=context.host.id,
        uuid=str(network.UUIDString()),
        name=clean_line(name),
        mode=mode_of(xml),
        forward=clean_line(xml.forward.mode or "nat", 40) if xml.forward.exists else "",
        is_active=bool(network.isActive()),
        autostart=persistent and bool(network.autostart()),
        persistent=persistent,
        bridge=clean_line(xml.bridge or "", 60),
        addresses=tuple(interface_text(ip) for ip in xml.ips),
        has_dhcp=any(len(ip.dhcp_ranges) or len(ip.dhcp_hosts) for ip in xml.ips),
        users=users.get(name, ()),
    )


# --- who uses them ----------------------------------------------------------------------------------------


def cards(context: HandlerContext) -> Iterator[tuple[NetworkUser, str, str]]:
    """Every card of every VM: whose, its network ("" on none) and its MAC address. Raises libvirtError."""
    import libvirt

    for domain in context.connection.listAllDomains(0):
        context.job.check_cancelled()
        try:
            active, persistent = bool(domain.isActive()), bool(domain.isPersistent())
            texts = [str(domain.XMLDesc(0))]
            if active and persistent:
                texts.append(str(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)))
        except libvirt.libvirtError as error:
            if is_connection_lost(error):
                raise
            continue  # removed meanwhile
        user = NetworkUser(clean_line(str(domain.name())), str(domain.UUIDString()), active)
        seen: dict[tuple[str, str], None] = {}
        for text in texts:
            with contextlib.suppress(XmlError):
                seen.update(dict.fromkeys(_cards_of(parse_xml(text, "domain"))))
        for network, mac in seen:
            yield user, network, mac


def _cards_of(root: Element) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for nic in root.iterfind("devices/interface"):
        if len(found) >= NIC_LIMIT:
            break
        source, mac = nic.find("source"), nic.find("mac")
        network = "" if source is None or nic.get("type") != "network" else source.get("network", "")
        found.append((network, "" if mac is None else mac.get("address", "").lower()))
    return found


def users_of_networks(context: HandlerContext) -> dict[str, tuple[NetworkUser, ...]]:
    """Network → its VMs by name."""
    found: dict[str, dict[str, NetworkUser]] = {}
    for user, network, _mac in cards(context):
        if network:
            found.setdefault(network, {})[user.uuid] = user
    return {
        network: tuple(sorted(users.values(), key=lambda user: user.name.casefold()))
        for network, users in found.items()
    }


# --- what is around ---------------------------------------------------------------------------------------


def surroundings(context: HandlerContext, *, but: str = "") -> Surroundings:
    """Everything a network must get along with, the network with the UUID ``but`` left out. Raises libvirtError."""
    names: list[str] = []
    bridges: dict[str, str] = {}
    subnets: list[TakenSubnet] = []
    own_bridges: set[str] = set()
    theirs: list[Interface] = []
    for network in all_networks(context):
        is_own = str(network.UUIDString()) == but
        name = str(network.name())
        if not is_own:
            names.append(name)
        for document in _documents(network):
            owner = f"the network “{clean_line(name)}”"
            if document.bridge:
                own_bridges.add(document.bridge)
                if not is_own:
                    bridges.setdefault(document.bridge, owner)
            for subnet in _interfaces(interface_text(ip) for ip in document.ips):
                theirs.append(subnet)
                if not is_own:
                    subnets.append(TakenSubnet(subnet.network, owner))
    own = frozenset(own_bridges)
    if not context.host.is_local or hosts.is_test(context.host.uri):
        found = _remote_subnets(context, own)
        return Surroundings(tuple(names), tuple(bridges.items()), (*subnets, *found))
    subnets.extend(host_addresses.taken_by_routes(host_addresses.local_routes(), own))
    addresses = tuple(
        (address, _device_of(subnets, address))
        for address in host_addresses.local_addresses()
        if not any(address in each.network for each in theirs)
    )
    devices: list[str] = []
    with contextlib.suppress(OSError):
        for device in local_interfaces():
            if device.name not in own:
                bridges.setdefault(device.name, "the host")
                if not device.name.startswith(("vnet", "macvtap")):
                    devices.append(device.name)
    return Surroundings(tuple(names), tuple(bridges.items()), tuple(subnets), addresses, tuple(devices))


def _device_of(subnets: list[TakenSubnet], address: Address) -> str:
    owners = (each.owner for each in subnets if not each.is_remote and address in each.subnet)
    return next(owners, "one of the host's interfaces")


def _documents(network: libvirt.virNetwork) -> list[NetworkXml]:
    import libvirt

    texts = []
    with contextlib.suppress(libvirt.libvirtError):  # removed meanwhile
        texts.append(definition_text(network))
        if network.isActive():
            texts.append(str(network.XMLDesc(0)))
    found = []
    for text in texts:
        with contextlib.suppress(XmlError):
            found.append(NetworkXml.parse(text))
    return found


def _interfaces(texts: Iterable[str]) -> Iterator[Interface]:
    for text in texts:
        with contextlib.suppress(ValueError):
            yield ipaddress.ip_interface(text)


def _remote_subnets(context: HandlerContext, own: frozenset[str]) -> tuple[TakenSubnet, ...]:
    """As far as libvirt's interface driver knows; another computer does not tell its routes."""
    import libvirt

    found: list[TakenSubnet] = []
    try:
        for interface in context.connection.listAllInterfaces(0):
            name = clean_line(str(interface.name()), 40)
            root = parse_xml(str(interface.XMLDesc(0)), "interface")
            texts = (f"{ip.get('address')}/{ip.get('prefix')}" for ip in root.iterfind("protocol/ip"))
            for subnet in _interfaces(texts):
                if name not in own and not subnet.is_loopback and not subnet.is_link_local:
                    found.append(TakenSubnet(subnet.network, f"the host's interface {name}"))
    except (libvirt.libvirtError, XmlError) as error:
        if isinstance(error, libvirt.libvirtError) and is_connection_lost(error):
            raise
    return tuple(found)
