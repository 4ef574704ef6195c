"""Few bytes that ask for very much work, and streams that never come to an end: bounded, and interruptible."""

from __future__ import annotations

import struct
import sys
import tracemalloc
from itertools import pairwise
from types import FrameType

import numpy as np
import pytest

from guivm.console.rfb.decoders.gradient import undo_gradient
from guivm.console.rfb.errors import RfbError
from guivm.console.rfb.limits import BUFFER_BYTES, MAX_ANSWER_BYTES, RECT_PIXELS, WORK_PIXELS
from guivm.console.rfb.session import Phase, RfbSession
from guivm.console.rfb.wire import Encoding
from tests.helpers import rfb_server as srv
from tests.helpers.hostile_server import MIB, STORMS, Recorded, fill, packed, recorded, tight
from tests.helpers.rfb_feed import connected, feed, framebuffer


class Steps:
    """Counts the calls of Python functions and of C functions while it is on: work, whatever the machine does."""

    def __init__(self) -> None:
        self.count = 0

    def _on_event(self, _frame: FrameType, event: str, _value: object) -> None:
        if event in ("call", "c_call"):
            self.count += 1

    def __enter__(self) -> Steps:
        self._before = sys.getprofile()
        sys.setprofile(self._on_event)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(self._before)


@pytest.mark.parametrize("storm", STORMS)
def test_storms_are_taken_in_their_stride(storm: str) -> None:
    """Twice over, so that it may go on for ever; events, answers and damage stay bounded between two looks."""
    session = RfbSession(pauses=True)
    feed(session, srv.greeting_38(200, 120))
    data = STORMS[storm](200, 120)
    view = memoryview(data * 2)
    while view or session.is_paused:
        assert len(session.take_output()) <= MAX_ANSWER_BYTES
        assert len(session.take_events()) <= BUFFER_BYTES // 4
        assert len(session.damage.take()) <= 41
        part, view = view[: BUFFER_BYTES // 2], view[BUFFER_BYTES // 2 :]
        feed(session, bytes(part))
        if session.is_paused and not part:
            session.received(0)
    assert session.phase is Phase.IDLE
    fb = framebuffer(session)
    assert (fb.width, fb.height) == (200, 120)


def test_filling_the_screen_again_and_again_is_interrupted() -> None:
    """Ten thousand pixels for each 16 bytes. Whoever drives the session has a turn before it goes on where it was."""
    session = RfbSession(pauses=True)
    feed(session, srv.greeting_38(100, 100))
    count = 20_000
    data = srv.update(count=count) + b"".join(fill(100, 100, i.to_bytes(3, "big")) for i in range(count))
    space = session.buffers()[0]
    space[: len(data)] = data
    session.received(len(data))
    seen: list[int] = []
    while session.is_paused:
        assert session.phase is Phase.MESSAGE
        seen.append(int.from_bytes(framebuffer(session).pixels[99, 99, :3].tobytes(), "little"))
        session.received(0)
    at_once = WORK_PIXELS // (10_000 + RECT_PIXELS)
    assert len(seen) >= count // (at_once + 1)
    assert all(0 < later - earlier <= at_once + 1 for earlier, later in pairwise(seen))
    assert session.phase is Phase.IDLE
    assert int.from_bytes(framebuffer(session).pixels[0, 0, :3].tobytes(), "little") == count - 1


def test_65535_rectangles_and_no_last_one() -> None:
    """The number in the header is all there is; what follows is the next message."""
    session = connected(8, 8)
    dot = srv.raw(7, 7, srv.picture(1, 1))
    feed(session, srv.update(*[dot] * 0xFFFF))
    assert session.phase is Phase.IDLE
    with pytest.raises(RfbError, match="unknown type 7"):
        feed(session, b"\x07")


@pytest.mark.parametrize(
    "rect",
    [
        srv.rect(0, 0, 0, 0, srv.RAW),
        srv.rect(8, 8, 0, 0, srv.RAW),
        srv.rect(0, 0, 0, 8, Encoding.HEXTILE),
        srv.rect(0, 0, 8, 0, Encoding.RRE, bytes(8)),
        srv.rect(0, 0, 0, 0, srv.EXTENDED_KEY),
        srv.rect(0, 0, 0, 0, srv.CURSOR),
        srv.rect(0, 0, 8, 8, srv.DESKTOP_SIZE),
        srv.extended_size(8, 8),
        srv.rect(0, 0, 0, 0, srv.DESKTOP_NAME, bytes(4)),
    ],
)
def test_rectangles_with_nothing_in_them(rect: bytes) -> None:
    session = connected(8, 8)
    with Steps() as steps:
        feed(session, srv.update(*[rect] * 5000))
    assert session.phase is Phase.IDLE
    assert not session.damage
    assert steps.count <= 5000 * 60


@pytest.mark.parametrize(
    ("encoding", "body", "words"),
    [
        # Each covers all of the rectangle, as often as it is allowed to; then once more.
        (Encoding.RRE, struct.pack(">I4x", 16) + struct.pack(">IHHHH", 9, 0, 0, 256, 256) * 16, ""),
        (Encoding.RRE, struct.pack(">I4x", 17) + struct.pack(">IHHHH", 9, 0, 0, 256, 256) * 17, "more than 16 times"),
        (Encoding.HEXTILE, (b"\x0a\0\0\0\0\xff" + b"\0\xff" * 255) * 256, ""),
        (Encoding.HEXTILE, (b"\x1a\0\0\0\0\xff" + b"abcd\0\xff" * 255) * 256, ""),
        (Encoding.ZRLE, packed((b"\x80" + b"abc\0" * 4096) * 16), ""),
        (Encoding.ZRLE, packed((b"\xff" + bytes(381) + b"\x80\0" * 4096) * 16), ""),
        (Encoding.ZRLE, packed(b"\x01abc" * 16), ""),
        (Encoding.TIGHT, tight(0x40, b"\x02", bytes([255, 1, 0] * (256 * 256))), ""),
    ],
)
def test_the_most_work_for_the_fewest_bytes(encoding: int, body: bytes, words: str) -> None:
    """Steps and memory go with the pixels of the rectangle, whatever it claims."""
    session = connected(256, 256)
    data = srv.update(srv.rect(0, 0, 256, 256, encoding, body))
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        with Steps() as steps:
            if words:
                with pytest.raises(RfbError, match=words):
                    feed(session, data)
            else:
                feed(session, data)
        assert tracemalloc.get_traced_memory()[1] - before < 40 * MIB
    finally:
        tracemalloc.stop()
    assert steps.count <= 256 * 256


@pytest.mark.parametrize(("width", "height"), [(17, 5140), (20, 4300), (40, 2000), (256, 340)])
def test_differences_that_are_clamped_all_the_time(width: int, height: int) -> None:
    """High and narrow: memory must not go with the square of the height."""
    differences = np.full((height, width, 3), 255, np.uint8)
    differences[:, ::2] = 1
    differences[::2, 1::3] = 128
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        undo_gradient(differences, np.zeros((width, 3), np.uint8))
        assert tracemalloc.get_traced_memory()[1] - before < 8 * MIB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("stream", recorded(8000), ids=lambda stream: stream.name)
def test_work_goes_with_bytes(stream: Recorded) -> None:
    """One byte at a time costs no more than so many steps for each byte: nothing is begun anew again and again."""
    session = RfbSession()
    feed(session, stream.greeting)
    data = b"".join(stream.messages)
    with Steps() as steps:
        feed(session, data, 1)
    assert steps.count <= 20_000 + 60 * len(data)
