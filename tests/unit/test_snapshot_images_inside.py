from __future__ import annotations

import os
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from guivm.engine.snapshots.images_inside import InsideSnapshot, read_table, snapshots_in
from tests.helpers.image_oracles import make_image


def take(path: Path, name: str) -> None:
    subprocess.run(["qemu-img", "snapshot", "-c", name, str(path)], check=True)


def listed(path: Path) -> list[str]:
    """Names as ``qemu-img`` has them."""
    said = subprocess.run(["qemu-img", "snapshot", "-l", str(path)], check=True, capture_output=True, text=True)
    return [line.split()[1] for line in said.stdout.splitlines()[2:]]


def test_names_and_numbers_are_as_qemu_has_them(tmp_path: Path) -> None:
    path = make_image(tmp_path / "a.qcow2")
    assert snapshots_in(str(path)) == ()
    names = ["first", "Schnappschuss-ü", "x" * 100, "7", "last"]
    for name in names:
        take(path, name)
    found = snapshots_in(str(path))
    assert [each.name for each in found] == names == listed(path)
    assert [each.id for each in found] == ["1", "2", "3", "4", "5"]
    assert {each.memory_bytes for each in found} == {0}
    subprocess.run(["qemu-img", "snapshot", "-d", "first", str(path)], check=True)
    assert [each.name for each in snapshots_in(str(path))] == names[1:] == listed(path)


def test_what_is_no_qcow2_image_holds_none(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.write_bytes(bytes(1000))
    short = tmp_path / "short"
    short.write_bytes(b"QFI\xfb")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path in (raw, short, fifo, tmp_path, tmp_path / "none"):
        assert snapshots_in(str(path)) == ()


def entry(name: bytes, *, memory: int = 0, extra: bytes | None = None) -> bytes:
    """qcow2.txt, "Snapshots": L1 offset, L1 entries, lengths of ID and name, time, clock, memory, extra data."""
    more = struct.pack(">QQ", memory, 1 << 20) if extra is None else extra
    fixed = struct.pack(">QIHHIIQII", 0, 1, 1, len(name), 0, 0, 0, memory & 0xFFFF_FFFF, len(more))
    whole = fixed + more + b"1" + name
    return whole.ljust(-(-len(whole) // 8) * 8, b"\0")


def header(count: int) -> bytes:
    return bytes(60) + struct.pack(">IQ", count, 72)


def test_memory_is_read_from_the_wide_field_where_there_is_one() -> None:
    table = entry(b"large", memory=5 << 32) + entry(b"old", memory=7, extra=b"")
    assert read_table(header(2), table) == (
        InsideSnapshot("1", "large", 5 << 32, 0, 1, 1 << 20),
        InsideSnapshot("1", "old", 7, 0, 1),
    )


@pytest.mark.parametrize("cut", range(0, len(entry(b"name")) * 2, 3))
def test_a_table_that_is_cut_short_is_read_as_far_as_it_goes(cut: int) -> None:
    table = (entry(b"name") * 2)[:cut]
    assert len(read_table(header(2), table)) <= cut // (len(entry(b"name")) - 7)


@given(some.integers(0, 0xFFFF_FFFF), some.binary(max_size=400))
def test_any_table_is_read_without_harm(count: int, table: bytes) -> None:
    assert len(read_table(header(count), table)) <= len(table) // 40
