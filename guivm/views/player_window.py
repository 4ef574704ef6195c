"""The player: a window that shows a session recording and can be worked with the keyboard alone."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QDateTime, QEvent, QLocale, QSize, Qt, QTimer, Slot
from PySide6.QtGui import QAction, QCloseEvent, QKeyEvent, QKeySequence, QMouseEvent, QResizeEvent
from PySide6.QtWidgets import QApplication, QFileDialog, QMainWindow, QStackedWidget, QVBoxLayout, QWidget

from guivm.console.frame import Framebuffer
from guivm.console.recording.video_encoder import VideoFormat, VideoSupport
from guivm.console.replay_source import ReplaySource, ReplayState
from guivm.console.screenshots import ScreenshotSaver, file_name, free_path
from guivm.console.widget import ConsoleFace, ConsoleWidget
from guivm.errors import CancelledError, GuivmError
from guivm.views import icons
from guivm.views.messages import MessageBar
from guivm.views.player_bar import SPEEDS, PlayerBar
from guivm.views.player_export import ExportRow, VideoProbe
from guivm.views.state_page import StatePage
from guivm.views.theme import GRID

_JUMP_US = 5_000_000
_LONG_JUMP_US = 60_000_000
_BAR_STAYS_MS = 2_500
_SMALLEST = QSize(60 * GRID, 44 * GRID)
_SCREEN_SHARE = 0.8


class _Stage(QWidget):
    """The picture with the bars below it, or over its lower edge in full screen."""

    def __init__(self, view: QWidget, bars: QWidget, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("player-stage")
        self._view, self._bars = view, bars
        self._floating = False
        for child in (view, bars):
            child.setParent(self)
        bars.raise_()

    def set_floating(self, floating: bool) -> None:
        self._floating = floating
        self.arrange()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.arrange()

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.LayoutRequest:
            self.arrange()
        return super().event(event)

    def arrange(self) -> None:
        width, height = self.width(), self.height()
        below = self._bars.sizeHint().height()
        self._bars.setGeometry(0, height - below, width, below)
        self._view.setGeometry(0, 0, width, height if self._floating else max(height - below, 0))

    def minimumSizeHint(self) -> QSize:
        return _SMALLEST

    def size_for(self, picture: QSize) -> QSize:
        """The size in which a picture of this size (device-independent pixels) is shown exactly."""
        return QSize(picture.width(), picture.height() + self._bars.sizeHint().height())


class PlayerWindow(QMainWindow):
    """Opens ``recording`` at once and plays when told to. Owns everything it needs; GUI thread."""

    def __init__(
        self,
        recording: Path,
        *,
        pictures_dir: Path,
        videos_dir: Path,
        parent: QWidget | None = None,
        ffmpeg: str = "ffmpeg",
    ) -> None:
        super().__init__(parent)
        self.setObjectName("player-window")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._recording = recording
        self._pictures_dir, self._videos_dir = pictures_dir, videos_dir
        self._ffmpeg = ffmpeg
        self._speed = 1.0
        self._seeking_us: int | None = None  # asked for and not yet shown
        self._plays_after_drag = False
        self._is_sized = False
        self._warned = ""
        self.setWindowTitle(recording.name)
        self._make_actions()
        self.console = ConsoleWidget(self)
        # Nobody types into a recording: keys are the player's, and a click plays or pauses.
        self.console.set_view_only(True)
        self.console.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.console.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.console.setAccessibleName(self.tr("Recorded screen"))
        self.console.set_face(ConsoleFace.LIVE)
        self.opening = StatePage("player-opening", "video", self.tr("Opening…"), recording.name, self)
        self.failure = StatePage("player-failure", "art-unplugged", self.tr("Cannot play the recording"), "", self)
        self.view = QStackedWidget(self)
        for page in (self.opening, self.console, self.failure):
            self.view.addWidget(page)
        self.bars = QWidget(self)
        self.bar = PlayerBar(self._bar_actions, self.bars)
        self.export_row = ExportRow(self.bars)
        column = QVBoxLayout(self.bars)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.export_row)
        column.addWidget(self.bar)
        self.stage = _Stage(self.view, self.bars, self)
        self.setCentralWidget(self.stage)
        for widget in (self, self.stage, self.view):
            widget.setMouseTracking(True)
        self.messages = MessageBar(self)
        self.messages.stay_above(self.bars)
        self._screenshots = ScreenshotSaver(self)
        self._screenshots.saved.connect(self._on_screenshot)
        self._screenshots.failed.connect(self.messages.show_error)
        self._probe = VideoProbe(self, ffmpeg=ffmpeg)
        self._probe.found.connect(self._choose_video)
        self.export_row.finished.connect(self._on_exported)
        self.export_row.failed.connect(self._on_export_failed)
        self._hide_bar = QTimer(self)
        self._hide_bar.setSingleShot(True)
        self._hide_bar.setInterval(_BAR_STAYS_MS)
        self._hide_bar.timeout.connect(self._on_bar_due)
        self.bar.speedChosen.connect(self.set_speed)
        self.bar.scrubber.sought.connect(self.seek)
        self.bar.scrubber.dragged.connect(self._on_dragged)
        self.source = ReplaySource(recording)
        self.source.loaded.connect(self._on_loaded)
        self.source.resized.connect(self._on_resized)
        self.source.durationChanged.connect(self.bar.set_duration)
        self.source.positionChanged.connect(self._on_position)
        self.source.replayStateChanged.connect(self._on_replay_state)
        self.source.problemFound.connect(self._on_problem)
        self.console.set_source(self.source)
        self._enable(False)
        self.resize(120 * GRID, 84 * GRID)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setFocus()
        self.source.open()

    # --- actions --------------------------------------------------------------------------------------

    def _make_actions(self) -> None:
        self.play_action = self._action("play", self.tr("Play"), "start", ())
        self.step_action = self._action("step", self.tr("Next change"), "step", (".",))
        self.skip_action = self._action("skip-idle", self.tr("Skip idle time"), "skip-idle", ("I",))
        self.skip_action.setCheckable(True)
        self.screenshot_action = self._action("screenshot", self.tr("Save screenshot"), "screenshot", ("S",))
        self.export_action = self._action("export", self.tr("Export as video…"), "video", ("Ctrl+E",))
        self.full_action = self._action("full-screen", self.tr("Full screen"), "fullscreen", ("F11", "F"))
        self.full_action.setCheckable(True)
        self._bar_actions = (
            self.play_action,
            self.step_action,
            self.skip_action,
            self.screenshot_action,
            self.export_action,
            self.full_action,
        )
        self.play_action.setToolTip(self.tr("Play (Space)"))
        self.play_action.triggered.connect(self.toggle_play)
        self.step_action.triggered.connect(self._on_step)
        self.skip_action.toggled.connect(self._on_skip_idle)
        self.screenshot_action.triggered.connect(self.save_screenshot)
        self.export_action.triggered.connect(self._on_export)
        self.full_action.toggled.connect(self.set_full_screen)
        # These have no button. Space is not among them: on a button it presses that button.
        self.back_action = self._action("back", self.tr("5 seconds back"), "", ("Left",))
        self.forward_action = self._action("forward", self.tr("5 seconds forward"), "", ("Right",))
        self.long_back_action = self._action("long-back", self.tr("A minute back"), "", ("Shift+Left", "PgUp"))
        self.long_forward_action = self._action(
            "long-forward", self.tr("A minute forward"), "", ("Shift+Right", "PgDown")
        )
        self.begin_action = self._action("begin", self.tr("To the beginning"), "", ("Home",))
        self.end_action = self._action("end", self.tr("To the end"), "", ("End",))
        self.faster_action = self._action("faster", self.tr("Faster"), "", ("+", "=", "]"))
        self.slower_action = self._action("slower", self.tr("Slower"), "", ("-", "["))
        self.close_action = self._action("close", self.tr("Close"), "", ("Ctrl+W",))
        self.back_action.triggered.connect(self._on_back)
        self.forward_action.triggered.connect(self._on_forward)
        self.long_back_action.triggered.connect(self._on_long_back)
        self.long_forward_action.triggered.connect(self._on_long_forward)
        self.begin_action.triggered.connect(self._on_begin)
        self.end_action.triggered.connect(self._on_end)
        self.faster_action.triggered.connect(self._on_faster)
        self.slower_action.triggered.connect(self._on_slower)
        self.close_action.triggered.connect(self.close)

    def _action(self, name: str, text: str, icon: str, keys: tuple[str, ...]) -> QAction:
        action = QAction(text, self)
        action.setObjectName(name)
        if icon:
            action.setIcon(icons.icon(icon))
        action.setShortcuts([QKeySequence(key) for key in keys])
        if keys:
            shown = action.shortcut().toString(QKeySequence.SequenceFormat.NativeText)
            action.setToolTip(f"{text.rstrip('…')} ({shown})")
        self.addAction(action)
        return action

    def _enable(self, on: bool) -> None:
        for action in self.actions():
            if action not in (self.full_action, self.close_action):
                action.setEnabled(on)
        self.bar.scrubber.setEnabled(on)
        self.bar.speed_button.setEnabled(on)

    # --- playing --------------------------------------------------------------------------------------

    @Slot()
    def toggle_play(self) -> None:
        if self.source.replay_state is ReplayState.PLAYING:
            self.source.pause()
        else:
            self.source.play()

    @Slot(object)
    def seek(self, time_us: int) -> None:
        """Show a moment of the recording; the bar shows it at once."""
        self._seeking_us = min(max(time_us, 0), self.source.duration_us)
        self.bar.show_time(self._seeking_us)
        self.source.seek(self._seeking_us)

    def _jump(self, by_us: int) -> None:
        # From where the last jump leads, so that jumps add up however long one takes.
        self.seek((self._seeking_us if self._seeking_us is not None else self.source.position_us) + by_us)

    @Slot(float)
    def set_speed(self, speed: float) -> None:
        self._speed = speed
        self.source.set_speed(speed)
        self.bar.show_speed(speed)

    @Slot(bool)
    def _on_dragged(self, begins: bool) -> None:
        """While the hand is on the scrubber the time stands still."""
        if begins:
            self._plays_after_drag = self.source.replay_state is ReplayState.PLAYING
            self.source.pause()
        elif self._plays_after_drag:
            self.source.play()

    @Slot()
    def _on_step(self) -> None:
        self.source.step()

    @Slot(bool)
    def _on_skip_idle(self, on: bool) -> None:
        self.source.set_skip_idle(on)

    @Slot()
    def _on_back(self) -> None:
        self._jump(-_JUMP_US)

    @Slot()
    def _on_forward(self) -> None:
        self._jump(_JUMP_US)

    @Slot()
    def _on_long_back(self) -> None:
        self._jump(-_LONG_JUMP_US)

    @Slot()
    def _on_long_forward(self) -> None:
        self._jump(_LONG_JUMP_US)

    @Slot()
    def _on_begin(self) -> None:
        self.seek(0)

    @Slot()
    def _on_end(self) -> None:
        self.seek(self.source.duration_us)

    @Slot()
    def _on_faster(self) -> None:
        self.set_speed(next((speed for speed in SPEEDS if speed > self._speed), SPEEDS[-1]))

    @Slot()
    def _on_slower(self) -> None:
        self.set_speed(next((speed for speed in reversed(SPEEDS) if speed < self._speed), SPEEDS[0]))

    # --- what the source says -------------------------------------------------------------------------

    @Slot()
    def _on_loaded(self) -> None:
        header = self.source.header
        self.bar.scrubber.set_marks(self.source.marks)
        if header is not None:
            started = QDateTime.fromSecsSinceEpoch(int(header.started.timestamp()))
            when = QLocale().toString(started, QLocale.FormatType.ShortFormat)
            name = header.name or self._recording.name
            self.setWindowTitle(self.tr("{name}, {when}").format(name=name, when=when))

    @Slot(object)
    def _on_resized(self, framebuffer: Framebuffer) -> None:
        self.view.setCurrentWidget(self.console)
        if self._is_sized or self.isFullScreen() or self.isMaximized():
            return
        self._is_sized = True
        ratio = self.devicePixelRatioF()
        picture = QSize(round(framebuffer.width / ratio) + 4, round(framebuffer.height / ratio) + 4)
        wanted = self.stage.size_for(picture).expandedTo(_SMALLEST)
        available = self.screen().availableSize() * _SCREEN_SHARE
        self.resize(wanted.boundedTo(available).expandedTo(_SMALLEST))

    @Slot(object)
    def _on_position(self, time_us: int) -> None:
        self._seeking_us = None
        self.bar.show_time(time_us)

    @Slot(object)
    def _on_replay_state(self, state: ReplayState) -> None:
        self._enable(state is not ReplayState.FAILED)
        playing = state is ReplayState.PLAYING
        text = self.tr("Pause") if playing else self.tr("Play again") if state is ReplayState.ENDED else self.tr("Play")
        self.play_action.setText(text)
        self.play_action.setToolTip(self.tr("{action} (Space)").format(action=text))
        self.play_action.setIcon(icons.icon("pause" if playing else "start"))
        self.bar.play_button.setAccessibleName(text)
        if state is ReplayState.FAILED:
            problem = self.source.problem
            self.failure.text.setText(str(problem) if problem is not None else "")
            self.view.setCurrentWidget(self.failure)
            self.bar.hide()
            self.stage.arrange()
        self._show_bars()

    @Slot(object)
    def _on_problem(self, problem: GuivmError) -> None:
        if self.source.replay_state is not ReplayState.FAILED and problem.summary != self._warned:
            self._warned = problem.summary
            self.messages.show_warning(problem.summary, advice=problem.advice, details=problem.details)

    # --- pictures and videos --------------------------------------------------------------------------

    def _vm_name(self) -> str:
        return self.source.header.name if self.source.header is not None else ""

    def _moment(self) -> str:
        """When in the guest's life the picture that is shown was, for file names."""
        from datetime import datetime, timedelta

        header = self.source.header
        started = header.started.astimezone() if header is not None else datetime.now().astimezone()
        return file_name(self._vm_name(), started + timedelta(microseconds=self.source.position_us), "")

    @Slot()
    def save_screenshot(self) -> None:
        from datetime import timedelta

        header = self.source.header
        when = header.started.astimezone() + timedelta(microseconds=self.source.position_us) if header else None
        self._screenshots.save(self.console.current_image(), self._pictures_dir, self._vm_name(), when)

    @Slot(object)
    def _on_screenshot(self, path: Path) -> None:
        self.messages.show_success(
            self.tr("Saved “{name}” in {folder}").format(name=path.name, folder=path.parent.name)
        )

    @Slot()
    def _on_export(self) -> None:
        self.export_action.setEnabled(False)
        self._probe.ask()

    @Slot(object)
    def _choose_video(self, support: VideoSupport) -> None:
        self.export_action.setEnabled(True)
        if support.problem is not None:
            self.messages.show_error(support.problem)
            return
        names = {VideoFormat.WEBM: self.tr("WebM video (*.webm)"), VideoFormat.MP4: self.tr("MP4 video (*.mp4)")}
        suggested = free_path(self._videos_dir, self._moment() + support.formats[0].value)
        dialog = QFileDialog(self, self.tr("Export as Video"), str(self._videos_dir))
        dialog.setObjectName("player-export-dialog")
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        # Nothing is ever overwritten: the export says so.
        dialog.setOption(QFileDialog.Option.DontConfirmOverwrite)
        dialog.setNameFilters([names[kind] for kind in support.formats])
        dialog.selectFile(suggested.name)
        dialog.fileSelected.connect(self._on_video_chosen)
        dialog.open()

    @Slot(str)
    def _on_video_chosen(self, chosen: str) -> None:
        path = Path(chosen)
        suffixes = {kind.value: kind for kind in VideoFormat}
        if path.suffix.lower() not in suffixes:
            path = path.with_name(path.name + VideoFormat.WEBM.value)
        self.export(path, suffixes[path.suffix.lower()])

    def export(self, path: Path, kind: VideoFormat) -> None:
        """Make a video of all of it; what came of it is told in the message bar."""
        support = self._probe.support
        if support is None or self.export_row.is_busy:
            return
        self.export_action.setEnabled(False)
        self.export_row.start(
            self._recording, path, kind, support, skip_idle=self.skip_action.isChecked(), ffmpeg=self._ffmpeg
        )
        self.stage.arrange()
        self._show_bars()

    @Slot(object, object)
    def _on_exported(self, path: Path, warning: GuivmError | None) -> None:
        self._after_export()
        self.messages.show_success(self.tr("Exported “{name}”").format(name=path.name))
        if warning is not None:
            self._on_problem(warning)

    @Slot(object)
    def _on_export_failed(self, error: GuivmError) -> None:
        self._after_export()
        if isinstance(error, CancelledError):
            self.messages.show_info(error.summary)
        else:
            self.messages.show_error(error)

    def _after_export(self) -> None:
        self.export_action.setEnabled(True)
        self.stage.arrange()

    # --- window ---------------------------------------------------------------------------------------

    @Slot(bool)
    def set_full_screen(self, on: bool) -> None:
        if on != self.isFullScreen():
            self.setWindowState(self.windowState() ^ Qt.WindowState.WindowFullScreen)
        self.full_action.setChecked(on)
        self.stage.set_floating(on)
        self._show_bars()

    def _show_bars(self) -> None:
        """In full screen for a while; until they are no more needed otherwise."""
        self.bars.show()
        self.unsetCursor()
        if self.isFullScreen():
            self._hide_bar.start()
        else:
            self._hide_bar.stop()

    @Slot()
    def _on_bar_due(self) -> None:
        busy = (
            self.source.replay_state is not ReplayState.PLAYING
            or self.bars.underMouse()
            or self.bar.scrubber.isSliderDown()
            or QApplication.activePopupWidget() is not None
            or self.export_row.is_busy
        )
        if busy or not self.isFullScreen():
            self._show_bars()
        else:
            self.bars.hide()
            self.setCursor(Qt.CursorShape.BlankCursor)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self._show_bars()
        super().mouseMoveEvent(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if event.button() is Qt.MouseButton.LeftButton and self.view.currentWidget() is self.console:
            self.toggle_play()
        super().mouseReleaseEvent(event)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        if event.button() is Qt.MouseButton.LeftButton:
            self.set_full_screen(not self.isFullScreen())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Space and self.play_action.isEnabled():
            if not event.isAutoRepeat():
                self.toggle_play()
        elif event.key() == Qt.Key.Key_Escape and self.isFullScreen():
            self.set_full_screen(False)
        else:
            super().keyPressEvent(event)

    def closeEvent(self, event: QCloseEvent) -> None:
        self._hide_bar.stop()
        self.export_row.shut()
        self._probe.close()
        self._screenshots.close()
        self.source.close()
        super().closeEvent(event)
