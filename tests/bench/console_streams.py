"""What the replay server serves: made streams of Raw rectangles, and streams recorded from QEMU.

All of them are for the pixel format that :data:`PIXEL_FORMAT` says (32 bits, little-endian, B G R X), the one our
console, gvncviewer and TigerVNC's viewer all ask for. Messages: RFC 6143 §7.6.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from struct import Struct

import numpy as np
from numpy.typing import NDArray

from guivm.console.recording.format import Chunk, Recording, RecordingHeader
from guivm.console.recording.format import write_recording as save_recording

PIXEL_FORMAT = Struct(">BBBBHHHBBB").pack(32, 24, 0, 1, 255, 255, 255, 16, 8, 0)
SPOT = 32  # side of the square in the middle that tells that a run begins or has ended, pixels
READY = 0x11F055  # its colour before a run, 0xRRGGBB; no picture of a stream has a green above 0x7F
MARKER = 0xF0FF22  # its colour after the last update

MADE = ("full", "tiles", "rects")
"""Names of the made streams: one rectangle, tiles of 16x256, 4,000 rectangles of 16x16 per update."""

_UPDATE = Struct(">BxH")
_RECT = Struct(">HHHHi")
_RING = 6  # different updates of a made stream, served in turn
_RECTS = 4000

Pixels = NDArray[np.uint8]
Rectangle = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Stream:
    """``setup`` is the first update of a connection. ``updates`` follow: in a circle if ``circular``, else once."""

    width: int
    height: int
    setup: bytes
    updates: tuple[bytes, ...]
    circular: bool


def raw_update(pixels: Pixels, rectangles: Sequence[Rectangle]) -> bytes:
    """A FramebufferUpdate of these parts (x, y, width, height) of a picture (height, width, 4)."""
    parts = [_UPDATE.pack(0, len(rectangles))]
    for x, y, width, height in rectangles:
        parts += (_RECT.pack(x, y, width, height, 0), pixels[y : y + height, x : x + width].tobytes())
    return b"".join(parts)


def spot_update(width: int, height: int, colour: int) -> bytes:
    """An update that paints the square in the middle of a screen of this size."""
    x, y = (width - SPOT) // 2, (height - SPOT) // 2
    pixels = np.full(SPOT * SPOT, colour, dtype="<u4").tobytes()
    return _UPDATE.pack(0, 1) + _RECT.pack(x, y, SPOT, SPOT, 0) + pixels


def made_stream(name: str, width: int, height: int) -> Stream:
    if name == "full":
        rectangles = [(0, 0, width, height)]
    elif name == "tiles":
        rectangles = [
            (x, y, 16, 256) for y in range(0, height // 256 * 256, 256) for x in range(0, width // 16 * 16, 16)
        ]
    elif name == "rects":
        rectangles = _middle_cells(width, height)
    else:
        raise ValueError(f"no such stream: {name}")
    pictures = [_picture(width, height, number) for number in range(_RING)]
    return Stream(
        width,
        height,
        setup=raw_update(pictures[0], [(0, 0, width, height)]),
        updates=tuple(raw_update(picture, rectangles) for picture in pictures),
        circular=True,
    )


def _middle_cells(width: int, height: int) -> list[Rectangle]:
    """4,000 cells of 16x16 without gaps, row by row, with the middle of the screen in the middle of them."""
    columns = width // 16
    cells = [(x * 16, y * 16, 16, 16) for y in range(height // 16) for x in range(columns)]
    middle = height // 32 * columns + columns // 2
    start = max(0, min(middle - _RECTS // 2, len(cells) - _RECTS))
    return cells[start : start + _RECTS]


def _picture(width: int, height: int, number: int) -> Pixels:
    """A gradient with stripes, different for every number in every pixel; green below 0x80."""
    y, x = np.mgrid[0:height, 0:width].astype(np.uint32)
    picture = np.zeros((height, width, 4), dtype=np.uint8)
    picture[..., 0] = (x >> 2) + number * 40 & 0xFF
    picture[..., 1] = ((y >> 2) + number * 20 & 0x7F) ^ (x >> 4 & 8)
    picture[..., 2] = (x + y >> 3) + number * 30 & 0xFF
    return picture


def write_recording(path: Path, server_init: bytes, updates: Sequence[tuple[int, bytes]]) -> None:
    """A session recording of ours (``guivm.console.recording``), which its player shows, too.

    ``updates``: microseconds since the beginning (above 0, all different) with all bytes of an update. The file
    appears whole or not at all.
    """
    width, height = int.from_bytes(server_init[:2], "big"), int.from_bytes(server_init[2:4], "big")
    header = RecordingHeader(width, height, path.stem, datetime.now(UTC), pixel_format=PIXEL_FORMAT + bytes(3))
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    chunks = [Chunk(0, server_init), *(Chunk(time_us, data) for time_us, data in updates)]
    save_recording(part, header, [chunks])
    part.replace(path)


def recorded_stream(path: Path) -> Stream:
    """From :func:`write_recording`; the first update is the setup. Chunks of one time are one update."""
    updates: dict[int, bytearray] = {}
    with Recording(path) as recording:
        for chunk in recording.all_chunks(0):
            updates.setdefault(chunk.time_us, bytearray()).extend(chunk.data)
        width, height = recording.header.width, recording.header.height
    _init, setup, *rest = (bytes(update) for update in updates.values())
    return Stream(width, height, setup, tuple(rest), circular=False)
