"""The tree of a VM's own snapshots and its JSON text, which may be damaged or somebody else's."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from guivm.engine.snapshots.graph import HeldDisk, Image
from guivm.engine.snapshots.simulate import differences
from guivm.engine.snapshots.tree import BranchSnapshot, BranchTree, InternalRecord, KeptFile, RestoreReceipt
from guivm.engine.snapshots.values import SnapshotId
from guivm.engine.types import VmState
from tests.helpers.symbolic_vms import Disk, World, uuid_of

UUID = uuid_of(1)


def snapshot(name: str, parent: str | None = None) -> BranchSnapshot:
    return BranchSnapshot(
        id=SnapshotId(name),
        parent=None if parent is None else SnapshotId(parent),
        title=f"title of {name}",
        taken_s=12.5,
        definition="<domain/>",
        disks=(HeldDisk("vda", f"/i/{name}.qcow2"), HeldDisk("vdb", "/i/tools.img", written=False)),
        notes="two\nlines",
        nvram=f"/s/{name}.nvram",
        memory=f"/s/{name}.mem",
        memory_definition="<domain id='1'/>",
        vm_state=VmState.PAUSED,
        pause_s=0.25,
        has_picture=True,
        scheduled=parent is not None,
    )


def tree() -> BranchTree:
    image = Image("/i/x.qcow2", "qcow2", 1 << 30, 4096, "/i/b.qcow2", "qcow2")
    receipt = RestoreReceipt(
        SnapshotId("b"),
        "title of b",
        99.0,
        SnapshotId("c"),
        "<domain/>",
        (KeptFile("/i/x.qcow2", "/i/.guivm-trash/t/0-x.qcow2", image), KeptFile("/n", "/.guivm-trash/t/1-n")),
        ("/i/b.qcow2",),
    )
    snapshots = (snapshot("a"), snapshot("b", "a"), snapshot("c", "b"), snapshot("d", "b"))
    return BranchTree(UUID, "ann", snapshots, SnapshotId("d"), undo=receipt)


def changed(change: Callable[[dict[str, object]], object]) -> str:
    value = json.loads(tree().to_json())
    change(value)
    return json.dumps(value)


def test_what_is_written_is_read_again() -> None:
    assert BranchTree.from_json(tree().to_json()) == tree()
    records = (
        InternalRecord("exact  name", "title", "notes", 0.5, has_picture=True),
        InternalRecord("by a timer", scheduled=True),
    )
    inside = BranchTree(UUID, internal=records)
    assert BranchTree.from_json(inside.to_json()) == inside
    assert BranchTree.from_json(BranchTree(UUID, is_template=True).to_json()).is_template


def as_version_1(text: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(text)
    value["version"] = 1
    for each in (*value["snapshots"], *value["internal"]):
        del each["scheduled"]
    return value


def test_what_an_older_version_wrote_is_read_as_taken_by_a_person() -> None:
    read = BranchTree.from_json(json.dumps(as_version_1(tree().to_json())))
    assert read == replace(tree(), snapshots=tuple(replace(s, scheduled=False) for s in tree().snapshots))
    inside = BranchTree(UUID, internal=(InternalRecord("a", scheduled=True),))
    read = BranchTree.from_json(json.dumps(as_version_1(inside.to_json())))
    assert read.internal == (InternalRecord("a"),)


@pytest.mark.parametrize("kind", ["snapshots", "internal"])
def test_a_version_has_exactly_its_own_fields(kind: str) -> None:
    trees = {"snapshots": tree(), "internal": BranchTree(UUID, internal=(InternalRecord("a"),))}
    older = as_version_1(trees[kind].to_json())
    older[kind][0]["scheduled"] = True
    newer = json.loads(trees[kind].to_json())
    del newer[kind][0]["scheduled"]
    for value in (older, newer):
        with pytest.raises(ValueError, match="other fields"):
            BranchTree.from_json(json.dumps(value))


def test_equal_definitions_are_stored_once() -> None:
    assert tree().to_json().count("<domain/>") == 1


def test_names_that_are_no_unicode_survive() -> None:
    odd = BranchTree(UUID, snapshots=(snapshot("\udcff".encode("utf-8", "surrogateescape").hex()),))
    assert BranchTree.from_json(odd.to_json()) == odd
    disks = BranchSnapshot(SnapshotId("a"), None, "", 0.0, "", (HeldDisk("vda", "/i/\udcff.qcow2"),))
    text = BranchTree(UUID, snapshots=(disks,)).to_json()
    assert text.isascii()
    assert BranchTree.from_json(text).snapshots == (disks,)


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.update(version=3),
        lambda t: t.update(version=0),
        lambda t: t.update(version=1),
        lambda t: t.update(version=True),
        lambda t: t.update(extra=1),
        lambda t: t.pop("internal"),
        lambda t: t.update(uuid="../../etc"),
        lambda t: t.update(uuid=UUID.upper() + "A"),
        lambda t: t.update(current="nobody"),
        lambda t: t.update(current=1),
        lambda t: t.update(is_template=1),
        lambda t: t.update(snapshots={}),
        lambda t: t.update(definitions=[1]),
        lambda t: t["snapshots"][0].update(id="../x"),
        lambda t: t["snapshots"][0].update(id=""),
        lambda t: t["snapshots"][0].update(id="b"),
        lambda t: t["snapshots"][0].update(parent="b"),
        lambda t: t["snapshots"][0].update(parent="a"),
        lambda t: t["snapshots"][0].update(taken_s=math.inf),
        lambda t: t["snapshots"][0].update(taken_s="now"),
        lambda t: t["snapshots"][0].update(taken_s=-1),
        lambda t: t["snapshots"][0].update(taken_s=10**400),
        lambda t: t["snapshots"][0].update(definition=99),
        lambda t: t["snapshots"][0].update(definition=-1),
        lambda t: t["snapshots"][0].update(vm_state="dreaming"),
        lambda t: t["snapshots"][0].update(scheduled=1),
        lambda t: t["snapshots"][0].update(nvram="relative"),
        lambda t: t["snapshots"][0].update(nvram="/s/../etc/passwd"),
        lambda t: t["snapshots"][0].update(tpm="//s"),
        lambda t: t["snapshots"][0].update(memory="/s/\0"),
        lambda t: t["snapshots"][0].update(memory="/s/\ud800"),
        lambda t: t["snapshots"][0].update(title=["x"]),
        lambda t: t["snapshots"][0].update(title="x" * 10_000),
        lambda t: t["snapshots"][0]["disks"].append(t["snapshots"][0]["disks"][0]),
        lambda t: t["snapshots"][0]["disks"][0].update(written="yes"),
        lambda t: t["snapshots"][0]["disks"][0].update(path=""),
        lambda t: t["undo"].update(current="/"),
        lambda t: t["undo"]["files"][0]["image"].update(virtual_bytes=-1),
        lambda t: t["undo"]["files"][0]["image"].update(virtual_bytes=1.5),
        lambda t: t["undo"]["needs"].append("x"),
        lambda t: t["internal"].append(
            {"name": "a", "title": "", "notes": "", "pause_s": None, "has_picture": False, "scheduled": False}
        ),
    ],
)
def test_anything_else_is_refused(change: Callable[[dict[str, object]], object]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - what is wrong is for the details only
        BranchTree.from_json(changed(change))


@pytest.mark.parametrize(
    "text",
    ["", "[]", "null", "1", "{", "[" * 100_000, '{"version":1,"version":1}', "NaN", "1" * 5000, '"\\ud800"'],
)
def test_what_is_no_tree_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        BranchTree.from_json(text)


@given(some.integers(0, 5000), some.integers(0, 5000), some.binary(max_size=4))
def test_damage_is_refused_or_harmless(start: int, length: int, other: bytes) -> None:
    text = tree().to_json().encode()
    damaged = (text[:start] + other + text[start + length :]).decode("latin-1")
    try:
        again = BranchTree.from_json(damaged)
    except ValueError:
        return
    assert BranchTree.from_json(again.to_json()) == again


def test_text_is_cleaned() -> None:
    read = BranchTree.from_json(changed(lambda t: t.update(vm_name="ann\u202e\n\x1b[0m")))
    assert read.vm_name == "ann [0m"


def test_what_descends_from_a_deleted_snapshot() -> None:
    left = tree().without(frozenset({SnapshotId("b"), SnapshotId("d")}))
    assert [(s.id, s.parent) for s in left.snapshots] == [("a", None), ("c", "a")]
    assert left.current == "a"
    assert tree().below(frozenset({SnapshotId("b")})) == {"b", "c", "d"}


def test_nobody_writes_to_the_images_of_snapshots() -> None:
    holders = tree().holders(UUID, "ann")
    assert [holder.snapshot for holder in holders] == ["a", "b", "c", "d"]
    assert not any(disk.written for holder in holders for disk in holder.disks)
    assert holders[0].files == ("/i/a.qcow2", "/i/tools.img", "/s/a.nvram", "/s/a.mem")


def test_renamed_images() -> None:
    renamed = tree().renamed({"/i/a.qcow2": "/i/z.qcow2"})
    assert renamed.snapshots[0].images == ("/i/z.qcow2",)
    assert renamed.snapshots[1:] == tree().snapshots[1:]


def test_differences_are_sentences_about_who_and_what() -> None:
    world = World()
    world.images["/i/base"] = Disk("raw")
    world.add_vm(1, "ann", {"vda": Disk("qcow2", {}, "/i/base", "raw"), "vdb": Disk("raw")})
    expected = world.graph()
    assert differences(expected, world.graph()) == ()
    world.images["/i/ann-vda.qcow2"].contents[0] = 1  # what it takes up on disk is no matter
    world.add_vm(2, "bob", {"vda": Disk("raw")})
    assert differences(expected, world.graph()) == ()
    world.images["/i/ann-vda.qcow2"].backing = None
    world.definitions[UUID] = world.definitions[UUID].replace("ann-vdb", "bob-vda")
    assert differences(expected, world.graph()) == (
        "Drive vdb of “ann” is “/i/bob-vda.img” and not “/i/ann-vdb.img”.",
        "“/i/ann-vda.qcow2” is on nothing and not on “/i/base”.",
        "“/i/base” is not there or is needed by nobody.",
        "“/i/ann-vdb.img” is not there or is needed by nobody.",
    )
    del world.definitions[UUID]
    assert differences(expected, world.graph()) == ("“ann” is gone.",)
