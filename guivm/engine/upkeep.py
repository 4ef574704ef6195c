"""What is done on a host although nobody asked for it: for VMs that need something, and for what was left. No Qt."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from guivm.engine import hosts
from guivm.engine.events import Noticed
from guivm.engine.jobs import Job
from guivm.engine.queues import HostQueues
from guivm.engine.types import HostInfo, VmKey
from guivm.errors import GuivmError, HostError

if TYPE_CHECKING:
    import libvirt

    from guivm.engine.context import HandlerContext
    from guivm.engine.link import LibvirtLink


class Upkeep:
    """Public methods are thread-safe and return at once.

    ``lease`` lends the link while the host is connected and raises HostError else; ``context`` is what a function on a
    worker is given; ``tell`` announces what went wrong.
    """

    def __init__(
        self,
        info: HostInfo,
        queues: HostQueues,
        lease: Callable[[], AbstractContextManager[LibvirtLink]],
        context: Callable[[Job[Any], LibvirtLink, libvirt.virConnect], HandlerContext],
        tell: Callable[[Noticed], None],
    ) -> None:
        self._info = info
        self._queues = queues
        self._lease = lease
        self._context = context
        self._tell = tell

    def connected(self) -> None:
        """QEMU is probed for seconds the first time: have it done before somebody waits for it. Then what was left."""
        from guivm.engine.requests import Lane

        self._queues.submit(Lane.READ, None, self._read_capabilities)
        if self._info.is_local:
            self._queues.submit_unasked(None, self._tidy_up)

    def throw_away(self, uuids: list[str]) -> None:
        """What runs of VMs that have ended wrote."""
        if not uuids:
            return
        from guivm.engine.requests import Lane

        for uuid in uuids:
            self._queues.submit(Lane.VM, uuid, functools.partial(self._work, uuid, "disposable", "clean_up"))

    def renew_identity(self, uuid: str) -> None:
        """Its agent answers. Windows takes many minutes for it, so no request of the VM waits behind that."""
        self._queues.submit_unasked(uuid, functools.partial(self._work, uuid, "identity", "reset_if_due"))

    def make_forwards(self, keys: list[VmKey]) -> None:
        """Port forwards that QEMU lacks."""
        if not keys:
            return
        from guivm.engine.requests import Lane

        for key in keys:
            self._queues.submit(Lane.VM, key.uuid, functools.partial(self._make_forwards, key))

    # --- on a worker ----------------------------------------------------------------------------------

    def _work(self, uuid: str, room: str, what: str) -> None:
        """The function ``what`` of a module of ``engine/cloning``; what goes wrong is told."""
        import libvirt

        from guivm.engine.libvirt_errors import is_connection_lost, text_of

        key = VmKey(self._info.id, uuid)
        try:
            with self._lease() as link, link.borrow() as connection:
                work = getattr(importlib.import_module(f"guivm.engine.cloning.{room}"), what)
                try:
                    work(self._context(Job(key.host, key, what), link, connection), key)
                except libvirt.libvirtError as error:
                    if is_connection_lost(error):
                        link.report_lost(text_of(error))
        except HostError:
            return  # it is looked at again when the host is back
        except GuivmError as error:
            self._tell(Noticed(key, error))

    def _make_forwards(self, key: VmKey) -> None:
        from guivm.engine.settings.stored_forwards import make_forwards

        try:
            with self._lease() as link, link.borrow() as connection:
                notice = make_forwards(connection, key)
        except HostError:
            return  # they are looked at again when it is back
        if notice is not None:
            self._tell(notice)

    def _read_capabilities(self) -> None:
        import libvirt

        try:
            with self._lease() as link, link.borrow() as connection:
                link.capabilities.get(
                    connection,
                    self._info.id,
                    is_local=self._info.is_local,
                    images_dir=hosts.images_dir_for(self._info.uri),
                )
        except (HostError, OSError, libvirt.libvirtError):
            pass  # whoever asks gets the error then

    def _tidy_up(self) -> None:
        from guivm.engine.housekeeping import tidy_up

        try:
            with self._lease() as link, link.borrow() as connection:
                tidy_up(self._context(Job(self._info.id, None, "Tidying up"), link, connection))
        except (HostError, OSError):
            pass  # lost again, or no place to look at: the next time it will
