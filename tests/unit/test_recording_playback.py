"""Decoding a recording forward, and going to any moment of it."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guivm.console.frame import Framebuffer
from guivm.console.recording.format import Chunk, Recording, RecordingError, write_recording
from guivm.console.recording.playback import Keyframes, ReplayCursor, survey
from guivm.console.rfb.inbox import Inbox, Steps
from tests.helpers import rfb_server as srv
from tests.helpers.recordings import HEADER, connection, numbered, plain, record

STEP = 1000


def shown(cursor: ReplayCursor) -> srv.Pixels:
    fb = cursor.framebuffer
    assert fb is not None
    return fb.pixels


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Recording]:
    """Two connections: 30 pictures, a larger screen in the middle; then 10 of a small one."""
    first = [(n * STEP, numbered(n, 64 if n < 15 else 80)) for n in range(30)]
    second = [((40 + n) * STEP, numbered(40 + n, 16, 16)) for n in range(10)]
    with Recording(record(tmp_path / "a.guivm-rec", first, second)) as value:
        yield value


def expected(time_us: int) -> srv.Pixels:
    number = min(time_us // STEP, 49)
    if number >= 40:
        return numbered(number, 16, 16)
    return numbered(min(number, 29), 64 if number < 15 else 80)


def test_forward(session: Recording) -> None:
    cursor = ReplayCursor(session, Keyframes())
    while (following := cursor.next_time_us()) is not None:
        cursor.step()
        assert cursor.time_us == following
        if not cursor.is_fresh:
            assert np.array_equal(shown(cursor), expected(following))
    assert cursor.updates == 40
    assert not cursor.step()
    assert cursor.name == "QEMU (test)"


@pytest.mark.parametrize("spacing", [0.0, 1e9])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(times=st.lists(st.integers(0, 60 * STEP), min_size=1, max_size=12), indexed=st.booleans())
def test_any_moment_in_any_order(session: Recording, spacing: float, times: list[int], indexed: bool) -> None:
    keyframes = Keyframes(spacing_s=spacing)
    if indexed:
        survey(session, keyframes, bool)
    cursor = ReplayCursor(session, keyframes)
    for time_us in times:
        assert cursor.seek(time_us)
        assert np.array_equal(shown(cursor), expected(time_us))


def test_keyframes_save_decoding(session: Recording) -> None:
    keyframes = Keyframes(spacing_s=0.0)
    found = survey(session, keyframes, bool)
    assert found is not None
    assert (found.width, found.height, found.updates, found.end_us, found.error) == (80, 48, 40, 49 * STEP, None)
    assert len(keyframes) == 40
    cursor = ReplayCursor(session, keyframes)
    cursor.seek(29 * STEP)
    assert cursor.updates == 0  # straight from the keyframe
    assert np.array_equal(shown(cursor), expected(29 * STEP))


def test_keyframes_are_bounded(session: Recording) -> None:
    keyframes = Keyframes(max_bytes=3_000_000, spacing_s=0.0)
    survey(session, keyframes, bool)
    assert len(keyframes) <= 11
    assert keyframes.spacing_s > 0
    cursor = ReplayCursor(session, keyframes)
    for time_us in range(49 * STEP, -1, -3 * STEP):
        cursor.seek(time_us)
        assert np.array_equal(shown(cursor), expected(time_us))


class Inflating:
    """An encoding whose every rectangle depends on all before it, as those with zlib do."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj()

    def decode(self, inbox: Inbox, target: Framebuffer, x: int, y: int, width: int, height: int) -> Steps[None]:
        start = yield from inbox.take(2)
        length = int.from_bytes(inbox.data[start : start + 2], "big")
        data = yield from inbox.take_bytes(length)
        pixels = np.frombuffer(self._stream.decompress(data), dtype=np.uint8)
        target.pixels[y : y + height, x : x + width] = pixels.reshape(height, width, 4)


def test_a_keyframe_holds_the_state_of_compressed_streams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("guivm.console.rfb.updates.make_decoders", lambda: {99: Inflating()})
    packer = zlib.compressobj()
    chunks = [Chunk(0, srv.server_init(16, 16))]
    pictures = [np.random.default_rng(n // 2).integers(0, 256, (16, 16, 4), dtype=np.uint8) for n in range(20)]
    for number, picture in enumerate(pictures):
        data = packer.compress(picture.tobytes()) + packer.flush(zlib.Z_SYNC_FLUSH)
        body = len(data).to_bytes(2, "big") + data
        chunks.append(Chunk(number * STEP, srv.update(srv.rect(0, 0, 16, 16, 99, body))))
    path = tmp_path / "z.guivm-rec"
    write_recording(path, HEADER, [chunks])
    with Recording(path) as recording:
        keyframes = Keyframes(spacing_s=0.0)
        survey(recording, keyframes, bool)
        cursor = ReplayCursor(recording, keyframes)
        for number in (19, 3, 12, 3, 0, 18, 7):
            cursor.seek(number * STEP)
            assert np.array_equal(shown(cursor), pictures[number])
            assert cursor.step() == (number < 19)  # and it can go on from there, without spoiling the keyframe


def test_chunks_may_end_anywhere(tmp_path: Path) -> None:
    """As they come from a socket: messages in pieces, several in one."""
    stream = b"".join(chunk.data for chunk in connection([(n * STEP, numbered(n, 8, 8)) for n in range(20)]))
    chunks = [Chunk(n, stream[start : start + 97]) for n, start in enumerate(range(0, len(stream), 97))]
    path = tmp_path / "a.guivm-rec"
    write_recording(path, HEADER, [chunks])
    with Recording(path) as recording:
        plain_run = ReplayCursor(recording, Keyframes(spacing_s=1e9))
        truth: dict[int, srv.Pixels] = {}
        while plain_run.step():
            if plain_run.framebuffer is not None:
                truth[plain_run.time_us] = plain_run.framebuffer.pixels.copy()
        keyframes = Keyframes(spacing_s=0.0)
        survey(recording, keyframes, bool)
        cursor = ReplayCursor(recording, keyframes)
        for time_us in reversed(truth):
            cursor.seek(time_us)
            assert np.array_equal(shown(cursor), truth[time_us])


def test_a_seek_can_be_cancelled(session: Recording) -> None:
    cursor = ReplayCursor(session, Keyframes())
    assert not cursor.seek(29 * STEP, lambda: cursor.time_us >= 5 * STEP)
    assert cursor.time_us == 5 * STEP
    assert cursor.seek(29 * STEP)
    assert survey(session, Keyframes(), lambda: True) is None


def test_nonsense_in_the_stream_ends_it_and_what_came_before_can_be_seen(tmp_path: Path) -> None:
    chunks = connection([(0, numbered(1)), (STEP, numbered(2))])
    chunks.append(Chunk(2 * STEP, srv.update(srv.rect(60, 0, 60, 60, srv.RAW))))
    path = tmp_path / "a.guivm-rec"
    write_recording(path, HEADER, [chunks])
    with Recording(path) as recording:
        cursor = ReplayCursor(recording, Keyframes())
        with pytest.raises(RecordingError):
            cursor.seek(9 * STEP)
        cursor.seek(STEP)
        assert np.array_equal(shown(cursor), numbered(2))
        found = survey(recording, Keyframes(), bool)
        assert found is not None
        assert isinstance(found.error, RecordingError)
        assert found.updates == 2


def test_damage_in_the_middle_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.guivm-rec"
    noise = np.random.default_rng(1).integers(0, 256, (256, 256, 4), dtype=np.uint8)
    record(path, [(0, plain(256, 256, 1, 2, 3)), (STEP, noise), (2 * STEP, noise[::-1]), (3 * STEP, noise)])
    with Recording(path) as recording:
        assert len(recording.blocks) > 2
        offset = recording.blocks[2].offset + 1000
    with path.open("r+b") as stream:
        stream.seek(offset)
        stream.write(b"\0" * 8)
    with Recording(path) as recording:
        found = survey(recording, Keyframes(), bool)
        assert found is not None
        assert isinstance(found.error, RecordingError)
        cursor = ReplayCursor(recording, Keyframes())
        cursor.seek(0)
        assert np.array_equal(shown(cursor), plain(256, 256, 1, 2, 3))
