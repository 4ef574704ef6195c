"""What snapshots inside qcow2 images hold alone: what deleting them would free. Worker only.

QEMU counts for each cluster how often it is reached from an L1 table, the present state's or a snapshot's. A cluster is
freed when all of these belong to what is deleted. An L2 table that others use as well leads to nothing that could be
freed: so each L2 table is looked at for one snapshot at most, however many there are. The memory that a snapshot holds
is reached from its L1 table too, behind the end of the disk. A running QEMU writes L1 tables at once, its counts when
the guest has its disk flushed: that memory belongs to the snapshot is seen without them.

Format: QEMU ``docs/interop/qcow2.txt``. Images may be hostile, and those of a running VM a moment old: nothing that is
written in them is trusted, what is read is limited, and the answer is about right.
"""

from __future__ import annotations

import os
import struct
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from guivm.engine.snapshots.images_inside import InsideSnapshot, opened, read_snapshots

Numbers: TypeAlias = NDArray[np.int64]

LOOK_BYTES = 64 << 20
"""How much is read of the tables of a VM's images: a fifth of a second from the cache. At the usual 64 KiB a cluster,
these are the tables of 512 GiB, those counted anew for each snapshot that have changed since."""

_LOOK_S = 2.0  # should the tables come from a slow disk
_OFFSET = 0x00FF_FFFF_FFFF_FE00
_COMPRESSED = 1 << 62
_EXTERNAL_DATA = 1 << 2
_EXTENDED_L2 = 1 << 4
_MAX_L1_BYTES = 32 << 20  # QEMU: QCOW_MAX_L1_SIZE
_MAX_REFCOUNTS_BYTES = 8 << 20  # QEMU: QCOW_MAX_REFTABLE_SIZE
_MAX_CLUSTERS = 1 << 28


class NotKnownError(Exception):
    """The image makes no sense, or more would have to be read than is allowed."""


class Budget:
    """How much may still be read, in bytes, and until when."""

    def __init__(self, left: int) -> None:
        self._left = left
        self._end_s = time.monotonic() + _LOOK_S

    def take(self, count: int) -> None:
        """Raises NotKnownError."""
        if count > self._left or time.monotonic() > self._end_s:
            raise NotKnownError
        self._left -= count


def alone_bytes(paths: Iterable[str], limit: int = LOOK_BYTES) -> dict[str, int]:
    """What each snapshot holds alone, by name, all images together. Without those of which it is not known.

    Its memory is its own even if it was restored: until the next snapshot, the present state holds it as well, for
    nobody.
    """
    sizes: dict[str, int] = {}
    unknown: set[str] = set()
    budget = Budget(limit)
    for path in paths:
        left: set[str] = set()
        try:
            with opened(path) as descriptor:
                snapshots = read_snapshots(descriptor)
                left.update(each.name for each in snapshots)
                image = _Image(descriptor, budget, snapshots)
                for number in reversed(range(len(snapshots))):  # those that a person knows best first
                    name = snapshots[number].name
                    sizes[name] = sizes.get(name, 0) + image.freed([number], with_memory=True)
                    left.discard(name)
        except NotKnownError:
            unknown |= left
        except OSError:
            return {}
    return {name: size for name, size in sizes.items() if name not in unknown}


def freed_bytes(paths: Iterable[str], names: Collection[str], limit: int = LOOK_BYTES) -> int | None:
    """What is freed when all these snapshots are deleted, all images together; None: not known."""
    budget = Budget(limit)
    freed = 0
    try:
        for path in paths:
            with opened(path) as descriptor:
                snapshots = read_snapshots(descriptor)
                chosen = [number for number, snapshot in enumerate(snapshots) if snapshot.name in names]
                if chosen:
                    freed += _Image(descriptor, budget, snapshots).freed(chosen, with_memory=False)
    except (OSError, NotKnownError):
        return None
    return freed


@dataclass(frozen=True, slots=True)
class _Header:
    cluster_bits: int
    disk_bytes: int
    l1_at: int
    l1_bytes: int
    refcounts_at: int
    refcounts_bytes: int
    refcount_bits: int
    entry_words: int  # of an L2 entry, 8 bytes each

    @classmethod
    def read(cls, raw: bytes) -> _Header:
        """Raises NotKnownError."""
        if len(raw) < 72 or raw[:4] != b"QFI\xfb":
            raise NotKnownError
        version, cluster_bits, disk_bytes, l1_entries, l1_at = struct.unpack_from(">I12xIQ4xIQ", raw, 4)
        at, clusters = struct.unpack_from(">QI", raw, 48)
        features, order = 0, 4
        if version == 3 and len(raw) >= 104:
            (features,) = struct.unpack_from(">Q", raw, 72)
            (order,) = struct.unpack_from(">I", raw, 96)
        elif version != 2:
            raise NotKnownError
        if not 9 <= cluster_bits <= 21 or order > 6 or features & _EXTERNAL_DATA:
            raise NotKnownError
        if not 0 < clusters << cluster_bits <= _MAX_REFCOUNTS_BYTES:
            raise NotKnownError
        words = 2 if features & _EXTENDED_L2 else 1
        counts = at, clusters << cluster_bits, 1 << order
        return cls(cluster_bits, disk_bytes, l1_at, 8 * l1_entries, *counts, words)


class _Image:
    """The tables of an open image. Used by one thread."""

    def __init__(self, descriptor: int, budget: Budget, snapshots: Sequence[InsideSnapshot]) -> None:
        """Raises NotKnownError, OSError."""
        self._descriptor = descriptor
        self._budget = budget
        self._header = _Header.read(os.pread(descriptor, 104, 0))
        self._bits = self._header.cluster_bits
        self._cluster = 1 << self._bits
        self._size = os.fstat(descriptor).st_size
        if self._size >> self._bits >= _MAX_CLUSTERS:
            raise NotKnownError
        self._refcounts = _Refcounts(self, self._header, (self._size >> self._bits) + 1)
        self._l1 = [self._read_l1(each.l1_at, 8 * each.l1_entries) for each in snapshots]
        reach = self._cluster // 8 // self._header.entry_words << self._bits  # of an L2 table, in bytes of the disk
        self._memory_from = [-(-(each.disk_bytes or self._header.disk_bytes) // reach) for each in snapshots]
        self._kept: Counter[int] = Counter()
        for table in self._l1:
            self._kept.update(table[table != 0].tolist())
        present = self._read_l1(self._header.l1_at, self._header.l1_bytes)
        self._used = Counter(present[present != 0].tolist())
        self._used.update(self._kept)

    def _read_l1(self, at: int, length: int) -> Numbers:
        if length > _MAX_L1_BYTES:
            raise NotKnownError
        return self.words(at, length) & _OFFSET if length else np.zeros(0, np.int64)

    def freed(self, chosen: Sequence[int], *, with_memory: bool) -> int:
        """Bytes that become free when all of the chosen ones are deleted. Raises NotKnownError, OSError.

        ``with_memory``: and what of their memory only the present state has besides.
        """
        found = 0
        tables: Counter[int] = Counter()
        memory: set[int] = set()
        for number in chosen:
            entries, begin = self._l1[number], self._memory_from[number]
            tables.update(entries[entries != 0].tolist())
            memory.update(entries[begin:][entries[begin:] != 0].tolist())
            found += -(-8 * len(entries) // self._cluster)
        used = self._kept if with_memory else self._used
        mine = [at for at in memory if tables[at] == used[at]]
        found += len(mine) + sum(len(self._reached(self.words(at, self._cluster))[0]) for at in mine)
        others = {at: often for at, often in tables.items() if at not in memory and often == self._used[at]}
        found += len(others) + self._behind(others, one=len(chosen) == 1)
        return min(found << self._bits, self._size)

    def _behind(self, tables: Mapping[int, int], *, one: bool) -> int:
        """The clusters reached from these L2 tables that nobody else uses."""
        found = 0
        uses: list[Numbers] = []
        weights: list[Numbers] = []
        for at, often in tables.items():
            plain, packed = self._reached(self.words(at, self._cluster))
            is_freed = self._refcounts.of(plain) == often
            found += int(is_freed.sum())
            # Of one snapshot, no other table leads to them. Compressed ones share clusters within a table, too.
            shared = [] if one else [plain[~is_freed]]
            uses += [*shared, np.array(packed, np.int64)]
            weights.append(np.full(len(packed) + sum(len(each) for each in shared), often))
        if uses:
            clusters, places = np.unique(np.concatenate(uses), return_inverse=True)
            counts = np.bincount(places, np.concatenate(weights))
            found += int((self._refcounts.of(clusters) == counts).sum())
        return found

    def _reached(self, table: Numbers) -> tuple[Numbers, list[int]]:
        """Numbers of the clusters that an L2 table leads to: of its own each, and shared by compressed ones."""
        used = table[:: self._header.entry_words]
        used = used[used != 0]
        is_packed = used & _COMPRESSED != 0
        plain = used[~is_packed] & _OFFSET
        packed: list[int] = []
        width = 62 - (self._bits - 8)
        for entry in used[is_packed].tolist():
            at = entry & (1 << width) - 1
            sectors = ((entry & _COMPRESSED - 1) >> width) + 1
            packed += range(at >> self._bits, ((at & ~511) + 512 * sectors - 1 >> self._bits) + 1)
        return plain[plain != 0] >> self._bits, packed

    def words(self, at: int, length: int) -> Numbers:
        """Numbers of 8 bytes. Raises NotKnownError, OSError."""
        return np.frombuffer(self.bytes(at, length), ">i8").astype(np.int64)

    def bytes(self, at: int, length: int) -> bytes:
        """Of a table, which begins with a cluster. Raises NotKnownError, OSError."""
        if not 0 < at <= self._size - length or at % self._cluster:
            raise NotKnownError
        self._budget.take(length)
        raw = os.pread(self._descriptor, length, at)
        if len(raw) < length:
            raise NotKnownError
        return raw


class _Refcounts:
    """How often each cluster of an image is used."""

    def __init__(self, image: _Image, header: _Header, clusters: int) -> None:
        """``clusters``: as many as the file has. Raises NotKnownError, OSError."""
        self._image = image
        self._bits = header.refcount_bits
        self._cluster = 1 << header.cluster_bits
        self._per_block = self._cluster * 8 // self._bits
        self._table = image.words(header.refcounts_at, header.refcounts_bytes) & ~511
        blocks = -(-clusters // self._per_block)
        self._is_read = np.zeros(blocks, np.bool_)
        self._counts = np.zeros(
            blocks * self._per_block, f"u{max(4, self._bits // 8)}"
        )  # memory only where something is written

    def of(self, clusters: Numbers) -> Numbers:
        """0 for those that are not in the file. Raises NotKnownError, OSError."""
        inside = np.where(clusters < len(self._counts), clusters, 0)
        blocks = inside // self._per_block
        for number in set(blocks[~self._is_read[blocks]].tolist()):
            self._read(number)
        return np.where(clusters == inside, self._counts[inside], 0).astype(np.int64)

    def _read(self, number: int) -> None:
        self._is_read[number] = True
        at = int(self._table[number]) if number < len(self._table) else 0
        if not at:
            return  # nothing there is used
        raw = self._image.bytes(at, self._cluster)
        begin = number * self._per_block
        if self._bits >= 8:
            counts = np.frombuffer(raw, f">u{self._bits // 8}")
        else:  # the first in the lowest bits
            each = np.frombuffer(raw, np.uint8)
            shifts = np.arange(0, 8, self._bits, dtype=np.uint8)
            counts = (each[:, None] >> shifts & (1 << self._bits) - 1).ravel()
        self._counts[begin : begin + self._per_block] = counts
