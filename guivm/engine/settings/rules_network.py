"""Rules about network cards and port forwards. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import count

from guivm.engine.options.facts import HostFacts
from guivm.engine.options.option import N
from guivm.engine.options.phrase import Phrase
from guivm.engine.options.port_forwards import LOOPBACK, PortForward, forwards_text, read_forwards
from guivm.engine.options.values import EditFix, Place, SettingProblem
from guivm.engine.settings.places import Places
from guivm.engine.settings.rule import Rule, error, warning
from guivm.engine.xml.domain import DomainXml
from guivm.engine.xml.interface import Interface

_MAC = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}", re.ASCII)
_LOWEST_FREE_PORT = 1024  # net.ipv4.ip_unprivileged_port_start, unless it was changed


def mac_addresses(domain: DomainXml, facts: HostFacts) -> Iterator[SettingProblem]:
    places = Places(domain)
    seen: set[str] = set()
    for index, nic in enumerate(domain.devices.interfaces):
        if not nic.mac:
            continue
        place = places.of(nic, "mac")
        mac = nic.mac.lower()
        new = EditFix(place, _free_mac(domain, facts, index), Phrase(N("New address")))
        if _MAC.fullmatch(mac) is None:
            yield error(place, f"“{nic.mac}” is no MAC address; one looks like 52:54:00:12:34:56.", fix=new)
            continue
        if int(mac[:2], 16) & 1:
            yield error(place, "This is a group address (its first byte is odd), which no card can have.", fix=new)
        elif mac == "00:00:00:00:00:00":
            yield error(place, "A card cannot have the address of zeros.", fix=new)
        if mac in seen:
            yield error(
                place, "Two cards of this virtual machine have this MAC address; give one a new address.", fix=new
            )
        seen.add(mac)
        users = [other.name for other in facts.others if mac in other.macs]
        if users:
            yield warning(
                place,
                f"“{users[0]}” has this MAC address, too: on one network neither works well. Give it a new address.",
                fix=new,
            )


def _free_mac(domain: DomainXml, facts: HostFacts, index: int) -> str:
    """Of QEMU's range, and had by no VM of the host. The same for the same question: a check that is made again must
    not find something else."""
    taken = {mac.lower() for other in facts.others for mac in other.macs}
    taken |= {(nic.mac or "").lower() for nic in domain.devices.interfaces}
    for attempt in count():
        digest = hashlib.sha256(f"{domain.uuid} {index} {attempt}".encode()).digest()
        mac = "52:54:00:" + digest[:3].hex(":")
        if mac not in taken:
            return mac
    raise AssertionError


def sources(domain: DomainXml, facts: HostFacts) -> Iterator[SettingProblem]:
    places = Places(domain)
    unknown = {name for name, _ in facts.unknown}
    for nic in domain.devices.interfaces:
        place = places.of(nic, "mode")
        if nic.type == "network" and "networks" not in unknown:
            yield from _network(nic, place, facts)
        elif nic.type in ("bridge", "direct") and "interfaces" not in unknown and facts.interfaces:
            yield from _interface(nic, place, facts)
        elif nic.type in ("bridge", "direct", "network") and not nic.source:
            yield error(place, "Choose what the card is plugged into.")
        if nic.filter_ref.filter and "filters" not in unknown and nic.filter_ref.filter not in facts.filters:
            yield error(places.of(nic, "filter"), f"The host has no network filter “{nic.filter_ref.filter}”.")


def _network(nic: Interface, place: Place, facts: HostFacts) -> Iterator[SettingProblem]:
    if not nic.source_network:
        yield error(place, "Choose the network that the card is plugged into.")
        return
    found = next((network for network in facts.networks if network.name == nic.source_network), None)
    if found is None:
        advice = (
            "an ordinary user's engine has none; choose user-mode"
            if facts.is_session
            else "create it, or choose another"
        )
        yield warning(
            place,
            f"The host has no virtual network “{nic.source_network}”: {advice}.",
            fix=EditFix(place, "user", Phrase(N("Use user mode"))) if facts.is_session else None,
        )
    elif not found.active:
        yield warning(place, f"The virtual network “{found.name}” is not started; start it before the virtual machine.")


def _interface(nic: Interface, place: Place, facts: HostFacts) -> Iterator[SettingProblem]:
    wanted = nic.source_bridge if nic.type == "bridge" else nic.source_dev
    if not wanted:
        yield error(place, "Choose what the card is plugged into.")
        return
    found = next((interface for interface in facts.interfaces if interface.name == wanted), None)
    owner = next((network for network in facts.networks if network.bridge == wanted), None)
    what = "bridge" if nic.type == "bridge" else "network interface"
    if found is None and owner is not None and not owner.active:
        yield warning(place, f"The bridge {wanted} comes with the virtual network “{owner.name}”; start that first.")
    elif found is None:
        yield warning(place, f"The host has no {what} {wanted}: make it there, or choose another.")
    elif nic.type == "bridge" and facts.is_local and not found.is_bridge:
        yield warning(
            place, f"{wanted} is a network interface, but no bridge: choose a bridge, or macvtap for {wanted}."
        )
    elif not found.is_up:
        yield warning(
            place, f"The {what} {wanted} is switched off; switch it on.", command=f"sudo ip link set dev {wanted} up"
        )
    elif nic.type == "direct" and found.is_wireless:
        yield warning(place, "Most wireless networks refuse the second address that macvtap needs; use NAT.")


def port_forwards(domain: DomainXml, facts: HostFacts) -> Iterator[SettingProblem]:
    places = Places(domain)
    taken: list[PortForward] = []
    for nic in domain.devices.interfaces:
        place = places.of(nic, "port-forwards")
        forwards = read_forwards(nic)
        if forwards and nic.type != "user":
            yield warning(
                place, "Port forwards work with user-mode networking only; this card is plugged in otherwise."
            )
            continue
        for forward in forwards:
            if not (forward.host_port > 0 and forward.last < 65536 and 0 < forward.guest_port < 65536):
                yield error(place, "Ports are numbers from 1 to 65535.")
                continue
            if any(_overlap(forward, other) for other in taken):
                yield error(place, f"Port {forward.host_port} ({forward.protocol}) of the host is forwarded twice.")
            taken.append(forward)
            if forward.is_exposed:
                yield warning(
                    place,
                    f"Every computer of your network can reach port {forward.host_port}; "
                    "with 127.0.0.1 only this computer can.",
                    fix=_here_only(place, forwards),
                )
            if facts.is_session and forward.host_port < _LOWEST_FREE_PORT:
                yield warning(place, f"Only the system may open ports below {_LOWEST_FREE_PORT}; choose a higher one.")


def _here_only(place: Place, forwards: tuple[PortForward, ...]) -> EditFix:
    near = [replace(forward, address=LOOPBACK) if forward.is_exposed else forward for forward in forwards]
    return EditFix(place, forwards_text(near), Phrase(N("Use {}"), LOOPBACK))


def _overlap(one: PortForward, other: PortForward) -> bool:
    every = ("*", "0.0.0.0", "::")  # noqa: S104  (recognised, never bound)
    same = one.address == other.address or one.address in every or other.address in every
    return one.protocol == other.protocol and same and one.host_port <= other.last and other.host_port <= one.last


RULES: tuple[Rule, ...] = (mac_addresses, sources, port_forwards)
