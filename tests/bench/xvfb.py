"""A private screen: Xvfb on a free display, openbox as the window manager, a session bus that starts nothing."""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.processes import end
from tests.bench.report import BenchError

PACKAGES = ("xvfb", "openbox", "x11-utils", "dbus-daemon", "imagemagick")

_BUS_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:dir={directory}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""


@dataclass(frozen=True, slots=True)
class Desktop:
    display: str  # ":5"
    bus: str  # D-Bus address

    def environment(self, home: Path) -> dict[str, str]:
        """Everything a program gets to see: private directories under ``home``, nothing of the caller's session."""
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        runtime = home / "run"
        runtime.mkdir(exist_ok=True, mode=0o700)
        return {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home / "config"),
            "XDG_DATA_HOME": str(home / "data"),
            "XDG_CACHE_HOME": str(home / "cache"),
            "XDG_STATE_HOME": str(home / "state"),
            "XDG_RUNTIME_DIR": str(runtime),
            "DISPLAY": self.display,
            "DBUS_SESSION_BUS_ADDRESS": self.bus,
            "GSETTINGS_BACKEND": "memory",  # every GTK program starts from its defaults
            "NO_AT_BRIDGE": "1",
            "QT_QPA_PLATFORM": "xcb",
        }


@contextmanager
def xvfb(width: int = 1600, height: int = 1000, depth: int = 24, log: Path | None = None) -> Iterator[str]:
    """Xvfb on a free display that it chooses itself; gives its name (":5"). BenchError when it does not come up."""
    read_fd, write_fd = os.pipe()
    with ExitStack() as stack:
        stack.callback(os.close, read_fd)
        with _output(log) as out:
            try:
                server = subprocess.Popen(
                    [
                        *("Xvfb", "-displayfd", str(write_fd), "-screen", "0", f"{width}x{height}x{depth}"),
                        *("-nolisten", "tcp", "-noreset", "-dpi", "96"),
                    ],
                    pass_fds=[write_fd],
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                    start_new_session=True,
                )
            finally:
                os.close(write_fd)
        stack.callback(end, server)
        number = _read_line(read_fd, 20.0)
        if not number.isdigit():
            raise BenchError("Xvfb did not come up. Run `Xvfb -displayfd 1` by hand to see why.")
        yield f":{number}"


@contextmanager
def desktop(directory: Path, width: int = 1600, height: int = 1000) -> Iterator[Desktop]:
    """The whole private screen; ``directory`` (short, existing) keeps its logs and the bus's socket."""
    with ExitStack() as stack:
        display = stack.enter_context(xvfb(width, height, log=directory / "xvfb.log"))
        bus = stack.enter_context(_session_bus(directory))
        place = Desktop(display, bus)
        stack.enter_context(_window_manager(place, directory))
        yield place


@contextmanager
def _session_bus(directory: Path) -> Iterator[str]:
    config = directory / "bus.conf"
    config.write_text(_BUS_CONFIG.format(directory=directory), "utf-8")
    read_fd, write_fd = os.pipe()
    with ExitStack() as stack:
        stack.callback(os.close, read_fd)
        with _output(directory / "bus.log") as out:
            try:
                daemon = subprocess.Popen(
                    [
                        "dbus-daemon",
                        f"--config-file={config}",
                        "--nofork",
                        "--nopidfile",
                        f"--print-address={write_fd}",
                    ],
                    pass_fds=[write_fd],
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                    start_new_session=True,
                )
            finally:
                os.close(write_fd)
        stack.callback(end, daemon)
        address = _read_line(read_fd, 20.0)
        if not address:
            raise BenchError(f"dbus-daemon did not come up. {_tail(directory / 'bus.log')}".strip())
        yield address


@contextmanager
def _window_manager(place: Desktop, directory: Path) -> Iterator[None]:
    env = place.environment(directory / "openbox")
    with _output(directory / "openbox.log") as out:
        manager = subprocess.Popen(
            ["openbox", "--sm-disable"],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 20.0
        while not _has_window_manager(env):
            if time.monotonic() >= deadline or manager.poll() is not None:
                raise BenchError(f"openbox did not come up. {_tail(directory / 'openbox.log')}".strip())
            time.sleep(0.05)
        yield
    finally:
        end(manager)


def _has_window_manager(env: Mapping[str, str]) -> bool:
    """A window manager that is ready names its own window in this property of the root window (EWMH)."""
    asked = subprocess.run(
        ["xprop", "-root", "_NET_SUPPORTING_WM_CHECK"], env=dict(env), capture_output=True, text=True, check=False
    )
    return "window id" in asked.stdout


class Lines:
    """Lines of a pipe, one at a time with a time limit."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._rest = b""

    @property
    def fd(self) -> int:
        """Of the pipe, to wait for; lines already read are not seen there."""
        return self._fd

    def next(self, timeout_s: float) -> str:
        """The next line without its end, or "" after ``timeout_s`` or at the end of the pipe."""
        deadline = time.monotonic() + timeout_s
        while b"\n" not in self._rest:
            ready, _, _ = select.select([self._fd], [], [], max(0.0, deadline - time.monotonic()))
            chunk = os.read(self._fd, 65536) if ready else b""
            if not chunk:
                return ""
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode("utf-8", "replace")


@contextmanager
def root_property_lines(name: str, env: Mapping[str, str]) -> Iterator[Lines]:
    """One line now and one at each change of a property of the root window, from X events: nothing is polled.

    A window manager must already have made the property known to the X server, else there are no further lines.
    """
    spy = subprocess.Popen(
        ["xprop", "-root", "-spy", name],
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        assert spy.stdout is not None
        with spy.stdout as pipe:
            yield Lines(pipe.fileno())
    finally:
        end(spy)


def picture(path: Path, env: Mapping[str, str]) -> None:
    """The whole screen as it is now, for people to check; never part of a measurement."""
    path.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["import", "-window", "root", str(path)], env=dict(env), stdin=subprocess.DEVNULL, timeout=60, check=False
    )


@contextmanager
def _output(path: Path | None) -> Iterator[int]:
    if path is None:
        yield subprocess.DEVNULL
        return
    with path.open("ab") as file:
        yield file.fileno()


def _read_line(fd: int, timeout_s: float) -> str:
    return Lines(fd).next(timeout_s).strip()


def _tail(path: Path) -> str:
    return path.read_text("utf-8", "replace")[-500:] if path.exists() else ""
