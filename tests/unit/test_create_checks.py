"""What is said about a new VM before it is made."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guivm.engine import create
from guivm.engine.job_types import (
    BootSource,
    DiskSource,
    Firmware,
    IsoSource,
    KernelSource,
    NetworkSource,
    NewVmField,
    VirtType,
)
from guivm.engine.new_vm_check import blocked_folder, name_problem
from guivm.engine.types import HostId, HostInfo, HostState
from tests.helpers.creation import SPEC, House
from tests.helpers.small_libvirt import (
    FixedCapabilities,
    capabilities,
)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_a_sound_specification_has_no_problems(house: House) -> None:
    assert house.problems(SPEC) == ()


@pytest.mark.parametrize(
    "name",
    [
        "",
        "   ",
        " Debian",
        "Debian ",
        "a/b",
        "a\nb",
        "a\u202eb",
        "a\u200bb",
        "-rf",
        ".",
        "..",
        "x" * 81,
        "🐧" * 51,
        "\ud800",
    ],
)
def test_names_that_cannot_be(house: House, name: str) -> None:
    assert house.errors(replace(SPEC, name=name)) == [NewVmField.NAME]


@pytest.mark.parametrize("name", ["Debian 12", "Büro", "日本語", "a.b_c-d (2)", "It's", "<b>&amp;", "🐧"])
def test_names_that_can_be(house: House, name: str) -> None:
    assert house.problems(replace(SPEC, name=name)) == ()
    assert house.create(replace(SPEC, name=name)).name == name


def test_a_name_in_use(house: House) -> None:
    house.create(SPEC)
    house.connection.steps.clear()
    (problem,) = house.problems(SPEC)
    assert problem.field is NewVmField.NAME
    assert "choose another" in problem.message


@pytest.mark.parametrize(
    ("change", "field", "is_warning"),
    [
        ({"memory_kib": 1024}, NewVmField.MEMORY, False),
        ({"memory_kib": 9 << 20}, NewVmField.MEMORY, False),
        ({"memory_kib": (4 << 20) * 9 // 10}, NewVmField.MEMORY, True),
        ({"vcpus": 0}, NewVmField.VCPUS, False),
        ({"vcpus": 256}, NewVmField.VCPUS, False),
        ({"vcpus": 5}, NewVmField.VCPUS, True),
        ({"disk_bytes": 1}, NewVmField.DISK, False),
        ({"disk_bytes": 1 << 60}, NewVmField.DISK, False),
        ({"disk_bytes": 1 << 49}, NewVmField.DISK, False),
        ({"virt_type": VirtType.KVM}, NewVmField.VIRT_TYPE, False),
        ({"virt_type": VirtType.OTHER}, NewVmField.VIRT_TYPE, False),
        ({"firmware": Firmware.OTHER}, NewVmField.FIRMWARE, False),
    ],
)
def test_figures_that_cannot_be(house: House, change: dict[str, object], field: NewVmField, is_warning: bool) -> None:
    (problem,) = house.problems(replace(SPEC, **change))  # type: ignore[arg-type]  # one field each, of its own type
    assert (problem.field, problem.is_warning) == (field, is_warning)


def test_all_problems_come_at_once(house: House) -> None:
    spec = replace(
        SPEC, name="", source=IsoSource(Path("/nowhere")), memory_kib=0, vcpus=0, disk_bytes=0, virt_type=VirtType.KVM
    )
    assert house.errors(spec) == [
        NewVmField.NAME,
        NewVmField.SOURCE,
        NewVmField.MEMORY,
        NewVmField.VCPUS,
        NewVmField.DISK,
        NewVmField.VIRT_TYPE,
    ]


def test_the_reason_against_kvm_and_uefi_is_told(house: House) -> None:
    value = replace(capabilities(house.context.images_dir), has_uefi=False, uefi_reason="Install ovmf.")
    house.context = replace(house.context, capabilities=FixedCapabilities(value))  # type: ignore[arg-type]
    messages = [p.message for p in house.problems(replace(SPEC, firmware=Firmware.UEFI, virt_type=VirtType.KVM))]
    assert "Install ovmf." in messages[0]
    assert "No VT-x." in messages[1]


def _bad_sources(house: House) -> list[BootSource]:
    fifo = house.folder / "fifo"
    os.mkfifo(fifo)
    overlay = house.folder / "overlay.qcow2"
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", str(house.disk), str(overlay)], check=True
    )
    wrong = house.folder / "wrong.qcow2"
    wrong.write_bytes(bytes(1 << 16))
    return [
        IsoSource(house.folder / "missing.iso"),
        IsoSource(house.folder),
        IsoSource(fifo),
        IsoSource(house.disk),
        DiskSource(house.iso),
        DiskSource(overlay),
        DiskSource(wrong),
        DiskSource(Path("/dev/null")),
        KernelSource(house.folder / "missing"),
        KernelSource(fifo),
    ]


def test_sources_that_cannot_be(house: House) -> None:
    for source in _bad_sources(house):
        assert house.errors(replace(SPEC, source=source)) == [NewVmField.SOURCE], source


def test_kernel_fields_have_problems_of_their_own(house: House) -> None:
    empty = house.folder / "empty"
    empty.touch()
    assert house.errors(replace(SPEC, source=KernelSource(house.kernel, empty))) == [NewVmField.INITRD]
    for arguments in ("a\nb", "x" * 2048):
        assert house.errors(replace(SPEC, source=KernelSource(house.kernel, None, arguments))) == [NewVmField.ARGUMENTS]


def test_a_disk_in_another_vm_is_a_hard_stop(house: House) -> None:
    house.create(replace(SPEC, source=DiskSource(house.disk), disk_bytes=None))
    alias = house.folder / "alias.img"
    os.link(house.disk, alias)
    house.connection.steps.clear()
    for path in (house.disk, alias):
        (problem,) = house.problems(replace(SPEC, name="Second", source=DiskSource(path)))
        assert problem.field is NewVmField.SOURCE
        assert "“Debian”" in problem.message


def test_the_base_of_another_vms_disk_is_a_hard_stop(house: House) -> None:
    overlay = house.folder / "overlay.qcow2"
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", str(house.disk), str(overlay)], check=True
    )
    house.connection.defineXML(
        f"<domain type='qemu'><name>c</name><uuid>{'1' * 8}-1111-1111-1111-{'1' * 12}</uuid><devices>"
        f"<disk type='file'><source file='{overlay}'/></disk></devices></domain>"
    )
    house.connection.steps.clear()
    assert house.errors(replace(SPEC, source=DiskSource(house.disk))) == [NewVmField.SOURCE]


def test_on_another_computer_and_the_test_driver_files_are_refused_in_words(house: House, tmp_path: Path) -> None:
    remote = HostInfo(HostId("qemu+ssh://h/system"), "qemu+ssh://h/system", "h", HostState.CONNECTED, is_local=False)
    house.context = replace(house.context, host=remote)
    assert house.errors(replace(SPEC, source=IsoSource(house.iso))) == [NewVmField.SOURCE, NewVmField.DISK]
    assert house.errors(replace(SPEC, source=NetworkSource(), disk_bytes=None)) == []


def test_folders_that_qemus_own_user_may_not_enter_are_warned_of(house: House) -> None:
    assert blocked_folder(house.context, house.iso) is None
    system = HostInfo(HostId("qemu:///system"), "qemu:///system", "system", HostState.CONNECTED)
    house.context = replace(house.context, host=system)
    found = house.problems(replace(SPEC, source=IsoSource(house.iso)))
    assert {problem.field for problem in found if problem.is_warning} >= {NewVmField.SOURCE, NewVmField.DISK}
    assert not [problem for problem in found if not problem.is_warning]


@given(st.text(max_size=120))
def test_every_name_is_judged_and_makes_a_safe_file_name(name: str) -> None:
    name_problem(name)
    stem = create.safe_stem(name)
    assert stem
    assert not stem.startswith(".")
    assert "/" not in stem
    assert stem.isprintable() or " " in stem
    assert len(os.fsencode(stem)) <= 120
