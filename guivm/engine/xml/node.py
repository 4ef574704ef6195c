"""A node of a document: the base of every typed class in this package.

A node either *is* an element (the root, one disk of many) or *stands for* a child of another node that may not
exist yet (``domain.os``). Reading never changes the document; the element appears with the first value written to
it, and an element that a removal leaves empty goes again. Everything else in the document stays as it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile
from typing import ClassVar, Generic, TypeVar

from guivm.engine.xml.document import (
    Element,
    append_child,
    descend,
    descend_making,
    element_children,
    is_blank,
    remove_child,
)


class XmlNode:
    """Typed view on one element. Not thread-safe: a document belongs to one thread at a time.

    ``tag`` is where the element stands below ``parent``: a child's tag, or tags divided by ``/``.
    """

    __slots__ = ("_element", "_parent", "_steps")

    lasting: ClassVar[frozenset[str]] = frozenset()
    """Paths of elements whose bare presence means something: they stay when they become empty."""

    def __init__(self, element: Element | None = None, *, parent: XmlNode | None = None, tag: str = "") -> None:
        self._element = element
        self._parent = parent
        self._steps = tuple(tag.split("/"))

    def find(self) -> Element | None:
        """The element, or None while there is none."""
        if self._element is not None:
            return self._element
        return None if self._parent is None else descend(self._parent.find(), self._steps)

    def make(self) -> Element:
        """The element, created when there is none."""
        if self._element is not None:
            return self._element
        if self._parent is None:
            raise TypeError("a node needs an element or a parent")
        return descend_making(self._parent.make(), self._steps)

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
                self._parent.prune_up(owner)

    def prune(self) -> None:
        """Remove the element when nothing is left in it; elements of a list and the root stay."""
        if self._element is None and self._parent is not None:
            element = self.find()
            if element is not None:
                self._parent.prune_up(element)

    def prune_up(self, element: Element) -> None:
        """Remove blank elements from ``element`` up to, but not including, the node's own; then prune that."""
        own = self.find()
        current: Element | None = element
        while current is not None and current is not own:
            if not is_blank(current) or (self.lasting and self._path_to(current) in self.lasting):
                return
            parent = current.getparent()
            remove_child(current)
            current = parent
        self.prune()

    def _path_to(self, element: Element) -> str:
        own = self.find()
        steps = [str(element.tag)]
        steps.extend(str(above.tag) for above in takewhile(lambda above: above is not own, element.iterancestors()))
        return "/".join(reversed(steps))


N = TypeVar("N", bound=XmlNode)


class NodeList(Generic[N]):
    """All children of one tag, in document order, as typed nodes. ``tag`` may be a path; its last step repeats."""

    __slots__ = ("_kind", "_owner", "_steps", "_tag")

    def __init__(self, owner: XmlNode, tag: str, kind: type[N]) -> None:
        self._owner = owner
        *steps, self._tag = tag.split("/")
        self._steps = tuple(steps)
        self._kind = kind

    def _elements(self) -> list[Element]:
        holder = descend(self._owner.find(), self._steps)
        return [] if holder is None else element_children(holder, self._tag)

    def __len__(self) -> int:
        return len(self._elements())

    def __iter__(self) -> Iterator[N]:
        return iter([self._kind(element) for element in self._elements()])

    def __getitem__(self, index: int) -> N:
        return self._kind(self._elements()[index])

    def add(self) -> N:
        """Append an empty element behind the last of its kind, or at the end of the parent."""
        present = self._elements()
        holder = descend_making(self._owner.make(), self._steps)
        return self._kind(append_child(holder, self._tag, present[-1] if present else None))

    def remove(self, node: N) -> None:
        """Take one of the nodes out of the document; ValueError when it is not in this list."""
        element = node.find()
        holder = descend(self._owner.find(), self._steps)
        if element is None or holder is None or not any(element is mine for mine in self._elements()):
            raise ValueError(f"not one of these <{self._tag}> elements")
        remove_child(element)
        self._owner.prune_up(holder)

    def clear(self) -> None:
        """Take all of them out of the document."""
        for node in self:
            self.remove(node)
