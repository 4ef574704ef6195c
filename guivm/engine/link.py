"""A libvirt connection with its callbacks: opened, watched and closed on a worker. The event thread only copies
plain values and posts them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from guivm.engine import hosts
from guivm.engine.connection import ConnectFailure, Lost, Post
from guivm.engine.eventloop import ensure_event_loop
from guivm.engine.libvirt_errors import connect_failure, text_of
from guivm.errors import HostError

if TYPE_CHECKING:
    import libvirt

    from guivm.engine.capabilities import CapabilityCache
    from guivm.engine.definition_watch import DefinitionWatch

_KEEPALIVE_S = 5
_KEEPALIVE_COUNT = 5
_IDLE_LIMIT = 4


class DomainEvent(NamedTuple):
    """Something happened to a domain. ``stopped``: it ended by itself; a reboot may start it again at once.
    ``defined``: its definition was stored anew. ``started``: it has a new QEMU. ``agent``: its guest's answers."""

    uuid: str
    stopped: bool = False
    defined: bool = False
    started: bool = False
    agent: bool = False


class WatchNetworks(NamedTuple):
    """Somebody wants to know of the host's networks from now on."""


class DefinitionsWritten(NamedTuple):
    """libvirt wrote the definitions of these VMs, by name; None: of some that are not known."""

    names: frozenset[str] | None


class NetworkEvent(NamedTuple):
    """A network came, went, started or stopped."""


class LibvirtLink:
    """The connections to one host, their registrations, and what is cached as long as they live.

    ``connection`` is the control thread's: events come in on it, and it alone uses it. Everybody else borrows one
    of their own, for libvirt's client is not safe when several threads have calls under way on one connection and
    the host stops answering: one of them is woken, and the next waits for ever, or follows a pointer into the stack
    of the first (``virNetClientIOEventLoop`` of libvirt 9.0 leaves its watch of the socket behind; seen as
    "g_main_loop_quit: assertion failed" and a crash).
    """

    def __init__(self, connection: libvirt.virConnect, uri: str) -> None:
        self.connection = connection
        self.uri = uri
        self._capabilities: CapabilityCache | None = None
        self._post: Post | None = None
        self._lock = threading.Lock()
        self._idle: list[libvirt.virConnect] = []
        self._callback_ids: list[int] = []
        self._has_close_callback = False
        self._network_callback: int | None = None
        self._networks_wanted = False
        self._definitions: DefinitionWatch | None = None
        self._looked_for_definitions = False

    @property
    def capabilities(self) -> CapabilityCache:
        """Made when first asked for: the first list does without it."""
        from guivm.engine.capabilities import CapabilityCache

        with self._lock:
            if self._capabilities is None:
                self._capabilities = CapabilityCache()
            return self._capabilities

    def watch(self, post: Post) -> None:
        """Register for everything that changes a VM, and for the end of the connection. Raises libvirtError."""
        import libvirt

        self._post = post
        connection = self.connection
        if not hosts.is_in_process(self.uri):
            # A driver without one of these leaves us the other, and the calls that fail.
            with contextlib.suppress(libvirt.libvirtError):
                connection.registerCloseCallback(_on_close, post)
                self._has_close_callback = True
            _keep_alive(connection)
        events: tuple[tuple[int, Callable[..., None]], ...] = (
            (libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, _on_lifecycle),
            (libvirt.VIR_DOMAIN_EVENT_ID_REBOOT, _on_domain),
            (libvirt.VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE, _on_agent),
            (libvirt.VIR_DOMAIN_EVENT_ID_METADATA_CHANGE, _on_domain),
            (libvirt.VIR_DOMAIN_EVENT_ID_PMWAKEUP, _on_domain),
            (libvirt.VIR_DOMAIN_EVENT_ID_PMSUSPEND, _on_domain),
            (libvirt.VIR_DOMAIN_EVENT_ID_PMSUSPEND_DISK, _on_domain),
            (libvirt.VIR_DOMAIN_EVENT_ID_IO_ERROR_REASON, _on_domain),
            (libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_ADDED, _on_domain),
            (libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, _on_domain),
            (libvirt.VIR_DOMAIN_EVENT_ID_BALLOON_CHANGE, _on_domain),
        )
        for event_id, callback in events:
            try:
                self._callback_ids.append(connection.domainEventRegisterAny(None, event_id, callback, post))
            except libvirt.libvirtError:
                if event_id == libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE:
                    raise

    def want_networks(self) -> None:
        """Have :meth:`watch_networks` called on the control thread, once. Any thread."""
        with self._lock:
            first, self._networks_wanted = not self._networks_wanted, True
        if first and self._post is not None:
            self._post(WatchNetworks())

    def watch_networks(self) -> None:
        """Register for what happens to networks: not before somebody looks at them, for it may wake another daemon.

        Control thread. A driver without networks has none of these events.
        """
        import libvirt

        with contextlib.suppress(libvirt.libvirtError):
            self._network_callback = self.connection.networkEventRegisterAny(
                None, libvirt.VIR_NETWORK_EVENT_ID_LIFECYCLE, _on_network, self._post
            )

    def watch_definitions(self) -> None:
        """Have DefinitionsWritten posted where the files can be seen: to store a definition often causes no event.

        Control thread; once, however often it is called. Not before the list is there: it takes an import.
        """
        if self._looked_for_definitions or self._post is None:
            return
        self._looked_for_definitions = True
        import libvirt

        from guivm.engine.definition_watch import DefinitionWatch, directory_of

        directory = directory_of(self.uri)
        if directory is not None:
            # Not ours to read, or not there: then we are told less.
            with contextlib.suppress(OSError, libvirt.libvirtError):
                self._definitions = DefinitionWatch(directory, self._post_written)

    def _post_written(self, names: frozenset[str] | None) -> None:
        """On libvirt's event thread."""
        if self._post is not None:
            self._post(DefinitionsWritten(names))

    @contextmanager
    def borrow(self) -> Iterator[libvirt.virConnect]:
        """A connection for the caller's thread alone; only while the link is leased. May block.

        Raises HostError. A driver in our own process has no client, and may have no second connection.
        """
        if hosts.is_in_process(self.uri):
            yield self.connection
            return
        connection = self._take()
        try:
            yield connection
        finally:
            self._give_back(connection)

    def _take(self) -> libvirt.virConnect:
        while True:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                return open_own(self.uri)
            if _is_alive(connection):
                return connection
            _close(connection)

    def _give_back(self, connection: libvirt.virConnect) -> None:
        with self._lock:
            keep = len(self._idle) < _IDLE_LIMIT and _is_alive(connection)
            if keep:
                self._idle.append(connection)
        if not keep:
            _close(connection)

    def report_lost(self, details: str) -> None:
        """A worker found the link broken: not every driver has a close callback. Any thread."""
        if self._post is not None:
            self._post(Lost(details=details))

    def close(self) -> None:
        import libvirt

        if self._definitions is not None:
            self._definitions.close()
        # Each of these may find the connection dead already; nothing is left to be done about it then.
        for callback_id in self._callback_ids:
            with contextlib.suppress(libvirt.libvirtError):
                self.connection.domainEventDeregisterAny(callback_id)
        self._callback_ids.clear()
        with contextlib.suppress(libvirt.libvirtError):
            if self._network_callback is not None:
                self.connection.networkEventDeregisterAny(self._network_callback)
        with contextlib.suppress(libvirt.libvirtError):
            if self._has_close_callback:
                self.connection.unregisterCloseCallback()
        with self._lock:
            connections = [*self._idle, self.connection]
            self._idle.clear()
        for connection in connections:
            _close(connection)


def open_own(uri: str) -> libvirt.virConnect:
    """A connection outside any link, watched by keepalive; the caller closes it. May block. Raises HostError."""
    import libvirt

    try:
        connection = _open(uri)
    except libvirt.libvirtError as error:
        raise connect_failure(error, uri)[0] from error
    _keep_alive(connection)
    return connection


class LibvirtConnector:
    """Opens links to one URI. :meth:`open` blocks: worker only."""

    def __init__(self, uri: str) -> None:
        self._uri = uri

    def open(self, post: Post) -> LibvirtLink:
        if hosts.is_embed(self._uri):
            try:
                hosts.prepare_embed(self._uri)
            except HostError as error:
                raise ConnectFailure(error, permanent=True) from error
        try:
            ensure_event_loop()
        except ImportError as error:
            missing = HostError(
                "The Python module for libvirt is missing or broken.",
                advice="Install libvirt-python for this Python; in a checkout ./dev does.",
                details=str(error),
            )
            raise ConnectFailure(missing, permanent=True) from error
        import libvirt

        try:
            connection = _open(self._uri)
        except libvirt.libvirtError as error:
            failure, permanent = connect_failure(error, self._uri)
            raise ConnectFailure(failure, permanent=permanent) from error
        link = LibvirtLink(connection, self._uri)
        try:
            link.watch(post)
        except libvirt.libvirtError as error:
            link.close()
            failure = HostError("The host does not report what happens on it.", details=text_of(error))
            raise ConnectFailure(failure, permanent=False) from error
        return link


def _open(uri: str) -> libvirt.virConnect:
    import libvirt

    # A callback that refuses: a prompt on a terminal that nobody sees would hang for ever.
    return libvirt.openAuth(uri, [_CREDENTIALS, _refuse_credentials, None], 0)


def _keep_alive(connection: libvirt.virConnect) -> None:
    import libvirt

    with contextlib.suppress(libvirt.libvirtError):  # the other side may be too old for it
        connection.setKeepAlive(_KEEPALIVE_S, _KEEPALIVE_COUNT)


def _is_alive(connection: libvirt.virConnect) -> bool:
    """What the client knows; asks nobody."""
    import libvirt

    try:
        return bool(connection.isAlive())
    except libvirt.libvirtError:
        return False


def _close(connection: libvirt.virConnect) -> None:
    import libvirt

    with contextlib.suppress(libvirt.libvirtError):
        connection.close()


# VIR_CRED_AUTHNAME, _PASSPHRASE, _ECHOPROMPT, _NOECHOPROMPT (libvirt-host.h)
_CREDENTIALS = [2, 5, 6, 7]


def _refuse_credentials(_credentials: list[Any], _data: object) -> int:
    return -1


# --- on libvirt's event thread: no libvirt call but the ones that read a domain object, nothing that blocks -------


def _on_close(_connection: libvirt.virConnect, reason: int, post: Post) -> None:
    # virConnectCloseReason: 0 error, 1 end of file, 2 keepalive, 3 client
    words = {2: "The host does not answer any more; trying again."}
    post(Lost(words.get(reason, "")))


def _on_lifecycle(
    _connection: libvirt.virConnect, domain: libvirt.virDomain, event: int, detail: int, post: Post
) -> None:
    # VIR_DOMAIN_EVENT_DEFINED 0, _STARTED 2, _STOPPED 5 with detail SHUTDOWN 0: libvirt-domain.h
    post(DomainEvent(domain.UUIDString(), event == 5 and detail == 0, defined=event == 0, started=event == 2))


def _on_domain(_connection: libvirt.virConnect, domain: libvirt.virDomain, *rest: Any) -> None:
    post: Post = rest[-1]
    post(DomainEvent(domain.UUIDString()))


def _on_agent(_connection: libvirt.virConnect, domain: libvirt.virDomain, state: int, _reason: int, post: Post) -> None:
    # VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_STATE_CONNECTED 1: libvirt-domain.h
    if state == 1:
        post(DomainEvent(domain.UUIDString(), agent=True))


def _on_network(
    _connection: libvirt.virConnect, _network: libvirt.virNetwork, _event: int, _detail: int, post: Post
) -> None:
    post(NetworkEvent())
