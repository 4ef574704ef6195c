"""Whole plans: refused, failing in the middle, taken back, gone on with, recovered."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from guivm.engine.snapshots import doing, executing, journal, recovering, steps, store
from guivm.engine.snapshots.graph import Graph
from guivm.engine.snapshots.journal import Entry, Journal
from guivm.engine.snapshots.run import Run, Share
from guivm.engine.snapshots.steps import Plan, Step
from guivm.engine.snapshots.values import OperationPlan
from guivm.errors import InUseError, OperationError
from tests.helpers.image_oracles import write_pattern
from tests.helpers.snapshot_place import (
    KEY,
    UUID,
    XML,
    Place,
    begun,
)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_refused_plan_is_not_begun(place: Place) -> None:
    before = place.files()
    with pytest.raises(InUseError, match="because"):
        place.perform(Plan(OperationPlan(KEY, "t", refused="because"), (steps.Freeze(str(place.base)),)))
    assert place.files() == before
    assert place.base.stat().st_mode & 0o200


@pytest.mark.parametrize(
    "make",
    [
        lambda p: steps.MakeOverlay(str(p), "/b", "qcow2", 1),
        lambda p: steps.CopyFile("/b", str(p)),
        lambda p: steps.ConvertImage("/b", "raw", str(p), "raw"),
        lambda p: steps.SaveMemory(str(p)),
        lambda p: steps.Quarantine("/b", str(p)),
        lambda p: steps.PutInPlace("/b", str(p)),
    ],
)
def test_what_stands_where_something_is_to_be_made_is_never_touched(place: Place, make: Callable[[Path], Step]) -> None:
    there = place.images / "somebody's"
    there.write_text("precious")
    for plan in (place.plan(make(there)), place.plan(finish=(make(there),))):
        with pytest.raises(InUseError, match="somebody's"):
            place.perform(plan)
        assert there.read_text() == "precious"
        assert not journal.is_there(place.folder)


def test_what_turns_up_meanwhile_is_never_touched_either(place: Place) -> None:
    there = place.images / "new.qcow2"

    def do(run: Run, step: Step, share: Share) -> None:
        there.write_text("precious")
        doing.do(run, step, share)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(executing, "do", do)
        with pytest.raises(OperationError):
            place.perform(place.plan(steps.MakeOverlay(str(there), str(place.base), "qcow2", 8 << 20)))
    assert there.read_text() == "precious"
    assert "new.qcow2.part" not in place.files()
    assert not journal.is_there(place.folder)


def test_folders_and_files_of_others_are_found_before_anything_is_done(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = place.files()
    monkeypatch.setattr(os, "access", lambda path, _mode: Path(path) != place.images)
    with pytest.raises(OperationError, match="cannot be written"):
        place.perform(place.plan(finish=(steps.Quarantine(str(place.base), str(place.images / "t" / "0")),)))
    monkeypatch.undo()
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    for step in (
        steps.Freeze(str(place.base)),
        steps.Pull(str(place.base), "qcow2", None),
        steps.SetBacking(str(place.base), "qcow2", None),
        steps.Merge(str(place.top), "qcow2", str(place.base)),
    ):
        with pytest.raises(OperationError, match="another user"):
            place.perform(place.plan(finish=(steps.StopVm(), step)))
    with pytest.raises(OperationError, match="cannot be reached"):
        place.perform(place.plan(steps.Freeze(str(place.images / "gone"))))
    assert place.files() == before


def test_a_failure_in_prepare_takes_everything_back(place: Place) -> None:
    before = place.files()
    for name in ("v.nvram", "w.nvram"):
        (place.images / name).write_text(name)
    place.base.chmod(0o444)
    plan = place.plan(
        steps.MakeOverlay(str(place.images / "n.qcow2"), str(place.base), "qcow2", 8 << 20),
        steps.CopyFile(str(place.images / "v.nvram"), str(place.folder / "1.nvram")),
        steps.Thaw(str(place.base)),
        steps.CopyFile(str(place.images / "not there"), str(place.folder / "2.nvram")),
        steps.CopyFile(str(place.images / "w.nvram"), str(place.folder / "3.nvram")),
        finish=(steps.Freeze(str(place.base)),),
        undo=(steps.Freeze(str(place.base)),),
    )
    with pytest.raises(OperationError) as caught:
        place.perform(plan)
    assert "not there" in caught.value.details
    assert place.files() == before | {"v.nvram", "w.nvram"}
    assert not place.base.stat().st_mode & 0o222
    assert not journal.is_there(place.folder)


def test_only_what_was_begun_is_taken_back(place: Place) -> None:
    """A file of the name of a later step's, made by somebody meanwhile."""
    later = place.folder / "3.nvram"

    def fail(_run: Run, _step: Step, _share: Share) -> None:
        later.write_text("precious")
        raise OSError(errno.EIO, "broken")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(executing, "do", fail)
        with pytest.raises(OperationError):
            place.perform(place.plan(steps.CopyFile("/a", str(place.folder / "1")), steps.CopyFile("/b", str(later))))
    assert later.read_text() == "precious"


def test_a_failure_in_finish_leaves_the_journal_and_the_next_one_goes_on(place: Place) -> None:
    kept = place.images / "kept"
    plan = place.plan(
        steps.MakeOverlay(str(place.images / "n.qcow2"), str(place.top), "qcow2", 8 << 20),
        finish=(steps.Freeze(str(place.top)), steps.Quarantine(str(place.images / "late"), str(kept))),
    )
    with pytest.raises(OperationError, match="not finished"):
        place.perform(plan)
    assert journal.is_there(place.folder)
    with pytest.raises(OperationError, match="not finished"):
        place.settle()
    (place.images / "late").write_text("now it is there")
    with executing.held(place.context, KEY, "v"):
        pass
    assert kept.read_text() == "now it is there"
    assert not journal.is_there(place.folder)


def test_taking_back_that_fails_is_told_and_done_later(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    before = place.files()
    plan = place.plan(
        steps.CopyFile(str(place.base), str(place.folder / "1.nvram")),
        steps.CopyFile("/not/there", str(place.folder / "2.nvram")),
    )
    with monkeypatch.context() as patched:

        def fail(*_args: object) -> None:
            raise PermissionError(errno.EACCES, "Permission denied", "1.nvram")

        patched.setattr(executing, "remove_made", fail)
        with pytest.raises(OperationError) as caught:
            place.perform(plan)
    assert "taken back at the next start" in caught.value.advice
    assert "1.nvram" in caught.value.details
    assert journal.is_there(place.folder)
    place.settle()
    assert place.files() == before


def test_a_mark_in_doubt_leaves_all_to_the_next_run(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether *prepare* has ended is then told by the file alone."""
    new = place.images / "n.qcow2"
    real = Journal.decide

    def decide(notes: Journal) -> None:
        real(notes)
        notes.is_in_doubt = True
        raise OSError(errno.EIO, "broken")

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "decide", decide)
        with pytest.raises(OperationError, match="not finished"):
            place.perform(
                place.plan(
                    steps.MakeOverlay(str(new), str(place.top), "qcow2", 8 << 20),
                    finish=(steps.Freeze(str(place.top)),),
                )
            )
    assert new.exists()
    assert place.top.stat().st_mode & 0o200
    place.settle()
    assert new.exists()
    assert not place.top.stat().st_mode & 0o222


def test_an_overlay_that_was_written_to_is_not_removed(place: Place) -> None:
    """Something else than what the journal tells has happened to it."""
    new = place.images / "n.qcow2"
    entry = Entry("t", "v", (steps.MakeOverlay(str(new), str(place.top), "qcow2", 8 << 20),))
    notes = Journal.begin(place.folder, entry)
    place.do(entry.prepare[0])
    notes.step_done()
    write_pattern(new, 9, 0, 512)
    with pytest.raises(InUseError, match="written"):
        place.settle()
    assert new.exists()


def test_a_result_other_than_planned_is_told(place: Place) -> None:
    from guivm.engine.snapshots.graph import HeldDisk, Holder

    expected = Graph(holders=(Holder(UUID, "v", (HeldDisk("vda", "/images/a.qcow2"),)),))
    with pytest.raises(OperationError, match="not as they should be"):
        place.perform(place.plan(finish=(steps.Freeze(str(place.base)),), expected=expected))
    assert not journal.is_there(place.folder)


def test_what_a_living_process_does_is_left_alone(place: Place) -> None:
    new = place.overlay("n.qcow2", place.base)
    begun(place, steps.MakeOverlay(str(new), str(place.base), "qcow2", 1))
    with journal.locked(place.folder, "v"):
        recovering.recover(place.context)
        assert new.exists()
    recovering.recover(place.context)
    assert not new.exists()


def test_one_journal_that_cannot_be_read_does_not_stop_the_others(place: Place) -> None:
    other = "00000000-2222-4333-8444-555555555555"
    place.connection.defineXML(XML.replace(UUID, other).replace(">v<", ">w<"))
    folder = store.folder_of(place.images, other)
    folder.mkdir()
    (folder / journal.JOURNAL_NAME).write_text("{")
    new = place.overlay("n.qcow2", place.base)
    begun(place, steps.MakeOverlay(str(new), str(place.base), "qcow2", 1))
    recovering.recover(place.context)
    assert not new.exists()
    assert (folder / journal.JOURNAL_NAME).read_text() == "{"


def test_a_vm_that_is_gone_is_left_alone(place: Place) -> None:
    new = place.overlay("n.qcow2", place.base)
    begun(place, steps.MakeOverlay(str(new), str(place.base), "qcow2", 1))
    with contextlib.suppress(FileNotFoundError):
        place.connection.lookupByUUIDString(UUID)._path.unlink()
    recovering.recover(place.context)
    assert new.exists()
