"""The definition that is being edited, and what the forms show of it. GUI thread; never blocks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from PySide6.QtCore import QCoreApplication, QObject, Signal, SignalInstance

from guivm.engine.options.changes import Baseline, changes, revert
from guivm.engine.options.facts import HostFacts
from guivm.engine.options.new_disks import NewDisk
from guivm.engine.options.option import Option, Resource, Situation, Value
from guivm.engine.options.parts import Part as Part
from guivm.engine.options.parts import all_parts, parts_of
from guivm.engine.options.phrase import Phrase
from guivm.engine.options.values import Change, ChangeKind, EditFix, Place, SettingProblem, VmSettings
from guivm.engine.xml.disk import Disk
from guivm.engine.xml.document import XmlError
from guivm.engine.xml.domain import DomainXml
from guivm.engine.xml.node import XmlNode
from guivm.views.vm_settings.services import EditorServices

NEW_DISK_BYTES = 20 << 30

# Not in the definition: libvirt keeps it beside it.
AUTOSTART = Place("system", "", "autostart")
_UNDONE = {
    ChangeKind.CHANGED: ChangeKind.CHANGED,
    ChangeKind.ADDED: ChangeKind.REMOVED,
    ChangeKind.REMOVED: ChangeKind.ADDED,
}


class Draft(QObject):
    """Every edit goes through here. ``edited``: a value; ``rebuilt``: parts came or went, all nodes are new.

    One edit may be told by more than one signal: see :attr:`revision`.
    """

    edited = Signal()
    rebuilt = Signal()
    problemsChanged = Signal()

    def __init__(self, settings: VmSettings, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._settings = settings
        self._take_base(settings)
        self._domain = DomainXml.parse(settings.xml)
        self._autostart = settings.autostart
        # What is worked out from the document, until the next edit of it: see _forget.
        self._changes: tuple[Change, ...] | None = None
        self._parts: tuple[Part, ...] | None = None
        self._text: str | None = None
        self._revision = 0
        self._problems: tuple[SettingProblem, ...] = ()
        self._inherited: frozenset[tuple[Place, str]] = frozenset()
        self._invalid: dict[Place, str] = {}  # what was typed and cannot be stored
        # Beside the definition: images to make at apply, and passphrases of encrypted ones that exist, by path.
        self.new_disks: dict[str, NewDisk] = {}
        self.passphrases: dict[str, str] = {}
        self.services: EditorServices | None = None

    # --- reading --------------------------------------------------------------------------------------

    @property
    def settings(self) -> VmSettings:
        return self._settings

    @property
    def domain(self) -> DomainXml:
        return self._domain

    @property
    def base(self) -> DomainXml:
        """The definition as it was read."""
        return self._base

    @property
    def revision(self) -> int:
        """Another number with each edit or news, however many signals tell of it: who has shown it may pass over the
        others."""
        return self._revision

    @property
    def situation(self) -> Situation:
        return Situation(self._settings.facts, self._domain, is_running=self.is_running)

    @property
    def is_running(self) -> bool:
        return bool(self._settings.live_xml)

    @property
    def xml(self) -> str:
        if self._text is None:
            self._text = self._domain.to_text()
        return self._text

    def planned_disks(self) -> tuple[NewDisk, ...]:
        """Images that the definition names and that are still to be made."""
        named = {disk.path for disk in self._domain.devices.disks}
        return tuple(disk for path, disk in self.new_disks.items() if path in named)

    def known_passphrases(self) -> tuple[tuple[str, str], ...]:
        """Path and passphrase of encrypted images that the definition names and that exist."""
        named = {disk.path for disk in self._domain.devices.disks if disk.source.encryption.exists}
        return tuple(
            (path, words) for path, words in self.passphrases.items() if path in named and path not in self.new_disks
        )

    @property
    def autostart(self) -> bool:
        return self._autostart

    @property
    def problems(self) -> tuple[SettingProblem, ...]:
        typed = tuple(SettingProblem(place, message) for place, message in self._invalid.items())
        return typed + self._problems

    @property
    def errors(self) -> tuple[SettingProblem, ...]:
        """What keeps the draft from being applied: warnings do not, nor what was wrong before anything was edited."""
        return tuple(
            problem
            for problem in self.problems
            if not problem.is_warning and (problem.place, problem.message) not in self._inherited
        )

    def problem_at(self, place: Place) -> SettingProblem | None:
        """The worst of what is wrong with an option."""
        found = [problem for problem in self.problems if problem.place == place]
        return min(found, key=lambda problem: problem.is_warning, default=None)

    def parts(self) -> tuple[Part, ...]:
        """In the order of the list."""
        if self._parts is None:
            self._parts = tuple(all_parts(self._domain))
        return self._parts

    def part_at(self, place: Place) -> Part | None:
        return next(
            (p for p in self.parts() if p.resource.id == place.resource and p.device == place.device),
            None,
        )

    @property
    def is_changed(self) -> bool:
        return bool(self.changes()) or self.xml != self._base_text

    def changes(self) -> tuple[Change, ...]:
        """What an apply would change, in words."""
        if self._changes is None:
            self._changes = () if self.xml == self._base_text else self._compared()
        if self._autostart != self._settings.autostart:
            return (self._autostart_change(), *self._changes)
        return self._changes

    # --- editing --------------------------------------------------------------------------------------

    def _take_base(self, settings: VmSettings) -> None:
        self._base = DomainXml.parse(settings.xml)
        self._base_text = self._base.to_text()
        self._baseline: Baseline | None = None  # what is known of the base, once something is compared with it

    def _compared(self) -> tuple[Change, ...]:
        if self._baseline is None:
            self._baseline = Baseline(self._base)
        return self._baseline.changes(self._domain)

    def _forget(self) -> None:
        """The document, or what it is compared with, is another: whatever was worked out from it counts no more."""
        self._changes = self._parts = self._text = None

    def _tell(self, *signals: SignalInstance) -> None:
        self._revision += 1
        for signal in signals:
            signal.emit()

    def set_value(self, part: Part, option: Option[Any], value: Value | None) -> None:
        """Store a value; what cannot be is kept as a problem beside the option, and the draft stays as it was."""
        place = part.place(option.id)
        had_problem = self._invalid.pop(place, None) is not None
        before = [(known.resource.id, known.device) for known in self.parts()]
        try:
            option.set(part.node, value)
        except (XmlError, ValueError) as error:
            self._forget()
            self._invalid[place] = str(error)
            self._tell(self.problemsChanged)
            return
        self._forget()
        signals = [self.problemsChanged] if had_problem else []
        if [(known.resource.id, known.device) for known in self.parts()] != before:
            signals.append(self.rebuilt)
        self._tell(*signals, self.edited)

    def mend(self, fix: EditFix) -> None:
        """Make the edit that mends a problem; one whose part is gone meanwhile is passed over."""
        part = self.part_at(fix.place)
        options = () if part is None else part.resource.options
        for option in options:
            if part is not None and option.id == fix.place.option:
                self.set_value(part, option, fix.value)

    def set_invalid(self, part: Part, option: Option[Any], message: str) -> None:
        """What is being typed is no value at all."""
        self._invalid[part.place(option.id)] = message
        self._tell(self.problemsChanged)

    def touch(self) -> None:
        """The document was edited by a widget of its own."""
        self._forget()
        self._tell(self.edited)

    def rebuild(self) -> None:
        """The same, and parts came or went."""
        self._forget()
        self._invalid.clear()
        self._tell(self.rebuilt, self.edited, self.problemsChanged)

    def set_autostart(self, on: bool) -> None:
        if on != self._autostart:
            self._autostart = on
            self._tell(self.edited)

    def add(self, resource: Resource[Any]) -> Part:
        """A new device with sensible values. Raises GuivmError or ValueError when there can be none."""
        assert resource.add is not None
        node = resource.add(self.situation)
        if isinstance(node, Disk) and node.source_file:
            self.new_disks[node.source_file] = NewDisk(node.source_file, NEW_DISK_BYTES)
        self.rebuild()
        return self.part_of(resource, node)

    def part_of(self, resource: Resource[Any], node: XmlNode) -> Part:
        """The part that a node of the document is; the last of its kind when it is none."""
        known = parts_of(self._domain, resource)
        return next((part for part in known if part.node.find() is node.find()), known[-1])

    def remove(self, part: Part) -> None:
        assert part.resource.remove is not None
        part.resource.remove(self._domain, part.node)
        self.rebuild()

    def revert(self, change: Change) -> None:
        """Put back one of :meth:`changes`."""
        if change.place == AUTOSTART:
            self._autostart = self._settings.autostart
        else:
            revert(self._domain, self._base, change)
        self.rebuild()

    def revert_pending(self, change: Change) -> None:
        """Take what the running VM has; ``change``: one of those that wait for the next start."""
        revert(self._domain, DomainXml.parse(self._settings.live_xml), change)
        self.rebuild()

    def revert_all(self) -> None:
        self._autostart = self._settings.autostart
        self.set_xml(self._settings.xml)

    def set_xml(self, text: str) -> None:
        """Another document altogether, as edited by hand. Raises XmlError, and stays as it was."""
        self._domain = DomainXml.parse(text)
        self.rebuild()

    def set_problems(self, problems: tuple[SettingProblem, ...]) -> None:
        """What the engine found; see :class:`guivm.engine.requests.CheckSettings`."""
        if problems != self._problems:
            self._problems = problems
            self._tell(self.problemsChanged)

    def set_inherited(self, problems: tuple[SettingProblem, ...]) -> None:
        """What is wrong with the definition as it was read."""
        self._inherited = frozenset((problem.place, problem.message) for problem in problems)
        if self.is_changed:
            self._tell(self.problemsChanged)
        else:
            self.set_problems(problems)

    # --- what is there now ----------------------------------------------------------------------------

    def start_from(self, settings: VmSettings) -> None:
        """What was read anew; edits that were not applied are gone."""
        self._settings = settings
        self._take_base(settings)
        self._domain = DomainXml.parse(settings.xml)
        self._autostart = settings.autostart
        self.rebuild()

    def follow(self, settings: VmSettings) -> bool:
        """What was read anew, edits kept; False when the definition is another and there are edits to lose."""
        if settings.xml == self._settings.xml:
            if self._autostart == self._settings.autostart:
                self._autostart = settings.autostart
            self._settings = settings
            self._forget()
            self._tell(self.edited)
        elif self.is_changed:
            return False
        else:
            self.start_from(settings)
        return True

    def learn(self, facts: HostFacts) -> None:
        """What the host offers is another; the definition stays as it is here, edits and all."""
        self._settings = replace(self._settings, facts=facts)
        self._tell(self.edited)

    def rebase(self, settings: VmSettings) -> tuple[Change, ...]:
        """Start from what was read anew, and make the same edits there; those that could not be are answered."""
        wanted, edited, autostart = self.changes(), self._domain, self._autostart
        moved = autostart != self._settings.autostart
        self._settings = settings
        self._take_base(settings)
        self._domain = DomainXml.parse(settings.xml)
        self._autostart = autostart if moved else settings.autostart
        for change in wanted:
            # To put back, in the new document, what the edited one has there.
            undone = replace(change, kind=_UNDONE[change.kind], old=change.new, new=change.old)
            if change.place != AUTOSTART:
                revert(self._domain, edited, undone)
        left = {(change.place, change.kind) for change in changes(edited, self._domain)}
        gone = {(place.resource, place.device) for place, kind in left if kind is ChangeKind.REMOVED}
        self.rebuild()
        return tuple(
            change
            for change in wanted
            if (change.place, _UNDONE[change.kind]) in left or (change.place.resource, change.place.device) in gone
        )

    def _autostart_change(self) -> Change:
        def words(on: bool) -> str:
            return QCoreApplication.translate("Draft", "yes") if on else QCoreApplication.translate("Draft", "no")

        return Change(
            AUTOSTART,
            ChangeKind.CHANGED,
            Phrase("System"),
            QCoreApplication.translate("Draft", "Start with the host"),
            words(self._settings.autostart),
            words(self._autostart),
        )
