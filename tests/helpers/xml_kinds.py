"""All typed classes of guivm/engine/xml, and where in documents their nodes are."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from dataclasses import dataclass
from typing import Any

import guivm.engine.xml
from guivm.engine.xml.document import qualified
from guivm.engine.xml.domain import DomainXml
from guivm.engine.xml.fields import declared
from guivm.engine.xml.network import NetworkXml
from guivm.engine.xml.node import XmlNode
from guivm.engine.xml.properties import Child, Children

ROOTS: tuple[tuple[str, type[XmlNode]], ...] = (("domain", DomainXml), ("network", NetworkXml))


def all_kinds() -> list[type[XmlNode]]:
    """Every class of the package, whoever imports it."""
    for module in pkgutil.iter_modules(guivm.engine.xml.__path__):
        importlib.import_module(f"guivm.engine.xml.{module.name}")
    found: list[type[XmlNode]] = []
    waiting = [XmlNode]
    while waiting:
        for kind in waiting.pop().__subclasses__():
            if kind.__module__.startswith("guivm.") and kind not in found:
                found.append(kind)
                waiting.append(kind)
    return sorted(found, key=lambda kind: kind.__name__)


@dataclass(frozen=True)
class Place:
    """Where nodes of a class can be: the names that lead there from a root, and the tags."""

    root: str
    names: tuple[str, ...]
    steps: tuple[str, ...]

    def node(self, root: XmlNode) -> Any:
        node: Any = root
        for name in self.names:
            found = getattr(node, name)
            node = found if isinstance(found, XmlNode) else found[0]
        return node


def path_steps(path: str) -> tuple[str, ...]:
    return tuple(step if step.startswith("@") else qualified(step) for step in path.split("/") if step)


@functools.cache
def places() -> dict[type[XmlNode], list[Place]]:
    found: dict[type[XmlNode], list[Place]] = {}

    def visit(kind: type[XmlNode], place: Place, above: tuple[type[XmlNode], ...]) -> None:
        if above.count(kind) == 2:
            return
        found.setdefault(kind, []).append(place)
        for name, descriptor in declared(kind):
            if isinstance(descriptor, Child | Children):
                below = Place(place.root, (*place.names, name), (*place.steps, *path_steps(descriptor.path)))
                visit(descriptor.kind, below, (*above, kind))

    for root, kind in ROOTS:
        visit(kind, Place(root, (), (root,)), ())
    return found
