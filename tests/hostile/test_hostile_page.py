"""What a person sees of a hostile server: its fault in words, a button to reconnect, and a window that goes on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from PySide6.QtCore import QObject, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel, QPushButton
from pytestqt.qtbot import QtBot

from guivm.console.faces import ConsoleFace
from guivm.console.rfb.session import Tap
from guivm.console.rfb.wire import Encoding
from guivm.console.rfb_source import RfbSource
from guivm.console.vnc.link import LinkTimes
from guivm.engine.job_types import ConsoleEndpoint
from guivm.engine.types import VmKey, VmState
from guivm.views.bridge import Bridge
from guivm.views.settings import Settings
from tests.helpers import rfb_server as srv
from tests.helpers.console_stage import Stage
from tests.helpers.fake_engine import FakeEngine
from tests.helpers.hostile_server import cut_text, name, packed, provided, tight
from tests.helpers.rfb_server import ScriptedServer

_GREETING = srv.greeting_38(64, 48)
_PICTURE = srv.update(srv.raw(0, 0, srv.picture(64, 48)))
_TIMES = LinkTimes(handshake=0.3, stall=0.2, picture=0.3)


class HostileDisplays:
    """Each connection is to a server that says ``words``; ``leaves``: and goes."""

    def __init__(self) -> None:
        self.words = b""
        self.leaves = False
        self.servers: list[ScriptedServer] = []

    def open(self, _key: VmKey) -> ConsoleEndpoint:
        server = ScriptedServer()
        self.servers.append(server)
        server.send(self.words)
        endpoint = server.endpoint()
        if self.leaves:
            server.close()
        return endpoint

    @staticmethod
    def make_source(endpoint: ConsoleEndpoint, parent: QObject, *, tap: Tap | None = None) -> RfbSource:
        return RfbSource(endpoint, parent, times=_TIMES, tap=tap)


@pytest.fixture
def displays(fake_engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> Iterator[HostileDisplays]:
    value = HostileDisplays()
    monkeypatch.setattr(fake_engine, "_console", value.open)
    monkeypatch.setattr("guivm.console.rfb_source.make_source", value.make_source)
    # Only a person reconnects in these tests.
    monkeypatch.setattr("guivm.views.endpoint_connector.FIRST_DELAY_MS", 3_600_000)
    monkeypatch.setattr("guivm.views.endpoint_connector.LAST_DELAY_MS", 3_600_000)
    yield value
    for server in value.servers:
        server.close()


def _rect(encoding: int, body: bytes) -> bytes:
    return srv.update(srv.rect(0, 0, 8, 8, encoding, body))


@pytest.mark.parametrize(
    ("words", "leaves", "cause"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", False, "What answers there is no VNC server"),
        (b"", False, "does not answer"),
        (b"", True, "closed by its server, in the handshake"),
        (_GREETING[:30], True, "closed by its server, in the handshake"),
        (srv.VERSION_38 + b"\0\0\0\0\x0fToo many users\n", False, "Too many users"),
        (srv.VERSION_38 + b"\x01\x01\0\0\0\0" + srv.server_init(16385, 1), False, "a screen of 16385 by 1 pixels"),
        (_GREETING, False, "sends no picture"),
        (_GREETING + _PICTURE, True, "closed by its server"),
        (_GREETING + _PICTURE + b"\0", True, "closed by its server, in the middle of a message"),
        (_GREETING + _PICTURE + b"\0", False, "stopped in the middle of a message"),
        (_GREETING + _PICTURE + srv.update(srv.rect(60, 0, 5, 5, 0)), False, "a rectangle from x=60, 5 pixels wide"),
        (_GREETING + _PICTURE + _rect(1, b"\xff\xff\xff\xff"), False, "a copy from x=65535"),
        (_GREETING + _rect(Encoding.TIGHT, tight(0, b"", bytes(5000))), False, "more than the 192 bytes"),
        (_GREETING + _rect(Encoding.ZRLE, packed(b"\x80abc\xff")), False, "a ZRLE tile that ends before"),
        (_GREETING + _rect(Encoding.HEXTILE, b"\x20"), False, "a Hextile tile of unknown kind 32"),
        (_GREETING + _PICTURE + cut_text(bytes(0))[:4] + b"\x7f\xff\xff\xff", False, "a clipboard text of 2147483647"),
        (_GREETING + _PICTURE + srv.update(name(b"")[:-4] + b"\xff\xff\xff\xff"), False, "a name of 4294967295 bytes"),
        (_GREETING + _PICTURE + b"\xff\x01\0\x09", False, "a sound message of unknown kind 9"),
        (_GREETING + _PICTURE + provided(b"") + b"\x09", False, "a message of unknown type 9"),
        (_GREETING + _PICTURE + srv.update(srv.rect(0, 0, 0, 5, srv.DESKTOP_SIZE)), False, "a screen of 0 by 5"),
    ],
)
def test_the_cause_is_named_and_a_button_reconnects(
    qtbot: QtBot,
    bridge: Bridge,
    settings: Settings,
    fake_engine: FakeEngine,
    displays: HostileDisplays,
    words: bytes,
    leaves: bool,
    cause: str,
) -> None:
    displays.words, displays.leaves = words, leaves
    stage = Stage(qtbot, bridge, settings, fake_engine, fake_engine.add_vm("debian", VmState.RUNNING))
    page = stage.page
    qtbot.waitUntil(lambda: bool(page.problem))
    assert stage.shows(ConsoleFace.RECONNECTING)
    console = page.console
    assert console is not None
    text = console.findChild(QLabel, "console-face-text")
    button = console.findChild(QPushButton, "console-reconnect")
    assert text is not None
    assert button is not None
    assert cause in text.text()
    assert text.textFormat() is Qt.TextFormat.PlainText
    assert cause in console.accessibleDescription(), "those who do not see it are told, too"
    assert button.isVisible()
    assert button.isEnabled()
    assert button.text() == "Reconnect"
    assert not page.has_source, "the connection was given back"

    displays.words, displays.leaves = _GREETING + _PICTURE, False
    asked = len(displays.servers)
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: stage.shows(ConsoleFace.LIVE))
    assert len(displays.servers) == asked + 1
    assert not page.problem
    assert not button.isVisible()
    assert page.current_image().width() == 64
    page.disconnect_source()


def test_a_server_that_fails_each_time_is_asked_ever_less_often(
    qtbot: QtBot,
    bridge: Bridge,
    settings: Settings,
    fake_engine: FakeEngine,
    displays: HostileDisplays,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It shows a picture first, each time: no endless loop of reconnecting."""
    monkeypatch.setattr("guivm.views.endpoint_connector.FIRST_DELAY_MS", 1)
    displays.words = _GREETING + _PICTURE + b"\x09"
    stage = Stage(qtbot, bridge, settings, fake_engine, fake_engine.add_vm("debian", VmState.RUNNING))
    qtbot.waitUntil(lambda: len(displays.servers) >= 7)
    qtbot.waitUntil(lambda: stage.page.connector.delay_ms >= 64)
    assert "unknown type 9" in stage.page.problem or stage.page.has_source
    stage.page.disconnect_source()
