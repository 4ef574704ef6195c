"""Recording while the session runs: what ends it, and what is kept."""

from __future__ import annotations

import errno
import os
import stat
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from guivm.console.recording.format import Recording, RecordingError, RecordingHeader
from guivm.console.recording.recorder import Recorder

HEADER = RecordingHeader(4, 4, "Debian", datetime(2026, 3, 1, tzinfo=UTC))


class Clock:
    """Nanoseconds; a millisecond passes whenever somebody looks."""

    def __init__(self) -> None:
        self.now = 10**15

    def __call__(self) -> int:
        self.now += 1_000_000
        return self.now


def data_of(path: Path) -> list[bytes]:
    with Recording(path) as recording:
        return [
            b"".join(chunk.data for chunk in recording.all_chunks(number)) for number in range(len(recording.segments))
        ]


def test_a_session_with_a_reconnect_and_a_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.guivm-rec"
    recorder = Recorder(path, HEADER, clock=Clock())
    first, second = recorder.tap(), recorder.tap()
    buffer = bytearray(b"init one")
    first(memoryview(buffer))
    buffer[:] = b"xxxxxxxx"  # the caller's buffer is its own again
    first(b" and more")
    recorder.mark("restart")
    second(b"init two")
    first(b"late, of a connection that is no more")
    second(b"")
    second(b" goes on")
    assert recorder.status().is_recording
    assert recorder.close()
    assert recorder.close()
    second(b"after the end")
    assert recorder.error is None
    assert not recorder.status().is_recording
    assert recorder.status().stored_bytes == path.stat().st_size
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert data_of(path) == [b"init one and more", b"init two goes on"]
    with Recording(path) as recording:
        assert recording.is_whole
        (mark,) = recording.marks()
        assert mark.text == "restart"
        assert recording.segments[0].start_us < mark.time_us < recording.segments[1].start_us
        assert recording.duration_us == recorder.status().duration_us


def test_never_overwrites(tmp_path: Path) -> None:
    path = tmp_path / "a.guivm-rec"
    path.write_bytes(b"precious")
    with pytest.raises(RecordingError, match="exists already") as caught:
        Recorder(path, HEADER)
    assert caught.value.advice
    assert path.read_bytes() == b"precious"


def test_where_nothing_can_be_made(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="cannot be made"):
        Recorder(tmp_path / "none" / "a.guivm-rec", HEADER)


class SlowDisk:
    """Stands in for ``os.write`` once armed: waits, or fails, as a disk may."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go = threading.Event()
        self.asked = threading.Event()
        self.room: int | None = None
        self._write = os.write
        monkeypatch.setattr("guivm.console.recording.recorder.os.write", self.write)

    def write(self, fd: int, data: bytes | memoryview) -> int:
        self.asked.set()
        self.go.wait(20)
        if self.room is not None:
            if self.room == 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            data = data[: self.room]
            self.room -= len(data)
        return self._write(fd, data)


def test_a_disk_too_slow_ends_the_recording_and_not_the_console(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.guivm-rec"
    ended = threading.Event()
    recorder = Recorder(path, HEADER, on_ended=ended.set, max_queued=1 << 20)
    disk = SlowDisk(monkeypatch)
    tap = recorder.tap()
    block = os.urandom(300 << 10)
    tap(block)
    assert disk.asked.wait(20)
    for _ in range(10):  # returns at once, however long the disk takes
        tap(block)
    assert recorder.error is not None
    assert "slower" in recorder.error.summary
    assert not ended.is_set()
    disk.go.set()
    assert ended.wait(20)
    recorder.close()
    (kept,) = data_of(path)
    assert kept.startswith(block)
    assert len(kept) % len(block) == 0


@pytest.mark.parametrize("room", [0, 1, 100_000, 299_000])
def test_a_full_disk_ends_it_and_what_is_whole_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    path = tmp_path / "a.guivm-rec"
    ended = threading.Event()
    recorder = Recorder(path, HEADER, on_ended=ended.set)
    disk = SlowDisk(monkeypatch)
    tap = recorder.tap()
    first, second = os.urandom(256 << 10), os.urandom(256 << 10)
    disk.room = (256 << 10) + 1000 + room
    disk.go.set()
    tap(first)
    tap(second)
    tap(second)
    assert ended.wait(20)
    assert recorder.error is not None
    assert "full" in recorder.error.summary
    assert recorder.error.advice
    recorder.close()
    assert data_of(path)[0][: len(first)] == first
    assert recorder.status().stored_bytes <= path.stat().st_size


def test_a_real_limit_of_the_file_size(tmp_path: Path) -> None:
    """EFBIG from the kernel, in a process of its own."""
    import subprocess
    import sys

    path = tmp_path / "a.guivm-rec"
    code = """
import os, resource, signal, sys, threading
from datetime import UTC, datetime
from pathlib import Path
from guivm.console.recording.format import RecordingHeader
from guivm.console.recording.recorder import Recorder
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))
ended = threading.Event()
recorder = Recorder(Path(sys.argv[1]), RecordingHeader(4, 4, "x", datetime.now(UTC)), on_ended=ended.set)
tap = recorder.tap()
for _ in range(10):
    tap(os.urandom(100_000))
assert ended.wait(20)
recorder.close()
print(recorder.error)
"""
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "disk is full" in done.stdout
    (kept,) = data_of(path)
    assert len(kept) in (300_000, 400_000, 500_000)
    with Recording(path) as recording:
        assert recording.is_whole  # there was room for the index
