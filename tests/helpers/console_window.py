"""A console with a made-up guest in a window, for tests on a real X server.

``python -m tests.helpers.console_window`` prints what the guest and the window get, one JSON list per line:
``["ready"]``, ``["key", code, keysym, pressed]``, ``["pointer", x, y, buttons]``, ``["capture", on]``,
``["command", name]``, ``["shortcut"]``, and answers to wishes (see ``_on_input``).
The picture begins 2 pixels right of and below the window's corner. Ends when standard input does.
"""

from __future__ import annotations

import json
import sys
from io import FileIO

from PySide6.QtCore import QEventLoop, QSocketNotifier, Slot
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QApplication

from guivm.console.source import PointerButton, PointerMode
from guivm.console.widget import ConsoleFace, ConsoleWidget, ScaleMode
from tests.helpers.fake_source import FakeSource
from tests.helpers.rfb_server import picture


def say(*what: object) -> None:
    print(json.dumps(what), flush=True)


class LoudSource(FakeSource):
    def send_key(self, scancode: int, keysym: int, pressed: bool) -> None:
        say("key", scancode, keysym, pressed)

    def send_pointer(self, x: int, y: int, buttons: PointerButton) -> None:
        say("pointer", x, y, int(buttons))


class Window(ConsoleWidget):
    def __init__(self) -> None:
        super().__init__()
        self.setWindowTitle("console-window")
        self.set_face(ConsoleFace.LIVE)
        self.set_scale_mode(ScaleMode.ACTUAL)
        self.captureChanged.connect(self._on_capture)
        self.hostCommand.connect(self._on_command)
        QShortcut(QKeySequence("Ctrl+A"), self).activated.connect(self._on_shortcut)
        self._wishes = FileIO(sys.stdin.fileno(), closefd=False)  # reads no line ahead
        self._stdin = QSocketNotifier(sys.stdin.fileno(), QSocketNotifier.Type.Read, self)
        self._stdin.activated.connect(self._on_input)
        self.loud = LoudSource()
        self.set_source(self.loud)
        self.loud.show(picture(400, 300))
        self.resize(self.sizeHint())

    @Slot(bool)
    def _on_capture(self, on: bool) -> None:
        say("capture", on)

    @Slot(str)
    def _on_command(self, name: str) -> None:
        say("command", name)

    @Slot()
    def _on_shortcut(self) -> None:
        say("shortcut")

    @Slot()
    def _on_input(self) -> None:
        """A line is a wish; the end of input is the end."""
        match self._wishes.readline().decode().strip().split(" ", 1):
            case [""]:
                self.set_source(None)
                QApplication.quit()
            case ["relative"]:
                self.loud.set_pointer_mode(PointerMode.RELATIVE)
                say("mode", "relative")
            case ["done"]:
                say("done")  # with the event before it too
            case ["face"]:
                self.set_face(ConsoleFace.PAUSED)
                say("paused")
            case ["keep", shortcuts]:
                self.set_desktop_shortcuts(shortcuts.split(","))
                say("kept")
            case ["back"]:
                while self._grab.is_lent:
                    QApplication.processEvents(QEventLoop.ProcessEventsFlag.WaitForMoreEvents)
                say("back")
            case ["capture"]:
                self.capture()
            case ["release"]:
                self.release_capture()
            case ["stall"]:
                say("stalled")
                self._wishes.readline()
                QApplication.processEvents()  # what came meanwhile


def main() -> int:
    app = QApplication(sys.argv[:1])
    window = Window()
    window.show()
    say("ready")
    return app.exec()


if __name__ == "__main__":
    sys.exit(main())
