"""Text-mode screens, painted glyph by glyph from the font table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from guivm.console.screentext.fonts import Bits, Font, Size, fonts_of, sizes

Colour = tuple[int, int, int]  # blue, green, red
GREY: Colour = (0xAA, 0xAA, 0xAA)
BLACK: Colour = (0, 0, 0)


def font(name: str, size: Size | None = None) -> Font:
    """By name; ``size`` tells 9 columns from 8."""
    return next(
        found
        for each in sizes()
        if size in (None, each)
        for found in fonts_of(each).fonts
        if found.name == name and (size is not None or each[0] != 9)
    )


def glyph_bits(which: Font) -> dict[str, Bits]:
    """The bitmap of each character; of several the first."""
    found: dict[str, Bits] = {}
    for bits, characters in which.glyphs():
        found.setdefault(characters[0], bits)
    return found


def blank(width: int, height: int, colour: Colour = BLACK) -> NDArray[np.uint8]:
    pixels = np.zeros((height, width, 4), np.uint8)
    pixels[:, :, :3] = colour
    return pixels


def write(
    pixels: NDArray[np.uint8],
    which: Font,
    lines: Sequence[str],
    *,
    at: tuple[int, int] = (0, 0),
    ink: Colour = GREY,
    paper: Colour | None = BLACK,
) -> None:
    """``at``: x, y of the first cell. ``paper`` None: what is there stays."""
    bitmaps = glyph_bits(which)
    for row, line in enumerate(lines):
        for column, character in enumerate(line):
            x, y = at[0] + column * which.width, at[1] + row * which.height
            cell = pixels[y : y + which.height, x : x + which.width]
            if paper is not None:
                cell[:, :, :3] = paper
            if character != " ":
                cell[bitmaps[character].astype(np.bool_), :3] = ink
