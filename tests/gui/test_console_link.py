"""What the console's thread does beside pixels and input: nudges, clipboard, sizes, recordings, encodings, security."""

from __future__ import annotations

import socket
import struct
import threading
import zlib
from collections.abc import Iterator

import pytest
from pytestqt.qtbot import QtBot

from guivm.console.rfb.wire import Clip, Encoding
from guivm.console.rfb_source import RfbSource
from guivm.console.source import (
    ClipboardPolicy,
    Head,
    PowerAction,
    Quality,
    SourceFeature,
    SourceSecurity,
    SourceState,
)
from guivm.console.vnc.link import LinkTimes
from guivm.engine.job_types import ConsoleEndpoint
from guivm.errors import ConsoleError
from tests.helpers import rfb_server as srv
from tests.helpers.rfb_server import CutMessage, EncodingsMessage, PowerMessage, ScriptedServer, SizeMessage

CAPS = srv.clipboard(Clip.CAPS | Clip.REQUEST | Clip.NOTIFY | Clip.PROVIDE | Clip.TEXT, bytes(4))


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as value:
        yield value


@pytest.fixture
def source(server: ScriptedServer, qapp: object) -> Iterator[RfbSource]:
    value = RfbSource(server.endpoint(), times=LinkTimes(nudge=0.01))
    yield value
    value.close()
    value.deleteLater()


def _connect(qtbot: QtBot, server: ScriptedServer, source: RfbSource, name: bytes = b"QEMU (test)") -> None:
    source.open()
    server.handshake(64, 48, name)
    with qtbot.waitSignal(source.stateChanged, timeout=5000):
        server.send(srv.update(srv.raw(0, 0, srv.picture(64, 48))))
    assert source.state is SourceState.CONNECTED


def test_an_idle_qemu_is_nudged_while_it_is_visible(qtbot: QtBot, server: ScriptedServer, source: RfbSource) -> None:
    _connect(qtbot, server, source)
    server.send(CAPS)
    for _ in range(10):
        assert server.of_kind(CutMessage) == CutMessage(b"", Clip.CAPS), "nothing but that we are there"
    source.set_visible(False)
    source.send_key(30, 97, True)
    while isinstance(server.message(), CutMessage):
        pass
    server.send(b"\x02")
    with qtbot.waitSignal(source.bell, timeout=5000):
        server.send(b"\x02")
    source.send_key(30, 97, False)
    assert isinstance(server.message(), srv.KeyMessage), "no nudge while invisible"
    source.set_visible(True)
    assert server.of_kind(CutMessage).flags == Clip.CAPS


def test_others_are_not_nudged(qtbot: QtBot, server: ScriptedServer, source: RfbSource) -> None:
    _connect(qtbot, server, source, b"somewhere:1")
    server.send(CAPS)
    assert server.of_kind(CutMessage).flags == Clip.CAPS, "the answer to its own"
    with qtbot.waitSignal(source.bell, timeout=5000):
        server.send(b"\x02")
    source.send_key(30, 97, True)
    while not isinstance(message := server.message(), srv.KeyMessage):
        assert not isinstance(message, CutMessage)


def test_clipboard(qtbot: QtBot, server: ScriptedServer, source: RfbSource) -> None:
    source.set_clipboard_policy(ClipboardPolicy.BOTH)
    _connect(qtbot, server, source, b"other:1")
    with qtbot.waitSignal(source.featuresChanged, timeout=5000):
        server.send(CAPS)
    assert SourceFeature.CLIPBOARD in source.features
    server.send(srv.clipboard(Clip.NOTIFY | Clip.TEXT))
    while server.of_kind(CutMessage).flags != Clip.REQUEST | Clip.TEXT:
        pass
    with qtbot.waitSignal(source.clipboardReceived, timeout=5000) as caught:
        packed = zlib.compress(struct.pack(">I", 6) + "héy\0".encode() + b"\0")
        server.send(srv.clipboard(Clip.PROVIDE | Clip.TEXT, packed))
    assert caught.args == ["héy"]
    source.send_clipboard("to the guest")
    assert server.of_kind(CutMessage).flags == Clip.NOTIFY | Clip.TEXT
    source.set_clipboard_policy(ClipboardPolicy.OFF)
    source.send_clipboard("no more")
    assert server.of_kind(CutMessage).flags == Clip.NOTIFY


def test_size_power_and_refusals(qtbot: QtBot, server: ScriptedServer, source: RfbSource) -> None:
    _connect(qtbot, server, source)
    screens = [(7, 0, 0, 32, 48, 1), (8, 32, 0, 32, 48, 0)]
    with qtbot.waitSignals([source.headsChanged, source.featuresChanged], timeout=5000):
        server.send(srv.update(srv.extended_size(64, 48, screens=screens)))
    assert source.heads == (Head(7, 0, 0, 32, 48), Head(8, 32, 0, 32, 48))
    source.request_size(100, 48)
    assert server.of_kind(SizeMessage) == SizeMessage(100, 48, ((7, 0, 0, 32, 48, 1), (8, 32, 0, 68, 48, 0)))
    with qtbot.waitSignal(source.refused, timeout=5000) as caught:
        server.send(srv.update(srv.extended_size(64, 48, reason=1, status=1)))
    assert "does not allow" in caught.args[0]
    with qtbot.waitSignal(source.featuresChanged, timeout=5000):
        server.send(b"\xfa\0\x01\x01")
    assert source.features == SourceFeature.RESIZE | SourceFeature.POWER
    source.send_power(PowerAction.REBOOT)
    assert server.of_kind(PowerMessage) == PowerMessage(1, 3)
    with qtbot.waitSignal(source.headsChanged, timeout=5000) as changed:
        server.send(srv.update(srv.extended_size(20, 10, screens=[(7, 0, 0, 20, 10, 0)])))
    assert changed.args == [(Head(7, 0, 0, 20, 10),)]


def test_heads_of_a_server_that_tells_none(qtbot: QtBot, server: ScriptedServer, source: RfbSource) -> None:
    _connect(qtbot, server, source)
    assert source.heads == (Head(0, 0, 0, 64, 48),)
    assert source.security is SourceSecurity.LOCAL


def test_the_tap_gets_all_and_on_the_links_thread(qtbot: QtBot, server: ScriptedServer) -> None:
    recorded = bytearray()
    threads: set[str] = set()

    def tap(data: memoryview) -> None:
        threads.add(threading.current_thread().name)
        recorded.extend(data)

    source = RfbSource(server.endpoint(), tap=tap)
    try:
        _connect(qtbot, server, source)
        big = srv.update(srv.raw(0, 0, srv.picture(64, 48, 2)))
        server.send(big)
        with qtbot.waitSignal(source.bell, timeout=5000):
            server.send(b"\x02")
        first = srv.update(srv.raw(0, 0, srv.picture(64, 48)))
        assert bytes(recorded) == srv.server_init(64, 48) + first + big + b"\x02"
        assert threads == {"rfb-link"}
    finally:
        source.close()
        source.deleteLater()


# --- over a network -------------------------------------------------------------------------------------------------


@pytest.fixture
def remote(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> ConsoleEndpoint:
    """An endpoint on another machine, as far as the link knows; its connection ends at our server."""
    fd = server.endpoint().fd

    def dialled(_endpoint: ConsoleEndpoint, _timeout: float, _wait: object) -> tuple[socket.socket, None]:
        sock = socket.socket(fileno=fd)
        sock.setblocking(False)
        return sock, None

    monkeypatch.setattr("guivm.console.vnc.link.dial", dialled)
    return ConsoleEndpoint(tcp=("192.0.2.7", 5900))


def _encodings(server: ScriptedServer) -> tuple[int, ...]:
    return server.of_kind(EncodingsMessage).encodings


def test_a_network_gets_packed_pixels_and_a_choice(
    qtbot: QtBot, server: ScriptedServer, remote: ConsoleEndpoint
) -> None:
    source = RfbSource(remote)
    try:
        source.open()
        server.send(srv.greeting_38(64, 48))
        server.read(14)
        first = _encodings(server)
        assert first[0] == Encoding.COPY_RECT
        assert first.index(Encoding.ZRLE) < first.index(Encoding.RAW)
        source.set_quality(Quality.FAST)
        second = _encodings(server)
        assert any(Encoding.QUALITY_0 <= encoding <= Encoding.QUALITY_0 + 9 for encoding in second)
        with qtbot.waitSignal(source.stateChanged, timeout=5000):
            server.send(srv.update(srv.raw(0, 0, srv.picture(64, 48))))
        assert source.security is SourceSecurity.PLAIN
    finally:
        source.close()
        source.deleteLater()


def test_an_old_qemu_is_asked_once(qtbot: QtBot, server: ScriptedServer, remote: ConsoleEndpoint) -> None:
    """QEMU before 7.0 hangs at the second list of encodings, sooner or later."""
    source = RfbSource(ConsoleEndpoint(tcp=remote.tcp, encodings_once=True))
    try:
        source.open()
        server.send(srv.greeting_38(64, 48))
        server.read(14)
        _encodings(server)
        source.set_quality(Quality.FAST)
        source.send_key(30, 97, True)
        while not isinstance(message := server.message(), srv.KeyMessage):
            assert not isinstance(message, EncodingsMessage)
    finally:
        source.close()
        source.deleteLater()


def test_no_password_goes_in_clear_over_a_network(
    qtbot: QtBot, server: ScriptedServer, remote: ConsoleEndpoint
) -> None:
    source = RfbSource(ConsoleEndpoint(tcp=remote.tcp, user="me", password="secret"))
    try:
        with qtbot.waitSignal(source.stateChanged, timeout=5000):
            source.open()
            server.send(srv.VERSION_38 + b"\x01\x13" + b"\0\2\0\1" + struct.pack(">I", 256))
        assert isinstance(source.error, ConsoleError)
        assert "everybody on the network" in source.error.summary
        assert "secret" not in repr(ConsoleEndpoint(password="secret"))
    finally:
        source.close()
        source.deleteLater()


def test_a_server_that_does_not_finish_tls(qtbot: QtBot, server: ScriptedServer) -> None:
    """It agrees to encrypt and falls silent; then one that answers nonsense."""
    for answer in (b"", b"this is no TLS at all, is it?"):
        with ScriptedServer() as stuck:
            source = RfbSource(stuck.endpoint(), times=LinkTimes(handshake=0.3))
            try:
                with qtbot.waitSignal(source.stateChanged, timeout=5000):
                    source.open()
                    stuck.send(srv.VERSION_38 + b"\x01\x13")
                    assert stuck.read(13)[12] == 19
                    stuck.send(b"\0\2\0\1" + struct.pack(">I", 260))
                    assert stuck.read(6)[2:] == struct.pack(">I", 260)
                    stuck.send(b"\x01")
                    assert stuck.read(5)[0] == 0x16, "the first record of TLS"
                    stuck.send(answer)
                assert isinstance(source.error, ConsoleError)
                assert source.error.advice
            finally:
                source.close()
                source.deleteLater()
