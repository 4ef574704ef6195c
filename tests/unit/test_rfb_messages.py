"""Sizes, power, sound, recordings, and runs of raw rectangles, over bytes."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guivm.console.frame import Head, PowerAction, SourceFeature
from guivm.console.rfb import wire
from guivm.console.rfb.encoding_choice import LOCAL, EncodingChooser
from guivm.console.rfb.errors import RfbError
from guivm.console.rfb.events import (
    CursorChanged,
    FeaturesChanged,
    HeadsChanged,
    Refused,
    Resized,
    SoundBegan,
    SoundData,
    SoundEnded,
    UpdateEnded,
)
from guivm.console.rfb.session import Phase, RfbSession
from guivm.console.rfb.updates import fitted
from guivm.console.rfb.wire import Screen
from tests.helpers import rfb_server as srv
from tests.helpers.rfb_feed import connected, feed, framebuffer
from tests.unit.test_rfb_session import STREAM


def _resizable(width: int, height: int, screens: list[tuple[int, ...]]) -> RfbSession:
    session = connected(width, height)
    feed(session, srv.update(srv.extended_size(width, height, screens=screens)))
    session.take_output()
    session.take_events()
    return session


@pytest.mark.parametrize("step", [0, 1])
def test_the_first_extended_size_tells_what_is_possible(step: int) -> None:
    session = connected(100, 50)
    feed(session, srv.update(srv.extended_size(100, 50, screens=[(7, 0, 0, 60, 50, 3), (9, 60, 0, 40, 50, 0)])), step)
    events = session.take_events()
    assert HeadsChanged((Head(7, 0, 0, 60, 50), Head(9, 60, 0, 40, 50))) in events
    assert FeaturesChanged(SourceFeature.RESIZE) in events


def test_set_desktop_size_keeps_the_servers_ids_and_flags() -> None:
    session = _resizable(100, 50, [(7, 0, 0, 100, 50, 3)])
    session.request_size(640, 480)
    head = struct.pack(">IHHHHI", 7, 0, 0, 640, 480, 3)
    assert session.take_output() == struct.pack(">BxHHBx", 251, 640, 480, 1) + head
    session.request_size(100, 50)
    assert session.take_output() == b"", "it has that size"
    session.request_size(-5, 1 << 20)
    assert session.take_output()[2:6] == struct.pack(">HH", 1, 16384)


def test_no_size_is_asked_of_a_server_that_does_not_know_how() -> None:
    session = connected(100, 50)
    session.request_size(640, 480)
    assert session.take_output() == b""


def test_several_screens_are_fitted() -> None:
    left, right, low = Screen(1, 0, 0, 60, 50, 0), Screen(2, 60, 0, 40, 50, 5), Screen(3, 0, 50, 100, 20, 0)
    assert fitted((left, right), 100, 50, 200, 80) == [Screen(1, 0, 0, 60, 80, 0), Screen(2, 60, 0, 140, 80, 5)]
    assert fitted((left, right), 100, 50, 30, 20) == [Screen(1, 0, 0, 30, 20, 0)]
    assert fitted((left, right, low), 100, 70, 100, 60)[2] == Screen(3, 0, 50, 100, 10, 0)


@pytest.mark.parametrize(
    ("status", "words"), [(1, "does not allow"), (2, "out of memory"), (3, "does not accept"), (77, "does not change")]
)
def test_refused_sizes_are_told(status: int, words: str) -> None:
    session = connected(100, 50)
    feed(session, srv.update(srv.extended_size(100, 50, reason=1, status=status)))
    (event, ended) = session.take_events()
    assert isinstance(event, Refused)
    assert words in event.reason
    assert ended == UpdateEnded(False)


def test_a_size_that_was_passed_on_is_no_refusal() -> None:
    """QEMU's answer 4: the guest was asked, and follows when it likes."""
    session = connected(100, 50)
    feed(session, srv.update(srv.extended_size(100, 50, reason=1, status=4)))
    assert session.take_events() == [UpdateEnded(False)]


def _heads_of(session: RfbSession) -> tuple[Head, ...]:
    """As told with the new framebuffer, so that nobody sees one without the other."""
    (resized,) = [event for event in session.take_events() if isinstance(event, Resized)]
    return resized.heads


def test_heads_that_lie_are_cut_to_the_screen() -> None:
    session = connected(8, 8)
    feed(session, srv.update(srv.extended_size(10, 10, screens=[(1, 5, 5, 900, 900, 0), (2, 900, 0, 5, 5, 0)])))
    assert _heads_of(session) == (Head(1, 5, 5, 5, 5),)
    feed(session, srv.update(srv.extended_size(20, 20, screens=[])))
    assert _heads_of(session) == (Head(0, 0, 0, 20, 20),)


def test_power() -> None:
    session = connected(8, 8)
    session.send_power(PowerAction.RESET)
    assert session.take_output() == b"", "the server has not said that it can"
    feed(session, b"\xfa\0\x01\x01", 1)
    assert session.take_events() == [FeaturesChanged(SourceFeature.POWER)]
    session.send_power(PowerAction.SHUTDOWN)
    session.send_power(PowerAction.REBOOT)
    session.send_power(PowerAction.RESET)
    assert session.take_output() == b"\xfa\0\x01\x02\xfa\0\x01\x03\xfa\0\x01\x04"
    feed(session, b"\xfa\0\x01\0")
    (event,) = session.take_events()
    assert isinstance(event, Refused)


@pytest.mark.parametrize("step", [0, 1])
def test_a_cursor_of_two_colours(step: int) -> None:
    """Foreground and background, then a bit for the colour and a bit for being there."""
    session = connected(8, 8)
    body = bytes([10, 20, 30, 200, 210, 220]) + b"\x80" + b"\xc0"
    feed(session, srv.update(srv.rect(1, 0, 3, 1, srv.X_CURSOR, body)), step)
    event = session.take_events()[0]
    assert isinstance(event, CursorChanged)
    assert event.cursor is not None
    assert event.cursor.pixels[0, :2].tolist() == [[30, 20, 10, 255], [220, 210, 200, 255]]
    assert event.cursor.pixels[0, 2, 3] == 0


def test_sound() -> None:
    session = connected(8, 8)
    session.set_sound(True)
    assert session.take_output() == b"", "no server of sound yet"
    feed(session, srv.update(srv.rect(0, 0, 0, 0, srv.SOUND)))
    output = session.take_output()
    assert output.endswith(b"\xff\x01\0\x02\x03\x02" + struct.pack(">I", 48_000) + b"\xff\x01\0\0")
    session.take_events()
    feed(session, b"\xff\x01\0\x01" + b"\xff\x01\0\x02\0\0\0\x04abcd" + b"\xff\x01\0\0", 1)
    assert session.take_events() == [SoundBegan(), SoundData(b"abcd"), SoundEnded()]
    session.set_sound(False)
    assert session.take_output() == b"\xff\x01\0\x01"
    feed(session, b"\xff\x01\0\x02\0\0\0\x04late")
    assert session.take_events() == []


def test_other_encodings_are_asked_for_later() -> None:
    session = connected(8, 8)
    session.set_choice(LOCAL)
    assert session.take_output() == b"", "those it has been asked for"
    session.set_choice(EncodingChooser().choice)
    output = session.take_output()
    assert output[:2] == b"\x02\0"


# --- recordings -----------------------------------------------------------------------------------------------------

HANDSHAKE = srv.VERSION_38 + b"\x01\x01" + b"\0\0\0\0"


@pytest.mark.parametrize("step", [0, 1, 7, 1000])
def test_the_tap_has_all_from_server_init_on_and_replays_as_it_was(step: int) -> None:
    assert STREAM.startswith(HANDSHAKE)
    recorded = bytearray()
    session = RfbSession(tap=recorded.extend)
    feed(session, STREAM, step)
    assert bytes(recorded) == STREAM[len(HANDSHAKE) :]
    replayed = RfbSession(replay=True)
    feed(replayed, bytes(recorded), step)
    assert replayed.take_output() == b""
    assert np.array_equal(framebuffer(replayed).pixels, framebuffer(session).pixels)
    assert [type(event) for event in replayed.take_events()] == [type(event) for event in session.take_events()]


def test_the_tap_sees_what_is_received_into_the_framebuffer() -> None:
    recorded = bytearray()
    session = RfbSession(tap=recorded.extend)
    data = srv.update(srv.raw(100, 7, srv.picture(1000, 500)), srv.raw(0, 0, srv.picture(1920, 300)))
    feed(session, srv.greeting_38(1920, 1080) + data, 100_003)
    assert bytes(recorded) == srv.server_init(1920, 1080) + data


def test_a_replay_says_nothing_whatever_is_asked() -> None:
    session = RfbSession(replay=True)
    feed(session, srv.server_init(8, 8) + srv.update(srv.extended_size(8, 8)))
    session.request_size(100, 100)
    session.send_key(30, 97, True)
    session.set_choice(EncodingChooser().choice)
    assert session.take_output() == b""
    assert session.phase is Phase.IDLE


# --- runs of raw rectangles -----------------------------------------------------------------------------------------


@given(
    st.integers(1, 20),
    st.integers(1, 20),
    st.lists(st.tuples(st.integers(0, 44), st.integers(0, 44)), min_size=1, max_size=60),
    st.integers(0, 400),
)
def test_runs_are_as_one_after_the_other(width: int, height: int, places: list[tuple[int, int]], step: int) -> None:
    """Of one size and overlapping, whatever the segmentation; the damage covers all of it."""
    session = connected(64, 64)
    expected = np.zeros((64, 64, 4), np.uint8)
    rects = []
    for seed, (x, y) in enumerate(places):
        pixels = srv.picture(width, height, seed)
        rects.append(srv.raw(x, y, pixels))
        expected[y : y + height, x : x + width] = pixels
    feed(session, srv.update(*rects), step)
    assert np.array_equal(framebuffer(session).pixels, expected)
    covered = np.zeros((64, 64), bool)
    for rect in session.damage.take():
        covered[rect.y : rect.y + rect.height, rect.x : rect.x + rect.width] = True
    for x, y in places:
        assert covered[y : y + height, x : x + width].all()
    assert session.phase is Phase.IDLE


def test_a_run_ends_where_the_size_changes() -> None:
    session = connected(64, 64)
    expected = np.zeros((64, 64, 4), np.uint8)
    rects = []
    for index, size in enumerate([4, 4, 4, 5, 5, 4, 6, 6]):
        pixels = srv.picture(size, size, index)
        expected[0:size, index * 8 : index * 8 + size] = pixels
        rects.append(srv.raw(index * 8, 0, pixels))
    feed(session, srv.update(*rects[:3], srv.extended_size(64, 64), *rects[3:]))
    assert np.array_equal(framebuffer(session).pixels, expected)


@pytest.mark.parametrize(("x", "y"), [(61, 0), (0, 61), (65535, 0)])
def test_a_run_with_one_outside(x: int, y: int) -> None:
    session = connected(64, 64)
    good = [srv.raw(i, i, srv.picture(4, 4)) for i in range(20)]
    with pytest.raises(RfbError, match=f"x={x}" if x else f"y={y}"):
        feed(session, srv.update(*good, srv.raw(x, y, srv.picture(4, 4)), *good))


def test_rectangles_without_pixels_in_a_row() -> None:
    session = connected(64, 64)
    feed(session, srv.update(*[srv.rect(64, 0, 0, 7, srv.RAW)] * 30, *[srv.rect(0, 0, 7, 0, srv.RAW)] * 30))
    assert session.take_events() == [UpdateEnded(False)]


def test_a_resize_within_a_run() -> None:
    session = connected(16, 16)
    tile = srv.picture(4, 4)
    feed(session, srv.update(*[srv.raw(0, 0, tile)] * 4, srv.extended_size(32, 8), *[srv.raw(28, 4, tile)] * 4))
    assert any(isinstance(event, Resized) for event in session.take_events())
    assert np.array_equal(framebuffer(session).pixels[4:8, 28:32], tile)
    assert wire.RECT.size == 12
