"""Deleted files kept aside for undo: moved, never copied, in a folder beside where they were.

``DIR/.guivm-trash/ID/`` (0700) holds the kept files of one deletion that came from DIR, and ``receipt.json``: the whole
receipt, written and fsynced before anything is moved. So whatever happens in the middle, the receipt names where
each file was and where it is; :func:`move_out` brings back whatever it finds moved. No libvirt here.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import stat
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from guivm.engine.files import fsync_directory, identity, rename_new, write_new
from guivm.engine.job_types import DeletedVm, TrashedFile
from guivm.engine.types import HostId, VmKey
from guivm.errors import OperationError

TRASH_NAME = ".guivm-trash"
RECEIPT_NAME = "receipt.json"
RETENTION_DAYS = 7.0
_MAX_RECEIPT_BYTES = 64 * 1024 * 1024
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Receipt:
    """A deletion as found on disk. ``deleted_at_s`` is Unix time."""

    deleted: DeletedVm
    deleted_at_s: float


def new_trash_id(uuid: str) -> str:
    return f"{uuid}-{secrets.token_hex(4)}"


def kept_place(original: Path, trash_id: str, index: int) -> Path:
    """Where ``original`` is kept: the same file system, beside it. ``index`` keeps names apart."""
    return original.parent / TRASH_NAME / trash_id / f"{index}-{original.name}"


def trash_dir(directory: Path, trash_id: str) -> Path:
    return directory / TRASH_NAME / trash_id


def file_size(path: Path) -> int:
    """Bytes that the file occupies on disk; 0 when it cannot be seen."""
    try:
        return path.lstat().st_blocks * 512
    except OSError:
        return 0


def write_receipts(deleted: DeletedVm, *, now_s: float | None = None) -> None:
    """Make the folders of ``deleted.trash_dirs`` and write the receipt into each, durably.

    Raises OperationError; then none of them is left.
    """
    data = _encode(deleted, time.time() if now_s is None else now_s)
    try:
        for directory in deleted.trash_dirs:
            _make_private(directory.parent)
            directory.mkdir(mode=0o700)
            write_new(directory / RECEIPT_NAME, data)
            fsync_directory(directory.parent)
            fsync_directory(directory.parent.parent)
    except OSError as error:
        remove_receipts(deleted)
        raise OperationError(
            "The folder for deleted files could not be made, so nothing was deleted.",
            advice="Check the rights and the free space of the disk's folder.",
            details=str(error),
        ) from error


def _make_private(directory: Path) -> None:
    """Raises OSError when ``directory`` is not a real folder of ours alone (a link laid by someone else, say)."""
    with contextlib.suppress(FileExistsError):
        directory.mkdir(mode=0o700)
    status = directory.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise PermissionError(f"{directory} is not a folder of your own")
    if stat.S_IMODE(status.st_mode) & 0o077:
        directory.chmod(0o700)


def remove_receipts(deleted: DeletedVm) -> None:
    """Remove the receipts and the folders that are empty without them. Never raises; never removes a kept file."""
    for directory in deleted.trash_dirs:
        with contextlib.suppress(OSError):
            if all(entry.name == RECEIPT_NAME for entry in directory.iterdir()):
                (directory / RECEIPT_NAME).unlink(missing_ok=True)
                directory.rmdir()
        with contextlib.suppress(OSError):
            directory.parent.rmdir()


def move_in(deleted: DeletedVm) -> None:
    """Move every file to where it is kept. Raises OperationError; then all are where they were."""
    moved: list[TrashedFile] = []
    try:
        for file in deleted.files:
            rename_new(file.original, file.kept_at)
            moved.append(file)
    except OSError as error:
        _put_back([(file.kept_at, file.original) for file in reversed(moved)], error)
        raise OperationError("The files could not be moved aside.", details=str(error)) from error


def move_out(deleted: DeletedVm) -> None:
    """Move every file back, also after a deletion that was cut short. Raises OperationError; then nothing has moved.

    A file that stands at the old place is never replaced.
    """
    moved: list[TrashedFile] = []
    try:
        for file in deleted.files:
            kept, original = identity(file.kept_at), identity(file.original)
            if kept is None and original is not None:
                continue  # it had not been moved yet
            if kept is None:
                raise FileNotFoundError(f"{file.kept_at} is gone")
            if kept == original and file.kept_at.lstat().st_nlink > 1:
                file.kept_at.unlink()  # cut short between the new name and the end of the old one
                continue
            rename_new(file.kept_at, file.original)
            moved.append(file)
    except OSError as error:
        _put_back([(file.original, file.kept_at) for file in reversed(moved)], error)
        if isinstance(error, FileExistsError):
            raise OperationError(
                "Another file now stands where a deleted one was.",
                advice="Move or rename that file, then try again.",
                details=str(error),
            ) from error
        raise OperationError("The deleted files could not be brought back.", details=str(error)) from error


def _put_back(moves: Iterable[tuple[Path, Path]], cause: OSError) -> None:
    """Undo renames after ``cause``; what cannot be undone is noted on it, and the receipt still knows it."""
    for source, target in moves:
        try:
            rename_new(source, target)
        except OSError as error:
            cause.add_note(f"{source} could not be moved back to {target}: {error}")


def discard(deleted: DeletedVm) -> int:
    """Remove the kept files and the receipts for good; answers the bytes freed. Raises OperationError.

    Only files inside this deletion's own folders are ever removed; files that were never moved stay.
    """
    for directory in deleted.trash_dirs:
        if directory.parent.name != TRASH_NAME or directory.is_symlink() or directory.parent.is_symlink():
            raise OperationError("This receipt does not name a folder of deleted files.", details=str(directory))
    for file in deleted.files:
        if file.kept_at.parent not in deleted.trash_dirs or file.kept_at.name in ("", ".", "..", RECEIPT_NAME):
            raise OperationError("This receipt names a file outside the deleted ones.", details=str(file.kept_at))
    freed = 0
    try:
        for file in deleted.files:
            try:
                status = file.kept_at.lstat()
            except FileNotFoundError:
                continue
            file.kept_at.unlink()
            freed += status.st_blocks * 512 if status.st_nlink == 1 else 0
    except OSError as error:
        raise OperationError("A deleted file could not be removed for good.", details=str(error)) from error
    remove_receipts(deleted)
    return freed


def receipts(directories: Iterable[Path]) -> tuple[Receipt, ...]:
    """All deletions whose receipts lie in the trash of ``directories``, oldest first. Damaged receipts are left out."""
    found: dict[tuple[VmKey, tuple[Path, ...]], Receipt] = {}
    for directory in directories:
        try:
            folders = sorted((directory / TRASH_NAME).iterdir())
        except OSError:
            continue
        for folder in folders:
            try:
                receipt = read_receipt(folder / RECEIPT_NAME)
            except OperationError:
                continue
            if folder in receipt.deleted.trash_dirs:
                found[receipt.deleted.key, receipt.deleted.trash_dirs] = receipt
    return tuple(sorted(found.values(), key=lambda receipt: receipt.deleted_at_s))


def expired(
    directories: Iterable[Path], days: float = RETENTION_DAYS, *, now_s: float | None = None
) -> tuple[DeletedVm, ...]:
    """Deletions older than ``days``. A clock that went backwards expires nothing."""
    now = time.time() if now_s is None else now_s
    return tuple(receipt.deleted for receipt in receipts(directories) if now - receipt.deleted_at_s > days * 86400.0)


def purge_expired(directories: Iterable[Path], days: float = RETENTION_DAYS, *, now_s: float | None = None) -> int:
    """Discard what has expired; answers the bytes freed. One that fails is left for the next time.

    Asks no host whether a kept file is in use again; prefer ``delete.purge_expired`` where there is a connection.
    """
    freed = 0
    for deleted in expired(directories, days, now_s=now_s):
        with contextlib.suppress(OperationError):
            freed += discard(deleted)
    return freed


# --- the receipt as JSON ----------------------------------------------------------------------------------


def _encode(deleted: DeletedVm, now_s: float) -> bytes:
    return json.dumps(
        {
            "format": _FORMAT,
            "deleted_at_s": now_s,
            "host": deleted.key.host,
            "uuid": deleted.key.uuid,
            "name": deleted.name,
            "xml": deleted.xml,
            "autostart": deleted.autostart,
            "files": [
                {"original": os.fspath(f.original), "kept_at": os.fspath(f.kept_at), "size_bytes": f.size_bytes}
                for f in deleted.files
            ],
            "metadata_xml": deleted.metadata_xml,
            "snapshots": list(deleted.snapshots),
            "current_snapshot": deleted.current_snapshot,
            "trash_dirs": [os.fspath(directory) for directory in deleted.trash_dirs],
        },
        indent=1,
    ).encode("ascii")


def read_receipt(path: Path) -> Receipt:
    """Read a receipt. Raises OperationError when it is missing, damaged or of a newer format."""
    try:
        with path.open("rb") as stream:
            raw = stream.read(_MAX_RECEIPT_BYTES + 1)
        if len(raw) > _MAX_RECEIPT_BYTES:
            raise ValueError("too large")
        return _decode(json.loads(raw))
    except (OSError, ValueError, RecursionError) as error:
        raise OperationError("The receipt of a deletion cannot be read.", details=f"{path}: {error}") from error


def _decode(value: object) -> Receipt:
    match value:
        case {
            "format": 1,
            "deleted_at_s": int() | float() as when,
            "host": str(host),
            "uuid": str(uuid),
            "name": str(name),
            "xml": str(xml),
            "autostart": bool(autostart),
            "files": list(files),
            "metadata_xml": str(metadata_xml),
            "snapshots": list(snapshots),
            "current_snapshot": str(current_snapshot),
            "trash_dirs": list(trash_dirs),
        }:
            return Receipt(
                DeletedVm(
                    VmKey(HostId(host), uuid),
                    name,
                    xml,
                    autostart,
                    tuple(_decode_file(file) for file in files),
                    metadata_xml,
                    tuple(_string(snapshot) for snapshot in snapshots),
                    current_snapshot,
                    tuple(Path(_string(directory)) for directory in trash_dirs),
                ),
                float(when),
            )
    raise ValueError("not a receipt of a known format")


def _decode_file(value: object) -> TrashedFile:
    match value:
        case {"original": str(original), "kept_at": str(kept_at), "size_bytes": int(size)}:
            return TrashedFile(Path(original), Path(kept_at), size)
    raise ValueError("not a file of a receipt")


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("not a text")
    return value
