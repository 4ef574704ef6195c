"""The recording's format: what is written is read; what is cut off or hostile is read as far as it is whole."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guivm.console.recording import layout
from guivm.console.recording.format import (
    Chunk,
    Recording,
    RecordingError,
    RecordingHeader,
    RecordingWriter,
    write_recording,
)

WHEN = datetime(2026, 3, 1, 12, 30, 15, 250_000, tzinfo=UTC)
HEADER = RecordingHeader(640, 480, "Debian", WHEN, "QEMU (Debian)")

timed = st.lists(st.tuples(st.integers(0, 5_000_000), st.binary(min_size=1, max_size=600)), max_size=12)


def written(segments: list[list[Chunk]], header: RecordingHeader = HEADER) -> bytes:
    out = io.BytesIO()
    writer = RecordingWriter(out.write, header)
    last = 0
    for segment in segments:
        writer.begin_segment()
        for chunk in segment:
            writer.write(chunk.time_us, chunk.data)
            last = chunk.time_us
    writer.finish(last)
    return out.getvalue()


def opened(tmp_path: Path, data: bytes) -> Recording:
    path = tmp_path / "a.guivm-rec"
    path.write_bytes(data)
    return Recording(path)


def contents(recording: Recording) -> list[list[Chunk]]:
    return [list(recording.all_chunks(number)) for number in range(len(recording.segments))]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.lists(timed, max_size=4))
def test_what_is_written_is_read(tmp_path: Path, made: list[list[tuple[int, bytes]]]) -> None:
    clock = 0
    segments: list[list[Chunk]] = []
    for chunks in made:
        segment: list[Chunk] = []
        for step, data in chunks:
            clock += step
            segment.append(Chunk(clock, data))
        if segment:
            segments.append(segment)
    data = written(segments)
    if not segments:
        with pytest.raises(RecordingError, match="empty"):
            opened(tmp_path, data)
        return
    with opened(tmp_path, data) as recording:
        assert recording.header == HEADER
        assert recording.is_whole
        assert contents(recording) == segments
        assert recording.duration_us == clock
        assert [s.start_us for s in recording.segments] == [s[0].time_us for s in segments]


@pytest.mark.parametrize("size", [0, 1, layout.MAX_CHUNK_BYTES, layout.MAX_CHUNK_BYTES + 1, 5 << 20])
def test_long_chunks_are_split_and_nothing_is_lost(tmp_path: Path, size: int) -> None:
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    with opened(tmp_path, written([[Chunk(1, b"init"), Chunk(7, data), Chunk(9, b"end")]])) as recording:
        chunks = list(recording.all_chunks(0))
        assert chunks[0] == Chunk(1, b"init")
        assert chunks[-1] == Chunk(9, b"end")
        assert b"".join(chunk.data for chunk in chunks[1:-1]) == data
        assert all(chunk.time_us == 7 for chunk in chunks[1:-1])


def test_marks(tmp_path: Path) -> None:
    out = io.BytesIO()
    writer = RecordingWriter(out.write, HEADER)
    writer.begin_segment()
    writer.write(10, b"a")
    writer.mark(20, "log-in\u202e\n" + "ü" * 5000)
    writer.write(30, b"b")
    writer.finish(99)
    with opened(tmp_path, out.getvalue()) as recording:
        (mark,) = recording.marks()
        assert mark.time_us == 20
        assert mark.text.startswith("log-in üü")
        assert [chunk.data for chunk in recording.all_chunks(0)] == [b"a", b"b"]
        assert recording.duration_us == 99


def test_a_file_cut_off_anywhere_is_readable_up_to_its_last_whole_block(tmp_path: Path) -> None:
    out = io.BytesIO()
    writer = RecordingWriter(out.write, HEADER)
    ends: list[int] = []
    writer.begin_segment()
    for number in range(4):
        writer.write(number * 1000, b"part %d" % number)
        writer.flush()
        ends.append(writer.offset)
        if number == 1:
            writer.mark(1500, "here")
            writer.begin_segment()
    writer.finish(9000)
    data = out.getvalue()
    for length in range(len(data)):
        whole = sum(end <= length for end in ends)
        if whole == 0:
            with pytest.raises(RecordingError):
                opened(tmp_path, data[:length])
            continue
        with opened(tmp_path, data[:length]) as recording:
            assert not recording.is_whole
            got = [chunk.data for segment in contents(recording) for chunk in segment]
            assert got == [b"part %d" % number for number in range(whole)]
            marked = 1500 if recording.marks() else 0
            assert recording.duration_us == max(marked, (whole - 1) * 1000)
    with opened(tmp_path, data) as recording:
        assert recording.is_whole
        assert recording.duration_us == 9000


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(st.data())
def test_a_changed_file_is_read_or_refused_in_words(tmp_path: Path, data: st.DataObject) -> None:
    good = bytearray(written([[Chunk(5, b"init" * 20), Chunk(9, b"x" * 50)], [Chunk(20, b"init2")]]))
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(good) - 1))
        good[position] = data.draw(st.integers(0, 255))
    with contextlib.suppress(RecordingError), opened(tmp_path, bytes(good)) as recording:
        recording.marks()
        contents(recording)


def block(tag: bytes, payload: bytes, first: int = 0, last: int = 0, **claims: int) -> bytes:
    """A block with a right check sum that may lie about its lengths."""
    raw, stored = claims.get("raw", len(payload)), claims.get("stored", len(payload))
    bare = layout.BLOCK.pack(tag, stored, raw, 0, first, last)
    crc = zlib.crc32(payload, zlib.crc32(bare))
    return layout.BLOCK.pack(tag, stored, raw, crc, first, last) + payload


START = layout.SIGNATURE + layout.block_bytes(b"HEAD", HEADER.packed(), 0, 0, 0)


def _bomb() -> bytes:
    payload = zlib.compress(bytes(40 << 20), 9)
    return START + block(b"SEGM", payload, raw=layout.MAX_BLOCK_BYTES)


HOSTILE: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "another file": lambda: b"\x89PNG\r\n\x1a\n" + bytes(100),
    "signature only": lambda: layout.SIGNATURE,
    "no head": lambda: layout.SIGNATURE + block(b"SEGM", b""),
    "unknown kind": lambda: layout.SIGNATURE + block(b"EVIL", b""),
    "future version": lambda: layout.SIGNATURE + block(b"HEAD", struct.pack(">H", 2) + bytes(60)),
    "short head": lambda: layout.SIGNATURE + block(b"HEAD", b"\0\1\0"),
    "one byte of head": lambda: layout.SIGNATURE + block(b"HEAD", b"\0"),
    "huge head": lambda: layout.SIGNATURE + block(b"HEAD", bytes(64 << 10)),
    "huge screen": lambda: (
        layout.SIGNATURE + block(b"HEAD", struct.pack(">HHIIq16s", 1, 0, 70_000, 5, 0, b"") + bytes(4))
    ),
    "date out of range": lambda: (
        layout.SIGNATURE + block(b"HEAD", struct.pack(">HHIIq16s", 1, 0, 5, 5, 2**62, b"") + bytes(4))
    ),
    "name too long": lambda: (
        layout.SIGNATURE + block(b"HEAD", struct.pack(">HHIIq16s", 1, 0, 5, 5, 0, b"") + b"\xff\xff" + bytes(40))
    ),
    "bomb": _bomb,
    "block of 4 GiB": lambda: START + block(b"SEGM", b"x", stored=2**32 - 1, raw=2**32 - 1),
    "inflates to less": lambda: START + block(b"SEGM", zlib.compress(bytes(100)), raw=200),
    "not zlib": lambda: START + block(b"SEGM", b"xxxx", raw=200),
    "longer than it may be": lambda: START + block(b"SEGM", b"x" * 10, raw=5),
    "time backwards": lambda: START + block(b"SEGM", b"", 10, 5),
    "time without end": lambda: START + block(b"SEGM", b"", 0, 2**64 - 1),
    "chunk cut off": lambda: START + block(b"SEGM", b"\0\0"),
    "chunk too long": lambda: START + block(b"SEGM", layout.RECORD.pack(2**32 - 1, 0)),
    "chunk before its block": lambda: START + block(b"SEGM", layout.RECORD.pack(0, 3), 5, 9),
    "chunk after its block": lambda: START + block(b"SEGM", layout.RECORD.pack(0, 30), 5, 9),
    "starts in the middle": lambda: START + block(b"DATA", layout.RECORD.pack(1, 0) + b"x"),
    "only marks": lambda: START + block(b"MARK", b"hello"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_in_words(tmp_path: Path, name: str) -> None:
    with pytest.raises(RecordingError) as caught, opened(tmp_path, HOSTILE[name]()) as recording:
        contents(recording)
    assert caught.value.summary


def _with_index(entries: bytes, blocks: bytes, offset: int | None = None) -> bytes:
    body = START + blocks
    tail = layout.block_bytes(b"TAIL", entries, 0, 99, 0)
    return body + tail + layout.END.pack(len(body) if offset is None else offset, layout.END_MAGIC)


SEGM = block(b"SEGM", layout.RECORD.pack(1, 5) + b"x", 5, 5)


@pytest.mark.parametrize(
    "data",
    [
        _with_index(b"short", SEGM),
        _with_index(layout.ENTRY.pack(b"SEGM", 17, 2**63, 5, 5), SEGM),
        _with_index(layout.ENTRY.pack(b"DATA", 17, len(START), 5, 5), SEGM),
        _with_index(layout.ENTRY.pack(b"SEGM", 17, len(START), 9, 5), SEGM),
        _with_index(layout.ENTRY.pack(b"SEGM", 17, len(START), 5, 5) * 2, SEGM),
        _with_index(b"", SEGM, offset=2**64 - 1),
        _with_index(b"", SEGM, offset=3),
    ],
)
def test_a_wrong_index_is_done_without(tmp_path: Path, data: bytes) -> None:
    with opened(tmp_path, data) as recording:
        assert not recording.is_whole
        assert contents(recording) == [[Chunk(5, b"x")]]


def test_an_index_that_points_at_something_else_is_found_out(tmp_path: Path) -> None:
    data = _with_index(layout.ENTRY.pack(b"SEGM", 17, len(START) + 3, 5, 5), SEGM)
    with opened(tmp_path, data) as recording, pytest.raises(RecordingError, match="damaged"):
        contents(recording)


def test_names_are_plain(tmp_path: Path) -> None:
    header = RecordingHeader(1, 1, "evil\u202e\x1b[31m\nname", WHEN, "x" * 10_000)
    with opened(tmp_path, written([[Chunk(0, b"i")]], header)) as recording:
        assert recording.header.name == "evil[31m name"
        assert len(recording.header.server.encode()) <= layout.MAX_TEXT_BYTES


@pytest.mark.parametrize("kind", ["missing", "directory", "NUL"])
def test_what_is_no_file_is_told(tmp_path: Path, kind: str) -> None:
    path = {"missing": tmp_path / "none", "directory": tmp_path, "NUL": Path("a\0b")}[kind]
    with pytest.raises(RecordingError):
        Recording(path)


def test_write_recording_never_overwrites(tmp_path: Path) -> None:
    path = tmp_path / "a.guivm-rec"
    write_recording(path, HEADER, [[Chunk(0, b"one")], [Chunk(5, b"two")]])
    with Recording(path) as recording:
        assert contents(recording) == [[Chunk(0, b"one")], [Chunk(5, b"two")]]
        assert [recording.segment_of(n) for n in range(2)] == [0, 1]
    with pytest.raises(FileExistsError):
        write_recording(path, HEADER, [[Chunk(0, b"one")]])
