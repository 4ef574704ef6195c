"""What every engine does, the fake included: so that tests against the fake mean something."""

from __future__ import annotations

from typing import Any

import pytest

from guivm.engine import requests as rq
from guivm.engine.events import HostRemoved, JobChanged, VmsChanged
from guivm.engine.jobs import JobState
from guivm.engine.types import HostId, HostState, VmKey, VmState
from guivm.errors import GuivmError, HostError, OperationError, VmNotFoundError, WrongStateError
from tests.contract.conftest import NOTES, TITLE, VMS, World

S = VmState
WAIT_S = 30.0


def do(world: World, request: rq.Request[Any]) -> Any:
    return world.engine.submit(request).result(WAIT_S)


# --- the list -------------------------------------------------------------------------------------------------


def test_the_list_shows_every_vm_in_its_state(world: World) -> None:
    assert {vm.name: vm.state for vm in world.engine.vms(world.host)} == VMS


def test_the_list_knows_what_it_shows(world: World) -> None:
    vm = world.vm("off")
    assert (vm.title, vm.notes) == (TITLE, NOTES)
    assert (vm.vcpus, vm.memory_kib) == (2, 512 * 1024)
    assert vm.has_graphics
    assert vm.persistent
    assert not vm.autostart
    assert vm.reason == ""


def test_events_and_answers_agree(world: World) -> None:
    assert world.recorder.vms(world.host) == {vm.key.uuid: vm for vm in world.engine.vms(world.host)}


def test_the_host_is_in_the_list_of_hosts(world: World) -> None:
    (info,) = world.engine.hosts()
    assert info.id == world.host
    assert info.state is HostState.CONNECTED
    assert info.problem == ""
    assert info.label


def test_opening_an_open_host_is_no_error(world: World) -> None:
    assert world.engine.open_host(world.host) == world.host
    assert len(world.engine.hosts()) == 1
    assert do(world, rq.Pause(world.key("running"))) is None


def test_what_is_unknown_is_none_or_empty(world: World) -> None:
    assert world.engine.vm(VmKey(world.host, "00000000-0000-4000-8000-000000000000")) is None
    assert world.engine.vm(VmKey(HostId("test:///elsewhere"), world.key("off").uuid)) is None
    assert world.engine.vms(HostId("test:///elsewhere")) == ()


# --- power ----------------------------------------------------------------------------------------------------

TRANSITIONS = [
    (rq.Start, "off", S.RUNNING),
    (rq.Start, "saved", S.RUNNING),
    (rq.Pause, "running", S.PAUSED),
    (rq.Resume, "paused", S.RUNNING),
    (rq.ShutDown, "running", S.OFF),
    (rq.Reboot, "running", S.RUNNING),
    (rq.Reset, "running", S.RUNNING),
    (rq.ForceOff, "running", S.OFF),
    (rq.ForceOff, "paused", S.OFF),
    (rq.SaveState, "running", S.SAVED),
    (rq.SaveState, "paused", S.SAVED),
    (rq.RestoreState, "saved", S.RUNNING),
    (rq.DiscardSavedState, "saved", S.OFF),
]


@pytest.mark.parametrize(("verb", "name", "after"), TRANSITIONS)
def test_a_verb_leads_to_its_state(world: World, verb: type[rq.VmRequest[None]], name: str, after: VmState) -> None:
    key = world.key(name)
    do(world, verb(key))
    vm = world.engine.vm(key)
    assert vm is not None
    assert vm.state is after, "known as soon as the answer is there"
    world.recorder.wait_for_state(key, after)
    others = {vm.name: vm.state for vm in world.engine.vms(world.host) if vm.name != name}
    assert others == {other: state for other, state in VMS.items() if other != name}


REFUSALS = [
    (rq.Start, "running"),
    (rq.Start, "paused"),
    (rq.Pause, "off"),
    (rq.Pause, "paused"),
    (rq.Pause, "saved"),
    (rq.Resume, "running"),
    (rq.Resume, "off"),
    (rq.ShutDown, "off"),
    (rq.ShutDown, "saved"),
    (rq.Reboot, "off"),
    (rq.Reset, "off"),
    (rq.ForceOff, "off"),
    (rq.ForceOff, "saved"),
    (rq.SaveState, "off"),
    (rq.SaveState, "saved"),
    (rq.RestoreState, "off"),
    (rq.RestoreState, "running"),
    (rq.DiscardSavedState, "off"),
    (rq.TakeScreenshot, "off"),
    (rq.OpenConsole, "off"),
]


@pytest.mark.parametrize(("verb", "name"), REFUSALS)
def test_a_verb_that_makes_no_sense_is_refused_and_changes_nothing(
    world: World, verb: type[rq.VmRequest[Any]], name: str
) -> None:
    before = world.engine.vms(world.host)
    with pytest.raises(WrongStateError):
        do(world, verb(world.key(name)))
    assert world.engine.vms(world.host) == before


def test_a_life(world: World) -> None:
    key = world.key("off")
    world.recorder.clear()
    for verb in (rq.Start, rq.Pause, rq.Resume, rq.SaveState, rq.RestoreState, rq.ForceOff):
        do(world, verb(key))
    world.recorder.wait_for_state(key, S.OFF)
    assert world.recorder.states(key) == [S.RUNNING, S.PAUSED, S.RUNNING, S.SAVED, S.RUNNING, S.OFF]


# --- identity -------------------------------------------------------------------------------------------------


def test_rename(world: World) -> None:
    do(world, rq.Rename(world.key("off"), "Bücher & Co"))
    assert world.vm("off").name == "Bücher & Co"
    assert len(world.engine.vms(world.host)) == len(VMS)


@pytest.mark.parametrize("name", ["running", "", "  ", "a/b"])
def test_a_name_that_will_not_do_is_refused(world: World, name: str) -> None:
    with pytest.raises(OperationError):
        do(world, rq.Rename(world.key("off"), name))
    assert world.vm("off").name == "off"


def test_a_running_vm_is_not_renamed(world: World) -> None:
    with pytest.raises(WrongStateError):
        do(world, rq.Rename(world.key("running"), "other"))


@pytest.mark.parametrize("name", ["off", "running"])
def test_title_and_notes(world: World, name: str) -> None:
    key = world.key(name)
    do(world, rq.SetTitle(key, "New <title> & more"))
    do(world, rq.SetNotes(key, "First\nsecond"))
    assert (world.vm(name).title, world.vm(name).notes) == ("New <title> & more", "First\nsecond")
    do(world, rq.SetTitle(key, ""))
    do(world, rq.SetNotes(key, ""))
    assert (world.vm(name).title, world.vm(name).notes) == ("", "")


def test_autostart(world: World) -> None:
    do(world, rq.SetAutostart(world.key("off"), True))
    assert world.vm("off").autostart
    do(world, rq.SetAutostart(world.key("off"), False))
    assert not world.vm("off").autostart


# --- reading --------------------------------------------------------------------------------------------------


def test_details(world: World) -> None:
    details = do(world, rq.ReadDetails(world.key("off")))
    assert details.key == world.key("off")
    assert (details.vcpus, details.memory_kib) == (2, 512 * 1024)
    assert details.arch == "x86_64"
    assert [(disk.target, disk.bus, disk.format) for disk in details.disks][:1] == [("vda", "virtio", "qcow2")]
    assert [(nic.mode, nic.model) for nic in details.nics] == [("user", "virtio")]
    assert details.graphics == ("vnc",)
    assert "<domain" in details.xml


def test_capabilities(world: World) -> None:
    capabilities = do(world, rq.ReadCapabilities(world.host))
    assert capabilities.host == world.host
    assert not capabilities.kvm.usable
    assert capabilities.kvm.reason
    assert capabilities.memory_bytes > 0
    assert capabilities.cpus > 0
    assert capabilities.max_vcpus > 0
    assert capabilities.images_free_bytes > 0
    assert capabilities.libvirt_version


# --- delete ---------------------------------------------------------------------------------------------------


def test_delete_and_undo(world: World) -> None:
    key = world.key("off")
    deleted = do(world, rq.Delete(key))
    assert world.engine.vm(key) is None
    assert key.uuid not in world.recorder.vms(world.host)
    assert do(world, rq.UndoDelete(deleted)) == key
    assert world.vm("off").name == "off"
    assert world.vm("off").state is S.OFF
    world.recorder.wait_for(lambda: key.uuid in world.recorder.vms(world.host), "the VM to be back")


def test_a_running_vm_is_not_deleted(world: World) -> None:
    with pytest.raises(WrongStateError):
        do(world, rq.Delete(world.key("running")))
    assert world.vm("running").state is S.RUNNING


# --- what is not there ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", [rq.Start, rq.ForceOff, rq.ReadDetails, rq.TakeScreenshot, rq.PlanDelete, rq.Delete])
def test_an_unknown_vm(world: World, verb: type[rq.VmRequest[Any]]) -> None:
    with pytest.raises(VmNotFoundError):
        do(world, verb(VmKey(world.host, "00000000-0000-4000-8000-000000000000")))


def test_an_unknown_host(world: World) -> None:
    job = world.engine.submit(rq.Start(VmKey(HostId("test:///elsewhere"), world.key("off").uuid)))
    with pytest.raises(HostError):
        job.result(WAIT_S)
    assert job.info.state is JobState.FAILED


def test_a_closed_host(world: World) -> None:
    world.engine.close_host(world.host)
    world.recorder.wait_for(lambda: bool(world.recorder.of(HostRemoved)), "the host to go")
    assert world.engine.hosts() == ()
    assert world.engine.vms(world.host) == ()
    assert world.engine.vm(world.key("off")) is None
    with pytest.raises(HostError):
        do(world, rq.Start(world.key("off")))
    world.engine.close_host(world.host)  # closing what is closed is no error


# --- events ---------------------------------------------------------------------------------------------------


def test_an_event_tells_only_what_changed(world: World) -> None:
    world.recorder.clear()
    do(world, rq.Pause(world.key("running")))
    world.recorder.wait_for_state(world.key("running"), S.PAUSED)
    changes = world.recorder.of(VmsChanged)
    assert [(len(change.changed), change.removed) for change in changes] == [(1, ())]
    assert changes[0].changed == (world.vm("running"),)


def test_a_refused_verb_is_no_event_of_a_vm(world: World) -> None:
    world.recorder.clear()
    with pytest.raises(WrongStateError):
        do(world, rq.Pause(world.key("off")))
    assert world.recorder.of(VmsChanged) == []


def test_who_stops_listening_hears_nothing_more(world: World) -> None:
    world.engine.remove_listener(world.recorder)
    world.recorder.clear()
    do(world, rq.Pause(world.key("running")))
    assert world.recorder.events == []
    world.engine.remove_listener(world.recorder)


def test_the_states_of_a_job_are_told_in_order(world: World) -> None:
    job = world.engine.submit(rq.Pause(world.key("running")))
    infos = world.recorder.wait_for_job(job.info.id)
    states = [info.state for info in infos if info.state is not JobState.QUEUED]
    assert states == [JobState.RUNNING, JobState.DONE]
    assert all(info.vm == world.key("running") and info.host == world.host for info in infos)
    assert "running" in infos[-1].title
    assert infos[-1].error is None


def test_the_error_of_a_failed_job_is_told(world: World) -> None:
    job = world.engine.submit(rq.Pause(world.key("off")))
    last = world.recorder.wait_for_job(job.info.id)[-1]
    assert last.state is JobState.FAILED
    assert isinstance(last.error, WrongStateError)


def test_the_change_is_known_before_the_job_ends(world: World) -> None:
    job = world.engine.submit(rq.Pause(world.key("running")))
    world.recorder.wait_for_job(job.info.id)
    kinds = [
        type(event)
        for event in world.recorder.events
        if isinstance(event, VmsChanged) or (isinstance(event, JobChanged) and event.job.state is JobState.DONE)
    ]
    assert kinds[-2:] == [VmsChanged, JobChanged]


def test_quiet_requests_are_not_listed(world: World) -> None:
    world.recorder.clear()
    do(world, rq.ReadDetails(world.key("off")))
    do(world, rq.ReadCapabilities(world.host))
    assert world.recorder.of(JobChanged) == []


def test_requests_to_one_vm_are_served_in_order(world: World) -> None:
    key = world.key("running")
    jobs = [world.engine.submit(rq.SetTitle(key, f"Title {number}")) for number in range(20)]
    for job in jobs:
        job.result(WAIT_S)
    assert world.vm("running").title == "Title 19"


def test_after_the_end_nothing_is_accepted(world: World) -> None:
    world.engine.stop()
    job = world.engine.submit(rq.Pause(world.key("running")))
    if not job.info.state.is_final:
        with pytest.raises(GuivmError):
            job.result(WAIT_S)
    assert job.info.state.is_final
