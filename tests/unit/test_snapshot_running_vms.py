"""Steps of a VM that runs: overlays while it runs, images pulled by its QEMU."""

from __future__ import annotations

from pathlib import Path

import libvirt
import pytest

from guivm.engine import qemu_img
from guivm.engine.snapshots import executing, journal, steps
from guivm.errors import InUseError, OperationError
from tests.helpers.image_oracles import Qcow2, check_images, digest, write_pattern
from tests.helpers.small_libvirt import refusal
from tests.helpers.snapshot_place import (
    KEY,
    Place,
    RunningDomain,
    begun,
    on,
    overlays,
    running_domain,
)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def running(place: Place, monkeypatch: pytest.MonkeyPatch) -> RunningDomain:
    return running_domain(place, monkeypatch)


def test_the_guest_stands_still_only_while_its_state_is_copied(place: Place, running: RunningDomain) -> None:
    state = place.images / "vars"
    state.write_text("v")
    step = overlays(place, copies=((str(state), str(place.folder / "1.nvram")),))
    run = executing.perform(place.context, KEY, place.folder, "v", place.plan(step))
    assert running.calls == ["suspend", "snapshot", "resume"]
    assert run.paused_s > 0
    running.calls.clear()
    running.paused = True  # by the person: it stays so
    (place.folder / "1.nvram").unlink()
    (place.images / "live.qcow2").unlink()
    place.perform(place.plan(step))
    assert running.calls == ["snapshot"]


@pytest.mark.parametrize("name", ["suspend", "snapshot"])
def test_a_live_snapshot_that_fails_leaves_the_guest_running(place: Place, running: RunningDomain, name: str) -> None:
    running.fail[name] = refusal()
    before = place.files()
    state = place.images / "vars"
    state.write_text("v")
    step = overlays(place, copies=((str(state), str(place.folder / "1.nvram")),))
    with pytest.raises(OperationError):
        place.perform(place.plan(step, finish=(steps.Freeze(str(place.base)),)))
    assert not running.paused
    assert place.files() == before | {"vars"}
    assert not journal.is_there(place.folder)


def test_a_guest_that_a_killed_process_left_standing_goes_on(place: Place, running: RunningDomain) -> None:
    running.paused = True
    begun(place, overlays(place), stopped=True)
    place.settle()
    assert running.calls == ["resume"]
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
