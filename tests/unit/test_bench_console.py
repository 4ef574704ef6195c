"""What the console's benchmark serves is what it says, and our own client reads it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from guivm.console.recording.layout import SUFFIX
from tests.bench.console_streams import (
    MADE,
    MARKER,
    SPOT,
    made_stream,
    raw_update,
    recorded_stream,
    spot_update,
    write_recording,
)
from tests.helpers.rfb_feed import connected, feed, framebuffer


def _colour(pixel: np.ndarray) -> int:
    blue, green, red, _ = pixel.tolist()
    return int(red << 16 | green << 8 | blue)


@pytest.mark.parametrize("name", MADE)
def test_every_update_changes_the_middle_and_the_marker_ends_it(name: str) -> None:
    stream = made_stream(name, 1920, 1080)
    session = connected(stream.width, stream.height)
    feed(session, stream.setup)
    middle = (stream.height // 2, stream.width // 2)
    seen = []
    for update in stream.updates:
        feed(session, update)
        seen.append(_colour(framebuffer(session).pixels[middle]))
    assert len(set(seen)) == len(stream.updates)
    assert MARKER not in seen
    feed(session, spot_update(stream.width, stream.height, MARKER))
    marked = (framebuffer(session).pixels[..., :3] == [0x22, 0xFF, 0xF0]).all(axis=2)
    assert marked.sum() == SPOT * SPOT


def test_the_streams_have_the_rectangles_they_are_named_after() -> None:
    counts = {name: int.from_bytes(made_stream(name, 1920, 1080).updates[0][2:4], "big") for name in MADE}
    assert counts == {"full": 1, "tiles": 480, "rects": 4000}


def test_a_recording_gives_the_same_updates_back(tmp_path: Path) -> None:
    picture = np.arange(600 * 700 * 4, dtype=np.uint32).astype(np.uint8).reshape(600, 700, 4)
    whole = raw_update(picture, [(0, 0, 700, 600)])  # more than one chunk of the format
    parts = [raw_update(picture, [(x, 0, 16, 16)]) for x in (0, 16, 32)]
    init = (700).to_bytes(2, "big") + (600).to_bytes(2, "big") + bytes(20)
    path = tmp_path / f"stream{SUFFIX}"
    write_recording(path, init, [(number + 1, update) for number, update in enumerate([whole, *parts])])
    stream = recorded_stream(path)
    assert (stream.width, stream.height, stream.circular) == (700, 600, False)
    assert stream.setup == whole
    assert list(stream.updates) == parts
