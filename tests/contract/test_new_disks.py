"""New disk images for the settings: made by real qemu-img, their passphrases kept by real libvirt."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import libvirt
import pytest

from guivm.engine.context import HandlerContext
from guivm.engine.jobs import Job
from guivm.engine.operations import start
from guivm.engine.options.new_disk_xml import new_secret_uuid, write_new_disk
from guivm.engine.options.new_disks import CreatedDisk, NewDisk
from guivm.engine.requests import ApplySettings, CheckSettings, CreateDisk, DiscardDisk, MeasureImage, Start
from guivm.engine.settings import new_disks, passphrases
from guivm.engine.settings.applying import apply_settings
from guivm.engine.settings.checking import check_settings
from guivm.engine.settings.new_disks import create_disk, discard_disk, disk_problem, measure_image
from guivm.engine.types import HostId, HostInfo, HostState, VmKey
from guivm.engine.xml.domain import DomainXml
from guivm.errors import CancelledError, NoSpaceError, OperationError, WrongStateError
from tests.helpers.daemon import SessionDaemon

PASSPHRASE = "correct horse & “battery” staple"
SIZE = 64 << 20


@pytest.fixture(scope="module")
def connection() -> Iterator[libvirt.virConnect]:
    with SessionDaemon() as daemon:
        value = libvirt.open(daemon.uri)
        yield value
        value.close()


@pytest.fixture
def context(connection: libvirt.virConnect, tmp_path: Path) -> HandlerContext:
    host = HostId(connection.getURI())
    job: Job[object] = Job(host, None, "test")
    job.begin()
    return HandlerContext(
        host=HostInfo(host, host, "This computer", HostState.CONNECTED),
        connection=connection,
        job=job,
        cache_dir=tmp_path / "cache",
        images_dir=tmp_path,
    )


def make(context: HandlerContext, disk: NewDisk) -> CreatedDisk:
    return create_disk(context, CreateDisk(VmKey(context.host.id, "0" * 36), disk))


def discard(context: HandlerContext, created: CreatedDisk) -> None:
    discard_disk(context, DiscardDisk(VmKey(context.host.id, "0" * 36), created))


def info(path: Path) -> dict[str, object]:
    done = subprocess.run(
        ["qemu-img", "info", "--output=json", str(path)], check=True, capture_output=True, stdin=subprocess.DEVNULL
    )
    seen: dict[str, object] = json.loads(done.stdout)
    return seen


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class _CancelledJob(Job[object]):
    """Somebody cancels as soon as it can be."""

    def on_cancel(self, canceller: Callable[[], None] | None) -> None:
        super().on_cancel(canceller)
        if canceller is not None:
            self.cancel()


def secrets(connection: libvirt.virConnect) -> set[str]:
    return set(connection.listSecrets())


@pytest.mark.parametrize("image_format", ["qcow2", "raw"])
@pytest.mark.parametrize("preallocation", ["off", "metadata", "falloc", "full"])
def test_every_kind_of_image(context: HandlerContext, tmp_path: Path, image_format: str, preallocation: str) -> None:
    path = tmp_path / f"new.{image_format}"
    disk = NewDisk(str(path), SIZE, image_format, preallocation)
    if (image_format, preallocation) == ("raw", "metadata"):
        assert disk_problem(disk)
        return
    made = make(context, disk)
    seen = info(path)
    assert (seen["format"], seen["virtual-size"]) == (image_format, SIZE)
    assert made == CreatedDisk(str(path), path.stat().st_dev, path.stat().st_ino)
    assert path.stat().st_mode & 0o777 == 0o600
    if preallocation in ("falloc", "full"):
        assert path.stat().st_blocks * 512 >= SIZE
    assert names(tmp_path) == [path.name]
    size = measure_image(context, MeasureImage(context.host.id, path))
    assert (size.virtual_bytes, size.real_bytes) == (SIZE, path.stat().st_blocks * 512)


def test_an_encrypted_image_opens_with_the_passphrase_that_libvirt_keeps(
    context: HandlerContext, tmp_path: Path
) -> None:
    path = tmp_path / "secret.qcow2"
    uuid = new_secret_uuid()
    made = make(context, NewDisk(str(path), SIZE, passphrase=PASSPHRASE, secret_uuid=uuid))
    seen = info(path)
    assert seen["encrypted"] is True
    assert "'format': 'luks'" in str(seen["format-specific"])
    assert measure_image(context, MeasureImage(context.host.id, path)).is_encrypted
    opened = subprocess.run(
        [
            *("qemu-io", "-c", "read 0 4096", "--object", "secret,id=s,file=/dev/stdin"),
            *("--image-opts", f"driver=qcow2,encrypt.format=luks,encrypt.key-secret=s,file.filename={path}"),
        ],
        input=PASSPHRASE.encode(),
        capture_output=True,
        check=False,
    )
    assert opened.returncode == 0, opened.stderr
    secret = context.connection.secretLookupByUUIDString(uuid)
    assert secret.usageID() == str(path)
    assert "private='yes'" in secret.XMLDesc(0)
    discard(context, made)
    assert uuid not in secrets(context.connection)
    assert not path.exists()


@pytest.mark.parametrize(("failures", "is_made"), [(3, True), (1000, False)])
def test_a_key_derivation_that_could_not_be_measured_is_measured_again(
    context: HandlerContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failures: int, is_made: bool
) -> None:
    """QEMU's own chance failure, which leaves part of a file; the passphrase is given each time."""
    real = shutil.which("qemu-img")
    (tmp_path / "bin").mkdir()
    count = tmp_path / "bin" / "count"
    tool = tmp_path / "bin" / "qemu-img"
    tool.write_text(f"""#!/bin/sh
echo . >> {count}
if [ $(wc -l < {count}) -le {failures} ]; then
    for last; do before=$path; path=$last; done
    cat /dev/stdin > "$before"
    echo "qemu-img: $before: Unable to get accurate CPU usage" >&2
    exit 1
fi
exec {real} create -q -f qcow2 "{tmp_path}/root.qcow2.part" {SIZE}
""")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    disk = NewDisk(str(tmp_path / "root.qcow2"), SIZE, passphrase=PASSPHRASE, secret_uuid=new_secret_uuid())
    if is_made:
        discard(context, make(context, disk))
        assert len(count.read_text().splitlines()) == failures + 1
    else:
        with pytest.raises(OperationError) as caught:
            make(context, disk)
        assert "accurate CPU usage" in caught.value.details
    assert names(tmp_path) == ["bin"]


def test_the_passphrase_is_in_no_text() -> None:
    disk = NewDisk("/images/a.qcow2", SIZE, passphrase=PASSPHRASE, secret_uuid=new_secret_uuid())
    assert PASSPHRASE not in repr(disk)
    assert not any(PASSPHRASE in word for word in new_disks._arguments(disk, Path("/images/a.qcow2.part")))


def test_nothing_is_overwritten(context: HandlerContext, tmp_path: Path) -> None:
    path = tmp_path / "there.qcow2"
    path.write_bytes(b"mine")
    with pytest.raises(OperationError) as caught:
        make(context, NewDisk(str(path), SIZE))
    assert "already" in caught.value.advice
    assert path.read_bytes() == b"mine"


def test_one_that_comes_meanwhile_stays_and_the_secret_goes(
    context: HandlerContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "late.qcow2"
    before = secrets(context.connection)
    store = passphrases.keep_passphrase

    def store_late(connection: libvirt.virConnect, disk: NewDisk) -> None:
        store(connection, disk)
        path.write_bytes(b"theirs")

    monkeypatch.setattr("guivm.engine.settings.new_disks.keep_passphrase", store_late)
    with pytest.raises(OperationError, match="exists already"):
        make(context, NewDisk(str(path), SIZE, passphrase=PASSPHRASE, secret_uuid=new_secret_uuid()))
    assert path.read_bytes() == b"theirs"
    assert names(tmp_path) == [path.name]
    assert secrets(context.connection) == before


def test_libvirt_that_refuses_the_secret_leaves_no_file(context: HandlerContext, tmp_path: Path) -> None:
    uuid = new_secret_uuid()
    other = tmp_path / "other.qcow2"
    made = make(context, NewDisk(str(other), SIZE, passphrase=PASSPHRASE, secret_uuid=uuid))
    path = tmp_path / "b.qcow2"
    with pytest.raises(libvirt.libvirtError):  # that UUID belongs to the other file
        make(context, NewDisk(str(path), SIZE, passphrase=PASSPHRASE, secret_uuid=uuid))
    assert names(tmp_path) == [other.name]
    discard(context, made)


def test_cancelled_while_it_is_written(context: HandlerContext, tmp_path: Path) -> None:
    path = tmp_path / "long.raw"
    job = _CancelledJob(context.host.id, None, "test")
    job.begin()
    context = replace(context, job=job)
    with pytest.raises(CancelledError):
        make(context, NewDisk(str(path), 4 << 30, "raw", "full"))
    assert names(tmp_path) == []


def test_what_was_made_is_removed_only_while_it_is_that_file(context: HandlerContext, tmp_path: Path) -> None:
    path = tmp_path / "mine.qcow2"
    made = make(context, NewDisk(str(path), SIZE))
    kept = tmp_path / "kept.qcow2"
    path.rename(kept)
    path.write_bytes(b"another")
    discard(context, made)
    assert path.read_bytes() == b"another"
    assert kept.exists()


def test_more_than_there_is_room_for(context: HandlerContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(new_disks, "free_bytes", lambda _folder: 100 << 20)
    disk = NewDisk(str(tmp_path / "a.qcow2"), 200 << 20, preallocation="full")
    with pytest.raises(NoSpaceError):
        make(context, disk)
    assert disk_problem(replace(disk, preallocation="off")) == ""


def test_folders_that_cannot_be_written(tmp_path: Path) -> None:
    assert "no folder" in disk_problem(NewDisk(str(tmp_path / "none" / "a.qcow2"), SIZE))
    assert "beginning with" in disk_problem(NewDisk("a.qcow2", SIZE))
    assert "device" in disk_problem(NewDisk("/dev/a.qcow2", SIZE))


# --- the whole way ----------------------------------------------------------------------------------------

BARE = """
<domain type='qemu'>
  <name>encrypted</name><memory unit='MiB'>32</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <devices><emulator>/usr/bin/qemu-system-x86_64</emulator></devices>
</domain>"""


@pytest.fixture
def bare(context: HandlerContext) -> Iterator[libvirt.virDomain]:
    domain = context.connection.defineXML(BARE)
    yield domain
    if domain.isActive():
        domain.destroy()
    domain.undefine()


def with_disk(xml: str, disk: NewDisk) -> str:
    domain = DomainXml.parse(xml)
    added = domain.devices.disks.add()
    added.type, added.device, added.target_dev, added.target_bus = "file", "disk", "vda", "virtio"
    write_new_disk(added, disk)
    return domain.to_text()


def test_a_machine_starts_from_its_new_encrypted_disk(
    context: HandlerContext, bare: libvirt.virDomain, tmp_path: Path
) -> None:
    key = VmKey(context.host.id, bare.UUIDString())
    disk = NewDisk(str(tmp_path / "root.qcow2"), SIZE, passphrase=PASSPHRASE, secret_uuid=new_secret_uuid())
    base = bare.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    wanted = with_disk(base, disk)
    problems = check_settings(context, CheckSettings(key, wanted, (replace(disk, passphrase="", secret_uuid=""),)))
    assert not [problem for problem in problems if problem.place.resource == "disk"]
    assert any("no file" in problem.message for problem in check_settings(context, CheckSettings(key, wanted)))
    made = make(context, disk)
    result = apply_settings(context, ApplySettings(key, base, wanted))
    assert PASSPHRASE not in result.xml
    bare.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
    assert bare.isActive()
    bare.destroy()
    discard(context, made)


def test_a_disk_that_cannot_be_made_is_told_beside_the_drive(
    context: HandlerContext, bare: libvirt.virDomain, tmp_path: Path
) -> None:
    key = VmKey(context.host.id, bare.UUIDString())
    disk = NewDisk(str(tmp_path / "none" / "root.qcow2"), SIZE)
    xml = with_disk(bare.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE), disk)
    messages = [p.message for p in check_settings(context, CheckSettings(key, xml, (disk,))) if p.place.device == "vda"]
    assert any("no folder" in message for message in messages)


def test_variables_as_new_only_from_off(context: HandlerContext, bare: libvirt.virDomain) -> None:
    key = VmKey(context.host.id, bare.UUIDString())
    bare.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
    with pytest.raises(WrongStateError):
        start(context, Start(key, reset_nvram=True))
    bare.destroy()
    start(context, Start(key, reset_nvram=True))
    assert bare.isActive()
