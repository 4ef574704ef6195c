"""Small parts that pages share: pictures of empty states, plain labels, icon labels."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QRect, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QLabel, QSizePolicy, QWidget

from guivm.engine.types import VmState
from guivm.views import icons
from guivm.views.small import plain_tooltip
from guivm.views.theme import tokens_for


class Art(QWidget):
    """A symbolic picture or icon that follows light and dark. Decoration: it takes no focus and no events."""

    def __init__(
        self, name: str, side: int, parent: QWidget | None = None, *, tint: icons.Tint | VmState = icons.Tint.QUIET
    ) -> None:
        """``side`` in device-independent pixels."""
        super().__init__(parent)
        self._name = name
        self._side = side
        self._tint = tint
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setFixedSize(side, side)

    def set_icon(self, name: str, tint: icons.Tint | VmState | None = None) -> None:
        self._name = name
        if tint is not None:
            self._tint = tint
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(self._side, self._side)

    def paintEvent(self, event: QPaintEvent) -> None:
        if not self._name:
            return
        tokens = tokens_for(self.palette())
        color = tokens.state(self._tint) if isinstance(self._tint, VmState) else self._tint.color(tokens)
        painter = QPainter(self)
        icons.paint(painter, QRect(0, 0, self._side, self._side), self._name, color)


def plain_label(text: str = "", parent: QWidget | None = None, *, name: str = "", role: str = "") -> QLabel:
    """A label that never takes its text for markup. ``role``: see :mod:`guivm.views.theme`."""
    label = QLabel(text, parent)
    label.setTextFormat(Qt.TextFormat.PlainText)
    if name:
        label.setObjectName(name)
    if role:
        label.setProperty("role", role)
    return label


class ElidedLabel(QLabel):
    """One line of plain text, cut in the middle where it does not fit; the whole text is the tool tip."""

    def __init__(self, parent: QWidget | None = None, *, mode: Qt.TextElideMode = Qt.TextElideMode.ElideMiddle) -> None:
        super().__init__(parent)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._mode = mode
        self._whole = ""

    @property
    def whole_text(self) -> str:
        return self._whole

    def set_text(self, text: str) -> None:
        self._whole = text
        self.setAccessibleName(text)
        self._fit()

    def minimumSizeHint(self) -> QSize:
        return QSize(0, super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._fit()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._fit()

    def _fit(self) -> None:
        shown = self.fontMetrics().elidedText(self._whole, self._mode, max(self.contentsRect().width(), 0))
        self.setText(shown)
        self.setToolTip(plain_tooltip(self._whole) if shown != self._whole else "")
