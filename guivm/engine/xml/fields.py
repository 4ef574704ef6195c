"""What the typed classes declare, for code that treats all properties alike: checks, comparisons, tests."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias, cast

from guivm.engine.xml.node import XmlNode
from guivm.engine.xml.properties import Child, Children, Flag, Property

Value: TypeAlias = str | int | bool | None
Descriptor: TypeAlias = Property[Any] | Flag | Child[Any] | Children[Any]


def declared(kind: type[XmlNode]) -> tuple[tuple[str, Descriptor], ...]:
    """Name and descriptor of everything that a class declares, bases first, in the order of declaration."""
    return _declared(cast(Hashable, kind))


@cache
def _declared(kind: Hashable) -> tuple[tuple[str, Descriptor], ...]:
    assert isinstance(kind, type)
    found: dict[str, Descriptor] = {}
    for base in reversed(kind.__mro__):
        for name, value in vars(base).items():
            if isinstance(value, Property | Flag | Child | Children):
                found[name] = value
    return tuple(found.items())


@dataclass(frozen=True, slots=True)
class Field:
    """One typed property of one node. ``where`` is its place below the root: ``devices.disks[0].cache``."""

    where: str
    node: XmlNode
    name: str

    @property
    def value(self) -> Value:
        """The value now. Raises XmlError when the document has none of the declared type."""
        value: Value = getattr(self.node, self.name)
        return value


def fields(node: XmlNode, where: str = "") -> Iterator[Field]:
    """Every typed property of ``node`` and of the nodes below it that exist, set or not, in a fixed order."""
    prefix = f"{where}." if where else ""
    for name, descriptor in declared(type(node)):
        if isinstance(descriptor, Child):
            child = getattr(node, name)
            if child.exists:
                yield from fields(child, prefix + name)
        elif isinstance(descriptor, Children):
            for index, item in enumerate(getattr(node, name)):
                yield from fields(item, f"{prefix}{name}[{index}]")
        else:
            yield Field(prefix + name, node, name)
