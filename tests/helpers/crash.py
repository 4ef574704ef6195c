"""Runs an operation in a process of its own that comes to harm at one certain moment.

A moment is just before a call that changes something on disk (of ``os``, or of ``qemu-img``); they are counted, so that
each of them can be tried in turn until there are no more. Nothing here depends on real disks being full.
"""

from __future__ import annotations

import enum
import errno
import itertools
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from guivm.engine import qemu_img
from guivm.errors import GuivmError

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


def every(harm: Harm, attempt: Callable[[Fault], Outcome]) -> Iterator[tuple[Fault, Outcome]]:
    """Each moment in turn, until there is none any more."""
    for number in itertools.count():
        fault = Fault(harm, number)
        outcome = attempt(fault)
        yield fault, outcome
        if outcome is Outcome.NOT_REACHED:
            return
