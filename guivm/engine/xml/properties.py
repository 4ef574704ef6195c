"""Descriptors that declare what a node holds, once: path, type, and how the value is written.

Paths are child tags below the node's own element, divided by ``/``; an attribute is the last step, with ``@``:
``"driver/@cache"``, ``"@type"``. Reading gives None where the element or attribute is absent, which means
libvirt's default; writing None removes it. A value that is not of the declared type raises XmlError on reading.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Self, TypeVar, overload

from guivm.engine.xml.document import Element, XmlError, append_child, first_child, remove_child
from guivm.engine.xml.node import N, NodeList, XmlNode, is_blank

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Codec(Generic[T]):
    """How a value is read from and written to text. ``decode`` raises ValueError."""

    decode: Callable[[str], T]
    encode: Callable[[T], str]


def _words(true: str, false: str) -> Codec[bool]:
    def decode(text: str) -> bool:
        if text not in (true, false):
            raise ValueError(f"neither {true!r} nor {false!r}")
        return text == true

    return Codec(decode, lambda value: true if value else false)


def _decode_integer(text: str) -> int:
    if len(text) > 64:
        raise ValueError("too many digits")
    return int(text, 0) if text.lower().startswith("0x") else int(text)


TEXT: Codec[str] = Codec(str, str)
INTEGER: Codec[int] = Codec(_decode_integer, str)
YES_NO = _words("yes", "no")
ON_OFF = _words("on", "off")


def _descend(element: Element | None, steps: tuple[str, ...]) -> Element | None:
    for step in steps:
        if element is None:
            return None
        element = first_child(element, step)
    return element


def _descend_making(element: Element, steps: tuple[str, ...]) -> Element:
    for step in steps:
        found = first_child(element, step)
        element = found if found is not None else append_child(element, step)
    return element


def _prune_up(node: XmlNode, element: Element) -> None:
    """Remove blank elements from ``element`` up to, but not including, the node's own; then let the node decide."""
    own = node.find()
    current: Element | None = element
    while current is not None and current is not own:
        if not is_blank(current):
            return
        parent = current.getparent()
        remove_child(current)
        current = parent
    node.prune()


def _read(codec: Codec[T], raw: str | None, where: str) -> T | None:
    if raw is None:
        return None
    try:
        return codec.decode(raw)
    except ValueError as error:
        raise XmlError(f"The XML has a bad value for “{where}”.", details=f"{raw!r}: {error}") from error


class Property(Generic[T]):
    """Base: a value of type T, or None for libvirt's default."""

    def __init__(self, path: str, codec: Codec[T]) -> None:
        self.path = path
        self.codec = codec

    @overload
    def __get__(self, node: None, owner: type[XmlNode]) -> Self: ...
    @overload
    def __get__(self, node: XmlNode, owner: type[XmlNode]) -> T | None: ...
    def __get__(self, node: XmlNode | None, owner: type[XmlNode]) -> Self | T | None:
        return self if node is None else self.read(node)

    def __set__(self, node: XmlNode, value: T | None) -> None:
        if value is None:
            self.clear(node)
            return
        try:
            self.write(node, value)
        except ValueError as error:  # lxml refuses control characters
            raise XmlError(f"This value cannot be written as “{self.path}”.", details=str(error)) from error

    def read(self, node: XmlNode) -> T | None:
        raise NotImplementedError

    def write(self, node: XmlNode, value: T) -> None:
        raise NotImplementedError

    def clear(self, node: XmlNode) -> None:
        raise NotImplementedError


class Attribute(Property[T]):
    """An attribute of the node's element or of a single child below it."""

    def __init__(self, path: str, codec: Codec[T]) -> None:
        super().__init__(path, codec)
        *steps, name = path.split("/")
        if not name.startswith("@"):
            raise TypeError(f"an attribute path ends in @name: {path}")
        self._steps = tuple(steps)
        self._name = name[1:]

    def read(self, node: XmlNode) -> T | None:
        element = _descend(node.find(), self._steps)
        return None if element is None else _read(self.codec, element.get(self._name), self.path)

    def write(self, node: XmlNode, value: T) -> None:
        text = _writable(self.codec.encode(value))
        _descend_making(node.make(), self._steps).set(self._name, text)

    def clear(self, node: XmlNode) -> None:
        element = _descend(node.find(), self._steps)
        if element is not None and element.get(self._name) is not None:
            del element.attrib[self._name]
            _prune_up(node, element)


class Text(Property[T]):
    """The text of a single child element (path empty: of the node's own element)."""

    def __init__(self, path: str, codec: Codec[T]) -> None:
        super().__init__(path, codec)
        self._steps = tuple(path.split("/")) if path else ()

    def read(self, node: XmlNode) -> T | None:
        element = _descend(node.find(), self._steps)
        return None if element is None else _read(self.codec, element.text or "", self.path)

    def write(self, node: XmlNode, value: T) -> None:
        text = _writable(self.codec.encode(value))
        _descend_making(node.make(), self._steps).text = text

    def clear(self, node: XmlNode) -> None:
        element = _descend(node.find(), self._steps)
        if element is None:
            return
        if self._steps:
            parent = element.getparent()
            remove_child(element)
            if parent is not None:
                _prune_up(node, parent)
        else:
            element.text = None
            node.prune()


_UNITS: dict[str, int] = {
    "b": 1,
    "bytes": 1,
    "kb": 10**3,
    "k": 2**10,
    "kib": 2**10,
    "mb": 10**6,
    "m": 2**20,
    "mib": 2**20,
    "gb": 10**9,
    "g": 2**30,
    "gib": 2**30,
    "tb": 10**12,
    "t": 2**40,
    "tib": 2**40,
}


class MemorySize(Property[int]):
    """A size in KiB, as ``<memory unit='KiB'>``; other units are read, KiB is written (formatdomain.html, "memory").

    libvirt rounds up to the next KiB.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path, INTEGER)
        self._steps = tuple(path.split("/"))

    def read(self, node: XmlNode) -> int | None:
        element = _descend(node.find(), self._steps)
        if element is None:
            return None
        count = _read(INTEGER, (element.text or "").strip(), self.path)
        factor = _UNITS.get(element.get("unit", "KiB").lower())
        if count is None or factor is None:
            raise XmlError(f"The XML has an unknown unit for “{self.path}”.", details=element.get("unit", ""))
        return -(-count * factor // 1024)

    def write(self, node: XmlNode, value: int) -> None:
        element = _descend_making(node.make(), self._steps)
        element.set("unit", "KiB")
        element.text = str(value)

    def clear(self, node: XmlNode) -> None:
        element = _descend(node.find(), self._steps)
        if element is not None:
            parent = element.getparent()
            remove_child(element)
            if parent is not None:
                _prune_up(node, parent)


class Flag:
    """An empty child element whose presence means yes: ``<readonly/>``, ``<acpi/>``."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._steps = tuple(path.split("/"))

    @overload
    def __get__(self, node: None, owner: type[XmlNode]) -> Self: ...
    @overload
    def __get__(self, node: XmlNode, owner: type[XmlNode]) -> bool: ...
    def __get__(self, node: XmlNode | None, owner: type[XmlNode]) -> Self | bool:
        return self if node is None else _descend(node.find(), self._steps) is not None

    def __set__(self, node: XmlNode, value: bool) -> None:
        if value:
            _descend_making(node.make(), self._steps)
            return
        element = _descend(node.find(), self._steps)
        if element is not None:
            parent = element.getparent()
            remove_child(element)
            if parent is not None:
                _prune_up(node, parent)


class Child(Generic[N]):
    """A single child element, as a typed node that need not exist yet."""

    def __init__(self, kind: type[N], tag: str) -> None:
        self._kind = kind
        self._tag = tag

    @overload
    def __get__(self, node: None, owner: type[XmlNode]) -> Self: ...
    @overload
    def __get__(self, node: XmlNode, owner: type[XmlNode]) -> N: ...
    def __get__(self, node: XmlNode | None, owner: type[XmlNode]) -> Self | N:
        return self if node is None else self._kind(parent=node, tag=self._tag)


class Children(Generic[N]):
    """All child elements of one tag."""

    def __init__(self, kind: type[N], tag: str) -> None:
        self._kind = kind
        self._tag = tag

    @overload
    def __get__(self, node: None, owner: type[XmlNode]) -> Self: ...
    @overload
    def __get__(self, node: XmlNode, owner: type[XmlNode]) -> NodeList[N]: ...
    def __get__(self, node: XmlNode | None, owner: type[XmlNode]) -> Self | NodeList[N]:
        return self if node is None else NodeList(node, self._tag, self._kind)


def _writable(text: str) -> str:
    """Raise ValueError before anything is made when XML 1.0 cannot hold ``text`` unchanged."""
    for character in text:
        code = ord(character)
        if (code < 0x20 and character not in "\t\n") or 0xD800 <= code <= 0xDFFF or code in (0xFFFE, 0xFFFF):
            raise ValueError(f"character U+{code:04X} cannot stand in XML")
    return text


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
