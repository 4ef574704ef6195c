"""A QEMU-like libvirt connection in memory, for tests that make each single step fail.

Only what creating and deleting needs. The contract tests run the same handlers against real libvirt.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

import libvirt
from lxml import etree

from guivm.engine.context import HandlerContext
from guivm.engine.job_types import HostCapabilities, KvmStatus
from guivm.engine.jobs import Job
from guivm.engine.types import HostId, HostInfo, HostState

HOST = HostId("qemu:///session")


def refusal(code: int = libvirt.VIR_ERR_INTERNAL_ERROR, words: str = "refused for the test") -> libvirt.libvirtError:
    """A libvirtError as libvirt would raise it."""
    error = libvirt.libvirtError(words)
    error.args = (words,)  # it takes the thread's last error for its text where there was one
    error.err = (code, libvirt.VIR_FROM_QEMU, words, libvirt.VIR_ERR_ERROR, None, None, None, -1, -1)
    return error


class SmallSnapshot:
    def __init__(self, xml: str) -> None:
        self.xml = xml

    def getXMLDesc(self, _flags: int) -> str:
        return self.xml

    def getName(self) -> str:
        return str(etree.fromstring(self.xml).findtext("name"))


class SmallDomain:
    """One domain. ``running``, ``saved`` and ``snapshots`` are set by tests."""

    def __init__(self, connection: SmallConnection, xml: str) -> None:
        root = etree.fromstring(xml)
        self._connection = connection
        self.xml = xml
        self._uuid = str(root.findtext("uuid"))
        self._name = str(root.findtext("name"))
        self.running = False
        self.saved = False
        self.on = 0
        self.snapshots: list[SmallSnapshot] = []
        self.current = ""
        self.flags: int | None = None

    def UUIDString(self) -> str:
        return self._uuid

    def name(self) -> str:
        return self._name

    def XMLDesc(self, _flags: int) -> str:
        return self.xml

    def isActive(self) -> int:
        return int(self.running)

    def autostart(self) -> int:
        return self.on

    def setAutostart(self, on: int) -> int:
        self._connection.step("setAutostart")
        self.on = on
        return 0

    def hasManagedSaveImage(self, _flags: int) -> int:
        return int(self.saved)

    def listAllSnapshots(self, _flags: int) -> list[SmallSnapshot]:
        return self.snapshots

    def listAllCheckpoints(self, _flags: int) -> list[str]:
        raise refusal(libvirt.VIR_ERR_NO_SUPPORT)

    def hasCurrentSnapshot(self, _flags: int) -> int:
        return int(bool(self.current))

    def snapshotCurrent(self, _flags: int) -> SmallSnapshot:
        return next(snapshot for snapshot in self.snapshots if snapshot.getName() == self.current)

    def snapshotCreateXML(self, xml: str, flags: int) -> SmallSnapshot:
        self._connection.step("snapshotCreateXML")
        assert flags & libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE
        snapshot = SmallSnapshot(xml)
        self.snapshots.append(snapshot)
        if flags & libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_CURRENT:
            self.current = snapshot.getName()
        return snapshot

    def create(self) -> int:
        self._connection.step("create")
        self.running = True
        return 0

    def undefineFlags(self, flags: int) -> int:
        self._connection.step("undefineFlags")
        if self.snapshots and not flags & libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA:
            raise refusal(libvirt.VIR_ERR_OPERATION_INVALID, "cannot delete inactive domain with snapshots")
        if self.saved and not flags & libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE:
            raise refusal(libvirt.VIR_ERR_OPERATION_INVALID, "there is a managed save image")
        self.flags = flags
        if not self.running:
            del self._connection.domains[self._uuid]
        return 0


class SmallConnection:
    """Domains by UUID. ``before[step]`` is called before that step and may raise."""

    def __init__(self) -> None:
        self.domains: dict[str, SmallDomain] = {}
        self.before: dict[str, Callable[[], None]] = {}
        self.steps: list[str] = []

    def step(self, name: str) -> None:
        self.steps.append(name)
        if name in self.before:
            self.before[name]()

    def getType(self) -> str:
        return "QEMU"

    def listAllDomains(self, _flags: int) -> list[SmallDomain]:
        return list(self.domains.values())

    def lookupByUUIDString(self, uuid: str) -> SmallDomain:
        self.step("lookupByUUIDString")
        if uuid not in self.domains:
            raise refusal(libvirt.VIR_ERR_NO_DOMAIN, "Domain not found")
        return self.domains[uuid]

    def lookupByName(self, name: str) -> SmallDomain:
        for domain in self.domains.values():
            if domain.name() == name:
                return domain
        raise refusal(libvirt.VIR_ERR_NO_DOMAIN, "Domain not found")

    def defineXML(self, xml: str) -> SmallDomain:
        self.step("defineXML")
        domain = SmallDomain(self, xml)
        self.domains[domain.UUIDString()] = domain
        return domain

    def storagePoolLookupByName(self, _name: str) -> None:
        raise refusal(libvirt.VIR_ERR_NO_STORAGE_POOL)


class FixedCapabilities:
    """Stands where the engine keeps what it read from the host."""

    def __init__(self, value: HostCapabilities) -> None:
        self.value = value

    def get(self, *_: object, **__: object) -> HostCapabilities:
        return self.value


def capabilities(images_dir: Path) -> HostCapabilities:
    return HostCapabilities(
        host=HOST,
        arch="x86_64",
        kvm=KvmStatus(False, "No VT-x."),
        memory_bytes=8 << 30,
        memory_free_bytes=4 << 30,
        cpus=4,
        max_vcpus=255,
        machines=("pc-q35-7.2", "q35", "pc"),
        has_uefi=True,
        uefi_reason="",
        video_models=("vga", "virtio"),
        graphics_types=("vnc",),
        channel_types=("unix",),
        has_tpm=False,
        libvirt_version="9.0.0",
        hypervisor_version="QEMU 7.2.22",
        images_dir=images_dir,
        images_free_bytes=1 << 40,
    )


def small_context(connection: SmallConnection, folder: Path) -> HandlerContext:
    """A context on ``connection`` whose images live in ``folder/images``."""
    images_dir = folder / "images"
    images_dir.mkdir(mode=0o700, exist_ok=True)
    context = HandlerContext(
        host=HostInfo(HOST, HOST, "This computer", HostState.CONNECTED),
        connection=cast(libvirt.virConnect, connection),
        job=Job(HOST, None, "test"),
        cache_dir=folder / "cache",
        images_dir=images_dir,
        capabilities=FixedCapabilities(capabilities(images_dir)),  # type: ignore[arg-type]  # get() is all that is used
    )
    context.job.begin()
    return context
