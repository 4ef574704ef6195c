"""What a started program costs, with its children, read from /proc. See proc(5)."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Stat:
    """Fields of /proc/PID/stat that matter here; times in clock ticks."""

    pid: int
    parent: int
    own_ticks: int  # utime + stime
    reaped_ticks: int  # cutime + cstime: children that have ended and were waited for


def parse_stat(line: str) -> Stat:
    """One line of /proc/PID/stat. The program's name stands in brackets and may hold blanks and brackets."""
    pid, _, rest = line.partition(" ")
    fields = rest.rpartition(")")[2].split()
    return Stat(int(pid), int(fields[1]), int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14]))


def process_tree(root: int) -> list[Stat]:
    """``root`` and all that descend from it now; empty when it has ended."""
    stats: dict[int, Stat] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = parse_stat((entry / "stat").read_text("utf-8", "replace"))
            except (FileNotFoundError, ProcessLookupError):
                continue
            stats[stat.pid] = stat
    tree = [stats[root]] if root in stats else []
    for stat in tree:  # grows while it is walked: breadth first
        tree.extend(child for child in stats.values() if child.parent == stat.pid)
    return tree


def cpu_seconds(root: int) -> float:
    """Processor time spent so far by ``root`` and its children, living or reaped."""
    return sum(stat.own_ticks + stat.reaped_ticks for stat in process_tree(root)) / _TICKS_PER_S


def cpu_percent(root: int, seconds: float) -> float:
    """Per cent of one core that the tree uses over the next ``seconds``; blocks as long. Resolution: one tick."""
    begin, spent = time.monotonic(), cpu_seconds(root)
    time.sleep(seconds)
    return 100.0 * (cpu_seconds(root) - spent) / (time.monotonic() - begin)


def resident_mb(root: int) -> float:
    """Resident memory (VmRSS, pages shared with others included) of the tree in MB of 1,000,000 bytes."""
    total_kib = 0
    for stat in process_tree(root):
        try:
            lines = Path(f"/proc/{stat.pid}/status").read_text("utf-8", "replace").splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        total_kib += sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
    return total_kib * 1024 / 1_000_000


def end(process: subprocess.Popen[bytes], timeout_s: float = 2.0) -> None:
    """End a program started with ``start_new_session=True`` and whatever of its group is left; reaps it."""
    _signal_group(process, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout_s)
    _signal_group(process, signal.SIGKILL)  # also children that outlived it
    process.wait()


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
