"""The life of one connection: open, serve, lose, try again. No Qt, no libvirt.

One control thread per host walks the states of :class:`guivm.engine.types.HostState`; whatever is blocking about
a connection happens there. How a link is made and what is done with it is told by the two protocols below, so that
the machine can be tested without a host.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Generic, NamedTuple, Protocol, TypeVar

from guivm.engine.types import HostState
from guivm.errors import HostError

_S = HostState
_TRANSITIONS: dict[HostState, frozenset[HostState]] = {
    _S.CONNECTING: frozenset({_S.CONNECTED, _S.RECONNECTING, _S.FAILED, _S.CLOSED}),
    _S.CONNECTED: frozenset({_S.RECONNECTING, _S.CLOSED}),
    _S.RECONNECTING: frozenset({_S.RECONNECTING, _S.CONNECTED, _S.FAILED, _S.CLOSED}),
    _S.FAILED: frozenset({_S.CONNECTING, _S.CLOSED}),
    _S.CLOSED: frozenset(),
}


class Lost(NamedTuple):
    """Posted by a link that noticed its end; ``reason`` in words, or empty."""

    reason: str = ""
    details: str = ""


class ConnectFailure(Exception):  # noqa: N818  (not shown to anybody: it carries the error that is)
    """A link could not be made. ``permanent``: trying again is senseless without the person."""

    def __init__(self, error: HostError, *, permanent: bool) -> None:
        super().__init__(str(error))
        self.error = error
        self.permanent = permanent


class LinkLost(Exception):  # noqa: N818
    """Raised by the client's methods when the link broke under their hands."""

    def __init__(self, details: str = "") -> None:
        super().__init__(details)
        self.details = details


class Link(Protocol):
    """An open connection."""

    def close(self) -> None:
        """Deregister everything, then disconnect. May block; never raises. Called once."""


LinkT = TypeVar("LinkT", bound=Link)
LinkT_co = TypeVar("LinkT_co", bound=Link, covariant=True)
LinkT_contra = TypeVar("LinkT_contra", bound=Link, contravariant=True)

Post = Callable[[object], None]


class Connector(Protocol[LinkT_co]):
    def open(self, post: Post) -> LinkT_co:
        """Connect; may block. ``post`` takes this link's events and :class:`Lost`, from any thread, at once.
        Raises ConnectFailure."""


class Client(Protocol[LinkT_contra]):
    """Who uses the connection. Every method is called on the control thread."""

    def load(self, link: LinkT_contra) -> None:
        """Read what there is. Raises LinkLost. The state becomes CONNECTED when it returns."""

    def serve(self, link: LinkT_contra, events: list[object]) -> float | None:
        """Handle events, and what is due; answer the seconds until it wants to be called again, or None.
        Raises LinkLost."""

    def let_go(self) -> None:
        """The link is about to be closed: keep nothing of it. Must neither block nor raise."""

    def state_changed(self, state: HostState, problem: str, details: str) -> None:
        """The new state. Must not block."""


class Backoff:
    """Seconds to wait before the next try: doubling from ``first_s`` to ``limit_s``, with jitter.

    Jitter (half to whole of the step) keeps many windows from asking a host that comes back all at once.
    """

    def __init__(self, first_s: float = 0.25, limit_s: float = 30.0, rng: random.Random | None = None) -> None:
        self._first_s = first_s
        self._limit_s = limit_s
        self._rng = rng or random.Random()
        self._step_s = first_s

    def next(self) -> float:
        step, self._step_s = self._step_s, min(self._step_s * 2, self._limit_s)
        return max(self._first_s, step * self._rng.uniform(0.5, 1.0))

    def reset(self) -> None:
        self._step_s = self._first_s


class SharedLink(Generic[LinkT]):
    """A link that several workers use; closed by the last to let go of it, and by none before. Thread-safe.

    libvirt frees a connection when it is closed, even while another thread is within a call on it.
    """

    def __init__(self, link: LinkT) -> None:
        self.link = link
        self._lock = threading.Lock()
        self._users = 1  # the control thread

    def acquire(self) -> bool:
        """False when it is closed already."""
        with self._lock:
            if self._users == 0:
                return False
            self._users += 1
            return True

    def release(self) -> None:
        with self._lock:
            self._users -= 1
            last = self._users == 0
        if last:
            self.link.close()


class HostConnection(Generic[LinkT]):
    """The state machine of one host and its control thread. Public methods are thread-safe and never block."""

    def __init__(
        self,
        name: str,
        connector: Connector[LinkT],
        client: Client[LinkT],
        *,
        backoff: Backoff | None = None,
    ) -> None:
        self._connector = connector
        self._client = client
        self._backoff = backoff or Backoff()
        self._condition = threading.Condition()
        self._state = HostState.CONNECTING
        self._mail: deque[object] = deque()
        self._generation = 0
        self._closing = False
        self._retry = False
        self._shared: SharedLink[LinkT] | None = None
        self._thread = threading.Thread(target=self._run, name=f"{name}-control", daemon=True)

    @property
    def state(self) -> HostState:
        return self._state

    @property
    def is_alive(self) -> bool:
        """True while the control thread runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Begin to disconnect; CLOSED follows."""
        with self._condition:
            self._closing = True
            self._condition.notify_all()

    def join(self, deadline_s: float) -> bool:
        """Wait for the control thread until ``deadline_s`` (monotonic seconds); False when it hangs."""
        self._thread.join(max(0.0, deadline_s - time.monotonic()))
        return not self._thread.is_alive()

    def retry(self) -> None:
        """Try now instead of later; also after FAILED."""
        with self._condition:
            self._retry = True
            self._condition.notify_all()

    def post(self, event: object) -> None:
        """Hand an event to the control thread, as the present link would."""
        self._post(self._generation, event)

    @contextmanager
    def lease(self) -> Iterator[LinkT]:
        """The link, which stays open within the ``with``. Raises HostError when there is none."""
        with self._condition:
            shared = self._shared
            usable = shared is not None and self._state is HostState.CONNECTED and shared.acquire()
        if shared is None or not usable:
            raise HostError("The host is not connected.", advice="Try again when it is.")
        try:
            yield shared.link
        finally:
            shared.release()

    # --- control thread -------------------------------------------------------------------------------

    def _run(self) -> None:
        problem, details = "", ""
        while not self._closing:
            with self._condition:
                self._generation += 1
                generation = self._generation
                self._mail.clear()
                self._retry = False
            try:
                link = self._connector.open(partial(self._post, generation))
            except ConnectFailure as failure:
                self._wait_after(failure)
                continue
            shared = SharedLink(link)
            try:
                lost = self._use(shared)
            finally:
                self._client.let_go()
                with self._condition:
                    self._shared = None
            if not self._closing:
                problem = lost.reason or "The connection to the host was lost; trying again."
                details = lost.details
                self._enter(HostState.RECONNECTING, problem, details)
            shared.release()
            if not self._closing:
                self._sleep(self._backoff.next())
        self._enter(HostState.CLOSED, "", "")

    def _use(self, shared: SharedLink[LinkT]) -> Lost:
        """Serve the link until it is lost or we close."""
        try:
            if self._closing:
                return Lost()
            self._client.load(shared.link)
            with self._condition:
                self._shared = shared
            self._enter(HostState.CONNECTED, "", "")
            self._backoff.reset()
            wait_s: float | None = 0.0
            while True:
                events = self._receive(wait_s)
                if events is None:
                    return Lost()
                for event in events:
                    if isinstance(event, Lost):
                        return event
                wait_s = self._client.serve(shared.link, events)
        except LinkLost as error:
            return Lost(details=error.details)

    def _receive(self, wait_s: float | None) -> list[object] | None:
        """All waiting events; None when closing. An empty list when ``wait_s`` have passed."""
        with self._condition:
            self._condition.wait_for(lambda: self._closing or bool(self._mail), wait_s)
            if self._closing:
                return None
            events = list(self._mail)
            self._mail.clear()
            return events

    def _wait_after(self, failure: ConnectFailure) -> None:
        error = failure.error
        if self._closing:
            return
        if failure.permanent:
            self._enter(HostState.FAILED, str(error), error.details)
            self._sleep(None)
            if not self._closing:
                self._enter(HostState.CONNECTING, "", "")
            return
        self._enter(HostState.RECONNECTING, f"{error.summary} Trying again.", error.details)
        self._sleep(self._backoff.next())

    def _sleep(self, seconds: float | None) -> None:
        """Until the time is over, or somebody asks for a retry or the end."""
        with self._condition:
            self._condition.wait_for(lambda: self._closing or self._retry, seconds)
            self._retry = False

    def _enter(self, state: HostState, problem: str, details: str) -> None:
        with self._condition:
            if state not in _TRANSITIONS[self._state]:
                raise AssertionError(f"{self._state.value} → {state.value} is no transition")
            self._state = state
        self._client.state_changed(state, problem, details)

    def _post(self, generation: int, event: object) -> None:
        with self._condition:
            if generation == self._generation:
                self._mail.append(event)
                self._condition.notify_all()
