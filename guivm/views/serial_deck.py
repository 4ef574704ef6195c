"""The serial consoles of the VMs shown last, each with its text; only the one on top asks for its line."""

from __future__ import annotations

from collections import OrderedDict

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QStackedWidget, QWidget

from guivm.engine.types import VmInfo, VmKey
from guivm.views.bridge import Bridge
from guivm.views.serial_page import SerialPage

_KEPT = 4


class SerialDeck(QStackedWidget):
    actionRequested = Signal(str)

    def __init__(self, bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("serial-deck")
        self._bridge = bridge
        self._pages: OrderedDict[VmKey, SerialPage] = OrderedDict()

    @property
    def current_page(self) -> SerialPage | None:
        widget = self.currentWidget()
        return widget if isinstance(widget, SerialPage) else None

    def show_vm(self, vm: VmInfo) -> SerialPage:
        page = self._pages.get(vm.key)
        if page is None:
            page = SerialPage(self._bridge, vm, self)
            page.actionRequested.connect(self.actionRequested)
            self._pages[vm.key] = page
            self.addWidget(page)
        page.set_vm(vm)
        self._pages.move_to_end(vm.key)
        self.setCurrentWidget(page)
        while len(self._pages) > _KEPT:
            _, oldest = self._pages.popitem(last=False)
            self._discard(oldest)
        return page

    def update_vm(self, vm: VmInfo) -> None:
        """Follow the observed state of a VM, shown or not."""
        page = self._pages.get(vm.key)
        if page is not None:
            page.set_vm(vm)

    def forget(self, key: VmKey) -> None:
        """The VM is gone."""
        page = self._pages.pop(key, None)
        if page is not None:
            self._discard(page)

    def disconnect_all(self) -> None:
        for page in self._pages.values():
            page.disconnect_source()

    def _discard(self, page: SerialPage) -> None:
        page.disconnect_source()
        self.removeWidget(page)
        page.hide()
        page.deleteLater()
