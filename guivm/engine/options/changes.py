"""What differs between two definitions, in the catalogue's words, and how one difference is put back.

Every typed field counts. Differences that one option explains are one change: what an option sets besides its own
property (the cores of a topology, the file of a firmware) comes and goes with it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from guivm.engine.job_types import HostCapabilities, KvmStatus
from guivm.engine.options import catalogue
from guivm.engine.options.differences import Comparison, Difference, compare
from guivm.engine.options.facts import HostFacts
from guivm.engine.options.option import N, Option, Situation, Switch, Value
from guivm.engine.options.parts import Part, all_parts
from guivm.engine.options.phrase import Phrase
from guivm.engine.options.restoring import restore
from guivm.engine.options.text import HIDDEN, show
from guivm.engine.options.values import Change, ChangeKind, Place
from guivm.engine.types import HostId
from guivm.engine.xml.document import Element, XmlError, element_children
from guivm.engine.xml.domain import DomainXml
from guivm.engine.xml.fields import declared
from guivm.engine.xml.node import XmlNode
from guivm.text import clean_line

_LIMIT = 400

# Where fields without an option are shown, by the first step of their place.
_HOMES = {
    "os": "boot",
    "cpu": "cpu",
    "vcpu": "cpu",
    "individual_vcpus": "cpu",
    "cpu_tune": "cpu",
    "numa_tune": "cpu",
    "io_threads": "cpu",
    "io_thread_ids": "cpu",
    "default_io_thread": "cpu",
    "memory_kib": "memory",
    "current_memory_kib": "memory",
    "max_memory_kib": "memory",
    "memory_slots": "memory",
    "memory_dump_core": "memory",
    "memory_backing": "memory",
    "memory_tune": "memory",
}


def changes(before: DomainXml, after: DomainXml) -> tuple[Change, ...]:
    """All changes that lead from ``before`` to ``after``, in the catalogue's order; passwords are never in them.

    Where one of them is a running VM's (libvirt's live XML), what libvirt itself fills in there is no change.
    """
    return Baseline(before).changes(after)


class Baseline:
    """A document that others are compared with, one after the other; it stays as it is meanwhile."""

    def __init__(self, domain: DomainXml) -> None:
        self._side = _Side(domain)

    def changes(self, after: DomainXml) -> tuple[Change, ...]:
        """As :func:`changes`."""
        return tuple(entry.change for entry in _Reading(self._side, _Side(after)).entries())


def revert(draft: DomainXml, base: DomainXml, change: Change) -> None:
    """Put back one of ``changes(base, draft)``, and nothing else; one that is none of them any more is passed over."""
    reading = _Reading(_Side(base), _Side(draft))
    alike = [e for e in reading.entries() if (e.change.place, e.change.kind) == (change.place, change.kind)]
    entry = next((entry for entry in alike if entry.change == change), alike[0] if alike else None)
    if entry is not None:
        restore(draft, base, entry.differences, reading.comparison.pairs)


@dataclass(frozen=True, slots=True)
class _Entry:
    change: Change
    differences: tuple[Difference, ...]


class _Side:
    """The parts of one document, found by their elements."""

    def __init__(self, domain: DomainXml) -> None:
        self.domain = domain
        self.situation = Situation(_unknown_host(), domain)
        self.parts = all_parts(domain)
        self._by_element: dict[Element, Part] = {}
        self._names: dict[Element, str] = {}
        for part in self.parts:
            element = part.node.find()
            if element is not None and part.resource.is_device:
                self._by_element.setdefault(element, part)

    def title(self, part: Part) -> Phrase:
        """A device among others of its kind: one without a name of its own is told by its number."""
        if not part.resource.is_device or part.resource.name is not None:
            return part.name
        is_only = sum(other.resource is part.resource for other in self.parts) < 2
        mark = part.identity or ("" if is_only else str(part.index + 1))
        return Phrase(f"{{}} {mark}" if mark else "{}", part.name).cleaned()

    def part_of(self, node: XmlNode) -> Part | None:
        element = node.find()
        return None if element is None else self._by_element.get(element)

    def identify(self, node: XmlNode) -> str:
        """What a device keeps through edits."""
        element = node.find()
        return "" if element is None else self.name_of(element)

    def name_of(self, element: Element) -> str:
        if element not in self._names:
            part = self._by_element.get(element)
            self._names[element] = f"{part.resource.id}:{part.identity}" if part is not None and part.identity else ""
        return self._names[element]


@dataclass(frozen=True, slots=True)
class _Candidate:
    """An option whose value differs."""

    option: Option[Any]
    before: Part
    after: Part
    old: Value | None
    new: Value | None


class _Reading:
    def __init__(self, before: _Side, after: _Side) -> None:
        self._before, self._after = before, after
        self.comparison: Comparison = compare(before.domain, after.domain, before.identify, after.identify)
        self._origins = {after: before for before, after in self.comparison.pairs.items()}

    def entries(self) -> list[_Entry]:
        found: list[tuple[tuple[int, int, int], _Entry]] = []
        waiting: dict[str, Difference] = {}
        for difference in self.comparison.differences:
            if difference.is_device:
                entry = self._device(difference)
                found.append((self._rank(entry.change), entry))
            else:
                waiting[difference.where] = difference
        if waiting:
            for entry in self._explained(waiting):
                found.append((self._rank(entry.change), entry))
            for difference in waiting.values():
                entry = self._raw(difference)
                found.append((self._rank(entry.change), entry))
        return [entry for _, entry in sorted(found, key=lambda item: item[0])]

    # --- options --------------------------------------------------------------------------------------

    def _explained(self, waiting: dict[str, Difference]) -> Iterator[_Entry]:
        """Entries of options, those that explain most first; what they explain is taken out of ``waiting``."""
        yield from self._take(self._candidates(changed=True), waiting)
        if waiting:  # an option of a device may keep something elsewhere
            yield from self._take(self._candidates(changed=False), waiting)

    def _take(self, candidates: Sequence[_Candidate], waiting: dict[str, Difference]) -> Iterator[_Entry]:
        explained = [(candidate, self._explains(candidate, waiting)) for candidate in candidates]
        while waiting:
            best, places = max(explained, key=lambda pair: len(pair[1] & waiting.keys()), default=(None, frozenset()))
            places = places & waiting.keys()
            if best is None or not places:
                return
            yield _Entry(self._change(best), tuple(waiting.pop(place) for place in sorted(places)))

    def _candidates(self, *, changed: bool) -> list[_Candidate]:
        pairs: list[tuple[Part, Part]] = []
        if changed:
            afters = {part.resource.id: part for part in self._after.parts if not part.resource.is_device}
            pairs = [(p, afters[p.resource.id]) for p in self._before.parts if not p.resource.is_device]
        for old, new, differs in self.comparison.devices:
            first, second = self._before.part_of(old), self._after.part_of(new)
            if differs == changed and first is not None and second is not None and first.resource is second.resource:
                pairs.append((first, second))
        return [
            _Candidate(option, first, second, old_value, new_value)
            for first, second in pairs
            for option in first.resource.options
            for old_value, new_value in [(_read(option, first.node), _read(option, second.node))]
            if old_value != new_value or type(old_value) is not type(new_value)
        ]

    def _explains(self, candidate: _Candidate, waiting: dict[str, Difference]) -> frozenset[str]:
        """The places that are alike once the option is set on a copy of what was."""
        original = self._before.domain
        domain = DomainXml(copy.deepcopy(original.make().getroottree()).getroot())
        twins = dict(zip(_devices(domain), _devices(original), strict=True))
        node = candidate.before.resource.nodes(domain)[candidate.before.index]
        try:
            candidate.option.set(node, candidate.new)
        except (XmlError, ValueError):
            return frozenset()

        def identify_before(device: XmlNode) -> str:
            """By what it was called before the option was set."""
            element = device.find()
            twin = twins.get(element) if element is not None else None
            return "" if twin is None else self._before.name_of(twin)

        compared = compare(
            domain,
            self._after.domain,
            identify_before,
            self._identify_after,
            texts=self.comparison.texts,
            differences_only=True,
        )
        return frozenset(waiting.keys() - {difference.where for difference in compared.differences})

    def _identify_after(self, device: XmlNode) -> str:
        """By what it was called in the document before, where it was there."""
        element = device.find()
        old = None if element is None else self._origins.get(element)
        return self._after.identify(device) if old is None else self._before.name_of(old)

    # --- words ----------------------------------------------------------------------------------------

    def _change(self, candidate: _Candidate) -> Change:
        option = candidate.option
        return Change(
            candidate.after.place(option.id),
            ChangeKind.CHANGED,
            self._after.title(candidate.after),
            option.label,
            show(option, candidate.old, self._before.situation, candidate.before.node),
            show(option, candidate.new, self._after.situation, candidate.after.node),
        )

    def _device(self, difference: Difference) -> _Entry:
        is_new = difference.before is None
        side = self._after if is_new else self._before
        node = difference.after if is_new else difference.before
        assert node is not None
        part = side.part_of(node)
        kind = ChangeKind.ADDED if is_new else ChangeKind.REMOVED
        if part is None:
            element = node.find()
            tag = "" if element is None else str(element.tag)
            key = difference.where.rpartition("[")[2].strip("]+")
            change = Change(
                Place(tag, key),
                kind,
                Phrase(tag),
                "",
                *(("", _item_words(node)) if is_new else (_item_words(node), "")),
            )
        else:
            words = clean_line(part.resource.summary(side.situation, part.node), _LIMIT)
            old, new = ("", words) if is_new else (words, "")
            change = Change(part.place(), kind, side.title(part), "", old, new)
        return _Entry(change, (difference,))

    def _raw(self, difference: Difference) -> _Entry:
        """A field that no option knows: its own name."""
        kind = ChangeKind.CHANGED
        if not difference.properties:
            kind = ChangeKind.ADDED if difference.before is None else ChangeKind.REMOVED
        part = self._part_at(difference)
        where = difference.where
        if difference.owner is not None:
            where = where.partition("].")[2] if where.startswith("devices.") else where
        label = clean_line(where.replace("_", " "), _LIMIT)
        if part is not None:
            place, name = part.place(where), self._after.title(part)
        else:
            home = _HOMES.get(where.split(".")[0].split("[")[0], "system")
            device = difference.where.split(".")[1] if difference.owner is not None else ""
            place, name = Place(home, device, where), Phrase(device or catalogue.resource(home).title)
        secret = _is_secret(where)
        old, new = (
            (HIDDEN if secret and value is not None else _words(value)) for value in (difference.old, difference.new)
        )
        if not difference.properties:
            old, new = _item_words(difference.before), _item_words(difference.after)
        return _Entry(Change(place, kind, name, label, old, new), (difference,))

    def _part_at(self, difference: Difference) -> Part | None:
        """The device in the document as it is now; what it is called may have changed."""
        if difference.owner is None:
            return None
        paired = next((new for old, new, _ in self.comparison.devices if old.find() is difference.owner.find()), None)
        return None if paired is None else self._after.part_of(paired)

    def _rank(self, change: Change) -> tuple[int, int, int]:
        """Place in the catalogue: resource, device, option."""
        place = change.place
        for number, resource in enumerate(catalogue.RESOURCES):
            if resource.id == place.resource:
                option = next(
                    (i for i, o in enumerate(resource.options) if o.id == place.option), len(resource.options)
                )
                side = self._before if change.kind is ChangeKind.REMOVED else self._after
                device = next((p.index for p in side.parts if p.resource is resource and p.device == place.device), 0)
                return number, device, option
        return len(catalogue.RESOURCES), 0, 0


def _devices(domain: DomainXml) -> list[Element]:
    devices = domain.devices.find()
    return [] if devices is None else element_children(devices)


def _read(option: Option[Any], node: XmlNode) -> Value | None:
    """The value; a switch that says nothing means what libvirt does then."""
    try:
        value: Value | None = option.get(node)
    except XmlError:  # the field itself will be shown as it stands
        return None
    if isinstance(option.editor, Switch) and value is None and option.editor.default is not None:
        return option.editor.default
    return value


def _words(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return N("yes") if value else N("no")
    return clean_line(str(value), _LIMIT)


def _item_words(node: XmlNode | None) -> str:
    """An item of a list by what it says: "name vmx, policy disable"."""
    if node is None:
        return ""
    said = [
        f"{name.replace('_', ' ')} {_words(value)}"
        for name, descriptor in declared(type(node))
        for value in [_plain(node, name)]
        if value not in (None, False) and not _is_secret(name)
    ]
    return clean_line(", ".join(said), _LIMIT)


def _plain(node: XmlNode, name: str) -> object:
    try:
        value: object = getattr(node, name)
    except XmlError:
        return None
    return value if isinstance(value, str | int) else None


def _is_secret(name: str) -> bool:
    last = name.rpartition(".")[2]
    return last == "password" or "cookie" in last


def _unknown_host() -> HostFacts:
    """For labels of choices, which do not depend on the host."""
    nothing = HostCapabilities(
        host=HostId(""),
        arch="",
        kvm=KvmStatus(True, ""),
        memory_bytes=0,
        memory_free_bytes=0,
        cpus=0,
        max_vcpus=0,
        machines=(),
        has_uefi=True,
        uefi_reason="",
        video_models=(),
        graphics_types=(),
        channel_types=(),
        has_tpm=True,
        libvirt_version="",
        hypervisor_version="",
        images_dir=Path("/"),
        images_free_bytes=0,
    )
    return HostFacts(capabilities=nothing)
