"""Loads what the pages of the settings need before anybody opens them, while the window rests. GUI thread."""

from __future__ import annotations

import importlib

from PySide6.QtCore import QObject, QTimer, Slot

from guivm.views.vm_settings.registry import editor_modules

_REST_MS = 150
"""From the first form on: it is painted by then."""
_BETWEEN_MS = 10
"""From one module to the next, a few milliseconds each: a key or a click comes in between."""

_PAGES = ("changes_page", "xml_page", "help_page")


class Preloader(QObject):
    """Once started it loads one module after the other; it goes with its parent, done or not."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._waiting = [*editor_modules(), *_PAGES]
        self._timer = QTimer(self)
        self._timer.setInterval(_REST_MS)
        self._timer.timeout.connect(self._load)

    def start(self) -> None:
        self._timer.start()

    @Slot()
    def _load(self) -> None:
        self._timer.setInterval(_BETWEEN_MS)
        if self._waiting:
            importlib.import_module(f"guivm.views.vm_settings.{self._waiting.pop(0)}")
        else:
            self._timer.stop()
