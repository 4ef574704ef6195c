"""The running VM's document in its definition's words. Real documents (libvirt 9.0, QEMU 7.2, TCG), shortened."""

from __future__ import annotations

from typing import Any, cast

import libvirt
import pytest

from guivm.engine.options.changes import changes
from guivm.engine.settings.documents import parsed
from guivm.engine.settings.pins import adopt_pins
from guivm.engine.settings.rules_change import change_problems
from guivm.engine.settings.started import started_document
from guivm.engine.xml.domain import DomainXml
from tests.helpers.small_libvirt import refusal

_DOMAIN = """<domain type='qemu'{id}>
  <name>started</name><memory unit='KiB'>65536</memory><currentMemory unit='KiB'>65536</currentMemory>
  <vcpu placement='static'>2</vcpu>{tune}
  <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>
  {cpu}
  <devices><emulator>/usr/bin/qemu-system-x86_64</emulator></devices>
</domain>"""

# What QEMU reports, what was asked for, and what is defined.
NEHALEM_REPORTED = """<cpu mode='custom' match='exact' check='full'>
    <model fallback='forbid'>Nehalem</model>
    <feature policy='disable' name='pclmuldq'/>
    <feature policy='require' name='hypervisor'/>
  </cpu>"""
NEHALEM_ASKED = """<cpu mode='custom' match='exact' check='none'>
    <model fallback='forbid'>Nehalem</model>
    <feature policy='disable' name='pclmuldq'/>
  </cpu>"""
NEHALEM = NEHALEM_ASKED.replace("forbid", "allow")
HOST_EXPANDED = """<cpu mode='custom' match='exact' check='full'>
    <model fallback='forbid'>EPYC</model>
    <vendor>AMD</vendor>
    <feature policy='require' name='hypervisor'/>
    <feature policy='disable' name='erms'/>
    <feature policy='require' name='umip'/>
    <feature policy='require' name='npt'/>
    <feature policy='disable' name='vme'/>
  </cpu>"""
HOST = """<cpu mode='host-model' check='partial'>
    <feature policy='disable' name='erms'/>
    <feature policy='require' name='npt'/>
  </cpu>"""
_CAPABILITIES = """<domainCapabilities><cpu>
  <mode name='host-model' supported='yes'>
    <model fallback='forbid'>EPYC</model><vendor>AMD</vendor>
    <feature policy='require' name='hypervisor'/><feature policy='require' name='erms'/>
    <feature policy='require' name='umip'/><feature policy='require' name='npt'/>
    <feature policy='disable' name='vme'/>
  </mode>
</cpu></domainCapabilities>"""


def document(cpu: str = "", tune: str = "", *, live: bool = False) -> str:
    return _DOMAIN.format(id=" id='1'" if live else "", cpu=cpu, tune=tune)


class Started:
    """A running VM. ``asked``: None, as for somebody who may only look."""

    def __init__(self, live: str, asked: str | None) -> None:
        self._live, self._asked = live, asked

    def isActive(self) -> int:
        return 1

    def XMLDesc(self, flags: int) -> str:
        if not flags & libvirt.VIR_DOMAIN_XML_MIGRATABLE:
            return self._live
        if self._asked is None:
            raise refusal(libvirt.VIR_ERR_OPERATION_DENIED)
        return self._asked

    def connect(self) -> Started:
        return self

    def getDomainCapabilities(self, *_arguments: object) -> str:
        return _CAPABILITIES

    def getCPUMap(self, _flags: int) -> tuple[int, list[bool], int]:
        return 4, [True] * 4, 4


def waiting(live: str, asked: str | None, defined: str) -> set[str]:
    domain = cast(libvirt.virDomain, cast(Any, Started(live, asked)))
    found = started_document(domain, defined)
    return {change.place.option for change in changes(parsed(found), parsed(defined))}


def of_cpu(reported: str, asked: str | None, defined: str) -> set[str]:
    asked_for = None if asked is None else document(asked, live=True)
    return waiting(document(reported, live=True), asked_for, document(defined))


def without(cpu: str, feature: str) -> str:
    return "\n".join(line for line in cpu.splitlines() if f"name='{feature}'" not in line)


@pytest.mark.parametrize(
    ("reported", "asked", "defined", "expected"),
    [
        (NEHALEM_REPORTED, NEHALEM_ASKED, NEHALEM, set()),
        (NEHALEM_REPORTED, NEHALEM_ASKED, without(NEHALEM, "pclmuldq"), {"features"}),
        (NEHALEM_REPORTED, NEHALEM_ASKED, NEHALEM.replace("pclmuldq", "vmx"), {"features"}),
        (NEHALEM_REPORTED, NEHALEM_ASKED, NEHALEM.replace("Nehalem", "Westmere"), {"model"}),
        (NEHALEM_REPORTED, NEHALEM_ASKED, HOST, {"mode", "features"}),
        (NEHALEM_REPORTED, NEHALEM_ASKED, "<cpu mode='host-passthrough'/>", {"mode", "features"}),
        (HOST_EXPANDED, HOST_EXPANDED, HOST, set()),
        (HOST_EXPANDED, HOST_EXPANDED, without(HOST, "npt"), set()),  # the host has it anyway
        (HOST_EXPANDED, HOST_EXPANDED, without(HOST, "erms"), {"features"}),
        (HOST_EXPANDED, HOST_EXPANDED, HOST.replace("erms", "umip"), {"features"}),
        (HOST_EXPANDED, HOST_EXPANDED, "<cpu mode='maximum'/>", {"mode", "features"}),
        (HOST_EXPANDED, HOST_EXPANDED, HOST_EXPANDED.replace("'full'", "'partial'"), set()),
        ("<cpu mode='maximum' check='none'/>", None, "<cpu mode='host-model' check='partial'/>", {"mode"}),
        # Nobody tells what was asked for: what QEMU may have added is no news, everything else is.
        (NEHALEM_REPORTED, None, NEHALEM, set()),
        (NEHALEM_REPORTED, None, NEHALEM.replace("Nehalem", "Westmere"), {"model"}),
        (NEHALEM_REPORTED, None, NEHALEM.replace("disable", "require"), {"features"}),
        (NEHALEM_REPORTED, None, "<cpu mode='host-model'/>", {"mode"}),
    ],
)
def test_processors(reported: str, asked: str | None, defined: str, expected: set[str]) -> None:
    assert of_cpu(reported, asked, defined) == expected


def test_a_host_that_does_not_tell_its_model_says_it_by_the_makers_name() -> None:
    live = document(HOST_EXPANDED.replace("EPYC", "EPYC-Rome"), live=True)
    assert waiting(live, live, document(HOST)) == set()
    assert waiting(live, live, document(NEHALEM))


_PINNED = "<cputune><vcpupin vcpu='0' cpuset='{}'/></cputune>"


@pytest.mark.parametrize(
    ("live", "defined", "expected"),
    [
        (_PINNED.format("0-3"), "", set()),
        (_PINNED.format("0-2"), "", {"pinning"}),
        (_PINNED.format("0-3"), _PINNED.format("0"), {"pinning"}),
        ("", _PINNED.format("0-3"), set()),
        (_PINNED.format("0,1"), _PINNED.format("0-1"), set()),
        ("<cputune><emulatorpin cpuset='0-3'/></cputune>", "", set()),
        ("<cputune><iothreadpin iothread='1' cpuset='0-3'/></cputune>", "", set()),
        ("", "", set()),
    ],
)
def test_pins(live: str, defined: str, expected: set[str]) -> None:
    running = document("<cpu mode='maximum'/>", live, live=True)
    assert waiting(running, running, document("<cpu mode='maximum'/>", defined)) == expected


def test_pins_that_say_the_same_in_other_words() -> None:
    live = DomainXml.parse(document(tune=_PINNED.format("0") + "<!-- live -->"))
    live.cpu_tune.vcpu_pins.add().vcpu = 1
    live.cpu_tune.vcpu_pins[1].cpu_set = "0"
    live.cpu_tune.emulator_pin = "0"
    defined = DomainXml.parse(document())
    defined.vcpu.cpu_set = "0"
    assert adopt_pins(live, defined, 4)
    again = DomainXml.parse(live.to_text())
    assert again.vcpu.cpu_set == "0"
    assert (len(again.cpu_tune.vcpu_pins), again.cpu_tune.emulator_pin) == (0, None)
    assert not adopt_pins(live, defined, 4)


def test_secure_boot_and_the_keys_that_stay() -> None:
    def uefi(enabled: str) -> DomainXml:
        feature = f"<feature enabled='{enabled}' name='enrolled-keys'/>"
        return DomainXml.parse(document().replace("<os>", f"<os firmware='efi'><firmware>{feature}</firmware>"))

    (problem,) = change_problems(uefi("no"), uefi("yes"))
    assert problem.is_warning
    assert (problem.place.resource, problem.place.option) == ("system", "firmware")
    assert list(change_problems(uefi("yes"), uefi("yes"))) == []
    assert list(change_problems(DomainXml.parse(document()), uefi("yes"))) == []
