"""Steps and whole plans with real ``qemu-img``: again, cut short, cancelled, failing."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import stat
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import libvirt
import pytest

from guivm.engine import qemu_img
from guivm.engine.context import HandlerContext
from guivm.engine.jobs import JobState
from guivm.engine.snapshots import doing, doing_libvirt, executing, journal, recovering, steps, store
from guivm.engine.snapshots.executing import perform
from guivm.engine.snapshots.graph import Graph
from guivm.engine.snapshots.journal import Entry, Journal
from guivm.engine.snapshots.reading import holds_data
from guivm.engine.snapshots.run import Run, Share
from guivm.engine.snapshots.steps import Plan, Step
from guivm.engine.snapshots.values import OperationPlan
from guivm.errors import CancelledError, ImageError, InUseError, NoSpaceError, OperationError
from tests.helpers.crash import HeldTool, begin_child
from tests.helpers.daemon import process_is_gone, wait_until
from tests.helpers.file_libvirt import FileConnection, FileDomain, file_context, key_of
from tests.helpers.image_oracles import Qcow2, check_images, contents, digest, make_image, write_pattern
from tests.helpers.small_libvirt import refusal

UUID = "11111111-2222-4333-8444-555555555555"
KEY = key_of(UUID)
XML = f"<domain type='qemu'><name>v</name><uuid>{UUID}</uuid><os><type>hvm</type></os></domain>"


class Place:
    """A folder with a VM and a chain: ``base`` ← ``middle`` ← ``top``, each with data of its own."""

    def __init__(self, root: Path) -> None:
        self.context = file_context(root)
        self.connection = cast(FileConnection, self.context.connection)
        self.connection.defineXML(XML)
        self.images = self.context.images_dir
        self.folder = store.folder_of(self.images, UUID)
        self.folder.mkdir(parents=True)
        self.run = Run(self.context, KEY, self.folder)
        self.base = make_image(self.images / "base.qcow2", size=8 << 20)
        write_pattern(self.base, 1, 0, 4 << 20)
        self.middle = self.overlay("middle.qcow2", self.base)
        write_pattern(self.middle, 2, 1 << 20, 1 << 20)
        self.top = self.overlay("top.qcow2", self.middle)
        write_pattern(self.top, 3, 2 << 20, 1 << 16)

    def overlay(self, name: str, base: Path) -> Path:
        path = self.images / name
        self.do(steps.MakeOverlay(str(path), str(base), "qcow2", 8 << 20))
        return path

    def do(self, step: Step) -> None:
        doing.do(self.run, step, lambda _share: None)

    def plan(
        self, *prepare: Step, finish: tuple[Step, ...] = (), undo: tuple[Step, ...] = (), expected: Graph | None = None
    ) -> Plan:
        return Plan(OperationPlan(KEY, "Do it"), prepare, finish, undo, expected)

    def perform(self, plan: Plan) -> None:
        perform(self.context, KEY, self.folder, "v", plan)

    def settle(self) -> None:
        recovering.settle(self.context, KEY, self.folder)

    def files(self) -> set[str]:
        return {str(path.relative_to(self.images)) for path in self.images.rglob("*") if not path.is_dir()}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


# --- each step --------------------------------------------------------------------------------------------


def test_our_reader_of_qcow2_agrees_with_qemu(place: Place, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    for path in (place.base, place.middle, place.top):
        qemu_img.work(("convert", "-f", "qcow2", "-O", "raw", "--", str(path), str(raw)), "failed")
        assert contents(path, "qcow2") == raw.read_bytes()
        raw.unlink()


def test_an_overlay_is_empty_private_and_names_its_base_with_its_format(place: Place) -> None:
    path = place.overlay("new.qcow2", place.top)
    image = Qcow2.read(path)
    assert (image.backing, image.backing_format, image.size) == (str(place.top), "qcow2", 8 << 20)
    assert path.stat().st_mode & 0o777 == 0o600
    assert not holds_data(str(path))
    assert holds_data(str(place.top))
    assert digest(path, "qcow2") == digest(place.top, "qcow2")


def test_pull_reads_the_same_and_needs_no_more_than_it_says(place: Place) -> None:
    before = digest(place.top, "qcow2")
    for step in (
        steps.Pull(str(place.top), "qcow2", str(place.base), "qcow2"),
        steps.Pull(str(place.top), "qcow2", None),
    ):
        for _again in range(2):
            place.do(step)
            assert Qcow2.read(place.top).backing == (step.backing or "")
            assert digest(place.top, "qcow2") == before
            check_images([place.top])


def test_merge_makes_the_base_read_as_what_was_above_and_leaves_that_alone(place: Place) -> None:
    before, raw = digest(place.top, "qcow2"), place.top.read_bytes()
    for _again in range(2):
        place.do(steps.Merge(str(place.top), "qcow2", str(place.middle)))
        assert digest(place.middle, "qcow2") == digest(place.top, "qcow2") == before
        check_images([place.middle, place.top])
    assert place.top.read_bytes() == raw


def test_merge_writes_into_nothing_but_what_is_meant(place: Place) -> None:
    before = [path.read_bytes() for path in (place.base, place.middle, place.top)]
    with pytest.raises(OperationError):
        place.do(steps.Merge(str(place.top), "qcow2", str(place.base)))
    assert [path.read_bytes() for path in (place.base, place.middle, place.top)] == before


def test_set_backing_changes_the_header_only(place: Place) -> None:
    other = place.overlay("other.qcow2", place.middle)
    for backing in (str(other), None):
        for _again in range(2):
            place.do(steps.SetBacking(str(place.top), "qcow2", backing, "qcow2" if backing else ""))
            image = Qcow2.read(place.top)
            assert (image.backing, image.backing_format) == (backing or "", "qcow2" if backing else "")


def test_freeze_and_thaw(place: Place) -> None:
    for _again in range(2):
        place.do(steps.Freeze(str(place.base)))
        assert stat.S_IMODE(place.base.stat().st_mode) == 0o444
    for _again in range(2):
        place.do(steps.Thaw(str(place.base)))
        assert stat.S_IMODE(place.base.stat().st_mode) == 0o644
    place.do(steps.Freeze(str(place.images / "gone")))


def test_files_and_folders_are_copied_whole(place: Place) -> None:
    source = place.images / "tpm"
    (source / "sub").mkdir(parents=True)
    (source / "sub" / "state").write_bytes(b"x" * 1000)
    (source / "link").symlink_to("nowhere")
    target = place.folder / "1.tpm"
    variables = place.images / "vars"
    variables.write_bytes(b"v")
    for _again in range(2):
        place.do(steps.CopyFile(str(source), str(target)))
        assert (target / "sub" / "state").read_bytes() == b"x" * 1000
        assert (target / "link").readlink() == Path("nowhere")
        place.do(steps.CopyFile(str(variables), str(place.folder / "1.nvram")))
        assert (place.folder / "1.nvram").read_bytes() == b"v"
    (place.folder / "1.tpm.part").mkdir()  # of a copy cut short
    place.do(steps.CopyFile(str(source), str(target)))
    assert not (place.folder / "1.tpm.part").exists()


@pytest.mark.parametrize("is_folder", [False, True])
def test_moving_is_done_once_and_replaces_nothing(place: Place, is_folder: bool) -> None:
    path = place.images / "thing"
    kept = place.images / ".guivm-trash" / "x.moved" / "0-thing"
    if is_folder:
        path.mkdir()
    else:
        path.write_text("thing")
    for _again in range(2):
        place.do(steps.Quarantine(str(path), str(kept)))
        assert not path.exists()
        assert kept.exists()
    assert kept.parent.stat().st_mode & 0o777 == 0o700
    for _again in range(2):
        place.do(steps.PutInPlace(str(kept), str(path)))
        assert path.exists()
        assert not kept.exists()
    kept.mkdir() if is_folder else kept.write_text("another")
    with pytest.raises(FileExistsError):
        place.do(steps.Quarantine(str(path), str(kept)))
    assert path.exists()
    assert kept.exists()


def test_a_move_cut_short_between_its_two_names_is_ended(place: Place) -> None:
    path, kept = place.images / "thing", place.images / "kept"
    path.write_text("thing")
    os.link(path, kept)
    place.do(steps.Quarantine(str(path), str(kept)))
    assert not path.exists()
    assert kept.read_text() == "thing"


def test_moving_what_is_not_there_at_all_fails(place: Place) -> None:
    with pytest.raises(FileNotFoundError):
        place.do(steps.Quarantine(str(place.images / "no"), str(place.images / "kept")))


def test_definition_and_tree_are_stored(place: Place) -> None:
    for _again in range(2):
        place.do(steps.DefineVm(XML.replace("<os>", "<title>t</title><os>")))
        place.do(steps.WriteTree("{}"))
    assert "<title>t</title>" in place.connection.lookupByUUIDString(UUID).XMLDesc(0)
    assert (place.folder / store.TREE_NAME).read_text() == "{}"


# --- plans ------------------------------------------------------------------------------------------------


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


# --- steps by libvirt, and a VM that runs -----------------------------------------------------------------


class RunningDomain(FileDomain):
    """Runs; ``live`` is its document. ``calls`` is what was asked of it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.active = True
        self.paused = False
        self.reason = libvirt.VIR_DOMAIN_PAUSED_USER
        self.live = XML
        self.calls: list[str] = []
        self.fail: dict[str, Exception] = {}
        self.job = 0

    def did(self, name: str) -> None:
        self.calls.append(name)
        if name in self.fail:
            raise self.fail.pop(name)

    def XMLDesc(self, flags: int) -> str:
        return super().XMLDesc(flags) if flags & libvirt.VIR_DOMAIN_XML_INACTIVE or not self.active else self.live

    def isActive(self) -> int:
        return int(self.active)

    def state(self, _flags: int) -> tuple[int, int]:
        if not self.active:
            return libvirt.VIR_DOMAIN_SHUTOFF, 0
        return (libvirt.VIR_DOMAIN_PAUSED, self.reason) if self.paused else (libvirt.VIR_DOMAIN_RUNNING, 0)

    def suspend(self) -> None:
        self.did("suspend")
        self.paused = True

    def resume(self) -> None:
        self.did("resume")
        self.paused = False

    def fsFreeze(self) -> None:
        self.did("freeze")

    def fsThaw(self) -> None:
        self.did("thaw")

    def snapshotCreateXML(self, _xml: str, _flags: int) -> None:
        self.did("snapshot")

    def destroyFlags(self, _flags: int) -> None:
        self.did("destroy")
        self.active = False

    def jobStats(self, _flags: int) -> dict[str, int]:
        return {"type": self.job}

    def abortJob(self) -> None:
        self.did("abort")
        self.job = 0

    def blockJobInfo(self, _target: str, _flags: int) -> dict[str, int]:
        return {"type": self.job} if self.job else {}

    def blockJobAbort(self, _target: str, _flags: int) -> None:
        self.did("abort block job")
        self.job = 0


@pytest.fixture
def running(place: Place, monkeypatch: pytest.MonkeyPatch) -> RunningDomain:
    domain = RunningDomain(place.connection.lookupByUUIDString(UUID)._path)
    monkeypatch.setattr(place.connection, "lookupByUUIDString", lambda _uuid: domain, raising=False)
    return domain


def overlays(place: Place, **more: object) -> steps.LiveOverlays:
    fields: dict[str, Any] = {"disks": (("vda", str(place.images / "live.qcow2")),), "xml": "<domainsnapshot/>", **more}
    return steps.LiveOverlays(**fields)


def on(path: Path) -> str:
    disk = f"<disk type='file' device='disk'><source file='{path}'/><target dev='vda'/></disk>"
    return XML.replace("</domain>", f"<devices>{disk}</devices></domain>")


def begun(place: Place, *prepare: Step, finish: tuple[Step, ...] = (), done: int = 0, stopped: bool = False) -> Journal:
    notes = Journal.begin(place.folder, Entry("t", "v", prepare, finish))
    for _ in range(done):
        notes.step_done()
    if stopped:
        notes.guest_stops()
    return notes


def test_the_guest_stands_still_only_while_its_state_is_copied(place: Place, running: RunningDomain) -> None:
    state = place.images / "vars"
    state.write_text("v")
    step = overlays(place, copies=((str(state), str(place.folder / "1.nvram")),), quiesce=True)
    run = executing.perform(place.context, KEY, place.folder, "v", place.plan(step))
    assert running.calls == ["freeze", "suspend", "snapshot", "resume", "thaw"]
    assert run.paused_s > 0
    running.calls.clear()
    running.paused = True  # by the person: it stays so
    (place.folder / "1.nvram").unlink()
    place.perform(place.plan(step))
    assert running.calls == ["freeze", "snapshot", "thaw"]


@pytest.mark.parametrize("name", ["freeze", "suspend", "snapshot"])
def test_a_live_snapshot_that_fails_leaves_the_guest_running(place: Place, running: RunningDomain, name: str) -> None:
    running.fail[name] = refusal()
    before = place.files()
    state = place.images / "vars"
    state.write_text("v")
    step = overlays(place, copies=((str(state), str(place.folder / "1.nvram")),), quiesce=True)
    with pytest.raises(OperationError):
        place.perform(place.plan(step, finish=(steps.Freeze(str(place.base)),)))
    assert not running.paused
    assert place.files() == before | {"vars"}
    assert not journal.is_there(place.folder)


def test_a_guest_that_a_killed_process_left_standing_goes_on(place: Place, running: RunningDomain) -> None:
    running.paused = True
    begun(place, overlays(place, quiesce=True), stopped=True)
    place.settle()
    assert running.calls == ["resume", "thaw"]
    assert not running.paused


def test_a_guest_that_was_let_go_on_and_paused_by_the_person_since_stays_so(
    place: Place, running: RunningDomain
) -> None:
    running.paused = True
    begun(place, overlays(place), stopped=True).guest_goes_on()
    place.settle()
    assert running.calls == []


def test_a_guest_paused_by_the_person_stays_so(place: Place, running: RunningDomain) -> None:
    running.paused = True
    begun(place, overlays(place))
    place.settle()
    assert running.calls == []
    assert running.paused


def test_overlays_that_the_vm_runs_on_are_kept_and_the_rest_is_done(place: Place, running: RunningDomain) -> None:
    new = place.overlay("live.qcow2", place.base)
    running.live = on(new)
    begun(place, overlays(place), finish=(steps.Freeze(str(place.base)),))
    place.settle()
    assert new.exists()
    assert not place.base.stat().st_mode & 0o222


def test_overlays_of_a_vm_that_has_ended_since_are_kept(place: Place, running: RunningDomain) -> None:
    """libvirt has stored the new paths in the definition."""
    new = place.overlay("live.qcow2", place.base)
    running.active = False
    place.connection.defineXML(on(new))
    begun(place, overlays(place), finish=(steps.Freeze(str(place.base)),))
    place.settle()
    assert new.exists()
    assert not place.base.stat().st_mode & 0o222


def test_overlays_that_only_qemu_knows_of_are_kept(place: Place, running: RunningDomain) -> None:
    """libvirt was killed between QEMU's switch and its own note of it; the guest has written since, and has ended."""
    new = place.overlay("live.qcow2", place.base)
    write_pattern(new, 5, 0, 512)
    running.active = False
    define = steps.DefineVm(on(new))
    begun(place, overlays(place), finish=(steps.Freeze(str(place.base)), define))
    place.settle()
    assert new.exists()
    assert str(new) in running.XMLDesc(0)


def test_overlays_that_nobody_uses_are_removed(place: Place, running: RunningDomain) -> None:
    new = place.overlay("live.qcow2", place.base)
    running.live = on(place.base)
    begun(place, overlays(place), finish=(steps.Freeze(str(place.base)),))
    place.settle()
    assert not new.exists()
    assert place.base.stat().st_mode & 0o200


def test_overlays_that_somebody_holds_open_are_left_until_that_is_clear(
    place: Place, running: RunningDomain, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = place.overlay("live.qcow2", place.base)
    running.live = on(place.base)
    begun(place, overlays(place), finish=(steps.Freeze(str(place.base)),))
    with monkeypatch.context() as patched:
        patched.setattr(qemu_img, "is_in_use", lambda _path, _form: True)
        with pytest.raises(InUseError, match="Shut it down"):
            place.settle()
    assert new.exists()


def test_a_vm_started_meanwhile_on_images_that_the_rest_changes_must_be_shut_down(
    place: Place, running: RunningDomain
) -> None:
    running.live = on(place.base)
    for step in (
        steps.Freeze(str(place.base)),
        steps.Quarantine(str(place.base), str(place.images / "kept")),
        steps.Merge(str(place.middle), "qcow2", str(place.base)),
    ):
        notes = begun(place, finish=(steps.WriteTree("{}"), step))
        notes.decide()
        with pytest.raises(InUseError, match="started meanwhile"):
            place.settle()
        notes.end()
    notes = begun(place, finish=(steps.StopVm(), steps.Freeze(str(place.base))))
    notes.decide()
    place.settle()
    assert running.calls == ["destroy"]


# --- memory -----------------------------------------------------------------------------------------------


def memory_file(path: Path, magic: bytes = b"LibvirtQemudSave") -> Path:
    path.write_bytes(magic + b"\0" * 100)
    return path


def restored(place: Place, monkeypatch: pytest.MonkeyPatch, fail: Exception | None = None) -> list[tuple[Any, ...]]:
    calls: list[tuple[Any, ...]] = []

    def restore(*args: Any) -> None:
        calls.append(args)
        if fail is not None:
            raise fail

    monkeypatch.setattr(place.connection, "restoreFlags", restore, raising=False)
    return calls


def test_memory_is_run_once_and_never_on_disks_that_have_changed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = restored(place, monkeypatch)
    memory = memory_file(place.folder / "1.mem")
    new = place.overlay("n.qcow2", place.base)
    for paused, flag in ((False, libvirt.VIR_DOMAIN_SAVE_RUNNING), (True, libvirt.VIR_DOMAIN_SAVE_PAUSED)):
        place.do(steps.RunMemory(str(memory), XML, paused, (str(new),)))
        assert calls.pop() == (str(memory), XML, flag)
    write_pattern(new, 1, 0, 512)
    place.do(steps.RunMemory(str(memory), XML, False, (str(new),)))
    place.do(steps.RunMemory(str(place.folder / "none"), XML))
    assert calls == []


def test_a_guest_that_stands_since_its_memory_was_read_goes_on(place: Place, running: RunningDomain) -> None:
    """libvirt was ended before it let it go on."""
    running.paused, running.reason = True, libvirt.VIR_DOMAIN_PAUSED_MIGRATION
    place.do(steps.RunMemory(str(place.folder / "1.mem"), XML, True))
    assert running.calls == []
    place.do(steps.RunMemory(str(place.folder / "1.mem"), XML))
    assert running.calls == ["resume"]
    running.paused, running.reason = True, libvirt.VIR_DOMAIN_PAUSED_USER
    place.do(steps.RunMemory(str(place.folder / "1.mem"), XML))
    assert running.calls == ["resume"]


def test_a_vm_that_libvirt_is_about_to_end_does_not_run(
    place: Place, running: RunningDomain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """libvirt was ended while it read the memory; when it is back, the VM is active for a moment."""
    calls = restored(place, monkeypatch)
    memory = memory_file(place.folder / "1.mem")
    running.paused, running.reason = True, libvirt.VIR_DOMAIN_PAUSED_STARTING_UP
    looks: list[float] = []

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        running.active = len(looks) < 3

    monkeypatch.setattr(doing_libvirt.time, "sleep", sleep)  # type: ignore[attr-defined]
    begun(place, finish=(steps.RunMemory(str(memory), XML),)).decide()
    place.settle()
    assert len(looks) == 3
    assert [call[0] for call in calls] == [str(memory)]
    assert not journal.is_there(place.folder)


def test_a_start_that_does_not_end_stops_everything(
    place: Place, running: RunningDomain, monkeypatch: pytest.MonkeyPatch
) -> None:
    running.paused, running.reason = True, libvirt.VIR_DOMAIN_PAUSED_STARTING_UP
    monkeypatch.setattr(doing_libvirt, "_SETTLE_S", -1.0)
    begun(place, finish=(steps.RunMemory("/m", XML),)).decide()
    with pytest.raises(InUseError, match="being started"):
        place.settle()
    assert journal.is_there(place.folder)


def test_a_guest_that_cannot_go_on_does_not_stop_the_rest(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    restored(place, monkeypatch, refusal(words="the CPU is another one"))
    memory = memory_file(place.folder / "1.mem")
    with pytest.raises(OperationError, match="could not go on from its memory") as caught:
        place.perform(place.plan(finish=(steps.RunMemory(str(memory), XML), steps.Freeze(str(place.base)))))
    assert "the CPU is another one" in caught.value.details
    assert not journal.is_there(place.folder)
    assert memory.exists()
    assert not place.base.stat().st_mode & 0o222


@pytest.mark.parametrize("when", ["asked", "looked up"])
def test_a_libvirt_that_is_gone_leaves_the_rest_for_later(
    place: Place, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    memory = memory_file(place.folder / "1.mem")
    gone = refusal(libvirt.VIR_ERR_INVALID_CONN, "the connection is closed")

    def look_up(_uuid: str) -> FileDomain:
        raise gone

    with monkeypatch.context() as patched:
        restored(place, patched, gone)
        if when == "looked up":
            patched.setattr(place.connection, "lookupByUUIDString", look_up, raising=False)
        with pytest.raises(OperationError, match="not finished"):
            place.perform(place.plan(finish=(steps.RunMemory(str(memory), XML),)))
    calls = restored(place, monkeypatch)
    place.settle()
    assert len(calls) == 1


def saved(place: Place, xml: str = XML) -> Journal:
    """Killed after the memory was written, before that was noted."""
    memory = str(place.folder / "1.mem")
    return Journal.begin(
        place.folder, Entry("t", "v", (steps.SaveMemory(memory),), (), (steps.RunMemory(memory, xml),))
    )


def test_a_saved_guest_goes_on_when_its_snapshot_is_taken_back(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = restored(place, monkeypatch)
    saved(place, on(place.base))
    memory = memory_file(place.folder / "1.mem")
    place.settle()
    assert [call[0] for call in calls] == [str(memory)]
    assert not memory.exists()


def test_memory_is_kept_when_the_guest_cannot_go_on_from_it(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    restored(place, monkeypatch, refusal())
    saved(place)
    memory = memory_file(place.folder / "1.mem")
    with pytest.raises(OperationError):
        place.settle()
    assert memory.exists()
    assert journal.is_there(place.folder)


def test_memory_of_a_vm_used_since_is_not_run_on_its_disks(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = restored(place, monkeypatch)
    saved(place, on(place.base))
    memory = memory_file(place.folder / "1.mem")
    after = memory.stat().st_mtime_ns + 1
    os.utime(place.base, ns=(after, after))
    place.settle()
    assert calls == []


def test_memory_that_is_not_whole_is_nothing_to_go_on_from(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """QEMU was killed while it wrote it."""
    calls = restored(place, monkeypatch)
    saved(place)
    memory = memory_file(place.folder / "1.mem", b"LibvirtQemudPart")
    place.settle()
    assert calls == []
    assert not memory.exists()


def test_a_save_that_goes_on_without_us_is_ended_first(
    place: Place, running: RunningDomain, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = restored(place, monkeypatch)
    saved(place)
    memory = memory_file(place.folder / "1.mem", b"LibvirtQemudPart")
    running.job = libvirt.VIR_DOMAIN_JOB_UNBOUNDED
    place.settle()
    assert running.calls == ["abort"]
    assert calls == []
    assert not memory.exists()


def test_a_save_that_does_not_end_is_waited_for(
    place: Place, running: RunningDomain, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(place)
    memory = memory_file(place.folder / "1.mem", b"LibvirtQemudPart")
    running.job = libvirt.VIR_DOMAIN_JOB_UNBOUNDED
    running.fail = {"abort": refusal()}
    monkeypatch.setattr(doing_libvirt, "_SETTLE_S", 0.0)
    with pytest.raises(InUseError):
        place.settle()
    assert memory.exists()


def test_a_live_pull_that_goes_on_without_us_is_ended(place: Place, running: RunningDomain) -> None:
    begun(place, steps.LivePull("vda", str(place.top), None))
    running.job = libvirt.VIR_DOMAIN_BLOCK_JOB_TYPE_PULL
    place.settle()
    assert running.calls == ["abort block job"]


def pulled(place: Place) -> steps.LivePull:
    """One that has named its new base already."""
    place.do(steps.Pull(str(place.top), "qcow2", str(place.base), "qcow2"))
    return steps.LivePull("vda", str(place.top), str(place.base), str(place.middle), "qcow2")


def test_what_was_pulled_is_written_before_anything_else_is_done(place: Place, running: RunningDomain) -> None:
    """QEMU holds tables in its memory that a loss of power would take; it writes them when it stops the guest."""
    place.perform(place.plan(pulled(place)))
    assert running.calls == ["suspend", "resume"]
    running.calls.clear()
    begun(place, pulled(place))
    place.settle()
    assert running.calls == ["suspend", "resume"]
    assert Qcow2.read(place.top).backing == str(place.base)
    assert not journal.is_there(place.folder)


def test_nothing_is_pulled_while_the_guest_stands_still(place: Place, running: RunningDomain) -> None:
    """For then what was pulled could not be written."""
    running.paused = True
    with pytest.raises(InUseError, match="paused"):
        place.perform(place.plan(steps.LivePull("vda", str(place.top), str(place.base), str(place.middle), "qcow2")))
    assert running.calls == []
    assert not journal.is_there(place.folder)
    begun(place, pulled(place))
    with pytest.raises(InUseError, match="paused"):
        place.settle()
    assert journal.is_there(place.folder)
    running.paused = False
    place.settle()
    assert not journal.is_there(place.folder)


def test_what_was_pulled_and_never_written_stands_on_its_old_base_again(place: Place) -> None:
    """QEMU, or the computer, has ended in between."""
    before = digest(place.top, "qcow2")
    begun(place, pulled(place))
    place.settle()
    assert Qcow2.read(place.top).backing == str(place.middle)
    assert digest(place.top, "qcow2") == before
    check_images([place.top])


def test_a_live_pull_whose_vm_has_ended_is_done_by_ourselves(place: Place) -> None:
    before = digest(place.top, "qcow2")
    place.perform(place.plan(steps.LivePull("vda", str(place.top), str(place.base))))
    assert Qcow2.read(place.top).backing == str(place.base)
    assert Qcow2.read(place.top).backing_format == "qcow2"
    assert digest(place.top, "qcow2") == before


# --- recovery of a host -----------------------------------------------------------------------------------


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
