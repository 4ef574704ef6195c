from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from guivm.engine.events import VmsChanged, VmsReset
from guivm.engine.inventory import Inventory, Rereads
from guivm.engine.types import HostId, VmInfo, VmKey, VmState

HOST = HostId("test:///inventory")


def vm(uuid: str, state: VmState = VmState.OFF, name: str = "") -> VmInfo:
    return VmInfo(VmKey(HOST, uuid), name or uuid, state)


def filled(*vms: VmInfo) -> Inventory:
    inventory = Inventory(HOST)
    assert inventory.load(inventory.ticket(), vms) == VmsReset(HOST, vms)
    return inventory


def test_the_first_list_is_a_reset_even_when_it_is_empty() -> None:
    inventory = Inventory(HOST)
    assert inventory.load(inventory.ticket(), ()) == VmsReset(HOST, ())


def test_a_later_list_tells_only_the_difference() -> None:
    inventory = filled(vm("a"), vm("b"), vm("c"))
    change = inventory.load(inventory.ticket(), (vm("a"), vm("b", VmState.RUNNING), vm("d")))
    assert change == VmsChanged(HOST, (vm("b", VmState.RUNNING), vm("d")), ("c",))
    assert inventory.load(inventory.ticket(), inventory.vms()) is None


def test_an_update_that_changes_nothing_is_silent() -> None:
    inventory = filled(vm("a"))
    assert inventory.update(inventory.ticket(), [("a", vm("a")), ("z", None)]) is None


def test_a_vm_that_was_defined_anew_is_told_even_when_it_reads_the_same() -> None:
    inventory = filled(vm("a"), vm("b"))
    inventory.note_defined("a")
    change = inventory.update(inventory.ticket(), [("a", vm("a")), ("b", vm("b"))])
    assert change == VmsChanged(HOST, (replace(vm("a"), definition=1),))
    assert inventory.load(inventory.ticket(), (vm("a"), vm("b"))) is None


def test_an_update_tells_what_is_new_changed_and_gone() -> None:
    inventory = filled(vm("a"), vm("b"))
    results = [("a", vm("a", VmState.PAUSED)), ("b", None), ("n", vm("n"))]
    assert inventory.update(inventory.ticket(), results) == VmsChanged(HOST, (vm("a", VmState.PAUSED), vm("n")), ("b",))
    assert inventory.get("b") is None
    assert len(inventory) == 2


def test_a_read_that_began_earlier_does_not_undo_a_later_one() -> None:
    inventory = filled(vm("a"))
    slow, quick = inventory.ticket(), inventory.ticket()
    assert inventory.update(quick, [("a", vm("a", VmState.RUNNING))]) is not None
    assert inventory.update(slow, [("a", vm("a", VmState.OFF))]) is None
    assert inventory.load(slow, (vm("a", VmState.OFF),)) is None
    found = inventory.get("a")
    assert found is not None
    assert found.state is VmState.RUNNING


def test_a_removed_vm_does_not_come_back_by_an_old_read() -> None:
    inventory = filled(vm("a"))
    slow = inventory.ticket()
    assert inventory.update(inventory.ticket(), [("a", None)]) == VmsChanged(HOST, (), ("a",))
    assert inventory.update(slow, [("a", vm("a"))]) is None
    assert inventory.vms() == ()


def test_a_lost_host_shows_unknown_and_old_reads_do_not_change_that() -> None:
    inventory = filled(vm("a", VmState.RUNNING), vm("b"))
    under_way = inventory.ticket()
    change = inventory.lose_sight()
    assert change is not None
    assert [info.state for info in change.changed] == [VmState.UNKNOWN, VmState.UNKNOWN]
    assert inventory.lose_sight() is None
    assert inventory.update(under_way, [("a", vm("a", VmState.RUNNING))]) is None
    back = inventory.load(inventory.ticket(), (vm("a", VmState.RUNNING), vm("b")))
    assert back == VmsChanged(HOST, (vm("a", VmState.RUNNING), vm("b")))


def glance(uuid: str, state: VmState = VmState.OFF) -> VmInfo:
    return replace(vm(uuid, state), vcpus=0, is_complete=False)


def test_details_that_follow_do_not_undo_a_later_read() -> None:
    inventory = Inventory(HOST)
    listed = inventory.ticket()
    inventory.load(listed, [glance("a"), glance("b"), glance("c")])
    inventory.update(inventory.ticket(), [("a", vm("a", VmState.RUNNING)), ("b", None)])
    change = inventory.update(listed, [(uuid, replace(vm(uuid), title="T")) for uuid in "abc"])
    assert change == VmsChanged(HOST, (replace(vm("c"), title="T"),))
    assert inventory.get("a") == vm("a", VmState.RUNNING)
    assert inventory.get("b") is None


def test_details_that_follow_are_void_when_the_host_was_lost() -> None:
    inventory = Inventory(HOST)
    listed = inventory.ticket()
    inventory.load(listed, [glance("a", VmState.RUNNING)])
    inventory.lose_sight()
    assert inventory.update(listed, [("a", vm("a", VmState.RUNNING))]) is None


def test_a_new_glance_keeps_the_details_known_before() -> None:
    known = replace(vm("a"), title="T", notes="N", vcpus=4, memory_kib=5, has_graphics=True)
    inventory = filled(known)
    inventory.lose_sight()
    inventory.load(inventory.ticket(), [glance("a", VmState.RUNNING)])
    assert inventory.get("a") == replace(known, state=VmState.RUNNING, is_complete=False)


_UUIDS = st.sampled_from("abcd")
_STATES = st.sampled_from([VmState.OFF, VmState.RUNNING, VmState.PAUSED])
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("update"), _UUIDS, st.none() | _STATES),
        st.tuples(st.just("load"), st.dictionaries(_UUIDS, _STATES), st.none()),
        st.tuples(st.just("lost"), st.none(), st.none()),
    )
)


@given(_STEPS)
def test_the_events_add_up_to_what_is_known(steps: list[tuple[str, object, object]]) -> None:
    inventory = Inventory(HOST)
    seen: dict[str, VmInfo] = {}
    inventory.load(inventory.ticket(), ())
    for kind, first, second in steps:
        event: VmsReset | VmsChanged | None
        if kind == "update":
            assert isinstance(first, str)
            found = vm(first, second) if isinstance(second, VmState) else None
            event = inventory.update(inventory.ticket(), [(first, found)])
        elif kind == "load":
            assert isinstance(first, dict)
            event = inventory.load(inventory.ticket(), [vm(uuid, state) for uuid, state in first.items()])
        else:
            event = inventory.lose_sight()
        assert not isinstance(event, VmsReset)
        if event is not None:
            assert event.changed or event.removed
            for info in event.changed:
                assert seen.get(info.key.uuid) != info, "nothing is told twice"
            seen |= {info.key.uuid: info for info in event.changed}
            for uuid in event.removed:
                del seen[uuid]
        assert seen == {info.key.uuid: info for info in inventory.vms()}


# --- holding back ---------------------------------------------------------------------------------------------


def test_what_happened_is_looked_at_now_and_once() -> None:
    rereads = Rereads()
    rereads.note("a", later=False, now_s=10.0)
    rereads.note("a", later=False, now_s=10.0)
    assert rereads.take_due(10.0) == ["a"]
    assert rereads.take_due(10.0) == []
    assert rereads.next_in(10.0) is None


def test_a_stop_is_held_back_for_a_moment() -> None:
    rereads = Rereads(0.15)
    rereads.note("a", later=True, now_s=10.0)
    assert rereads.take_due(10.1) == []
    wait = rereads.next_in(10.1)
    assert wait is not None
    assert 0.04 < wait < 0.06
    assert rereads.take_due(10.2) == ["a"]


def test_a_start_after_the_stop_is_looked_at_at_once() -> None:
    rereads = Rereads(0.15)
    rereads.note("a", later=True, now_s=10.0)
    rereads.note("a", later=False, now_s=10.05)
    assert rereads.take_due(10.05) == ["a"]
    assert rereads.next_in(10.05) is None


def test_a_changed_copy_is_another_value() -> None:
    assert replace(vm("a"), notes="x") != vm("a")
