"""A real QEMU guest in each viewer: how late a change is visible after idling, and how late after a key press.

The guest (``console_guests/keys.S``) changes a block on its screen when a key goes down, and nothing else ever.

- *After idling* the key comes through QEMU's monitor, past the viewers' connections, which would wake QEMU's refresh
  otherwise. Each viewer shows several guests, which idle at the same time; they are woken one after the other.
- *Key to pixel*: the key is pressed on the X server (XTEST), goes through the viewer, and the pause between two keys
  is random, so that they fall anywhere between two refreshes of QEMU's.

Taken from just before the press is sent until the block's new colour is visible, looked for all the time: resolution
about 1 ms.
"""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.console_guest import Guest, boot_sector, guest
from tests.bench.console_viewers import VIEWERS, Place, Viewer
from tests.bench.eye import changed_box
from tests.bench.processes import cpu_seconds
from tests.bench.report import BenchError

BLOCK = (180, 96)  # pixels that change with a key: 20 by 6 cells of 9 by 16
GUESTS = 4  # in each viewer, while idling
_KEYSYM_A = 0x61
_LIMIT_S = 10.0
_FIND_S = 30.0
_BACKED_OFF_S = 4.0  # QEMU refreshes at least every 3 s
_STAGGER_S = (0.05, 0.25)
_PAUSE_S = (0.15, 0.30)


@dataclass(slots=True)
class Latencies:
    """Milliseconds; for key presses the median of each run."""

    values: dict[Viewer, list[float]] = field(default_factory=lambda: {viewer: [] for viewer in VIEWERS})
    failures: dict[Viewer, str] = field(default_factory=dict)
    qemu_percent: dict[Viewer, float] = field(default_factory=dict)  # of a core, for each idling guest


class _UnseenError(BenchError):
    """A viewer did not show what the guest did."""

    def __init__(self, viewer: Viewer, text: str) -> None:
        super().__init__(text)
        self.viewer = viewer


@dataclass(slots=True)
class _Pair:
    """A guest in a viewer; ``x``, ``y``: a pixel of its block on the viewer's screen."""

    viewer: Viewer
    place: Place
    guest: Guest
    process: subprocess.Popen[bytes]
    x: int = 0
    y: int = 0
    before: int = 0
    pressed_at: float = 0.0

    def look(self) -> int:
        return self.place.eye.pixel(self.x, self.y)

    def find(self) -> None:
        """Where the block is on the screen: what changes when the guest gets a key."""
        deadline = time.monotonic() + _FIND_S
        while (place := self._answer_to_key()) is None:
            if self.process.poll() is not None or time.monotonic() >= deadline:
                raise BenchError(f"{self.viewer.name} does not show the guest. {self.place.log(self.viewer)}")
        self.x, self.y = place[0] + BLOCK[0] // 2, place[1] + BLOCK[1] // 2

    def _answer_to_key(self) -> tuple[int, int] | None:
        """None when something else changed, or nothing: the window was not there yet."""
        self.place.wait_for_rest()
        before = self.place.eye.screen()
        self.guest.press_key()
        self.guest.release_key()
        deadline = time.monotonic() + _BACKED_OFF_S
        while time.monotonic() < deadline:
            box = changed_box(before, self.place.eye.screen())
            if box is not None and box[2:] == BLOCK:
                return box[:2]
            time.sleep(0.05)
        return None


@contextmanager
def _pairs(count: int, places: dict[Viewer, Place], directory: Path) -> Iterator[tuple[list[_Pair], dict[Viewer, str]]]:
    """``count`` guests in every viewer, their blocks found."""
    image = boot_sector("keys", directory)
    pairs: list[_Pair] = []
    failures: dict[Viewer, str] = {}
    with ExitStack() as stack:
        guests = [stack.enter_context(guest(image, directory, number)) for number in range(count * len(VIEWERS))]
        time.sleep(3.0)  # the firmware's own pictures and modes
        for viewer in VIEWERS:
            for _ in range(count):
                running = guests.pop()
                process = stack.enter_context(places[viewer].running(viewer, running.port))
                pair = _Pair(viewer, places[viewer], running, process)
                try:
                    pair.find()
                    pairs.append(pair)
                except BenchError as error:
                    failures[viewer] = str(error)
                    _say(str(error))
                    break
        yield pairs, failures


def measure_idle(idle_s: float, rounds: int, places: dict[Viewer, Place], directory: Path, out: Path) -> Latencies:
    latencies = Latencies()
    with _pairs(GUESTS, places, directory) as (pairs, failures):
        latencies.failures.update(failures)
        for viewer in VIEWERS:
            places[viewer].picture(out / f"console-idle-{viewer.name}.png")
        for number in range(rounds):
            _say(f"idling {number + 1}/{rounds}: {idle_s:g} s")
            began = time.monotonic()
            spent = {id(pair): _cpu(pair.guest) for pair in pairs}
            time.sleep(idle_s)
            for viewer in VIEWERS:
                own = [_cpu(pair.guest) - spent[id(pair)] for pair in pairs if pair.viewer is viewer]
                if own:
                    latencies.qemu_percent[viewer] = 100 * statistics.mean(own) / (time.monotonic() - began)
            try:
                for pair, milliseconds in _wake(random.sample(pairs, len(pairs))):
                    latencies.values[pair.viewer].append(milliseconds)
            except _UnseenError as error:
                latencies.failures[error.viewer] = str(error)
                latencies.values[error.viewer].clear()
                break
            for viewer in VIEWERS:
                values = latencies.values[viewer][-GUESTS:]
                _say(f"  {viewer.name}: " + ", ".join(f"{value:.0f}" for value in values) + " ms")
    return latencies


def _cpu(running: Guest) -> float:
    return cpu_seconds(running.process.pid)


def _wake(pairs: list[_Pair]) -> Iterator[tuple[_Pair, float]]:
    """Press a key in one guest after the other, and watch all that have not answered yet."""
    waiting: list[_Pair] = []
    next_press = time.monotonic()
    while pairs or waiting:
        if pairs and time.monotonic() >= next_press:
            pair = pairs.pop()
            pair.before = pair.look()
            pair.pressed_at = time.monotonic()
            pair.guest.press_key()
            waiting.append(pair)
            next_press = time.monotonic() + random.uniform(*_STAGGER_S)
        for pair in tuple(waiting):
            now = time.monotonic()
            if pair.look() != pair.before:
                waiting.remove(pair)
                pair.guest.release_key()
                yield pair, (time.monotonic() - pair.pressed_at) * 1000
            elif now - pair.pressed_at > _LIMIT_S:
                raise _UnseenError(pair.viewer, f"{pair.viewer.name} did not show a change within {_LIMIT_S:g} s.")
        time.sleep(0.0005)


def measure_keys(
    presses: int, runs: int, places: dict[Viewer, Place], directory: Path, out: Path
) -> tuple[Latencies, dict[Viewer, list[float]]]:
    """The medians of the runs, and all presses."""
    latencies = Latencies()
    every: dict[Viewer, list[float]] = {viewer: [] for viewer in VIEWERS}
    with _pairs(1, places, directory) as (pairs, failures):
        latencies.failures.update(failures)
        for pair in tuple(pairs):
            # A click gives focus, and to ours the keyboard; the block is left free.
            pair.place.eye.move_pointer(pair.x - BLOCK[0], pair.y - BLOCK[1])
            pair.place.eye.click()
            time.sleep(0.5)
            pair.place.eye.move_pointer(pair.x - BLOCK[0] - 4, pair.y - BLOCK[1] - 4)
            pair.place.wait_for_rest()
            pair.place.picture(out / f"console-keys-{pair.viewer.name}.png")
            try:
                for _ in range(3):
                    _press(pair)
            except BenchError as error:
                latencies.failures[pair.viewer] = str(error)
                _say(str(error))
                pairs.remove(pair)
        for number in range(runs):
            for pair in random.sample(pairs, len(pairs)):
                values = []
                for _ in range(presses):
                    try:
                        values.append(_press(pair))
                    except _UnseenError as error:
                        latencies.failures[pair.viewer] = str(error)
                        _say(str(error))
                        break
                    time.sleep(random.uniform(*_PAUSE_S))
                if pair.viewer in latencies.failures:
                    latencies.values[pair.viewer].clear()
                    pairs.remove(pair)
                    continue
                every[pair.viewer] += values
                latencies.values[pair.viewer].append(statistics.median(values))
                _say(f"key to pixel, {pair.viewer.name} {number + 1}/{runs}: {statistics.median(values):.1f} ms")
    return latencies, every


def _press(pair: _Pair) -> float:
    eye = pair.place.eye
    code = eye.keycode(_KEYSYM_A)
    before = pair.look()
    begin = time.monotonic()
    eye.key(code, pressed=True)
    try:
        while pair.look() == before:
            if time.monotonic() - begin > _LIMIT_S:
                raise _UnseenError(pair.viewer, f"{pair.viewer.name} did not pass a key on to the guest.")
            time.sleep(0.0005)
        return (time.monotonic() - begin) * 1000
    finally:
        eye.key(code, pressed=False)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
