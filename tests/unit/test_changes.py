"""Changes between definitions: what counts, in what words, and that each can be put back alone."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guivm.engine.options import catalogue
from guivm.engine.options.changes import Baseline, changes, revert
from guivm.engine.options.differences import canonical
from guivm.engine.options.nic_modes import set_mode
from guivm.engine.options.option import Choice, Number, Option, Resource, Size, Switch, Value
from guivm.engine.options.phrase import Phrase
from guivm.engine.options.values import Change, ChangeKind, Place
from guivm.engine.xml.document import XmlError
from guivm.engine.xml.domain import DomainXml
from tests.helpers.machine_settings import situation_of
from tests.helpers.running_domains import DEFINED, DEFINED_UEFI, LIVE, LIVE_UEFI


def _canonical(domain: DomainXml) -> bytes:
    """Everything but white space and the order of devices and of unlike elements, which means nothing."""
    root = copy.deepcopy(domain.make())
    for element in list(root.iter()):
        element[:] = sorted(element, key=lambda child: str(child.tag))
    for devices in root.iterchildren("devices"):
        devices[:] = sorted(devices, key=canonical)
    return canonical(root)


def _edited(text: str = DEFINED) -> tuple[DomainXml, DomainXml]:
    return DomainXml.parse(text), DomainXml.parse(text)


def _places(found: tuple[Change, ...]) -> list[tuple[str, str, str]]:
    return [(change.place.resource, change.place.device, change.place.option) for change in found]


# --- a running VM -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("live", "defined"), [(LIVE, DEFINED), (LIVE_UEFI, DEFINED_UEFI)])
def test_an_untouched_running_vm_has_no_changes(live: str, defined: str) -> None:
    assert changes(DomainXml.parse(live), DomainXml.parse(defined)) == ()
    assert changes(DomainXml.parse(defined), DomainXml.parse(live)) == ()


@pytest.mark.parametrize(
    ("edit", "place", "old", "new"),
    [
        (lambda d: setattr(d.devices.disks[0], "cache", "none"), ("disk", "vda", "cache"), None, None),
        (lambda d: setattr(d, "title", "Teaching"), ("system", "", "title"), "", "Teaching"),
        (lambda d: setattr(d.vcpu, "current", None), ("cpu", "", "count"), "1", "2"),
        (lambda d: setattr(d, "memory_kib", 1 << 20), ("memory", "", "maximum"), "128 MiB", "1 GiB"),
        (
            lambda d: setattr(d.devices.interfaces[0], "link_state", "down"),
            ("nic", "52:54:00:f8:58:4b", None),
            None,
            None,
        ),
        (lambda d: setattr(d.devices.graphics[0], "port", 5999), ("display", None, None), None, "5999"),
    ],
)
def test_what_waits_for_the_next_start_is_seen(edit: Any, place: Any, old: str | None, new: str | None) -> None:
    live, defined = DomainXml.parse(LIVE), DomainXml.parse(DEFINED)
    edit(defined)
    (change,) = changes(live, defined)
    found = (change.place.resource, change.place.device, change.place.option)
    assert all(wanted in (None, is_) for wanted, is_ in zip(place, found, strict=True)), change
    assert old in (None, change.old)
    assert new in (None, change.new)


def test_a_device_that_was_defined_but_not_plugged_in_waits() -> None:
    live, defined = DomainXml.parse(LIVE), DomainXml.parse(DEFINED)
    disk = defined.devices.disks.add()
    disk.type, disk.device, disk.source_file = "file", "disk", "/srv/more.img"
    disk.target_dev, disk.target_bus = "vdb", "virtio"
    (change,) = changes(live, defined)
    assert (change.kind, change.place.resource, change.place.device) == (ChangeKind.ADDED, "disk", "vdb")
    (change,) = changes(defined, live)
    assert change.kind is ChangeKind.REMOVED


# --- two definitions --------------------------------------------------------------------------------------


def test_what_an_option_sets_besides_is_one_change_with_it() -> None:
    base, draft = _edited()
    draft.cpu.sockets, draft.cpu.cores, draft.cpu.threads = 1, 2, 1
    base.cpu.sockets, base.cpu.cores, base.cpu.threads = 1, 2, 1
    catalogue.resource("cpu").options[1].set(draft, 8)
    assert [change.label for change in changes(base, draft)] == ["Room for"]
    revert(draft, base, changes(base, draft)[0])
    assert draft.cpu.cores == 2
    assert _canonical(draft) == _canonical(base)


def test_a_field_without_an_option_is_shown_by_its_own_name() -> None:
    base, draft = _edited()
    draft.cpu.physical_address_bits = 42
    (change,) = changes(base, draft)
    assert change.place == Place("cpu", "", "cpu.physical_address_bits")
    assert (change.label, change.old, change.new) == ("cpu.physical address bits", "", "42")
    revert(draft, base, change)
    assert _canonical(draft) == _canonical(base)


def test_passwords_are_never_shown() -> None:
    base, draft = _edited()
    draft.devices.graphics[0].password = "another-word"
    found = changes(base, draft)
    assert found
    assert "secret-word" not in repr(found)
    assert "another-word" not in repr(found)


def test_devices_are_found_again_by_what_they_are() -> None:
    base, draft = _edited()
    inputs = draft.devices.inputs
    inputs.remove(inputs[0])
    (change,) = changes(base, draft)
    assert change.kind is ChangeKind.REMOVED
    assert change.place.resource == "input"
    revert(draft, base, change)
    assert _canonical(draft) == _canonical(base)


def test_a_disk_in_place_of_another_is_no_edit_of_it() -> None:
    base, draft = _edited()
    draft.devices.disks.remove(draft.devices.disks[0])
    disk = draft.devices.disks.add()
    disk.type, disk.device, disk.source_dev = "block", "disk", "/dev/sdz"
    disk.target_dev, disk.target_bus = "sdq", "scsi"
    kinds = {(change.kind, change.place.device) for change in changes(base, draft)}
    assert kinds == {(ChangeKind.REMOVED, "vda"), (ChangeKind.ADDED, "sdq")}


def test_text_of_others_is_plain() -> None:
    base, draft = _edited()
    draft.title = "a\u202eb\nc"
    (change,) = changes(base, draft)
    assert change.new == "ab c"


def test_a_revert_of_what_is_no_change_does_nothing() -> None:
    base, draft = _edited()
    before = _canonical(draft)
    revert(draft, base, Change(Place("system", "", "title"), ChangeKind.CHANGED, Phrase("System"), "Title", "", "x"))
    assert _canonical(draft) == before


# --- properties -------------------------------------------------------------------------------------------


def _values(
    resource: Resource[Any], option: Option[Any], domain: DomainXml, node: Any
) -> st.SearchStrategy[Value | None]:
    match option.editor:
        case Switch():
            return st.sampled_from([True, False, None])
        case Number(minimum=least, maximum=most):
            return st.one_of(st.none(), st.integers(least, min(most, least + 40)))
        case Size(minimum=least):
            return st.integers(max(least, 1024), 1 << 24)
        case Choice():
            items = option.editor.items(situation_of(domain), node)
            return st.sampled_from([item.value for item in items] or [None])
    return st.sampled_from([None, "/srv/file", "text", "2x2x1", "+vmx, -hle", "0:0-1,1:2", "uefi", "1 GiB", "vda, sda"])


@st.composite
def _drafts(draw: st.DrawFn) -> tuple[DomainXml, DomainXml]:
    base, draft = _edited(draw(st.sampled_from([DEFINED, DEFINED_UEFI])))
    for _ in range(draw(st.integers(1, 6))):
        resource = draw(st.sampled_from(catalogue.RESOURCES))
        nodes = list(resource.nodes(draft))
        action = draw(st.sampled_from(["set", "set", "set", "set", "add", "remove"]))
        try:
            if action == "add" and resource.add is not None:
                situation = situation_of(draft)
                if resource.add_refusal is None or not resource.add_refusal(situation):
                    resource.add(situation)
            elif action == "remove" and resource.remove is not None and nodes:
                resource.remove(draft, draw(st.sampled_from(nodes)))
            elif nodes and resource.options:
                node = draw(st.sampled_from(nodes))
                option = draw(st.sampled_from(resource.options))
                option.set(node, draw(_values(resource, option, draft, node)))
        except (XmlError, ValueError):
            continue
    return base, draft


@settings(max_examples=150, deadline=None)
@given(_drafts(), st.randoms())
def test_all_changes_put_back_one_by_one_give_the_base(drafts: tuple[DomainXml, DomainXml], random: Any) -> None:
    base, draft = drafts
    before = _canonical(base)
    waiting = list(changes(base, draft))
    fields = [change.place for change in waiting if change.kind is ChangeKind.CHANGED]
    assert len(set(fields)) == len(fields)
    for _ in range(3 * len(waiting) + 3):
        if not waiting:
            break
        count = len(waiting)
        revert(draft, base, random.choice(waiting))
        waiting = list(changes(base, draft))
        assert len(waiting) < count
    assert waiting == []
    assert _canonical(draft) == before
    assert _canonical(base) == before


def test_an_element_that_is_a_field_and_an_item_is_put_back_once() -> None:
    """A display's first <listen> is both."""
    base, draft = _edited(DEFINED_UEFI)
    graphics = draft.devices.graphics[0].find()
    assert graphics is not None
    kind = graphics.get("type") or ""
    graphics.clear()
    graphics.set("type", kind)
    while waiting := changes(base, draft):
        revert(draft, base, waiting[0])
        assert len(changes(base, draft)) < len(waiting)
    assert _canonical(draft) == _canonical(base)


@settings(max_examples=60, deadline=None)
@given(_drafts())
def test_no_change_is_missed(drafts: tuple[DomainXml, DomainXml]) -> None:
    base, draft = drafts
    assert changes(base, DomainXml(copy.deepcopy(base.make()))) == ()
    if _canonical(base) != _canonical(draft):
        assert changes(base, draft)


def test_of_two_that_say_the_same_the_new_one_is_told() -> None:
    base, draft = _edited()
    disk = draft.devices.disks[0].find()
    assert disk is not None
    disk.addprevious(copy.deepcopy(disk))
    assert [change.kind for change in changes(base, draft)] == [ChangeKind.ADDED]
    assert [change.kind for change in changes(draft, base)] == [ChangeKind.REMOVED]


@settings(max_examples=40, deadline=None)
@given(st.lists(_drafts(), min_size=2, max_size=3))
def test_a_baseline_answers_the_same_each_time(drafts: list[tuple[DomainXml, DomainXml]]) -> None:
    base = drafts[0][0]
    baseline = Baseline(base)
    for _, draft in drafts:
        assert baseline.changes(draft) == changes(base, draft)
    assert baseline.changes(drafts[0][1]) == changes(*drafts[0])


def test_a_device_without_a_name_is_numbered_where_there_are_several() -> None:
    base, draft = _edited()
    draft.devices.rngs.clear()
    base.devices.rngs.clear()
    base.devices.rngs.add().model = "virtio"
    assert [str(change.device) for change in changes(base, draft)] == ["Random number source"]
    base.devices.rngs.add().model = "virtio"
    draft.devices.rngs.add().model = "virtio"
    (change,) = changes(base, draft)
    assert str(change.device) in ("Random number source 1", "Random number source 2")


def test_a_connection_is_told_in_words() -> None:
    base, draft = _edited()
    for domain, value in ((base, "network:default"), (draft, "direct:eth0:bridge")):
        set_mode(domain.devices.interfaces[0], value)
    (change,) = (found for found in changes(base, draft) if found.place.option == "mode")
    assert (change.old, change.new) == ("Virtual network “default”", "Macvtap on eth0 (bridge)")
