"""Writing and reading a session recording, block by block. The bytes are described in :mod:`.layout`.

Neither class has a thread or waits for anything but the disk. :class:`RecordingWriter` is for one thread; a
:class:`Recording` may be read by several at once.
"""

from __future__ import annotations

import errno
import os
import stat
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from guivm.console.recording import layout
from guivm.console.recording.layout import (
    BLOCK,
    DATA,
    END,
    END_MAGIC,
    ENTRY,
    HEAD,
    MARK,
    MAX_BLOCKS,
    MAX_CHUNK_BYTES,
    MAX_MARKS,
    MAX_TIME_US,
    RECORD,
    SEGMENT,
    SIGNATURE,
    TAIL,
    BlockHeader,
    RecordingError,
    RecordingHeader,
    block_bytes,
    damaged,
)

__all__ = [
    "Block",
    "Chunk",
    "Mark",
    "Recording",
    "RecordingError",
    "RecordingHeader",
    "RecordingWriter",
    "Segment",
    "write_recording",
]

_FULL_BLOCK = 256 << 10  # a block is written when it holds so much
_LEVEL = 1  # zlib's: the stream must not wait for us


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes of the stream that came together. ``time_us``: since the recording began."""

    time_us: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Block:
    """Where chunks lie: ``offset`` in the file; ``raw``: bytes with their times; times of its first and last."""

    offset: int
    raw: int
    first_us: int
    last_us: int


@dataclass(frozen=True, slots=True)
class Segment:
    """One connection: blocks ``[first_block, end_block)``; it begins with ServerInit at ``start_us``."""

    first_block: int
    end_block: int
    start_us: int


@dataclass(frozen=True, slots=True)
class Mark:
    time_us: int
    text: str  # one plain line


class RecordingWriter:
    """Puts a recording together and hands out whole blocks. After a failed write it is of no more use."""

    def __init__(self, write: Callable[[bytes], object], header: RecordingHeader) -> None:
        """``write`` writes all it is given, or raises OSError."""
        self.offset = 0  # of what was written whole
        self._write_all = write
        self._index = bytearray()
        self._count = 0
        self._marks = 0
        self._pending = bytearray()
        self._tag = SEGMENT
        self._first_us = 0
        self._last_us = 0
        self._in_segment = False
        self._emit(SIGNATURE + block_bytes(HEAD, header.packed(), 0, 0, 0))

    @property
    def has_pending(self) -> bool:
        """Whether chunks wait for their block to be full."""
        return bool(self._pending)

    def begin_segment(self) -> None:
        """What comes next starts with a ServerInit."""
        self.flush()
        self._tag = SEGMENT
        self._in_segment = True

    def write(self, time_us: int, data: bytes | bytearray | memoryview, *, level: int = _LEVEL) -> None:
        """Add bytes of the stream. Times that go back are taken as the latest one. Raises OSError, RecordingError."""
        assert self._in_segment, "a segment was begun"
        time_us = self._time(time_us)
        view = memoryview(data)
        for start in range(0, len(view), MAX_CHUNK_BYTES):
            part = view[start : start + MAX_CHUNK_BYTES]
            if not self._pending:
                self._first_us = time_us
            self._pending += RECORD.pack(len(part), time_us)
            self._pending += part
            if len(self._pending) >= _FULL_BLOCK:
                self.flush(level=level)

    def mark(self, time_us: int, text: str) -> None:
        """Note a moment. More than MAX_MARKS are left out."""
        self.flush()
        time_us = self._time(time_us)
        if self._marks < MAX_MARKS:
            self._marks += 1
            self._block(MARK, layout.cut_text(text), time_us, 0)

    def flush(self, *, level: int = _LEVEL) -> None:
        """Write the block under way, if there is one."""
        if self._pending:
            payload = bytes(self._pending)
            self._pending.clear()
            self._block(self._tag, payload, self._first_us, level)
            self._tag = DATA

    def finish(self, time_us: int) -> None:
        """Write what is left and the index. ``time_us``: the length of the recording."""
        self.flush()
        tail = self.offset
        end = END.pack(tail, END_MAGIC)
        self._emit(block_bytes(TAIL, bytes(self._index), 0, self._time(time_us), 6) + end)

    def abandon(self, time_us: int) -> None:
        """After a failed write, with the file cut to ``offset``: the index for what is there. Raises OSError."""
        self._pending.clear()
        self.finish(time_us)

    def _time(self, time_us: int) -> int:
        self._last_us = min(max(time_us, self._last_us), MAX_TIME_US)
        return self._last_us

    def _block(self, tag: bytes, payload: bytes, first_us: int, level: int) -> None:
        if self._count - self._marks >= MAX_BLOCKS:
            raise RecordingError("The recording has become too long.", advice="Start another one.")
        offset = self.offset
        self._emit(block_bytes(tag, payload, first_us, self._last_us, level))
        self._index += ENTRY.pack(tag, len(payload), offset, first_us, self._last_us)
        self._count += 1

    def _emit(self, data: bytes) -> None:
        self._write_all(data)
        self.offset += len(data)


def write_recording(path: Path, header: RecordingHeader, segments: Iterable[Iterable[Chunk]]) -> None:
    """Write a whole recording at once; each segment begins with its ServerInit. Raises OSError; never overwrites."""
    with path.open("xb") as stream:
        writer = RecordingWriter(stream.write, header)
        last = 0
        for segment in segments:
            writer.begin_segment()
            for chunk in segment:
                writer.write(chunk.time_us, chunk.data)
                last = chunk.time_us
        writer.finish(last)


class Recording:
    """An open recording. Its file may be hostile, cut off, or still being written. Close it, or use ``with``."""

    def __init__(self, path: Path) -> None:
        """Raises RecordingError when it is no recording at all, or has nothing that could be played."""
        self.path = path
        self.blocks: list[Block] = []
        self.is_whole = True  # it was ended properly and has its index
        self.duration_us = 0
        self._segment_starts: list[int] = []  # block numbers
        self._marks: list[tuple[int, Block]] = []
        self._fd = _open(path)
        try:
            self._size = os.fstat(self._fd).st_size
            self.header, start = self._read_start()
            if not self._read_index(start):
                self.is_whole = False
                self._scan(start)
            if not self.blocks:
                raise RecordingError("The recording is empty.", advice="It was ended before anything was shown.")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Safe to call twice; nobody may be reading."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Recording:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def segments(self) -> tuple[Segment, ...]:
        ends = [*self._segment_starts[1:], len(self.blocks)]
        return tuple(
            Segment(start, end, self.blocks[start].first_us)
            for start, end in zip(self._segment_starts, ends, strict=True)
        )

    def segment_of(self, block: int) -> int:
        """Number of the segment a block belongs to."""
        return bisect_right(self._segment_starts, block) - 1

    def starts_segment(self, block: int) -> bool:
        return self._segment_starts[self.segment_of(block)] == block

    def marks(self) -> tuple[Mark, ...]:
        """In the order of time; those that are damaged are left out."""
        found: list[Mark] = []
        for time_us, block in self._marks:
            try:
                found.append(Mark(time_us, layout.plain_text(self._payload(block.offset, MARK))))
            except RecordingError:
                continue
        return tuple(found)

    def chunks(self, block: int) -> list[Chunk]:
        """The chunks of a block, checked. Raises RecordingError."""
        place = self.blocks[block]
        payload = self._payload(place.offset, SEGMENT if self.starts_segment(block) else DATA)
        found: list[Chunk] = []
        position, time_us = 0, place.first_us
        while position < len(payload):
            if position + RECORD.size > len(payload):
                raise damaged("a chunk is cut off")
            length, chunk_us = RECORD.unpack_from(payload, position)
            position += RECORD.size
            if length > MAX_CHUNK_BYTES or position + length > len(payload):
                raise damaged("a chunk is longer than its block")
            if not time_us <= chunk_us <= place.last_us:
                raise damaged("time goes back")
            time_us = chunk_us
            found.append(Chunk(chunk_us, payload[position : position + length]))
            position += length
        return found

    def all_chunks(self, segment: int) -> Iterator[Chunk]:
        """All of a segment's chunks, in order. Raises RecordingError on the way."""
        where = self.segments[segment]
        for block in range(where.first_block, where.end_block):
            yield from self.chunks(block)

    # --- reading --------------------------------------------------------------------------------------

    def _read(self, offset: int, count: int) -> bytes:
        """Exactly ``count`` bytes, unless the file ends before. Raises RecordingError."""
        parts: list[bytes] = []
        try:
            while count and (part := os.pread(self._fd, count, offset)):
                parts.append(part)
                offset += len(part)
                count -= len(part)
        except OSError as error:
            raise RecordingError(f"The recording cannot be read: {error.strerror}.", details=str(error)) from error
        return b"".join(parts)

    def _header_at(self, offset: int) -> BlockHeader:
        data = self._read(offset, BLOCK.size)
        if len(data) < BLOCK.size:
            raise damaged("a block is cut off")
        header = BlockHeader.unpacked(data)
        if offset + BLOCK.size + header.stored > self._size:
            raise damaged("a block is cut off")
        return header

    def _payload(self, offset: int, tag: bytes) -> bytes:
        header = self._header_at(offset)
        if header.tag != tag:
            raise damaged("a block is not where the index says")
        return header.payload(self._read(offset + BLOCK.size, header.stored))

    def _read_start(self) -> tuple[RecordingHeader, int]:
        if self._read(0, len(SIGNATURE)) != SIGNATURE:
            raise RecordingError(
                "The file is not a session recording of guivm.", advice=f"Recordings end in {layout.SUFFIX}."
            )
        offset = len(SIGNATURE)
        header = self._header_at(offset)
        if header.tag != HEAD:
            raise damaged("its header is missing")
        payload = header.payload(self._read(offset + BLOCK.size, header.stored))
        return RecordingHeader.unpacked(payload), offset + BLOCK.size + header.stored

    def _add(self, tag: bytes, block: Block) -> bool:
        """Take one in; False when it cannot follow what is there."""
        latest = self.blocks[-1].last_us if self.blocks else 0
        if self._marks:
            latest = max(latest, self._marks[-1][0])
        if not latest <= block.first_us <= block.last_us <= MAX_TIME_US:
            return False
        if tag == MARK:
            if len(self._marks) < MAX_MARKS:
                self._marks.append((block.first_us, block))
        elif tag == SEGMENT or (tag == DATA and self.blocks):
            if len(self.blocks) >= MAX_BLOCKS:
                return False
            if tag == SEGMENT:
                self._segment_starts.append(len(self.blocks))
            self.blocks.append(block)
        else:
            return False
        self.duration_us = max(self.duration_us, block.last_us)
        return True

    def _read_index(self, start: int) -> bool:
        """Whether there is an index that can be right; the blocks themselves are checked when they are read."""
        try:
            data = self._read(self._size - END.size, END.size) if self._size >= start + END.size else b""
            if len(data) != END.size:
                return False
            tail, magic = END.unpack(data)
            if magic != END_MAGIC or not start <= tail <= self._size - END.size - BLOCK.size:
                return False
            header = self._header_at(tail)
            if header.tag != TAIL:
                return False
            entries = header.payload(self._read(tail + BLOCK.size, header.stored))
        except RecordingError:
            return False
        if len(entries) % ENTRY.size:
            return False
        previous = start - 1
        for tag, raw, offset, first_us, last_us in ENTRY.iter_unpack(entries):
            if not previous < offset < tail or not self._add(tag, Block(offset, raw, first_us, last_us)):
                self._forget()
                return False
            previous = offset
        self.duration_us = max(self.duration_us, header.last_us)
        return True

    def _forget(self) -> None:
        self.blocks.clear()
        self._segment_starts.clear()
        self._marks.clear()
        self.duration_us = 0

    def _scan(self, offset: int) -> None:
        """Without an index: all blocks that are whole, up to the first that is not."""
        while True:
            try:
                header = self._header_at(offset)
            except RecordingError:
                return
            block = Block(offset, header.raw, header.first_us, header.last_us)
            if not self._add(header.tag, block):
                return
            offset += BLOCK.size + header.stored


def _open(path: Path) -> int:
    """Raises RecordingError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.ENOENT:
            raise RecordingError(f"There is no file “{path.name}”.", details=str(error)) from error
        raise RecordingError(f"The recording cannot be opened: {error.strerror}.", details=str(error)) from error
    except ValueError as error:  # a NUL in the name
        raise RecordingError("There is no such file.", details=str(error)) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise RecordingError(f"“{path.name}” is not a file.")
    return descriptor
