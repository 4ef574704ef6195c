"""One host of the engine: its connection, its VMs and its jobs, brought together. No Qt.

``_lock`` guards the host's values and is held while they are announced, so that listeners hear of them in order;
it is never held during a call of libvirt.

What only jobs need (requests, words, handlers) is imported with the first job: the list is there before.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from guivm import paths
from guivm.engine import hosts
from guivm.engine.connection import Backoff, Connector, HostConnection, LinkLost
from guivm.engine.events import EngineEvent, HostChanged, HostRemoved, NetworksChanged, Noticed
from guivm.engine.inventory import Inventory, Rereads
from guivm.engine.jobs import Job
from guivm.engine.link import DefinitionsWritten, DomainEvent, NetworkEvent, WatchNetworks
from guivm.engine.pending import PendingCounts, RunningVmsRead
from guivm.engine.queues import HostQueues
from guivm.engine.reader import Listing, Reader
from guivm.engine.settings.stored_forwards import StoredForwards
from guivm.engine.types import HostInfo, HostState, VmInfo, VmKey
from guivm.engine.upkeep import Upkeep
from guivm.errors import GuivmError, HostError, OperationError

if TYPE_CHECKING:
    import libvirt

    from guivm.engine.context import HandlerContext
    from guivm.engine.link import LibvirtLink
    from guivm.engine.requests import Request

_REREAD_BATCH = 100


class ListingPace(NamedTuple):
    """How the VMs of a host are read (:class:`guivm.engine.reader.Listing`), in seconds."""

    first_s: float = 0.1  # before the list is announced
    pause_s: float = 0.25  # then the list is made and painted, with the processor and Python's lock for itself
    portion_s: float = 0.1  # each announced at its end; events wait so long
    compare_s: float = 1.0  # after the whole list, before running VMs are compared with their definitions


class ManagedHost:
    """Public methods are thread-safe and return at once, :meth:`join` excepted."""

    def __init__(
        self,
        info: HostInfo,
        connector: Connector[LibvirtLink],
        emit: Callable[[EngineEvent], None],
        *,
        number: int,
        warm_up: bool,
        backoff: Backoff | None = None,
        macs_elsewhere: Callable[[], frozenset[str]] | None = None,
        pace: ListingPace = ListingPace(),  # noqa: B008  (never changed)
    ) -> None:
        name = f"guivm-host-{number}"
        self._lock = threading.RLock()
        self._info = info
        self._emit = emit
        self._macs_elsewhere = macs_elsewhere
        self._closed = False
        self._inventory = Inventory(info.id)
        self._rereads = Rereads()
        self._forwards = StoredForwards()
        self._pace = pace
        self._pending = PendingCounts(pace.compare_s)
        self._listing: tuple[int, Listing] | None = None  # with its ticket, while VMs are left to be read
        self._read_on_at_s = 0.0
        self._queues = HostQueues(name)
        self._jobs: set[Job[Any]] = set()
        self._waiting: list[tuple[Request[Any], Job[Any]]] = []  # until the first attempt to connect has ended
        self._loaded: EngineEvent | None = None
        self._connection: HostConnection[LibvirtLink] = HostConnection(name, connector, self, backoff=backoff)
        self._upkeep: Upkeep | None = None  # a command that ends soon leaves it to others
        if warm_up and not hosts.is_test(info.uri):
            self._upkeep = Upkeep(info, self._queues, self._connection.lease, self._context, self._tell)

    # --- for the engine -------------------------------------------------------------------------------

    @property
    def info(self) -> HostInfo:
        return self._info

    def start(self) -> None:
        with self._lock:
            self._emit(HostChanged(self._info))
        self._connection.start()

    def retry(self) -> None:
        """Connect now, when it is not connected."""
        self._connection.retry()

    def vms(self) -> tuple[VmInfo, ...]:
        with self._lock:
            return self._inventory.vms()

    def vm(self, uuid: str) -> VmInfo | None:
        with self._lock:
            return self._inventory.get(uuid)

    def submit(self, request: Request[Any], job: Job[Any]) -> None:
        """Queue a job; it fails at once when the host is not connected."""
        with self._lock:
            self._jobs.add(job)
            wait = self._info.state is HostState.CONNECTING and not self._closed
            if wait:
                self._waiting.append((request, job))
        job.add_done_callback(self._forget)
        if not wait:
            self._enqueue(request, job)

    def close(self) -> None:
        """Begin to end: queued jobs are cancelled, running ones asked to stop, then the connection is closed."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            jobs = list(self._jobs)
            self._waiting.clear()
            self._emit(HostRemoved(self._info.id))
        self._queues.close()
        for job in jobs:
            job.cancel()
        self._connection.close()

    def join(self, deadline_s: float) -> bool:
        """After :meth:`close`: wait until ``deadline_s`` (monotonic seconds). What hangs is left behind, its job
        ended with an error; False then."""
        ended = self._queues.join(deadline_s)
        with self._lock:
            jobs = list(self._jobs)
        for job in jobs:
            job.fail(
                HostError(
                    f"“{self._info.label}” did not answer before the connection was closed.",
                    advice="Look at the virtual machine again when the host is back.",
                )
            )
        return self._connection.join(deadline_s) and ended

    @property
    def has_ended(self) -> bool:
        """True when no thread of this host is left."""
        return not self._connection.is_alive and not self._queues.is_alive

    # --- for the connection (control thread) ----------------------------------------------------------

    def load(self, link: LibvirtLink) -> None:
        with self._lock:
            ticket = self._inventory.ticket()
        found = self._reader(link.connection).read_all(self._pace.first_s)
        self._listing = None if found.is_complete else (ticket, found)
        self._read_on_at_s = time.monotonic() + self._pace.pause_s
        self._rereads.clear()
        self._pending.clear()
        self._forwards.connected()
        with self._lock:
            self._loaded = self._inventory.load(ticket, found.vms)
            if found.is_complete:
                self._pending.begin(self._inventory.vms(), time.monotonic())

    def serve(self, link: LibvirtLink, events: list[object]) -> float | None:
        now_s = time.monotonic()
        for event in events:
            if isinstance(event, DomainEvent):
                self._rereads.note(event.uuid, later=event.stopped, now_s=now_s)
                if event.started:
                    self._forwards.started(event.uuid)
                if event.agent and self._upkeep is not None:
                    self._upkeep.renew_identity(event.uuid)
                if event.defined:
                    with self._lock:
                        self._inventory.note_defined(event.uuid)
            elif isinstance(event, DefinitionsWritten):
                self._note_written(link, event.names, now_s)
            elif isinstance(event, RunningVmsRead):
                self._pending.note(event.uuids, now_s)
            elif isinstance(event, WatchNetworks):
                link.watch_networks()
        if any(isinstance(event, NetworkEvent) for event in events):
            self._tell_of_networks()
        due = self._rereads.take_due(now_s)
        for start in range(0, len(due), _REREAD_BATCH):
            self._reread(link, link.connection, due[start : start + _REREAD_BATCH])
        if self._listing is not None and time.monotonic() >= self._read_on_at_s:
            self._read_on(*self._listing)
        if self._listing is None and self._forwards.is_waiting:
            self._keep_forwards()
        if self._pending.next_in(time.monotonic()) == 0:
            self._compare_next(link)
        now_s = time.monotonic()
        read_on_in_s = None if self._listing is None else max(0.0, self._read_on_at_s - now_s)
        waits = (self._rereads.next_in(now_s), self._pending.next_in(now_s), read_on_in_s)
        return min((wait_s for wait_s in waits if wait_s is not None), default=None)

    def _reader(self, connection: libvirt.virConnect) -> Reader:
        images_dir = None
        if self._info.is_local:
            with contextlib.suppress(OSError):  # it is made when it is not there
                images_dir = hosts.images_dir_for(self._info.uri)
        return Reader(self._info.id, connection, images_dir)

    def _note_written(self, link: LibvirtLink, names: frozenset[str] | None, now_s: float) -> None:
        """Definitions were stored: an event may tell of it too, so that is waited for."""
        if names is None:
            uuids = [vm.key.uuid for vm in self.vms()]
        else:
            reader = self._reader(link.connection)
            uuids = [uuid for uuid in map(reader.uuid_of, names) if uuid is not None]
        for uuid in uuids:
            self._rereads.note(uuid, later=True, now_s=now_s)
            with self._lock:
                self._inventory.note_defined(uuid)

    def _tell_of_networks(self) -> None:
        with self._lock:
            if not self._closed:
                self._emit(NetworksChanged(self._info.id))

    def let_go(self) -> None:
        self._listing = None

    def state_changed(self, state: HostState, problem: str, details: str) -> None:
        with self._lock:
            if self._closed:
                return
            was_connected = self._info.state is HostState.CONNECTED
            before, self._info = (
                self._info,
                replace(self._info, state=state, problem=problem, details=details, is_complete=self._listing is None),
            )
            if self._info != before:  # each further try that fails is no news
                self._emit(HostChanged(self._info))
            announce, self._loaded = self._loaded, None
            if was_connected:
                announce = self._inventory.lose_sight()
            if announce is not None:
                self._emit(announce)
            if state is not HostState.CONNECTING:
                waiting, self._waiting = self._waiting, []
                for request, job in waiting:  # with the lock held: what is submitted now comes after them
                    self._enqueue(request, job)
        if state is HostState.CONNECTED and self._upkeep is not None:
            self._upkeep.connected()

    # --- jobs -----------------------------------------------------------------------------------------

    def _enqueue(self, request: Request[Any], job: Job[Any]) -> None:
        info = self._info
        if not self._closed and info.state is not HostState.CONNECTED:
            job.fail(
                HostError(
                    f"“{info.label}” is not connected. {info.problem}".strip(),
                    advice="Try again when it is.",
                    details=info.details,
                )
            )
            return
        target = request.target
        key = target.uuid if isinstance(target, VmKey) else type(request).__name__
        if not self._queues.submit(request.lane, key, lambda: self._run(request, job)):
            job.fail(HostError(f"The connection to “{info.label}” is closed."))

    def _forget(self, job: Job[Any]) -> None:
        with self._lock:
            self._jobs.discard(job)

    def _run(self, request: Request[Any], job: Job[Any]) -> None:
        """On a worker."""
        if not job.begin():
            return
        try:
            with self._connection.lease() as link, link.borrow() as connection:
                try:
                    result = self._handle(request, job, link, connection)
                finally:
                    self._reread_target(request, link, connection)
                if isinstance(result, VmKey) and result != request.target:
                    self._reread(link, connection, [result.uuid])
        except GuivmError as error:
            job.fail(error)
        else:
            job.succeed(result)

    def _handle(self, request: Request[Any], job: Job[Any], link: LibvirtLink, connection: libvirt.virConnect) -> Any:
        """The answer, or a GuivmError."""
        import traceback

        import libvirt

        from guivm.engine import operations, words
        from guivm.engine.libvirt_errors import is_connection_lost, text_of, translate

        failed = words.failed(request, self.subject(request))
        try:
            return operations.handler_for(request)(self._context(job, link, connection), request)
        except GuivmError:
            raise
        except libvirt.libvirtError as error:
            if is_connection_lost(error):
                link.report_lost(text_of(error))
            raise translate(error, failed) from error
        except OSError as error:
            raise OperationError(failed, details=str(error)) from error
        except Exception as error:  # the boundary: a mistake of ours must end the job, not the worker
            raise OperationError(
                f"{failed} This is a mistake in guivm.", advice="Please report it.", details=traceback.format_exc()
            ) from error

    def _context(self, job: Job[Any], link: LibvirtLink, connection: libvirt.virConnect) -> HandlerContext:
        from guivm.engine.context import HandlerContext

        return HandlerContext(
            host=self._info,
            connection=connection,
            job=job,
            cache_dir=paths.cache_dir(),
            images_dir=hosts.images_dir_for(self._info.uri),
            capabilities=link.capabilities,
            borrow=link.borrow,
            macs_elsewhere=self._macs_elsewhere,
            watch_networks=link.want_networks,
        )

    def subject(self, request: Request[Any]) -> str:
        """Whom the words about a request are about."""
        from guivm.engine import words

        target = request.target
        vm = self.vm(target.uuid) if isinstance(target, VmKey) else None
        return words.subject(request, vm.name if vm else "virtual machine", self._info.label)

    def _reread_target(self, request: Request[Any], link: LibvirtLink, connection: libvirt.virConnect) -> None:
        """What a verb may have changed; and one who asks about a VM need not wait until the list comes to it."""
        from guivm.engine.requests import Lane, ReadPending, ReadSnapshots

        target = request.target
        if not isinstance(target, VmKey):
            return
        vm = self.vm(target.uuid)
        if request.lane is not Lane.READ or (vm is not None and not vm.is_complete):
            self._reread(link, connection, [target.uuid])
        elif isinstance(request, ReadSnapshots):  # another program may have made a template of it: no event tells that
            if vm is not None and self._reader(connection).is_template(target.uuid) != vm.is_template:
                self._reread(link, connection, [target.uuid])
        elif isinstance(request, ReadPending):  # somebody has reason to ask: perhaps the number is no longer true
            self._connection.post(RunningVmsRead((target.uuid,)))

    def _reread(self, link: LibvirtLink, connection: libvirt.virConnect, uuids: list[str]) -> None:
        """Read VMs anew and announce what changed. Raises nothing: a broken link is reported to its control."""
        with self._lock:
            ticket = self._inventory.ticket()
        reader = self._reader(connection)
        results: list[tuple[str, VmInfo | None]] = []
        try:
            for uuid in uuids:
                results.append((uuid, reader.read(uuid)))
        except LinkLost as error:
            link.report_lost(error.details)
        with self._lock:
            ended = [uuid for uuid, vm in results if self._is_disposable(uuid) and (vm is None or not vm.is_disposable)]
            change = self._inventory.update(ticket, results)
            if change is not None and not self._closed:
                self._emit(change)
        if self._upkeep is not None:
            self._upkeep.throw_away(ended)
        running = tuple(uuid for uuid, vm in results if vm is not None and vm.can_have_pending)
        if running:
            self._connection.post(RunningVmsRead(running))

    def _compare_next(self, link: LibvirtLink) -> None:
        """Count what waits for the next start of one VM."""
        link.watch_definitions()
        uuid = self._pending.take(time.monotonic())
        if uuid is None:
            return
        with self._lock:
            ticket = self._inventory.ticket()
            vm = self._inventory.get(uuid)
        if vm is None or not vm.can_have_pending:
            return
        begin_s = time.thread_time()
        count = self._reader(link.connection).pending(uuid)
        self._pending.rest(time.monotonic(), time.thread_time() - begin_s)
        with self._lock:
            change = self._inventory.count(ticket, uuid, count)
            if change is not None and not self._closed:
                self._emit(change)

    def _read_on(self, ticket: int, listing: Listing) -> None:
        """One portion of the first list. What was read otherwise since the list began is newer, and stays."""
        begin_s = time.thread_time()
        results = listing.read_on(self._pace.portion_s)
        # As long as this took of the processor, and not of the network, the window may have it.
        rest_s = min(time.thread_time() - begin_s, self._pace.pause_s)
        self._read_on_at_s = time.monotonic() + rest_s
        if listing.is_complete:
            self._listing = None
        with self._lock:
            change = self._inventory.update(ticket, results)
            if listing.is_complete:
                self._pending.begin(self._inventory.vms(), time.monotonic())
            if self._closed:
                return
            if change is not None:
                self._emit(change)
            if listing.is_complete:
                self._info = replace(self._info, is_complete=True)
                self._emit(HostChanged(self._info))

    def _keep_forwards(self) -> None:
        """Have the port forwards made that QEMU lacks; a command that ends soon leaves other people's VMs alone."""
        due = self._forwards.take_due(self.vms())
        if self._upkeep is not None:
            self._upkeep.make_forwards(due)

    def _tell(self, notice: Noticed) -> None:
        with self._lock:
            if not self._closed:
                self._emit(notice)

    def _is_disposable(self, uuid: str) -> bool:
        vm = self._inventory.get(uuid)
        return vm is not None and vm.is_disposable

    def macs(self) -> frozenset[str]:
        """MAC addresses of all its VMs, lower-case; none while it is not connected. Blocks: for a worker."""
        import libvirt

        from guivm.engine.cloning.looking import macs_of

        if self._info.state is not HostState.CONNECTED:
            return frozenset()
        try:
            with self._connection.lease() as link, link.borrow() as connection:
                return macs_of(connection)
        except (HostError, libvirt.libvirtError):
            return frozenset()
