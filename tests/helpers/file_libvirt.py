"""A libvirt connection whose domains are files, so that they outlive a process: VMs that are off, and stay so."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, cast

import libvirt
from lxml import etree

from guivm.engine.context import HandlerContext
from guivm.engine.jobs import Job
from guivm.engine.types import HostInfo, HostState, VmKey
from tests.helpers.small_libvirt import HOST, refusal


class FileDomain:
    """One domain, defined by the file ``UUID.xml``."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def UUIDString(self) -> str:
        return self._path.stem

    def name(self) -> str:
        return str(etree.fromstring(self._path.read_text(encoding="utf-8")).findtext("name"))

    def XMLDesc(self, _flags: int) -> str:
        return self._path.read_text(encoding="utf-8")

    def isActive(self) -> int:
        return 0

    def isPersistent(self) -> int:
        return 1

    def state(self, _flags: int) -> tuple[int, int]:
        return libvirt.VIR_DOMAIN_SHUTOFF, 0

    def hasManagedSaveImage(self, _flags: int) -> int:
        return 0

    def listAllSnapshots(self, _flags: int) -> list[object]:
        return []

    def listAllCheckpoints(self, _flags: int) -> list[object]:
        raise refusal(libvirt.VIR_ERR_NO_SUPPORT)

    def hasCurrentSnapshot(self, _flags: int) -> int:
        return 0


class FileConnection:
    """Domains in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(exist_ok=True)

    def getType(self) -> str:
        return "QEMU"

    def getLibVersion(self) -> int:
        return 9_000_000

    def listAllDomains(self, flags: int) -> list[FileDomain]:
        if flags & libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE:
            return []
        return [FileDomain(path) for path in sorted(self._folder.glob("*.xml"))]

    def lookupByUUIDString(self, uuid: str) -> FileDomain:
        path = self._folder / f"{uuid}.xml"
        if not path.exists():
            raise refusal(libvirt.VIR_ERR_NO_DOMAIN, "Domain not found")
        return FileDomain(path)

    def lookupByName(self, name: str) -> FileDomain:
        for domain in self.listAllDomains(0):
            if domain.name() == name:
                return domain
        raise refusal(libvirt.VIR_ERR_NO_DOMAIN, "Domain not found")

    def defineXML(self, xml: str) -> FileDomain:
        uuid = str(etree.fromstring(xml).findtext("uuid"))
        part, path = self._folder / f"{uuid}.part", self._folder / f"{uuid}.xml"
        with part.open("w", encoding="utf-8") as stream:  # as libvirt's virFileRewrite
            stream.write(xml)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
        return FileDomain(path)

    def storagePoolLookupByName(self, _name: str) -> None:
        raise refusal(libvirt.VIR_ERR_NO_STORAGE_POOL)

    def domainXMLToNative(self, *_arguments: object) -> str:
        raise refusal(libvirt.VIR_ERR_NO_SUPPORT)


def file_context(folder: Path) -> HandlerContext:
    """A context with ``folder/domains`` and ``folder/images``."""
    images_dir = folder / "images"
    images_dir.mkdir(mode=0o700, exist_ok=True)
    context = HandlerContext(
        host=HostInfo(HOST, HOST, "This computer", HostState.CONNECTED),
        connection=cast(Any, FileConnection(folder / "domains")),
        job=Job(HOST, None, "test"),
        cache_dir=folder / "cache",
        images_dir=images_dir,
    )
    context.job.begin()
    return context


def key_of(uuid: str) -> VmKey:
    return VmKey(HOST, uuid)
