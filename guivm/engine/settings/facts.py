"""What a host offers to a VM of one kind, gathered for the settings. Worker only; nothing is changed.

Each question stands on its own: what a driver cannot answer is noted in ``HostFacts.unknown`` and left empty.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

from guivm.engine import hosts
from guivm.engine.context import HandlerContext
from guivm.engine.libvirt_errors import is_connection_lost, text_of
from guivm.engine.options.facts import (
    CpuModel,
    HostFacts,
    HostInterface,
    NetworkFact,
    OnHostShutdown,
    PageSize,
    RenderNode,
)
from guivm.engine.requests import ReadNetworkFacts
from guivm.engine.settings import host_devices
from guivm.engine.settings.domain_capabilities import DomainOffers, missing_features, read_domain_capabilities
from guivm.engine.settings.host_devices import HostDevices
from guivm.engine.settings.neighbours import Neighbour, NeighbourCache, read_neighbours
from guivm.engine.settings.volumes import with_images_place
from guivm.engine.xml.document import Element, XmlError, parse_xml
from guivm.engine.xml.domain import DomainXml
from guivm.text import clean_line

if TYPE_CHECKING:
    import libvirt

T = TypeVar("T")

_MAX_COMPARED_MODELS = 200
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # a system daemon's, as systemd sets it
_VirtKey = tuple[str, str, str, str]  # emulator, architecture, machine, type


@dataclass(slots=True)
class FactsCache:
    """What was found on one link. The offers of a kind of VM do not change while it lives; the rest ages."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    offers: dict[_VirtKey, DomainOffers] = field(default_factory=dict)
    neighbours: NeighbourCache = field(default_factory=NeighbourCache)
    gathered: dict[_VirtKey, tuple[float, HostFacts]] = field(default_factory=dict)
    devices: tuple[float, HostDevices] | None = None


def host_facts(context: HandlerContext, domain: DomainXml, *, but: str = "", max_age_s: float = 0.0) -> HostFacts:
    """Everything the settings of a VM like ``domain`` want to know; seconds where a host has thousands of VMs.

    ``but``: its own UUID, not one of the others. ``max_age_s``: how old an answer may be that an earlier call got;
    what others do (start, stop, come, go, be renamed) is always seen. Raises libvirtError only when the connection is
    lost, and CancelledError.
    """
    key = _virt_key(domain)
    cache = context.capabilities.beside(FactsCache)
    capabilities = context.capabilities.get(
        context.connection, context.host.id, is_local=context.host.is_local, images_dir=context.images_dir
    )
    capabilities = with_images_place(context, capabilities)
    with cache.lock:
        now_s = time.monotonic()
        known = cache.gathered.get(key)
        asker = _Asker()
        neighbours = asker.ask(
            "others", lambda: read_neighbours(context, cache.neighbours, max_age_s), _no_neighbours()
        )
        if known is not None and now_s - known[0] < max_age_s:
            facts = replace(known[1], capabilities=capabilities)
        else:
            facts = _gather(context, cache, key, asker, HostFacts(capabilities))
            cache.gathered[key] = (now_s, facts)
    others = tuple(neighbour for neighbour in neighbours if neighbour.vm.uuid != but)
    used = host_devices.with_users(HostDevices(usb_devices=facts.usb_devices, pci_devices=facts.pci_devices), others)
    return replace(
        facts,
        usb_devices=used.usb_devices,
        pci_devices=used.pci_devices,
        others=tuple(neighbour.vm for neighbour in others),
    )


def _no_neighbours() -> tuple[Neighbour, ...]:
    return ()


def _virt_key(domain: DomainXml) -> _VirtKey:
    return domain.devices.emulator or "", domain.os.arch or "", domain.os.machine or "", domain.type or ""


class _Asker:
    """Asks questions that may fail, and remembers why they did."""

    def __init__(self) -> None:
        self.unknown: dict[str, str] = {}

    def ask(self, name: str, question: Callable[[], T], otherwise: T) -> T:
        import libvirt

        try:
            return question()
        except libvirt.libvirtError as error:
            if is_connection_lost(error):
                raise
            self.unknown[name] = clean_line(text_of(error), 300)
        except (OSError, XmlError) as error:
            self.unknown[name] = clean_line(str(error), 300)
        return otherwise


def is_session(context: HandlerContext) -> bool:
    """Whether QEMU runs as an ordinary user there: no bridges of its own, no networks."""
    uri = context.host.uri
    if hosts.is_test(uri):
        return False
    if hosts.is_embed(uri):
        import os

        return os.geteuid() != 0
    return uri.partition("?")[0].endswith("/session")


def _gather(context: HandlerContext, cache: FactsCache, key: _VirtKey, asker: _Asker, facts: HostFacts) -> HostFacts:
    connection = context.connection
    offers = asker.ask("offers", lambda: _offers(context, cache, key), DomainOffers())
    devices = asker.ask("devices", lambda: _node_devices(connection), HostDevices())
    for name in ("usb_devices", "pci_devices", "mediated_devices"):
        if "devices" in asker.unknown:
            asker.unknown[name] = asker.unknown["devices"]
    asker.unknown.pop("devices", None)
    nodes = _render_nodes(context, devices)
    facts = replace(
        facts,
        offers=offers.offers,
        cpu_models=offers.cpu_models,
        host_cpu_model=offers.host_cpu_model,
        host_features=offers.host_features,
        networks=asker.ask("networks", lambda: _networks(connection), ()),
        interfaces=asker.ask("interfaces", lambda: _interfaces(context, devices), devices.interfaces),
        filters=asker.ask("filters", lambda: _filters(connection), ()),
        usb_devices=devices.usb_devices,
        pci_devices=devices.pci_devices,
        mediated_devices=devices.mediated_devices,
        render_nodes=nodes,
        render_refusal=_render_refusal(context, offers, nodes),
        page_sizes=asker.ask("page_sizes", lambda: _page_sizes(context), ()),
        ksm_running=asker.ask("ksm_running", lambda: _ksm(context), None),
        secrets=asker.ask("secrets", lambda: _secrets(connection), ()),
        is_session=is_session(context),
        has_passt=_has_passt() if _is_here(context) else None,
        on_shutdown=_on_shutdown(context, facts.capabilities.libvirt_version),
    )
    return replace(facts, unknown=tuple(asker.unknown.items()))


def _is_here(context: HandlerContext) -> bool:
    return context.host.is_local and not hosts.is_test(context.host.uri)


# --- processors -------------------------------------------------------------------------------------------


def _offers(context: HandlerContext, cache: FactsCache, key: _VirtKey) -> DomainOffers:
    if key not in cache.offers:
        emulator, arch, machine, kind = key
        text = context.connection.getDomainCapabilities(
            emulator or None, arch or None, machine or None, kind or None, 0
        )
        found = read_domain_capabilities(str(text))
        cache.offers[key] = replace(found, cpu_models=_with_blockers(context, key, found.cpu_models))
    return cache.offers[key]


def _with_blockers(context: HandlerContext, key: _VirtKey, models: tuple[CpuModel, ...]) -> tuple[CpuModel, ...]:
    """Ask what is missing for each model that is not usable, where the capabilities do not say (libvirt < 9.1)."""
    import libvirt

    if any(model.blockers for model in models) or len(models) > _MAX_COMPARED_MODELS:
        return models
    emulator, arch, machine, kind = key
    found: list[CpuModel] = []
    for model in models:
        blockers: tuple[str, ...] = ()
        if not model.usable:
            context.job.check_cancelled()
            try:
                context.connection.compareHypervisorCPU(
                    emulator or None,
                    arch or None,
                    machine or None,
                    kind or None,
                    f"<cpu mode='custom' match='exact'><model fallback='forbid'>{_escaped(model.name)}</model></cpu>",
                    libvirt.VIR_CONNECT_COMPARE_CPU_FAIL_INCOMPATIBLE,
                )
            except libvirt.libvirtError as error:
                if is_connection_lost(error):
                    raise
                blockers = missing_features(text_of(error))
                if not blockers and error.get_error_code() != libvirt.VIR_ERR_CPU_INCOMPATIBLE:
                    return models  # it cannot compare for this emulator: nor will it for the next model
        found.append(replace(model, blockers=blockers))
    return tuple(found)


def _escaped(text: str) -> str:
    from xml.sax.saxutils import escape

    return escape(text)


# --- networks ---------------------------------------------------------------------------------------------


def _networks(connection: libvirt.virConnect) -> tuple[NetworkFact, ...]:
    found: list[NetworkFact] = []
    for network in connection.listAllNetworks(0):
        root = parse_xml(str(network.XMLDesc(0)), "network")
        forward = root.find("forward")
        bridge = root.find("bridge")
        found.append(
            NetworkFact(
                name=clean_line(str(network.name())),
                mode="isolated" if forward is None else clean_line(forward.get("mode", "nat")),
                active=bool(network.isActive()),
                autostart=bool(network.autostart()),
                bridge="" if bridge is None else clean_line(bridge.get("name", "")),
                addresses=tuple(_address(ip) for ip in root.iterfind("ip")),
            )
        )
    return tuple(sorted(found, key=lambda network: network.name))


def read_network_facts(context: HandlerContext, request: ReadNetworkFacts) -> tuple[NetworkFact, ...]:
    """Handler of ReadNetworkFacts. From now on settings are checked against these. Raises libvirtError, XmlError."""
    networks = _networks(context.connection)
    cache = context.capabilities.beside(FactsCache)
    with cache.lock:
        for key, (at_s, known) in cache.gathered.items():
            cache.gathered[key] = at_s, replace(known, networks=networks)
    return networks


def _has_passt() -> bool:
    """libvirt takes it from its PATH (src/qemu/qemu_passt.c); its capabilities do not tell whether it is there."""
    import os
    import shutil

    return shutil.which("passt", path=f"{os.environ.get('PATH', '')}:{_SYSTEM_PATH}") is not None


def _address(ip: Element) -> str:
    import ipaddress

    address = ip.get("address", "")
    width = ip.get("prefix") or ip.get("netmask")
    if not width:
        return clean_line(address)
    try:
        return str(ipaddress.ip_interface(f"{address}/{width}"))
    except ValueError:
        return clean_line(f"{address}/{width}")


def _interfaces(context: HandlerContext, devices: HostDevices) -> tuple[HostInterface, ...]:
    if _is_here(context):
        return host_devices.local_interfaces()
    listed = host_devices.read_host_interfaces(
        str(interface.XMLDesc(0)) for interface in context.connection.listAllInterfaces(0)
    )
    names = {interface.name for interface in listed}
    return (*listed, *(interface for interface in devices.interfaces if interface.name not in names))


def _filters(connection: libvirt.virConnect) -> tuple[str, ...]:
    return tuple(sorted(clean_line(str(nwfilter.name())) for nwfilter in connection.listAllNWFilters(0)))


# --- devices ----------------------------------------------------------------------------------------------


def _node_devices(connection: libvirt.virConnect) -> HostDevices:
    import libvirt

    flags = (
        libvirt.VIR_CONNECT_LIST_NODE_DEVICES_CAP_NET
        | libvirt.VIR_CONNECT_LIST_NODE_DEVICES_CAP_USB_DEV
        | libvirt.VIR_CONNECT_LIST_NODE_DEVICES_CAP_PCI_DEV
        | libvirt.VIR_CONNECT_LIST_NODE_DEVICES_CAP_MDEV
        | libvirt.VIR_CONNECT_LIST_NODE_DEVICES_CAP_DRM
    )
    texts: list[str] = []
    for device in connection.listAllDevices(flags):
        try:
            texts.append(str(device.XMLDesc(0)))
        except libvirt.libvirtError as error:
            if is_connection_lost(error):
                raise  # else: unplugged meanwhile
    return host_devices.read_node_devices(texts)


def _render_nodes(context: HandlerContext, devices: HostDevices) -> tuple[RenderNode, ...]:
    return host_devices.local_render_nodes() if _is_here(context) else devices.render_nodes


def _render_refusal(context: HandlerContext, offers: DomainOffers, nodes: tuple[RenderNode, ...]) -> str:
    if hosts.is_test(context.host.uri):
        return "The test driver has no graphics."
    kinds = next((offer.values for offer in offers.offers if offer.path == "graphics/type"), ())
    if kinds and not {"egl-headless", "spice", "dbus"} & set(kinds):
        return "The host's QEMU was built without OpenGL; install the package with its OpenGL modules there."
    if not nodes:
        return "The host has no graphics card that programs may render with: there is no /dev/dri/renderD128."
    if is_session(context) and _is_here(context) and not any(host_devices.usable_by_us(node) for node in nodes):
        return f"You may not use {nodes[0].path}. Ask to be added to the group “render”, then log in again."
    return ""


# --- memory and secrets -----------------------------------------------------------------------------------


def _page_sizes(context: HandlerContext) -> tuple[PageSize, ...]:
    if _is_here(context):
        return host_devices.local_page_sizes()
    totals = host_devices.page_sizes_of_capabilities(str(context.connection.getCapabilities()))
    if not totals:
        return ()
    free: dict[int, int] = {}
    # Cell -1 is all of them together, in libvirt's own client too (virsh freepages).
    for counts in context.connection.getFreePages([kib for kib, _ in totals], -1, 1).values():
        for kib, count in counts.items():
            free[int(kib)] = free.get(int(kib), 0) + int(count)
    return tuple(PageSize(kib, total, free.get(kib, 0)) for kib, total in totals)


def _ksm(context: HandlerContext) -> bool | None:
    if _is_here(context):
        return host_devices.local_ksm()
    raise OSError("A host that is another computer does not tell whether it merges equal pages.")


def _on_shutdown(context: HandlerContext, version: str) -> OnHostShutdown | None:
    if not _is_here(context):
        return None
    if hosts.is_embed(context.host.uri):  # no daemon is there to do anything
        return OnHostShutdown.OFF
    from guivm.engine.settings.host_shutdown import on_host_shutdown, session_config

    parts = tuple(int(part) for part in version.split(".") if part.isdecimal())
    session = is_session(context)
    return on_host_shutdown(is_session=session, version=parts, config=session_config() if session else None)


def _secrets(connection: libvirt.virConnect) -> tuple[tuple[str, str], ...]:
    return tuple(
        (str(secret.UUIDString()), clean_line(str(secret.usageID() or ""), 500))
        for secret in connection.listAllSecrets(0)
    )
