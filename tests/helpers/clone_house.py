"""A real libvirt with VMs that are cloned or run for once, what they are made of, and what their images read."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import libvirt

from guivm.engine.capabilities import CapabilityCache
from guivm.engine.cloning import handlers
from guivm.engine.context import HandlerContext
from guivm.engine.jobs import Job
from guivm.engine.requests import (
    CloneVm,
    DeleteSnapshots,
    DetachClone,
    PlanOperation,
    SetTemplate,
    TakeSnapshot,
)
from guivm.engine.snapshots import handlers as snapshots
from guivm.engine.snapshots.values import (
    ClonedVm,
    CloneSpec,
    FileAction,
    OperationPlan,
    SnapshotId,
)
from guivm.engine.types import HostId, HostInfo, HostState, VmKey
from guivm.engine.xml.domain import DomainXml
from tests.helpers.daemon import SessionDaemon

_VM = """
<domain type='qemu'>
  <name>{name}</name><title>A title</title><description>Notes</description>
  <metadata><guivm:settings xmlns:guivm='https://guivm.org/xmlns/domain/1'>
    <guivm:portForward mac='52:54:00:00:00:0a' protocol='tcp' hostPort='2222' guestPort='22'/>
  </guivm:settings></metadata>
  <memory unit='MiB'>64</memory><vcpu>1</vcpu><genid/>
  <os{firmware}><type arch='x86_64' machine='q35'>hvm</type></os><features><acpi/></features>
  <devices>
    {disks}
    <interface type='user'><mac address='52:54:00:00:00:0a'/><model type='virtio'/></interface>
    <graphics type='vnc'><listen type='none'/></graphics><video><model type='vga'/></video>
    {more}
  </devices>
</domain>"""
_DISK = """<disk type='file' device='disk'><driver name='qemu' type='{form}'/><source file='{path}'/>
<target dev='{target}' bus='virtio'/><serial>SOURCE-{target}</serial></disk>"""


def run(*arguments: str | Path) -> str:
    done = subprocess.run([str(a) for a in arguments], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


class House:
    """A host with its folder of images."""

    def __init__(self, connection: libvirt.virConnect, folder: Path) -> None:
        self.connection = connection
        self.images = folder / "images"
        self.images.mkdir(mode=0o700)
        self.host = HostId(connection.getURI())
        self.folder = folder

    @property
    def context(self) -> HandlerContext:
        """With a new job: one that was cancelled stays so."""
        context = HandlerContext(
            host=HostInfo(self.host, self.host, "This computer", HostState.CONNECTED),
            connection=self.connection,
            job=Job(self.host, None, "test"),
            cache_dir=self.folder / "cache",
            images_dir=self.images,
            capabilities=CapabilityCache(),
        )
        context.job.begin()
        return context

    # --- the source -----------------------------------------------------------------------------------

    def image(self, name: str, value: int, form: str = "qcow2") -> Path:
        path = self.images / name
        run("qemu-img", "create", "-q", "-f", form, path, "8M")
        self.write(path, value, form)
        return path

    @staticmethod
    def write(path: Path, value: int, form: str = "qcow2", at: str = "0") -> None:
        run("qemu-io", "-f", form, "-c", f"write -P {value} {at} 1M", path)

    @staticmethod
    def reads(path: str | Path, value: int, form: str = "qcow2", at: str = "0") -> bool:
        return "failed" not in run("qemu-io", "-r", "-f", form, "-c", f"read -P {value} {at} 1M", path)

    def define(self, name: str, disks: dict[str, tuple[Path, str]], *, uefi: bool = False, more: str = "") -> VmKey:
        lines = [_DISK.format(form=form, path=path, target=target) for target, (path, form) in disks.items()]
        firmware = " firmware='efi'" if uefi else ""
        xml = _VM.format(name=name, disks="\n".join(lines), firmware=firmware, more=more)
        return VmKey(self.host, self.connection.defineXML(xml).UUIDString())

    def bios(self, name: str = "source") -> VmKey:
        """Two drives: qcow2 and raw."""
        return self.define(
            name,
            {"vda": (self.image(f"{name}.qcow2", 1), "qcow2"), "vdb": (self.image(f"{name}.img", 2, "raw"), "raw")},
        )

    def uefi(self, name: str = "source") -> VmKey:
        key = self.define(name, {"vda": (self.image(f"{name}.qcow2", 1), "qcow2")}, uefi=True)
        self.run_briefly(key)
        return key

    # --- doing ----------------------------------------------------------------------------------------

    def clone(self, key: VmKey, name: str = "copy", **changes: object) -> ClonedVm:
        spec = replace(CloneSpec(name), **changes)  # type: ignore[arg-type]  # named fields of their own types
        shown = self.plan(CloneVm(key, spec))
        assert not shown.refused
        made = handlers.clone_vm(self.context, CloneVm(key, spec))
        created = {e.path for e in shown.effects if e.action in (FileAction.CREATE, FileAction.COPY)}
        assert {Path(d.path).parent for d in self.document(made.key).devices.disks if d.path} <= {
            Path(path).parent for path in created
        }
        return made

    def plan(self, request: CloneVm | SetTemplate | DetachClone | DeleteSnapshots) -> OperationPlan:
        return snapshots.plan_operation(self.context, PlanOperation(request.key, request))

    def take(self, key: VmKey, title: str) -> SnapshotId:
        return snapshots.take_snapshot(self.context, TakeSnapshot(key, title)).id

    def domain(self, key: VmKey) -> libvirt.virDomain:
        return self.connection.lookupByUUIDString(key.uuid)

    def document(self, key: VmKey) -> DomainXml:
        return DomainXml.parse(self.domain(key).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))

    def disk(self, key: VmKey, target: str = "vda") -> str:
        return next(d.path for d in self.document(key).devices.disks if d.target_dev == target)

    def run_briefly(self, key: VmKey) -> None:
        self.domain(key).create()
        self.domain(key).destroy()

    def hashes(self) -> dict[str, str]:
        """Of all files there are, locks aside."""
        return {
            str(path.relative_to(self.folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in self.folder.rglob("*")
            if path.is_file() and path.name != "lock"
        }

    def names(self) -> set[str]:
        return {str(domain.name()) for domain in self.connection.listAllDomains(0)}


@contextmanager
def session_connection() -> Iterator[libvirt.virConnect]:
    """Of a daemon of one's own."""
    with SessionDaemon() as daemon:
        value = libvirt.open(daemon.uri)
        yield value
        value.close()


@contextmanager
def clone_house(connection: libvirt.virConnect, folder: Path) -> Iterator[House]:
    """In the end all VMs of the connection go."""
    yield House(connection, folder)
    for domain in connection.listAllDomains(0):
        if domain.isActive():
            domain.destroy()
        domain.undefineFlags(
            libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
            | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
            | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
        )
