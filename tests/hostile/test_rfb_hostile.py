"""Servers that lie: each line ends in a diagnosed error that names the cause, before memory is set aside for it.

The list is CONSOLE.md's, as far as the encodings we ask for go.
"""

from __future__ import annotations

import struct
import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guivm.console.rfb.errors import RfbError
from guivm.console.rfb.session import Phase, RfbSession
from tests.helpers import rfb_server as srv
from tests.helpers.rfb_feed import connected, feed, framebuffer
from tests.unit.test_rfb_session import STREAM


def _format(bpp: int = 32, depth: int = 24, maximum: int = 255, red: int = 16, green: int = 8) -> bytes:
    return struct.pack(">BBBBHHHBBBxxx", bpp, depth, 0, 1, maximum, 255, 255, red, green, 0)


def _init(pixel_format: bytes = srv.SERVER_FORMAT, width: int = 8, height: int = 8, name_length: int = 0) -> bytes:
    return (
        srv.VERSION_38
        + b"\x01\x01\0\0\0\0"
        + struct.pack(">HH", width, height)
        + pixel_format
        + struct.pack(">I", name_length)
    )


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"HTTP/1.1 400", "no VNC server"),
        (b"RFB 003.00x\n", "no VNC server"),
        (b"RFB 002.002\n", "older than 3.3"),
        (srv.VERSION_38 + b"\0\xff\xff\xff\xff", "4294967295 bytes"),
        (srv.VERSION_38 + b"\x01\x01\0\0\0\x01\x7f\xff\xff\xff", "2147483647 bytes"),
        (_init(width=0), "0 by 8"),
        (_init(height=0), "8 by 0"),
        (_init(width=16385), "16385 by 8"),
        (_init(height=65535), "8 by 65535"),
        (_init(name_length=65537), "a name of 65537 bytes"),
        (_init(name_length=0xFFFFFFFF), "a name of 4294967295 bytes"),
        (_init(_format(bpp=0)), "0 bits"),
        (_init(_format(bpp=24)), "24 bits"),
        (_init(_format(bpp=255)), "255 bits"),
        (_init(_format(depth=0)), "depth of 0"),
        (_init(_format(depth=33)), "depth of 33"),
        (_init(_format(maximum=0)), "maximum 0"),
        (_init(_format(maximum=254)), "maximum 254"),
        (_init(_format(red=255)), "bit 255"),
        (_init(_format(red=25)), "bit 25"),
        (_init(_format(green=16)), "overlap"),
    ],
)
def test_handshake(data: bytes, cause: str) -> None:
    with pytest.raises(RfbError, match=cause):
        feed(RfbSession(), data)


_COLOURS = b"\x01\0"


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        # rectangles outside the framebuffer, per axis
        (srv.update(srv.rect(1, 0, 100, 1, srv.RAW)), "x=1, 100 pixels wide, on a screen 100 pixels wide"),
        (srv.update(srv.rect(0, 1, 1, 50, srv.RAW)), "y=1, 50 pixels high, on a screen 50 pixels high"),
        (srv.update(srv.rect(0xFFFF, 0, 0xFFFF, 1, srv.RAW)), "x=65535"),
        (srv.update(srv.rect(0, 0xFFFF, 1, 0xFFFF, srv.RAW)), "y=65535"),
        (srv.update(srv.rect(101, 0, 0, 0, srv.RAW)), "x=101"),
        (srv.update(srv.rect(0, 0, 101, 1, srv.COPY_RECT)), "101 pixels wide"),
        # copies from outside (CVE-2019-15692, CVE-2017-5884)
        (srv.update(srv.rect(0, 0, 10, 10, srv.COPY_RECT, struct.pack(">HH", 91, 0))), "a copy from x=91"),
        (srv.update(srv.rect(0, 0, 10, 10, srv.COPY_RECT, struct.pack(">HH", 0, 41))), "a copy from y=41"),
        (srv.update(srv.rect(0, 0, 1, 1, srv.COPY_RECT, b"\xff\xff\xff\xff")), "a copy from x=65535"),
        # cursors
        (srv.update(srv.rect(0, 0, 257, 1, srv.CURSOR)), "a cursor of 257 by 1"),
        (srv.update(srv.rect(0, 0, 1, 257, srv.CURSOR)), "a cursor of 1 by 257"),
        (srv.update(srv.rect(0, 0, 0xFFFF, 0xFFFF, srv.ALPHA_CURSOR)), "a cursor of 65535 by 65535"),
        (srv.update(srv.rect(0, 0, 1, 1, srv.ALPHA_CURSOR, struct.pack(">i", 7))), "a cursor in encoding 7"),
        # sizes
        (srv.update(srv.rect(0, 0, 0, 5, srv.DESKTOP_SIZE)), "0 by 5"),
        (srv.update(srv.rect(0, 0, 16385, 5, srv.DESKTOP_SIZE)), "16385 by 5"),
        (srv.update(srv.extended_size(5, 0xFFFF)), "5 by 65535"),
        # a resize to something smaller, then a rectangle of the old size
        (srv.update(srv.rect(0, 0, 10, 10, srv.DESKTOP_SIZE), srv.rect(0, 0, 100, 50, srv.RAW)), "10 pixels wide"),
        # lengths (CVE-2019-15694, -15690)
        (srv.update(srv.rect(0, 0, 0, 0, srv.DESKTOP_NAME, b"\xff\xff\xff\xff")), "a name of 4294967295"),
        (b"\x03\0\0\0\x00\x10\x00\x01", "a clipboard text of 1048577"),
        (b"\x03\0\0\0\xff\xff\xff\xff", "a clipboard text of -1 bytes"),
        (b"\x03\0\0\0\x80\0\0\0", "a clipboard text of -2147483648"),
        # the range of colours (CVE-2017-5885)
        (_COLOURS + struct.pack(">HH", 255, 2), "2 colours from number 255"),
        (_COLOURS + struct.pack(">HH", 0xFFFF, 0xFFFF), "65535 colours"),
        # unknown and not asked for
        (b"\x04", "unknown type 4"),
        (b"\xfe", "unknown type 254"),
        (b"\xff\x02", "QEMU's of unknown type 2"),
        (b"\xff\x01\0\x03", "a sound message of unknown kind 3"),
        (b"\xff\x01\0\x02\x00\x10\x00\x01", "a piece of sound of 1048577 bytes"),
        (srv.update(srv.rect(0, 0, 1, 1, 4)), "encoding 4, which we did not ask for"),
        (srv.update(srv.rect(0, 0, 1, 1, 17)), "encoding 17"),
        (srv.update(srv.rect(0, 0, 0, 0, -312)), "encoding -312"),
        (srv.update(srv.rect(0, 0, 0, 0, -2147483648)), "encoding -2147483648"),
    ],
)
def test_messages(data: bytes, cause: str) -> None:
    session = connected(100, 50)
    with pytest.raises(RfbError, match=cause) as caught:
        feed(session, data)
    assert caught.value.advice
    assert session.phase is Phase.FAILED


def test_claims_cost_no_memory() -> None:
    """Half a gigabyte of picture announced and not sent: only what was sent is ever touched."""
    tracemalloc.start()
    try:
        session = connected(1000, 1000)
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        for data in (
            srv.update(count=0xFFFF) + srv.rect(0, 0, 1000, 1000, srv.RAW),
            bytes(1000),
        ):
            feed(session, data)
        assert tracemalloc.get_traced_memory()[1] - before < 100_000
    finally:
        tracemalloc.stop()


def test_65535_rectangles() -> None:
    session = connected(64, 64)
    one = srv.raw(5, 5, srv.picture(1, 1))
    feed(session, srv.update(*[one] * 0xFFFF))
    assert session.phase is Phase.IDLE
    assert len(session.damage.take()) == 1


def test_scattered_damage_stays_a_few_rectangles() -> None:
    session = connected(640, 640)
    dots = [srv.raw(x, y, srv.picture(1, 1)) for y in range(0, 640, 10) for x in range(0, 640, 10)]
    feed(session, srv.update(*dots))
    damage = session.damage.take()
    assert len(damage) <= 16
    covered = {
        (x, y)
        for x in range(0, 640, 10)
        for y in range(0, 640, 10)
        if any(r.x <= x < r.x + r.width and r.y <= y < r.y + r.height for r in damage)
    }
    assert len(covered) == len(dots)


def test_storms_of_events_are_read() -> None:
    session = connected(8, 8)
    feed(session, b"\x02" * 10_000 + (b"\x03\0\0\0" + struct.pack(">I", 4) + b"spam") * 1000)
    feed(session, b"".join(srv.update(srv.rect(0, 0, 8 + i % 2, 8, srv.DESKTOP_SIZE)) for i in range(1000)))
    assert session.phase is Phase.IDLE


@pytest.mark.parametrize("cut", range(0, len(STREAM), 97))
def test_closing_anywhere_is_diagnosed(cut: int) -> None:
    session = RfbSession()
    feed(session, STREAM[:cut])
    error = session.ended()
    assert error.summary
    assert error.advice


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_mutated_streams_end_in_an_rfb_error_or_not_at_all(data: st.DataObject) -> None:
    stream = bytearray(STREAM)
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(stream) - 1))
        stream[position] = data.draw(st.integers(0, 255))
    session = RfbSession()
    try:
        feed(session, bytes(stream), step=data.draw(st.sampled_from([0, 1, 13, 4096])))
    except RfbError as error:
        assert error.cause  # noqa: PT017 - either outcome is right; a wrong one is any other exception
    if session.framebuffer is not None:
        assert framebuffer(session).pixels.nbytes == session.framebuffer.width * session.framebuffer.height * 4
