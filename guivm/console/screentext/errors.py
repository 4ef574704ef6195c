"""Why no text came from a picture."""

from __future__ import annotations

from guivm.errors import GuivmError


class ScreenTextError(GuivmError):
    """Text on the screen could not be read."""


class NoTextError(ScreenTextError):
    """The picture holds nothing that was recognised as text."""

    def __init__(self, advice: str = "") -> None:
        super().__init__("No text was found in this part of the screen.", advice=advice)


class OcrMissingError(ScreenTextError):
    """The picture is no text mode, and there is no program that reads other pictures."""

    def __init__(self) -> None:
        super().__init__(
            "This part of the screen is no text-mode picture, and tesseract is not installed, which reads others.",
            advice="Install the package tesseract-ocr, and one like tesseract-ocr-deu for each language.",
        )


class OcrError(ScreenTextError):
    """tesseract was there and failed; ``details`` has its words."""
