"""Makes the new images of a draft before its settings are applied, and takes them back when that fails. GUI thread."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from functools import partial
from typing import TypeVar

import shiboken6
from PySide6.QtCore import QObject, Signal

from guivm.console.lifetime import on_destroyed
from guivm.engine.jobs import Job
from guivm.engine.options.new_disks import CreatedDisk, NewDisk
from guivm.engine.requests import CreateDisk, DiscardDisk
from guivm.engine.types import VmKey
from guivm.errors import GuivmError
from guivm.views.bridge import Bridge
from guivm.views.vm_settings.draft import Draft

QObjectT = TypeVar("QObjectT", bound=QObject)


class MadeDisks:
    """What was made for one apply, and who sees to it when the dialog is gone. Outlives it."""

    def __init__(self, bridge: Bridge, key: VmKey) -> None:
        self._bridge = bridge
        self._key = key
        self.made: list[CreatedDisk] = []
        self._job: Job[CreatedDisk] | None = None

    def submit(self, disk: NewDisk, asker: NewDiskJobs) -> None:
        """``asker`` hears of it; once it is deleted, what comes of this is discarded."""
        self._job = self._bridge.submit(
            CreateDisk(self._key, disk),
            self._bridge,
            partial(self._on_made, weakref.ref(asker)),
            partial(self._on_failed, weakref.ref(asker)),
        )

    def discard(self) -> None:
        """Remove all, with their secrets. What cannot be removed is told in the message bar."""
        for made in self.made:
            self._bridge.submit(DiscardDisk(self._key, made), self._bridge)
        self.made.clear()

    def stop(self) -> None:
        """Nobody waits for the one that is being made."""
        if self._job is not None:
            self._job.cancel()

    def _on_made(self, asker: weakref.ref[NewDiskJobs], made: CreatedDisk) -> None:
        self._job = None
        self.made.append(made)
        jobs = living(asker)
        if jobs is None:
            self.discard()
        else:
            jobs.go_on()

    def _on_failed(self, asker: weakref.ref[NewDiskJobs], error: GuivmError) -> None:
        self._job = None
        self.discard()
        jobs = living(asker)
        if jobs is not None:
            jobs.give_up(error)


class NewDiskJobs(QObject):
    """One image after the other; ``ready`` when all are there (at once for none), or ``failed`` and none is.

    After ``ready`` the dialog applies, and then calls :meth:`keep` or :meth:`take_back`. Each image is a job of its
    own in the list of jobs, with progress, and can be cancelled there. Deleted in between, it leaves nothing made.
    """

    ready = Signal()
    failed = Signal(object)  # GuivmError

    def __init__(self, bridge: Bridge, key: VmKey, parent: QObject) -> None:
        super().__init__(parent)
        self.disks = MadeDisks(bridge, key)
        self._left: list[NewDisk] = []
        on_destroyed(self, self.disks.stop)

    def make(self, disks: Sequence[NewDisk]) -> None:
        """What was made by an earlier call and was neither kept nor taken back is there already."""
        there = {made.path for made in self.disks.made}
        self._left = [disk for disk in disks if disk.path not in there]
        self._next()

    def keep(self, draft: Draft) -> None:
        """The definition names them now: they are images like all others."""
        for made in self.disks.made:
            draft.new_disks.pop(made.path, None)
        self.disks.made.clear()

    def take_back(self) -> None:
        """Remove what was made, with its secrets."""
        self.disks.discard()

    def go_on(self) -> None:
        """The first of those that are left is there."""
        self._left.pop(0)
        self._next()

    def give_up(self, error: GuivmError) -> None:
        self._left.clear()
        self.failed.emit(error)

    def _next(self) -> None:
        if self._left:
            self.disks.submit(self._left[0], self)
        else:
            self.ready.emit()


def living(ref: weakref.ref[QObjectT]) -> QObjectT | None:
    """The object, unless Qt has deleted it."""
    found = ref()
    return found if found is not None and shiboken6.isValid(found) else None
