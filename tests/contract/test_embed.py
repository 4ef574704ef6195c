"""The embedded engine with real QEMU (TCG, nothing to boot), each run in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.daemon import process_is_gone, share_capabilities, wait_until

WAIT_S = 180.0


@pytest.fixture
def root() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="gv-", dir="/tmp"))  # short: it is part of a socket's path
    share_capabilities(path / "cache" / "qemu" / "capabilities")
    yield path
    for pid_file in (path / "run" / "qemu").glob("*.pid"):
        pid = int(pid_file.read_text(encoding="ascii"))
        command = b""
        with contextlib.suppress(OSError):
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        if b"qemu-system" in command:
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda pid=pid: process_is_gone(pid), "the guest to end")  # type: ignore[misc]
    shutil.rmtree(path)


def start(what: str, root: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.helpers.embed_child", what, str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


def finish(child: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = child.communicate(timeout=WAIT_S)
    assert child.returncode == 0, err
    assert err == "", "libvirt's warnings belong in a file"
    answer: dict[str, Any] = json.loads(out.splitlines()[-1])
    return answer


def run(what: str, root: Path) -> dict[str, Any]:
    return finish(start(what, root))


def in_order(wanted: list[str], states: list[str]) -> bool:
    """``wanted`` is a subsequence of ``states``: an intermediate state may be seen, or be too short for it."""
    left = iter(states)
    return all(state in left for state in wanted)


def test_the_states_of_a_real_vm_are_observed(root: Path) -> None:
    answer = run("life", root)
    wanted = ["off", "running", "paused", "running", "saved", "running", "off", "running", "off"]
    assert in_order(wanted, answer["states"]), answer["states"]
    assert answer["greeting"].startswith("RFB 003.")
    mime, size = answer["picture"]
    assert mime in ("image/png", "image/x-portable-pixmap")
    assert size > 100
    assert answer["notes"] == "Notes of a running VM"
    assert answer["conf"] is (os.geteuid() == 0)


def test_a_vm_outlives_the_process_and_is_found_again(root: Path) -> None:
    run("leave", root)
    (pid_file,) = (path for path in (root / "run" / "qemu").glob("*.pid") if path.name != "driver.pid")
    pid = int(pid_file.read_text(encoding="ascii"))
    assert not process_is_gone(pid)
    assert run("find", root) == {"found": {"embedded": "running"}}
    wait_until(lambda: process_is_gone(pid), "the guest to end")


def test_a_second_process_is_told_that_the_engine_is_busy(root: Path) -> None:
    first = start("busy", root)
    assert first.stdin is not None
    assert first.stdout is not None
    try:
        assert first.stdout.readline() == "{}\n"
        answer = run("look", root)
        assert answer["state"] == "failed"
        assert "already" in answer["problem"]
        assert "already" in answer["error"]
    finally:
        first.stdin.write("\n")
        first.stdin.flush()
        finish(first)
    assert run("look", root)["state"] == "connected"
