from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from guivm.engine.snapshots import store
from guivm.engine.snapshots.tree import BranchTree, InternalRecord
from guivm.errors import OperationError

ONE = "11111111-2222-4333-8444-555555555555"
TWO = "22222222-2222-4333-8444-555555555555"


def tree(uuid: str = ONE, title: str = "t") -> BranchTree:
    return BranchTree(uuid, "vm", internal=(InternalRecord("a", title),))


def test_what_is_stored_comes_back(tmp_path: Path) -> None:
    assert store.load(tmp_path, ONE) is None
    assert store.trees(tmp_path) == {}
    folder = store.folder_of(tmp_path, ONE)
    store.save(folder, tree())
    store.save(store.folder_of(tmp_path, TWO), tree(TWO))
    (tmp_path / store.FOLDER / "a file").write_text("")
    (tmp_path / store.FOLDER / "empty").mkdir()
    assert store.trees(tmp_path) == {ONE: tree(), TWO: tree(TWO)}
    assert store.uuids(tmp_path) == (ONE, TWO, "empty")
    for path, mode in ((folder, 0o700), (folder.parent, 0o700), (folder / store.TREE_NAME, 0o600)):
        assert path.stat().st_mode & 0o777 == mode


@pytest.mark.parametrize("text", ["", "{}", "[", "null", '{"version": 1}', "\udcff"])
def test_a_damaged_tree_is_an_error_and_never_an_empty_one(tmp_path: Path, text: str) -> None:
    folder = store.folder_of(tmp_path, ONE)
    store.save(folder, tree())
    (folder / store.TREE_NAME).write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(OperationError) as caught:
        store.load(tmp_path, ONE)
    assert str(folder / store.TREE_NAME) in caught.value.advice
    with pytest.raises(OperationError):
        store.trees(tmp_path)


def test_a_tree_cut_anywhere_is_an_error(tmp_path: Path) -> None:
    folder = store.folder_of(tmp_path, ONE)
    store.save(folder, tree())
    whole = (folder / store.TREE_NAME).read_bytes()
    for length in range(len(whole)):
        (folder / store.TREE_NAME).write_bytes(whole[:length])
        with pytest.raises(OperationError):
            store.load(tmp_path, ONE)


def test_what_is_no_file_or_of_another_vm_is_refused(tmp_path: Path) -> None:
    folder = store.folder_of(tmp_path, ONE)
    store.save(folder, tree(TWO))
    with pytest.raises(OperationError):
        store.load(tmp_path, ONE)
    (folder / store.TREE_NAME).unlink()
    os.mkfifo(folder / store.TREE_NAME)
    with pytest.raises(OperationError):
        store.load(tmp_path, ONE)
    (folder / store.TREE_NAME).unlink()
    (folder / store.TREE_NAME).mkdir()
    with pytest.raises(OperationError):
        store.load(tmp_path, ONE)


@pytest.mark.parametrize("name", ["open", "fsync", "replace", "mkdir"])
def test_a_failure_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    folder = store.folder_of(tmp_path, ONE)
    if name != "mkdir":
        store.save(folder, tree())
    before = store.load(tmp_path, ONE)
    with monkeypatch.context() as patched:

        def fail(*_args: object, **_kwargs: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        patched.setattr(os, name, fail)
        with pytest.raises(OSError, match="No space"):
            store.save(folder, tree(title="new"))
    assert store.load(tmp_path, ONE) == before
    assert not (folder / f"{store.TREE_NAME}.part").exists()
    store.save(folder, tree(title="new"))
    assert store.load(tmp_path, ONE) == tree(title="new")
