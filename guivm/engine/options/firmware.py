"""Firmware and machine type: the values behind two options of the system, and what goes with a change of them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from guivm.engine.options.option import Item, N, Situation, Value
from guivm.engine.xml.boot import Os
from guivm.engine.xml.device import Device
from guivm.engine.xml.document import element_children
from guivm.engine.xml.domain import DomainXml
from guivm.engine.xml.fields import declared
from guivm.engine.xml.properties import Property

UEFI = "uefi"
SECURE = "uefi-secure"
CUSTOM = "custom"

FIRMWARE_FILES = ("loader", "nvram")
"""How the properties of ``DomainXml.os`` begin that tell of them."""

FIRMWARE_WORDS = {
    "bios": N("BIOS"),
    UEFI: N("UEFI"),
    SECURE: N("UEFI with Secure Boot"),
    CUSTOM: N("a firmware file of its own"),
}


# --- firmware ---------------------------------------------------------------------------------------------


def get_firmware(domain: DomainXml) -> Value | None:
    """ "bios" where it is said, "uefi", "uefi-secure", "custom" (a file named by hand), or None: the machine's own."""
    os = domain.os
    if os.firmware == "efi" or os.loader_type == "pflash":
        return SECURE if has_secure_boot(domain) else UEFI
    if os.firmware == "bios":
        return "bios"
    return CUSTOM if os.loader is not None else None


def has_secure_boot(domain: DomainXml) -> bool:
    """Secure Boot is on when keys are enrolled; a firmware that could do it, without keys, starts anything."""
    wanted = {feature.name: feature.enabled for feature in domain.os.firmware_features}
    if "enrolled-keys" in wanted:
        return bool(wanted["enrolled-keys"])
    if "secure-boot" in wanted:
        return bool(wanted["secure-boot"])
    return bool(domain.os.loader_secure) and "snakeoil" not in (domain.os.nvram_template or "")


def set_firmware(domain: DomainXml, value: Value | None) -> None:
    """libvirt picks the files anew. The file of UEFI's variables keeps its path while the firmware stays UEFI.

    Its old contents (boot entries, keys) count until it is reset. Raises ValueError.
    """
    word = {"efi": UEFI, "secure": SECURE, "secure-boot": SECURE}.get(str(value).lower(), str(value).lower())
    present = get_firmware(domain)
    if word == str(present) or (value is None and present is None):
        return
    if value is not None and word not in ("bios", UEFI, SECURE):
        raise ValueError(N("The firmware is “bios”, “uefi” or “uefi-secure”."))
    os = domain.os
    stays_uefi = word in (UEFI, SECURE) and present in (UEFI, SECURE)
    os.loader, os.loader_type, os.loader_read_only, os.loader_secure = None, None, None, None
    os.loader_stateless, os.loader_format = None, None
    os.nvram_template, os.nvram_template_format = None, None
    if not stays_uefi:
        os.nvram, os.nvram_format, os.nvram_type, os.nvram_source_file = None, None, None, None
    os.firmware_features.clear()
    os.firmware = "efi" if word in (UEFI, SECURE) else "bios" if word == "bios" else None
    if word in (UEFI, SECURE):
        for name in ("enrolled-keys", "secure-boot"):
            feature = os.firmware_features.add()
            feature.name, feature.enabled = name, word == SECURE


def forget_chosen_files(stored: DomainXml, asked: DomainXml) -> None:
    """Take out of a ``stored`` definition what libvirt itself chose for the UEFI that was ``asked`` for.

    From 9.2 on it writes the files, the features and SMM into the definition at once.
    """
    if stored.os.firmware != "efi" or asked.os.firmware != "efi":
        return
    files = [name for name, field in declared(Os) if isinstance(field, Property) and name.startswith(FIRMWARE_FILES)]
    for name in files:
        if getattr(asked.os, name) is None:
            setattr(stored.os, name, None)
    if not asked.os.firmware_features:
        stored.os.firmware_features.clear()
    if asked.features.smm is None:
        stored.features.smm = None


def firmware_items(situation: Situation, domain: DomainXml) -> Sequence[Item]:
    """What can be chosen here; for the editor and the command line."""
    facts = situation.facts
    uefi = "" if facts.capabilities.has_uefi else facts.capabilities.uefi_reason or N("The host has no UEFI firmware.")
    family = machine_family(domain.os.machine)
    secure = uefi
    if not secure and family == "i440FX":
        secure = N("Secure Boot needs the machine type q35.")
    if not secure and facts.offered("os/loader/secure") == ("no",) and family == "q35":
        secure = N("The host has no firmware with Secure Boot for this machine.")
    is_pc = (domain.os.arch or "x86_64") in ("x86_64", "i686")
    items = [Item(None, N("BIOS") if is_pc else N("The machine's own"), N("what the machine has by itself"))]
    present = get_firmware(domain)
    if present == "bios":
        items = [Item("bios", N("BIOS"))]
    items += [Item(UEFI, N("UEFI"), refusal=uefi), Item(SECURE, N("UEFI with Secure Boot"), refusal=secure)]
    if present == CUSTOM:
        items.append(Item(CUSTOM, N("A file of its own"), domain.os.loader or ""))
    return items


# --- machine type -----------------------------------------------------------------------------------------


def machine_family(machine: str | None) -> str:
    """The chip set in short: "q35", "i440FX", "virt", else the name without its version; empty when none is said."""
    if not machine:
        return ""
    if "q35" in machine:
        return "q35"
    if machine == "pc" or machine.startswith("pc-"):
        return "i440FX"
    return re.sub(r"-\d[\w.+-]*$", "", machine)


def get_machine(domain: DomainXml) -> Value | None:
    return domain.os.machine


def set_machine(domain: DomainXml, value: Value | None) -> None:
    """With another chip set all PCI addresses and controllers go, for libvirt to lay out anew. Raises ValueError."""
    new = None if value is None else str(value)
    if new is not None and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", new) is None:
        raise ValueError(N("This is no name of a machine type; write for example “q35”."))
    is_other = machine_family(new) != machine_family(domain.os.machine)
    if is_other and machine_family(new) != "i440FX" and any(d.target_bus == "ide" for d in domain.devices.disks):
        raise ValueError(N("This machine type has no IDE bus: give the drives on it another bus first."))
    domain.os.machine = new
    if is_other:
        _lay_out_anew(domain, keep_ide=machine_family(new) == "i440FX")


def _lay_out_anew(domain: DomainXml, *, keep_ide: bool) -> None:
    devices = domain.devices.find()
    for element in [] if devices is None else element_children(devices):
        device = Device(element)
        if device.address_type == "pci":
            device.address.remove()
    for controller in domain.devices.controllers:
        if controller.type == "pci" or (controller.type == "ide" and not keep_ide):
            domain.devices.controllers.remove(controller)


def machine_items(situation: Situation, domain: DomainXml) -> Sequence[Item]:
    has_ide = any(disk.target_bus == "ide" for disk in domain.devices.disks)
    present = domain.os.machine
    names = list(dict.fromkeys([*([present] if present else []), *situation.facts.capabilities.machines]))
    items = [] if present else [Item(None, N("libvirt's choice"))]
    for name in names:
        refusal = ""
        if has_ide and name != present and machine_family(present) == "i440FX" and machine_family(name) != "i440FX":
            refusal = N("It has no IDE bus: give the drives on it another bus first.")
        items.append(Item(name, _machine_words(name), _machine_note(name), refusal))
    return items


def _machine_words(name: str) -> str:
    version = re.search(r"-(\d+\.\d+)$", name)
    family = machine_family(name)
    if family in ("q35", "i440FX") and version:
        return f"{family} ({name})"
    return name


def _machine_note(name: str) -> str:
    if name == "q35":
        return N("PC with PCI Express, newest version")
    return N("PC of 1996, newest version") if name == "pc" else ""
