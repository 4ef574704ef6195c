"""Composition root: the only place where engine, bridge, settings and windows meet. No globals.

Stop order: windows (and with them the consoles), then jobs, then connections. VMs go on running.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from types import FrameType, TracebackType
from typing import TYPE_CHECKING

from guivm import __version__, paths, startup
from guivm.engine.engine import LibvirtEngine
from guivm.engine.hosts import default_uri
from guivm.errors import GuivmError

if TYPE_CHECKING:
    from pathlib import Path

    from PySide6.QtCore import QSettings, QSocketNotifier
    from PySide6.QtWidgets import QApplication

    from guivm.engine.api import Engine
    from guivm.views.bridge import Bridge
    from guivm.views.main_window import MainWindow
    from guivm.views.settings import Settings

log = logging.getLogger(__name__)

_STOP_TIMEOUT_S = 3.0
# By then the first list is there, unless the host is slow. Errors before that go to stderr only.
_SETTLE_MS = 500


class Application:
    """One run of the window. GUI thread.

    The engine begins to connect before Qt is even imported, so that the list is there when the window is.
    """

    def __init__(self, uris: Sequence[str] = (), *, engine: Engine | None = None, argv: Sequence[str] = ()) -> None:
        self.engine: Engine = engine if engine is not None else LibvirtEngine()
        for uri in uris or [default_uri()]:
            self.engine.open_host(uri)

        startup.spare_pyside()
        from guivm.views.bridge import Bridge
        from guivm.views.garbage import GarbageCollector
        from guivm.views.settings import EXTRA_HOSTS, Settings
        from guivm.views.theme import Theme

        self.qt = _qt_application(argv)
        self.settings: Settings = Settings(_settings_store(), self.qt)
        self.theme = Theme(self.qt, self.settings)
        self._garbage = GarbageCollector(self.qt)
        self.bridge: Bridge = Bridge(self.engine, self.qt)
        if not uris:
            for line in self.settings.get(EXTRA_HOSTS):
                uri, _, label = line.partition("\n")
                self.engine.open_host(uri, label)
        self._hooks = _Hooks(self.bridge, self.qt, self._end)
        self._window: MainWindow | None = None

    @property
    def window(self) -> MainWindow:
        """The main window, made on first use."""
        if self._window is None:
            from guivm.views.main_window import MainWindow

            self._window = MainWindow(self.bridge, self.settings)
        return self._window

    def run(self) -> int:
        """Show the window and stay until it is closed; answers the exit code."""
        self.window.show()
        return self._loop()

    def run_console(self, vm: str) -> int:
        """Show only the console of a VM (name or UUID) and stay until it is closed.

        Raises GuivmError when there is no such VM or its host cannot be reached.
        """
        from guivm.views.console_only import ConsoleOnly

        only = ConsoleOnly(self.bridge, self.settings, vm)
        code = self._loop()
        if only.error is not None:
            raise only.error
        return code

    def stop(self) -> None:
        """End everything of ours, within a few seconds even when a host hangs."""
        self._hooks.remove()
        self.bridge.close()
        self.settings.sync()
        self.engine.stop(_STOP_TIMEOUT_S)
        self._garbage.stop()

    def _end(self) -> None:
        """SIGINT or SIGTERM: nobody is there to answer a question."""
        if self._window is not None:
            self._window.close_at_once()
        self.qt.exit(0)

    def _loop(self) -> int:
        from PySide6.QtCore import QTimer

        QTimer.singleShot(_SETTLE_MS, self.qt, _settle)
        try:
            return self.qt.exec()
        finally:
            self.stop()


def run_window(uris: Sequence[str]) -> int:
    """``guivm`` without a verb; :func:`guivm.startup.hurry` was called."""
    return Application(uris).run()


def run_console(uris: Sequence[str], vm: str) -> int:
    """``guivm console VM``; raises GuivmError when it cannot be shown."""
    return Application(uris).run_console(vm)


def run_player(path: Path) -> int:
    """``guivm play FILE``: a session recording in its window, without any engine."""
    from guivm.views.garbage import GarbageCollector
    from guivm.views.recordings import open_player
    from guivm.views.settings import Settings
    from guivm.views.theme import Theme

    qt = _qt_application(())
    settings: Settings = Settings(_settings_store(), qt)
    theme = Theme(qt, settings)
    garbage = GarbageCollector(qt)
    player = open_player(path, settings)
    old = {number: signal.signal(number, signal.SIG_DFL) for number in _SIGNALS}
    try:
        return qt.exec()
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
        settings.sync()
        garbage.stop()
        del player, theme


def _qt_application(argv: Sequence[str]) -> QApplication:
    from PySide6.QtWidgets import QApplication

    existing = QApplication.instance()
    app = existing if isinstance(existing, QApplication) else QApplication(["guivm", *argv])
    app.setApplicationName("guivm")
    app.setApplicationDisplayName("guivm")
    app.setApplicationVersion(__version__)
    app.setDesktopFileName("guivm")
    return app


def _settings_store() -> QSettings:
    from PySide6.QtCore import QSettings

    return QSettings(str(paths.config_dir() / "settings.ini"), QSettings.Format.IniFormat)


def _settle() -> None:
    startup.settle()
    _start_log()


def _start_log() -> None:
    from logging.handlers import RotatingFileHandler

    handler = RotatingFileHandler(
        paths.log_dir() / "guivm.log", maxBytes=1_000_000, backupCount=2, delay=True, encoding="utf-8"
    )
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(threadName)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)


class _Hooks:
    """Errors nobody caught go to the log and the message bar; SIGINT and SIGTERM close the windows."""

    def __init__(self, bridge: Bridge, qt: QApplication, end: Callable[[], None]) -> None:
        from PySide6.QtCore import QSocketNotifier

        self._bridge = bridge
        self._end = end
        self._old_excepthook = sys.excepthook
        self._old_thread_hook = threading.excepthook
        sys.excepthook = self._on_exception
        threading.excepthook = self._on_thread_exception
        # Python runs a signal's handler only between byte codes: the wake-up pipe rouses Qt's loop for it.
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._old_fd = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        self._old_handlers = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
        self._notifier: QSocketNotifier = QSocketNotifier(self._read, QSocketNotifier.Type.Read, qt)
        self._notifier.activated.connect(self._drain)

    def remove(self) -> None:
        sys.excepthook = self._old_excepthook
        threading.excepthook = self._old_thread_hook
        for number, handler in self._old_handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._old_fd)
        self._notifier.setEnabled(False)
        self._notifier.deleteLater()
        os.close(self._read)
        os.close(self._write)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._end()

    def _drain(self) -> None:
        try:
            os.read(self._read, 64)
        except BlockingIOError:
            return

    def _on_exception(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        import traceback

        self._report("".join(traceback.format_exception(kind, error, trace)))

    def _on_thread_exception(self, args: threading.ExceptHookArgs) -> None:
        import traceback

        error = args.exc_value or args.exc_type()
        self._report("".join(traceback.format_exception(args.exc_type, error, args.exc_traceback)))

    def _report(self, text: str) -> None:
        log.error("Unexpected error\n%s", text)
        sys.stderr.write(text)
        self._bridge.report(
            GuivmError(
                "Something went wrong inside guivm.",
                advice="Your virtual machines go on running; the details help to report the problem.",
                details=text,
            )
        )


_SIGNALS = (signal.SIGINT, signal.SIGTERM)
