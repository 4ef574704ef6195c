"""What the main window remembers from one run to the next: place, proportions, columns, selection, page."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtWidgets import QMainWindow, QSplitter

from guivm.engine.types import HostId, VmInfo, VmKey
from guivm.views.pages import Pages
from guivm.views.settings import GEOMETRY, LIST_HEADER, PAGE, SELECTION, SPLITTER, WINDOW_STATE, Settings
from guivm.views.vm_list import VmListPane


class WindowMemory:
    """``columns`` divides list and page, ``rows`` those from the jobs."""

    def __init__(
        self,
        window: QMainWindow,
        columns: QSplitter,
        rows: QSplitter,
        vms: VmListPane,
        pages: Pages,
        settings: Settings,
    ) -> None:
        self._window = window
        self._columns = columns
        self._rows = rows
        self._list = vms
        self._pages = pages
        self._settings = settings

    def restore(self) -> None:
        settings = self._settings
        geometry, rows, columns = settings.get(GEOMETRY), settings.get(WINDOW_STATE), settings.get(SPLITTER)
        if not geometry.isEmpty():
            self._window.restoreGeometry(geometry)
        if not rows.isEmpty():
            self._rows.restoreState(rows)
        if not columns.isEmpty():
            self._columns.restoreState(columns)
        self._list.restore_header(settings.get(LIST_HEADER))

    def keep(self, selected: Sequence[VmInfo], *, still_waiting: bool) -> None:
        """``still_waiting``: the VM remembered last time has not appeared yet and stays remembered."""
        settings = self._settings
        if not self._window.isFullScreen():
            settings.set(GEOMETRY, self._window.saveGeometry())
        settings.set(WINDOW_STATE, self._rows.saveState())
        settings.set(SPLITTER, self._columns.saveState())
        settings.set(LIST_HEADER, self._list.header_state())
        settings.set(PAGE, self._pages.vm_tab)
        if selected:
            settings.set(SELECTION, f"{selected[0].key.host}\n{selected[0].key.uuid}")
        elif not still_waiting:
            settings.set(SELECTION, "")


def remembered_selection(settings: Settings) -> VmKey | None:
    host, _, uuid = settings.get(SELECTION).partition("\n")
    return VmKey(HostId(host), uuid) if host and uuid else None
