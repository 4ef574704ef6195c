"""``qemu-img`` for long: cut short in the middle, cancelled, and its words."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from guivm.engine import qemu_img
from guivm.engine.context import HandlerContext
from guivm.engine.jobs import JobState
from guivm.engine.snapshots import journal, steps
from guivm.engine.snapshots.executing import perform
from guivm.engine.snapshots.journal import Entry, Journal
from guivm.errors import CancelledError, ImageError, InUseError, NoSpaceError, OperationError
from tests.helpers.crash import HeldTool, begin_child
from tests.helpers.daemon import process_is_gone, wait_until
from tests.helpers.image_oracles import Qcow2, check_images, make_image, write_pattern
from tests.helpers.snapshot_place import (
    KEY,
    Place,
)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


# --- cut short in the middle of qemu-img ------------------------------------------------------------------


def large(place: Place) -> Path:
    """An overlay that takes in, or gives, :data:`PULLED` bytes."""
    base = make_image(place.images / "large.qcow2", size=128 << 20)
    write_pattern(base, 7, 0, 32 << 20)
    path = place.images / "above.qcow2"
    place.do(steps.MakeOverlay(str(path), str(base), "qcow2", 128 << 20))
    write_pattern(path, 8, 16 << 20, 32 << 20)
    return path


def visible(path: Path) -> str:
    """Of a large image: by QEMU."""
    done = qemu_img.look(("map", "--output=json", "-f", "qcow2", "--", str(path)))
    assert done.returncode == 0
    reads = ("read -P 7 0 16M", "read -P 8 16M 32M", "read -P 0 48M 80M")
    for read in reads:
        said = subprocess.run(
            ["qemu-io", "-r", "-f", "qcow2", "-c", read, str(path)], capture_output=True, text=True, check=False
        )
        assert said.returncode == 0, (read, said.stdout, said.stderr)
        assert "failed" not in said.stdout, said.stdout
    return "as it should be"


PULLED = 16 << 20
"""Bytes by which the image grows that takes in the other."""
SHARES = pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.95])


def held_tool(place: Place, path: Path, share: float) -> HeldTool:
    """One that stands still when it has written so much of what ``path`` is to take in."""
    return HeldTool(place.images.parent / "tool", path.stat().st_size + int(share * PULLED))


@SHARES
def test_a_cancelled_pull_leaves_all_as_it_was_and_no_leaks(
    place: Place, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    path = large(place)
    tool = held_tool(place, path, share)

    def person() -> None:
        pid = tool.wait()
        place.context.job.cancel()
        os.kill(pid, signal.SIGCONT)  # which takes what waits for it: to end

    other = threading.Thread(target=person)
    with monkeypatch.context() as patched:
        patched.setenv("PATH", tool.path)
        other.start()
        with pytest.raises(CancelledError):
            place.perform(place.plan(steps.Pull(str(path), "qcow2", None)))
        other.join()
    assert visible(path)
    assert Qcow2.read(path).backing
    check_images([path, place.images / "large.qcow2"])
    assert not journal.is_there(place.folder)
    # It can be done afterwards.
    again = HandlerContext(place.context.host, place.context.connection, _new_job(place), Path(), place.images)
    perform(again, KEY, place.folder, "v", place.plan(steps.Pull(str(path), "qcow2", None)))
    assert visible(path)
    assert not Qcow2.read(path).backing


def _new_job(place: Place) -> Any:
    from guivm.engine.jobs import Job

    job: Job[Any] = Job(KEY.host, KEY, "again")
    job.begin()
    return job


def killed_at(
    place: Place, monkeypatch: pytest.MonkeyPatch, path: Path, share: float, operation: Callable[[], object]
) -> None:
    """In a child that ends by SIGKILL when its tool has written so much of what ``path`` is to take in."""
    tool = held_tool(place, path, share)
    with monkeypatch.context() as patched:
        patched.setenv("PATH", tool.path)
        child = begin_child(operation)
        pid = tool.wait()
        os.kill(child, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    wait_until(lambda: process_is_gone(pid), "the tool to end with the process that ran it")


@SHARES
def test_a_merge_whose_process_was_killed_is_done_again(
    place: Place, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    path = large(place)
    base = place.images / "large.qcow2"
    plan = place.plan(finish=(steps.Merge(str(path), "qcow2", str(base)),))
    killed_at(place, monkeypatch, base, share, lambda: place.perform(plan))
    place.settle()
    assert visible(base)
    assert visible(path)
    check_images([path, base])
    assert not journal.is_there(place.folder)


@SHARES
def test_a_pull_whose_process_was_killed_is_taken_back(
    place: Place, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    path = large(place)
    plan = place.plan(steps.Pull(str(path), "qcow2", None))
    killed_at(place, monkeypatch, path, share, lambda: place.perform(plan))
    place.settle()
    assert visible(path)
    assert Qcow2.read(path).backing
    check_images([path])


def test_nothing_is_cancelled_once_it_is_decided(place: Place) -> None:
    path = large(place)
    base = place.images / "large.qcow2"
    job = place.context.job
    job._on_change = lambda info: job.cancel() if info.progress is not None and info.progress.done > 0 else None
    place.perform(place.plan(finish=(steps.Merge(str(path), "qcow2", str(base)),)))
    assert job.cancel_requested
    assert not job.info.cancellable
    assert visible(base)


def test_damage_is_told_and_stops_the_rest(place: Place) -> None:
    entry = Entry("t", "v", (), (steps.Merge(str(place.top), "qcow2", str(place.middle)),))
    Journal.begin(place.folder, entry).decide()
    image = Qcow2.read(place.middle)
    with place.middle.open("r+b") as stream:
        stream.seek((image.l1[0] & 0x00FF_FFFF_FFFF_FE00) + 8 * (1 << 20) // image.cluster)
        stream.write((0x8000_0000_0000_0000 | 3 << 16).to_bytes(8, "big"))  # where its tables are
    before = place.middle.read_bytes()
    with pytest.raises(ImageError, match="damaged"):
        place.settle()
    assert place.middle.read_bytes() == before
    assert journal.is_there(place.folder)


# --- qemu-img itself --------------------------------------------------------------------------------------


def test_words_become_errors_of_their_kind() -> None:
    for said, kind in (
        ("qemu-img: error while writing: No space left on device", NoSpaceError),
        ("qemu-img: Disk quota exceeded", NoSpaceError),
        ('qemu-img: Failed to get "write" lock\nIs another process using the image [/a]?', InUseError),
        ('qemu-img: Could not open: Failed to get shared "write" lock', InUseError),
        ("qemu-img: Could not open '/a': Permission denied", OperationError),
        ("qemu-img: Block job failed: Input/output error", OperationError),  # no lock in a "block"
        ("qemu-img: Could not open '/locks/lock': No such file", OperationError),
    ):
        assert type(qemu_img.failure(said, "It failed.")) is kind, said


def test_a_tool_that_is_not_there_or_fails(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OperationError) as caught:
        qemu_img.work(("info", "--", "/not/there"), "It failed.")
    assert "not/there" in caught.value.details
    monkeypatch.setenv("PATH", "/nowhere")
    from guivm.errors import UnsupportedError

    with pytest.raises(UnsupportedError):
        qemu_img.work(("info", "--", str(place.base)), "It failed.")


def test_a_cancel_before_the_tool_runs_ends_it_at_once(place: Place) -> None:
    place.context.job.cancel()
    with pytest.raises(CancelledError):
        qemu_img.work(
            ("rebase", "-p", "-f", "qcow2", "-b", "", "--", str(large(place))),
            "It failed.",
            on_cancel=place.context.job.on_cancel,
        )
    assert place.context.job.info.state is JobState.RUNNING  # its end is another's affair
