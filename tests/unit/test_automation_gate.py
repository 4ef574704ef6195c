"""The gate: one local client of the same user, nothing left behind, whatever either side does."""

from __future__ import annotations

import os
import socket
import stat
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from guivm import paths
from guivm.automation.gate import Gate
from guivm.console.rfb.auth import vnc_response
from guivm.engine.job_types import ConsoleEndpoint
from guivm.errors import ConsoleError
from tests.helpers.rfb_server import VERSION_38, ScriptedServer

_NONE = b"\x01\x01"
_OK = b"\0\0\0\0"


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as value:
        yield value


def open_gate(server: ScriptedServer, directory: Path, **options: object) -> Gate:
    """A gate on a server without password; what it needs from the server is sent beforehand."""
    server.send(VERSION_38 + _NONE + _OK)
    gate = Gate(server.endpoint(), directory=directory, **options)  # type: ignore[arg-type]
    gate.open()
    assert server.read(13) == VERSION_38 + b"\x01"
    return gate


def connect(gate: Gate) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(5)
    client.connect(str(gate.path))
    return client


def receive(client: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count and (part := client.recv(count - len(data))):
        data += part
    return data


def fill(client: socket.socket) -> None:
    """Send until no more goes."""
    client.setblocking(False)
    while True:
        client.send(bytes(65536))


def let_in(client: socket.socket) -> None:
    client.sendall(VERSION_38 + b"\x01")
    expected = VERSION_38 + _NONE + _OK
    assert receive(client, len(expected)) == expected


def is_closed(client: socket.socket) -> bool:
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


def test_bytes_pass_both_ways_and_nothing_is_left(server: ScriptedServer, tmp_path: Path) -> None:
    gate = open_gate(server, tmp_path)
    assert stat.S_IMODE(gate.path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(gate.path.stat().st_mode) == 0o600
    with connect(gate) as client:
        let_in(client)
        client.sendall(b"to the display")
        assert server.read(14) == b"to the display"
        big = os.urandom(3 << 20)
        sender = threading.Thread(target=server.send, args=(big,))
        sender.start()
        assert receive(client, len(big)) == big
        sender.join()
        client.sendall(b"last words")
    assert server.read(10) == b"last words"
    assert server.is_left()
    gate.finish()
    assert gate.error is None
    gate.close()
    gate.close()
    assert [path.name for path in tmp_path.iterdir()] == ["gates.lock"]


def test_a_second_client_is_refused(server: ScriptedServer, tmp_path: Path) -> None:
    queued = threading.Event()

    def uid_of(_sock: socket.socket) -> int:
        assert queued.wait(5)
        return os.geteuid()

    gate = open_gate(server, tmp_path, uid_of=uid_of)
    path = str(gate.path)
    with connect(gate) as first, connect(gate) as early:  # it queues up before the first is let in
        queued.set()
        let_in(first)
        assert is_closed(early)
        with socket.socket(socket.AF_UNIX) as late, pytest.raises((FileNotFoundError, ConnectionRefusedError)):
            late.connect(path)
        first.sendall(b"x")
        assert server.read(1) == b"x"
    gate.close()


def test_another_user_is_refused(server: ScriptedServer, tmp_path: Path) -> None:
    uids = iter([os.geteuid() + 1, os.geteuid()])
    gate = open_gate(server, tmp_path, uid_of=lambda _sock: next(uids))
    with connect(gate) as foreign:
        assert is_closed(foreign)
    with connect(gate) as own:
        let_in(own)
    gate.close()


def test_the_peer_is_known_by_its_credentials() -> None:
    from guivm.automation.gate import peer_uid

    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert peer_uid(ours) == os.geteuid()


def test_password_is_given_to_the_display_and_not_asked_of_the_client(server: ScriptedServer, tmp_path: Path) -> None:
    challenge = bytes(range(16))
    server.send(VERSION_38 + b"\x01\x02" + challenge + _OK)
    with Gate(server.endpoint("sesame"), directory=tmp_path) as gate:
        assert server.read(13) == VERSION_38 + b"\x02"
        assert server.read(16) == vnc_response("sesame", challenge)
        with connect(gate) as client:
            let_in(client)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 400", "no VNC server"),
        (VERSION_38 + b"\x00" + struct.pack(">I", 3) + b"off", "refused the connection"),
        (VERSION_38 + b"\x00" + struct.pack(">I", 0xFFFFFFFF), "reason of 4294967295 bytes"),
        (VERSION_38 + b"\x01\x10", "a way to log in that is not known"),
        (VERSION_38 + b"\x01\x02" + bytes(16) + b"\0\0\0\1" + struct.pack(">I", 2) + b"no", "refused the log-in"),
    ],
)
def test_a_display_that_does_not_let_us_in(server: ScriptedServer, tmp_path: Path, answer: bytes, words: str) -> None:
    server.send(answer)
    with pytest.raises(ConsoleError, match=words):
        Gate(server.endpoint("x"), directory=tmp_path).open()
    assert server.is_left()
    assert list(tmp_path.iterdir()) == []


def test_a_silent_display_is_given_up(server: ScriptedServer, tmp_path: Path) -> None:
    with pytest.raises(ConsoleError, match="does not answer"):
        Gate(server.endpoint(), directory=tmp_path, timeout_s=0.05).open()
    assert server.is_left()


@pytest.mark.parametrize("count", range(len(VERSION_38 + _NONE + _OK)))
def test_a_display_that_closes_at_any_byte(tmp_path: Path, count: int) -> None:
    with ScriptedServer() as server:
        gate = Gate(server.endpoint(), directory=tmp_path)
        server.send((VERSION_38 + _NONE + _OK)[:count])
        server.close()
        with pytest.raises(ConsoleError):
            gate.open()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("count", [0, 1, 11, 12, 13])
def test_a_client_that_closes_at_any_byte(server: ScriptedServer, tmp_path: Path, count: int) -> None:
    gate = open_gate(server, tmp_path)
    with connect(gate) as client:
        client.sendall((VERSION_38 + b"\x01")[:count])
    assert server.is_left()
    gate.finish()
    gate.close()
    assert [path.name for path in tmp_path.iterdir()] == ["gates.lock"]


def test_a_client_that_talks_nonsense(server: ScriptedServer, tmp_path: Path) -> None:
    gate = open_gate(server, tmp_path)
    with connect(gate) as client:
        client.sendall(b"x" * 4096)
        assert server.is_left()
        gate.finish()
    assert isinstance(gate.error, ConsoleError)
    gate.close()


def test_a_display_that_closes_ends_the_client(server: ScriptedServer, tmp_path: Path) -> None:
    gate = open_gate(server, tmp_path)
    with connect(gate) as client:
        let_in(client)
        server.send(b"bye")
        server.close()
        assert receive(client, 3) == b"bye"
        assert is_closed(client)
    gate.close()


@pytest.mark.parametrize("reads", [True, False])
def test_closing_cuts_what_passes(server: ScriptedServer, tmp_path: Path, reads: bool) -> None:
    gate = open_gate(server, tmp_path)
    with connect(gate) as client:
        let_in(client)
        if not reads:  # both ways are full
            with pytest.raises(BlockingIOError):
                fill(client)
            client.settimeout(5)
        gate.close()
        assert is_closed(client)


def test_what_an_earlier_run_left_is_removed_and_what_is_in_use_is_not(tmp_path: Path) -> None:
    stale = tmp_path / "gate-stale"
    stale.mkdir()
    (stale / "vnc").touch()
    other = tmp_path / "other"
    other.mkdir()
    with ScriptedServer() as first_server, ScriptedServer() as second_server:
        first = open_gate(first_server, tmp_path)
        assert not stale.exists()
        second = open_gate(second_server, tmp_path)
        assert first.path.exists()
        assert first.path.parent != second.path.parent
        second.close()
        first.close()
    assert other.exists()


def test_an_endpoint_that_was_never_used_is_closed(tmp_path: Path) -> None:
    with ScriptedServer() as server:
        Gate(server.endpoint(), directory=tmp_path).close()
        assert server.is_left()


def test_an_offered_gate_reaches_the_display_when_a_client_comes(server: ScriptedServer, tmp_path: Path) -> None:
    gate = Gate(server.endpoint(), directory=tmp_path)
    gate.offer()
    with connect(gate) as client:
        server.send(VERSION_38 + _NONE + _OK)
        let_in(client)
        client.sendall(b"x")
        assert server.read(14) == VERSION_38 + b"\x01x"
    gate.close()


def test_an_offered_gate_tells_why_there_is_no_display(tmp_path: Path) -> None:
    gate = Gate(ConsoleEndpoint(unix_path=str(tmp_path / "none")), directory=tmp_path)
    gate.offer()
    with connect(gate) as client:
        assert is_closed(client)
    gate.finish()
    assert gate.error is not None
    assert "cannot be reached" in gate.error.summary
    gate.close()


def test_no_such_display(tmp_path: Path) -> None:
    with pytest.raises(ConsoleError, match="cannot be reached"):
        Gate(ConsoleEndpoint(unix_path=str(tmp_path / "none")), directory=tmp_path).open()


def test_runtime_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert paths.runtime_dir() == tmp_path / "guivm"
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    path = paths.runtime_dir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    path.chmod(0o755)
    with pytest.raises(PermissionError):
        paths.runtime_dir()
    path.rmdir()
    path.symlink_to(tmp_path)
    with pytest.raises(PermissionError):
        paths.runtime_dir()
