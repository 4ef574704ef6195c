"""Has an edited definition checked while one types: the last one counts. GUI thread."""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtCore import QObject, QTimer, Slot

from guivm.engine.jobs import Job
from guivm.engine.options.new_disks import NewDisk
from guivm.engine.options.values import SettingProblem
from guivm.engine.requests import CheckSettings
from guivm.errors import GuivmError
from guivm.views.bridge import Bridge
from guivm.views.vm_settings.draft import Draft

_PAUSE_MS = 250


def _without_secrets(draft: Draft) -> tuple[NewDisk, ...]:
    """The passphrase was looked at already; it goes no further than it must."""
    return tuple(replace(disk, passphrase="", secret_uuid="") for disk in draft.planned_disks())


class Checker(QObject):
    """Asks the engine a moment after the last edit, and tells the draft what it found."""

    def __init__(self, bridge: Bridge, draft: Draft, parent: QObject) -> None:
        super().__init__(parent)
        self._bridge = bridge
        self._draft = draft
        self._asked = ""
        self._job: Job[tuple[SettingProblem, ...]] | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_PAUSE_MS)
        self._timer.timeout.connect(self.check)
        draft.edited.connect(self._timer.start)

    @property
    def is_waiting(self) -> bool:
        """True while what is shown may not be all."""
        return self._timer.isActive() or self._job is not None

    def check_base(self) -> None:
        """The definition as it was read: what is wrong with it keeps no other edit back."""
        base = self._draft.settings.xml

        def done(problems: tuple[SettingProblem, ...]) -> None:
            if self._draft.settings.xml == base:
                self._draft.set_inherited(problems)

        def failed(_error: GuivmError) -> None:
            """Apply will say it."""

        self._bridge.submit(CheckSettings(self._draft.settings.key, base), self, done, failed)

    @Slot()
    def check(self) -> None:
        """Now rather than in a moment."""
        self._timer.stop()
        if self._job is not None:
            self._job.cancel()
        self._asked = xml = self._draft.xml

        def done(problems: tuple[SettingProblem, ...]) -> None:
            if self._asked == xml:
                self._job = None
                self._draft.set_problems(problems)

        def failed(_error: GuivmError) -> None:
            if self._asked == xml:
                self._job = None  # Apply will say it

        self._job = self._bridge.submit(
            CheckSettings(self._draft.settings.key, xml, _without_secrets(self._draft)), self, done, failed
        )
