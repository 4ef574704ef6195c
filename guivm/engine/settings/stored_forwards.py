"""Port forwards of VMs that somebody else started, and of those that run already when a host is connected.

QEMU knows nothing of what guivm keeps in a definition: see :mod:`guivm.engine.settings.port_forwards`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from guivm.engine.events import Noticed
from guivm.engine.libvirt_errors import text_of
from guivm.engine.types import VmInfo, VmKey
from guivm.errors import GuivmError, OperationError
from guivm.text import clean_line

if TYPE_CHECKING:
    import libvirt

_log = logging.getLogger(__name__)


class StoredForwards:
    """Which VMs have forwards that QEMU may still have to be told of. Control thread only.

    Of each QEMU once: when its host is connected, or when it starts.
    """

    def __init__(self) -> None:
        self._all = False
        self._started: set[str] = set()

    def connected(self) -> None:
        """All VMs of the host are to be looked at."""
        self._all = True
        self._started.clear()

    def started(self, uuid: str) -> None:
        self._started.add(uuid)

    @property
    def is_waiting(self) -> bool:
        """Whether :meth:`take_due` may find any."""
        return self._all or bool(self._started)

    def take_due(self, vms: Iterable[VmInfo]) -> list[VmKey]:
        """Those of ``vms``, all of the host's, that run and have forwards. Each is answered once."""
        found = [
            vm.key
            for vm in vms
            if vm.has_forwards and vm.state.is_active and (self._all or vm.key.uuid in self._started)
        ]
        self._all = False
        self._started.clear()
        return found


def make_forwards(connection: libvirt.virConnect, key: VmKey) -> Noticed | None:
    """Make what is missing; what cannot be made is answered for people to read. Worker only."""
    import libvirt

    from guivm.engine.settings.port_forwards import make_missing

    try:
        domain = connection.lookupByUUIDString(key.uuid)
        refused: tuple[GuivmError, ...] = make_missing(domain)
        name = clean_line(str(domain.name()), 80)
    except libvirt.libvirtError as error:  # gone or off again, or the host is: the next start has its own turn
        _log.info("The port forwards of %s could not be made: %s", key.uuid, clean_line(text_of(error)))
        return None
    except GuivmError as error:
        _log.warning("The port forwards of %s could not be made: %s %s", key.uuid, error, error.details)
        return None
    if not refused:
        return None
    words = " ".join(str(error) for error in refused[:3])
    return Noticed(
        key,
        OperationError(
            f"“{name}” runs without {'one' if len(refused) == 1 else len(refused)} of its port forwards. {words}",
            advice="Free the port, or choose another one in the settings of the network card.",
            details="\n".join(error.details for error in refused),
        ),
    )
