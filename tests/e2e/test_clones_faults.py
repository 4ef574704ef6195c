"""Clones that are cut short, cancelled, or have no room, on real libvirt."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import libvirt
import pytest

from guivm.engine.cloning import handlers
from guivm.engine.jobs import Job, JobInfo
from guivm.engine.requests import (
    CloneVm,
)
from guivm.engine.snapshots import recovering
from guivm.engine.snapshots.values import (
    CloneSpec,
)
from guivm.engine.types import VmKey
from guivm.errors import CancelledError
from tests.helpers.clone_house import House, clone_house, run, session_connection


@pytest.fixture(scope="module")
def connection() -> Iterator[libvirt.virConnect]:
    with session_connection() as value:
        yield value


@pytest.fixture
def house(connection: libvirt.virConnect, tmp_path: Path) -> Iterator[House]:
    with clone_house(connection, tmp_path) as value:
        yield value


def child(house: House, key: VmKey, *arguments: str, wrap: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """A clone made by another process."""
    command = [*wrap, sys.executable, "-m", "tests.helpers.clone_child", house.host, key.uuid, str(house.folder)]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(
    ("kind", "where", "is_made"),
    [
        ("full", "during:0", False),
        ("full", "decided:0", True),
        ("full", "after:2", True),
        ("linked", "after:3", False),
        ("linked", "decided:0", True),
        ("linked", "after:6", True),
    ],
)
def test_a_clone_cut_short_is_whole_or_nothing(house: House, kind: str, where: str, is_made: bool) -> None:
    """With libvirt and QEMU; every single moment is in tests/unit/test_clone_faults.py."""
    source = house.bios()
    before, names = house.hashes(), house.names()
    ended = child(house, source, "copy", kind, "--die", where)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    recovering.recover(house.context)
    if not is_made:
        assert house.hashes() == before
        assert house.names() == names
    else:
        assert house.names() == {*names, "copy"}
        copy = VmKey(house.host, house.connection.lookupByName("copy").UUIDString())
        assert house.reads(house.disk(copy), 1)
        assert house.reads(house.disk(copy, "vdb"), 2, "raw" if kind == "full" else "qcow2")
        house.run_briefly(copy)
    assert {path: found for path, found in house.hashes().items() if path in before} == before
    assert house.reads(house.disk(source), 1)
    house.run_briefly(source)
    # What was cut short is in nobody's way.
    house.clone(source, "later")


def test_a_cancelled_clone_leaves_nothing(house: House) -> None:
    source = house.bios()
    run("qemu-io", "-c", "write -P 5 0 8M", house.images / "source.qcow2")
    before, names = house.hashes(), house.names()
    context = house.context

    def cancel_at_first_bytes(info: JobInfo) -> None:
        if info.progress is not None and info.progress.unit_bytes:
            context.job.cancel()

    context = replace(context, job=Job(house.host, None, "test", on_change=cancel_at_first_bytes))
    context.job.begin()
    with pytest.raises(CancelledError):
        handlers.clone_vm(context, CloneVm(source, CloneSpec("copy")))
    assert house.hashes() == before
    assert house.names() == names


def test_a_full_disk_leaves_nothing(house: House) -> None:
    """The file system of the new images has room for a part of the copy only."""
    source = house.bios()
    run("qemu-io", "-c", "write -P 5 0 8M", house.images / "source.qcow2")
    small = house.folder / "small"
    small.mkdir()
    before, names = house.hashes(), house.names()
    script = 'mount -t tmpfs -o size=4m none "$0" && "$@"; code=$?; ls -A "$0" >&2; exit $code'
    wrap = ("unshare", "--user", "--map-root-user", "--mount", "--", "sh", "-c", script, str(small))
    ended = child(house, source, "copy", "full", "--directory", str(small), wrap=wrap)
    assert ended.returncode == 1
    assert ended.stderr.rstrip().endswith("NoSpaceError"), "and no file after it"
    assert house.hashes() == before
    assert house.names() == names
