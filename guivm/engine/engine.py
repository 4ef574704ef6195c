"""The engine on libvirt: hosts by URI, listeners, and the way from a request to its host. No Qt.

libvirt itself is imported on the first host's control thread, never on the caller's.
"""

from __future__ import annotations

import functools
import itertools
import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from guivm.engine import hosts
from guivm.engine.connection import ConnectFailure, Connector, Post
from guivm.engine.events import EngineEvent, JobChanged, Listener
from guivm.engine.host import ListingPace, ManagedHost
from guivm.engine.jobs import Job, JobInfo
from guivm.engine.link import LibvirtConnector
from guivm.engine.types import HostId, HostInfo, HostState, VmInfo, VmKey
from guivm.errors import HostError

if TYPE_CHECKING:
    from guivm.engine.link import LibvirtLink
    from guivm.engine.requests import Request

T = TypeVar("T")

_log = logging.getLogger(__name__)


class LibvirtEngine:
    """Implements :class:`guivm.engine.api.Engine`."""

    def __init__(self, *, warm_up: bool = True) -> None:
        """``warm_up``: make ready what will be wanted as soon as a host is connected, and leave the window time to show
        its list; off for a command that ends soon."""
        self._warm_up = warm_up
        self._lock = threading.Lock()
        self._listeners: tuple[Listener, ...] = ()
        self._hosts: dict[HostId, ManagedHost] = {}
        self._closing: list[ManagedHost] = []
        self._numbers = itertools.count(1)
        self._stopped = False

    # --- listeners ------------------------------------------------------------------------------------

    def add_listener(self, listener: Listener) -> None:
        with self._lock:
            self._listeners = (*self._listeners, listener)

    def remove_listener(self, listener: Listener) -> None:
        with self._lock:
            self._listeners = tuple(other for other in self._listeners if other != listener)

    def _emit(self, event: EngineEvent) -> None:
        for listener in self._listeners:
            try:
                listener(event)
            except Exception:  # noqa: BLE001  (a listener's mistake must not end a worker)
                _log.exception("a listener of the engine raised")

    def _macs_but(self, host_id: HostId) -> frozenset[str]:
        """MAC addresses of the VMs of all other hosts. Blocks: for a worker."""
        with self._lock:
            others = [host for other, host in self._hosts.items() if other != host_id]
        return frozenset().union(*(host.macs() for host in others))

    # --- hosts ----------------------------------------------------------------------------------------

    def open_host(self, uri: str, label: str = "") -> HostId:
        """See :class:`guivm.engine.api.Engine`. A host that is not connected tries again at once."""
        connector: Connector[LibvirtLink]
        try:
            host_id = hosts.normalise(uri)
        except HostError as error:
            host_id = HostId(uri)
            connector = _NoConnector(error)
        else:
            connector = LibvirtConnector(host_id)
        info = HostInfo(
            id=host_id,
            uri=host_id,
            label=label or hosts.label_for(host_id),
            state=HostState.CONNECTING,
            is_local=hosts.is_local(host_id),
        )
        with self._lock:
            if self._stopped:
                return host_id
            known = self._hosts.get(host_id)
            if known is None:
                host = ManagedHost(
                    info,
                    connector,
                    self._emit,
                    number=next(self._numbers),
                    warm_up=self._warm_up,
                    macs_elsewhere=functools.partial(self._macs_but, host_id),
                    pace=ListingPace() if self._warm_up else ListingPace(pause_s=0.0),
                )
                self._hosts[host_id] = host
        if known is not None:
            known.retry()
        else:
            host.start()
        return host_id

    def close_host(self, host: HostId) -> None:
        with self._lock:
            managed = self._hosts.pop(host, None)
            if managed is None:
                return
            self._closing = [*(other for other in self._closing if not other.has_ended), managed]
        managed.close()

    def hosts(self) -> tuple[HostInfo, ...]:
        with self._lock:
            return tuple(host.info for host in self._hosts.values())

    def vms(self, host: HostId) -> tuple[VmInfo, ...]:
        managed = self._host(host)
        return managed.vms() if managed is not None else ()

    def vm(self, key: VmKey) -> VmInfo | None:
        managed = self._host(key.host)
        return managed.vm(key.uuid) if managed is not None else None

    def _host(self, host: HostId) -> ManagedHost | None:
        with self._lock:
            return self._hosts.get(host)

    # --- requests -------------------------------------------------------------------------------------

    def submit(self, request: Request[T]) -> Job[T]:
        from guivm.engine import words

        target = request.target
        host_id, vm = (target.host, target) if isinstance(target, VmKey) else (target, None)
        managed = self._host(host_id)
        about = managed.subject(request) if managed is not None else host_id
        job: Job[T] = Job(host_id, vm, words.title(request, about), on_change=self._job_listener(request))
        if not request.quiet:
            self._emit(JobChanged(job.info))
        if managed is None:
            job.fail(HostError(f"There is no connection to “{host_id}”.", advice="Connect to the host first."))
        else:
            managed.submit(request, job)
        return job

    def _job_listener(self, request: Request[Any]) -> Callable[[JobInfo], None] | None:
        return None if request.quiet else self._on_job

    def _on_job(self, info: JobInfo) -> None:
        self._emit(JobChanged(info))

    # --- end ------------------------------------------------------------------------------------------

    def stop(self, timeout_s: float = 5.0) -> None:
        deadline_s = time.monotonic() + timeout_s
        with self._lock:
            self._stopped = True
            managed = list(self._hosts.values())
            ending = [*managed, *self._closing]
            self._hosts.clear()
            self._closing = []
        for host in managed:
            host.close()
        for host in ending:
            host.join(deadline_s)


class _NoConnector:
    """Stands for an address that cannot be one."""

    def __init__(self, error: HostError) -> None:
        self._error = error

    def open(self, post: Post) -> LibvirtLink:
        raise ConnectFailure(self._error, permanent=True)
