"""BIOS, UEFI or UEFI with Secure Boot; and UEFI's variables as new. GUI thread."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from guivm.engine.options.firmware import SECURE, UEFI, firmware_items, get_firmware
from guivm.engine.options.option import Option, Value
from guivm.views.dialogs.confirm import ConfirmDialog
from guivm.views.theme import GRID
from guivm.views.vm_settings.draft import Draft, Part
from guivm.views.vm_settings.editors import small_button, translated
from guivm.views.vm_settings.pieces import ItemBox, quiet_label
from guivm.views.vm_settings.registry import CustomEditor


class FirmwareEditor(CustomEditor):
    is_wide = False

    def __init__(self, draft: Draft, part: Part, option: Option[Any], parent: QWidget) -> None:
        super().__init__(draft, part, option, parent)
        self.box = ItemBox("firmware", translated(option.label), self)
        self.reset = small_button(self.tr("Reset variables and start…"), "reset-nvram", self)
        self.why = quiet_label("", self)
        line = QHBoxLayout()
        line.setSpacing(GRID)
        line.addWidget(self.box)
        line.addWidget(self.reset)
        line.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(GRID // 2)
        column.addLayout(line)
        column.addWidget(self.why)
        self.setFocusProxy(self.box)
        self.box.picked.connect(self._on_picked)
        self.reset.clicked.connect(self._on_reset)

    def refresh(self) -> None:
        value = get_firmware(self.draft.domain)
        self.box.show_items(firmware_items(self.draft.situation, self.draft.domain))
        self.box.show_value(value)
        is_uefi = get_firmware(self.draft.base) in (UEFI, SECURE) and value in (UEFI, SECURE)
        reason = self._reset_refusal()
        self.reset.setVisible(is_uefi)
        self.reset.setEnabled(not reason)
        self.why.setText(reason)
        self.why.setVisible(is_uefi and bool(reason))
        self.reset.setAccessibleDescription(reason)

    def _reset_refusal(self) -> str:
        if self.draft.is_running:
            return self.tr("UEFI's variables can be reset while the VM is off.")
        if self.draft.is_changed:
            return self.tr("Apply the changes first; then UEFI's variables can be reset.")
        if self.draft.services is None:
            return self.tr("This cannot be done here.")
        return ""

    @Slot(object)
    def _on_picked(self, value: Value | None) -> None:
        self.draft.set_value(self.part, self.option, value)

    @Slot()
    def _on_reset(self) -> None:
        question = ConfirmDialog(
            self.tr("Start with UEFI's variables as new?"),
            self.tr(
                "The firmware's boot entries and settings, and Secure Boot's keys that were added, are lost; disks "
                "are not touched. A disk that unlocks by the firmware's state (BitLocker) will ask for its recovery "
                "key."
            ),
            self.tr("&Reset and start"),
            self.window(),
        )
        question.accepted.connect(self._on_confirmed)
        question.open()

    @Slot()
    def _on_confirmed(self) -> None:
        if self.draft.services is not None and not self._reset_refusal():
            self.draft.services.start_with_new_variables()
