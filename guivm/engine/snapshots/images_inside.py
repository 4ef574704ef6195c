"""The tables of snapshots inside qcow2 images, by our own reading. Worker only; the parsing is pure.

Format: QEMU ``docs/interop/qcow2.txt``, "Snapshots".
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_HEADER = 72
_ENTRY = 40
_MAX_SNAPSHOTS = 65536
_MAX_TABLE_BYTES = 16 << 20  # QEMU: QCOW_MAX_SNAPSHOTS_SIZE is 1024 × that many; a name and extra data are short


@dataclass(frozen=True, slots=True)
class InsideSnapshot:
    """One entry of an image's snapshot table, as written. ``l1_at`` and ``l1_entries``: where its clusters are told;
    ``disk_bytes``: of the disk at that moment, 0 when it does not say."""

    id: str
    name: str
    memory_bytes: int
    l1_at: int = 0
    l1_entries: int = 0
    disk_bytes: int = 0


def read_table(header: bytes, table: bytes) -> tuple[InsideSnapshot, ...]:
    """Entries as far as they make sense; ``table`` begins where the header says. Pure."""
    (count,) = struct.unpack_from(">I", header, 60)
    found: list[InsideSnapshot] = []
    at = 0
    for _ in range(min(count, _MAX_SNAPSHOTS)):
        if at + _ENTRY > len(table):
            break
        l1_at, l1_entries, id_len, name_len = struct.unpack_from(">QIHH", table, at)
        memory, extra_len = struct.unpack_from(">II", table, at + 32)
        start = at + _ENTRY + extra_len
        if start + id_len + name_len > len(table):
            break
        if extra_len >= 8:
            (memory,) = struct.unpack_from(">Q", table, at + _ENTRY)
        (disk,) = struct.unpack_from(">Q", table, at + _ENTRY + 8) if extra_len >= 16 else (0,)
        identity = table[start : start + id_len].decode("utf-8", "replace")
        name = table[start + id_len : start + id_len + name_len].decode("utf-8", "replace")
        found.append(InsideSnapshot(identity, name, memory, l1_at, l1_entries, disk))
        at = (start + id_len + name_len + 7) // 8 * 8
    return tuple(found)


def read_snapshots(descriptor: int) -> tuple[InsideSnapshot, ...]:
    """The snapshot table of an open image; empty for what is no qcow2 image. Raises OSError."""
    header = os.pread(descriptor, _HEADER, 0)
    if len(header) < _HEADER or header[:4] != b"QFI\xfb":
        return ()
    (offset,) = struct.unpack_from(">Q", header, 64)
    if not 0 < offset < 1 << 62:
        return ()
    return read_table(header, os.pread(descriptor, _MAX_TABLE_BYTES, offset))


def snapshots_in(path: str) -> tuple[InsideSnapshot, ...]:
    """The snapshot table of an image; empty for what is no readable qcow2 image."""
    try:
        with opened(path) as descriptor:
            return read_snapshots(descriptor)
    except OSError:
        return ()


@contextmanager
def opened(path: str) -> Iterator[int]:
    """The file to be read while others write to it; nothing that is opened by name blocks. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
