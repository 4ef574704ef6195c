"""Preferences of the console: keys, scale, quality, where pictures go."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from guivm.views.console_recordings import picture_dir
from guivm.views.dialogs.shortcut_texts import host_keys
from guivm.views.forms import Form
from guivm.views.settings import (
    CONSOLE_SCALE,
    DESKTOP_SHORTCUTS,
    DISPLAY_QUALITY,
    HOST_KEY,
    INPUT_METHOD,
    KEY_COMBOS,
    PICTURE_DIR,
    Settings,
)
from guivm.views.theme import GRID


class ConsoleSection(QScrollArea):
    """Every change applies at once. GUI thread."""

    def __init__(self, settings: Settings, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("console-section")
        self.setAccessibleName(self.tr("Console"))
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._settings = settings
        holder = QWidget(self)
        holder.setProperty("clear", True)
        form = Form(holder)
        self._add_keys(form)
        self._add_picture(form)
        layout = QVBoxLayout(holder)
        layout.setContentsMargins(0, 0, 2 * GRID, 0)
        layout.addWidget(form)
        layout.addStretch(1)
        self.setWidget(holder)
        self._show()
        self.host_key.currentIndexChanged.connect(self._on_host_key)
        self.shortcuts.editingFinished.connect(self._on_shortcuts)
        self.combos.clicked.connect(self._on_combos)
        self.input_method.toggled.connect(self._on_input_method)
        self.scale.currentIndexChanged.connect(self._on_scale)
        self.quality.currentIndexChanged.connect(self._on_quality)
        self.folder.clicked.connect(self._on_folder)
        settings.changed.connect(self._on_setting)

    # --- building -------------------------------------------------------------------------------------

    def _add_keys(self, form: Form) -> None:
        self.host_key = QComboBox(self)
        self.host_key.setObjectName("host-key")
        for name, label in host_keys().items():
            self.host_key.addItem(label, name)
        form.add_row(
            self.tr("&Host key"),
            self.host_key,
            self.tr(
                "Stays with this computer while the console has the keyboard: alone it gives keyboard and mouse back, "
                "with P it pauses, with F it switches to full screen."
            ),
        )
        self.shortcuts = QLineEdit(self)
        self.shortcuts.setObjectName("desktop-shortcuts")
        form.add_row(
            self.tr("Kept by the &desktop"),
            self.shortcuts,
            self.tr("Shortcuts that never reach a guest, separated by commas. Empty: the guest gets every key."),
        )
        self.combos = QPushButton(self.tr("Key &combinations…"), self)
        self.combos.setObjectName("key-combos")
        self.combos.setAccessibleName(self.tr("Own key combinations"))
        self.combos.setAutoDefault(False)
        form.add_row(
            self.tr("Send Keys"), self.combos, self.tr("Your own combinations, at the top of the Send Keys menu.")
        )
        self.input_method = QCheckBox(self.tr("Use this desktop's &input method"), self)
        self.input_method.setObjectName("input-method")
        self.input_method.setAccessibleName(self.tr("Use this desktop's input method in the console"))
        form.add_row(
            self.tr("Input method"),
            self.input_method,
            self.tr("For Chinese, Japanese, Korean and others: what it puts together is typed into the guest."),
        )

    def _add_picture(self, form: Form) -> None:
        from guivm.console.frame import Quality
        from guivm.console.picture.viewport import ScaleMode

        self.scale = QComboBox(self)
        self.scale.setObjectName("console-scale")
        for mode, text in (
            (ScaleMode.FIT, self.tr("Fit to window")),
            (ScaleMode.ACTUAL, self.tr("Actual size (1:1)")),
            (ScaleMode.INTEGER, self.tr("Whole multiples")),
            (ScaleMode.FREE, self.tr("As last zoomed")),
        ):
            self.scale.addItem(text, mode.value)
        form.add_row(
            self.tr("&Scale"),
            self.scale,
            self.tr("How consoles show the guest's screen; 1:1 is the sharpest. Ctrl+wheel zooms."),
        )
        self.quality = QComboBox(self)
        self.quality.setObjectName("quality")
        for quality, text in (
            (Quality.AUTO, self.tr("As fast as the network allows")),
            (Quality.BEST, self.tr("Best: every pixel exact")),
            (Quality.BALANCED, self.tr("Balanced")),
            (Quality.FAST, self.tr("Fast: as few bytes as possible")),
        ):
            self.quality.addItem(text, quality.value)
        form.add_row(
            self.tr("&Quality"),
            self.quality,
            self.tr("Of screens that come over a network. Guests on this computer are always exact."),
        )
        box = QWidget(self)
        row = QHBoxLayout(box)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(GRID)
        self.place = QLineEdit(box)
        self.place.setObjectName("picture-dir")
        self.place.setReadOnly(True)
        self.folder = QPushButton(self.tr("C&hange…"), box)
        self.folder.setObjectName("choose-picture-dir")
        self.folder.setAutoDefault(False)
        self.folder.setAccessibleName(self.tr("Choose the folder for pictures and recordings"))
        row.addWidget(self.place, 1)
        row.addWidget(self.folder)
        box.setFocusProxy(self.folder)
        form.add_row(self.tr("&Pictures"), box, self.tr("Where screenshots, recordings and videos are saved."))
        self.place.setAccessibleName(self.tr("Folder for pictures and recordings"))

    # --- following ------------------------------------------------------------------------------------

    def _show(self) -> None:
        settings = self._settings
        for box, setting in ((self.host_key, HOST_KEY), (self.scale, CONSOLE_SCALE), (self.quality, DISPLAY_QUALITY)):
            index = box.findData(settings.get(setting))
            box.setCurrentIndex(index if index >= 0 else box.findData(setting.default))
        self.shortcuts.setText(", ".join(settings.get(DESKTOP_SHORTCUTS)))
        self.shortcuts.setCursorPosition(0)
        self.input_method.setChecked(settings.get(INPUT_METHOD))
        self.place.setText(settings.get(PICTURE_DIR) or str(picture_dir(settings)))

    @Slot(str)
    def _on_setting(self, key: str) -> None:
        """Changed here, or by somebody else while this is open."""
        shown = (HOST_KEY, CONSOLE_SCALE, DISPLAY_QUALITY, DESKTOP_SHORTCUTS, INPUT_METHOD, PICTURE_DIR)
        if key in (setting.key for setting in shown):
            self._show()

    @Slot()
    def _on_host_key(self) -> None:
        self._settings.set(HOST_KEY, str(self.host_key.currentData()))

    @Slot()
    def _on_scale(self) -> None:
        self._settings.set(CONSOLE_SCALE, str(self.scale.currentData()))

    @Slot()
    def _on_quality(self) -> None:
        self._settings.set(DISPLAY_QUALITY, str(self.quality.currentData()))

    @Slot(bool)
    def _on_input_method(self, on: bool) -> None:
        self._settings.set(INPUT_METHOD, on)

    @Slot()
    def _on_shortcuts(self) -> None:
        """What is no shortcut is left out; the field then shows what is in force."""
        from guivm.console.input.desktop_shortcuts import is_shortcut

        kept = [part for text in self.shortcuts.text().split(",") if (part := text.strip()) and is_shortcut(part)]
        if kept != self._settings.get(DESKTOP_SHORTCUTS):
            self._settings.set(DESKTOP_SHORTCUTS, kept)
        self._show()

    @Slot()
    def _on_combos(self) -> None:
        from guivm.views.dialogs.key_combos import KeyCombosDialog

        dialog = KeyCombosDialog(self._settings.get(KEY_COMBOS), self.window())
        dialog.chosen.connect(self._on_combos_chosen)
        dialog.open()

    @Slot(list)
    def _on_combos_chosen(self, combos: list[str]) -> None:
        self._settings.set(KEY_COMBOS, list(combos))

    @Slot()
    def _on_folder(self) -> None:
        dialog = QFileDialog(self, self.tr("Pictures and Recordings"), str(picture_dir(self._settings)))
        dialog.setObjectName("picture-dir-dialog")
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.fileSelected.connect(self._on_folder_chosen)
        dialog.open()

    @Slot(str)
    def _on_folder_chosen(self, folder: str) -> None:
        self._settings.set(PICTURE_DIR, str(Path(folder)))
