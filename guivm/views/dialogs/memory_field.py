"""Memory as a size box with its unit and a slider over round sizes up to what the host has."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QHBoxLayout, QSlider, QWidget

from guivm.views.forms import SizeSpin
from guivm.views.theme import GRID

_SMALLEST_MIB = 64


def stops(limit_mib: int) -> list[int]:
    """Round sizes in MiB from 128 MiB to ``limit_mib``: the powers of two and the sizes half-way between."""
    found: list[int] = []
    power = 128
    while power <= limit_mib:
        found.append(power)
        if power >= 256 and power * 3 // 2 <= limit_mib:
            found.append(power * 3 // 2)
        power *= 2
    if not found or found[-1] != limit_mib:
        found.append(limit_mib)
    return found


class MemoryField(QWidget):
    """Value in MiB. The slider ends at the host's memory; more can be typed and is then judged by the check."""

    changed = Signal()

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self._stops = stops(16 * 1024)
        self.spin = SizeSpin(self)
        self.spin.setObjectName(f"{name}-size")
        self.spin.setMinimum(_SMALLEST_MIB)
        self.spin.setValue(2048)
        self.spin.setMinimumWidth(18 * GRID)
        self.slider = QSlider(Qt.Orientation.Horizontal, self)
        self.slider.setObjectName(f"{name}-slider")
        self.slider.setRange(0, len(self._stops) - 1)
        self.slider.setPageStep(2)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2 * GRID)
        layout.addWidget(self.spin)
        layout.addWidget(self.slider, 1)
        self.setFocusProxy(self.spin)
        self._follow()
        self.spin.valueChanged.connect(self._on_spin)
        self.slider.valueChanged.connect(self._on_slider)

    def mib(self) -> int:
        return self.spin.value()

    def set_mib(self, mib: int) -> None:
        self.spin.setValue(mib)

    def set_limit_mib(self, limit_mib: int) -> None:
        """Let the slider end at the host's memory, rounded down to whole MiB."""
        self._stops = stops(max(128, limit_mib))
        self.slider.blockSignals(True)
        self.slider.setRange(0, len(self._stops) - 1)
        self.slider.blockSignals(False)
        self._follow()

    def _follow(self) -> None:
        value = self.spin.value()
        nearest = min(range(len(self._stops)), key=lambda i: abs(self._stops[i] - value))
        self.slider.blockSignals(True)
        self.slider.setValue(nearest)
        self.slider.blockSignals(False)

    @Slot()
    def _on_spin(self) -> None:
        self._follow()
        self.changed.emit()

    @Slot(int)
    def _on_slider(self, index: int) -> None:
        self.spin.setValue(self._stops[index])
