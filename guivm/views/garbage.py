"""Garbage is collected on the GUI thread only.

Python collects cycles on whichever thread happens to allocate. A cycle that holds a QObject would then be destroyed
on a worker, which Qt does not allow. So the automatic collection is off while the application runs, and a slow timer
does the same work, by the same thresholds, where the QObjects live.
"""

from __future__ import annotations

import gc

from PySide6.QtCore import QObject, Qt, QTimer, Slot

INTERVAL_MS = 2_000


class GarbageCollector(QObject):
    """Takes the collection over when made, gives it back in :meth:`stop`. GUI thread."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._was_enabled = gc.isenabled()
        gc.disable()
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.VeryCoarseTimer)
        self._timer.setInterval(INTERVAL_MS)
        self._timer.timeout.connect(self.check)
        self._timer.start()

    def stop(self) -> None:
        self._timer.stop()
        if self._was_enabled:
            gc.enable()

    @Slot()
    def check(self) -> None:
        """Collect the oldest generation that is due; nothing when none is, as while the application rests."""
        due = [count > limit > 0 for count, limit in zip(gc.get_count(), gc.get_threshold(), strict=True)]
        if any(due):
            gc.collect(max(number for number, is_due in enumerate(due) if is_due))
