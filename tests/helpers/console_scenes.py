"""Scenes of the console and what belongs to it; see tests.helpers.scenes, which calls these."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QMenu, QWidget

from guivm.console.frame import ClipboardPolicy, KeyboardLeds, SourceSecurity
from guivm.console.picture.region_picker import RegionPicker
from guivm.console.rfb.errors import CredentialNeed, RfbAuthError
from guivm.console.terminal.widget import TerminalWidget
from guivm.views.main_window import MainWindow
from guivm.views.settings import KEY_COMBOS, Settings
from guivm.views.theme import GRID
from tests.helpers.serial_lines import SerialLines

if TYPE_CHECKING:
    from guivm.views.console_page import ConsolePage
    from tests.helpers.fake_engine import FakeEngine
    from tests.helpers.fake_source import FakeSource


_SERIAL = (
    "\r\nDebian GNU/Linux 12 web ttyS0\r\n\r\nweb login: \x1b[1muser\x1b[0m\r\n"
    "\x1b[32muser@web\x1b[0m:\x1b[34m~\x1b[0m$ systemctl --failed\r\n"
    "  UNIT \x1b[4mLOAD ACTIVE SUB DESCRIPTION\x1b[0m\r\n\x1b[1;32m0 loaded units listed.\x1b[0m\r\n"
    "\x1b[32muser@web\x1b[0m:\x1b[34m~\x1b[0m$ uptime\r\n"
    " 14:02:11 up 12 days,  3:41,  1 user,  load average: 0.08, 0.03, 0.01\r\n"
    "\x1b[32muser@web\x1b[0m:\x1b[34m~\x1b[0m$ "
)


class ConsoleScenes:
    """``console``: shows a VM's console with a picture; ``source``: the one it shows; ``settle``: waits."""

    def __init__(
        self,
        settings: Settings,
        console: Callable[[str], MainWindow],
        source: Callable[[], FakeSource],
        engine: Callable[[], FakeEngine],
        settle: Callable[[], None],
        wait_for: Callable[[Callable[[], bool]], None],
    ) -> None:
        self._settings = settings
        self._console = console
        self._source = source
        self._engine = engine
        self._kept: list[object] = []  # or Python would delete them too early
        self._settle = settle
        self._wait_for = wait_for

    def all(self) -> dict[str, Callable[[], QWidget]]:
        return {
            "console-status": self.status,
            "console-password": self.password,
            "console-full-screen": self.full_screen,
            "console-menu": self.menu,
            "console-view-only": self.view_only,
            "type-text": self.type_text,
            "key-combos": self.key_combos,
            "player": self.player,
            "copy-text": self.copy_text,
            "run-script": self.run_script,
            "serial": self.serial,
        }

    def _page(self, window: MainWindow) -> ConsolePage:
        page = window.vm_page.deck.current_page
        assert page is not None
        return page

    def status(self) -> QWidget:
        window = self._console("web")
        page = self._page(window)
        page.features.preferences.set_clipboard(ClipboardPolicy.BOTH.value)
        source = self._source()
        source.ledsChanged.emit(KeyboardLeds.CAPS_LOCK)
        source.securityChanged.emit(SourceSecurity.PLAIN)
        page.features.status.set_recording("record-session")
        self._settle()
        return window

    def password(self) -> QWidget:
        window = self._console("web")
        self._source().fail(
            RfbAuthError(
                "a password is needed",
                advice="The password was not right. Try again.",
                needs=CredentialNeed.USER_AND_PASSWORD,
                was_refused=True,
            )
        )
        self._settle()
        return window

    def full_screen(self) -> QWidget:
        window = self._console("web")
        window.set_full_screen(True)
        self._settle()
        return window

    def menu(self) -> QWidget:
        window = self._console("web")
        menu = next(menu for menu in window.menuBar().findChildren(QMenu) if menu.objectName() == "menu-console")
        menu.popup(window.mapToGlobal(QPoint(15 * GRID, 5 * GRID)))
        self._settle()
        return menu

    def view_only(self) -> QWidget:
        window = self._console("web")
        window.run_action("view-only")
        self._settle()
        return window

    def type_text(self) -> QWidget:
        from guivm.views.dialogs.type_text import TypeTextDialog

        text = 'ssh-keygen -t ed25519\necho "größer → ½ €"\nuptime\n'
        dialog = TypeTextDialog("web", lambda *_: None, self._console("web"), text=text, layout="us")
        dialog.open()
        self._settle()
        return dialog

    def key_combos(self) -> QWidget:
        from guivm.views.dialogs.key_combos import KeyCombosDialog

        window = self._console("web")
        self._settings.set(KEY_COMBOS, ["Ctrl+Alt+F2 = Second console", "Super+R"])
        dialog = KeyCombosDialog(self._settings.get(KEY_COMBOS), window)
        dialog.open()
        self._settle()
        return dialog

    def copy_text(self) -> QWidget:
        window = self._console("web")
        window.run_action("copy-text")
        self._settle()
        picker = window.findChild(RegionPicker)
        assert picker is not None
        start, end = QPoint(60, 40), QPoint(520, 170)
        QTest.mousePress(picker, Qt.MouseButton.LeftButton, pos=start)
        QTest.mouseMove(picker, end)
        self._settle()
        return window

    def run_script(self) -> QWidget:
        from guivm.views.dialogs.run_script import RunScriptDialog

        window = self._console("web")
        script = Path(mkdtemp(prefix="guivm-shots-")) / "install.guivm"
        script.write_text(
            '# Answers the installer\'s first questions.\nwait-text "Choose language" timeout 60\nkey enter\n'
            "wait-still 2\ntypeline web\nkey tab\nkey enter\ncapture installed.png\n"
        )
        page = self._page(window)
        dialog = RunScriptDialog(page._bridge, page.vm, window)
        dialog.show()
        dialog.file.set_path(script)
        self._wait_for(lambda: dialog.statements.topLevelItemCount() > 0)
        return dialog

    def serial(self) -> QWidget:
        window = self._console("web")
        lines = SerialLines(self._engine())
        self._kept.append(lines)
        window.show_page("serial")
        self._wait_for(lambda: bool(lines.guests))
        lines.guest.sendall(_SERIAL.encode())
        page = window.vm_page.serial.current_page
        assert page is not None
        terminal = page.findChild(TerminalWidget)
        assert terminal is not None
        self._wait_for(lambda: terminal.terminal.cursor.row >= 9)
        return window

    def player(self) -> QWidget:
        from guivm.console.recording.format import Chunk, RecordingHeader, write_recording
        from guivm.views.player_window import PlayerWindow
        from tests.helpers.rfb_server import raw, server_init, update
        from tests.helpers.scenes import guest_pixels

        pixels = guest_pixels()
        height, width = pixels.shape[:2]
        directory = Path(mkdtemp(prefix="guivm-shots-"))
        path = directory / "web 2026-03-14 14.02.11.guivm-rec"
        chunks = [Chunk(0, server_init(width, height)), Chunk(1000, update(raw(0, 0, pixels)))]
        chunks += [Chunk(second * 1_000_000, update(raw(0, 0, pixels[:40]))) for second in range(1, 90)]
        header = RecordingHeader(width, height, "web", datetime(2026, 3, 14, 14, 2, 11, tzinfo=UTC))
        write_recording(path, header, [chunks])
        player = PlayerWindow(path, pictures_dir=directory, videos_dir=directory)
        self._kept.append(player)
        player.resize(980, 700)
        player.show()
        self._wait_for(lambda: not player.console.current_image().isNull())
        player.seek(31_000_000)
        self._wait_for(lambda: player.source.position_us >= 31_000_000)
        QApplication.setActiveWindow(player)
        return player
