"""A program with a window under test, which prints what it sees as one JSON list per line and takes wishes."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from queue import Empty, Queue
from types import TracebackType

_PATIENCE_S = 20


class LoudProgram:
    """``python -m MODULE ARGUMENTS…`` until the ``with`` block ends; it must then end by itself, without an error."""

    def __init__(self, *command: str, env: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", *command], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._lines: Queue[list[object]] = Queue()
        self._reader = threading.Thread(target=self._read, name="reader")
        self._reader.start()

    def __enter__(self) -> LoudProgram:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        try:
            code = self.process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self._reader.join(_PATIENCE_S)
        self.process.stdout.close()
        if error is None:
            assert code == 0, f"it ended with {code}"

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(json.loads(line))

    def tell(self, wish: str) -> None:
        """Without waiting for anything."""
        assert self.process.stdin is not None
        self.process.stdin.write(wish + "\n")
        self.process.stdin.flush()

    def wish(self, wish: str) -> list[list[object]]:
        """All that was said until it was granted, without the word for that."""
        self.tell(wish)
        return self.until("done", wish)[:-1]

    def until(self, *last: object) -> list[list[object]]:
        """All that was said up to and including ``last``, or a list that begins with it."""
        said: list[list[object]] = []
        deadline = time.monotonic() + _PATIENCE_S
        while not said or said[-1][: len(last)] != list(last):
            try:  # a key that repeats never falls silent
                said.append(self._lines.get(timeout=max(0.0, deadline - time.monotonic())))
            except Empty:
                raise AssertionError(f"not said: {list(last)}; but {said[-20:]}") from None
        return said
