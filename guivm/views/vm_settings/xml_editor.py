"""A text field for XML: line numbers, colours, find, the place of an error. GUI thread."""

from __future__ import annotations

import re

from PySide6.QtCore import QEvent, QRect, QSize, Qt, Signal, Slot
from PySide6.QtGui import (
    QColor,
    QFontDatabase,
    QKeyEvent,
    QKeySequence,
    QPainter,
    QPaintEvent,
    QResizeEvent,
    QShortcut,
    QSyntaxHighlighter,
    QTextCharFormat,
    QTextCursor,
    QTextDocument,
)
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLineEdit, QPlainTextEdit, QTextEdit, QWidget

from guivm.views.forms import plain_label, set_style_property
from guivm.views.theme import GRID, mix, tokens_for
from guivm.views.vm_settings.editors import small_button

_TAG = re.compile(r"</?([\w:.-]+)|/?>")
_ATTRIBUTE = re.compile(r"([\w:.-]+)\s*=\s*(\"[^\"]*\"|'[^']*')")
_NORMAL, _IN_COMMENT = 0, 1


class XmlHighlighter(QSyntaxHighlighter):
    """Elements, attributes, values, comments in the palette's colours."""

    def __init__(self, document: QTextDocument, editor: QWidget) -> None:
        super().__init__(document)
        self._editor = editor

    def highlightBlock(self, text: str) -> None:
        tokens = tokens_for(self._editor.palette())
        start = 0
        if self.previousBlockState() == _IN_COMMENT:
            start = self._comment(text, 0, tokens.quiet)
        at = start
        while at < len(text):
            comment = text.find("<!--", at)
            stretch = text[at : comment if comment >= 0 else len(text)]
            for found in _TAG.finditer(stretch):
                self._paint(at + found.start(), found.end() - found.start(), tokens.link)
            for found in _ATTRIBUTE.finditer(stretch):
                self._paint(at + found.start(1), len(found[1]), tokens.suspended)
                self._paint(at + found.start(2), len(found[2]), tokens.success)
            if comment < 0:
                self.setCurrentBlockState(_NORMAL)
                return
            at = self._comment(text, comment, tokens.quiet)

    def _comment(self, text: str, start: int, color: QColor) -> int:
        """Answer where the comment ends."""
        end = text.find("-->", start)
        stop = len(text) if end < 0 else end + 3
        self._paint(start, stop - start, color)
        self.setCurrentBlockState(_IN_COMMENT if end < 0 else _NORMAL)
        return stop

    def _paint(self, start: int, length: int, color: QColor) -> None:
        shape = QTextCharFormat()
        shape.setForeground(color)
        self.setFormat(start, length, shape)


class _Margin(QWidget):
    """The line numbers at the left."""

    def __init__(self, editor: XmlEditor) -> None:
        super().__init__(editor)
        self._editor = editor

    def sizeHint(self) -> QSize:
        return QSize(self._editor.margin_width(), 0)

    def paintEvent(self, event: QPaintEvent) -> None:
        self._editor.paint_margin(self, event)


class XmlEditor(QPlainTextEdit):
    """Tab leaves the field; the text is indented by spaces anyway."""

    def __init__(self, name: str, label: str, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self.setAccessibleName(label)
        self.setTabChangesFocus(True)
        self.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        font = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
        font.setPointSizeF(self.font().pointSizeF())
        self.setFont(font)
        self._error_line = 0
        self._margin = _Margin(self)
        self._colors = XmlHighlighter(self.document(), self)
        self.blockCountChanged.connect(self._on_count)
        self.updateRequest.connect(self._on_update)
        self._on_count()

    @property
    def error_line(self) -> int:
        """Counted from 1; 0: none."""
        return self._error_line

    def set_error_line(self, line: int) -> None:
        """Mark a line, counted from 1; 0 marks none."""
        self._error_line = line
        block = self.document().findBlockByNumber(line - 1)
        marks: list[QTextEdit.ExtraSelection] = []
        if line and block.isValid():
            tokens = tokens_for(self.palette())
            mark = QTextEdit.ExtraSelection()
            mark.format.setBackground(mix(tokens.error, tokens.card, 0.16))
            mark.format.setProperty(QTextCharFormat.Property.FullWidthSelection, True)
            mark.cursor = QTextCursor(block)
            marks = [mark]
        self.setExtraSelections(marks)
        self._margin.update()

    def margin_width(self) -> int:
        digits = max(3, len(str(self.blockCount())))
        return self.fontMetrics().horizontalAdvance("9") * digits + 2 * GRID

    def paint_margin(self, margin: QWidget, event: QPaintEvent) -> None:
        tokens = tokens_for(self.palette())
        painter = QPainter(margin)
        painter.setFont(self.font())
        block = self.firstVisibleBlock()
        while block.isValid():
            area = self.blockBoundingGeometry(block).translated(self.contentOffset())
            if area.top() > event.rect().bottom():
                break
            number = block.blockNumber() + 1
            painter.setPen(tokens.error if number == self._error_line else tokens.quiet)
            place = QRect(0, round(area.top()), margin.width() - GRID, round(area.height()))
            sign = "✕ " if number == self._error_line else ""
            painter.drawText(place, Qt.AlignmentFlag.AlignTrailing | Qt.AlignmentFlag.AlignTop, f"{sign}{number}")
            block = block.next()
        painter.end()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        inner = self.contentsRect()
        self._margin.setGeometry(QRect(inner.left() + 1, inner.top() + 1, self.margin_width(), inner.height() - 2))

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._colors.rehighlight()
            self.set_error_line(self._error_line)

    @Slot()
    def _on_count(self) -> None:
        self.setViewportMargins(self.margin_width(), 0, 0, 0)

    @Slot(QRect, int)
    def _on_update(self, area: QRect, scrolled: int) -> None:
        if scrolled:
            self._margin.scroll(0, scrolled)
        else:
            self._margin.update(0, area.y(), self._margin.width(), area.height())


class FindBar(QFrame):
    """Ctrl+F: hidden until asked for. Enter goes on, Shift+Enter back, Escape closes."""

    closed = Signal()

    def __init__(self, editor: QPlainTextEdit, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("find-bar")
        self._editor = editor
        self.field = QLineEdit(self)
        self.field.setObjectName("find-text")
        self.field.setAccessibleName(self.tr("Find in the XML"))
        self.field.setPlaceholderText(self.tr("Find"))
        self.field.setClearButtonEnabled(True)
        self._count = plain_label("", self)
        self._count.setObjectName("find-count")
        self._count.setProperty("tone", "quiet")
        back = small_button(self.tr("Previous"), "find-back", self)
        on = small_button(self.tr("Next"), "find-next", self)
        done = small_button(self.tr("Done"), "find-close", self)
        back.clicked.connect(self.find_back)
        on.clicked.connect(self.find_next)
        done.clicked.connect(self.close_bar)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(GRID)
        row.addWidget(self.field, 1)
        for widget in (self._count, back, on, done):
            row.addWidget(widget)
        self.field.textChanged.connect(self._on_text)
        escape = QShortcut(QKeySequence(Qt.Key.Key_Escape), self)
        escape.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        escape.activated.connect(self.close_bar)
        self.hide()

    @Slot()
    def open_bar(self) -> None:
        self.show()
        chosen = self._editor.textCursor().selectedText()
        if chosen and "\u2029" not in chosen:
            self.field.setText(chosen)
        self.field.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.field.selectAll()

    @Slot()
    def close_bar(self) -> None:
        self.hide()
        self._editor.setFocus(Qt.FocusReason.OtherFocusReason)
        self.closed.emit()

    @Slot()
    def find_next(self) -> None:
        self._find(QTextDocument.FindFlag(0))

    @Slot()
    def find_back(self) -> None:
        self._find(QTextDocument.FindFlag.FindBackward)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            if event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
                self.find_back()
            else:
                self.find_next()
            event.accept()
            return
        super().keyPressEvent(event)

    @Slot(str)
    def _on_text(self, text: str) -> None:
        count = self._editor.toPlainText().lower().count(text.lower()) if text else 0
        self._count.setText(self.tr("{n} found").format(n=count) if text else "")
        set_style_property(self.field, "invalid", bool(text) and not count)
        if count:
            cursor = self._editor.textCursor()
            cursor.setPosition(cursor.selectionStart())
            self._editor.setTextCursor(cursor)
            self.find_next()

    def _find(self, flags: QTextDocument.FindFlag) -> None:
        text = self.field.text()
        if not text or self._editor.find(text, flags):
            return
        backwards = bool(flags & QTextDocument.FindFlag.FindBackward)
        cursor = self._editor.textCursor()
        end, start = QTextCursor.MoveOperation.End, QTextCursor.MoveOperation.Start
        cursor.movePosition(end if backwards else start)
        self._editor.setTextCursor(cursor)
        self._editor.find(text, flags)
