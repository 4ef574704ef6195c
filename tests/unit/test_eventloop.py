from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from guivm.engine.eventloop import EventLoop

READABLE, WRITABLE, ERROR, HANGUP = 1, 2, 4, 8
DEADLINE_S = 10.0


def close(loop: EventLoop) -> None:
    """A loop never ends in earnest; its descriptors would add up over the tests."""
    for fd in loop.descriptors:
        os.close(fd)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Heard:
    """Callbacks for handles, timers and the release of their data."""

    def __init__(self) -> None:
        self.handles: list[tuple[int, int, int, object]] = []
        self.timers: list[tuple[int, object]] = []
        self.freed: list[object] = []

    def handle(self, watch: int, fd: int, events: int, opaque: object) -> None:
        self.handles.append((watch, fd, events, opaque))

    def timer(self, ident: int, opaque: object) -> None:
        self.timers.append((ident, opaque))

    def free(self, opaque: object) -> None:
        self.freed.append(opaque)


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def loop(heard: Heard, clock: Clock) -> Iterator[EventLoop]:
    value = EventLoop(heard.free, clock)
    yield value
    close(value)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


Pair = tuple[socket.socket, socket.socket]


def test_a_handle_is_dispatched_when_it_is_readable(loop: EventLoop, heard: Heard, pair: Pair) -> None:
    watch = loop.add_handle(pair[0].fileno(), READABLE, heard.handle, "data")
    pair[1].send(b"x")
    loop.run_once()
    assert heard.handles == [(watch, pair[0].fileno(), READABLE, "data")]


def test_only_what_is_asked_for_is_dispatched(loop: EventLoop, heard: Heard, pair: Pair) -> None:
    watch = loop.add_handle(pair[0].fileno(), 0, heard.handle, None)
    pair[1].send(b"x")
    loop.add_timeout(0, heard.timer, None)
    loop.run_once()
    assert heard.handles == []
    loop.update_handle(watch, WRITABLE)
    loop.run_once()
    assert [events for _, _, events, _ in heard.handles] == [WRITABLE]


def test_two_handles_on_one_descriptor_each_hear_their_own(loop: EventLoop, heard: Heard, pair: Pair) -> None:
    loop.add_handle(pair[0].fileno(), READABLE, heard.handle, "reader")
    loop.add_handle(pair[0].fileno(), WRITABLE, heard.handle, "writer")
    pair[1].send(b"x")
    loop.run_once()
    assert sorted((opaque, events) for _, _, events, opaque in heard.handles if isinstance(opaque, str)) == [
        ("reader", READABLE),
        ("writer", WRITABLE),
    ]


def test_a_hang_up_is_told(loop: EventLoop, heard: Heard, pair: Pair) -> None:
    loop.add_handle(pair[0].fileno(), READABLE, heard.handle, None)
    pair[1].close()
    loop.run_once()
    assert heard.handles[0][2] & (READABLE | HANGUP)


def test_a_handle_removed_by_an_earlier_callback_is_not_called(loop: EventLoop, heard: Heard, pair: Pair) -> None:
    watches: list[int] = []

    def remove_all(watch: int, fd: int, events: int, opaque: object) -> None:
        heard.handle(watch, fd, events, opaque)
        for other in watches:
            loop.remove_handle(other)

    watches += [loop.add_handle(pair[0].fileno(), READABLE, remove_all, number) for number in range(3)]
    pair[1].send(b"x")
    loop.run_once()
    assert len(heard.handles) == 1
    assert sorted(opaque for opaque in heard.freed if isinstance(opaque, int)) == [0, 1, 2]


def test_what_is_removed_is_freed_by_the_loop_and_not_within_the_removal(loop: EventLoop, heard: Heard) -> None:
    timer = loop.add_timeout(-1, heard.timer, "timer")
    assert loop.remove_timeout(timer) == 0
    assert heard.freed == []
    loop.run_once()
    assert heard.freed == ["timer"]
    assert loop.remove_timeout(timer) == -1
    assert loop.remove_handle(timer) == -1


def test_timers(loop: EventLoop, heard: Heard, clock: Clock) -> None:
    slow = loop.add_timeout(500, heard.timer, "slow")
    off = loop.add_timeout(-1, heard.timer, "off")
    always = loop.add_timeout(0, heard.timer, "always")
    loop.run_once()
    assert heard.timers == [(always, "always")]
    clock.now += 0.6
    loop.run_once()
    assert (slow, "slow") in heard.timers
    heard.timers.clear()
    loop.run_once()
    assert heard.timers == [(always, "always")], "the slow one waits its period again"
    loop.update_timeout(off, 0)
    loop.update_timeout(always, -1)
    heard.timers.clear()
    loop.run_once()
    assert heard.timers == [(off, "off")]


def test_a_change_from_another_thread_wakes_the_loop(heard: Heard, pair: Pair) -> None:
    loop = EventLoop(heard.free)
    began, called = threading.Event(), threading.Event()

    def run() -> None:
        began.set()
        while not called.is_set():
            loop.run_once()

    thread = threading.Thread(target=run)
    thread.start()
    assert began.wait(DEADLINE_S)
    pair[1].send(b"x")
    loop.add_handle(pair[0].fileno(), READABLE, lambda *_: called.set(), None)
    assert called.wait(DEADLINE_S)
    loop.add_timeout(0, heard.timer, None)
    thread.join(DEADLINE_S)
    assert not thread.is_alive()
    close(loop)


def test_a_timer_fires_in_real_time_and_the_loop_sleeps_meanwhile(heard: Heard) -> None:
    loop = EventLoop(heard.free)
    loop.add_timeout(50, heard.timer, None)
    began, cpu = time.monotonic(), time.thread_time()
    while not heard.timers:
        loop.run_once()
    assert time.monotonic() - began >= 0.05
    assert time.thread_time() - cpu < 0.04
    close(loop)


def test_qt_and_libvirt_keep_their_own_threads(qapp: object) -> None:
    """libvirt's own loop would share GLib's default context with Qt's, and run its callbacks on the GUI thread."""
    import libvirt
    from PySide6.QtCore import QEventLoop, QTimer

    from guivm.engine.eventloop import THREAD_NAME, ensure_event_loop

    ensure_event_loop()
    names: list[str] = []
    inner = QEventLoop()
    ticks = 0

    def tick() -> None:
        nonlocal ticks
        ticks += 1
        assert threading.current_thread() is threading.main_thread()
        if ticks >= 20 and len(names) >= 3:
            inner.quit()

    timer = QTimer(inner)
    timer.timeout.connect(tick)
    timer.start(5)
    ident = libvirt.virEventAddTimeout(10, lambda *_: names.append(threading.current_thread().name), None)
    inner.exec()
    libvirt.virEventRemoveTimeout(ident)
    timer.stop()
    assert set(names) == {THREAD_NAME}


def test_the_process_sees_no_descriptor_of_the_loop_in_its_children(loop: EventLoop) -> None:
    assert not any(os.get_inheritable(fd) for fd in loop.descriptors)


def test_an_object_that_ends_under_the_lock_may_call_the_loop(loop: EventLoop, heard: Heard, clock: Clock) -> None:
    """libvirt's own do: their end closes a connection, which takes its handles away."""
    near, far = socket.socketpair()
    watch = loop.add_handle(near.fileno(), READABLE, heard.handle, None)
    ended = threading.Event()

    class Callback:
        def __call__(self, ident: int, _opaque: object) -> None:
            loop.remove_timeout(ident)

        def __del__(self) -> None:
            loop.update_handle(watch, WRITABLE)
            ended.set()

    loop.add_timeout(0, Callback(), None)
    loop.add_timeout(0, heard.timer, "after it")
    clock.now += 1
    turn = threading.Thread(target=loop.run_once, daemon=True)
    turn.start()
    assert ended.wait(DEADLINE_S)
    turn.join(DEADLINE_S)
    assert not turn.is_alive()
    assert [opaque for _, opaque in heard.timers] == ["after it"]
    near.close()
    far.close()
