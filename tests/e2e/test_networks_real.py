"""Virtual networks for real, in network namespaces of the test's own: a guest (TCG) gets leases from them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace

import libvirt
import pytest

from guivm.engine import requests as rq
from guivm.engine.engine import LibvirtEngine
from guivm.engine.events import NetworksChanged
from guivm.engine.networks.values import (
    FixedAddress,
    NetworkField,
    NetworkList,
    NetworkMode,
    NetworkSpec,
    VirtualNetwork,
)
from guivm.engine.types import HostId, HostState, VmKey, VmState
from guivm.errors import ChangedOutsideError, InUseError, OperationError
from tests.helpers.guests import sample_guest
from tests.helpers.network_world import NetworkWorld
from tests.helpers.recorder import Recorder

WAIT_S = 90.0
NAT_MAC, LAB_MAC = "52:54:00:aa:00:01", "52:54:00:aa:00:02"

_GUEST = """
<domain type='qemu'>
  <name>leased</name><memory unit='MiB'>256</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type>
    <kernel>{kernel}</kernel><initrd>{initrd}</initrd><cmdline>{arguments}</cmdline></os>
  <features><acpi/></features>
  <devices>
    <interface type='network'><mac address='{nat_mac}'/><source network='outside'/><model type='virtio'/></interface>
    <interface type='network'><mac address='{lab_mac}'/><source network='lab'/><model type='virtio'/></interface>
    <serial type='pty'><target port='0'/></serial>
    <memballoon model='none'/>
  </devices>
</domain>"""


class Networks:
    """The networks of the host in its namespaces."""

    def __init__(self, engine: LibvirtEngine, host: HostId, recorder: Recorder, uri: str) -> None:
        self.engine, self.host, self.recorder, self.uri = engine, host, recorder, uri

    def list(self) -> NetworkList:
        return self.engine.submit(rq.ListNetworks(self.host)).result(WAIT_S)

    def find(self, name: str) -> VirtualNetwork:
        return next(each for each in self.list().networks if each.name == name)

    def create(self, spec: NetworkSpec) -> str:
        return self.engine.submit(rq.CreateNetwork(self.host, spec)).result(WAIT_S)

    def leases(self, uuid: str) -> dict[str, str]:
        """MAC → address."""
        found = self.engine.submit(rq.ReadLeases(self.host, uuid, "")).result(WAIT_S)
        assert {lease.vm for lease in found} <= {"leased"}
        return {lease.mac: lease.ip for lease in found}


@pytest.fixture(scope="module")
def world() -> Iterator[NetworkWorld]:
    with NetworkWorld() as value:
        yield value


@pytest.fixture
def networks(world: NetworkWorld) -> Iterator[Networks]:
    engine, recorder = LibvirtEngine(warm_up=False), Recorder()
    engine.add_listener(recorder)
    host = engine.open_host(world.uri)
    recorder.wait_for_host(host, HostState.CONNECTED)
    yield Networks(engine, host, recorder, world.uri)
    engine.stop(WAIT_S)


def test_a_guest_gets_leases_from_a_nat_and_an_isolated_network(networks: Networks) -> None:
    offer = networks.engine.submit(rq.ProposeNetwork(networks.host)).result(WAIT_S)
    outside = networks.create(replace(offer.spec, name="outside"))
    second = networks.engine.submit(rq.ProposeNetwork(networks.host)).result(WAIT_S).spec
    assert second.ipv4 != offer.spec.ipv4
    lab = networks.create(
        NetworkSpec(
            "lab", NetworkMode.ISOLATED, "192.168.77.0/24", "192.168.77.100 - 192.168.77.110",
            fixed=(FixedAddress(LAB_MAC, "fixed", "192.168.77.9"),), domain="lab.example", autostart=False,
        )
    )  # fmt: skip
    listed = {each.name: each for each in networks.list().networks}
    assert [listed[name].mode for name in ("lab", "outside")] == [NetworkMode.ISOLATED, NetworkMode.NAT]
    assert all(each.is_active and each.bridge for each in listed.values())
    assert (listed["outside"].autostart, listed["lab"].autostart) == (True, False)
    networks.recorder.clear()

    guest = sample_guest()
    connection = libvirt.open(networks.uri)
    xml = _GUEST.format(
        kernel=guest.kernel, initrd=guest.initrd, arguments=guest.arguments, nat_mac=NAT_MAC, lab_mac=LAB_MAC
    )
    key = VmKey(networks.host, connection.defineXML(xml).UUIDString())
    connection.close()
    networks.recorder.wait_for_state(key, VmState.OFF)
    networks.engine.submit(rq.Start(key)).result(WAIT_S)
    fd = networks.engine.submit(rq.OpenSerial(key)).result(WAIT_S).fd
    with socket.socket(fileno=fd) as line:
        line.settimeout(WAIT_S)
        hear(line, ":~")
        line.sendall(b"for i in eth0 eth1; do ip link set $i up; udhcpc -q -n -i $i; done; echo done-$((0+1)).\n")
        hear(line, "done-1.")
    nat, isolated = networks.leases(outside), networks.leases(lab)
    assert set(nat) == {NAT_MAC}
    assert nat[NAT_MAC].startswith(offer.spec.ipv4.rpartition(".")[0])
    assert isolated == {LAB_MAC: "192.168.77.9/24"}

    assert [user.name for user in networks.find("lab").users] == ["leased"]
    with pytest.raises(InUseError, match="leased"):
        networks.engine.submit(rq.DeleteNetwork(networks.host, lab, "lab")).result(WAIT_S)
    networks.engine.submit(rq.ForceOff(key)).result(WAIT_S)
    with pytest.raises(InUseError):
        networks.engine.submit(rq.DeleteNetwork(networks.host, lab, "lab")).result(WAIT_S)
    networks.engine.submit(rq.Delete(key)).result(WAIT_S)
    networks.engine.submit(rq.DeleteNetwork(networks.host, lab, "lab")).result(WAIT_S)
    assert [each.name for each in networks.list().networks] == ["outside"]
    networks.recorder.wait_for(lambda: bool(networks.recorder.of(NetworksChanged)), "the change of the networks")


def test_dhcp_changes_while_it_runs_and_the_rest_waits(networks: Networks) -> None:
    spec = NetworkSpec("edited", NetworkMode.NAT, "10.77.0.0/24", "10.77.0.100 - 10.77.0.200", autostart=False)
    uuid = networks.create(spec)
    read = networks.engine.submit(rq.ReadNetwork(networks.host, uuid, "edited")).result(WAIT_S)
    assert read.waits == ()
    wanted = replace(
        read.spec,
        dhcp4="10.77.0.50 - 10.77.0.60",
        fixed=(FixedAddress("52:54:00:00:00:01", "one", "10.77.0.9"),),
        domain="edited.example",
    )
    change = networks.engine.submit(rq.UpdateNetwork(networks.host, uuid, "edited", read.xml, wanted)).result(WAIT_S)
    assert set(change.live) == {NetworkField.DHCP4, NetworkField.FIXED}
    assert change.waits == (NetworkField.DOMAIN,)
    connection = libvirt.open(networks.uri)
    running = connection.networkLookupByUUIDString(uuid).XMLDesc(0)
    connection.close()
    assert "10.77.0.50" in running
    assert "10.77.0.100" not in running
    assert "52:54:00:00:00:01" in running
    assert "edited.example" not in running
    with pytest.raises(ChangedOutsideError):
        networks.engine.submit(rq.UpdateNetwork(networks.host, uuid, "edited", read.xml, spec)).result(WAIT_S)
    again = networks.engine.submit(rq.ReadNetwork(networks.host, uuid, "edited")).result(WAIT_S)
    assert again.waits == (NetworkField.DOMAIN,)
    networks.engine.submit(rq.StopNetwork(networks.host, uuid, "edited")).result(WAIT_S)
    networks.engine.submit(rq.StartNetwork(networks.host, uuid, "edited")).result(WAIT_S)
    again = networks.engine.submit(rq.ReadNetwork(networks.host, uuid, "edited")).result(WAIT_S)
    assert again.waits == ()
    networks.engine.submit(rq.DeleteNetwork(networks.host, uuid, "edited")).result(WAIT_S)


def test_a_network_that_clashes_is_refused_and_leaves_nothing(networks: Networks) -> None:
    taken = networks.create(NetworkSpec("taken", NetworkMode.OPEN, "10.78.0.0/24", autostart=False))
    with pytest.raises(OperationError, match="taken"):
        networks.create(NetworkSpec("other", NetworkMode.ROUTED, "10.78.0.128/25"))
    networks.engine.submit(rq.DeleteNetwork(networks.host, taken, "taken")).result(WAIT_S)
    assert "other" not in {each.name for each in networks.list().networks}


def hear(line: socket.socket, wanted: str) -> None:
    heard = b""
    while wanted.encode() not in heard:
        piece = line.recv(65536)
        assert piece, f"the line ended; the guest said {heard!r}"
        heard += piece
