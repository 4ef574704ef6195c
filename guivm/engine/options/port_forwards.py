"""Ports of the host that lead into a guest with user-mode networking.

With passt they are libvirt's own ``<portForward>``; with slirp, which libvirt gives none, they are kept in our metadata
by the card's MAC address and made at each start.

As a text: ``tcp:127.0.0.1:2222:22,udp:0.0.0.0:5353:53``, each protocol, host address and port, guest port.
``2222:22`` is short for the first; ``*`` is every address of the host; ``tcp:[::1]:8000-8009:80`` are ten ports.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from guivm.engine.options.devices import domain_of, random_mac
from guivm.engine.options.option import N, Value
from guivm.engine.xml.interface import Interface
from guivm.engine.xml.metadata import SettingsPortForward
from guivm.engine.xml.node import NodeList

LOOPBACK = "127.0.0.1"
EVERY_ADDRESS = "*"


@dataclass(frozen=True, slots=True)
class PortForward:
    """``last_host_port`` is above ``host_port`` for a range, which leads to as many ports from ``guest_port`` on."""

    protocol: str  # "tcp", "udp"
    address: str  # of the host; EVERY_ADDRESS for all
    host_port: int
    guest_port: int
    last_host_port: int = 0

    @property
    def last(self) -> int:
        return max(self.host_port, self.last_host_port)

    @property
    def is_exposed(self) -> bool:
        """Whether other computers can reach it."""
        if self.address == EVERY_ADDRESS:
            return True
        try:
            return not ipaddress.ip_address(self.address).is_loopback
        except ValueError:
            return True

    def to_text(self) -> str:
        address = f"[{self.address}]" if ":" in self.address else self.address
        ports = str(self.host_port) if self.last == self.host_port else f"{self.host_port}-{self.last}"
        return f"{self.protocol}:{address}:{ports}:{self.guest_port}"


_ONE = re.compile(
    r"(?:(?P<protocol>tcp|udp):)?(?:(?P<address>\[[0-9a-f:.]+\]|[0-9.]+|\*)?:)??"
    r"(?P<port>[0-9]{1,5})(?:-(?P<last>[0-9]{1,5}))?:(?P<guest>[0-9]{1,5})",
    re.ASCII | re.IGNORECASE,
)


def forwards_text(forwards: Iterable[PortForward]) -> str:
    return ",".join(forward.to_text() for forward in forwards)


def parse_forwards(text: str) -> tuple[PortForward, ...]:
    """Read the text form. Raises ValueError with a sentence."""
    forwards = tuple(_parse_one(part.strip()) for part in text.split(",") if part.strip())
    _check_overlaps(forwards)
    return forwards


def _parse_one(text: str) -> PortForward:
    match = _ONE.fullmatch(text)
    if match is None:
        raise ValueError(f"“{text[:60]}” is no port forward; one looks like “tcp:127.0.0.1:2222:22”.")
    address = (match["address"] or LOOPBACK).strip("[]")
    if address != EVERY_ADDRESS:
        try:
            address = str(ipaddress.ip_address(address))
        except ValueError as error:
            raise ValueError(f"“{address}” is no IP address.") from error
    first, guest = int(match["port"]), int(match["guest"])
    last = int(match["last"] or first)
    if last < first:
        raise ValueError(N("The first port of a range must not be above its last."))
    if not (first >= 1 and last <= 65535 and guest >= 1 and guest + last - first <= 65535):
        raise ValueError(N("Ports are numbers from 1 to 65535."))
    return PortForward((match["protocol"] or "tcp").lower(), address, first, guest, last if last > first else 0)


def _check_overlaps(forwards: Sequence[PortForward]) -> None:
    for index, one in enumerate(forwards):
        for other in forwards[:index]:
            if (
                (one.protocol, one.address) == (other.protocol, other.address)
                and one.host_port <= other.last
                and other.host_port <= one.last
            ):
                raise ValueError(f"Port {max(one.host_port, other.host_port)} of the host is forwarded twice.")


# --- in the definition ------------------------------------------------------------------------------------


def _kept(nic: Interface) -> NodeList[SettingsPortForward]:
    return domain_of(nic).metadata.settings.port_forwards


def _mine(nic: Interface) -> list[SettingsPortForward]:
    mac = (nic.mac or "").lower()
    return [each for each in _kept(nic) if mac and (each.mac or "").lower() == mac]


def read_forwards(nic: Interface) -> tuple[PortForward, ...]:
    """The forwards of a card, of passt or of ours; what cannot be one is left out."""
    if nic.backend_type == "passt":
        return tuple(
            PortForward(
                forward.protocol or "tcp",
                forward.address or EVERY_ADDRESS,
                ports.start,
                ports.to or ports.start,
                ports.end if ports.end is not None and ports.end > ports.start else 0,
            )
            for forward in nic.port_forwards
            for ports in forward.ranges
            if ports.start is not None and not ports.exclude
        )
    return tuple(
        PortForward(each.protocol or "tcp", each.host_address or LOOPBACK, each.host_port, each.guest_port)
        for each in _mine(nic)
        if each.host_port is not None and each.guest_port is not None
    )


def write_forwards(nic: Interface, forwards: Sequence[PortForward]) -> None:
    """Replace a card's forwards. Raises ValueError for what slirp cannot do."""
    if nic.backend_type != "passt" and any(":" in forward.address for forward in forwards):
        raise ValueError(N("QEMU's own user-mode network forwards IPv4 addresses only; choose passt for IPv6."))
    drop_forwards(nic)
    if nic.backend_type == "passt":
        for forward in forwards:
            new = nic.port_forwards.add()
            new.protocol = forward.protocol
            new.address = None if forward.address == EVERY_ADDRESS else forward.address
            ports = new.ranges.add()
            ports.start, ports.to = forward.host_port, forward.guest_port
            ports.end = forward.last if forward.last > forward.host_port else None
        return
    if forwards and nic.mac is None:
        nic.mac = random_mac()
    for forward in forwards:
        for offset in range(forward.last - forward.host_port + 1):
            kept = _kept(nic).add()
            kept.mac, kept.protocol = nic.mac, forward.protocol
            kept.host_address = "0.0.0.0" if forward.address == EVERY_ADDRESS else forward.address  # noqa: S104
            kept.host_port, kept.guest_port = forward.host_port + offset, forward.guest_port + offset


def drop_forwards(nic: Interface) -> None:
    """Take all forwards of a card out of the definition."""
    nic.port_forwards.clear()
    kept = _kept(nic)
    for each in _mine(nic):
        kept.remove(each)


def rename_owner(nic: Interface, mac: str | None) -> None:
    """Give the card another MAC address; its forwards stay its own."""
    mine = _mine(nic)
    nic.mac = mac
    for each in mine:
        if mac is None:
            _kept(nic).remove(each)
        else:
            each.mac = mac


def get_forwards(nic: Interface) -> Value | None:
    return forwards_text(read_forwards(nic)) or None


def set_forwards(nic: Interface, value: Value | None) -> None:
    text = "" if value is None else str(value)
    wanted = parse_forwards(text)
    if wanted != read_forwards(nic):
        write_forwards(nic, wanted)
