"""Start beside virt-manager: time to the list, idle processor use, memory, at 10, 1,000 and 5,000 domains.

Both open the same ``test:///FILE`` on the same private screen (Xvfb 1600x1000, 24 bits, openbox), each with private
directories and a session bus that starts nothing, one after the other in random order, everything in the page cache.
All times run from just before the program is started (fork and exec), on CLOCK_MONOTONIC.

- ours, *list filled*: the list has painted all rows and that paint is with the X server (see ``observed``);
- ours and virt-manager, *window visible*: the window manager shows the window (see ``windows``; the same watch for
  both, within 20 ms). virt-manager's window shows before its list is filled: comparing it with our filled list favours
  virt-manager.

After ``SETTLE_S`` at rest: processor time over ``IDLE_S`` and resident memory, children included, X server not.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench import xvfb
from tests.bench.domains import write_host_file
from tests.bench.peers import package_version
from tests.bench.processes import cpu_percent, end, resident_mb
from tests.bench.report import BenchError, Benchmark, Report, Row, Samples, Target, TargetOn, machine_facts
from tests.bench.windows import window_watch

SETTLE_S = 5.0
IDLE_S = 20.0
PEER = "virt-manager"

_ROOT = Path(__file__).resolve().parents[2]
_OBSERVED = "from tests.bench.observed import main; main()"
_PEER_TITLE = "Virtual Machine Manager"


@dataclass(frozen=True, slots=True)
class Size:
    """One host file. ``peer_warm_up`` is off where a run takes minutes and all it reads is in the cache already."""

    domains: int
    runs: int
    target: float
    limit_s: float
    peer_warm_up: bool = True
    at_rest: bool = False


SIZES = (
    Size(10, runs=7, target=0.7, limit_s=60),
    Size(1_000, runs=5, target=0.2, limit_s=120),
    Size(5_000, runs=3, target=0.05, limit_s=600, peer_warm_up=False, at_rest=True),
)
_IDLE_TARGET = Target(3.0, TargetOn.OURS)
_MEMORY_TARGET = Target(250.0, TargetOn.OURS)


@dataclass(frozen=True, slots=True)
class Run:
    """One start. Seconds; per cent of a core; MB."""

    window_s: float
    filled_s: float | None = None
    idle_percent: float | None = None
    memory_mb: float | None = None


@dataclass(slots=True)
class Results:
    ours: list[Run] = field(default_factory=list)
    peer: list[Run] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Start:
    """How one start is made and what is taken from it."""

    uri: str
    size: Size
    env: Mapping[str, str]
    log: Path
    at_rest: bool = False
    picture: Path | None = None


def run(options: argparse.Namespace, out: Path) -> Report:
    sizes = tuple(size for size in SIZES if not options.domains or size.domains in options.domains)
    begun = time.monotonic()
    facts = machine_facts()
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        with xvfb.desktop(directory) as place:
            results = {size: _measure(size, options.runs or size.runs, place, directory, out) for size in sizes}
    facts += (
        (PEER, package_version(PEER)),
        ("libvirt", package_version("libvirt0")),
        ("took", f"{time.monotonic() - begun:.0f} s"),
    )
    notes = (
        "Median [lowest-highest]; MB are 1,000,000 bytes, children included.",
        "list filled: our painted list beside virt-manager's mere window.",
    )
    rows = tuple(row for size in sizes for row in _rows(size, results[size]))
    return Report("startup", rows, facts, notes, complete=sizes == SIZES and options.runs is None)


def _measure(size: Size, runs: int, place: xvfb.Desktop, directory: Path, out: Path) -> Results:
    uri = write_host_file(directory / f"host-{size.domains}.xml", size.domains)
    results = Results()
    programs: tuple[tuple[str, Callable[[Start], Run], list[Run]], ...] = (
        ("ours", start_ours, results.ours),
        ("peer", start_peer, results.peer),
    )

    def start(who: str, at_rest: bool, picture: bool) -> Start:
        home = directory / f"{who}-{size.domains}"
        pictures = out / f"startup-{size.domains}-{who}.png" if picture else None
        return Start(uri, size, place.environment(home), directory / f"{who}.log", at_rest, pictures)

    for who, program, _ in programs:
        if who == "ours" or size.peer_warm_up:
            _say(f"{size.domains} domains, {who}: warming up")
            program(start(who, at_rest=False, picture=True))
    for number in range(runs):
        for who, program, kept in random.sample(programs, len(programs)):
            last_of_all = number == runs - 1 and who == "peer" and not size.peer_warm_up
            result = program(start(who, at_rest=size.at_rest, picture=last_of_all))
            kept.append(result)
            filled = "" if result.filled_s is None else f", list filled {result.filled_s:.3f} s"
            _say(f"{size.domains} domains, {who} {number + 1}/{runs}: window {result.window_s:.3f} s{filled}")
    return results


def start_ours(start: Start) -> Run:
    """The application under the observer, once."""
    read_fd, write_fd = os.pipe()
    try:
        argv = [sys.executable, "-c", _OBSERVED, str(write_fd), str(start.size.domains)]
        try:
            with window_watch(start.env) as watch:
                begin = time.monotonic_ns()
                process = _popen([*argv, "--connect", start.uri], start, write_fd)
                try:
                    watch.stand_by(read_fd, process, start.size.limit_s)
                    window_ns = watch.wait(process, None, start.size.limit_s)
                    filled_ns = _filled_ns(read_fd, process, start)
                    return _finish(start, process, begin, window_ns, filled_ns)
                finally:
                    end(process)
        finally:
            os.close(write_fd)
    finally:
        os.close(read_fd)


def start_peer(start: Start) -> Run:
    """virt-manager, once. Its preferences live in memory, so it knows of no connection but the one named."""
    with window_watch(start.env) as watch:
        begin = time.monotonic_ns()
        process = _popen(["virt-manager", "--no-fork", "--connect", start.uri], start)
        try:
            window_ns = watch.wait(process, _PEER_TITLE, start.size.limit_s)
            return _finish(start, process, begin, window_ns, None)
        finally:
            end(process)


def _popen(argv: list[str], start: Start, *fds: int) -> subprocess.Popen[bytes]:
    with start.log.open("wb") as log:
        return subprocess.Popen(
            argv,
            cwd=_ROOT,
            env=dict(start.env),
            pass_fds=fds,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _filled_ns(fd: int, process: subprocess.Popen[bytes], start: Start) -> int:
    lines = xvfb.Lines(fd)
    deadline = time.monotonic() + start.size.limit_s
    while not (line := lines.next(0.5)):
        if process.poll() is not None:
            raise BenchError(f"guivm ended with code {process.returncode} before its list was filled. {_log(start)}")
        if time.monotonic() >= deadline:
            raise BenchError(
                f"guivm's list did not show {start.size.domains} rows within {start.size.limit_s:g} s. {_log(start)}"
            )
    return int(json.loads(line)["filled_ns"])


def _finish(start: Start, process: subprocess.Popen[bytes], begin: int, window_ns: int, filled_ns: int | None) -> Run:
    idle = memory = None
    if start.at_rest:
        time.sleep(SETTLE_S)
        idle = cpu_percent(process.pid, IDLE_S)
        memory = resident_mb(process.pid)
        if process.poll() is not None:
            raise BenchError(f"The program ended with code {process.returncode} while at rest. {_log(start)}")
    if start.picture is not None:
        time.sleep(1.0)  # not measured: what comes after the window
        xvfb.picture(start.picture, start.env)
    return Run(
        window_s=(window_ns - begin) / 1e9,
        filled_s=None if filled_ns is None else (filled_ns - begin) / 1e9,
        idle_percent=idle,
        memory_mb=memory,
    )


def _rows(size: Size, results: Results) -> Iterator[Row]:
    domains = f"{size.domains:,} domains"
    peer_window = Samples.of([run.window_s for run in results.peer])

    def taken(runs: list[Run], figure: Callable[[Run], float | None]) -> Samples | None:
        return Samples.of([value for run in runs if (value := figure(run)) is not None])

    filled = taken(results.ours, lambda run: run.filled_s)
    yield Row(f"{domains}: list filled", "s", filled, peer_window, PEER, Target(size.target))
    window = taken(results.ours, lambda run: run.window_s)
    yield Row(f"{domains}: window visible", "s", window, peer_window, PEER)
    if size.at_rest:
        for what, unit, figure, target in (
            ("processor at rest", "% of a core", lambda run: run.idle_percent, _IDLE_TARGET),
            ("resident memory", "MB", lambda run: run.memory_mb, _MEMORY_TARGET),
        ):
            yield Row(
                f"{domains}: {what}", unit, taken(results.ours, figure), taken(results.peer, figure), PEER, target
            )


def _log(start: Start) -> str:
    """The last the program wrote."""
    text = start.log.read_text("utf-8", "replace").strip()
    return f"It wrote: {text[-1500:]}" if text else "It wrote nothing."


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--domains",
        type=int,
        nargs="+",
        choices=[size.domains for size in SIZES],
        help="only these host files (the run is then incomplete and exits 1)",
    )
    parser.add_argument("--runs", type=int, help="runs per program and host file (likewise)")


BENCHMARK = Benchmark(
    summary="start, rest and memory beside virt-manager at 10, 1,000 and 5,000 domains",
    packages=("virt-manager", *xvfb.PACKAGES),
    run=run,
    add_options=_add_options,
)
