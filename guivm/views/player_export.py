"""Export of a recording to a video, as a row with progress and Cancel."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, Qt, Signal, Slot
from PySide6.QtWidgets import QFrame, QHBoxLayout, QProgressBar, QPushButton, QWidget

from guivm.console.recording.video_encoder import VideoFormat, VideoSupport, probe_video
from guivm.errors import GuivmError
from guivm.views import formats
from guivm.views.art import ElidedLabel, plain_label
from guivm.views.theme import GRID

_PATIENCE_S = 1.0


def _probe(ffmpeg: str, tell: Callable[[VideoSupport], None]) -> None:
    support = probe_video(ffmpeg)
    with contextlib.suppress(RuntimeError):  # the window is gone
        tell(support)


class VideoProbe(QObject):
    """Asks once, on a thread, which videos can be made here. GUI thread."""

    found = Signal(object)  # VideoSupport

    _answered = Signal(object)

    def __init__(self, parent: QObject | None = None, *, ffmpeg: str = "ffmpeg") -> None:
        super().__init__(parent)
        self.support: VideoSupport | None = None
        self._ffmpeg = ffmpeg
        self._thread: threading.Thread | None = None
        self._answered.connect(self._on_answer, Qt.ConnectionType.QueuedConnection)

    def ask(self) -> None:
        """``found`` comes later, also when it was asked before."""
        if self.support is not None:
            self._answered.emit(self.support)
        elif self._thread is None:
            # It must not hold this object: its last reference would go on that thread.
            self._thread = threading.Thread(
                target=_probe, args=(self._ffmpeg, self._answered.emit), name="guivm-ffmpeg-probe", daemon=True
            )
            self._thread.start()

    def close(self) -> None:
        """Wait for an answer under way, a second at most; later ones are for nobody."""
        if self._thread is not None:
            self._thread.join(_PATIENCE_S)

    @Slot(object)
    def _on_answer(self, support: VideoSupport) -> None:
        self.support = support
        self.found.emit(support)


class ExportRow(QFrame):
    """One export at a time; hidden while there is none. GUI thread."""

    finished = Signal(object, object)  # Path, GuivmError | None: a warning when the recording was damaged
    failed = Signal(object)  # GuivmError; a CancelledError after Cancel

    _progressed = Signal(float)
    _ended = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        from guivm.console.recording.video import VideoExport

        self.setObjectName("player-export")
        self.setProperty("panel", True)
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._make = VideoExport
        self._export: VideoExport | None = None
        self.label = ElidedLabel(self)
        self.label.setObjectName("player-export-label")
        self.bar = QProgressBar(self)
        self.bar.setObjectName("player-export-progress")
        self.bar.setAccessibleName(self.tr("Progress of the export"))
        self.bar.setRange(0, 100)
        self.bar.setTextVisible(False)
        self.bar.setFixedWidth(24 * GRID)
        self.percent = plain_label("", self, name="player-export-percent")
        self.percent.setProperty("tone", "quiet")
        self.cancel_button = QPushButton(self.tr("Cancel"), self)
        self.cancel_button.setObjectName("player-export-cancel")
        self.cancel_button.setAccessibleName(self.tr("Cancel the export"))
        self.cancel_button.setProperty("kind", "small")
        self.cancel_button.clicked.connect(self.cancel)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(2 * GRID, GRID // 2, 2 * GRID, GRID // 2)
        layout.setSpacing(GRID)
        layout.addWidget(self.label, 1)
        layout.addWidget(self.bar)
        layout.addWidget(self.percent)
        layout.addWidget(self.cancel_button)
        self._progressed.connect(self._on_progress, Qt.ConnectionType.QueuedConnection)
        self._ended.connect(self._on_ended, Qt.ConnectionType.QueuedConnection)
        self.hide()

    @property
    def is_busy(self) -> bool:
        return self._export is not None

    def start(
        self, recording: Path, path: Path, kind: VideoFormat, support: VideoSupport, *, skip_idle: bool, ffmpeg: str
    ) -> None:
        """Begin; only when not busy."""
        assert self._export is None
        self.label.set_text(self.tr("Exporting “{name}”").format(name=path.name))
        self._on_progress(0.0)
        self.cancel_button.setEnabled(True)
        self._export = self._make(
            recording,
            path,
            kind,
            support,
            skip_idle=skip_idle,
            on_progress=self._progressed.emit,
            on_ended=self._ended.emit,
            ffmpeg=ffmpeg,
        )
        self.show()

    @Slot()
    def cancel(self) -> None:
        if self._export is not None:
            self.cancel_button.setEnabled(False)
            self._export.cancel()

    def shut(self) -> None:
        """Cancel and wait, a moment at most; no signal follows."""
        export, self._export = self._export, None
        if export is not None:
            export.close()

    @Slot(float)
    def _on_progress(self, share: float) -> None:
        self.bar.setValue(round(share * 100))
        self.percent.setText(formats.percent(round(share * 100), 100))

    @Slot()
    def _on_ended(self) -> None:
        export, self._export = self._export, None
        if export is None:
            return
        export.close()
        self.hide()
        if export.error is not None:
            self.failed.emit(export.error)
        else:
            warning: GuivmError | None = export.warning
            self.finished.emit(export.path, warning)
