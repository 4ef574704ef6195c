"""Edits of a definition by words, as the command line has them: "disk", "vda", "cache", "none"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from guivm.engine.options import catalogue
from guivm.engine.options.changes import changes
from guivm.engine.options.option import Choice, Custom, Option, Resource, Secret, Situation, Switch
from guivm.engine.options.parts import Part, parts_of
from guivm.engine.options.text import parse, show
from guivm.engine.options.values import Change, ChangeKind, VmSettings
from guivm.engine.xml.diff import unified
from guivm.engine.xml.document import XmlError
from guivm.engine.xml.domain import DomainXml
from guivm.engine.xml.node import XmlNode
from guivm.text import clean_line

_LIMIT = 400


@dataclass(frozen=True, slots=True)
class ListedOption:
    """``value``: as it can be typed; ``words``: as people read it."""

    option: str
    value: str
    words: str
    help: str
    refusal: str
    live: bool
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ListedPart:
    resource: str
    device: str
    name: str
    summary: str
    rows: tuple[ListedOption, ...]


class Draft:
    """A definition that is being edited. All methods raise ValueError with a sentence."""

    def __init__(self, settings: VmSettings) -> None:
        self._settings = settings
        self._base = DomainXml.parse(settings.xml)
        self._domain = DomainXml.parse(settings.xml)

    @property
    def is_running(self) -> bool:
        return bool(self._settings.live_xml)

    @property
    def xml(self) -> str:
        return self._domain.to_text()

    @property
    def is_changed(self) -> bool:
        return self.xml != self._base.to_text()

    def changes(self) -> tuple[Change, ...]:
        return changes(self._base, self._domain)

    def diff(self) -> str:
        """Unified, passwords hidden; empty when nothing differs."""
        return unified(self._settings.xml, self.xml, self._base.name or "")

    def may_be_live(self, change: Change) -> bool:
        """Whether libvirt can change it on a running VM; the guest may still refuse."""
        if not self.is_running:
            return False
        try:
            resource = catalogue.resource(change.place.resource)
        except KeyError:
            return False
        if change.kind is not ChangeKind.CHANGED:
            return resource.hotplug
        return any(option.live for option in resource.options if option.id == change.place.option)

    # --- edits ----------------------------------------------------------------------------------------

    def set(self, resource: str, device: str, option: str, text: str) -> None:
        kind = _resource(resource)
        self._set(kind, self._node(kind, device), option, text)

    def add(self, resource: str, values: Sequence[tuple[str, str]]) -> None:
        kind = _resource(resource)
        refusal = kind.add_refusal(self._situation) if kind.add_refusal is not None else ""
        if kind.add is None or refusal:
            raise ValueError(refusal or f"“{resource}” cannot be added: each machine has just one.")
        try:
            node: XmlNode = kind.add(self._situation)
        except XmlError as error:
            raise ValueError(str(error)) from error
        for option, text in values:
            self._set(kind, node, option, text)

    def remove(self, resource: str, device: str) -> None:
        kind = _resource(resource)
        if kind.remove is None:
            raise ValueError(f"“{resource}” cannot be removed.")
        kind.remove(self._domain, self._node(kind, device))

    def _set(self, resource: Resource[Any], node: XmlNode, name: str, text: str) -> None:
        option = next((option for option in resource.options if option.id == name), None)
        if option is None:
            known = ", ".join(option.id for option in resource.options)
            raise ValueError(f"“{resource.id}” has no option “{name}”; there are: {known}.")
        refusal = option.refusal(self._situation, node)
        if refusal:
            raise ValueError(f"{resource.id}.{name}: {refusal}")
        try:
            option.set(node, parse(option, text, self._situation, node))
        except (ValueError, XmlError) as error:
            raise ValueError(f"{resource.id}.{name}: {error}") from error

    # --- finding --------------------------------------------------------------------------------------

    @property
    def _situation(self) -> Situation:
        return Situation(self._settings.facts, self._domain, is_running=self.is_running)

    def _node(self, resource: Resource[Any], device: str) -> XmlNode:
        """By identity (case does not count), else by number."""
        parts = parts_of(self._domain, resource)
        nodes = [part.node for part in parts]
        names = [part.device for part in parts]
        if not device and len(nodes) == 1:
            return nodes[0]
        for name, node in zip(names, nodes, strict=True):
            if device and name.lower() == device.lower():
                return node
        if device.isdecimal() and int(device) < len(nodes):
            return nodes[int(device)]
        there = f"there are: {', '.join(names)}" if names else "there is none"
        if not device:
            raise ValueError(f"Say which “{resource.id}”; {there}.")
        raise ValueError(f"There is no “{resource.id}” called “{clean_line(device)}”; {there}.")

    # --- lists ----------------------------------------------------------------------------------------

    def listed(self, resource: str = "") -> tuple[ListedPart, ...]:
        """All parts, or those of one resource, with their options and present values."""
        kinds = [_resource(resource)] if resource else list(catalogue.RESOURCES)
        return tuple(self._part(part) for kind in kinds for part in parts_of(self._domain, kind))

    def _part(self, part: Part) -> ListedPart:
        resource, node = part.resource, part.node
        rows = tuple(self._row(option, node) for option in resource.options)
        return ListedPart(
            resource.id,
            clean_line(part.device, _LIMIT),
            clean_line(str(part.name), _LIMIT),
            clean_line(resource.summary(self._situation, node), _LIMIT),
            rows,
        )

    def _row(self, option: Option[Any], node: XmlNode) -> ListedOption:
        situation = self._situation
        try:
            value = option.get(node)
        except XmlError as error:
            return ListedOption(option.id, "", "", _help(option), str(error), option.live)
        choices: tuple[str, ...] = ()
        if isinstance(option.editor, Choice):
            items = option.editor.items(situation, node)
            choices = tuple(_typed(item.value) for item in items if not item.refusal)
        elif isinstance(option.editor, Switch):
            choices = ("yes", "no")
        return ListedOption(
            option.id,
            "" if isinstance(option.editor, Secret) else _typed(value),
            show(option, value, situation, node),
            _help(option),
            option.refusal(situation, node),
            option.live,
            choices,
        )


def _help(option: Option[Any]) -> str:
    """With the text form of what the window has a widget for."""
    form = option.editor.form if isinstance(option.editor, Custom) else ""
    return f"{option.help} ({form})" if form else option.help


def _typed(value: object) -> str:
    if value is None:
        return "default"
    return ("yes" if value else "no") if isinstance(value, bool) else clean_line(str(value), _LIMIT)


def _resource(name: str) -> Resource[Any]:
    try:
        return catalogue.resource(name)
    except KeyError:
        known = ", ".join(resource.id for resource in catalogue.RESOURCES)
        raise ValueError(f"There is no resource “{clean_line(name)}”; there are: {known}.") from None
