"""Playing a recording in its own time: the thread, its clock, and what it has to tell. No Qt.

Commands come from any thread and take effect at once; the news is a mailbox that keeps the latest value of each kind.
A second thread reads the whole recording once in the background, so that there are keyframes to seek to.
"""

from __future__ import annotations

import contextlib
import enum
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from guivm.console.frame import CursorShape, Framebuffer, KeyboardLeds, PointerMode, Rect
from guivm.console.recording.format import Mark, Recording, RecordingError, RecordingHeader
from guivm.console.recording.playback import Keyframes, ReplayCursor, Survey, survey
from guivm.console.rfb.damage import Damage

MIN_SPEED, MAX_SPEED = 0.25, 16.0
_TICK_S = 0.05  # of the position while it plays
_SLICE_S = 0.03  # of decoding without showing anything
_BEHIND_US = 250_000  # decoding lags so much: the clock waits for it
_IDLE_US = 1_000_000  # nothing happened for longer than this: idle time
_IDLE_LEFT_US = 300_000  # what is left of idle time that is skipped
_BREATH_S = 0.002  # the background pass leaves the processor to others now and then


class ReplayState(enum.Enum):
    LOADING = "loading"
    PAUSED = "paused"
    PLAYING = "playing"
    ENDED = "ended"  # at the end, or where the damage begins; it can be played again
    FAILED = "failed"  # nothing of it can be shown


@dataclass(slots=True)
class ReplayNews:
    """What is new since it was last taken; None or False: nothing of that kind."""

    header: RecordingHeader | None = None
    marks: tuple[Mark, ...] | None = None
    framebuffer: Framebuffer | None = None
    cursor: tuple[CursorShape | None] | None = None
    leds: KeyboardLeds | None = None
    pointer_mode: PointerMode | None = None
    name: str | None = None
    bell: bool = False
    damaged: bool = False
    state: ReplayState | None = None
    position_us: int | None = None
    duration_us: int | None = None
    problem: RecordingError | None = None  # where and why it ends early, or why it failed


@dataclass(slots=True)
class _Orders:
    """What the owner wants; guarded by the player's lock."""

    playing: bool = False
    speed: float = 1.0
    skip_idle: bool = False
    seek_us: int | None = None
    steps: int = 0
    changed: bool = False  # play or speed: the clock starts anew


class ReplayPlayer:
    """Opens ``path`` on its thread, shows the first picture and waits for :meth:`play`."""

    def __init__(self, path: Path, notify: Callable[[], None], *, keyframes: Keyframes | None = None) -> None:
        """``notify`` is called on the thread when there is news, once until it is taken."""
        self._path = path
        self._notify = notify
        self._keyframes = keyframes or Keyframes()
        self._lock = threading.Condition()
        self._orders = _Orders()
        self._stopping = False
        self._news = ReplayNews()
        self._has_news = False
        self._damage = Damage(1, 1)
        self._damage_told = False
        self._threads: list[threading.Thread] = []
        # The thread's own:
        self._state = ReplayState.LOADING
        self._shown: Framebuffer | None = None
        self._cursor_shown: CursorShape | None = None
        self._leds_shown = KeyboardLeds.NONE
        self._mode_shown = PointerMode.ABSOLUTE
        self._name_shown = ""
        self._bells = 0
        self._clock_us = 0  # position at _clock_s
        self._clock_s = 0.0
        self._speed = 0.0  # 0: the clock stands
        self._end_us = 0

    # --- owner's side ---------------------------------------------------------------------------------

    def start(self) -> None:
        thread = threading.Thread(target=self._main, name="guivm-replay", daemon=True)
        self._threads.append(thread)
        thread.start()

    def stop(self, timeout_s: float = 1.0) -> None:
        """End the threads; waits no longer than ``timeout_s``. Safe to call twice."""
        with self._lock:
            self._stopping = True
            self._lock.notify_all()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(timeout_s)

    def play(self) -> None:
        """At the end: from the beginning."""
        with self._lock:
            self._orders.playing = True
            self._order()

    def pause(self) -> None:
        with self._lock:
            self._orders.playing = False
            self._order()

    def seek(self, time_us: int) -> None:
        """Show the moment; a later call replaces one that is under way."""
        with self._lock:
            self._orders.seek_us = max(0, time_us)
            self._orders.steps = 0
            self._lock.notify_all()

    def step(self) -> None:
        """Pause, and show the next change."""
        with self._lock:
            self._orders.playing = False
            self._orders.steps += 1
            self._order()

    def set_speed(self, speed: float) -> None:
        with self._lock:
            self._orders.speed = min(max(speed, MIN_SPEED), MAX_SPEED)
            self._order()

    def set_skip_idle(self, skip: bool) -> None:
        with self._lock:
            self._orders.skip_idle = skip
            self._lock.notify_all()

    def _order(self) -> None:
        self._orders.changed = True
        self._lock.notify_all()

    def take_news(self) -> ReplayNews:
        with self._lock:
            news, self._news = self._news, ReplayNews()
            self._has_news = False
            return news

    def take_damage(self) -> list[Rect]:
        """Of the framebuffer last taken; none while a newer one waits."""
        with self._lock:
            self._damage_told = False
            return [] if self._news.framebuffer is not None else self._damage.take()

    # --- the thread -----------------------------------------------------------------------------------

    def _main(self) -> None:
        try:
            recording = Recording(self._path)
        except RecordingError as error:
            self._fail(error)
            return
        with recording:
            self._end_us = recording.duration_us
            marks = recording.marks()
            with self._lock:
                self._news.header, self._news.marks = recording.header, marks
                self._news.duration_us = self._end_us
                self._tell()
            indexer = threading.Thread(target=self._index, args=(recording,), name="guivm-replay-index", daemon=True)
            indexer.start()
            unexpected = True
            try:
                self._run(ReplayCursor(recording, self._keyframes), recording)
                unexpected = False
            finally:
                if unexpected:
                    self._fail(RecordingError("The player stopped unexpectedly.", advice="Open the recording again."))
                indexer.join()  # it reads from the recording, and ends as soon as this thread is to end

    def _fail(self, error: RecordingError) -> None:
        self._state = ReplayState.FAILED
        with self._lock:
            self._news.problem = error
            self._news.state = ReplayState.FAILED
            self._tell()

    def _index(self, recording: Recording) -> None:
        due = time.monotonic() + 10 * _BREATH_S

        def is_cancelled() -> bool:
            nonlocal due
            if time.monotonic() >= due:
                time.sleep(_BREATH_S)
                due = time.monotonic() + 10 * _BREATH_S
            return self._stopping

        found = survey(recording, self._keyframes, is_cancelled)
        if found is not None and found.error is not None:
            self._shorten(found)

    def _shorten(self, found: Survey) -> None:
        """The background pass met damage before anybody played so far."""
        with self._lock:
            if found.updates:
                self._end_us = found.end_us
                self._news.duration_us = found.end_us
                self._news.problem = found.error
                self._tell()

    def _run(self, cursor: ReplayCursor, recording: Recording) -> None:
        start_us = recording.blocks[0].first_us
        with self._lock:
            if self._orders.seek_us is None:
                self._orders.seek_us = start_us
        while True:
            with self._lock:
                if self._stopping:
                    return
                orders = self._orders
                seek_us, orders.seek_us = orders.seek_us, None
                stepping = seek_us is None and orders.steps > 0  # a step that is behind a seek waits for it
                if stepping:
                    orders.steps -= 1
                playing, speed, skip_idle = orders.playing, orders.speed, orders.skip_idle
                changed, orders.changed = orders.changed, False
            try:
                if seek_us is not None:
                    self._seek(cursor, seek_us)
                elif stepping:
                    self._step(cursor)
                elif changed:
                    self._set_clock(self._now_us(), speed if playing else 0.0)
                    if not playing:
                        self._publish(cursor, self._state_now())
                    elif self._clock_us >= self._end_us:
                        self._set_clock(start_us, speed)
                        cursor.seek(start_us)
                wait = self._play(cursor, skip_idle) if playing else None
            except RecordingError as error:
                self._meet_damage(cursor, error)
                wait = None
            if self._state is ReplayState.FAILED:
                return
            with self._lock:
                if wait != 0 and not self._has_orders():
                    self._lock.wait(wait)

    def _has_orders(self) -> bool:
        orders = self._orders
        return self._stopping or orders.changed or orders.steps > 0 or orders.seek_us is not None

    def _meet_damage(self, cursor: ReplayCursor, error: RecordingError) -> None:
        """It ends here. What was shown stays; without a picture it has failed."""
        if cursor.updates == 0 and self._shown is None:
            self._fail(error)
            return
        self._end_us = max(cursor.time_us, 0)
        if cursor.framebuffer is None:  # the stream itself is broken: what was shown just before
            self._end_us = max(self._end_us - 1, 0)
            with contextlib.suppress(RecordingError):
                cursor.seek(self._end_us)
        with self._lock:
            self._orders.playing = False
            self._news.problem = error
            self._news.duration_us = self._end_us
        self._set_clock(self._end_us, 0.0)
        self._publish(cursor, ReplayState.ENDED)

    def _now_us(self) -> int:
        """The clock: where playing is."""
        if not self._speed:
            return self._clock_us
        passed = int((time.monotonic() - self._clock_s) * self._speed * 1_000_000)
        return min(self._clock_us + passed, self._end_us)

    def _set_clock(self, time_us: int, speed: float) -> None:
        self._clock_us, self._clock_s, self._speed = min(time_us, self._end_us), time.monotonic(), speed

    def _seek(self, cursor: ReplayCursor, time_us: int) -> None:
        time_us = min(time_us, self._end_us)
        if cursor.seek(time_us, self._is_interrupted):
            self._set_clock(time_us, self._speed_ordered())
            self._publish(cursor, self._state_now())

    def _is_interrupted(self) -> bool:
        return self._stopping or self._orders.seek_us is not None

    def _speed_ordered(self) -> float:
        with self._lock:
            return self._orders.speed if self._orders.playing else 0.0

    def _step(self, cursor: ReplayCursor) -> None:
        before = cursor.updates
        at_end = self._clock_us >= self._end_us
        while cursor.updates == before and not at_end and not self._is_interrupted():
            at_end = not cursor.step()
        self._set_clock(self._end_us if at_end else cursor.time_us, 0.0)
        self._publish(cursor, self._state_now())

    def _play(self, cursor: ReplayCursor, skip_idle: bool) -> float | None:
        """Show what is due. Answers how long there is nothing to do, seconds; None: until something is ordered."""
        until = time.monotonic() + _SLICE_S
        following = cursor.next_time_us()
        while following is not None and following <= self._now_us() and time.monotonic() < until:
            cursor.step()
            following = cursor.next_time_us()
        now = self._now_us()
        if following is not None and following > self._end_us:
            following = None  # where the damage begins
        if following is not None and now - following > _BEHIND_US:
            self._set_clock(following, self._speed)
            now = following
        goal = self._end_us if following is None else following
        if skip_idle and goal - max(now, cursor.time_us) > _IDLE_US:
            self._set_clock(goal - _IDLE_LEFT_US, self._speed)
            now = goal - _IDLE_LEFT_US
        if following is None and now >= self._end_us:
            with self._lock:
                self._orders.playing = False
            self._set_clock(self._end_us, 0.0)
            self._publish(cursor, ReplayState.ENDED)
            return None
        self._publish(cursor, ReplayState.PLAYING)
        return min(max(goal - now, 0) / 1_000_000 / max(self._speed, MIN_SPEED), _TICK_S)

    def _state_now(self) -> ReplayState:
        if self._speed:
            return ReplayState.PLAYING
        return ReplayState.ENDED if self._clock_us >= self._end_us else ReplayState.PAUSED

    # --- news -----------------------------------------------------------------------------------------

    def _tell(self) -> None:
        """With the lock held."""
        if not self._has_news and not self._stopping:
            self._has_news = True
            self._notify()

    def _publish(self, cursor: ReplayCursor, state: ReplayState) -> None:
        fb, session = cursor.framebuffer, cursor.session
        with self._lock:
            news = self._news
            if fb is not None and session is not None and not (cursor.is_fresh and self._speed and self._shown):
                rects = session.damage.take()
                if fb is not self._shown:
                    self._shown = fb
                    self._damage = Damage(fb.width, fb.height)
                    self._damage_told = False
                    news.framebuffer = fb
                    news.damaged = False
                    rects = [Rect(0, 0, fb.width, fb.height)]
                self._damage.merge(rects)
                if rects and not self._damage_told:
                    self._damage_told = news.damaged = True
            if cursor.cursor is not self._cursor_shown:
                self._cursor_shown = cursor.cursor
                news.cursor = (cursor.cursor,)
            if cursor.leds != self._leds_shown:
                news.leds = self._leds_shown = cursor.leds
            if cursor.pointer_mode is not self._mode_shown:
                news.pointer_mode = self._mode_shown = cursor.pointer_mode
            if cursor.name != self._name_shown:
                news.name = self._name_shown = cursor.name
            if cursor.bells != self._bells:
                self._bells = cursor.bells
                news.bell = True
            if state is not self._state:
                news.state = self._state = state
            news.position_us = self._now_us()
            self._tell()
