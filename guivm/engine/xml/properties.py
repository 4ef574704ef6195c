"""Descriptors that declare what a node holds, once: path, type, and how the value is written.

Paths are child tags below the node's own element, divided by ``/``; an attribute is the last step, with ``@``:
``"driver/@cache"``, ``"@type"``. Reading gives None where the element or attribute is absent, which means
libvirt's default; writing None removes it, and nothing else. A value that is not of the declared type raises XmlError
on reading.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Self, TypeVar, overload

from guivm.engine.xml.codecs import HEX1, HEX2, HEX4, INTEGER, ON_OFF, TEXT, UNITS, YES_NO, Codec, writable
from guivm.engine.xml.document import (
    Element,
    XmlError,
    descend,
    descend_making,
    own_text,
    remove_attribute,
    remove_child,
    set_own_text,
)
from guivm.engine.xml.node import N, NodeList, XmlNode

__all__ = [
    "HEX1",
    "HEX2",
    "HEX4",
    "INTEGER",
    "ON_OFF",
    "TEXT",
    "YES_NO",
    "Attribute",
    "ByteSize",
    "Child",
    "Children",
    "Codec",
    "Flag",
    "MemorySize",
    "Property",
    "Size",
    "Switch",
    "Text",
    "attribute",
    "child_text",
]

T = TypeVar("T")


def _read(codec: Codec[T], raw: str | None, where: str) -> T | None:
    if raw is None:
        return None
    try:
        return codec.decode(raw)
    except ValueError as error:
        raise XmlError(f"The XML has a bad value for “{where}”.", details=f"{raw!r}: {error}") from error


def _split(path: str) -> tuple[tuple[str, ...], str]:
    """Tags and attribute of a path; the attribute is empty for a path to an element."""
    *steps, last = path.split("/")
    if last.startswith("@"):
        return tuple(steps), last[1:]
    return (*steps, last) if last else (), ""


class Property(Generic[T]):
    """Base: a value of type T, or None for libvirt's default. ``path`` says where it is kept."""

    def __init__(self, path: str, codec: Codec[T]) -> None:
        self.path = path
        self.codec = codec
        self._steps, self._name = _split(path)

    @overload
    def __get__(self, node: None, owner: type[XmlNode]) -> Self: ...
    @overload
    def __get__(self, node: XmlNode, owner: type[XmlNode]) -> T | None: ...
    def __get__(self, node: XmlNode | None, owner: type[XmlNode]) -> Self | T | None:
        if node is None:
            return self
        element = descend(node.find(), self._steps)
        return None if element is None else self.read(element)

    def __set__(self, node: XmlNode, value: T | None) -> None:
        if value is not None:
            try:
                self.write(node, value)
            except ValueError as error:
                raise XmlError(f"This value cannot be written as “{self.path}”.", details=str(error)) from error
            return
        element = descend(node.find(), self._steps)
        if element is not None and self.clear(element):
            node.prune_up(element)

    def read(self, element: Element) -> T | None:
        """The value kept in the element of the path."""
        raise NotImplementedError

    def write(self, node: XmlNode, value: T) -> None:
        """Write the value, making what is missing. Raises ValueError, before anything is made."""
        raise NotImplementedError

    def clear(self, element: Element) -> bool:
        """Take the value, and nothing else, out of the element of the path; False when there was none."""
        raise NotImplementedError

    def _make(self, node: XmlNode) -> Element:
        return descend_making(node.make(), self._steps)


class Attribute(Property[T]):
    """An attribute of the node's element or of a single child below it."""

    def __init__(self, path: str, codec: Codec[T]) -> None:
        super().__init__(path, codec)
        if not self._name:
            raise TypeError(f"an attribute path ends in @name: {path}")

    def read(self, element: Element) -> T | None:
        return _read(self.codec, element.get(self._name), self.path)

    def write(self, node: XmlNode, value: T) -> None:
        text = writable(self.codec.encode(value))
        self._make(node).set(self._name, text)

    def clear(self, element: Element) -> bool:
        return remove_attribute(element, self._name)


def _text_of(element: Element) -> str | None:
    """The text of an element; None for an element that is only there for its attributes or children."""
    text = own_text(element)
    return None if not text.strip() and (element.attrib or len(element)) else text


class Text(Property[T]):
    """The text of a single child element (path empty: of the node's own element)."""

    def read(self, element: Element) -> T | None:
        return _read(self.codec, _text_of(element), self.path)

    def write(self, node: XmlNode, value: T) -> None:
        text = writable(self.codec.encode(value))
        set_own_text(self._make(node), text)

    def clear(self, element: Element) -> bool:
        if _text_of(element) is None:
            return False
        set_own_text(element, None)
        return True


class Switch(Property[bool]):
    """An element with ``@state`` whose bare presence means on: ``<pmu/>``, ``<pmu state='off'/>``."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path}/@state", ON_OFF)

    def read(self, element: Element) -> bool | None:
        return _read(self.codec, element.get(self._name, "on"), self.path)

    def write(self, node: XmlNode, value: bool) -> None:
        self._make(node).set(self._name, self.codec.encode(value))

    def clear(self, element: Element) -> bool:
        element.attrib.clear()
        element[:] = []
        element.text = None
        return True


class Size(Property[int]):
    """A size with its unit beside it: the text of an element with ``@unit``, or an attribute (``@memory``, ``@unit``).

    ``step`` is the size in bytes of what is counted, and ``unit`` how it is written; reading rounds up, as libvirt
    does, and knows every unit (formatdomain.html, "memory"). Without one the text is in ``bare``. ``unit_name``: the
    attribute that says it.
    """

    def __init__(self, path: str, step: int, unit: str, *, bare: str = "", unit_name: str = "unit") -> None:
        super().__init__(path, INTEGER)
        self.unit_name = unit_name
        self._step = step
        self._unit = unit
        self._bare = bare or unit

    def read(self, element: Element) -> int | None:
        raw = element.get(self._name) if self._name else _text_of(element)
        count = None if raw is None or not raw.strip() else _read(INTEGER, raw, self.path)
        if count is None:
            return None
        unit = element.get(self.unit_name, self._bare)
        factor = UNITS.get(unit.lower())
        if factor is None:
            raise XmlError(f"The XML has an unknown unit for “{self.path}”.", details=unit)
        return -(-count * factor // self._step)

    def write(self, node: XmlNode, value: int) -> None:
        element = self._make(node)
        if self._name:
            element.set(self._name, str(value))
            element.set(self.unit_name, self._unit)
        else:
            element.set(self.unit_name, self._unit)
            set_own_text(element, str(value))

    def clear(self, element: Element) -> bool:
        if (element.get(self._name) if self._name else _text_of(element)) is None:
            return False
        remove_attribute(element, self.unit_name)
        if self._name:
            remove_attribute(element, self._name)
        else:
            set_own_text(element, None)
        return True


class MemorySize(Size):
    """A size in KiB."""

    def __init__(self, path: str, bare: str = "KiB") -> None:
        super().__init__(path, 1024, "KiB", bare=bare)


class ByteSize(Size):
    """A size in bytes."""

    def __init__(self, path: str) -> None:
        super().__init__(path, 1, "bytes")


class Flag:
    """An empty child element whose presence means yes: ``<readonly/>``, ``<acpi/>``."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._steps = tuple(path.split("/"))

    def __set_name__(self, owner: type[XmlNode], name: str) -> None:
        owner.lasting |= {self.path}

    @overload
    def __get__(self, node: None, owner: type[XmlNode]) -> Self: ...
    @overload
    def __get__(self, node: XmlNode, owner: type[XmlNode]) -> bool: ...
    def __get__(self, node: XmlNode | None, owner: type[XmlNode]) -> Self | bool:
        return self if node is None else descend(node.find(), self._steps) is not None

    def __set__(self, node: XmlNode, value: bool) -> None:
        if value:
            descend_making(node.make(), self._steps)
            return
        element = descend(node.find(), self._steps)
        if element is not None:
            parent = element.getparent()
            remove_child(element)
            if parent is not None:
                node.prune_up(parent)


class Child(Generic[N]):
    """A single child element, as a typed node that need not exist yet. ``kind`` may be a function that names it."""

    def __init__(self, kind: type[N] | Callable[[], type[N]], path: str) -> None:
        self._kind = kind
        self.path = path

    @property
    def kind(self) -> type[N]:
        return self._kind if isinstance(self._kind, type) else self._kind()

    @overload
    def __get__(self, node: None, owner: type[XmlNode]) -> Self: ...
    @overload
    def __get__(self, node: XmlNode, owner: type[XmlNode]) -> N: ...
    def __get__(self, node: XmlNode | None, owner: type[XmlNode]) -> Self | N:
        return self if node is None else self.kind(parent=node, tag=self.path)


class Children(Generic[N]):
    """All child elements of one tag."""

    def __init__(self, kind: type[N], path: str) -> None:
        self.kind = kind
        self.path = path

    @overload
    def __get__(self, node: None, owner: type[XmlNode]) -> Self: ...
    @overload
    def __get__(self, node: XmlNode, owner: type[XmlNode]) -> NodeList[N]: ...
    def __get__(self, node: XmlNode | None, owner: type[XmlNode]) -> Self | NodeList[N]:
        return self if node is None else NodeList(node, self.path, self.kind)


@overload
def attribute(path: str) -> Attribute[str]: ...
@overload
def attribute(path: str, codec: Codec[T]) -> Attribute[T]: ...
def attribute(path: str, codec: Codec[T] | None = None) -> Attribute[T] | Attribute[str]:
    """Declare an attribute; text unless a codec is given."""
    return Attribute(path, TEXT) if codec is None else Attribute(path, codec)


@overload
def child_text(path: str) -> Text[str]: ...
@overload
def child_text(path: str, codec: Codec[T]) -> Text[T]: ...
def child_text(path: str, codec: Codec[T] | None = None) -> Text[T] | Text[str]:
    """Declare the text of a child element; text unless a codec is given."""
    return Text(path, TEXT) if codec is None else Text(path, codec)
