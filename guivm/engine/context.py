"""What a request's handler works with. Lives on the worker that runs the handler and never leaves it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guivm.engine.capabilities import CapabilityCache
from guivm.engine.jobs import Job
from guivm.engine.types import HostInfo, VmKey

if TYPE_CHECKING:
    import libvirt


@dataclass(frozen=True, slots=True)
class HandlerContext:
    """One run of one request on one host. Worker thread only.

    ``connection`` is this worker's alone and open when the handler begins; a handler keeps neither it nor a domain
    beyond its return.
    ``job`` is for :meth:`Job.report`, :meth:`Job.on_cancel` and :meth:`Job.check_cancelled`; its end is the
    worker's affair: the handler returns the answer, or raises a GuivmError (a libvirtError that escapes is put
    into words by :mod:`guivm.engine.libvirt_errors`).
    """

    host: HostInfo
    connection: libvirt.virConnect
    job: Job[Any]
    cache_dir: Path
    images_dir: Path
    capabilities: CapabilityCache = field(default_factory=CapabilityCache)
    borrow: Callable[[], AbstractContextManager[libvirt.virConnect]] | None = None
    macs_elsewhere: Callable[[], frozenset[str]] | None = None  # lower-case, of the VMs of the other connected hosts
    watch_networks: Callable[[], None] | None = None  # from now on tell of changes of the host's networks

    @property
    def kept_here(self) -> Path | None:
        """The folder below which this computer keeps snapshots of the host's VMs; None when its files are not here."""
        return self.images_dir if self.host.is_local else None

    def another_connection(self) -> AbstractContextManager[libvirt.virConnect]:
        """A connection for a thread of the handler's own: two threads must not have calls under way on one.

        Closed or put back at the end of the ``with``. May block; raises HostError.
        """
        return nullcontext(self.connection) if self.borrow is None else self.borrow()

    def domain(self, key: VmKey) -> libvirt.virDomain:
        """Look the VM up. Raises VmNotFoundError when the host does not know it (any more)."""
        from guivm.engine.libvirt_errors import lookup

        return lookup(self.connection, key.uuid)
