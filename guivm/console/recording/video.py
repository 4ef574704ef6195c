"""Videos of a guest's screen: of a live one while it runs, and of a session recording. No Qt.

A video keeps the size it began with (rounded up to even numbers). When the guest's screen changes its size the picture
is put into the middle: enlarged by a whole factor where that fits, made smaller where it must be. A recording's video
is as large as its largest screen. Where nothing changes the picture stands, and time passes.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from guivm.console.frame import Framebuffer
from guivm.console.recording.format import Recording, RecordingError
from guivm.console.recording.playback import Keyframes, ReplayCursor, survey
from guivm.console.recording.video_encoder import FPS, VideoEncoder, VideoError, VideoFormat, VideoSupport, fitted
from guivm.errors import CancelledError, GuivmError

_SURVEY_SHARE = 0.2  # of an export's progress
_IDLE_US = 1_000_000
_IDLE_LEFT_US = 300_000
_CLOSE_TIMEOUT_S = 15.0


@dataclass(frozen=True, slots=True)
class VideoStatus:
    """``duration_s``: of the video so far; ``pictures``: that differed from the one before."""

    duration_s: float
    pictures: int
    is_recording: bool


class VideoRecorder:
    """A video of a live screen, from now until :meth:`finish`.

    ``error`` is set before ``on_ended`` is called. All methods return at once, on any thread, but for :meth:`close`.
    """

    def __init__(
        self,
        path: Path,
        kind: VideoFormat,
        support: VideoSupport,
        framebuffer: Framebuffer,
        *,
        on_ended: Callable[[], None] | None = None,
        ffmpeg: str = "ffmpeg",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``on_ended`` is called once, on the video's thread, when the file is there or nothing will come of it."""
        self.path = path
        self.error: VideoError | None = None
        self._kind, self._support, self._ffmpeg = kind, support, ffmpeg
        self._framebuffer = framebuffer
        self._on_ended = on_ended
        self._clock = clock
        self._start = clock()
        self._end: float | None = None
        self._wake = threading.Condition()
        self._dirty = True
        self._pictures = 0
        self._cancelled = False
        self._ended = False
        self._encoder: VideoEncoder | None = None
        self._thread = threading.Thread(target=self._main, name="guivm-video", daemon=True)
        self._thread.start()

    def mark_dirty(self) -> None:
        """Pixels of the framebuffer have changed."""
        with self._wake:
            self._dirty = True
            self._wake.notify()

    def set_framebuffer(self, framebuffer: Framebuffer) -> None:
        """The source has a new one: a resize, or a new connection."""
        with self._wake:
            self._framebuffer = framebuffer
            self._dirty = True
            self._wake.notify()

    def finish(self) -> None:
        """End the video here; ``on_ended`` tells when the file is complete."""
        with self._wake:
            if self._end is None:
                self._end = self._clock()
            self._wake.notify()

    def cancel(self) -> None:
        """End at once; no file remains."""
        with self._wake:
            if self._ended:
                return
            self._cancelled = True
            if self._encoder is not None:
                self._encoder.cancel()
            self._wake.notify()

    def close(self, timeout_s: float = _CLOSE_TIMEOUT_S) -> None:
        """:meth:`finish` and wait; what is not done in time is cancelled. Not for the GUI thread."""
        self.finish()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            self.cancel()
            self._thread.join()

    def status(self) -> VideoStatus:
        with self._wake:
            end = self._end if self._end is not None else self._clock()
            return VideoStatus(end - self._start, self._pictures, self._end is None and not self._ended)

    def _main(self) -> None:
        try:
            self._record()
        except VideoError as error:
            self.error = error
        with self._wake:
            self._ended = True
            self._encoder = None
            if self._end is None:
                self._end = self._clock()
        if self._on_ended is not None:
            self._on_ended()

    def _record(self) -> None:
        first = self._framebuffer
        encoder = VideoEncoder(
            self.path, self._kind, self._support.encoder(self._kind), first.width, first.height, ffmpeg=self._ffmpeg
        )
        try:
            with self._wake:
                self._encoder = encoder
                if self._cancelled:
                    encoder.cancel()
            sent_ms = self._pump(encoder)
            with self._wake:
                framebuffer, end = self._framebuffer, self._end
            assert end is not None
            # The last picture again, so that it stands until the end.
            end_ms = max(round((end - self._start) * 1000), sent_ms + 1000 // FPS)
            encoder.add(end_ms, fitted(framebuffer, encoder.width, encoder.height))
            encoder.finish()
        except BaseException:
            encoder.discard()
            raise

    def _pump(self, encoder: VideoEncoder) -> int:
        """Send what changes until the end; answers the time of the last picture, ms."""
        next_time, sent_ms = self._start, -1
        while True:
            with self._wake:
                while self._end is None and not self._cancelled:
                    wait = next_time - self._clock() if self._dirty else None
                    if wait is not None and wait <= 0:
                        break
                    self._wake.wait(wait)
                if self._cancelled:
                    raise _cancelled()
                if self._end is not None and sent_ms >= 0:
                    return sent_ms
                self._dirty = False
                framebuffer = self._framebuffer
            now = self._clock()
            sent_ms = max(round((now - self._start) * 1000), sent_ms + 1) if sent_ms >= 0 else 0
            next_time = now + 1 / FPS
            encoder.add(sent_ms, fitted(framebuffer, encoder.width, encoder.height))
            with self._wake:
                self._pictures += 1


def _next(cursor: ReplayCursor) -> int | None:
    """When the next chunk came; None at the end, and where damage begins, of which the survey has told."""
    with contextlib.suppress(RecordingError):
        return cursor.next_time_us()
    return None


def _step(cursor: ReplayCursor) -> bool:
    with contextlib.suppress(RecordingError):
        return cursor.step()
    return False


def _cancelled() -> VideoError:
    return VideoError("The video was cancelled.")


class VideoExport:
    """A recording made into a video, on a thread of its own, as fast as the machine can.

    ``error`` is set before ``on_ended`` is called; it is a CancelledError after :meth:`cancel`.
    """

    def __init__(
        self,
        recording: Path,
        path: Path,
        kind: VideoFormat,
        support: VideoSupport,
        *,
        skip_idle: bool = False,
        on_progress: Callable[[float], None] | None = None,
        on_ended: Callable[[], None] | None = None,
        ffmpeg: str = "ffmpeg",
    ) -> None:
        """``on_progress``: 0.0 to 1.0, at most once for each hundredth; both are called on the export's thread."""
        self.path = path
        self.error: GuivmError | None = None
        self.warning: GuivmError | None = None  # the recording is damaged: the video ends where the damage begins
        self._recording, self._kind, self._support = recording, kind, support
        self._skip_idle = skip_idle
        self._on_progress, self._on_ended = on_progress, on_ended
        self._ffmpeg = ffmpeg
        self._told = -1
        self._lock = threading.Lock()
        self._cancelled = False
        self._encoder: VideoEncoder | None = None
        self._thread = threading.Thread(target=self._main, name="guivm-video-export", daemon=True)
        self._thread.start()

    def cancel(self) -> None:
        """End at once; no file remains. Returns at once."""
        with self._lock:
            self._cancelled = True
            if self._encoder is not None:
                self._encoder.cancel()

    def close(self) -> None:
        """:meth:`cancel`, unless it has ended, and wait: a moment at most."""
        if self._thread.is_alive():
            self.cancel()
        self._thread.join()

    def _main(self) -> None:
        try:
            with Recording(self._recording) as recording:
                self._export(recording)
        except GuivmError as error:
            self.error = CancelledError("The export was cancelled.") if self._cancelled else error
        with self._lock:
            self._encoder = None
        if self._on_ended is not None:
            self._on_ended()

    def _export(self, recording: Recording) -> None:
        encoder_name = self._support.encoder(self._kind)
        blocks = len(recording.blocks)
        keyframes = Keyframes(spacing_s=float("inf"))  # nobody goes back

        def surveyed(position: float) -> None:
            self._progress(_SURVEY_SHARE * position)

        found = survey(recording, keyframes, lambda: self._cancelled, lambda block: surveyed(block / blocks))
        if found is None:
            raise _cancelled()
        if not found.updates:
            raise found.error or VideoError("There is nothing to be seen in the recording.")
        self.warning = found.error
        encoder = VideoEncoder(self.path, self._kind, encoder_name, found.width, found.height, ffmpeg=self._ffmpeg)
        try:
            with self._lock:
                self._encoder = encoder
                if self._cancelled:
                    raise _cancelled()
            self._encode(ReplayCursor(recording, keyframes), encoder, found.end_us)
            encoder.finish()
        except BaseException:
            encoder.discard()
            raise
        self._progress(1.0)

    def _encode(self, cursor: ReplayCursor, encoder: VideoEncoder, end_us: int) -> None:
        """One picture for each thirtieth of a second in which something changed."""
        start_us = cursor.next_time_us() or 0
        cut_us = start_us  # what is left out so far
        updates, shown = 0, cursor.framebuffer
        sent_ms = -1
        while not self._cancelled:
            following = _next(cursor) if cursor.time_us < end_us else None
            now_us = max(cursor.time_us, start_us)
            goal_us = min(following, end_us) if following is not None else end_us
            ends_slot = (
                following is None or (following - cut_us) * FPS // 1_000_000 > (now_us - cut_us) * FPS // 1_000_000
            )
            fb = cursor.framebuffer
            changed = cursor.updates != updates or (fb is not shown and not cursor.is_fresh)
            if fb is not None and changed and ends_slot:
                updates, shown = cursor.updates, fb
                sent_ms = max((now_us - cut_us) // 1000, sent_ms + 1)
                encoder.add(sent_ms, fitted(fb, encoder.width, encoder.height))
                self._progress(_SURVEY_SHARE + (1 - _SURVEY_SHARE) * now_us / max(end_us, 1))
            if self._skip_idle and goal_us - now_us > _IDLE_US:
                cut_us += goal_us - now_us - _IDLE_LEFT_US
            if following is None or not _step(cursor):
                break
        if self._cancelled:
            raise _cancelled()
        if shown is not None:
            end_ms = max((end_us - cut_us) // 1000, sent_ms + 1000 // FPS)
            encoder.add(end_ms, fitted(shown, encoder.width, encoder.height))

    def _progress(self, share: float) -> None:
        hundredths = int(share * 100)
        if self._on_progress is not None and hundredths > self._told:
            self._told = hundredths
            self._on_progress(min(share, 1.0))
