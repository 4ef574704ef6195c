from __future__ import annotations

import threading

import pytest

from guivm.engine.jobs import Job, JobInfo, JobProgress, JobState
from guivm.engine.types import HostId
from guivm.errors import CancelledError, OperationError

HOST = HostId("test:///jobs")


def make(heard: list[JobInfo] | None = None) -> Job[int]:
    return Job(HOST, None, "Working", on_change=None if heard is None else heard.append)


def test_a_job_goes_through_its_states_and_answers() -> None:
    heard: list[JobInfo] = []
    job = make(heard)
    assert job.begin()
    job.report(JobProgress(1, 2))
    job.succeed(7)
    assert job.result(0) == 7
    assert [info.state for info in heard] == [JobState.RUNNING, JobState.RUNNING, JobState.DONE]
    assert heard[1].progress == JobProgress(1, 2)
    assert 0 < job.info.started_s <= job.info.ended_s


def test_the_error_of_a_job_is_raised_where_its_result_is_asked_for() -> None:
    job = make()
    job.begin()
    job.fail(OperationError("It did not work.", details="why"))
    with pytest.raises(OperationError, match="did not work"):
        job.result(0)
    assert job.info.state is JobState.FAILED


def test_the_first_end_counts() -> None:
    job = make()
    job.begin()
    job.succeed(1)
    job.fail(OperationError("Too late."))
    job.succeed(2)
    assert job.result(0) == 1
    assert job.info.state is JobState.DONE


def test_a_queued_job_that_is_cancelled_never_begins() -> None:
    heard: list[JobInfo] = []
    job = make(heard)
    job.cancel()
    assert not job.begin()
    assert [info.state for info in heard] == [JobState.CANCELLED]
    with pytest.raises(CancelledError):
        job.result(0)


def test_cancel_and_begin_at_once_never_both_win() -> None:
    for _ in range(200):
        job = make()
        gate = threading.Barrier(2)
        begun: list[bool] = []

        def begin(job: Job[int] = job, gate: threading.Barrier = gate, begun: list[bool] = begun) -> None:
            gate.wait()
            begun.append(job.begin())

        thread = threading.Thread(target=begin)
        thread.start()
        gate.wait()
        job.cancel()
        thread.join()
        assert begun == [job.info.state is JobState.RUNNING]
        assert job.info.state in (JobState.RUNNING, JobState.CANCELLED)


def test_a_running_job_is_stopped_by_its_canceller_once() -> None:
    job = make()
    job.begin()
    calls: list[str] = []
    job.on_cancel(lambda: calls.append("stop"))
    assert job.info.cancellable
    job.cancel()
    job.cancel()
    assert calls == ["stop"]
    with pytest.raises(CancelledError):
        job.check_cancelled()
    job.fail(CancelledError("Stopped."))
    assert job.info.state is JobState.CANCELLED
    assert not job.info.cancellable


def test_a_canceller_that_comes_after_the_wish_is_called_at_once() -> None:
    job = make()
    job.begin()
    job.cancel()
    calls: list[str] = []
    job.on_cancel(lambda: calls.append("stop"))
    assert calls == ["stop"]


def test_callbacks_are_called_once_whether_they_come_early_or_late() -> None:
    job = make()
    seen: list[int] = []
    job.add_done_callback(lambda done: seen.append(done.result(0)))
    job.begin()
    job.succeed(3)
    job.add_done_callback(lambda done: seen.append(done.result(0) + 1))
    assert seen == [3, 4]


def test_nothing_is_reported_of_a_job_that_does_not_run() -> None:
    heard: list[JobInfo] = []
    job = make(heard)
    job.report(JobProgress(1, 2))
    job.begin()
    job.succeed(0)
    job.report(JobProgress(2, 2))
    job.on_cancel(lambda: None)
    assert [info.state for info in heard] == [JobState.RUNNING, JobState.DONE]


def test_the_listener_never_hears_an_older_state_after_a_newer_one() -> None:
    heard: list[JobInfo] = []
    job = make(heard)
    job.begin()

    def report() -> None:
        for done in range(200):
            job.report(JobProgress(done, 200))

    reporters = [threading.Thread(target=report) for _ in range(3)]
    for thread in reporters:
        thread.start()
    job.succeed(1)
    for thread in reporters:
        thread.join()
    final = [info.state.is_final for info in heard]
    assert final == sorted(final)
    assert final[-1]


def test_result_gives_up_after_its_timeout() -> None:
    with pytest.raises(TimeoutError):
        make().result(0.001)
