"""Running and recent jobs: a panel with one row each, and a discreet line while something takes its time."""

from __future__ import annotations

import time
from collections import OrderedDict

from PySide6.QtCore import QEvent, QObject, QRect, QRectF, QSize, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QEnterEvent, QPainter, QPaintEvent, QShowEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QFrame,
    QHBoxLayout,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from guivm.engine.jobs import JobInfo, JobProgress, JobState
from guivm.views import formats, icons
from guivm.views.actions import ActionRegistry
from guivm.views.art import Art, ElidedLabel, plain_label
from guivm.views.bridge import Bridge
from guivm.views.small import plain_tooltip
from guivm.views.theme import GRID, tokens_for

MAX_RECENT = 50
# Shorter jobs are never mentioned in the line.
MENTION_AFTER_S = 1.0
_STEPS = 1000
_REFRESH_MS = 50


def progress_words(progress: JobProgress | None) -> str:
    """ "Writing memory · 43 % · 120 MiB/s · 12 s left", as far as it is known."""
    if progress is None:
        return ""
    parts = [progress.step, formats.percent(progress.done, progress.total)]
    if progress.unit_bytes and progress.total > 0:
        parts.append(f"{formats.size(progress.done)} / {formats.size(progress.total)}")
    if progress.speed_per_s and progress.unit_bytes:
        parts.append(formats.rate(progress.speed_per_s))
    if progress.remaining_s is not None:
        parts.append(formats.time_left(progress.remaining_s))
    return " · ".join(part for part in parts if part)


class JobRow(QFrame):
    """One job. The row keeps its height whatever the state, so that nothing moves under the pointer."""

    cancelRequested = Signal(int)

    def __init__(self, job: JobInfo, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName(f"job-{job.id}")
        self.job = job
        self._symbol = Art("jobs", 16, self)
        self.title = ElidedLabel(self)
        self.title.setObjectName("job-title")
        self.words = ElidedLabel(self, mode=Qt.TextElideMode.ElideRight)
        self.words.setObjectName("job-words")
        self.words.setProperty("role", "caption")
        self.bar = QProgressBar(self)
        self.bar.setObjectName("job-progress")
        self.bar.setTextVisible(False)
        self.bar.setFixedWidth(20 * GRID)
        policy = self.bar.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.bar.setSizePolicy(policy)
        self.cancel = QPushButton(self.tr("Cancel"), self)
        self.cancel.setObjectName("job-cancel")
        self.cancel.setProperty("kind", "small")
        policy = self.cancel.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.cancel.setSizePolicy(policy)
        self.cancel.clicked.connect(self._on_cancel)
        words = QVBoxLayout()
        words.setSpacing(1)
        words.addWidget(self.title)
        words.addWidget(self.words)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(2 * GRID, 6, 2 * GRID, 6)
        layout.setSpacing(GRID + 4)
        layout.addWidget(self._symbol)
        layout.addLayout(words, 1)
        layout.addWidget(self.bar)
        layout.addWidget(self.cancel)
        self.set_job(job)

    def set_job(self, job: JobInfo) -> None:
        self.job = job
        self.title.set_text(job.title)
        names = {
            JobState.QUEUED: ("jobs", icons.Tint.QUIET),
            JobState.RUNNING: ("jobs", icons.Tint.ACCENT),
            JobState.DONE: ("success", icons.Tint.SUCCESS),
            JobState.FAILED: ("error", icons.Tint.ERROR),
            JobState.CANCELLED: ("close", icons.Tint.QUIET),
        }
        self._symbol.set_icon(*names[job.state])
        self.words.set_text(self._words(job))
        running = not job.state.is_final
        self.bar.setVisible(running)
        progress = job.progress
        if running and progress is not None and progress.total > 0:
            self.bar.setRange(0, _STEPS)
            self.bar.setValue(min(_STEPS, progress.done * _STEPS // progress.total))
        elif job.state is JobState.QUEUED:
            self.bar.setRange(0, 1)
            self.bar.setValue(0)
        elif running and self.bar.maximum() != 0:
            self.bar.setRange(0, 0)
        self.bar.setAccessibleName(self.tr("Progress of {job}").format(job=job.title))
        self.cancel.setAccessibleName(self.tr("Cancel {job}").format(job=job.title))
        self.cancel.setVisible(running)
        self.cancel.setEnabled(job.cancellable or job.state is JobState.QUEUED)

    def _words(self, job: JobInfo) -> str:
        match job.state:
            case JobState.QUEUED:
                return self.tr("Waiting")
            case JobState.RUNNING:
                return progress_words(job.progress) or self.tr("Running")
            case JobState.DONE:
                took = job.ended_s - job.started_s
                return self.tr("Done in {time}").format(time=formats.duration(took)) if job.started_s else ""
            case JobState.CANCELLED:
                return self.tr("Cancelled")
            case _:
                return str(job.error) if job.error is not None else self.tr("Failed")

    @Slot()
    def _on_cancel(self) -> None:
        self.cancel.setEnabled(False)
        self.cancelRequested.emit(self.job.id)


class JobsPanel(QFrame):
    """Newest first; ended jobs stay until cleared, the latest fifty of them."""

    closeRequested = Signal()
    countChanged = Signal(int)  # running and waiting jobs

    def __init__(self, bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("jobs-panel")
        self.setAccessibleName(self.tr("Jobs"))
        self.setProperty("panel", True)
        self._bridge = bridge
        self._jobs: OrderedDict[int, JobInfo] = OrderedDict()  # oldest first
        self._active: dict[int, JobInfo] = {}
        self._rows: dict[int, JobRow] = {}
        self._refresh = QTimer(self)
        self._refresh.setSingleShot(True)
        self._refresh.setInterval(_REFRESH_MS)
        self._refresh.timeout.connect(self.refresh)
        self._is_filled = False
        bridge.jobChanged.connect(self.set_job)

    def setVisible(self, visible: bool) -> None:
        """What the panel consists of is made when it is first shown: most runs do without."""
        if visible and not self._is_filled:
            self._fill()
        super().setVisible(visible)

    def _fill(self) -> None:
        self._is_filled = True
        heading = plain_label(self.tr("Jobs"), self, role="heading")
        self.clear_button = QPushButton(self.tr("Clear Finished"), self)
        self.clear_button.setObjectName("jobs-clear")
        self.clear_button.setAccessibleName(self.tr("Clear finished jobs"))
        self.clear_button.setProperty("kind", "small")
        self.clear_button.clicked.connect(self.clear_finished)
        close = QToolButton(self)
        close.setObjectName("jobs-close")
        close.setAccessibleName(self.tr("Close the jobs panel"))
        close.setToolTip(self.tr("Close"))
        close.setIcon(icons.icon("close", icons.Tint.QUIET))
        close.clicked.connect(self.closeRequested)
        self._none = plain_label(self.tr("Nothing is going on."), self, name="jobs-none")
        self._none.setProperty("tone", "quiet")
        self._none.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._none.setMinimumHeight(6 * GRID)
        content = QWidget(self)
        content.setProperty("clear", True)
        self._list = QVBoxLayout(content)
        self._list.setContentsMargins(0, 0, 0, GRID)
        self._list.setSpacing(0)
        self._list.addWidget(self._none)
        self._list.addStretch(1)
        area = QScrollArea(self)
        area.setObjectName("jobs-list")
        area.setAccessibleName(self.tr("List of jobs"))
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setWidgetResizable(True)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(content)
        top = QHBoxLayout()
        top.setContentsMargins(2 * GRID, GRID, GRID, GRID // 2)
        top.addWidget(heading, 1)
        top.addWidget(self.clear_button)
        top.addWidget(close)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(top)
        layout.addWidget(area, 1)

    def sizeHint(self) -> QSize:
        return QSize(80 * GRID, 24 * GRID)

    @property
    def jobs(self) -> tuple[JobInfo, ...]:
        """Newest first."""
        return tuple(reversed(self._jobs.values()))

    @property
    def rows(self) -> tuple[JobRow, ...]:
        """What the panel shows, from the top."""
        return tuple(self._rows[number] for number in self._wanted() if number in self._rows)

    @property
    def active_jobs(self) -> tuple[JobInfo, ...]:
        """Running and waiting, oldest first."""
        return tuple(self._active.values())

    @Slot(object)
    def set_job(self, job: JobInfo) -> None:
        before = len(self._active)
        self._jobs[job.id] = job
        if job.state.is_final:
            self._active.pop(job.id, None)
            self._trim()
        else:
            self._active[job.id] = job
        if self.isVisible():
            self._refresh.start()
        if len(self._active) != before:
            self.countChanged.emit(len(self._active))

    @Slot()
    def clear_finished(self) -> None:
        self._jobs = OrderedDict(self._active)
        self.refresh()

    @Slot()
    def refresh(self) -> None:
        """Bring the rows up to date; rows exist only while the panel is looked at."""
        if not self._is_filled:
            return
        wanted = self._wanted() if self.isVisible() else []
        for number in [number for number in self._rows if number not in self._jobs]:
            row = self._rows.pop(number)
            self._list.removeWidget(row)
            row.hide()
            row.deleteLater()
        for place, number in enumerate(wanted):
            row = self._rows.get(number) or self._make_row(self._jobs[number])
            if row.job is not self._jobs[number]:
                row.set_job(self._jobs[number])
            if self._list.indexOf(row) != place:
                self._list.insertWidget(place, row)
        self._none.setVisible(not self._jobs)
        self.clear_button.setEnabled(len(self._jobs) > len(self._active))

    def _wanted(self) -> list[int]:
        newest = list(reversed(self._jobs))
        active = [number for number in newest if number in self._active]
        ended = [number for number in newest if number not in self._active]
        return [*active[:MAX_RECENT], *ended[:MAX_RECENT]]

    def _make_row(self, job: JobInfo) -> JobRow:
        row = JobRow(job, self)
        row.cancelRequested.connect(self._on_cancel)
        self._rows[job.id] = row
        return row

    def _trim(self) -> None:
        if len(self._jobs) - len(self._active) <= 2 * MAX_RECENT:
            return
        ended = [number for number in self._jobs if number not in self._active]
        for number in ended[:-MAX_RECENT]:
            del self._jobs[number]

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.refresh()

    @Slot(int)
    def _on_cancel(self, number: int) -> None:
        self._bridge.cancel_job(number)


class JobLine(QAbstractButton):
    """One quiet line with a thin bar: the job that has been running longest, once it took a second."""

    def __init__(self, panel: JobsPanel, bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("job-line")
        self.setAccessibleName(self.tr("Jobs going on"))
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
        self._panel = panel
        self._job: JobInfo | None = None
        self._others = 0
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.refresh)
        bridge.jobChanged.connect(self.refresh)
        self.setEnabled(False)

    @property
    def shown_job(self) -> JobInfo | None:
        return self._job

    @Slot()
    def refresh(self) -> None:
        """Look again which job is worth mentioning."""
        now = time.monotonic()
        active = [job for job in self._panel.active_jobs if job.started_s]
        old_enough = [job for job in active if now - job.started_s >= MENTION_AFTER_S]
        self._job = old_enough[0] if old_enough else None
        self._others = max(0, len(self._panel.active_jobs) - 1)
        waiting = [job for job in active if now - job.started_s < MENTION_AFTER_S]
        if waiting:
            oldest = min(job.started_s for job in waiting)
            self._timer.start(max(1, int((MENTION_AFTER_S - (now - oldest)) * 1000) + 1))
        else:
            self._timer.stop()
        # It keeps its place while there is nothing to say, so that nothing beside it moves.
        self.setEnabled(self._job is not None)
        words = ""
        if self._job is not None:
            words = " · ".join(part for part in (self._job.title, progress_words(self._job.progress)) if part)
        self.setToolTip(plain_tooltip(words))
        self.setAccessibleDescription(words)
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(32 * GRID, 4 * GRID)

    def enterEvent(self, event: QEnterEvent) -> None:
        self.update()
        super().enterEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        self.update()
        super().leaveEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        job = self._job
        if job is None:
            return
        tokens = tokens_for(self.palette())
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        if self.underMouse() or self.hasFocus():
            painter.setBrush(tokens.hover)
            painter.drawRoundedRect(self.rect(), GRID, GRID)
        progress = job.progress
        tail = formats.percent(progress.done, progress.total) if progress is not None else ""
        if self._others:
            tail = f"{tail}  +{formats.number(self._others)}".strip()
        metrics = self.fontMetrics()
        tail_width = metrics.horizontalAdvance(tail)
        inner = self.rect().adjusted(GRID, 0, -GRID, -4)
        painter.setPen(tokens.quiet)
        text = metrics.elidedText(job.title, Qt.TextElideMode.ElideRight, inner.width() - tail_width - GRID)
        painter.drawText(inner, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, text)
        painter.drawText(inner, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight, tail)
        track = QRect(inner.left(), self.height() - 6, inner.width(), 3)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(tokens.pressed)
        painter.drawRoundedRect(QRectF(track), 1.5, 1.5)
        painter.setBrush(tokens.accent)
        share = min(1.0, progress.done / progress.total) if progress is not None and progress.total > 0 else 0.15
        painter.drawRoundedRect(QRectF(track.x(), track.y(), track.width() * share, track.height()), 1.5, 1.5)


class JobsAction(QObject):
    """The action "jobs": shows and hides the panel, and says how many are going on."""

    def __init__(self, registry: ActionRegistry, panel: JobsPanel, line: JobLine, parent: QObject) -> None:
        super().__init__(parent)
        self._registry = registry
        self._action = registry.action("jobs")
        self._panel = panel
        panel.closeRequested.connect(self._on_closed)
        panel.countChanged.connect(self._on_count)
        line.clicked.connect(self._action.trigger)

    def follow(self) -> None:
        """Show the panel or hide it, as the action is checked or not."""
        self._panel.setVisible(self._action.isChecked())

    @Slot()
    def _on_closed(self) -> None:
        self._action.setChecked(False)
        self._panel.hide()

    @Slot(int)
    def _on_count(self, count: int) -> None:
        text = self.tr("Jobs")
        self._action.setIconText(f"{text} ({formats.number(count)})" if count else text)
        self._action.setToolTip(
            self.tr("Jobs: {n} going on").format(n=formats.number(count)) if count else self._registry.tool_tip("jobs")
        )
