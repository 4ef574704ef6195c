"""Copy Text from the Screen: choose a part of a guest's screen, read it, put the text into the clipboard."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Protocol

import shiboken6
from PySide6.QtCore import QObject, QRect, Signal, Slot
from PySide6.QtGui import QGuiApplication, QImage
from PySide6.QtWidgets import QWidget

from guivm.console.picture.region_picker import RegionPicker
from guivm.errors import CancelledError, GuivmError
from guivm.views.messages import Message, Severity

if TYPE_CHECKING:
    from guivm.console.screentext import ScreenText
    from guivm.console.widget import ConsoleWidget

_LOW_CONFIDENCE = 0.8


class Compute(Protocol):
    """Runs ``work`` on another thread, then ``done`` with its result here, unless ``owner`` is gone."""

    def __call__(
        self,
        work: Callable[[], ScreenText | GuivmError],
        owner: QObject,
        done: Callable[[ScreenText | GuivmError], None],
    ) -> None: ...


class ScreenTextCopy(QObject):
    """One reading at a time: a new one ends the one before. GUI thread."""

    told = Signal(object)  # Message

    def __init__(self, compute: Compute, parent: QObject) -> None:
        """``compute``: as :meth:`guivm.views.bridge.Bridge.compute`; the work may take seconds."""
        super().__init__(parent)
        self._compute = compute
        self._picker: RegionPicker | None = None
        self._console: ConsoleWidget | None = None
        self._image = QImage()
        self._cancel = threading.Event()

    @property
    def picker(self) -> RegionPicker | None:
        """What lies over the console shown last, while that exists."""
        return self._picker if self._picker is not None and shiboken6.isValid(self._picker) else None

    def start(self, console: ConsoleWidget) -> None:
        """Let the person choose. Started again, the choosing ends without a result."""
        picker = self.picker
        if picker is not None and picker.isVisible():
            picker.cancel()
            return
        console.release_capture()
        if picker is None or self._console is not console:
            if picker is not None:
                picker.deleteLater()
            picker = RegionPicker(console)
            picker.picked.connect(self._on_picked)
            self._picker = picker
            self._console = console
        picker.start()

    def close(self) -> None:
        """End what runs; nothing is told of it any more."""
        self._cancel.set()
        picker = self.picker
        if picker is not None:
            picker.cancel()

    @Slot(QRect)
    def _on_picked(self, region: QRect) -> None:
        if self._console is None:
            return
        self._cancel.set()
        self._cancel = threading.Event()
        work = partial(_read, self._console.current_image(), region, self._cancel)
        self._compute(work, self, partial(self._on_read, self._cancel))

    def _on_read(self, cancel: threading.Event, result: ScreenText | GuivmError) -> None:
        if cancel.is_set() or isinstance(result, CancelledError):
            return
        if isinstance(result, GuivmError):
            self.told.emit(Message(Severity.ERROR, result.summary, result.advice, result.details))
            return
        QGuiApplication.clipboard().setText(result.text)
        show = (self.tr("Show"), partial(_show, weakref.ref(self), result.text))
        self.told.emit(Message(Severity.SUCCESS, self._summary(result), self._advice(result), "", (show,)))

    def _summary(self, result: ScreenText) -> str:
        lines = result.text.count("\n") + 1
        if lines == 1:
            return self.tr("1 line of text is in the clipboard.")
        return self.tr("{n} lines of text are in the clipboard.").format(n=lines)

    def _advice(self, result: ScreenText) -> str:
        from guivm.console.screentext import TextMethod

        if result.method is TextMethod.OCR:
            return self.tr("It was recognised by its shapes: look it over.")
        if result.confidence < _LOW_CONFIDENCE:
            return self.tr("Some of it was not readable.")
        return ""

    def show_text(self, text: str) -> None:
        """A window with what was copied."""
        from guivm.views.dialogs.screen_text import ScreenTextDialog

        console = self._console
        window: QWidget | None = None
        if console is not None and shiboken6.isValid(console):
            window = console.window()
        ScreenTextDialog(text, window).open()


def _show(owner: weakref.ref[ScreenTextCopy], text: str) -> None:
    """The message may be there longer than the console it came from."""
    copy = owner()
    if copy is not None and shiboken6.isValid(copy):
        copy.show_text(text)


def _read(image: QImage, region: QRect, cancel: threading.Event) -> ScreenText | GuivmError:
    """Not on the GUI thread. ``image`` is not written to by anybody."""
    import numpy as np

    from guivm.console.frame import Rect
    from guivm.console.screentext import read_text

    if cancel.is_set():
        return CancelledError("Reading the screen was cancelled.")
    if image.format() != QImage.Format.Format_RGB32:
        image = image.convertToFormat(QImage.Format.Format_RGB32)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    pixels = rows[:, : 4 * image.width()].reshape(image.height(), image.width(), 4)
    try:
        return read_text(pixels, Rect(region.x(), region.y(), region.width(), region.height()), cancel=cancel)
    except GuivmError as error:
        return error
