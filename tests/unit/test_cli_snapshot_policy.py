"""``guivm snapshot policy``, and what its timer calls, against the fake engine."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

from guivm.cli import main as cli
from guivm.cli.exits import Exit, exit_code
from guivm.cli.session import Session
from guivm.cli.verbs import UsageError, chosen
from guivm.engine import requests as rq
from guivm.engine.snapshots.values import SnapshotId, SnapshotInfo, SnapshotMode, SnapshotPolicy
from guivm.engine.types import VmKey, VmState
from guivm.errors import BusyError, GuivmError, NoSpaceError, OperationError, VmNotFoundError
from tests.helpers.fake_engine import LOCAL, FakeEngine
from tests.helpers.fake_snapshots import NOW_S

POLICY = SnapshotPolicy(6, 2)
GONE = "5fa6c7d0-9f3b-4d3e-8a3f-1d2c3b4a5f60"


class Desk:
    """A host with the VM "vm" that runs and has a policy, and the command line."""

    def __init__(self, engine: FakeEngine, capsys: pytest.CaptureFixture[str]) -> None:
        self.engine = engine
        self.key = engine.add_vm("vm", VmState.RUNNING)
        engine.snapshots.policies[self.key] = POLICY
        self._capsys = capsys

    def run(self, *words: str) -> tuple[int, str]:
        """Exit code and what was printed; of a failure its words."""
        arguments = cli.build_parser().parse_args(["snapshot", *words])
        verb = chosen(arguments)
        assert verb is not None
        assert verb.run is not None
        session = Session(self.engine, as_json=arguments.json)
        session.connect([LOCAL])
        try:
            code = verb.run(session, arguments)
        except GuivmError as error:
            return exit_code(error), str(error)
        finally:
            session.close()
        return code, self._capsys.readouterr().out

    def tick(self, *words: str) -> tuple[int, str]:
        """What the timer calls."""
        return self.run("take", self.key.uuid, "--scheduled", *words)

    def put(self, *hours_ago: float, **fields: object) -> None:
        """Snapshots of the policy's own, "s0" first."""
        self.engine.snapshots.put(
            self.key,
            *(
                SnapshotInfo(
                    SnapshotId(f"s{number}"),
                    SnapshotId(f"s{number - 1}") if number else None,
                    "x",
                    "",
                    NOW_S - ago * 3600,
                    has_memory=True,
                    vm_state=VmState.RUNNING,
                    mode=SnapshotMode.INTERNAL,
                    scheduled=True,
                )
                for number, ago in enumerate(hours_ago)
            ),
            **fields,
        )

    def change(self, number: int, **fields: object) -> None:
        """One of its snapshots."""
        found = list(self.engine.snapshots.tree(self.key).snapshots)
        found[number] = replace(found[number], **fields)  # type: ignore[arg-type]
        self.engine.snapshots.change(self.key, snapshots=tuple(found))

    @property
    def ids(self) -> list[str]:
        return [each.id for each in self.engine.snapshots.tree(self.key).snapshots]

    @property
    def policy(self) -> SnapshotPolicy | None:
        return self.engine.snapshots.policies.get(self.key)


@pytest.fixture
def desk(fake_engine: FakeEngine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    clock = SimpleNamespace(time=lambda: NOW_S, strftime=time.strftime)
    monkeypatch.setattr("guivm.cli.snapshot_policy.time", clock)
    return Desk(fake_engine, capsys)


# --- the policy -------------------------------------------------------------------------------------------


def test_it_is_shown(desk: Desk) -> None:
    assert desk.run("policy", "vm") == (Exit.OK, "A snapshot is taken every 6 hours while it runs; kept: the last 2.\n")
    assert json.loads(desk.run("policy", "vm", "--json")[1]) == {"every_hours": 6, "keep": 2}
    del desk.engine.snapshots.policies[desk.key]
    assert desk.run("policy", "vm") == (Exit.OK, "No snapshots are taken by themselves.\n")
    assert json.loads(desk.run("policy", "vm", "--json")[1]) is None


def test_it_is_set_changed_and_ended(desk: Desk) -> None:
    del desk.engine.snapshots.policies[desk.key]
    code, out = desk.run("policy", "vm", "--every", "1d")
    assert code == Exit.OK
    assert desk.policy == SnapshotPolicy(24, 7)
    assert out.startswith("A snapshot is taken every day while it runs; kept: the last 7.\nThey need about ")
    desk.run("policy", "vm", "--keep", "3")
    assert desk.policy == SnapshotPolicy(24, 3)
    assert json.loads(desk.run("policy", "vm", "--every", "12H", "--json")[1]) == {"every_hours": 12, "keep": 3}
    desk.run("policy", "vm", "--every", "2h", "--keep", "1")
    assert desk.policy == SnapshotPolicy(2, 1)
    assert desk.run("policy", "vm", "--off") == (Exit.OK, "No snapshots are taken by themselves.\n")
    assert desk.policy is None


def test_both_numbers_set_one_that_cannot_be_read(desk: Desk) -> None:
    desk.engine.fail_next(rq.ReadSnapshotPolicy, OperationError("The timer cannot be understood."))
    desk.run("policy", "vm", "--every", "2h", "--keep", "1")
    assert desk.policy == SnapshotPolicy(2, 1)


@pytest.mark.parametrize("words", [("--keep", "0"), ("--keep", "99"), ("--every", "0h"), ("--every", "999d")])
def test_senseless_numbers_are_refused(desk: Desk, words: tuple[str, ...]) -> None:
    assert desk.run("policy", "vm", *words)[0] == Exit.FAILED
    assert desk.policy == POLICY


@pytest.mark.parametrize("words", [("--every", "1h"), ("--keep", "5"), ("--off",)])
def test_a_dry_run_changes_nothing(desk: Desk, words: tuple[str, ...]) -> None:
    code, out = desk.run("policy", "vm", *words, "--dry-run")
    assert code == Exit.OK
    assert "  1. " in out
    assert json.loads(desk.run("policy", "vm", *words, "--dry-run", "--json")[1])["steps"]
    assert desk.policy == POLICY
    desk.engine.snapshots.refusals[rq.SetSnapshotPolicy] = ("There is no systemd.", "")
    assert desk.run("policy", "vm", *words, "--dry-run")[0] == Exit.FAILED


def test_a_refusal_is_told(desk: Desk) -> None:
    desk.engine.snapshots.refusals[rq.SetSnapshotPolicy] = ("There is no systemd.", "Log in.")
    assert desk.run("policy", "vm", "--every", "1h") == (Exit.FAILED, "There is no systemd. Log in.")
    assert desk.policy == POLICY


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("policy", "vm", "--off", "--keep", "1"), "--off"),
        (("policy", "vm", "--off", "--every", "1h"), "--off"),
        (("policy", "vm", "--dry-run"), "--dry-run"),
        (("policy", "other", "--keep", "1"), "--every"),
        (("take", "vm", "title", "--scheduled"), "--scheduled"),
        (("take", "vm", "", "--scheduled"), "--scheduled"),
        (("take", "vm", "--scheduled", "--notes", "x"), "--scheduled"),
        (("take", "vm", "--scheduled", "--no-memory"), "--scheduled"),
        (("take", "vm", "--scheduled", "--dry-run"), "--scheduled"),
        (("take", "vm", "x", "--quiesce"), "--no-memory"),
        (("edit", "vm", "x"), "--title"),
    ],
)
def test_options_that_do_not_go_together(desk: Desk, words: tuple[str, ...], said: str) -> None:
    desk.engine.add_vm("other")
    with pytest.raises(UsageError, match=said):
        desk.run(*words)


@pytest.mark.parametrize("wrong", ["6", "h", "-1h", "1w", "1.5h", "٣h", "999999h", ""])
def test_hours_and_days_are_written_so(desk: Desk, wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        desk.run("policy", "vm", f"--every={wrong}")
    assert "no number of hours or days" in capsys.readouterr().err


def test_one_of_a_vm_that_is_gone_can_be_ended(desk: Desk) -> None:
    code, _ = desk.run("policy", GONE.upper(), "--off")
    assert desk.engine.requests[-1] == rq.SetSnapshotPolicy(VmKey(LOCAL, GONE), None)
    assert code == Exit.NOT_FOUND, "the fake engine knows no VM but its own"
    before = len(desk.engine.requests)
    for words in (("nobody", "--off"), (GONE, "--keep", "1"), (GONE,)):
        assert desk.run("policy", *words)[0] == Exit.NOT_FOUND
    assert len(desk.engine.requests) == before


# --- what the timer calls ---------------------------------------------------------------------------------


def test_one_is_taken_when_it_is_due(desk: Desk) -> None:
    desk.put(6)
    code, out = desk.tick()
    assert code == Exit.OK
    assert "(scheduled)” was taken." in out
    (request,) = desk.engine.requests_of(rq.TakeSnapshot)
    assert (request.scheduled, request.memory, request.quiesce) == (True, False, False)
    assert desk.ids == ["s0", "taken-1"]
    assert desk.engine.snapshots.tree(desk.key).snapshots[-1].scheduled


def test_json_tells_what_was_done(desk: Desk) -> None:
    desk.put(13, 6)
    code, out = desk.tick("--json")
    told = json.loads(out)
    assert (code, told["taken"]["id"], told["deleted"]) == (Exit.OK, "taken-1", ["s0"])
    desk.put(1)
    assert json.loads(desk.tick("--json")[1]) == {"taken": None, "deleted": []}


def test_memory_goes_along_where_it_must(desk: Desk) -> None:
    desk.put(cannot_skip_memory="Inside images it always goes along.", can_quiesce=True)
    desk.tick()
    (request,) = desk.engine.requests_of(rq.TakeSnapshot)
    assert (request.memory, request.quiesce) == (True, False)


def test_the_guest_is_brought_to_rest_when_its_agent_answers(desk: Desk) -> None:
    desk.put(can_quiesce=True)
    desk.tick()
    assert [each.quiesce for each in desk.engine.requests_of(rq.TakeSnapshot)] == [True]


def test_an_agent_that_fell_asleep_is_done_without(desk: Desk) -> None:
    desk.put(can_quiesce=True)
    desk.engine.fail_next(rq.TakeSnapshot, OperationError("The agent does not answer."))
    assert desk.tick()[0] == Exit.OK
    assert [each.quiesce for each in desk.engine.requests_of(rq.TakeSnapshot)] == [True, False]
    assert desk.ids == ["taken-1"]


@pytest.mark.parametrize(
    "fields",
    [
        {"state": VmState.OFF},
        {"state": VmState.PAUSED},
        {"state": VmState.SAVED},
        {"is_disposable": True},
    ],
)
def test_none_is_taken_of_one_that_does_not_work_for_good(desk: Desk, fields: dict[str, object]) -> None:
    desk.put(20, 18, 16)
    desk.engine.change_vm(desk.key, **fields)
    assert desk.tick() == (Exit.OK, "")
    assert desk.engine.requests_of(rq.TakeSnapshot) == []
    assert desk.ids == ["s1", "s2"], "what is too much goes all the same"


def test_none_is_taken_that_is_not_due(desk: Desk) -> None:
    desk.put(5)
    assert desk.tick() == (Exit.OK, "")
    assert desk.ids == ["s0"]


def test_the_oldest_go_but_those_that_somebody_wants(desk: Desk) -> None:
    desk.put(60, 50, 40, 30, 20, 10)
    desk.change(1, scheduled=False)  # it was renamed
    desk.change(2, cannot_delete="“clone” needs it.")
    desk.tick()
    assert desk.ids == ["s1", "s2", "s5", "taken-1"]


def test_what_a_plan_refuses_stays_and_the_rest_goes(desk: Desk) -> None:
    desk.put(30, 20, 10)
    desk.engine.snapshots.refusals[rq.DeleteSnapshots] = ("Shut it down first.", "")
    assert desk.tick()[0] == Exit.OK
    assert desk.ids == ["s0", "s1", "s2", "taken-1"]
    assert desk.engine.requests_of(rq.DeleteSnapshots) == []


def test_no_more_are_taken_than_can_be_deleted(desk: Desk) -> None:
    desk.put(40, 30, 20, 10)
    desk.engine.snapshots.refusals[rq.DeleteSnapshots] = ("Shut it down first.", "")
    code, said = desk.tick()
    assert code == Exit.FAILED
    assert "No more snapshots of “vm” are taken" in said
    assert len(desk.ids) == 4
    del desk.engine.snapshots.refusals[rq.DeleteSnapshots]
    assert desk.tick()[0] == Exit.OK
    assert desk.ids == ["s3", "taken-1"]


@pytest.mark.parametrize("when", [rq.TakeSnapshot, rq.DeleteSnapshots])
def test_files_that_are_busy_are_left_for_the_next_time(desk: Desk, when: type) -> None:
    desk.put(13, 6, can_quiesce=True)
    desk.engine.fail_next(when, BusyError("Another operation is going on."))
    code, out = desk.tick()
    assert code == Exit.OK
    assert "Another operation is going on." in out
    assert ("was taken" in out) == (when is rq.DeleteSnapshots)
    assert len(desk.engine.requests_of(rq.TakeSnapshot)) == 1


def test_one_that_cannot_be_taken_does_not_keep_the_old_ones(desk: Desk) -> None:
    desk.put(40, 30, 20)
    desk.engine.fail_next(rq.TakeSnapshot, NoSpaceError("The disk is full."))
    assert desk.tick() == (Exit.FAILED, "The disk is full.")
    assert desk.ids == ["s1", "s2"]


def test_a_failure_to_delete_is_told_after_what_was_taken(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.put(40, 30)
    desk.engine.fail_next(rq.DeleteSnapshots, OperationError("It is broken."))
    assert desk.tick() == (Exit.FAILED, "It is broken.")
    assert "was taken" in capsys.readouterr().out


def test_a_vm_that_is_gone_is_no_failure(desk: Desk) -> None:
    code, out = desk.run("take", GONE, "--scheduled")
    assert code == Exit.OK
    assert out.endswith(f"guivm snapshot policy {GONE} --off --connect {LOCAL}\n")
    desk.engine.fail_next(rq.ReadSnapshotPolicy, VmNotFoundError("It is gone."))
    assert desk.tick("--json") == (Exit.OK, '{\n  "taken": null,\n  "deleted": []\n}\n')


def test_without_a_policy_nothing_is_scheduled(desk: Desk) -> None:
    del desk.engine.snapshots.policies[desk.key]
    code, said = desk.tick()
    assert code == Exit.FAILED
    assert "no snapshot policy" in said
    assert desk.ids == []
