"""Each step of a plan with real ``qemu-img``: done, and done again."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from guivm.engine import qemu_img
from guivm.engine.snapshots import steps, store
from guivm.engine.snapshots.reading import holds_data
from guivm.errors import OperationError
from tests.helpers.image_oracles import Qcow2, check_images, contents, digest
from tests.helpers.snapshot_place import (
    UUID,
    XML,
    Place,
)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_our_reader_of_qcow2_agrees_with_qemu(place: Place, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    for path in (place.base, place.middle, place.top):
        qemu_img.work(("convert", "-f", "qcow2", "-O", "raw", "--", str(path), str(raw)), "failed")
        assert contents(path, "qcow2") == raw.read_bytes()
        raw.unlink()


def test_an_overlay_is_empty_private_and_names_its_base_with_its_format(place: Place) -> None:
    path = place.overlay("new.qcow2", place.top)
    image = Qcow2.read(path)
    assert (image.backing, image.backing_format, image.size) == (str(place.top), "qcow2", 8 << 20)
    assert path.stat().st_mode & 0o777 == 0o600
    assert not holds_data(str(path))
    assert holds_data(str(place.top))
    assert digest(path, "qcow2") == digest(place.top, "qcow2")


def test_pull_reads_the_same_and_needs_no_more_than_it_says(place: Place) -> None:
    before = digest(place.top, "qcow2")
    for step in (
        steps.Pull(str(place.top), "qcow2", str(place.base), "qcow2"),
        steps.Pull(str(place.top), "qcow2", None),
    ):
        for _again in range(2):
            place.do(step)
            assert Qcow2.read(place.top).backing == (step.backing or "")
            assert digest(place.top, "qcow2") == before
            check_images([place.top])


def test_merge_makes_the_base_read_as_what_was_above_and_leaves_that_alone(place: Place) -> None:
    before, raw = digest(place.top, "qcow2"), place.top.read_bytes()
    for _again in range(2):
        place.do(steps.Merge(str(place.top), "qcow2", str(place.middle)))
        assert digest(place.middle, "qcow2") == digest(place.top, "qcow2") == before
        check_images([place.middle, place.top])
    assert place.top.read_bytes() == raw


def test_merge_writes_into_nothing_but_what_is_meant(place: Place) -> None:
    before = [path.read_bytes() for path in (place.base, place.middle, place.top)]
    with pytest.raises(OperationError):
        place.do(steps.Merge(str(place.top), "qcow2", str(place.base)))
    assert [path.read_bytes() for path in (place.base, place.middle, place.top)] == before


def test_set_backing_changes_the_header_only(place: Place) -> None:
    other = place.overlay("other.qcow2", place.middle)
    for backing in (str(other), None):
        for _again in range(2):
            place.do(steps.SetBacking(str(place.top), "qcow2", backing, "qcow2" if backing else ""))
            image = Qcow2.read(place.top)
            assert (image.backing, image.backing_format) == (backing or "", "qcow2" if backing else "")


def test_freeze_and_thaw(place: Place) -> None:
    for _again in range(2):
        place.do(steps.Freeze(str(place.base)))
        assert stat.S_IMODE(place.base.stat().st_mode) == 0o444
    for _again in range(2):
        place.do(steps.Thaw(str(place.base)))
        assert stat.S_IMODE(place.base.stat().st_mode) == 0o644
    place.do(steps.Freeze(str(place.images / "gone")))


def test_files_and_folders_are_copied_whole(place: Place) -> None:
    source = place.images / "tpm"
    (source / "sub").mkdir(parents=True)
    (source / "sub" / "state").write_bytes(b"x" * 1000)
    (source / "link").symlink_to("nowhere")
    target = place.folder / "1.tpm"
    variables = place.images / "vars"
    variables.write_bytes(b"v")
    for _again in range(2):
        place.do(steps.CopyFile(str(source), str(target)))
        assert (target / "sub" / "state").read_bytes() == b"x" * 1000
        assert (target / "link").readlink() == Path("nowhere")
        place.do(steps.CopyFile(str(variables), str(place.folder / "1.nvram")))
        assert (place.folder / "1.nvram").read_bytes() == b"v"
    (place.folder / "1.tpm.part").mkdir()  # of a copy cut short
    place.do(steps.CopyFile(str(source), str(target)))
    assert not (place.folder / "1.tpm.part").exists()


@pytest.mark.parametrize("is_folder", [False, True])
def test_moving_is_done_once_and_replaces_nothing(place: Place, is_folder: bool) -> None:
    path = place.images / "thing"
    kept = place.images / ".guivm-trash" / "x.moved" / "0-thing"
    if is_folder:
        path.mkdir()
    else:
        path.write_text("thing")
    for _again in range(2):
        place.do(steps.Quarantine(str(path), str(kept)))
        assert not path.exists()
        assert kept.exists()
    assert kept.parent.stat().st_mode & 0o777 == 0o700
    for _again in range(2):
        place.do(steps.PutInPlace(str(kept), str(path)))
        assert path.exists()
        assert not kept.exists()
    kept.mkdir() if is_folder else kept.write_text("another")
    with pytest.raises(FileExistsError):
        place.do(steps.Quarantine(str(path), str(kept)))
    assert path.exists()
    assert kept.exists()


def test_a_move_cut_short_between_its_two_names_is_ended(place: Place) -> None:
    path, kept = place.images / "thing", place.images / "kept"
    path.write_text("thing")
    os.link(path, kept)
    place.do(steps.Quarantine(str(path), str(kept)))
    assert not path.exists()
    assert kept.read_text() == "thing"


def test_moving_what_is_not_there_at_all_fails(place: Place) -> None:
    with pytest.raises(FileNotFoundError):
        place.do(steps.Quarantine(str(place.images / "no"), str(place.images / "kept")))


def test_definition_and_tree_are_stored(place: Place) -> None:
    for _again in range(2):
        place.do(steps.DefineVm(XML.replace("<os>", "<title>t</title><os>")))
        place.do(steps.WriteTree("{}"))
    assert "<title>t</title>" in place.connection.lookupByUUIDString(UUID).XMLDesc(0)
    assert (place.folder / store.TREE_NAME).read_text() == "{}"
