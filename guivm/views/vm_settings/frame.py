"""The pieces of the settings window and where they stand; what they do is in :mod:`dialog`. GUI thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLineEdit,
    QListView,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from guivm.engine.options.values import Change, SettingProblem
from guivm.views.dialogs.base import MessageStrip
from guivm.views.forms import NoteLine, Tone, plain_label, plain_tooltip
from guivm.views.icons import Tint, icon
from guivm.views.theme import GRID
from guivm.views.vm_settings.banner import Banner
from guivm.views.vm_settings.draft import Draft, Part
from guivm.views.vm_settings.editors import small_button
from guivm.views.vm_settings.part_list import PartDelegate, part_title

if TYPE_CHECKING:
    from guivm.views.vm_settings.xml_page import XmlPage

_SIDE = 36 * GRID
_MARGIN = 4 * GRID
_OWN_PAGES = 2  # the one to wait on, and the forms: they stay


class SettingsFrame(QWidget):
    """Search and list at the left, the page at the right, what can be done with all of it below."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("settings-frame")
        side = self._make_side()
        page = QFrame(self)
        page.setProperty("page", True)
        right = QVBoxLayout(page)
        right.setContentsMargins(0, 0, 0, 0)
        right.setSpacing(0)
        right.addLayout(self._make_header())
        right.addWidget(self._make_pages(), 1)
        right.addLayout(self._make_messages())
        rule = QFrame(page)
        rule.setProperty("rule", True)
        right.addWidget(rule)
        right.addLayout(self._make_footer())
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        edge = QFrame(self)
        edge.setProperty("edge", True)
        layout.addWidget(side)
        layout.addWidget(edge)
        layout.addWidget(page, 1)

    def show_page(self, page: QWidget) -> None:
        """Put a page for the whole definition in the form's place; the one before it goes."""
        self.pages.addWidget(page)
        self.pages.setCurrentWidget(page)
        self.forget_pages()

    def show_form(self) -> None:
        """The forms are in sight again."""
        self.pages.setCurrentWidget(self.area)
        self.forget_pages()

    @property
    def edited_xml(self) -> XmlPage | None:
        """A page with a text that is not used yet, in sight or not."""
        if self.pages.count() <= _OWN_PAGES:
            return None
        from guivm.views.vm_settings.xml_page import XmlPage

        kept = (self.pages.widget(index) for index in range(_OWN_PAGES, self.pages.count()))
        return next((page for page in kept if isinstance(page, XmlPage) and page.is_edited), None)

    def forget_pages(self) -> None:
        """All but the one in sight go, and a text that is being edited."""
        kept = self.edited_xml
        for index in range(self.pages.count() - 1, _OWN_PAGES - 1, -1):
            old = self.pages.widget(index)
            assert old is not None
            if old is not kept and old is not self.pages.currentWidget():
                self.pages.removeWidget(old)
                old.hide()
                old.deleteLater()

    def show_state(
        self, draft: Draft | None, part: Part | None, pending: tuple[Change, ...], *, applying: bool, locked: str = ""
    ) -> None:
        """Buttons, and the line beside them. ``locked``: why nothing of it can be changed."""
        is_device = part is not None and part.resource.is_device
        self.remove_button.setVisible(is_device and part is not None and part.resource.remove is not None)
        self._show_duplicate(draft, part if is_device else None, locked)
        self.help_button.setVisible(part is not None)
        for button in (self.add_button, self.changes_button, self.xml_button):
            button.setEnabled(draft is not None)
        for button in (self.add_button, self.remove_button):
            button.setEnabled(draft is not None and not locked)
            button.setToolTip(plain_tooltip(locked))
            button.setAccessibleDescription(locked)
        holder = self.area.widget()
        if holder is not None:
            holder.setEnabled(not locked)
        changes = () if draft is None else draft.changes()
        changed = draft is not None and draft.is_changed
        errors = () if draft is None else draft.errors
        count = len({change.place for change in (*changes, *pending)})
        self.changes_button.setText(self.tr("Cha&nges ({n})").format(n=count) if count else self.tr("Cha&nges"))
        ready = changed and not errors and not applying and not locked
        self.apply_button.setEnabled(ready)
        self.later_button.setEnabled(ready)
        self.later_button.setVisible(draft is not None and draft.is_running)
        self.close_button.setText(self.tr("&Cancel") if changed else self.tr("&Close"))
        if locked:
            self._say(locked)
        elif errors and changed:
            self.status.set_problem(_where(draft, errors[0]), Tone.PROBLEM)
        elif applying:
            self._say(self.tr("Applying…"))
        elif changed:
            several = self.tr("{n} changes, not applied yet").format(n=len(changes))
            self._say(several if len(changes) > 1 else self.tr("1 change, not applied yet"))
        else:
            self._say(self.tr("Some changes wait for the next start.") if pending else "")

    def _show_duplicate(self, draft: Draft | None, device: Part | None, locked: str) -> None:
        """Greyed with the reason where the VM can have but one."""
        possible = draft is not None and device is not None and device.resource.add is not None
        self.duplicate_button.setVisible(possible)
        if draft is not None and device is not None and possible:
            from guivm.views.vm_settings.duplicating import duplicate_refusal

            refusal = locked or duplicate_refusal(draft, device)
            self.duplicate_button.setEnabled(not refusal)
            self.duplicate_button.setToolTip(plain_tooltip(refusal or self.tr("Another one with the same settings")))
            self.duplicate_button.setAccessibleDescription(refusal)

    def _say(self, text: str) -> None:
        self.status.set_problem("")
        self.status.set_help(text)

    def _make_side(self) -> QWidget:
        side = QFrame(self)
        side.setProperty("sidebar", True)
        side.setFixedWidth(_SIDE)
        self.search = QLineEdit(side)
        self.search.setObjectName("search")
        self.search.setAccessibleName(self.tr("Search the settings"))
        self.search.setPlaceholderText(self.tr("usb, bridge, boot order…"))
        self.search.setClearButtonEnabled(True)
        self.search.addAction(icon("search", Tint.QUIET), QLineEdit.ActionPosition.LeadingPosition)
        self.nothing_found = plain_label(self.tr("No setting is called that."), side, wrap=True)
        self.nothing_found.setObjectName("nothing-found")
        self.nothing_found.setProperty("tone", "quiet")
        self.nothing_found.setContentsMargins(GRID, 0, GRID, 0)
        self.nothing_found.hide()
        self.list = QListView(side)
        self.list.setObjectName("parts")
        self.list.setAccessibleName(self.tr("Parts and devices"))
        self.list.setProperty("sidebar", True)
        self.list.setItemDelegate(PartDelegate(self.list))
        self.list.setFrameShape(QFrame.Shape.NoFrame)
        self.list.setUniformItemSizes(True)
        self.list.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setMouseTracking(True)
        self.add_button = QPushButton(icon("new", Tint.TEXT), self.tr(" &Add hardware…"), side)
        self.add_button.setObjectName("add-hardware")
        self.add_button.setAccessibleName(self.tr("Add hardware"))
        self.add_button.setAutoDefault(False)
        self.changes_button = small_button(self.tr("Cha&nges"), "show-changes", side)
        self.xml_button = small_button(self.tr("&XML"), "show-xml", side)
        views = QHBoxLayout()
        views.setSpacing(GRID)
        for button in (self.changes_button, self.xml_button):
            button.setCheckable(True)
            views.addWidget(button, 1)
        column = QVBoxLayout(side)
        column.setContentsMargins(GRID + 4, 2 * GRID, GRID + 4, 2 * GRID)
        column.setSpacing(GRID + 4)
        column.addWidget(self.search)
        column.addWidget(self.nothing_found)
        column.addWidget(self.list, 1)
        column.addWidget(self.add_button)
        column.addLayout(views)
        return side

    def _make_header(self) -> QHBoxLayout:
        self.title = plain_label("", self)
        self.title.setObjectName("page-title")
        self.title.setProperty("role", "title")
        self.help_button = small_button("?", "help", self)
        self.help_button.setAccessibleName(self.tr("Explain this"))
        self.help_button.setToolTip(self.tr("What this is, and when to change it (F1)"))
        self.duplicate_button = small_button(self.tr("&Duplicate"), "duplicate", self)
        self.remove_button = small_button(self.tr("&Remove"), "remove", self)
        header = QHBoxLayout()
        header.setContentsMargins(_MARGIN, 3 * GRID, _MARGIN, GRID + GRID // 2)
        header.setSpacing(GRID)
        header.addWidget(self.title, 1)
        for button in (self.duplicate_button, self.remove_button, self.help_button):
            button.hide()
            header.addWidget(button)
        return header

    def _make_pages(self) -> QStackedWidget:
        self.area = QScrollArea(self)
        self.area.setObjectName("form-scroll")
        self.area.setWidgetResizable(True)
        self.area.setFrameShape(QFrame.Shape.NoFrame)
        self.area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.waiting = self._make_waiting()
        self.pages = QStackedWidget(self)
        self.pages.addWidget(self.waiting)
        self.pages.addWidget(self.area)
        return self.pages

    def _make_messages(self) -> QVBoxLayout:
        self.banner = Banner("banner", self)
        self.strip = MessageStrip(self)
        box = QVBoxLayout()
        box.setContentsMargins(_MARGIN, GRID, _MARGIN, GRID)
        box.setSpacing(GRID)
        box.addWidget(self.banner)
        box.addWidget(self.strip)
        return box

    def _make_footer(self) -> QHBoxLayout:
        self.status = NoteLine("", self, trailing=True)
        self.status.setObjectName("status")
        self.close_button = self._button(self.tr("&Close"), "close")
        self.later_button = self._button(self.tr("Apply at next &start"), "apply-later")
        self.apply_button = self._button(self.tr("A&pply"), "apply")
        self.apply_button.setProperty("kind", "primary")
        footer = QHBoxLayout()
        footer.setContentsMargins(_MARGIN, GRID + 4, _MARGIN, 2 * GRID)
        footer.setSpacing(GRID)
        footer.addWidget(self.status, 1)
        footer.addSpacing(GRID)
        for button in (self.close_button, self.later_button, self.apply_button):
            footer.addWidget(button)
        return footer

    def _button(self, text: str, name: str) -> QPushButton:
        button = QPushButton(text, self)
        button.setObjectName(name)
        button.setAccessibleName(text.replace("&", ""))
        button.setAutoDefault(False)
        return button

    def _make_waiting(self) -> QWidget:
        box = QWidget(self)
        box.setObjectName("waiting")
        words = plain_label(self.tr("Reading what this VM is, and what its host can give it…"), box, wrap=True)
        words.setAlignment(Qt.AlignmentFlag.AlignCenter)
        words.setProperty("tone", "quiet")
        self.busy = QProgressBar(box)
        self.busy.setObjectName("busy")
        self.busy.setAccessibleName(words.text())
        self.busy.setRange(0, 0)
        self.busy.setTextVisible(False)
        self.busy.setFixedSize(30 * GRID, GRID)
        column = QVBoxLayout(box)
        column.addStretch(1)
        column.addWidget(words)
        column.addSpacing(GRID)
        column.addWidget(self.busy, 0, Qt.AlignmentFlag.AlignHCenter)
        column.addStretch(2)
        return box


def _where(draft: Draft | None, problem: SettingProblem) -> str:
    """The problem, and which part has it: it may not be the one in sight."""
    part = None if draft is None else draft.part_at(problem.place)
    return f"{part_title(part)}: {problem.message}" if part is not None else problem.message
