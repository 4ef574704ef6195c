"""The text-mode fonts that cells of a screen are compared with, from the table ``resources/fonts/console.txt``.

The table's head says its format, where the shapes come from, and the command that makes it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from guivm.resources import resource_path

_TABLE = "fonts/console.txt"
_VGA_WIDTHS = (8, 9)
_VGA_HEIGHTS = (16, 14, 8)
_SCRIPTS = (re.compile("[\u0370-\u03ff]"), re.compile("[\u0400-\u052f]"))  # Greek, Cyrillic
_ALPHABET = 20  # letters; the PC's character set has a dozen Greek ones for formulas
_USUAL = ((8, 16), (9, 16), (8, 19), (16, 32), (8, 14))

Bits = NDArray[np.uint8]
Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Font:
    """What bitmaps stand for. Cells of one colour are blanks and in no font.

    Keys are the bits of a cell, ``width`` × ``height`` by rows, as :func:`numpy.packbits` packs them, after all were
    inverted when the first is set: so a key is the same for text in inverse video. ``normal`` holds the glyphs whose
    first pixel is background, ``inverse`` those whose first pixel is ink. A value is the character and, after it,
    letters of other scripts that look the same.
    """

    name: str
    width: int
    height: int
    normal: dict[bytes, str] = field(default_factory=dict)
    inverse: dict[bytes, str] = field(default_factory=dict)

    def add(self, rows: Sequence[int], characters: str) -> None:
        """``rows``: the leftmost pixel is the highest of ``width`` bits. What is there already stays."""
        value = 0
        for row in rows:
            value = value << self.width | row
        bits = self.width * self.height
        table = self.normal
        if value >> (bits - 1):
            value ^= (1 << bits) - 1
            table = self.inverse
        count = (bits + 7) // 8
        table.setdefault((value << (count * 8 - bits)).to_bytes(count, "big"), characters)

    def glyphs(self) -> Iterator[tuple[Bits, str]]:
        """All of them, as bits (height, width)."""
        for table in (self.normal, self.inverse):
            for key, characters in table.items():
                bits: Bits = np.unpackbits(np.frombuffer(key, np.uint8), count=self.width * self.height)
                if table is self.inverse:
                    bits = np.uint8(1) - bits
                yield bits.reshape(self.height, self.width), characters


@dataclass(frozen=True, slots=True)
class FontSize:
    """Fonts of one size of cells, the most usual first; ``union`` has the glyphs of all of them."""

    width: int
    height: int
    fonts: tuple[Font, ...]
    union: Font


@functools.cache
def sizes() -> tuple[Size, ...]:
    """(width, height) of all cells there are fonts for, the most usual first. The table is read once. Any thread."""
    own = tuple(_sections())
    ninth = tuple((9, height) for height in _VGA_HEIGHTS)
    return tuple(sorted((*own, *ninth), key=_usual))


def _usual(size: Size) -> tuple[int, int]:
    return (_USUAL.index(size) if size in _USUAL else len(_USUAL), -size[0] * size[1])


@functools.cache
def fonts_of(size: Size) -> FontSize:
    """The fonts of one of :func:`sizes`, read when they are first asked for: some ten milliseconds. Any thread."""
    width, height = size
    narrow, ninth = _VGA_WIDTHS
    section = _sections()[narrow if width == ninth else width, height]
    fonts: dict[str, Font] = {}
    row = re.compile(f"([0-9a-f]{{{(width - (width == ninth) + 3) // 4}}})([g-z]?)")
    for line in section:
        first, second, rest = line.split(" ", 2)
        if first == "font":
            fonts[second] = Font(rest, width, height)
            continue
        rows: list[int] = []
        for digits, repeat in row.findall(rest):
            rows += [int(digits, 16)] * (ord(repeat) - ord("g") + 2 if repeat else 1)
        if len(rows) != height:
            raise ValueError(f"{_TABLE}: {len(rows)} rows instead of {height}: {line}")
        characters = "".join(chr(int(code, 16)) for code in second.split(","))
        for letter in first:
            if width == ninth:
                _add_with_ninth_column(fonts[letter], rows, characters)
            else:
                fonts[letter].add(rows, characters)
    union = Font("", width, height)
    for font in fonts.values():
        _leave_out_twins(font)
        for table, whole in ((font.normal, union.normal), (font.inverse, union.inverse)):
            for key, characters in table.items():
                whole.setdefault(key, characters)
    return FontSize(width, height, tuple(fonts.values()), union)


def _leave_out_twins(font: Font) -> None:
    """No letters of scripts whose own letters the font does not have: nobody writes such a script with it."""
    tables = (font.normal, font.inverse)
    first = "".join(characters[0] for table in tables for characters in table.values())
    for script in _SCRIPTS:
        if len(set(script.findall(first))) < _ALPHABET:
            for table in tables:
                table.update({key: text[0] + script.sub("", text[1:]) for key, text in table.items() if text[1:]})


def _add_with_ninth_column(font: Font, rows: Sequence[int], characters: str) -> None:
    """As VGA shows it in modes of 720 pixels: the ninth column is blank, or, of lines and blocks, like the eighth."""
    font.add([row << 1 for row in rows], characters)
    if "\u2500" <= characters[0] <= "\u259f":
        font.add([row << 1 | row & 1 for row in rows], characters)


@functools.cache
def _sections() -> dict[Size, list[str]]:
    found: dict[Size, list[str]] = {}
    lines: list[str] = []
    for line in resource_path(_TABLE).read_text(encoding="utf-8").splitlines():
        if line.startswith("size "):
            _, width, height = line.split()
            lines = found.setdefault((int(width), int(height)), [])
        elif not line.startswith("#"):
            lines.append(line)
    return found
