"""The settings of a VM with 200 devices: opening, changing pages, editing, searching; the fake engine answers at once.

Each run is a process of its own on Qt's offscreen platform (``settings_window``): nothing of a display server or of
libvirt is in the figures. Times run from the call (the constructor; the choice of a row; the key press) to the end of
the last paint that it led to. *First* includes loading the modules that nothing needed before; those of the pages the
window itself loads while it rests, as it does for whoever looks at the first page for a moment.

The targets are absolute (they are about what a person notices), so each has a reference beside it that tells how fast
the computer was in the same run: *plain Qt*, the same XML parsed by lxml, its devices in a bare list view, a bare form
layout with as many rows as the first page. The ratio can be compared between computers; the milliseconds cannot.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench.report import BenchError, Benchmark, Report, Row, Samples, Target, TargetOn, machine_facts

RUNS = 7
DEVICES = 200
PEER = "plain Qt"

_ROOT = Path(__file__).resolve().parents[2]
_LIMIT_S = 120
_OPEN = Target(300.0, TargetOn.OURS)
_PAGE = Target(50.0, TargetOn.OURS)

Run = dict[str, Any]  # fields of settings_window.Measured, from JSON


def run(options: argparse.Namespace, _out: Path) -> Report:
    count = options.runs or RUNS
    facts = machine_facts()
    _measured()  # files into the page cache, byte code compiled
    runs = []
    for number in range(count):
        print(f"run {number + 1} of {count}", file=sys.stderr, flush=True)
        runs.append(_measured())
    rows = (*_openings(runs), *_pages(runs), *_answers(runs))
    notes = ["ms to the last paint; median [lowest-highest] of the runs."]
    notes += [_slow_pages(runs, "pages_first", "first"), _slow_pages(runs, "pages_again", "again")]
    return Report("settings", rows, facts, tuple(notes), complete=count >= RUNS)


def _measured() -> Run:
    with tempfile.TemporaryDirectory(prefix="bench-") as home:
        env = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "HOME": home}
        try:
            done = subprocess.run(
                [sys.executable, "-m", "tests.bench.settings_window", str(DEVICES)],
                cwd=_ROOT,
                env=env,
                capture_output=True,
                text=True,
                timeout=_LIMIT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise BenchError(f"A run did not end within {_LIMIT_S} s.") from error
    if done.returncode:
        raise BenchError(f"A run ended with code {done.returncode}. It wrote: {done.stderr[-1500:]}")
    found: Run = json.loads(done.stdout)
    return found


def _row(runs: list[Run], what: str, ours: Callable[[Run], float], plain: str, target: Target | None) -> Row:
    peer = Samples.of([_one(each[plain]) for each in runs])
    return Row(what, "ms", Samples.of([ours(each) for each in runs]), peer, PEER, target)


def _one(value: float | list[float]) -> float:
    return median(value) if isinstance(value, list) else value


def _openings(runs: list[Run]) -> list[Row]:
    what = f"{DEVICES} devices: open"
    return [
        _row(runs, f"{what}, first", lambda run: run["open_first"], "plain_first", _OPEN),
        _row(runs, f"{what}, again", lambda run: run["open_again"], "plain_again", _OPEN),
    ]


def _pages(runs: list[Run]) -> list[Row]:
    rows = []
    for name, when in (("pages_first", "first"), ("pages_again", "again")):

        def middle(run: Run, name: str = name) -> float:
            return float(median(run[name].values()))

        def slowest(run: Run, kind: str = _slowest(runs, name), name: str = name) -> float:
            return float(run[name][kind])

        rows += [
            _row(runs, f"page, {when}: median of {len(runs[0][name])} kinds", middle, "plain_pages", _PAGE),
            _row(runs, f"page, {when}: slowest ({_slowest(runs, name)})", slowest, "plain_pages", _PAGE),
        ]
    return rows


def _answers(runs: list[Run]) -> list[Row]:
    def of_edit(name: str) -> Callable[[Run], float]:
        return lambda run: float(run["edits"][name])

    rows = [_row(runs, f"edit: {name}", of_edit(name), "plain_pages", None) for name in runs[0]["edits"]]
    rows.append(_row(runs, "search: median key", lambda run: median(run["keys"]), "plain_pages", None))
    rows.append(_row(runs, "search: slowest key", lambda run: max(run["keys"]), "plain_pages", None))
    rows.append(Row("changes() of the edits", "ms", Samples.of([run["changes"] for run in runs])))
    rows.append(Row("parts() of the document", "ms", Samples.of([run["parts"] for run in runs])))
    return rows


def _medians(runs: list[Run], name: str) -> dict[str, float]:
    return {kind: median(run[name][kind] for run in runs) for kind in runs[0][name]}


def _slowest(runs: list[Run], name: str) -> str:
    found = _medians(runs, name)
    return max(found, key=lambda kind: found[kind])


def _slow_pages(runs: list[Run], name: str, when: str) -> str:
    found = sorted(_medians(runs, name).items(), key=lambda item: -item[1])
    return f"Pages, {when}, slowest first: " + ", ".join(f"{kind} {value:.0f}" for kind, value in found)


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runs", type=int, help=f"runs, {RUNS} otherwise (with fewer it exits 1)")


BENCHMARK = Benchmark(
    summary=f"the settings of a VM with {DEVICES} devices: opening, pages, edits, search",
    packages=(),
    run=run,
    add_options=_add_options,
)
