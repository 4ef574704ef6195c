"""Ports of the host that lead into the guest, as a table. GUI thread."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QVBoxLayout, QWidget

from guivm.engine.options.option import Option
from guivm.engine.options.port_forwards import (
    EVERY_ADDRESS,
    LOOPBACK,
    PortForward,
    forwards_text,
    parse_forwards,
    read_forwards,
)
from guivm.views.forms import NoteLine, Tone
from guivm.views.theme import GRID
from guivm.views.vm_settings.draft import Draft, Part
from guivm.views.vm_settings.editors import translated
from guivm.views.vm_settings.registry import CustomEditor
from guivm.views.vm_settings.row_table import Column, RowTable

_GUEST_PORT = 22
_FIRST_HOST_PORT = 2222


class PortForwardsEditor(CustomEditor):
    """Rows that are not sound yet stay in the table, and the reason beside the option."""

    def __init__(self, draft: Draft, part: Part, option: Option[Any], parent: QWidget) -> None:
        super().__init__(draft, part, option, parent)
        self.rows = RowTable(
            "port-forwards",
            translated(option.label),
            (
                Column(self.tr("Protocol"), (("tcp", "TCP"), ("udp", "UDP"))),
                Column(self.tr("Host address")),
                Column(self.tr("Host port")),
                Column(self.tr("Guest port")),
            ),
            self.tr("No port of the host leads into this guest."),
            self,
        )
        self.note = NoteLine("", self)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, GRID // 2, 0, 0)
        column.setSpacing(GRID)
        column.addWidget(self.rows)
        column.addWidget(self.note)
        self.setFocusProxy(self.rows.first)
        self._stored: tuple[PortForward, ...] | None = None
        self.rows.addRequested.connect(self._on_add)
        self.rows.model.edited.connect(self._on_edited)

    def refresh(self) -> None:
        forwards = read_forwards(self.part.node)  # type: ignore[arg-type]  # the catalogue: network cards only
        if forwards != self._stored:
            self._stored = forwards
            self.rows.model.show([_row(forward) for forward in forwards])
        exposed = [forward for forward in forwards if forward.is_exposed]
        text = ""
        if exposed:
            ports = ", ".join(str(forward.host_port) for forward in exposed[:6])
            text = self.tr("Other computers can reach port {ports}; 127.0.0.1 keeps it to this one.").format(
                ports=ports
            )
        self.note.set_problem(text, Tone.WARNING)
        self.note.setVisible(bool(text))

    @Slot()
    def _on_add(self) -> None:
        used = {row[2] for row in self.rows.model.rows()}
        port = next(port for port in range(_FIRST_HOST_PORT, 65_536) if str(port) not in used)
        self.rows.add_row(("tcp", LOOPBACK, str(port), str(_GUEST_PORT)), 2)

    @Slot()
    def _on_edited(self) -> None:
        try:
            wanted = parse_forwards(",".join(_text(row) for row in self.rows.model.rows()))
        except ValueError as error:
            self.draft.set_invalid(self.part, self.option, str(error))
            return
        self._stored = wanted
        self.draft.set_value(self.part, self.option, forwards_text(wanted) or None)


def _row(forward: PortForward) -> tuple[str, ...]:
    ports = str(forward.host_port) if forward.last == forward.host_port else f"{forward.host_port}-{forward.last}"
    return forward.protocol, forward.address, ports, str(forward.guest_port)


def _text(row: tuple[str, ...]) -> str:
    protocol, address, host_port, guest_port = row
    address = address.strip("[]") or EVERY_ADDRESS
    if ":" in address:
        address = f"[{address}]"
    return f"{protocol}:{address}:{host_port}:{guest_port}"
