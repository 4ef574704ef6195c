"""File systems brought to rest through the guest's agent: however it ends, the guest does not stay so."""

from __future__ import annotations

import json
from pathlib import Path

import libvirt
import pytest

from guivm.engine.cloning.agent import SilentError
from guivm.engine.snapshots import at_rest, journal, recovering
from guivm.engine.snapshots.steps import Freeze, LiveOverlays
from guivm.errors import GuivmError, OperationError, UnsupportedError
from tests.helpers.crash import Fault, Harm, Outcome, in_child
from tests.helpers.small_libvirt import refusal
from tests.helpers.snapshot_place import SILENT, Place, RunningDomain, on, overlays, running_domain

LOST = refusal(libvirt.VIR_ERR_INVALID_CONN, "the connection is closed")
REFUSED = refusal(words="it is not allowed")


class Clock:
    """Time passes only while somebody waits."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def running(place: Place, monkeypatch: pytest.MonkeyPatch) -> RunningDomain:
    return running_domain(place, monkeypatch)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    value = Clock()
    monkeypatch.setattr(at_rest, "time", value)
    return value


def step(place: Place) -> LiveOverlays:
    state = place.images / "vars"
    state.write_text("v")
    return overlays(place, copies=((str(state), str(place.folder / "1.nvram")),), quiesce=True)


def silent_for(domain: RunningDomain, monkeypatch: pytest.MonkeyPatch, clock: Clock, seconds: float) -> None:
    """From the freeze on the agent has other things to do."""
    real = RunningDomain.agent

    def agent(self: RunningDomain, command: str, wait_s: int, flags: int) -> str:
        if "fsfreeze" in command and clock.now_s < seconds:
            clock.now_s += wait_s
            raise SILENT
        return real(self, command, wait_s, flags)

    monkeypatch.setattr("libvirt_qemu.qemuAgentCommand", agent)
    domain.calls.clear()


def test_it_is_so_only_while_the_overlays_are_made(place: Place, running: RunningDomain) -> None:
    place.perform(place.plan(step(place)))
    assert running.calls == ["ping", "freeze", "suspend", "snapshot", "resume", "thaw"]


def test_an_agent_that_does_not_answer_is_told_before_anything(place: Place, running: RunningDomain) -> None:
    running.fail["ping"] = SILENT
    with pytest.raises(SilentError):
        place.perform(place.plan(step(place)))
    assert running.calls == ["ping"]
    assert not journal.is_there(place.folder)


@pytest.mark.parametrize("name", ["freeze", "suspend", "snapshot"])
def test_what_fails_on_the_way_leaves_the_guest_as_it_was(place: Place, running: RunningDomain, name: str) -> None:
    """A freeze may fail half-way."""
    running.fail[name] = REFUSED
    with pytest.raises(OperationError) as caught:
        place.perform(place.plan(step(place), finish=(Freeze(str(place.base)),)))
    assert "not allowed" in caught.value.details
    assert "thaw" in running.calls
    assert not running.paused
    assert not (place.images / "live.qcow2").exists()
    assert not journal.is_there(place.folder)


def test_an_agent_that_still_freezes_is_asked_until_it_answers(
    place: Place, running: RunningDomain, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    running.fail["freeze"] = SILENT  # the administrator's time has run out, and not the agent's
    running.rest = "frozen"
    silent_for(running, monkeypatch, clock, at_rest.THAW_S - 15)
    with pytest.raises(GuivmError):
        place.perform(place.plan(step(place)))
    assert running.rest == "thawed"
    assert not journal.is_there(place.folder)


def test_a_guest_that_cannot_be_thawed_is_told_and_tried_again_later(
    place: Place, running: RunningDomain, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    running.fail["snapshot"] = REFUSED
    with monkeypatch.context() as patched:
        silent_for(running, patched, clock, 10_000)
        with pytest.raises(OperationError) as caught:
            place.perform(place.plan(step(place)))
        assert "not allowed" in caught.value.details
        assert "may still be at rest" in caught.value.details
        assert journal.is_there(place.folder)
        assert 60 < clock.now_s < 120, "it has an end"
        with pytest.raises(OperationError, match="may still be at rest"):
            place.settle()
        assert journal.is_there(place.folder)
        assert clock.now_s < 180
    recovering.recover(place.context)
    assert running.rest == "thawed"
    assert not journal.is_there(place.folder)


def test_one_that_is_on_its_overlays_then_keeps_them(
    place: Place, running: RunningDomain, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        silent_for(running, patched, clock, 10_000)
        with pytest.raises(OperationError, match=r"not finished yet\. .*may still be at rest") as caught:
            place.perform(place.plan(step(place), finish=(Freeze(str(place.base)),)))
        assert "reset it" in caught.value.advice
    recovering.recover(place.context)
    assert running.rest == "thawed"
    assert (place.images / "live.qcow2").exists()
    assert not place.base.stat().st_mode & 0o222


@pytest.mark.parametrize("name", ["freeze", "snapshot", "resume", "thaw"])
def test_a_lost_connection_leaves_it_to_the_next_one(
    place: Place, running: RunningDomain, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    real = RunningDomain.did

    def did(self: RunningDomain, call: str) -> None:
        real(self, call)
        if name in self.calls:
            raise LOST

    with monkeypatch.context() as patched:
        patched.setattr(RunningDomain, "did", did)
        patched.setattr(RunningDomain, "isActive", lambda self: did(self, "look"))
        patched.setattr(RunningDomain, "XMLDesc", lambda self, _flags: did(self, "look"))
        with pytest.raises(GuivmError):
            place.perform(place.plan(step(place)))
    assert journal.is_there(place.folder)
    running.calls.clear()
    recovering.recover(place.context)
    assert running.calls[:2] == ["resume", "thaw"]
    assert not running.paused
    assert not journal.is_there(place.folder)


def test_a_killed_process_leaves_it_to_the_next_one(place: Place, running: RunningDomain) -> None:
    """At any moment at which it writes to its journal."""
    plan = place.plan(step(place), finish=(Freeze(str(place.base)),))
    new = place.images / "live.qcow2"
    running.diary = place.images.parent / "diary"
    left_frozen = 0
    for number in range(100):
        running.diary.write_text("")
        (place.folder / "1.nvram").unlink(missing_ok=True)
        new.unlink(missing_ok=True)
        running.live = on(place.base)
        outcome = in_child(lambda: place.perform(plan), Fault(Harm.KILLED, number))
        asked = running.diary.read_text().split()
        running.paused = "suspend" in asked and "resume" not in asked
        running.rest = "frozen" if "freeze" in asked and "thaw" not in asked else "thawed"
        left_frozen += running.rest == "frozen"
        running.live = on(new if "snapshot" in asked else place.base)
        recovering.recover(place.context)
        assert (running.paused, running.rest) == (False, "thawed"), asked
        assert not journal.is_there(place.folder)
        assert new.exists() == ("snapshot" in asked)
        assert outcome is not Outcome.FAILED
        if outcome is Outcome.NOT_REACHED:
            break
    assert outcome is Outcome.NOT_REACHED
    assert left_frozen > 3


@pytest.mark.parametrize(("says", "calls"), [("thawed", 1), ("frozen", 2)])
def test_a_refusal_to_thaw_counts_only_when_it_is_at_rest(
    running: RunningDomain, clock: Clock, says: str, calls: int
) -> None:
    """A Windows guest ends a freeze by itself after seconds, and refuses to thaw then."""
    running.rest = says
    running.fail["thaw"] = REFUSED
    at_rest.thaw(running, 5.0)
    assert running.calls.count("thaw") == calls


def test_a_guest_that_has_ended_is_not_waited_for(running: RunningDomain, clock: Clock) -> None:
    running.active = False
    running.fail["thaw"] = SILENT
    at_rest.thaw(running, 5.0)
    assert clock.now_s == 0


def test_an_agent_that_cannot_freeze_needs_no_thaw(
    running: RunningDomain, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def agent(_self: RunningDomain, command: str, _seconds: int, _flags: int) -> str:
        asked.append(json.loads(command)["execute"])
        raise REFUSED

    monkeypatch.setattr("libvirt_qemu.qemuAgentCommand", agent)
    at_rest.thaw(running, 5.0)
    with pytest.raises(UnsupportedError):
        at_rest.require_agent(running)
    assert asked == ["guest-fsfreeze-thaw", "guest-fsfreeze-status", "guest-ping"]
