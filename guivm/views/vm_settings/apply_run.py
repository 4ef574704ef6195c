"""One Apply: new images first, then the definition; what was made goes again when it is refused. GUI thread."""

from __future__ import annotations

import weakref
from functools import partial

from PySide6.QtCore import QObject, Signal, Slot

from guivm.engine.options.values import AppliedSettings
from guivm.engine.requests import ApplySettings
from guivm.engine.types import VmKey
from guivm.errors import GuivmError
from guivm.views.bridge import Bridge
from guivm.views.vm_settings.draft import Draft
from guivm.views.vm_settings.new_disk_jobs import MadeDisks, NewDiskJobs, living


class ApplyRun(QObject):
    """Of one VM; one at a time. Either ``applied`` or ``refused`` follows :meth:`begin`, once."""

    applied = Signal(object)  # AppliedSettings
    refused = Signal(object)  # GuivmError

    def __init__(self, bridge: Bridge, key: VmKey, parent: QObject) -> None:
        super().__init__(parent)
        self._bridge = bridge
        self._key = key
        self._draft: Draft | None = None
        self._live = True
        self._disks = NewDiskJobs(bridge, key, self)
        self._disks.ready.connect(self._store)
        self._disks.failed.connect(self.give_up)

    @property
    def is_busy(self) -> bool:
        return self._draft is not None

    def begin(self, draft: Draft, *, live: bool) -> None:
        """Apply the draft as it is now. ``live``: to the running VM as well, where that can be."""
        self._draft, self._live = draft, live
        self._disks.make(draft.planned_disks())

    @Slot()
    def _store(self) -> None:
        draft = self._draft
        assert draft is not None
        request = ApplySettings(
            self._key,
            draft.settings.xml,
            draft.xml,
            live=self._live,
            autostart=draft.autostart if draft.settings.persistent else None,
            passphrases=draft.known_passphrases(),
        )
        me, disks = weakref.ref(self), self._disks.disks
        # Of the bridge: images that were made and are not taken must go also when the dialog is gone.
        self._bridge.submit(
            request, self._bridge, partial(_on_applied, me), partial(_on_refused, me, disks, self._bridge)
        )

    def end(self, result: AppliedSettings) -> None:
        """It is done."""
        draft, self._draft = self._draft, None
        assert draft is not None
        self._disks.keep(draft)
        self.applied.emit(result)

    @Slot(object)
    def give_up(self, error: GuivmError) -> None:
        """It was refused; nothing that was made for it stays."""
        self._draft = None
        self._disks.take_back()
        self.refused.emit(error)


def _on_applied(run: weakref.ref[ApplyRun], result: AppliedSettings) -> None:
    found = living(run)
    if found is not None:
        found.end(result)


def _on_refused(run: weakref.ref[ApplyRun], disks: MadeDisks, bridge: Bridge, error: GuivmError) -> None:
    found = living(run)
    if found is not None:
        found.give_up(error)
    else:
        disks.discard()
        bridge.report(error)
