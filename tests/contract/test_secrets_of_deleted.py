"""What becomes of a passphrase when its VM is deleted, with libvirt's own secrets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import libvirt
import pytest

from guivm.engine import delete
from guivm.engine.context import HandlerContext
from guivm.engine.job_types import DeletedVm
from guivm.engine.jobs import Job
from guivm.engine.options.new_disk_xml import new_secret_uuid
from guivm.engine.options.new_disks import NewDisk
from guivm.engine.requests import Delete, PurgeDeleted, UndoDelete
from guivm.engine.settings.passphrases import keep_passphrase
from guivm.engine.types import HostId, HostInfo, HostState, VmKey
from tests.contract.test_new_disks import BARE, with_disk
from tests.helpers.daemon import SessionDaemon


@pytest.fixture(scope="module")
def connection() -> Iterator[libvirt.virConnect]:
    with SessionDaemon() as daemon:
        value = libvirt.open(daemon.uri)
        yield value
        value.close()


@dataclass
class House:
    """VMs on encrypted images; to libvirt only their headers would matter, and nobody starts them."""

    context: HandlerContext
    folder: Path
    defined: list[libvirt.virDomain] = field(default_factory=list)

    def secret(self, path: Path) -> str:
        disk = NewDisk(str(path), 1 << 20, passphrase="correct horse", secret_uuid=new_secret_uuid())
        keep_passphrase(self.context.connection, disk)
        return disk.secret_uuid

    def vm(self, name: str, path: Path, secret: str) -> VmKey:
        path.write_bytes(b"LUKS")
        xml = with_disk(
            BARE.replace("<name>encrypted", f"<name>{name}"), NewDisk(str(path), 1 << 20, "raw", secret_uuid=secret)
        )
        domain = self.context.connection.defineXML(xml)
        self.defined.append(domain)
        return VmKey(self.context.host.id, domain.UUIDString())

    def delete(self, key: VmKey, *files: Path) -> DeletedVm:
        return delete.delete(self.context, Delete(key, tuple(str(path) for path in files)))

    def purge(self, deleted: DeletedVm) -> None:
        delete.purge_deleted(self.context, PurgeDeleted(deleted))

    @property
    def secrets(self) -> set[str]:
        return set(self.context.connection.listSecrets())


@pytest.fixture
def house(connection: libvirt.virConnect, tmp_path: Path) -> Iterator[House]:
    host = HostId(connection.getURI())
    job: Job[object] = Job(host, None, "test")
    info = HostInfo(host, host, "This computer", HostState.CONNECTED)
    made = House(HandlerContext(info, connection, job, cache_dir=tmp_path / "c", images_dir=tmp_path), tmp_path)
    yield made
    for domain in connection.listAllDomains(0):
        domain.undefine()
    for secret in connection.listAllSecrets(0):
        secret.undefine()


def test_it_stays_while_the_deletion_can_be_undone_and_goes_with_the_image(house: House) -> None:
    image = house.folder / "a.img"
    secret = house.secret(image)
    key = house.vm("a", image, secret)
    deleted = house.delete(key, image)
    assert secret in house.secrets
    delete.undo_delete(house.context, UndoDelete(deleted))
    house.purge(house.delete(key, image))
    assert house.secrets == set()


def test_it_stays_with_an_image_that_stays(house: House) -> None:
    image = house.folder / "a.img"
    secret = house.secret(image)
    house.purge(house.delete(house.vm("a", image, secret)))
    assert house.secrets == {secret}
    assert image.exists()


def test_one_that_another_machine_names_stays(house: House) -> None:
    image, copy = house.folder / "a.img", house.folder / "copy.img"
    secret = house.secret(image)
    key = house.vm("a", image, secret)
    house.vm("b", copy, secret)
    house.purge(house.delete(key, image))
    assert house.secrets == {secret}


def test_one_that_another_deletion_needs_stays_until_that_is_final(house: House) -> None:
    image, copy = house.folder / "a.img", house.folder / "copy.img"
    secret = house.secret(image)
    first, second = house.vm("a", image, secret), house.vm("b", copy, secret)
    waiting = house.delete(second, copy)
    house.purge(house.delete(first, image))
    assert house.secrets == {secret}
    delete.undo_delete(house.context, UndoDelete(waiting))
    assert house.secrets == {secret}


def test_secrets_of_other_images_are_left_alone(house: House) -> None:
    image = house.folder / "a.img"
    other = house.secret(house.folder / "other.img")
    house.purge(house.delete(house.vm("a", image, other), image))
    assert house.secrets == {other}
