"""A person at ``tests.helpers.console_window`` on a real X server: xdotool presses and clicks, the window tells."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from queue import Queue


class Person:
    """Hands on the keyboard and mouse, eyes on what the console says."""

    def __init__(self, display: str) -> None:
        self._env = {**os.environ, "DISPLAY": display, "QT_QPA_PLATFORM": "xcb"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.helpers.console_window"],
            env=self._env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._lines: Queue[list[object]] = Queue()
        self._reader = threading.Thread(target=self._read, name="reader")
        self._reader.start()
        try:
            self.until("ready")
            mine = ("--all", "--pid", str(self.process.pid), "--name", "^console-window$")
            self.window = self.do("search", "--sync", "--onlyvisible", *mine).split()[-1]
            self.do("windowactivate", "--sync", self.window)
        except BaseException:
            self.leave()
            raise

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(json.loads(line))

    def do(self, *arguments: str) -> str:
        return subprocess.run(
            ["xdotool", *arguments], env=self._env, check=True, capture_output=True, text=True, timeout=20
        ).stdout

    def wish(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()

    def until(self, *last: object) -> list[list[object]]:
        """All that was said up to and including ``last``."""
        said: list[list[object]] = []
        deadline = time.monotonic() + 20
        while not said or said[-1] != list(last):
            assert time.monotonic() < deadline, said[-10:]  # a key that repeats never falls silent
            said.append(self._lines.get(timeout=20))
        return said

    def click_into(self) -> None:
        self.do("mousemove", "--window", self.window, "52", "62", "click", "1")
        assert self.until("pointer", 50, 60, 0)[-3:] == [
            ["capture", True],
            ["pointer", 50, 60, 1],
            ["pointer", 50, 60, 0],
        ]

    def leave(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(20)
        self._reader.join(20)
        assert self.process.stdout is not None
        self.process.stdout.close()
