"""How a row of the VM list looks: state shape in its colour, name, and one quiet line."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QCursor, QFont, QFontMetrics, QPainter, QPainterPath, QPalette, QPen
from PySide6.QtWidgets import QAbstractItemView, QStyledItemDelegate, QStyleOptionViewItem

from guivm.engine.types import VmInfo
from guivm.views import formats, icons
from guivm.views.models.vm_table import Column, Role
from guivm.views.state_words import vm_icon_name, vm_words
from guivm.views.theme import GRID, Tokens, mix, tokens_for

_BADGE = 32
_GLYPH = 16
_MARK, _SIGN = 22, 14
_INSET = 6  # the row's rounded background stays this far from the edges of the list

_Position = QStyleOptionViewItem.ViewItemPosition


def quiet_line(vm: VmInfo, host_label: str) -> str:
    """The second line of a row: the state, then the host where there are several, else the title."""
    return " · ".join(part for part in (vm_words(vm), host_label or vm.title) if part)


class VmDelegate(QStyledItemDelegate):
    """Paints two-line rows in the name column and quiet text in the others.

    What a row looks like is asked of the view and not of ``option.state``: touching that makes PySide6 build the whole
    of QStyle with its hundreds of constants, which takes a fiftieth of the time in which the window starts.
    """

    def __init__(self, view: QAbstractItemView) -> None:
        super().__init__(view)
        self._view = view

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:
        height = max(QFontMetrics(option.font).height() * 2 + 2 * GRID, _BADGE + 2 * GRID)
        if index.column() == Column.NAME:
            return QSize(28 * GRID, height)
        text = index.data(Qt.ItemDataRole.DisplayRole)
        return QSize(QFontMetrics(option.font).horizontalAdvance(str(text)) + 3 * GRID, height)

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        tokens = tokens_for(option.palette)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._paint_background(painter, option, index, tokens)
        if index.column() == Column.NAME:
            vm = index.data(Role.VM)
            if isinstance(vm, VmInfo):
                self._paint_vm(painter, option, vm, str(index.data(Role.HOST_LABEL) or ""), tokens)
        else:
            rect = option.rect.adjusted(GRID, 0, -2 * GRID, 0)
            text = QFontMetrics(option.font).elidedText(
                str(index.data(Qt.ItemDataRole.DisplayRole) or ""), Qt.TextElideMode.ElideRight, rect.width()
            )
            alignment = index.data(Qt.ItemDataRole.TextAlignmentRole) or (
                Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
            )
            painter.setFont(option.font)
            painter.setPen(tokens.quiet)
            painter.drawText(rect, int(alignment), text)
        painter.restore()

    def _paint_background(
        self,
        painter: QPainter,
        option: QStyleOptionViewItem,
        index: QModelIndex | QPersistentModelIndex,
        tokens: Tokens,
    ) -> None:
        view = self._view
        selected = view.selectionModel().isSelected(index)
        hovered = view.underMouse() and self._pointed_row() == index.row()
        focused = (
            view.hasFocus()
            and view.window().testAttribute(Qt.WidgetAttribute.WA_KeyboardFocusChange)
            and view.currentIndex() == index
        )
        if not (selected or hovered or focused):
            return
        rect = QRectF(option.rect).adjusted(0, 1, 0, -1)
        position = option.viewItemPosition
        left = position in (_Position.Beginning, _Position.OnlyOne, _Position.Invalid)
        right = position in (_Position.End, _Position.OnlyOne, _Position.Invalid)
        # Rounded only at the ends of the row: the other corners are pushed outside and clipped away.
        rect.adjust(_INSET if left else -GRID, 0, -_INSET if right else GRID, 0)
        path = QPainterPath()
        path.addRoundedRect(rect, GRID, GRID)
        painter.save()
        painter.setClipRect(option.rect)
        if selected:
            active = option.palette.currentColorGroup() != QPalette.ColorGroup.Inactive
            painter.fillPath(path, tokens.selection if active else tokens.pressed)
        elif hovered:
            painter.fillPath(path, tokens.hover)
        if focused:
            painter.setPen(QPen(tokens.accent, 1))
            painter.drawPath(path)
        painter.restore()

    def _pointed_row(self) -> int:
        viewport = self._view.viewport()
        return self._view.indexAt(viewport.mapFromGlobal(QCursor.pos())).row()

    def _paint_vm(
        self, painter: QPainter, option: QStyleOptionViewItem, vm: VmInfo, host_label: str, tokens: Tokens
    ) -> None:
        rect = option.rect.adjusted(_INSET + GRID, 0, -_INSET - GRID, 0)
        color = tokens.state(vm.state)
        badge = QRect(rect.left(), rect.center().y() - _BADGE // 2 + 1, _BADGE, _BADGE)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(mix(color, tokens.card, 0.16))
        painter.drawRoundedRect(badge, GRID, GRID)
        gap = (_BADGE - _GLYPH) // 2
        icons.paint(painter, badge.adjusted(gap, gap, -gap, -gap), vm_icon_name(vm), color)

        left = badge.right() + GRID + 5
        if rect.right() - left > 6 * GRID:
            if vm.pending:
                rect.setRight(self._paint_pending(painter, option, rect, vm.pending, tokens) - GRID)
            elif vm.is_disposable:
                rect.setRight(self._paint_disposable(painter, rect, tokens) - GRID)
        width = rect.right() - left
        if width <= 0:
            return
        strong = QFont(option.font)
        strong.setWeight(QFont.Weight.DemiBold)
        strong_metrics, metrics = QFontMetrics(strong), QFontMetrics(option.font)
        top = rect.center().y() - (strong_metrics.height() + metrics.height()) // 2
        painter.setFont(strong)
        painter.setPen(tokens.text)
        painter.drawText(
            QRect(left, top, width, strong_metrics.height()),
            Qt.AlignmentFlag.AlignVCenter,
            strong_metrics.elidedText(vm.name, Qt.TextElideMode.ElideRight, width),
        )
        painter.setFont(option.font)
        painter.setPen(tokens.quiet)
        painter.drawText(
            QRect(left, top + strong_metrics.height() + 1, width, metrics.height()),
            Qt.AlignmentFlag.AlignVCenter,
            metrics.elidedText(quiet_line(vm, host_label), Qt.TextElideMode.ElideRight, width),
        )

    @staticmethod
    def _paint_disposable(painter: QPainter, rect: QRect, tokens: Tokens) -> int:
        """The sign of a run that is thrown away, at the right end of ``rect``; answers its left edge."""
        place = QRect(rect.right() - _MARK + 1, rect.center().y() - _MARK // 2 + 1, _MARK, _MARK)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(mix(tokens.warning, tokens.card, 0.16))
        painter.drawRoundedRect(place, GRID - 2, GRID - 2)
        gap = (_MARK - _SIGN) // 2
        icons.paint(painter, place.adjusted(gap, gap, -gap, -gap), "disposable", tokens.warning)
        return place.left()

    @staticmethod
    def _paint_pending(painter: QPainter, option: QStyleOptionViewItem, rect: QRect, count: int, tokens: Tokens) -> int:
        """How many changes wait, as a pill at the right end of ``rect``; answers its left edge."""
        font = QFont(option.font)
        font.setWeight(QFont.Weight.DemiBold)
        metrics = QFontMetrics(font)
        text = formats.number(count)
        height = metrics.height() + 2
        width = max(height, metrics.horizontalAdvance(text) + GRID + 4)
        pill = QRect(rect.right() - width + 1, rect.center().y() - height // 2 + 1, width, height)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(tokens.accent)
        painter.drawRoundedRect(pill, height / 2, height / 2)
        painter.setFont(font)
        painter.setPen(tokens.on_accent)
        painter.drawText(pill, Qt.AlignmentFlag.AlignCenter, text)
        return pill.left()
