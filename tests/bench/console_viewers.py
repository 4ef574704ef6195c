"""The three viewers that ``./dev bench console`` compares, each on a private screen of its own, always at 1:1."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.bench import xvfb
from tests.bench.eye import Eye, changed_box
from tests.bench.processes import end
from tests.bench.report import BenchError

SCREEN = (2200, 1300)
"""Room for 1920x1080 with a title bar, a menu and the window manager's frame."""

_ROOT = Path(__file__).resolve().parents[2]
_FIRST_VNC_PORT = 5900


@dataclass(frozen=True, slots=True)
class Viewer:
    name: str
    package: str  # empty: ours

    def argv(self, port: int) -> list[str]:
        """Shows the server at that port of 127.0.0.1. Pixels as :data:`tests.bench.console_streams.PIXEL_FORMAT`."""
        if not self.package:
            return [sys.executable, "-m", "tests.bench.console_ours", "127.0.0.1", str(port)]
        if self.name == "gvncviewer":
            return ["gvncviewer", f"127.0.0.1:{port - _FIRST_VNC_PORT}"]
        return [
            *("xtigervncviewer", "-SecurityTypes", "None", "-AutoSelect=0", "-PreferredEncoding=Raw", "-FullColour"),
            *("-RemoteResize=0", "-ReconnectOnError=0", "-AlertOnFatalError=0", "-Shared", f"127.0.0.1::{port}"),
        ]


OURS = Viewer("guivm", "")
PEERS = (Viewer("gvncviewer", "gvncviewer"), Viewer("TigerVNC", "tigervnc-viewer"))
VIEWERS = (OURS, *PEERS)


class Place:
    """A private screen with an eye on it."""

    def __init__(self, desktop: xvfb.Desktop, directory: Path) -> None:
        self.eye = Eye(desktop.display, *SCREEN)
        self._env = desktop.environment(directory / "home")
        self._directory = directory
        # Over nothing that is measured: the X server draws the pointer itself and would have to take it away.
        self.eye.move_pointer(SCREEN[0] - 1, SCREEN[1] - 1)

    @property
    def env(self) -> Mapping[str, str]:
        return self._env

    def picture(self, path: Path) -> None:
        xvfb.picture(path, self._env)

    @contextmanager
    def running(self, viewer: Viewer, port: int) -> Iterator[subprocess.Popen[bytes]]:
        with self._popen(viewer.argv(port), viewer.name) as process:
            yield process

    @contextmanager
    def _popen(self, argv: Sequence[str], name: str) -> Iterator[subprocess.Popen[bytes]]:
        with (self._directory / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                argv,
                cwd=_ROOT,
                env=self._env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            end(process)
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()

    def log(self, viewer: Viewer) -> str:
        """The last the viewer wrote."""
        path = self._directory / f"{viewer.name}.log"
        text = path.read_text("utf-8", "replace").strip() if path.exists() else ""
        return f"It wrote: {text[-800:]}" if text else "It wrote nothing."

    def wait_for_rectangle(self, colour: int, size: int, viewer: Viewer, process: subprocess.Popen[bytes]) -> None:
        """Where a square of that colour has appeared is kept as :attr:`spot` (its left upper corner).

        BenchError when there is none of exactly that size: then the viewer does not show the display at 1:1.
        """
        deadline = time.monotonic() + 20.0
        while (found := self.eye.find(colour, size, size)) is None:
            if process.poll() is not None:
                raise BenchError(f"{viewer.name} ended with code {process.returncode}. {self.log(viewer)}")
            if time.monotonic() >= deadline:
                raise BenchError(f"{viewer.name} does not show the display pixel for pixel. {self.log(viewer)}")
            time.sleep(0.05)
        self.spot = found

    spot: tuple[int, int] = (0, 0)

    def wait_for_rest(self, limit_s: float = 20.0) -> None:
        """Until the screen has not changed for half a second."""
        deadline = time.monotonic() + limit_s
        before = self.eye.screen()
        quiet = time.monotonic()
        while time.monotonic() - quiet < 0.5:
            time.sleep(0.1)
            now = self.eye.screen()
            if not np.array_equal(before, now):
                before, quiet = now, time.monotonic()
            if time.monotonic() >= deadline:
                box = changed_box(before, self.eye.screen())
                raise BenchError(f"The screen does not come to rest; the last change: {box}.")


@contextmanager
def places(directory: Path) -> Iterator[dict[Viewer, Place]]:
    """A screen for each viewer."""
    with ExitStack() as stack:
        out = {}
        for number, viewer in enumerate(VIEWERS):
            own = directory / str(number)
            own.mkdir()
            place = Place(stack.enter_context(xvfb.desktop(own, *SCREEN)), own)
            stack.callback(place.eye.close)
            out[viewer] = place
        yield out
