"""``guivm network …``: the virtual networks of a host."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING

from guivm.cli.exits import Exit
from guivm.cli.output import jsonable, print_json, print_table
from guivm.cli.verbs import UsageError, Verbs
from guivm.errors import NetworkNotFoundError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guivm.cli.session import Session
    from guivm.engine.networks.values import NetworkDetails, NetworkSpec, VirtualNetwork
    from guivm.engine.requests import NetworkRequest

_MODES = ("nat", "route", "isolated", "open")
_SIMPLE = (
    ("start", "StartNetwork", "start a network"),
    ("stop", "StopNetwork", "stop a network; its guests are cut off"),
    ("delete", "DeleteNetwork", "stop a network and remove it; refused while a virtual machine uses it"),
)
Run = Callable[["Session", argparse.Namespace], int]


def add_verbs(verbs: Verbs) -> None:
    help_text = "list, make, change, start and stop virtual networks"
    parser = verbs.add("network", help_text, _run, begin=_check, json_output=False)
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True, title="actions")

    def add(name: str, help_text: str, run: Run) -> argparse.ArgumentParser:
        action = actions.add_parser(name, help=help_text, description=help_text[0].upper() + help_text[1:])
        action.add_argument("--json", action="store_true", help="print JSON")
        action.add_argument("--connect", metavar="URI", action="append", default=argparse.SUPPRESS, help="libvirt URI")
        action.set_defaults(network_run=run)
        return action

    add("list", "list the networks of the host", _list)
    _add_name(add("show", "show one network", _show))
    create = add("create", "make a network and start it; without options one with NAT and free addresses", _create)
    create.add_argument("name", metavar="NAME")
    _add_spec(create)
    create.add_argument("--no-start", action="store_true", help="only define it")
    change = add("set", "change a network; what cannot be changed while it runs waits for its next start", _set)
    _add_name(change)
    _add_spec(change)
    for name, request, text in _SIMPLE:
        _add_name(add(name, text, partial(_simple, request)))
    autostart = add("autostart", "whether a network starts with the host", _autostart)
    _add_name(autostart)
    autostart.add_argument("on", metavar="yes|no", choices=("yes", "no"))
    _add_name(add("leases", "list the addresses that a network gave out", _leases))


def _add_name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("network", metavar="NETWORK", help="name or UUID")


def _add_spec(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--mode", choices=_MODES, help="how it reaches the world")
    parser.add_argument("--ipv4", metavar="RANGE", help="e.g. 192.168.100.0/24; none: no IPv4")
    parser.add_argument("--dhcp", metavar="RANGE", help="e.g. 192.168.100.2-192.168.100.254; none: no DHCP")
    parser.add_argument("--ipv6", metavar="RANGE", help="e.g. fd12:3456:789a::/64; none: no IPv6")
    parser.add_argument("--dhcp6", metavar="RANGE", help="e.g. fd12::100-fd12::1ff; none: no DHCP")
    parser.add_argument("--device", metavar="INTERFACE", help="the only interface that packets may leave by; none: any")
    parser.add_argument("--domain", metavar="DOMAIN", help="DNS domain of its guests; none: no domain")
    parser.add_argument("--bridge", metavar="NAME", help="name of its bridge on the host")
    parser.add_argument(
        "--host", metavar="MAC,IP[,NAME]", action="append", help="a fixed address; repeatable; none: no fixed addresses"
    )
    parser.add_argument("--autostart", choices=("yes", "no"), help="whether it starts with the host")


def _check(arguments: argparse.Namespace, _uris: Sequence[str]) -> None:
    for text in getattr(arguments, "host", None) or ():
        if text != "none" and not 2 <= len(text.split(",")) <= 3:
            raise UsageError(f"“{text}” is no MAC,IP or MAC,IP,NAME")


def _run(session: Session, arguments: argparse.Namespace) -> int:
    run: Run = arguments.network_run
    return run(session, arguments)


# --- reading ----------------------------------------------------------------------------------------------


def _networks(session: Session) -> list[VirtualNetwork]:
    import sys

    from guivm.engine.requests import ListNetworks

    found: list[VirtualNetwork] = []
    for host in session.hosts:
        answer = session.ask(ListNetworks(host))
        found.extend(answer.networks)
        if answer.refusal:
            print(f"guivm: {answer.refusal}", file=sys.stderr)
    return found


def _find(session: Session, wanted: str) -> VirtualNetwork:
    networks = _networks(session)
    found = [each for each in networks if each.uuid == wanted.lower()] or [
        each for each in networks if each.name == wanted
    ]
    if not found:
        raise NetworkNotFoundError(f"There is no network “{wanted}”.", advice="See “guivm network list”.")
    return found[0]


def _list(session: Session, _arguments: argparse.Namespace) -> int:
    networks = _networks(session)
    if session.as_json:
        print_json([jsonable(asdict(each)) for each in networks])
        return Exit.OK
    rows = [("NAME", "MODE", "STATE", "AUTOSTART", "ADDRESSES", "USED BY")]
    for each in networks:
        rows.append(
            (
                each.name,
                each.forward or "isolated",
                "active" if each.is_active else "inactive",
                "yes" if each.autostart else "no",
                " ".join(each.addresses),
                ", ".join(user.name for user in each.users),
            )
        )
    print_table(rows)
    return Exit.OK


def _details(session: Session, wanted: str) -> NetworkDetails:
    from guivm.engine.requests import ReadNetwork

    network = _find(session, wanted)
    return session.ask(ReadNetwork(network.host, network.uuid, network.name))


def _show(session: Session, arguments: argparse.Namespace) -> int:
    details = _details(session, arguments.network)
    if session.as_json:
        print_json(jsonable(asdict(details)))
        return Exit.OK
    network, spec = details.network, details.spec
    lines = (
        ("Name", network.name),
        ("UUID", network.uuid),
        ("State", "active" if network.is_active else "inactive"),
        ("Mode", network.forward or "isolated"),
        ("Device", spec.device),
        ("Bridge", network.bridge),
        ("IPv4", spec.ipv4),
        ("DHCP", spec.dhcp4),
        ("IPv6", spec.ipv6),
        ("DHCPv6", spec.dhcp6),
        ("Domain", spec.domain),
        *(("Host", f"{each.mac} {each.ip} {each.name}".rstrip()) for each in spec.fixed),
        ("Autostart", "yes" if network.autostart else "no"),
        ("Used by", ", ".join(user.name for user in network.users)),
        ("Next start", ", ".join(field.value for field in details.waits)),
    )
    for label, value in lines:
        if value:
            print(f"{label + ':':<12}{value}")
    return Exit.OK


def _leases(session: Session, arguments: argparse.Namespace) -> int:
    from datetime import datetime

    from guivm.engine.requests import ReadLeases

    network = _find(session, arguments.network)
    leases = session.ask(ReadLeases(network.host, network.uuid, network.name))
    if session.as_json:
        print_json([jsonable(asdict(each)) for each in leases])
        return Exit.OK
    rows = [("NAME", "VM", "MAC", "ADDRESS", "EXPIRES")]
    for each in leases:
        until = datetime.fromtimestamp(each.expires_s).isoformat(" ", "seconds") if each.expires_s else "never"
        rows.append((each.name, each.vm, each.mac, each.ip, until))
    print_table(rows)
    return Exit.OK


# --- changing ---------------------------------------------------------------------------------------------


def _create(session: Session, arguments: argparse.Namespace) -> int:
    from guivm.engine.networks.values import NetworkMode
    from guivm.engine.requests import CreateNetwork, ProposeNetwork

    host = session.hosts[0]
    spec = replace(session.ask(ProposeNetwork(host)).spec, name=arguments.name)
    if arguments.ipv4 is not None and arguments.dhcp is None:
        spec = replace(spec, dhcp4=_usual(arguments.ipv4))
    if arguments.mode == NetworkMode.ISOLATED.value and arguments.ipv4 == "none":
        spec = replace(spec, dhcp4="")
    uuid = session.ask(CreateNetwork(host, _edited(spec, arguments), start=not arguments.no_start))
    if session.as_json:
        print_json(jsonable(asdict(_find(session, uuid))))
    return Exit.OK


def _usual(text: str) -> str:
    from guivm.engine.networks.rules import RangeError, parse_subnet, usual_range

    try:
        return usual_range(parse_subnet(text, 4)) if text != "none" else ""
    except RangeError:
        return ""  # the engine says what is wrong with it


def _edited(spec: NetworkSpec, arguments: argparse.Namespace) -> NetworkSpec:
    """``spec`` with what the options say."""
    from guivm.engine.networks.values import FixedAddress, NetworkMode

    def text(given: str | None, was: str) -> str:
        return was if given is None else "" if given == "none" else given

    spec = replace(
        spec,
        ipv4=text(arguments.ipv4, spec.ipv4),
        dhcp4=text(arguments.dhcp, spec.dhcp4),
        ipv6=text(arguments.ipv6, spec.ipv6),
        dhcp6=text(arguments.dhcp6, spec.dhcp6),
        device=text(arguments.device, spec.device),
        domain=text(arguments.domain, spec.domain),
        bridge=text(arguments.bridge, spec.bridge),
    )
    if arguments.mode is not None:
        spec = replace(spec, mode=NetworkMode(arguments.mode))
    if arguments.autostart is not None:
        spec = replace(spec, autostart=arguments.autostart == "yes")
    if arguments.host is not None:
        words = [text.split(",") for text in arguments.host if text != "none"]
        fixed = tuple(FixedAddress(each[0].strip(), "".join(each[2:]).strip(), each[1].strip()) for each in words)
        spec = replace(spec, fixed=fixed)
    return spec


def _set(session: Session, arguments: argparse.Namespace) -> int:
    from guivm.engine.requests import UpdateNetwork

    details = _details(session, arguments.network)
    network, spec = details.network, _edited(details.spec, arguments)
    change = session.ask(UpdateNetwork(network.host, network.uuid, network.name, details.xml, spec))
    if session.as_json:
        print_json(jsonable(asdict(change)))
    elif change.waits:
        print(f"At the next start of “{network.name}”: {', '.join(field.value for field in change.waits)}")
    return Exit.OK


def _simple(request_name: str, session: Session, arguments: argparse.Namespace) -> int:
    from guivm.engine import requests

    request: type[NetworkRequest[None]] = getattr(requests, request_name)
    network = _find(session, arguments.network)
    session.ask(request(network.host, network.uuid, network.name))
    if session.as_json:
        left = [each for each in _networks(session) if each.uuid == network.uuid]
        print_json(jsonable(asdict(left[0])) if left else {"uuid": network.uuid, "deleted": True})
    return Exit.OK


def _autostart(session: Session, arguments: argparse.Namespace) -> int:
    from guivm.engine.requests import SetNetworkAutostart

    network = _find(session, arguments.network)
    on = arguments.on == "yes"
    session.ask(SetNetworkAutostart(network.host, network.uuid, network.name, on))
    if session.as_json:
        print_json(jsonable(asdict(replace(network, autostart=on))))
    return Exit.OK
