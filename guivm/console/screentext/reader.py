"""Text of a part of the guest's screen."""

from __future__ import annotations

import enum
import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from guivm.console.frame import Rect
from guivm.console.screentext import ocr
from guivm.console.screentext.cells import Codes, codes_of
from guivm.console.screentext.errors import NoTextError
from guivm.console.screentext.finding import find_grid
from guivm.console.screentext.matching import Reading, read_grid
from guivm.console.screentext.words import line_of
from guivm.text import clean_block

MAX_CHARACTERS = 1 << 20
_PLANES = 6
_ENOUGH = 8  # letters and digits that make text over a picture credible
_LEAST_OCR_CONFIDENCE = 0.3


class TextMethod(enum.Enum):
    """How text was read."""

    FONT = "font"  # to the pixel, by a text-mode font
    OCR = "ocr"  # guessed from shapes


@dataclass(frozen=True, slots=True)
class ScreenText:
    """``text``: lines without trailing blanks, cleaned, not empty. ``font``: its name, empty for OCR.

    ``confidence``, 0 to 1: the share of cells with ink that are glyphs of a font; for OCR the program's own opinion.
    """

    text: str
    method: TextMethod
    font: str
    confidence: float


def read_text(
    pixels: NDArray[np.uint8],
    region: Rect | None = None,
    *,
    use_ocr: bool = True,
    cancel: threading.Event | None = None,
) -> ScreenText:
    """Read a screen of BGRX ``pixels`` (height, width, 4), or what ``region`` touches of it.

    Text in a font that is known is exact; anything else goes through tesseract when ``use_ocr``. Any thread; may block
    for seconds. Raises ScreenTextError, and CancelledError soon after ``cancel`` is set.
    """
    area = _clip(pixels, region)
    if area is None:
        raise NoTextError
    codes = codes_of(pixels)
    reading = _by_font(codes, area)
    if reading is not None:
        text = clean_block("\n".join(line_of(row) for row in reading.rows), MAX_CHARACTERS)
        if text.strip():
            return ScreenText(text, TextMethod.FONT, reading.font, reading.confidence)
        raise NoTextError
    cut = pixels[area.y : area.y + area.height, area.x : area.x + area.width]
    if not use_ocr or (cut[:, :, :3] == cut[:1, :1, :3]).all():
        raise NoTextError
    found = ocr.recognise(cut, cancel)
    text = clean_block(found.text, MAX_CHARACTERS)
    if not text.strip() or found.confidence < _LEAST_OCR_CONFIDENCE:
        raise NoTextError("Select only the text, or make it larger in the guest.")
    return ScreenText(text, TextMethod.OCR, "", found.confidence)


def _clip(pixels: NDArray[np.uint8], region: Rect | None) -> Rect | None:
    height, width = pixels.shape[:2]
    if region is None:
        return Rect(0, 0, width, height) if width and height else None
    left, top = max(0, region.x), max(0, region.y)
    right, bottom = min(width, region.x + region.width), min(height, region.y + region.height)
    return Rect(left, top, right - left, bottom - top) if right > left and bottom > top else None


def _by_font(codes: Codes, area: Rect) -> Reading | None:
    """None when no font fits."""
    grid = find_grid(codes, area)
    if grid is not None:
        return read_grid(codes, grid, area)
    return _over_picture(codes, area)


def _over_picture(codes: Codes, area: Rect) -> Reading | None:
    """Text with a picture as background, as boot loaders have it: each frequent colour alone may be that of text."""
    cut = codes[area.y : area.y + area.height, area.x : area.x + area.width]
    colours, counts = np.unique(cut, return_counts=True)
    if len(colours) < 3:
        return None
    best: Reading | None = None
    for colour in colours[np.argsort(counts)[::-1][:_PLANES]]:
        plane: Codes = (codes == colour).astype(np.uint32)
        grid = find_grid(plane, area, at_least=_ENOUGH)
        if grid is None:
            continue
        reading = read_grid(plane, grid, area)
        best = reading if best is None else _merged(best, reading)
    return best


def _merged(first: Reading, second: Reading) -> Reading:
    """Both, when they have the same cells; else the one with more text."""
    if [len(row) for row in first.rows] != [len(row) for row in second.rows]:
        return max(first, second, key=lambda reading: reading.known)
    rows = [
        [_better(one, other) for one, other in zip(*pair, strict=True)]
        for pair in zip(first.rows, second.rows, strict=True)
    ]
    font = max(first, second, key=lambda reading: reading.known).font
    return Reading(rows, font, first.cells + second.cells, first.known + second.known)


def _better(one: str, other: str) -> str:
    return one if one not in ("", "\N{REPLACEMENT CHARACTER}") else other or one
