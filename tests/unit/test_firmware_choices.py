"""From libvirt 9.2 on what it chooses for a firmware stands in the definition at once. Documents as 11.3 has them."""

from __future__ import annotations

import pytest

from guivm.engine.options.changes import changes
from guivm.engine.options.firmware import SECURE, UEFI, forget_chosen_files, set_firmware
from guivm.engine.xml.domain import DomainXml

_VM = """<domain type='qemu'{id}><name>vm</name><memory unit='KiB'>65536</memory><vcpu>1</vcpu>
<os{efi}><type arch='x86_64' machine='pc-q35-10.0'>hvm</type>{os}</os><features><acpi/>{smm}</features><devices/>
</domain>"""
_FILES = """<firmware>
<feature enabled='{on}' name='enrolled-keys'/><feature enabled='{on}' name='secure-boot'/></firmware>
<loader readonly='yes'{secure} type='pflash' format='raw'>/usr/share/OVMF/OVMF_CODE_4M{ms}.fd</loader>
<nvram template='/usr/share/OVMF/OVMF_VARS_4M{ms}.fd' templateFormat='raw' format='raw'>/srv/vm_VARS.fd</nvram>"""
_PLAIN = {"efi": " firmware='efi'", "os": _FILES.format(on="no", secure="", ms=""), "smm": ""}
_SECURE = {
    "efi": " firmware='efi'",
    "os": _FILES.format(on="yes", secure=" secure='yes'", ms=".ms"),
    "smm": "<smm state='on'/>",
}
_BIOS = {"efi": "", "os": "", "smm": ""}


def _document(parts: dict[str, str], *, live: bool = False) -> DomainXml:
    return DomainXml.parse(_VM.format(id=" id='1'" if live else "", **parts))


@pytest.mark.parametrize(
    ("running", "defined"),
    [(_BIOS, _PLAIN), (_BIOS, _SECURE), (_PLAIN, _SECURE), (_SECURE, _PLAIN), (_PLAIN, _BIOS), (_SECURE, _BIOS)],
)
def test_another_firmware_waits_as_one_change(running: dict[str, str], defined: dict[str, str]) -> None:
    (change,) = changes(_document(running, live=True), _document(defined))
    assert change.place.option == "firmware"
    assert change.old != change.new


@pytest.mark.parametrize("parts", [_BIOS, _PLAIN, _SECURE])
def test_the_same_firmware_does_not_wait(parts: dict[str, str]) -> None:
    assert changes(_document(parts, live=True), _document(parts)) == ()


def test_other_files_for_the_same_firmware_wait() -> None:
    defined = _document(_PLAIN)
    defined.os.nvram = "/srv/other_VARS.fd"
    (change,) = changes(_document(_PLAIN, live=True), defined)
    assert change.new == "/srv/other_VARS.fd"
    defined = _document(_PLAIN)
    defined.os.loader = "/srv/mine.fd"
    assert any(change.new == "/srv/mine.fd" for change in changes(_document(_PLAIN, live=True), defined))


@pytest.mark.parametrize(
    ("base", "value", "stored"), [(_BIOS, UEFI, _PLAIN), (_BIOS, SECURE, _SECURE), (_PLAIN, SECURE, _SECURE)]
)
def test_what_was_asked_for_is_told_without_what_libvirt_chose(
    base: dict[str, str], value: str, stored: dict[str, str]
) -> None:
    asked = _document(base)
    set_firmware(asked, value)
    result = _document(stored)
    forget_chosen_files(result, asked)
    (change,) = changes(_document(base), result)
    assert change.place.option == "firmware"


def test_a_file_that_was_asked_for_is_told() -> None:
    asked = _document(_BIOS)
    set_firmware(asked, UEFI)
    asked.os.nvram = "/srv/vm_VARS.fd"
    result = _document(_PLAIN)
    forget_chosen_files(result, asked)
    assert any(change.new == "/srv/vm_VARS.fd" for change in changes(_document(_BIOS), result))
