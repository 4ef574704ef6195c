"""One function per request about virtual networks. Worker only."""

from __future__ import annotations

import contextlib
import logging
import secrets
from typing import TYPE_CHECKING

from guivm.engine.context import HandlerContext
from guivm.engine.libvirt_errors import is_connection_lost, is_unsupported, text_of
from guivm.engine.networks import rules
from guivm.engine.networks.definition import differences, new_network, spec_of, write
from guivm.engine.networks.live import LiveStep, live_steps, take, undo
from guivm.engine.networks.looking import (
    all_networks,
    cards,
    definition_text,
    describe,
    look_up,
    refusal_of,
    surroundings,
    users_of_networks,
)
from guivm.engine.networks.values import (
    Lease,
    NetworkChange,
    NetworkDetails,
    NetworkField,
    NetworkList,
    NetworkMode,
    NetworkOffer,
    NetworkProblem,
    NetworkSpec,
    VirtualNetwork,
)
from guivm.engine.requests import (
    CheckNetwork,
    CreateNetwork,
    DeleteNetwork,
    ListNetworks,
    ProposeNetwork,
    ReadLeases,
    ReadNetwork,
    SetNetworkAutostart,
    StartNetwork,
    StopNetwork,
    UpdateNetwork,
)
from guivm.engine.xml.diff import unified
from guivm.engine.xml.document import XmlError
from guivm.engine.xml.network import NetworkXml
from guivm.errors import ChangedOutsideError, InUseError, OperationError, UnsupportedError, WrongStateError
from guivm.text import clean_line, natural_key

if TYPE_CHECKING:
    import libvirt

_log = logging.getLogger(__name__)


# --- reading ----------------------------------------------------------------------------------------------


def list_networks(context: HandlerContext, request: ListNetworks) -> NetworkList:
    """A host that can have none answers an empty list with the reason."""
    import libvirt

    if context.watch_networks is not None:
        context.watch_networks()
    refusal = refusal_of(context)
    try:
        networks = all_networks(context)
    except UnsupportedError as error:
        return NetworkList((), str(error))
    users = users_of_networks(context)
    found: list[VirtualNetwork] = []
    for network in networks:
        try:
            found.append(describe(context, network, users))
        except libvirt.libvirtError as error:
            if is_connection_lost(error):
                raise  # else: removed meanwhile
        except XmlError as error:
            _log.warning("The network %s has a definition that cannot be read: %s", network.UUIDString(), error)
    return NetworkList(tuple(sorted(found, key=lambda network: natural_key(network.name))), refusal)


def read_network(context: HandlerContext, request: ReadNetwork) -> NetworkDetails:
    network = look_up(context, request.uuid)
    info = describe(context, network, users_of_networks(context))
    text = definition_text(network)
    spec = spec_of(NetworkXml.parse(text), autostart=info.autostart)
    waits: tuple[NetworkField, ...] = ()
    if info.is_active and info.persistent:
        waits = differences(spec_of(NetworkXml.parse(str(network.XMLDesc(0)))), spec)
    return NetworkDetails(info, spec, text, waits, surroundings(context, but=request.uuid).devices)


def propose_network(context: HandlerContext, request: ProposeNetwork) -> NetworkOffer:
    """Raises UnsupportedError where there can be none."""
    refusal = refusal_of(context)
    if refusal:
        raise UnsupportedError(refusal)
    around = surroundings(context)
    ipv4 = rules.free_ipv4(around)
    spec = NetworkSpec(
        name=rules.free_name(around),
        mode=NetworkMode.NAT,
        ipv4=ipv4,
        dhcp4=rules.usual_range(rules.parse_subnet(ipv4, 4)) if ipv4 else "",
    )
    return NetworkOffer(spec, rules.free_ipv6(around, secrets.randbits(40)), around.devices)


def check_network(context: HandlerContext, request: CheckNetwork) -> tuple[NetworkProblem, ...]:
    return rules.problems(request.spec, surroundings(context, but=request.uuid))


def read_leases(context: HandlerContext, request: ReadLeases) -> tuple[Lease, ...]:
    """By address; none of a network that is off. Raises UnsupportedError where the driver keeps none."""
    import libvirt

    network = look_up(context, request.uuid)
    if not network.isActive():
        return ()
    try:
        found = network.DHCPLeases(None, 0)
    except libvirt.libvirtError as error:
        if is_unsupported(error):
            raise UnsupportedError("The host does not tell which addresses it gave out.") from error
        raise
    names = {mac: user.name for user, _network, mac in cards(context) if mac}
    leases = [
        Lease(
            mac=clean_line(str(each["mac"] or ""), 40).lower(),
            ip=clean_line(f"{each['ipaddr']}/{each['prefix']}", 60),
            name=clean_line(str(each["hostname"] or ""), 100),
            vm=names.get(str(each["mac"] or "").lower(), ""),
            expires_s=int(each["expirytime"] or 0),
        )
        for each in found
    ]
    return tuple(sorted(leases, key=lambda lease: natural_key(lease.ip)))


# --- making and changing ----------------------------------------------------------------------------------


def create_network(context: HandlerContext, request: CreateNetwork) -> str:
    """The UUID. A network that cannot be started is not kept."""
    import libvirt

    refusal = refusal_of(context)
    if refusal:
        raise UnsupportedError(refusal)
    _require_sound(request.spec, surroundings(context))
    text = new_network(request.spec).to_text()
    network = _define(context.connection, text)
    _log.info("Defined the network “%s”:\n%s", request.spec.name, text)
    try:
        if request.spec.autostart:
            network.setAutostart(1)
        if request.start:
            _start(network, request.spec.name)
    except (libvirt.libvirtError, OperationError, UnsupportedError):
        with contextlib.suppress(libvirt.libvirtError):
            network.undefine()
        raise
    return str(network.UUIDString())


def update_network(context: HandlerContext, request: UpdateNetwork) -> NetworkChange:
    """What a running network takes is changed there first; when the definition then cannot be stored, that is undone.

    Raises ChangedOutsideError when the definition is no longer ``request.base``.
    """
    import libvirt

    network = look_up(context, request.uuid)
    if not network.isPersistent():
        raise WrongStateError("The network exists only while it runs.", advice="Make a new one instead.")
    present = definition_text(network)
    document = NetworkXml.parse(present)
    before = spec_of(NetworkXml.parse(request.base))
    changed = differences(before, request.spec)
    write(document, before, request.spec)
    wanted = document.to_text()
    theirs = unified(request.base, present, "changed elsewhere")
    if theirs:
        raise ChangedOutsideError(
            "The network was changed elsewhere since it was opened. Nothing was overwritten.",
            theirs=theirs,
            ours=unified(present, wanted, "changed here"),
            advice="Open it again, then make your changes anew.",
        )
    if NetworkField.NAME in changed:
        raise OperationError("A network cannot be renamed.", advice="Make a new one with the name you want.")
    _require_sound(request.spec, surroundings(context, but=request.uuid))
    was_on = bool(network.autostart())
    live: tuple[NetworkField, ...] = ()
    is_active = bool(network.isActive())
    steps: tuple[LiveStep, ...] = ()
    if is_active:
        steps, fields = live_steps(NetworkXml.parse(str(network.XMLDesc(0))), document, changed)
        live = fields if _took(network, steps) else ()
    try:
        if changed:
            _define(context.connection, wanted)
            _log.info("Defined the network “%s”:\n%s", before.name, unified(present, wanted, before.name))
        if request.spec.autostart != was_on:
            network.setAutostart(int(request.spec.autostart))
    except libvirt.libvirtError:
        if live:
            undo(network, steps)
        with contextlib.suppress(libvirt.libvirtError):
            context.connection.networkDefineXML(present)
        raise
    return NetworkChange(live, tuple(field for field in changed if is_active and field not in live))


def _took(network: libvirt.virNetwork, steps: tuple[LiveStep, ...]) -> bool:
    """False with a driver that changes no running network: everything waits. Raises libvirtError."""
    import libvirt

    try:
        take(network, steps)
    except libvirt.libvirtError as error:
        if is_unsupported(error):
            return False
        raise
    return True


def _require_sound(spec: NetworkSpec, around: rules.Surroundings) -> None:
    for problem in rules.problems(spec, around):
        if not problem.is_warning:
            raise OperationError(problem.message)


def _define(connection: libvirt.virConnect, text: str) -> libvirt.virNetwork:
    import libvirt

    try:
        return connection.networkDefineXMLFlags(text, libvirt.VIR_NETWORK_DEFINE_VALIDATE)
    except libvirt.libvirtError as error:
        # Older than 7.8, or a definition of another tool's that libvirt's own schema does not know.
        if not is_unsupported(error) and error.get_error_code() != libvirt.VIR_ERR_XML_INVALID_SCHEMA:
            raise
        return connection.networkDefineXML(text)


# --- on, off, gone ----------------------------------------------------------------------------------------


def start_network(context: HandlerContext, request: StartNetwork) -> None:
    network = look_up(context, request.uuid)
    name = clean_line(str(network.name()))
    if network.isActive():
        raise WrongStateError(f"The network “{name}” runs already.")
    _start(network, name)


def _start(network: libvirt.virNetwork, name: str) -> None:
    """Raises libvirtError, and what it says most often in our words."""
    import libvirt

    try:
        network.create()
    except libvirt.libvirtError as error:
        words, text = text_of(error).lower(), text_of(error)
        failed = f"The network “{name}” could not be started."
        if "already in use by interface" in words:
            device = clean_line(text.rpartition(" ")[2], 40)
            raise OperationError(
                f"{failed} Its addresses are in use on the host's interface {device}.",
                advice="Give it another address range.",
                details=text,
            ) from error
        for program, package in (("dnsmasq", "dnsmasq-base"), ("iptables", "iptables"), ("nft", "nftables")):
            if program in words and ("cannot find" in words or "no such file" in words or "not find" in words):
                raise UnsupportedError(
                    f"{failed} The host lacks the program {program}.",
                    advice=f"Install the package {package} there.",
                    details=text,
                ) from error
        raise


def stop_network(context: HandlerContext, request: StopNetwork) -> None:
    """Running guests on it are cut off; libvirt does not connect them again when it starts."""
    network = look_up(context, request.uuid)
    if not network.isActive():
        raise WrongStateError(f"The network “{clean_line(str(network.name()))}” is off.")
    network.destroy()


def set_network_autostart(context: HandlerContext, request: SetNetworkAutostart) -> None:
    network = look_up(context, request.uuid)
    if not network.isPersistent():
        raise WrongStateError("The network exists only while it runs.", advice="It cannot start by itself.")
    network.setAutostart(int(request.on))


def delete_network(context: HandlerContext, request: DeleteNetwork) -> None:
    """InUseError while a VM, running or not, has a card on it."""
    import libvirt

    network = look_up(context, request.uuid)
    name = str(network.name())
    users = users_of_networks(context).get(name, ())
    if users:
        whose = ", ".join(f"“{user.name}”" for user in users[:5]) + (" and others" if len(users) > 5 else "")
        raise InUseError(
            f"The network “{clean_line(name)}” is used by {whose}.",
            advice="Give their network cards another one first.",
        )
    persistent = bool(network.isPersistent())
    was_active = bool(network.isActive())
    if was_active:
        network.destroy()  # first: not every driver forgets a network that runs
    if not persistent:
        return
    try:
        network.undefine()
    except libvirt.libvirtError:
        if was_active:
            with contextlib.suppress(libvirt.libvirtError):
                network.create()
        raise
