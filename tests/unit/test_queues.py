from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from guivm.engine.queues import HostQueues, KeyedPool
from guivm.engine.requests import Lane

DEADLINE_S = 10.0


def ends_in(seconds: float = DEADLINE_S) -> float:
    return time.monotonic() + seconds


@pytest.fixture
def pool() -> Iterator[KeyedPool]:
    value = KeyedPool("test-pool", 4)
    yield value
    value.close()
    assert value.join(ends_in())


@pytest.fixture
def queues() -> Iterator[HostQueues]:
    value = HostQueues("test-host")
    yield value
    value.close()
    assert value.join(ends_in())


def test_tasks_of_one_key_run_in_order_one_at_a_time(pool: KeyedPool) -> None:
    order: list[int] = []
    running = 0
    done = threading.Event()

    def task(number: int) -> None:
        nonlocal running
        running += 1
        assert running == 1
        order.append(number)
        running -= 1
        if number == 99:
            done.set()

    for number in range(100):
        pool.submit("vm", lambda number=number: task(number))  # type: ignore[misc]
    assert done.wait(DEADLINE_S)
    assert order == list(range(100))


def test_tasks_of_different_keys_run_side_by_side(pool: KeyedPool) -> None:
    meeting = threading.Barrier(3)
    for key in ("a", "b"):
        pool.submit(key, lambda: meeting.wait(DEADLINE_S))
    meeting.wait(DEADLINE_S)  # both have begun, or this times out


def test_tasks_without_a_key_run_side_by_side(pool: KeyedPool) -> None:
    meeting = threading.Barrier(3)
    for _ in range(2):
        pool.submit(None, lambda: meeting.wait(DEADLINE_S))
    meeting.wait(DEADLINE_S)


def test_never_more_threads_than_the_limit(pool: KeyedPool) -> None:
    gate, lock = threading.Event(), threading.Lock()
    names: set[str] = set()
    started = threading.Semaphore(0)

    def task() -> None:
        with lock:
            names.add(threading.current_thread().name)
        started.release()
        gate.wait(DEADLINE_S)

    for number in range(10):
        pool.submit(number, task)
    for _ in range(4):
        assert started.acquire(timeout=DEADLINE_S)
    assert not started.acquire(blocking=False)
    gate.set()
    for _ in range(6):
        assert started.acquire(timeout=DEADLINE_S)
    assert len(names) == 4
    assert all(name.startswith("test-pool-") for name in names)


def test_one_busy_key_does_not_keep_the_others_waiting(pool: KeyedPool) -> None:
    gate, other = threading.Event(), threading.Event()
    pool.submit("busy", lambda: gate.wait(DEADLINE_S))
    for _ in range(20):
        pool.submit("busy", lambda: None)
    pool.submit("other", other.set)
    assert other.wait(DEADLINE_S)
    gate.set()


def test_an_idle_thread_ends_and_a_new_one_takes_its_place() -> None:
    pool = KeyedPool("test-pool", 1, idle_s=0.0)
    threads: list[threading.Thread] = []
    for _ in range(3):
        done = threading.Event()

        def task(done: threading.Event = done) -> None:
            threads.append(threading.current_thread())
            done.set()

        pool.submit("vm", task)
        assert done.wait(DEADLINE_S)
        threads[-1].join(DEADLINE_S)
        assert not threads[-1].is_alive()
    pool.close()
    assert pool.join(ends_in())


def test_a_closed_pool_drops_what_has_not_begun_and_takes_no_more() -> None:
    pool = KeyedPool("test-pool", 1)
    gate, began = threading.Event(), threading.Event()
    ran: list[str] = []

    def first() -> None:
        began.set()
        gate.wait(DEADLINE_S)
        ran.append("first")

    pool.submit("a", first)
    pool.submit("a", lambda: ran.append("second"))
    pool.submit("b", lambda: ran.append("third"))
    assert began.wait(DEADLINE_S)
    pool.close()
    assert not pool.submit("c", lambda: ran.append("fourth"))
    assert not pool.join(ends_in(0.01))  # it hangs: left behind, not waited for
    gate.set()
    assert pool.join(ends_in())
    assert ran == ["first"]


def test_a_hung_host_does_not_stop_another() -> None:
    hung, well = HostQueues("test-hung"), HostQueues("test-well")
    gate, done = threading.Event(), threading.Event()
    for lane in Lane:
        for key in range(20):
            hung.submit(lane, key, lambda: gate.wait(DEADLINE_S))
    well.submit(Lane.VM, "vm", done.set)
    assert done.wait(DEADLINE_S)
    gate.set()
    for queues in (hung, well):
        queues.close()
        assert queues.join(ends_in())


def test_force_off_does_not_wait_behind_the_same_vm(queues: HostQueues) -> None:
    gate, off = threading.Event(), threading.Event()
    queues.submit(Lane.VM, "vm", lambda: gate.wait(DEADLINE_S))
    queues.submit(Lane.URGENT, "vm", off.set)
    assert off.wait(DEADLINE_S)
    gate.set()


def test_reads_of_one_vm_do_not_wait_for_each_other(queues: HostQueues) -> None:
    meeting = threading.Barrier(3)
    for _ in range(2):
        queues.submit(Lane.READ, "vm", lambda: meeting.wait(DEADLINE_S))
    meeting.wait(DEADLINE_S)


def test_what_waits_for_a_guest_keeps_no_request_waiting(queues: HostQueues) -> None:
    may_end = threading.Event()
    done = threading.Event()
    for number in range(8):
        assert queues.submit_unasked(f"vm-{number}", lambda: may_end.wait(DEADLINE_S))
    assert queues.submit(Lane.VM, "vm-0", done.set)
    assert done.wait(DEADLINE_S)
    may_end.set()
