"""What is told of a clone whose guest still has the identity of its source, and what can be done. GUI thread."""

from __future__ import annotations

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QPushButton, QVBoxLayout, QWidget

from guivm.engine.requests import DismissIdentity, ResetIdentity
from guivm.engine.types import IdentityDue, IdentityState, VmInfo, VmKey
from guivm.errors import GuivmError
from guivm.views.bridge import Bridge
from guivm.views.vm_settings.banner import Banner, Mood


class IdentityNotice(QWidget):
    """Hidden while there is nothing to say. It stays until the identity is reset, or dismissed."""

    def __init__(self, bridge: Bridge, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("identity-notice")
        self._bridge = bridge
        self._key: VmKey | None = None
        self._due: IdentityDue | None = None
        self.banner = Banner("identity", self)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.banner)
        self.hide()

    def set_vm(self, vm: VmInfo) -> None:
        if (vm.key, vm.identity) == (self._key, self._due):
            return
        self._key, self._due = vm.key, vm.identity
        self._show()

    @Slot()
    def _show(self) -> None:
        due = self._due
        self.setVisible(due is not None)
        if due is None:
            self.banner.clear()
            return
        by_hand = self.tr("By hand: {steps}").format(steps=due.steps)
        match due.state:
            case IdentityState.WAITS:
                text = self.tr("Its guest gets an identity of its own when its agent answers first: let it start.")
                self.banner.tell(Mood.NEWS, text, by_hand, actions=[self._done()], closable=False)
            case IdentityState.RUNS:
                text = self.tr(
                    "Its Windows is being generalised by Sysprep, disconnected from its networks until that is done. "
                    "Let it run."
                )
                self.banner.tell(Mood.NEWS, text, closable=False)
            case IdentityState.FAILED:
                text = self.tr("Its guest still has the identity of its source. {why}").format(why=due.why).strip()
                retry = self._button("retry", self.tr("Try Again"))
                retry.clicked.connect(self._on_retry)
                self.banner.tell(Mood.CARE, text, by_hand, actions=[retry, self._done()], closable=False)

    def _done(self) -> QPushButton:
        button = self._button("done", self.tr("Mark as Done"))
        button.setToolTip(
            self.tr("It has an identity of its own, or needs none: connect its network cards and say no more")
        )
        button.clicked.connect(self._on_done)
        return button

    def _button(self, name: str, text: str) -> QPushButton:
        button = QPushButton(text, self.banner)
        button.setObjectName(f"identity-{name}")
        button.setAccessibleName(text)
        return button

    @Slot()
    def _on_retry(self) -> None:
        if self._key is not None:
            key = self._key
            text = self.tr("Its guest is being given an identity of its own…")
            self.banner.tell(Mood.NEWS, text, closable=False)
            self._bridge.submit(
                ResetIdentity(key), self, lambda _told: self._ended(key), lambda error: self._failed(key, error)
            )

    @Slot()
    def _on_done(self) -> None:
        if self._key is not None:
            key = self._key
            self._bridge.submit(
                DismissIdentity(key), self, lambda _none: self._ended(key), lambda error: self._failed(key, error)
            )

    def _ended(self, key: VmKey) -> None:
        if key == self._key:
            self._show()  # what is due comes with the VM

    def _failed(self, key: VmKey, error: GuivmError) -> None:
        if key != self._key:
            return
        self._show()
        if self._due is not None:
            details = "\n".join(part for part in (error.advice, error.details) if part)
            retry = self._button("retry", self.tr("Try Again"))
            retry.clicked.connect(self._on_retry)
            self.banner.tell(Mood.CARE, error.summary, details, actions=[retry, self._done()], closable=False)
