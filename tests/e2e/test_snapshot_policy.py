"""A snapshot policy as it works every day: a real systemd of the person's, a real libvirt, a real guest."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from guivm import paths
from guivm.cli.exits import Exit
from guivm.cli.main import main
from guivm.engine import requests as rq
from guivm.engine.snapshots import journal, policy_timers, store
from guivm.engine.snapshots.policy import Caller, Units, unit_texts
from guivm.engine.snapshots.values import SnapshotPolicy
from guivm.engine.types import HostId, VmKey, VmState
from guivm.errors import OperationError
from tests.helpers.daemon import wait_until
from tests.helpers.guests import boot_sector_image
from tests.helpers.snapshot_world import World, make_image, snapshot_world, tool
from tests.helpers.user_systemd import UserSystemd

pytestmark = pytest.mark.e2e

KEY = VmKey(HostId("qemu:///session"), "5fa6c7d0-9f3b-4d3e-8a3f-1d2c3b4a5f60")


@pytest.fixture
def systemd(monkeypatch: pytest.MonkeyPatch) -> Iterator[UserSystemd]:
    with UserSystemd() as value:
        monkeypatch.setenv("XDG_RUNTIME_DIR", value.env["XDG_RUNTIME_DIR"])
        monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
        yield value


@pytest.fixture
def world(systemd: UserSystemd) -> Iterator[World]:
    with snapshot_world() as value:
        yield value


def unit(key: VmKey, kind: str) -> str:
    service, timer = policy_timers.paths(key)
    return {"service": service, "timer": timer}[kind].name


def tick(systemd: UserSystemd, key: VmKey) -> None:
    """What the timer does, until it has ended well."""
    systemd.ctl("start", unit(key, "service"))


def ended(systemd: UserSystemd, key: VmKey) -> str:
    """The service's last run; empty while it goes on."""
    said = systemd.ctl("show", "--property=ActiveState,ExecMainExitTimestampMonotonic", unit(key, "service"))
    return "" if "ActiveState=activating" in said else said


def let_elapse(systemd: UserSystemd, key: VmKey) -> None:
    """The last tick was a day ago; systemd makes up for it, here without the delay that spreads timers."""
    timer = unit(key, "timer")
    stamp = paths.data_dir().parent / "systemd" / "timers" / f"stamp-{timer}"
    now_s = time.time()
    os.utime(stamp, (now_s - 86_400, now_s - 86_400))
    more = policy_timers.folder() / f"{timer}.d"
    more.mkdir()
    (more / "now.conf").write_text("[Timer]\nRandomizedDelaySec=0\n")
    systemd.ctl("daemon-reload")
    systemd.ctl("restart", timer)


def test_a_timer_takes_snapshots_of_a_running_guest(
    world: World, systemd: UserSystemd, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*words: str) -> str:
        code = main([*words, "--connect", world.daemon.uri])
        said = capsys.readouterr()
        assert code == Exit.OK, said.err
        return said.out

    raw = boot_sector_image(world.images / "boot.raw")
    image = world.images / "vm.qcow2"
    tool("qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, image)
    key = world.define("before 50 % “$HOME”", ((image, "qcow2"),))
    run("snapshot", "policy", key.uuid, "--every", "1h", "--keep", "1")
    assert "every hour" in run("snapshot", "policy", key.uuid)
    tick(systemd, key)
    assert world.tree(key).snapshots == (), "it did not run"

    world.domain(key).rename("after")
    world.start(key)
    with journal.locked(store.folder_of(paths.images_dir(), key.uuid), "after"):
        tick(systemd, key)
    assert world.tree(key).snapshots == (), "somebody else worked on its files"

    before = ended(systemd, key)
    let_elapse(systemd, key)
    wait_until(lambda: ended(systemd, key) not in (before, ""), "what the timer starts to end", 60)
    (taken,) = world.tree(key).snapshots
    assert taken.scheduled
    assert taken.vm_state is VmState.RUNNING
    world.recorder.wait_for_state(key, VmState.RUNNING)

    second = world.ask(rq.TakeSnapshot(key, "again", scheduled=True))
    kept = world.take(key, "a person's own")
    tick(systemd, key)
    assert [each.id for each in world.tree(key).snapshots] == [second.id, kept], "the oldest of the policy's goes"

    world.force_off(key)
    for snapshot in world.domain(key).listAllSnapshots():
        snapshot.delete()
    world.domain(key).undefine()
    tick(systemd, key)
    run("snapshot", "policy", key.uuid, "--off")
    assert "0 timers" in systemd.ctl("list-timers", "--all")
    assert [path.name for path in policy_timers.folder().rglob("*") if not path.is_dir()] == ["now.conf"]


def test_a_timer_takes_a_branch_without_stopping_the_guest_for_its_memory(
    world: World, systemd: UserSystemd, capsys: pytest.CaptureFixture[str]
) -> None:
    key = world.define("vm", ((make_image(world.images / "vm.raw", image_format="raw"), "raw"),))
    schedule = ["snapshot", "policy", "vm", "--every", "1d", "--keep", "2", "--connect", world.daemon.uri]
    assert main(schedule) == Exit.OK
    assert "memory is not kept" in capsys.readouterr().out
    world.start(key)
    tick(systemd, key)
    tick(systemd, key)
    (taken,) = world.tree(key).snapshots
    assert taken.scheduled
    assert not taken.has_memory
    later = [world.ask(rq.TakeSnapshot(key, title, memory=False, scheduled=True)).id for title in ("2nd", "3rd", "4th")]
    tick(systemd, key)
    assert [each.id for each in world.tree(key).snapshots] == later[1:], "old ones go while the guest runs"
    world.recorder.wait_for_state(key, VmState.RUNNING)


def test_systemd_calls_what_was_meant(systemd: UserSystemd, tmp_path: Path) -> None:
    said = tmp_path / "said"
    hostile = "a \"b\" 'c' %h $HOME ${HOME} \\x41 ;\tü"
    folder = os.fsdecode(b"\xff\n" + hostile.encode())
    program = tmp_path / folder / "guivm"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nprintf "%s\\0" "$0" "$XDG_DATA_HOME" "$XDG_CACHE_HOME" "$@" >{said}\n')
    program.chmod(0o700)
    caller = Caller((str(program), hostile), (("XDG_DATA_HOME", f"/{hostile}"), ("XDG_CACHE_HOME", "/plain")))
    policy_timers.install(KEY, unit_texts(KEY, hostile, SnapshotPolicy(1, 1), caller))
    tick(systemd, KEY)
    assert [os.fsdecode(word) for word in said.read_bytes().split(b"\0")] == [
        str(program), f"/{hostile}", "/plain", hostile, "snapshot", "take", KEY.uuid, "--scheduled", "--connect",
        KEY.host, "",
    ]  # fmt: skip
    description = systemd.ctl("show", "--property=Description", "--value", unit(KEY, "timer"))
    assert "%h $HOME ${HOME} \\x41" in description


def test_what_systemd_refuses_is_taken_back(systemd: UserSystemd) -> None:
    good = unit_texts(KEY, "vm", SnapshotPolicy(6, 3), Caller(("/bin/true",)))
    bad = Units(good.service, good.timer.replace("hourly", "never"))
    with pytest.raises(OperationError) as caught:
        policy_timers.install(KEY, bad)
    assert unit(KEY, "timer") in caught.value.details
    assert not [path for path in policy_timers.folder().rglob("*") if not path.is_dir()]
    policy_timers.install(KEY, good)
    with pytest.raises(OperationError):
        policy_timers.install(KEY, bad)
    assert policy_timers.load(KEY) == SnapshotPolicy(6, 3)
    assert "active" in systemd.ctl("show", "--property=ActiveState", unit(KEY, "timer"))
    _, timer = policy_timers.paths(KEY)
    timer.write_text(bad.timer)  # by hand
    systemd.ctl("daemon-reload")
    policy_timers.remove(KEY)
    assert "0 timers" in systemd.ctl("list-timers", "--all")
    assert not [path for path in policy_timers.folder().rglob("*") if not path.is_dir()]
