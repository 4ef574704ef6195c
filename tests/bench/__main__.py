"""``python -m tests.bench NAME`` (``./dev bench NAME``): one form for every benchmark.

A benchmark is a module of this package, named in ``BENCHMARKS`` below, that offers ``BENCHMARK``
(:class:`tests.bench.report.Benchmark`). What holds for each of them:

- Targets are ratios to a peer measured in the same run on the same computer; absolute figures only where the thing
  itself has no peer (memory, processor at rest).
- The peers and tools come from Debian's packages, named in ``packages`` and installed when missing (``peers``).
- Runs of ours and of the peer are interleaved in random order; a warm-up run each goes before and is not counted. The
  median is quoted with its spread (lowest to highest), and every single run is in the JSON.
- Production code has no part in being measured: what is needed is looked at from outside (``windows``, ``processes``)
  or by an observer that the test installs (``observed``). The docstring of each benchmark says what is taken, from
  when to when, and how finely; where the two sides differ, the difference favours the peer.
- Programs run with private directories on a private screen (``xvfb``); what was started is ended, by its own id.
- It prints a table and writes ``build/bench/NAME.json``: ``name``, ``met``, ``complete``, ``facts``, ``notes`` and
  ``rows`` of ``what, unit, ours, peer, peer_name, ratio, target, met`` (medians) with ``target_on`` ("ratio" or
  "ours"), ``target_sense`` ("at most" or "at least"), ``ours_spread``, ``peer_spread``, ``ours_runs``, ``peer_runs``.
- Exit code 0: everything was measured and every target is met. 1: a target was missed, or options left a part out.
  2: it could not be measured; the reason is on stderr.

Benchmarks are no part of ``./dev test``: a busy computer must not fail it.
"""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
from pathlib import Path
from types import FrameType

from tests.bench.peers import ensure_packages
from tests.bench.report import BenchError, Benchmark

BENCHMARKS = ("startup", "console", "settings", "snapshots")
OUT = Path(__file__).resolve().parents[2] / "build" / "bench"


def _load(name: str) -> Benchmark:
    benchmark = importlib.import_module(f"tests.bench.{name}").BENCHMARK
    assert isinstance(benchmark, Benchmark)
    return benchmark


def _stop(_number: int, _frame: FrameType | None) -> None:
    sys.exit(143)


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description="Measure guivm beside its peers.")
    names = parser.add_subparsers(dest="name", metavar="NAME", required=True, title="benchmarks")
    loaded = {name: _load(name) for name in BENCHMARKS}
    for name, benchmark in loaded.items():
        benchmark.add_options(names.add_parser(name, help=benchmark.summary, description=benchmark.summary))
    options = parser.parse_args()
    benchmark = loaded[options.name]
    # What was started must be ended then, too: an exception runs the clean-up, the default action does not.
    signal.signal(signal.SIGTERM, _stop)
    try:
        ensure_packages(benchmark.packages)
        OUT.mkdir(parents=True, exist_ok=True)
        report = benchmark.run(options, OUT)
    except BenchError as error:
        print(f"bench {options.name}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    path = report.write(OUT)
    print(report.text())
    print(f"Written to {path}")
    return report.exit_code


if __name__ == "__main__":
    sys.exit(main())
