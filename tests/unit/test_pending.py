"""When running VMs are compared with their definitions, and what becomes of the number."""

from __future__ import annotations

from guivm.engine.events import VmsChanged
from guivm.engine.inventory import Inventory
from guivm.engine.pending import PendingCounts
from guivm.engine.types import HostId, VmInfo, VmKey, VmState

HOST = HostId("test:///host")


def vm(uuid: str, state: VmState = VmState.RUNNING, **fields: bool) -> VmInfo:
    return VmInfo(VmKey(HOST, uuid), uuid, state, **fields)  # type: ignore[arg-type]


def test_only_vms_that_run_and_have_a_definition_can_wait_for_anything() -> None:
    vms = (vm("a"), vm("b", VmState.OFF), vm("c", persistent=False), vm("d", VmState.PAUSED), vm("e", VmState.UNKNOWN))
    assert [one.name for one in vms if one.can_have_pending] == ["a", "d"]
    counts = PendingCounts(1.0)
    counts.begin(vms, 10.0)
    assert [counts.take(20.0), counts.take(20.0), counts.take(20.0)] == ["a", "d", None]


def test_nothing_is_compared_before_the_list_is_complete_and_was_there_for_a_while() -> None:
    counts = PendingCounts(1.0)
    counts.note(["a"], 10.0)
    assert counts.next_in(60.0) is None
    counts.begin([], 60.0)
    assert counts.next_in(60.25) == 0.75
    assert counts.next_in(61.0) == 0
    assert counts.take(61.0) == "a"


def test_it_is_called_once_even_when_nothing_runs() -> None:
    counts = PendingCounts(1.0)
    counts.begin([vm("a", VmState.OFF)], 10.0)
    assert counts.next_in(11.0) == 0
    assert counts.take(11.0) is None
    assert counts.next_in(11.0) is None


def test_what_happens_together_is_compared_once() -> None:
    counts = PendingCounts(0.0)
    counts.begin([], 10.0)
    counts.take(10.0)
    counts.note(["a", "b"], 10.0)
    counts.note(["a"], 10.1)
    assert counts.take(10.2) == "b"
    wait = counts.next_in(10.2)
    assert wait is not None
    assert 0.04 < wait < 0.06
    assert counts.take(10.5) == "a"
    assert counts.next_in(10.5) is None


def test_what_happens_comes_first_and_the_others_leave_the_processor_to_others() -> None:
    counts = PendingCounts(0.0)
    counts.begin([vm("a"), vm("b")], 10.0)
    assert counts.take(10.0) == "a"
    counts.rest(10.0, worked_s=0.01)
    assert counts.take(10.1) is None
    assert counts.next_in(10.0) == 0.5
    counts.note(["c"], 10.1)
    assert counts.take(10.4) == "c"
    counts.rest(10.4, worked_s=0.01)
    assert counts.take(10.6) is None
    assert counts.take(11.0) == "b"
    assert counts.next_in(11.0) is None


def test_a_new_list_begins_anew() -> None:
    counts = PendingCounts(0.0)
    counts.begin([vm("a")], 10.0)
    counts.clear()
    assert counts.next_in(20.0) is None
    counts.begin([], 20.0)
    assert counts.take(20.0) is None


# --- the number -----------------------------------------------------------------------------------------------


def inventory_of(*vms: VmInfo) -> Inventory:
    inventory = Inventory(HOST)
    inventory.load(inventory.ticket(), vms)
    return inventory


def pending(inventory: Inventory) -> dict[str, int]:
    return {one.key.uuid: one.pending for one in inventory.vms()}


def test_a_number_is_told_once_and_outlasts_further_reads() -> None:
    inventory = inventory_of(vm("a"), vm("b"))
    change = inventory.count(inventory.ticket(), "a", 2)
    assert isinstance(change, VmsChanged)
    assert [(one.name, one.pending) for one in change.changed] == [("a", 2)]
    assert inventory.count(inventory.ticket(), "a", 2) is None
    assert inventory.update(inventory.ticket(), [("a", vm("a"))]) is None
    inventory.update(inventory.ticket(), [("a", vm("a", VmState.PAUSED))])
    assert pending(inventory) == {"a": 2, "b": 0}


def test_what_is_off_waits_for_nothing_nor_does_it_after_the_next_start() -> None:
    inventory = inventory_of(vm("a"))
    inventory.count(inventory.ticket(), "a", 2)
    for state in (VmState.OFF, VmState.RUNNING):
        inventory.update(inventory.ticket(), [("a", vm("a", state))])
        assert pending(inventory) == {"a": 0}


def test_a_comparison_that_began_before_a_later_read_is_void() -> None:
    inventory = inventory_of(vm("a"))
    ticket = inventory.ticket()
    inventory.update(inventory.ticket(), [("a", vm("a"))])
    assert inventory.count(ticket, "a", 3) is None
    ticket = inventory.ticket()
    inventory.update(inventory.ticket(), [("a", None)])
    assert inventory.count(ticket, "a", 3) is None


def test_nothing_is_known_of_a_host_that_is_lost() -> None:
    inventory = inventory_of(vm("a"))
    inventory.count(inventory.ticket(), "a", 3)
    inventory.lose_sight()
    assert pending(inventory) == {"a": 0}
    assert inventory.count(inventory.ticket(), "a", 3) is None
