"""Waiting for what a guest does in its own time: to let a device go, to give memory back."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from guivm.engine.jobs import Job

if TYPE_CHECKING:
    import libvirt

_SLICE_S = 0.25


class DomainEvents:
    """Listens to one domain as long as it is open. libvirt's event thread only notes that something happened.

    A driver without such events is asked again four times a second.
    """

    def __init__(self, connection: libvirt.virConnect, domain: libvirt.virDomain, job: Job[Any]) -> None:
        self._connection = connection
        self._domain = domain
        self._job = job
        self._condition = threading.Condition()
        self._count = 0
        self._refused: set[str] = set()
        self._ids: list[int] = []

    def __enter__(self) -> Self:
        import libvirt

        for event, callback in (
            (libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, self._happened),
            (libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED, self._removal_refused),
            (libvirt.VIR_DOMAIN_EVENT_ID_BALLOON_CHANGE, self._happened),
        ):
            with contextlib.suppress(libvirt.libvirtError):
                self._ids.append(self._connection.domainEventRegisterAny(self._domain, event, callback, None))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        import libvirt

        for ident in self._ids:
            with contextlib.suppress(libvirt.libvirtError):
                self._connection.domainEventDeregisterAny(ident)
        self._ids.clear()

    def wait(self, done: Callable[[], bool], limit_s: float, *, alias: str = "") -> bool:
        """True as soon as ``done()``, asked after each event; False after ``limit_s`` seconds, or when the guest said
        that it keeps the device ``alias``. Raises CancelledError."""
        end_s = time.monotonic() + limit_s
        while True:
            with self._condition:
                seen = self._count
                refused = alias in self._refused
            if done():
                return True
            if refused or time.monotonic() >= end_s:
                return False
            self._job.check_cancelled()
            with self._condition:
                if self._count == seen:
                    self._condition.wait(_SLICE_S)

    def forget(self, alias: str) -> None:
        """A new attempt: what was said of the device before does not count."""
        with self._condition:
            self._refused.discard(alias)

    # --- on libvirt's event thread --------------------------------------------------------------------

    def _happened(self, *_arguments: object) -> None:
        with self._condition:
            self._count += 1
            self._condition.notify_all()

    def _removal_refused(
        self, _connection: libvirt.virConnect, _domain: libvirt.virDomain, alias: str, _opaque: object
    ) -> None:
        with self._condition:
            self._refused.add(alias)
            self._count += 1
            self._condition.notify_all()
