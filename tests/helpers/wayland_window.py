"""Windows for tests on a Wayland compositor; they print what they see, one JSON list per line.

``python -m tests.helpers.wayland_window console``: the console of :mod:`tests.helpers.console_window`. It also says
``["grab", shortcuts, pointer, words]`` whenever the compositor gave or took something, and for the wish ``scale``
``["scale", ratio, x, y]``: device pixels per logical one, and the device pixel that shows the guest's first one.

``… main``: the main window with a made-up guest in its console. It says ``["clipboard", text]`` and ``["key", code,
keysym, pressed]`` for what the guest gets, and ``["window", full, width, height, screen, bar]``: whether it fills the
screen, its size in device pixels, and whether the full screen bar is out.

Lines on standard input are wishes, answered with ``["done", wish]`` once the compositor knows and has answered.
"""

from __future__ import annotations

import sys
from pathlib import Path

from PySide6.QtCore import QObject, QSettings, QSocketNotifier, Qt, QTimer, Slot
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget

from guivm.console.frame import ClipboardPolicy, PointerMode
from guivm.console.input.wayland import WaylandGrab
from guivm.console.input.wayland_client import Connection, Proxy
from guivm.views.settings import FULL_SCREEN_MONITOR, Settings, for_vm
from tests.helpers.console_window import Window, say
from tests.helpers.fake_source import FakeSource

_ROUNDS = 3  # what the compositor is asked for is known after two


class Wishes(QObject):
    """Reads wishes. GUI thread."""

    window: QWidget

    def __init__(self) -> None:
        super().__init__()
        self._asked: list[Proxy] = []
        self._stdin = QSocketNotifier(sys.stdin.fileno(), QSocketNotifier.Type.Read, self)
        self._stdin.activated.connect(self._on_input)

    def grant(self, wish: str) -> None:
        """Do it."""

    def end(self) -> None:
        QApplication.exit(0)  # no window asks whether it may close

    @Slot()
    def _on_input(self) -> None:
        wish = sys.stdin.readline().strip()
        if not wish:
            self._stdin.setEnabled(False)
            self.end()
            return
        self.grant(wish)
        self._ask(wish, _ROUNDS)

    def _ask(self, wish: str, rounds: int) -> None:
        connection = Connection.of_qt()
        assert connection is not None

        def answered(*_: object) -> None:
            if rounds > 1:
                self._ask(wish, rounds - 1)
            else:
                say("done", wish)

        self._asked.append(connection.sync(answered))


class ConsoleWishes(Wishes):
    def __init__(self) -> None:
        super().__init__()
        self.console = ConsoleWindow()
        self.window = self.console
        self.console.show()

    def grant(self, wish: str) -> None:
        if wish == "relative":
            self.console.loud.set_pointer_mode(PointerMode.RELATIVE)
        elif wish == "fit":
            self.console.resize(self.console.sizeHint())
        elif wish == "scale":
            ratio = self.console.devicePixelRatioF()
            middle = self.console.guest_to_widget(0, 0)
            assert middle is not None
            say("scale", ratio, int(middle.x() * ratio), int(middle.y() * ratio))

    def end(self) -> None:
        self.console.set_source(None)
        super().end()


class ConsoleWindow(Window):
    def __init__(self) -> None:
        super().__init__()
        self._stdin.setEnabled(False)  # the wishes' own is there
        grab = self.findChild(WaylandGrab)
        assert grab is not None
        self.grab_ = grab
        grab.changed.connect(self._on_grab)

    @Slot()
    def _on_grab(self) -> None:
        say("grab", self.grab_.holds_shortcuts, self.grab_.holds_pointer, self.grab_.trouble())


class MainWishes(Wishes):
    def __init__(self, app: QApplication) -> None:
        super().__init__()
        from guivm.views.main_window import MainWindow
        from guivm.views.theme import Theme
        from tests.helpers.scenes import scenes

        store = QSettings(str(Path.home() / "settings.ini"), QSettings.Format.IniFormat)
        settings = Settings(store, app)
        self._theme = Theme(app, settings)
        self._settings = settings
        self._scenes = scenes(settings)  # which keeps the engine
        window = self._scenes["main-console"]()
        assert isinstance(window, MainWindow)
        self.window = self.main = window
        window.setWindowTitle("main-window")
        page = window.vm_page.deck.current_page
        assert page is not None
        assert page.console is not None
        source = page.console.source()
        assert isinstance(source, FakeSource)
        self._source = source
        self._key = page.vm.key
        page.features.preferences.set_clipboard(ClipboardPolicy.BOTH.value)
        self._told: list[object] = []
        self._watch = QTimer(self)  # of what has no signal: nothing but this test asks
        self._watch.timeout.connect(self._look)
        self._watch.start(10)

    def grant(self, wish: str) -> None:
        match wish.split(" ", 1):
            case ["full", on]:
                self.main.set_full_screen(on == "on")
            case ["screen", name]:
                self._settings.set(for_vm(FULL_SCREEN_MONITOR, self._key.uuid), name)
            case ["copy", text]:
                self._source.receive_clipboard(text)

    @Slot()
    def _look(self) -> None:
        window = self.window
        ratio = window.devicePixelRatioF()
        bar = self.window.findChild(QObject, "full-screen-bar")
        out = bool(bar is not None and bar.property("visible") and getattr(bar, "is_out", False))
        screen = window.screen().name()
        told: list[object] = [
            window.windowState() == Qt.WindowState.WindowFullScreen,
            round(window.width() * ratio), round(window.height() * ratio), screen, out,
        ]  # fmt: skip
        if told != self._told:
            self._told = told
            say("window", *told)
        for text in self._source.clipboards:
            say("clipboard", text)
        for code, symbol, pressed in self._source.keys:
            say("key", code, symbol, pressed)
        self._source.clipboards.clear()
        self._source.keys.clear()


def main() -> int:
    app = QApplication(["guivm"])
    QGuiApplication.setDesktopFileName("guivm")
    wishes: Wishes = ConsoleWishes() if sys.argv[1] == "console" else MainWishes(app)
    assert QTest.qWaitForWindowActive(wishes.window, 20_000)
    say("ready")
    code = app.exec()
    del wishes
    return code


if __name__ == "__main__":
    sys.exit(main())
