"""What a network card is connected to: each kind a line, with the host's networks, bridges and cards to choose from."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import QVBoxLayout, QWidget

from guivm.engine.options.nic_modes import DIRECT_MODES, get_mode, mode_items, mode_words
from guivm.engine.options.option import Item, Option, Value
from guivm.engine.xml.interface import Interface
from guivm.views.theme import GRID
from guivm.views.vm_settings.cards import Cards
from guivm.views.vm_settings.draft import Draft, Part
from guivm.views.vm_settings.editors import small_button, translated
from guivm.views.vm_settings.pieces import ItemBox, labelled
from guivm.views.vm_settings.registry import CustomEditor

_OTHER = "other"
_SOURCES = ("network", "bridge", "direct", "hostdev")


class NicModeEditor(CustomEditor):
    """Text of :mod:`guivm.engine.options.nic_modes`."""

    def __init__(self, draft: Draft, part: Part, option: Option[Any], parent: QWidget) -> None:
        super().__init__(draft, part, option, parent)
        self._nic: Interface = part.node  # type: ignore[assignment]  # the catalogue gives it network cards only
        self.cards = Cards("nic-mode", self)
        self.cards.setAccessibleName(translated(option.label))
        self.boxes: dict[str, ItemBox] = {}
        titles = {
            "user": self.tr("User mode (NAT)"),
            "network": self.tr("Virtual network"),
            "bridge": self.tr("Bridge"),
            "direct": self.tr("Macvtap"),
            "hostdev": self.tr("Device of the host (SR-IOV)"),
            "none": self.tr("Not connected"),
            _OTHER: self.tr("Another connection"),
        }
        labels = {
            "network": self.tr("Network"),
            "bridge": self.tr("Bridge"),
            "direct": self.tr("Card"),
            "hostdev": self.tr("Device"),
        }
        for kind, title in titles.items():
            self.cards.add(kind, title, make=partial(self._make_body, kind, labels[kind]) if kind in labels else None)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, GRID // 2, 0, 0)
        column.setSpacing(GRID)
        column.addWidget(self.cards)
        self.networks = small_button(self.tr("&Virtual networks…"), "virtual-networks", self)
        self.networks.setToolTip(self.tr("Make, change, start and stop networks of the host"))
        self.networks.setVisible(draft.services is not None)
        self.networks.clicked.connect(self._on_networks)
        column.addWidget(self.networks, 0, Qt.AlignmentFlag.AlignLeading)
        self.setFocusProxy(self.cards)
        self.cards.chosen.connect(self._on_kind)

    def _make_body(self, kind: str, label: str, parent: QWidget) -> QWidget:
        body = QWidget(parent)
        box = self.boxes[kind] = ItemBox(f"nic-{kind}", label, body)
        column = QVBoxLayout(body)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(GRID)
        column.addWidget(labelled(label, box, body, stretch=True))
        box.picked.connect(self._on_source)
        if kind == "direct":
            self.direct_mode = ItemBox("nic-direct-mode", self.tr("Macvtap mode"), body)
            words = {
                "bridge": self.tr("guests on one card reach each other"),
                "vepa": self.tr("the switch sends them back; it must know how"),
                "private": self.tr("guests never reach each other"),
                "passthrough": self.tr("the whole card for this guest"),
            }
            self.direct_mode.show_items([Item(mode, mode, words[mode]) for mode in DIRECT_MODES], notes=True)
            self.direct_mode.picked.connect(self._on_direct_mode)
            column.addWidget(labelled(self.tr("Mode"), self.direct_mode, body, stretch=True))
        return body

    def refresh(self) -> None:
        situation, nic = self.draft.situation, self._nic
        items = mode_items(situation, nic)
        value = str(get_mode(nic) or "")
        kind = value.partition(":")[0]
        self.cards.choose(kind if self._knows(kind) else _OTHER)
        self.cards.set_shown(_OTHER, shown=not self._knows(kind))
        self.cards.describe(_OTHER, mode_words(situation, nic))
        for known in ("user", "none", *_SOURCES):
            mine = _of_kind(items, known)
            present = next((item for item in mine if _same_source(item.value, value)), None)
            usable = next((item for item in mine if not item.refusal), None)
            shown = present or usable or (mine[0] if mine else None)
            refusal = "" if shown is None or usable is not None else shown.refusal
            self.cards.describe(known, translated(shown.note) if shown else "", translated(refusal))
            self.cards.set_shown(known, shown=bool(mine))
            box = self.boxes.get(known)
            if box is not None:
                real = [item for item in mine if not str(item.value).endswith(":")]
                box.show_items([item for item in real if not _is_repeated(item, real)])
                box.show_value(None if present is None else self._listed(box, present))
        if kind == "direct":
            self.direct_mode.show_value(value.split(":")[2] if value.count(":") > 1 else "vepa")

    def _knows(self, kind: str) -> bool:
        return kind in ("user", "none", *_SOURCES)

    @staticmethod
    def _listed(box: ItemBox, item: Item) -> Value | None:
        return next((each.value for each in box.items if _same_source(each.value, str(item.value))), item.value)

    def _set(self, value: str) -> None:
        self.draft.set_value(self.part, self.option, value)

    @Slot(str)
    def _on_kind(self, kind: str) -> None:
        if kind in ("user", "none"):
            self._set(kind)
        elif kind in _SOURCES:
            items = _of_kind(mode_items(self.draft.situation, self._nic), kind)
            usable = next((item for item in items if not item.refusal and not str(item.value).endswith(":")), None)
            if usable is not None:
                self._set(str(usable.value))
            else:
                self.refresh()

    @Slot(object)
    def _on_source(self, value: Value | None) -> None:
        text = str(value)
        if text.startswith("direct:"):
            text = f"direct:{text.split(':')[1]}:{self.direct_mode.value or 'bridge'}"
        self._set(text)

    @Slot()
    def _on_networks(self) -> None:
        if self.draft.services is not None:
            self.draft.services.show_networks(self)

    @Slot(object)
    def _on_direct_mode(self, mode: Value | None) -> None:
        card = str(get_mode(self._nic) or "").split(":")
        if len(card) > 1:
            self._set(f"direct:{card[1]}:{mode}")


def _of_kind(items: Sequence[Item], kind: str) -> list[Item]:
    return [item for item in items if str(item.value).partition(":")[0] == kind]


def _same_source(value: Value | None, text: str) -> bool:
    """Of macvtap the mode, which has a field of its own, does not count."""
    mine, other = str(value), text
    if mine.startswith("direct:") and other.startswith("direct:"):
        return mine.split(":")[1] == other.split(":")[1]
    return mine == other


def _is_repeated(item: Item, items: Sequence[Item]) -> bool:
    """The present macvtap connection is listed once more where its mode is another."""
    first = next(each for each in items if _same_source(each.value, str(item.value)))
    return first is not item
