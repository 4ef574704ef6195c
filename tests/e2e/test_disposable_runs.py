"""Runs that are thrown away, as the engine looks after them: while it is there, and by the next one."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import libvirt
import pytest

from guivm.engine import hosts
from guivm.engine import requests as rq
from guivm.engine.cloning.disposable import FOLDER
from guivm.engine.engine import LibvirtEngine
from guivm.engine.snapshots.values import CloneSpec
from guivm.engine.types import HostId, HostState, VmKey, VmState
from guivm.engine.xml.domain import DomainXml
from guivm.errors import GuivmError, WrongStateError
from tests.helpers.clone_house import House
from tests.helpers.daemon import SessionDaemon, process_is_gone, wait_until
from tests.helpers.recorder import Recorder

WAIT_S = 60.0


class Window:
    """An engine as a window has it."""

    def __init__(self, uri: str) -> None:
        self.engine, self.recorder = LibvirtEngine(), Recorder()
        self.engine.add_listener(self.recorder)
        self.host: HostId = self.open(uri)

    def open(self, uri: str) -> HostId:
        host = self.engine.open_host(uri)
        self.recorder.wait_for_host(host, HostState.CONNECTED)
        return host


@pytest.fixture
def daemon() -> Iterator[SessionDaemon]:
    with SessionDaemon() as value:
        yield value


@pytest.fixture
def house(daemon: SessionDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.setattr(hosts, "images_dir_for", lambda _uri: tmp_path / "images")
    value = House(libvirt.open(daemon.uri), tmp_path)
    yield value
    value.connection.close()


def test_a_run_is_looked_after_to_its_end_and_beyond(house: House) -> None:
    window = Window(house.host)
    key = VmKey(window.host, house.bios().uuid)
    window.recorder.wait_for_state(key, VmState.OFF)
    left = house.images / FOLDER
    before = set(house.hashes())
    planned = window.engine.submit(rq.PlanOperation(key, rq.StartDisposable(key))).result(WAIT_S)
    assert not planned.refused
    assert set(house.hashes()) == before, "a plan makes no files"
    window.engine.submit(rq.StartDisposable(key)).result(WAIT_S)
    made = {str(path) for path in left.rglob("*") if path.is_file() and path.name != "receipt.json"}
    assert made == {effect.path for effect in planned.effects}
    window.recorder.wait_for(lambda: window.recorder.vms(key.host)[key.uuid].is_disposable)
    assert left.exists()
    for request in (rq.SaveState(key), rq.TakeSnapshot(key, "No")):
        with pytest.raises(GuivmError, match="started for once"):
            window.engine.submit(request).result(WAIT_S)
    house.domain(key).destroy()
    window.recorder.wait_for(lambda: not window.recorder.vms(key.host)[key.uuid].is_disposable)
    wait_until(lambda: not left.exists(), "what it wrote to be thrown away")
    # The window is closed while it runs, and it ends with nobody there.
    window.engine.submit(rq.StartDisposable(key)).result(WAIT_S)
    window.engine.stop(WAIT_S)
    second = Window(house.host)
    second.recorder.wait_for(lambda: second.recorder.vms(key.host)[key.uuid].is_disposable)
    second.engine.stop(WAIT_S)
    assert left.exists()
    house.domain(key).destroy()
    third = Window(house.host)
    wait_until(lambda: not left.exists(), "what was left to be thrown away")
    third.engine.stop(WAIT_S)


def test_one_that_ends_while_libvirt_is_away_is_thrown_away_too(house: House, daemon: SessionDaemon) -> None:
    window = Window(house.host)
    key = VmKey(window.host, house.bios().uuid)
    window.recorder.wait_for_state(key, VmState.OFF)
    before = house.hashes()
    stored = house.document(key).to_text()
    window.engine.submit(rq.StartDisposable(key)).result(WAIT_S)
    daemon.kill()
    daemon.restart()
    window.recorder.wait_for_host(key.host, HostState.RECONNECTING)
    window.recorder.wait_for_host(key.host, HostState.CONNECTED)
    window.recorder.wait_for(lambda: window.recorder.vms(key.host)[key.uuid].is_disposable)
    assert (house.images / FOLDER).exists()
    daemon.kill()
    (pid,) = daemon.guest_pids()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: process_is_gone(pid), "the end of QEMU")
    daemon.restart()
    wait_until(lambda: house.hashes() == before, "what it wrote to be thrown away")
    window.recorder.wait_for_state(key, VmState.CRASHED)
    house.connection.close()
    house.connection = libvirt.open(daemon.uri)
    assert house.document(key).to_text() == stored
    window.engine.stop(WAIT_S)


def test_a_template_is_neither_started_nor_changed(house: House) -> None:
    window = Window(house.host)
    key = VmKey(window.host, house.bios().uuid)
    window.engine.submit(rq.SetTemplate(key, True)).result(WAIT_S)
    window.recorder.wait_for(lambda: window.recorder.vms(key.host)[key.uuid].is_template)
    xml = house.document(key).to_text()
    for request in (rq.Start(key), rq.StartDisposable(key), rq.ApplySettings(key, xml, xml)):
        with pytest.raises(WrongStateError, match="template"):
            window.engine.submit(request).result(WAIT_S)
    assert "template" in window.engine.submit(rq.PlanOperation(key, rq.StartDisposable(key))).result(WAIT_S).refused
    window.engine.submit(rq.SetTemplate(key, False)).result(WAIT_S)
    window.recorder.wait_for(lambda: not window.recorder.vms(key.host)[key.uuid].is_template)
    window.engine.stop(WAIT_S)


def test_no_mac_address_of_another_host_is_given_away(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    draws = iter((b"\xaa\x00\x01", b"\xaa\x00\x02"))

    def draw(count: int) -> bytes:
        return next(draws) if count == 3 else bytes(count)

    monkeypatch.setattr("guivm.engine.cloning.looking.secrets.token_bytes", draw)
    with SessionDaemon() as daemon:
        other = libvirt.open(daemon.uri)
        other.defineXML(
            "<domain type='qemu'><name>other</name><memory>65536</memory><os><type>hvm</type></os><devices>"
            "<interface type='user'><mac address='52:54:00:AA:00:01'/></interface></devices></domain>"
        )
        other.close()
        window = Window(house.host)
        window.open(daemon.uri)
        key = VmKey(window.host, house.bios().uuid)
        made = window.engine.submit(rq.CloneVm(key, CloneSpec("copy", keep_serials=True))).result(WAIT_S)
        document = DomainXml.parse(house.domain(made.key).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
        assert document.devices.interfaces[0].mac == "52:54:00:aa:00:02"
        window.engine.stop(WAIT_S)
