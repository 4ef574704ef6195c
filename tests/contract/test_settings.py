"""Settings through libvirt's test driver: what is stored, what is refused, what is told of the host."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import libvirt
import pytest

from guivm.engine import requests as rq
from guivm.engine.engine import LibvirtEngine
from guivm.engine.options.values import Place, Reach
from guivm.engine.types import HostState, VmKey, VmState
from guivm.engine.xml.domain import DomainXml
from guivm.errors import ChangedOutsideError, OperationError, VmNotFoundError, WrongStateError
from tests.contract.conftest import VMS, World
from tests.helpers.daemon import SessionDaemon
from tests.helpers.recorder import Recorder
from tests.helpers.testdriver import domain, uuid_of, write_host

WAIT_S = 30.0


@pytest.fixture
def real(tmp_path: Path) -> Iterator[World]:
    recorder, engine = Recorder(), LibvirtEngine()
    engine.add_listener(recorder)
    host = engine.open_host(write_host(tmp_path / "host.xml", *(domain(name, state) for name, state in VMS.items())))
    recorder.wait_for_host(host, HostState.CONNECTED)
    recorder.wait_for(lambda: len(recorder.vms(host)) == len(VMS), "the list")
    yield World(engine, host, recorder)
    engine.stop()


def draft_of(world: World, key: VmKey) -> tuple[str, DomainXml]:
    xml = world.engine.submit(rq.ReadSettings(key)).result(WAIT_S).xml
    return xml, DomainXml.parse(xml)


def test_what_is_read(real: World) -> None:
    off = real.engine.submit(rq.ReadSettings(real.key("off"))).result(WAIT_S)
    running = real.engine.submit(rq.ReadSettings(real.key("running"))).result(WAIT_S)
    assert (off.live_xml, bool(running.live_xml)) == ("", True)
    assert (off.persistent, off.autostart) == (True, False)
    assert {other.name for other in off.facts.others} == set(VMS) - {"off"}
    assert {other.name for other in off.facts.others if other.is_active} == {"running", "paused"}
    assert {other.memory_kib for other in off.facts.others} == {512 * 1024}
    assert "secrets" in dict(off.facts.unknown), "the test driver does not tell, and that is no error"
    assert off.facts.render_refusal
    assert not off.facts.is_session


def test_what_is_edited_is_stored(real: World) -> None:
    key = real.key("off")
    base, draft = draft_of(real, key)
    draft.memory_kib = draft.current_memory_kib = 256 * 1024
    draft.devices.interfaces[0].model = "e1000"
    applied = real.engine.submit(rq.ApplySettings(key, base, draft.to_text(), autostart=True)).result(WAIT_S)
    assert {outcome.reach for outcome in applied.outcomes if outcome.change.place.option != "autostart"} == {
        Reach.NEXT_START
    }
    now = real.engine.submit(rq.ReadSettings(key)).result(WAIT_S)
    assert now.xml == applied.xml
    assert now.autostart
    stored = DomainXml.parse(now.xml)
    assert (stored.memory_kib, stored.devices.interfaces[0].model) == (256 * 1024, "e1000")
    real.recorder.wait_for(lambda: real.vm("off").memory_kib == 256 * 1024, "the list")


def test_what_was_changed_elsewhere_is_not_overwritten(real: World) -> None:
    key = real.key("off")
    base, draft = draft_of(real, key)
    real.engine.submit(rq.SetTitle(key, "From elsewhere")).result(WAIT_S)
    draft.title = "From here"
    with pytest.raises(ChangedOutsideError) as caught:
        real.engine.submit(rq.ApplySettings(key, base, draft.to_text())).result(WAIT_S)
    assert "From elsewhere" in caught.value.theirs
    assert "From here" in caught.value.ours
    assert DomainXml.parse(draft_of(real, key)[0]).title == "From elsewhere"


def test_what_breaks_the_schema_is_refused(real: World) -> None:
    key = real.key("off")
    base, draft = draft_of(real, key)
    draft.on_crash = "nonsense"
    with pytest.raises(OperationError, match="could not be changed"):
        real.engine.submit(rq.ApplySettings(key, base, draft.to_text())).result(WAIT_S)
    assert draft_of(real, key)[0] == base


def test_a_name_is_changed_when_it_is_off(real: World) -> None:
    for name in ("off", "running"):
        base, draft = draft_of(real, real.key(name))
        draft.name = f"{name} renamed"
        request = rq.ApplySettings(real.key(name), base, draft.to_text())
        if name == "running":
            with pytest.raises(WrongStateError, match="is running"):
                real.engine.submit(request).result(WAIT_S)
        else:
            real.engine.submit(request).result(WAIT_S)
            real.recorder.wait_for(lambda: real.vm("off").name == "off renamed", "the list")
    assert real.vm("running").name == "running"


def test_a_running_vm_is_changed_at_once_where_it_can_be(real: World) -> None:
    key = real.key("running")
    base, draft = draft_of(real, key)
    draft.devices.interfaces[0].model = "e1000"
    applied = real.engine.submit(rq.ApplySettings(key, base, draft.to_text())).result(WAIT_S)
    (outcome,) = applied.outcomes
    assert outcome.reach is Reach.NEXT_START
    assert outcome.reason
    pending = real.engine.submit(rq.ReadPending(key)).result(WAIT_S)
    assert outcome.change.place in {change.place for change in pending.changes}
    assert real.engine.submit(rq.ReadPending(real.key("off"))).result(WAIT_S).changes == ()


def test_problems_are_found_together(real: World) -> None:
    key = real.key("off")
    _, draft = draft_of(real, key)
    draft.memory_kib = 1 << 40
    draft.devices.disks[0].source_file = f"/images/{uuid_of('running')}.qcow2"
    draft.devices.interfaces[0].mac = "53:54:00:12:34:56"
    found = real.engine.submit(rq.CheckSettings(key, draft.to_text())).result(WAIT_S)
    errors = {(problem.place.resource, problem.place.option) for problem in found if not problem.is_warning}
    assert {("memory", "maximum"), ("disk", "source"), ("nic", "mac")} <= errors
    (broken,) = real.engine.submit(rq.CheckSettings(key, "<domain>")).result(WAIT_S)
    assert broken.place == Place("xml")


def test_a_vm_that_came_or_went_is_seen_by_the_next_check(real: World) -> None:
    key = real.key("off")
    _, draft = draft_of(real, key)
    draft.name = "paused"
    (taken,) = [
        problem
        for problem in real.engine.submit(rq.CheckSettings(key, draft.to_text())).result(WAIT_S)
        if problem.place == Place("system", "", "name")
    ]
    assert "Another virtual machine" in taken.message
    real.engine.submit(rq.ForceOff(real.key("paused"))).result(WAIT_S)
    real.engine.submit(rq.Rename(real.key("paused"), "free")).result(WAIT_S)
    real.recorder.wait_for_state(real.key("paused"), VmState.OFF)
    found = real.engine.submit(rq.CheckSettings(key, draft.to_text())).result(WAIT_S)
    assert Place("system", "", "name") not in {problem.place for problem in found}


def test_a_vm_that_is_gone(real: World) -> None:
    gone = VmKey(real.host, "00000000-0000-4000-8000-000000000000")
    for request in (rq.ReadSettings(gone), rq.ReadPending(gone), rq.ApplySettings(gone, "<domain/>", "<domain/>")):
        with pytest.raises(VmNotFoundError):
            real.engine.submit(request).result(WAIT_S)


_ENCRYPTED = """
<domain type='qemu'>
  <name>encrypted</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <devices>
    <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/images/e.qcow2'/>
      <target dev='vda' bus='virtio'/></disk>
    <graphics type='vnc' port='-1' passwd='topsecre'><listen type='none'/></graphics>
  </devices>
</domain>"""


@contextmanager
def daemon_engine(daemon: SessionDaemon) -> Iterator[tuple[LibvirtEngine, Recorder, libvirt.virConnect]]:
    recorder, engine = Recorder(), LibvirtEngine(warm_up=False)
    engine.add_listener(recorder)
    recorder.wait_for_host(engine.open_host(daemon.uri), HostState.CONNECTED)
    connection = libvirt.open(daemon.uri)
    try:
        yield engine, recorder, connection
    finally:
        # What errors hold of libvirt's must not outlive the daemon: freed then, it leaves an error behind in this
        # thread, which libvirtError takes for its own.
        gc.collect()
        connection.close()
        engine.stop()


def test_passwords_and_passphrases() -> None:
    """On a real daemon: the test driver has no secrets. An edit keeps a display's password; a drive's passphrase is
    kept in a secret, which goes again when the definition is refused."""
    path, passphrase = "/images/e.qcow2", "correct horse"
    with SessionDaemon() as daemon, daemon_engine(daemon) as (engine, recorder, connection):
        key = VmKey(engine.hosts()[0].id, connection.defineXML(_ENCRYPTED).UUIDString())
        recorder.wait_for_state(key, VmState.OFF)
        base = engine.submit(rq.ReadSettings(key)).result(WAIT_S).xml
        assert "topsecre" in base

        def edited(on_crash: str) -> rq.ApplySettings:
            draft = DomainXml.parse(base)
            draft.devices.disks[0].source.encryption.format = "luks"
            draft.on_crash = on_crash
            return rq.ApplySettings(key, base, draft.to_text(), passphrases=((path, passphrase),))

        with pytest.raises(OperationError, match="Taken back: the secret of a drive"):
            engine.submit(edited("nonsense")).result(WAIT_S)
        assert connection.listAllSecrets(0) == []
        request = edited("destroy")
        assert passphrase not in repr(request)
        applied = engine.submit(request).result(WAIT_S)
        (secret,) = [(one.UUIDString(), one.usageID(), one.value(0)) for one in connection.listAllSecrets(0)]
        assert secret[1:] == (path, passphrase.encode())
        encryption = DomainXml.parse(applied.xml).devices.disks[0].source.encryption
        assert (encryption.secret_type, encryption.secret_uuid) == ("passphrase", secret[0])
        assert "topsecre" in applied.xml
        facts = engine.submit(rq.ReadSettings(key)).result(WAIT_S).facts
        assert facts.secrets == ((secret[0], path),)
        assert facts.is_session
        assert facts.offered("disk/bus")
        assert any(model.usable for model in facts.cpu_models)
