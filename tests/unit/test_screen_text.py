"""Text from pictures of text screens: every font, any place, any colours; cursors; pictures that are none."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from guivm.console.frame import Rect
from guivm.console.screentext import (
    NoTextError,
    OcrError,
    OcrMissingError,
    ScreenText,
    TextMethod,
    read_text,
)
from guivm.console.screentext.fonts import Font, Size, fonts_of, sizes
from guivm.console.screentext.words import line_of
from guivm.errors import CancelledError
from guivm.resources import resource_path
from tests.helpers.text_screen import BLACK, GREY, Colour, blank, font, glyph_bits, write

FONTS = [(size, each.name) for size in sizes() for each in fonts_of(size).fonts]
IDS = [f"{name} in {size[0]}" for size, name in FONTS]
PANGRAM = "The quick brown fox jumps over the lazy dog 0123456789"
SIGNS = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
LETTERS = "äöüßÄÖÜéèçñ ┌─┬─┐ └─┴─┘ ├┼┤│"
VGA = font("VGA BIOS 8×16")
# Beside a picture of noise.
NOISE: NDArray[np.uint8] = np.random.default_rng(7).integers(0, 256, (200, 320, 4), np.uint8)


def lines_for(which: Font) -> list[str]:
    """A text of the characters the font has."""
    known = glyph_bits(which)
    return ["".join(c for c in line if c == " " or c in known).strip() for line in (PANGRAM, SIGNS, LETTERS)]


def screen(
    which: Font,
    lines: list[str],
    *,
    at: tuple[int, int] = (0, 0),
    ink: Colour = GREY,
    paper: Colour = BLACK,
    columns: int = 80,
    rows: int = 25,
) -> NDArray[np.uint8]:
    pixels = blank(columns * which.width, rows * which.height, paper)
    write(pixels, which, lines, at=at, ink=ink, paper=paper)
    return pixels


def read(pixels: NDArray[np.uint8], region: Rect | None = None) -> ScreenText:
    return read_text(pixels, region, use_ocr=False)


def stripped(text: str) -> list[str]:
    """Lines without the indent all have."""
    lines = text.split("\n")
    indent = min(len(line) - len(line.lstrip()) for line in lines if line)
    return [line[indent:] for line in lines]


@pytest.mark.parametrize(("size", "name"), FONTS, ids=IDS)
def test_every_font(size: Size, name: str) -> None:
    which = font(name, size)
    lines = lines_for(which)
    found = read(screen(which, lines))
    assert found.text.split("\n") == lines
    assert found.method is TextMethod.FONT
    assert found.confidence == 1.0
    assert lines_for(font(found.font, size)) == lines


@pytest.mark.parametrize(("size", "name"), FONTS, ids=IDS)
def test_at_any_place_in_any_colours(size: Size, name: str) -> None:
    which = font(name, size)
    lines = lines_for(which)
    found = read(screen(which, lines, at=(size[0] + 3, size[1] + 5), ink=(10, 20, 30), paper=(200, 210, 220)))
    assert stripped(found.text) == lines


def test_all_glyphs_of_the_table_can_be_told_apart() -> None:
    for size in sizes():
        for which in fonts_of(size).fonts:
            union = {*which.normal.values()} | {*which.inverse.values()}
            assert {chr(code) for code in range(0x21, 0x7F)} <= {characters[0] for characters in union}, which.name


def test_the_table_is_small_and_says_where_it_is_from() -> None:
    path = resource_path("fonts/console.txt")
    assert path.stat().st_size < 400_000
    head = path.read_text(encoding="utf-8")[:1500]
    assert "python -m tests.helpers.console_fonts" in head
    assert "licences" in head


@given(
    st.lists(st.text(st.sampled_from(sorted(glyph_bits(VGA)) + [" "] * 20), max_size=40), max_size=20),
    st.sampled_from([(GREY, BLACK), (BLACK, GREY), ((255, 255, 255), (170, 0, 0))]),
)
@settings(deadline=None)
def test_random_text(lines: list[str], colours: tuple[Colour, Colour]) -> None:
    """What can be known of the grid is in the first line."""
    lines = ["login", *(line.rstrip() for line in lines)]
    found = read(screen(VGA, lines, ink=colours[0], paper=colours[1]))
    assert found.text.split("\n") == "\n".join(lines).rstrip("\n").split("\n")


def test_inverse_video_and_colours_by_cell() -> None:
    pixels = screen(VGA, ["plain text", "", "last line"])
    write(pixels, VGA, ["┌ menu ◄─┐"], at=(0, 16), ink=BLACK, paper=GREY)
    write(pixels, VGA, ["c"], at=(160, 16), ink=(255, 0, 0), paper=(0, 255, 0))
    assert read(pixels).text == "plain text\n┌ menu ◄─┐          c\nlast line"


@pytest.mark.parametrize("ink", [GREY, (255, 255, 255)])
@pytest.mark.parametrize(("text", "expected"), [("root# ", "root#"), ("logins", "logins"), ("ABC", "ABC")])
def test_underline_cursor(text: str, expected: str, ink: Colour) -> None:
    pixels = screen(VGA, [text, "next"])
    x = (len(text) - 1) * 8
    pixels[13:15, x : x + 8, :3] = ink
    assert read(pixels).text == f"{expected}\nnext"


def test_block_cursor_and_mouse() -> None:
    pixels = screen(VGA, ["root# ls", "next"])
    pixels[0:16, 48:64] ^= 255  # over letters
    pixels[0:16, 80:88] ^= 255  # over nothing
    assert read(pixels).text == "root# ls\nnext"


@pytest.mark.parametrize(
    ("region", "expected"),
    [
        (Rect(0, 0, 40, 16), "abcde"),
        (Rect(12, 20, 10, 3), "BC"),  # to whole cells
        (Rect(16, 5, 8, 20), "c\nC"),
        (Rect(600, 10, 5000, 5000), "xyz\nXYZ"),  # as far as the screen goes
    ],
)
def test_regions(region: Rect, expected: str) -> None:
    alphabet = "abcdefghijklmnopqrstuvwxyz"
    line = alphabet.ljust(77) + "xyz"
    pixels = screen(VGA, [line, line.upper()])
    text = read(pixels, region).text
    assert "\n".join(part.strip() for part in text.split("\n")) == expected


def test_one_cell_beside_a_picture() -> None:
    pixels = np.zeros((400, 640, 4), np.uint8)
    pixels[:200, :320] = NOISE
    write(pixels, VGA, ["Loading, please wait", "----", PANGRAM, PANGRAM], at=(0, 320))
    assert read(pixels, Rect(0, 320, 8, 16)).text == "L"
    assert read(pixels, Rect(0, 336, 640, 16)).text == "----"


def test_a_logo_above_the_text() -> None:
    pixels = screen(VGA, [""] * 13 + [PANGRAM] * 4)
    pixels[:200, :320] = NOISE
    found = read(pixels)
    assert found.text.strip().split("\n") == [PANGRAM] * 4
    assert found.confidence < 0.9


def test_over_a_picture() -> None:
    unifont = font("Unifont 8×16")
    pixels = np.tile(NOISE // 3, (3, 2, 1))
    write(pixels, unifont, ["*Debian GNU/Linux", " Advanced options"], at=(53, 41), ink=(255, 255, 255), paper=None)
    write(pixels, unifont, ["Press enter to boot the selected OS."], at=(53, 41 + 5 * 16), ink=GREY, paper=None)
    lines = [line for line in stripped(read(pixels).text) if line]
    assert lines == ["*Debian GNU/Linux", " Advanced options", "Press enter to boot the selected OS."]
    assert read(pixels, Rect(53 + 8, 60, 30, 10)).text == "Adva"


@pytest.mark.parametrize("pixels", [NOISE, blank(0, 0), blank(320, 200), blank(5, 3), NOISE[:9, :9], NOISE[:1, :1]])
def test_no_text(pixels: NDArray[np.uint8]) -> None:
    with pytest.raises(NoTextError, match="No text was found"):
        read(pixels)


@pytest.mark.parametrize("region", [Rect(700, 0, 10, 10), Rect(0, 0, 0, 0), Rect(-20, -20, 10, 10)])
def test_regions_outside(region: Rect) -> None:
    with pytest.raises(NoTextError):
        read(screen(VGA, ["login"]), region)


def test_a_blank_part_of_a_text_screen_needs_no_ocr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(NoTextError):
        read_text(screen(VGA, ["login"]), Rect(300, 200, 100, 100))


def test_a_part_of_a_larger_picture_is_not_copied_wrongly() -> None:
    whole = np.zeros((500, 900, 4), np.uint8)
    whole[20:420, 100:740] = screen(VGA, ["login"])
    assert read(whole[20:420, 100:740]).text == "login"


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (("A\u0410", "\u0431"), "\u0410\u0431"),
        (("A\u0410", "b"), "Ab"),
        (("\u0414", "a\u0430", "", "c\u0441", "", "o\u043e", "", ""), "\u0414\u0430 \u0441 \u043e"),
        (("L", "", "a\u0430"), "L a"),
        (("a\u0430", "", "\u0414"), "\u0430 \u0414"),
        (("o\u043e\u03bf", "\u03bb"), "\u03bf\u03bb"),
        (("C", "1", "a\u0430"), "C1a"),
        ((), ""),
    ],
)
def test_letters_of_other_scripts(cells: tuple[str, ...], expected: str) -> None:
    assert line_of(cells) == expected


def _program(directory: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = directory / "tesseract"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:/usr/bin:/bin")


def test_without_tesseract(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OcrMissingError, match=r"tesseract is not installed.*tesseract-ocr"):
        read_text(NOISE)


_LIST = 'if [ "$1" = --list-langs ]; then printf "List:\\ndeu\\neng\\nosd\\n"; exit; fi'


def test_what_tesseract_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its table becomes lines; hostile characters go."""
    rows = ["level"]
    for line, word, confidence, text in ((1, 1, 90, "two"), (1, 2, 80, "words\u202e"), (2, 1, 70, "more")):
        rows.append(f"5\\t1\\t1\\t1\\t{line}\\t{word}\\t0\\t0\\t1\\t1\\t{confidence}\\t{text}")
    table = "\\n".join(rows)
    _program(tmp_path, f'{_LIST}\necho "$@" > {tmp_path}/arguments\nprintf "{table}\\n"', monkeypatch)
    found = read_text(NOISE)
    assert (found.text, found.method, found.font) == ("two words\nmore", TextMethod.OCR, "")
    assert found.confidence == pytest.approx(0.8)
    assert (tmp_path / "arguments").read_text().split() == (
        ["stdin", "stdout", "--psm", "6", "--dpi", "300", "-l", "eng+deu", "tsv"]
    )


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("exit 1", "could not read"),
        ('printf "List:\\nosd\\n"', "no language"),
        (f"{_LIST}\necho broken >&2; exit 1", "could not read"),
    ],
)
def test_tesseract_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, expected: str) -> None:
    _program(tmp_path, script, monkeypatch)
    with pytest.raises(OcrError, match=expected):
        read_text(NOISE)


@pytest.mark.parametrize("output", ["", "level\\n", "5\\t\\n", "5\\t1\\t1\\t1\\t1\\t1\\t0\\t0\\t1\\t1\\tx\\tword\\n"])
def test_tesseract_finds_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, output: str) -> None:
    _program(tmp_path, f'{_LIST}\nprintf "{output}"', monkeypatch)
    with pytest.raises(NoTextError):
        read_text(NOISE)


def test_cancelled_the_program_ends(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    _program(tmp_path, f"{_LIST}\nexec cat {pipe}", monkeypatch)
    cancel = threading.Event()
    errors: list[Exception] = []

    def run() -> None:
        try:
            read_text(NOISE, cancel=cancel)
        except CancelledError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    with pipe.open("wb", buffering=0) as writer:  # opens when the program reads
        cancel.set()
        thread.join(30)
        assert len(errors) == 1
        with pytest.raises(BrokenPipeError):
            writer.write(b"x")


@given(data=st.data(), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=30)
def test_any_picture(data: st.DataObject, seed: int) -> None:
    """Few colours, so that some of it looks like glyphs; regions of any size and place."""
    width, height = data.draw(st.integers(1, 120)), data.draw(st.integers(1, 90))
    pixels = np.random.default_rng(seed).integers(0, data.draw(st.integers(1, 4)), (height, width, 4), np.uint8)
    side = st.integers(-20, 140)
    region = data.draw(st.none() | st.builds(Rect, side, side, side, side))
    with contextlib.suppress(NoTextError):
        assert read(pixels, region).text
