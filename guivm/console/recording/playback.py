"""Decoding a recording: a cursor that goes forward chunk by chunk, and keyframes from which it can go on.

An RFB stream can only be understood from its ServerInit on. A keyframe holds all that a session knows between two
messages (pixels, the state of the zlib streams, cursor, …), so that a cursor placed there goes on as if it had read
everything before. Positions are (block, chunk) pairs: what is read next.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass

from guivm.console.frame import CursorShape, Framebuffer, KeyboardLeds, PointerMode
from guivm.console.recording.format import Chunk, Recording, RecordingError
from guivm.console.rfb.errors import RfbError
from guivm.console.rfb.events import (
    Bell,
    CursorChanged,
    LedsChanged,
    NameChanged,
    PointerModeChanged,
    Resized,
    UpdateEnded,
)
from guivm.console.rfb.session import Phase, RfbSession
from guivm.console.rfb.snapshot import SessionSnapshot

MAX_KEYFRAME_BYTES = 128 << 20
KEYFRAME_SPACING_S = 0.08  # of decoding: a seek costs about this
_MAX_PIXELS = 48 << 20  # of a screen that is kept in keyframes: more than 8K

Position = tuple[int, int]


def _feed(session: RfbSession, data: bytes) -> None:
    view = memoryview(data)
    while view:
        target = session.buffers()[0]
        count = min(len(target), len(view))
        target[:count] = view[:count]
        view = view[count:]
        session.received(count)


@dataclass(frozen=True, slots=True)
class Keyframe:
    """State of a session between two messages, after the chunk before ``position``, which came at ``time_us``."""

    position: Position
    time_us: int
    session: SessionSnapshot
    cursor: CursorShape | None
    leds: KeyboardLeds


class Keyframes:
    """Keyframes of one recording, sorted, bounded in memory: when there are too many every second one goes."""

    def __init__(self, max_bytes: int = MAX_KEYFRAME_BYTES, spacing_s: float = KEYFRAME_SPACING_S) -> None:
        self._lock = threading.Lock()
        self._max_bytes = max_bytes
        self._spacing_s = spacing_s
        self._frames: list[Keyframe] = []
        self._bytes = 0

    def __len__(self) -> int:
        with self._lock:
            return len(self._frames)

    @property
    def spacing_s(self) -> float:
        """Seconds of decoding between two keyframes."""
        with self._lock:
            return self._spacing_s

    def wants(self, after: Position, position: Position) -> bool:
        """Whether there is none in (``after``, ``position``]."""
        with self._lock:
            index = bisect_right(self._frames, after, key=_position)
            return index == len(self._frames) or self._frames[index].position > position

    def add(self, frame: Keyframe) -> None:
        with self._lock:
            index = bisect_left(self._frames, frame.position, key=_position)
            if index < len(self._frames) and self._frames[index].position == frame.position:
                return
            self._frames.insert(index, frame)
            self._bytes += frame.session.cost
            while self._bytes > self._max_bytes and len(self._frames) > 1:
                del self._frames[1::2]
                self._bytes = sum(kept.session.cost for kept in self._frames)
                self._spacing_s = max(self._spacing_s * 2, 0.01)

    def before(self, time_us: int) -> Keyframe | None:
        """The last one whose chunk came at or before ``time_us``."""
        with self._lock:
            index = bisect_right(self._frames, time_us, key=_time)
            return self._frames[index - 1] if index else None


def _position(frame: Keyframe) -> Position:
    return frame.position


def _time(frame: Keyframe) -> int:
    return frame.time_us


class ReplayCursor:
    """Reads a recording forward. For one thread; several cursors can share a Recording and its Keyframes.

    ``time_us`` is that of the last chunk read, -1 before the first. Raises RecordingError where the file is damaged,
    or the recorded server broke the protocol; the cursor stays usable for :meth:`seek`.
    """

    def __init__(self, recording: Recording, keyframes: Keyframes) -> None:
        self.time_us = -1
        self.cursor: CursorShape | None = None
        self.leds = KeyboardLeds.NONE
        self.name = ""
        self.pointer_mode = PointerMode.ABSOLUTE
        self.updates = 0  # with pixels
        self.bells = 0
        self.is_fresh = True  # the framebuffer has had no pixels of its own yet
        self._recording = recording
        self._keyframes = keyframes
        self._position: Position = (0, 0)
        self._loaded = -1  # block
        self._chunks: list[Chunk] = []
        self._session: RfbSession | None = None
        self._work_s = 0.0
        self._work_from: Position = (0, 0)

    @property
    def framebuffer(self) -> Framebuffer | None:
        return self._session.framebuffer if self._session is not None else None

    @property
    def session(self) -> RfbSession | None:
        """For its damage."""
        return self._session

    @property
    def position(self) -> Position:
        return self._position

    def next_time_us(self) -> int | None:
        """When the next chunk came, or None at the end. Raises RecordingError."""
        chunk = self._peek()
        return chunk.time_us if chunk is not None else None

    def step(self) -> bool:
        """Read one chunk; False at the end. Keyframes are made on the way."""
        chunk = self._peek()
        if chunk is None:
            return False
        began = time.thread_time()
        block, index = self._position
        if index == 0 and self._recording.starts_segment(block):
            self._begin_segment()
        session = self._session
        assert session is not None, "a seek comes after an error"
        self._position = (block, index + 1)
        self.time_us = chunk.time_us
        try:
            _feed(session, chunk.data)
        except RfbError as error:
            self._session = None
            raise RecordingError(
                error.summary, advice="What comes before can still be played.", details=error.details
            ) from error
        self._learn(session)
        self._work_s += time.thread_time() - began
        self._make_keyframe(session)
        return True

    def seek(self, time_us: int, is_cancelled: Callable[[], bool] = bool) -> bool:
        """Read on until all chunks up to ``time_us`` are read, from the best place known. False when cancelled."""
        segment = self._segment_at(time_us)
        where = self._recording.segments[segment]
        start = (where.first_block, 0)
        time_us = max(time_us, where.start_us)
        frame = self._keyframes.before(time_us)
        best = max(start, frame.position) if frame is not None else start
        if self._session is None or time_us < self.time_us or self._position < best:
            if frame is not None and frame.position >= start:
                self._restore(frame)
            else:
                self._position = start
                self.time_us = -1
                self._session = None
        while True:
            following = self.next_time_us()
            if following is None or following > time_us:
                return True
            if is_cancelled():
                return False
            self.step()

    @property
    def _last_block(self) -> int:
        return len(self._recording.blocks) - 1

    def _segment_at(self, time_us: int) -> int:
        starts = [segment.start_us for segment in self._recording.segments]
        return max(bisect_right(starts, time_us) - 1, 0)

    def _peek(self) -> Chunk | None:
        while True:
            block, index = self._position
            if block > self._last_block:
                return None
            if self._loaded != block:
                began = time.thread_time()
                self._loaded = -1
                self._chunks = self._recording.chunks(block)
                self._loaded = block
                self._work_s += time.thread_time() - began
            if index < len(self._chunks):
                return self._chunks[index]
            self._position = (block + 1, 0)

    def _begin_segment(self) -> None:
        self._session = RfbSession(replay=True)
        self.cursor = None
        self.leds = KeyboardLeds.NONE
        self.pointer_mode = PointerMode.ABSOLUTE
        self.is_fresh = True
        self._work_s = 0.0
        self._work_from = self._position

    def _learn(self, session: RfbSession) -> None:
        for event in session.take_events():
            match event:
                case UpdateEnded(pixels=True):
                    self.updates += 1
                    self.is_fresh = False
                case Resized():
                    self.is_fresh = True
                case CursorChanged(cursor=cursor):
                    self.cursor = cursor
                case PointerModeChanged(mode=mode):
                    self.pointer_mode = mode
                case LedsChanged(leds=leds):
                    self.leds = leds
                case NameChanged(name=name):
                    self.name = name
                case Bell():
                    self.bells += 1
                case _:
                    pass

    # --- keyframes ------------------------------------------------------------------------------------

    def _make_keyframe(self, session: RfbSession) -> None:
        if self._work_s < self._keyframes.spacing_s or session.phase is not Phase.IDLE:
            return
        fb = session.framebuffer
        if fb is None or self.is_fresh or fb.width * fb.height > _MAX_PIXELS:
            return
        if self._keyframes.wants(self._work_from, self._position):
            snapshot = session.snapshot()
            assert snapshot is not None, "between two messages"
            self._keyframes.add(Keyframe(self._position, self.time_us, snapshot, self.cursor, self.leds))
        self._work_s = 0.0
        self._work_from = self._position

    def _restore(self, frame: Keyframe) -> None:
        self._session = RfbSession(replay=True, resume=frame.session)
        self._position = frame.position
        self.time_us = frame.time_us
        self.name = frame.session.name
        self.pointer_mode = frame.session.pointer_mode
        self.cursor, self.leds = frame.cursor, frame.leds
        self.is_fresh = False
        self._work_s = 0.0
        self._work_from = frame.position


@dataclass(frozen=True, slots=True)
class Survey:
    """What one whole pass over a recording shows. ``width``, ``height``: the largest screen; ``updates``: with pixels.

    ``error``: where and why it cannot be played to its end.
    """

    width: int
    height: int
    updates: int
    end_us: int
    error: RecordingError | None


def survey(
    recording: Recording,
    keyframes: Keyframes,
    is_cancelled: Callable[[], bool],
    on_progress: Callable[[int], None] | None = None,
) -> Survey | None:
    """Decode all of it once, making keyframes; None when cancelled. ``on_progress`` is told the block it is in."""
    cursor = ReplayCursor(recording, keyframes)
    width = height = 0
    error: RecordingError | None = None
    block = 0
    try:
        while not is_cancelled() and cursor.step():
            if on_progress is not None and cursor.position[0] != block:
                block = cursor.position[0]
                on_progress(block)
            fb = cursor.framebuffer
            if fb is not None and not cursor.is_fresh:
                width, height = max(width, fb.width), max(height, fb.height)
    except RecordingError as problem:
        error = problem
    if is_cancelled():
        return None
    end = max(cursor.time_us, 0) if error is not None else recording.duration_us
    return Survey(width, height, cursor.updates, end, error)
