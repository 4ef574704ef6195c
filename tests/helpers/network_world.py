"""A libvirtd with the system's rights and networks of its own, in namespaces: nothing outside sees a bridge of it.

The network namespace holds bridges, taps and rules; the mount namespace lays the test's directories over libvirt's, and
an empty /run hides the D-Bus of the machine, through which libvirt would talk to its firewalld; with the PID namespace
everything ends at once.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType

from tests.helpers.daemon import share_capabilities, wait_until

_PLACES = {
    "run": "/run/libvirt",
    "lib": "/var/lib/libvirt",
    "etc": "/etc/libvirt",
    "cache": "/var/cache/libvirt",
    "log": "/var/log/libvirt",
}
_QEMU_CONF = """\
user = "root"
group = "root"
remember_owner = 0
stdio_handler = "file"
namespaces = []
cgroup_controllers = []
security_driver = "none"
"""
# The shell stays as the namespace's first process: it reaps the dnsmasqs that libvirt leaves to it, and waits for
# in vain when it ends one.
_INSIDE = """
set -e
root=$1
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run
mkdir /run/lock
while read -r name place; do
    mkdir -p "$place"
    mount --bind "$root/$name" "$place"
done <"$root/places"
ip link set lo up
libvirtd --pid-file /run/libvirtd.pid &
wait $!
"""


class NetworkWorld:
    """Close it, or use it as a context manager: everything in it ends."""

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="gv-", dir="/tmp"))
        for name in _PLACES:
            (self.root / name).mkdir(mode=0o700)
        (self.root / "lib").chmod(0o755)  # dnsmasq reads its fixed addresses there as another user
        (self.root / "places").write_text("".join(f"{name} {place}\n" for name, place in _PLACES.items()), "ascii")
        (self.root / "etc" / "qemu.conf").write_text(_QEMU_CONF, "ascii")
        (self.root / "etc" / "libvirtd.conf").write_text('auth_unix_ro = "none"\nauth_unix_rw = "none"\n', "ascii")
        share_capabilities(self.root / "cache" / "qemu" / "capabilities")
        self._socket = self.root / "run" / "libvirt-sock"
        self.log = self.root / "libvirtd.log"
        unshare = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        if os.geteuid() != 0:
            unshare += ["--user", "--map-root-user"]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                # However the test's process ends, all of it ends.
                ["setpriv", "--pdeathsig", "KILL", *unshare, "--", "sh", "-c", _INSIDE, "sh", str(self.root)],
                env=os.environ | {"LIBVIRT_AUTOSTART": "0", "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nowhere"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            wait_until(self._answers, "libvirtd in its namespaces")
        except BaseException:
            self.close()
            raise

    @property
    def uri(self) -> str:
        """From outside: a socket with a path knows no network namespace."""
        return f"qemu+unix:///system?socket={self._socket}"

    def close(self) -> None:
        """End everything in the namespaces; remove every trace."""
        self._process.kill()  # unshare waits with SIGTERM blocked; the kernel ends its child, and so all others
        self._process.wait(20)
        wait_until(lambda: not self._pids(), "the namespace's processes to end")
        shutil.rmtree(self.root)

    def _pids(self) -> list[int]:
        """Processes whose command names our directory, or that stand in it."""
        found = []
        for path in Path("/proc").glob("[0-9]*/mountinfo"):
            try:
                if str(self.root) in path.read_text(errors="replace"):
                    found.append(int(path.parent.name))
            except OSError:
                continue
        return found

    def _answers(self) -> bool:
        if self._process.poll() is not None:
            raise AssertionError(f"libvirtd ended: {self.log.read_text(encoding='utf-8', errors='replace')[-2000:]}")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            try:
                sock.connect(str(self._socket))
            except OSError:
                return False
            return True

    def __enter__(self) -> NetworkWorld:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
