"""The main window: the list at the left, the page of what is selected at the right, messages and jobs below."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, Qt, Slot
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QMainWindow,
    QMenu,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from guivm.engine.events import VmsChanged, VmsReset
from guivm.engine.types import HostId, HostInfo, VmInfo, VmKey
from guivm.views import icons
from guivm.views.actions import ActionRegistry, Group
from guivm.views.bridge import Bridge
from guivm.views.console_actions import ConsoleActions
from guivm.views.console_windows import ConsoleWindows
from guivm.views.host_notices import HostNotices
from guivm.views.jobs_panel import JobLine, JobsAction, JobsPanel
from guivm.views.menus import fill_menu, fill_menu_bar, make_tool_bar
from guivm.views.messages import MessageBar
from guivm.views.models.vm_table import VmTableModel
from guivm.views.pages import Pages
from guivm.views.settings import Settings
from guivm.views.small import dropped_path
from guivm.views.state_words import titled_name
from guivm.views.theme import GRID, Theme
from guivm.views.vm_commands import VmCommands
from guivm.views.vm_list import VmListPane
from guivm.views.window_commands import WindowCommands
from guivm.views.window_memory import WindowMemory, remembered_selection

if TYPE_CHECKING:
    from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent

    from guivm.views.console_page import ConsolePage
    from guivm.views.full_screen import FullScreen
    from guivm.views.snapshots.wishes import Wish
    from guivm.views.vm_page import VmPage

_STATE_VERSION = 1


class MainWindow(QMainWindow):
    """Cheap to make: dialogs, the console and numpy are imported when first needed. GUI thread."""

    def __init__(
        self, bridge: Bridge, settings: Settings, actions: ActionRegistry | None = None, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setObjectName("main-window")
        self.setWindowTitle("guivm")
        self.setAccessibleName("guivm")
        self.setAcceptDrops(True)
        self._bridge = bridge
        self._settings = settings
        self._theme = Theme.ensure(settings, self)
        self.registry = actions if actions is not None else ActionRegistry(settings, self)
        self._wanted_key: VmKey | None = remembered_selection(settings)
        self._closing = False
        self._bare = False
        self._plain_full_screen = False
        self._jobs_shown = False

        self.table = VmTableModel(self)
        self.list = VmListPane(self.table, self)
        self.notices = HostNotices(self)
        self.list.add_footer(self.notices)
        self.pages = Pages(bridge, settings, self.registry, self)
        self._centre = QWidget(self)
        self._centre.setObjectName("centre")
        self.messages = MessageBar(self._centre)
        self.jobs = JobsPanel(bridge, self)
        self.messages.stay_above(self.jobs)
        self.jobs.hide()
        self.job_line = JobLine(self.jobs, bridge, self)
        self._jobs_action = JobsAction(self.registry, self.jobs, self.job_line, self)
        self.commands = VmCommands(bridge, self.registry, self.messages, self)
        self.windows = WindowCommands(bridge, settings, self.registry, self)
        self.consoles = ConsoleWindows(settings, self.pages, self)
        self.console_actions = ConsoleActions(self.registry, settings, self)
        self._full_screen: FullScreen | None = None
        self._lay_out()
        self._memory = WindowMemory(self, self._splitter, self._rows, self.list, self.pages, settings)
        self._make_bars()
        self._connect()
        self._memory.restore()
        self._read_engine()

    # --- parts ----------------------------------------------------------------------------------------

    def _lay_out(self) -> None:
        self._splitter = QSplitter(Qt.Orientation.Horizontal, self)
        self._splitter.setObjectName("splitter")
        self._splitter.setChildrenCollapsible(False)
        self._splitter.setHandleWidth(1)
        self._splitter.addWidget(self.list)
        self._splitter.addWidget(self.pages)
        self._splitter.setStretchFactor(0, 0)
        self._splitter.setStretchFactor(1, 1)
        self._splitter.setSizes([36 * GRID, 100 * GRID])
        self.list.setMinimumWidth(24 * GRID)
        self.pages.setMinimumWidth(58 * GRID)
        self._rows = QSplitter(Qt.Orientation.Vertical, self)
        self._rows.setObjectName("rows")
        self._rows.setChildrenCollapsible(False)
        self._rows.setHandleWidth(1)
        self._rows.addWidget(self._splitter)
        self._rows.addWidget(self.jobs)
        self._rows.setStretchFactor(0, 1)
        self._rows.setStretchFactor(1, 0)
        self._rows.setSizes([66 * GRID, 26 * GRID])
        layout = QVBoxLayout(self._centre)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._rows)
        self.setCentralWidget(self._centre)
        self.messages.raise_()
        self.resize(140 * GRID, 90 * GRID)

    def _make_bars(self) -> None:
        registry = self.registry
        menus = fill_menu_bar(self.menuBar(), registry)
        menus[Group.CONSOLE].aboutToShow.connect(self.console_actions.fill_menus)
        self.menuBar().setObjectName("menu-bar")
        self._bar = make_tool_bar(registry, self.job_line, self)
        self.addToolBar(self._bar)
        # Shortcuts go on working while the menu bar is hidden in full screen.
        self.addActions([registry.action(spec.id) for spec in registry.specs()])

    def _connect(self) -> None:
        bridge = self._bridge
        bridge.hostChanged.connect(self._on_host)
        bridge.hostRemoved.connect(self._on_host_removed)
        bridge.vmsReset.connect(self.table.reset_host)
        bridge.vmsChanged.connect(self._on_vms_changed)
        bridge.failed.connect(self.messages.show_error)
        bridge.noticed.connect(self.messages.show_notice)
        self.table.rowsInserted.connect(self._on_rows)
        self.table.rowsRemoved.connect(self._on_rows)
        self.table.modelReset.connect(self._on_rows)
        self.list.selectionChanged.connect(self._on_selection)
        self.list.opened.connect(self._on_opened)
        self.list.contextMenuRequested.connect(self._on_context_menu)
        self.notices.retryRequested.connect(self._on_retry)
        self.pages.retryRequested.connect(self._on_retry)
        self.registry.triggered.connect(self.run_action)
        self.pages.actionRequested.connect(self.run_action)
        self.pages.reattachRequested.connect(self._on_reattach)
        self.pages.consoleShown.connect(self.console_actions.follow)
        self.pages.changesRequested.connect(self._on_changes_requested)
        self.pages.wished.connect(self._on_wished)
        self.consoles.actionRequested.connect(self._on_console_action)
        self.consoles.changed.connect(self._on_selection)
        self.commands.appeared.connect(self._on_appeared)
        self.windows.appeared.connect(self._on_appeared)
        self.console_actions.told.connect(self.messages.show_message)
        self._theme.changed.connect(icons.clear_cache)
        focus_messages = QShortcut(QKeySequence(Qt.Key.Key_F6), self)
        focus_messages.setObjectName("focus-messages")
        focus_messages.activated.connect(self.messages.focus_newest)

    # --- for others -----------------------------------------------------------------------------------

    @property
    def vm_page(self) -> VmPage:
        """The page of the VM that is selected; made on first use."""
        return self.pages.vm_page

    def show_page(self, page: str) -> None:
        """A page of the VM that is selected, by its name in guivm.views.vm_page.PAGES."""
        self.vm_page.show_page(page)

    def select_vm(self, key: VmKey) -> None:
        """Select a VM, now or as soon as it is in the list."""
        self._wanted_key = key
        self._select_wanted()

    def selected(self) -> tuple[VmInfo, ...]:
        return self.list.selected()

    @property
    def shown_page(self) -> QWidget | None:
        """The page at the right."""
        return self.pages.currentWidget()

    # --- what happened --------------------------------------------------------------------------------

    def _read_engine(self) -> None:
        """What the engine knew before the window listened."""
        for host in self._bridge.engine.hosts():
            self.table.set_host(host)
            self.notices.set_host(host)
            vms = self._bridge.engine.vms(host.id)
            if vms:
                self.table.reset_host(VmsReset(host.id, vms))
        self._choose_page()
        self._update_actions()
        self.list.view.setFocus(Qt.FocusReason.OtherFocusReason)

    @Slot(object)
    def _on_host(self, host: HostInfo) -> None:
        self.table.set_host(host)
        self.notices.set_host(host)
        self._choose_page()

    @Slot(str)
    def _on_host_removed(self, host: str) -> None:
        self.table.remove_host(HostId(host))
        self.notices.remove_host(HostId(host))
        self._choose_page()

    @Slot(object)
    def _on_vms_changed(self, event: VmsChanged) -> None:
        self.table.change(event)
        for vm in event.changed:
            self.consoles.update_vm(vm)
            self.pages.update_vm(vm)
        for uuid in event.removed:
            key = VmKey(event.host, uuid)
            self.consoles.close_vm(key)
            self.pages.forget(key)

    @Slot()
    def _on_rows(self) -> None:
        self._select_wanted()
        self._choose_page()

    def _select_wanted(self) -> None:
        if self._wanted_key is not None and self.table.row(self._wanted_key) >= 0:
            key, self._wanted_key = self._wanted_key, None
            if not self.list.filter.index_of(key).isValid():
                self.list.search.clear()
            self.list.select([key])

    @Slot()
    def _on_selection(self) -> None:
        selected = self.selected()
        if len(selected) == 1:
            self._wanted_key = None
        self._choose_page(selected)
        self._update_actions(selected)

    def _choose_page(self, selected: tuple[VmInfo, ...] | None = None) -> None:
        selected = self.selected() if selected is None else selected
        if len(selected) == 1:
            vm = selected[0]
            label = self.table.host_label(vm.key.host) if self.table.shows_hosts else ""
            self.pages.show_vm(vm, label, detached=self.consoles.has(vm.key))
        elif selected:
            self.pages.show_many(selected)
        elif self.table.rowCount():
            self.pages.show_nothing_selected()
        else:
            self.pages.show_without_vms(self.table.hosts())
        # An empty list beside an empty page says nothing; hosts in trouble are named under it.
        self.list.setVisible(not self._bare and (self.table.rowCount() > 0 or self.table.shows_hosts))
        one = selected[0] if len(selected) == 1 else None
        alone = one is not None and (self._bare or one.is_disposable)
        self.setWindowTitle(f"{titled_name(one, with_state=False)} — guivm" if one is not None and alone else "guivm")

    # --- actions --------------------------------------------------------------------------------------

    def _update_actions(self, selected: tuple[VmInfo, ...] | None = None) -> None:
        selected = self.selected() if selected is None else selected
        registry = self.registry
        registry.update_enabled(selected)
        one = selected[0] if len(selected) == 1 else None
        registry.action("detach-console").setChecked(one is not None and self.consoles.has(one.key))
        for action_id in ("show-overview", "show-console", "show-serial", "show-snapshots"):
            registry.action(action_id).setEnabled(one is not None)
        self.console_actions.follow(self._console_of(one) if one is not None else None)

    @Slot(str)
    def run_action(self, action_id: str) -> None:
        """Carry out an action for what is selected."""
        selected = self.selected()
        if self.commands.handles(action_id):
            self.commands.run(action_id, selected, self)
            self._update_actions()
        elif self.windows.handles(action_id):
            self.windows.run(action_id, selected, self)
        elif self.console_actions.handles(action_id):
            self._run_console_action(action_id, selected)
        else:
            self._run_view_action(action_id)

    @Slot(object)
    def _on_changes_requested(self, key: VmKey) -> None:
        vm = self._bridge.engine.vm(key)
        if vm is not None:
            self.commands.show_changes(vm, self)

    @Slot(object)
    def _on_wished(self, wish: Wish) -> None:
        self.commands.fulfil(wish, self)

    def _run_console_action(self, action_id: str, selected: tuple[VmInfo, ...]) -> None:
        """For the console of what is selected; it is shown first where it stands in this window."""
        if len(selected) == 1 and self.registry.targets(action_id, selected):
            if self.registry.spec(action_id).group is Group.CONSOLE and not self.consoles.has(selected[0].key):
                self.vm_page.show_console()
            self.console_actions.follow(self._console_of(selected[0]))
        self.console_actions.run(action_id)

    def _console_of(self, vm: VmInfo) -> ConsolePage | None:
        """Where the VM's console is, if it was ever shown."""
        window = self.consoles.window(vm.key)
        if window is not None:
            return window.page
        return self.pages.console(vm.key)

    def _run_view_action(self, action_id: str) -> None:
        match action_id:
            case "sample":
                self.commands.create_sample(self._bridge.engine.hosts())
            case "search":
                self.list.focus_search()
            case "show-overview":
                self.show_page("overview")
            case "show-console":
                self.vm_page.show_console()
            case "show-serial":
                self.vm_page.show_serial()
            case "show-snapshots":
                self.show_page("snapshots")
                self.vm_page.snapshots.take_focus()
            case "restore-snapshot" | "delete-snapshot":
                self.vm_page.ask_snapshots(action_id)
            case "detach-console":
                self._toggle_detached()
            case "fullscreen":
                self.set_full_screen(not self.isFullScreen())
            case "jobs":
                self._jobs_action.follow()
            case "quit":
                self.close()

    @Slot(str, object)
    def _on_console_action(self, action_id: str, key: VmKey) -> None:
        """An action of a console in its own window: for its VM, whatever is selected here."""
        vm = self.table.vm(key)
        window = self.consoles.window(key)
        if vm is not None and self.commands.handles(action_id):
            self.commands.run(action_id, [vm], window or self)
        elif self.windows.handles(action_id):
            self.windows.run(action_id, [vm] if vm is not None else [], window or self)
        else:
            self._run_view_action(action_id)

    @Slot(object)
    def _on_opened(self, key: VmKey) -> None:
        """Enter or double click: the console, and a VM that is off is started."""
        vm = self.table.vm(key)
        if vm is None:
            return
        if vm.is_template and not vm.state.is_active:  # it has no console to come
            self.show_page("overview")
            return
        if not vm.state.is_active:
            self.commands.run("start", [vm], self)
        if self.consoles.has(key):
            self.consoles.raise_window(key)
        else:
            self.vm_page.show_console()

    @Slot(object)
    def _on_appeared(self, key: VmKey) -> None:
        self.select_vm(key)

    @Slot(QPoint)
    def _on_context_menu(self, position: QPoint) -> None:
        menu = QMenu(self)
        menu.setObjectName("vm-context-menu")
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        fill_menu(menu, self.registry, Group.MACHINE)
        menu.popup(position)

    @Slot(object)
    def _on_retry(self, host: HostInfo) -> None:
        self._bridge.engine.open_host(host.uri, host.label)

    # --- console and full screen ----------------------------------------------------------------------

    def _toggle_detached(self) -> None:
        selected = self.selected()
        if len(selected) != 1:
            return
        key = selected[0].key
        if self.consoles.has(key):
            self.consoles.close_vm(key)
        else:
            self.set_full_screen(False)
            self.consoles.detach(selected[0])
        self._on_selection()

    @Slot()
    def _on_reattach(self) -> None:
        selected = self.selected()
        if len(selected) == 1:
            self.consoles.close_vm(selected[0].key)

    def set_full_screen(self, on: bool) -> None:
        """Full screen; where one VM is selected only its console is left."""
        if on == self.isFullScreen():
            self.registry.action("fullscreen").setChecked(on)
            return
        selected = self.selected()
        alone = on and len(selected) == 1 and not self.consoles.has(selected[0].key)
        if on:
            self._jobs_shown = self.jobs.isVisible()
        self._bare = alone
        for part in (self.menuBar(), self._bar, self.list):
            part.setVisible(not alone)
        self.jobs.setVisible(not alone and self._jobs_shown)
        self.vm_page.set_bare(alone)
        page = self.vm_page.deck.current_page
        if alone and page is not None:
            self._full_screen_control().enter(page)
        elif on:
            self._plain_full_screen = True
            self.showFullScreen()
        elif self._plain_full_screen:
            self._plain_full_screen = False
            self.showNormal()
        else:
            self._full_screen_control().leave()
        self.registry.action("fullscreen").setChecked(on)
        self._choose_page()
        if alone and page is not None:
            page.focus_screen()

    def _full_screen_control(self) -> FullScreen:
        if self._full_screen is None:
            from guivm.views.full_screen import FullScreen

            self._full_screen = FullScreen(self, self.registry, self._settings)
            self._full_screen.actionRequested.connect(self.run_action)
            self._full_screen.comboChosen.connect(self.console_actions.send_combo)
            self._full_screen.editRequested.connect(self.console_actions.edit_combos)
        return self._full_screen

    # --- files dropped on the window ------------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if dropped_path(event.mimeData()) is not None:
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        path = dropped_path(event.mimeData())
        if path is not None:
            event.acceptProposedAction()
            self.open_file(path)

    def open_file(self, path: Path) -> None:
        """Offer to make a VM from a file."""
        self.windows.new_vm(self, path)

    # --- remembering and leaving ----------------------------------------------------------------------

    def closeEvent(self, event: QCloseEvent) -> None:
        if not self._closing and self._asks_before_closing():
            event.ignore()
            return
        if self._bare:
            self.set_full_screen(False)
        self._memory.keep(self.selected(), still_waiting=self._wanted_key is not None)
        self.consoles.close_all()
        self.pages.disconnect_all()
        event.accept()

    @Slot()
    def close_at_once(self) -> None:
        """Close without a question: somebody ends the session."""
        self._closing = True
        self.close()

    def _asks_before_closing(self) -> bool:
        from guivm.views.closing import closing_question

        dialog = closing_question(self.jobs.active_jobs, self.table.vms(), self._settings, self)
        if dialog is None:
            return False
        dialog.accepted.connect(self.close_at_once)
        dialog.open()
        return True
