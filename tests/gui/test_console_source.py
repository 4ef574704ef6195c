"""RfbSource on a real socket: its thread, its deadlines, what it sends and how it ends."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QObject, QTimer
from pytestqt.qtbot import QtBot

from guivm.console.rfb_source import RfbSource, make_source
from guivm.console.source import Framebuffer, PointerButton, PointerMode, Rect, SourceState
from guivm.console.vnc.link import LinkTimes
from guivm.engine.job_types import ConsoleEndpoint
from guivm.errors import ConsoleError
from tests.helpers import rfb_server as srv
from tests.helpers.rfb_server import KeyMessage, PointerMessage, RequestMessage, ScriptedServer

FAST = LinkTimes(connect=0.3, handshake=0.3, stall=0.2, stall_bytes=4096, move_interval=1 / 60)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as value:
        yield value


@pytest.fixture
def source(server: ScriptedServer, qapp: object) -> Iterator[RfbSource]:
    value = RfbSource(server.endpoint())
    yield value
    value.close()
    value.deleteLater()


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _connect(qtbot: QtBot, server: ScriptedServer, source: RfbSource, pixels: srv.Pixels) -> Framebuffer:
    """Open, shake hands, acknowledge like QEMU, show a first picture."""
    height, width = pixels.shape[:2]
    source.open()
    server.handshake(width, height)
    server.acknowledge_qemu()
    with qtbot.waitSignal(source.stateChanged, timeout=5000):
        server.send(srv.update(srv.raw(0, 0, pixels)))
    assert source.state is SourceState.CONNECTED
    assert source.framebuffer is not None
    return source.framebuffer


def test_first_frame(qtbot: QtBot, server: ScriptedServer, source: RfbSource) -> None:
    pixels = srv.picture(64, 48)
    order: list[str] = []
    source.resized.connect(lambda _fb: order.append("resized"))
    source.stateChanged.connect(lambda _state: order.append("state"))
    source.damaged.connect(lambda: order.append("damaged"))
    framebuffer = _connect(qtbot, server, source, pixels)
    qtbot.waitUntil(lambda: "damaged" in order, timeout=5000)
    assert order == ["resized", "state", "damaged"]
    assert np.array_equal(framebuffer.pixels, pixels)
    assert source.take_damage() == [Rect(0, 0, 64, 48)]
    assert source.take_damage() == []


def test_damage_is_told_once_until_taken(qtbot: QtBot, server: ScriptedServer, source: RfbSource) -> None:
    _connect(qtbot, server, source, srv.picture(64, 48))
    source.take_damage()
    told: list[None] = []
    source.damaged.connect(lambda: told.append(None))
    with qtbot.waitSignal(source.damaged, timeout=5000):
        server.send(srv.update(srv.raw(0, 0, srv.picture(2, 2))))
    for x in range(10):
        server.send(srv.update(srv.raw(x, 30, srv.picture(1, 1))))
    with qtbot.waitSignal(source.bell, timeout=5000):  # comes after all of them
        server.send(b"\x02")
    assert len(told) == 1
    assert source.take_damage() == [Rect(0, 0, 2, 2), Rect(0, 30, 10, 1)]
    with qtbot.waitSignal(source.damaged, timeout=5000):
        server.send(srv.update(srv.raw(5, 5, srv.picture(1, 1))))


def test_resize_gives_a_new_framebuffer_and_forgets_the_damage(
    qtbot: QtBot, server: ScriptedServer, source: RfbSource
) -> None:
    before = _connect(qtbot, server, source, srv.picture(64, 48))
    with qtbot.waitSignal(source.resized, timeout=5000) as caught:
        server.send(srv.update(srv.extended_size(20, 10), srv.raw(0, 0, srv.picture(20, 10))))
    assert caught.args == [source.framebuffer]
    after = caught.args[0]
    assert isinstance(after, Framebuffer)
    assert after is not before
    assert (after.width, after.height) == (20, 10)
    damage: list[Rect] = []

    def taken() -> list[Rect]:
        damage.extend(source.take_damage())
        return damage

    qtbot.waitUntil(lambda: taken() == [Rect(0, 0, 20, 10)], timeout=5000)
    while server.request() != RequestMessage(False, 20, 10):
        pass


def test_large_picture_over_the_socket(qtbot: QtBot, server: ScriptedServer, source: RfbSource) -> None:
    pixels = srv.picture(1280, 720)
    framebuffer = _connect(qtbot, server, source, pixels)
    assert np.array_equal(framebuffer.pixels, pixels)


def test_keys_and_buttons_arrive_in_order(qtbot: QtBot, server: ScriptedServer, source: RfbSource) -> None:
    _connect(qtbot, server, source, srv.picture(64, 48))
    source.send_pointer(3, 4, PointerButton.NONE)
    source.send_key(30, 0x61, True)
    source.send_pointer(5, 6, PointerButton.LEFT)
    source.send_pointer(7, 8, PointerButton.LEFT)
    source.send_pointer(7, 8, PointerButton.NONE)
    source.send_key(30, 0x61, False)
    received = [server.input_message() for _ in range(6)]
    assert received == [
        PointerMessage(3, 4, 0),
        KeyMessage(0x61, True, 30),
        PointerMessage(5, 6, 1),
        PointerMessage(7, 8, 1),
        PointerMessage(7, 8, 0),
        KeyMessage(0x61, False, 30),
    ]


def test_moves_are_merged_and_the_last_one_arrives(qtbot: QtBot, server: ScriptedServer, source: RfbSource) -> None:
    _connect(qtbot, server, source, srv.picture(640, 480))
    begin = time.monotonic()
    for x in range(500):
        source.send_pointer(x, 1, PointerButton.NONE)
    count = 0
    message: object = None
    while message != PointerMessage(499, 1, 0):
        message = server.input_message()
        count += 1
    assert count <= (time.monotonic() - begin) * 60 + 2


def test_relative_moves_add_up(qtbot: QtBot, server: ScriptedServer, source: RfbSource) -> None:
    _connect(qtbot, server, source, srv.picture(64, 48))
    with qtbot.waitSignal(source.pointerModeChanged, timeout=5000):
        server.send(srv.update(srv.rect(0, 0, 0, 0, srv.POINTER_TYPE)))
    for _ in range(100):
        source.send_pointer(1, -2, PointerButton.NONE)
    source.send_pointer(0, 0, PointerButton.LEFT)
    dx = dy = 0
    while True:
        message = server.input_message()
        assert isinstance(message, PointerMessage)
        if message.buttons:
            break
        dx += message.x - 0x7FFF
        dy += message.y - 0x7FFF
    assert (dx, dy) == (100, -200)


def test_storms_become_one_signal_each(qtbot: QtBot, server: ScriptedServer, source: RfbSource) -> None:
    _connect(qtbot, server, source, srv.picture(64, 48))
    bells: list[None] = []
    source.bell.connect(lambda: bells.append(None))
    begin = time.monotonic()
    # The GUI thread is in send() all the while: everything piles up in the mailbox, not in the event queue.
    server.send(b"\x02" * 50_000)
    server.send(srv.update(srv.rect(0, 0, 0, 0, srv.LED_STATE, b"\x02")))
    with qtbot.waitSignal(source.ledsChanged, timeout=5000):
        pass
    assert 1 <= len(bells) <= (time.monotonic() - begin) * 10 + 1


def test_invisible_asks_for_nothing(qtbot: QtBot, server: ScriptedServer, source: RfbSource) -> None:
    _connect(qtbot, server, source, srv.picture(64, 48))
    source.set_visible(False)
    source.send_key(1, 0xFF1B, True)
    server.input_message()  # the thread has seen both
    server.send(srv.update(srv.raw(0, 0, srv.picture(2, 2))))
    source.send_key(1, 0xFF1B, False)
    assert server.message() == KeyMessage(0xFF1B, False, 1)
    source.set_visible(True)
    assert server.message() == RequestMessage(True, 64, 48)


@pytest.mark.parametrize("after", ["nothing", "greeting", "frame"])
def test_close_is_immediate_and_leaves_nothing(
    qtbot: QtBot, server: ScriptedServer, source: RfbSource, after: str
) -> None:
    if after == "frame":
        _connect(qtbot, server, source, srv.picture(64, 48))
    else:
        source.open()
        if after == "greeting":
            server.send(srv.VERSION_38)
            server.read(12)
    states: list[object] = []
    source.stateChanged.connect(states.append)
    begin = time.monotonic()
    source.close()
    assert time.monotonic() - begin < 0.5
    assert source.state is SourceState.DISCONNECTED
    assert source.error is None
    assert not [thread for thread in threading.enumerate() if thread.name == "rfb-link"]
    source.close()
    assert server.is_left()
    assert states == []


def test_closing_what_was_never_opened_closes_the_descriptor(qapp: object, server: ScriptedServer) -> None:
    source = RfbSource(server.endpoint())
    source.close()
    assert server.is_left()
    source.deleteLater()


def test_no_descriptor_is_leaked(qtbot: QtBot) -> None:
    before = _descriptors()
    for _ in range(5):
        with ScriptedServer() as server:
            source = RfbSource(server.endpoint())
            _connect(qtbot, server, source, srv.picture(8, 8))
            source.close()
            source.deleteLater()
    assert _descriptors() == before


def test_deletion_with_the_parent_ends_the_thread(qtbot: QtBot, server: ScriptedServer) -> None:
    parent = QObject()
    source = RfbSource(server.endpoint(), parent)
    _connect(qtbot, server, source, srv.picture(8, 8))
    parent.deleteLater()
    with qtbot.waitSignal(parent.destroyed, timeout=5000):
        pass
    assert not [thread for thread in threading.enumerate() if thread.name == "rfb-link"]


def test_server_closing_is_told_with_a_reason(qtbot: QtBot, server: ScriptedServer, source: RfbSource) -> None:
    _connect(qtbot, server, source, srv.picture(64, 48))
    with qtbot.waitSignal(source.stateChanged, timeout=5000):
        server.close()
    assert source.state is SourceState.DISCONNECTED
    assert isinstance(source.error, ConsoleError)
    assert source.error.summary == "The display was closed by its server."
    source.send_key(1, 0, True)  # input to a dead console is no error


def test_last_update_before_the_end_is_shown(qtbot: QtBot, server: ScriptedServer, source: RfbSource) -> None:
    framebuffer = _connect(qtbot, server, source, srv.picture(64, 48))
    last = srv.picture(64, 48, seed=9)
    with qtbot.waitSignal(source.stateChanged, timeout=5000):
        server.send(srv.update(srv.raw(0, 0, last)))
        server.close()
    assert np.array_equal(framebuffer.pixels, last)


def test_a_violation_is_a_diagnosed_disconnect(qtbot: QtBot, server: ScriptedServer, source: RfbSource) -> None:
    _connect(qtbot, server, source, srv.picture(64, 48))
    with qtbot.waitSignal(source.stateChanged, timeout=5000):
        server.send(srv.update(srv.rect(60, 0, 5, 5, srv.RAW)))
    assert isinstance(source.error, ConsoleError)
    assert source.error.details == "a rectangle from x=60, 5 pixels wide, on a screen 64 pixels wide"
    assert server.is_left()


def _wait_for_error(qtbot: QtBot, source: RfbSource) -> ConsoleError:
    with qtbot.waitSignal(source.stateChanged, timeout=5000):
        source.open()
    assert source.state is SourceState.DISCONNECTED
    assert isinstance(source.error, ConsoleError)
    return source.error


def test_silent_server(qtbot: QtBot, server: ScriptedServer) -> None:
    source = RfbSource(server.endpoint(), times=FAST)
    assert _wait_for_error(qtbot, source).summary == "The display's server does not answer."
    source.deleteLater()


def test_drip_in_the_middle_of_a_message(qtbot: QtBot, server: ScriptedServer) -> None:
    source = RfbSource(server.endpoint(), times=FAST)
    _connect(qtbot, server, source, srv.picture(64, 48))
    server.send(srv.update(count=5))
    drip = QTimer()
    drip.timeout.connect(lambda: server.send(b"\0"))
    source.stateChanged.connect(drip.stop)
    with qtbot.waitSignal(source.stateChanged, timeout=5000):
        drip.start(50)  # a byte now and then is no progress
    assert isinstance(source.error, ConsoleError)
    assert "in the middle of a message" in source.error.summary
    source.deleteLater()


def test_an_idle_server_is_left_alone(qtbot: QtBot, server: ScriptedServer) -> None:
    source = RfbSource(server.endpoint(), times=FAST)
    _connect(qtbot, server, source, srv.picture(64, 48))
    qtbot.wait(int(FAST.stall * 1000) + 200)
    assert source.state is SourceState.CONNECTED
    source.close()
    source.deleteLater()


def test_a_server_that_does_not_read(qtbot: QtBot, server: ScriptedServer, source: RfbSource) -> None:
    _connect(qtbot, server, source, srv.picture(64, 48))
    with qtbot.waitSignal(source.stateChanged, timeout=20_000):
        for _ in range(60):
            for _ in range(5000):
                source.send_key(30, 0x61, True)
    assert isinstance(source.error, ConsoleError)
    assert "does not read" in source.error.summary


def test_partial_sends_lose_nothing(qtbot: QtBot, server: ScriptedServer, source: RfbSource) -> None:
    """The server reads nothing for a while; the client still receives, and then all keys arrive in order."""
    _connect(qtbot, server, source, srv.picture(64, 48))
    source.take_damage()
    count = 40_000
    for number in range(count):
        source.send_key(30, 0x100 + number, True)
    with qtbot.waitSignal(source.damaged, timeout=5000):
        server.send(srv.update(srv.raw(0, 0, srv.picture(64, 48))))
    for number in range(count):
        message = server.input_message()
        assert isinstance(message, KeyMessage)
        assert message.keysym == 0x100 + number


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_unix_and_tcp(qtbot: QtBot, tmp_path: Path, kind: str) -> None:
    listener = socket.socket(socket.AF_UNIX if kind == "unix" else socket.AF_INET)
    listener.bind(str(tmp_path / "vnc") if kind == "unix" else ("127.0.0.1", 0))
    listener.listen()
    if kind == "unix":
        endpoint = ConsoleEndpoint(unix_path=str(tmp_path / "vnc"))
    else:
        endpoint = ConsoleEndpoint(tcp=listener.getsockname())
    source = make_source(endpoint)
    source.open()
    peer, _ = listener.accept()
    listener.close()
    peer.settimeout(5)
    with qtbot.waitSignal(source.stateChanged, timeout=5000):
        peer.sendall(srv.greeting_38(8, 8) + srv.update(srv.raw(0, 0, srv.picture(8, 8))))
    assert source.state is SourceState.CONNECTED
    source.close()
    source.deleteLater()
    peer.close()


def test_nobody_listens(qtbot: QtBot, tmp_path: Path) -> None:
    source = RfbSource(ConsoleEndpoint(unix_path=str(tmp_path / "gone")))
    assert "No such file" in _wait_for_error(qtbot, source).summary
    source.deleteLater()
    source = RfbSource(ConsoleEndpoint(tcp=("127.0.0.1", 1)))
    assert "refused" in _wait_for_error(qtbot, source).summary
    source.deleteLater()


def test_full_backlog_times_out(qtbot: QtBot, tmp_path: Path) -> None:
    path = str(tmp_path / "vnc")
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as first:
        listener.bind(path)
        listener.listen(0)
        first.connect(path)
        source = RfbSource(ConsoleEndpoint(unix_path=path), times=FAST)
        assert "timed out" in _wait_for_error(qtbot, source).summary
    source.deleteLater()


def test_a_descriptor_that_is_no_socket(qtbot: QtBot) -> None:
    reader, writer = os.pipe()
    source = RfbSource(ConsoleEndpoint(fd=reader))
    assert "socket" in _wait_for_error(qtbot, source).summary
    os.close(writer)
    source.deleteLater()


def test_password_is_used(qtbot: QtBot, server: ScriptedServer) -> None:
    source = RfbSource(server.endpoint("secret"))
    source.open()
    server.send(srv.VERSION_38 + b"\x01\x02" + bytes(range(16)))
    server.read(12 + 1)
    assert server.read(16).hex() == "ee22539f33a5983ec12f9c2edbc995dd"
    with qtbot.waitSignal(source.stateChanged, timeout=5000):
        server.send(b"\0\0\0\1" + struct.pack(">I", 0))
    assert isinstance(source.error, ConsoleError)
    assert source.error.summary == "The display's server refused the log-in."
    source.deleteLater()


def test_the_mode_that_a_movement_was_meant_for(qtbot: QtBot, server: ScriptedServer, source: RfbSource) -> None:
    """The guest switches to a relative mouse; what was queued as a position becomes no wild jump."""
    _connect(qtbot, server, source, srv.picture(640, 480))
    with qtbot.waitSignal(source.pointerModeChanged, timeout=5000):
        server.send(srv.update(srv.rect(0, 0, 0, 0, srv.POINTER_TYPE)))
    source._link.send_pointer(300, 300, PointerButton.LEFT, PointerMode.ABSOLUTE)
    assert server.input_message() == PointerMessage(0x7FFF, 0x7FFF, 1)
