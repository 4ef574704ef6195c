"""A private X server with a window manager, for tests, pictures and benchmarks."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def x_server(width: int = 1440, height: int = 900, *, window_manager: bool = True) -> Iterator[str]:
    """Run Xvfb (and openbox) on a free display; yields the value for DISPLAY, for example ``:7``."""
    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", f"{width}x{height}x24", "-nolisten", "tcp", "-noreset"],
        pass_fds=[write],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(write)
    manager: subprocess.Popen[bytes] | None = None
    try:
        with os.fdopen(read) as answer:
            number = answer.readline().strip()
        if not number:
            raise RuntimeError("Xvfb did not start; is the package xvfb installed?")
        display = f":{number}"
        if window_manager:
            manager = subprocess.Popen(
                ["openbox", "--sm-disable"],
                env={**os.environ, "DISPLAY": display},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            # The window manager is ready when it has announced itself on the root window.
            subprocess.run(
                ["timeout", "20", "sh", "-c", 'until xprop -root _NET_SUPPORTING_WM_CHECK | grep -q "#"; do :; done'],
                env={**os.environ, "DISPLAY": display},
                check=True,
                stderr=subprocess.DEVNULL,
            )
        yield display
    finally:
        for process in (manager, server):
            if process is not None:
                process.terminate()
                process.wait(20)
