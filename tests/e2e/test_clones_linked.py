"""Linked clones and templates, on real libvirt with real QEMU (TCG, nothing to boot)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import libvirt
import pytest

from guivm.engine.cloning import handlers
from guivm.engine.requests import (
    DeleteSnapshots,
    DetachClone,
    ReadSnapshots,
    SetTemplate,
)
from guivm.engine.snapshots import handlers as snapshots
from guivm.engine.snapshots.values import (
    CloneKind,
)
from guivm.errors import GuivmError, InUseError
from tests.helpers.clone_house import House, clone_house, run, session_connection


@pytest.fixture(scope="module")
def connection() -> Iterator[libvirt.virConnect]:
    with session_connection() as value:
        yield value


@pytest.fixture
def house(connection: libvirt.virConnect, tmp_path: Path) -> Iterator[House]:
    with clone_house(connection, tmp_path) as value:
        yield value


def test_a_linked_clone_stands_on_frozen_images(house: House) -> None:
    source = house.bios()
    made = house.clone(source, kind=CloneKind.LINKED)
    again = house.clone(source, "again", kind=CloneKind.LINKED)
    for key in (made.key, again.key):
        assert house.reads(house.disk(key), 1)
        assert house.reads(house.disk(key, "vdb"), 2)
    base = house.images / "source.qcow2"
    assert base.stat().st_mode & 0o222 == 0
    tree = snapshots.read_snapshots(house.context, ReadSnapshots(source))
    assert [each.title for each in tree.snapshots] == ["Base of copy"], "an unchanged VM is not snapshot once more"
    assert tree.needed_by == ("again", "copy")
    assert snapshots.read_snapshots(house.context, ReadSnapshots(made.key)).needed_by == ()
    frozen = hashlib.sha256(base.read_bytes()).digest()
    house.write(Path(house.disk(made.key)), 8)
    house.write(Path(house.disk(source)), 9)
    house.run_briefly(made.key)
    house.run_briefly(source)
    assert hashlib.sha256(base.read_bytes()).digest() == frozen
    assert house.reads(house.disk(again.key), 1)
    # The snapshot cannot go as long as the clones need it; once they are detached, it can.
    request = DeleteSnapshots(source, (tree.snapshots[0].id,))
    assert "needed by “" in house.plan(request).refused
    for key in (made.key, again.key):
        assert house.plan(DetachClone(key)).needs_bytes > 0
        handlers.detach_clone(house.context, DetachClone(key))
        assert "backing" not in run("qemu-img", "info", house.disk(key))
    assert "alone" in house.plan(DetachClone(made.key)).refused
    assert snapshots.read_snapshots(house.context, ReadSnapshots(source)).needed_by == ()
    snapshots.delete_snapshots(house.context, request)
    assert house.reads(house.disk(made.key), 8)
    assert house.reads(house.disk(again.key), 1)
    assert house.reads(house.disk(source), 9)


def test_a_template_is_only_cloned(house: House) -> None:
    source = house.uefi()
    handlers.set_template(house.context, SetTemplate(source, True))
    base = house.images / "source.qcow2"
    assert base.stat().st_mode & 0o222 == 0
    assert snapshots.read_snapshots(house.context, ReadSnapshots(source)).is_template
    linked = house.clone(source, "linked", kind=CloneKind.LINKED)
    full = house.clone(source, "full")
    assert snapshots.read_snapshots(house.context, ReadSnapshots(source)).needed_by == ("linked",)
    assert house.reads(house.disk(linked.key), 1)
    assert house.reads(house.disk(full.key), 1)
    house.run_briefly(linked.key)
    house.run_briefly(full.key)
    with pytest.raises(InUseError, match="linked"):
        handlers.set_template(house.context, SetTemplate(source, False))
    with pytest.raises(GuivmError, match="template"):
        house.take(source, "No")
    handlers.detach_clone(house.context, DetachClone(linked.key))
    handlers.set_template(house.context, SetTemplate(source, False))
    assert base.stat().st_mode & 0o200
    house.run_briefly(source)


def test_a_linked_clone_of_a_running_vm(house: House) -> None:
    source = house.bios()
    house.domain(source).create()
    made = house.clone(source, kind=CloneKind.LINKED)
    assert house.domain(source).isActive()
    house.run_briefly(made.key)
    handlers.detach_clone(house.context, DetachClone(made.key))
    assert house.reads(house.disk(made.key), 1)


def test_a_running_linked_clone_is_detached(house: House) -> None:
    source = house.define("source", {"vda": (house.image("source.qcow2", 1), "qcow2")})
    made = house.clone(source, kind=CloneKind.LINKED)
    house.domain(made.key).create()
    handlers.detach_clone(house.context, DetachClone(made.key))
    assert house.domain(made.key).isActive()
    house.domain(made.key).destroy()
    assert "backing" not in run("qemu-img", "info", house.disk(made.key))
    assert house.reads(house.disk(made.key), 1)
    house.run_briefly(made.key)
