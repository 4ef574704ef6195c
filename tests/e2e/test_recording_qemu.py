"""A session with a real QEMU: recorded, replayed, and the same to the last pixel."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from guivm.console.recording.format import Recording, RecordingHeader
from guivm.console.recording.layout import SUFFIX
from guivm.console.recording.playback import Keyframes, ReplayCursor, survey
from guivm.console.recording.recorder import Recorder, RecorderTap
from guivm.console.replay_source import ReplaySource, ReplayState
from guivm.console.rfb.encoding_choice import EncodingChoice
from guivm.console.rfb.events import UpdateEnded
from guivm.console.rfb.session import RfbSession
from guivm.console.rfb.wire import Encoding
from guivm.console.rfb_source import RfbSource
from guivm.console.source import SourceState
from guivm.engine.job_types import ConsoleEndpoint
from tests.e2e.test_console_qemu import Qemu
from tests.helpers.guests import boot_sector_image
from tests.helpers.rfb_server import Pixels

pytestmark = pytest.mark.e2e

_TEXT = (720, 400)
_ENCODINGS = (Encoding.TIGHT, Encoding.ZRLE, Encoding.ZLIB, Encoding.HEXTILE)


@pytest.fixture
def qemu(tmp_path: Path) -> Iterator[Qemu]:
    image = boot_sector_image(tmp_path / "disk.img")
    value = Qemu(tmp_path, "-S", "-drive", f"file={image},format=raw,if=ide")
    yield value
    value.close()


def _record_source(qtbot: QtBot, qemu: Qemu, tap: RecorderTap, directory: Path) -> Pixels:
    """The console, from power-on to the guest's text, stopped: the picture it has, which is QEMU's."""
    source = RfbSource(ConsoleEndpoint(unix_path=str(qemu.vnc)), tap=tap)
    with qtbot.waitSignal(source.stateChanged, timeout=10_000):
        source.open()
    assert source.state is SourceState.CONNECTED

    def shows_the_guest() -> bool:
        fb = source.framebuffer
        return fb is not None and (fb.width, fb.height) == _TEXT and bool(fb.pixels[:16, -9:, :3].any())

    qemu.command("cont")
    qtbot.waitUntil(shows_the_guest, timeout=30_000)
    qtbot.wait(500)  # the guest paints; what it paints does not matter
    qemu.command("stop")
    dump = qemu.screendump(directory)

    def is_the_same() -> bool:
        fb = source.framebuffer
        return fb is not None and np.array_equal(fb.pixels[:, :, 2::-1], dump)

    qtbot.waitUntil(is_the_same, timeout=10_000)
    fb = source.framebuffer
    assert fb is not None
    source.close()
    source.deleteLater()
    return fb.pixels


def _record_encoded(qemu: Qemu, tap: RecorderTap, encoding: Encoding, updates: int) -> Pixels:
    """A connection as over a network, with its zlib streams."""
    session = RfbSession(choice=EncodingChoice((encoding,), compression=1), tap=tap)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(20)
        sock.connect(str(qemu.vnc))
        while updates:
            sock.sendall(session.take_output())
            count = sock.recv_into(session.buffers()[0])
            assert count
            session.received(count)
            updates -= sum(isinstance(event, UpdateEnded) and event.pixels for event in session.take_events())
            updates = max(updates, 0)
    assert session.framebuffer is not None
    return session.framebuffer.pixels


def _replayed(qtbot: QtBot, path: Path) -> Pixels:
    source = ReplaySource(path)
    states: list[ReplayState] = []
    source.replayStateChanged.connect(states.append)
    source.open()
    qtbot.waitUntil(lambda: bool(states), timeout=10_000)
    source.set_speed(16)
    source.play()
    qtbot.waitUntil(lambda: states[-1] is ReplayState.ENDED, timeout=30_000)
    assert source.problem is None
    fb = source.framebuffer
    assert fb is not None
    source.close()
    source.deleteLater()
    return fb.pixels


def test_the_last_frame_is_the_live_one(qtbot: QtBot, qemu: Qemu, tmp_path: Path) -> None:
    path = tmp_path / f"session{SUFFIX}"
    with closing(Recorder(path, RecordingHeader(640, 480, "boot sector", datetime.now(UTC)))) as recorder:
        live = _record_source(qtbot, qemu, recorder.tap(), tmp_path)
    assert recorder.error is None
    assert np.array_equal(_replayed(qtbot, path), live)


def test_compressed_streams_and_a_reconnect(qtbot: QtBot, qemu: Qemu, tmp_path: Path) -> None:
    """Connections of all kinds in one recording; any moment of it, in any order, is what it was."""
    path = tmp_path / f"session{SUFFIX}"
    with closing(Recorder(path, RecordingHeader(640, 480, "boot sector", datetime.now(UTC)))) as recorder:
        _record_source(qtbot, qemu, recorder.tap(), tmp_path)
        qemu.command("cont")
        for encoding in _ENCODINGS:
            last = _record_encoded(qemu, recorder.tap(), encoding, 12)
    with Recording(path) as recording:
        assert len(recording.segments) == 1 + len(_ENCODINGS)
        forward = ReplayCursor(recording, Keyframes(spacing_s=float("inf")))
        truth: dict[int, Pixels] = {}
        while forward.step():
            if forward.framebuffer is not None and not forward.is_fresh:
                truth[forward.time_us] = forward.framebuffer.pixels.copy()
        assert forward.framebuffer is not None
        assert np.array_equal(forward.framebuffer.pixels, last)
        keyframes = Keyframes(spacing_s=0.0)
        assert survey(recording, keyframes, bool) is not None
        assert len(keyframes) > 20
        cursor = ReplayCursor(recording, keyframes)
        times = sorted(truth)
        for time_us in (*times[::-7], *times[::5], *times[-3:]):
            assert cursor.seek(time_us)
            assert cursor.framebuffer is not None
            assert np.array_equal(cursor.framebuffer.pixels, truth[time_us])
            following = cursor.next_time_us()
            if following is not None and following in truth:
                cursor.seek(following)
                assert np.array_equal(cursor.framebuffer.pixels, truth[following])
