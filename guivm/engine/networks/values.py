"""Frozen values about virtual networks. No libvirt, no lxml: views and the command line use them."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from guivm.engine.types import HostId


class NetworkMode(enum.Enum):
    """How a network reaches the world; the values are libvirt's ``<forward mode=…>``, but for ISOLATED and OTHER."""

    NAT = "nat"
    ROUTED = "route"
    ISOLATED = "isolated"  # no <forward>
    OPEN = "open"
    OTHER = "other"  # a bridge of the host's, macvtap, SR-IOV: made by other tools, shown as it is


@dataclass(frozen=True, slots=True)
class NetworkUser:
    """A VM with a card on the network."""

    name: str
    uuid: str
    is_active: bool


@dataclass(frozen=True, slots=True)
class VirtualNetwork:
    """One line of the list. ``addresses`` are the host's on it: "192.168.122.1/24"."""

    host: HostId
    uuid: str
    name: str
    mode: NetworkMode
    forward: str  # libvirt's word for the mode; empty when isolated
    is_active: bool
    autostart: bool
    persistent: bool = True  # False: it is gone when it stops
    bridge: str = ""
    addresses: tuple[str, ...] = ()
    has_dhcp: bool = False
    users: tuple[NetworkUser, ...] = ()


@dataclass(frozen=True, slots=True)
class NetworkList:
    """All networks of a host by name. ``refusal``: why none can be made there, and what to do; empty when they can."""

    networks: tuple[VirtualNetwork, ...]
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class FixedAddress:
    """The same IPv4 address for one card each time. ``name`` is for the network's name server, and may be empty."""

    mac: str
    name: str
    ip: str


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """What the form asks for, as it was typed; :mod:`guivm.engine.networks.rules` judges it.

    ``ipv4``, ``ipv6``: "192.168.100.0/24" (the host takes the first address) or "192.168.100.254/24" (it takes that
    one); empty for none. ``dhcp4``, ``dhcp6``: "192.168.100.2 - 192.168.100.254", several divided by commas; empty for
    none. ``device``: the only interface of the host that packets may leave by; empty for any. ``bridge`` empty:
    libvirt finds a name.
    """

    name: str
    mode: NetworkMode
    ipv4: str = ""
    dhcp4: str = ""
    ipv6: str = ""
    dhcp6: str = ""
    device: str = ""
    domain: str = ""
    bridge: str = ""
    autostart: bool = True
    fixed: tuple[FixedAddress, ...] = ()


class NetworkField(enum.Enum):
    """The field of the form that a problem belongs to."""

    NAME = "name"
    MODE = "mode"
    IPV4 = "ipv4"
    DHCP4 = "dhcp4"
    IPV6 = "ipv6"
    DHCP6 = "dhcp6"
    DEVICE = "device"
    DOMAIN = "domain"
    BRIDGE = "bridge"
    FIXED = "fixed"


@dataclass(frozen=True, slots=True)
class NetworkProblem:
    """One sentence to show beside a field. ``row``: of the table of fixed addresses. A warning prevents nothing."""

    field: NetworkField
    message: str
    is_warning: bool = False
    row: int | None = None


@dataclass(frozen=True, slots=True)
class NetworkOffer:
    """What a new network could be: ``spec`` clashes with nothing known; ``ipv6`` is a range to go with it."""

    spec: NetworkSpec
    ipv6: str
    devices: tuple[str, ...] = ()  # interfaces of the host; empty when not known


@dataclass(frozen=True, slots=True)
class NetworkDetails:
    """One network with its definition. ``waits``: names of fields in which what runs differs from the definition."""

    network: VirtualNetwork
    spec: NetworkSpec
    xml: str
    waits: tuple[NetworkField, ...] = ()
    devices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NetworkChange:
    """What became of an edit: fields in force now, and fields that wait until the network starts again."""

    live: tuple[NetworkField, ...] = field(default=())
    waits: tuple[NetworkField, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Lease:
    """An address given out. ``expires_s``: seconds since 1970; 0 for ever. ``vm``: who has that card, if known."""

    mac: str
    ip: str  # "192.168.122.57/24"
    name: str = ""
    vm: str = ""
    expires_s: int = 0
