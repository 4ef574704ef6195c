"""The parts of one document that have a page in the settings, and what each is called in a :class:`Place`. No Qt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from guivm.engine.options import catalogue
from guivm.engine.options.option import Resource
from guivm.engine.options.phrase import Phrase
from guivm.engine.options.values import Place
from guivm.engine.xml.domain import DomainXml
from guivm.engine.xml.node import XmlNode


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the machine, or one of its devices. ``node`` belongs to the document."""

    resource: Resource[Any]
    node: XmlNode
    index: int  # among its kind
    suffix: str = ""  # what tells it from an earlier one of its kind with the same identity

    @property
    def identity(self) -> str:
        """What a device keeps through edits, or an empty text."""
        identity: str = self.resource.identity(self.node) if self.resource.is_device else ""
        return identity

    @property
    def device(self) -> str:
        """What :class:`Place` calls it: no two of a kind are called the same."""
        return (self.identity or str(self.index)) + self.suffix if self.resource.is_device else ""

    @property
    def name(self) -> Phrase:
        """What people call it: "Processor", "Drive vda"."""
        named: Phrase | None = self.resource.name(self.node) if self.resource.name is not None else None
        return named.cleaned() if named else Phrase(self.resource.title)

    def place(self, option: str = "") -> Place:
        return Place(self.resource.id, self.device, option)


def parts_of(domain: DomainXml, resource: Resource[Any]) -> list[Part]:
    """All of one kind, in document order."""
    found: list[Part] = []
    taken: set[str] = set()
    for index, node in enumerate(resource.nodes(domain)):
        part = Part(resource, node, index)
        name = part.device
        while name in taken:  # two displays that are both "vnc"
            part = Part(resource, node, index, f"{part.suffix}#{index}")
            name = part.device
        taken.add(name)
        found.append(part)
    return found


def all_parts(domain: DomainXml) -> list[Part]:
    """In the catalogue's order."""
    return [part for resource in catalogue.RESOURCES for part in parts_of(domain, resource)]
