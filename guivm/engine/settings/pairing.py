"""Which device of one document is which of another. Pure, over elements.

Of a drive its target tells, of a network card its MAC address; of the rest, where it sits in the machine, or that
nothing about it differs.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lxml import etree

from guivm.engine.xml.document import Element, element_children, first_child
from guivm.engine.xml.domain import DomainXml

# Parts of which a machine has a fixed number, whatever is said of them: two that differ are one that was changed.
_IN_PLACE = frozenset(
    ("graphics", "video", "memballoon", "tpm", "sound", "audio", "watchdog", "vsock", "iommu", "panic")
)


@dataclass(frozen=True, slots=True)
class Pair:
    """A device before and after; one of the two is None when it was added or removed."""

    tag: str
    before: Element | None
    after: Element | None

    @property
    def device(self) -> Element:
        found = self.after if self.after is not None else self.before
        assert found is not None
        return found


def devices_of(domain: DomainXml) -> list[Element]:
    """All children of ``<devices>`` in document order."""
    owner = domain.devices.find()
    return [] if owner is None else element_children(owner)


def pairs(before: Sequence[Element], after: Sequence[Element]) -> list[Pair]:
    """Every device that differs, was added or was removed; in document order, what was removed first."""
    found: list[Pair] = []
    for tag in dict.fromkeys(str(device.tag) for device in (*before, *after)):
        olds = [device for device in before if device.tag == tag]
        news = [device for device in after if device.tag == tag]
        if tag == "emulator":
            continue
        matches = _matched(tag, olds, news)
        found.extend(Pair(tag, old, None) for old in olds if not any(old is one for one, _ in matches))
        for new in news:
            old_one = next((one for one, other in matches if other is new), None)
            if old_one is None or canonical(old_one) != canonical(new):
                found.append(Pair(tag, old_one, new))
    return sorted(found, key=lambda pair: pair.after is not None)


def without_moves(found: Sequence[Pair]) -> list[Pair]:
    """Without the pairs of removed and added that are one device under another name: a drive with the same image, a
    card that differs in its MAC address."""
    moved: list[Pair] = []
    for added in (pair for pair in found if pair.before is None):
        essence = _essence(added.device)
        for removed in (pair for pair in found if pair.after is None and pair.tag == added.tag):
            if essence and removed not in moved and _essence(removed.device) == essence:
                moved += [added, removed]
                break
    return [pair for pair in found if pair not in moved]


def _essence(device: Element) -> bytes:
    """What stays the same when a device gets another name; empty when nothing tells."""
    if device.tag == "disk":
        source = first_child(device, "source")
        return b"" if source is None or not source.attrib else canonical(source)
    if device.tag == "interface":
        bare = _without_place(device)
        for tag in ("mac", "boot"):
            for child in element_children(bare, tag):
                bare.remove(child)
        return canonical(bare)
    return b""


def _matched(tag: str, olds: list[Element], news: list[Element]) -> list[tuple[Element, Element]]:
    left, right = list(olds), list(news)
    matches: list[tuple[Element, Element]] = []

    def take(same: Iterator[tuple[Element, Element]]) -> None:
        for old, new in same:
            if any(old is one for one in left) and any(new is one for one in right):
                left[:] = [one for one in left if one is not old]
                right[:] = [one for one in right if one is not new]
                matches.append((old, new))

    take((old, new) for old in olds for new in news if canonical(old) == canonical(new))
    take((old, new) for old in olds for new in news if key_of(old) and key_of(old) == key_of(new))
    take((old, new) for old in olds for new in news if address_of(old) and address_of(old) == address_of(new))
    if tag in _IN_PLACE and len(left) == len(right):
        take(iter(list(zip(left, right, strict=True))))
    return matches


def key_of(device: Element) -> str:
    """What a device is known by in every document of its VM; empty when it is known by nothing."""
    if device.tag == "disk":
        target = first_child(device, "target")
        return "" if target is None else target.get("dev", "")
    if device.tag == "interface":
        mac = first_child(device, "mac")
        return "" if mac is None else mac.get("address", "").lower()
    return ""


def address_of(device: Element) -> str:
    """Where a device sits in the machine, or empty. A disk's is no identity: another can be put in its place."""
    address = first_child(device, "address")
    if address is None or device.tag in ("disk", "interface") or address.get("type") in (None, "unassigned"):
        return ""
    return ",".join(f"{name}={value}" for name, value in sorted((str(n), str(v)) for n, v in address.attrib.items()))


def twin(device: Element, others: Sequence[Element]) -> Element | None:
    """The same device in another document of the VM, live or not; None when it is not there."""
    same = [other for other in others if other.tag == device.tag]
    for name in (key_of, address_of):
        if name(device):
            found = next((other for other in same if name(other) == name(device)), None)
            if found is not None or name is key_of:
                return found
    if device.tag in _IN_PLACE:
        alike = [other for other in same if other.get("type") == device.get("type")]
        return alike[0] if alike else None
    bare = _without_place(device)
    return next((other for other in same if is_within(bare, other)), None)


def is_within(part: Element, whole: Element) -> bool:
    """Whether all that ``part`` says is said by ``whole`` too: libvirt adds what it decided itself."""
    if part.tag != whole.tag or (part.text or "").strip() != (whole.text or "").strip():
        return False
    if any(whole.get(str(name)) != value for name, value in part.attrib.items()):
        return False
    left = element_children(whole)
    for child in element_children(part):
        match = next((other for other in left if is_within(child, other)), None)
        if match is None:
            return False
        left.remove(match)
    return True


def _without_place(device: Element) -> Element:
    bare = copy.deepcopy(device)
    for tag in ("alias", "address"):
        child = first_child(bare, tag)
        if child is not None:
            bare.remove(child)
    return bare


def canonical(element: Element) -> bytes:
    """Equal for elements that say the same: white space between elements and the order of attributes do not count."""
    bare = copy.deepcopy(element)
    bare.tail = None
    for node in bare.iter():
        if len(node) and not (node.text or "").strip():
            node.text = None
        if not (node.tail or "").strip():
            node.tail = None
    return etree.tostring(bare, method="c14n", with_comments=False)


def text_of_element(element: Element) -> str:
    """The element alone, for a call of libvirt's."""
    bare = copy.deepcopy(element)
    bare.tail = None
    return etree.tostring(bare, encoding="unicode")
