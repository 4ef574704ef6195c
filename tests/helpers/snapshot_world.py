"""A real libvirt with bare VMs on real images, driven through the engine's requests, and what their disks read."""

from __future__ import annotations

import gc
import hashlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import libvirt

from guivm import paths
from guivm.engine import requests as rq
from guivm.engine.engine import LibvirtEngine
from guivm.engine.requests import Request
from guivm.engine.snapshots.values import SnapshotId, SnapshotInfo, SnapshotTree
from guivm.engine.types import HostId, HostState, VmKey, VmState
from guivm.engine.xml.domain import DomainXml
from tests.helpers.daemon import SessionDaemon
from tests.helpers.recorder import Recorder

T = TypeVar("T")

WAIT_S = 120.0
KIB64 = 65536
_BIOS = "<os><type arch='x86_64' machine='pc'>hvm</type></os>"
_UEFI = "<os firmware='efi'><type arch='x86_64' machine='q35'>hvm</type></os>"
_DOMAIN = """
<domain type='qemu'><name>{name}</name><memory unit='MiB'>64</memory>{os}<features><acpi/></features>
  <devices>{disks}<controller type='usb' model='none'/><memballoon model='none'/>
    <graphics type='vnc'><listen type='none'/></graphics><video><model type='vga'/></video></devices>
</domain>"""
_DISK = """<disk type='file' device='disk'><driver name='qemu' type='{format}'/>
  <source file='{path}'/><target dev='{target}' bus='virtio'/></disk>"""


def tool(*command: str | Path) -> str:
    """What a program prints; AssertionError with its words when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


def make_image(path: Path, size: str = "4M", image_format: str = "qcow2") -> Path:
    tool("qemu-img", "create", "-q", "-f", image_format, path, size)
    return path


def write(path: str | Path, pattern: int, at: int = 0, image_format: str = "qcow2") -> None:
    """Fill 64 KiB from block ``at`` (of 64 KiB) of an image that no VM uses, as its guest would."""
    said = tool("qemu-io", "-f", image_format, "-c", f"write -P {pattern} {at * KIB64} {KIB64}", path)
    assert "failed" not in said.lower(), said


def contents(path: str | Path, image_format: str = "qcow2") -> str:
    """SHA-256 of all that a guest would read from the image, the images below included."""
    raw = Path(f"/dev/shm/guivm-contents-{os.getpid()}.raw")
    try:
        tool("qemu-img", "convert", "-U", "-f", image_format, "-O", "raw", "--", path, raw)
        return hashlib.sha256(raw.read_bytes()).hexdigest()
    finally:
        raw.unlink(missing_ok=True)


def check(path: str | Path, image_format: str = "qcow2") -> None:
    """``qemu-img check`` finds neither errors nor leaks."""
    if image_format == "qcow2":
        tool("qemu-img", "check", "-q", "-f", "qcow2", path)


class World:
    """One daemon, one engine. ``images`` is where VMs' images are; the engine's own folder is apart."""

    def __init__(self, daemon: SessionDaemon, engine: LibvirtEngine, recorder: Recorder, host: HostId) -> None:
        self.daemon, self.engine, self.recorder, self.host = daemon, engine, recorder, host
        self.images = daemon.root / "h"
        self.connection = libvirt.open(daemon.uri)

    def ask(self, request: Request[T]) -> T:
        return self.engine.submit(request).result(WAIT_S)

    def define(self, name: str, disks: tuple[tuple[Path, str], ...], *, uefi: bool = False, more: str = "") -> VmKey:
        """A VM that is off; ``disks``: (path, format), as vda, vdb, …"""
        lines = "".join(
            _DISK.format(path=path, format=image_format, target=f"vd{chr(97 + number)}")
            for number, (path, image_format) in enumerate(disks)
        )
        xml = _DOMAIN.format(name=name, os=_UEFI if uefi else _BIOS, disks=lines + more)
        key = VmKey(self.host, self.connection.defineXML(xml).UUIDString())
        self.recorder.wait_for_state(key, VmState.OFF)
        return key

    def domain(self, key: VmKey) -> libvirt.virDomain:
        return self.connection.lookupByUUIDString(key.uuid)

    def document(self, key: VmKey) -> DomainXml:
        return DomainXml.parse(self.domain(key).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))

    def disk(self, key: VmKey, number: int = 0) -> str:
        """Path of a drive's image now, by the stored definition."""
        path: str = [*self.document(key).devices.disks][number].path
        return path

    def reads(self, key: VmKey) -> tuple[str, ...]:
        """What each drive of the VM reads now."""
        return tuple(
            contents(disk.path, disk.driver_type or "raw") for disk in self.document(key).devices.disks if disk.path
        )

    def tree(self, key: VmKey) -> SnapshotTree:
        return self.ask(rq.ReadSnapshots(key))

    def titled(self, key: VmKey, title: str) -> SnapshotInfo:
        return next(each for each in self.tree(key).snapshots if each.title == title)

    def take(self, key: VmKey, title: str, *, memory: bool = True) -> SnapshotId:
        return self.ask(rq.TakeSnapshot(key, title, memory=memory)).id

    def start(self, key: VmKey) -> None:
        self.ask(rq.Start(key))
        self.recorder.wait_for_state(key, VmState.RUNNING)

    def force_off(self, key: VmKey) -> None:
        self.ask(rq.ForceOff(key))
        self.recorder.wait_for_state(key, VmState.OFF)

    def files(self) -> set[str]:
        """Every file of images, the engine's own folder and quarantines, but locks."""
        found: set[str] = set()
        for root in (self.images, paths.images_dir()):
            found.update(os.fspath(path) for path in root.rglob("*") if path.is_file() and path.name != "lock")
        return found


def _end_all(connection: libvirt.virConnect) -> None:
    for domain in connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE):
        domain.destroy()


@contextmanager
def snapshot_world() -> Iterator[World]:
    with SessionDaemon() as daemon:
        engine, recorder = LibvirtEngine(warm_up=False), Recorder()
        engine.add_listener(recorder)
        host = engine.open_host(daemon.uri)
        recorder.wait_for_host(host, HostState.CONNECTED)
        world = World(daemon, engine, recorder, host)
        try:
            yield world
        finally:
            _end_all(world.connection)
            world.connection.close()
            gc.collect()  # what errors hold of libvirt's must not outlive the daemon
            engine.stop(WAIT_S)
