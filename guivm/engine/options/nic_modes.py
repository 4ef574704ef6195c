"""What a network card is connected to, as one value.

As a text: ``user``, ``network:NAME``, ``bridge:NAME``, ``direct:CARD`` or ``direct:CARD:MODE`` (macvtap),
``hostdev:0000:01:00.1`` (a PCI device of the host), ``none``. No connection is a user-mode card whose cable is
unplugged, as QEMU has no card without a network. Other kinds are shown by libvirt's word and left alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from guivm.engine.options.devices import is_test
from guivm.engine.options.nic_models import drop_virtio
from guivm.engine.options.option import Item, N, Situation, Value
from guivm.engine.options.port_forwards import drop_forwards
from guivm.engine.xml.interface import Interface

TAP_TYPES = frozenset({"network", "bridge", "direct", "ethernet"})
SWITCHED_TYPES = frozenset({"network", "bridge"})
FILTER_TYPES = frozenset({"network", "bridge", "ethernet"})
BANDWIDTH_TYPES = frozenset({"network", "bridge", "direct", "ethernet"})
MTU_TYPES = frozenset({"network", "bridge", "ethernet", "vhostuser"})
DIRECT_MODES = ("vepa", "bridge", "private", "passthrough")


def unless(types: frozenset[str], reason: str) -> Callable[[Situation, Interface], str]:
    """``refusal`` of an option that only some of libvirt's types of connection have."""
    return lambda _situation, nic: "" if nic.type in types else reason


_PCI = re.compile(r"([0-9a-fA-F]{4}):([0-9a-fA-F]{2}):([0-9a-fA-F]{2})\.([0-7])", re.ASCII)


def parse_pci(text: str) -> tuple[int, int, int, int]:
    """ "0000:01:00.1" in its four numbers. Raises ValueError."""
    match = _PCI.fullmatch(text)
    if match is None:
        raise ValueError(f"“{text[:40]}” is no PCI address; one looks like “0000:01:00.1”.")
    domain, bus, slot, function = (int(part, 16) for part in match.groups())
    return domain, bus, slot, function


def get_mode(nic: Interface) -> Value | None:
    match nic.type:
        case "user":
            return "none" if nic.link_state == "down" else "user"
        case "network":
            return f"network:{nic.source_network or ''}"
        case "bridge":
            return f"bridge:{nic.source_bridge or ''}"
        case "direct":
            return f"direct:{nic.source_dev or ''}" + (f":{nic.source_mode}" if nic.source_mode else "")
        case "hostdev" if nic.source_node.host_device.pci:
            return f"hostdev:{nic.source_node.host_device.pci}"
        case other:
            return other


def set_mode(nic: Interface, value: Value | None) -> None:
    """Connect the card to something else, and change nothing but what the new connection cannot have.

    None is user mode. Raises ValueError with a sentence for a text that is no mode.
    """
    text = "user" if value is None else str(value)
    if text == get_mode(nic):
        return
    kind, colon, rest = text.partition(":")
    known = {"user", "network", "bridge", "direct", "hostdev", "none"}
    if (
        kind not in known
        or bool(colon) != (kind not in ("user", "none"))
        or (colon and not rest)
        or not text.isprintable()
    ):
        raise ValueError(
            f"“{text[:60]}” is no connection: use user, network:NAME, bridge:NAME, direct:CARD:bridge, "
            "hostdev:0000:01:00.1 or none."
        )
    pci = parse_pci(rest) if kind == "hostdev" else None
    card, _, direct_mode = rest.partition(":")
    if kind == "direct" and (not card or (direct_mode and direct_mode not in DIRECT_MODES)):
        raise ValueError(
            f"A macvtap connection is written “direct:CARD:MODE”, its mode one of {', '.join(DIRECT_MODES)}."
        )
    was_none = get_mode(nic) == "none"
    _change_type(nic, "user" if kind == "none" else kind)
    if kind == "none":
        nic.link_state = "down"
    elif was_none:
        nic.link_state = None
    match kind:
        case "network":
            nic.source_network = rest
        case "bridge":
            nic.source_bridge = rest
        case "direct":
            nic.source_dev, nic.source_mode = card, direct_mode or None
        case "hostdev" if pci is not None:
            nic.managed = True
            nic.source_node.host_device.type = "pci"
            nic.source_node.host_device.set_pci(*pci)


def _change_type(nic: Interface, new: str) -> None:
    old = nic.type
    if (old, new) != ("user", "user"):
        nic.source_node.remove()
    if old == new:
        return
    if old == "user":
        drop_forwards(nic)
        nic.backend_type = nic.backend_log_file = None
        nic.ips.clear()
    nic.type = new
    nic.virtual_port.remove()
    if new not in TAP_TYPES:
        nic.queues = None
        nic.driver_name = nic.tx_mode = None
        nic.target_dev = nic.target_managed = None
        nic.backend_tap = nic.backend_vhost = None
        nic.send_buffer_bytes = None
        nic.trust_guest_rx_filters = None
    if new != "ethernet":
        nic.script = nic.down_script = None
    if new not in FILTER_TYPES:
        nic.filter_ref.remove()
    if new not in BANDWIDTH_TYPES:
        nic.bandwidth.remove()
    if new not in MTU_TYPES:
        nic.mtu = None
    if new not in SWITCHED_TYPES:
        nic.port_isolated = None
        nic.coalesce_rx_frames = None
        nic.vlan.remove()
    if new == "hostdev":
        nic.model = nic.link_state = None
        drop_virtio(nic)
        nic.address.remove()
    elif old == "hostdev":
        nic.managed = nic.driver_name = None
        nic.model = "virtio"
        nic.address.remove()


# --- in words ---------------------------------------------------------------------------------------------

_NETWORKS = {
    "nat": N("NAT network"),
    "route": N("Routed network"),
    "open": N("Open network"),
    "isolated": N("Isolated network"),
    "bridge": N("Network on a bridge"),
    "hostdev": N("Network of host devices"),
}


def mode_words(situation: Situation, nic: Interface) -> str:
    """One line for the list: "NAT network “default”"."""
    match nic.type:
        case "user":
            if nic.link_state == "down":
                return N("Not connected")
            return N("User mode (passt)") if nic.backend_type == "passt" else N("User mode (NAT)")
        case "network":
            name = nic.source_network or ""
            fact = next((each for each in situation.facts.networks if each.name == name), None)
            return f"{_NETWORKS.get(fact.mode if fact is not None else '', N('Virtual network'))} “{name}”"
        case "bridge":
            return f"Bridge {nic.source_bridge or ''}".strip()
        case "direct":
            return f"Macvtap on {nic.source_dev or '?'}"
        case "hostdev":
            return f"Device of the host {nic.source_node.host_device.pci}".strip()
        case "vhostuser":
            return "vhost-user"
        case other:
            return other or N("unknown")


def connection_words(text: str) -> str:
    """A text of :func:`get_mode` for a list of changes; what the host knows of a network is not asked."""
    kind, _, rest = text.partition(":")
    match kind:
        case "user":
            return N("User mode (NAT)")
        case "none":
            return N("Not connected")
        case "network":
            return f"{N('Virtual network')} “{rest}”"
        case "bridge":
            return f"Bridge {rest}".strip()
        case "direct":
            card, _, mode = rest.partition(":")
            return f"Macvtap on {card or '?'}" + (f" ({mode})" if mode else "")
        case "hostdev" if rest:
            return f"Device of the host {rest}"
        case "vhostuser":
            return "vhost-user"
    return text


def mode_items(situation: Situation, nic: Interface) -> Sequence[Item]:
    """All connections to choose from on this host, those that cannot be had with the reason. Values are texts of
    :func:`set_mode`; one that ends in ":" stands for a whole kind of which the host has none."""
    facts = situation.facts
    session = N("An ordinary user's virtual machines may not use the host's networks; user mode works for them.")
    refusal = session if facts.is_session else ""
    found = [
        Item(
            "user",
            N("User mode (NAT)"),
            N("Reaches out, is reached by port forwards only; needs no rights on the host."),
        ),
    ]
    for network in facts.networks:
        notes = {
            "nat": N("Reaches out through the host; guests of the same network reach each other."),
            "isolated": N("Guests of the same network and the host only: no way out."),
            "route": N("The host routes; your router must know the way back."),
            "open": N("Routed, with no firewall rules of libvirt's."),
        }
        note = notes.get(network.mode, "") if network.active else N("It is not running; the VM starts only when it is.")
        label = f"{_NETWORKS.get(network.mode, N('Virtual network'))} “{network.name}”"
        found.append(Item(f"network:{network.name}", label, note))
    if not facts.networks:
        found.append(Item("network:", N("NAT network"), "", refusal or N("This host has no virtual networks yet.")))
    bridges = [each for each in facts.interfaces if each.is_bridge]
    on_network = N("A full member of your network: it gets an address there, and everyone there can reach it.")
    for bridge in bridges:
        found.append(Item(f"bridge:{bridge.name}", f"Bridge {bridge.name}", on_network, refusal))
    if not bridges:
        found.append(Item("bridge:", N("Bridge"), on_network, refusal or N("This host has no bridge.")))
    found += _macvtap_items(situation, refusal)
    functions = [each for each in facts.interfaces if each.is_virtual_function and each.pci_address]
    direct = N("The guest drives real hardware: fastest, but it can neither be saved nor moved.")
    for function in functions:
        label = f"Device of the host {function.name} ({function.pci_address})"
        found.append(Item(f"hostdev:{function.pci_address}", label, direct, refusal))
    if not functions:
        reason = N("This host has no virtual functions (SR-IOV).")
        found.append(Item("hostdev:", N("Device of the host (SR-IOV)"), direct, refusal or reason))
    found.append(Item("none", N("Not connected"), N("The card is there, with its cable unplugged.")))
    if is_test(situation):
        found = [Item(each.value, each.label, each.note) for each in found if not str(each.value).endswith(":")]
    present = get_mode(nic)
    if present is not None and all(each.value != present for each in found):
        found.append(Item(present, mode_words(situation, nic)))
    return found


def _macvtap_items(situation: Situation, refusal: str) -> list[Item]:
    cards = [
        each
        for each in situation.facts.interfaces
        if not each.is_bridge and not each.is_virtual_function and each.name != "lo"
    ]
    note = N("A member of your network without a bridge; but host and guest cannot reach each other.")
    wireless = N("A Wi-Fi access point takes one address per card only, so the guest's packets would be dropped.")
    found = [
        Item(
            f"direct:{card.name}:bridge",
            f"Macvtap on {card.name}",
            note,
            refusal or (wireless if card.is_wireless else ""),
        )
        for card in cards
    ]
    return found or [Item("direct:", N("Macvtap"), note, refusal or N("This host has no network card for it."))]
