"""The console beside gvncviewer and TigerVNC's viewer, on screen at 1:1 under Xvfb, over loopback TCP for all.

- *Replayed streams* (``console_replay``): a server of ours sends prepared updates as fast as the viewer asks. Made
  streams of Raw rectangles at 1920x1080, and Tight and ZRLE recorded from QEMU showing a guest that paints all the
  time (1024x768; recorded once into build/bench). A run ends when the marker after its last update is *visible*.
  Viewers may leave pictures out, and do; *seen* tells how many different ones the screen really showed.
- *Processor time* is that of the viewer's process with its children (utime + stime); the X server's is not in it.
- *Event loop*: our longest waits of a 1 ms timer while the streams run, 99th percentile of a run.
- *4K decoded*: our link receives and decodes full frames into the framebuffer, without a window.
- *A real guest* (``console_latency``): a change after 30 s of idling, and key press to pixel.

"Best peer" is the one with the better median in that row, and is named. The same pictures must be on all screens:
the number of pixels in which ours differs from the nearest peer's is a row of its own.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from guivm.console.recording.layout import SUFFIX
from tests.bench import xvfb
from tests.bench.console_guest import PACKAGES as GUEST_PACKAGES
from tests.bench.console_guest import boot_sector, guest
from tests.bench.console_latency import Latencies, measure_idle, measure_keys
from tests.bench.console_recorder import record
from tests.bench.console_replay import DecodeRow, Results, StreamRow, measure, measure_decoding
from tests.bench.console_viewers import OURS, PEERS, Place, Viewer, places
from tests.bench.peers import package_version
from tests.bench.report import BenchError, Benchmark, Report, Row, Samples, Sense, Target, TargetOn, machine_facts

RUNS = 9
GAP_RUNS = 5
IDLE_S = 30.0
IDLE_ROUNDS = 5
PRESSES = 12

_RECORDED_UPDATES = 40  # per run
_SPARE_RUNS = 2  # the warm-up, and one for those who look at a recording by hand

STREAMS = (
    StreamRow("full", "1080p full frames", ("full", "1920", "1080"), 250, 1920, 1080, 1.4, 0.9),
    StreamRow("tiles", "480 tiles of 16x256", ("tiles", "1920", "1080"), 100, 1920, 1080, 2.0),
    StreamRow("rects", "4,000 rectangles of 16x16", ("rects", "1920", "1080"), 60, 1920, 1080, 1.0),
    StreamRow("tight", "Tight from QEMU", ("recorded", "tight"), _RECORDED_UPDATES, 1024, 768, 0.8),
    StreamRow("zrle", "ZRLE from QEMU", ("recorded", "zrle"), _RECORDED_UPDATES, 1024, 768, 0.8),
)
DECODE = DecodeRow("4k", "4K full frames decoded, no window", 3840, 2160, 100, 60.0)
KEYS = (*(row.key for row in STREAMS), DECODE.key, "idle", "key")

_GAP_TARGET = Target(16.0, TargetOn.OURS)
_IDLE_TARGET = Target(100.0, TargetOn.OURS)


def run(options: argparse.Namespace, out: Path) -> Report:
    wanted = tuple(options.only or KEYS)
    runs = options.runs or RUNS
    begun = time.monotonic()
    facts = machine_facts()
    rows: list[Row] = []
    notes = [
        "Median [lowest-highest]; a target that is a ratio stands in the row of the better peer.",
        "seen: different pictures a second that the screen showed, looked for 500 times a second at most.",
    ]
    unlike: list[int] = []
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as name, ExitStack() as stack:
        directory = Path(name)
        screens = stack.enter_context(places(directory))
        for row in STREAMS:
            if row.key in wanted:
                results = measure(_recorded(row, runs, directory, out), runs, _gap_runs(options), screens, out)
                rows += _stream_rows(row, results)
                notes += _failures(row.what, results.failures)
                if results.unlike is not None:
                    unlike.append(results.unlike)
                if results.gaps:
                    notes.append(f"{row.what}: longest event loop gap {results.longest_gap:.1f} ms")
        if unlike:
            target = Target(0, TargetOn.OURS)
            rows.append(Row("pixels unlike the peers'", "pixels", Samples((max(unlike),)), target=target))
        if DECODE.key in wanted:
            rows.append(_decode_row(runs, notes))
        if "key" in wanted:
            rows += _key_rows(runs, screens, directory, out, notes)
        if "idle" in wanted:
            rows += _idle_rows(options, screens, directory, out, notes)
    facts += (
        *((peer.name, package_version(peer.package)) for peer in PEERS),
        ("QEMU", package_version("qemu-system-x86")),
        ("took", f"{time.monotonic() - begun:.0f} s"),
    )
    complete = wanted == KEYS and runs >= RUNS and options.idle >= IDLE_S
    return Report("console", tuple(rows), facts, tuple(notes), complete)


def _gap_runs(options: argparse.Namespace) -> int:
    return min(GAP_RUNS, options.runs or GAP_RUNS)


def _recorded(row: StreamRow, runs: int, directory: Path, out: Path) -> StreamRow:
    """The row with the path of its recording, made now if it is not there or too short."""
    if row.source[0] != "recorded":
        return row
    encoding = row.source[1]
    needed = row.updates * (max(runs, RUNS) + GAP_RUNS + _SPARE_RUNS)
    path = out / f"console-{encoding}-{needed}{SUFFIX}"
    if not path.exists():
        _say(f"recording {needed} updates of a QEMU guest in {encoding}")
        with guest(boot_sector("paint", directory), directory) as running:
            time.sleep(4.0)  # the firmware; then the guest paints
            record(running.port, encoding, needed, path)
    return StreamRow(
        row.key, row.what, ("recorded", str(path)), row.updates, row.width, row.height, row.fps_target, row.cpu_target
    )


# --- rows ---------------------------------------------------------------------------------------------------


def _stream_rows(row: StreamRow, results: Results) -> Iterator[Row]:
    def samples(viewer: Viewer, figure: str) -> Samples | None:
        return Samples.of([getattr(run, figure) for run in results.runs[viewer]])

    by_fps = {peer: found for peer in PEERS if (found := samples(peer, "fps")) is not None}
    best = max(by_fps, key=lambda peer: by_fps[peer].median, default=None)
    for peer in PEERS:
        target = _at_least(row.fps_target) if peer is best or (best is None and peer is PEERS[0]) else None
        yield Row(f"{row.what}: on screen", "updates/s", samples(OURS, "fps"), by_fps.get(peer), peer.name, target)
    for peer in PEERS:
        # Against the peer that is the fastest: a slow one could spend less by leaving pictures out.
        target = Target(row.cpu_target) if row.cpu_target is not None and peer is best else None
        ours, theirs = samples(OURS, "cpu_ms"), samples(peer, "cpu_ms")
        yield Row(f"{row.what}: processor", "ms/update", ours, theirs, peer.name, target)
    for peer in PEERS:
        yield Row(f"{row.what}: seen", "pictures/s", samples(OURS, "shown"), samples(peer, "shown"), peer.name)
    yield Row(f"{row.what}: event loop gap p99", "ms", Samples.of(results.gaps), target=_GAP_TARGET)


def _decode_row(runs: int, notes: list[str]) -> Row:
    rates: list[float] = []
    try:
        rates = measure_decoding(DECODE, runs)
    except BenchError as error:
        notes.append(f"{DECODE.what}: {error}")
    return Row(DECODE.what, "updates/s", Samples.of(rates), target=_at_least(DECODE.target, TargetOn.OURS))


def _idle_rows(
    options: argparse.Namespace, screens: dict[Viewer, Place], directory: Path, out: Path, notes: list[str]
) -> Iterator[Row]:
    rounds = min(IDLE_ROUNDS, options.runs or IDLE_ROUNDS)
    found = measure_idle(options.idle, rounds, screens, directory, out)
    notes += _failures("idling", found.failures)
    what = f"change after {options.idle:g} s of idling"
    yield from _latency_rows(f"{what}: p95", found, lambda values: [_p95(values)], _IDLE_TARGET, of_ours=True)
    yield from _latency_rows(what, found, list, None)
    for peer in PEERS:
        ours, theirs = found.qemu_percent.get(OURS), found.qemu_percent.get(peer)
        yield Row(
            "QEMU's processor while idling",
            "% of a core",
            None if ours is None else Samples((ours,)),
            None if theirs is None else Samples((theirs,)),
            peer.name,
        )


def _key_rows(runs: int, screens: dict[Viewer, Place], directory: Path, out: Path, notes: list[str]) -> Iterator[Row]:
    found, every = measure_keys(PRESSES, runs, screens, directory, out)
    notes += _failures("key to pixel", found.failures)
    yield from _latency_rows("key press to pixel", found, list, Target(1.0))
    for viewer, values in every.items():
        if values:
            notes.append(f"key press to pixel, {viewer.name}: p95 {_p95(values):.1f} ms of {len(values)} presses")


def _latency_rows(
    what: str,
    found: Latencies,
    figures: Callable[[Sequence[float]], list[float]],
    target: Target | None,
    *,
    of_ours: bool = False,
) -> Iterator[Row]:
    """One for each peer; the target stands in the best peer's (the first of them where it is about ours alone)."""
    samples = {viewer: Samples.of(figures(values)) for viewer, values in found.values.items() if values}
    peers = {peer: sample for peer in PEERS if (sample := samples.get(peer)) is not None}
    best = min(peers, key=lambda peer: peers[peer].median, default=PEERS[0])
    for peer in PEERS:
        has_target = peer is (PEERS[0] if of_ours else best)
        yield Row(what, "ms", samples.get(OURS), peers.get(peer), peer.name, target if has_target else None)


def _at_least(value: float, on: TargetOn = TargetOn.RATIO) -> Target:
    return Target(value, on, Sense.AT_LEAST)


def _p95(values: Sequence[float]) -> float:
    """The smallest value that at least 95 of 100 do not exceed."""
    return sorted(values)[math.ceil(0.95 * len(values)) - 1]


def _failures(what: str, failures: dict[Viewer, str]) -> list[str]:
    return [f"{what}, {viewer.name}: {text}" for viewer, text in failures.items()]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--only", nargs="+", choices=KEYS, metavar="ROW", help=f"only these of: {', '.join(KEYS)} (then it exits 1)"
    )
    parser.add_argument("--runs", type=int, help=f"runs of each, {RUNS} otherwise (with fewer it exits 1)")
    parser.add_argument("--idle", type=float, default=IDLE_S, help="seconds of idling (with fewer it exits 1)")


BENCHMARK = Benchmark(
    summary="the console beside gvncviewer and TigerVNC's viewer",
    packages=(*(peer.package for peer in PEERS), "libxtst6", *GUEST_PACKAGES, *xvfb.PACKAGES),
    run=run,
    add_options=_add_options,
)
