"""What plans moved aside is freed by age, and only when nothing refers to it."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from guivm.engine import qemu_img
from guivm.engine.snapshots import branches, journal, quarantine, store
from guivm.engine.snapshots.journal import Entry, Journal
from guivm.engine.snapshots.naming import TRASH_NAME
from guivm.errors import OperationError
from tests.helpers.branch_house import UUID, House
from tests.helpers.file_libvirt import key_of
from tests.helpers.image_oracles import make_image

_DAY_S = 86_400
_OTHER = "00000000-2222-4333-8444-555555555555"


@pytest.fixture
def house(tmp_path: Path) -> House:
    """A VM with a snapshot; what a restore replaced is kept aside, eight days old, and Undo is over."""
    value = House(tmp_path / "h")
    value.folder.mkdir()
    value.build()
    value.take("first")
    value.guest_writes(3)
    value.restore("first")
    grow_old(value)
    return value


def kept(house: House) -> list[Path]:
    return sorted(path for path in house.images.glob(f"{TRASH_NAME}/*.moved/*"))


def image(house: House) -> Path:
    """One of the images that are kept."""
    return next(path for path in kept(house) if path.suffix == ".qcow2")


def grow_old(house: House, days: float = 8) -> None:
    when = time.time() - days * _DAY_S
    for path in kept(house):
        for each in (path, path.parent):
            os.utime(each, (when, when))


def purge(house: House) -> int:
    return quarantine.purge_expired(house.context)


def define_other(house: House, disk: Path, form: str = "qcow2") -> None:
    """Another VM with one disk."""
    house.context.connection.defineXML(
        f"<domain type='qemu'><name>other</name><uuid>{_OTHER}</uuid><os><type>hvm</type></os><devices>"
        f"<disk type='file' device='disk'><driver name='qemu' type='{form}'/><source file='{disk}'/>"
        "<target dev='vda'/></disk></devices></domain>"
    )


def test_what_is_old_and_needed_by_nobody_is_freed(house: House) -> None:
    before = house.contents()
    assert len(kept(house)) == 3  # two images and the variables
    assert purge(house) > 0
    assert kept(house) == []
    assert not list(house.images.rglob(f"{TRASH_NAME}/*"))
    house.require_sound()
    assert house.contents() == before
    assert purge(house) == 0


@pytest.mark.parametrize("days", [0, 6.9])
def test_what_is_younger_is_kept_and_can_be_put_back(house: House, days: float) -> None:
    grow_old(house, days)
    before = kept(house)
    assert purge(house) == 0
    assert kept(house) == before
    house.undo()
    house.require_sound()


def test_what_a_definition_names_is_kept(house: House) -> None:
    """Somebody has taken it for another VM."""
    before = kept(house)
    define_other(house, image(house))
    assert purge(house) == 0
    assert kept(house) == before


def test_what_is_only_mentioned_is_kept(house: House) -> None:
    """As the variables of a firmware."""
    before = kept(house)
    variables = next(path for path in before if path.suffix != ".qcow2")
    house.context.connection.defineXML(
        f"<domain type='qemu'><name>other</name><uuid>{_OTHER}</uuid>"
        f"<os><type>hvm</type><nvram>{variables}</nvram></os></domain>"
    )
    assert purge(house) == 0
    assert kept(house) == before


def test_what_a_backing_file_names_is_kept(house: House) -> None:
    """The disk of another VM was made on it, at its old place or at this one."""
    before = kept(house)
    above = make_image(house.images / "above.qcow2")
    _put_on(above, image(house), "qcow2")
    again = make_image(house.images / "again.qcow2")
    _put_on(again, above, "qcow2")
    define_other(house, again)
    assert purge(house) == 0
    assert kept(house) == before


def test_what_a_link_leads_to_is_kept(house: House) -> None:
    before = kept(house)
    link = house.images / "link.qcow2"
    link.symlink_to(image(house))
    define_other(house, link)
    assert purge(house) == 0
    assert kept(house) == before


def test_what_a_snapshot_of_another_vm_names_is_kept(house: House) -> None:
    """Of a linked clone that has a tree of its own; it need not be defined any more."""
    before = kept(house)
    clone = make_image(house.images / "other-vda.qcow2")
    _put_on(clone, image(house), "qcow2")
    define_other(house, clone)
    branches.take(house.context, key_of(_OTHER), "of the clone", "", memory=False, quiesce=False)
    (house.folder / "domains" / f"{_OTHER}.xml").unlink()
    assert purge(house) == 0
    assert kept(house) == before


def test_a_folder_of_which_a_file_is_needed_is_kept(house: House) -> None:
    before = kept(house)
    state = before[0].parent / "9-tpm"
    (state / "tpm2").mkdir(parents=True)
    make_image(state / "tpm2" / "permall", "raw")
    grow_old(house)
    define_other(house, state / "tpm2" / "permall", "raw")
    assert purge(house) == 0
    assert kept(house) == [*before, state]


def test_a_folder_is_freed_with_all_that_is_in_it(house: House) -> None:
    state = kept(house)[0].parent / "9-tpm"
    (state / "tpm2").mkdir(parents=True)
    (state / "tpm2" / "permall").write_bytes(b"x" * 100)
    (state / "link").symlink_to(house.nvram())
    grow_old(house)
    assert purge(house) > 0
    assert kept(house) == []
    assert house.nvram().exists()


def test_nothing_is_freed_while_it_is_not_known_what_an_image_needs(house: House) -> None:
    before = kept(house)
    elsewhere = make_image(house.images / "elsewhere.qcow2")
    _put_on(elsewhere, "nbd://localhost/a", "raw")
    define_other(house, elsewhere)
    assert purge(house) == 0
    assert kept(house) == before


def test_nothing_is_freed_while_a_tree_cannot_be_read(house: House) -> None:
    before = kept(house)
    folder = store.folder_of(house.images, _OTHER)
    folder.mkdir()
    (folder / store.TREE_NAME).write_text("{")
    with pytest.raises(OperationError):
        purge(house)
    assert kept(house) == before


# --- operations -------------------------------------------------------------------------------------------


def test_nothing_is_freed_while_an_operation_is_under_way(house: House) -> None:
    before = kept(house)
    with journal.locked(store.folder_of(house.images, UUID), "house"):
        assert purge(house) == 0
    assert kept(house) == before
    assert purge(house) > 0


def test_nothing_is_freed_that_an_operation_cut_short_may_bring_back(house: House) -> None:
    """It could not be settled yet: the VM runs, say."""
    before = kept(house)
    Journal.begin(store.folder_of(house.images, UUID), Entry("Undo", "house", ()))
    assert purge(house) == 0
    assert kept(house) == before


def test_the_store_of_a_vm_that_has_none_is_not_made(house: House) -> None:
    folder = house.images / TRASH_NAME / f"{_OTHER}-01234567.moved"
    folder.mkdir()
    (folder / "0-a").write_bytes(b"x" * 5000)
    when = time.time() - 8 * _DAY_S
    for each in (folder / "0-a", folder):
        os.utime(each, (when, when))
    assert purge(house) > 0
    assert not folder.exists()
    assert not store.folder_of(house.images, _OTHER).exists()


def test_what_others_keep_there_is_left_alone(house: House) -> None:
    """A deleted VM's files have another name; so may have anything."""
    others = [house.images / TRASH_NAME / name for name in (f"{UUID}-01234567", "x.moved", f"{UUID}.moved")]
    for each in others:
        each.mkdir()
        (each / "0-a").write_text("precious")
        os.utime(each / "0-a", (0, 0))
        os.utime(each, (0, 0))
    link = house.images / TRASH_NAME / f"{UUID}-76543210.moved"
    link.symlink_to(others[0])
    assert purge(house) > 0
    for each in others:
        assert (each / "0-a").read_text() == "precious"


# --- clock and disk ---------------------------------------------------------------------------------------


def test_a_clock_set_back_frees_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    grow_old(house, -30)
    before = kept(house)
    assert purge(house) == 0
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert purge(house) == 0
    assert kept(house) == before


def test_what_was_moved_while_the_clock_was_wrong_is_as_old_as_what_was_written_last(house: House) -> None:
    """A computer without a battery: it was 1970 until the network told the time."""
    before = kept(house)
    for folder in {path.parent for path in before}:
        os.utime(folder, (0, 0))
    os.utime(before[0])
    assert purge(house) == 0
    assert kept(house) == before


def test_a_disk_so_full_that_nothing_can_be_removed_loses_nothing_else(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """File systems that copy on write need space to free some."""
    stuck = image(house)
    real = Path.unlink

    def unlink(path: Path, missing_ok: bool = False) -> None:
        if path == stuck:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(path, missing_ok)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", unlink)
        purge(house)
    assert kept(house) == [stuck]
    house.require_sound()
    grow_old(house)
    assert purge(house) > 0
    assert kept(house) == []


def test_a_disk_too_full_to_move_anything_aside_leaves_all_where_it_is(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.guest_writes(5)
    before = house.contents()
    files = set(_files(house))
    real = os.mkdir

    def mkdir(path: str | Path, mode: int = 0o777, **more: int) -> None:
        if ".moved" in os.fspath(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(path, mode, **more)

    with monkeypatch.context() as patched:
        patched.setattr(os, "mkdir", mkdir)
        with pytest.raises(OperationError, match="not finished"):
            house.restore("first")
    assert files <= set(_files(house))  # the rest is gone on with once there is space
    house.restore("first")
    house.require_sound()
    assert house.contents().reads["first"] == before.reads["first"]


def _files(house: House) -> Iterator[Path]:
    return (path for path in house.images.rglob("*.qcow2") if path.is_file())


def _put_on(path: Path, below: Path | str, form: str) -> None:
    qemu_img.work(("rebase", "-u", "-f", "qcow2", "-F", form, "-b", str(below), "--", str(path)), "failed")
