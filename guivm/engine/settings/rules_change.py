"""What a definition alone does not show to be wrong, but what it was before does. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from guivm.engine.options.firmware import SECURE, UEFI, get_firmware
from guivm.engine.options.values import Place, SettingProblem
from guivm.engine.settings.rule import warning
from guivm.engine.xml.domain import DomainXml


def change_problems(before: DomainXml, after: DomainXml) -> Iterator[SettingProblem]:
    yield from _keys_of_secure_boot(before, after)


def _keys_of_secure_boot(before: DomainXml, after: DomainXml) -> Iterator[SettingProblem]:
    """libvirt makes the file of UEFI's variables once, from a template with or without keys, and never again by
    itself (libvirt, src/qemu/qemu_process.c, qemuPrepareNVRAM)."""
    old, new = get_firmware(before), get_firmware(after)
    if {old, new} == {UEFI, SECURE}:
        yield warning(
            Place("system", option="firmware"),
            "The keys of Secure Boot are among UEFI's variables, which stay as they are: "
            "after Apply, choose “Reset variables and start” here for it to count.",
        )
