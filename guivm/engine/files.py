"""Small file operations that must be exactly right: identity, durability, renames that replace nothing."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """What a file is, whatever its name: symlinks and hard links of one file compare equal."""

    device: int
    inode: int


def identity(path: Path) -> FileIdentity | None:
    """Identity of the file that ``path`` leads to, or None when there is none to be seen."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return FileIdentity(status.st_dev, status.st_ino)


def fsync_directory(directory: Path) -> None:
    """Make renames in ``directory`` durable. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_file(path: Path) -> None:
    """Make the contents of ``path`` durable. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def rename_new(source: Path, target: Path) -> None:
    """Rename within one file system, durably, and never over an existing ``target``.

    Raises FileExistsError, or another OSError; then ``source`` is where it was and ``target`` was not made.
    A crash in the middle leaves both names for the one file, never none.
    """
    try:
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError:
        # vfat and some network file systems have no hard links; fs.protected_hardlinks forbids some.
        if os.path.lexists(target):
            raise FileExistsError(f"{target} exists") from None
        source.rename(target)
    else:
        try:
            source.unlink()
        except OSError:
            target.unlink()
            raise
    fsync_directory(target.parent)
    if source.parent != target.parent:
        fsync_directory(source.parent)


def write_new(path: Path, data: bytes) -> None:
    """Write a file that must not exist (mode 0600): ``.part``, fsync, rename. Raises OSError; then no trace is left."""
    part = path.with_name(path.name + ".part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        rename_new(part, path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def make_private_folder(folder: Path) -> None:
    """Make a folder and what is missing above it, mode 0700, durably. One that is there is left as it is.

    Raises OSError.
    """
    missing: list[Path] = []
    current = folder
    while not current.is_dir():
        missing.append(current)
        current = current.parent
    for each in reversed(missing):
        with contextlib.suppress(FileExistsError):
            each.mkdir(mode=0o700)
        fsync_directory(each.parent)
