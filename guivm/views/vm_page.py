"""The page of one VM: header, tabs and what they show. Keeps the consoles of the VMs shown last."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from PySide6.QtCore import QSize, Qt, Signal, Slot
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QPushButton,
    QStackedWidget,
    QTabBar,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from guivm.engine.types import VmInfo, VmKey
from guivm.views.actions import ActionRegistry
from guivm.views.bridge import Bridge
from guivm.views.console_page import ConsolePage
from guivm.views.overview_page import OverviewPage
from guivm.views.pending_badge import PendingBadge
from guivm.views.serial_deck import SerialDeck
from guivm.views.settings import Settings
from guivm.views.state_page import StatePage
from guivm.views.theme import GRID
from guivm.views.vm_header import VmHeader

if TYPE_CHECKING:
    from guivm.views.snapshots.page import SnapshotsPage

OVERVIEW, CONSOLE, SERIAL, SNAPSHOTS = 0, 1, 2, 3
PAGES = ("overview", "console", "serial", "snapshots")
_KEPT_CONSOLES = 4


class ConsoleDeck(QStackedWidget):
    """One :class:`ConsolePage` for each of the few VMs shown last; only the one on top is connected."""

    actionRequested = Signal(str)
    captureChanged = Signal(bool)
    reattachRequested = Signal()
    shown = Signal(object)  # ConsolePage: it is the one on top now

    def __init__(self, bridge: Bridge, settings: Settings, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("console-deck")
        self._bridge = bridge
        self._settings = settings
        self._pages: OrderedDict[VmKey, ConsolePage] = OrderedDict()
        self._away = StatePage("console-away", "detach", "", "", self)
        self._away.title.setText(self.tr("The console is in its own window"))
        self._away.text.setText(self.tr("Close that window, or bring it back from here."))
        back = QPushButton(self.tr("Bring It Back"), self._away)
        back.setObjectName("console-bring-back")
        back.setAccessibleName(self.tr("Bring the console back"))
        back.clicked.connect(self.reattachRequested)
        self._away.column.addSpacing(GRID)
        self._away.column.addWidget(back, 0, Qt.AlignmentFlag.AlignHCenter)
        self.addWidget(self._away)

    @property
    def current_page(self) -> ConsolePage | None:
        widget = self.currentWidget()
        return widget if isinstance(widget, ConsolePage) else None

    def page(self, key: VmKey) -> ConsolePage | None:
        return self._pages.get(key)

    def show_away(self) -> None:
        self.setCurrentWidget(self._away)

    def show_vm(self, vm: VmInfo) -> ConsolePage:
        page = self._pages.get(vm.key)
        if page is None:
            page = ConsolePage(self._bridge, self._settings, vm, self)
            self.put(page)
        page.set_vm(vm)
        self._pages.move_to_end(vm.key)
        self.setCurrentWidget(page)
        self._forget_old()
        self.shown.emit(page)
        return page

    def _forget_old(self) -> None:
        """Keep the last few, and those that record."""
        idle = [key for key, page in self._pages.items() if not page.features.is_recording]
        for key in idle[: max(0, len(self._pages) - _KEPT_CONSOLES)]:
            if self._pages[key] is not self.currentWidget():
                self._discard(self._pages.pop(key))

    def put(self, page: ConsolePage) -> None:
        """Take a page in, new or back from its own window."""
        page.actionRequested.connect(self.actionRequested)
        page.captureChanged.connect(self.captureChanged)
        self._pages[page.key] = page
        self.addWidget(page)

    def take(self, vm: VmInfo) -> ConsolePage:
        """Hand the page of a VM over, to be put into a window of its own."""
        page = self.show_vm(vm)
        del self._pages[vm.key]
        page.actionRequested.disconnect(self.actionRequested)
        page.captureChanged.disconnect(self.captureChanged)
        self.removeWidget(page)
        self.show_away()
        return page

    def forget(self, key: VmKey) -> None:
        """The VM is gone."""
        page = self._pages.pop(key, None)
        if page is not None:
            self._discard(page)

    def disconnect_all(self) -> None:
        for page in self._pages.values():
            page.features.close()
            page.disconnect_source()

    def update_vm(self, vm: VmInfo) -> None:
        page = self._pages.get(vm.key)
        if page is not None:
            page.set_vm(vm)

    def _discard(self, page: ConsolePage) -> None:
        page.features.close()
        page.disconnect_source()
        self.removeWidget(page)
        page.hide()
        page.deleteLater()


class VmPage(QWidget):
    """Shows one VM at a time."""

    pageChanged = Signal(str)  # a name of PAGES
    changesRequested = Signal(object)  # VmKey: show what waits for its next start
    wished = Signal(object)  # guivm.views.snapshots.wishes.Wish

    def __init__(
        self, bridge: Bridge, settings: Settings, actions: ActionRegistry, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setObjectName("vm-page")
        self.setProperty("page", True)
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._bridge = bridge
        self._vm: VmInfo | None = None
        self._detached = False
        self.header = VmHeader(actions, self)
        self.tabs = QTabBar(self)
        self.tabs.setObjectName("vm-tabs")
        self.tabs.setAccessibleName(self.tr("Pages of the virtual machine"))
        self.tabs.setExpanding(False)
        self.tabs.setDrawBase(False)
        self.tabs.addTab(self.tr("Overview"))
        self.tabs.addTab(self.tr("Console"))
        self.tabs.addTab(self.tr("Serial"))
        self.tabs.addTab(self.tr("Snapshots"))
        self.overview = OverviewPage(bridge, settings, actions, self)
        self.deck = ConsoleDeck(bridge, settings, self)
        self.serial = SerialDeck(bridge, self)
        self._snapshots: SnapshotsPage | None = None
        self._stack = QStackedWidget(self)
        self._stack.addWidget(self.overview)
        self._stack.addWidget(self.deck)
        self._stack.addWidget(self.serial)
        self.badge = PendingBadge(bridge, self)
        self.badge.showRequested.connect(self.changesRequested)
        self._strip = self._make_strip(actions)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.header)
        layout.addWidget(self._strip)
        layout.addWidget(self._stack, 1)
        self.tabs.currentChanged.connect(self._on_tab)
        self.overview.consoleRequested.connect(self.show_console)

    @property
    def vm(self) -> VmInfo | None:
        return self._vm

    @property
    def page(self) -> str:
        return PAGES[self.tabs.currentIndex()]

    def show_page(self, page: str) -> None:
        """A name of :data:`PAGES`."""
        self.tabs.setCurrentIndex(PAGES.index(page) if page in PAGES else OVERVIEW)

    @Slot()
    def show_console(self) -> None:
        self.show_page("console")
        page = self.deck.current_page
        if page is not None:
            page.focus_screen()

    def show_serial(self) -> None:
        self.show_page("serial")
        page = self.serial.current_page
        if page is not None:
            page.focus_screen()

    @property
    def snapshots(self) -> SnapshotsPage:
        """Made on first use."""
        if self._snapshots is None:
            from guivm.views.snapshots.page import SnapshotsPage

            self._snapshots = SnapshotsPage(self._bridge, self)
            self._snapshots.wished.connect(self.wished)
            self._stack.addWidget(self._snapshots)
        return self._snapshots

    def ask_snapshots(self, action_id: str) -> None:
        """Show the snapshots, and ask about those that are selected (``restore-snapshot``, ``delete-snapshot``)."""
        from guivm.views.snapshots.wishes import Verb

        self.show_page("snapshots")
        if self._vm is not None:
            self.snapshots.wish_when_read(Verb(action_id))

    def set_vm(self, vm: VmInfo, host_label: str, *, detached: bool) -> None:
        """``detached``: its console is in its own window."""
        self._vm = vm
        self._detached = detached
        self.header.set_vm(vm, host_label)
        self.badge.set_vm(vm)
        self.overview.set_vm(vm)
        self._show_current()

    def set_bare(self, bare: bool) -> None:
        """Only the console, for full screen."""
        self.header.setVisible(not bare)
        self._strip.setVisible(not bare)
        if bare:
            self.show_page("console")
        page = self.deck.current_page
        if page is not None:
            page.set_bare(bare)

    @Slot(int)
    def _on_tab(self, _index: int) -> None:
        self._show_current()
        self.pageChanged.emit(self.page)

    def _show_current(self) -> None:
        vm, tab = self._vm, self.tabs.currentIndex()
        if vm is None or tab == OVERVIEW:
            shown: QWidget = self.overview
        elif tab == SERIAL:
            self.serial.show_vm(vm)
            shown = self.serial
        elif tab == SNAPSHOTS:
            self.snapshots.set_vm(vm)
            shown = self.snapshots
        else:
            if self._detached:
                self.deck.show_away()
            else:
                self.deck.show_vm(vm)
            shown = self.deck
        if vm is not None and shown is not self.deck:
            self.deck.update_vm(vm)
        if vm is not None and shown is not self.serial:
            self.serial.update_vm(vm)
        self._stack.setCurrentWidget(shown)

    def _make_strip(self, actions: ActionRegistry) -> QWidget:
        strip = QFrame(self)
        strip.setObjectName("vm-strip")
        strip.setProperty("strip", True)
        layout = QHBoxLayout(strip)
        layout.setContentsMargins(2 * GRID, 0, 2 * GRID, 0)
        layout.setSpacing(GRID // 2)
        layout.addWidget(self.tabs, 0, Qt.AlignmentFlag.AlignBottom)
        layout.addStretch(1)
        layout.addWidget(self.badge)
        for action_id in ("detach-console", "fullscreen"):
            button = QToolButton(strip)
            button.setDefaultAction(actions.action(action_id))
            button.setObjectName(f"strip-{action_id}")
            button.setAccessibleName(actions.action(action_id).text().replace("&", ""))
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonIconOnly)
            button.setIconSize(QSize(16, 16))
            layout.addWidget(button)
        return strip
