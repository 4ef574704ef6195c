"""What would stop a plan in the middle, looked at before its first step. Worker only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from guivm.engine.snapshots import steps
from guivm.engine.snapshots.steps import Plan, Step, made_by
from guivm.errors import InUseError, OperationError
from guivm.text import clean_line


def require_possible(plan: Plan) -> None:
    """Raises InUseError when a file stands where one is to be made or moved, OperationError where we may not write."""
    all_steps = (*plan.prepare, *plan.finish)
    leaving = {step.path for step in all_steps if isinstance(step, steps.Quarantine | steps.PutInPlace)}
    for path in _new_names(all_steps):
        if os.path.lexists(path) and path not in leaving:
            raise InUseError(
                f"A file already stands at “{clean_line(path, 400)}”.", advice="Move or rename that file first."
            )
    for path in _changed(all_steps):
        _require_ours(path)
    for wanted in _folders(all_steps):
        folder = next(each for each in (wanted, *wanted.parents) if os.path.lexists(each))
        if not os.access(folder, os.W_OK | os.X_OK):
            raise OperationError(
                f"The folder “{clean_line(str(folder), 400)}” cannot be written.", advice="Check its permissions."
            )


def _new_names(all_steps: tuple[Step, ...]) -> Iterator[str]:
    yield from made_by(all_steps)
    for step in all_steps:
        match step:
            case steps.Quarantine(kept_at=target) | steps.PutInPlace(target=target):
                yield target
            case _:
                pass


def _changed(all_steps: tuple[Step, ...]) -> Iterator[str]:
    """Files that are there and whose contents or permissions are changed."""
    made = {*made_by(all_steps), *_new_names(all_steps)}
    for step in all_steps:
        match step:
            case (
                steps.Freeze(path=path)
                | steps.Thaw(path=path)
                | steps.Pull(path=path)
                | steps.SetBacking(path=path)
                | steps.Merge(into=path)
            ):
                if path not in made:
                    yield path
            case steps.LiveMerge(into=into, above=above):
                yield from (path for path in (into, above) if path not in made)
            case _:
                pass


def _require_ours(path: str) -> None:
    """Its owner may change its permissions, and so write it."""
    try:
        owner = Path(path).stat().st_uid
    except OSError as error:
        raise OperationError(f"“{clean_line(path, 400)}” cannot be reached.", details=str(error)) from error
    if os.geteuid() not in (0, owner):
        raise OperationError(
            f"“{clean_line(path, 400)}” belongs to another user, so it cannot be changed.",
            advice="Change its owner, or ask them.",
        )


def _folders(all_steps: tuple[Step, ...]) -> Iterator[Path]:
    """Where names come or go."""
    for name in _new_names(all_steps):
        yield Path(name).parent
    for step in all_steps:
        if isinstance(step, steps.Quarantine | steps.PutInPlace):
            yield Path(step.path).parent
