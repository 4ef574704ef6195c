"""The guest's bell as something to see: a frame that glows for a moment, calmly."""

from __future__ import annotations

from PySide6.QtCore import QEasingCurve, QObject, QVariantAnimation, Signal, Slot

_DURATION_MS = 320
_PEAK = 0.8  # opacity


class BellCue(QObject):
    """``strength``: opacity of the glow now, 0 when there is none. While it glows further bells change nothing."""

    changed = Signal()

    thickness = 4
    """Logical pixels."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.strength = 0.0
        self._glow = QVariantAnimation(self)
        self._glow.setDuration(_DURATION_MS)
        self._glow.setStartValue(0.0)
        self._glow.setKeyValueAt(0.25, _PEAK)
        self._glow.setEndValue(0.0)
        self._glow.setEasingCurve(QEasingCurve.Type.InOutQuad)
        self._glow.valueChanged.connect(self._on_value)
        self._glow.finished.connect(self.stop)

    @property
    def is_ringing(self) -> bool:
        return self._glow.state() is QVariantAnimation.State.Running

    def ring(self) -> None:
        if not self.is_ringing:
            self._glow.start()

    @Slot()
    def stop(self) -> None:
        """Dark at once."""
        self._glow.stop()
        self._set(0.0)

    @Slot(object)
    def _on_value(self, value: float) -> None:
        if self.is_ringing:
            self._set(value)

    def _set(self, strength: float) -> None:
        if strength != self.strength:
            self.strength = strength
            self.changed.emit()
