"""A VM with snapshots inside its images, through the engine's requests: real libvirt, a real guest, two drives."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import libvirt
import pytest

from guivm.engine import requests as rq
from guivm.engine.engine import LibvirtEngine
from guivm.engine.requests import Request
from guivm.engine.snapshots.inside.hidden import UNDO_NAMES
from guivm.engine.snapshots.values import OperationPlan, SnapshotId, SnapshotTree
from guivm.engine.types import HostState, VmKey, VmState
from guivm.errors import InUseError, UnsupportedError
from tests.helpers.daemon import SessionDaemon
from tests.helpers.guests import boot_sector_image
from tests.helpers.image_oracles import check_images, make_image, write_pattern
from tests.helpers.recorder import Recorder

T = TypeVar("T")

_VM = """<domain type='qemu'><name>{name}</name><memory unit='MiB'>{memory_mib}</memory>
<os><type arch='x86_64' machine='pc'>hvm</type></os>
<devices>{disks}<serial type='file'><source path='{said}'/></serial>
<graphics type='vnc'><listen type='none'/></graphics><video><model type='vga'/></video></devices>
</domain>"""
DISK = """<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{path}'/>
<target dev='{target}' bus='ide'/></disk>"""


class InsideHouse:
    """An engine on a host with one VM. ``boot`` writes the raw image it starts from, of 1 MiB; ``said`` is where what
    it writes to its serial line goes."""

    def __init__(
        self,
        daemon: SessionDaemon,
        engine: LibvirtEngine,
        recorder: Recorder,
        *,
        memory_mib: int = 32,
        boot: Callable[[Path], Path] = boot_sector_image,
    ) -> None:
        self.daemon = daemon
        self.engine = engine
        self.recorder = recorder
        self.host = engine.open_host(daemon.uri)
        recorder.wait_for_host(self.host, HostState.CONNECTED)
        self.connection = libvirt.open(daemon.uri)
        self.images = daemon.root / "h"
        self.said = daemon.root / "said"
        self._memory_mib = memory_mib
        raw = boot(self.images / "boot.raw")
        self.one, self.two = self.images / "one.qcow2", self.images / "two.qcow2"
        subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, self.one], check=True)
        make_image(self.two)
        self.key = self.define("guest", self.one, self.two)

    def define(self, name: str, *paths: Path) -> VmKey:
        disks = "".join(DISK.format(path=path, target=f"hd{letter}") for path, letter in zip(paths, "ab", strict=False))
        domain = self.connection.defineXML(
            _VM.format(name=name, disks=disks, memory_mib=self._memory_mib, said=self.said)
        )
        return VmKey(self.host, domain.UUIDString())

    @property
    def domain(self) -> libvirt.virDomain:
        return self.connection.lookupByUUIDString(self.key.uuid)

    def ask(self, request: Request[T]) -> T:
        return self.engine.submit(request).result(60)

    def tree(self, key: VmKey | None = None) -> SnapshotTree:
        return self.ask(rq.ReadSnapshots(key or self.key))

    def plan(self, operation: object) -> OperationPlan:
        return self.ask(rq.PlanOperation(self.key, operation))  # type: ignore[arg-type]

    def take(self, title: str, notes: str = "") -> SnapshotId:
        """As the window does: what is shown first is not refused."""
        request = rq.TakeSnapshot(self.key, title, notes)
        assert not self.plan(request).refused
        return self.ask(request).id

    def refused(self, operation: Request[T]) -> OperationPlan:
        """The plan says why not, and doing it all the same changes nothing."""
        shown = self.plan(operation)
        assert shown.refused
        before = self.state()
        with pytest.raises((InUseError, UnsupportedError)) as caught:
            self.ask(operation)
        assert caught.value.summary == shown.refused
        assert self.state() == before
        return shown

    def writes(self, value: int) -> None:
        """On both drives, while it is off."""
        for path in (self.one, self.two):
            write_pattern(path, value, 1 << 19, 1 << 18)

    def start(self) -> None:
        self.ask(rq.Start(self.key))

    def vm_state(self) -> VmState:
        states = {libvirt.VIR_DOMAIN_RUNNING: VmState.RUNNING, libvirt.VIR_DOMAIN_PAUSED: VmState.PAUSED}
        return states.get(self.domain.state(0)[0], VmState.OFF)

    # --- what the images hold -------------------------------------------------------------------------

    def now(self) -> tuple[str, ...]:
        """Hashes of what the guest reads, of both drives."""
        return tuple(self._hash(path) for path in (self.one, self.two))

    def of(self, snapshot: SnapshotId) -> tuple[str, ...]:
        return tuple(self._hash(path, "-l", f"snapshot.name={snapshot}") for path in (self.one, self.two))

    def _hash(self, path: Path, *more: str) -> str:
        raw = self.images / "hash.raw"
        try:
            subprocess.run(["qemu-img", "convert", "-U", *more, "-O", "raw", path, raw], check=True)
            return hashlib.sha256(raw.read_bytes()).hexdigest()
        finally:
            raw.unlink(missing_ok=True)

    def state(self) -> tuple[object, ...]:
        snapshots = {s.getName(): self.of(SnapshotId(s.getName())) for s in self.domain.listAllSnapshots(0)}
        return self.now(), snapshots, self.vm_state(), self.domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)

    def require_sound(self) -> None:
        if self.vm_state() is VmState.OFF:
            check_images([self.one, self.two])
        tree = self.tree()
        shown = {str(each.id) for each in tree.snapshots}
        assert {s.getName() for s in self.domain.listAllSnapshots(0)} - {*UNDO_NAMES} == shown
