"""Text of any picture, through the program tesseract."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from typing import IO

import numpy as np
from numpy.typing import NDArray

from guivm.console.screentext.errors import OcrError, OcrMissingError
from guivm.errors import CancelledError

_PROGRAM = "tesseract"
_TIMEOUT_S = 60.0
_LIST_TIMEOUT_S = 10.0
_POLL_S = 0.05
_MAX_OUTPUT = 4 << 20
_MAX_PIXELS = 9_000_000  # of the picture tesseract sees; a whole screen then takes some seconds
_MAX_SIDE = 16_000
_MIN_SIDE = 24  # guest pixels; less is no text
_LARGEST_SCALE = 3  # a screen has about 96 pixels to the inch, tesseract wants 300
_MAX_LANGUAGES = 4
_NO_LANGUAGES = ("osd", "equ")  # data for layout and formulas
_BORDER = 10


@dataclass(frozen=True, slots=True)
class Recognised:
    """``confidence``: tesseract's own, of all words, 0 to 1."""

    text: str
    confidence: float


def recognise(pixels: NDArray[np.uint8], cancel: threading.Event | None = None) -> Recognised:
    """Read BGRX ``pixels`` (height, width, 4). Blocks for seconds, not on the GUI thread.

    Raises OcrMissingError, OcrError, and CancelledError soon after ``cancel`` is set.
    """
    program = shutil.which(_PROGRAM)
    if program is None:
        raise OcrMissingError
    known = languages(program, cancel)
    if not known:
        raise OcrError("tesseract has no language to read in.", advice="Install a package like tesseract-ocr-eng.")
    arguments = ["stdin", "stdout", "--psm", "6", "--dpi", "300", "-l", "+".join(known), "tsv"]
    return _parse(_run([program, *arguments], portable_greymap(pixels), _TIMEOUT_S, cancel))


def languages(program: str, cancel: threading.Event | None = None) -> tuple[str, ...]:
    """Those installed, English first, at most :data:`_MAX_LANGUAGES`."""
    lines = _run([program, "--list-langs"], b"", _LIST_TIMEOUT_S, cancel).splitlines()[1:]
    names = [name for line in lines if (name := line.strip()) and name not in _NO_LANGUAGES and "/" not in name]
    return tuple(sorted(names, key=lambda name: (name != "eng", name))[:_MAX_LANGUAGES])


def portable_greymap(pixels: NDArray[np.uint8]) -> bytes:
    """The picture as tesseract likes it: larger, grey, dark on light, with a margin; a binary PGM."""
    from PIL import Image

    weights = np.array([29, 150, 77], np.uint16)  # of blue, green, red (ITU-R BT.601), in 256ths
    grey = (pixels[:, :, :3].astype(np.uint16) @ weights >> 8).astype(np.uint8)
    if np.median(grey) < 128:
        grey = 255 - grey
    height, width = grey.shape
    fitting = (_MAX_PIXELS / (height * width)) ** 0.5
    scale = max(min(_LARGEST_SCALE, fitting, _MAX_SIDE / max(height, width)), 1 / 16)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    larger = np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BICUBIC), np.uint8)
    paper = int(np.median(larger))
    framed = np.pad(larger, _BORDER, constant_values=paper)
    return b"P5 %d %d 255\n" % (framed.shape[1], framed.shape[0]) + framed.tobytes()


def _run(command: list[str], data: bytes, timeout_s: float, cancel: threading.Event | None) -> str:
    """Standard output. The program gets files, so that nothing waits for anything but its end."""
    environment = {**os.environ, "OMP_THREAD_LIMIT": "1", "LC_ALL": "C.UTF-8"}
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        given.write(data)
        given.seek(0)
        try:
            process = subprocess.Popen(command, stdin=given, stdout=output, stderr=errors, env=environment)
        except OSError as error:
            raise OcrError(f"tesseract cannot be started: {error.strerror or error}.") from error
        with process:
            try:
                _wait(process, time.monotonic() + timeout_s, timeout_s, cancel)
            finally:
                if process.poll() is None:
                    process.kill()
        if process.returncode != 0:
            raise OcrError("tesseract could not read the picture.", details=_read(errors))
        return _read(output)


def _wait(process: subprocess.Popen[bytes], deadline: float, timeout_s: float, cancel: threading.Event | None) -> None:
    while True:
        if cancel is not None and cancel.is_set():
            raise CancelledError("Reading the screen was cancelled.")
        try:
            process.wait(_POLL_S)
        except subprocess.TimeoutExpired:
            if time.monotonic() >= deadline:
                raise OcrError(
                    f"tesseract was not done after {timeout_s:g} seconds.",
                    advice="Select a smaller part of the screen.",
                ) from None
        else:
            return


def _read(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read(_MAX_OUTPUT).decode("utf-8", "replace")


def _parse(table: str) -> Recognised:
    """tesseract's TSV: level, page, block, paragraph, line, word, left, top, width, height, confidence, text."""
    lines: dict[tuple[str, ...], list[str]] = {}
    confidences: list[float] = []
    for row in table.splitlines()[1:]:
        fields = row.split("\t", 11)
        if len(fields) != 12 or fields[0] != "5" or not fields[11].strip():
            continue
        lines.setdefault(tuple(fields[1:5]), []).append(fields[11].strip())
        try:
            confidences.append(min(max(float(fields[10]) / 100, 0.0), 1.0))
        except ValueError:
            confidences.append(0.0)
    text = "\n".join(" ".join(words) for words in lines.values())
    return Recognised(text, sum(confidences) / len(confidences) if confidences else 0.0)
