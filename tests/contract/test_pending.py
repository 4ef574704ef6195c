"""How many changes wait for a VM's next start: counted after the list, and again whenever something is done to it."""

from __future__ import annotations

import contextlib
from functools import partial
from pathlib import Path

import pytest

from guivm.engine import requests as rq
from guivm.engine.engine import LibvirtEngine
from guivm.engine.events import HostChanged, VmsChanged, VmsReset
from guivm.engine.reader import Reader
from guivm.engine.types import HostState, VmKey, VmState
from guivm.engine.xml.domain import DomainXml
from tests.contract.conftest import World
from tests.helpers.daemon import SessionDaemon, wait_until
from tests.helpers.recorder import Recorder
from tests.helpers.testdriver import BARE_VM, domain, uuid_of, write_host

WAIT_S = 30.0


def wait_for_pending(world: World, name: str, count: int) -> None:
    world.recorder.wait_for(lambda: world.vm(name).pending == count, f"{count} changes of {name}")
    world.recorder.wait_for(lambda: world.recorder.vms(world.host)[uuid_of(name)].pending == count, "its announcement")


def store(world: World, key: VmKey, model: str) -> None:
    """Another card at the next start."""
    base = world.engine.submit(rq.ReadSettings(key)).result(WAIT_S).xml
    draft = DomainXml.parse(base)
    draft.devices.interfaces[0].model = model
    world.engine.submit(rq.ApplySettings(key, base, draft.to_text(), live=False)).result(WAIT_S)


def test_what_is_stored_for_a_running_vm_waits_until_it_is_taken_back(world: World) -> None:
    key = world.key("running")
    assert world.vm("running").pending == 0
    store(world, key, "e1000")
    wait_for_pending(world, "running", 1)
    store(world, key, "virtio")
    wait_for_pending(world, "running", 0)


def test_nothing_waits_any_more_when_the_vm_is_off(world: World) -> None:
    key = world.key("running")
    store(world, key, "e1000")
    wait_for_pending(world, "running", 1)
    world.engine.submit(rq.ForceOff(key)).result(WAIT_S)
    wait_for_pending(world, "running", 0)
    store(world, key, "rtl8139")
    assert world.vm("running").pending == 0


class Comparisons:
    """UUIDs of those that were compared, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.of: list[str] = []
        real = Reader.pending

        def pending(reader: Reader, uuid: str) -> int:
            self.of.append(uuid)
            real(reader, uuid)
            return 1  # a number that is told

        monkeypatch.setattr(Reader, "pending", pending)


def test_all_that_run_are_compared_when_the_list_is_complete(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    comparisons = Comparisons(monkeypatch)
    recorder, engine = Recorder(), LibvirtEngine(warm_up=False)
    engine.add_listener(recorder)
    states = {"a": VmState.RUNNING, "b": VmState.OFF, "c": VmState.PAUSED, "d": VmState.SAVED}
    host = engine.open_host(write_host(tmp_path / "host.xml", *(domain(name, state) for name, state in states.items())))
    recorder.wait_for_host(host, HostState.CONNECTED)
    recorder.wait_for(lambda: len(recorder.of(VmsChanged)) == 2, "both that run")
    engine.stop()
    assert sorted(comparisons.of) == sorted(map(uuid_of, ("a", "c")))
    assert {vm.name: vm.pending for event in recorder.of(VmsChanged) for vm in event.changed} == {"a": 1, "c": 1}
    (reset,) = recorder.of(VmsReset)
    assert {vm.pending for vm in reset.vms} == {0}
    complete = [e for e in recorder.events if isinstance(e, HostChanged) and e.host.state is HostState.CONNECTED]
    assert recorder.events.index(complete[0]) < recorder.events.index(recorder.of(VmsChanged)[0])


def test_a_real_daemons_definitions_are_seen_to_be_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    """As by ``virsh setvcpus --config``; and the watch ends with its connection."""
    import libvirt

    with SessionDaemon() as daemon:
        directory = daemon.root / "c" / "libvirt" / "qemu"
        monkeypatch.setattr("guivm.engine.definition_watch.directory_of", lambda _uri: directory)
        other = libvirt.open(daemon.uri)
        vm = other.defineXML(BARE_VM.format(name="a.b c"))
        vm.create()
        recorder, engine = Recorder(), LibvirtEngine(warm_up=False)
        engine.add_listener(recorder)
        host = engine.open_host(daemon.uri)
        recorder.wait_for_host(host, HostState.CONNECTED)
        wait_until(lambda: _inotify_descriptors() == 1, "the watch")
        key = VmKey(host, vm.UUIDString())
        for count, pending in ((3, 1), (1, 0)):
            vm.setVcpusFlags(count, libvirt.VIR_DOMAIN_AFFECT_CONFIG | libvirt.VIR_DOMAIN_VCPU_MAXIMUM)
            recorder.wait_for(partial(_waits, recorder, key, pending), f"{pending}")
        vm.setAutostart(1)
        recorder.wait_for(lambda: recorder.vms(host)[key.uuid].autostart, "the start with the host")
        engine.stop(WAIT_S)
        assert _inotify_descriptors() == 0
        other.close()


def _waits(recorder: Recorder, key: VmKey, pending: int) -> bool:
    return recorder.vms(key.host)[key.uuid].pending == pending


def _inotify_descriptors() -> int:
    """How many this process has."""
    count = 0
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            count += path.readlink().name == "anon_inode:inotify"
    return count
