"""Operations on snapshots in processes of their own that can be killed between any two of their steps.

:class:`Nursery` runs ``python -m tests.helpers.snapshot_child``, which imports everything once and forks for each
operation, before any thread or connection is there.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import libvirt

from guivm.engine.context import HandlerContext
from guivm.engine.jobs import Job
from guivm.engine.snapshots import branches, executing
from guivm.engine.snapshots.journal import Journal
from guivm.engine.snapshots.values import SnapshotId
from guivm.engine.types import HostId, HostInfo, HostState, VmKey
from guivm.errors import GuivmError

_DEADLINE_S = 60.0
NEVER = 1 << 30
SAVING = "saving"
"""Name of a file that tells, in the folder of images."""

DONE, FAILED, KILLED = 0, 11, -int(signal.SIGKILL)


def context_of(connection: libvirt.virConnect, images_dir: Path) -> HandlerContext:
    """With a job of its own."""
    host = HostId("local")
    context = HandlerContext(
        host=HostInfo(host, "qemu:///session", "This computer", HostState.CONNECTED),
        connection=connection,
        job=Job(host, None, "test"),
        cache_dir=images_dir / "cache",
        images_dir=images_dir,
    )
    context.job.begin()
    return context


class Nursery:
    """Used in a ``with``."""

    def __init__(self, uri: str, images_dir: Path) -> None:
        self._uri, self._images_dir = uri, images_dir
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Nursery:
        command = [sys.executable, "-m", "tests.helpers.snapshot_child", self._uri, os.fspath(self._images_dir)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        with self._process as process:
            process.kill()

    def begin(self, operation: str, uuid: str, *arguments: object, moment: int = NEVER, slow: bool = False) -> int:
        """Begin; answers the process. ``operation`` is a function of ``branches``."""
        assert self._process is not None
        assert self._process.stdin is not None
        order = {"operation": operation, "uuid": uuid, "arguments": arguments, "moment": moment, "slow": slow}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def end(self) -> int:
        """Wait; answers how it ended."""
        code = self._answer()
        assert code in (DONE, FAILED, KILLED), f"the operation ended with {code}"
        return code

    def run(self, operation: str, uuid: str, *arguments: object, moment: int = NEVER) -> int:
        self.begin(operation, uuid, *arguments, moment=moment)
        return self.end()

    def every(self, operation: str, uuid: str, *arguments: object) -> Iterator[tuple[int, int]]:
        """Killed at each moment in turn, until there is none any more: (moment, how it ended)."""
        for moment in itertools.count():
            code = self.run(operation, uuid, *arguments, moment=moment)
            yield moment, code
            if code != KILLED:
                return

    def _answer(self) -> int:
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the nursery has ended"
        return int(line)


# --- in the other process ---------------------------------------------------------------------------------


def _main() -> None:
    uri, images_dir = sys.argv[1], Path(sys.argv[2])
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                code = _operate(uri, images_dir, json.loads(line))
            except BaseException:  # noqa: BLE001  (a forked child must not go on reading)
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(code)
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


def _operate(uri: str, images_dir: Path, order: dict[str, Any]) -> int:
    connection = libvirt.open(uri)
    context = context_of(connection, images_dir)
    _set_traps(order["moment"])
    _tell_of_save(images_dir)
    if order["slow"]:
        _pull_slowly()
    key = VmKey(context.host.id, order["uuid"])
    arguments = order["arguments"]
    try:
        match order["operation"]:
            case "take":
                branches.take(context, key, arguments[0], "", memory=arguments[1], quiesce=False)
            case "restore":
                branches.restore(context, key, SnapshotId(arguments[0]), arguments[1])
            case "undo":
                branches.undo(context, key)
            case "delete":
                branches.delete(context, key, tuple(SnapshotId(each) for each in arguments), children=False)
    except GuivmError as error:
        print(error, error.details, file=sys.stderr)
        return FAILED
    return DONE


def _set_traps(moment: int) -> None:
    """A moment is after a step, after the first line and the decisive line of the journal, or after a call to libvirt
    that stops or moves a running guest."""
    count = itertools.count()

    def after(real: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            found = real(*args, **kwargs)
            if next(count) == moment:
                os.kill(os.getpid(), signal.SIGKILL)
            return found

        return wrapped

    for owner, name in (
        (executing, "do"),
        (Journal, "decide"),
        (libvirt.virDomain, "suspend"),
        (libvirt.virDomain, "snapshotCreateXML"),
    ):
        setattr(owner, name, after(getattr(owner, name)))
    Journal.begin = staticmethod(after(Journal.begin))  # type: ignore[method-assign]


def _tell_of_save(folder: Path) -> None:
    """Leave a file behind when libvirt is asked to write memory."""
    real = libvirt.virDomain.saveFlags

    def told(*args: Any) -> Any:
        (folder / SAVING).touch()
        return real(*args)

    libvirt.virDomain.saveFlags = told


def _pull_slowly() -> None:
    real = libvirt.virDomain.blockRebase

    def slow(domain: libvirt.virDomain, disk: str, base: str | None, _bandwidth: int, flags: int) -> Any:
        return real(domain, disk, base, 1, flags)  # MiB/s

    libvirt.virDomain.blockRebase = slow


if __name__ == "__main__":
    _main()
