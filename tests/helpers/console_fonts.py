"""Writes ``resources/fonts/console.txt``, the text-mode fonts that text on a guest's screen is recognised by.

    python -m tests.helpers.console_fonts DIRECTORY

DIRECTORY holds the unpacked Debian 12 packages ``console-setup-linux``, ``seabios``, ``grub-common``, ``ovmf``
(``apt-get download``, ``dpkg -x PACKAGE DIRECTORY``; ``/`` when they are installed) and the unpacked source of
``kbd`` (``apt-get source``). Nothing else is read; the same packages give the same file.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import lzma
import struct
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

TARGET = Path(__file__).parents[2] / "resources" / "fonts" / "console.txt"

HEAD = """\
# Text-mode fonts, by which guivm recognises text on a guest's screen (guivm/console/screentext/fonts.py).
# Made by: python -m tests.helpers.console_fonts DIRECTORY   (from Debian 12's packages; do not edit)
#
# Sources and licences of the shapes:
#   seabios              PC BIOS fonts of vgabios; public domain, in a package under LGPL-3
#   ovmf                 EDK II's narrow glyphs; BSD-2-Clause-Patent
#   grub-common          GNU Unifont in unicode.pf2; GPL-2-or-later with font exception, or OFL-1.1
#   console-setup-linux  Fixed (public domain), VGA (X11), Terminus (GPL-2-or-later, or OFL-1.1)
#   kbd                  cp850, cp865, default8x16, eurlatgr, latarcyrheb-sun*; GPL-2-or-later
#
# "size W H" begins the glyphs of that size in pixels; "font LETTER NAME" names a font of that size. A glyph is
#   LETTERS CHARACTERS ROWS
# the fonts that have it; hex code points, the usual one first; rows from the top, each ceil(W/4) hex digits with the
# leftmost pixel as highest of W bits. A letter from g on after a row: that row 2 times, h: 3 times, and so on.
"""

# What letters of the PC character set below 0x20 look like (IBM's CP437 graphics).
_CP437_LOW = "\0☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼"
CP437 = (
    _CP437_LOW
    + bytes(range(0x20, 0x7F)).decode("ascii")
    + "⌂"
    + bytes(range(0x80, 0xFF)).decode("cp437")
    + "\N{NO-BREAK SPACE}"
)
_BIOS_GLYPHS = {  # the capital A, by height
    16: bytes.fromhex("000010386cc6c6fec6c6c6c600000000"),
    14: bytes.fromhex("000010386cc6c6fec6c6c6000000"),
    8: bytes.fromhex("3078ccccfccccc00"),
}
_WIDE = (
    "Lat15",
    "Uni2",
    "Lat2",
    "Lat7",
    "CyrSlav",
    "Greek",
    "Lat38",
    "CyrKoi",
    "FullCyrSlav",
    "FullGreek",
    "Uni1",
    "Hebrew",
)
_USUAL = ("Lat15", "Uni2")
_LATIN = ("Lat15", "Lat2")
# How Linux's built-in 16×32 font differs from Terminus Bold: character, glyph of which, rows lower.
_LINUX_16X32 = (("`", "`", 1), ("~", "~", -9))
_UNIFONT = (
    *((0x21, 0x7E), (0xA1, 0x17F), (0x192, 0x192), (0x218, 0x21B), (0x2C6, 0x2DD), (0x384, 0x3CE), (0x400, 0x45F)),
    *((0x490, 0x491), (0x5D0, 0x5EA), (0x1E9E, 0x1E9E), (0x2010, 0x2027), (0x2030, 0x203A), (0x20AC, 0x20AC)),
    *((0x2116, 0x2122), (0x2190, 0x2199), (0x2200, 0x220F), (0x2212, 0x221E), (0x2248, 0x2248), (0x2260, 0x2265)),
    *((0x2500, 0x25FF), (0x2600, 0x2606), (0x2660, 0x2667), (0x266A, 0x266B), (0x2713, 0x2718), (0xFFFD, 0xFFFD)),
)

Bitmap = tuple[int, ...]
Size = tuple[int, int]


@dataclass(frozen=True)
class Made:
    """A font: what each bitmap stands for."""

    name: str
    width: int
    height: int
    glyphs: dict[Bitmap, set[int]] = field(default_factory=lambda: defaultdict(set))

    def add(self, rows: bytes, codes: Iterable[int]) -> None:
        """``rows``: each padded to whole bytes."""
        stride = (self.width + 7) // 8
        shift = stride * 8 - self.width
        bitmap = tuple(
            int.from_bytes(rows[at : at + stride], "big") >> shift for at in range(0, self.height * stride, stride)
        )
        full = (1 << self.width) - 1
        if set(bitmap) in ({0}, {full}):
            return  # a cell of one colour is a blank
        kept = [code for code in codes if is_text(code)]
        if kept:
            self.glyphs[bitmap].update(kept)


def is_text(code: int) -> bool:
    """No control, no combining, no private character."""
    return chr(code).isprintable() and not (
        0x300 <= code <= 0x36F or 0x591 <= code <= 0x5C7 or 0xE000 <= code <= 0xF8FF
    )


def rank(code: int) -> tuple[int, int]:
    """Which of several characters with one shape is meant: ASCII, Latin-1, boxes, then the others."""
    for place, (low, high) in enumerate(((0x20, 0x7E), (0xA1, 0xFF), (0x2500, 0x259F))):
        if low <= code <= high:
            return place, code
    return 9, code


def characters(codes: set[int]) -> tuple[int, ...]:
    """The usual one, and letters of other scripts that look the same."""
    first, *others = sorted(codes, key=rank)
    if not chr(first).isalpha():
        return (first,)
    return (first, *(code for code in others if 0x370 <= code <= 0x52F and chr(code).isalpha()))


def psf(data: bytes) -> tuple[Size, list[tuple[bytes, list[int]]]]:
    """Glyphs of a PC Screen Font, version 1 or 2, with a table of characters."""
    if data[:2] == b"\x36\x04":
        count, height, at = 512 if data[2] & 1 else 256, data[3], 4
        width, length = 8, data[3]
        units = struct.unpack(f"<{(len(data) - at - count * length) // 2}H", data[at + count * length :])
        tables = [list(part) for end, part in itertools.groupby(units, lambda unit: unit == 0xFFFF) if not end]
        tables = [list(itertools.takewhile(lambda unit: unit != 0xFFFE, table)) for table in tables]
    else:
        _, _, at, _, count, length, height, width = struct.unpack("<8I", data[:32])
        parts = data[at + count * length :].split(b"\xff")[:count]
        tables = [[ord(c) for c in part.split(b"\xfe")[0].decode()] for part in parts]
    return (width, height), [
        (data[at + n * length : at + (n + 1) * length], table) for n, table in enumerate(tables[:count])
    ]


def merged(name: str, files: Iterable[bytes]) -> Made:
    """One font from files that hold parts of it."""
    made: Made | None = None
    for data in files:
        (width, height), glyphs = psf(data)
        made = made or Made(name, width, height)
        assert (width, height) == (made.width, made.height), name
        for rows, codes in glyphs:
            made.add(rows, codes)
    assert made is not None, f"no file of {name}"
    return made


def varied(font: Made, changes: Iterable[tuple[str, str, int]]) -> Made:
    """``font`` with some characters shown by glyphs of others, that many rows lower."""
    by_code: dict[int, Bitmap] = {}
    for bitmap, codes in font.glyphs.items():
        for code in codes:
            by_code.setdefault(code, bitmap)  # the first file's
    new = {ord(to): by_code[ord(source)] for to, source, _ in changes}
    for code in new:
        font.glyphs[by_code[code]].discard(code)
    for to, _, down in changes:
        rows = new[ord(to)]
        font.glyphs[(*rows[-down:], *rows[:-down]) if down else rows] = {ord(to)}
    for bitmap in [bitmap for bitmap, codes in font.glyphs.items() if not codes]:
        del font.glyphs[bitmap]
    return font


def bios(data: bytes, height: int) -> Made:
    made = Made(f"VGA BIOS 8×{height}", 8, height)
    start = data.index(_BIOS_GLYPHS[height]) - ord("A") * height
    assert not any(data[start : start + height])
    for number, character in enumerate(CP437):
        made.add(data[start + number * height :][:height], [ord(character)])
    return made


def uefi(data: bytes) -> Made:
    """EFI_NARROW_GLYPH entries in the compressed main volume: char16, attributes, 19 rows."""
    made = Made("UEFI 8×19", 8, 19)
    at = -1
    while (at := data.find(b"\x5d\x00\x00", at + 1)) >= 0:
        try:
            volume = lzma.LZMADecompressor(format=lzma.FORMAT_ALONE).decompress(data[at:])
        except lzma.LZMAError:
            continue
        start = next((i for i in _find(volume, b"A\0\0") if volume[i + 22 : i + 25] == b"B\0\0"), -1)
        if start >= 0:
            start -= (ord("A") - ord(" ")) * 22
            for entry in range(start, len(volume), 22):
                code, attributes = struct.unpack_from("<HB", volume, entry)
                if code == 0 or attributes > 3:
                    break
                made.add(volume[entry + 3 : entry + 22], [code])
            return made
    raise ValueError("no glyphs in the firmware")


def _find(data: bytes, wanted: bytes) -> Iterator[int]:
    at = -1
    while (at := data.find(wanted, at + 1)) >= 0:
        yield at


def unifont(data: bytes) -> Made:
    """Narrow glyphs of a GRUB font (PFF2): sections CHIX (code point, flags, offset) and DATA."""
    made = Made("Unifont 8×16", 8, 16)
    at = 0
    while at < len(data):
        name, length = struct.unpack_from(">4sI", data, at)
        at += 8
        if name == b"DATA":
            break
        if name == b"CHIX":
            index = dict(struct.unpack_from(">IxI", data, at + i) for i in range(0, length, 9))
        if name == b"ASCE":
            (ascent,) = struct.unpack_from(">H", data, at)
        at += length
    for code in itertools.chain.from_iterable(range(low, high + 1) for low, high in _UNIFONT):
        if code not in index:
            continue
        width, height, left, bottom, advance = struct.unpack_from(">HHhhh", data, index[code])
        if advance != 8:
            continue
        bits = "".join(f"{byte:08b}" for byte in data[index[code] + 10 :][: (width * height + 7) // 8])
        rows = bytearray(16)
        top = ascent - bottom - height
        for row in range(height):
            rows[top + row] = int(bits[row * width : (row + 1) * width] or "0", 2) << (8 - left - width)
        made.add(bytes(rows), [code])
    return made


def fonts(root: Path) -> list[Made]:
    """The most usual first within a size."""
    console = root / "usr/share/consolefonts"
    kbd = next(path for path in root.glob("kbd-*/data/consolefonts"))
    vgabios = (root / "usr/share/seabios/vgabios-stdvga.bin").read_bytes()

    def setup(family: str, name: str, charsets: tuple[str, ...] = _USUAL) -> Made:
        files = [console / f"{charset}-{family}.psf.gz" for charset in charsets]
        return merged(name, (gzip.decompress(file.read_bytes()) for file in files if file.exists()))

    def from_kbd(name: str, *files: str) -> Made:
        return merged(name, [(kbd / f"{file}.psfu").read_bytes() for file in files])

    result = [
        bios(vgabios, 16),
        from_kbd("Linux VGA 8×16", "cp865-8x16", "cp850-8x16", "default8x16"),
        setup("Fixed16", "Fixed 8×16", _WIDE),
        from_kbd("eurlatgr 8×16", "eurlatgr"),
        from_kbd("latarcyrheb-sun16", "latarcyrheb-sun16"),
        setup("VGA16", "VGA 8×16", _WIDE),
        unifont((root / "usr/share/grub/unicode.pf2").read_bytes()),
        uefi((root / "usr/share/OVMF/OVMF_CODE.fd").read_bytes()),
        from_kbd("latarcyrheb-sun32", "latarcyrheb-sun32"),
        bios(vgabios, 14),
        bios(vgabios, 8),
        from_kbd("Linux VGA 8×8", "cp865-8x8", "cp850-8x8"),
    ]
    bold = setup("TerminusBold32x16", "Linux Terminus 16×32", _WIDE)
    result.append(varied(bold, _LINUX_16X32))
    for rows in (13, 14, 15, 18):
        result.append(setup(f"Fixed{rows}", f"Fixed 8×{rows}"))
    for family, size in (("VGA8", "8×8"), ("VGA14", "8×14")):
        result.append(setup(family, f"VGA {size}"))
    for suffix, size in _TERMINUS.items():
        charsets = _CHARSETS.get(suffix, _LATIN)
        result.append(setup(f"Terminus{suffix}", f"Terminus {size}", charsets))
        if suffix != "12x6":
            result.append(setup(f"TerminusBold{suffix}", f"Terminus Bold {size}", charsets))
        if suffix in ("14", "16"):
            result.append(setup(f"TerminusBoldVGA{suffix}", f"Terminus Bold VGA {size}"))
    return result


_TERMINUS = {
    "12x6": "6×12",
    "14": "8×14",
    "16": "8×16",
    "20x10": "10×20",
    "24x12": "12×24",
    "28x14": "14×28",
    "32x16": "16×32",
}
_CHARSETS = {"14": _USUAL, "16": _WIDE, "32x16": _WIDE}


def rows_text(bitmap: Bitmap, width: int) -> str:
    digits = (width + 3) // 4
    parts = []
    for row, run in itertools.groupby(bitmap):
        count = len(list(run))
        while count > 0:
            part = min(count, 21)
            parts.append(f"{row:0{digits}x}" + (chr(ord("g") + part - 2) if part > 1 else ""))
            count -= part
    return "".join(parts)


def lines(made: list[Made], letter: Callable[[int], str] = lambda n: chr(ord("a") + n)) -> Iterator[str]:
    sizes = sorted({(font.width, font.height) for font in made})
    for width, height in sizes:
        here = [font for font in made if (font.width, font.height) == (width, height)]
        yield f"size {width} {height}"
        users: dict[tuple[Bitmap, int], tuple[str, set[int]]] = {}
        for number, font in enumerate(here):
            yield f"font {letter(number)} {font.name}"
            for bitmap, codes in font.glyphs.items():
                letters, all_codes = users.setdefault((bitmap, characters(codes)[0]), ("", set()))
                users[bitmap, characters(codes)[0]] = (letters + letter(number), all_codes | codes)
        for (bitmap, first), (letters, codes) in sorted(users.items(), key=lambda item: (item[0][1], item[1][0])):
            shown = (first, *(code for code in characters(codes)[1:] if code != first))
            yield f"{letters} {','.join(f'{code:x}' for code in shown)} {rows_text(bitmap, width)}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    made = fonts(parser.parse_args().directory)
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(HEAD + "".join(f"{line}\n" for line in lines(made)), encoding="utf-8")
    for font in made:
        print(f"{font.name}: {len(font.glyphs)} glyphs")
    print(f"{TARGET.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
