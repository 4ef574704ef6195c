"""Streams recorded from real servers."""

from __future__ import annotations

import hashlib

import pytest

from guivm.console.frame import KeyboardLeds, PointerMode
from guivm.console.rfb.events import LedsChanged, NameChanged, PointerModeChanged, UpdateEnded
from guivm.console.rfb.session import Phase, RfbSession
from guivm.console.rfb.wire import Screen
from tests.helpers.rfb_feed import feed, framebuffer
from tests.helpers.rfb_goldens import QEMU_PLACEHOLDER, QEMU_PLACEHOLDER_SHA256


@pytest.mark.parametrize("step", [0, 1, 1021, 65_536])
def test_qemu_placeholder(step: int) -> None:
    session = RfbSession()
    feed(session, QEMU_PLACEHOLDER, step=step)
    events = session.take_events()
    assert NameChanged("QEMU (golden)") in events
    assert PointerModeChanged(PointerMode.RELATIVE) in events
    assert LedsChanged(KeyboardLeds.NONE) in events
    assert events[-1] == UpdateEnded(True)
    assert session.has_extended_keys
    assert session.screens == (Screen(0, 0, 0, 640, 480, 0),)
    assert session.phase is Phase.IDLE
    rgb = framebuffer(session).pixels[:, :, 2::-1]
    assert hashlib.sha256(rgb.tobytes()).hexdigest() == QEMU_PLACEHOLDER_SHA256
