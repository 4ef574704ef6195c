"""The RFB session over bytes: handshakes, messages, segmentation, what it asks for and when."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guivm.console.frame import ClipboardPolicy, KeyboardLeds, PointerButton, PointerMode, Rect
from guivm.console.rfb import wire
from guivm.console.rfb.errors import RfbAuthError, RfbEndError, RfbError
from guivm.console.rfb.events import (
    Bell,
    CursorChanged,
    CutText,
    LedsChanged,
    NameChanged,
    PointerModeChanged,
    Resized,
    UpdateEnded,
)
from guivm.console.rfb.session import Phase, RfbSession
from tests.helpers import rfb_server as srv
from tests.helpers.rfb_feed import connected, feed, framebuffer


def test_handshake_3_8_without_password() -> None:
    session = RfbSession()
    feed(session, srv.VERSION_38)
    assert session.take_output() == srv.VERSION_38
    feed(session, b"\x02\x02\x01")
    assert session.take_output() == b"\x01", "no password is asked for where none is needed"
    feed(session, b"\0\0\0\0")
    assert session.take_output() == b"\x01", "ClientInit shares the display"
    feed(session, srv.server_init(640, 480, b"QEMU (Debian)"))
    output = session.take_output()
    assert output[:20] == wire.set_pixel_format()
    assert output[-10:] == struct.pack(">BBHHHH", 3, 0, 0, 0, 640, 480)
    events = session.take_events()
    assert events[0] == NameChanged("QEMU (Debian)")
    assert isinstance(events[1], Resized)
    assert framebuffer(session).pixels.shape == (480, 640, 4)
    assert session.phase is Phase.IDLE


@pytest.mark.parametrize(
    ("version", "answer", "rest"),
    [
        (b"RFB 003.003\n", b"RFB 003.003\n", b"\0\0\0\x01"),
        (b"RFB 003.005\n", b"RFB 003.003\n", b"\0\0\0\x01"),
        (b"RFB 003.007\n", b"RFB 003.007\n", b"\x01\x01"),
        (b"RFB 003.008\n", b"RFB 003.008\n", b"\x01\x01\0\0\0\0"),
        (b"RFB 003.889\n", b"RFB 003.008\n", b"\x01\x01\0\0\0\0"),
        (b"RFB 004.001\n", b"RFB 003.008\n", b"\x01\x01\0\0\0\0"),
    ],
)
def test_versions(version: bytes, answer: bytes, rest: bytes) -> None:
    session = RfbSession()
    feed(session, version + rest + srv.server_init(8, 8))
    assert session.take_output().startswith(answer)
    assert session.phase is Phase.IDLE


def test_vnc_password() -> None:
    """Challenge and answer computed with OpenSSL's des-ecb over the reversed key bits of "secret"."""
    session = RfbSession("secret")
    feed(session, srv.VERSION_38 + b"\x01\x02")
    session.take_output()
    challenge = bytes(range(16))
    feed(session, challenge)
    assert session.take_output().hex() == "ee22539f33a5983ec12f9c2edbc995dd"
    feed(session, b"\0\0\0\0" + srv.server_init(8, 8))
    assert session.phase is Phase.IDLE


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (srv.VERSION_38 + b"\0" + struct.pack(">I", 5) + b"go\n\x1b!", "go"),
        (srv.VERSION_38 + b"\x01\x02", "password"),
        (srv.VERSION_38 + b"\x02\x1e\x10", "30, 16"),
        (srv.VERSION_38 + b"\x01\x01\0\0\0\x01" + struct.pack(">I", 4) + b"nope", "nope"),
        (b"RFB 003.003\n\0\0\0\0" + struct.pack(">I", 4) + b"busy", "busy"),
        (b"RFB 003.003\n\0\0\0\x02", "password"),
    ],
)
def test_refusals_say_why(data: bytes, words: str) -> None:
    with pytest.raises(RfbAuthError, match=words):
        feed(RfbSession(), data)


def test_wrong_password() -> None:
    session = RfbSession("guess")
    with pytest.raises(RfbAuthError, match="Authentication failed"):
        feed(session, srv.VERSION_38 + b"\x01\x02" + bytes(16) + b"\0\0\0\x01\0\0\0\x15Authentication failed")


def test_next_request_goes_out_on_the_header() -> None:
    session = connected(4, 4)
    feed(session, srv.update(count=1)[:4])
    assert session.take_output() == wire.update_request(4, 4, incremental=True)
    feed(session, srv.raw(0, 0, srv.picture(4, 4)))
    assert session.take_output() == b""


def test_no_request_while_not_wanted_and_one_when_wanted_again() -> None:
    session = connected(4, 4)
    session.set_updates_wanted(False)
    feed(session, srv.update(srv.raw(0, 0, srv.picture(4, 4))))
    assert session.take_output() == b""
    session.set_updates_wanted(True)
    assert session.take_output() == wire.update_request(4, 4, incremental=True)
    session.set_updates_wanted(True)
    assert session.take_output() == b"", "one request is under way already"


@pytest.mark.parametrize("width", [16, 700, 1024])
@pytest.mark.parametrize("height", [1, 60, 300])
def test_raw_of_every_size_lands_where_it_belongs(width: int, height: int) -> None:
    """Through the buffer, in bands, row by row, and as one run: see RawDecoder."""
    session = connected(1024, 400)
    x, y = (1024 - width) // 2, 50
    pixels = srv.picture(width, height)
    feed(session, srv.update(srv.raw(x, y, pixels)), step=100_003)
    expected = np.zeros((400, 1024, 4), np.uint8)
    expected[y : y + height, x : x + width] = pixels
    assert np.array_equal(framebuffer(session).pixels, expected)
    assert session.take_events() == [UpdateEnded(True)]
    assert [(r.x, r.y, r.width, r.height) for r in session.damage.take()] == [(x, y, width, height)]


def test_large_raw_is_received_into_the_framebuffer() -> None:
    session = connected(1920, 1080)
    feed(session, srv.update(count=1) + srv.rect(0, 0, 1920, 1080, srv.RAW))
    (target,) = session.buffers()
    assert len(target) == 1920 * 1080 * 4
    target[0:4] = b"\x01\x02\x03\x00"
    assert framebuffer(session).pixels[0, 0].tolist() == [1, 2, 3, 0]


def test_wide_raw_is_received_row_by_row() -> None:
    session = connected(1920, 1080)
    feed(session, srv.update(count=1) + srv.rect(100, 7, 1000, 500, srv.RAW))
    targets = session.buffers()
    assert len(targets) > 1
    assert {len(target) for target in targets} == {4000}


def test_copy_rect_with_overlap() -> None:
    session = connected(32, 32)
    pixels = srv.picture(32, 32)
    feed(session, srv.update(srv.raw(0, 0, pixels)))
    feed(session, srv.update(srv.rect(3, 5, 20, 20, srv.COPY_RECT, struct.pack(">HH", 0, 0))))
    expected = pixels.copy()
    expected[5:25, 3:23] = pixels[0:20, 0:20]
    assert np.array_equal(framebuffer(session).pixels, expected)


def test_empty_rectangles_change_nothing() -> None:
    session = connected(8, 8)
    feed(session, srv.update(srv.rect(8, 8, 0, 0, srv.RAW), srv.rect(0, 0, 0, 8, srv.COPY_RECT, bytes(4))))
    assert session.take_events() == [UpdateEnded(False)]
    assert not session.damage


def test_masked_cursor() -> None:
    session = connected(8, 8)
    pixels = srv.picture(9, 2)
    mask = bytes([0b10000000, 0b10000000, 0b01000001, 0])
    feed(session, srv.update(srv.rect(2, 1, 9, 2, srv.CURSOR, pixels.tobytes() + mask)))
    event = session.take_events()[0]
    assert isinstance(event, CursorChanged)
    shape = event.cursor
    assert shape is not None
    assert (shape.width, shape.height, shape.hot_x, shape.hot_y) == (9, 2, 2, 1)
    assert np.array_equal(shape.pixels[:, :, :3], pixels[:, :, :3])
    assert shape.pixels[:, :, 3].tolist() == [[255, 0, 0, 0, 0, 0, 0, 0, 255], [0, 255, 0, 0, 0, 0, 0, 255, 0]]
    assert not shape.pixels.flags.writeable


def test_cursor_hot_spot_outside_is_brought_inside() -> None:
    session = connected(8, 8)
    feed(session, srv.update(srv.rect(60000, 5, 1, 1, srv.CURSOR, bytes(4) + b"\x80")))
    event = session.take_events()[0]
    assert isinstance(event, CursorChanged)
    assert event.cursor is not None
    assert (event.cursor.hot_x, event.cursor.hot_y) == (0, 0)


def test_hidden_cursor() -> None:
    session = connected(8, 8)
    feed(session, srv.update(srv.rect(0, 0, 0, 0, srv.CURSOR)))
    assert session.take_events()[0] == CursorChanged(None)


def test_alpha_cursor_of_qemu_is_bgra_with_straight_alpha() -> None:
    session = connected(8, 8, b"QEMU")
    feed(session, srv.update(srv.rect(0, 0, 1, 1, srv.ALPHA_CURSOR, bytes(4) + bytes([10, 20, 30, 128]))))
    event = session.take_events()[0]
    assert isinstance(event, CursorChanged)
    assert event.cursor is not None
    assert event.cursor.pixels[0, 0].tolist() == [10, 20, 30, 128]


def test_alpha_cursor_of_others_is_rgba_premultiplied() -> None:
    session = connected(8, 8, b"somewhere:1")
    body = bytes(4) + bytes([10, 20, 30, 51]) + bytes([9, 9, 9, 0])
    feed(session, srv.update(srv.rect(0, 0, 2, 1, srv.ALPHA_CURSOR, body)))
    event = session.take_events()[0]
    assert isinstance(event, CursorChanged)
    assert event.cursor is not None
    assert event.cursor.pixels[0, 0].tolist() == [150, 100, 50, 51]


def test_resize_makes_a_new_framebuffer_and_asks_for_all_of_it() -> None:
    session = connected(8, 8)
    before = framebuffer(session)
    feed(session, srv.update(srv.rect(0, 0, 20, 10, srv.DESKTOP_SIZE)))
    after = framebuffer(session)
    assert after is not before
    assert (after.width, after.height) == (20, 10)
    assert session.take_output() == (
        wire.update_request(8, 8, incremental=True) + wire.update_request(20, 10, incremental=False)
    )


def test_same_size_again_is_no_resize() -> None:
    """QEMU answers every full request with the size it has; asking again for that would never end."""
    session = connected(8, 8)
    before = framebuffer(session)
    feed(session, srv.update(srv.extended_size(8, 8), srv.raw(0, 0, srv.picture(8, 8))))
    assert framebuffer(session) is before
    assert session.take_output() == wire.update_request(8, 8, incremental=True)


def test_resize_between_rectangles() -> None:
    session = connected(8, 8)
    pixels = srv.picture(20, 10)
    feed(session, srv.update(srv.raw(0, 0, srv.picture(8, 8)), srv.extended_size(20, 10), srv.raw(0, 0, pixels)))
    assert np.array_equal(framebuffer(session).pixels, pixels)


def test_refused_set_desktop_size_changes_nothing() -> None:
    session = connected(8, 8)
    feed(session, srv.update(srv.extended_size(20, 10, reason=1, status=3)))
    assert framebuffer(session).width == 8


def test_last_rect_ends_the_update() -> None:
    session = connected(8, 8)
    feed(session, srv.update(srv.raw(0, 0, srv.picture(8, 8)), srv.rect(0, 0, 0, 0, srv.LAST_RECT), count=0xFFFF))
    assert session.take_events() == [UpdateEnded(True)]
    assert session.phase is Phase.IDLE


def test_other_pseudo_rectangles() -> None:
    session = connected(8, 8)
    feed(
        session,
        srv.update(
            srv.rect(0, 0, 0, 0, srv.POINTER_TYPE),
            srv.rect(0, 0, 0, 0, srv.LED_STATE, b"\x05"),
            srv.rect(0, 0, 0, 0, srv.DESKTOP_NAME, struct.pack(">I", 6) + "né\u202ew".encode()[:6]),
            srv.rect(0, 0, 0, 0, srv.EXTENDED_BUTTONS),
            srv.rect(0, 0, 0, 0, srv.EXTENDED_KEY),
        ),
    )
    assert session.take_events() == [
        PointerModeChanged(PointerMode.RELATIVE),
        LedsChanged(KeyboardLeds.SCROLL_LOCK | KeyboardLeds.CAPS_LOCK),
        NameChanged("né"),
        UpdateEnded(False),
    ]
    assert session.has_extended_keys
    assert session.has_extended_buttons


def test_bell_cut_text_and_colour_map() -> None:
    session = connected(8, 8)
    session.set_clipboard_policy(ClipboardPolicy.FROM_GUEST)
    feed(session, b"\x02" + b"\x03\0\0\0" + struct.pack(">I", 2) + b"h\xe9" + b"\x01\0" + struct.pack(">HH", 254, 2))
    feed(session, bytes(12) + b"\x02")
    assert session.take_events() == [Bell(), CutText("hé"), Bell()]


def test_keys_with_and_without_key_numbers() -> None:
    session = connected(8, 8)
    session.send_key(30, 0x61, True)
    assert session.take_output() == struct.pack(">BBxxI", 4, 1, 0x61)
    session.send_key(30, 0, True)
    assert session.take_output() == b"", "a server that knows only keysyms cannot be told of one without"
    feed(session, srv.update(srv.rect(0, 0, 0, 0, srv.EXTENDED_KEY)))
    session.take_output()
    session.send_key(97, 0xFFE4, True)
    assert session.take_output() == struct.pack(">BBHII", 255, 0, 1, 0xFFE4, 0x9D)
    session.send_key(30, 0, False)
    assert session.take_output() == struct.pack(">BBHII", 255, 0, 0, 0, 30)


def test_pointer_is_clamped_and_says_eight_buttons() -> None:
    session = connected(100, 50)
    session.send_pointer(200, -3, PointerButton.LEFT | PointerButton.BACK | PointerButton.FORWARD)
    assert session.take_output() == struct.pack(">BBHH", 5, 0x81, 99, 0)


def test_pointer_with_extended_buttons() -> None:
    session = connected(100, 50)
    feed(session, srv.update(srv.rect(0, 0, 0, 0, srv.EXTENDED_BUTTONS)))
    session.take_output()
    session.send_pointer(1, 2, PointerButton.LEFT)
    assert session.take_output() == struct.pack(">BBHH", 5, 1, 1, 2)
    session.send_pointer(1, 2, PointerButton.LEFT | PointerButton.FORWARD)
    assert session.take_output() == struct.pack(">BBHHB", 5, 0x81, 1, 2, 2)


def test_relative_pointer() -> None:
    session = connected(100, 50)
    feed(session, srv.update(srv.rect(0, 0, 0, 0, srv.POINTER_TYPE)))
    session.take_output()
    session.send_pointer(-5, 7, PointerButton.NONE)
    assert session.take_output() == struct.pack(">BBHH", 5, 0, 0x7FFF - 5, 0x7FFF + 7)


def test_end_says_where() -> None:
    session = connected(8, 8)
    assert isinstance(session.ended(), RfbEndError)
    assert "middle" not in str(session.ended())
    feed(session, b"\0")
    assert "in the middle of a message" in str(session.ended())
    assert "handshake" in str(RfbSession().ended())


STREAM = b"".join(
    [
        srv.greeting_38(40, 30),
        srv.update(srv.rect(1, 0, 0, 0, srv.POINTER_TYPE), srv.rect(0, 0, 0, 0, srv.EXTENDED_KEY)),
        srv.update(srv.extended_size(40, 30), srv.raw(0, 0, srv.picture(40, 30))),
        b"\x02",
        srv.update(srv.rect(1, 1, 3, 3, srv.CURSOR, bytes(36) + b"\xa0\x40\xa0")),
        srv.update(
            srv.rect(2, 2, 10, 10, srv.COPY_RECT, struct.pack(">HH", 5, 5)), srv.raw(7, 7, srv.picture(5, 5, 2))
        ),
        srv.update(srv.extended_size(50, 20), srv.raw(0, 0, srv.picture(50, 20, 3))),
        b"\x03\0\0\0" + struct.pack(">I", 3) + b"abc",
        srv.clipboard(0x1F000001, bytes(4)),
        srv.clipboard(0x08000001),
        b"\xfa\0\x01\x01",
        srv.update(srv.rect(0, 0, 0, 0, srv.SOUND), srv.rect(0, 0, 0, 0, srv.LED_STATE, b"\x04")),
        b"\xff\x01\0\x01" + b"\xff\x01\0\x02\0\0\0\x08SOUNDING" + b"\xff\x01\0\0",
        srv.update(*[srv.raw(x, 3, srv.picture(4, 4, x)) for x in range(0, 44, 3)], srv.raw(0, 0, srv.picture(3, 4))),
        srv.update(srv.extended_size(50, 20, reason=1, status=3)),
        srv.update(srv.rect(0, 0, 50, 1, srv.RAW, bytes(200)), srv.rect(0, 0, 0, 0, srv.LAST_RECT), count=900),
    ]
)


def _play(step: int) -> tuple[list[str], bytes, bytes]:
    session = RfbSession()
    feed(session, STREAM, step=step)
    return (
        [type(event).__name__ for event in session.take_events()],
        session.take_output(),
        framebuffer(session).pixels.tobytes(),
    )


@pytest.mark.parametrize("step", [1, 2, 3, 7, 64, 1000])
def test_segmentation_does_not_matter(step: int) -> None:
    assert _play(step) == _play(len(STREAM))


@given(st.lists(st.integers(1, 200), min_size=1, max_size=400))
def test_any_segmentation(sizes: list[int]) -> None:
    session = RfbSession()
    position = 0
    for size in sizes:
        feed(session, STREAM[position : position + size])
        position += size
    feed(session, STREAM[position:])
    assert framebuffer(session).pixels.tobytes() == _play(len(STREAM))[2]


def test_the_session_is_over_after_an_error() -> None:
    session = connected(8, 8)
    with pytest.raises(RfbError, match="unknown type 77"):
        feed(session, b"\x4d")
    assert session.phase is Phase.FAILED


def test_a_session_goes_on_from_a_snapshot() -> None:
    """Sizes, names and pixels; the state of compressed streams is in test_recording_playback."""
    first = RfbSession(replay=True)
    feed(first, srv.server_init(16, 8, b"QEMU (Debian)"))
    assert first.phase is Phase.IDLE
    feed(first, srv.update(srv.raw(0, 0, srv.picture(16, 8))))
    snapshot = first.snapshot()
    assert snapshot is not None
    rest = srv.update(srv.raw(4, 2, srv.picture(3, 3)))
    feed(first, rest[:20])
    assert first.snapshot() is None, "in the middle of a message"
    feed(first, rest[20:])
    for _ in range(2):  # what one session does to it is not seen by the next
        second = RfbSession(replay=True, resume=snapshot)
        assert second.take_events() == []
        assert second.phase is Phase.IDLE
        feed(second, rest)
        assert second.name == first.name
        assert np.array_equal(framebuffer(second).pixels, framebuffer(first).pixels)
        assert second.damage.take() == [Rect(4, 2, 3, 3)]
