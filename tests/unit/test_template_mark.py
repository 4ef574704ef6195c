"""Which VMs are templates, read from the beginning of what is kept of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from guivm.engine.cloning import template_mark
from guivm.engine.cloning.template_mark import is_marked
from guivm.engine.inventory import Inventory
from guivm.engine.reader import Reader
from guivm.engine.snapshots import store
from guivm.engine.snapshots.tree import BranchTree
from guivm.engine.types import HostId, VmInfo, VmKey, VmState

if TYPE_CHECKING:
    import libvirt

UUID = "3f0a1d5c-9f0f-4a5e-9d5e-0a6f2b1c7d8e"


def kept(images_dir: Path, text: str) -> None:
    store.write_text(store.folder_of(images_dir, UUID), text)


def test_the_names_are_those_of_the_store() -> None:
    assert (template_mark.FOLDER, template_mark.TREE_NAME) == (store.FOLDER, store.TREE_NAME)


@pytest.mark.parametrize("on", [True, False])
@pytest.mark.parametrize("name", ["web", 'a "quoted\\" \\name', '","is_template":true,"', "Zoë \\u0022"])
def test_the_beginning_of_a_tree_tells_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, *, on: bool
) -> None:
    kept(tmp_path, BranchTree(UUID, name, is_template=on).to_json())
    monkeypatch.delattr(store, "load")  # not needed
    assert is_marked(tmp_path, UUID) is on


def test_another_shape_is_read_whole(tmp_path: Path) -> None:
    kept(tmp_path, BranchTree(UUID, "web", is_template=True).to_json().replace('"is_template"', ' "is_template"'))
    assert is_marked(tmp_path, UUID)


def test_what_is_not_there_or_cannot_be_read_is_no_template(tmp_path: Path) -> None:
    assert not is_marked(tmp_path, UUID)
    kept(tmp_path, "no tree")
    assert not is_marked(tmp_path, UUID)
    kept(tmp_path, BranchTree("4" + UUID[1:], "web", is_template=True).to_json())
    assert not is_marked(tmp_path, UUID), "of another VM"


def test_a_reader_without_files_here_knows_none(tmp_path: Path) -> None:
    kept(tmp_path, BranchTree(UUID, "web", is_template=True).to_json())
    host, nothing = HostId("qemu+ssh://x/system"), cast("libvirt.virConnect", None)
    assert not Reader(host, nothing).is_template(UUID)
    assert Reader(host, nothing, tmp_path).is_template(UUID)


def test_a_glance_keeps_what_was_known() -> None:
    key = VmKey(HostId("qemu:///session"), UUID)
    inventory = Inventory(key.host)
    inventory.load(inventory.ticket(), [VmInfo(key, "web", VmState.OFF, is_template=True)])
    inventory.load(inventory.ticket(), [VmInfo(key, "web", VmState.OFF, is_complete=False)])
    seen = inventory.get(UUID)
    assert seen is not None
    assert seen.is_template
