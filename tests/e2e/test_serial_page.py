"""The serial page on a real guest: what is typed into the terminal is answered on its screen."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from guivm.console.serial.selection import all_text
from guivm.engine import requests as rq
from guivm.engine.engine import LibvirtEngine
from guivm.engine.types import VmKey, VmState
from guivm.views.bridge import Bridge
from guivm.views.serial_page import SerialPage
from tests.helpers.daemon import SessionDaemon
from tests.helpers.guests import sample_guest
from tests.helpers.recorder import Recorder

pytestmark = pytest.mark.e2e

WAIT_MS = 120_000

_GUEST = """
<domain type='qemu'>
  <name>serial</name><memory unit='MiB'>256</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type>
    <kernel>{kernel}</kernel><initrd>{initrd}</initrd><cmdline>{arguments}</cmdline></os>
  <features><acpi/></features><cpu mode='maximum'/>
  <devices><serial type='pty'/><console type='pty'/></devices>
</domain>"""


@pytest.fixture
def bridge(qtbot: QtBot, daemon: SessionDaemon) -> Iterator[Bridge]:
    engine = LibvirtEngine(warm_up=False)
    value = Bridge(engine)
    yield value
    value.close()
    engine.stop(60)
    value.deleteLater()


def test_a_guest_boots_and_is_talked_to(qtbot: QtBot, daemon: SessionDaemon, bridge: Bridge) -> None:
    import libvirt

    built = sample_guest()
    connection = libvirt.open(daemon.uri)
    xml = _GUEST.format(kernel=built.kernel, initrd=built.initrd, arguments=built.arguments)
    uuid = connection.defineXML(xml).UUIDString()
    connection.close()
    recorder = Recorder()
    bridge.engine.add_listener(recorder)
    key = VmKey(bridge.engine.open_host(daemon.uri), uuid)
    recorder.wait_for_state(key, VmState.OFF)
    vm = bridge.engine.vm(key)
    assert vm is not None
    page = SerialPage(bridge, vm)
    qtbot.addWidget(page)
    page.resize(900, 600)
    page.show()

    def follow(state: VmState) -> None:
        recorder.wait_for_state(key, state)
        seen = bridge.engine.vm(key)
        assert seen is not None
        page.set_vm(seen)

    def text() -> str:
        return all_text(page.terminal.terminal.snapshot()) if page.terminal is not None else ""

    bridge.engine.submit(rq.Start(key)).result(60)
    follow(VmState.RUNNING)
    qtbot.waitUntil(lambda: "sample:~#" in text(), timeout=WAIT_MS)
    assert "guivm sample guest" in text()
    assert page.terminal is not None
    page.terminal.tell_size()
    QTest.keyClicks(page.terminal, "stty size; seq 1 100; echo ")
    page.terminal.paste_text("ä$((6*7))ö")  # QTest types ASCII only
    QTest.keyClick(page.terminal, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: "ä42ö" in text(), timeout=WAIT_MS)
    terminal = page.terminal.terminal
    assert f"\n{terminal.rows} {terminal.columns}\n" in text()
    assert "\n1\n2\n3\n" in text(), "in the scrollback"
    bridge.engine.submit(rq.ForceOff(key)).result(60)
    follow(VmState.OFF)
    assert not page.has_source
    bridge.engine.submit(rq.Start(key)).result(60)
    follow(VmState.RUNNING)
    qtbot.waitUntil(lambda: text().count("guivm sample guest") >= 2, timeout=WAIT_MS)
    page.disconnect_source()
