"""One plan under way. Worker only."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from guivm.engine.context import HandlerContext
from guivm.engine.snapshots.journal import Journal
from guivm.engine.types import VmKey

if TYPE_CHECKING:
    import libvirt

Share = Callable[[float], None]
"""Told how much of a step is done, 0 to 1."""


@dataclass(slots=True)
class Run:
    """``paused_s``: how long the guest stood still because of it. ``spared``: files that were found where new ones were
    to be made: somebody else's. ``can_cancel``: all can still be taken back. ``remarks``: what went otherwise than
    planned, in sentences."""

    context: HandlerContext
    key: VmKey
    folder: Path
    notes: Journal | None = None
    paused_s: float = 0.0
    can_cancel: bool = True
    spared: set[str] = field(default_factory=set)
    remarks: list[str] = field(default_factory=list)
    _stopped_at: float | None = field(default=None)

    @property
    def domain(self) -> libvirt.virDomain:
        return self.context.domain(self.key)

    def guest_stops(self) -> None:
        self._stopped_at = time.monotonic()

    def guest_goes_on(self) -> None:
        if self._stopped_at is not None:
            self.paused_s += time.monotonic() - self._stopped_at
            self._stopped_at = None
