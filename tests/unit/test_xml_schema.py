"""Every typed property against libvirt's own schema: it exists there, is read, and is written as the schema wants it.

For each property the smallest document that has it is made from the RELAX NG schema that libvirt installs.
"""

from __future__ import annotations

from typing import Any

import libvirt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from guivm.engine.xml.check import check_text
from guivm.engine.xml.document import descend
from guivm.engine.xml.fields import Field, declared, fields
from guivm.engine.xml.node import XmlNode
from guivm.engine.xml.properties import Child, Children, Flag, Property, Size, Switch, Text
from tests.helpers.xml_kinds import ROOTS, Place, all_kinds, path_steps, places
from tests.helpers.xml_schema import RandomWriter, Writer, grammar

# Properties younger than the oldest libvirt that guivm works with, and the release that brought them.
NEWER = {
    "Cpu.clusters": "10.1",
    "Cpu.physical_address_limit": "9.3",
    "Disk.discard_no_unref": "9.5",
    "Features.hyperv_emsr_bitmap": "10.7",
    "Features.hyperv_tlbflush_direct": "11.1",
    "Features.hyperv_tlbflush_extended": "11.1",
    "Features.hyperv_xmm_input": "10.7",
    "Filesystem.group_ids": "10.0",
    "Filesystem.open_files_max": "10.6",
    "Filesystem.user_ids": "10.0",
    "IoThread.poll_grow": "9.4",
    "IoThread.poll_max_ns": "9.4",
    "IoThread.poll_shrink": "9.4",
    "MemoryDevice.dynamic_slots": "10.1",
    "NetworkXml.description": "9.7",
    "NetworkXml.title": "9.7",
    "Os.loader_format": "9.2",
    "Os.nvram_format": "9.2",
    "Os.nvram_template_format": "10.10",
    "Sound.multichannel": "9.4",
    "Sound.streams": "10.4",
    "Video.blob": "9.2",
}


def _target(place: Place, descriptor: Property[Any] | Flag | Child[Any] | Children[Any]) -> tuple[str, ...]:
    end = ("#text",) if isinstance(descriptor, Text | Size) and "@" not in descriptor.path else ()
    return (*place.steps, *path_steps(descriptor.path), *end)


def _declarations() -> list[tuple[type[XmlNode], str]]:
    """Each property once, with the class that declares it."""
    return [
        (kind, name)
        for kind in all_kinds()
        for name, value in vars(kind).items()
        if isinstance(value, Property | Flag | Child | Children)
    ]


def _reachable(owner: type[XmlNode], name: str) -> list[tuple[Place, tuple[str, ...]]]:
    """Everywhere that the schema has the property, in the class that declares it or one that inherits it."""
    return [
        (place, target)
        for kind, there in places().items()
        if issubclass(kind, owner)
        for place in there
        if grammar(place.root).reaches(grammar(place.root).start, target := _target(place, dict(declared(kind))[name]))
    ]


DECLARATIONS = _declarations()


@pytest.mark.parametrize(("owner", "name"), DECLARATIONS, ids=[f"{k.__name__}.{n}" for k, n in DECLARATIONS])
def test_the_schema_has_the_property_and_accepts_what_is_written(owner: type[XmlNode], name: str) -> None:
    found = _reachable(owner, name)
    if not found:
        since = NEWER.get(f"{owner.__name__}.{name}") or _since_of_the_class(owner)
        assert since is not None, "libvirt knows no such thing"
        major, minor = (int(part) for part in since.split("."))
        assert libvirt.getVersion() < major * 1_000_000 + minor * 1_000, "the schema of this libvirt should have it"
        return
    assert f"{owner.__name__}.{name}" not in NEWER or libvirt.getVersion() >= 9_001_000
    for place, target in found:
        _write_again(place, target, name)


def _since_of_the_class(owner: type[XmlNode]) -> str | None:
    """When all places of a class are newer than the schema, so are its properties."""
    ways = {
        f"{holder.__name__}.{name}"
        for holder in all_kinds()
        for name, descriptor in vars(holder).items()
        if isinstance(descriptor, Child | Children) and descriptor.kind is owner
    }
    return next((NEWER[way] for way in ways if way in NEWER), None) if ways <= NEWER.keys() else None


def _write_again(place: Place, target: tuple[str, ...], name: str) -> None:
    rules = grammar(place.root)
    element = Writer(rules).document(target)
    assert rules.validate.validate(element), rules.validate.error_log
    kind = dict(ROOTS)[place.root]
    node = place.node(kind(element))
    descriptor = dict(declared(type(node)))[name]
    if isinstance(descriptor, Child | Children):
        child = getattr(node, name)
        assert child.exists if isinstance(descriptor, Child) else len(child) > 0
        return
    value = getattr(node, name)
    assert value is not None
    before = etree.tostring(element, method="c14n")
    setattr(node, name, value)
    assert getattr(node, name) == value
    assert rules.validate.validate(element), (etree.tostring(element), rules.validate.error_log)
    setattr(node, name, False if isinstance(descriptor, Flag) else None)
    assert etree.tostring(element, method="c14n") != before
    if isinstance(descriptor, Flag):
        assert getattr(place.node(kind(element)), name) is False
    setattr(node, name, value)
    assert getattr(node, name) == value
    assert rules.validate.validate(element), (etree.tostring(element), rules.validate.error_log)


# --- arbitrary documents ----------------------------------------------------------------------------------


def _arbitrary(root: str, seed: int) -> tuple[XmlNode, etree._Element]:
    element = RandomWriter(grammar(root), seed).document(())
    assert grammar(root).validate.validate(element), (etree.tostring(element), grammar(root).validate.error_log)
    return dict(ROOTS)[root](element), element


def _descriptor(field: Field) -> Property[Any] | Flag:
    found = dict(declared(type(field.node)))[field.name]
    assert isinstance(found, Property | Flag)
    return found


@given(st.sampled_from(ROOTS), st.integers(0, 1 << 32))
def test_every_valid_document_is_read_and_not_changed(root: tuple[str, type[XmlNode]], seed: int) -> None:
    _, element = _arbitrary(root[0], seed)
    result = check_text(etree.tostring(element, encoding="unicode"))
    assert (result.differences, result.problem) == ((), "")


@given(st.sampled_from(ROOTS), st.integers(0, 1 << 32))
def test_writing_what_was_read_means_the_same_and_stays_valid(root: tuple[str, type[XmlNode]], seed: int) -> None:
    node, element = _arbitrary(root[0], seed)
    before = {field.where: field.value for field in fields(node)}
    for field in list(fields(node)):
        setattr(field.node, field.name, field.value)
    assert {field.where: field.value for field in fields(node)} == before
    assert grammar(root[0]).validate.validate(element), (etree.tostring(element), grammar(root[0]).validate.error_log)


@given(st.sampled_from(ROOTS), st.integers(0, 1 << 32), st.data())
def test_removing_one_value_leaves_all_others(root: tuple[str, type[XmlNode]], seed: int, data: st.DataObject) -> None:
    node, _ = _arbitrary(root[0], seed)
    chosen = data.draw(
        st.sampled_from([field for field in _set(node) if not isinstance(_descriptor(field), Flag | Switch)])
    )
    place, value = _place_of(chosen), chosen.value
    same = {field.where for field in _set(node) if _place_of(field) == place}

    def others() -> dict[str, object]:
        return {field.where: field.value for field in _set(node) if field.where not in same}

    before = others()
    setattr(chosen.node, chosen.name, None)
    assert others() == before
    setattr(chosen.node, chosen.name, value)
    assert others() == before


def _set(node: XmlNode) -> list[Field]:
    return [
        field
        for field in fields(node)
        if field.value is not None and not (isinstance(_descriptor(field), Flag) and field.value is False)
    ]


def _place_of(field: Field) -> tuple[str, str]:
    """The attribute or text that a property stands for: several may stand for the same."""
    *steps, last = _descriptor(field).path.split("/")
    if not last.startswith("@"):
        steps, last = [step for step in (*steps, last) if step], ""
    element = descend(field.node.find(), tuple(steps))
    assert element is not None
    return (element.getroottree().getpath(element), last)
