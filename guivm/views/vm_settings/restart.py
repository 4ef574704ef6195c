""" "Shut down and apply" and "Restart now": the question first, then the VM is followed in the banner. GUI thread."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal, Slot
from PySide6.QtWidgets import QPushButton, QWidget

from guivm.engine.types import VmInfo
from guivm.errors import GuivmError
from guivm.text import clean_line
from guivm.views.bridge import Bridge
from guivm.views.vm_settings.banner import Banner, Mood
from guivm.views.vm_settings.power_cycle import PowerCycle, Stage


class Restart(QObject):
    """``applyRequested``: store the edits first, for the next start; :meth:`on_applied` goes on from there."""

    applyRequested = Signal()
    failed = Signal(object)  # GuivmError

    def __init__(self, bridge: Bridge, vm: VmInfo, banner: Banner, window: QWidget) -> None:
        super().__init__(window)
        self._bridge = bridge
        self._name = clean_line(vm.name, 60)
        self._banner = banner
        self._window = window
        self._waits_for_apply = False
        self._applies_first = False
        self._start_again = False
        self.cycle = PowerCycle(bridge, vm.key, self)
        self.cycle.stageChanged.connect(self._on_stage)
        self.cycle.finished.connect(self._on_finished)
        self.cycle.failed.connect(self._on_failed)

    def ask(self, *, start_again: bool, applies_first: bool) -> None:
        """``applies_first``: there are edits that must be stored before."""
        from guivm.views.dialogs.confirm import ConfirmDialog

        self._start_again = start_again
        self._applies_first = applies_first
        if start_again:
            title = self.tr("Restart “{name}” now?")
            text = self.tr("Its guest is asked to shut down, and the machine is started again as soon as it is off.")
            verb = self.tr("&Restart")
        else:
            title = self.tr("Shut down “{name}”?")
            text = self.tr("Its guest is asked to shut down. The changes are in force when it is started again.")
            verb = self.tr("&Shut down")
        if applies_first:
            text += " " + self.tr("What is not applied yet is stored first.")
        question = ConfirmDialog(title.format(name=self._name), text, verb, self._window, destructive=False)
        question.accepted.connect(self._on_accepted)
        question.open()

    @Slot()
    def forget(self) -> None:
        """What was to be stored first was not."""
        self._waits_for_apply = False

    def on_applied(self) -> None:
        """The edits are in the definition."""
        if self._waits_for_apply:
            self._waits_for_apply = False
            self.cycle.begin(start_again=self._start_again)

    def outlive(self, owner: QObject | None) -> None:
        """The window closes: a VM that is to start again is still followed, by ``owner``."""
        cycle = self.cycle
        if cycle.stage is Stage.IDLE or owner is None:
            return
        for signal, slot in (
            (cycle.stageChanged, self._on_stage),
            (cycle.finished, self._on_finished),
            (cycle.failed, self._on_failed),
        ):
            signal.disconnect(slot)
        cycle.setParent(owner)
        cycle.failed.connect(self._bridge.failed)
        cycle.failed.connect(cycle.deleteLater)
        cycle.finished.connect(cycle.deleteLater)

    @Slot()
    def _on_accepted(self) -> None:
        if self._applies_first:
            self._waits_for_apply = True
            self.applyRequested.emit()
        else:
            self.cycle.begin(start_again=self._start_again)

    @Slot(object)
    def _on_stage(self, stage: Stage) -> None:
        if stage is Stage.SHUTTING_DOWN:
            stop = QPushButton(self.tr("Do not start again") if self._start_again else self.tr("Stop waiting"))
            stop.setObjectName("banner-stop")
            stop.setAccessibleName(stop.text())
            stop.clicked.connect(self.cycle.cancel)
            text = self.tr("Waiting until the guest has shut down. A guest may take a while, or ask its user first.")
            self._banner.tell(Mood.NEWS, text, actions=[stop], closable=False)
        elif stage is Stage.STARTING:
            self._banner.tell(Mood.NEWS, self.tr("Starting…"), closable=False)
        else:
            self._banner.clear()

    @Slot(bool)
    def _on_finished(self, runs: bool) -> None:
        text = (
            self.tr("Restarted: everything is in force.")
            if runs
            else self.tr("It is off. The changes are in force at the next start.")
        )
        self._banner.tell(Mood.DONE, text)

    @Slot(object)
    def _on_failed(self, error: GuivmError) -> None:
        self._banner.clear()
        self.failed.emit(error)
