"""Where viewers reach a display: nowhere, through a socket of this computer, or at an address. GUI thread."""

from __future__ import annotations

import ipaddress
from typing import Any

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QLineEdit, QVBoxLayout, QWidget

from guivm.engine.options.listening import get_listen, is_exposed
from guivm.engine.options.option import Item, Option, Value
from guivm.engine.xml.graphics import Graphics
from guivm.views.forms import NoteLine, Tone
from guivm.views.theme import GRID
from guivm.views.vm_settings.cards import Cards
from guivm.views.vm_settings.draft import Draft, Part
from guivm.views.vm_settings.editors import translated
from guivm.views.vm_settings.pieces import ItemBox, labelled
from guivm.views.vm_settings.registry import CustomEditor

_LOCAL = "local"
_ADDRESS = "address"


class ListenEditor(CustomEditor):
    """``part.node`` is a :class:`Graphics`. TLS and password are options of their own; it says when they are due."""

    def __init__(self, draft: Draft, part: Part, option: Option[Any], parent: QWidget) -> None:
        super().__init__(draft, part, option, parent)
        self._graphics: Graphics = part.node  # type: ignore[assignment]  # the catalogue gives it displays only
        self._typing = False  # the card with an address is open, whatever the address
        self._is_unsound = False  # what was typed there is none
        self.cards = Cards("listen", self)
        self.cards.setAccessibleName(translated(option.label))
        self.cards.add("none", self.tr("Nowhere"), self.tr("Only this program's console shows it."))
        self.cards.add(
            "socket", self.tr("A socket of this computer"), self.tr("Only programs that may read its file get in.")
        )
        self.cards.add(_LOCAL, self.tr("This computer"), self.tr("Every program and user of this computer gets in."))
        self.cards.add(
            _ADDRESS, self.tr("An address"), self.tr("Whoever reaches it sees the screen."), self._make_address
        )
        self.cards.add("network", self.tr("A virtual network"), self.tr("Its address on the host."), self._make_network)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, GRID // 2, 0, 0)
        outer.addWidget(self.cards)
        self.setFocusProxy(self.cards)
        self.cards.chosen.connect(self._on_card)

    def _make_address(self, parent: QWidget) -> QWidget:
        body = QWidget(parent)
        self.address = ItemBox("listen-address", self.tr("Address to listen at"), body)
        self.address.show_items(
            [
                Item("0.0.0.0", self.tr("0.0.0.0 – every network")),  # noqa: S104 - with its warning
                Item("::", self.tr(":: – every network, IPv6 too")),
                Item("127.0.0.1", "127.0.0.1"),
            ]
        )
        self.address.setEditable(True)
        self.edit = QLineEdit(self.address)
        self.edit.setObjectName("listen-address-text")
        self.edit.setAccessibleName(self.address.accessibleName())
        self.address.setLineEdit(self.edit)
        self.warning = NoteLine("", body)
        column = QVBoxLayout(body)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(GRID)
        column.addWidget(labelled(self.tr("Address"), self.address, body))
        column.addWidget(self.warning)
        self.address.picked.connect(self._on_address)
        self.edit.textEdited.connect(self._on_typed)
        return body

    def _make_network(self, parent: QWidget) -> QWidget:
        body = QWidget(parent)
        self.networks = ItemBox("listen-network", self.tr("Network to listen at"), body)
        self.networks.show_items([Item(f"network:{net.name}", net.name) for net in self.draft.settings.facts.networks])
        self.networks.picked.connect(self._on_network)
        column = QVBoxLayout(body)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(labelled(self.tr("Network"), self.networks, body))
        return body

    def refresh(self) -> None:
        value = str(get_listen(self._graphics) or "")
        kind, _, detail = value.partition(":")
        if not value or (kind == _ADDRESS and detail in ("127.0.0.1", "localhost") and not self._typing):
            kind = _LOCAL
        self.cards.choose(kind)
        self.cards.set_shown("network", shown=bool(self.draft.settings.facts.networks) or kind == "network")
        if kind == "network":
            self.networks.show_value(value)
        elif kind == _ADDRESS:
            if self.edit.text() != detail and not self._is_unsound:
                self.edit.setText(detail)
            text = self._danger()
            self.warning.set_problem(text, Tone.WARNING)
            self.warning.setVisible(bool(text))

    def _danger(self) -> str:
        if not is_exposed(self._graphics):
            return ""
        if not self._graphics.password:
            return self.tr("Other computers reach it and no password is asked: set one below, and TLS on the host.")
        return self.tr("Other computers reach it; without TLS on the host, screen and keys travel unencrypted.")

    def _set(self, value: str | None) -> None:
        self._is_unsound = False
        self.draft.set_value(self.part, self.option, value)

    @Slot(str)
    def _on_card(self, kind: str) -> None:
        self._typing = kind == _ADDRESS
        if kind in ("none", "socket"):
            self._set(kind)
        elif kind == _LOCAL:
            self._set("address:127.0.0.1")
        elif kind == _ADDRESS:
            self._set("address:127.0.0.1")  # nothing is opened to others by a click alone
        else:
            names = self.draft.settings.facts.networks
            if names:
                self._set(f"network:{names[0].name}")

    @Slot(object)
    def _on_address(self, value: Value | None) -> None:
        self.edit.setText(str(value))
        self._set(f"address:{value}")

    @Slot(str)
    def _on_typed(self, text: str) -> None:
        try:
            ipaddress.ip_address(text.strip())
        except ValueError:
            self._is_unsound = True
            self.draft.set_invalid(self.part, self.option, self.tr("Give an IP address of this computer."))
        else:
            self._set(f"address:{text.strip()}")

    @Slot(object)
    def _on_network(self, value: Value | None) -> None:
        self._set(str(value))
