"""Events and answers reach the GUI thread in order, once, and only those who still live."""

from __future__ import annotations

import threading
import weakref

import shiboken6
from PySide6.QtCore import QCoreApplication, QObject, QThread
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from guivm.engine.events import JobChanged, Noticed, VmsChanged
from guivm.engine.jobs import Job, JobInfo
from guivm.engine.requests import Pause, SaveState, Start
from guivm.engine.types import VmInfo, VmState
from guivm.errors import CancelledError, GuivmError, OperationError, WrongStateError
from guivm.views.bridge import Bridge
from guivm.views.messages import Message, MessageBar, Severity
from tests.helpers.fake_engine import LOCAL, FakeEngine


def test_events_of_other_threads_arrive_on_the_gui_thread(
    qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine
) -> None:
    seen: list[QThread] = []
    bridge.vmsChanged.connect(lambda _event: seen.append(QThread.currentThread()))
    thread = threading.Thread(target=lambda: fake_engine.add_vm("a"))
    with qtbot.waitSignal(bridge.vmsChanged):
        thread.start()
    thread.join()
    assert seen == [QThread.currentThread()]


def test_a_storm_costs_one_signal_with_the_newest_value(qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine) -> None:
    key = fake_engine.add_vm("a", announce=False)
    events: list[VmsChanged] = []
    bridge.vmsChanged.connect(events.append)
    with qtbot.waitSignal(bridge.vmsChanged):
        for memory in range(1000):
            fake_engine.change_vm(key, memory_kib=memory)
    assert [vm.memory_kib for event in events for vm in event.changed] == [999]


def test_a_vm_that_goes_and_comes_back_is_changed_not_removed(
    qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine
) -> None:
    key = fake_engine.add_vm("a", announce=False)
    events: list[VmsChanged] = []
    bridge.vmsChanged.connect(events.append)
    with qtbot.waitSignal(bridge.vmsChanged):
        fake_engine.remove_vm(key)
        fake_engine.add_vm("a", VmState.RUNNING)
    (event,) = events
    assert event.removed == ()
    assert [vm.state for vm in event.changed] == [VmState.RUNNING]


def test_different_events_keep_their_order(qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine) -> None:
    order: list[str] = []
    bridge.vmsChanged.connect(lambda _event: order.append("vms"))
    bridge.jobChanged.connect(lambda _job: order.append("job"))
    job = JobInfo(1, LOCAL, None, "Working", Job(LOCAL, None, "").info.state)
    with qtbot.waitSignal(bridge.jobChanged):
        fake_engine.add_vm("a")
        fake_engine.emit(JobChanged(job))
        fake_engine.emit(JobChanged(job))
        fake_engine.add_vm("b")
    assert order == ["vms", "job", "vms"]


def test_answer_reaches_its_owner(qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine) -> None:
    key = fake_engine.add_vm("a")
    owner = QObject()
    done: list[None] = []
    bridge.submit(Start(key), owner, done.append)
    qtbot.waitUntil(lambda: len(done) == 1)


def test_failure_goes_to_the_owner_or_else_to_everybody(qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine) -> None:
    key = fake_engine.add_vm("a")
    owner = QObject()
    mine: list[GuivmError] = []
    bridge.submit(Pause(key), owner, failed=mine.append)
    qtbot.waitUntil(lambda: len(mine) == 1)
    assert isinstance(mine[0], WrongStateError)
    with qtbot.waitSignal(bridge.failed) as shown:
        bridge.submit(Pause(key), owner)
    assert isinstance(shown.args[0], WrongStateError)


def test_what_nobody_asked_for_is_shown_as_a_warning(qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine) -> None:
    window = QWidget()
    qtbot.addWidget(window)
    bar = MessageBar(window)
    bridge.noticed.connect(bar.show_notice)
    key = fake_engine.add_vm("a")
    with qtbot.waitSignal(bridge.noticed):
        fake_engine.emit(Noticed(key, OperationError("A port is missing.", advice="Free it.", details="in use")))
    assert [card.message for card in bar.cards] == [
        Message(Severity.WARNING, "A port is missing.", "Free it.", "in use")
    ]


def test_cancelled_job_is_no_error_for_everybody(qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine) -> None:
    key = fake_engine.add_vm("a", VmState.RUNNING)
    fake_engine.hold(SaveState)
    owner = QObject()
    told: list[GuivmError] = []
    bridge.failed.connect(told.append)
    bridge.submit(SaveState(key), owner)
    fake_engine.fail_held(CancelledError("Cancelled."))
    with qtbot.waitSignal(bridge.vmsChanged):
        fake_engine.change_vm(key, notes="afterwards")
    assert told == []


def test_no_callback_for_an_owner_that_is_gone(qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine) -> None:
    key = fake_engine.add_vm("a")
    fake_engine.hold(Start)
    owner = QObject()
    done: list[None] = []
    bridge.submit(Start(key), owner, done.append)
    shiboken6.delete(owner)
    with qtbot.waitSignal(bridge.vmsChanged):
        fake_engine.release()
    assert done == []


def test_cancel_reaches_the_job(qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine) -> None:
    key = fake_engine.add_vm("a", VmState.RUNNING)
    fake_engine.hold(SaveState)
    owner = QObject()
    job = bridge.submit(SaveState(key), owner)
    cancelled: list[int] = []
    job.on_cancel(lambda: cancelled.append(1))
    bridge.cancel_job(job.info.id)
    bridge.cancel_job(job.info.id)
    assert cancelled == [1]
    job.fail(CancelledError("Cancelled."))
    bridge.cancel_job(12345)


def test_report_shows_an_error_from_any_thread(qtbot: QtBot, bridge: Bridge) -> None:
    error = OperationError("It broke.")
    thread = threading.Thread(target=bridge.report, args=(error,))
    with qtbot.waitSignal(bridge.failed) as shown:
        thread.start()
    thread.join()
    assert shown.args == [error]


def test_compute_works_elsewhere_and_answers_here(qtbot: QtBot, bridge: Bridge) -> None:
    owner = QObject()
    answers: list[tuple[int, int]] = []

    def work() -> int:
        return threading.get_ident()

    bridge.compute(work, owner, lambda there: answers.append((there, threading.get_ident())))
    qtbot.waitUntil(lambda: len(answers) == 1)
    there, here = answers[0]
    assert here == threading.get_ident()
    assert there != here


def test_after_close_nothing_is_heard(qtbot: QtBot, fake_engine: FakeEngine) -> None:
    bridge = Bridge(fake_engine)
    heard: list[object] = []
    bridge.vmsChanged.connect(heard.append)
    fake_engine.add_vm("a")
    bridge.close()
    fake_engine.emit(VmsChanged(LOCAL, (VmInfo(fake_engine.add_vm("b"), "b", VmState.OFF),)))
    QCoreApplication.processEvents()
    assert heard == []
    bridge.deleteLater()


class _Asker(QObject):
    def take(self, _answer: object) -> None:
        """What was asked for."""


def test_a_thread_that_still_works_does_not_keep_the_asker(qtbot: QtBot, fake_engine: FakeEngine) -> None:
    """Its last reference would go on that thread, and Qt's objects must not die there."""
    bridge = Bridge(fake_engine)
    begun, go_on = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go_on.wait(10)

    asker = _Asker()
    gone = weakref.ref(asker)
    bridge.compute(work, asker, asker.take)
    assert begun.wait(10)
    del asker
    bridge.close()
    assert gone() is None
    go_on.set()
    bridge.deleteLater()


def test_a_job_that_still_runs_does_not_keep_the_asker(qtbot: QtBot, fake_engine: FakeEngine) -> None:
    bridge = Bridge(fake_engine)
    key = fake_engine.add_vm("a", VmState.OFF)
    fake_engine.hold(Start)
    asker = _Asker()
    gone = weakref.ref(asker)
    job = bridge.submit(Start(key), asker, asker.take, asker.take)
    assert not job.info.state.is_final
    del asker
    bridge.close()
    assert gone() is None
    fake_engine.release()
    bridge.deleteLater()
