"""Virtual networks in memory, for the fake engine: judged and written by the same pure rules as real ones."""

from __future__ import annotations

import uuid as uuidlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from ipaddress import ip_interface
from typing import Any

from guivm.engine import requests as rq
from guivm.engine.networks import rules
from guivm.engine.networks.definition import differences, new_network, spec_of, write
from guivm.engine.networks.live import live_steps
from guivm.engine.networks.values import (
    Lease,
    NetworkChange,
    NetworkDetails,
    NetworkList,
    NetworkMode,
    NetworkOffer,
    NetworkSpec,
    NetworkUser,
    VirtualNetwork,
)
from guivm.engine.options.facts import NetworkFact
from guivm.engine.types import HostId
from guivm.engine.xml.network import NetworkXml
from guivm.errors import (
    ChangedOutsideError,
    InUseError,
    NetworkNotFoundError,
    OperationError,
    UnsupportedError,
    WrongStateError,
)


@dataclass
class FakeNetwork:
    """``running`` is the document in force; empty while it is off."""

    xml: str
    running: str = ""
    autostart: bool = False
    users: tuple[NetworkUser, ...] = ()
    leases: tuple[Lease, ...] = ()


@dataclass
class FakeNetworks:
    """Of all hosts of the fake engine together. ``changed`` is called after each change."""

    changed: Callable[[HostId], None]
    networks: dict[str, FakeNetwork] = field(default_factory=dict)  # by UUID
    refusal: str = ""
    devices: tuple[str, ...] = ("eno1", "wlp2s0")

    def add(self, spec: NetworkSpec, *, active: bool = True, **values: Any) -> str:
        """As if somebody else had made it; the UUID."""
        document = new_network(spec)
        uuid = str(uuidlib.uuid5(uuidlib.NAMESPACE_DNS, f"network/{spec.name}"))
        document.uuid = uuid
        document.bridge = spec.bridge or f"virbr{len(self.networks)}"
        text = document.to_text()
        self.networks[uuid] = FakeNetwork(text, text if active else "", spec.autostart, **values)
        return uuid

    def _around(self, but: str = "") -> rules.Surroundings:
        specs = [spec_of(NetworkXml.parse(each.xml)) for uuid, each in self.networks.items() if uuid != but]
        subnets = [
            rules.TakenSubnet(ip_interface(text).network, f"the network “{spec.name}”")
            for spec in specs
            for text in (spec.ipv4, spec.ipv6)
            if text
        ]
        bridges = tuple((spec.bridge, f"the network “{spec.name}”") for spec in specs)
        return rules.Surroundings(tuple(s.name for s in specs), bridges, tuple(subnets), devices=self.devices)

    def _find(self, uuid: str) -> FakeNetwork:
        if uuid not in self.networks:
            raise NetworkNotFoundError("The network is not there any more.")
        return self.networks[uuid]

    def _info(self, host: HostId, uuid: str) -> VirtualNetwork:
        network = self._find(uuid)
        spec = spec_of(NetworkXml.parse(network.running or network.xml))
        return VirtualNetwork(
            host, uuid, spec.name, spec.mode, "" if spec.mode is NetworkMode.ISOLATED else spec.mode.value,
            bool(network.running), network.autostart, True, spec.bridge,
            tuple(text for text in (spec.ipv4, spec.ipv6) if text), bool(spec.dhcp4 or spec.dhcp6), network.users,
        )  # fmt: skip

    def facts(self, host: HostId) -> tuple[NetworkFact, ...]:
        """What the settings know of them."""
        infos = sorted((self._info(host, uuid) for uuid in self.networks), key=lambda each: each.name)
        return tuple(
            NetworkFact(each.name, each.mode.value, each.is_active, each.autostart, each.bridge, each.addresses)
            for each in infos
        )

    def answer(self, request: rq.HostRequest[Any]) -> Any:
        """As the real handlers do."""
        match request:
            case rq.ListNetworks(host):
                found = sorted((self._info(host, uuid) for uuid in self.networks), key=lambda each: each.name)
                return NetworkList(tuple(found), self.refusal)
            case rq.ProposeNetwork():
                return self._offer()
            case rq.CheckNetwork(_, spec, uuid):
                return rules.problems(spec, self._around(uuid))
            case rq.CreateNetwork(host, spec, start):
                self._require_sound(spec, "")
                uuid = self.add(spec, active=start)
                self.changed(host)
                return uuid
            case rq.NetworkRequest(host, uuid):
                answer = self._about_one(request, self._find(uuid))
                if request.lane is not rq.Lane.READ:
                    self.changed(host)
                return answer
        raise UnsupportedError(f"No network request: {type(request).__name__}")

    def _offer(self) -> NetworkOffer:
        if self.refusal:
            raise UnsupportedError(self.refusal)
        around = self._around()
        ipv4 = rules.free_ipv4(around)
        spec = NetworkSpec(
            rules.free_name(around), NetworkMode.NAT, ipv4, rules.usual_range(rules.parse_subnet(ipv4, 4))
        )
        return NetworkOffer(spec, rules.free_ipv6(around, 0x123456789A), self.devices)

    def _require_sound(self, spec: NetworkSpec, uuid: str) -> None:
        for problem in rules.problems(spec, self._around(uuid)):
            if not problem.is_warning:
                raise OperationError(problem.message)

    def _about_one(self, request: rq.NetworkRequest[Any], network: FakeNetwork) -> Any:
        match request:
            case rq.ReadNetwork(host, uuid):
                spec = spec_of(NetworkXml.parse(network.xml), autostart=network.autostart)
                waits = differences(spec_of(NetworkXml.parse(network.running)), spec) if network.running else ()
                return NetworkDetails(self._info(host, uuid), spec, network.xml, waits, self.devices)
            case rq.ReadLeases():
                return network.leases if network.running else ()
            case rq.UpdateNetwork():
                return self._update(request, network)
            case rq.StartNetwork():
                if network.running:
                    raise WrongStateError("The network runs already.")
                network.running = network.xml
            case rq.StopNetwork():
                if not network.running:
                    raise WrongStateError("The network is off.")
                network.running = ""
            case rq.SetNetworkAutostart(on=on):
                network.autostart = on
            case rq.DeleteNetwork(uuid=uuid):
                if network.users:
                    raise InUseError(f"The network is used by “{network.users[0].name}”.")
                del self.networks[uuid]
        return None

    def _update(self, request: rq.UpdateNetwork, network: FakeNetwork) -> NetworkChange:
        if request.base != network.xml:
            raise ChangedOutsideError("The network was changed elsewhere.", theirs="-a\n+b\n", ours="-a\n+c\n")
        before = spec_of(NetworkXml.parse(network.xml))
        if request.spec.name != before.name:
            raise OperationError("A network cannot be renamed.")
        self._require_sound(request.spec, request.uuid)
        changed = differences(before, request.spec)
        document = NetworkXml.parse(network.xml)
        write(document, before, request.spec)
        network.xml, network.autostart = document.to_text(), request.spec.autostart
        if not network.running:
            return NetworkChange()
        running = NetworkXml.parse(network.running)
        _, live = live_steps(running, document, changed)
        old = spec_of(running)
        new = replace(
            old, **{name: getattr(request.spec, name) for name in ("dhcp4", "dhcp6", "fixed")
                    if any(field.value == name for field in live)}
        )  # fmt: skip
        write(running, old, new)
        network.running = running.to_text()
        return NetworkChange(live, tuple(field for field in changed if field not in live))
