"""Deleting and undo: what may go is exactly what nobody else needs, and a failure at any step loses nothing."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import libvirt
import pytest

from guivm.engine import delete, trash
from guivm.engine.context import HandlerContext
from guivm.engine.files import rename_new
from guivm.engine.job_types import DeletedVm, DiskFate
from guivm.engine.requests import Delete, PlanDelete, PurgeDeleted, UndoDelete
from guivm.engine.types import VmKey
from guivm.errors import GuivmError, InUseError, OperationError, WrongStateError
from tests.helpers.small_libvirt import HOST, SmallConnection, SmallDomain, SmallSnapshot, refusal, small_context

KEY = VmKey(HOST, "11111111-2222-3333-4444-555555555555")
OTHER = VmKey(HOST, "99999999-2222-3333-4444-555555555555")


class House:
    """A host with one VM on two disks, an ISO and UEFI variables."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.connection = SmallConnection()
        self.context: HandlerContext = small_context(self.connection, folder)
        self.images = self.context.images_dir
        self.system = self.image("system.qcow2")
        self.data = self.image("data.qcow2")
        self.iso = folder / "install.iso"
        self.iso.write_bytes(bytes(32769) + b"CD001" + bytes(4096))
        self.nvram = self.images / "vm_VARS.fd"
        self.nvram.write_bytes(b"variables")
        self.vm = self.define(KEY, "vm", [self.system, self.data], iso=self.iso, nvram=self.nvram)

    def image(self, name: str, backing: Path | None = None) -> Path:
        path = self.images / name
        base = [] if backing is None else ["-F", "qcow2", "-b", str(backing)]
        size = ["8M"] if backing is None else []
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *base, str(path), *size], check=True)
        return path

    def define(
        self, key: VmKey, name: str, disks: list[Path], *, iso: Path | None = None, nvram: Path | None = None
    ) -> SmallDomain:
        drives = "".join(f"<disk type='file' device='disk'><source file='{path}'/></disk>" for path in disks)
        if iso is not None:
            drives += f"<disk type='file' device='cdrom'><source file='{iso}'/><readonly/></disk>"
        os_element = "" if nvram is None else f"<os firmware='efi'><nvram>{nvram}</nvram></os>"
        return self.connection.defineXML(
            f"<domain type='qemu'><name>{name}</name><uuid>{key.uuid}</uuid>{os_element}"
            f"<devices>{drives}</devices></domain>"
        )

    def plan(self) -> dict[str, DiskFate]:
        plan = delete.plan_delete(self.context, PlanDelete(KEY))
        return {Path(fate.path).name: fate for fate in plan.files}

    def delete(self, *files: Path) -> DeletedVm:
        return delete.delete(self.context, Delete(KEY, tuple(str(path) for path in files)))

    def state(self) -> tuple[dict[str, str], dict[str, tuple[str, int, int, str]]]:
        """Hash of every file and everything known of every VM."""
        files = {
            str(path.relative_to(self.folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in self.folder.rglob("*")
            if path.is_file() or path.is_symlink()
        }
        vms = {uuid: (vm.xml, vm.on, len(vm.snapshots), vm.current) for uuid, vm in self.connection.domains.items()}
        return files, vms


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


# --- plan -------------------------------------------------------------------------------------------------


def test_the_plan_lists_each_file_with_its_fate(house: House) -> None:
    before = house.state()
    plan = house.plan()
    assert {name: fate.deletable for name, fate in plan.items()} == {
        "system.qcow2": True,
        "data.qcow2": True,
        "install.iso": False,
    }
    assert "media" in plan["install.iso"].reason
    assert plan["system.qcow2"].size_bytes > 0
    assert house.state() == before


def test_a_disk_of_another_vm_stays(house: House) -> None:
    house.define(OTHER, "other", [house.data])
    fate = house.plan()["data.qcow2"]
    assert (fate.deletable, "“other”" in fate.reason) == (False, True)


@pytest.mark.parametrize("alias", ["symlink", "hardlink", "dotted"])
def test_an_alias_of_a_disk_in_another_vm_is_seen(house: House, alias: str) -> None:
    other = house.folder / "alias.qcow2"
    if alias == "symlink":
        other.symlink_to(house.data)
    elif alias == "hardlink":
        os.link(house.data, other)
    else:
        other = house.images / ".." / "images" / "data.qcow2"
    house.define(OTHER, "other", [other])
    assert not house.plan()["data.qcow2"].deletable


def test_the_base_of_another_vms_overlay_stays(house: House) -> None:
    overlay = house.image("overlay.qcow2", backing=house.system)
    top = house.image("top.qcow2", backing=overlay)
    house.define(OTHER, "clone", [top])
    assert not house.plan()["system.qcow2"].deletable
    assert house.plan()["data.qcow2"].deletable


def test_a_disk_named_in_another_vms_snapshot_stays(house: House) -> None:
    other = house.define(OTHER, "other", [])
    other.snapshots.append(
        SmallSnapshot(
            f"<domainsnapshot><name>s</name><disks><disk name='vda'><source file='{house.data}'/></disk></disks>"
            "</domainsnapshot>"
        )
    )
    assert not house.plan()["data.qcow2"].deletable


def test_a_disk_named_in_qemu_arguments_stays(house: House) -> None:
    house.connection.defineXML(
        "<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><name>raw</name>"
        f"<uuid>{OTHER.uuid}</uuid><qemu:commandline><qemu:arg value='file={house.data},if=none'/></qemu:commandline>"
        "</domain>"
    )
    assert not house.plan()["data.qcow2"].deletable


def test_the_vms_own_base_stays_but_its_snapshot_files_may_go(house: House) -> None:
    overlay = house.image("overlay.qcow2", backing=house.system)
    house.define(KEY, "vm", [overlay])
    assert not house.plan()["system.qcow2"].deletable
    house.connection.domains[KEY.uuid].snapshots.append(
        SmallSnapshot(
            "<domainsnapshot><name>s</name><domain><name>vm</name><devices><disk type='file'>"
            f"<source file='{house.system}'/></disk></devices></domain></domainsnapshot>"
        )
    )
    assert house.plan()["system.qcow2"].deletable


def test_links_missing_files_and_shared_disks_stay(house: House) -> None:
    link = house.images / "link.qcow2"
    link.symlink_to(house.data)
    house.define(KEY, "vm", [link, house.images / "gone.qcow2"])
    plan = house.plan()
    assert not plan["link.qcow2"].deletable
    assert (plan["gone.qcow2"].deletable, plan["gone.qcow2"].reason) == (False, "The file is missing.")
    house.connection.defineXML(
        f"<domain><name>vm</name><uuid>{KEY.uuid}</uuid><devices><disk type='file' device='disk'>"
        f"<source file='{house.data}'/><shareable/></disk></devices></domain>"
    )
    assert not house.plan()["data.qcow2"].deletable


def test_a_saved_state_is_announced(house: House) -> None:
    house.vm.saved = True
    assert delete.plan_delete(house.context, PlanDelete(KEY)).loses_saved_state


def test_an_unreadable_description_of_another_vm_stops_the_plan(house: House) -> None:
    other = house.define(OTHER, "other", [])
    other.xml = "<broken"
    with pytest.raises(GuivmError):
        house.plan()


# --- delete, undo, purge ----------------------------------------------------------------------------------


def test_delete_and_undo_bring_everything_back(house: House) -> None:
    house.vm.on = 1
    for name in ("first", "second"):
        house.vm.snapshots.append(SmallSnapshot(f"<domainsnapshot><name>{name}</name></domainsnapshot>"))
    house.vm.current = "second"
    before = house.state()
    inode = house.system.stat().st_ino

    deleted = house.delete(house.system)
    assert KEY.uuid not in house.connection.domains
    assert not house.system.exists()
    assert not house.nvram.exists()
    assert house.data.exists()
    assert deleted.files[0].kept_at.stat().st_ino == inode
    assert house.vm.flags is not None
    assert house.vm.flags & libvirt.VIR_DOMAIN_UNDEFINE_KEEP_NVRAM

    assert delete.undo_delete(house.context, UndoDelete(deleted)) == KEY
    assert house.state() == before


def test_detaching_keeps_every_disk(house: House) -> None:
    deleted = house.delete()
    assert house.system.exists()
    assert house.data.exists()
    assert house.iso.exists()
    assert [file.original for file in deleted.files] == [house.nvram]


def test_purge_frees_what_was_kept_and_nothing_else(house: House) -> None:
    deleted = house.delete(house.system)
    assert delete.purge_deleted(house.context, PurgeDeleted(deleted)) > 0
    assert sorted(path.name for path in house.images.rglob("*")) == ["data.qcow2"]
    with pytest.raises(OperationError):
        delete.undo_delete(house.context, UndoDelete(deleted))
    assert not house.connection.domains


def test_purge_refuses_what_a_vm_has_come_to_need(house: House) -> None:
    deleted = house.delete(house.system)
    house.define(OTHER, "thrifty", [deleted.files[0].kept_at])
    with pytest.raises(InUseError, match="thrifty"):
        delete.purge_deleted(house.context, PurgeDeleted(deleted))
    assert deleted.files[0].kept_at.exists()


def test_a_running_vm_is_not_deleted(house: House) -> None:
    house.vm.running = True
    before = house.state()
    with pytest.raises(WrongStateError):
        house.delete(house.system)
    assert house.state() == before


def test_files_outside_the_plan_or_needed_are_refused(house: House) -> None:
    house.define(OTHER, "other", [house.data])
    before = house.state()
    for path in (house.data, house.iso, Path("/etc/passwd"), house.nvram):
        with pytest.raises(InUseError):
            house.delete(house.system, path)
    assert house.state() == before


def _raise(error: Exception) -> Callable[[], None]:
    def step() -> None:
        raise error

    return step


def test_a_refused_undefine_changes_nothing(house: House) -> None:
    before = house.state()
    house.connection.before["undefineFlags"] = _raise(refusal())
    with pytest.raises(OperationError):
        house.delete(house.system)
    assert house.state() == before


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_a_refused_rename_changes_nothing(house: House, failing: int, monkeypatch: pytest.MonkeyPatch) -> None:
    house.vm.on = 1
    before = house.state()
    moves: list[Path] = []

    def fail_at(source: Path, target: Path) -> None:
        moves.append(source)
        if len(moves) == failing + 1:
            raise OSError(28, "No space left on device")
        rename_new(source, target)

    monkeypatch.setattr(trash, "rename_new", fail_at)
    with pytest.raises(OperationError):
        house.delete(house.system, house.data)
    assert house.state() == before


def test_a_trash_that_cannot_be_made_changes_nothing(house: House) -> None:
    (house.images / trash.TRASH_NAME).write_text("in the way")
    before = house.state()
    with pytest.raises(OperationError, match="nothing was deleted"):
        house.delete(house.system)
    assert house.state() == before


def test_a_full_disk_changes_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    before = house.state()

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("guivm.engine.files.os.fsync", full)
    with pytest.raises(OperationError):
        house.delete(house.system)
    assert house.state() == before


def test_a_vm_started_meanwhile_keeps_its_definition_and_files(house: House) -> None:
    before = house.state()

    def start() -> None:
        house.vm.running = True

    house.connection.before["undefineFlags"] = start
    with pytest.raises(WrongStateError, match="started meanwhile"):
        house.delete(house.system)
    assert house.state() == before


def test_when_even_the_way_back_fails_the_receipt_remains(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    before = house.state()

    def refuse(_source: Path, _target: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(trash, "rename_new", refuse)
    house.connection.before["defineXML"] = _raise(refusal(words="no way back"))
    with pytest.raises(OperationError) as caught:
        house.delete(house.system)
    assert "Undo" in caught.value.advice
    assert "no way back" in caught.value.details
    monkeypatch.undo()
    house.connection.before.clear()
    (deleted,) = delete.recover(house.context)
    delete.undo_delete(house.context, UndoDelete(deleted))
    assert house.state() == before


@pytest.mark.parametrize("step", ["defineXML", "snapshotCreateXML", "setAutostart"])
def test_an_undo_that_fails_can_be_tried_again(house: House, step: str) -> None:
    house.vm.on = 1
    house.vm.snapshots.append(SmallSnapshot("<domainsnapshot><name>s</name></domainsnapshot>"))
    before = house.state()
    deleted = house.delete(house.system)
    gone = house.state()
    house.connection.before[step] = _raise(refusal())
    with pytest.raises(GuivmError):
        delete.undo_delete(house.context, UndoDelete(deleted))
    assert house.state() == gone
    house.connection.before.clear()
    delete.undo_delete(house.context, UndoDelete(deleted))
    assert house.state() == before


def test_undo_replaces_neither_a_vm_nor_a_file(house: House) -> None:
    deleted = house.delete(house.system)
    house.define(OTHER, "vm", [])
    with pytest.raises(OperationError, match="named"):
        delete.undo_delete(house.context, UndoDelete(deleted))
    house.connection.domains.clear()
    house.system.write_text("new")
    with pytest.raises(OperationError, match="Another file"):
        delete.undo_delete(house.context, UndoDelete(deleted))
    assert house.system.read_text() == "new"
    assert not house.connection.domains


@pytest.mark.parametrize("crash_after", ["receipt", "undefine", "first move"])
def test_a_crash_at_any_point_is_settled(house: House, crash_after: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = house.state()

    class CrashError(BaseException):
        """The process is gone: nothing of ours runs after it."""

    def crash(*_: object) -> None:
        raise CrashError

    def crash_halfway(deleted: DeletedVm) -> None:
        rename_new(deleted.files[0].original, deleted.files[0].kept_at)
        raise CrashError

    if crash_after == "receipt":
        house.connection.before["undefineFlags"] = crash
    elif crash_after == "undefine":
        monkeypatch.setattr(trash, "move_in", crash)
    else:
        monkeypatch.setattr(trash, "move_in", crash_halfway)
    with pytest.raises(CrashError):
        house.delete(house.system, house.data)
    monkeypatch.undo()
    house.connection.before.clear()

    undoable = delete.recover(house.context)
    assert len(undoable) == (0 if crash_after == "receipt" else 1)
    for deleted in undoable:
        delete.undo_delete(house.context, UndoDelete(deleted))
    assert house.state() == before


def test_what_has_expired_is_purged_unless_needed(house: House) -> None:
    deleted = house.delete(house.system)
    house.define(OTHER, "thrifty", [deleted.files[0].kept_at])
    assert delete.purge_expired(house.context, (house.images,), days=0) == 0
    house.connection.domains.clear()
    assert delete.purge_expired(house.context, (house.images,), days=0) > 0
    assert not deleted.files[0].kept_at.exists()


def test_on_the_test_driver_delete_and_undo_work_without_files(tmp_path: Path) -> None:
    connection = libvirt.open("test:///default")
    try:
        context = small_context(SmallConnection(), tmp_path)
        context = HandlerContext(context.host, connection, context.job, context.cache_dir, context.images_dir)
        domain = connection.lookupByName("test")
        key = VmKey(HOST, domain.UUIDString())
        with pytest.raises(WrongStateError):
            delete.delete(context, Delete(key))
        domain.destroy()
        assert not any(fate.deletable for fate in delete.plan_delete(context, PlanDelete(key)).files)
        xml = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
        deleted = delete.delete(context, Delete(key))
        assert connection.listAllDomains(0) == []
        delete.undo_delete(context, UndoDelete(deleted))
        assert connection.lookupByName("test").XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE) == xml
        connection.lookupByName("test").undefine()
        assert delete.purge_deleted(context, PurgeDeleted(deleted)) == 0
        assert list(context.images_dir.iterdir()) == []
    finally:
        connection.close()
