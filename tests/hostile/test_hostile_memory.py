"""Bombs in a process of its own, whose memory the kernel limits: all are survived, cost little, and leave nothing."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.helpers.hostile_server import BOMB_SIZE, BOMBS, MIB

_SCREEN = BOMB_SIZE[0] * BOMB_SIZE[1] * 4
_BOUND = 3 * _SCREEN + 64 * MIB  # the screen, another for a resize, a copy or a picture, and the work itself

# What is no more than the bytes it comes in is taken; what is must be refused, and the words say why.
_TAKEN = {"tight, gradient", "png", "hextile", "copies", "cursors", "sizes", "texts", "questions", "names", "sounds"}
_TAKEN |= {"screens", "nothing"}
_REFUSED = {
    "zlib": "bytes (at most",
    "zlib, large": "more than the 16777216 bytes",
    "zrle": "goes on behind its last tile",
    "zrle, runs": "ends before its last pixel",
    "tight": "more than the 12582912 bytes",
    "png, larger": "a PNG picture",
    "text, packed": "a clipboard text",
    "largest": "more pixels than there is memory for",
}


def test_bombs() -> None:
    child = subprocess.run(
        [sys.executable, "-m", "tests.hostile.memory_child"], stdout=subprocess.PIPE, text=True, timeout=100, check=True
    )
    found = [json.loads(line) for line in child.stdout.splitlines()]
    assert [name for name, _peak, _error in found] == list(BOMBS)
    for name, peak, error in found:
        assert peak <= _BOUND, f"{name}: {peak / MIB:.0f} MiB"
        assert (error == "") == (name in _TAKEN), f"{name}: {error}"
        assert _REFUSED.get(name, "") in error, f"{name}: {error}"
