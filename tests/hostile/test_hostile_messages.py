"""Everything that is no pixels: texts and sounds of impossible lengths, screens outside, power nonsense, refusals."""

from __future__ import annotations

import itertools
import struct
import tracemalloc
import zlib

import pytest

from guivm.console.frame import ClipboardPolicy, Head, PointerMode, SourceFeature
from guivm.console.rfb.errors import RfbAuthError, RfbError
from guivm.console.rfb.events import (
    CursorChanged,
    CutText,
    HeadsChanged,
    NameChanged,
    Refused,
    Resized,
    SoundBegan,
    SoundData,
)
from guivm.console.rfb.limits import MAX_ANSWER_BYTES, MAX_NAME_BYTES, MAX_SOUND_BYTES, MAX_TEXT_BYTES
from guivm.console.rfb.session import Phase, RfbSession
from guivm.console.rfb.wire import Clip
from tests.helpers import rfb_server as srv
from tests.helpers.hostile_server import (
    CAPS,
    MIB,
    SOUND_BEGIN,
    SOUND_END,
    cut_text,
    name,
    provided,
    sized,
    sound,
)
from tests.helpers.rfb_feed import connected, feed


def _sharing() -> RfbSession:
    """A session that takes and gives texts, and has asked for one."""
    session = connected(64, 48)
    session.set_clipboard_policy(ClipboardPolicy.BOTH)
    feed(session, CAPS + srv.clipboard(Clip.NOTIFY | Clip.TEXT))
    session.take_events()
    session.take_output()
    return session


# --- clipboard --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [0, 1])
@pytest.mark.parametrize(
    ("message", "cause"),
    [
        (b"\x03\0\0\0" + struct.pack(">i", -3), "a clipboard text of -3 bytes"),
        (b"\x03\0\0\0" + struct.pack(">i", -1), "a clipboard text of -1 bytes"),
        (b"\x03\0\0\0" + struct.pack(">i", -(MAX_TEXT_BYTES + 4097)), "as a message"),
        (b"\x03\0\0\0" + struct.pack(">i", MAX_TEXT_BYTES + 1), "at most"),
        (b"\x03\0\0\0\x7f\xff\xff\xff", "a clipboard text of 2147483647 bytes"),
        (srv.clipboard(Clip.PROVIDE | Clip.TEXT, b"no zlib"), "cannot be unpacked"),
        (srv.clipboard(Clip.PROVIDE | Clip.TEXT), "without its length"),
        (srv.clipboard(Clip.PROVIDE | Clip.TEXT, zlib.compress(b"\0\0\0")), "without its length"),
        (provided(b"text", 5), "a clipboard text of 5 bytes that ends after 4"),
        (provided(b"text", 0xFFFFFFFF), "a clipboard text of 4294967295 bytes"),
        (provided(b"text", MAX_TEXT_BYTES + 1), "a clipboard text of 1048577 bytes"),
    ],
)
def test_texts_that_lie(message: bytes, cause: str, step: int) -> None:
    with pytest.raises(RfbError) as caught:
        feed(_sharing(), message, step)
    assert cause in caught.value.cause


def test_a_text_that_is_a_bomb() -> None:
    """A hundred megabytes in a tenth of one: no more of it is unpacked than a text may have."""
    stream = zlib.compressobj()
    bomb = stream.compress(struct.pack(">I", MAX_TEXT_BYTES + 1) + bytes(100 * MIB)) + stream.flush()
    session = _sharing()
    message = srv.clipboard(Clip.PROVIDE | Clip.TEXT, bomb)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        with pytest.raises(RfbError, match="a clipboard text"):
            feed(session, message)
        assert tracemalloc.get_traced_memory()[1] - before < 8 * MIB
    finally:
        tracemalloc.stop()


def test_a_bomb_nobody_asked_for_is_not_looked_at() -> None:
    session = connected(8, 8)
    feed(session, CAPS + srv.clipboard(Clip.PROVIDE | Clip.TEXT, b"no zlib at all"))
    assert session.phase is Phase.IDLE


@pytest.mark.parametrize("flags", [0, 0xFFFFFFFF, 0xE0FFFFFF, 1 << 31, int(Clip.CAPS | Clip.PROVIDE), 0xFFFF])
def test_flags_that_make_no_sense(flags: int) -> None:
    session = connected(8, 8)
    session.set_clipboard_policy(ClipboardPolicy.BOTH)
    feed(session, srv.clipboard(flags) + srv.clipboard(flags, bytes(range(64))))
    assert session.phase is Phase.IDLE
    assert not [event for event in session.take_events() if isinstance(event, CutText)]


def test_few_questions_for_very_much_text() -> None:
    """Each of 12 bytes asks for all of the clipboard: a bounded number of answers is made, not thousands."""
    session = _sharing()
    noise = srv.picture(256, 256).tobytes().hex()[: MAX_TEXT_BYTES // 2]
    session.send_clipboard(noise)
    session.take_output()
    with pytest.raises(RfbError, match=f"more than {MAX_ANSWER_BYTES} bytes"):
        feed(session, srv.clipboard(Clip.REQUEST | Clip.TEXT) * 1000)
    assert len(session.take_output()) <= MAX_ANSWER_BYTES


def test_questions_that_are_answered_in_time_may_go_on() -> None:
    session = connected(8, 8)
    for _ in range(450):
        feed(session, srv.update() * 1000)
        assert session.take_output()
    assert session.phase is Phase.IDLE


@pytest.mark.parametrize("text", ["\x1b[31m", "\x00\x07", "a\r\r\nb\r", "\x9b\x85", "x" * 40_000 + "\r"])
def test_texts_are_cleaned(text: str) -> None:
    session = _sharing()
    feed(session, cut_text(text.encode("latin-1")))
    (event,) = session.take_events()
    assert isinstance(event, CutText)
    assert all(c.isprintable() or c in "\n\t" for c in event.text)
    assert event.text.count("\n") == text.replace("\r\n", "\n").replace("\r", "\n").count("\n")


# --- names ------------------------------------------------------------------------------------------------


def test_names() -> None:
    session = connected(8, 8)
    long = b"\xff\xe2\x80\xae\x00\x1b" * 10_000
    feed(session, srv.update(name(b"<b>\xe2\x80\xaeQEMU\n\x1b]0;x\x07"), name(long), name(b"")))
    names = [event.name for event in session.take_events() if isinstance(event, NameChanged)]
    assert all(len(found) <= 200 and found.isprintable() for found in names)
    assert len(names) == 3
    with pytest.raises(RfbError, match=f"a name of {MAX_NAME_BYTES + 1} bytes"):
        feed(session, srv.update(name(bytes(MAX_NAME_BYTES + 1))))


# --- sizes and screens ------------------------------------------------------------------------------------


def test_255_screens_outside() -> None:
    session = connected(100, 50)
    screens = [(n, 0xFFFF - n, 0xFFFF, 0xFFFF, 0xFFFF, 0xFFFFFFFF) for n in range(255)]
    feed(session, srv.update(srv.extended_size(100, 50, screens=screens)))
    heads = [event.heads for event in session.take_events() if isinstance(event, HeadsChanged)]
    assert heads == [(Head(0, 0, 0, 100, 50),)], "the whole screen, for none of them is on it"
    session.take_output()
    for size in ((1, 1), (16384, 16384), (99999, 99999), (-5, 0), (101, 50)):
        session.request_size(*size)
    assert session.take_output(), "what is asked for can be said"


def test_no_screens_at_all() -> None:
    session = connected(100, 50)
    feed(session, srv.update(srv.extended_size(100, 50, screens=[]), srv.extended_size(50, 50, screens=[])))
    session.request_size(200, 100)
    assert session.phase is Phase.IDLE


@pytest.mark.parametrize("size", [(0, 0), (0, 50), (100, 0), (16385, 1), (1, 0xFFFF), (0xFFFF, 0xFFFF)])
def test_sizes_that_cannot_be(size: tuple[int, int]) -> None:
    rects = [srv.extended_size(*size, reason=reason) for reason in (0, 1, 2, 0xFFFF)]
    for rect in (*rects, srv.rect(0, 0, *size, srv.DESKTOP_SIZE)):
        with pytest.raises(RfbError, match=rf"a screen of {size[0]} by {size[1]} pixels \(1 to 16384 are possible\)"):
            feed(connected(100, 50), srv.update(rect))


def test_refusals_of_every_number_are_a_handful_of_sentences() -> None:
    session = connected(100, 50)
    for status in (*range(10), *range(10, 0x10000, 17)):
        feed(session, srv.update(srv.extended_size(100, 50, reason=1, status=status)))
    reasons = {event.reason for event in session.take_events() if isinstance(event, Refused)}
    assert 2 <= len(reasons) <= 5


def test_a_resize_between_rectangles_counts_at_once() -> None:
    """Each rectangle is held against the size there is when it comes."""
    session = connected(100, 50)
    grow = srv.rect(0, 0, 200, 100, srv.DESKTOP_SIZE)
    feed(session, srv.update(grow, srv.raw(150, 80, srv.picture(50, 20)), srv.extended_size(10, 10)))
    assert session.phase is Phase.IDLE
    with pytest.raises(RfbError, match="on a screen 10 pixels wide"):
        feed(session, srv.update(srv.rect(0, 0, 11, 1, srv.COPY_RECT)))


def test_a_storm_of_sizes_keeps_one_framebuffer() -> None:
    """A gigabyte each, if any of them were kept until somebody looks."""
    session = connected(8, 8)
    sizes = b"".join(srv.rect(0, 0, 4000 + i % 2, 4000, srv.DESKTOP_SIZE) for i in range(1000))
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        feed(session, srv.update(count=1000) + sizes)
        assert tracemalloc.get_traced_memory()[1] - before < 3 * 4001 * 4000 * 4
    finally:
        tracemalloc.stop()
    resized = [event for event in session.take_events() if isinstance(event, Resized)]
    assert [event.framebuffer for event in resized] == [session.framebuffer]
    feed(session, srv.update(srv.rect(0, 0, 9, 9, srv.DESKTOP_SIZE)))
    assert [e.framebuffer.width for e in session.take_events() if isinstance(e, Resized)] == [9]


# --- cursors and pointers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", [srv.CURSOR, srv.X_CURSOR, srv.ALPHA_CURSOR])
@pytest.mark.parametrize("size", [(257, 1), (1, 257), (0xFFFF, 0xFFFF), (0, 257), (257, 0)])
def test_cursors_that_are_too_large(encoding: int, size: tuple[int, int]) -> None:
    with pytest.raises(RfbError, match=f"a cursor of {size[0]} by {size[1]} pixels"):
        feed(connected(8, 8), srv.update(srv.rect(0, 0, *size, encoding)))


@pytest.mark.parametrize("encoding", [srv.CURSOR, srv.X_CURSOR, srv.ALPHA_CURSOR])
@pytest.mark.parametrize("size", [(0, 0), (0, 5), (5, 0), (256, 256)])
def test_cursors_of_odd_sizes(encoding: int, size: tuple[int, int]) -> None:
    """Without pixels they are hidden, and have no bytes; a hot spot outside comes inside."""
    width, height = size
    body = {
        srv.CURSOR: bytes(width * height * 4 + (width + 7) // 8 * height),
        srv.X_CURSOR: bytes((6 + 2 * ((width + 7) // 8) * height) if width and height else 0),
        srv.ALPHA_CURSOR: bytes(4 + width * height * 4),
    }[encoding]
    session = connected(8, 8)
    feed(session, srv.update(srv.rect(0xFFFF, 0xFFFF, width, height, encoding, body)))
    (shape,) = [event.cursor for event in session.take_events() if isinstance(event, CursorChanged)]
    if width and height:
        assert shape is not None
        assert (shape.hot_x, shape.hot_y) == (width - 1, height - 1)
    else:
        assert shape is None
    assert session.phase is Phase.IDLE


def test_pointer_modes_that_change_all_the_time() -> None:
    session = connected(8, 8)
    feed(session, srv.update(*(srv.rect(i & 1, 0xFFFF, 9, 9, srv.POINTER_TYPE) for i in range(1001))))
    assert session.pointer_mode is PointerMode.RELATIVE


# --- power and sound --------------------------------------------------------------------------------------


def test_power_nonsense() -> None:
    for version, code in itertools.product((0, 1, 255), (0, 1, 2, 3, 4, 5, 255)):
        session = connected(8, 8)
        feed(session, bytes([250, 77, version, code]) * 1000)
        assert (SourceFeature.POWER in session.features) == (code == 1 and version >= 1)
        assert session.phase is Phase.IDLE


@pytest.mark.parametrize("step", [0, 1])
@pytest.mark.parametrize(
    ("message", "cause"),
    [
        (b"\xff\x00", "of unknown type 0"),
        (b"\xff\x01\0\x03", "a sound message of unknown kind 3"),
        (b"\xff\x01\xff\xff", "a sound message of unknown kind 65535"),
        (b"\xff\x01\0\x02\xff\xff\xff\xff", "a piece of sound of 4294967295 bytes"),
        (b"\xff\x01\0\x02" + struct.pack(">I", MAX_SOUND_BYTES + 1), "a piece of sound of 1048577 bytes"),
    ],
)
def test_sound_that_lies(message: bytes, cause: str, step: int) -> None:
    with pytest.raises(RfbError, match=cause):
        feed(connected(8, 8), message, step)


def test_sound_nobody_asked_for_is_passed_over() -> None:
    """No player is started, and nothing is kept."""
    session = connected(8, 8)
    feed(session, srv.update(srv.rect(0, 0, 0, 0, srv.SOUND)))
    session.take_events()
    data = (SOUND_BEGIN + sound(bytes(MAX_SOUND_BYTES)) + SOUND_END) * 20
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        feed(session, data)
        assert tracemalloc.get_traced_memory()[1] - before < 4 * MAX_SOUND_BYTES
    finally:
        tracemalloc.stop()
    assert not [event for event in session.take_events() if isinstance(event, SoundBegan | SoundData)]


def test_sound_before_it_can_be_asked_for() -> None:
    session = connected(8, 8)
    session.set_sound(True)
    feed(session, SOUND_BEGIN + sound(bytes(8)) + SOUND_END)
    assert not [event for event in session.take_events() if isinstance(event, SoundBegan | SoundData)]


# --- unknown things, handshakes ---------------------------------------------------------------------------


def test_unknown_messages() -> None:
    for kind in set(range(256)) - {0, 1, 2, 3, 250, 255}:
        with pytest.raises(RfbError, match=f"a message of unknown type {kind}"):
            feed(connected(8, 8), bytes([kind]))


@pytest.mark.parametrize("encoding", [3, 4, 8, 9, 15, 17, 100, -1, -222, -225, -305, -312, -313, -(1 << 31)])
def test_encodings_nobody_asked_for(encoding: int) -> None:
    with pytest.raises(RfbError, match=f"a rectangle in encoding {encoding}, which we did not ask for"):
        feed(connected(8, 8), srv.update(srv.rect(0, 0, 0, 0, encoding)))


def test_colours_out_of_range() -> None:
    numbers = (0, 1, 255, 256, 0xFFFF)
    for first, count in itertools.product(numbers, numbers):
        session = connected(8, 8)
        message = struct.pack(">BxHH", 1, first, count)
        if first + count <= 256:
            feed(session, message + bytes(count * 6))
            assert session.phase is Phase.IDLE
        else:
            with pytest.raises(RfbError, match=f"{count} colours from number {first} in a table of 256"):
                feed(session, message)


_VENCRYPT = srv.VERSION_38 + b"\x01\x13"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (srv.VERSION_38 + b"\xff" + b"\x4d" * 255, "way to log in"),
        (b"RFB 003.003\n\xff\xff\xff\xff", "4294967295"),
        (b"RFB 003.003\n\0\0\0\x13", "19"),
        (b"RFB 999.999\n\x01\x00", "log in"),
        (b"RFB 000.000\n", "older"),
        (b"SSH-2.0-Open", "no VNC server"),
        (b"\x16\x03\x01" + bytes(9), "no VNC server"),
        (srv.VERSION_38 + b"\0" + sized(b"\xe2\x80\xae\x1b[1m<b>" * 3000), "refused"),
        (srv.VERSION_38 + b"\0\0\0\0\0", "no reason"),
        (_VENCRYPT + b"\0\0", "VeNCrypt"),
        (_VENCRYPT + b"\0\2\x01", "refused"),
        (_VENCRYPT + b"\0\2\0\0", "log in"),
        (_VENCRYPT + b"\0\2\0\xff" + b"\xff" * 1020, "log in"),
        (_VENCRYPT + b"\0\2\0\x01" + struct.pack(">I", 257) + b"\0", "refused"),
        (_VENCRYPT + b"\0\2\0\x01" + struct.pack(">I", 257) + b"\1RFB", "in clear"),
    ],
)
@pytest.mark.parametrize("step", [0, 1])
def test_handshakes(data: bytes, words: str, step: int) -> None:
    """A cleaned and short sentence, whatever the server wrote. ``step`` 1: until it is clear that it is wrong."""
    session = RfbSession()
    with pytest.raises(RfbError) as caught:
        feed(session, data, 0 if b"\1RFB" in data else step)
    error = caught.value
    assert words in f"{error} {error.cause} {error.advice}"
    assert len(str(error)) < 500
    assert str(error).isprintable()
    assert error.advice.isprintable()
    assert session.framebuffer is None


def test_a_refused_log_in_with_a_reason_too_long() -> None:
    with pytest.raises(RfbAuthError) as caught:
        feed(RfbSession(), srv.VERSION_38 + b"\x01\x01\0\0\0\x01" + sized(b"x" * MAX_NAME_BYTES))
    assert len(str(caught.value.advice)) <= 300
    with pytest.raises(RfbError, match="a reason of 65537 bytes"):
        feed(RfbSession(), srv.VERSION_38 + b"\x01\x01\0\0\0\x01" + struct.pack(">I", MAX_NAME_BYTES + 1))
