"""Painting a terminal's rows: fonts in whole device pixels, one call of the painter for each run of like cells."""

from __future__ import annotations

import math

from PySide6.QtCore import QPoint, QRect, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter

from guivm.console.serial.cells import Row, Run, Style, clusters
from guivm.console.serial.terminal import CursorShape
from guivm.console.terminal.colors import TerminalColors


class CellFont:
    """A fixed font whose cells are whole device pixels, in four cuts.

    ``pixels`` is the height of its letters in device pixels (:meth:`QFont.setPixelSize`).
    """

    def __init__(self, family: str, pixels: int) -> None:
        base = QFont(family)
        base.setStyleHint(QFont.StyleHint.Monospace)
        base.setFixedPitch(True)
        base.setKerning(False)
        base.setPixelSize(max(4, pixels))
        metrics = QFontMetricsF(base)
        self.width = max(1, round(metrics.horizontalAdvance("M")))
        self.height = max(1, math.ceil(metrics.ascent() + metrics.descent()))
        self.ascent = round(metrics.ascent())
        self._cuts: dict[tuple[bool, bool], QFont] = {}
        for bold in (False, True):
            for italic in (False, True):
                font = QFont(base)
                font.setBold(bold)
                font.setItalic(italic)
                # What the font's own advance lacks to whole pixels, so that a run stays on the grid.
                lacks = self.width - QFontMetricsF(font).horizontalAdvance("M")
                font.setLetterSpacing(QFont.SpacingType.AbsoluteSpacing, lacks)
                self._cuts[bold, italic] = font

    def cut(self, style: Style) -> QFont:
        return self._cuts[style.bold, style.italic]


class RowPainter:
    """Paints rows with one font and one set of colours. Coordinates are device pixels."""

    def __init__(self, font: CellFont, colors: TerminalColors) -> None:
        self.font = font
        self.colors = colors

    def paint(
        self, painter: QPainter, at: QPoint, row: Row, columns: int, chosen: tuple[int, int], *, is_reversed: bool
    ) -> None:
        """A row whose top left is ``at``; ``chosen``: the selected columns, from the first to before the last."""
        colors, font = self.colors, self.font
        back = colors.foreground if is_reversed else colors.background
        painter.fillRect(at.x(), at.y(), columns * font.width, font.height, back)
        first, last = min(chosen[0], columns), min(chosen[1], columns)
        if first < last:
            painter.fillRect(self._cells(at, first, last), colors.selection)
        for run in row.runs:
            for part, is_chosen in _parts(run, first, last):
                self._run(painter, at, part, is_chosen=is_chosen, is_reversed=is_reversed)

    def _cells(self, at: QPoint, first: int, last: int) -> QRect:
        width = self.font.width
        return QRect(at.x() + first * width, at.y(), (last - first) * width, self.font.height)

    def ink(self, style: Style, *, is_reversed: bool) -> tuple[QColor, QColor | None]:
        """Colour of the text, and behind it; None: that of the row."""
        colors = self.colors
        fore, back = (colors.background, colors.foreground) if is_reversed else (colors.foreground, colors.background)
        text = colors.color(style.fg) if style.fg else fore
        ground = colors.color(style.bg) if style.bg else None
        if style.reverse:
            return ground or back, text
        return text, ground

    def _run(self, painter: QPainter, at: QPoint, run: Run, *, is_chosen: bool, is_reversed: bool) -> None:
        style, font = run.style, self.font
        area = self._cells(at, run.column, run.column + run.cells)
        text, ground = self.ink(style, is_reversed=is_reversed)
        if is_chosen:
            text = self.colors.selection_text
        elif ground is not None:
            painter.fillRect(area, ground)
        painter.setPen(text)
        self._text(painter, area, run)
        if style.underline:
            painter.fillRect(area.x(), min(area.y() + font.ascent + 1, area.bottom()), area.width(), 1, text)
        if style.strikeout:
            painter.fillRect(area.x(), area.y() + font.height // 2, area.width(), 1, text)

    def _text(self, painter: QPainter, area: QRect, run: Run) -> None:
        if run.text.isspace():
            return
        font = self.font
        painter.setFont(font.cut(run.style))
        baseline = area.y() + font.ascent
        if run.is_plain:
            painter.drawText(area.x(), baseline, run.text)
            return
        # Each cell apart: other scripts have other widths, and some would be laid out from right to left.
        painter.save()
        painter.setClipRect(area, Qt.ClipOperation.IntersectClip)
        x = area.x()
        for cluster, width in clusters(run.text):
            if cluster != " ":
                painter.drawText(x, baseline, cluster)
            x += width * font.width
        painter.restore()

    def paint_cursor(
        self, painter: QPainter, cell: QRect, shape: CursorShape, run: Run | None, *, focused: bool
    ) -> None:
        """Over a painted row; ``cell`` in device pixels, ``run``: the one cell under it."""
        color = self.colors.cursor
        if not focused:
            painter.setPen(color)
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(cell.adjusted(0, 0, -1, -1))
        elif shape is CursorShape.BLOCK:
            painter.fillRect(cell, color)
            if run is not None:
                painter.setPen(self.colors.cursor_text)
                self._text(painter, cell, run)
        else:
            thick = max(1, cell.height() // 10)
            if shape is CursorShape.BAR:
                painter.fillRect(cell.x(), cell.y(), thick, cell.height(), color)
            else:
                painter.fillRect(cell.x(), cell.bottom() - thick + 1, cell.width(), thick, color)


def cell_at(row: Row, column: int) -> Run | None:
    """The one cell of a row, as a run; None where there is nothing."""
    for run in row.runs:
        if run.column <= column < run.column + run.cells:
            return next((part for part in _pieces(run) if part.column <= column < part.column + part.cells), None)
    return None


def _pieces(run: Run) -> list[Run]:
    pieces: list[Run] = []
    column = run.column
    for cluster, width in clusters(run.text):
        pieces.append(Run(column, width, cluster, run.style))
        column += width
    return pieces


def _parts(run: Run, first: int, last: int) -> list[tuple[Run, bool]]:
    """The run, divided where the selection begins and ends."""
    end = run.column + run.cells
    if first >= last or end <= first or run.column >= last:
        return [(run, False)]
    if first <= run.column and end <= last:
        return [(run, True)]
    parts: list[tuple[Run, bool]] = []
    for piece in _pieces(run):
        chosen = first <= piece.column < last
        if parts and parts[-1][1] is chosen:
            before = parts[-1][0]
            parts[-1] = (before._replace(cells=before.cells + piece.cells, text=before.text + piece.text), chosen)
        else:
            parts.append((piece, chosen))
    return parts
