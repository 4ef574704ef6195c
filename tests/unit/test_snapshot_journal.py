from __future__ import annotations

import errno
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from guivm.engine.snapshots import journal, steps
from guivm.engine.snapshots.journal import Entry, Journal, is_there, locked, open_journal
from guivm.engine.snapshots.steps import Step
from guivm.errors import InUseError, OperationError

EVERY_STEP: tuple[Step, ...] = (
    steps.MakeOverlay("/i/a.1.qcow2", "/i/a.qcow2", "qcow2", 1 << 40),
    steps.CopyFile("/n/vars", "/s/1.nvram"),
    steps.ConvertImage("/i/a", "raw", "/i/b", "qcow2", "snap, 1", 5),
    steps.Freeze("/i/ä\udcff\n.img"),
    steps.Thaw("/i/a"),
    steps.Pull("/i/a", "qcow2", None),
    steps.Pull("/i/a", "qcow2", "/i/b", "raw"),
    steps.Merge("/i/a", "qcow2", "/i/b"),
    steps.SetBacking("/i/a", "qcow2", "/i/b", "qcow2"),
    steps.Quarantine("/i/a", "/i/.guivm-trash/x/0-a"),
    steps.PutInPlace("/i/a.1", "/i/a"),
    steps.DefineVm("<domain>\u202e</domain>"),
    steps.WriteTree('{"a": "b\\n"}'),
    steps.SaveMemory("/s/1.mem"),
    steps.RunMemory("/s/1.mem", "<domain/>", True, ("/i/a", "/i/b")),
    steps.LivePull("vda", "/i/a", None),
    steps.LiveMerge("vda", "/i/b", "qcow2", "/i/a", "raw", "/i/c", "qcow2"),
    steps.LiveCopy((("vda", "/i/b"),), ("/i/a",), (("/n", "/m"),), True, True),
    steps.StopVm(),
    steps.StartVm(),
    steps.LiveOverlays((("vda", "/i/a"), ("vdb", "/i/b")), "<x/>", True, (("/n", "/m"),), True),
)

ENTRY = Entry("Take the snapshot “x”", "vm", EVERY_STEP, EVERY_STEP[:3], EVERY_STEP[-2:])
SMALL = Entry("small", "vm", (steps.Freeze("/a"), steps.Thaw("/a")), (steps.StopVm(), steps.StartVm()))


def written(folder: Path) -> list[bytes]:
    return (folder / journal.JOURNAL_NAME).read_bytes().splitlines(keepends=True)


def run_through(folder: Path) -> None:
    notes = Journal.begin(folder, SMALL)
    notes.step_done()
    notes.guest_stops()
    notes.step_done()
    notes.decide()
    notes.step_done()
    notes.step_done()


def test_every_kind_of_step_comes_back_as_it_was(tmp_path: Path) -> None:
    assert {type(step) for step in EVERY_STEP} == set(steps.Step.__args__)
    Journal.begin(tmp_path, ENTRY)
    notes = open_journal(tmp_path)
    assert notes is not None
    assert notes.entry == ENTRY
    assert (tmp_path / journal.JOURNAL_NAME).stat().st_mode & 0o777 == 0o600
    assert is_there(tmp_path)
    notes.end()
    assert open_journal(tmp_path) is None
    assert not is_there(tmp_path)


def test_marks_are_found_again(tmp_path: Path) -> None:
    run_through(tmp_path)
    notes = open_journal(tmp_path)
    assert notes is not None
    assert (notes.entry.done, notes.entry.is_decided, notes.entry.guest_stopped) == (4, True, True)
    assert notes.entry.under_way is None


def test_deciding_counts_all_of_prepare_as_done(tmp_path: Path) -> None:
    """As when the last step was done and its mark could not be written."""
    notes = Journal.begin(tmp_path, SMALL)
    notes.step_done()
    notes.decide()
    assert notes.entry.under_way == steps.StopVm()
    again = open_journal(tmp_path)
    assert again is not None
    assert again.entry == notes.entry


def test_a_journal_cut_anywhere_tells_of_no_more_than_was_done(tmp_path: Path) -> None:
    run_through(tmp_path)
    lines = written(tmp_path)
    whole = b"".join(lines)
    states = [(0, False), (1, False), (1, False), (2, False), (2, True), (3, True), (4, True)]
    ends = [sum(len(line) for line in lines[: count + 1]) for count in range(len(lines))]
    path = tmp_path / journal.JOURNAL_NAME
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        if length < ends[0]:
            with pytest.raises(OperationError):
                open_journal(tmp_path)
            assert path.read_bytes() == whole[:length]  # what cannot be understood is left to be looked at
            continue
        notes = open_journal(tmp_path)
        assert notes is not None
        last = max(number for number, end in enumerate(ends) if end <= length)
        assert (notes.entry.done, notes.entry.is_decided) == states[last]
        # What comes next does not continue the torn line.
        if notes.entry.under_way is not None and (notes.entry.is_decided or notes.entry.done < 2):
            notes.step_done()
            again = open_journal(tmp_path)
            assert again is not None
            assert again.entry == notes.entry


HEAD = json.loads(journal._line({"version": 1, "title": "t", "vm": "v", "prepare": [], "finish": [], "undo": []}))


@pytest.mark.parametrize(
    "lines",
    [
        [b""],
        [b"\n"],
        [b"[]\n"],
        [b'"decided"\n'],
        [b"null\n"],
        [b"[" * 100_000 + b"\n"],
        [b"\xff\xfe\n"],
        [{**HEAD, "version": 2}],
        [{**HEAD, "prepare": [{"step": "Freeze"}]}],
        [{**HEAD, "prepare": [{"step": "Freeze", "path": "/a", "more": 1}]}],
        [{**HEAD, "prepare": [{"step": "Freeze", "path": 1}]}],
        [{**HEAD, "prepare": [{"step": "Freeze", "path": None}]}],
        [{**HEAD, "prepare": [{"step": "Explode", "path": "/a"}]}],
        [{**HEAD, "prepare": ["Freeze"]}],
        [{**HEAD, "prepare": [{"step": "RunMemory", "path": "/a", "xml": "", "paused": 1, "onto": []}]}],
        [{**HEAD, "prepare": [{"step": "RunMemory", "path": "/a", "xml": "", "paused": True, "onto": [1]}]}],
        [
            {
                **HEAD,
                "prepare": [
                    {
                        "step": "LiveOverlays",
                        "disks": [["vda"]],
                        "xml": "",
                        "quiesce": True,
                        "copies": [],
                        "paused": False,
                    }
                ],
            }
        ],
        [{key: value for key, value in HEAD.items() if key != "undo"}],
        [HEAD, 1],
        [HEAD, True],
        [HEAD, -1],
        [HEAD, 1.0],
        [HEAD, "other"],
        [HEAD, {}],
        [HEAD, "decided", "decided"],
        [{**HEAD, "prepare": [{"step": "StopVm"}] * 3}, 2],
        [{**HEAD, "prepare": [{"step": "StopVm"}] * 3}, 1, 1],
        [{**HEAD, "prepare": [{"step": "StopVm"}], "finish": [{"step": "StopVm"}]}, 1, 2],
    ],
)
def test_a_journal_that_makes_no_sense_stops_everything_and_stays(tmp_path: Path, lines: list[object]) -> None:
    raw = b"".join(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in lines)
    path = tmp_path / journal.JOURNAL_NAME
    path.write_bytes(raw)
    with pytest.raises(OperationError) as caught:
        open_journal(tmp_path)
    assert str(path) in caught.value.advice
    assert path.read_bytes() == raw


def test_what_is_no_file_is_no_journal(tmp_path: Path) -> None:
    path = tmp_path / journal.JOURNAL_NAME
    os.mkfifo(path)
    with pytest.raises(OperationError):
        open_journal(tmp_path)
    path.unlink()
    path.symlink_to("/etc/passwd")
    with pytest.raises(OperationError):
        open_journal(tmp_path)
    path.unlink()
    path.mkdir()
    with pytest.raises(OperationError):
        open_journal(tmp_path)


def test_an_operation_of_absurd_length_is_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "_MAX_BYTES", 4096)
    with pytest.raises(OperationError):
        Journal.begin(tmp_path, Entry("t", "v", (steps.DefineVm("x" * 4096),)))
    assert list(tmp_path.iterdir()) == []


def test_a_second_journal_never_replaces_the_first(tmp_path: Path) -> None:
    Journal.begin(tmp_path, SMALL)
    with pytest.raises(OperationError):
        Journal.begin(tmp_path, ENTRY)
    notes = open_journal(tmp_path)
    assert notes is not None
    assert notes.entry == SMALL


def test_what_an_earlier_run_had_not_finished_writing_is_no_operation(tmp_path: Path) -> None:
    (tmp_path / f"{journal.JOURNAL_NAME}.part").write_text("{")
    assert is_there(tmp_path)
    assert open_journal(tmp_path) is None
    assert not is_there(tmp_path)


# --- the disk fails ---------------------------------------------------------------------------------------


def failing(name: str, monkeypatch: pytest.MonkeyPatch, times: int = 1, after: int = 0) -> None:
    real: Callable[..., object] = getattr(os, name)
    left = [times]
    seen = [0]

    def fail(*args: object, **kwargs: object) -> object:
        seen[0] += 1
        if seen[0] > after and left[0] > 0:
            left[0] -= 1
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*args, **kwargs)

    monkeypatch.setattr(os, name, fail)


@pytest.mark.parametrize(("name", "after"), [("fsync", 0), ("fsync", 1), ("link", 0), ("open", 0), ("unlink", 0)])
def test_a_beginning_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, after: int
) -> None:
    with monkeypatch.context() as patched:
        failing(name, patched, after=after)
        if name == "link":  # then it is renamed: there are file systems without links
            Journal.begin(tmp_path, SMALL)
            assert open_journal(tmp_path) is not None
            return
        with pytest.raises(OperationError):
            Journal.begin(tmp_path, SMALL)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["open", "write", "fsync"])
def test_a_mark_that_fails_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    notes = Journal.begin(tmp_path, SMALL)
    notes.step_done()
    before = notes.entry
    for mark in (notes.step_done, notes.decide, notes.guest_stops):
        with monkeypatch.context() as patched:
            failing(name, patched)
            with pytest.raises(OSError, match="No space"):
                mark()
        assert notes.entry == before
        assert not notes.is_in_doubt
        again = open_journal(tmp_path)
        assert again is not None
        assert again.entry == before
    notes.step_done()
    notes.decide()


def test_a_mark_that_can_neither_be_written_nor_taken_back_is_in_doubt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = Journal.begin(tmp_path, SMALL)
    failing("fsync", monkeypatch, times=2)
    with pytest.raises(OSError, match="No space"):
        notes.decide()
    assert notes.is_in_doubt


def test_a_mark_half_written_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notes = Journal.begin(tmp_path, SMALL)
    whole = written(tmp_path)
    real = os.write
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:3]))
        with pytest.raises(OSError, match="full"):
            notes.decide()
    assert written(tmp_path) == whole
    assert not notes.is_in_doubt


def test_a_file_that_may_not_grow(tmp_path: Path) -> None:
    """A real limit of the system's instead of a patched function."""
    notes = Journal.begin(tmp_path, SMALL)
    size = (tmp_path / journal.JOURNAL_NAME).stat().st_size
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        for room in range(len(b'"decided"\n')):
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + room, old[1]))
            with pytest.raises(OSError, match=r"large|full"):
                notes.decide()
            assert (tmp_path / journal.JOURNAL_NAME).stat().st_size == size
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, handler)
    notes.decide()


# --- the lock ---------------------------------------------------------------------------------------------


def test_only_one_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "er"
    with locked(folder, "vm"), pytest.raises(InUseError), locked(folder, "vm"):
        pass
    with locked(folder, "vm"):
        pass
    for each in (folder, folder.parent):
        assert each.stat().st_mode & 0o777 == 0o700


_HOLD = """
import sys
from pathlib import Path
from guivm.engine.snapshots.journal import locked
with locked(Path(sys.argv[1]), "vm"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_another_process_holds_it_until_it_ends_however_that_is(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(InUseError) as caught, locked(tmp_path, "my vm"):
            pass
        assert "my vm" in caught.value.summary
        other.kill()
    with locked(tmp_path, "vm"):
        pass


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OperationError), locked(tmp_path / "file" / "x", "vm"):
        pass
    (tmp_path / "lock").symlink_to("elsewhere")
    with pytest.raises(OperationError), locked(tmp_path, "vm"):
        pass
    assert not (tmp_path / "elsewhere").exists()
