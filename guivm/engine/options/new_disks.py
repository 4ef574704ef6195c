"""Disk images that are asked for, made and looked at, in values that cross threads. No lxml."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class NewDisk:
    """An image to be made when the settings are applied. ``secret_uuid``: of the libvirt secret that will hold the
    passphrase; set exactly when there is one."""

    path: str
    size_bytes: int
    format: str = "qcow2"
    preallocation: str = "off"  # "metadata" is qcow2's alone
    passphrase: str = field(default="", repr=False)
    secret_uuid: str = ""

    @property
    def is_encrypted(self) -> bool:
        return bool(self.secret_uuid)

    @property
    def written_bytes(self) -> int:
        """What it takes on the host's disk at once, roughly."""
        if self.preallocation in ("falloc", "full"):
            return self.size_bytes
        clusters = self.size_bytes >> 16
        return (1 << 20) + (clusters * 10 if self.preallocation == "metadata" else 0)


@dataclass(frozen=True, slots=True)
class CreatedDisk:
    """An image that was made, and how to know it again: it is removed only while it is that very file.

    ``pool``: the UUID of the storage pool in which libvirt made it; ``inode`` is 0 then where its file is not seen.
    """

    path: str
    device: int
    inode: int
    secret_uuid: str = ""
    pool: str = ""


@dataclass(frozen=True, slots=True)
class ImageSize:
    """A disk image in figures. ``real_bytes``: what it takes on the host; ``virtual_bytes`` 0: nobody can tell."""

    path: str
    format: str
    virtual_bytes: int
    real_bytes: int
    is_encrypted: bool = False
    backing: str = ""
