"""The demo (``./dev demo``): the real application on a virtual screen, a real guest, pictures and a log in build/demo/.

libvirt's session daemon runs with private directories, so that nothing of the person's own is touched.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tests.helpers.daemon import SessionDaemon
from tests.helpers.desk import Desk
from tests.helpers.driven_app import DrivenApp
from tests.helpers.guests import give_sample_guest
from tests.helpers.serial_port import SerialPort
from tests.helpers.xserver import x_server

ROOT = Path(__file__).parent.parent
OUTPUT = ROOT / "build" / "demo"
NAME = "Sample guest"
_STATE = f"next((vm.state.value for vm in app.engine.vms(app.engine.hosts()[0].id) if vm.name == {NAME!r}), '')"


class Demo:
    """Tells, step by step, what happens; keeps a numbered picture of each."""

    def __init__(self, log: Path) -> None:
        self._log = log.open("w", encoding="utf-8")
        self._began = time.monotonic()
        self._count = 0

    def close(self) -> None:
        self._log.close()

    def say(self, words: str) -> None:
        line = f"{time.monotonic() - self._began:6.1f} s  {words}"
        print(line, flush=True)
        self._log.write(line + "\n")
        self._log.flush()

    def step(self, app: DrivenApp, name: str, words: str) -> None:
        self._count += 1
        picture = OUTPUT / f"{self._count:02}-{name}.png"
        app.run("for _ in range(3): QtCore.QCoreApplication.processEvents()")
        app.screenshot(picture)
        self.say(f"{words} ({picture.name})")

    def run(self, desk: Desk) -> None:
        give_sample_guest(desk.daemon.root / "k" / "guivm")
        with desk.open_app() as app:
            self.step(app, "welcome", "The window is open and connected")
            app.wait("shown('choice-sample')")
            app.click("choice-sample")
            app.wait(f"{_STATE} == 'running'", 120)
            self.say("The sample guest was created and started")
            app.run("window.show_page('console')")
            with SerialPort(desk.serial_path(NAME)) as serial:
                app.wait("find('console-screen').face().name == 'LIVE'", 60)
                serial.wait(r"sample\S*:~# ", 180)
                app.wait("find('console-screen').current_image().width() == 1280", 60)
                self.step(app, "booted", "Linux has booted in the console")
                app.click("console-screen")
                app.wait("find('console-screen').is_captured()")
                app.type("echo Hello from the keyboard; counter\n")
                serial.wait("counter 5\r?\n")
                self.step(app, "typed", "The guest answers what was typed: a counter runs")
                picture = OUTPUT / "window.png"
                assert app.eval(f"window.grab().save({str(picture)!r})")
                app.key_down("Control_R")
                app.key("p")
                app.key_up("Control_R")
                app.wait(f"{_STATE} == 'paused'")
                serial.drain(1.0)
                still = serial.drain(2.0) == ""
                self.step(app, "paused", f"Paused with Host+P; the counter stands {'still' if still else 'NOT still'}")
                app.key_down("Control_R")
                app.key("p")
                app.key_up("Control_R")
                app.wait(f"{_STATE} == 'running'")
                serial.wait(r"counter \d+\r?\n")
                self.step(app, "resumed", "Resumed with Host+P; the counter goes on")
                app.key("Control_R")
                app.run("window.show_page('overview')")
                app.wait("not find('thumbnail').image.isNull()", 30)
                self.step(app, "overview", "The overview, with a live picture of the screen")
                app.key("ctrl+s")
                app.wait(f"{_STATE} == 'saved'", 120)
                self.step(app, "saved", "Its state was saved; closing the window")
            app.close()
        with desk.open_app() as app:
            app.wait(f"{_STATE} == 'saved'")
            app.key("ctrl+Return")
            app.wait(f"{_STATE} == 'running'", 120)
            with SerialPort(desk.serial_path(NAME)) as serial:
                serial.wait(r"counter \d+\r?\n")
            app.run("window.show_page('console')")
            app.wait("find('console-screen').face().name == 'LIVE'", 60)
            self.step(app, "restored", "Reopened and restored: the counter goes on where it stood")
            app.key("ctrl+h")
            app.wait(f"{_STATE} == 'off'", 120)
            self.step(app, "off", "Shut down by its power button")
            app.close()
        if not still:
            raise AssertionError("the counter of the paused guest went on")


def main() -> int:
    """Run the demo; answers the exit code."""
    OUTPUT.mkdir(parents=True, exist_ok=True)
    for old in OUTPUT.iterdir():
        old.unlink()
    demo = Demo(OUTPUT / "demo.log")
    try:
        with x_server(1440, 900) as display, SessionDaemon() as daemon:
            desk = Desk(daemon, display, daemon.root)
            demo.run(desk)
        demo.say(f"Done: pictures and demo.log are in {OUTPUT.relative_to(ROOT)}/")
    except AssertionError as problem:
        demo.say(f"The demo failed: {problem}")
        return 1
    finally:
        demo.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
