"""GiveAccess: lets QEMU's user reach files of ours, by the very command that was shown before. Worker only."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from guivm.engine.context import HandlerContext
from guivm.engine.options.values import AccessFix
from guivm.engine.requests import GiveAccess
from guivm.engine.settings.access import lacks
from guivm.errors import OperationError, UnsupportedError
from guivm.text import clean_block, clean_line

_TIME_S = 20.0
_MAX_PATHS = 100
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}\$?", re.ASCII)
_ENTRY_RIGHTS = ("x", "r", "rw")
_MODE_RIGHTS = ("u+x", "u+r", "u+rw", "g+x", "o+x")


def give_access(context: HandlerContext, request: GiveAccess) -> None:
    """Handler of GiveAccess. Raises OperationError and UnsupportedError."""
    fix = request.fix
    if not context.host.is_local:
        raise UnsupportedError("The files are on another computer.", advice="Run the command there.")
    _require_sound(fix)
    try:
        done = subprocess.run(
            fix.arguments,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=_TIME_S,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise OperationError("Access could not be given.", details=str(error)) from error
    words = clean_block(done.stderr[:4096].decode("utf-8", "replace"), 4096)
    try:
        left = lacks(fix)
    except KeyError as error:
        raise OperationError(f"This computer has no user “{fix.user}”.", details=words) from error
    if done.returncode != 0 or left:
        raise OperationError(
            f"Access could not be given to “{clean_line((left or fix.paths)[0], 200)}”.",
            advice="Move the file to a folder that QEMU can reach, or change its rights in a terminal.",
            details=words,
        )


def _require_sound(fix: AccessFix) -> None:
    """It comes back from a window: no other change than one that the check can have offered, to files of ours."""
    known = _USER.fullmatch(fix.user) and fix.rights in _ENTRY_RIGHTS if fix.user else fix.rights in _MODE_RIGHTS
    if not known or not 0 < len(fix.paths) <= _MAX_PATHS:
        raise OperationError("This is no way to give access.")
    for path in fix.paths:
        try:
            owner = Path(path).stat().st_uid
        except (OSError, ValueError) as error:
            raise OperationError("What access is given to is gone.", details=str(error)) from error
        if not path.startswith("/") or os.geteuid() not in (0, owner):
            raise OperationError(
                f"“{clean_line(path, 200)}” is not yours to change.", advice="Ask the administrator of this computer."
            )
