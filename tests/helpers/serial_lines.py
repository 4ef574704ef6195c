"""Serial lines for the fake engine: each that is opened is a socket pair, its other end played by the test."""

from __future__ import annotations

import socket

from guivm.engine.job_types import SerialEndpoint
from guivm.engine.requests import OpenSerial
from guivm.errors import GuivmError
from tests.helpers.fake_engine import FakeEngine

WAIT_S = 20.0


class SerialLines:
    """Give :meth:`open` to a fake engine as its answer to OpenSerial. ``failure`` is raised instead, when set."""

    def __init__(self, engine: FakeEngine) -> None:
        self.guests: list[socket.socket] = []
        self.asked: list[OpenSerial] = []
        self.failure: GuivmError | None = None
        engine.open_serial = self.open

    def open(self, request: OpenSerial) -> SerialEndpoint:
        self.asked.append(request)
        if self.failure is not None:
            raise self.failure
        ours, theirs = socket.socketpair()
        ours.settimeout(WAIT_S)
        self.guests.append(ours)
        return SerialEndpoint(theirs.detach())

    @property
    def guest(self) -> socket.socket:
        """The guest's end of the line that was opened last."""
        return self.guests[-1]

    @property
    def all_given_back(self) -> bool:
        """Whether our end of every line was closed."""
        for guest in self.guests:
            if guest.fileno() < 0:
                continue
            guest.setblocking(False)
            try:
                while guest.recv(65536):
                    pass
            except BlockingIOError:
                return False
        return True

    def close(self) -> None:
        for guest in self.guests:
            guest.close()
