"""Jobs: what runs, how far, how fast, how long; Cancel; and a line that mentions only what takes its time."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from PySide6.QtCore import QLocale, QObject, Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from guivm.engine.jobs import JobInfo, JobProgress, JobState
from guivm.engine.requests import SaveState, Start
from guivm.engine.types import VmState
from guivm.errors import OperationError
from guivm.views import formats
from guivm.views.bridge import Bridge
from guivm.views.jobs_panel import MAX_RECENT, JobLine, JobsPanel, progress_words
from tests.helpers.fake_engine import LOCAL, FakeEngine

MIB = 1024**2
GIB = 1024**3


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    QLocale.setDefault(QLocale(QLocale.Language.English, QLocale.Country.UnitedStates))
    yield
    QLocale.setDefault(QLocale.system())


@pytest.fixture
def panel(qtbot: QtBot, bridge: Bridge) -> JobsPanel:
    value = JobsPanel(bridge)
    qtbot.addWidget(value)
    value.resize(700, 300)
    value.show()
    qtbot.waitExposed(value)
    return value


def job(number: int, state: JobState = JobState.RUNNING, **fields: object) -> JobInfo:
    values: dict[str, object] = {"started_s": time.monotonic()}
    return JobInfo(number, LOCAL, None, f"Job {number}", state, **(values | fields))  # type: ignore[arg-type]


def test_progress_in_words() -> None:
    progress = JobProgress(GIB, 4 * GIB, True, 120.5 * MIB, 26.4, "Writing memory")
    words = progress_words(progress).replace("\u00a0", " ")
    assert words == "Writing memory · 25 % · 1 GiB / 4 GiB · 120.5 MiB/s · 26 s left"
    assert progress_words(JobProgress(0, 0, step="Building")) == "Building"
    assert progress_words(None) == ""


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1 KiB"), (1024, "1 KiB"), (1536, "1.5 KiB"), (3 * GIB, "3 GiB"), (int(3.14 * GIB), "3.1 GiB")],
)
def test_sizes(count: int, text: str) -> None:
    assert formats.size(count).replace("\u00a0", " ") == text


def test_sizes_speak_the_persons_language() -> None:
    german = QLocale(QLocale.Language.German)
    assert formats.size(1536, german) == "1,5\u00a0KiB"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "1 s left"), (59, "59 s left"), (200, "3 min left"), (7200, "2 h left")]
)
def test_time_left(seconds: float, text: str) -> None:
    assert formats.time_left(seconds) == text


def test_rows_follow_the_jobs(qtbot: QtBot, panel: JobsPanel) -> None:
    panel.set_job(job(1, progress=JobProgress(1, 4, False)))
    qtbot.waitUntil(lambda: len(panel.rows) == 1)
    (row,) = panel.rows
    assert row.title.whole_text == "Job 1"
    assert (row.bar.value(), row.bar.maximum()) == (250, 1000)
    assert not row.cancel.isEnabled()
    panel.set_job(job(1, JobState.FAILED, error=OperationError("The disk is full."), ended_s=time.monotonic()))
    qtbot.waitUntil(lambda: row.words.whole_text == "The disk is full.")
    assert not row.bar.isVisible()
    assert not row.cancel.isVisible()


def test_cancel_reaches_the_engine(qtbot: QtBot, bridge: Bridge, panel: JobsPanel, fake_engine: FakeEngine) -> None:
    key = fake_engine.add_vm("a", VmState.RUNNING)
    fake_engine.hold(SaveState)
    owner = QObject()
    running = bridge.submit(SaveState(key), owner)
    asked: list[int] = []
    running.on_cancel(lambda: asked.append(1))
    qtbot.waitUntil(lambda: bool(panel.active_jobs) and panel.active_jobs[0].cancellable)
    qtbot.waitUntil(lambda: [row.cancel.isEnabled() for row in panel.rows] == [True])
    QTest.mouseClick(panel.rows[0].cancel, Qt.MouseButton.LeftButton)
    assert asked == [1]
    fake_engine.release()
    qtbot.waitUntil(lambda: panel.active_jobs == ())


def test_running_first_then_newest_and_clearing(qtbot: QtBot, panel: JobsPanel) -> None:
    for number, state in enumerate((JobState.DONE, JobState.RUNNING, JobState.DONE, JobState.QUEUED), 1):
        panel.set_job(job(number, state))
    qtbot.waitUntil(lambda: len(panel._rows) == 4)
    assert [row.job.id for row in panel.rows] == [4, 2, 3, 1]
    QTest.mouseClick(panel.clear_button, Qt.MouseButton.LeftButton)
    assert [row.job.id for row in panel.rows] == [4, 2]


def test_count_is_told(qtbot: QtBot, panel: JobsPanel) -> None:
    counts: list[int] = []
    panel.countChanged.connect(counts.append)
    panel.set_job(job(1))
    panel.set_job(job(2))
    panel.set_job(job(1, JobState.DONE))
    panel.set_job(job(2, JobState.DONE))
    assert counts == [1, 2, 1, 0]


def test_memory_of_ended_jobs_is_bounded(panel: JobsPanel) -> None:
    for number in range(10 * MAX_RECENT):
        panel.set_job(job(number, JobState.DONE))
    panel.refresh()
    assert len(panel.jobs) <= 2 * MAX_RECENT
    assert len(panel.rows) <= MAX_RECENT


def test_a_hidden_panel_makes_no_rows(qtbot: QtBot, bridge: Bridge) -> None:
    panel = JobsPanel(bridge)
    qtbot.addWidget(panel)
    for number in range(500):
        panel.set_job(job(number))
    panel.refresh()
    assert panel._rows == {}
    assert len(panel.active_jobs) == 500


def test_line_mentions_only_what_takes_its_time(
    qtbot: QtBot, bridge: Bridge, panel: JobsPanel, fake_engine: FakeEngine
) -> None:
    line = JobLine(panel, bridge)
    qtbot.addWidget(line)
    key = fake_engine.add_vm("a")
    owner = QObject()
    with qtbot.waitSignal(bridge.jobChanged):
        bridge.submit(Start(key), owner)
    line.refresh()
    assert not line.isEnabled()
    assert not line._timer.isActive()
    old = job(90, started_s=time.monotonic() - 3, progress=JobProgress(1, 2, False))
    panel.set_job(old)
    panel.set_job(job(91))
    line.refresh()
    assert line.isEnabled()
    assert "Job 90" in line.accessibleDescription()
    panel.set_job(job(90, JobState.DONE))
    panel.set_job(job(91, JobState.DONE))
    line.refresh()
    assert not line.isEnabled()
    assert line.shown_job is None


def test_line_appears_by_itself_after_a_second(qtbot: QtBot, bridge: Bridge, panel: JobsPanel) -> None:
    line = JobLine(panel, bridge)
    qtbot.addWidget(line)
    panel.set_job(job(1, started_s=time.monotonic() - 0.95))
    line.refresh()
    assert not line.isEnabled()
    qtbot.waitUntil(line.isEnabled)
    assert line.shown_job is not None
