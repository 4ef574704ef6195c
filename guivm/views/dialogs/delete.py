"""Delete a VM: every file it uses is listed, none goes unless it is ticked, and all can be undone."""

from __future__ import annotations

import os

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QCheckBox, QFrame, QGridLayout, QScrollArea, QVBoxLayout, QWidget

from guivm.engine.job_types import DeletedVm, DeletePlan, DiskFate
from guivm.engine.requests import Delete, PlanDelete
from guivm.engine.types import VmInfo
from guivm.errors import CancelledError, GuivmError
from guivm.text import clean_line
from guivm.views import formats
from guivm.views.bridge import Bridge
from guivm.views.dialogs.base import JobDialog
from guivm.views.forms import ElidedLabel, NoteLine, Tone, ToneLabel, plain_label
from guivm.views.theme import GRID

_WIDTH = 560
_SHOWN = 60
_LIST_HEIGHT = 40 * GRID


class _FileRow(QWidget):
    """One file: a box to tick, its name and folder, its size, or the reason why it must stay."""

    toggled = Signal()

    def __init__(self, fate: DiskFate, index: int, parent: QWidget) -> None:
        super().__init__(parent)
        self.fate = fate
        folder, name = os.path.split(fate.path)
        self.box = QCheckBox(self)
        self.box.setObjectName(f"file-{index}")
        self.box.setAccessibleName(self.tr("Delete the file {path}").format(path=clean_line(fate.path, 1000)))
        self.box.setAccessibleDescription(fate.reason)
        self.box.setEnabled(fate.deletable)
        self.box.toggled.connect(self.toggled)
        self.name = ElidedLabel(name or fate.path, self)
        self.name.setEnabled(fate.deletable)
        size = plain_label(formats.size(fate.size_bytes), self)
        size.setEnabled(fate.deletable)
        where = ElidedLabel(folder, self)
        where.set_quiet()
        layout = QGridLayout(self)
        layout.setContentsMargins(GRID + 4, GRID, GRID + 4, GRID)
        layout.setHorizontalSpacing(GRID)
        layout.setVerticalSpacing(2)
        layout.setColumnStretch(1, 1)
        layout.addWidget(self.box, 0, 0)
        layout.addWidget(self.name, 0, 1)
        layout.addWidget(size, 0, 2)
        layout.addWidget(where, 1, 1, 1, 2)
        if fate.reason:
            reason = ToneLabel(clean_line(fate.reason, 300), self)
            reason.setObjectName(f"file-{index}-reason")
            layout.addWidget(reason, 2, 1, 1, 2)


class DeleteDialog(JobDialog):
    """``deleted`` carries the DeletedVm, even when the dialog was closed while the deletion ran."""

    deleted = Signal(object)  # DeletedVm

    def __init__(self, bridge: Bridge, vm: VmInfo, parent: QWidget | None = None) -> None:
        name = clean_line(vm.name, _SHOWN)
        super().__init__(
            bridge,
            self.tr("Delete “{name}”").format(name=name),
            self.tr("&Delete VM"),
            parent,
            name="delete",
            width=_WIDTH,
            destructive=True,
        )
        self._vm = vm
        self._plan: DeletePlan | None = None
        self._rows: list[_FileRow] = []
        self.body.setSpacing(GRID)
        heading = plain_label(self.tr("Delete “{name}”?").format(name=name), self.content, wrap=True)
        heading.setProperty("role", "heading")
        self.text = plain_label("", self.content, wrap=True)
        self.text.hide()
        self.warning = NoteLine("", self.content)
        self.warning.setObjectName("saved-state-warning")
        self.warning.hide()
        self._files = QWidget(self.content)
        self._files.setProperty("clear", True)
        self._files_layout = QVBoxLayout(self._files)
        self._files_layout.setContentsMargins(0, 0, 0, 0)
        self._files_layout.setSpacing(0)
        self._frame = QFrame(self.content)
        self._frame.setProperty("card", True)
        area = QScrollArea(self._frame)
        area.setObjectName("files-scroll")
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setWidgetResizable(True)
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(self._files)
        self._area = area
        frame_layout = QVBoxLayout(self._frame)
        frame_layout.setContentsMargins(1, 1, 1, 1)
        frame_layout.addWidget(area)
        self._frame.hide()
        undo = ToneLabel(self.tr("You can undo this: the VM and its deleted files are kept aside."), self.content)
        undo.setObjectName("undo-note")
        for widget in (heading, self.text, self.warning, self._frame, undo):
            self.body.addWidget(widget)
        self.body.addStretch(1)
        self.strip.retryRequested.connect(self._read_plan)
        self._read_plan()

    @property
    def chosen(self) -> tuple[str, ...]:
        """Paths of the ticked files, exactly as in the plan."""
        return tuple(row.fate.path for row in self._rows if row.fate.deletable and row.box.isChecked())

    def submit(self) -> None:
        if not self.busy and self._plan is not None:
            self.run(Delete(self._vm.key, self.chosen), self.tr("Deleting…"), self._on_deleted)

    def _on_deleted(self, receipt: DeletedVm) -> None:
        self.deleted.emit(receipt)
        if not self.closed:
            self.accept()

    # --- plan -----------------------------------------------------------------------------------------

    @Slot()
    def _read_plan(self) -> None:
        self.strip.clear()
        self.set_reason(self.tr("Looking for the files of this VM…"))
        self.bridge.submit(PlanDelete(self._vm.key), self, self._on_plan, self._on_no_plan)

    def _on_no_plan(self, error: GuivmError) -> None:
        self.set_reason(self.tr("The files of this VM are not known."))
        if not isinstance(error, CancelledError):
            self.strip.show_error(error, can_retry=True)
            self.grow()

    def _on_plan(self, plan: DeletePlan) -> None:
        self._plan = plan
        for index, fate in enumerate(plan.files):
            row = _FileRow(fate, index, self._files)
            row.toggled.connect(self._follow)
            self._files_layout.addWidget(row)
            self._rows.append(row)
        self._files_layout.addStretch(1)
        self._frame.setVisible(bool(plan.files))
        wanted = max(self._files_layout.totalHeightForWidth(_WIDTH - 6 * GRID - 2), self._files.sizeHint().height())
        self._frame.setFixedHeight(min(_LIST_HEIGHT, wanted + 4))
        if plan.loses_saved_state:
            self.warning.set_problem(
                self.tr("Its saved state is lost: what ran in it when it was saved cannot be continued."), Tone.WARNING
            )
            self.warning.show()
        self.set_reason("")
        self._follow()
        self.grow()

    @Slot()
    def _follow(self) -> None:
        count = len(self.chosen)
        if count == 0:
            verb = self.tr("&Delete VM")
        elif count == 1:
            verb = self.tr("&Delete VM and 1 file")
        else:
            verb = self.tr("&Delete VM and {count} files").format(count=count)
        self.primary.setText(verb)
        self.primary.setAccessibleName(self.primary.text().replace("&", ""))
        self.text.show()
        if not self._rows:
            self.text.setText(self.tr("It is removed from the list. It uses no files."))
        else:
            self.text.setText(
                self.tr("It is removed from the list. Its files stay where they are, except those you tick here.")
            )
