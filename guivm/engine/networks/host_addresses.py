"""Which addresses this computer has, and which it reaches: Linux's tables in /proc/net (proc(5))."""

from __future__ import annotations

import contextlib
import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from guivm.engine.networks.rules import Address, Subnet, TakenSubnet
from guivm.text import clean_line

_RTF_UP, _RTF_GATEWAY = 0x1, 0x2  # linux/route.h
_LOCAL = re.compile(r"\|-- ([0-9.]+)\n\s+/32 host LOCAL")


@dataclass(frozen=True, slots=True)
class Route:
    """A line of a routing table, the default routes left out."""

    subnet: Subnet
    device: str
    by_router: bool


def local_routes(proc: Path = Path("/proc/net")) -> tuple[Route, ...]:
    """Of both IP versions; what cannot be read is left out."""
    return (*_routes4(_text(proc / "route")), *_routes6(_text(proc / "ipv6_route")))


def local_addresses(proc: Path = Path("/proc/net")) -> tuple[Address, ...]:
    """All but loopback and link-local ones."""
    found: dict[Address, None] = {}
    for match in _LOCAL.finditer(_text(proc / "fib_trie")):
        found[ipaddress.IPv4Address(match[1])] = None
    for line in _text(proc / "if_inet6").splitlines():
        with contextlib.suppress(ValueError, IndexError):
            found[ipaddress.IPv6Address(int(line.split()[0], 16))] = None
    return tuple(address for address in found if not address.is_loopback and not address.is_link_local)


def taken_by_routes(routes: tuple[Route, ...], but: frozenset[str]) -> tuple[TakenSubnet, ...]:
    """Of interfaces that are not in ``but``."""
    return tuple(
        TakenSubnet(route.subnet, f"the host's interface {route.device}", is_remote=route.by_router)
        for route in routes
        if route.device not in but
    )


def _routes4(text: str) -> Iterator[Route]:
    for line in text.splitlines()[1:]:
        with contextlib.suppress(ValueError, IndexError):
            words = line.split()
            flags = int(words[3], 16)
            mask = ipaddress.IPv4Address(bytes.fromhex(words[7])[::-1])
            if not flags & _RTF_UP or int(mask) == 0 or words[0] == "lo":
                continue
            first = ipaddress.IPv4Address(bytes.fromhex(words[1])[::-1])
            subnet = ipaddress.IPv4Network(f"{first}/{mask}", strict=False)
            yield Route(subnet, clean_line(words[0], 40), bool(flags & _RTF_GATEWAY))


def _routes6(text: str) -> Iterator[Route]:
    for line in text.splitlines():
        with contextlib.suppress(ValueError, IndexError):
            words = line.split()
            flags, width, device = int(words[8], 16), int(words[1], 16), words[9]
            if not flags & _RTF_UP or width in (0, 128) or device == "lo":
                continue
            subnet = ipaddress.IPv6Network((int(words[0], 16), width), strict=False)
            if not subnet.is_link_local and not subnet.is_multicast:
                yield Route(subnet, clean_line(device, 40), bool(flags & _RTF_GATEWAY))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
