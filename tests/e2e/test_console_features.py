"""What QEMU's VNC server can beside pixels and keys: clipboard, power, locks, sizes, sound."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from guivm.console.rfb_source import RfbSource
from guivm.console.source import ClipboardPolicy, KeyboardLeds, PowerAction, SourceFeature, SourceState
from guivm.engine.job_types import ConsoleEndpoint
from tests.e2e.test_console_qemu import Qemu
from tests.helpers.boot_sector import BEEP, CAPS_LOCK_LAMP, write_boot_sector

pytestmark = pytest.mark.e2e


@pytest.fixture
def qemu(tmp_path: Path) -> Iterator[Qemu]:
    value = Qemu(
        tmp_path,
        *write_boot_sector(tmp_path / "boot", CAPS_LOCK_LAMP),
        *("-audiodev", "none,id=a", "-S", "-vnc", f"unix:{tmp_path}/able,power-control=on,audiodev=a"),
        *("-chardev", "qemu-vdagent,id=agent,name=vdagent,clipboard=on"),
        *("-device", "virtio-serial", "-device", "virtserialport,chardev=agent,name=com.redhat.spice.0"),
    )
    yield value
    value.close()


def _open(qtbot: QtBot, path: Path) -> RfbSource:
    source = RfbSource(ConsoleEndpoint(unix_path=str(path)))
    with qtbot.waitSignal(source.stateChanged, timeout=10_000):
        source.open()
    assert source.state is SourceState.CONNECTED
    return source


def _have_clipboards(*sources: RfbSource) -> bool:
    return all(SourceFeature.CLIPBOARD in source.features for source in sources)


@pytest.fixture
def source(qtbot: QtBot, qemu: Qemu, tmp_path: Path) -> Iterator[RfbSource]:
    value = _open(qtbot, tmp_path / "able")
    yield value
    value.close()
    value.deleteLater()


def test_features(qtbot: QtBot, source: RfbSource, qemu: Qemu) -> None:
    expected = SourceFeature.RESIZE | SourceFeature.POWER | SourceFeature.CLIPBOARD | SourceFeature.SOUND
    qtbot.waitUntil(lambda: source.features == expected, timeout=5000)
    plain = _open(qtbot, qemu.vnc)
    qtbot.waitUntil(lambda: SourceFeature.CLIPBOARD in plain.features, timeout=5000)
    assert SourceFeature.POWER not in plain.features, "this one has no power control"
    plain.close()
    plain.deleteLater()


def test_power(qtbot: QtBot, source: RfbSource, qemu: Qemu) -> None:
    """QEMU tells of the reset on its monitor."""
    qtbot.waitUntil(lambda: SourceFeature.POWER in source.features, timeout=5000)
    qemu.command("cont")
    source.send_power(PowerAction.RESET)
    while True:
        event = json.loads(qemu.line())
        if event.get("event") == "RESET":
            assert event["data"]["guest"] is False
            return


def test_text_travels_between_two_viewers(qtbot: QtBot, source: RfbSource, qemu: Qemu) -> None:
    """QEMU hands the clipboard of one client to its others, as it would to the guest's agent."""
    other = _open(qtbot, qemu.vnc)
    try:
        qtbot.waitUntil(lambda: _have_clipboards(source, other), timeout=5000)
        source.set_clipboard_policy(ClipboardPolicy.TO_GUEST)
        other.set_clipboard_policy(ClipboardPolicy.FROM_GUEST)
        for text in ("Zażółć gęślą jaźń\nline 2 – 日本語 🙂", "x" * 900_000, "short"):
            with qtbot.waitSignal(other.clipboardReceived, timeout=10_000) as caught:
                source.send_clipboard(text)
            assert caught.args == [text]
    finally:
        other.close()
        other.deleteLater()


def test_nothing_leaks_when_the_clipboard_is_off(qtbot: QtBot, source: RfbSource, qemu: Qemu) -> None:
    """A third viewer hears what QEMU hands on, and so tells when it has done so: viewers' messages have no order."""
    other, witness = _open(qtbot, qemu.vnc), _open(qtbot, qemu.vnc)
    received: list[str] = []
    other.clipboardReceived.connect(received.append)
    try:
        qtbot.waitUntil(lambda: _have_clipboards(source, other, witness), timeout=5000)
        witness.set_clipboard_policy(ClipboardPolicy.FROM_GUEST)
        source.send_clipboard("kept back by the sender")
        source.set_clipboard_policy(ClipboardPolicy.TO_GUEST)
        with qtbot.waitSignal(witness.clipboardReceived, timeout=10_000) as caught:
            source.send_clipboard("kept out by the receiver")
        assert caught.args == ["kept out by the receiver"]
        other.set_clipboard_policy(ClipboardPolicy.TO_GUEST)
        source.set_clipboard_policy(ClipboardPolicy.BOTH)
        with qtbot.waitSignal(source.clipboardReceived, timeout=10_000) as caught:
            other.send_clipboard("let in")
        assert caught.args == ["let in"]
        assert received == []
    finally:
        for viewer in (other, witness):
            viewer.close()
            viewer.deleteLater()


def test_locks(qtbot: QtBot, source: RfbSource, qemu: Qemu) -> None:
    """The guest switches the lamps of its keyboard."""
    lit: list[KeyboardLeds] = []
    source.ledsChanged.connect(lit.append)
    qemu.command("cont")
    qtbot.waitUntil(lambda: KeyboardLeds.CAPS_LOCK in lit, timeout=20_000)


def test_sound(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The guest beeps through its speaker; the player on PATH is ours and writes down what it gets."""
    heard = tmp_path / "heard"
    player = tmp_path / "paplay"
    player.write_text(f"#!/bin/sh\nexec /bin/cat > {heard}\n")
    player.chmod(0o755)
    (tmp_path / "beeper").mkdir()
    qemu = Qemu(
        tmp_path / "beeper",
        *write_boot_sector(tmp_path / "beep", BEEP),
        *("-audiodev", "none,id=a", "-machine", "pcspk-audiodev=a"),
        *("-vnc", f"unix:{tmp_path}/loud,audiodev=a"),
    )
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    source = RfbSource(ConsoleEndpoint(unix_path=str(tmp_path / "loud")))
    try:
        source.set_sound(True)
        with qtbot.waitSignal(source.stateChanged, timeout=10_000):
            source.open()
        qtbot.waitUntil(lambda: heard.exists() and any(heard.read_bytes()), timeout=20_000)
    finally:
        source.close()
        source.deleteLater()
        qemu.close()
    assert heard.stat().st_size % 4 == 0
