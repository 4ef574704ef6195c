"""A session recording as a :class:`DisplaySource`: the Qt side of :mod:`guivm.console.recording.player`."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, Qt, Signal, Slot

from guivm.console.lifetime import on_destroyed
from guivm.console.recording.format import Mark, RecordingError, RecordingHeader
from guivm.console.recording.player import MAX_SPEED, MIN_SPEED, ReplayPlayer, ReplayState
from guivm.console.source import (
    DisplaySource,
    Framebuffer,
    PointerButton,
    Rect,
    SourceSecurity,
    SourceState,
)

__all__ = ["MAX_SPEED", "MIN_SPEED", "ReplaySource", "ReplayState"]


class ReplaySource(DisplaySource):
    """Plays a recording; what is typed or clicked goes nowhere. GUI thread.

    It is CONNECTED from the first picture on, to the end and beyond; DISCONNECTED means that nothing can be shown.
    Times are microseconds since the recording began.
    """

    replayStateChanged = Signal(object)  # ReplayState
    positionChanged = Signal(object)  # int; about 20 a second while it plays
    durationChanged = Signal(object)  # int; shorter than first said when the file is damaged
    problemFound = Signal(object)  # RecordingError: where and why it ends early; ``problem`` keeps it
    loaded = Signal()  # ``header`` and ``marks`` are known

    _woken = Signal()

    def __init__(self, path: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.path = path
        self.header: RecordingHeader | None = None
        self.marks: tuple[Mark, ...] = ()
        self.problem: RecordingError | None = None
        self.replay_state = ReplayState.LOADING
        self.position_us = 0
        self.duration_us = 0
        self._state = SourceState.CONNECTING
        self._framebuffer: Framebuffer | None = None
        self._closed = False
        self._woken.connect(self._deliver, Qt.ConnectionType.QueuedConnection)
        self._player = ReplayPlayer(path, self._woken.emit)
        # Deleted with its parent and not closed: the thread must not outlive the object it speaks to.
        on_destroyed(self, self._player.stop)

    @property
    def state(self) -> SourceState:
        return self._state

    @property
    def error(self) -> Exception | None:
        return self.problem if self.replay_state is ReplayState.FAILED and not self._closed else None

    @property
    def framebuffer(self) -> Framebuffer | None:
        return self._framebuffer

    @property
    def security(self) -> SourceSecurity:
        return SourceSecurity.LOCAL

    def open(self) -> None:
        self._player.start()

    def close(self) -> None:
        if self._state is not SourceState.DISCONNECTED:
            self._closed = True
            self._state = SourceState.DISCONNECTED
        self._player.stop()

    def take_damage(self) -> list[Rect]:
        return self._player.take_damage()

    def send_key(self, scancode: int, keysym: int, pressed: bool) -> None:
        """Nobody is there."""

    def send_pointer(self, x: int, y: int, buttons: PointerButton) -> None:
        """Nobody is there."""

    def set_visible(self, visible: bool) -> None:
        """It plays on, as a video does."""

    # --- playing --------------------------------------------------------------------------------------

    def play(self) -> None:
        """Go on; from the beginning when it is at the end."""
        self._player.play()

    def pause(self) -> None:
        self._player.pause()

    def seek(self, time_us: int) -> None:
        """Show another moment, and play on if it plays."""
        self._player.seek(time_us)

    def step(self) -> None:
        """Pause and show the next change of the picture."""
        self._player.step()

    def set_speed(self, speed: float) -> None:
        """MIN_SPEED to MAX_SPEED; 1 is as it was."""
        self._player.set_speed(speed)

    def set_skip_idle(self, skip: bool) -> None:
        """Pass over times in which nothing happened."""
        self._player.set_skip_idle(skip)

    @Slot()
    def _deliver(self) -> None:
        """The news, in an order that makes sense to a listener."""
        news = self._player.take_news()
        if self._closed:
            return
        if news.header is not None:
            self.header, self.marks = news.header, news.marks or ()
            self.loaded.emit()
        if news.duration_us is not None:
            self.duration_us = news.duration_us
            self.durationChanged.emit(news.duration_us)
        if news.framebuffer is not None:
            self._framebuffer = news.framebuffer
            self.resized.emit(news.framebuffer)
        if news.name is not None:
            self.nameChanged.emit(news.name)
        if news.cursor is not None:
            self.cursorChanged.emit(news.cursor[0])
        if news.leds is not None:
            self.ledsChanged.emit(news.leds)
        if news.framebuffer is not None and self._state is SourceState.CONNECTING:
            self._state = SourceState.CONNECTED
            self.stateChanged.emit(self._state)
        if news.damaged:
            self.damaged.emit()
        if news.bell:
            self.bell.emit()
        if news.position_us is not None:
            self.position_us = news.position_us
            self.positionChanged.emit(news.position_us)
        if news.state is not None:
            self.replay_state = news.state
        if news.problem is not None:
            self.problem = news.problem
            self.problemFound.emit(news.problem)
        if news.state is not None:
            if news.state is ReplayState.FAILED:
                self._state = SourceState.DISCONNECTED
                self.stateChanged.emit(self._state)
            self.replayStateChanged.emit(news.state)
