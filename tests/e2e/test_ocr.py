"""Text through the real tesseract."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from guivm.console.screentext import TextMethod, read_text

pytestmark = pytest.mark.e2e

WORDS = "Choose the language for the installation process"


@pytest.mark.parametrize(("ink", "paper"), [("black", "white"), ("#d0d0d0", "#203040")])
@pytest.mark.parametrize("size", [13, 20])
def test_words_in_a_proportional_font(ink: str, paper: str, size: int) -> None:
    image = Image.new("RGBX", (700, 120), paper)
    draw = ImageDraw.Draw(image)
    face = ImageFont.truetype("DejaVuSans.ttf", size)
    draw.text((23, 17), WORDS, font=face, fill=ink)
    draw.text((23, 67), "Continue  Go Back", font=face, fill=ink)
    pixels = np.ascontiguousarray(np.asarray(image)[:, :, [2, 1, 0, 3]])
    found = read_text(pixels)
    assert found.method is TextMethod.OCR
    assert found.text.split("\n") == [WORDS, "Continue Go Back"]
    assert found.confidence > 0.7
