from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from guivm.engine.connection import Backoff, ConnectFailure, HostConnection, LinkLost, Lost, Post
from guivm.engine.types import HostState
from guivm.errors import HostError

S = HostState
DEADLINE_S = 10.0


class FakeLink:
    def __init__(self, number: int) -> None:
        self.number = number
        self.closed = threading.Event()
        self.closed_on = ""

    def close(self) -> None:
        assert not self.closed.is_set(), "closed twice"
        self.closed_on = threading.current_thread().name
        self.closed.set()


class FakeHost:
    """Connector and client in one; ``failures`` are used up by the next opens."""

    def __init__(self) -> None:
        self.failures: list[ConnectFailure] = []
        self.links: list[FakeLink] = []
        self.posts: list[Post] = []
        self.states: list[tuple[HostState, str]] = []
        self.events: list[object] = []
        self.let_go_of: list[FakeLink] = []
        self.load_error: LinkLost | None = None
        self.serve_error: LinkLost | None = None
        self.hang = threading.Event()
        self.hang.set()
        self._condition = threading.Condition()

    def open(self, post: Post) -> FakeLink:
        assert self.hang.wait(DEADLINE_S)
        if self.failures:
            raise self.failures.pop(0)
        link = FakeLink(len(self.links))
        self.links.append(link)
        self.posts.append(post)
        return link

    def load(self, link: FakeLink) -> None:
        error, self.load_error = self.load_error, None
        if error is not None:
            raise error

    def let_go(self) -> None:
        assert not self.links[-1].closed.is_set(), "too late"
        self.let_go_of.append(self.links[-1])

    def serve(self, link: FakeLink, events: list[object]) -> float | None:
        with self._condition:
            self.events += events
            self._condition.notify_all()
        error, self.serve_error = self.serve_error, None
        if events and error is not None:
            raise error
        return None

    def state_changed(self, state: HostState, problem: str, details: str) -> None:
        with self._condition:
            self.states.append((state, problem))
            self._condition.notify_all()

    def wait(self, condition: Callable[[], bool]) -> None:
        with self._condition:
            assert self._condition.wait_for(condition, DEADLINE_S), self.states

    def wait_for(self, *states: HostState) -> None:
        self.wait(lambda: [state for state, _ in self.states] == list(states))


class Instantly(Backoff):
    """No waiting, but what was asked for is counted."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.resets = 0

    def next(self) -> float:
        self.asked += 1
        return 0.0

    def reset(self) -> None:
        self.resets += 1


def failure(text: str, *, permanent: bool = False) -> ConnectFailure:
    return ConnectFailure(HostError(text), permanent=permanent)


@pytest.fixture
def host() -> FakeHost:
    return FakeHost()


@pytest.fixture
def connect(host: FakeHost) -> Iterator[Callable[..., HostConnection[FakeLink]]]:
    made: list[HostConnection[FakeLink]] = []

    def make(backoff: Backoff | None = None) -> HostConnection[FakeLink]:
        connection: HostConnection[FakeLink] = HostConnection("test-host", host, host, backoff=backoff or Instantly())
        made.append(connection)
        connection.start()
        return connection

    yield make
    for connection in made:
        connection.close()
        assert connection.join(time.monotonic() + DEADLINE_S)


Connect = Callable[..., HostConnection[FakeLink]]


def test_it_connects_and_closes(host: FakeHost, connect: Connect) -> None:
    connection = connect()
    host.wait_for(S.CONNECTED)
    connection.close()
    assert connection.join(time.monotonic() + DEADLINE_S)
    assert [state for state, _ in host.states] == [S.CONNECTED, S.CLOSED]
    assert host.let_go_of == host.links
    assert host.links[0].closed.is_set()
    assert host.links[0].closed_on == "test-host-control"


def test_a_host_that_is_not_there_yet_is_tried_again(host: FakeHost, connect: Connect) -> None:
    host.failures = [failure("Nobody answers."), failure("Nobody answers.")]
    backoff = Instantly()
    connect(backoff)
    host.wait_for(S.RECONNECTING, S.RECONNECTING, S.CONNECTED)
    assert host.states[0][1] == "Nobody answers. Trying again."
    assert backoff.asked == 2
    assert backoff.resets == 1


def test_what_cannot_work_fails_until_the_person_asks_again(host: FakeHost, connect: Connect) -> None:
    host.failures = [failure("No such key.", permanent=True)]
    connection = connect()
    host.wait_for(S.FAILED)
    assert host.states[0][1] == "No such key."
    connection.retry()
    host.wait_for(S.FAILED, S.CONNECTING, S.CONNECTED)


@pytest.mark.parametrize("how", ["close callback", "serving", "loading"])
def test_a_lost_link_is_closed_and_made_anew(how: str, host: FakeHost, connect: Connect) -> None:
    if how == "loading":
        host.load_error = LinkLost("gone")
        connect()
        host.wait_for(S.RECONNECTING, S.CONNECTED)
    else:
        connect()
        host.wait_for(S.CONNECTED)
        if how == "close callback":
            host.posts[0](Lost("The host does not answer any more; trying again."))
        else:
            host.serve_error = LinkLost("gone")
            host.posts[0]("something happened")
        host.wait_for(S.CONNECTED, S.RECONNECTING, S.CONNECTED)
    assert host.links[0].closed.wait(DEADLINE_S)
    assert not host.links[1].closed.is_set()


def test_events_of_a_dead_link_are_not_heard(host: FakeHost, connect: Connect) -> None:
    connect()
    host.wait_for(S.CONNECTED)
    host.posts[0]("first")
    host.posts[0](Lost())
    host.wait_for(S.CONNECTED, S.RECONNECTING, S.CONNECTED)
    host.posts[0]("from the dead")
    host.posts[0](Lost())
    host.posts[1]("second")
    host.wait(lambda: "second" in host.events)
    assert "from the dead" not in host.events
    assert [state for state, _ in host.states] == [S.CONNECTED, S.RECONNECTING, S.CONNECTED]


def test_closing_does_not_wait_for_the_next_try(host: FakeHost, connect: Connect) -> None:
    host.failures = [failure("Nobody answers.")] * 3
    connection = connect(Backoff(first_s=3600, limit_s=3600))
    host.wait_for(S.RECONNECTING)
    connection.close()
    assert connection.join(time.monotonic() + DEADLINE_S)
    assert host.states[-1][0] is S.CLOSED


def test_asking_again_does_not_wait_for_the_next_try(host: FakeHost, connect: Connect) -> None:
    host.failures = [failure("Nobody answers.")]
    connection = connect(Backoff(first_s=3600, limit_s=3600))
    host.wait_for(S.RECONNECTING)
    connection.retry()
    host.wait_for(S.RECONNECTING, S.CONNECTED)


def test_a_hung_open_is_left_behind(host: FakeHost, connect: Connect) -> None:
    host.hang.clear()
    connection = connect()
    connection.close()
    assert not connection.join(time.monotonic() + 0.01)
    host.hang.set()
    assert connection.join(time.monotonic() + DEADLINE_S)
    assert host.links[0].closed.is_set()
    assert [state for state, _ in host.states] == [S.CLOSED]


def test_a_link_in_use_is_closed_by_its_last_user(host: FakeHost, connect: Connect) -> None:
    connection = connect()
    host.wait_for(S.CONNECTED)
    with connection.lease() as link:
        connection.close()
        assert connection.join(time.monotonic() + DEADLINE_S)
        assert not link.closed.is_set()
    assert host.links[0].closed.is_set()


def test_there_is_no_link_to_use_while_not_connected(host: FakeHost, connect: Connect) -> None:
    host.failures = [failure("No such key.", permanent=True)]
    connection = connect()
    host.wait_for(S.FAILED)
    with pytest.raises(HostError), connection.lease():
        pass


def test_backoff_doubles_up_to_its_limit_with_jitter() -> None:
    backoff = Backoff(0.25, 30.0, random.Random(1))
    waits = [backoff.next() for _ in range(12)]
    steps = [0.25, 0.5, 1, 2, 4, 8, 16, 30, 30, 30, 30, 30]
    assert all(max(0.25, step / 2) <= wait <= step for wait, step in zip(waits, steps, strict=True))
    assert len({round(wait, 3) for wait in waits[7:]}) > 1
    backoff.reset()
    assert backoff.next() == 0.25
