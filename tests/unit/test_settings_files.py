"""Rules that look at this computer: what files are there, who may reach them, which ports are taken."""

from __future__ import annotations

import os
import shlex
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from guivm.engine.options.facts import OtherVm
from guivm.engine.options.values import AccessFix, Place, SettingProblem
from guivm.engine.settings import access
from guivm.engine.settings.access import READ, SEARCH, WRITE, User
from guivm.engine.settings.io_rules import Runner, file_problems
from guivm.engine.settings.port_rules import port_problems
from guivm.engine.xml.domain import DomainXml
from tests.helpers.other_user import as_user
from tests.helpers.settings_world import edited, facts

STRANGER = User(54_321, frozenset({54_321}), "libvirt-qemu")
OURSELVES = Runner(access.ourselves(), gives_files=False)
SYSTEM = Runner(STRANGER, gives_files=True)
PLAIN = Runner(STRANGER, gives_files=False)


def drive(path: Path | str, **more: object) -> Callable[[DomainXml], None]:
    def edit(domain: DomainXml) -> None:
        disk = domain.devices.disks[0]
        disk.source_file = str(path)
        for name, value in more.items():
            setattr(disk, name, value)

    return edit


def problems(edit: Callable[[DomainXml], None], runner: Runner = OURSELVES) -> list[SettingProblem]:
    return list(file_problems(edited(edit), facts(), runner))


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """In folders that everybody may enter."""
    folder = tmp_path / "images"
    folder.mkdir()
    for parent in (folder, *tmp_path.parents[:-1], tmp_path):
        if parent.stat().st_uid == os.geteuid() and parent != Path("/tmp"):
            parent.chmod(parent.stat().st_mode | 0o011)
    path = folder / "a.img"
    path.write_bytes(b"\0" * 512)
    path.chmod(0o644)
    return path


def test_a_file_that_is_there(image: Path) -> None:
    assert problems(drive(image)) == []


def test_a_missing_file(tmp_path: Path) -> None:
    (problem,) = problems(drive(tmp_path / "gone.img"))
    assert problem.place == Place("disk", "vda", "source")
    assert "There is no file" in problem.message


def test_an_empty_cd_is_fine_and_a_missing_one_is_not(image: Path, tmp_path: Path) -> None:
    def insert(domain: DomainXml) -> None:
        drive(image)(domain)
        domain.devices.disks[1].source_file = str(tmp_path / "gone.iso")

    (problem,) = problems(insert)
    assert problem.place == Place("cdrom", "sda", "source")
    assert "eject it" in problem.message

    def optional(domain: DomainXml) -> None:
        insert(domain)
        domain.devices.disks[1].startup_policy = "optional"

    assert problems(optional) == []


def test_a_folder_is_no_image(image: Path) -> None:
    (problem,) = problems(drive(image.parent))
    assert "is a folder" in problem.message


def test_a_file_is_no_block_device(image: Path) -> None:
    def edit(domain: DomainXml) -> None:
        disk = domain.devices.disks[0]
        disk.type, disk.source_file, disk.source_dev = "block", None, str(image)

    (problem,) = problems(edit)
    assert "no block device" in problem.message


def test_one_file_under_two_names(image: Path) -> None:
    link, hard = image.with_name("link.img"), image.with_name("hard.img")
    link.symlink_to(image)
    hard.hardlink_to(image)
    for other in (link, hard):

        def edit(domain: DomainXml, other: Path = other) -> None:
            drive(image)(domain)
            disk = domain.devices.disks.add()
            disk.type, disk.device, disk.source_file, disk.target_dev = "file", "disk", str(other), "vdb"

        (problem,) = problems(edit)
        assert problem.place == Place("disk", "vdb", "source")
        assert "are one file" in problem.message


def test_the_file_of_another_vm_under_another_name(image: Path) -> None:
    link = image.with_name("link.img")
    link.symlink_to(image)
    host = facts(others=(OtherVm("other", "u", is_active=False, memory_kib=0, paths=(str(image),)),))
    (problem,) = file_problems(edited(drive(link)), host, OURSELVES)
    assert "belongs to “other”" in problem.message
    assert list(file_problems(edited(drive(link, read_only=True)), host, OURSELVES)) == []
    # Under the same name it is for the rules that need no files.
    assert list(file_problems(edited(drive(image)), host, OURSELVES)) == []


def test_kernel_and_firmware(image: Path, tmp_path: Path) -> None:
    def edit(domain: DomainXml) -> None:
        drive(image)(domain)
        domain.os.kernel = str(tmp_path / "vmlinuz")
        domain.os.loader, domain.os.loader_type = str(tmp_path / "CODE.fd"), "pflash"

    assert {problem.place for problem in problems(edit)} == {
        Place("boot", "", "kernel"),
        Place("system", "", "firmware"),
    }


def test_a_shared_folder(image: Path) -> None:
    def share(path: Path) -> Callable[[DomainXml], None]:
        def edit(domain: DomainXml) -> None:
            drive(image)(domain)
            node = domain.devices.filesystems.add()
            node.source_dir, node.target_dir = str(path), "tag"

        return edit

    assert problems(share(image.parent)) == []
    assert "is no folder" in problems(share(image))[0].message
    assert "no folder" in problems(share(image.with_name("gone")))[0].message


# --- who may reach it -------------------------------------------------------------------------------------


def test_a_folder_that_qemu_may_not_enter_comes_with_the_command(image: Path) -> None:
    """For an administrator, where it is not ours."""
    shut = image.parent / "it's shut"
    shut.mkdir(mode=0o700)
    path = shut / "a.img"
    path.write_bytes(b"\0" * 512)
    os.chown(shut, 12_345, 54_320)
    shut.chmod(0o710)
    with as_user(54_320):
        (problem,) = problems(drive(path), SYSTEM)
    assert problem.fix is None
    assert "“libvirt-qemu”, who may not enter" in problem.message
    assert shlex.split(problem.command) == ["sudo", "setfacl", "-m", "u:libvirt-qemu:x", "--", str(shut)]


def test_a_file_of_ours_is_given_by_libvirt_or_not_at_all(image: Path) -> None:
    image.chmod(0o600)
    assert problems(drive(image), SYSTEM) == []
    (problem,) = problems(drive(image), PLAIN)
    assert "may not read or write" in problem.message
    assert isinstance(problem.fix, AccessFix)
    assert "u:libvirt-qemu:rw" in problem.fix.command
    assert problem.command == ""
    image.chmod(0o644)
    assert problems(drive(image, read_only=True), PLAIN) == []


def test_the_way_behind_a_link_counts(image: Path) -> None:
    shut = image.parent / "shut"
    shut.mkdir(mode=0o700)
    (shut / "a.img").write_bytes(b"\0")
    link = image.with_name("link.img")
    link.symlink_to(shut / "a.img")
    (problem,) = problems(drive(link), SYSTEM)
    assert str(shut) in problem.message


def acl(*entries: tuple[int, int, int]) -> bytes:
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


ANY = 0xFFFFFFFF


@pytest.mark.parametrize(
    ("entries", "wanted", "blocked"),
    [
        (((1, 7, ANY), (2, 1, 54_321), (4, 0, ANY), (0x10, 7, ANY), (0x20, 0, ANY)), SEARCH, False),
        (((1, 7, ANY), (2, 1, 54_321), (4, 0, ANY), (0x10, 6, ANY), (0x20, 7, ANY)), SEARCH, True),  # by the mask
        (((1, 7, ANY), (2, 4, 54_321), (4, 7, ANY), (0x10, 7, ANY), (0x20, 7, ANY)), READ | WRITE, True),
        (((1, 7, ANY), (4, 0, ANY), (8, 7, 54_321), (0x10, 7, ANY), (0x20, 0, ANY)), READ | WRITE, False),
        (((1, 7, ANY), (4, 0, ANY), (8, 4, 54_321), (0x10, 7, ANY), (0x20, 7, ANY)), WRITE, True),  # no second chance
        (((1, 7, ANY), (4, 0, ANY), (0x10, 7, ANY), (0x20, 4, ANY)), READ, False),
    ],
)
def test_access_control_lists(
    image: Path, monkeypatch: pytest.MonkeyPatch, entries: tuple[tuple[int, int, int], ...], wanted: int, blocked: bool
) -> None:
    monkeypatch.setattr(os, "getxattr", lambda _path, _name: acl(*entries))
    assert (access.blocked_file(image, STRANGER, wanted) is not None) == blocked


def test_root_may_do_everything_and_labels_are_read(image: Path) -> None:
    image.chmod(0)
    root = access.user_named("+0:+0")
    assert root is not None
    assert access.blocked_file(image, root, READ | WRITE) is None
    named = access.user_named("root")
    assert named is not None
    assert named.uid == 0
    assert access.user_named("no-such-user-here:root") is None


# --- ports ------------------------------------------------------------------------------------------------


@contextmanager
def taken_port() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield int(taken.getsockname()[1])


def with_forward(port: int, address: str | None = None) -> Callable[[DomainXml], None]:
    def edit(domain: DomainXml) -> None:
        nic = domain.devices.interfaces[0]
        nic.type, nic.source_network = "user", None
        node = domain.metadata.settings.port_forwards.add()
        node.mac, node.protocol, node.host_address, node.host_port, node.guest_port = nic.mac, "tcp", address, port, 22

    return edit


def with_display(port: int) -> Callable[[DomainXml], None]:
    def edit(domain: DomainXml) -> None:
        display = domain.devices.graphics[0]
        display.port, display.autoport = port, False

    return edit


def test_a_port_in_use() -> None:
    with taken_port() as port:
        (forward,) = port_problems(edited(with_forward(port)), None)
        (display,) = port_problems(edited(with_display(port)), None)
    assert (forward.place.option, forward.is_warning) == ("port-forwards", True)
    assert (display.place.option, display.is_warning) == ("port", False)
    assert "in use" in forward.message
    assert "in use" in display.message
    assert list(port_problems(edited(with_forward(port)), None)) == []


def test_what_the_running_vm_has_itself_is_its_own() -> None:
    with taken_port() as port:
        for edit in (with_forward(port), with_display(port)):
            assert list(port_problems(edited(edit), edited(edit))) == []


def test_an_address_that_this_computer_does_not_have() -> None:
    (problem,) = port_problems(edited(with_forward(40_022, "192.0.2.1")), None)
    assert "no address 192.0.2.1" in problem.message


def test_a_port_that_is_chosen_at_the_start_is_not_tried() -> None:
    assert list(port_problems(edited(), None)) == []


def test_gives_files_is_about_files_only(image: Path) -> None:
    assert problems(drive(image), replace(SYSTEM, gives_files=False)) != []  # nobody else may write to it
