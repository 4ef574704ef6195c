"""Where two domain documents differ, typed field by typed field and device by device. No words yet: see :mod:`changes`.

What counts as one place: an attribute, a text, or the presence of an element, by whatever property it is read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

from lxml import etree

from guivm.engine.options.runtime import is_filled_in, is_filled_in_node
from guivm.engine.xml.device import Device
from guivm.engine.xml.document import Element, XmlError, descend, element_children
from guivm.engine.xml.domain import Devices, DomainXml
from guivm.engine.xml.fields import declared
from guivm.engine.xml.node import XmlNode
from guivm.engine.xml.properties import Child, Children, Flag, Property

FieldValue: TypeAlias = str | int | bool | None

# What tells the items of a list that are no devices apart; without one it is their place.
_KEYS = ("name", "vcpu", "io_thread", "id", "cell", "size_kib")


@dataclass(frozen=True, slots=True, eq=False)
class Difference:
    """One place. ``where`` names it in both documents: "cpu.features[vmx].policy", "devices.disks[vda].cache".

    Of a field both nodes are there, though perhaps without an element; of an item of a list that came or went only one
    is, and there are no ``properties``.
    """

    where: str
    before: XmlNode | None
    after: XmlNode | None
    properties: tuple[Property[Any] | Flag, ...] = ()  # of a field: the one it is read by
    old: FieldValue = None
    new: FieldValue = None
    is_device: bool = False  # the item is a device
    owner: XmlNode | None = None  # of a field or item of a device: the device as it was


Identify: TypeAlias = Callable[[XmlNode], str]


@dataclass(slots=True)
class Comparison:
    """What differs, and which elements of both documents are each other's. ``pairs`` keeps the elements alive."""

    differences: list[Difference] = field(default_factory=list)
    pairs: dict[Element, Element] = field(default_factory=dict)
    devices: list[tuple[XmlNode, XmlNode, bool]] = field(default_factory=list)  # before, after, whether they differ
    texts: dict[Element, bytes] = field(default_factory=dict)  # of devices, as they are written


def compare(
    before: DomainXml,
    after: DomainXml,
    identify_before: Identify,
    identify_after: Identify,
    *,
    texts: Mapping[Element, bytes] | None = None,
    differences_only: bool = False,
) -> Comparison:
    """Compare two documents. ``identify_…`` answers what a device keeps through edits, or an empty text.

    Where just one of them is a running VM's, what libvirt fills in there is passed over. ``texts``: what is known of
    :attr:`Comparison.texts` already. With ``differences_only`` ``pairs`` and ``devices`` are not complete.
    """
    comparer = _Comparer(before, after, (identify_before, identify_after), differences_only=differences_only)
    comparer.found.texts.update(texts or {})
    return comparer.run()


class _Comparer:
    def __init__(
        self, before: DomainXml, after: DomainXml, identify: tuple[Identify, Identify], *, differences_only: bool
    ) -> None:
        self._before, self._after = before, after
        self._identify = identify
        self._differences_only = differences_only
        self.found = Comparison()
        self._seen: set[tuple[int, int, str]] = set()
        self._places: set[str] = set()
        self._kept: list[Element] = []  # so that the numbers in _seen stay theirs
        # 0: both or none of them is running; 1: before is; -1: after is.
        self._live = (before.id is not None) - (after.id is not None)

    def run(self) -> Comparison:
        self._node(self._before, self._after, "", None)
        return self.found

    # --- walking --------------------------------------------------------------------------------------

    def _node(self, before: XmlNode, after: XmlNode, where: str, owner: XmlNode | None) -> None:
        if not before.exists and not after.exists:
            return
        first, second = before.find(), after.find()
        if first is not None and second is not None:
            self.found.pairs[first] = second
        prefix = f"{where}." if where else ""
        if isinstance(before, Devices):
            self._all_devices(before, after, prefix)
            return
        if self._differences_only and where and _are_written_alike(first, second):
            return
        for name, descriptor in declared(type(before)):
            path = prefix + name
            if isinstance(descriptor, Property | Flag):
                self._field(descriptor, before, after, path, owner)
            elif isinstance(descriptor, Child):
                self._node(getattr(before, name), getattr(after, name), path, owner)
            else:
                self._items(list(getattr(before, name)), list(getattr(after, name)), path, owner)

    def _all_devices(self, before: Devices, after: XmlNode, prefix: str) -> None:
        """Grouped once by their tags: each of the lists would go through all of them again."""
        olds, news = _by_tag(before), _by_tag(after)
        for name, descriptor in declared(Devices):
            if isinstance(descriptor, Property | Flag):
                self._field(descriptor, before, after, prefix + name, None)
            elif name == "memballoon":  # a part of every machine
                self._node(getattr(before, name), getattr(after, name), prefix + name, None)
            elif isinstance(descriptor, Children) or not _is_covered(descriptor):
                first, second = olds.get(descriptor.path, []), news.get(descriptor.path, [])
                if (first or second) and not (self._differences_only and self._are_alike(first, second)):
                    kind: type[XmlNode] = descriptor.kind
                    self._devices([kind(e) for e in first], [kind(e) for e in second], prefix + name)

    def _field(
        self, descriptor: Property[Any] | Flag, before: XmlNode, after: XmlNode, where: str, owner: XmlNode | None
    ) -> None:
        old, new = _value(descriptor, before), _value(descriptor, after)
        if old == new and type(old) is type(new):
            return
        place = self._place(descriptor, before, after)
        if place in self._seen:
            return
        self._seen.add(place)
        if self._live:
            live, defined = (before, after) if self._live > 0 else (after, before)
            values = (old, new) if self._live > 0 else (new, old)
            domains = (self._before, self._after) if self._live > 0 else (self._after, self._before)
            if is_filled_in(where, live, defined, *values, *domains):
                return
        self.found.differences.append(Difference(where, before, after, (descriptor,), old, new, owner=owner))

    def _place(self, descriptor: Property[Any] | Flag, before: XmlNode, after: XmlNode) -> tuple[int, int, str]:
        steps, name = split_path(descriptor.path)
        holders = [descend(node.find(), steps) for node in (before, after)]
        self._kept += [holder for holder in holders if holder is not None]
        first, second = holders
        return id(first), id(second), "" if isinstance(descriptor, Flag) else name or "text()"

    # --- lists ----------------------------------------------------------------------------------------

    def _items(self, before: list[XmlNode], after: list[XmlNode], where: str, owner: XmlNode | None) -> None:
        olds, news = _keyed(before), _keyed(after)
        for key, node in olds.items():
            path = f"{where}[{key}]"
            if key in news:
                self._node(node, news[key], path, owner)
            else:
                self._came_or_went(Difference(path, node, None, owner=owner))
        for key, node in news.items():
            if key not in olds:
                self._came_or_went(Difference(f"{where}[{key}]", None, node, owner=owner))

    def _devices(self, before: list[XmlNode], after: list[XmlNode], where: str) -> None:
        matched, gone, come = self._match(before, after)
        for old, new in matched:
            first, second = old.find(), new.find()
            assert first is not None
            assert second is not None
            self.found.pairs[first] = second
            if self._same(old, new):
                self.found.devices.append((old, new, False))
                continue
            count = len(self.found.differences)
            self._node(old, new, self._place_of(where, self._identify[0](old) or str(_index(before, old))), old)
            self.found.devices.append((old, new, len(self.found.differences) > count))
        for node in gone:
            path = self._place_of(where, self._identify[0](node) or str(_index(before, node)))
            self._came_or_went(Difference(path, node, None, is_device=True))
        for node in come:
            path = self._place_of(where, f"+{self._identify[1](node) or _index(after, node)}")
            self._came_or_went(Difference(path, None, node, is_device=True))

    def _place_of(self, where: str, key: str) -> str:
        """Each its own, though two devices may be called the same."""
        place, count = f"{where}[{key}]", 1
        while place in self._places:
            count += 1
            place = f"{where}[{key}#{count}]"
        self._places.add(place)
        return place

    def _came_or_went(self, difference: Difference) -> None:
        if self._live:
            is_live_only = (difference.before is not None) == (self._live > 0)
            node = difference.before if difference.before is not None else difference.after
            live, defined = (self._before, self._after) if self._live > 0 else (self._after, self._before)
            assert node is not None
            if is_filled_in_node(difference.where, node, live, defined, is_live_only=is_live_only):
                return
        self.found.differences.append(difference)

    def _are_alike(self, before: list[Element], after: list[Element]) -> bool:
        return len(before) == len(after) and all(map(self._says_same, before, after))

    def _says_same(self, before: Element, after: Element) -> bool:
        return self._text_of(before) == self._text_of(after) or canonical(before) == canonical(after)

    def _same(self, old: XmlNode, new: XmlNode) -> bool:
        """Whether two devices say the same."""
        first, second = old.find(), new.find()
        return first is not None and second is not None and self._says_same(first, second)

    def _text_of(self, device: Element) -> bytes:
        text = self.found.texts.get(device)
        if text is None:
            text = self.found.texts[device] = _text(device)
        return text

    def _match(
        self, before: list[XmlNode], after: list[XmlNode]
    ) -> tuple[list[tuple[XmlNode, XmlNode]], list[XmlNode], list[XmlNode]]:
        """Pairs in document order, what is gone, and what is new: by identity, content, address, kind, and place."""
        first, last = self._untouched_ends(before, after)
        pairs = dict(enumerate(after[:first]))
        pairs |= {len(before) - step: after[-step] for step in range(1, last + 1)}
        olds = list(enumerate(before))[first : len(before) - last]
        news = list(enumerate(after))[first : len(after) - last]

        def pair(old: int, new: int) -> None:
            pairs[old] = after[new]
            olds[:] = [entry for entry in olds if entry[0] != old]
            news[:] = [entry for entry in news if entry[0] != new]

        def pair_by(key_before: Identify, key_after: Identify) -> None:
            waiting: dict[str, list[int]] = {}
            for index, node in news:
                if key := key_after(node):
                    waiting.setdefault(key, []).append(index)
            for index, node in list(olds) if waiting else ():
                if places := waiting.get(key_before(node)):
                    nearest = min(places, key=partial(_distance, index))
                    places.remove(nearest)
                    pair(index, nearest)

        pair_by(*self._identify)
        for key in (_content, _address, _kind):
            pair_by(key, key)
        for index, old in list(olds):
            likely = next((place for place, node in news if self._may_be(old, node)), None)
            if likely is not None:
                pair(index, likely)
        return (
            [(before[index], pairs[index]) for index in sorted(pairs)],
            [node for _, node in olds],
            [node for _, node in news],
        )

    def _untouched_ends(self, before: list[XmlNode], after: list[XmlNode]) -> tuple[int, int]:
        """How many devices at the beginning, and at the end, say the same in both: an edit touches few of many.

        Not where some came or went: of two that say the same, the other may be the new one.
        """
        count = len(before)
        if len(after) != count:
            return 0, 0
        first = next((n for n in range(count) if not self._same(before[n], after[n])), count)
        rest = range(1, count - first + 1)
        return first, next((n - 1 for n in rest if not self._same(before[-n], after[-n])), len(rest))

    def _may_be(self, old: XmlNode, new: XmlNode) -> bool:
        """The same device with another identity: most of what it says is the same."""
        if not self._identify[0](old) or not self._identify[1](new):
            return True
        first, second = _facts(old), _facts(new)
        return 2 * len(first & second) >= len(first | second)


def split_path(path: str) -> tuple[tuple[str, ...], str]:
    """Tags and attribute of a property's path; the attribute is empty for a text or a flag."""
    *steps, last = path.split("/")
    if last.startswith("@"):
        return tuple(steps), last[1:]
    return (*steps, last) if last else (), ""


def _is_covered(child: Child[Any]) -> bool:
    """A single device that is also the first of a list."""
    return any(isinstance(other, Children) and other.path == child.path for _, other in declared(Devices))


def _distance(first: int, second: int) -> int:
    return abs(first - second)


def _by_tag(devices: XmlNode) -> dict[str, list[Element]]:
    found: dict[str, list[Element]] = {}
    element = devices.find()
    for child in [] if element is None else element_children(element):
        found.setdefault(str(child.tag), []).append(child)
    return found


def _value(descriptor: Property[Any] | Flag, node: XmlNode) -> FieldValue:
    """What is there; of a value that cannot be read, its text."""
    try:
        value: FieldValue = descriptor.__get__(node, type(node))
    except XmlError:
        steps, name = split_path(descriptor.path)
        holder = descend(node.find(), steps)
        assert holder is not None
        return holder.get(name) if name else holder.text
    return value


def _keyed(nodes: Sequence[XmlNode]) -> dict[str, XmlNode]:
    """Items by what tells them apart; the second of a name, and items without one, by their place."""
    found: dict[str, XmlNode] = {}
    for index, node in enumerate(nodes):
        key = next((str(value) for name in _KEYS if (value := _attribute(node, name)) is not None), "")
        found[key if key and key not in found else f"#{index}"] = node
    return found


def _attribute(node: XmlNode, name: str) -> FieldValue:
    descriptor = dict(declared(type(node))).get(name)
    return _value(descriptor, node) if isinstance(descriptor, Property) else None


def canonical(element: Element) -> bytes:
    """What an element says: without comments and white space around texts, attributes in order."""
    # The stubs do not know the options of C14N 2.0.
    found: bytes = etree.tostring(element, method="c14n2", strip_text=True, with_comments=False)  # type: ignore[call-overload]
    return found


def _are_written_alike(first: Element | None, second: Element | None) -> bool:
    return first is not None and second is not None and _text(first) == _text(second)


def _text(element: Element) -> bytes:
    text: bytes = etree.tostring(element, with_tail=False)
    return text


def _index(nodes: Sequence[XmlNode], node: XmlNode) -> int:
    return next(index for index, other in enumerate(nodes) if other.find() is node.find())


def _content(node: XmlNode) -> str:
    element = node.find()
    return "" if element is None else canonical(element).decode("utf-8", "replace")


def _address(node: XmlNode) -> str:
    address = node.address if isinstance(node, Device) else None
    element = None if address is None else address.find()
    return "" if element is None else " ".join(f"{name}={value}" for name, value in sorted(_attributes(element)))


def _kind(node: XmlNode) -> str:
    """What a device hardly ever changes: its type, model, index and the name of its target."""
    element = node.find()
    if element is None:
        return ""
    words = [element.get(name, "") for name in ("type", "model", "index", "bus", "device", "name", "id")]
    target = element.find("target")
    words += [] if target is None else [f"{name}={value}" for name, value in _attributes(target) if name != "state"]
    return "|".join(str(word) for word in words)


def _facts(node: XmlNode) -> frozenset[tuple[str, str]]:
    """All attributes and texts below a device, without its address."""
    element = node.find()
    if element is None:
        return frozenset()
    found = {(f"@{name}", value) for name, value in _attributes(element)}
    for child in element_children(element):
        if child.tag in ("address", "alias"):
            continue
        found |= {(f"{child.tag}/@{name}", value) for name, value in _attributes(child)}
        found |= {(str(child.tag), (child.text or "").strip())}
    return frozenset(found)


def _attributes(element: Element) -> list[tuple[str, str]]:
    return [(str(name), str(value)) for name, value in element.attrib.items()]
