"""The timers' files, with a stand-in for systemctl."""

from __future__ import annotations

import logging
import re
import sys
from pathlib import Path

import pytest

import guivm
from guivm.engine.snapshots import policy_timers
from guivm.engine.snapshots.policy import Caller, Units, unit_name, unit_texts
from guivm.engine.snapshots.values import SnapshotPolicy
from guivm.engine.types import HostId, VmKey
from guivm.errors import OperationError, UnsupportedError
from tests.helpers.fake_systemctl import FakeSystemctl

KEY = VmKey(HostId("qemu:///session"), "5fa6c7d0-9f3b-4d3e-8a3f-1d2c3b4a5f60")
SAME_UUID = VmKey(HostId("qemu:///system"), KEY.uuid)
POLICY, OTHER = SnapshotPolicy(6, 3), SnapshotPolicy(24, 7)
TIMER = unit_name(KEY, "timer")
OLD_TIMER = f"guivm-snapshot-{KEY.uuid}.timer"


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSystemctl:
    return FakeSystemctl(tmp_path / "bin", monkeypatch)


def units(policy: SnapshotPolicy = POLICY, key: VmKey = KEY) -> Units:
    return unit_texts(key, "vm", policy, Caller(("/usr/bin/guivm",)))


def files() -> dict[str, str]:
    """All below the folder of units; links by what they name."""
    return {
        str(path.relative_to(policy_timers.folder())): str(path.readlink()) if path.is_symlink() else path.read_text()
        for path in policy_timers.folder().rglob("*")
        if path.is_symlink() or path.is_file()
    }


def link() -> Path:
    return policy_timers.folder() / "timers.target.wants" / TIMER


def test_it_is_installed_read_replaced_and_removed(systemctl: FakeSystemctl) -> None:
    assert policy_timers.load(KEY) is None
    policy_timers.install(KEY, units())
    assert systemctl.calls == ["daemon-reload", f"enable {TIMER}", f"start {TIMER}"]
    assert policy_timers.load(KEY) == POLICY
    service, timer = policy_timers.paths(KEY)
    assert service.stat().st_mode & 0o777 == timer.stat().st_mode & 0o777 == 0o600
    policy_timers.install(KEY, units(OTHER))
    assert policy_timers.load(KEY) == OTHER
    assert len(files()) == 3
    assert systemctl.calls == ["daemon-reload", f"enable {TIMER}", f"start {TIMER}"]
    policy_timers.remove(KEY)
    assert systemctl.calls == [f"stop {TIMER}", "daemon-reload"]
    assert files() == {}
    policy_timers.remove(KEY)
    assert systemctl.calls == []


def test_another_vm_and_another_host_have_their_own(systemctl: FakeSystemctl) -> None:
    policy_timers.install(KEY, units())
    assert policy_timers.load(SAME_UUID) is None
    assert policy_timers.load(VmKey(KEY.host, KEY.uuid.replace("5", "6"))) is None
    policy_timers.drop(SAME_UUID)
    policy_timers.remove(SAME_UUID)
    assert policy_timers.load(KEY) == POLICY
    policy_timers.install(SAME_UUID, units(OTHER, SAME_UUID))
    assert (policy_timers.load(KEY), policy_timers.load(SAME_UUID)) == (POLICY, OTHER)
    policy_timers.drop(KEY)
    assert (policy_timers.load(KEY), policy_timers.load(SAME_UUID)) == (None, OTHER)
    policy_timers.remove(SAME_UUID)
    assert files() == {}


def test_names_of_units_need_no_escaping_and_stay_as_they_are() -> None:
    assert f"guivm-snapshot-{KEY.uuid}-bb82bf5c.timer" == TIMER
    strange = VmKey(HostId("qemu:///session?socket=/a b/%i@/\udcff"), KEY.uuid)
    assert re.fullmatch(r"guivm-snapshot-[0-9a-f-]{36}-[0-9a-f]{8}\.timer", unit_name(strange, "timer"))


def with_old_name(systemctl: FakeSystemctl) -> None:
    """The policy as it was stored before the host was in the name."""
    policy_timers.install(KEY, units())
    for old, new in zip((OLD_TIMER.replace("timer", "service"), OLD_TIMER), policy_timers.paths(KEY), strict=True):
        new.rename(new.with_name(old))
    link().unlink()
    link().with_name(OLD_TIMER).symlink_to(f"../{OLD_TIMER}")
    assert systemctl.calls


@pytest.mark.parametrize("how", ["remove", "drop"])
def test_one_of_the_old_name_counts_and_is_ended(systemctl: FakeSystemctl, how: str) -> None:
    with_old_name(systemctl)
    assert policy_timers.load(KEY) == POLICY
    assert [path.name for path in policy_timers.old_paths(KEY)] == [OLD_TIMER.replace("timer", "service"), OLD_TIMER]
    assert (policy_timers.load(SAME_UUID), policy_timers.old_paths(SAME_UUID)) == (None, ())
    {"remove": policy_timers.remove, "drop": policy_timers.drop}[how](KEY)
    assert systemctl.calls == [f"stop {OLD_TIMER}", "daemon-reload"]
    assert files() == {}


def test_one_of_the_old_name_is_replaced(systemctl: FakeSystemctl) -> None:
    with_old_name(systemctl)
    systemctl.fail("enable")
    with pytest.raises(OperationError):
        policy_timers.install(KEY, units(OTHER))
    assert policy_timers.load(KEY) == POLICY
    systemctl.fail("")
    assert systemctl.calls
    policy_timers.install(KEY, units(OTHER))
    assert systemctl.calls == [
        *("daemon-reload", f"enable {TIMER}", f"start {TIMER}"), f"stop {OLD_TIMER}", "daemon-reload",
    ]  # fmt: skip
    assert policy_timers.load(KEY) == OTHER
    assert len(files()) == 3


def test_another_hosts_of_the_old_name_stays(systemctl: FakeSystemctl) -> None:
    with_old_name(systemctl)
    policy_timers.install(SAME_UUID, units(OTHER, SAME_UUID))
    policy_timers.remove(SAME_UUID)
    assert policy_timers.load(KEY) == POLICY
    assert len(files()) == 3


@pytest.mark.parametrize("verb", ["daemon-reload", "enable", "start"])
def test_a_failure_puts_back_all(systemctl: FakeSystemctl, verb: str) -> None:
    systemctl.fail(verb)
    with pytest.raises(OperationError) as caught:
        policy_timers.install(KEY, units())
    assert "spoiled" in caught.value.details
    assert files() == {}
    systemctl.fail("")
    policy_timers.install(KEY, units())
    before = files()
    systemctl.fail(verb)
    with pytest.raises(OperationError):
        policy_timers.install(KEY, units(OTHER))
    assert files() == before
    assert policy_timers.load(KEY) == POLICY


def test_what_was_disabled_by_hand_is_so_after_a_failure(systemctl: FakeSystemctl) -> None:
    policy_timers.install(KEY, units())
    link().unlink()
    assert policy_timers.load(KEY) is None
    before = files()
    systemctl.fail("enable")
    with pytest.raises(OperationError):
        policy_timers.install(KEY, units(OTHER))
    assert files() == before


@pytest.mark.parametrize("kind", ["service", "timer"])
def test_what_stands_in_the_way_is_told_and_left(systemctl: FakeSystemctl, kind: str) -> None:
    path = dict(zip(("service", "timer"), policy_timers.paths(KEY), strict=True))[kind]
    path.mkdir(parents=True)
    with pytest.raises(OperationError, match="could not be written"):
        policy_timers.install(KEY, units())
    assert path.is_dir()
    assert files() == {}


def test_a_unit_of_other_bytes_is_put_back_as_it_was(systemctl: FakeSystemctl) -> None:
    service, _ = policy_timers.paths(KEY)
    service.parent.mkdir(parents=True)
    service.write_bytes(b"\xff")
    systemctl.fail("enable")
    with pytest.raises(OperationError):
        policy_timers.install(KEY, units())
    assert service.read_bytes() == b"\xff"


def test_a_timer_not_understood_is_told_and_can_be_ended(
    systemctl: FakeSystemctl, caplog: pytest.LogCaptureFixture
) -> None:
    policy_timers.install(KEY, units())
    _, timer = policy_timers.paths(KEY)
    for spoiled in (b"\xff", b"", b"#" * 70_000):
        timer.write_bytes(spoiled)
        with pytest.raises(OperationError) as caught:
            policy_timers.load(KEY)
        assert str(timer) in caught.value.advice
    with caplog.at_level(logging.WARNING):
        policy_timers.drop(KEY)
    assert "not understood" in caplog.text
    assert timer.exists()
    policy_timers.remove(KEY)
    assert files() == {}


def test_a_timer_that_cannot_be_stopped_is_removed(systemctl: FakeSystemctl) -> None:
    policy_timers.install(KEY, units())
    systemctl.fail("stop")
    policy_timers.remove(KEY)
    assert files() == {}


def test_the_link_alone_is_no_policy_and_is_removed(systemctl: FakeSystemctl) -> None:
    policy_timers.install(KEY, units())
    for path in policy_timers.paths(KEY):
        path.unlink()
    assert policy_timers.load(KEY) is None
    policy_timers.remove(KEY)
    assert files() == {}


@pytest.mark.parametrize("how", ["fails", "silent", "missing"])
def test_without_systemd_nothing_is_installed(
    systemctl: FakeSystemctl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    policy_timers.install(KEY, units())
    if how == "fails":
        systemctl.fail("show")
    elif how == "silent":
        systemctl.be_silent()
    else:
        monkeypatch.setenv("PATH", str(tmp_path))
    before = files()
    with pytest.raises(UnsupportedError, match="no systemd"):
        policy_timers.install(KEY, units(OTHER))
    assert files() == before
    policy_timers.remove(KEY)
    assert files() == {}


def test_how_guivm_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "guivm"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # of no meaning by its specification
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("XDG_CONFIG_HOME", "/config")
    monkeypatch.setattr(sys, "argv", [str(program)])
    found = policy_timers.caller()
    assert found.command == (str(program),)
    assert dict(found.environment) == {"XDG_DATA_HOME": "/data", "XDG_CONFIG_HOME": "/config"}
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["./guivm"])
    assert policy_timers.caller().command == (str(program),)
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "pytest")])
    found = policy_timers.caller()
    assert found.command == (sys.executable, "-m", "guivm")
    assert dict(found.environment)["PYTHONPATH"] == str(Path(guivm.__file__).parents[1])
