"""A console in its own window, with its own actions, for one VM whatever is selected elsewhere."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Signal, Slot
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import QMainWindow, QMenu, QSizePolicy, QToolBar, QToolButton, QWidget

from guivm.engine.types import VmInfo, VmKey
from guivm.views import icons
from guivm.views.actions import ActionRegistry, Group
from guivm.views.console_actions import ConsoleActions
from guivm.views.console_page import ConsolePage
from guivm.views.full_screen import FullScreen
from guivm.views.menus import fill_menu
from guivm.views.messages import MessageBar
from guivm.views.settings import CONSOLE_GEOMETRY, Settings
from guivm.views.state_words import titled_name
from guivm.views.theme import GRID
from guivm.views.vm_header import DisposablePill, StatePill

# What can be done from here; the rest needs the main window.
_BAR = ("start", "pause", "shutdown", "reboot")
# What edits or removes the VM, or asks for more of it than its screen, belongs to the main window.
_NOT_HERE = (
    *("rename", "edit-notes", "autostart", "delete"),
    *("restore-snapshot", "delete-snapshot", "snapshot-policy", "template", "detach-clone"),
)
_ALSO = ("save", "reset", "force-off", "quit", "shortcuts", "preferences")


class ConsoleWindow(QMainWindow):
    """Holds a :class:`ConsolePage` that was taken out of the main window; closing gives it back."""

    actionRequested = Signal(str, object)  # action id, VmKey
    returned = Signal(object)  # VmKey: the window closes; take the page back

    def __init__(
        self, page: ConsolePage, settings: Settings, parent: QWidget | None = None, *, returns: bool = True
    ) -> None:
        """``returns`` False: there is no main window to which the console could go back."""
        super().__init__(parent)
        self.setObjectName("console-window")
        self._settings = settings
        self._vm = page.vm
        self._page: ConsolePage | None = page
        self.full_screen: FullScreen | None = None
        self.actions_of_vm = ActionRegistry(settings, self)
        self.console_actions = ConsoleActions(self.actions_of_vm, settings, self)
        back = self.actions_of_vm.action("detach-console")
        back.setCheckable(False)
        back.setText(self.tr("Back to the Main Window"))
        back.setToolTip(back.text())
        back.setIcon(icons.icon("attach"))
        back.setVisible(returns)
        self.pill = StatePill(self)
        self.messages = MessageBar(self)
        self.setCentralWidget(page)
        page.set_kept(True)
        page.actionRequested.connect(self._on_action)
        self.actions_of_vm.triggered.connect(self._on_action)
        self.console_actions.told.connect(self.messages.show_message)
        self.console_actions.follow(page)
        self.bar = self._make_bar()
        self.addToolBar(self.bar)
        for spec in self.actions_of_vm.specs():
            if spec.id in (*_BAR, *_ALSO, "fullscreen", "detach-console") or self.console_actions.handles(spec.id):
                self.addAction(self.actions_of_vm.action(spec.id))
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
        self.setWindowTitle(titled_name(vm))
        self.setAccessibleName(self.tr("Console of {name}").format(name=vm.name))
        self.pill.set_vm(vm)
        self._kind.setVisible(vm.is_disposable)
        self.actions_of_vm.update_enabled([vm])
        self.actions_of_vm.action("detach-console").setEnabled(True)
        for action_id in _BAR:
            action = self.actions_of_vm.action(action_id)
            action.setIconText(f" {action.text()}")  # the style leaves no room between icon and text
        if self._page is not None:
            self._page.set_vm(vm)

    def take_page(self) -> ConsolePage | None:
        """Hand the console over; the window is of no use afterwards."""
        page, self._page = self._page, None
        if page is not None:
            page.actionRequested.disconnect(self._on_action)
            self.console_actions.follow(None)
            self.takeCentralWidget()
            page.set_bare(False)
            page.set_kept(False)
        return page

    @Slot(str)
    def _on_action(self, action_id: str) -> None:
        match action_id:
            case "fullscreen":
                self.set_full_screen(not self.isFullScreen())
            case "detach-console":
                self.close()
            case _ if self.console_actions.handles(action_id):
                self.console_actions.run(action_id)
            case _:
                self.actionRequested.emit(action_id, self._vm.key)

    def set_full_screen(self, on: bool) -> None:
        if on == self.isFullScreen():
            return
        if self._page is None:
            return
        self.bar.setVisible(not on)
        self._page.set_bare(on)
        if self.full_screen is None:
            self.full_screen = FullScreen(self, self.actions_of_vm, self._settings)
            self.full_screen.actionRequested.connect(self._on_action)
            self.full_screen.comboChosen.connect(self.console_actions.send_combo)
            self.full_screen.editRequested.connect(self.console_actions.edit_combos)
        if on:
            self.full_screen.enter(self._page)
        else:
            self.full_screen.leave()
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
        # A tool bar shows and hides a widget by its action.
        self._kind = bar.addWidget(DisposablePill(bar))
        bar.addWidget(self.pill)
        for action_id in ("fullscreen", "detach-console"):
            action = self.actions_of_vm.action(action_id)
            bar.addAction(action)
            button = bar.widgetForAction(action)
            if isinstance(button, QToolButton):
                button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonIconOnly)
        bar.addWidget(self._make_console_button(bar))
        bar.addWidget(self._make_more(bar))
        for button_action in bar.actions():
            button = bar.widgetForAction(button_action)
            if button_action.data():
                button.setObjectName(f"console-bar-{button_action.data()}")
                button.setAccessibleName(button_action.text().replace("&", ""))
        return bar

    def _make_console_button(self, bar: QToolBar) -> QToolButton:
        """Keys, text, pictures, recordings."""
        button = QToolButton(bar)
        button.setObjectName("console-bar-console")
        button.setAccessibleName(self.tr("Console actions"))
        button.setToolTip(self.tr("Keys, text, pictures, recordings"))
        button.setIcon(icons.icon("keyboard"))
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonIconOnly)
        button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(button)
        menu.setObjectName("console-tools-menu")
        menu.aboutToShow.connect(self.console_actions.fill_menus)
        fill_menu(menu, self.actions_of_vm, Group.CONSOLE)
        button.setMenu(menu)
        return button

    def _make_more(self, bar: QToolBar) -> QToolButton:
        more = QToolButton(bar)
        more.setObjectName("console-bar-more")
        more.setAccessibleName(self.tr("More actions"))
        more.setToolTip(self.tr("More actions"))
        more.setIcon(icons.icon("more"))
        more.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonIconOnly)
        more.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(more)
        menu.setObjectName("console-menu")
        fill_menu(menu, self.actions_of_vm, Group.MACHINE, leave_out=_NOT_HERE)
        menu.addSeparator()
        for action_id in ("scale-fit", "scale-actual", "scale-integer", "auto-resize"):
            menu.addAction(self.actions_of_vm.action(action_id))
        more.setMenu(menu)
        return more
