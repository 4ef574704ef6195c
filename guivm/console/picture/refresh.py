"""When the picture is brought up to date: at once after a rest, else with the screen's next refresh."""

from __future__ import annotations

import time

from PySide6.QtCore import QObject, Qt, QTimer, Signal, Slot
from PySide6.QtWidgets import QWidget

_SLOWEST_HZ, _FASTEST_HZ = 30.0, 240.0  # what a screen's own word for its refresh rate is believed


class RefreshBeat(QObject):
    """GUI thread. Nobody sees more pictures than the screen of ``widget`` shows; the source collects meanwhile."""

    due = Signal()

    def __init__(self, widget: QWidget) -> None:
        super().__init__(widget)
        self._widget = widget
        self._next = 0.0  # seconds, monotonic
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._on_time)

    def wish(self) -> None:
        """There is something to show: ``due`` comes, perhaps within this call."""
        wait_ms = int((self._next - time.monotonic()) * 1000)
        if wait_ms <= 0:
            self._on_time()
        elif not self._timer.isActive():
            self._timer.start(wait_ms)

    @Slot()
    def _on_time(self) -> None:
        now = time.monotonic()
        period = 1 / min(max(self._widget.screen().refreshRate(), _SLOWEST_HZ), _FASTEST_HZ)
        # On a steady beat while pictures come all the time.
        self._next = period + (self._next if now - self._next < period else now)
        self.due.emit()
