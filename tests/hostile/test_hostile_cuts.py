"""A connection that ends at any byte at all is a diagnosed disconnect."""

from __future__ import annotations

import socket
import threading

import pytest

from guivm.console.frame import SourceState
from guivm.console.rfb.errors import RfbEndError, RfbError
from guivm.console.rfb.session import Phase, RfbSession
from guivm.console.vnc.link import RfbLink
from guivm.engine.job_types import ConsoleEndpoint
from tests.helpers.hostile_server import Recorded, everything, recorded
from tests.helpers.rfb_feed import feed

_EVERYTHING = Recorded("everything, small", 60, 40, everything(60, 40))


@pytest.mark.parametrize("stream", recorded(), ids=lambda stream: stream.name)
def test_at_every_byte(stream: Recorded) -> None:
    """``ended`` changes nothing: it is asked after each byte, and the stream goes on."""
    session = RfbSession()
    ends = set()
    position = len(stream.greeting)
    for message in (b"", *stream.messages):
        position += len(message)
        ends.add(position)
    told: dict[Phase, RfbError] = {}
    data = stream.stream
    for position in range(len(data) + 1):
        assert position not in ends or session.phase is Phase.IDLE
        if session.phase not in told:
            told[session.phase] = session.ended()
        else:
            assert str(session.ended()) == str(told[session.phase])
        if position < len(data):
            feed(session, data[position : position + 1])
            session.take_output()
            session.take_events()
    assert set(told) == {Phase.HANDSHAKE, Phase.IDLE, Phase.MESSAGE}
    for phase, error in told.items():
        assert isinstance(error, RfbEndError)
        assert "closed by its server" in error.summary
        assert error.advice
        assert phase is Phase.IDLE or phase.value in error.summary


def _ended(data: bytes) -> RfbLink:
    """A link whose server said this and went."""
    ours, theirs = socket.socketpair()
    woken = threading.Event()
    link = RfbLink(ConsoleEndpoint(fd=theirs.detach()), woken.set)
    try:
        ours.sendall(data)
        ours.shutdown(socket.SHUT_WR)
        link.start()
        while link.take_news().state is not SourceState.DISCONNECTED:
            assert woken.wait(10)
            woken.clear()
    finally:
        link.stop()
        ours.close()
    return link


def test_at_every_byte_of_a_real_connection() -> None:
    """The same through the thread with its socket, where what we still had to say finds nobody."""
    data = _EVERYTHING.stream[:1200]
    for position in range(0, len(data), 3):
        error = _ended(data[:position]).error
        assert isinstance(error, RfbEndError), (position, error)
        assert "closed by its server" in error.summary
