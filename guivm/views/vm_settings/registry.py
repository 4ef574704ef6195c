"""Widgets for options that need one of their own, by the name that :class:`Custom` gives. Imported on first use."""

from __future__ import annotations

import importlib
from typing import Any

from PySide6.QtWidgets import QWidget

from guivm.engine.options.option import Option
from guivm.views.vm_settings.draft import Draft, Part


class CustomEditor(QWidget):
    """Base. Edits the draft itself, through :meth:`Draft.set_value` or, for more than one value, the document and
    :meth:`Draft.touch`. ``is_wide``: it takes the whole width, its label above it."""

    is_wide = True

    def __init__(self, draft: Draft, part: Part, option: Option[Any], parent: QWidget) -> None:
        super().__init__(parent)
        self.draft = draft
        self.part = part
        self.option = option
        self.setObjectName(f"option-{option.id}")

    def refresh(self) -> None:
        """Show the draft as it is now. Called after each edit, its own included."""
        raise NotImplementedError


# Name → module of this package and class.
_WIDGETS: dict[str, tuple[str, str]] = {
    "boot-order": ("boot_order", "BootOrderEditor"),
    "disk-source": ("disk_source", "DiskSourceEditor"),
    "memory-amount": ("memory_amount", "MemoryAmountEditor"),
    "port-forwards": ("port_forwards", "PortForwardsEditor"),
    "cpu-topology": ("cpu_topology", "CpuTopologyEditor"),
    "firmware": ("firmware", "FirmwareEditor"),
    "cpu-pinning": ("cpu_pinning", "CpuPinningEditor"),
    "listen": ("listen", "ListenEditor"),
    "usb-device": ("host_devices", "UsbDeviceEditor"),
    "pci-device": ("host_devices", "PciDeviceEditor"),
    "mdev": ("host_devices", "MediatedDeviceEditor"),
    "cpu-features": ("cpu_features", "CpuFeaturesEditor"),
    "timers": ("timers", "TimersEditor"),
    "numa": ("numa", "NumaEditor"),
    "nic-mode": ("nic_mode", "NicModeEditor"),
}


def editor_modules() -> tuple[str, ...]:
    """The modules of this package that the widgets are in."""
    return tuple(dict.fromkeys(module for module, _class_name in _WIDGETS.values()))


def custom_editor(name: str, draft: Draft, part: Part, option: Option[Any], parent: QWidget) -> CustomEditor | None:
    """None where there is no such widget: its text form is edited then."""
    found = _WIDGETS.get(name)
    if found is None:
        return None
    module, class_name = found
    kind: type[CustomEditor] = getattr(importlib.import_module(f"guivm.views.vm_settings.{module}"), class_name)
    return kind(draft, part, option, parent)
