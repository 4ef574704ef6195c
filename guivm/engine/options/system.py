"""The machine itself: name, system, firmware, machine type, clock, power. (formatdomain.html)"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from guivm.engine.options import clock, hyperv
from guivm.engine.options.boot import BOOT
from guivm.engine.options.facts import OnHostShutdown
from guivm.engine.options.firmware import (
    FIRMWARE_WORDS,
    get_firmware,
    get_machine,
    machine_family,
    machine_items,
    set_firmware,
    set_machine,
)
from guivm.engine.options.option import (
    Block,
    Choice,
    Custom,
    Group,
    HostPath,
    Item,
    Line,
    N,
    Option,
    Resource,
    Situation,
    Switch,
    Value,
    fixed,
    stored,
)
from guivm.engine.xml.boot import Os
from guivm.engine.xml.clock import PowerManagement
from guivm.engine.xml.domain import Devices, DomainXml
from guivm.engine.xml.features import Features
from guivm.engine.xml.metadata import Metadata

# --- name and system --------------------------------------------------------------------------------------


def _check_name(text: str) -> str:
    if not text.strip():
        return N("The virtual machine needs a name.")
    if "/" in text or "\n" in text:
        return N("The name has a “/” or a line break, which is not allowed.")
    return ""


def _get_name(domain: DomainXml) -> Value | None:
    return domain.name


def _set_name(domain: DomainXml, value: Value | None) -> None:
    problem = _check_name(str(value or ""))
    if problem:
        raise ValueError(problem)
    domain.name = str(value)


def _name_refusal(situation: Situation, _domain: DomainXml) -> str:
    return N("A running machine cannot be renamed; give it a title instead.") if situation.is_running else ""


_SYSTEMS = (
    Item("http://libosinfo.org/linux/2022", N("Linux")),
    Item("http://microsoft.com/win/11", N("Windows 11")),
    Item("http://microsoft.com/win/10", N("Windows 10")),
    Item("http://microsoft.com/win/2k22", N("Windows Server 2022")),
    Item("http://libosinfo.org/unknown", N("Another system")),
)


def _system_words(os_id: str) -> str:
    """A short name for any identifier of the osinfo database: "debian 12" for http://debian.org/debian/12."""
    known = next((item.label for item in _SYSTEMS if item.value == os_id), "")
    return known or " ".join(re.sub(r"^[a-z]+://[^/]*/?", "", os_id).split("/")) or os_id


def _system_items(_situation: Situation, domain: DomainXml) -> Sequence[Item]:
    present = domain.metadata.os_id
    known = any(item.value == present for item in _SYSTEMS)
    extra = () if present is None or known else (Item(present, _system_words(present)),)
    return (Item(None, N("Not said")), *extra, *_SYSTEMS)


# --- power ------------------------------------------------------------------------------------------------

_OFF = Item("destroy", N("Switch off"))
_RESTART = Item("restart", N("Restart"))
_KEEP = Item("preserve", N("Stop and keep for inspection"), N("it keeps its memory until it is forced off"))
_DUMP_OFF = Item("coredump-destroy", N("Save its memory to a file, then switch off"))
_DUMP_RESTART = Item("coredump-restart", N("Save its memory to a file, then restart"))


def _feature_switch(
    name: str, label: str, help_text: str, declared: Any, *, keywords: str, default: bool | None = False
) -> Option[DomainXml]:
    return Option(
        name,
        label,
        help_text,
        Switch(default),
        *stored(declared, DomainXml.features),
        more=True,
        keywords=keywords,
        shown=None if declared is Features.acpi else _on_x86,
    )


def _on_x86(_situation: Situation, domain: DomainXml) -> bool:
    return hyperv.is_x86(domain)


def _on_arm(_situation: Situation, domain: DomainXml) -> bool:
    return (domain.os.arch or "") in ("aarch64", "armv7l", "armv6l")


def _uuid_refusal(_situation: Situation, _domain: DomainXml) -> str:
    return N("The UUID is what a machine is known by; it never changes. A clone gets its own.")


_ON_SHUTDOWN = {
    OnHostShutdown.SAVE: N("Its memory is saved, and it goes on at its next start"),
    OnHostShutdown.SHUT_DOWN: N("It is asked to shut down"),
    OnHostShutdown.OFF: N("It is ended, as by pulling its plug"),
}


def _on_shutdown_items(situation: Situation, _domain: DomainXml) -> Sequence[Item]:
    known = situation.facts.on_shutdown
    return (Item(None, N("As the host does") if known is None else _ON_SHUTDOWN[known]),)


def _on_shutdown_refusal(situation: Situation, _domain: DomainXml) -> str:
    if situation.facts.is_session:
        return N("libvirt keeps this for all machines of a user, not for one: see the help of this page.")
    return N("libvirt keeps this for all machines of a host, not for one: see the help of this page.")


def _get_uuid(domain: DomainXml) -> Value | None:
    return domain.uuid


def _set_nothing(_domain: DomainXml, _value: Value | None) -> None:
    raise ValueError(N("This cannot be changed."))


def _nodes(domain: DomainXml) -> Sequence[DomainXml]:
    return (domain,)


def _summary(_situation: Situation, domain: DomainXml) -> str:
    firmware = FIRMWARE_WORDS.get(str(get_firmware(domain)), N("BIOS") if hyperv.is_x86(domain) else "")
    system = _system_words(domain.metadata.os_id) if domain.metadata.os_id else ""
    return ", ".join(part for part in (system, firmware, machine_family(domain.os.machine)) if part)


SYSTEM: Resource[DomainXml] = Resource(
    "system",
    N("System"),
    Group.SYSTEM,
    "machine",
    "system",
    _nodes,
    (
        Option(
            "name",
            N("Name"),
            N("What libvirt and the command line call the machine; scripts that use the old name must be changed."),
            Line(max_length=64, check=_check_name),
            _get_name,
            _set_name,
            keywords="rename",
            refusal=_name_refusal,
        ),
        Option(
            "title",
            N("Title"),
            N("Shown beside the name; any text, and it can change at any time."),
            Line(max_length=200),
            *stored(DomainXml.title),
            live=True,
            keywords="label display name",
        ),
        Option(
            "notes",
            N("Notes"),
            N("For people: what the machine is for, who looks after it; anyone who may see the machine can read them."),
            Block(8192),
            *stored(DomainXml.description),
            live=True,
            keywords="description comment",
        ),
        Option(
            "os",
            N("Operating system"),
            N("What runs inside: nothing changes by itself, but programs choose sensible devices and hints by it."),
            Choice(_system_items, free=True),
            *stored(Metadata.os_id, DomainXml.metadata),
            live=True,
            default=N("Not said"),
            keywords="guest linux windows 10 11 kind osinfo",
        ),
        Option(
            "firmware",
            N("Firmware"),
            N(
                "BIOS starts anything old, UEFI is what today's PCs have, and Secure Boot starts only signed systems "
                "(Windows 11 asks for it); a system installed under one seldom starts under the other."
            ),
            Custom("firmware", "bios, uefi, uefi-secure", tuple(FIRMWARE_WORDS.items())),
            get_firmware,
            set_firmware,
            default=N("the machine's own (BIOS on PCs)"),
            keywords="bios uefi efi ovmf secure boot seabios tianocore nvram",
        ),
        Option(
            "machine",
            N("Machine type"),
            N(
                "The chip set: q35 has PCI Express and suits everything of this century; a change lays out the slots "
                "anew, "
                "so that the guest sees new hardware."
            ),
            Choice(machine_items, free=True),
            get_machine,
            set_machine,
            more=True,
            default=N("libvirt's choice"),
            keywords="chipset q35 i440fx pc virt pcie motherboard",
        ),
        *clock.OPTIONS,
        *hyperv.OPTIONS,
        Option(
            "poweroff",
            N("When the guest powers off"),
            N("A machine that restarts then is hard to keep off; meant for kiosks and build machines."),
            Choice(fixed(_OFF, _RESTART, _KEEP)),
            *stored(DomainXml.on_poweroff),
            more=True,
            live=True,
            default=N("Switch off"),
            keywords="shutdown on_poweroff lifecycle",
        ),
        Option(
            "reboot",
            N("When the guest restarts"),
            N(
                "“Switch off” makes changed settings count at once after an installer's restart, but somebody must "
                "start it."
            ),
            Choice(fixed(_RESTART, _OFF, _KEEP)),
            *stored(DomainXml.on_reboot),
            more=True,
            live=True,
            default=N("Restart"),
            keywords="on_reboot lifecycle",
        ),
        Option(
            "crash",
            N("When the guest crashes"),
            N(
                "Counts where the guest reports it through a panic device; a saved memory is as large as the memory "
                "itself."
            ),
            Choice(fixed(_OFF, _RESTART, _KEEP, _DUMP_OFF, _DUMP_RESTART)),
            *stored(DomainXml.on_crash),
            more=True,
            live=True,
            default=N("Switch off"),
            keywords="on_crash panic dump core blue screen",
        ),
        Option(
            "host-shutdown",
            N("When the host shuts down"),
            N("What becomes of the machine if it runs then; a machine that is saved loses nothing, and needs room."),
            Choice(_on_shutdown_items),
            lambda _domain: None,
            _set_nothing,
            more=True,
            default=N("As the host does"),
            keywords="libvirt-guests autostart suspend save computer switched off",
            refusal=_on_shutdown_refusal,
        ),
        Option(
            "sleep",
            N("May sleep"),
            N("Lets the guest suspend to memory; a guest that falls asleep by itself looks dead until it is woken."),
            Switch(True),
            *stored(PowerManagement.suspend_to_memory, DomainXml.pm),
            more=True,
            keywords="suspend s3 standby",
        ),
        Option(
            "hibernate",
            N("May hibernate"),
            N("Lets the guest suspend to its disk and switch off; its disk must not be changed meanwhile."),
            Switch(True),
            *stored(PowerManagement.suspend_to_disk, DomainXml.pm),
            more=True,
            keywords="suspend s4 hibernation",
        ),
        _feature_switch(
            "acpi",
            "ACPI",
            N(
                "The power button and the description of the hardware; without it the guest cannot be asked to shut "
                "down."
            ),
            Features.acpi,
            keywords="shutdown power button",
        ),
        _feature_switch(
            "apic",
            "APIC",
            N("The interrupt controller that several CPUs need; switch it off only for systems of the nineties."),
            Features.apic,
            keywords="interrupts ioapic",
        ),
        _feature_switch(
            "smm",
            N("System management mode"),
            N("A mode of the processor that only firmware enters; Secure Boot guards its keys with it."),
            Features.smm,
            keywords="smm secure boot",
            default=None,
        ),
        _feature_switch(
            "vmport",
            N("VMware's port"),
            N("An old side door that VMware's drivers use; it can confuse today's mouse drivers."),
            Features.vmport,
            keywords="vmware mouse pointer",
            default=None,
        ),
        _feature_switch(
            "pmu",
            N("Performance counters"),
            N("Lets profilers in the guest (perf, VTune) count events; the guest then cannot move to unlike hosts."),
            Features.pmu,
            keywords="pmu perf profiling",
            default=None,
        ),
        _feature_switch(
            "kvm-hidden",
            N("Hide the hypervisor"),
            N("The guest finds no sign of KVM, for drivers that refuse virtual machines; it loses KVM's faster paths."),
            Features.kvm_hidden,
            keywords="nvidia code 43 anti cheat detection",
        ),
        _feature_switch(
            "vmcoreinfo",
            N("Crash notes for dumps"),
            N("A Linux guest tells QEMU where its crash data lies, so that memory dumps can be read with usual tools."),
            Features.vmcoreinfo,
            keywords="kdump crash dump",
        ),
        Option(
            "gic",
            N("ARM interrupt controller"),
            N("The version of the GIC; version 3 allows more than eight CPUs, and old kernels know only version 2."),
            Choice(fixed(Item("2", "2"), Item("3", "3"), Item("host", N("The host's")))),
            *stored(Features.gic_version, DomainXml.features),
            more=True,
            keywords="gic arm",
            default=N("the machine's own"),
            shown=_on_arm,
        ),
        Option(
            "smbios",
            N("Maker's data"),
            N("What the guest reads as its maker and model: QEMU's, the host's own, or texts set in the XML."),
            Choice(
                fixed(
                    Item("emulate", N("QEMU's")),
                    Item("host", N("The host's"), N("some pre-installed Windows licences ask for it")),
                    Item("sysinfo", N("Set in the XML")),
                )
            ),
            *stored(Os.smbios_mode, DomainXml.os),
            more=True,
            default=N("QEMU's"),
            keywords="smbios dmi serial manufacturer oem licence",
            shown=_on_x86,
        ),
        Option(
            "emulator",
            N("QEMU program"),
            N("The program that runs the machine; another build must be one that libvirt can use."),
            HostPath(),
            *stored(Devices.emulator, DomainXml.devices),
            more=True,
            default=N("the host's own"),
            keywords="qemu binary emulator path",
        ),
        Option(
            "uuid",
            "UUID",
            N("What libvirt knows the machine by, whatever its name."),
            Line(),
            _get_uuid,
            _set_nothing,
            more=True,
            keywords="identity",
            refusal=_uuid_refusal,
        ),
    ),
    _summary,
    is_device=False,
    keywords="general machine firmware clock power",
)

RESOURCES: tuple[Resource[Any], ...] = (SYSTEM, BOOT)
