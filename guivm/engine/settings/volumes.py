"""Images that libvirt makes, measures and removes in a storage pool: where we may not write, and on other computers.

Worker only. (https://libvirt.org/formatstorage.html; virStorageVolCreateXML, virStorageVolGetInfo, virStorageVolDelete)
"""

from __future__ import annotations

import os.path
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from guivm.engine import hosts
from guivm.engine.context import HandlerContext
from guivm.engine.files import FileIdentity, identity
from guivm.engine.job_types import HostCapabilities
from guivm.engine.jobs import JobProgress
from guivm.engine.libvirt_errors import code_of, is_connection_lost, text_of, translate
from guivm.engine.options.new_disks import CreatedDisk, ImageSize, NewDisk
from guivm.engine.settings.passphrases import drop_passphrase, keep_passphrase
from guivm.engine.xml.document import XmlError, parse_xml
from guivm.errors import ImageError, NoSpaceError, OperationError
from guivm.text import clean_line

if TYPE_CHECKING:
    import libvirt

MISCOUNTED = "Unable to get accurate CPU usage"
"""What QEMU before 9.1 says when it failed, by chance, to measure how fast the host derives a key."""
MEASUREMENTS = 25
"""How often it is let try."""
_SYSTEM_IMAGES = "/var/lib/libvirt/images"
_MAX_POOLS = 100
_MAX_NAMED = 5


@dataclass(frozen=True, slots=True)
class _Pool:
    handle: libvirt.virStoragePool
    folder: str


def is_used_for(context: HandlerContext, path: str) -> bool:
    """Whether an image at ``path`` is libvirt's to make, for we cannot."""
    return not context.host.is_local or (
        not hosts.is_test(context.host.uri) and not may_write(Path(path).parent) and _holding(context, path) is not None
    )


def may_write(folder: Path) -> bool:
    """Whether this process can make files there."""
    return os.access(folder, os.W_OK | os.X_OK)


def volume_problem(context: HandlerContext, disk: NewDisk, reserve_bytes: int) -> str:
    """Why libvirt cannot make this image, in one sentence; or an empty string. Its shape was looked at before."""
    pool = _holding(context, disk.path)
    if pool is None:
        known = [each.folder for each in _pools(context)][:_MAX_NAMED]
        there = f"there are: {', '.join(known)}" if known else "it has none that is started"
        return clean_line(f"On that computer new images are made in the folder of a storage pool; {there}.", 400)
    if disk.preallocation == "full":
        return "libvirt can reserve the space there, but not write to all of it; choose “All of it, reserved”."
    if PurePosixPath(disk.path).name in pool.handle.listVolumes():
        return f"There is a file “{disk.path}” already; choose another name, or use it as an existing image."
    free = int(pool.handle.info()[3])
    if disk.written_bytes + reserve_bytes > free:
        return f"This takes {_gib(disk.written_bytes)} at once, and {_gib(free)} are free in “{pool.folder}”."
    return ""


def create_volume(context: HandlerContext, disk: NewDisk) -> CreatedDisk:
    """Neither the volume nor its secret is left when something goes wrong.

    libvirt tells nothing of its progress and cannot be interrupted: who cancels waits, and nothing is kept then.
    Raises OperationError and its like, CancelledError.
    """
    import libvirt

    pool = _holding(context, disk.path)
    if pool is None:
        raise OperationError("The new disk could not be created.", advice="Start its storage pool, then try again.")
    if disk.is_encrypted:
        keep_passphrase(context.connection, disk)
    try:
        context.job.report(JobProgress(0, 0, step="libvirt makes the disk"))
        volume = _create(pool, disk)
        try:
            context.job.check_cancelled()
            mark = identity(Path(disk.path)) if context.host.is_local else None
            uuid = str(pool.handle.UUIDString())
        except BaseException:
            volume.delete(0)
            raise
    except BaseException as error:
        if disk.is_encrypted:
            drop_passphrase(context.connection, disk.secret_uuid)
        if not isinstance(error, libvirt.libvirtError):
            raise
        text = text_of(error)
        if "No space left" in text or "quota exceeded" in text:
            raise NoSpaceError("There is no space left for the new disk.", advice="Free some.", details=text) from error
        if "already exists" in text or "exists already" in text:
            raise OperationError("A file of the new disk's name exists already.", details=text) from error
        raise translate(error, "The new disk could not be created.") from error
    device, inode = (mark.device, mark.inode) if mark is not None else (0, 0)
    return CreatedDisk(disk.path, device, inode, disk.secret_uuid, uuid)


def _create(pool: _Pool, disk: NewDisk) -> libvirt.virStorageVol:
    import libvirt

    flags = 0
    if disk.format == "qcow2" and disk.preallocation != "off":
        flags = libvirt.VIR_STORAGE_VOL_CREATE_PREALLOC_METADATA
    text = _volume_xml(disk)
    for attempt in range(MEASUREMENTS):
        try:
            return pool.handle.createXML(text, flags)
        except libvirt.libvirtError as error:
            if MISCOUNTED not in text_of(error) or attempt == MEASUREMENTS - 1:
                raise
    raise AssertionError


def _volume_xml(disk: NewDisk) -> str:
    """With its allocation as large as its capacity, libvirt has the space reserved ("falloc")."""
    allocated = disk.size_bytes if disk.preallocation == "falloc" else 0
    secret = f"<secret type='passphrase' uuid='{escape(disk.secret_uuid)}'/>"
    encryption = f"<encryption format='luks'>{secret}</encryption>" if disk.is_encrypted else ""
    compat = "<compat>1.1</compat>" if disk.format == "qcow2" else ""
    return (
        f"<volume><name>{escape(PurePosixPath(disk.path).name)}</name>"
        f"<capacity unit='bytes'>{disk.size_bytes}</capacity><allocation unit='bytes'>{allocated}</allocation>"
        f"<target><format type='{disk.format}'/><permissions><mode>0600</mode></permissions>{encryption}{compat}"
        "</target></volume>"
    )


def discard_volume(context: HandlerContext, made: CreatedDisk) -> None:
    """Delete the volume; one that is not there any more, or is seen to be another file by now, is passed over."""
    import libvirt

    name = PurePosixPath(made.path).name
    if made.inode and context.host.is_local and identity(Path(made.path)) != FileIdentity(made.device, made.inode):
        return
    try:
        context.connection.storagePoolLookupByUUIDString(made.pool).storageVolLookupByName(name).delete(0)
    except libvirt.libvirtError as error:
        if code_of(error) not in (libvirt.VIR_ERR_NO_STORAGE_VOL, libvirt.VIR_ERR_NO_STORAGE_POOL):
            raise translate(error, f"“{clean_line(name, 120)}” could not be removed again.") from error


def measure_volume(context: HandlerContext, path: Path) -> ImageSize:
    """By what libvirt knows of it. Raises ImageError when it is in no storage pool."""
    import libvirt

    try:
        volume = context.connection.storageVolLookupByPath(str(path))
        _, virtual_bytes, real_bytes = volume.info()
        root = parse_xml(str(volume.XMLDesc(0)), "volume")
    except (libvirt.libvirtError, XmlError) as error:
        if isinstance(error, libvirt.libvirtError) and is_connection_lost(error):
            raise
        raise ImageError(
            "The image is in no storage pool of that computer, so that nothing is known of it.",
            advice="Refresh the pool that it is in.",
            details=str(error),
        ) from error
    form = root.find("target/format")
    return ImageSize(
        str(path),
        clean_line((form.get("type") if form is not None else None) or "raw", 40),
        int(virtual_bytes),
        int(real_bytes),
        root.find("target/encryption") is not None,
        clean_line((root.findtext("backingStore/path") or "").strip(), 4096),
    )


def with_images_place(context: HandlerContext, capabilities: HostCapabilities) -> HostCapabilities:
    """With the folder of a storage pool for new images, where QEMU's user could not read those in ours."""
    uri = context.host.uri
    if context.host.is_local and (urlsplit(uri).path != "/system" or may_write(Path(_SYSTEM_IMAGES))):
        return capabilities  # ours, or chosen already
    if hosts.is_test(uri):
        return capabilities
    pools = list(_pools(context))
    pool = next((each for each in pools if each.folder == _SYSTEM_IMAGES), pools[0] if pools else None)
    if pool is None:
        return capabilities
    return replace(capabilities, images_dir=Path(pool.folder), images_free_bytes=int(pool.handle.info()[3]))


def _holding(context: HandlerContext, path: str) -> _Pool | None:
    folder = os.path.normpath(PurePosixPath(path).parent)
    return next((pool for pool in _pools(context) if pool.folder == folder), None)


def _pools(context: HandlerContext) -> Iterator[_Pool]:
    """The pools that are started and are folders. None where the driver has no storage."""
    import libvirt

    kinds = (
        libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_DIR
        | libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_FS
        | libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_NETFS
    )
    try:
        found = context.connection.listAllStoragePools(libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE | kinds)
        for handle in found[:_MAX_POOLS]:
            folder = (parse_xml(str(handle.XMLDesc(0)), "pool").findtext("target/path") or "").strip()
            if folder.startswith("/"):
                yield _Pool(handle, os.path.normpath(folder))
    except libvirt.libvirtError as error:
        if is_connection_lost(error):
            raise
    except XmlError:
        return


def _gib(amount: int) -> str:
    return f"{amount / (1 << 30):.1f} GiB"
