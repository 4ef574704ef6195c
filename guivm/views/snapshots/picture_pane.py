"""Where a snapshot's picture is shown: rounded, in proportion, a word where there is none. GUI thread."""

from __future__ import annotations

from PySide6.QtCore import QRect, QRectF, QSize, Qt
from PySide6.QtGui import QImage, QPainter, QPainterPath, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from guivm.views import icons
from guivm.views.theme import GRID, RADIUS, Tokens, tokens_for


def paint_picture(painter: QPainter, place: QRect, image: QImage, tokens: Tokens, radius: float = RADIUS) -> QRect:
    """The frame's ground with the picture in it, in proportion; answers where the picture itself is."""
    path = QPainterPath()
    path.addRoundedRect(QRectF(place), radius, radius)
    painter.save()
    painter.setClipPath(path)
    painter.fillRect(place, tokens.sunken)
    size = image.size().scaled(place.size(), Qt.AspectRatioMode.KeepAspectRatio)
    inner = QRect(QRect(0, 0, size.width(), size.height()))
    inner.moveCenter(place.center())
    if not image.isNull():
        painter.drawImage(inner, image)
    painter.restore()
    return inner


class PicturePane(QWidget):
    """16:10, as wide as there is room, or (``fills``) as large as its place.

    Higher than :meth:`set_tallest` says it never is: then there is ground at both sides.
    """

    def __init__(self, name: str, parent: QWidget, *, fills: bool = False) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self._image = QImage()
        self._icon = ""
        self._word = ""
        self._fills = fills
        self._tallest = 1 << 15
        vertical = QSizePolicy.Policy.Expanding if fills else QSizePolicy.Policy.Preferred
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, vertical)
        policy.setHeightForWidth(not fills)
        self.setSizePolicy(policy)

    @property
    def image(self) -> QImage:
        return self._image

    @property
    def word(self) -> str:
        return self._word

    def show_image(self, image: QImage, name: str) -> None:
        """``name``: what it is, for screen readers."""
        self._image, self._icon, self._word = image, "", ""
        self.setAccessibleName(name)
        self.update()

    def show_word(self, icon: str, word: str) -> None:
        """Instead of a picture; both may be empty."""
        self._image, self._icon, self._word = QImage(), icon, word
        self.setAccessibleName(word)
        self.update()

    def hasHeightForWidth(self) -> bool:
        return not self._fills

    def heightForWidth(self, width: int) -> int:
        return min(width * 10 // 16, self._tallest)

    def set_tallest(self, height: int) -> None:
        """In pixels."""
        if height != self._tallest:
            self._tallest = height
            self.updateGeometry()

    def sizeHint(self) -> QSize:
        return QSize(32 * GRID, min(20 * GRID, self._tallest))

    def minimumSizeHint(self) -> QSize:
        return QSize(16 * GRID, 10 * GRID)

    def paintEvent(self, _event: QPaintEvent) -> None:
        tokens = tokens_for(self.palette())
        painter = QPainter(self)
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        paint_picture(painter, self.rect(), self._image, tokens)
        painter.setPen(QPen(tokens.border, 1))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), RADIUS, RADIUS)
        if self._image.isNull():
            middle = self.rect().center()
            if self._icon:
                icons.paint(painter, QRect(middle.x() - 16, middle.y() - 28, 32, 32), self._icon, tokens.quiet)
            painter.setPen(tokens.quiet)
            words = QRect(0, middle.y() + GRID + 2, self.width(), 3 * GRID)
            painter.drawText(words, Qt.AlignmentFlag.AlignHCenter, self._word)
