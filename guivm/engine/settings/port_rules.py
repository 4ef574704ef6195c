"""Rules about ports of this computer: each is tried, and given back at once. Worker only."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from guivm.engine.options.option import N
from guivm.engine.options.phrase import Phrase
from guivm.engine.options.port_forwards import LOOPBACK, PortForward, forwards_text, read_forwards
from guivm.engine.options.values import EditFix, Place, SettingProblem
from guivm.engine.settings.places import Places
from guivm.engine.settings.rule import error, use, warning
from guivm.engine.settings.rules_devices import here_only, is_everywhere
from guivm.engine.xml.domain import DomainXml

_TRIED = 200  # ports above the one that is taken


class _Port(NamedTuple):
    protocol: str
    address: str
    number: int


class _Wanted(NamedTuple):
    """A port that the VM is to have. ``forward``: which of ``forwards``, the card's, it belongs to."""

    port: _Port
    place: Place
    forwards: tuple[PortForward, ...] = ()
    forward: PortForward | None = None


def port_problems(domain: DomainXml, live: DomainXml | None) -> Iterator[SettingProblem]:
    """Ports of this computer that something else has. What this VM, running, has itself is its own."""
    own = set() if live is None else {wanted.port for wanted in _wanted(live)}
    all_wanted = list(_wanted(domain))
    avoided = own | {wanted.port for wanted in all_wanted}
    for wanted in all_wanted:
        if wanted.port in own:
            continue
        say = error if wanted.forward is None else warning
        protocol, address, number = wanted.port
        code = _why_not(wanted.port)
        if code == errno.EADDRINUSE:
            words = f"Port {number} ({protocol}) of {address} is in use by another program; choose another."
            yield say(wanted.place, words, fix=_next_free(wanted, avoided))
        elif code == errno.EADDRNOTAVAIL:
            words = f"This computer has no address {address}; choose one that it has, or 127.0.0.1."
            yield say(wanted.place, words, fix=_near(wanted))


def _wanted(domain: DomainXml) -> Iterator[_Wanted]:
    places = Places(domain)
    for display in domain.devices.graphics:
        listen = next((listen for listen in display.listens if listen.type == "address"), None)
        if len(display.listens) and listen is None:
            continue
        address = (listen.address if listen is not None else display.listen_address) or LOOPBACK
        bound = "0.0.0.0" if is_everywhere(address) else address  # noqa: S104  (tried, and given back)
        for option, port in (("port", display.port), ("tls-port", display.tls_port), ("websocket", display.websocket)):
            if port is not None and 0 < port < 65536:
                yield _Wanted(_Port("tcp", bound, port), places.of(display, option))
    for nic in domain.devices.interfaces:
        if nic.type != "user":
            continue
        forwards, place = read_forwards(nic), places.of(nic, "port-forwards")
        for forward in forwards:
            bound = "0.0.0.0" if forward.address in ("*", "") else forward.address  # noqa: S104
            for number in range(forward.host_port, min(forward.last, forward.host_port + 100) + 1):
                if 0 < number < 65536:
                    yield _Wanted(_Port(forward.protocol, bound, number), place, forwards, forward)


def _next_free(wanted: _Wanted, avoided: set[_Port]) -> EditFix | None:
    """The next port that can be had. A range of forwards is moved by nobody but the person."""
    port, forward = wanted.port, wanted.forward
    if forward is not None and forward.last > forward.host_port:
        return None
    taken = {(each.protocol, each.number) for each in avoided}
    for number in range(port.number + 1, min(port.number + _TRIED, 65535) + 1):
        if (port.protocol, number) not in taken and not _why_not(port._replace(number=number)):
            break
    else:
        return None
    if forward is None:
        return use(wanted.place, number)
    return _with_forward(wanted, replace(forward, host_port=number), Phrase(N("Use port {}"), str(number)))


def _near(wanted: _Wanted) -> EditFix:
    if wanted.forward is None:
        return here_only(replace(wanted.place, option="listen"))
    return _with_forward(wanted, replace(wanted.forward, address=LOOPBACK), Phrase(N("Use {}"), LOOPBACK))


def _with_forward(wanted: _Wanted, new: PortForward, label: Phrase) -> EditFix:
    forwards = [new if each is wanted.forward else each for each in wanted.forwards]
    return EditFix(wanted.place, forwards_text(forwards), label)


def can_open(protocol: str, address: str, number: int) -> bool:
    """Whether a port ("tcp", "udp") of this computer can be had now; True also when we may not try."""
    return not _why_not(_Port(protocol, address, number))


def _why_not(port: _Port) -> int:
    """EADDRINUSE, or EADDRNOTAVAIL; 0 when it can be opened, or when we may not try."""
    family = socket.AF_INET6 if ":" in port.address else socket.AF_INET
    kind = socket.SOCK_DGRAM if port.protocol == "udp" else socket.SOCK_STREAM
    try:
        with socket.socket(family, kind) as probe:
            if kind == socket.SOCK_STREAM:  # what has just ended does not count, as it does not for QEMU
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((port.address, port.number))
    except socket.gaierror:
        return errno.EADDRNOTAVAIL
    except (OSError, ValueError, OverflowError) as problem:
        code = problem.errno if isinstance(problem, OSError) else 0
        return code if code in (errno.EADDRINUSE, errno.EADDRNOTAVAIL) else 0
    return 0
