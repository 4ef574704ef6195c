"""The engine as views, the command line and tests see it. No Qt, no libvirt.

Implemented by :class:`guivm.engine.engine.LibvirtEngine` and by the fake in ``tests/helpers``; the contract
tests run against both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from guivm.engine.events import Listener
from guivm.engine.jobs import Job
from guivm.engine.types import HostId, HostInfo, VmInfo, VmKey

if TYPE_CHECKING:
    from guivm.engine.requests import Request

T = TypeVar("T")


class Engine(Protocol):
    """Every method returns at once and may be called from any thread, unless it says otherwise."""

    def add_listener(self, listener: Listener) -> None:
        """Hear every event from now on, on the engine's threads. The listener must not block or raise."""

    def remove_listener(self, listener: Listener) -> None:
        """Hear nothing more. An event under way on another thread may still arrive."""

    def open_host(self, uri: str, label: str = "") -> HostId:
        """Begin to connect to a libvirt URI and keep connected; opening an open host is no error."""

    def close_host(self, host: HostId) -> None:
        """Begin to disconnect; VMs go on running. HostRemoved follows."""

    def hosts(self) -> tuple[HostInfo, ...]:
        """The hosts opened, in the order of opening."""

    def vms(self, host: HostId) -> tuple[VmInfo, ...]:
        """Last known VMs of a host; state UNKNOWN while the host is not connected."""

    def vm(self, key: VmKey) -> VmInfo | None:
        """Last known value of one VM, or None."""

    def submit(self, request: Request[T]) -> Job[T]:
        """Queue a request. Errors, an unknown host included, end the job; submit itself never raises."""

    def stop(self, timeout_s: float = 5.0) -> None:
        """End jobs and connections; blocks up to ``timeout_s`` in all. VMs go on running. Not for the GUI thread
        while its event loop is needed."""
