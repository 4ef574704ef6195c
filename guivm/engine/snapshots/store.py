"""Where the trees of our own snapshots are kept: ``IMAGES/.guivm-snapshots/UUID/``. No libvirt.

A tree is replaced as a whole: ``.part``, fsync, rename. A tree that cannot be read is an error, never an empty one.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from guivm.engine.files import fsync_directory, fsync_file, make_private_folder
from guivm.engine.snapshots.tree import BranchTree
from guivm.errors import OperationError

FOLDER = ".guivm-snapshots"
TREE_NAME = "tree.json"

_MAX_BYTES = 64 << 20


def folder_of(images_dir: Path, uuid: str) -> Path:
    """The folder of one VM's snapshots; perhaps not there."""
    return images_dir / FOLDER / uuid


def load(images_dir: Path, uuid: str) -> BranchTree | None:
    """The tree of a VM, or None when it has none. Raises OperationError when it is there and cannot be read."""
    path = folder_of(images_dir, uuid) / TREE_NAME
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MAX_BYTES:
            raise _unreadable(path, "it is no file, or too large")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeError) as error:
        raise _unreadable(path, str(error)) from error
    try:
        tree = BranchTree.from_json(text)
    except ValueError as error:
        raise _unreadable(path, str(error)) from error
    if tree.uuid != uuid:
        raise _unreadable(path, f"it is of the virtual machine {tree.uuid}")
    return tree


def _unreadable(path: Path, why: str) -> OperationError:
    return OperationError(
        "The list of its snapshots cannot be read, so nothing is done to its disks.",
        advice=f"Look at “{path}”.",
        details=why,
    )


def uuids(images_dir: Path) -> tuple[str, ...]:
    """The VMs that have a folder. Raises OperationError when they cannot be listed."""
    try:
        with os.scandir(images_dir / FOLDER) as entries:
            return tuple(sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False)))
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise _unreadable(images_dir / FOLDER, str(error)) from error


def trees(images_dir: Path) -> dict[str, BranchTree]:
    """All trees by the VM's UUID. Raises OperationError: what a tree that cannot be read needs is not known."""
    found = ((uuid, load(images_dir, uuid)) for uuid in uuids(images_dir))
    return {uuid: tree for uuid, tree in found if tree is not None}


def write_text(folder: Path, text: str) -> None:
    """Replace the tree. Raises OSError; then the old one is there."""
    make_private_folder(folder)
    path = folder / TREE_NAME
    part = folder / f"{TREE_NAME}.part"
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
        fsync_file(part)
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    fsync_directory(folder)


def save(folder: Path, tree: BranchTree) -> None:
    """Replace the tree. Raises OSError; then the old one is there."""
    write_text(folder, tree.to_json())
