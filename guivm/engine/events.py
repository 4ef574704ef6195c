"""What happened in the engine: frozen values handed to listeners, on any thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from guivm.engine.jobs import JobInfo
from guivm.engine.types import HostId, HostInfo, VmInfo, VmKey
from guivm.errors import GuivmError


@dataclass(frozen=True, slots=True)
class HostChanged:
    """A host was added or its state changed."""

    host: HostInfo


@dataclass(frozen=True, slots=True)
class HostRemoved:
    """A host was given up; its VMs are not told one by one."""

    host: HostId


@dataclass(frozen=True, slots=True)
class VmsReset:
    """The whole list of a host, after (re)connecting."""

    host: HostId
    vms: tuple[VmInfo, ...]


@dataclass(frozen=True, slots=True)
class VmsChanged:
    """The minimal difference since the last event of this host: new or changed VMs, and UUIDs that are gone."""

    host: HostId
    changed: tuple[VmInfo, ...] = ()
    removed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NetworksChanged:
    """A virtual network of a host came, went, started or stopped. Told once somebody has listed them."""

    host: HostId


@dataclass(frozen=True, slots=True)
class Noticed:
    """Something about a VM went wrong that nobody had asked for, and a person should know."""

    vm: VmKey
    problem: GuivmError


@dataclass(frozen=True, slots=True)
class JobChanged:
    """A job was queued, moved on or ended. Not sent for quiet requests."""

    job: JobInfo


EngineEvent = HostChanged | HostRemoved | VmsReset | VmsChanged | NetworksChanged | Noticed | JobChanged
Listener = Callable[[EngineEvent], None]
