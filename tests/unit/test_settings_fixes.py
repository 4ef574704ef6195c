"""What mends a problem: every edit that is offered does, and access is given exactly as it was shown."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from guivm.engine.context import HandlerContext
from guivm.engine.jobs import Job
from guivm.engine.options.facts import OtherVm
from guivm.engine.options.parts import all_parts
from guivm.engine.options.values import AccessFix, EditFix, Place, SettingProblem
from guivm.engine.requests import GiveAccess
from guivm.engine.settings import access
from guivm.engine.settings.access import READ, WRITE, User
from guivm.engine.settings.giving_access import give_access
from guivm.engine.settings.io_rules import Runner, file_problems, with_whole_paths
from guivm.engine.settings.port_rules import port_problems
from guivm.engine.settings.rules import rule_problems
from guivm.engine.types import HostId, HostInfo, HostState
from guivm.engine.xml.domain import DomainXml
from guivm.errors import OperationError, UnsupportedError
from tests.helpers.other_user import as_user
from tests.helpers.settings_world import edited, facts

Edit = Callable[[DomainXml], None]
Check = Callable[[DomainXml], list[SettingProblem]]
STRANGER = User(54_321, frozenset({54_321}), "54321")
MAC = "52:54:00:aa:bb:cc"


def by_rules(**changed: object) -> Check:
    return lambda domain: list(rule_problems(domain, facts(**changed)))


def mend(domain: DomainXml, fix: EditFix) -> None:
    part = next(p for p in all_parts(domain) if (p.resource.id, p.device) == (fix.place.resource, fix.place.device))
    option = next(option for option in part.resource.options if option.id == fix.place.option)
    option.set(part.node, fix.value)


def assert_mended(edit: Edit, check: Check, label: str) -> DomainXml:
    """The problem that ``edit`` makes is gone once its fix is made, and no other has come."""
    domain = edited(edit)
    before = check(domain)
    fixes = [problem for problem in before if isinstance(problem.fix, EditFix)]
    assert [str(problem.fix.label) for problem in fixes if isinstance(problem.fix, EditFix)] == [label]
    assert check(domain) == before, "asked again, the same is answered"
    fix = fixes[0].fix
    assert isinstance(fix, EditFix)
    mend(domain, fix)
    after = check(domain)
    assert len(after) < len(before)
    assert {(p.place, p.message) for p in after} <= {(p.place, p.message) for p in before}
    return domain


# --- edits that mend --------------------------------------------------------------------------------------


def twice_the_mac(domain: DomainXml) -> None:
    other = domain.devices.interfaces.add()
    other.type, other.source_network, other.mac = "network", "default", domain.devices.interfaces[0].mac


def mac(value: str) -> Edit:
    def edit(domain: DomainXml) -> None:
        domain.devices.interfaces[0].mac = value

    return edit


@pytest.mark.parametrize("edit", [twice_the_mac, mac("nonsense"), mac("53:54:00:00:00:01"), mac("00:00:00:00:00:00")])
def test_a_new_mac_address(edit: Edit) -> None:
    assert_mended(edit, by_rules(), "New address")


def test_a_mac_address_of_another_machine() -> None:
    other = OtherVm("other", "u", is_active=False, memory_kib=0, macs=(MAC,))
    domain = assert_mended(mac(MAC), by_rules(others=(other,)), "New address")
    assert (domain.devices.interfaces[0].mac or "").startswith("52:54:00:")


def test_less_memory_than_the_host_has() -> None:
    def edit(domain: DomainXml) -> None:
        domain.memory_kib = domain.current_memory_kib = 1 << 40

    domain = assert_mended(edit, by_rules(), "Use 8 GiB")
    assert domain.memory_kib == domain.current_memory_kib == 8 << 20


def test_memory_now_as_much_as_there_is() -> None:
    def edit(domain: DomainXml) -> None:
        domain.memory_kib, domain.current_memory_kib = 2 << 20, 3 << 20

    assert_mended(edit, by_rules(), "Use 2 GiB")


def test_the_cache_that_native_io_needs() -> None:
    def edit(domain: DomainXml) -> None:
        domain.devices.disks[0].cache, domain.devices.disks[0].io = "writeback", "native"

    assert_mended(edit, by_rules(), "Use the cache “none”")


def test_software_emulation_without_kvm() -> None:
    base = facts()
    kvm = replace(base.capabilities.kvm, usable=False, reason="There is no /dev/kvm.")

    def edit(domain: DomainXml) -> None:
        domain.type = "kvm"

    assert_mended(edit, by_rules(capabilities=replace(base.capabilities, kvm=kvm)), "Use software emulation")


def test_a_display_for_all_to_see() -> None:
    def edit(domain: DomainXml) -> None:
        display = domain.devices.graphics[0]
        display.listens.clear()
        display.listen_address = "0.0.0.0"

    assert_mended(edit, by_rules(), "Listen at 127.0.0.1")


def test_shared_memory_for_a_shared_folder() -> None:
    def edit(domain: DomainXml) -> None:
        folder = domain.devices.filesystems.add()
        folder.driver_type, folder.source_dir, folder.target_dir = "virtiofs", "/srv", "srv"

    assert_mended(edit, by_rules(), "Share the memory")


def forward(port: int, address: str) -> Edit:
    def edit(domain: DomainXml) -> None:
        nic = domain.devices.interfaces[0]
        nic.type, nic.source_network = "user", None
        node = domain.metadata.settings.port_forwards.add()
        node.mac, node.protocol, node.host_address, node.host_port, node.guest_port = nic.mac, "tcp", address, port, 22

    return edit


def test_a_forward_for_all_to_see() -> None:
    assert_mended(forward(22_022, "0.0.0.0"), by_rules(), "Use 127.0.0.1")


def ports(domain: DomainXml) -> list[SettingProblem]:
    return list(port_problems(domain, None))


def test_the_next_free_port() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]

        def display(domain: DomainXml) -> None:
            graphics = domain.devices.graphics[0]
            graphics.port, graphics.autoport = number, False

        (problem,) = ports(edited(display))
        assert isinstance(problem.fix, EditFix)
        assert_mended(display, ports, str(problem.fix.label))
        assert int(str(problem.fix.value)) > number
        (problem,) = ports(edited(forward(number, "127.0.0.1")))
        assert isinstance(problem.fix, EditFix)
        assert str(problem.fix.label).startswith("Use port ")
        assert_mended(forward(number, "127.0.0.1"), ports, str(problem.fix.label))


def test_an_address_that_is_here() -> None:
    assert_mended(forward(22_022, "198.51.100.1"), ports, "Use 127.0.0.1")


def test_a_missing_cd_can_be_left_out_and_a_missing_disk_cannot(tmp_path: Path) -> None:
    image = tmp_path / "a.img"
    image.touch()
    ourselves = Runner(access.ourselves(), gives_files=False)

    def check(domain: DomainXml) -> list[SettingProblem]:
        return list(file_problems(domain, facts(), ourselves))

    def edit(domain: DomainXml) -> None:
        domain.devices.disks[0].source_file = str(image)
        domain.devices.disks[1].source_file = str(tmp_path / "gone.iso")

    assert_mended(edit, check, "Leave it empty")
    image.unlink()
    assert [problem.fix for problem in check(edited(edit)) if problem.place.device == "vda"] == [None]


def test_a_relative_path_is_found_among_the_images(tmp_path: Path) -> None:
    def check(domain: DomainXml) -> list[SettingProblem]:
        return list(with_whole_paths(rule_problems(domain, facts()), domain, tmp_path))

    def edit(domain: DomainXml) -> None:
        domain.devices.disks[0].source_file = "a.img"

    assert [problem.fix for problem in check(edited(edit))] == [None]
    (tmp_path / "a.img").touch()
    assert_mended(edit, check, f"Use {tmp_path}/a.img")


# --- access -----------------------------------------------------------------------------------------------


@pytest.fixture
def context(tmp_path: Path) -> HandlerContext:
    host = HostId("qemu:///system")
    job: Job[object] = Job(host, None, "test")
    info = HostInfo(host, host, "This computer", HostState.CONNECTED)
    return HandlerContext(info, None, job, cache_dir=tmp_path, images_dir=tmp_path)


@pytest.fixture
def shut(tmp_path: Path) -> Path:
    """An image in two folders that only their owner may enter."""
    folder = tmp_path / "it's mine" / "images"
    folder.mkdir(parents=True)
    for parent in (*tmp_path.parents[:-1], tmp_path):
        if parent.stat().st_uid == os.geteuid() and parent != Path("/tmp"):
            parent.chmod(parent.stat().st_mode | 0o011)
    image = folder / "a.img"
    image.write_bytes(b"\0" * 512)
    for path, mode in ((folder.parent, 0o700), (folder, 0o700), (image, 0o600)):
        path.chmod(mode)
    return image


def give(context: HandlerContext, fix: AccessFix) -> None:
    give_access(context, GiveAccess(context.host.id, fix))


def fix_of(image: Path, user: User = STRANGER, wanted: int = READ | WRITE) -> AccessFix | None:
    blocked = access.blocked_on_the_way(image, user) or access.blocked_file(image, user, wanted)
    assert blocked is not None
    return access.fix_for(blocked, user, wanted)


def opens(image: Path) -> bool:
    """Whether the stranger really can."""
    try:
        with as_user(STRANGER.uid), image.open("r+b"):
            return True
    except PermissionError:
        return False


def test_the_stranger_gets_in_and_only_as_it_was_shown(context: HandlerContext, shut: Path) -> None:
    assert not opens(shut)
    fix = fix_of(shut)
    assert fix == AccessFix("54321", "x", (str(shut.parent.parent), str(shut.parent)))
    assert shlex.split(fix.command) == ["setfacl", "-m", "u:54321:x", "--", *fix.paths]
    give(context, fix)
    assert access.blocked_on_the_way(shut, STRANGER) is None
    file_fix = fix_of(shut)
    assert file_fix == AccessFix("54321", "rw", (str(shut),))
    give(context, file_fix)
    assert opens(shut)
    with as_user(54_322), pytest.raises(PermissionError):
        shut.open("rb")
    for done in (fix, file_fix):
        subprocess.run(done.undo, shell=True, check=True)
    assert not opens(shut)
    assert [path.stat().st_mode & 0o777 for path in (shut.parent, shut)] == [0o700, 0o600]


def test_without_lists_folders_are_opened_and_files_are_not(
    context: HandlerContext, shut: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    fix = fix_of(shut)
    assert fix == AccessFix("", "o+x", (str(shut.parent.parent), str(shut.parent)))
    give(context, fix)
    assert shut.parent.stat().st_mode & 0o777 == 0o701
    assert fix_of(shut) is None
    subprocess.run(fix.undo, shell=True, check=True)
    assert shut.parent.stat().st_mode & 0o777 == 0o700


def test_ones_own_file_by_its_mode(context: HandlerContext, shut: Path) -> None:
    for path in (shut.parent.parent, shut.parent, shut):
        os.chown(path, STRANGER.uid, STRANGER.uid)
    shut.chmod(0o400)
    with as_user(STRANGER.uid):
        fix = fix_of(shut)
        assert fix == AccessFix("", "u+rw", (str(shut),))
        give(context, fix)
    assert shut.stat().st_mode & 0o777 == 0o600


def test_nothing_is_offered_that_gives_others_more(shut: Path) -> None:
    """A mask that holds back another user's entry would be lifted."""
    shut.parent.parent.chmod(0o711)
    subprocess.run(["setfacl", "-m", "u:54322:rwx,m::---", str(shut.parent)], check=True)
    assert fix_of(shut) is None
    subprocess.run(["setfacl", "-b", "-m", "u:54321:r", str(shut.parent)], check=True)
    assert fix_of(shut) is None, "an entry of that user's own is there already"


def test_other_peoples_files_are_theirs(context: HandlerContext, shut: Path) -> None:
    with as_user(54_320):
        assert fix_of(shut) is None
        with pytest.raises(OperationError, match="not yours"):
            give(context, AccessFix("54321", "x", (str(shut.parent.parent),)))


@pytest.mark.parametrize(
    "fix",
    [
        AccessFix("54321", "rwx", ("/tmp",)),
        AccessFix("54321,u:0", "x", ("/tmp",)),
        AccessFix("", "u+s", ("/tmp",)),
        AccessFix("", "o+rw", ("/tmp",)),
        AccessFix("54321", "x", ()),
        AccessFix("54321", "x", ("/tmp/is/not/there",)),
    ],
)
def test_no_other_change_is_made(context: HandlerContext, fix: AccessFix) -> None:
    with pytest.raises(OperationError):
        give(context, fix)


def test_a_failure_is_told(context: HandlerContext, shut: Path) -> None:
    with pytest.raises(OperationError, match="no user"):
        give(context, AccessFix("no-such-user-here", "x", (str(shut.parent),)))
    away = replace(context, host=replace(context.host, is_local=False))
    with pytest.raises(UnsupportedError):
        give(away, AccessFix("54321", "x", (str(shut.parent),)))


def test_the_place_of_a_fix_is_an_option_that_exists() -> None:
    """Of an edit that no rule makes here by itself."""
    assert Place("memory", option="shared") in {
        part.place(option.id) for part in all_parts(edited(lambda _domain: None)) for option in part.resource.options
    }
