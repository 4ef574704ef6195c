"""Hostile servers on a real socket: what the console's thread makes of silence, drips, floods and broken encryption."""

from __future__ import annotations

import gc
import socket
import ssl
import struct
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from guivm.console.frame import ClipboardPolicy, PointerButton, PointerMode, SourceState
from guivm.console.vnc.link import LinkTimes, News, RfbLink
from guivm.engine.job_types import ConsoleEndpoint
from guivm.errors import ConsoleError
from tests.helpers import rfb_server as srv
from tests.helpers.certificates import Authority
from tests.helpers.hostile_server import CAPS, SOUND_BEGIN, SOUND_END, STORMS, Peer, everything, sound
from tests.helpers.rfb_server import KeyMessage, ScriptedServer

FAST = LinkTimes(connect=0.3, handshake=0.3, stall=0.2, picture=0.3)
PATIENT = LinkTimes()
PICTURE = srv.update(srv.raw(0, 0, srv.picture(64, 48)))


class Client:
    """A link and its news, all of them in one."""

    def __init__(self, endpoint: ConsoleEndpoint, times: LinkTimes = PATIENT) -> None:
        self.notified = 0
        self.woken = threading.Event()
        self.link = RfbLink(endpoint, self._notify, times)
        self.known = News()

    def _notify(self) -> None:
        self.notified += 1
        self.woken.set()

    def wait(self, is_there: Callable[[News], bool]) -> None:
        deadline = time.monotonic() + 20
        while not is_there(self.known):
            assert self.woken.wait(max(0.0, deadline - time.monotonic())), "waited in vain"
            self.woken.clear()
            self.known.add(self.link.take_news())
            self.link.take_damage()

    def error(self) -> ConsoleError:
        """Wait for the end; the error it came with."""
        self.wait(lambda news: news.state is SourceState.DISCONNECTED)
        error = self.link.error
        assert error is not None
        assert error.advice
        assert "unexpectedly" not in error.summary, "no other exception ended it"
        return error

    def connected(self) -> None:
        self.wait(lambda news: news.state is SourceState.CONNECTED)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(20) as value:
        yield value


@pytest.fixture
def meet(server: ScriptedServer) -> Iterator[Callable[..., Client]]:
    clients: list[Client] = []

    def start(times: LinkTimes = PATIENT, **fields: object) -> Client:
        endpoint = server.endpoint()
        client = Client(ConsoleEndpoint(fd=endpoint.fd, **fields), times)  # type: ignore[arg-type]
        clients.append(client)
        client.link.start()
        return client

    yield start
    for client in clients:
        client.link.stop()


Meet = Callable[..., Client]


# --- silence ----------------------------------------------------------------------------------------------

_GREETING = srv.greeting_38(64, 48)


@pytest.mark.parametrize("count", [0, 5, 12, 13, 14, 17, 18, 30, 41, len(_GREETING) - 1])
def test_silence_in_the_handshake(server: ScriptedServer, meet: Meet, count: int) -> None:
    server.send(_GREETING[:count])
    assert meet(FAST).error().summary == "The display's server does not answer."


def test_a_handshake_that_drips(server: ScriptedServer, meet: Meet) -> None:
    """Byte by byte, each in time, and all of them too late."""
    client = meet(FAST)
    stop = threading.Event()

    def drip() -> None:
        for byte in _GREETING * 10:
            server.send(bytes([byte]))
            if stop.wait(0.05):
                return

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        assert client.error().summary == "The display's server does not answer."
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize(
    "talk", [b"", b"\x02", srv.update(), CAPS, srv.update(srv.rect(0, 0, 64, 48, srv.DESKTOP_SIZE))]
)
def test_no_picture_ever(server: ScriptedServer, meet: Meet, talk: bytes) -> None:
    """Half-open: it shakes hands, perhaps it talks, and never shows anything."""
    client = meet(FAST)
    server.send(_GREETING)
    stop = threading.Event()

    def chatter() -> None:
        while not stop.wait(0.05):
            server.send(talk)

    thread = threading.Thread(target=chatter)
    thread.start()
    try:
        error = client.error()
    finally:
        stop.set()
        thread.join()
    assert error.summary == "The display's server sends no picture."
    assert "0.3 s" in error.details


@pytest.mark.parametrize(
    "begun",
    [
        srv.update(count=1),
        srv.update(count=1) + srv.rect(0, 0, 64, 48, srv.RAW) + bytes(100),
        srv.update(count=1) + srv.rect(0, 0, 64, 48, 7) + b"\0",
        srv.update(count=1) + srv.rect(0, 0, 64, 48, 16, b"\0\0\1\0") + b"x\x9c",
        srv.update(count=1) + srv.rect(0, 0, 64, 48, 5) + b"\1",
        srv.update(count=1) + srv.rect(0, 0, 9, 9, srv.CURSOR),
        b"\x03\0\0\0\0\x10\0\0" + bytes(2000),
        b"\x01",
        b"\xff\x01\0\x02\0\x10\0\0",
        b"\xfa\0",
    ],
)
def test_silence_in_the_middle_of_a_message(server: ScriptedServer, meet: Meet, begun: bytes) -> None:
    client = meet(FAST)
    server.send(_GREETING + PICTURE)
    client.connected()
    server.send(begun)
    error = client.error()
    assert error.summary == "The display's server stopped in the middle of a message."
    assert "in 0.2 s" in error.details


# --- encryption -------------------------------------------------------------------------------------------

_X509_NONE = struct.pack(">I", 260)


def _agree(server: ScriptedServer) -> None:
    """VeNCrypt up to where TLS begins."""
    server.send(srv.VERSION_38 + b"\x01\x13" + b"\0\2")
    server.send(b"\0\1" + _X509_NONE)
    assert server.read(12 + 1 + 2 + 4)[-4:] == _X509_NONE
    server.send(b"\1")
    assert server.sock.recv(1, socket.MSG_PEEK) == b"\x16", "the client's first record of TLS"


@pytest.mark.parametrize(
    "said",
    [
        srv.VERSION_38 + b"\x01\x13",
        srv.VERSION_38 + b"\x01\x13\0",
        srv.VERSION_38 + b"\x01\x13\0\2",
        srv.VERSION_38 + b"\x01\x13\0\2\0",
        srv.VERSION_38 + b"\x01\x13\0\2\0\3" + _X509_NONE,
        srv.VERSION_38 + b"\x01\x13\0\2\0\1" + _X509_NONE,
    ],
)
def test_silence_while_agreeing_on_encryption(server: ScriptedServer, meet: Meet, said: bytes) -> None:
    server.send(said)
    assert meet(FAST).error().summary == "The display's server does not answer."


@pytest.mark.parametrize("said", [b"", b"\x16", b"\x16\x03\x03\x40\x00", b"\x16\x03\x03\x40\x00" + b"\2\0\0\x10"])
def test_silence_in_the_handshake_of_tls(server: ScriptedServer, meet: Meet, said: bytes) -> None:
    client = meet(FAST)
    _agree(server)
    server.send(said)
    assert client.error().summary == "The display's server does not answer."


@pytest.mark.parametrize(
    "said", [b"HTTP/1.1 400 Bad Request\r\n\r\n", bytes(64), b"\x15\x03\x03\0\2\2\x28", b"\xff" * 64]
)
def test_no_tls_at_all(server: ScriptedServer, meet: Meet, said: bytes) -> None:
    client = meet()
    _agree(server)
    server.send(said)
    assert "agree on no encryption" in client.error().summary


def test_closed_in_the_handshake_of_tls(server: ScriptedServer, meet: Meet) -> None:
    client = meet()
    _agree(server)
    server.sock.shutdown(socket.SHUT_RDWR)
    assert "encryption" in client.error().summary


@pytest.fixture
def authority(tmp_path: Path) -> tuple[str, ssl.SSLContext]:
    """An authority's certificate, and a server that has one of it."""
    authority = Authority(tmp_path / "pki")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("display.test"))
    return str(authority.path), context


def _encrypted(
    server: ScriptedServer, meet: Meet, authority: tuple[str, ssl.SSLContext], times: LinkTimes = PATIENT
) -> tuple[Client, ssl.SSLSocket]:
    client = meet(times, ca_file=authority[0], server_name="display.test")
    _agree(server)
    return client, authority[1].wrap_socket(server.sock.dup(), server_side=True)


def test_lies_within_tls_are_named_as_ever(
    server: ScriptedServer, meet: Meet, authority: tuple[str, ssl.SSLContext]
) -> None:
    client, tls = _encrypted(server, meet, authority)
    with tls:
        tls.sendall(bytes(4) + srv.server_init(64, 48) + PICTURE)
        client.connected()
        tls.sendall(srv.update(srv.rect(0, 0, 65, 1, srv.RAW)))
        assert "65 pixels wide" in client.error().details


@pytest.mark.parametrize("garbage", [bytes(64), b"\x17\x03\x03\0\x20" + bytes(32), b"\x17\x03\x03\xff\xff" + bytes(64)])
def test_garbage_within_tls(
    server: ScriptedServer, meet: Meet, authority: tuple[str, ssl.SSLContext], garbage: bytes
) -> None:
    client, tls = _encrypted(server, meet, authority)
    with tls:
        tls.sendall(bytes(4) + srv.server_init(64, 48) + PICTURE)
        client.connected()
        server.send(garbage)
        assert client.error().summary == "The display's encrypted connection broke."


def test_silence_after_the_handshake_of_tls(
    server: ScriptedServer, meet: Meet, authority: tuple[str, ssl.SSLContext]
) -> None:
    client, tls = _encrypted(server, meet, authority, LinkTimes(handshake=1.0))
    with tls:
        tls.sendall(bytes(2))
        assert client.error().summary == "The display's server does not answer."


def test_cut_off_within_tls(server: ScriptedServer, meet: Meet, authority: tuple[str, ssl.SSLContext]) -> None:
    """No farewell (close_notify), in the middle of a message."""
    client, tls = _encrypted(server, meet, authority)
    with tls:
        tls.sendall(bytes(4) + srv.server_init(64, 48) + PICTURE + srv.update(count=3))
        client.connected()
        server.sock.shutdown(socket.SHUT_RDWR)
        assert "closed by its server" in client.error().summary


# --- what is left -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "last", [srv.update(srv.rect(0, 0, 65, 1, 0)), srv.update(srv.rect(0, 0, 8, 8, 7, b"\xf0")), b""]
)
def test_pixels_go_with_the_connection(server: ScriptedServer, meet: Meet, last: bytes) -> None:
    """At once, and not when garbage is collected: a server that lies each time would fill the memory."""
    client = meet()
    server.send(_GREETING + PICTURE)
    client.connected()
    fb = client.known.framebuffer
    assert fb is not None
    pixels = weakref.ref(fb.pixels)
    del fb
    gc.collect()
    gc.disable()
    try:
        server.send(last)
        server.sock.shutdown(socket.SHUT_WR)
        assert client.error().summary
        client.known = News()
        client.link.stop()
        assert pixels() is None
    finally:
        gc.enable()


# --- floods -----------------------------------------------------------------------------------------------


_LARGE = (96, 80)


def _flooded(server: ScriptedServer, client: Client, storm: str, *, reads: bool = True) -> Peer:
    client.link.set_clipboard_policy(ClipboardPolicy.BOTH)
    client.link.send_clipboard("text of the desktop")
    server.handshake(*_LARGE)
    server.send(srv.update(srv.raw(0, 0, srv.picture(*_LARGE))))
    client.connected()
    return Peer(server.sock.dup(), b"", STORMS[storm](*_LARGE), reads=reads)


def _floods(peer: Peer, count: int) -> None:
    """Wait until so many have been sent; the client must have taken all but what is on its way."""
    deadline = time.monotonic() + 20
    while peer.floods < count:
        assert time.monotonic() < deadline, f"{peer.floods} of {count}"
        threading.Event().wait(0.005)


@pytest.mark.parametrize("storm", STORMS)
def test_an_owner_who_does_not_look_is_told_once(server: ScriptedServer, meet: Meet, storm: str) -> None:
    client = meet()
    with _flooded(server, client, storm) as peer:
        client.link.take_news()
        client.link.take_damage()
        before = client.notified
        _floods(peer, 3)
        assert client.notified <= before + 1, "one message waits, however much happened"
        assert len(client.link.take_damage()) <= 41
        news = client.link.take_news()
        assert news.clipboard is None or len(news.clipboard) <= 1 << 20
        assert news.state is None, "nothing of it was wrong"
        client.link.stop()


@pytest.mark.parametrize("storm", STORMS)
def test_what_is_typed_gets_through(server: ScriptedServer, meet: Meet, storm: str) -> None:
    client = meet()
    with _flooded(server, client, storm, reads=False):
        for number in range(20):
            client.link.send_key(0, 0x100 + number, True)
            client.link.send_pointer(number, number, PointerButton.NONE, PointerMode.ABSOLUTE)
        keys = [server.of_kind(KeyMessage) for _ in range(20)]
        assert [key.keysym for key in keys] == list(range(0x100, 0x114))
        client.link.stop()


@pytest.mark.parametrize("storm", STORMS)
def test_the_thread_ends_when_it_is_told_to(server: ScriptedServer, meet: Meet, storm: str) -> None:
    """While the flood goes on; and the server sees it."""
    client = meet()
    with _flooded(server, client, storm) as peer:
        _floods(peer, 1)
        client.link.close()
        assert peer.ends(), "the connection was closed"
    assert client.link.error is None


def test_a_server_that_asks_and_does_not_listen(server: ScriptedServer, meet: Meet) -> None:
    client = meet()
    with _flooded(server, client, "nothing", reads=False):
        assert client.error().summary == "The display's server does not read what is typed."


def test_a_lie_behind_a_flood_is_found(server: ScriptedServer, meet: Meet) -> None:
    client = meet()
    data = b"".join(storm(*_LARGE) for storm in STORMS.values()) + b"".join(everything(*_LARGE))
    data += srv.update(srv.rect(0, 0, 96, 81, srv.RAW))
    with Peer(server.sock.dup(), srv.greeting_38(*_LARGE) + data):
        assert "81 pixels high" in client.error().details


def test_a_storm_of_beginnings_is_none_of_players(
    server: ScriptedServer, meet: Meet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    player = tmp_path / "paplay"
    player.write_text(f"#!/bin/sh\necho >> {tmp_path / 'started'}\nexec /bin/cat > /dev/null\n")
    player.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    client = meet()
    server.handshake(64, 48)
    server.send(srv.update(srv.rect(0, 0, 0, 0, srv.SOUND)) + PICTURE)
    client.connected()
    client.link.set_sound(True)
    assert server.of_kind(srv.SoundMessage).operation == 2
    assert server.of_kind(srv.SoundMessage).operation == 0
    server.send((SOUND_BEGIN + sound(bytes(400)) + SOUND_END) * 1000 + b"\x02")
    client.wait(lambda news: news.bell)
    client.link.stop()
    started = tmp_path / "started"
    assert not started.exists() or len(started.read_text()) <= 10
