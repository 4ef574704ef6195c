"""One running domain in memory whose calls can be made to fail one by one: for tests of what is taken back, and how."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import libvirt
from lxml import etree

from guivm.engine.context import HandlerContext
from guivm.engine.jobs import Job
from guivm.engine.types import HostInfo, HostState, VmKey
from tests.helpers.small_libvirt import HOST, refusal


class LiveDomain:
    """``definition`` and ``live`` (None: off) are documents; ``calls`` are names of what was asked, in order.

    ``fail``: what a call raises, once, by its name. ``keeps``: aliases of devices that the guest does not let go.
    """

    def __init__(self, definition: str, live: str | None) -> None:
        self.definition: str | None = definition
        self.live = None if live is None else etree.fromstring(live)
        self.uuid = str(etree.fromstring(definition).findtext("uuid"))
        self.calls: list[str] = []
        self.fail: dict[str, Exception] = {}
        self.before: dict[str, Callable[[], None]] = {}
        self.keeps: set[str] = set()
        self.transient = False
        self.on = 0
        self._aliases = 0

    def did(self, name: str) -> None:
        self.calls.append(name)
        if name in self.before:
            self.before.pop(name)()
        if name in self.fail:
            raise self.fail.pop(name)

    # --- reading --------------------------------------------------------------------------------------

    def connect(self) -> LiveConnection:
        return LiveConnection(self)

    def UUIDString(self) -> str:
        return self.uuid

    def name(self) -> str:
        return str(etree.fromstring(self.definition or "").findtext("name"))

    def isActive(self) -> int:
        return int(self.live is not None)

    def isPersistent(self) -> int:
        return int(not self.transient)

    def autostart(self) -> int:
        return self.on

    def XMLDesc(self, flags: int) -> str:
        if flags & libvirt.VIR_DOMAIN_XML_INACTIVE or self.live is None:
            return self.definition or ""
        return etree.tostring(self.live, encoding="unicode")

    def state(self, _flags: int) -> tuple[int, int]:
        return (1 if self.live is not None else 5), 0

    def hasManagedSaveImage(self, _flags: int) -> int:
        return 0

    # --- changing -------------------------------------------------------------------------------------

    def setAutostart(self, on: int) -> int:
        self.did("setAutostart")
        self.on = on
        return 0

    def rename(self, name: str, _flags: int) -> int:
        self.did("rename")
        root = etree.fromstring(self.definition or "")
        root.find("name").text = name  # type: ignore[union-attr]
        self.definition = etree.tostring(root, encoding="unicode")
        return 0

    def _devices(self) -> etree._Element:
        assert self.live is not None
        found = self.live.find("devices")
        assert found is not None
        return found

    def attachDeviceFlags(self, xml: str, flags: int) -> int:
        assert flags == libvirt.VIR_DOMAIN_AFFECT_LIVE
        device = etree.fromstring(xml)
        self.did(f"attach {device.tag}")
        for old in device.findall("alias"):
            device.remove(old)
        self._aliases += 1
        etree.SubElement(device, "alias", name=f"new{self._aliases}")
        self._devices().append(device)
        return 0

    def detachDeviceFlags(self, xml: str, flags: int) -> int:
        assert flags == libvirt.VIR_DOMAIN_AFFECT_LIVE
        wanted = etree.fromstring(xml)
        self.did(f"detach {wanted.tag}")
        alias = wanted.find("alias").get("name")  # type: ignore[union-attr]
        if alias not in self.keeps:
            for device in self._devices().findall(str(wanted.tag)):
                if device.find("alias").get("name") == alias:  # type: ignore[union-attr]
                    self._devices().remove(device)
        return 0

    def updateDeviceFlags(self, xml: str, flags: int) -> int:
        assert flags == libvirt.VIR_DOMAIN_AFFECT_LIVE
        device = etree.fromstring(xml)
        self.did(f"update {device.tag}")
        alias = device.find("alias").get("name")  # type: ignore[union-attr]
        for old in self._devices().findall(str(device.tag)):
            if old.find("alias").get("name") == alias:  # type: ignore[union-attr]
                self._devices().replace(old, device)
        return 0

    def setVcpusFlags(self, count: int, flags: int) -> int:
        assert flags == libvirt.VIR_DOMAIN_AFFECT_LIVE
        self.did("setVcpusFlags")
        assert self.live is not None
        self.live.find("vcpu").set("current", str(count))  # type: ignore[union-attr]
        return 0

    def setSchedulerParametersFlags(self, values: dict[str, int], flags: int) -> int:
        self.did(f"schedule {values}")
        return 0

    def setMetadata(self, kind: int, text: str | None, _key: str | None, _uri: str | None, flags: int) -> int:
        self.did(f"metadata {kind} {text}")
        return 0

    def pinVcpuFlags(self, vcpu: int, cpus: tuple[bool, ...], flags: int) -> int:
        self.did(f"pin {vcpu} {cpus}")
        return 0


class LiveConnection:
    """Knows one domain."""

    def __init__(self, domain: LiveDomain) -> None:
        self.domain = domain

    def lookupByUUIDString(self, uuid: str) -> LiveDomain:
        return self.domain

    def lookupByName(self, name: str) -> LiveDomain:
        if self.domain.name() == name:
            return self.domain
        raise refusal(libvirt.VIR_ERR_NO_DOMAIN)

    def defineXMLFlags(self, xml: str, flags: int) -> LiveDomain:
        checked = " checked" if flags & libvirt.VIR_DOMAIN_DEFINE_VALIDATE else ""
        self.domain.did(f"define{checked}")
        self.domain.definition = xml
        return self.domain

    def domainEventRegisterAny(self, *_arguments: object) -> int:
        raise refusal(libvirt.VIR_ERR_NO_SUPPORT)

    def getCPUMap(self, _flags: int) -> tuple[int, tuple[bool, ...], int]:
        return 4, (True,) * 4, 4


def live_context(domain: LiveDomain) -> tuple[HandlerContext, VmKey]:
    key = VmKey(HOST, domain.uuid)
    context = HandlerContext(
        host=HostInfo(HOST, HOST, "This computer", HostState.CONNECTED),
        connection=cast(Any, LiveConnection(domain)),
        job=Job(HOST, key, "test"),
        cache_dir=Path("/nowhere"),
        images_dir=Path("/nowhere"),
    )
    context.job.begin()
    return context, key
