"""Real virt-sysprep on real file systems. Only ``./dev test --on debian13`` has what this needs (tests/debian13.sh)."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import libvirt
import pytest

from guivm.engine.cloning import handlers, identity, offline
from guivm.engine.requests import CloneVm, DismissIdentity, ResetIdentity
from guivm.engine.snapshots.values import ClonedVm, CloneKind, CloneSpec
from guivm.engine.types import VmKey
from guivm.errors import GuivmError
from tests.helpers.clone_house import House, clone_house, session_connection
from tests.helpers.daemon import wait_until

MACHINE_ID = "0123456789abcdef0123456789abcdef"
PLACE = "/usr/lib/guivm-guestfs"
PARTITION_AT = 1 << 20
SIZE = 63 << 20


@pytest.fixture(scope="module")
def connection() -> Iterator[libvirt.virConnect]:
    with session_connection() as value:
        yield value


@pytest.fixture
def house(connection: libvirt.virConnect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.setenv("PATH", f"{PLACE}:{os.environ['PATH']}:/usr/sbin:/sbin")
    monkeypatch.setenv("LIBGUESTFS_BACKEND_SETTINGS", "force_tcg")
    assert offline.is_installed(), "run ./dev test --on debian13 tests/guestfs"
    with clone_house(connection, tmp_path) as value:
        yield value


def run(*words: str | Path, typed: bytes = b"") -> bytes:
    return subprocess.run([os.fspath(word) for word in words], check=True, capture_output=True, input=typed).stdout


def file_system(house: House) -> Path:
    """Of a small Debian, as far as libguestfs looks at one."""
    tree = house.folder / "tree"
    files = {
        "etc/os-release": "PRETTY_NAME='Debian GNU/Linux 12'\nID=debian\nVERSION_ID='12'\n",
        "etc/debian_version": "12.5\n",
        "etc/fstab": "",
        "etc/hostname": "source\n",
        "etc/hosts": "127.0.0.1 localhost\n127.0.1.1 source\n",
        "etc/machine-id": f"{MACHINE_ID}\n",
        "etc/ssh/ssh_host_rsa_key": "the source's",
        "etc/ssh/ssh_host_rsa_key.pub": "the source's",
        "etc/ssh/sshd_config": "kept",
        "usr/bin/systemctl": "",
        "usr/lib/systemd/system/none": "",
        "var/lib/cloud/data/instance-id": "i-1",
        "var/lib/cloud/instances/i-1/sem/config": "",
        "var/lib/cloud/seed/nocloud/meta-data": "kept",
        "var/lib/dhcp/dhclient.eth0.leases": "lease",
        "var/lib/dhcpcd/duid": "duid",
        "var/lib/NetworkManager/secret_key": "key",
        "var/lib/systemd/network/lease": "lease",
        "root/notes": "kept",
    }
    for name in ("bin", "boot", "dev", "home", "proc", "sbin", "tmp", "etc/systemd/system"):
        (tree / name).mkdir(parents=True)
    for name, text in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    made = house.folder / "ext4"
    run("mke2fs", "-q", "-t", "ext4", "-d", tree, "-E", "root_owner=0:0", made, f"{SIZE >> 10}k")
    return made


def source(house: House, form: str = "qcow2") -> VmKey:
    """Its disk has a GUID partition table with one partition."""
    raw = house.folder / "disk"
    with raw.open("wb") as disk:
        disk.truncate(PARTITION_AT + SIZE + (2 << 20))
    run("sfdisk", "-q", raw, typed=f"label: gpt\nstart=2048,size={SIZE >> 9},type=linux\n".encode())
    with raw.open("r+b") as disk:
        disk.seek(PARTITION_AT)
        disk.write(file_system(house).read_bytes())
    image = house.images / "source.img"
    run("qemu-img", "convert", "-f", "raw", "-O", form, raw, image)
    return house.define("source", {"vda": (image, form)})


class Inside:
    """The file system of a VM's disk."""

    def __init__(self, house: House, key: VmKey) -> None:
        whole = house.folder / "whole"
        run("qemu-img", "convert", "-O", "raw", house.disk(key), whole)
        self._path = house.folder / "part"
        self._path.write_bytes(whole.read_bytes()[PARTITION_AT : PARTITION_AT + SIZE])
        run("e2fsck", "-fn", self._path)

    def read(self, name: str) -> str:
        return run("debugfs", "-R", f"cat {name}", self._path).decode()

    def names(self, folder: str) -> set[str]:
        listed = run("debugfs", "-R", f"ls -p {folder}", self._path).decode().split("\n")
        return {line.split("/")[5] for line in listed if line.startswith("/")} - {".", ".."}


def digest(path: str | Path) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("kind", "form"), [(CloneKind.FULL, "raw"), (CloneKind.LINKED, "qcow2")], ids=["full", "linked"]
)
def test_a_clone_becomes_another_before_its_first_start(house: House, kind: CloneKind, form: str) -> None:
    key = source(house, form)
    before = digest(house.images / "source.img")
    made = house.clone(key, "A copy", kind=kind)
    assert "Its guest was given an identity of its own." in made.remarks
    assert house.document(made.key).metadata.settings.identity_host_name is None
    assert digest(house.images / "source.img") == before
    copy = Inside(house, made.key)
    assert copy.read("/etc/hostname") == "a-copy\n"
    assert copy.read("/etc/hosts") == "127.0.0.1 localhost\n127.0.1.1 a-copy\n"
    assert MACHINE_ID not in copy.read("/etc/machine-id")
    assert copy.names("/etc/ssh") == {"sshd_config"}
    assert copy.names("/var/lib/cloud") == {"seed"}
    assert copy.read("/var/lib/cloud/seed/nocloud/meta-data") == "kept"
    for folder in ("/var/lib/dhcp", "/var/lib/dhcpcd", "/var/lib/NetworkManager"):
        assert copy.names(folder) == set(), folder
    assert "network" not in copy.names("/var/lib/systemd")
    assert copy.read("/root/notes") == "kept"
    (script,) = copy.names("/usr/lib/virt-sysprep/scripts")
    assert "ssh-keygen -A" in copy.read(f"/usr/lib/virt-sysprep/scripts/{script}")


def test_disks_without_a_system_are_told_and_the_clone_stays(house: House) -> None:
    key = house.bios()
    made = house.clone(key, "copy")
    assert any("no system" in remark and "machine-id" in remark for remark in made.remarks)
    settings = house.document(made.key).metadata.settings
    assert (settings.identity_host_name, settings.identity_stage) == ("copy", "by-hand")
    assert "no system" in (settings.identity_why or "")
    with pytest.raises(GuivmError, match="no system"):
        identity.reset_again(house.context, ResetIdentity(made.key))
    assert house.document(made.key).metadata.settings.identity_stage == "by-hand"
    identity.dismiss(house.context, DismissIdentity(made.key))
    assert house.document(made.key).metadata.settings.identity_host_name is None


def test_cancel_ends_all_of_it_and_the_clone_stays(house: House) -> None:
    key = source(house)
    before = digest(house.images / "source.img")
    context = house.context
    done: list[ClonedVm] = []

    def clone() -> None:
        done.append(handlers.clone_vm(context, CloneVm(key, CloneSpec("copy"))))

    worker = threading.Thread(target=clone)
    worker.start()
    wait_until(lambda: appliance() != "", "the appliance to read the disk", 60)
    context.job.cancel()
    worker.join(60)
    assert appliance() == ""
    (made,) = done
    assert any("cancelled" in remark for remark in made.remarks)
    domain = house.connection.lookupByName("copy")
    copy = VmKey(key.host, domain.UUIDString())
    assert house.document(copy).metadata.settings.identity_stage == "by-hand"
    assert digest(house.images / "source.img") == before
    run("qemu-img", "check", "-f", "qcow2", house.disk(copy))
    assert "its own" in identity.reset_again(house.context, ResetIdentity(copy))[0]
    assert Inside(house, copy).read("/etc/hostname") == "copy\n"


def appliance() -> str:
    """The processes of it."""
    assert shutil.which("pgrep")
    found = subprocess.run(["pgrep", "-f", "guestfs-"], capture_output=True, text=True, check=False)
    return found.stdout.strip()
