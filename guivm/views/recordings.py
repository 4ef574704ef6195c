"""Choosing a session recording, and the window that plays it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog, QWidget

from guivm.console.recording.layout import SUFFIX
from guivm.views.console_recordings import picture_dir
from guivm.views.settings import Settings

if TYPE_CHECKING:
    from guivm.views.player_window import PlayerWindow


def open_player(path: Path, settings: Settings, parent: QWidget | None = None) -> PlayerWindow:
    """The player with a recording, shown."""
    from guivm.views.player_window import PlayerWindow

    player = PlayerWindow(
        path,
        pictures_dir=picture_dir(settings),
        videos_dir=picture_dir(settings, moving=True),
        parent=parent,
    )
    player.setWindowFlag(Qt.WindowType.Window)
    player.show()
    return player


def choose_recording(settings: Settings, window: QWidget) -> None:
    """Ask for a file and play it."""
    folder = picture_dir(settings, moving=True)
    dialog = QFileDialog(window, window.tr("Play a Recording"), str(folder))
    dialog.setObjectName("choose-recording")
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
    dialog.setNameFilters([window.tr("Recordings (*{suffix})").format(suffix=SUFFIX), window.tr("All files (*)")])

    def play(chosen: str) -> None:
        open_player(Path(chosen), settings, window)

    dialog.fileSelected.connect(play)
    dialog.open()
