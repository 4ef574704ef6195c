"""Reminders and measurements of the console's thread, on a clock of the test's own."""

from __future__ import annotations

import pytest

from guivm.console.frame import Quality
from guivm.console.rfb.encoding_choice import EncodingChooser, Pace
from guivm.console.rfb.session import RfbSession
from guivm.console.vnc import pace
from guivm.console.vnc.pace import Gauge, Nudger
from tests.helpers import rfb_server as srv
from tests.helpers.rfb_feed import connected, feed

CAPS = srv.clipboard(0x1F000001, bytes(4))


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    value = Clock()
    monkeypatch.setattr(pace, "time", value)
    return value


def test_nudges_come_only_in_silence() -> None:
    session = connected(8, 8)
    nudger = Nudger(session, 0.1)
    assert nudger.check(10.0) is None, "nothing is agreed on yet"
    feed(session, CAPS + srv.update())
    session.take_output()
    assert nudger.check(10.0) == pytest.approx(10.1)
    assert session.take_output() == b""
    feed(session, srv.update())
    session.take_output()
    assert nudger.check(10.09) == pytest.approx(10.19), "an update came by itself"
    assert session.take_output() == b""
    assert nudger.check(10.2) == pytest.approx(10.3)
    assert session.take_output() != b""
    feed(session, b"\0")
    assert nudger.check(10.5) is None, "in the middle of a message"


def _measure(gauge: Gauge, clock: Clock, rate: float) -> None:
    for _ in range(10):
        gauge.received(0, in_message=False)
        clock.now += 0.05
        gauge.received(int(rate * 0.05), in_message=True)


def test_what_is_measured_is_asked_for(clock: Clock) -> None:
    session = connected(8, 8)
    gauge = Gauge(session, EncodingChooser(), asks_once=False)
    gauge.apply()
    session.take_output()
    _measure(gauge, clock, 20e6)
    assert gauge.chooser.pace is Pace.FAST
    assert session.take_output()[:2] == b"\x02\0"
    _measure(gauge, clock, 20e6)
    assert session.take_output() == b"", "only when it changes"


def test_waiting_for_something_to_happen_is_not_slowness(clock: Clock) -> None:
    session = connected(8, 8)
    gauge = Gauge(session, EncodingChooser(), asks_once=False)
    for _ in range(20):
        clock.now += 1
        gauge.received(1 << 20, in_message=False)
    assert gauge.chooser.throughput is None


def test_the_round_trip_is_taken_from_the_handshake(clock: Clock) -> None:
    chooser = EncodingChooser()
    gauge = Gauge(RfbSession(), chooser, asks_once=False)
    gauge.sent()
    clock.now += 0.4
    gauge.received(12, in_message=False)
    session = connected(8, 8)
    _measure(Gauge(session, chooser, asks_once=False), clock, 50e6)
    assert chooser.pace is Pace.MEDIUM


def test_a_server_that_is_to_be_asked_once(clock: Clock) -> None:
    early = RfbSession()
    gauge = Gauge(early, EncodingChooser(), asks_once=True)
    gauge.chooser.quality = Quality.FAST
    gauge.apply()
    feed(early, srv.greeting_38(8, 8))
    first = early.take_output()
    assert b"\xff\xff\xff\xe3" in first, "JPEG 3: the wish was there before the first list"
    _measure(gauge, clock, 20e6)
    assert early.take_output() == b""
