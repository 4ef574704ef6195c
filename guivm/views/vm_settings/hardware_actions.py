"""Add, duplicate and remove devices of the draft. GUI thread."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, Signal, Slot
from PySide6.QtWidgets import QWidget

from guivm.errors import GuivmError
from guivm.views.vm_settings.banner import Mood
from guivm.views.vm_settings.draft import Draft, Part
from guivm.views.vm_settings.frame import SettingsFrame
from guivm.views.vm_settings.part_list import part_title


class HardwareActions(QObject):
    """``placeRequested`` carries the place of what is new. ``draft`` is None until it has been read."""

    placeRequested = Signal(object)  # Place

    def __init__(self, frame: SettingsFrame, current: Callable[[], Part | None], window: QWidget) -> None:
        super().__init__(window)
        self._current = current
        self._frame = frame
        self._window = window
        self.draft: Draft | None = None

    @Slot()
    def add(self) -> None:
        if self.draft is None:
            return
        from guivm.views.vm_settings.add_hardware import AddHardwareDialog

        dialog = AddHardwareDialog(self.draft, self._window)
        dialog.added.connect(self.placeRequested)
        dialog.open()

    @Slot()
    def duplicate(self) -> None:
        """The twin of the device in sight is shown; what it has not got from the first is said."""
        part = self._current()
        if self.draft is None or part is None:
            return
        from guivm.views.vm_settings.duplicating import duplicate, duplicate_note

        try:
            twin = duplicate(self.draft, part)
        except (GuivmError, ValueError) as error:
            self._show(error)
            return
        self.placeRequested.emit(twin.place())
        self._frame.banner.tell(Mood.NEWS, duplicate_note(twin))

    @Slot()
    def remove(self) -> None:
        """The device in sight goes out of the draft; the VM keeps it until Apply."""
        part = self._current()
        if self.draft is None or part is None:
            return
        title = part_title(part)
        try:
            self.draft.remove(part)
        except (GuivmError, ValueError) as error:
            self._show(error)
            return
        words = self.tr("“{part}” is removed when you apply. Files and devices of the host stay.")
        self._frame.banner.tell(Mood.NEWS, words.format(part=title))

    def _show(self, error: GuivmError | ValueError) -> None:
        self._frame.strip.show_error(error if isinstance(error, GuivmError) else GuivmError(str(error)))
