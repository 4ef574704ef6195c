"""What the engine does about policies beyond its contract: who can have one, and what becomes of it with its VM."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import libvirt
import pytest

from guivm.engine import delete
from guivm.engine.context import HandlerContext
from guivm.engine.requests import Delete, PlanOperation, PurgeDeleted, ReadSnapshotPolicy, SetSnapshotPolicy, UndoDelete
from guivm.engine.snapshots import handlers, policy_timers
from guivm.engine.snapshots.values import OperationPlan, SnapshotPolicy
from guivm.engine.types import VmKey
from guivm.errors import UnsupportedError
from tests.helpers.fake_systemctl import FakeSystemctl
from tests.helpers.small_libvirt import SmallConnection, small_context
from tests.helpers.testdriver import domain, write_host

POLICY = SnapshotPolicy(6, 3)


class House:
    """libvirt's test driver with its one VM, off, and a stand-in for systemd."""

    def __init__(self, folder: Path, connection: libvirt.virConnect, systemctl: FakeSystemctl) -> None:
        context = small_context(SmallConnection(), folder)
        self.connection = connection
        self.systemctl = systemctl
        self.context = replace(context, connection=connection)
        self.domain = connection.lookupByName("test")
        self.key = VmKey(self.context.host.id, self.domain.UUIDString())

    def set(self, policy: SnapshotPolicy | None = POLICY) -> None:
        handlers.set_policy(self.context, SetSnapshotPolicy(self.key, policy))

    def plan(self, context: HandlerContext | None = None) -> OperationPlan:
        request = PlanOperation(self.key, SetSnapshotPolicy(self.key, POLICY))
        return handlers.plan_operation(context or self.context, request)


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    connection = libvirt.open(write_host(tmp_path / "host.xml", domain("test")))
    try:
        yield House(tmp_path, connection, FakeSystemctl(tmp_path / "bin", monkeypatch))
    finally:
        connection.close()


def test_the_plan_names_the_units(house: House) -> None:
    shown = house.plan()
    assert [each.path for each in shown.effects] == [str(path) for path in policy_timers.paths(house.key)]
    assert house.systemctl.calls == []
    house.set()
    service, timer = policy_timers.paths(house.key)
    assert f'"{house.key.uuid}" "--scheduled" "--connect" "{house.key.host}"' in service.read_text()
    assert "of “test”" in timer.read_text()


def test_another_computers_vm_cannot_have_one(house: House) -> None:
    away = replace(house.context, host=replace(house.context.host, is_local=False))
    assert "this computer" in house.plan(away).refused
    house.set()
    assert handlers.read_policy(away, ReadSnapshotPolicy(house.key)) is None


def test_the_engine_in_this_program_cannot_be_reached_by_a_timer(house: House) -> None:
    embedded = replace(house.context, host=replace(house.context.host, uri="qemu:///embed?root=/nowhere"))
    shown = house.plan(embedded)
    assert "one program at a time" in shown.refused
    assert shown.advice


def test_one_that_exists_only_while_it_runs_cannot_have_one(house: House) -> None:
    transient = house.connection.createXML(
        "<domain type='test'><name>t</name><memory>1024</memory><os><type>hvm</type></os></domain>"
    )
    house.key = VmKey(house.key.host, transient.UUIDString())
    assert "only while it runs" in house.plan().refused


def test_without_systemd_the_plan_says_so_and_nothing_is_set(house: House) -> None:
    house.systemctl.fail("show")
    assert "no systemd" in house.plan().refused
    with pytest.raises(UnsupportedError, match="no systemd"):
        house.set()
    house.set(None)
    assert not policy_timers.folder().exists()


def test_it_goes_with_its_vm_once_that_is_gone_for_good(house: House) -> None:
    house.set()
    deleted = delete.delete(house.context, Delete(house.key))
    assert policy_timers.load(house.key) == POLICY
    delete.undo_delete(house.context, UndoDelete(deleted))
    assert policy_timers.load(house.key) == POLICY
    deleted = delete.delete(house.context, Delete(house.key))
    delete.purge_deleted(house.context, PurgeDeleted(deleted))
    assert policy_timers.load(house.key) is None
    assert not any(path.exists() for path in policy_timers.paths(house.key))


def test_one_that_was_defined_anew_keeps_it(house: House) -> None:
    house.set()
    xml = house.domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    deleted = delete.delete(house.context, Delete(house.key))
    house.connection.defineXML(xml)
    delete.purge_deleted(house.context, PurgeDeleted(deleted))
    assert policy_timers.load(house.key) == POLICY
