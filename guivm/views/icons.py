"""Symbolic icons: one SVG set, tinted by the palette of the moment at the size and scale of the moment.

An icon made here follows light and dark by itself: it looks at the application's palette whenever it is painted.
Rendered pixmaps live in Qt's own pixmap cache, keyed by name, colour, size and scale. GUI thread only.
"""

from __future__ import annotations

import enum
import functools

from PySide6.QtCore import QByteArray, QPoint, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QGuiApplication, QIcon, QIconEngine, QPainter, QPixmap, QPixmapCache
from PySide6.QtSvg import QSvgRenderer

from guivm.engine.types import VmState
from guivm.resources import resource_path
from guivm.views.theme import Tokens, tokens_for


class Tint(enum.Enum):
    """Colour of an icon, by meaning; values are names of :class:`guivm.views.theme.Tokens`."""

    TEXT = "text"
    QUIET = "quiet"
    DISABLED = "disabled"
    ACCENT = "link"
    ON_ACCENT = "on_accent"
    INFO = "info"
    SUCCESS = "success"
    WARNING = "warning"
    ERROR = "error"

    def color(self, tokens: Tokens) -> QColor:
        color = getattr(tokens, self.value)
        assert isinstance(color, QColor)
        return color


@functools.lru_cache(maxsize=128)
def _svg(name: str) -> bytes:
    return resource_path(f"icons/{name}.svg").read_bytes()


def pixmap(name: str, color: QColor, size: QSize, scale: float = 1.0) -> QPixmap:
    """The icon in one colour; ``size`` in device-independent pixels, ``scale`` device pixels for each."""
    width, height = round(size.width() * scale), round(size.height() * scale)
    key = f"guivm-icon/{name}/{color.rgba():08x}/{width}x{height}@{scale:g}"
    found = QPixmap()
    if QPixmapCache.find(key, found):
        return found
    drawn = QPixmap(max(width, 1), max(height, 1))
    drawn.fill(Qt.GlobalColor.transparent)
    painter = QPainter(drawn)
    _renderer(name, color).render(painter, QRectF(0, 0, width, height))
    painter.end()
    drawn.setDevicePixelRatio(scale)
    QPixmapCache.insert(key, drawn)
    return drawn


def paint(painter: QPainter, rect: QRect, name: str, color: QColor) -> None:
    """Paint the icon centred in ``rect``, as large as fits, sharp at the device's scale."""
    side = min(rect.width(), rect.height())
    # Not painter.device(): to find out what that is PySide6 makes the classes of every device there can be.
    image = pixmap(name, color, QSize(side, side), painter.deviceTransform().m11())
    painter.drawPixmap(
        QPoint(rect.x() + (rect.width() - side) // 2, rect.y() + (rect.height() - side) // 2),
        image,
    )


def clear_cache() -> None:
    """Forget rendered pixmaps; after a change of the colour scheme."""
    QPixmapCache.clear()


def _renderer(name: str, color: QColor) -> QSvgRenderer:
    tinted = _svg(name).replace(b"currentColor", color.name().encode())
    return QSvgRenderer(QByteArray(tinted))


class _SymbolicEngine(QIconEngine):
    """Draws one SVG in a tint of the application's palette."""

    def __init__(self, name: str, tint: Tint | VmState) -> None:
        super().__init__()
        self._name = name
        self._tint = tint

    def _color(self, mode: QIcon.Mode) -> QColor:
        tokens = tokens_for(QGuiApplication.palette())
        if mode is QIcon.Mode.Disabled:
            return tokens.disabled
        return tokens.state(self._tint) if isinstance(self._tint, VmState) else self._tint.color(tokens)

    def paint(self, painter: QPainter, rect: QRect, mode: QIcon.Mode, state: QIcon.State) -> None:
        paint(painter, rect, self._name, self._color(mode))

    def pixmap(self, size: QSize, mode: QIcon.Mode, state: QIcon.State) -> QPixmap:
        return pixmap(self._name, self._color(mode), size)

    def scaledPixmap(self, size: QSize, mode: QIcon.Mode, state: QIcon.State, scale: float) -> QPixmap:
        return pixmap(self._name, self._color(mode), size, scale)

    def clone(self) -> QIconEngine:
        return _SymbolicEngine(self._name, self._tint)

    def key(self) -> str:
        return "guivm-symbolic"

    def isNull(self) -> bool:
        return False


def icon(name: str, tint: Tint = Tint.TEXT) -> QIcon:
    """A symbolic icon by its name in ``resources/icons``; an empty icon for an empty name."""
    return QIcon(_SymbolicEngine(name, tint)) if name else QIcon()


def state_icon(state: VmState) -> QIcon:
    """The shape of a VM's state in its colour."""
    return QIcon(_SymbolicEngine(f"state-{state.value}", state))
