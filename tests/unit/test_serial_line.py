"""The serial line apart from any window: its thread, its bounds, the command line's twin, and libvirt's XML."""

from __future__ import annotations

import os
import pty
import select
import socket
import termios
import threading
from collections.abc import Iterator

import pytest

from guivm.console.serial.interactive import run_serial
from guivm.console.serial.link import MAX_INCOMING, MAX_OUTGOING, SerialLink
from guivm.engine.job_types import SerialDevice, SerialEndpoint
from guivm.engine.serial import parse_serial_devices
from guivm.errors import ConsoleError, UnsupportedError

WAIT_S = 20.0


class Line:
    """A link and the guest's end of its line."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        self.guest = ours
        self.guest.settimeout(WAIT_S)
        self.told = threading.Semaphore(0)
        self.fd = theirs.detach()
        self.link = SerialLink(self.fd, self.told.release)

    def wait(self) -> None:
        assert self.told.acquire(timeout=WAIT_S)

    def read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            self.wait()
            while piece := self.link.take(1000):
                data += piece
        return data


@pytest.fixture
def line() -> Iterator[Line]:
    value = Line()
    yield value
    value.guest.close()
    value.link.stop()


def is_closed(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return True
    return False


def test_both_directions(line: Line) -> None:
    line.link.start()
    line.guest.sendall(b"login: ")
    assert line.read(7) == b"login: "
    assert line.link.write(b"root\r")
    assert line.guest.recv(100) == b"root\r"


def test_the_end_is_told_after_the_last_words(line: Line) -> None:
    line.guest.sendall(b"bye")
    line.guest.close()
    line.link.start()
    assert line.read(3) == b"bye"
    while not line.link.ended:
        line.wait()
    assert line.link.take(10) == b""
    assert not line.link.write(b"x")
    assert is_closed(line.fd)


def test_what_nobody_takes_stays_with_the_sender(line: Line) -> None:
    line.link.start()
    line.guest.setblocking(False)
    sent = 0
    try:
        while sent < 100 * MAX_INCOMING:
            select.select([], [line.guest], [], 0.2)
            sent += line.guest.send(b"x" * 65536)
    except BlockingIOError:
        pass
    assert sent < 8 * MAX_INCOMING
    assert len(line.link._incoming) <= MAX_INCOMING
    assert line.read(sent) == b"x" * sent


def test_what_the_guest_does_not_take_is_refused(line: Line) -> None:
    line.link.start()
    portion = b"y" * 65536
    accepted = 0
    while line.link.write(portion):
        accepted += len(portion)
        assert accepted < 4 * MAX_OUTGOING
    received = 0
    while received < accepted:
        received += len(line.guest.recv(65536))
    assert received == accepted


def test_stopping_closes_the_line(line: Line) -> None:
    line.link.start()
    line.link.stop()
    line.link.stop()
    assert line.guest.recv(1) == b""
    assert is_closed(line.fd)
    assert line.link.take(10) == b""


def test_a_link_that_never_began_closes_its_line(line: Line) -> None:
    line.link.stop()
    assert is_closed(line.fd)


# --- the command line's twin --------------------------------------------------------------------------------


class Session:
    """run_serial on a thread, in a terminal of its own."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        self.guest = ours
        self.guest.settimeout(WAIT_S)
        self.person, self.terminal = pty.openpty()
        self.before = termios.tcgetattr(self.terminal)
        self.error: Exception | None = None
        self.thread = threading.Thread(target=self._run, args=(SerialEndpoint(theirs.detach()),))
        self.thread.start()

    def _run(self, endpoint: SerialEndpoint) -> None:
        try:
            run_serial(endpoint, stdin=self.terminal, stdout=self.terminal)
        except (ConsoleError, UnsupportedError) as error:
            self.error = error

    def close(self) -> None:
        self.guest.close()
        self.thread.join(WAIT_S)
        for fd in (self.person, self.terminal):
            os.close(fd)


@pytest.fixture
def session() -> Iterator[Session]:
    value = Session()
    yield value
    value.close()


def test_typing_into_a_guest_and_leaving(session: Session) -> None:
    session.guest.sendall(b"hello\r\n")
    assert os.read(session.person, 100) == b"hello\r\n"
    os.write(session.person, b"\x03x\x1dnot sent")
    assert session.guest.recv(100) == b"\x03x", "raw: the guest gets Ctrl+C"
    session.thread.join(WAIT_S)
    assert session.error is None
    assert session.guest.recv(1) == b""
    assert termios.tcgetattr(session.terminal)[:4] == session.before[:4]


def test_the_end_of_the_line(session: Session) -> None:
    session.guest.close()
    session.thread.join(WAIT_S)
    assert isinstance(session.error, ConsoleError)
    assert termios.tcgetattr(session.terminal)[:4] == session.before[:4]


def test_without_a_terminal() -> None:
    ours, theirs = socket.socketpair()
    fd = theirs.detach()
    with ours, open(os.devnull) as null, pytest.raises(UnsupportedError):  # noqa: PTH123  (a descriptor is needed)
        run_serial(SerialEndpoint(fd), stdin=null.fileno())
    assert is_closed(fd)


# --- libvirt's XML ------------------------------------------------------------------------------------------


def test_devices_of_a_running_vm() -> None:
    xml = """
    <domain><devices>
      <serial type='pty'><source path='/dev/pts/3'/><target type='isa-serial' port='0'/><alias name='serial0'/></serial>
      <serial type='file'><source path='/x'/><target type='isa-serial' port='1'/><alias name='serial1'/></serial>
      <console type='pty'><target type='serial' port='0'/><alias name='serial0'/></console>
      <console type='pty'><target type='virtio' port='1'/><alias name='console1'/></console>
      <console type='spicevmc'><target type='sclp' port='x'/><alias name='console2'/></console>
      <console type='pty'><target type='virtio' port='2'/></console>
    </devices></domain>"""
    assert parse_serial_devices(xml) == (
        SerialDevice("serial0", "serial", 0, "Serial port 1"),
        SerialDevice("serial1", "serial", 1, "Serial port 2", "Its output goes to a file on the host."),
        SerialDevice("console1", "virtio", 1, "Virtio console 2"),
        SerialDevice("console2", "sclp", 0, "Console (sclp) 1", "It is connected to “spicevmc” on the host."),
    )
    assert parse_serial_devices("<domain/>") == ()
