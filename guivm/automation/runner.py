"""Runs a script against a VM's display. One thread; progress is told as it happens.

On any way out, keys and buttons are released. Waits end after their time; the rest is bounded by itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from guivm.automation import pictures
from guivm.automation import statements as st
from guivm.automation.keys import Combo, LayoutTypist, Typist, combo_keys
from guivm.automation.language import DEFAULT_RATE
from guivm.automation.remote import Remote
from guivm.automation.script import Line, Script
from guivm.automation.statements import Point
from guivm.console.frame import Rect
from guivm.console.typing.strokes import KeyEvent
from guivm.errors import CancelledError, GuivmError, OperationError
from guivm.text import clean_line

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_EVENT_S = 0.01  # in which a guest fetches one
_HOLD_S = 0.05  # how long a combination or a button is held
_DRAG_STEPS = 20
_DRAG_STEP_S = 0.02
_STILL_PIXELS = 300  # a blinking text cursor, with room to spare
_TEXT_REST_S = 0.3  # between two readings of a screen that moves
_MAX_TEXT_BYTES = 1 << 20

TextReader = Callable[["NDArray[np.uint8]", Rect | None], str]
"""Text in a picture: pixels are uint8 (height, width, 4), B, G, R, X. Raises GuivmError."""


class ExpectationError(GuivmError):
    """What a script waited for did not come in time; ``summary`` says what was seen instead."""


@dataclass(frozen=True, slots=True)
class Started:
    """A statement begins."""

    line: Line


@dataclass(frozen=True, slots=True)
class Ended:
    """A statement is done; ``note``: what was found, or empty."""

    line: Line
    seconds: float
    note: str


Progress = Started | Ended


@dataclass(frozen=True, slots=True)
class Options:
    """``directory``: of files a script names. ``failure_picture``: where the last picture goes when it fails."""

    directory: Path
    layout: str = "us"
    rate: float = DEFAULT_RATE
    failure_picture: Path | None = None
    make_typist: Callable[[str], Typist] = LayoutTypist
    read_text: TextReader | None = field(default=None)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a script ended early. ``picture``: of the screen at that moment, when it could be saved."""

    line: Line | None
    error: GuivmError
    picture: Path | None


def screen_text(pixels: NDArray[np.uint8], region: Rect | None) -> str:
    """Read text with :mod:`guivm.console.screentext`. Raises GuivmError, ScreenTextError where there is none."""
    from guivm.console.screentext import read_text

    return read_text(pixels, region).text


class Runner:
    """``run`` once. The remote is open, and stays so."""

    def __init__(self, remote: Remote, options: Options, report: Callable[[Progress], None]) -> None:
        self._remote = remote
        self._options = options
        self._report = report
        self._typist = options.make_typist(options.layout)
        self._pictures: dict[str, pictures.Picture] = {}
        self._note = ""

    def run(self, script: Script) -> Failure | None:
        """None when all is done. CancelledError passes; every other GuivmError becomes a Failure."""
        line = None
        first_typist = self._typist
        try:
            for line in script.lines:
                self._check_beforehand(line.statement)
            self._typist = first_typist
            for line in script.lines:
                self._note = ""
                self._report(Started(line))
                start = time.monotonic()
                self._do(line.statement)
                self._report(Ended(line, time.monotonic() - start, self._note))
            self._remote.sync()
        except CancelledError:
            raise
        except GuivmError as error:
            return Failure(line, error, self._save_failure())
        finally:
            self._remote.release_all()
        return None

    def _save_failure(self) -> Path | None:
        path = self._options.failure_picture
        if path is None:
            return None
        try:
            pictures.save(self._remote.image, path)
        except GuivmError:
            return None  # the failure itself is what is to be told
        return path

    def _check_beforehand(self, statement: st.Statement) -> None:
        """What can be known to fail is told before anything is done to the guest."""
        match statement:
            case st.Type(text, _):
                self._typist.bursts(text)
            case st.TypeFile(file):
                self._typist.bursts(self._file_text(file))
            case st.Press(combos):
                for combo in combos:
                    combo_keys(combo, self._typist)
            case st.Hold(combo, _):
                combo_keys(combo, self._typist)
            case st.UseLayout(name):
                self._typist = self._options.make_typist(name)
            case st.WaitPicture(file=file) | st.Expect(file=file):
                # A script may capture the picture itself, and wait for it later.
                if self._path(file).exists():
                    self._picture(file)
            case st.Capture(file=file):
                pictures.check_name(self._path(file))
            case _:
                pass

    def _do(self, statement: st.Statement) -> None:
        match statement:
            case st.Type(text, enter):
                self._type(text + "\n" * enter)
            case st.TypeFile(file):
                self._type(self._file_text(file))
            case st.UseLayout(name):
                self._typist = self._options.make_typist(name)
            case st.Paste(text):
                self._remote.paste(text)
            case st.Press(combos):
                for combo in combos:
                    self._press(combo)
            case st.Hold(combo, pressed):
                keys = combo_keys(combo, self._typist)
                for key in keys if pressed else reversed(keys):
                    self._remote.send_key(KeyEvent(*key, pressed))
            case st.Move(to):
                self._remote.move(*to)
            case st.Click(button, at, count):
                self._click(button, at, count)
            case st.HoldButton(button, pressed):
                self._remote.press_button(button, pressed)
            case st.Drag():
                self._drag(statement)
            case st.Wheel(direction, steps):
                for _ in range(steps):
                    self._click(direction.value, None, 1, 0.0)
            case st.Sleep(seconds):
                self._remote.sleep(seconds)
            case st.WaitPicture():
                self._wait_picture(statement)
            case st.Expect():
                self._expect(statement)
            case st.WaitText():
                self._wait_text(statement)
            case st.WaitStill():
                self._wait_still(statement)
            case st.Capture(file, region):
                self._capture(file, region)

    # --- input ----------------------------------------------------------------------------------------

    def _type(self, text: str) -> None:
        self._send(self._typist.bursts(text))

    def _send(self, bursts: Sequence[Sequence[KeyEvent]]) -> None:
        for burst in bursts:
            for event in burst:
                self._remote.send_key(event)
            self._remote.sleep(max(1 / self._options.rate, len(burst) * _EVENT_S))

    def _press(self, combo: Combo) -> None:
        keys = combo_keys(combo, self._typist)
        for key in keys:
            self._remote.send_key(KeyEvent(*key, True))
        self._remote.sleep(_HOLD_S)
        for key in reversed(keys):
            self._remote.send_key(KeyEvent(*key, False))
        self._remote.sleep(_HOLD_S)

    def _click(self, button: int, at: Point | None, count: int, hold_s: float = _HOLD_S) -> None:
        if at is not None:
            self._remote.move(*at)
        for _ in range(count):
            self._remote.press_button(button, True)
            self._remote.sleep(hold_s)
            self._remote.press_button(button, False)
            self._remote.sleep(hold_s)

    def _drag(self, drag: st.Drag) -> None:
        if drag.start is not None:
            self._remote.move(*drag.start)
            self._remote.press_button(drag.button, True)
        x, y = self._remote.pointer
        for step in range(1, _DRAG_STEPS + 1):
            self._remote.sleep(_DRAG_STEP_S)
            self._remote.move(
                x + (drag.end.x - x) * step // _DRAG_STEPS,
                y + (drag.end.y - y) * step // _DRAG_STEPS,
            )
        if drag.start is not None:
            self._remote.sleep(_DRAG_STEP_S)
            self._remote.press_button(drag.button, False)

    # --- looking --------------------------------------------------------------------------------------

    def _wait_picture(self, wanted: st.WaitPicture) -> None:
        picture = self._picture(wanted.file)
        found: list[Point] = []

        def is_seen() -> bool:
            place = pictures.find(pictures.cut(self._remote.pixels(), wanted.region), picture, wanted.tolerance)
            if place is not None:
                found.append(place)
            return place is not None

        if not self._remote.watch(is_seen, time.monotonic() + wanted.timeout_s):
            raise ExpectationError(
                f"The picture “{wanted.file}” ({picture.width} by {picture.height}) did not appear "
                f"{_within(wanted.timeout_s)} on {self._where(wanted.region)}."
            )
        left, top = (wanted.region.x, wanted.region.y) if wanted.region else (0, 0)
        self._note = f"at {found[-1].x + left} {found[-1].y + top}"

    def _expect(self, wanted: st.Expect) -> None:
        from PIL import Image

        picture = Image.fromarray(self._picture(wanted.file).rgb)
        box = (wanted.at.x, wanted.at.y, wanted.at.x + picture.width, wanted.at.y + picture.height)
        distances: list[float] = []

        def is_seen() -> bool:
            distances.append(pictures.histogram_distance(self._remote.image.crop(box), picture))
            return distances[-1] <= wanted.fuzz

        if not self._remote.watch(is_seen, time.monotonic() + wanted.timeout_s):
            raise ExpectationError(
                f"The screen did not look like “{wanted.file}” {_within(wanted.timeout_s)}: "
                f"the difference was {distances[-1]:.1f}, not at most {wanted.fuzz:g}."
            )

    def _wait_text(self, wanted: st.WaitText) -> None:
        import numpy as np

        from guivm.console.screentext import ScreenTextError

        read = self._options.read_text or screen_text
        needle = " ".join(wanted.text.split())
        seen: list[str] = []
        why_not: list[str] = []

        def is_seen() -> bool:
            rgb = self._remote.pixels()
            bgrx = np.zeros((*rgb.shape[:2], 4), np.uint8)
            bgrx[:, :, :3] = rgb[:, :, ::-1]
            region = wanted.region
            if region is not None and not pictures.cut(rgb, region).size:
                return False
            try:
                seen[:] = [" ".join(read(bgrx, region).split())]
            except ScreenTextError as error:  # there may be text later
                why_not[:] = [str(error)]
                return False
            return needle in seen[-1]

        if not self._remote.watch(is_seen, time.monotonic() + wanted.timeout_s, rest_s=_TEXT_REST_S):
            last = clean_line(seen[-1][-200:]) if seen else ""
            raise ExpectationError(
                f"The text “{needle}” did not appear {_within(wanted.timeout_s)}; "
                + (f"the last that was read is “{last}”." if last else "no text was read."),
                details=seen[-1] if seen else "".join(why_not),
            )

    def _wait_still(self, wanted: st.WaitStill) -> None:
        reference: NDArray[np.uint8] | None = None
        since = time.monotonic()

        def is_still() -> bool:
            nonlocal reference, since
            now = pictures.cut(self._remote.pixels(), wanted.region)
            if reference is None or pictures.changed(reference, now) > _STILL_PIXELS:
                reference = now
                since = time.monotonic()
            return time.monotonic() - since >= wanted.seconds

        deadline = time.monotonic() + wanted.timeout_s
        if not self._remote.watch(is_still, deadline, every_s=max(0.05, wanted.seconds / 10)):
            raise ExpectationError(
                f"On {self._where(wanted.region)} nothing was still for {wanted.seconds:g} s "
                f"{_within(wanted.timeout_s)}; "
                f"the last movement was {time.monotonic() - since:.1f} s ago."
            )

    def _capture(self, file: str, region: Rect | None) -> None:
        self._remote.refresh(time.monotonic() + 10.0)
        image = self._remote.image
        pictures.check_region(image.size, region)
        if region is not None:
            image = image.crop((region.x, region.y, region.x + region.width, region.y + region.height))
        pictures.save(image, self._path(file))
        self._note = f"{image.width} by {image.height}"

    def _where(self, region: Rect | None) -> str:
        width, height = self._remote.size
        if region is None:
            return f"the screen ({width} by {height})"
        return f"the region {region.x} {region.y} {region.width} {region.height} of the screen ({width} by {height})"

    # --- files ----------------------------------------------------------------------------------------

    def _path(self, file: str) -> Path:
        return self._options.directory / file

    def _picture(self, file: str) -> pictures.Picture:
        if file not in self._pictures:
            self._pictures[file] = pictures.read_picture(self._path(file))
        return self._pictures[file]

    def _file_text(self, file: str) -> str:
        path = self._path(file)
        try:
            with path.open("rb") as opened:
                data = opened.read(_MAX_TEXT_BYTES + 1)
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise OperationError(f"“{path}” is no UTF-8 text.", details=str(error)) from error
        except OSError as error:
            raise OperationError(f"“{path}” cannot be read: {error.strerror or error}.") from error
        if len(data) > _MAX_TEXT_BYTES:
            raise OperationError(f"“{path}” is larger than 1 MiB.")
        return text


def _within(seconds: float) -> str:
    return f"within {seconds:g} s"
