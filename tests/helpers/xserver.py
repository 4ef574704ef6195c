"""A private X server with a window manager, for tests, pictures and benchmarks."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def x_server(
    width: int = 1440,
    height: int = 900,
    *,
    window_manager: bool = True,
    manager_config: Path | None = None,
    keyboard: Path | None = None,
    without: Iterable[str] = (),
) -> Iterator[str]:
    """Run Xvfb (and openbox) on a free display; yields the value for DISPLAY, for example ``:7``.

    ``manager_config``: a directory with ``openbox/rc.xml``. ``keyboard``: run TigerVNC's Xvnc instead, which has a
    keyboard besides XTEST's; its VNC clients press it, at this UNIX socket. ``without``: names of X extensions.
    """
    read, write = os.pipe()
    if keyboard is None:
        program = ["Xvfb", "-screen", "0", f"{width}x{height}x24"]
    else:
        program = ["Xvnc", "-geometry", f"{width}x{height}", "-SecurityTypes", "None", "-rfbport", "-1"]
        program += ["-rfbunixpath", str(keyboard)]
    server = subprocess.Popen(
        [*program, "-displayfd", str(write), "-nolisten", "tcp", "-noreset"]
        + [word for name in without for word in ("-extension", name)],
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
                env={**os.environ, "DISPLAY": display}
                | ({"XDG_CONFIG_HOME": str(manager_config)} if manager_config else {}),
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
