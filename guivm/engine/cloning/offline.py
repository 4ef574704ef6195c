"""A clone's guest gets its identity before its first start: ``virt-sysprep`` of libguestfs changes its disks. Worker
only.

The disks are the guest's, and so hostile: libguestfs reads them in a small VM of its own, without a network, which is
given those files and no others, each with its format. Sources: virt-sysprep(1), virt-customize(1), guestfs(3) and
guestfs-security(1); the operations are those that versions 1.48 and 1.52 both list.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from typing import TYPE_CHECKING

from guivm.errors import OperationError

if TYPE_CHECKING:
    from guivm.engine.context import HandlerContext

_PROGRAM = "virt-sysprep"
_LIMIT_S = 900.0
_END_S = 5.0
_LOOK_S = 0.05

_OPERATIONS = (
    "customize",
    "dhcp-client-state",
    "dhcp-server-state",
    "machine-id",
    "net-hwaddr",
    "ssh-hostkeys",
    "udev-persistent-net",
)
# What no operation does. What is not there is no error to it.
_DELETED = (
    "/var/lib/cloud/instance",
    "/var/lib/cloud/instances",
    "/var/lib/cloud/data",
    "/var/lib/cloud/sem",
    "/var/lib/NetworkManager/*.lease",
    "/var/lib/NetworkManager/secret_key",
    "/var/lib/dbus/machine-id",
    "/var/lib/dhcpcd/*",
    "/var/lib/systemd/network",
)
_KEYS_AGAIN = "ssh-keygen -A; systemctl try-restart ssh.service sshd.service"
_NO_SYSTEM = "no operating systems were found"


def is_installed() -> bool:
    return shutil.which(_PROGRAM) is not None


def command_for(host_name: str, images: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    """The argument list for images: (path, format). ``host_name`` empty: it is kept."""
    drives = [word for path, form in images for word in ("--format", form, "-a", path)]
    named = ("--hostname", host_name) if host_name else ()
    return (
        *(_PROGRAM, "--quiet", "--no-network", "--operations", ",".join(_OPERATIONS)),
        *(word for path in _DELETED for word in ("--delete", path)),
        *named,
        *("--firstboot-command", _KEYS_AGAIN),
        *drives,
    )


def reset_offline(context: HandlerContext, host_name: str, images: tuple[tuple[str, str], ...]) -> None:
    """Of a VM that does not run. Raises OperationError, CancelledError; then no process of it is left, and its disks
    are as they were or changed in part: it may be done again."""
    from guivm.engine.jobs import JobProgress

    context.job.report(JobProgress(0, 0, unit_bytes=False, step="Giving the guest an identity of its own"))
    with (
        tempfile.TemporaryDirectory(prefix="guivm-") as folder,  # what it leaves when it is ended
        subprocess.Popen(
            command_for(host_name, images),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={
                **os.environ,
                **{"LC_ALL": "C.UTF-8", "LIBGUESTFS_BACKEND": "direct"},
                **{"LIBGUESTFS_TMPDIR": folder, "XDG_RUNTIME_DIR": folder},
            },
            start_new_session=True,  # its VM is of its process group, and ends with it
        ) as process,
    ):
        context.job.on_cancel(lambda: _cancel(process.pid))
        try:
            said, _ = process.communicate(timeout=_LIMIT_S)
        except subprocess.TimeoutExpired as error:
            raise OperationError("Looking into the guest's disks took too long.", details=str(error)) from error
        finally:
            context.job.on_cancel(None)
            _end(process)
    context.job.check_cancelled()
    if process.returncode != 0:
        told = said.decode("utf-8", "replace")
        if _NO_SYSTEM in told:
            raise OperationError("virt-sysprep found no system in the guest's disks: are they encrypted?", details=told)
        raise OperationError("virt-sysprep could not change the guest's disks, or not wholly.", details=told)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Nothing of its group holds the images afterwards."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not _signal(process.pid, number):
            return
        end_s = time.monotonic() + _END_S
        while time.monotonic() < end_s:
            process.poll()
            if not _signal(process.pid, 0):
                return
            time.sleep(_LOOK_S)


def _cancel(group: int) -> None:
    _signal(group, signal.SIGTERM)


def _signal(group: int, number: int) -> bool:
    """False when no process is left in the group."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True
