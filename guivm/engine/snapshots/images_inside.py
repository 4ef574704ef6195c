"""What the snapshots inside qcow2 images take: their tables, by our own reading. Worker only; the parsing is pure.

Format: QEMU ``docs/interop/qcow2.txt``, "Snapshots".
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass

_HEADER = 72
_ENTRY = 40
_MAX_SNAPSHOTS = 65536
_MAX_TABLE_BYTES = 16 << 20  # QEMU: QCOW_MAX_SNAPSHOTS_SIZE is 1024 × that many; a name and extra data are short


@dataclass(frozen=True, slots=True)
class InsideSnapshot:
    """One entry of an image's snapshot table."""

    id: str
    name: str
    memory_bytes: int


def read_table(header: bytes, table: bytes) -> tuple[InsideSnapshot, ...]:
    """Entries as far as they make sense; ``table`` begins where the header says. Pure."""
    (count,) = struct.unpack_from(">I", header, 60)
    found: list[InsideSnapshot] = []
    at = 0
    for _ in range(min(count, _MAX_SNAPSHOTS)):
        if at + _ENTRY > len(table):
            break
        id_len, name_len = struct.unpack_from(">HH", table, at + 12)
        memory, extra_len = struct.unpack_from(">II", table, at + 32)
        start = at + _ENTRY + extra_len
        if start + id_len + name_len > len(table):
            break
        if extra_len >= 8:
            (memory,) = struct.unpack_from(">Q", table, at + _ENTRY)
        identity = table[start : start + id_len].decode("utf-8", "replace")
        name = table[start + id_len : start + id_len + name_len].decode("utf-8", "replace")
        found.append(InsideSnapshot(identity, name, memory))
        at = (start + id_len + name_len + 7) // 8 * 8
    return tuple(found)


def snapshots_in(path: str) -> tuple[InsideSnapshot, ...]:
    """The snapshot table of an image; empty for what is no readable qcow2 image."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError:
        return ()
    try:
        header = os.pread(descriptor, _HEADER, 0)
        if len(header) < _HEADER or header[:4] != b"QFI\xfb":
            return ()
        (offset,) = struct.unpack_from(">Q", header, 64)
        if not 0 < offset < 1 << 62:
            return ()
        return read_table(header, os.pread(descriptor, _MAX_TABLE_BYTES, offset))
    except OSError:
        return ()
    finally:
        os.close(descriptor)


def kept_bytes(paths: Iterable[str]) -> dict[str, int]:
    """Memory kept by each snapshot, by name, all images together. What its disks hold alone is not known: clusters are
    shared."""
    sizes: dict[str, int] = {}
    for path in paths:
        for snapshot in snapshots_in(path):
            sizes[snapshot.name] = sizes.get(snapshot.name, 0) + snapshot.memory_bytes
    return sizes
