"""Shows a terminal: geometry, painting, the scroll bar, and selecting with the mouse. Knows of no guest.

Painting is in device pixels, and of the rows that changed only.
"""

from __future__ import annotations

import time

from PySide6.QtCore import QEvent, QPoint, QRect, QSize, Qt, QTimer, Signal, Slot
from PySide6.QtGui import (
    QClipboard,
    QFocusEvent,
    QFontDatabase,
    QFontInfo,
    QGuiApplication,
    QHideEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QResizeEvent,
    QShowEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QAbstractScrollArea, QFrame, QSizePolicy, QWidget

from guivm.console.serial import selection
from guivm.console.serial.cells import PLAIN, Run, width_of
from guivm.console.serial.selection import Place, Span
from guivm.console.serial.terminal import Terminal
from guivm.console.terminal.colors import TerminalColors
from guivm.console.terminal.painting import CellFont, RowPainter, cell_at

_MARGIN = 4  # logical pixels around the text
_BELL_MS = 120
MIN_POINTS, MAX_POINTS = 5, 48
_WHEEL_ROWS = 3


class TerminalView(QAbstractScrollArea):
    """GUI thread. Subclasses feed :attr:`_terminal` and then call :meth:`_show_changes`."""

    gridChanged = Signal(int, int)  # columns, rows
    copyAvailable = Signal(bool)

    def __init__(self, colors: TerminalColors, parent: QWidget | None = None, *, scrollback: int = 10_000) -> None:
        super().__init__(parent)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
        self.verticalScrollBar().setAccessibleName(self.tr("Scrollback"))
        self.viewport().setCursor(Qt.CursorShape.IBeamCursor)
        self.viewport().setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        fixed = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
        self._family = fixed.family()
        self._default_points = max(MIN_POINTS, min(QFontInfo(fixed).pointSize() + 1, MAX_POINTS))
        self._points = self._default_points
        self._terminal = Terminal(80, 24, scrollback)
        self._painter = RowPainter(CellFont(self._family, 16), colors)
        self._font_key: tuple[int, float] = (0, 0.0)
        self._top = 0  # number of the first row shown
        self._follows = True
        self._selection: Span | None = None
        self._anchor: Span | None = None  # what the press chose: a place, a word or a line
        self._clicks = 0
        self._last_click = (0.0, QPoint())
        self._preedit = ""
        self._bells = 0
        self._cursor_on = True
        self._cursor_row = 0
        self._blink = QTimer(self)
        self._blink.timeout.connect(self._on_blink)
        self._bell = QTimer(self)
        self._bell.setSingleShot(True)
        self._bell.setInterval(_BELL_MS)
        self._bell.timeout.connect(self._end_bell)
        self.verticalScrollBar().valueChanged.connect(self._on_scrolled)
        self._use_font()

    @property
    def terminal(self) -> Terminal:
        """To be read only."""
        return self._terminal

    @property
    def points(self) -> int:
        """Size of the letters."""
        return self._points

    @property
    def top_row(self) -> int:
        """Number of the first row that is shown."""
        return self._top

    def set_colors(self, colors: TerminalColors) -> None:
        self._painter = RowPainter(self._painter.font, colors)
        self.viewport().update()

    def set_points(self, points: int) -> None:
        points = max(MIN_POINTS, min(points, MAX_POINTS))
        if points != self._points:
            self._points = points
            self._use_font()

    @Slot()
    def zoom_in(self) -> None:
        self.set_points(self._points + 1)

    @Slot()
    def zoom_out(self) -> None:
        self.set_points(self._points - 1)

    @Slot()
    def zoom_reset(self) -> None:
        self.set_points(self._default_points)

    def selected_text(self) -> str:
        return selection.text_of(self._terminal, self._selection) if self._selection is not None else ""

    @Slot()
    def select_all(self) -> None:
        self._select(selection.whole(self._terminal))

    def find_text(self, needle: str, *, backwards: bool = True) -> bool:
        """Select and show the next occurrence; False when there is none. Begins anew at the other end."""
        terminal = self._terminal
        edge = Place(terminal.end - 1, terminal.columns) if backwards else Place(terminal.first, 0)
        start = edge
        if self._selection is not None:
            start = self._selection.start if backwards else self._selection.end
        found = selection.find(terminal, needle, start, backwards=backwards)
        found = found or selection.find(terminal, needle, edge, backwards=backwards)
        self._select(found)
        if found is not None and not self._top <= found.start.row < self._top + terminal.rows:
            self.verticalScrollBar().setValue(found.start.row - terminal.first - terminal.rows // 2)
        return found is not None

    # --- geometry ---------------------------------------------------------------------------------------

    def sizeHint(self) -> QSize:
        return QSize(80 * 9, 24 * 18)

    def _use_font(self) -> None:
        """The font for the size and scale of the moment, and the grid that follows from it."""
        scale = self.devicePixelRatioF()
        key = (self._points, scale)
        if key != self._font_key:
            self._font_key = key
            pixels = round(self._points * self.logicalDpiY() / 72 * scale)
            self._painter = RowPainter(CellFont(self._family, pixels), self._painter.colors)
        self._fit_grid()

    def _fit_grid(self) -> None:
        scale, font = self.devicePixelRatioF(), self._painter.font
        area = self.viewport().size()
        columns = int((area.width() - 2 * _MARGIN) * scale) // font.width
        rows = int((area.height() - 2 * _MARGIN) * scale) // font.height
        before = (self._terminal.columns, self._terminal.rows)
        self._terminal.resize(columns, rows)
        after = (self._terminal.columns, self._terminal.rows)
        if after != before:
            self._select(None)
            self.gridChanged.emit(*after)
        self._show_changes(-1)

    def _row_area(self, y: int) -> QRect:
        """Logical pixels of a row shown, a little too many rather than too few."""
        scale, height = self.devicePixelRatioF(), self._painter.font.height
        top = int(_MARGIN + y * height / scale)
        return QRect(0, top, self.viewport().width(), int(height / scale) + 2)

    def _cursor_area(self) -> QRect:
        """Logical pixels of the cell the cursor is in."""
        scale, font = self.devicePixelRatioF(), self._painter.font
        cursor = self._terminal.cursor
        y = self._terminal.screen_start + cursor.row - self._top
        return QRect(
            int(_MARGIN + cursor.column * font.width / scale),
            int(_MARGIN + y * font.height / scale),
            max(1, int(font.width / scale)),
            int(font.height / scale),
        )

    def _place_at(self, point: QPoint) -> Place:
        """The nearest gap between two cells."""
        place, half = self._cell_under(point)
        return Place(place.row, min(place.column + half, self._terminal.columns))

    def _cell_under(self, point: QPoint) -> tuple[Place, int]:
        """The cell, and 1 when the point is in its right half."""
        scale, font = self.devicePixelRatioF(), self._painter.font
        x, y = (point.x() - _MARGIN) * scale, (point.y() - _MARGIN) * scale
        row = self._top + int(y // font.height)
        if row < self._top:
            return Place(self._top, 0), 0
        if row >= self._top + self._terminal.rows:
            return Place(self._top + self._terminal.rows - 1, self._terminal.columns - 1), 1
        column = max(0, min(int(x // font.width), self._terminal.columns - 1))
        return Place(row, column), int(x - column * font.width > font.width / 2)

    # --- what changed -----------------------------------------------------------------------------------

    def _show_changes(self, start: int) -> None:
        """Bring scroll bar, view and picture up to date. ``start``: where the screen began before, or -1."""
        terminal = self._terminal
        dirty = terminal.take_dirty()
        scrolled = terminal.screen_start != start
        chosen = self._selection
        if chosen is not None and (
            chosen.start.row < terminal.first
            or (not scrolled and any(chosen.start.row <= start + y <= chosen.end.row for y in dirty))
        ):
            self._select(None)
        if self._follows:
            self._top = terminal.screen_start
        top = max(self._top, terminal.first)
        moved = top != self._top or scrolled
        self._top = top
        bar = self.verticalScrollBar()
        blocked = bar.blockSignals(True)
        bar.setPageStep(terminal.rows)
        bar.setRange(0, terminal.screen_start - terminal.first)
        bar.setValue(self._top - terminal.first)
        bar.blockSignals(blocked)
        if terminal.bells != self._bells:
            self._bells = terminal.bells
            self._ring()
        if not self.isVisible():
            return
        if moved:
            self.viewport().update()
            return
        offset = terminal.screen_start - self._top
        cursor = terminal.cursor.row
        for y in {*dirty, cursor, self._cursor_row}:
            self.viewport().update(self._row_area(y + offset))
        self._cursor_row = cursor
        self._update_blinking()

    @Slot(int)
    def _on_scrolled(self, value: int) -> None:
        self._top = self._terminal.first + value
        self._follows = self._top >= self._terminal.screen_start
        self.viewport().update()

    def _to_bottom(self) -> None:
        self._follows = True
        self.verticalScrollBar().setValue(self.verticalScrollBar().maximum())

    def _scroll_rows(self, rows: int) -> None:
        self.verticalScrollBar().setValue(self.verticalScrollBar().value() + rows)

    # --- painting ---------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        terminal, rows, font = self._terminal, self._painter, self._painter.font
        scale = self.devicePixelRatioF()
        painter = QPainter(self.viewport())
        back = rows.colors.foreground if terminal.is_reversed else rows.colors.background
        painter.fillRect(event.rect(), back)
        painter.scale(1 / scale, 1 / scale)
        margin = round(_MARGIN * scale)
        area = event.rect()
        first = max(0, int((area.top() - _MARGIN) * scale) // font.height)
        last = min(terminal.rows - 1, int((area.bottom() + 1 - _MARGIN) * scale) // font.height)
        for y in range(first, last + 1):
            number = self._top + y
            chosen = self._selection.columns_in(number, terminal.columns) if self._selection is not None else (0, 0)
            at = QPoint(margin, margin + y * font.height)
            row = terminal.row(number)
            rows.paint(painter, at, row, terminal.columns, chosen, is_reversed=terminal.is_reversed)
        self._paint_cursor(painter, margin)
        if self._bell.isActive():
            painter.setPen(rows.colors.bell)
            width, height = round(self.viewport().width() * scale), round(self.viewport().height() * scale)
            for inset in range(round(2 * scale)):
                painter.drawRect(inset, inset, width - 2 * inset - 1, height - 2 * inset - 1)

    def _paint_cursor(self, painter: QPainter, margin: int) -> None:
        terminal, font = self._terminal, self._painter.font
        cursor = terminal.cursor
        y = terminal.screen_start + cursor.row - self._top
        if not 0 <= y < terminal.rows:
            return
        at = QPoint(margin + cursor.column * font.width, margin + y * font.height)
        if self._preedit:
            run = Run(0, sum(max(width_of(char), 0) for char in self._preedit), self._preedit, PLAIN)
            style = PLAIN._replace(underline=True)
            area = QRect(at, QSize(run.cells * font.width, font.height))
            painter.fillRect(area, self._painter.colors.background)
            row = terminal.row(0)._replace(runs=(run._replace(style=style),), wrapped=False)
            self._painter.paint(painter, at, row, run.cells, (0, 0), is_reversed=False)
        elif cursor.visible and (self._cursor_on or not self.hasFocus()):
            run_under = cell_at(terminal.row(terminal.screen_start + cursor.row), cursor.column)
            cells = run_under.cells if run_under is not None else 1
            cell = QRect(at, QSize(cells * font.width, font.height))
            self._painter.paint_cursor(painter, cell, cursor.shape, run_under, focused=self.hasFocus())

    def _ring(self) -> None:
        if self.isVisible():
            self._bell.start()
            self.viewport().update()

    @Slot()
    def _end_bell(self) -> None:
        self.viewport().update()

    def _update_blinking(self) -> None:
        flash_ms = QGuiApplication.styleHints().cursorFlashTime()
        cursor = self._terminal.cursor
        blinks = self.hasFocus() and self.isVisible() and cursor.visible and cursor.blinks and flash_ms > 0
        if blinks and not self._blink.isActive():
            self._blink.start(flash_ms // 2)
        elif not blinks:
            self._blink.stop()
        self._cursor_on = True  # whatever moved it, it is to be seen

    @Slot()
    def _on_blink(self) -> None:
        self._cursor_on = not self._cursor_on
        y = self._terminal.screen_start - self._top + self._terminal.cursor.row
        self.viewport().update(self._row_area(y))

    # --- mouse ------------------------------------------------------------------------------------------

    def _select(self, chosen: Span | None) -> None:
        had = self._selection is not None
        self._selection = None if chosen is None or chosen.is_empty else chosen
        if had or self._selection is not None:
            self.viewport().update()
        if had != (self._selection is not None):
            self.copyAvailable.emit(self._selection is not None)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self._press(event)
        else:
            super().mousePressEvent(event)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self.mousePressEvent(event)

    def _press(self, event: QMouseEvent) -> None:
        point = event.position().toPoint()
        if event.modifiers() & Qt.KeyboardModifier.ShiftModifier and self._selection is not None:
            self._anchor = self._anchor or self._selection
            self._extend(point)
            return
        hints = QGuiApplication.styleHints()
        at_s, where = self._last_click
        now_s = time.monotonic()
        near = (point - where).manhattanLength() < hints.startDragDistance()
        soon = (now_s - at_s) * 1000 < hints.mouseDoubleClickInterval()
        self._clicks = self._clicks % 3 + 1 if near and soon else 1
        self._last_click = (now_s, point)
        self._anchor = self._unit_at(point)
        self._select(self._anchor)

    def _unit_at(self, point: QPoint) -> Span:
        """What a click means there: a gap, a word or a line."""
        if self._clicks == 1:
            place = self._place_at(point)
            return Span(place, place)
        place = self._cell_under(point)[0]
        return (
            selection.word_at(self._terminal, place) if self._clicks == 2 else selection.line_at(self._terminal, place)
        )

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if event.buttons() & Qt.MouseButton.LeftButton and self._anchor is not None:
            point = event.position().toPoint()
            if point.y() < 0:
                self._scroll_rows(-1)
            elif point.y() >= self.viewport().height():
                self._scroll_rows(1)
            self._extend(point)

    def _extend(self, point: QPoint) -> None:
        assert self._anchor is not None
        to = self._unit_at(point)
        self._select(Span(min(self._anchor.start, to.start), max(self._anchor.end, to.end)))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        clipboard = QGuiApplication.clipboard()
        if (
            event.button() == Qt.MouseButton.LeftButton
            and self._selection is not None
            and clipboard.supportsSelection()
        ):
            clipboard.setText(self.selected_text(), QClipboard.Mode.Selection)

    def wheelEvent(self, event: QWheelEvent) -> None:
        steps = event.angleDelta().y()
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            if steps:
                self.set_points(self._points + (1 if steps > 0 else -1))
        elif steps:
            self._scroll_rows(-round(steps / 120 * _WHEEL_ROWS) or (-1 if steps > 0 else 1))
        event.accept()

    # --- visibility -------------------------------------------------------------------------------------

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.DevicePixelRatioChange:
            self._use_font()
        return super().event(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._use_font()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._use_font()
        self._update_blinking()

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self._blink.stop()
        self._bell.stop()

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        self._update_blinking()
        self.viewport().update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self._blink.stop()
        self._cursor_on = True
        self.viewport().update()
