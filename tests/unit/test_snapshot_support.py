"""Which mode a VM gets, for every line of the table."""

from __future__ import annotations

import pytest

from guivm.engine.snapshots.support import (
    MEMORY_INSIDE_BAD,
    UEFI_INTERNAL_SINCE,
    Platform,
    choose,
    memory_doubt,
    version_of,
    why_no_memory,
    why_not_branch,
    within,
    written_disks,
)
from guivm.engine.snapshots.values import SnapshotMode
from guivm.engine.xml.domain import DomainXml

INTERNAL, BRANCH = SnapshotMode.INTERNAL, SnapshotMode.BRANCH
QCOW2 = (
    "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/i/a'/><target dev='vda'/></disk>"
)
RAW = QCOW2.replace("qcow2", "raw").replace("vda", "vdb")
VMDK = QCOW2.replace("qcow2", "vmdk")
CDROM = (
    "<disk type='file' device='cdrom'><driver type='raw'/><source file='/i/c'/><target dev='sda'/><readonly/></disk>"
)
READ_ONLY = RAW.replace("</disk>", "<readonly/></disk>")
SHARED = RAW.replace("</disk>", "<shareable/></disk>")
TRANSIENT = RAW.replace("</disk>", "<transient/></disk>")
BLOCK = (
    "<disk type='block' device='disk'><driver name='qemu' type='raw'/><source dev='/dev/x'/><target dev='vdb'/></disk>"
)
NETWORK = (
    "<disk type='network' device='disk'><driver name='qemu' type='qcow2'/><source protocol='nbd' name='x'/>"
    "<target dev='vdb'/></disk>"
)
ENCRYPTED = QCOW2.replace("<source file='/i/a'/>", "<source file='/i/a'><encryption format='luks'/></source>")
TPM = "<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>"
HOST_TPM = "<tpm model='tpm-tis'><backend type='passthrough'><device path='/dev/tpm0'/></backend></tpm>"
UEFI = "<os firmware='efi'><type>hvm</type></os>"
PFLASH = "<os><type>hvm</type><loader type='pflash'>/x</loader><nvram>/n</nvram></os>"
UEFI_QCOW2 = "<os firmware='efi'><type>hvm</type><nvram format='qcow2'>/n</nvram></os>"
BIOS = "<os><type>hvm</type></os>"


def vm(devices: str, os: str = BIOS) -> DomainXml:
    return DomainXml.parse(f"<domain type='kvm'><name>v</name>{os}<devices>{devices}</devices></domain>")


@pytest.mark.parametrize(
    ("devices", "os", "libvirt", "mode"),
    [
        (QCOW2, BIOS, (9, 0, 0), INTERNAL),
        (QCOW2, BIOS, (11, 1, 99), INTERNAL),
        (QCOW2, BIOS, (11, 3, 0), BRANCH),
        (QCOW2, BIOS, (11, 4, 0), INTERNAL),
        (NETWORK, BIOS, (11, 3, 0), INTERNAL),
        (QCOW2 + CDROM + READ_ONLY + SHARED + TRANSIENT, BIOS, (9, 0, 0), INTERNAL),
        (QCOW2 + RAW, BIOS, (9, 0, 0), BRANCH),
        (RAW, BIOS, (12, 0, 0), BRANCH),
        ("", BIOS, (9, 0, 0), BRANCH),
        (CDROM, BIOS, (9, 0, 0), BRANCH),
        (QCOW2 + TPM, BIOS, (12, 0, 0), BRANCH),
        (QCOW2 + HOST_TPM, BIOS, (9, 0, 0), None),
        (VMDK, BIOS, (9, 0, 0), None),
        (QCOW2 + BLOCK, BIOS, (9, 0, 0), None),
        (ENCRYPTED, BIOS, (9, 0, 0), None),
        (QCOW2, UEFI, (9, 0, 0), BRANCH),
        (QCOW2, PFLASH, (9, 0, 0), BRANCH),
        (QCOW2, UEFI_QCOW2, (9, 0, 0), BRANCH),
        (QCOW2, UEFI_QCOW2, (10, 9, 99), BRANCH),
        (QCOW2, UEFI_QCOW2, (10, 10, 0), INTERNAL),
        (QCOW2, UEFI_QCOW2, (11, 1, 0), INTERNAL),
        (QCOW2, UEFI_QCOW2, (11, 2, 0), BRANCH),
        (QCOW2, UEFI_QCOW2, (11, 3, 0), BRANCH),
        (QCOW2, UEFI_QCOW2, (11, 4, 0), INTERNAL),
        (QCOW2, UEFI_QCOW2, (12, 0, 0), INTERNAL),
        (QCOW2, UEFI, (12, 0, 0), BRANCH),
        (QCOW2 + TPM, UEFI_QCOW2, (12, 0, 0), BRANCH),
    ],
)
def test_the_table(devices: str, os: str, libvirt: tuple[int, int, int], mode: SnapshotMode | None) -> None:
    chosen = choose(vm(devices, os), Platform(libvirt))
    assert chosen.mode is mode
    assert bool(chosen.why) is (mode is None)
    assert bool(chosen.only_memory) is (mode is INTERNAL)
    assert bool(chosen.memory_doubt) is (mode is INTERNAL and libvirt == (11, 3, 0))


def test_a_drive_over_the_network_that_is_qcow2_can_hold_them() -> None:
    assert choose(vm(NETWORK), Platform((9, 0, 0))).mode is INTERNAL
    assert "vdb" in why_not_branch(vm(NETWORK), Platform((9, 0, 0)))


def test_files_elsewhere_leave_only_what_libvirt_does_itself() -> None:
    away = Platform((9, 0, 0), files_here=False)
    assert choose(vm(QCOW2), away).mode is INTERNAL
    refused = choose(vm(RAW), away)
    assert refused.mode is None
    assert "another computer" in refused.why
    assert "qcow2" in refused.why


def test_what_is_no_qemu_has_snapshots_that_are_only_told_of() -> None:
    assert choose(vm(RAW + HOST_TPM, UEFI), Platform((9, 0, 0), is_qemu=False)).mode is INTERNAL


@pytest.mark.parametrize(
    ("devices", "can"),
    [
        (QCOW2, True),
        (QCOW2 + "<hostdev mode='subsystem' type='pci'><source/></hostdev>", False),
        (
            "<filesystem type='mount'><driver type='virtiofs'/><source dir='/x'/><target dir='t'/></filesystem>",
            False,
        ),
        ("<filesystem type='mount'><source dir='/x'/><target dir='t'/></filesystem>", True),
    ],
)
def test_memory(devices: str, can: bool) -> None:
    assert (why_no_memory(vm(devices)) == "") is can
    for mode in (INTERNAL, BRANCH):
        assert (within(mode, vm(devices), Platform((9, 0, 0))).no_memory == "") is can


def test_a_distribution_that_has_mended_a_bad_version_is_trusted() -> None:
    for bad in MEMORY_INSIDE_BAD:
        assert UEFI_INTERNAL_SINCE < bad.first <= bad.last
        for version in (bad.first, bad.last):
            assert memory_doubt(Platform(version)).endswith(".")
            assert memory_doubt(Platform(version, distribution=frozenset({"another"})))
            for name in bad.mended_by:
                mended = Platform(version, distribution=frozenset({"derived", name}))
                assert memory_doubt(mended) == ""
                assert choose(vm(QCOW2, UEFI_QCOW2), mended).mode is choose(vm(QCOW2), mended).mode is INTERNAL


@pytest.mark.parametrize(("devices", "os"), [(QCOW2, UEFI), (QCOW2 + TPM, BIOS), (QCOW2 + RAW, BIOS), (QCOW2, BIOS)])
def test_a_vm_with_snapshots_inside_can_have_more_only_where_they_hold_all_of_it(devices: str, os: str) -> None:
    """Another tool, or an earlier definition, may have begun with them."""
    document, here = vm(devices, os), Platform((9, 0, 0))
    assert bool(within(INTERNAL, document, here).why) is ((devices, os) != (QCOW2, BIOS))
    assert within(BRANCH, document, here).why == ""
    assert within(INTERNAL, document, Platform((9, 0, 0), is_qemu=False)).why == ""


def test_own_drives() -> None:
    document = vm(QCOW2 + CDROM + READ_ONLY + SHARED + TRANSIENT + BLOCK.replace("vdb", "vdc"))
    assert [disk.target_dev for disk in written_disks(document)] == ["vda", "vdc"]


def test_versions_are_libvirts() -> None:
    assert version_of(9_000_000) == (9, 0, 0)
    assert version_of(11_003_012) == (11, 3, 12)
