"""Virtual networks, the same on the fake engine and on libvirt's test driver."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from guivm.engine import requests as rq
from guivm.engine.events import NetworksChanged
from guivm.engine.networks.values import FixedAddress, NetworkField, NetworkMode, NetworkSpec, VirtualNetwork
from guivm.errors import ChangedOutsideError, NetworkNotFoundError, OperationError, WrongStateError
from tests.contract.conftest import World

WAIT_S = 30.0


def do(world: World, request: rq.Request[Any]) -> Any:
    return world.engine.submit(request).result(WAIT_S)


def find(world: World, name: str) -> VirtualNetwork | None:
    found: list[VirtualNetwork] = [
        each for each in do(world, rq.ListNetworks(world.host)).networks if each.name == name
    ]
    return found[0] if found else None


def create(world: World, **changes: Any) -> VirtualNetwork:
    offer = do(world, rq.ProposeNetwork(world.host))
    do(world, rq.CreateNetwork(world.host, replace(offer.spec, name="lab", **changes)))
    network = find(world, "lab")
    assert network is not None
    return network


def test_what_is_proposed_can_be_made(world: World) -> None:
    offer = do(world, rq.ProposeNetwork(world.host))
    assert offer.spec.mode is NetworkMode.NAT
    assert do(world, rq.CheckNetwork(world.host, offer.spec)) == ()
    network = create(world)
    assert (network.mode, network.is_active, network.autostart, network.has_dhcp) == (NetworkMode.NAT, True, True, True)
    assert network.users == ()
    again = do(world, rq.ProposeNetwork(world.host)).spec
    assert again.ipv4 != offer.spec.ipv4


def test_a_life(world: World) -> None:
    network = create(world)
    about = (network.host, network.uuid, network.name)
    with pytest.raises(WrongStateError):
        do(world, rq.StartNetwork(*about))
    do(world, rq.StopNetwork(*about))
    with pytest.raises(WrongStateError):
        do(world, rq.StopNetwork(*about))
    assert do(world, rq.ReadLeases(*about)) == ()
    do(world, rq.SetNetworkAutostart(*about, False))
    stopped = find(world, "lab")
    assert stopped is not None
    assert (stopped.is_active, stopped.autostart) == (False, False)
    world.recorder.clear()
    do(world, rq.StartNetwork(*about))
    world.recorder.wait_for(lambda: bool(world.recorder.of(NetworksChanged)), "the event")
    do(world, rq.DeleteNetwork(*about))
    assert find(world, "lab") is None
    with pytest.raises(NetworkNotFoundError):
        do(world, rq.StartNetwork(*about))


def test_the_settings_of_a_vm_know_of_it(world: World) -> None:
    key = world.key("off")
    network = create(world)

    def known() -> Any:
        facts = do(world, rq.ReadNetworkFacts(world.host))
        assert facts == do(world, rq.ReadSettings(key)).facts.networks
        return next((fact for fact in facts if fact.name == "lab"), None)

    fact = known()
    assert (fact.mode, fact.active, fact.bridge, fact.addresses) == ("nat", True, network.bridge, network.addresses)
    do(world, rq.StopNetwork(network.host, network.uuid, network.name))
    assert not known().active
    do(world, rq.DeleteNetwork(network.host, network.uuid, network.name))
    assert known() is None


def test_an_edit_is_stored(world: World) -> None:
    network = create(world, ipv4="10.123.0.0/24", dhcp4="10.123.0.100 - 10.123.0.200")
    about = (network.host, network.uuid, network.name)
    do(world, rq.StopNetwork(*about))
    details = do(world, rq.ReadNetwork(*about))
    wanted = replace(
        details.spec,
        dhcp4="10.123.0.50 – 10.123.0.60",
        domain="lab.example",
        autostart=False,
        fixed=(FixedAddress("52:54:00:00:00:01", "one", "10.123.0.9"),),
    )
    change = do(world, rq.UpdateNetwork(*about, details.xml, wanted))
    assert (change.live, change.waits) == ((), ())
    assert do(world, rq.ReadNetwork(*about)).spec == wanted
    with pytest.raises(ChangedOutsideError):
        do(world, rq.UpdateNetwork(*about, details.xml, details.spec))


@pytest.mark.parametrize("edit", [{"name": "other"}, {"ipv4": "nonsense"}, {"bridge": "averylongbridgename"}])
def test_a_bad_edit_changes_nothing(world: World, edit: dict[str, str]) -> None:
    network = create(world)
    about = (network.host, network.uuid, network.name)
    details = do(world, rq.ReadNetwork(*about))
    with pytest.raises(OperationError):
        do(world, rq.UpdateNetwork(*about, details.xml, replace(details.spec, **edit)))
    assert do(world, rq.ReadNetwork(*about)) == details


def test_a_network_that_clashes_is_not_made(world: World) -> None:
    network = create(world)
    (subnet,) = network.addresses
    clash = NetworkSpec("other", NetworkMode.NAT, subnet)
    (problem,) = do(world, rq.CheckNetwork(world.host, clash))
    assert (problem.field, problem.is_warning) == (NetworkField.IPV4, False)
    assert "lab" in problem.message
    with pytest.raises(OperationError):
        do(world, rq.CreateNetwork(world.host, clash))
    assert find(world, "other") is None
