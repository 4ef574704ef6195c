"""Recorded streams, changed in every way, while somebody types, resizes, looks away and shares a clipboard.

Whatever comes: pixels or an RfbError, never another exception; sizes, answers, events and work stay bounded.
"""

from __future__ import annotations

import random
import struct
import sys
from types import FrameType

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from guivm.console.frame import ClipboardPolicy, PointerButton, PointerMode, PowerAction, Quality
from guivm.console.rfb.encoding_choice import EncodingChooser
from guivm.console.rfb.errors import RfbEndError, RfbError
from guivm.console.rfb.limits import BUFFER_BYTES, MAX_ANSWER_BYTES, MAX_CURSOR_SIDE, MAX_SIDE
from guivm.console.rfb.session import Phase, RfbSession
from guivm.console.vnc.input_feeder import InputFeeder
from guivm.console.vnc.link_inputs import (
    Clipboard,
    Input,
    Key,
    Pointer,
    Policy,
    Power,
    QualityWish,
    Size,
    Sound,
    Visible,
)
from guivm.console.vnc.pace import Gauge
from tests.helpers import rfb_server as srv
from tests.helpers.hostile_server import Recorded, everything, recorded
from tests.helpers.rfb_feed import feed

_WIDTH, _HEIGHT = 720, 400  # the largest of the recorded screens: all rectangles are inside
_LIBRARY = [*everything(), *(message for stream in recorded(8000)[1:] for message in stream.messages)]
_GREETING = srv.greeting_38(_WIDTH, _HEIGHT)
_EXAMPLES, _MUTANTS = 250, 500
_STEPS, _STEPS_PER_BYTE = 400_000, 100  # of one message; a screen of gradients takes the most

# Numbers that lengths, counts and positions turn wrong at.
_EDGES = (0, 1, 2, 127, 128, 255, 256, 257, 16_384, 16_385, 0x7FFF, 0x8000, 0xFFFF, 1 << 20, 0x7FFFFFFF, 0x80000000)


# --- changes ----------------------------------------------------------------------------------------------


def _mutated(data: bytes, draw: random.Random) -> bytes:
    """One to four changes: bits, bytes, runs that go, come twice or come from elsewhere, lengths."""
    found = bytearray(data)
    for _ in range(draw.randint(1, 4)):
        if not found:
            break
        at = draw.randrange(min(len(found), draw.choice((16, 64, len(found)))))
        run = draw.choice((1, 2, 4, 12, 100))
        match draw.randrange(7):
            case 0:
                found[at] ^= 1 << draw.randrange(8)
            case 1:
                found[at] = draw.choice((0, 1, 127, 128, 254, 255))
            case 2:
                del found[at : at + run]
            case 3:
                found[at:at] = found[at : at + run]
            case 4:
                other = draw.choice(_LIBRARY)
                start = draw.randrange(len(other))
                found[at : at + draw.choice((0, run))] = other[start : start + run]
            case 5:
                found[at : at + 4] = struct.pack(">I", draw.choice(_EDGES))
            case 6:
                found[at : at + 2] = struct.pack(">H", draw.choice(_EDGES) & 0xFFFF)
    return bytes(found)


_INPUTS: st.SearchStrategy[Input] = st.one_of(
    st.builds(Key, st.integers(0, 1000), st.integers(0, 0xFFFFFFFF), st.booleans()),
    st.builds(
        Pointer,
        st.integers(-(1 << 17), 1 << 17),
        st.integers(-(1 << 17), 1 << 17),
        st.integers(0, 511).map(PointerButton),
        st.sampled_from(PointerMode),
    ),
    st.builds(Visible, st.booleans()),
    st.builds(Size, st.integers(-1, 1 << 17), st.integers(-1, 1 << 17)),
    st.builds(Power, st.sampled_from(PowerAction)),
    st.builds(Policy, st.sampled_from(ClipboardPolicy)),
    st.builds(Clipboard, st.text(max_size=200)),
    st.builds(QualityWish, st.sampled_from(Quality)),
    st.builds(Sound, st.booleans()),
)


class _Steps:
    """Calls of functions since the last look."""

    def __init__(self) -> None:
        self.count = 0

    def on_event(self, _frame: FrameType, event: str, _value: object) -> None:
        if event in ("call", "c_call"):
            self.count += 1


def _check(error: RfbError, session: RfbSession) -> None:
    """It says what happened and what to do, in few words, and nothing goes on."""
    assert error.cause
    assert error.summary
    assert error.advice
    assert len(str(error)) < 600
    assert session.phase is Phase.FAILED


class HostileServer(RuleBasedStateMachine):
    """One client and, one after the other, all the servers it meets."""

    session: RfbSession
    feeder: InputFeeder
    over: bool

    @initialize()
    def meet(self) -> None:
        chooser = EncodingChooser()
        self.session = RfbSession(choice=chooser.choice, pauses=True)
        self.feeder = InputFeeder(self.session, Gauge(self.session, chooser, asks_once=False))
        self.over = False

    def _say(self, data: bytes, step: int) -> None:
        steps = _Steps()
        before = sys.getprofile()
        sys.setprofile(steps.on_event)
        try:
            feed(self.session, data, step)
            while self.session.is_paused:
                self.session.received(0)
        except RfbError as error:
            _check(error, self.session)
            self.over = True
        finally:
            sys.setprofile(before)
        assert steps.count <= _STEPS + _STEPS_PER_BYTE * len(data)

    @precondition(lambda self: self.over)
    @rule()
    def reconnect(self) -> None:
        self.meet()

    @precondition(lambda self: not self.over and self.session.phase is Phase.HANDSHAKE)
    @rule(random=st.randoms(use_true_random=False), is_honest=st.integers(0, 7), step=st.sampled_from([0, 1, 7]))
    def shake_hands(self, random: random.Random, is_honest: int, step: int) -> None:
        self._say(_GREETING if is_honest else _mutated(_GREETING, random), step)

    @precondition(lambda self: not self.over and self.session.phase is not Phase.HANDSHAKE)
    @rule(message=st.sampled_from(_LIBRARY), step=st.sampled_from([0, 1, 13, 4096]))
    def be_honest(self, message: bytes, step: int) -> None:
        self._say(message, step)

    @precondition(lambda self: not self.over and self.session.phase is not Phase.HANDSHAKE)
    @rule(
        message=st.sampled_from(_LIBRARY),
        random=st.randoms(use_true_random=False),
        step=st.sampled_from([0, 1, 13, 4096]),
    )
    def lie(self, message: bytes, random: random.Random, step: int) -> None:
        self._say(_mutated(message, random), step)

    @precondition(lambda self: not self.over and self.session.framebuffer is not None)
    @rule(items=st.lists(_INPUTS, min_size=1, max_size=5))
    def use(self, items: list[Input]) -> None:
        """As the link does it: once there is a screen."""
        for item in items:
            self.feeder.do(item)
        self.session.nudge()

    @precondition(lambda self: not self.over)
    @rule()
    def leave(self) -> None:
        error = self.session.ended()
        assert isinstance(error, RfbEndError)
        assert error.advice
        self.over = True

    @rule()
    def look(self) -> None:
        assert len(self.session.take_output()) <= MAX_ANSWER_BYTES
        assert len(self.session.take_events()) <= BUFFER_BYTES
        assert len(self.session.damage.take()) <= 41

    @invariant()
    def sizes_are_bounded(self) -> None:
        session = self.session
        fb = session.framebuffer
        if fb is not None:
            assert 0 < fb.width <= MAX_SIDE
            assert 0 < fb.height <= MAX_SIDE
            assert fb.pixels.shape == (fb.height, fb.width, 4)
            for rect in session.damage.take():
                assert 0 <= rect.x < rect.x + rect.width <= fb.width
                assert 0 <= rect.y < rect.y + rect.height <= fb.height
        assert len(session.name) <= 200
        assert len(session.screens) <= 255
        if not self.over:
            buffers = session.buffers()
            assert 0 < len(buffers) <= 256
            assert all(len(buffer) > 0 for buffer in buffers)

    def teardown(self) -> None:
        self.session.take_output()


def test_one_server_after_the_other() -> None:
    """The same ones each time."""
    run_state_machine_as_test(HostileServer, settings=_SETTINGS)


_SETTINGS = settings(
    max_examples=_EXAMPLES,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)


@pytest.mark.parametrize("stream", recorded(8000), ids=lambda stream: stream.name)
def test_changed_recordings(stream: Recorded) -> None:
    """The same changes to whole recordings, always the same ones, in always the same pieces."""
    draw = random.Random(stream.name)
    outcomes = {"read": 0, "refused": 0}
    for _ in range(_MUTANTS):
        session = RfbSession(pauses=True)
        feed(session, stream.greeting)
        data = _mutated(b"".join(stream.messages), draw)
        size = draw.choice((0, 1, 100, 1000)) if len(data) < 2000 else 0
        try:
            feed(session, data, size)
            outcomes["read"] += 1
        except RfbError as error:
            _check(error, session)
            outcomes["refused"] += 1
        for event in session.take_events():
            cursor = getattr(event, "cursor", None)
            assert cursor is None or max(cursor.width, cursor.height) <= MAX_CURSOR_SIDE
        assert len(session.take_output()) <= MAX_ANSWER_BYTES
    assert all(outcomes.values()), outcomes
