from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from guivm.engine.context import HandlerContext
from guivm.engine.snapshots import removal, store
from guivm.engine.snapshots.inside import hidden
from guivm.engine.snapshots.inside.hidden import Hidden, Notes
from guivm.errors import OperationError


def test_notes_come_back(tmp_path: Path) -> None:
    folder = tmp_path / "vm"
    assert hidden.load(folder) is None
    hidden.save(folder, Notes("guivm-undo-2"))
    hidden.note_unwanted(folder, "", "späte", 5.5)
    notes = hidden.load(folder)
    assert notes == Notes("guivm-undo-2", {"späte": 5.5})
    assert notes.means("späte", 6)
    assert not notes.means("späte", 3600), "another tool has made one of that name since"
    assert not notes.means("other", 5.5)
    assert (folder / hidden.NAME).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in folder.iterdir()] == [hidden.NAME]


def test_the_first_note_keeps_the_undo_of_before(tmp_path: Path) -> None:
    hidden.note_unwanted(tmp_path, "guivm-undo", "x", 1.0)
    assert hidden.load(tmp_path) == Notes("guivm-undo", {"x": 1.0})


@pytest.mark.parametrize(
    "text",
    ["", "[", "[]", "{}", '{"version": 2, "undo": "", "unwanted": {}}', '{"version": 1, "undo": 3, "unwanted": {}}',
     '{"version": 1, "undo": "", "unwanted": {"a": []}}', '{"version": 1, "undo": "", "unwanted": []}', "[" * 100_000],
)  # fmt: skip
def test_what_cannot_be_understood_says_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / hidden.NAME).write_text(text)
    assert hidden.load(tmp_path) is None


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / f"{hidden.NAME}.part").mkdir()
    with pytest.raises(OperationError):
        hidden.save(tmp_path, Notes())


def test_the_next_one_above_that_is_shown() -> None:
    found = Hidden({"guivm-undo": "x", "x": "first", "top": ""}, "guivm-undo")
    assert [found.shown(name) for name in ("guivm-undo", "first", "top", "")] == ["first", "first", "", ""]
    assert found.leftovers == ("x", "top")


def test_notes_go_with_the_vm(tmp_path: Path) -> None:
    uuid = "6a1f2c3d-0000-4000-8000-00000000abcd"
    folder = store.folder_of(tmp_path, uuid)
    hidden.save(folder, Notes("guivm-undo"))
    (folder / "lock").touch()
    same = SimpleNamespace(UUIDString=lambda: uuid)
    host = SimpleNamespace(listAllDomains=lambda _flags: [same])
    removal.forget(
        cast(HandlerContext, SimpleNamespace(kept_here=tmp_path, images_dir=tmp_path, connection=host)), uuid
    )
    assert not folder.exists()
