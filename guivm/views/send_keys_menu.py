"""The menu of key combinations that the desktop would take for itself."""

from __future__ import annotations

from PySide6.QtCore import Signal, Slot
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMenu, QWidget

from guivm.views.settings import KEY_COMBOS, Settings


class SendKeysMenu(QMenu):
    """The standard combinations, the person's own, and a way to change these. Filled each time it opens. GUI thread."""

    chosen = Signal(str)  # a combination as guivm.console.input.key_combos.KeyCombo.parse takes it
    editRequested = Signal()

    def __init__(self, settings: Settings, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("send-keys-menu")
        self.setTitle(self.tr("Send Keys"))
        self._settings = settings
        self.aboutToShow.connect(self._fill)

    @Slot()
    def _fill(self) -> None:
        from guivm.console.input.key_combos import parse_list, standard_combos

        for menu in self.findChildren(QMenu):
            menu.deleteLater()
        self.clear()
        own = parse_list(self._settings.get(KEY_COMBOS))
        for named in own:
            self._add(self, named.title, named.combo.name)
        if own:
            self.addSeparator()
        for group in standard_combos():
            if len(group) > 8:
                menu = QMenu(f"{group[0].name} – {group[-1].name}", self)
                menu.setObjectName("send-keys-more")
                self.addMenu(menu)
            else:
                menu = self
            for combo in group:
                self._add(menu, combo.name, combo.name)
            self.addSeparator()
        edit = self.addAction(self.tr("Own Combinations…"))
        edit.setObjectName("send-keys-edit")
        edit.triggered.connect(self.editRequested)

    def _add(self, menu: QMenu, title: str, combo: str) -> None:
        action = menu.addAction(title.replace("&", "&&"))
        action.setObjectName(f"send-{combo}")
        action.setData(combo)
        action.triggered.connect(self._on_triggered)

    @Slot()
    def _on_triggered(self) -> None:
        sender = self.sender()
        if isinstance(sender, QAction):
            self.chosen.emit(str(sender.data()))
