"""Operations on snapshots in processes of their own that are killed, or see libvirtd or the guest killed, between any
two of their steps.

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
from collections.abc import Callable
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
from tests.helpers.daemon import SessionDaemon, process_is_gone, wait_until

_DEADLINE_S = 60.0
NEVER = 1 << 30
SAVING = "saving"
"""Name of a file that tells, in the folder of images."""

DONE, FAILED, KILLED = 0, 11, -int(signal.SIGKILL)
IN_SPITE = 12
"""Done, although somebody was killed."""

GUIVM, LIBVIRTD, QEMU = "guivm", "libvirtd", "qemu"
VICTIMS = (GUIVM, LIBVIRTD, QEMU)


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

    def __init__(self, daemon: SessionDaemon, images_dir: Path) -> None:
        self._daemon, self._images_dir = daemon, images_dir
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Nursery:
        command = [sys.executable, "-m", "tests.helpers.snapshot_child", self._daemon.uri, os.fspath(self._images_dir)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        with self._process as process:
            process.kill()

    def begin(
        self,
        operation: str,
        uuid: str,
        *arguments: object,
        moment: int = NEVER,
        victim: str = GUIVM,
        special: str = "",
    ) -> int:
        """Begin; answers the process. ``operation`` is a function of ``branches``; for ``special`` see `_SPECIAL`."""
        assert self._process is not None
        assert self._process.stdin is not None
        order = {
            "operation": operation,
            "uuid": uuid,
            "arguments": arguments,
            "moment": moment,
            "victim": victim,
            "special": special,
            "libvirtd": self._daemon.pid,
            "guests": os.fspath(self._daemon.root / "r" / "libvirt" / "qemu" / "run"),
        }
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def end(self) -> int:
        """Wait; answers how it ended."""
        code = self._answer()
        assert code in (DONE, FAILED, KILLED, IN_SPITE), f"the operation ended with {code}"
        return code

    def run(
        self,
        operation: str,
        uuid: str,
        *arguments: object,
        moment: int = NEVER,
        victim: str = GUIVM,
        special: str = "",
    ) -> int:
        """DONE means that there is no such moment."""
        self.begin(operation, uuid, *arguments, moment=moment, victim=victim, special=special)
        return self.end()

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
    trap = _Trap(order)
    _tell_of_save(images_dir)
    if order["special"]:
        _SPECIAL[order["special"]]()
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
    return IN_SPITE if trap.is_reached else DONE


class _Trap:
    """Kills at one moment: after a step, after the first line and the decisive line of the journal, or after a call to
    libvirt that stops or moves a running guest."""

    def __init__(self, order: dict[str, Any]) -> None:
        self._order = order
        self._count = itertools.count()
        self.is_reached = False
        for owner, name in (
            (executing, "do"),
            (Journal, "decide"),
            (libvirt.virDomain, "suspend"),
            (libvirt.virDomain, "snapshotCreateXML"),
        ):
            setattr(owner, name, self._after(getattr(owner, name)))
        Journal.begin = staticmethod(self._after(Journal.begin))  # type: ignore[method-assign]

    def _after(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            found = real(*args, **kwargs)
            if next(self._count) == self._order["moment"]:
                self.is_reached = True
                self._kill()
            return found

        return wrapped

    def _kill(self) -> None:
        if self._order["victim"] == GUIVM:
            _kill_oneself()
        found = [self._order["libvirtd"]] if self._order["victim"] == LIBVIRTD else _guests(Path(self._order["guests"]))
        for pid in found:
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda pid=pid: process_is_gone(pid), "the victim to end")  # type: ignore[misc]


def _guests(folder: Path) -> list[int]:
    """Processes by libvirt's files."""
    found = [int(path.read_text(encoding="ascii")) for path in folder.rglob("guest.pid")]
    return [pid for pid in found if not process_is_gone(pid)]


def _kill_oneself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _tell_of_save(folder: Path) -> None:
    """Leave a file behind when libvirt is asked to write memory."""
    real = libvirt.virDomain.saveFlags

    def told(*args: Any) -> Any:
        (folder / SAVING).touch()
        return real(*args)

    libvirt.virDomain.saveFlags = told


def _stand_after_reading() -> None:
    """The guest is never let go on after its memory was read: as when libvirtd is ended at that very moment."""
    real = libvirt.virConnect.restoreFlags

    def standing(connection: libvirt.virConnect, path: str, xml: str, _flags: int) -> None:
        real(connection, path, xml, libvirt.VIR_DOMAIN_SAVE_PAUSED)
        _kill_oneself()

    libvirt.virConnect.restoreFlags = standing


def _save_to_full_disk() -> None:
    """Memory goes to a device that is always full."""
    real = libvirt.virDomain.saveFlags

    def full(domain: libvirt.virDomain, path: str, *args: Any) -> Any:
        Path(path).symlink_to("/dev/full")
        return real(domain, path, *args)

    libvirt.virDomain.saveFlags = full


def _merge_slowly() -> None:
    """QEMU's jobs on images do a MiB/s."""
    rebase, commit = libvirt.virDomain.blockRebase, libvirt.virDomain.blockCommit

    def slow_rebase(domain: libvirt.virDomain, disk: str, base: str | None, _bandwidth: int, flags: int) -> Any:
        return rebase(domain, disk, base, 1, flags)

    def slow_commit(domain: libvirt.virDomain, disk: str, base: str, top: str, _bandwidth: int, flags: int) -> Any:
        return commit(domain, disk, base, top, 1, flags)

    libvirt.virDomain.blockRebase = slow_rebase
    libvirt.virDomain.blockCommit = slow_commit


_SPECIAL = {"slow": _merge_slowly, "stand": _stand_after_reading, "full": _save_to_full_disk}


if __name__ == "__main__":
    _main()
