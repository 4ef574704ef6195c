"""However much a server floods it, the window answers: measured in a process with the real console widget."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

import pytest

from tests.helpers import rfb_server as srv
from tests.helpers.hostile_server import STORMS, Peer

_LIMIT_MS = 50.0
_SIZE = (640, 480)


@pytest.mark.parametrize("storm", STORMS)
def test_the_event_loop_turns_while_a_server_floods(storm: str) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.hostile.window_child", str(theirs.fileno())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            pass_fds=[theirs.fileno()],
            env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
        )
    assert child.stdin is not None
    assert child.stdout is not None
    flood = STORMS[storm](*_SIZE)
    with ours, child:
        try:
            ours.sendall(srv.greeting_38(*_SIZE) + srv.update(srv.raw(0, 0, srv.picture(*_SIZE))))
            assert child.stdout.readline() == "calm\n"
            child.stdin.write("flood\n")
            child.stdin.flush()
            with Peer(ours, b"", flood) as peer:
                calm, flooded, turns, longest, closing, error = json.loads(child.stdout.readline())
                assert child.wait(30) == 0
        finally:
            child.kill()
    told = f"calm p99 {calm:.0f} ms; flooded p99 {flooded:.0f} ms, longest {longest:.0f} ms of {turns} turns"
    assert error == ""
    assert peer.floods, "the flood was taken"
    assert flooded <= max(_LIMIT_MS, 2 * calm), told
    assert closing <= 2 * _LIMIT_MS, f"closing took {closing:.0f} ms"
