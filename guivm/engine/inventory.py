"""What is known of the VMs of one host, and the smallest account of what changed. No Qt, no libvirt.

Not thread-safe: its owner (:mod:`guivm.engine.host`) guards it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace

from guivm.engine.events import VmsChanged, VmsReset
from guivm.engine.types import HostId, VmInfo, VmState

HOLD_BACK_S = 0.15


class Inventory:
    """UUID → VmInfo.

    A read of a VM takes time, and two may overlap (an event's and a job's): each begins with a ticket, and a
    result is dropped when one that began later is already in.
    """

    def __init__(self, host: HostId) -> None:
        self._host = host
        self._vms: dict[str, VmInfo] = {}
        self._tickets = itertools.count(1)
        self._seen: dict[str, int] = {}  # UUID → ticket of the latest result that is in
        self._filled = False
        self._definitions: dict[str, int] = {}  # UUID → how often it was defined anew

    def note_defined(self, uuid: str) -> None:
        """libvirt told that a VM was defined: what is read of it from now on says so."""
        self._definitions[uuid] = self._definitions.get(uuid, 0) + 1

    def __len__(self) -> int:
        return len(self._vms)

    def vms(self) -> tuple[VmInfo, ...]:
        return tuple(self._vms.values())

    def get(self, uuid: str) -> VmInfo | None:
        return self._vms.get(uuid)

    def ticket(self) -> int:
        """To be drawn before a read begins."""
        return next(self._tickets)

    def load(self, ticket: int, found: Iterable[VmInfo]) -> VmsReset | VmsChanged | None:
        """Take the whole list. The first time it is a reset, later only the difference; None: nothing changed.

        Of a VM that is not complete the details known before are kept.
        """
        latest = {vm.key.uuid: self._numbered(_with_details(vm, self._vms.get(vm.key.uuid))) for vm in found}
        for uuid, old in self._vms.items():
            if self._seen.get(uuid, 0) > ticket:
                latest[uuid] = old
        before, self._vms = self._vms, latest
        for uuid in latest:
            self._seen[uuid] = max(ticket, self._seen.get(uuid, 0))
        if not self._filled:
            self._filled = True
            return VmsReset(self._host, tuple(latest.values()))
        changed = tuple(vm for uuid, vm in latest.items() if before.get(uuid) != vm)
        removed = tuple(uuid for uuid in before if uuid not in latest)
        for uuid in removed:
            self._seen[uuid] = ticket
        return VmsChanged(self._host, changed, removed) if changed or removed else None

    def update(self, ticket: int, results: Iterable[tuple[str, VmInfo | None]]) -> VmsChanged | None:
        """Take what reads of single VMs found (None: the VM is gone); None when nothing changed."""
        changed: list[VmInfo] = []
        removed: list[str] = []
        for uuid, vm in results:
            if self._seen.get(uuid, 0) > ticket:
                continue
            self._seen[uuid] = ticket
            if vm is None:
                if self._vms.pop(uuid, None) is not None:
                    removed.append(uuid)
            elif self._vms.get(uuid) != (numbered := self._numbered(vm)):
                self._vms[uuid] = numbered
                changed.append(numbered)
        return VmsChanged(self._host, tuple(changed), tuple(removed)) if changed or removed else None

    def count(self, ticket: int, uuid: str, pending: int) -> VmsChanged | None:
        """Take how many changes wait for a VM's next start. Void when the VM was read later: it is counted again."""
        vm = self._vms.get(uuid)
        if vm is None or self._seen.get(uuid, 0) > ticket or not vm.can_have_pending or vm.pending == pending:
            return None
        self._vms[uuid] = counted = replace(vm, pending=pending)
        return VmsChanged(self._host, (counted,))

    def _numbered(self, vm: VmInfo) -> VmInfo:
        """With what no read of it tells."""
        number = self._definitions.get(vm.key.uuid, 0)
        old = self._vms.get(vm.key.uuid)
        pending = old.pending if old is not None and vm.can_have_pending else 0
        return replace(vm, definition=number, pending=pending) if number or pending else vm

    def lose_sight(self) -> VmsChanged | None:
        """The host does not answer: every state is unknown. Results of reads still under way are void."""
        ticket = self.ticket()
        changed: list[VmInfo] = []
        for uuid, vm in self._vms.items():
            self._seen[uuid] = ticket
            if vm.state is not VmState.UNKNOWN:
                changed.append(replace(vm, state=VmState.UNKNOWN, reason="", pending=0))
        self._vms.update((vm.key.uuid, vm) for vm in changed)
        return VmsChanged(self._host, tuple(changed)) if changed else None


def _with_details(vm: VmInfo, old: VmInfo | None) -> VmInfo:
    if vm.is_complete or old is None:
        return vm
    return replace(
        vm,
        title=old.title,
        notes=old.notes,
        vcpus=old.vcpus,
        memory_kib=old.memory_kib,
        has_graphics=old.has_graphics,
        has_forwards=old.has_forwards,
        is_disposable=old.is_disposable and vm.state.is_active,
        is_template=old.is_template,
        identity=old.identity,
    )


class Rereads:
    """Which VMs are to be read anew, and when. A VM that stopped may be starting again within a moment (a reboot):
    it is looked at ``hold_back_s`` later, or as soon as something else happens to it; and so is one of which only the
    file was seen to change, for an event may follow. Control thread only."""

    def __init__(self, hold_back_s: float = HOLD_BACK_S) -> None:
        self._hold_back_s = hold_back_s
        self._due: dict[str, float] = {}

    def note(self, uuid: str, *, later: bool, now_s: float) -> None:
        self._due[uuid] = now_s + self._hold_back_s if later else now_s

    def take_due(self, now_s: float, limit: int | None = None) -> list[str]:
        due = [uuid for uuid, at in self._due.items() if at <= now_s][:limit]
        for uuid in due:
            del self._due[uuid]
        return due

    def next_in(self, now_s: float) -> float | None:
        """Seconds until the next is due; None when none waits."""
        return max(0.0, min(self._due.values()) - now_s) if self._due else None

    def clear(self) -> None:
        self._due.clear()
