"""ReplaySource: a recording behind the interface of every display."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from guivm.console.frame import Rect
from guivm.console.recording.format import Chunk, RecordingError, write_recording
from guivm.console.replay_source import ReplaySource, ReplayState
from guivm.console.source import PointerButton, SourceState
from guivm.console.widget import ConsoleFace, ConsoleWidget
from tests.helpers import rfb_server as srv
from tests.helpers.recordings import HEADER, SECOND, connection, numbered, numbered_session, record

Opener = Callable[[Path], ReplaySource]


@pytest.fixture
def opened(qtbot: QtBot) -> Iterator[Opener]:
    sources: list[ReplaySource] = []

    def make(path: Path) -> ReplaySource:
        source = ReplaySource(path)
        sources.append(source)
        states: list[ReplayState] = []
        source.replayStateChanged.connect(states.append)
        source.open()
        qtbot.waitUntil(lambda: bool(states), timeout=5000)
        return source

    yield make
    for source in sources:
        source.close()
        source.deleteLater()


def shows(source: ReplaySource, pixels: srv.Pixels) -> bool:
    fb = source.framebuffer
    return fb is not None and np.array_equal(fb.pixels, pixels)


def test_opens_paused_at_the_first_picture(tmp_path: Path, opened: Opener) -> None:
    source = opened(numbered_session(tmp_path / "a.guivm-rec", 10, SECOND))
    assert source.state is SourceState.CONNECTED
    assert source.replay_state is ReplayState.PAUSED
    assert shows(source, numbered(0))
    assert source.take_damage() == [Rect(0, 0, 64, 48)]
    assert source.position_us == 0
    assert source.duration_us == 9 * SECOND
    assert source.header == HEADER
    source.send_key(30, 0x61, True)
    source.send_pointer(1, 1, PointerButton.LEFT)
    source.set_visible(False)


def test_plays_to_the_end_and_again(qtbot: QtBot, tmp_path: Path, opened: Opener) -> None:
    source = opened(numbered_session(tmp_path / "a.guivm-rec", 20, 20_000))
    for _ in range(2):
        positions: list[int] = []
        source.positionChanged.connect(positions.append)
        with qtbot.waitSignal(
            source.replayStateChanged, timeout=5000, check_params_cb=lambda s: s is ReplayState.ENDED
        ):
            source.play()
        source.positionChanged.disconnect(positions.append)
        assert shows(source, numbered(19))
        assert positions == sorted(positions)
        assert positions[-1] == source.duration_us
        assert source.state is SourceState.CONNECTED
        assert source.error is None


def test_time_passes_as_it_did(qtbot: QtBot, tmp_path: Path, opened: Opener) -> None:
    """Not faster than recorded: a picture is never shown before its time."""
    import time

    source = opened(numbered_session(tmp_path / "a.guivm-rec", 5, 60_000))
    began = time.monotonic()
    with qtbot.waitSignal(source.replayStateChanged, timeout=5000, check_params_cb=lambda s: s is ReplayState.ENDED):
        source.play()
    assert time.monotonic() - began >= 0.24


def test_seeks_pause_and_step(qtbot: QtBot, tmp_path: Path, opened: Opener) -> None:
    source = opened(numbered_session(tmp_path / "a.guivm-rec", 100, SECOND))
    for second in (50, 10, 99, 0, 73):
        source.seek(second * SECOND + 400_000)
        qtbot.waitUntil(partial(shows, source, numbered(second)), timeout=5000)
    source.step()
    qtbot.waitUntil(lambda: source.position_us == 74 * SECOND, timeout=5000)
    assert shows(source, numbered(74))
    assert source.replay_state is ReplayState.PAUSED
    source.seek(500 * SECOND)
    qtbot.waitUntil(lambda: source.replay_state is ReplayState.ENDED, timeout=5000)
    assert shows(source, numbered(99))
    source.step()
    source.seek(3 * SECOND)
    qtbot.waitUntil(lambda: source.replay_state is ReplayState.PAUSED, timeout=5000)
    assert shows(source, numbered(3))
    source.play()
    qtbot.waitUntil(lambda: source.replay_state is ReplayState.PLAYING, timeout=5000)
    source.pause()
    qtbot.waitUntil(lambda: source.replay_state is ReplayState.PAUSED, timeout=5000)


def test_a_step_right_behind_a_seek_is_taken(qtbot: QtBot, tmp_path: Path, opened: Opener) -> None:
    source = opened(numbered_session(tmp_path / "a.guivm-rec", 100, SECOND))
    for second in range(40, 60):
        source.seek(second * SECOND)
        source.step()
        qtbot.waitUntil(partial(shows, source, numbered(second + 1)), timeout=5000)


def test_speed_and_idle_time(qtbot: QtBot, tmp_path: Path, opened: Opener) -> None:
    """Hours of nothing are over in a moment when idle time is skipped."""
    pictures = [(0, numbered(0)), (3600 * SECOND, numbered(1)), (7200 * SECOND, numbered(2))]
    source = opened(record(tmp_path / "a.guivm-rec", pictures))
    source.set_speed(100.0)  # at most 16
    source.set_skip_idle(True)
    with qtbot.waitSignal(source.replayStateChanged, timeout=5000, check_params_cb=lambda s: s is ReplayState.ENDED):
        source.play()
    assert shows(source, numbered(2))


def test_resizes_and_reconnects_are_followed(qtbot: QtBot, tmp_path: Path, opened: Opener) -> None:
    sizes = [(64, 48), (80, 60), (32, 24)]
    first = [(n * 30_000, numbered(n, *sizes[n])) for n in range(2)]
    second = [(90_000, numbered(2, *sizes[2])), (120_000, numbered(3, *sizes[2]))]
    source = opened(record(tmp_path / "a.guivm-rec", first, second))
    seen: list[tuple[int, int]] = []
    source.resized.connect(lambda fb: seen.append((fb.width, fb.height)))
    with qtbot.waitSignal(source.replayStateChanged, timeout=5000, check_params_cb=lambda s: s is ReplayState.ENDED):
        source.play()
    assert seen == sizes[1:]
    source.seek(30_000)
    qtbot.waitUntil(lambda: shows(source, numbered(1, 80, 60)), timeout=5000)


def test_in_the_console_widget(qtbot: QtBot, tmp_path: Path) -> None:
    source = ReplaySource(numbered_session(tmp_path / "a.guivm-rec", 3, SECOND))
    widget = ConsoleWidget()
    qtbot.addWidget(widget)
    widget.set_face(ConsoleFace.LIVE)
    widget.set_source(source)
    widget.show()
    with qtbot.waitSignal(widget.frameShown, timeout=5000):
        source.open()
    source.seek(2 * SECOND)
    color = numbered(2)[0, 0]
    qtbot.waitUntil(lambda: widget.current_image().pixelColor(5, 5).blue() == color[0], timeout=5000)
    widget.set_source(None)


def test_a_file_that_is_no_recording(tmp_path: Path, opened: Opener) -> None:
    path = tmp_path / "a.guivm-rec"
    path.write_bytes(b"hello")
    source = opened(path)
    assert source.replay_state is ReplayState.FAILED
    assert source.state is SourceState.DISCONNECTED
    assert isinstance(source.error, RecordingError)


def test_nonsense_from_the_start(tmp_path: Path, opened: Opener) -> None:
    path = tmp_path / "a.guivm-rec"
    write_recording(path, HEADER, [[Chunk(0, srv.server_init(4, 4, pixel_format=bytes(16)))]])
    source = opened(path)
    assert source.replay_state is ReplayState.FAILED
    assert source.error is not None


def test_damage_in_the_middle_is_told_and_the_rest_plays(qtbot: QtBot, tmp_path: Path, opened: Opener) -> None:
    chunks = connection([(0, numbered(0)), (50_000, numbered(1))])
    chunks += [Chunk(100_000, b"\xee nonsense"), Chunk(10 * SECOND, b"\0")]
    path = tmp_path / "a.guivm-rec"
    write_recording(path, HEADER, [chunks])
    source = opened(path)
    qtbot.waitUntil(lambda: source.problem is not None, timeout=5000)
    assert source.duration_us == 100_000
    for _ in range(2):
        with qtbot.waitSignal(
            source.replayStateChanged, timeout=5000, check_params_cb=lambda s: s is ReplayState.ENDED
        ):
            source.play()
        assert shows(source, numbered(1))
        assert source.state is SourceState.CONNECTED
    source.seek(60_000)
    qtbot.waitUntil(lambda: source.replay_state is ReplayState.PAUSED, timeout=5000)
    source.step()
    qtbot.waitUntil(lambda: source.replay_state is ReplayState.ENDED, timeout=5000)


def test_at_the_damage_the_last_good_picture_is_shown(qtbot: QtBot, tmp_path: Path, opened: Opener) -> None:
    """Also when somebody goes there at once, from far before."""
    chunks = connection([(n * SECOND, numbered(n)) for n in range(50)])
    path = tmp_path / "a.guivm-rec"
    write_recording(path, HEADER, [[*chunks, Chunk(60 * SECOND, b"\xee")]])
    source = opened(path)
    source.seek(99 * SECOND)
    qtbot.waitUntil(lambda: source.replay_state is ReplayState.ENDED, timeout=5000)
    assert shows(source, numbered(49))
    assert source.problem is not None


def test_a_recording_that_shows_nothing(tmp_path: Path, opened: Opener) -> None:
    """ServerInit and no picture: a black screen of its size, as the guest was."""
    path = tmp_path / "a.guivm-rec"
    write_recording(path, HEADER, [[Chunk(0, srv.server_init(4, 4))]])
    source = opened(path)
    assert source.state is SourceState.CONNECTED
    assert source.replay_state is ReplayState.ENDED


def test_closing_while_it_loads(tmp_path: Path, qtbot: QtBot) -> None:
    for opens in (False, True):
        source = ReplaySource(tmp_path / "none.guivm-rec")
        if opens:
            source.open()
        source.close()
        source.close()
        assert source.error is None
        source.deleteLater()
