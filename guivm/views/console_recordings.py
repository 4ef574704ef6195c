"""Recording one console: the session (to be played again here) or a video. One at a time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QStandardPaths, QUrl, Signal, Slot
from PySide6.QtGui import QDesktopServices

from guivm.errors import GuivmError
from guivm.views.bridge import Bridge
from guivm.views.messages import Message, Severity
from guivm.views.settings import PICTURE_DIR, Settings

if TYPE_CHECKING:
    from guivm.console.frame import Framebuffer
    from guivm.console.recording.recorder import Recorder, RecorderTap
    from guivm.console.recording.video import VideoRecorder
    from guivm.console.source import DisplaySource

SESSION, VIDEO = "record-session", "record-video"
_CLOSE_S = 3.0


def picture_dir(settings: Settings, *, moving: bool = False) -> Path:
    """Where screenshots go, or with ``moving`` recordings and videos."""
    chosen = settings.get(PICTURE_DIR)
    if chosen:
        return Path(chosen)
    kind = QStandardPaths.StandardLocation
    places = QStandardPaths.standardLocations(kind.MoviesLocation if moving else kind.PicturesLocation)
    return Path(places[0] if places else Path.home())


class ConsoleRecordings(QObject):
    """GUI thread. The page asks for :meth:`tap` whenever it makes a source, and says :meth:`follow` with it."""

    told = Signal(object)  # Message
    changed = Signal()  # ``active`` is another one
    reconnectWanted = Signal()  # a session is recorded from the first byte of a connection on: make a new one
    playRequested = Signal(object)  # Path
    _ended = Signal()

    def __init__(self, bridge: Bridge, settings: Settings, parent: QObject) -> None:
        super().__init__(parent)
        self._bridge = bridge
        self._settings = settings
        self._active = ""
        self._recorder: Recorder | None = None
        self._video: VideoRecorder | None = None
        self._source: DisplaySource | None = None
        self._ended.connect(self._on_ended)

    @property
    def active(self) -> str:
        """Id of the action that records now, or empty."""
        return self._active

    @property
    def has_video(self) -> bool:
        """Whether a video has begun: it takes a moment to find out what ffmpeg can do."""
        return self._video is not None

    def toggle(self, action_id: str, vm_name: str) -> None:
        """Start what the action records, or end it when it is under way."""
        if self._active:
            self.stop()
        elif action_id == SESSION:
            self._start_session(vm_name)
        else:
            self._start_video(vm_name)

    def stop(self) -> None:
        """End what is recorded, and say where it is once it is complete."""
        recorder, self._recorder = self._recorder, None
        video, self._video = self._video, None
        self._set_active("")
        if recorder is not None:
            self._bridge.compute(partial(_finish, recorder), self, self._on_session_done)
        if video is not None:
            self._bridge.compute(partial(_finish_video, video), self, self._on_video_done)

    def close(self) -> None:
        """The console goes away: what is recorded ends here, without a word. Waits for the disk, a few seconds."""
        recorder, self._recorder = self._recorder, None
        video, self._video = self._video, None
        self._set_active("")
        if recorder is not None:
            recorder.close(_CLOSE_S)
        if video is not None:
            video.close(_CLOSE_S)

    def tap(self) -> RecorderTap | None:
        """What takes the stream of the next connection; None while no session is recorded."""
        return self._recorder.tap() if self._recorder is not None else None

    def follow(self, source: DisplaySource | None) -> None:
        """The console shows another source, or none."""
        if self._source is not None:
            self._source.resized.disconnect(self._on_resized)
            self._source.damaged.disconnect(self._on_damaged)
        self._source = source
        if source is not None:
            source.resized.connect(self._on_resized)
            source.damaged.connect(self._on_damaged)
            source.destroyed.connect(self._on_destroyed)

    @Slot()
    def _on_destroyed(self) -> None:
        self._source = None

    @Slot(object)
    def _on_resized(self, framebuffer: Framebuffer) -> None:
        if self._video is not None:
            self._video.set_framebuffer(framebuffer)

    @Slot()
    def _on_damaged(self) -> None:
        if self._video is not None:
            self._video.mark_dirty()

    def _set_active(self, action_id: str) -> None:
        if action_id != self._active:
            self._active = action_id
            self.changed.emit()

    # --- sessions -------------------------------------------------------------------------------------

    def _start_session(self, vm_name: str) -> None:
        self._set_active(SESSION)
        directory = picture_dir(self._settings, moving=True)
        self._bridge.compute(partial(_start_recorder, directory, vm_name, self._ended.emit), self, self._on_recorder)

    def _on_recorder(self, outcome: Recorder | GuivmError) -> None:
        if isinstance(outcome, GuivmError):
            self._set_active("")
            self.told.emit(_failed(outcome))
        elif self._active != SESSION:  # ended before it began
            self._bridge.compute(partial(_finish, outcome), self, self._on_session_done)
        else:
            self._recorder = outcome
            self.reconnectWanted.emit()

    def _on_session_done(self, outcome: Path | GuivmError) -> None:
        if isinstance(outcome, GuivmError):
            self.told.emit(_failed(outcome))
            return
        play = (self.tr("Play"), partial(self.playRequested.emit, outcome))
        self._tell_saved(self.tr("The recording is saved."), outcome, play)

    # --- videos ---------------------------------------------------------------------------------------

    def _start_video(self, vm_name: str) -> None:
        framebuffer = self._source.framebuffer if self._source is not None else None
        if framebuffer is None:
            self.changed.emit()
            return
        self._set_active(VIDEO)
        directory = picture_dir(self._settings, moving=True)
        self._bridge.compute(
            partial(_start_video, directory, vm_name, framebuffer, self._ended.emit), self, self._on_video
        )

    def _on_video(self, outcome: VideoRecorder | GuivmError) -> None:
        if isinstance(outcome, GuivmError):
            self._set_active("")
            self.told.emit(_failed(outcome))
        elif self._active != VIDEO:
            self._bridge.compute(partial(_finish_video, outcome), self, self._on_video_done)
        else:
            self._video = outcome
            framebuffer = self._source.framebuffer if self._source is not None else None
            if framebuffer is not None:
                outcome.set_framebuffer(framebuffer)

    def _on_video_done(self, outcome: Path | GuivmError) -> None:
        if isinstance(outcome, GuivmError):
            self.told.emit(_failed(outcome))
            return
        show = (self.tr("Open"), partial(_open, outcome))
        self._tell_saved(self.tr("The video is saved."), outcome, show)

    # --- both -----------------------------------------------------------------------------------------

    @Slot()
    def _on_ended(self) -> None:
        """A recorder ended by itself: the disk is full, ffmpeg failed."""
        error = (self._recorder.error if self._recorder is not None else None) or (
            self._video.error if self._video is not None else None
        )
        if error is not None:
            self.close()
            self.told.emit(_failed(error))

    def _tell_saved(self, text: str, path: Path, action: tuple[str, Callable[[], None]]) -> None:
        folder = (self.tr("Show Folder"), partial(_open, path.parent))
        self.told.emit(Message(Severity.SUCCESS, text, str(path), "", (action, folder)))


def _start_recorder(directory: Path, vm_name: str, on_ended: Callable[[], None]) -> Recorder | GuivmError:
    from guivm.console.recording.format import RecordingHeader
    from guivm.console.recording.recorder import Recorder
    from guivm.console.screenshots import file_name, free_path

    path = free_path(directory, file_name(vm_name, datetime.now().astimezone(), _suffix()))
    try:
        directory.mkdir(parents=True, exist_ok=True)
        return Recorder(path, RecordingHeader(0, 0, vm_name, datetime.now(UTC)), on_ended=on_ended)
    except GuivmError as error:
        return error
    except OSError as error:
        return _no_directory(directory, error)


def _suffix() -> str:
    from guivm.console.recording.layout import SUFFIX

    return SUFFIX


def _finish(recorder: Recorder) -> Path | GuivmError:
    recorder.close()
    return recorder.error or recorder.path


def _start_video(
    directory: Path, vm_name: str, framebuffer: Framebuffer, on_ended: Callable[[], None]
) -> VideoRecorder | GuivmError:
    from guivm.console.recording.video import VideoRecorder
    from guivm.console.recording.video_encoder import probe_video
    from guivm.console.screenshots import file_name, free_path

    support = probe_video()
    if support.problem is not None:
        return support.problem
    kind = support.formats[0]
    path = free_path(directory, file_name(vm_name, datetime.now().astimezone(), kind.value))
    try:
        directory.mkdir(parents=True, exist_ok=True)
        return VideoRecorder(path, kind, support, framebuffer, on_ended=on_ended)
    except GuivmError as error:
        return error
    except OSError as error:
        return _no_directory(directory, error)


def _finish_video(video: VideoRecorder) -> Path | GuivmError:
    video.close()
    return video.error or video.path


def _no_directory(directory: Path, error: OSError) -> GuivmError:
    return GuivmError(
        f"Nothing can be saved in “{directory}”: {error.strerror or error}.",
        advice="Choose another folder in Preferences.",
        details=str(error),
    )


def _failed(error: GuivmError) -> Message:
    return Message(Severity.ERROR, error.summary, error.advice, error.details)


def _open(path: Path) -> None:
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(path)))
