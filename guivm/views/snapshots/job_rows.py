"""What is going on with one VM, where it was begun: a slim row with Cancel for each job. GUI thread."""

from __future__ import annotations

from PySide6.QtCore import QTimer, Signal, Slot
from PySide6.QtWidgets import QVBoxLayout, QWidget

from guivm.engine.jobs import JobInfo
from guivm.engine.types import VmKey
from guivm.views.bridge import Bridge
from guivm.views.jobs_panel import JobRow

# What is over sooner is not worth a row that comes and goes.
_SHOW_AFTER_MS = 300


class VmJobs(QWidget):
    """``ended``: a job of the VM is over, however. ``changed``: whether one goes on may be different."""

    ended = Signal()
    changed = Signal()

    def __init__(self, bridge: Bridge, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("vm-jobs")
        self._bridge = bridge
        self._key: VmKey | None = None
        self._jobs: dict[int, JobInfo] = {}
        self._rows: dict[int, JobRow] = {}
        self._delay = QTimer(self)
        self._delay.setSingleShot(True)
        self._delay.setInterval(_SHOW_AFTER_MS)
        self._delay.timeout.connect(self._show_rows)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(0)
        bridge.jobChanged.connect(self._on_job)
        self.hide()

    @property
    def title(self) -> str:
        """Of the job that goes on; empty: none does."""
        return next((job.title for job in self._jobs.values() if job.vm == self._key), "")

    @property
    def rows(self) -> tuple[JobRow, ...]:
        return tuple(self._rows.values())

    def set_vm(self, key: VmKey) -> None:
        if key != self._key:
            self._key = key
            self._show_rows()

    @Slot(object)
    def _on_job(self, job: JobInfo) -> None:
        if job.vm is None:
            return
        known = job.id in self._jobs
        if job.state.is_final:
            self._jobs.pop(job.id, None)
        else:
            self._jobs[job.id] = job
        if job.vm != self._key:
            return
        row = self._rows.get(job.id)
        if row is not None and not job.state.is_final:
            row.set_job(job)
        elif row is not None or job.state.is_final:
            self._show_rows()
        elif not self._delay.isActive():
            self._delay.start()
        if job.state.is_final:
            self.ended.emit()
        if known is job.state.is_final:
            self.changed.emit()

    @Slot()
    def _show_rows(self) -> None:
        wanted = {number: job for number, job in self._jobs.items() if job.vm == self._key}
        if not wanted:
            self._delay.stop()
        for number in [number for number in self._rows if number not in wanted]:
            row = self._rows.pop(number)
            self._column.removeWidget(row)
            row.hide()
            row.deleteLater()
        for number, job in wanted.items():
            if number not in self._rows and not self._delay.isActive():
                row = JobRow(job, self)
                row.setProperty("card", True)
                row.cancelRequested.connect(self._on_cancel)
                self._rows[number] = row
                self._column.addWidget(row)
        self.setVisible(bool(self._rows))

    @Slot(int)
    def _on_cancel(self, number: int) -> None:
        self._bridge.cancel_job(number)
