"""The Snapshots page of a VM: tree or timeline, details, what can be done. GUI thread; reads, and never polls."""

from __future__ import annotations

import functools
import time

from PySide6.QtCore import QPoint, Qt, Signal, Slot
from PySide6.QtGui import QGuiApplication, QHideEvent, QKeySequence, QResizeEvent, QShortcut, QShowEvent
from PySide6.QtWidgets import QFrame, QMenu, QSplitter, QStackedWidget, QVBoxLayout, QWidget

from guivm.engine.requests import EditSnapshot, ReadSnapshotPolicy, ReadSnapshots
from guivm.engine.snapshots.values import SnapshotId, SnapshotPolicy, SnapshotTree
from guivm.engine.types import VmInfo, VmKey, VmState
from guivm.errors import GuivmError, HostError
from guivm.views.bridge import Bridge
from guivm.views.models.snapshot_tree import SnapshotTreeModel
from guivm.views.snapshots.details import SnapshotDetails
from guivm.views.snapshots.job_rows import VmJobs
from guivm.views.snapshots.keys import SnapshotKeys
from guivm.views.snapshots.notices import SnapshotNotices
from guivm.views.snapshots.pictures import SnapshotPictures
from guivm.views.snapshots.policy_line import PolicyLine
from guivm.views.snapshots.state_pages import EmptySnapshots, FailedSnapshots, ReadingSnapshots
from guivm.views.snapshots.timeline import SnapshotTimeline
from guivm.views.snapshots.toolbar import TIMELINE, SnapshotToolbar
from guivm.views.snapshots.tree_view import SnapshotTreeView
from guivm.views.snapshots.wishes import Verb, Wish
from guivm.views.theme import GRID

# Narrower than this the details stand below the tree.
_SIDE_BY_SIDE = 92 * GRID
_DETAILS = 40 * GRID


class SnapshotsPage(QWidget):
    """Shows one VM at a time. ``wished`` carries a :class:`Wish`."""

    wished = Signal(object)

    def __init__(self, bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("snapshots")
        self.setAccessibleName(self.tr("Snapshots"))
        self._bridge = bridge
        self._vm: VmInfo | None = None
        self._serial = 0
        self._reading = False
        self._stale = True  # must be read when it is next to be seen
        self._again = False  # something happened while it was being read
        self._wanted: Verb | None = None  # to be wished when the tree is there
        self._wants_focus = False  # as soon as there is something that can have it
        self.model = SnapshotTreeModel(self)
        self.pictures = SnapshotPictures(bridge, self)
        self.notices = SnapshotNotices(self)
        self.toolbar = SnapshotToolbar(self)
        self.policy = PolicyLine(self)
        self.jobs = VmJobs(bridge, self)
        self.tree = SnapshotTreeView(self.model, self)
        self.timeline = SnapshotTimeline(self.model, self.pictures, self)
        self.details = SnapshotDetails(self.pictures, self)
        self.reading = ReadingSnapshots(self)
        self.empty = EmptySnapshots(self)
        self.failed = FailedSnapshots(self)
        self._lay_out()
        self._connect()

    def _lay_out(self) -> None:
        self._views = QStackedWidget(self)
        self._views.addWidget(self.tree)
        self._views.addWidget(self.timeline)
        side = QFrame(self)
        side.setObjectName("snapshot-side")
        side.setProperty("card", True)
        box = QVBoxLayout(side)
        box.setContentsMargins(1, 1, 1, 1)
        box.addWidget(self.details)
        self._splitter = QSplitter(Qt.Orientation.Horizontal, self)
        self._splitter.setObjectName("snapshot-splitter")
        self._splitter.setChildrenCollapsible(False)
        self._splitter.setHandleWidth(2 * GRID)
        self._splitter.addWidget(self._views)
        self._splitter.addWidget(side)
        self._splitter.setStretchFactor(0, 1)
        self._splitter.setStretchFactor(1, 0)
        self._splitter.setSizes([100 * GRID, _DETAILS])
        side.setMinimumWidth(30 * GRID)
        side.setMinimumHeight(22 * GRID)
        # An invisible handle: the cards' own edges show where they end.
        self._splitter.setStyleSheet("QSplitter::handle { background: transparent; }")
        self.stack = QStackedWidget(self)
        for page in (self.reading, self.empty, self.failed, self._splitter):
            self.stack.addWidget(page)
        column = QVBoxLayout(self)
        column.setContentsMargins(3 * GRID, 2 * GRID, 3 * GRID, 2 * GRID)
        column.setSpacing(GRID + 4)
        column.addWidget(self.notices)
        column.addWidget(self.toolbar)
        column.addWidget(self.policy)
        column.addWidget(self.jobs)
        column.addWidget(self.stack, 1)

    def _connect(self) -> None:
        self.notices.wished.connect(self.wish)
        self.toolbar.wished.connect(self.wish)
        self.toolbar.helpRequested.connect(self.show_help)
        self.toolbar.view.changed.connect(self._on_view)
        self.policy.changeRequested.connect(functools.partial(self.wish, Verb.POLICY))
        self.empty.takeRequested.connect(functools.partial(self.wish, Verb.TAKE))
        self.failed.retryRequested.connect(self.reload)
        self.jobs.ended.connect(self.reload)
        self.jobs.changed.connect(self._update_buttons)
        for view, shown in ((self.tree, self.tree), (self.timeline, self.timeline.strip)):
            keys = SnapshotKeys(shown)
            keys.opened.connect(self._on_opened)
            keys.deleteRequested.connect(functools.partial(self.wish, Verb.DELETE))
            keys.renameRequested.connect(self.rename)
            view.opened.connect(self._on_opened)
            view.menuRequested.connect(self._on_menu)
        self.tree.chosenChanged.connect(self._on_chosen)
        self.tree.currentSnapshotChanged.connect(self._on_tree_current)
        self.timeline.currentSnapshotChanged.connect(self._on_timeline_current)
        self.tree.clock.due.connect(self._on_due)
        self.model.renamed.connect(self._on_renamed)
        self.details.edited.connect(self._on_edited)
        help_key = QShortcut(QKeySequence(QKeySequence.StandardKey.HelpContents), self)
        help_key.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        help_key.activated.connect(self.show_help)
        app = QGuiApplication.instance()
        assert isinstance(app, QGuiApplication)
        app.applicationStateChanged.connect(self._on_application)

    # --- the VM ---------------------------------------------------------------------------------------

    @property
    def vm(self) -> VmInfo | None:
        return self._vm

    def set_vm(self, vm: VmInfo) -> None:
        """The VM to be shown, and again whenever it changes."""
        old, self._vm = self._vm, vm
        if old == vm:
            return
        self.timeline.set_vm(vm)
        if old is None or old.key != vm.key:
            self.details.notes.commit()
            self._wanted = None
            self._serial += 1
            self._reading = self._again = False
            self.jobs.set_vm(vm.key)
            self.pictures.set_vm(vm.key)
            self.model.set_tree(None)
            self.model.set_vm_state(vm.state)
            self.notices.show_tree(None)
            self.policy.show_policy(None)
            self.stack.setCurrentWidget(self.reading)
            self.reload()
        else:
            self.model.set_vm_state(vm.state)
            self._show_details()
            if (old.state, old.definition, old.persistent) != (vm.state, vm.definition, vm.persistent):
                self.reload()
        self._update_buttons()

    @Slot()
    def reload(self) -> None:
        """Read the tree again, now, when it is next to be seen, or when the job that changes it has ended."""
        vm = self._vm
        if vm is None or not self.isVisible() or (self.jobs.title and self.model.tree is not None):
            self._stale = True
            return
        if self._reading:
            self._again = True
            return
        if vm.state is VmState.UNKNOWN:
            self._stale = True
            if self.model.tree is None:
                self.failed.tell(self.tr("Not known while the host does not answer."), can_retry=False)
                self.stack.setCurrentWidget(self.failed)
            return
        self._stale = False
        self._reading = True
        self._serial += 1
        self._bridge.submit(
            ReadSnapshots(vm.key),
            self,
            functools.partial(self._on_tree, self._serial),
            functools.partial(self._on_failed, self._serial),
        )
        self._bridge.submit(
            ReadSnapshotPolicy(vm.key),
            self,
            functools.partial(self._on_policy, self._serial),
            functools.partial(self._on_no_policy, self._serial),
        )

    def _on_policy(self, serial: int, policy: SnapshotPolicy | None) -> None:
        if serial == self._serial:
            self.policy.show_policy(policy)

    def _on_no_policy(self, serial: int, error: GuivmError) -> None:
        """When the tree cannot be read either, that says enough."""
        if serial == self._serial and not isinstance(error, HostError):
            self.policy.show_problem(str(error))

    def _on_tree(self, serial: int, tree: SnapshotTree) -> None:
        if serial != self._serial:
            return
        self._reading = False
        first = self.model.tree is None
        had_focus, before = self._has_focus(), self.stack.currentWidget()
        shown, old = self.tree.current, self.model.tree
        self.model.set_tree(tree)
        self.notices.show_tree(tree)
        self.empty.set_tree(tree)
        self.stack.setCurrentWidget(self._splitter if tree.snapshots else self.empty)
        if first or not self.model.index_of(shown).isValid():
            self.tree.choose(None if old is None else _nearest(old, tree, shown))
        self.timeline.choose(self.tree.current)
        self._show_details()
        self._update_buttons()
        lost_focus = had_focus and not (self._has_focus() and self.stack.currentWidget() is before)
        if self._wants_focus or lost_focus:
            self.take_focus()
        self._go_on()
        wanted, self._wanted = self._wanted, None
        if wanted is not None:
            self.wish_when_read(wanted)

    def _on_failed(self, serial: int, error: GuivmError) -> None:
        if serial != self._serial:
            return
        self._reading = False
        self._wanted = None
        if self.model.tree is None:
            self.failed.tell(str(error), can_retry=True)
            self.stack.setCurrentWidget(self.failed)
        else:
            self._stale = True
            if not self.jobs.title:  # else it is read again when the job, which was in its way, has ended
                self._bridge.report(error)
        self._go_on()

    def _go_on(self) -> None:
        if self._again:
            self._again = False
            self.reload()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if not event.spontaneous():
            self.reload()

    def hideEvent(self, event: QHideEvent) -> None:
        if not event.spontaneous():
            self._wants_focus = False
            self.details.notes.commit()
        super().hideEvent(event)

    @Slot(Qt.ApplicationState)
    def _on_application(self, state: Qt.ApplicationState) -> None:
        """Somebody comes back, perhaps from a terminal in which snapshots were made: libvirt tells of none."""
        if state is Qt.ApplicationState.ApplicationActive and self.isVisible():
            self.reload()

    # --- wishes ---------------------------------------------------------------------------------------

    @Slot(object)
    def wish(self, verb: Verb) -> None:
        """Ask for something to be done to what is selected; nothing happens while there is a reason against it."""
        vm = self._vm
        if vm is None or self.toolbar.reason(verb):
            return
        self.details.notes.commit()
        self.wished.emit(Wish(verb, vm.key, self.chosen, self.model.tree))

    def wish_when_read(self, verb: Verb) -> None:
        """From a menu: as soon as the tree is there, for what is selected, or the snapshot that the VM goes back to."""
        tree = self.model.tree
        if tree is None or ((self._stale or self._reading) and not self.jobs.title):
            self._wanted = verb
            if not self._reading:
                self.reload()
            return
        if not self.chosen and verb in (Verb.RESTORE, Verb.DELETE):
            self.tree.choose(tree.current)
        self._take_focus()
        self.wish(verb)

    @property
    def chosen(self) -> tuple[SnapshotId, ...]:
        """The snapshots that are selected, without the current state."""
        return self.tree.chosen

    @Slot()
    def rename(self) -> None:
        """Edit the title of the snapshot that is selected."""
        if self._views.currentWidget() is self.tree:
            self.tree.rename()
        elif self.details.shown is not None:
            self.details.title.begin()

    @Slot()
    def show_help(self) -> None:
        """The longer text about snapshots."""
        from guivm.views.vm_settings.help_page import show_help_file

        show_help_file("snapshots", self)

    @Slot()
    def _on_opened(self) -> None:
        self.wish(Verb.RESTORE if self.chosen else Verb.TAKE)

    @Slot(QPoint)
    def _on_menu(self, position: QPoint) -> None:
        menu = QMenu(self)
        menu.setObjectName("snapshot-menu")
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        verbs = (Verb.RESTORE, Verb.CLONE, Verb.DELETE) if self.chosen else (Verb.TAKE, Verb.CLONE)
        for verb in verbs:
            button = self.toolbar.button(verb)
            action = menu.addAction(button.icon(), self.toolbar.text(verb))
            action.setObjectName(f"menu-{verb.value}")
            action.setEnabled(button.isEnabled())
            action.triggered.connect(functools.partial(self._on_menu_action, verb))
        if len(self.chosen) == 1:
            rename = menu.addAction(self.tr("Rename"))
            rename.setObjectName("menu-rename")
            rename.triggered.connect(self.rename)
        menu.popup(position)

    def _on_menu_action(self, verb: Verb, _checked: bool = False) -> None:
        self.wish(verb)

    # --- titles and notes -----------------------------------------------------------------------------

    @Slot(object, str)
    def _on_renamed(self, snapshot: SnapshotId, title: str) -> None:
        info = self.model.snapshot(snapshot)
        if info is not None:
            same = self.details.shown == snapshot
            notes = self.details.notes.edit.toPlainText() if same else info.notes
            self._on_edited(snapshot, title, notes)

    @Slot(object, str, str)
    def _on_edited(self, snapshot: SnapshotId, title: str, notes: str) -> None:
        if self.model.tree is not None:
            key: VmKey = self.model.tree.key
            self._bridge.submit(EditSnapshot(key, snapshot, title, notes), self)

    # --- following ------------------------------------------------------------------------------------

    @Slot()
    def _on_view(self) -> None:
        timeline = self.toolbar.view.value() == TIMELINE
        self._views.setCurrentWidget(self.timeline if timeline else self.tree)
        self.details.set_picture_shown(not timeline)
        self._take_focus()
        self.timeline.choose(self.tree.current)

    def take_focus(self) -> None:
        """Somebody comes by the keyboard: to the tree or the timeline, or the button of the first snapshot."""
        self._wants_focus = self.model.tree is None
        if self.stack.currentWidget() is self.empty:
            self.empty.take.setFocus(Qt.FocusReason.OtherFocusReason)
        elif not self._wants_focus:
            self._take_focus()

    def _has_focus(self) -> bool:
        focused: QWidget | None = self.window().focusWidget()
        return focused is not None and self.isAncestorOf(focused)

    def _take_focus(self) -> None:
        shown = self.timeline.strip if self._views.currentWidget() is self.timeline else self.tree
        shown.setFocus(Qt.FocusReason.OtherFocusReason)

    @Slot()
    def _on_tree_current(self) -> None:
        self.timeline.choose(self.tree.current)

    @Slot()
    def _on_timeline_current(self) -> None:
        if self._views.currentWidget() is self.timeline:
            self.tree.choose(self.timeline.current)

    @Slot()
    def _on_chosen(self) -> None:
        self._show_details()
        self._update_buttons()

    @Slot()
    def _on_due(self) -> None:
        self.details.refresh_age(time.time())

    def _show_details(self) -> None:
        tree, vm = self.model.tree, self._vm
        if tree is None or vm is None:
            return
        chosen = set(self.chosen)
        infos = [info for info in tree.snapshots if info.id in chosen]
        if len(infos) > 1:
            self.details.show_several(infos)
        elif infos:
            self.details.show_snapshot(infos[0], time.time())
        else:
            self.details.show_current(tree, vm)

    @Slot()
    def _update_buttons(self) -> None:
        had_focus = self._has_focus()
        self.toolbar.update_for(self._vm, self.model.tree, self.chosen, busy=self.jobs.title)
        self.toolbar.view.setEnabled(self.stack.currentWidget() is self._splitter)
        self.empty.set_reason(self.toolbar.reason(Verb.TAKE))
        if had_focus and not self._has_focus():  # of a button that cannot be pressed now: it went anywhere
            shown = self.stack.currentWidget() is self._splitter
            self._take_focus() if shown else self.toolbar.help.setFocus(Qt.FocusReason.OtherFocusReason)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        wide = self.width() >= _SIDE_BY_SIDE
        orientation = Qt.Orientation.Horizontal if wide else Qt.Orientation.Vertical
        if self._splitter.orientation() is not orientation:
            self._splitter.setOrientation(orientation)
            self.details.set_compact(not wide)
            self._splitter.setSizes([100 * GRID, _DETAILS] if wide else [self.height() // 2, self.height() // 2])


def _nearest(old: SnapshotTree, new: SnapshotTree, gone: SnapshotId | None) -> SnapshotId | None:
    """What stands in for a snapshot that is there no more: the nearest above it that is; else the current state."""
    parents = {info.id: info.parent for info in old.snapshots}
    alive = {info.id for info in new.snapshots}
    while gone is not None and gone not in alive:
        gone = parents.get(gone)
    return gone
