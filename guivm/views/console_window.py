"""A console in its own window, with its own actions, for one VM whatever is selected elsewhere."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Signal, Slot
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import QMainWindow, QSizePolicy, QToolBar, QToolButton, QWidget

from guivm.engine.types import VmInfo, VmKey, VmState
from guivm.views import icons
from guivm.views.actions import ActionRegistry
from guivm.views.console_page import ConsolePage
from guivm.views.settings import CONSOLE_GEOMETRY, Settings
from guivm.views.state_words import state_word
from guivm.views.theme import GRID
from guivm.views.vm_header import StatePill

# What can be done from here; the rest needs the main window.
_BAR = ("start", "pause", "shutdown", "reboot")
_ALSO = ("save", "reset", "force-off", "scale-fit", "scale-actual", "quit", "shortcuts", "preferences")


class ConsoleWindow(QMainWindow):
    """Holds a :class:`ConsolePage` that was taken out of the main window; closing gives it back."""

    actionRequested = Signal(str, object)  # action id, VmKey
    returned = Signal(object)  # VmKey: the window closes; take the page back

    def __init__(self, page: ConsolePage, settings: Settings, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("console-window")
        self._settings = settings
        self._vm = page.vm
        self._page: ConsolePage | None = page
        self._was_maximized = False
        self.actions_of_vm = ActionRegistry(settings, self)
        back = self.actions_of_vm.action("detach-console")
        back.setCheckable(False)
        back.setText(self.tr("Back to the Main Window"))
        back.setToolTip(back.text())
        back.setIcon(icons.icon("attach"))
        self.pill = StatePill(self)
        self.setCentralWidget(page)
        page.set_kept(True)
        page.actionRequested.connect(self._on_action)
        self.actions_of_vm.triggered.connect(self._on_action)
        self.bar = self._make_bar()
        self.addToolBar(self.bar)
        for action_id in (*_BAR, *_ALSO, "fullscreen", "detach-console"):
            self.addAction(self.actions_of_vm.action(action_id))
        self.resize(110 * GRID, 80 * GRID)
        geometry = settings.get(CONSOLE_GEOMETRY)
        if not geometry.isEmpty():
            self.restoreGeometry(geometry)
        self.set_vm(page.vm)
        page.show()

    @property
    def key(self) -> VmKey:
        return self._vm.key

    @property
    def page(self) -> ConsolePage | None:
        """The console, until it was given back."""
        return self._page

    def set_vm(self, vm: VmInfo) -> None:
        self._vm = vm
        state = "" if vm.state is VmState.RUNNING else f" ({state_word(vm.state)})"
        self.setWindowTitle(f"{vm.name}{state}")
        self.setAccessibleName(self.tr("Console of {name}").format(name=vm.name))
        self.pill.set_state(vm.state)
        self.actions_of_vm.update_enabled([vm])
        if self._page is not None:
            self._page.set_vm(vm)

    def take_page(self) -> ConsolePage | None:
        """Hand the console over; the window is of no use afterwards."""
        page, self._page = self._page, None
        if page is not None:
            page.actionRequested.disconnect(self._on_action)
            self.takeCentralWidget()
            page.set_kept(False)
        return page

    @Slot(str)
    def _on_action(self, action_id: str) -> None:
        match action_id:
            case "fullscreen":
                self.set_full_screen(not self.isFullScreen())
            case "detach-console":
                self.close()
            case _:
                self.actionRequested.emit(action_id, self._vm.key)

    def set_full_screen(self, on: bool) -> None:
        if on == self.isFullScreen():
            return
        if on:
            self._was_maximized = self.isMaximized()
            self.bar.hide()
            self.showFullScreen()
        else:
            self.bar.show()
            if self._was_maximized:
                self.showMaximized()
            else:
                self.showNormal()
        self.actions_of_vm.action("fullscreen").setChecked(on)

    def closeEvent(self, event: QCloseEvent) -> None:
        if not self.isFullScreen():
            self._settings.set(CONSOLE_GEOMETRY, self.saveGeometry())
        super().closeEvent(event)
        if event.isAccepted():
            self.returned.emit(self._vm.key)
            self.deleteLater()

    def _make_bar(self) -> QToolBar:
        bar = QToolBar(self.tr("Console"), self)
        bar.setObjectName("console-bar")
        bar.setMovable(False)
        bar.setIconSize(QSize(16, 16))
        bar.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        bar.setContextMenuPolicy(Qt.ContextMenuPolicy.PreventContextMenu)
        for action_id in _BAR:
            bar.addAction(self.actions_of_vm.action(action_id))
        space = QWidget(bar)
        space.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        bar.addWidget(space)
        bar.addWidget(self.pill)
        for action_id in ("fullscreen", "detach-console"):
            action = self.actions_of_vm.action(action_id)
            bar.addAction(action)
            button = bar.widgetForAction(action)
            if isinstance(button, QToolButton):
                button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonIconOnly)
        for button_action in bar.actions():
            button = bar.widgetForAction(button_action)
            if button_action.data():
                button.setObjectName(f"console-bar-{button_action.data()}")
                button.setAccessibleName(button_action.text().replace("&", ""))
        return bar
