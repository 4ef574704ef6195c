"""A second device with the settings of a first: what is its own is made anew or left out. No widgets."""

from __future__ import annotations

import copy
from collections.abc import Callable

from PySide6.QtCore import QCoreApplication

from guivm.engine.options.devices import free_mac, free_number, letters
from guivm.engine.options.option import Situation
from guivm.engine.xml.chardev import Channel, Console, Parallel, Serial
from guivm.engine.xml.controller import Controller
from guivm.engine.xml.device import Device
from guivm.engine.xml.disk import Disk
from guivm.engine.xml.document import remove_attribute
from guivm.engine.xml.filesystem import Filesystem
from guivm.engine.xml.graphics import Graphics
from guivm.engine.xml.hostdev import HostDevice
from guivm.engine.xml.interface import Interface
from guivm.engine.xml.node import XmlNode
from guivm.views.vm_settings.draft import Draft, Part
from guivm.views.vm_settings.pieces import translated

_PREFIXES = {"virtio": "vd", "ide": "hd", "fdc": "fd"}


def _tr(text: str) -> str:
    return QCoreApplication.translate("Duplicate", text)


def duplicate_refusal(draft: Draft, part: Part) -> str:
    """Why there can be no second of a device, one sentence, or ""."""
    if isinstance(part.node, HostDevice):
        return _tr("A device of the host can be given once only. Add another one instead.")
    resource = part.resource
    refusal = resource.add_refusal(draft.situation) if resource.add_refusal is not None else ""
    return translated(refusal)


def duplicate(draft: Draft, part: Part) -> Part:
    """Put a twin of a device behind it. Raises ValueError with a sentence where there can be no second."""
    refusal = duplicate_refusal(draft, part)
    if refusal:
        raise ValueError(refusal)
    resource = part.resource
    original = part.node.find()
    if original is None:
        raise ValueError(_tr("There is nothing to duplicate."))
    element = copy.deepcopy(original)
    node: XmlNode = type(part.node)(element)
    if isinstance(node, Device):
        node.alias = None
        for child in element.findall("address"):
            element.remove(child)
    for child in element.findall("boot"):
        element.remove(child)
    kind = next((k for k in _OWN if isinstance(node, k)), None)
    if kind is not None:
        _OWN[kind](node, draft.situation)
    original.addnext(element)
    draft.rebuild()
    return draft.part_of(resource, node)


def duplicate_note(part: Part) -> str:
    """What the twin has not got from the first, in a sentence."""
    if isinstance(part.node, Disk):
        return _tr("The new drive has the same settings and no file yet: two drives must not share one. Choose it.")
    if isinstance(part.node, Interface):
        return _tr("The new card has the same settings, and a MAC address of its own.")
    return _tr("The new device has the same settings.")


def _disk(node: XmlNode, situation: Situation) -> None:
    assert isinstance(node, Disk)
    element = node.make()
    for tag in ("source", "backingStore", "mirror", "encryption", "auth", "transient"):
        for child in element.findall(tag):
            element.remove(child)
    node.serial = node.wwn = None
    prefix = _PREFIXES.get(node.target_bus or "", "sd")
    used = {disk.target_dev for disk in situation.domain.devices.disks}
    index = 0
    while prefix + letters(index) in used:
        index += 1
    node.target_dev = prefix + letters(index)
    if node.type not in ("file", "block"):
        node.type = "file"


def _nic(node: XmlNode, situation: Situation) -> None:
    assert isinstance(node, Interface)
    node.mac = free_mac(situation)
    element = node.make()
    for tag in ("target", "portForward"):  # the host's end, and ports of the host, which one card can have
        for child in element.findall(tag):
            element.remove(child)


def _port(node: XmlNode, _situation: Situation) -> None:
    """A port's number, and the terminal that a running VM has for it, are its own."""
    element = node.make()
    for target in element.findall("target"):
        remove_attribute(target, "port")
    if element.get("type") == "pty":
        for source in element.findall("source"):
            element.remove(source)
    remove_attribute(element, "tty")


def _channel(node: XmlNode, situation: Situation) -> None:
    assert isinstance(node, Channel)
    _port(node, situation)
    target = node.make().find("target")
    name = None if target is None else target.get("name")
    if target is not None and name:
        used = {t.get("name") for c in situation.domain.devices.channels for t in c.make().findall("target")}
        target.set("name", next(f"{name}.{i}" for i in range(1, 10_000) if f"{name}.{i}" not in used))
        for source in node.make().findall("source"):
            remove_attribute(source, "path")


def _controller(node: XmlNode, situation: Situation) -> None:
    assert isinstance(node, Controller)
    alike = [c for c in situation.domain.devices.controllers if c.type == node.type]
    node.index = free_number(c.index for c in alike)


def _graphics(node: XmlNode, _situation: Situation) -> None:
    element = node.make()
    for name in ("port", "tlsPort", "websocket", "socket"):
        remove_attribute(element, name)
    element.set("autoport", "yes")


def _filesystem(node: XmlNode, situation: Situation) -> None:
    target = node.make().find("target")
    name = None if target is None else target.get("dir")
    if target is not None and name:
        used = {t.get("dir") for f in situation.domain.devices.filesystems for t in f.make().findall("target")}
        target.set("dir", next(f"{name}-{i}" for i in range(2, 10_000) if f"{name}-{i}" not in used))


_OWN: dict[type[XmlNode], Callable[[XmlNode, Situation], None]] = {
    Disk: _disk,
    Interface: _nic,
    Channel: _channel,
    Serial: _port,
    Parallel: _port,
    Console: _port,
    Controller: _controller,
    Graphics: _graphics,
    Filesystem: _filesystem,
}
