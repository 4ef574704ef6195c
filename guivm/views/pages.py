"""The pages at the right of the main window. Each is imported and made when it is first shown, for the list to be
there sooner; none is thrown away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QStackedWidget, QWidget

from guivm.engine.types import HostInfo, HostState, VmInfo, VmKey
from guivm.views.actions import ActionRegistry
from guivm.views.bridge import Bridge
from guivm.views.settings import PAGE, Settings

if TYPE_CHECKING:
    from guivm.views.console_page import ConsolePage
    from guivm.views.vm_page import VmPage

PageT = TypeVar("PageT", bound=QWidget)


class Pages(QStackedWidget):
    """GUI thread."""

    actionRequested = Signal(str)  # of the console
    reattachRequested = Signal()
    consoleShown = Signal(object)  # ConsolePage
    changesRequested = Signal(object)  # VmKey
    retryRequested = Signal(object)  # HostInfo
    wished = Signal(object)  # guivm.views.snapshots.wishes.Wish

    def __init__(
        self, bridge: Bridge, settings: Settings, actions: ActionRegistry, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setObjectName("pages")
        self._bridge = bridge
        self._settings = settings
        self._actions = actions
        self._vm_page: VmPage | None = None

    # --- the page of a VM -----------------------------------------------------------------------------

    @property
    def vm_page(self) -> VmPage:
        """Made on first use, with the tab of the last run."""
        if self._vm_page is None:
            from guivm.views.vm_page import VmPage

            page = VmPage(self._bridge, self._settings, self._actions, self)
            page.deck.actionRequested.connect(self.actionRequested)
            page.deck.reattachRequested.connect(self.reattachRequested)
            page.deck.shown.connect(self.consoleShown)
            page.changesRequested.connect(self.changesRequested)
            page.wished.connect(self.wished)
            page.serial.actionRequested.connect(self.actionRequested)
            page.show_page(self._settings.get(PAGE))
            self.addWidget(page)
            self._vm_page = page
        return self._vm_page

    @property
    def vm_tab(self) -> str:
        """A name of guivm.views.vm_page.PAGES."""
        return self._settings.get(PAGE) if self._vm_page is None else self._vm_page.page

    def show_vm(self, vm: VmInfo, host_label: str, *, detached: bool) -> None:
        """See :meth:`guivm.views.vm_page.VmPage.set_vm`."""
        self.vm_page.set_vm(vm, host_label, detached=detached)
        self._show(self.vm_page)

    def update_vm(self, vm: VmInfo) -> None:
        """A VM changed: its console, if it has one, is told."""
        if self._vm_page is not None:
            self._vm_page.deck.update_vm(vm)
            self._vm_page.serial.update_vm(vm)

    def console(self, key: VmKey) -> ConsolePage | None:
        """The console of a VM, if it was shown lately and is not in a window of its own."""
        return self._vm_page.deck.page(key) if self._vm_page is not None else None

    def forget(self, key: VmKey) -> None:
        """A VM is gone."""
        if self._vm_page is not None:
            self._vm_page.deck.forget(key)
            self._vm_page.serial.forget(key)

    def disconnect_all(self) -> None:
        """Close every console's connection."""
        if self._vm_page is not None:
            self._vm_page.deck.disconnect_all()
            self._vm_page.serial.disconnect_all()

    # --- the others -----------------------------------------------------------------------------------

    def show_many(self, vms: Sequence[VmInfo]) -> None:
        from guivm.views.empty_state import ManySelectedPage

        page = self._made(ManySelectedPage) or self._added(ManySelectedPage(self._actions, self))
        page.set_vms(vms)
        self._show(page)

    def show_nothing_selected(self) -> None:
        from guivm.views.state_page import NothingSelectedPage

        self._show(self._made(NothingSelectedPage) or self._added(NothingSelectedPage(self)))

    def show_without_vms(self, hosts: Sequence[HostInfo]) -> None:
        """A welcome where a host is connected; else which host is in trouble, or on its way."""
        if not any(host.state is HostState.CONNECTED for host in hosts):
            for host in hosts:
                if host.state in (HostState.FAILED, HostState.RECONNECTING):
                    self._show_problem(host)
                    return
            for host in hosts:
                if host.state is HostState.CONNECTING:
                    self._show_connecting(host)
                    return
        self._show_welcome()

    def _show_welcome(self) -> None:
        from guivm.views.empty_state import WelcomePage

        self._show(self._made(WelcomePage) or self._added(WelcomePage(self._actions, self)))

    def _show_connecting(self, host: HostInfo) -> None:
        from guivm.views.state_page import ConnectingPage

        page = self._made(ConnectingPage) or self._added(ConnectingPage(self))
        page.set_host(host)
        self._show(page)

    def _show_problem(self, host: HostInfo) -> None:
        """A host that does not answer."""
        from guivm.views.empty_state import HostProblemPage

        page = self._made(HostProblemPage)
        if page is None:
            page = self._added(HostProblemPage(self))
            page.retryRequested.connect(self.retryRequested)
        page.set_host(host)
        self._show(page)

    def _made(self, kind: type[PageT]) -> PageT | None:
        for number in range(self.count()):
            page = self.widget(number)
            if isinstance(page, kind):
                return page
        return None

    def _added(self, page: PageT) -> PageT:
        self.addWidget(page)
        return page

    def _show(self, page: QWidget) -> None:
        if page is not self.currentWidget():
            self.setCurrentWidget(page)
