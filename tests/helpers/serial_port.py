"""The other end of a guest's serial port: what it said, and waiting for what it will say."""

from __future__ import annotations

import os
import re
import select
import time
import tty
from types import TracebackType


class SerialPort:
    """Reads the pseudo terminal that QEMU gave a guest's first serial port. Keeps everything that was read."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        tty.setraw(self._fd)
        self.text = ""

    def __enter__(self) -> SerialPort:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)

    def write(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def wait(self, pattern: str, timeout: float = 60) -> re.Match[str]:
        """Read until the pattern occurs in what has been read since the last match (seconds); answer the match."""
        end = time.monotonic() + timeout
        while True:
            match = re.search(pattern, self.text)
            if match is not None:
                self.text = self.text[match.end() :]
                return match
            left = end - time.monotonic()
            assert left > 0, f"{pattern!r} did not come; the guest said {self.text[-500:]!r}"
            self._read(left)

    def drain(self, seconds: float) -> str:
        """Read for a span of time; answer what came."""
        end = time.monotonic() + seconds
        before = len(self.text)
        while (left := end - time.monotonic()) > 0:
            self._read(left)
        return self.text[before:]

    def _read(self, timeout: float) -> None:
        ready, _, _ = select.select([self._fd], [], [], timeout)
        if ready:
            try:
                self.text += os.read(self._fd, 65536).decode(errors="replace")
            except BlockingIOError:
                return
