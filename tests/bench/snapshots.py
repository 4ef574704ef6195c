"""Snapshots, clones and plans, beside virsh and qemu-img on images of the same kind; the tree view with 1,000 nodes.

Ours goes through the engine's requests, as the window does, to a libvirtd of its own; virsh is one that stays connected
to the same libvirtd. Guests are emulated (TCG) and rest. All is done on a file system in memory: a disk's write-back is
the same for both sides, takes most of the time there, and differs between two runs by more than the limits. What we add
to be safe (fsync) costs next to nothing there; ``--on-disk`` measures on the disk of /tmp instead, with qemu-img's copy
brought to the disk too. Where the two sides do not do the same, the rows have no target and the notes say why.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.bench.processes import end
from tests.bench.report import BenchError, Benchmark, Report, Row, Samples, Target, TargetOn, machine_facts
from tests.bench.snapshots_part import can_mount, in_private_mounts, lines
from tests.bench.snapshots_shape import COUNT
from tests.bench.snapshots_stage import Times

RUNS = 5
PARTS = ("memory", "clones", "plans")
WINDOW = "window"
PACKAGES = ("libvirt-clients", "qemu-utils", "binutils")

_ROOT = Path(__file__).resolve().parents[2]
_FOLDER_MIB = 6144
_SPARE_MIB = 2048  # guests, and the rest of the computer
_LIMIT_S = 3600
_WINDOW_LIMIT_S = 120
_PLAIN = "plain Qt"
_OPEN = Target(300.0, TargetOn.OURS)


def run(options: argparse.Namespace, _out: Path) -> Report:
    runs = options.runs or RUNS
    parts = options.part or (*PARTS, WINDOW)
    facts = (*machine_facts(), *_versions())
    if not options.on_disk:
        _require_memory()
    rows: list[Row] = []
    for part in parts:
        rows += _window(2 * runs) if part == WINDOW else _part(part, runs, on_disk=options.on_disk)
    facts = (*facts, ("load after", f"{os.getloadavg()[0]:.2f}"))
    complete = runs >= RUNS and set(parts) == {*PARTS, WINDOW} and not options.on_disk
    notes = [
        "Median [lowest-highest] of the runs. Snapshots, restores and full clones are measured in pairs, a run of each",
        "side after the other in random order; their ratio is the middle of the pairs' ratios (Hodges and Lehmann).",
        "Between two restores, saves or full clones, 1.5 s pass: memory that was freed may go back to a hypervisor.",
    ]
    if "memory" in parts:
        notes += [
            "restore, inside images: virsh is told to keep the present state of a VM that runs, which it would lose;",
            "ours always keeps it, for Undo when for nothing else, also that of a VM that is off.",
            "guest stands still: ours as it is told to the person; of virsh the whole command.",
        ]
    if "plans" in parts:
        notes.append(
            "dialog: the whole request, with libvirt's answers and the headers of all images; planner: within."
        )
    return Report("snapshots", tuple(rows), facts, tuple(notes), complete=complete)


def _versions() -> tuple[tuple[str, str], ...]:
    found = []
    for name, command in (("libvirt", "virsh"), ("QEMU", "qemu-img")):
        said = subprocess.run([command, "--version"], capture_output=True, text=True, check=False).stdout
        version = re.search(r"\d+(\.\d+)+", said)
        found.append((name, version.group() if version else "?"))
    return tuple(found)


def _require_memory() -> None:
    if not can_mount():
        raise BenchError("User namespaces are not permitted here; measure with --on-disk.")
    available = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text("ascii"))
    free_mib = int(available.group(1)) // 1024 if available else 0
    if free_mib < _FOLDER_MIB + _SPARE_MIB:
        raise BenchError(
            f"{_FOLDER_MIB + _SPARE_MIB} MiB of free memory are needed, {free_mib} are there: use --on-disk."
        )


def _part(part: str, runs: int, *, on_disk: bool) -> list[Row]:
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir="/tmp"))
    python = [sys.executable, "-m"]
    command = [*python, "tests.bench.snapshots_part", part, str(runs), str(folder)]
    if not on_disk:
        command = in_private_mounts(*command, str(_FOLDER_MIB))
    try:
        said = _output([*python, "tests.helpers.reaper", *command])
    finally:
        shutil.rmtree(folder)
    times = Times(**json.loads(said))
    return [times.row(line) for line in lines(part)]


def _output(command: list[str]) -> str:
    """What it prints; what it says on stderr goes on to ours. Raises BenchError."""
    process = subprocess.Popen(
        command, cwd=_ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        said, _ = process.communicate(timeout=_LIMIT_S)
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"A part did not end within {_LIMIT_S} s.") from error
    finally:
        end(process, 60.0)  # it ends guests and a libvirtd first
    if process.returncode:
        raise BenchError("A part could not be measured; the reason is above.")
    return said.decode()


def _window(runs: int) -> list[Row]:
    found: dict[str, list[float]] = {}
    for number in range(runs + 1):
        print(f"window: {f'run {number} of {runs}' if number else 'warm-up'}", file=sys.stderr, flush=True)
        measured = _measured_window()
        if number:
            for name, value in measured.items():
                found.setdefault(name, []).append(value)
    return [
        _window_row("tree view opens, first", found["first"], found["plain_first"], _OPEN),
        _window_row("tree view opens, another VM", found["another"], found["plain"], _OPEN),
        _window_row("timeline instead of the tree", found["timeline"]),
    ]


def _window_row(what: str, ours: list[float], plain: list[float] | None = None, target: Target | None = None) -> Row:
    peer = Samples.of(plain or [])
    return Row(f"{COUNT} snapshots, {what}", "ms", Samples.of(ours), peer, _PLAIN if peer else "", target)


def _measured_window() -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="bench-") as home:
        try:
            done = subprocess.run(
                [sys.executable, "-m", "tests.bench.snapshots_window"],
                cwd=_ROOT,
                env={**os.environ, "QT_QPA_PLATFORM": "offscreen", "HOME": home},
                capture_output=True,
                text=True,
                timeout=_WINDOW_LIMIT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise BenchError(f"The window was not measured within {_WINDOW_LIMIT_S} s.") from error
    if done.returncode:
        raise BenchError(f"The window ended with code {done.returncode}. It wrote: {done.stderr[-1500:]}")
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runs", type=int, help=f"runs, {RUNS} otherwise (with fewer it exits 1)")
    parser.add_argument(
        "--part", action="append", choices=(*PARTS, WINDOW), help="only this part; may be given again (it exits 1)"
    )
    parser.add_argument("--on-disk", action="store_true", help="on the disk of /tmp, not in memory (it exits 1)")


BENCHMARK = Benchmark(
    summary="snapshots, restore and clones beside virsh and qemu-img; plans and the view of a tree of 1,000",
    packages=PACKAGES,
    run=run,
    add_options=_add_options,
)
