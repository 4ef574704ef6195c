"""When a program's window is on the screen, seen from outside the program and the same way for every program."""

from __future__ import annotations

import re
import select
import subprocess
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from tests.bench.processes import process_tree
from tests.bench.report import BenchError
from tests.bench.xvfb import Lines, root_property_lines

_NOT_YET_VIEWABLE_S = 0.005


@dataclass(frozen=True, slots=True)
class Window:
    """A top-level window as the window manager lists it."""

    id: str  # "0x600007"
    title: str
    pid: int
    viewable: bool


class WindowWatch:
    """Waits for managed windows.

    The window manager adds a window to ``_NET_CLIENT_LIST`` (EWMH) when it maps it. ``xprop -spy`` prints a line for
    each X event about that property, so that nothing is polled and the watched program loses no processor time. The
    moment taken is the arrival of that line, provided the window is then viewable; otherwise it is asked again each
    5 ms. Resolution: some milliseconds, at most 20.
    """

    def __init__(self, lines: Lines, env: Mapping[str, str]) -> None:
        self._lines = lines
        self._env = dict(env)
        self._ids = client_ids(lines.next(10.0))
        self._stamped: deque[tuple[str, int]] = deque()

    def stand_by(self, fd: int, process: subprocess.Popen[bytes], timeout_s: float) -> None:
        """Note only when something changed until ``fd`` can be read or the program ends: :meth:`wait` asks afterwards.

        The programs that :meth:`wait` asks with would take a processor from one that is still about to show its list.
        """
        deadline = time.monotonic() + timeout_s
        while process.poll() is None and time.monotonic() < deadline:
            ready, _, _ = select.select([self._lines.fd, fd], [], [], 0.5)
            if self._lines.fd in ready:
                self._stamped.append((self._lines.next(0.0), time.monotonic_ns()))
            if fd in ready:
                return

    def wait(self, process: subprocess.Popen[bytes], title: str | None, timeout_s: float) -> int:
        """CLOCK_MONOTONIC in ns at which a window of the process (or its children) was on the screen.

        With ``title`` only a window of exactly that title counts. BenchError when the program ends, or in time shows
        no such window.
        """
        deadline = time.monotonic() + timeout_s
        seen: dict[str, str] = {}
        while True:
            line, now = self._stamped.popleft() if self._stamped else (self._lines.next(0.5), time.monotonic_ns())
            if line:
                self._ids = client_ids(line)
            for window_id in self._ids:
                window = self._ask(window_id)
                if window is None:
                    continue
                seen[window.id] = window.title
                if not self._is_wanted(window, process.pid, title):
                    continue
                while not window.viewable and time.monotonic() < deadline:
                    time.sleep(_NOT_YET_VIEWABLE_S)
                    window = self._ask(window_id) or window
                    now = time.monotonic_ns()
                if window.viewable:
                    return now
            if process.poll() is not None:
                raise BenchError(f"The program ended with code {process.returncode} before its window appeared.")
            if time.monotonic() >= deadline:
                others = ", ".join(repr(text) for text in seen.values()) or "none"
                raise BenchError(f"No window of the program within {timeout_s:g} s; windows seen: {others}.")

    def _is_wanted(self, window: Window, pid: int, title: str | None) -> bool:
        if title is not None and window.title != title:
            return False
        return window.pid == pid or window.pid in {stat.pid for stat in process_tree(pid)}

    def _ask(self, window_id: str) -> Window | None:
        """None when it has gone."""
        properties = self._run("xprop", "-id", window_id, "_NET_WM_NAME", "_NET_WM_PID", "WM_NAME")
        attributes = self._run("xwininfo", "-id", window_id)
        return parse_window(window_id, properties, attributes) if properties and attributes else None

    def _run(self, *argv: str) -> str:
        done = subprocess.run(argv, env=self._env, capture_output=True, check=False)
        return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else ""


@contextmanager
def window_watch(env: Mapping[str, str]) -> Iterator[WindowWatch]:
    """Begin to watch before the program is started."""
    with root_property_lines("_NET_CLIENT_LIST", env) as lines:
        yield WindowWatch(lines, env)


def client_ids(line: str) -> list[str]:
    """Window ids in a line that xprop prints for ``_NET_CLIENT_LIST``."""
    return re.findall(r"0x[0-9a-fA-F]+", line.partition("#")[2])


def parse_window(window_id: str, properties: str, attributes: str) -> Window:
    """From what ``xprop -id`` and ``xwininfo -id`` print."""
    title = re.search(r'^_NET_WM_NAME\(UTF8_STRING\) = "(.*)"$', properties, re.MULTILINE)
    title = title or re.search(r'^WM_NAME\(\w+\) = "(.*)"$', properties, re.MULTILINE)
    pid = re.search(r"^_NET_WM_PID\(CARDINAL\) = (\d+)$", properties, re.MULTILINE)
    return Window(
        id=window_id,
        title=title.group(1) if title else "",
        pid=int(pid.group(1)) if pid else 0,
        viewable="Map State: IsViewable" in attributes,
    )
