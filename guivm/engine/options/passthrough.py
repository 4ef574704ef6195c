"""What the pages of all devices of the host share. (formatdomain.html, "Host device assignment")"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from guivm.engine.options.devices import Get, Set, reader, words
from guivm.engine.options.drives import set_boot_order
from guivm.engine.options.option import Custom, Item, N, Number, Option, Situation, Value
from guivm.engine.options.phrase import Phrase
from guivm.engine.xml.domain import DomainXml
from guivm.engine.xml.hostdev import HostDevice

BOOT: Option[HostDevice] = Option(
    "boot-order",
    N("Boot position"),
    N("1 is tried first; booting from a stick or card of the host works only while it is there."),
    Number(1, 999),
    reader(HostDevice.boot_order),
    set_boot_order,
    more=True,
    keywords="boot index",
    default=N("not booted from"),
)


def device_option(editor: Custom, help_text: str, get: Get, write: Set) -> Option[HostDevice]:
    """The option that says which device of the host it is."""
    return Option("device", N("Device"), help_text, editor, get, write, keywords="host physical pass-through")


def of_type(kind: str) -> Callable[[DomainXml], list[HostDevice]]:
    """``nodes`` of a resource: the passed-through devices of one kind ("usb", "pci", "mdev")."""
    return lambda domain: [each for each in domain.devices.host_devices if each.type == kind]


def add_device(domain: DomainXml, kind: str) -> HostDevice:
    """Append one that names no device of the host yet."""
    hostdev = domain.devices.host_devices.add()
    hostdev.mode, hostdev.type = "subsystem", kind
    return hostdev


def free_items(situation: Situation, kind: str, items: Iterable[Item], get: Get) -> list[Item]:
    """The devices that can be given away and are not in this VM already."""
    mine = {get(each) for each in of_type(kind)(situation.domain)}
    return [item for item in items if not item.refusal and item.value not in mine]


def summary(items: Iterable[Item], present: Value | None, absent: str) -> str:
    """The words for a device; where the host has no such one, its text and ``absent``."""
    label = next((item.label for item in items if item.value == present), "")
    return label or words(str(present or ""), absent)


def named(text: str, get: Get) -> Callable[[HostDevice], Phrase]:
    """``name`` of a resource: ``text`` with which device it is, "USB device 046d:c52b"."""
    return lambda hostdev: Phrase(text, str(get(hostdev) or ""))
