"""Network cards. (formatdomain.html, "Network interfaces")"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from guivm.engine.options import nic_modes
from guivm.engine.options.devices import (
    Known,
    checked,
    free_mac,
    is_test,
    label_of,
    listing,
    one_of,
    random_mac,
    reader,
    since,
    when,
    with_present,
    words,
)
from guivm.engine.options.drives import set_boot_order
from guivm.engine.options.nic_bandwidth import LIMITS
from guivm.engine.options.nic_models import MODELS, is_virtio, set_model
from guivm.engine.options.nic_offloads import OFFLOADS
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
from guivm.engine.options.phrase import Phrase
from guivm.engine.options.port_forwards import (
    drop_forwards,
    get_forwards,
    read_forwards,
    rename_owner,
    set_forwards,
    write_forwards,
)
from guivm.engine.xml.domain import Devices, DomainXml
from guivm.engine.xml.interface import Interface

_is_user = when(Interface.type, "user")


def _is_virtio_tap(_situation: Situation, nic: Interface) -> bool:
    return is_virtio(nic) and nic.type in nic_modes.TAP_TYPES


# --- address, link ----------------------------------------------------------------------------------------


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
    text = checked(check_mac, str(value))
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
    too_old = since(situation, 9, 1, N("It needs libvirt 9.1, and the program passt on the host."))
    if too_old or situation.facts.has_passt is not False:
        return too_old
    return N("The host lacks the program passt; install it there.")


_BACKENDS = (
    Known(
        "passt",
        N("passt"),
        N("A program beside QEMU: quicker, with IPv6; the host must have it."),
    ),
)

# --- filters ----------------------------------------------------------------------------------------------


def _filter_items(situation: Situation, nic: Interface) -> Sequence[Item]:
    known = (Item(name, name) for name in situation.facts.filters)
    return with_present([Item(None, N("None")), *known], nic.filter_ref.filter or None)


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


_ISOLATION = nic_modes.unless(
    nic_modes.SWITCHED_TYPES, N("Ports can be isolated on a virtual network or a bridge only.")
)
_MTU = nic_modes.unless(nic_modes.MTU_TYPES, N("The host decides on the packet size in this mode."))


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
        Custom(
            "nic-mode",
            "user, network:NAME, bridge:NAME, direct:CARD:bridge, hostdev:ADDRESS, none",
            words=nic_modes.connection_words,
        ),
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
        *one_of(MODELS, Interface.model, write=set_model, default=N("libvirt's choice")),
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
        *one_of(
            _BACKENDS,
            Interface.backend_type,
            write=_set_backend,
            path="interface/backendType",
            default=N("QEMU itself (slirp)"),
            refuse=_backend_refusal,
            more=False,
        ),
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
        *one_of(_DRIVERS, Interface.driver_name, default=N("In the kernel where it can")),
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
    *LIMITS,
    *OFFLOADS,
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
        nodes=listing(Devices.interfaces),
        options=_OPTIONS,
        summary=_summary,
        name=lambda nic: Phrase(N("Network card {}"), nic.mac or ""),
        identity=lambda nic: (nic.mac or "").lower(),
        keywords="ethernet interface internet lan nic adapter",
        add=_add,
        remove=_remove,
        hotplug=True,
    ),
)
