"""Files kept aside: moved and never copied, brought back whole, and never lost by a failure."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from guivm.engine import trash
from guivm.engine.files import rename_new, write_new
from guivm.engine.job_types import DeletedVm, TrashedFile
from guivm.engine.types import HostId, VmKey
from guivm.errors import OperationError

KEY = VmKey(HostId("qemu:///session"), "11111111-2222-3333-4444-555555555555")


def make(folder: Path, *names: str) -> DeletedVm:
    trash_id = trash.new_trash_id(KEY.uuid)
    files = []
    for index, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(os.fsencode(name) * 100)
        files.append(TrashedFile(path, trash.kept_place(path, trash_id, index), 4096))
    folders = dict.fromkeys([folder, *(file.original.parent for file in files)])
    return DeletedVm(
        KEY, "vm", "<domain/>", True, tuple(files), trash_dirs=tuple(trash.trash_dir(f, trash_id) for f in folders)
    )


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != trash.RECEIPT_NAME
    }


def test_there_and_back_again(tmp_path: Path) -> None:
    deleted = make(tmp_path, "a/disk.qcow2", "b/disk.qcow2")
    before = tree(tmp_path)
    inodes = [file.original.stat().st_ino for file in deleted.files]
    trash.write_receipts(deleted)
    trash.move_in(deleted)
    assert not any(file.original.exists() for file in deleted.files)
    assert [file.kept_at.stat().st_ino for file in deleted.files] == inodes
    for folder in deleted.trash_dirs:
        assert folder.stat().st_mode & 0o777 == 0o700
        assert folder.parent.stat().st_mode & 0o777 == 0o700
        assert (folder / trash.RECEIPT_NAME).stat().st_mode & 0o777 == 0o600
    trash.move_out(deleted)
    trash.remove_receipts(deleted)
    assert tree(tmp_path) == before
    assert not list(tmp_path.rglob(trash.TRASH_NAME))


def test_receipts_are_read_back_exactly(tmp_path: Path) -> None:
    deleted = make(tmp_path, "ünï\udcff.qcow2")
    trash.write_receipts(deleted, now_s=1234.5)
    (found,) = trash.receipts([tmp_path, tmp_path / "nowhere"])
    assert found == trash.Receipt(deleted, 1234.5)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 2}', '{"format": 1}', "[" * 100000])
def test_damaged_receipts_are_left_alone(tmp_path: Path, text: str) -> None:
    deleted = make(tmp_path, "disk.qcow2")
    trash.write_receipts(deleted)
    (deleted.trash_dirs[0] / trash.RECEIPT_NAME).write_text(text)
    assert trash.receipts([tmp_path]) == ()
    with pytest.raises(OperationError):
        trash.read_receipt(deleted.trash_dirs[0] / trash.RECEIPT_NAME)


def test_a_file_at_the_old_place_is_never_replaced(tmp_path: Path) -> None:
    deleted = make(tmp_path, "a.qcow2", "b.qcow2")
    trash.write_receipts(deleted)
    trash.move_in(deleted)
    (tmp_path / "b.qcow2").write_text("new")
    before = tree(tmp_path)
    with pytest.raises(OperationError, match="Another file"):
        trash.move_out(deleted)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("moved", [0, 1, 2])
def test_a_move_cut_short_by_a_crash_is_brought_back(tmp_path: Path, moved: int) -> None:
    deleted = make(tmp_path, "a.qcow2", "b.qcow2")
    before = tree(tmp_path)
    trash.write_receipts(deleted)
    for file in deleted.files[:moved]:
        rename_new(file.original, file.kept_at)
    if moved < 2:  # the crash fell between the new name and the end of the old one
        os.link(deleted.files[moved].original, deleted.files[moved].kept_at)
    trash.move_out(trash.receipts([tmp_path])[0].deleted)
    trash.remove_receipts(deleted)
    assert tree(tmp_path) == before
    assert not (tmp_path / trash.TRASH_NAME).exists()


@pytest.mark.parametrize("failing", [0, 1])
def test_a_failed_move_puts_all_back(tmp_path: Path, failing: int, monkeypatch: pytest.MonkeyPatch) -> None:
    deleted = make(tmp_path, "a.qcow2", "b.qcow2")
    before = tree(tmp_path)
    trash.write_receipts(deleted)

    def fail_once(source: Path, target: Path) -> None:
        if source == deleted.files[failing].original:
            raise OSError(5, "Input/output error")
        rename_new(source, target)

    monkeypatch.setattr(trash, "rename_new", fail_once)
    with pytest.raises(OperationError):
        trash.move_in(deleted)
    assert tree(tmp_path) == before


def test_a_trash_folder_laid_by_someone_else_is_refused(tmp_path: Path) -> None:
    deleted = make(tmp_path, "a.qcow2")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / trash.TRASH_NAME).symlink_to(elsewhere)
    with pytest.raises(OperationError, match="nothing was deleted"):
        trash.write_receipts(deleted)
    assert list(elsewhere.iterdir()) == []


def test_discarding_frees_only_what_is_kept(tmp_path: Path) -> None:
    deleted = make(tmp_path, "a.qcow2", "b.qcow2")
    trash.write_receipts(deleted)
    rename_new(deleted.files[0].original, deleted.files[0].kept_at)
    assert trash.discard(deleted) > 0
    assert tree(tmp_path) == {"b.qcow2": b"b.qcow2" * 100}


def test_a_forged_receipt_removes_nothing(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    deleted = make(tmp_path, "a.qcow2")
    forged_file = TrashedFile(tmp_path / "x", victim, 0)
    for forged in (
        DeletedVm(KEY, "vm", "", False, (forged_file,), trash_dirs=deleted.trash_dirs),
        DeletedVm(KEY, "vm", "", False, (forged_file,), trash_dirs=(tmp_path,)),
    ):
        with pytest.raises(OperationError):
            trash.discard(forged)
    assert victim.read_text() == "precious"


def test_retention(tmp_path: Path) -> None:
    old, new = make(tmp_path, "old.qcow2"), make(tmp_path, "new.qcow2")
    day = 86400.0
    trash.write_receipts(old, now_s=0)
    trash.write_receipts(new, now_s=5 * day)
    trash.move_in(old)
    trash.move_in(new)
    assert trash.expired([tmp_path], now_s=6 * day) == ()
    assert trash.expired([tmp_path], now_s=8 * day) == (old,)
    assert trash.purge_expired([tmp_path], now_s=8 * day) > 0
    assert [receipt.deleted for receipt in trash.receipts([tmp_path])] == [new]
    assert new.files[0].kept_at.exists()


def test_receipts_hold_plain_json(tmp_path: Path) -> None:
    deleted = make(tmp_path, "a.qcow2")
    trash.write_receipts(deleted)
    value = json.loads((deleted.trash_dirs[0] / trash.RECEIPT_NAME).read_text())
    assert value["format"] == 1
    assert value["files"][0]["original"] == str(tmp_path / "a.qcow2")


def test_rename_new_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("guivm.engine.files.os.link", no_links)
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("b")
    with pytest.raises(FileExistsError):
        rename_new(tmp_path / "a", tmp_path / "b")
    rename_new(tmp_path / "a", tmp_path / "c")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"b": "b", "c": "a"}


def test_write_new_replaces_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    with pytest.raises(FileExistsError):
        write_new(tmp_path / "a", b"b")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a": "a"}
