"""What a running network takes at once: DHCP ranges and fixed addresses (virNetworkUpdate). Worker only.

libvirt adds and deletes ranges, but does not modify them (``virNetworkDefUpdateIPDHCPRange``); a fixed address that
shares MAC, name or IP with another is refused. So everything that goes, goes before anything comes.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from guivm.engine.networks.definition import interface_text, ip_of
from guivm.engine.networks.values import NetworkField
from guivm.engine.xml.document import new_element, to_text
from guivm.engine.xml.network import DhcpHost, DhcpRange, NetworkIp, NetworkXml

if TYPE_CHECKING:
    import libvirt

_F = NetworkField


@dataclass(frozen=True, slots=True)
class LiveStep:
    """One call. ``parent``: index of the ``<ip>``."""

    adds: bool
    is_host: bool
    parent: int
    xml: str

    @property
    def opposite(self) -> LiveStep:
        return LiveStep(not self.adds, self.is_host, self.parent, self.xml)


def live_steps(
    running: NetworkXml, wanted: NetworkXml, changed: tuple[NetworkField, ...]
) -> tuple[tuple[LiveStep, ...], tuple[NetworkField, ...]]:
    """The steps that bring the running network to ``wanted``, and the fields of ``changed`` that they are for."""
    steps: list[LiveStep] = []
    fields: list[NetworkField] = []
    for version, ranges, hosts in ((4, _F.DHCP4, _F.FIXED), (6, _F.DHCP6, None)):
        now, then = ip_of(running, version), ip_of(wanted, version)
        if now is None or then is None or interface_text(now[1]) != interface_text(then[1]):
            continue
        index = now[0]
        if ranges in changed:
            steps += _steps(_ranges(now[1]), _ranges(then[1]), index, is_host=False)
            fields.append(ranges)
        if hosts is not None and hosts in changed:
            steps += _steps(_hosts(now[1]), _hosts(then[1]), index, is_host=True)
            fields.append(hosts)
    return tuple(sorted(steps, key=lambda step: step.adds)), tuple(fields)


def _steps(
    now: dict[tuple[str, ...], str], then: dict[tuple[str, ...], str], parent: int, *, is_host: bool
) -> list[LiveStep]:
    gone = [LiveStep(False, is_host, parent, xml) for key, xml in now.items() if key not in then]
    come = [LiveStep(True, is_host, parent, xml) for key, xml in then.items() if key not in now]
    return gone + come


def _ranges(ip: NetworkIp) -> dict[tuple[str, ...], str]:
    found: dict[tuple[str, ...], str] = {}
    for each in ip.dhcp_ranges:
        copy = DhcpRange(new_element("range"))
        copy.start, copy.end = each.start, each.end
        if each.lease.exists:
            copy.lease.expiry, copy.lease.unit = each.lease.expiry, each.lease.unit
        found[each.start or "", each.end or ""] = to_text(copy.make())
    return found


def _hosts(ip: NetworkIp) -> dict[tuple[str, ...], str]:
    found: dict[tuple[str, ...], str] = {}
    for each in ip.dhcp_hosts:
        copy = DhcpHost(new_element("host"))
        copy.mac, copy.id, copy.name, copy.ip = each.mac, each.id, each.name, each.ip
        if each.lease.exists:
            copy.lease.expiry, copy.lease.unit = each.lease.expiry, each.lease.unit
        found[(each.mac or "").lower(), each.id or "", each.name or "", each.ip or ""] = to_text(copy.make())
    return found


def take(network: libvirt.virNetwork, steps: tuple[LiveStep, ...]) -> None:
    """All of them, or none: what was done before a failure is undone. Raises libvirtError."""
    import libvirt

    done: list[LiveStep] = []
    try:
        for step in steps:
            _call(network, step)
            done.append(step)
    except libvirt.libvirtError:
        undo(network, tuple(done))
        raise


def undo(network: libvirt.virNetwork, steps: tuple[LiveStep, ...]) -> None:
    """The opposite of each, as far as it goes: the failure that led here is what the person hears of."""
    import libvirt

    for step in sorted((step.opposite for step in reversed(steps)), key=lambda step: step.adds):
        with contextlib.suppress(libvirt.libvirtError):
            _call(network, step)


def _call(network: libvirt.virNetwork, step: LiveStep) -> None:
    import libvirt

    network.update(
        libvirt.VIR_NETWORK_UPDATE_COMMAND_ADD_LAST if step.adds else libvirt.VIR_NETWORK_UPDATE_COMMAND_DELETE,
        libvirt.VIR_NETWORK_SECTION_IP_DHCP_HOST if step.is_host else libvirt.VIR_NETWORK_SECTION_IP_DHCP_RANGE,
        step.parent,
        step.xml,
        libvirt.VIR_NETWORK_UPDATE_AFFECT_LIVE,
    )
