"""Choose a device to add: what each is, and why some cannot be had. GUI thread."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import (
    QAbstractListModel,
    QModelIndex,
    QPersistentModelIndex,
    QRect,
    QSize,
    Qt,
    Signal,
    Slot,
)
from PySide6.QtGui import QFont, QPainter
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from guivm.engine.options import catalogue
from guivm.engine.options.option import Resource, Situation
from guivm.errors import GuivmError
from guivm.text import clean_line
from guivm.views.dialogs.base import VerbDialog
from guivm.views.forms import plain_label, plain_tooltip
from guivm.views.icons import Tint, icon
from guivm.views.theme import GRID, tokens_for
from guivm.views.vm_settings.draft import Draft
from guivm.views.vm_settings.editors import translated
from guivm.views.vm_settings.help_page import first_paragraph
from guivm.views.vm_settings.part_list import group_title
from guivm.views.vm_settings.word_filter import WordFilter

_Index = QModelIndex | QPersistentModelIndex
RESOURCE_ROLE = Qt.ItemDataRole.UserRole + 1
REFUSAL_ROLE = Qt.ItemDataRole.UserRole + 2
_LINE_ROLE = Qt.ItemDataRole.UserRole + 3
_WIDTH = 780
_LIST_WIDTH = 42 * GRID


class HardwareModel(QAbstractListModel):
    """Everything that can be added; what this VM cannot have says why."""

    def __init__(self, situation: Situation, parent: QWidget) -> None:
        super().__init__(parent)
        self._rows: list[tuple[Resource[Any], str, str]] = []
        for resource in catalogue.RESOURCES:
            if resource.add is not None:
                refusal = resource.add_refusal(situation) if resource.add_refusal is not None else ""
                words = f"{translated(resource.title)} {resource.id} {resource.keywords} {resource.group.value}"
                self._rows.append((resource, clean_line(translated(refusal), 400), words.lower()))
        self._rows.sort(key=lambda row: bool(row[1]))  # what can be had comes first, else in the catalogue's order

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self._rows)

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        resource, refusal, _ = self._rows[index.row()]
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return translated(resource.title)
            case Qt.ItemDataRole.AccessibleTextRole:
                return ", ".join(part for part in (translated(resource.title), refusal) if part)
            case Qt.ItemDataRole.DecorationRole:
                return icon(resource.icon, Tint.DISABLED if refusal else Tint.TEXT)
            case _ if role == RESOURCE_ROLE:
                return resource
            case _ if role == REFUSAL_ROLE:
                return refusal
            case _ if role == _LINE_ROLE:
                group = group_title(resource.group)
                return refusal or (group if group != translated(resource.title) else "")
            case Qt.ItemDataRole.ToolTipRole:
                return plain_tooltip(refusal) if refusal else None
        return None

    def words(self, row: int) -> str:
        return self._rows[row][2]


class _Delegate(QStyledItemDelegate):
    """Icon, title, and under it the group or the reason."""

    def sizeHint(self, option: QStyleOptionViewItem, index: _Index) -> QSize:
        return QSize(20 * GRID, max(6 * GRID, 2 * option.fontMetrics.height() + 2 * GRID))

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        tokens = tokens_for(option.palette)
        refusal = str(index.data(REFUSAL_ROLE))
        rect = option.rect.adjusted(2, 1, -2, -1)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        if option.state & QStyle.StateFlag.State_Selected:
            painter.setBrush(tokens.selection)
            painter.drawRoundedRect(rect, 7, 7)
        elif option.state & QStyle.StateFlag.State_MouseOver:
            painter.setBrush(tokens.hover)
            painter.drawRoundedRect(rect, 7, 7)
        side = 2 * GRID + 2
        symbol = QRect(rect.left() + GRID, rect.center().y() - side // 2, side, side)
        index.data(Qt.ItemDataRole.DecorationRole).paint(painter, symbol)
        text = QRect(symbol.right() + GRID + 2, rect.top(), 0, option.fontMetrics.height())
        text.setRight(rect.right() - GRID)
        line = str(index.data(_LINE_ROLE))
        height = option.fontMetrics.height()
        text.moveTop(rect.center().y() - (height if line else height // 2))
        elide = Qt.TextElideMode.ElideRight
        align = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeading
        painter.setFont(option.font)
        painter.setPen(tokens.quiet if refusal else tokens.text)
        painter.drawText(text, align, option.fontMetrics.elidedText(str(index.data()), elide, text.width()))
        small = QFont(option.font)
        small.setPointSizeF(option.font.pointSizeF() * 0.9)
        painter.setFont(small)
        painter.setPen(tokens.quiet)
        text.translate(0, height + 1)
        painter.drawText(text, align, painter.fontMetrics().elidedText(line, elide, text.width()))
        painter.restore()


class AddHardwareDialog(VerbDialog):
    """Adds to the draft; nothing happens to the VM before Apply. ``added`` carries the place of what is new."""

    added = Signal(object)  # Place

    def __init__(self, draft: Draft, parent: QWidget) -> None:
        super().__init__(self.tr("Add hardware"), self.tr("&Add"), parent, name="add-hardware-dialog", width=_WIDTH)
        self._draft = draft
        self.search = QLineEdit(self.content)
        self.search.setObjectName("hardware-search")
        self.search.setAccessibleName(self.tr("Search hardware"))
        self.search.setPlaceholderText(self.tr("Search: disk, usb, sound…"))
        self.search.setClearButtonEnabled(True)
        self.search.addAction(icon("search", Tint.QUIET), QLineEdit.ActionPosition.LeadingPosition)
        self._model = HardwareModel(draft.situation, self.content)
        self._filter = WordFilter(self.content)
        self._filter.setSourceModel(self._model)
        self.list = QListView(self.content)
        self.list.setObjectName("hardware")
        self.list.setAccessibleName(self.tr("Hardware that can be added"))
        self.list.setModel(self._filter)
        self.list.setItemDelegate(_Delegate(self.list))
        self.list.setUniformItemSizes(True)
        self.list.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setMouseTracking(True)
        self.list.setMinimumHeight(50 * GRID)
        self._make_description()
        left = QVBoxLayout()
        left.setSpacing(GRID + 4)
        left.addWidget(self.search)
        left.addWidget(self.list, 1)
        row = QHBoxLayout()
        row.setSpacing(3 * GRID)
        row.addLayout(left)
        row.addWidget(self._description, 1)
        self.search.setFixedWidth(_LIST_WIDTH)
        self.list.setFixedWidth(_LIST_WIDTH)
        self.body.addLayout(row, 1)
        self.search.textChanged.connect(self._on_search)
        self.list.selectionModel().currentChanged.connect(self._on_current)
        self.list.doubleClicked.connect(self._on_double_click)
        self.search.returnPressed.connect(self._on_primary)
        self.list.setCurrentIndex(self._filter.index(0, 0))
        self.search.setFocus(Qt.FocusReason.OtherFocusReason)

    def select(self, resource_id: str) -> None:
        """Choose a kind of device by its id."""
        for row in range(self._filter.rowCount()):
            index = self._filter.index(row, 0)
            if index.data(RESOURCE_ROLE).id == resource_id:
                self.list.setCurrentIndex(index)

    def submit(self) -> None:
        resource = self._resource()
        if resource is None or self.reason:
            return
        try:
            part = self._draft.add(resource)
        except (GuivmError, ValueError) as error:
            self.strip.show_error(error if isinstance(error, GuivmError) else GuivmError(str(error)))
            self.grow()
            return
        self.added.emit(part.place())
        self.accept()

    def _resource(self) -> Resource[Any] | None:
        found = self.list.currentIndex().data(RESOURCE_ROLE)
        return found if isinstance(found, Resource) else None

    def _make_description(self) -> None:
        self._description = QFrame(self.content)
        self._description.setProperty("card", True)
        self._icon = QLabel(self._description)
        self._icon.setFixedSize(4 * GRID, 4 * GRID)
        self._name = plain_label("", self._description, wrap=True)
        self._name.setProperty("role", "heading")
        self._about = plain_label("", self._description, wrap=True)
        self._about.setObjectName("about-hardware")
        self._live = plain_label("", self._description, wrap=True)
        self._live.setProperty("role", "caption")
        self._refusal = plain_label("", self._description, wrap=True)
        self._refusal.setObjectName("refusal")
        self._refusal.setProperty("tone", "warning")
        column = QVBoxLayout(self._description)
        column.setContentsMargins(3 * GRID, 3 * GRID, 3 * GRID, 2 * GRID)
        column.setSpacing(GRID + 4)
        for widget in (self._icon, self._name, self._refusal, self._about, self._live):
            column.addWidget(widget)
        column.addStretch(1)

    @Slot(str)
    def _on_search(self, text: str) -> None:
        self._filter.set_search(text)
        if not self.list.currentIndex().isValid() or text:
            self.list.setCurrentIndex(self._filter.index(0, 0))
        self._on_current()

    @Slot()
    def _on_current(self) -> None:
        resource = self._resource()
        self._description.setVisible(resource is not None)
        if resource is None:
            self.set_reason(self.tr("No hardware is called that."))
            return
        refusal = str(self.list.currentIndex().data(REFUSAL_ROLE))
        side = self._icon.width()
        tint = Tint.DISABLED if refusal else Tint.ACCENT
        self._icon.setPixmap(icon(resource.icon, tint).pixmap(QSize(side, side), self.devicePixelRatioF()))
        self._name.setText(translated(resource.title))
        self._about.setText(first_paragraph(resource))
        self._refusal.setText(refusal)
        self._refusal.setVisible(bool(refusal))
        self._live.setVisible(self._draft.is_running)
        self._live.setText(
            self.tr("The running VM can get it when you apply.")
            if resource.hotplug
            else self.tr("It is there from the next start on.")
        )
        self.set_reason(refusal, shown=True)

    @Slot()
    def _on_double_click(self) -> None:
        self._on_primary()
