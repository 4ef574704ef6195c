"""``guivm set``: the settings by words, with the same requests as the dialog."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest

from guivm.cli.edits import Edit, parse_edits, typed
from guivm.cli.exits import Exit
from guivm.cli.main import build_parser
from guivm.cli.session import Session
from guivm.cli.verbs import UsageError, chosen
from guivm.engine import requests as rq
from guivm.engine.options import catalogue
from guivm.engine.options.changes import changes
from guivm.engine.options.draft_edits import Draft
from guivm.engine.options.phrase import Phrase
from guivm.engine.options.values import (
    AccessFix,
    AppliedSettings,
    EditFix,
    Outcome,
    Place,
    Reach,
    SettingProblem,
    VmSettings,
)
from guivm.engine.types import VmKey
from guivm.engine.xml.domain import DomainXml
from guivm.errors import OperationError
from tests.helpers.fake_engine import LOCAL, FakeEngine
from tests.helpers.machine_settings import host_facts
from tests.helpers.running_domains import DEFINED, LIVE


class SettingsEngine(FakeEngine):
    """Answers the requests of the settings for one VM."""

    def __init__(self, live_xml: str = "") -> None:
        super().__init__()
        self.live_xml = live_xml
        self.problems: tuple[SettingProblem, ...] = ()
        self.old_problems: tuple[SettingProblem, ...] = ()  # of the definition as it is
        self.vm_key = self.add_vm("lab")

    def _do(self, request: rq.Request[Any]) -> Any:
        match request:
            case rq.ReadSettings(key=key):
                return VmSettings(key, DEFINED, self.live_xml, host_facts(), autostart=False)
            case rq.CheckSettings(xml=xml):
                return self.old_problems + (() if xml == DEFINED else self.problems)
            case rq.ApplySettings(base=base, xml=xml):
                found = changes(DomainXml.parse(base), DomainXml.parse(xml))
                outcomes = tuple(Outcome(change, Reach.NEXT_START, "the guest said no") for change in found)
                return AppliedSettings(outcomes, xml, self.live_xml)
        return super()._do(request)

    def applied(self) -> list[rq.ApplySettings]:
        return [request for request in self.requests if isinstance(request, rq.ApplySettings)]


@pytest.fixture
def engine() -> SettingsEngine:
    return SettingsEngine()


def run(engine: FakeEngine, *words: str) -> int:
    arguments = build_parser().parse_args(["set", "lab", *words])
    verb = chosen(arguments)
    assert verb is not None
    assert verb.run is not None
    session = Session(engine, as_json=getattr(arguments, "json", False))
    session.connect([LOCAL])
    return verb.run(session, arguments)


def drafted(engine: SettingsEngine) -> DomainXml:
    (request,) = engine.applied()
    return DomainXml.parse(request.xml)


# --- words ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "edits"),
    [
        ("--memory 2GiB", [Edit("set", "memory", "", (("maximum", "2GiB"),))]),
        ("--memory=2GiB", [Edit("set", "memory", "", (("maximum", "2GiB"),))]),
        ("--memory current=1GiB", [Edit("set", "memory", "", (("current", "1GiB"),))]),
        ("--vcpus 4", [Edit("set", "cpu", "", (("count", "4"),))]),
        ("--title a=b", [Edit("set", "system", "", (("title", "a=b"),))]),
        ("--cpu.mode host-passthrough", [Edit("set", "cpu", "", (("mode", "host-passthrough"),))]),
        ("--cpu.mode=maximum", [Edit("set", "cpu", "", (("mode", "maximum"),))]),
        ("--boot.retry -1", [Edit("set", "boot", "", (("retry", "-1"),))]),
        ("--disk vda.cache=none", [Edit("set", "disk", "vda", (("cache", "none"),))]),
        ("--hostdev 0000:01:00.0.managed=yes", [Edit("set", "hostdev", "0000:01:00.0", (("managed", "yes"),))]),
        (
            "--nic 0.model=virtio 0.link=down",
            [Edit("set", "nic", "0", (("model", "virtio"),)), Edit("set", "nic", "0", (("link", "down"),))],
        ),
        ("--add nic mode=user model=e1000e", [Edit("add", "nic", "", (("mode", "user"), ("model", "e1000e")))]),
        ("--add rng", [Edit("add", "rng")]),
        ("--remove disk vdb", [Edit("remove", "disk", "vdb")]),
    ],
)
def test_words_become_edits(words: str, edits: list[Edit]) -> None:
    assert parse_edits(words.split()).edits == edits


@pytest.mark.parametrize(
    "words",
    [
        "",
        "memory 2G",
        "--memory",
        "--memory --vcpus 2",
        "--disk vda",
        "--disk =x",
        "--add",
        "--remove disk",
        "--json=yes --vcpus 2",
        "--list --vcpus 2",
        "--autostart maybe",
        "--",
    ],
)
def test_nonsense_is_wrong_usage(words: str) -> None:
    with pytest.raises(UsageError):
        parse_edits(words.split())


def test_what_all_verbs_share_is_understood_behind_the_vm() -> None:
    arguments = build_parser().parse_args(["set", "lab", "--vcpus", "2", "--json", "--connect", "test:///x"])
    assert arguments.json
    assert arguments.connect == ["test:///x"]
    arguments = build_parser().parse_args(["set", "--json", "lab", "--vcpus", "2"])
    assert arguments.json


# --- the verb ---------------------------------------------------------------------------------------------


def test_settings_are_applied_in_their_order(engine: SettingsEngine, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(engine, "--memory", "2GiB", "--cpu.maximum", "8", "--vcpus", "4", "--title", "Teaching") == Exit.OK
    domain = drafted(engine)
    assert (domain.memory_kib, domain.vcpu.maximum, domain.vcpu.current) == (2 * 1024**2, 8, 4)
    assert domain.title == "Teaching"
    printed = capsys.readouterr().out
    assert "System: Title: (nothing) → Teaching" in printed
    assert "Memory: Memory: 128 MiB → 2 GiB" in printed


def test_devices_are_named_by_identity_or_number(engine: SettingsEngine) -> None:
    assert run(engine, "--disk", "vda.cache=none", "--nic", "0.model=e1000e") == Exit.OK
    domain = drafted(engine)
    assert domain.devices.disks[0].cache == "none"
    assert domain.devices.interfaces[0].model == "e1000e"


def test_devices_come_and_go(engine: SettingsEngine, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(engine, "--remove", "nic", "0", "--add", "nic", "model=e1000e") == Exit.OK
    (card,) = drafted(engine).devices.interfaces
    assert card.model == "e1000e"


def test_a_dry_run_changes_nothing(engine: SettingsEngine, capsys: pytest.CaptureFixture[str]) -> None:
    engine.problems = (
        SettingProblem(Place("memory", "", "maximum"), "That is more than the host has.", is_warning=True),
    )
    assert run(engine, "--memory", "2GiB", "--dry-run") == Exit.OK
    assert engine.applied() == []
    printed = capsys.readouterr().out
    assert "+  <memory" in printed
    assert "warning: memory.maximum: That is more than the host has." in printed


def test_a_dry_run_tells_how_qemu_would_be_started(engine: SettingsEngine, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="--dry-run"):
        parse_edits(["--qemu", "--memory", "2GiB"])
    engine.qemu_command = "qemu \\\n  -m 2048"
    assert run(engine, "--memory", "2GiB", "--dry-run", "--qemu") == Exit.OK
    assert capsys.readouterr().out.endswith("\nqemu \\\n  -m 2048\n")
    (request,) = engine.requests_of(rq.ReadQemuCommand)
    assert DomainXml.parse(request.xml).memory_kib == 2 << 20
    assert run(engine, "--dry-run", "--qemu", "--json") == Exit.OK  # of the definition as it is
    assert json.loads(capsys.readouterr().out)["qemu"] == engine.qemu_command
    assert engine.applied() == []


def test_a_dry_run_fails_when_the_settings_would(engine: SettingsEngine, capsys: pytest.CaptureFixture[str]) -> None:
    engine.problems = (SettingProblem(Place("disk", "vda", "source"), "The file is not there."),)
    assert run(engine, "--memory", "2GiB", "--dry-run", "--json") == Exit.FAILED
    printed = json.loads(capsys.readouterr().out)
    assert printed["problems"][0]["message"] == "The file is not there."
    assert printed["changes"][0] | {} == {
        "resource": "memory",
        "device": "",
        "option": "maximum",
        "kind": "changed",
        "label": "Memory",
        "old": "128 MiB",
        "new": "2 GiB",
        "reach": "next-start",
    }
    assert printed["diff"].startswith("---")


def test_what_mends_a_problem_can_be_typed(engine: SettingsEngine, capsys: pytest.CaptureFixture[str]) -> None:
    place = Place("nic", "52:54:00:12:34:56", "mac")
    edit = EditFix(place, "52:54:00:00:00:01", Phrase("New address"))
    engine.problems = (
        SettingProblem(place, "It is taken.", is_warning=True, fix=edit),
        SettingProblem(Place("disk", "vda", "source"), "It is shut.", fix=AccessFix("qemu", "x", ("/a b",))),
    )
    assert run(engine, "--dry-run", "--memory", "2GiB") == Exit.FAILED
    out = capsys.readouterr().out
    assert "  try: --nic 52:54:00:12:34:56.mac=52:54:00:00:00:01\n" in out
    assert "  try: setfacl -m u:qemu:x -- '/a b'\n" in out
    (read,) = parse_edits(shlex.split(typed("nic", place.device, "mac", "52:54:00:00:00:01"))).edits
    assert (read.resource, read.device, read.values) == ("nic", place.device, (("mac", "52:54:00:00:00:01"),))
    with pytest.raises(OperationError) as caught:
        run(engine, "--memory", "2GiB")
    assert caught.value.advice == "Try: setfacl -m u:qemu:x -- '/a b'"


def test_problems_stop_it_and_warnings_do_not(engine: SettingsEngine, capsys: pytest.CaptureFixture[str]) -> None:
    engine.problems = (SettingProblem(Place("disk", "vda", "source"), "The file is not there."),)
    with pytest.raises(OperationError, match=r"disk\.vda\.source: The file is not there\."):
        run(engine, "--memory", "2GiB")
    assert engine.applied() == []
    engine.problems = (SettingProblem(Place("memory"), "That is a lot.", is_warning=True),)
    assert run(engine, "--memory", "2GiB") == Exit.OK
    assert "That is a lot." in capsys.readouterr().err


def test_what_was_wrong_before_only_warns(engine: SettingsEngine, capsys: pytest.CaptureFixture[str]) -> None:
    engine.old_problems = (SettingProblem(Place("disk", "vda", "source"), "The file is not there."),)
    assert run(engine, "--title", "Teaching") == Exit.OK
    assert "warning: disk.vda.source: The file is not there." in capsys.readouterr().err
    assert len(engine.applied()) == 1


def test_a_running_vm_is_changed_unless_told_otherwise(capsys: pytest.CaptureFixture[str]) -> None:
    engine = SettingsEngine(LIVE)
    assert run(engine, "--vcpus", "2") == Exit.OK
    assert "from the next start on (the guest said no)" in capsys.readouterr().out
    assert run(engine, "--vcpus", "2", "--next-start") == Exit.OK
    assert [request.live for request in engine.applied()] == [True, False]
    assert run(engine, "--vcpus", "2", "--cpu.nested", "off", "--dry-run") == Exit.OK
    printed = capsys.readouterr().out
    assert "CPUs: 1 → 2; at once, if the guest takes it" in printed
    assert "No; from the next start on" in printed


def test_autostart_alone_is_a_change(engine: SettingsEngine) -> None:
    assert run(engine, "--autostart", "yes") == Exit.OK
    assert [request.autostart for request in engine.applied()] == [True]
    assert run(engine, "--autostart", "no") == Exit.OK
    assert len(engine.applied()) == 1


def test_what_is_so_already_is_not_applied(engine: SettingsEngine, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(engine, "--vcpus", "1") == Exit.OK
    assert engine.applied() == []
    assert capsys.readouterr().out == "Nothing to change.\n"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--cpu.accel", "kvm"], "neither|no hardware"),
        (["--cpu.model", "Skylake-Client"], "avx512f"),
        (["--cpu.colour", "red"], "has no option “colour”"),
        (["--engine", "x=y"], "no resource “engine”"),
        (["--controller", "model=x"], "Say which “controller”; there are: "),
        (["--disk", "vdz.cache=none"], "no “disk” called “vdz”"),
        (["--memory", "2"], "unit"),
        (["--system.sleep", "perhaps"], "yes"),
        (["--system.uuid", "x"], "never changes"),
        (["--remove", "cpu", "0"], "cannot be removed"),
        (["--add", "cpu"], "just one"),
        (["--cpu.shares", "1"], "2 to 262144"),
    ],
)
def test_what_cannot_be_is_refused_in_words(engine: SettingsEngine, words: list[str], reason: str) -> None:
    with pytest.raises(OperationError, match=reason):
        run(engine, *words)
    assert engine.applied() == []


def test_options_are_listed(engine: SettingsEngine, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(engine, "--list") == Exit.OK
    assert "CPU (--cpu): 1 CPU of 2" in capsys.readouterr().out
    assert run(engine, "--list", "cpu") == Exit.OK
    assert "count" in capsys.readouterr().out
    assert run(engine, "--list", "cpu", "--json") == Exit.OK
    (part,) = json.loads(capsys.readouterr().out)
    by_name = {option["option"]: option for option in part["options"]}
    assert by_name["count"]["value"] == "1"
    assert "kvm" not in by_name["accel"]["choices"]
    assert set(map(type, engine.requests)) == {rq.ReadSettings}


def test_every_option_of_the_catalogue_can_be_reached() -> None:
    draft = Draft(VmSettings(VmKey(LOCAL, "x"), DEFINED, "", host_facts(), autostart=False))
    listed = {(part.resource, row.option) for part in draft.listed() for row in part.rows}
    there = {
        (resource.id, option.id)
        for resource in catalogue.RESOURCES
        if resource.nodes(DomainXml.parse(DEFINED))
        for option in resource.options
    }
    assert listed == there
