"""Copies of disk images by a real ``qemu-img``, and by shared blocks where a file system has them."""

from __future__ import annotations

import errno
import fcntl
import os
from dataclasses import replace
from pathlib import Path

import pytest

from guivm.engine import qemu_img
from guivm.engine.jobs import Job, JobInfo, JobProgress
from guivm.engine.snapshots.copying import convert
from guivm.engine.snapshots.steps import ConvertImage
from guivm.errors import OperationError
from tests.helpers.file_libvirt import file_context
from tests.helpers.image_oracles import check_images, contents, make_image, write_pattern
from tests.helpers.small_libvirt import HOST

MIB = 1 << 20


def copy(folder: Path, step: ConvertImage) -> list[JobProgress]:
    """Answers the progress in bytes that was told."""
    told: list[JobProgress] = []

    def note(info: JobInfo) -> None:
        if info.progress is not None:
            told.append(info.progress)

    context = replace(file_context(folder), job=Job(HOST, None, "test", on_change=note))
    context.job.begin()
    convert(context, step, lambda _share: None)
    return told


@pytest.mark.parametrize("form", ["qcow2", "raw"])
def test_a_copy_reads_as_its_source_and_is_sparse(tmp_path: Path, form: str) -> None:
    source, target = make_image(tmp_path / "a", form, 8 * MIB), tmp_path / "new" / "b"
    write_pattern(source, 7, MIB, MIB, form)
    told = copy(tmp_path, ConvertImage(str(source), form, str(target), form, virtual_bytes=8 * MIB))
    assert contents(target, form) == contents(source, form)
    assert target.stat().st_mode & 0o777 == 0o600
    assert target.stat().st_blocks * 512 < 3 * MIB
    assert [path.name for path in target.parent.iterdir()] == ["b"]
    assert told[-1].done == told[-1].total > 0
    assert told[-1].unit_bytes


def test_a_copy_holds_what_is_below_and_needs_nothing(tmp_path: Path) -> None:
    base, top, target = make_image(tmp_path / "base"), tmp_path / "top", tmp_path / "copy"
    write_pattern(base, 1, 0, MIB)
    qemu_img.work(("create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", str(base), "--", str(top)), "no")
    write_pattern(top, 2, 0, 1 << 16)
    copy(tmp_path, ConvertImage(str(top), "qcow2", str(target), "qcow2"))
    assert contents(target, "qcow2") == contents(top, "qcow2")
    check_images([target])
    base.unlink()
    contents(target, "qcow2")


def test_a_snapshot_is_meant_by_its_name_and_never_by_its_number(tmp_path: Path) -> None:
    source = make_image(tmp_path / "a")
    names = ("3", "2", "1", "a,b=c")
    for value, name in enumerate(names):
        write_pattern(source, value + 1, 0, MIB)
        qemu_img.work(("snapshot", "-c", name, "--", str(source)), "no")
    write_pattern(source, 99, 0, MIB)
    for value, name in enumerate(names):
        target = tmp_path / f"of {value}"
        copy(tmp_path, ConvertImage(str(source), "qcow2", str(target), "qcow2", snapshot=name))
        assert contents(target, "qcow2") == bytes([value + 1]) * MIB
    with pytest.raises(OperationError):
        copy(tmp_path, ConvertImage(str(source), "qcow2", str(tmp_path / "none"), "qcow2", snapshot="4"))
    assert not (tmp_path / "none").exists()


def test_blocks_are_shared_where_that_is_all_there_is_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared: list[str] = []

    def clone_blocks(target: int, request: int, source: int) -> int:
        assert request == 0x40049409
        shared.append(str(Path(f"/proc/self/fd/{source}").readlink()))
        os.sendfile(target, source, 0, os.fstat(source).st_size)
        return 0

    monkeypatch.setattr(fcntl, "ioctl", clone_blocks)
    plain, kept = make_image(tmp_path / "plain"), make_image(tmp_path / "kept")
    write_pattern(plain, 3, 0, MIB)
    qemu_img.work(("snapshot", "-c", "one", "--", str(kept)), "no")
    for number, source in enumerate((plain, kept)):
        target = tmp_path / str(number)
        copy(tmp_path, ConvertImage(str(source), "qcow2", str(target), "qcow2"))
        assert contents(target, "qcow2") == contents(source, "qcow2")
    assert shared == [str(plain)], "what holds snapshots would be copied with them"
    assert (tmp_path / "0").read_bytes() == plain.read_bytes()


def test_a_file_in_the_way_stays(tmp_path: Path) -> None:
    source, target = make_image(tmp_path / "a"), tmp_path / "b"
    target.write_bytes(b"somebody's")
    with pytest.raises(FileExistsError):
        copy(tmp_path, ConvertImage(str(source), "qcow2", str(target), "qcow2"))
    assert target.read_bytes() == b"somebody's"


def test_a_disk_that_fails_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_arguments: object) -> int:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(fcntl, "ioctl", broken)
    with pytest.raises(OSError, match="broken"):
        copy(tmp_path, ConvertImage(str(make_image(tmp_path / "a")), "qcow2", str(tmp_path / "b"), "qcow2"))
