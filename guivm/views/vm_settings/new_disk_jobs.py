"""Makes the new images of a draft before its settings are applied, and takes them back when that fails. GUI thread."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QObject, Signal

from guivm.engine.options.new_disks import CreatedDisk, NewDisk
from guivm.engine.requests import CreateDisk, DiscardDisk
from guivm.engine.types import VmKey
from guivm.errors import GuivmError
from guivm.views.bridge import Bridge
from guivm.views.vm_settings.draft import Draft


class NewDiskJobs(QObject):
    """One image after the other; ``ready`` when all are there (at once for none), or ``failed`` and none is.

    After ``ready`` the dialog applies, and then calls :meth:`keep` or :meth:`take_back`. Each image is a job of its
    own in the list of jobs, with progress, and can be cancelled there.
    """

    ready = Signal()
    failed = Signal(object)  # GuivmError

    def __init__(self, bridge: Bridge, key: VmKey, parent: QObject) -> None:
        super().__init__(parent)
        self._bridge = bridge
        self._key = key
        self._left: list[NewDisk] = []
        self._made: list[CreatedDisk] = []

    def make(self, disks: Sequence[NewDisk]) -> None:
        """What was made by an earlier call and was neither kept nor taken back is there already."""
        there = {made.path for made in self._made}
        self._left = [disk for disk in disks if disk.path not in there]
        self._next()

    def keep(self, draft: Draft) -> None:
        """The definition names them now: they are images like all others."""
        for made in self._made:
            draft.new_disks.pop(made.path, None)
        self._made.clear()

    def take_back(self) -> None:
        """Remove what was made, with its secrets. What cannot be removed is told in the message bar."""
        for made in self._made:
            # Of the bridge: it must be done also when the dialog is gone.
            self._bridge.submit(DiscardDisk(self._key, made), self._bridge)
        self._made.clear()

    def _next(self) -> None:
        if not self._left:
            self.ready.emit()
            return
        self._bridge.submit(CreateDisk(self._key, self._left[0]), self, self._on_made, self._on_failed)

    def _on_made(self, made: CreatedDisk) -> None:
        self._left.pop(0)
        self._made.append(made)
        self._next()

    def _on_failed(self, error: GuivmError) -> None:
        self._left.clear()
        self.take_back()
        self.failed.emit(error)
