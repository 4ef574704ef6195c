"""A dialog about an operation that is planned first: the plan follows the form, and a refusal disables the verb.

The dialog only says what is to be done (``decided``); whoever opened it does it.
"""

from __future__ import annotations

import functools

from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtWidgets import QWidget

from guivm.engine.requests import PlannedOperation, PlanOperation, ReadSnapshots
from guivm.engine.snapshots.values import OperationPlan, SnapshotTree
from guivm.engine.types import VmInfo
from guivm.errors import GuivmError
from guivm.views.bridge import Bridge
from guivm.views.dialogs.base import VerbDialog
from guivm.views.forms import plain_label
from guivm.views.snapshots.plan_view import PlanView

PLAN_DELAY_MS = 250


class PlanDialog(VerbDialog):
    """``decided`` carries the request. Subclasses give :meth:`operation` and call :meth:`replan` on every edit."""

    decided = Signal(object)

    def __init__(
        self,
        bridge: Bridge,
        vm: VmInfo,
        tree: SnapshotTree | None,
        title: str,
        verb: str,
        parent: QWidget | None,
        *,
        name: str,
        width: int,
        destructive: bool = False,
        scrolls: bool = False,
    ) -> None:
        """``tree``: what is known already; None: it is read."""
        super().__init__(title, verb, parent, name=name, width=width, destructive=destructive, scrolls=scrolls)
        self.bridge = bridge
        self.vm = vm
        self._scrolls = scrolls
        self.tree = tree
        self.plan_view = PlanView(self.content, says_refusal=not scrolls)
        self.plan_view.heightChanged.connect(self.grow)
        self._planned: PlannedOperation | None = None  # what the plan that is shown is for
        self._serial = 0
        self._wants = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(PLAN_DELAY_MS)
        self._timer.timeout.connect(self._ask)
        self.strip.retryRequested.connect(self._retry)

    def begin(self) -> None:
        """To be called when the form is made: reads what is not known, and plans."""
        self.set_reason(self.tr("Finding out what would happen…"))
        if self.tree is None:
            self.bridge.submit(ReadSnapshots(self.vm.key), self, self._on_tree, self._on_problem)
        else:
            self.tree_known(self.tree)
            self._ask()

    # --- for subclasses -------------------------------------------------------------------------------

    def tree_known(self, tree: SnapshotTree) -> None:
        """Fill in what depends on it."""

    def operation(self) -> PlannedOperation | None:
        """What the form says; None while it is not complete, with :meth:`form_problem` saying why."""
        raise NotImplementedError

    def form_problem(self) -> str:
        """Why the form is not complete; shown at its field already."""
        return ""

    @Slot()
    def replan(self) -> None:
        """The form was edited."""
        self._judge()
        self._timer.start()

    def add_heading(self, text: str) -> None:
        heading = plain_label(text, self.content, wrap=True)
        heading.setProperty("role", "heading")
        self.body.addWidget(heading)

    # --- planning -------------------------------------------------------------------------------------

    def _on_tree(self, tree: SnapshotTree) -> None:
        self.tree = tree
        self.tree_known(tree)
        self._ask()

    @Slot()
    def _ask(self) -> None:
        operation = self.operation() if self.tree is not None else None
        self._judge()
        if operation is None:
            return
        self._serial += 1
        self.bridge.submit(
            PlanOperation(self.vm.key, operation),
            self,
            functools.partial(self._on_plan, self._serial, operation),
            self._on_problem,
        )

    def _on_plan(self, serial: int, operation: PlannedOperation, plan: OperationPlan) -> None:
        if serial != self._serial:
            return
        self.strip.clear()
        first = self._planned is None
        self._planned = operation
        self.plan_view.show_plan(plan)
        self._judge()
        if first and self.primary.isEnabled() and self.primary.isDefault() and self.focusWidget() is self.cancel:
            # It went there only because the verb could not be pressed yet; Enter would cancel.
            self.primary.setFocus(Qt.FocusReason.OtherFocusReason)
        wants, self._wants = self._wants, False
        if wants and not self.reason:
            self.submit()

    def _on_problem(self, error: GuivmError) -> None:
        self._wants = False
        self.set_reason(self.tr("What would happen is not known."))
        self.strip.show_error(error, can_retry=True)
        self.grow()

    @Slot()
    def _retry(self) -> None:
        self.strip.clear()
        self.begin()

    def _judge(self) -> None:
        """Whether it can be done, by the form and the last plan."""
        plan = self.plan_view.plan
        problem = self.form_problem()
        if problem:
            self.set_reason(problem, shown=True)
        elif plan is None or self.tree is None:
            if not self.strip.isVisible():
                self.set_reason(self.tr("Finding out what would happen…"))
        else:
            # Where the form scrolls the plan may be out of sight: then it is said beside the button.
            refused = f"{plan.refused} {plan.advice}".strip() if self._scrolls else plan.refused
            self.set_reason(refused, shown=not self._scrolls)

    def submit(self) -> None:
        """Once the form as it is now has been planned."""
        operation = self.operation()
        if operation is None or self.reason:
            return
        if operation != self._planned:
            self._wants = True
            self._timer.stop()
            self._ask()
            return
        self.decided.emit(operation)
        self.accept()
