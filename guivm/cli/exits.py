"""What the shell is told."""

from __future__ import annotations

import enum

from guivm.errors import CancelledError, GuivmError, HostError, NetworkNotFoundError, VmNotFoundError, WrongStateError


class Exit(enum.IntEnum):
    """Exit codes; printed by ``guivm --help``."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    NO_HOST = 4
    WRONG_STATE = 5
    CANCELLED = 130


def exit_code(error: GuivmError) -> Exit:
    match error:
        case VmNotFoundError() | NetworkNotFoundError():
            return Exit.NOT_FOUND
        case HostError():
            return Exit.NO_HOST
        case WrongStateError():
            return Exit.WRONG_STATE
        case CancelledError():
            return Exit.CANCELLED
    return Exit.FAILED
