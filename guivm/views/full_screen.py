"""A window with one console in full screen: which screen, the bar at its edge, and back again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot
from PySide6.QtGui import QAction, QActionGroup, QGuiApplication, QScreen
from PySide6.QtWidgets import QMainWindow, QMenu

from guivm.engine.types import VmInfo
from guivm.views.actions import ActionRegistry
from guivm.views.full_screen_bar import FullScreenBar
from guivm.views.send_keys_menu import SendKeysMenu
from guivm.views.settings import FULL_SCREEN_MONITOR, HOST_KEY, Settings, for_vm
from guivm.views.state_words import titled_name

if TYPE_CHECKING:
    from guivm.views.console_page import ConsolePage


class FullScreen(QObject):
    """Of one window; made when it is first wanted. What else the window hides is its own affair. GUI thread."""

    actionRequested = Signal(str)  # id of an action
    comboChosen = Signal(str)  # keys to send
    editRequested = Signal()  # the list of own key combinations

    def __init__(self, window: QMainWindow, actions: ActionRegistry, settings: Settings) -> None:
        super().__init__(window)
        self._window = window
        self._actions = actions
        self._settings = settings
        self._vm: VmInfo | None = None
        self._page: ConsolePage | None = None
        self._was_maximized = False
        self.bar = FullScreenBar(actions, window)
        self.bar.actionRequested.connect(self.actionRequested)
        self._send_keys = SendKeysMenu(settings, self.bar)
        self._send_keys.chosen.connect(self.comboChosen)
        self._send_keys.editRequested.connect(self.editRequested)
        actions.action("view-only").toggled.connect(self.bar.set_view_only)

    def enter(self, page: ConsolePage) -> None:
        """Fill the screen that was chosen for this console's VM, or the one the window is on."""
        vm = page.vm
        self._vm = vm
        self._page = page
        page.captureChanged.connect(self.bar.set_captured)
        self.bar.set_captured(page.is_captured)
        self._was_maximized = self._window.isMaximized()
        self.bar.set_menus(self._send_keys, self._monitor_menu())
        self.bar.set_words(titled_name(vm, with_state=False), self._host_key())
        self.bar.set_view_only(self._actions.action("view-only").isChecked())
        self._fill(self._chosen_screen())
        self.bar.start()

    def leave(self) -> None:
        """Back to the size and place from before."""
        self.bar.stop()
        if self._page is not None:
            self._page.captureChanged.disconnect(self.bar.set_captured)
            self._page = None
        if self._was_maximized:
            self._window.showMaximized()
        else:
            self._window.showNormal()

    def _fill(self, screen: QScreen | None) -> None:
        window = self._window
        if screen is not None and screen is not window.screen():
            if window.isFullScreen():
                window.showNormal()
            window.setScreen(screen)
            window.move(screen.geometry().topLeft())
        window.showFullScreen()

    def _host_key(self) -> str:
        from guivm.console.input.keyboard import DEFAULT_HOST_KEY, HOST_KEYS, host_key_label

        return host_key_label(HOST_KEYS.get(self._settings.get(HOST_KEY), HOST_KEYS[DEFAULT_HOST_KEY]))

    # --- screens --------------------------------------------------------------------------------------

    def _chosen_screen(self) -> QScreen | None:
        if self._vm is None:
            return None
        name = self._settings.get(for_vm(FULL_SCREEN_MONITOR, self._vm.key.uuid))
        return next((screen for screen in QGuiApplication.screens() if screen.name() == name), None)

    def _monitor_menu(self) -> QMenu | None:
        screens = QGuiApplication.screens()
        if len(screens) < 2:
            return None
        menu = QMenu(self.bar)
        menu.setObjectName("full-screen-monitor-menu")
        group = QActionGroup(menu)
        chosen = self._chosen_screen() or self._window.screen()
        for number, screen in enumerate(screens, 1):
            size = screen.size() * screen.devicePixelRatio()
            text = self.tr("Screen {n}: {name}, {w} × {h}").format(
                n=number, name=screen.name(), w=size.width(), h=size.height()
            )
            action = menu.addAction(text.replace("&", "&&"))
            action.setCheckable(True)
            action.setChecked(screen is chosen)
            action.setData(screen.name())
            group.addAction(action)
        group.triggered.connect(self._on_monitor)
        return menu

    @Slot(QAction)
    def _on_monitor(self, action: QAction) -> None:
        if self._vm is not None:
            self._settings.set(for_vm(FULL_SCREEN_MONITOR, self._vm.key.uuid), str(action.data()))
            self._fill(self._chosen_screen())
            self.bar.start()
