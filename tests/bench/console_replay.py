"""Replayed streams on screen: frames per second and processor time per frame, beside the other viewers.

All viewers stay connected, each to a replay server of its own and on a screen of its own; only one is served at a
time, in random order. A run begins with the first byte of its first update and ends when the marker that follows its
last update is visible on the screen (looked for every 2 ms).
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tests.bench.console_streams import MARKER, PIXEL_FORMAT, READY, SPOT
from tests.bench.console_viewers import OURS, VIEWERS, Place, Viewer
from tests.bench.processes import cpu_seconds, end
from tests.bench.report import BenchError
from tests.bench.xvfb import Lines

_ROOT = Path(__file__).resolve().parents[2]
_LOOK_S = 0.002
_LIMIT_S = 60.0


@dataclass(frozen=True, slots=True)
class StreamRow:
    """``source``: arguments of the replay server. ``updates``: per run."""

    key: str
    what: str
    source: tuple[str, ...]
    updates: int
    width: int
    height: int
    fps_target: float
    cpu_target: float | None = None


@dataclass(frozen=True, slots=True)
class Run:
    fps: float
    cpu_ms: float  # per update, of the viewer and its children
    shown: float  # different pictures per second that the eye saw in the middle; at most 500


@dataclass(slots=True)
class Results:
    """``failures``: why a viewer has no runs. ``unlike``: pixels of our picture unlike a peer's, or None."""

    runs: dict[Viewer, list[Run]] = field(default_factory=lambda: {viewer: [] for viewer in VIEWERS})
    failures: dict[Viewer, str] = field(default_factory=dict)
    unlike: int | None = None
    gaps: list[float] = field(default_factory=list)  # p99 in ms, one for each run of ours with the probe
    longest_gap: float = 0.0


class Replay:
    """A replay server's process."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, lines: Lines) -> None:
        self.port = port
        self._process = process
        self._lines = lines

    def answer(self, word: str, limit_s: float = _LIMIT_S) -> dict[str, int | str]:
        line = self._lines.next(limit_s)
        said = json.loads(line) if line else {}
        if word not in said:
            raise BenchError(f"The replay server said {line or 'nothing'!r} and not {word!r}.")
        return dict(said)

    def command(self, text: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(text.encode() + b"\n")
        self._process.stdin.flush()


@contextmanager
def replay(source: Sequence[str]) -> Iterator[Replay]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.replay_server", *source],
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        server = Replay(process, 0, Lines(process.stdout.fileno()))
        server.port = int(server.answer("port")["port"])
        yield server
    finally:
        end(process)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


@dataclass(frozen=True, slots=True)
class Stage:
    """One viewer at one replay server."""

    viewer: Viewer
    place: Place
    server: Replay
    process: subprocess.Popen[bytes]

    def connect(self) -> None:
        asked = str(self.server.answer("asked", 20.0)["asked"])
        if asked[: 2 * len(PIXEL_FORMAT)] != PIXEL_FORMAT.hex():
            raise BenchError(f"{self.viewer.name} asks for the pixel format {asked}, the streams are in another.")
        self.server.command("ready")
        self.server.answer("ready")
        self.place.wait_for_rectangle(READY, SPOT, self.viewer, self.process)

    def ready(self) -> tuple[int, int]:
        """Paint the square and wait until it is visible; answers its middle on the screen."""
        self.server.command("ready")
        self.server.answer("ready")
        x, y = (value + SPOT // 2 for value in self.place.spot)
        self._wait(x, y, READY)
        return x, y

    def run(self, updates: int) -> Run:
        x, y = self.ready()
        time.sleep(0.05)  # whatever follows the painting of the square
        spent = cpu_seconds(self.process.pid)
        self.server.command(f"go {updates}")
        end_ns, changes = self._wait(x, y, MARKER)
        spent = cpu_seconds(self.process.pid) - spent
        said = self.server.answer("began_ns")
        seconds = (end_ns - int(said["began_ns"])) / 1e9
        return Run(updates / seconds, spent * 1000 / updates, changes / seconds)

    def _wait(self, x: int, y: int, colour: int) -> tuple[int, int]:
        """When (CLOCK_MONOTONIC, ns) the pixel was first seen in that colour, and how often it had changed."""
        deadline = time.monotonic() + _LIMIT_S
        changes = 0
        before = -1
        while True:
            now = self.place.eye.pixel(x, y)
            seen = time.monotonic_ns()
            changes += now != before
            before = now
            if now == colour:
                return seen, changes
            if self.process.poll() is not None:
                raise BenchError(f"{self.viewer.name} ended while it was served. {self.place.log(self.viewer)}")
            if time.monotonic() >= deadline:
                raise BenchError(f"{self.viewer.name} did not show the marker. {self.place.log(self.viewer)}")
            time.sleep(_LOOK_S)

    def gaps(self, updates: int) -> list[float]:
        """A run of ours with the probe in the event loop: milliseconds between its turns."""
        self.ready()
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(b"gaps\n")
        self.process.stdin.flush()
        self.run(updates)
        self.process.stdin.write(b"stop\n")
        self.process.stdin.flush()
        return list(json.loads(Lines(self.process.stdout.fileno()).next(10.0))["gaps_ms"])


def measure(row: StreamRow, runs: int, gap_runs: int, places: dict[Viewer, Place], out: Path) -> Results:
    results = Results()
    with ExitStack() as stack:
        stages = []
        for viewer in VIEWERS:
            server = stack.enter_context(replay(row.source))
            stage = Stage(
                viewer, places[viewer], server, stack.enter_context(places[viewer].running(viewer, server.port))
            )
            try:
                stage.connect()
                _say(f"{row.what}, {viewer.name}: warming up")
                stage.run(row.updates)
                stages.append(stage)
                stage.place.picture(out / f"console-{row.key}-{viewer.name}.png")
            except BenchError as error:
                results.failures[viewer] = str(error)
                _say(f"{row.what}: {error}")
        results.unlike = _unlike(stages, row)
        for number in range(runs):
            for stage in random.sample(stages, len(stages)):
                try:
                    run = stage.run(row.updates)
                except BenchError as error:
                    results.failures[stage.viewer] = str(error)
                    stages.remove(stage)
                    _say(f"{row.what}: {error}")
                    continue
                results.runs[stage.viewer].append(run)
                _say(
                    f"{row.what}, {stage.viewer.name} {number + 1}/{runs}: "
                    f"{run.fps:.1f}/s, {run.cpu_ms:.2f} ms, {run.shown:.0f} seen/s"
                )
        for stage in stages:
            if stage.viewer is OURS:
                for _ in range(gap_runs):
                    gaps = np.array(stage.gaps(row.updates))
                    results.gaps.append(float(np.percentile(gaps, 99)))
                    results.longest_gap = max(results.longest_gap, float(gaps.max()))
    return results


def _unlike(stages: Sequence[Stage], row: StreamRow) -> int | None:
    """In how many pixels our picture differs from the peer's that is nearest to it, after the same updates."""
    pictures = {}
    for stage in stages:
        stage.place.wait_for_rest()
        left = stage.place.spot[0] - (row.width - SPOT) // 2
        top = stage.place.spot[1] - (row.height - SPOT) // 2
        pictures[stage.viewer] = stage.place.eye.grab(left, top, row.width, row.height)
    ours = pictures.pop(OURS, None)
    if ours is None or not pictures:
        return None
    return min(int((ours != other).sum()) for other in pictures.values())


@dataclass(frozen=True, slots=True)
class DecodeRow:
    key: str
    what: str
    width: int
    height: int
    updates: int
    target: float


def measure_decoding(row: DecodeRow, runs: int) -> list[float]:
    """Updates per second that our link receives and decodes, with no window: until the marker is in the framebuffer."""
    rates = []
    with replay(("full", str(row.width), str(row.height))) as server:
        client = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.console_ours", "decode", "127.0.0.1", str(server.port), str(MARKER)],
            cwd=_ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            assert client.stdout is not None
            lines = Lines(client.stdout.fileno())
            server.answer("asked")
            for number in range(runs + 1):
                server.command("ready")
                server.answer("ready")
                server.command(f"go {row.updates}")
                line = lines.next(_LIMIT_S)
                if not line:
                    raise BenchError("Our decoder did not come to the end of the stream.")
                began = int(server.answer("began_ns")["began_ns"])
                rate = row.updates / ((int(json.loads(line)["seen_ns"]) - began) / 1e9)
                if number:  # the first is a warm-up
                    rates.append(rate)
                    _say(f"{row.what} {number}/{runs}: {rate:.1f}/s")
        finally:
            end(client)
            if client.stdout is not None:
                client.stdout.close()
    return rates


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
