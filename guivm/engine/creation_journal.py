"""A note on disk of each VM being made, so that a crash in the middle leaves nothing for long.

``IMAGES/.guivm-creating/UUID.json`` names the disk; it is written and fsynced before the disk is made and removed when
the VM is defined or all is rolled back. Its writer holds a lock on it (flock), so that a second process starting up
does not take a creation under way for one cut short. No libvirt here.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from guivm.engine.files import fsync_directory
from guivm.errors import HostError, OperationError

_FOLDER = ".guivm-creating"
_MAX_BYTES = 65536


@contextmanager
def noted(images_dir: Path, uuid: str, disk: Path) -> Iterator[None]:
    """Note that ``disk`` is made for the VM ``uuid`` while the block runs. Raises OperationError."""
    folder = images_dir / _FOLDER
    path = folder / f"{uuid}.json"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise OperationError("The new disk could not be created.", details=str(error)) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            os.write(descriptor, json.dumps({"uuid": uuid, "disk": os.fspath(disk)}).encode("ascii"))
            os.fsync(descriptor)
            fsync_directory(folder)
        except OSError as error:
            raise OperationError("The new disk could not be created.", details=str(error)) from error
        yield
    except HostError:
        raise  # whether the VM was made is not known: the note stays
    except Exception:
        _remove(path)
        raise
    else:
        _remove(path)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
    with contextlib.suppress(OSError):
        path.parent.rmdir()


def cut_short(images_dir: Path) -> Iterator[tuple[str, Path]]:
    """(uuid, disk) of every creation whose process is gone; its note is removed once the caller has gone past it.

    A disk outside ``images_dir`` is never named: such a note is not ours.
    """
    try:
        notes = sorted((images_dir / _FOLDER).glob("*.json"))
    except OSError:
        return
    for path in notes:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            note = _read(os.read(descriptor, _MAX_BYTES))
            if note is not None and note[0] == path.stem and note[1].parent == images_dir:
                yield note
            _remove(path)
        except OSError:
            continue
        finally:
            os.close(descriptor)


def _read(raw: bytes) -> tuple[str, Path] | None:
    try:
        value: object = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    match value:
        case {"uuid": str(uuid), "disk": str(disk)}:
            return uuid, Path(disk)
    return None
