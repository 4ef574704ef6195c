"""Screenshots of guests as files: how they are called, and writing them without holding up the window."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from PySide6.QtCore import QBuffer, QByteArray, QIODevice, QObject, Qt, Signal, Slot
from PySide6.QtGui import QImage

from guivm.errors import GuivmError
from guivm.text import clean_line

_MAX_NAME_BYTES = 180  # of a file name's 255, so that date, number and suffix fit
_MAX_TRIES = 1000
_CLOSE_S = 2.0


class ScreenshotError(GuivmError):
    """A picture could not be saved."""


def file_name(vm_name: str, when: datetime, suffix: str) -> str:
    """ "NAME 2026-11-22 16.54.21.png": safe on every file system. ``when``: local time; ``suffix`` with its dot."""
    plain = "".join("-" if c in '/\\:*?"<>|' else c for c in clean_line(vm_name)).strip(". ")
    plain = plain.encode()[:_MAX_NAME_BYTES].decode("utf-8", "ignore").strip() or "guivm"
    return f"{plain} {when:%Y-%m-%d %H.%M.%S}{suffix}"


def free_path(directory: Path, name: str) -> Path:
    """``name`` in ``directory``, or with " (2)", " (3)", … before its suffix: one that does not exist now."""
    path = directory / name
    for number in range(2, _MAX_TRIES):
        if not os.path.lexists(path):
            break
        path = directory / f"{Path(name).stem} ({number}){Path(name).suffix}"
    return path


def save_image(image: QImage, directory: Path, name: str) -> Path:
    """Write a PNG durably under a free name; answers its path. Waits for the disk. Raises ScreenshotError."""
    if image.isNull():
        raise ScreenshotError("There is no picture to save.", advice="Start the virtual machine first.")
    data = QByteArray()
    buffer = QBuffer(data)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    if not image.save(buffer, "PNG"):  # type: ignore[call-overload]  # the stubs lack str for QIODevice
        raise ScreenshotError("The picture could not be made into a PNG file.")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        while True:
            path = free_path(directory, name)
            try:
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            except FileExistsError:
                if free_path(directory, name) == path:  # all names are taken
                    raise
                continue
            break
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(data.data())
                stream.flush()
                os.fsync(stream.fileno())
        except BaseException:
            path.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ScreenshotError(
            f"The picture could not be saved: {error.strerror or error}.",
            advice=f"The folder is {directory}.",
            details=str(error),
        ) from error
    return path


def _save(image: QImage, directory: Path, name: str, tell: Callable[[Path | ScreenshotError], None]) -> None:
    try:
        outcome: Path | ScreenshotError = save_image(image, directory, name)
    except ScreenshotError as error:
        outcome = error
    with contextlib.suppress(RuntimeError):  # the window is gone
        tell(outcome)


class ScreenshotSaver(QObject):
    """Saves pictures one after another on threads of their own. GUI thread."""

    saved = Signal(object)  # Path
    failed = Signal(object)  # ScreenshotError

    _done = Signal(object)  # Path | ScreenshotError

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._threads: list[threading.Thread] = []
        self._closed = False
        self._done.connect(self._deliver, Qt.ConnectionType.QueuedConnection)

    def save(self, image: QImage, directory: Path, vm_name: str, when: datetime | None = None) -> None:
        """``image`` must be a copy of its own (``ConsoleWidget.current_image``). ``when``: now, without one."""
        name = file_name(vm_name, when or datetime.now().astimezone(), ".png")
        # It must not hold this object: its last reference would go on that thread.
        arguments = (image, directory, name, self._done.emit)
        thread = threading.Thread(target=_save, args=arguments, name="guivm-screenshot")
        self._threads = [*(other for other in self._threads if other.is_alive()), thread]
        thread.start()

    def close(self) -> None:
        """Wait until all are on disk, a few seconds at most; no signal follows. What is under way is finished."""
        self._closed = True
        for thread in self._threads:
            thread.join(_CLOSE_S)

    @Slot(object)
    def _deliver(self, outcome: Path | ScreenshotError) -> None:
        if self._closed:
            return
        if isinstance(outcome, ScreenshotError):
            self.failed.emit(outcome)
        else:
            self.saved.emit(outcome)
