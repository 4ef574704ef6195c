"""The clipboard over bytes: what each policy lets through, in both kinds of message."""

from __future__ import annotations

import struct
import zlib

import pytest

from guivm.console.frame import ClipboardPolicy, SourceFeature
from guivm.console.rfb.errors import RfbError
from guivm.console.rfb.events import CutText, FeaturesChanged, Refused
from guivm.console.rfb.session import RfbSession
from guivm.console.rfb.wire import Clip
from tests.helpers import rfb_server as srv
from tests.helpers.rfb_feed import connected, feed

ALL = Clip.CAPS | Clip.REQUEST | Clip.PEEK | Clip.NOTIFY | Clip.PROVIDE | Clip.TEXT
CAPS = srv.clipboard(ALL, bytes(4))


def _said(flags: int, payload: bytes = b"") -> bytes:
    """The same message from us."""
    return b"\x06" + srv.clipboard(flags, payload)[1:]


def _extended(policy: ClipboardPolicy, name: bytes = b"QEMU") -> RfbSession:
    """Capabilities exchanged, a first update seen."""
    session = connected(8, 8, name)
    session.set_clipboard_policy(policy)
    feed(session, CAPS + srv.update())
    session.take_output()
    session.take_events()
    return session


def _provided(text: bytes, *, finished: bool = True) -> bytes:
    data = struct.pack(">I", len(text)) + text
    packer = zlib.compressobj()
    packed = packer.compress(data) + packer.flush(zlib.Z_FINISH if finished else zlib.Z_SYNC_FLUSH)
    return srv.clipboard(Clip.PROVIDE | Clip.TEXT, packed)


@pytest.mark.parametrize(
    ("policy", "answer"),
    [
        (ClipboardPolicy.OFF, _said(Clip.CAPS)),
        (ClipboardPolicy.FROM_GUEST, _said(Clip.CAPS | Clip.NOTIFY | Clip.PROVIDE | Clip.TEXT, bytes(4))),
        (ClipboardPolicy.TO_GUEST, _said(Clip.CAPS | Clip.REQUEST | Clip.PEEK | Clip.TEXT, bytes(4))),
    ],
)
@pytest.mark.parametrize("step", [0, 1])
def test_capabilities_say_what_the_policy_allows(policy: ClipboardPolicy, answer: bytes, step: int) -> None:
    session = connected(8, 8)
    session.set_clipboard_policy(policy)
    feed(session, CAPS, step)
    assert session.take_output().startswith(answer)
    assert FeaturesChanged(SourceFeature.CLIPBOARD) in session.take_events()


def test_text_from_the_guest() -> None:
    session = _extended(ClipboardPolicy.FROM_GUEST)
    feed(session, srv.clipboard(Clip.NOTIFY | Clip.TEXT))
    assert session.take_output() == _said(Clip.REQUEST | Clip.TEXT)
    feed(session, _provided("żółć\r\n\x1b[31m\tend\0".encode()))
    assert session.take_events() == [CutText("żółć\n[31m\tend")]
    feed(session, _provided(b"not asked for"))
    assert session.take_events() == []


def test_a_stream_that_is_only_flushed() -> None:
    session = _extended(ClipboardPolicy.FROM_GUEST)
    feed(session, srv.clipboard(Clip.NOTIFY | Clip.TEXT) + _provided(b"text", finished=False))
    assert session.take_events() == [CutText("text")]


def test_text_to_the_guest() -> None:
    session = _extended(ClipboardPolicy.TO_GUEST)
    session.send_clipboard("zwei\r\nZeilen ü")
    assert session.take_output() == _said(Clip.NOTIFY | Clip.TEXT)
    feed(session, srv.clipboard(Clip.REQUEST | Clip.TEXT))
    output = session.take_output()
    assert output[:4] == b"\x06\0\0\0"
    assert struct.unpack(">I", output[8:12])[0] == Clip.PROVIDE | Clip.TEXT
    plain = zlib.decompressobj()
    data = plain.decompress(output[12:])
    assert plain.eof, "QEMU takes only streams that are finished"
    assert data[4:].decode() == "zwei\nZeilen ü"
    assert struct.unpack(">I", data[:4])[0] == len(data) - 4


def test_others_get_line_ends_and_an_end() -> None:
    session = _extended(ClipboardPolicy.TO_GUEST, b"somewhere:1")
    session.send_clipboard("a\nb")
    session.take_output()
    feed(session, srv.clipboard(Clip.PEEK) + srv.clipboard(Clip.REQUEST | Clip.TEXT))
    output = session.take_output()
    assert output.startswith(_said(Clip.NOTIFY | Clip.TEXT))
    assert zlib.decompress(output[12 + 12 :])[4:] == b"a\r\nb\0"


@pytest.mark.parametrize("policy", [ClipboardPolicy.OFF, ClipboardPolicy.FROM_GUEST])
def test_nothing_goes_out_against_the_policy(policy: ClipboardPolicy) -> None:
    session = _extended(policy)
    session.send_clipboard("secret")
    feed(session, srv.clipboard(Clip.PEEK) + srv.clipboard(Clip.REQUEST | Clip.TEXT))
    assert session.take_output() == b""
    session.nudge()
    assert b"secret" not in session.take_output()


@pytest.mark.parametrize("policy", [ClipboardPolicy.OFF, ClipboardPolicy.TO_GUEST])
def test_nothing_comes_in_against_the_policy(policy: ClipboardPolicy) -> None:
    session = _extended(policy)
    feed(session, srv.clipboard(Clip.NOTIFY | Clip.TEXT) + _provided(b"pushed"))
    feed(session, b"\x03\0\0\0\0\0\0\x06pushed")
    assert session.take_output() == b""
    assert session.take_events() == []


def test_turning_it_off_takes_back_what_was_announced() -> None:
    session = _extended(ClipboardPolicy.BOTH)
    session.send_clipboard("text")
    session.take_output()
    session.set_clipboard_policy(ClipboardPolicy.OFF)
    assert session.take_output() == _said(Clip.NOTIFY) + _said(Clip.CAPS)
    feed(session, srv.clipboard(Clip.REQUEST | Clip.TEXT))
    assert session.take_output() == b""


def test_turning_it_on_asks_for_what_the_guest_has() -> None:
    session = _extended(ClipboardPolicy.OFF)
    feed(session, srv.clipboard(Clip.NOTIFY | Clip.TEXT))
    assert session.take_output() == b""
    session.set_clipboard_policy(ClipboardPolicy.FROM_GUEST)
    assert session.take_output().endswith(_said(Clip.REQUEST | Clip.TEXT))


def test_a_server_without_the_extension_gets_latin_1() -> None:
    session = connected(8, 8)
    session.set_clipboard_policy(ClipboardPolicy.TO_GUEST)
    session.send_clipboard("é\r\n漢")
    assert session.take_output() == b"", "it may still name its capabilities"
    feed(session, srv.update())
    assert session.take_output().startswith(b"\x06\0\0\0\0\0\0\x03\xe9\n?")


def test_text_that_is_too_long() -> None:
    session = _extended(ClipboardPolicy.TO_GUEST)
    session.send_clipboard("é" * (600 << 10))
    (event,) = session.take_events()
    assert isinstance(event, Refused)
    assert "too long" in event.reason
    assert session.take_output() == b""


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        (srv.clipboard(Clip.PROVIDE | Clip.TEXT, b"garbage"), "cannot be unpacked"),
        (srv.clipboard(Clip.PROVIDE | Clip.TEXT, zlib.compress(b"\0\0")), "without its length"),
        (srv.clipboard(Clip.PROVIDE | Clip.TEXT, zlib.compress(b"\0\0\0\x09short")), "ends after 5"),
        (srv.clipboard(Clip.PROVIDE | Clip.TEXT, zlib.compress(b"\x7f\xff\xff\xff")), "2147483647 bytes"),
        (
            srv.clipboard(Clip.PROVIDE | Clip.TEXT, zlib.compress(b"\x00\x20\x00\x00" + bytes(2 << 20))),
            "2097152 bytes",
        ),
        (b"\x03\0\0\0" + struct.pack(">i", -((1 << 20) + 4097)), "1052673 bytes"),
        (b"\x03\0\0\0" + struct.pack(">i", -3), "-3 bytes"),
    ],
)
def test_hostile_text(message: bytes, cause: str) -> None:
    session = _extended(ClipboardPolicy.FROM_GUEST)
    feed(session, srv.clipboard(Clip.NOTIFY | Clip.TEXT))
    with pytest.raises(RfbError, match=cause):
        feed(session, message)


def test_a_bomb_is_not_unpacked() -> None:
    import tracemalloc

    session = _extended(ClipboardPolicy.FROM_GUEST)
    bomb = zlib.compress(struct.pack(">I", 1 << 20) + bytes(200 << 20), 9)
    feed(session, srv.clipboard(Clip.NOTIFY | Clip.TEXT))
    tracemalloc.start()
    try:
        feed(session, srv.clipboard(Clip.PROVIDE | Clip.TEXT, bomb))
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
    assert session.take_events() == [CutText("")]


def test_nudges_only_where_they_help() -> None:
    assert not connected(8, 8, b"QEMU").can_nudge, "the extension is not agreed on"
    assert not _extended(ClipboardPolicy.OFF, b"somewhere:1").can_nudge, "only QEMU falls asleep"
    session = _extended(ClipboardPolicy.OFF)
    assert session.can_nudge
    session.nudge()
    assert session.take_output() == _said(Clip.CAPS)
    session.set_updates_wanted(False)
    assert not session.can_nudge
