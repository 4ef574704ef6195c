"""What the pages of devices share: choices from what the host offers, names and addresses that are still free."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from guivm.engine.options.option import Choice, Item, N, Situation, Value, stored
from guivm.engine.xml.device import VirtioOptions
from guivm.engine.xml.domain import Devices, DomainXml
from guivm.engine.xml.node import XmlNode
from guivm.engine.xml.properties import Child, Children, Property
from guivm.text import clean_line

NodeT = TypeVar("NodeT", bound=XmlNode)
Get = Callable[[Any], Value | None]
Set = Callable[[Any, Value | None], None]
Refuse = Callable[[Situation, Any, str], str]

_MAX_LABEL = 120
NOT_OFFERED = N("This host's QEMU does not offer it.")


@dataclass(frozen=True, slots=True)
class Known:
    """A value of libvirt's in words. ``note``: what speaks for or against it."""

    value: str
    label: str
    note: str = ""


def choice(
    known: Sequence[Known],
    get: Get | None = None,
    *,
    path: str = "",
    default: str | None = N("Default"),
    refuse: Refuse | None = None,
    free: bool = False,
    more: bool = True,
) -> Choice:
    """A choice among ``known``.

    ``path``: the enumeration of the host's capabilities that greys what is not in it, and, with ``more``, adds what
    only the host knows. ``default``: words for libvirt's own choice; None: one must be chosen. ``get`` adds the
    present value where it is none of them.
    """

    def items(situation: Situation, node: Any) -> Sequence[Item]:
        offered = situation.facts.offered(path) if path else ()
        refused = bool(path) and situation.facts.offers_any(path) is False
        found = [] if default is None else [Item(None, default)]
        for each in known:
            refusal = refuse(situation, node, each.value) if refuse is not None else ""
            if refused or (offered and each.value not in offered):
                refusal = NOT_OFFERED
            found.append(Item(each.value, each.label, each.note, refusal))
        names = {each.value for each in known}
        for value in offered:
            if more and value not in names:
                names.add(value)
                found.append(Item(value, value, "", refuse(situation, node, value) if refuse is not None else ""))
        return with_present(found, get(node) if get is not None else None)

    return Choice(items, free=free)


def with_present(items: Sequence[Item], present: Value | None, note: str = "") -> Sequence[Item]:
    """The items, and the value that is there now where it is none of them."""
    if present is None or any(item.value == present for item in items):
        return items
    return (*items, Item(present, clean_line(str(present), _MAX_LABEL), note))


def one_of(
    known: Sequence[Known],
    declared: Property[str],
    *below: Child[Any],
    write: Set | None = None,
    needs: str | None = None,
    path: str = "",
    default: str | None = N("Default"),
    refuse: Refuse | None = None,
    free: bool = False,
    more: bool = True,
) -> tuple[Choice, Get, Set]:
    """Editor, ``get`` and ``set`` of an option that is one text of the XML: ``Option(…, *one_of(_MODELS, Tpm.model))``.

    ``below``: as for :func:`stored`. ``write``: where setting does more than to write. ``needs``: what is written for
    None where the XML must have something. The others as for :func:`choice`.
    """
    get, plain = stored(declared, *below) if needs is None else required(declared, needs, *below)
    return choice(known, get, path=path, default=default, refuse=refuse, free=free, more=more), get, write or plain


def required(declared: Property[str], default: str, *below: Child[Any]) -> tuple[Get, Set]:
    """``get`` and ``set`` of a property that the XML must have: None writes ``default``."""
    read, write = stored(declared, *below)
    return read, lambda node, value: write(node, default if value is None else value)


def reader(declared: Property[Any]) -> Get:
    """``get`` of a property whose ``set`` does more than to write it."""
    return stored(declared)[0]


def replacing(declared: Property[str], needs: str | None = None) -> Set:
    """``set`` of a model: another one is another device, which cannot stand at the old one's address.

    ``needs``: what is written for None.
    """
    get, write = stored(declared)

    def replace(node: Any, value: Value | None) -> None:
        new = needs if value is None else str(value)
        if new != get(node):
            node.address.remove()
            write(node, new)

    return replace


def when(declared: Property[str], *values: str | None) -> Callable[[Situation, Any], bool]:
    """``shown`` of an option that means something only where a property has one of some values."""
    get = reader(declared)
    return lambda _situation, node: get(node) in values


def checked(check: Callable[[str], str], text: str) -> str:
    """The text. Raises ValueError with the sentence that ``check`` has against it."""
    problem = check(text)
    if problem:
        raise ValueError(problem)
    return text


def whole_path(text: str) -> str:
    """Why a text is no absolute path of the host, or ""."""
    return "" if text.startswith("/") else N("The path must be absolute: it has to begin with “/”.")


def label_of(known: Iterable[Known], value: str | None) -> str:
    """The words for a value; the value itself where there are none, "" for None."""
    return next((each.label for each in known if each.value == value), value or "")


def words(*parts: str | None) -> str:
    """The parts that are not empty, as one line."""
    return ", ".join(part for part in parts if part)


# --- where a node stands ----------------------------------------------------------------------------------


def devices_of(node: XmlNode) -> Devices:
    """``<devices>`` around a device. Raises ValueError for a device that stands alone."""
    element = node.find()
    parent = None if element is None else element.getparent()
    if parent is None:
        raise ValueError("This device belongs to no VM.")
    return Devices(parent)


def domain_of(node: XmlNode) -> DomainXml:
    """The whole definition around a device. Raises ValueError for a device that stands alone."""
    root = devices_of(node).make().getparent()
    if root is None:
        raise ValueError("This device belongs to no VM.")
    return DomainXml(root)


def same(one: XmlNode, other: XmlNode) -> bool:
    """Whether two nodes stand for the same element."""
    return one.find() is other.find() and one.find() is not None


# --- the machine ------------------------------------------------------------------------------------------


def is_test(situation: Situation) -> bool:
    return situation.domain.type == "test"


def arch_of(situation: Situation) -> str:
    """The guest's architecture: the host's where the definition names none."""
    return situation.domain.os.arch or situation.facts.capabilities.arch


def is_x86(situation: Situation) -> bool:
    return arch_of(situation) in ("x86_64", "i686", "i386", "amd64")


def is_q35(domain: DomainXml) -> bool:
    return "q35" in (domain.os.machine or "")


def has_usb(domain: DomainXml) -> bool:
    """False when USB was switched off by a controller of model "none"."""
    return not any(c.type == "usb" and c.model == "none" for c in domain.devices.controllers)


NO_USB = N("USB is switched off in this VM: its USB controller is “none”.")


def has_spice(devices: Devices) -> bool:
    return any(each.type == "spice" for each in devices.graphics)


NO_SPICE = N("It needs a SPICE display, and this VM has none.")


def drop_virtio_options(node: VirtioOptions) -> None:
    """Take out what only the driver of a VirtIO device has."""
    node.iommu = node.ats = node.packed = node.page_per_vq = None


def may_have(situation: Situation, path: str, value: str) -> bool:
    """Whether the host offers a value, or says nothing of it."""
    offered = situation.facts.offered(path)
    if offered:
        return value in offered
    return situation.facts.offers_any(path) is not False


def first_offered(situation: Situation, path: str, wanted: Sequence[str]) -> str:
    """The first of ``wanted`` that the host may have; the first of all where it has none of them."""
    return next((value for value in wanted if may_have(situation, path, value)), wanted[0])


def since(situation: Situation, major: int, minor: int, reason: str) -> str:
    """``reason`` when the host's libvirt is older than a version; "" when it is not, or is unknown."""
    parts = situation.facts.capabilities.libvirt_version.split(".")[:2]
    known = len(parts) == 2 and all(part.isdigit() for part in parts)
    return reason if known and (int(parts[0]), int(parts[1])) < (major, minor) else ""


def io_thread_items(situation: Situation, node: Any) -> list[Item]:
    """The I/O threads of the VM, by number."""
    found = [Item(None, N("QEMU's main thread"))]
    numbers = set(range(1, (situation.domain.io_threads or 0) + 1)) | ({node.io_thread} if node.io_thread else set())
    return found + [Item(number, f"I/O thread {number}") for number in sorted(numbers)]


# --- what is still free -----------------------------------------------------------------------------------


def letters(index: int) -> str:
    """0 → "a", 25 → "z", 26 → "aa": the letters of drive names."""
    text = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        text = chr(ord("a") + rest) + text
    return text


def random_mac(draw: Callable[[int], bytes] = secrets.token_bytes) -> str:
    """A MAC address in QEMU's range. ``draw`` answers so many random bytes."""
    return "52:54:00:" + draw(3).hex(":")


def free_mac(situation: Situation, draw: Callable[[int], bytes] = secrets.token_bytes) -> str:
    """A MAC address of QEMU's (52:54:00) that no VM of the host has."""
    used = {mac.lower() for other in situation.facts.others for mac in other.macs}
    used |= {(card.mac or "").lower() for card in situation.domain.devices.interfaces}
    while True:
        mac = random_mac(draw)
        if mac not in used:
            return mac


def free_number(used: Iterable[int | None], start: int = 0) -> int:
    """The smallest number from ``start`` on that is not used."""
    taken = set(used)
    while start in taken:
        start += 1
    return start


# --- lists of devices -------------------------------------------------------------------------------------


def listing(children: Children[NodeT]) -> Callable[[DomainXml], list[NodeT]]:
    """``nodes`` of a resource that is one whole list of :class:`Devices`."""
    return lambda domain: list(children.__get__(domain.devices, Devices))


def dropping(children: Children[NodeT]) -> Callable[[DomainXml, NodeT], None]:
    """``remove`` of a device that takes nothing else with it."""
    return lambda domain, node: children.__get__(domain.devices, Devices).remove(node)
