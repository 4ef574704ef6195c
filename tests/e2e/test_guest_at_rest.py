"""A guest whose file systems are brought to rest by QEMU's own agent: it goes on, whatever becomes of libvirt."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import libvirt
import pytest

from guivm.engine import hosts
from guivm.engine import requests as rq
from guivm.engine.cloning.agent import Agent, SilentError
from guivm.engine.engine import LibvirtEngine
from guivm.engine.types import HostState, VmKey, VmState
from guivm.errors import GuivmError, OperationError
from tests.e2e.test_guest_agent import Stage
from tests.helpers.clone_house import House
from tests.helpers.daemon import SessionDaemon, wait_until
from tests.helpers.recorder import Recorder

WAIT_S = 90.0
_BLOCK = r"mkdir -p /etc/qemu; printf '[general]\nblock-rpcs=guest-fsfreeze-freeze\n' >/etc/qemu/qemu-ga.conf"


@pytest.fixture
def daemon() -> Iterator[SessionDaemon]:
    with SessionDaemon() as value:
        yield value


@pytest.fixture
def stage(daemon: SessionDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setattr(hosts, "images_dir_for", lambda _uri: tmp_path / "images")
    value = Stage(House(libvirt.open(daemon.uri), tmp_path))
    yield value
    value.house.connection.close()
    connection = libvirt.open(daemon.uri)
    for domain in connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE):
        domain.destroy()
    connection.close()


@pytest.fixture
def engine() -> Iterator[LibvirtEngine]:
    value = LibvirtEngine()
    yield value
    value.stop(WAIT_S)


def status(stage: Stage, key: VmKey) -> object:
    return Agent(stage.house.domain(key)).ask({"execute": "guest-fsfreeze-status"})


def test_it_goes_on_without_libvirt_and_with_an_agent_that_may_not_freeze(
    stage: Stage, daemon: SessionDaemon, engine: LibvirtEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    house, recorder = stage.house, Recorder()
    engine.add_listener(recorder)
    key = VmKey(engine.open_host(daemon.uri), stage.define().uuid)
    recorder.wait_for_state(key, VmState.OFF)
    engine.submit(rq.Start(key)).result(WAIT_S)
    stage.wait_for_agent(key)
    take = rq.TakeSnapshot(key, "at rest", memory=False, quiesce=True)
    before = set(house.images.rglob("*.qcow2"))
    seen: list[object] = []

    def end_libvirt(domain: libvirt.virDomain, *_: object) -> None:
        seen.append(domain.state(0)[0])
        daemon.kill()
        domain.state(0)  # as any call then: the connection is lost

    with monkeypatch.context() as patched:
        patched.setattr(libvirt.virDomain, "snapshotCreateXML", end_libvirt)
        with pytest.raises(GuivmError):
            engine.submit(take).result(WAIT_S)
    assert seen == [libvirt.VIR_DOMAIN_PAUSED]
    daemon.restart()
    house.connection.close()
    house.connection = libvirt.open(daemon.uri)
    recorder.wait_for_host(key.host, HostState.CONNECTED)
    recorder.wait_for_state(key, VmState.RUNNING)
    wait_until(lambda: not list(house.images.rglob("journal")), "what was begun to be taken back")
    assert status(stage, key) == "thawed"
    assert stage.inside(key, "echo on >/mnt/written && cat /mnt/written") == "on", "it writes"
    assert set(house.images.rglob("*.qcow2")) == before

    stage.inside(key, f"{_BLOCK}; (sleep 1; killall qemu-ga) >/dev/null 2>&1 &")

    def is_blocked() -> bool:
        try:
            told = Agent(house.domain(key)).ask({"execute": "guest-info"})
        except SilentError:
            return False  # it begins anew
        assert isinstance(told, dict)
        return any(not c["enabled"] for c in told["supported_commands"] if c["name"] == "guest-fsfreeze-freeze")

    wait_until(is_blocked, "an agent that may not freeze")
    with pytest.raises(OperationError) as caught:
        engine.submit(take).result(WAIT_S)
    assert "guest-fsfreeze-freeze" in caught.value.details
    assert not list(house.images.rglob("journal"))
    assert set(house.images.rglob("*.qcow2")) == before
    assert house.domain(key).state(0)[0] == libvirt.VIR_DOMAIN_RUNNING
