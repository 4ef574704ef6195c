"""Stored port forwards of VMs that somebody else starts, real QEMU: guivm makes them while it is connected."""

from __future__ import annotations

import gc
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import libvirt
import pytest

from guivm.engine import requests as rq
from guivm.engine.engine import LibvirtEngine
from guivm.engine.events import Noticed
from guivm.engine.options.values import Reach
from guivm.engine.types import HostId, HostState, VmKey, VmState
from guivm.engine.xml.domain import DomainXml
from tests.helpers.daemon import SessionDaemon, wait_until
from tests.helpers.recorder import Recorder

WAIT_S = 60.0
MAC = "52:54:00:aa:bb:01"
# QEMU itself listens at the port: no guest is needed, and the processors stand still.
_DOMAIN = """
<domain type='qemu'>
  <name>{name}</name><memory unit='MiB'>16</memory><vcpu>1</vcpu>
  <metadata><guivm:settings xmlns:guivm='https://guivm.org/xmlns/domain/1'>
    <guivm:portForward mac='{mac}' protocol='{protocol}' hostPort='{port}' guestPort='22'/>
  </guivm:settings></metadata>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <devices>
    <controller type='usb' model='none'/>
    <interface type='user'><mac address='{mac}'/><model type='e1000'/></interface>
    <memballoon model='none'/>
  </devices>
</domain>"""


@pytest.fixture(scope="module")
def daemon() -> Iterator[SessionDaemon]:
    with SessionDaemon() as value:
        yield value


class Other:
    """Another program that uses the same libvirt."""

    def __init__(self, daemon: SessionDaemon) -> None:
        self.connection = libvirt.open(daemon.uri)

    def define(self, name: str, port: int) -> libvirt.virDomain:
        return self.connection.defineXML(_DOMAIN.format(name=name, port=port, mac=MAC, protocol="tcp"))

    @staticmethod
    def start(domain: libvirt.virDomain) -> None:
        domain.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)


@pytest.fixture
def other(daemon: SessionDaemon) -> Iterator[Other]:
    value = Other(daemon)
    yield value
    for domain in value.connection.listAllDomains(0):
        if domain.isActive():
            domain.destroy()
        domain.undefine()
    value.connection.close()


@contextmanager
def guivm(daemon: SessionDaemon, *, warm_up: bool = True) -> Iterator[tuple[LibvirtEngine, Recorder, HostId]]:
    """An engine that is connected."""
    engine, recorder = LibvirtEngine(warm_up=warm_up), Recorder()
    engine.add_listener(recorder)
    host = engine.open_host(daemon.uri)
    recorder.wait_for_host(host, HostState.CONNECTED)
    try:
        yield engine, recorder, host
    finally:
        gc.collect()  # what errors hold of libvirt's must not outlive the daemon
        engine.stop(WAIT_S)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


def test_a_vm_that_is_started_elsewhere_has_its_forwards_each_time(daemon: SessionDaemon, other: Other) -> None:
    port = free_port()
    with guivm(daemon) as (engine, _recorder, host):
        domain = other.define("started-elsewhere", port)
        other.start(domain)
        wait_until(lambda: is_open(port), "the forward of a VM that virsh started")
        domain.destroy()
        assert not is_open(port)
        other.start(domain)  # so soon that it may never have been seen off
        wait_until(lambda: is_open(port), "the forward of the next QEMU")

        key = VmKey(host, domain.UUIDString())
        base = engine.submit(rq.ReadSettings(key)).result(WAIT_S).xml
        draft = DomainXml.parse(base)
        draft.metadata.settings.port_forwards.clear()
        (outcome,) = engine.submit(rq.ApplySettings(key, base, draft.to_text())).result(WAIT_S).outcomes
        assert outcome.reach is Reach.LIVE
        assert not is_open(port)


def test_a_vm_that_runs_already_gets_what_it_lacks_when_guivm_connects(daemon: SessionDaemon, other: Other) -> None:
    port = free_port()
    other.start(other.define("runs-already", port))
    assert not is_open(port)
    with guivm(daemon, warm_up=False) as (engine, recorder, host):
        (vm,) = engine.vms(host)
        assert vm.has_forwards
        engine.submit(rq.SetTitle(vm.key, "A title")).result(WAIT_S)  # behind which nothing of the VM's is queued
        assert not is_open(port), "a command that ends soon changes nothing it was not asked for"
    for _ in range(2):  # the second time it is there already
        with guivm(daemon) as (engine, recorder, host):
            wait_until(lambda: is_open(port), "the forward of a VM that runs")
            (vm,) = engine.vms(host)
            engine.submit(rq.SetTitle(vm.key, "Another title")).result(WAIT_S)
            assert recorder.of(Noticed) == []


def test_a_port_that_is_taken_is_told_and_the_vm_runs(daemon: SessionDaemon, other: Other) -> None:
    with socket.socket() as taken, guivm(daemon) as (_engine, recorder, host):
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = int(taken.getsockname()[1])
        domain = other.define("port-taken", port)
        other.start(domain)
        recorder.wait_for(lambda: bool(recorder.of(Noticed)), "word of the port")
        (notice,) = recorder.of(Noticed)
        assert notice.vm == VmKey(host, domain.UUIDString())
        assert "“port-taken”" in notice.problem.summary
        assert str(port) in notice.problem.summary
        recorder.wait_for_state(notice.vm, VmState.PAUSED)


def test_a_vm_without_a_card_of_that_kind_has_none_and_nobody_is_told(daemon: SessionDaemon, other: Other) -> None:
    port = free_port()
    with guivm(daemon) as (engine, recorder, host):
        xml = _DOMAIN.format(name="other-card", port=port, mac=MAC, protocol="tcp")
        domain = other.connection.defineXML(xml.replace(f"<interface type='user'><mac address='{MAC}'/>",
                                                        "<interface type='user'>"))  # fmt: skip
        engine.submit(rq.Start(VmKey(host, domain.UUIDString()))).result(WAIT_S)
        engine.submit(rq.SetTitle(VmKey(host, domain.UUIDString()), "A title")).result(WAIT_S)
        assert not is_open(port)
        assert recorder.of(Noticed) == []
