"""What the parts of ``snapshots`` share: a libvirtd of their own with our engine and virsh on it, and the clock."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

from guivm import paths
from guivm.engine.snapshots import store
from guivm.engine.types import VmKey
from tests.bench.report import BenchError, Row, Samples, Target
from tests.helpers.snapshot_world import World, snapshot_world

Act = Callable[[], object]

_DONE = "that is all of it"
_PROMPT = "virsh # "
_SETTLE_S = 1.5
_XDG = ("CACHE", "CONFIG", "DATA", "STATE")


class Virsh:
    """One virsh that stays open, as an engine stays connected: neither its start nor its connecting is measured."""

    def __init__(self, uri: str) -> None:
        self._process = subprocess.Popen(
            ["stdbuf", "-oL", "virsh", "-c", uri],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        )
        self.say("hostname")  # now it is connected

    def say(self, *commands: str) -> None:
        """Run commands, one after the other. Raises BenchError with virsh's words when one fails."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("".join(f"{each}\n" for each in (*commands, f"echo {_DONE}")))
        self._process.stdin.flush()
        heard = []
        for line in self._process.stdout:
            if line.replace(_PROMPT, "").strip() == _DONE:
                break
            heard.append(line)
        else:
            raise BenchError(f"virsh ended: {''.join(heard).strip()}")
        if any(line.replace(_PROMPT, "").startswith("error:") for line in heard):
            raise BenchError(f"virsh failed: {''.join(heard).strip()}")

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(20)


@dataclass(slots=True)
class Stage:
    """``folder``: where images are made, on the file system of the engine's own folder."""

    world: World
    virsh: Virsh
    folder: Path
    on_disk: bool

    def forget(self, key: VmKey) -> None:
        """A VM that is no longer defined: the engine has seen that, and what it kept of it is removed."""
        recorder = self.world.recorder
        recorder.wait_for(lambda: key.uuid not in recorder.vms(key.host), "the VM to go")
        shutil.rmtree(store.folder_of(paths.images_dir(), key.uuid), ignore_errors=True)

    def timed(self, act: Act) -> float:
        """Seconds. On a disk, what was written before is there when it begins: nobody pays for what another left."""
        if self.on_disk:
            os.sync()
        begin = time.perf_counter()
        act()
        return time.perf_counter() - begin


@contextmanager
def stage(home: Path, *, on_disk: bool) -> Iterator[Stage]:
    """Everything on it has directories of its own, and ends with it; ``home`` is the person's."""
    own = {"HOME": str(home)} | {f"XDG_{name}_HOME": str(home / name.lower()) for name in _XDG}
    with mock.patch.dict(os.environ, own), snapshot_world() as world:
        virsh = Virsh(world.daemon.uri)
        folder = home / "images"
        folder.mkdir()
        try:
            yield Stage(world, virsh, folder, on_disk)
        finally:
            virsh.close()


@dataclass(slots=True)
class Times:
    """Results of ours and of the peer, by what was measured, in the unit of its row."""

    ours: dict[str, list[float]] = field(default_factory=dict)
    peer: dict[str, list[float]] = field(default_factory=dict)

    def row(self, line: Line) -> Row:
        ours, peer = (Samples.of(side.get(line.what, [])) for side in (self.ours, self.peer))
        return Row(line.what, line.unit, ours, peer, line.peer, line.target, is_paired=line.is_paired)


@dataclass(frozen=True, slots=True)
class Line:
    """What a part measures: one row of the report. ``is_paired``: in each :func:`in_turn` each side was timed once."""

    what: str
    unit: str
    peer: str = ""
    target: Target | None = None
    is_paired: bool = False


Notes = dict[str, list[float]]
Turn = Callable[[Notes], None]


def rounds(what: str, runs: int, times: Times) -> Iterator[tuple[int, Times]]:
    """A warm-up, number 0, then ``runs`` rounds; with where the times of each go: those of the warm-up nowhere."""
    for number in range(runs + 1):
        print(f"{what}: {f'run {number} of {runs}' if number else 'warm-up'}", file=sys.stderr, flush=True)
        yield number, times if number else Times()


def in_turn(times: Times, ours: Turn, peer: Turn, chance: random.Random) -> None:
    """One run of each side, in random order."""
    sides = [(ours, times.ours), (peer, times.peer)]
    chance.shuffle(sides)
    for side, notes in sides:
        side(notes)


def settled(turn: Turn) -> Turn:
    """A while after the turn before: a virtual computer hands memory that was freed back to its host about a second
    later, and whoever runs at that moment is slowed."""

    def act(notes: Notes) -> None:
        time.sleep(_SETTLE_S)
        turn(notes)

    return act


def note(notes: Notes, what: str, value: float) -> None:
    notes.setdefault(what, []).append(value)


def run_tool(*command: str | Path) -> None:
    """Raises BenchError with the program's words."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"{command[0]} failed: {done.stderr.strip()}")


def require(condition: bool, what: str) -> None:
    """A measurement of something that did not happen is none. Raises BenchError."""
    if not condition:
        raise BenchError(what)
