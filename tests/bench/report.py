"""The one form of every benchmark: rows of ours beside a peer, a table, a JSON file, an exit code.

A row quotes the median of its runs with their spread (lowest to highest). A target stands either on the ratio (ours ÷
peer) or on our median alone; a row without a target only informs. The ratio is that of the two medians or, where each
run of ours has one of the peer beside it, the middle of the ratios of these pairs: what slows the computer for a while
slows both halves of a pair. That middle is the estimate of Hodges and Lehmann, the median of the (geometric) means of
all twos, each with itself too: no few runs decide it, and it differs less from report to report than the plain median.
"""

from __future__ import annotations

import argparse
import enum
import json
import math
import os
import platform
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import combinations_with_replacement
from pathlib import Path


class BenchError(Exception):
    """A benchmark could not be carried out: what happened and what to do, in one or two sentences."""


class TargetOn(enum.Enum):
    RATIO = "ratio"  # ours ÷ peer
    OURS = "ours"  # our median, in the row's unit


class Sense(enum.Enum):
    AT_MOST = "at most"
    AT_LEAST = "at least"


@dataclass(frozen=True, slots=True)
class Target:
    value: float
    on: TargetOn = TargetOn.RATIO
    sense: Sense = Sense.AT_MOST

    def is_met(self, measured: float | None) -> bool:
        """False for what was not measured."""
        if measured is None or not math.isfinite(measured):
            return False
        return measured <= self.value if self.sense is Sense.AT_MOST else measured >= self.value

    def text(self, unit: str) -> str:
        sign = "≤" if self.sense is Sense.AT_MOST else "≥"
        return f"{sign} {self.value:g}x" if self.on is TargetOn.RATIO else f"{sign} {self.value:g} {unit}"


@dataclass(frozen=True, slots=True)
class Samples:
    """Results of the measured runs of one program, in the order they were taken; never empty."""

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError("no samples")

    @classmethod
    def of(cls, values: Sequence[float]) -> Samples | None:
        """None where nothing was measured."""
        return cls(tuple(values)) if values else None

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def low(self) -> float:
        return min(self.values)

    @property
    def high(self) -> float:
        return max(self.values)

    def text(self) -> str:
        if len(self.values) == 1:
            return _figure(self.median)
        return f"{_figure(self.median)} [{_figure(self.low)}-{_figure(self.high)}]"


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison. ``peer`` is None where the peer has no such figure.

    ``is_paired``: run by run, ours was measured right before or after the peer's of the same number.
    """

    what: str
    unit: str
    ours: Samples | None
    peer: Samples | None = None
    peer_name: str = ""
    target: Target | None = None
    is_paired: bool = False

    def __post_init__(self) -> None:
        if self.is_paired and _count(self.ours) != _count(self.peer):
            raise ValueError("a run has no counterpart")

    @property
    def pair_ratios(self) -> Samples | None:
        """Ours ÷ peer, pair by pair; None for a row that is not paired, or with a peer's that is 0."""
        if not self.is_paired or self.ours is None or self.peer is None or 0 in self.peer.values:
            return None
        return Samples(tuple(ours / peer for ours, peer in zip(self.ours.values, self.peer.values, strict=True)))

    @property
    def ratio(self) -> float | None:
        """Ours ÷ peer: the middle of the pairs, or of the medians. None where either is missing or the peer's is 0."""
        if self.is_paired:
            return None if self.pair_ratios is None else _middle(self.pair_ratios)
        if self.ours is None or self.peer is None or self.peer.median == 0:
            return None
        return self.ours.median / self.peer.median

    @property
    def met(self) -> bool | None:
        """None for a row without a target."""
        if self.target is None:
            return None
        if self.target.on is TargetOn.RATIO:
            return self.target.is_met(self.ratio)
        return self.target.is_met(None if self.ours is None else self.ours.median)

    def to_json(self) -> dict[str, object]:
        return {
            "what": self.what,
            "unit": self.unit,
            "ours": _median(self.ours),
            "peer": _median(self.peer),
            "peer_name": self.peer_name,
            "ratio": _finite(self.ratio),
            "pair_ratios": _runs(self.pair_ratios),
            "target": None if self.target is None else self.target.value,
            "target_on": None if self.target is None else self.target.on.value,
            "target_sense": None if self.target is None else self.target.sense.value,
            "met": self.met,
            "ours_spread": _spread(self.ours),
            "peer_spread": _spread(self.peer),
            "ours_runs": _runs(self.ours),
            "peer_runs": _runs(self.peer),
        }


@dataclass(frozen=True, slots=True)
class Report:
    """What a benchmark found. ``complete`` is False when options left something out: then no target counts as met."""

    name: str
    rows: tuple[Row, ...]
    facts: tuple[tuple[str, str], ...] = ()  # versions, load and the like: (what, value)
    notes: tuple[str, ...] = ()
    complete: bool = True

    @property
    def met(self) -> bool:
        """Everything was measured and every target is met."""
        return self.complete and bool(self.rows) and all(row.met is not False for row in self.rows)

    @property
    def exit_code(self) -> int:
        return 0 if self.met else 1

    def to_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "met": self.met,
            "complete": self.complete,
            "rows": [row.to_json() for row in self.rows],
            "facts": dict(self.facts),
            "notes": list(self.notes),
        }

    def write(self, directory: Path) -> Path:
        """``DIRECTORY/NAME.json``, replaced as a whole."""
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"{self.name}.json"
        part = path.with_suffix(".json.part")
        part.write_text(json.dumps(self.to_json(), indent=2, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")
        part.replace(path)
        return path

    def table(self) -> str:
        peers = sorted({row.peer_name for row in self.rows if row.peer_name})
        peer_title = peers[0] if len(peers) == 1 else "peer"
        lines = [("what", "unit", "ours", peer_title, "ratio", "target", "met")]
        for row in self.rows:
            peer = "-" if row.peer is None else row.peer.text()
            if len(peers) > 1 and row.peer is not None:
                peer = f"{peer} ({row.peer_name})"
            lines.append(
                (
                    row.what,
                    row.unit,
                    "not measured" if row.ours is None else row.ours.text(),
                    peer,
                    "-" if row.ratio is None else f"{_figure(row.ratio)}x",
                    "-" if row.target is None else row.target.text(row.unit),
                    {True: "yes", False: "NO", None: "-"}[row.met],
                )
            )
        return _aligned(lines, left=(0, 1))

    def text(self) -> str:
        """All of it, for the terminal."""
        parts = [self.table(), ""]
        parts += [f"{what}: {value}" for what, value in self.facts]
        parts += list(self.notes)
        if not self.complete:
            parts.append("Only a part was measured: this run cannot meet its targets.")
        missed = sum(1 for row in self.rows if row.met is False)
        parts.append("All targets met." if self.met else f"{missed} target(s) missed.")
        return "\n".join(parts)


@dataclass(frozen=True, slots=True)
class Benchmark:
    """What a module of this package offers as ``BENCHMARK``.

    ``packages`` are Debian packages of the peers and tools. ``run`` gets the parsed options and a directory for
    whatever is worth keeping beside the JSON (pictures, logs), and raises BenchError when it cannot measure.
    """

    summary: str
    packages: tuple[str, ...]
    run: Callable[[argparse.Namespace, Path], Report]
    add_options: Callable[[argparse.ArgumentParser], None] = field(default=lambda _parser: None)


def machine_facts() -> tuple[tuple[str, str], ...]:
    """This computer in words: processor, cores, memory, kernel, load of the last minute."""
    model = ""
    memory = ""
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    for line in Path("/proc/meminfo").read_text("utf-8").splitlines():
        if line.startswith("MemTotal:"):
            memory = f"{int(line.split()[1]) / 1024 / 1024:.1f} GiB"
            break
    return (
        ("processor", f"{model or platform.machine()}, {os.cpu_count()} CPUs"),
        ("memory", memory),
        ("kernel", platform.release()),
        ("load before", f"{os.getloadavg()[0]:.2f}"),
    )


def _median(samples: Samples | None) -> float | None:
    return None if samples is None else _finite(samples.median)


def _middle(ratios: Samples) -> float | None:
    """The estimate of Hodges and Lehmann; None for ratios that are not positive and finite."""
    if not all(0 < each < math.inf for each in ratios.values):
        return None
    twos = combinations_with_replacement(ratios.values, 2)
    return statistics.median(math.sqrt(one * other) for one, other in twos)


def _count(samples: Samples | None) -> int:
    return 0 if samples is None else len(samples.values)


def _spread(samples: Samples | None) -> list[float | None] | None:
    return None if samples is None else [_finite(samples.low), _finite(samples.high)]


def _runs(samples: Samples | None) -> list[float | None] | None:
    return None if samples is None else [_finite(value) for value in samples.values]


def _finite(value: float | None) -> float | None:
    """JSON has no NaN and no infinity."""
    return value if value is not None and math.isfinite(value) else None


def _figure(value: float) -> str:
    """Three significant digits, never in exponent form: 0.0123, 1.23, 12.3, 123, 1234."""
    if not math.isfinite(value):
        return "?"
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{min(digits, 6)}f}"


def _aligned(lines: Sequence[Sequence[str]], left: Sequence[int]) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    out = []
    for number, line in enumerate(lines):
        cells = []
        for index, (cell, width) in enumerate(zip(line, widths, strict=True)):
            space = " " * (width - len(cell))
            cells.append(cell + space if index in left else space + cell)
        out.append("  ".join(cells).rstrip())
        if number == 0:
            out.append("  ".join("-" * width for width in widths))
    return "\n".join(out)
