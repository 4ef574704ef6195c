"""Videos, made by the real ffmpeg and decoded again by it."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from guivm.console.frame import Framebuffer
from guivm.console.recording.format import Chunk, RecordingError, write_recording
from guivm.console.recording.video import VideoExport, VideoRecorder
from guivm.console.recording.video_encoder import (
    FPS,
    VideoEncoder,
    VideoError,
    VideoFormat,
    VideoSupport,
    fitted,
    probe_video,
)
from guivm.errors import CancelledError
from tests.helpers.recordings import HEADER, SECOND, connection, plain, record
from tests.helpers.rfb_server import Pixels

RED, GREEN, BLUE, WHITE = (0, 0, 255), (0, 255, 0), (255, 0, 0), (255, 255, 255)  # B, G, R


@pytest.fixture(scope="module")
def support() -> VideoSupport:
    found = probe_video()
    assert found.formats == (VideoFormat.WEBM, VideoFormat.MP4)
    return found


def frames_of(path: Path) -> Pixels:
    """All frames of a video: (count, height, width, 3), R, G, B."""
    asked = ["ffprobe", "-v", "error", "-show_streams", "-of", "json", str(path)]
    stream = json.loads(subprocess.run(asked, check=True, capture_output=True).stdout)["streams"][0]
    assert stream["avg_frame_rate"] == f"{FPS}/1"
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    done = subprocess.run(command, check=True, capture_output=True)
    assert done.stderr == b""
    return np.frombuffer(done.stdout, np.uint8).reshape(-1, stream["height"], stream["width"], 3)


def is_colour(frame: Pixels, bgr: tuple[int, int, int]) -> bool:
    return bool(np.abs(frame.astype(int) - np.array(bgr[::-1])).max() <= 12)


def framebuffer(width: int, height: int, bgr: tuple[int, int, int]) -> Framebuffer:
    fb = Framebuffer(width, height)
    fb.pixels[:] = plain(width, height, *bgr)
    return fb


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def wait_for(recorder: VideoRecorder, pictures: int) -> None:
    """Until it has taken so many pictures."""
    pause = threading.Event()
    for _ in range(2000):
        if recorder.status().pictures >= pictures or recorder.error is not None:
            return
        pause.wait(0.005)
    raise AssertionError("no picture was taken")


@pytest.mark.parametrize("kind", VideoFormat)
def test_colours_pauses_and_length(tmp_path: Path, support: VideoSupport, kind: VideoFormat) -> None:
    """Odd sizes; pauses keep their time; what changes is seen when it changed."""
    clock, ended = Clock(), threading.Event()
    path = tmp_path / f"a{kind.value}"
    fb = framebuffer(101, 75, RED)
    recorder = VideoRecorder(path, kind, support, fb, clock=clock, on_ended=ended.set)
    wait_for(recorder, 1)
    clock.now += 1.0
    fb.pixels[:] = plain(101, 75, *GREEN)
    recorder.mark_dirty()
    wait_for(recorder, 2)
    clock.now += 2.0
    assert recorder.status().is_recording
    recorder.finish()
    assert ended.wait(20)
    recorder.close()
    assert recorder.error is None
    assert recorder.status().duration_s == 3.0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    frames = frames_of(path)
    assert frames.shape[1:3] == (76, 102)
    assert abs(len(frames) - 3 * FPS) <= 1
    picture = frames[:, 2:73, 2:99]
    assert all(is_colour(frame, RED) for frame in picture[: FPS - 1])
    assert all(is_colour(frame, GREEN) for frame in picture[FPS + 1 :])


def test_a_resize_is_fitted_into_the_first_size(tmp_path: Path, support: VideoSupport) -> None:
    clock, path = Clock(), tmp_path / "a.webm"
    recorder = VideoRecorder(path, VideoFormat.WEBM, support, framebuffer(64, 64, RED), clock=clock)
    wait_for(recorder, 1)
    for number, (width, height) in enumerate([(200, 100), (16, 16)], 2):
        clock.now += 0.5
        recorder.set_framebuffer(framebuffer(width, height, BLUE))
        wait_for(recorder, number)
    clock.now += 0.5
    recorder.close()
    assert recorder.error is None
    frames = frames_of(path)
    assert frames.shape[1:3] == (64, 64)
    wide, small = frames[FPS * 3 // 4], frames[FPS * 5 // 4]
    assert is_colour(wide[20:44, 2:62], BLUE)
    assert is_colour(wide[:12], (0, 0, 0))
    assert is_colour(small[2:62, 2:62], BLUE)  # four times as large


def test_fitted_makes_smaller_by_the_mean() -> None:
    fb = Framebuffer(4, 2)
    fb.pixels[:, :, 0] = [[10, 20, 30, 40], [30, 40, 50, 60]]
    assert fitted(fb, 2, 1)[:, :, 0].tolist() == [[25, 45]]
    assert fitted(fb, 4, 4)[:, :, 0].tolist() == [[0] * 4, [10, 20, 30, 40], [30, 40, 50, 60], [0] * 4]
    assert fitted(fb, 8, 4)[::2, ::2, 0].tolist() == fb.pixels[:, :, 0].tolist()


def test_never_overwrites(tmp_path: Path, support: VideoSupport) -> None:
    path = tmp_path / "a.webm"
    path.write_bytes(b"precious")
    recorder = VideoRecorder(path, VideoFormat.WEBM, support, framebuffer(16, 16, RED))
    recorder.close()
    assert recorder.error is not None
    assert "exists already" in recorder.error.summary
    assert path.read_bytes() == b"precious"


def test_cancel_leaves_nothing(tmp_path: Path, support: VideoSupport) -> None:
    path, ended = tmp_path / "a.webm", threading.Event()
    recorder = VideoRecorder(path, VideoFormat.WEBM, support, framebuffer(640, 480, RED), on_ended=ended.set)
    wait_for(recorder, 1)
    recorder.cancel()
    assert ended.wait(20)
    recorder.close()
    assert recorder.error is not None
    assert "cancelled" in recorder.error.summary
    assert not path.exists()


@pytest.fixture
def fake_ffmpeg(tmp_path: Path) -> Iterator[Path]:
    directory = tmp_path / "bin"
    directory.mkdir()
    yield directory / "ffmpeg"
    shutil.rmtree(directory)


def _script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("cat >/dev/null; echo 'av_interleaved_write_frame(): No space left on device' >&2; exit 1", "disk is full"),
        ("echo 'Unknown encoder' >&2; exit 1", "ffmpeg failed"),
        ("yes spam | head -c 3000000 >&2; exit 1", "ffmpeg failed"),
        ("kill -9 $$", "ffmpeg failed"),
    ],
)
def test_what_goes_wrong_in_ffmpeg_is_told(
    tmp_path: Path, support: VideoSupport, fake_ffmpeg: Path, script: str, words: str
) -> None:
    path = tmp_path / "a.webm"
    recorder = VideoRecorder(
        path, VideoFormat.WEBM, support, framebuffer(640, 480, RED), ffmpeg=_script(fake_ffmpeg, script)
    )
    recorder.close()
    assert recorder.error is not None
    assert words in recorder.error.summary
    assert recorder.error.details
    assert len(recorder.error.details) <= 17_000
    assert not path.exists()


def test_an_ffmpeg_that_hangs_is_ended(tmp_path: Path, support: VideoSupport, fake_ffmpeg: Path) -> None:
    path = tmp_path / "a.webm"
    recorder = VideoRecorder(
        path,
        VideoFormat.WEBM,
        support,
        framebuffer(1920, 1080, RED),
        ffmpeg=_script(fake_ffmpeg, "exec sleep 1000"),
    )
    recorder.close(timeout_s=0.2)
    assert recorder.error is not None
    assert not path.exists()


@pytest.mark.parametrize("script", ["exit 3", "echo 'no encoders here'", "exec sleep 0; nonsense"])
def test_an_ffmpeg_of_no_use(fake_ffmpeg: Path, script: str) -> None:
    found = probe_video(_script(fake_ffmpeg, script))
    assert found.formats == ()
    assert found.problem is not None
    assert found.problem.advice


def test_no_ffmpeg() -> None:
    found = probe_video("ffmpeg-that-is-not-there")
    assert found.problem is not None
    assert "not installed" in found.problem.summary
    assert "install" in found.problem.advice
    with pytest.raises(VideoError, match="not installed"):
        found.encoder(VideoFormat.WEBM)


def test_a_disk_that_is_full(tmp_path: Path, support: VideoSupport) -> None:
    """A limit of the kernel on ffmpeg's files."""
    limited = tmp_path / "limited"
    path = tmp_path / "a.webm"
    noise = np.random.default_rng(1)
    encoder = VideoEncoder(
        path,
        VideoFormat.WEBM,
        "libvpx",
        320,
        240,
        ffmpeg=_script(limited, "trap '' XFSZ; ulimit -f 8; exec ffmpeg \"$@\""),
    )
    with pytest.raises(VideoError, match="full"):  # noqa: PT012
        for number in range(100):
            encoder.add(number * 100, noise.integers(0, 256, (240, 320, 4), dtype=np.uint8))
        encoder.finish()
    encoder.discard()
    assert not path.exists()


def test_sizes_no_encoder_takes(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="too large"):
        VideoEncoder(tmp_path / "a.webm", VideoFormat.WEBM, "libvpx", 16_384, 100)


# --- a recording ------------------------------------------------------------------------------------------


def exported(recording: Path, path: Path, support: VideoSupport, *, skip_idle: bool = False) -> list[float]:
    told: list[float] = []
    ended = threading.Event()
    export = VideoExport(
        recording,
        path,
        VideoFormat.WEBM,
        support,
        skip_idle=skip_idle,
        on_progress=told.append,
        on_ended=ended.set,
    )
    assert ended.wait(30)
    export.close()
    if export.error is not None:
        raise export.error
    return told


def test_export_of_a_session_with_a_resize_and_a_reconnect(tmp_path: Path, support: VideoSupport) -> None:
    first = [(0, plain(64, 48, *RED)), (SECOND, plain(128, 96, *GREEN))]
    second = [(2 * SECOND, plain(32, 24, *BLUE)), (4 * SECOND, plain(32, 24, *WHITE))]
    source = record(tmp_path / "a.guivm-rec", first, second)
    told = exported(source, tmp_path / "a.webm", support)
    assert told == sorted(told)
    assert told[-1] == 1.0
    frames = frames_of(tmp_path / "a.webm")
    assert frames.shape[1:3] == (96, 128)  # the largest
    assert abs(len(frames) - 4 * FPS) <= 2
    for second_, colour in ((0, RED), (1, GREEN), (2, BLUE), (3, BLUE)):
        assert is_colour(frames[second_ * FPS + FPS // 2], colour)
    assert is_colour(frames[-1], WHITE)


def test_export_without_idle_time(tmp_path: Path, support: VideoSupport) -> None:
    pictures = [(0, plain(32, 32, *RED)), (1800 * SECOND, plain(32, 32, *GREEN)), (3600 * SECOND, plain(32, 32, *BLUE))]
    exported(record(tmp_path / "a.guivm-rec", pictures), tmp_path / "a.webm", support, skip_idle=True)
    frames = frames_of(tmp_path / "a.webm")
    assert len(frames) < 2 * FPS
    assert is_colour(frames[0], RED)
    assert is_colour(frames[FPS // 3 + 2], GREEN)
    assert is_colour(frames[-1], BLUE)


def test_export_of_a_damaged_recording_ends_where_the_damage_begins(tmp_path: Path, support: VideoSupport) -> None:
    chunks = [*connection([(0, plain(32, 32, *RED))]), Chunk(SECOND, b"\xee"), Chunk(9 * SECOND, b"")]
    source = tmp_path / "a.guivm-rec"
    write_recording(source, HEADER, [chunks])
    exported(source, tmp_path / "a.webm", support)
    assert abs(len(frames_of(tmp_path / "a.webm")) - FPS) <= 2


def test_export_of_what_is_no_recording(tmp_path: Path, support: VideoSupport) -> None:
    (tmp_path / "a.guivm-rec").write_bytes(b"hello")
    with pytest.raises(RecordingError):
        exported(tmp_path / "a.guivm-rec", tmp_path / "a.webm", support)
    assert not (tmp_path / "a.webm").exists()


def test_cancelling_an_export_leaves_nothing(tmp_path: Path, support: VideoSupport) -> None:
    rng = np.random.default_rng(1)
    pictures = [(n * 40_000, rng.integers(0, 256, (240, 320, 4), dtype=np.uint8)) for n in range(60)]
    source = record(tmp_path / "a.guivm-rec", pictures)
    encoding, ended = threading.Event(), threading.Event()

    def progress(share: float) -> None:
        if share > 0.25:
            encoding.set()

    export = VideoExport(
        source, tmp_path / "a.webm", VideoFormat.WEBM, support, on_progress=progress, on_ended=ended.set
    )
    assert encoding.wait(20)
    export.cancel()
    assert ended.wait(20)
    export.close()
    assert isinstance(export.error, CancelledError)
    assert not (tmp_path / "a.webm").exists()
