"""Session recordings made by hand: pictures at known times."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from guivm.console.recording.format import Chunk, RecordingHeader, write_recording
from tests.helpers import rfb_server as srv
from tests.helpers.rfb_server import Pixels

HEADER = RecordingHeader(64, 48, "Debian", datetime(2026, 3, 1, 12, 30, tzinfo=UTC), "QEMU (Debian)")
SECOND = 1_000_000


def plain(width: int, height: int, blue: int, green: int, red: int) -> Pixels:
    """A picture of one colour."""
    pixels = np.zeros((height, width, 4), dtype=np.uint8)
    pixels[:, :] = (blue, green, red, 0)
    return pixels


def numbered(number: int, width: int = 64, height: int = 48) -> Pixels:
    """A picture that no other number has."""
    return plain(width, height, number % 256, number // 256, 255 - number % 256)


def connection(pictures: Sequence[tuple[int, Pixels]]) -> list[Chunk]:
    """One connection that shows each picture at its time (µs), resizing where the size changes."""
    time_us, first = pictures[0]
    height, width = first.shape[:2]
    chunks = [Chunk(time_us, srv.server_init(width, height))]
    for time_us, picture in pictures:
        rects = []
        if picture.shape[:2] != (height, width):
            height, width = picture.shape[:2]
            rects.append(srv.extended_size(width, height))
        chunks.append(Chunk(time_us, srv.update(*rects, srv.raw(0, 0, picture))))
    return chunks


def record(path: Path, *connections: Sequence[tuple[int, Pixels]], header: RecordingHeader = HEADER) -> Path:
    write_recording(path, header, [connection(pictures) for pictures in connections])
    return path


def numbered_session(path: Path, count: int, step_us: int) -> Path:
    """``count`` pictures, one every ``step_us``."""
    return record(path, [(number * step_us, numbered(number)) for number in range(count)])
