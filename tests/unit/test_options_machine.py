"""Options of the machine itself: each is read back, touches only what it must, and says what it means."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from guivm.engine.job_types import KvmStatus
from guivm.engine.options import cpu, hyperv, memory, processors, system
from guivm.engine.options.boot import boot_order, set_boot_order
from guivm.engine.options.differences import canonical
from guivm.engine.options.facts import HostFacts
from guivm.engine.options.firmware import firmware_items, machine_family
from guivm.engine.options.memory_devices import DIMM
from guivm.engine.options.option import (
    Choice,
    Custom,
    HostPath,
    Line,
    Number,
    Option,
    Resource,
    Situation,
    Size,
    SizeUnit,
    Switch,
    Value,
)
from guivm.engine.options.sizes import parse_size, size_words
from guivm.engine.options.text import parse, show
from guivm.engine.xml.document import XmlError
from guivm.engine.xml.domain import DomainXml
from guivm.resources import resource_path
from tests.helpers.machine_settings import host_facts, situation_of
from tests.helpers.running_domains import DEFINED, DEFINED_UEFI
from tests.helpers.xml_schema import grammar

RESOURCES: tuple[Resource[Any], ...] = (*system.RESOURCES, *cpu.RESOURCES, *memory.RESOURCES)
OPTIONS = [(resource, option) for resource in RESOURCES for option in resource.options]
IDS = [f"{resource.id}.{option.id}" for resource, option in OPTIONS]

# Texts that options without a list of choices understand.
_TEXTS: dict[str, tuple[str, ...]] = {
    "boot.order": ("vda, sda", "52:54:00:f8:58:4b, vda", "hd, cdrom, network"),
    "cpu.topology": ("1x2x1", "2x4x2", "1x2x4x2"),
    "cpu.features": ("+vmx, -hle", "pcid=optional"),
    "cpu.pinning": ("0:0-3,1:2", "0:0,2,4-5"),
    "cpu.numa": ("0-1=1 GiB; 2-3=512 MiB",),
    "cpu.host-cpus": ("0-3",),
    "cpu.emulator-pin": ("0,2",),
    "cpu.numa-nodes": ("0",),
    "system.firmware": ("uefi", "uefi-secure"),
    "system.timers": ("rtc=catchup, hpet=off", "tsc=on+delay, pit"),
    "system.timezone": ("Europe/Berlin",),
    "system.name": ("another",),
    "memory.maximum": ("2 GiB", "1.5 GiB"),
    "memory.current": (),
}
_READ_ONLY = ("system.uuid", "system.host-shutdown", "cpu.arch")
_RICH = DEFINED.replace(
    "<devices>",
    "<devices><memory model='dimm'><target><size unit='KiB'>1048576</size><node>0</node></target></memory>",
).replace("<iothreads>", "<maxMemory slots='4' unit='KiB'>8388608</maxMemory><iothreads>")


def _domain(text: str = _RICH) -> DomainXml:
    return DomainXml.parse(text)


def _node(resource: Resource[Any], domain: DomainXml) -> Any:
    return resource.nodes(domain)[0]


def _values(resource: Resource[Any], option: Option[Any], domain: DomainXml) -> Iterator[Any]:
    known = _TEXTS.get(f"{resource.id}.{option.id}")
    if known is not None:
        yield from known
        return
    match option.editor:
        case Switch():
            yield from (True, False)
        case Choice() as editor:
            items = editor.items(situation_of(domain), _node(resource, domain))
            yield from (item.value for item in items if item.value is not None and not item.refusal)
        case Number(minimum=least, maximum=most):
            yield from {least, min(most, least + 3)}
        case Size(minimum=least):
            yield max(least, 65_536)
        case HostPath():
            yield "/srv/some file"
        case _:
            yield "Some words"


def _others(domain: DomainXml, tags: set[str]) -> bytes:
    """The document without the elements of these names below its root."""
    root = copy.deepcopy(domain.make())
    for child in list(root):
        if child.tag in tags:
            root.remove(child)
    return canonical(root)


# What options may touch besides the element their own property is in.
_TOUCHES = {
    "boot": {"os", "devices"},
    "cpu": {"cpu", "vcpu", "vcpus", "cputune", "numatune", "iothreads", "iothreadids", "memory", "currentMemory"},
    "memory": {"memory", "currentMemory", "memoryBacking", "memtune", "maxMemory"},
    "memballoon": {"devices"},
    "dimm": {"devices", "memory", "currentMemory"},
}
_SYSTEM_TOUCHES = {"machine": {"os", "devices"}, "hyperv": {"features", "clock"}, "emulator": {"devices"}}


@pytest.mark.parametrize(("resource", "option"), OPTIONS, ids=IDS)
def test_each_value_is_read_back_and_the_rest_stays(resource: Resource[Any], option: Option[Any]) -> None:
    if f"{resource.id}.{option.id}" in _READ_ONLY:
        with pytest.raises(ValueError, match="cannot"):
            option.set(_node(resource, _domain()), "x")
        return
    for value in _values(resource, option, _domain()):
        domain = _domain()
        node = _node(resource, domain)
        tags = _TOUCHES.get(resource.id) or _SYSTEM_TOUCHES.get(
            option.id, {"name", "title", "description", "metadata", "os", "features", "clock", "pm"}
        )
        before = _others(domain, tags | {"on_poweroff", "on_reboot", "on_crash"})
        option.set(node, value)
        again = option.get(_node(resource, DomainXml.parse(domain.to_text())))
        assert again == value or (value is False and again is None) or (value is True and again is None), value
        if not (resource.id == "cpu" and option.id == "accel"):
            assert _others(domain, tags | {"on_poweroff", "on_reboot", "on_crash"}) == before
        once = domain.to_text()
        option.set(node, value)
        assert domain.to_text() == once, "the same value twice changes something"


@pytest.mark.parametrize(("resource", "option"), OPTIONS, ids=IDS)
def test_the_schema_accepts_what_is_set(resource: Resource[Any], option: Option[Any]) -> None:
    if f"{resource.id}.{option.id}" in _READ_ONLY:
        return
    schema = grammar("domain").validate
    for value in [*_values(resource, option, _domain()), None]:
        domain = _domain()
        try:
            option.set(_node(resource, domain), value)
        except ValueError:
            assert value is None
            continue
        element = etree.fromstring(domain.to_text())
        assert schema.validate(element), (value, schema.error_log)


@pytest.mark.parametrize(("resource", "option"), OPTIONS, ids=IDS)
def test_default_takes_it_away(resource: Resource[Any], option: Option[Any]) -> None:
    name = f"{resource.id}.{option.id}"
    if name in (*_READ_ONLY, "system.name", "memory.maximum", "dimm.size", "dimm.model", "cpu.accel"):
        return
    domain = _domain()
    node = _node(resource, domain)
    for value in list(_values(resource, option, domain))[:1]:
        option.set(node, value)
    option.set(node, None)
    if name in ("cpu.count", "cpu.maximum", "memory.current", "memballoon.model", "system.clock"):
        return  # another value stands for it
    assert option.get(_node(resource, DomainXml.parse(domain.to_text()))) in (None, False)


@pytest.mark.parametrize(("resource", "option"), OPTIONS, ids=IDS)
def test_each_value_can_be_shown_and_typed(resource: Resource[Any], option: Option[Any]) -> None:
    domain = _domain()
    node = _node(resource, domain)
    situation = situation_of(domain)
    for value in _values(resource, option, domain):
        words = show(option, value, situation, node)
        assert words
        assert parse(option, words if not isinstance(option.editor, Choice) else str(value), situation, node) == value
    if not isinstance(option.editor, Line) and option.id not in ("command-line", "notes"):
        assert parse(option, "default", situation, node) is None


@pytest.mark.parametrize(("resource", "option"), OPTIONS, ids=IDS)
def test_words_are_whole(resource: Resource[Any], option: Option[Any]) -> None:
    assert option.help.endswith(".")
    assert option.help.count(". ") == 0, "one sentence"
    assert option.label
    assert not option.label.endswith(".")
    assert option.label[0].isupper()
    assert option.keywords


def test_ids_are_unique_and_help_exists() -> None:
    assert len({resource.id for resource in RESOURCES}) == len(RESOURCES)
    for resource in RESOURCES:
        assert len({option.id for option in resource.options}) == len(resource.options)
        text = resource_path(f"help/{resource.help}.md").read_text(encoding="utf-8")
        assert text.startswith("# ")
        assert 150 <= len(text.split()) <= 420
        assert resource_path(f"icons/{resource.icon}.svg").is_file()
        assert resource.summary(situation_of(_domain()), _node(resource, _domain()))


@pytest.mark.parametrize(("resource", "option"), OPTIONS, ids=IDS)
def test_reading_changes_nothing_on_an_empty_machine(resource: Resource[Any], option: Option[Any]) -> None:
    domain = _domain("<domain type='qemu'><name>x</name></domain>")
    before = domain.to_text()
    for node in resource.nodes(domain):
        situation = situation_of(domain)
        option.get(node)
        option.refusal(situation, node)
        if option.shown is not None:
            option.shown(situation, node)
        if isinstance(option.editor, Choice):
            option.editor.items(situation, node)
        resource.summary(situation, node)
    assert domain.to_text() == before


# --- refusals ---------------------------------------------------------------------------------------------


def _refusal(resource: Resource[Any], option_id: str, value: object, facts: HostFacts, domain: DomainXml) -> str:
    option = next(option for option in resource.options if option.id == option_id)
    assert isinstance(option.editor, Choice)
    items = option.editor.items(Situation(facts, domain), _node(resource, domain))
    return next(item.refusal for item in items if item.value == value)


def _with_kvm() -> HostFacts:
    facts = host_facts()
    return replace(facts, capabilities=replace(facts.capabilities, kvm=KvmStatus(True, "good")))


def test_kvm_is_refused_with_the_verdict() -> None:
    facts = host_facts()
    assert _refusal(cpu.CPU, "accel", "kvm", facts, _domain()) == facts.capabilities.kvm.reason
    assert _refusal(cpu.CPU, "accel", "kvm", _with_kvm(), _domain()) == ""
    foreign = _domain(_RICH.replace("arch='x86_64'", "arch='aarch64'"))
    assert "another architecture" in _refusal(cpu.CPU, "accel", "kvm", _with_kvm(), foreign)


def test_a_blocked_model_names_what_is_missing() -> None:
    refusal = _refusal(cpu.CPU, "model", "Skylake-Client", host_facts(), _domain())
    assert "avx512f, hle" in refusal
    assert _refusal(cpu.CPU, "model", "Nehalem", host_facts(), _domain()) == ""


def test_the_hosts_own_processor_needs_kvm() -> None:
    assert "KVM" in _refusal(cpu.CPU, "mode", "host-passthrough", host_facts(), _domain())
    real = _domain(_RICH.replace("type='qemu'>", "type='kvm'>", 1))
    assert _refusal(cpu.CPU, "mode", "host-passthrough", _with_kvm(), real) == ""


def test_huge_pages_that_are_not_there_are_refused() -> None:
    assert "set no pages" in _refusal(memory.MEMORY, "pages", "1048576", host_facts(), _domain())
    assert _refusal(memory.MEMORY, "pages", "2048", host_facts(), _domain()) == ""


def test_secure_boot_needs_its_machine_and_its_firmware() -> None:
    old = _domain(_RICH.replace("pc-q35-7.2", "pc-i440fx-7.2"))
    assert "q35" in {item.value: item.refusal for item in firmware_items(situation_of(old), old)}["uefi-secure"]
    facts = host_facts()
    without = replace(facts.capabilities, has_uefi=False, uefi_reason="Install “ovmf”.")
    items = firmware_items(situation_of(_domain(), capabilities=without), _domain())
    assert {item.value: item.refusal for item in items}["uefi"] == "Install “ovmf”."


def test_modules_need_nodes_before_libvirt_9_6() -> None:
    option = next(option for option in memory.MEMORY.options if option.id == "plug-maximum")
    assert "NUMA" in option.refusal(situation_of(_domain()), _domain())
    newer = replace(host_facts().capabilities, libvirt_version="10.0.0")
    assert option.refusal(situation_of(_domain(), capabilities=newer), _domain()) == ""


# --- what goes together -----------------------------------------------------------------------------------


def test_modules_are_part_of_the_memory() -> None:
    domain = _domain(_RICH.replace("8388608</maxMemory>", "1310720</maxMemory>").replace("1048576", "131072"))
    first, had = domain.devices.memories[0], (domain.memory_kib or 0, domain.current_memory_kib or 0)
    situation = situation_of(domain)
    assert DIMM.add is not None
    assert DIMM.remove is not None
    assert DIMM.add_refusal is not None
    added = DIMM.add(situation)
    assert added.size_kib == min(1 << 20, 1310720 - had[0])
    (size,) = (option for option in DIMM.options if option.id == "size")
    size.set(added, 262144)
    assert (domain.memory_kib, domain.current_memory_kib) == (had[0] + 262144, had[1] + 262144)
    DIMM.remove(domain, added)
    assert (domain.memory_kib, domain.current_memory_kib) == had
    size.set(first, 1310720 - had[0] + 131072)
    assert "all the memory" in DIMM.add_refusal(situation)


def test_more_cpus_keep_the_topology_fitting() -> None:
    domain = _domain()
    domain.vcpu.current = None
    domain.cpu.sockets, domain.cpu.cores, domain.cpu.threads = 1, 1, 2
    processors.set_count(domain, 8)
    assert (domain.vcpu.maximum, domain.cpu.cores, domain.cpu.threads) == (8, 4, 2)
    processors.set_count(domain, 3)
    assert (domain.vcpu.maximum, domain.cpu.sockets, domain.cpu.cores, domain.cpu.threads) == (3, 1, 3, 1)


def test_with_room_for_more_only_the_count_changes() -> None:
    domain = _domain()
    processors.set_maximum(domain, 8)
    processors.set_count(domain, 4)
    assert (domain.vcpu.maximum, domain.vcpu.current) == (8, 4)
    processors.set_maximum(domain, None)
    assert (domain.vcpu.maximum, domain.vcpu.current) == (4, None)


@given(st.integers(1, 64), st.integers(1, 8), st.integers(1, 4), st.integers(1, 64))
def test_a_topology_always_fits_the_count(sockets: int, cores: int, threads: int, count: int) -> None:
    domain = _domain()
    processors.set_topology(domain, f"{sockets}x{cores}x{threads}")
    processors.set_maximum(domain, count)
    processors.set_count(domain, max(1, count - 1))
    product = (domain.cpu.sockets or 1) * (domain.cpu.cores or 1) * (domain.cpu.threads or 1)
    assert domain.vcpu.maximum == product
    assert domain.vcpu.current is None or 1 <= domain.vcpu.current <= product


def test_memory_takes_what_the_guest_has_along() -> None:
    domain = _domain()
    option = memory.MEMORY.options[0]
    domain.current_memory_kib = domain.memory_kib
    option.set(domain, "1 GiB")
    assert domain.current_memory_kib == domain.memory_kib == 1 << 20
    domain.current_memory_kib = 1 << 19
    option.set(domain, "2 GiB")
    assert domain.current_memory_kib == 1 << 19
    option.set(domain, "256 MiB")
    assert domain.current_memory_kib == 1 << 18


def test_another_chip_set_is_laid_out_anew() -> None:
    domain = _domain()
    option = next(option for option in system.SYSTEM.options if option.id == "machine")
    option.set(domain, "pc")
    assert all(controller.type != "pci" for controller in domain.devices.controllers)
    assert all(disk.address_type != "pci" for disk in domain.devices.disks)
    assert domain.devices.disks[1].address_type == "drive"
    domain = _domain()
    option.set(domain, "pc-q35-8.0")
    assert domain.devices.disks[0].address_type == "pci", "the same chip set stays as it is"
    domain.devices.disks[0].target_bus = "ide"
    with pytest.raises(ValueError, match="IDE"):
        option.set(domain, "virt")


def test_firmware_keeps_its_variables_while_it_stays_uefi() -> None:
    domain = _domain(DEFINED_UEFI)
    domain.os.nvram = "/srv/x_VARS.fd"
    option = next(option for option in system.SYSTEM.options if option.id == "firmware")
    assert option.get(domain) == "uefi"
    option.set(domain, "uefi-secure")
    assert (domain.os.firmware, domain.os.nvram) == ("efi", "/srv/x_VARS.fd")
    assert {f.name: f.enabled for f in domain.os.firmware_features} == {"enrolled-keys": True, "secure-boot": True}
    option.set(domain, None)
    assert domain.os.firmware is None
    assert domain.os.nvram is None


def test_the_bundle_for_windows_switches_all_of_it() -> None:
    domain = _domain()
    bundle = hyperv.OPTIONS[0]
    bundle.set(domain, True)
    assert bundle.get(domain) is True
    assert [timer.name for timer in domain.clock.timers if timer.present] == ["hypervclock"]
    domain.features.hyperv_ipi = None
    assert bundle.get(domain) is False
    bundle.set(domain, False)
    assert "hyperv" not in domain.to_text()


def test_boot_orders_of_both_kinds() -> None:
    domain = _domain()
    assert boot_order(domain) == ("hd",)
    set_boot_order(domain, ["sda", "vda"])
    assert len(domain.os.boot_devices) == 0
    assert [disk.boot_order for disk in domain.devices.disks] == [2, 1]
    set_boot_order(domain, ["cdrom", "hd"])
    assert [disk.boot_order for disk in domain.devices.disks] == [None, None]
    with pytest.raises(ValueError, match="vdz"):
        set_boot_order(domain, ["vdz"])
    with pytest.raises(ValueError, match="twice"):
        set_boot_order(domain, ["vda", "vda"])


def test_the_system_is_kept_where_virt_manager_keeps_it() -> None:
    domain = _domain()
    option = next(option for option in system.SYSTEM.options if option.id == "os")
    option.set(domain, parse(option, "Windows 11", situation_of(domain), domain))
    root = etree.fromstring(domain.to_text())
    (found,) = root.iterfind("metadata/{http://libosinfo.org/xmlns/libvirt/domain/1.0}libosinfo/*")
    assert found.get("id") == "http://microsoft.com/win/11"
    assert hyperv.is_windows(domain)
    domain.metadata.os_id = "http://debian.org/debian/12"
    assert show(option, option.get(domain), situation_of(domain), domain) == "debian 12"


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("q35", "q35"),
        ("pc-q35-7.2", "q35"),
        ("pc", "i440FX"),
        ("pc-i440fx-7.2", "i440FX"),
        ("virt-8.0", "virt"),
        (None, ""),
    ],
)
def test_families_of_machines(name: str | None, family: str) -> None:
    assert machine_family(name) == family


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("cpu.topology", "1x0x2"),
        ("cpu.topology", "4"),
        ("cpu.pinning", "a:b"),
        ("cpu.pinning", "0:"),
        ("cpu.features", "+a b=c"),
        ("cpu.model", "<x>"),
        ("cpu.numa", "1 GiB"),
        ("cpu.count", 0),
        ("cpu.nested", "yes"),
        ("system.name", ""),
        ("system.name", "a/b"),
        ("system.firmware", "coreboot"),
        ("system.timers", "sundial=on"),
        ("system.timers", "rtc=later"),
        ("system.timezone", "../../etc/passwd"),
        ("system.machine", "q35 -bios x"),
        ("memory.maximum", "2"),
        ("memory.maximum", None),
        ("memory.current", 1 << 40),
        ("memory.pages", "big"),
        ("dimm.size", None),
    ],
)
def test_nonsense_is_refused_in_words_and_changes_nothing(option: str, text: Value | None) -> None:
    resource_id, _, option_id = option.partition(".")
    resource = next(resource for resource in RESOURCES if resource.id == resource_id)
    found = next(known for known in resource.options if known.id == option_id)
    domain = _domain()
    before = domain.to_text()
    with pytest.raises((ValueError, XmlError), match=r"\.$"):
        found.set(_node(resource, domain), text)
    assert domain.to_text() == before


@given(st.integers(0, 1 << 60), st.sampled_from(SizeUnit))
def test_sizes_are_read_back(amount: int, unit: SizeUnit) -> None:
    assert parse_size(size_words(amount, unit), unit) == amount


def test_sizes_in_words() -> None:
    assert size_words(1536 * 1024, SizeUnit.KIB) == "1.5 GiB"
    assert parse_size("1,5g", SizeUnit.KIB) == 1536 * 1024
    assert parse_size("1 GB", SizeUnit.BYTES) == 10**9
    with pytest.raises(ValueError, match="unit"):
        parse_size("2048", SizeUnit.KIB)


def test_customs_are_texts() -> None:
    domain = _domain()
    for resource, option in OPTIONS:
        if isinstance(option.editor, Custom):
            assert isinstance(option.get(_node(resource, domain)), str | None)
