"""A libvirt connection with its callbacks: opened, watched and closed on a worker. The event thread only copies
plain values and posts them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from guivm.engine import hosts
from guivm.engine.connection import ConnectFailure, Lost, Post
from guivm.engine.eventloop import ensure_event_loop
from guivm.engine.libvirt_errors import connect_failure, text_of
from guivm.errors import HostError

if TYPE_CHECKING:
    import libvirt

    from guivm.engine.capabilities import CapabilityCache

_KEEPALIVE_S = 5
_KEEPALIVE_COUNT = 5


@dataclass(frozen=True, slots=True)
class DomainEvent:
    """Something happened to a domain. ``stopped``: it ended by itself; a reboot may start it again at once."""

    uuid: str
    stopped: bool = False


class LibvirtLink:
    """An open virConnect, its registrations, and what is cached as long as it lives."""

    def __init__(self, connection: libvirt.virConnect, uri: str) -> None:
        from guivm.engine.capabilities import CapabilityCache

        self.connection = connection
        self.uri = uri
        self.capabilities: CapabilityCache = CapabilityCache()
        self._post: Post | None = None
        self._callback_ids: list[int] = []
        self._has_close_callback = False

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
            with contextlib.suppress(libvirt.libvirtError):
                connection.setKeepAlive(_KEEPALIVE_S, _KEEPALIVE_COUNT)
        events: tuple[tuple[int, Callable[..., None]], ...] = (
            (libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, _on_lifecycle),
            (libvirt.VIR_DOMAIN_EVENT_ID_REBOOT, _on_domain),
            (libvirt.VIR_DOMAIN_EVENT_ID_METADATA_CHANGE, _on_domain),
            (libvirt.VIR_DOMAIN_EVENT_ID_PMWAKEUP, _on_domain),
            (libvirt.VIR_DOMAIN_EVENT_ID_PMSUSPEND, _on_domain),
            (libvirt.VIR_DOMAIN_EVENT_ID_PMSUSPEND_DISK, _on_domain),
            (libvirt.VIR_DOMAIN_EVENT_ID_IO_ERROR_REASON, _on_domain),
            (libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_ADDED, _on_domain),
            (libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, _on_domain),
        )
        for event_id, callback in events:
            try:
                self._callback_ids.append(connection.domainEventRegisterAny(None, event_id, callback, post))
            except libvirt.libvirtError:
                if event_id == libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE:
                    raise

    def report_lost(self, details: str) -> None:
        """A worker found the link broken: not every driver has a close callback. Any thread."""
        if self._post is not None:
            self._post(Lost(details=details))

    def close(self) -> None:
        import libvirt

        # Each of these may find the connection dead already; nothing is left to be done about it then.
        for callback_id in self._callback_ids:
            with contextlib.suppress(libvirt.libvirtError):
                self.connection.domainEventDeregisterAny(callback_id)
        self._callback_ids.clear()
        with contextlib.suppress(libvirt.libvirtError):
            if self._has_close_callback:
                self.connection.unregisterCloseCallback()
        with contextlib.suppress(libvirt.libvirtError):
            self.connection.close()


class LibvirtConnector:
    """Opens links to one URI. :meth:`open` blocks: worker only."""

    # virConnectOpen initialises drivers with process-wide state; two first opens at once have been seen to race.
    _open_lock = threading.Lock()

    def __init__(self, uri: str) -> None:
        self._uri = uri

    def open(self, post: Post) -> LibvirtLink:
        if hosts.is_embed(self._uri):
            try:
                hosts.prepare_embed(self._uri)
            except HostError as error:
                raise ConnectFailure(error, permanent=True) from error
        ensure_event_loop()
        import libvirt

        try:
            # A callback that refuses: a prompt on a terminal that nobody sees would hang for ever.
            connection = libvirt.openAuth(self._uri, [_CREDENTIALS, _refuse_credentials, None], 0)
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
    # VIR_DOMAIN_EVENT_STOPPED 5 with detail SHUTDOWN 0: libvirt-domain.h
    post(DomainEvent(domain.UUIDString(), stopped=event == 5 and detail == 0))


def _on_domain(_connection: libvirt.virConnect, domain: libvirt.virDomain, *rest: Any) -> None:
    post: Post = rest[-1]
    post(DomainEvent(domain.UUIDString()))
