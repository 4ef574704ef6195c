"""The guest's several screens as several windows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, Slot
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import QMainWindow, QWidget

from guivm.console.faces import ConsoleFace
from guivm.console.head_source import HeadSource
from guivm.console.widget import ConsoleWidget
from guivm.views.settings import HOST_KEY, Settings
from guivm.views.theme import GRID

if TYPE_CHECKING:
    from guivm.console.frame import Rect
    from guivm.console.source import DisplaySource


class HeadWindow(QMainWindow):
    """One of a guest's screens. GUI thread."""

    def __init__(self, index: int, settings: Settings, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName(f"head-window-{index}")
        self.setWindowFlag(Qt.WindowType.Window)
        self.index = index
        self.source: HeadSource | None = None
        self.console = ConsoleWidget(self)
        self.console.set_host_key(settings.get(HOST_KEY))
        self.console.hostCommand.connect(self._on_host_command)
        self.setCentralWidget(self.console)
        self.resize(100 * GRID, 75 * GRID)

    def set_name(self, vm_name: str) -> None:
        self.setWindowTitle(self.tr("{name}, screen {n}").format(name=vm_name, n=self.index + 1))
        self.setAccessibleName(self.windowTitle())

    def set_source(self, whole: DisplaySource | None) -> None:
        """Show the screen of another display, or of none while there is none."""
        self.source = HeadSource(whole, self.index) if whole is not None else None
        self.console.set_source(self.source)
        self.console.set_face(ConsoleFace.LIVE if self.source is not None else ConsoleFace.RECONNECTING)
        if self.source is not None:
            self.source.open()

    @Slot(str)
    def _on_host_command(self, key: str) -> None:
        if key.upper() == "F":
            if self.isFullScreen():
                self.showNormal()
            else:
                self.showFullScreen()

    def closeEvent(self, event: QCloseEvent) -> None:
        self.set_source(None)
        super().closeEvent(event)


class ConsoleHeads(QObject):
    """The windows of one console's screens. Its own widget goes on showing all of them side by side. GUI thread."""

    def __init__(self, console: ConsoleWidget, settings: Settings, parent: QObject) -> None:
        super().__init__(parent)
        self._settings = settings
        self._source: DisplaySource | None = console.source()
        self._windows: dict[int, HeadWindow] = {}
        console.damageShown.connect(self._on_damage)

    @property
    def windows(self) -> tuple[HeadWindow, ...]:
        """Those that are open."""
        return tuple(window for window in self._windows.values() if window.isVisible())

    def open(self, vm_name: str, parent: QWidget) -> int:
        """Show a window for every screen; answers how many there are, and opens none where there is only one."""
        heads = self._source.heads if self._source is not None else ()
        if len(heads) < 2:
            return len(heads)
        for index in range(len(heads)):
            window = self._windows.get(index)
            if window is None:
                window = self._windows[index] = HeadWindow(index, self._settings, parent)
            window.set_name(vm_name)
            if window.isVisible():
                window.raise_()
            else:
                window.set_source(self._source)
                window.show()
        return len(heads)

    def follow(self, source: DisplaySource | None) -> None:
        """The console shows another source, or none."""
        self._source = source
        for window in self.windows:
            window.set_source(source)

    def close(self) -> None:
        for window in self._windows.values():
            window.close()
            window.deleteLater()
        self._windows.clear()

    @Slot(object)
    def _on_damage(self, damage: list[Rect]) -> None:
        for window in self.windows:
            if window.source is not None:
                window.source.add_damage(damage)
