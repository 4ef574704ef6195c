"""One clone in a process of its own: ``python -m tests.helpers.clone_child URI UUID FOLDER NAME KIND``.

With ``--die WHERE:STEP`` it ends by SIGKILL ``before``, ``during`` (a copy that has only begun) or ``after`` that step,
or at ``decided:0``. FOLDER/images is the folder of images. The last line on stderr names the kind of error that
it ended with.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path

import libvirt

from guivm.engine.cloning import handlers
from guivm.engine.context import HandlerContext
from guivm.engine.jobs import Job
from guivm.engine.requests import CloneVm
from guivm.engine.snapshots import doing, executing
from guivm.engine.snapshots.journal import Journal
from guivm.engine.snapshots.run import Run, Share
from guivm.engine.snapshots.steps import Step
from guivm.engine.snapshots.values import CloneKind, CloneSpec
from guivm.engine.types import HostId, HostInfo, HostState, VmKey
from guivm.errors import GuivmError


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_at(where: str, number: int) -> None:
    """Arrange for the end."""
    real_do, real_decide = doing.do, Journal.decide
    count = -1

    def do(run: Run, step: Step, share: Share) -> None:
        nonlocal count
        count += 1
        if count == number and where == "before":
            die()
        if count == number and where == "during":
            run.context.job.on_cancel = lambda _canceller: die()  # type: ignore[assignment,method-assign]
        real_do(run, step, share)
        if count == number and where == "after":
            die()

    def decide(self: Journal) -> None:
        real_decide(self)
        if where == "decided":
            die()

    executing.do = do  # type: ignore[attr-defined]
    Journal.decide = decide  # type: ignore[method-assign]


def main() -> int:
    parser = argparse.ArgumentParser()
    for name in ("uri", "uuid", "folder", "name", "kind"):
        parser.add_argument(name)
    parser.add_argument("--die", default="")
    parser.add_argument("--directory", default="")
    chosen = parser.parse_args()
    if chosen.die:
        where, _, number = chosen.die.partition(":")
        die_at(where, int(number))
    connection = libvirt.open(chosen.uri)
    host = HostId(connection.getURI())
    context = HandlerContext(
        host=HostInfo(host, host, "This computer", HostState.CONNECTED),
        connection=connection,
        job=Job(host, None, "test"),
        cache_dir=Path(chosen.folder) / "cache",
        images_dir=Path(chosen.folder) / "images",
    )
    context.job.begin()
    spec = CloneSpec(chosen.name, CloneKind(chosen.kind), directory=chosen.directory)
    try:
        handlers.clone_vm(context, CloneVm(VmKey(host, chosen.uuid), spec))
    except GuivmError as error:
        print(error, error.details, type(error).__name__, sep="\n", file=sys.stderr)
        return 1
    finally:
        connection.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
