"""Recording a session while it runs: the console's thread puts bytes into a queue, a writer thread does the rest.

The console is never held up: when the disk cannot keep pace the queue fills, and the recording ends with an error
while what was recorded until then stays playable.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from guivm.console.recording.format import RecordingError, RecordingHeader, RecordingWriter

MAX_QUEUED_BYTES = 64 << 20
_FLUSH_S = 1.0  # a crash costs no more than this
_CHUNK_COST = 256  # what a chunk takes in the queue besides its bytes
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True, slots=True)
class RecorderStatus:
    """``duration_us``: since the start; ``stored_bytes``: in the file, whole blocks only."""

    duration_us: int
    stored_bytes: int
    is_recording: bool


@dataclass(frozen=True, slots=True)
class _Bytes:
    time_us: int
    data: bytes
    begins: bool  # the first of its connection


@dataclass(frozen=True, slots=True)
class _Mark:
    time_us: int
    text: str


class RecorderTap:
    """Takes the stream of one connection, from its ServerInit on. Call it on any one thread; it never blocks."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._begun = False

    def __call__(self, data: bytes | bytearray | memoryview) -> None:
        if len(data):
            self._recorder.put(self, data, begins=not self._begun)
            self._begun = True


class Recorder:
    """One recording under way. ``error`` is set before ``on_ended`` is called; other threads may look at both."""

    def __init__(
        self,
        path: Path,
        header: RecordingHeader,
        *,
        on_ended: Callable[[], None] | None = None,
        max_queued: int = MAX_QUEUED_BYTES,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Make the file (which must not exist; mode 0600) and start. Raises RecordingError. May wait for the disk.

        ``on_ended`` is called once, on the writer's thread, when the recording ends by itself, which is always an
        error; never after :meth:`close`. ``clock``: nanoseconds, monotonic.
        """
        self.path = path
        self.error: RecordingError | None = None
        self._on_ended = on_ended
        self._max_queued = max_queued
        self._clock = clock
        self._start_ns = clock()
        self._end_us: int | None = None
        self._lock = threading.Condition()
        self._queue: deque[_Bytes | _Mark] = deque()
        self._queued = 0
        self._closing = False
        self._tap: RecorderTap | None = None
        self._fd = _create(path)
        try:
            self._writer = RecordingWriter(self._write_all, header)
        except OSError as error:
            os.close(self._fd)
            path.unlink(missing_ok=True)
            raise _told(error) from error
        self._thread = threading.Thread(target=self._main, name="guivm-recorder", daemon=True)
        self._thread.start()

    def tap(self) -> RecorderTap:
        """For a new connection. Its first bytes begin a new segment; those of earlier taps count no more then."""
        return RecorderTap(self)

    def put(self, tap: RecorderTap, data: bytes | bytearray | memoryview, *, begins: bool) -> None:
        """For :class:`RecorderTap`. Copies ``data``."""
        with self._lock:
            if self._closing or self.error is not None:
                return
            if begins:
                self._tap = tap
            elif tap is not self._tap:
                return
            cost = len(data) + _CHUNK_COST
            if self._queued + cost > self._max_queued:
                self._fail(
                    RecordingError(
                        "The recording was ended: the disk is slower than the display.",
                        advice="What was recorded until then is kept. Record to a faster disk.",
                    )
                )
                return
            self._queued += cost
            self._queue.append(_Bytes(self._now_us(), bytes(data), begins))
            self._lock.notify()

    def mark(self, text: str) -> None:
        """Note this moment under a name."""
        with self._lock:
            if not self._closing and self.error is None:
                self._queue.append(_Mark(self._now_us(), text))
                self._queued += _CHUNK_COST
                self._lock.notify()

    def status(self) -> RecorderStatus:
        with self._lock:
            ended = self._closing or self.error is not None
            duration = self._end_us if self._end_us is not None else self._now_us()
            return RecorderStatus(duration, self._writer.offset, not ended)

    def finish(self) -> None:
        """Ask for the end and return at once; :meth:`close` waits for it."""
        with self._lock:
            if not self._closing:
                self._closing = True
                if self._end_us is None:
                    self._end_us = self._now_us()
                self._lock.notify()

    def close(self, timeout_s: float | None = None) -> bool:
        """End the recording and wait until the disk has it; ``error`` says whether all went well. Safe to call twice.

        Not for the GUI thread, unless with a short ``timeout_s``; False: the disk is not ready yet.
        """
        self.finish()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    # --- the writer's thread --------------------------------------------------------------------------

    def _now_us(self) -> int:
        return (self._clock() - self._start_ns) // 1000

    def _fail(self, error: RecordingError) -> None:
        """With the lock held."""
        if self.error is None:
            self.error = error
            if self._end_us is None:
                self._end_us = self._now_us()
        self._lock.notify()

    def _main(self) -> None:
        failed = False
        try:
            self._write_until_ended()
            self._finish_file()
        except OSError as error:
            failed = True
            with self._lock:
                self._fail(_told(error))
        except RecordingError as error:
            failed = True
            with self._lock:
                self._fail(error)
        if failed:
            self._save_what_is_there()
        with self._lock:
            self._queue.clear()
            tell = self.error is not None and not self._closing
        os.close(self._fd)
        self._fd = -1
        if tell and self._on_ended is not None:
            self._on_ended()

    def _write_until_ended(self) -> None:
        writer = self._writer
        flush_at = 0.0
        while True:
            with self._lock:
                while not self._queue:
                    if self._closing or self.error is not None:
                        return
                    wait = max(0.0, flush_at - time.monotonic()) if writer.has_pending else None
                    if wait == 0.0:
                        break
                    self._lock.wait(wait)
                items, self._queue = self._queue, deque()
                level = 0 if self._queued > self._max_queued // 4 else 1  # behind: spare the time to compress
            if not writer.has_pending:
                flush_at = time.monotonic() + _FLUSH_S
            for item in items:
                if isinstance(item, _Mark):
                    writer.mark(item.time_us, item.text)
                    cost = _CHUNK_COST
                else:
                    if item.begins:
                        writer.begin_segment()
                    writer.write(item.time_us, item.data, level=level)
                    cost = len(item.data) + _CHUNK_COST
                with self._lock:
                    self._queued -= cost
            if time.monotonic() >= flush_at:
                writer.flush(level=level)
                flush_at = time.monotonic() + _FLUSH_S

    def _finish_file(self) -> None:
        self._writer.finish(self._end_us or 0)
        os.fsync(self._fd)
        directory = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _save_what_is_there(self) -> None:
        """Cut off what is not whole. The index may fit in its place; a reader manages without."""
        whole = self._writer.offset
        try:
            os.ftruncate(self._fd, whole)
            os.lseek(self._fd, whole, os.SEEK_SET)
            self._writer.abandon(self._end_us or 0)
            os.fsync(self._fd)
        except (OSError, RecordingError):
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, whole)

    def _write_all(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]


def _create(path: Path) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError as error:
        raise RecordingError(
            f"“{path.name}” exists already.", advice="Choose another name; nothing is ever overwritten."
        ) from error
    except (OSError, ValueError) as error:
        raise RecordingError(f"The recording cannot be made: {_reason(error)}.", details=str(error)) from error


def _told(error: OSError) -> RecordingError:
    if error.errno in _NO_SPACE:
        return RecordingError(
            "The recording was ended: the disk is full.",
            advice="What was recorded until then is kept. Make room, or record elsewhere.",
            details=str(error),
        )
    return RecordingError(
        f"The recording was ended: it cannot be written ({_reason(error)}).",
        advice="What was recorded until then is kept.",
        details=str(error),
    )


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else "") or str(error)
