"""Between the form's words and libvirt's document. Pure, but for lxml."""

from __future__ import annotations

import ipaddress

from guivm.engine.networks.rules import Address, Range, RangeError, parse_ranges, parse_subnet, show_ranges
from guivm.engine.networks.values import FixedAddress, NetworkField, NetworkMode, NetworkSpec
from guivm.engine.xml.network import NetworkIp, NetworkXml
from guivm.text import clean_line

_F = NetworkField
_MODES = {mode.value: mode for mode in (NetworkMode.NAT, NetworkMode.ROUTED, NetworkMode.OPEN)}


def mode_of(network: NetworkXml) -> NetworkMode:
    """No ``<forward>``: isolated; one without a mode: NAT (formatnetwork.html)."""
    if not network.forward.exists:
        return NetworkMode.ISOLATED
    return _MODES.get(network.forward.mode or "nat", NetworkMode.OTHER)


def ip_of(network: NetworkXml, version: int) -> tuple[int, NetworkIp] | None:
    """The element with the network's addresses of an IP version, and its index among all; that with DHCP first."""
    found = [(index, ip) for index, ip in enumerate(network.ips) if (ip.family == "ipv6") == (version == 6)]
    with_dhcp = [(index, ip) for index, ip in found if len(ip.dhcp_ranges) or len(ip.dhcp_hosts)]
    return next(iter(with_dhcp or found), None)


def interface_text(ip: NetworkIp) -> str:
    """ "192.168.122.1/24". Without prefix and netmask libvirt takes the class of the address, and 64 for IPv6."""
    address = clean_line(ip.address or "", 60)
    width: object = ip.prefix if ip.prefix is not None else ip.netmask
    try:
        if width is None:
            host = ipaddress.ip_address(address)
            first = int(host) >> 24
            width = 64 if host.version == 6 else 8 if first < 128 else 16 if first < 192 else 24
        return str(ipaddress.ip_interface(f"{address}/{width}"))
    except ValueError:
        return address


def spec_of(network: NetworkXml, *, autostart: bool = False) -> NetworkSpec:
    """What a form shows of a definition. Raises XmlError."""
    four, six = ip_of(network, 4), ip_of(network, 6)
    return NetworkSpec(
        name=clean_line(network.name or ""),
        mode=mode_of(network),
        ipv4="" if four is None else interface_text(four[1]),
        dhcp4="" if four is None else _ranges_text(four[1]),
        ipv6="" if six is None else interface_text(six[1]),
        dhcp6="" if six is None else _ranges_text(six[1]),
        device=clean_line(network.forward.dev or "", 60),
        domain=clean_line(network.domain_name or "", 260),
        bridge=clean_line(network.bridge or "", 60),
        autostart=autostart,
        fixed=() if four is None else tuple(_fixed_of(four[1])),
    )


def _ranges_text(ip: NetworkIp) -> str:
    return show_ranges(
        tuple((clean_line(each.start or "", 60), clean_line(each.end or "", 60)) for each in ip.dhcp_ranges)
    )


def _fixed_of(ip: NetworkIp) -> list[FixedAddress]:
    return [
        FixedAddress(
            clean_line(host.mac or "", 40).lower(), clean_line(host.name or "", 260), clean_line(host.ip or "", 60)
        )
        for host in ip.dhcp_hosts
    ]


def differences(before: NetworkSpec, after: NetworkSpec) -> tuple[NetworkField, ...]:
    """The fields that do not mean the same."""
    pairs: tuple[tuple[NetworkField, object, object], ...] = (
        (_F.NAME, before.name, after.name),
        (_F.MODE, before.mode, after.mode),
        (_F.IPV4, _subnet(before.ipv4, 4), _subnet(after.ipv4, 4)),
        (_F.DHCP4, _ranges(before.dhcp4, 4), _ranges(after.dhcp4, 4)),
        (_F.IPV6, _subnet(before.ipv6, 6), _subnet(after.ipv6, 6)),
        (_F.DHCP6, _ranges(before.dhcp6, 6), _ranges(after.dhcp6, 6)),
        (_F.DEVICE, before.device, after.device),
        (_F.DOMAIN, before.domain, after.domain),
        (_F.BRIDGE, before.bridge, after.bridge),
        (_F.FIXED, _fixed(before), _fixed(after)),
    )
    return tuple(field for field, old, new in pairs if old != new)


def _subnet(text: str, version: int) -> object:
    try:
        return parse_subnet(text, version)
    except RangeError:
        return text.strip()


def _ranges(text: str, version: int) -> object:
    try:
        return frozenset(parse_ranges(text, version))
    except RangeError:
        return text.strip()


def _fixed(spec: NetworkSpec) -> frozenset[tuple[str, str, str]]:
    return frozenset((each.mac.lower(), each.name, each.ip) for each in spec.fixed)


# --- writing ----------------------------------------------------------------------------------------------


def new_network(spec: NetworkSpec) -> NetworkXml:
    """The document of a new network."""
    network = NetworkXml.new()
    write(network, NetworkSpec(name="", mode=NetworkMode.ISOLATED), spec)
    network.bridge_stp, network.bridge_delay_s = True, 0
    return network


def write(network: NetworkXml, before: NetworkSpec, after: NetworkSpec) -> None:
    """Change what ``after`` says otherwise than ``before``, and nothing else. Raises RangeError, XmlError."""
    changed = set(differences(before, after))
    if _F.NAME in changed:
        network.name = after.name
    if _F.MODE in changed:
        _write_mode(network, after.mode)
    if _F.DEVICE in changed and network.forward.exists:
        network.forward.interfaces.clear()  # libvirt repeats the attribute there
        network.forward.dev = after.device or None
    if _F.BRIDGE in changed:
        network.bridge = after.bridge or None
    if _F.DOMAIN in changed:
        network.domain_name = after.domain or None
        if not after.domain:
            network.domain_local_only = None
    _write_ip(network, 4, after.ipv4, changed, (_F.IPV4, _F.DHCP4), after.dhcp4)
    _write_ip(network, 6, after.ipv6, changed, (_F.IPV6, _F.DHCP6), after.dhcp6)
    if _F.FIXED in changed:
        _write_fixed(network, after)


def _write_mode(network: NetworkXml, mode: NetworkMode) -> None:
    forward = network.forward
    if mode is NetworkMode.ISOLATED:
        forward.remove()
        return
    forward.mode = mode.value
    if mode is not NetworkMode.NAT:
        forward.nat_ipv6 = None
        forward.nat_address_start = forward.nat_address_end = None
        forward.nat_port_start = forward.nat_port_end = None
    if mode is NetworkMode.OPEN:
        forward.interfaces.clear()
        forward.dev = None


def _write_ip(
    network: NetworkXml,
    version: int,
    subnet: str,
    changed: set[NetworkField],
    fields: tuple[NetworkField, NetworkField],
    dhcp: str,
) -> None:
    found = ip_of(network, version)
    if fields[0] in changed:
        if not subnet.strip():
            if found is not None:
                network.ips.remove(found[1])
            return
        host = parse_subnet(subnet, version)
        ip = network.ips.add() if found is None else found[1]
        if version == 6:
            ip.family = "ipv6"
        ip.address = str(host.ip)
        if ip.netmask is not None:
            ip.netmask = str(host.netmask)
        else:
            ip.prefix = host.network.prefixlen
        found = ip_of(network, version)
    if fields[1] in changed and found is not None:
        _write_ranges(found[1], parse_ranges(dhcp, version))


def _write_ranges(ip: NetworkIp, wanted: tuple[Range, ...]) -> None:
    missing = [(str(first), str(last)) for first, last in wanted]
    for each in ip.dhcp_ranges:
        ends = (_canonical(each.start), _canonical(each.end))
        if ends in missing:
            missing.remove(ends)
        else:
            ip.dhcp_ranges.remove(each)
    for first, last in missing:
        added = ip.dhcp_ranges.add()
        added.start, added.end = first, last


def _write_fixed(network: NetworkXml, after: NetworkSpec) -> None:
    found = ip_of(network, 4)
    if found is None:
        return
    hosts = found[1].dhcp_hosts
    wanted = {each.mac.lower(): each for each in after.fixed}
    for host in hosts:
        if host.mac is None:
            continue  # known by another sign than its card: none of ours
        each = wanted.pop(host.mac.lower(), None)
        if each is None:
            hosts.remove(host)
        else:
            host.name, host.ip = each.name or None, each.ip
    for each in wanted.values():
        added = hosts.add()
        added.mac, added.name, added.ip = each.mac.lower(), each.name or None, each.ip


def _canonical(text: str | None) -> str:
    try:
        address: Address = ipaddress.ip_address(text or "")
    except ValueError:
        return text or ""
    return str(address)
