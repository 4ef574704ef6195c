"""Pictures of snapshots: read one at a time when they are to be seen, decoded off the GUI thread, a few kept."""

from __future__ import annotations

import functools
from collections import OrderedDict
from dataclasses import dataclass

from PySide6.QtCore import QObject, QSize, Qt, Signal
from PySide6.QtGui import QImage

from guivm.engine.job_types import Screenshot
from guivm.engine.requests import ReadSnapshotPicture
from guivm.engine.snapshots.values import SnapshotId
from guivm.engine.types import VmKey
from guivm.errors import GuivmError
from guivm.views.bridge import Bridge
from guivm.views.thumbnail import decode

SMALL = QSize(320, 200)  # device pixels
_KEPT_LARGE = 4
_KEPT_SMALL = 200
_WAITING = 40


@dataclass(frozen=True, eq=False, slots=True)
class Picture:
    """Both are null where a snapshot has no picture."""

    large: QImage
    small: QImage


class SnapshotPictures(QObject):
    """Of one VM at a time. ``loaded`` carries a SnapshotId whose pictures are there now."""

    loaded = Signal(object)

    def __init__(self, bridge: Bridge, parent: QObject) -> None:
        super().__init__(parent)
        self._bridge = bridge
        self._key: VmKey | None = None
        self._small: OrderedDict[SnapshotId, QImage] = OrderedDict()
        self._large: OrderedDict[SnapshotId, QImage] = OrderedDict()
        self._waiting: OrderedDict[SnapshotId, None] = OrderedDict()  # the last is read next
        self._reading: SnapshotId | None = None
        self._serial = 0

    def set_vm(self, key: VmKey | None) -> None:
        """Forget the pictures of another VM."""
        if key != self._key:
            self._key = key
            self._serial += 1
            self._reading = None
            for kept in (self._small, self._large, self._waiting):
                kept.clear()

    def small(self, snapshot: SnapshotId) -> QImage | None:
        """A picture for a strip; None: it is being read, and ``loaded`` will tell."""
        return self._have(self._small, snapshot)

    def large(self, snapshot: SnapshotId) -> QImage | None:
        """A picture of at most 1280 by 960; None: it is being read."""
        return self._have(self._large, snapshot)

    def _have(self, kept: OrderedDict[SnapshotId, QImage], snapshot: SnapshotId) -> QImage | None:
        found = kept.get(snapshot)
        if found is not None:
            kept.move_to_end(snapshot)
            return found
        if snapshot != self._reading:
            self._waiting[snapshot] = None
            self._waiting.move_to_end(snapshot)
            if len(self._waiting) > _WAITING:  # scrolled past long ago
                self._waiting.popitem(last=False)
            self._read_next()
        return None

    def _read_next(self) -> None:
        if self._reading is not None or not self._waiting or self._key is None:
            return
        snapshot, _ = self._waiting.popitem()
        self._reading = snapshot
        self._bridge.submit(
            ReadSnapshotPicture(self._key, snapshot),
            self,
            functools.partial(self._on_read, self._serial, snapshot),
            functools.partial(self._on_failed, self._serial, snapshot),
        )

    def _on_read(self, serial: int, snapshot: SnapshotId, shot: Screenshot | None) -> None:
        if shot is None:
            self._keep(serial, snapshot, Picture(QImage(), QImage()))
        else:
            self._bridge.compute(
                functools.partial(_both, shot), self, functools.partial(self._keep, serial, snapshot)
            )  # fmt: skip

    def _on_failed(self, serial: int, snapshot: SnapshotId, _error: GuivmError) -> None:
        # A picture that cannot be had is no message: its place says enough.
        self._keep(serial, snapshot, Picture(QImage(), QImage()))

    def _keep(self, serial: int, snapshot: SnapshotId, picture: Picture) -> None:
        if serial != self._serial:
            return
        self._reading = None
        for kept, image, most in (
            (self._small, picture.small, _KEPT_SMALL),
            (self._large, picture.large, _KEPT_LARGE),
        ):
            kept[snapshot] = image
            kept.move_to_end(snapshot)
            if len(kept) > most:
                kept.popitem(last=False)
        self.loaded.emit(snapshot)
        self._read_next()


def _both(shot: Screenshot) -> Picture:
    """Any thread."""
    large = decode(shot)
    if large.isNull():
        return Picture(large, large)
    shape = (Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation)
    fits = large.width() <= SMALL.width() and large.height() <= SMALL.height()
    return Picture(large, large if fits else large.scaled(SMALL, *shape))
