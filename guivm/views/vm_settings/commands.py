"""The same changes as commands of virsh, for people who want to know or repeat them. Pure."""

from __future__ import annotations

import shlex

from PySide6.QtCore import QCoreApplication

from guivm.engine.options.parts import Part, all_parts
from guivm.engine.options.values import Change, ChangeKind
from guivm.engine.xml.diff import pretty
from guivm.engine.xml.domain import DomainXml
from guivm.engine.xml.node import XmlNode
from guivm.views.vm_settings.draft import AUTOSTART, Draft

# Kinds of device whose whole element virsh can hand over (virsh(1): attach-device, detach-device, update-device).
_ATTACHED = frozenset(
    ("disk", "cdrom", "floppy", "nic", "hostdev", "redirdev", "filesystem", "rng", "watchdog", "channel", "input")
)
_UPDATED = frozenset(("disk", "cdrom", "floppy", "nic"))


def _tr(text: str) -> str:
    return QCoreApplication.translate("Commands", text)


def commands(draft: Draft) -> str:
    """Lines for a shell. What no simpler command does is done by defining the whole document."""
    name = shlex.quote(draft.domain.name or "")
    scope = "--live --config" if draft.is_running else "--config"
    lines: list[str] = []
    devices: set[tuple[str, str, ChangeKind]] = set()
    whole = False
    for change in draft.changes():
        key = (change.place.resource, change.place.device, change.kind)
        if key in devices:
            continue
        found = _simple(draft, change, name, scope)
        if found is None:
            whole = True
            continue
        if change.place.device:
            devices.add(key)
        lines += found
    if whole:
        lines += ["# " + _tr("vm.xml: the text on the page “XML”"), f"virsh define --validate vm.xml  # {name}"]
        lines = [line for line in lines if line.startswith(("virsh autostart", "virsh define", "# "))]
    return "\n".join(lines)


def _simple(draft: Draft, change: Change, name: str, scope: str) -> list[str] | None:
    domain = draft.domain
    if change.place == AUTOSTART:
        return [f"virsh autostart {name}" + ("" if draft.autostart else " --disable")]
    count, memory = domain.vcpu.current or domain.vcpu.maximum, domain.current_memory_kib or domain.memory_kib
    match change.place.resource, change.place.option:
        case "cpu", "count":
            return [f"virsh setvcpus {name} {count} {scope}"]
        case "cpu", "maximum":
            return [f"virsh setvcpus {name} {domain.vcpu.maximum} --maximum --config"]
        case "system", "title":
            return [f"virsh desc {name} {scope} --title -- {shlex.quote(domain.title or '')}"]
        case "system", "notes":
            return [f"virsh desc {name} {scope} -- {shlex.quote(domain.description or '')}"]
        case "memory", "current":
            return [f"virsh setmem {name} {memory}KiB {scope}"]
        case "memory", "maximum":
            return [f"virsh setmaxmem {name} {domain.memory_kib}KiB --config"]
    if not change.place.device:
        return None
    if change.kind is ChangeKind.REMOVED:
        part = _part(draft.base, change)
        return None if part is None else _device_command("detach-device", part.node, name, scope)
    part = _part(domain, change)
    if part is None:
        return None
    if change.kind is ChangeKind.ADDED and part.resource.id in _ATTACHED:
        return _device_command("attach-device", part.node, name, scope)
    if change.kind is ChangeKind.CHANGED and part.resource.id in _UPDATED:
        return _device_command("update-device", part.node, name, scope)
    return None


def _device_command(verb: str, node: XmlNode, name: str, scope: str) -> list[str]:
    element = node.find()
    if element is None:
        return []
    from lxml import etree

    text = etree.tostring(element, encoding="unicode", with_tail=False)
    return [f"virsh {verb} {name} /dev/stdin {scope} <<'XML'", *pretty(text), "XML"]


def _part(domain: DomainXml, change: Change) -> Part | None:
    place = (change.place.resource, change.place.device)
    return next((part for part in all_parts(domain) if (part.resource.id, part.device) == place), None)
