"""The settings window of a VM. One per VM, beside the main window; nothing in it is modal. GUI thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QItemSelection, QSize, Qt, Slot
from PySide6.QtGui import QCloseEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import QDialog, QPushButton, QVBoxLayout, QWidget

from guivm.engine.options.values import AppliedSettings, Change, Place, Reach, VmSettings
from guivm.engine.requests import ReadPending, ReadSettings
from guivm.engine.types import VmInfo
from guivm.errors import ChangedOutsideError, GuivmError
from guivm.text import clean_line
from guivm.views.bridge import Bridge
from guivm.views.vm_settings.apply_run import ApplyRun
from guivm.views.vm_settings.banner import Mood
from guivm.views.vm_settings.checker import Checker
from guivm.views.vm_settings.draft import Draft, Part
from guivm.views.vm_settings.form import OptionForm, show_form
from guivm.views.vm_settings.frame import SettingsFrame
from guivm.views.vm_settings.hardware_actions import HardwareActions
from guivm.views.vm_settings.network_facts import NetworkFacts
from guivm.views.vm_settings.outcomes import outcome_words, rebased_words
from guivm.views.vm_settings.part_list import PART_ROLE, PartFilter, PartModel, option_found, part_title
from guivm.views.vm_settings.preloading import Preloader
from guivm.views.vm_settings.restart import Restart
from guivm.views.vm_settings.search import Search
from guivm.views.vm_settings.services import EditorServices
from guivm.views.vm_settings.watch import Watch

if TYPE_CHECKING:
    from guivm.views.vm_settings.changes_page import ChangesPage

_WIDTH, _HEIGHT = 1080, 760
CHANGES = Place("changes")
"""Shows the page with what was changed and what waits."""
XML = Place("xml")


class SettingsDialog(QDialog):
    """Opens at once and reads in the background. ``place``: the part, and the option, to show first."""

    def __init__(
        self, bridge: Bridge, vm: VmInfo, parent: QWidget | None = None, *, place: Place | None = None
    ) -> None:
        super().__init__(parent, Qt.WindowType.Window)
        self.setObjectName("vm-settings")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._bridge = bridge
        self._vm = vm
        self._wanted = place
        self.draft: Draft | None = None
        self._checker: Checker | None = None
        self._pending: tuple[Change, ...] = ()
        self._applying = False
        self._rebasing = False
        self._closes_after = False
        self._is_gone = False
        self._form: OptionForm | None = None
        self._model: PartModel | None = None
        self._shown_revision = -1  # of the draft
        self._changes_page: ChangesPage | None = None  # the last one, which may be gone
        self._preloader = Preloader(self)
        self._filter = PartFilter(self)
        self.frame = SettingsFrame(self)
        self._search = Search(self.frame, self._filter, self)
        self._run = ApplyRun(bridge, vm.key, self)
        self.hardware = HardwareActions(self.frame, self.current_part, self)
        self.restart = Restart(bridge, vm, self.frame.banner, self)
        self._watch = Watch(bridge, vm.key, self)
        self._connect()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.frame)
        self._name_window()
        self._update()
        self.resize(QSize(_WIDTH, _HEIGHT))
        self.reload()

    def _connect(self) -> None:
        frame = self.frame
        frame.list.setModel(self._filter)
        # Not currentChanged: the list makes a row current when it gets the focus.
        frame.list.selectionModel().selectionChanged.connect(self._on_chosen)
        self._search.found.connect(self._show_current)
        frame.add_button.clicked.connect(self.hardware.add)
        frame.changes_button.clicked.connect(self.show_changes)
        frame.xml_button.clicked.connect(self.show_xml)
        frame.help_button.clicked.connect(self._on_help)
        frame.duplicate_button.clicked.connect(self.hardware.duplicate)
        frame.remove_button.clicked.connect(self.hardware.remove)
        self.hardware.placeRequested.connect(self.show_place)
        frame.strip.retryRequested.connect(self.reload)
        frame.close_button.clicked.connect(self.close)
        frame.later_button.clicked.connect(self.apply_later)
        frame.apply_button.clicked.connect(self.apply)
        self.restart.applyRequested.connect(self.apply_later)
        self.restart.failed.connect(frame.strip.show_error)
        self._run.applied.connect(self._on_applied)
        self._run.refused.connect(self._on_refused)
        self._watch.changed.connect(self._read_again)
        self._watch.gone.connect(self._on_gone)
        for keys, act in (
            (QKeySequence.StandardKey.Find, self._search.start),
            (QKeySequence.StandardKey.Save, self.apply),
            (QKeySequence.StandardKey.HelpContents, self._on_help),
        ):
            QShortcut(QKeySequence(keys), self).activated.connect(act)

    # --- reading --------------------------------------------------------------------------------------

    @Slot()
    def reload(self) -> None:
        """Read the definition anew; edits that are not applied are gone."""
        self.frame.strip.clear()
        self.frame.busy.show()
        if self.draft is None:
            self.frame.pages.setCurrentWidget(self.frame.waiting)
        self._bridge.submit(ReadSettings(self._vm.key), self, self._on_settings, self._on_unreadable)

    def _on_settings(self, settings: VmSettings) -> None:
        frame = self.frame
        if self.draft is None:
            self.draft = Draft(settings, self)
            self._checker = Checker(self._bridge, self.draft, self)
            self._model = PartModel(self.draft, self)
            self._filter.setSourceModel(self._model)
            self.draft.services = EditorServices(self._bridge, self._vm.key, self)
            NetworkFacts(self._bridge, self.draft, self)
            self.hardware.draft = self.draft
            self.draft.rebuilt.connect(self._on_rebuilt)
            self.draft.edited.connect(self._on_edited)
            self.draft.problemsChanged.connect(self._on_edited)
            frame.pages.setCurrentWidget(frame.area)
            self._preloader.start()
        elif self._rebasing:
            lost = self.draft.rebase(settings)
            frame.banner.tell(Mood.CARE if lost else Mood.DONE, *rebased_words(lost))
        else:
            self.draft.start_from(settings)
        self._applying = self._rebasing = False
        frame.pages.setEnabled(True)
        self._name_window()
        self._read_pending()
        assert self._checker is not None
        self._checker.check_base()
        if self._wanted is not None:
            wanted, self._wanted = self._wanted, None
            self.show_place(wanted)
        if frame.pages.currentWidget() is frame.area and self.current_part() is None:
            frame.list.setCurrentIndex(self._filter.index(0, 0))
            frame.list.setFocus(Qt.FocusReason.OtherFocusReason)
        self._update()
        self.restart.on_applied()

    def _on_unreadable(self, error: GuivmError) -> None:
        self._applying = self._rebasing = False
        self.frame.pages.setEnabled(True)
        self.frame.busy.setVisible(self.draft is not None)
        self.frame.strip.show_error(error, can_retry=True)
        self._update()

    @Slot()
    def _read_again(self) -> None:
        """The VM is not what it was: started, shut down, changed by somebody."""
        if self.draft is not None and not self._applying:
            self._bridge.submit(ReadSettings(self._vm.key), self, self._on_news, _skip)

    def _on_news(self, settings: VmSettings) -> None:
        if self.draft is None or self._applying:
            return
        if not self.draft.follow(settings):
            self.frame.banner.tell(
                Mood.CARE,
                self.tr("Another program changed this VM meanwhile. “Apply” will show both, and overwrite nothing."),
            )
        self._name_window()
        self._read_pending()

    @Slot()
    def _on_gone(self) -> None:
        self.frame.strip.show_error(GuivmError(self.tr("This virtual machine is gone.")))
        self.frame.pages.setEnabled(False)
        self._is_gone = True
        self._applying = True  # for ever: there is nothing to apply to
        self._update()

    def _read_pending(self) -> None:
        assert self.draft is not None
        if self.draft.is_running:
            self._bridge.submit(ReadPending(self._vm.key), self, lambda found: self._set_pending(found.changes), _skip)
        else:
            self._set_pending(())

    def _set_pending(self, changes: tuple[Change, ...]) -> None:
        self._pending = changes
        if self._form is not None:
            self._form.refresh(changes)
        if self._changes_page is not None and self.frame.pages.currentWidget() is self._changes_page:
            self._changes_page.set_pending(changes)
        self._update()

    # --- showing --------------------------------------------------------------------------------------

    @property
    def form(self) -> OptionForm | None:
        """The form in sight."""
        return self._form

    @property
    def pending(self) -> tuple[Change, ...]:
        """What waits for the next start."""
        return self._pending

    def show_place(self, place: Place) -> None:
        """Show a part and, where one is named, bring its option into sight and give it the focus.

        :data:`CHANGES` and :data:`XML` are places as well.
        """
        if self._model is None:
            self._wanted = place
        elif place == CHANGES:
            self.show_changes()
        elif place == XML:
            self.show_xml()
        else:
            self.frame.search.clear()
            row = self._model.row_of(place)
            if row >= 0:
                self.frame.list.setCurrentIndex(self._filter.mapFromSource(self._model.index(row)))
                self._show_current()
                if place.option and self._form is not None:
                    self._form.reveal(place.option, self.frame.area, focus=True)

    def current_part(self) -> Part | None:
        """The part that is shown; None while a page for all of them is."""
        chosen = self.frame.list.selectionModel().selectedIndexes()
        part = chosen[0].data(PART_ROLE) if chosen else None
        return part if isinstance(part, Part) else None

    @Slot(QItemSelection)
    def _on_chosen(self, chosen: QItemSelection) -> None:
        if not chosen.isEmpty():
            self._show_current()

    @Slot()
    def _show_current(self) -> None:
        """Build the form of the part that is chosen."""
        part = self.current_part()
        if part is None or self.draft is None:
            return
        frame = self.frame
        frame.show_form()
        for button in (frame.changes_button, frame.xml_button):
            button.setChecked(False)
        if self._form is None or self._form.part != part:
            self._form = show_form(self.draft, part, frame.area, self._form, self._pending)
            self._form.restore()
        frame.title.setText(part_title(part))
        found = option_found(part, frame.search.text())
        if found is not None:
            self._form.reveal(found.id, frame.area, focus=False)
        self._update()

    @Slot()
    def _on_rebuilt(self) -> None:
        assert self._model is not None
        assert self.draft is not None
        part = self.current_part()
        self._model.rebuild()
        self._shown_revision = self.draft.revision
        if part is None:  # the changes, or the XML, are in sight
            self._form = None
            self._update()
            return
        row = self._model.row_of(part.place())
        if row < 0:
            row = min(self._model.row_near(part), self._model.rowCount() - 1)
        self.frame.list.setCurrentIndex(self._filter.mapFromSource(self._model.index(row)))
        if self.current_part() is None:  # the search hides it
            self._update()
        else:
            self._show_current()

    @Slot()
    def _on_edited(self) -> None:
        assert self._model is not None
        assert self.draft is not None
        if self._shown_revision == self.draft.revision:
            return
        self._shown_revision = self.draft.revision
        self._model.refresh()
        if self._form is not None and self.current_part() is not None:
            self._form.refresh(self._pending)
            self.frame.title.setText(part_title(self._form.part))
        self._update()

    def _name_window(self) -> None:
        """By what the VM is called, which an edit is not yet."""
        name = self.draft.base.name if self.draft is not None else None
        self.setWindowTitle(self.tr("Settings of “{name}”").format(name=clean_line(name or self._vm.name, 60)))
        self.setAccessibleName(self.windowTitle())

    def _update(self) -> None:
        """Buttons and the line beside them."""
        self.frame.show_state(
            self.draft, self.current_part(), self._pending, applying=self._applying, locked=self._why_locked()
        )

    def _why_locked(self) -> str:
        vm = self._bridge.engine.vm(self._vm.key)
        if vm is None or not vm.is_template:
            return ""
        return self.tr("It is a template: its settings can be looked at, and changed once it is converted back.")

    # --- devices and pages ----------------------------------------------------------------------------

    @Slot()
    def _on_help(self) -> None:
        part = self.current_part()
        if part is not None:
            from guivm.views.vm_settings.help_page import show_help

            show_help(part.resource, self, None if self._form is None else self._form.focused_option())

    @Slot()
    def show_changes(self) -> None:
        """What is not applied, and what waits."""
        if self.draft is None:
            return
        from guivm.views.vm_settings.changes_page import ChangesPage

        page = self._changes_page = ChangesPage(self.draft, self._pending, self)
        page.shutDownRequested.connect(self._on_shut_down)
        page.restartRequested.connect(self._on_restart)
        page.placeRequested.connect(self.show_place)
        self._show_page(page, self.frame.changes_button, self.tr("Changes"))

    @Slot()
    def show_xml(self) -> None:
        """The whole definition as text."""
        if self.draft is None:
            return
        from guivm.views.vm_settings.xml_page import XmlPage

        self._show_page(self.frame.edited_xml or XmlPage(self.draft, self), self.frame.xml_button, self.tr("XML"))

    def _show_page(self, page: QWidget, button: QPushButton, title: str) -> None:
        """Another view of the whole definition, instead of a form."""
        self.frame.list.selectionModel().clear()
        self.frame.show_page(page)
        for other in (self.frame.changes_button, self.frame.xml_button):
            other.setChecked(other is button)
        self.frame.title.setText(title)
        page.setFocus(Qt.FocusReason.OtherFocusReason)
        self._update()

    @Slot()
    def _on_shut_down(self) -> None:
        self._ask_to_restart(start_again=False)

    @Slot()
    def _on_restart(self) -> None:
        self._ask_to_restart(start_again=True)

    def _ask_to_restart(self, *, start_again: bool) -> None:
        assert self.draft is not None
        if self.draft.is_changed and not self.frame.apply_button.isEnabled():
            self.frame.strip.show_error(GuivmError(self.tr("What is not applied yet cannot be stored as it is.")))
        else:
            self.restart.ask(start_again=start_again, applies_first=self.draft.is_changed)

    # --- applying -------------------------------------------------------------------------------------

    @Slot()
    def apply(self) -> None:
        """Make it so: in the running VM where that can be, and in the definition."""
        self._apply(live=True)

    @Slot()
    def apply_later(self) -> None:
        """Only in the definition: the running VM stays as it is."""
        self._apply(live=False)

    def _apply(self, *, live: bool) -> None:
        if self.draft is None or not self.frame.apply_button.isEnabled():
            self.restart.forget()
            return
        self._applying = True
        self.frame.strip.clear()
        self.frame.banner.clear()
        self.frame.pages.setEnabled(False)
        self._update()
        self._run.begin(self.draft, live=live)

    @Slot(object)
    def _on_applied(self, result: AppliedSettings) -> None:
        if self._closes_after:
            self._applying = False
            self._discard()
            return
        waits = any(outcome.reach is Reach.NEXT_START for outcome in result.outcomes)
        text, details = outcome_words(result, is_running=bool(result.live_xml))
        actions = []
        if waits and result.live_xml:
            show = QPushButton(self.tr("Show"), self)
            show.setObjectName("banner-show-changes")
            show.setAccessibleName(self.tr("Show what waits for the next start"))
            show.clicked.connect(self.show_changes)
            actions = [show]
        self.frame.banner.tell(Mood.NEWS if actions else Mood.DONE, text, details=details, actions=actions)
        self._bridge.submit(ReadSettings(self._vm.key), self, self._on_settings, self._on_unreadable)

    @Slot(object)
    def _on_refused(self, error: GuivmError) -> None:
        self._applying = False
        if self._closes_after:
            self._closes_after = False
            self.show()
        self.frame.pages.setEnabled(True)
        self.restart.forget()
        self._update()
        if isinstance(error, ChangedOutsideError):
            from guivm.views.vm_settings.conflict import ConflictDialog

            dialog = ConflictDialog(error, self)
            dialog.reloadRequested.connect(self.reload)
            dialog.rebaseRequested.connect(self._rebase)
            dialog.open()
        else:
            self.frame.strip.show_error(error)

    @Slot()
    def _rebase(self) -> None:
        self._rebasing = True
        self.reload()

    # --- closing --------------------------------------------------------------------------------------

    def closeEvent(self, event: QCloseEvent) -> None:
        if self._applying and not self._is_gone:  # comes back when it is refused
            event.ignore()
            self._closes_after = True
            self.hide()
            return
        edited = self.draft is not None and (self.draft.is_changed or self.frame.edited_xml is not None)
        if edited and self.isVisible() and not self._is_gone:
            event.ignore()
            self._ask_to_discard()
            return
        self.restart.outlive(self.parent())
        event.accept()  # QDialog's own would reject, and that closes

    def _ask_to_discard(self) -> None:
        from guivm.views.dialogs.confirm import ConfirmDialog

        question = ConfirmDialog(
            self.tr("Close without applying?"),
            self.tr("What was changed here is not in the virtual machine yet."),
            self.tr("&Discard changes"),
            self,
        )
        question.accepted.connect(self._discard)
        question.open()

    @Slot()
    def _discard(self) -> None:
        assert self.draft is not None
        self.draft.revert_all()
        if self.frame.edited_xml is not None:
            self.frame.edited_xml.put_back()
        self.close()

    def reject(self) -> None:  # Escape
        self.close()


def _skip(_error: GuivmError) -> None:
    """What waits is shown when it can be found out; that it cannot is no news here."""
