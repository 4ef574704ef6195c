"""A host that is listed bit by bit, on libvirt's test driver: the list is there at once, details follow, and
nothing that happens meanwhile is lost or undone."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import libvirt
import pytest

from guivm.engine import requests as rq
from guivm.engine.connection import Backoff, Post
from guivm.engine.engine import LibvirtEngine
from guivm.engine.events import HostChanged, HostRemoved, VmsChanged, VmsReset
from guivm.engine.host import ListingPace, ManagedHost
from guivm.engine.jobs import Job
from guivm.engine.link import DefinitionsWritten, LibvirtConnector, LibvirtLink
from guivm.engine.types import HostId, HostInfo, HostState, VmInfo, VmKey, VmState
from tests.helpers.recorder import Recorder
from tests.helpers.testdriver import domain, uuid_of, write_host

NAMES = ("vm1", "vm2", "vm10")
DEADLINE_S = 30.0


class Gate:
    """What asks for the XML of a VM of the list waits here, until the test lets it through or makes it fail."""

    def __init__(self) -> None:
        self.waiting: str | None = None
        self.error: libvirt.libvirtError | None = None
        self._open = False
        self._condition = threading.Condition()

    def __call__(self, name: str) -> None:
        with self._condition:
            self.waiting = name
            self._condition.notify_all()
            assert self._condition.wait_for(lambda: self._open or self.error is not None, DEADLINE_S)
            self.waiting = None
            error, self.error = self.error, None
        if error is not None:
            raise error

    def wait_for(self, name: str) -> None:
        with self._condition:
            assert self._condition.wait_for(lambda: self.waiting == name, DEADLINE_S)

    def open(self) -> None:
        with self._condition:
            self._open = True
            self._condition.notify_all()

    def fail(self, error: libvirt.libvirtError) -> None:
        with self._condition:
            self.error = error
            self._condition.notify_all()


class GatedDomain:
    def __init__(self, real: libvirt.virDomain, gate: Gate) -> None:
        self._real = real
        self._gate = gate

    def XMLDesc(self, flags: int) -> str:
        self._gate(self._real.name())
        return str(self._real.XMLDesc(flags))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class GatedConnection:
    """Only what the list is made of goes through the gate; jobs and events read directly."""

    def __init__(self, real: libvirt.virConnect, gate: Gate) -> None:
        self.real = real
        self._gate = gate

    def getAllDomainStats(self, stats: int, flags: int) -> list[tuple[GatedDomain, dict[str, int]]]:
        return [(GatedDomain(one, self._gate), values) for one, values in self.real.getAllDomainStats(stats, flags)]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


class GatedConnector(LibvirtConnector):
    def __init__(self, uri: str, gate: Gate) -> None:
        super().__init__(uri)
        self._gate = gate
        self.links: list[LibvirtLink] = []

    def open(self, post: Post) -> LibvirtLink:
        link = super().open(post)
        link.connection = cast("libvirt.virConnect", GatedConnection(link.connection, self._gate))
        self.links.append(link)
        return link


class Stage:
    """A host of three VMs of which none is read before the test says so, and one by one then."""

    def __init__(self, uri: str) -> None:
        self.gate = Gate()
        self.recorder = Recorder()
        self.id = HostId(uri)
        self.connector = GatedConnector(uri, self.gate)
        info = HostInfo(self.id, uri, "Test", HostState.CONNECTING)
        self.host = ManagedHost(
            info,
            self.connector,
            self.recorder,
            number=1,
            warm_up=False,
            backoff=Backoff(0.01, 0.01),
            pace=ListingPace(0.0, 0.0, 0.0),
        )
        self.host.start()
        self.gate.wait_for("vm1")

    def key(self, name: str) -> VmKey:
        return VmKey(self.id, uuid_of(name))

    def vm(self, name: str) -> VmInfo:
        found = self.host.vm(uuid_of(name))
        assert found is not None
        return found

    def do(self, request: rq.VmRequest[Any]) -> None:
        job: Job[Any] = Job(self.id, request.key, "a job")
        self.host.submit(request, job)
        job.result(DEADLINE_S)

    def wait_complete(self) -> None:
        self.recorder.wait_for_host(self.id, HostState.CONNECTED)

    def close(self) -> bool:
        self.gate.open()
        self.host.close()
        return self.host.join(time.monotonic() + DEADLINE_S)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    domains = [domain(name, VmState.RUNNING, title=f"title of {name}") for name in ("vm10", "vm2", "vm1")]
    value = Stage(write_host(tmp_path / "host.xml", *domains))
    yield value
    assert value.close()


def titles(stage: Stage) -> dict[str, str]:
    return {vm.name: vm.title for vm in stage.host.vms()}


def test_the_list_is_there_before_any_vm_was_asked(stage: Stage) -> None:
    (reset,) = stage.recorder.of(VmsReset)
    assert {vm.name: (vm.state, vm.is_complete) for vm in reset.vms} == dict.fromkeys(NAMES, (VmState.RUNNING, False))
    assert stage.host.info.state is HostState.CONNECTED
    assert not stage.host.info.is_complete


def test_details_follow_in_the_order_of_names(stage: Stage) -> None:
    stage.gate.open()
    stage.wait_complete()
    assert [[vm.name for vm in event.changed] for event in stage.recorder.of(VmsChanged)] == [[name] for name in NAMES]
    assert titles(stage) == {name: f"title of {name}" for name in NAMES}
    assert all(vm.is_complete for vm in stage.host.vms())
    heard = [(event.host.state, event.host.is_complete) for event in stage.recorder.of(HostChanged)]
    assert heard == [(HostState.CONNECTING, True), (HostState.CONNECTED, False), (HostState.CONNECTED, True)]
    assert isinstance(stage.recorder.events[-1], HostChanged), "said when nothing more follows"


def test_what_a_job_did_meanwhile_stays(stage: Stage) -> None:
    stage.do(rq.Pause(stage.key("vm1")))
    stage.do(rq.SetTitle(stage.key("vm2"), "another"))
    assert (stage.vm("vm1").state, stage.vm("vm1").is_complete) == (VmState.PAUSED, True)
    stage.gate.open()
    stage.wait_complete()
    assert stage.recorder.states(stage.key("vm1")) == [VmState.RUNNING, VmState.PAUSED]
    assert titles(stage) == {"vm1": "title of vm1", "vm2": "another", "vm10": "title of vm10"}


def test_who_asks_about_a_vm_need_not_wait_for_its_turn(stage: Stage) -> None:
    assert not stage.vm("vm10").is_complete
    stage.do(rq.ReadDetails(stage.key("vm10")))
    assert (stage.vm("vm10").title, stage.vm("vm10").is_complete) == ("title of vm10", True)
    assert not stage.vm("vm2").is_complete


def test_a_vm_that_went_meanwhile_does_not_come_back(stage: Stage) -> None:
    real = stage.connector.links[0].connection
    for name in ("vm1", "vm10"):
        one = real.lookupByUUIDString(uuid_of(name))
        one.destroy()
        one.undefine()
    stage.gate.open()
    stage.wait_complete()
    assert titles(stage) == {"vm2": "title of vm2"}
    stage.recorder.wait_for(lambda: len(stage.recorder.vms(stage.id)) == 1, "the end of two VMs")


def test_a_link_lost_in_the_middle_begins_anew(stage: Stage) -> None:
    error = libvirt.libvirtError("gone")
    error.err = (libvirt.VIR_ERR_INVALID_CONN, libvirt.VIR_FROM_RPC, "gone", 2, "", "", "", 0, 0)
    stage.do(rq.ReadDetails(stage.key("vm10")))
    stage.gate.fail(error)
    stage.recorder.wait_for(lambda: HostState.RECONNECTING in stage.recorder.host_states(stage.id), "the loss")
    stage.recorder.wait_for(lambda: stage.recorder.host_states(stage.id)[-1] is HostState.CONNECTED, "the return")
    stage.gate.wait_for("vm1")
    (lost,) = (event.host for event in stage.recorder.of(HostChanged) if event.host.state is HostState.RECONNECTING)
    assert lost.is_complete, "nothing more is under way"
    assert stage.recorder.states(stage.key("vm2")) == [VmState.RUNNING, VmState.UNKNOWN, VmState.RUNNING]
    assert not stage.host.info.is_complete
    assert (stage.vm("vm10").title, stage.vm("vm10").is_complete) == ("title of vm10", False), "known from before"
    stage.gate.open()
    stage.wait_complete()
    assert titles(stage) == {name: f"title of {name}" for name in NAMES}
    assert stage.recorder.vms(stage.id) == {vm.key.uuid: vm for vm in stage.host.vms()}


def test_definitions_that_were_seen_to_be_written_are_read_again(stage: Stage) -> None:
    stage.gate.open()
    stage.wait_complete()

    def written(names: frozenset[str] | None, expected: dict[str, int]) -> None:
        stage.host._connection.post(DefinitionsWritten(names))  # as the link does
        stage.recorder.wait_for(lambda: {vm.name: vm.definition for vm in stage.host.vms()} == expected, "the reading")

    written(frozenset({"vm2", "no such", "\udcff"}), {"vm1": 0, "vm2": 1, "vm10": 0})
    written(None, {"vm1": 1, "vm2": 2, "vm10": 1})


def test_closing_in_the_middle_ends_and_says_nothing_more(stage: Stage) -> None:
    stage.host.close()
    stage.gate.open()
    assert stage.host.join(time.monotonic() + DEADLINE_S)
    assert stage.recorder.events[-1] == HostRemoved(stage.id)


def test_a_thousand_vms_are_all_in_the_first_list(tmp_path: Path) -> None:
    names = [f"vm-{number}" for number in range(1000)]
    recorder = Recorder()
    engine = LibvirtEngine(warm_up=False)
    engine.add_listener(recorder)
    host = engine.open_host(write_host(tmp_path / "many.xml", *(domain(name, title=name) for name in names)))
    recorder.wait_for_host(host, HostState.CONNECTED)
    (reset,) = recorder.of(VmsReset)
    assert sorted(vm.name for vm in reset.vms) == sorted(names)
    assert {vm.name: vm.title for vm in engine.vms(host)} == {name: name for name in names}
    assert recorder.vms(host) == {vm.key.uuid: vm for vm in engine.vms(host)}
    engine.stop()
