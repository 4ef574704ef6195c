"""Gets a page the endpoint of its console from the engine: asks, tries again ever later, and loses no descriptor."""

from __future__ import annotations

import os
import weakref
from functools import partial
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import shiboken6
from PySide6.QtCore import QElapsedTimer, QObject, QTimer, Slot

from guivm.errors import GuivmError, InUseError, UnsupportedError
from guivm.views.bridge import Bridge

if TYPE_CHECKING:
    from guivm.engine.requests import Request

FIRST_DELAY_MS = 200
LAST_DELAY_MS = 5_000
# A connection that lasted this long was a good one: the next try after it comes at once.
_GOOD_MS = 5_000
# "In use" is believed after this many tries: it may be our own last connection that is still being closed.
BUSY_TRIES = 3
_BUSY_DELAY_MS = 200


class Endpoint(Protocol):
    """What the engine answers; whoever has it owns the descriptor."""

    @property
    def fd(self) -> int | None: ...


EndpointT = TypeVar("EndpointT", bound=Endpoint)


class EndpointUser(Protocol[EndpointT]):
    """A page with one connection at most. Called on the GUI thread."""

    def wants_endpoint(self) -> bool:
        """Whether there should be a connection and is none."""

    def endpoint_request(self) -> Request[EndpointT]:
        """What to ask the engine for."""

    def use_endpoint(self, endpoint: EndpointT) -> None:
        """Connect; the endpoint now belongs to the page."""

    def endpoint_failed(self) -> None:
        """There is none this time; the connector says why and what comes next."""


class EndpointConnector(QObject, Generic[EndpointT]):
    """Child of the page it works for. GUI thread."""

    def __init__(self, bridge: Bridge, user: EndpointUser[EndpointT], parent: QObject) -> None:
        super().__init__(parent)
        self.problem = ""  # why there is no connection while there should be one
        self.refused: UnsupportedError | None = None  # there is none of that kind
        self.number = 0  # of the latest request
        self.delay_ms = FIRST_DELAY_MS  # how long the next automatic try waits
        self._bridge = bridge
        self._user = user
        self._ticket = 0  # the request that is under way
        self._busy = 0  # tries that found it in use
        self._lasted = QElapsedTimer()
        self._retry = QTimer(self)
        self._retry.setSingleShot(True)
        self._retry.timeout.connect(self.ask)

    @property
    def is_in_use(self) -> bool:
        """Somebody else has it."""
        return self._busy >= BUSY_TRIES

    @property
    def has_given_up(self) -> bool:
        """Asking again by itself would change nothing."""
        return self.refused is not None or self.is_in_use

    @property
    def is_waiting(self) -> bool:
        """A next try is due later."""
        return self._retry.isActive()

    # --- what the page says ---------------------------------------------------------------------------

    @Slot()
    def ask(self) -> None:
        """Ask now, unless an answer is on its way or none is wanted."""
        if self._ticket or not self._user.wants_endpoint():
            return
        self._retry.stop()
        self.number += 1
        self._ticket = self.number
        living = weakref.ref(self)
        # The owner is the bridge: an answer for a page that is gone must still be received, and closed.
        self._bridge.submit(
            self._user.endpoint_request(),
            self._bridge,
            partial(_deliver, living, self._ticket),
            partial(_deliver_failure, living, self._ticket),
        )

    def ask_in_turn(self) -> None:
        """Ask now, unless a next try is due later anyway."""
        if not self.is_waiting:
            self.ask()

    def stop(self) -> None:
        """Nothing is wanted any more; an answer on its way is given back."""
        self._ticket = 0
        self._retry.stop()

    def forget_failures(self) -> None:
        """Begin anew, with the shortest delay."""
        self.stop()
        self.delay_ms = FIRST_DELAY_MS
        self.problem = ""
        self.refused = None
        self._busy = 0

    def connected(self) -> None:
        """The connection stands."""
        self.problem = ""

    def lost(self, problem: str) -> None:
        """The connection ended."""
        self.problem = problem
        if self._lasted.isValid() and self._lasted.elapsed() >= _GOOD_MS:
            self.delay_ms = FIRST_DELAY_MS

    def try_later(self) -> None:
        """Ask again when the delay is over; the one after it is longer."""
        if self._user.wants_endpoint():
            self._retry.start(self.delay_ms)
            self.delay_ms = min(self.delay_ms * 2, LAST_DELAY_MS)

    # --- what the engine answers ----------------------------------------------------------------------

    def take(self, ticket: int, endpoint: EndpointT) -> bool:
        """Answer to our request; False when it is not wanted any more and the caller has to close it."""
        if ticket != self._ticket:
            return False
        self._ticket = 0
        if not self._user.wants_endpoint():
            return False
        self._busy = 0
        self._lasted.start()
        self._user.use_endpoint(endpoint)
        return True

    def take_failure(self, ticket: int, error: GuivmError) -> None:
        """The engine's refusal of our request."""
        if ticket != self._ticket:
            return
        self._ticket = 0
        match error:
            case UnsupportedError():
                self.problem = str(error)
                self.refused = error
            case InUseError():
                self._busy += 1
                if self.is_in_use:
                    self.problem = str(error)
                else:
                    self._retry.start(_BUSY_DELAY_MS)
            case _:
                self.problem = str(error)
                self.try_later()
        self._user.endpoint_failed()


def _deliver(found: weakref.ref[EndpointConnector[EndpointT]], ticket: int, endpoint: EndpointT) -> None:
    connector = found()
    taken = connector is not None and shiboken6.isValid(connector) and connector.take(ticket, endpoint)
    if not taken and endpoint.fd is not None:
        os.close(endpoint.fd)


def _deliver_failure(found: weakref.ref[EndpointConnector[EndpointT]], ticket: int, error: GuivmError) -> None:
    connector = found()
    if connector is not None and shiboken6.isValid(connector):
        connector.take_failure(ticket, error)
