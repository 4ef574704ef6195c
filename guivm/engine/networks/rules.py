"""What makes sense for a network, and a range that is free. Pure: no libvirt, no files."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network

from guivm.engine.networks.values import FixedAddress, NetworkField, NetworkMode, NetworkProblem, NetworkSpec
from guivm.text import clean_line

Address = IPv4Address | IPv6Address
Subnet = IPv4Network | IPv6Network
Interface = IPv4Interface | IPv6Interface
Range = tuple[Address, Address]

NAME_LIMIT = 80
BRIDGE_LIMIT = 15
"""IFNAMSIZ of Linux, less the NUL."""

_F = NetworkField
_BRIDGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\Z")
_MAC = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}\Z")
_DIVIDER = re.compile(r"\s*[-–—]\s*")


@dataclass(frozen=True, slots=True)
class TakenSubnet:
    """Addresses that belong to somebody; ``owner`` in words: "the network “default”", "the host's interface eth0".

    ``is_remote``: the host only reaches them, through a router.
    """

    subnet: Subnet
    owner: str
    is_remote: bool = False


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a network must get along with. Of the network that is edited itself nothing is in here."""

    names: tuple[str, ...] = ()
    bridges: tuple[tuple[str, str], ...] = ()  # name and whose
    subnets: tuple[TakenSubnet, ...] = ()
    addresses: tuple[tuple[Address, str], ...] = ()  # of the host, and of which interface: "the host's interface eth0"
    devices: tuple[str, ...] = ()  # interfaces of the host; empty when not known


class RangeError(ValueError):
    """Text that is no range of addresses; the message is a sentence for the person."""


def parse_subnet(text: str, version: int) -> Interface:
    """The host's address with the network around it. Raises RangeError."""
    example = "192.168.100.0/24" if version == 4 else "fd12:3456:789a::/64"
    text = text.strip()
    try:
        found: Interface = ipaddress.ip_interface(text)
    except ValueError:
        raise RangeError(f"This is no address range; write it like {example}.") from None
    if found.version != version:
        raise RangeError(f"This is an IPv{found.version} address; write an IPv{version} range like {example}.")
    if "/" not in text:
        raise RangeError(f"Say how large the range is: “{text}/{24 if version == 4 else 64}”.")
    if found.ip == found.network.network_address and found.network.num_addresses > 2:
        first = ipaddress.ip_interface(f"{found.network.network_address + 1}/{found.network.prefixlen}")
        return first
    return found


def parse_ranges(text: str, version: int) -> tuple[Range, ...]:
    """Of "192.168.100.2 - 192.168.100.254, …". Raises RangeError."""
    ranges: list[Range] = []
    for part in text.split(","):
        if not part.strip():
            continue
        ends = _DIVIDER.split(part.strip())
        try:
            if len(ends) != 2:
                raise ValueError
            first, last = ipaddress.ip_address(ends[0]), ipaddress.ip_address(ends[1])
        except ValueError:
            example = "192.168.100.2 – 192.168.100.254" if version == 4 else "fd12::100 – fd12::1ff"
            raise RangeError(f"Write the first and the last address, like {example}.") from None
        if first.version != version or last.version != version:
            raise RangeError(f"These are not IPv{version} addresses.")
        ranges.append((first, last))
    return tuple(ranges)


def show_ranges(ranges: tuple[tuple[str, str], ...]) -> str:
    """The text of a form's field."""
    return ", ".join(f"{first} – {last}" for first, last in ranges)


def usual_range(subnet: Interface) -> str:
    """All addresses of the network but the host's, at the host's longer side; empty when there are none. In IPv6 some
    hundred."""
    low, high = _edges(subnet.network)
    if subnet.version == 6:
        high = min(high, low + 0x1FF)
        low = min(low + 0xFF, high)
    if int(low) <= int(subnet.ip) <= int(high):
        if int(subnet.ip) - int(low) > int(high) - int(subnet.ip):
            high = subnet.ip - 1
        else:
            low = subnet.ip + 1
    return f"{low} – {high}" if int(low) <= int(high) else ""


def _edges(network: Subnet) -> Range:
    """The first and the last address that a guest may have."""
    first: Address = network.network_address
    last: Address = network.broadcast_address
    if network.num_addresses > 2:
        return first + 1, (last - 1 if network.version == 4 else last)
    return first, last


# --- a free range -----------------------------------------------------------------------------------------


def free_ipv4(around: Surroundings) -> str:
    """A private /24 that overlaps nothing known; empty when there is none left. 192.168.122.0 is left to libvirt's own
    network "default"."""
    thirds = [*range(100, 122), *range(123, 255), *range(2, 100)]
    candidates = (*(f"192.168.{n}.0/24" for n in thirds), *(f"10.{n}.0.0/24" for n in range(100, 255)))
    for text in candidates:
        network = IPv4Network(text)
        if not any(_overlap(taken.subnet, network) for taken in around.subnets):
            return text
    return ""


def free_ipv6(around: Surroundings, random_40_bits: int) -> str:
    """A unique local /64 (RFC 4193, 3.2.2: its 40 bits are drawn at random)."""
    network = IPv6Network(((0xFD << 120) | (random_40_bits & (2**40 - 1)) << 80, 64))
    if any(_overlap(taken.subnet, network) for taken in around.subnets):
        return free_ipv6(around, random_40_bits + 1)
    return str(network)


def free_name(around: Surroundings) -> str:
    """ "network-1" or the next that nobody has."""
    number = 1
    while f"network-{number}" in around.names:
        number += 1
    return f"network-{number}"


# --- problems ---------------------------------------------------------------------------------------------


def problems(spec: NetworkSpec, around: Surroundings) -> tuple[NetworkProblem, ...]:
    """Everything that is wrong, at once."""
    return tuple(_all(spec, around))


def _all(spec: NetworkSpec, around: Surroundings) -> Iterator[NetworkProblem]:
    yield from _name(spec, around)
    if spec.mode is NetworkMode.OTHER:
        return  # another tool's: its addresses are none of ours
    yield from _family(spec.ipv4, spec.dhcp4, 4, around)
    yield from _family(spec.ipv6, spec.dhcp6, 6, around)
    if spec.mode is not NetworkMode.ISOLATED and not spec.ipv4.strip() and not spec.ipv6.strip():
        words = "Give it an address range: only an isolated network can do without."
        yield NetworkProblem(_F.IPV4, words)
    yield from _bridge(spec, around)
    yield from _device(spec, around)
    if spec.domain and not all(_LABEL.match(label) for label in spec.domain.split(".")):
        yield NetworkProblem(_F.DOMAIN, "A domain is made of letters, digits and hyphens, like “lab.example”.")
    yield from _fixed(spec)


def _name(spec: NetworkSpec, around: Surroundings) -> Iterator[NetworkProblem]:
    name = spec.name
    if not name.strip():
        yield NetworkProblem(_F.NAME, "Give the network a name.")
    elif len(name) > NAME_LIMIT:
        yield NetworkProblem(_F.NAME, f"A name has at most {NAME_LIMIT} characters.")
    elif "/" in name or name in (".", ".."):
        yield NetworkProblem(_F.NAME, "A name cannot contain “/”.")
    elif name != clean_line(name, NAME_LIMIT):
        yield NetworkProblem(_F.NAME, "The name has unprintable characters or spaces at its ends.")
    elif name in around.names:
        yield NetworkProblem(_F.NAME, f"The host has a network “{name}” already.")


def _family(text: str, dhcp: str, version: int, around: Surroundings) -> Iterator[NetworkProblem]:
    where, where_dhcp = (_F.IPV4, _F.DHCP4) if version == 4 else (_F.IPV6, _F.DHCP6)
    if not text.strip():
        if dhcp.strip():
            yield NetworkProblem(where_dhcp, "Addresses can be given out only of a range; give the range first.")
        return
    try:
        subnet = parse_subnet(text, version)
    except RangeError as error:
        yield NetworkProblem(where, str(error))
        return
    found = tuple(_subnet(subnet, where, around))
    yield from found
    if any(not problem.is_warning for problem in found):
        return
    try:
        ranges = parse_ranges(dhcp, version)
    except RangeError as error:
        yield NetworkProblem(where_dhcp, str(error))
        return
    words = _range_problem(ranges, subnet)
    if words:
        yield NetworkProblem(where_dhcp, words)


def _subnet(subnet: Interface, where: NetworkField, around: Surroundings) -> Iterator[NetworkProblem]:
    network = subnet.network
    if network.is_loopback or network.is_multicast or network.is_link_local or network.is_unspecified:
        yield NetworkProblem(where, f"{network} has a meaning of its own; choose a range like those for private use.")
        return
    if network.num_addresses < 4:
        yield NetworkProblem(where, "The range is too small for a host and a guest.")
        return
    if network.version == 4 and subnet.ip == network.broadcast_address:
        yield NetworkProblem(where, f"{subnet.ip} is the broadcast address of the range; the host needs another.")
        return
    for address, owner in around.addresses:
        if address == subnet.ip:
            yield NetworkProblem(where, f"The address {address} belongs to {owner}.")
            return
    overlapping = [taken for taken in around.subnets if _overlap(taken.subnet, network)]
    overlapping.sort(key=lambda taken: taken.is_remote)
    if overlapping and not overlapping[0].is_remote:
        taken = overlapping[0]
        yield NetworkProblem(where, f"The range overlaps {taken.subnet}, which belongs to {taken.owner}.")
        return
    if overlapping:
        words = (
            f"The host reaches {overlapping[0].subnet} through {overlapping[0].owner}; what is there would be hidden."
        )
        yield NetworkProblem(where, words, is_warning=True)
        return
    if network.version == 4 and network.prefixlen < 8:
        yield NetworkProblem(where, "The range is larger than any for private use; choose a smaller one.")
    elif not network.is_private:
        words = "These are public addresses: guests will not reach whoever really owns them."
        yield NetworkProblem(where, words, is_warning=True)
    elif network.version == 6 and network.prefixlen != 64:
        words = "Guests find an IPv6 address by themselves only in a range that ends with /64."
        yield NetworkProblem(where, words, is_warning=True)


def _overlap(one: Subnet, other: Subnet) -> bool:
    if isinstance(one, IPv4Network):
        return isinstance(other, IPv4Network) and one.overlaps(other)
    return isinstance(other, IPv6Network) and one.overlaps(other)


def _range_problem(ranges: tuple[Range, ...], subnet: Interface) -> str:
    low, high = _edges(subnet.network)
    before: list[Range] = []
    for first, last in ranges:
        if int(first) > int(last):
            return f"The last address comes before the first: {first} – {last}."
        if first not in subnet.network or last not in subnet.network:
            return f"{first} – {last} is not within {subnet.network}."
        if int(first) < int(low) or int(last) > int(high):
            return f"The first and the last address of {subnet.network} are no guest's: use {low} – {high}."
        if int(first) <= int(subnet.ip) <= int(last):
            return f"The host's own address {subnet.ip} is among them."
        for other_first, other_last in before:
            if int(first) <= int(other_last) and int(other_first) <= int(last):
                return f"{first} – {last} overlaps {other_first} – {other_last}."
        before.append((first, last))
    return ""


def _bridge(spec: NetworkSpec, around: Surroundings) -> Iterator[NetworkProblem]:
    if not spec.bridge:
        return
    owner = next((owner for name, owner in around.bridges if name == spec.bridge), "")
    if len(spec.bridge.encode()) > BRIDGE_LIMIT:
        yield NetworkProblem(_F.BRIDGE, f"A bridge's name has at most {BRIDGE_LIMIT} characters.")
    elif not _BRIDGE.match(spec.bridge):
        yield NetworkProblem(_F.BRIDGE, "A bridge's name is made of letters, digits, “.”, “_” and “-”.")
    elif owner:
        yield NetworkProblem(_F.BRIDGE, f"“{spec.bridge}” belongs to {owner}.")


def _device(spec: NetworkSpec, around: Surroundings) -> Iterator[NetworkProblem]:
    if not spec.device:
        return
    if spec.mode not in (NetworkMode.NAT, NetworkMode.ROUTED):
        yield NetworkProblem(_F.DEVICE, "Only a NAT or routed network can be held to one interface.")
    elif len(spec.device.encode()) > BRIDGE_LIMIT or not _BRIDGE.match(spec.device):
        yield NetworkProblem(_F.DEVICE, "This is no name of a network interface.")
    elif around.devices and spec.device not in around.devices:
        words = f"The host has no interface “{spec.device}” now; guests reach nothing until it has."
        yield NetworkProblem(_F.DEVICE, words, is_warning=True)


def _fixed(spec: NetworkSpec) -> Iterator[NetworkProblem]:
    if not spec.fixed:
        return
    try:
        subnet = parse_subnet(spec.ipv4, 4)
    except RangeError:
        if not spec.ipv4.strip():
            yield NetworkProblem(_F.FIXED, "Fixed addresses need an IPv4 range.", row=0)
        return
    macs: set[str] = set()
    ips: set[Address] = set()
    names: set[str] = set()
    for row, fixed in enumerate(spec.fixed):
        words = _fixed_problem(fixed, subnet, macs, ips, names)
        if words:
            yield NetworkProblem(_F.FIXED, words, row=row)


def _fixed_problem(fixed: FixedAddress, subnet: Interface, macs: set[str], ips: set[Address], names: set[str]) -> str:
    mac = fixed.mac.lower()
    if not _MAC.match(mac) or mac == "00:00:00:00:00:00":
        return f"“{clean_line(fixed.mac, 40)}” is no MAC address; write it like 52:54:00:12:34:56."
    if int(mac[:2], 16) & 1:
        return f"{mac} is for groups, not for one card."
    if mac in macs:
        return f"{mac} is in the table twice."
    macs.add(mac)
    if fixed.name:
        if not all(_LABEL.match(label) for label in fixed.name.split(".")):
            return f"“{clean_line(fixed.name, 40)}” is no host name: letters, digits and hyphens only."
        if fixed.name.lower() in names:
            return f"The name “{fixed.name}” is in the table twice."
        names.add(fixed.name.lower())
    try:
        ip = IPv4Address(fixed.ip)
    except ValueError:
        return f"“{clean_line(fixed.ip, 40)}” is no IPv4 address."
    low, high = _edges(subnet.network)
    if ip not in subnet.network or not int(low) <= int(ip) <= int(high):
        return f"{ip} is not within {low} – {high}."
    if ip == subnet.ip:
        return f"{ip} is the host's own address."
    if ip in ips:
        return f"{ip} is in the table twice."
    ips.add(ip)
    return ""
