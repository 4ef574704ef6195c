"""What is being done to a VM's files, on disk before it is done. No libvirt.

``FOLDER/journal`` is one JSON value a line, each fsynced: first the steps, then a mark for each one that is done, one
where *prepare* has ended, and one before the guest is made to stand still. A line that was cut short by a crash counts
as never written. ``FOLDER/lock`` is held (flock) from before the first line until after the last, so that a second
process takes no operation under way for one cut short.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import fcntl
import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args, get_type_hints

from guivm.engine.files import fsync_directory, make_private_folder, write_new
from guivm.engine.snapshots.steps import Step
from guivm.errors import BusyError, OperationError

JOURNAL_NAME = "journal"
LOCK_NAME = "lock"

_VERSION = 1
_MAX_BYTES = 64 << 20
_DECIDED = "decided"
_STOPPED = "stopped"
_GOES_ON = "goes on"
_KINDS: Mapping[str, type] = {kind.__name__: kind for kind in get_args(Step)}


@dataclass(frozen=True, slots=True)
class Entry:
    """An operation as its journal tells it. ``done``: how many steps, *prepare* first, are known to be done.

    ``is_decided``: *prepare* has ended; what is left is gone on with, not taken back. ``guest_stopped``: the guest was
    running and was made to stand still, or was about to be.
    """

    title: str
    vm_name: str
    prepare: tuple[Step, ...]
    finish: tuple[Step, ...] = ()
    undo: tuple[Step, ...] = ()
    done: int = 0
    is_decided: bool = False
    guest_stopped: bool = False

    @property
    def under_way(self) -> Step | None:
        """The step after the last one known to be done: it may have been begun."""
        steps = (*self.prepare, *self.finish)
        return steps[self.done] if self.done < len(steps) else None


@contextmanager
def locked(folder: Path, vm_name: str) -> Iterator[None]:
    """Hold the VM's files for oneself while the block runs. Does not wait.

    Raises BusyError when another process, or another operation of this one, holds them; OperationError when the folder
    cannot be written.
    """
    try:
        make_private_folder(folder)
        descriptor = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise OperationError(
            "The folder of its snapshots cannot be written.", advice="Check its permissions.", details=str(error)
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise BusyError(
                f"Another operation on the files of “{vm_name}” is going on.",
                advice="Wait until it has ended; it may have been started in another window or in a terminal.",
                details=str(error),
            ) from error
        yield
    finally:
        os.close(descriptor)


class Journal:
    """The journal of one operation. Used under :func:`locked`, by one thread.

    ``is_in_doubt``: a mark could neither be written nor be taken back, so that only reading the file again, in a later
    run, tells whether it counts.
    """

    def __init__(self, folder: Path, entry: Entry) -> None:
        self._path = folder / JOURNAL_NAME
        self._entry = entry
        self.is_in_doubt = False

    @property
    def entry(self) -> Entry:
        return self._entry

    @classmethod
    def begin(cls, folder: Path, entry: Entry) -> Journal:
        """Write the first line. Raises OperationError; then there is no journal."""
        line = _line(
            {
                "version": _VERSION,
                "title": entry.title,
                "vm": entry.vm_name,
                **{half: [_to_value(step) for step in getattr(entry, half)] for half in ("prepare", "finish", "undo")},
            }
        )
        failed = "Nothing was begun: its journal could not be written."
        if len(line) > _MAX_BYTES // 2:
            raise OperationError(failed, advice="Do it in several parts.", details=f"{len(line)} bytes")
        path = folder / JOURNAL_NAME
        if os.path.lexists(path):
            raise OperationError(failed, details=f"{path} exists")
        try:
            write_new(path, line)
        except OSError as error:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
            raise OperationError(failed, details=str(error)) from error
        return cls(folder, entry)

    def step_done(self) -> None:
        """The next step is done. Raises OSError; then it counts as not done, which is harmless."""
        self._append(self._entry.done + 1)
        self._entry = _marked(self._entry, self._entry.done + 1)

    def decide(self) -> None:
        """*Prepare* has ended. Raises OSError; then it counts as not ended, unless that ``is_in_doubt``."""
        self._append(_DECIDED)
        self._entry = _marked(self._entry, _DECIDED)

    def guest_stops(self) -> None:
        """The running guest is about to be stopped for a moment. Raises OSError; then it must not be."""
        self._append(_STOPPED)
        self._entry = _marked(self._entry, _STOPPED)

    def guest_goes_on(self) -> None:
        """It has been let go on. Raises OSError; then it is let go on once more later, which is harmless."""
        self._append(_GOES_ON)
        self._entry = _marked(self._entry, _GOES_ON)

    def end(self) -> None:
        """All is done or taken back. Raises OSError."""
        self._path.unlink(missing_ok=True)
        fsync_directory(self._path.parent)

    def _append(self, value: int | str) -> None:
        data = _line(value)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            before = os.fstat(descriptor).st_size
            try:
                if os.write(descriptor, data) != len(data):
                    raise OSError(errno.ENOSPC, "the disk of the journal is full", os.fspath(self._path))
                os.fsync(descriptor)
            except OSError:
                self._cut_back(descriptor, before)
                raise
        finally:
            os.close(descriptor)

    def _cut_back(self, descriptor: int, size: int) -> None:
        """A mark that may or may not outlive a crash must not be there when it counts as not written."""
        try:
            if os.fstat(descriptor).st_size != size:
                os.ftruncate(descriptor, size)
                os.fsync(descriptor)
        except OSError:
            self.is_in_doubt = True


def _marked(entry: Entry, mark: object) -> Entry:
    """The entry after one more line. Raises ValueError for one that cannot be."""
    last = len(entry.prepare) + len(entry.finish)
    if mark in (_STOPPED, _GOES_ON):
        return replace(entry, guest_stopped=mark == _STOPPED)
    if mark == _DECIDED and not entry.is_decided:
        return replace(entry, is_decided=True, done=max(entry.done, len(entry.prepare)))
    if type(mark) is int and mark == entry.done + 1 and mark <= (last if entry.is_decided else len(entry.prepare)):
        return replace(entry, done=mark)
    raise ValueError(f"mark {mark!r}")


def is_there(folder: Path) -> bool:
    """Whether an operation has been begun, or was about to be, and is not known to have ended."""
    return any(os.path.lexists(folder / name) for name in (JOURNAL_NAME, f"{JOURNAL_NAME}.part"))


def open_journal(folder: Path) -> Journal | None:
    """The journal that an earlier run left, or None.

    Raises OperationError when it cannot be understood: then nothing may be done to this VM's files until somebody has
    looked at them.
    """
    path = folder / JOURNAL_NAME
    with contextlib.suppress(OSError):
        (folder / f"{JOURNAL_NAME}.part").unlink()  # cut short before the operation began
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(path, str(error)) from error
    try:
        with os.fdopen(descriptor, "r+b", buffering=0) as stream:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ValueError("it is no file")
            raw = stream.read(_MAX_BYTES + 1) or b""
            if len(raw) > _MAX_BYTES:
                raise ValueError("it is too large")
            entry = _parse(raw)
            whole = raw.rfind(b"\n") + 1
            if whole != len(raw):  # the next mark must not continue a torn line
                stream.truncate(whole)
                os.fsync(descriptor)
        return Journal(folder, entry)
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise _unreadable(path, f"{type(error).__name__}: {error}") from error


def _unreadable(path: Path, why: str) -> OperationError:
    return OperationError(
        "The journal of an operation that was cut short cannot be read.",
        advice=f"Look at the virtual machine's disks, then remove “{path}”.",
        details=why,
    )


def _parse(raw: bytes) -> Entry:
    lines = raw.split(b"\n")[:-1]  # what follows the last line end was cut short
    head = json.loads(lines[0])
    if type(head) is not dict or head["version"] != _VERSION:
        raise ValueError("it is of another version")
    entry = Entry(
        title=str(head["title"]),
        vm_name=str(head["vm"]),
        prepare=tuple(_from_value(value) for value in head["prepare"]),
        finish=tuple(_from_value(value) for value in head["finish"]),
        undo=tuple(_from_value(value) for value in head["undo"]),
    )
    for line in lines[1:]:
        entry = _marked(entry, json.loads(line))
    return entry


def _line(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii") + b"\n"


def _to_value(step: Step) -> dict[str, object]:
    return {"step": type(step).__name__, **dataclasses.asdict(step)}


def _from_value(value: object) -> Step:
    if type(value) is not dict:
        raise ValueError("no step")
    fields: dict[str, object] = dict(value)
    kind = _KINDS[str(fields.pop("step"))]
    types = get_type_hints(kind)
    if set(fields) != set(types):
        raise ValueError(f"fields of {kind.__name__}")
    step: Step = kind(**{name: _checked(field, types[name]) for name, field in fields.items()})
    return step


def _checked(value: object, wanted: object) -> object:
    """The value of a step's field. Raises ValueError when it is of another type."""
    if type(value) is wanted:
        return value
    if value is None and wanted == str | None:
        return None
    if type(value) is str and wanted == str | None:
        return value
    if type(value) is list and wanted == tuple[str, ...] and all(type(each) is str for each in value):
        return tuple(value)
    if type(value) is list and wanted == tuple[tuple[str, str], ...] and all(_is_pair(each) for each in value):
        return tuple(tuple(each) for each in value)
    raise ValueError(f"{value!r} is not of the type {wanted}"[:200])


def _is_pair(value: object) -> bool:
    return type(value) is list and len(value) == 2 and all(type(each) is str for each in value)
