"""The search over all settings: which part it means, and which of its options. GUI thread."""

from __future__ import annotations

from PySide6.QtCore import QObject, Qt, Signal, Slot

from guivm.views.vm_settings.frame import SettingsFrame
from guivm.views.vm_settings.part_list import PartFilter


class Search(QObject):
    """``found``: the row that is meant is the list's current one."""

    found = Signal()

    def __init__(self, frame: SettingsFrame, parts: PartFilter, parent: QObject) -> None:
        super().__init__(parent)
        self._frame = frame
        self._parts = parts
        frame.search.textChanged.connect(self._on_text)
        frame.search.returnPressed.connect(frame.list.setFocus)

    @Slot()
    def start(self) -> None:
        """In the XML while that is shown; else for a setting."""
        from guivm.views.vm_settings.xml_page import XmlPage

        page = self._frame.pages.currentWidget()
        if isinstance(page, XmlPage):
            page.find_bar.open_bar()
        else:
            self._frame.search.setFocus(Qt.FocusReason.ShortcutFocusReason)
            self._frame.search.selectAll()

    @Slot(str)
    def _on_text(self, text: str) -> None:
        self._parts.set_search(text)
        best = self._parts.best_row(self._frame.list.currentIndex().row()) if text else 0
        self._frame.nothing_found.setVisible(best < 0)
        if best >= 0 and text:
            self._frame.list.setCurrentIndex(self._parts.index(best, 0))
            self.found.emit()
