"""Preferences. Every change applies at once; Close only closes."""

from __future__ import annotations

from PySide6.QtCore import QSize, Slot
from PySide6.QtWidgets import (
    QCheckBox,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from guivm.views.actions import ActionRegistry
from guivm.views.dialogs.base import VerbDialog
from guivm.views.dialogs.choices import SegmentedChooser
from guivm.views.dialogs.console_section import ConsoleSection
from guivm.views.dialogs.shortcut_editor import ShortcutEditor
from guivm.views.forms import Form, plain_label
from guivm.views.icons import Tint, icon
from guivm.views.settings import COLOR_SCHEME, THUMBNAILS, ColorScheme, Settings
from guivm.views.theme import GRID

_WIDTH = 760
_HEIGHT = 680
_SIDE = 22 * GRID


class PreferencesDialog(VerbDialog):
    """Sections at the left, their settings at the right. Show with ``open()``."""

    def __init__(self, settings: Settings, actions: ActionRegistry, parent: QWidget | None = None) -> None:
        super().__init__(self.tr("Preferences"), "", parent, name="preferences", width=_WIDTH)
        self._settings = settings
        self.sections = QListWidget(self.content)
        self.sections.setObjectName("sections")
        self.sections.setAccessibleName(self.tr("Sections"))
        self.sections.setFixedWidth(_SIDE)
        self.sections.setIconSize(QSize(2 * GRID, 2 * GRID))
        self.sections.setSpacing(2)
        self.pages = QStackedWidget(self.content)
        self._add_section(self.tr("General"), "preferences", self._general())
        self.console = ConsoleSection(settings, self)
        self._add_section(self.tr("Console"), "console", self.console)
        self.shortcuts = ShortcutEditor(actions, settings, self)
        self._add_section(self.tr("Shortcuts"), "keyboard", self.shortcuts)
        row = QHBoxLayout()
        row.setSpacing(3 * GRID)
        row.addWidget(self.sections)
        row.addWidget(self.pages, 1)
        self.body.addLayout(row, 1)
        self.sections.currentRowChanged.connect(self.pages.setCurrentIndex)
        self.sections.setCurrentRow(0)
        self.sections.setFocus()
        settings.changed.connect(self._on_setting)

    def fit(self) -> None:
        self.resize_to(_HEIGHT)

    def show_section(self, index: int) -> None:
        """0 General, 1 Console, 2 Shortcuts."""
        self.sections.setCurrentRow(index)

    # --- building -------------------------------------------------------------------------------------

    def _add_section(self, title: str, icon_name: str, content: QWidget) -> None:
        item = QListWidgetItem(icon(icon_name, Tint.TEXT), title, self.sections)
        item.setSizeHint(QSize(_SIDE - 2 * GRID, 4 * GRID + 4))
        page = QWidget(self.pages)
        heading = plain_label(title, page)
        heading.setProperty("role", "heading")
        layout = QVBoxLayout(page)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2 * GRID)
        layout.addWidget(heading)
        layout.addWidget(content, 1)
        self.pages.addWidget(page)

    def _general(self) -> QWidget:
        form = Form(self)
        self.scheme = SegmentedChooser[ColorScheme](
            "color-scheme",
            (
                (ColorScheme.SYSTEM, "system", self.tr("As the &desktop")),
                (ColorScheme.LIGHT, "light", self.tr("&Light")),
                (ColorScheme.DARK, "dark", self.tr("Dar&k")),
            ),
            self,
        )
        form.add_row(self.tr("Appearance"), self.scheme, self.tr("Light and dark follow the desktop unless set here."))
        self.thumbnails = QCheckBox(self.tr("Show a live &picture of the screen"), self)
        self.thumbnails.setObjectName("thumbnails")
        self.thumbnails.setAccessibleName(self.tr("Show a live picture of the screen"))
        form.add_row(
            self.tr("Overview"),
            self.thumbnails,
            self.tr("Asks the host for a picture now and then while it is visible."),
        )
        self._show_general()
        self.scheme.changed.connect(self._on_scheme)
        self.thumbnails.toggled.connect(self._on_thumbnails)
        return _at_top(form, self)

    # --- following ------------------------------------------------------------------------------------

    def _show_general(self) -> None:
        try:
            scheme = ColorScheme(self._settings.get(COLOR_SCHEME))
        except ValueError:
            scheme = ColorScheme.SYSTEM
        self.scheme.set_value(scheme)
        self.thumbnails.setChecked(self._settings.get(THUMBNAILS))

    @Slot(str)
    def _on_setting(self, key: str) -> None:
        """Somebody else changed a preference while the dialog is open."""
        if key in (COLOR_SCHEME.key, THUMBNAILS.key):
            self._show_general()

    @Slot()
    def _on_scheme(self) -> None:
        self._settings.set(COLOR_SCHEME, self.scheme.value().value)

    @Slot(bool)
    def _on_thumbnails(self, on: bool) -> None:
        self._settings.set(THUMBNAILS, on)


def _at_top(form: Form, parent: QWidget) -> QWidget:
    box = QWidget(parent)
    layout = QVBoxLayout(box)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.addWidget(form)
    layout.addStretch(1)
    return box
