"""One part of ``snapshots``, in a process of its own. Prints JSON: the times of ours and of the peer.

``python -m tests.bench.snapshots_part PART RUNS FOLDER [MEMORY]``: all is done in ``FOLDER``, which is a file system of
that many MiB of memory, in a mount namespace of its own, when ``MEMORY`` is given.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from tests.bench.report import BenchError
from tests.bench.snapshots_stage import Line, Stage, Times, run_tool, stage

Measure = Callable[[Stage, int, random.Random], Times]


def lines(part: str) -> tuple[Line, ...]:
    """What the part measures."""
    found: tuple[Line, ...] = importlib.import_module(f"tests.bench.snapshots_{part}").LINES
    return found


def _stop(_number: int, _frame: FrameType | None) -> None:
    sys.exit(143)


def in_private_mounts(*command: str) -> list[str]:
    """The command where it may mount, and nobody else sees it. unshare(1)."""
    return ["unshare", "--user", "--map-root-user", "--mount", "--", *command]


def can_mount() -> bool:
    done = subprocess.run(in_private_mounts("true"), stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return done.returncode == 0


def main() -> int:
    part, runs, folder, *memory = sys.argv[1:]
    # What was started must be ended then, too: an exception runs the clean-up, the default action does not.
    signal.signal(signal.SIGTERM, _stop)
    measure: Measure = importlib.import_module(f"tests.bench.snapshots_{part}").measure
    try:
        if memory:
            run_tool("mount", "-t", "tmpfs", "-o", f"size={memory[0]}m,mode=700", "tmpfs", folder)
        with stage(Path(folder), on_disk=not memory) as place:
            times = measure(place, int(runs), random.Random())
    except BenchError as error:
        print(f"BenchError: {error}", file=sys.stderr)
        return 2
    print(json.dumps(dataclasses.asdict(times)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
