"""Asks the guest for a screen as large as what shows it. Never argues: one question for each size of the window."""

from __future__ import annotations

from PySide6.QtCore import QObject, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QGuiApplication

from guivm.console.source import DisplaySource, SourceFeature, SourceState

DELAY_MS = 300
"""After the last change of the window's size."""

_MOST_PUT_OFF = 10  # times DELAY_MS that a pressed mouse button is waited for: a lost release must not last for ever
_MIN_WIDTH, _MIN_HEIGHT = 320, 200
# Guests make a mode of what was asked for, and widths of CVT modes are multiples of 8 (Linux: drm_cvt_mode).
_WIDTH_STEP = 8
_MAX_SIDE = 16384


class AutoResize(QObject):
    """Policy of one console. GUI thread. ``activeChanged``: the guest begins or ceases to follow the window."""

    activeChanged = Signal(bool)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._enabled = False
        self._active = False
        self._source: DisplaySource | None = None
        self._view = (0, 0)
        self._asked: tuple[int, int] | None = None
        self._put_off = 0
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(DELAY_MS)
        self._timer.timeout.connect(self._on_time)

    @property
    def is_enabled(self) -> bool:
        return self._enabled

    @property
    def is_active(self) -> bool:
        """Enabled, and the guest can be asked."""
        return self._active

    def set_enabled(self, enabled: bool) -> None:
        self._enabled = enabled
        self._update()

    def set_source(self, source: DisplaySource | None) -> None:
        if self._source is not None:
            self._source.disconnect(self)
        self._source = source
        self._asked = None
        if source is not None:
            source.stateChanged.connect(self._on_change)
            source.featuresChanged.connect(self._on_change)
        self._update()

    def set_view(self, width: int, height: int) -> None:
        """Device pixels that there are for the picture; told as often as one likes."""
        if (width, height) == self._view:
            return
        self._view = (width, height)
        if self._active:
            self._timer.start()

    @Slot(object)
    def _on_change(self, _value: object) -> None:
        self._update()

    def _update(self) -> None:
        source = self._source
        active = (
            self._enabled
            and source is not None
            and source.state is SourceState.CONNECTED
            and SourceFeature.RESIZE in source.features
        )
        if active == self._active:
            return
        self._active = active
        if active:
            self._asked = None
            self._ask()
        else:
            self._timer.stop()
        self.activeChanged.emit(active)

    @Slot()
    def _on_time(self) -> None:
        dragging = QGuiApplication.mouseButtons() != Qt.MouseButton.NoButton  # a splitter, perhaps, or the window
        if dragging and self._put_off < _MOST_PUT_OFF:
            self._put_off += 1
            self._timer.start()
        else:
            self._ask()

    def _ask(self) -> None:
        self._put_off = 0
        if self._source is None or min(self._view) <= 1:
            return
        width, height = (min(side, _MAX_SIDE) for side in self._view)
        size = max(width // _WIDTH_STEP * _WIDTH_STEP, _MIN_WIDTH), max(height, _MIN_HEIGHT)
        if size == self._asked:
            return
        self._asked = size
        fb = self._source.framebuffer
        if fb is None or (fb.width, fb.height) != size:
            self._source.request_size(*size)
