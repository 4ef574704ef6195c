"""The consoles that stand in windows of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from guivm.engine.types import VmInfo, VmKey
from guivm.views.pages import Pages
from guivm.views.settings import Settings

if TYPE_CHECKING:
    from guivm.views.console_window import ConsoleWindow


class ConsoleWindows(QObject):
    """Takes pages out of the deck into windows, and puts them back. GUI thread."""

    actionRequested = Signal(str, object)  # action id, VmKey
    changed = Signal()  # a console left or came back

    def __init__(self, settings: Settings, pages: Pages, parent: QObject) -> None:
        super().__init__(parent)
        self._settings = settings
        self._pages = pages
        self._windows: dict[VmKey, ConsoleWindow] = {}
        self._ending = False

    def has(self, key: VmKey) -> bool:
        return key in self._windows

    def window(self, key: VmKey) -> ConsoleWindow | None:
        return self._windows.get(key)

    def detach(self, vm: VmInfo) -> ConsoleWindow:
        """Put the console of a VM into its own window."""
        from guivm.views.console_window import ConsoleWindow

        # No Qt parent: a window manager would keep the window above, and minimise it with, the main window.
        window = ConsoleWindow(self._pages.vm_page.deck.take(vm), self._settings)
        self._windows[vm.key] = window
        window.actionRequested.connect(self.actionRequested)
        window.returned.connect(self._on_returned)
        window.show()
        page = window.page
        if page is not None:
            page.focus_screen()
        self.changed.emit()
        return window

    def raise_window(self, key: VmKey) -> None:
        window = self._windows[key]
        window.raise_()
        window.activateWindow()

    def update_vm(self, vm: VmInfo) -> None:
        window = self._windows.get(vm.key)
        if window is not None:
            window.set_vm(vm)

    def close_vm(self, key: VmKey) -> None:
        """Close the window of a VM, if it has one; the console goes back."""
        window = self._windows.get(key)
        if window is not None:
            window.close()

    def close_all(self) -> None:
        """The application ends: no console comes back."""
        self._ending = True
        for window in tuple(self._windows.values()):
            window.close()

    @Slot(object)
    def _on_returned(self, key: VmKey) -> None:
        window = self._windows.pop(key, None)
        page = window.take_page() if window is not None else None
        if page is None:
            return
        if self._ending:
            page.features.close()
            page.disconnect_source()
            page.deleteLater()
            return
        self._pages.vm_page.deck.put(page)
        self.changed.emit()
