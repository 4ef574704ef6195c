"""A snapshot policy: when one is due, which go, and the units that carry it."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guivm.engine.images import MAX_CHAIN
from guivm.engine.snapshots import policy as policies
from guivm.engine.snapshots.policy import Caller, Outlook, unit_name, unit_texts
from guivm.engine.snapshots.values import (
    FileAction,
    OperationPlan,
    SnapshotId,
    SnapshotInfo,
    SnapshotMode,
    SnapshotPolicy,
    SnapshotTree,
)
from guivm.engine.types import HostId, VmKey, VmState
from guivm.errors import OperationError

KEY = VmKey(HostId("qemu:///session"), "5fa6c7d0-9f3b-4d3e-8a3f-1d2c3b4a5f60")
POLICY = SnapshotPolicy(6, 3)
CALLER = Caller(("/usr/bin/guivm",))
HOUR_S = 3600.0
NOW_S = 1_800_000_000.0


def tree(*hours_ago: float, scheduled: bool = True) -> SnapshotTree:
    """Snapshots of the policy's own, "0" first, each so long ago."""
    return SnapshotTree(
        KEY,
        tuple(
            SnapshotInfo(
                SnapshotId(str(number)),
                None,
                "x",
                "",
                NOW_S - ago * HOUR_S,
                has_memory=False,
                vm_state=VmState.RUNNING,
                mode=SnapshotMode.BRANCH,
                scheduled=scheduled,
            )
            for number, ago in enumerate(hours_ago)
        ),
    )


# --- when, and which --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "due"),
    [
        (tree(), True),
        (tree(6), True),
        (tree(5.6), True),  # the tick after next would be late
        (tree(5.4), False),
        (tree(100, 1), False),
        (tree(1, 100), False),
        (tree(1, scheduled=False), True),  # a person's own
        (tree(-100), True),  # the clock was set back
        (tree(-100, 1), False),
    ],
)
def test_one_is_due_when_the_last_is_old_enough(found: SnapshotTree, due: bool) -> None:
    assert policies.is_due(found, POLICY, NOW_S) is due


def test_hourly_ticks_with_their_delays_take_one_each_hour() -> None:
    hourly = SnapshotPolicy(1, 3)
    assert policies.is_due(tree(0.98), hourly, NOW_S)
    assert not policies.is_due(tree(0.4), hourly, NOW_S)


def test_the_oldest_of_its_own_go_first() -> None:
    found = tree(1, 9, 5, 7, 3)
    assert policies.excess(found, POLICY, NOW_S) == ("1", "3")
    assert policies.excess(tree(3, 2, 1), POLICY, NOW_S) == ()
    assert policies.excess(tree(5, 4, 3, 2, 1, scheduled=False), POLICY, NOW_S) == ()


def test_what_is_taken_after_the_clock_was_set_back_does_not_go_first() -> None:
    assert policies.excess(tree(0, -100, 1, -90), POLICY, NOW_S) == ("3",)


def test_what_cannot_be_deleted_stays_and_counts() -> None:
    found = tree(9, 8, 7, 6, 5, 4)
    needed = replace(found.snapshots[0], cannot_delete="“clone” needs it.")
    found = replace(found, snapshots=(needed, *found.snapshots[1:]))
    assert policies.excess(found, POLICY, NOW_S) == ("1", "2")
    assert policies.is_full(found, POLICY)
    assert not policies.is_full(replace(found, snapshots=found.snapshots[1:]), POLICY)
    assert not policies.is_full(tree(*range(20), scheduled=False), POLICY)


@pytest.mark.parametrize(
    "wrong", [SnapshotPolicy(0, 3), SnapshotPolicy(24 * 366 + 1, 3), SnapshotPolicy(1, 0), SnapshotPolicy(1, 31)]
)
def test_senseless_numbers_are_refused(wrong: SnapshotPolicy) -> None:
    with pytest.raises(OperationError):
        policies.checked(wrong)


def test_so_many_as_may_come_to_be_can_be_read() -> None:
    assert 2 * policies.MAX_KEEP < MAX_CHAIN


@pytest.mark.parametrize(
    ("hours", "words"), [(1, "hour"), (6, "6 hours"), (24, "day"), (48, "2 days"), (36, "36 hours")]
)
def test_hours_in_words(hours: int, words: str) -> None:
    assert policies.every_words(hours) == words


# --- units ------------------------------------------------------------------------------------------------

names = st.text(max_size=60)
words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)


def lines_of(text: str) -> list[tuple[str, str]]:
    """(name, value) of each line, sections as ("[X]", ""), as systemd.syntax(7) has them."""
    found = []
    for line in text.split("\n"):
        assert not line.endswith("\\"), "the line would go on in the next"
        if line:
            name, _, value = line.partition("=")
            found.append((name, value))
    return found


def unquoted(command: str) -> list[str]:
    """The words of a line as systemd.service(5) and systemd.syntax(7) tell to split it; all are quoted."""
    raw = command.encode()
    found: list[bytes] = []
    at = 0
    while at < len(raw):
        assert raw[at : at + 1] == b'"'
        at += 1
        word = b""
        while raw[at : at + 1] != b'"':
            step = 2 if raw[at : at + 1] in (b"\\", b"%") else 1
            if raw[at : at + 2] == b"\\x":
                word += bytes([int(raw[at + 2 : at + 4], 16)])
                step = 4
            else:
                assert step == 1 or raw[at : at + 2] in (b"%%", b'\\"', b"\\\\")
                word += raw[at + step - 1 : at + step]
            at += step
        found.append(word)
        assert raw[at + 1 : at + 2] in (b"", b" ")
        at += 2
    return [word.decode("utf-8", "surrogateescape") for word in found]


@given(names, st.integers(1, 24 * 366), st.integers(1, 30), words, words)
def test_units_say_what_they_were_made_of(name: str, hours: int, keep: int, folder: str, value: str) -> None:
    wanted = SnapshotPolicy(hours, keep)
    program = f"/opt/{folder}/guivm"
    units = unit_texts(KEY, name, wanted, Caller((program, "-m", folder), (("XDG_DATA_HOME", f"/{value}"),)))
    assert policies.read_timer(units.timer) == (KEY, wanted)
    service = lines_of(units.service)
    assert [name for name, _ in service if name.startswith("[")] == ["[Unit]", "[Service]"]
    assert [name for name, _ in lines_of(units.timer) if name.startswith("[")] == [
        "[Unit]", "[Timer]", "[Install]", "[X-Guivm]",
    ]  # fmt: skip
    given_ = dict(service)
    assert unquoted(given_["Environment"]) == [f"XDG_DATA_HOME=/{value}"]
    command = unquoted(given_["ExecStart"])
    assert command[0].startswith(":")
    if command[0] == ":/bin/sh":
        assert command[1:3] == ["-c", 'exec "$0" "$@"']
        command = [f":{command[3]}", *command[4:]]
    assert command == [
        f":{program}", "-m", folder, "snapshot", "take", KEY.uuid, "--scheduled", "--connect", KEY.host,
    ]  # fmt: skip


def test_a_name_of_other_bytes_than_utf8_is_kept() -> None:
    program = b"/opt/\xff/guivm".decode("utf-8", "surrogateescape")
    (line,) = (line for line in unit_texts(KEY, "x", POLICY, Caller((program,))).service.split("\n") if "Exec" in line)
    assert unquoted(line.partition("=")[2])[3] == program
    assert line.isascii()


def test_a_vm_cannot_write_into_the_units() -> None:
    hostile = "x”\n[Service]\nExecStart=/bin/false\n[X-Guivm]\nKeep=1 %H \u202e\\"
    units = unit_texts(KEY, hostile, POLICY, CALLER)
    assert units.service.count("ExecStart=") == 2  # one is in the description
    assert "\nExecStart=/bin/false" not in units.service
    assert "%%H" in units.timer
    assert policies.read_timer(units.timer) == (KEY, POLICY)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: "",
        lambda text: text.replace("[X-Guivm]", "[X-Other]"),
        lambda text: text + "[X-Guivm]\n",
        lambda text: text.replace("Keep=3", "Keep=0"),
        lambda text: text.replace("Keep=3", "Keep=three"),
        lambda text: text.replace("Keep=3", "Keep=٣"),
        lambda text: text.replace("Keep=3", "Keep=" + "9" * 5000),
        lambda text: text.replace("Keep=3\n", ""),
        lambda text: text + "More=1\n",
        lambda text: text.replace("EveryHours=6", "EveryHours=99999"),
    ],
)
def test_a_timer_that_was_changed_is_not_guessed_at(spoil: object) -> None:
    assert callable(spoil)
    text = unit_texts(KEY, "x", POLICY, CALLER).timer
    with pytest.raises(ValueError):  # noqa: PT011
        policies.read_timer(spoil(text))


def test_a_person_may_add_to_a_timer() -> None:
    text = unit_texts(KEY, "x", POLICY, CALLER).timer
    text = text.replace("OnCalendar=hourly", "OnCalendar=*:0/15") + "# a remark\n\n[X-Other]\nKeep=9\n"
    assert policies.read_timer(text) == (KEY, POLICY)


@pytest.mark.parametrize("program", ["/usr/bin/env", "/tmp/a b/guivm", '/tmp/"a"/guivm'])
def test_systemd_takes_the_units(tmp_path: Path, program: str) -> None:
    real = Path(program.replace("/tmp", str(tmp_path)))
    if not real.exists():
        real.parent.mkdir()
        real.symlink_to("/usr/bin/env")
    units = unit_texts(KEY, "“50 % of $HOME”", POLICY, Caller((str(real),), (("XDG_DATA_HOME", "/a b/%h"),)))
    (tmp_path / unit_name(KEY, "service")).write_text(units.service)
    timer = tmp_path / unit_name(KEY, "timer")
    timer.write_text(units.timer)
    verify = shutil.which("systemd-analyze")
    assert verify is not None
    done = subprocess.run(
        [verify, "--user", "--man=no", "verify", str(timer)],
        capture_output=True,
        text=True,
        env={"XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


# --- the plan ---------------------------------------------------------------------------------------------


def outlook(**fields: object) -> Outlook:
    one = OperationPlan(KEY, "one", free_bytes=1000, loses=("x",), pauses_guest=True, advice="y")
    return replace(Outlook(one, SnapshotMode.INTERNAL, 100, (("/a", True), ("/b", False))), **fields)  # type: ignore[arg-type]


def test_the_plan_tells_how_often_how_many_and_how_much() -> None:
    shown = policies.plan_policy("vm", POLICY, outlook())
    assert shown.title == "Take a snapshot of “vm” every 6 hours while it runs and keep the last 3"
    assert (shown.needs_bytes, shown.free_bytes, shown.refused, shown.loses) == (300, 1000, "", ())
    assert [(each.action, each.path) for each in shown.effects] == [
        (FileAction.CHANGE, "/a"),
        (FileAction.CREATE, "/b"),
    ]
    assert any("stands still" in each for each in shown.warnings)
    assert not any("free space" in each for each in shown.warnings)


def test_the_plan_warns() -> None:
    one = OperationPlan(KEY, "one", free_bytes=299, refused="It has a saved state.", advice="Discard it.")
    shown = policies.plan_policy("vm", POLICY, outlook(one=one, mode=SnapshotMode.BRANCH))
    assert (shown.refused, shown.advice) == ("", "")
    text = "\n".join(shown.warnings)
    for words_ in ("At present none could be taken: It has a saved state.", "free space for 3", "6 of them", "linger"):
        assert words_ in text


def test_the_plan_names_units_of_an_older_name() -> None:
    shown = policies.plan_policy("vm", POLICY, outlook(replaced=("/old\n",)))
    assert any("/old" in each and "removed" in each and "\n" not in each for each in shown.steps)


def test_the_plan_to_end_it() -> None:
    shown = policies.plan_no_policy(KEY, "vm\n")
    assert "“vm”" in shown.title
    assert not shown.effects
