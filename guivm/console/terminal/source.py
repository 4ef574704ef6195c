"""A serial line as the terminal widget sees it: the Qt side of :mod:`guivm.console.serial.link`."""

from __future__ import annotations

from PySide6.QtCore import QObject, Qt, Signal, Slot

from guivm.console.lifetime import on_destroyed
from guivm.console.serial.link import SerialLink
from guivm.engine.job_types import SerialEndpoint


class SerialSource(QObject):
    """Owns the endpoint's descriptor from the start: :meth:`close` it even when it was never opened. GUI thread."""

    ready = Signal()  # there is something to take; not said again until it was taken
    ended = Signal()  # the other side has closed the line, and all it said was taken

    _woken = Signal()

    def __init__(self, endpoint: SerialEndpoint, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._closed = False
        self._end_told = False
        self._woken.connect(self._deliver, Qt.ConnectionType.QueuedConnection)
        self._link = SerialLink(endpoint.fd, self._woken.emit)
        # Deleted with its parent and not closed: the thread must not outlive the object it speaks to.
        on_destroyed(self, self._link.stop)

    @property
    def is_open(self) -> bool:
        return not self._closed and not self._end_told

    def open(self) -> None:
        self._link.start()

    def close(self) -> None:
        """End the line. No signal comes any more."""
        self._closed = True
        self._link.stop()

    def take(self, limit: int) -> bytes:
        """At most ``limit`` bytes of what the guest said."""
        if self._closed:
            return b""
        data = self._link.take(limit)
        if not data and self._link.ended and not self._end_told:
            # Asked once more: the last bytes may have come between the two questions.
            data = self._link.take(limit)
            if not data:
                self._end_told = True
                self.ended.emit()
        return data

    def write(self, data: bytes) -> bool:
        """Send to the guest; False when it takes nothing now, and these bytes are not sent."""
        return not self._closed and self._link.write(data)

    @Slot()
    def _deliver(self) -> None:
        if not self._closed:
            self.ready.emit()


def make_serial_source(endpoint: SerialEndpoint, parent: QObject | None = None) -> SerialSource:
    """The source for an endpoint of the engine. Takes the descriptor over; open() starts it."""
    return SerialSource(endpoint, parent)
