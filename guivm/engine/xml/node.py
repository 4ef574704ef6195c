"""A node of a document: the base of every typed class in this package.

A node either *is* an element (the root, one disk of many) or *stands for* a child of another node that may not
exist yet (``domain.os``). Reading never changes the document; the element appears with the first value written to
it, and an element that a removal leaves empty goes again. Everything else in the document stays as it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from guivm.engine.xml.document import Element, append_child, element_children, first_child, remove_child


class XmlNode:
    """Typed view on one element. Not thread-safe: a document belongs to one thread at a time."""

    __slots__ = ("_element", "_parent", "_tag")

    def __init__(self, element: Element | None = None, *, parent: XmlNode | None = None, tag: str = "") -> None:
        self._element = element
        self._parent = parent
        self._tag = tag

    def find(self) -> Element | None:
        """The element, or None while there is none."""
        if self._element is not None:
            return self._element
        owner = self._parent.find() if self._parent is not None else None
        return None if owner is None else first_child(owner, self._tag)

    def make(self) -> Element:
        """The element, created when there is none."""
        if self._element is not None:
            return self._element
        if self._parent is None:
            raise TypeError("a node needs an element or a parent")
        owner = self._parent.make()
        found = first_child(owner, self._tag)
        return found if found is not None else append_child(owner, self._tag)

    @property
    def exists(self) -> bool:
        return self.find() is not None

    def create(self) -> None:
        """Make sure that the element exists, even when empty (``<rng/>``, ``<serial/>``)."""
        self.make()

    def remove(self) -> None:
        """Take the element, with all it holds, out of the document."""
        element = self.find()
        if element is not None:
            owner = element.getparent()
            remove_child(element)
            if self._parent is not None and owner is not None:
                self._parent.prune()

    def prune(self) -> None:
        """Remove the element when nothing is left in it; elements of a list and the root stay."""
        if self._element is not None or self._parent is None:
            return
        element = self.find()
        if element is not None and is_blank(element):
            remove_child(element)
            self._parent.prune()


def is_blank(element: Element) -> bool:
    """True when the element holds no attribute, child, comment or text."""
    return not element.attrib and len(element) == 0 and not (element.text or "").strip()


N = TypeVar("N", bound=XmlNode)


class NodeList(Generic[N]):
    """All children of one tag, in document order, as typed nodes."""

    __slots__ = ("_kind", "_owner", "_tag")

    def __init__(self, owner: XmlNode, tag: str, kind: type[N]) -> None:
        self._owner = owner
        self._tag = tag
        self._kind = kind

    def _elements(self) -> list[Element]:
        owner = self._owner.find()
        return [] if owner is None else element_children(owner, self._tag)

    def __len__(self) -> int:
        return len(self._elements())

    def __iter__(self) -> Iterator[N]:
        return iter([self._kind(element) for element in self._elements()])

    def __getitem__(self, index: int) -> N:
        return self._kind(self._elements()[index])

    def add(self) -> N:
        """Append an empty element behind the last of its kind, or at the end of the parent."""
        present = self._elements()
        return self._kind(append_child(self._owner.make(), self._tag, present[-1] if present else None))

    def remove(self, node: N) -> None:
        """Take one of the nodes out of the document; ValueError when it is not in this list."""
        element = node.find()
        if element is None or not any(element is mine for mine in self._elements()):
            raise ValueError(f"not one of these <{self._tag}> elements")
        remove_child(element)
        self._owner.prune()
