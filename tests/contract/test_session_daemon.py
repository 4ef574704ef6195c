"""The engine on a real libvirtd of an ordinary user, with real QEMU (TCG, nothing to boot)."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator

import pytest

from guivm.engine import requests as rq
from guivm.engine.engine import LibvirtEngine
from guivm.engine.jobs import JobState
from guivm.engine.types import HostId, HostState, VmKey, VmState
from guivm.errors import CancelledError, HostError, UnsupportedError
from tests.helpers.daemon import SessionDaemon, wait_until
from tests.helpers.recorder import Recorder
from tests.helpers.testdriver import BARE_VM

WAIT_S = 60.0


@pytest.fixture(scope="module")
def daemon() -> Iterator[SessionDaemon]:
    with SessionDaemon() as value:
        yield value


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def engine(recorder: Recorder) -> Iterator[LibvirtEngine]:
    value = LibvirtEngine()
    value.add_listener(recorder)
    yield value
    value.stop(WAIT_S)


@pytest.fixture
def host(engine: LibvirtEngine, daemon: SessionDaemon, recorder: Recorder) -> HostId:
    host = engine.open_host(daemon.uri)
    recorder.wait_for_host(host, HostState.CONNECTED)
    return host


def virsh(daemon: SessionDaemon, *arguments: str) -> str:
    """As another program of the same user."""
    done = subprocess.run(
        daemon.wrap(["virsh", "-c", "qemu:///session", *arguments]),
        env=daemon.env,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def key(daemon: SessionDaemon, host: HostId, recorder: Recorder) -> Iterator[VmKey]:
    """A VM that is off, defined by virsh while the engine watches."""
    xml = daemon.root / "bare.xml"
    xml.write_text(BARE_VM.format(name="bare"), encoding="ascii")
    virsh(daemon, "define", str(xml))
    key = VmKey(host, virsh(daemon, "domuuid", "bare").strip())
    recorder.wait_for_state(key, VmState.OFF)
    yield key
    if "running" in virsh(daemon, "domstate", key.uuid) or "paused" in virsh(daemon, "domstate", key.uuid):
        virsh(daemon, "destroy", key.uuid)
    virsh(daemon, "undefine", key.uuid, "--managed-save")


def test_what_virsh_does_shows_at_once(
    daemon: SessionDaemon, engine: LibvirtEngine, key: VmKey, recorder: Recorder
) -> None:
    for verb, state in (
        ("start", VmState.RUNNING),
        ("suspend", VmState.PAUSED),
        ("resume", VmState.RUNNING),
        ("managedsave", VmState.SAVED),
        ("start", VmState.RUNNING),
        ("destroy", VmState.OFF),
    ):
        virsh(daemon, verb, key.uuid)
        began = time.monotonic()
        recorder.wait_for_state(key, state)
        assert time.monotonic() - began < 1.0
    virsh(daemon, "desc", key.uuid, "--title", "From elsewhere")
    recorder.wait_for(lambda: recorder.vms(key.host)[key.uuid].title == "From elsewhere", "the title")
    virsh(daemon, "domrename", key.uuid, "renamed")
    recorder.wait_for(lambda: recorder.vms(key.host)[key.uuid].name == "renamed", "the name")
    assert recorder.vms(key.host)[key.uuid] == engine.vm(key)


def test_a_killed_daemon_is_found_again_with_its_vm_running(
    daemon: SessionDaemon, engine: LibvirtEngine, key: VmKey, recorder: Recorder
) -> None:
    engine.submit(rq.Start(key)).result(WAIT_S)
    recorder.clear()
    daemon.kill()
    info = recorder.wait_for_host(key.host, HostState.RECONNECTING)
    assert info.problem
    recorder.wait_for_state(key, VmState.UNKNOWN)
    with pytest.raises(HostError):
        engine.submit(rq.Pause(key)).result(WAIT_S)
    daemon.restart()
    recorder.wait_for_host(key.host, HostState.CONNECTED)
    recorder.wait_for_state(key, VmState.RUNNING)
    assert recorder.states(key) == [VmState.UNKNOWN, VmState.RUNNING], "never off"
    engine.submit(rq.Pause(key)).result(WAIT_S)
    recorder.wait_for_state(key, VmState.PAUSED)


def test_a_daemon_that_hangs_keeps_nobody_waiting(
    daemon: SessionDaemon, engine: LibvirtEngine, key: VmKey, recorder: Recorder
) -> None:
    daemon.stop_signal()
    try:
        began = time.monotonic()
        jobs = [engine.submit(verb(key)) for verb in (rq.Start, rq.Pause, rq.ReadDetails)]
        other = engine.open_host("test:///default")
        recorder.wait_for_host(other, HostState.CONNECTED)
        (vm,) = engine.vms(other)
        engine.submit(rq.Pause(vm.key)).result(WAIT_S)
        engine.submit(rq.Resume(vm.key)).result(WAIT_S)
        engine.vms(key.host)
        assert time.monotonic() - began < 3.0
        assert not any(job.info.state.is_final for job in jobs)
        jobs[1].cancel()  # still queued behind the start
        assert jobs[1].info.state is JobState.CANCELLED
    finally:
        daemon.continue_signal()
    jobs[0].result(WAIT_S)
    recorder.wait_for_state(key, VmState.RUNNING)
    with pytest.raises(CancelledError):
        jobs[1].result(0)


def test_a_daemon_that_does_not_answer_for_long_is_lost_and_found(
    daemon: SessionDaemon, key: VmKey, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Keepalive, made impatient: a second instead of half a minute. Several calls are under way when it strikes:
    on one connection that hangs or corrupts libvirt's client."""
    monkeypatch.setattr("guivm.engine.link._KEEPALIVE_S", 1)
    monkeypatch.setattr("guivm.engine.link._KEEPALIVE_COUNT", 1)
    engine, recorder = LibvirtEngine(), Recorder()
    engine.add_listener(recorder)
    try:
        host = engine.open_host(daemon.uri)
        recorder.wait_for_host(host, HostState.CONNECTED)
        for job in [engine.submit(rq.ReadDetails(key)) for _ in range(4)]:
            job.result(WAIT_S)
        daemon.stop_signal()
        try:
            jobs = [engine.submit(rq.ReadDetails(key)) for _ in range(4)]
            info = recorder.wait_for_host(host, HostState.RECONNECTING)
        finally:
            daemon.continue_signal()
        assert "does not answer" in info.problem
        recorder.wait_for_host(host, HostState.CONNECTED)
        recorder.wait_for_state(key, VmState.OFF)
        for job in jobs:
            with contextlib.suppress(HostError):
                job.result(WAIT_S)
        engine.submit(rq.ReadDetails(key)).result(WAIT_S)
    finally:
        engine.stop(WAIT_S)
    assert "CRITICAL" not in capfd.readouterr().err


def test_stop_leaves_a_hung_daemon_behind(daemon: SessionDaemon, host: HostId) -> None:
    engine, recorder = LibvirtEngine(warm_up=False), Recorder()
    engine.add_listener(recorder)
    hung = engine.open_host(daemon.uri)
    recorder.wait_for_host(hung, HostState.CONNECTED)
    daemon.stop_signal()
    try:
        job = engine.submit(rq.ReadCapabilities(hung))
        wait_until(lambda: job.info.state is JobState.RUNNING, "the job to begin")
        began = time.monotonic()
        engine.stop(0.5)
        assert time.monotonic() - began < 2.0
        with pytest.raises(HostError):
            job.result(0)
    finally:
        daemon.continue_signal()


def test_force_off_passes_a_save_that_goes_on(
    daemon: SessionDaemon, engine: LibvirtEngine, key: VmKey, recorder: Recorder
) -> None:
    """The save of an idle VM is quick: whichever wins, both jobs end and the VM is not running."""
    engine.submit(rq.Start(key)).result(WAIT_S)
    save = engine.submit(rq.SaveState(key))
    off = engine.submit(rq.ForceOff(key))
    recorder.wait_for_job(save.info.id)
    recorder.wait_for_job(off.info.id)
    recorder.wait_for(lambda: recorder.states(key)[-1] in (VmState.OFF, VmState.SAVED), "the VM to be off")


def test_the_display_is_passed_as_a_descriptor(engine: LibvirtEngine, key: VmKey) -> None:
    import os

    engine.submit(rq.Start(key)).result(WAIT_S)
    endpoint = engine.submit(rq.OpenConsole(key)).result(WAIT_S)
    assert endpoint.fd is not None
    assert (endpoint.unix_path, endpoint.tcp, endpoint.password) == (None, None, None)
    assert not os.get_inheritable(endpoint.fd)
    assert os.read(endpoint.fd, 4) == b"RFB "
    os.close(endpoint.fd)
    picture = engine.submit(rq.TakeScreenshot(key)).result(WAIT_S)
    assert picture.data.startswith((b"\x89PNG", b"P6"))


def test_a_vm_without_a_display_says_so(daemon: SessionDaemon, engine: LibvirtEngine, host: HostId) -> None:
    xml = daemon.root / "blind.xml"
    text = BARE_VM.format(name="blind")
    begin, end = text.index("<graphics"), text.index("</graphics>") + len("</graphics>")
    xml.write_text(text[:begin] + text[end:], encoding="ascii")
    virsh(daemon, "define", str(xml))
    blind = VmKey(host, virsh(daemon, "domuuid", "blind").strip())
    try:
        engine.submit(rq.Start(blind)).result(WAIT_S)
        vm = engine.vm(blind)
        assert vm is not None
        assert not vm.has_graphics
        with pytest.raises(UnsupportedError):
            engine.submit(rq.OpenConsole(blind)).result(WAIT_S)
    finally:
        virsh(daemon, "destroy", blind.uuid)
        virsh(daemon, "undefine", blind.uuid)


def test_what_the_host_can_do(engine: LibvirtEngine, host: HostId) -> None:
    capabilities = engine.submit(rq.ReadCapabilities(host)).result(WAIT_S)
    assert capabilities.arch == "x86_64"
    assert any("q35" in machine for machine in capabilities.machines)
    assert "virtio" in capabilities.video_models
    assert "vnc" in capabilities.graphics_types
    assert capabilities.hypervisor_version.startswith("QEMU ")
    assert capabilities.kvm.reason
    assert 0 < capabilities.memory_free_bytes <= capabilities.memory_bytes


def test_a_host_that_is_not_there_is_waited_for(engine: LibvirtEngine, recorder: Recorder, tmp_path: object) -> None:
    host = engine.open_host(f"qemu+unix:///session?socket={tmp_path}/nobody")
    job = engine.submit(rq.ReadCapabilities(host))
    info = recorder.wait_for_host(host, HostState.RECONNECTING)
    assert "does not answer" in info.problem
    assert "No such file" in info.details
    with pytest.raises(HostError):
        job.result(WAIT_S)


@pytest.mark.parametrize("uri", ["nonsense", "xyz:///no-such-driver", "test:///no/such/file", "qemu:///embed"])
def test_an_address_that_cannot_work_fails_in_words(engine: LibvirtEngine, recorder: Recorder, uri: str) -> None:
    host = engine.open_host(uri)
    info = recorder.wait_for_host(host, HostState.FAILED)
    assert info.problem
    with pytest.raises(HostError):
        engine.submit(rq.ReadCapabilities(host)).result(WAIT_S)
