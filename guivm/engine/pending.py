"""When running VMs are compared with their definitions, which tells how many changes wait for their next start. No Qt.

One after another, once the list is complete and has been looked at: what a comparison needs (lxml, the catalogue of
options) is not imported before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from guivm.engine.inventory import Rereads
from guivm.engine.types import VmInfo

# Times as long as comparing took: what happens is looked at soon, what there was before takes 2 % of a processor.
_REST = 1
_LONG_REST = 50


class RunningVmsRead(NamedTuple):
    """Something happened to these VMs, which run and have a definition."""

    uuids: tuple[str, ...]


class PendingCounts:
    """Which VMs are to be compared, and when. Times are monotonic seconds. Control thread only."""

    def __init__(self, first_s: float) -> None:
        """``first_s``: how long the whole list has been there before the first comparison."""
        self._first_s = first_s
        self._noted = Rereads()  # held back: what is done to a VM is often several events
        self._others: deque[str] = deque()
        self._complete = False
        self._begun = False
        self._noted_from_s = 0.0
        self._others_from_s = 0.0

    def clear(self) -> None:
        """A list begins."""
        self._noted.clear()
        self._others.clear()
        self._complete = self._begun = False

    def begin(self, vms: Iterable[VmInfo], now_s: float) -> None:
        """The list is complete."""
        self._others.extend(vm.key.uuid for vm in vms if vm.can_have_pending)
        self._complete = True
        self._noted_from_s = self._others_from_s = now_s + self._first_s

    def note(self, uuids: Iterable[str], now_s: float) -> None:
        """Something happened to these."""
        for uuid in uuids:
            self._noted.note(uuid, later=True, now_s=now_s)

    def take(self, now_s: float) -> str | None:
        """The next VM that is due, and those first to which something happened."""
        self._begun = True
        noted = self._noted.take_due(now_s, 1) if now_s >= self._noted_from_s else []
        if noted:
            return noted[0]
        return self._others.popleft() if self._others and now_s >= self._others_from_s else None

    def rest(self, now_s: float, worked_s: float) -> None:
        """To compare took so much of a processor."""
        self._noted_from_s = now_s + _REST * worked_s
        self._others_from_s = now_s + _LONG_REST * worked_s

    def next_in(self, now_s: float) -> float | None:
        """Seconds until :meth:`take` is to be called, the first time whether there is a VM or not; None: not now."""
        if not self._complete:
            return None
        if not self._begun:
            return max(0.0, self._noted_from_s - now_s)
        noted_in_s = self._noted.next_in(now_s)
        waits: list[float] = []
        if noted_in_s is not None:
            waits.append(max(noted_in_s, self._noted_from_s - now_s))
        if self._others:
            waits.append(max(0.0, self._others_from_s - now_s))
        return min(waits, default=None)
