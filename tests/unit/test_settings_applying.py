"""What applying does when a step of it fails: the steps before are taken back, in reverse, and the error says so."""

from __future__ import annotations

import logging
from collections.abc import Callable

import libvirt
import pytest

from guivm.engine.options.values import AppliedSettings, Reach
from guivm.engine.requests import ApplySettings
from guivm.engine.settings import live_devices
from guivm.engine.settings.applying import apply_settings
from guivm.engine.xml.domain import DomainXml
from guivm.errors import (
    CancelledError,
    ChangedOutsideError,
    HostError,
    OperationError,
    UnsupportedError,
    WrongStateError,
)
from tests.helpers.live_libvirt import LiveDomain, live_context
from tests.helpers.small_libvirt import refusal

UUID = "6695eb01-f6a4-8304-79aa-97f2502e193f"
MAC = "52:54:00:12:34:56"
_DEVICES = f"""
    <disk type='file' device='disk'><source file='/images/a'/><target dev='vda' bus='virtio'/>{{0}}</disk>
    <disk type='file' device='disk'><source file='/images/b'/><target dev='vdb' bus='virtio'/>{{1}}</disk>
    <disk type='file' device='cdrom'><source file='/images/c'/><target dev='sda' bus='sata'/><readonly/>{{2}}</disk>
    <interface type='user'><mac address='{MAC}'/><model type='virtio'/>{{3}}</interface>
"""
_DOMAIN = f"""
<domain type='qemu'>
  <name>vm</name><uuid>{UUID}</uuid><memory unit='KiB'>1048576</memory><vcpu current='1'>4</vcpu>
  <os><type arch='x86_64'>hvm</type></os>
  <devices>{{}}</devices>
</domain>"""
DEFINITION = _DOMAIN.format(_DEVICES.format(*[""] * 4))
LIVE = _DOMAIN.format(_DEVICES.format(*(f"<alias name='a{number}'/>" for number in range(4))))

Edit = Callable[[DomainXml], None]


def apply(domain: LiveDomain, *edits: Edit, **more: object) -> AppliedSettings:
    base = str(domain.definition)
    draft = DomainXml.parse(base)
    for edit in edits:
        edit(draft)
    context, key = live_context(domain)
    return apply_settings(context, ApplySettings(key, base, draft.to_text(), **more))  # type: ignore[arg-type]


def running() -> LiveDomain:
    return LiveDomain(DEFINITION, LIVE)


def more_cpus(draft: DomainXml) -> None:
    draft.vcpu.current = 3


def no_second_drive(draft: DomainXml) -> None:
    draft.devices.disks.remove(draft.devices.disks[1])


def third_drive(draft: DomainXml) -> None:
    disk = draft.devices.disks.add()
    disk.type, disk.device, disk.source_file = "file", "disk", "/images/d"
    disk.target_dev, disk.target_bus = "vdc", "virtio"


def cable_out(draft: DomainXml) -> None:
    draft.devices.interfaces[0].link_state = "down"


def other_model(draft: DomainXml) -> None:
    draft.devices.interfaces[0].model = "e1000"


def live_targets(domain: LiveDomain) -> list[str | None]:
    return [disk.target_dev for disk in DomainXml.parse(domain.XMLDesc(0)).devices.disks]


# --- it works ---------------------------------------------------------------------------------------------


def test_first_the_running_vm_then_the_definition() -> None:
    domain = running()
    applied = apply(domain, more_cpus, no_second_drive, third_drive, cable_out)
    assert domain.calls == ["detach disk", "update interface", "attach disk", "setVcpusFlags", "define checked"]
    assert {outcome.reach for outcome in applied.outcomes} == {Reach.LIVE}
    assert len(applied.outcomes) == 4
    assert applied.xml == domain.definition
    assert applied.live_xml == domain.XMLDesc(0)


def test_off_or_not_live_only_the_definition_is_stored() -> None:
    off = LiveDomain(DEFINITION, None)
    applied = apply(off, more_cpus, third_drive)
    assert off.calls == ["define checked"]
    assert {(outcome.reach, outcome.reason) for outcome in applied.outcomes} == {(Reach.NEXT_START, "")}
    later = running()
    applied = apply(later, more_cpus, live=False)
    assert later.calls == ["define checked"]
    assert [(outcome.reach, outcome.reason) for outcome in applied.outcomes] == [(Reach.NEXT_START, "")]


def test_nothing_changed_nothing_done() -> None:
    domain = running()
    assert apply(domain).outcomes == ()
    assert domain.calls == []


def test_what_the_running_vm_refuses_waits_with_libvirts_reason() -> None:
    domain = running()
    domain.fail["attach disk"] = refusal(words="No more available PCI slots")
    applied = apply(domain, third_drive, more_cpus)
    assert "define checked" in domain.calls
    reaches = {outcome.change.place.resource: (outcome.reach, outcome.reason) for outcome in applied.outcomes}
    assert reaches["cpu"] == (Reach.LIVE, "")
    assert reaches["disk"][0] is Reach.NEXT_START
    assert "No more available PCI slots" in reaches["disk"][1]


def test_what_nobody_can_change_live_says_so() -> None:
    domain = running()
    applied = apply(domain, other_model, cable_out)
    reaches = {outcome.change.place.option: (outcome.reach, outcome.reason) for outcome in applied.outcomes}
    assert domain.calls == ["update interface", "define checked"]
    waits = reaches.pop("model")
    assert waits[0] is Reach.NEXT_START
    assert "while the virtual machine is off" in waits[1]
    assert set(reaches.values()) == {(Reach.LIVE, "")}


def test_a_guest_that_keeps_a_drive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_devices, "UNPLUG_S", 0.0)
    domain = running()
    domain.keeps = {"a1"}
    (outcome,) = apply(domain, no_second_drive).outcomes
    assert outcome.reach is Reach.NEXT_START
    assert "has not let go" in outcome.reason


def test_a_new_card_has_one_address_now_and_later() -> None:
    domain = running()

    def card(draft: DomainXml) -> None:
        nic = draft.devices.interfaces.add()
        nic.type, nic.model = "user", "virtio"

    apply(domain, card)
    macs = [DomainXml.parse(text).devices.interfaces[1].mac for text in (domain.XMLDesc(0), str(domain.definition))]
    assert macs[0] == macs[1] is not None
    assert str(macs[0]).startswith("52:54:00:")


def test_a_drive_that_moves_to_another_bus_stays_until_the_next_start() -> None:
    domain = running()

    def move(draft: DomainXml) -> None:
        draft.devices.disks[0].target_dev, draft.devices.disks[0].target_bus = "sdb", "sata"

    def new_address(draft: DomainXml) -> None:
        draft.devices.interfaces[0].mac = "52:54:00:00:00:42"

    applied = apply(domain, move, new_address)
    assert domain.calls == ["define checked"]
    assert {outcome.reach for outcome in applied.outcomes} == {Reach.NEXT_START}


def test_two_of_a_kind_are_told_apart() -> None:
    """A second random source like the first is added, not taken for the first."""
    xml = "<rng model='virtio'><backend model='random'>/dev/urandom</backend>{}</rng>"
    base = DEFINITION.replace("</devices>", xml.format("") + "</devices>")
    domain = LiveDomain(base, LIVE.replace("</devices>", xml.format("<alias name='rng0'/>") + "</devices>"))

    def another(draft: DomainXml) -> None:
        rng = draft.devices.rngs.add()
        rng.model, rng.backend_model, rng.backend_path = "virtio", "random", "/dev/urandom"

    apply(domain, another)
    assert domain.calls == ["attach rng", "define checked"]


def test_what_the_running_vm_has_already_is_not_plugged_in_twice() -> None:
    domain = running()
    apply(domain, third_drive)
    domain.definition = DEFINITION  # as if somebody had plugged it in for now only
    domain.calls.clear()
    (outcome,) = apply(domain, third_drive).outcomes
    assert domain.calls == ["define checked"]
    assert outcome.reach is Reach.LIVE


# --- it fails ---------------------------------------------------------------------------------------------


def test_a_definition_that_is_refused_takes_everything_back() -> None:
    domain = running()
    domain.fail["define checked"] = refusal(libvirt.VIR_ERR_CONFIG_UNSUPPORTED, "unsupported configuration: no")
    with pytest.raises(UnsupportedError) as caught:
        apply(domain, more_cpus, no_second_drive, third_drive, cable_out)
    error = caught.value
    assert "Taken back: number of CPUs, drive vdc, network card " + MAC + ", drive vdb." in str(error)
    assert "Could not" not in str(error)
    assert "unsupported configuration: no" in error.details
    assert domain.definition == DEFINITION
    assert sorted(map(str, live_targets(domain))) == ["sda", "vda", "vdb"]
    live = DomainXml.parse(domain.XMLDesc(0))
    assert (live.vcpu.current, live.devices.interfaces[0].link_state) == (1, None)


def test_what_cannot_be_taken_back_is_named() -> None:
    domain = running()
    domain.fail["define checked"] = refusal()
    domain.fail["detach disk"] = refusal()
    with pytest.raises(OperationError, match=r"Taken back: number of CPUs\. Could not be taken back: drive vdc\."):
        apply(domain, more_cpus, third_drive)


def test_autostart_that_fails_takes_the_definition_back() -> None:
    domain = LiveDomain(DEFINITION, None)
    domain.fail["setAutostart"] = refusal()
    with pytest.raises(OperationError, match="Taken back: the definition"):
        apply(domain, more_cpus, autostart=True)
    assert domain.definition == DEFINITION


def test_a_lost_connection_is_told_as_not_known() -> None:
    domain = running()
    domain.fail["define checked"] = refusal(libvirt.VIR_ERR_INVALID_CONN)
    with pytest.raises(HostError, match="connection to the host was lost"):
        apply(domain, third_drive)
    assert domain.calls == ["attach disk", "define checked"], "nothing more is asked of it"


def test_changed_elsewhere_before() -> None:
    domain = running()
    base = DEFINITION.replace("1048576", "524288")
    context, key = live_context(domain)
    with pytest.raises(ChangedOutsideError) as caught:
        apply_settings(context, ApplySettings(key, base, base.replace("<vcpu current='1'", "<vcpu current='2'")))
    assert "1048576" in caught.value.theirs
    assert "1048576" not in caught.value.ours
    assert domain.calls == []


def test_changed_elsewhere_meanwhile() -> None:
    domain = running()

    def elsewhere() -> None:
        domain.definition = DEFINITION.replace("1048576", "524288")

    domain.before["attach disk"] = elsewhere
    with pytest.raises(ChangedOutsideError, match="Taken back: drive vdc") as caught:
        apply(domain, third_drive)
    assert "524288" in caught.value.theirs
    assert "524288" in str(domain.definition)
    assert "vdc" not in live_targets(domain)


def test_white_space_and_order_of_attributes_are_no_change() -> None:
    domain = LiveDomain(DEFINITION, None)
    context, key = live_context(domain)
    base = DEFINITION.replace("type='file' device='disk'", "device='disk'  type='file'").replace("\n", "\n\n")
    apply_settings(context, ApplySettings(key, base, base))
    assert domain.calls == []


def test_cancelled_between_two_steps() -> None:
    domain = running()
    context, key = live_context(domain)
    domain.before["attach disk"] = context.job.cancel
    draft = DomainXml.parse(DEFINITION)
    third_drive(draft)
    more_cpus(draft)
    with pytest.raises(CancelledError, match="Taken back: drive vdc"):
        apply_settings(context, ApplySettings(key, DEFINITION, draft.to_text()))
    assert domain.definition == DEFINITION
    assert "vdc" not in live_targets(domain)


# --- identity ---------------------------------------------------------------------------------------------


def name_it(name: str) -> Edit:
    def edit(draft: DomainXml) -> None:
        draft.name = name

    return edit


def test_a_name_is_changed_by_renaming() -> None:
    domain = LiveDomain(DEFINITION, None)
    apply(domain, name_it("other"), more_cpus)
    assert domain.calls == ["define checked", "rename"]
    assert domain.name() == "other"
    assert DomainXml.parse(str(domain.definition)).vcpu.current == 3


def test_a_rename_that_fails_takes_the_definition_back() -> None:
    domain = LiveDomain(DEFINITION, None)
    domain.fail["rename"] = refusal(libvirt.VIR_ERR_OPERATION_INVALID, "cannot rename domain with snapshots")
    with pytest.raises(WrongStateError, match="Taken back: the definition"):
        apply(domain, name_it("other"), more_cpus)
    assert domain.definition == DEFINITION


@pytest.mark.parametrize(
    ("edit", "error", "words"),
    [
        (name_it("other"), WrongStateError, "is running"),
        (name_it("a/b"), OperationError, "“/”"),
        (lambda draft: setattr(draft, "uuid", UUID.replace("6", "7")), OperationError, "UUID"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_done(edit: Edit, error: type[Exception], words: str) -> None:
    domain = running()
    with pytest.raises(error, match=words):
        apply(domain, edit, more_cpus)
    assert domain.calls == []


# --- transient --------------------------------------------------------------------------------------------


def test_a_transient_vm_is_changed_as_it_runs_or_not_at_all() -> None:
    domain = running()
    domain.transient = True
    assert apply(domain, more_cpus) is not None
    assert domain.calls == ["setVcpusFlags"]
    with pytest.raises(WrongStateError, match="exists only while it runs"):
        apply(domain, more_cpus, live=False)
    domain = running()
    domain.transient = True
    domain.fail["attach disk"] = refusal(words="no slot")
    with pytest.raises(WrongStateError, match=r"exists only while it runs.*Taken back: number of CPUs") as caught:
        apply(domain, more_cpus, third_drive)
    assert "no slot" in caught.value.details


# --- schema, log ------------------------------------------------------------------------------------------


def test_a_vm_that_broke_the_schema_before_can_still_be_changed() -> None:
    domain = LiveDomain(DEFINITION, None)
    invalid = refusal(libvirt.VIR_ERR_XML_INVALID_SCHEMA, "does not validate")
    domain.fail["define checked"] = invalid

    def still_invalid() -> None:
        domain.fail["define checked"] = invalid

    domain.before["define checked"] = lambda: domain.before.update({"define checked": still_invalid})
    apply(domain, more_cpus)
    assert domain.calls == ["define checked", "define checked", "define"]


def test_an_edit_that_breaks_the_schema_is_refused() -> None:
    domain = LiveDomain(DEFINITION, None)
    domain.fail["define checked"] = refusal(libvirt.VIR_ERR_XML_INVALID_SCHEMA, "does not validate")
    with pytest.raises(OperationError) as caught:
        apply(domain, more_cpus)
    assert "does not validate" in caught.value.details
    assert domain.calls == ["define checked", "define checked"]
    assert domain.definition == DEFINITION


def test_each_definition_is_logged_without_its_password(caplog: pytest.LogCaptureFixture) -> None:
    def display(draft: DomainXml) -> None:
        node = draft.devices.graphics.add()
        node.type, node.password = "vnc", "s3cret!"

    with caplog.at_level(logging.INFO, "guivm.engine.settings.applying"):
        apply(LiveDomain(DEFINITION, None), display, more_cpus)
    (record,) = caplog.records
    text = record.getMessage()
    assert '-  <vcpu current="1">4</vcpu>\n+  <vcpu current="3">4</vcpu>' in text
    assert "graphics" in text
    assert "s3cret!" not in text


# --- pinning and shares -----------------------------------------------------------------------------------


def test_pins_shares_and_texts() -> None:
    domain = running()

    def edit(draft: DomainXml) -> None:
        pin = draft.cpu_tune.vcpu_pins.add()
        pin.vcpu, pin.cpu_set = 0, "1-2"
        draft.cpu_tune.quota_us = 50_000
        draft.title = "A title"

    apply(domain, edit)
    assert domain.calls == [
        "schedule {'vcpu_quota': 50000}",
        "pin 0 (False, True, True, False)",
        "metadata 1 A title",
        "define checked",
    ]
    domain.calls.clear()
    domain.live = running().live

    def back(draft: DomainXml) -> None:
        draft.cpu_tune.vcpu_pins.clear()
        draft.cpu_tune.quota_us = None
        draft.title = None

    apply(domain, back)
    assert domain.calls == [
        "schedule {'vcpu_quota': -1}",
        "pin 0 (True, True, True, True)",
        "metadata 1 None",
        "define checked",
    ]


# --- memory modules ---------------------------------------------------------------------------------------


def test_a_module_brings_its_memory_and_the_balloon_is_left_alone() -> None:
    domain = running()
    before = DomainXml.parse(DEFINITION)
    kib = before.memory_kib or 0

    def edit(draft: DomainXml) -> None:
        module = draft.devices.memories.add()
        module.model, module.size_kib, module.node = "dimm", 131072, 0
        draft.memory_kib = kib + 131072
        draft.current_memory_kib = (before.current_memory_kib or kib) + 131072

    apply(domain, edit)
    assert domain.calls == ["attach memory", "define checked"]
