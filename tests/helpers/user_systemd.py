"""``systemd --user`` of one test's own, in namespaces: nothing of it is left, and the machine's own is not asked."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType

from tests.helpers.daemon import wait_until

# systemd runs for a person only where /run/systemd/system tells that it runs for the system, see sd_booted(3). Its
# groups it makes below the one that it is started in. No PID namespace: whom it cannot name it does not answer.
_INSIDE = """
set -e
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir "/sys/fs/cgroup/$1"
echo 0 >"/sys/fs/cgroup/$1/cgroup.procs"
exec /usr/lib/systemd/systemd --user --unit=timers.target
"""
_AFTER = """
mount -t cgroup2 cgroup2 /sys/fs/cgroup
cd "/sys/fs/cgroup/$1" || exit 0
find . -name cgroup.procs -exec cat {} + | xargs --no-run-if-empty kill -s KILL
cd / && find "/sys/fs/cgroup/$1" -depth -type d -exec rmdir {} +
"""
_HANDED_ON = ("HOME", "PATH", "LANG", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME")


class UserSystemd:
    """Close it, or use it as a context manager: everything in it ends.

    With ``env`` in their environment, systemctl and guivm find it, from outside the namespaces too.
    """

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="gv-", dir="/tmp"))
        self.log = self.root / "log"
        runtime = self.root / "r"
        runtime.mkdir(mode=0o700)
        self.env = {name: os.environ[name] for name in _HANDED_ON if name in os.environ}
        self.env |= {"XDG_RUNTIME_DIR": str(runtime), "SYSTEMD_LOG_TARGET": "console"}
        self._group = self.root.name
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *_unshared(_INSIDE, self._group)],
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            wait_until(self._answers, "systemd --user")
        except BaseException:
            self.close()
            raise

    def ctl(self, *arguments: str) -> str:
        """What ``systemctl --user`` prints; AssertionError when it fails."""
        done = self._systemctl(*arguments)
        assert done.returncode == 0, (arguments, done.stderr, self.log.read_text(errors="replace")[-2000:])
        return done.stdout

    def _systemctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["systemctl", "--user", *arguments]
        return subprocess.run(command, env=self.env, capture_output=True, text=True, errors="replace", check=False)

    def close(self) -> None:
        """End everything in it; remove every trace."""
        self._process.kill()
        self._process.wait(20)
        wait_until(self._group_is_gone, "what systemd started to end")
        shutil.rmtree(self.root)

    def _answers(self) -> bool:
        if self._process.poll() is not None:
            raise AssertionError(f"systemd ended: {self.log.read_text(errors='replace')[-2000:]}")
        return self._systemctl("show", "--property=Version").returncode == 0

    def _group_is_gone(self) -> bool:
        return subprocess.run(_unshared(_AFTER, self._group), stderr=subprocess.DEVNULL, check=False).returncode == 0

    def __enter__(self) -> UserSystemd:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _unshared(script: str, argument: str) -> list[str]:
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", "--mount", "--cgroup", *user, "--", "sh", "-c", script, "sh", argument]
