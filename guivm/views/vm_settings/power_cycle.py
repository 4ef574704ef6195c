"""Shut down, and start again when it is off: so that what waits for the next start comes into force. GUI thread.

Follows what the engine tells of the VM; nothing is asked again and again.
"""

from __future__ import annotations

import enum

from PySide6.QtCore import QObject, Signal, Slot

from guivm.engine.events import VmsChanged, VmsReset
from guivm.engine.requests import ShutDown, Start
from guivm.engine.types import VmInfo, VmKey, VmState
from guivm.errors import GuivmError
from guivm.views.bridge import Bridge


class Stage(enum.Enum):
    IDLE = "idle"
    SHUTTING_DOWN = "shutting-down"  # the guest was asked, and has the time it needs
    STARTING = "starting"


class PowerCycle(QObject):
    """One VM. ``finished`` carries whether it runs again; ``failed`` a GuivmError, after which nothing is under way."""

    stageChanged = Signal(object)  # Stage
    finished = Signal(bool)
    failed = Signal(object)  # GuivmError

    def __init__(self, bridge: Bridge, key: VmKey, parent: QObject) -> None:
        super().__init__(parent)
        self._bridge = bridge
        self._key = key
        self._stage = Stage.IDLE
        self._again = False
        bridge.vmsChanged.connect(self._on_vms)
        bridge.vmsReset.connect(self._on_reset)

    @property
    def stage(self) -> Stage:
        return self._stage

    def begin(self, *, start_again: bool) -> None:
        """Ask the guest to shut down. A VM that is off already is only started."""
        if self._stage is not Stage.IDLE:
            return
        self._again = start_again
        vm = self._bridge.engine.vm(self._key)
        if vm is not None and not vm.state.is_active and vm.state is not VmState.UNKNOWN:
            self._set(Stage.SHUTTING_DOWN)
            self._follow(vm)
            return
        self._set(Stage.SHUTTING_DOWN)
        self._bridge.submit(ShutDown(self._key), self, None, self._on_failed)

    @Slot()
    def cancel(self) -> None:
        """Stop waiting, and start nothing. A guest that was asked to shut down may still do so."""
        if self._stage is Stage.SHUTTING_DOWN:
            self._set(Stage.IDLE)

    @Slot(object)
    def _on_vms(self, event: VmsChanged) -> None:
        if event.host != self._key.host or self._stage is Stage.IDLE:
            return
        if self._key.uuid in event.removed:
            self._fail(GuivmError(self.tr("The virtual machine is gone.")))
        for vm in event.changed:
            if vm.key == self._key:
                self._follow(vm)

    @Slot(object)
    def _on_reset(self, event: VmsReset) -> None:
        for vm in event.vms:
            if vm.key == self._key:
                self._follow(vm)

    def _follow(self, vm: VmInfo) -> None:
        if self._stage is Stage.SHUTTING_DOWN:
            if vm.state is VmState.OFF and self._again:
                self._set(Stage.STARTING)
                self._bridge.submit(Start(self._key), self, None, self._on_failed)
            elif vm.state is VmState.OFF:
                self._end(runs=False)
            elif vm.state in (VmState.SAVED, VmState.CRASHED):
                self._fail(
                    GuivmError(
                        self.tr("The virtual machine did not shut down; it was saved, or it crashed."),
                        advice=self.tr("Start it yourself when it is as you want it."),
                    )
                )
        elif self._stage is Stage.STARTING and vm.state is VmState.RUNNING:
            self._end(runs=True)

    def _on_failed(self, error: GuivmError) -> None:
        if self._stage is not Stage.IDLE:
            self._fail(error)

    def _end(self, *, runs: bool) -> None:
        self._set(Stage.IDLE)
        self.finished.emit(runs)

    def _fail(self, error: GuivmError) -> None:
        self._set(Stage.IDLE)
        self.failed.emit(error)

    def _set(self, stage: Stage) -> None:
        self._stage = stage
        self.stageChanged.emit(stage)
