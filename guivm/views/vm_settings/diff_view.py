"""A unified diff to read: signs and colours. GUI thread."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QSize
from PySide6.QtGui import QColor, QFontDatabase, QPainter, QPaintEvent, QTextBlock, QTextCharFormat, QTextCursor
from PySide6.QtWidgets import QFrame, QPlainTextEdit, QWidget

from guivm.views.theme import GRID, mix, tokens_for


class DiffView(QPlainTextEdit):
    """Read-only. A line's first character tells what became of it; the colour behind it says the same."""

    def __init__(self, name: str, label: str, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self.setAccessibleName(label)
        self.setReadOnly(True)
        self.setTabChangesFocus(True)
        self.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.setFrameShape(QFrame.Shape.NoFrame)
        font = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
        font.setPointSizeF(self.font().pointSizeF() * 0.95)
        self.setFont(font)
        self.document().setDocumentMargin(GRID)

    def set_diff(self, text: str) -> None:
        """Lines of :func:`guivm.engine.xml.diff.unified`; its two header lines are left out."""
        lines = text.splitlines()
        if len(lines) > 1 and lines[0].startswith("--- ") and lines[1].startswith("+++ "):
            lines = lines[2:]
        self.setPlainText("\n".join(lines))
        self._tint()

    def sizeHint(self) -> QSize:
        return QSize(60 * GRID, 30 * GRID)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._tint()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Bands across the whole width, then the text."""
        painter = QPainter(self.viewport())
        offset = self.contentOffset()
        block = self.firstVisibleBlock()
        while block.isValid():
            area = self.blockBoundingGeometry(block).translated(offset)
            if area.top() > event.rect().bottom():
                break
            color = self._ground(block)
            if color is not None:
                painter.fillRect(0, round(area.top()), self.viewport().width(), round(area.height()), color)
            block = block.next()
        painter.end()
        super().paintEvent(event)

    def _ground(self, block: QTextBlock) -> QColor | None:
        tokens = tokens_for(self.palette())
        text = block.text()
        if text.startswith("+"):
            return mix(tokens.success, tokens.card, 0.13)
        if text.startswith("-"):
            return mix(tokens.error, tokens.card, 0.12)
        return mix(tokens.info, tokens.card, 0.07) if text.startswith("@@") else None

    def _tint(self) -> None:
        """The signs and the places in their colours."""
        tokens = tokens_for(self.palette())
        cursor = QTextCursor(self.document())
        block = self.document().begin()
        while block.isValid():
            text = block.text()
            shape = QTextCharFormat()
            if text.startswith("@@"):
                shape.setForeground(tokens.quiet)
            elif text.startswith("+"):
                shape.setForeground(tokens.success)
            elif text.startswith("-"):
                shape.setForeground(tokens.error)
            else:
                shape.setForeground(tokens.text)
            cursor.setPosition(block.position())
            cursor.movePosition(QTextCursor.MoveOperation.EndOfBlock, QTextCursor.MoveMode.KeepAnchor)
            cursor.setCharFormat(shape)
            block = block.next()
