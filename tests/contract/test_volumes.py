"""Images where this process may not write and libvirt may: real volumes of a real storage pool."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import libvirt
import pytest

from guivm.engine.context import HandlerContext
from guivm.engine.jobs import Job
from guivm.engine.options.new_disk_xml import new_secret_uuid
from guivm.engine.options.new_disks import CreatedDisk, NewDisk
from guivm.engine.requests import CheckSettings, CreateDisk, DiscardDisk, MeasureImage
from guivm.engine.settings import new_disks, volumes
from guivm.engine.settings.checking import check_settings
from guivm.engine.settings.new_disks import create_disk, discard_disk, measure_image
from guivm.engine.types import HostId, HostInfo, HostState, VmKey
from guivm.errors import CancelledError, ImageError, NoSpaceError, OperationError
from tests.contract.test_new_disks import BARE, PASSPHRASE, SIZE, with_disk
from tests.helpers.daemon import SessionDaemon
from tests.helpers.other_user import as_root, as_user

STRANGER = 54_321


@pytest.fixture(scope="module")
def connection() -> Iterator[libvirt.virConnect]:
    with SessionDaemon() as daemon:
        value = libvirt.open(daemon.uri)
        yield value
        value.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The daemon's; everybody may look into it."""
    for parent in (*tmp_path.parents[:-1], tmp_path):
        if parent.stat().st_uid == os.geteuid() and parent != Path("/tmp"):
            parent.chmod(parent.stat().st_mode | 0o011)
    found = tmp_path / "its & images"
    found.mkdir(mode=0o755)
    return found


@pytest.fixture
def pool(connection: libvirt.virConnect, folder: Path) -> Iterator[libvirt.virStoragePool]:
    path = str(folder).replace("&", "&amp;")
    made = connection.storagePoolCreateXML(
        f"<pool type='dir'><name>p</name><target><path>{path}</path></target></pool>"
    )
    yield made
    made.destroy()


@pytest.fixture
def context(connection: libvirt.virConnect, pool: libvirt.virStoragePool, tmp_path: Path) -> HandlerContext:
    host = HostId(connection.getURI())
    job: Job[object] = Job(host, None, "test")
    job.begin()
    info = HostInfo(host, host, "This computer", HostState.CONNECTED)
    return HandlerContext(info, connection, job, cache_dir=tmp_path / "cache", images_dir=tmp_path)


@pytest.fixture(params=["not writable", "another computer"])
def place(request: pytest.FixtureRequest, context: HandlerContext) -> Iterator[HandlerContext]:
    """Where only libvirt can make images."""
    if request.param == "another computer":
        yield replace(context, host=replace(context.host, is_local=False))
    else:
        with as_user(STRANGER):
            yield context


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


@pytest.mark.parametrize(
    ("image_format", "preallocation"),
    [("qcow2", "off"), ("qcow2", "metadata"), ("qcow2", "falloc"), ("raw", "off"), ("raw", "falloc")],
)
def test_every_kind_of_volume(place: HandlerContext, folder: Path, image_format: str, preallocation: str) -> None:
    path = folder / "new <1>.img"
    made = make(place, NewDisk(str(path), SIZE, image_format, preallocation))
    assert made.pool
    size = measure_image(place, MeasureImage(place.host.id, path))
    assert (size.format, size.virtual_bytes) == (image_format, SIZE)
    if preallocation == "falloc":
        assert size.real_bytes >= SIZE
    with as_root():
        seen = info(path)
        assert (seen["format"], seen["virtual-size"]) == (image_format, SIZE)
        assert path.stat().st_mode & 0o777 == 0o600
    discard(place, made)
    discard(place, made)
    assert not path.exists()


def test_an_encrypted_volume_and_its_secret(context: HandlerContext, folder: Path) -> None:
    path, uuid = folder / "secret.qcow2", new_secret_uuid()
    with as_user(STRANGER):
        made = make(context, NewDisk(str(path), SIZE, passphrase=PASSPHRASE, secret_uuid=uuid))
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
    with as_user(STRANGER):
        discard(context, made)
    assert uuid not in context.connection.listSecrets()
    assert not path.exists()


def test_a_refused_volume_leaves_no_secret(place: HandlerContext, folder: Path) -> None:
    """libvirt had not seen the file that is there already."""
    path, uuid = folder / "there.qcow2", new_secret_uuid()
    with as_root():
        path.write_bytes(b"mine")
    with pytest.raises(OperationError) as caught:
        make(place, NewDisk(str(path), SIZE, passphrase=PASSPHRASE, secret_uuid=uuid))
    assert caught.value.details
    assert uuid not in place.connection.listSecrets()
    with as_root():
        assert path.read_bytes() == b"mine"


def test_what_cannot_be_is_told_before(place: HandlerContext, folder: Path) -> None:
    made = make(place, NewDisk(str(folder / "a.qcow2"), SIZE))
    for disk, words in (
        (NewDisk(made.path, SIZE), "already"),
        (NewDisk(str(folder / "b.qcow2"), SIZE, preallocation="full"), "reserved"),
        (NewDisk(str(folder / "b.qcow2"), 1 << 50, preallocation="falloc"), "are free in"),
        (NewDisk("b.qcow2", SIZE), "whole path"),
    ):
        assert words in new_disks.disk_problem_on(place, disk)
        with pytest.raises((OperationError, NoSpaceError)):
            make(place, disk)
    discard(place, made)


def test_who_cancels_meanwhile_keeps_nothing(
    place: HandlerContext, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = volumes._create

    def cancelled(pool: volumes._Pool, disk: NewDisk) -> libvirt.virStorageVol:
        volume = create(pool, disk)
        place.job.cancel()
        return volume

    monkeypatch.setattr(volumes, "_create", cancelled)
    with pytest.raises(CancelledError):
        make(place, NewDisk(str(folder / "a.qcow2"), SIZE))
    with as_root():
        assert list(folder.iterdir()) == []


def test_another_file_of_that_name_stays(context: HandlerContext, folder: Path) -> None:
    with as_user(STRANGER):
        made = make(context, NewDisk(str(folder / "a.qcow2"), SIZE))
    (folder / "a.qcow2").rename(folder / "kept.qcow2")
    (folder / "a.qcow2").write_bytes(b"another")
    with as_user(STRANGER):
        discard(context, made)
    assert (folder / "a.qcow2").read_bytes() == b"another"


def test_a_folder_of_no_pool(context: HandlerContext, tmp_path: Path) -> None:
    away = replace(context, host=replace(context.host, is_local=False))
    disk = NewDisk(str(tmp_path / "a.qcow2"), SIZE)
    assert str(tmp_path / "its & images") in new_disks.disk_problem_on(away, disk)
    with pytest.raises(OperationError):
        make(away, disk)
    with as_user(STRANGER):
        assert "You may not make files" in new_disks.disk_problem_on(context, disk)
    with pytest.raises(ImageError):
        measure_image(away, MeasureImage(away.host.id, tmp_path / "a.qcow2"))


def test_the_settings_of_another_computer_offer_its_pool_and_find_the_image_good(
    context: HandlerContext, folder: Path
) -> None:
    away = replace(context, host=replace(context.host, is_local=False))
    domain = context.connection.defineXML(BARE)
    key = VmKey(away.host.id, domain.UUIDString())
    try:
        base = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
        for path, is_good in ((folder / "a.qcow2", True), (folder.parent / "a.qcow2", False)):
            disk = NewDisk(str(path), SIZE)
            problems = check_settings(away, CheckSettings(key, with_disk(base, disk), (disk,)))
            found = [problem.message for problem in problems if problem.place.resource == "disk"]
            assert (found == []) if is_good else any("storage pool" in message for message in found)
        capabilities = context.capabilities.get(
            context.connection, context.host.id, is_local=True, images_dir=context.images_dir
        )
        assert volumes.with_images_place(away, capabilities).images_dir == folder
        assert volumes.with_images_place(context, capabilities).images_dir == context.images_dir
    finally:
        domain.undefine()
