"""Runs an operation in a process of its own that comes to harm at one certain moment.

:class:`HeldTool` has ``qemu-img`` stand still in the middle of what it writes.

A moment is just before a call that changes something on disk (of ``os``, or of ``qemu-img``); they are counted, so that
each of them can be tried in turn until there are no more. Nothing here depends on real disks being full.
"""

from __future__ import annotations

import enum
import errno
import itertools
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from guivm.engine import qemu_img
from guivm.errors import GuivmError
from tests.helpers.daemon import wait_until

_CHANGING = ("link", "unlink", "rename", "replace", "fsync", "write", "ftruncate", "chmod", "mkdir", "rmdir")
_GROWING = ("link", "write", "mkdir")


class Harm(enum.Enum):
    KILLED = "killed"
    FAILS_ONCE = "fails once"
    DISK_FULL = "disk full from then on"


_COUNTED = {
    Harm.KILLED: {*_CHANGING, "qemu-img"} - {"fsync"},  # which changes nothing that another process would see
    Harm.FAILS_ONCE: {*_CHANGING, "qemu-img"},
    Harm.DISK_FULL: {*_GROWING, "qemu-img"},
}


@dataclass(frozen=True, slots=True)
class Fault:
    """``number``: of the moment, from 0."""

    harm: Harm
    number: int


class Outcome(enum.Enum):
    NOT_REACHED = 0
    """There is no such moment: the operation has ended well."""
    ENDED_WELL = 10
    """In spite of it."""
    FAILED = 11
    """With a GuivmError."""
    KILLED = -int(signal.SIGKILL)


class _Trap:
    """Counts, and does harm when its turn comes."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.count = 0

    @property
    def is_reached(self) -> bool:
        return self.count > self.fault.number

    def wrap(self, name: str, real: Callable[..., Any], failure: Callable[[], Exception]) -> Callable[..., Any]:
        harm = self.fault.harm
        if name not in _COUNTED[harm]:
            return real

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            number, self.count = self.count, self.count + 1
            if harm is Harm.KILLED and number == self.fault.number:
                os.kill(os.getpid(), signal.SIGKILL)
            if harm is Harm.FAILS_ONCE and number == self.fault.number:
                raise failure()
            if harm is Harm.DISK_FULL and number >= self.fault.number:
                raise failure()
            return real(*args, **kwargs)

        return wrapped


def _no_space() -> Exception:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def set_trap(fault: Fault) -> Callable[[], bool]:
    """For the rest of this process. Answers what tells whether the moment has come."""
    trap = _Trap(fault)
    if "fsync" not in _COUNTED[fault.harm]:
        setattr(os, "fsync", lambda _descriptor: None)  # noqa: B010  (it only takes time)
    for name in _CHANGING:
        setattr(os, name, trap.wrap(name, getattr(os, name), _no_space))
    full = qemu_img.failure("No space left on device", "The disk images could not be changed.")
    setattr(qemu_img, "work", trap.wrap("qemu-img", qemu_img.work, lambda: full))  # noqa: B010
    return lambda: trap.is_reached


def in_child(operation: Callable[[], object], fault: Fault) -> Outcome:
    """Fork, come to harm, and tell how it ended. An error that is no GuivmError fails the test."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            is_reached = set_trap(fault)
            try:
                operation()
                code = (Outcome.ENDED_WELL if is_reached() else Outcome.NOT_REACHED).value
            except GuivmError:
                code = Outcome.FAILED.value
        except BaseException:  # noqa: BLE001  (a forked child must not go back into pytest)
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(code)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status in {outcome.value for outcome in Outcome}, f"the operation ended with {status}, {fault}"
    return Outcome(status)


def begin_child(operation: Callable[[], object]) -> int:
    """Fork; answers the process, which somebody else ends."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        try:
            operation()
        except BaseException:  # noqa: BLE001  (a forked child must not go back into pytest)
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(1)
    return pid


_HELD = """#!/bin/sh
case "$1" in
rebase|commit)
    echo $$ >"{pid}"
    prlimit --fsize={limit} --core=0 -- "{tool}" "$@"
    kill -STOP $$
    exit 1
esac
exec "{tool}" "$@"
"""


class HeldTool:
    """A ``qemu-img`` that is ended by the system as soon as a file that it merges into would grow beyond ``limit``
    bytes; what ran it sees a tool that is still at work and stands still. So it is in the middle on any machine."""

    def __init__(self, folder: Path, limit: int) -> None:
        real = shutil.which("qemu-img")
        assert real is not None
        self.folder = folder
        self._pid = folder / "pid"
        folder.mkdir()
        tool = folder / "qemu-img"
        tool.write_text(_HELD.format(pid=self._pid, limit=limit, tool=real), encoding="utf-8")
        tool.chmod(0o755)

    @property
    def path(self) -> str:
        """For the environment."""
        return f"{self.folder}:{os.environ['PATH']}"

    def wait(self) -> int:
        """Until it stands still; answers its process."""
        wait_until(lambda: self._pid.exists() and self._pid.read_text().endswith("\n"), "the tool to be run")
        pid = int(self._pid.read_text())
        wait_until(lambda: _stands(pid), "the tool to stand still")
        return pid


def _stands(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] == "T"


def every(harm: Harm, attempt: Callable[[Fault], Outcome]) -> Iterator[tuple[Fault, Outcome]]:
    """Each moment in turn, until there is none any more."""
    for number in itertools.count():
        fault = Fault(harm, number)
        outcome = attempt(fault)
        yield fault, outcome
        if outcome is Outcome.NOT_REACHED:
            return
