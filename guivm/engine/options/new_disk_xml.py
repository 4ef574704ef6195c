"""Disk images that do not exist yet: whether they can be, and what goes into the definition for them."""

from __future__ import annotations

import uuid as uuid_module
from pathlib import PurePosixPath

from guivm.engine.options.drives import set_source
from guivm.engine.options.new_disks import NewDisk
from guivm.engine.options.option import N
from guivm.engine.xml.disk import Disk

FORMATS = ("qcow2", "raw")
PREALLOCATIONS = ("off", "metadata", "falloc", "full")
MIN_BYTES = 1 << 20
MAX_BYTES = 1 << 50
MIN_PASSPHRASE = 8


def shape_problem(disk: NewDisk) -> str:
    """Why no such image can be, whatever the host; or an empty string."""
    path = PurePosixPath(disk.path)
    if not disk.path.startswith("/") or not path.name:
        return N("Give the whole path of the new image, beginning with “/”.")
    if disk.path.startswith("/dev/"):
        return N("A new image is a file, not a device.")
    if "\0" in disk.path or len(path.name.encode("utf-8", "replace")) > 250:
        return N("This cannot be the name of a file.")
    if disk.format not in FORMATS or disk.preallocation not in PREALLOCATIONS:
        return N("New images are qcow2 or raw.")
    if not MIN_BYTES <= disk.size_bytes <= MAX_BYTES or disk.size_bytes % 512:
        return N("Choose a size from 1 MiB to 1024 TiB.")
    if disk.format == "raw" and disk.preallocation == "metadata":
        return N("A raw image has no metadata to write beforehand.")
    if disk.is_encrypted:
        if disk.format != "qcow2":
            return N("Encrypted images are made as qcow2.")
        if len(disk.passphrase) < MIN_PASSPHRASE:
            return N("The passphrase needs at least 8 characters.")
        if len(disk.passphrase.encode()) > 512 or any(ord(c) < 32 for c in disk.passphrase):
            return N("The passphrase is too long, or has characters that cannot be typed.")
    return ""


def new_secret_uuid() -> str:
    return str(uuid_module.uuid4())


def write_new_disk(disk: Disk, new: NewDisk) -> None:
    """Put an image that will be made into a drive; the passphrase is no part of the definition. Raises ValueError."""
    set_source(disk, new.path)
    if disk.driver_name is None:
        disk.driver_name = "qemu"
    disk.driver_type = new.format
    if new.is_encrypted:
        require_passphrase(disk)
        disk.source.encryption.secret_uuid = new.secret_uuid
    else:
        disk.source.encryption.remove()


def require_passphrase(disk: Disk) -> None:
    """Say that the image in the drive is encrypted (LUKS); which secret opens it is said when it is stored."""
    disk.source.encryption.format = "luks"
    disk.source.encryption.secret_type = "passphrase"  # noqa: S105  (libvirt's word for the kind of secret)
