"""Text from a picture of a guest's screen: exact for text-mode fonts, else through OCR. No Qt.

:func:`read_text` is all of it.
"""

from __future__ import annotations

from guivm.console.screentext.errors import NoTextError, OcrError, OcrMissingError, ScreenTextError
from guivm.console.screentext.reader import ScreenText, TextMethod, read_text

__all__ = ["NoTextError", "OcrError", "OcrMissingError", "ScreenText", "ScreenTextError", "TextMethod", "read_text"]
