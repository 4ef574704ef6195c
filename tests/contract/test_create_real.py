"""New VMs and deletion on real libvirt with real QEMU (software emulation)."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import libvirt
import pytest

from guivm.engine import create, delete, files, images, trash
from guivm.engine.capabilities import CapabilityCache
from guivm.engine.context import HandlerContext
from guivm.engine.job_types import (
    BootSource,
    DeletedVm,
    DiskSource,
    Firmware,
    IsoSource,
    KernelSource,
    NetworkSource,
    NewVmField,
    NewVmSpec,
    NoSource,
    VirtType,
)
from guivm.engine.jobs import Job
from guivm.engine.new_vm_xml import MachinePlan
from guivm.engine.requests import CheckNewVm, CreateVm, Delete, PlanDelete, PurgeDeleted, UndoDelete
from guivm.engine.types import HostId, HostInfo, HostState, VmKey
from guivm.engine.xml.domain import DomainXml
from guivm.errors import GuivmError, InUseError, WrongStateError
from tests.helpers.daemon import SessionDaemon


@pytest.fixture(scope="module")
def connection() -> Iterator[libvirt.virConnect]:
    with SessionDaemon() as daemon:
        value = libvirt.open(daemon.uri)
        yield value
        value.close()


@pytest.fixture(scope="module")
def cache(connection: libvirt.virConnect) -> CapabilityCache:
    return CapabilityCache()


class House:
    def __init__(self, connection: libvirt.virConnect, cache: CapabilityCache, folder: Path) -> None:
        self.connection = connection
        self.folder = folder
        self.host = HostId(connection.getURI())
        images_dir = folder / "images"
        images_dir.mkdir(mode=0o700)
        self.context = HandlerContext(
            host=HostInfo(self.host, self.host, "This computer", HostState.CONNECTED),
            connection=connection,
            job=Job(self.host, None, "test"),
            cache_dir=folder / "cache",
            images_dir=images_dir,
            capabilities=cache,
        )
        self.context.job.begin()

    def spec(self, name: str, source: BootSource, **changes: object) -> NewVmSpec:
        spec = NewVmSpec(
            self.host, name, source, 256 * 1024, 2, 1 << 30, Firmware.BIOS, VirtType.TCG, "A title", "Notes <b>&amp;"
        )
        return replace(spec, **changes)  # type: ignore[arg-type]  # named fields of their own types

    def create(self, spec: NewVmSpec) -> VmKey:
        return create.create_vm(self.context, CreateVm(spec))

    def domain(self, key: VmKey) -> libvirt.virDomain:
        return self.context.domain(key)

    def document(self, key: VmKey) -> DomainXml:
        return DomainXml.parse(self.domain(key).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))

    def run_briefly(self, key: VmKey) -> None:
        domain = self.domain(key)
        domain.create()
        assert domain.state()[0] == libvirt.VIR_DOMAIN_RUNNING
        assert libvirt.open(self.host).lookupByUUIDString(key.uuid).isActive()
        domain.destroy()

    def delete(self, key: VmKey) -> DeletedVm:
        plan = delete.plan_delete(self.context, PlanDelete(key))
        return delete.delete(self.context, Delete(key, tuple(fate.path for fate in plan.files if fate.deletable)))

    def hashes(self) -> dict[str, str]:
        return {
            str(path.relative_to(self.folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in self.folder.rglob("*")
            if path.is_file()
        }

    def source(self, kind: str) -> BootSource:
        """A file of each kind: enough for QEMU to begin with it."""
        if kind == "iso":
            (self.folder / "tree").mkdir()
            (self.folder / "tree" / "boot.img").write_bytes(b"\xeb\xfe" + bytes(2046))
            path = self.folder / "a, b.iso"
            command = ["xorriso", "-as", "mkisofs", "-quiet", "-o", str(path), "-b", "boot.img", "-no-emul-boot"]
            subprocess.run([*command, str(self.folder / "tree")], check=True, capture_output=True)
            return IsoSource(path)
        if kind == "disk":
            images.create_qcow2(self.folder / "existing.qcow2", 64 << 20)
            return DiskSource(self.folder / "existing.qcow2")
        if kind == "raw disk":
            (self.folder / "existing.img").write_bytes(b"\xeb\xfe" + bytes(508) + b"\x55\xaa" + bytes(1 << 20))
            return DiskSource(self.folder / "existing.img")
        if kind == "kernel":
            header = bytearray(65536)  # the Linux boot protocol, 2.02: four set-up sectors, loaded high
            header[0x1F1] = 4
            header[0x202:0x208] = b"HdrS\x02\x02"
            header[0x211] = 1
            (self.folder / "vmlinuz").write_bytes(header)
            (self.folder / "initrd").write_bytes(bytes(1024))
            return KernelSource(self.folder / "vmlinuz", self.folder / "initrd", "console=ttyS0 a='b, c'")
        return NetworkSource() if kind == "network" else NoSource()


@pytest.fixture
def house(connection: libvirt.virConnect, cache: CapabilityCache, tmp_path: Path) -> Iterator[House]:
    value = House(connection, cache, tmp_path)
    yield value
    for domain in connection.listAllDomains(0):
        if domain.isActive():
            domain.destroy()
        domain.undefineFlags(
            libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
            | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
            | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
        )


@pytest.mark.parametrize(
    ("kind", "firmware"),
    [
        ("iso", Firmware.BIOS),
        ("iso", Firmware.UEFI),
        ("disk", Firmware.BIOS),
        ("raw disk", Firmware.BIOS),
        ("kernel", Firmware.BIOS),
        ("network", Firmware.UEFI),
        ("nothing", Firmware.BIOS),
    ],
)
def test_from_creation_to_purge(house: House, kind: str, firmware: Firmware) -> None:
    source = house.source(kind)
    before = house.hashes()
    spec = house.spec("Ünï “vm”, 1", source, firmware=firmware)
    assert create.check_new_vm(house.context, CheckNewVm(spec)) == ()
    key = house.create(spec)
    document = house.document(key)
    assert (document.name, document.title, document.description) == (spec.name, spec.title, spec.notes)
    assert document.devices.graphics[0].listen_type == "none"
    assert house.hashes().keys() - before.keys() == {"images/Ünï _vm__ 1.qcow2"}
    (problem,) = create.check_new_vm(house.context, CheckNewVm(replace(spec, source=NoSource())))
    assert problem.field is NewVmField.NAME

    domain = house.domain(key)
    domain.setAutostart(1)
    domain.create()
    assert domain.state()[0] == libvirt.VIR_DOMAIN_RUNNING
    with pytest.raises(WrongStateError):
        house.delete(key)
    domain.destroy()

    kept = house.hashes()
    xml = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    deleted = house.delete(key)
    with pytest.raises(GuivmError):
        house.domain(key)
    assert delete.undo_delete(house.context, UndoDelete(deleted)) == key
    assert house.domain(key).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE) == xml
    assert house.domain(key).autostart() == 1
    assert house.hashes() == kept
    house.run_briefly(key)

    deleted = house.delete(key)
    delete.purge_deleted(house.context, PurgeDeleted(deleted))
    left = set(before) - ({"existing.qcow2", "existing.img"} & set(before))
    assert set(house.hashes()) == left
    assert not house.connection.listAllDomains(0)


def test_what_libvirt_refuses_leaves_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(spec: NewVmSpec, plan: MachinePlan) -> DomainXml:
        document = DomainXml.new()
        document.type, document.name, document.uuid = "qemu", spec.name, plan.uuid
        document.devices.disks.add().type = "file"
        return document

    monkeypatch.setattr(create, "build_domain", broken)
    with pytest.raises(GuivmError) as caught:
        house.create(house.spec("vm", NoSource()))
    assert caught.value.details
    assert house.hashes() == {}
    assert not house.connection.listAllDomains(0)


def test_snapshots_come_back_with_undo(house: House) -> None:
    key = house.create(house.spec("vm", NoSource()))
    domain = house.domain(key)
    for name in ("first", "second"):
        domain.snapshotCreateXML(f"<domainsnapshot><name>{name}</name></domainsnapshot>", 0)
    kept = house.hashes()
    xml = {snapshot.getName(): snapshot.getXMLDesc(0) for snapshot in domain.listAllSnapshots(0)}
    deleted = house.delete(key)
    assert len(deleted.files) == 1
    delete.undo_delete(house.context, UndoDelete(deleted))
    domain = house.domain(key)
    assert {snapshot.getName(): snapshot.getXMLDesc(0) for snapshot in domain.listAllSnapshots(0)} == xml
    assert domain.snapshotCurrent(0).getName() == "second"
    assert house.hashes() == kept
    domain.revertToSnapshot(domain.snapshotLookupByName("first", 0), 0)


def test_a_saved_state_is_announced_and_lost(house: House) -> None:
    key = house.create(house.spec("vm", NoSource(), disk_bytes=None))
    house.domain(key).create()
    house.domain(key).managedSave(0)
    assert delete.plan_delete(house.context, PlanDelete(key)).loses_saved_state
    deleted = house.delete(key)
    delete.undo_delete(house.context, UndoDelete(deleted))
    assert not house.domain(key).hasManagedSaveImage(0)


def test_the_base_of_a_linked_clone_stays(house: House) -> None:
    base = house.create(house.spec("base", NoSource()))
    path = Path(house.document(base).devices.disks[0].path)
    overlay = house.folder / "overlay.qcow2"
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", str(path), str(overlay)], check=True
    )
    clone = house.document(base)
    clone.name, clone.uuid = "clone", "00000000-1111-2222-3333-444444444444"
    for card in clone.devices.interfaces:
        card.mac = None
    clone.devices.disks[0].source_file = str(overlay)
    house.connection.defineXML(clone.to_text())
    (fate,) = delete.plan_delete(house.context, PlanDelete(base)).files
    assert (fate.deletable, "“clone”" in fate.reason) == (False, True)
    with pytest.raises(InUseError):
        delete.delete(house.context, Delete(base, (str(path),)))
    assert house.domain(base)
    assert path.exists()


def test_a_rename_that_fails_brings_the_vm_back(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    key = house.create(house.spec("vm", NoSource(), firmware=Firmware.UEFI))
    house.run_briefly(key)
    before = house.hashes()
    xml = house.domain(key).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    original = files.rename_new

    def fail(source: Path, target: Path) -> None:
        if source.suffix == ".fd":
            raise OSError(5, "Input/output error")
        original(source, target)

    monkeypatch.setattr(trash, "rename_new", fail)
    with pytest.raises(GuivmError):
        house.delete(key)
    assert house.domain(key).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE) == xml
    assert house.hashes() == before


def test_uefi_variables_in_libvirts_own_place_survive_undo_and_go_with_purge(house: House) -> None:
    key = house.create(house.spec("vm", NoSource(), firmware=Firmware.UEFI, disk_bytes=None))
    document = house.document(key)
    document.os.nvram = None  # as other programs define their VMs
    domain = house.connection.defineXML(document.to_text())
    domain.create()
    running = DomainXml.parse(domain.XMLDesc(0))
    nvram = Path(running.os.nvram or "")
    domain.destroy()
    content = nvram.read_bytes()
    deleted = house.delete(key)
    # libvirt from 9.2 on names the file in the definition, and so it goes where the images go.
    kept = {file.original: file.kept_at for file in deleted.files}.get(nvram, nvram)
    assert kept.read_bytes() == content
    delete.undo_delete(house.context, UndoDelete(deleted))
    assert nvram.read_bytes() == content
    delete.purge_deleted(house.context, PurgeDeleted(house.delete(key)))
    assert not nvram.exists()
    assert not house.connection.listAllDomains(0)
