"""Serial lines of real guests, through libvirt's streams; and what every engine says where there are none."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from guivm.engine import requests as rq
from guivm.engine.engine import LibvirtEngine
from guivm.engine.serial_pump import THREAD_NAME, WAITING_LIMIT
from guivm.engine.types import HostState, VmKey, VmState
from guivm.errors import InUseError, UnsupportedError, WrongStateError
from tests.contract.conftest import World
from tests.helpers.daemon import SessionDaemon, wait_until
from tests.helpers.guests import sample_guest
from tests.helpers.recorder import Recorder

WAIT_S = 120.0

_GUEST = """
<domain type='qemu'>
  <name>serial</name><memory unit='MiB'>256</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type>
    <kernel>{kernel}</kernel><initrd>{initrd}</initrd><cmdline>{arguments}</cmdline></os>
  <features><acpi/></features><cpu mode='maximum'/>
  <devices>
    <serial type='pty'><target port='0'/></serial>
    <serial type='null'><target port='1'/></serial>
    <console type='pty'><target type='serial' port='0'/></console>
    <console type='pty'><target type='virtio' port='1'/></console>
  </devices>
</domain>"""


@pytest.mark.parametrize("request_type", [rq.OpenSerial, rq.ListSerialDevices])
def test_off_there_is_no_line(world: World, request_type: type[rq.VmRequest[object]]) -> None:
    with pytest.raises(WrongStateError):
        world.engine.submit(request_type(world.key("off"))).result(WAIT_S)


def test_a_vm_without_a_serial_port(world: World) -> None:
    with pytest.raises(UnsupportedError, match="no serial console"):
        world.engine.submit(rq.OpenSerial(world.key("running"))).result(WAIT_S)


# --- a real guest -------------------------------------------------------------------------------------------


class Line:
    """One end of an open line."""

    def __init__(self, fd: int) -> None:
        self.socket = socket.socket(fileno=fd)
        self.socket.settimeout(WAIT_S)

    def until(self, wanted: bytes) -> bytes:
        """Everything up to the chunk that holds ``wanted``."""
        heard = b""
        while wanted not in heard:
            piece = self.socket.recv(65536)
            assert piece, f"the line ended; the guest said {heard[-300:]!r}"
            heard += piece
        return heard

    def wait_for_end(self) -> None:
        while self.socket.recv(65536):
            pass


class Guest:
    def __init__(self, daemon: SessionDaemon, engine: LibvirtEngine, recorder: Recorder, key: VmKey) -> None:
        self.daemon, self.engine, self.recorder, self.key = daemon, engine, recorder, key

    @contextmanager
    def open(self, device: str = "", *, take_over: bool = False) -> Iterator[Line]:
        line = Line(self.engine.submit(rq.OpenSerial(self.key, device, take_over)).result(WAIT_S).fd)
        try:
            yield line
        finally:
            line.socket.close()


@pytest.fixture(scope="module")
def booted() -> Iterator[tuple[SessionDaemon, str]]:
    """The sample guest, at its prompt, and its UUID."""
    import libvirt

    built = sample_guest()
    with SessionDaemon() as daemon:
        connection = libvirt.open(daemon.uri)
        xml = _GUEST.format(kernel=built.kernel, initrd=built.initrd, arguments=built.arguments)
        uuid = connection.createXML(xml).UUIDString()
        connection.close()
        with engine_on(daemon, uuid) as guest, guest.open() as line:
            line.until(b":~")
        yield daemon, uuid


@pytest.fixture
def guest(booted: tuple[SessionDaemon, str]) -> Iterator[Guest]:
    """With an engine of the test's own. Nothing of a line may be left when the test has ended."""
    with engine_on(*booted) as value:
        yield value


@contextmanager
def engine_on(daemon: SessionDaemon, uuid: str) -> Iterator[Guest]:
    engine, recorder = LibvirtEngine(warm_up=False), Recorder()
    engine.add_listener(recorder)
    host = engine.open_host(daemon.uri)
    key = VmKey(host, uuid)
    recorder.wait_for_state(key, VmState.RUNNING)
    yield Guest(daemon, engine, recorder, key)
    wait_until(lambda: not pumps(), "the lines' threads to end")
    engine.stop(WAIT_S)


def pumps() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == THREAD_NAME]


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_devices_are_named(guest: Guest) -> None:
    devices = guest.engine.submit(rq.ListSerialDevices(guest.key)).result(WAIT_S)
    assert [(device.alias, device.label, bool(device.refusal)) for device in devices] == [
        ("serial0", "Serial port 1", False),
        ("serial1", "Serial port 2", True),
        ("console1", "Virtio console 2", False),
    ]


def test_a_command_is_answered_on_every_line(guest: Guest) -> None:
    for device in ("", "serial0", "console1"):
        with guest.open(device) as line:
            line.socket.sendall(b"echo $((6 * 7))-answer\r")
            line.until(b"42-answer")


def test_lines_that_cannot_be_opened(guest: Guest) -> None:
    for device in ("serial1", "serial9"):
        with pytest.raises(UnsupportedError):
            guest.engine.submit(rq.OpenSerial(guest.key, device)).result(WAIT_S)


def test_a_second_reader_is_refused_unless_it_takes_over(guest: Guest) -> None:
    with guest.open() as first:
        with pytest.raises(InUseError) as refused:
            guest.engine.submit(rq.OpenSerial(guest.key)).result(WAIT_S)
        assert refused.value.advice
        with guest.open(take_over=True) as second:
            first.wait_for_end()
            second.socket.sendall(b"echo se''cond\r")
            second.until(b"second")


def test_closing_and_opening_again_leaves_nothing_behind(guest: Guest) -> None:
    def cycle() -> None:
        wait_until(lambda: not pumps(), "the last line to end")
        with guest.open("console1") as line:
            line.socket.sendall(b"echo ag''ain\r")
            line.until(b"again")

    cycle()
    wait_until(lambda: not pumps(), "the line to end")
    before = descriptors()
    for _ in range(5):
        cycle()
    wait_until(lambda: not pumps(), "the lines to end")
    wait_until(lambda: descriptors() <= before, "descriptors to be closed")


def test_a_flood_that_nobody_reads_is_bounded(guest: Guest) -> None:
    with guest.open("console1") as line:
        line.socket.sendall(b"echo rea''dy; read x; dd if=/dev/zero bs=1024 count=16000 2>/dev/null | tr '\\0' x\r")
        line.until(b"ready")
        before = resident_bytes()
        with guest.open("serial0") as other:
            line.socket.sendall(b"\recho fi''nished >/dev/ttyS0\r")
            other.until(b"finished")  # all of it has left the guest by now
        assert resident_bytes() - before < 8 * WAITING_LIMIT
        line.socket.sendall(b"echo aft''er\r")
        heard = line.until(b"after")
        assert len(heard) < 3 * WAITING_LIMIT
        assert b"bytes were lost" in heard


def test_the_end_of_the_vm_and_of_the_daemon(guest: Guest) -> None:
    """Last: the guest is gone after it."""
    with guest.open() as line:
        guest.daemon.kill()
        line.wait_for_end()
    guest.recorder.wait_for_host(guest.key.host, HostState.RECONNECTING)
    guest.daemon.restart()
    guest.recorder.wait_for_host(guest.key.host, HostState.CONNECTED)
    guest.recorder.wait_for_state(guest.key, VmState.RUNNING)
    with guest.open() as line:
        guest.daemon.stop_signal()
        try:
            line.socket.sendall(b"x")
            line.socket.close()  # at once, although the daemon hangs
        finally:
            guest.daemon.continue_signal()
    wait_until(lambda: not pumps(), "the line to end")
    with guest.open() as line:
        guest.engine.submit(rq.ForceOff(guest.key)).result(WAIT_S)
        line.wait_for_end()
