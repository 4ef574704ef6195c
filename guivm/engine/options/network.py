"""Network cards. (formatdomain.html, "Network interfaces")"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from guivm.engine.options import nic_modes
from guivm.engine.options.devices import Known, choice, free_mac, is_test, label_of, random_mac, reader, since, words
from guivm.engine.options.drives import set_boot_order
from guivm.engine.options.option import (
    Choice,
    Custom,
    Group,
    Item,
    Line,
    N,
    Number,
    Option,
    Resource,
    Situation,
    Switch,
    Value,
    stored,
)
from guivm.engine.options.port_forwards import (
    drop_forwards,
    get_forwards,
    read_forwards,
    rename_owner,
    set_forwards,
    write_forwards,
)
from guivm.engine.xml.domain import DomainXml
from guivm.engine.xml.interface import Bandwidth, GuestOffloads, HostOffloads, Interface
from guivm.engine.xml.properties import Property

MODELS = (
    Known("virtio", N("VirtIO"), N("Made for virtual machines and the fastest; Windows needs a driver for it.")),
    Known("e1000e", N("Intel 82574L (e1000e)"), N("Gigabit card that systems since 2010 know; for q35 machines.")),
    Known("e1000", N("Intel 82540EM (e1000)"), N("Gigabit card that nearly every older system knows.")),
    Known("igb", N("Intel 82576 (igb)"), N("Server card with many queues; needs QEMU 8.")),
    Known("rtl8139", N("Realtek RTL8139"), N("100 Mbit/s, known to very old systems; slow.")),
    Known("vmxnet3", N("VMware VMXNET3"), N("For machines that come from VMware.")),
    Known("pcnet", N("AMD PCnet"), N("For systems of the nineties.")),
    Known("ne2k_pci", N("NE2000"), N("For the oldest systems; very slow.")),
    Known("virtio-transitional", N("VirtIO, old and new drivers")),
    Known("virtio-non-transitional", N("VirtIO, new drivers only")),
)


def _is_virtio(_situation: Situation, nic: Interface) -> bool:
    return (nic.model or "").startswith("virtio")


def _is_user(_situation: Situation, nic: Interface) -> bool:
    return nic.type == "user"


def _is_virtio_tap(situation: Situation, nic: Interface) -> bool:
    return _is_virtio(situation, nic) and nic.type in nic_modes.TAP_TYPES


# --- model, address, link ---------------------------------------------------------------------------------


def _set_model(nic: Interface, value: Value | None) -> None:
    """Another kind of card: what only VirtIO has goes, and the address with it."""
    model = None if value is None else str(value)
    if model == nic.model:
        return
    was_virtio, is_virtio = (nic.model or "").startswith("virtio"), (model or "").startswith("virtio")
    nic.model = model
    if was_virtio and is_virtio:
        return
    nic.address.remove()
    if was_virtio:
        drop_virtio(nic)


def drop_virtio(nic: Interface) -> None:
    """Take out what only a VirtIO card can have."""
    nic.driver_name = nic.tx_mode = None
    nic.queues = nic.rx_queue_size = nic.tx_queue_size = None
    nic.ioeventfd = nic.event_idx = nic.rss = nic.rss_hash_report = None
    nic.iommu = nic.ats = nic.packed = nic.page_per_vq = None
    nic.host_offloads.remove()
    nic.guest_offloads.remove()


_MAC = re.compile(r"[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){5}", re.ASCII)


def check_mac(text: str) -> str:
    """Why a text cannot be a card's MAC address, or ""; "new" asks for one by chance."""
    if text == "new":
        return ""
    if _MAC.fullmatch(text) is None:
        return N("A MAC address is six pairs of hexadecimal digits, as 52:54:00:12:34:56.")
    if int(text[:2], 16) & 1:
        return N("The second digit is odd, which stands for a group; a card needs an address of its own.")
    return N("A card cannot have the address of zeroes.") if not text.strip("0:") else ""


def _set_mac(nic: Interface, value: Value | None) -> None:
    if value is None:
        rename_owner(nic, None)
        return
    text = str(value)
    problem = check_mac(text)
    if problem:
        raise ValueError(problem)
    rename_owner(nic, random_mac() if text == "new" else text.lower())


def _get_link(nic: Interface) -> Value | None:
    return None if nic.link_state is None else nic.link_state == "up"


def _set_link(nic: Interface, value: Value | None) -> None:
    nic.link_state = None if value is None else ("up" if value else "down")


def _link_refusal(_situation: Situation, nic: Interface) -> str:
    return N("A device of the host has a real plug; it cannot be pulled from here.") if nic.type == "hostdev" else ""


# --- user mode --------------------------------------------------------------------------------------------


def _set_backend(nic: Interface, value: Value | None) -> None:
    """Its port forwards move along, as each kind keeps them in another place."""
    new = None if value is None else str(value)
    if new == nic.backend_type:
        return
    forwards = read_forwards(nic)
    drop_forwards(nic)
    nic.backend_type = new
    if new != "passt":
        nic.backend_log_file = nic.source_dev = None
        forwards = tuple(forward for forward in forwards if ":" not in forward.address)
    if forwards:
        write_forwards(nic, forwards)


def _backend_refusal(situation: Situation, _nic: Interface, _backend: str) -> str:
    return since(situation, 9, 1, N("It needs libvirt 9.1, and the program passt on the host."))


_BACKENDS = (
    Known(
        "passt",
        N("passt"),
        N("A program beside QEMU: quicker, with IPv6; the host must have it."),
    ),
)

# --- filters ----------------------------------------------------------------------------------------------


def _filter_items(situation: Situation, nic: Interface) -> Sequence[Item]:
    present = nic.filter_ref.filter
    names = dict.fromkeys((*situation.facts.filters, *((present,) if present else ())))
    return (Item(None, N("None")), *(Item(name, name) for name in names))


def _filter_refusal(situation: Situation, nic: Interface) -> str:
    if nic.type not in nic_modes.FILTER_TYPES:
        return N("Filters work on a virtual network or a bridge; this card is on neither.")
    if not situation.facts.filters and nic.filter_ref.filter is None:
        return N("This host has no network filters.")
    return ""


def _set_filter(nic: Interface, value: Value | None) -> None:
    if value is None:
        nic.filter_ref.remove()
    elif str(value) != nic.filter_ref.filter:
        nic.filter_ref.parameters.clear()
        nic.filter_ref.filter = str(value)


def _only(types: frozenset[str], reason: str) -> Callable[[Situation, Interface], str]:
    return lambda _situation, nic: "" if nic.type in types else reason


_ISOLATION = _only(nic_modes.SWITCHED_TYPES, N("Ports can be isolated on a virtual network or a bridge only."))
_MTU = _only(nic_modes.MTU_TYPES, N("The host decides on the packet size in this mode."))
_BANDWIDTH = _only(nic_modes.BANDWIDTH_TYPES, N("The host cannot limit a card in this mode."))


# --- limits and offloads ----------------------------------------------------------------------------------


def _bandwidth(option_id: str, label: str, help_text: str, declared: Property[int], unit: str) -> Option[Interface]:
    """Peak and burst mean nothing to libvirt without the average: they come and go with it."""
    get, write = stored(declared, Interface.bandwidth)
    inbound = option_id.startswith("inbound")
    average = Bandwidth.inbound_average if inbound else Bandwidth.outbound_average
    others = (
        (Bandwidth.inbound_peak, Bandwidth.inbound_burst)
        if inbound
        else (Bandwidth.outbound_peak, Bandwidth.outbound_burst)
    )
    is_average = declared is average

    def set_value(nic: Interface, value: Value | None) -> None:
        write(nic, value)
        if is_average and value is None:
            for other in others:
                other.__set__(nic.bandwidth, None)

    def has_average(_situation: Situation, nic: Interface) -> bool:
        return average.__get__(nic.bandwidth, Bandwidth) is not None

    return Option(
        option_id,
        label,
        help_text,
        Number(1, (1 << 31) - 1, unit),
        get,
        set_value,
        more=True,
        live=True,
        keywords="bandwidth limit speed qos throttle",
        default=N("unlimited"),
        refusal=_BANDWIDTH,
        shown=None if is_average else has_average,
    )


_LIMIT_IN = N("The most that the guest receives on average; keeps it from crowding out others.")
_LIMIT_OUT = N("The most that the guest sends on average; keeps it from crowding out others.")
_PEAK = N("How fast it may be in a burst above the average.")
_BURST = N("How much may pass at peak speed before the average holds.")

_LIMITS = (
    _bandwidth("inbound", N("Limit: received"), _LIMIT_IN, Bandwidth.inbound_average, "KiB/s"),
    _bandwidth("inbound-peak", N("Received at most"), _PEAK, Bandwidth.inbound_peak, "KiB/s"),
    _bandwidth("inbound-burst", N("Received in a burst"), _BURST, Bandwidth.inbound_burst, "KiB"),
    _bandwidth("outbound", N("Limit: sent"), _LIMIT_OUT, Bandwidth.outbound_average, "KiB/s"),
    _bandwidth("outbound-peak", N("Sent at most"), _PEAK, Bandwidth.outbound_peak, "KiB/s"),
    _bandwidth("outbound-burst", N("Sent in a burst"), _BURST, Bandwidth.outbound_burst, "KiB"),
)

_CHECKSUM = N("Leaves checksums to the other side, which saves work; switch off when old guests drop DHCP packets.")
_SEGMENTS = N(
    "Lets large packets through in one piece, which is much faster; switch off to see real packets in traces."
)
_UFO = N("The same for UDP: helps rarely, and today's kernels have given it up.")
_ECN = N("Hands large packets through although congestion is signalled in them.")
_MERGE = N("Receives large packets in several small buffers; off saves a little work with small packets only.")


def _offload(option_id: str, label: str, help_text: str, declared: Property[bool], host: bool) -> Option[Interface]:
    get, write = stored(declared, Interface.host_offloads if host else Interface.guest_offloads)
    return Option(
        option_id,
        label,
        help_text,
        Switch(True),
        get,
        write,
        more=True,
        keywords="offload checksum csum tso gso ufo segmentation",
        shown=_is_virtio,
    )


_OFFLOADS = (
    _offload("host-csum", N("Host: checksums"), _CHECKSUM, HostOffloads.csum, True),
    _offload("host-gso", N("Host: segments of any kind (GSO)"), _SEGMENTS, HostOffloads.gso, True),
    _offload("host-tso4", N("Host: TCP segments, IPv4 (TSO)"), _SEGMENTS, HostOffloads.tso4, True),
    _offload("host-tso6", N("Host: TCP segments, IPv6 (TSO)"), _SEGMENTS, HostOffloads.tso6, True),
    _offload("host-ecn", N("Host: segments with ECN"), _ECN, HostOffloads.ecn, True),
    _offload("host-ufo", N("Host: UDP fragments (UFO)"), _UFO, HostOffloads.ufo, True),
    _offload("mergeable-buffers", N("Mergeable receive buffers"), _MERGE, HostOffloads.mergeable_buffers, True),
    _offload("guest-csum", N("Guest: checksums"), _CHECKSUM, GuestOffloads.csum, False),
    _offload("guest-tso4", N("Guest: TCP segments, IPv4 (TSO)"), _SEGMENTS, GuestOffloads.tso4, False),
    _offload("guest-tso6", N("Guest: TCP segments, IPv6 (TSO)"), _SEGMENTS, GuestOffloads.tso6, False),
    _offload("guest-ecn", N("Guest: segments with ECN"), _ECN, GuestOffloads.ecn, False),
    _offload("guest-ufo", N("Guest: UDP fragments (UFO)"), _UFO, GuestOffloads.ufo, False),
)

_DRIVERS = (
    Known("vhost", N("In the host's kernel (vhost)"), N("Least work for QEMU; needs the module vhost_net.")),
    Known("qemu", N("In QEMU"), N("Slower, but nothing of the guest's reaches the kernel directly.")),
)

_OPTIONS: tuple[Option[Interface], ...] = (
    Option(
        "mode",
        N("Connected to"),
        N(
            "Where its packets go: user mode and NAT hide the guest behind the host, a bridge or macvtap puts it on "
            "your network for all to see."
        ),
        Custom("nic-mode", "user, network:NAME, bridge:NAME, direct:CARD:bridge, hostdev:ADDRESS, none"),
        nic_modes.get_mode,
        nic_modes.set_mode,
        live=True,
        keywords="nat bridge macvtap isolated user slirp passt network sr-iov source connection",
    ),
    Option(
        "model",
        N("Model"),
        N(
            "Which card the guest sees: VirtIO is by far the fastest, Intel cards work without a driver of ours. "
            "Another kind gives up queues and offloads, and the guest sees a new card."
        ),
        choice(MODELS, reader(Interface.model), default=N("libvirt's choice")),
        reader(Interface.model),
        _set_model,
        keywords="virtio e1000 e1000e rtl8139 card driver",
        refusal=lambda _s, nic: N("The guest sees the host's device itself.") if nic.type == "hostdev" else "",
    ),
    Option(
        "mac",
        N("MAC address"),
        N(
            "The card's address on its network, different from all others there; guests may see another one as "
            "another card. “new” draws one."
        ),
        Line("52:54:00:12:34:56", 17, check_mac),
        reader(Interface.mac),
        _set_mac,
        keywords="hardware address ethernet",
        default=N("drawn by libvirt"),
    ),
    Option(
        "link",
        N("Cable plugged in"),
        N("Pull the cable, or plug it in, while the VM runs: shows how the guest copes with a dead network."),
        Switch(True),
        _get_link,
        _set_link,
        live=True,
        keywords="link up down cable connect disconnect",
        refusal=_link_refusal,
    ),
    Option(
        "port-forwards",
        N("Port forwards"),
        N(
            "Ports of the host that lead into the guest; at 127.0.0.1 only this computer reaches them, at 0.0.0.0 or "
            "* every computer of the network does."
        ),
        Custom("port-forwards", "tcp:127.0.0.1:2222:22,…"),
        get_forwards,
        set_forwards,
        live=True,
        shown=_is_user,
        keywords="hostfwd ssh port redirect expose listen 0.0.0.0",
        default=N("none"),
    ),
    Option(
        "backend",
        N("User mode by"),
        N("Who carries the packets: QEMU's own slirp is always there, passt is quicker and has IPv6."),
        choice(
            _BACKENDS,
            reader(Interface.backend_type),
            path="interface/backendType",
            refuse=_backend_refusal,
            more=False,
            default=N("QEMU itself (slirp)"),
        ),
        reader(Interface.backend_type),
        _set_backend,
        shown=_is_user,
        more=True,
        keywords="slirp passt",
    ),
    Option(
        "boot-order",
        N("Boot position"),
        N("1 is tried first: the guest then boots over the network (PXE), if a server there answers."),
        Number(1, 999),
        reader(Interface.boot_order),
        set_boot_order,
        keywords="pxe network boot index order",
        default=N("not booted from, or by the machine's order"),
    ),
    Option(
        "filter",
        N("Filter"),
        N(
            "Rules of the host that this card's packets must pass; “clean-traffic” keeps a guest from posing as "
            "another."
        ),
        Choice(_filter_items),
        lambda nic: nic.filter_ref.filter,
        _set_filter,
        live=True,
        more=True,
        refusal=_filter_refusal,
        keywords="nwfilter firewall spoofing clean-traffic",
    ),
    Option(
        "isolated",
        N("Isolated from other guests"),
        N("It cannot exchange packets with other isolated ports of the same bridge, but still with the rest."),
        Switch(False),
        *stored(Interface.port_isolated),
        live=True,
        more=True,
        refusal=_ISOLATION,
        keywords="port isolation private",
    ),
    Option(
        "mtu",
        N("Packet size (MTU)"),
        N("Larger packets carry bulk data with less work; everything on the way must allow them, or they are lost."),
        Number(68, 65535, N("bytes")),
        *stored(Interface.mtu),
        more=True,
        refusal=_MTU,
        keywords="mtu jumbo frames",
        default=N("the network's own"),
    ),
    Option(
        "driver",
        N("Packets are handled"),
        N("In the host's kernel they take the shorter way; in QEMU they are slower and more closely fenced in."),
        choice(_DRIVERS, reader(Interface.driver_name), default=N("In the kernel where it can")),
        *stored(Interface.driver_name),
        more=True,
        shown=_is_virtio_tap,
        keywords="vhost vhost-net",
    ),
    Option(
        "queues",
        N("Queues"),
        N("How many lines for packets it has: one for each processor scales with many connections, each costs memory."),
        Number(1, 256),
        *stored(Interface.queues),
        more=True,
        shown=_is_virtio_tap,
        keywords="multiqueue",
        default="1",
    ),
    *_LIMITS,
    *_OFFLOADS,
)


# --- the page ---------------------------------------------------------------------------------------------


def _summary(situation: Situation, nic: Interface) -> str:
    down = nic.link_state == "down" and nic_modes.get_mode(nic) != "none"
    count = len(read_forwards(nic))
    return words(
        nic_modes.mode_words(situation, nic),
        label_of(MODELS, nic.model),
        N("cable unplugged") if down else "",
        "" if not count else (N("1 port forward") if count == 1 else f"{count} port forwards"),
    )


def _add(situation: Situation) -> Interface:
    """Where and as the VM's first card is; else NAT where a network gives it, user mode where none does."""
    present = list(situation.domain.devices.interfaces)
    like = next((nic for nic in present if nic.type in ("user", "network", "bridge")), None)
    mac = free_mac(situation)
    nic = situation.domain.devices.interfaces.add()
    nic.type, nic.mac = "user", mac
    nic.model = like.model if like is not None and like.model else "virtio"
    if not is_test(situation):
        networks = [net for net in situation.facts.networks if net.mode == "nat" and net.active]
        if like is not None and like.type in ("network", "bridge"):
            nic_modes.set_mode(nic, nic_modes.get_mode(like))
        elif like is None and networks and not situation.facts.is_session:
            nic_modes.set_mode(nic, f"network:{networks[0].name}")
    return nic


def _remove(domain: DomainXml, nic: Interface) -> None:
    """With it go its port forwards."""
    drop_forwards(nic)
    domain.devices.interfaces.remove(nic)


RESOURCES: tuple[Resource[Any], ...] = (
    Resource(
        id="nic",
        title=N("Network card"),
        group=Group.NETWORK,
        icon="network",
        help="network",
        nodes=lambda domain: list(domain.devices.interfaces),
        options=_OPTIONS,
        summary=_summary,
        name=lambda nic: f"Network card {nic.mac or ''}".strip(),
        identity=lambda nic: (nic.mac or "").lower(),
        keywords="ethernet interface internet lan nic adapter",
        add=_add,
        remove=_remove,
        hotplug=True,
    ),
)
