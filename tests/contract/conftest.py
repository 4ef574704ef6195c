"""The same small world twice: in the fake engine and in libvirt's test driver."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from guivm.engine.api import Engine
from guivm.engine.engine import LibvirtEngine
from guivm.engine.types import HostId, HostState, VmInfo, VmKey, VmState
from tests.helpers.fake_engine import FakeEngine
from tests.helpers.recorder import Recorder
from tests.helpers.testdriver import domain, uuid_of, write_host

VMS = {
    "off": VmState.OFF,
    "running": VmState.RUNNING,
    "paused": VmState.PAUSED,
    "saved": VmState.SAVED,
}
TITLE, NOTES = "A title", "Two lines\nof notes"


@dataclass
class World:
    """An engine connected to one host with a VM in each state of ``VMS``, named after it."""

    engine: Engine
    host: HostId
    recorder: Recorder

    def key(self, name: str) -> VmKey:
        return VmKey(self.host, uuid_of(name))

    def vm(self, name: str) -> VmInfo:
        vm = self.engine.vm(self.key(name))
        assert vm is not None
        return vm


@pytest.fixture(params=["fake", "libvirt"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    recorder = Recorder()
    engine: Engine
    if request.param == "fake":
        fake = FakeEngine(with_host=False)
        fake.add_listener(recorder)
        engine, host = fake, fake.open_host("test:///contract")
        for name, state in VMS.items():
            fake.add_vm(
                name,
                state,
                host=host,
                uuid=uuid_of(name),
                title=TITLE if name == "off" else "",
                notes=NOTES if name == "off" else "",
                vcpus=2,
                memory_kib=512 * 1024,
            )
    else:
        engine = LibvirtEngine()
        engine.add_listener(recorder)
        domains = [
            domain(name, state, title=TITLE if name == "off" else "", notes=NOTES if name == "off" else "")
            for name, state in VMS.items()
        ]
        host = engine.open_host(write_host(tmp_path / "host.xml", *domains))
    recorder.wait_for_host(host, HostState.CONNECTED)
    recorder.wait_for(lambda: len(recorder.vms(host)) == len(VMS), "the list")
    yield World(engine, host, recorder)
    engine.stop()
