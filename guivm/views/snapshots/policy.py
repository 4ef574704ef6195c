"""Snapshots by a schedule: switched on and off, how often, how many are kept."""

from __future__ import annotations

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QSpinBox, QWidget

from guivm.engine.requests import ReadSnapshotPolicy, SetSnapshotPolicy
from guivm.engine.snapshots.values import SnapshotPolicy, SnapshotTree
from guivm.engine.types import VmInfo
from guivm.views.bridge import Bridge
from guivm.views.forms import Form, pad_spin
from guivm.views.snapshots.plan_dialog import PlanDialog
from guivm.views.snapshots.words import quoted
from guivm.views.theme import GRID

_WIDTH = 560
_HOURS_A_DAY = 24
# As the engine has them.
MAX_DAYS = 366
MAX_KEEP = 30
_PROPOSED = SnapshotPolicy(_HOURS_A_DAY, 7)


class PolicyDialog(PlanDialog):
    """Reads the schedule there is; what it would take up follows the form."""

    def __init__(
        self, bridge: Bridge, vm: VmInfo, tree: SnapshotTree | None = None, parent: QWidget | None = None
    ) -> None:
        title = self.tr("Scheduled Snapshots of {name}").format(name=quoted(vm.name))
        super().__init__(bridge, vm, tree, title, self.tr("&Save"), parent, name="snapshot-policy", width=_WIDTH)
        self._present: SnapshotPolicy | None = None
        self._read = False
        self._make_fields()
        form = Form(self.content)
        self.on_row = form.add_row(self.tr("Schedule"), self.on)
        form.add_row(self.tr("&Every"), self.interval).note.setFixedHeight(GRID)
        self.keep_row = form.add_row(self.tr("&Keep"), self.keep)
        self.keep_row.set_help(
            self.tr("Older ones that it took are deleted. Those that you take, rename or write notes to stay.")
        )
        self.body.addWidget(form)
        self.body.addWidget(self.plan_view)
        self.body.addStretch(1)
        self._fill(_PROPOSED)
        self._follow()
        self.on.toggled.connect(self._on_edited)
        self.every.valueChanged.connect(self._on_edited)
        self.unit.currentIndexChanged.connect(self._on_unit)
        self.keep.valueChanged.connect(self._on_edited)
        self.on.setFocus()
        self.begin()

    def _make_fields(self) -> None:
        self.on = QCheckBox(self.tr("&Take snapshots by itself while it runs"), self.content)
        self.on.setObjectName("policy-on")
        self.on.setAccessibleName(self.tr("Take snapshots by itself while it runs"))
        self.interval = QWidget(self.content)
        self.interval.setObjectName("policy-interval")
        self.every = QSpinBox(self.interval)
        self.every.setObjectName("policy-every")
        self.every.setAccessibleName(self.tr("How many hours or days lie between two snapshots"))
        self.unit = QComboBox(self.interval)
        self.unit.setObjectName("policy-unit")
        self.unit.setAccessibleName(self.tr("Hours or days"))
        self.unit.addItem(self.tr("hours"), 1)
        self.unit.addItem(self.tr("days"), _HOURS_A_DAY)
        self.interval.setFocusProxy(self.every)
        row = QHBoxLayout(self.interval)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(GRID)
        row.addWidget(self.every)
        row.addWidget(self.unit)
        row.addStretch(1)
        self.keep = QSpinBox(self.content)
        self.keep.setObjectName("policy-keep")
        self.keep.setRange(1, MAX_KEEP)
        for spin in (self.every, self.keep):
            pad_spin(spin)
            spin.setFixedWidth(14 * GRID)
            spin.setAccelerated(True)

    # --- the schedule there is ------------------------------------------------------------------------

    def begin(self) -> None:
        self.set_reason(self.tr("Finding out what would happen…"))
        self.bridge.submit(ReadSnapshotPolicy(self.vm.key), self, self._on_policy, self._on_problem)

    def _on_policy(self, policy: SnapshotPolicy | None) -> None:
        if not self._read:  # else it is read again after a failure, and what was edited stays
            self._read = True
            self._present = policy
            for field in (self.on, self.every, self.unit, self.keep):
                field.blockSignals(True)
            self.on.setChecked(policy is not None)
            self._fill(policy or _PROPOSED)
            for field in (self.on, self.every, self.unit, self.keep):
                field.blockSignals(False)
            self._follow()
        super().begin()

    def _fill(self, policy: SnapshotPolicy) -> None:
        by_days = policy.every_hours % _HOURS_A_DAY == 0
        self.unit.setCurrentIndex(int(by_days))
        self._set_range()
        self.every.setValue(policy.every_hours // _HOURS_A_DAY if by_days else policy.every_hours)
        self.keep.setValue(policy.keep)

    # --- what the form says ---------------------------------------------------------------------------

    def policy(self) -> SnapshotPolicy | None:
        """The form as it is; None: switched off."""
        if not self.on.isChecked():
            return None
        return SnapshotPolicy(self.every.value() * int(self.unit.currentData()), self.keep.value())

    def operation(self) -> SetSnapshotPolicy | None:
        return None if self.form_problem() else SetSnapshotPolicy(self.vm.key, self.policy())

    def form_problem(self) -> str:
        if self.policy() is None and self._present is None and self._read:
            return self.tr("No snapshots are taken by themselves now.")
        return ""

    @Slot()
    def _on_unit(self) -> None:
        self._set_range()
        self._on_edited()

    def _set_range(self) -> None:
        self.every.setRange(1, MAX_DAYS * _HOURS_A_DAY // int(self.unit.currentData()))

    @Slot()
    def _on_edited(self) -> None:
        self._follow()
        self.replan()

    def _follow(self) -> None:
        is_on = self.on.isChecked()
        self.on_row.set_help(
            self.tr("A timer of this computer takes them, whether this window is open or not.")
            if is_on
            else self.form_problem() or self.tr("No more are taken. Those that were taken stay.")
        )
        for field in (self.interval, self.keep):
            field.setEnabled(is_on)
        self.plan_view.setVisible(not self.form_problem())
        self.grow()
